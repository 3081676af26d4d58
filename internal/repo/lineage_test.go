package repo_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/vfs"
)

// runID is the id of a run by a letter.
func runID(letter string) string {
	uid, _ := lineage.Named("run " + letter)
	return uid
}

// lines is a database whose commits are made by runs.
type lines struct {
	t *testing.T
	r *repo.Repo
}

// write puts rows {id: age} into a table, which is made when it is not there, and takes all others away; "" for run is no run.
func (l lines) write(run, branch, name string, rows map[int64]int64) history.CommitID {
	l.t.Helper()
	ctx := l.t.Context()
	tx, err := l.r.Begin(ctx, branch)
	must(l.t, err)
	if _, _, ok, err := tx.Table(ctx, name); err != nil {
		l.t.Fatal(err)
	} else if ok {
		must(l.t, tx.DropTable(ctx, name))
	}
	must(l.t, tx.CreateTable(ctx, name, people()))
	e, err := tx.Editor(ctx, name)
	must(l.t, err)
	for id, age := range rows {
		must(l.t, e.Insert(ctx, person(id, "", age)))
	}
	must(l.t, tx.Commit(ctx))
	return l.commit(run, branch)
}

func (l lines) commit(run, branch string) history.CommitID {
	l.t.Helper()
	ctx := context.Context(l.t.Context())
	if run != "" {
		ctx = lineage.With(ctx, lineage.Current{Run: runID(run)})
	}
	c, err := l.r.Commit(ctx, repo.CommitOptions{Branch: branch, Message: "by " + run, AddNew: true, Author: signature(), Committer: signature()})
	must(l.t, err)
	return c.ID
}

func (l lines) branch(name, from string) {
	l.t.Helper()
	head, _ := l.r.BranchHead(from)
	must(l.t, l.r.CreateBranch(l.t.Context(), name, head, false))
}

func (l lines) merge(opt repo.MergeOptions) *repo.Merged {
	l.t.Helper()
	opt.Author, opt.Committer, opt.Message = signature(), signature(), "merge"
	if opt.Source != "" {
		opt.Kind = history.MergeBranch
		opt.Theirs, _ = l.r.BranchHead(opt.Source)
	}
	m, err := l.r.Merge(l.t.Context(), opt)
	must(l.t, err)
	return m
}

// made checks who made a table at a branch's head: letters of runs with how they were found, sorted.
func (l lines) made(branch, name, want string) {
	l.t.Helper()
	head, _ := l.r.BranchHead(branch)
	found, ok, err := l.r.Lineage().Producers(l.t.Context(), l.r.Store(), head, name)
	must(l.t, err)
	if !ok {
		l.t.Fatalf("%s has no table %s", branch, name)
	}
	var got []string
	for _, p := range found {
		letter := "?"
		for _, x := range "ABCDEF" {
			if runID(string(x)) == p.Run {
				letter = string(x)
			}
		}
		got = append(got, letter+" "+p.How)
	}
	slices.Sort(got)
	if g := strings.Join(got, ", "); g != want {
		l.t.Errorf("%s on %s was made by %s, want %s", name, branch, g, want)
	}
}

