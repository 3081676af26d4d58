package op

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/remote"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/value"
	"github.com/stemmadb/stemma/internal/vfs"
)

// handClock is a clock that a test moves.
type handClock struct{ at time.Time }

// Now implements clock.Clock.
func (h *handClock) Now() time.Time { return h.at }

// syncs is a database at /db whose clock goes a minute forward with all that is done, and its backup at /saved.
type syncs struct {
	t     *testing.T
	fs    vfs.FS
	clock *handClock
	repo  *repo.Repo
	scope *Scope
	n     int
}

func newSyncs(t *testing.T) *syncs {
	t.Helper()
	remote.Register()
	ctx := t.Context()
	w := &syncs{t: t, fs: vfs.NewMem(), clock: &handClock{time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)}}
	by := history.Signature{Name: "Ada", Email: "ada@example.org", Time: w.clock.at}
	keptOK(t, repo.Init(ctx, w.fs, "/db", repo.InitOptions{Author: by, Committer: by}))
	r, err := repo.Open(ctx, w.fs, "/db", repo.Options{Clock: w.clock})
	keptOK(t, err)
	t.Cleanup(func() { r.Close(ctx) })
	w.repo = r
	w.scope = &Scope{Repo: r, FS: w.fs, Dir: "/", Clock: w.clock, Author: Author{"Ada", "ada@example.org"}, Settings: Settings{Local: filepath.Join(t.TempDir(), "config")}}
	tx, err := r.Begin(ctx, "main")
	keptOK(t, err)
	whole := value.Type{Kind: value.KindInt64}
	s := &schema.Schema{Columns: []schema.Column{{ID: schema.AssignID("id", whole, nil, nil), Name: "id", Type: whole}}}
	s.PrimaryKey = []schema.IndexColumn{{Column: s.Columns[0].ID}}
	keptOK(t, tx.CreateTable(ctx, "t", s))
	keptOK(t, tx.Commit(ctx))
	w.commit("main", "table")
	return w
}

// past lets a minute pass and gives the time between.
func (w *syncs) past() time.Time {
	w.clock.at = w.clock.at.Add(time.Minute)
	return w.clock.at.Add(-30 * time.Second)
}

// row is an uncommitted row of the branch.
func (w *syncs) row(branch string) {
	w.t.Helper()
	w.past()
	w.n++
	ctx := w.t.Context()
	tx, err := w.repo.Begin(ctx, branch)
	keptOK(w.t, err)
	e, err := tx.Editor(ctx, "t")
	keptOK(w.t, err)
	keptOK(w.t, e.Insert(ctx, []value.Cell{value.IntCell(int64(w.n))}))
	keptOK(w.t, tx.Commit(ctx))
}

func (w *syncs) commit(branch, message string) {
	w.t.Helper()
	w.past()
	_, err := w.repo.Commit(w.t.Context(), repo.CommitOptions{Branch: branch, Message: message, Author: history.Signature{Name: "Ada", Email: "ada@example.org"}, AddNew: true})
	keptOK(w.t, err)
}

// good is a commit of a row.
func (w *syncs) good(branch, message string) {
	w.t.Helper()
	w.row(branch)
	w.commit(branch, message)
}

func (w *syncs) sync() string {
	w.t.Helper()
	w.past()
	res, err := (&Backup{Path: "sync-url", Args: []string{"/saved"}}).Run(w.t.Context(), w.scope)
	keptOK(w.t, err)
	return strings.Join(append(res.Lines, res.Hints...), "\n")
}

func (w *syncs) tag(name string) {
	w.t.Helper()
	w.past()
	keptOK(w.t, w.repo.CreateTag(w.t.Context(), name, history.Tag{Commit: mustHead(w.t, w.repo, "main"), Tagger: history.Signature{Name: "Ada", Time: w.clock.at}}, false))
}

// at restores the backup as of a time and says what is there: branches with their last messages and a + where something is uncommitted, tags, and what the
// verb says.
func (w *syncs) at(at time.Time) (state, said string) {
	w.t.Helper()
	text := ""
	if !at.IsZero() {
		text = at.Format(time.RFC3339Nano)
	}
	return w.restored(text)
}

