package lineage

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/vfs"
)

// drawHistory makes commits that change, make, drop and rename a few tables, by ones and by merges; the last of them comes last.
func drawHistory(t *rapid.T, st chunk.Store) (out []*history.Commit) {
	ctx := t.Context()
	names := []string{"a", "B", "c"}
	for i := range rapid.IntRange(1, 60).Draw(t, "commits") {
		c := &history.Commit{Height: uint64(i + 1), Message: fmt.Sprint(i)}
		if i > 0 {
			parents := []*history.Commit{out[max(0, i-1-rapid.IntRange(0, 3).Draw(t, "back"))]}
			if other := out[rapid.IntRange(0, i-1).Draw(t, "other")]; other != parents[0] && rapid.IntRange(0, 3).Draw(t, "merges") == 0 {
				parents = append(parents, other)
			}
			for _, p := range parents {
				c.Parents = append(c.Parents, p.ID)
			}
			c.Root = parents[rapid.IntRange(0, len(parents)-1).Draw(t, "whose")].Root
		}
		rt := root.Open(st, c.Root)
		var changes []root.Change
		for _, name := range names {
			old, there, err := rt.Get(ctx, root.KindTable, name)
			if err != nil {
				t.Fatal(err)
			}
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0, 1:
				h := hash.Sum([]byte{byte(rapid.IntRange(0, 3).Draw(t, "content"))})
				changes = append(changes, root.Change{Entry: root.Entry{Kind: root.KindTable, Name: name, Table: h}})
			case 2:
				if there {
					changes = append(changes, root.Change{Entry: old, Drop: true})
				}
			case 3:
				if _, taken, err := rt.Get(ctx, root.KindTable, "d"); err != nil {
					t.Fatal(err)
				} else if there && !taken && len(changes) == 0 {
					changes = []root.Change{{Entry: old, Drop: true}, {Entry: root.Entry{Kind: root.KindTable, Name: "D", Table: old.Table}}}
				}
			}
		}
		if len(changes) > 0 {
			next, err := rt.With(ctx, st, changes...)
			if err != nil {
				t.Fatal(err)
			}
			c.Root = next.Tree()
		}
		if _, err := c.Put(ctx, st); err != nil {
			t.Fatal(err)
		}
		out = append(out, c)
	}
	return out
}

// TestMarks compares what is found by marks, made bit by bit and read again from the file, with what is found by looking at all commits.
func TestMarks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ctx := t.Context()
		st, fs := chunk.NewMem(), vfs.NewMem()
		commits := drawHistory(t, st)
		apart := rapid.IntRange(1, 8).Draw(t, "apart")
		open := func(readOnly bool) *Marks {
			m := OpenMarks(fs, "/marks", readOnly)
			m.apart = apart
			return m
		}
		m := open(false)
		for _, c := range commits {
			if rapid.IntRange(0, 4).Draw(t, "extend") == 0 || c == commits[len(commits)-1] {
				if err := m.Extend(ctx, st, c.ID, whole); err != nil {
					t.Fatal(err)
				}
			}
			if rapid.IntRange(0, 9).Draw(t, "again") == 0 {
				m.Close()
				m = open(false)
			}
		}
		made := marked(m)
		m.Close()
		if m = open(true); marked(m) != made {
			t.Fatalf("%d marks were made, the file has %d", made, marked(m))
		}
		for id := range m.known {
			for _, name := range []string{"A", "b", "c", "d"} {
				w := &backward{rd: st, compare: differs}
				want, there, err := w.raw(ctx, id, name)
				if err != nil {
					t.Fatal(err)
				}
				got, known, err := m.turns(ctx, st, spot{id, strings.ToLower(name)})
				if err != nil {
					t.Fatal(err)
				}
				if known != there || turnsText(got) != turnsText(want) {
					t.Fatalf("%s at %s: marks tell %v %s\nthe history %v %s", name, id, known, turnsText(got), there, turnsText(want))
				}
			}
		}
	})
}

// TestMarksAreUsed goes back through a long history: with marks it looks at few of its commits.
func TestMarksAreUsed(t *testing.T) {
	ctx := t.Context()
	st := chunk.NewMem()
	rt := root.Open(st, tree.Root{})
	var last history.CommitID
	const n = 3 * MarksApart
	for i := range n {
		name := "t"
		if i == 0 {
			name = "old"
		}
		e := root.Entry{Kind: root.KindTable, Name: name, Table: hash.Sum(fmt.Append(nil, i))}
		next, err := rt.With(ctx, st, root.Change{Entry: e})
		if err != nil {
			t.Fatal(err)
		}
		rt = root.Open(st, next.Tree())
		c := &history.Commit{Root: rt.Tree(), Height: uint64(i + 1)}
		if i > 0 {
			c.Parents = []history.CommitID{last}
		}
		if last, err = c.Put(ctx, st); err != nil {
			t.Fatal(err)
		}
	}
	far := 0
	known := &Memory{Marks: OpenMarks(vfs.NewMem(), "/marks", false), Far: func(history.CommitID) { far++ }}
	ask := func(known *Memory) (reads int) {
		t.Helper()
		turns, ok, err := LastChanges(ctx, counted{st, &reads}, known, last, "old")
		if err != nil || !ok || len(turns) != 1 || turns[0].Commit.Height != 1 {
			t.Fatalf("%v, %v, %v", turns, ok, err)
		}
		return reads
	}
	if ask(known); far != 1 {
		t.Errorf("a way over %d commits was long %d times", n, far)
	}
	if err := known.Marks.Extend(ctx, st, last, whole); err != nil {
		t.Fatal(err)
	}
	fresh := &Memory{Marks: known.Marks, Far: known.Far}
	if reads := ask(fresh); reads > 3*MarksApart || far != 1 {
		t.Errorf("%d chunks are read with marks, and the way was long %d times", reads, far)
	}
}

