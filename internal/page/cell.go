package page

// quickString is the string of a row in the usual dictionary segment: packed codes or rows that are their own, no NULL and nothing out of
// line, 16-bit offsets. b runs from the segment of size bytes to the end of its chunk. Strings of front-coded dictionaries are made anew,
// others alias b. ok is false for other segments, corrupt ones too: they are for parse.
func quickString(b []byte, size, n, row int) (str []byte, ok bool) {
	const head = segHeader + 16
	if size < head || size > len(b)-tailLen {
		return nil, false
	}
	h, t := le.Uint64(b), le.Uint64(b[segHeader:])
	w, d, store := uint(uint8(h>>8)), int(h>>32), storeMode(t)
	if encoding(h) != encDict || uint8(h>>24) != nullsNone || w > 32 || d < 1 || d > n {
		return nil, false
	}
	offs := 2 * (d + 1)
	if store == storeFront16 {
		offs = 2 * blocks(d)
	} else if store != storeOff16 {
		return nil, false
	}
	at, total := head+offs, int(le.Uint32(b[segHeader+8:]))
	end := at + total
	if end > size {
		return nil, false
	}
	code := row
	switch codeMode(t >> 8) {
	case codeBits:
		if packedLen(n, w) > size-end {
			return nil, false
		}
		code = int(bitsAt(b[end:], row, w))
	case codeRows:
	default:
		return nil, false
	}
	if code >= d {
		return nil, false
	}
	blob := b[at:end]
	if store == storeFront16 {
		return quickFront(blob, int(le.Uint16(b[head+2*(code/frontBlock):])), code%frontBlock)
	}
	lo, hi := int(le.Uint16(b[head+2*code:])), int(le.Uint16(b[head+2*code+2:]))
	if lo > hi || hi > len(blob) {
		return nil, false
	}
	return blob[lo:hi:hi], true
}

// quickFront is entry k of the block at pos of a front-coded blob. Only the entries' heads are read on the way to it; then its bytes are
// taken from where each was written.
func quickFront(blob []byte, pos, k int) (str []byte, ok bool) {
	var places [frontBlock]struct{ pos, shared, size int } // where an entry's own bytes are, and how long it is with those it shares
	if pos >= len(blob) || blob[pos] >= 0x80 {
		return nil, false
	}
	l := int(blob[pos])
	places[0].pos, places[0].size = pos+1, l
	pos += 1 + l
	for e := 1; e <= k; e++ {
		if pos >= len(blob) || !usualFront(blob[pos]) {
			return nil, false
		}
		h := blob[pos]
		shared, l := int(h>>4), int(h&frontMore)
		if shared > places[e-1].size {
			return nil, false
		}
		places[e].pos, places[e].shared, places[e].size = pos+1, shared, shared+l
		pos += 1 + l
	}
	if pos > len(blob) {
		return nil, false
	}
	str = make([]byte, places[k].size)
	for need := len(str); need > 0; k-- {
		p := &places[k]
		if p.shared < need {
			copy(str[p.shared:need], blob[p.pos:])
			need = p.shared
		}
	}
	return str, true
}
