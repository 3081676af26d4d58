package page

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"unsafe"
)

// Bit-packed vectors: value i of a vector of width w occupies bits [i*w, (i+1)*w) of the bytes taken as one little-endian number.
// Widths are 0 to maxWidth and 64: then any value lies in the 8 bytes from its first byte on, and is read with one unaligned load,
// shift and mask. Readers therefore need slack bytes behind the vector.

const (
	maxWidth = 56 // the widest packed value below a plain 64-bit one
	slack    = 8  // bytes that must be readable behind a packed vector
)

var le = binary.LittleEndian

// widthFor is the vector width for values whose largest offset from the base is span.
func widthFor(span uint64) uint {
	w := uint(bits.Len64(span))
	if w > maxWidth {
		return 64
	}
	return w
}

// packedLen is the length in bytes of n values of width w.
func packedLen(n int, w uint) int { return (n*int(w) + 7) / 8 }

func maskOf(w uint) uint64 { return 1<<w - 1 }

// load64 reads 8 bytes at p+off. The caller has checked that they exist.
func load64(p unsafe.Pointer, off uint) uint64 {
	return le.Uint64((*[8]byte)(unsafe.Add(p, off))[:])
}

// bitsAt is value i of the vector b of width w.
func bitsAt(b []byte, i int, w uint) uint64 {
	p := uint(i) * w
	return le.Uint64(b[p>>3:]) >> (p & 7) & maskOf(w)
}

// appendPacked appends the vector of v-base for all vals.
func appendPacked(dst []byte, vals []int64, base int64, w uint) []byte {
	if w == 0 {
		return dst
	}
	at, size := len(dst), packedLen(len(vals), w)
	dst = slices.Grow(dst, size+8)[:at+size+8]
	out := dst[at:]
	var acc uint64
	var have uint
	for _, v := range vals {
		u := uint64(v) - uint64(base)
		acc |= u << (have & 63)
		have += w
		if have >= 64 {
			le.PutUint64(out, acc)
			out = out[8:]
			have -= 64
			acc = u >> (w - have)
		}
	}
	le.PutUint64(out, acc)
	return dst[:at+size]
}

// appendPackedCodes appends the vector of codes.
func appendPackedCodes(dst []byte, codes []uint32, w uint) []byte {
	if w == 0 {
		return dst
	}
	at, size := len(dst), packedLen(len(codes), w)
	dst = slices.Grow(dst, size+8)[:at+size+8]
	out := dst[at:]
	var acc uint64
	var have uint
	for _, c := range codes {
		acc |= uint64(c) << (have & 63)
		have += w
		if have >= 64 {
			le.PutUint64(out, acc)
			out = out[8:]
			have -= 64
			acc = uint64(c) >> ((w - have) & 63)
		}
	}
	le.PutUint64(out, acc)
	return dst[:at+size]
}

// checkPacked panics unless values [lo,hi) of the vector can be loaded: the loops behind it do not check.
func checkPacked(b []byte, lo, hi int, w uint) {
	if hi > lo {
		_ = b[uint(hi-1)*w>>3+7]
		_ = b[uint(lo)*w>>3]
	}
}

// unpack fills dst with base plus the values of the vector from index lo on.
func unpack(dst []int64, b []byte, lo int, w uint, base int64) {
	if w == 0 {
		for i := range dst {
			dst[i] = base
		}
		return
	}
	checkPacked(b, lo, lo+len(dst), w)
	p, mask, at := unsafe.Pointer(unsafe.SliceData(b)), maskOf(w), uint(lo)*w
	for len(dst) >= 4 {
		d := (*[4]int64)(dst)
		d[0] = base + int64(load64(p, at>>3)>>(at&7)&mask)
		at += w
		d[1] = base + int64(load64(p, at>>3)>>(at&7)&mask)
		at += w
		d[2] = base + int64(load64(p, at>>3)>>(at&7)&mask)
		at += w
		d[3] = base + int64(load64(p, at>>3)>>(at&7)&mask)
		at += w
		dst = dst[4:]
	}
	for i := range dst {
		dst[i] = base + int64(load64(p, at>>3)>>(at&7)&mask)
		at += w
	}
}

