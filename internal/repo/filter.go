package repo

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/diff"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
)

// BeginAside starts a transaction on a root of the store that is no branch's working set. It goes by the name of the branch, sees its
// head, and cannot be committed: Sealed is what it leads to.
func (r *Repo) BeginAside(branchName string, on tree.Root) (*Tx, error) {
	t, err := r.beginOn(func(s *state) (*branch, error) {
		b, ok := s.branches.Get(branchName)
		if !ok {
			return nil, r.errNoRef(branchName)
		}
		return &branch{name: branchName, head: b.head, working: on, staged: on, tables: workTables{}}, nil
	})
	if err == nil {
		t.aside = true
	}
	return t, err
}

// Sealed is the root with all changes of the transaction in trees, whose chunks are in its Store.
func (t *Tx) Sealed(ctx context.Context) (tree.Root, error) {
	for _, l := range t.edited() {
		if _, err := t.FoldTable(ctx, t.tables[l].name); err != nil {
			return tree.Root{}, err
		}
	}
	return t.root.Tree(), nil
}

// FilterOptions say which commits are made anew, and how.
type FilterOptions struct {
	Verb        string           // for messages
	Branches    []string         // whose history is rewritten
	Tags        bool             // all tags as well
	After       history.CommitID // not zero: it and what is before it stay as they are
	Uncommitted bool             // working and staged sets are changed as well; otherwise uncommitted changes are an error
	First       bool             // commits without parents are changed as well
	// Erase is for content that must not stay anywhere: branches of remotes that name commits which are made anew, or which no branch or tag
	// here has, are dropped, stashes are an error of class Conflict, and what became of commits is noted: see Thinned.
	Erase  bool
	DryRun bool // nothing is kept: Change and Step are called, and that is all
	// Change makes the change of a commit's tables. id is zero for working and staged sets.
	Change func(ctx context.Context, id history.CommitID, tx *Tx) error
	// Planned is told how many commits are to be made anew, Step of each, with the new commit's id. Both may be nil.
	Planned func(commits int)
	Step    func(was, now history.CommitID)
	// Told, if not nil, is told of each table whose rows Change has changed at a commit, before Step.
	Told func(id history.CommitID, c FilteredTable)
	// Ready, if not nil, is called when all changes are made and no ref has moved. Its error ends it all.
	Ready func() error
}

// FilteredTable is a table that a filter changed at a commit, or in a working or staged set.
type FilteredTable struct {
	Name      string
	diff.Stat // from then to now
}

// Filtered is what a filter did.
type Filtered struct {
	Seen     int      // commits
	Changed  int      // of them, those that were made anew; of a dry run, those whose tables change
	Branches []string // that came to name another commit
	Tags     []string // that did
	Tracks   []string // branches of remotes that were dropped
	// Made are the commits that were made anew, as they were called before.
	Made []history.CommitID
}

// FilterHistory makes the commits of branches anew, from the oldest to the newest, with changed tables and the same authors, times,
// messages and metadata. The first commit of all stays unless it is asked for. Branches and tags move together, at the end; when one of them moved meanwhile
// the error is of class Conflict, and nothing has changed. In a bucket it is the history there, of all machines; what it had stays in the bucket until that is pushed anew.
func (r *Repo) FilterHistory(ctx context.Context, opt FilterOptions) (*Filtered, error) {
	if opt.Erase {
		if err := r.notKept("the copies of other machines, and what the bucket has had, hold what is to go; erase it in a copy, and push that anew"); err != nil {
			return nil, err
		}
	} else if r.bucket != nil { // what others have done is changed, too
		r.settleKept()
		if err := r.RefreshKept(ctx); err != nil {
			return nil, err
		}
	}
	hold := r.Hold()
	defer hold.Release()
	f := &filter{r: r, opt: &opt, now: map[history.CommitID]history.CommitID{}, heights: map[history.CommitID]uint64{}, roots: map[tree.Root]tree.Root{}}
	if err := f.begin(ctx); err != nil {
		return nil, err
	}
	if err := f.rewrite(ctx); err != nil {
		return nil, err
	}
	if opt.Ready != nil {
		if err := opt.Ready(); err != nil {
			return nil, err
		}
	}
	if opt.DryRun {
		return &f.out, nil
	}
	s, err := f.apply(ctx)
	if err != nil {
		return nil, err
	}
	err = r.publish(ctx, s)
	if overtakenBy(err) {
		err = f.meanwhile("a branch or tag", " by another machine")
	}
	if err != nil {
		return nil, err
	}
	return &f.out, nil
}