// whole is a history of which nothing is missing.
func whole(history.CommitID) bool { return false }

// TestMarksOfAShortHistory makes marks of a history that begins late on some of its ways: they tell what the whole history tells, or nothing;
// and nothing only where a way back leads out of what is there. When the rest has come, they are made anew and tell all.
func TestMarksOfAShortHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ctx := t.Context()
		st, fs := chunk.NewMem(), vfs.NewMem()
		commits := drawHistory(t, st)
		last := commits[len(commits)-1]
		cuts := map[history.CommitID]bool{}
		for _, c := range commits {
			if len(c.Parents) > 0 && rapid.IntRange(0, 7).Draw(t, "cut") == 0 {
				cuts[c.ID] = true
			}
		}
		cut := func(id history.CommitID) bool { return cuts[id] }
		m := OpenMarks(fs, "/marks", false)
		m.apart = rapid.IntRange(1, 8).Draw(t, "apart")
		if err := m.Extend(ctx, st, last.ID, cut); err != nil {
			t.Fatal(err)
		}
		m.Close()
		apart := m.apart
		m = OpenMarks(fs, "/marks", false)
		m.apart = apart
		marked(m)
		names := []string{"A", "b", "c", "d"}
		absent := gone(commits, last.ID, cuts)
		clean := true // no commit that a cut leaves out is there on another way
		for _, c := range commits {
			if cuts[c.ID] && !absent[c.ID] {
				clean = clean && !slices.ContainsFunc(c.Parents, func(p history.CommitID) bool { return !absent[p] })
			}
		}
		for id := range m.known {
			for _, name := range names {
				want, there, err := (&backward{rd: st, compare: differs}).raw(ctx, id, name)
				if err != nil {
					t.Fatal(err)
				}
				short := &backward{rd: missing{st, absent}, compare: differs}
				_, _, out := short.raw(ctx, id, name)
				got, known, err := m.turns(ctx, st, spot{id, strings.ToLower(name)})
				if err != nil {
					t.Fatal(err)
				}
				if known && out != nil || clean && known != (there && out == nil) || known && turnsText(got) != turnsText(want) {
					t.Fatalf("%s at %s: marks tell %v %s\nthe history %v %s, the part of it %v", name, id, known, turnsText(got), there, turnsText(want), out)
				}
			}
		}
		m.Forget()
		if err := m.Extend(ctx, st, last.ID, whole); err != nil {
			t.Fatal(err)
		}
		made := marked(m)
		m.Close()
		m = OpenMarks(fs, "/marks", true)
		if marked(m) != made {
			t.Fatalf("%d marks were made anew, the file has %d", made, marked(m))
		}
		for id := range m.known {
			for _, name := range names {
				want, there, err := (&backward{rd: st, compare: differs}).raw(ctx, id, name)
				if err != nil {
					t.Fatal(err)
				}
				if got, known, err := m.turns(ctx, st, spot{id, strings.ToLower(name)}); err != nil || known != there || turnsText(got) != turnsText(want) {
					t.Fatalf("%s at %s: marks tell %v %s, %v\nthe history %v %s", name, id, known, turnsText(got), err, there, turnsText(want))
				}
			}
		}
	})
}

// gone are the commits that are not in a part of a history which begins at the cuts.
func gone(commits []*history.Commit, from history.CommitID, cuts map[history.CommitID]bool) map[hash.Hash]bool {
	out, by := map[hash.Hash]bool{}, map[history.CommitID]*history.Commit{}
	for _, c := range commits {
		out[c.ID], by[c.ID] = true, c
	}
	stack := []history.CommitID{from}
	for len(stack) > 0 {
		c := by[stack[len(stack)-1]]
		stack = stack[:len(stack)-1]
		if !out[c.ID] {
			continue
		}
		delete(out, c.ID)
		if !cuts[c.ID] {
			stack = append(stack, c.Parents...)
		}
	}
	return out
}

// missing is a reader without some chunks.
type missing struct {
	chunk.Reader
	gone map[hash.Hash]bool
}

func (m missing) Get(ctx context.Context, h hash.Hash) ([]byte, error) {
	if m.gone[h] {
		return nil, errs.New(errs.NotFound, "%s is missing", h)
	}
	return m.Reader.Get(ctx, h)
}

// marked is the number of marks.
func marked(m *Marks) int {
	m.at(history.CommitID{}) // reads the file
	return len(m.known)
}

type counted struct {
	chunk.Reader
	n *int
}

func (c counted) Get(ctx context.Context, h hash.Hash) ([]byte, error) {
	*c.n++
	return c.Reader.Get(ctx, h)
}

// turnsText is turns as text, in an order of their own.
func turnsText(turns []Turn) string {
	var out []string
	for _, t := range turns {
		out = append(out, fmt.Sprint(t.Commit.Message, t.Table, t.Before, t.After, t.Merged))
	}
	slices.Sort(out)
	return fmt.Sprint(out)
}
