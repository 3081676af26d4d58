package repo_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/fsck"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// world is what a database should hold. It is a value: changes make a new one.
type world struct {
	branches map[string]wbranch
	commits  map[string]content  // by message, which are all different
	parents  map[string][]string // of commits, by message
	tags     map[string]string   // to messages
	head     string
	born     int
	stashes  []wstash // newest first; not changed in place
}

type wstash struct {
	base   string // message of the commit below
	branch string
	tables content
	added  []string
}

type wbranch struct {
	head            string // message
	working, staged content
	born            int
	versions        map[string]int // of tables, absent ones included; not changed in place
}

// changed is the branch with new versions of the tables.
func (b wbranch) changed(w *world, names ...string) wbranch {
	b.versions = maps.Clone(b.versions)
	if b.versions == nil {
		b.versions = map[string]int{}
	}
	for _, n := range names {
		w.born++
		b.versions[n] = w.born
	}
	return b
}

// content is tables by name. Tables are not changed in place.
type content map[string]*wtable

type wtable struct {
	rows map[int64]wrow
}

type wrow struct {
	mail string // "" is NULL
	age  int64
}

// log is the name of the table without a key; the others are like people().
const log = "log"

var tableNames = []string{"people", "extra", log}

// renamed finds the one table that can be taken as renamed, which is of the schema and content of the other; "" when none was.
func renamed(before, after content) (from, to string) {
	for _, pair := range [][2]string{{"people", "extra"}, {"extra", "people"}} {
		from, to := pair[0], pair[1]
		if before[from] != nil && after[from] == nil && before[to] == nil && after[to] != nil && text(content{to: before[from]}, to) == text(after, to) {
			return from, to
		}
	}
	return "", ""
}

func newWorld() *world {
	return &world{
		branches: map[string]wbranch{"main": {head: repo.InitMessage, working: content{}, staged: content{}}},
		commits:  map[string]content{repo.InitMessage: {}}, parents: map[string][]string{}, tags: map[string]string{}, head: "main",
	}
}

func (w *world) clone() *world {
	return &world{branches: maps.Clone(w.branches), commits: maps.Clone(w.commits), parents: maps.Clone(w.parents), tags: maps.Clone(w.tags), head: w.head, born: w.born, stashes: w.stashes}
}

func (w *world) names() []string { return slices.Sorted(maps.Keys(w.branches)) }

func (t *wtable) clone() *wtable { return &wtable{rows: maps.Clone(t.rows)} }

// rowsOf is the rows of a table; those of nil are none.
func (t *wtable) rowsOf() map[int64]wrow {
	if t == nil {
		return nil
	}
	return t.rows
}

func (t *wtable) next() int64 {
	n := int64(0)
	for k := range t.rows {
		n = max(n, k+1)
	}
	return n
}

// taken tells whether another row than id has that mail.
func (t *wtable) taken(id int64, mail string) bool {
	for k, r := range t.rows {
		if k != id && mail != "" && r.mail == mail {
			return true
		}
	}
	return false
}

func (c content) String() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(c)) {
		fmt.Fprintf(&b, " %s{", name)
		for _, id := range slices.Sorted(maps.Keys(c[name].rows)) {
			r := c[name].rows[id]
			fmt.Fprintf(&b, "%d:%s:%d ", id, r.mail, r.age)
		}
		b.WriteString("}")
	}
	return b.String()
}

// text is one table of c.
func text(c content, name string) string {
	if c[name] == nil {
		return "none"
	}
	return content{name: c[name]}.String()
}

func (w *world) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "on %s\n", w.head)
	for _, n := range w.names() {
		x := w.branches[n]
		fmt.Fprintf(&b, "branch %s at %q%s\n working%s\n staged%s\n", n, x.head, w.commits[x.head], x.working, x.staged)
	}
	for _, n := range slices.Sorted(maps.Keys(w.tags)) {
		fmt.Fprintf(&b, "tag %s at %q\n", n, w.tags[n])
	}
	for _, s := range w.stashes {
		fmt.Fprintf(&b, "stash of %s at %q%s, new %q\n", s.branch, s.base, s.tables, s.added)
	}
	return b.String()
}

