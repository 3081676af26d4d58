package binfmt_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"

	"github.com/stemmadb/stemma/internal/binfmt"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

func TestRoundTrip(t *testing.T) {
	h := hash.Sum([]byte("x"))
	var b []byte
	b = append(b, 7)
	b = binary.AppendUvarint(b, math.MaxUint64)
	b = binary.AppendVarint(b, math.MinInt64)
	b = binfmt.AppendBytes(b, []byte{1, 2})
	b = binfmt.AppendString(b, "é")
	b = append(b, h[:]...)
	b = binary.LittleEndian.AppendUint64(b, 1<<60)
	b = binfmt.AppendBool(b, true)
	b = binfmt.AppendBool(b, false)
	b = binary.AppendUvarint(b, 1)
	b = append(b, 9)
	read := func(b []byte) (*binfmt.Decoder, bool) {
		d := &binfmt.Decoder{B: b, What: "thing"}
		same := d.Byte() == 7 && d.Uvarint() == math.MaxUint64 && d.Varint() == math.MinInt64 && bytes.Equal(d.Bytes(), []byte{1, 2}) &&
			d.Str() == "é" && d.Hash() == h && d.Uint64() == 1<<60 && d.Bool() && !d.Bool() && d.Count() == 1 && d.Byte() == 9
		return d, same
	}
	if d, same := read(b); !same || d.Done() != nil {
		t.Fatalf("fields differ, or %v", d.Err)
	}
	for n := range b {
		d, same := read(b[:n])
		if err := d.Done(); same || !errs.Is(err, errs.Corrupt) {
			t.Errorf("%d of %d bytes: %v", n, len(b), err)
		}
	}
	if d, _ := read(append(b, 0)); !errs.Is(d.Done(), errs.Corrupt) {
		t.Errorf("a byte too many: %v", d.Err)
	}
}

// TestRefused checks bytes that no encoder gives, and that nothing is read after the first error.
func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		b    []byte
		read func(*binfmt.Decoder)
	}{
		"long zero":        {[]byte{0x80, 0}, func(d *binfmt.Decoder) { d.Uvarint() }},
		"long one":         {[]byte{0x81, 0x80, 0}, func(d *binfmt.Decoder) { d.Uvarint() }},
		"long signed":      {[]byte{0x80, 0}, func(d *binfmt.Decoder) { d.Varint() }},
		"overflow":         {bytes.Repeat([]byte{0xff}, 11), func(d *binfmt.Decoder) { d.Uvarint() }},
		"flag 2":           {[]byte{2}, func(d *binfmt.Decoder) { d.Bool() }},
		"more than there":  {[]byte{3, 1, 2}, func(d *binfmt.Decoder) { d.Bytes() }},
		"count above rest": {binary.AppendUvarint(nil, math.MaxUint64), func(d *binfmt.Decoder) { d.Count() }},
	} {
		d := &binfmt.Decoder{B: c.b, What: "thing"}
		c.read(d)
		first := d.Err
		if !errs.Is(first, errs.Corrupt) {
			t.Errorf("%s: %v", name, first)
			continue
		}
		if d.Byte() != 0 || d.Uvarint() != 0 || d.Varint() != 0 || d.Count() != 0 || d.Bytes() != nil || d.Str() != "" ||
			d.Hash() != (hash.Hash{}) || d.Uint64() != 0 || d.Bool() {
			t.Errorf("%s: fields after an error are not zero", name)
		}
		d.Fail("later")
		if d.Done() != first {
			t.Errorf("%s: the first error is not kept", name)
		}
	}
}
