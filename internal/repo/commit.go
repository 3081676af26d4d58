package repo

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/diff"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/tree"
)

// NeedsMessage begins the error of a commit without a message.
const NeedsMessage = "a commit needs a message"

// CommitOptions say what a commit takes and says.
type CommitOptions struct {
	Branch     string
	Message    string
	Meta       string // JSON object, "" for none
	Author     history.Signature
	Committer  history.Signature // zero: as Author. Its zero Time is the clock's
	All        bool              // stage changed and dropped tables first, not new ones
	AddNew     bool              // stage every table first, but no new ones that dolt_ignore names
	Tables     []string          // stage these first
	Amend      bool              // replace the head commit; an empty Message keeps its message
	AllowEmpty bool
	OwnAuthor  bool // Author counts more than the one that a merge in progress names
}

// Commit makes a commit of the branch's staged set and moves the branch to it. With nothing to commit the error is of class
// NothingToDo. It ends a merge in progress, whose commit gets both parents; while conflicts or violations are left the error is of
// class Conflict.
func (r *Repo) Commit(ctx context.Context, opt CommitOptions) (*history.Commit, error) {
	for try, lost := 0, 0; ; {
		c, s, err := r.tryCommit(ctx, opt, try >= overtaken)
		switch {
		case err != nil:
			return nil, err
		case s == nil:
			try++
			r.settleKept()
			continue
		}
		err = r.publish(ctx, s)
		if !overtakenBy(err) || lost == overtakenMost || ctx.Err() != nil {
			return c, err
		}
		lost++ // another machine was faster
	}
}

