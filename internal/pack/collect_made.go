package pack

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"slices"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

// dictPackBytes is the length at which another pack with a dictionary begins, since without it all are lost that need it. Tests have less.
var dictPackBytes int64 = 64 << 20

// made is the packs that a group of a collection has made and that do not count yet.
type made struct {
	c        *Collection
	plan     *plan
	progress func(n int64)
	w        [1 + classes]*writer   // of chunks as they are, and of those that go with each dictionary
	packs    []*file                // shown
	all      map[string]bool        // names of all that were made, those included that the store had already
	copied   map[hash.Hash]struct{} // of late ones
	ok       bool
}

// put copies a chunk, whose hash is verified: in its stored form, or compressed when it is cold.
func (m *made) put(ctx context.Context, e encoded, cold bool) error {
	if err := ctx.Err(); err != nil {
		return errs.With(errs.Canceled, err)
	}
	s := m.c.s
	data, err := s.codecs.checked(e)
	if err != nil {
		return err
	}
	was := e
	size := recordHeader + int64(len(e.data))
	place := 0
	if cold {
		e, place, err = m.plan.encode(s.codecs, e, data)
	} else if e.codec == codecDict {
		e, err = s.codecs.encode(e.hash, data)
	}
	if err != nil {
		return err
	}
	if e.codec != codecRaw && (e.codec != was.codec || e.dict != was.dict) {
		// The copy that was verified goes: this one is read back first.
		if back, err := s.codecs.decode(e); err != nil || !bytes.Equal(back, data) {
			e = encoded{hash: e.hash, data: data, raw: e.raw, codec: codecRaw}
		}
	}
	if now := recordHeader + int64(len(e.data)); e.codec == codecDict && now < size {
		m.c.stats.Compressed++
		m.c.stats.Saved += size - now
	}
	w, err := m.writer(place)
	if err == nil {
		err = w.add(e)
	}
	if err != nil {
		return err
	}
	if m.progress != nil {
		m.progress(size)
	}
	if w.size() >= packBytes || place > 0 && w.size() >= dictPackBytes {
		return m.end(ctx, place)
	}
	return nil
}

// writer is the one of a place, 0 or behind a class.
func (m *made) writer(place int) (*writer, error) {
	if m.w[place] != nil {
		return m.w[place], nil
	}
	w, err := newWriter(m.c.s.fsys, m.c.s.tmpPath())
	if err != nil {
		return nil, err
	}
	m.w[place] = w
	if place > 0 {
		d := m.plan.class[place-1].dict
		m.c.stats.Saved -= int64(len(d.chunk))
		err = w.use(d)
	}
	return w, err
}

// copyPack copies the kept chunks of a pack, in the order in which they are in it.
func (m *made) copyPack(ctx context.Context, p *candidate) error {
	type record struct {
		off  int64
		n    int
		cold bool
	}
	list := make([]record, 0, p.n)
	for i := range p.idx.len() {
		if p.kept.has(i) {
			list = append(list, record{int64(p.idx.off(i)), recordHeader + int(p.idx.length(i)), m.plan != nil && !p.hot.has(i)})
		}
	}
	slices.SortFunc(list, func(a, b record) int { return int(min(max(a.off-b.off, -1), 1)) })
	var buf []byte
	for _, x := range list {
		buf = slices.Grow(buf[:0], x.n)[:x.n]
		if err := readFull(p.f, buf, x.off); err != nil {
			return p.at(uint64(x.off), err)
		}
		e, err := parseRecord(buf)
		if err == nil {
			err = p.supply(&e)
		}
		if err == nil {
			err = m.put(ctx, e, x.cold)
		}
		if err != nil {
			return p.at(uint64(x.off), err)
		}
	}
	return nil
}

