package flight

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/stemmadb/stemma/internal/frame"
)

// laidOut is what the note behind the columns of a read says.
type laidOut struct {
	Rows    int64          `json:"rows"`
	Columns []columnLayout `json:"columns"`
}

// column makes the arrays of a column that is laid out in a file.
func (m *testMemory) column(i int, dt arrow.DataType, rows int64, l columnLayout) []arrow.Array {
	m.t.Helper()
	if e, ok := dt.(arrow.ExtensionType); ok {
		dt = e.StorageType()
	}
	b, err := io.ReadAll(io.NewSectionReader(m.given[i], 0, l.Size+1))
	check(m.t, err)
	if int64(len(b)) != l.Size {
		m.t.Fatalf("file %d has %d bytes, not %d", i, len(b), l.Size)
	}
	buffer := func(from, to int64) *memory.Buffer { return memory.NewBufferBytes(b[from:to]) }
	var valid *memory.Buffer
	known := 0
	if l.Nulls > 0 {
		known = array.UnknownNullCount
		valid = buffer(0, (rows+7)/8)
	}
	var out []arrow.Array
	ends := func(k int) (row, text int64) {
		if k < len(l.Pieces) {
			return l.Pieces[k][0], l.Text + l.Pieces[k][1]
		}
		return rows, l.Size
	}
	switch t := dt.(type) {
	case *arrow.StringViewType:
		buffers := []*memory.Buffer{valid, buffer(l.Values, l.Values+16*rows)}
		for k := range l.Pieces {
			_, from := ends(k)
			_, to := ends(k + 1)
			buffers = append(buffers, buffer(from, to))
		}
		out = append(out, array.MakeFromData(array.NewData(t, int(rows), buffers, nil, known, 0)))
	case arrow.BinaryDataType:
		width := int64(4)
		if id := dt.ID(); id == arrow.LARGE_STRING || id == arrow.LARGE_BINARY {
			width = 8
		}
		for k := range l.Pieces {
			first, from := ends(k)
			behind, to := ends(k + 1)
			at := l.Values + int64(k)*width
			buffers := []*memory.Buffer{valid, buffer(at, at+(behind+1)*width), buffer(from, to)}
			out = append(out, array.MakeFromData(array.NewData(dt, int(behind-first), buffers, nil, known, int(first))))
		}
	case *arrow.FixedSizeListType:
		n := rows * int64(t.Len())
		child := array.NewData(t.Elem(), int(n), []*memory.Buffer{nil, buffer(l.Values, l.Values+4*n)}, nil, 0, 0)
		out = append(out, array.MakeFromData(array.NewData(t, int(rows), []*memory.Buffer{valid}, []arrow.ArrayData{child}, known, 0)))
	case *arrow.DictionaryType:
		values := array.NewStringBuilder(memory.DefaultAllocator)
		values.AppendValues(l.Dictionary, nil)
		size := rows * int64(t.IndexType.(arrow.FixedWidthDataType).BitWidth()/8)
		buffers := []*memory.Buffer{valid, buffer(l.Values, l.Values+size)}
		names := values.NewStringArray().Data().(*array.Data)
		out = append(out, array.MakeFromData(array.NewDataWithDictionary(t, int(rows), buffers, known, 0, names)))
	default:
		size := (rows*int64(dt.(arrow.FixedWidthDataType).BitWidth()) + 7) / 8
		out = append(out, array.MakeFromData(array.NewData(dt, int(rows), []*memory.Buffer{valid, buffer(l.Values, l.Values+size)}, nil, known, 0)))
	}
	nulls := 0
	for _, a := range out {
		if v, ok := a.(interface{ ValidateFull() error }); ok {
			check(m.t, v.ValidateFull())
		}
		nulls += a.NullN()
	}
	if int64(nulls) != l.Nulls {
		m.t.Fatalf("column %d has %d NULLs, not %d", i, nulls, l.Nulls)
	}
	return out
}

