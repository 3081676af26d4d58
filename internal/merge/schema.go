package merge

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/value"
)

// three is the three-way merge of one property: ok is false when both sides changed it differently. Without a base any difference is
// one.
func three[T any](eq func(a, b T) bool, hasBase bool, base, ours, theirs T) (v T, ok bool) {
	switch {
	case eq(ours, theirs):
		return ours, true
	case hasBase && eq(base, ours):
		return theirs, true
	case hasBase && eq(base, theirs):
		return ours, true
	}
	return ours, false
}

func same[T comparable](a, b T) bool { return a == b }

// mergedSchema is a merged schema and what it asks of the rows.
type mergedSchema struct {
	schema  *schema.Schema
	base    numbered    // its schema is nil when there is no base
	sides   [2]numbered // ours, theirs
	lost    [2][]uint64 // columns of the base that the other side dropped, by side that still has them
	rekeyed [2]bool     // the side that changed the primary key alone
}

// numbered is a schema whose columns have the ids of the merged schema.
type numbered struct {
	schema  *schema.Schema
	changed bool // the pages of the side have others
}

// renumber gives columns other ids.
func (n *numbered) renumber(ids map[uint64]uint64) {
	if len(ids) == 0 || n.schema == nil {
		return
	}
	of := func(id uint64) uint64 {
		if to, ok := ids[id]; ok {
			n.changed = true
			return to
		}
		return id
	}
	s := n.schema.Clone()
	for i := range s.Columns {
		s.Columns[i].ID = of(s.Columns[i].ID)
	}
	parts := func(in []schema.IndexColumn) []schema.IndexColumn {
		out := slices.Clone(in)
		for i := range out {
			out[i].Column = of(out[i].Column)
		}
		return out
	}
	s.PrimaryKey = parts(s.PrimaryKey)
	for i := range s.Indexes {
		s.Indexes[i].Columns = parts(s.Indexes[i].Columns)
	}
	for i := range s.References {
		s.References[i].Columns = slices.Clone(s.References[i].Columns)
		for k, id := range s.References[i].Columns {
			s.References[i].Columns[k] = of(id)
		}
	}
	n.schema = s
}

// conflict is why two schemas do not merge.
type conflict string

// Error implements error.
func (c conflict) Error() string { return string(c) }

func conflictf(format string, args ...any) error { return conflict(fmt.Sprintf(format, args...)) }

// schemaMerger is one run of schemas.
type schemaMerger struct {
	base, ours, theirs *schema.Schema
	hasBase            bool
	out                mergedSchema
}

// schemas merges two schemas. base is nil when both sides made the table. An error is a conflict.
func schemas(base, ours, theirs *schema.Schema) (*mergedSchema, error) {
	m := &schemaMerger{base: base, ours: ours, theirs: theirs, hasBase: base != nil}
	m.out.base.schema, m.out.sides[0].schema, m.out.sides[1].schema = base, ours, theirs
	if base == nil {
		m.base = &schema.Schema{}
	}
	m.pairRetyped()
	m.pairByName()
	s := &schema.Schema{}
	m.out.schema = s
	cols, err := m.columns()
	if err != nil {
		return nil, err
	}
	s.Columns = cols
	if err := m.primaryKey(s); err != nil {
		return nil, err
	}
	if err := m.indexes(s); err != nil {
		return nil, err
	}
	if err := m.checks(s); err != nil {
		return nil, err
	}
	if err := m.references(s); err != nil {
		return nil, err
	}
	var ok bool
	if s.Collation, ok = three(same[value.Collation], m.hasBase, m.base.Collation, ours.Collation, theirs.Collation); !ok {
		return nil, conflictf("the default collation was changed on both sides: %s and %s", ours.Collation, theirs.Collation)
	}
	if s.Target, ok = three(same[int], m.hasBase, m.base.Target, ours.Target, theirs.Target); !ok {
		return nil, conflictf("the size of leaves was changed on both sides: %d and %d", ours.Target, theirs.Target)
	}
	s.Comment, _ = three(same[string], m.hasBase, m.base.Comment, ours.Comment, theirs.Comment)
	if err := s.Validate(); err != nil {
		return nil, conflict(err.Error())
	}
	return &m.out, nil
}

