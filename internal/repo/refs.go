package repo

import (
	"context"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/table"
)

// Branch is a branch as it is published.
type Branch struct {
	Name string
	Head history.CommitID
}

// Branches is all branches, ordered by name.
func (r *Repo) Branches() []Branch {
	var out []Branch
	r.published.Load().branches.Scan(func(name string, b *branch) bool {
		out = append(out, Branch{Name: name, Head: b.head})
		return true
	})
	return out
}

// BranchHead is the commit that the branch names; ok is false when there is no such branch.
func (r *Repo) BranchHead(name string) (id history.CommitID, ok bool) {
	b, ok := r.published.Load().branches.Get(name)
	if !ok {
		return id, false
	}
	return b.head, true
}

// CheckedOut is the directory's checked-out branch: the one that the command line works on.
func (r *Repo) CheckedOut() string { return r.published.Load().head }

// CheckOut makes the branch the directory's checked-out one.
func (r *Repo) CheckOut(ctx context.Context, name string) error {
	return r.changeRefs(ctx, func(s *state) (*change, func(*state), error) {
		if _, ok := s.branches.Get(name); !ok {
			return nil, nil, r.errNoRef(name)
		}
		return &change{head: name}, func(s *state) { s.head = name }, nil
	})
}

// CreateBranch makes a branch at the commit with a clean working set. One of that name is an error of class Exists unless force
// is set, which moves it and drops its working set.
func (r *Repo) CreateBranch(ctx context.Context, name string, at history.CommitID, force bool) error {
	if err := history.CheckRefName(name); err != nil {
		return err
	}
	c, err := r.toName(ctx, at)
	if err != nil {
		return err
	}
	return r.changeRefs(ctx, func(s *state) (*change, func(*state), error) {
		if _, ok := s.branches.Get(name); ok && !force {
			return nil, nil, errs.New(errs.Exists, "a branch named '%s' already exists", name)
		}
		if err := s.checkRefPath(name, ""); err != nil {
			return nil, nil, err
		}
		b := &branch{name: name, head: at, working: c.Root, staged: c.Root}
		return b.change(), func(s *state) { b.lsn, b.born = s.lsn, s.lsn; s.branches.Set(name, b) }, nil
	})
}

// CopyBranch makes the branch to from the branch from, its working set included. A branch of that name is an error of class Exists
// unless force is set, which replaces it.
func (r *Repo) CopyBranch(ctx context.Context, from, to string, force bool) error {
	return r.copyBranch(ctx, from, to, force, false)
}

// RenameBranch gives the branch another name; when it is checked out it stays so. force is that of CopyBranch.
func (r *Repo) RenameBranch(ctx context.Context, from, to string, force bool) error {
	if from == to {
		return nil
	}
	return r.copyBranch(ctx, from, to, force, true)
}

// copyBranch copies or moves a branch in one record.
func (r *Repo) copyBranch(ctx context.Context, from, to string, force, move bool) error {
	if err := history.CheckRefName(to); err != nil {
		return err
	}
	// What is folded need not be in the record. Edits that come meanwhile are.
	if _, err := r.Fold(ctx, from); err != nil {
		return err
	}
	if from == to && force {
		return nil
	}
	return r.changeRefs(ctx, func(s *state) (*change, func(*state), error) {
		at := s
		if r.bucket != nil && !move { // of what is not in the bucket yet nobody knows whether it is going to be; what moves goes along with it
			at = r.published.Load()
		}
		src, ok := at.branches.Get(from)
		if !ok {
			return nil, nil, r.errNoRef(from)
		}
		if _, ok := s.branches.Get(to); ok && !force {
			return nil, nil, errs.New(errs.Exists, "a branch named '%s' already exists", to)
		}
		gone := ""
		if move {
			gone = from
		}
		if err := s.checkRefPath(to, gone); err != nil {
			return nil, nil, err
		}
		b := src.copy(0)
		b.name = to
		ch := b.change()
		var err error
		if ch.rows, err = r.overlayRows(ctx, to, src); err != nil {
			return nil, nil, err
		}
		if move {
			ch.refs = append(ch.refs, refChange{name: from})
			if s.head == from {
				ch.head = to
			}
		}
		return ch, func(s *state) {
			b.lsn, b.born = s.lsn, s.lsn
			s.branches.Set(to, b)
			r.lineage.written.copyBranch(src, b)
			if move {
				r.lineage.written.dropBranch(from)
				s.branches.Delete(from)
				if s.head == from {
					s.head = to
				}
			}
		}, nil
	})
}

