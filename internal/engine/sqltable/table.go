package sqltable

import (
	"strings"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/engine/session"
	"github.com/stemmadb/stemma/internal/engine/types"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/table"
)

// Table is a table as a statement reads it.
type Table struct {
	def  *Def
	part *session.Part // of the session's transaction; nil when view says all
	view *table.View   // when part is nil

	empty *table.View // of a table that its first row makes: what there is until then

	live  bool // scans see the transaction as it is, not as it was when the statement began
	quiet bool // while the engine alters the table in a way that asks for no rows

	origin *Origin // where view is from, of what is not a transaction's; nil where that does not matter

	cols   []int      // projected columns; nil is all
	names  []string   // of cols
	schema sql.Schema // of cols

	zones []table.ZoneFilter // what scans of all rows may heed
}

var (
	_ sql.Table                 = (*Table)(nil)
	_ sql.ProjectedTable        = (*Table)(nil)
	_ sql.PrimaryKeyTable       = (*Table)(nil)
	_ sql.CommentedTable        = (*Table)(nil)
	_ sql.StatisticsTable       = (*Table)(nil)
	_ sql.PartitionCounter      = (*Table)(nil)
	_ sql.TemporaryTable        = (*Table)(nil)
	_ sql.CheckTable            = (*Table)(nil)
	_ sql.Databaseable          = (*Table)(nil)
	_ sql.IndexAddressableTable = (*Table)(nil)
	_ sql.IndexedTable          = (*Table)(nil)
)

// New is a table that shows a view.
func New(d *Def, v *table.View) *Table {
	return &Table{def: d, view: v, schema: d.sql.Schema}
}

// Origin says where a view of a table is from, for the record of what a run reads.
type Origin struct {
	Repo   *repo.Repo
	Commit history.CommitID
	Ref    string // as it was asked for
}

// From is the table with the place where its view is from.
func (t *Table) From(o *Origin) *Table {
	t.origin = o
	return t
}

// Note takes note that the table is read, when the session works for a run: its columns, and the version.
func (t *Table) Note(ctx *sql.Context) error {
	s, ok := ctx.Session.(*session.Session)
	if !ok || s.Run().Run == "" {
		return nil
	}
	v, err := t.View(ctx)
	if err != nil {
		return err
	}
	t.note(ctx, v)
	return nil
}

func (t *Table) note(ctx *sql.Context, v *table.View) {
	s, ok := ctx.Session.(*session.Session)
	if !ok || s.Run().Run == "" {
		return
	}
	x := repo.Read{Table: t.def.Stored, View: v, Columns: t.names}
	switch {
	case t.part != nil && t.part.Temporary():
	case t.part != nil:
		tx := t.part.Tx()
		x.Commit, x.Working = tx.Head(), true
		if i := strings.IndexAny(t.def.DB, "/@"); i >= 0 {
			x.Ref = t.def.DB[i+1:]
		}
		s.NoteRead(ctx, tx.Repo(), x)
	case t.origin != nil:
		x.Commit, x.Ref = t.origin.Commit, t.origin.Ref
		s.NoteRead(ctx, t.origin.Repo, x)
	}
}

// Stored is the database of the table, without a revision, and the table's name in it.
func (t *Table) Stored() (db, table string) {
	db, _ = session.SplitName(t.def.DB)
	return db, t.def.Stored
}

// NoteOrigins takes note from which columns a statement of the session's run makes columns of the table. Those of the table's own database
// do not name it.
func (t *Table) NoteOrigins(ctx *sql.Context, by map[string][]lineage.Origin) error {
	s, err := session.Of(ctx)
	if err != nil || t.part == nil || t.part.Temporary() {
		return err
	}
	own, _ := t.Stored()
	for _, from := range by {
		for i := range from {
			if strings.EqualFold(from[i].DB, own) {
				from[i].DB = ""
			}
		}
	}
	t.part.NoteOrigins(ctx, s.Run(), t.def.Stored, by)
	return nil
}

// newIn is a table of a session's transaction.
func newIn(d *Def, p *session.Part) Table {
	return Table{def: d, part: p, schema: d.sql.Schema}
}

// Def is the table's definition.
func (t *Table) Def() *Def { return t.def }

