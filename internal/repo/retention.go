package repo

import (
	"context"
	"errors"
	"slices"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/lineage"
)

// Retained is what rules of retention do, or would do, to the history of all branches and tags.
type Retained struct {
	Commits  []history.ThinCommit // children before parents
	Seen     int                  // commits
	Gone     int                  // of them, those that leave the history of branches
	Moved    int                  // of those that stay, the ones that are made anew because an ancestor goes
	Branches []string             // that come to name another commit
	Tags     []string             // that do
	// Tracks are the branches of remotes that keep the history as it was.
	Tracks []string
}

// retainTries is how often a history is thinned anew when refs move meanwhile.
const retainTries = 5

// retainBatch is how many commits are made before their chunks go to the journal.
const retainBatch = 4096

// PlanRetention says what ApplyRetention would do.
func (r *Repo) PlanRetention(ctx context.Context, rules map[string]history.Retention) (*Retained, error) {
	hold := r.Hold()
	defer hold.Release()
	x, err := r.thin(ctx, rules)
	if err != nil {
		return nil, err
	}
	return &x.out, nil
}

// ApplyRetention takes the commits out of the history of branches that rules, by branch, do not keep; branches without rules keep what is
// theirs alone. A commit that stays gets the nearest ancestors that stay as parents, and its tables, signatures, message and metadata are as
// they were. All branches and tags whose history is another one then move in one step; working and staged sets stay. A merge or rebase in
// progress and stashes on commits that would change are errors of class Conflict, and so are refs that move time and again meanwhile: then
// nothing has changed. A database that is a part of another is an error of class Unsupported.
func (r *Repo) ApplyRetention(ctx context.Context, rules map[string]history.Retention) (*Retained, error) {
	hold := r.Hold()
	defer hold.Release()
	for try := 1; ; try++ {
		x, err := r.thin(ctx, rules)
		if err != nil {
			return nil, err
		}
		if x.out.Gone == 0 {
			return &x.out, nil
		}
		if err := x.free(ctx); err != nil {
			return nil, err
		}
		s, err := x.apply(ctx)
		if err != nil {
			return nil, err
		}
		if s != nil {
			if err := r.publish(ctx, s); !overtakenBy(err) {
				return &x.out, err
			}
		}
		r.settleKept()
		if err := ctx.Err(); err != nil {
			return nil, errs.With(errs.Canceled, err)
		}
		if try == retainTries {
			return nil, errs.New(errs.Conflict, "retention: branches or tags were moved meanwhile, time and again; nothing has changed, try again")
		}
	}
}

// retaining is one try of ApplyRetention.
type retaining struct {
	r    *Repo
	s    *state // that was looked at
	tags map[string]*history.Tag
	out  Retained
	now  map[history.CommitID]history.CommitID // of the commits that move
	gone map[history.CommitID]bool
}

// thin finds what the rules do to the state of now.
func (r *Repo) thin(ctx context.Context, rules map[string]history.Retention) (*retaining, error) {
	x := &retaining{r: r, s: r.published.Load(), tags: map[string]*history.Tag{}, gone: map[history.CommitID]bool{}}
	if p := r.Partial(); p != nil && !p.Kept { // what is kept in a bucket is there, whole
		return x, errs.New(errs.Unsupported, "retention: this database has a part of another one's history; thin the history there, or 'fetch --complete' first")
	}
	var branches, tags []history.ThinHead
	x.s.branches.Scan(func(name string, b *branch) bool {
		h := history.ThinHead{Name: name, Commit: b.head}
		if rule, ok := rules[name]; ok {
			h.Rules = &rule
		}
		branches = append(branches, h)
		return true
	})
	for _, name := range x.s.tags.Keys() {
		object, _ := x.s.tags.Get(name)
		t, err := history.GetTag(ctx, r.store, object)
		if err != nil {
			return x, err
		}
		x.tags[name] = t
		tags = append(tags, history.ThinHead{Name: name, Commit: t.Commit})
	}
	list, err := history.Thin(ctx, r.store, branches, tags, r.opt.Clock.Now())
	if err != nil {
		return x, err
	}
	x.out.Commits, x.out.Seen = list, len(list)
	moves := map[history.CommitID]bool{}
	known := map[history.CommitID]bool{}
	for i := range list {
		c := &list[i]
		known[c.ID] = true
		if c.Why == "" || c.Aside {
			x.out.Gone++
			x.gone[c.ID] = true
		}
		if c.Moves {
			x.out.Moved++
			moves[c.ID] = true
		}
	}
	for _, b := range branches {
		if moves[b.Commit] {
			x.out.Branches = append(x.out.Branches, b.Name)
		}
	}
	for _, t := range tags {
		if moves[t.Commit] {
			x.out.Tags = append(x.out.Tags, t.Name)
		}
	}
	x.s.tracks.Scan(func(name string, id history.CommitID) bool {
		if moves[id] || x.gone[id] {
			x.out.Tracks = append(x.out.Tracks, name)
		}
		return true
	})
	return x, nil
}

// free refuses where something is in progress that names commits.
func (x *retaining) free(ctx context.Context) error {
	var err error
	x.s.branches.Scan(func(name string, b *branch) bool {
		if err = x.r.quiet(ctx, b, "apply retention rules"); err == nil && !b.rebase.IsZero() {
			err = errs.New(errs.Conflict, "cannot apply retention rules while a rebase is in progress; abort the rebase first")
		}
		if err != nil {
			err = errs.New(errs.CodeOf(err), "branch '%s': %w", name, err)
		}
		return err == nil
	})
	if err != nil {
		return err
	}
	stashes, err := x.r.Stashes(ctx)
	if err != nil {
		return err
	}
	moves := map[history.CommitID]bool{}
	for i := range x.out.Commits {
		moves[x.out.Commits[i].ID] = x.out.Commits[i].Moves
	}
	for i := range stashes {
		if s := &stashes[i]; moves[s.Head] || x.gone[s.Head] {
			return errs.New(errs.Conflict, "retention: stash@{%d} of list %s was made on commit %s of branch '%s', which would go or be made anew; pop or drop the stash first", s.Index, s.Name, s.Head, s.Branch)
		}
	}
	return nil
}

