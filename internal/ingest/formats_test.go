package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/xuri/excelize/v2"
	"pgregory.net/rapid"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
	"github.com/stemmadb/stemma/internal/vfs"
)

// everyType is a table with a column of every type, and rows in CSV.
func everyType(t *testing.T) (*table.Table, chunk.Store) {
	t.Helper()
	k := func(kind value.Kind) value.Type { return value.Type{Kind: kind} }
	length := func(kind value.Kind, n uint32) value.Type { return value.Type{Kind: kind, Length: n} }
	fsp := func(kind value.Kind, n uint8) value.Type { return value.Type{Kind: kind, Precision: n} }
	types := []struct {
		name string
		typ  value.Type
		text []string // of three rows; "" is NULL
	}{
		{"id", k(value.KindInt32), []string{"1", "2", "3"}},
		{"i8", k(value.KindInt8), []string{"-128", "127", ""}}, {"yes", value.Type{Kind: value.KindInt8, Precision: 1}, []string{"1", "0", ""}},
		{"i16", k(value.KindInt16), []string{"-32768", "32767", ""}}, {"i24", k(value.KindInt24), []string{"-8388608", "8388607", ""}},
		{"i64", k(value.KindInt64), []string{"-9223372036854775808", "9223372036854775807", ""}},
		{"u8", k(value.KindUint8), []string{"0", "255", ""}}, {"u16", k(value.KindUint16), []string{"0", "65535", ""}},
		{"u24", k(value.KindUint24), []string{"0", "16777215", ""}}, {"u32", k(value.KindUint32), []string{"0", "4294967295", ""}},
		{"u64", k(value.KindUint64), []string{"0", "18446744073709551615", ""}},
		{"f32", k(value.KindFloat32), []string{"-1.5", "3.4028235e38", ""}}, {"f64", k(value.KindFloat64), []string{"0.1", "-1.7976931348623157e308", ""}},
		{"dec", value.Type{Kind: value.KindDecimal, Precision: 10, Scale: 2}, []string{"-12345678.90", "0.01", ""}},
		{"dec38", value.Type{Kind: value.KindDecimal, Precision: 38, Scale: 10}, []string{"1234567890123456789012345678.0123456789", "-0.0000000001", ""}},
		{"dec65", value.Type{Kind: value.KindDecimal, Precision: 65, Scale: 30}, []string{strings.Repeat("9", 35) + "." + strings.Repeat("9", 30), "-1.000000000000000000000000000001", ""}},
		{"bits", length(value.KindBit, 12), []string{"4095", "0", ""}}, {"y", k(value.KindYear), []string{"1901", "2155", ""}},
		{"d", k(value.KindDate), []string{"0001-01-01", "9999-12-31", ""}}, {"t", fsp(value.KindTime, 6), []string{"-838:59:59.000000", "00:00:00.000001", ""}},
		{"dt", fsp(value.KindDatetime, 6), []string{"1000-01-01 00:00:00.000001", "9999-12-31 23:59:59.999999", ""}},
		{"ts", fsp(value.KindTimestamp, 3), []string{"1970-01-01 00:00:01.001", "2038-01-19 03:14:07.999", ""}},
		{"e", value.Type{Kind: value.KindEnum, Values: []string{"a", "b,c", `d"`}}, []string{"a", `"b,c"`, ""}},
		{"s", value.Type{Kind: value.KindSet, Values: []string{"x", "y", "z"}}, []string{`"x,z"`, `""`, ""}},
		{"c", length(value.KindChar, 4), []string{"ab", "ñ€", ""}}, {"v", length(value.KindVarchar, 20), []string{`""`, `"a ""q"", \ and` + "\n\tt\"", ""}},
		{"txt", length(value.KindText, value.LongLength), []string{strings.Repeat("long 🎉 ", 2000), "x", ""}},
		{"bin", length(value.KindBinary, 3), []string{"abc", "x\xff\x01", ""}}, {"vb", length(value.KindVarbinary, 9), []string{"\xff\xfe", `""`, ""}},
		{"blob", length(value.KindBlob, value.ShortLength), []string{"\x80", strings.Repeat("\xc0", 9000), ""}},
		{"j", k(value.KindJSON), []string{`"{""a"": [1, 2.5, null, ""é""]}"`, `"""text"""`, ""}},
		{"vec", length(value.KindVector, 3), []string{`"[1,-2.5,0.1]"`, `"[0,0,0]"`, ""}},
	}
	var cols []schema.Column
	var head []string
	rows := make([][]string, 3)
	for _, c := range types {
		cols, head = append(cols, column(c.name, c.typ, c.name != "id")), append(head, c.name)
		for r := range rows {
			rows[r] = append(rows[r], c.text[r])
		}
	}
	file := strings.Join(head, ",") + "\n"
	for _, r := range rows {
		file += strings.Join(r, ",") + "\n"
	}
	base, st := empty(t, 1, cols...), chunk.NewMem()
	tab, _, err := Load(context.Background(), st, base, source(file), options(base))
	if err != nil {
		t.Fatal(err)
	}
	return tab, st
}

