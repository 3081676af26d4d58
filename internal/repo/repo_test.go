package repo_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
	"github.com/stemmadb/stemma/internal/vfs"
)

var testClock = clock.Fixed{T: time.Date(2021, 4, 7, 9, 0, 0, 0, time.UTC)}

func signature() history.Signature {
	return history.Signature{Name: "Ada", Email: "ada@example.org", Time: testClock.T}
}

func newRepo(t *testing.T) (*repo.Repo, vfs.FS) {
	t.Helper()
	fs := vfs.NewMem()
	ctx := context.Background()
	if err := repo.Init(ctx, fs, "/db", repo.InitOptions{Author: signature(), Committer: signature()}); err != nil {
		t.Fatal(err)
	}
	return reopen(t, fs), fs
}

func reopen(t *testing.T, fs vfs.FS) *repo.Repo {
	t.Helper()
	r, err := repo.Open(context.Background(), fs, "/db", repo.Options{Clock: testClock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(context.Background()) })
	return r
}

// people is a table with a key, a unique index and a plain column.
func people() *schema.Schema {
	text := value.Type{Kind: value.KindVarchar, Length: 50, Collation: value.CollationUtf8mb40900Bin}
	s := &schema.Schema{}
	for _, c := range []schema.Column{
		{Name: "id", Type: value.Type{Kind: value.KindInt64}},
		{Name: "mail", Type: text, Nullable: true},
		{Name: "age", Type: value.Type{Kind: value.KindInt32}, Nullable: true},
	} {
		c.ID = schema.AssignID(c.Name, c.Type, s.Columns, nil)
		s.Columns = append(s.Columns, c)
	}
	s.PrimaryKey = []schema.IndexColumn{{Column: s.Columns[0].ID}}
	s.Indexes = []schema.Index{{Name: "mail", Unique: true, Columns: []schema.IndexColumn{{Column: s.Columns[1].ID}}}}
	return s
}

