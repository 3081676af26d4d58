package repo

import (
	"slices"
	"strings"
	"sync"

	"github.com/stemmadb/stemma/internal/lineage"
)

// keptOrigins bounds the tables of which is remembered what statements tell of their columns. The oldest are forgotten first.
const keptOrigins = 1 << 12

// notedOrigins is what a statement tells of the columns that it writes.
type notedOrigins struct {
	run, table string
	by         map[string][]lineage.Origin
}

// originBook is what statements tell of the columns of working sets, until a commit of their run takes it.
type originBook struct {
	mu    sync.Mutex
	kept  map[originKey]map[string][]lineage.Origin
	order []originKey
}

type originKey struct{ run, branch, table string }

// NoteOrigins takes note from which columns a statement of a run makes columns of a table. It lasts with the transaction, is forgotten when
// the database is closed, and goes into the record of the run's next commit of the table on the branch.
func (t *Tx) NoteOrigins(run, table string, by map[string][]lineage.Origin) {
	t.made = append(slices.Clone(t.made), notedOrigins{run, strings.ToLower(table), by})
}

// keepOrigins keeps what a transaction on a branch has noted.
func (r *Repo) keepOrigins(branch string, made []notedOrigins) {
	if len(made) == 0 {
		return
	}
	b := &r.lineage.origins
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range made {
		k := originKey{m.run, branch, m.table}
		if b.kept == nil {
			b.kept = map[originKey]map[string][]lineage.Origin{}
		}
		if b.kept[k] == nil {
			if b.order = append(b.order, k); len(b.order) > keptOrigins {
				delete(b.kept, b.order[0])
				b.order = b.order[1:]
			}
		}
		b.kept[k] = lineage.MergeOrigins(b.kept[k], m.by)
	}
}

// originsOf is what is known of a table that a run is about to commit on a branch.
func (r *Repo) originsOf(run, branch, table string) map[string][]lineage.Origin {
	b := &r.lineage.origins
	b.mu.Lock()
	defer b.mu.Unlock()
	return lineage.MergeOrigins(nil, b.kept[originKey{run, branch, strings.ToLower(table)}])
}

// dropOrigins forgets what has been recorded with a commit.
func (r *Repo) dropOrigins(told []originKey) {
	b := &r.lineage.origins
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, k := range told {
		if b.kept[k] != nil {
			delete(b.kept, k)
			b.order = slices.DeleteFunc(b.order, func(x originKey) bool { return x == k })
		}
	}
}
