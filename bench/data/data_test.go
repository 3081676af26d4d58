package data

import (
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"testing"
)

// The bytes of the data sets never change: results of different years are about the same rows.
func TestGolden(t *testing.T) {
	p, err := NewPrices(1000)
	if err != nil {
		t.Fatal(err)
	}
	places := p.Places()
	shuffled := slices.Clone(places)
	p.Shuffle(shuffled)
	for _, c := range []struct {
		name, want string
		write      func(io.Writer) error
	}{
		{"hospitals", "a4400cd61a5355ed", p.WriteHospitals},
		{"prices", "9c8805a3f5472119", func(w io.Writer) error { return p.WritePrices(w, places) }},
		{"shuffled", "b814c2c2cef7f5bf", func(w io.Writer) error { return p.WritePrices(w, shuffled) }},
		{"documents", "3e76e205fbd44a5d", func(w io.Writer) error { return NewDocuments().Write(w, Numbers(20), 0) }},
		{"edited", "2454edbec16f1906", func(w io.Writer) error { return NewDocuments().Write(w, Numbers(20), 2) }},
	} {
		h := sha256.New()
		if err := c.write(h); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%x", h.Sum(nil)[:8]); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestPlaces(t *testing.T) {
	p, err := NewPrices(5000)
	if err != nil {
		t.Fatal(err)
	}
	places := p.Places()
	if len(places) < 4999 || len(places) > 5000 {
		t.Fatalf("%d places", len(places))
	}
	last := Price{}
	for i, at := range places {
		row := p.At(at)
		if row != p.At(at) {
			t.Fatalf("place %d is not always the same", at)
		}
		if i > 0 && !less(last, row) {
			t.Fatalf("%v is not behind %v", row, last)
		}
		last = row
	}
	if _, err := NewPrices(1 << 40); err == nil {
		t.Error("more rows than places")
	}
}

func less(a, b Price) bool {
	if a.NPI != b.NPI {
		return a.NPI < b.NPI
	}
	if a.Code != b.Code {
		return a.Code < b.Code
	}
	return a.Payer < b.Payer
}

// An edit changes one sentence.
func TestDocumentEdits(t *testing.T) {
	d := NewDocuments()
	for i := range 50 {
		a, b := d.At(i, 0), d.At(i, 1)
		if a.Body == b.Body || len(a.Body) < 2000 || len(a.Body) > 7000 || a.Label != b.Label {
			t.Fatalf("document %d: %d and %d bytes", i, len(a.Body), len(b.Body))
		}
		head, tail := 0, 0
		for head < min(len(a.Body), len(b.Body)) && a.Body[head] == b.Body[head] {
			head++
		}
		for tail < min(len(a.Body), len(b.Body))-head && a.Body[len(a.Body)-1-tail] == b.Body[len(b.Body)-1-tail] {
			tail++
		}
		if changed := len(b.Body) - head - tail; changed > 300 {
			t.Errorf("document %d: an edit changed %d bytes", i, changed)
		}
	}
}
