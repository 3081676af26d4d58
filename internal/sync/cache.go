package sync

import (
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	gosync "sync"
	"time"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/vfs"
)

// Cache is pieces of packs of a remote in a directory, up to a number of bytes; those that were not used for longest go first. It may be lost
// at any time, and is not written durably: who reads checks what it gets. What cannot be written is not kept. A nil Cache keeps nothing. Many
// processes may use one directory: files are put there whole, and one that is gone is read anew. Each looks from time to time what the others
// have put there.
type Cache struct {
	FS       vfs.FS
	Dir      string
	Most     int64 // bytes
	ReadOnly bool

	mu     gosync.Mutex
	loaded bool
	pieces map[hash.Hash][]*piece // by digest
	total  int64
	clock  int64
	since  int64     // bytes kept since the directory was read
	off    bool      // nothing can be written to the directory
	later  time.Time // nothing is written before: the last time failed
}

// piece is a file of the cache: bytes of a pack from off on.
type piece struct {
	digest hash.Hash
	off    int64
	size   int64
	used   int64
	index  bool // it is kept as long as others can go
}

const pieceExt = ".part"

// When the directory is read again: when a process has kept that part of the bytes.
const reloadPart = 16

// putPause is how long nothing is kept after that has failed, as on a full disk.
const putPause = time.Minute

// leftAfter is the age at which a file that is not whole was left by a process that died.
const leftAfter = time.Hour

func (c *Cache) path(p *piece) string {
	kind := "d"
	if p.index {
		kind = "i"
	}
	return filepath.Join(c.Dir, fmt.Sprintf("%s-%s-%d-%d%s", p.digest.Full(), kind, p.off, p.size, pieceExt))
}

// parsePiece reads the name of a piece's file.
func parsePiece(name string) (*piece, bool) {
	f := strings.Split(strings.TrimSuffix(name, pieceExt), "-")
	if len(f) != 4 || !strings.HasSuffix(name, pieceExt) || f[1] != "i" && f[1] != "d" {
		return nil, false
	}
	digest, err := hash.Parse(f[0])
	off, err2 := strconv.ParseInt(f[2], 10, 64)
	size, err3 := strconv.ParseInt(f[3], 10, 64)
	if err != nil || err2 != nil || err3 != nil || len(f[0]) != hash.FullLen || off < 0 || size <= 0 {
		return nil, false
	}
	return &piece{digest: digest, off: off, size: size, index: f[1] == "i"}, true
}

// load reads what is in the directory. The caller holds the lock.
func (c *Cache) load() error {
	if c.loaded && c.since <= c.Most/reloadPart {
		return nil
	}
	used := map[string]int64{}
	for _, list := range c.pieces {
		for _, p := range list {
			used[c.path(p)] = p.used
		}
	}
	c.pieces, c.total, c.since = map[hash.Hash][]*piece{}, 0, 0
	names, err := c.FS.ReadDir(c.Dir)
	if err != nil && !errs.Is(err, errs.NotFound) {
		return err
	}
	for _, n := range names {
		p, ok := parsePiece(n)
		in, err := c.FS.Stat(filepath.Join(c.Dir, n))
		switch {
		case !ok && err == nil && !c.ReadOnly && clock.Since(in.Modified) > leftAfter:
			_ = c.FS.Remove(filepath.Join(c.Dir, n)) // what a process that died was writing
		case ok && err == nil && in.Size == p.size:
			p.used = used[c.path(p)]
			c.insert(p)
		}
	}
	c.loaded = true
	if c.ReadOnly {
		return nil
	}
	return c.shrink(0)
}

// insert notes a piece, instead of the one that its file has replaced.
func (c *Cache) insert(p *piece) {
	list := slices.DeleteFunc(c.pieces[p.digest], func(o *piece) bool {
		same := o.off == p.off && o.size == p.size && o.index == p.index
		if same {
			c.total -= o.size
		}
		return same
	})
	c.pieces[p.digest] = append(list, p)
	c.total += p.size
}

// read is bytes of a pack; ok is false when the cache has not got all of them.
func (c *Cache) read(digest hash.Hash, off, n int64) (data []byte, ok bool, err error) {
	if c == nil {
		return nil, false, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.load(); err != nil {
		return nil, false, err
	}
	for _, p := range c.pieces[digest] {
		if p.off > off || off+n > p.off+p.size {
			continue
		}
		f, err := c.FS.Open(c.path(p))
		if err != nil {
			continue // somebody cleared it
		}
		data := make([]byte, n)
		_, err = f.ReadAt(data, off-p.off)
		if e := f.Close(); err != nil || e != nil {
			continue
		}
		c.clock++
		p.used = c.clock
		return data, true, nil
	}
	return nil, false, nil
}

// keep puts bytes of a pack into the cache. That this cannot be is nothing to those who read.
func (c *Cache) keep(digest hash.Hash, off int64, data []byte, index bool) {
	if c == nil || c.ReadOnly {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.off || clock.Since(c.later) < 0 {
		return
	}
	switch err := c.put(digest, off, data, index); {
	case errs.Is(err, errs.Denied), errs.Is(err, errs.ReadOnly):
		c.off = true // the directory is not ours
	case err != nil:
		c.later = clock.System{}.Now().Add(putPause)
	}
}

func (c *Cache) put(digest hash.Hash, off int64, data []byte, index bool) error {
	if err := c.load(); err != nil {
		return err
	}
	if _, err := c.FS.Stat(filepath.Dir(c.Dir)); err != nil { // whoever has removed the store has removed its cache
		return err
	}
	if err := c.FS.MkdirAll(c.Dir); err != nil {
		return err
	}
	c.clock++
	p := &piece{digest: digest, off: off, size: int64(len(data)), used: c.clock, index: index}
	if err := c.shrink(p.size); err != nil {
		return err
	}
	tmp := c.path(p) + "." + rand.Text() + tempSuffix
	f, err := c.FS.Create(tmp)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	if err = errors.Join(err, f.Close()); err == nil {
		err = c.FS.Rename(tmp, c.path(p))
	}
	if err != nil {
		return errors.Join(err, c.FS.Remove(tmp))
	}
	c.insert(p)
	c.since += p.size
	return nil
}

// shrink makes room for n bytes. The caller holds the lock.
func (c *Cache) shrink(n int64) error {
	for c.total > 0 && c.total+n > c.Most {
		var worst *piece
		for _, list := range c.pieces {
			for _, p := range list {
				if worst == nil || worst.index && !p.index || worst.index == p.index && p.used < worst.used {
					worst = p
				}
			}
		}
		if err := c.remove(worst); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cache) remove(p *piece) error {
	c.pieces[p.digest] = slices.DeleteFunc(c.pieces[p.digest], func(o *piece) bool { return o == p })
	c.total -= p.size
	err := c.FS.Remove(c.path(p))
	if errs.Is(err, errs.NotFound) {
		err = nil
	}
	return err
}

// drop removes what the cache has of a pack, which is not what it should be.
func (c *Cache) drop(digest hash.Hash) error {
	if c == nil || c.ReadOnly {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var err error
	for len(c.pieces[digest]) > 0 {
		err = errors.Join(err, c.remove(c.pieces[digest][0]))
	}
	return err
}
