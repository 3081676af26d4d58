package repo

import (
	"context"
	"errors"
	"slices"

	"github.com/stemmadb/stemma/internal/errs"
	remotesync "github.com/stemmadb/stemma/internal/sync"
)

// keptWrites is how many notes of writes a database keeps.
const keptWrites = 1000

// Write is the note of a write that its client may ask for again: an id of the client's choice, and what it was answered.
type Write struct{ ID, Result string }

// ErrWritten says that a write with the id of one in the transaction has been committed by another. Its class is Exists.
var ErrWritten = errors.New("a write with the same id has been committed")

// writes are the notes of writes, oldest first. They are never changed.
type writes []Write

// with is the notes with others behind them, which stand over those of the same id.
func (w writes) with(more []Write) writes {
	if len(more) == 0 {
		return w
	}
	out := make(writes, 0, len(w)+len(more))
	for _, x := range w {
		if !slices.ContainsFunc(more, func(m Write) bool { return m.ID == x.ID }) {
			out = append(out, x)
		}
	}
	out = append(out, more...)
	return out[max(len(out)-keptWrites, 0):]
}

// find is the result of the write with an id.
func (w writes) find(id string) (result string, ok bool) {
	if i := slices.IndexFunc(w, func(x Write) bool { return x.ID == id }); i >= 0 {
		return w[i].Result, true
	}
	return "", false
}

// Written is the result of the write with an id, when there is a note of it.
func (r *Repo) Written(id string) (result string, ok bool) { return r.published.Load().writes.find(id) }

// Note keeps a note of a write with the transaction's changes, over one of the same id: both last, or neither.
func (t *Tx) Note(w Write) {
	t.Store() // the note needs a record of its own when nothing else changes
	t.notes = append(slices.DeleteFunc(slices.Clone(t.notes), func(x Write) bool { return x.ID == w.ID }), w)
}

// Noted is the result of the write with an id in this transaction.
func (t *Tx) Noted(id string) (result string, ok bool) { return writes(t.notes).find(id) }

// NoteWrite keeps a note, over one of the same id.
func (r *Repo) NoteWrite(ctx context.Context, w Write) error {
	return r.changeRefs(ctx, func(s *state) (*change, func(*state), error) {
		ch := &change{writes: []Write{w}}
		if r.bucket != nil {
			ch.notes = r.bucket.notedBy(s, w.ID)
		}
		return ch, func(s *state) { s.writes = s.writes.with(ch.writes) }, nil
	})
}

// notedBy is the branch that has a note of the write with an id, or else is to have it. The caller holds the commit lock.
func (b *bucket) notedBy(s *state, id string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, name := range s.branches.Keys() {
		if x := b.refs[remotesync.Heads+name]; x != nil && slices.ContainsFunc(x.ref.Wrote, func(w remotesync.Wrote) bool { return w.ID == id }) {
			return name
		}
	}
	return s.head
}

// notes are the notes of the plans' transactions. One whose id is known already is an error of class Exists.
func notes(plans []*plan, known writes) ([]Write, error) {
	var out []Write
	for _, p := range plans {
		for _, w := range p.t.notes {
			if _, ok := known.find(w.ID); ok {
				return nil, errs.With(errs.Exists, ErrWritten)
			}
			out = append(out, w)
		}
	}
	return out, nil
}
