package repo_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
)

func viewOf(name string) repo.Fragment {
	return repo.Fragment{Type: repo.ViewFragment, Name: name, Text: "CREATE VIEW " + name + " AS SELECT 1", Extra: `{"CreatedAt": 0}`}
}

// namesOf is the tables and views of main.
func namesOf(t *testing.T, r *repo.Repo) string {
	t.Helper()
	tx := begin(t, r)
	defer tx.Rollback()
	names, err := tx.TableNames(t.Context())
	must(t, err)
	views, err := repo.ViewsIn(t.Context(), tx)
	must(t, err)
	for i := range views {
		names = append(names, "view "+views[i].Name)
	}
	return strings.Join(names, " ")
}

// TestViewAndTableAtOnce: of a table and a view that are made under one name at the same time, in whatever way and order, the first is there and the second
// refused; others are not in each other's way.
func TestViewAndTableAtOnce(t *testing.T) {
	ctx := t.Context()
	makeTable := func(name string) func(tx *repo.Tx) error {
		return func(tx *repo.Tx) error { return tx.CreateTable(ctx, name, people()) }
	}
	makeView := func(name string) func(tx *repo.Tx) error {
		return func(tx *repo.Tx) error { return tx.CreateView(ctx, viewOf(name)) }
	}
	rename := func(tx *repo.Tx) error { return tx.RenameTable(ctx, "old", "X") }
	for _, before := range []bool{true, false} { // there is a view already
		for _, c := range []struct {
			what          string
			first, second func(tx *repo.Tx) error
			refused       bool
		}{
			{"a table, and a view", makeTable("x"), makeView("X"), true},
			{"a view, and a table", makeView("X"), makeTable("x"), true},
			{"a view, and a table that gets the name", makeView("x"), rename, true},
			{"a table that gets the name, and a view", rename, makeView("x"), true},
			{"a table, and a view of another name", makeTable("x"), makeView("y"), false},
			{"a view, and a table of another name", makeView("x"), makeTable("y"), false},
		} {
			r, _ := newRepo(t)
			tx := begin(t, r)
			must(t, tx.CreateTable(ctx, "old", people()))
			if before {
				must(t, tx.CreateView(ctx, viewOf("present")))
			}
			must(t, tx.Commit(ctx))
			one, two := begin(t, r), begin(t, r)
			must(t, c.first(one))
			must(t, c.second(two))
			must(t, one.Commit(ctx))
			was := namesOf(t, r)
			err := two.Commit(ctx)
			switch {
			case c.refused && (!errs.Is(err, errs.Exists) || !strings.Contains(err.Error(), "were made at the same time")):
				t.Errorf("%s (a view before: %v): %v", c.what, before, err)
			case c.refused && namesOf(t, r) != was:
				t.Errorf("%s (a view before: %v): %s", c.what, before, namesOf(t, r))
			case !c.refused && err != nil:
				t.Errorf("%s (a view before: %v): %v", c.what, before, err)
			}
			noFaults(t, r)
		}
	}
}

// TestViewAndTableOfOneName: where others have brought both, which a merge can, or who writes wants so, nobody is refused for it.
func TestViewAndTableOfOneName(t *testing.T) {
	ctx := t.Context()
	r, _ := newRepo(t)
	tx := begin(t, r)
	must(t, tx.CreateTable(ctx, "t", people()))
	must(t, tx.CreateView(ctx, viewOf("v")))
	must(t, tx.Commit(ctx))
	_, err := r.Commit(ctx, repo.CommitOptions{Branch: "main", Message: "base", Author: history.Signature{Name: "a", Email: "a@example.com"}, AddNew: true})
	must(t, err)
	head, _ := r.BranchHead("main")
	must(t, r.CreateBranch(ctx, "side", head, false))
	commit := func(branch string, change func(tx *repo.Tx) error) {
		t.Helper()
		tx, err := r.Begin(ctx, branch)
		must(t, err)
		must(t, change(tx))
		must(t, tx.Commit(ctx))
		_, err = r.Commit(ctx, repo.CommitOptions{Branch: branch, Message: "more", Author: history.Signature{Name: "a", Email: "a@example.com"}, AddNew: true})
		must(t, err)
	}
	commit("main", func(tx *repo.Tx) error { return tx.CreateTable(ctx, "x", people()) })
	commit("side", func(tx *repo.Tx) error { return tx.CreateView(ctx, viewOf("x")) })
	late, altered := begin(t, r), begin(t, r) // before the merge
	must(t, late.CreateView(ctx, viewOf("late")))
	addPeople(t, altered, "t", 0, 10)
	side, _ := r.BranchHead("side")
	_, err = r.Merge(ctx, repo.MergeOptions{Branch: "main", Theirs: side, Source: "side", Message: "both", Author: history.Signature{Name: "a", Email: "a@example.com"}})
	must(t, err)
	if got := namesOf(t, r); !strings.Contains(got, " x ") || !strings.HasSuffix(got, "view x") {
		t.Fatalf("the merge has brought %s", got)
	}
	must(t, late.Commit(ctx))
	must(t, altered.Commit(ctx))
	if got := namesOf(t, r); !strings.HasSuffix(got, "view late view v view x") {
		t.Errorf("there are %s", got)
	}
}

// TestViewBesideTable: a table that a process beside the owner has made is refused where the owner has made a view of its name meanwhile.
func TestViewBesideTable(t *testing.T) {
	ctx := t.Context()
	r, fs := newRepo(t)
	b := beside(t, fs, func(ctx context.Context, h *repo.Handover) error {
		tx := begin(t, r)
		must(t, tx.CreateView(ctx, viewOf("X")))
		must(t, tx.Commit(ctx))
		return r.Adopt(ctx, h)
	})
	tx := begin(t, b)
	must(t, tx.CreateTable(ctx, "x", people()))
	addPeople(t, tx, "x", 0, 10)
	if err := tx.Commit(ctx); !errs.Is(err, errs.Exists) {
		t.Errorf("the table was adopted: %v", err)
	}
	if got := namesOf(t, r); got != "dolt_schemas view X" {
		t.Errorf("there are %s", got)
	}
}
