package pack

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/vfs"
)

// location is the place of a chunk in the journal.
type location struct {
	seg    *segment
	off    int64 // of its stored bytes in the segment's file
	length uint32
	raw    uint32
	crc    uint32 // CRC32C of the stored bytes
	codec  uint8
}

// loaded is what a directory holds.
type loaded struct {
	segs   []*segment // ascending, contiguous in LSN
	dead   []string   // paths of segments that a later one replaces
	packs  []*file
	chunks map[hash.Hash]location
	bodies []bodyAt
	state  []byte
	tail   []Record
	listing
	point uint64 // LSN of the last checkpoint, or of the journal's beginning
	scan         // of the last segment
	last  []byte // content of the last segment, for copying its tail
}

// hasDictionary tells whether a pack has one.
func (l *loaded) hasDictionary() bool { return slices.ContainsFunc(l.packs, (*file).hasDictionary) }

// close closes the files that keep does not list.
func (l *loaded) close(keep map[*file]bool) error {
	var err error
	for _, s := range l.segs {
		err = errors.Join(err, s.f.Close())
	}
	for _, p := range l.packs {
		if !keep[p] {
			err = errors.Join(err, p.close())
		}
	}
	return err
}

// loadTries is how often a directory is looked at again when its owner changes it meanwhile.
const loadTries = 20

// load reads a directory. known are packs that are open already and are used again. A store that may not write looks again
// when files vanish or what it reads does not fit together, since the owner may be at work. Packs at the paths in without are passed over.
func load(ctx context.Context, fsys vfs.FS, dir string, readOnly bool, known []*file, without []string, c *codecs) (*loaded, error) {
	for try := 1; ; try++ {
		l, err := loadOnce(ctx, fsys, dir, readOnly, known, without, c)
		if err == nil || !readOnly || try == loadTries || !(errs.Is(err, errs.NotFound) || errs.Is(err, errs.Corrupt)) {
			return l, err
		}
	}
}

func loadOnce(ctx context.Context, fsys vfs.FS, dir string, readOnly bool, known []*file, without []string, c *codecs) (l *loaded, err error) {
	l = &loaded{chunks: map[hash.Hash]location{}}
	keep := map[*file]bool{}
	for _, p := range known {
		keep[p] = true
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close(keep))
			l = nil
		}
	}()
	// Segments come first: the owner makes a pack before it removes the segments or packs whose chunks it holds, and before it
	// writes a frame that relies on it. So packs that are listed after the journal was read hold all that it lacks.
	contents, err := l.openSegments(fsys, filepath.Join(dir, journalDir), readOnly)
	if err != nil {
		return l, err
	}
	if err := l.openPacks(ctx, fsys, filepath.Join(dir, packsDir), known, without); err != nil {
		return l, err
	}
	if len(l.segs) == 0 {
		return l, errs.New(errs.Corrupt, "read journal %s: its segments are missing", filepath.Join(dir, journalDir))
	}
	l.point = l.segs[0].base
	l.known = l.point == firstLSN
	for i, s := range l.segs {
		if err := ctx.Err(); err != nil {
			return l, errs.With(errs.Canceled, err)
		}
		limit := uint64(math.MaxUint64)
		if i+1 < len(l.segs) {
			limit = l.segs[i+1].base
		}
		l.scan, err = scanSegment(s, contents[i], limit, func(f frame, off int64) error {
			if err := l.frame(s, f, off, c); err != nil {
				return s.corrupt(f.lsn, err)
			}
			return nil
		})
		if err != nil {
			return l, err
		}
		l.last = contents[i]
		contents[i] = nil
	}
	if first := l.segs[0]; first.base != firstLSN && l.state == nil {
		return l, errs.New(errs.Corrupt, "read journal %s: what comes before segment %s is missing", filepath.Join(dir, journalDir), first.path)
	}
	return l, nil
}

// openSegments opens the segments that count and reads them.
func (l *loaded) openSegments(fsys vfs.FS, dir string, readOnly bool) ([][]byte, error) {
	nums, err := listSegments(fsys, dir)
	if errs.Is(err, errs.NotFound) {
		return nil, errs.New(errs.Corrupt, "list the journal: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("list the journal: %w", err)
	}
	var contents [][]byte
	for _, num := range nums {
		s, data, err := openSegment(fsys, filepath.Join(dir, segmentName(num)), num, readOnly)
		if err != nil {
			return nil, err
		}
		l.segs = append(l.segs, s)
		contents = append(contents, data)
	}
	// A segment that begins where an earlier one begins, or before, replaces it: recovery copied its tail.
	n := 0
	for i, s := range l.segs {
		dead := false
		for _, later := range l.segs[i+1:] {
			dead = dead || later.base <= s.base
		}
		if !dead {
			l.segs[n], contents[n] = s, contents[i]
			n++
			continue
		}
		l.dead = append(l.dead, s.path)
		if err := s.f.Close(); err != nil {
			return nil, err
		}
	}
	l.segs = l.segs[:n]
	return contents[:n], nil
}

// openSegment opens and reads one segment. An owner opens it for writing too, to go on in the last one.
func openSegment(fsys vfs.FS, path string, num uint64, readOnly bool) (*segment, []byte, error) {
	open := fsys.OpenRW
	if readOnly {
		open = fsys.Open
	}
	f, err := open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("open journal segment %s: %w", path, err)
	}
	s := &segment{num: num, path: path, f: f}
	data, err := readAll(f)
	if err == nil {
		err = s.parseHeader(data)
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open journal segment %s: %w", path, err), f.Close())
	}
	return s, data, nil
}

