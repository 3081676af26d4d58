package systab

import (
	"context"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
)

// The names of the two states of a branch that are no commits.
const (
	working = "WORKING"
	staged  = "STAGED"
)

// moment is a database at one moment as diffs need it: with all edits in trees. Edits that are not yet are folded in memory, for the
// tables that are asked for. It belongs to one goroutine.
type moment struct {
	name   string          // as columns show it: a hash, WORKING, STAGED, or the words that were asked for
	commit *history.Commit // nil for WORKING and STAGED
	reader registry.Reader
	repo   *repo.Repo
	st     *scratch
	tables map[string]*table.Table // that were asked for, by lower-case name; nil for those that do not exist
}

// momentAt is the moment that a revision names in the database.
func momentAt(ctx *sql.Context, db registry.Handle, revision string) (*moment, error) {
	r, id, err := db.At(ctx, revision)
	if err != nil {
		return nil, err
	}
	m := &moment{name: strings.ToUpper(revision), reader: r}
	if !id.IsZero() {
		if m.commit, err = history.GetCommit(ctx, db.Repo().Store(), id); err != nil {
			return nil, err
		}
		m.name = id.String()
	}
	return m.with(db.Repo()), nil
}

// momentOf is the moment of a commit.
func momentOf(db registry.Handle, c *history.Commit) *moment {
	r := db.Repo()
	m := &moment{name: c.ID.String(), commit: c, reader: r.SnapshotRoot(root.Open(r.Store(), c.Root))}
	return m.with(r)
}

func (m *moment) with(r *repo.Repo) *moment {
	m.repo = r
	m.st = &scratch{base: r.Store(), mem: chunk.NewMem()}
	if tx, ok := m.reader.(*repo.Tx); ok && tx.Dirty() {
		m.st.base = tx.Store()
	}
	m.tables = map[string]*table.Table{}
	return m
}

// date is the value of a date column: NULL for WORKING and STAGED.
func (m *moment) date() any {
	if m == nil || m.commit == nil {
		return nil
	}
	return when(m.commit.Committer.Time)
}

// label is the value of a commit column: NULL for the nothing before the first commit.
func (m *moment) label() any {
	if m == nil {
		return nil
	}
	return m.name
}

// tablesOf is its tables; nil for no moment.
func (m *moment) tablesOf() repo.Tables {
	if m == nil {
		return nil
	}
	return m.reader
}

// table is the table of that name; nil when there is none, or no moment.
func (m *moment) table(ctx context.Context, name string) (*table.Table, error) {
	if m == nil {
		return nil, nil
	}
	l := lower(name)
	if t, seen := m.tables[l]; seen {
		return t, nil
	}
	v, _, ok, err := m.reader.Table(ctx, name)
	if err != nil {
		return nil, err
	}
	var t *table.Table
	if ok {
		if t, err = v.Fold(ctx, m.st); err != nil {
			return nil, err
		}
	}
	m.tables[l] = t
	return t, nil
}

// root is the root with all edits.
func (m *moment) root(ctx context.Context) (tree.Root, error) {
	if m == nil {
		return tree.Root{}, nil
	}
	var base *root.Root
	var names []string
	switch r := m.reader.(type) {
	case *repo.Tx:
		base, names = r.Root(), r.Edited()
	case *repo.Snapshot:
		base, names = r.Root, r.Edited()
	default:
		return tree.Root{}, errs.New(errs.Internal, "read the tables of %s: the reader is a %T", m.name, r)
	}
	if m.commit != nil {
		return base.Tree(), nil
	}
	var changes []root.Change
	for _, l := range names {
		v, _, ok, err := m.reader.Table(ctx, l)
		if err != nil {
			return tree.Root{}, err
		}
		if !ok || v.Overlay().Len() == 0 {
			continue
		}
		e, ok, err := base.Get(ctx, root.KindTable, l)
		if err != nil {
			return tree.Root{}, err
		}
		if !ok {
			return tree.Root{}, errs.New(errs.Internal, "table %s has edits and is not in the working set", l)
		}
		t, err := m.table(ctx, l)
		if err != nil {
			return tree.Root{}, err
		}
		if e.Table, err = t.Put(ctx, m.st); err != nil {
			return tree.Root{}, err
		}
		changes = append(changes, root.Change{Entry: e})
	}
	if len(changes) == 0 {
		return base.Tree(), nil
	}
	next, err := base.With(ctx, m.st, changes...)
	if err != nil {
		return tree.Root{}, err
	}
	return next.Tree(), nil
}

// scratch is a store whose new chunks stay in memory.
type scratch struct {
	base chunks
	mem  *chunk.Mem
}

// chunks are a store to read from.
type chunks interface {
	chunk.Reader
	Has(ctx context.Context, h hash.Hash) (bool, error)
}

// Get implements chunk.Reader.
func (s *scratch) Get(ctx context.Context, h hash.Hash) ([]byte, error) {
	if ok, err := s.mem.Has(ctx, h); err != nil || ok {
		return s.mem.Get(ctx, h)
	}
	return s.base.Get(ctx, h)
}

// Has implements chunk.Store.
func (s *scratch) Has(ctx context.Context, h hash.Hash) (bool, error) {
	if ok, err := s.mem.Has(ctx, h); err != nil || ok {
		return ok, err
	}
	return s.base.Has(ctx, h)
}

// Put implements chunk.Writer.
func (s *scratch) Put(ctx context.Context, data []byte) (hash.Hash, error) {
	return s.mem.Put(ctx, data)
}

// both serves the chunks of two moments.
type both struct{ a, b *moment }

// of is the reader for one who reads the table of that name.
func (r both) of(name string) chunk.Reader {
	m := r.a
	if m == nil {
		m = r.b
	}
	return m.repo.TableReader(r, name)
}

// Get implements chunk.Reader.
func (r both) Get(ctx context.Context, h hash.Hash) ([]byte, error) {
	if r.a != nil && r.b != nil {
		if ok, err := r.a.st.mem.Has(ctx, h); err != nil || ok {
			return r.a.st.mem.Get(ctx, h)
		}
		data, err := r.b.st.Get(ctx, h)
		if !errs.Is(err, errs.NotFound) {
			return data, err
		}
	}
	if r.a != nil {
		return r.a.st.Get(ctx, h)
	}
	return r.b.st.Get(ctx, h)
}

// TableHash is the hash of a table's schema and rows at a revision, WORKING being what the session sees; ok is false when there is no
// such table.
func TableHash(ctx *sql.Context, db registry.Handle, revision, name string) (h hash.Hash, ok bool, err error) {
	m, err := momentAt(ctx, db, revision)
	if err != nil {
		return h, false, err
	}
	t, err := m.table(ctx, name)
	if err != nil || t == nil {
		return h, false, err
	}
	return t.Hash(), true, nil
}

// DatabaseHash is the hash of the content of a database at a revision, WORKING being what the session sees.
func DatabaseHash(ctx *sql.Context, db registry.Handle, revision string) (hash.Hash, error) {
	m, err := momentAt(ctx, db, revision)
	if err != nil {
		return hash.Hash{}, err
	}
	t, err := m.root(ctx)
	return t.Hash, err
}
