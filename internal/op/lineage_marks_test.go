package op

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/value"
	"github.com/stemmadb/stemma/internal/vfs"
)

// countedReads counts the chunks that are read.
type countedReads struct {
	chunk.Reader
	n *int
}

func (c countedReads) Get(ctx context.Context, h hash.Hash) ([]byte, error) {
	*c.n++
	return c.Reader.Get(ctx, h)
}

// marksWorld is databases in one file system, opened one at a time.
type marksWorld struct {
	t    *testing.T
	fs   vfs.FS
	temp string
}

func (w *marksWorld) open(dir string) *Scope {
	w.t.Helper()
	r, err := repo.Open(w.t.Context(), w.fs, dir, repo.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	return &Scope{Repo: r, FS: w.fs, Dir: dir, Settings: Settings{Local: filepath.Join(w.temp, filepath.Base(dir))}, Clock: clock.System{}}
}

func (w *marksWorld) close(s *Scope) {
	w.t.Helper()
	if err := s.Repo.Close(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *marksWorld) run(s *Scope, v Op) {
	w.t.Helper()
	if _, err := v.Run(w.t.Context(), s); err != nil {
		w.t.Fatalf("%T: %v", v, err)
	}
}

// reads is how many chunks it takes a database that has just been opened to find the run of a table.
func (w *marksWorld) reads(dir, table, want string) (n int) {
	w.t.Helper()
	s := w.open(dir)
	defer w.close(s)
	head, _ := s.Repo.BranchHead("main")
	found, ok, err := s.Repo.Lineage().Producers(w.t.Context(), countedReads{s.Repo.Store(), &n}, head, table)
	if err != nil || !ok || len(found) != 1 || found[0].Run != want || found[0].How != lineage.ByHistory {
		w.t.Fatalf("%s in %s: %v, %v, %v", table, dir, found, ok, err)
	}
	return n
}

// settled is reads when what is made in the background has been made, for which each opening gives some time.
func (w *marksWorld) settled(dir, table, want string) (n int) {
	w.t.Helper()
	for range 100 {
		if n = w.reads(dir, table, want); n <= 3*lineage.MarksApart {
			break
		}
	}
	return n
}

// TestMarksWhereTheyAreMissing asks for what changed long ago in databases that have no marks: a clone, one whose file is lost, a clone of the
// newest commits only. Those who open the database each time for one question need not go all the way more than a few times. When the rest of
// the history comes, what is before is found as well, and by marks.
func TestMarksWhereTheyAreMissing(t *testing.T) {
	ctx := t.Context()
	w := &marksWorld{t: t, fs: vfs.NewMem(), temp: t.TempDir()}
	by := history.Signature{Name: "Ada", Email: "ada@example.org"}
	if err := repo.Init(ctx, w.fs, "/a", repo.InitOptions{Author: by, Committer: by}); err != nil {
		t.Fatal(err)
	}
	a := w.open("/a")
	whole := value.Type{Kind: value.KindInt64}
	sch := &schema.Schema{Collation: value.CollationUtf8mb40900AiCi}
	sch.Columns = []schema.Column{{ID: schema.AssignID("id", whole, nil, nil), Name: "id", Type: whole}}
	sch.PrimaryKey = []schema.IndexColumn{{Column: sch.Columns[0].ID}}
	const n, depth = 4 * lineage.MarksApart, 3 * lineage.MarksApart
	uids := map[string]string{}
	for i := range n {
		ctx := ctx
		if name := map[int]string{1: "first", n - depth + 100: "within"}[i]; name != "" {
			uids[name], _ = lineage.Named(name)
			ctx = lineage.With(ctx, lineage.Current{Run: uids[name]})
			tx, err := a.Repo.Begin(ctx, "main")
			if err != nil {
				t.Fatal(err)
			}
			if err := tx.CreateTable(ctx, name, sch); err != nil {
				t.Fatal(err)
			}
			if err := tx.Commit(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := a.Repo.Commit(ctx, repo.CommitOptions{Branch: "main", Message: fmt.Sprint(i), Author: by, AllowEmpty: true, AddNew: true}); err != nil {
			t.Fatal(err)
		}
	}
	w.run(a, &Remote{Args: []string{"add", "origin", "/rem"}})
	w.run(a, &Push{Remote: "origin", Refs: []string{"main"}})
	w.close(a)

	if err := w.fs.Remove("/a/.stemma/marks"); err != nil {
		t.Fatal(err)
	}
	if got := w.settled("/a", "first", uids["first"]); got > 3*lineage.MarksApart {
		t.Errorf("a database whose marks were lost reads %d chunks for %d commits", got, n)
	}

	w.run(&Scope{FS: w.fs, Dir: "/", Clock: clock.System{}}, &Clone{URL: "/rem", Dir: "/b", Name: "origin", Depth: depth})
	if got := w.settled("/b", "within", uids["within"]); got > 3*lineage.MarksApart {
		t.Errorf("a clone of %d commits reads %d chunks", depth, got)
	}
	b := w.open("/b")
	head, _ := b.Repo.BranchHead("main")
	if found, _, err := b.Repo.Lineage().Producers(ctx, b.Repo.Store(), head, "first"); err == nil {
		t.Errorf("what changed before the history that is here: %v", found)
	}
	w.run(b, &Remote{Args: []string{"add", "origin", "/rem"}})
	w.run(b, &Fetch{Whole: true})
	w.close(b)
	if got := w.settled("/b", "first", uids["first"]); got > 3*lineage.MarksApart {
		t.Errorf("a clone that was completed reads %d chunks", got)
	}
}
