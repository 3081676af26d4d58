package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
	"github.com/stemmadb/stemma/internal/vfs"
)

var comma = Format{Comma: ','}

func source(text string) Source {
	return Source{Name: "f.csv", R: strings.NewReader(text), Size: int64(len(text))}
}

// column is a column of a table for tests.
func column(name string, t value.Type, nullable bool) schema.Column {
	if t.Kind >= value.KindEnum && t.Kind <= value.KindText {
		t.Collation = value.CollationUtf8mb40900Bin
	}
	return schema.Column{Name: name, Type: t, Nullable: nullable}
}

// empty is a table without rows whose first columns are its key.
func empty(t interface{ Fatal(...any) }, keys int, cols ...schema.Column) *table.Table {
	s := &schema.Schema{}
	for i, c := range cols {
		c.ID = schema.AssignID(c.Name, c.Type, s.Columns, nil)
		s.Columns = append(s.Columns, c)
		if i < keys {
			s.PrimaryKey = append(s.PrimaryKey, schema.IndexColumn{Column: c.ID})
		}
	}
	c, err := schema.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	return table.Empty(c)
}

// options are those of a load of all of the table's columns in their order.
func options(base *table.Table) LoadOptions {
	o := LoadOptions{LoadOptions: table.LoadOptions{FS: vfs.NewMem(), TempDir: "/"}, Format: comma, Workers: 2, Now: time.Unix(0, 0)}
	for i := range base.Schema.Columns {
		o.Names = append(o.Names, base.Schema.Columns[i].Name)
		o.Columns = append(o.Columns, i)
	}
	return o
}

