package repo

import (
	"context"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/vfs"
)

// collectedName is the side file that says how many bytes were there after the last collection.
const collectedName = "collected"

// leastGrowth is Options.CollectLeast unless that is set.
const leastGrowth = 256 << 20

// DefaultGrowth is by how many hundredths the files must have grown, unless AutoCollect says otherwise.
const DefaultGrowth = 100

// AutoCollect lets garbage be collected in the background whenever the files have grown by that many hundredths since the last time, and by
// Options.CollectLeast at least; 0 is never. It is never until this is called: for databases that stay open.
func (r *Repo) AutoCollect(growth int) { r.growth.Store(int64(growth)) }

// collectWhenDue begins a collection in the background when it is time for one.
func (r *Repo) collectWhenDue() {
	growth := r.growth.Load()
	if growth == 0 || r.owned() != nil || !r.store.Grew() {
		return
	}
	base := r.collectedBytes.Load()
	if base == 0 {
		base = readCollected(r.fs, r.dir)
		r.collectedBytes.CompareAndSwap(0, max(base, 1))
	}
	n := r.store.Stats()
	now := n.PackBytes + n.JournalBytes
	if now-base < r.opt.CollectLeast || now-base < base/100*growth {
		return
	}
	r.pubMu.Lock() // against Close, which waits for what has begun
	defer r.pubMu.Unlock()
	if r.closed.Load() || r.selfCollect.Swap(true) {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.stopCollect = cancel
	r.work.Add(1)
	go func() {
		defer r.work.Done()
		defer r.selfCollect.Store(false)
		defer cancel()
		_, err := r.Collect(ctx, CollectOptions{Compress: pack.CompressAll})
		if errs.Is(err, errs.Conflict) || errs.Is(err, errs.Canceled) {
			return // somebody does it already, or the database is being closed
		}
		if err != nil { // so that it is not tried with each commit
			r.collectedBytes.Store(now)
		}
		if errs.Is(err, errs.Unsupported) {
			return // an old database
		}
		r.lastFold.Store(&err)
	}()
}

// noteCollected remembers how many bytes were there after a collection. A file that cannot be written costs a collection too many.
func (r *Repo) noteCollected(bytes int64) {
	r.collectedBytes.Store(max(bytes, 1))
	_ = vfs.WriteFile(r.fs, filepath.Join(r.dir, collectedName), []byte(strconv.FormatInt(bytes, 10)+"\n"))
}

// readCollected is what the last collection noted; 0 when that is not known.
func readCollected(fs vfs.FS, dir string) int64 {
	data, err := vfs.ReadFile(fs, filepath.Join(dir, collectedName))
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	if err != nil {
		return 0
	}
	return max(n, 0)
}
