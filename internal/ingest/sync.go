package ingest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
)

// records is the type of blocks of rows whose fields have their lengths before them.
const records FileType = 255

// RecordReader gives rows as the texts of their fields, in the form that value.Parse reads; nil is NULL. The fields are valid until the
// next call; ok is false at the end.
type RecordReader func(ctx context.Context) (fields [][]byte, ok bool, err error)

// SyncStats count what a Sync changed.
type SyncStats struct {
	Rows                     uint64 // read
	Added, Modified, Removed uint64
}

// IsEmpty tells whether nothing changed.
func (s *SyncStats) IsEmpty() bool { return s.Added+s.Modified+s.Removed == 0 }

// Sync makes the table base hold exactly the rows that r gives, whose fields are opt.Names and go to opt.Columns. Rows are compared by
// key, in its order, and those that differ are written; a table without a key is read anew. base is not changed. name is what messages
// call the source, whose rows they count from 1.
func Sync(ctx context.Context, st chunk.Store, base *table.Table, name string, r RecordReader, opt LoadOptions) (t *table.Table, stats SyncStats, err error) {
	opt.Format = Format{Type: records}
	l, err := newLoading(st, base, Source{Name: name, Unit: "row"}, opt)
	if err != nil {
		return nil, stats, err
	}
	l.run = func(ctx context.Context, take func(*loaded) error) error { return l.records(ctx, r, take) }
	l.once = true
	if base.Schema.Keyless() {
		return l.renew(ctx, base)
	}
	sorter := &sortSink{table.NewSorter(opt.FS, opt.TempDir, max(opt.Memory, 64<<20))}
	defer func() { err = errors.Join(err, sorter.s.Close()) }()
	if err := l.run(ctx, func(b *loaded) error { return l.add(ctx, sorter, nil, b) }); err != nil {
		return nil, stats, err
	}
	stats.Rows = sorter.s.Len()
	sorted, err := sorter.s.Sort()
	if err != nil {
		return nil, stats, err
	}
	src := &syncSource{sorted: sorted, name: name, stats: &stats, base: table.NewView(st, base, nil).Scan(table.ScanOptions{Rows: table.RowsTree})}
	rows, err := tree.Apply(ctx, st, base.Schema.Primary.Format, base.Rows, src)
	if err != nil {
		return nil, stats, err
	}
	if stats.IsEmpty() {
		return base, stats, nil
	}
	t = &table.Table{Schema: base.Schema, Rows: rows, Indexes: make([]tree.Root, len(base.Indexes))}
	for n := range t.Indexes {
		if t.Indexes[n], err = table.BuildIndex(ctx, st, t, n, opt.LoadOptions); err != nil {
			return nil, stats, err
		}
	}
	return t, stats, nil
}

// renew reads a table without a key anew. It counts rows that are not in the same place as changes only when the tables differ.
func (l *loading) renew(ctx context.Context, base *table.Table) (*table.Table, SyncStats, error) {
	t, s, err := l.load(ctx, table.Empty(base.Schema))
	if err != nil {
		return nil, SyncStats{}, err
	}
	stats := SyncStats{Rows: s.Rows}
	if t.Rows.Hash == base.Rows.Hash {
		return base, stats, nil
	}
	err = tree.Diff(ctx, l.st, base.Schema.Primary.Format, base.Rows, t.Rows, nil, nil, func(c tree.Change) error {
		switch {
		case c.A == nil:
			stats.Added++
		case c.B == nil:
			stats.Removed++
		default:
			stats.Modified++
		}
		return nil
	})
	return t, stats, err
}

// records reads rows from a reader and makes blocks of them.
func (l *loading) records(ctx context.Context, r RecordReader, take func(*loaded) error) error {
	line, done := int64(1), false
	next := func(b *block) (bool, error) {
		b.data, b.line, b.suspect, b.read = b.data[:0], line, true, 0
		for !done && len(b.data) < blockSize {
			fields, ok, err := r(ctx)
			if err != nil {
				return false, err
			}
			if !ok {
				done = true
				break
			}
			if len(fields) != len(l.fields) {
				return false, errs.New(errs.Internal, "read %s: row %d has %d fields, want %d", l.src.Name, line, len(fields), len(l.fields))
			}
			for _, f := range fields {
				if f == nil {
					b.data = append(b.data, 0)
					continue
				}
				b.data = binary.AppendUvarint(b.data, uint64(len(f))+1)
				b.data = append(b.data, f...)
			}
			line++
			b.read++
		}
		return b.read > 0, nil
	}
	worker := func() func(*block, *batch) error {
		w := l.newRowWorker(ctx)
		w.split = &recordSplitter{fields: make([][]byte, len(l.fields)), quoted: make([]bool, len(l.fields))}
		return func(b *block, out *batch) error { return w.block(ctx, b, out) }
	}
	return each(ctx, next, l.opt.Workers, worker, func(b *block, out *batch) error {
		return take(&loaded{rows: out, line: b.line, read: b.read})
	})
}

