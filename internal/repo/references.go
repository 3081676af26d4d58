package repo

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/stemmadb/stemma/internal/diff"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
)

// referrers tells which tables refer to a table by foreign keys. A table is known by the hash of its chunk, so that of a new root only
// the tables that changed are looked at, and the last roots are remembered as a whole.
type referrers struct {
	mu      sync.Mutex
	parents map[hash.Hash][]string            // lower-case names of the tables that a table refers to
	roots   map[tree.Root]map[string][]string // by lower-case name: names of the tables that refer to the table
}

const (
	maxParents = 1 << 16 // tables that are remembered
	maxRoots   = 64
)

// of are the referrers of a root; open reads the table of one of its entries.
func (x *referrers) of(ctx context.Context, rt *root.Root, open func(root.Entry) (*table.Table, error)) (map[string][]string, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if known, ok := x.roots[rt.Tree()]; ok {
		return known, nil
	}
	es, err := rt.List(ctx, root.KindTable)
	if err != nil {
		return nil, err
	}
	if x.parents == nil || len(x.parents) > maxParents {
		x.parents = map[hash.Hash][]string{}
	}
	byName := map[string][]string{}
	for _, e := range es {
		parents, ok := x.parents[e.Table]
		if !ok {
			tab, err := open(e)
			if err != nil {
				return nil, err
			}
			seen := map[string]bool{}
			for i := range tab.Schema.References {
				if l := strings.ToLower(tab.Schema.References[i].Parent); !seen[l] {
					seen[l] = true
					parents = append(parents, l)
				}
			}
			x.parents[e.Table] = parents
		}
		for _, p := range parents {
			byName[p] = append(byName[p], e.Name)
		}
	}
	if x.roots == nil || len(x.roots) >= maxRoots {
		x.roots = map[tree.Root]map[string][]string{}
	}
	x.roots[rt.Tree()] = byName
	return byName, nil
}

// Children are the names of the working tables that refer to the table of that name by foreign keys, in the order of their lower-case
// forms; a table may refer to itself.
func (t *Tx) Children(ctx context.Context, parent string) ([]string, error) {
	byName, err := t.r.referrers.of(ctx, t.root, func(e root.Entry) (*table.Table, error) {
		found, err := t.entry(ctx, strings.ToLower(e.Name))
		return found.table, err
	})
	return byName[strings.ToLower(parent)], err
}

// Tables are a database's tables at one moment: *Tx and *Snapshot are.
type Tables interface {
	Table(ctx context.Context, name string) (v *table.View, written string, ok bool, err error)
	TableNames(ctx context.Context) ([]string, error)
}

// Linked tells whether foreign keys link tables that differ between two moments with any table: then statements that make one moment of the
// other work in no order with checks, since actions of the keys would change rows on their own. from and to may be nil.
func Linked(ctx context.Context, deltas []diff.Delta, from, to Tables) (bool, error) {
	for k, at := range []Tables{from, to} {
		changed := map[string]bool{}
		for i := range deltas {
			e := &deltas[i].From
			if k == 1 {
				e = &deltas[i].To
			}
			if e.Kind == root.KindTable {
				changed[strings.ToLower(e.Name)] = true
			}
		}
		if at == nil || len(changed) == 0 {
			continue
		}
		names, err := at.TableNames(ctx)
		if err != nil {
			return false, err
		}
		for _, n := range names {
			v, _, ok, err := at.Table(ctx, n)
			if err != nil {
				return false, err
			}
			if !ok {
				continue
			}
			for i := range v.Schema().References {
				if changed[strings.ToLower(n)] || changed[strings.ToLower(v.Schema().References[i].Parent)] {
					return true, nil
				}
			}
		}
	}
	return false, nil
}

// Rekeys tells whether statements that make one moment of another change schemas, so that foreign keys have to be dropped meanwhile.
func Rekeys(deltas []diff.Delta) bool {
	return slices.ContainsFunc(deltas, func(d diff.Delta) bool { return d.Schema || d.Kind != diff.TableModified })
}

// What stands before and behind statements that make one moment of another where foreign keys link the tables.
const (
	ChecksOff = "SET FOREIGN_KEY_CHECKS=0;"
	ChecksOn  = "SET FOREIGN_KEY_CHECKS=1;"
)

