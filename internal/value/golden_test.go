package value_test

import (
	"encoding/hex"
	"flag"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/value"
)

var update = flag.Bool("update", false, "write testdata/golden.txt anew: only for a new format version")

// TestGolden pins the bytes of types, keys and tuples. A line of testdata/golden.txt is
//
//	type | hex of the type | quoted text | hex of the ascending key | hex of the tuple of this one cell
func TestGolden(t *testing.T) {
	const name = "testdata/golden.txt"
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	kinds := map[value.Kind]bool{}
	for i, line := range strings.Split(strings.TrimSuffix(string(data), "\n"), "\n") {
		if line == "" || line[0] == '#' {
			out.WriteString(line + "\n")
			continue
		}
		fields := strings.Split(line, " | ")
		if len(fields) < 3 {
			t.Fatalf("line %d has %d fields", i+1, len(fields))
		}
		raw, err := hex.DecodeString(fields[1])
		if err != nil {
			t.Fatalf("line %d: %v", i+1, err)
		}
		typ, _, err := value.DecodeType(raw)
		if err != nil {
			t.Fatalf("line %d: %v", i+1, err)
		}
		kinds[typ.Kind] = true
		cell := value.Null
		if fields[2] != "NULL" {
			text, err := strconv.Unquote(fields[2])
			if err != nil {
				t.Fatalf("line %d: %v", i+1, err)
			}
			if cell, err = value.Parse(typ, []byte(text)); err != nil {
				t.Fatalf("line %d: %v", i+1, err)
			}
			if got := string(value.AppendText(nil, typ, cell)); got != text {
				t.Errorf("line %d: text %q of %q", i+1, got, text)
			}
		}
		key := value.AppendKeyPart(nil, &value.KeyPart{Type: typ}, cell)
		tuple := value.AppendTuple(nil, []value.Phys{typ.Phys()}, []value.Cell{cell})
		want := strings.Join([]string{typ.String(), hex.EncodeToString(value.AppendType(nil, typ)), fields[2], hex.EncodeToString(key), hex.EncodeToString(tuple)}, " | ")
		out.WriteString(want + "\n")
		if line != want && !*update {
			t.Errorf("line %d:\nhave %s\nwant %s", i+1, want, line)
		}
	}
	for k := value.KindInt8; k <= value.KindVector; k++ {
		if !kinds[k] {
			t.Errorf("no line has kind %d", k)
		}
	}
	if *update {
		if err := os.WriteFile(name, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
