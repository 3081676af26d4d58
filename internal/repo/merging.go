package repo

import (
	"context"
	"errors"
	"strings"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/merge"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
)

// Merging is the merge in progress as the transaction sees it; nil for none.
func (t *Tx) Merging(ctx context.Context) (*history.Merge, error) {
	h := t.base.merge
	if t.merge != nil {
		h = *t.merge
	}
	if h.IsZero() {
		return nil, nil
	}
	return history.GetMerge(ctx, t.reader(), h)
}

// reader serves the transaction's chunks.
func (t *Tx) reader() chunk.Reader {
	if t.batch != nil {
		return t.batch
	}
	return t.r.store
}

// SetMerging changes what is left of the merge in progress. m must come from Merging. A verification of which nothing is left ends.
func (t *Tx) SetMerging(ctx context.Context, m *history.Merge) error {
	if err := t.r.owned(); err != nil {
		return err
	}
	if !m.Merges() && len(m.Tables) == 0 {
		t.merge = &hash.Hash{}
		return nil
	}
	h, err := m.Put(ctx, t.Store())
	if err != nil {
		return err
	}
	t.merge = &h
	return nil
}

// Side is the table of one side of a merge; nil when the side has none.
func (t *Tx) Side(ctx context.Context, e root.Entry) (*table.View, error) {
	return t.r.side(ctx, t.reader(), e)
}

// Side is the table of one side of a merge; nil when the side has none.
func (s *Snapshot) Side(ctx context.Context, e root.Entry) (*table.View, error) {
	return s.r.side(ctx, s.Root.Reader(), e)
}

func (r *Repo) side(ctx context.Context, rd chunk.Reader, e root.Entry) (*table.View, error) {
	if e.Kind != root.KindTable {
		return nil, nil
	}
	t, err := table.Open(ctx, rd, &r.schemas, e.Table, e.Comments)
	if err != nil {
		return nil, err
	}
	return table.NewView(rd, t, nil), nil
}

// Merging is the merge in progress of the working set; nil for none, and in commits.
func (s *Snapshot) Merging(ctx context.Context) (*history.Merge, error) {
	if s.merge.IsZero() {
		return nil, nil
	}
	return history.GetMerge(ctx, s.r.store, s.merge)
}

// DropArtifacts takes keys out of a tree of conflicts or violations. Keys that it lacks are passed over.
func DropArtifacts(ctx context.Context, st chunk.Store, from tree.Root, keys [][]byte) (tree.Root, error) {
	edits := make(tree.Edits, len(keys))
	for i, k := range keys {
		edits[i] = tree.Edit{Key: k}
	}
	return tree.Apply(ctx, st, history.ArtifactFormat(), from, &edits)
}

// ResolveConflicts settles the conflicts of tables of the merge in progress, all of them when names is nil: ours keeps the rows and
// schemas of the working set, theirs takes those of the other side. A table that is not part of the merge is an error of class
// NotFound; rows of theirs that do not fit the table are one of the class of what they violate.
func (r *Repo) ResolveConflicts(ctx context.Context, branchName string, names []string, theirs bool) error {
	t, err := r.Begin(ctx, branchName)
	if err != nil {
		return err
	}
	defer t.Rollback()
	if err := t.ResolveConflicts(ctx, names, theirs); err != nil {
		return err
	}
	return t.Commit(ctx)
}

