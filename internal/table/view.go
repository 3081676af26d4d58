package table

import (
	"bytes"
	"context"
	"slices"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/page"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
)

// Rows says which tree of a table is meant: RowsTree, or the position of a secondary index.
type Rows int

// RowsTree is the tree of the table's rows.
const RowsTree Rows = -1

// View is what a reader sees of a table: its trees and an overlay that does not change meanwhile. It is used by many goroutines.
type View struct {
	Table *Table
	r     chunk.Reader
	over  *Overlay
	zones *Zones
}

// NewView is a view of t through the overlay o, nil for none. r serves the chunks.
func NewView(r chunk.Reader, t *Table, o *Overlay) *View { return &View{Table: t, r: r, over: o} }

// WithZones is the view with zones that its scans use; nil for none.
func (v *View) WithZones(z *Zones) *View {
	c := *v
	c.zones = z
	return &c
}

// WithOverlay is the view through another overlay, nil for none.
func (v *View) WithOverlay(o *Overlay) *View {
	c := *v
	c.over = o
	return &c
}

// Passing is the view for one who goes through the table once: see chunk.Passing.
func (v *View) Passing() *View {
	c := *v
	c.r = chunk.Passing(v.r)
	return &c
}

// Projecting is Passing for one who needs the columns at these places of the rows' layout only, of a view without edits: no keys, no other columns and no
// index may be read through it: of a page that was read without a column its segment is an error of class Internal, and its cell a panic.
func (v *View) Projecting(columns []int) *View {
	l := v.Layout(RowsTree).Format.Layout()
	ids := make([]uint64, len(columns))
	for i, c := range columns {
		if c >= len(l.Columns) { // whoever reads it is told
			return v.Passing()
		}
		ids[i] = l.Columns[c].ID
	}
	slices.Sort(ids)
	c := *v
	c.r = chunk.Projecting(v.r, slices.Compact(ids))
	return &c
}

// Reader serves the chunks of the table.
func (v *View) Reader() chunk.Reader { return v.r }

// Overlay is the view's overlay; nil for none.
func (v *View) Overlay() *Overlay { return v.over }

// Schema is the table's schema.
func (v *View) Schema() *schema.Compiled { return v.Table.Schema }

// Count is the number of rows, in constant time.
func (v *View) Count() uint64 { return uint64(int64(v.Table.Rows.Count) + v.over.Delta()) }

// Layout is the layout of that tree.
func (v *View) Layout(n Rows) *schema.Layout {
	if n == RowsTree {
		return v.Table.Schema.Primary
	}
	return v.Table.Schema.Index[n]
}

// Tree is that tree without the overlay.
func (v *View) Tree(n Rows) tree.Tree {
	root := v.Table.Rows
	if n != RowsTree {
		root = v.Table.Indexes[n]
	}
	return tree.New(v.r, v.Layout(n).Format, root)
}

func (v *View) entries(n Rows) *entries {
	if v.over == nil {
		return nil
	}
	if n == RowsTree {
		return v.over.rows
	}
	return v.over.index[n]
}

// Get finds the row of that key and fills cells, as many as the rows' layout has, which stay valid. Long cells stay addresses.
func (v *View) Get(ctx context.Context, key []byte, cells []value.Cell) (bool, error) {
	if e := v.entries(RowsTree); e != nil {
		if x, ok := e.Get(key); ok {
			if x.row == nil {
				return false, nil
			}
			return true, value.DecodeTuple(x.row, v.Table.Schema.Primary.Phys, cells)
		}
	}
	leaf, i, ok, err := v.Tree(RowsTree).Get(ctx, key)
	if err != nil || !ok {
		return false, err
	}
	p, err := asPage(leaf)
	if err != nil {
		return false, err
	}
	return true, p.Row(ctx, key, i, cells)
}

// tuple finds the row payload of that key; inBase tells whether the tree below the overlay has the key.
func (v *View) tuple(ctx context.Context, key []byte) (row []byte, found, inBase bool, err error) {
	if e := v.entries(RowsTree); e != nil {
		if x, ok := e.Get(key); ok {
			return x.row, x.row != nil, x.base, nil
		}
	}
	leaf, i, ok, err := v.Tree(RowsTree).Get(ctx, key)
	if err != nil || !ok {
		return nil, false, false, err
	}
	row, err = leaf.AppendRow(ctx, make([]byte, 0, 64), i) // enough as a rule
	return row, err == nil, true, err
}

