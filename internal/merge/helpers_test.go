package merge_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/fsck"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/merge"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
	"github.com/stemmadb/stemma/internal/vfs"
)

// fataler is a *testing.T or a *rapid.T.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func ok(t fataler, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v", err)
	}
}

// column makes a column with the id that it has in a new table.
func column(name string, k value.Kind, absent value.Cell, taken ...schema.Column) schema.Column {
	typ := value.Type{Kind: k}
	switch k {
	case value.KindVarchar:
		typ.Length = 50
	case value.KindText:
		typ.Length = 65535
	case value.KindDecimal:
		typ.Precision, typ.Scale = 10, 2
	}
	return schema.Column{ID: schema.AssignID(name, typ, taken, nil), Name: name, Type: typ, Nullable: true, Absent: absent}
}

// keyed is a schema whose first column is the key.
func keyed(cols ...schema.Column) *schema.Schema {
	cols = slices.Clone(cols)
	cols[0].Nullable = false
	return &schema.Schema{Columns: cols, PrimaryKey: []schema.IndexColumn{{Column: cols[0].ID}}}
}

func index(s *schema.Schema, name string, unique bool, cols ...string) *schema.Schema {
	c := s.Clone()
	x := schema.Index{Name: name, Unique: unique}
	for _, n := range cols {
		x.Columns = append(x.Columns, schema.IndexColumn{Column: c.Columns[c.ColumnIndex(n)].ID})
	}
	c.Indexes = append(c.Indexes, x)
	return c
}

func compile(t fataler, s *schema.Schema) *schema.Compiled {
	t.Helper()
	c, err := schema.Compile(s)
	ok(t, err)
	return c
}

var null = value.Null

func i(v int64) value.Cell   { return value.IntCell(v) }
func s(v string) value.Cell  { return value.BytesCell([]byte(v)) }
func f(v float64) value.Cell { return value.FloatCell(v) }

// row makes cells of what Go has: int, float64, string, nil. Strings that look like JSON are made canonical.
func row(vals ...any) []value.Cell {
	out := make([]value.Cell, len(vals))
	for n, v := range vals {
		switch v := v.(type) {
		case int:
			out[n] = i(int64(v))
		case float64:
			out[n] = f(v)
		case string:
			out[n] = s(v)
			if strings.HasPrefix(v, "{") || strings.HasPrefix(v, "[") {
				doc, err := value.CanonicalJSON(nil, []byte(v))
				if err != nil {
					panic(err)
				}
				out[n] = value.BytesCell(doc)
			}
		}
	}
	return out
}

// build makes a table of rows in the order given.
func build(t fataler, st chunk.Store, sch *schema.Schema, rows ...[]value.Cell) *table.Table {
	t.Helper()
	return edit(t, st, table.Empty(compile(t, sch)), func(ctx context.Context, e *table.Editor) {
		for _, r := range rows {
			if sch.Keyless() {
				r = append([]value.Cell{null}, r...)
			}
			ok(t, e.Insert(ctx, r))
		}
	})
}

func edit(t fataler, st chunk.Store, tab *table.Table, fn func(ctx context.Context, e *table.Editor)) *table.Table {
	t.Helper()
	ctx := context.Background()
	e := table.NewEditor(st, table.NewView(st, tab, nil))
	fn(ctx, e)
	out, err := e.View().Fold(ctx, st)
	ok(t, err)
	return out
}

// rootOf is a database of tables by name.
func rootOf(t fataler, st chunk.Store, tables map[string]*table.Table) tree.Root {
	t.Helper()
	ctx := context.Background()
	var changes []root.Change
	for n, tab := range tables {
		h, err := tab.Put(ctx, st)
		ok(t, err)
		changes = append(changes, root.Change{Entry: root.Entry{Kind: root.KindTable, Name: n, Table: h, Comments: tab.Schema.EncodeComments()}})
	}
	r, err := root.Open(st, tree.Root{}).With(ctx, st, changes...)
	ok(t, err)
	return r.Tree()
}

func options() merge.Options {
	fs := vfs.NewMem()
	dir := string(filepath.Separator) + "tmp"
	if err := fs.MkdirAll(dir); err != nil {
		panic(err)
	}
	return merge.Options{FS: fs, TempDir: dir, Memory: 1 << 20}
}

