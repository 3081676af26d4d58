package page

import "unsafe"

// Strings of rows are gathered from a dictionary in whole blocks, which is quicker than to copy as many bytes as there are: what is
// written too much is overwritten by the next string, and both sides have bytes to spare. (As decoders of Parquet and of Snappy do.)

const (
	gatherSlack = 32      // bytes to spare behind the strings that are written
	smallDict   = 4 << 10 // bytes of a dictionary that is copied, to have bytes to spare behind it
	smallRoom   = 64 << 10
)

// stringRows are the strings of some rows before they are copied.
type stringRows struct {
	s      *segment
	lo, n  int
	dict   *flatDict
	codes  []uint32    // of the rows, when they had to be read
	total  int         // what room gave
	padded bool        // gatherSlack bytes may be read from the beginning of any entry of dict on
	short  []shortText // the entries, when none is longer than gatherSlack
}

// shortText is a string of at most gatherSlack bytes, with anything behind it.
type shortText struct {
	text [gatherSlack]byte
	n    uint64
}

// maxShort is the number of entries up to which a dictionary is read into words: few rows for each entry do not pay for it.
const maxShort = 64

// readStrings prepares rows [lo,hi) of s, in which not all rows are NULL.
func (s *segment) readStrings(lo, hi int, sc *scratch) (stringRows, error) {
	r := stringRows{s: s, lo: lo, n: hi - lo, dict: &sc.dictA}
	if s.enc == encPlain {
		return r, r.dict.readRange(s, lo, hi)
	}
	if err := r.dict.read(s); err != nil {
		return r, err
	}
	if s.nulls != nullsNone {
		r.codes = grow(&sc.codes, r.n)
		return r, s.readCodes(r.codes, lo)
	}
	if s.mode == codeBits && s.d > 1 && len(r.dict.data) <= smallDict {
		r.dict.pad()
		r.padded = true
		if s.d <= maxShort && 4*s.d <= r.n {
			r.short = r.dict.shortTexts(sc.short[:0])
			sc.short = r.short
		}
	}
	return r, nil
}

// shortTexts appends the strings, behind which there are gatherSlack bytes; none when one is longer than that.
func (f *flatDict) shortTexts(dst []shortText) []shortText {
	for c := range f.d {
		at, n := f.offs[c], f.offs[c+1]-f.offs[c]
		if n > gatherSlack {
			return dst[:0]
		}
		dst = append(dst, shortText{text: [gatherSlack]byte(f.data[at:cap(f.data)]), n: uint64(n)})
	}
	return dst
}

// pad makes gatherSlack bytes readable behind the strings.
func (f *flatDict) pad() {
	if cap(f.buf) < len(f.data)+gatherSlack {
		f.buf = make([]byte, 0, smallDict+gatherSlack)
	}
	f.data = append(f.buf[:0], f.data...)
	f.buf = f.data
}

// constant tells whether all rows have the one entry of the dictionary.
func (r *stringRows) constant() bool { return r.s.enc == encDict && r.s.d == 1 && r.codes == nil }

// room is the length of the strings together, or more if that is quicker to tell.
func (r *stringRows) room() (int, error) {
	var err error
	r.total, err = r.measure()
	return r.total, err
}

func (r *stringRows) measure() (int, error) {
	offs, total := r.dict.offs, 0
	switch {
	case r.n == 0:
	case r.s.enc == encPlain:
		total = int(offs[r.n] - offs[0])
	case r.constant():
		total = r.n * int(offs[1]-offs[0])
	case r.codes != nil:
		for i, c := range r.codes {
			if !r.s.isNull(r.lo + i) {
				total += int(offs[c+1] - offs[c])
			}
		}
	default:
		longest, last := uint32(0), offs[0]
		for _, o := range offs[1:] {
			longest = max(longest, o-last)
			last = o
		}
		if total = r.n * int(longest); total <= smallRoom {
			break
		}
		total = 0
		err := r.s.eachRun(r.lo, r.lo+r.n, func(c, n int) { total += n * int(offs[c+1]-offs[c]) })
		return total, err
	}
	return total, nil
}

// eachRun calls fn for the stretches of rows of one code in [lo,hi), at least one row.
func (s *segment) eachRun(lo, hi int, fn func(c, n int)) error {
	if s.mode == codeBits {
		for i := lo; i < hi; i++ {
			c := s.code(i)
			if c >= s.d {
				return corrupt("a code is beyond its dictionary")
			}
			fn(c, 1)
		}
		return nil
	}
	if s.mode == codeRows {
		for ; lo < hi; lo++ {
			fn(lo, 1)
		}
		return nil
	}
	for r := s.run(lo); lo < hi; r++ {
		if r >= s.runs {
			return corrupt("runs end early")
		}
		end := min(s.end(r), hi)
		if end <= lo {
			return corrupt("runs are not ascending")
		}
		c := r
		if s.mode == codeRuns {
			c = int(bitsAt(s.codes, r, s.width))
		}
		if c >= s.d {
			return corrupt("a code is beyond its dictionary")
		}
		fn(c, end-lo)
		lo = end
	}
	return nil
}

