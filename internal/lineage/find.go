package lineage

import (
	"bytes"
	"context"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// wanted is a column of a table and the value that rows have in it. NULL is equal to NULL.
type wanted struct {
	column int // of the schema
	cell   value.Cell
}

// findRows calls fn for the rows of a view that have the values, until it returns false: by the primary key or an index where one begins
// with columns of them, else by looking at those columns of all rows. The cells are those of the columns, in their order, and are valid
// during the call.
func findRows(ctx context.Context, v *table.View, want []wanted, fn func(cells []value.Cell) (bool, error)) error {
	s := v.Schema()
	shift := 0
	if s.Keyless() {
		shift = 1
	}
	parts := make([]value.KeyPart, len(want))
	keys := make([][]byte, len(want)) // by which values are compared: in the collation of their column
	for i, w := range want {
		parts[i] = value.KeyPart{Type: s.Columns[w.column].Type}
		keys[i] = value.AppendKeyPart(nil, &parts[i], w.cell)
	}
	var key []byte
	fits := func(cell func(column int) (value.Cell, error)) (bool, error) {
		for i, w := range want {
			c, err := cell(w.column + shift)
			if err != nil {
				return false, err
			}
			if c.IsAddr() {
				if c, err = table.Resolve(ctx, v.Reader(), c); err != nil {
					return false, err
				}
			}
			if key = value.AppendKeyPart(key[:0], &parts[i], c); !bytes.Equal(key, keys[i]) {
				return false, nil
			}
		}
		return true, nil
	}
	cells := make([]value.Cell, len(v.Layout(table.RowsTree).Phys))
	give := func() (bool, error) {
		for i := range cells {
			var err error
			if cells[i], err = table.Resolve(ctx, v.Reader(), cells[i]); err != nil {
				return false, err
			}
		}
		return fn(cells[shift:])
	}
	opt := chooseRows(v, want, shift)
	entry := make([]value.Cell, len(v.Layout(opt.Rows).Phys))
	scan := v.Scan(opt)
	for {
		b, ok, err := scan.Next(ctx)
		if err == nil {
			err = errs.With(errs.Canceled, ctx.Err())
		}
		if err != nil || !ok {
			return err
		}
		if b.Page == nil {
			if err := value.DecodeTuple(b.Row, v.Layout(opt.Rows).Phys, entry); err != nil {
				return err
			}
		}
		for at := b.Lo; at < max(b.Hi, b.Lo+1); at++ {
			of := func(c int) (value.Cell, error) {
				if b.Page == nil {
					return entry[c], nil
				}
				return b.Page.Cell(ctx, c, at)
			}
			if opt.Rows != table.RowsTree {
				for c := range entry {
					if entry[c], err = of(c); err != nil {
						return err
					}
				}
				if ok, err = v.Get(ctx, v.RowKey(int(opt.Rows), entry), cells); err != nil {
					return err
				}
				if !ok {
					return errs.New(errs.Corrupt, "look up rows: an index names a row that the table lacks")
				}
				of = func(c int) (value.Cell, error) { return cells[c], nil }
			}
			if ok, err = fits(of); err != nil {
				return err
			}
			if !ok {
				continue
			}
			for c := range cells {
				if cells[c], err = of(c); err != nil {
					return err
				}
			}
			if more, err := give(); err != nil || !more {
				return err
			}
		}
	}
}

// chooseRows are the rows to look at: of the key or the index most of whose first parts are wanted.
func chooseRows(v *table.View, want []wanted, shift int) table.ScanOptions {
	best, most := table.ScanOptions{Rows: table.RowsTree}, 0
	try := func(rows table.Rows) {
		l := v.Layout(rows)
		var lo []byte
		n := 0
	parts:
		for i := range l.Parts {
			column := l.Key[i] - shift // of the rows' tree
			if rows != table.RowsTree {
				column = l.Source[l.Key[i]].Cell - shift
			}
			for _, w := range want {
				// Of a part that is shortened equal values have equal beginnings; parts behind it do not follow on the whole value.
				if w.column == column && l.Parts[i].Prefix == 0 {
					lo = value.AppendKeyPart(lo, &l.Parts[i], w.cell)
					n++
					continue parts
				}
			}
			break
		}
		if n > most {
			best, most = table.ScanOptions{Rows: rows, Lo: lo, Hi: value.PrefixEnd(lo)}, n
		}
	}
	try(table.RowsTree)
	for i := range v.Schema().Indexes {
		try(table.Rows(i))
	}
	return best
}
