package page

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/stemmadb/stemma/internal/value"
)

// maxShared is the most bytes that a front-coded entry shares with the one before it.
const maxShared = 255

// strPlan is the cheapest way to keep some strings.
type strPlan struct {
	store  storeMode
	total  int // bytes of the blob
	strLen int // storeFixed
	size   int // bytes with offsets
}

// planStrings chooses the store of n strings of total bytes; fixed is their common length or -1.
func planStrings(n, total, fixed int) strPlan {
	switch {
	case fixed >= 0:
		return strPlan{store: storeFixed, total: total, strLen: fixed, size: total}
	case total <= 0xffff:
		return strPlan{store: storeOff16, total: total, size: total + 2*(n+1)}
	}
	return strPlan{store: storeOff32, total: total, size: total + 4*(n+1)}
}

// encodeStrings appends the segment of a column of class Bytes. ids are the rows' strings in t (anything in NULL rows). part is set
// for key columns whose order is not that of the bytes.
func (e *encoder) encodeStrings(dst []byte, t *strTable, ids []uint32, nulls, addrs []uint32, part *value.KeyPart) []byte {
	n := len(ids)
	if len(nulls) == n {
		return appendHead(dst, encPlain, 0, 0, 0, n, nulls, nil)
	}
	codes := grow(&e.codes, n)
	carry(codes, ids, nulls)
	plain := e.planPlain(t, codes, nulls)
	order := e.sortStrings(t, part)
	if len(order) != t.sorted || len(order) != len(t.ents) { // else codes are ids already
		rank := grow(&e.rank, len(t.ents))
		for r, id := range order {
			rank[id] = uint32(r)
		}
		for i, c := range codes {
			codes[i] = rank[c]
		}
	}
	dict := e.planDict(t, order)
	runs, inOrder := countRuns(codes)
	plan := planCodes(n, len(order), runs, inOrder)
	if 8+dict.size+plan.size >= plain.size {
		dst = appendHead(dst, encPlain, uint(plain.store), 0, 0, n, nulls, addrs)
		dst = le.AppendUint64(dst, uint64(plain.total)|uint64(plain.strLen)<<32)
		return appendPlain(dst, t, ids, nulls, plain.store)
	}
	dst = appendHead(dst, encDict, plan.width, 0, len(order), n, nulls, addrs)
	dst = le.AppendUint64(dst, uint64(dict.store)|uint64(plan.mode)<<8|uint64(plan.runs)<<32)
	dst = le.AppendUint64(dst, uint64(dict.total)|uint64(dict.strLen)<<32)
	dst = e.appendDict(dst, t, order, dict)
	return e.appendCodes(dst, codes, plan)
}

// planPlain chooses the store of all rows' strings, and marks in e.used those that are used.
func (e *encoder) planPlain(t *strTable, codes, nulls []uint32) strPlan {
	used := grow(&e.used, len(t.ents))
	clear(used)
	total := 0
	if len(nulls) == 0 {
		first, odd := t.ents[codes[0]].len, uint32(0)
		for _, c := range codes {
			used[c] = true
			l := t.ents[c].len
			total += int(l)
			odd |= l ^ first
		}
		if odd == 0 {
			return planStrings(len(codes), total, int(first))
		}
		return planStrings(len(codes), total, -1)
	}
	for i, c := range codes {
		used[c] = true
		if len(nulls) > 0 && int(nulls[0]) == i {
			nulls = nulls[1:]
		} else {
			total += int(t.ents[c].len)
		}
	}
	return planStrings(len(codes), total, -1)
}

// carry copies ids to codes, giving NULL rows the id before them, or the first one.
func carry(codes, ids, nulls []uint32) {
	copy(codes, ids)
	if len(nulls) == 0 {
		return
	}
	first := 0
	for first < len(nulls) && int(nulls[first]) == first {
		first++
	}
	for _, i := range nulls {
		if int(i) < first {
			codes[i] = ids[first]
		} else {
			codes[i] = codes[i-1]
		}
	}
}