// recordSplitter cuts blocks of rows whose fields have their lengths before them.
type recordSplitter struct {
	data   []byte
	line   int64
	fields [][]byte
	quoted []bool
}

func (s *recordSplitter) reset(data []byte, line int64) { s.data, s.line = data, line }

// Next implements splitter.
func (s *recordSplitter) Next(rec *Record) (bool, *LineError) {
	if len(s.data) == 0 {
		return false, nil
	}
	for i := range s.fields {
		n, k := binary.Uvarint(s.data)
		s.data = s.data[k:]
		s.fields[i], s.quoted[i] = nil, n > 0
		if n > 0 {
			s.fields[i] = s.data[: n-1 : n-1]
			s.data = s.data[n-1:]
		}
	}
	rec.Fields, rec.Quoted, rec.Line, rec.Raw, rec.at = s.fields, s.quoted, s.line, nil, 0
	s.line++
	return true, nil
}

// sortSink sorts what a loading adds.
type sortSink struct{ s *table.Sorter }

// AddTagged implements rowSink.
func (s *sortSink) AddTagged(_ context.Context, key, row, _ []byte) error { return s.s.Add(key, row) }

// NextOrdinal implements rowSink; tables without a key are not sorted.
func (s *sortSink) NextOrdinal() int64 { return 0 }

// syncSource gives the edits that make a table of sorted rows of another.
type syncSource struct {
	sorted *table.Sorted
	base   *table.Scan
	name   string
	stats  *SyncStats

	begun    bool
	have     bool // whether key and row are the next of the source
	key, row []byte
	last     []byte // the key before
	block    table.Block
	at       int
	left     bool // whether block has a row at at
	baseKey  []byte
	baseRow  []byte
	editKey  []byte
	editRow  []byte
}

// Next implements tree.EditSource.
func (s *syncSource) Next(ctx context.Context) (tree.Edit, bool, error) {
	if !s.begun {
		s.begun = true
		if err := errors.Join(s.nextSource(ctx), s.nextBase(ctx)); err != nil {
			return tree.Edit{}, false, err
		}
	}
	for s.have || s.left {
		c := 0
		switch {
		case !s.left:
			c = -1
		case !s.have:
			c = 1
		default:
			c = bytes.Compare(s.key, s.baseKey)
		}
		e := tree.Edit{}
		switch {
		case c < 0:
			s.stats.Added++
			e.Key, e.Row = s.keep(s.key, s.row)
		case c > 0:
			s.stats.Removed++
			e.Key, _ = s.keep(s.baseKey, nil)
		case !bytes.Equal(s.row, s.baseRow):
			s.stats.Modified++
			e.Key, e.Row = s.keep(s.key, s.row)
		}
		if c <= 0 {
			if err := s.nextSource(ctx); err != nil {
				return e, false, err
			}
		}
		if c >= 0 {
			if err := s.nextBase(ctx); err != nil {
				return e, false, err
			}
		}
		if e.Key != nil {
			return e, true, nil
		}
	}
	return tree.Edit{}, false, nil
}

// keep copies a key and a row that are valid until the next one is read.
func (s *syncSource) keep(key, row []byte) (k, r []byte) {
	s.editKey, s.editRow = append(s.editKey[:0], key...), append(s.editRow[:0], row...)
	if row == nil {
		return s.editKey, nil
	}
	return s.editKey, s.editRow
}

func (s *syncSource) nextSource(ctx context.Context) (err error) {
	before := s.have
	if before {
		s.last = append(s.last[:0], s.key...)
	}
	var k, r []byte
	if k, r, s.have, err = s.sorted.Next(ctx); err != nil || !s.have {
		return err
	}
	s.key, s.row = append(s.key[:0], k...), append(s.row[:0], r...)
	if before && bytes.Equal(s.key, s.last) {
		return errs.New(errs.DuplicateKey, "read %s: two rows have the same primary key", s.name)
	}
	return nil
}

func (s *syncSource) nextBase(ctx context.Context) (err error) {
	if s.left {
		s.at++
	}
	if s.block.Page == nil || s.at >= s.block.Hi {
		var ok bool
		if s.block, ok, err = s.base.Next(ctx); err != nil || !ok {
			s.left = false
			return err
		}
		s.at = s.block.Lo
	}
	s.left = true
	s.baseKey = s.block.Page.AppendKey(s.baseKey[:0], s.at)
	s.baseRow, err = s.block.Page.AppendRow(ctx, s.baseRow[:0], s.at)
	return err
}
