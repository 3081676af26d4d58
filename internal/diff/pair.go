package diff

import (
	"context"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/page"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
)

// Pair is two states of one table, or one state and nothing. It is immutable and used by many goroutines.
type Pair struct {
	r        chunk.Reader
	from, to *table.Table // nil when there is none
	fs, ts   *schema.Compiled
	cols     []Column
	method   method
	format   tree.Format // byTree: opens pages of both sides
	fromCell []int       // where pages as opened have the columns of fs
	toCell   []int
}

// method is how rows are paired.
type method uint8

const (
	byTree  method = iota // keys and pages are alike: equal hashes are equal rows
	byMerge               // keys are alike, pages are not: two scans side by side
	byValue               // keys differ: rows are paired by their cells
)

// NewPair compares the tables from and to, of which one may be nil. r serves the chunks of both.
func NewPair(r chunk.Reader, from, to *table.Table) (*Pair, error) {
	p := &Pair{r: r, from: from, to: to}
	switch {
	case from == nil:
		p.fs, p.ts = to.Schema, to.Schema
	case to == nil:
		p.fs, p.ts = from.Schema, from.Schema
	default:
		p.fs, p.ts = from.Schema, to.Schema
	}
	p.cols = Align(p.fs.Schema, p.ts.Schema)
	p.fromCell, p.toCell = plainCells(p.fs.Schema), plainCells(p.ts.Schema)
	switch {
	case p.fs.Hash == p.ts.Hash:
		p.format = p.ts.Primary.Format
	case !sameKey(p.fs, p.ts, p.cols):
		p.method = byValue
	case !samePages(p.fs, p.ts, p.cols):
		p.method = byMerge
	default:
		if err := p.join(); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// plainCells is where the rows' own layout has the columns of s.
func plainCells(s *schema.Schema) []int {
	at := make([]int, len(s.Columns))
	for i := range at {
		at[i] = i
		if s.Keyless() {
			at[i]++
		}
	}
	return at
}

// join makes a format that reads the columns of both sides and compares those of the to side.
func (p *Pair) join() error {
	l := p.ts.Primary.Format.Layout()
	p.format = p.ts.Primary.Format
	all := page.Layout{Columns: append([]page.Column(nil), l.Columns...), Key: l.Key, Target: l.Target}
	for i := range p.cols {
		switch c := &p.cols[i]; {
		case c.From < 0:
		case c.To < 0:
			p.fromCell[c.From] = len(all.Columns)
			f := &p.fs.Columns[c.From]
			all.Columns = append(all.Columns, page.Column{ID: f.ID, Type: f.Type, Absent: f.Absent})
		default:
			p.fromCell[c.From] = p.toCell[c.To]
		}
	}
	if len(all.Columns) == len(l.Columns) {
		return nil
	}
	f, err := page.NewFormat(all)
	if err != nil {
		return err
	}
	p.format = jointFormat{Format: f, compare: p.ts.Primary.Format}
	return nil
}

// jointFormat opens pages with the columns of two schemas and compares those of one.
type jointFormat struct {
	*page.Format
	compare *page.Format
}

// Diff implements tree.Format.
func (f jointFormat) Diff(ctx context.Context, a tree.Leaf, alo, ahi int, b tree.Leaf, blo, bhi int, emit func(i, j int) error) error {
	return f.compare.Diff(ctx, a, alo, ahi, b, blo, bhi, emit)
}

// From is the table on the from side; nil when there is none.
func (p *Pair) From() *table.Table { return p.from }

// To is the table on the to side; nil when there is none.
func (p *Pair) To() *table.Table { return p.to }

// Columns are the paired columns. The caller must not change them.
func (p *Pair) Columns() []Column { return p.cols }

// Keyed tells whether rows are paired by primary key, so that changes come in its order, and bounds and modified rows exist.
func (p *Pair) Keyed() bool { return p.method != byValue && !p.ts.Keyless() }

// Same tells whether the rows are known to be equal without reading them. False means nothing.
func (p *Pair) Same() bool {
	return p.method == byTree && p.root(p.from).Hash == p.root(p.to).Hash
}

func (p *Pair) root(t *table.Table) tree.Root {
	if t == nil {
		return tree.Root{}
	}
	return t.Rows
}

// CellDiffers tells whether the rows of a modified row differ in that column. A column of the from side alone never does; one of
// the to side alone differs when its cell is not the absent value.
func (p *Pair) CellDiffers(ctx context.Context, c Change, col *Column) (bool, error) {
	if col.To < 0 {
		return false, nil
	}
	y, err := c.To.Cell(ctx, col.To)
	if err != nil {
		return false, err
	}
	if col.From < 0 {
		return !y.Equal(p.ts.Columns[col.To].Absent), nil
	}
	x, err := c.From.Cell(ctx, col.From)
	if err != nil {
		return false, err
	}
	if col.same {
		return !x.Equal(y), nil
	}
	if x, err = table.Resolve(ctx, p.r, x); err != nil {
		return false, err
	}
	if y, err = table.Resolve(ctx, p.r, y); err != nil {
		return false, err
	}
	return !sameValue(p.fs.Columns[col.From].Type, x, p.ts.Columns[col.To].Type, y), nil
}

// rowDiffers tells whether two rows of equal keys differ in a column of the to side.
func (p *Pair) rowDiffers(ctx context.Context, c Change) (bool, error) {
	for i := range p.cols {
		if d, err := p.CellDiffers(ctx, c, &p.cols[i]); d || err != nil {
			return d, err
		}
	}
	return false, nil
}

// Type is the kind of a change. The zero Type is none.
type Type uint8

// The types of change.
const (
	Added Type = iota + 1
	Removed
	Modified
)

// String is the word that system tables show.
func (t Type) String() string {
	switch t {
	case Added:
		return "added"
	case Removed:
		return "removed"
	case Modified:
		return "modified"
	}
	return "none"
}

// Change is a row that differs.
type Change struct {
	Type     Type
	From, To Row // the zero Row when that side has none
}

// Row is a row of one side of a change, in its page. It stays valid as long as it is held.
type Row struct {
	page *page.Page
	i    int
	cell []int
}

// Valid tells whether there is a row.
func (r Row) Valid() bool { return r.page != nil }

// Cell is the cell in a column of the side's schema, by position. It may alias the page; long cells stay addresses.
func (r Row) Cell(ctx context.Context, col int) (value.Cell, error) {
	return r.page.Cell(ctx, r.cell[col], r.i)
}

// AppendKey appends the row's key to dst. For rows of keyless tables that is the hidden ordinal's.
func (r Row) AppendKey(dst []byte) []byte { return r.page.AppendKey(dst, r.i) }

// Page is where the row lies, for readers that take many rows at once: the page, the row's index in it, and the page's number of
// each column of the side's schema.
func (r Row) Page() (p *page.Page, i int, cell []int) { return r.page, r.i, r.cell }

// Reader serves the chunks of both sides.
func (p *Pair) Reader() chunk.Reader { return p.r }
