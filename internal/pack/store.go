package pack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/vfs"
)

// Record is an entry of the journal whose meaning is the caller's.
type Record struct {
	Type    uint8
	Payload []byte
	LSN     uint64 // of its frame; set by Recovered, ignored by Append
}

// DefaultCacheBytes is the budget of the chunk cache when Options names none.
const DefaultCacheBytes = 256 << 20

// Options say how a store is opened. The zero value opens it for writing.
type Options struct {
	// ReadOnly opens the store beside its owner: nothing is changed, and what is read is the state as of opening or Refresh.
	ReadOnly bool
	// CacheBytes is the budget of the chunk cache in bytes; 0 means DefaultCacheBytes, below 0 no cache.
	CacheBytes int64
	// Without are the paths of packs that are passed over, and stay: damaged ones, as Examine has found them.
	Without []string
}

// Store is the chunk store and journal of one directory. Get, Has, NewBatch, Append, Wait, Stats and Backup may be called by many
// goroutines; Checkpoint, Refresh and Close only when no Append runs.
type Store struct {
	fsys      vfs.FS
	dir       string
	packsPath string // of the directory of packs
	readOnly  bool
	lists     bool        // the journal lists the packs
	dicts     atomic.Bool // FORMAT allows for packs with dictionaries, or there are some
	codecs    *codecs
	cache     *chunk.Cache
	j         *journal // nil when read-only
	tmp       atomic.Int64
	bufs      sync.Pool                 // *[]byte, payloads being built
	reads     sync.Pool                 // *readMemory
	elsewhere atomic.Pointer[Elsewhere] // nil for a whole store
	naming    sync.Mutex                // held while packs have names in the store and may still be removed; before mu

	mu     sync.RWMutex
	segs   []*segment
	packs  []*file // never changed in place
	chunks map[hash.Hash]location
	state  []byte
	tail   []Record
	end    uint64 // LSN behind the last frame when the journal was read
	bodies []bodyAt
	// missing is the packs that the journal listed when it was read and that were not there.
	missing []hash.Hash
	// swapped is the LSN of the last frame of a collection, before whose durability packs and journal on the disk are still the old ones.
	swapped uint64

	fold       folder
	folded     []string   // files to be removed, oldest segment first; used by the running fold or collection only
	foldMu     sync.Mutex // orders the beginning of folds and the end of collections
	owed       *segment   // before which to fold once the collection is over
	collection atomic.Pointer[Collection]
	grew       atomic.Bool // packs have come since Grew was asked

	// barrier is held for reading by batches that look whether the store has a chunk, and take note that they rely on it; for writing
	// while a collection decides.
	barrier sync.RWMutex
	batchMu sync.Mutex
	batches map[*Batch]struct{} // open ones
}

// bodyAt is the chunks that hold the body of a frame.
type bodyAt struct {
	lsn    uint64
	pieces []hash.Hash
}

// note remembers the chunks that hold the body of the frame at lsn.
func (s *Store) note(lsn uint64, pieces []hash.Hash) {
	if len(pieces) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bodies = append(s.bodies[:len(s.bodies):len(s.bodies)], bodyAt{lsn, pieces})
}

// Open opens the store in dir and recovers it. It takes no lock: whoever opens for writing holds the directory's lock. Class
// NotFound: no store; TooNew: made by a newer version; Corrupt: journal or a pack's index is damaged.
func Open(ctx context.Context, fsys vfs.FS, dir string, opt Options) (*Store, error) {
	s, err := open(ctx, fsys, dir, opt)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	return s, nil
}

