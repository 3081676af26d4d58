package repo

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/merge"
	"github.com/stemmadb/stemma/internal/root"
)

// BeginMerge does in the transaction what Repo.Merge does on the branch, when that leaves something to be resolved: others see it when the
// transaction commits, and not at all when it is rolled back. A merge that leaves nothing, which would move the branch, is not made: the
// result is nil. Errors are those of Repo.Merge.
func (t *Tx) BeginMerge(ctx context.Context, opt MergeOptions) (*Merged, error) {
	m, err := t.Merging(ctx)
	if err == nil {
		err = t.r.inMerge(ctx, m, t.root, errMerging())
	}
	if err != nil {
		return nil, err
	}
	if err := t.r.owned(); err != nil {
		return nil, err
	}
	p := &mergePlan{r: t.r, opt: &opt, batch: t.Store(), b: t.base, out: &Merged{Head: t.base.head}}
	if done, err := p.compute(ctx); err != nil || done || len(p.res.Tables) == 0 {
		return nil, err
	}
	if t.base.staged != p.head.Root {
		return nil, errStaged()
	}
	touched, err := p.touched(ctx)
	if err != nil {
		return nil, err
	}
	head := root.Open(t.Store(), p.head.Root)
	var stomped []string
	for _, l := range slices.Sorted(maps.Keys(touched)) {
		if _, _, ok, err := t.Table(ctx, l); err != nil {
			return nil, err
		} else if ok {
			if _, err := t.FoldTable(ctx, l); err != nil {
				return nil, err
			}
		}
		now, there, err := t.root.Get(ctx, root.KindTable, l)
		if err != nil {
			return nil, err
		}
		was, wasThere, err := head.Get(ctx, root.KindTable, l)
		if err != nil {
			return nil, err
		}
		if there != wasThere || there && (now.Table != was.Table || now.Name != was.Name) {
			stomped = append(stomped, l)
		}
	}
	if len(stomped) > 0 {
		return nil, errStomped(stomped)
	}
	before := t.root.Tree()
	changes, err := t.r.entryChanges(ctx, t.Store(), p.head.Root, p.res.Root.Tree())
	if err != nil {
		return nil, err
	}
	if err := t.replace(ctx, changes, touched); err != nil {
		return nil, err
	}
	p.staged = p.res.Root.Tree()
	m = &history.Merge{
		Kind: opt.Kind, Source: opt.Source, Theirs: opt.Theirs, Head: t.base.head, Working: before, Staged: t.base.staged,
		Author: opt.Author, Message: opt.Message, Tables: p.res.Tables,
	}
	if opt.Squash {
		m.Kind = history.SquashMerge
	}
	if err := p.unstage(ctx); err != nil {
		return nil, err
	}
	if err := t.SetMerging(ctx, m); err != nil {
		return nil, err
	}
	t.staged = &p.staged
	p.out.Merge = m
	return p.out, t.r.raiseAuto(ctx, t.Store(), t.root, slices.Sorted(maps.Keys(touched)))
}

// replace changes tables as a whole: touched are the lower-case names of all that count as changed.
func (t *Tx) replace(ctx context.Context, changes []root.Change, touched map[string]bool) error {
	nr, err := t.root.With(ctx, t.Store(), changes...)
	if err != nil {
		return err
	}
	t.root = root.Open(t.Store(), nr.Tree())
	if t.whole == nil {
		t.whole = map[string]bool{}
	}
	for l := range touched {
		t.whole[l] = true
		delete(t.tables, l)
	}
	return nil
}

// OwnMerge is the merge in progress when it was begun in this transaction; nil otherwise.
func (t *Tx) OwnMerge(ctx context.Context) (*history.Merge, error) {
	if t.merge == nil || !t.base.merge.IsZero() {
		return nil, nil
	}
	if m, err := t.Merging(ctx); err != nil || m.Merges() {
		return m, err
	}
	return nil, nil
}

// Staged is the staged set as the transaction sees it.
func (t *Tx) Staged() *root.Root {
	if t.staged != nil {
		return root.Open(t.reader(), *t.staged)
	}
	return root.Open(t.reader(), t.base.staged)
}

// AbortMerge is Repo.AbortMerge for a merge that was begun in this transaction; without one the error is of class Invalid.
func (t *Tx) AbortMerge(ctx context.Context) (*history.Merge, error) {
	m, err := t.OwnMerge(ctx)
	if err != nil {
		return nil, err
	}
	if m == nil {
		return nil, errs.New(errs.Invalid, "fatal: There is no merge to abort")
	}
	touched, err := t.r.touched(ctx, t.Store(), m)
	if err != nil {
		return nil, err
	}
	back, err := t.r.backTo(ctx, t.Store(), t.root.Tree(), m, touched)
	if err != nil {
		return nil, err
	}
	if err := t.replace(ctx, back, touched); err != nil {
		return nil, err
	}
	for _, l := range slices.Sorted(maps.Keys(t.tables)) { // rows that lose their parents are looked for in trees
		if x := t.tables[l]; x.editor != nil && x.editor.Dirty() {
			if _, err := t.FoldTable(ctx, x.name); err != nil {
				return nil, err
			}
		}
	}
	orphaned, err := merge.Orphaned(ctx, t.Store(), m.Working, t.root.Tree(), t.r.MergeOptions(t.Store()))
	if err != nil {
		return nil, err
	}
	if len(orphaned) > 0 {
		return nil, errOrphaned(orphaned)
	}
	t.merge, t.staged = nil, nil
	return m, nil
}

func errMerging() error {
	return errs.New(errs.Conflict, "merging is not possible because you have not committed an active merge")
}

// notMerging refuses what cannot be done while a branch has a merge in progress, with err, or rows that violate constraints.
func (r *Repo) notMerging(ctx context.Context, b *branch, err error) error {
	if b.merge.IsZero() {
		return nil
	}
	m, e := history.GetMerge(ctx, r.store, b.merge)
	if e != nil {
		return e
	}
	return r.inMerge(ctx, m, root.Open(r.store, b.working), err)
}

func (r *Repo) inMerge(ctx context.Context, m *history.Merge, working *root.Root, err error) error {
	switch {
	case m == nil:
		return nil
	case m.Merges():
		return err
	}
	return r.checkSettled(ctx, m, &Working{Working: working})
}

func errStaged() error {
	return errs.New(errs.Conflict, "cannot merge with uncommitted changes: tables are staged; commit or unstage them first")
}

func errStomped(tables []string) error {
	return errs.New(errs.Conflict, "local changes would be stomped by merge: %s; please commit your changes before you merge", strings.Join(tables, ", "))
}

func errOrphaned(tables []string) error {
	return errs.New(errs.Conflict, "cannot abort the merge: rows that were changed since in %s refer to rows that only the merge has; change them back first, or give up everything with reset --hard", strings.Join(tables, ", "))
}
