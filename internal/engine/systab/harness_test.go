package systab_test

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	gmstypes "github.com/dolthub/go-mysql-server/sql/types"

	"github.com/stemmadb/stemma/internal/engine"
	"github.com/stemmadb/stemma/internal/engine/fn"
	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/engine/systab"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
	"github.com/stemmadb/stemma/internal/vfs"
)

// ticking is a clock that goes a day with each commit.
type ticking struct{ n int }

func (c *ticking) Now() time.Time {
	return time.Date(2021, 2, 1+c.n, 12, 0, 0, 123456000, time.UTC)
}

// fakeProcedure says how it was called.
func fakeProcedure(_ *sql.Context, name string, args []string) (sql.RowIter, error) {
	return sql.RowsToRowIter(sql.Row{name + " " + strings.Join(args, " "), int64(0)}), nil
}

// world is a database with an engine over it.
type world struct {
	t     *testing.T
	clock *ticking
	fs    vfs.FS
	repo  *repo.Repo
	eng   *engine.Engine
	ctx   *sql.Context
}

var (
	worldDir = filepath.Join(string(filepath.Separator), "db")
	worldWho = history.Signature{Name: "Ann", Email: "ann@example.com", Time: time.Date(2021, 2, 1, 0, 0, 0, 0, time.UTC)}
)

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, clock: &ticking{}, fs: vfs.NewMem()}
	ok(t, repo.Init(t.Context(), w.fs, worldDir, repo.InitOptions{Author: worldWho, Committer: worldWho}))
	w.open()
	t.Cleanup(w.close)
	return w
}

func (w *world) open() {
	w.t.Helper()
	var err error
	w.repo, err = repo.Open(w.t.Context(), w.fs, worldDir, repo.Options{Clock: w.clock})
	ok(w.t, err)
	fns := append(fn.Functions(fn.Versions{Program: "1.2.3", Storage: "stemma 1"}), fn.Procedures(fakeProcedure, "dolt_commit")...)
	w.eng, err = engine.New(w.t.Context(), engine.Options{
		Repos: []*repo.Repo{w.repo}, Author: worldWho,
		Registries: registry.Registries{SystemTables: systab.Tables(), TableFunctions: systab.Functions(), Functions: fns, Reshaped: systab.Reshaped},
	})
	ok(w.t, err)
	base := sql.NewBaseSession()
	base.SetClient(sql.Client{User: "root", Address: "localhost"})
	w.ctx = w.eng.NewContext(w.t.Context(), w.eng.NewSession(base))
	w.ctx.SetCurrentDatabase("db")
}

func (w *world) close() {
	w.t.Helper()
	ok(w.t, w.eng.Close(context.Background()))
	ok(w.t, w.repo.Close(context.Background()))
}