// merged merges and has every tree verified.
func merged(t fataler, st chunk.Store, base, ours, theirs tree.Root, opt ...merge.Options) *merge.Result {
	t.Helper()
	o := options()
	if len(opt) > 0 {
		o.NoJSON = opt[0].NoJSON
	}
	res, err := merge.Roots(context.Background(), st, base, ours, theirs, o)
	ok(t, err)
	violated := slices.ContainsFunc(res.Tables, func(x history.MergeTable) bool { return !x.Violations.IsEmpty() })
	var problems []string
	c := fsck.New(st, func(p fsck.Problem) {
		if !violated || !strings.Contains(p.String(), "unique index") {
			problems = append(problems, p.String())
		}
	}, nil)
	ok(t, c.Check(context.Background(), fsck.Start{Name: "merged", Root: res.Root.Tree()}))
	if len(problems) > 0 {
		t.Fatalf("the merged tables are not sound:\n%s", strings.Join(problems, "\n"))
	}
	return res
}

func open(t fataler, st chunk.Store, r *root.Root, name string) *table.Table {
	t.Helper()
	e, found, err := r.Get(context.Background(), root.KindTable, name)
	ok(t, err)
	if !found {
		return nil
	}
	tab, err := table.Open(context.Background(), st, &schema.Cache{}, e.Table, e.Comments)
	ok(t, err)
	return tab
}

// dump is the rows of a table as lines of text.
func dump(t fataler, st chunk.Store, tab *table.Table) []string {
	t.Helper()
	if tab == nil {
		return []string{"no table"}
	}
	ctx := context.Background()
	out := []string{}
	cells := make([]value.Cell, len(tab.Schema.Primary.Phys))
	scan := table.NewView(st, tab, nil).Scan(table.ScanOptions{Rows: table.RowsTree})
	for {
		b, more, err := scan.Next(ctx)
		ok(t, err)
		if !more {
			return out
		}
		for n := b.Lo; n < b.Hi; n++ {
			ok(t, b.Page.Row(ctx, b.Page.AppendKey(nil, n), n, cells))
			out = append(out, line(t, st, tab.Schema.Schema, cells))
		}
	}
}

// line writes a row of the rows' layout.
func line(t fataler, st chunk.Store, sch *schema.Schema, cells []value.Cell) string {
	t.Helper()
	if sch.Keyless() {
		cells = cells[1:]
	}
	var out []string
	for c := range sch.Columns {
		cell, err := table.Resolve(context.Background(), st, cells[c])
		ok(t, err)
		if cell.IsNull() {
			out = append(out, "NULL")
			continue
		}
		out = append(out, string(value.AppendText(nil, sch.Columns[c].Type, cell)))
	}
	return strings.Join(out, ",")
}

// names is the columns of a table.
func names(tab *table.Table) string {
	var out []string
	for c := range tab.Schema.Columns {
		out = append(out, tab.Schema.Columns[c].Name)
	}
	return strings.Join(out, ",")
}

// leftovers describes what a merge has left.
func leftovers(t fataler, st chunk.Store, res *merge.Result) []string {
	t.Helper()
	ctx := context.Background()
	var out []string
	for _, x := range res.Tables {
		if x.Schema != "" {
			out = append(out, x.Name+": "+x.Schema)
		}
		tab := open(t, st, res.Root, x.Name)
		each := func(r tree.Root, fn func(key, row []byte)) {
			c := tree.New(st, history.ArtifactFormat(), r).Cursor()
			ok(t, c.First(ctx))
			for c.Valid() {
				v, err := c.Row(ctx, nil)
				ok(t, err)
				fn(c.Key(nil), v)
				ok(t, c.Next(ctx))
			}
		}
		at := func(tab *table.Table, key []byte) string {
			cells := make([]value.Cell, len(tab.Schema.Primary.Phys))
			found, err := table.NewView(st, tab, nil).Get(ctx, key, cells)
			ok(t, err)
			if !found {
				return "gone"
			}
			return line(t, st, tab.Schema.Schema, cells)
		}
		each(x.Conflicts, func(key, _ []byte) {
			var sides []string
			for _, e := range []root.Entry{x.Base, x.Ours, x.Theirs} {
				if e.Kind == 0 {
					sides = append(sides, "gone")
					continue
				}
				side, err := table.Open(ctx, st, &schema.Cache{}, e.Table, e.Comments)
				ok(t, err)
				sides = append(sides, at(side, key))
			}
			out = append(out, fmt.Sprintf("%s: conflict %s", x.Name, strings.Join(sides, " | ")))
		})
		each(x.Violations, func(key, info []byte) {
			kind, _, rk, err := history.SplitViolationKey(key)
			ok(t, err)
			out = append(out, fmt.Sprintf("%s: %s %s %s", x.Name, kind, at(tab, rk), info))
		})
	}
	return out
}

func wantLines(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n  %s\nwant:\n  %s", what, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}
