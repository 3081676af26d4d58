package table

import (
	"bytes"
	"context"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
	"github.com/stemmadb/stemma/internal/vfs"
)

// OnDuplicate says what a load does with a row whose key is there already.
type OnDuplicate int

// What a load does with duplicates.
const (
	FailDuplicate    OnDuplicate = iota // the load fails
	IgnoreDuplicate                     // the first row stays
	ReplaceDuplicate                    // the last row stays
)

// LoadOptions steer a load.
type LoadOptions struct {
	FS          vfs.FS // for the files of the sort
	TempDir     string
	Memory      int // bytes for buffers; 0 is 128 MiB
	OnDuplicate OnDuplicate
	// LeftOut is told of each row that IgnoreDuplicate leaves out though it is not equal to the row that stays. It may be nil. The rows
	// of equal keys come in the order in which they were added, others do not.
	LeftOut func(LeftOut) error
}

// LeftOut is a row that a load leaves out for its key. What it holds is valid during the call.
type LeftOut struct {
	Tag       []byte // as AddTagged got it
	Row, Kept []byte // payloads
	InBase    bool   // the row that stays is the table's, not one of this load
}

// LoadStats count the rows of a load.
type LoadStats struct {
	Rows       uint64 // given
	Added      uint64
	Replaced   uint64
	Duplicates uint64 // left out
}

// Encoder turns rows into the keys and payloads that a Loader takes. It belongs to one goroutine; many may work side by side.
type Encoder struct {
	w     chunk.Writer
	l     *schema.Layout
	types []value.Type
	key   []bool
	cells []value.Cell
}

// NewEncoder makes an encoder that writes long cells to w.
func NewEncoder(w chunk.Writer, s *schema.Compiled) *Encoder {
	e := &Encoder{w: w, l: s.Primary}
	e.types, e.key = s.Types, s.InKey
	return e
}

// Append appends the key and the payload of a row, given by the cells of the rows' layout, to key and row.
func (e *Encoder) Append(ctx context.Context, key, row []byte, cells []value.Cell) ([]byte, []byte, error) {
	key = e.l.AppendKey(key, cells)
	e.cells = append(e.cells[:0], cells...)
	if err := store(ctx, e.w, e.l, e.types, e.key, e.cells); err != nil {
		return key, row, err
	}
	return key, value.AppendTuple(row, e.l.Phys, e.cells), nil
}

// Loader makes a table of many rows, faster than edits do and within bounded memory: rows that come in key order go straight into
// leaves, others are sorted first. It bypasses overlays. It belongs to one goroutine and must be closed.
type Loader struct {
	st      chunk.Store
	base    *Table
	opt     LoadOptions
	stats   LoadStats
	first   *rowBuffer // rows in key order so far, until they are many or out of order
	sorter  *Sorter
	build   *tree.Builder
	last    []byte // last key of first or build
	lastRow []byte // payload of that row, when LeftOut wants it
	tagged  []byte // a row with its tag
	next    int64  // ordinal of the next keyless row
}

// NewLoader begins a load into base, whose overlay must have been folded. Chunks go to st.
func NewLoader(ctx context.Context, st chunk.Store, base *Table, opt LoadOptions) (*Loader, error) {
	if opt.Memory <= 0 {
		opt.Memory = 128 << 20
	}
	if opt.OnDuplicate != IgnoreDuplicate {
		opt.LeftOut = nil
	}
	l := &Loader{st: st, base: base, opt: opt, first: &rowBuffer{}}
	if base.Schema.Keyless() {
		n, err := nextOrdinal(ctx, NewView(st, base, nil))
		if err != nil {
			return nil, err
		}
		l.next = n
	}
	return l, nil
}

// NextOrdinal gives out the ordinal of a keyless table's next row.
func (l *Loader) NextOrdinal() int64 {
	l.next++
	return l.next - 1
}

// Add takes a row as an Encoder gives it. The loader copies what it needs. With FailDuplicate, a key that came before may be an
// error of class DuplicateKey here or in Finish.
func (l *Loader) Add(ctx context.Context, key, row []byte) error {
	return l.AddTagged(ctx, key, row, nil)
}

