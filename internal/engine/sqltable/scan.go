package sqltable

import (
	"io"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/engine/session"
	"github.com/stemmadb/stemma/internal/engine/types"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// Rows are decoded in batches that grow from firstBatch to lastBatch, so that a query which wants few rows pays for few.
const (
	firstBatch = 16
	lastBatch  = 512
)

// partition is what one scan or lookup reads: a view that stands still, and the key ranges of an index, or all rows.
type partition struct {
	view    *table.View
	index   *Index // nil: all rows of the table
	ranges  []types.KeyRange
	reverse bool
	zones   []table.ZoneFilter // of a partition of all rows
}

var _ sql.Partition = (*partition)(nil)

// Key implements sql.Partition.
func (*partition) Key() []byte { return nil }

// onePartition gives its partition once.
type onePartition struct{ p *partition }

// Next implements sql.PartitionIter.
func (o *onePartition) Next(*sql.Context) (sql.Partition, error) {
	if o.p == nil {
		return nil, io.EOF
	}
	p := o.p
	o.p = nil
	return p, nil
}

// Close implements sql.PartitionIter.
func (o *onePartition) Close(*sql.Context) error { return nil }

// Partitions implements sql.Table.
func (t *Table) Partitions(ctx *sql.Context) (sql.PartitionIter, error) {
	if t.quiet {
		return &onePartition{}, nil
	}
	v, err := t.View(ctx)
	if err != nil {
		return nil, err
	}
	t.note(ctx, v)
	return &onePartition{&partition{view: v, zones: t.zones}}, nil
}

// LookupPartitions implements sql.IndexedTable. It keeps nothing of the lookup, whose ranges the engine uses again.
func (t *Table) LookupPartitions(ctx *sql.Context, lookup sql.IndexLookup) (sql.PartitionIter, error) {
	if lookup.IsEmptyRange {
		return &onePartition{}, nil
	}
	x, ok := lookup.Index.(*Index)
	if !ok {
		return nil, errs.New(errs.Internal, "look up table %s: the index is a %T", t.def.Name, lookup.Index)
	}
	ranges, ok := lookup.Ranges.(sql.MySQLRangeCollection)
	if !ok {
		return nil, errs.New(errs.Internal, "look up table %s: the ranges are a %T", t.def.Name, lookup.Ranges)
	}
	keys, _, err := x.ranger.KeyRanges(ctx, ranges)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return &onePartition{}, nil
	}
	v, err := t.View(ctx)
	if err != nil {
		return nil, err
	}
	t.note(ctx, v)
	return &onePartition{&partition{view: v, index: x, ranges: keys, reverse: lookup.IsReverse}}, nil
}

// PartitionRows implements sql.Table.
func (t *Table) PartitionRows(ctx *sql.Context, p sql.Partition) (sql.RowIter, error) {
	part, ok := p.(*partition)
	if !ok {
		return nil, errs.New(errs.Internal, "read table %s: the partition is a %T", t.def.Name, p)
	}
	return t.rows(part), nil
}

// rows reads a partition.
func (t *Table) rows(p *partition) sql.RowIter {
	d := t.def
	primary := d.Schema.Primary.Phys
	if p.index == nil {
		return newScanIter(p, newDecoder(p.view.Reader(), d.sources(t.cols, d.cells), primary))
	}
	x := p.index
	if x.tree == table.RowsTree {
		dec := newDecoder(p.view.Reader(), d.sources(t.cols, d.cells), primary)
		for i := range p.ranges {
			if p.ranges[i].Equal != x.keyWidth() {
				return newScanIter(p, dec)
			}
		}
		return &pointIter{p: p, dec: dec}
	}
	if x.covers(t.cols) {
		return newScanIter(p, newDecoder(p.view.Reader(), d.sources(t.cols, x.cover), x.layout.Phys))
	}
	it := &lookupIter{scan: newScanIter(p, nil), index: x, dec: newDecoder(p.view.Reader(), d.sources(t.cols, d.cells), primary)}
	it.cells, it.entry = make([]value.Cell, len(primary)), make([]value.Cell, len(x.layout.Phys))
	return it
}

// pointIter reads the rows of whole primary keys.
type pointIter struct {
	p   *partition
	dec *decoder
	i   int
}

