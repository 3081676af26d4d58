package merge

import (
	"bytes"
	"context"
	"slices"

	"github.com/stemmadb/stemma/internal/diff"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
)

// side is a state of a table that is merged.
type side struct {
	t    *table.Table   // nil for none
	ids  *schema.Schema // t's schema with the ids of the merged one
	rows tree.Root      // its rows, which the merged layout can read
	// exact tells whether rows is what the merged layout would build from them: no other columns and the same weights.
	exact bool
}

// tableMerger merges one table.
type tableMerger struct {
	*merger
	name               string // of the table
	base, ours, theirs side
	sch                *schema.Compiled // merged
	plan               *mergedSchema
	generate           RowGenerator  // of the merged schema; nil when rows keep no generated columns, or nobody could evaluate them
	conflicts          *tree.Builder // nil until there is one
}

// merge gives the merged table and what is left to be resolved, nil for nothing. A conflict of schemas is an error of type conflict.
func (m *tableMerger) merge(ctx context.Context) (*table.Table, *history.MergeTable, error) {
	var base *schema.Schema
	if m.base.t != nil {
		base = m.base.t.Schema.Schema
	}
	var err error
	if m.plan, err = schemas(base, m.ours.t.Schema.Schema, m.theirs.t.Schema.Schema); err != nil {
		return nil, nil, err
	}
	if m.sch, err = schema.Compile(m.plan.schema); err != nil {
		return nil, nil, err
	}
	m.base.ids, m.ours.ids, m.theirs.ids = m.plan.base.schema, m.plan.sides[0].schema, m.plan.sides[1].schema
	if err := m.judge(ctx); err != nil {
		return nil, nil, err
	}
	if err := m.prepare(ctx); err != nil {
		return nil, nil, err
	}
	if m.base.t == nil {
		m.base.t, m.base.ids = table.Empty(m.sch), m.sch.Schema
	}
	if err := m.conform(ctx); err != nil {
		return nil, nil, err
	}
	out := &table.Table{Schema: m.sch, Indexes: make([]tree.Root, len(m.sch.Indexes))}
	left := &history.MergeTable{}
	if m.sch.Keyless() {
		out.Rows, err = m.keyless(ctx)
	} else {
		out.Rows, err = m.keyed(ctx)
	}
	if m.conflicts != nil {
		defer m.conflicts.Close()
	}
	if err != nil {
		return nil, nil, err
	}
	if m.conflicts != nil {
		if left.Conflicts, err = m.conflicts.Finish(ctx); err != nil {
			return nil, nil, err
		}
	}
	if left.Violations, err = m.follow(ctx, out); err != nil {
		return nil, nil, err
	}
	if left.Settled() {
		left = nil
	}
	return out, left, nil
}