// checkMeanwhile verifies the foreign keys between what a transaction changed and what others have committed since it began: of its new
// and changed rows when another changed the parent's table, of the values that it took from a table when another changed a child's.
// next is the branch with the changes of all. A violation is of class Conflict: whoever tries again is told of it as usual.
func (p *plan) checkMeanwhile(ctx context.Context, batch *pack.Batch, cur, next *branch) error {
	r, base := p.t.r, p.t.base
	if cur == base {
		return nil
	}
	byName, err := r.referrers.of(ctx, root.Open(r.store, cur.working), func(e root.Entry) (*table.Table, error) { return r.openTable(ctx, e) })
	if err != nil {
		return err
	}
	changed := func(l string) bool { return cur.tables.get(l).version != base.tables.get(l).version }
	entry := func(l string) (e foundEntry, err error) {
		if len(p.t.whole) == 0 {
			return r.entry(ctx, next.working, l)
		}
		// The root is not in the store yet.
		if e.Entry, e.there, err = root.Open(batch, next.working).Get(ctx, root.KindTable, l); err == nil && e.there {
			e.table, err = table.Open(ctx, batch, &r.schemas, e.Table, e.Comments)
		}
		return e, err
	}
	view := func(l string) (*table.View, error) {
		e, err := entry(l)
		if err != nil || !e.there {
			return nil, err
		}
		return table.NewView(batch, e.table, next.tables.get(l).over), nil
	}
	for l := range p.t.whole { // all rows count as changed, so that it is not worth while to look at each
		e, err := entry(l)
		if err != nil {
			return err
		}
		for i := 0; e.there && i < len(e.table.Schema.References); i++ {
			f := &e.table.Schema.References[i]
			if parent := strings.ToLower(f.Parent); changed(parent) && parent != l {
				return errTied(l, parent, f.Name)
			}
		}
		for _, c := range byName[l] {
			if child := strings.ToLower(c); changed(child) && child != l && !p.t.whole[child] {
				return errTied(child, l, "of "+c)
			}
		}
	}
	for _, x := range p.rows {
		for i := range x.schema.References {
			f := &x.schema.References[i]
			if parent := strings.ToLower(f.Parent); changed(parent) && parent != x.table {
				if err := checkPair(ctx, x.changes, f, x.table, parent, view, true); err != nil {
					return err
				}
			}
		}
		for _, c := range byName[x.table] {
			child := strings.ToLower(c)
			if !changed(child) || child == x.table {
				continue
			}
			cv, err := view(child)
			if err != nil {
				return err
			}
			for i := 0; cv != nil && i < len(cv.Schema().References); i++ {
				if f := &cv.Schema().References[i]; strings.EqualFold(f.Parent, x.table) {
					if err := checkPair(ctx, x.changes, f, child, x.table, view, false); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

func errTied(child, parent, key string) error {
	return errs.New(errs.Conflict, "commit transaction: another transaction changed rows of %s or %s that foreign key %s ties together; start the transaction again", child, parent, key)
}

// checkPair verifies the foreign key f for changes of the child's rows, or of the parent's.
func checkPair(ctx context.Context, c *table.Changes, f *schema.ForeignKey, child, parent string, view func(string) (*table.View, error), ofChild bool) error {
	conflict := errTied(child, parent, f.Name)
	cv, err := view(child)
	if err != nil {
		return err
	}
	pv, err := view(parent)
	if err != nil {
		return err
	}
	if cv == nil || pv == nil {
		return conflict
	}
	ref, err := table.NewReference(cv, pv, f)
	if err != nil {
		return conflict
	}
	var ok bool
	if ofChild {
		ok, err = ref.HaveParents(ctx, c)
	} else {
		ok, err = ref.LeaveNoOrphans(ctx, c)
	}
	if err == nil && !ok {
		err = conflict
	}
	return err
}

// CheckReferences verifies the foreign keys of the named table and those that refer to it, over all rows as the transaction has them
// now: for changes of whole tables, which nothing else checks. A child without a parent is an error of class Constraint.
func (t *Tx) CheckReferences(ctx context.Context, name string) error {
	v, written, ok, err := t.Table(ctx, name)
	if err != nil || !ok {
		return err
	}
	for i := range v.Schema().References {
		if err := t.checkReference(ctx, written, v, &v.Schema().References[i]); err != nil {
			return err
		}
	}
	children, err := t.Children(ctx, name)
	if err != nil {
		return err
	}
	for _, c := range children {
		if strings.EqualFold(c, name) {
			continue // done above
		}
		cv, child, ok, err := t.Table(ctx, c)
		if err != nil {
			return err
		}
		for i := 0; ok && i < len(cv.Schema().References); i++ {
			if f := &cv.Schema().References[i]; strings.EqualFold(f.Parent, name) {
				if err := t.checkReference(ctx, child, cv, f); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// checkReference verifies the foreign key f of the table child.
func (t *Tx) checkReference(ctx context.Context, child string, cv *table.View, f *schema.ForeignKey) error {
	pv, _, ok, err := t.Table(ctx, f.Parent)
	if err != nil {
		return err
	}
	if !ok {
		return errs.New(errs.Constraint, "foreign key %s of table %s: there is no table %s", f.Name, child, f.Parent)
	}
	r, err := table.NewReference(cv, pv, f)
	if err != nil {
		return err
	}
	return r.Orphans(ctx, func(values []value.Cell) error {
		var text []string
		for k, c := range values {
			col := &cv.Schema().Columns[cv.Schema().ColumnByID(f.Columns[k])]
			text = append(text, string(value.AppendText(nil, col.Type, c)))
		}
		return errs.New(errs.Constraint, "a row of %s with (%s) = (%s) has no parent in %s (foreign key %s)",
			child, strings.Join(f.ParentColumns, ", "), strings.Join(text, ", "), f.Parent, f.Name)
	})
}
