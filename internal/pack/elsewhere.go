package pack

import (
	"context"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

// Elsewhere has the chunks that a store lacks which is a part of a database. It is used by many goroutines.
type Elsewhere interface {
	// Record is the record of a chunk as packs have it, but for those that need a dictionary: it can be read without one. The error for one that is not to be had is chunk.ErrAbsent's.
	Record(ctx context.Context, h hash.Hash) ([]byte, error)
}

// Finder is an Elsewhere that finds chunks by the beginnings of their hashes.
type Finder interface {
	Elsewhere
	// Beginning is the hashes of the chunks of a kind whose base32 form begins with text.
	Beginning(ctx context.Context, text string, kind chunk.Kind) ([]hash.Hash, error)
}

// Projected is an Elsewhere that can read pages without all of their columns.
type Projected interface {
	Elsewhere
	// Projected is a page with the columns ids, which ascend, and no others; nil where what has that hash is to be had as a whole only. It may be called
	// by many goroutines.
	Projected(ctx context.Context, h hash.Hash, ids []uint64) ([]byte, error)
}

// SetElsewhere says where chunks are that the store lacks; nil for nowhere.
func (s *Store) SetElsewhere(e Elsewhere) {
	if e == nil {
		s.elsewhere.Store(nil)
		return
	}
	s.elsewhere.Store(&e)
}

// bring is the stored form of a chunk that the store lacks, with the error lacking.
func (s *Store) bring(ctx context.Context, h hash.Hash, lacking error) (encoded, error) {
	e := s.elsewhere.Load()
	if e == nil || !errs.Is(lacking, errs.NotFound) {
		return encoded{}, lacking
	}
	return s.record(ctx, *e, h)
}

// record is the stored form of a chunk that is elsewhere.
func (s *Store) record(ctx context.Context, from Elsewhere, h hash.Hash) (encoded, error) {
	rec, err := from.Record(ctx, h)
	if err != nil {
		return encoded{}, err
	}
	e, err := parseRecord(rec)
	if err == nil {
		err = s.codecs.check(e)
	}
	if err == nil && e.hash != h {
		err = errs.New(errs.Corrupt, "the record of chunk %s is that of chunk %s", h, e.hash)
	}
	return e, err
}

// FindElsewhere is the hashes of the chunks of a kind that are elsewhere and whose base32 form begins with text; none where that cannot be told.
func (s *Store) FindElsewhere(ctx context.Context, text string, kind chunk.Kind) ([]hash.Hash, error) {
	if e := s.elsewhere.Load(); e != nil {
		if f, ok := (*e).(Finder); ok {
			return f.Beginning(ctx, text, kind)
		}
	}
	return nil, nil
}

// Local is the store without what is elsewhere, which is absent.
func (s *Store) Local() *LocalReader { return &LocalReader{s} }

// LocalReader reads the chunks that a store has itself.
type LocalReader struct{ s *Store }

// Get implements chunk.Reader.
func (l *LocalReader) Get(_ context.Context, h hash.Hash) ([]byte, error) {
	e, _, err := l.s.find(h, nil)
	if err != nil {
		if l.s.elsewhere.Load() != nil && errs.Is(err, errs.NotFound) {
			err = chunk.ErrAbsent(h, "it is elsewhere")
		}
		return nil, err
	}
	return l.s.codecs.decode(e)
}

// Has tells whether a chunk is in the store itself.
func (l *LocalReader) Has(_ context.Context, h hash.Hash) (bool, error) { return l.s.hasOnce(h) }

// Spans is where a chunk may be in the pack: chunks of one prefix cannot be told from each other by the index.
func (d *Directory) Spans(h hash.Hash) []Span {
	p := prefixOf(h)
	i, ok := d.idx.find(p)
	var out []Span
	for ; ok && i < d.idx.len() && d.idx.prefix(i) == p; i++ {
		out = append(out, d.idx.span(i))
	}
	return out
}

// End is where the records of the pack end, in bytes from its beginning.
func (d *Directory) End() int64 { return int64(d.ft.indexOff) }

// Beginning is where chunks may be whose hash begins with these eight bytes or less, given as the least and the greatest prefix.
func (d *Directory) Beginning(lo, hi uint64) []Span {
	i, _ := d.idx.find(lo)
	var out []Span
	for ; i < d.idx.len() && d.idx.prefix(i) <= hi; i++ {
		if d.idx.prefix(i) >= lo {
			out = append(out, d.idx.span(i))
		}
	}
	slices.SortFunc(out, func(a, b Span) int { return int(a.Off - b.Off) })
	return out
}

// PrefixRange is the least and the greatest prefix of hashes whose base32 form begins with text, which must satisfy hash.IsBeginning.
func PrefixRange(text string) (lo, hi uint64) {
	n := min(len(text), 12) // of 5 bits each; a prefix has 64
	for i := range n {
		lo = lo<<5 | uint64(strings.IndexByte("0123456789abcdefghijklmnopqrstuv", text[i]))
	}
	hi = lo
	free := uint(64 - 5*n)
	return lo << free, hi<<free | (1<<free - 1)
}

// DecodeRecord is the hash and the canonical bytes of the chunk of a record, after a check of its CRC and its hash.
func DecodeRecord(rec []byte) (h hash.Hash, data []byte, err error) {
	e, err := parseRecord(rec)
	if err != nil {
		return h, nil, err
	}
	c := newCodecs()
	if err := c.check(e); err != nil {
		return h, nil, err
	}
	data, err = c.decode(e)
	return e.hash, data, err
}

// RecordHash is the hash that a record says its chunk has, after a check of its CRC.
func RecordHash(rec []byte) (hash.Hash, error) {
	e, err := parseRecord(rec)
	return e.hash, err
}
