package op

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/value"
)

func cellOf(c Class) *rapid.Generator[any] {
	switch c {
	case ClassInt:
		return rapid.Map(rapid.Int64(), func(v int64) any { return v })
	case ClassUint:
		return rapid.Map(rapid.Uint64(), func(v uint64) any { return v })
	case ClassFloat:
		return rapid.Map(rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), 5e-324})),
			func(v float64) any { return v })
	case ClassTime:
		return rapid.Custom(func(t *rapid.T) any {
			zone := time.FixedZone("", 60*rapid.IntRange(-14*60, 14*60).Draw(t, "zone"))
			return time.Unix(rapid.Int64Range(-62135596800, 253402214400).Draw(t, "s"), 1000*rapid.Int64Range(0, 999999).Draw(t, "us")).In(zone)
		})
	case ClassBytes:
		return rapid.Map(rapid.SliceOf(rapid.Byte()), func(v []byte) any { return v })
	}
	return rapid.Map(rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })),
		func(v string) any { return v })
}

// Invariant O3.
func TestResultRoundTrip(t *testing.T) {
	sameFloat := cmp.Comparer(func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) || a != a && b != b })
	sameTime := cmp.Comparer(func(a, b time.Time) bool {
		_, za := a.Zone()
		_, zb := b.Zone()
		return a.Equal(b) && za == zb
	})
	rapid.Check(t, func(t *rapid.T) {
		in := &Result{ExitCode: rapid.IntRange(0, 1).Draw(t, "exit")}
		kinds := rapid.SliceOfN(rapid.IntRange(1, int(value.KindVector)), 0, 5).Draw(t, "kinds")
		for _, k := range kinds {
			in.Columns = append(in.Columns, Column{Name: rapid.String().Draw(t, "name"), Type: value.Type{Kind: value.Kind(k),
				Length: rapid.Uint32().Draw(t, "length"), Precision: rapid.Uint8().Draw(t, "precision"), Values: rapid.SliceOfN(rapid.String(), 1, 2).Draw(t, "values")}, UTC: rapid.Bool().Draw(t, "utc")})
		}
		for range rapid.IntRange(0, 4).Draw(t, "rows") {
			row := make([]any, len(kinds))
			for i := range row {
				if !rapid.Bool().Draw(t, "null") {
					row[i] = cellOf(ClassOf(in.Columns[i].Type)).Draw(t, "cell")
				}
			}
			in.Rows = append(in.Rows, row)
		}
		in.Lines = rapid.SampledFrom([][]string{nil, {}, {"a", ""}}).Draw(t, "lines")
		in.Hints = rapid.SampledFrom([][]string{nil, {"h"}}).Draw(t, "hints")
		if rapid.Bool().Draw(t, "part") {
			in.Parts = []*Result{{Columns: []Column{Whole("n")}, Rows: [][]any{{int64(1)}}, Lines: []string{"part"}}}
		}
		if rapid.Bool().Draw(t, "detail") {
			if err := in.SetDetail(map[string]int{"a": 1}); err != nil {
				t.Fatal(err)
			}
		}
		b, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		var out Result
		if err := json.Unmarshal(b, &out); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		if d := cmp.Diff(in, &out, sameFloat, sameTime); d != "" {
			t.Fatalf("%s (-in +out):\n%s", b, d)
		}
	})
}

// TestZeroTimes: a zero DATETIME is told from all moments, also behind JSON.
func TestZeroTimes(t *testing.T) {
	for _, at := range []time.Time{zeroTime, {}, time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)} {
		typ := value.Type{Kind: value.KindDatetime}
		raw, err := encodeCell(typ, at)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decodeCell(typ, raw); err != nil || !got.(time.Time).Equal(at) {
			t.Errorf("%v is %v as JSON (%s), %v", at, got, raw, err)
		}
	}
}

