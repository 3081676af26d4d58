package table

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/vfs"
)

// The side file of zones, integers little-endian:
//
//	8   "stmzones"
//	4   version, 1
//	then records:
//	4   bytes of the body
//	4   CRC-32C of the body
//	32  hash of a node of level 1
//	16  print of a column
//	17  for each child of the node: 1 flags, 8 least, 8 most
//
// 1. The flags are 1 (NULL cells), 2 (others; least and most hold) or 3; without flag 2 least and most are 0.
// 2. Reading ends at the first record that is cut off, fails its CRC or breaks 1; the owner writes on from there.
// 3. A file with another beginning or version counts as empty. Nothing is lost with the file.
const (
	zoneMagic     = "stmzones"
	zoneVersion   = 1
	zoneHeaderLen = 12
	zoneFrameLen  = 8
	zoneKeyLen    = hash.Size + 16
	zoneLen       = 17
)

// zoneFile is the side file; without a path there is none. Its caller sees to it that calls do not overlap.
type zoneFile struct {
	fs       vfs.FS
	path     string
	readOnly bool

	f    vfs.File // open for writing; nil before the first append
	size int64    // of the header and the good records; 0 when the file must be begun anew
	off  bool     // no more writing
}

// load gives what the file holds to put.
func (z *zoneFile) load(put func(zoneKey, []zone)) {
	if z.path == "" {
		z.off = true
		return
	}
	z.off = z.readOnly
	info, err := z.fs.Stat(z.path)
	if errs.Is(err, errs.NotFound) || err == nil && info.Size > zoneLimit { // a full file is begun anew: much of it is out of use
		return
	}
	var data []byte
	if err == nil {
		data, err = vfs.ReadFile(z.fs, z.path)
	}
	if err != nil {
		z.off = true
		return
	}
	z.size = int64(decodeZones(data, put))
}

// append writes a record at the end. The file is never synced: the CRC tells what a crash has left.
func (z *zoneFile) append(k zoneKey, zones []zone) {
	if z.off || z.size > zoneLimit {
		return
	}
	if err := z.write(appendZones(nil, k, zones)); err != nil {
		z.end()
	}
}

func (z *zoneFile) write(record []byte) error {
	if z.f == nil {
		if err := z.open(); err != nil {
			return err
		}
	}
	if _, err := z.f.WriteAt(record, z.size); err != nil {
		return err
	}
	z.size += int64(len(record))
	return nil
}

// open opens or makes the file and cuts off what is not good.
func (z *zoneFile) open() (err error) {
	if z.size > 0 {
		z.f, err = z.fs.OpenRW(z.path)
	}
	if z.size == 0 || errs.Is(err, errs.NotFound) { // it may have been removed meanwhile
		z.size = 0
		z.f, err = z.fs.Create(z.path)
	}
	if err != nil {
		z.f = nil
		return err
	}
	if z.size > 0 {
		return z.f.Truncate(z.size)
	}
	return z.write(binary.LittleEndian.AppendUint32([]byte(zoneMagic), zoneVersion))
}

// remove begins anew, without a file.
func (z *zoneFile) remove() error {
	if z.path == "" || z.readOnly {
		return nil
	}
	z.end()
	z.off, z.size = false, 0
	if err := z.fs.Remove(z.path); err != nil && !errs.Is(err, errs.NotFound) {
		return err
	}
	return nil
}

// end ends writing. What Close says of a file that may be lost is of no interest.
func (z *zoneFile) end() {
	z.off = true
	if z.f != nil {
		z.f.Close()
		z.f = nil
	}
}

func zoneSum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// appendZones appends a record.
func appendZones(dst []byte, k zoneKey, zones []zone) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, zoneFrameLen)...)
	dst = append(append(dst, k.node[:]...), k.column[:]...)
	for _, x := range zones {
		dst = append(dst, x.flags)
		dst = binary.LittleEndian.AppendUint64(dst, x.least)
		dst = binary.LittleEndian.AppendUint64(dst, x.most)
	}
	body := dst[at+zoneFrameLen:]
	binary.LittleEndian.PutUint32(dst[at:], uint32(len(body)))
	binary.LittleEndian.PutUint32(dst[at+4:], zoneSum(body))
	return dst
}

// decodeZones gives the good records at the beginning of a file to put, and returns the bytes that they and the header take; 0 when
// the header is not ours.
func decodeZones(data []byte, put func(zoneKey, []zone)) int {
	if len(data) < zoneHeaderLen || string(data[:8]) != zoneMagic || binary.LittleEndian.Uint32(data[8:]) != zoneVersion {
		return 0
	}
	at := zoneHeaderLen
	for {
		b := data[at:]
		if len(b) < zoneFrameLen {
			return at
		}
		n := binary.LittleEndian.Uint32(b)
		if n < zoneKeyLen+zoneLen || uint64(n) > uint64(len(b)-zoneFrameLen) {
			return at
		}
		body := b[zoneFrameLen : zoneFrameLen+int(n)]
		if zoneSum(body) != binary.LittleEndian.Uint32(b[4:]) {
			return at
		}
		k, zones, ok := decodeZoneBody(body)
		if !ok {
			return at
		}
		put(k, zones)
		at += zoneFrameLen + int(n)
	}
}

func decodeZoneBody(b []byte) (k zoneKey, zones []zone, ok bool) {
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