func person(id int64, mail string, age int64) []value.Cell {
	m := value.Null
	if mail != "" {
		m = value.BytesCell([]byte(mail))
	}
	return []value.Cell{value.IntCell(id), m, value.IntCell(age)}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func begin(t *testing.T, r *repo.Repo) *repo.Tx {
	t.Helper()
	tx, err := r.Begin(context.Background(), "main")
	must(t, err)
	return tx
}

func edit(t *testing.T, tx *repo.Tx, table string) *table.Editor {
	t.Helper()
	e, err := tx.Editor(context.Background(), table)
	must(t, err)
	return e
}

// dump is the rows of a view as text, in key order.
func dump(t *testing.T, v *table.View) string {
	t.Helper()
	ctx := context.Background()
	phys := v.Layout(table.RowsTree).Phys
	cells := make([]value.Cell, len(phys))
	out := ""
	s := v.Scan(table.ScanOptions{Rows: table.RowsTree})
	for {
		b, ok, err := s.Next(ctx)
		must(t, err)
		if !ok {
			return out
		}
		hi := b.Hi
		if b.Page == nil {
			hi = b.Lo + 1
		}
		for i := b.Lo; i < hi; i++ {
			row := b.Row
			if b.Page != nil {
				row, err = b.Page.AppendRow(ctx, nil, i)
				must(t, err)
			}
			must(t, value.DecodeTuple(row, phys, cells))
			out += fmt.Sprintf("%d:%s:%d ", cells[0].Int(), cells[1].Bytes(), cells[2].Int())
		}
	}
}

func rows(t *testing.T, r *repo.Repo, name string) string {
	t.Helper()
	s, err := r.SnapshotWorking("main")
	must(t, err)
	v, _, ok, err := s.Table(context.Background(), name)
	must(t, err)
	if !ok {
		return "none"
	}
	return dump(t, v)
}

func withPeople(t *testing.T) (*repo.Repo, vfs.FS) {
	t.Helper()
	r, fs := newRepo(t)
	tx := begin(t, r)
	must(t, tx.CreateTable(context.Background(), "People", people()))
	e := edit(t, tx, "people")
	for i := int64(1); i <= 3; i++ {
		must(t, e.Insert(context.Background(), person(i, fmt.Sprintf("m%d", i), 10*i)))
	}
	must(t, tx.Commit(context.Background()))
	return r, fs
}

func TestEditsSurviveReopening(t *testing.T) {
	ctx := context.Background()
	r, fs := withPeople(t)
	const want = "1:m1:10 2:m2:20 3:m3:30 "
	if got := rows(t, r, "PEOPLE"); got != want {
		t.Fatalf("rows %q, want %q", got, want)
	}
	must(t, r.Close(ctx))
	r = reopen(t, fs)
	if got := rows(t, r, "people"); got != want {
		t.Fatalf("rows after reopening %q, want %q", got, want)
	}
	c, err := r.Commit(ctx, repo.CommitOptions{Branch: "main", Message: "people", Author: signature(), AddNew: true})
	must(t, err)
	if c.Height != 2 {
		t.Fatalf("height %d", c.Height)
	}
	_, err = r.Commit(ctx, repo.CommitOptions{Branch: "main", Message: "again", Author: signature(), AddNew: true})
	if !errs.Is(err, errs.NothingToDo) {
		t.Fatalf("an empty commit: %v", err)
	}
	must(t, r.Close(ctx))
	r = reopen(t, fs)
	id, err := r.Resolve(ctx, "HEAD", "main")
	must(t, err)
	if id != c.ID {
		t.Fatalf("head %s, want %s", id, c.ID)
	}
	for _, rev := range []string{"main", c.ID.String(), c.ID.String()[:8], c.ID.Full(), "HEAD^0", "2021-04-07 09:00:01", "@"} {
		id, err := r.Resolve(ctx, rev, "main")
		if err != nil || id != c.ID {
			t.Errorf("resolve %s: %s, %v", rev, id, err)
		}
	}
	if id, err := r.Resolve(ctx, "main~1", "main"); err != nil || id != c.Parents[0] {
		t.Errorf("resolve main~1: %s, %v", id, err)
	}
	if _, err := r.Resolve(ctx, "main~2", "main"); !errs.Is(err, errs.NotFound) {
		t.Errorf("resolve main~2: %v", err)
	}
	if _, err := r.Resolve(ctx, "mein", "main"); err == nil || err.Error() != "branch or ref not found: mein; did you mean 'main'?" {
		t.Errorf("resolve mein: %v", err)
	}
}

func TestConcurrentTransactions(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct {
		name     string
		one, two func(*table.Editor) error
		class    errs.Code
		want     string
	}{
		{"different rows", update(1, "m1", 11), update(2, "m2", 22), 0, "1:m1:11 2:m2:22 3:m3:30 "},
		{"different columns", update(1, "x1", 10), update(1, "m1", 11), 0, "1:x1:11 2:m2:20 3:m3:30 "},
		{"same column", update(1, "m1", 11), update(1, "m1", 12), errs.Conflict, "1:m1:11 2:m2:20 3:m3:30 "},
		{"same value", update(1, "m1", 11), update(1, "m1", 11), errs.Conflict, "1:m1:11 2:m2:20 3:m3:30 "},
		{"same key added", insert(4, "a", 1), insert(4, "b", 1), errs.DuplicateKey, "1:m1:10 2:m2:20 3:m3:30 4:a:1 "},
		{"same unique value", insert(4, "a", 1), insert(5, "a", 1), errs.DuplicateKey, "1:m1:10 2:m2:20 3:m3:30 4:a:1 "},
		{"update against delete", remove(1), update(1, "m1", 5), errs.Conflict, "2:m2:20 3:m3:30 "},
		{"delete against update", update(1, "m1", 5), remove(1), errs.Conflict, "1:m1:5 2:m2:20 3:m3:30 "},
	} {
		for _, fold := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s fold=%v", c.name, fold), func(t *testing.T) {
				r, fs := withPeople(t)
				one, two := begin(t, r), begin(t, r)
				must(t, c.one(edit(t, one, "people")))
				must(t, c.two(edit(t, two, "people")))
				must(t, one.Commit(ctx))
				if fold {
					_, err := r.Fold(ctx, "main")
					must(t, err)
				}
				err := two.Commit(ctx)
				if err == nil && c.class != 0 || err != nil && !errs.Is(err, c.class) {
					t.Fatalf("second commit: %v", err)
				}
				if got := rows(t, r, "people"); got != c.want {
					t.Fatalf("rows %q, want %q", got, c.want)
				}
				must(t, r.Close(ctx))
				r = reopen(t, fs)
				if got := rows(t, r, "people"); got != c.want {
					t.Fatalf("rows after reopening %q, want %q", got, c.want)
				}
				_, err = r.Fold(ctx, "main")
				must(t, err)
				if got := rows(t, r, "people"); got != c.want {
					t.Fatalf("rows after folding %q, want %q", got, c.want)
				}
				must(t, r.Checkpoint(ctx))
				must(t, r.Close(ctx))
				r = reopen(t, fs)
				if got := rows(t, r, "people"); got != c.want {
					t.Fatalf("rows after a checkpoint %q, want %q", got, c.want)
				}
			})
		}
	}
}