// cells are the cells of a column as text.
func cells(arrays ...arrow.Array) []string {
	var out []string
	for _, a := range arrays {
		if e, ok := a.(array.ExtensionArray); ok {
			a = e.Storage()
		}
		for i := range a.Len() {
			if a.IsNull(i) {
				out = append(out, "NULL")
			} else {
				out = append(out, "="+a.ValueStr(i))
			}
		}
	}
	return out
}

// kinds is a schema with a column of each way of being laid out.
var kinds = arrow.NewSchema([]arrow.Field{
	{Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
	{Name: "tiny", Type: arrow.PrimitiveTypes.Int8, Nullable: true},
	{Name: "truth", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
	{Name: "d", Type: &arrow.Decimal128Type{Precision: 20, Scale: 3}, Nullable: true},
	{Name: "t", Type: &arrow.TimestampType{Unit: arrow.Microsecond}, Nullable: true},
	{Name: "s", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "long", Type: arrow.BinaryTypes.LargeString, Nullable: true},
	{Name: "short", Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: "b", Type: arrow.BinaryTypes.Binary, Nullable: true},
	{Name: "lb", Type: arrow.BinaryTypes.LargeBinary, Nullable: true},
	{Name: "v", Type: arrow.FixedSizeListOfNonNullable(3, arrow.PrimitiveTypes.Float32), Nullable: true},
}, nil)

// randomRows are rows of kinds. Some columns have no NULLs, some nothing else.
func randomRows(r *rand.Rand, n int, nulls []float64) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, kinds)
	defer b.Release()
	for i, f := range b.Fields() {
		for range n {
			if r.Float64() < nulls[i] {
				f.AppendNull()
				continue
			}
			text := strings.Repeat(string(rune('a'+r.IntN(26))), r.IntN(30))
			switch f := f.(type) {
			case *array.Int64Builder:
				f.Append(int64(r.Uint64()))
			case *array.Int8Builder:
				f.Append(int8(r.Uint64()))
			case *array.BooleanBuilder:
				f.Append(r.IntN(2) == 0)
			case *array.StringBuilder:
				if i == 7 {
					text = text[:min(len(text), 12)]
				}
				f.Append(text)
			case *array.LargeStringBuilder:
				f.Append(text + "ß")
			case *array.BinaryBuilder:
				f.Append([]byte(text))
			case *array.FixedSizeListBuilder:
				f.Append(true)
				for range 3 {
					f.ValueBuilder().(*array.Float32Builder).Append(r.Float32())
				}
			default:
				check(panicking{}, f.AppendValueFromString(fmt.Sprint(r.IntN(1000))))
			}
		}
	}
	return b.NewRecordBatch()
}

type panicking struct{ testing.TB }

func (panicking) Helper()                   {}
func (panicking) Fatal(args ...any)         { panic(fmt.Sprint(args...)) }
func (panicking) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }

// Columns are laid out as they are, into whatever parts the rows are cut and in whatever order these are written, with text cut into pieces
// or not.
func TestColumnFiles(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		rows := r.IntN(400)
		nulls := make([]float64, kinds.NumFields())
		for i := range nulls {
			nulls[i] = []float64{0, 0.1, 1}[r.IntN(3)]
		}
		whole := randomRows(r, rows, nulls)
		form := []string{"", textLarge, textView}[seed%3]
		m := &testMemory{t: t}
		files, err := newColumnFiles(kinds, int64(rows), form, m)
		check(t, err)
		if seed%2 == 0 {
			for _, f := range files.cols {
				f.piece = 200
			}
		}
		var parts []func()
		for first := 0; first < rows; {
			n := min(1+r.IntN(60), rows-first)
			batch := randomSlice(whole, first, n)
			for i, f := range files.cols {
				var text textPart
				if f.text {
					text = f.measure(batch.Column(i))
					check(t, f.place(&text, int64(first)))
				}
				at := int64(first)
				parts = append(parts, func() { check(t, f.write(batch.Column(i), at, &text)) })
			}
			first += n
		}
		r.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		for _, p := range parts {
			p()
		}
		note, err := files.finish(m)
		check(t, err)
		files.close()
		var l laidOut
		check(t, json.Unmarshal(note, &l))
		for i, f := range files.schema.Fields() {
			got := m.column(i, f.Type, l.Rows, l.Columns[i])
			if want := cells(whole.Column(i)); !slices.Equal(cells(got...), want) {
				t.Fatalf("seed %d, column %s as %s: %v, not %v", seed, f.Name, f.Type, cells(got...), want)
			}
			if len(got) > 1 && seed%2 != 0 {
				t.Errorf("column %s is in %d pieces", f.Name, len(got))
			}
		}
	}
}