func TestProducers(t *testing.T) {
	one, two, three := map[int64]int64{1: 1}, map[int64]int64{1: 2}, map[int64]int64{1: 3}
	for _, c := range []struct {
		name string
		do   func(l lines)
	}{
		{"content that comes again", func(l lines) {
			l.write("A", "main", "t", one)
			l.write("B", "main", "t", two)
			l.write("C", "main", "t", one)
			l.made("main", "t", "C history")
			l.write("D", "main", "u", one) // a commit that does not touch the table
			l.made("main", "t", "C history")
		}},
		{"two runs that write equal tables", func(l lines) {
			l.write("A", "main", "base", one)
			l.branch("b", "main")
			l.write("B", "main", "t", two)
			l.write("C", "b", "t", two)
			l.made("main", "t", "B history")
			l.made("b", "t", "C history")
			l.merge(repo.MergeOptions{Branch: "main", Source: "b"})
			l.made("main", "t", "B history, C history")
		}},
		{"a merge of what two runs changed", func(l lines) {
			l.write("A", "main", "t", map[int64]int64{1: 1, 2: 2})
			l.branch("b", "main")
			l.write("B", "main", "t", map[int64]int64{1: 10, 2: 2})
			l.write("C", "b", "t", map[int64]int64{1: 1, 2: 20})
			l.merge(repo.MergeOptions{Branch: "main", Source: "b"})
			l.made("main", "t", "B history, C history")
			l.write("D", "main", "other", one)
			l.made("main", "t", "B history, C history")
		}},
		{"a merge that takes one side", func(l lines) {
			l.write("A", "main", "t", one)
			l.branch("b", "main")
			l.write("B", "b", "t", two)
			l.write("C", "main", "other", one)
			l.merge(repo.MergeOptions{Branch: "main", Source: "b"})
			l.made("main", "t", "B history")
			must(l.t, l.r.DeleteBranch(l.t.Context(), "b", "", true))
			l.made("main", "t", "B history")
		}},
		{"one side there and back", func(l lines) {
			l.write("A", "main", "t", one)
			l.branch("b", "main")
			l.write("B", "b", "t", two)
			l.write("C", "b", "t", one)
			l.write("D", "main", "other", one)
			l.merge(repo.MergeOptions{Branch: "main", Source: "b"})
			l.made("main", "t", "C history")
		}},
		{"a squash", func(l lines) {
			l.write("A", "main", "t", one)
			l.branch("b", "main")
			l.write("B", "b", "t", two)
			l.write("C", "b", "t", three)
			l.merge(repo.MergeOptions{Branch: "main", Source: "b", Squash: true})
			l.commit("", "main")
			l.made("main", "t", "C hash")
		}},
		{"a fast forward", func(l lines) {
			l.write("A", "main", "t", one)
			l.branch("b", "main")
			l.write("B", "b", "t", two)
			l.merge(repo.MergeOptions{Branch: "main", Source: "b"})
			l.made("main", "t", "B history")
		}},
		{"a revert", func(l lines) {
			l.write("A", "main", "t", one)
			undone := l.write("B", "main", "t", two)
			l.merge(repo.MergeOptions{Branch: "main", Kind: history.Revert, Theirs: undone})
			l.made("main", "t", "A hash") // nobody said who reverted
		}},
		{"a cherry-pick", func(l lines) {
			l.write("A", "main", "t", map[int64]int64{1: 1, 2: 2})
			l.branch("b", "main")
			picked := l.write("B", "b", "t", map[int64]int64{1: 10, 2: 2})
			l.write("C", "main", "t", map[int64]int64{1: 1, 2: 20})
			l.merge(repo.MergeOptions{Branch: "main", Kind: history.CherryPick, Theirs: picked})
			l.made("main", "t", "B history")
		}},
		{"another name", func(l lines) {
			l.write("A", "main", "t", one)
			tx := begin(l.t, l.r)
			must(l.t, tx.RenameTable(l.t.Context(), "t", "renamed"))
			must(l.t, tx.Commit(l.t.Context()))
			l.commit("B", "main")
			l.made("main", "renamed", "A history")
		}},
		{"no run", func(l lines) {
			l.write("", "main", "t", one)
			l.made("main", "t", "? unknown")
		}},
		{"an empty table under another name", func(l lines) {
			l.write("A", "main", "t", nil)
			l.write("", "main", "u", nil)
			l.made("main", "u", "? unknown")
			l.write("B", "main", "w", one)
			l.write("", "main", "v", one)
			l.made("main", "v", "B hash")
		}},
		{"a table that is emptied again", func(l lines) {
			l.write("A", "main", "t", one)
			l.write("B", "main", "t", nil)
			l.write("C", "main", "t", two)
			l.write("", "main", "t", nil)
			l.made("main", "t", "? unknown")
		}},
		{"a squash that empties a table", func(l lines) {
			l.write("A", "main", "t", one)
			l.branch("b", "main")
			l.write("B", "b", "t", nil)
			l.merge(repo.MergeOptions{Branch: "main", Source: "b", Squash: true})
			l.commit("", "main")
			l.made("main", "t", "B hash")
		}},
		{"an amended commit", func(l lines) {
			l.write("A", "main", "t", one)
			_, err := l.r.Commit(l.t.Context(), repo.CommitOptions{Branch: "main", Amend: true, Message: "better", Author: signature(), Committer: signature()})
			must(l.t, err)
			l.made("main", "t", "A history")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, _ := newRepo(t)
			defer func() {
				if ps, err := problems(context.Background(), r); err != nil || len(ps) > 0 {
					t.Errorf("fsck: %v, %v", ps, err)
				}
			}()
			c.do(lines{t, r})
		})
	}
}