// pairRetyped gives a column that a side made anew under its name, with a type of another family, as ALTER TABLE does, its new id in the
// base and on the other side: it is one column, whose values are converted. Columns of the primary key are left out.
func (m *schemaMerger) pairRetyped() {
	if !m.hasBase {
		return
	}
	var base map[uint64]uint64
	var sides [2]map[uint64]uint64
	for i := range m.base.Columns {
		b := &m.base.Columns[i]
		if m.base.InPrimaryKey(b.ID) {
			continue
		}
		// anew is the column of a side in its place.
		anew := func(s *schema.Schema) *schema.Column {
			at := s.ColumnIndex(b.Name)
			if s.ColumnByID(b.ID) >= 0 || at < 0 || m.base.ColumnByID(s.Columns[at].ID) >= 0 || s.InPrimaryKey(s.Columns[at].ID) || s.Columns[at].Generated != "" || b.Generated != "" {
				return nil
			}
			return &s.Columns[at]
		}
		o, t := anew(m.ours), anew(m.theirs)
		put := func(in *map[uint64]uint64, to uint64) {
			if *in == nil {
				*in = map[uint64]uint64{}
			}
			(*in)[b.ID] = to
		}
		switch {
		case o != nil && t != nil && o.ID == t.ID:
			put(&base, o.ID)
		case o != nil && column(m.theirs, b.ID) != nil && m.theirs.ColumnByID(o.ID) < 0:
			put(&base, o.ID)
			put(&sides[1], o.ID)
		case t != nil && column(m.ours, b.ID) != nil && m.ours.ColumnByID(t.ID) < 0:
			put(&base, t.ID)
			put(&sides[0], t.ID)
		}
	}
	m.renumber(base, sides)
}

// renumber gives columns of the base and of the sides other ids.
func (m *schemaMerger) renumber(base map[uint64]uint64, sides [2]map[uint64]uint64) {
	m.out.base.renumber(base)
	m.out.sides[0].renumber(sides[0])
	m.out.sides[1].renumber(sides[1])
	if m.hasBase {
		m.base = m.out.base.schema
	}
	m.ours, m.theirs = m.out.sides[0].schema, m.out.sides[1].schema
}

// pairByName gives columns that both sides added under different ids, but with one name and type, the id of ours.
func (m *schemaMerger) pairByName() {
	renamed := map[uint64]uint64{}
	for i := range m.theirs.Columns {
		t := &m.theirs.Columns[i]
		j := m.ours.ColumnIndex(t.Name)
		if j < 0 || m.ours.ColumnByID(t.ID) >= 0 || m.base.ColumnByID(t.ID) >= 0 {
			continue
		}
		o := &m.ours.Columns[j]
		if o.Type.Equal(t.Type) && m.theirs.ColumnByID(o.ID) < 0 && m.base.ColumnByID(o.ID) < 0 {
			renamed[t.ID] = o.ID
		}
	}
	m.renumber(nil, [2]map[uint64]uint64{nil, renamed})
}