// judge finds what stands against the merged schema in the rows: values in columns that the other side dropped, values that the
// other side's type does not take, and changed rows beside another key.
func (m *tableMerger) judge(ctx context.Context) error {
	if m.base.t == nil {
		return nil
	}
	for i, s := range []*side{&m.ours, &m.theirs} {
		word, other := "ours", "theirs"
		if i == 1 {
			word, other = other, word
		}
		if m.plan.rekeyed[1-i] && s.t.Rows != m.base.t.Rows {
			return conflictf("the primary key was changed in %s and rows were changed in %s", other, word)
		}
		narrowed := m.narrowed(s)
		lost := m.plan.lost[i]
		if len(lost)+len(narrowed) == 0 || s.t.Rows == m.base.t.Rows {
			continue
		}
		p, err := diff.NewPair(m.st, m.base.t, s.t)
		if err != nil {
			return err
		}
		cols := p.Columns()
		err = p.Each(ctx, diff.Options{}, func(c diff.Change) error {
			if c.Type == diff.Removed {
				return nil
			}
			for j := range cols {
				col := &cols[j]
				if col.To < 0 {
					continue
				}
				def := &s.t.Schema.Columns[col.To]
				if c.Type == diff.Modified && slices.Contains(lost, def.ID) {
					d, err := p.CellDiffers(ctx, c, col)
					if err != nil {
						return err
					}
					if d {
						return conflictf("column '%s' was dropped in %s and its values were changed in %s", def.Name, other, word)
					}
				}
				if to, ok := narrowed[s.ids.Columns[col.To].ID]; ok {
					cell, err := c.To.Cell(ctx, col.To)
					if err != nil {
						return err
					}
					if _, err := m.convert(ctx, def.Type, to, cell); err != nil {
						return conflictf("column '%s' has the type %s in %s, which values of %s do not fit", def.Name, to, other, word)
					}
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// narrowed is the columns of a side that have another type in the merged schema, with that type.
func (m *tableMerger) narrowed(s *side) map[uint64]value.Type {
	var out map[uint64]value.Type
	for i := range m.sch.Columns {
		c := &m.sch.Columns[i]
		if at := s.ids.ColumnByID(c.ID); at >= 0 && !s.ids.Columns[at].Type.Equal(c.Type) {
			if out == nil {
				out = map[uint64]value.Type{}
			}
			out[c.ID] = c.Type
		}
	}
	return out
}

// convert gives a value of one type as a cell of another. A value that does not fit is an error.
func (m *tableMerger) convert(ctx context.Context, from, to value.Type, c value.Cell) (value.Cell, error) {
	if c.IsNull() {
		return c, nil
	}
	c, err := table.Resolve(ctx, m.st, c)
	if err != nil {
		return c, err
	}
	return value.Parse(to, value.AppendText(nil, from, c))
}

// conform makes the rows of all sides readable with the merged layout.
func (m *tableMerger) conform(ctx context.Context) error {
	for _, s := range []*side{&m.base, &m.ours, &m.theirs} {
		from := s.t.Schema
		if !m.renumbered(s) && !m.ungenerated(s) && diff.Readable(from, m.sch) {
			s.rows, s.exact = s.t.Rows, exact(from.Schema, m.sch.Schema)
			continue
		}
		var err error
		if s.rows, err = m.rewrite(ctx, s); err != nil {
			return err
		}
		s.exact = true
	}
	return nil
}

// renumbered tells whether a side has other ids in its pages than the merged schema.
func (m *tableMerger) renumbered(s *side) bool {
	return s == &m.base && m.plan.base.changed || s == &m.ours && m.plan.sides[0].changed || s == &m.theirs && m.plan.sides[1].changed
}

// exact tells whether pages under one schema, which another can read, are the pages that it would build.
func exact(from, to *schema.Schema) bool {
	if from.Target != to.Target {
		return false
	}
	for i := range from.Columns {
		f := &from.Columns[i]
		at := to.ColumnByID(f.ID)
		if at < 0 || !sameWeight(f.Type, to.Columns[at].Type) {
			return false
		}
	}
	return true
}

// sameWeight tells whether cells of two types, which are the same cells, weigh the same.
func sameWeight(a, b value.Type) bool { return a.Kind == b.Kind && a.Phys() == b.Phys() }

// rewrite builds the rows of a side under the merged layout.
func (m *tableMerger) rewrite(ctx context.Context, s *side) (root tree.Root, err error) {
	plain := m.sch.Schema.Clone()
	plain.Indexes = nil
	to, err := schema.Compile(plain)
	if err != nil {
		return root, err
	}
	l, err := table.NewLoader(ctx, m.st, table.Empty(to), table.LoadOptions{FS: m.opt.FS, TempDir: m.opt.TempDir, Memory: m.opt.Memory})
	if err != nil {
		return root, err
	}
	defer func() {
		if e := l.Close(); err == nil {
			err = e
		}
	}()
	enc := table.NewEncoder(m.st, to)
	from, ids := s.t.Schema, s.ids
	shiftFrom, shiftTo := hidden(from.Schema), hidden(to.Schema)
	cells := make([]value.Cell, len(to.Primary.Phys))
	var key, tuple []byte
	add := func(cells []value.Cell) (err error) {
		if key, tuple, err = enc.Append(ctx, key[:0], tuple[:0], cells); err != nil {
			return err
		}
		return m.added(l.Add(ctx, key, tuple))
	}
	var held [][]value.Cell // rows whose generated columns are to be made
	flush := func() error {
		if err := m.generate(ctx, held); err != nil {
			return err
		}
		for _, cells := range held {
			if err := add(cells); err != nil {
				return err
			}
		}
		held = held[:0]
		return nil
	}
	generates := m.ungenerated(s)
	scan := table.NewView(m.st, s.t, nil).Scan(table.ScanOptions{Rows: table.RowsTree})
	for {
		b, ok, err := scan.Next(ctx)
		if err != nil {
			return root, err
		}
		if !ok {
			break
		}
		for i := b.Lo; i < b.Hi; i++ {
			if shiftTo == 1 {
				if shiftFrom == 1 {
					if cells[0], err = b.Page.Cell(ctx, 0, i); err != nil {
						return root, err
					}
				} else {
					cells[0] = value.IntCell(l.NextOrdinal())
				}
			}
			for c := range to.Columns {
				def := &to.Columns[c]
				at := ids.ColumnByID(def.ID)
				if at < 0 {
					cells[shiftTo+c] = def.Absent
					continue
				}
				cell, err := b.Page.Cell(ctx, shiftFrom+at, i)
				if err != nil {
					return root, err
				}
				if old := from.Columns[at].Type; !old.Equal(def.Type) {
					if cell, err = m.convert(ctx, old, def.Type, cell); err != nil {
						return root, conflictf("a value of column '%s' does not fit the type %s", def.Name, def.Type)
					}
				} else if to.InPrimaryKey(def.ID) {
					if cell, err = table.Resolve(ctx, m.st, cell); err != nil {
						return root, err
					}
				}
				cells[shiftTo+c] = cell
			}
			if !generates {
				if err := add(cells); err != nil {
					return root, err
				}
				continue
			}
			row := make([]value.Cell, len(cells))
			for c := range cells {
				row[c] = cells[c].Clone()
			}
			if held = append(held, row); len(held) == expressionRows {
				if err := flush(); err != nil {
					return root, err
				}
			}
		}
		if err := ctx.Err(); err != nil {
			return root, errs.With(errs.Canceled, err)
		}
	}
	if generates {
		if err := flush(); err != nil {
			return root, err
		}
	}
	out, _, err := l.Finish(ctx)
	if err = m.added(err); err != nil {
		return root, err
	}
	return out.Rows, nil
}

// added makes a conflict of rows that a new key makes equal.
func (m *tableMerger) added(err error) error {
	if errs.Is(err, errs.DuplicateKey) {
		return conflictf("rows have the same value under the new primary key: %v", err)
	}
	return err
}

// hidden is the number of cells before the first column.
func hidden(s *schema.Schema) int {
	if s.Keyless() {
		return 1
	}
	return 0
}

// keyed merges rows by primary key.
func (m *tableMerger) keyed(ctx context.Context) (tree.Root, error) {
	f := m.sch.Primary.Format
	switch {
	case m.ours.rows == m.theirs.rows && m.ours.exact:
		return m.ours.rows, nil
	case m.ours.rows == m.theirs.rows && m.theirs.exact:
		return m.theirs.rows, nil
	}
	if !m.ours.exact && !m.theirs.exact {
		var err error
		if m.ours.rows, err = m.rewrite(ctx, &m.ours); err != nil {
			return tree.Root{}, err
		}
		m.ours.exact = true
	}
	r := m.newRows()
	if m.ours.exact {
		src := readAhead(ctx, tree.Merge(m.st, f, m.base.rows, m.ours.rows, m.theirs.rows, func(c tree.Conflict) ([]byte, bool, error) {
			row, ok, err := r.settle(ctx, c.Base, c.Ours, c.Theirs)
			if err != nil || ok {
				return row, false, err
			}
			return nil, true, m.conflict(ctx, c.Key)
		}))
		defer src.stop()
		return tree.Apply(ctx, m.st, f, m.ours.rows, src)
	}
	// Ours has columns in its pages that theirs dropped: its changes go into the pages of theirs.
	src := readAhead(ctx, tree.Merge(m.st, f, m.base.rows, m.theirs.rows, m.ours.rows, func(c tree.Conflict) ([]byte, bool, error) {
		row, ok, err := r.settle(ctx, c.Base, c.Theirs, c.Ours)
		if err != nil || ok {
			return row, false, err
		}
		return c.Theirs, false, m.conflict(ctx, c.Key)
	}))
	defer src.stop()
	return tree.Apply(ctx, m.st, f, m.theirs.rows, src)
}

// conflict lists the key of a row. Keys come in order.
func (m *tableMerger) conflict(ctx context.Context, key []byte) error {
	if m.conflicts == nil {
		m.conflicts = tree.NewBuilder(m.st, history.ArtifactFormat(), tree.BuilderOptions{})
	}
	return m.conflicts.Add(ctx, bytes.Clone(key), []byte{})
}

// rows settles rows that both sides changed.
type rows struct {
	m                  *tableMerger
	enc                *table.Encoder
	phys               []value.Phys
	base, ours, theirs []value.Cell
	whole              bool   // rows merge as a whole
	made               []bool // by cell: generated
	ourLacks           []bool // by cell: the side's schema lacks the column
	theirLacks         []bool
	key, tuple         []byte
}

func (m *tableMerger) newRows() *rows {
	n := len(m.sch.Primary.Phys)
	r := &rows{
		m: m, enc: table.NewEncoder(m.st, m.sch), phys: m.sch.Primary.Phys,
		base: make([]value.Cell, n), ours: make([]value.Cell, n), theirs: make([]value.Cell, n),
		ourLacks: make([]bool, n), theirLacks: make([]bool, n), made: make([]bool, n),
		whole: m.opt.Expressions == nil && len(enforced(m.sch.Schema)) > 0 || m.generate == nil && len(generated(m.sch.Schema)) > 0,
	}
	shift := hidden(m.sch.Schema)
	for _, i := range generated(m.sch.Schema) {
		r.made[shift+i] = true
	}
	for i := range m.sch.Columns {
		id := m.sch.Columns[i].ID
		r.ourLacks[i] = m.ours.ids.ColumnByID(id) < 0
		r.theirLacks[i] = m.theirs.ids.ColumnByID(id) < 0
	}
	return r
}

// settle merges the tuples of a row that both sides changed; nil is an absent row. ok is false when they stand against each other.
func (r *rows) settle(ctx context.Context, base, ours, theirs []byte) (row []byte, ok bool, err error) {
	if ours == nil || theirs == nil || r.whole {
		return nil, false, nil
	}
	for _, x := range []struct {
		tuple []byte
		cells []value.Cell
	}{{base, r.base}, {ours, r.ours}, {theirs, r.theirs}} {
		if x.tuple == nil {
			continue
		}
		if err := value.DecodeTuple(x.tuple, r.phys, x.cells); err != nil {
			return nil, false, err
		}
	}
	for i := range r.ours {
		switch o, t := r.ours[i], r.theirs[i]; {
		case r.made[i], o.Equal(t), r.theirLacks[i]:
		case r.ourLacks[i]:
			r.ours[i] = t
		case base == nil:
			return nil, false, nil
		case o.Equal(r.base[i]):
			r.ours[i] = t
		case t.Equal(r.base[i]):
		default:
			c, ok, err := r.document(ctx, i)
			if err != nil || !ok {
				return nil, false, err
			}
			r.ours[i] = c
		}
	}
	if r.m.generate != nil {
		if err := r.m.generate(ctx, [][]value.Cell{r.ours}); err != nil {
			return nil, false, err
		}
	}
	if r.key, r.tuple, err = r.enc.Append(ctx, r.key[:0], r.tuple[:0], r.ours); err != nil {
		return nil, false, err
	}
	return r.tuple, true, nil
}

// document merges a JSON cell that both sides changed.
func (r *rows) document(ctx context.Context, i int) (c value.Cell, ok bool, err error) {
	if r.m.opt.NoJSON || r.m.sch.Columns[i].Type.Kind != value.KindJSON {
		return c, false, nil
	}
	var docs [3][]byte
	for k, x := range []value.Cell{r.base[i], r.ours[i], r.theirs[i]} {
		if x.IsNull() {
			return c, false, nil
		}
		if x, err = table.Resolve(ctx, r.m.st, x); err != nil {
			return c, false, err
		}
		docs[k] = x.Bytes()
	}
	out, ok, err := JSON(docs[0], docs[1], docs[2])
	return value.BytesCell(out), ok, err
}