// rest is the kept chunks that are only in files which are to go and have not been copied.
func (m *made) rest() ([]encoded, error) {
	c := m.c
	if m.copied == nil {
		m.copied = map[hash.Hash]struct{}{}
	}
	var from []movedChunk
	c.s.mu.RLock()
	if len(c.old) > 0 {
		for h, loc := range c.s.chunks {
			if !c.old[loc.seg] {
				continue
			}
			_, kept := c.other[h]
			if _, done := m.copied[h]; kept && !done {
				from = append(from, movedChunk{h, loc})
			}
		}
	}
	c.s.mu.RUnlock()
	sortMoved(from)
	var out []encoded
	for _, x := range from {
		e, err := c.s.readLocation(x.hash, x.loc, nil)
		if err != nil {
			return nil, err
		}
		m.copied[x.hash] = struct{}{}
		out = append(out, e)
	}
	for h := range c.late {
		if _, done := m.copied[h]; done {
			continue
		}
		e, _, err := c.s.find(h, nil)
		if err == nil {
			e, err = c.s.codecs.plain(e)
		}
		if err == nil {
			err = c.s.codecs.check(e)
		}
		if err != nil {
			return nil, err
		}
		m.copied[h] = struct{}{}
		out = append(out, e)
	}
	return out, nil
}

// copyRest copies the rest into the packs. It returns the number of chunks.
func (m *made) copyRest(ctx context.Context) (int, error) {
	list, err := m.rest()
	if err != nil {
		return 0, err
	}
	return len(list), m.add(ctx, list)
}

func (m *made) add(ctx context.Context, list []encoded) error {
	for _, e := range list {
		_, other := m.c.other[e.hash]
		_, hot := m.c.hot[e.hash]
		if err := m.put(ctx, e, m.plan != nil && other && !hot); err != nil {
			return err
		}
	}
	return nil
}

// finish ends the packs that are being written and gives them their names. Their chunks are the store's from here on, as further copies, but no
// frame lists them: a crash takes them away.
func (m *made) finish(ctx context.Context) error {
	for place := len(m.w) - 1; place >= 0; place-- { // what is read often is looked up first
		if err := m.end(ctx, place); err != nil {
			return err
		}
	}
	return nil
}

// end finishes one pack.
func (m *made) end(ctx context.Context, place int) error {
	w := m.w[place]
	if w == nil {
		return nil
	}
	m.w[place] = nil
	p, err := w.finish(ctx)
	if err != nil {
		return errors.Join(err, w.abort())
	}
	s := m.c.s
	if m.all == nil {
		m.all = map[string]bool{}
	}
	m.all[p.name] = true
	if err := s.publish(p); err != nil {
		return err
	}
	if s.owns(p) {
		m.packs = append(m.packs, p)
		m.c.stats.PacksWritten++
	}
	m.peak()
	return nil
}

// peak measures what is there now beyond what was there at the beginning.
func (m *made) peak() {
	s := m.c.Stats()
	m.c.stats.Peak = max(m.c.stats.Peak, s.After-s.Before)
}

// owns tells whether a pack is among the store's.
func (s *Store) owns(p *file) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Contains(s.packs, p)
}

// done says that the packs count.
func (m *made) done() { m.ok = true }

// undo removes the packs when they do not count.
func (m *made) undo() error {
	var err error
	for i, w := range m.w {
		if w != nil {
			err = errors.Join(err, w.abort())
			m.w[i] = nil
		}
	}
	if m.ok || len(m.packs) == 0 {
		return err
	}
	s := m.c.s
	if s.j.isBroken() {
		return err // what counts is for the next owner to find out
	}
	s.naming.Lock()
	defer s.naming.Unlock()
	m.c.mu.Lock()
	gone := slices.DeleteFunc(slices.Clone(m.packs), func(p *file) bool { return m.c.brought[p.name] })
	m.c.mu.Unlock()
	s.mu.Lock()
	s.packs = slices.DeleteFunc(slices.Clone(s.packs), func(p *file) bool { return slices.Contains(gone, p) })
	s.mu.Unlock()
	for _, p := range gone {
		err = errors.Join(err, p.close(), s.fsys.Remove(p.path))
	}
	if len(gone) > 0 {
		err = errors.Join(err, s.fsys.SyncDir(filepath.Dir(gone[0].path)))
	}
	return err
}
