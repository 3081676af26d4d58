package repo

import (
	"context"
	"strings"
	"sync"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
)

// referrers tells which tables refer to a table by foreign keys. A table is known by the hash of its chunk, so that of a new root only
// the tables that changed are looked at, and the last root is remembered as a whole.
type referrers struct {
	mu      sync.Mutex
	parents map[hash.Hash][]string // lower-case names of the tables that a table refers to
	last    tree.Root
	byName  map[string][]string // for last: names of the tables that refer to the table of that lower-case name
}

// maxParents bounds the tables that are remembered.
const maxParents = 1 << 16

// Children are the names of the working tables that refer to the table of that name by foreign keys, in the order of their lower-case
// forms; a table may refer to itself.
func (t *Tx) Children(ctx context.Context, parent string) ([]string, error) {
	x := &t.r.referrers
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.byName == nil || x.last != t.root.Tree() {
		byName, err := x.read(ctx, t)
		if err != nil {
			return nil, err
		}
		x.last, x.byName = t.root.Tree(), byName
	}
	return x.byName[strings.ToLower(parent)], nil
}

func (x *referrers) read(ctx context.Context, t *Tx) (map[string][]string, error) {
	es, err := t.root.List(ctx, root.KindTable)
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
			found, err := t.entry(ctx, strings.ToLower(e.Name))
			if err != nil {
				return nil, err
			}
			seen := map[string]bool{}
			for _, f := range found.table.Schema.References {
				if l := strings.ToLower(f.Parent); !seen[l] {
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
	return byName, nil
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