func (w *syncs) restored(at string) (state, said string) {
	w.t.Helper()
	ctx := w.t.Context()
	w.n++
	dir := fmt.Sprintf("/restored%d", w.n)
	res, err := (&Restore{URL: "/saved", Dir: dir, At: at}).Run(ctx, &Scope{FS: w.fs, Dir: "/", Clock: w.clock, Settings: Settings{Local: filepath.Join(w.t.TempDir(), "config")}})
	if err != nil {
		return "", err.Error()
	}
	r, err := repo.Open(ctx, w.fs, dir, repo.Options{})
	keptOK(w.t, err)
	defer r.Close(ctx)
	var out []string
	for _, b := range r.Branches() {
		c, err := history.GetCommit(ctx, r.Store(), b.Head)
		keptOK(w.t, err)
		_, work, err := r.WorkCommit(ctx, b.Name)
		keptOK(w.t, err)
		text := b.Name + "=" + c.Message
		if !work.IsZero() {
			text += "+"
		}
		out = append(out, text)
	}
	tags, err := r.TagObjects(ctx)
	keptOK(w.t, err)
	for _, t := range tags {
		out = append(out, "tag "+t.Name)
	}
	slices.Sort(out)
	return strings.Join(out, " "), strings.Join(append(res.Lines, res.Hints...), "\n")
}

// want complains of another state, or of an answer without says.
func (w *syncs) want(at time.Time, state string, says ...string) {
	w.t.Helper()
	got, said := w.at(at)
	if got != state {
		w.t.Errorf("restored as of %s it is %q, not %q; it says\n%s", at, got, state, said)
	}
	for _, s := range says {
		if !strings.Contains(said, s) {
			w.t.Errorf("restored as of %s it says %q, without %q", at, said, s)
		}
	}
}

