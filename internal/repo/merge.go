package repo

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/merge"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
)

// MergeOptions say what is merged into a branch, and how.
type MergeOptions struct {
	Branch string
	Kind   history.MergeKind // MergeBranch, CherryPick or Revert
	Source string            // what the user called Theirs
	Theirs history.CommitID  // the commit that is merged, picked or reverted
	Parent int               // of CherryPick and Revert: which parent of Theirs counts, from 1; 0 is the only one

	NoFF       bool // make a commit even where the branch could be moved forward
	FFOnly     bool // move the branch forward or fail
	Squash     bool // leave the result staged, without theirs as a parent
	NoCommit   bool // leave the result staged; the next commit ends the merge
	NoJSON     bool // see merge.Options
	AllowEmpty bool // of CherryPick and Revert: make a commit that changes nothing
	Amend      bool // of CherryPick: the commit replaces the head

	NoConflicts  bool // with conflicts, fail with ErrUnresolved and change nothing
	NoViolations bool // with rows that violate constraints, fail with ErrViolated and change nothing

	// Rebase, when not nil, tells what the rebase in progress, which is to stand at RebaseFrom, is after it, conflicts or not.
	Rebase     func(conflicts bool) *history.Rebase
	RebaseFrom *RebasePoint

	Message   string
	Meta      string
	Author    history.Signature
	Committer history.Signature // as CommitOptions.Committer
}

// Merged is what a merge did.
type Merged struct {
	Head        history.CommitID // of the branch before
	Commit      history.CommitID // the new head; zero when there is none
	UpToDate    bool             // the branch has theirs already
	FastForward bool
	Merge       *history.Merge // what is in progress now; nil for nothing
	Rebase      *RebasePoint   // with MergeOptions.Rebase: where the rebase stands now
	Tries       int            // one more than it began anew because others went before
	Unseen      []merge.Unseen // foreign keys that were not looked at, since the database is a part
}

// Unresolved tells whether conflicts or violations are left.
func (m *Merged) Unresolved() bool { return m.Merge != nil && len(m.Merge.Unsettled()) > 0 }

// Merging is the merge in progress of a branch; nil for none.
func (r *Repo) Merging(ctx context.Context, branchName string) (*history.Merge, error) {
	m, _, err := r.merging(ctx, branchName)
	return m, err
}

func (r *Repo) merging(ctx context.Context, branchName string) (*history.Merge, hash.Hash, error) {
	b, ok := r.published.Load().branches.Get(branchName)
	if !ok {
		return nil, hash.Hash{}, r.errNoRef(branchName)
	}
	if b.merge.IsZero() {
		return nil, hash.Hash{}, nil
	}
	m, err := history.GetMerge(ctx, r.store, b.merge)
	return m, b.merge, err
}

// ErrUnresolved is the error of a merge that was not kept because of its conflicts, ErrViolated of one whose rows violate constraints; their
// class is Conflict.
var (
	ErrUnresolved = errs.New(errs.Conflict, "the merge has conflicts")
	ErrViolated   = errs.New(errs.Conflict, "the merge violates constraints")
)

// Merge merges a commit into a branch's head and working set. Tables of the working set with uncommitted changes stay as they are
// when the merge does not touch them; when it does, or when something is staged, the error is of class Conflict. Commits that change the
// branch meanwhile go before it a few times, then they wait.
func (r *Repo) Merge(ctx context.Context, opt MergeOptions) (*Merged, error) {
	for try, lost := 0, 0; ; {
		out, s, err := r.tryMerge(ctx, &opt, try >= overtaken)
		if err != nil && opt.Rebase != nil {
			return nil, r.orMoved(opt.Branch, err)
		}
		if err != nil {
			return nil, err
		}
		if out != nil {
			out.Tries = try + lost + 1
		}
		if s != nil {
			err := r.publish(ctx, s)
			if !overtakenBy(err) || lost == overtakenMost || ctx.Err() != nil {
				return out, err
			}
			lost++ // another machine was faster
			continue
		}
		if out != nil {
			return out, nil
		}
		try++
		r.settleKept()
	}
}

