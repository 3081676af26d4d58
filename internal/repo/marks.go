package repo

import (
	"context"
	"path/filepath"
	"sync"

	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/lineage"
)

// marksName is the side file of lineage.Marks in the directory of the store.
const marksName = "marks"

// marking makes marks in the background, of the commits of a database that records runs, as they become many.
type marking struct {
	marks *lineage.Marks

	mu   sync.Mutex
	made int // commits since marks were made
	head history.CommitID
	stop func() // ends what is at work; nil when nothing is
}

// openMarks makes the memory of lineage use the side file.
func (r *Repo) openMarks() {
	m := &r.lineage.marking
	m.marks = lineage.OpenMarks(r.fs, filepath.Join(r.dir, marksName), r.opt.ReadOnly)
	r.lineage.turns.Marks = m.marks
	if !r.opt.ReadOnly {
		r.lineage.turns.Far = r.mark
	}
}

// close ends the use of the side file, after what is at work in the background.
func (m *marking) close() {
	if m.marks != nil {
		m.marks.Close()
	}
}

// cancel ends what is at work.
func (m *marking) cancel() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stop != nil {
		m.stop()
	}
}

// note counts a commit.
func (m *marking) note(head history.CommitID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.made++
	m.head = head
}

// markWhenDue begins to make marks when there are enough new commits.
func (r *Repo) markWhenDue() {
	m := &r.lineage.marking
	m.mu.Lock()
	head, due := m.head, m.made >= lineage.MarksApart
	m.mu.Unlock()
	if due && r.published.Load().lineage != nil {
		r.mark(head)
	}
}

// mark makes marks of the commits that one comes after, in the background. What goes wrong there costs time at most: it is told to those
// who need the same chunks.
func (r *Repo) mark(from history.CommitID) {
	r.pubMu.Lock() // against Close, which waits for what has begun
	defer r.pubMu.Unlock()
	m := &r.lineage.marking
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stop != nil || r.closed.Load() || r.opt.ReadOnly {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.stop, m.made = cancel, 0
	r.work.Add(1)
	go func() {
		defer r.work.Done()
		_ = m.marks.Extend(ctx, r.store, from)
		m.mu.Lock()
		defer m.mu.Unlock()
		cancel()
		m.stop = nil
	}()
}
