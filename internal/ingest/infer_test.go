package ingest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stemmadb/stemma/internal/value"
)

func infer(t interface{ Fatal(...any) }, file string, opt InferOptions) string {
	opt.Format = comma
	h, err := ReadHead(context.Background(), source(file), comma)
	if err != nil {
		t.Fatal(err)
	}
	opt.Names = h.Names
	in, err := Infer(context.Background(), source(file), opt)
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for i, ty := range in.Types {
		fmt.Fprintf(&b, "%s %s", opt.Names[i], ty)
		if in.Nulls[i] {
			b.WriteString(" null")
		}
		b.WriteString(", ")
	}
	fmt.Fprintf(&b, "%d rows", in.Rows)
	if opt.Keys {
		if !in.KeysKnown {
			b.WriteString(", keys unknown")
		} else {
			b.WriteString(", keys:")
			for _, c := range in.Unique {
				b.WriteString(" " + opt.Names[c])
			}
		}
	}
	return b.String()
}

func TestInfer(t *testing.T) {
	file := "id,zip,price,day,b,e\n1,01234,1.5,2021-01-01,true,\n2,99999,2,2021-01-02 10:00:00.5,FALSE,\n2147483648,1,3,2021-01-03,true,\n"
	if got, want := infer(t, file, InferOptions{Keys: true}),
		"id bigint, zip varchar(255), price double, day datetime(1), b tinyint, e varchar(255) null, 3 rows, keys: id zip price day"; got != want {
		t.Error(got)
	}
	if got, want := infer(t, "a,b\n1,x\n,\n", InferOptions{AllText: true}), "a varchar(255) null, b varchar(255) null, 2 rows"; got != want {
		t.Error(got)
	}
	bad := "a,b\n1,x\n2\n3,y\n"
	if got, want := infer(t, bad, InferOptions{}), "f.csv line 3: 1 field, want 2"; got != want {
		t.Error(got)
	}
	if got, want := infer(t, bad, InferOptions{SkipBad: true}), "a int, b varchar(255), 2 rows"; got != want {
		t.Error(got)
	}
}

// TestInferLastLine has values that fit only the types of the last line, many blocks down.
func TestInferLastLine(t *testing.T) {
	var b strings.Builder
	b.WriteString("n,m,s\n")
	for i := range 100000 {
		fmt.Fprintf(&b, "%d,%d,x\n", i, i%7)
	}
	b.WriteString("x1,-1.5," + strings.Repeat("y", 300) + "\n")
	if got, want := infer(t, b.String(), InferOptions{Keys: true}), "n varchar(255), m double, s varchar(1023), 100001 rows, keys: n"; got != want {
		t.Error(got)
	}
	if got := infer(t, b.String(), InferOptions{Keys: true, Memory: 100 << 10}); !strings.HasSuffix(got, "keys unknown") {
		t.Error(got)
	}
}

// TestWitnesses holds that Inferrers brought together by their witnesses come to what one that sees all values does.
func TestWitnesses(t *testing.T) {
	field := rapid.SampledFrom([]string{"", "0", "1", "-1", "300", "5000000000", "-5000000000", "18446744073709551615", "1.5", "-0", "1e9", "007", "true",
		"2021-01-01", "2021-01-01 00:00:01.25", "text", "€€€", strings.Repeat("z", 256), strings.Repeat("é", 200)})
	rapid.Check(t, func(rt *rapid.T) {
		vals := rapid.SliceOfN(field, 0, 40).Draw(rt, "values")
		var one, all value.Inferrer
		in := &inference{}
		for lo := 0; lo < len(vals); lo += 7 {
			o := &observer{in: in, known: make([]value.Inferrer, 1)}
			var ws []witness
			for _, v := range vals[lo:min(lo+7, len(vals))] {
				o.value(0, witness{text: []byte(v)}, &ws)
				one.Observe([]byte(v), false)
			}
			for _, w := range fewer(ws) {
				all.Observe(w.text, w.null)
			}
		}
		wt, wn := one.Result()
		gt, gn := all.Result()
		if !wt.Equal(gt) || wn != gn {
			rt.Fatalf("%q: %s %v, want %s %v", vals, gt, gn, wt, wn)
		}
	})
}
