package pack

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

const (
	// spillBytes is how many bytes of chunks a batch keeps in memory.
	spillBytes = 8 << 20
	// packBytes is the length at which a batch begins another pack file, so that the writer's table stays small.
	packBytes = 1 << 30
)

// Batch is a chunk.Store over a Store: what is Put into it is seen by nobody else until Append publishes it with the records that
// name it. Chunks that the store has are not kept again. Beyond spillBytes chunks go to unpublished pack files, so a batch of any
// size needs little memory. It may be used by many goroutines; it must be closed.
type Batch struct {
	s   *Store
	dir string // of its pack files

	mu    sync.RWMutex
	list  []encoded // in memory, in the order put
	at    map[hash.Hash]int
	bytes int // stored bytes in list
	w     *writer
	full  []*file // finished, unpublished
	err   error   // of a spill: the batch can only be closed

	hitMu  sync.Mutex
	hits   []uint64    // prefixes of chunks that were put and not kept, because the store has them
	relied []hash.Hash // the same of a batch made by NewBatchIn, in full
}

// NewBatch is an empty batch. That of a read-only store spills to files only if it is made by NewBatchIn.
func (s *Store) NewBatch() *Batch {
	b := &Batch{s: s}
	if s.readOnly { // its files stay, whatever the owner removes
		return b
	}
	b.dir = s.packsPath
	s.batchMu.Lock()
	defer s.batchMu.Unlock()
	if s.batches == nil {
		s.batches = map[*Batch]struct{}{}
	}
	s.batches[b] = struct{}{}
	return b
}

// NewBatchIn is an empty batch whose pack files are made in the existing directory dir: for a process that builds packs beside the
// store's owner and Exports them, so that a batch of the owner can Adopt them.
func (s *Store) NewBatchIn(dir string) *Batch {
	b := s.NewBatch()
	b.dir = dir
	return b
}