// randomSlice is some rows of a batch in memory of their own, as they come from a scan.
func randomSlice(b arrow.RecordBatch, first, n int) arrow.RecordBatch {
	part := b.NewSlice(int64(first), int64(first+n))
	columns := slices.Clone(part.Columns())
	for i, c := range columns {
		copied, err := array.Concatenate([]arrow.Array{c}, memory.DefaultAllocator)
		if err != nil {
			panic(err)
		}
		columns[i] = copied
	}
	return array.NewRecordBatch(b.Schema(), columns, int64(n))
}

// columns reads a ticket by way of memory whose columns are laid out, and returns their cells.
func (v *served) columns(ticket, form string) (*arrow.Schema, [][]string, error) {
	v.t.Helper()
	m := &testMemory{t: v.t}
	defer v.Share("columns", m)()
	ctx := metadata.AppendToOutgoingContext(context.Background(), headerMemory, "columns")
	if form != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, headerText, form)
	}
	stream, err := flight.NewFlightServiceClient(v.dial()).DoGet(ctx, &flight.Ticket{Ticket: []byte(ticket)})
	check(v.t, err)
	var schema *arrow.Schema
	var l laidOut
	for {
		d, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, nil, err
		}
		if len(d.DataHeader) > 0 {
			r, err := ipc.NewReaderFromMessageReader(&oneMessage{ipc.NewMessage(memory.NewBufferBytes(d.DataHeader), memory.NewBufferBytes(nil))})
			check(v.t, err)
			schema = r.Schema()
			continue
		}
		l = laidOut{}
		check(v.t, json.Unmarshal(d.AppMetadata, &l))
	}
	if schema == nil || len(l.Columns) != schema.NumFields() || len(m.given) != len(l.Columns) {
		v.t.Fatalf("%d files for %d columns", len(m.given), len(l.Columns))
	}
	var out [][]string
	for i, f := range schema.Fields() {
		out = append(out, cells(m.column(i, f.Type, l.Rows, l.Columns[i])...))
	}
	return schema, out, nil
}

// oneMessage gives one message.
type oneMessage struct{ m *ipc.Message }

// Message implements ipc.MessageReader.
func (o *oneMessage) Message() (*ipc.Message, error) {
	m := o.m
	o.m = nil
	if m == nil {
		return nil, io.EOF
	}
	return m, nil
}

func (o *oneMessage) Retain()  {}
func (o *oneMessage) Release() {}

// plainly reads a ticket without memory.
func (v *served) plainly(ticket string) [][]string {
	v.t.Helper()
	stream, err := flight.NewFlightServiceClient(v.dial()).DoGet(context.Background(), &flight.Ticket{Ticket: []byte(ticket)})
	check(v.t, err)
	r, err := flight.NewRecordReader(stream)
	check(v.t, err)
	defer r.Release()
	out := make([][]string, r.Schema().NumFields())
	for r.Next() {
		for i, c := range r.RecordBatch().Columns() {
			out[i] = append(out[i], cells(c)...)
		}
	}
	check(v.t, r.Err())
	return out
}

