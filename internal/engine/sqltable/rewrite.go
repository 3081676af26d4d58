package sqltable

import (
	"slices"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/engine/session"
	"github.com/stemmadb/stemma/internal/engine/types"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// rewrite makes a table of schema s with the cells of cur, column by column after their ids. Columns that cur lacks read as their
// Absent.
func rewrite(ctx *sql.Context, tx *repo.Tx, cur *table.Table, s *schema.Compiled) (t *table.Table, err error) {
	l, err := newLoad(ctx, tx, s)
	if err != nil {
		return nil, err
	}
	defer func() {
		if e := l.loader.Close(); err == nil {
			err = e
		}
	}()
	first := 0
	if cur.Schema.Keyless() {
		first = 1
	}
	from := make([]int, len(s.Columns))
	for i := range s.Columns {
		if !kept(s.Schema, i) {
			from[i] = notKept
			continue
		}
		if from[i] = cur.Schema.ColumnByID(s.Columns[i].ID); from[i] >= 0 {
			from[i] += first
		}
	}
	old := make([]value.Cell, len(cur.Schema.Primary.Phys))
	scan := table.NewView(tx.Store(), cur, nil).Scan(table.ScanOptions{Rows: table.RowsTree})
	for {
		b, ok, err := scan.Next(ctx)
		if err != nil {
			return nil, err
		}
		if !ok {
			return l.finish(ctx)
		}
		for i := b.Lo; i < b.Hi; i++ {
			for c := range old {
				if old[c], err = b.Page.Cell(ctx, c, i); err != nil {
					return nil, err
				}
			}
			for c, at := range from {
				cell := s.Columns[c].Absent
				switch {
				case at == notKept:
					cell = value.Null
				case at >= 0:
					cell = old[at]
				}
				if l.inKey[c] {
					if cell, err = table.Resolve(ctx, tx.Store(), cell); err != nil {
						return nil, err
					}
				}
				l.cells[l.first+c] = cell
			}
			if err := l.add(ctx); err != nil {
				return nil, err
			}
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

// notKept stands for a column whose values are not in the rows.
const notKept = -2

// load makes a table of rows.
type load struct {
	loader     *table.Loader
	enc        *table.Encoder
	cells      []value.Cell // of the next row
	first      int          // cell of the first column
	inKey      []bool       // by column
	schema     *schema.Compiled
	ascii      []int // columns that checkText looks at
	key, tuple []byte
}

func newLoad(ctx *sql.Context, tx *repo.Tx, s *schema.Compiled) (*load, error) {
	loader, err := table.NewLoader(ctx, tx.Store(), table.Empty(s), loadOptions(tx))
	if err != nil {
		return nil, err
	}
	l := &load{loader: loader, enc: table.NewEncoder(tx.Store(), s), cells: make([]value.Cell, len(s.Primary.Phys)), inKey: make([]bool, len(s.Columns)), schema: s, ascii: asciiColumns(s)}
	if s.Keyless() {
		l.first = 1
	}
	for i := range s.Columns {
		l.inKey[i] = s.InPrimaryKey(s.Columns[i].ID)
	}
	return l, nil
}

func (l *load) add(ctx *sql.Context) error {
	if l.first == 1 {
		l.cells[0] = value.IntCell(l.loader.NextOrdinal())
	}
	var err error
	if l.key, l.tuple, err = l.enc.Append(ctx, l.key[:0], l.tuple[:0], l.cells); err != nil {
		return err
	}
	return duplicate(l.loader.Add(ctx, l.key, l.tuple), true)
}

func (l *load) finish(ctx *sql.Context) (*table.Table, error) {
	t, _, err := l.loader.Finish(ctx)
	return t, duplicate(err, err != nil && strings.Contains(err.Error(), "duplicate primary key"))
}

// ShouldRewriteTable implements sql.RewritableTable: true when the cells of a column change or the key does.
func (t *Writable) ShouldRewriteTable(ctx *sql.Context, oldSchema, newSchema sql.PrimaryKeySchema, oldColumn, newColumn *sql.Column) bool {
	if oldColumn != nil && newColumn != nil {
		a, errA := types.FromSQL(oldColumn.Type)
		b, errB := types.FromSQL(newColumn.Type)
		if errA != nil || errB != nil || !sameCells(a, b) || oldColumn.Virtual != newColumn.Virtual || newColumn.AutoIncrement && !oldColumn.AutoIncrement {
			return true
		}
	}
	if newColumn == nil && oldColumn != nil { // a column is dropped
		return oldColumn.PrimaryKey
	}
	if len(oldSchema.PkOrdinals) != len(newSchema.PkOrdinals) {
		return true
	}
	for i := range oldSchema.PkOrdinals {
		a, b := oldSchema.Schema[oldSchema.PkOrdinals[i]].Name, newSchema.Schema[newSchema.PkOrdinals[i]].Name
		renamed := oldColumn != nil && newColumn != nil && strings.EqualFold(a, oldColumn.Name) && strings.EqualFold(b, newColumn.Name)
		if !strings.EqualFold(a, b) && !renamed {
			return true
		}
	}
	return false
}

// RewriteInserter implements sql.RewritableTable. The engine reads the rows of the old schema from t while it fills the inserter
// with those of the new one, which replace the table when the inserter is closed.
func (t *Writable) RewriteInserter(
	ctx *sql.Context, oldSchema, newSchema sql.PrimaryKeySchema, oldColumn, newColumn *sql.Column, idxCols []sql.IndexColumn,
) (sql.RowInserter, error) {
	if err := t.unalterable(); err != nil {
		return nil, err
	}
	if oldColumn == nil && newColumn != nil && constantColumn(newColumn) {
		t.Table.quiet = true // for the scan that comes next
		return &addInserter{t: t, col: newColumn, order: orderOf(newSchema.Schema, newColumn.Name)}, nil
	}
	if len(newSchema.PkOrdinals) == 0 && oldColumn == nil && newColumn == nil && len(idxCols) == 0 {
		if len(oldSchema.PkOrdinals) == 0 {
			return nil, sql.ErrCantDropFieldOrKey.New(primaryID)
		}
		if err := sql.ValidatePrimaryKeyDrop(ctx, t, oldSchema); err != nil {
			return nil, err
		}
		if fk, err := t.needsPrimary(ctx); err != nil {
			return nil, err
		} else if fk != "" {
			return nil, sql.ErrCantDropIndex.New(primaryID, fk)
		}
	}
	next, err := t.rewritten(ctx, newSchema, oldColumn, newColumn, idxCols)
	if err != nil {
		return nil, err
	}
	codecs, err := types.Codecs(next.Schema)
	if err != nil {
		return nil, err
	}
	return t.rewriter(ctx, next, codecs)
}

func (t *Writable) rewriter(ctx *sql.Context, next *schema.Compiled, codecs []*types.Codec) (sql.RowInserter, error) {
	if err := t.refused(); err != nil {
		return nil, err
	}
	rows, err := writtenRows(next, codecs)
	if err != nil {
		return nil, err
	}
	l, err := newLoad(ctx, t.part.Tx(), next)
	if err != nil {
		return nil, session.Error(err)
	}
	return &rewriter{t: t, load: l, rows: rows}, nil
}

// constantColumn tells whether a new column reads the same in all rows that are there, so that they need not be written.
func constantColumn(c *sql.Column) bool {
	if c.AutoIncrement || c.Generated != nil {
		return false
	}
	if c.Default == nil {
		return true
	}
	return c.Default.IsLiteral() && c.Default.Resolved()
}

// orderOf is the place of a column in a schema.
func orderOf(s sql.Schema, name string) *sql.ColumnOrder {
	i := s.IndexOfColName(name)
	if i <= 0 {
		return &sql.ColumnOrder{First: true}
	}
	return &sql.ColumnOrder{AfterColumn: s[i-1].Name}
}

// rewritten is the schema that the engine wants: columns of the old one keep their ids.
func (t *Writable) rewritten(ctx *sql.Context, want sql.PrimaryKeySchema, oldColumn, newColumn *sql.Column, idxCols []sql.IndexColumn) (*schema.Compiled, error) {
	cur := t.def.Schema
	moved := map[uint64]uint64{} // ids of columns that became others
	var taken []uint64
	for i := range cur.Columns {
		taken = append(taken, cur.Columns[i].ID)
	}
	return changed(cur, func(s *schema.Schema) error {
		s.Columns = nil
		for _, col := range want.Schema {
			name := col.Name
			if oldColumn != nil && newColumn != nil && strings.EqualFold(name, newColumn.Name) {
				name = oldColumn.Name
			}
			at := cur.ColumnIndex(name)
			if at >= 0 && (newColumn == nil || !strings.EqualFold(col.Name, newColumn.Name)) {
				s.Columns = append(s.Columns, cur.Columns[at])
				continue
			}
			c, err := types.ColumnFromSQL(ctx, col)
			if err != nil {
				return err
			}
			switch {
			case at < 0:
				c.ID = schema.AssignID(c.Name, c.Type, append(slices.Clone(s.Columns), cur.Columns...), nil)
			case schema.AssignID("", c.Type, nil, nil) == schema.AssignID("", cur.Columns[at].Type, nil, nil):
				c.ID = cur.Columns[at].ID
				c.Absent = convert(ctx, &cur.Columns[at], c.Type)
			default:
				c.ID = schema.AssignID(c.Name, c.Type, s.Columns, taken)
				moved[cur.Columns[at].ID] = c.ID
			}
			s.Columns = append(s.Columns, c)
		}
		return t.rewrittenKeys(s, want, moved, idxCols)
	})
}

// convert is a column's Absent in another type; NULL where it has none.
func convert(ctx *sql.Context, c *schema.Column, to value.Type) value.Cell {
	if c.Absent.IsNull() || c.Absent.IsAddr() {
		return value.Null
	}
	a, errA := types.NewCodec(c.Type)
	b, errB := types.NewCodec(to)
	if errA != nil || errB != nil {
		return value.Null
	}
	v, err := a.FromCell(c.Absent)
	if err != nil {
		return value.Null
	}
	cell, err := b.ToCell(ctx, v)
	if err != nil {
		return value.Null
	}
	return cell.Clone()
}

// rewrittenKeys sets the keys and indexes of a rewritten schema.
func (t *Writable) rewrittenKeys(s *schema.Schema, want sql.PrimaryKeySchema, moved map[uint64]uint64, idxCols []sql.IndexColumn) error {
	follow := func(cols []schema.IndexColumn) []schema.IndexColumn {
		cols = slices.Clone(cols)
		for i := range cols {
			if id, ok := moved[cols[i].Column]; ok {
				cols[i].Column = id
			}
		}
		return cols
	}
	old := follow(s.PrimaryKey)
	s.PrimaryKey = nil
	for _, ordinal := range want.PkOrdinals {
		at := s.ColumnIndex(want.Schema[ordinal].Name)
		k := schema.IndexColumn{Column: s.Columns[at].ID}
		for _, o := range old {
			if o.Column == k.Column {
				k = o
			}
		}
		for _, c := range idxCols {
			if strings.EqualFold(c.Name, want.Schema[ordinal].Name) {
				k.Prefix = uint32(c.Length)
			}
		}
		s.Columns[at].Nullable = false
		s.PrimaryKey = append(s.PrimaryKey, k)
	}
	for i := range s.Indexes {
		s.Indexes[i].Columns = follow(s.Indexes[i].Columns)
	}
	primary := s.PrimaryKey
	dropGone(s)
	s.PrimaryKey = primary
	return nil
}

// rewriter fills a table that replaces t.
type rewriter struct {
	t       *Writable
	load    *load
	rows    *types.RowCodec
	discard bool
}

var _ sql.RowInserter = (*rewriter)(nil)

// StatementBegin implements sql.EditOpenerCloser.
func (*rewriter) StatementBegin(*sql.Context) {}

// DiscardChanges implements sql.EditOpenerCloser: Close will not replace the table.
func (r *rewriter) DiscardChanges(*sql.Context, error) error {
	r.discard = true
	return nil
}

// StatementComplete implements sql.EditOpenerCloser.
func (*rewriter) StatementComplete(*sql.Context) error { return nil }

// Insert implements sql.RowInserter.
func (r *rewriter) Insert(ctx *sql.Context, row sql.Row) error {
	if err := r.rows.ToCells(ctx, row, r.load.cells); err != nil {
		return err
	}
	if err := checkText(r.load.schema, r.load.ascii, r.load.cells, r.load.first); err != nil {
		return err
	}
	return session.Error(r.load.add(ctx))
}

// Close implements sql.Closer.
func (r *rewriter) Close(ctx *sql.Context) (err error) {
	defer func() {
		if e := r.load.loader.Close(); err == nil {
			err = e
		}
	}()
	if r.discard {
		return nil
	}
	next, err := r.load.finish(ctx)
	if err != nil {
		return session.Error(err)
	}
	return r.t.alter(ctx, func(*repo.Tx, *table.Table) (*table.Table, error) { return next, nil })
}

// ignoreRows takes rows for which there is nothing to do.
type ignoreRows struct{}

var _ sql.RowInserter = ignoreRows{}

// StatementBegin implements sql.EditOpenerCloser.
func (ignoreRows) StatementBegin(*sql.Context) {}

// DiscardChanges implements sql.EditOpenerCloser.
func (ignoreRows) DiscardChanges(*sql.Context, error) error { return nil }

// StatementComplete implements sql.EditOpenerCloser.
func (ignoreRows) StatementComplete(*sql.Context) error { return nil }

// Insert implements sql.RowInserter.
func (ignoreRows) Insert(*sql.Context, sql.Row) error { return nil }

// Close implements sql.Closer.
func (ignoreRows) Close(*sql.Context) error { return nil }

// addInserter adds a column that reads the same in all rows: it looks at none of them.
type addInserter struct {
	ignoreRows
	t       *Writable
	col     *sql.Column
	order   *sql.ColumnOrder
	discard bool
}

// DiscardChanges implements sql.EditOpenerCloser.
func (a *addInserter) DiscardChanges(*sql.Context, error) error {
	a.discard = true
	return nil
}

// Close implements sql.Closer.
func (a *addInserter) Close(ctx *sql.Context) error {
	if a.discard {
		return nil
	}
	return a.t.AddColumn(ctx, a.col, a.order)
}