func readAll(f vfs.File) ([]byte, error) {
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	data := make([]byte, size)
	return data, readFull(f, data, 0)
}

// openPacks opens all published packs but those at the paths in without, taking those it can from known.
func (l *loaded) openPacks(ctx context.Context, fsys vfs.FS, dir string, known []*file, without []string) error {
	names, err := fsys.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("list packs: %w", err)
	}
	have := map[string]*file{}
	for _, p := range known {
		have[p.name+packExt] = p
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return errs.With(errs.Canceled, err)
		}
		if !strings.HasSuffix(name, packExt) || slices.Contains(without, filepath.Join(dir, name)) {
			continue
		}
		p := have[name]
		if p == nil {
			if p, err = openPack(fsys, filepath.Join(dir, name), true); err != nil {
				return err
			}
		}
		l.packs = append(l.packs, p)
	}
	return nil
}

// frame takes one frame in.
func (l *loaded) frame(s *segment, f frame, off int64, c *codecs) error {
	switch f.typ {
	case frameEnd:
		return nil
	case frameBatch:
		cur, err := l.body(f.lsn, f.payload, c)
		if err != nil {
			return err
		}
		chunks, err := parseChunks(cur)
		if err != nil {
			return err
		}
		if len(chunks) > 0 && f.payload[0] != bodyInline {
			return errs.New(errs.Corrupt, "it has chunks in a body that is kept in chunks")
		}
		recs, err := parseRecords(cur, f.lsn)
		if err != nil {
			return err
		}
		for _, p := range chunks {
			l.chunks[p.hash] = p.location(s, off+frameHeader)
		}
		for _, r := range recs {
			if r.Type == recordPacks {
				if err := l.listing.take(r.Payload); err != nil {
					return err
				}
				continue
			}
			// The segment's buffer must not stay alive for a record.
			r.Payload = append([]byte(nil), r.Payload...)
			l.tail = append(l.tail, r)
		}
		return nil
	case frameCheckpoint:
		cur, err := l.body(f.lsn, f.payload, c)
		if err != nil {
			return err
		}
		l.state = append([]byte{}, cur.b[cur.at:]...)
		l.tail = nil
		l.point = f.lsn
		return nil
	}
	return errs.New(errs.TooNew, "a record of type %d, which this program does not know; use a newer stemma", f.typ)
}

// location is where the chunk is when its payload begins at off in s.
func (p placed) location(s *segment, off int64) location {
	return location{seg: s, off: off + int64(p.off), length: uint32(len(p.data)), raw: p.raw, crc: sum32(p.data), codec: p.codec}
}

// body is a cursor at the beginning of the body of the payload of the frame at lsn, wherever that is kept.
func (l *loaded) body(lsn uint64, payload []byte, c *codecs) (*cursor, error) {
	cur := &cursor{b: payload}
	switch form := cur.byte(); {
	case cur.bad:
		return nil, errs.New(errs.Corrupt, "its payload is empty")
	case form == bodyInline:
		return cur, nil
	case form != bodyChunks:
		return nil, errs.New(errs.TooNew, "its payload has the unknown form %d; use a newer stemma", form)
	}
	ref, err := parseRef(cur)
	if err != nil {
		return nil, err
	}
	var out []byte
	for _, h := range ref.pieces {
		piece, err := l.piece(h, c)
		if err != nil {
			return nil, err
		}
		out = append(out, piece...)
	}
	if uint64(len(out)) != ref.total {
		return nil, errs.New(errs.Corrupt, "its body has %d bytes, want %d", len(out), ref.total)
	}
	l.bodies = append(l.bodies, bodyAt{lsn, ref.pieces})
	return &cursor{b: out}, nil
}

// piece reads one chunk of a body.
func (l *loaded) piece(h hash.Hash, c *codecs) ([]byte, error) {
	var found *encoded
	for _, p := range l.packs {
		e, _, ok, err := p.get(h, nil)
		if err != nil {
			return nil, err
		}
		if ok {
			found = &e
			// A frame cannot list the packs in which its list is, and one that lists all need not list those of frames before it.
			if l.listing.bodies == nil {
				l.listing.bodies = map[hash.Hash]bool{}
			}
			l.listing.bodies[p.ft.digest] = true
		}
	}
	if found != nil {
		data, err := c.decode(*found)
		if err != nil {
			return nil, err
		}
		return trimPiece(h, data)
	}
	return nil, errs.New(errs.Corrupt, "chunk %s of its body is in no pack", h)
}
