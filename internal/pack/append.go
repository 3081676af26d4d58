package pack

import (
	"context"
	"errors"
	"fmt"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

// Append queues one frame: the chunks of b, which may be nil, and recs. After a crash all of it is there or nothing, and nothing
// that was appended later without it. It returns the frame's LSN at once; Wait says when it is durable. Frames of concurrent
// calls are in the order of their LSNs. The chunks can then be read from the store, and b is empty and can be used again.
//
// A frame of more than a mebibyte puts its chunks, and its records when they alone are so long, into packs that are synced
// first, and removed again when the frame cannot be appended. When there is no room the error is of class NoSpace, nothing was
// appended and the store can be used on; a batch that has files can then only be closed.
func (s *Store) Append(ctx context.Context, b *Batch, recs ...Record) (lsn uint64, err error) {
	if s.j == nil {
		return 0, errReadOnly("append")
	}
	if err := ctx.Err(); err != nil {
		return 0, errs.With(errs.Canceled, err)
	}
	var chunks []encoded
	var packs []*file
	if b != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.err != nil {
			return 0, b.err
		}
		files := b.w != nil || len(b.full) > 0
		if b.w != nil || batchSize(b.list, recs)+batchSize(nil, []Record{packsRecord(packsAdd, b.full)}) > maxPayload {
			if packs, err = b.toFiles(ctx); err != nil {
				return 0, fmt.Errorf("append a batch: %w", err)
			}
			files = true
		} else { // the few chunks that are in memory go into the frame
			packs, b.full = b.full, nil
		}
		if files {
			defer func() {
				if err != nil && b.err == nil {
					b.err = err
				}
			}()
		}
		chunks = b.list
	}
	buf := s.bufs.Get().(*[]byte)
	defer func() { s.bufs.Put(buf) }()
	if len(packs) > 0 && s.lists {
		recs = append(recs[:len(recs):len(recs)], packsRecord(packsAdd, packs))
	}
	payload := appendBatch((*buf)[:0], chunks, recs)
	if cap(payload) <= maxPayload {
		*buf = payload
	}
	var pieces []hash.Hash
	if len(payload) > maxPayload {
		var more []*file
		if payload, more, pieces, err = s.outside(ctx, payload[1:]); err != nil {
			return 0, fmt.Errorf("append records: %w", errors.Join(err, s.drop(packs)))
		}
		packs = append(packs, more...)
	}
	lsn, err = s.appendWith(packs, func(show func()) (uint64, error) {
		return s.j.append(ctx, frameBatch, payload, func(seg *segment, off int64) {
			show()
			s.index(seg, off, payload, chunks)
		})
	})
	if err != nil {
		return 0, err
	}
	s.note(lsn, pieces)
	if b != nil {
		s.rely(b)
		b.list, b.bytes = b.list[:0], 0
		clear(b.at)
	}
	return lsn, nil
}

// Ready does ahead what an Append of b with these records, the next one to the store, may fail at for want of room: after it only a device
// that fails, or a frame of others, stands in its way. It appends nothing. b may be nil.
func (s *Store) Ready(ctx context.Context, b *Batch, recs ...Record) error {
	if s.j == nil {
		return errReadOnly("append")
	}
	size := batchSize(nil, recs)
	if b != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		size = batchSize(b.list, recs) + batchSize(nil, []Record{packsRecord(packsAdd, b.full)})
		if b.w != nil || size > maxPayload {
			packs, err := b.toFiles(ctx)
			if err != nil {
				return fmt.Errorf("append a batch: %w", err)
			}
			b.full = packs
			size = batchSize(nil, recs) + batchSize(nil, []Record{packsRecord(packsAdd, b.full)})
		}
	}
	return s.j.reserve(frameSize(min(size, maxPayload)))
}

// appendWith gives packs their names and calls fn, which appends the frame that needs them and calls show when it is sure to be in the
// journal. Without that the packs are removed again.
func (s *Store) appendWith(packs []*file, fn func(show func()) (lsn uint64, err error)) (uint64, error) {
	if len(packs) == 0 {
		return fn(func() {})
	}
	s.naming.Lock()
	defer s.naming.Unlock()
	named, err := s.name(packs)
	if err != nil {
		return 0, fmt.Errorf("append a batch: %w", err)
	}
	shown := false
	lsn, err := fn(func() {
		s.show(named)
		shown = true
	})
	if err != nil && !shown {
		err = errors.Join(err, s.drop(named))
	}
	return lsn, err
}

// index makes the chunks of a payload at off in seg visible. One that an older segment has too is from here on this segment's: an older
// one may go, with all of its chunks that nobody has asked to keep.
func (s *Store) index(seg *segment, off int64, payload []byte, chunks []encoded) {
	if len(chunks) == 0 {
		return
	}
	placed, err := parseChunks(&cursor{b: payload, at: 1})
	if err != nil {
		panic("pack: a payload just built does not parse: " + err.Error())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range placed {
		s.chunks[p.hash] = p.location(seg, off)
	}
}

// outside puts a body that is too long for a frame into packs that are not published yet, and is the payload that refers to it, with the
// chunks that the packs hold.
func (s *Store) outside(ctx context.Context, body []byte) (payload []byte, packs []*file, pieces []hash.Hash, err error) {
	b := s.NewBatch()
	defer func() {
		s.rely(b)
		err = errors.Join(err, b.Close())
	}()
	ref := bodyRef{total: uint64(len(body))}
	for len(body) > 0 {
		n := min(len(body), bodyPiece)
		h, err := b.Put(ctx, newPiece(body[:n]))
		if err != nil {
			return nil, nil, nil, err
		}
		ref.pieces = append(ref.pieces, h)
		body = body[n:]
	}
	if payload = appendRef(nil, ref); len(payload) > maxPayload {
		return nil, nil, nil, errs.New(errs.Unsupported, "a frame with %d bytes of records is too long", ref.total)
	}
	packs, err = b.toFiles(ctx)
	return payload, packs, ref.pieces, err
}

// rely tells the collection, if there is one, of the chunks that a batch has not kept because the store had them: something may name
// them from here on.
func (s *Store) rely(b *Batch) {
	b.hitMu.Lock()
	hits := b.hits
	b.hits = nil
	b.hitMu.Unlock()
	if c := s.collection.Load(); c != nil {
		c.touch(hits)
	}
}

// newPiece is the chunk that holds a piece of a body: kind blob, version 1, the bytes.
func newPiece(data []byte) []byte {
	out := make([]byte, 0, 2+len(data))
	out = append(out, byte(chunk.KindBlob), 1)
	return append(out, data...)
}

// trimPiece is the inverse of newPiece.
func trimPiece(h hash.Hash, data []byte) ([]byte, error) {
	_, body, err := chunk.CheckKind(data, chunk.KindBlob, 1)
	if err != nil {
		return nil, fmt.Errorf("read chunk %s of a long record: %w", h, err)
	}
	return body, nil
}
