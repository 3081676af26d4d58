package pack

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	gohash "hash"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/vfs"
)

// verify checks the whole file: every record's CRC and hash, the index against the records, the digest of the hashes.
func (p *file) verify(ctx context.Context, c *codecs, report func(Problem)) error {
	_, err := p.verified(ctx, c, report)
	return err
}

// verified is verify, and the hashes of the chunks in the order of the file when nothing is wrong.
func (p *file) verified(ctx context.Context, c *codecs, report func(Problem)) ([]hash.Hash, error) {
	if hashes, ok, err := p.sound(ctx, c); ok || err != nil {
		return hashes, err
	}
	// Something is wrong: say what, and where, in the order of the file.
	if err := p.header(); errs.Is(err, errs.Corrupt) {
		report(Problem{File: p.path, Err: err})
	} else if err != nil {
		return nil, err
	}
	var count uint32
	var lost error // the dictionary
	need := 0      // chunks that need it
	from := int64(packHeader)
	if p.hasDictionary() {
		if _, err := p.dictionary(); errs.Is(err, errs.Corrupt) || errs.Is(err, errs.TooNew) {
			lost = err
			count++
			from += recordHeader + int64(p.idx.length(p.idx.first()))
		} else if err != nil {
			return nil, err
		}
	}
	sum := sha256.New()
	err := p.between(ctx, from, int64(p.ft.indexOff), true, func(e encoded, off uint64) error {
		count++
		sum.Write(e.hash[:])
		if lost != nil && e.codec == codecDict {
			need++
		} else if err := c.check(e); err != nil {
			report(Problem{File: p.path, Offset: int64(off), Hash: e.hash, Err: err})
		}
		if err := p.listed(e, off); err != nil {
			report(Problem{File: p.path, Offset: int64(off), Hash: e.hash, Err: err})
		}
		return nil
	})
	if lost != nil {
		report(Problem{File: p.path, Offset: packHeader, Err: fmt.Errorf("%w; %d chunks need it", lost, need)})
	}
	if errs.Is(err, errs.Corrupt) || errs.Is(err, errs.TooNew) {
		report(Problem{File: p.path, Err: err})
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if lost != nil && count == p.ft.count {
		return nil, nil
	}
	if !p.complete(count, sum) {
		report(Problem{File: p.path, Err: errs.New(errs.Corrupt, "its %d records are not the %d that its footer names", count, p.ft.count)})
	}
	return nil, nil
}

// header compares how the file begins with what its footer says.
func (p *file) header() error {
	b := make([]byte, packHeader)
	if err := readFull(p.f, b, 0); err != nil {
		return p.at(0, err)
	}
	if string(b[:len(packMagic)]) != packMagic || leUint32(b[len(packMagic):]) != p.ft.version {
		return p.at(0, errs.New(errs.Corrupt, "it does not begin like a pack of version %d", p.ft.version))
	}
	return nil
}

// listed is an error unless the index has the record.
func (p *file) listed(e encoded, off uint64) error {
	if p.idx.lists(e.hash, off, uint32(len(e.data))) {
		return nil
	}
	return errs.New(errs.Corrupt, "the index does not list chunk %s here", e.hash)
}

// complete tells whether so many records with such hashes are those of the footer.
func (p *file) complete(count uint32, sum gohash.Hash) bool {
	return count == p.ft.count && [sha256.Size]byte(sum.Sum(nil)) == p.ft.hashes
}

// verifiedAtOnce is how many bytes of a pack a goroutine verifies at least. Tests have fewer.
var verifiedAtOnce int64 = 4 << 20

// sound tells whether verify would find nothing, and then the hashes of the chunks, from parts of the file that are checked side by side. The index says where they begin; where it
// is wrong a part does not end where the next one begins.
func (p *file) sound(ctx context.Context, c *codecs) (all []hash.Hash, ok bool, err error) {
	parts := min(int64(runtime.GOMAXPROCS(0)), int64(p.ft.indexOff)/verifiedAtOnce+1)
	starts := []int64{packHeader, int64(p.ft.indexOff)}
	if parts > 1 {
		offs := make([]int64, p.idx.len())
		for i := range offs {
			offs[i] = int64(p.idx.off(i))
		}
		slices.Sort(offs)
		for k := int64(1); k < parts; k++ {
			i, _ := slices.BinarySearch(offs, packHeader+(int64(p.ft.indexOff)-packHeader)*k/parts)
			if i < len(offs) && offs[i] > packHeader && offs[i] < int64(p.ft.indexOff) {
				starts = append(starts, offs[i])
			}
		}
		slices.Sort(starts)
		starts = slices.Compact(starts)
	}
	if p.hasDictionary() {
		if _, err := p.dictionary(); err != nil {
			if errs.Is(err, errs.Corrupt) || errs.Is(err, errs.TooNew) {
				err = nil // the search for what is wrong says it
			}
			return nil, false, err
		}
	}
	if err := p.header(); errs.Is(err, errs.Corrupt) {
		return nil, false, nil
	} else if err != nil {
		return nil, false, err
	}
	hashes := make([][]hash.Hash, len(starts)-1)
	g, gctx := errgroup.WithContext(ctx)
	for k := range hashes {
		g.Go(func() error {
			return p.between(gctx, starts[k], starts[k+1], true, func(e encoded, off uint64) error {
				hashes[k] = append(hashes[k], e.hash)
				if err := c.check(e); err != nil {
					return err
				}
				return p.listed(e, off)
			})
		})
	}
	err = g.Wait()
	if errs.Is(err, errs.Corrupt) || errs.Is(err, errs.TooNew) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	all = slices.Concat(hashes...)
	sum := sha256.New()
	for _, h := range all {
		sum.Write(h[:])
	}
	return all, p.complete(uint32(len(all)), sum), nil
}

// ReadHashes calls visit with the hash of every chunk in a pack file of that digest but for a dictionary, in the order of the file, and checks every record's CRC.
// Without an error the file is as it was written.
func ReadHashes(ctx context.Context, fsys vfs.FS, path string, digest hash.Hash, visit func(h hash.Hash)) (err error) {
	p, err := openNamed(fsys, path, digest)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	var count uint32
	sum := sha256.New()
	err = p.each(ctx, true, func(e encoded, off uint64) error {
		count++
		sum.Write(e.hash[:])
		if off != packHeader || !p.hasDictionary() {
			visit(e.hash)
		}
		return nil
	})
	if err == nil && !p.complete(count, sum) {
		err = errs.New(errs.Corrupt, "pack file %s: its %d records are not the %d that its footer names", path, count, p.ft.count)
	}
	return err
}

// openNamed opens a pack file that must have that digest.
func openNamed(fsys vfs.FS, path string, digest hash.Hash) (*file, error) {
	p, err := openPack(fsys, path, false)
	if err != nil {
		return nil, err
	}
	if p.ft.digest != digest {
		return nil, errors.Join(errs.New(errs.Corrupt, "pack file %s is %s, not %s", path, p.ft.digest.Full(), digest.Full()), p.close())
	}
	return p, nil
}