// sortStrings is the used ids of t in the order of a dictionary: by sort key, then by bytes.
func (e *encoder) sortStrings(t *strTable, part *value.KeyPart) []uint32 {
	base, extra := e.order[:0], e.extra[:0]
	for id, used := range e.used {
		switch {
		case !used:
		case id < t.sorted:
			base = append(base, uint32(id))
		default:
			extra = append(extra, uint32(id))
		}
	}
	e.order, e.extra = base, extra
	if len(extra) == 0 {
		return base
	}
	prefix := grow(&e.prefix, len(t.ents))
	if part != nil {
		keys, buf := grow(&e.keys, len(t.ents)), e.keyBuf[:0]
		for _, id := range extra {
			at := len(buf)
			buf = value.AppendKeyPart(buf, part, value.BytesCell(t.get(id)))
			keys[id] = span{uint32(at), uint32(len(buf) - at)}
			prefix[id] = prefix8(buf[at+1:])
		}
		e.keyBuf = buf
		sortIDs(extra, &e.packed, func(a, b uint32) bool {
			if prefix[a] != prefix[b] {
				return prefix[a] < prefix[b]
			}
			ka, kb := keys[a], keys[b]
			if c := bytes.Compare(buf[ka.off:ka.off+ka.len], buf[kb.off:kb.off+kb.len]); c != 0 {
				return c < 0
			}
			return bytes.Compare(t.get(a), t.get(b)) < 0
		})
		e.order = append(e.order, extra...)
		return e.order
	}
	for _, id := range extra {
		prefix[id] = prefix8(t.get(id))
	}
	sortIDs(extra, &e.packed, func(a, b uint32) bool {
		if prefix[a] != prefix[b] {
			return prefix[a] < prefix[b]
		}
		return bytes.Compare(t.get(a), t.get(b)) < 0
	})
	if len(extra)*8 < len(base) {
		for _, id := range extra {
			b := t.get(id)
			at, _ := slices.BinarySearchFunc(base, b, func(id uint32, b []byte) int { return bytes.Compare(t.get(id), b) })
			base = slices.Insert(base, at, id)
		}
		e.order = base
		return base
	}
	// merge from the back, in place
	i, j := len(base)-1, len(extra)-1
	base = append(base, extra...)
	for k := len(base) - 1; j >= 0; k-- {
		if i >= 0 && bytes.Compare(t.get(base[i]), t.get(extra[j])) > 0 {
			base[k] = base[i]
			i--
		} else {
			base[k] = extra[j]
			j--
		}
	}
	e.order = base
	return base
}

// prefix8 is the first 8 bytes of b as a number whose order is theirs; shorter strings are filled with zero bytes.
func prefix8(b []byte) uint64 {
	if len(b) >= 8 {
		return binary.BigEndian.Uint64(b)
	}
	var v uint64
	for i, c := range b {
		v |= uint64(c) << (56 - 8*i)
	}
	return v
}

// sortIDs sorts ids. Rows arrive in key order, so ids tend to be a few ascending runs; these are merged.
func sortIDs(ids []uint32, tmp *[]uint32, less func(a, b uint32) bool) {
	var starts [9]int
	runs := 1
	for i := 1; i < len(ids); i++ {
		if less(ids[i-1], ids[i]) {
			continue
		}
		if runs == len(starts)-1 {
			slices.SortFunc(ids, func(a, b uint32) int {
				if less(a, b) {
					return -1
				}
				return 1
			})
			return
		}
		starts[runs] = i
		runs++
	}
	starts[runs] = len(ids)
	for ; runs > 1; runs-- { // merge the last two runs
		a, m, b := starts[runs-2], starts[runs-1], len(ids)
		left := grow(tmp, m-a)
		copy(left, ids[a:m])
		for k := a; len(left) > 0; k++ {
			if m < b && less(ids[m], left[0]) {
				ids[k] = ids[m]
				m++
			} else {
				ids[k] = left[0]
				left = left[1:]
			}
		}
	}
}