// Put implements chunk.Writer.
func (b *Batch) Put(ctx context.Context, data []byte) (hash.Hash, error) {
	if len(data) > chunk.MaxSize {
		return hash.Hash{}, errs.New(errs.Invalid, "put chunk: %d bytes are above the limit of %d", len(data), chunk.MaxSize)
	}
	h := hash.Sum(data)
	if ok, err := b.Rely(ctx, h); ok || err != nil {
		return h, err
	}
	// Compression runs outside the lock, in the goroutine of the one who puts.
	e, err := b.s.codecs.encode(h, data)
	if err != nil {
		return h, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return h, b.add(e)
}

// add keeps a chunk unless it came meanwhile.
func (b *Batch) add(e encoded) error {
	if b.err != nil {
		return b.err
	}
	if _, ok := b.at[e.hash]; ok || b.spilled(e.hash) {
		return nil
	}
	if b.at == nil {
		b.at = map[hash.Hash]int{}
	}
	b.at[e.hash] = len(b.list)
	b.list = append(b.list, e)
	b.bytes += len(e.data)
	if b.bytes >= spillBytes {
		return b.spill()
	}
	return nil
}

// spilled tells whether a chunk is in one of the batch's own files, by prefix for finished ones: to put it twice is no harm.
func (b *Batch) spilled(h hash.Hash) bool {
	if b.w != nil {
		if _, ok := b.w.at[h]; ok {
			return true
		}
	}
	return false
}

// spill moves the chunks in memory to a file.
func (b *Batch) spill() error {
	err := b.spillTo()
	if err != nil {
		b.err = err
	}
	return err
}

func (b *Batch) spillTo() error {
	if b.dir == "" {
		return errReadOnly("spill a batch")
	}
	if b.w == nil {
		w, err := newWriter(b.s.fsys, filepath.Join(b.dir, filepath.Base(b.s.tmpPath())))
		if err != nil {
			return err
		}
		b.w = w
	}
	for _, e := range b.list {
		if err := b.w.add(e); err != nil {
			return err
		}
	}
	if err := b.w.flush(); err != nil {
		return err
	}
	b.list, b.bytes = b.list[:0], 0
	clear(b.at)
	if b.w.size() >= packBytes {
		return b.finish(context.Background())
	}
	return nil
}

// finish ends the file being written.
func (b *Batch) finish(ctx context.Context) error {
	p, err := b.w.finish(ctx)
	if err != nil {
		return err
	}
	b.full = append(b.full, p)
	b.w = nil
	return nil
}

// Get implements chunk.Reader over the batch and its store.
func (b *Batch) Get(ctx context.Context, h hash.Hash) ([]byte, error) {
	e, ok, err := b.own(h)
	if err != nil {
		return nil, err
	}
	if !ok {
		return b.s.Get(ctx, h)
	}
	return b.s.codecs.decode(e)
}

// Passing implements chunk.Passer.
func (b *Batch) Passing() chunk.Reader { return passingBatch{b} }

// Projecting implements chunk.Projector.
func (b *Batch) Projecting(ids []uint64) chunk.Reader {
	return projectingBatch{passingBatch{b}, b.s.Projecting(ids)}
}

// projectingBatch is the batch for one who needs some columns.
type projectingBatch struct {
	passingBatch
	store chunk.Reader
}

// Projects implements chunk.Projection.
func (projectingBatch) Projects() {}

// Get implements chunk.Reader.
func (p projectingBatch) Get(ctx context.Context, h hash.Hash) ([]byte, error) {
	e, ok, err := p.own(h)
	if err != nil {
		return nil, err
	}
	if !ok {
		return p.store.Get(ctx, h)
	}
	return p.s.codecs.decode(e)
}

// passingBatch is the batch for one who goes through a table.
type passingBatch struct{ *Batch }

// Get implements chunk.Reader.
func (p passingBatch) Get(ctx context.Context, h hash.Hash) ([]byte, error) {
	e, ok, err := p.own(h)
	if err != nil {
		return nil, err
	}
	if !ok {
		return p.s.cache.GetPassing(ctx, h)
	}
	return p.s.codecs.decode(e)
}

// AppendChunk implements chunk.Appender over the batch and its store.
func (b *Batch) AppendChunk(ctx context.Context, dst []byte, h hash.Hash) ([]byte, error) {
	e, ok, err := b.own(h)
	if err != nil {
		return nil, err
	}
	if !ok {
		return b.s.AppendChunk(ctx, dst, h)
	}
	return b.s.codecs.appendTo(dst, e)
}

// View implements chunk.Viewer. Views of the batch's own chunks are not kept.
func (b *Batch) View(ctx context.Context, h hash.Hash, open func(data []byte) (v any, size int, err error)) (any, error) {
	e, ok, err := b.own(h)
	if err != nil {
		return nil, err
	}
	if !ok {
		return b.s.View(ctx, h, open)
	}
	data, err := b.s.codecs.decode(e)
	if err != nil {
		return nil, err
	}
	v, _, err := open(data)
	return v, err
}

// own is the stored form of a chunk of the batch itself.
func (b *Batch) own(h hash.Hash) (e encoded, ok bool, err error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if i, ok := b.at[h]; ok {
		return b.list[i], true, nil
	}
	if b.w != nil {
		if e, ok, err := b.w.get(h); ok || err != nil {
			return e, ok, err
		}
	}
	for _, p := range b.full {
		if e, _, ok, err := p.get(h, nil); ok || err != nil {
			return e, ok, err
		}
	}
	return e, false, nil
}

// Has tells whether a chunk is in the batch or its store.
func (b *Batch) Has(ctx context.Context, h hash.Hash) (bool, error) {
	if ok, err := b.holds(h); ok || err != nil {
		return ok, err
	}
	return b.s.Has(ctx, h)
}

// holds tells whether a chunk is in the batch itself.
func (b *Batch) holds(h hash.Hash) (ok bool, err error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if _, ok = b.at[h]; ok || b.spilled(h) {
		return true, nil
	}
	for i := 0; i < len(b.full) && !ok && err == nil; i++ {
		ok, err = b.full[i].has(h)
	}
	return ok, err
}

// Rely is Has for one who is going to name the chunk: a chunk that the store has stays there as long as the batch is open and, when it is
// appended, as long as something names it.
func (b *Batch) Rely(ctx context.Context, h hash.Hash) (bool, error) {
	b.s.barrier.RLock()
	defer b.s.barrier.RUnlock()
	ok, err := b.holds(h)
	if ok || err != nil {
		return ok, err
	}
	if ok, err = b.s.Has(ctx, h); !ok || err != nil {
		return ok, err
	}
	b.hitMu.Lock()
	defer b.hitMu.Unlock()
	if b.s.readOnly {
		if b.dir != "" {
			b.relied = append(b.relied, h)
		}
	} else {
		b.hits = append(b.hits, prefixOf(h))
	}
	return true, nil
}

// Relied are the chunks that were put into a batch made by NewBatchIn and not kept, because the store had them when it was opened. Whoever
// adopts the batch's packs needs them.
func (b *Batch) Relied() []hash.Hash {
	b.hitMu.Lock()
	defer b.hitMu.Unlock()
	return b.relied
}

// Len is the number of stored bytes of the chunks that the batch holds, in memory and in files.
func (b *Batch) Len() int64 {
	b.mu.RLock()
	defer b.mu.RUnlock()
	n := int64(b.bytes)
	if b.w != nil {
		n += b.w.size()
	}
	for _, p := range b.full {
		n += p.size
	}
	return n
}

// toFiles moves all chunks into finished packs and gives them away.
func (b *Batch) toFiles(ctx context.Context) ([]*file, error) {
	if b.err != nil {
		return nil, b.err
	}
	if len(b.list) > 0 {
		if err := b.spill(); err != nil {
			return nil, err
		}
	}
	if b.w != nil {
		if err := b.finish(ctx); err != nil {
			b.err = err
			return nil, err
		}
	}
	out := b.full
	b.full = nil
	return out, nil
}

// Absorb moves all chunks of o, a batch of the same store, into b, so that one Append publishes them with b's. After an error both
// can only be closed.
func (b *Batch) Absorb(ctx context.Context, o *Batch) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	o.mu.Lock()
	defer o.mu.Unlock()
	if b.err != nil || o.err != nil {
		return errors.Join(b.err, o.err)
	}
	if o.w != nil {
		if err := o.finish(ctx); err != nil {
			o.err = err
			return fmt.Errorf("join two batches: %w", err)
		}
	}
	b.full = append(b.full, o.full...)
	o.full = nil
	for _, e := range o.list {
		if err := b.add(e); err != nil {
			return fmt.Errorf("join two batches: %w", err)
		}
	}
	o.list, o.bytes = nil, 0
	clear(o.at)
	o.hitMu.Lock()
	hits := o.hits
	o.hitMu.Unlock()
	b.hitMu.Lock()
	defer b.hitMu.Unlock()
	b.hits = append(b.hits, hits...) // and o's, until it is closed
	return nil
}