// ResolveConflicts is Repo.ResolveConflicts within a transaction.
func (t *Tx) ResolveConflicts(ctx context.Context, names []string, theirs bool) error {
	m, err := t.Merging(ctx)
	if err != nil {
		return err
	}
	if m == nil && names == nil {
		return errs.New(errs.NothingToDo, "there is no merge in progress, and so there are no conflicts to resolve")
	}
	if m == nil {
		m = &history.Merge{}
	}
	if names == nil {
		for i := range m.Tables {
			names = append(names, m.Tables[i].Name)
		}
	}
	for _, n := range names {
		at := m.Table(n)
		if at < 0 {
			if _, _, ok, err := t.Table(ctx, n); err != nil || !ok {
				return errors.Join(err, errNoTable(n))
			}
			continue
		}
		x := m.Tables[at]
		if theirs {
			linked, err := t.foldLinked(ctx, x.Name)
			if err != nil {
				return err
			}
			before := t.root.Tree()
			if err := t.takeTheirs(ctx, &x); err != nil {
				return errs.New(errs.CodeOf(err), "resolve conflicts of table %s: %w", x.Name, err)
			}
			if linked {
				if _, err := t.foldLinked(ctx, x.Name); err != nil {
					return err
				}
				orphaned, err := merge.Orphaned(ctx, t.Store(), before, t.root.Tree(), t.r.MergeOptions(t.Store()))
				if err != nil {
					return err
				}
				if len(orphaned) > 0 {
					return errs.New(errs.Constraint, "resolving conflicts for table %s created foreign key violations in %s; settle its rows one by one in dolt_conflicts_%s", x.Name, strings.Join(orphaned, ", "), x.Name)
				}
			}
		}
		x.Schema, x.Conflicts = "", tree.Root{}
		m = m.With(x)
		if err := t.SetMerging(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// takeTheirs brings theirs' side of a table's conflicts into the working set.
func (t *Tx) takeTheirs(ctx context.Context, x *history.MergeTable) error {
	if x.Schema != "" {
		return t.takeTable(ctx, x)
	}
	if x.Conflicts.IsEmpty() {
		return nil
	}
	side, err := t.Side(ctx, x.Theirs)
	if err != nil {
		return err
	}
	e, err := t.Editor(ctx, x.Name)
	if err != nil {
		return err
	}
	to := e.View().Schema()
	var keys [][]byte
	err = EachArtifact(ctx, t.reader(), x.Conflicts, func(key, _ []byte) error {
		keys = append(keys, key)
		return nil
	})
	if err != nil {
		return err
	}
	complete, err := t.Completer(ctx, x.Name)
	if err != nil {
		return err
	}
	now := make([]value.Cell, len(to.Primary.Phys))
	var row []value.Cell
	if side != nil {
		row = make([]value.Cell, len(side.Schema().Primary.Phys))
	}
	// Rows that go first, since they may hold values that others take.
	for _, deletions := range []bool{true, false} {
		for _, k := range keys {
			found := false
			if side != nil {
				if found, err = side.Get(ctx, k, row); err != nil {
					return err
				}
			}
			if found == deletions {
				continue
			}
			has, err := e.View().Get(ctx, k, now)
			if err != nil {
				return err
			}
			if deletions {
				if has {
					if _, err := e.Delete(ctx, now); err != nil {
						return err
					}
				}
				continue
			}
			var fill []value.Cell
			if has {
				fill = now
			}
			next, err := merge.Row(ctx, t.reader(), side.Schema(), to, row, fill)
			if err != nil {
				return err
			}
			if complete != nil {
				if err := table.CompleteRow(ctx, complete, next); err != nil {
					return err
				}
			}
			if has {
				_, err = e.Update(ctx, now, next)
			} else {
				err = e.Insert(ctx, next)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// Completer is merge.Completer for rows of a table that are written past the SQL engine.
func (t *Tx) Completer(ctx context.Context, name string) (table.Complete, error) {
	v, written, ok, err := t.Table(ctx, name)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errNoTable(name)
	}
	return merge.Completer(ctx, t.r.opt.Expressions, t.Store(), written, v.Schema())
}

// foldLinked puts the edits of a table, and of those that foreign keys link it with, into trees; linked tells whether there are such.
func (t *Tx) foldLinked(ctx context.Context, name string) (linked bool, err error) {
	names, err := t.Children(ctx, name)
	if err != nil {
		return false, err
	}
	if v, _, ok, err := t.Table(ctx, name); err != nil {
		return false, err
	} else if ok {
		for i := range v.Schema().References {
			names = append(names, v.Schema().References[i].Parent)
		}
	}
	if len(names) == 0 {
		return false, nil
	}
	for _, n := range append(names, name) {
		if _, _, ok, err := t.Table(ctx, n); err != nil {
			return false, err
		} else if !ok {
			continue
		}
		if _, err := t.FoldTable(ctx, n); err != nil {
			return false, err
		}
	}
	return true, nil
}

// takeTable replaces a table whose schemas do not merge by theirs.
func (t *Tx) takeTable(ctx context.Context, x *history.MergeTable) error {
	if x.Ours.Kind != root.KindTable && x.Theirs.Kind != root.KindTable {
		return errs.New(errs.Unsupported, "only tables can be taken from the other side")
	}
	if x.Ours.Kind == root.KindTable {
		if err := t.DropTable(ctx, x.Ours.Name); err != nil && !errs.Is(err, errs.NotFound) {
			return err
		}
	}
	side, err := t.Side(ctx, x.Theirs)
	if err != nil || side == nil {
		return err
	}
	if _, _, ok, err := t.Table(ctx, x.Theirs.Name); err != nil {
		return err
	} else if ok {
		return errs.New(errs.Exists, "table %s already exists", x.Theirs.Name)
	}
	return t.putTable(ctx, x.Theirs.Name, side.Table)
}

// VerifyOptions say which rows VerifyConstraints looks at.
type VerifyOptions struct {
	Tables []string // nil for all
	All    bool     // all rows, not only those that differ from the branch's head
	Output bool     // tell only; do not keep what is found
	// Found, if not nil, is given each table with violations, and what EachViolation reads them of. Both are good during the call.
	Found func(v *table.View, t *history.MergeTable) error
}

// VerifyConstraints looks for rows of the working set that violate unique indexes, NOT NULL, CHECKs or foreign keys, and gives their number by table name.
// The working set keeps them, in place of those that it has of these tables: with the merge in progress or, when there is none, in a
// history.Merge of kind Verification, which a commit refuses as long as the rows violate something.
func (r *Repo) VerifyConstraints(ctx context.Context, branchName string, opt VerifyOptions) (map[string]uint64, error) {
	if _, err := r.Fold(ctx, branchName); err != nil {
		return nil, err
	}
	t, err := r.Begin(ctx, branchName)
	if err != nil {
		return nil, err
	}
	defer t.Rollback()
	head, err := r.SnapshotAt(ctx, t.Head())
	if err != nil {
		return nil, err
	}
	m, err := t.Merging(ctx)
	if err != nil {
		return nil, err
	}
	names := opt.Tables
	if names == nil {
		if names, err = t.TableNames(ctx); err != nil {
			return nil, err
		}
	}
	out := map[string]uint64{}
	for _, n := range names {
		v, written, ok, err := t.Table(ctx, n)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, errNoTable(n)
		}
		now, err := v.Fold(ctx, t.Store())
		if err != nil {
			return nil, err
		}
		var since *table.Table
		if was, _, ok, err := head.Table(ctx, n); err != nil {
			return nil, err
		} else if ok && !opt.All {
			since = was.Table
		}
		found, err := merge.Violations(ctx, t.Store(), written, now, since, r.opt.Expressions, func(ctx context.Context, name string) (*table.Table, error) {
			pv, _, ok, err := t.Table(ctx, name)
			if err != nil || !ok {
				return nil, err
			}
			return pv.Fold(ctx, t.Store())
		})
		if err != nil {
			return nil, err
		}
		if found.Count > 0 {
			out[written] = found.Count
			if opt.Found != nil {
				if err := opt.Found(table.NewView(t.Store(), now, nil), &history.MergeTable{Name: written, Violations: found}); err != nil {
					return nil, err
				}
			}
		}
		if opt.Output || m == nil && found.IsEmpty() {
			continue
		}
		if m == nil {
			m = &history.Merge{Kind: history.Verification, Head: t.Head(), Theirs: t.Head(), Working: t.base.working, Staged: t.base.staged}
		}
		x := history.MergeTable{Name: written}
		if at := m.Table(n); at >= 0 {
			x = m.Tables[at]
		} else if found.IsEmpty() {
			continue
		} else if x.Ours, _, err = t.root.Get(ctx, root.KindTable, n); err != nil {
			return nil, err
		}
		x.Violations = found
		m = m.With(x)
		if err := t.SetMerging(ctx, m); err != nil {
			return nil, err
		}
	}
	if t.merge == nil {
		return out, nil
	}
	return out, t.Commit(ctx)
}
