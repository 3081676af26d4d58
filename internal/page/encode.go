package page

import (
	"math/bits"
	"slices"
	"sort"

	"github.com/stemmadb/stemma/internal/value"
)

// encoder turns the columns of one leaf into segments. Its scratch is reused from leaf to leaf.
type encoder struct {
	nums   []int64
	sorted []int64
	codes  []uint32
	packed []uint32 // ends of runs, then codes of runs
	ints   intTable
	order  []uint32 // dictionary entries: ids in order
	extra  []uint32
	rank   []uint32 // code of an id
	shared []uint8  // bytes that an entry shares with the one before it, by code
	used   []bool   // by id
	prefix []uint64 // first bytes of an id's sort key
	keys   []span   // sort keys in keyBuf, by id
	keyBuf []byte
}

// codePlan is the cheapest way to keep the codes of n rows.
type codePlan struct {
	mode  codeMode
	width uint // of a code
	runs  int
	size  int // bytes
}

// planCodes chooses among bits, runs and, when run r has code r, runs of ids, or nothing when each row is a run. Equal costs go to the
// lower mode.
func planCodes(n, d, runs int, ids bool) codePlan {
	w := uint(bits.Len(uint(d - 1)))
	pw := uint(bits.Len(uint(n)))
	p := codePlan{mode: codeBits, width: w, size: packedLen(n, w)}
	if size := packedLen(runs, pw) + packedLen(runs, w); size < p.size {
		p = codePlan{mode: codeRuns, width: w, runs: runs, size: size}
	}
	if size := packedLen(runs, pw); ids && size < p.size {
		p = codePlan{mode: codeIDs, width: w, runs: runs, size: size}
	}
	if ids && runs == n && p.size > 0 {
		p = codePlan{mode: codeRows, width: w}
	}
	return p
}

// countRuns counts the runs of codes, and tells whether run r has code r.
func countRuns(codes []uint32) (runs int, ids bool) {
	runs, ids = 1, codes[0] == 0
	for i := 1; i < len(codes); i++ {
		if codes[i] != codes[i-1] {
			ids = ids && codes[i] == uint32(runs)
			runs++
		}
	}
	return runs, ids
}

func (e *encoder) appendCodes(dst []byte, codes []uint32, p codePlan) []byte {
	switch p.mode {
	case codeBits:
		return appendPackedCodes(dst, codes, p.width)
	case codeRows:
		return dst
	}
	buf := grow(&e.packed, 2*p.runs)
	ends, of := buf[:0:p.runs], buf[p.runs:p.runs]
	for i := 1; i < len(codes); i++ {
		if codes[i] != codes[i-1] {
			ends, of = append(ends, uint32(i)), append(of, codes[i-1])
		}
	}
	ends, of = append(ends, uint32(len(codes))), append(of, codes[len(codes)-1])
	dst = appendPackedCodes(dst, ends, uint(bits.Len(uint(len(codes)))))
	if p.mode == codeRuns {
		dst = appendPackedCodes(dst, of, p.width)
	}
	return dst
}

// appendHead appends a segment's header and bitmaps. nulls and addrs are ascending rows.
func appendHead(dst []byte, enc encoding, width uint, form uint8, aux, n int, nulls, addrs []uint32) []byte {
	flags := uint8(nullsNone)
	if len(nulls) == n {
		flags = nullsAll
	} else if len(nulls) > 0 {
		flags = nullsSome
	}
	if len(addrs) > 0 {
		flags |= flagAddr
	}
	dst = le.AppendUint64(dst, uint64(enc)|uint64(width)<<8|uint64(form)<<16|uint64(flags)<<24|uint64(aux)<<32)
	if flags&nullsMask == nullsSome {
		dst = appendBitmap(dst, n, true, nulls)
	}
	if flags&flagAddr != 0 {
		dst = appendBitmap(dst, n, false, addrs)
	}
	return dst
}

// encodeNums appends the segment of a column of a fixed-size class, whose cells have the bits raw (0 in NULL rows), or which are
// whole numbers of a form already.
func (e *encoder) encodeNums(dst []byte, p value.Phys, raw []int64, nulls []uint32, form uint8) []byte {
	n := len(raw)
	if len(nulls) == n {
		return appendHead(dst, encInts, 0, 0, 0, n, nulls, nil)
	}
	vals := raw
	if form != 0 && !lasting(vals, p, form) {
		formToRaw(raw, p, form)
		form = 0
	}
	if p != value.Int64 && form == 0 {
		vals = grow(&e.nums, n)
		form = toDecimals(vals, raw, nulls, p)
	}
	least, most, runs := numStats(vals, nulls)
	w := widthFor(uint64(most) - uint64(least))
	base := least
	if w == 64 {
		base = 0
	}
	if codes, plan, ok := e.numDict(vals, nulls, runs, w); ok {
		dst = appendHead(dst, encIntDict, plan.width, form, len(e.ints.vals), n, nulls, nil)
		dst = le.AppendUint64(dst, uint64(w)|uint64(plan.mode)<<8|uint64(plan.runs)<<32)
		dst = le.AppendUint64(dst, uint64(base))
		dst = appendPacked(dst, e.ints.vals, base, w)
		return e.appendCodes(dst, codes, plan)
	}
	if len(nulls) > 0 && w > 0 { // NULL rows are packed as 0
		if &vals[0] == &raw[0] {
			vals = grow(&e.nums, n)
			copy(vals, raw)
		}
		for _, i := range nulls {
			vals[i] = base
		}
	}
	dst = appendHead(dst, encInts, w, form, 0, n, nulls, nil)
	dst = le.AppendUint64(dst, uint64(base))
	return appendPacked(dst, vals, base, w)
}

