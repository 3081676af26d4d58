package lineage

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/tidwall/btree"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/sidefile"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/vfs"
)

// MarksApart is the number of commits from one mark to the next on the way back.
const MarksApart = 512

// Marks are commits of which it is known which commits changed each of their tables last, so that a table which only old commits have
// changed is found without looking at all commits after them. What they know is derived from immutable commits, and may be lost at any
// time. A side file keeps it for later processes. Many goroutines may use them.
type Marks struct {
	mu    sync.Mutex
	file  sidefile.File
	known map[history.CommitID]*mark
	ready bool // the file was read
	busy  bool // an Extend is at work
	round int  // counts Forget
	apart int  // MarksApart but in tests
}

// mark is a commit, and what is other there than at the mark before it.
type mark struct {
	id     history.CommitID
	base   *mark             // nil for none
	body   []byte            // of its record
	tables map[string][]turn // no turns for a table that is not there, or of which they are not known
}

// turn is what a mark keeps of a Turn.
type turn struct {
	commit        history.CommitID
	table         string
	before, after string
	merged        bool
}

// OpenMarks keeps marks in the side file path; "" for in memory only. It is read when marks are first asked for, and unless readOnly
// extended, and made when it is missing, by one process at a time.
func OpenMarks(fs vfs.FS, path string, readOnly bool) *Marks {
	return &Marks{apart: MarksApart, file: sidefile.File{Kind: markFiles, FS: fs, Path: path, ReadOnly: readOnly}}
}

// Close ends the use of the side file.
func (m *Marks) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil {
		m.known = map[history.CommitID]*mark{}
	}
	m.ready = true
	m.file.Close()
}

// Forget takes all marks away. It is called when more of the history is there than before, of which they know nothing.
func (m *Marks) Forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.load()
	m.round++
	m.known = map[history.CommitID]*mark{}
	m.file.Clear()
}

// load reads the file once; m.mu is held.
func (m *Marks) load() {
	if m.ready {
		return
	}
	m.ready = true
	m.known = map[history.CommitID]*mark{}
	m.file.Load(func(body []byte) bool {
		id, base, ok := markHead(body)
		if !ok {
			return false
		}
		x := &mark{id: id, body: body}
		if !base.IsZero() {
			if x.base = m.known[base]; x.base == nil {
				return false
			}
		}
		m.known[id] = x
		return true
	})
}

// at is the mark of a commit; nil for none.
func (m *Marks) at(id history.CommitID) *mark {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.load()
	return m.known[id]
}

// own is what differs at a mark from the mark before it, as mark has it. Errors are of class Corrupt.
func (m *Marks) own(x *mark) (map[string][]turn, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if x.tables == nil {
		tables, err := decodeMark(x.body)
		if err != nil {
			return nil, err
		}
		x.tables, x.body = tables, nil
	}
	return x.tables, nil
}

// turns are the last changes of a table at a commit, as backward finds them; ok is false when the commit is no mark.
func (m *Marks) turns(ctx context.Context, rd chunk.Reader, at spot) (out []Turn, ok bool, err error) {
	if m == nil {
		return nil, false, nil
	}
	for x := m.at(at.id); x != nil; x = x.base {
		own, err := m.own(x)
		if err != nil {
			return nil, false, err
		}
		found, ok := own[at.name]
		if !ok {
			continue
		}
		for _, t := range found {
			c, err := history.GetCommit(ctx, rd, t.commit)
			if err != nil {
				return nil, false, err
			}
			out = append(out, Turn{Commit: c, Table: t.table, Before: t.before, After: t.after, Merged: t.merged})
		}
		return out, len(out) > 0, nil
	}
	return nil, false, nil
}

// lasts is what is known of a commit while marks are made.
type lasts struct {
	id      history.CommitID
	root    tree.Root
	parents []history.CommitID
	cut     bool                       // the history before it is not here
	tables  *btree.Map[string, []turn] // by the name in lower case; those of which the turns are known
	base    *mark
	atBase  *btree.Map[string, []turn]
	since   int // commits since the mark, on the way of first parents
	wanted  int // commits that need it and have not got it
}

