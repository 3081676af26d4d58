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
	f.data = s.blob
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

// expand decodes a front-coded dictionary.
func (f *flatDict) expand(s *segment) error {
	buf := f.buf
	if cap(buf) < 4*len(s.blob)+1024 {
		buf = make([]byte, 0, 8*len(s.blob)+1024)
	}
	buf = buf[:0]
	pos, last := 0, 0
	for c := range s.d {
		restart := c%frontBlock == 0
		if restart && s.offset(c/frontBlock) != pos {
			return corrupt("bad front-coded dictionary")
		}
		shared, suffix, next, ok := s.frontNext(pos, restart)
		at := len(buf)
		if !ok || shared > at-last {
			return corrupt("bad front-coded dictionary")
		}
		f.offs[c] = uint32(at)
		if cap(buf)-at < shared+len(suffix)+2*copySlack {
			buf = append(make([]byte, 0, 2*cap(buf)+len(suffix)+shared+2*copySlack), buf...)
		}
		out := buf[at : at+shared+len(suffix)]
		if shared <= copySlack && len(suffix) <= copySlack { // the usual case, in whole blocks
			p := unsafe.Pointer(unsafe.SliceData(buf))
			copy16(unsafe.Add(p, at), unsafe.Add(p, last))
			copy16(unsafe.Add(p, at+shared), unsafe.Pointer(unsafe.SliceData(suffix)))
		} else {
			copy(out, buf[last:last+shared])
			copy(out[shared:], suffix)
		}
		buf = buf[:at+len(out)]
		last, pos = at, next
	}
	f.offs[s.d] = uint32(len(buf))
	f.data, f.buf = buf, buf
	return nil
}

// copy16 copies 16 bytes. Both sides must have them.
func copy16(dst, src unsafe.Pointer) {
	a, b := *(*uint64)(src), *(*uint64)(unsafe.Add(src, 8))
	*(*uint64)(dst), *(*uint64)(unsafe.Add(dst, 8)) = a, b
}

// ascending tells whether every string is greater than the one before it.
func (f *flatDict) ascending() bool {
	for c := 1; c < f.d; c++ {
		if bytes.Compare(f.get(c-1), f.get(c)) >= 0 {
			return false
		}
	}
	return true
}