// reopen closes the database and opens it anew, with empty caches.
func (w *world) reopen() {
	w.t.Helper()
	w.close()
	w.open()
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// edit changes the working set of a branch in a transaction of its own.
func (w *world) edit(branch string, fn func(tx *repo.Tx)) {
	w.t.Helper()
	tx, err := w.repo.Begin(w.t.Context(), branch)
	ok(w.t, err)
	fn(tx)
	ok(w.t, tx.Commit(w.t.Context()))
}

func (w *world) create(branch, name string, s *schema.Schema) {
	w.t.Helper()
	w.edit(branch, func(tx *repo.Tx) { ok(w.t, tx.CreateTable(w.t.Context(), name, s)) })
}

// put writes rows: of a table with a key they replace those of equal keys; a single cell deletes.
func (w *world) put(branch, name string, rows ...[]value.Cell) {
	w.t.Helper()
	w.edit(branch, func(tx *repo.Tx) { put(w.t, tx, name, rows...) })
}

func put(t *testing.T, tx *repo.Tx, name string, rows ...[]value.Cell) {
	t.Helper()
	e, err := tx.Editor(t.Context(), name)
	ok(t, err)
	for _, r := range rows {
		if e.View().Schema().Keyless() {
			ok(t, e.Insert(t.Context(), append([]value.Cell{value.Null}, r...)))
			continue
		}
		if _, err := e.Delete(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if len(r) > 1 {
			ok(t, e.Insert(t.Context(), r))
		}
	}
}

// alter gives a table another schema, its rows being read anew by column id.
func (w *world) alter(branch, name string, s *schema.Schema) {
	w.t.Helper()
	w.edit(branch, func(tx *repo.Tx) {
		c, err := schema.Compile(s)
		ok(w.t, err)
		old, err := tx.FoldTable(w.t.Context(), name)
		ok(w.t, err)
		scan := table.NewView(tx.Store(), old, nil).Scan(table.ScanOptions{Rows: table.RowsTree})
		ok(w.t, tx.PutTable(w.t.Context(), name, table.Empty(c)))
		for {
			b, more, err := scan.Next(w.t.Context())
			ok(w.t, err)
			if !more {
				return
			}
			for i := b.Lo; i < b.Hi; i++ {
				var row []value.Cell
				for k := range s.Columns {
					cell := s.Columns[k].Absent
					if at := old.Schema.ColumnByID(s.Columns[k].ID); at >= 0 {
						cell, err = b.Page.Cell(w.t.Context(), at, i)
						ok(w.t, err)
					}
					row = append(row, cell)
				}
				put(w.t, tx, name, row)
			}
		}
	})
}

func (w *world) commit(branch, msg string) string {
	w.t.Helper()
	w.clock.n++
	c, err := w.repo.Commit(w.t.Context(), repo.CommitOptions{
		Branch: branch, Message: msg, AddNew: true, AllowEmpty: true,
		Author: history.Signature{Name: "Ann", Email: "ann@example.com"}, Committer: history.Signature{Name: "Cid", Email: "cid@example.com"},
	})
	ok(w.t, err)
	return c.ID.String()
}

func (w *world) branch(name, at string) {
	w.t.Helper()
	id, err := w.repo.Resolve(w.t.Context(), at, "main")
	ok(w.t, err)
	ok(w.t, w.repo.CreateBranch(w.t.Context(), name, id, false))
}

// id is the commit that a revision names.
func (w *world) id(rev string) history.CommitID {
	w.t.Helper()
	id, err := w.repo.Resolve(w.t.Context(), rev, "main")
	ok(w.t, err)
	return id
}

// head is the hash of the commit that a revision names.
func (w *world) head(rev string) string {
	w.t.Helper()
	return w.id(rev).String()
}

// query gives the rows of a query as lines, columns cut by '|'. Each query is a transaction of its own.
func (w *world) query(q string) ([]string, error) {
	if tx := w.ctx.GetTransaction(); tx != nil {
		ts, isTx := w.ctx.Session.(sql.TransactionSession)
		if !isTx {
			return nil, fmt.Errorf("a %T has no transactions", w.ctx.Session)
		}
		if err := ts.Rollback(w.ctx, tx); err != nil {
			return nil, err
		}
	}
	w.ctx.SetTransaction(nil)
	w.ctx.SetIgnoreAutoCommit(false)
	return w.queryIn(q)
}

// queryIn is query in the present transaction.
func (w *world) queryIn(q string) ([]string, error) {
	sch, it, err := w.eng.Query(w.ctx, q)
	if err != nil {
		return nil, err
	}
	var out []string
	for {
		row, err := it.Next(w.ctx)
		if err == io.EOF {
			return out, it.Close(w.ctx)
		}
		if err != nil {
			if e := it.Close(w.ctx); e != nil {
				err = fmt.Errorf("%w; close: %w", err, e)
			}
			return out, err
		}
		if len(row) != len(sch) {
			return out, fmt.Errorf("a row of %d values for %d columns", len(row), len(sch))
		}
		words := make([]string, len(row))
		for i, v := range row {
			if v, err = sql.UnwrapAny(w.ctx, v); err != nil {
				return out, err
			}
			switch x := v.(type) {
			case nil:
				words[i] = "NULL"
			case time.Time:
				words[i] = x.Format("2006-01-02")
			case bool:
				words[i] = fmt.Sprint(x)
			case sql.JSONWrapper:
				s, err := gmstypes.JsonToMySqlString(w.ctx, x)
				if err != nil {
					return out, err
				}
				words[i] = s
			default:
				words[i] = fmt.Sprint(x)
			}
		}
		out = append(out, strings.Join(words, "|"))
	}
}

func (w *world) want(q string, lines ...string) {
	w.t.Helper()
	got, err := w.query(q)
	if err != nil {
		w.t.Errorf("%s\n\t%v", q, err)
		return
	}
	if !slices.Equal(got, lines) {
		w.t.Errorf("%s\ngot\n\t%s\nwant\n\t%s", q, strings.Join(got, "\n\t"), strings.Join(lines, "\n\t"))
	}
}

func (w *world) fails(q, message string) {
	w.t.Helper()
	got, err := w.query(q)
	if err == nil || !strings.Contains(err.Error(), message) {
		w.t.Errorf("%s\ngot %v, %v\nwant an error with %q", q, got, err, message)
	}
}

func column(name string, k value.Kind) schema.Column {
	typ := value.Type{Kind: k}
	if k == value.KindVarchar {
		typ.Length = 50
	}
	return schema.Column{ID: schema.AssignID(name, typ, nil, nil), Name: name, Type: typ, Nullable: true}
}

func keyed(cols ...schema.Column) *schema.Schema {
	return &schema.Schema{Columns: cols, PrimaryKey: []schema.IndexColumn{{Column: cols[0].ID}}}
}

func i(v int64) value.Cell  { return value.IntCell(v) }
func s(v string) value.Cell { return value.BytesCell([]byte(v)) }

func row(cells ...value.Cell) []value.Cell { return cells }

// handle is the database as the session sees it, in a new transaction.
func (w *world) handle(name string) registry.Handle {
	w.t.Helper()
	w.ctx.SetTransaction(nil)
	sess, err := registry.SessionOf(w.ctx)
	ok(w.t, err)
	ts, isTx := sess.(sql.TransactionSession)
	if !isTx {
		w.t.Fatalf("a %T has no transactions", sess)
	}
	tx, err := ts.StartTransaction(w.ctx, sql.ReadWrite)
	ok(w.t, err)
	w.ctx.SetTransaction(tx)
	w.ctx.SetIgnoreAutoCommit(true)
	h, err := sess.Database(w.ctx, name)
	ok(w.t, err)
	return h
}