// meanwhile is the error for what is not what it was when the history was read.
func (f *filter) meanwhile(what, by string) error {
	return errs.New(errs.Conflict, "%s: %s was changed meanwhile%s; nothing has been rewritten", f.opt.Verb, what, by)
}

// apply moves the refs. What became of commits is noted before, for who looks for them: see retaining.apply.
func (f *filter) apply(ctx context.Context) (*state, error) {
	if !f.opt.Erase {
		return f.append(ctx)
	}
	f.r.thinning.Lock()
	defer f.r.thinning.Unlock()
	was, err := f.r.Thinned()
	if err != nil {
		return nil, err
	}
	var list []lineage.ThinnedCommit
	for _, id := range f.out.Made {
		list = append(list, lineage.ThinnedCommit{Was: id.Full(), Now: f.now[id].Full(), Erased: true})
	}
	if len(list) == 0 {
		return f.append(ctx)
	}
	if err := f.r.noteThinned(was.With(list)); err != nil {
		return nil, err
	}
	s, err := f.append(ctx)
	if err != nil {
		err = errors.Join(err, f.r.noteThinned(was))
	}
	return s, err
}

// filter is one run of FilterHistory.
type filter struct {
	r        *Repo
	opt      *FilterOptions
	branches []*branch // as they were, folded
	tags     map[string]*history.Tag
	objects  map[string]hash.Hash // of the tags
	now      map[history.CommitID]history.CommitID
	heights  map[history.CommitID]uint64 // of the new commits
	roots    map[tree.Root]tree.Root     // changed working and staged sets
	out      Filtered
}

// begin reads what the branches and tags are.
func (f *filter) begin(ctx context.Context) error {
	for _, n := range f.opt.Branches {
		if _, err := f.r.Fold(ctx, n); err != nil {
			return err
		}
		b, ok := f.r.published.Load().branches.Get(n)
		if !ok {
			return f.r.errNoRef(n)
		}
		if err := f.r.quiet(ctx, b, "rewrite the history"); err != nil {
			return err
		}
		c, err := history.GetCommit(ctx, f.r.store, b.head)
		if err != nil {
			return err
		}
		if !f.opt.Uncommitted && (b.working != c.Root || b.staged != c.Root || b.overlays()) {
			return errs.New(errs.Conflict, "local changes detected on branch refs/heads/%s, clear uncommitted changes (stash, commit) before using filter-branch, or use --apply-to-uncommitted", n)
		}
		f.branches = append(f.branches, b)
	}
	f.tags, f.objects = map[string]*history.Tag{}, map[string]hash.Hash{}
	s := f.r.published.Load()
	if f.opt.Erase && s.stashes.Len() > 0 {
		return errs.New(errs.Conflict, "cannot rewrite what stashes hold: there are some of %s; pop or drop them first", strings.Join(s.stashes.Keys(), ", "))
	}
	if !f.opt.Tags {
		return nil
	}
	for _, n := range s.tags.Keys() {
		h, _ := s.tags.Get(n)
		t, err := history.GetTag(ctx, f.r.store, h)
		if err != nil {
			return err
		}
		f.tags[n], f.objects[n] = t, h
	}
	return nil
}

// rewrite makes the commits and sets. Their chunks are in the store after it, and nothing names them yet.
func (f *filter) rewrite(ctx context.Context) error {
	var from, not []history.CommitID
	for _, b := range f.branches {
		from = append(from, b.head)
	}
	for _, t := range f.tags {
		from = append(from, t.Commit)
	}
	if !f.opt.After.IsZero() {
		not = []history.CommitID{f.opt.After}
		for _, id := range from {
			is, err := history.IsAncestor(ctx, f.r.store, f.opt.After, id)
			if err != nil {
				return err
			}
			if !is {
				return errs.New(errs.Invalid, "commit %s is missing from the commit history of at least one rebase head", f.opt.After)
			}
		}
	}
	w, err := history.Walk(ctx, f.r.store, from, not)
	if err != nil {
		return err
	}
	var todo []*history.Commit
	for {
		c, err := w.Next(ctx)
		if err != nil {
			return err
		}
		if c == nil {
			break
		}
		if len(c.Parents) > 0 || f.opt.First {
			todo = append(todo, c)
		}
	}
	if f.opt.Planned != nil {
		f.opt.Planned(len(todo))
	}
	for _, c := range slices.Backward(todo) {
		if err := f.commit(ctx, c); err != nil {
			return err
		}
	}
	for _, b := range f.branches {
		for _, t := range []tree.Root{b.working, b.staged} {
			if err := f.set(ctx, b, t); err != nil {
				return err
			}
		}
	}
	return nil
}

