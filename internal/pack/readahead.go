package pack

const (
	readAhead = 64 << 10 // bytes that are read at a time by those who go through a pack
	maxKept   = 1 << 20  // bytes of memory kept for the next read
)

// readMemory is memory for one who reads chunks one after the other. What was read last stays in it, and as long as the records that are
// asked for come one behind the other in a pack, or nearly so, those behind are read with them: chunks that were written together, as
// the documents of a load, are as a rule read together. It belongs to one goroutine at a time; nil reads each record into memory of its
// own.
type readMemory struct {
	buf  []byte
	p    *file  // that buf is from; nil for none
	off  uint64 // where in p
	next uint64 // behind the record that was asked for last
}

// record is n bytes of the pack p at off, valid until the next call.
func (m *readMemory) record(p *file, off uint64, n int) ([]byte, error) {
	if m == nil {
		b := make([]byte, n)
		return b, readFull(p.f, b, int64(off))
	}
	end := off + uint64(n)
	if m.p != p || off < m.off || end > m.off+uint64(len(m.buf)) {
		size := n
		if m.p == p && off >= m.next && off-m.next < readAhead && end <= p.ft.indexOff {
			size = max(n, int(min(readAhead, p.ft.indexOff-off)))
		}
		if err := readFull(p.f, m.other(size), int64(off)); err != nil {
			return nil, err
		}
		m.p, m.off = p, off
	}
	m.next = end
	at := off - m.off
	return m.buf[at : at+uint64(n) : at+uint64(n)], nil
}

// other is n bytes for what is in no pack.
func (m *readMemory) other(n int) []byte {
	if m == nil {
		return make([]byte, n)
	}
	m.p = nil
	if n > cap(m.buf) || cap(m.buf) > max(maxKept, 2*n) {
		m.buf = make([]byte, n)
	}
	m.buf = m.buf[:n]
	return m.buf
}
