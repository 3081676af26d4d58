package diff

import (
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/schema"
)

// Part is a named part of a schema that differs: a column, an index, a check or a foreign key, by position; -1 where the side lacks it.
type Part struct {
	From, To int
	Renamed  bool // of a column: its name differs
	Changed  bool // both sides have it and it differs otherwise than by its name
}

// Type is Added, Removed or Modified.
func (p *Part) Type() Type {
	switch {
	case p.From < 0:
		return Added
	case p.To < 0:
		return Removed
	}
	return Modified
}

// SchemaChange is how two schemas differ.
type SchemaChange struct {
	Columns    []Part // in the order of Align
	Indexes    []Part // paired by name; the to side's order, then those that are gone
	Checks     []Part // paired by name, likewise
	References []Part // foreign keys, likewise
	Key        bool   // the primary key differs
	Order      bool   // columns that both have come in another order
	Collation  bool
	Comment    bool // the table's comment differs
}

// IsEmpty tells whether nothing differs.
func (c *SchemaChange) IsEmpty() bool {
	return len(c.Columns)+len(c.Indexes)+len(c.Checks)+len(c.References) == 0 && !c.Key && !c.Order && !c.Collation && !c.Comment
}

// Schemas says how two schemas differ, comments included.
func Schemas(from, to *schema.Schema) SchemaChange {
	cols := Align(from, to)
	out := SchemaChange{Collation: from.Collation != to.Collation, Comment: from.Comment != to.Comment}
	newID := map[uint64]uint64{} // id on the from side to that on the to side
	last := -1
	for _, c := range cols {
		p := Part{From: c.From, To: c.To}
		if c.From >= 0 && c.To >= 0 {
			f, t := &from.Columns[c.From], &to.Columns[c.To]
			newID[f.ID] = t.ID
			p.Renamed, p.Changed = f.Name != t.Name, columnDiffers(f, t)
			out.Order = out.Order || c.From < last
			last = c.From
			if !p.Renamed && !p.Changed {
				continue
			}
		}
		out.Columns = append(out.Columns, p)
	}
	out.Key = !sameColumns(from.PrimaryKey, to.PrimaryKey, newID)
	out.Indexes = parts(len(from.Indexes), len(to.Indexes),
		func(i int) string { return from.Indexes[i].Name }, func(i int) string { return to.Indexes[i].Name },
		func(i, j int) bool {
			a, b := &from.Indexes[i], &to.Indexes[j]
			return a.Unique == b.Unique && a.Comment == b.Comment && sameColumns(a.Columns, b.Columns, newID)
		})
	out.Checks = parts(len(from.Checks), len(to.Checks),
		func(i int) string { return from.Checks[i].Name }, func(i int) string { return to.Checks[i].Name },
		func(i, j int) bool {
			return from.Checks[i].Expr == to.Checks[j].Expr && from.Checks[i].Enforced == to.Checks[j].Enforced
		})
	out.References = parts(len(from.References), len(to.References),
		func(i int) string { return from.References[i].Name }, func(i int) string { return to.References[i].Name },
		func(i, j int) bool {
			a, b := from.References[i], to.References[j]
			ids := make([]uint64, len(a.Columns))
			for k, id := range a.Columns {
				ids[k] = newID[id]
			}
			a.Columns = ids
			return a.Equal(&b)
		})
	return out
}

func columnDiffers(a, b *schema.Column) bool {
	return !a.Type.Equal(b.Type) || a.Nullable != b.Nullable || a.HasDefault != b.HasDefault || a.Default != b.Default ||
		a.OnUpdate != b.OnUpdate || a.Generated != b.Generated || a.Stored != b.Stored || a.AutoIncrement != b.AutoIncrement ||
		a.Comment != b.Comment
}

func sameColumns(a, b []schema.IndexColumn, newID map[uint64]uint64) bool {
	return slices.EqualFunc(a, b, func(x, y schema.IndexColumn) bool {
		return newID[x.Column] == y.Column && x.Prefix == y.Prefix && x.Desc == y.Desc
	})
}

// parts pairs n things and m things by name, matched without case, and gives those that differ.
func parts(n, m int, fromName, toName func(int) string, same func(i, j int) bool) []Part {
	at := map[string]int{}
	for i := range n {
		at[strings.ToLower(fromName(i))] = i
	}
	var out []Part
	for j := range m {
		l := strings.ToLower(toName(j))
		i, ok := at[l]
		delete(at, l)
		switch {
		case !ok:
			out = append(out, Part{From: -1, To: j})
		case !same(i, j):
			out = append(out, Part{From: i, To: j, Changed: true})
		}
	}
	for i := range n {
		if k, ok := at[strings.ToLower(fromName(i))]; ok && k == i {
			out = append(out, Part{From: i, To: -1})
		}
	}
	return out
}
