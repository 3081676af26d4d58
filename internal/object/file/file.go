// Package file is an object store in a directory: file:// remotes. Objects are files below it, written in a directory for what is not
// whole yet, synced and renamed.
package file

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/vfs"
)

// Store is an object.Store in a directory. The generation of an object is the hash of its bytes, so an object that is put on a
// condition must never again have bytes that it had before.
type Store struct {
	fs    vfs.FS
	dir   string
	swept sync.Once
}

// Open is the store in dir, an absolute path, which need not exist.
func Open(fs vfs.FS, dir string) *Store { return &Store{fs: fs, dir: dir} }

// lockName is the file whose lock is held while a put on a condition decides and renames. No object has its name.
const lockName = ".lock"

// tempName is the directory of what is being put. No object is in it.
const tempName = ".tmp"

// leftAfter is the age at which what is in that directory was left by a put that died.
const leftAfter = 48 * time.Hour

// lockPatience is how long a put waits for that lock, which others hold for the time of a few renames.
const lockPatience = 30 * time.Second

var _ object.Store = (*Store)(nil)

// URL implements object.Store.
func (s *Store) URL() string { return "file://" + filepath.ToSlash(s.dir) }

// Near is what object.Near asks.
func (s *Store) Near() bool { return true }

func (s *Store) path(name string) string { return filepath.Join(s.dir, filepath.FromSlash(name)) }

func notThere(name string, err error) error {
	if errs.Is(err, errs.NotFound) {
		return object.ErrNotFound(name)
	}
	return err
}

// Get implements object.Store.
func (s *Store) Get(ctx context.Context, name string) ([]byte, object.Generation, error) {
	if err := ctx.Err(); err != nil {
		return nil, "", errs.With(errs.Canceled, err)
	}
	if _, err := s.Stat(ctx, name); err != nil { // of a directory and of what is no name, too
		return nil, "", err
	}
	data, err := vfs.ReadFile(s.fs, s.path(name))
	if err != nil {
		return nil, "", notThere(name, err)
	}
	return data, generation(data), nil
}

func generation(data []byte) object.Generation { return object.Generation(hash.Sum(data).Full()) }

// GetRange implements object.Store.
func (s *Store) GetRange(ctx context.Context, name string, b []byte, off int64) (err error) {
	if err := ctx.Err(); err != nil {
		return errs.With(errs.Canceled, err)
	}
	if err := object.CheckName(name); err != nil {
		return err
	}
	f, err := s.fs.Open(s.path(name))
	if err != nil {
		return notThere(name, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	n, err := f.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return object.ErrShort(name, off+int64(n), off+int64(len(b)))
	}
	return err
}

// Put implements object.Store.
func (s *Store) Put(ctx context.Context, name string, body object.Body, on object.Condition) (err error) {
	if err := object.CheckName(name); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return errs.With(errs.Canceled, err)
	}
	path, temp := s.path(name), filepath.Join(s.dir, tempName)
	for _, dir := range []string{filepath.Dir(path), temp} {
		if err := s.fs.MkdirAll(dir); err != nil {
			return err
		}
	}
	s.swept.Do(func() { err = s.sweep(temp) })
	if err != nil {
		return err
	}
	want, conditional := on.Wants()
	if conditional && want == "" { // nothing is written in vain where that is seen before
		if have, err := s.now(ctx, name, true); err != nil || have != "" {
			return s.refuse(name, err)
		}
	}
	tmp := filepath.Join(temp, rand.Text())
	if err := s.write(ctx, tmp, body); err != nil {
		return errors.Join(err, s.remove(tmp))
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.remove(tmp))
		}
	}()
	if conditional {
		lock, err := s.lock(ctx)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, lock.Close()) }()
		have, err := s.now(ctx, name, want == "")
		if err != nil || !on.Holds(have) {
			return s.refuse(name, err)
		}
	}
	if err := s.fs.Rename(tmp, path); err != nil {
		return err
	}
	return s.sync(name)
}

// refuse is the error of a put that found another object, or failed to look.
func (s *Store) refuse(name string, err error) error {
	if err == nil {
		err = s.sync(name)
	}
	if err != nil {
		return err
	}
	return object.ErrCondition(name)
}

// sync makes the name of an object durable, with those of the directories that it is in: who made one may have died before it was. Of an object that is
// not there they may be missing.
func (s *Store) sync(name string) error {
	for dir := filepath.Dir(s.path(name)); ; dir = filepath.Dir(dir) {
		if err := s.fs.SyncDir(dir); err != nil && !errs.Is(err, errs.NotFound) {
			return err
		}
		if len(dir) <= len(s.dir) {
			return nil
		}
	}
}

// Settle implements object.Store.
func (s *Store) Settle(ctx context.Context, name string) error {
	if _, err := s.Stat(ctx, name); err != nil {
		return err
	}
	return s.sync(name)
}

// sweep removes what puts that died have left.
func (s *Store) sweep(temp string) error {
	names, err := s.fs.ReadDir(temp)
	for _, n := range names {
		path := filepath.Join(temp, n)
		in, e := s.fs.Stat(path)
		if errs.Is(e, errs.NotFound) {
			continue
		}
		if e == nil && !in.Dir && !in.Modified.IsZero() && clock.Since(in.Modified) > leftAfter {
			if e = s.remove(path); errs.Is(e, errs.Denied) {
				e = nil // another user's
			}
		}
		err = errors.Join(err, e)
	}
	return err
}

