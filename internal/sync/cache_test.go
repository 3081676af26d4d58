package sync

import (
	"errors"
	"path/filepath"
	gosync "sync"
	"syscall"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/vfs"
)

// TestCacheFailures keeps pieces again some time after the disk was full, and never where the directory is not to be written, also while
// others read.
func TestCacheFailures(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		back bool // later on
	}{
		{"a full disk", errs.With(errs.NoSpace, syscall.ENOSPC), true},
		{"any other", errors.New("too many open files"), true},
		{"denied", errs.With(errs.Denied, syscall.EACCES), false},
		{"read-only", errs.With(errs.ReadOnly, syscall.EROFS), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var mu gosync.Mutex
			failing, tries := c.err, 0
			fs := vfs.WithHook(vfs.NewMem(), func(op vfs.Op) error {
				mu.Lock()
				defer mu.Unlock()
				if op.Kind != vfs.OpCreate {
					return nil
				}
				tries++
				return failing
			})
			must(t, fs.MkdirAll(filepath.FromSlash("/db")))
			cache := &Cache{FS: fs, Dir: filepath.FromSlash("/db/cache"), Most: 1 << 20}
			digest := hash.Sum([]byte("pack"))
			var all gosync.WaitGroup
			for range 4 {
				all.Go(func() {
					cache.keep(digest, 0, []byte("text"), false)
					if err := cache.drop(digest); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			if tries != 1 {
				t.Errorf("it was tried %d times at once", tries)
			}
			failing = nil
			cache.keep(digest, 0, []byte("text"), false)
			if _, ok, err := cache.read(digest, 0, 4); err != nil || ok {
				t.Errorf("at once: %v, %v", ok, err)
			}
			cache.later = cache.later.Add(-2 * time.Minute)
			cache.keep(digest, 0, []byte("text"), false)
			if _, ok, err := cache.read(digest, 0, 4); err != nil || ok != c.back {
				t.Errorf("later: %v, %v", ok, err)
			}
		})
	}
}
