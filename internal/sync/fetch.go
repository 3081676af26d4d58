package sync

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	gosync "sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/vfs"
)

// Progress begins to show a piece of work; add counts what is done of it, and done ends it, with
// the error that ended the work, if one did. Nil shows nothing.
type Progress func(title string, total int64, unit string) (add func(n int64), done func(error))

func (p Progress) start(title string, total int64, unit string) (add func(n int64), done func(error)) {
	if p == nil {
		return func(int64) {}, func(error) {}
	}
	return p(title, total, unit)
}

// How packs are fetched: sizes in bytes, a part of a hundred, and counts.
const (
	rangeSize    = 8 << 20   // of one request
	nearRange    = 512 << 10 // the same where requests cost nothing: so that what was read is in the cache of the processor that hashes it
	rangeGap     = 64 << 10  // what is read in vain rather than asked for apart
	smallPack    = 1 << 20   // packs up to that are read at once, and their chunks kept with others
	wholePercent = 80        // from that part on that is lacking, a pack is taken whole
	corruptTries = 3         // of a pack that does not arrive as it was sent
	lostTries    = 5         // of all, where the remote has taken lists or packs away meanwhile
	packsAtOnce  = 3
	rangesAtOnce = 4 // of one pack
	mostTook     = 1 << 20
)

// tempSuffix ends the name of a pack that is not whole yet.
const tempSuffix = ".tmp"

// Fetch brings the chunks of a remote's packs into a database.
type Fetch struct {
	Remote   *Remote
	Store    *pack.Store
	FS       vfs.FS // of the store
	Incoming string // a directory beside the store's, for whole packs: what it holds of an earlier fetch is used. "" once it is gone
	Held     Held   // what the store has of other packs; zero for nothing known
	Progress Progress

	seen    []Pack
	mu      gosync.Mutex
	took    []verified // packs that were verified as they came, as many as are remembered
	chunks  int        // of those
	hit     int        // which of those had the last chunk
	pending []taken
}

// taken is a whole pack that has come and was verified, and of which the device has not written all yet.
type taken struct {
	file string // the name that it gets then
	out  vfs.File
	done chan error // of the sync
}

// Landed remembers what was fetched, when that is in the store durably, and removes the packs in which it came.
func (f *Fetch) Landed() error {
	if err := f.Held.Add(f.seen); err != nil || f.Incoming == "" {
		return err
	}
	return f.clear(nil)
}

// Refs fetches all that these refs reach: see Run.
func (f *Fetch) Refs(ctx context.Context, refs []Ref, have []history.CommitID) (*pack.Batch, error) {
	var targets []Target
	for _, r := range refs {
		targets = append(targets, r.Target)
	}
	for try := 1; ; try++ {
		packs, err := f.Remote.Packs(ctx, targets...)
		var batch *pack.Batch
		if err == nil {
			batch, err = f.Run(ctx, packs, targets, have)
		}
		if !isLost(err) || try == lostTries {
			return batch, err
		}
		next, ok := f.Remote.relist(ctx, refs, targets)
		if !ok {
			return nil, err
		}
		targets = next
	}
}

// Run fetches what the store lacks of these packs, and makes sure that all that want reaches, down to have, is in the store or in the
// batch that it returns, which the caller appends and closes. have is commits of which the store has everything.
func (f *Fetch) Run(ctx context.Context, packs []Pack, want []Target, have []history.CommitID) (*pack.Batch, error) {
	held, err := f.Held.read()
	if err != nil {
		return nil, err
	}
	f.seen = packs
	in := make(map[hash.Hash]bool, len(held))
	for _, d := range held {
		in[d] = true
	}
	lacking := slices.DeleteFunc(slices.Clone(packs), func(p Pack) bool { return in[p.Digest] })
	batch, err := f.once(ctx, lacking, f.Store.Known(), want, have)
	if errs.Is(err, errs.NotFound) {
		// Only prefixes of hashes were compared, or what is remembered is wrong: take all.
		batch, err = f.once(ctx, packs, &pack.Known{}, want, have)
		if errs.Is(err, errs.NotFound) {
			err = f.Remote.damaged(errs.New(errs.Corrupt, "the packs that the remote %s lists do not hold all that its refs reach: %w", f.Remote.URL(), err))
		}
	}
	if err != nil {
		return nil, err
	}
	return batch, nil
}

func (f *Fetch) once(ctx context.Context, packs []Pack, known *pack.Known, want []Target, have []history.CommitID) (*pack.Batch, error) {
	batch := f.Store.NewBatch()
	err := f.packs(ctx, packs, known, batch)
	if err == nil {
		err = f.whole(ctx, batch, want, have) // while the device works
	}
	if err = errors.Join(err, f.settle()); err != nil {
		return nil, errors.Join(err, batch.Close())
	}
	return batch, nil
}

