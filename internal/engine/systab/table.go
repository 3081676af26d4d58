package systab

import (
	"fmt"
	"io"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/engine/registry"
)

// Point gives some columns a value or, as a sql.MySQLRangeColumnExpr, an interval, by lower-case name. A table may use what it likes of
// it: rows that do not match are filtered out above.
type Point map[string]any

// text is the value of a column that is a string; ok is false when the point does not give one.
func (p Point) text(col string) (s string, ok bool) {
	s, ok = p[col].(string)
	return s, ok
}

// Table is a system table.
type Table struct {
	name    string
	db      string     // as the database was asked for
	full    sql.Schema // of all columns
	schema  sql.Schema // of those that are asked for
	cols    []int      // which of full they are; nil for all
	indexes []*index
	rows    func(ctx *sql.Context, at Point) (sql.RowIter, error)
	scan    func(ctx *sql.Context, want scan) (sql.RowIter, error) // in place of rows, for tables that can do more than that
	guess   uint64                                                 // of the number of rows
}

// scan says which rows of a table are wanted, how, and what of them.
type scan struct {
	at    Point
	cols  []int // the columns, in this order; nil for all
	order order
}

// order is the order of rows by the column of the table's index byDate.
type order uint8

const (
	anyOrder order = iota
	oldestFirst
	newestFirst // NULL last
)

// byDate is the id of an index by whose column rows come in order.
const byDate = "by_date"

var (
	_ sql.IndexSearchableTable = (*Table)(nil)
	_ sql.IndexedTable         = (*Table)(nil)
	_ sql.StatisticsTable      = (*Table)(nil)
	_ sql.Databaseable         = (*Table)(nil)
	_ sql.ProjectedTable       = (*Table)(nil)
	_ sql.PrimaryKeyTable      = (*Table)(nil)
)

// newTable makes a system table. keys are the columns, each by itself or several joined by blanks, by whose values rows are found.
func newTable(db registry.Handle, name string, cols []*sql.Column, keys []string, rows func(ctx *sql.Context, at Point) (sql.RowIter, error)) *Table {
	t := &Table{name: name, db: db.Name(), rows: rows, guess: 1000}
	for _, c := range cols {
		c.Source, c.DatabaseSource = name, t.db
		t.full = append(t.full, c)
	}
	t.schema = t.full
	for _, k := range keys {
		t.indexes = append(t.indexes, newIndex(t, strings.ReplaceAll(k, " ", "_"), strings.Fields(k)))
	}
	return t
}

// WithProjections implements sql.ProjectedTable.
func (t *Table) WithProjections(_ *sql.Context, names []string) (sql.Table, error) {
	c, err := t.project(names)
	return c, err
}

func (t *Table) project(names []string) (*Table, error) {
	c := *t
	c.schema, c.cols = make(sql.Schema, len(names)), make([]int, len(names))
	for i, n := range names {
		at := t.full.IndexOfColName(lower(n))
		if at < 0 {
			return nil, sql.ErrTableColumnNotFound.New(t.name, n)
		}
		c.schema[i], c.cols[i] = t.full[at], at
	}
	return &c, nil
}

// PrimaryKeySchema implements sql.PrimaryKeyTable: it has all columns.
func (t *Table) PrimaryKeySchema(*sql.Context) sql.PrimaryKeySchema {
	return sql.NewPrimaryKeySchema(t.full)
}

// Projections implements sql.ProjectedTable.
func (t *Table) Projections() []string {
	if t.cols == nil {
		return nil
	}
	names := make([]string, len(t.schema))
	for i, c := range t.schema {
		names[i] = c.Name
	}
	return names
}

// Name implements sql.Table.
func (t *Table) Name() string { return t.name }

// String implements fmt.Stringer.
func (t *Table) String() string { return t.name }

// Database implements sql.Databaseable.
func (t *Table) Database() string { return t.db }

// Schema implements sql.Table.
func (t *Table) Schema(*sql.Context) sql.Schema { return t.schema }

// Collation implements sql.Table.
func (t *Table) Collation() sql.CollationID { return sql.Collation_Default }

// RowCount implements sql.StatisticsTable: a guess.
func (t *Table) RowCount(*sql.Context) (uint64, bool, error) { return t.guess, false, nil }

// DataLength implements sql.StatisticsTable: a guess.
func (t *Table) DataLength(*sql.Context) (uint64, error) { return 64 * t.guess, nil }

// IndexedAccess implements sql.IndexAddressable.
func (t *Table) IndexedAccess(*sql.Context, sql.IndexLookup) sql.IndexedTable { return t }

// GetIndexes implements sql.IndexAddressable.
func (t *Table) GetIndexes(*sql.Context) ([]sql.Index, error) {
	out := make([]sql.Index, len(t.indexes))
	for i, x := range t.indexes {
		out[i] = x
	}
	return out, nil
}

// PreciseMatch implements sql.IndexAddressable: filters stay above.
func (t *Table) PreciseMatch() bool { return false }

// SkipIndexCosting implements sql.IndexSearchable.
func (t *Table) SkipIndexCosting() bool { return false }