// tryMerge is one attempt of Merge; both results are nil when it must begin anew. With alone others wait for it.
func (r *Repo) tryMerge(ctx context.Context, opt *MergeOptions, alone bool) (*Merged, *state, error) {
	if alone {
		r.gate.Lock()
		defer r.gate.Unlock()
		r.settleKept()
	}
	if _, err := r.Fold(ctx, opt.Branch); err != nil {
		return nil, nil, err
	}
	b, ok := r.published.Load().branches.Get(opt.Branch)
	if !ok {
		return nil, nil, r.errNoRef(opt.Branch)
	}
	if opt.Rebase != nil {
		if err := opt.RebaseFrom.check(b); err != nil {
			return nil, nil, err
		}
	}
	if err := r.notMerging(ctx, b, errMerging()); err != nil {
		return nil, nil, err
	}
	batch := r.store.NewBatch()
	defer batch.Close()
	p := &mergePlan{r: r, opt: opt, batch: batch, b: b, out: &Merged{Head: b.head}}
	done, err := p.compute(ctx)
	if err != nil {
		return nil, nil, err
	}
	if done {
		return p.out, nil, nil
	}
	p.out.Unseen = p.res.Unseen
	again, err := p.place(ctx)
	if err != nil || again {
		return nil, nil, err
	}
	switch {
	case opt.NoConflicts && slices.ContainsFunc(p.res.Tables, func(t history.MergeTable) bool { return t.Schema != "" || !t.Conflicts.IsEmpty() }):
		return nil, nil, ErrUnresolved
	case opt.NoViolations && slices.ContainsFunc(p.res.Tables, func(t history.MergeTable) bool { return !t.Violations.IsEmpty() }):
		return nil, nil, ErrViolated
	}
	if err := p.conclude(ctx); err != nil {
		return nil, nil, err
	}
	if !alone {
		r.gate.RLock()
		defer r.gate.RUnlock()
	}
	s, err := p.append(ctx)
	if err != nil || s == nil {
		return nil, nil, err
	}
	return p.out, s, nil
}

// mergePlan is one attempt of a merge.
type mergePlan struct {
	r     *Repo
	opt   *MergeOptions
	batch *pack.Batch
	b     *branch // as it was
	out   *Merged

	head, theirs    *history.Commit
	res             *merge.Result
	working, staged tree.Root
	whole           []string // tables of the working set that change
	next            branch   // head and merge only
	noted           commitNotes
}

// compute merges the roots. done means that there is nothing to do.
func (p *mergePlan) compute(ctx context.Context) (done bool, err error) {
	if p.head, err = history.GetCommit(ctx, p.r.store, p.b.head); err != nil {
		return false, err
	}
	if p.theirs, err = p.r.toName(ctx, p.opt.Theirs); err != nil {
		return false, err
	}
	opt := p.r.MergeOptions(p.batch)
	opt.NoJSON = p.opt.NoJSON
	if p.opt.Kind != history.MergeBranch {
		from, to, err := p.picked(ctx)
		if err != nil {
			return false, err
		}
		p.res, err = merge.Roots(ctx, p.batch, from, p.head.Root, to, opt)
		return false, err
	}
	base, err := history.MergeBase(ctx, p.r.store, p.b.head, p.opt.Theirs)
	switch {
	case err != nil:
		return false, err
	case base.IsZero() && p.r.Shallow():
		return false, errs.New(errs.Invalid, "cannot merge '%s': what it has in common with '%s' is not known here, since the database has not got its older history: bring that with 'fetch --unshallow'", p.opt.Source, p.opt.Branch)
	case base.IsZero():
		return false, errs.New(errs.Invalid, "cannot merge '%s': it has no common ancestor with '%s'", p.opt.Source, p.opt.Branch)
	case base == p.opt.Theirs:
		p.out.UpToDate = true
		return true, nil
	case base == p.b.head:
		p.out.FastForward = !p.opt.NoFF
		p.res = &merge.Result{Root: root.Open(p.batch, p.theirs.Root)}
		return false, nil
	case p.opt.FFOnly:
		return false, errs.New(errs.Conflict, "fatal: Not possible to fast-forward, aborting")
	}
	c, err := history.GetCommit(ctx, p.r.store, base)
	if err != nil {
		return false, err
	}
	p.res, err = merge.Roots(ctx, p.batch, c.Root, p.head.Root, p.theirs.Root, opt)
	return false, err
}