// observe is a database in the words of world.String.
func observe(ctx context.Context, r *repo.Repo) (string, error) {
	w := &world{branches: map[string]wbranch{}, commits: map[string]content{}, tags: map[string]string{}, head: r.CheckedOut()}
	for _, b := range r.Branches() {
		c, err := history.GetCommit(ctx, r.Store(), b.Head)
		if err != nil {
			return "", err
		}
		x := wbranch{head: c.Message}
		working, err := r.SnapshotWorking(b.Name)
		if err != nil {
			return "", err
		}
		staged, err := r.SnapshotStaged(b.Name)
		if err != nil {
			return "", err
		}
		at, err := r.SnapshotAt(ctx, b.Head)
		if err != nil {
			return "", err
		}
		if x.working, err = contentOf(ctx, working); err != nil {
			return "", err
		}
		if x.staged, err = contentOf(ctx, staged); err != nil {
			return "", err
		}
		if w.commits[c.Message], err = contentOf(ctx, at); err != nil {
			return "", err
		}
		w.branches[b.Name] = x
	}
	tags, err := r.Tags(ctx)
	if err != nil {
		return "", err
	}
	for _, t := range tags {
		c, err := history.GetCommit(ctx, r.Store(), t.Commit)
		if err != nil {
			return "", err
		}
		w.tags[t.Name] = c.Message
	}
	stashes, err := r.Stashes(ctx)
	if err != nil {
		return "", err
	}
	for i := range stashes {
		x := &stashes[i]
		c, err := history.GetCommit(ctx, r.Store(), x.Head)
		if err != nil {
			return "", err
		}
		tables, err := contentOf(ctx, r.SnapshotRoot(root.Open(r.Store(), x.Root)))
		if err != nil {
			return "", err
		}
		w.stashes = append(w.stashes, wstash{base: c.Message, branch: x.Branch, tables: tables, added: x.Added})
	}
	return w.String(), nil
}