// unpackDec fills dst with (base + value) / pow for the values of the vector from index lo on.
func unpackDec(dst []float64, b []byte, lo int, w uint, base int64, pow float64) {
	if w == 0 {
		v := float64(base) / pow
		for i := range dst {
			dst[i] = v
		}
		return
	}
	checkPacked(b, lo, lo+len(dst), w)
	p, mask, at := unsafe.Pointer(unsafe.SliceData(b)), maskOf(w), uint(lo)*w
	for i := range dst {
		dst[i] = float64(base+int64(load64(p, at>>3)>>(at&7)&mask)) / pow
		at += w
	}
}

// unpackCodes fills dst with the values of the vector from index lo on; w is at most 32.
func unpackCodes(dst []uint32, b []byte, lo int, w uint) {
	if w == 0 {
		clear(dst)
		return
	}
	checkPacked(b, lo, lo+len(dst), w)
	p, mask, at := unsafe.Pointer(unsafe.SliceData(b)), maskOf(w), uint(lo)*w
	for i := range dst {
		dst[i] = uint32(load64(p, at>>3) >> (at & 7) & mask)
		at += w
	}
}

// sumPacked is the sum of values [lo,hi) of the vector, as 128 bits.
func sumPacked(b []byte, lo, hi int, w uint) (high, low uint64) {
	if w == 0 || lo >= hi {
		return 0, 0
	}
	checkPacked(b, lo, hi, w)
	p, mask, at := unsafe.Pointer(unsafe.SliceData(b)), maskOf(w), uint(lo)*w
	step := 256 // values of maxWidth bits that cannot overflow a sum of 64
	if w > maxWidth {
		step = 1
	}
	for n := hi - lo; n > 0; {
		k := min(n, step)
		n -= k
		var s0, s1, s2, s3 uint64
		if w <= maxWidth/2 && at&7 == 0 {
			// Eight values are w bytes, so where they lie in those is the same for all eights; and any 8 bytes hold two.
			o1, o2, o3 := 2*w>>3, 4*w>>3, 6*w>>3
			m1, m2, m3 := 2*w&7, 4*w&7, 6*w&7
			q := unsafe.Add(p, at>>3)
			for at += uint(k&^7) * w; k >= 8; k -= 8 {
				x0, x1, x2, x3 := load64(q, 0), load64(q, o1)>>m1, load64(q, o2)>>m2, load64(q, o3)>>m3
				s0 += x0&mask + x1&mask
				s2 += x2&mask + x3&mask
				s1 += x0>>(w&63)&mask + x1>>(w&63)&mask
				s3 += x2>>(w&63)&mask + x3>>(w&63)&mask
				q = unsafe.Add(q, w)
			}
		}
		for ; k >= 4; k -= 4 {
			a1, a2, a3 := at+w, at+2*w, at+3*w
			s0 += load64(p, at>>3) >> (at & 7) & mask
			s1 += load64(p, a1>>3) >> (a1 & 7) & mask
			s2 += load64(p, a2>>3) >> (a2 & 7) & mask
			s3 += load64(p, a3>>3) >> (a3 & 7) & mask
			at += 4 * w
		}
		for ; k > 0; k-- {
			s0 += load64(p, at>>3) >> (at & 7) & mask
			at += w
		}
		var c uint64
		low, c = bits.Add64(low, s0+s1+s2+s3, 0)
		high += c
	}
	return high, low
}

// samePacked is how many of n values of two vectors of width w, more than 0, are equal in turn, from index i of a and j of b on.
func samePacked(a []byte, i int, b []byte, j, n int, w uint) int {
	checkPacked(a, i, i+n, w)
	checkPacked(b, j, j+n, w)
	p, q := unsafe.Pointer(unsafe.SliceData(a)), unsafe.Pointer(unsafe.SliceData(b))
	x, y := uint(i)*w, uint(j)*w
	p, q, x, y = unsafe.Add(p, x>>3), unsafe.Add(q, y>>3), x&7, y&7
	// The values are compared as one number each, 56 bits at a time, which lie in 8 bytes wherever they begin.
	size, at := uint(n)*w, uint(0)
	for ; at+56 <= size; at += 56 {
		if diff := (load64(p, at>>3)>>x ^ load64(q, at>>3)>>y) << 8; diff != 0 {
			return int((at + uint(bits.TrailingZeros64(diff)) - 8) / w)
		}
	}
	if at < size {
		if diff := (load64(p, at>>3)>>x ^ load64(q, at>>3)>>y) & maskOf(size-at); diff != 0 {
			return int((at + uint(bits.TrailingZeros64(diff))) / w)
		}
	}
	return n
}

