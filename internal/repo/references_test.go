package repo_test

import (
	"context"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
	"github.com/stemmadb/stemma/internal/vfs"
)

// family makes tables parent (id, name) and child (id, mail, age), whose age refers to parent.id, with rows 1 and 2 of each.
func family(t *testing.T, index bool) *repo.Repo {
	ctx := context.Background()
	mem := vfs.NewMem()
	must(t, repo.Init(ctx, mem, "/db", repo.InitOptions{Author: signature(), Committer: signature()}))
	r, err := repo.Open(ctx, mem, "/db", repo.Options{})
	must(t, err)
	t.Cleanup(func() { must(t, r.Close(ctx)) })
	parent, child := people(), people()
	parent.Columns[0].Type.Kind = value.KindInt32
	child.References = []schema.ForeignKey{{Name: "fk", Columns: []uint64{child.Columns[2].ID}, Parent: "Parent", ParentColumns: []string{"ID"}}}
	if index {
		child.Indexes = append(child.Indexes, schema.Index{Name: "age", Columns: []schema.IndexColumn{{Column: child.Columns[2].ID}}})
	}
	tx := begin(t, r)
	must(t, tx.CreateTable(ctx, "parent", parent))
	must(t, tx.CreateTable(ctx, "child", child))
	for i := range int64(2) {
		must(t, edit(t, tx, "parent").Insert(ctx, person(i+1, "", 0)))
		must(t, edit(t, tx, "child").Insert(ctx, person(i+1, "", 1)))
	}
	must(t, tx.Commit(ctx))
	return r
}

// TestForeignKeysMeanwhile: what two transactions do is each right alone; the one that comes second is refused when both together are
// not, and only then.
func TestForeignKeysMeanwhile(t *testing.T) {
	ctx := context.Background()
	remove := func(id int64) func(t *testing.T, tx *repo.Tx) {
		return func(t *testing.T, tx *repo.Tx) {
			ok, err := edit(t, tx, "parent").Delete(ctx, person(id, "", 0))
			if err != nil || !ok {
				t.Fatal(ok, err)
			}
		}
	}
	insert := func(id, of int64) func(t *testing.T, tx *repo.Tx) {
		return func(t *testing.T, tx *repo.Tx) { must(t, edit(t, tx, "child").Insert(ctx, person(id, "", of))) }
	}
	rename := func(t *testing.T, tx *repo.Tx) {
		_, err := edit(t, tx, "parent").Update(ctx, person(2, "", 0), person(2, "new", 0))
		must(t, err)
	}
	empty := func(t *testing.T, tx *repo.Tx) { // as an import that replaces the rows
		v, _, _, err := tx.Table(ctx, "parent")
		must(t, err)
		must(t, tx.PutTable(ctx, "parent", table.Empty(v.Schema())))
	}
	for name, c := range map[string]struct {
		a, b func(t *testing.T, tx *repo.Tx)
		ok   bool
	}{
		"child, then parent gone":      {insert(7, 2), remove(2), false},
		"parent gone, then child":      {remove(2), insert(7, 2), false},
		"child of another parent":      {insert(7, 1), remove(2), true},
		"another parent gone":          {remove(2), insert(7, 1), true},
		"parent changed, its key not":  {rename, insert(7, 2), true},
		"child, then parent changed":   {insert(7, 2), rename, true},
		"two children":                 {insert(7, 2), insert(8, 2), true},
		"parents replaced, then child": {empty, insert(7, 2), false},
		"child, then parents replaced": {insert(7, 2), empty, false},
	} {
		for _, index := range []bool{true, false} {
			for _, folded := range []bool{true, false} {
				t.Run(name, func(t *testing.T) {
					r := family(t, index)
					if folded {
						_, err := r.Fold(ctx, "main")
						must(t, err)
					}
					a, b := begin(t, r), begin(t, r)
					c.a(t, a)
					c.b(t, b)
					must(t, a.Commit(ctx))
					switch err := b.Commit(ctx); {
					case c.ok && err != nil:
						t.Fatal(err)
					case !c.ok && !errs.Is(err, errs.Conflict):
						t.Fatalf("%v, want class conflict", err)
					}
				})
			}
		}
	}
}

func TestChildren(t *testing.T) {
	ctx := context.Background()
	r := family(t, true)
	tx := begin(t, r)
	defer tx.Rollback()
	for name, want := range map[string]int{"parent": 1, "PARENT": 1, "child": 0, "none": 0} {
		if got, err := tx.Children(ctx, name); err != nil || len(got) != want {
			t.Errorf("children of %s are %v, %v", name, got, err)
		}
	}
	must(t, tx.CheckReferences(ctx, "parent"))
	must(t, tx.DropTable(ctx, "child"))
	if got, err := tx.Children(ctx, "parent"); err != nil || len(got) != 0 {
		t.Errorf("children after the drop are %v, %v", got, err)
	}
}

// TestRenameReferredTo: foreign keys follow the table that they refer to, those of the table itself too.
func TestRenameReferredTo(t *testing.T) {
	ctx := context.Background()
	r := family(t, false)
	tx := begin(t, r)
	own := people()
	own.References = []schema.ForeignKey{{Name: "own", Columns: []uint64{own.Columns[2].ID}, Parent: "own", ParentColumns: []string{"id"}}}
	must(t, tx.CreateTable(ctx, "own", own))
	must(t, edit(t, tx, "child").Insert(ctx, person(3, "", 2)))
	must(t, tx.RenameTable(ctx, "PARENT", "folk"))
	must(t, tx.RenameTable(ctx, "own", "mine"))
	must(t, tx.Commit(ctx))
	tx = begin(t, r)
	defer tx.Rollback()
	for child, parent := range map[string]string{"child": "folk", "mine": "mine"} {
		v, _, ok, err := tx.Table(ctx, child)
		if err != nil || !ok {
			t.Fatal(child, ok, err)
		}
		if got := v.Schema().References[0].Parent; got != parent {
			t.Errorf("%s refers to %s, want %s", child, got, parent)
		}
		if got, err := tx.Children(ctx, parent); err != nil || len(got) != 1 || got[0] != child {
			t.Errorf("children of %s: %v, %v", parent, got, err)
		}
	}
	must(t, tx.CheckReferences(ctx, "folk"))
	if got, want := rows(t, r, "child"), "1::1 2::1 3::2 "; got != want {
		t.Errorf("rows %q, want %q", got, want)
	}
}