// AddTagged is Add with a few bytes that LeftOut gets back, at most 255.
func (l *Loader) AddTagged(ctx context.Context, key, row, tag []byte) error {
	l.stats.Rows++
	kept := row // in buffers
	if l.opt.LeftOut != nil {
		l.tagged = append(append(append(l.tagged[:0], row...), tag...), byte(len(tag)))
		kept = l.tagged
	}
	switch {
	case l.build != nil:
		if bytes.Compare(key, l.last) > 0 {
			l.setLast(key, row)
			l.stats.Added++
			return l.build.Add(ctx, key, row)
		}
		if bytes.Equal(key, l.last) && l.opt.OnDuplicate != ReplaceDuplicate {
			return l.duplicateKey(row, tag)
		}
		return l.toSorter(key, kept)
	case l.sorter != nil:
		return l.sorter.Add(key, kept)
	}
	if c := bytes.Compare(key, l.last); c <= 0 && len(l.first.refs) > 0 {
		if c == 0 && l.opt.OnDuplicate != ReplaceDuplicate {
			return l.duplicateKey(row, tag)
		}
		l.firstToSorter()
		return l.toSorter(key, kept)
	}
	if l.first.full(len(key)+len(kept), l.opt.Memory/buffersOfSorter) {
		if l.base.Rows.Count > 0 {
			l.firstToSorter()
			return l.toSorter(key, kept)
		}
		if err := l.startBuild(ctx); err != nil {
			return err
		}
		l.stats.Added++
		l.setLast(key, row)
		return l.build.Add(ctx, key, row)
	}
	l.first.add(key, kept)
	l.setLast(key, row)
	return nil
}

// setLast takes note of the row that was added.
func (l *Loader) setLast(key, row []byte) {
	l.last = append(l.last[:0], key...)
	if l.opt.LeftOut != nil {
		l.lastRow = append(l.lastRow[:0], row...)
	}
}

// untag cuts a row of a buffer into its payload and its tag.
func (l *Loader) untag(kept []byte) (row, tag []byte) {
	if l.opt.LeftOut == nil {
		return kept, nil
	}
	n := len(kept) - 1
	at := n - int(kept[n])
	return kept[:at], kept[at:n]
}

// leaveOut counts a row that is left out.
func (l *Loader) leaveOut(x LeftOut) error {
	l.stats.Duplicates++
	if l.opt.LeftOut == nil || bytes.Equal(x.Row, x.Kept) {
		return nil
	}
	return l.opt.LeftOut(x)
}

// duplicateKey deals with a row that has the key of the last.
func (l *Loader) duplicateKey(row, tag []byte) error {
	if l.opt.OnDuplicate == IgnoreDuplicate {
		return l.leaveOut(LeftOut{Tag: tag, Row: row, Kept: l.lastRow})
	}
	return errs.New(errs.DuplicateKey, "duplicate primary key in row %d", l.stats.Rows)
}

func (l *Loader) startBuild(ctx context.Context) error {
	l.build = tree.NewBuilder(l.st, l.base.Schema.Primary.Format, tree.BuilderOptions{Parallel: 2})
	for _, r := range l.first.refs {
		l.stats.Added++
		_, key, kept := l.first.record(r)
		row, _ := l.untag(kept)
		if err := l.build.Add(ctx, key, row); err != nil {
			return err
		}
	}
	l.first = nil
	return nil
}

func (l *Loader) toSorter(key, row []byte) error {
	if l.sorter == nil {
		l.sorter = NewSorter(l.opt.FS, l.opt.TempDir, l.opt.Memory)
	}
	return l.sorter.Add(key, row)
}

// firstToSorter makes a sorter go on from the first rows.
func (l *Loader) firstToSorter() {
	l.sorter = NewSorter(l.opt.FS, l.opt.TempDir, l.opt.Memory)
	l.sorter.take(l.first)
	l.first = nil
}

// Finish gives the table with the rows, its indexes built anew. A unique index that the rows violate is an error of class
// DuplicateKey.
func (l *Loader) Finish(ctx context.Context) (*Table, LoadStats, error) {
	rows, err := l.finishRows(ctx)
	if err != nil {
		return nil, l.stats, err
	}
	t := &Table{Schema: l.base.Schema, Rows: rows, Indexes: make([]tree.Root, len(l.base.Indexes))}
	for n := range t.Indexes {
		if t.Indexes[n], err = BuildIndex(ctx, l.st, t, n, l.opt); err != nil {
			return nil, l.stats, err
		}
	}
	return t, l.stats, nil
}