// HasPrefix finds the first entry of an index whose key begins with prefix and returns its tuple.
func (v *View) HasPrefix(ctx context.Context, n Rows, prefix []byte) (row []byte, ok bool, err error) {
	s := v.Scan(ScanOptions{Rows: n, Lo: prefix, Hi: value.PrefixEnd(prefix)})
	b, ok, err := s.Next(ctx)
	if err != nil || !ok {
		return nil, false, err
	}
	if b.Page == nil {
		return b.Row, true, nil
	}
	row, err = b.Page.AppendRow(ctx, nil, b.Lo)
	return row, err == nil, err
}

func asPage(l tree.Leaf) (*page.Page, error) {
	p, ok := l.(*page.Page)
	if !ok {
		return nil, errs.New(errs.Corrupt, "read table: a leaf is not a page")
	}
	return p, nil
}

// ScanOptions choose the rows of a scan.
type ScanOptions struct {
	Rows    Rows
	Lo, Hi  []byte // keys in [Lo, Hi); nil is open
	From    uint64 // begin at the row of this number; for scans forward without Lo of views whose overlay is empty
	Reverse bool
	// Zones may spare a scan of all rows the leaves of the rows' tree that hold no row for which all of them are true. Other rows
	// that fail them are given still. Scans with bounds and of indexes pay them no heed, nor do views without zones.
	Zones []ZoneFilter
}

// Block is a run of rows of a scan in key order: rows [Lo,Hi) of Page (from Hi-1 down in a reverse scan), or, when Page is nil,
// the one row of the overlay whose tuple is Row.
type Block struct {
	Page   *page.Page
	Lo, Hi int
	Row    []byte
}

// Scan walks through a tree merged with its overlay. It belongs to one goroutine and needs no closing.
type Scan struct {
	opt     ScanOptions
	cur     *tree.Cursor
	over    iterator
	hasOver bool // over stands on an entry within bounds
	anyOver bool
	started bool
	leaf    *page.Page
	lo, hi  int    // rows of leaf still to come
	edge    []byte // last key of leaf, or its first in a reverse scan; kept when something is compared with it
	zones   *zoneScan
}

// Scan begins a scan of the view.
func (v *View) Scan(opt ScanOptions) *Scan {
	s := &Scan{opt: opt, cur: v.Tree(opt.Rows).Cursor()}
	if e := v.entries(opt.Rows); e != nil && e.Len() > 0 {
		s.anyOver = true
		s.over = e.Iter()
	}
	if v.zones != nil && len(opt.Zones) > 0 && opt.Rows == RowsTree && opt.Lo == nil && opt.Hi == nil {
		s.zones = &zoneScan{zones: v.zones}
		for _, f := range opt.Zones {
			s.zones.tests = append(s.zones.tests, newZoneTest(v.Table.Schema.Primary, f))
		}
		s.cur.SkipLeaves(s.zones.skip)
	}
	return s
}

// Next is the next block; false at the end.
func (s *Scan) Next(ctx context.Context) (Block, bool, error) {
	if !s.started {
		s.started = true
		if err := s.start(ctx); err != nil {
			return Block{}, false, err
		}
	}
	for {
		if s.leaf != nil && s.lo >= s.hi {
			if err := s.nextLeaf(ctx); err != nil {
				return Block{}, false, err
			}
		}
		if !s.hasOver {
			if s.leaf == nil {
				return Block{}, false, nil
			}
			return s.take(s.lo, s.hi), true, nil
		}
		e := s.over.Item()
		if s.leaf != nil {
			if c := bytes.Compare(e.key, s.edge); c > 0 && !s.opt.Reverse || c < 0 && s.opt.Reverse {
				return s.take(s.lo, s.hi), true, nil
			}
			i, found := s.leaf.Search(e.key)
			end := i
			if found {
				end++
			}
			if s.opt.Reverse {
				if end < s.hi {
					return s.take(max(end, s.lo), s.hi), true, nil
				}
				if found {
					s.hi = i
				}
			} else {
				if i > s.lo {
					return s.take(s.lo, min(i, s.hi)), true, nil
				}
				if found {
					s.lo = end
				}
			}
		}
		s.advanceOver()
		if e.row != nil {
			return Block{Row: e.row}, true, nil
		}
	}
}

// take gives rows [lo,hi) of the leaf, which lie at the end that the scan comes from.
func (s *Scan) take(lo, hi int) Block {
	if s.opt.Reverse {
		s.hi = lo
	} else {
		s.lo = hi
	}
	return Block{Page: s.leaf, Lo: lo, Hi: hi}
}