// Extend makes marks of the commits that a commit comes after, the oldest first, so that little is lost when it is canceled. It does
// nothing when it is at work for another caller. cut names commits before which the history is not here; what has not changed since then
// has no turns at the marks. When more of the history is there later, Forget is to be called.
func (m *Marks) Extend(ctx context.Context, rd chunk.Reader, from history.CommitID, cut func(history.CommitID) bool) error {
	m.mu.Lock()
	m.load()
	again, round := m.busy, m.round
	m.busy = true
	m.mu.Unlock()
	if again {
		return nil
	}
	defer func() {
		m.mu.Lock()
		m.busy = false
		m.mu.Unlock()
	}()
	order, known, err := m.discover(ctx, rd, from, cut)
	if err != nil {
		return err
	}
	w := &backward{rd: rd}
	for _, id := range order {
		if err := errs.With(errs.Canceled, ctx.Err()); err != nil {
			return err
		}
		x := known[id]
		var parents []*lasts
		for _, p := range x.parents {
			parents = append(parents, known[p])
		}
		if err := x.derive(ctx, w, parents); err != nil {
			return err
		}
		if x.since >= m.apart && !m.put(x, round) {
			return nil
		}
		for i, p := range x.parents {
			if parents[i].wanted--; parents[i].wanted == 0 {
				delete(known, p)
			}
		}
	}
	return nil
}

// discover finds the commits between one and the marks before it: known has them and those marks, order the former, parents first.
func (m *Marks) discover(ctx context.Context, rd chunk.Reader, from history.CommitID, cut func(history.CommitID) bool) (order []history.CommitID, known map[history.CommitID]*lasts, err error) {
	known = map[history.CommitID]*lasts{}
	type step struct {
		id   history.CommitID
		done int // of its parents
	}
	visit := func(id history.CommitID) (deeper bool, err error) {
		if known[id] != nil {
			return false, nil
		}
		if err := errs.With(errs.Canceled, ctx.Err()); err != nil {
			return false, err
		}
		c, err := history.GetCommit(ctx, rd, id)
		if err != nil {
			return false, err
		}
		x := &lasts{id: id, root: c.Root, base: m.at(id)}
		known[id] = x
		if x.base != nil {
			if x.tables, err = m.whole(x.base); err != nil {
				return false, err
			}
			x.atBase = x.tables.Copy()
			return false, nil
		}
		if x.cut = cut(id); !x.cut {
			x.parents = c.Parents
		}
		return true, nil
	}
	deeper, err := visit(from)
	if err != nil || !deeper {
		return nil, known, err
	}
	stack := []step{{id: from}}
	for len(stack) > 0 {
		s := &stack[len(stack)-1]
		parents := known[s.id].parents
		if s.done == len(parents) {
			order = append(order, s.id)
			stack = stack[:len(stack)-1]
			continue
		}
		p := parents[s.done]
		s.done++
		if deeper, err = visit(p); err != nil {
			return nil, nil, err
		}
		known[p].wanted++
		if deeper {
			stack = append(stack, step{id: p})
		}
	}
	return order, known, nil
}

// whole is all that is known at a mark.
func (m *Marks) whole(x *mark) (*btree.Map[string, []turn], error) {
	var chain []*mark
	for ; x != nil; x = x.base {
		chain = append(chain, x)
	}
	out := &btree.Map[string, []turn]{}
	for _, x := range slices.Backward(chain) {
		own, err := m.own(x)
		if err != nil {
			return nil, err
		}
		for name, turns := range own {
			if len(turns) == 0 {
				out.Delete(name)
			} else {
				out.Set(name, turns)
			}
		}
	}
	return out, nil
}

// put makes a mark of a commit, and the mark the one from which the commit counts, unless Forget was called since the round.
func (m *Marks) put(x *lasts, round int) bool {
	own, before := map[string][]turn{}, x.atBase
	x.tables.Scan(func(name string, turns []turn) bool {
		if old, ok := before.Get(name); !ok || !slices.Equal(old, turns) {
			own[name] = turns
		}
		return true
	})
	before.Scan(func(name string, _ []turn) bool {
		if _, ok := x.tables.Get(name); !ok {
			own[name] = nil
		}
		return true
	})
	y := &mark{id: x.id, base: x.base, tables: own}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.round != round {
		return false
	}
	m.known[y.id] = y
	m.file.Append(encodeMark(y))
	x.base, x.atBase, x.since = y, x.tables.Copy(), 0
	return true
}