// copyTo writes the strings to out from offs[0] on, and the offsets behind each to offs[1:]. It returns the last one. out has as many
// bytes as room says, and gatherSlack more.
func (r *stringRows) copyTo(out []byte, offs []uint32) (end int, err error) {
	at := int(offs[0])
	d := r.dict
	offs = offs[1 : r.n+1]
	switch {
	case r.n == 0:
		return at, nil
	case r.s.enc == encPlain:
		copy(out[at:], d.data[d.offs[0]:d.offs[d.d]])
		shift := uint32(at) - d.offs[0]
		for i, o := range d.offs[1 : r.n+1] {
			offs[i] = o + shift
		}
		return int(offs[r.n-1]), nil
	case r.constant():
		return repeat(out, at, d.get(0), offs), nil
	case r.codes != nil:
		for i, c := range r.codes {
			if !r.s.isNull(r.lo + i) {
				at += copy(out[at:], d.get(int(c)))
			}
			offs[i] = uint32(at)
		}
		return at, nil
	case r.s.mode == codeBits:
		return r.copyBits(out, at, offs)
	}
	err = r.s.eachRun(r.lo, r.lo+r.n, func(c, n int) {
		from := d.offs[c]
		size := int(d.offs[c+1] - from)
		if n == 1 && size <= gatherSlack/2 {
			_ = out[at+gatherSlack-1]
			copy16(unsafe.Add(unsafe.Pointer(unsafe.SliceData(out)), at), unsafe.Add(unsafe.Pointer(unsafe.SliceData(d.data)), int(from)))
			at += size
			offs[0] = uint32(at)
		} else {
			at = repeat(out, at, d.get(c), offs[:n])
		}
		offs = offs[n:]
	})
	return at, err
}

// repeat writes one string for each of offs from at on, and the offset behind each. It returns the last one.
func repeat(out []byte, at int, b []byte, offs []uint32) int {
	dst := out[at : at+len(b)*len(offs)]
	for n := copy(dst, b); n < len(dst); n *= 2 {
		copy(dst[n:], dst[:n])
	}
	end := uint32(at)
	for i := range offs {
		end += uint32(len(b))
		offs[i] = end
	}
	return int(end)
}

// copyBits is copyTo for rows with packed codes.
func (r *stringRows) copyBits(out []byte, at int, offs []uint32) (end int, err error) {
	s, d := r.s, r.dict
	w := s.width
	checkPacked(s.codes, r.lo, r.lo+r.n, w)
	codes, mask, bit := unsafe.Pointer(unsafe.SliceData(s.codes)), maskOf(w), uint(r.lo)*w
	src := unsafe.Pointer(unsafe.SliceData(d.data))
	dict, entries := unsafe.Pointer(unsafe.SliceData(d.offs[:d.d+1])), uint64(d.d)
	dst := unsafe.Pointer(unsafe.SliceData(out))
	_ = out[at+r.total+gatherSlack-1] // what room gave
	if short := r.short; len(short) > 0 {
		for i := range offs {
			c := load64(codes, bit>>3) >> (bit & 7) & mask
			bit += w
			if c >= uint64(len(short)) {
				return at, corrupt("a code is beyond its dictionary")
			}
			e := &short[c]
			*(*[gatherSlack]byte)(unsafe.Add(dst, at)) = e.text
			at += int(e.n)
			offs[i] = uint32(at)
		}
		return at, nil
	}
	for i := range offs {
		c := load64(codes, bit>>3) >> (bit & 7) & mask
		bit += w
		if c >= entries {
			return at, corrupt("a code is beyond its dictionary")
		}
		e := (*[2]uint32)(unsafe.Add(dict, 4*c))
		from, n := int(e[0]), int(e[1]-e[0])
		to, p := unsafe.Add(dst, at), unsafe.Add(src, from)
		copy16(to, p)
		if r.padded { // without a look at the length: that would be guessed wrong too often
			copy16(unsafe.Add(to, copySlack), unsafe.Add(p, copySlack))
			for k := 2 * copySlack; k < n; k += copySlack {
				copy16(unsafe.Add(to, k), unsafe.Add(p, k))
			}
		} else {
			for k := copySlack; k < n; k += copySlack {
				copy16(unsafe.Add(to, k), unsafe.Add(p, k))
			}
		}
		at += n
		offs[i] = uint32(at)
	}
	return at, nil
}
