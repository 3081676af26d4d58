package diff_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/diff"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
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
	case value.KindVarchar, value.KindChar:
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
	return &schema.Schema{Columns: cols, PrimaryKey: []schema.IndexColumn{{Column: cols[0].ID}}}
}

func compile(t fataler, s *schema.Schema) *schema.Compiled {
	t.Helper()
	c, err := schema.Compile(s)
	ok(t, err)
	return c
}

// build makes a table of rows in the order given.
func build(t fataler, st chunk.Store, s *schema.Schema, rows ...[]value.Cell) *table.Table {
	t.Helper()
	return edit(t, st, table.Empty(compile(t, s)), func(ctx context.Context, e *table.Editor) {
		for _, r := range rows {
			if s.Keyless() {
				r = append([]value.Cell{value.Null}, r...)
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

func i(v int64) value.Cell   { return value.IntCell(v) }
func s(v string) value.Cell  { return value.BytesCell([]byte(v)) }
func f(v float64) value.Cell { return value.FloatCell(v) }

func row(cells ...value.Cell) []value.Cell { return cells }

// text writes a row of one side with the side's types.
func text(t fataler, r chunk.Reader, sch *schema.Schema, r1 diff.Row) string {
	t.Helper()
	var out []string
	for c := range sch.Columns {
		cell, err := r1.Cell(context.Background(), c)
		ok(t, err)
		cell, err = table.Resolve(context.Background(), r, cell)
		ok(t, err)
		if cell.IsNull() {
			out = append(out, "NULL")
			continue
		}
		out = append(out, string(value.AppendText(nil, sch.Columns[c].Type, cell)))
	}
	return strings.Join(out, ",")
}

// changes lists a diff as lines: "-1,a", "+2,b", "~1,a>1,c".
func changes(t fataler, st chunk.Reader, a, b *table.Table, opt diff.Options) []string {
	t.Helper()
	p, err := diff.NewPair(st, a, b)
	ok(t, err)
	as, bs := a, b
	if as == nil {
		as = b
	}
	if bs == nil {
		bs = a
	}
	var out []string
	for c, err := range p.Rows(context.Background(), opt) {
		ok(t, err)
		switch c.Type {
		case diff.Added:
			out = append(out, "+"+text(t, st, bs.Schema.Schema, c.To))
		case diff.Removed:
			out = append(out, "-"+text(t, st, as.Schema.Schema, c.From))
		case diff.Modified:
			out = append(out, "~"+text(t, st, as.Schema.Schema, c.From)+">"+text(t, st, bs.Schema.Schema, c.To))
		}
	}
	return out
}

func want(t *testing.T, got []string, lines ...string) {
	t.Helper()
	if !slices.Equal(got, lines) {
		t.Fatalf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(lines, "\n\t"))
	}
}

var null = value.Null