// DeleteBranch removes a branch. One that is checked out, or the last one, is an error of class Invalid; one whose commits the branch into,
// "" being the one that is checked out, has not all is, too, unless force is set.
func (r *Repo) DeleteBranch(ctx context.Context, name, into string, force bool) error {
	head, _ := r.BranchHead(name)
	if err := r.CanDeleteBranch(ctx, name, into, force); err != nil {
		return err
	}
	return r.changeRefs(ctx, func(s *state) (*change, func(*state), error) {
		b, ok := s.branches.Get(name)
		switch {
		case !ok:
			return nil, nil, r.errNoRef(name)
		case s.head == name:
			return nil, nil, errCheckedOut(name)
		case s.branches.Len() == 1:
			return nil, nil, errs.New(errs.Invalid, "cannot delete branch '%s': it is the last one", name)
		case b.head != head && !force:
			return nil, nil, errs.New(errs.Conflict, "cannot delete branch '%s': it got a commit meanwhile", name)
		}
		return &change{refs: []refChange{{name: name}}}, func(s *state) { s.branches.Delete(name) }, nil
	})
}

// Reaches tells whether a commit is head or one of its ancestors. What it reads to find out is kept for later questions.
func (r *Repo) Reaches(ctx context.Context, head history.CommitID, c *history.Commit) (bool, error) {
	return r.ancestry.Reaches(ctx, r.store, head, c)
}

// CanDeleteBranch is the error that DeleteBranch would give now.
func (r *Repo) CanDeleteBranch(ctx context.Context, name, into string, force bool) error {
	head, ok := r.BranchHead(name)
	if !ok {
		return r.errNoRef(name)
	}
	if r.CheckedOut() == name {
		return errCheckedOut(name)
	}
	if force {
		return nil
	}
	c, err := history.GetCommit(ctx, r.store, head)
	if err != nil {
		return err
	}
	if into == "" {
		into = r.CheckedOut()
	}
	if tip, ok := r.BranchHead(into); ok && into != name {
		if ok, err := r.Reaches(ctx, tip, c); err != nil || ok {
			return err
		}
	}
	return errs.New(errs.Invalid, "the branch '%s' is not fully merged; to delete it anyway use 'branch -D %s'", name, name)
}

func errCheckedOut(name string) error {
	return errs.New(errs.Invalid, "cannot delete branch '%s': it is checked out", name)
}

// change is the journal's form of the whole branch without its unfolded edits.
func (b *branch) change() *change {
	return &change{
		refs: []refChange{{name: b.name, head: b.head}},
		work: []workChange{{branch: b.name, working: b.working, staged: b.staged, all: true, merge: b.merge, rebase: b.rebase}},
	}
}

// checkRefPath refuses names of which one would be the directory of another: a and a/b. The branch gone, if any, does not count.
func (s *state) checkRefPath(name, gone string) error {
	var err error
	s.branches.Scan(func(other string, _ *branch) bool {
		if other == gone {
			return true
		}
		if strings.HasPrefix(other, name+"/") || strings.HasPrefix(name, other+"/") {
			err = errs.New(errs.Exists, "cannot make branch '%s': the branch '%s' stands in its way", name, other)
		}
		return err == nil
	})
	return err
}

// Tag is a tag as it is published.
type Tag struct {
	Name string
	history.Tag
}

// Tags is all tags, ordered by name.
func (r *Repo) Tags(ctx context.Context) ([]Tag, error) {
	s := r.published.Load()
	var out []Tag
	for _, name := range s.tags.Keys() {
		h, _ := s.tags.Get(name)
		t, err := history.GetTag(ctx, r.store, h)
		if err != nil {
			return nil, err
		}
		out = append(out, Tag{Name: name, Tag: *t})
	}
	return out, nil
}

// TagNamed is the tag of that name; ok is false when there is none.
func (r *Repo) TagNamed(ctx context.Context, name string) (t Tag, ok bool, err error) {
	h, ok := r.published.Load().tags.Get(name)
	if !ok {
		return t, false, nil
	}
	x, err := history.GetTag(ctx, r.store, h)
	if err != nil {
		return t, false, err
	}
	return Tag{Name: name, Tag: *x}, true, nil
}

// CreateTag makes a tag. One of that name is an error of class Exists unless force is set, which replaces it.
func (r *Repo) CreateTag(ctx context.Context, name string, t history.Tag, force bool) error {
	if err := history.CheckRefName(name); err != nil {
		return err
	}
	if t.Tagger.Time.IsZero() {
		t.Tagger.Time = r.opt.Clock.Now()
	}
	if _, err := r.toName(ctx, t.Commit); err != nil {
		return err
	}
	batch := r.store.NewBatch()
	defer batch.Close()
	h, err := t.Put(ctx, batch)
	if err != nil {
		return err
	}
	return r.changeRefsWith(ctx, batch, func(s *state) (*change, func(*state), error) {
		if _, ok := s.tags.Get(name); ok && !force {
			return nil, nil, errs.New(errs.Exists, "a tag named '%s' already exists", name)
		}
		return &change{tags: []tagChange{{name: name, object: h, commit: t.Commit}}}, func(s *state) { s.setTag(name, h) }, nil
	})
}

