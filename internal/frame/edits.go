package frame

import (
	"context"

	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
)

// completedRows is the number of rows that are completed together.
const completedRows = 512

// edits are changes of rows: in memory while they are few, then sorted in files.
type edits struct {
	l      *load
	rows   encoded
	sorter *table.Sorter

	complete table.Complete // nil: rows are complete as they come
	enc      *table.Encoder
	waiting  encoded // edits whose rows are not completed yet, and the rows of the frame that they are of
	at       []uint64
}

func newEdits(ctx context.Context, l *load) (*edits, error) {
	complete, err := l.completer(ctx)
	return &edits{l: l, complete: complete, enc: table.NewEncoder(l.to.Store(), l.schema)}, err
}

// add takes an edit; a nil row deletes. at is the row of the frame.
func (e *edits) add(ctx context.Context, key, row []byte, at uint64) error {
	if e.complete == nil {
		return e.keep(key, row)
	}
	e.waiting.edit(key, row)
	if e.at = append(e.at, at); len(e.at) < completedRows {
		return nil
	}
	return e.flush(ctx)
}

// stored is a row as the sorter keeps it: a byte ahead tells whether there is one.
func stored(row []byte) []byte {
	if row == nil {
		return []byte{0}
	}
	return append([]byte{1}, row...)
}

func (e *edits) reset() error {
	e.rows, e.waiting, e.at = encoded{}, encoded{}, nil
	return e.close()
}

func (e *edits) close() error {
	if e.sorter == nil {
		return nil
	}
	s := e.sorter
	e.sorter = nil
	return s.Close()
}

// source gives the edits in the order of their keys.
func (e *edits) source(ctx context.Context) (tree.EditSource, error) {
	if err := e.flush(ctx); err != nil {
		return nil, err
	}
	if e.sorter != nil {
		sorted, err := e.sorter.Sort()
		return &sortedEdits{sorted}, err
	}
	var list tree.Edits
	err := e.rows.edits(func(key, row []byte) error {
		list = append(list, tree.Edit{Key: key, Row: row})
		return nil
	})
	return &list, err
}

// sortedEdits are edits that a sorter has sorted.
type sortedEdits struct{ sorted *table.Sorted }

// Next implements tree.EditSource.
func (s *sortedEdits) Next(ctx context.Context) (tree.Edit, bool, error) {
	key, row, ok, err := s.sorted.Next(ctx)
	if err != nil || !ok {
		return tree.Edit{}, false, err
	}
	if row[0] == 0 {
		return tree.Edit{Key: key}, true, nil
	}
	return tree.Edit{Key: key, Row: row[1:]}, true, nil
}

// apply writes the edits: few one by one, many into the tree.
func (e *edits) apply(ctx context.Context) error {
	l := e.l
	if err := e.flush(ctx); err != nil {
		return err
	}
	if e.sorter == nil {
		return e.few(ctx)
	}
	base, err := l.to.FoldTable(ctx, l.name)
	if err != nil {
		return err
	}
	src, err := e.source(ctx)
	if err != nil {
		return err
	}
	t := &table.Table{Schema: base.Schema, Indexes: make([]tree.Root, len(base.Indexes))}
	if t.Rows, err = tree.Apply(ctx, l.to.Store(), base.Schema.Primary.Format, base.Rows, src); err != nil {
		return err
	}
	for n := range t.Indexes {
		if t.Indexes[n], err = table.BuildIndex(ctx, l.to.Store(), t, n, l.loaderOptions()); err != nil {
			return err
		}
	}
	return l.to.PutTable(ctx, l.name, t)
}

// few writes few edits. Deletions come first, so that the values of unique indexes that they give up are free.
func (e *edits) few(ctx context.Context) error {
	if len(e.rows.spans) == 0 {
		return nil
	}
	l := e.l
	ed, err := l.to.Editor(ctx, l.name)
	if err != nil {
		return err
	}
	phys := l.schema.Primary.Phys
	cells, old := make([]value.Cell, len(phys)), make([]value.Cell, len(phys))
	for _, deletions := range []bool{true, false} {
		if err := e.rows.edits(func(key, row []byte) error {
			if (row == nil) != deletions {
				return nil
			}
			found, err := ed.Get(ctx, key, old)
			if err != nil {
				return err
			}
			if row == nil {
				_, err := ed.Delete(ctx, old)
				return err
			}
			if err := value.DecodeTuple(row, phys, cells); err != nil {
				return err
			}
			if found {
				_, err = ed.Update(ctx, old, cells)
			} else {
				err = ed.Insert(ctx, cells)
			}
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// flush completes the rows that wait for it.
func (e *edits) flush(ctx context.Context) error {
	if len(e.at) == 0 {
		return nil
	}
	phys := e.l.schema.Primary.Phys
	var rows [][]value.Cell
	var at []uint64
	n := 0
	if err := e.waiting.edits(func(_, row []byte) error {
		if row != nil {
			cells := make([]value.Cell, len(phys))
			if err := value.DecodeTuple(row, phys, cells); err != nil {
				return err
			}
			rows, at = append(rows, cells), append(at, e.at[n])
		}
		n++
		return nil
	}); err != nil {
		return err
	}
	if len(rows) > 0 {
		refused, err := table.CompleteRows(ctx, e.l.schema, e.complete, rows)
		if err != nil {
			return err
		}
		if len(refused) > 0 {
			r := &refused[0]
			return e.l.rowError(r.Column, rows[r.Row], at[r.Row], r.Err)
		}
	}
	n = 0
	var made []byte
	err := e.waiting.edits(func(key, row []byte) error {
		if row == nil {
			return e.keep(key, nil)
		}
		var err error
		if _, made, err = e.enc.Append(ctx, nil, made[:0], rows[n]); err != nil {
			return e.l.rowError("", rows[n], at[n], err)
		}
		n++
		return e.keep(key, made)
	})
	e.waiting, e.at = encoded{e.waiting.data[:0], e.waiting.spans[:0]}, e.at[:0]
	return err
}

// keep takes an edit whose row is complete.
func (e *edits) keep(key, row []byte) error {
	if e.sorter != nil {
		return e.sorter.Add(key, stored(row))
	}
	e.rows.edit(key, row)
	if len(e.rows.spans) <= e.l.opt.Few && len(e.rows.data) <= fewBytes {
		return nil
	}
	e.sorter = table.NewSorter(e.l.opt.FS, e.l.opt.TempDir, e.l.opt.Memory)
	err := e.rows.edits(func(key, row []byte) error { return e.sorter.Add(key, stored(row)) })
	e.rows = encoded{}
	return err
}

// edit appends an edit; a nil row, which deletes, has the length -1.
func (r *encoded) edit(key, row []byte) {
	r.data = append(append(r.data, key...), row...)
	n := len(row)
	if row == nil {
		n = -1
	}
	r.spans = append(r.spans, span{len(key), n})
}

// edits gives the edits that were appended.
func (r *encoded) edits(fn func(key, row []byte) error) error {
	at := 0
	for _, s := range r.spans {
		key := r.data[at : at+s.key]
		at += s.key
		var row []byte
		if s.row >= 0 {
			row = r.data[at : at+s.row]
			at += s.row
		}
		if err := fn(key, row); err != nil {
			return err
		}
	}
	return nil
}
