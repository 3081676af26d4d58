package sync

import (
	"path/filepath"

	"strings"
	gosync "sync"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/vfs"
)

// Held remembers the packs of remotes of which a database has every chunk, though not in packs of these names: in a side file, which may be
// lost or removed at any time, and must be when chunks are.
type Held struct {
	FS   vfs.FS
	Path string
}

// HeldIn is what the database in that directory of a store remembers.
func HeldIn(fs vfs.FS, dir string) Held { return Held{fs, filepath.Join(dir, "held")} }

// heldMost bounds the packs that are remembered; the oldest are forgotten first.
const heldMost = 100_000

// heldMu lets one write at a time. What another process writes at the same moment is lost, which costs a look at some packs.
var heldMu gosync.Mutex

// read is the packs, oldest first. A line that cannot be understood is none.
func (h Held) read() ([]hash.Hash, error) {
	if h.Path == "" {
		return nil, nil
	}
	data, err := vfs.ReadFile(h.FS, h.Path)
	if errs.Is(err, errs.NotFound) {
		return nil, nil
	}
	var out []hash.Hash
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); len(line) == hash.FullLen {
			if d, err := hash.Parse(line); err == nil {
				out = append(out, d)
			}
		}
	}
	return out, err
}

// Forget forgets all, durably, before chunks of the store go.
func (h Held) Forget() error {
	heldMu.Lock()
	defer heldMu.Unlock()
	err := h.FS.Remove(h.Path)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return h.FS.SyncDir(filepath.Dir(h.Path))
}

// Add remembers packs. All their chunks are in the store, durably.
func (h Held) Add(packs []Pack) error {
	if h.Path == "" || len(packs) == 0 {
		return nil
	}
	heldMu.Lock()
	defer heldMu.Unlock()
	have, err := h.read()
	if err != nil {
		return err
	}
	in := make(map[hash.Hash]bool, len(have))
	for _, d := range have {
		in[d] = true
	}
	old := len(have)
	for _, p := range packs {
		if !in[p.Digest] {
			in[p.Digest] = true
			have = append(have, p.Digest)
		}
	}
	if len(have) == old {
		return nil
	}
	have = have[max(0, len(have)-heldMost):]
	var b strings.Builder
	for _, d := range have {
		b.WriteString(d.Full() + "\n")
	}
	return vfs.WriteFile(h.FS, h.Path, []byte(b.String()))
}
