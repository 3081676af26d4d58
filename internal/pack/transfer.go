package pack

import (
	"context"
	"fmt"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

// Ext ends the names of pack files.
const Ext = packExt

// Built is a finished pack file outside of a store.
type Built struct {
	Path   string
	Digest hash.Hash // what a store names it after
	Size   int64     // in bytes
	Chunks int
}

// Builder writes one pack file for another store from chunks of this one, whose stored form it copies. It belongs to one goroutine and
// must be closed.
type Builder struct {
	s       *Store
	w       *writer
	m       readMemory
	striped *striping // nil for a pack of records only
}

// NewBuilder begins a pack in the new file path of the store's file system.
func (s *Store) NewBuilder(path string) (*Builder, error) {
	w, err := newWriter(s.fsys, path)
	if err != nil {
		return nil, err
	}
	return &Builder{s: s, w: w}, nil
}

// Stripe makes the pack, which has no chunks yet, a striped one if pages enough come.
func (b *Builder) Stripe(how Blocks) { b.striped = newStriping(b.w, how) }

// Add copies a chunk of the store; one that is in the pack already is not added again.
func (b *Builder) Add(ctx context.Context, h hash.Hash) error {
	if err := ctx.Err(); err != nil {
		return errs.With(errs.Canceled, err)
	}
	e, _, err := b.s.find(h, &b.m)
	if err != nil {
		e, err = b.s.bring(ctx, h, err)
	}
	if err == nil {
		e, err = b.s.codecs.plain(e)
	}
	if err != nil {
		return err
	}
	if b.striped != nil {
		return b.striped.add(e)
	}
	return b.w.add(e)
}

// Size is the number of bytes so far.
func (b *Builder) Size() int64 {
	if b.striped != nil {
		return b.w.size() + b.striped.size
	}
	return b.w.size()
}

// Finish ends the pack. It is not synced to last longer than the process: whoever sends it on makes it again when it is lost.
func (b *Builder) Finish(ctx context.Context) (Built, error) {
	if b.striped != nil {
		if err := b.striped.flush(); err != nil {
			return Built{}, err
		}
	}
	out := Built{Path: b.w.path, Chunks: len(b.w.entries)}
	ft, err := b.w.end(ctx)
	if err != nil {
		return Built{}, err
	}
	out.Digest, out.Size = ft.digest, b.w.size()
	if err := b.w.f.Close(); err != nil {
		return Built{}, fmt.Errorf("close pack %s: %w", b.w.path, err)
	}
	b.w = nil
	return out, nil
}

// Close drops a pack that is not finished.
func (b *Builder) Close() error {
	if b.w == nil {
		return nil
	}
	err := b.w.abort()
	b.w = nil
	return err
}

// TailSize is the length of the end of a pack, index and footer, that has that many chunks. A striped one has a table of its blocks in front of that.
func TailSize(chunks int) int64 { return int64(chunks)*indexEntry + footerSize }

// Directory is the index of a pack that is elsewhere.
type Directory struct {
	idx *index
	ft  footer
}

// ShortError says that more of the end of a pack is needed to know what is in it.
type ShortError struct {
	Need int64 // bytes of the end
}

// Error implements error.
func (e *ShortError) Error() string { return fmt.Sprintf("the last %d bytes are needed", e.Need) }

// ReadDirectory reads the end of a pack of that length, digest and number of chunks: TailSize bytes or more. When more are needed, as of a
// striped pack, the error is a *ShortError.
func ReadDirectory(end []byte, size int64, digest hash.Hash, chunks int) (*Directory, error) {
	if len(end) < footerSize {
		return nil, errs.New(errs.Corrupt, "read the index of pack %s: it has only %d bytes", digest.Full(), size)
	}
	ft, err := parseFooter(end[len(end)-footerSize:], size, stripes)
	if err == nil && ft.digest != digest {
		err = errs.New(errs.Corrupt, "it is that of pack %s", ft.digest.Full())
	}
	if err == nil && int(ft.count) != chunks {
		err = errs.New(errs.Corrupt, "it has %d chunks, not as many as the list says", ft.count)
	}
	var idx *index
	if err == nil {
		need := size - int64(ft.indexOff)
		if int64(len(end)) < need {
			return nil, &ShortError{need}
		}
		idx, err = parseTail(end[int64(len(end))-need:], ft)
	}
	if err != nil {
		return nil, fmt.Errorf("read the index of pack %s: %w", digest.Full(), err)
	}
	d := &Directory{idx: idx, ft: ft}
	if at, ok := d.Dictionary(); ok && at.Len > recordHeader+maxDictionary {
		return nil, errs.New(errs.Corrupt, "read the index of pack %s: a dictionary of %d bytes is too long", digest.Full(), at.Len)
	}
	return d, nil
}

// Span is where a chunk is in the file of a pack, in bytes: a record, or the block of a page.
type Span struct {
	Off, Len int64
	Page     int // which page of the block it is, from 1; 0 for a record
}

// isDictionary tells whether the record at a position of the index is the pack's dictionary.
func (d *Directory) isDictionary(i int) bool {
	return d.ft.version == dictVersion && d.idx.off(i) == packHeader
}

// Dictionary is the record of the pack's dictionary, which records of other chunks need; ok is false when it has none.
func (d *Directory) Dictionary() (at Span, ok bool) {
	if d.ft.version != dictVersion {
		return Span{}, false
	}
	return d.idx.span(d.idx.first()), true
}

// NeedsDictionary tells whether a record can be read only with the dictionary of its pack.
func NeedsDictionary(rec []byte) bool { return len(rec) >= recordHeader && rec[40] == codecDict }

// Standalone is a record of the same chunk that can be read without the dictionary d of its pack, after a check of CRC and hash.
func Standalone(rec []byte, d *Dictionary) ([]byte, error) {
	e, err := parseRecord(rec)
	if err != nil {
		return nil, err
	}
	e.dict = d
	data, err := newCodecs().checked(e)
	if err != nil {
		return nil, err
	}
	return appendRecord(nil, encoded{hash: e.hash, data: data, raw: e.raw, codec: codecRaw}), nil
}

// Lacking is where the chunks are, in the order of the index, that a store seems to lack: chunks of one prefix count as one.
func (d *Directory) Lacking(k *Known) []Span {
	var out []Span
	for i := range d.idx.len() {
		if !k.has(d.idx.prefix(i)) && !d.isDictionary(i) {
			out = append(out, d.idx.span(i))
		}
	}
	return out
}

// Known is the prefixes of the chunks that a store had at one moment.
type Known struct {
	journal map[uint64]struct{}
	packs   []*file
}

// Known is what the store has now.
func (s *Store) Known() *Known {
	s.mu.RLock()
	defer s.mu.RUnlock()
	k := &Known{journal: make(map[uint64]struct{}, len(s.chunks)), packs: s.packs}
	for h := range s.chunks {
		k.journal[prefixOf(h)] = struct{}{}
	}
	return k
}

func (k *Known) has(prefix uint64) bool {
	if _, ok := k.journal[prefix]; ok {
		return true
	}
	for i := len(k.packs) - 1; i >= 0; i-- {
		if _, ok := k.packs[i].idx.find(prefix); ok {
			return true
		}
	}
	return false
}

// HasPack tells whether the store has a pack of that digest.
func (s *Store) HasPack(digest hash.Hash) bool { return s.hasPack(digest.Full()) }

// PutRecord keeps the chunk of a record of another store's pack, as Lacking says where it is, after a check of its CRC and its hash; d is the
// dictionary of that pack, nil for none. rec may be used again afterwards.
func (b *Batch) PutRecord(ctx context.Context, rec []byte, d *Dictionary) error {
	e, err := parseRecord(rec)
	if err != nil {
		return err
	}
	if e.codec == codecDict {
		e.dict = d
	}
	data, err := b.s.codecs.checked(e)
	if err != nil {
		return err
	}
	if ok, err := b.Rely(ctx, e.hash); ok || err != nil {
		return err
	}
	if e.codec == codecDict {
		e, err = b.s.codecs.encode(e.hash, data)
		if err != nil {
			return err
		}
	} else {
		e.data = append([]byte(nil), e.data...)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.add(e)
}

// Empty tells whether the store had no chunks.
func (k *Known) Empty() bool { return len(k.journal) == 0 && len(k.packs) == 0 }