func (l *Loader) finishRows(ctx context.Context) (tree.Root, error) {
	f := l.base.Schema.Primary.Format
	root := l.base.Rows
	if l.first != nil && root.Count == 0 {
		if err := l.startBuild(ctx); err != nil {
			return root, err
		}
	}
	if l.first != nil {
		l.firstToSorter()
	}
	var err error
	if l.build != nil {
		if root, err = l.build.Finish(ctx); err != nil {
			return root, err
		}
		l.build = nil
	}
	if l.sorter == nil {
		return root, nil
	}
	sorted, err := l.sorter.Sort()
	if err != nil {
		return root, err
	}
	src := &loadSource{l: l, sorted: sorted}
	if root.Count > 0 {
		src.base = tree.New(l.st, f, root)
		src.inBase = l.base.Rows.Count > 0
		return tree.Apply(ctx, l.st, f, root, src)
	}
	b := tree.NewBuilder(l.st, f, tree.BuilderOptions{Parallel: 2})
	for {
		e, ok, err := src.Next(ctx)
		if err != nil {
			return root, err
		}
		if !ok {
			return b.Finish(ctx)
		}
		if err := b.Add(ctx, e.Key, e.Row); err != nil {
			return root, err
		}
	}
}

// loadSource gives sorted rows as edits, one a key, as OnDuplicate wants.
type loadSource struct {
	l      *Loader
	sorted *Sorted
	base   tree.Tree // empty: nothing to look up
	inBase bool      // its rows are those of the table that the load began with
	old    []byte    // a payload of it
	now    loadedRow // given out
	ahead  loadedRow // read already
	have   bool      // whether ahead is set
}

// loadedRow is a row in memory of its own.
type loadedRow struct{ key, row []byte }

func (r *loadedRow) set(key, row []byte) {
	r.key, r.row = append(r.key[:0], key...), append(r.row[:0], row...)
}

// Next implements tree.EditSource.
func (s *loadSource) Next(ctx context.Context) (tree.Edit, bool, error) {
	for {
		if !s.have {
			k, r, ok, err := s.sorted.Next(ctx)
			if err != nil || !ok {
				return tree.Edit{}, false, err
			}
			s.ahead.set(k, r)
		}
		s.have = false
		s.now, s.ahead = s.ahead, s.now
		key := s.now.key
		found, err := s.find(ctx, key)
		if err != nil {
			return tree.Edit{}, false, err
		}
		switch {
		case s.l.opt.OnDuplicate == FailDuplicate && found:
			return tree.Edit{}, false, errs.New(errs.DuplicateKey, "duplicate primary key %s", DescribeKey(s.l.base.Schema, s.now.row))
		case s.l.opt.OnDuplicate == IgnoreDuplicate && found:
			if err := s.leaveOut(s.now.row, s.old, s.inBase); err != nil {
				return tree.Edit{}, false, err
			}
		}
		for {
			k, r, ok, err := s.sorted.Next(ctx)
			if err != nil {
				return tree.Edit{}, false, err
			}
			if !ok {
				break
			}
			if !bytes.Equal(k, key) {
				s.ahead.set(k, r)
				s.have = true
				break
			}
			switch s.l.opt.OnDuplicate {
			case FailDuplicate:
				return tree.Edit{}, false, errs.New(errs.DuplicateKey, "duplicate primary key %s", DescribeKey(s.l.base.Schema, r))
			case IgnoreDuplicate:
				stays := s.old
				if !found {
					stays, _ = s.l.untag(s.now.row)
				}
				if err := s.leaveOut(r, stays, found && s.inBase); err != nil {
					return tree.Edit{}, false, err
				}
			case ReplaceDuplicate:
				s.l.stats.Duplicates++
				s.now.row = append(s.now.row[:0], r...)
			}
		}
		switch {
		case found && s.l.opt.OnDuplicate == IgnoreDuplicate:
			continue
		case found:
			s.l.stats.Replaced++
		default:
			s.l.stats.Added++
		}
		row, _ := s.l.untag(s.now.row)
		return tree.Edit{Key: key, Row: row}, true, nil
	}
}

// find tells whether base has the key, and sets old to its row if somebody wants to know.
func (s *loadSource) find(ctx context.Context, key []byte) (bool, error) {
	if s.base.Count() == 0 {
		return false, nil
	}
	leaf, i, found, err := s.base.Get(ctx, key)
	if err != nil || !found || s.l.opt.LeftOut == nil {
		return found, err
	}
	s.old, err = leaf.AppendRow(ctx, s.old[:0], i)
	return true, err
}

// leaveOut leaves out a row of a buffer for one that stays.
func (s *loadSource) leaveOut(kept, stays []byte, inBase bool) error {
	row, tag := s.l.untag(kept)
	return s.l.leaveOut(LeftOut{Tag: tag, Row: row, Kept: stays, InBase: inBase})
}

