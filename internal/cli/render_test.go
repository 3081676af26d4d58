package cli

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/op"
	"github.com/stemmadb/stemma/internal/value"
)

func rowsOf(rows ...[]any) iter.Seq2[[]any, error] { return (&op.Result{Rows: rows}).All() }

func draw(t *testing.T, f Format, cols []op.Column, rows ...[]any) string {
	t.Helper()
	var b strings.Builder
	n, err := Render(&b, f, cols, rowsOf(rows...))
	if err != nil || n != int64(len(rows)) {
		t.Fatalf("%s: %d rows, %v", f, n, err)
	}
	return b.String()
}

func TestRender(t *testing.T) {
	cols := []op.Column{op.Whole("id"), op.Text("name"), op.Number("x"), op.Moment("at"), op.Document("doc")}
	cols[3].Type.Precision = 0
	at := time.Date(2021, 4, 23, 23, 46, 4, 0, time.UTC)
	rows := [][]any{
		{int64(1), "a", 3.0, at, `{"b": 1}`},
		{int64(-20), nil, 0.25, nil, nil},
		{int64(3), "two\nlines", math.NaN(), at, `[1]`},
		{int64(4), "", 1e+300, at, `"<&>"`},
		{int64(5), "日本 é🙂", nil, at, nil},
		{int64(6), "q\"uo,te ", nil, nil, nil},
	}
	for f, want := range map[Format]string{
		Tabular: `
+-----+----------+--------+---------------------+----------+
| id  | name     | x      | at                  | doc      |
+-----+----------+--------+---------------------+----------+
| 1   | a        | 3      | 2021-04-23 23:46:04 | {"b": 1} |
| -20 | NULL     | 0.25   | NULL                | NULL     |
| 3   | two      | NaN    | 2021-04-23 23:46:04 | [1]      |
|     | lines    |        |                     |          |
| 4   |          | 1e+300 | 2021-04-23 23:46:04 | "<&>"    |
| 5   | 日本 é🙂 | NULL   | 2021-04-23 23:46:04 | NULL     |
| 6   | q"uo,te  | NULL   | NULL                | NULL     |
+-----+----------+--------+---------------------+----------+
`,
		CSV: `
id,name,x,at,doc
1,a,3,2021-04-23 23:46:04,"{""b"": 1}"
-20,,0.25,,
3,"two
lines",NaN,2021-04-23 23:46:04,[1]
4,"",1e+300,2021-04-23 23:46:04,"""<&>"""
5,日本 é🙂,,2021-04-23 23:46:04,
6,"q""uo,te ",,,
`,
		JSON: `
{"rows": [{"id":1,"name":"a","x":3,"at":"2021-04-23 23:46:04","doc":{"b": 1}},{"id":-20,"x":0.25},{"id":3,"name":"two\nlines","x":"NaN","at":"2021-04-23 23:46:04","doc":[1]},{"id":4,"name":"","x":1e+300,"at":"2021-04-23 23:46:04","doc":"<&>"},{"id":5,"name":"日本 é🙂","at":"2021-04-23 23:46:04"},{"id":6,"name":"q\"uo,te "}]}
`,
	} {
		if got := "\n" + draw(t, f, cols, rows...); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", f, got, want)
		}
	}
	want := `*************************** 1. row ***************************
  id: 1
name: a
   x: 3
  at: 2021-04-23 23:46:04
 doc: {"b": 1}
*************************** 2. row ***************************
  id: -20
name: NULL
   x: 0.25
  at: NULL
 doc: NULL
`
	if got := draw(t, Vertical, cols, rows[:2]...); got != want {
		t.Errorf("vertical:\n%s", got)
	}
}

// The layout of Dolt's documents, with cells given as text, as a SQL engine hands them over.
func TestRenderTexts(t *testing.T) {
	cols := []op.Column{{Name: "sepal_length", Type: value.Type{Kind: value.KindFloat64}}, {Name: "d", Type: value.Type{Kind: value.KindDecimal}}, {Name: "b", Type: value.Type{Kind: value.KindBlob}}}
	want := `+--------------+------+------+
| sepal_length | d    | b    |
+--------------+------+------+
| 7.2          | 1.50 | xy   |
| 3            | NULL | NULL |
+--------------+------+------+
`
	rows := [][]any{{"7.2", "1.50", []byte("xy")}, {"3", nil, nil}}
	if got := draw(t, Tabular, cols, rows...); got != want {
		t.Errorf("got\n%s", got)
	}
	if got, want := draw(t, JSON, cols, rows...), `{"rows": [{"sepal_length":7.2,"d":"1.50","b":"xy"},{"sepal_length":3}]}`+"\n"; got != want {
		t.Errorf("got %s", got)
	}
}

func TestRenderNothing(t *testing.T) {
	cols := []op.Column{op.Whole("a"), op.Text("b")}
	for f, want := range map[Format]string{Tabular: "", Vertical: "", CSV: "a,b\n", JSON: "{}\n"} {
		if got := draw(t, f, cols); got != want {
			t.Errorf("%s: %q, want %q", f, got, want)
		}
	}
}

