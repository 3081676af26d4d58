package value_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/value"
)

func TestCanonicalJSON(t *testing.T) {
	tests := []struct{ in, want string }{
		{`null`, `null`}, {` true `, `true`}, {"\t\r\nfalse\n", `false`},
		{`{}`, `{}`}, {`[ ]`, `[]`}, {` [ 1 , 2 ] `, `[1,2]`}, {`[[],{}]`, `[[],{}]`},
		{`{"b":1,"a":2}`, `{"a":2,"b":1}`}, {`{"aa":1,"b":2}`, `{"b":2,"aa":1}`}, {`{"é":1,"zz":2,"y":3}`, `{"y":3,"zz":2,"é":1}`},
		{`{"a":1,"a":2}`, `{"a":2}`}, {`{"a":1,"b":{"c":1,"c":[2]},"a":[3]}`, `{"a":[3],"b":{"c":[2]}}`}, {`{"a":1,"\u0061":2}`, `{"a":2}`},
		{`{"":1}`, `{"":1}`}, {`{"b":{"d":1,"c":2},"a":[{"y":1,"x":2}]}`, `{"a":[{"x":2,"y":1}],"b":{"c":2,"d":1}}`},
		{`"a"`, `"a"`}, {`"\u0041\/\b\f\n\r\t\"\\"`, `"A/\b\f\n\r\t\"\\"`}, {`"\u001F\u0000"`, `"\u001f\u0000"`}, {`"\u007f"`, "\"\x7f\""}, {`"é\u00e9"`, `"éé"`},
		{`"\ud83d\ude00"`, `"😀"`}, {`"\uFFFD"`, "\"\ufffd\""}, {`"<>&"`, `"<>&"`}, {`"\u2028"`, "\"\u2028\""},
		{`0`, `0`}, {`-0`, `0`}, {`-1`, `-1`}, {`18446744073709551615`, `18446744073709551615`}, {`123456789012345678901234567890`, `123456789012345678901234567890`},
		{`1.0`, `1.0`}, {`1.00`, `1.0`}, {`1e0`, `1.0`}, {`10e-1`, `1.0`}, {`0.1e1`, `1.0`}, {`-0.0`, `-0.0`}, {`0e5`, `0.0`}, {`0.000`, `0.0`}, {`1.50`, `1.5`}, {`0.1`, `0.1`},
		{`100.0`, `100.0`}, {`1e2`, `100.0`}, {`1E+2`, `100.0`}, {`1e15`, `1000000000000000.0`}, {`1e16`, `1e16`}, {`12e15`, `1.2e16`}, {`0.0001`, `0.0001`}, {`0.00012`, `0.00012`},
		{`0.00001`, `1e-5`}, {`1.5e-7`, `1.5e-7`}, {`1e308`, `1e308`}, {`1e400`, `1e400`}, {`3.141592653589793238462643383279`, `3.141592653589793238462643383279`},
		{`1234567890123456.5`, `1234567890123456.5`}, {`12345678901234567.5`, `1.23456789012345675e16`}, {`1e1000000000`, `1e1000000000`}, {`1e00000000000000000000001`, `10.0`},
	}
	for _, tt := range tests {
		got, err := value.CanonicalJSON([]byte("x"), []byte(tt.in))
		if err != nil || string(got) != "x"+tt.want {
			t.Errorf("%s = %s, %v, want %s", tt.in, got, err, tt.want)
		}
		if again, err := value.CanonicalJSON(nil, []byte(tt.want)); err != nil || string(again) != tt.want {
			t.Errorf("%s, which is canonical, = %s, %v", tt.want, again, err)
		}
	}
}