func export(t interface{ Fatal(...any) }, st chunk.Store, tab *table.Table) string {
	var b bytes.Buffer
	n, err := Export(context.Background(), &b, table.NewView(st, tab, nil), comma, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n != tab.Rows.Count {
		t.Fatal("exported", n, "of", tab.Rows.Count)
	}
	return b.String()
}

func varchar(n uint32) value.Type { return value.Type{Kind: value.KindVarchar, Length: n} }

func TestLoad(t *testing.T) {
	ctx := context.Background()
	cols := []schema.Column{
		column("id", value.Type{Kind: value.KindInt32}, false), column("name", varchar(40), true),
		column("price", value.Type{Kind: value.KindFloat64}, true),
	}
	base := empty(t, 1, cols...)
	st := chunk.NewMem()
	tab, stats, err := Load(ctx, st, base, source("id,name,price\r\n3,c,1e3\r\n1,\"\",\r\n2,,0.10\r\n"), options(base))
	if err != nil {
		t.Fatal(err)
	}
	if want := (Stats{Rows: 3, Added: 3}); stats != want {
		t.Errorf("%+v", stats)
	}
	if got, want := export(t, st, tab), "id,name,price\n1,\"\",\n2,,0.1\n3,c,1000\n"; got != want {
		t.Errorf("%s", got)
	}

	update := func(dup table.OnDuplicate, file string, columns []int, keep bool) (string, Stats) {
		o := options(base)
		o.OnDuplicate, o.Columns, o.Keep = dup, columns, keep
		o.Names, _ = headNames(file)
		tab2, stats, err := Load(ctx, st, tab, source(file), o)
		if err != nil {
			t.Fatal(err)
		}
		return export(t, st, tab2), stats
	}
	got, stats := update(table.ReplaceDuplicate, "price,id\n7,2\n,1\n9,4\n8,2\n", []int{2, 0}, true)
	if want := "id,name,price\n1,\"\",\n2,,8\n3,c,1000\n4,,9\n"; got != want {
		t.Errorf("keep:\n%s", got)
	}
	if want := (Stats{Rows: 4, Added: 1, Modified: 1, NoEffect: 2}); stats != want {
		t.Errorf("keep: %+v", stats)
	}
	if got, _ = update(table.ReplaceDuplicate, "price,id\n7,1\n", []int{2, 0}, false); !strings.Contains(got, "1,,7\n") {
		t.Errorf("replace:\n%s", got)
	}
	got, stats = update(table.IgnoreDuplicate, "id,x,name\n3,?,new\n5,?,five\n", []int{0, -1, 1}, false)
	if want := "id,name,price\n1,\"\",\n2,,0.1\n3,c,1000\n5,five,\n"; got != want || stats.Added != 1 || stats.NoEffect != 1 {
		t.Errorf("ignore: %+v\n%s", stats, got)
	}
}

func headNames(file string) ([]string, error) {
	h, err := ReadHead(context.Background(), source(file), comma)
	return h.Names, err
}

// TestBad has the files that cannot be loaded: each error is clear and names the line.
func TestBad(t *testing.T) {
	base := empty(t, 1, column("id", value.Type{Kind: value.KindInt8}, false), column("name", varchar(3), false),
		column("day", value.Type{Kind: value.KindDate}, true))
	st := chunk.NewMem()
	full, _, err := Load(context.Background(), st, base, source("id,name,day\n9,x,\n"), options(base))
	if err != nil {
		t.Fatal(err)
	}
	head := "id,name,day\n"
	for _, c := range []struct{ file, want string }{
		{head + "1,a,\n2,b\n", "f.csv line 3: 2 fields, want 3"},
		{head + "1,a,,\n", "f.csv line 2: 4 fields, want 3"},
		{head + "1,\"a\nb\",\n2,b\n", "f.csv line 4: 2 fields, want 3"},
		{head + "1,a\"b,\n", "f.csv line 2: a quote inside a field"},
		{head + "1,\"a\"b,\n", "f.csv line 2: text between a closing quote"},
		{head + "1,a,\n2,\"b,\n3,c,\n", "f.csv line 3: a quoted field that begins here is not closed before the end of the file"},
		{head + "1,a\x00,\n", "f.csv line 2, column name: a NUL byte at byte 2 of the field"},
		{head + "1,caf\xe9,\n", "f.csv line 2, column name: byte 0xe9 at byte 4 of the field is not UTF-8; if the file is in Latin-1, convert it first: iconv -f LATIN1 -t UTF-8; bytes go into a column that is BLOB or VARBINARY, which -c has by --schema"},
		{head + "x,a,\n", `f.csv line 2, column id: parse "x" as tinyint: not a whole number`},
		{head + "200,a,\n", `f.csv line 2, column id: parse "200" as tinyint: out of range`},
		{head + "1,long,\n", `f.csv line 2, column name: parse "long" as varchar(3): too long`},
		{head + "1,a,2021-02-30\n", "f.csv line 2, column day: parse"},
		{head + ",a,\n", "f.csv line 2, column id: it cannot be NULL"},
		{head + "1,,\n", `f.csv line 2, column name: it cannot be NULL, which an empty field means; an empty string is ""`},
		{head + "1,a,\n2,b,\n\n2,c,\n", "f.csv line 5: the line before has the same primary key, '2'"},
		{head + "2,a,\n3,b,\n2,c,\n", "f.csv line 4: duplicate primary key '2'; line 2 has it too"},
		{head + "8,a,\n9,b,\n", "f.csv line 3: duplicate primary key '9'; the table has it already"},
	} {
		opt := options(full)
		_, _, err := Load(context.Background(), st, full, source(c.file), opt)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%q: %v\nwant: %s", c.file, err, c.want)
			continue
		}
		if code := errs.CodeOf(err); code == errs.Internal {
			t.Errorf("%q: %v has no class", c.file, err)
		}
		if strings.Contains(c.want, "duplicate") || strings.Contains(c.want, "same primary") {
			continue
		}
		var rejected []string
		opt.Reject = func(raw []byte, bad *LineError) error {
			rejected = append(rejected, fmt.Sprintf("f.csv line %d", bad.Line))
			return nil
		}
		if _, _, err := Load(context.Background(), st, full, source(c.file), opt); err != nil || len(rejected) == 0 || !strings.HasPrefix(c.want, rejected[0]) {
			t.Errorf("%q with rejects: %v, %v", c.file, rejected, err)
		}
	}
	for _, c := range []struct{ file, want string }{
		{"", "read f.csv: the file is empty"},
		{"\n1\n", "f.csv line 1: the header is missing"},
		{"a,,b\n", "f.csv line 1: field 2 of the header is empty"},
		{"a,b,A\n", "f.csv line 1: fields 1 and 3 of the header have the same name A"},
		{"a,b\rc,d\r", "f.csv line 1: field 2 of the header holds a carriage return"},
		{"a,\"b\n1,2\n", "f.csv line 1: a quoted field that begins here is not closed"},
		{"a,\xe9\n", "f.csv line 1: field 2 of the header: byte 0xe9"},
	} {
		if _, err := headNames(c.file); err == nil || !strings.HasPrefix(err.Error(), c.want) || !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: %v\nwant: %s", c.file, err, c.want)
		}
	}
}

