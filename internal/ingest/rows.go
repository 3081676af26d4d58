package ingest

import (
	"bytes"
	"cmp"
	"context"
	"slices"

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

func (b *batch) reset() { b.data, b.rows, b.rejects = b.data[:0], b.rows[:0], b.rejects[:0] }

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
	held  *table.Completing[rowSpan] // nil: rows are complete as they are
	out   *batch                     // that rows go to
	where func(s rowSpan) (raw []byte, line int64)
	err   error // rows cannot be made
	split splitter
	rec   Record
	cells []value.Cell
	old   []value.Cell // of the row that the table has; nil when they do not matter
	key   []byte
	tuple []byte
}

// begin turns to a block whose rows go to out. where gives a record's text and line.
func (w *rowWorker) begin(out *batch, where func(s rowSpan) (raw []byte, line int64)) error {
	out.reset()
	w.out, w.where = out, where
	return w.err
}

// unreadable takes a record that is no row. Rows that are held come before it.
func (w *rowWorker) unreadable(ctx context.Context, s rowSpan, bad *LineError) error {
	if w.held != nil && w.l.opt.Reject == nil {
		if err := w.held.Flush(ctx); err != nil {
			return err
		}
	}
	return w.refuse(s, bad)
}

// refuse takes a record that cannot be loaded; without a Reject its error ends the load.
func (w *rowWorker) refuse(s rowSpan, bad *LineError) error {
	raw, line := w.where(s)
	bad.File, bad.Unit = w.l.src.Name, w.l.src.Unit
	if bad.Line == 0 {
		bad.Line = line
	}
	if w.l.opt.Reject == nil {
		return bad
	}
	w.out.rejects = append(w.out.rejects, reject{bytes.Clone(raw), bad})
	return nil
}

// end ends the block.
func (w *rowWorker) end(ctx context.Context) error {
	if w.held == nil {
		return nil
	}
	err := w.held.Flush(ctx)
	slices.SortStableFunc(w.out.rejects, func(a, b reject) int { return cmp.Compare(a.bad.Line, b.bad.Line) })
	return err
}

// block makes the rows of a block.
func (w *rowWorker) block(ctx context.Context, b *block, out *batch) error {
	l := w.l
	w.split.reset(b.data, b.line)
	if err := w.begin(out, func(s rowSpan) (raw []byte, line int64) {
		if len(b.data) >= int(s.at+s.raw) {
			raw = b.data[s.at : s.at+s.raw]
		}
		return raw, b.line + int64(s.line)
	}); err != nil {
		return err
	}
	header := l.opt.Format.header(b)
	for {
		ok, bad := w.split.Next(&w.rec)
		if !ok {
			return w.end(ctx)
		}
		if header {
			header = false
			continue
		}
		if bad == nil && l.opt.Format.blank(&w.rec, len(l.fields)) {
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
		span := rowSpan{line: int32(w.rec.Line - b.line), at: int32(w.rec.at), raw: int32(len(w.rec.Raw))}
		var err error
		if bad != nil {
			err = w.unreadable(ctx, span, bad)
		} else {
			err = w.row(ctx, span)
		}
		if err != nil {
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

// row takes the cells as a row.
func (w *rowWorker) row(ctx context.Context, span rowSpan) error {
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
	if w.held != nil {
		return w.held.Add(ctx, w.cells, span)
	}
	return w.append(ctx, w.cells, span)
}

// append encodes the cells of a row that is complete.
func (w *rowWorker) append(ctx context.Context, cells []value.Cell, span rowSpan) error {
	out := w.out
	at := len(out.data)
	data, row, err := w.enc.Append(ctx, out.data, w.tuple[:0], cells)
	if err != nil {
		return err
	}
	w.tuple = row
	out.data = append(data, row...)
	span.key, span.row = len(data)-at, len(row)
	out.rows = append(out.rows, span)
	return nil
}

// number gives the row its AUTO_INCREMENT value.
func (w *rowWorker) number(ctx context.Context) (err error) {
	t := w.l.schema.Columns[w.l.schema.AutoColumn()].Type
	w.cells[w.l.auto], err = table.AutoCell(t, w.cells[w.l.auto], func(given uint64) (uint64, error) { return w.l.opt.Auto(ctx, given) })
	return err
}