// whole checks that everything is there (R5). What the store has of it the batch relies on: it may be garbage up to now.
func (f *Fetch) whole(ctx context.Context, batch *pack.Batch, want []Target, have []history.CommitID) error {
	var commits []history.CommitID
	for _, w := range want {
		commits = append(commits, w.Commit)
		if w.Tag.IsZero() {
			continue
		}
		if err := f.there(ctx, batch, w.Tag); err != nil {
			return err
		}
		t, err := history.GetTag(ctx, batch, w.Tag)
		if err != nil {
			return err
		}
		if t.Commit != w.Commit {
			return errs.New(errs.Corrupt, "a tag of the remote %s names commit %s, its ref says %s", f.Remote.URL(), t.Commit, w.Commit)
		}
	}
	b, err := Commits(ctx, batch, commits, have)
	if err != nil {
		return err
	}
	add, done := f.Progress.start("check what was fetched", int64(len(b.Commits)), "commits")
	defer func() { done(err) }()
	w := &walker{r: batch, seen: make(map[hash.Hash]struct{}, f.chunks), visit: func(h hash.Hash) error { return f.there(ctx, batch, h) }}
	return w.commits(ctx, b, func() { add(1) })
}

// Lacks tells whether something is missing of what the target reaches, and have does not, in the store and in a batch of Run.
func (f *Fetch) Lacks(ctx context.Context, batch *pack.Batch, target Target, have []history.CommitID) (bool, error) {
	err := f.whole(ctx, batch, []Target{target}, have)
	if errs.Is(err, errs.NotFound) {
		return true, nil
	}
	return false, err
}

// there lets the batch rely on a chunk; one that is neither in it nor in the store is an error of class NotFound.
func (f *Fetch) there(ctx context.Context, batch *pack.Batch, h hash.Hash) error {
	for range f.took { // no need to read it in its pack again; neighbours in trees are in the same one
		if f.took[f.hit].Has(h) {
			return nil
		}
		f.hit = (f.hit + 1) % len(f.took)
	}
	ok, err := batch.Rely(ctx, h)
	if err == nil && !ok {
		err = errs.New(errs.NotFound, "chunk %s is in none of them", h)
	}
	return err
}

