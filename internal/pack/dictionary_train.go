package pack

import (
	"encoding/binary"
	"slices"

	"github.com/klauspost/compress/zstd"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/hash"
)

// How dictionaries are made. Sizes are in bytes.
const (
	dictionaryBytes = 112 << 10 // of content at most
	dictionaryLeast = 4 << 10   // of content at least
	segmentBytes    = 128       // the pieces of samples of which one consists
	wordBytes       = 8         // what is counted
	wordBits        = 20        // of the table of counts
	trainedBytes    = 64 << 10  // of a sample that are looked at
)

// word is the place of the bytes at the beginning of b in a table of counts.
func word(b []byte) uint32 {
	return uint32(binary.LittleEndian.Uint64(b) * 0x9e3779b97f4a7c15 >> (64 - wordBits))
}

// train makes a dictionary of at most that many bytes of content from samples: the pieces of them that have most of what is in many samples. It
// is a function of the samples and their order; nil when they have nothing in common.
func train(list [][]byte, size int) (*Dictionary, error) {
	list = slices.Clone(list)
	for i, x := range list {
		list[i] = x[:min(len(x), trainedBytes)]
	}
	content := choose(list, max(size, dictionaryLeast))
	if len(content) < wordBytes {
		return nil, nil
	}
	sum := hash.Sum(content)
	body, err := zstd.BuildDict(zstd.BuildDictOptions{
		ID:       1<<15 | binary.LittleEndian.Uint32(sum[:])>>1, // what is below is for registered ones
		Contents: list,
		History:  content,
		Offsets:  [3]int{1, 4, 8},
		Level:    zstd.SpeedDefault,
	})
	if err != nil {
		return nil, nil // such as of samples that are not compressed at all
	}
	data := append([]byte{byte(chunk.KindDictionary), dictionaryVersion}, body...)
	return newDictionary(hash.Sum(data), data)
}

// choose is what a dictionary is made of, what is worth most at the end: it costs the least to refer to.
func choose(list [][]byte, size int) []byte {
	counts := make([]uint16, 1<<wordBits) // in how many samples a word is
	last := make([]int32, 1<<wordBits)    // the sample, counted from 1, in which it was found last
	total := 0
	for i, x := range list {
		for at := 0; at+wordBytes <= len(x); at++ {
			if w := word(x[at:]); last[w] != int32(i+1) {
				last[w] = int32(i + 1)
				counts[w]++
			}
		}
		total += len(x)
	}
	for w := range counts { // a word of one sample is of no use to others
		if counts[w] == 1 {
			counts[w] = 0
		}
	}
	clear(last)
	// Each part of the samples gives its best piece, again and again, as long as there is one.
	parts := max(1, size/segmentBytes/4)
	step := max(total/parts, segmentBytes)
	var pieces [][]byte
	n := 0
	stamp := int32(0)
	for round := 0; round < 16 && n < size; round++ {
		found := false
		at, offset := 0, 0 // the part's beginning: in a sample, and in it
		for at < len(list) && n < size {
			var best []byte
			bestScore := 0
			for left := step; at < len(list) && left > 0; {
				x := list[at]
				end := min(len(x), offset+left)
				for from := offset; from+segmentBytes <= end; from += segmentBytes / 4 {
					stamp++
					score := 0
					for k := from; k+wordBytes <= from+segmentBytes; k++ {
						if w := word(x[k:]); last[w] != stamp {
							last[w] = stamp
							score += int(counts[w])
						}
					}
					if score > bestScore {
						best, bestScore = x[from:from+segmentBytes], score
					}
				}
				left -= max(end-offset, 1)
				if offset = end; offset >= len(x) {
					at, offset = at+1, 0
				}
			}
			if best == nil {
				continue
			}
			found = true
			for k := 0; k+wordBytes <= len(best); k++ {
				counts[word(best[k:])] = 0
			}
			pieces = append(pieces, best)
			n += len(best)
		}
		if !found {
			break
		}
	}
	slices.Reverse(pieces)
	return slices.Concat(pieces...)
}