func TestDefaults(t *testing.T) {
	cols := []schema.Column{
		column("id", value.Type{Kind: value.KindInt64}, false), column("a", varchar(9), false), column("b", value.Type{Kind: value.KindDecimal, Precision: 5, Scale: 2}, true),
		column("c", value.Type{Kind: value.KindDatetime}, false), column("d", value.Type{Kind: value.KindInt8}, true),
	}
	cols[1].HasDefault, cols[1].Default = true, `'it''s'`
	cols[2].HasDefault, cols[2].Default = true, "(1.5)"
	cols[3].HasDefault, cols[3].Default = true, "CURRENT_TIMESTAMP"
	base := empty(t, 1, cols...)
	st := chunk.NewMem()
	o := options(base)
	o.Names, o.Columns = []string{"id"}, []int{0}
	tab, _, err := Load(context.Background(), st, base, source("id\n1\n"), o)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := export(t, st, tab), "id,a,b,c,d\n1,it's,1.50,1970-01-01 00:00:00,\n"; got != want {
		t.Errorf("%s", got)
	}
	for _, c := range []struct {
		def  string
		has  bool
		code errs.Code
	}{{"", false, errs.Constraint}, {"NULL", true, errs.Constraint}, {"(uuid())", true, errs.Unsupported}, {"'x'", true, errs.Invalid}} {
		cols[3].HasDefault, cols[3].Default = c.has, c.def
		if _, _, err := Load(context.Background(), st, empty(t, 1, cols...), source("id\n1\n"), o); !errs.Is(err, c.code) {
			t.Errorf("default %s: %v", c.def, err)
		}
	}
}

func TestAutoIncrement(t *testing.T) {
	id := column("id", value.Type{Kind: value.KindInt8}, false)
	id.AutoIncrement = true
	base := empty(t, 1, id, column("a", varchar(9), true))
	st := chunk.NewMem()
	o := options(base)
	next := uint64(1)
	o.Auto = func(_ context.Context, given uint64) (uint64, error) {
		if given == 0 {
			given = next
		}
		next = max(next, given+1)
		return given, nil
	}
	tab, _, err := Load(context.Background(), st, base, source("id,a\n,x\n5,y\n0,z\n"), o)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := export(t, st, tab), "id,a\n1,x\n5,y\n6,z\n"; got != want {
		t.Errorf("%s", got)
	}
}

// TestKeyless holds that rows come back in the order written, whatever the blocks.
func TestKeyless(t *testing.T) {
	base := empty(t, 0, column("a", value.Type{Kind: value.KindInt64}, true))
	st := chunk.NewMem()
	var b strings.Builder
	b.WriteString("a\n")
	for i := range 200000 {
		fmt.Fprintf(&b, "%d\n", i*7919%100003)
	}
	tab, stats, err := Load(context.Background(), st, base, source(b.String()), options(base))
	if err != nil || stats.Added != 200000 {
		t.Fatal(stats, err)
	}
	if export(t, st, tab) != b.String() {
		t.Error("rows differ")
	}
	again, _, err := Load(context.Background(), st, tab, source("a\n-1\n"), options(base))
	if err != nil {
		t.Fatal(err)
	}
	if export(t, st, again) != b.String()+"-1\n" {
		t.Error("rows differ after an append")
	}
}

