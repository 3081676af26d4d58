package repo

import (
	"context"
	"strings"
	"sync"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
)

// lineageRef is the ref that holds the tables of package lineage, apart from the branches: no branch can have such a name.
const lineageRef = ".lineage"

// lineageMessage is the message of the first commit of lineageRef, which is the same in all databases.
const lineageMessage = "Lineage"

// lineageBook is what an open database keeps of its lineage beside the tables.
type lineageBook struct {
	mu      sync.Mutex       // orders those who write rows of runs
	known   map[string]bool  // runs that are there for certain
	nextIn  map[string]int64 // next number of a run's inputs, of runs that got one since the database was opened
	nextOut map[string]int64 // the same of its outputs
	reads   reads            // what was read and is not written yet
	turns   lineage.Memory   // which commits changed tables last
	marking marking          // what it is kept by
	written written          // how what is not committed yet was written
}

// knownRuns bounds what is remembered of runs.
const knownRuns = 1 << 16

// Lineage is the lineage of the database as it is published.
func (r *Repo) Lineage() *lineage.Book {
	b := r.published.Load().lineage
	if b == nil {
		return lineage.Open(noTables{}, &r.lineage.turns)
	}
	return lineage.Open(&Snapshot{r: r, Root: root.Open(r.store, b.working), tables: b.tables}, &r.lineage.turns).Thinning(r.Thinned)
}

// LineageTable is the view of a table of package lineage; ok is false when there is none yet.
func (r *Repo) LineageTable(ctx context.Context, name string) (v *table.View, ok bool, err error) {
	b := r.published.Load().lineage
	if b == nil {
		return nil, false, nil
	}
	s := &Snapshot{r: r, Root: root.Open(r.store, b.working), tables: b.tables}
	v, _, ok, err = s.Table(ctx, name)
	return v, ok, err
}

// noTables is a source of no tables.
type noTables struct{}

// Table implements lineage.Source.
func (noTables) Table(context.Context, string) (*table.View, string, bool, error) {
	return nil, "", false, nil
}

// beginLineage starts a transaction on lineageRef, which is made when it is not there.
func (r *Repo) beginLineage(ctx context.Context) (*Tx, error) {
	if err := r.owned(); err != nil {
		return nil, err
	}
	if r.published.Load().lineage == nil {
		if err := r.makeLineage(ctx); err != nil {
			return nil, err
		}
	}
	return r.beginOn(func(s *state) (*branch, error) { return s.lineage, nil })
}

// makeLineage makes lineageRef with empty tables, unless another did.
func (r *Repo) makeLineage(ctx context.Context) error {
	batch := r.store.NewBatch()
	defer batch.Close()
	rt, err := emptyLineage(ctx, batch)
	if err != nil {
		return err
	}
	c := &history.Commit{Root: rt.Tree(), Height: 1, Message: lineageMessage}
	if _, err := c.Put(ctx, batch); err != nil {
		return err
	}
	s, err := func() (*state, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if tip := r.tip.Load(); tip.lineage != nil {
			return tip, nil
		}
		b := &branch{name: lineageRef, head: c.ID, working: c.Root, staged: c.Root}
		return r.append(ctx, batch, b.change(), func(s *state) {
			b.lsn, b.born = s.lsn, s.lsn
			s.lineage = b
		})
	}()
	if err != nil {
		return err
	}
	return r.publish(ctx, s)
}

// emptyLineage is a root with the tables of package lineage, empty.
func emptyLineage(ctx context.Context, batch *pack.Batch) (*root.Root, error) {
	rt := root.Open(batch, tree.Root{})
	for _, n := range lineage.Tables() {
		c, err := schema.Compile(lineage.Schema(n))
		if err != nil {
			return nil, err
		}
		h, err := table.Empty(c).Put(ctx, batch)
		if err != nil {
			return nil, err
		}
		if rt, err = rt.With(ctx, batch, root.Change{Entry: root.Entry{Kind: root.KindTable, Name: n, Table: h}}); err != nil {
			return nil, err
		}
		rt = root.Open(batch, rt.Tree())
	}
	return rt, nil
}

// StartRun records that a run begins or begins anew: a run of the same id, system and external id is taken up again with what is new of
// it (a retry), and one that a session named before it was started gets what it lacks. Another run of the id is an error of class Exists.
func (r *Repo) StartRun(ctx context.Context, run lineage.Run) (lineage.Run, error) {
	run, err := r.startRun(ctx, run)
	return run, r.shareRuns(ctx, err)
}