// reload reads a file into a table with the schema of base.
func reload(ctx context.Context, st chunk.Store, base *table.Table, name string, data []byte) (*table.Table, error) {
	f, err := FormatOf(name, "")
	if err != nil {
		return nil, err
	}
	src := Source{Name: name, R: bytes.NewReader(data), Size: int64(len(data))}
	o, err := Prepare(ctx, vfs.NewMem(), "/spool", src, f, "")
	if err != nil {
		return nil, err
	}
	defer o.Close()
	h, err := ReadHead(ctx, o.Source, o.Format)
	if err != nil {
		return nil, err
	}
	opt := options(base)
	opt.Format, opt.Names, opt.Columns = o.Format, h.Names, nil
	for _, n := range h.Names {
		opt.Columns = append(opt.Columns, base.Schema.ColumnIndex(n))
	}
	t, _, err := Load(ctx, st, base, o.Source, opt)
	return t, err
}

// TestFormatsKeepEverything holds that a table written as a file of any type and read into its schema is the same table.
func TestFormatsKeepEverything(t *testing.T) {
	ctx := context.Background()
	tab, st := everyType(t)
	for _, name := range []string{"f.csv", "f.psv", "f.tsv", "f.csv.gz", "f.csv.zst", "f.jsonl", "f.jsonl.gz", "f.json", "f.json.zst", "f.parquet", "f.arrow", "f.arrows"} {
		f, err := FormatOf(name, "")
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		n, err := Export(ctx, &b, table.NewView(st, tab, nil), f, nil)
		if err != nil || n != 3 {
			t.Errorf("%s: %d rows, %v", name, n, err)
			continue
		}
		got, err := reload(ctx, st, table.Empty(tab.Schema), name, b.Bytes())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got.Hash() != tab.Hash() {
			t.Errorf("%s:\n%q\nwant\n%q", name, export(t, st, got), export(t, st, tab))
		}
	}
}

// TestTypesComeBack holds that Parquet and Arrow files tell types and key.
func TestTypesComeBack(t *testing.T) {
	ctx := context.Background()
	tab, st := everyType(t)
	for _, name := range []string{"f.parquet", "f.arrow", "f.arrows"} {
		f, _ := FormatOf(name, "")
		var b bytes.Buffer
		if _, err := Export(ctx, &b, table.NewView(st, tab, nil), f, nil); err != nil {
			t.Fatal(err)
		}
		src := Source{Name: name, R: bytes.NewReader(b.Bytes()), Size: int64(b.Len())}
		in, err := Infer(ctx, src, InferOptions{Format: f})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(in.Key, []string{"id"}) {
			t.Errorf("%s: key %q", name, in.Key)
		}
		for i, c := range tab.Schema.Columns {
			if !in.Types[i].Equal(c.Type) {
				t.Errorf("%s: %s is %s, want %s", name, c.Name, in.Types[i], c.Type)
			}
			if in.Nulls[i] != c.Nullable {
				t.Errorf("%s: %s is nullable: %v", name, c.Name, in.Nulls[i])
			}
		}
	}
}

