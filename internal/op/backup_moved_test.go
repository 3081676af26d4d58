package op

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/remote"
	"github.com/stemmadb/stemma/internal/repo"
	remotesync "github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/vfs"
)

// TestBackupMoved: uncommitted changes that a backup holds are not lost where a branch is moved at that moment, nor where a program has moved it that
// knows of none.
func TestBackupMoved(t *testing.T) {
	ctx, fs := t.Context(), vfs.NewMem()
	keptWorld(t, fs)
	settings := filepath.Join(t.TempDir(), "config")
	db, err := repo.Open(ctx, fs, "/db", repo.Options{})
	keptOK(t, err)
	defer db.Close(ctx)
	dirty := &Scope{Repo: db, FS: fs, Dir: "/db", Clock: tick{}, Settings: Settings{Local: settings}}
	sync := func() error {
		_, err := (&Backup{Path: "sync-url", Args: []string{"/saved"}}).Run(ctx, dirty)
		return err
	}
	change := func(r *repo.Repo, n int64) {
		tx, err := r.Begin(ctx, "main")
		keptOK(t, err)
		keptOK(t, countIn(ctx, tx, n, false))
		keptOK(t, tx.Commit(ctx))
	}
	keptOK(t, sync())
	clone := filepath.Join(t.TempDir(), "clone") // its settings are not in fs
	_, err = (&Clone{Name: "origin", URL: "/saved", Dir: clone, Most: 1}).Run(ctx, &Scope{FS: fs, Dir: "/", Clock: tick{}, Settings: Settings{Local: settings + "2"}})
	keptOK(t, err)
	other, err := repo.Open(ctx, fs, clone, repo.Options{})
	keptOK(t, err)
	defer other.Close(ctx)
	change(other, 1)
	c, err := other.Commit(ctx, repo.CommitOptions{Branch: "main", Message: "theirs", Author: keptBy, All: true})
	keptOK(t, err)

	at, err := remote.Open(ctx, "/saved", remote.Options{FS: fs})
	keptOK(t, err)
	seen, err := at.See(ctx) // a push that has looked before there were uncommitted changes
	keptOK(t, err)
	change(db, 2)
	keptOK(t, sync())
	push := func(seen *remotesync.Seen, wants ...remotesync.Want) remotesync.Status {
		p := &remotesync.Push{Remote: at, Store: other.Store(), FS: fs, Temp: other.TempDir(), Seen: seen}
		out, _, err := p.Run(ctx, wants)
		keptOK(t, err)
		return out[0].Status
	}
	main := remotesync.Want{Name: remotesync.Heads + "main", Commit: c.ID}
	if s := push(seen, main); s != remotesync.Raced {
		t.Errorf("a push that has not seen the changes has status %d, want %d", s, remotesync.Raced)
	}
	if s := push(nil, main); s != remotesync.BackedUp {
		t.Errorf("a push that has seen them has status %d, want %d", s, remotesync.BackedUp)
	}

	// Who says of the changes that they stay moves the branch, as programs do that do not look.
	refs, err := at.Refs(ctx)
	keptOK(t, err)
	work := refs[remotesync.Work+"main"].Commit
	if s := push(nil, main, remotesync.Want{Name: remotesync.Work + "main", Commit: work}); s != remotesync.Forwarded {
		t.Fatalf("the push has status %d: the test does not test", s)
	}
	restored := filepath.Join(t.TempDir(), "again")
	res, err := (&Restore{URL: "/saved", Dir: restored}).Run(ctx, &Scope{FS: fs, Dir: "/", Clock: tick{}, Settings: Settings{Local: settings + "3"}})
	keptOK(t, err)
	if len(res.Hints) != 1 || !strings.Contains(res.Hints[0], "they are on the branch 'main-uncommitted'") {
		t.Errorf("a restore says %q", res.Hints)
	}
	again, err := repo.Open(ctx, fs, restored, repo.Options{})
	keptOK(t, err)
	defer again.Close(ctx)
	for branch, want := range map[string]int64{"main": 1, "main-uncommitted": 1} {
		if v, _ := counters(t, again, branch); v != want {
			t.Errorf("%s has the sum %d, want %d", branch, v, want)
		}
	}
	head := func(r *repo.Repo, branch string) history.CommitID {
		id, _ := r.BranchHead(branch)
		return id
	}
	if head(again, "main") != c.ID || head(again, "main-uncommitted") != head(db, "main") {
		t.Errorf("the branches are at %s and %s", head(again, "main"), head(again, "main-uncommitted"))
	}
	_, work, err = again.WorkCommit(ctx, "main-uncommitted")
	keptOK(t, err)
	if work.IsZero() {
		t.Error("the uncommitted changes are committed")
	}
}

