package merge

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
)

// source is a state whose rows are compared with the merged ones: indexes that it has are edited, and rows that come from the other
// side are checked for what it forbids.
type source struct {
	rows    tree.Root
	indexes []*indexMerge
	notNull []int // columns of the merged schema
	checks  []int // of the merged schema
}

// indexMerge is an index that is brought up to the merged rows.
type indexMerge struct {
	n       int       // in the merged schema
	root    tree.Root // before
	entries *table.IndexEntries
	sorter  *table.Sorter
}

// violation is a row that violates a constraint.
type violation struct {
	key  []byte // history.ViolationKey
	info []byte
}

// follow gives out the indexes of its rows and tells which rows violate constraints.
func (m *tableMerger) follow(ctx context.Context, out *table.Table) (left tree.Root, err error) {
	ours, theirs, none := &source{rows: m.ours.rows}, &source{rows: m.theirs.rows}, &source{}
	for n := range m.sch.Indexes {
		x := &indexMerge{n: n}
		switch {
		case !m.plan.sides[0].changed && m.indexOf(m.ours.t, n, &x.root):
			ours.indexes = append(ours.indexes, x)
		case !m.plan.sides[1].changed && m.indexOf(m.theirs.t, n, &x.root):
			theirs.indexes = append(theirs.indexes, x)
		default:
			none.indexes = append(none.indexes, x)
		}
	}
	for i := range m.sch.Columns {
		c := &m.sch.Columns[i]
		if c.Nullable || c.Generated != "" && !c.Stored || m.sch.InPrimaryKey(c.ID) {
			continue
		}
		if o := column(m.ours.ids, c.ID); o != nil && !o.Nullable {
			if t := column(m.theirs.ids, c.ID); t == nil && c.Absent.IsNull() || t != nil && t.Nullable {
				ours.notNull = append(ours.notNull, i)
			}
		} else {
			theirs.notNull = append(theirs.notNull, i)
		}
	}
	for _, i := range enforced(m.sch.Schema) {
		if holds(m.ours.ids, &m.sch.Checks[i]) {
			ours.checks = append(ours.checks, i)
		} else {
			theirs.checks = append(theirs.checks, i)
		}
	}
	var found []violation
	for _, s := range []*source{ours, theirs, none} {
		if err := m.compare(ctx, s, out.Rows, &found); err != nil {
			return left, err
		}
		for _, x := range s.indexes {
			if err := m.finishIndex(ctx, x, out, &found); err != nil {
				return left, err
			}
		}
	}
	return m.keep(ctx, found)
}

// keep puts violations into a tree.
func (m *merger) keep(ctx context.Context, found []violation) (tree.Root, error) {
	if len(found) == 0 {
		return tree.Root{}, nil
	}
	slices.SortFunc(found, func(a, b violation) int { return bytes.Compare(a.key, b.key) })
	found = slices.CompactFunc(found, func(a, b violation) bool { return bytes.Equal(a.key, b.key) })
	b := tree.NewBuilder(m.st, history.ArtifactFormat(), tree.BuilderOptions{})
	defer b.Close()
	for _, v := range found {
		if err := b.Add(ctx, v.key, v.info); err != nil {
			return tree.Root{}, err
		}
	}
	return b.Finish(ctx)
}

// indexOf finds index n of the merged schema in a table whose index has the same layout.
func (m *tableMerger) indexOf(t *table.Table, n int, root *tree.Root) bool {
	x := &m.sch.Indexes[n]
	at := t.Schema.IndexByName(x.Name)
	if at < 0 || !sameLayout(t.Schema.Index[at], m.sch.Index[n]) {
		return false
	}
	*root = t.Indexes[at]
	return true
}

// sameLayout tells whether two layouts of indexes build the same trees of the same rows.
func sameLayout(a, b *schema.Layout) bool {
	x, y := a.Format.Layout(), b.Format.Layout()
	if x.Target != y.Target || len(x.Columns) != len(y.Columns) || !slices.Equal(x.Key, y.Key) {
		return false
	}
	for i := range x.Columns {
		c, d := &x.Columns[i], &y.Columns[i]
		if c.ID != d.ID || !sameWeight(c.Type, d.Type) || c.Type.Collation != d.Type.Collation || !c.Absent.Equal(d.Absent) || a.Source[i].Prefix != b.Source[i].Prefix {
			return false
		}
	}
	return true
}

