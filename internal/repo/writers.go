package repo

import (
	"strings"
	"sync"

	"github.com/stemmadb/stemma/internal/lineage"
)

// writers knows which part of a run wrote a table. It lasts as long as the database is open: what a run wrote before is of no known part.
type writers struct {
	mu sync.Mutex
	of map[writerKey]lineage.Current
}

type writerKey struct{ run, table string }

// NoteWriter tells that a part of a run, its node and the alias of its dataset, has written tables, so that the outputs of the run's commit
// name it. Of several parts that write one table it is the last.
func (r *Repo) NoteWriter(by lineage.Current, tables []string) {
	if by.Run == "" || by.Node == "" && by.Alias == "" {
		return
	}
	w := &r.lineage.writers
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.of == nil || len(w.of) > knownRuns {
		w.of = map[writerKey]lineage.Current{}
	}
	for _, t := range tables {
		w.of[writerKey{by.Run, strings.ToLower(t)}] = by
	}
}

// find is the part of the run that has written a table: the one that commits, when it says which it is.
func (w *writers) find(cur lineage.Current, table string) lineage.Current {
	if cur.Node != "" || cur.Alias != "" {
		return cur
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if by, ok := w.of[writerKey{cur.Run, strings.ToLower(table)}]; ok {
		return by
	}
	return cur
}