// packs fetches packs into the batch.
func (f *Fetch) packs(ctx context.Context, packs []Pack, known *pack.Known, batch *pack.Batch) (err error) {
	f.took, f.chunks, f.hit = nil, 0, 0
	wanted := map[string]bool{}
	total := int64(0)
	var todo []Pack
	for _, p := range packs {
		if f.Store.HasPack(p.Digest) {
			continue
		}
		todo = append(todo, p)
		wanted[p.Digest.Full()+pack.Ext] = true
		total += p.Size
	}
	if err := f.clear(wanted); err != nil {
		return err
	}
	if len(todo) == 0 {
		return nil
	}
	add, done := f.Progress.start("fetch", total, "bytes")
	defer func() { done(err) }()
	files := make([]string, len(todo))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(packsAtOnce)
	for i, p := range todo {
		g.Go(func() (err error) {
			for try := 1; ; try++ {
				files[i], err = f.pack(gctx, p, known, batch, add)
				if !errs.Is(err, errs.Corrupt) || try == corruptTries {
					break
				}
			}
			if errs.Is(err, errs.NotFound) {
				err = f.Remote.lost("pack " + p.Digest.Full())
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return f.Remote.damaged(fmt.Errorf("fetch from %s: %w", f.Remote.URL(), err))
	}
	return batch.Adopt(ctx, slices.DeleteFunc(files, func(s string) bool { return s == "" }))
}

// clear removes what earlier fetches have left that this one has no use for.
func (f *Fetch) clear(wanted map[string]bool) error {
	names, err := f.FS.ReadDir(f.Incoming)
	for _, n := range names {
		if strings.HasSuffix(n, pack.Ext) && wanted[n] || !strings.HasSuffix(n, pack.Ext) && !strings.HasSuffix(n, tempSuffix) {
			continue
		}
		err = errors.Join(err, f.FS.Remove(filepath.Join(f.Incoming, n)))
	}
	return err
}

// pack fetches a pack: whole, and then file is where it is until settle, or what is lacking of it into the batch.
func (f *Fetch) pack(ctx context.Context, p Pack, known *pack.Known, batch *pack.Batch, add func(int64)) (file string, err error) {
	file = filepath.Join(f.Incoming, p.Digest.Full()+pack.Ext)
	// What was made of a striped pack has another length.
	if in, err := f.FS.Stat(file); err == nil && (in.Size == p.Size || f.Remote.striped) {
		add(p.Size)
		return file, nil
	} else if err != nil && !errs.Is(err, errs.NotFound) {
		return "", err
	}
	if p.Size <= smallPack {
		data := make([]byte, p.Size)
		if err := f.Remote.s.GetRange(ctx, p.object(), data, 0); err != nil {
			return "", err
		}
		dir, err := f.Remote.directory(p, func(n int64) ([]byte, error) { return data[p.Size-n:], nil })
		if err != nil {
			return "", err
		}
		var dict *pack.Dictionary
		if at, ok := dir.Dictionary(); ok {
			if dict, err = pack.ReadDictionary(data[at.Off : at.Off+at.Len]); err != nil {
				return "", err
			}
		}
		err = dir.Records(byOffset(dir.Lacking(known)), data, 0, func(at pack.Span, rec []byte) error { return put(ctx, p, at, rec, dict, batch) })
		if err != nil {
			return "", err
		}
		add(p.Size)
		return "", nil
	}
	if known.Empty() && !f.Remote.striped {
		return f.take(ctx, p, file, add)
	}
	dir, err := f.Remote.directory(p, func(n int64) ([]byte, error) {
		end := make([]byte, n)
		return end, f.Remote.s.GetRange(ctx, p.object(), end, p.Size-n)
	})
	if err != nil {
		return "", err
	}
	lacking, bytes, end := byOffset(dir.Lacking(known)), int64(0), int64(0)
	for _, s := range lacking {
		if s.Off >= end { // not another page of the same block
			bytes, end = bytes+s.Len, s.Off+s.Len
		}
	}
	if bytes*100 >= p.Size*wholePercent {
		if dir.Striped() {
			return file, f.unstripe(ctx, p, dir, file, add)
		}
		return f.take(ctx, p, file, add)
	}
	var dict *pack.Dictionary
	if at, ok := dir.Dictionary(); ok && len(lacking) > 0 {
		rec := make([]byte, at.Len)
		if err := f.Remote.s.GetRange(ctx, p.object(), rec, at.Off); err != nil {
			return "", err
		}
		if dict, err = pack.ReadDictionary(rec); err != nil {
			return "", fmt.Errorf("pack %s: %w", p.Digest.Full(), err)
		}
	}
	if err := f.some(ctx, p, dir, lacking, dict, batch); err != nil {
		return "", err
	}
	add(p.Size)
	return "", nil
}

func byOffset(spans []pack.Span) []pack.Span {
	slices.SortFunc(spans, func(a, b pack.Span) int { return cmp.Or(cmp.Compare(a.Off, b.Off), cmp.Compare(a.Page, b.Page)) })
	return spans
}

// put puts a record of a pack, whose dictionary is dict, into a batch.
func put(ctx context.Context, p Pack, at pack.Span, rec []byte, dict *pack.Dictionary, batch *pack.Batch) error {
	if err := batch.PutRecord(ctx, rec, dict); err != nil {
		return fmt.Errorf("pack %s at byte %d: %w", p.Digest.Full(), at.Off, err)
	}
	return nil
}

// some fetches chunks of a pack, whose dictionary is dict, neighbours together.
func (f *Fetch) some(ctx context.Context, p Pack, dir *pack.Directory, spans []pack.Span, dict *pack.Dictionary, batch *pack.Batch) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(rangesAtOnce)
	for len(spans) > 0 {
		n, end := 1, spans[0].Off+spans[0].Len
		for n < len(spans) && spans[n].Off-end <= rangeGap && spans[n].Off+spans[n].Len-spans[0].Off <= rangeSize {
			end = max(end, spans[n].Off+spans[n].Len)
			n++
		}
		part := spans[:n]
		spans = spans[n:]
		g.Go(func() error {
			data := make([]byte, end-part[0].Off)
			if err := f.Remote.s.GetRange(ctx, p.object(), data, part[0].Off); err != nil {
				return err
			}
			return dir.Records(part, data, part[0].Off, func(at pack.Span, rec []byte) error { return put(ctx, p, at, rec, dict, batch) })
		})
	}
	return g.Wait()
}

// take fetches a whole pack into a file, of which it verifies every chunk, and whose sync it begins: settle gives it the name file.
func (f *Fetch) take(ctx context.Context, p Pack, file string, add func(int64)) (tmp string, err error) {
	tmp = file + tempSuffix
	out, err := f.FS.Create(tmp)
	if err != nil {
		return "", err
	}
	parts, err := f.arrive(ctx, p, tmp, out, add)
	if err != nil {
		return "", errors.Join(err, out.Close(), f.FS.Remove(tmp))
	}
	x := taken{file: file, out: out, done: make(chan error, 1)}
	go func() { x.done <- out.Sync() }()
	f.remember(parts)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pending = append(f.pending, x)
	return tmp, nil
}

// settle waits until the packs that were taken are durable, and gives them their names.
func (f *Fetch) settle() (err error) {
	for _, x := range f.pending {
		e := errors.Join(<-x.done, x.out.Close())
		if tmp := x.file + tempSuffix; e != nil {
			err = errors.Join(err, e, f.FS.Remove(tmp))
		} else {
			err = errors.Join(err, f.FS.Rename(tmp, x.file))
		}
	}
	f.pending = nil
	return err
}

// unstripe fetches a whole striped pack, of which a pack for the store is made in a file, which has that name only when every chunk in it was
// verified and it is synced.
func (f *Fetch) unstripe(ctx context.Context, p Pack, dir *pack.Directory, file string, add func(int64)) error {
	tmp := file + tempSuffix
	hashes, err := dir.Unstripe(ctx, f.FS, tmp, rangesAtOnce, func(ctx context.Context, b []byte, off int64) error {
		if err := f.Remote.s.GetRange(ctx, p.object(), b, off); err != nil {
			return err
		}
		add(int64(len(b)))
		return nil
	})
	if err != nil {
		return fmt.Errorf("pack %s: %w", p.Digest.Full(), err)
	}
	add(p.Size - dir.End())
	slices.SortFunc(hashes, hash.Hash.Compare)
	f.remember(sorted(hashes))
	return f.FS.Rename(tmp, file)
}

// verified is chunks of a pack that were verified.
type verified interface {
	Chunks() int
	Has(h hash.Hash) bool
}

// sorted is hashes in their order.
type sorted []hash.Hash

// Chunks implements verified.
func (s sorted) Chunks() int { return len(s) }

// Has implements verified.
func (s sorted) Has(h hash.Hash) bool {
	_, ok := slices.BinarySearchFunc(s, h, hash.Hash.Compare)
	return ok
}

// remember takes note of chunks that were verified, if they are not too many.
func (f *Fetch) remember(v verified) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.chunks+v.Chunks() <= mostTook {
		f.took = append(f.took, v)
		f.chunks += v.Chunks()
	}
}

// arrive writes a pack into the new file out, called tmp, and verifies it meanwhile. Its index comes first, which says where its records are.
func (f *Fetch) arrive(ctx context.Context, p Pack, tmp string, out vfs.File, add func(int64)) (parts *pack.Arriving, err error) {
	tail, err := p.tail()
	if err != nil {
		return nil, err
	}
	step, atOnce := int64(rangeSize), rangesAtOnce
	if object.Near(f.Remote.s) { // then the processors are what is short
		step, atOnce = nearRange, min(atOnce, runtime.GOMAXPROCS(0))
	}
	last := max(p.Size-tail, 0) / step * step // here the ranges begin that have parts of the index
	var offs []int64
	for off := last; off < p.Size; off += step {
		offs = append(offs, off)
	}
	var left atomic.Int64 // of those
	left.Store(int64(len(offs)))
	for off := int64(0); off < last; off += step {
		offs = append(offs, off)
	}
	indexed := make(chan struct{}) // closed when parts is set, or will not be
	defer func() {
		if parts != nil {
			err = errors.Join(err, parts.Close())
		}
	}()
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	var free gosync.Pool // of buffers: memory that is used again need not be cleared by the system
	for _, off := range offs {
		g.Go(func() error {
			buf, _ := free.Get().(*[]byte)
			if buf == nil {
				b := make([]byte, min(step, p.Size))
				buf = &b
			}
			defer free.Put(buf)
			data := (*buf)[:min(step, p.Size-off)]
			if err := f.Remote.s.GetRange(gctx, p.object(), data, off); err != nil {
				return err
			}
			if _, err := out.WriteAt(data, off); err != nil {
				return err
			}
			if _, err := vfs.StartSync(out, off, int64(len(data))); err != nil {
				return err
			}
			add(int64(len(data)))
			switch {
			case off < last:
				select {
				case <-indexed:
				case <-gctx.Done():
					return errs.With(errs.Canceled, gctx.Err())
				}
			case left.Add(-1) > 0:
				return nil // it is looked at in the end
			default:
				var err error
				parts, err = pack.OpenArriving(f.FS, tmp, p.Digest)
				if close(indexed); err != nil {
					return err
				}
			}
			if parts == nil {
				return nil
			}
			return parts.Check(data, off)
		})
	}
	if err := g.Wait(); err != nil {
		return parts, err
	}
	return parts, parts.Finish(ctx)
}