func (r *Repo) startRun(ctx context.Context, run lineage.Run) (lineage.Run, error) {
	r.lineage.mu.Lock()
	defer r.lineage.mu.Unlock()
	old, there, err := r.Lineage().Run(ctx, run.UID)
	if err != nil {
		return run, err
	}
	if there {
		if old.System != lineage.Anonymous && (old.System != run.System || old.ExternalID != run.ExternalID) {
			return run, errs.New(errs.Exists, "start run %s: there is another run of this id: %s", run.UID, old.Title())
		}
		if old.Job != "" && run.Job != "" && old.Job != run.Job {
			return run, errs.New(errs.Exists, "start run %s: there is another run of this id: %s", run.UID, old.Title())
		}
		run = lineage.Resumed(old, run)
	} else if run.Started.IsZero() {
		run.Started = r.opt.Clock.Now().UTC()
	}
	run.State = lineage.Running
	return run, r.writeRuns(ctx, func(w lineage.Sink) error { return lineage.PutRun(ctx, w, &run) })
}

// EnsureRun records a run of which only the id is known, unless it is there.
func (r *Repo) EnsureRun(ctx context.Context, by lineage.Current) error {
	r.lineage.mu.Lock()
	defer r.lineage.mu.Unlock()
	return r.ensureRun(ctx, by)
}

// ensureRun is EnsureRun for those who hold the lineage's lock.
func (r *Repo) ensureRun(ctx context.Context, by lineage.Current) error {
	uid := by.Run
	if r.lineage.known[uid] {
		return nil
	}
	_, ok, err := r.Lineage().Run(ctx, uid)
	if err != nil {
		return err
	}
	if !ok {
		run := &lineage.Run{UID: uid, System: lineage.Anonymous, ExternalID: by.Name, State: lineage.Running, Started: r.opt.Clock.Now().UTC()}
		if err := r.writeRuns(ctx, func(w lineage.Sink) error { return lineage.PutRun(ctx, w, run) }); err != nil {
			return err
		}
	}
	if r.lineage.known == nil || len(r.lineage.known) >= knownRuns {
		r.lineage.known = map[string]bool{}
	}
	r.lineage.known[uid] = true
	return nil
}

// EndRun records how a run ended. Its reads are in the tables before. A run that is not there is an error of class NotFound.
func (r *Repo) EndRun(ctx context.Context, uid string, end func(*lineage.Run)) (lineage.Run, error) {
	if err := r.FlushReads(ctx); err != nil {
		return lineage.Run{}, err
	}
	run, err := r.endRun(ctx, uid, end)
	return run, r.shareRuns(ctx, err)
}

func (r *Repo) endRun(ctx context.Context, uid string, end func(*lineage.Run)) (lineage.Run, error) {
	r.lineage.mu.Lock()
	defer r.lineage.mu.Unlock()
	run, ok, err := r.Lineage().Run(ctx, uid)
	if err != nil {
		return run, err
	}
	if !ok {
		return run, errs.New(errs.NotFound, "run not found: %s", uid)
	}
	run.Ended = r.opt.Clock.Now().UTC()
	end(&run)
	// What a run does after its end is numbered on from the tables.
	delete(r.lineage.nextIn, uid)
	return run, r.writeRuns(ctx, func(w lineage.Sink) error { return lineage.PutRun(ctx, w, &run) })
}

// RecordRun adds inputs and outputs that a client declares to a run, numbered here.
func (r *Repo) RecordRun(ctx context.Context, uid string, ins []lineage.Input, outs []lineage.Output) error {
	return r.shareRuns(ctx, r.recordRun(ctx, uid, ins, outs))
}

func (r *Repo) recordRun(ctx context.Context, uid string, ins []lineage.Input, outs []lineage.Output) error {
	r.lineage.mu.Lock()
	defer r.lineage.mu.Unlock()
	if err := r.ensureRun(ctx, lineage.Current{Run: uid}); err != nil {
		return err
	}
	return r.writeRuns(ctx, func(w lineage.Sink) error {
		for i := range ins {
			x := ins[i]
			x.Run = uid
			var err error
			if x.Seq, err = r.inputSeq(ctx, uid); err != nil {
				return err
			}
			if err := lineage.PutInput(ctx, w, &x); err != nil {
				return err
			}
		}
		for i := range outs {
			x := outs[i]
			x.Run = uid
			var err error
			if x.Seq, err = r.outputSeq(ctx, uid); err != nil {
				return err
			}
			if err := lineage.PutOutput(ctx, w, &x); err != nil {
				return err
			}
		}
		return nil
	})
}

// LineageTx is a transaction on the tables of package lineage.
type LineageTx struct{ *Tx }

// InputSeq takes the next number of a run's inputs.
func (w *LineageTx) InputSeq(ctx context.Context, uid string) (int64, error) {
	return w.r.inputSeq(ctx, uid)
}