// TestIndexes has more rows than fit the memory of the sorts, NULLs in an indexed column, and a unique index that is violated.
func TestIndexes(t *testing.T) {
	ctx := context.Background()
	cols := []schema.Column{column("id", value.Type{Kind: value.KindInt64}, false), column("a", value.Type{Kind: value.KindInt64}, true)}
	plain := empty(t, 1, cols...)
	s := plain.Schema.Schema.Clone()
	s.Indexes = []schema.Index{{Name: "a", Unique: true, Columns: []schema.IndexColumn{{Column: s.Columns[1].ID}}}}
	compiled, err := schema.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	base := table.Empty(compiled)
	st := chunk.NewMem()
	var b strings.Builder
	b.WriteString("id,a\n")
	const n = 20000
	for i := range n {
		id := i * 7919 % n
		if id%3 == 0 {
			fmt.Fprintf(&b, "%d,\n", id)
		} else {
			fmt.Fprintf(&b, "%d,%d\n", id, n-id)
		}
	}
	o := options(base)
	o.Memory = 200 << 10
	fs := vfs.NewMem()
	if err := fs.MkdirAll("/tmp"); err != nil {
		t.Fatal(err)
	}
	o.FS, o.TempDir = fs, "/tmp"
	tab, stats, err := Load(ctx, st, base, source(b.String()), o)
	if err != nil || stats.Added != n || tab.Indexes[0].Count != n {
		t.Fatal(stats, err)
	}
	ed := table.NewEditor(st, table.NewView(st, base, nil))
	for id := range n {
		a := value.Null
		if id%3 != 0 {
			a = value.IntCell(int64(n - id))
		}
		if err := ed.Insert(ctx, []value.Cell{value.IntCell(int64(id)), a}); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := ed.View().Fold(ctx, st); err != nil || want.Hash() != tab.Hash() {
		t.Fatal("a load and edits give different tables", err)
	}
	if _, _, err := Load(ctx, st, tab, source("id,a\n-5,1\n"), o); !errs.Is(err, errs.DuplicateKey) || !strings.Contains(err.Error(), "unique index a") {
		t.Error(err)
	}
	if left, err := fs.ReadDir("/tmp"); err != nil || len(left) > 0 {
		t.Error("files left:", left, err)
	}
}

func TestCancel(t *testing.T) {
	base := empty(t, 1, column("a", value.Type{Kind: value.KindInt64}, false))
	ctx, cancel := context.WithCancel(context.Background())
	var b strings.Builder
	b.WriteString("a\n")
	for i := range 500000 {
		fmt.Fprintf(&b, "%d\n", i)
	}
	o := options(base)
	o.Bytes = func(int64) { cancel() }
	if _, _, err := Load(ctx, chunk.NewMem(), base, source(b.String()), o); !errs.Is(err, errs.Canceled) || !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestQuotedLinesAcrossBlocks has fields with line ends, doubled quotes and a length above the size of a block.
func TestQuotedLinesAcrossBlocks(t *testing.T) {
	base := empty(t, 1, column("a", value.Type{Kind: value.KindInt64}, false), column("b", value.Type{Kind: value.KindText, Length: value.LongLength}, true))
	st := chunk.NewMem()
	var b strings.Builder
	b.WriteString("a,b\n")
	for i := range 40 {
		fmt.Fprintf(&b, "%d,\"%s\"\n", i, strings.Repeat("line\r\n\"\",\n", 1000*i))
	}
	fmt.Fprintf(&b, "40,\"%s\"\n", strings.Repeat("x\n", blockSize))
	tab, _, err := Load(context.Background(), st, base, source(b.String()), options(base))
	if err != nil {
		t.Fatal(err)
	}
	if got := export(t, st, tab); got != strings.Replace(b.String(), `0,""`, `0,""`, 1) {
		t.Error("rows differ")
	}
}

// TestRoundTrip holds I5 and I1: the rows of an export load to the same table, however many workers and whatever the blocks.
func TestRoundTrip(t *testing.T) {
	types := []value.Type{
		{Kind: value.KindInt8}, {Kind: value.KindInt64}, {Kind: value.KindUint64}, {Kind: value.KindFloat64}, {Kind: value.KindFloat32},
		{Kind: value.KindDecimal, Precision: 10, Scale: 3}, {Kind: value.KindDecimal, Precision: 40, Scale: 5}, {Kind: value.KindBit, Length: 13},
		{Kind: value.KindDate}, {Kind: value.KindTime, Precision: 6}, {Kind: value.KindDatetime, Precision: 3}, {Kind: value.KindYear},
		{Kind: value.KindEnum, Values: []string{"a", "b,c"}}, {Kind: value.KindSet, Values: []string{"x", "y"}}, varchar(200),
		{Kind: value.KindText, Length: value.LongLength}, {Kind: value.KindBlob, Length: value.ShortLength}, {Kind: value.KindBinary, Length: 4}, {Kind: value.KindJSON},
	}
	text := rapid.OneOf(rapid.SampledFrom([]string{"", " ", "\n", "\r\n", `"`, `""`, ",", `\.`, "\x00", "NULL", "é", "a\rb", "x\"y"}), rapid.StringN(0, 8, -1))
	cell := func(rt *rapid.T, t value.Type) value.Cell {
		parse := func(s string) value.Cell {
			c, err := value.Parse(t, []byte(s))
			if err != nil {
				rt.Fatal(err)
			}
			return c
		}
		switch t.Kind {
		case value.KindInt8:
			return value.IntCell(int64(rapid.Int8().Draw(rt, "v")))
		case value.KindInt64:
			return value.IntCell(rapid.Int64().Draw(rt, "v"))
		case value.KindUint64:
			return value.UintCell(rapid.Uint64().Draw(rt, "v"))
		case value.KindFloat64:
			return value.FloatCell(rapid.Float64Range(-math.MaxFloat64, math.MaxFloat64).Draw(rt, "v"))
		case value.KindFloat32:
			return value.Float32Cell(rapid.Float32Range(-math.MaxFloat32, math.MaxFloat32).Draw(rt, "v"))
		case value.KindDecimal:
			return parse(fmt.Sprintf("%d.%03d", rapid.IntRange(-999999, 999999).Draw(rt, "v"), rapid.IntRange(0, 999).Draw(rt, "f")))
		case value.KindBit:
			return value.UintCell(rapid.Uint64Range(0, 1<<13-1).Draw(rt, "v"))
		case value.KindDate:
			return value.IntCell(rapid.Int64Range(-30000, 60000).Draw(rt, "v"))
		case value.KindTime:
			return value.IntCell(rapid.Int64Range(-3e12, 3e12).Draw(rt, "v"))
		case value.KindDatetime:
			return value.IntCell(1000 * rapid.Int64Range(-3e12, 3e12).Draw(rt, "v"))
		case value.KindYear:
			return value.IntCell(rapid.Int64Range(1901, 2155).Draw(rt, "v"))
		case value.KindEnum:
			return value.IntCell(rapid.Int64Range(1, 2).Draw(rt, "v"))
		case value.KindSet:
			return value.UintCell(rapid.Uint64Range(0, 3).Draw(rt, "v"))
		case value.KindBinary:
			return value.BytesCell(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(rt, "v"))
		case value.KindBlob:
			return value.BytesCell(rapid.SliceOfN(rapid.Byte(), 0, 6).Draw(rt, "v"))
		case value.KindJSON:
			return parse(rapid.SampledFrom([]string{`{"a": [1, "x,\"y\""]}`, `null`, `""`, `1.5`}).Draw(rt, "v"))
		case value.KindText:
			return value.BytesCell([]byte(strings.Repeat(text.Draw(rt, "v"), rapid.SampledFrom([]int{1, 1, 400}).Draw(rt, "times"))))
		}
		return value.BytesCell([]byte(text.Draw(rt, "v")))
	}
	rapid.Check(t, func(rt *rapid.T) {
		ctx := context.Background()
		st := chunk.NewMem()
		keyed := rapid.Bool().Draw(rt, "keyed")
		var cols []schema.Column
		if keyed {
			cols = append(cols, column("k", value.Type{Kind: value.KindInt64}, false))
		}
		for i, t := range rapid.SliceOfN(rapid.SampledFrom(types), 1, 4).Draw(rt, "types") {
			cols = append(cols, column(fmt.Sprintf("c%d", i), t, true))
		}
		keys := 0
		if keyed {
			keys = 1
		}
		base := empty(rt, keys, cols...)
		ed := table.NewEditor(st, table.NewView(st, base, nil))
		for i := range rapid.IntRange(0, 30).Draw(rt, "rows") {
			var row []value.Cell
			for _, c := range base.Schema.Columns {
				switch {
				case c.Name == "k":
					row = append(row, value.IntCell(int64(i)))
				case rapid.IntRange(0, 4).Draw(rt, "null") == 0:
					row = append(row, value.Null)
				default:
					row = append(row, cell(rt, c.Type))
				}
			}
			if !keyed {
				row = slices.Insert(row, 0, value.Null)
			}
			if err := ed.Insert(ctx, row); err != nil {
				rt.Fatal(err)
			}
		}
		want, err := ed.View().Fold(ctx, st)
		if err != nil {
			rt.Fatal(err)
		}
		file := export(rt, st, want)
		var over bytes.Buffer
		if _, err := Export(ctx, &over, ed.View(), comma, nil); err != nil || over.String() != file {
			rt.Fatalf("from the overlay: %v\n%s\nfrom the tree:\n%s", err, over.String(), file)
		}
		o := options(base)
		o.Workers = rapid.IntRange(1, 3).Draw(rt, "workers")
		got, _, err := Load(ctx, st, base, source(file), o)
		if err != nil {
			rt.Fatalf("%v\n%s", err, file)
		}
		if got.Hash() != want.Hash() {
			rt.Fatalf("exported:\n%q\nloaded:\n%q", file, export(rt, st, got))
		}
	})
}
