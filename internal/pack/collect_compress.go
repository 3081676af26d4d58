package pack

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

// Compression says which chunks a collection compresses with dictionaries. Hot ones never are.
type Compression uint8

const (
	CompressAuto Compression = iota // those of packs that are rewritten for another reason
	CompressAll                     // those of all packs
	CompressNone                    // none: what is rewritten is stored so that no dictionary is needed
)

// What is worth a dictionary. Sizes are in bytes.
const (
	leastCold     = 256 << 10 // of cold chunks of a class, as they are without a dictionary
	storedPart    = 8         // the part of that which they may take as they are stored: one of so many
	leastChunk    = 256       // of a chunk
	coldPart      = 10        // the part of a pack that must be cold for it to be rewritten for that alone: one of so many
	worthSaving   = 10        // the part of a class that must be saved, dictionary included: one of so many
	sampleChunks  = 400       // of a class
	sampleBytes   = 4 << 20   // of a class
	sampleRead    = 4000      // chunks that are read for samples at most
	sampleChecked = 4         // one of so many samples is for measuring
)

// classes is how many kinds of chunks have dictionaries of their own.
const classes = 3

// classOf is the class of a chunk; below 0 for what is not compressed with a dictionary.
func classOf(data []byte) int {
	if len(data) < leastChunk {
		return -1
	}
	switch chunk.Kind(data[0]) {
	case chunk.KindPage, chunk.KindGroup:
		return 0
	case chunk.KindBlob:
		return 1
	case chunk.KindRowLeaf:
		return 2
	}
	return -1
}

// encoder is a zstd.Encoder with a dictionary. Tests have others.
type encoder interface {
	EncodeAll(src, dst []byte) []byte
	Close() error
}

// plan is how a collection compresses cold chunks; nil for not at all. It belongs to one goroutine.
type plan struct {
	class [classes]struct {
		dict *Dictionary // nil: it is not worth one
		enc  encoder
	}
	main int // the class with which chunks go that have no dictionary
}

func (p *plan) close() {
	if p == nil {
		return
	}
	for i := range p.class {
		if e := p.class[i].enc; e != nil {
			_ = e.Close() // it writes nowhere
		}
	}
}

// encode is the form in which a cold chunk e, of which data are the canonical bytes, is stored, and the place in made.w where it goes. Chunks
// for which a dictionary does nothing go with the others, so that packs without one have nothing that is cold.
func (p *plan) encode(c *codecs, e encoded, data []byte) (encoded, int, error) {
	k := classOf(data)
	if k < 0 || p.class[k].dict == nil {
		out, err := plainOf(c, e, data)
		return out, 1 + p.main, err
	}
	x := &p.class[k]
	if e.codec == codecDict && e.dict.hash == x.dict.hash {
		return e, 1 + k, nil
	}
	if z := x.enc.EncodeAll(data, make([]byte, 0, len(data)/2)); len(z) <= len(data)-len(data)/8 && (e.codec == codecDict || len(z) < len(e.data)) {
		return encoded{hash: e.hash, data: z, raw: e.raw, codec: codecDict, dict: x.dict}, 1 + k, nil
	}
	out, err := plainOf(c, e, data)
	return out, 1 + k, err
}

// plainOf is e in a form that needs no dictionary; data are its canonical bytes.
func plainOf(c *codecs, e encoded, data []byte) (encoded, error) {
	if e.codec != codecDict {
		return e, nil
	}
	return c.encode(e.hash, data)
}

// cold is the bytes of kept chunks that are not hot, and of those that are.
func (c *candidate) cold() (cold, hot int64) {
	for i := range c.idx.len() {
		if !c.kept.has(i) {
			continue
		}
		if n := recordHeader + int64(c.idx.length(i)); c.hot.has(i) {
			hot += n
		} else {
			cold += n
		}
	}
	return cold, hot
}

// compression is the packs to be rewritten, those of todo and others that are worth it for the sake of compression, and how their cold chunks
// are compressed.
func (c *Collection) compression(ctx context.Context, opt RewriteOptions, todo []*candidate) ([]*candidate, *plan, error) {
	if opt.Compress == CompressNone || opt.Drop {
		return todo, nil, nil
	}
	all := slices.Clone(todo)
	if opt.Compress == CompressAll {
		var small []*candidate // with dictionaries
		for _, p := range c.packs {
			if slices.Contains(todo, p) {
				continue
			}
			cold, hot := p.cold()
			switch {
			case p.dict < 0 && cold > 0 && (cold*coldPart >= p.size || p.size < smallPack), p.dict >= 0 && hot*coldPart >= p.size:
				p.spare = true
				all = append(all, p)
			case p.dict >= 0 && p.size < smallPack:
				small = append(small, p)
			}
		}
		if len(small) >= manySmall {
			for _, p := range small {
				p.spare = true
			}
			all = append(all, small...)
		}
	}
	s := &sampler{c: c, packs: all, least: opt.CompressLeast}
	p, err := s.plan(ctx)
	if err != nil || p == nil {
		return todo, nil, err
	}
	return all, p, nil
}

// sampler looks at the cold chunks of packs and of the old segments.
type sampler struct {
	c     *Collection
	packs []*candidate
	least int64 // of a class

	total int64            // bytes of all, as they are stored
	read  int64            // bytes of those that were read, as they are stored
	seen  [classes]int64   // of them by class, as they would be without a dictionary
	class [classes]samples // which of them are kept
}