// MergeOptions are the options of a merge of roots of the database, whose chunks rd serves.
func (r *Repo) MergeOptions(rd chunk.Reader) merge.Options {
	return merge.Options{FS: r.fs, TempDir: r.TempDir(), Expressions: r.opt.Expressions, Children: func(ctx context.Context, rt *root.Root) (map[string][]string, error) {
		return r.referrers.of(ctx, rt, func(e root.Entry) (*table.Table, error) {
			return table.Open(ctx, rd, &r.schemas, e.Table, e.Comments)
		})
	}}
}

// picked is the change that a picked or reverted commit made, as base and other side of a merge.
func (p *mergePlan) picked(ctx context.Context) (from, to tree.Root, err error) {
	n := p.opt.Parent
	switch {
	case len(p.theirs.Parents) == 0:
		return from, to, errs.New(errs.Invalid, "cannot %s commit %s: it is the first one", p.opt.Kind, p.theirs.ID)
	case n == 0 && len(p.theirs.Parents) > 1:
		return from, to, errs.New(errs.Unsupported, "cannot %s commit %s: it is a merge, which has several parents; name one with --mainline", p.opt.Kind, p.theirs.ID)
	case n > len(p.theirs.Parents):
		return from, to, errs.New(errs.Invalid, "commit %s has no parent %d", p.theirs.ID, n)
	case n == 0:
		n = 1
	}
	c, err := history.GetCommit(ctx, p.r.store, p.theirs.Parents[n-1])
	if err != nil {
		return from, to, err
	}
	from, to = c.Root, p.theirs.Root
	if p.opt.Kind == history.Revert {
		from, to = to, from
	}
	return from, to, nil
}

// place brings the merged tables beside uncommitted ones into the working set. again means that rows of a table that the merge
// changes were edited meanwhile.
func (p *mergePlan) place(ctx context.Context) (again bool, err error) {
	if p.b.staged != p.head.Root {
		return false, errStaged()
	}
	touched, err := p.touched(ctx)
	if err != nil {
		return false, err
	}
	dirty, err := p.r.changedTables(ctx, p.batch, p.head.Root, p.b.working)
	if err != nil {
		return false, err
	}
	var stomped []string
	for l := range touched {
		if dirty[l] {
			stomped = append(stomped, l)
		} else if p.b.tables.get(l).over.Len() > 0 {
			return true, nil
		}
	}
	if len(stomped) > 0 {
		slices.Sort(stomped)
		return false, errStomped(stomped)
	}
	changes, err := p.r.entryChanges(ctx, p.batch, p.head.Root, p.res.Root.Tree())
	if err != nil {
		return false, err
	}
	w, err := root.Open(p.batch, p.b.working).With(ctx, p.batch, changes...)
	if err != nil {
		return false, err
	}
	p.working, p.staged = w.Tree(), p.res.Root.Tree()
	p.whole = slices.Sorted(maps.Keys(touched))
	return false, p.r.raiseAuto(ctx, p.batch, w, p.whole)
}

// touched are the lower-case names of the tables that the merge changes, or lists.
func (p *mergePlan) touched(ctx context.Context) (map[string]bool, error) {
	out, err := p.r.changedTables(ctx, p.batch, p.head.Root, p.res.Root.Tree())
	if err != nil {
		return nil, err
	}
	for i := range p.res.Tables {
		out[strings.ToLower(p.res.Tables[i].Name)] = true
	}
	return out, nil
}

// conclude decides what the branch becomes: moved forward, with a commit, or with a merge in progress.
func (p *mergePlan) conclude(ctx context.Context) error {
	opt := p.opt
	p.next.head = p.b.head
	switch {
	case p.out.FastForward && !opt.Squash:
		p.next.head = opt.Theirs
		p.out.Commit = opt.Theirs
		return nil
	case len(p.res.Tables) == 0 && opt.Squash:
		return nil
	case len(p.res.Tables) == 0 && !opt.NoCommit:
		c, err := p.commit(ctx)
		if err != nil {
			return err
		}
		p.next.head, p.out.Commit = c.ID, c.ID
		return nil
	case len(p.res.Tables) == 0 && opt.Kind != history.MergeBranch:
		return nil // staged; the commit to come is one like any other
	}
	m := &history.Merge{
		Kind: opt.Kind, Source: opt.Source, Theirs: opt.Theirs, Head: p.b.head, Working: p.b.working, Staged: p.b.staged,
		Author: opt.Author, Message: opt.Message, Tables: p.res.Tables,
	}
	if opt.Squash {
		m.Kind = history.SquashMerge
	}
	if err := p.unstage(ctx); err != nil {
		return err
	}
	p.out.Merge = m
	var err error
	p.next.merge, err = m.Put(ctx, p.batch)
	return err
}

