package sync

import (
	"context"
	"crypto/rand"
	"errors"
	"path/filepath"
	"slices"
	gosync "sync"
	"time"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/vfs"
)

// viewKept is how long the packs of a list are kept readable after the last request for one.
const viewKept = 15 * time.Minute

// viewsMost bounds the lists that are kept.
const viewsMost = 64

// viewTries is how often a list is made again because packs were folded away meanwhile.
const viewTries = 5

// views are lists of packs that readers of a Live were given, with their files, open.
type views struct {
	store *pack.Store
	fs    vfs.FS
	dir   string // of packs that are made for readers

	making gosync.Mutex // held while a list is made
	mu     gosync.Mutex
	all    []*view     // newest last
	timer  *time.Timer // for expire; nil when there are no views
	files  map[hash.Hash]*shown
}

// view is a list of packs that held every chunk of the database at one moment.
type view struct {
	refs  map[string]Target // at that moment
	name  hash.Hash         // of the list
	list  []byte
	packs []hash.Hash
	used  time.Time
}

// shown is the file of a pack.
type shown struct {
	f     vfs.File
	size  int64
	views int    // that name it
	made  string // its path when it is to be removed in the end
}

// of is a view with everything that the ref reaches; refs are those of the database now.
func (v *views) of(ctx context.Context, name string, t Target, refs map[string]Target) (*view, error) {
	if x := v.with(name, t); x != nil {
		return x, nil
	}
	v.making.Lock()
	defer v.making.Unlock()
	if x := v.with(name, t); x != nil {
		return x, nil
	}
	for try := 1; ; try++ {
		x, err := v.make(ctx, refs)
		if err == nil || !errs.Is(err, errs.NotFound) || try == viewTries {
			return x, err
		}
	}
}

// with is the newest view that was made when the ref was the same.
func (v *views) with(name string, t Target) *view {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.all) == 0 {
		return nil
	}
	x := v.all[len(v.all)-1]
	if x.refs[name] != t {
		return nil
	}
	x.used = clock.System{}.Now()
	return x
}

// make makes a view. Packs that a fold removes meanwhile are an error of class NotFound.
func (v *views) make(ctx context.Context, refs map[string]Target) (_ *view, err error) {
	x := &view{refs: refs, used: clock.System{}.Now()}
	packs, journal := v.store.Published()
	opened := map[hash.Hash]*shown{}
	defer func() {
		if err == nil {
			return
		}
		for _, s := range opened {
			err = errors.Join(err, v.end(s))
		}
	}()
	var list, stored []Pack
	for _, p := range packs {
		stored = append(stored, Pack{Digest: p.Digest, Size: p.Size, Chunks: p.Chunks})
		if v.has(p.Digest) {
			continue
		}
		f, err := v.fs.Open(p.Path)
		if err != nil {
			return nil, err
		}
		opened[p.Digest] = &shown{f: f, size: p.Size}
	}
	for len(journal) > 0 {
		built, n, err := build(ctx, v.store, filepath.Join(v.dir, rand.Text()+pack.Ext), journal, sentPack, nil)
		if err != nil {
			return nil, err
		}
		journal = journal[n:]
		f, err := v.fs.Open(built.Path)
		if err != nil {
			return nil, err
		}
		s := &shown{f: f, size: built.Size, made: built.Path}
		if opened[built.Digest] != nil || v.has(built.Digest) { // nothing has changed since the last one was made
			if err := v.end(s); err != nil {
				return nil, err
			}
		} else {
			opened[built.Digest] = s
		}
		list = append(list, Pack{Digest: built.Digest, Size: built.Size, Chunks: built.Chunks})
	}
	// Who fetches them in this order has those first that go first, when other readers have many others made.
	list = append(list, stored...)
	x.list = encodeList(list)
	x.name = hash.Sum(x.list)
	for _, p := range list {
		x.packs = append(x.packs, p.Digest)
	}
	err = v.add(x, opened)
	opened = nil // they are shown now, whatever became of those of old views
	return x, err
}

func (v *views) has(d hash.Hash) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.files[d] != nil
}