// A column is widened by a wide cell in a later batch, and rows already drawn stay.
func TestTabularBatches(t *testing.T) {
	var rows [][]any
	for i := range tabularRows {
		rows = append(rows, []any{int64(i)})
	}
	rows = append(rows, []any{"a very wide cell"})
	lines := strings.Split(strings.TrimSpace(draw(t, Tabular, []op.Column{op.Whole("n")}, rows...)), "\n")
	if lines[0] != "+-----+" || lines[len(lines)-2] != "| a very wide cell |" || lines[len(lines)-1] != "+------------------+" {
		t.Errorf("%s … %s", lines[0], lines[len(lines)-2:])
	}
}

// A line of a MB in one cell does not make every line of the other cells as long.
func TestTabularLongLines(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	got := draw(t, Tabular, []op.Column{op.Text("a"), op.Text("b"), op.Text("c")}, []any{strings.Repeat("line\n", 999), long, "c"}, []any{"1", strings.Repeat("w", tabularWidth), "3"})
	if n := len(got); n > 1<<20+1003*(tabularWidth+30) {
		t.Errorf("%d bytes are drawn", n)
	}
	for _, want := range []string{"| line | " + long + " | c |\n", "| line | " + strings.Repeat(" ", tabularWidth) + " |   |\n", "| 1    | " + strings.Repeat("w", tabularWidth) + " | 3 |\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("there is no line %.20s…", want)
		}
	}
}

func TestRenderErrors(t *testing.T) {
	boom := errs.New(errs.Corrupt, "boom")
	failing := func(yield func([]any, error) bool) {
		if yield([]any{int64(1)}, nil) {
			yield(nil, boom)
		}
	}
	var b bytes.Buffer
	if n, err := Render(&b, Tabular, []op.Column{op.Whole("a")}, failing); n != 1 || !errors.Is(err, boom) {
		t.Errorf("%d rows, %v", n, err)
	}
	if _, err := Render(&b, CSV, []op.Column{op.Whole("a")}, rowsOf([]any{1, 2})); !errs.Is(err, errs.Internal) {
		t.Errorf("a long row: %v", err)
	}
	for _, f := range []Format{Tabular, CSV, JSON, Vertical} {
		if _, err := Render(fullWriter{}, f, []op.Column{op.Whole("a")}, rowsOf([]any{int64(1)})); err == nil || !strings.Contains(err.Error(), "write rows: full") {
			t.Errorf("%s to a full disk: %v", f, err)
		}
	}
	if _, err := ParseFormat("xml"); !errs.Is(err, errs.Invalid) {
		t.Errorf("xml: %v", err)
	}
}

type fullWriter struct{}

func (fullWriter) Write([]byte) (int, error) { return 0, errors.New("full") }

// Readers get back what was written.
func TestRoundTrips(t *testing.T) {
	cols := []op.Column{op.Text("a"), op.Text("b")}
	rapid.Check(t, func(t *rapid.T) {
		var rows [][]any
		for range rapid.IntRange(1, 5).Draw(t, "rows") {
			row := make([]any, len(cols))
			for i := range row {
				s := strings.ReplaceAll(rapid.String().Draw(t, "cell"), "\r", "") // encoding/csv reads \r\n as \n
				if !rapid.Bool().Draw(t, "null") {
					row[i] = s
				}
			}
			rows = append(rows, row)
		}
		var b bytes.Buffer
		if _, err := Render(&b, CSV, cols, rowsOf(rows...)); err != nil {
			t.Fatal(err)
		}
		back, err := csv.NewReader(bytes.NewReader(b.Bytes())).ReadAll()
		if err != nil || len(back) != len(rows)+1 {
			t.Fatalf("%q: %d records, %v", b.String(), len(back), err)
		}
		for i, row := range rows {
			for j, cell := range row {
				want := ""
				if cell != nil {
					want = cell.(string)
				}
				if back[i+1][j] != want {
					t.Fatalf("%q: %q, want %q", b.String(), back[i+1][j], want)
				}
			}
		}
		b.Reset()
		if _, err := Render(&b, JSON, cols, rowsOf(rows...)); err != nil {
			t.Fatal(err)
		}
		var doc struct{ Rows []map[string]any }
		if err := json.Unmarshal(b.Bytes(), &doc); err != nil {
			t.Fatalf("%s: %v", b.String(), err)
		}
		for i, row := range rows {
			for j, cell := range row {
				if got := doc.Rows[i][cols[j].Name]; got != cell {
					t.Fatalf("%s: %v, want %v", b.String(), got, cell)
				}
			}
		}
	})
}

func BenchmarkRenderTable(b *testing.B) {
	cols := []op.Column{op.Whole("id"), op.Text("name"), op.Number("x")}
	row := []any{int64(123456), "a name of usual length", 3.25}
	for _, f := range []Format{Tabular, CSV, JSON} {
		b.Run(string(f), func(b *testing.B) {
			b.ReportAllocs()
			rows := func(yield func([]any, error) bool) {
				for range b.N {
					if !yield(row, nil) {
						return
					}
				}
			}
			if _, err := Render(discard{}, f, cols, rows); err != nil {
				b.Fatal(err)
			}
		})
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

func ExampleRender() {
	r := &op.Result{Columns: []op.Column{op.Whole("a"), op.Text("b")}}
	r.Add(int64(1), nil)
	var b strings.Builder
	if _, err := Render(&b, Tabular, r.Columns, r.All()); err != nil {
		fmt.Println(err)
	}
	fmt.Print(b.String())
	// Output:
	// +---+------+
	// | a | b    |
	// +---+------+
	// | 1 | NULL |
	// +---+------+
}