// A table's columns are the same by way of memory and without, of several parts, of a range, and with edits that are in no tree yet.
func TestColumns(t *testing.T) {
	v := serve(t)
	c := sqlClient(v.dial())
	const rows = 3*frame.PartRows + 1234
	v.exec(c, "create table wide (k int primary key, n bigint, s varchar(40), l longtext, b boolean, d decimal(12,2), t datetime(6), j json, e enum('a','b','it''s'))")
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema([]arrow.Field{
		{Name: "k", Type: arrow.PrimitiveTypes.Int32}, {Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: "s", Type: arrow.BinaryTypes.String, Nullable: true}, {Name: "l", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "b", Type: arrow.FixedWidthTypes.Boolean, Nullable: true}, {Name: "j", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "e", Type: arrow.BinaryTypes.String, Nullable: true},
	}, nil))
	defer b.Release()
	for k := range int32(rows) {
		b.Field(0).(*array.Int32Builder).Append(k)
		for i := 1; i < 7; i++ {
			if k > frame.PartRows && k%7 == int32(i) { // the first part has no NULLs
				b.Field(i).AppendNull()
				continue
			}
			switch i {
			case 1:
				b.Field(i).(*array.Int64Builder).Append(int64(k) << 30)
			case 2:
				b.Field(i).(*array.StringBuilder).Append(fmt.Sprintf("text %d of many", k%97))
			case 3:
				text := fmt.Sprint(k)
				if k%5000 == 0 {
					text = strings.Repeat(text+" ", 9000) // out of line
				}
				b.Field(i).(*array.StringBuilder).Append(text)
			case 4:
				b.Field(i).(*array.BooleanBuilder).Append(k%3 == 0)
			case 5:
				b.Field(i).(*array.StringBuilder).Append(fmt.Sprintf(`{"k": %d}`, k))
			case 6:
				b.Field(i).(*array.StringBuilder).Append([]string{"a", "b", "it's"}[k%3])
			}
		}
	}
	_, err := write(v.dial(), `{"write":{"table":"wide","mode":"append"}}`, []arrow.RecordBatch{b.NewRecordBatch()}, false)
	check(t, err)
	compare := func(ticket string) {
		t.Helper()
		want := v.plainly(ticket)
		for _, form := range []string{"", textLarge, textView} {
			schema, got, err := v.columns(ticket, form)
			check(t, err)
			for i := range want {
				if !slices.Equal(got[i], want[i]) {
					t.Errorf("%s: column %s as %s differs", ticket, schema.Field(i).Name, schema.Field(i).Type)
				}
			}
		}
	}
	for pass := range 2 {
		compare(`{"read":{"table":"wide"}}`)
		compare(`{"read":{"table":"wide","columns":["s","k","s"],"range":{"from":100,"to":40001}}}`)
		compare(`{"read":{"table":"wide","range":{"from":49999,"to":50000}}}`)
		compare(`{"read":{"table":"wide","range":{"from":7,"to":7}}}`)
		if pass == 1 {
			break
		}
		v.exec(c, "delete from wide where k % 1000 = 3", "update wide set s = null, l = 'edited' where k % 1000 = 4", "insert into wide (k, l, e) values (-1, repeat('long ', 4000), null)",
			"insert ignore into wide (k, e) values (90000, 'none of them')")
	}
	if values := v.plainly(`{"read":{"table":"wide","columns":["e"]}}`)[0]; !slices.Contains(values, "=") || !slices.Contains(values, "NULL") {
		t.Error("the ENUM has no cell that is none of its values")
	}
	// A cell that Arrow has no value for is told with its row.
	v.exec(c, "update wide set b = 7 where k = 45000")
	if _, _, err := v.columns(`{"read":{"table":"wide"}}`, ""); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "7 is no truth value") {
		t.Errorf("%v", err)
	}
	if _, _, err := v.columns(`{"read":{"table":"wide"}}`, "utf16"); status.Code(err) != codes.InvalidArgument {
		t.Errorf("an unknown form of text: %v", err)
	}
}
