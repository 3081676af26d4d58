package op

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
	"github.com/stemmadb/stemma/internal/vfs"
)

// rebaseWorld is a database in which the branch side has three commits and main one, each of a row of its own.
func rebaseWorld(t *testing.T, fs vfs.FS) *repo.Repo {
	t.Helper()
	ctx := context.Background()
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	by := history.Signature{Name: "Ada", Email: "ada@example.org"}
	ok(repo.Init(ctx, fs, "/db", repo.InitOptions{Author: by, Committer: by}))
	r, err := repo.Open(ctx, fs, "/db", repo.Options{})
	ok(err)
	whole := value.Type{Kind: value.KindInt64}
	s := &schema.Schema{Columns: []schema.Column{{ID: schema.AssignID("id", whole, nil, nil), Name: "id", Type: whole}}}
	s.PrimaryKey = []schema.IndexColumn{{Column: s.Columns[0].ID}}
	row := func(branch, message string, id int64) {
		tx, err := r.Begin(ctx, branch)
		ok(err)
		if id == 0 {
			ok(tx.CreateTable(ctx, "t", s))
		} else {
			var e *table.Editor
			e, err = tx.Editor(ctx, "t")
			ok(err)
			ok(e.Insert(ctx, []value.Cell{value.IntCell(id)}))
		}
		ok(tx.Commit(ctx))
		_, err = r.Commit(ctx, repo.CommitOptions{Branch: branch, Message: message, Author: by, AddNew: true})
		ok(err)
	}
	row("main", "table", 0)
	at, _ := r.BranchHead("main")
	ok(r.CreateBranch(ctx, "side", at, false))
	row("main", "m", 1)
	for i, m := range []string{"a", "b", "c"} {
		row("side", m, int64(10+i))
	}
	ok(r.CheckOut(ctx, "side"))
	return r
}

// messages are those of a branch, newest first, and the number of rows of its working table.
func messages(t *testing.T, r *repo.Repo, branch string) (string, uint64) {
	t.Helper()
	ctx := context.Background()
	head, _ := r.BranchHead(branch)
	w, err := history.Walk(ctx, r.Store(), []history.CommitID{head}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for {
		c, err := w.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if c == nil {
			break
		}
		out = append(out, c.Message)
	}
	s, err := r.SnapshotWorking(branch)
	if err != nil {
		t.Fatal(err)
	}
	v, _, _, err := s.Table(ctx, "t")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(out[:len(out)-1], " "), v.Count()
}

// TestRebaseCrash cuts the power at every sync of a rebase: what is found can be continued to the same history, or has not begun, or is
// done.
func TestRebaseCrash(t *testing.T) {
	ctx := context.Background()
	mem := vfs.NewMem()
	var clones []*vfs.Mem
	recording := false
	rng := rand.New(rand.NewPCG(7, 11))
	r := rebaseWorld(t, vfs.WithHook(mem, func(o vfs.Op) error {
		if recording && o.Kind == vfs.OpSync {
			clones = append(clones, mem.CrashClone(rng))
		}
		return nil
	}))
	defer r.Close(ctx)
	scope := func(r *repo.Repo) *Scope {
		return &Scope{Repo: r, FS: r.FS(), Dir: "/db", Author: Author{"Ada", "ada@example.org"}}
	}
	recording = true
	if _, err := (&Rebase{Args: []string{"main"}}).Run(ctx, scope(r)); err != nil {
		t.Fatal(err)
	}
	recording = false
	const want = "c b a m table"
	if got, rows := messages(t, r, "side"); got != want || rows != 4 {
		t.Fatalf("rebased to %q with %d rows", got, rows)
	}
	seen := map[string]int{}
	for i, fs := range clones {
		x, err := repo.Open(ctx, fs, "/db", repo.Options{})
		if err != nil {
			t.Fatalf("crash %d: %v", i, err)
		}
		before, rows := messages(t, x, "side")
		name := repo.RebaseBranch("side")
		switch _, begun := x.BranchHead(name); {
		case begun && x.CheckedOut() != name:
			seen["begun"]++
			if before != "c b a table" || rows != 3 {
				t.Errorf("crash %d: side is %q with %d rows", i, before, rows)
			}
			if err := x.CheckOut(ctx, name); err != nil {
				t.Fatal(err)
			}
			fallthrough
		case begun:
			seen["continued"]++
			if _, err := (&Rebase{Continue: true}).Run(ctx, scope(x)); err != nil {
				t.Errorf("crash %d: %v", i, err)
			}
		default:
			if _, err := (&Rebase{Continue: true}).Run(ctx, scope(x)); !errs.Is(err, errs.Invalid) {
				t.Errorf("crash %d: nothing to continue: %v", i, err)
			}
			if before != want {
				seen["not begun"]++
				if _, err := (&Rebase{Args: []string{"main"}}).Run(ctx, scope(x)); err != nil {
					t.Errorf("crash %d: %v", i, err)
				}
			}
		}
		if got, rows := messages(t, x, "side"); got != want || rows != 4 || x.CheckedOut() != "side" {
			t.Errorf("crash %d: rebased to %q with %d rows, on %s", i, got, rows, x.CheckedOut())
		}
		if err := x.Close(ctx); err != nil {
			t.Error(err)
		}
	}
	if seen["continued"] < 3 || len(clones) < 6 {
		t.Errorf("%d crashes, %v: too few", len(clones), seen)
	}
}
