package sync

import (
	"context"
	"slices"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
)

// Between is the commits that are reached from some and not from others, oldest first, and the ancestors at which that ends.
type Between struct {
	Commits []*history.Commit
	Edge    []history.CommitID // parents of Commits, or wanted ones, that the others reach
}

// Commits walks from want down to have.
func Commits(ctx context.Context, r chunk.Reader, want, have []history.CommitID) (Between, error) {
	w, err := history.Walk(ctx, r, want, have)
	if err != nil {
		return Between{}, err
	}
	var b Between
	in := map[history.CommitID]bool{}
	for {
		c, err := w.Next(ctx)
		if err != nil {
			return Between{}, err
		}
		if c == nil {
			break
		}
		in[c.ID] = true
		b.Commits = append(b.Commits, c)
	}
	slices.Reverse(b.Commits)
	edge := map[history.CommitID]bool{}
	add := func(id history.CommitID) {
		if !in[id] && !edge[id] {
			edge[id] = true
			b.Edge = append(b.Edge, id)
		}
	}
	for _, id := range want {
		add(id)
	}
	for _, c := range b.Commits {
		for _, p := range c.Parents {
			add(p)
		}
	}
	return b, nil
}

// walker finds the chunks that commits bring.
type walker struct {
	r       chunk.Reader
	schemas schema.Cache
	seen    map[hash.Hash]struct{}
	visit   func(h hash.Hash) error
	has     func(id history.CommitID) (bool, error) // whether a parent is there; nil: all are
	part    *Partial                                // of tables that it has not only the outlines are visited; nil for none
}

// Missing calls visit for every chunk that the commits reach and those at their edge do not, each once: commits oldest first, of each what
// it brings, itself last. A few that the others have may come, too. step is called after each commit.
func Missing(ctx context.Context, r chunk.Reader, b Between, visit func(h hash.Hash) error, step func()) error {
	return (&walker{r: r, seen: map[hash.Hash]struct{}{}, visit: visit}).commits(ctx, b, step)
}

// commits finds the chunks of Missing.
func (w *walker) commits(ctx context.Context, b Between, step func()) error {
	for _, c := range b.Commits {
		if err := ctx.Err(); err != nil {
			return errs.With(errs.Canceled, err)
		}
		if err := w.commit(ctx, c); err != nil {
			return err
		}
		step()
	}
	return nil
}

// once visits a chunk unless it was visited.
func (w *walker) once(h hash.Hash) error {
	if _, again := w.seen[h]; again {
		return nil
	}
	w.seen[h] = struct{}{}
	return w.visit(h)
}

func (w *walker) commit(ctx context.Context, c *history.Commit) error {
	parents, err := w.roots(ctx, c.Parents)
	if err == nil {
		err = w.root(ctx, c.Root, parents)
	}
	if err != nil {
		return err
	}
	return w.once(c.ID)
}

// roots are those of the commits that are there.
func (w *walker) roots(ctx context.Context, ids []history.CommitID) (out []*root.Root, err error) {
	for _, p := range ids {
		if w.has != nil {
			if ok, err := w.has(p); err != nil {
				return nil, err
			} else if !ok {
				continue
			}
		}
		pc, err := history.GetCommit(ctx, w.r, p)
		if err != nil {
			return nil, err
		}
		out = append(out, root.Open(w.r, pc.Root))
	}
	return out, nil
}

// root visits what a root has that those before it have not.
func (w *walker) root(ctx context.Context, r tree.Root, parents []*root.Root) error {
	var bases []tree.Base
	for _, p := range parents {
		bases = append(bases, tree.Base{Format: root.Format(), Root: p.Tree()})
	}
	if err := tree.Missing(ctx, w.r, root.Format(), r, bases, w.once); err != nil {
		return err
	}
	var before tree.Root
	if len(bases) > 0 {
		before = bases[0].Root
	}
	return tree.Diff(ctx, w.r, root.Format(), before, r, nil, nil, func(x tree.Change) error {
		if x.B == nil {
			return nil
		}
		v, err := x.B.AppendRow(ctx, nil, x.BI)
		if err != nil {
			return err
		}
		e, err := root.DecodeEntry(x.AppendKey(nil), v)
		if err != nil || e.Kind != root.KindTable {
			return err
		}
		if !w.part.HasTable(e.Name) {
			return w.outline(ctx, e)
		}
		return chunk.NameAbsent(w.table(ctx, e, parents), "the table "+e.Name)
	})
}