// TestLargeCellsComeBack holds that Parquet and Arrow files bring back cells larger than their libraries expect: one that cannot be
// compressed, and those of which next to nothing is left when they are.
func TestLargeCellsComeBack(t *testing.T) {
	ctx := context.Background()
	base, st := empty(t, 1, column("id", value.Type{Kind: value.KindInt32}, false), column("b", value.Type{Kind: value.KindBlob, Length: value.LongLength}, true)), chunk.NewMem()
	noise := make([]byte, 66<<20)
	rand.NewChaCha8([32]byte{1}).Read(noise)
	for name, cells := range map[string][][]byte{"noise": {noise}, "zeros": {make([]byte, 70<<20), make([]byte, 70<<20)}} {
		var text bytes.Buffer
		text.WriteString("id,b\n")
		for i, c := range cells {
			fmt.Fprintf(&text, "%d,\"%s\"\n", i, bytes.ReplaceAll(c, []byte(`"`), []byte(`""`)))
		}
		tab, _, err := Load(ctx, st, base, source(text.String()), options(base))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range []string{"f.parquet", "f.arrow", "f.arrows"} {
			f, _ := FormatOf(file, "")
			var b bytes.Buffer
			if _, err := Export(ctx, &b, table.NewView(st, tab, nil), f, nil); err != nil {
				t.Fatal(err)
			}
			got, err := reload(ctx, st, base, file, b.Bytes())
			if err != nil {
				t.Errorf("%s, %s of %d bytes: %v", name, file, b.Len(), err)
			} else if got.Hash() != tab.Hash() {
				t.Errorf("%s, %s: other rows came back", name, file)
			}
		}
	}
}

// TestDamagedFiles holds that a file that is cut or changed anywhere is an error or the same rows, never a crash and never fewer rows.
func TestDamagedFiles(t *testing.T) {
	ctx := context.Background()
	base, st := empty(t, 1, column("id", value.Type{Kind: value.KindInt32}, false), column("name", varchar(40), true)), chunk.NewMem()
	var text strings.Builder
	text.WriteString("id,name\n")
	for i := range 500 {
		fmt.Fprintf(&text, "%d,name %d\n", i, i%7)
	}
	tab, _, err := Load(ctx, st, base, source(text.String()), options(base))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"f.parquet", "f.arrow", "f.arrows", "f.csv.gz", "f.csv.zst", "f.json"} {
		f, _ := FormatOf(name, "")
		var b bytes.Buffer
		if _, err := Export(ctx, &b, table.NewView(st, tab, nil), f, nil); err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{0, 1, 4, 8, b.Len() / 3, b.Len() / 2, b.Len() - 9, b.Len() - 4} {
			got, err := reload(ctx, st, base, name, b.Bytes()[:n])
			if err == nil && got.Rows.Count != 500 {
				t.Errorf("%s cut to %d of %d bytes gave %d rows", name, n, b.Len(), got.Rows.Count)
			}
			if err != nil && !strings.Contains(err.Error(), name) {
				t.Errorf("%s cut to %d bytes: %v", name, n, err)
			}
		}
	}
	f, _ := FormatOf("f.parquet", "")
	var b bytes.Buffer
	if _, err := Export(ctx, &b, table.NewView(st, tab, nil), f, nil); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		data := bytes.Clone(b.Bytes())
		for range rapid.IntRange(1, 4).Draw(rt, "changes") {
			data[rapid.IntRange(0, b.Len()-1).Draw(rt, "at")] = rapid.Byte().Draw(rt, "byte")
		}
		_, _ = reload(ctx, st, base, "f.parquet", data) // an error or other values, but no crash
	})
}

