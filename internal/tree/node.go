package tree

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

const (
	nodeVersion = 1
	nodeHeader  = 12
	formWide    = 1 // key ends of 4 bytes
	maxLevel    = 64
)

// entry names a finished chunk to the level above it.
type entry struct {
	key   []byte // the last key below it; never changed
	hash  hash.Hash
	count uint64 // rows below it
	flags Flags
}

// node is an interior node, read in place: the zero-copy view of a chunk of kind 2 (the package comment has its picture).
type node struct {
	level     uint8
	countLog  uint8 // log2 of the bytes of a count
	data      []byte
	hashes    []byte
	counts    []byte
	flagBytes []byte
	keyBlock
}

// openNode reads a node. It checks that every part lies within the chunk, so that no method can fail later; order and
// canonical form are the business of Check.
func openNode(data []byte) (node, error) {
	var nd node
	if _, _, err := chunk.CheckKind(data, chunk.KindNode, nodeVersion); err != nil {
		return nd, err
	}
	if len(data) < nodeHeader {
		return nd, errs.New(errs.Corrupt, "header of %d bytes", len(data))
	}
	form := data[3]
	n := uint64(binary.LittleEndian.Uint32(data[4:]))
	p := uint64(binary.LittleEndian.Uint32(data[8:]))
	if form >= 8 || data[2] == 0 || data[2] > maxLevel || n == 0 {
		return nd, errs.New(errs.Corrupt, "form %d, level %d, %d children", form, data[2], n)
	}
	nd.level, nd.countLog, nd.data = data[2], form>>1, data
	nd.n, nd.wide = int(n), form&formWide != 0
	cs, os := uint64(1)<<nd.countLog, uint64(offsetSize(nd.wide))
	rest := data[nodeHeader:]
	if n*(hash.Size+cs+1+os)+p > uint64(len(rest)) {
		return nd, errs.New(errs.Corrupt, "%d children in %d bytes", n, len(data))
	}
	take := func(size uint64) (part []byte) {
		part, rest = rest[:size:size], rest[size:]
		return part
	}
	nd.hashes = take(n * hash.Size)
	nd.counts = take(n * cs)
	nd.flagBytes = take(n)
	nd.ends = take(n * os)
	nd.prefix = take(p)
	nd.tail = rest
	return nd, checkEnd(nd.ends, nd.wide, nd.n, len(nd.tail))
}

// unread says what could not be read. Of what a part of a database has not the error says what it is for those who asked.
func unread(what string, h hash.Hash, err error) error {
	if chunk.IsAbsent(err) {
		return err
	}
	return fmt.Errorf("read %s %s: %w", what, h, err)
}

// loadNode fetches and opens the node named h, which must be of this level.
func loadNode(ctx context.Context, r chunk.Reader, h hash.Hash, level uint8) (node, error) {
	data, err := r.Get(ctx, h)
	if err != nil {
		return node{}, unread("node", h, err)
	}
	nd, err := openNode(data)
	if err != nil {
		return node{}, unread("node", h, err)
	}
	if nd.level != level {
		return node{}, errs.New(errs.Corrupt, "read node %s: level %d where %d is due", h, nd.level, level)
	}
	return nd, nil
}

// Len is the number of children.
func (nd *node) Len() int { return nd.n }

// Search is the first child whose last key is not below key, and whether that is the key.
func (nd *node) Search(key []byte) (int, bool) { return nd.search(key) }

// AppendKey appends child i's last key.
func (nd *node) AppendKey(dst []byte, i int) []byte { return nd.appendKey(dst, i) }

// hash names child i.
func (nd *node) hash(i int) hash.Hash { return hash.Hash(nd.hashes[i*hash.Size:]) }

// count is the number of rows below child i.
func (nd *node) count(i int) uint64 {
	switch nd.countLog {
	case 0:
		return uint64(nd.counts[i])
	case 1:
		return uint64(binary.LittleEndian.Uint16(nd.counts[2*i:]))
	case 2:
		return uint64(binary.LittleEndian.Uint32(nd.counts[4*i:]))
	}
	return binary.LittleEndian.Uint64(nd.counts[8*i:])
}

// flags are child i's.
func (nd *node) flags(i int) Flags { return Flags(nd.flagBytes[i]) }

// entry is child i with a key of its own.
func (nd *node) entry(i int) entry {
	return entry{key: nd.appendKey(nil, i), hash: nd.hash(i), count: nd.count(i), flags: nd.flags(i)}
}

// rowsBefore is the number of rows below the children ahead of child i.
func (nd *node) rowsBefore(i int) (sum uint64) {
	for j := range i {
		sum += nd.count(j)
	}
	return sum
}

// encodeNode is the chunk of a node with these children, one at least. Keys that do not rise, as only a malformed node has them,
// are an error of class Corrupt when they cannot be written.
func encodeNode(level uint8, es []entry) ([]byte, error) {
	prefix := commonPrefix(es[0].key, es[len(es)-1].key)
	tail, most := 0, uint64(0)
	for i := range es {
		if !bytes.HasPrefix(es[i].key, es[0].key[:prefix]) {
			return nil, errs.New(errs.Corrupt, "build node: key %x of child %d is out of order", es[i].key, i)
		}
		tail += len(es[i].key) - prefix
		most = max(most, es[i].count)
	}
	wide := tail > 1<<16-1
	log := countLog(most)
	size := nodeHeader + len(es)*(hash.Size+1<<log+1+offsetSize(wide)) + prefix + tail
	form := log << 1
	if wide {
		form |= formWide
	}
	dst := make([]byte, 0, size)
	dst = append(dst, byte(chunk.KindNode), nodeVersion, level, form)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(es)))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(prefix))
	for i := range es {
		dst = append(dst, es[i].hash[:]...)
	}
	for i := range es {
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], es[i].count)
		dst = append(dst, b[:1<<log]...)
	}
	for i := range es {
		dst = append(dst, byte(es[i].flags))
	}
	end := 0
	for i := range es {
		end += len(es[i].key) - prefix
		dst = appendOffset(dst, wide, end)
	}
	dst = append(dst, es[0].key[:prefix]...)
	for i := range es {
		dst = append(dst, es[i].key[prefix:]...)
	}
	return dst, nil
}