func (s *Scan) start(ctx context.Context) error {
	var err error
	switch {
	case s.opt.Reverse && s.opt.Hi == nil:
		err = s.cur.Last(ctx)
	case s.opt.Reverse:
		if err = s.cur.Seek(ctx, s.opt.Hi); err == nil {
			if s.cur.Valid() {
				err = s.cur.Prev(ctx)
			} else {
				err = s.cur.Last(ctx)
			}
		}
	case s.opt.From > 0:
		err = s.cur.SeekOrdinal(ctx, s.opt.From)
	case s.opt.Lo == nil:
		err = s.cur.First(ctx)
	default:
		err = s.cur.Seek(ctx, s.opt.Lo)
	}
	if err != nil {
		return err
	}
	if s.anyOver {
		switch {
		case s.opt.Reverse && s.opt.Hi == nil:
			s.hasOver = s.over.Last()
		case s.opt.Reverse:
			if s.hasOver = s.over.Seek(s.opt.Hi); s.hasOver {
				s.hasOver = s.over.Prev()
			} else {
				s.hasOver = s.over.Last()
			}
		case s.opt.Lo == nil:
			s.hasOver = s.over.First()
		default:
			s.hasOver = s.over.Seek(s.opt.Lo)
		}
		s.boundOver()
	}
	return s.settle(ctx)
}

// settle takes the first leaf, from where the cursor stands, that zones do not exclude.
func (s *Scan) settle(ctx context.Context) error {
	for {
		if err := s.openLeaf(ctx); err != nil || s.leaf == nil || s.zones == nil {
			return err
		}
		excluded, err := s.zones.read(ctx, s.cur, s.leaf)
		if err != nil || !excluded {
			return err
		}
		if err := s.moveLeaf(ctx); err != nil {
			return err
		}
	}
}

// openLeaf takes the leaf on which the cursor stands and the part of it that the bounds leave.
func (s *Scan) openLeaf(ctx context.Context) error {
	s.leaf = nil
	if !s.cur.Valid() {
		return nil
	}
	p, err := asPage(s.cur.Leaf())
	if err != nil {
		return err
	}
	s.lo, s.hi = s.cur.Index(), p.Len()
	switch {
	case s.opt.Reverse:
		s.lo, s.hi = 0, s.cur.Index()+1
		if s.anyOver || s.opt.Lo != nil {
			s.edge = p.AppendKey(s.edge[:0], 0)
		}
		if s.opt.Lo != nil && bytes.Compare(s.edge, s.opt.Lo) < 0 {
			s.lo, _ = p.Search(s.opt.Lo)
		}
	case s.anyOver || s.opt.Hi != nil:
		s.edge = p.AppendKey(s.edge[:0], p.Len()-1)
		if s.opt.Hi != nil && bytes.Compare(s.edge, s.opt.Hi) >= 0 {
			s.hi, _ = p.Search(s.opt.Hi)
		}
	}
	if s.lo < s.hi {
		s.leaf = p
	}
	return nil
}

func (s *Scan) nextLeaf(ctx context.Context) error {
	// A leaf that a bound cuts is the last one.
	if s.opt.Reverse && s.opt.Lo != nil && bytes.Compare(s.edge, s.opt.Lo) < 0 ||
		!s.opt.Reverse && s.opt.Hi != nil && bytes.Compare(s.edge, s.opt.Hi) >= 0 {
		s.leaf = nil
		return nil
	}
	if err := s.moveLeaf(ctx); err != nil {
		return err
	}
	return s.settle(ctx)
}

func (s *Scan) moveLeaf(ctx context.Context) error {
	if s.opt.Reverse {
		return s.cur.PrevLeaf(ctx)
	}
	return s.cur.NextLeaf(ctx)
}

func (s *Scan) advanceOver() {
	if s.opt.Reverse {
		s.hasOver = s.over.Prev()
	} else {
		s.hasOver = s.over.Next()
	}
	s.boundOver()
}

func (s *Scan) boundOver() {
	if !s.hasOver {
		return
	}
	k := s.over.Item().key
	if s.opt.Hi != nil && bytes.Compare(k, s.opt.Hi) >= 0 || s.opt.Lo != nil && bytes.Compare(k, s.opt.Lo) < 0 {
		s.hasOver = false
	}
}
