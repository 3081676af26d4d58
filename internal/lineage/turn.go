package lineage

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/root"
)

// Turn is a commit that gave a table, or a row of it, the content that it has later.
type Turn struct {
	Commit *history.Commit
	Table  string // its name there
	Before string // hash of the table in the first parent; "" when the commit made the table
	After  string
	Merged bool // the commit is a merge whose content none of its parents has
}

// LastChanges are the commits that last changed a table, seen from a commit: those from which on every commit on the way has the table
// with one hash, be it under another name. A merge whose content none of its parents has is followed by the last changes of each
// parent's. A change that another of them has among its descendants is none of the last. ok is false when the commit has no such table.
//
// What was found is kept in the memory, which may be nil: where the way comes to a commit from which it has gone before, it ends.
func LastChanges(ctx context.Context, rd chunk.Reader, known *Memory, from history.CommitID, name string) (turns []Turn, ok bool, err error) {
	w := &backward{rd: rd, known: known, compare: differs}
	return w.lastChanges(ctx, from, name)
}

// differs is the comparison of those who follow a whole table.
func differs(context.Context, hash.Hash, hash.Hash) (equal, there bool, err error) {
	return false, true, nil
}

// spot is a table's place in a history.
type spot struct {
	id   history.CommitID
	name string // in lower case
}

// Memory keeps which commits changed tables last, for the spots that were asked for and some on the way from each, so that a table which
// only old commits have changed is not looked for through the same commits again. Commits and the tables in them do not change, so what
// is kept stays true. The zero Memory is empty; many goroutines may use one.
type Memory struct {
	mu    sync.Mutex
	spots map[spot][]Turn

	// Marks are asked on long ways; nil for none. Far is called with the commit from which a way was long for all that they know; nil for
	// nobody to tell. Both are set before the memory is used.
	Marks *Marks
	Far   func(history.CommitID)
}

// Bounds of a Memory.
const (
	keptSpots  = 1 << 14 // in all; a full one begins anew
	spotsApart = 512     // commits between the spots that are kept on one way
	marksAfter = 32      // commits on a way before marks are asked for: most ways are shorter
)

// of is what is kept of a spot, to which a way has led over so many others.
func (m *Memory) of(ctx context.Context, rd chunk.Reader, at spot, over int) (turns []Turn, ok bool, err error) {
	if m == nil {
		return nil, false, nil
	}
	m.mu.Lock()
	turns, ok = m.spots[at]
	m.mu.Unlock()
	if ok || over < marksAfter {
		return turns, ok, nil
	}
	return m.Marks.turns(ctx, rd, at)
}

// far is told how long a way was.
func (m *Memory) far(from history.CommitID, over int) {
	if m != nil && m.Far != nil && over > 2*MarksApart {
		m.Far(from)
	}
}

// keep keeps that these commits changed the table of each spot last.
func (m *Memory) keep(turns []Turn, at ...spot) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.spots == nil || len(m.spots)+len(at) > keptSpots {
		m.spots = map[spot][]Turn{}
	}
	for _, x := range at {
		m.spots[x] = turns
	}
}

// backward goes back through the history of a table.
type backward struct {
	rd    chunk.Reader
	known *Memory // nil where what is looked for is not a table's last change
	// compare tells of tables of two hashes, which are not equal, whether what is followed is equal in both, and whether the older has it.
	compare func(ctx context.Context, now, was hash.Hash) (equal, there bool, err error)
}

// place is a table at a commit.
type place struct {
	commit *history.Commit
	name   string // in lower case
	table  root.Entry
}

// at is the table of a name at a commit.
func (w *backward) at(ctx context.Context, id history.CommitID, name string) (p place, ok bool, err error) {
	p.name = name
	if p.commit, err = history.GetCommit(ctx, w.rd, id); err != nil {
		return p, false, err
	}
	p.table, ok, err = root.Open(w.rd, p.commit.Root).Get(ctx, root.KindTable, name)
	return p, ok, err
}