// Next implements sql.RowIter.
func (it *pointIter) Next(ctx *sql.Context) (sql.Row, error) {
	for it.i < len(it.p.ranges) {
		r := &it.p.ranges[it.i]
		it.i++
		ok, err := it.p.view.Get(ctx, r.Lo, it.dec.cells)
		if err != nil {
			return nil, session.Error(err)
		}
		if ok && r.Match(r.Lo) {
			row := make(sql.Row, it.dec.width())
			return row, it.dec.row(ctx, it.dec.cells, row)
		}
	}
	return nil, io.EOF
}

// Close implements sql.RowIter.
func (it *pointIter) Close(*sql.Context) error { return nil }

// scanIter reads a tree, or key ranges of it, in key order. The decoder may be nil when only blocks are asked for.
type scanIter struct {
	p      *partition
	dec    *decoder
	tree   table.Rows
	scan   *table.Scan
	within *types.KeyRange // that scan is in; nil without ranges
	next   int             // range after it
	block  table.Block     // what is left of the present one
	key    []byte
	tuple  []value.Cell

	batch []any // rows that are decoded
	have  int   // rows in batch
	i     int   // the next of them
	size  int
}

func newScanIter(p *partition, dec *decoder) *scanIter {
	it := &scanIter{p: p, dec: dec, tree: table.RowsTree, size: firstBatch}
	if p.index != nil {
		it.tree = p.index.tree
	}
	return it
}

// Next implements sql.RowIter.
func (it *scanIter) Next(ctx *sql.Context) (sql.Row, error) {
	if it.i >= it.have {
		if err := it.fill(ctx); err != nil {
			if err == io.EOF {
				return nil, err
			}
			return nil, session.Error(err)
		}
	}
	w := it.dec.width()
	at := it.i * w
	it.i++
	return it.batch[at : at+w : at+w], nil
}

// Close implements sql.RowIter.
func (it *scanIter) Close(*sql.Context) error { return nil }

// fill decodes the next batch; io.EOF at the end.
func (it *scanIter) fill(ctx *sql.Context) error {
	p, lo, hi, tuple, err := it.run(ctx, it.size)
	if err != nil {
		return err
	}
	it.i, it.size = 0, min(2*it.size, lastBatch)
	w := it.dec.width()
	if tuple != nil {
		it.have = 1
		it.batch = make([]any, w)
		return it.dec.tuple(ctx, tuple, it.batch)
	}
	it.have = hi - lo
	it.batch = make([]any, it.have*w)
	if err := it.dec.page(ctx, p.Page, lo, hi, it.batch); err != nil {
		return err
	}
	if it.p.reverse {
		for a, b := 0, it.have-1; a < b; a, b = a+1, b-1 {
			for c := range w {
				it.batch[a*w+c], it.batch[b*w+c] = it.batch[b*w+c], it.batch[a*w+c]
			}
		}
	}
	return nil
}

// run gives the next rows [lo,hi) of a page, at most limit, or one tuple; io.EOF at the end. In a reverse scan the rows of a run
// are in key order, runs are not.
func (it *scanIter) run(ctx *sql.Context, limit int) (b table.Block, lo, hi int, tuple []byte, err error) {
	for {
		if it.block.Page != nil && it.block.Lo < it.block.Hi {
			if lo, hi = it.take(limit); lo < hi {
				return it.block, lo, hi, nil, nil
			}
			continue
		}
		b, err := it.nextBlock(ctx)
		if err != nil {
			return b, 0, 0, nil, err
		}
		it.block = b
		if b.Page != nil {
			continue
		}
		if it.within != nil && !it.within.Whole() {
			phys := it.p.view.Layout(it.tree).Phys
			it.tuple = sized(it.tuple, len(phys))
			if err := value.DecodeTuple(b.Row, phys, it.tuple); err != nil {
				return b, 0, 0, nil, err
			}
			if it.key = it.p.index.key(it.key[:0], it.tuple); !it.within.Match(it.key) {
				continue
			}
		}
		return b, 0, 1, b.Row, nil
	}
}