// add shows a view, with files that were opened for it, and lets go of old ones. making is held.
func (v *views) add(x *view, opened map[hash.Hash]*shown) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.files == nil {
		v.files = map[hash.Hash]*shown{}
	}
	for d, s := range opened {
		v.files[d] = s
	}
	for _, d := range x.packs {
		v.files[d].views++
	}
	v.all = append(v.all, x)
	v.arm()
	var err error
	for len(v.all) > 1 && (len(v.all) > viewsMost || clock.Since(v.all[0].used) > viewKept) {
		err = errors.Join(err, v.drop(v.all[0]))
		v.all = v.all[1:]
	}
	return err
}

// arm sees to it that views are dropped though nobody asks for another. mu is held.
func (v *views) arm() {
	if v.timer == nil && len(v.all) > 0 {
		v.timer = time.AfterFunc(viewKept, func() { _ = v.expire(clock.System{}.Now()) }) // files that were open for reading only
	}
}

// expire drops the views that have not been used for long at that time: their files may be the last names of what was collected as garbage.
func (v *views) expire(at time.Time) error {
	v.making.Lock() // who makes a view counts on files that are open
	defer v.making.Unlock()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.timer != nil {
		v.timer.Stop()
		v.timer = nil
	}
	var err error
	v.all = slices.DeleteFunc(v.all, func(x *view) bool {
		old := at.Sub(x.used) >= viewKept
		if old {
			err = errors.Join(err, v.drop(x))
		}
		return old
	})
	v.arm()
	return err
}

// drop lets go of a view's files. mu is held.
func (v *views) drop(x *view) error {
	var err error
	for _, d := range x.packs {
		s := v.files[d]
		if s.views--; s.views == 0 {
			delete(v.files, d)
			err = errors.Join(err, v.end(s))
		}
	}
	return err
}

// end closes a file, and removes it when it was made for readers.
func (v *views) end(s *shown) error {
	err := s.f.Close()
	if s.made != "" {
		err = errors.Join(err, v.fs.Remove(s.made))
	}
	return err
}

// list is a list by its name.
func (v *views) list(name hash.Hash) ([]byte, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, x := range v.all {
		if x.name == name {
			x.used = clock.System{}.Now()
			return x.list, true
		}
	}
	return nil, false
}

// file is the file of a pack, nil for none, and that of a pack of the store which no list names any more, for the caller to close.
func (v *views) file(d hash.Hash) (s *shown, own bool, err error) {
	v.mu.Lock()
	s = v.files[d]
	if s != nil {
		now := clock.System{}.Now()
		for _, x := range v.all {
			for _, p := range x.packs {
				if p == d {
					x.used = now
					break
				}
			}
		}
	}
	v.mu.Unlock()
	if s != nil {
		return s, false, nil
	}
	packs, _ := v.store.Published()
	for _, p := range packs {
		if p.Digest == d {
			f, err := v.fs.Open(p.Path)
			if errs.Is(err, errs.NotFound) {
				return nil, false, nil
			}
			return &shown{f: f, size: p.Size}, true, err
		}
	}
	return nil, false, nil
}

// read fills b with bytes of a pack from off on; found is false when there is no such pack.
func (v *views) read(d hash.Hash, b []byte, off int64) (found bool, err error) {
	s, own, err := v.file(d)
	if s == nil || err != nil {
		return false, err
	}
	if own {
		defer func() { err = errors.Join(err, s.f.Close()) }()
	}
	if end := off + int64(len(b)); end > s.size {
		return true, object.ErrShort(Pack{Digest: d}.object(), s.size, end)
	}
	n, err := s.f.ReadAt(b, off)
	if n == len(b) {
		err = nil
	}
	return true, err
}

// size is the length of a pack; ok is false when there is no such pack.
func (v *views) size(d hash.Hash) (size int64, ok bool) {
	s, own, err := v.file(d)
	if s == nil || err != nil {
		return 0, false
	}
	if own {
		_ = s.f.Close() // it was opened for reading
	}
	return s.size, true
}

// close lets go of all files.
func (v *views) close() error {
	v.making.Lock()
	defer v.making.Unlock()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.timer != nil {
		v.timer.Stop()
	}
	var err error
	for _, x := range v.all {
		err = errors.Join(err, v.drop(x))
	}
	v.all = nil
	return err
}