// before is the table in a parent that became that of p: of its name, or one of its hash whose name the commit of p has not any more.
func (w *backward) before(ctx context.Context, p place, parent history.CommitID) (was place, ok bool, err error) {
	was, ok, err = w.at(ctx, parent, p.name)
	if err != nil || ok {
		return was, ok, err
	}
	all, err := root.Open(w.rd, was.commit.Root).List(ctx, root.KindTable)
	if err != nil {
		return was, false, err
	}
	for _, x := range all {
		if x.Table != p.table.Table {
			continue
		}
		if _, kept, err := root.Open(w.rd, p.commit.Root).Get(ctx, root.KindTable, x.Name); err != nil || !kept {
			was.name, was.table = strings.ToLower(x.Name), x
			return was, err == nil, err
		}
	}
	return was, false, nil
}

// lastChanges is raw without the changes that others of them come after, the newest first.
func (w *backward) lastChanges(ctx context.Context, from history.CommitID, name string) (turns []Turn, ok bool, err error) {
	if turns, ok, err = w.raw(ctx, from, name); err != nil || !ok {
		return nil, ok, err
	}
	turns, err = newest(ctx, w.rd, turns)
	// Whatever was known before, the order is one.
	slices.SortFunc(turns, func(a, b Turn) int {
		return cmp.Or(cmp.Compare(b.Commit.Height, a.Commit.Height), bytes.Compare(a.Commit.ID[:], b.Commit.ID[:]), strings.Compare(a.Table, b.Table))
	})
	return turns, true, err
}

// raw is all changes behind which a way from a commit ends, in no order.
func (w *backward) raw(ctx context.Context, from history.CommitID, name string) (turns []Turn, ok bool, err error) {
	first, ok, err := w.at(ctx, from, strings.ToLower(name))
	if err != nil || !ok {
		return nil, false, err
	}
	var along []spot // of which all that is found holds: the first, and some that all ways back go through
	seen, alone := map[spot]bool{}, true
	stack := []place{first}
	for len(stack) > 0 {
		if err := errs.With(errs.Canceled, ctx.Err()); err != nil {
			return nil, false, err
		}
		p := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		k := spot{p.commit.ID, p.name}
		if seen[k] {
			continue
		}
		found, ok, err := w.known.of(ctx, w.rd, k, len(seen))
		if err != nil {
			return nil, false, err
		}
		if ok {
			turns = append(turns, found...)
			seen[k] = true
			continue
		}
		if alone = alone && len(stack) == 0 && len(turns) == 0; alone && len(seen)%spotsApart == 0 {
			along = append(along, k)
		}
		seen[k] = true
		var same, others []place
		t := Turn{Commit: p.commit, Table: p.table.Name, After: p.table.Table.Full()}
		for i, id := range p.commit.Parents {
			was, found, err := w.before(ctx, p, id)
			if err != nil {
				return nil, false, err
			}
			if !found {
				continue
			}
			if i == 0 {
				t.Before = was.table.Table.Full()
			}
			equal, there := was.table.Table == p.table.Table, true
			if !equal {
				if equal, there, err = w.compare(ctx, p.table.Table, was.table.Table); err != nil {
					return nil, false, err
				}
			}
			switch {
			case equal:
				same = append(same, was)
			case there:
				others = append(others, was)
			}
		}
		if len(same) > 0 {
			stack = append(stack, same...)
			continue
		}
		if t.Merged = len(p.commit.Parents) > 1; t.Merged {
			stack = append(stack, others...)
		}
		turns = append(turns, t)
	}
	turns = once(turns)
	w.known.keep(turns, along...)
	w.known.far(from, len(seen))
	return turns, true, nil
}

// once is the turns without those that are there twice.
func once(turns []Turn) (out []Turn) {
	seen := map[spot]bool{}
	for _, t := range turns {
		if k := (spot{t.Commit.ID, strings.ToLower(t.Table)}); !seen[k] {
			seen[k] = true
			out = append(out, t)
		}
	}
	return out
}

// newest is the turns without those that others come after. What came into a merge is not before the merge in this sense.
func newest(ctx context.Context, rd chunk.Reader, turns []Turn) ([]Turn, error) {
	if len(turns) < 2 {
		return turns, nil
	}
	var out []Turn
	for i := range turns {
		var later []history.CommitID
		for j := range turns {
			if i != j && !turns[j].Merged {
				later = append(later, turns[j].Commit.ID)
			}
		}
		over := false
		if len(later) > 0 {
			var err error
			if over, err = history.Reached(ctx, rd, later, turns[i].Commit); err != nil {
				return nil, err
			}
		}
		if !over {
			out = append(out, turns[i])
		}
	}
	return out, nil
}
