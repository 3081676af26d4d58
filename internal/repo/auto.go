package repo

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// autoCounters give out AUTO_INCREMENT values: one counter a table name, shared by all branches, so that rows made on two branches
// merge. They are outside every hash; after a crash or in a clone they begin again above the largest value of any branch.
type autoCounters struct {
	mu   sync.Mutex
	next map[string]uint64
}

func (a *autoCounters) load(list []autoChange) {
	a.next = map[string]uint64{}
	for _, x := range list {
		a.next[x.table] = x.next
	}
}

func (a *autoCounters) forget() { a.next = nil }

func (a *autoCounters) save() []autoChange {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []autoChange
	for _, t := range slices.Sorted(maps.Keys(a.next)) {
		out = append(out, autoChange{table: t, next: a.next[t]})
	}
	return out
}

// PeekAuto is the value that the table's AUTO_INCREMENT column would get next.
func (t *Tx) PeekAuto(ctx context.Context, name string) (uint64, error) {
	if t.r.load != nil {
		return 0, ErrOwnerOnly
	}
	a := &t.r.auto
	a.mu.Lock()
	defer a.mu.Unlock()
	return t.autoLocked(ctx, name)
}

// NextAuto gives out a value for the table's AUTO_INCREMENT column. When given is not 0 it is the value that a row brings: the
// counter goes above it and given is returned.
func (t *Tx) NextAuto(ctx context.Context, name string, given uint64) (uint64, error) {
	if t.r.load != nil {
		return 0, ErrOwnerOnly
	}
	a := &t.r.auto
	a.mu.Lock()
	defer a.mu.Unlock()
	n, err := t.autoLocked(ctx, name)
	if err != nil {
		return 0, err
	}
	if given != 0 {
		if given >= n { // above the greatest value there is none to give out
			a.next[strings.ToLower(name)] = max(given, given+1)
		}
		return given, nil
	}
	a.next[strings.ToLower(name)] = n + 1
	return n, nil
}

// SetAuto sets the next value of the table's AUTO_INCREMENT column; values that rows have already are passed over.
func (t *Tx) SetAuto(ctx context.Context, name string, next uint64) error {
	if t.r.load != nil {
		return ErrOwnerOnly
	}
	a := &t.r.auto
	a.mu.Lock()
	defer a.mu.Unlock()
	top, err := t.maxAuto(ctx, name)
	if err != nil {
		return err
	}
	if a.next == nil {
		a.next = map[string]uint64{}
	}
	a.next[strings.ToLower(name)] = max(next, top+1)
	return nil
}

// autoLocked is the next value, found in the branches when it is not known.
func (t *Tx) autoLocked(ctx context.Context, name string) (uint64, error) {
	a := &t.r.auto
	if a.next == nil {
		a.next = map[string]uint64{}
	}
	l := strings.ToLower(name)
	if n := a.next[l]; n != 0 {
		return n, nil
	}
	top, err := t.maxAuto(ctx, name)
	if err != nil {
		return 0, err
	}
	a.next[l] = top + 1
	return top + 1, nil
}

// maxAuto is the largest value of the AUTO_INCREMENT column in this transaction and in the working set of any branch; 0 for none.
func (t *Tx) maxAuto(ctx context.Context, name string) (uint64, error) {
	var top uint64
	take := func(v *table.View) error {
		m, err := maxOf(ctx, v)
		top = max(top, m)
		return err
	}
	if v, _, ok, err := t.Table(ctx, name); err != nil {
		return 0, err
	} else if ok {
		if err := take(v); err != nil {
			return 0, err
		}
	}
	l := strings.ToLower(name)
	var err error
	t.r.published.Load().branches.Scan(func(n string, b *branch) bool {
		if n == t.branch && t.whole[l] {
			return true // what this transaction has replaced counts no more
		}
		var e root.Entry
		var ok bool
		if e, ok, err = root.Open(t.r.store, b.working).Get(ctx, root.KindTable, name); err != nil || !ok {
			return err == nil
		}
		var tab *table.Table
		if tab, err = t.r.openTable(ctx, e); err == nil {
			err = take(table.NewView(t.r.store, tab, b.tables.get(l).over))
		}
		return err == nil
	})
	return top, err
}

// raiseAuto puts counters that are known above what tables of a root have, by lower-case names: rows can come from where the column was no
// AUTO_INCREMENT column yet, and counted nothing.
func (r *Repo) raiseAuto(ctx context.Context, rd chunk.Reader, rt *root.Root, names []string) error {
	for _, l := range names {
		r.auto.mu.Lock()
		known := r.auto.next[l]
		r.auto.mu.Unlock()
		if known == 0 {
			continue
		}
		e, ok, err := rt.Get(ctx, root.KindTable, l)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		tab, err := table.Open(ctx, rd, &r.schemas, e.Table, e.Comments)
		if err != nil {
			return err
		}
		top, err := maxOf(ctx, table.NewView(rd, tab, nil))
		if err != nil {
			return err
		}
		r.auto.mu.Lock()
		if r.auto.next[l] != 0 && top >= r.auto.next[l] {
			r.auto.next[l] = max(top, top+1)
		}
		r.auto.mu.Unlock()
	}
	return nil
}

// maxOf is the largest positive value of a view's AUTO_INCREMENT column, by the key that begins with it, else by a scan.
func maxOf(ctx context.Context, v *table.View) (uint64, error) {
	s := v.Schema()
	col := s.AutoColumn()
	if col < 0 || v.Count() == 0 {
		return 0, nil
	}
	id, typ := s.Columns[col].ID, s.Columns[col].Type
	tree, cell, whole := table.RowsTree, col, true
	if s.Keyless() {
		cell++
	}
	if len(s.PrimaryKey) > 0 && s.PrimaryKey[0].Column == id && !s.PrimaryKey[0].Desc {
		whole = false
	} else {
		for n := range s.Indexes {
			if c := s.Indexes[n].Columns[0]; c.Column == id && !c.Desc && c.Prefix == 0 {
				tree, cell, whole = table.Rows(n), 0, false
			}
		}
	}
	scan := v.Scan(table.ScanOptions{Rows: tree, Reverse: true})
	phys := v.Layout(tree).Phys
	cells := make([]value.Cell, len(phys))
	var top uint64
	for {
		b, ok, err := scan.Next(ctx)
		if err != nil || !ok {
			return top, err
		}
		lo, hi := b.Lo, b.Hi
		if b.Page == nil {
			lo, hi = 0, 1
		}
		for i := hi - 1; i >= lo; i-- {
			if b.Page == nil {
				err = value.DecodeTuple(b.Row, phys, cells)
			} else {
				cells[cell], err = b.Page.Cell(ctx, cell, i)
			}
			if err != nil {
				return 0, err
			}
			top = max(top, autoValue(typ, cells[cell]))
			if !whole {
				return top, nil
			}
		}
	}
}

// autoValue is the value of an AUTO_INCREMENT cell; 0 for those that count for nothing.
func autoValue(t value.Type, c value.Cell) uint64 {
	switch {
	case c.IsNull():
		return 0
	case t.Kind == value.KindUint64:
		return uint64(c.Int()) ^ 1<<63
	case t.Phys() == value.Float64:
		return uint64(max(c.Float(), 0))
	case t.Phys() == value.Float32:
		return uint64(max(c.Float32(), 0))
	}
	return uint64(max(c.Int(), 0))
}
