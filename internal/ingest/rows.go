package ingest

import (
	"bytes"
	"context"
	"strconv"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// batch is the rows of a block, encoded.
type batch struct {
	data    []byte // key and tuple of each row
	rows    []rowSpan
	rejects []reject
}

// rowSpan is the length in bytes of a row's key and tuple, and where its record is.
type rowSpan struct {
	key, row int
	line     int32 // behind the block's first
	at, raw  int32 // place in the block and length, in bytes
}

// reject is a record that cannot be loaded.
type reject struct {
	raw []byte
	bad *LineError
}

// rowWorker makes rows of records.
type rowWorker struct {
	l     *loading
	enc   *table.Encoder
	split Splitter
	rec   Record
	cells []value.Cell
	old   []value.Cell // of the row that the table has; nil when they do not matter
	key   []byte
	row   []byte
}

// block makes the rows of a block.
func (w *rowWorker) block(ctx context.Context, b *block, out *batch) error {
	l := w.l
	out.data, out.rows, out.rejects = out.data[:0], out.rows[:0], out.rejects[:0]
	w.split.Reset(b.data, b.line, l.opt.Format.Comma)
	header := b.line == 1 && !l.opt.Format.NoHeader
	for {
		ok, bad := w.split.Next(&w.rec)
		if !ok {
			return nil
		}
		if header {
			header = false
			continue
		}
		if len(l.fields) > 1 && bad == nil && w.rec.Blank() {
			continue
		}
		if bad == nil {
			if b.suspect {
				bad = checkRecord(&w.rec, l.opt.Names, l.raw)
			}
			if bad == nil {
				bad = w.parse()
			}
		}
		if bad != nil {
			bad.File = l.src.Name
			if l.opt.Reject == nil {
				return bad
			}
			out.rejects = append(out.rejects, reject{bytes.Clone(w.rec.Raw), bad})
			continue
		}
		if err := w.append(ctx, out, b); err != nil {
			return err
		}
	}
}

// parse fills the cells from the record.
func (w *rowWorker) parse() *LineError {
	l := w.l
	if len(w.rec.Fields) != len(l.fields) {
		return &LineError{Line: w.rec.Line, Err: errFields(len(w.rec.Fields), len(l.fields))}
	}
	if l.opt.Format.Nulls != nil {
		l.opt.Format.nullify(&w.rec)
	}
	copy(w.cells, l.template)
	for i, text := range w.rec.Fields {
		f := &l.fields[i]
		if f.cell < 0 {
			continue
		}
		if len(text) == 0 && (text == nil || !f.empty) {
			if f.notNull {
				return &LineError{Line: w.rec.Line, Column: l.opt.Names[i], Err: errNull(f)}
			}
			w.cells[f.cell] = value.Null
			continue
		}
		c, err := value.Parse(f.typ, text)
		if err != nil {
			if mayBeNull(text) && (w.rec.Quoted == nil || !w.rec.Quoted[i]) {
				err = errs.New(errs.CodeOf(err), "%w; if %s means NULL, say --null '%[2]s'", err, text)
			}
			return &LineError{Line: w.rec.Line, Column: l.opt.Names[i], Err: err}
		}
		w.cells[f.cell] = c
	}
	return nil
}

func errNull(f *field) error {
	if f.empty {
		return errs.New(errs.Constraint, `it cannot be NULL, which an empty field means; an empty string is ""`)
	}
	return errs.New(errs.Constraint, "it cannot be NULL, which an empty field means")
}

// append encodes the cells.
func (w *rowWorker) append(ctx context.Context, out *batch, b *block) error {
	l := w.l
	if l.auto >= 0 {
		if err := w.number(ctx); err != nil {
			return err
		}
	}
	if l.view != nil {
		w.key = l.schema.Primary.AppendKey(w.key[:0], w.cells)
		found, err := l.view.Get(ctx, w.key, w.old)
		if err != nil {
			return err
		}
		for _, c := range l.absent {
			if found {
				w.cells[c] = w.old[c]
			}
		}
	}
	at := len(out.data)
	data, row, err := w.enc.Append(ctx, out.data, w.row[:0], w.cells)
	if err != nil {
		return err
	}
	w.row = row
	out.data = append(data, row...)
	out.rows = append(out.rows, rowSpan{
		key: len(data) - at, row: len(row), line: int32(w.rec.Line - b.line), at: int32(w.split.at - len(w.rec.Raw)), raw: int32(len(w.rec.Raw)),
	})
	return nil
}

// number gives the row its AUTO_INCREMENT value. As in SQL, NULL and 0 ask for the next one.
func (w *rowWorker) number(ctx context.Context) error {
	t := w.l.schema.Columns[w.l.schema.AutoColumn()].Type
	c := w.cells[w.l.auto]
	var given uint64
	switch {
	case c.IsNull():
	case t.Kind == value.KindUint64:
		given = c.Uint()
	case t.Phys() != value.Int64 || c.Int() < 0: // stays as it is, and the counter too
		return nil
	default:
		given = uint64(c.Int())
	}
	next, err := w.l.opt.Auto(ctx, given)
	if err != nil {
		return err
	}
	w.cells[w.l.auto], err = value.Parse(t, strconv.AppendUint(nil, next, 10))
	return err
}
