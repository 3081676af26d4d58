package repo

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
)

// LineageHas tells whether what a remote has of lineage, a commit, has been joined with what is here. The zero commit has nothing.
func (r *Repo) LineageHas(ctx context.Context, theirs history.CommitID) (bool, error) {
	b := r.published.Load().lineage
	switch {
	case theirs.IsZero():
		return true, nil
	case b == nil:
		return false, nil
	}
	if ok, err := r.store.Has(ctx, theirs); err != nil || !ok {
		return false, err
	}
	return history.IsAncestor(ctx, r.store, theirs, b.head)
}

// JoinLineage takes over what a remote has of lineage, a commit whose chunks are in the batch (nil: in the database), and gives the commit
// that has all that is known of runs here afterwards: theirs itself where nothing more is known, the zero commit where nothing at all is.
// What is taken over and read is in the database durably then.
func (r *Repo) JoinLineage(ctx context.Context, batch *pack.Batch, theirs history.CommitID) (history.CommitID, error) {
	if err := r.FlushReads(ctx); err != nil {
		return history.CommitID{}, err
	}
	// In this order, as commits of runs do.
	r.foldMu.Lock()
	defer r.foldMu.Unlock()
	r.lineage.mu.Lock()
	defer r.lineage.mu.Unlock()
	if batch == nil {
		batch = r.store.NewBatch()
		defer batch.Close()
	}
	j := &lineageJoin{r: r, batch: batch}
	if !theirs.IsZero() {
		var err error
		if j.theirs, err = history.GetCommit(ctx, batch, theirs); err != nil {
			return history.CommitID{}, err
		}
	}
	return j.run(ctx)
}

// lineageJoin is a join with the lineage of a remote. Who makes it holds foldMu and the lineage's lock.
type lineageJoin struct {
	r       *Repo
	batch   *pack.Batch
	theirs  *history.Commit // nil where the remote has nothing
	schemas schema.Cache
}

func (j *lineageJoin) run(ctx context.Context) (id history.CommitID, err error) {
	b := j.r.published.Load().lineage
	if b == nil && j.theirs == nil {
		return id, nil
	}
	if b == nil { // nothing is known here
		return j.theirs.ID, j.adopt(ctx, j.theirs)
	}
	ours, err := history.GetCommit(ctx, j.batch, b.head)
	if err != nil {
		return id, err
	}
	parents := []*history.Commit{ours}
	if j.theirs != nil {
		if parents, err = j.take(ctx, ours); err != nil {
			return id, err
		}
	}
	w, err := j.r.fold(ctx, lineageRef)
	if err != nil {
		return id, err
	}
	if len(parents) == 1 {
		news, err := j.news(ctx, parents[0].Root, w.Working.Tree())
		if err != nil {
			return id, err
		}
		if !news {
			if j.theirs == nil && parents[0].Message == lineageMessage && len(parents[0].Parents) == 0 { // the empty tables
				return id, nil
			}
			if parents[0].ID == ours.ID {
				return ours.ID, nil
			}
			return parents[0].ID, j.head(ctx, parents[0])
		}
	}
	c := &history.Commit{Root: w.Working.Tree(), Message: lineageMessage}
	for _, p := range parents {
		c.Parents = append(c.Parents, p.ID)
		c.Height = max(c.Height, p.Height+1)
		if at := p.Committer.Time.Add(time.Microsecond); c.Committer.Time.Before(at) {
			c.Author.Time, c.Committer.Time = at, at
		}
	}
	if _, err := c.Put(ctx, j.batch); err != nil {
		return id, err
	}
	return c.ID, j.head(ctx, c)
}

// adopt makes a commit the lineage of a database that has none.
func (j *lineageJoin) adopt(ctx context.Context, c *history.Commit) error {
	if _, err := j.changed(ctx, tree.Root{}, c.Root); err != nil { // for what of it cannot be read
		return err
	}
	return j.r.changeRefsWith(ctx, j.batch, func(s *state) (*change, func(*state), error) {
		if s.lineage != nil { // only those who hold the lineage's lock make it
			return nil, nil, errs.New(errs.Internal, "the lineage was made while another was to be taken over")
		}
		b := &branch{name: lineageRef, head: c.ID, working: c.Root, staged: c.Root}
		return b.change(), func(s *state) {
			b.lsn, b.born = s.lsn, s.lsn
			s.lineage = b
		}, nil
	})
}

// head makes a commit the one that lineageRef names; its working set stays.
func (j *lineageJoin) head(ctx context.Context, c *history.Commit) error {
	return j.r.changeRefsWith(ctx, j.batch, func(s *state) (*change, func(*state), error) {
		return &change{refs: []refChange{{name: lineageRef, head: c.ID}}}, func(s *state) {
			next := s.lineage.copy(s.lsn)
			next.head = c.ID
			s.lineage = next
		}, nil
	})
}