// commit makes a commit anew. Its parents have their turn before it.
func (f *filter) commit(ctx context.Context, c *history.Commit) error {
	f.out.Seen++
	rt, err := f.change(ctx, c.ID, c.Root)
	if err != nil {
		return errs.New(errs.CodeOf(err), "commit %s: %w", c.ID, err)
	}
	if f.opt.DryRun {
		if rt != c.Root {
			f.out.Changed++
		}
		f.step(c.ID, c.ID)
		return nil
	}
	n := *c
	n.Root, n.Parents = rt, make([]history.CommitID, len(c.Parents))
	if len(c.Parents) > 0 {
		n.Height = 0
	}
	for i, p := range c.Parents {
		n.Parents[i] = f.moved(p)
		height, known := f.heights[p]
		if !known {
			pc, err := history.GetCommit(ctx, f.r.store, p)
			if err != nil {
				return err
			}
			height = pc.Height
		}
		n.Height = max(n.Height, height+1)
	}
	batch := f.r.store.NewBatch()
	defer batch.Close()
	id, err := n.Put(ctx, batch)
	if err != nil {
		return err
	}
	if id != c.ID {
		if err := f.r.appendUnnamed(ctx, batch, departure{commit: id}); err != nil {
			return err
		}
		f.out.Changed++
		f.out.Made = append(f.out.Made, c.ID)
	}
	f.now[c.ID], f.heights[c.ID] = id, n.Height
	f.step(c.ID, id)
	return nil
}

func (f *filter) step(was, now history.CommitID) {
	if f.opt.Step != nil {
		f.opt.Step(was, now)
	}
}

// moved is what became of a commit.
func (f *filter) moved(id history.CommitID) history.CommitID {
	if now, ok := f.now[id]; ok {
		return now
	}
	return id
}

// set changes a working or staged set.
func (f *filter) set(ctx context.Context, b *branch, t tree.Root) error {
	if _, ok := f.roots[t]; ok {
		return nil
	}
	head, err := history.GetCommit(ctx, f.r.store, b.head)
	if err != nil {
		return err
	}
	var to tree.Root
	if t == head.Root {
		c, err := history.GetCommit(ctx, f.r.store, f.moved(b.head))
		if err != nil {
			return err
		}
		to = c.Root
	} else if to, err = f.change(ctx, history.CommitID{}, t); err != nil {
		return errs.New(errs.CodeOf(err), "uncommitted tables of branch %s: %w", b.name, err)
	}
	f.roots[t] = to
	return nil
}

// change makes a changed root, whose chunks are in the store then.
func (f *filter) change(ctx context.Context, id history.CommitID, on tree.Root) (tree.Root, error) {
	tx, err := f.r.BeginAside(f.branches[0].name, on)
	if err != nil {
		return tree.Root{}, err
	}
	defer tx.Rollback()
	if err := f.opt.Change(ctx, id, tx); err != nil {
		return tree.Root{}, err
	}
	to, err := tx.Sealed(ctx)
	if err == nil && to != on && f.opt.Told != nil {
		err = f.tell(ctx, id, tx, on, to)
	}
	if err != nil || to == on || f.opt.DryRun {
		return to, err
	}
	return to, f.r.appendUnnamed(ctx, tx.Store(), departure{root: to})
}

