package systab

import (
	"cmp"
	"io"
	"iter"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/diff"
	"github.com/stemmadb/stemma/internal/table"
)

// rowDiff is the row differences of one table between two moments, as rows of dolt_diff_<table>.
type rowDiff struct {
	from, to *moment // from is nil before the first commit
	of       string  // what errors call the table
	shapes   [2]*shape
	// labels of the two commits as columns show them
	fromName, toName any
	at               Point
	cols             []int // of diffColumns that the rows have; nil for all
}

// diffColumns are the columns of a row difference between tables shown as the two shapes.
func diffColumns(from, to *shape) []*sql.Column {
	cols := to.columns("to_")
	cols = append(cols, wordNull("to_commit"), atNull("to_commit_date"))
	cols = append(cols, from.columns("from_")...)
	return append(cols, wordNull("from_commit"), atNull("from_commit_date"), wordNull("diff_type"))
}

// rows gives the differing rows of the table, which each moment has under a name of its own, as they are found.
func (d *rowDiff) rows(ctx *sql.Context, fromName, toName string) (sql.RowIter, error) {
	a, err := d.from.table(ctx, fromName)
	if err != nil {
		return nil, err
	}
	b, err := d.to.table(ctx, toName)
	if err != nil {
		return nil, err
	}
	d.of = cmp.Or(toName, fromName)
	return d.between(ctx, a, b, nil)
}

// between is rows of two tables that are known, either of which may be nil. Values of columns that are not used are left out; used nil
// is all of them, and goes with rows of all columns otherwise.
func (d *rowDiff) between(ctx *sql.Context, a, b *table.Table, used []bool) (sql.RowIter, error) {
	if a == nil && b == nil {
		return noRows(), nil
	}
	r := both{d.from, d.to}.of(d.of)
	p, err := diff.NewPair(r, a, b)
	if err != nil || p.Same() {
		return noRows(), err
	}
	var opt diff.Options
	if p.Keyed() {
		s := b
		if s == nil {
			s = a
		}
		if lo, hi, ok := d.shapes[1].bounds(ctx, s.Schema, "to_", d.at); ok {
			opt.Lo, opt.Hi = lo, hi
		} else if lo, hi, ok := d.shapes[0].bounds(ctx, s.Schema, "from_", d.at); ok {
			opt.Lo, opt.Hi = lo, hi
		}
	}
	var fromProj, toProj *projector
	if a != nil {
		if fromProj, err = d.shapes[0].projector(a.Schema); err != nil {
			return nil, err
		}
	}
	if b != nil {
		if toProj, err = d.shapes[1].projector(b.Schema); err != nil {
			return nil, err
		}
	}
	kind, byKind := d.at.text("diff_type")
	if byKind && (a == nil && kind != diff.Added.String() || b == nil && kind != diff.Removed.String()) {
		return noRows(), nil // of a table that comes or goes, all rows do
	}
	fields := d.fields()
	next, stop := iter.Pull2(p.Rows(ctx, opt))
	var room []any // of the rows to come
	return closingRows{
		rowsFunc: func(ctx *sql.Context) (sql.Row, error) {
			c, err, ok := next()
			for ok && err == nil && byKind && c.Type.String() != kind {
				c, err, ok = next()
			}
			if err != nil {
				return nil, err
			}
			if !ok {
				return nil, io.EOF
			}
			if len(room) == 0 {
				room = make([]any, rowsAtOnce*len(fields))
			}
			row := sql.Row(room[:len(fields):len(fields)])
			room = room[len(fields):]
			for i := range fields {
				f := &fields[i]
				switch {
				case used != nil && !used[i]:
				case f.side == toSide && c.To.Valid():
					row[i], err = toProj.value(ctx, r, c.To.Cell, f.col)
				case f.side == fromSide && c.From.Valid():
					row[i], err = fromProj.value(ctx, r, c.From.Cell, f.col)
				case f.side == changeType:
					row[i] = typeNames[c.Type]
				case f.side == constantValue:
					row[i] = f.value
				}
				if err != nil {
					return nil, err
				}
			}
			return row, nil
		},
		close: func(*sql.Context) error { stop(); return nil },
	}, nil
}

// rowsAtOnce is the number of rows that are allocated together.
const rowsAtOnce = 16

// typeNames are the words for the types of change, as values.
var typeNames = [...]any{diff.Added: diff.Added.String(), diff.Removed: diff.Removed.String(), diff.Modified: diff.Modified.String()}

// field is where a column of a row difference comes from.
type field struct {
	side  side
	col   int // of the side's shape
	value any // of constantValue
}

type side uint8

const (
	toSide side = iota
	fromSide
	changeType
	constantValue
)

// fields are the columns that rows have.
func (d *rowDiff) fields() []field {
	var all []field
	for i := range d.shapes[1].cols {
		all = append(all, field{side: toSide, col: i})
	}
	all = append(all, field{side: constantValue, value: d.toName}, field{side: constantValue, value: d.to.date()})
	for i := range d.shapes[0].cols {
		all = append(all, field{side: fromSide, col: i})
	}
	all = append(all, field{side: constantValue, value: d.fromName}, field{side: constantValue, value: d.from.date()}, field{side: changeType})
	if d.cols == nil {
		return all
	}
	out := make([]field, len(d.cols))
	for i, c := range d.cols {
		out[i] = all[c]
	}
	return out
}

// chain gives the rows of iterators one after the other. next gives the following iterator; nil ends.
func chain(next func(ctx *sql.Context) (sql.RowIter, error)) sql.RowIter {
	var cur sql.RowIter
	return closingRows{
		rowsFunc: func(ctx *sql.Context) (sql.Row, error) {
			for {
				if cur == nil {
					var err error
					if cur, err = next(ctx); err != nil || cur == nil {
						return nil, orEOF(err)
					}
				}
				row, err := cur.Next(ctx)
				if err != io.EOF {
					return row, err
				}
				err = cur.Close(ctx)
				if cur = nil; err != nil {
					return nil, err
				}
			}
		},
		close: func(ctx *sql.Context) error {
			if cur == nil {
				return nil
			}
			return cur.Close(ctx)
		},
	}
}