// derive finds the last changes at a commit from those at its parents, by the rule of backward.
func (x *lasts) derive(ctx context.Context, w *backward, parents []*lasts) error {
	x.tables, x.atBase = &btree.Map[string, []turn]{}, &btree.Map[string, []turn]{}
	if x.cut {
		return nil
	}
	if len(parents) > 0 {
		first := parents[0]
		x.tables, x.base, x.atBase, x.since = first.tables.Copy(), first.base, first.atBase, first.since+1
	}
	other := map[string]bool{} // whether the commit has the table
	for i, p := range parents {
		err := tablesOf(ctx, w.rd, p.root, x.root, other)
		if err != nil {
			return err
		}
		if i > 0 {
			differing(parents[0].tables, p.tables, other)
			differing(p.tables, parents[0].tables, other)
		}
	}
	if len(parents) == 0 {
		if err := tablesOf(ctx, w.rd, tree.Root{}, x.root, other); err != nil {
			return err
		}
	}
	for name, there := range other {
		if !there {
			x.tables.Delete(name)
			continue
		}
		turns, known, err := x.turnsOf(ctx, w, parents, name)
		if err != nil {
			return err
		}
		if known {
			x.tables.Set(name, turns)
		} else {
			x.tables.Delete(name)
		}
	}
	return nil
}

// differing adds the tables whose last changes are known in b and not in a, or are others there, to those that are looked at.
func differing(a, b *btree.Map[string, []turn], out map[string]bool) {
	b.Scan(func(name string, turns []turn) bool {
		first, ok := a.Get(name)
		if _, seen := out[name]; !seen && (!ok || !slices.Equal(first, turns)) {
			out[name] = true
		}
		return true
	})
}

// turnsOf are the last changes of a table that is not in all parents as it is at the commit, or differs in its last changes; known is false
// when some of them are before the history that is here.
func (x *lasts) turnsOf(ctx context.Context, w *backward, parents []*lasts, name string) (out []turn, known bool, err error) {
	p, ok, err := w.at(ctx, x.id, name)
	if err != nil {
		return nil, false, err
	}
	if !ok {
		return nil, false, errs.New(errs.Corrupt, "find who changed %s last: commit %s lacks it", name, x.id)
	}
	var same, others []turn
	equal, sameKnown, othersKnown := false, true, true
	t := turn{commit: x.id, table: p.table.Name, after: p.table.Table.Full()}
	for i, parent := range parents {
		was, found, err := w.before(ctx, p, x.parents[i])
		if err != nil {
			return nil, false, err
		}
		if !found {
			continue
		}
		if i == 0 {
			t.before = was.table.Table.Full()
		}
		turns, known := parent.tables.Get(was.name)
		if was.table.Table == p.table.Table {
			same, equal, sameKnown = append(same, turns...), true, sameKnown && known
		} else {
			others, othersKnown = append(others, turns...), othersKnown && known
		}
	}
	if equal {
		return onceEach(same), sameKnown, nil
	}
	if t.merged = len(parents) > 1; t.merged { // what is not its own is its parents'
		return onceEach(append([]turn{t}, others...)), othersKnown, nil
	}
	return []turn{t}, true, nil
}

// onceEach is the turns without those that are there twice.
func onceEach(turns []turn) (out []turn) {
	for _, t := range turns {
		if !slices.ContainsFunc(out, func(x turn) bool { return x.commit == t.commit && strings.EqualFold(x.table, t.table) }) {
			out = append(out, t)
		}
	}
	return out
}

// tablesOf adds the tables whose entries differ between two roots, and whether the second one has them.
func tablesOf(ctx context.Context, rd chunk.Reader, from, to tree.Root, out map[string]bool) error {
	if from == to {
		return nil
	}
	return tree.Diff(ctx, rd, root.Format(), from, to, nil, nil, func(c tree.Change) error {
		if k := c.AppendKey(nil); len(k) > 0 && root.Kind(k[0]) == root.KindTable {
			out[string(k[1:])] = c.B != nil
		}
		return nil
	})
}
