package merge

import (
	"context"
	"encoding/json"
	"slices"
	"sort"
	"strings"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/diff"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
)

// references lists the rows that violate foreign keys through the merge. Ours had none: so only rows that differ from ours are looked
// at, and the children of values that a table of ours lost.
func (m *merger) references(ctx context.Context, out *Result) error {
	deltas, err := diff.Tables(ctx, m.st, m.ours.Tree(), out.Root.Tree())
	if err != nil || len(deltas) == 0 {
		return err
	}
	children, err := m.opt.children(ctx, m, out.Root)
	if err != nil {
		return err
	}
	found := map[string][]violation{} // by the child's name
	for i := range deltas {
		d := &deltas[i]
		before, err := m.tableOf(ctx, d.From)
		if err != nil {
			return err
		}
		after, err := m.tableOf(ctx, d.To)
		if err != nil {
			return err
		}
		if after != nil {
			for k := range after.Schema.References {
				f := &after.Schema.References[k]
				parent, err := m.named(ctx, out.Root, f.Parent)
				if err != nil {
					return err
				}
				since := before
				if since != nil && !slices.ContainsFunc(since.Schema.References, func(o schema.ForeignKey) bool { return o.Equal(f) }) {
					since = nil // the key itself is new: all rows are
				}
				list := found[d.To.Name]
				err = chunk.NameAbsent(orphans(ctx, m.st, d.To.Name, after, f, parent, since, &list), "the table "+d.To.Name)
				if err = m.unlessTheirs(ctx, out, err, d.To.Name, f.Parent); err != nil {
					return err
				}
				found[d.To.Name] = list
			}
		}
		if before == nil || before == after {
			continue
		}
		for _, c := range children[strings.ToLower(d.From.Name)] {
			child, err := m.named(ctx, out.Root, c)
			if err != nil {
				return err
			}
			if child == nil {
				continue
			}
			for k := range child.Schema.References {
				if f := &child.Schema.References[k]; strings.EqualFold(f.Parent, d.From.Name) {
					list := found[c]
					err := chunk.NameAbsent(m.bereft(ctx, c, child, f, before, after, &list), "the table "+d.From.Name)
					if err = m.unlessTheirs(ctx, out, err, c, f.Parent); err != nil {
						return err
					}
					found[c] = list
				}
			}
		}
	}
	for name, list := range found {
		if len(list) == 0 {
			continue
		}
		if err := m.add(ctx, out, name, list); err != nil {
			return err
		}
	}
	sort.SliceStable(out.Tables, func(i, j int) bool {
		return strings.ToLower(out.Tables[i].Name) < strings.ToLower(out.Tables[j].Name)
	})
	return nil
}

// unlessTheirs is err, or nil where that is of something that a part of a database has not and both the child and the parent of a foreign key are as
// they are in theirs: that the keys hold between them is then theirs to say, who may have committed without looking, and the result names them.
func (m *merger) unlessTheirs(ctx context.Context, out *Result, err error, child, parent string) error {
	if !chunk.IsAbsent(err) {
		return err
	}
	for _, n := range []string{child, parent} {
		now, _, e := root.Open(m.st, out.Root.Tree()).Get(ctx, root.KindTable, n)
		if e != nil {
			return e
		}
		theirs, _, e := m.theirs.Get(ctx, root.KindTable, n)
		if e != nil {
			return e
		}
		if now.Table != theirs.Table {
			return err
		}
	}
	if x := (Unseen{child, parent}); !slices.Contains(out.Unseen, x) {
		out.Unseen = append(out.Unseen, x)
	}
	return nil
}

// Orphaned are the names of the tables with rows that violate foreign keys in the state after though all was well in before, in the order
// of their lower-case forms.
func Orphaned(ctx context.Context, st chunk.Store, before, after tree.Root, opt Options) ([]string, error) {
	at := root.Open(st, before)
	m := &merger{st: st, opt: opt, base: at, ours: at, theirs: at}
	out := &Result{Root: root.Open(st, after)}
	if err := m.references(ctx, out); err != nil {
		return nil, err
	}
	var names []string
	for i := range out.Tables {
		names = append(names, out.Tables[i].Name)
	}
	return names, nil
}

