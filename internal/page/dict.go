package page

import (
	"bytes"
	"unsafe"
)

// copySlack is the number of bytes readable behind a flatDict, so that copies may run in whole blocks.
const copySlack = 16

// flatDict is a segment's strings with offsets: those of a dictionary, or of the rows when the segment has none.
type flatDict struct {
	d    int
	offs []uint32 // d+1
	data []byte   // with copySlack bytes readable behind it in memory; an alias of the chunk where that is possible
	buf  []byte

	front  bool    // from a front-coded dictionary: shared is known
	shared []uint8 // bytes that an entry shares with the one before it; 0 at restart points
}

func (f *flatDict) get(c int) []byte { return f.data[f.offs[c]:f.offs[c+1]] }

// read fills f from all strings of s, with every bound checked.
func (f *flatDict) read(s *segment) error {
	n := s.d
	if s.enc == encPlain {
		n = s.n
	}
	return f.readRange(s, 0, n)
}

// readRange fills f from strings [lo,hi) of s; lo is 0 for front-coded dictionaries.
func (f *flatDict) readRange(s *segment, lo, hi int) error {
	n := hi - lo
	f.d = n
	offs := grow(&f.offs, n+1)
	f.data, f.front = s.blob, false
	switch s.store {
	case storeFixed:
		for i := range offs {
			offs[i] = uint32((lo + i) * s.strLen)
		}
	case storeOff16:
		o := s.offs[2*lo : 2*lo+2*n+2]
		last, bad := uint32(0), uint32(0)
		for i := range offs {
			v := uint32(le.Uint16(o[2*i:]))
			bad |= v - last // the sign bit: descending
			offs[i], last = v, v
		}
		if bad>>31 != 0 || int(last) > len(s.blob) {
			return corrupt("string offsets are not ascending")
		}
	case storeOff32:
		o := s.offs[4*lo : 4*lo+4*n+4]
		last := uint32(0)
		for i := range offs {
			v := le.Uint32(o[4*i:])
			if v < last {
				return corrupt("string offsets are not ascending")
			}
			offs[i], last = v, v
		}
		if int(last) > len(s.blob) {
			return corrupt("string offsets are not ascending")
		}
	default:
		return f.expand(s)
	}
	return nil
}

// expand decodes a front-coded dictionary. It notes on the way what an encoder would have to find out again: the bytes that entries
// share.
func (f *flatDict) expand(s *segment) error {
	buf := f.buf
	if cap(buf) < 4*len(s.blob)+1024 {
		buf = make([]byte, 0, 8*len(s.blob)+1024)
	}
	buf = buf[:cap(buf)]
	blob, room := s.blob, len(buf)-2*copySlack
	offs, marks := f.offs[:s.d+1], grow(&f.shared, s.d)
	pos, last, at := 0, 0, 0
	for c := range marks {
		restart := c%frontBlock == 0
		if restart && s.offset(c/frontBlock) != pos {
			return corrupt("bad front-coded dictionary")
		}
		var shared, l int
		if !restart && pos < len(blob) && usualFront(blob[pos]) { // frontNext of the usual entry, without its calls
			shared, l, pos = int(blob[pos]>>4), int(blob[pos]&frontMore), pos+1
		} else {
			head, suffix, next, ok := s.frontNext(pos, restart)
			if !ok {
				return corrupt("bad front-coded dictionary")
			}
			shared, l, pos = head, len(suffix), next-len(suffix)
		}
		if l > len(blob)-pos || shared > at-last {
			return corrupt("bad front-coded dictionary")
		}
		offs[c], marks[c] = uint32(at), uint8(shared)
		if at+shared+l > room {
			more := make([]byte, 2*len(buf)+shared+l+2*copySlack)
			copy(more, buf[:at])
			buf, room = more, len(more)-2*copySlack
		}
		if shared <= copySlack && l <= copySlack { // the usual case, in whole blocks
			p := unsafe.Pointer(unsafe.SliceData(buf))
			copy16(unsafe.Add(p, at), unsafe.Add(p, last))
			copy16(unsafe.Add(p, at+shared), unsafe.Add(unsafe.Pointer(unsafe.SliceData(blob)), pos))
		} else {
			copy(buf[at:], buf[last:last+shared])
			copy(buf[at+shared:], blob[pos:pos+l])
		}
		last, at, pos = at, at+shared+l, pos+l
	}
	offs[s.d] = uint32(at)
	f.data, f.buf, f.front = buf[:at], buf, true
	return nil
}

// lengths fills dst with the lengths of strings [lo, lo+len(dst)) of s; lo is 0 for front-coded dictionaries.
func (s *segment) lengths(dst []uint32, lo int) error {
	switch s.store {
	case storeFixed:
		for i := range dst {
			dst[i] = uint32(s.strLen)
		}
	case storeOff16, storeOff32:
		last := s.offset(lo)
		for i := range dst {
			next := s.offset(lo + i + 1)
			if next < last {
				return corrupt("string offsets are not ascending")
			}
			dst[i], last = uint32(next-last), next
		}
		if last > len(s.blob) {
			return corrupt("string offsets are not ascending")
		}
	default:
		pos := 0
		for c := range dst {
			if c%frontBlock != 0 && pos < len(s.blob) && usualFront(s.blob[pos]) {
				h := s.blob[pos]
				dst[c] = uint32(h>>4) + uint32(h&frontMore)
				pos += 1 + int(h&frontMore)
				continue
			}
			shared, suffix, next, ok := s.frontNext(pos, c%frontBlock == 0)
			if !ok {
				return corrupt("bad front-coded dictionary")
			}
			dst[c], pos = uint32(shared+len(suffix)), next
		}
	}
	return nil
}

// usualFront tells whether the head byte of a front-coded entry says all: fewer than 15 bytes are shared, fewer than 15 follow.
func usualFront(h byte) bool { return h < frontMore<<4 && h&frontMore < frontMore }

// copy16 copies 16 bytes. Both sides must have them.
func copy16(dst, src unsafe.Pointer) {
	a, b := *(*uint64)(src), *(*uint64)(unsafe.Add(src, 8))
	*(*uint64)(dst), *(*uint64)(unsafe.Add(dst, 8)) = a, b
}

// ascending tells whether every string is greater than the one before it.
func (f *flatDict) ascending() bool {
	for c := 1; c < f.d; c++ {
		if f.front && c%frontBlock != 0 {
			// The bytes behind those shared decide. When they are equal too, the dictionary is not as an encoder makes it.
			at, end := f.offs[c]+uint32(f.shared[c]), f.offs[c+1]
			last := f.offs[c-1] + uint32(f.shared[c])
			if at == end || last < f.offs[c] && f.data[last] >= f.data[at] {
				return false
			}
			continue
		}
		if bytes.Compare(f.get(c-1), f.get(c)) >= 0 {
			return false
		}
	}
	return true
}
