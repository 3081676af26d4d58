package repo

import (
	"context"
	"path/filepath"
	"sync"
	"time"

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
	stop func()        // ends what is at work; nil when nothing is
	done chan struct{} // closed when that has ended
}

// marksWait is how long Close waits for marks in the making, so that those who open the database for a moment and ask each time for what
// changed long ago need not go all the way for ever.
const marksWait = 2 * time.Second

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

// cancel ends what is at work, a moment later unless ctx is over.
func (m *marking) cancel(ctx context.Context) {
	m.mu.Lock()
	stop, done := m.stop, m.done
	m.mu.Unlock()
	if stop == nil {
		return
	}
	defer stop()
	wait := time.NewTimer(marksWait)
	defer wait.Stop()
	select {
	case <-done:
	case <-ctx.Done():
	case <-wait.C:
	}
}

// note counts a commit.
func (m *marking) note(head history.CommitID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.made++
	m.head = head
}

// MarkHistory begins to make the marks of lineage that the longest history lacks, in the background, so that no question about what was
// changed long ago has to go all the way. It does nothing in a database that records no runs.
func (r *Repo) MarkHistory() {
	if r.published.Load().lineage == nil {
		return
	}
	r.markFrom(func(ctx context.Context) (from history.CommitID, err error) {
		longest := uint64(0)
		for _, b := range r.Branches() {
			c, err := history.GetCommit(ctx, r.store, b.Head)
			if err != nil {
				return from, err
			}
			if c.Height > longest {
				from, longest = c.ID, c.Height
			}
		}
		return from, nil
	})
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

// mark makes marks of the commits that one comes after, in the background.
func (r *Repo) mark(from history.CommitID) {
	r.markFrom(func(context.Context) (history.CommitID, error) { return from, nil })
}

// markFrom is mark from a commit that is looked for first. What goes wrong there costs time at most: it is told to those who need the same
// chunks.
func (r *Repo) markFrom(find func(context.Context) (history.CommitID, error)) {
	r.pubMu.Lock() // against Close, which waits for what has begun
	defer r.pubMu.Unlock()
	m := &r.lineage.marking
	m.mu.Lock()
	defer m.mu.Unlock()
	part := r.Partial()
	// What is read where it is asked for is not read for marks.
	if m.stop != nil || r.closed.Load() || r.opt.ReadOnly || part != nil && part.Lazy {
		return
	}
	cut := func(history.CommitID) bool { return false }
	if part != nil {
		shallow := map[history.CommitID]bool{}
		for _, id := range part.Shallow {
			shallow[id] = true
		}
		cut = func(id history.CommitID) bool { return shallow[id] }
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	m.stop, m.done, m.made = cancel, done, 0
	r.work.Add(1)
	go func() {
		defer r.work.Done()
		if from, err := find(ctx); err == nil && !from.IsZero() {
			_ = m.marks.Extend(ctx, r.store, from, cut)
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		cancel()
		m.stop = nil
		close(done)
	}()
}
