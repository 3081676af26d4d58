package sqltable

import (
	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// keyless updates and deletes rows of a table without primary key. The engine names them by their values, the table by their
// ordinals. Where a unique index has the values the row is found there; else the edits wait until the end of the statement, when
// one pass over the table finds them all.
type keyless struct {
	e       *editor
	waiting map[string][]waiting // by the tuple of the row with ordinal 0
	count   int
	enc     *table.Encoder
}

// waiting is an edit of one row: its new cells, nil when it is deleted.
type waiting struct{ new []value.Cell }

func (k *keyless) forget() { k.waiting, k.count = nil, 0 }

// edit updates or, when new is nil, deletes a row with the values of old.
func (k *keyless) edit(ctx *sql.Context, ed *table.Editor, old sql.Row, new []value.Cell) error {
	d := k.e.def
	if err := d.rows.ToCells(ctx, old, k.e.old); err != nil {
		return err
	}
	k.e.old[0] = value.IntCell(0)
	if k.enc == nil {
		k.enc = table.NewEncoder(k.e.t.part.Tx().Store(), d.Schema)
	}
	_, tuple, err := k.enc.Append(ctx, nil, nil, k.e.old)
	if err != nil {
		return err
	}
	found, err := k.byIndex(ctx, ed, tuple)
	if err != nil {
		return err
	}
	if found != nil {
		return change(ctx, ed, found, new)
	}
	w := waiting{}
	if new != nil {
		w.new = make([]value.Cell, len(new))
		for i := range new {
			w.new[i] = new[i].Clone()
		}
	}
	if k.waiting == nil {
		k.waiting = map[string][]waiting{}
	}
	k.waiting[string(tuple)] = append(k.waiting[string(tuple)], w)
	k.count++
	return nil
}

func change(ctx *sql.Context, ed *table.Editor, old, new []value.Cell) error {
	var err error
	if new == nil {
		_, err = ed.Delete(ctx, old)
	} else {
		_, err = ed.Update(ctx, old, new)
	}
	return err
}

// byIndex finds the row with that tuple, ordinals aside, through a unique index; nil when no index can tell.
func (k *keyless) byIndex(ctx *sql.Context, ed *table.Editor, tuple []byte) ([]value.Cell, error) {
	s, v := k.e.def.Schema, ed.View()
	for n := range s.Indexes {
		if !s.Indexes[n].Unique {
			continue
		}
		l := s.Index[n]
		var prefix []byte
		null := false
		for i := range s.Indexes[n].Columns {
			c, err := table.Resolve(ctx, v.Reader(), k.e.old[l.Source[i].Cell])
			if err != nil {
				return nil, err
			}
			null = null || c.IsNull() || l.Source[i].Prefix > 0
			prefix = value.AppendKeyPart(prefix, &l.Parts[i], c)
		}
		if null {
			continue
		}
		entry, ok, err := v.HasPrefix(ctx, table.Rows(n), prefix)
		if err != nil || !ok {
			return nil, err
		}
		cells := make([]value.Cell, len(l.Phys))
		if err := value.DecodeTuple(entry, l.Phys, cells); err != nil {
			return nil, err
		}
		row := make([]value.Cell, len(s.Primary.Phys))
		if ok, err = v.Get(ctx, v.RowKey(n, cells), row); err != nil || !ok {
			return nil, err
		}
		ordinal := row[0]
		row[0] = value.IntCell(0)
		if string(value.AppendTuple(nil, s.Primary.Phys, row)) != string(tuple) {
			return nil, nil
		}
		row[0] = ordinal
		return row, nil
	}
	return nil, nil
}

// apply makes the edits that wait.
func (k *keyless) apply(ctx *sql.Context) error {
	if k.count == 0 {
		return nil
	}
	defer k.forget()
	ed, err := k.e.rows(ctx)
	if err != nil {
		return err
	}
	phys := k.e.def.Schema.Primary.Phys
	scan := ed.Freeze().Scan(table.ScanOptions{Rows: table.RowsTree})
	cells := make([]value.Cell, len(phys))
	var tuple []byte
	for k.count > 0 {
		b, ok, err := scan.Next(ctx)
		if err != nil || !ok {
			return err
		}
		lo, hi := b.Lo, b.Hi
		if b.Page == nil {
			lo, hi = 0, 1
		}
		for i := lo; i < hi && k.count > 0; i++ {
			row := b.Row
			if b.Page != nil {
				if row, err = b.Page.AppendRow(ctx, nil, i); err != nil {
					return err
				}
			}
			if err := value.DecodeTuple(row, phys, cells); err != nil {
				return err
			}
			ordinal := cells[0]
			cells[0] = value.IntCell(0)
			tuple = value.AppendTuple(tuple[:0], phys, cells)
			list := k.waiting[string(tuple)]
			if len(list) == 0 {
				continue
			}
			k.waiting[string(tuple)] = list[1:]
			k.count--
			cells[0] = ordinal
			if err := change(ctx, ed, cells, list[0].new); err != nil {
				return err
			}
		}
	}
	return nil
}