// numStats is the range of the non-NULL values and the number of their runs, a NULL row prolonging the run before it.
func numStats(vals []int64, nulls []uint32) (least, most int64, runs int) {
	if len(nulls) == 0 {
		least, most, runs = vals[0], vals[0], 1
		last := vals[0]
		for _, v := range vals[1:] {
			least, most = min(least, v), max(most, v)
			if v != last {
				runs++
			}
			last = v
		}
		return least, most, runs
	}
	var last int64
	for i, v := range vals {
		if len(nulls) > 0 && int(nulls[0]) == i {
			nulls = nulls[1:]
			continue
		}
		if runs == 0 {
			least, most, runs = v, v, 1
		} else if v != last {
			runs++
			least, most = min(least, v), max(most, v)
		}
		last = v
	}
	return least, most, runs
}

// numDict makes a dictionary (sorted, in e.ints.vals) and codes of the values if that is smaller than packing them with width w.
// It gives up as soon as the distinct values seen so far cost too much. A NULL row has the code of the row before it, leading ones
// that of the first row that is not NULL.
func (e *encoder) numDict(vals []int64, nulls []uint32, runs int, w uint) ([]uint32, codePlan, bool) {
	n := len(vals)
	limit := packedLen(n, w)
	pw := uint(bits.Len(uint(n)))
	least := func(d int) int {
		return 8 + packedLen(d, w) + min(packedLen(n, uint(bits.Len(uint(d-1)))), packedLen(runs, pw))
	}
	if w == 0 || least(2) >= limit {
		return nil, codePlan{}, false
	}
	// The fewest distinct values that are too many: the least cost rises with their number.
	most := 2 + sort.Search(n, func(k int) bool { return least(2+k) >= limit })
	if len(nulls) == 0 && distinctFrom(vals, most) {
		return nil, codePlan{}, false
	}
	e.ints.reset(n)
	codes := grow(&e.codes, n)
	rest := nulls
	code, started := uint32(0), false
	var last int64
	for i, v := range vals {
		if len(rest) > 0 && int(rest[0]) == i {
			rest = rest[1:]
		} else if !started || v != last {
			if code = e.ints.id(v); len(e.ints.vals) >= most {
				return nil, codePlan{}, false
			}
			started, last = true, v
		}
		codes[i] = code
	}
	e.sortNums(codes)
	runs, ids := countRuns(codes)
	plan := planCodes(n, len(e.ints.vals), runs, ids)
	if 8+packedLen(len(e.ints.vals), w)+plan.size >= limit {
		return nil, codePlan{}, false
	}
	return codes, plan, true
}

// distinctFrom tells whether vals are known to have most distinct values or more, without keeping them: as many differ in a hash. False
// means nothing.
func distinctFrom(vals []int64, most int) bool {
	var seen [128]uint64 // a bit for each hash
	if most > 64*len(seen)/2 {
		return false
	}
	k := 0
	for _, v := range vals {
		h := uint64(v) * 0x9e3779b97f4a7c15 >> (64 - 13)
		if at, bit := &seen[h>>6], uint64(1)<<(h&63); *at&bit == 0 {
			*at |= bit
			if k++; k >= most {
				return true
			}
		}
	}
	return false
}

// sortNums sorts e.ints.vals and maps codes to the new places.
func (e *encoder) sortNums(codes []uint32) {
	vals := e.ints.vals
	if slices.IsSorted(vals) {
		return
	}
	order := grow(&e.order, len(vals))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int {
		if vals[a] < vals[b] {
			return -1
		}
		return 1
	})
	rank := grow(&e.rank, len(vals))
	for r, id := range order {
		rank[id] = uint32(r)
	}
	sorted := grow(&e.sorted, len(vals))
	for r, id := range order {
		sorted[r] = vals[id]
	}
	copy(vals, sorted)
	for i, c := range codes {
		codes[i] = rank[c]
	}
}
