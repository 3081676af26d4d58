package op

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"strings"
	gosync "sync"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/vfs"
)

// backedName is the side file of what a database has put into its backups: by URL and ref what the refs name. What of that is garbage here by
// now is its own all the same, and may be replaced there.
const backedName = "backed"

// noting is held while the side file is changed.
var noting gosync.Mutex

// backedText is what a ref names, as the side file has it.
func backedText(t sync.Target) string { return t.Commit.Full() + " " + t.Tag.Full() }

// backed is what the side file says; what cannot be read is not known.
func backed(s *Scope) map[string]map[string][]string {
	out := map[string]map[string][]string{}
	if data, err := vfs.ReadFile(s.Repo.FS(), filepath.Join(s.Repo.Dir(), backedName)); err == nil && json.Unmarshal(data, &out) != nil {
		return map[string]map[string][]string{}
	}
	return out
}

// noteBacked makes durable that the refs at a URL are to become what wants says, or, when done, that they are.
func noteBacked(s *Scope, url string, wants map[string]sync.Want, done bool) error {
	noting.Lock()
	defer noting.Unlock()
	all := backed(s)
	now := map[string][]string{}
	if !done {
		maps.Copy(now, all[url])
	}
	for name, w := range wants {
		if !w.Commit.IsZero() {
			now[name] = append(now[name], backedText(sync.Target{Commit: w.Commit, Tag: w.Tag}))
		}
	}
	all[url] = now
	return writeBacked(s.Repo.FS(), s.Repo.Dir(), all)
}

func writeBacked(fs vfs.FS, dir string, all map[string]map[string][]string) error {
	data, err := json.Marshal(all)
	if err != nil {
		return errs.With(errs.Internal, err)
	}
	return vfs.WriteFile(fs, filepath.Join(dir, backedName), data)
}

// noteRestored notes in the directory of a database that is made of a backup which uncommitted changes it has from there.
func noteRestored(fs vfs.FS, dir, url string, refs map[string]sync.Ref) error {
	now := map[string][]string{}
	for name, x := range refs {
		if strings.HasPrefix(name, sync.Work) {
			now[name] = []string{backedText(x.Target)}
		}
	}
	if len(now) == 0 {
		return nil
	}
	return writeBacked(fs, dir, map[string]map[string][]string{url: now})
}