// planDict chooses the store of a dictionary. Front coding, which is slower to read, must save an eighth.
func (e *encoder) planDict(t *strTable, order []uint32) strPlan {
	shared := grow(&e.shared, len(order))
	total, front, fixed := 0, 0, int(t.ents[order[0]].len)
	var last []byte
	for k, id := range order {
		b := t.get(id)
		total += len(b)
		if len(b) != fixed {
			fixed = -1
		}
		if k%frontBlock == 0 {
			front += uvarintLen(len(b)) + len(b)
		} else {
			s := 0
			if int(id) < len(t.shared) && id%frontBlock != 0 && order[k-1]+1 == id {
				s = int(t.shared[id]) // neighbours in the old dictionary too
			} else {
				s = sharedPrefix(last, b)
			}
			shared[k] = uint8(s)
			front += 1 + moreLen(s) + moreLen(len(b)-s) + len(b) - s
		}
		last = b
	}
	p := planStrings(len(order), total, fixed)
	f := strPlan{store: storeFront16, total: front, size: front + 2*blocks(len(order))}
	if front > 0xffff {
		f.store, f.size = storeFront32, front+4*blocks(len(order))
	}
	if f.size*8 < p.size*7 {
		return f
	}
	return p
}

func uvarintLen(n int) int { return (bits.Len(uint(n)|1) + 6) / 7 }

// moreLen is the number of bytes that a number takes behind the head byte of a front-coded entry.
func moreLen(n int) int {
	if n < frontMore {
		return 0
	}
	return uvarintLen(n - frontMore)
}

// appendFront appends what a front-coded entry has before its bytes: how many it shares with the entry before it, and how many follow.
func appendFront(dst []byte, shared, rest int) []byte {
	dst = append(dst, byte(min(shared, frontMore)<<4|min(rest, frontMore)))
	if shared >= frontMore {
		dst = binary.AppendUvarint(dst, uint64(shared-frontMore))
	}
	if rest >= frontMore {
		dst = binary.AppendUvarint(dst, uint64(rest-frontMore))
	}
	return dst
}

// sharedPrefix is the length of the common prefix of a and b, at most maxShared.
func sharedPrefix(a, b []byte) int {
	return min(sharedLen(a, b), maxShared)
}

func (e *encoder) appendDict(dst []byte, t *strTable, order []uint32, p strPlan) []byte {
	at := 0
	switch p.store {
	case storeFront16, storeFront32:
		short := p.store == storeFront16
		first := len(dst) // offsets, then entries behind them
		dst = slices.Grow(dst, p.size)[:first+p.size-p.total]
		offs := dst[:first]
		start := len(dst)
		for k, id := range order {
			b := t.get(id)
			if k%frontBlock == 0 {
				offs = appendOffset(offs, len(dst)-start, short)
				dst = binary.AppendUvarint(dst, uint64(len(b)))
			} else {
				s := int(e.shared[k])
				b = b[s:]
				dst = appendFront(dst, s, len(b))
			}
			dst = append(dst, b...)
		}
		return dst
	case storeOff16, storeOff32:
		for _, id := range order {
			dst = appendOffset(dst, at, p.store == storeOff16)
			at += int(t.ents[id].len)
		}
		dst = appendOffset(dst, at, p.store == storeOff16)
	}
	for _, id := range order {
		dst = append(dst, t.get(id)...)
	}
	return dst
}

// appendPlain appends the strings of all rows; those of NULL rows are empty.
func appendPlain(dst []byte, t *strTable, ids, nulls []uint32, store storeMode) []byte {
	if store != storeFixed {
		at, rest := 0, nulls
		for i, id := range ids {
			dst = appendOffset(dst, at, store == storeOff16)
			if len(rest) > 0 && int(rest[0]) == i {
				rest = rest[1:]
			} else {
				at += int(t.ents[id].len)
			}
		}
		dst = appendOffset(dst, at, store == storeOff16)
	}
	for i, id := range ids {
		if len(nulls) > 0 && int(nulls[0]) == i {
			nulls = nulls[1:]
		} else {
			dst = append(dst, t.get(id)...)
		}
	}
	return dst
}

func appendOffset(dst []byte, at int, short bool) []byte {
	if short {
		return le.AppendUint16(dst, uint16(at))
	}
	return le.AppendUint32(dst, uint32(at))
}
