package repo

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/vfs"
)

// ForgetAside removes what files beside the store know of its chunks: zones, which hold values of cells, and packs of fetches that have died.
// It gives the directories in that of the store whose files may hold chunks too, and that are left: what a repair has put aside, and what a
// server keeps for those who push and fetch, which may be removed when none runs.
func (r *Repo) ForgetAside() (left []string, err error) {
	if err := r.zones.Forget(); err != nil {
		return nil, err
	}
	incoming, done, err := r.Incoming()
	if err != nil {
		return nil, err
	}
	defer done()
	if err := vfs.RemoveAll(r.fs, incoming); err != nil && !errs.Is(err, errs.NotFound) {
		return nil, err
	}
	names, err := r.fs.ReadDir(r.dir)
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		if n == servedName || strings.HasPrefix(n, pack.AsidePrefix) {
			left = append(left, filepath.Join(r.dir, n))
		}
	}
	slices.Sort(left)
	return left, nil
}
