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
	s *Store
	w *writer
	m readMemory
}

// NewBuilder begins a pack in the new file path of the store's file system.
func (s *Store) NewBuilder(path string) (*Builder, error) {
	w, err := newWriter(s.fsys, path)
	if err != nil {
		return nil, err
	}
	return &Builder{s: s, w: w}, nil
}

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
	return b.w.add(e)
}

// Size is the number of bytes written so far.
func (b *Builder) Size() int64 { return b.w.size() }

// Finish ends the pack. It is not synced to last longer than the process: whoever sends it on makes it again when it is lost.
func (b *Builder) Finish(ctx context.Context) (Built, error) {
	out := Built{Path: b.w.path, Chunks: len(b.w.entries)}
	if err := b.w.end(ctx); err != nil {
		return Built{}, err
	}
	p, err := b.w.reopen()
	if err != nil {
		return Built{}, err
	}
	b.w = nil
	out.Digest, out.Size = p.ft.digest, p.size
	return out, p.close()
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

// TailSize is the length of the end of a pack, index and footer, that has that many chunks.
func TailSize(chunks int) int64 { return int64(chunks)*indexEntry + footerSize }

// Directory is the index of a pack that is elsewhere.
type Directory struct {
	idx *index
	ft  footer
}

// ReadDirectory reads the last TailSize bytes of a pack of that length and digest.
func ReadDirectory(tail []byte, size int64, digest hash.Hash) (*Directory, error) {
	if len(tail) < footerSize {
		return nil, errs.New(errs.Corrupt, "read the index of pack %s: it has only %d bytes", digest.Full(), size)
	}
	ft, err := parseFooter(tail[len(tail)-footerSize:], size)
	if err == nil && ft.digest != digest {
		err = errs.New(errs.Corrupt, "it is that of pack %s", ft.digest.Full())
	}
	if err == nil && TailSize(int(ft.count)) != int64(len(tail)) {
		err = errs.New(errs.Corrupt, "it has %d chunks, not as many as the list says", ft.count)
	}
	var idx *index
	if err == nil {
		idx, err = parseTail(tail, ft)
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

// Span is a record of a pack: where it is in the file and its length, both in bytes.
type Span struct{ Off, Len int64 }

// isDictionary tells whether the record at a position of the index is the pack's dictionary.
func (d *Directory) isDictionary(i int) bool {
	return d.ft.version == dictVersion && d.idx.off(i) == packHeader
}

// Dictionary is the record of the pack's dictionary, which records of other chunks need; ok is false when it has none.
func (d *Directory) Dictionary() (at Span, ok bool) {
	if d.ft.version != dictVersion {
		return Span{}, false
	}
	return Span{packHeader, recordHeader + int64(d.idx.length(d.idx.first()))}, true
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

// Lacking is the records, in the order of the index, of the chunks that a store seems to lack: chunks of one prefix count as one.
func (d *Directory) Lacking(k *Known) []Span {
	var out []Span
	for i := range d.idx.len() {
		if !k.has(d.idx.prefix(i)) && !d.isDictionary(i) {
			out = append(out, Span{int64(d.idx.off(i)), recordHeader + int64(d.idx.length(i))})
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
