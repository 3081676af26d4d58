package pack

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/vfs"
)

// copying is one file of a backup.
type copying struct {
	from vfs.File
	sub  string // directory and name in the store
	n    int64  // bytes to copy
}

// Backup writes a copy of the store into the directory dir of dst, while writers go on: all that was durable when it began. dir
// must not hold a store. progress, if not nil, is called with the bytes done and the bytes in all. The copy is a store only when
// Backup ended without an error: its FORMAT is written last.
func (s *Store) Backup(ctx context.Context, dst vfs.FS, dir string, progress func(done, total int64)) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("back up %s to %s: %w", s.dir, dir, err)
		}
	}()
	if _, err := dst.Stat(filepath.Join(dir, formatFile)); err == nil {
		return errs.New(errs.Exists, "there is a store already")
	} else if !errs.Is(err, errs.NotFound) {
		return err
	}
	// Before the files are: a part that is being made whole may lack chunks in them.
	format, err := checkFormat(s.fsys, s.dir, true)
	if err != nil {
		return err
	}
	if s.j != nil {
		if _, err := s.j.sync(ctx); err != nil {
			return err
		}
	}
	files, dicts, err := s.pin(ctx)
	defer func() {
		for _, c := range files {
			err = errors.Join(err, c.from.Close())
		}
	}()
	if err != nil {
		return err
	}
	if dicts {
		format.set(dictionaryFeature, true)
	}
	for _, sub := range []string{journalDir, packsDir} {
		if err := dst.MkdirAll(filepath.Join(dir, sub)); err != nil {
			return err
		}
	}
	meter := &meter{report: progress}
	for _, c := range files {
		meter.total += c.n
	}
	for _, c := range files {
		if err := c.copy(ctx, dst, filepath.Join(dir, c.sub), meter); err != nil {
			return err
		}
	}
	for _, sub := range []string{journalDir, packsDir} {
		if err := dst.SyncDir(filepath.Join(dir, sub)); err != nil {
			return err
		}
	}
	// Of a part the copy says what it lacks. It was written before the store lacked it, and may say more than that.
	part, err := vfs.ReadFile(s.fsys, filepath.Join(s.dir, PartialFile))
	if err == nil {
		err = vfs.WriteFile(dst, filepath.Join(dir, PartialFile), part)
	} else if errs.Is(err, errs.NotFound) {
		err = nil
	}
	if err != nil {
		return err
	}
	return vfs.WriteFile(dst, filepath.Join(dir, formatFile), format.encode())
}

// pin opens the files that make up the store as of now, so that they can be read to the end whatever is removed meanwhile, and
// tells whether packs among them have dictionaries.
//
// Packs and segments change under mu only, a pack before any frame that relies on it. So the packs and the frames below durable, both
// taken under mu, fit together.
func (s *Store) pin(ctx context.Context) (files []copying, dicts bool, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for s.j != nil && s.swapped >= s.j.durable.Load() { // then what is durable goes with files that are about to be removed
		lsn := s.swapped
		s.mu.RUnlock()
		err := s.j.wait(ctx, lsn)
		s.mu.RLock()
		if err != nil {
			return nil, false, err
		}
	}
	end := s.end
	if s.j != nil {
		end = s.j.durable.Load()
	}
	open := func(path, sub string, n int64) error {
		f, err := s.fsys.Open(path)
		if err != nil {
			return err
		}
		files = append(files, copying{from: f, sub: filepath.Join(sub, filepath.Base(path)), n: n})
		return nil
	}
	for _, p := range s.packs {
		if err := open(p.path, packsDir, p.size); err != nil {
			return files, dicts, err
		}
		dicts = dicts || p.hasDictionary()
	}
	for i, seg := range slices.Clone(s.segs) {
		to := end
		if i+1 < len(s.segs) {
			to = min(end, s.segs[i+1].base)
		}
		if err := open(seg.path, journalDir, seg.offset(to)); err != nil {
			return files, dicts, err
		}
	}
	return files, dicts, nil
}

// copy copies the file and syncs the copy.
func (c copying) copy(ctx context.Context, dst vfs.FS, path string, m *meter) error {
	f, err := dst.Create(path)
	if err != nil {
		return err
	}
	err = func() error {
		buf := make([]byte, min(c.n, windowSize))
		for off := int64(0); off < c.n; {
			if err := ctx.Err(); err != nil {
				return errs.With(errs.Canceled, err)
			}
			b := buf[:min(c.n-off, int64(len(buf)))]
			if err := readFull(c.from, b, off); err != nil {
				return fmt.Errorf("read %s: %w", c.from.Name(), err)
			}
			if _, err := f.WriteAt(b, off); err != nil {
				return err
			}
			off += int64(len(b))
			m.add(int64(len(b)))
		}
		return f.Sync()
	}()
	return errors.Join(err, f.Close())
}

// meter counts bytes for a progress report.
type meter struct {
	done, total int64
	report      func(done, total int64)
}

func (m *meter) add(n int64) {
	m.done += n
	if m.report != nil {
		m.report(m.done, m.total)
	}
}

// Refresh brings a read-only store to the state that its owner has written by now, after which Recovered tells what changed.
func (s *Store) Refresh(ctx context.Context) error {
	if s.j != nil {
		return errs.New(errs.Invalid, "refresh store %s: it is open for writing", s.dir)
	}
	s.mu.RLock()
	oldSegs, oldPacks := s.segs, s.packs
	s.mu.RUnlock()
	l, err := load(ctx, s.fsys, s.dir, true, oldPacks, nil, s.codecs)
	if err != nil {
		return fmt.Errorf("refresh store %s: %w", s.dir, err)
	}
	s.mu.Lock()
	s.take(l)
	s.mu.Unlock()
	err = closeAll(oldSegs)
	for _, p := range oldPacks {
		if !slices.Contains(l.packs, p) {
			err = errors.Join(err, p.close())
		}
	}
	if err != nil {
		return fmt.Errorf("refresh store %s: %w", s.dir, err)
	}
	return nil
}
