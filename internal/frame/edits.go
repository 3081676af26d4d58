package frame

import (
	"context"

	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
)

// edits are changes of rows: in memory while they are few, then sorted in files.
type edits struct {
	l      *load
	rows   encoded
	sorter *table.Sorter
}

func newEdits(l *load) *edits { return &edits{l: l} }

// add takes an edit; a nil row deletes.
func (e *edits) add(_ context.Context, key, row []byte) error {
	if e.sorter != nil {
		return e.sorter.Add(key, stored(row))
	}
	e.rows.data = append(append(e.rows.data, key...), row...)
	n := len(row)
	if row == nil {
		n = -1
	}
	e.rows.spans = append(e.rows.spans, span{len(key), n})
	if len(e.rows.spans) <= e.l.opt.Few && len(e.rows.data) <= fewBytes {
		return nil
	}
	e.sorter = table.NewSorter(e.l.opt.FS, e.l.opt.TempDir, e.l.opt.Memory)
	err := e.each(func(key, row []byte) error { return e.sorter.Add(key, stored(row)) })
	e.rows = encoded{}
	return err
}

// stored is a row as the sorter keeps it: a byte ahead tells whether there is one.
func stored(row []byte) []byte {
	if row == nil {
		return []byte{0}
	}
	return append([]byte{1}, row...)
}

// each gives the edits in memory.
func (e *edits) each(fn func(key, row []byte) error) error {
	at := 0
	for _, s := range e.rows.spans {
		key := e.rows.data[at : at+s.key]
		at += s.key
		var row []byte
		if s.row >= 0 {
			row = e.rows.data[at : at+s.row]
			at += s.row
		}
		if err := fn(key, row); err != nil {
			return err
		}
	}
	return nil
}

func (e *edits) reset() error {
	e.rows = encoded{}
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
func (e *edits) source() (tree.EditSource, error) {
	if e.sorter != nil {
		sorted, err := e.sorter.Sort()
		return &sortedEdits{sorted}, err
	}
	var list tree.Edits
	err := e.each(func(key, row []byte) error {
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
	if e.sorter == nil {
		return e.few(ctx)
	}
	base, err := l.to.FoldTable(ctx, l.name)
	if err != nil {
		return err
	}
	src, err := e.source()
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
		if err := e.each(func(key, row []byte) error {
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
