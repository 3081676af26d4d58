package repo

import (
	"context"
	"encoding/json"
	"maps"
	"path/filepath"
	"strings"
	"sync"

	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// Bounds of the recording of reads. What goes beyond them is counted in the run's dropped_inputs.
const (
	pendingReads = 1 << 14 // that are not written yet
	seenReads    = 1 << 16 // that are remembered, so that they are recorded once
	dirtyReads   = 64      // of states of one table that is not committed, in one run
	foldedReads  = 50_000  // edits above a table's trees up to which its hash is computed
	queryBytes   = 64 << 10
)

// Read is a table that is read for a run.
type Read struct {
	Table     string
	View      *table.View
	Ref       string           // as it was asked for; "" for the working set
	Commit    history.CommitID // at which it is read; of a working set the head
	Working   bool             // it is a working set's
	Columns   []string         // nil for all
	Predicate string
	Query     string
}

// readKey is what makes a read differ from another of the run.
type readKey struct {
	by      lineage.Current
	db      string
	table   string
	ref     string
	hash    hash.Hash      // of the table's trees
	over    *table.Overlay // above them
	commit  history.CommitID
	columns string
}

// readOf is what bounds the reads of uncommitted states.
type readOf struct{ run, table string }

// reads are the reads that are not in the tables yet.
type reads struct {
	mu      sync.Mutex
	seen    map[readKey]bool
	dirty   map[readOf]int
	pending []pendingRead
	dropped map[string]int64 // by run
	busy    bool             // a writer is at work
	writer  sync.Mutex       // held by who writes what is pending
	log     readLog          // of what is pending and dropped
	left    []loggedRead     // by the owner before, and not in the tables
}

type pendingRead struct {
	by   lineage.Current
	from *Repo
	Read
}

// NoteRead takes note that a table of the database is read for the run of the context, if there is one. It is written in the background,
// once for each run, version, reference and set of columns; FlushReads waits for that. What cannot be kept is counted.
func (r *Repo) NoteRead(ctx context.Context, x Read) {
	by := lineage.Of(ctx)
	if by.Run == "" || root.IsSystem(x.Table) {
		return
	}
	r.noteRead(by, r, x)
}

// NoteReadOf is NoteRead of a table of another database, which the run of this one read.
func (r *Repo) NoteReadOf(by lineage.Current, from *Repo, x Read) {
	if by.Run != "" && !root.IsSystem(x.Table) {
		r.noteRead(by, from, x)
	}
}

func (r *Repo) noteRead(by lineage.Current, from *Repo, x Read) {
	columns := ""
	if x.Columns != nil {
		b, _ := json.Marshal(x.Columns) // of strings: never fails
		columns = string(b)
	}
	k := readKey{by: by, db: from.name, table: x.Table, ref: x.Ref, hash: x.View.Table.Hash(), commit: x.Commit, columns: columns}
	if o := x.View.Overlay(); o.Len() > 0 {
		k.over = o
		// It stands still, and what of it is a transaction's own, which may be over when it is written, is not read.
		x.View = table.NewView(from.store, x.View.Table, o.Copy())
	} else {
		x.View = table.NewView(from.store, x.View.Table, nil)
	}
	q := &r.lineage.reads
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.seen[k] {
		return
	}
	drop := func() {
		if q.dropped == nil {
			q.dropped = map[string]int64{}
		}
		q.dropped[by.Run]++
		q.log.add(loggedRead{Current: lineage.Current{Run: by.Run}, Dropped: 1})
	}
	if r.owned() != nil {
		drop()
		return
	}
	if k.over != nil {
		of := readOf{by.Run, x.Table}
		if q.dirty[of] >= dirtyReads {
			drop()
			r.startWriter()
			return
		}
		if q.dirty == nil || len(q.dirty) >= seenReads {
			q.dirty = map[readOf]int{}
		}
		q.dirty[of]++
	}
	if len(q.pending) >= pendingReads {
		drop()
		return
	}
	if q.seen == nil || len(q.seen) >= seenReads {
		q.seen = map[readKey]bool{}
	}
	q.seen[k] = true
	p := pendingRead{by, from, x}
	q.pending = append(q.pending, p)
	q.log.add(r.logged(&p))
	r.startWriter()
}

// takeReadsLeft takes up the reads that the owner before has left behind when it was killed.
func (r *Repo) takeReadsLeft() {
	q := &r.lineage.reads
	q.mu.Lock()
	defer q.mu.Unlock()
	q.log.fs, q.log.path = r.fs, filepath.Join(r.dir, readsName)
	if q.left = q.log.load(); len(q.left) > 0 {
		r.startWriter()
	}
}

// startWriter starts a writer of pending reads unless one is at work. The caller holds the lock of the reads.
func (r *Repo) startWriter() {
	q := &r.lineage.reads
	if q.busy {
		return
	}
	r.pubMu.Lock() // against Close, which writes what is left itself
	defer r.pubMu.Unlock()
	if r.closed.Load() {
		return
	}
	q.busy = true
	r.work.Add(1)
	go func() {
		defer r.work.Done()
		_ = r.writeReads(context.Background(), true) // what cannot be written is counted as dropped, which the run's record tells
	}()
}

// FlushReads waits until what was read so far is in the tables. Its error is that of its own write; reads that the writer in the
// background could not record are counted (DroppedReads), and the count goes into the run's record with the next write.
func (r *Repo) FlushReads(ctx context.Context) error {
	return r.writeReads(context.WithoutCancel(ctx), false)
}

// DroppedReads are the reads that could not be recorded and are not counted in the tables yet.
func (r *Repo) DroppedReads() (n int64) {
	q := &r.lineage.reads
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, x := range q.dropped {
		n += x
	}
	return n
}

// writeReads writes what is pending until there is nothing.
func (r *Repo) writeReads(ctx context.Context, background bool) error {
	q := &r.lineage.reads
	q.writer.Lock()
	defer q.writer.Unlock()
	for {
		q.mu.Lock()
		batch, dropped, left := q.pending, q.dropped, q.left
		q.pending, q.dropped = nil, nil
		if len(batch) == 0 && len(dropped) == 0 && len(left) == 0 || r.owned() != nil {
			q.dropped = dropped
			q.log.clear()
			if background {
				q.busy = false
			}
			q.mu.Unlock()
			return nil
		}
		q.mu.Unlock()
		err := r.recordReads(ctx, batch, dropped, left)
		q.mu.Lock()
		if err == nil {
			q.left = q.left[len(left):]
			q.mu.Unlock()
			continue
		}
		if q.dropped == nil {
			q.dropped = map[string]int64{}
		}
		for run, n := range dropped {
			q.dropped[run] += n
		}
		for i := range batch {
			q.dropped[batch[i].by.Run]++
		}
		if background {
			q.busy = false
		}
		q.mu.Unlock()
		return err
	}
}

// recordReads writes inputs, and counts those that were dropped. Of what the owner before has left, it may have written a part.
func (r *Repo) recordReads(ctx context.Context, batch []pendingRead, dropped map[string]int64, left []loggedRead) error {
	ins := make([]lineage.Input, len(batch))
	for i := range batch {
		var err error
		if ins[i], err = r.inputOf(ctx, &batch[i]); err != nil {
			return err
		}
	}
	r.lineage.mu.Lock()
	defer r.lineage.mu.Unlock()
	for i := range ins {
		if err := r.ensureRun(ctx, batch[i].by); err != nil {
			return err
		}
	}
	known := map[string]map[readIDs]bool{} // by run
	for i := range left {
		x := &left[i]
		if err := r.ensureRun(ctx, x.Current); err != nil {
			return err
		}
		if x.Dropped > 0 {
			if dropped = maps.Clone(dropped); dropped == nil {
				dropped = map[string]int64{}
			}
			dropped[x.Run] += x.Dropped
			continue
		}
		in, err := r.inputLeft(ctx, x)
		if err != nil {
			return err
		}
		have := known[x.Run]
		if have == nil {
			there, err := r.Lineage().InputsOf(ctx, x.Run)
			if err != nil {
				return err
			}
			for i := range batch {
				if ins[i].Run == x.Run {
					there = append(there, ins[i])
				}
			}
			have = readsOf(there)
			known[x.Run] = have
		}
		if id := readID(&in); !have[id] {
			have[id] = true
			ins = append(ins, in)
		}
	}
	for uid := range dropped {
		if err := r.ensureRun(ctx, lineage.Current{Run: uid}); err != nil {
			return err
		}
	}
	return r.writeRuns(ctx, func(w lineage.Sink) error {
		for i := range ins {
			var err error
			if ins[i].Seq, err = r.inputSeq(ctx, ins[i].Run); err != nil {
				return err
			}
			if err := lineage.PutInput(ctx, w, &ins[i]); err != nil {
				return err
			}
		}
		for uid, n := range dropped {
			run, ok, err := lineage.Open(w, nil).Run(ctx, uid)
			if err != nil || !ok {
				return err
			}
			run.Dropped += n
			if err := lineage.PutRun(ctx, w, &run); err != nil {
				return err
			}
		}
		return nil
	})
}

// inputOf is the record of a read.
func (r *Repo) inputOf(ctx context.Context, p *pendingRead) (lineage.Input, error) {
	in := lineage.Input{
		Run: p.by.Run, Node: p.by.Node, Attempt: p.by.Attempt, Alias: p.by.Alias,
		DB: p.from.name, Table: p.Table, Ref: p.Ref, Predicate: p.Predicate, Query: cutQuery(p.Query),
	}
	if p.Query != "" {
		in.QueryHash = hash.Sum([]byte(p.Query)).Full()
	}
	var err error
	if in.Columns, err = columnsJSON(p.Columns); err != nil {
		return in, err
	}
	n := int64(p.View.Count())
	in.Rows = &n
	h := hashOf(ctx, p.from, p.View)
	in.Hash = h
	if p.Commit.IsZero() {
		return in, nil
	}
	if p.Working {
		c, err := history.GetCommit(ctx, p.from.store, p.Commit)
		if err != nil {
			return in, err
		}
		if now, err := tableHash(ctx, p.from.store, c.Root, p.Table); err != nil || now != h || h == "" {
			return in, err // it has changes that are not committed
		}
	}
	in.Commit = p.Commit.Full()
	return in, nil
}

// cutQuery is as much of a statement as is kept.
func cutQuery(text string) string {
	if len(text) > queryBytes {
		text = strings.ToValidUTF8(text[:queryBytes], "")
	}
	return text
}

// columnsJSON is a list of columns as Input has it.
func columnsJSON(names []string) (string, error) {
	if names == nil {
		return "", nil
	}
	b, err := json.Marshal(names)
	if err == nil {
		b, err = value.CanonicalJSON(nil, b)
	}
	return string(b), err
}

// hashOf is the hash of a table as a view shows it, "" where there are too many edits above its trees, or the trees are a transaction's
// that is over.
func hashOf(ctx context.Context, r *Repo, v *table.View) string {
	switch n := v.Overlay().Len(); {
	case n == 0:
		return v.Table.Hash().Full()
	case n > foldedReads:
		return ""
	}
	batch := r.store.NewBatch()
	defer batch.Close()
	t, err := v.Fold(ctx, batch)
	if err != nil {
		return ""
	}
	return t.Hash().Full()
}