func update(id int64, mail string, age int64) func(*table.Editor) error {
	return func(e *table.Editor) error {
		_, err := e.Update(context.Background(), person(id, "", 0), person(id, mail, age))
		return err
	}
}

func insert(id int64, mail string, age int64) func(*table.Editor) error {
	return func(e *table.Editor) error { return e.Insert(context.Background(), person(id, mail, age)) }
}

func remove(id int64) func(*table.Editor) error {
	return func(e *table.Editor) error {
		_, err := e.Delete(context.Background(), person(id, "", 0))
		return err
	}
}

func TestSavepoints(t *testing.T) {
	ctx := context.Background()
	r, _ := withPeople(t)
	tx := begin(t, r)
	must(t, update(1, "m1", 11)(edit(t, tx, "people")))
	sp := tx.Savepoint()
	must(t, remove(2)(edit(t, tx, "people")))
	must(t, tx.RenameTable(ctx, "people", "folk"))
	must(t, insert(9, "nine", 9)(edit(t, tx, "folk")))
	tx.RollbackTo(sp)
	if _, _, ok, err := tx.Table(ctx, "folk"); err != nil || ok {
		t.Fatalf("table folk after going back: %v %v", ok, err)
	}
	must(t, insert(4, "m4", 40)(edit(t, tx, "people")))
	must(t, tx.Commit(ctx))
	if got, want := rows(t, r, "people"), "1:m1:11 2:m2:20 3:m3:30 4:m4:40 "; got != want {
		t.Fatalf("rows %q, want %q", got, want)
	}
}

func TestBranchesAreIsolated(t *testing.T) {
	ctx := context.Background()
	r, fs := withPeople(t)
	c, err := r.Commit(ctx, repo.CommitOptions{Branch: "main", Message: "people", Author: signature(), AddNew: true})
	must(t, err)
	must(t, r.CreateBranch(ctx, "new", c.ID, false))
	tx, err := r.Begin(ctx, "new")
	must(t, err)
	must(t, remove(1)(edit(t, tx, "people")))
	must(t, tx.Commit(ctx))
	if got, want := rows(t, r, "people"), "1:m1:10 2:m2:20 3:m3:30 "; got != want {
		t.Fatalf("main has %q, want %q", got, want)
	}
	must(t, r.DeleteBranch(ctx, "new", "", false))
	must(t, r.Close(ctx))
	r = reopen(t, fs)
	if got := r.Branches(); len(got) != 1 || got[0].Name != "main" {
		t.Fatalf("branches %v", got)
	}
}