// TestForeignArrow reads columns of types that stemma does not write.
func TestForeignArrow(t *testing.T) {
	ctx := context.Background()
	mem := memory.DefaultAllocator
	list := arrow.ListOf(arrow.PrimitiveTypes.Int64)
	sc := arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: arrow.PrimitiveTypes.Int64},
		{Name: "flag", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
		{Name: "tags", Type: list, Nullable: true},
		{Name: "who", Type: arrow.StructOf(arrow.Field{Name: "name", Type: arrow.BinaryTypes.String, Nullable: true}), Nullable: true},
		{Name: "at", Type: &arrow.TimestampType{Unit: arrow.Nanosecond, TimeZone: "Europe/Berlin"}, Nullable: true},
		{Name: "half", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
		{Name: "cat", Type: &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String}, Nullable: true},
	}, nil)
	b := array.NewRecordBuilder(mem, sc)
	b.Field(0).(*array.Int64Builder).AppendValues([]int64{1, 2}, nil)
	b.Field(1).(*array.BooleanBuilder).AppendValues([]bool{true, false}, []bool{true, false})
	lb := b.Field(2).(*array.ListBuilder)
	lb.Append(true)
	lb.ValueBuilder().(*array.Int64Builder).AppendValues([]int64{1, 2}, nil)
	lb.AppendNull()
	sb := b.Field(3).(*array.StructBuilder)
	sb.Append(true)
	sb.FieldBuilder(0).(*array.StringBuilder).Append("Zoë")
	sb.AppendNull()
	b.Field(4).(*array.TimestampBuilder).Append(arrow.Timestamp(time.Date(2024, 1, 2, 3, 4, 5, 678000, time.UTC).UnixNano()))
	b.Field(4).AppendNull()
	b.Field(5).(*array.Float64Builder).AppendValues([]float64{0.5, 0}, []bool{true, false})
	cat := b.Field(6).(*array.BinaryDictionaryBuilder)
	if err := cat.AppendString("red"); err != nil {
		t.Fatal(err)
	}
	cat.AppendNull()
	rec := b.NewRecordBatch()
	var file bytes.Buffer
	w := ipc.NewWriter(&file, ipc.WithSchema(sc))
	if err := w.Write(rec); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	src := Source{Name: "f.arrows", R: bytes.NewReader(file.Bytes()), Size: int64(file.Len())}
	f, _ := FormatOf(src.Name, "")
	in, err := Infer(ctx, src, InferOptions{Format: f})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	var cols []schema.Column
	for i, ty := range in.Types {
		got = append(got, ty.String())
		cols = append(cols, column(sc.Field(i).Name, ty, sc.Field(i).Nullable))
	}
	if want := "[bigint tinyint json json timestamp(6) double varchar(255)]"; fmt.Sprint(got) != want {
		t.Errorf("types %v, want %v", got, want)
	}
	base, st := empty(t, 1, cols...), chunk.NewMem()
	tab, err := reload(ctx, st, base, src.Name, file.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	want := "id,flag,tags,who,at,half,cat\n" +
		`1,1,"[1, 2]","{""name"": ""Zoë""}",2024-01-02 03:04:05.000678,0.5,red` + "\n2,,,,,,\n"
	if text := export(t, st, tab); text != want {
		t.Errorf("%s\nwant\n%s", text, want)
	}
}

// TestNumbersBesideNumbers: what a column of floats holds stays what it is, NaN and infinity too, unless --null says that NaN is none.
func TestNumbersBesideNumbers(t *testing.T) {
	ctx := context.Background()
	base, st := empty(t, 1, column("id", value.Type{Kind: value.KindInt64}, false), column("x", value.Type{Kind: value.KindFloat64}, true)), chunk.NewMem()
	sc := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "x", Type: arrow.PrimitiveTypes.Float64}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, sc)
	b.Field(0).(*array.Int64Builder).AppendValues([]int64{1, 2, 3}, nil)
	b.Field(1).(*array.Float64Builder).AppendValues([]float64{1.5, math.NaN(), math.Inf(-1)}, nil)
	var file bytes.Buffer
	w := ipc.NewWriter(&file, ipc.WithSchema(sc))
	if err := errors.Join(w.Write(b.NewRecordBatch()), w.Close()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		nulls []string
		want  string
	}{{nil, "id,x\n1,1.5\n2,NaN\n3,-Inf\n"}, {[]string{"NaN"}, "id,x\n1,1.5\n2,\n3,-Inf\n"}} {
		opt := options(base)
		opt.Format, _ = FormatOf("f.arrows", "")
		opt.Format.Nulls, opt.Names = c.nulls, []string{"id", "x"}
		tab, _, err := Load(ctx, st, base, Source{Name: "f.arrows", R: bytes.NewReader(file.Bytes()), Size: int64(file.Len())}, opt)
		if err != nil {
			t.Fatal(err)
		}
		if got := export(t, st, tab); got != c.want {
			t.Errorf("%s\nwant\n%s", got, c.want)
		}
	}
}

