package value_test

import (
	"bytes"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/value"
	"pgregory.net/rapid"
)

func TestTupleRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 12).Draw(t, "columns")
		phys, cells, got := make([]value.Phys, n), make([]value.Cell, n), make([]value.Cell, n)
		for i := range cells {
			typ := rapid.SampledFrom(keyTypes).Draw(t, "type")
			phys[i] = typ.Phys()
			cells[i] = drawCell(t, typ)
			if phys[i] == value.Bytes && rapid.IntRange(0, 3).Draw(t, "out of line") == 0 {
				cells[i] = value.AddrCell(bytes.Repeat([]byte{7}, value.AddrSize))
			}
		}
		tuple := value.AppendTuple(nil, phys, cells)
		if err := value.DecodeTuple(tuple, phys, got); err != nil {
			t.Fatal(err)
		}
		for i := range cells {
			if got[i].IsNull() != cells[i].IsNull() || got[i].IsAddr() != cells[i].IsAddr() || got[i].Bits() != cells[i].Bits() || !bytes.Equal(got[i].Bytes(), cells[i].Bytes()) {
				t.Fatalf("cell %d: %v comes back as %v", i, cells[i], got[i])
			}
		}
	})
}

func FuzzDecodeTuple(f *testing.F) {
	f.Add([]byte{0x0f, 2, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 4, 'a', 'b'})
	f.Add([]byte{0})
	f.Add([]byte{0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	phys := []value.Phys{value.Int64, value.Float64, value.Float32, value.Bytes}
	f.Fuzz(func(t *testing.T, tuple []byte) {
		cells := make([]value.Cell, len(phys))
		if err := value.DecodeTuple(tuple, phys, cells); err != nil {
			if !errs.Is(err, errs.Corrupt) {
				t.Fatalf("class of %v", err)
			}
			return
		}
		if again := value.AppendTuple(nil, phys, cells); !bytes.Equal(again, tuple) {
			t.Fatalf("%x decodes as %v, which is %x", tuple, cells, again)
		}
	})
}