// sameShifted is how many of n values of two vectors of width w, from index i of a and j of b on, are below end in a and larger by
// shift in b, in turn. Values rise, w is 1 to 28, and end+shift is at most 1<<w; for others the answer is some number up to n.
func sameShifted(a []byte, i int, b []byte, j, n int, w uint, shift, end int) int {
	checkPacked(a, i, i+n, w)
	checkPacked(b, j, j+n, w)
	p, q := unsafe.Pointer(unsafe.SliceData(a)), unsafe.Pointer(unsafe.SliceData(b))
	x, y := uint(i)*w, uint(j)*w
	step := maxWidth / w // values at once
	mask, one := maskOf(step*w), uint64(0)
	for k := range step {
		one |= 1 << (k * w)
	}
	add, top, limit, k := one*uint64(shift), (step-1)*w, uint64(end), 0
	for ; k+int(step) <= n; k += int(step) {
		u, v := load64(p, x>>3)>>(x&7)&mask, load64(q, y>>3)>>(y&7)
		// No sum of a value below end carries into the next; the last of the values is the greatest.
		if (u+add^v)&mask != 0 || u>>top >= limit {
			break
		}
		x, y = x+step*w, y+step*w
	}
	for mask = maskOf(w); k < n; k++ {
		u, v := load64(p, x>>3)>>(x&7)&mask, load64(q, y>>3)>>(y&7)&mask
		if u+uint64(shift) != v || u >= limit {
			break
		}
		x, y = x+w, y+w
	}
	return k
}

// minMaxPacked is the least and greatest of values [lo,hi) of the vector; lo < hi.
func minMaxPacked(b []byte, lo, hi int, w uint) (least, most uint64) {
	if w == 0 {
		return 0, 0
	}
	checkPacked(b, lo, hi, w)
	p, mask, at := unsafe.Pointer(unsafe.SliceData(b)), maskOf(w), uint(lo)*w
	least = ^uint64(0)
	for range hi - lo {
		v := load64(p, at>>3) >> (at & 7) & mask
		least, most = min(least, v), max(most, v)
		at += w
	}
	return least, most
}

// bitmapLen is the length in bytes of a bitmap of n bits: whole 8-byte words.
func bitmapLen(n int) int { return (n + 63) / 64 * 8 }

func bitSet(b []byte, i int) bool { return b[i>>3]>>(i&7)&1 != 0 }

// countBits is the number of bits set in [lo,hi) of the bitmap b.
func countBits(b []byte, lo, hi int) int {
	n := 0
	for lo < hi && lo&63 != 0 {
		n += int(b[lo>>3] >> (lo & 7) & 1)
		lo++
	}
	for ; lo+64 <= hi; lo += 64 {
		n += bits.OnesCount64(le.Uint64(b[lo>>3:]))
	}
	for ; lo < hi; lo++ {
		n += int(b[lo>>3] >> (lo & 7) & 1)
	}
	return n
}

// appendBitmap appends a bitmap of n bits, all equal to fill but for the ascending indices at.
func appendBitmap(dst []byte, n int, fill bool, at []uint32) []byte {
	pos, size := len(dst), bitmapLen(n)
	dst = slices.Grow(dst, size)[:pos+size]
	b := dst[pos:]
	clear(b)
	if fill {
		for i := range n >> 3 {
			b[i] = 0xff
		}
		if n&7 != 0 {
			b[n>>3] = 1<<(n&7) - 1
		}
	}
	for _, i := range at {
		b[i>>3] ^= 1 << (i & 7)
	}
	return dst
}