// TestBadCells has values that no column takes: the error names row and column.
func TestBadCells(t *testing.T) {
	ctx := context.Background()
	base, st := empty(t, 1, column("id", value.Type{Kind: value.KindInt64}, false), column("n", value.Type{Kind: value.KindInt32}, true)), chunk.NewMem()
	arrows := func(x float64) []byte {
		sc := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "n", Type: arrow.PrimitiveTypes.Float64}}, nil)
		b := array.NewRecordBuilder(memory.DefaultAllocator, sc)
		b.Field(0).(*array.Int64Builder).AppendValues([]int64{1, 2, 3}, nil)
		b.Field(1).(*array.Float64Builder).AppendValues([]float64{1, x, 2}, nil)
		var file bytes.Buffer
		w := ipc.NewWriter(&file, ipc.WithSchema(sc))
		if err := w.Write(b.NewRecordBatch()); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return file.Bytes()
	}
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"f.arrows", arrows(math.NaN()), "f.arrows row 2, column n: NaN is no whole number"},
		{"f.jsonl", []byte(`{"id":1}` + "\n" + `{"id":"x"}`), `f.jsonl line 2, column id: parse "x" as bigint`},
		{"f.jsonl", []byte(`{"id":1}` + "\n" + `{"id":2`), "f.jsonl line 2: not JSON"},
		{"f.jsonl", []byte(`{"id":1}` + "\n[2]"), "f.jsonl line 2: want an object a line"},
		{"f.jsonl", []byte(`{"id":1,"id":2}`), "f.jsonl line 1: the member id comes twice"},
		{"f.jsonl", []byte("{\"id\":1}\n\n{\"n\":2}"), "f.jsonl line 3, column id: it cannot be NULL"},
		{"f.json", []byte(`[{"id":1},{"id":1.5}]`), `f.json row 2, column id: parse "1.5" as bigint`},
		{"f.json", []byte(`[{"id":1},`), "f.json row 2: "},
		{"f.json", []byte(`7`), "read f.json: want an array of objects"},
		{"f.json", []byte(`[{"id":1},{"id":1}]`), "f.json row 2: the row before has the same primary key, '1'"},
		{"f.jsonl", nil, "read f.jsonl: it has no rows"},
	} {
		_, err := reload(ctx, st, base, c.name, c.data)
		if err == nil || !strings.Contains(err.Error(), c.want) || errs.Is(err, errs.Internal) {
			t.Errorf("%v\nwant %s", err, c.want)
		}
	}
}

// TestInferJSON finds types of members.
func TestInferJSON(t *testing.T) {
	for _, c := range []struct{ file, want string }{
		{`{"a":1,"b":"1","c":true,"d":"2024-01-02","e":[1],"f":1.5}`, "[int varchar(255) tinyint date json double]"},
		{`{"a":1}` + "\n" + `{"a":"x"}`, "[varchar(255)]"},
		{`{"a":"2024-01-02"}` + "\n" + `{"a":"2024-01-02T03:04:05.5Z"}`, "[datetime(1)]"},
		{`{"a":1}` + "\n" + `{"a":{}}`, "[json]"},
		{`{"a":null}` + "\n" + `{"b":2}`, "[varchar(255) int]"},
	} {
		f := Format{Type: JSONL}
		src := source(c.file)
		h, err := ReadHead(context.Background(), src, f)
		if err != nil {
			t.Fatal(err)
		}
		in, err := Infer(context.Background(), src, InferOptions{Format: f, Names: h.Names, Workers: 2})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, ty := range in.Types {
			got = append(got, ty.String())
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%s: %v, want %v", c.file, got, c.want)
		}
	}
}