// columns merges the columns and their order.
func (m *schemaMerger) columns() ([]schema.Column, error) {
	merged := map[uint64]schema.Column{}
	for _, id := range m.ids() {
		b, o, t := column(m.base, id), column(m.ours, id), column(m.theirs, id)
		switch {
		case o != nil && t != nil:
			c, err := mergeColumn(b, o, t)
			if err != nil {
				return nil, err
			}
			merged[id] = c
		case b == nil && o != nil:
			merged[id] = *o
		case b == nil && t != nil:
			merged[id] = *t
		case o != nil: // dropped by theirs
			if !sameDefinition(b, o) {
				return nil, conflictf("column '%s' was dropped in theirs and modified in ours", o.Name)
			}
			m.out.lost[0] = append(m.out.lost[0], id)
		case t != nil:
			if !sameDefinition(b, t) {
				return nil, conflictf("column '%s' was dropped in ours and modified in theirs", t.Name)
			}
			m.out.lost[1] = append(m.out.lost[1], id)
		}
	}
	order := m.order(merged)
	out := make([]schema.Column, len(order))
	names := map[string]uint64{}
	for i, id := range order {
		out[i] = merged[id]
		l := strings.ToLower(out[i].Name)
		if other, taken := names[l]; taken {
			a := merged[other]
			return nil, conflictf("incompatible column types for column '%s': %s and %s", out[i].Name, a.Type, out[i].Type)
		}
		names[l] = id
	}
	if len(out) == 0 {
		return nil, conflictf("no column is left: each side dropped what the other kept")
	}
	return out, nil
}

// ids is the ids of all columns: those of ours, then those of theirs alone.
func (m *schemaMerger) ids() []uint64 {
	var out []uint64
	for i := range m.ours.Columns {
		out = append(out, m.ours.Columns[i].ID)
	}
	for i := range m.theirs.Columns {
		if id := m.theirs.Columns[i].ID; m.ours.ColumnByID(id) < 0 {
			out = append(out, id)
		}
	}
	return out
}

func column(s *schema.Schema, id uint64) *schema.Column {
	if i := s.ColumnByID(id); i >= 0 {
		return &s.Columns[i]
	}
	return nil
}

// order is the ids of the merged columns in order: that of ours, unless only theirs moved columns, and columns that the other side
// added behind the one that they follow there.
func (m *schemaMerger) order(merged map[uint64]schema.Column) []uint64 {
	first, second := m.ours, m.theirs
	if m.hasBase && slices.Equal(m.common(m.ours), m.common(m.base)) {
		// Ours left the order alone. Of equal orders ours comes first as well, so that its new columns do.
		if !slices.Equal(m.common(m.theirs), m.common(m.base)) {
			first, second = second, first
		}
	}
	var out []uint64
	for i := range first.Columns {
		if id := first.Columns[i].ID; hasColumn(merged, id) {
			out = append(out, id)
		}
	}
	after := -1 // place in out of the column before
	for i := range second.Columns {
		id := second.Columns[i].ID
		if at := slices.Index(out, id); at >= 0 {
			after = at
			continue
		}
		if !hasColumn(merged, id) {
			continue
		}
		at := after + 1
		for at < len(out) && first.ColumnByID(out[at]) >= 0 && second.ColumnByID(out[at]) < 0 {
			at++ // behind what the first side added at the same place
		}
		out = slices.Insert(out, at, id)
		after = at
	}
	return out
}

func hasColumn(m map[uint64]schema.Column, id uint64) bool { _, ok := m[id]; return ok }

// common is the ids that all three schemas have, in the order of s.
func (m *schemaMerger) common(s *schema.Schema) []uint64 {
	var out []uint64
	for i := range s.Columns {
		id := s.Columns[i].ID
		if m.base.ColumnByID(id) >= 0 && m.ours.ColumnByID(id) >= 0 && m.theirs.ColumnByID(id) >= 0 {
			out = append(out, id)
		}
	}
	return out
}

// sameDefinition tells whether a column is as it was, comment aside.
func sameDefinition(a, b *schema.Column) bool {
	return a.Name == b.Name && a.Type.Equal(b.Type) && a.Nullable == b.Nullable && a.HasDefault == b.HasDefault && a.Default == b.Default &&
		a.OnUpdate == b.OnUpdate && a.Generated == b.Generated && a.Stored == b.Stored && a.AutoIncrement == b.AutoIncrement
}