// OutputSeq takes the next number of a run's outputs.
func (w *LineageTx) OutputSeq(ctx context.Context, uid string) (int64, error) {
	return w.r.outputSeq(ctx, uid)
}

// ChangeLineage makes what fn writes to the tables of package lineage last, all or nothing. Rows that fn adds to a run are numbered by
// the transaction's InputSeq and OutputSeq.
func (r *Repo) ChangeLineage(ctx context.Context, fn func(w *LineageTx) error) error {
	write := func() error {
		r.lineage.mu.Lock()
		defer r.lineage.mu.Unlock()
		return r.writeRuns(ctx, func(w lineage.Sink) error { return fn(&LineageTx{w.(*Tx)}) })
	}
	return r.shareRuns(ctx, write())
}

// writeRuns makes what fn writes last. In a bucket it is soon. The caller holds the lineage's lock.
func (r *Repo) writeRuns(ctx context.Context, fn func(w lineage.Sink) error) error {
	err := r.putRuns(ctx, fn)
	if err == nil && r.bucket != nil {
		r.bucket.runsWritten()
	}
	return err
}

// putRuns makes what fn writes last here. The caller holds the lineage's lock.
func (r *Repo) putRuns(ctx context.Context, fn func(w lineage.Sink) error) error {
	tx, err := r.beginLineage(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// inputSeq takes the next number of a run's inputs. The caller holds the lineage's lock.
func (r *Repo) inputSeq(ctx context.Context, uid string) (int64, error) {
	return takeSeq(&r.lineage.nextIn, uid, 0, func() (int64, error) { return r.Lineage().NextInput(ctx, uid) })
}

// outputSeq takes the next number of a run's outputs. The caller holds the lineage's lock.
func (r *Repo) outputSeq(ctx context.Context, uid string) (int64, error) {
	return takeSeq(&r.lineage.nextOut, uid, 0, func() (int64, error) { return r.Lineage().NextOutput(ctx, uid) })
}

// takeSeq takes a free number of a run, not below least.
func takeSeq(next *map[string]int64, uid string, least int64, first func() (int64, error)) (int64, error) {
	n, ok := (*next)[uid]
	if !ok {
		var err error
		if n, err = first(); err != nil {
			return 0, err
		}
	}
	n = max(n, least)
	if *next == nil {
		*next = map[string]int64{}
	}
	(*next)[uid] = n + 1
	return n, nil
}

// commitNotes is what a commit takes along of lineage.
type commitNotes struct {
	rows *plan        // of lineageRef; nil for none
	kept runRows      // instead of them in a bucket
	told []toldWrites // what need not be remembered any more
}

// noteOutputs is what a commit of the branch as b has it, with the working root, takes along of lineage. from is the commit that it is made
// after, zero for none; t the transaction that becomes part of the branch with it, nil for none.
func (r *Repo) noteOutputs(ctx context.Context, batch *pack.Batch, b *branch, working tree.Root, c *history.Commit, from history.CommitID, t *Tx) (n commitNotes, err error) {
	rows, err := r.outputRows(ctx, b, batch, c, from, t)
	if err != nil {
		return n, err
	}
	if r.bucket != nil {
		n.kept = rows
	} else if n.rows, err = r.rowsPlan(ctx, batch, rows); err != nil {
		return n, err
	}
	same := map[string]bool{} // whether the commit has a table as the working set has it
	for _, x := range r.lineage.written.upTo(b) {
		if _, known := same[x.table]; !known {
			now, err := tableHash(ctx, batch, working, x.table)
			if err != nil {
				return n, err
			}
			then, err := tableHash(ctx, batch, c.Root, x.table)
			if err != nil {
				return n, err
			}
			same[x.table] = now == then
		}
		if same[x.table] {
			n.told = append(n.told, x)
		}
	}
	return n, nil
}

// rowsPlan is the plan of rows of runs, which go with a commit; nil for none. Their chunks are in the batch.
func (r *Repo) rowsPlan(ctx context.Context, batch *pack.Batch, rows runRows) (*plan, error) {
	if len(rows.ins)+len(rows.outs) == 0 {
		return nil, nil
	}
	tx, err := r.beginLineage(ctx)
	if err != nil {
		return nil, err
	}
	tx.batch, tx.done = batch, true // the rows go with the commit
	defer tx.hold.Release()
	for i := range rows.ins {
		if err := lineage.PutInput(ctx, tx, &rows.ins[i]); err != nil {
			return nil, err
		}
	}
	for i := range rows.outs {
		if err := lineage.PutOutput(ctx, tx, &rows.outs[i]); err != nil {
			return nil, err
		}
	}
	return tx.plan(), nil
}

// outputRows is the rows that tell which run made a commit of the branch as b has it: the run of the context and, when the commit is made after
// another (from is not zero), the runs that made that one. t is that of noteOutputs.
func (r *Repo) outputRows(ctx context.Context, b *branch, batch *pack.Batch, c *history.Commit, from history.CommitID, t *Tx) (rows runRows, err error) {
	cur := lineage.Of(ctx)
	var carried []lineage.Output
	if !from.IsZero() && r.published.Load().lineage != nil {
		if carried, err = r.Lineage().OutputsIn(ctx, from.Full()); err != nil {
			return rows, err
		}
	}
	if cur.Run == "" && len(carried) == 0 {
		return rows, nil
	}
	if err := r.FlushReads(ctx); err != nil {
		return rows, err
	}
	changes, err := r.outputsOf(ctx, batch, c)
	if err != nil || len(changes) == 0 {
		return rows, err
	}
	elsewhere, err := r.readsElsewhere(ctx, cur.Run)
	if err != nil {
		return rows, err
	}
	r.lineage.mu.Lock()
	defer r.lineage.mu.Unlock()
	if cur.Run != "" {
		if err := r.ensureRun(ctx, cur); err != nil {
			return rows, err
		}
	}
	for _, x := range elsewhere {
		if x.Seq, err = r.inputSeq(ctx, x.Run); err != nil {
			return rows, err
		}
		rows.ins = append(rows.ins, x)
	}
	put := func(x lineage.Output) error {
		if x.Seq, err = r.outputSeq(ctx, x.Run); err != nil {
			return err
		}
		rows.outs = append(rows.outs, x)
		return nil
	}
	for _, x := range changes {
		for _, old := range carried {
			if !strings.EqualFold(old.Table, x.Table) || old.Run == cur.Run {
				continue
			}
			y := x
			y.Run, y.Node, y.Attempt, y.Alias, y.ColumnLineage, y.Via = old.Run, old.Node, old.Attempt, old.Alias, old.ColumnLineage, from.Full()
			if err := put(y); err != nil {
				return rows, err
			}
		}
		if cur.Run != "" {
			by, origins, ok := r.lineage.written.ofWith(cur.Run, b, x.Table, t)
			if cur.Node != "" || cur.Alias != "" || !ok {
				by = cur // who commits says which part it is
			}
			for _, old := range carried {
				if !strings.EqualFold(old.Table, x.Table) || old.Run != cur.Run {
					continue
				}
				if !ok && cur.Node == "" && cur.Alias == "" { // nothing of the table is new
					by = lineage.Current{Node: old.Node, Attempt: old.Attempt, Alias: old.Alias}
				}
				was, err := old.Origins()
				if err != nil {
					return rows, err
				}
				origins = lineage.MergeOrigins(was, origins)
			}
			x.Run, x.Node, x.Attempt, x.Alias = cur.Run, by.Node, by.Attempt, by.Alias
			if x.ColumnLineage, err = lineage.EncodeOrigins(origins); err != nil {
				return rows, err
			}
			if err := put(x); err != nil {
				return rows, err
			}
		}
	}
	return rows, nil
}

// joinLineage puts what a commit takes along of lineage into its change; the result puts it into the state. The caller holds the commit
// lock.
func (r *Repo) joinLineage(ctx context.Context, batch *pack.Batch, ch *change, n commitNotes) (func(*state), error) {
	for _, x := range ch.refs {
		r.lineage.marking.note(x.head)
	}
	if r.bucket != nil {
		ch.runs = n.kept
	}
	forget := func(*state) { r.whenThere(ch, func() { r.lineage.written.forget(n.told) }) }
	if n.rows == nil {
		return forget, nil
	}
	p := n.rows
	cur, err := p.present(r.tip.Load())
	if err != nil {
		return nil, err
	}
	next := cur.copy(0)
	for i, x := range p.rows {
		over, ok, err := x.overlay(ctx, p, cur)
		if err != nil {
			return nil, err
		}
		if !ok {
			if x, err = x.rebase(ctx, p, batch, cur); err != nil {
				return nil, err
			}
			over = x.changed()
			p.rows[i] = x
		}
		next.tables.set(x.table, workTable{over: over, since: cur.tables.get(x.table).since})
	}
	ch.rows = append(ch.rows, changedRows([]*plan{p})...)
	return func(s *state) {
		forget(s)
		next.lsn = s.lsn
		for _, x := range p.rows {
			wt := next.tables.get(x.table)
			wt.version = s.lsn
			next.tables.set(x.table, wt)
		}
		s.put(next)
	}, nil
}