// Partitions implements sql.Table.
func (t *Table) Partitions(*sql.Context) (sql.PartitionIter, error) {
	return sql.PartitionsToPartitionIter(&partition{}), nil
}

// LookupPartitions implements sql.IndexedTable.
func (t *Table) LookupPartitions(_ *sql.Context, lookup sql.IndexLookup) (sql.PartitionIter, error) {
	if lookup.Index.ID() == byDate {
		p := &partition{order: oldestFirst}
		if lookup.IsReverse {
			p.order = newestFirst
		}
		return sql.PartitionsToPartitionIter(p), nil
	}
	var parts []sql.Partition
	all := points(lookup)
	for _, p := range all {
		parts = append(parts, &partition{at: p, among: len(all) > 1})
	}
	return sql.PartitionsToPartitionIter(parts...), nil
}

// PartitionRows implements sql.Table.
func (t *Table) PartitionRows(ctx *sql.Context, part sql.Partition) (sql.RowIter, error) {
	p, ok := part.(*partition)
	if !ok {
		return nil, fmt.Errorf("read %s: the partition is a %T", t.name, part)
	}
	rows, err := t.read(ctx, p)
	if err != nil || !p.among {
		return rows, err
	}
	return t.only(rows, p.at), nil
}

// read gives the rows of a partition, and others if that is easier.
func (t *Table) read(ctx *sql.Context, p *partition) (sql.RowIter, error) {
	if t.scan != nil {
		return t.scan(ctx, scan{at: p.at, cols: t.cols, order: p.order})
	}
	rows, err := t.rows(ctx, p.at)
	if err != nil || t.cols == nil {
		return rows, err
	}
	return closingRows{
		rowsFunc: func(ctx *sql.Context) (sql.Row, error) {
			row, err := rows.Next(ctx)
			if err != nil {
				return nil, err
			}
			out := make(sql.Row, len(t.cols))
			for i, c := range t.cols {
				out[i] = row[c]
			}
			return out, nil
		},
		close: rows.Close,
	}, nil
}

// only leaves out the rows that have other values than a point's: they are given for another point, if at all.
func (t *Table) only(rows sql.RowIter, at Point) sql.RowIter {
	return closingRows{
		rowsFunc: func(ctx *sql.Context) (sql.Row, error) {
			for {
				row, err := rows.Next(ctx)
				if err != nil {
					return nil, err
				}
				fits := true
				for i, c := range t.schema {
					want, ok := at[lower(c.Name)]
					if !ok {
						continue
					}
					order, err := c.Type.Compare(ctx, row[i], want)
					if err != nil {
						return nil, err
					}
					fits = fits && order == 0
				}
				if fits {
					return row, nil
				}
			}
		},
		close: rows.Close,
	}
}

// partition is the rows at a point, or all.
type partition struct {
	at    Point
	among bool // there are others
	order order
}

// Key implements sql.Partition.
func (p *partition) Key() []byte { return fmt.Append(nil, p.at) }

// required is a system table that cannot be read whole.
type required struct {
	*Table
	columns []string
}

var _ sql.IndexRequired = (*required)(nil)

// RequiredPredicates implements sql.IndexRequired.
func (t *required) RequiredPredicates() []string { return t.columns }

// WithProjections implements sql.ProjectedTable.
func (t *required) WithProjections(_ *sql.Context, names []string) (sql.Table, error) {
	c, err := t.project(names)
	if err != nil {
		return nil, err
	}
	return &required{Table: c, columns: t.columns}, nil
}

// IndexedAccess implements sql.IndexAddressable.
func (t *required) IndexedAccess(*sql.Context, sql.IndexLookup) sql.IndexedTable { return t }

// rowsFunc is a row iterator of a function that gives the next row, or io.EOF.
type rowsFunc func(ctx *sql.Context) (sql.Row, error)

// Next implements sql.RowIter.
func (f rowsFunc) Next(ctx *sql.Context) (sql.Row, error) { return f(ctx) }

// Close implements sql.RowIter.
func (f rowsFunc) Close(*sql.Context) error { return nil }

// closingRows is rowsFunc with something to be closed.
type closingRows struct {
	rowsFunc
	close func(ctx *sql.Context) error
}

// Close implements sql.RowIter.
func (c closingRows) Close(ctx *sql.Context) error { return c.close(ctx) }

// each is a row iterator that asks for batches of rows and gives them one by one. more is false when there are no further batches.
func each(batch func(ctx *sql.Context) (rows []sql.Row, more bool, err error)) sql.RowIter {
	var rows []sql.Row
	more := true
	return rowsFunc(func(ctx *sql.Context) (sql.Row, error) {
		for len(rows) == 0 {
			if !more {
				return nil, io.EOF
			}
			var err error
			if rows, more, err = batch(ctx); err != nil {
				return nil, err
			}
		}
		r := rows[0]
		rows = rows[1:]
		return r, nil
	})
}

// noRows is an iterator over nothing.
func noRows() sql.RowIter { return sql.RowsToRowIter() }