// take cuts at most limit rows off the present block, those that the range has; none when it had to skip.
func (it *scanIter) take(limit int) (lo, hi int) {
	b := &it.block
	lo, hi = b.Lo, b.Hi
	if hi-lo > limit {
		if it.p.reverse {
			lo = hi - limit
		} else {
			hi = lo + limit
		}
	}
	if it.within != nil && !it.within.Whole() {
		lo, hi = it.matching(lo, hi)
	}
	if it.p.reverse {
		b.Hi = lo
	} else {
		b.Lo = hi
	}
	if it.within != nil && !it.within.Whole() && !it.matches(lo) {
		return 0, 0
	}
	return lo, hi
}

// matching is the run of rows at the end where the scan comes from that are all in the range or all not.
func (it *scanIter) matching(lo, hi int) (int, int) {
	if it.p.reverse {
		want := it.matches(hi - 1)
		for i := hi - 2; i >= lo; i-- {
			if it.matches(i) != want {
				return i + 1, hi
			}
		}
		return lo, hi
	}
	want := it.matches(lo)
	for i := lo + 1; i < hi; i++ {
		if it.matches(i) != want {
			return lo, i
		}
	}
	return lo, hi
}

func (it *scanIter) matches(row int) bool {
	it.key = it.block.Page.AppendKey(it.key[:0], row)
	return it.within.Match(it.key)
}

// nextBlock is the next block of the present range or of those after it; io.EOF at the end.
func (it *scanIter) nextBlock(ctx *sql.Context) (table.Block, error) {
	for {
		if it.scan == nil {
			opt := table.ScanOptions{Rows: it.tree, Reverse: it.p.reverse}
			switch {
			case it.p.index == nil:
				if it.next > 0 {
					return table.Block{}, io.EOF
				}
				opt.Zones = it.p.zones
			case it.next >= len(it.p.ranges):
				return table.Block{}, io.EOF
			default:
				it.within = &it.p.ranges[it.next]
				opt.Lo, opt.Hi = it.within.Lo, it.within.Hi
			}
			it.next++
			it.scan = it.p.view.Scan(opt)
		}
		b, ok, err := it.scan.Next(ctx)
		if err != nil || ok {
			return b, err
		}
		it.scan = nil
	}
}

// lookupIter reads an index and, for each of its entries, the row.
type lookupIter struct {
	scan   *scanIter
	index  *Index
	dec    *decoder
	cells  []value.Cell // of the row
	entry  []value.Cell // of the index
	block  table.Block
	lo, hi int // entries of block still to come
}

// Next implements sql.RowIter.
func (it *lookupIter) Next(ctx *sql.Context) (sql.Row, error) {
	ok, err := it.nextEntry(ctx)
	if err != nil {
		if err == io.EOF {
			return nil, err
		}
		return nil, session.Error(err)
	}
	if !ok {
		return nil, errs.New(errs.Corrupt, "read index %s: it names a row that the table lacks", it.index.id)
	}
	row := make(sql.Row, it.dec.width())
	return row, it.dec.row(ctx, it.cells, row)
}

// Close implements sql.RowIter.
func (it *lookupIter) Close(*sql.Context) error { return nil }

// nextEntry fills cells with the row of the next entry; ok is false when there is no such row.
func (it *lookupIter) nextEntry(ctx *sql.Context) (ok bool, err error) {
	if it.lo >= it.hi {
		b, lo, hi, tuple, err := it.scan.run(ctx, lastBatch)
		if err != nil {
			return false, err
		}
		if tuple != nil {
			if err := value.DecodeTuple(tuple, it.index.layout.Phys, it.entry); err != nil {
				return false, err
			}
			return it.get(ctx)
		}
		it.block, it.lo, it.hi = b, lo, hi
	}
	i := it.lo
	if it.scan.p.reverse {
		it.hi--
		i = it.hi
	} else {
		it.lo++
	}
	for c := range it.entry {
		if it.entry[c], err = it.block.Page.Cell(ctx, c, i); err != nil {
			return false, err
		}
	}
	return it.get(ctx)
}

func (it *lookupIter) get(ctx *sql.Context) (bool, error) {
	v := it.scan.p.view
	return v.Get(ctx, v.RowKey(int(it.index.tree), it.entry), it.cells)
}