// mergeColumn merges the properties of a column; b is nil when both sides added it.
func mergeColumn(b, o, t *schema.Column) (schema.Column, error) {
	c := schema.Column{ID: o.ID}
	hasBase := b != nil
	if b == nil {
		b = &schema.Column{}
	}
	var ok bool
	if c.Name, ok = three(same[string], hasBase, b.Name, o.Name, t.Name); !ok {
		return c, conflictf("column '%s' was renamed to '%s' in ours and to '%s' in theirs", b.Name, o.Name, t.Name)
	}
	if c.Type, ok = three(value.Type.Equal, hasBase, b.Type, o.Type, t.Type); !ok {
		return c, conflictf("incompatible column types for column '%s': %s and %s", o.Name, o.Type, t.Type)
	}
	if c.Absent, ok = three(value.Cell.Equal, hasBase, b.Absent, o.Absent, t.Absent); !ok {
		return c, conflictf("column '%s' was given different values for the rows that were there", o.Name)
	}
	if c.Nullable, ok = three(same[bool], hasBase, b.Nullable, o.Nullable, t.Nullable); !ok {
		return c, conflictf("column '%s' may be NULL on one side only", o.Name)
	}
	type def struct {
		has  bool
		text string
	}
	d, ok := three(same[def], hasBase, def{b.HasDefault, b.Default}, def{o.HasDefault, o.Default}, def{t.HasDefault, t.Default})
	if !ok {
		return c, conflictf("column '%s' has the default %s in ours and %s in theirs", o.Name, defaultText(o), defaultText(t))
	}
	c.HasDefault, c.Default = d.has, d.text
	if c.OnUpdate, ok = three(same[string], hasBase, b.OnUpdate, o.OnUpdate, t.OnUpdate); !ok {
		return c, conflictf("column '%s' has different ON UPDATE clauses", o.Name)
	}
	type gen struct {
		text   string
		stored bool
	}
	g, ok := three(same[gen], hasBase, gen{b.Generated, b.Stored}, gen{o.Generated, o.Stored}, gen{t.Generated, t.Stored})
	if !ok {
		return c, conflictf("column '%s' is generated differently on the two sides", o.Name)
	}
	c.Generated, c.Stored = g.text, g.stored
	if c.AutoIncrement, ok = three(same[bool], hasBase, b.AutoIncrement, o.AutoIncrement, t.AutoIncrement); !ok {
		return c, conflictf("column '%s' is AUTO_INCREMENT on one side only", o.Name)
	}
	c.Comment, _ = three(same[string], hasBase, b.Comment, o.Comment, t.Comment)
	return c, nil
}

func defaultText(c *schema.Column) string {
	if !c.HasDefault {
		return "none"
	}
	return c.Default
}

// primaryKey merges the primary key.
func (m *schemaMerger) primaryKey(s *schema.Schema) error {
	eq := func(a, b []schema.IndexColumn) bool { return slices.Equal(a, b) }
	key, ok := three(eq, m.hasBase, m.base.PrimaryKey, m.ours.PrimaryKey, m.theirs.PrimaryKey)
	if !ok {
		return conflictf("the sides have different primary keys")
	}
	for _, k := range key {
		if column(s, k.Column) == nil {
			return conflictf("a column of the primary key was dropped on the other side")
		}
	}
	s.PrimaryKey = key
	if m.hasBase && !eq(m.ours.PrimaryKey, m.theirs.PrimaryKey) {
		m.out.rekeyed = [2]bool{!eq(m.base.PrimaryKey, m.ours.PrimaryKey), !eq(m.base.PrimaryKey, m.theirs.PrimaryKey)}
	}
	return nil
}