// children are, by the lower-case name of a table, the tables whose foreign keys refer to it.
func (o *Options) children(ctx context.Context, m *merger, rt *root.Root) (map[string][]string, error) {
	if o.Children != nil {
		return o.Children(ctx, rt)
	}
	es, err := rt.List(ctx, root.KindTable)
	if err != nil {
		return nil, err
	}
	out := map[string][]string{}
	for _, e := range es {
		t, err := m.tableOf(ctx, e)
		if err != nil {
			return nil, err
		}
		for i := range t.Schema.References {
			l := strings.ToLower(t.Schema.References[i].Parent)
			if !slices.Contains(out[l], e.Name) {
				out[l] = append(out[l], e.Name)
			}
		}
	}
	return out, nil
}

// tableOf is the table of an entry; nil for the zero Entry.
func (m *merger) tableOf(ctx context.Context, e root.Entry) (*table.Table, error) {
	if e.Kind != root.KindTable {
		return nil, nil
	}
	return table.Open(ctx, m.st, &m.schemas, e.Table, e.Comments)
}

// named is the table of that name; nil when there is none.
func (m *merger) named(ctx context.Context, rt *root.Root, name string) (*table.Table, error) {
	e, ok, err := root.Open(m.st, rt.Tree()).Get(ctx, root.KindTable, name)
	if err != nil || !ok {
		return nil, err
	}
	return m.tableOf(ctx, e)
}

// add puts violations of a table beside those that are known of it.
func (m *merger) add(ctx context.Context, out *Result, name string, list []violation) error {
	at := slices.IndexFunc(out.Tables, func(t history.MergeTable) bool { return strings.EqualFold(t.Name, name) })
	if at < 0 {
		x := history.MergeTable{Name: name}
		for _, side := range []struct {
			rt *root.Root
			e  *root.Entry
		}{{m.base, &x.Base}, {m.ours, &x.Ours}, {m.theirs, &x.Theirs}} {
			e, ok, err := side.rt.Get(ctx, root.KindTable, name)
			if err != nil {
				return err
			}
			if ok {
				*side.e = e
			}
		}
		out.Tables = append(out.Tables, x)
		at = len(out.Tables) - 1
	}
	x := &out.Tables[at]
	c := tree.New(m.st, history.ArtifactFormat(), x.Violations).Cursor()
	if err := c.First(ctx); err != nil {
		return err
	}
	for c.Valid() {
		info, err := c.Row(ctx, nil)
		if err != nil {
			return err
		}
		list = append(list, violation{key: c.Key(nil), info: info})
		if err := c.Next(ctx); err != nil {
			return err
		}
	}
	var err error
	x.Violations, err = m.keep(ctx, list)
	return err
}

// orphans lists the rows of a child, among those that differ from since or among all when that is nil, that have no parent.
func orphans(ctx context.Context, st chunk.Store, name string, child *table.Table, f *schema.ForeignKey, parent, since *table.Table, found *[]violation) error {
	ref, err := referenceOf(st, name, child, parent, f)
	if err != nil {
		return err
	}
	p, err := diff.NewPair(st, since, child)
	if err != nil {
		return err
	}
	values := make([]value.Cell, len(f.Columns))
	for c, err := range p.Rows(ctx, diff.Options{}) {
		if err != nil {
			return err
		}
		if !c.To.Valid() {
			continue
		}
		for k, id := range f.Columns {
			if values[k], err = c.To.Cell(ctx, child.Schema.ColumnByID(id)); err != nil {
				return err
			}
		}
		if slices.ContainsFunc(values, value.Cell.IsNull) {
			continue
		}
		ok := false
		if ref != nil {
			if ok, err = ref.HasParent(ctx, values); err != nil {
				return err
			}
		}
		if !ok {
			*found = append(*found, orphan(name, child, parent, f, c.To.AppendKey(nil)))
		}
	}
	return nil
}