func TestResultRefuses(t *testing.T) {
	for name, r := range map[string]*Result{
		"a short row":    {Columns: []Column{Text("a"), Text("b")}, Rows: [][]any{{"x"}}},
		"int for int64":  {Columns: []Column{Whole("a")}, Rows: [][]any{{1}}},
		"text for whole": {Columns: []Column{Whole("a")}, Rows: [][]any{{"1"}}},
		"a stream":       {Columns: []Column{Whole("a")}, Stream: func(func([]any, error) bool) {}},
	} {
		_, err := r.MarshalJSON()
		if !errs.Is(err, errs.Internal) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, s := range []string{`{"columns":[{"name":"a","kind":5}],"rows":[["x"]]}`, `{"rows":[[1]]}`, `[]`, `{"parts":[null]}`, `{"columns":[{"kind":24}],"rows":[[1]]}`} {
		var r Result
		if err := json.Unmarshal([]byte(s), &r); !errs.Is(err, errs.Invalid) && !strings.Contains(err.Error(), "cannot unmarshal") {
			t.Errorf("%s: %v", s, err)
		}
	}
}

func FuzzResultUnmarshal(f *testing.F) {
	f.Add([]byte(`{"columns":[{"name":"a","kind":5},{"name":"b","kind":24},{"name":"t","kind":18}],"rows":[[1,{"base64":"/w=="},"2024-01-31T00:00:00Z"]],"lines":null}`))
	f.Add([]byte(`{"columns":[{"name":"f","kind":12},{"name":"x","kind":27}],"rows":[["NaN","AAE="],[1e300,null]],"lines":["l"],"detail":{"a":1}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var r Result
		if r.UnmarshalJSON(data) != nil {
			return
		}
		b, err := r.MarshalJSON()
		if err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		var again Result
		if err := again.UnmarshalJSON(b); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
	})
}

func TestStream(t *testing.T) {
	r := &Result{Columns: []Column{Whole("a")}}
	row := make([]any, 1)
	r.Stream = func(yield func([]any, error) bool) {
		for i := range 3 {
			row[0] = int64(i)
			if !yield(row, nil) {
				return
			}
		}
	}
	if err := r.Collect(); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([][]any{{int64(0)}, {int64(1)}, {int64(2)}}, r.Rows); d != "" || r.Stream != nil {
		t.Error(d)
	}
	boom := errors.New("boom")
	r.Stream = func(yield func([]any, error) bool) { yield(nil, boom) }
	if err := r.Collect(); !errors.Is(err, boom) {
		t.Errorf("collect: %v", err)
	}
}

func TestFormatCell(t *testing.T) {
	at := time.Date(2021, 4, 23, 23, 46, 4, 120000000, time.UTC)
	for _, c := range []struct {
		kind value.Type
		cell any
		want string
	}{
		{Whole("").Type, int64(-3), "-3"},
		{value.Type{Kind: value.KindUint64}, uint64(math.MaxUint64), "18446744073709551615"},
		{Number("").Type, 3.0, "3"}, {Number("").Type, math.Nextafter(0.3, 1), "0.30000000000000004"}, {Number("").Type, 1e6, "1000000"},
		{Number("").Type, 1e15, "1e+15"}, {Number("").Type, -1.5e300, "-1.5e+300"}, {Number("").Type, 1e-20, "1e-20"}, {Number("").Type, 1e-5, "1e-05"},
		{Number("").Type, math.NaN(), "NaN"}, {Number("").Type, 0.0, "0"},
		{value.Type{Kind: value.KindFloat32}, float64(float32(0.1)), "0.1"},
		{value.Type{Kind: value.KindDatetime}, at, "2021-04-23 23:46:04"},
		{value.Type{Kind: value.KindDatetime, Precision: 3}, at, "2021-04-23 23:46:04.120"},
		{value.Type{Kind: value.KindDatetime, Precision: 3}, zeroTime, "0000-00-00 00:00:00.000"}, {value.Type{Kind: value.KindTimestamp}, zeroTime, "0000-00-00 00:00:00"},
		{value.Type{Kind: value.KindDatetime}, time.Time{}, "0001-01-01 00:00:00"},
		{Moment("").Type, at, "2021-04-23 23:46:04.120000"},
		{value.Type{Kind: value.KindBlob}, []byte("ab"), "ab"},
		{value.Type{Kind: value.KindDecimal}, "1.50", "1.50"},
	} {
		if got := FormatCell(c.kind, c.cell); got != c.want {
			t.Errorf("%v of kind %d: %q, want %q", c.cell, c.kind.Kind, got, c.want)
		}
	}
}