// unstage leaves tables with something to be resolved out of the staged set, which has the head's state of them.
func (p *mergePlan) unstage(ctx context.Context) error {
	head := root.Open(p.batch, p.head.Root)
	var changes []root.Change
	for i := range p.res.Tables {
		e, ok, err := head.Get(ctx, root.KindTable, p.res.Tables[i].Name)
		if err != nil {
			return err
		}
		if !ok {
			e = root.Entry{Kind: root.KindTable, Name: p.res.Tables[i].Name}
		}
		changes = append(changes, root.Change{Entry: e, Drop: !ok})
	}
	st, err := root.Open(p.batch, p.staged).With(ctx, p.batch, changes...)
	if err != nil {
		return err
	}
	p.staged = st.Tree()
	return nil
}

// commit makes the commit of a merge without conflicts.
func (p *mergePlan) commit(ctx context.Context) (*history.Commit, error) {
	opt := p.opt
	if p.staged == p.head.Root && opt.Kind != history.MergeBranch && !opt.AllowEmpty && !opt.Amend {
		return nil, errs.New(errs.NothingToDo, "nothing to commit: the changes of %s are there already", opt.Source)
	}
	c := &history.Commit{Root: p.staged, Parents: []history.CommitID{p.b.head}, Height: p.head.Height + 1, Author: opt.Author, Committer: opt.Committer, Message: opt.Message, Meta: opt.Meta}
	if opt.Kind == history.MergeBranch {
		c.Parents, c.Height = append(c.Parents, opt.Theirs), max(c.Height, p.theirs.Height+1)
	}
	if opt.Amend {
		c.Parents, c.Height = p.head.Parents, p.head.Height
	}
	if c.Committer.Name == "" && c.Committer.Email == "" {
		c.Committer.Name, c.Committer.Email = c.Author.Name, c.Author.Email
	}
	var err error
	if c.Committer.Time, err = p.r.commitTime(ctx, c.Committer.Time, c.Parents); err != nil {
		return nil, err
	}
	if c.Author.Time.IsZero() {
		c.Author.Time = c.Committer.Time
	}
	if _, err = c.Put(ctx, p.batch); err != nil {
		return nil, err
	}
	var from history.CommitID // the commit that this one is made after
	if opt.Kind == history.CherryPick {
		from = opt.Theirs
	}
	p.noted, err = p.r.noteOutputs(ctx, p.batch, p.b, p.working, c, from, nil)
	// The working root lacks what is edited above it.
	p.noted.told = slices.DeleteFunc(p.noted.told, func(x toldWrites) bool { return p.b.tables.get(x.table).over.Len() > 0 })
	return c, err
}

// append makes the change last; the state is nil when the branch has changed meanwhile.
func (p *mergePlan) append(ctx context.Context) (*state, error) {
	r := p.r
	r.mu.Lock()
	defer r.mu.Unlock()
	cur, ok := r.tip.Load().branches.Get(p.opt.Branch)
	if !ok {
		return nil, r.errNoRef(p.opt.Branch)
	}
	if cur.born != p.b.born || cur.head != p.b.head || cur.staged != p.b.staged || cur.merge != p.b.merge || cur.rebase != p.b.rebase {
		return nil, nil
	}
	for _, l := range p.whole {
		if cur.tables.get(l) != p.b.tables.get(l) {
			return nil, nil
		}
	}
	next := cur.copy(0)
	next.working = p.working
	if cur.working != p.b.working { // others changed other tables, or folded them
		changes, err := r.entryChanges(ctx, p.batch, p.b.working, p.working)
		if err != nil {
			return nil, err
		}
		w, err := root.Open(p.batch, cur.working).With(ctx, p.batch, changes...)
		if err != nil {
			return nil, err
		}
		next.working = w.Tree()
	}
	next.head, next.staged, next.merge = p.next.head, p.staged, p.next.merge
	if p.opt.Rebase != nil {
		x := p.opt.Rebase(p.out.Merge != nil)
		var err error
		if next.rebase, err = x.Put(ctx, p.batch); err != nil {
			return nil, err
		}
		p.out.Rebase = rebasePoint(x, next)
	}
	ch := &change{}
	if next.head != cur.head {
		ch.refs = []refChange{{name: next.name, head: next.head}}
	}
	join, err := r.joinLineage(ctx, p.batch, ch, p.noted)
	if err != nil {
		return nil, err
	}
	return r.setBranchAnd(ctx, p.batch, next, ch, p.whole, join)
}