// TestBackupOverKept: a backup of uncommitted changes to a place where others work with --store, or push, takes nothing from them.
func TestBackupOverKept(t *testing.T) {
	ctx, fs := t.Context(), vfs.NewMem()
	keptWorld(t, fs)
	settings := filepath.Join(t.TempDir(), "config")
	db, err := repo.Open(ctx, fs, "/db", repo.Options{})
	keptOK(t, err)
	defer db.Close(ctx)
	change := func(r *repo.Repo, n int64) {
		tx, err := r.Begin(ctx, "main")
		keptOK(t, err)
		keptOK(t, countIn(ctx, tx, n, false))
		keptOK(t, tx.Commit(ctx))
	}
	m := keptMachine(t, fs, "m", 0, nil)
	change(m, 1)
	change(db, 2)
	at, err := remote.Open(ctx, "/rem", remote.Options{FS: fs})
	keptOK(t, err)
	before, err := at.Refs(ctx)
	keptOK(t, err)
	if x := before[remotesync.Heads+"main"]; x.Work.IsZero() {
		t.Fatal("there are no uncommitted changes at the place: the test does not test")
	}
	head, work, err := db.WorkCommit(ctx, "main")
	keptOK(t, err)
	p := &remotesync.Push{Remote: at, Store: db.Store(), FS: fs, Temp: db.TempDir(), Atomic: true}
	out, _, err := p.Run(ctx, []remotesync.Want{
		{Name: remotesync.Heads + "main", Commit: head, Force: true},
		{Name: remotesync.Work + "main", Commit: work, Force: true},
	})
	keptOK(t, err)
	if out[0].Status != remotesync.Uncommitted || out[1].Status != remotesync.Together {
		t.Errorf("a push of uncommitted changes over others' has status %d and %d", out[0].Status, out[1].Status)
	}
	s := &Scope{Repo: db, FS: fs, Dir: "/db", Clock: tick{}, Settings: Settings{Local: settings}}
	for _, force := range []bool{false, true} {
		_, err := (&Backup{Path: "sync-url", Args: []string{"/rem"}, Force: force}).Run(ctx, s)
		if !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "worked on where it is") {
			t.Errorf("a backup over others' uncommitted changes, force %v: %v", force, err)
		}
	}
	after, err := at.Refs(ctx)
	keptOK(t, err)
	if len(after) != len(before) || !reflect.DeepEqual(after[remotesync.Heads+"main"], before[remotesync.Heads+"main"]) {
		t.Errorf("the refs are %v, and were %v", after, before)
	}

	// A place that is a remote of the database, where nobody has uncommitted changes.
	_, err = db.Commit(ctx, repo.CommitOptions{Branch: "main", Message: "two", Author: keptBy, All: true})
	keptOK(t, err)
	_, err = (&Remote{Args: []string{"add", "shared", "/shared"}}).Run(ctx, s)
	keptOK(t, err)
	backup := &Backup{Path: "sync-url", Args: []string{"/shared"}}
	_, err = backup.Run(ctx, s)
	keptOK(t, err)
	change(db, 3)
	if _, err := backup.Run(ctx, s); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "the remote 'shared'") {
		t.Errorf("a backup of uncommitted changes to a remote of the database: %v", err)
	}
	place, err := remote.Open(ctx, "/shared", remote.Options{FS: fs})
	keptOK(t, err)
	if refs, err := place.Refs(ctx); err != nil || len(refs) == 0 || !refs[remotesync.Work+"main"].IsZero() {
		t.Errorf("the place has %v, %v", refs, err)
	}
	backup.Force = true
	_, err = backup.Run(ctx, s)
	keptOK(t, err)
}