// A restore at a time has what the last sync until then had, whatever became of it since.
func TestRestoreAtSync(t *testing.T) {
	ctx := t.Context()
	w := newSyncs(t)
	never := w.clock.at.Add(-time.Hour)
	early := w.past()
	w.good("main", "good")
	good := mustHead(t, w.repo, "main")
	keptOK(t, w.repo.CreateBranch(ctx, "br", good, false))
	w.good("br", "own")
	own := mustHead(t, w.repo, "br")
	w.tag("v1")
	w.row("main")
	w.sync()
	then := w.past()
	c, err := history.GetCommit(ctx, w.repo.Store(), good)
	keptOK(t, err)
	keptOK(t, w.repo.ResetHard(ctx, "main", c.Parents[0]))
	keptOK(t, w.repo.DeleteBranch(ctx, "br", "main", true))
	keptOK(t, w.repo.DeleteTag(ctx, "v1"))
	w.sync()
	if text := w.sync(); !strings.Contains(text, "Nothing is new") {
		t.Errorf("a sync of nothing new says %q", text)
	}
	later := w.past()
	check := func() {
		t.Helper()
		w.want(then, "br=own main=good+ tag v1", "as of the sync of 2026-03-01 10:0")
		w.want(later, "main=table")
		w.want(time.Time{}, "main=table")
		// Before the first sync histories are all that is known, and of what that sync had.
		w.want(early, "br=table main=table tag v1", "the backup remembers no sync of that time or before", "moved back between then and the first sync")
		w.want(never, "", "no commit at or before")
		for _, rev := range []string{own.Full(), "br", "v1"} {
			if state, said := w.restored(rev); !strings.HasPrefix(state, "main=") || strings.HasPrefix(state, "main=table") {
				t.Errorf("restored as of %s it is %q: %s", rev, state, said)
			}
		}
	}
	check()
	// A collection takes nothing of it, a verification reads it.
	for range 2 {
		_, err := (&GC{Remote: "/saved", Grace: "0s"}).Run(ctx, w.scope)
		keptOK(t, err)
	}
	check()
	res, err := (&Backup{Path: "verify", Args: []string{"/saved"}}).Run(ctx, w.scope)
	keptOK(t, err)
	if text := strings.Join(res.Lines, ""); text != "1 ref and 2 syncs verified: no problems found" {
		t.Errorf("verify says %q", text)
	}
	log, err := (&BackupLog{Of: "/saved"}).Run(ctx, w.scope)
	keptOK(t, err)
	if len(log.Rows) != 2 || fmt.Sprint(log.Rows[0][1:], log.Rows[1][1:]) != "[1 0 0] [2 1 1]" {
		t.Errorf("the log is %v", log.Rows)
	}
	// The time that the log writes is that of the sync.
	state, said := w.restored(strings.Split(log.Lines[1], "  ")[0])
	if state != "br=own main=good+ tag v1" {
		t.Errorf("restored as of a line of the log it is %q: %s", state, said)
	}
	// What is forgotten is garbage then.
	for _, c := range []*BackupForget{{}, {Keep: "all 1h", Before: "2026-01-01"}, {Keep: "all"}, {Before: "x"}} {
		c.Of = "/saved"
		if _, err := c.Run(ctx, w.scope); !errs.Is(err, errs.Invalid) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for _, dry := range []bool{true, false} {
		if res, err = (&BackupForget{Of: "/saved", Before: "2030-01-01", DryRun: dry}).Run(ctx, w.scope); err != nil || fmt.Sprint(res.Rows[0][1], res.Rows[1][1]) != fmt.Sprint(Truth(true), Truth(false)) {
			t.Errorf("%v %v", res, err)
		}
	}
	w.want(then, "main=table", "the backup remembers no sync")
	w.want(later, "main=table", "as of the sync")
	// An erasure is pushed: nothing of before is named by anything.
	_, err = (&Push{Mirror: true, Anew: true, NoLease: true, Remote: "/saved"}).Run(ctx, w.scope)
	keptOK(t, err)
	if log, err = (&BackupLog{Of: "/saved"}).Run(ctx, w.scope); err != nil || len(log.Rows) != 0 {
		t.Errorf("the log is %v, %v", log, err)
	}
	if text := w.sync(); !strings.Contains(text, "Backed up") {
		t.Errorf("a sync that is to be remembered says %q", text)
	}
}

// Between two syncs the times of commits tell more: what went forward is there as of the time, what was rewritten is what it was at the sync before.
func TestRestoreBetweenSyncs(t *testing.T) {
	ctx := t.Context()
	w := newSyncs(t)
	w.good("main", "one")
	one := mustHead(t, w.repo, "main")
	for _, b := range []string{"gone", "rewritten", "still"} {
		keptOK(t, w.repo.CreateBranch(ctx, b, one, false))
	}
	w.good("rewritten", "was")
	w.row("still")
	w.row("main")
	w.sync()
	synced := w.past()
	w.commit("main", "two")
	w.good("gone", "lost")
	w.tag("v2")
	keptOK(t, w.repo.ResetHard(ctx, "rewritten", one))
	w.good("rewritten", "now")
	keptOK(t, w.repo.CreateBranch(ctx, "fresh", mustHead(t, w.repo, "main"), false))
	w.good("fresh", "new")
	between := w.past()
	w.good("main", "three")
	w.tag("v3")
	w.row("main")
	keptOK(t, w.repo.CreateBranch(ctx, "plain", one, false)) // of which nobody can say when it was made
	keptOK(t, w.repo.DeleteBranch(ctx, "gone", "main", true))
	w.sync()
	after := w.past()
	w.want(synced, "gone=one main=one+ rewritten=was still=one+", "as of the sync of")
	w.want(between, "fresh=new gone=one main=two rewritten=was still=one+ tag v2", "with what was committed from then to", "uncommitted changes of main are not there")
	w.want(after, "fresh=new main=three+ plain=one rewritten=now still=one+ tag v2 tag v3")
	if _, said := w.at(after); strings.Contains(said, "not there") || strings.Contains(said, "with what") {
		t.Errorf("of the last sync it is said: %s", said)
	}
}

// A backup of a program that remembered no syncs begins to do so with the next one, also where nothing is new.
func TestSyncRemembersOldBackup(t *testing.T) {
	ctx := t.Context()
	w := newSyncs(t)
	w.sync()
	_, err := (&Push{Mirror: true, Anew: true, NoLease: true, Remote: "/saved"}).Run(ctx, w.scope) // which leaves no snapshot
	keptOK(t, err)
	w.sync()
	w.sync()
	log, err := (&BackupLog{Of: "/saved"}).Run(ctx, w.scope)
	if err != nil || len(log.Rows) != 1 {
		t.Errorf("the log is %v, %v", log, err)
	}
	w.good("main", "more")
	res, err := (&Backup{Path: "sync-url", Args: []string{"/saved"}, Anew: true}).Run(ctx, w.scope)
	keptOK(t, err)
	if text := strings.Join(res.Hints, ""); !strings.Contains(text, "1 sync of before still has what was there then") {
		t.Errorf("a sync of all anew says %q", text)
	}
	if _, err := (&BackupLog{Of: "nightly"}).Run(ctx, w.scope); !errs.Is(err, errs.NotFound) {
		t.Errorf("the log of no backup: %v", err)
	}
}
