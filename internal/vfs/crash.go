package vfs

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// sector is the number of bytes that a disk writes wholly or not at all.
const sector = 512

// CrashClone is a file system as it could be after a power cut now: synced bytes and names are there; each unsynced change is
// there, missing, or (a write) there in part, independently of the order in which they were made, as rng decides. No locks are
// held in it. m itself goes on unchanged.
func (m *Mem) CrashClone(rng *rand.Rand) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := maps.Clone(m.saved)
	queue := m.queue
	switch rng.IntN(3) {
	case 0: // a journalling file system: the oldest changes
		queue = queue[:rng.IntN(len(queue)+1)]
	case 1: // nothing
		queue = nil
	}
	all := rng.IntN(2) == 0
	for _, op := range queue {
		if all || rng.IntN(2) == 0 {
			op.to(names)
		}
	}
	c := NewMem()
	c.dirs = maps.Clone(m.dirs)
	// A file with two names stays one file, and rng is asked in an order that does not depend on the map's.
	copies := map[*inode]*inode{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		n := names[name]
		if copies[n] == nil {
			data := n.crash(rng)
			copies[n] = &inode{data: data, saved: slices.Clone(data)}
		}
		c.names[name] = copies[n]
		c.saved[name] = copies[n]
	}
	c.undoMoves(m.moves, rng)
	return c
}

// undoMoves undoes some of the latest of renames of directories that were not durable. One whose old name something has got since is taken
// to have been durable.
func (m *Mem) undoMoves(moves []dirMove, rng *rand.Rand) {
	if len(moves) == 0 {
		return
	}
	for _, v := range slices.Backward(moves[rng.IntN(len(moves)+1):]) {
		if m.dirs[v.to] && !m.dirs[v.from] && m.names[v.from] == nil {
			m.moveDir(moving(v.to, v.from))
		}
	}
}

// crash is the content that the file could have after a power cut.
func (n *inode) crash(rng *rand.Rand) []byte {
	data := slices.Clone(n.saved)
	mode := rng.IntN(4)
	if mode == 0 {
		return data
	}
	for _, op := range n.queue {
		switch {
		case mode == 1 || rng.IntN(2) == 0:
			data = op.to(data)
		case op.data != nil && rng.IntN(2) == 0:
			data = op.torn(data, rng)
		}
	}
	return data
}

// torn writes some sectors of a write: a prefix up to any byte, or any subset of whole sectors.
func (op dataOp) torn(data []byte, rng *rand.Rand) []byte {
	if rng.IntN(2) == 0 {
		return writeInto(data, op.data[:rng.IntN(len(op.data))], op.off)
	}
	for at := int64(0); at < int64(len(op.data)); {
		end := min((op.off+at)/sector*sector+sector-op.off, int64(len(op.data)))
		if rng.IntN(2) == 0 {
			data = writeInto(data, op.data[at:end], op.off+at)
		}
		at = end
	}
	return data
}
