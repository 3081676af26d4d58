package systab

import (
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"

	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/op"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/tree"
)

// The beginnings of the names of the tables of a merge.
const (
	prefixConflicts  = "dolt_conflicts_"
	prefixViolations = "dolt_constraint_violations_"
)

// mergeOf is the working set of the session's branch and its merge in progress; both are nil when the database name means a commit.
func mergeOf(ctx *sql.Context, db registry.Handle) (repo.MergeReader, *history.Merge, error) {
	if db.Branch() == "" {
		return nil, nil, nil
	}
	r, err := db.Reader(ctx)
	if err != nil {
		return nil, nil, err
	}
	mr, ok := r.(repo.MergeReader)
	if !ok {
		return nil, nil, errs.New(errs.Internal, "read the merge in progress: the reader is a %T", r)
	}
	m, err := mr.Merging(ctx)
	return mr, m, err
}

// mergeTables is a system table with rows for tables of the merge in progress.
func mergeTables(db registry.Handle, name string, cols []*sql.Column, row func(ctx *sql.Context, r repo.MergeReader, t *history.MergeTable) (sql.Row, error)) sql.Table {
	return newTable(db, name, cols, nil, func(ctx *sql.Context, _ Point) (sql.RowIter, error) {
		r, m, err := mergeOf(ctx, db)
		if err != nil || m == nil {
			return noRows(), err
		}
		var rows []sql.Row
		for i := range m.Tables {
			x, err := row(ctx, r, &m.Tables[i])
			if err != nil {
				return nil, err
			}
			if x != nil {
				rows = append(rows, x)
			}
		}
		return sql.RowsToRowIter(rows...), nil
	})
}

// conflictCounts is dolt_conflicts: the tables with rows in conflict.
func conflictCounts(_ *sql.Context, db registry.Handle, name string) (sql.Table, bool, error) {
	cols := []*sql.Column{textKey("table"), {Name: "num_conflicts", Type: types.Uint64}}
	return mergeTables(db, name, cols, func(_ *sql.Context, _ repo.MergeReader, t *history.MergeTable) (sql.Row, error) {
		if t.Conflicts.IsEmpty() {
			return nil, nil
		}
		return sql.Row{t.Name, t.Conflicts.Count}, nil
	}), true, nil
}

// schemaConflicts is dolt_schema_conflicts: the tables whose schemas do not merge.
func schemaConflicts(_ *sql.Context, db registry.Handle, name string) (sql.Table, bool, error) {
	cols := []*sql.Column{textKey("table_name"), text("base_schema"), text("our_schema"), text("their_schema"), text("description")}
	return mergeTables(db, name, cols, func(ctx *sql.Context, r repo.MergeReader, t *history.MergeTable) (sql.Row, error) {
		if t.Schema == "" {
			return nil, nil
		}
		out := sql.Row{t.Name}
		for _, e := range []root.Entry{t.Base, t.Ours, t.Theirs} {
			s, err := op.SideSQL(ctx, r, t.Name, e)
			if err != nil {
				return nil, err
			}
			out = append(out, s)
		}
		return append(out, t.Schema), nil
	}), true, nil
}

// violationCounts is dolt_constraint_violations: the tables with rows that violate a constraint.
func violationCounts(_ *sql.Context, db registry.Handle, name string) (sql.Table, bool, error) {
	cols := []*sql.Column{textKey("table"), {Name: "num_violations", Type: types.Uint64}}
	return mergeTables(db, name, cols, func(ctx *sql.Context, r repo.MergeReader, t *history.MergeTable) (sql.Row, error) {
		v, _, ok, err := r.Table(ctx, t.Name)
		if err != nil || !ok || t.Violations.IsEmpty() {
			return nil, err
		}
		n, err := repo.CountViolations(ctx, v, t)
		if err != nil || n == 0 {
			return nil, err
		}
		return sql.Row{t.Name, n}, nil
	}), true, nil
}

// mergeStatus is dolt_merge_status: one row, which tells what is being merged.
func mergeStatus(_ *sql.Context, db registry.Handle, name string) (sql.Table, bool, error) {
	cols := []*sql.Column{flag("is_merging"), textNull("source"), textNull("source_commit"), textNull("target"), textNull("unmerged_tables")}
	return newTable(db, name, cols, nil, func(ctx *sql.Context, _ Point) (sql.RowIter, error) {
		_, m, err := mergeOf(ctx, db)
		if err != nil {
			return nil, err
		}
		if !m.Merges() {
			return sql.RowsToRowIter(sql.Row{flagOf(false), nil, nil, nil, nil}), nil
		}
		return sql.RowsToRowIter(sql.Row{
			flagOf(true), m.Source, m.Theirs.String(), "refs/heads/" + db.Branch(), strings.Join(m.Unsettled(), ", "),
		}), nil
	}), true, nil
}

// settler takes rows out of a list of conflicts or violations of the merge in progress.
type settler struct {
	db    registry.Handle
	table string
	tree  func(x *history.MergeTable) *tree.Root
	id    func(key []byte) string
	width int // place of the id in a row
	gone  map[string]bool
}

// StatementBegin implements sql.EditOpenerCloser.
func (s *settler) StatementBegin(*sql.Context) { s.gone = map[string]bool{} }

// DiscardChanges implements sql.EditOpenerCloser.
func (s *settler) DiscardChanges(*sql.Context, error) error {
	s.gone = nil
	return nil
}

// StatementComplete implements sql.EditOpenerCloser.
func (s *settler) StatementComplete(ctx *sql.Context) error {
	gone := s.gone
	s.gone = nil
	if len(gone) == 0 {
		return nil
	}
	tx, err := s.db.Tx(ctx)
	if err != nil {
		return err
	}
	m, err := tx.Merging(ctx)
	if err != nil || m == nil || m.Table(s.table) < 0 {
		return err
	}
	x := m.Tables[m.Table(s.table)]
	list := s.tree(&x)
	var keys [][]byte
	err = repo.EachArtifact(ctx, tx.Store(), *list, func(key, _ []byte) error {
		if gone[s.id(key)] {
			keys = append(keys, key)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if *list, err = repo.DropArtifacts(ctx, tx.Store(), *list, keys); err != nil {
		return err
	}
	return tx.SetMerging(ctx, m.With(x))
}

// Delete implements sql.RowDeleter.
func (s *settler) Delete(_ *sql.Context, row sql.Row) error {
	if id, ok := row[s.width].(string); ok {
		if s.gone == nil {
			s.gone = map[string]bool{}
		}
		s.gone[id] = true
	}
	return nil
}

// Close implements sql.Closer.
func (s *settler) Close(ctx *sql.Context) error { return s.StatementComplete(ctx) }