// take takes over what is new in theirs, and gives the commits that the common one comes after: of ours and theirs those that the other
// does not reach.
func (j *lineageJoin) take(ctx context.Context, ours *history.Commit) ([]*history.Commit, error) {
	base, err := history.MergeBase(ctx, j.batch, ours.ID, j.theirs.ID)
	if err != nil && !errs.Is(err, errs.NotFound) {
		return nil, err
	}
	if !base.IsZero() && base == j.theirs.ID {
		return []*history.Commit{ours}, nil
	}
	var was tree.Root
	if !base.IsZero() {
		c, err := history.GetCommit(ctx, j.batch, base)
		if err != nil {
			return nil, err
		}
		was = c.Root
	}
	uids, err := j.changed(ctx, was, j.theirs.Root)
	if err != nil {
		return nil, err
	}
	if err := j.write(ctx, uids, was); err != nil {
		return nil, err
	}
	if base == ours.ID {
		return []*history.Commit{j.theirs}, nil
	}
	return []*history.Commit{j.theirs, ours}, nil
}

// write joins runs of theirs with those here.
func (j *lineageJoin) write(ctx context.Context, uids []string, base tree.Root) error {
	if len(uids) == 0 {
		return nil
	}
	was, theirs := j.book(base), j.book(j.theirs.Root)
	return j.r.putRuns(ctx, func(w lineage.Sink) error {
		for _, uid := range uids {
			x, err := lineage.Join(ctx, was, lineage.Open(w, nil), theirs, uid)
			if err != nil {
				return err
			}
			if x.Run != nil {
				if err := lineage.PutRun(ctx, w, x.Run); err != nil {
					return err
				}
			}
			for _, in := range x.Inputs {
				if in.Seq, err = takeSeq(&j.r.lineage.nextIn, uid, in.Seq, func() (int64, error) { return j.r.Lineage().NextInput(ctx, uid) }); err != nil {
					return err
				}
				if err := lineage.PutInput(ctx, w, &in); err != nil {
					return err
				}
			}
			for _, out := range x.Outputs {
				if out.Seq, err = takeSeq(&j.r.lineage.nextOut, uid, out.Seq, func() (int64, error) { return j.r.Lineage().NextOutput(ctx, uid) }); err != nil {
					return err
				}
				if err := lineage.PutOutput(ctx, w, &out); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// news tells whether root has something of runs that the root theirs lacks.
func (j *lineageJoin) news(ctx context.Context, theirs, now tree.Root) (bool, error) {
	uids, err := j.changed(ctx, theirs, now)
	if err != nil {
		return false, err
	}
	for _, uid := range uids {
		x, err := lineage.Join(ctx, j.book(theirs), j.book(now), j.book(theirs), uid)
		if err != nil || x.News {
			return x.News, err
		}
	}
	return false, nil
}

// book reads the system tables of a root.
func (j *lineageJoin) book(t tree.Root) *lineage.Book {
	return lineage.Open(&lineageRoot{root.Open(j.batch, t), &j.schemas}, nil)
}

// lineageRoot is a root as a source of system tables.
type lineageRoot struct {
	root    *root.Root
	schemas *schema.Cache
}

// Table implements lineage.Source.
func (s *lineageRoot) Table(ctx context.Context, name string) (*table.View, string, bool, error) {
	e, ok, err := s.root.Get(ctx, root.KindTable, name)
	if err != nil || !ok {
		return nil, "", false, err
	}
	t, err := table.Open(ctx, s.root.Reader(), s.schemas, e.Table, e.Comments)
	if err != nil {
		return nil, "", false, err
	}
	return table.NewView(s.root.Reader(), t, nil), e.Name, true, nil
}

// changed is the ids of the runs of which two roots hold different rows, ascending. A root whose tables are not those of this
// program is an error of class TooNew.
func (j *lineageJoin) changed(ctx context.Context, a, b tree.Root) ([]string, error) {
	in := map[string]bool{}
	for _, name := range lineage.Tables() {
		c, err := schema.Compile(lineage.Schema(name))
		if err != nil {
			return nil, err
		}
		var trees [2]tree.Root
		for i, x := range []tree.Root{a, b} {
			v, _, ok, err := (&lineageRoot{root.Open(j.batch, x), &j.schemas}).Table(ctx, name)
			if err != nil {
				return nil, err
			}
			if !ok {
				continue
			}
			if v.Schema().Hash != c.Hash {
				return nil, errs.New(errs.TooNew, "the runs there are kept in a table %s of another form than this program's; use the newer stemma on both sides", name)
			}
			trees[i] = v.Table.Rows
		}
		cells := make([]value.Cell, len(c.Primary.Phys))
		err = tree.Diff(ctx, j.batch, c.Primary.Format, trees[0], trees[1], nil, nil, func(x tree.Change) error {
			leaf, at := x.B, x.BI
			if leaf == nil {
				leaf, at = x.A, x.AI
			}
			row, err := leaf.AppendRow(ctx, nil, at)
			if err == nil {
				err = value.DecodeTuple(row, c.Primary.Phys, cells)
			}
			if err != nil {
				return err
			}
			in[string(cells[c.Primary.Key[0]].Bytes())] = true
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return slices.Sorted(maps.Keys(in)), nil
}