func open(ctx context.Context, fsys vfs.FS, dir string, opt Options) (s *Store, err error) {
	f, err := checkFormat(fsys, dir, opt.ReadOnly)
	if err != nil {
		return nil, err
	}
	s = &Store{fsys: fsys, dir: dir, packsPath: filepath.Join(dir, packsDir), readOnly: opt.ReadOnly, codecs: newCodecs()}
	s.lists = slices.Contains(f.required, listsFeature)
	s.dicts.Store(slices.Contains(f.required, dictionaryFeature))
	s.bufs.New = func() any { return new([]byte) }
	s.reads.New = func() any { return new(readMemory) }
	if opt.CacheBytes == 0 {
		opt.CacheBytes = DefaultCacheBytes
	}
	s.cache = chunk.NewCache(storeReader{s}, max(opt.CacheBytes, 0))
	l, err := load(ctx, fsys, dir, opt.ReadOnly, nil, opt.Without, s.codecs)
	if err != nil {
		return nil, err
	}
	if !opt.ReadOnly {
		if !s.dicts.Load() && l.hasDictionary() { // FORMAT was put back, or packs were copied here without it
			err = require(fsys, dir, dictionaryFeature, true)
		}
		if err == nil {
			s.j, err = l.openJournal(fsys, dir, s.began)
		}
		if err == nil && len(s.segs) > 0 { // recovery began a segment
			l.move(s.segs[0])
			err = l.retire(s.segs[0])
		}
		if err == nil {
			err = l.sweep(ctx, fsys, dir)
		}
		if err == nil && s.lists {
			err = s.drop(l.orphans())
		}
		if err != nil {
			return nil, errors.Join(err, closeAll(s.segs), l.close(nil))
		}
	}
	s.missing = l.missing(opt.Without)
	l.segs = append(l.segs, s.segs...)
	s.take(l)
	return s, nil
}

// take makes what was loaded the store's.
func (s *Store) take(l *loaded) {
	s.segs, s.packs, s.chunks, s.state, s.tail, s.end, s.bodies = l.segs, l.packs, l.chunks, l.state, l.tail, l.end, l.bodies
	if l.hasDictionary() {
		s.dicts.Store(true)
	}
}

// began takes note of a new segment.
func (s *Store) began(seg *segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.segs = append(s.segs, seg)
}

func closeAll(segs []*segment) error {
	var err error
	for _, seg := range segs {
		err = errors.Join(err, seg.f.Close())
	}
	return err
}

func closePacks(packs []*file) error {
	var err error
	for _, p := range packs {
		err = errors.Join(err, p.close())
	}
	return err
}

// Recovered is the state of the last checkpoint (nil when there was none) and the records appended after it, in order, as of Open
// or Refresh. After a Checkpoint it is empty: the caller knows better.
func (s *Store) Recovered() (state []byte, tail []Record) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.state, s.tail
}

// Get implements chunk.Reader.
func (s *Store) Get(ctx context.Context, h hash.Hash) ([]byte, error) { return s.cache.Get(ctx, h) }

// View implements chunk.Viewer.
func (s *Store) View(ctx context.Context, h hash.Hash, open func(data []byte) (v any, size int, err error)) (any, error) {
	return s.cache.View(ctx, h, open)
}

// AppendChunk implements chunk.Appender.
func (s *Store) AppendChunk(ctx context.Context, dst []byte, h hash.Hash) ([]byte, error) {
	if data, ok := s.cache.Peek(h); ok {
		return append(dst, data...), nil
	}
	m := s.reads.Get().(*readMemory)
	defer s.reads.Put(m)
	e, _, err := s.find(h, m)
	if err != nil {
		e, err = s.bring(ctx, h, err)
	}
	if err != nil {
		return nil, err
	}
	return s.codecs.appendTo(dst, e)
}

// Passing implements chunk.Passer.
func (s *Store) Passing() chunk.Reader { return passingStore{s} }

// passingStore is the store for one who goes through a table.
type passingStore struct{ *Store }

// Get implements chunk.Reader.
func (p passingStore) Get(ctx context.Context, h hash.Hash) ([]byte, error) {
	return p.cache.GetPassing(ctx, h)
}

// Projecting implements chunk.Projector: what is elsewhere may come without the other columns. It is a reader for one who goes through a table, too.
func (s *Store) Projecting(ids []uint64) chunk.Reader {
	if e := s.elsewhere.Load(); e != nil {
		if from, ok := (*e).(Projected); ok {
			return projectingStore{passingStore{s}, from, ids}
		}
	}
	return s.Passing()
}

// projectingStore is the store for one who needs some columns.
type projectingStore struct {
	passingStore
	from Projected
	ids  []uint64
}