func TestRuns(t *testing.T) {
	r, fs := newRepo(t)
	ctx := t.Context()
	run, err := r.StartRun(ctx, lineage.Run{UID: runID("A"), System: "kedro", ExternalID: "x", Job: "p"})
	must(t, err)
	if run.State != lineage.Running || run.Started.IsZero() {
		t.Errorf("%+v", run)
	}
	if _, err = r.StartRun(ctx, lineage.Run{UID: runID("A"), System: "kedro", ExternalID: "x"}); err != nil {
		t.Errorf("a retry: %v", err)
	}
	if _, err = r.StartRun(ctx, lineage.Run{UID: runID("A"), System: "kedro", ExternalID: "y"}); !errs.Is(err, errs.Exists) {
		t.Errorf("two runs with one id: %v", err)
	}
	if _, err = r.EndRun(ctx, runID("B"), func(*lineage.Run) {}); !errs.Is(err, errs.NotFound) {
		t.Errorf("an unknown run: %v", err)
	}
	lines{t, r}.write("A", "main", "t", map[int64]int64{1: 1})
	lines{t, r}.write("A", "main", "t", map[int64]int64{1: 2})
	_, err = r.EndRun(ctx, runID("A"), func(x *lineage.Run) { x.State = lineage.Complete })
	must(t, err)
	must(t, r.Checkpoint(ctx))
	lines{t, r}.write("B", "main", "t", map[int64]int64{1: 3})
	must(t, r.Close(ctx))
	r = reopen(t, fs)
	lines{t, r}.write("A", "main", "t", map[int64]int64{1: 4})
	outs, err := r.Lineage().OutputsOf(ctx, runID("A"))
	must(t, err)
	got := ""
	for _, o := range outs {
		got += fmt.Sprint(o.Seq, " ")
	}
	if got != "0 1 2 " {
		t.Errorf("numbers of outputs: %s", got)
	}
	if a, _, err := r.Lineage().Run(ctx, runID("A")); err != nil || a.State != lineage.Complete || a.Job != "p" {
		t.Errorf("%+v, %v", a, err)
	}
}

// TestCommitAndOutputsTogether cuts the power before operations on files: a commit of a run is there with its outputs or not at all.
func TestCommitAndOutputsTogether(t *testing.T) {
	ctx := context.Background()
	mem := vfs.NewMem()
	must(t, repo.Init(ctx, mem, "/db", repo.InitOptions{Author: signature(), Committer: signature()}))
	rng := rand.New(rand.NewPCG(3, 5))
	var mu sync.Mutex
	watch, seen := false, map[int]int{} // by the number of commits that are there
	hooked := vfs.WithHook(mem, func(op vfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		if op.Kind == vfs.OpRead || !watch || t.Failed() {
			return nil
		}
		n, err := together(ctx, mem.CrashClone(rng))
		if err != nil {
			t.Error(err)
		}
		seen[n]++
		return nil
	})
	r, err := repo.Open(ctx, hooked, "/db", repo.Options{Clock: testClock})
	must(t, err)
	defer r.Close(ctx)
	l := lines{t, r}
	l.write("A", "main", "t", map[int64]int64{1: 0})
	mu.Lock()
	watch = true
	mu.Unlock()
	for i := range int64(4) {
		l.write("A", "main", "t", map[int64]int64{1: i + 1})
	}
	mu.Lock()
	watch = false
	mu.Unlock()
	n, err := together(ctx, mem.CrashClone(rng))
	if err != nil || n != 5 {
		t.Errorf("%d commits in the end, %v", n, err)
	}
	if len(seen) < 4 {
		t.Errorf("crashes by commits that were there: %v: the test does not test", seen)
	}
}

// together counts the commits of runs in what a crash left; it is an error when one has no outputs or outputs have none.
func together(ctx context.Context, left vfs.FS) (int, error) {
	r, err := repo.Open(ctx, left, "/db", repo.Options{Clock: testClock})
	if err != nil {
		return 0, err
	}
	defer r.Close(ctx)
	head, _ := r.BranchHead("main")
	w, err := history.Walk(ctx, r.Store(), []history.CommitID{head}, nil)
	if err != nil {
		return 0, err
	}
	n := 0
	for {
		c, err := w.Next(ctx)
		if err != nil {
			return 0, err
		}
		if c == nil {
			break
		}
		if c.Message == repo.InitMessage {
			continue
		}
		n++
		outs, err := r.Lineage().OutputsIn(ctx, c.ID.Full())
		if err != nil {
			return 0, err
		}
		if len(outs) != 1 {
			return 0, fmt.Errorf("commit %s has %d outputs", c.ID, len(outs))
		}
	}
	outs, err := r.Lineage().OutputsOf(ctx, runID("A"))
	if err == nil && len(outs) != n {
		err = fmt.Errorf("%d outputs for %d commits", len(outs), n)
	}
	if ps, e := problems(ctx, r); err == nil && (e != nil || len(ps) > 0) {
		err = fmt.Errorf("fsck: %v, %v", ps, e)
	}
	return n, err
}