// tell tells what a change has changed.
func (f *filter) tell(ctx context.Context, id history.CommitID, tx *Tx, from, to tree.Root) error {
	deltas, err := diff.Tables(ctx, tx.Store(), from, to)
	if err != nil {
		return err
	}
	for i := range deltas {
		d := &deltas[i]
		var sides [2]*table.Table
		for k, e := range []root.Entry{d.From, d.To} {
			if e.Name == "" {
				continue
			}
			if sides[k], err = table.Open(ctx, tx.Store(), &f.r.schemas, e.Table, e.Comments); err != nil {
				return err
			}
		}
		pair, err := diff.NewPair(tx.Store(), sides[0], sides[1])
		if err != nil {
			return err
		}
		st, err := pair.Stat(ctx)
		if err != nil {
			return err
		}
		f.opt.Told(id, FilteredTable{Name: d.Name(), Stat: st})
	}
	return nil
}

// append moves the branches and tags in one record.
func (f *filter) append(ctx context.Context) (*state, error) {
	r := f.r
	batch := r.store.NewBatch()
	defer batch.Close()
	ch := &change{}
	for _, n := range slices.Sorted(maps.Keys(f.tags)) {
		t := *f.tags[n]
		to := f.moved(t.Commit)
		if to == t.Commit {
			continue
		}
		t.Commit = to
		h, err := t.Put(ctx, batch)
		if err != nil {
			return nil, err
		}
		ch.tags = append(ch.tags, tagChange{name: n, object: h, commit: to})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	tip := r.tip.Load()
	for _, t := range f.dropped(tip) {
		ch.tracks = append(ch.tracks, refChange{name: t})
	}
	var next []*branch
	wholes := make([][]string, len(f.branches))
	for i, b := range f.branches {
		cur, ok := tip.branches.Get(b.name)
		if !ok || cur.born != b.born || cur.head != b.head || cur.staged != b.staged || cur.working != b.working || cur.merge != b.merge ||
			cur.rebase != b.rebase || cur.overlays() {
			return nil, f.meanwhile("branch '"+b.name+"'", "")
		}
		n := cur.copy(0)
		n.head, n.working, n.staged = f.moved(b.head), f.roots[b.working], f.roots[b.staged]
		whole, err := r.changedTables(ctx, batch, b.working, n.working)
		if err != nil {
			return nil, err
		}
		w := workChange{branch: n.name, working: n.working, staged: n.staged}
		wholes[i] = slices.Sorted(maps.Keys(whole))
		for _, l := range wholes[i] {
			w.folded = append(w.folded, folded{table: l})
		}
		ch.refs = append(ch.refs, refChange{name: n.name, head: n.head})
		ch.work = append(ch.work, w)
		next = append(next, n)
	}
	if f.opt.Erase && (tip.branches.Len() != len(f.branches) || tip.tags.Len() != len(f.objects) || tip.stashes.Len() > 0) {
		return nil, f.meanwhile("which branches, tags and stashes there are", "")
	}
	for n, h := range f.objects {
		if now, _ := tip.tags.Get(n); now != h {
			return nil, f.meanwhile("tag '"+n+"'", "")
		}
	}
	f.out.Branches, f.out.Tags, f.out.Tracks = nil, nil, nil
	for i, n := range next {
		if n.head != f.branches[i].head {
			f.out.Branches = append(f.out.Branches, n.name)
		}
	}
	for _, t := range ch.tags {
		f.out.Tags = append(f.out.Tags, t.name)
	}
	for _, t := range ch.tracks {
		f.out.Tracks = append(f.out.Tracks, t.name)
	}
	return r.append(ctx, batch, ch, func(s *state) {
		for _, t := range ch.tags {
			s.setTag(t.name, t.object)
		}
		for _, t := range ch.tracks {
			s.setTrack(t.name, history.CommitID{})
		}
		for i, n := range next {
			n.lsn = s.lsn
			for _, l := range wholes[i] {
				n.tables.set(strings.ToLower(l), workTable{version: s.lsn, since: s.lsn})
			}
			s.branches.Set(n.name, n)
			r.wrote(n.name)
		}
	})
}

// dropped are the branches of remotes that do not stay.
func (f *filter) dropped(s *state) (out []string) {
	if !f.opt.Erase {
		return nil
	}
	s.tracks.Scan(func(name string, head history.CommitID) bool {
		if now, ok := f.now[head]; !ok || now != head {
			out = append(out, name)
		}
		return true
	})
	return out
}