// DeleteTag removes a tag.
func (r *Repo) DeleteTag(ctx context.Context, name string) error {
	return r.changeRefs(ctx, func(s *state) (*change, func(*state), error) {
		if _, ok := s.tags.Get(name); !ok {
			return nil, nil, r.errNoRef(name)
		}
		return &change{tags: []tagChange{{name: name}}}, func(s *state) { s.setTag(name, hash.Hash{}) }, nil
	})
}

func (r *Repo) changeRefs(ctx context.Context, plan func(*state) (*change, func(*state), error)) error {
	return r.changeRefsWith(ctx, nil, plan)
}

// changeRefsWith makes a change that plan derives from the newest state, under the commit lock.
func (r *Repo) changeRefsWith(ctx context.Context, batch *pack.Batch, plan func(*state) (*change, func(*state), error)) error {
	for try := 1; ; try++ {
		s, err := func() (*state, error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			ch, apply, err := plan(r.tip.Load())
			if err != nil {
				return nil, err
			}
			return r.append(ctx, batch, ch, apply)
		}()
		if err == nil {
			err = r.publish(ctx, s)
		}
		if !overtakenBy(err) || try == overtakenMost || ctx.Err() != nil {
			return err
		}
	}
}

// Snapshot is the database at one moment, for reading: a commit, or a branch's working set.
type Snapshot struct {
	r      *Repo
	Root   *root.Root
	Commit history.CommitID // the commit, or the head below the working set
	tables workTables
	merge  hash.Hash
	rebase hash.Hash
}

// SnapshotAt is the database as of a commit.
func (r *Repo) SnapshotAt(ctx context.Context, id history.CommitID) (*Snapshot, error) {
	c, err := history.GetCommit(ctx, r.store, id)
	if err != nil {
		return nil, err
	}
	return &Snapshot{r: r, Root: root.Open(r.store, c.Root), Commit: id}, nil
}

// SnapshotRoot is the database with that content.
func (r *Repo) SnapshotRoot(rt *root.Root) *Snapshot { return &Snapshot{r: r, Root: rt} }

// SnapshotWorking is the published working set of a branch.
func (r *Repo) SnapshotWorking(branchName string) (*Snapshot, error) {
	b, ok := r.published.Load().branches.Get(branchName)
	if !ok {
		return nil, r.errNoRef(branchName)
	}
	return &Snapshot{r: r, Root: root.Open(r.store, b.working), Commit: b.head, tables: b.tables, merge: b.merge, rebase: b.rebase}, nil
}

// SnapshotStaged is the staged set of a branch.
func (r *Repo) SnapshotStaged(branchName string) (*Snapshot, error) {
	b, ok := r.published.Load().branches.Get(branchName)
	if !ok {
		return nil, r.errNoRef(branchName)
	}
	return &Snapshot{r: r, Root: root.Open(r.store, b.staged), Commit: b.head}, nil
}

// Table is the view of the table and its name as written; ok is false when there is none.
func (s *Snapshot) Table(ctx context.Context, name string) (v *table.View, written string, ok bool, err error) {
	e, ok, err := s.Root.Get(ctx, root.KindTable, name)
	if err != nil || !ok {
		return nil, "", false, err
	}
	// A root that was folded in memory has chunks that the store has not.
	rd := s.Root.Reader()
	var t *table.Table
	if rd == chunk.Reader(s.r.store) {
		t, err = s.r.openTable(ctx, e)
	} else {
		t, err = table.Open(ctx, rd, &s.r.schemas, e.Table, e.Comments)
	}
	if err != nil {
		return nil, "", false, err
	}
	return table.NewView(s.r.TableReader(rd, e.Name), t, s.tables.get(strings.ToLower(name)).over).WithZones(s.r.zones), e.Name, true, nil
}

// TableNames is the names of the tables, in the order of their lower-case forms.
func (s *Snapshot) TableNames(ctx context.Context) ([]string, error) {
	es, err := s.Root.List(ctx, root.KindTable)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(es))
	for i, e := range es {
		names[i] = e.Name
	}
	return names, nil
}

// Edited is the lower-case names of the tables that may have edits above their trees.
func (s *Snapshot) Edited() []string { return edited(s.tables) }

// edited is the names of the tables that have unfolded edits, sorted.
func edited(tables workTables) []string {
	var out []string
	for _, t := range tables {
		if t.over.Len() > 0 {
			out = append(out, t.name)
		}
	}
	return out
}

// errNoRef is the error for an unknown branch, with the nearest names; of a part it says where there may be one.
func (r *Repo) errNoRef(name string) error {
	s := r.published.Load()
	names := slices.Concat(s.branches.Keys(), s.tags.Keys(), s.tracks.Keys())
	if near := errs.Nearest(name, names); len(near) > 0 {
		return errs.WithMeant(errs.New(errs.NotFound, "branch or ref not found: %s%s", name, r.mayBeThere()), near)
	}
	return errs.New(errs.NotFound, "branch or ref not found: %s%s", name, r.mayBeThere())
}