// samples are chunks of a class.
type samples struct {
	train, check [][]byte
	n            int
	bytes        int
	stored       int64 // bytes of check as they are stored without a dictionary
}

func (s *samples) full() bool { return s.n >= sampleChunks || s.bytes >= sampleBytes }

// plan says which classes are worth a dictionary; nil when none is. It is a function of the cold chunks, in whatever packs they are: those with
// the least hashes are the samples, and hashes know nothing of content.
func (s *sampler) plan(ctx context.Context) (*plan, error) {
	list := s.list()
	if s.total*storedPart < s.least {
		return nil, nil
	}
	for _, x := range list {
		if err := ctx.Err(); err != nil {
			return nil, errs.With(errs.Canceled, err)
		}
		if err := s.look(x); err != nil {
			return nil, err
		}
		if s.class[0].full() && s.class[1].full() && s.class[2].full() {
			break
		}
	}
	if s.read == 0 {
		return nil, nil
	}
	p := &plan{main: -1}
	var most int64
	for k := range s.class {
		if err := ctx.Err(); err != nil {
			p.close()
			return nil, errs.With(errs.Canceled, err)
		}
		size := int64(float64(s.total) * float64(s.seen[k]) / float64(s.read))
		d, e, saved, err := s.class[k].dictionary(size, s.least)
		if err != nil {
			p.close()
			return nil, err
		}
		p.class[k].dict, p.class[k].enc = d, e
		if d != nil && (p.main < 0 || saved > most) {
			p.main, most = k, saved
		}
	}
	if p.main < 0 {
		return nil, nil
	}
	return p, nil
}

// coldChunk is where a cold chunk is.
type coldChunk struct {
	prefix uint64
	p      *candidate // nil: in the journal
	i      int        // position in p
	h      hash.Hash  // of one in the journal
}

// list is the cold chunks with the least hashes, in their order.
func (s *sampler) list() (out []coldChunk) {
	for _, p := range s.packs {
		n := 0
		for i := range p.idx.len() {
			if !p.kept.has(i) || p.hot.has(i) {
				continue
			}
			s.total += recordHeader + int64(p.idx.length(i))
			if n < sampleRead { // the index is in the order of hashes
				out = append(out, coldChunk{prefix: p.idx.prefix(i), p: p, i: i})
				n++
			}
		}
		if len(out) > 4*sampleRead {
			out = least(out)
		}
	}
	s.c.s.mu.RLock()
	for h, loc := range s.c.s.chunks {
		_, kept := s.c.other[h]
		if _, hot := s.c.hot[h]; kept && !hot && s.c.old[loc.seg] {
			s.total += recordHeader + int64(loc.length)
			out = append(out, coldChunk{prefix: prefixOf(h), h: h})
		}
	}
	s.c.s.mu.RUnlock()
	return least(out)
}

// least is those that may be read, in their order.
func least(list []coldChunk) []coldChunk {
	slices.SortFunc(list, func(a, b coldChunk) int { return cmp.Compare(a.prefix, b.prefix) })
	return list[:min(len(list), sampleRead)]
}

// look reads one chunk. One that cannot be read is no sample: whoever needs it says so.
func (s *sampler) look(x coldChunk) error {
	var e encoded
	var err error
	if x.p == nil {
		e, _, err = s.c.s.find(x.h, nil)
	} else {
		rec := make([]byte, recordHeader+int(x.p.idx.length(x.i)))
		off := x.p.idx.off(x.i)
		if err = readFull(x.p.f, rec, int64(off)); err == nil {
			e, err = parseRecord(rec)
		}
		if err == nil {
			err = x.p.supply(&e)
		}
		if err != nil {
			err = x.p.at(off, err)
		}
	}
	codecs := s.c.s.codecs
	var data []byte
	if err == nil {
		data, err = codecs.checked(e)
	}
	if unreadable(err) {
		return nil
	}
	if err != nil {
		return err
	}
	s.read += recordHeader + int64(len(e.data))
	k := classOf(data)
	if k < 0 {
		return nil
	}
	if e, err = plainOf(codecs, e, data); err != nil {
		return err
	}
	s.seen[k] += recordHeader + int64(len(e.data))
	c := &s.class[k]
	if c.full() {
		return nil
	}
	if c.n++; c.n%sampleChecked == 0 {
		c.check = append(c.check, data)
		c.stored += int64(len(e.data))
	} else {
		c.train = append(c.train, data)
	}
	c.bytes += len(data)
	return nil
}

// dictionary is one for a class that has, about, size bytes without it; nil when that is not worth one. saved is what it saves.
func (s *samples) dictionary(size, least int64) (d *Dictionary, e encoder, saved int64, err error) {
	if size < least || len(s.check) == 0 && least > 0 {
		return nil, nil, 0, nil
	}
	if d, err = train(s.train, int(min(size/16, dictionaryBytes))); d == nil || err != nil {
		return nil, nil, 0, err
	}
	if e, err = d.encoder(); err != nil {
		return nil, nil, 0, errs.New(errs.Internal, "use a dictionary: %w", err)
	}
	if least < 0 {
		return d, e, 0, nil
	}
	n := int64(0)
	for _, data := range s.check {
		z := e.EncodeAll(data, nil)
		n += int64(min(len(z), len(data)))
	}
	saved = size - int64(float64(size)*float64(n)/float64(s.stored)) - int64(len(d.chunk))
	if saved*worthSaving < size {
		return nil, nil, 0, errors.Join(e.Close())
	}
	return d, e, saved, nil
}