// named merges lists of named things: those of ours in their order, then those that theirs added.
func named[T any](what string, hasBase bool, base, ours, theirs []T, name func(*T) string, eq func(a, b *T) bool) ([]T, error) {
	find := func(list []T, n string) *T {
		for i := range list {
			if strings.EqualFold(name(&list[i]), n) {
				return &list[i]
			}
		}
		return nil
	}
	var out []T
	for i := range ours {
		o := &ours[i]
		b, t := find(base, name(o)), find(theirs, name(o))
		switch {
		case t == nil && b == nil: // added by ours
			out = append(out, *o)
		case t == nil:
			if !eq(b, o) {
				return nil, conflictf("%s '%s' was dropped in theirs and modified in ours", what, name(o))
			}
		case eq(o, t), b != nil && eq(b, t):
			out = append(out, *o)
		case b != nil && eq(b, o):
			out = append(out, *t)
		default:
			return nil, conflictf("%s '%s' was defined differently on the two sides", what, name(o))
		}
	}
	for i := range theirs {
		t := &theirs[i]
		if find(ours, name(t)) != nil {
			continue
		}
		b := find(base, name(t))
		if b == nil {
			out = append(out, *t)
		} else if !eq(b, t) {
			return nil, conflictf("%s '%s' was dropped in ours and modified in theirs", what, name(t))
		}
	}
	return out, nil
}

// indexes merges the secondary indexes. An index over columns of which one was dropped on the other side loses it, as DROP COLUMN
// does, unless the index itself is new or changed.
func (m *schemaMerger) indexes(s *schema.Schema) error {
	eq := func(a, b *schema.Index) bool { return a.Unique == b.Unique && slices.Equal(a.Columns, b.Columns) }
	out, err := named("index", m.hasBase, m.base.Indexes, m.ours.Indexes, m.theirs.Indexes, func(x *schema.Index) string { return x.Name }, eq)
	if err != nil {
		return err
	}
	for i := range out {
		x := &out[i]
		for _, k := range x.Columns {
			if column(s, k.Column) == nil {
				return conflictf("index '%s' is over a column that was dropped on the other side", x.Name)
			}
		}
		comment := func(from *schema.Schema) string {
			if j := from.IndexByName(x.Name); j >= 0 {
				return from.Indexes[j].Comment
			}
			return ""
		}
		x.Comment, _ = three(same[string], m.hasBase, comment(m.base), comment(m.ours), comment(m.theirs))
	}
	s.Indexes = out
	return nil
}

// references merges the foreign keys. One over a column that was dropped on the other side is a conflict.
func (m *schemaMerger) references(s *schema.Schema) error {
	out, err := named("foreign key", m.hasBase, m.base.References, m.ours.References, m.theirs.References,
		func(f *schema.ForeignKey) string { return f.Name }, (*schema.ForeignKey).Equal)
	if err != nil {
		return err
	}
	for i := range out {
		for _, id := range out[i].Columns {
			if column(s, id) == nil {
				return conflictf("foreign key '%s' is over a column that was dropped on the other side", out[i].Name)
			}
		}
	}
	s.References = out
	for i := range out {
		m.keepIndex(s, out[i].Columns)
	}
	return nil
}

// keepIndex brings back an index that one side dropped when a foreign key of the merged schema has no other over its columns.
func (m *schemaMerger) keepIndex(s *schema.Schema, columns []uint64) {
	if leads(s.PrimaryKey, columns) || slices.ContainsFunc(s.Indexes, func(x schema.Index) bool { return leads(x.Columns, columns) }) {
		return
	}
	for _, from := range []*schema.Schema{m.ours, m.theirs} {
		at := slices.IndexFunc(from.Indexes, func(x schema.Index) bool {
			return leads(x.Columns, columns) && s.IndexByName(x.Name) < 0 && !slices.ContainsFunc(x.Columns, func(k schema.IndexColumn) bool { return column(s, k.Column) == nil })
		})
		if at >= 0 {
			s.Indexes = append(s.Indexes, from.Indexes[at])
			return
		}
	}
}

func (m *schemaMerger) checks(s *schema.Schema) error {
	out, err := named("check", m.hasBase, m.base.Checks, m.ours.Checks, m.theirs.Checks,
		func(c *schema.Check) string { return c.Name }, func(a, b *schema.Check) bool { return a.Expr == b.Expr && a.Enforced == b.Enforced })
	s.Checks = out
	return err
}
