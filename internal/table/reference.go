package table

import (
	"bytes"
	"context"
	"slices"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/value"
)

// Reference is a foreign key between the rows of two views.
type Reference struct {
	child, parent *View
	childRows     Rows  // the tree that is read for children
	cells         []int // in its tuples, for each column of the foreign key
	parentRows    Rows  // the tree in which parents are looked up
	order         []int // for each leading part of its key: the column of the foreign key
	childOrder    []int // the same of childRows, nil when that is not in the order of the foreign key
	own, others   []int // for each column of the foreign key: the cell in rows of the child, of the parent
}

// NewReference prepares the foreign key f of child's table, whose parent is the other view. It is of class Invalid when the parent has
// not the columns, or no primary key or index that begins with them.
func NewReference(child, parent *View, f *schema.ForeignKey) (*Reference, error) {
	r := &Reference{child: child, parent: parent, childRows: RowsTree}
	ps, cs := parent.Schema().Schema, child.Schema().Schema
	ids := make([]uint64, len(f.ParentColumns))
	for i, n := range f.ParentColumns {
		c := ps.ColumnIndex(n)
		if c < 0 {
			return nil, errs.New(errs.Invalid, "foreign key %s: table %s has no column %s", f.Name, f.Parent, n)
		}
		ids[i] = ps.Columns[c].ID
	}
	r.own, r.others = cellsOf(cs, f.Columns), cellsOf(ps, ids)
	var ok bool
	if r.parentRows, r.order, ok = leading(ps, ids); !ok {
		return nil, errs.New(errs.Invalid, "foreign key %s: table %s has no index on the columns that are referred to", f.Name, f.Parent)
	}
	if rows, order, ok := leading(cs, f.Columns); ok {
		r.childRows, r.childOrder = rows, order
	}
	if r.childRows == RowsTree {
		r.cells = r.own
		return r, nil
	}
	r.cells = make([]int, len(f.Columns)) // the tuples of an index begin with its columns
	for part, column := range r.childOrder {
		r.cells[column] = part
	}
	return r, nil
}

// cellsOf is where the cells of columns are in the rows of a table.
func cellsOf(s *schema.Schema, ids []uint64) []int {
	out := make([]int, len(ids))
	for i, id := range ids {
		if out[i] = s.ColumnByID(id); s.Keyless() {
			out[i]++ // behind the ordinal
		}
	}
	return out
}

// leading is a tree whose key begins with these columns, whole and in any order, and which of them each part is.
func leading(s *schema.Schema, ids []uint64) (rows Rows, order []int, ok bool) {
	match := func(cols []schema.IndexColumn) []int {
		if len(cols) < len(ids) {
			return nil
		}
		var order []int
		for _, k := range cols[:len(ids)] {
			at := slices.Index(ids, k.Column)
			if at < 0 || k.Prefix > 0 {
				return nil
			}
			order = append(order, at)
		}
		return order
	}
	if order = match(s.PrimaryKey); order != nil {
		return RowsTree, order, true
	}
	for i := range s.Indexes {
		if order = match(s.Indexes[i].Columns); order != nil {
			return Rows(i), order, true
		}
	}
	return 0, nil, false
}

// prefixOf is the beginning of the keys of one side's rows with these values.
func prefixOf(dst []byte, l *schema.Layout, order []int, values []value.Cell) []byte {
	for part, column := range order {
		dst = value.AppendKeyPart(dst, &l.Parts[part], values[column])
	}
	return dst
}

// HasParent tells whether a parent has these values, one for each column of the foreign key. A NULL among them asks for none.
func (r *Reference) HasParent(ctx context.Context, values []value.Cell) (bool, error) {
	if slices.ContainsFunc(values, value.Cell.IsNull) {
		return true, nil
	}
	_, ok, err := r.parent.HasPrefix(ctx, r.parentRows, prefixOf(nil, r.parent.Layout(r.parentRows), r.order, values))
	return ok, err
}