// Projects implements chunk.Projection.
func (projectingStore) Projects() {}

// Get implements chunk.Reader.
func (p projectingStore) Get(ctx context.Context, h hash.Hash) ([]byte, error) {
	if data, ok := p.cache.Peek(h); ok {
		return data, nil
	}
	here, err := p.Has(ctx, h)
	if err != nil {
		return nil, err
	}
	if !here {
		if page, err := p.from.Projected(ctx, h, p.ids); err != nil || page != nil {
			return page, err
		}
	}
	return p.passingStore.Get(ctx, h)
}

// storeReader is the store behind its cache.
type storeReader struct{ s *Store }

// Get reads a chunk from journal or packs.
func (r storeReader) Get(ctx context.Context, h hash.Hash) ([]byte, error) {
	e, _, err := r.s.find(h, nil)
	if err != nil {
		e, err = r.s.bring(ctx, h, err)
	}
	if err != nil {
		return nil, err
	}
	return r.s.codecs.decode(e)
}

// place is where a chunk was found.
type place struct {
	path string
	off  int64
}

// find reads the stored form of a chunk. The bytes are in m unless it is nil.
func (s *Store) find(h hash.Hash, m *readMemory) (encoded, place, error) {
	for {
		e, at, err := s.findOnce(h, m)
		// A file that was folded away between look-up and read: look again.
		if !errors.Is(err, fs.ErrClosed) || s.isClosed() {
			return e, at, err
		}
	}
}

func (s *Store) findOnce(h hash.Hash, m *readMemory) (encoded, place, error) {
	s.mu.RLock()
	loc, ok := s.chunks[h]
	packs := s.packs
	s.mu.RUnlock()
	if ok {
		e, err := s.readLocation(h, loc, m)
		return e, place{loc.seg.path, loc.off}, err
	}
	for i := len(packs) - 1; i >= 0; i-- {
		if e, off, ok, err := packs[i].get(h, m); ok || err != nil {
			return e, place{packs[i].path, int64(off)}, err
		}
	}
	return encoded{}, place{}, chunk.ErrMissing(h)
}

// readLocation reads a chunk of the journal. The bytes are in m unless it is nil.
func (s *Store) readLocation(h hash.Hash, loc location, m *readMemory) (encoded, error) {
	e := encoded{hash: h, data: m.other(int(loc.length)), raw: loc.raw, codec: loc.codec}
	var err error
	if s.j != nil {
		err = s.j.read(loc.seg, e.data, loc.off)
	} else {
		err = readFull(loc.seg.f, e.data, loc.off)
	}
	if err != nil {
		return e, fmt.Errorf("read journal segment %s at byte %d: %w", loc.seg.path, loc.off, err)
	}
	if sum32(e.data) != loc.crc {
		return e, errs.New(errs.Corrupt, "read journal segment %s at byte %d: chunk %s has a wrong CRC", loc.seg.path, loc.off, h)
	}
	return e, nil
}

// isClosed tells whether Close was called.
func (s *Store) isClosed() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.chunks == nil
}

// Has tells whether a chunk is in the store.
func (s *Store) Has(_ context.Context, h hash.Hash) (bool, error) {
	// Not the cache: it may know chunks that have been collected, and such as are elsewhere.
	for {
		ok, err := s.hasOnce(h)
		if !errors.Is(err, fs.ErrClosed) || s.isClosed() {
			return ok, err
		}
	}
}

func (s *Store) hasOnce(h hash.Hash) (bool, error) {
	s.mu.RLock()
	_, ok := s.chunks[h]
	packs := s.packs
	s.mu.RUnlock()
	if ok {
		return true, nil
	}
	return inPacks(packs, h)
}

// Wait returns when the frame at lsn, an answer of Append, and all before it are durable. An error of writing or syncing makes
// this and every later Append and Wait fail, since nobody knows any more what is on the disk.
func (s *Store) Wait(ctx context.Context, lsn uint64) error {
	if s.j == nil {
		return errReadOnly("wait")
	}
	return s.j.wait(ctx, lsn)
}

func errReadOnly(verb string) error {
	return errs.New(errs.ReadOnly, "%s: the store is open for reading only", verb)
}

