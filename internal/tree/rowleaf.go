package tree

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
)

const (
	rowLeafVersion = 1
	rowLeafHeader  = 12
	rowOverhead    = 8       // weight of a row beside its bytes
	maxKVRow       = 1 << 18 // longest payload; 128 such rows stay below chunk.MaxSize
	defaultKV      = 4096
	minTarget      = 64
)

// KVFormat is the plain Format: a leaf is a list of keys and byte-string payloads, the package comment has its picture. It is for
// catalogs: roots, refs, small maps. Payloads are at most 256 KiB; longer ones belong into a blob.
type KVFormat struct {
	// Size is the Target in bytes, from 64 to 64 MiB; 0 means 4096. It decides where leaves end, so it is part of the format of
	// whatever the tree is used for.
	Size int
}

// Target implements Format.
func (f KVFormat) Target() int {
	if f.Size == 0 {
		return defaultKV
	}
	return min(max(f.Size, minTarget), maxTarget)
}

// weight of a row: the bytes of its key and payload and rowOverhead, at most Target/64.
func (f KVFormat) weight(key, row int) int { return min(key+row+rowOverhead, f.Target()/64) }

// rowLeaf is an opened key/value leaf.
type rowLeaf struct {
	f       KVFormat
	data    []byte
	rowEnds []byte
	rows    []byte
	rowsAt  int // offset of rows in data
	keyBlock
}

// Open implements Format. It checks that every part lies within the chunk.
func (f KVFormat) Open(_ chunk.Reader, data []byte) (Leaf, error) {
	if _, _, err := chunk.CheckKind(data, chunk.KindRowLeaf, rowLeafVersion); err != nil {
		return nil, err
	}
	if len(data) < rowLeafHeader {
		return nil, errs.New(errs.Corrupt, "header of %d bytes", len(data))
	}
	form := data[2]
	n := uint64(binary.LittleEndian.Uint32(data[4:]))
	p := uint64(binary.LittleEndian.Uint32(data[8:]))
	if form > formWide || data[3] != 0 || n == 0 {
		return nil, errs.New(errs.Corrupt, "form %d, %d rows", form, n)
	}
	l := &rowLeaf{f: f, data: data}
	l.n, l.wide = int(n), form&formWide != 0
	os := uint64(offsetSize(l.wide))
	rest := data[rowLeafHeader:]
	if 2*n*os+p > uint64(len(rest)) {
		return nil, errs.New(errs.Corrupt, "%d rows in %d bytes", n, len(data))
	}
	l.ends, rest = rest[:n*os], rest[n*os:]
	l.rowEnds, rest = rest[:n*os], rest[n*os:]
	l.prefix, rest = rest[:p], rest[p:]
	keys := offset(l.ends, l.wide, l.n-1)
	if keys > len(rest) {
		return nil, errs.New(errs.Corrupt, "keys end at %d of %d bytes", keys, len(rest))
	}
	l.tail, l.rows = rest[:keys], rest[keys:]
	l.rowsAt = len(data) - len(l.rows)
	return l, checkEnd(l.rowEnds, l.wide, l.n, len(l.rows))
}

// Len implements Leaf.
func (l *rowLeaf) Len() int { return l.n }

// Search implements Leaf.
func (l *rowLeaf) Search(key []byte) (int, bool) { return l.search(key) }

// AppendKey implements Leaf.
func (l *rowLeaf) AppendKey(dst []byte, i int) []byte { return l.appendKey(dst, i) }

func (l *rowLeaf) row(i int) []byte {
	lo, hi := span(l.rowEnds, l.wide, i, len(l.rows))
	return l.rows[lo:hi]
}

// AppendRow implements Leaf.
func (l *rowLeaf) AppendRow(_ context.Context, dst []byte, i int) ([]byte, error) {
	return append(dst, l.row(i)...), nil
}

// Weights implements Leaf.
func (l *rowLeaf) Weights(_ context.Context, dst []int32, i, j int) ([]int32, error) {
	for ; i < j; i++ {
		dst = append(dst, int32(l.f.weight(len(l.prefix)+len(l.suffix(i)), len(l.row(i)))))
	}
	return dst, nil
}

// Refs implements Leaf: a key/value leaf names no chunks.
func (l *rowLeaf) Refs(context.Context, func(Ref) error) error { return nil }

// Patch implements Format. It overwrites payloads in a copy of the leaf, which it can when no length changes.
func (f KVFormat) Patch(_ context.Context, _ chunk.Writer, l Leaf, patches []Patch) ([]byte, Flags, bool, error) {
	leaf, err := asRowLeaf(l)
	if err != nil {
		return nil, 0, false, err
	}
	for _, p := range patches {
		if len(p.Row) != len(leaf.row(p.Index)) {
			return nil, 0, false, nil
		}
	}
	data := bytes.Clone(leaf.data)
	for _, p := range patches {
		lo, _ := span(leaf.rowEnds, leaf.wide, p.Index, len(leaf.rows))
		copy(data[leaf.rowsAt+lo:], p.Row)
	}
	return data, 0, true, nil
}