// View is the table as the statement sees it, standing still.
func (t *Table) View(ctx *sql.Context) (*table.View, error) {
	if t.part == nil {
		return t.view, nil
	}
	var v *table.View
	var err error
	if t.live {
		v, _, _, err = t.part.Table(ctx, t.def.Stored)
	} else {
		v, err = t.part.Pinned(ctx, t.def.Stored)
	}
	if err != nil {
		return nil, session.Error(err)
	}
	if v == nil && t.empty != nil {
		return t.empty, nil
	}
	if v == nil {
		return nil, sql.ErrTableNotFound.New(t.def.Name)
	}
	if v.Table.Schema.Hash != t.def.Schema.Hash {
		return nil, errs.New(errs.Internal, "read table %s: its schema changed within the statement", t.def.Name)
	}
	return v, nil
}

// Name implements sql.Table.
func (t *Table) Name() string { return t.def.Name }

// String implements sql.Table.
func (t *Table) String() string { return t.def.Name }

// Database implements sql.Databaseable.
func (t *Table) Database() string { return t.def.DB }

// Schema implements sql.Table: the projected columns.
func (t *Table) Schema(*sql.Context) sql.Schema { return t.schema }

// Collation implements sql.Table.
func (t *Table) Collation() sql.CollationID {
	id, err := types.CollationToSQL(t.def.Schema.Collation)
	if err != nil {
		return sql.Collation_Default
	}
	return id
}

// Comment implements sql.CommentedTable.
func (t *Table) Comment() string { return t.def.Schema.Comment }

// PrimaryKeySchema implements sql.PrimaryKeyTable: all columns.
func (t *Table) PrimaryKeySchema(*sql.Context) sql.PrimaryKeySchema { return t.def.sql }

// GetChecks implements sql.CheckTable.
func (t *Table) GetChecks(*sql.Context) ([]sql.CheckDefinition, error) {
	var out []sql.CheckDefinition
	for _, c := range t.def.Schema.Checks {
		out = append(out, sql.CheckDefinition{Name: c.Name, CheckExpression: c.Expr, Enforced: c.Enforced})
	}
	return out, nil
}

// IsTemporary implements sql.TemporaryTable.
func (t *Table) IsTemporary() bool { return t.part != nil && t.part.Temporary() }

// PartitionCount implements sql.PartitionCounter.
func (t *Table) PartitionCount(*sql.Context) (int64, error) { return 1, nil }

// RowCount implements sql.StatisticsTable. It is exact.
func (t *Table) RowCount(ctx *sql.Context) (uint64, bool, error) {
	v, err := t.View(ctx)
	if err != nil {
		return 0, false, err
	}
	return v.Count(), true, nil
}

// bytesPerRow is a guess at a row's size that only the planner uses.
const bytesPerRow = 64

// DataLength implements sql.StatisticsTable.
func (t *Table) DataLength(ctx *sql.Context) (uint64, error) {
	n, _, err := t.RowCount(ctx)
	return n * bytesPerRow, err
}

// WithProjections implements sql.ProjectedTable.
func (t *Table) WithProjections(_ *sql.Context, names []string) (sql.Table, error) {
	return t.project(names)
}

func (t *Table) project(names []string) (*Table, error) {
	c := *t
	c.cols, c.names, c.schema = make([]int, len(names)), names, make(sql.Schema, len(names))
	for i, n := range names {
		at := t.def.Schema.ColumnIndex(n)
		if at < 0 {
			return nil, sql.ErrTableColumnNotFound.New(t.def.Name, n)
		}
		c.cols[i], c.schema[i] = at, t.def.sql.Schema[at]
	}
	return &c, nil
}

// Projections implements sql.ProjectedTable.
func (t *Table) Projections() []string { return t.names }

// IndexedAccess implements sql.IndexAddressable.
func (t *Table) IndexedAccess(*sql.Context, sql.IndexLookup) sql.IndexedTable { return t }

// GetIndexes implements sql.IndexAddressable.
func (t *Table) GetIndexes(*sql.Context) ([]sql.Index, error) { return t.def.indexes, nil }

// PreciseMatch implements sql.IndexAddressable: a lookup gives the rows of its ranges and no others.
func (t *Table) PreciseMatch() bool { return true }

// PeekNextAutoIncrementValue implements sql.AutoIncrementGetter.
func (t *Table) PeekNextAutoIncrementValue(ctx *sql.Context) (uint64, error) {
	if t.part == nil || t.def.Schema.AutoColumn() < 0 {
		return 1, nil
	}
	n, err := t.part.Tx().PeekAuto(ctx, t.def.Stored)
	return t.def.clampAuto(n), session.Error(err)
}
