// Package enginetest runs the conformance suite of go-mysql-server against this program's storage.
package enginetest

import (
	"context"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/dolthub/go-mysql-server/enginetest"
	"github.com/dolthub/go-mysql-server/enginetest/scriptgen/setup"
	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/engine"
	"github.com/stemmadb/stemma/internal/engine/session"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/vfs"
)

// harness runs each test on databases in memory, made anew for it.
type harness struct {
	t       *testing.T
	scripts []setup.SetupScript
	eng     *engine.Engine
	session *session.Session
	keep    bool // the next engine is that of the databases that were made already
}

var (
	_ enginetest.Harness             = (*harness)(nil)
	_ enginetest.SkippingHarness     = (*harness)(nil)
	_ enginetest.IndexHarness        = (*harness)(nil)
	_ enginetest.ForeignKeyHarness   = (*harness)(nil)
	_ enginetest.KeylessTableHarness = (*harness)(nil)
	_ enginetest.ClientHarness       = (*harness)(nil)
	_ enginetest.TransactionHarness  = (*harness)(nil)
	_ enginetest.VersionedDBHarness  = (*harness)(nil)
)

func newHarness(t *testing.T) *harness { return &harness{t: t} }

// dataDir is where databases are.
var dataDir = filepath.Join(string(filepath.Separator), "data")

func (h *harness) fresh() {
	ctx := context.Background()
	if h.eng != nil {
		if err := h.eng.Close(ctx); err != nil {
			h.t.Fatal(err)
		}
	}
	fs := vfs.NewMem()
	if err := fs.MkdirAll(dataDir); err != nil {
		h.t.Fatal(err)
	}
	eng, err := engine.New(ctx, engine.Options{FS: fs, Dir: dataDir})
	if err != nil {
		h.t.Fatal(err)
	}
	h.eng, h.session = eng, nil
}

// Setup implements enginetest.Harness.
func (h *harness) Setup(data ...[]setup.SetupScript) {
	h.scripts = nil
	for _, d := range data {
		h.scripts = append(h.scripts, d...)
	}
}

// unsupported is a statement that a setup must not use yet.
var unsupported = regexp.MustCompile(`(?is)^create vector index`)

// NewEngine implements enginetest.Harness.
func (h *harness) NewEngine(t *testing.T) (enginetest.QueryEngine, error) {
	if !h.keep {
		h.fresh()
	}
	h.keep = false
	e := h.eng.SQLEngine()
	e.Analyzer.Catalog.MySQLDb.AddRootAccount()
	ctx := enginetest.NewContext(h)
	scripts := h.scripts
	if len(scripts) == 0 && len(h.eng.Provider().AllDatabases(ctx)) == 0 {
		scripts = setup.MydbData
	}
	var kept []setup.SetupScript
	for _, s := range scripts {
		var k setup.SetupScript
		for _, q := range s {
			if !unsupported.MatchString(q) {
				k = append(k, q)
			}
		}
		kept = append(kept, k)
	}
	if _, err := enginetest.RunSetupScripts(ctx, e, kept, true); err != nil {
		return nil, err
	}
	h.session = nil
	return e, nil
}

// NewContext implements enginetest.Harness.
func (h *harness) NewContext() *sql.Context {
	if h.eng == nil {
		h.fresh()
	}
	if h.session == nil {
		h.session = h.eng.NewSession(enginetest.NewBaseSession())
	}
	return sql.NewContext(context.Background(), sql.WithSession(h.session))
}

// NewSession implements enginetest.TransactionHarness.
func (h *harness) NewSession() *sql.Context {
	h.session = nil
	return h.NewContext()
}

// NewContextWithClient implements enginetest.ClientHarness.
func (h *harness) NewContextWithClient(client sql.Client) *sql.Context {
	if h.eng == nil {
		h.fresh()
	}
	s := h.eng.NewSession(sql.NewBaseSessionWithClientServer("address", client, 1))
	return sql.NewContext(context.Background(), sql.WithSession(s))
}

// SupportsNativeIndexCreation implements enginetest.IndexHarness.
func (h *harness) SupportsNativeIndexCreation() bool { return true }

// SupportsForeignKeys implements enginetest.ForeignKeyHarness.
func (h *harness) SupportsForeignKeys() bool { return true }

// SupportsKeylessTables implements enginetest.KeylessTableHarness.
func (h *harness) SupportsKeylessTables() bool { return true }

// SkipQueryTest implements enginetest.SkippingHarness: query may be the name of a script.
func (h *harness) SkipQueryTest(query string) bool {
	for _, s := range skips {
		if s.match.MatchString(query) {
			return true
		}
	}
	return false
}

// NewDatabases implements enginetest.VersionedDBHarness.
func (h *harness) NewDatabases(names ...string) []sql.Database {
	h.fresh()
	h.keep = true
	ctx := enginetest.NewContext(h)
	var out []sql.Database
	for _, n := range names {
		if err := h.eng.Provider().CreateDatabase(ctx, n); err != nil {
			h.t.Fatal(err)
		}
		db, err := h.eng.Provider().Database(ctx, n)
		if err != nil {
			h.t.Fatal(err)
		}
		out = append(out, db)
	}
	return out
}

// NewTableAsOf implements enginetest.VersionedDBHarness.
func (h *harness) NewTableAsOf(db sql.VersionedDatabase, name string, s sql.PrimaryKeySchema, _ any) sql.Table {
	ctx := enginetest.NewContext(h)
	if err := db.(sql.TableCreator).CreateTable(ctx, name, s, sql.Collation_Default, ""); err != nil && !sql.ErrTableAlreadyExists.Is(err) {
		h.t.Fatal(err)
	}
	t, _, err := db.GetTableInsensitive(ctx, name)
	if err != nil {
		h.t.Fatal(err)
	}
	return t
}

// SnapshotTable implements enginetest.VersionedDBHarness: it commits and gives the commit a branch of the name.
func (h *harness) SnapshotTable(db sql.VersionedDatabase, _ string, asOf any) error {
	ctx := enginetest.NewContext(h)
	return h.session.Outside(ctx, func(ctx *sql.Context) error {
		hd, err := h.session.Handle(ctx, db.Name())
		if err != nil {
			return err
		}
		name, ok := asOf.(string)
		if !ok {
			return nil
		}
		c, err := hd.Repo().Commit(ctx, repo.CommitOptions{
			Branch: hd.Branch(), Message: name, AddNew: true, AllowEmpty: true,
			Author: history.Signature{Name: "tester", Email: "tester@example.com"},
		})
		if err != nil {
			return err
		}
		return hd.Repo().CreateBranch(ctx, name, c.ID, true)
	})
}