// merge visits what a merge in progress names beside commits, which are there; was is the one before it of the same branch, nil for none.
func (w *walker) merge(ctx context.Context, h hash.Hash, m, was *history.Merge) error {
	parents, err := w.roots(ctx, []history.CommitID{m.Head, m.Theirs})
	if err != nil {
		return err
	}
	var before []*root.Root
	if was != nil {
		before = []*root.Root{root.Open(w.r, was.Working), root.Open(w.r, was.Staged)}
	}
	for _, r := range []tree.Root{m.Staged, m.Working} {
		if err := w.root(ctx, r, append(slices.Clone(parents), before...)); err != nil {
			return err
		}
		before = append(before, root.Open(w.r, r))
	}
	for i := range m.Tables {
		t := &m.Tables[i]
		var old history.MergeTable
		if was != nil {
			if at := was.Table(t.Name); at >= 0 {
				old = was.Tables[at]
			}
		}
		for _, e := range []root.Entry{t.Base, t.Ours, t.Theirs} {
			if e.Kind != root.KindTable || e.Table == old.Base.Table || e.Table == old.Ours.Table || e.Table == old.Theirs.Table {
				continue
			}
			if err := w.table(ctx, e, parents); err != nil {
				return err
			}
		}
		for _, x := range [][2]tree.Root{{t.Conflicts, old.Conflicts}, {t.Violations, old.Violations}} {
			bases := []tree.Base{{Format: history.ArtifactFormat(), Root: x[1]}}
			if err := tree.Missing(ctx, w.r, history.ArtifactFormat(), x[0], bases, w.once); err != nil {
				return err
			}
		}
	}
	return w.once(h)
}

// rebase visits what a rebase in progress names beside commits, which are there.
func (w *walker) rebase(ctx context.Context, h hash.Hash, x *history.Rebase) error {
	parents, err := w.roots(ctx, []history.CommitID{x.Head, x.Onto})
	if err == nil {
		err = w.root(ctx, x.Working, parents)
	}
	if err != nil {
		return err
	}
	return w.once(h)
}

// outline visits what tells the schema of a table and how many rows it has: foreign keys and whether tables differ are known by that. It is not
// noted as seen, since a table that is wanted with its rows may have the same chunk.
func (w *walker) outline(ctx context.Context, e root.Entry) error {
	data, err := w.r.Get(ctx, e.Table)
	if err != nil {
		return err
	}
	t, err := table.Decode(data)
	if err != nil {
		return err
	}
	for _, h := range []hash.Hash{t.Schema, e.Table} {
		if err := w.visit(h); err != nil {
			return err
		}
	}
	return nil
}

// table visits what a table has that the tables of its name in the parents have not.
func (w *walker) table(ctx context.Context, e root.Entry, parents []*root.Root) error {
	if _, again := w.seen[e.Table]; again {
		return nil
	}
	var before []root.Entry
	for _, p := range parents {
		o, ok, err := p.Get(ctx, root.KindTable, e.Name)
		if err != nil {
			return err
		}
		if ok && o.Table == e.Table {
			return nil // of a parent other than the first; a part need not have either
		}
		if ok {
			before = append(before, o)
		}
	}
	var olds []*table.Table
	for _, o := range before {
		t, err := table.Open(ctx, w.r, &w.schemas, o.Table, nil)
		if err != nil {
			return err
		}
		olds = append(olds, t)
	}
	t, err := table.Open(ctx, w.r, &w.schemas, e.Table, nil)
	if err != nil {
		return err
	}
	known := slices.ContainsFunc(olds, func(o *table.Table) bool { return o.Schema.Hash == t.Schema.Hash })
	if !known {
		if err := w.once(t.Schema.Hash); err != nil {
			return err
		}
	}
	var bases []tree.Base
	for _, o := range olds {
		bases = append(bases, tree.Base{Format: o.Schema.Primary.Format, Root: o.Rows})
	}
	if err := tree.Missing(ctx, w.r, t.Schema.Primary.Format, t.Rows, bases, w.once); err != nil {
		return err
	}
	for n, x := range t.Indexes {
		bases = bases[:0]
		for _, o := range olds {
			for k := range o.Indexes {
				if o.Schema.Indexes[k].Name == t.Schema.Indexes[n].Name {
					bases = append(bases, tree.Base{Format: o.Schema.Index[k].Format, Root: o.Indexes[k]})
				}
			}
		}
		if err := tree.Missing(ctx, w.r, t.Schema.Index[n].Format, x, bases, w.once); err != nil {
			return err
		}
	}
	return w.once(e.Table)
}
