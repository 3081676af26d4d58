package table

import (
	"bytes"
	"encoding/hex"
	"math"
	"testing"

	"github.com/stemmadb/stemma/internal/page"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/sidefile"
	"github.com/stemmadb/stemma/internal/value"
)

func zoneSamples() (zoneKey, []zone) {
	k := zoneKey{column: printOf(page.Column{ID: 7, Type: value.Type{Kind: value.KindInt64}})}
	k.node[0] = 9
	return k, []zone{{zoneNull, 0, 0}, {zoneValues, 1, 2}, {zoneNull | zoneValues, 0, math.MaxUint64}}
}

func TestZoneRecord(t *testing.T) {
	k, zones := zoneSamples()
	const want = "63000000fed2594b0900000000000000000000000000000000000000000000000000000000000000"
	b := sidefile.AppendRecord(nil, appendZones(nil, k, zones))
	if got := hex.EncodeToString(b[:8+32]); got != want {
		t.Errorf("the record begins with %s, want %s", got, want)
	}
	if len(b) != 8+zoneKeyLen+3*zoneLen {
		t.Errorf("%d bytes", len(b))
	}
}

func FuzzZoneFile(f *testing.F) {
	k, zones := zoneSamples()
	add := func(dst []byte, k zoneKey, zones []zone) []byte {
		return sidefile.AppendRecord(dst, appendZones(nil, k, zones))
	}
	head := zoneFiles.Header()
	whole := add(add(head, k, zones), k, zones[:1])
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add(head)
	f.Add(head[:8])
	f.Add(add(head, k, []zone{{0, 0, 0}}))
	f.Add(add(head, k, []zone{{zoneValues, 2, 1}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		again := zoneFiles.Header()
		n := zoneFiles.Decode(data, func(body []byte) bool {
			k, zones, ok := decodeZones(body)
			if ok {
				again = add(again, k, zones)
			}
			return ok
		})
		if n > 0 && !bytes.Equal(again, data[:n]) {
			t.Errorf("%d bytes are encoded again as %x", n, again)
		}
	})
}

func TestZoneTest(t *testing.T) {
	p := value.KeyPart{Type: value.Type{Kind: value.KindInt64}}
	part := func(v int64) []byte { return value.AppendKeyPart(nil, &p, value.IntCell(v)) }
	null := value.AppendKeyPart(nil, &p, value.Null)
	of := func(nulls bool, vals ...int64) (z zone) {
		if nulls {
			z.flags = zoneNull
		}
		for _, v := range vals {
			z.add(keyHead(part(v)[1:]))
		}
		return z
	}
	f, err := page.NewFormat(page.Layout{
		Columns: []page.Column{{ID: 1, Type: p.Type}}, Key: []page.KeyColumn{{Column: 0}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		lo, hi []byte
		z      zone
		want   bool
	}{
		{nil, nil, zone{}, false},
		{nil, nil, of(true), false},
		{part(3), part(7), of(false, 1, 2), true},
		{part(3), part(7), of(false, 1, 3), false},
		{part(3), part(7), of(false, 6, 9), false},
		{part(3), part(7), of(false, 7, 9), true}, // exact: 7 is out
		{part(-9), part(-3), of(false, -2, 5), true},
		{part(-9), part(-3), of(true), true},
		{part(-9), nil, of(true), true},
		{nil, part(3), of(true, 8), false},
		{null, part(3), of(true, 8), false},
		{[]byte{1}, part(3), of(true, 8), true},
		{null, value.PrefixEnd(null), of(false, 8), true},
		{null, value.PrefixEnd(null), of(true, 8), false},
		{nil, []byte{}, of(true, 8), true},
		{[]byte{2}, nil, of(true, 8), true},
		{part(0), part(256), of(false, 256), false}, // wider than need be
	} {
		zt := newZoneTest(&schema.Layout{Format: f}, ZoneFilter{Lo: x.lo, Hi: x.hi})
		if got := zt.excludes(x.z); got != x.want {
			t.Errorf("[%x,%x) excludes %+v: %v", x.lo, x.hi, x.z, got)
		}
	}
}

// Floating-point columns, whose NaN may be ordered in several ways, and texts by their weights.
func TestZoneOfStrings(t *testing.T) {
	var z zone
	var b zoneCells
	part := &value.KeyPart{Type: value.Type{Kind: value.KindVarchar, Length: 20, Collation: value.CollationASCIIGeneral}}
	for _, s := range []string{"B", "abcdefghijk", "", "C"} {
		b.add(&z, part, value.BytesCell([]byte(s)))
	}
	if z.flags != zoneValues || z.least != 0 || z.most>>56 != uint64(value.AppendKeyPart(nil, part, value.BytesCell([]byte("c")))[1]) {
		t.Errorf("%+v", z)
	}
	z = zone{}
	double := &value.KeyPart{Type: value.Type{Kind: value.KindFloat64}}
	b.addNumber(&z, double, value.FloatCell(1), false)
	b.addNumber(&z, double, value.FloatCell(-5), true)
	if z.least != z.most || z.least != 0xbff0000000000000 {
		t.Errorf("%+v", z)
	}
	b.addNumber(&z, double, value.FloatCell(math.NaN()), false)
	if z.least != 0 || z.most != math.MaxUint64 {
		t.Errorf("%+v", z)
	}
}
