package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"runtime"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/page"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// LoadBatches gives the table base with the rows of record batches, as Load does with those of a file. opt.Columns are the columns of
// the table that those of the batches go to.
func LoadBatches(ctx context.Context, st chunk.Store, base *table.Table, name string, b Batches, opt LoadOptions) (*table.Table, Stats, error) {
	l, err := newLoading(st, base, Source{Name: name, Unit: "row"}, opt)
	if err != nil {
		return nil, Stats{}, err
	}
	l.run = func(ctx context.Context, take func(*loaded) error) error { return l.batches(ctx, b, nil, take) }
	l.once = true
	return l.load(ctx, base)
}

// columnar reads the columns of a Parquet or Arrow file that go anywhere.
func (l *loading) columnar(ctx context.Context, take func(*loaded) error) (err error) {
	var want []int
	for i, c := range l.opt.Columns {
		if c >= 0 {
			want = append(want, i)
		}
	}
	b, err := OpenBatches(l.src, l.opt.Format, want)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	if l.opt.Format.Type != Parquet {
		want = nil
	}
	return l.batches(ctx, b, want, take)
}

// recordBlock is a batch on its way through the workers.
type recordBlock struct {
	rec  arrow.RecordBatch
	line int64 // of its first row, from 1
}

// batches reads record batches. fields are the fields that their columns are; nil for all in their order.
func (l *loading) batches(ctx context.Context, b Batches, fields []int, take func(*loaded) error) error {
	line := int64(1)
	next := func(r *recordBlock) (ok bool, err error) {
		r.rec, err = b.Next(ctx)
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		r.line = line
		line += r.rec.NumRows()
		return true, nil
	}
	worker := func() func(*recordBlock, *batch) error {
		w := l.newRowWorker(ctx)
		return func(r *recordBlock, out *batch) error {
			defer r.rec.Release()
			return w.record(ctx, r, fields, out)
		}
	}
	return each(ctx, next, l.opt.Workers, worker, func(r *recordBlock, out *batch) error {
		return take(&loaded{rows: out, line: r.line, read: r.rec.NumRows()})
	})
}

// record makes the rows of a record batch.
func (w *rowWorker) record(ctx context.Context, r *recordBlock, fields []int, out *batch) (err error) {
	defer recovered(&err)
	l := w.l
	if err := w.begin(out, func(s rowSpan) (raw []byte, line int64) {
		return recordText(r.rec, int(s.line)), r.line + int64(s.line)
	}); err != nil {
		return err
	}
	type column struct {
		arr   arrow.Array
		field *field
		at    page.CellFunc
		name  string
	}
	cols := make([]column, 0, r.rec.NumCols())
	for c := range int(r.rec.NumCols()) {
		n := c
		if fields != nil {
			n = fields[c]
		}
		f := &l.fields[n]
		if f.cell < 0 {
			continue
		}
		arr := r.rec.Column(c)
		at, err := cellsOf(arr, f.typ, l.opt.Format.Nulls)
		if err != nil {
			return &LineError{File: l.src.Name, Unit: "row", Line: r.line, Column: l.opt.Names[n], Err: err}
		}
		cols = append(cols, column{arr, f, at, l.opt.Names[n]})
	}
	for i := range int(r.rec.NumRows()) {
		copy(w.cells, l.template)
		var bad *LineError
		for c := range cols {
			col := &cols[c]
			cell := value.Null
			if !col.arr.IsNull(i) {
				if cell, err = col.at(i); err != nil {
					bad = &LineError{Column: col.name, Err: err}
					break
				}
			}
			if cell.IsNull() && col.field.notNull {
				bad = &LineError{Column: col.name, Err: errs.New(errs.Constraint, "it cannot be NULL")}
				break
			}
			w.cells[col.field.cell] = cell
		}
		if bad != nil {
			if err := w.unreadable(ctx, rowSpan{line: int32(i)}, bad); err != nil {
				return err
			}
			continue
		}
		if err := w.row(ctx, rowSpan{line: int32(i)}); err != nil {
			return err
		}
	}
	return w.end(ctx)
}

// recordText is row i of a batch as a JSON object, for people.
func recordText(rec arrow.RecordBatch, i int) []byte {
	m := map[string]any{}
	for c, f := range rec.Schema().Fields() {
		m[f.Name] = rec.Column(c).ValueStr(i)
	}
	b, _ := json.Marshal(m) // a map of strings
	return b
}