// entryChanges is what makes one root of another.
func (r *Repo) entryChanges(ctx context.Context, rd chunk.Reader, from, to tree.Root) ([]root.Change, error) {
	var out []root.Change
	err := tree.Diff(ctx, rd, root.Format(), from, to, nil, nil, func(c tree.Change) error {
		leaf, i := c.B, c.BI
		if leaf == nil {
			leaf, i = c.A, c.AI
		}
		v, err := leaf.AppendRow(ctx, nil, i)
		if err != nil {
			return err
		}
		e, err := root.DecodeEntry(c.AppendKey(nil), v)
		out = append(out, root.Change{Entry: e, Drop: c.B == nil})
		return err
	})
	return out, err
}

// checkSettled refuses to commit while conflicts or violations are left.
func (r *Repo) checkSettled(ctx context.Context, m *history.Merge, w *Working) error {
	var conflicts, violations []string
	for i := range m.Tables {
		t := &m.Tables[i]
		if t.Schema != "" || !t.Conflicts.IsEmpty() {
			conflicts = append(conflicts, t.Name)
		}
		if t.Violations.IsEmpty() {
			continue
		}
		v, _, ok, err := (&Snapshot{r: r, Root: w.Working}).Table(ctx, t.Name)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		n, err := CountViolations(ctx, v, t)
		if err != nil {
			return err
		}
		if n > 0 {
			violations = append(violations, t.Name)
		}
	}
	if len(conflicts) > 0 {
		return errs.New(errs.Conflict, "the table(s) %s have unresolved conflicts from the merge; resolve them before committing", strings.Join(conflicts, ", "))
	}
	if len(violations) > 0 {
		return errs.New(errs.Conflict, "the table(s) %s have constraint violations; fix the rows and delete them from dolt_constraint_violations_<table> before committing", strings.Join(violations, ", "))
	}
	return nil
}

// Violation is a row that violates a constraint through a merge.
type Violation struct {
	Key  []byte // in history.MergeTable.Violations
	Kind history.ViolationKind
	Name string // of the index or column
	Row  []byte // key of the row
	Info []byte // JSON object
}

// EachViolation calls fn for the violations of a table whose rows are still there; v is the table as the working set has it, and cells
// are those of the row, good during the call.
func EachViolation(ctx context.Context, v *table.View, t *history.MergeTable, fn func(x Violation, cells []value.Cell) error) error {
	cells := make([]value.Cell, len(v.Schema().Primary.Phys))
	return EachArtifact(ctx, v.Reader(), t.Violations, func(key, info []byte) error {
		kind, name, rowKey, err := history.SplitViolationKey(key)
		if err != nil {
			return err
		}
		found, err := v.Get(ctx, rowKey, cells)
		if err != nil || !found {
			return err
		}
		return fn(Violation{Key: key, Kind: kind, Name: name, Row: rowKey, Info: info}, cells)
	})
}

// CountViolations is the number of violations of rows that are still there.
func CountViolations(ctx context.Context, v *table.View, t *history.MergeTable) (n uint64, err error) {
	err = EachViolation(ctx, v, t, func(Violation, []value.Cell) error { n++; return nil })
	return n, err
}

// EachArtifact calls fn for the entries of a tree of conflicts or violations, in memory that stays.
func EachArtifact(ctx context.Context, rd chunk.Reader, t tree.Root, fn func(key, payload []byte) error) error {
	c := tree.New(rd, history.ArtifactFormat(), t).Cursor()
	if err := c.First(ctx); err != nil {
		return err
	}
	for c.Valid() {
		v, err := c.Row(ctx, nil)
		if err != nil {
			return err
		}
		if err := fn(c.Key(nil), v); err != nil {
			return err
		}
		if err := c.Next(ctx); err != nil {
			return err
		}
	}
	return nil
}
