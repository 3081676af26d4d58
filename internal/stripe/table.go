package stripe

import (
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

const (
	blockEntry  = 16
	stripeEntry = 8 + 4 + hash.Size
)

// AppendTable appends where blocks are and what is in them, in the order of the file.
func AppendTable(dst []byte, blocks []Block) []byte {
	dst = le.AppendUint32(dst, uint32(len(blocks)))
	for _, b := range blocks {
		dst = le.AppendUint64(dst, uint64(b.Off))
		dst = le.AppendUint32(dst, uint32(b.Pages))
		dst = le.AppendUint32(dst, uint32(len(b.Stripes)))
		for _, s := range b.Stripes {
			dst = le.AppendUint64(dst, s.ID)
			dst = le.AppendUint32(dst, uint32(s.Len))
			dst = append(dst, s.Sum[:]...)
		}
	}
	return dst
}

// ParseTable reads what AppendTable writes of a file whose blocks lie in [from,to), and checks all that readers rely on.
func ParseTable(b []byte, from, to int64) ([]Block, error) {
	bad := func(why string) ([]Block, error) {
		return nil, errs.New(errs.Corrupt, "its table of blocks cannot be understood: %s", why)
	}
	if len(b) < 4 {
		return bad("it is too short")
	}
	n := int(le.Uint32(b))
	b = b[4:]
	if n > len(b)/blockEntry {
		return bad("it is cut short")
	}
	out := make([]Block, 0, n)
	for range n {
		if len(b) < blockEntry {
			return bad("it is cut short")
		}
		x := Block{Off: int64(le.Uint64(b)), Pages: int(le.Uint32(b[8:]))}
		stripes := int(le.Uint32(b[12:]))
		b = b[blockEntry:]
		if stripes < 1 || stripes > len(b)/stripeEntry {
			return bad("it is cut short")
		}
		x.Stripes = make([]Stripe, stripes)
		size := int64(0)
		for i := range x.Stripes {
			s := Stripe{ID: le.Uint64(b), Len: int(le.Uint32(b[8:]))}
			copy(s.Sum[:], b[12:])
			if (i == 0) != (s.ID == headsID) || i > 0 && s.ID <= x.Stripes[i-1].ID {
				return bad("its stripes are not in order")
			}
			if s.Len == 0 {
				return bad("a stripe is empty")
			}
			x.Stripes[i] = s
			size += int64(s.Len)
			b = b[stripeEntry:]
		}
		switch {
		case x.Off < from || x.Off > to || size > to-x.Off:
			return bad("a block lies outside the file, or in another")
		case size > MaxBlock:
			return bad("a block is too long")
		case x.Pages < 1 || x.Pages > x.Stripes[0].Len/(hash.Size+pageHeader):
			return bad("a block has more pages than it has room for")
		}
		x.size = size
		from = x.Off + size
		out = append(out, x)
	}
	if len(b) > 0 {
		return bad("more follows it")
	}
	return out, nil
}