// Export writes the batch's chunks into synced pack files in the batch's directory, empties the batch and returns their paths: what
// Adopt takes, in the same process or in the owner's. Their names need not outlast a power cut, for Adopt gives them others. It is empty
// when there are no chunks.
func (b *Batch) Export(ctx context.Context) ([]string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	files, err := b.toFiles(ctx)
	if err != nil {
		return nil, fmt.Errorf("export a batch: %w", err)
	}
	var paths []string
	for _, p := range files {
		path := filepath.Join(b.dir, p.name+packExt)
		if err := p.rename(b.s.fsys, path); err != nil {
			return nil, fmt.Errorf("export a batch: %w", err)
		}
		if err := p.close(); err != nil {
			return nil, fmt.Errorf("export a batch: %w", err)
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// Adopt takes synced pack files, made by Export on the same file system, into the batch: one Append publishes them with the batch's
// other chunks. The batch has names, or copies, of its own for them, and the files stay where they are for their maker to remove: who
// dies between Adopt and the journal's record of the packs takes nothing away that the next owner will be asked to adopt. The indexes
// are verified here, the records when they are read.
func (b *Batch) Adopt(ctx context.Context, paths []string) error {
	if b.s.readOnly {
		return errReadOnly("adopt packs")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, path := range paths {
		if err := ctx.Err(); err != nil {
			return errs.With(errs.Canceled, err)
		}
		if b.err != nil {
			return b.err
		}
		p, err := b.s.ownName(ctx, path)
		if err != nil {
			return fmt.Errorf("adopt: %w", err)
		}
		b.full = append(b.full, p)
	}
	return nil
}

// ownName opens a pack of another process under an unpublished name of the store's: a link or, where there are none or this user may not
// link to another's file, a copy.
func (s *Store) ownName(ctx context.Context, path string) (*file, error) {
	mine := s.tmpPath()
	err := s.fsys.Link(path, mine)
	if errs.Is(err, errs.Unsupported) || errs.Is(err, errs.Denied) {
		err = s.copyFile(ctx, path, mine)
	}
	if err != nil {
		return nil, fmt.Errorf("take over pack %s: %w", path, err)
	}
	p, err := openPack(s.fsys, mine, false)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("of pack %s: %w", path, err), s.fsys.Remove(mine))
	}
	return p, nil
}

// copyFile makes a synced copy of a file, or nothing.
func (s *Store) copyFile(ctx context.Context, from, to string) (err error) {
	f, err := s.fsys.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Size()
	if err != nil {
		return err
	}
	c := copying{from: f, n: size}
	if err := c.copy(ctx, s.fsys, to, &meter{}); err != nil {
		if e := s.fsys.Remove(to); !errs.Is(e, errs.NotFound) {
			err = errors.Join(err, e)
		}
		return err
	}
	return nil
}

// errClosedBatch is the error of a batch that was closed.
var errClosedBatch = errs.New(errs.Invalid, "use a batch: it is closed")

// Close drops what was not appended and removes the batch's files.
func (b *Batch) Close() error {
	b.s.batchMu.Lock()
	delete(b.s.batches, b)
	b.s.batchMu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	var err error
	if b.w != nil {
		err = b.w.abort()
	}
	for _, p := range b.full {
		err = errors.Join(err, p.close(), b.s.fsys.Remove(p.path))
	}
	b.list, b.bytes, b.w, b.full = nil, 0, nil, nil
	clear(b.at)
	b.err = errClosedBatch
	if err != nil {
		return fmt.Errorf("close a batch: %w", err)
	}
	return nil
}
