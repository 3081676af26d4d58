package sync

import (
	"context"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/object/mem"
)

// givenUp is a store in which somebody gives up the first change that is to be committed, and then does nothing more.
type givenUp struct {
	object.Store
	done bool
}

func (s *givenUp) Put(ctx context.Context, name string, body object.Body, on object.Condition) error {
	if strings.HasPrefix(name, changesDir) && !s.done {
		s.done = true
		if err := s.Store.Put(ctx, name, object.Bytes([]byte(outcomeGiven)), object.IfAbsent); err != nil {
			return err
		}
	}
	return s.Store.Put(ctx, name, body, on)
}

// TestFirstGivenUp: who is given up while a remote gets its first ref makes it all the same, where nobody else has.
func TestFirstGivenUp(t *testing.T) {
	ctx := t.Context()
	st, _, _ := newStore(t)
	s := &givenUp{Store: &mem.Store{}}
	r := &Remote{s: s, known: true}
	must(t, r.init(ctx))
	id := newCommit(t, st, "first")
	to := Target{Commit: id, List: hash.Hash(id)} // any list: nobody reads it
	must(t, r.updateFirst(ctx, move{from: Ref{Name: Heads + "main"}, to: to}))
	x, err := r.ref(ctx, Heads+"main")
	must(t, err)
	if !s.done || x.Target != to {
		t.Errorf("the ref is at %v, want %v; somebody gave it up: %t", x.Target, to, s.done)
	}
}

// TestFirstIsKept: a first ref takes the place of no other one, also where that has nothing yet but the commit with which a database begins; a push of a
// history does.
func TestFirstIsKept(t *testing.T) {
	ctx := t.Context()
	at := &mem.Store{}
	push := func(message string, first bool) Status {
		st, fs, dir := newStore(t)
		r, err := Open(ctx, at)
		must(t, err)
		id := newCommit(t, st, message)
		out, _, err := (&Push{Remote: r, Store: st, FS: fs, Temp: dir, First: first}).Run(ctx, []Want{{Name: "heads/main", Commit: id}})
		must(t, err)
		return out[0].Status
	}
	if s := push("one", true); s != Created {
		t.Fatalf("the first has status %d", s)
	}
	if s := push("two", true); !s.Refused() {
		t.Errorf("another first has status %d", s)
	}
	if s := push("three", false); s != Created {
		t.Errorf("a push to a branch with nothing has status %d", s)
	}
}
