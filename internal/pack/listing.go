package pack

import (
	"context"
	"fmt"
	"slices"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

// recordPacks is the type of the journal records that say which packs the store has. They are this package's own: no caller sees them.
//
//	u8 kind | digests of 32 bytes each
//
// A frame that relies on packs has one that adds them. Before a fold removes the segments that said so it appends one that lists them
// all. So whoever has read the journal knows which files among the packs nobody relies on: those that a crash has left between the
// naming of a pack and its frame.
const recordPacks uint8 = 255

// The kinds of such records.
const (
	packsAdd     uint8 = 0 // these too
	packsAll     uint8 = 1 // these and no others
	packsUnknown uint8 = 2 // there are more than a frame can list: what is not listed may be relied on
)

// listing is which packs the journal says there are.
type listing struct {
	names  map[hash.Hash]bool
	known  bool               // there are no others
	bodies map[hash.Hash]bool // that hold bodies of frames, which can be read only with them, whatever a later frame lists
}

// has tells whether somebody relies on a pack.
func (l *listing) has(digest hash.Hash) bool { return !l.known || l.names[digest] || l.bodies[digest] }

// take takes a record in.
func (l *listing) take(payload []byte) error {
	if len(payload) > 0 && payload[0] > packsUnknown {
		return errs.New(errs.TooNew, "its list of packs is of the unknown kind %d; use a newer stemma", payload[0])
	}
	if len(payload) == 0 || (len(payload)-1)%hash.Size != 0 {
		return errs.New(errs.Corrupt, "its list of packs is malformed")
	}
	switch payload[0] {
	case packsAll:
		l.names, l.known = nil, true
	case packsUnknown:
		l.known = false
	}
	for b := payload[1:]; len(b) > 0; b = b[hash.Size:] {
		l.add(hash.Hash(b[:hash.Size]))
	}
	return nil
}

func (l *listing) add(digest hash.Hash) {
	if l.names == nil {
		l.names = map[hash.Hash]bool{}
	}
	l.names[digest] = true
}

// packsRecord is the record of a kind that lists the packs.
func packsRecord(kind uint8, packs []*file) Record {
	payload := append(make([]byte, 0, 1+len(packs)*hash.Size), kind)
	for _, p := range packs {
		payload = append(payload, p.ft.digest[:]...)
	}
	return Record{Type: recordPacks, Payload: payload}
}

// orphans takes the packs out of l that nobody relies on. There are none to be told in a directory of a program that did not list packs.
func (l *loaded) orphans() []*file {
	if !l.listing.known {
		return nil
	}
	var out []*file
	l.packs = slices.DeleteFunc(l.packs, func(p *file) bool {
		if l.listing.has(p.ft.digest) {
			return false
		}
		out = append(out, p)
		return true
	})
	return out
}

// listAll appends a record of all packs but those in without, durably.
func (s *Store) listAll(ctx context.Context, without []*file) error {
	if !s.lists {
		return nil
	}
	// While naming is held the packs that are shown are those of frames that have been appended.
	s.naming.Lock()
	s.mu.RLock()
	packs := slices.DeleteFunc(slices.Clone(s.packs), func(p *file) bool { return slices.Contains(without, p) })
	s.mu.RUnlock()
	rec := packsRecord(packsAll, packs)
	if batchSize(nil, []Record{rec}) > maxPayload {
		rec = packsRecord(packsUnknown, nil)
	}
	lsn, err := s.j.append(ctx, frameBatch, appendBatch(nil, nil, []Record{rec}), nil)
	s.naming.Unlock()
	if err == nil {
		err = s.j.wait(ctx, lsn)
	}
	if err != nil {
		return fmt.Errorf("list the packs: %w", err)
	}
	return nil
}