// bereft lists the children that have lost their parents: after is the parent's table, nil when it is gone.
func (m *merger) bereft(ctx context.Context, name string, child *table.Table, f *schema.ForeignKey, before, after *table.Table, found *[]violation) error {
	ref, err := referenceOf(m.st, name, child, after, f)
	if err != nil {
		return err
	}
	if ref == nil {
		return orphans(ctx, m.st, name, child, f, nil, nil, found)
	}
	ids := make([]int, len(f.ParentColumns))
	for k, n := range f.ParentColumns {
		if ids[k] = before.Schema.ColumnIndex(n); ids[k] < 0 {
			return nil // ours did not hold it either
		}
	}
	p, err := diff.NewPair(m.st, before, after)
	if err != nil {
		return err
	}
	values := make([]value.Cell, len(ids))
	for c, err := range p.Rows(ctx, diff.Options{}) {
		if err != nil {
			return err
		}
		if !c.From.Valid() {
			continue
		}
		for k, at := range ids {
			if values[k], err = c.From.Cell(ctx, at); err != nil {
				return err
			}
		}
		if ok, err := ref.HasParent(ctx, values); err != nil {
			return err
		} else if ok {
			continue
		}
		err := ref.Children(ctx, values, func(row []byte) error {
			*found = append(*found, orphan(name, child, after, f, row))
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// referenceOf prepares a foreign key; nil when the parent is not there, or not as the key wants it, so that no child has a parent.
func referenceOf(st chunk.Store, name string, child, parent *table.Table, f *schema.ForeignKey) (*table.Reference, error) {
	if parent == nil {
		return nil, nil
	}
	ref, err := table.NewReference(table.NewView(chunk.Naming(st, "the table "+name), child, nil), table.NewView(chunk.Naming(st, "the table "+f.Parent), parent, nil), f)
	if err != nil {
		return nil, nil //nolint:nilerr // the columns or the index are gone
	}
	return ref, nil
}

// orphan describes a child without a parent in the words of dolt_constraint_violations_<table>.violation_info.
func orphan(name string, child, parent *table.Table, f *schema.ForeignKey, row []byte) violation {
	action := func(a schema.Action) string {
		if a == schema.ActionNone {
			return schema.ActionRestrict.String()
		}
		return a.String()
	}
	var cols []string
	for _, id := range f.Columns {
		cols = append(cols, column(child.Schema.Schema, id).Name)
	}
	referenced := ""
	if parent != nil {
		var ids []uint64
		for _, n := range f.ParentColumns {
			if at := parent.Schema.ColumnIndex(n); at >= 0 {
				ids = append(ids, parent.Schema.Columns[at].ID)
			}
		}
		referenced = indexOver(parent.Schema.Schema, ids)
	}
	b, err := json.Marshal(map[string]any{
		"Index": indexOver(child.Schema.Schema, f.Columns), "ReferencedIndex": referenced, "Columns": cols, "ForeignKey": f.Name, "OnDelete": action(f.OnDelete), "OnUpdate": action(f.OnUpdate),
		"ReferencedColumns": f.ParentColumns, "ReferencedTable": f.Parent, "Table": name,
	})
	if err != nil { // strings always encode
		b = []byte("{}")
	}
	return violation{key: history.ViolationKey(history.ForeignKeyViolation, f.Name, row), info: b}
}

// indexOver is the name of the secondary index whose first columns are the given ones; "" for none, and when the primary key's are.
func indexOver(s *schema.Schema, columns []uint64) string {
	if leads(s.PrimaryKey, columns) {
		return ""
	}
	for i := range s.Indexes {
		if leads(s.Indexes[i].Columns, columns) {
			return s.Indexes[i].Name
		}
	}
	return ""
}

// leads tells whether the first parts of a key are the given columns, in any order.
func leads(key []schema.IndexColumn, columns []uint64) bool {
	return len(key) >= len(columns) && !slices.ContainsFunc(key[:len(columns)], func(k schema.IndexColumn) bool { return !slices.Contains(columns, k.Column) })
}