// Diff implements Format.
func (f KVFormat) Diff(_ context.Context, a Leaf, alo, ahi int, b Leaf, blo, bhi int, emit func(i, j int) error) error {
	la, err := asRowLeaf(a)
	if err != nil {
		return err
	}
	lb, err := asRowLeaf(b)
	if err != nil {
		return err
	}
	shared := bytes.Equal(la.prefix, lb.prefix)
	var ka, kb []byte
	for alo < ahi && blo < bhi {
		if shared {
			ka, kb = la.suffix(alo), lb.suffix(blo)
		} else {
			ka, kb = la.appendKey(ka[:0], alo), lb.appendKey(kb[:0], blo)
		}
		err = nil
		switch c := bytes.Compare(ka, kb); {
		case c < 0:
			err = emit(alo, -1)
			alo++
		case c > 0:
			err = emit(-1, blo)
			blo++
		default:
			if !bytes.Equal(la.row(alo), lb.row(blo)) {
				err = emit(alo, blo)
			}
			alo++
			blo++
		}
		if err != nil {
			return err
		}
	}
	for ; alo < ahi; alo++ {
		if err := emit(alo, -1); err != nil {
			return err
		}
	}
	for ; blo < bhi; blo++ {
		if err := emit(-1, blo); err != nil {
			return err
		}
	}
	return nil
}

func asRowLeaf(l Leaf) (*rowLeaf, error) {
	leaf, ok := l.(*rowLeaf)
	if !ok {
		return nil, errs.New(errs.Internal, "use key/value leaf: have %T", l)
	}
	return leaf, nil
}

// rowLeafBuilder builds key/value leaves.
type rowLeafBuilder struct {
	f       KVFormat
	keys    []byte // whole keys
	keyEnds []int
	rows    []byte
	rowEnds []int
}

// NewBuilder implements Format.
func (f KVFormat) NewBuilder() LeafBuilder { return &rowLeafBuilder{f: f} }

// Len implements LeafBuilder.
func (b *rowLeafBuilder) Len() int { return len(b.keyEnds) }

// Add implements LeafBuilder.
func (b *rowLeafBuilder) Add(key, row []byte) (int, error) {
	if len(row) > maxKVRow {
		return 0, errs.New(errs.Invalid, "add row: payload of %d bytes, at most %d are kept in a leaf", len(row), maxKVRow)
	}
	b.keys = append(b.keys, key...)
	b.keyEnds = append(b.keyEnds, len(b.keys))
	b.rows = append(b.rows, row...)
	b.rowEnds = append(b.rowEnds, len(b.rows))
	return b.f.weight(len(key), len(row)), nil
}

// AddFrom implements LeafBuilder.
func (b *rowLeafBuilder) AddFrom(_ context.Context, l Leaf, i, j int) error {
	leaf, err := asRowLeaf(l)
	if err != nil {
		return err
	}
	for ; i < j; i++ {
		b.keys = leaf.appendKey(b.keys, i)
		b.keyEnds = append(b.keyEnds, len(b.keys))
		b.rows = append(b.rows, leaf.row(i)...)
		b.rowEnds = append(b.rowEnds, len(b.rows))
	}
	return nil
}

// Finish implements LeafBuilder. A builder without rows cannot be finished. Keys out of order, which only a malformed leaf can have
// brought in, are an error of class Corrupt when they cannot be written.
func (b *rowLeafBuilder) Finish(context.Context, chunk.Writer) ([]byte, Flags, error) {
	n := len(b.keyEnds)
	if n == 0 {
		return nil, 0, fmt.Errorf("build leaf: no rows")
	}
	last := 0
	if n > 1 {
		last = b.keyEnds[n-2]
	}
	prefix := commonPrefix(b.keys[:b.keyEnds[0]], b.keys[last:])
	tail := len(b.keys) - n*prefix
	wide := max(tail, len(b.rows)) > 1<<16-1
	var form byte
	if wide {
		form = formWide
	}
	dst := make([]byte, 0, rowLeafHeader+2*n*offsetSize(wide)+prefix+tail+len(b.rows))
	dst = append(dst, byte(chunk.KindRowLeaf), rowLeafVersion, form, 0)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(n))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(prefix))
	for i, e := range b.keyEnds {
		dst = appendOffset(dst, wide, e-(i+1)*prefix)
	}
	for _, e := range b.rowEnds {
		dst = appendOffset(dst, wide, e)
	}
	dst = append(dst, b.keys[:prefix]...)
	start := 0
	shared := b.keys[:prefix]
	for i, e := range b.keyEnds {
		if !bytes.HasPrefix(b.keys[start:e], shared) {
			return nil, 0, errs.New(errs.Corrupt, "build leaf: key %x of row %d is out of order", b.keys[start:e], i)
		}
		dst = append(dst, b.keys[start+prefix:e]...)
		start = e
	}
	dst = append(dst, b.rows...)
	b.keys, b.keyEnds, b.rows, b.rowEnds = b.keys[:0], b.keyEnds[:0], b.rows[:0], b.rowEnds[:0]
	return dst, 0, nil
}