// TestWorkbook reads a sheet as the program that wrote it meant it.
func TestWorkbook(t *testing.T) {
	f := excelize.NewFile()
	set := func(cell string, v any) {
		if err := f.SetCellValue("Sheet1", cell, v); err != nil {
			t.Fatal(err)
		}
	}
	for i, h := range []string{"id", "name", "day", "at", "price", "ok"} {
		set(fmt.Sprintf("%c2", 'A'+i), h)
	}
	set("A3", 1)
	set("B3", "007")
	set("C3", time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC))
	set("D3", time.Date(2024, 2, 29, 13, 14, 15, 0, time.UTC))
	set("E3", 0.1)
	set("F3", true)
	set("A5", 2)
	set("B5", "a \"b\"\nc")
	var b bytes.Buffer
	if err := f.Write(&b); err != nil {
		t.Fatal(err)
	}
	base, st := empty(t, 1, column("id", value.Type{Kind: value.KindInt32}, false), column("name", varchar(20), true), column("day", value.Type{Kind: value.KindDatetime}, true),
		column("at", value.Type{Kind: value.KindDatetime}, true), column("price", value.Type{Kind: value.KindFloat64}, true), column("ok", value.Type{Kind: value.KindInt8}, true)), chunk.NewMem()
	tab, err := reload(context.Background(), st, base, "f.xlsx", b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	want := "id,name,day,at,price,ok\n1,007,2024-02-29 00:00:00,2024-02-29 13:14:15,0.1,1\n2,\"a \"\"b\"\"\nc\",,,,\n"
	if got := export(t, st, tab); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	set("A5", "x")
	b.Reset()
	if err := f.Write(&b); err != nil {
		t.Fatal(err)
	}
	if _, err = reload(context.Background(), st, base, "f.xlsx", b.Bytes()); err == nil || !strings.Contains(err.Error(), `f.xlsx row 5, column id: parse "x" as int`) {
		t.Error(err)
	}
	if _, err = reload(context.Background(), st, base, "f.xlsx", b.Bytes()[:100]); err == nil || !strings.Contains(err.Error(), "f.xlsx") {
		t.Error(err)
	}
}

// TestMoments checks that columns of moments are TIMESTAMP where that holds all of them, else DATETIME.
func TestMoments(t *testing.T) {
	for _, unit := range []arrow.TimeUnit{arrow.Second, arrow.Millisecond, arrow.Microsecond, arrow.Nanosecond} {
		per := int64(unit.Multiplier()) // nanoseconds
		last := int64(1<<31-1) * int64(time.Second) / per
		for _, c := range []struct {
			values []int64
			want   string
		}{
			{[]int64{1e9 / per, last}, "timestamp"},
			{[]int64{0}, "datetime"},
			{[]int64{last, last + 1e9/per}, "datetime"},
			{[]int64{-1}, "datetime"},
		} {
			sc := arrow.NewSchema([]arrow.Field{{Name: "at", Type: &arrow.TimestampType{Unit: unit, TimeZone: "UTC"}, Nullable: true}}, nil)
			b := array.NewRecordBuilder(memory.DefaultAllocator, sc)
			b.Field(0).AppendNull()
			for _, v := range c.values {
				b.Field(0).(*array.TimestampBuilder).Append(arrow.Timestamp(v))
			}
			var file bytes.Buffer
			w := ipc.NewWriter(&file, ipc.WithSchema(sc))
			if err := errors.Join(w.Write(b.NewRecordBatch()), w.Close()); err != nil {
				t.Fatal(err)
			}
			src := Source{Name: "f.arrows", R: bytes.NewReader(file.Bytes()), Size: int64(file.Len())}
			f, _ := FormatOf(src.Name, "")
			in, err := Infer(t.Context(), src, InferOptions{Format: f})
			if err != nil {
				t.Fatal(err)
			}
			if got, _, _ := strings.Cut(in.Types[0].String(), "("); got != c.want {
				t.Errorf("%v in %s: %s, want %s", c.values, unit, in.Types[0], c.want)
			}
		}
	}
}

// TestExportThatFails leaves no file that readers take for a whole one.
func TestExportThatFails(t *testing.T) {
	tab, st := everyType(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for magic, f := range map[string]Format{"PAR1": {Type: Parquet}, "ARROW1": {Type: Arrow}} {
		var b bytes.Buffer
		if _, err := Export(ctx, &b, table.NewView(st, tab, nil), f, func(int64) {}); err == nil {
			t.Errorf("%s: the export of a context that has ended succeeds", magic)
		}
		if n := bytes.Count(b.Bytes(), []byte(magic)); n > 1 {
			t.Errorf("%s: what was written has a beginning and an end", magic)
		}
	}
}
