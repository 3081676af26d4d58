package diff

import (
	"bytes"
	"context"
	"errors"
	"iter"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/page"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
)

// Options choose rows. Lo and Hi bound the keys to [Lo, Hi), nil being open; they are for pairs that are Keyed.
type Options struct {
	Lo, Hi []byte
}

// Rows gives the rows that differ, as they are found: in key order when the pair is Keyed. It reads no further than it is asked, and
// ends after an error.
func (p *Pair) Rows(ctx context.Context, opt Options) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		stop := errors.New("stop")
		err := p.Each(ctx, opt, func(c Change) error {
			if !yield(c, nil) {
				return stop
			}
			return nil
		})
		if err != nil && err != stop {
			yield(Change{}, err)
		}
	}
}

// Each calls fn for the rows that Rows gives. An error of fn ends it and is returned.
func (p *Pair) Each(ctx context.Context, opt Options, fn func(Change) error) error {
	if (opt.Lo != nil || opt.Hi != nil) && !p.Keyed() {
		return errs.New(errs.Invalid, "compare rows: bounds need a primary key on both sides")
	}
	switch {
	case p.method == byValue:
		return p.cancel(ctx, p.walkScans, fn)
	case p.ts.Keyless() && p.method == byMerge:
		return p.cancel(ctx, p.walkMerge, fn)
	case p.ts.Keyless():
		return p.cancel(ctx, p.walkTree, fn)
	case p.method == byMerge:
		return p.merge(ctx, opt, fn)
	}
	return p.tree(ctx, opt, fn)
}

// tree lists the rows that two trees of one format hold differently.
func (p *Pair) tree(ctx context.Context, opt Options, fn func(Change) error) error {
	return tree.Diff(ctx, p.r, p.format, p.root(p.from), p.root(p.to), opt.Lo, opt.Hi, func(c tree.Change) error {
		out := Change{Type: Modified}
		var ok bool
		if c.A == nil {
			out.Type = Added
		} else if out.From, ok = rowOf(c.A, c.AI, p.fromCell); !ok {
			return errNotPage()
		}
		if c.B == nil {
			out.Type = Removed
		} else if out.To, ok = rowOf(c.B, c.BI, p.toCell); !ok {
			return errNotPage()
		}
		return fn(out)
	})
}

func rowOf(l tree.Leaf, i int, cell []int) (Row, bool) {
	pg, ok := l.(*page.Page)
	return Row{page: pg, i: i, cell: cell}, ok
}

func errNotPage() error { return errs.New(errs.Corrupt, "compare rows: a leaf is not a page") }

// merge walks two scans side by side.
func (p *Pair) merge(ctx context.Context, opt Options, fn func(Change) error) error {
	a, b := newReader(p.r, p.from, p.fromCell, opt), newReader(p.r, p.to, p.toCell, opt)
	if err := a.next(ctx); err != nil {
		return err
	}
	if err := b.next(ctx); err != nil {
		return err
	}
	for a.row.Valid() || b.row.Valid() {
		var c Change
		order := 0
		switch {
		case !a.row.Valid():
			order = 1
		case !b.row.Valid():
			order = -1
		default:
			order = bytes.Compare(a.key, b.key)
		}
		if order <= 0 {
			c.Type, c.From = Removed, a.row
			if err := a.next(ctx); err != nil {
				return err
			}
		}
		if order >= 0 {
			c.Type, c.To = Added, b.row
			if err := b.next(ctx); err != nil {
				return err
			}
		}
		if order == 0 {
			c.Type = Modified
			if d, err := p.rowDiffers(ctx, c); err != nil {
				return err
			} else if !d {
				continue
			}
		}
		if err := fn(c); err != nil {
			return err
		}
	}
	return nil
}

// reader goes through the rows of a table one by one.
type reader struct {
	scan *table.Scan // nil for no table
	cell []int
	page *page.Page
	i    int // of the following row
	end  int
	row  Row // the present row, invalid at the end
	key  []byte
}

func newReader(r chunk.Reader, t *table.Table, cell []int, opt Options) *reader {
	if t == nil {
		return &reader{}
	}
	return &reader{scan: table.NewView(r, t, nil).Scan(table.ScanOptions{Rows: table.RowsTree, Lo: opt.Lo, Hi: opt.Hi}), cell: cell}
}

func (s *reader) next(ctx context.Context) error {
	s.row = Row{}
	if s.scan == nil {
		return nil
	}
	for s.i >= s.end {
		b, ok, err := s.scan.Next(ctx)
		if err != nil {
			return err
		}
		if !ok {
			s.scan = nil
			return nil
		}
		s.page, s.i, s.end = b.Page, b.Lo, b.Hi
	}
	s.row = Row{page: s.page, i: s.i, cell: s.cell}
	s.key = s.page.AppendKey(s.key[:0], s.i)
	s.i++
	return ctx.Err()
}