// TestMemory asks for the maker of a table which only the first of many commits changed, again and from later commits: the history is not
// walked anew, and the answer is that of a database which remembers nothing.
func TestMemory(t *testing.T) {
	r, fs := newRepo(t)
	l := lines{t, r}
	l.write("A", "main", "old", map[int64]int64{1: 1})
	l.branch("b", "main")
	const n = 1500
	for i := range int64(n) {
		l.write("B", "main", "t", map[int64]int64{1: i})
	}
	l.made("main", "old", "A history")
	l.write("B", "main", "t", map[int64]int64{1: n})
	reads := 0
	count := counting{r.Store(), &reads}
	ask := func(rd chunk.Reader, branch string) string {
		t.Helper()
		head, _ := r.BranchHead(branch)
		found, _, err := r.Lineage().Producers(t.Context(), rd, head, "old")
		must(t, err)
		return fmt.Sprint(found)
	}
	first := ask(count, "main")
	if reads > 100 {
		t.Errorf("a commit more, and %d chunks are read", reads)
	}
	// What is remembered is of the history, not of the branch.
	l.write("C", "b", "old", map[int64]int64{1: 2})
	l.merge(repo.MergeOptions{Branch: "main", Source: "b"})
	l.made("main", "old", "C history")
	l.write("D", "main", "old", map[int64]int64{1: 1})
	l.made("main", "old", "D history")
	l.write("A", "main", "t", map[int64]int64{1: 1})
	l.made("main", "old", "D history")
	again, now := openAgain(t, r, fs), ""
	head, _ := again.BranchHead("main")
	id, err := again.Resolve(t.Context(), "HEAD~4", "main")
	must(t, err)
	reads = 0
	count = counting{again.Store(), &reads}
	for _, x := range []struct {
		at   history.CommitID
		want string
	}{{id, first}, {head, ""}} {
		found, _, err := again.Lineage().Producers(t.Context(), count, x.at, "old")
		must(t, err)
		if now = fmt.Sprint(found); x.want != "" && now != x.want {
			t.Errorf("remembered %s, walked anew %s", x.want, now)
		}
		if reads > n {
			t.Errorf("a database that has made marks reads %d chunks", reads)
		}
	}
}

// openAgain closes a database and opens it again.
func openAgain(t *testing.T, r *repo.Repo, fs vfs.FS) *repo.Repo {
	t.Helper()
	must(t, r.Close(t.Context()))
	return reopen(t, fs)
}

// counting counts the chunks that are read.
type counting struct {
	chunk.Reader
	n *int
}

// Get implements chunk.Reader.
func (c counting) Get(ctx context.Context, h hash.Hash) ([]byte, error) {
	*c.n++
	return c.Reader.Get(ctx, h)
}

// TestDown finds what was made from a table of one database, not from one of the same name and content in another.
func TestDown(t *testing.T) {
	r, _ := newRepo(t)
	ctx := t.Context()
	l := lines{t, r}
	l.write("", "main", "prices", map[int64]int64{1: 1})
	s, err := r.SnapshotWorking("main")
	must(t, err)
	v, _, _, err := s.Table(ctx, "prices")
	must(t, err)
	hash := v.Table.Hash().Full()
	for _, x := range []struct{ run, db, node string }{{"A", "db", "one"}, {"A", "db", "two"}, {"B", "elsewhere", "one"}} {
		must(t, r.RecordRun(ctx, runID(x.run), []lineage.Input{{DB: x.db, Table: "prices", Hash: hash, Node: x.node}},
			[]lineage.Output{{DB: x.db, Table: "made_" + x.node, After: strings.Repeat("1", 52), Node: x.node}}))
	}
	down := func(db string) (got []string) {
		d := &lineage.Dataset{DB: db, Table: "prices", Hash: hash}
		tr := &lineage.Tracer{Book: r.Lineage(), Read: r.Store(), DB: "db"}
		must(t, tr.Down(ctx, d))
		for _, s := range d.Runs {
			for _, x := range s.Datasets {
				got = append(got, fmt.Sprint(s.How, " ", x.DB, ".", x.Table))
			}
		}
		return got
	}
	if got := down("db"); !slices.Equal(got, []string{"history db.made_one", "history db.made_two"}) {
		t.Errorf("of db: %v", got)
	}
	if got := down("elsewhere"); !slices.Equal(got, []string{"history elsewhere.made_one"}) {
		t.Errorf("of elsewhere: %v", got)
	}
	// Under a name that no run knows the content is all there is to go by, and it says so.
	if got := down("renamed"); len(got) != 3 || !strings.HasPrefix(got[0], "hash ") {
		t.Errorf("of renamed: %v", got)
	}
}