// compare walks what differs between a source and the merged rows: it collects edits of indexes, rows with NULL where the source
// has none and rows that violate checks.
func (m *tableMerger) compare(ctx context.Context, s *source, merged tree.Root, found *[]violation) error {
	checks, err := m.newCheckBatch(ctx, s.checks, found)
	if err != nil {
		return err
	}
	if len(s.indexes)+len(s.notNull) == 0 && checks == nil {
		return nil
	}
	for _, x := range s.indexes {
		x.entries = table.NewIndexEntries(m.st, m.sch, x.n)
		x.sorter = table.NewSorter(m.opt.FS, m.opt.TempDir, m.opt.Memory/(len(s.indexes)+1))
	}
	phys := m.sch.Primary.Phys
	before, after := make([]value.Cell, len(phys)), make([]value.Cell, len(phys))
	var rowA, rowB, oldKey, oldTuple, newKey, newTuple []byte
	shift := hidden(m.sch.Schema)
	err = tree.Diff(ctx, m.st, m.sch.Primary.Format, s.rows, merged, nil, nil, func(c tree.Change) (err error) {
		if c.A != nil && len(s.indexes) > 0 {
			if rowA, err = c.A.AppendRow(ctx, rowA[:0], c.AI); err != nil {
				return err
			}
			if err := value.DecodeTuple(rowA, phys, before); err != nil {
				return err
			}
		}
		if c.B != nil {
			if rowB, err = c.B.AppendRow(ctx, rowB[:0], c.BI); err != nil {
				return err
			}
			if err := value.DecodeTuple(rowB, phys, after); err != nil {
				return err
			}
			for _, i := range s.notNull {
				if after[shift+i].IsNull() {
					name := m.sch.Columns[i].Name
					*found = append(*found, newViolation(history.NotNullViolation, name, c.AppendKey(nil), []string{name}))
				}
			}
			if checks != nil {
				if err := checks.add(ctx, c.AppendKey(nil), after); err != nil {
					return err
				}
			}
		}
		for _, x := range s.indexes {
			oldKey, oldTuple, newKey, newTuple = oldKey[:0], oldTuple[:0], newKey[:0], newTuple[:0]
			if c.A != nil {
				if oldKey, oldTuple, err = x.entries.Append(ctx, oldKey, oldTuple, before); err != nil {
					return err
				}
			}
			if c.B != nil {
				// The first byte says that there is an entry.
				if newKey, newTuple, err = x.entries.Append(ctx, newKey, append(newTuple, 1), after); err != nil {
					return err
				}
			}
			if c.A != nil && (c.B == nil || !bytes.Equal(oldKey, newKey)) {
				if err := x.sorter.Add(oldKey, []byte{0}); err != nil {
					return err
				}
			}
			if c.B != nil && (c.A == nil || !bytes.Equal(oldKey, newKey) || !bytes.Equal(oldTuple, newTuple[1:])) {
				if err := x.sorter.Add(newKey, newTuple); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return checks.flush(ctx)
}

// indexEdits gives sorted entries as edits.
type indexEdits struct{ sorted *table.Sorted }

// Next implements tree.EditSource.
func (e indexEdits) Next(ctx context.Context) (tree.Edit, bool, error) {
	k, r, ok, err := e.sorted.Next(ctx)
	if err != nil || !ok {
		return tree.Edit{}, false, err
	}
	if r[0] == 0 {
		return tree.Edit{Key: k}, true, nil
	}
	return tree.Edit{Key: k, Row: r[1:]}, true, nil
}

// finishIndex applies the edits of an index and looks for rows that it should not have both.
func (m *tableMerger) finishIndex(ctx context.Context, x *indexMerge, out *table.Table, found *[]violation) (err error) {
	defer func() {
		if e := x.sorter.Close(); err == nil {
			err = e
		}
	}()
	sorted, err := x.sorter.Sort()
	if err != nil {
		return err
	}
	f := m.sch.Index[x.n].Format
	if out.Indexes[x.n], err = tree.Apply(ctx, m.st, f, x.root, indexEdits{sorted}); err != nil {
		return err
	}
	return m.findTwins(ctx, out, x.n, x.root, found)
}

// findTwins lists the rows of t that have one value in unique index n, of entries that are not in the index's tree before.
func (m *tableMerger) findTwins(ctx context.Context, t *table.Table, n int, before tree.Root, found *[]violation) error {
	if !m.sch.Indexes[n].Unique {
		return nil
	}
	u := &uniques{m: m, v: table.NewView(m.st, t, nil), n: n, found: found}
	if before.IsEmpty() {
		return u.all(ctx)
	}
	return tree.Diff(ctx, m.st, m.sch.Index[n].Format, before, t.Indexes[n], nil, nil, func(c tree.Change) error {
		if c.B == nil {
			return nil
		}
		prefix, err := u.prefix(c.B.AppendKey(nil, c.BI))
		if err != nil || prefix == nil {
			return err
		}
		return u.look(ctx, prefix)
	})
}

// uniques looks for entries of a unique index with equal values.
type uniques struct {
	m     *tableMerger
	v     *table.View
	n     int
	found *[]violation
}

// prefix is the part of an entry's key that must be unique; nil when a value is NULL.
func (u *uniques) prefix(key []byte) ([]byte, error) {
	l := u.m.sch.Index[u.n]
	at := 0
	for i := range u.m.sch.Indexes[u.n].Columns {
		n := value.KeyPartLen(key[at:], &l.Parts[i])
		if n < 0 {
			return nil, errs.New(errs.Corrupt, "read index %s: malformed key", u.m.sch.Indexes[u.n].Name)
		}
		if n == 1 {
			return nil, nil
		}
		at += n
	}
	return key[:at], nil
}

// look lists the rows with the values of prefix when they are several.
func (u *uniques) look(ctx context.Context, prefix []byte) error {
	var rows [][]byte
	err := u.scan(ctx, prefix, value.PrefixEnd(prefix), func(_, row []byte) error {
		rows = append(rows, row)
		return nil
	})
	if err != nil || len(rows) < 2 {
		return err
	}
	for _, r := range rows {
		u.list(r)
	}
	return nil
}

// all looks through the whole index.
func (u *uniques) all(ctx context.Context) error {
	var last, lastRow []byte
	listed := false
	return u.scan(ctx, nil, nil, func(key, row []byte) error {
		p, err := u.prefix(key)
		if err != nil {
			return err
		}
		if p != nil && last != nil && bytes.Equal(p, last) {
			if !listed {
				u.list(lastRow)
			}
			listed = true
			u.list(row)
		} else {
			listed = false
		}
		last, lastRow = p, row
		return nil
	})
}

// scan gives the keys of the entries in [lo,hi) and of the rows that they name, in memory that stays.
func (u *uniques) scan(ctx context.Context, lo, hi []byte, fn func(key, row []byte) error) error {
	l := u.m.sch.Index[u.n]
	cells := make([]value.Cell, len(l.Phys))
	s := u.v.Scan(table.ScanOptions{Rows: table.Rows(u.n), Lo: lo, Hi: hi})
	for {
		b, ok, err := s.Next(ctx)
		if err != nil || !ok {
			return err
		}
		for i := b.Lo; i < b.Hi; i++ {
			for c := range cells {
				if cells[c], err = b.Page.Cell(ctx, c, i); err != nil {
					return err
				}
			}
			if err := fn(b.Page.AppendKey(nil, i), u.v.RowKey(u.n, cells)); err != nil {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return errs.With(errs.Canceled, err)
		}
	}
}

func (u *uniques) list(row []byte) {
	x := &u.m.sch.Indexes[u.n]
	cols := make([]string, len(x.Columns))
	for i, k := range x.Columns {
		cols[i] = column(u.m.sch.Schema, k.Column).Name
	}
	*u.found = append(*u.found, newViolation(history.UniqueViolation, x.Name, row, cols))
}

// newViolation describes a violation in the words of dolt_constraint_violations_<table>.violation_info.
func newViolation(kind history.ViolationKind, name string, row []byte, columns []string) violation {
	info := map[string]any{"Columns": columns}
	if kind == history.UniqueViolation {
		info["Name"] = name
	}
	b, err := json.Marshal(info)
	if err != nil { // strings always encode
		b = []byte("{}")
	}
	return violation{key: history.ViolationKey(kind, name, row), info: b}
}