func TestCanonicalJSONRefuses(t *testing.T) {
	for _, in := range []string{
		``, ` `, `nul`, `nullx`, `null null`, `{`, `[`, `"`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{a:1}`, `{"a":1 "b":2}`, `[1,]`, `[1 2]`, `[,1]`, `]`, `'a'`, `NaN`, `Infinity`, `True`,
		`01`, `-`, `+1`, `.5`, `1.`, `1.e5`, `1e`, `1e+`, `-01`, `0x1`, `1_0`, `--1`, `1e1000000001`, `10e1000000000`, `1e99999999999999999999`, `1e-99999999999999999999`,
		"\"\n\"", "\"\x00\"", `"\x"`, `"\u12"`, `"\u12g4"`, `"\ud800"`, `"\udc00"`, `"\ud800\u0041"`, `"\ud800\n"`, "\"\xff\"", "\"\xed\xa0\x80\"", "{\"\xff\":1}", "\"\xc3\\u00a9\"", "\ufeff1",
		strings.Repeat("[", 101) + strings.Repeat("]", 101), strings.Repeat(`{"a":`, 101) + "1" + strings.Repeat("}", 101), strings.Repeat("[", 1<<20),
	} {
		if got, err := value.CanonicalJSON(nil, []byte(in)); !errs.Is(err, errs.Invalid) {
			t.Errorf("%.80q = %.80s, %v, want an invalid value", in, got, err)
		}
	}
	deep := strings.Repeat("[", 100) + strings.Repeat("]", 100)
	if got, err := value.CanonicalJSON(nil, []byte(deep)); err != nil || string(got) != deep {
		t.Errorf("nesting of 100 is refused: %v", err)
	}
}

func TestAppendJSONText(t *testing.T) {
	tests := []struct{ in, want string }{
		{`{"a":1,"b":[1,2.5,"x,y:\"z"]}`, `{"a": 1, "b": [1, 2.5, "x,y:\"z"]}`}, {`"\\"`, `"\\"`}, {`["\\",1]`, `["\\", 1]`}, {`{}`, `{}`},
	}
	for _, tt := range tests {
		if got := string(value.AppendJSONText(nil, []byte(tt.in))); got != tt.want {
			t.Errorf("text of %s = %s, want %s", tt.in, got, tt.want)
		}
	}
}

// FuzzCanonicalJSON checks that the canonical form is a fixpoint, means the same to encoding/json, and that both accept the same.
func FuzzCanonicalJSON(f *testing.F) {
	for _, s := range []string{`{"b":[1,2.50,-0,1e-9],"a":{"x":"\u00e9\n","x":null}}`, `[1e400,"\ud83d\ude00"]`, `"\ud800"`, `1e1000000000`, `[[[`, "\"\xff\"", `{"aa":1,"b":{"c":1,"bb":2,"c":3},"a":2,"b":1}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		out, err := value.CanonicalJSON(nil, src)
		if err != nil {
			if !errs.Is(err, errs.Invalid) {
				t.Fatalf("class of %v", err)
			}
			return
		}
		again, err := value.CanonicalJSON(nil, out)
		if err != nil || !bytes.Equal(again, out) {
			t.Fatalf("%s is not a fixpoint: %s, %v", out, again, err)
		}
		spaced, err := value.CanonicalJSON(nil, value.AppendJSONText(nil, out))
		if err != nil || !bytes.Equal(spaced, out) {
			t.Fatalf("the text of %s reads back as %s, %v", out, spaced, err)
		}
		if !json.Valid(src) || !json.Valid(out) {
			t.Fatalf("%q is JSON to us only", src)
		}
		var a, b any
		if json.Unmarshal(src, &a) == nil && json.Unmarshal(out, &b) == nil && !reflect.DeepEqual(a, b) {
			t.Fatalf("%q and %s mean %v and %v", src, out, a, b)
		}
	})
}

func BenchmarkCanonicalJSON(b *testing.B) {
	src := []byte(`{"name": "hospital", "tags": ["a", "b"], "price": 12.50, "nested": {"b": 1, "a": null}}`)
	dst := make([]byte, 0, 200)
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := value.CanonicalJSON(dst[:0], src); err != nil {
			b.Fatal(err)
		}
	}
}