// TestReadsOfAKilledOwner reads for a run and ends before the reads are in the tables: the next owner records them, each once, and counts
// those that were dropped.
func TestReadsOfAKilledOwner(t *testing.T) {
	ctx := context.Background()
	mem := vfs.NewMem()
	must(t, repo.Init(ctx, mem, "/db", repo.InitOptions{Author: signature(), Committer: signature()}))
	r := reopen(t, mem)
	lines{t, r}.write("A", "main", "t", map[int64]int64{1: 1})
	must(t, r.Close(ctx))

	var stopped atomic.Bool
	hooked := vfs.WithHook(mem, func(op vfs.Op) error {
		if stopped.Load() && op.Kind != vfs.OpRead && filepath.Base(op.Name) != "reads" {
			return errs.New(errs.Internal, "killed")
		}
		return nil
	})
	r, err := repo.Open(ctx, hooked, "/db", repo.Options{Clock: testClock})
	must(t, err)
	noted := lineage.With(ctx, lineage.Current{Run: runID("B"), Node: "n", Alias: "prices"})
	read := func(columns ...string) {
		s, err := r.SnapshotWorking("main")
		must(t, err)
		v, _, _, err := s.Table(ctx, "t")
		must(t, err)
		head, _ := r.BranchHead("main")
		r.NoteRead(noted, repo.Read{Table: "t", View: v, Commit: head, Working: true, Columns: columns, Query: "select …"})
	}
	read("id")
	must(t, r.FlushReads(ctx))
	stopped.Store(true)
	read("id")
	read("age")
	read()
	r.Close(ctx) // it cannot write any more
	stopped.Store(false)
	for range 2 { // once, whatever happens afterwards
		r = reopen(t, mem)
		must(t, r.FlushReads(ctx))
		ins, err := r.Lineage().InputsOf(ctx, runID("B"))
		must(t, err)
		var got []string
		for _, in := range ins {
			got = append(got, fmt.Sprint(in.Table, in.Columns, " ", in.Node, " ", in.Alias, " ", in.Hash != "", in.Commit != "", *in.Rows, " ", in.Query))
		}
		want := []string{`t["id"] n prices true true 1 select …`, `t["age"] n prices true true 1 select …`, "t n prices true true 1 select …"}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("reads %q, want %q", got, want)
		}
		must(t, r.Close(ctx))
	}
	if info, err := mem.Stat("/db/.stemma/reads"); err != nil || info.Size != 0 {
		t.Errorf("the file of reads is left with %d bytes, %v", info.Size, err)
	}
}

// TestJoinBesideCommits: transactions of a run that are committed with their version commit, while what is known of runs is joined, do not wait
// for each other for ever.
func TestJoinBesideCommits(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	r, _ := withPeople(t)
	_, err := r.Commit(ctx, repo.CommitOptions{Branch: "main", Message: "people", Author: signature(), AddNew: true})
	must(t, err)
	run := lineage.With(ctx, lineage.Current{Run: runID("A")})
	done := make(chan error, 1)
	go func() {
		var err error
		for i := 0; err == nil && i < 100; i++ {
			var tx *repo.Tx
			if tx, err = r.Begin(run, "main"); err != nil {
				break
			}
			if err = update(1, fmt.Sprint("n", i), int64(i))(edit(t, tx, "people")); err == nil {
				_, err = tx.CommitStaged(run, repo.CommitOptions{Message: "of a run", Author: signature(), All: true})
			}
		}
		done <- err
	}()
	for {
		select {
		case err := <-done:
			must(t, err)
			return
		case <-ctx.Done():
			t.Fatal("they wait for each other")
		default:
			_, err := r.JoinLineage(ctx, nil, history.CommitID{})
			must(t, err)
		}
	}
}