// commits makes the commits that move, parents first. Nothing names them yet.
func (x *retaining) commits(ctx context.Context) error {
	r := x.r
	x.now = map[history.CommitID]history.CommitID{}
	batch := r.store.NewBatch()
	defer func() { batch.Close() }()
	var made []departure
	flush := func() error {
		if len(made) == 0 {
			return nil
		}
		err := r.appendUnnamed(ctx, batch, made...)
		batch.Close()
		batch, made = r.store.NewBatch(), nil
		return err
	}
	for i := range slices.Backward(x.out.Commits) {
		t := &x.out.Commits[i]
		if !t.Moves {
			continue
		}
		if err := errs.With(errs.Canceled, ctx.Err()); err != nil {
			return err
		}
		c, err := history.GetCommit(ctx, r.store, t.ID)
		if err != nil {
			return err
		}
		n := *c
		n.Height, n.Parents = t.Height, make([]history.CommitID, len(t.Parents))
		for k, p := range t.Parents {
			n.Parents[k] = x.became(p)
		}
		id, err := n.Put(ctx, batch)
		if err != nil {
			return err
		}
		x.now[t.ID] = id
		if made = append(made, departure{commit: id}); len(made) >= retainBatch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// became is what a commit that stays is called now.
func (x *retaining) became(id history.CommitID) history.CommitID {
	if now, ok := x.now[id]; ok {
		return now
	}
	return id
}

// apply makes the commits, notes what becomes of the old ones and moves the refs; nil when one of these moved meanwhile.
func (x *retaining) apply(ctx context.Context) (*state, error) {
	if err := x.commits(ctx); err != nil {
		return nil, err
	}
	x.r.thinning.Lock()
	defer x.r.thinning.Unlock()
	was, err := x.r.Thinned()
	if err != nil {
		return nil, err
	}
	// Before the refs, so that nothing that goes is kept for the sake of lineage for ever. What the notes say too early does no harm: as
	// long as refs have a commit they keep it.
	if err := x.r.noteThinned(was.With(x.thinned())); err != nil {
		return nil, err
	}
	s, err := x.move(ctx)
	if s == nil {
		err = errors.Join(err, x.r.noteThinned(was))
	}
	return s, err
}

// move moves the refs.
func (x *retaining) move(ctx context.Context) (*state, error) {
	r := x.r
	batch := r.store.NewBatch()
	defer batch.Close()
	ch := &change{}
	for _, name := range x.out.Tags {
		t := *x.tags[name]
		t.Commit = x.became(t.Commit)
		h, err := t.Put(ctx, batch)
		if err != nil {
			return nil, err
		}
		ch.tags = append(ch.tags, tagChange{name: name, object: h, commit: t.Commit})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	tip := r.tip.Load()
	if !x.unmoved(tip) {
		return nil, nil
	}
	var next []*branch
	for _, name := range x.out.Branches {
		cur, _ := tip.branches.Get(name)
		n := cur.copy(0)
		n.head = x.became(cur.head)
		ch.refs = append(ch.refs, refChange{name: name, head: n.head})
		ch.work = append(ch.work, workChange{branch: name, working: n.working, staged: n.staged, merge: n.merge, rebase: n.rebase})
		next = append(next, n)
	}
	return r.append(ctx, batch, ch, func(s *state) {
		for _, t := range ch.tags {
			s.setTag(t.name, t.object)
		}
		for _, n := range next {
			n.lsn = s.lsn
			s.branches.Set(n.name, n)
			r.wrote(n.name)
		}
	})
}

// unmoved tells whether branches, tags and stashes are what was looked at. Working sets may have changed.
func (x *retaining) unmoved(tip *state) bool {
	if tip.branches.Len() != x.s.branches.Len() || tip.tags.Len() != x.s.tags.Len() || tip.stashes.Len() != x.s.stashes.Len() {
		return false
	}
	same := true
	x.s.branches.Scan(func(name string, b *branch) bool {
		cur, ok := tip.branches.Get(name)
		same = ok && cur.born == b.born && cur.head == b.head && cur.merge == b.merge && cur.rebase == b.rebase
		return same
	})
	x.s.tags.Scan(func(name string, object hash.Hash) bool {
		now, _ := tip.tags.Get(name)
		same = same && now == object
		return same
	})
	x.s.stashes.Scan(func(name string, list []hash.Hash) bool {
		now, _ := tip.stashes.Get(name)
		same = same && slices.Equal(now, list)
		return same
	})
	return same
}

// thinned is what became of the commits that go and of those that are made anew.
func (x *retaining) thinned() []lineage.ThinnedCommit {
	var out []lineage.ThinnedCommit
	for i := range x.out.Commits {
		c := &x.out.Commits[i]
		switch {
		case c.Why == "":
			out = append(out, lineage.ThinnedCommit{Was: c.ID.Full()})
		case c.Moves:
			out = append(out, lineage.ThinnedCommit{Was: c.ID.Full(), Now: x.now[c.ID].Full(), Joined: c.Joined})
		}
	}
	return out
}
