//go:build ignore

// Command gen writes weights.bin, the weights of the collations that are not plain byte orders, from the pinned SQL engine.
// Run it with `go generate ./internal/value`. The file is part of the format: a run that changes it needs new collation numbers.
package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"sort"

	"github.com/dolthub/go-mysql-server/sql/encodings"
)

const (
	ascii  = 128
	block  = 256
	blocks = 0x110000 / block
	digits = 255 // byte values a code may use: all but 0x00
)

func main() {
	var out []byte
	for _, weight := range []func(rune) int32{encodings.Utf8mb4_0900_ai_ci_RuneWeight, encodings.Utf8mb4_general_ci_RuneWeight} {
		t, err := table(weight)
		if err != nil {
			fmt.Fprintln(os.Stderr, "generate collation weights:", err)
			os.Exit(1)
		}
		out = append(out, t...)
	}
	if err := os.WriteFile("weights.bin", out, 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "generate collation weights:", err)
		os.Exit(1)
	}
}

// lead is a first byte of codes: those of weights from first on, width bytes long.
type lead struct {
	first uint32
	width byte
}

// table lays out one collation as collate_weights.go reads it.
func table(sorter func(rune) int32) ([]byte, error) {
	weights := make([]uint32, 0x110000)
	seen := map[uint32]bool{}
	top := uint32(0)
	for r := range weights {
		if r >= 0xd800 && r < 0xe000 {
			continue
		}
		w := sorter(rune(r))
		if w < 0 || w == math.MaxInt32 {
			return nil, fmt.Errorf("code point %#x has weight %d", r, w)
		}
		weights[r] = uint32(w)
		seen[uint32(w)] = true
		top = max(top, uint32(w))
	}
	if len(seen) != int(top)+1 {
		return nil, fmt.Errorf("%d weights up to %d: not dense", len(seen), top)
	}
	for r := 0xd800; r < 0xe000; r++ { // UTF-8 has no surrogates; any weight will do
		weights[r] = weights[0xfffd]
	}
	leads, err := assign(weights[:ascii], top+1)
	if err != nil {
		return nil, err
	}

	out := make([]byte, 8)
	codes := make([]byte, ascii)
	widths := make([]byte, 256)
	for i := range 256 {
		first := uint32(math.MaxUint32)
		if i == 0 {
			first = 0
		} else if i <= len(leads) {
			first, widths[i] = leads[i-1].first, leads[i-1].width
		}
		out = binary.LittleEndian.AppendUint32(out, first)
	}
	for r := range ascii {
		i := sort.Search(len(leads), func(i int) bool { return leads[i].first > weights[r] })
		codes[r] = byte(i)
	}
	out = append(out, widths...)
	for r := range ascii {
		out = binary.LittleEndian.AppendUint32(out, weights[r])
	}
	out = append(out, codes...)

	shapes := map[[block]uint32]uint16{}
	var body []byte
	for b := range blocks {
		ws := weights[b*block : (b+1)*block]
		base := ws[0]
		for _, w := range ws {
			base = min(base, w)
		}
		var shape [block]uint32
		for i, w := range ws {
			shape[i] = w - base
		}
		n, ok := shapes[shape]
		if !ok {
			n = uint16(len(shapes))
			shapes[shape] = n
			for _, d := range shape {
				body = binary.LittleEndian.AppendUint32(body, d)
			}
		}
		out = binary.LittleEndian.AppendUint32(out, base)
		out = binary.LittleEndian.AppendUint16(out, n)
	}
	out = append(out, body...)
	binary.LittleEndian.PutUint32(out[4:], uint32(len(out)))
	for w := uint32(0); w <= top; w += 256 {
		out = append(out, byte(sort.Search(len(leads), func(i int) bool { return leads[i].first > w })))
	}
	binary.LittleEndian.PutUint32(out, uint32(len(out)))
	fmt.Fprintf(os.Stderr, "%d weights, %d leads, %d shapes, %d bytes\n", top+1, len(leads), len(shapes), len(out))
	return out, nil
}

// assign divides the first bytes among n weights so that codes are prefix-free and in order: a byte of its own for each weight of
// an ASCII character, and for each gap between two of these as many first bytes of longer codes as it needs. What is left over goes
// to the gap behind the last, that of most scripts, so that more of it has two bytes instead of three.
func assign(asciiWeights []uint32, n uint32) ([]lead, error) {
	own := map[uint32]bool{}
	for _, w := range asciiWeights {
		own[w] = true
	}
	var singles []uint32
	for w := range own {
		singles = append(singles, w)
	}
	sort.Slice(singles, func(i, j int) bool { return singles[i] < singles[j] })

	var leads []lead
	next := uint32(0)
	for _, w := range singles {
		leads = gap(leads, next, w, 1)
		leads = append(leads, lead{w, 1})
		next = w + 1
	}
	leads = gap(leads, next, n, digits-len(leads))
	if len(leads) > digits {
		return nil, fmt.Errorf("%d first bytes", len(leads))
	}
	return leads, nil
}

// gap appends at most count first bytes, or as few as do, for the weights [from,to).
func gap(leads []lead, from, to uint32, count int) []lead {
	for count > 0 && from < to {
		rest := uint32(count-1) * digits * digits
		width, room := byte(2), uint32(digits)
		if to-from > rest+room && to-from > room {
			width, room = 3, digits*digits
		}
		// Two-byte codes first, as long as three-byte codes of the remaining first bytes hold the rest.
		leads = append(leads, lead{from, width})
		from += min(room, to-from)
		count--
	}
	if from < to { // more first bytes than there are: assign refuses
		return append(leads, make([]lead, digits+1)...)
	}
	return leads
}
