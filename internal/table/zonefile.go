package table

import (
	"encoding/binary"

	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/sidefile"
)

// zoneFiles is the side file of zones. The body of a record, integers little-endian:
//
//	32  hash of a node of level 1
//	16  print of a column
//	17  for each child of the node: 1 flags, 8 least, 8 most
//
// The flags are 1 (NULL cells), 2 (others; least and most hold) or 3; without flag 2 least and most are 0. Reading ends at a record that
// breaks this.
var zoneFiles = sidefile.Kind{Magic: "stmzones", Version: 1, Limit: zoneLimit}

const (
	zoneKeyLen = hash.Size + 16
	zoneLen    = 17
)

// appendZones appends the body of a record.
func appendZones(dst []byte, k zoneKey, zones []zone) []byte {
	dst = append(append(dst, k.node[:]...), k.column[:]...)
	for _, x := range zones {
		dst = append(dst, x.flags)
		dst = binary.LittleEndian.AppendUint64(dst, x.least)
		dst = binary.LittleEndian.AppendUint64(dst, x.most)
	}
	return dst
}

// decodeZones reads what appendZones writes; ok is false when it is nothing of the kind.
func decodeZones(b []byte) (k zoneKey, zones []zone, ok bool) {
	if len(b) < zoneKeyLen+zoneLen {
		return k, nil, false
	}
	copy(k.node[:], b)
	copy(k.column[:], b[hash.Size:])
	if b = b[zoneKeyLen:]; len(b)%zoneLen != 0 {
		return k, nil, false
	}
	zones = make([]zone, len(b)/zoneLen)
	for i := range zones {
		x := zone{flags: b[0], least: binary.LittleEndian.Uint64(b[1:]), most: binary.LittleEndian.Uint64(b[9:])}
		if x.flags == 0 || x.flags > zoneNull|zoneValues || x.least > x.most || x.flags == zoneNull && x.most != 0 {
			return k, nil, false
		}
		zones[i], b = x, b[zoneLen:]
	}
	return k, zones, true
}