// Close frees what a load that did not finish holds.
func (l *Loader) Close() error {
	if l.build != nil {
		l.build.Close()
		l.build = nil
	}
	if l.sorter == nil {
		return nil
	}
	s := l.sorter
	l.sorter = nil
	return s.Close()
}

// DescribeKey is the primary key of a row payload as MySQL prints it: the values joined by "-".
func DescribeKey(s *schema.Compiled, row []byte) string {
	cells := make([]value.Cell, len(s.Primary.Phys))
	if err := value.DecodeTuple(row, s.Primary.Phys, cells); err != nil {
		return "?"
	}
	types := s.Types
	var b []byte
	b = append(b, '\'')
	for i, k := range s.Primary.Key {
		if i > 0 {
			b = append(b, '-')
		}
		b = value.AppendText(b, types[k], cells[k])
	}
	return string(append(b, '\''))
}

// BuildIndex builds the tree of index n of a table from its rows. A violated unique index is an error of class DuplicateKey.
func BuildIndex(ctx context.Context, st chunk.Store, t *Table, n int, opt LoadOptions) (root tree.Root, err error) {
	if opt.Memory <= 0 {
		opt.Memory = 128 << 20
	}
	s := t.Schema
	l := s.Index[n]
	types := s.Types
	sorter := NewSorter(opt.FS, opt.TempDir, opt.Memory)
	defer func() {
		if e := sorter.Close(); err == nil {
			err = e
		}
	}()
	row := make([]value.Cell, len(s.Primary.Phys))
	out := make([]value.Cell, len(l.Source))
	var key, tuple []byte
	scan := NewView(st, t, nil).Scan(ScanOptions{Rows: RowsTree})
	for {
		b, ok, err := scan.Next(ctx)
		if err != nil {
			return root, err
		}
		if !ok {
			break
		}
		for i := b.Lo; i < b.Hi; i++ {
			for _, src := range l.Source {
				if row[src.Cell], err = b.Page.Cell(ctx, src.Cell, i); err != nil {
					return root, err
				}
			}
			if err := indexCells(ctx, st, l, types, row, out); err != nil {
				return root, err
			}
			key = l.AppendKey(key[:0], out)
			tuple = value.AppendTuple(tuple[:0], l.Phys, out)
			if err := sorter.Add(key, tuple); err != nil {
				return root, err
			}
		}
		if err := ctx.Err(); err != nil {
			return root, errs.With(errs.Canceled, err)
		}
	}
	sorted, err := sorter.Sort()
	if err != nil {
		return root, err
	}
	b := tree.NewBuilder(st, l.Format, tree.BuilderOptions{Parallel: 2})
	defer b.Close()
	uniq := uniqueCheck{s: s, n: n, cells: make([]value.Cell, len(l.Source))}
	for {
		k, r, ok, err := sorted.Next(ctx)
		if err != nil {
			return root, err
		}
		if !ok {
			return b.Finish(ctx)
		}
		if err := uniq.next(k, r); err != nil {
			return root, err
		}
		if err := b.Add(ctx, k, r); err != nil {
			return root, err
		}
	}
}

// uniqueCheck watches the entries of an index in key order for two with the same non-NULL values.
type uniqueCheck struct {
	s     *schema.Compiled
	n     int
	cells []value.Cell
	last  []byte
}

func (u *uniqueCheck) next(key, tuple []byte) error {
	x := &u.s.Indexes[u.n]
	if !x.Unique {
		return nil
	}
	l := u.s.Index[u.n]
	at := 0
	for i := range x.Columns {
		n := value.KeyPartLen(key[at:], &l.Parts[i])
		if n < 0 {
			return errs.New(errs.Corrupt, "build index %s: malformed key", x.Name)
		}
		if n == 1 { // NULL
			u.last = u.last[:0]
			return nil
		}
		at += n
	}
	if len(u.last) > 0 && bytes.Equal(u.last, key[:at]) {
		if err := value.DecodeTuple(tuple, l.Phys, u.cells); err != nil {
			return err
		}
		b := []byte{'\''}
		for i := range x.Columns {
			if i > 0 {
				b = append(b, '-')
			}
			b = value.AppendText(b, l.Parts[i].Type, u.cells[i])
		}
		return errs.New(errs.DuplicateKey, "duplicate entry %s' for unique index %s", b, x.Name)
	}
	u.last = append(u.last[:0], key[:at]...)
	return nil
}