// TailBytes is the number of journal bytes since the last checkpoint: what an opening must replay.
func (s *Store) TailBytes() int64 {
	if s.j == nil {
		return 0
	}
	return s.j.tail()
}

// tmpPath is a new name for a file that is not published yet.
func (s *Store) tmpPath() string {
	return filepath.Join(s.packsPath, fmt.Sprintf("%d%s", s.tmp.Add(1), tmpExt))
}

// publish gives synced packs, files below the store's file system, their names in the store and makes their chunks visible. The
// store owns them from here on; when it fails they are gone.
func (s *Store) publish(packs ...*file) error {
	s.naming.Lock()
	defer s.naming.Unlock()
	named, err := s.name(packs)
	if err != nil {
		return err
	}
	s.show(named)
	return nil
}

// name gives synced packs their names in the store, durably. Nobody sees their chunks before show, so that drop can remove them
// again. It returns those whose chunks the store does not have in a pack already, and removes the others; when it fails it removes
// all. The caller holds s.naming until show or drop: two packs of the same chunks have the same name.
func (s *Store) name(packs []*file) (named []*file, err error) {
	dir := s.packsPath
	for i, p := range packs {
		path := filepath.Join(dir, p.name+packExt)
		if s.hasPack(p.name) {
			// The very same chunks are there already, and must stay.
			if c := s.collection.Load(); c != nil {
				c.bring(p.name)
			}
			if err := errors.Join(p.close(), s.fsys.Remove(p.path)); err != nil {
				return nil, fmt.Errorf("drop pack %s: %w", p.path, errors.Join(err, s.drop(append(named, packs[i+1:]...))))
			}
			continue
		}
		err := s.allowDictionary(p)
		if err == nil {
			err = p.rename(s.fsys, path)
		}
		if err != nil {
			return nil, fmt.Errorf("publish pack %s: %w", p.name, errors.Join(err, s.drop(append(named, packs[i:]...))))
		}
		named = append(named, p)
	}
	if len(named) == 0 {
		return nil, nil
	}
	if err := s.fsys.SyncDir(dir); err != nil {
		return nil, fmt.Errorf("publish packs: %w", errors.Join(err, s.drop(named)))
	}
	return named, nil
}

// allowDictionary notes in FORMAT that there are packs with dictionaries before p becomes the first.
func (s *Store) allowDictionary(p *file) error {
	if s.dicts.Load() || !p.hasDictionary() {
		return nil
	}
	if err := require(s.fsys, s.dir, dictionaryFeature, true); err != nil {
		return err
	}
	s.dicts.Store(true)
	return nil
}

// show makes the chunks of named packs visible.
func (s *Store) show(named []*file) {
	if len(named) == 0 {
		return
	}
	s.grew.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.packs = append(s.packs[:len(s.packs):len(s.packs)], named...)
}

// Grew tells whether packs have come since it was asked last.
func (s *Store) Grew() bool { return s.grew.Load() && s.grew.Swap(false) }

// drop closes and removes packs that nobody has seen.
func (s *Store) drop(packs []*file) error {
	var err error
	for _, p := range packs {
		if e := p.close(); !errors.Is(e, fs.ErrClosed) { // as a rename that failed leaves it
			err = errors.Join(err, e)
		}
		err = errors.Join(err, s.fsys.Remove(p.path))
	}
	return err
}

func (s *Store) hasPack(name string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, p := range s.packs {
		if p.name == name {
			return true
		}
	}
	return false
}

// Close ends the store: waits for background work, makes all appended frames durable, marks the journal as cleanly closed and
// closes all files. It reports what went wrong in background work too. ctx bounds nothing but the wait for that work.
func (s *Store) Close(ctx context.Context) error {
	err := s.fold.wait(ctx)
	if s.j != nil {
		err = errors.Join(err, s.j.close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	err = errors.Join(err, closePacks(s.packs), closeAll(s.segs))
	s.packs, s.segs, s.chunks = nil, nil, nil
	if err != nil {
		return fmt.Errorf("close store %s: %w", s.dir, err)
	}
	return nil
}