// now is the generation of an object; when only its presence matters its bytes are not read.
func (s *Store) now(ctx context.Context, name string, presence bool) (object.Generation, error) {
	if presence {
		_, err := s.Stat(ctx, name)
		if errs.Is(err, errs.NotFound) {
			return "", nil
		}
		return "there", err
	}
	_, g, err := s.Get(ctx, name)
	if errs.Is(err, errs.NotFound) {
		return "", nil
	}
	return g, err
}

// lock waits for the lock of the directory.
func (s *Store) lock(ctx context.Context) (io.Closer, error) {
	t := time.NewTimer(lockPatience)
	defer t.Stop()
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		l, err := s.fs.Lock(filepath.Join(s.dir, lockName))
		if !errs.Is(err, errs.Locked) {
			return l, err
		}
		select {
		case <-ctx.Done():
			return nil, errs.With(errs.Canceled, ctx.Err())
		case <-t.C:
			return nil, errs.New(errs.Unavailable, "write to %s: another process holds its lock: %w", s.URL(), err)
		case <-time.After(pause):
		}
	}
}

// block is how much is written at a time.
const block = 1 << 20

// syncAhead is after how many bytes of a long file a sync of it begins that nobody waits for, where a file cannot be told to write a part of it.
const syncAhead = 8 * block

// write writes a synced file.
func (s *Store) write(ctx context.Context, path string, body object.Body) error {
	f, err := s.fs.Create(path)
	if err != nil {
		return err
	}
	var ahead errgroup.Group // a sync that runs while more is written: the last one has less to do then
	ahead.SetLimit(1)
	err = func() error {
		buf := make([]byte, min(body.Size(), block))
		for off := int64(0); off < body.Size(); off += int64(len(buf)) {
			if err := ctx.Err(); err != nil {
				return errs.With(errs.Canceled, err)
			}
			buf = buf[:min(int64(len(buf)), body.Size()-off)]
			if n, err := body.ReadAt(buf, off); n < len(buf) {
				if err == nil || errors.Is(err, io.EOF) {
					err = io.ErrUnexpectedEOF
				}
				return err
			}
			if _, err := f.WriteAt(buf, off); err != nil {
				return err
			}
			started, err := vfs.StartSync(f, off, int64(len(buf)))
			if err != nil {
				return err
			}
			if written := off + int64(len(buf)); !started && written%syncAhead == 0 && written < body.Size() {
				ahead.TryGo(f.Sync)
			}
		}
		return nil
	}()
	// One sync at a time: of two at once on a file one might hide from the other that a write has failed.
	if err = errors.Join(err, ahead.Wait()); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (s *Store) remove(path string) error {
	if err := s.fs.Remove(path); err != nil && !errs.Is(err, errs.NotFound) {
		return err
	}
	return nil
}

// List implements object.Store.
func (s *Store) List(ctx context.Context, prefix string) ([]object.Info, error) {
	if err := object.CheckPrefix(prefix); err != nil {
		return nil, err
	}
	// What lies in other directories than the prefix's is not looked at.
	dir := ""
	if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
		dir = prefix[:i]
	}
	var out []object.Info
	if err := s.list(ctx, dir, prefix, &out); err != nil {
		return nil, err
	}
	object.SortInfos(out)
	return out, nil
}

func (s *Store) list(ctx context.Context, dir, prefix string, out *[]object.Info) error {
	if err := ctx.Err(); err != nil {
		return errs.With(errs.Canceled, err)
	}
	names, err := s.fs.ReadDir(s.path(dir))
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, n := range names {
		if strings.HasPrefix(n, ".") {
			continue
		}
		name := n
		if dir != "" {
			name = dir + "/" + n
		}
		in, err := s.fs.Stat(s.path(name))
		switch {
		case errs.Is(err, errs.NotFound): // it went meanwhile
		case err != nil:
			return err
		case in.Dir:
			if err := s.list(ctx, name, prefix, out); err != nil {
				return err
			}
		case strings.HasPrefix(name, prefix):
			*out = append(*out, object.Info{Name: name, Size: in.Size})
		}
	}
	return nil
}

// Stat implements object.Store.
func (s *Store) Stat(ctx context.Context, name string) (object.Info, error) {
	if err := ctx.Err(); err != nil {
		return object.Info{}, errs.With(errs.Canceled, err)
	}
	if err := object.CheckName(name); err != nil {
		return object.Info{}, err
	}
	in, err := s.fs.Stat(s.path(name))
	if err == nil && in.Dir {
		err = object.ErrNotFound(name)
	}
	return object.Info{Name: name, Size: in.Size}, notThere(name, err)
}

// Delete implements object.Store.
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return errs.With(errs.Canceled, err)
	}
	if err := object.CheckName(name); err != nil {
		return err
	}
	err := s.fs.Remove(s.path(name))
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.fs.SyncDir(filepath.Dir(s.path(name)))
}

// DeleteIf implements object.Store.
func (s *Store) DeleteIf(ctx context.Context, name string, g object.Generation) (err error) {
	if err := object.CheckName(name); err != nil {
		return err
	}
	lock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if have, err := s.now(ctx, name, false); err != nil || have == "" || have != g {
		return s.refuse(name, err)
	}
	return s.Delete(ctx, name)
}