func contentOf(ctx context.Context, s *repo.Snapshot) (content, error) {
	names, err := s.TableNames(ctx)
	if err != nil {
		return nil, err
	}
	out := content{}
	for _, n := range names {
		v, _, _, err := s.Table(ctx, n)
		if err != nil {
			return nil, err
		}
		if out[n], err = tableOf(ctx, v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// tableOf reads a table by its rows and compares them with its count and its indexes' sizes.
func tableOf(ctx context.Context, v *table.View) (*wtable, error) {
	t := &wtable{rows: map[int64]wrow{}}
	for n := table.RowsTree; int(n) < len(v.Schema().Indexes); n++ {
		scan := v.Scan(table.ScanOptions{Rows: n})
		cells := make([]value.Cell, len(v.Layout(n).Phys))
		seen := uint64(0)
		for {
			b, ok, err := scan.Next(ctx)
			if err != nil {
				return nil, err
			}
			if !ok {
				break
			}
			row, i := b.Row, b.Lo
			for ; b.Page == nil && i == b.Lo || i < b.Hi; i++ {
				if b.Page != nil {
					if row, err = b.Page.AppendRow(ctx, nil, i); err != nil {
						return nil, err
					}
				}
				if err := value.DecodeTuple(row, v.Layout(n).Phys, cells); err != nil {
					return nil, err
				}
				seen++
				switch {
				case n != table.RowsTree:
				case len(cells) == 2:
					t.rows[cells[0].Int()] = wrow{age: cells[1].Int()}
				default:
					t.rows[cells[0].Int()] = wrow{mail: string(cells[1].Bytes()), age: cells[2].Int()}
				}
			}
		}
		if seen != v.Count() || seen != uint64(len(t.rows)) {
			return nil, fmt.Errorf("tree %d gives %d rows, the table %d, its count is %d", n, seen, len(t.rows), v.Count())
		}
	}
	return t, nil
}

// problems is what fsck says about everything that the database reaches.
func problems(ctx context.Context, r *repo.Repo) ([]string, error) {
	var out []string
	starts, err := r.Starts(ctx)
	if err != nil {
		return nil, err
	}
	c := fsck.New(r.Store(), func(p fsck.Problem) { out = append(out, p.String()) }, nil)
	for _, s := range starts {
		if err := c.Check(ctx, s); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// play is a database that is used at random beside its world.
type play struct {
	did  map[string]int // actions that took place; nil counts none
	rng  *rand.Rand
	r    *repo.Repo
	w    *world
	txs  []*wtx
	made int
}

// action is something to be done: the world after it, the classes of error that may come instead, and how to do it.
type action struct {
	name string
	next *world
	errs []errs.Code
	do   func(ctx context.Context, r *repo.Repo) error
}

func (p *play) pick(names []string) string { return names[p.rng.IntN(len(names))] }

func (p *play) someBranch() string { return p.pick(p.w.names()) }

func (p *play) someCommit() string { return p.pick(slices.Sorted(maps.Keys(p.w.commits))) }

// commitOf finds the commit with that message among the ancestors of refs.
func commitOf(ctx context.Context, r *repo.Repo, message string) (history.CommitID, error) {
	var from []history.CommitID
	for _, b := range r.Branches() {
		from = append(from, b.Head)
	}
	tags, err := r.Tags(ctx)
	if err != nil {
		return history.CommitID{}, err
	}
	for _, t := range tags {
		from = append(from, t.Commit)
	}
	walk, err := history.Walk(ctx, r.Store(), from, nil)
	if err != nil {
		return history.CommitID{}, err
	}
	for {
		c, err := walk.Next(ctx)
		if err != nil {
			return history.CommitID{}, err
		}
		if c == nil {
			return history.CommitID{}, errUnreachable
		}
		if c.Message == message {
			return c.ID, nil
		}
	}
}

var errUnreachable = errs.New(errs.NotFound, "no ref reaches the commit")

// drawn draws an action that can seldom be done a few times: the first that takes place, otherwise the last that is refused.
func (p *play) drawn(draw func(w *world, branch string) (action, bool)) (out action, ok bool) {
	for range 10 {
		a, can := draw(p.w.clone(), p.someBranch())
		if can && len(a.errs) == 0 {
			return a, true
		}
		if can {
			out, ok = a, true
		}
	}
	return out, ok
}

// next is a random action that changes more than a transaction's own state.
func (p *play) next() action {
	w := p.w.clone()
	name := p.someBranch()
	b := w.branches[name]
	switch p.rng.IntN(23) {
	case 20, 21:
		opt := repo.CollectOptions{Full: p.rng.IntN(2) == 0, Drop: p.rng.IntN(4) == 0}
		if p.rng.IntN(4) > 0 {
			opt.Expire = testClock.Now().Add(time.Hour)
		}
		return action{fmt.Sprintf("collect %+v", opt), w, nil, func(ctx context.Context, r *repo.Repo) error {
			done, err := r.Collect(ctx, opt)
			if err == nil && p.did != nil && done.ChunksRemoved > 0 {
				p.did["removed"]++
			}
			return err
		}}
	case 0, 1:
		return action{"fold " + name, w, nil, func(ctx context.Context, r *repo.Repo) error {
			_, err := r.Fold(ctx, name)
			return err
		}}
	case 2:
		return action{"checkpoint", w, nil, func(ctx context.Context, r *repo.Repo) error { return r.Checkpoint(ctx) }}
	case 3, 4, 5:
		p.made++
		opt := repo.CommitOptions{Branch: name, Message: fmt.Sprintf("commit %d", p.made), Author: signature()}
		switch p.rng.IntN(3) {
		case 0:
			opt.AddNew = true
			b.staged = b.working
		case 1:
			opt.All = true
			known := maps.Clone(b.staged)
			for _, c := range []content{w.commits[b.head], b.staged} {
				for t := range c {
					delete(known, t)
					if x := b.working[t]; x != nil {
						known[t] = x
					}
				}
			}
			if from, to := renamed(b.staged, b.working); from != "" {
				known[to] = b.working[to]
			}
			b.staged = known
		}
		a := action{fmt.Sprintf("commit %+v", opt), w, nil, nil}
		if b.staged.String() == w.commits[b.head].String() {
			a.next, a.errs = p.w, []errs.Code{errs.NothingToDo}
		} else {
			w.commits[opt.Message] = b.staged
			w.parents[opt.Message] = []string{b.head}
			b.head = opt.Message
			w.branches[name] = b
		}
		a.do = func(ctx context.Context, r *repo.Repo) error {
			_, err := r.Commit(ctx, opt)
			return err
		}
		return a
	case 6:
		if len(w.branches) > 3 {
			break
		}
		p.made++
		to, at := fmt.Sprintf("b%d", p.made%5), p.someCommit()
		force := p.rng.IntN(2) == 0
		a := action{fmt.Sprintf("branch %s at %s force=%v", to, at, force), w, nil, func(ctx context.Context, r *repo.Repo) error {
			id, err := commitOf(ctx, r, at)
			if err != nil {
				return err
			}
			return r.CreateBranch(ctx, to, id, force)
		}}
		if _, there := w.branches[to]; there && !force {
			a.next, a.errs = p.w, []errs.Code{errs.Exists}
		}
		w.born++
		w.branches[to] = wbranch{head: at, working: w.commits[at], staged: w.commits[at], born: w.born}
		return a
	case 7:
		a := action{"delete " + name, w, nil, func(ctx context.Context, r *repo.Repo) error { return r.DeleteBranch(ctx, name, "", true) }}
		if name == w.head {
			a.next, a.errs = p.w, []errs.Code{errs.Invalid}
		}
		delete(w.branches, name)
		return a
	case 8:
		at := p.someCommit()
		target := maps.Clone(w.commits[at])
		for t, x := range b.working {
			if w.commits[b.head][t] == nil && b.staged[t] == nil && target[t] == nil {
				target[t] = x
			}
		}
		for _, t := range tableNames {
			if text(target, t) != text(b.working, t) {
				b = b.changed(w, t)
			}
		}
		b.working, b.staged, b.head = target, w.commits[at], at
		w.branches[name] = b
		return action{fmt.Sprintf("reset %s hard to %s", name, at), w, nil, func(ctx context.Context, r *repo.Repo) error {
			id, err := commitOf(ctx, r, at)
			if err != nil {
				return err
			}
			return r.ResetHard(ctx, name, id)
		}}
	case 9:
		t := p.pick(tableNames)
		from := w.commits[b.head]
		a := action{fmt.Sprintf("restore %s on %s", t, name), w, nil, func(ctx context.Context, r *repo.Repo) error {
			id, _ := r.BranchHead(name)
			c, err := history.GetCommit(ctx, r.Store(), id)
			if err != nil {
				return err
			}
			return r.Restore(ctx, name, root.Open(chunk.Reader(r.Store()), c.Root), []string{strings.ToUpper(t)})
		}}
		if from[t] == nil && b.working[t] == nil {
			a.next, a.errs = p.w, []errs.Code{errs.NotFound}
			return a
		}
		b.working = maps.Clone(b.working)
		delete(b.working, t)
		b = b.changed(w, t)
		if from[t] != nil {
			b.working[t] = from[t]
		}
		w.branches[name] = b
		return a
	case 10:
		b.staged = b.working
		w.branches[name] = b
		return action{"stage " + name, w, nil, func(ctx context.Context, r *repo.Repo) error { return r.Stage(ctx, name, nil) }}
	case 11:
		p.made++
		to := fmt.Sprintf("b%d", p.made%5)
		move := p.rng.IntN(2) == 0
		a := action{fmt.Sprintf("copy %s to %s, move=%v", name, to, move), w, nil, func(ctx context.Context, r *repo.Repo) error {
			if move {
				return r.RenameBranch(ctx, name, to, false)
			}
			return r.CopyBranch(ctx, name, to, false)
		}}
		if _, there := w.branches[to]; there {
			if name == to && move {
				a.next = p.w
				return a
			}
			a.next, a.errs = p.w, []errs.Code{errs.Exists}
			return a
		}
		w.born++
		b.born = w.born
		w.branches[to] = b
		if move {
			delete(w.branches, name)
			if w.head == name {
				w.head = to
			}
		}
		return a
	case 12:
		p.made++
		tag := fmt.Sprintf("t%d", p.made)
		w.tags[tag] = b.head
		return action{"tag " + tag, w, nil, func(ctx context.Context, r *repo.Repo) error {
			id, _ := r.BranchHead(name)
			return r.CreateTag(ctx, tag, history.Tag{Commit: id, Tagger: signature(), Message: "m"}, false)
		}}
	case 13, 14:
		return p.push(w, name)
	case 15:
		if a, ok := p.drawn(p.pop); ok {
			return a
		}
	case 16, 17, 18, 19:
		kind := []history.MergeKind{history.MergeBranch, history.MergeBranch, history.CherryPick, history.Revert}[p.rng.IntN(4)]
		if a, ok := p.drawn(func(w *world, name string) (action, bool) { return p.merge(w, name, kind) }); ok {
			return a
		}
	}
	w.head = name
	return action{"check out " + name, w, nil, func(ctx context.Context, r *repo.Repo) error { return r.CheckOut(ctx, name) }}
}

// push sets changes aside.
func (p *play) push(w *world, name string) action {
	b := w.branches[name]
	head := w.commits[b.head]
	opt := repo.StashOptions{Branch: name, Name: "s", Untracked: p.rng.IntN(2) == 0}
	aside := maps.Clone(b.staged)
	for _, c := range []content{head, b.staged} {
		for t := range c {
			delete(aside, t)
			if x := b.working[t]; x != nil {
				aside[t] = x
			}
		}
	}
	var added []string
	for _, t := range slices.Sorted(maps.Keys(aside)) {
		if head[t] == nil {
			added = append(added, t)
		}
	}
	if opt.Untracked {
		aside = b.working
	}
	a := action{fmt.Sprintf("stash %+v", opt), w, nil, func(ctx context.Context, r *repo.Repo) error {
		_, err := r.PushStash(ctx, opt)
		return err
	}}
	if aside.String() == head.String() && b.staged.String() == head.String() {
		a.next, a.errs = p.w, []errs.Code{errs.NothingToDo}
		return a
	}
	w.stashes = append([]wstash{{base: b.head, branch: name, tables: aside, added: added}}, w.stashes...)
	working := maps.Clone(b.working)
	for _, t := range tableNames {
		if text(aside, t) == text(head, t) {
			continue
		}
		delete(working, t)
		if head[t] != nil {
			working[t] = head[t]
		}
		b = b.changed(w, t)
	}
	b.working, b.staged = working, head
	w.branches[name] = b
	return a
}

// pop brings a stash back; ok is false when there is none that needs no merging of rows.
func (p *play) pop(w *world, name string) (a action, ok bool) {
	if len(w.stashes) == 0 {
		return a, false
	}
	i := p.rng.IntN(len(w.stashes))
	s, drop := w.stashes[i], p.rng.IntN(3) > 0
	b := w.branches[name]
	base, working, staged := w.commits[s.base], maps.Clone(b.working), maps.Clone(b.staged)
	if moved(base, working) || moved(base, s.tables) {
		return a, false
	}
	for _, t := range tableNames {
		ours, was, theirs := text(b.working, t), text(base, t), text(s.tables, t)
		switch {
		case theirs == was || theirs == ours:
			continue
		case ours != was:
			return a, false
		}
		delete(working, t)
		if s.tables[t] != nil {
			working[t] = s.tables[t]
		}
		b = b.changed(w, t)
	}
	for _, t := range s.added {
		if working[t] != nil {
			staged[t] = working[t]
		}
	}
	b.working, b.staged = working, staged
	w.branches[name] = b
	if drop {
		w.stashes = slices.Delete(slices.Clone(w.stashes), i, i+1)
	}
	return action{fmt.Sprintf("pop stash %d on %s, drop %v", i, name, drop), w, nil, func(ctx context.Context, r *repo.Repo) error {
		_, err := r.ApplyStash(ctx, name, "s", i, drop)
		return err
	}}, true
}

// outcome judges the error of an action: whether it took place, or what is wrong.
func (a *action) outcome(err error) (happened bool, wrong error) {
	switch {
	case err == nil && len(a.errs) == 0:
		return true, nil
	case err != nil && slices.Contains(a.errs, errs.CodeOf(err)):
		return false, nil
	}
	return false, fmt.Errorf("%s: error %w, want one of %v", a.name, err, a.errs)
}