// Orphans calls fn with the values of children that have no parent; children with equal values may be reported once. The values are
// valid during the call.
func (r *Reference) Orphans(ctx context.Context, fn func(values []value.Cell) error) error {
	l := r.child.Layout(r.childRows)
	tuple := make([]value.Cell, len(l.Phys))
	values := make([]value.Cell, len(r.cells))
	var last, key []byte
	s := r.child.Scan(ScanOptions{Rows: r.childRows})
	for {
		b, ok, err := s.Next(ctx)
		if err == nil {
			err = errs.With(errs.Canceled, ctx.Err())
		}
		if err != nil || !ok {
			return err
		}
		if b.Page == nil {
			if err := value.DecodeTuple(b.Row, l.Phys, tuple); err != nil {
				return err
			}
		}
		for i := b.Lo; i < max(b.Hi, b.Lo+1); i++ {
			for k, at := range r.cells {
				if values[k] = tuple[at]; b.Page != nil {
					if values[k], err = b.Page.Cell(ctx, at, i); err != nil {
						return err
					}
				}
			}
			if slices.ContainsFunc(values, value.Cell.IsNull) {
				continue
			}
			key = prefixOf(key[:0], r.parent.Layout(r.parentRows), r.order, values)
			if bytes.Equal(key, last) {
				continue
			}
			last = append(last[:0], key...)
			_, ok, err := r.parent.HasPrefix(ctx, r.parentRows, key)
			if err == nil && !ok {
				err = fn(values)
			}
			if err != nil {
				return err
			}
		}
	}
}

// HaveParents tells whether every row that changes of the child's table put has a parent.
func (r *Reference) HaveParents(ctx context.Context, c *Changes) (bool, error) {
	cells := make([]value.Cell, len(r.child.Schema().Primary.Phys))
	values := make([]value.Cell, len(r.own))
	return c.every(func(x *edit) (bool, error) {
		if x.row == nil {
			return true, nil
		}
		if err := value.DecodeTuple(x.row, r.child.Schema().Primary.Phys, cells); err != nil {
			return false, err
		}
		for k, at := range r.own {
			values[k] = cells[at]
		}
		return r.HasParent(ctx, values)
	})
}

// LeaveNoOrphans tells whether no child has values that changes of the parent's table took away.
func (r *Reference) LeaveNoOrphans(ctx context.Context, c *Changes) (bool, error) {
	cells := make([]value.Cell, len(r.parent.Schema().Primary.Phys))
	values := make([]value.Cell, len(r.others))
	return c.every(func(x *edit) (bool, error) {
		if x.old == nil {
			return true, nil
		}
		if err := value.DecodeTuple(x.old, r.parent.Schema().Primary.Phys, cells); err != nil {
			return false, err
		}
		for k, at := range r.others {
			values[k] = cells[at]
		}
		if ok, err := r.HasParent(ctx, values); ok || err != nil {
			return ok, err
		}
		some, err := r.hasChild(ctx, values)
		return !some, err
	})
}

// Children calls fn with the keys of the children that have these values, none of which is NULL.
func (r *Reference) Children(ctx context.Context, values []value.Cell, fn func(key []byte) error) error {
	l := r.child.Layout(r.childRows)
	opt := ScanOptions{Rows: r.childRows}
	if r.childOrder != nil {
		opt.Lo = prefixOf(nil, l, r.childOrder, values)
		opt.Hi = value.PrefixEnd(opt.Lo)
	}
	cells := make([]value.Cell, len(l.Phys))
	s := r.child.Scan(opt)
	for {
		b, ok, err := s.Next(ctx)
		if err == nil {
			err = errs.With(errs.Canceled, ctx.Err())
		}
		if err != nil || !ok {
			return err
		}
		for i := b.Lo; i < max(b.Hi, b.Lo+1); i++ {
			if b.Page == nil {
				if err := value.DecodeTuple(b.Row, l.Phys, cells); err != nil {
					return err
				}
			}
			for c := range cells {
				if b.Page != nil {
					if cells[c], err = b.Page.Cell(ctx, c, i); err != nil {
						return err
					}
				}
			}
			same := true
			for k, at := range r.cells {
				same = same && cells[at].Equal(values[k])
			}
			if !same {
				continue
			}
			key := []byte(nil)
			if r.childRows == RowsTree {
				key = l.AppendKey(nil, cells)
			} else {
				key = r.child.RowKey(int(r.childRows), cells)
			}
			if err := fn(key); err != nil {
				return err
			}
		}
	}
}

// hasChild tells whether a child has these values, none of which is NULL.
func (r *Reference) hasChild(ctx context.Context, values []value.Cell) (bool, error) {
	if r.childOrder == nil { // no index: all are looked at
		found := false
		err := r.Orphans(ctx, func(of []value.Cell) error {
			found = found || slices.EqualFunc(of, values, value.Cell.Equal)
			return nil
		})
		return found, err
	}
	_, ok, err := r.child.HasPrefix(ctx, r.childRows, prefixOf(nil, r.child.Layout(r.childRows), r.childOrder, values))
	return ok, err
}

// every tells whether ok is true of every edit.
func (c *Changes) every(ok func(x *edit) (bool, error)) (all bool, err error) {
	all = true
	c.edits.Scan(func(x *edit) bool {
		all, err = ok(x)
		return all && err == nil
	})
	return all && err == nil, err
}
