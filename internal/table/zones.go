package table

import (
	"encoding/binary"
	"sync"

	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/page"
	"github.com/stemmadb/stemma/internal/sidefile"
	"github.com/stemmadb/stemma/internal/value"
	"github.com/stemmadb/stemma/internal/vfs"
)

// zoneLimit bounds the bytes of the zones in memory, about, and those of their file.
const zoneLimit = 64 << 20

// columnPrint says what a page's bytes mean for a column: nodes of two tables may have one hash while the columns differ.
type columnPrint [16]byte

// printOf is the beginning of the SHA-256 of id, type and absent value.
func printOf(c page.Column) (p columnPrint) {
	b := binary.LittleEndian.AppendUint64(nil, c.ID)
	b = value.AppendType(b, c.Type)
	b = value.AppendTuple(b, []value.Phys{c.Type.Phys()}, []value.Cell{c.Absent})
	h := hash.Sum(b)
	copy(p[:], h[:])
	return p
}

// zoneKey names the zones of a column in the leaves below a node.
type zoneKey struct {
	node   hash.Hash
	column columnPrint
}

// nodeZones are the zones of a node's children; known of them are not empty.
type nodeZones struct {
	zones []zone
	known int
}

// Zones remember, for columns that scans have filtered by, the range of the values in each leaf, so that later scans need not read
// leaves without rows for them. What they know is derived from immutable chunks, is in no hash, and may be lost at any time. The side
// file, when there is one, keeps it for later processes: an error of the file ends its use and nothing else. They are used by many
// goroutines.
type Zones struct {
	mu    sync.RWMutex
	nodes map[zoneKey]*nodeZones
	bytes int // of nodes, about

	file   sidefile.File
	loaded sync.Once
	closed bool
}

// NewZones keeps zones in memory only.
func NewZones() *Zones { return &Zones{} }

// OpenZones keeps zones in the side file path as well. The file is read when zones are first asked for; whatever is in it that cannot
// be read is ignored. Unless readOnly, and then by one process at a time, it is extended and made when it is missing.
func OpenZones(fs vfs.FS, path string, readOnly bool) *Zones {
	return &Zones{file: sidefile.File{Kind: zoneFiles, FS: fs, Path: path, ReadOnly: readOnly}}
}

// Close ends the use of the side file.
func (z *Zones) Close() {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.closed = true
	z.file.Close()
}

// Forget removes what is known, and the side file.
func (z *Zones) Forget() error {
	z.loaded.Do(func() {})
	z.mu.Lock()
	defer z.mu.Unlock()
	z.nodes, z.bytes = nil, 0
	if z.closed {
		return nil
	}
	return z.file.Remove()
}

func (z *Zones) load() {
	z.mu.Lock()
	defer z.mu.Unlock()
	if !z.closed {
		z.file.Load(func(body []byte) bool {
			k, zones, ok := decodeZones(body)
			if ok {
				z.put(k, &nodeZones{zones, len(zones)})
			}
			return ok
		})
	}
}

// put adds a node; z.mu is held.
func (z *Zones) put(k zoneKey, n *nodeZones) {
	const perNode, perZone = 160, 24
	size := perNode + perZone*len(n.zones)
	if z.nodes == nil || z.bytes+size > zoneLimit {
		z.nodes, z.bytes = map[zoneKey]*nodeZones{}, 0
	}
	if z.nodes[k] == nil {
		z.bytes += size
	}
	z.nodes[k] = n
}

// get is the zone of a child; the zero zone when nothing is known.
func (z *Zones) get(k zoneKey, child int) zone {
	z.loaded.Do(z.load)
	z.mu.RLock()
	defer z.mu.RUnlock()
	if n := z.nodes[k]; n != nil && child < len(n.zones) {
		return n.zones[child]
	}
	return zone{}
}

// learn takes the zone of one of a node's children. When the node's last becomes known they go to the file.
func (z *Zones) learn(k zoneKey, child, children int, x zone) {
	z.mu.Lock()
	defer z.mu.Unlock()
	n := z.nodes[k]
	if n == nil || len(n.zones) != children {
		n = &nodeZones{zones: make([]zone, children)}
		z.put(k, n)
	}
	if n.zones[child].flags != 0 {
		return
	}
	n.zones[child] = x
	if n.known++; n.known == children && !z.closed {
		z.file.Append(appendZones(nil, k, n.zones))
	}
}
