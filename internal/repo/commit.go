package repo

import (
	"context"
	"strings"
	"time"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/tree"
)

// CommitOptions say what a commit takes and says.
type CommitOptions struct {
	Branch     string
	Message    string
	Meta       string // JSON object, "" for none
	Author     history.Signature
	Committer  history.Signature // zero: as Author. Its zero Time is the clock's
	All        bool              // stage changed and dropped tables first, not new ones
	AddNew     bool              // stage every table first
	Amend      bool              // replace the head commit; an empty Message keeps its message
	AllowEmpty bool
}

// Commit makes a commit of the branch's staged set and moves the branch to it. With nothing to commit the error is of class
// NothingToDo.
func (r *Repo) Commit(ctx context.Context, opt CommitOptions) (*history.Commit, error) {
	for {
		c, again, err := r.tryCommit(ctx, opt)
		if err != nil || !again {
			return c, err
		}
	}
}

func (r *Repo) tryCommit(ctx context.Context, opt CommitOptions) (c *history.Commit, again bool, err error) {
	w, err := r.Fold(ctx, opt.Branch)
	if err != nil {
		return nil, false, err
	}
	head, err := history.GetCommit(ctx, r.store, w.Head)
	if err != nil {
		return nil, false, err
	}
	batch := r.store.NewBatch()
	defer batch.Close()
	staged := w.Staged
	switch {
	case opt.AddNew:
		staged = w.Working
	case opt.All:
		if staged, err = r.stageKnown(ctx, batch, root.Open(r.store, head.Root), w); err != nil {
			return nil, false, err
		}
	}
	parents := []history.CommitID{w.Head}
	height := head.Height + 1
	author, committer := opt.Author, opt.Committer
	if committer.Name == "" && committer.Email == "" {
		committer.Name, committer.Email = author.Name, author.Email
	}
	message, meta := opt.Message, opt.Meta
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
	if staged.Tree() == against && !opt.AllowEmpty && !opt.Amend {
		return nil, false, errs.New(errs.NothingToDo, "nothing to commit")
	}
	if message == "" {
		return nil, false, errs.New(errs.Invalid, "a commit needs a message: give one with -m")
	}
	if committer.Time, err = r.commitTime(ctx, committer.Time, parents); err != nil {
		return nil, false, err
	}
	if author.Time.IsZero() {
		author.Time = committer.Time
	}
	c = &history.Commit{Root: staged.Tree(), Parents: parents, Height: height, Author: author, Committer: committer, Message: message, Meta: meta}
	if _, err := c.Put(ctx, batch); err != nil {
		return nil, false, err
	}
	s, err := func() (*state, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		cur, ok := r.tip.branches.Get(opt.Branch)
		if !ok {
			return nil, r.errNoRef(opt.Branch)
		}
		if cur.head != w.Head || cur.staged != w.Staged.Tree() {
			return nil, nil
		}
		next := cur.copy(0)
		next.head, next.staged = c.ID, staged.Tree()
		ch := &change{
			refs: []refChange{{name: opt.Branch, head: c.ID}},
			work: []workChange{{branch: opt.Branch, working: next.working, staged: next.staged}},
		}
		return r.append(ctx, batch, ch, func(s *state) {
			next.lsn = s.lsn
			s.branches.Set(opt.Branch, next)
		})
	}()
	if err != nil || s == nil {
		return nil, err == nil, err
	}
	return c, false, r.publish(ctx, s)
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

// stageKnown is the staged root with the working state of every table that the head or the staged set has.
func (r *Repo) stageKnown(ctx context.Context, batch chunk.Store, head *root.Root, w *Working) (*root.Root, error) {
	seen := map[string]bool{}
	var changes []root.Change
	for _, from := range []*root.Root{head, w.Staged} {
		es, err := from.List(ctx, root.KindTable)
		if err != nil {
			return nil, err
		}
		for _, e := range es {
			if seen[e.Name] {
				continue
			}
			seen[e.Name] = true
			now, ok, err := w.Working.Get(ctx, root.KindTable, e.Name)
			if err != nil {
				return nil, err
			}
			if !ok {
				now = e
			}
			changes = append(changes, root.Change{Entry: now, Drop: !ok})
		}
	}
	return w.Staged.With(ctx, batch, changes...)
}

// Stage brings the working state of the named tables, all of them when names is nil, into the branch's staged set.
func (r *Repo) Stage(ctx context.Context, branchName string, names []string) error {
	w, err := r.Fold(ctx, branchName)
	if err != nil {
		return err
	}
	batch := r.store.NewBatch()
	defer batch.Close()
	staged := w.Working
	if names != nil {
		if staged, err = r.copyTables(ctx, batch, w.Working, w.Staged, names); err != nil {
			return err
		}
	}
	return r.setRoots(ctx, batch, branchName, nil, &staged, nil)
}

// Unstage sets the staged state of the named tables, all when names is nil, back to that of the commit.
func (r *Repo) Unstage(ctx context.Context, branchName string, at history.CommitID, names []string) error {
	w, err := r.Fold(ctx, branchName)
	if err != nil {
		return err
	}
	c, err := history.GetCommit(ctx, r.store, at)
	if err != nil {
		return err
	}
	batch := r.store.NewBatch()
	defer batch.Close()
	staged := root.Open(r.store, c.Root)
	if names != nil {
		if staged, err = r.copyTables(ctx, batch, staged, w.Staged, names); err != nil {
			return err
		}
	}
	return r.setRoots(ctx, batch, branchName, nil, &staged, nil)
}

// Restore sets the working state of the named tables to that of the root from; edits of other tables stay. A name that neither
// has is an error of class NotFound.
func (r *Repo) Restore(ctx context.Context, branchName string, from *root.Root, names []string) error {
	batch := r.store.NewBatch()
	defer batch.Close()
	s, err := func() (*state, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		cur, ok := r.tip.branches.Get(branchName)
		if !ok {
			return nil, r.errNoRef(branchName)
		}
		working, err := r.copyTables(ctx, batch, from, root.Open(batch, cur.working), names)
		if err != nil {
			return nil, err
		}
		next := cur.copy(0)
		next.working = working.Tree()
		w := workChange{branch: branchName, working: next.working, staged: next.staged}
		for _, n := range names {
			w.folded = append(w.folded, folded{table: strings.ToLower(n)})
		}
		return r.append(ctx, batch, &change{work: []workChange{w}}, func(s *state) {
			next.lsn = s.lsn
			for _, f := range w.folded {
				next.tables[f.table] = workTable{version: s.lsn}
			}
			s.branches.Set(branchName, next)
		})
	}()
	if err != nil {
		return err
	}
	return r.publish(ctx, s)
}

// copyTables gives to with the named tables as from has them.
func (r *Repo) copyTables(ctx context.Context, batch chunk.Store, from, to *root.Root, names []string) (*root.Root, error) {
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
	return to.With(ctx, batch, changes...)
}

// ResetSoft moves the branch and its staged set to the commit and leaves the working set as it is; soft leaves the staged set too.
func (r *Repo) ResetSoft(ctx context.Context, branchName string, to history.CommitID, soft bool) error {
	c, err := history.GetCommit(ctx, r.store, to)
	if err != nil {
		return err
	}
	if soft {
		return r.setRoots(ctx, nil, branchName, nil, nil, &to)
	}
	staged := root.Open(r.store, c.Root)
	return r.setRoots(ctx, nil, branchName, nil, &staged, &to)
}

// ResetHard moves the branch, its staged and its working set to the commit. Tables of the working set that neither the old head
// nor the staged set knows stay, as untracked files do in git.
func (r *Repo) ResetHard(ctx context.Context, branchName string, to history.CommitID) error {
	w, err := r.Fold(ctx, branchName)
	if err != nil {
		return err
	}
	c, err := history.GetCommit(ctx, r.store, to)
	if err != nil {
		return err
	}
	head, err := history.GetCommit(ctx, r.store, w.Head)
	if err != nil {
		return err
	}
	target := root.Open(r.store, c.Root)
	es, err := w.Working.List(ctx, root.KindTable)
	if err != nil {
		return err
	}
	var keep []root.Change
	for _, e := range es {
		known := false
		for _, x := range []*root.Root{root.Open(r.store, head.Root), w.Staged, target} {
			_, ok, err := x.Get(ctx, root.KindTable, e.Name)
			if err != nil {
				return err
			}
			known = known || ok
		}
		if !known {
			keep = append(keep, root.Change{Entry: e})
		}
	}
	batch := r.store.NewBatch()
	defer batch.Close()
	working, err := target.With(ctx, batch, keep...)
	if err != nil {
		return err
	}
	return r.setRoots(ctx, batch, branchName, &working, &target, &to)
}

// setRoots sets what is not nil of a branch's working root, staged root and head. A new working root drops all unfolded edits.
func (r *Repo) setRoots(ctx context.Context, batch *pack.Batch, name string, working, staged **root.Root, head *history.CommitID) error {
	s, err := func() (*state, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		cur, ok := r.tip.branches.Get(name)
		if !ok {
			return nil, r.errNoRef(name)
		}
		next := cur.copy(0)
		ch := &change{}
		if head != nil {
			next.head = *head
			ch.refs = append(ch.refs, refChange{name: name, head: *head})
		}
		if staged != nil {
			next.staged = (*staged).Tree()
		}
		var reset map[string]bool
		if working != nil {
			var err error
			if reset, err = r.changedTables(ctx, batch, cur, *working); err != nil {
				return nil, err
			}
			next.working = (*working).Tree()
		}
		ch.work = append(ch.work, workChange{branch: name, working: next.working, staged: next.staged, all: working != nil})
		return r.append(ctx, batch, ch, func(s *state) {
			next.lsn = s.lsn
			if working != nil {
				for l, wt := range next.tables {
					if wt.over.Len() > 0 {
						reset[l] = true
					}
				}
				for l := range reset {
					next.tables[l] = workTable{version: s.lsn}
				}
			}
			s.branches.Set(name, next)
		})
	}()
	if err != nil {
		return err
	}
	return r.publish(ctx, s)
}

// changedTables is the lower-case names of the tables whose entries differ between the branch's working root and the new one.
func (r *Repo) changedTables(ctx context.Context, batch *pack.Batch, cur *branch, to *root.Root) (map[string]bool, error) {
	out := map[string]bool{}
	if cur.working == to.Tree() {
		return out, nil
	}
	var rd chunk.Store = r.store.NewBatch()
	if batch != nil {
		rd = batch
	}
	err := tree.Diff(ctx, rd, root.Format(), cur.working, to.Tree(), nil, nil, func(c tree.Change) error {
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