// inferBatches finds the types of a file's columns. Those of text and bytes of unknown length are read for it, and those of moments, which go
// beyond what TIMESTAMP holds where 9999-12-31 means for ever.
func inferBatches(ctx context.Context, src Source, opt InferOptions) (*Inferred, error) {
	if opt.AllText {
		return nil, errs.New(errs.Unsupported, "read %s: its columns have types, so --all-text does not go with it", src.Name)
	}
	b, err := OpenBatches(src, opt.Format, nil)
	if err != nil {
		return nil, err
	}
	s := b.Schema()
	out := &Inferred{Types: make([]value.Type, s.NumFields()), Nulls: make([]bool, s.NumFields()), Key: PrimaryKeyOf(s)}
	var opens []int
	for i, f := range s.Fields() {
		t, open, err := TypeOf(f)
		if err != nil {
			return nil, errors.Join(errs.New(errs.CodeOf(err), "read %s, column %s: %w", src.Name, f.Name, err), b.Close())
		}
		if out.Types[i], out.Nulls[i] = t, f.Nullable; open || t.Kind == value.KindTimestamp && f.Type.ID() == arrow.TIMESTAMP {
			opens = append(opens, i)
		}
	}
	if err := b.Close(); err != nil || len(opens) == 0 {
		return out, err
	}
	lengths, err := textLengths(ctx, src, opt.Format, opens)
	if err != nil {
		return nil, err
	}
	for k, i := range opens {
		if out.Types[i].Kind != value.KindTimestamp {
			out.Types[i] = fitText(out.Types[i], lengths[k].chars, lengths[k].bytes)
		} else if lengths[k].far {
			out.Types[i].Kind = value.KindDatetime // in UTC all the same
		}
	}
	return out, nil
}

// textLength is the length of the longest text of a column; far tells of one of moments that TIMESTAMP does not hold all of them.
type textLength struct {
	chars, bytes int
	far          bool
}

// textLengths reads columns for the lengths of their texts.
func textLengths(ctx context.Context, src Source, f Format, columns []int) (_ []textLength, err error) {
	b, err := OpenBatches(src, f, columns)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	all := make([]textLength, len(columns))
	next := func(r *recordBlock) (ok bool, err error) {
		if r.rec, err = b.Next(ctx); errors.Is(err, io.EOF) {
			return false, nil
		}
		return err == nil, err
	}
	worker := func() func(*recordBlock, *[]textLength) error {
		return func(r *recordBlock, out *[]textLength) (err error) {
			defer recovered(&err)
			defer r.rec.Release()
			*out = make([]textLength, len(columns))
			for k, c := range columns {
				if f.Type == Parquet {
					c = k
				}
				(*out)[k].observe(r.rec.Column(c))
			}
			return nil
		}
	}
	err = each(ctx, next, runtime.GOMAXPROCS(0), worker, func(_ *recordBlock, ls *[]textLength) error {
		for k, l := range *ls {
			all[k] = textLength{max(all[k].chars, l.chars), max(all[k].bytes, l.bytes), all[k].far || l.far}
		}
		return nil
	})
	return all, err
}

// observe takes the texts of an array into account.
func (l *textLength) observe(arr arrow.Array) {
	if d, ok := arr.(*array.Dictionary); ok {
		l.observe(d.Dictionary())
		return
	}
	if e, ok := arr.(array.ExtensionArray); ok {
		l.observe(e.Storage())
		return
	}
	if ts, ok := arr.(*array.Timestamp); ok {
		l.moments(ts)
		return
	}
	for i := range arr.Len() {
		if arr.IsNull(i) {
			continue
		}
		switch a := arr.(type) {
		case interface{ Value(int) string }:
			if v := a.Value(i); len(v) > l.chars {
				l.chars, l.bytes = max(l.chars, utf8.RuneCountInString(v)), max(l.bytes, len(v))
			}
		case interface{ Value(int) []byte }:
			l.bytes = max(l.bytes, len(a.Value(i)))
		default:
			l.bytes = max(l.bytes, len(arr.ValueStr(i)))
			l.chars = l.bytes
		}
	}
}

// moments takes moments into account.
func (l *textLength) moments(arr *array.Timestamp) {
	per := int64(arr.DataType().(*arrow.TimestampType).Unit.Multiplier()) // nanoseconds
	lo, hi := value.MinTimestamp, value.MaxTimestamp
	if per >= 1000 {
		lo, hi = (lo+per/1000-1)/(per/1000), hi/(per/1000)
	} else {
		lo, hi = lo*1000/per, (hi*1000+999)/per
	}
	for i := range arr.Len() {
		if v := int64(arr.Value(i)); !arr.IsNull(i) && (v < lo || v > hi) {
			l.far = true
			return
		}
	}
}
