package pack

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sort"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/vfs"
)

// Arriving verifies a pack file that is in no store yet, every chunk's hash included, while it is being written: from the memory that is
// written to it, so that nothing is read again.
type Arriving struct {
	p      *file
	c      *codecs
	offs   []uint64    // of the records, in the order of the file, and of the index behind them
	at     []int32     // of each the position in the index, and one more; 0 while it is not verified
	hashes []hash.Hash // by the position in the index
}

// OpenArriving begins to verify the file path of that digest. It must have its full length, and its index and footer, and may lack all else.
func OpenArriving(fsys vfs.FS, path string, digest hash.Hash) (*Arriving, error) {
	p, err := openNamed(fsys, path, digest)
	if err != nil {
		return nil, err
	}
	n := p.idx.len()
	a := &Arriving{p: p, c: newCodecs(), offs: make([]uint64, n, n+1), at: make([]int32, n), hashes: make([]hash.Hash, n)}
	for i := range n {
		a.offs[i] = p.idx.off(i)
	}
	slices.Sort(a.offs)
	a.offs = append(a.offs, p.ft.indexOff)
	if a.offs[0] != packHeader || n > 0 && a.offs[n-1] > p.ft.indexOff {
		return nil, errors.Join(errs.New(errs.Corrupt, "pack file %s: its records are not where its index says", path), p.close())
	}
	return a, nil
}

// Check verifies the records that lie as a whole in data, which is written at off. Goroutines may check different parts at once.
func (a *Arriving) Check(data []byte, off int64) error {
	if a.p.hasDictionary() { // without which nothing can be verified, and which may not have come
		return nil
	}
	from, to := uint64(off), uint64(off)+uint64(len(data))
	for k := sort.Search(len(a.at), func(k int) bool { return a.offs[k] >= from }); k < len(a.at) && a.offs[k+1] <= to; k++ {
		if err := a.record(k, data[a.offs[k]-from:a.offs[k+1]-from]); err != nil {
			return err
		}
	}
	return nil
}

// record verifies the record at a position in the order of the file.
func (a *Arriving) record(k int, rec []byte) error {
	e, err := parseRecord(rec)
	if err == nil {
		err = a.c.check(e)
	}
	if err == nil {
		err = a.note(k, e.hash, uint32(len(e.data)))
	}
	if err != nil {
		return fmt.Errorf("pack file %s at byte %d: %w", a.p.path, a.offs[k], err)
	}
	return nil
}

// note remembers that a record was verified, which the index must list.
func (a *Arriving) note(k int, h hash.Hash, length uint32) error {
	i, ok := a.p.idx.listed(h, a.offs[k], length)
	if !ok {
		return errs.New(errs.Corrupt, "the index does not list chunk %s here", h)
	}
	a.hashes[i] = h
	a.at[k] = int32(i) + 1
	return nil
}

// Finish verifies what was in no part that was checked, from the file, which is whole now. Without an error the file is as it was written.
func (a *Arriving) Finish(ctx context.Context) error {
	if a.p.hasDictionary() {
		return a.finishAll(ctx)
	}
	if err := a.p.header(); err != nil {
		return err
	}
	r := &window{f: a.p.f, end: int64(a.p.ft.indexOff), ahead: 64 << 10}
	sum := sha256.New()
	for k := range a.at {
		if a.at[k] == 0 {
			if err := ctx.Err(); err != nil {
				return errs.With(errs.Canceled, err)
			}
			rec, err := r.bytes(int64(a.offs[k]), int64(a.offs[k+1]-a.offs[k]))
			if err != nil {
				return a.p.at(a.offs[k], err)
			}
			if err := a.record(k, rec); err != nil {
				return err
			}
		}
		sum.Write(a.hashes[a.at[k]-1][:])
	}
	if !a.p.complete(uint32(len(a.at)), sum) {
		return errs.New(errs.Corrupt, "pack file %s: its chunks are not those that its footer names", a.p.path)
	}
	return nil
}

// finishAll is Finish when nothing was checked.
func (a *Arriving) finishAll(ctx context.Context) error {
	var found error
	hashes, err := a.p.verified(ctx, a.c, func(pr Problem) {
		if found == nil {
			found = fmt.Errorf("pack file %s at byte %d: %w", a.p.path, pr.Offset, pr.Err)
		}
	})
	if err == nil {
		err = found
	}
	for k := 0; k < len(hashes) && err == nil; k++ {
		err = a.note(k, hashes[k], uint32(a.offs[k+1]-a.offs[k]-recordHeader))
	}
	return err
}

// Chunks is how many chunks the pack has.
func (a *Arriving) Chunks() int { return len(a.at) }

// Has tells whether the pack has a chunk, once it was verified. It does not look into the file, and may be asked when that is closed.
func (a *Arriving) Has(h hash.Hash) bool {
	p := prefixOf(h)
	i, ok := a.p.idx.find(p)
	for ; ok && i < a.p.idx.len() && a.p.idx.prefix(i) == p; i++ {
		if a.hashes[i] == h {
			return true
		}
	}
	return false
}

// Close ends the use of the file, which stays.
func (a *Arriving) Close() error { return a.p.close() }