// tryCommit is one attempt of Commit, to be published; the state is nil when it must begin anew. With alone others wait for it.
func (r *Repo) tryCommit(ctx context.Context, opt CommitOptions, alone bool) (*history.Commit, *state, error) {
	if alone {
		r.gate.Lock()
		defer r.gate.Unlock()
		r.settleKept()
	}
	w, err := r.Fold(ctx, opt.Branch)
	if err != nil {
		return nil, nil, err
	}
	m, mergeHash, err := r.merging(ctx, opt.Branch)
	if err != nil {
		return nil, nil, err
	}
	batch := r.store.NewBatch()
	defer batch.Close()
	c, staged, err := r.build(ctx, batch, w, m, &opt)
	if err != nil {
		return nil, nil, err
	}
	var amended history.CommitID
	if opt.Amend {
		amended = w.Head
	}
	noted, err := r.noteOutputs(ctx, batch, w.at, w.Working.Tree(), c, amended, nil)
	if err != nil {
		return nil, nil, err
	}
	s, err := func() (*state, error) {
		if !alone {
			r.gate.RLock()
			defer r.gate.RUnlock()
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		cur, ok := r.tip.Load().branches.Get(opt.Branch)
		if !ok {
			return nil, r.errNoRef(opt.Branch)
		}
		if cur.head != w.Head || cur.staged != w.Staged.Tree() || cur.merge != mergeHash {
			return nil, nil
		}
		next := cur.copy(0)
		next.head, next.staged, next.merge = c.ID, staged.Tree(), hash.Hash{}
		ch := &change{
			refs: []refChange{{name: opt.Branch, head: c.ID}},
			work: []workChange{{branch: opt.Branch, working: next.working, staged: next.staged, rebase: next.rebase}},
		}
		join, err := r.joinLineage(ctx, batch, ch, noted)
		if err != nil {
			return nil, err
		}
		return r.append(ctx, batch, ch, func(s *state) {
			next.lsn = s.lsn
			s.branches.Set(opt.Branch, next)
			r.wrote(opt.Branch)
			join(s)
		})
	}()
	if alone && s != nil && r.bucket == nil { // who waits begins with what is published; in a bucket that takes long
		err = r.publish(ctx, s)
	}
	return c, s, err
}

// build makes the commit that opt asks for of a folded branch, with the merge m in progress there, nil for none. Its chunk goes into the batch, of
// which the roots of w may be as well. It gives the staged set that the commit leaves, also with an error of class NothingToDo.
func (r *Repo) build(ctx context.Context, batch *pack.Batch, w *Working, m *history.Merge, opt *CommitOptions) (*history.Commit, *root.Root, error) {
	head, err := history.GetCommit(ctx, r.store, w.Head)
	if err != nil {
		return nil, nil, err
	}
	if m != nil {
		if err := r.checkSettled(ctx, m, w); err != nil {
			return nil, nil, err
		}
		if opt.Amend && m.Merges() {
			return nil, nil, errs.New(errs.Invalid, "cannot amend a commit in the middle of a %s: commit or abort it first", m.Kind)
		}
	}
	staged := w.Staged
	switch {
	case opt.AddNew:
		if staged, err = r.stageAll(ctx, batch, w); err != nil {
			return nil, nil, err
		}
	case opt.All:
		if staged, err = r.stageKnown(ctx, batch, root.Open(r.store, head.Root), w); err != nil {
			return nil, nil, err
		}
	case len(opt.Tables) > 0:
		if staged, err = r.copyTables(ctx, batch, w.Working, w.Staged, opt.Tables); err != nil {
			return nil, nil, err
		}
	}
	parents := []history.CommitID{w.Head}
	height := head.Height + 1
	author, committer := opt.Author, opt.Committer
	if committer.Name == "" && committer.Email == "" {
		committer.Name, committer.Email = author.Name, author.Email
	}
	message, meta := opt.Message, opt.Meta
	if m != nil {
		if m.Author.Name != "" && !opt.OwnAuthor {
			author = m.Author
		}
		if message == "" {
			message = m.Message
		}
		if m.Kind == history.MergeBranch {
			theirs, err := history.GetCommit(ctx, r.store, m.Theirs)
			if err != nil {
				return nil, nil, err
			}
			parents, height = append(parents, m.Theirs), max(height, theirs.Height+1)
		}
	}
	against := head.Root
	if opt.Amend {
		parents, height = head.Parents, head.Height
		if message == "" {
			message = head.Message
		}
		if meta == "" {
			meta = head.Meta
		}
		if author.Name == "" {
			author = head.Author
		}
	}
	if staged.Tree() == against && !opt.AllowEmpty && !opt.Amend && (m == nil || m.Kind != history.MergeBranch) {
		return nil, staged, errs.New(errs.NothingToDo, "nothing to commit")
	}
	if message == "" {
		return nil, nil, errs.New(errs.Invalid, "%s: give one with -m", NeedsMessage)
	}
	if committer.Time, err = r.commitTime(ctx, committer.Time, parents); err != nil {
		return nil, nil, err
	}
	if author.Time.IsZero() {
		author.Time = committer.Time
	}
	c := &history.Commit{Root: staged.Tree(), Parents: parents, Height: height, Author: author, Committer: committer, Message: message, Meta: meta}
	if _, err := c.Put(ctx, batch); err != nil {
		return nil, nil, err
	}
	return c, staged, nil
}

// commitTime is the committer's time: the given one or the clock's, but later than every parent's.
func (r *Repo) commitTime(ctx context.Context, t time.Time, parents []history.CommitID) (time.Time, error) {
	if !t.IsZero() {
		return t.Truncate(time.Microsecond), nil
	}
	t = r.opt.Clock.Now().Truncate(time.Microsecond)
	for _, id := range parents {
		p, err := history.GetCommit(ctx, r.store, id)
		if err != nil {
			return t, err
		}
		if !t.After(p.Committer.Time) {
			t = p.Committer.Time.Add(time.Microsecond).In(t.Location())
		}
	}
	return t, nil
}

// stageKnown is the staged root with the working state of every table that the head or the staged set has, under another name too: a
// renamed table is committed whole, not just as dropped.
func (r *Repo) stageKnown(ctx context.Context, batch chunk.Store, head *root.Root, w *Working) (*root.Root, error) {
	all, err := r.entryChanges(ctx, batch, w.Staged.Tree(), w.Working.Tree())
	if err != nil {
		return nil, err
	}
	deltas, err := diff.Tables(ctx, batch, w.Staged.Tree(), w.Working.Tree())
	if err != nil {
		return nil, err
	}
	renamed := map[string]bool{}
	for _, d := range deltas {
		if d.Kind == diff.TableRenamed {
			renamed[d.To.Name] = true
		}
	}
	var changes []root.Change
	for _, c := range all {
		known := c.Entry.Kind == root.KindTable
		if known && !c.Drop && !renamed[c.Entry.Name] {
			if known, err = knownTable(ctx, c.Entry.Name, w.Staged, head); err != nil {
				return nil, err
			}
		}
		if known {
			changes = append(changes, c)
		}
	}
	return w.Staged.With(ctx, batch, changes...)
}

// knownTable tells whether one of the roots has a table of that name.
func knownTable(ctx context.Context, name string, roots ...*root.Root) (bool, error) {
	for _, r := range roots {
		if _, ok, err := r.Get(ctx, root.KindTable, name); err != nil || ok {
			return ok, err
		}
	}
	return false, nil
}

// Stage brings the working state of the named tables into the branch's staged set. When names is nil it is that of all but the new
// ones that dolt_ignore names.
func (r *Repo) Stage(ctx context.Context, branchName string, names []string) error {
	return r.restage(ctx, branchName, func(batch *pack.Batch, w *Working) (*root.Root, error) {
		if names == nil {
			return r.stageAll(ctx, batch, w)
		}
		return r.copyTables(ctx, batch, w.Working, w.Staged, names)
	})
}

// Unstage sets the staged state of the named tables, all when names is nil, back to that of the commit.
func (r *Repo) Unstage(ctx context.Context, branchName string, at history.CommitID, names []string) error {
	c, err := r.toName(ctx, at)
	if err != nil {
		return err
	}
	committed := root.Open(r.store, c.Root)
	return r.restage(ctx, branchName, func(batch *pack.Batch, w *Working) (*root.Root, error) {
		if names == nil {
			return committed, nil
		}
		return r.copyTables(ctx, batch, committed, w.Staged, names)
	})
}

// StageRemoval takes the named tables out of the branch's staged set; names that it does not have are passed over.
func (r *Repo) StageRemoval(ctx context.Context, branchName string, names []string) error {
	return r.restage(ctx, branchName, func(batch *pack.Batch, w *Working) (*root.Root, error) {
		changes := make([]root.Change, len(names))
		for i, n := range names {
			changes[i] = root.Change{Entry: root.Entry{Kind: root.KindTable, Name: n}, Drop: true}
		}
		return w.Staged.With(ctx, batch, changes...)
	})
}

// restage sets the branch's staged set to what plan makes of the folded branch, and begins anew when another changes head or staged
// set meanwhile.
func (r *Repo) restage(ctx context.Context, branchName string, plan func(*pack.Batch, *Working) (*root.Root, error)) error {
	for lost := 0; ; {
		s, err := r.tryRestage(ctx, branchName, plan)
		if err != nil {
			return err
		}
		if s == nil {
			r.settleKept()
			continue
		}
		if err := r.publish(ctx, s); !overtakenBy(err) || lost == overtakenMost || ctx.Err() != nil {
			return err
		}
		lost++
	}
}

// tryRestage is one attempt of restage; the state is nil when it must begin anew.
func (r *Repo) tryRestage(ctx context.Context, branchName string, plan func(*pack.Batch, *Working) (*root.Root, error)) (*state, error) {
	w, err := r.Fold(ctx, branchName)
	if err != nil {
		return nil, err
	}
	batch := r.store.NewBatch()
	defer batch.Close()
	staged, err := plan(batch, w)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	cur, ok := r.tip.Load().branches.Get(branchName)
	if !ok {
		return nil, r.errNoRef(branchName)
	}
	if cur.head != w.Head || cur.staged != w.Staged.Tree() {
		return nil, nil
	}
	next := cur.copy(0)
	next.staged = staged.Tree()
	return r.setBranch(ctx, batch, next, &change{}, nil)
}

// setBranch appends next as the state of its branch: its roots and what ch holds beside, whose stashes it sets. The tables named in whole are changed as a
// whole, so that their earlier edits have no meaning any more. The caller holds the commit lock.
func (r *Repo) setBranch(ctx context.Context, batch *pack.Batch, next *branch, ch *change, whole []string) (*state, error) {
	return r.setBranchAnd(ctx, batch, next, ch, whole, func(*state) {})
}

// setBranchAnd is setBranch with more that changes in the state.
func (r *Repo) setBranchAnd(ctx context.Context, batch *pack.Batch, next *branch, ch *change, whole []string, more func(*state)) (*state, error) {
	w := workChange{branch: next.name, working: next.working, staged: next.staged, merge: next.merge, rebase: next.rebase}
	for _, l := range whole {
		w.folded = append(w.folded, folded{table: l})
	}
	ch.work = append(ch.work, w)
	return r.append(ctx, batch, ch, func(s *state) {
		next.lsn = s.lsn
		for _, x := range ch.stashes {
			s.setStashes(x)
		}
		for _, l := range whole {
			next.tables.set(l, workTable{version: s.lsn, since: s.lsn})
		}
		s.branches.Set(next.name, next)
		r.wrote(next.name)
		more(s)
	})
}

// copyTables gives to with the named tables as from has them.
func (r *Repo) copyTables(ctx context.Context, batch chunk.Store, from, to *root.Root, names []string) (*root.Root, error) {
	changes, err := restored(ctx, from, to, names)
	if err != nil {
		return nil, err
	}
	return to.With(ctx, batch, changes...)
}

// restored is what makes of the named tables of to those of from.
func restored(ctx context.Context, from, to *root.Root, names []string) ([]root.Change, error) {
	var changes []root.Change
	for _, n := range names {
		e, ok, err := from.Get(ctx, root.KindTable, n)
		if err != nil {
			return nil, err
		}
		if !ok {
			old, had, err := to.Get(ctx, root.KindTable, n)
			if err != nil {
				return nil, err
			}
			if !had {
				return nil, errNoTable(n)
			}
			e = old
		}
		changes = append(changes, root.Change{Entry: e, Drop: !ok})
	}
	return changes, nil
}

// ResetSoft moves the branch and its staged set to the commit and leaves the working set as it is; soft leaves the staged set too.
func (r *Repo) ResetSoft(ctx context.Context, branchName string, to history.CommitID, soft bool) error {
	return r.reset(ctx, branchName, to, false, func(_ *pack.Batch, next *branch, c *history.Commit) ([]string, error) {
		if !soft {
			next.staged = c.Root
		}
		return nil, nil
	})
}

// ResetHard moves the branch, its staged and its working set to the commit. Tables of the working set that neither the old head
// nor the staged set knows stay with their edits, as untracked files do in git. A merge in progress ends.
func (r *Repo) ResetHard(ctx context.Context, branchName string, to history.CommitID) error {
	// Few edits are left to be looked at under the commit lock when most are folded.
	if _, err := r.Fold(ctx, branchName); err != nil {
		return err
	}
	return r.reset(ctx, branchName, to, true, func(batch *pack.Batch, next *branch, c *history.Commit) ([]string, error) {
		return r.resetWorking(ctx, batch, next, c)
	})
}

// reset moves a branch to a commit, and its roots as set does, which gives the tables that it changed as a whole. A hard reset ends a
// merge in progress.
func (r *Repo) reset(ctx context.Context, name string, to history.CommitID, hard bool, set func(*pack.Batch, *branch, *history.Commit) ([]string, error)) error {
	c, err := r.toName(ctx, to)
	if err != nil {
		return err
	}
	batch := r.store.NewBatch()
	defer batch.Close()
	for try := 1; ; try++ {
		s, err := r.resetTo(ctx, batch, name, c, hard, set)
		if err == nil {
			err = r.publish(ctx, s)
		}
		if !overtakenBy(err) || try == overtakenMost || ctx.Err() != nil {
			return err
		}
	}
}

func (r *Repo) resetTo(ctx context.Context, batch *pack.Batch, name string, c *history.Commit, hard bool, set func(*pack.Batch, *branch, *history.Commit) ([]string, error)) (*state, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	to := c.ID
	cur, ok := r.tip.Load().branches.Get(name)
	if !ok {
		return nil, r.errNoRef(name)
	}
	if to != cur.head && !hard {
		if err := r.notMerging(ctx, cur, errs.New(errs.Conflict, "cannot move branch '%s' in the middle of a merge: commit it, or abort it with 'merge --abort'", name)); err != nil {
			return nil, err
		}
	}
	next := cur.copy(0)
	if hard {
		next.merge = hash.Hash{}
	}
	whole, err := set(batch, next, c)
	if err != nil {
		return nil, err
	}
	next.head = to
	return r.setBranch(ctx, batch, next, &change{refs: []refChange{{name: name, head: to}}}, whole)
}

// resetWorking gives the branch next the roots of ResetHard and returns the tables whose content changes. The commit may be in the batch.
func (r *Repo) resetWorking(ctx context.Context, batch *pack.Batch, next *branch, c *history.Commit) ([]string, error) {
	head, err := history.GetCommit(ctx, batch, next.head)
	if err != nil {
		return nil, err
	}
	target := root.Open(batch, c.Root)
	es, err := root.Open(batch, next.working).List(ctx, root.KindTable)
	if err != nil {
		return nil, err
	}
	known := []*root.Root{root.Open(batch, head.Root), root.Open(batch, next.staged), target}
	untracked := map[string]bool{}
	var keep []root.Change
	for _, e := range es {
		found := false
		for _, x := range known {
			_, ok, err := x.Get(ctx, root.KindTable, e.Name)
			if err != nil {
				return nil, err
			}
			found = found || ok
		}
		if !found {
			untracked[strings.ToLower(e.Name)] = true
			keep = append(keep, root.Change{Entry: e})
		}
	}
	working, err := target.With(ctx, batch, keep...)
	if err != nil {
		return nil, err
	}
	whole, err := r.changedTables(ctx, batch, next.working, working.Tree())
	if err != nil {
		return nil, err
	}
	for _, t := range next.tables {
		if t.over.Len() > 0 && !untracked[t.name] {
			whole[t.name] = true
		}
	}
	next.working, next.staged = working.Tree(), c.Root
	return slices.Sorted(maps.Keys(whole)), nil
}

// changedTables is the lower-case names of the tables whose entries differ between two roots.
func (r *Repo) changedTables(ctx context.Context, batch *pack.Batch, from, to tree.Root) (map[string]bool, error) {
	out := map[string]bool{}
	if from == to {
		return out, nil
	}
	err := tree.Diff(ctx, batch, root.Format(), from, to, nil, nil, func(c tree.Change) error {
		leaf, i := c.A, c.AI
		if leaf == nil {
			leaf, i = c.B, c.BI
		}
		k := leaf.AppendKey(nil, i)
		if len(k) > 0 && root.Kind(k[0]) == root.KindTable {
			out[string(k[1:])] = true
		}
		return nil
	})
	return out, err
}
