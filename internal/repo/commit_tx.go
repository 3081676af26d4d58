package repo

import (
	"context"
	"maps"
	"slices"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
)

// Commit makes the changes part of the branch's working set, durably. An error of class Conflict means that another transaction
// changed the same in the meantime; the transaction is over then as well. The run of the context has written what it changes.
func (t *Tx) Commit(ctx context.Context) error { return CommitTogether(ctx, t) }

// CommitTogether commits transactions on different branches of one database as one: after it, and after a crash whenever it comes,
// the changes of all are there or those of none. All the transactions are over then. Errors are those of Tx.Commit.
func CommitTogether(ctx context.Context, txs ...*Tx) error {
	dirty, err := together(ctx, txs, privateFold)
	var s *state
	switch {
	case err != nil || len(dirty) == 0:
	case dirty[0].r.bucket != nil:
		for try := 1; ; try++ {
			if s, err = enqueue(ctx, dirty); err == nil && s != nil {
				err = dirty[0].r.publish(ctx, s)
			}
			if !overtakenBy(err) || try == overtakenMost || ctx.Err() != nil {
				break
			}
		}
		s = nil
	case dirty[0].r.load == nil:
		s, err = enqueue(ctx, dirty)
	case len(dirty) > 1:
		err = ErrOwnerOnly
	default:
		err = dirty[0].giveAway(ctx)
	}
	for _, t := range txs {
		t.Rollback() // what was appended is not the transaction's any more
	}
	if (errs.Is(err, errs.Conflict) || errs.Is(err, errs.DuplicateKey)) && !txs[0].r.opt.ReadOnly && txs[0].branch != lineageRef {
		// So that a new try begins on what this one failed at. The error stands, whatever becomes of the wait.
		txs[0].r.catchUp(ctx)
	}
	if err != nil || s == nil {
		return err
	}
	return txs[0].r.publish(ctx, s)
}

// together is those of transactions to be committed together that have changed something, ready for their plans: tables with more than fold
// bytes of edits are folded.
func together(ctx context.Context, txs []*Tx, fold int64) ([]*Tx, error) {
	dirty := make([]*Tx, 0, len(txs))
	for i, t := range txs {
		switch {
		case t.done:
			return nil, errs.New(errs.Invalid, "commit transaction: it is over already")
		case t.aside:
			return nil, errs.New(errs.Invalid, "commit transaction: it is not on a branch's working set")
		case t.r != txs[0].r:
			return nil, errs.New(errs.Invalid, "commit transactions together: they are of different databases")
		case slices.ContainsFunc(txs[:i], func(x *Tx) bool { return x.branch == t.branch }):
			return nil, errs.New(errs.Invalid, "commit transactions together: two are on branch '%s'", t.branch)
		}
		if t.Dirty() {
			dirty = append(dirty, t)
		}
	}
	for _, t := range dirty {
		t.by = lineage.Of(ctx)
		if err := t.foldLarge(ctx, fold); err != nil {
			return nil, err
		}
	}
	return dirty, nil
}

// catchUp shows the newest state to new transactions, when it is durable.
func (r *Repo) catchUp(ctx context.Context) {
	if r.bucket != nil {
		r.settleKept()
		return
	}
	if s := r.tip.Load(); s != r.published.Load() && r.store.Wait(ctx, s.lsn) == nil {
		r.show(s)
	}
}

// foldLarge folds tables with more than limit bytes of edits: with privateFold those that neither the journal nor the overlay should hold.
func (t *Tx) foldLarge(ctx context.Context, limit int64) error {
	var large []string
	for l, x := range t.tables {
		if x.editor != nil && x.editor.Dirty() && x.editor.Bytes() > limit {
			large = append(large, l)
		}
	}
	slices.Sort(large)
	for _, l := range large {
		if _, err := t.FoldTable(ctx, t.tables[l].name); err != nil {
			return err
		}
	}
	return nil
}

const (
	// rebaseTries is how often changes are moved onto a later state outside the commit lock before it is done under it.
	rebaseTries = 3
	// deltaUnderLock is the number of changed rows up to which changes are put into a later overlay under the commit lock.
	deltaUnderLock = 1024
)

// plan is a transaction on its way into the journal: its changes of rows, as they are on a state of the branch against which they
// have been validated.
type plan struct {
	t    *Tx
	on   *branch
	rows []*rowPlan // by table's name
}

// rowPlan is the changes of a table's rows.
type rowPlan struct {
	table   string // lower case
	whole   bool   // the transaction has replaced the table, so there is nothing to validate
	schema  *schema.Compiled
	editor  *table.Editor  // that has made the changes on the state of the plan; nil when they have been moved
	over    *table.Overlay // the overlay with the changes, on the state of the plan; nil while editor has it
	changes *table.Changes
	delta   *table.Delta // nil until needed
}

// enqueue validates the changes against the newest state and appends them to the journal as one record.
//
// Others wait for the commit lock, so what can be done before is: changes are compared with what others committed since, row by row,
// and moved where both changed the same (rebase) without it, and the record is encoded. Under the lock there remains to see that
// nobody has changed in between what these changes touch.
func enqueue(ctx context.Context, txs []*Tx) (*state, error) {
	r := txs[0].r
	if txs[0].branch != lineageRef { // which those write who hold the gate
		r.gate.RLock()
		defer r.gate.RUnlock()
	}
	plans, batch, err := plansOf(ctx, txs)
	if err != nil {
		return nil, err
	}
	for try := 0; ; try++ {
		last := try == rebaseTries
		if !last {
			for _, p := range plans {
				if err := p.advance(ctx, batch, r.tip.Load(), try > 0); err != nil {
					return nil, err
				}
			}
		}
		payload, err := encoded(plans)
		if err != nil {
			return nil, err
		}
		s, err := r.commitPlans(ctx, plans, batch, payload, last)
		if s != nil || err != nil {
			return s, err
		}
	}
}

// plansOf is the plans of transactions of one database, and the batch with the chunks of all.
func plansOf(ctx context.Context, txs []*Tx) ([]*plan, *pack.Batch, error) {
	batch := txs[0].batch
	plans := make([]*plan, len(txs))
	for i, t := range txs {
		plans[i] = t.plan()
		if t.batch == batch {
			continue
		}
		if batch == nil {
			batch = t.batch
		} else if err := batch.Absorb(ctx, t.batch); err != nil {
			return nil, nil, err
		}
	}
	return plans, batch, nil
}

// encoded is the record of the plans as they are; nil when the tip has a say in it.
func encoded(plans []*plan) ([]byte, error) {
	if slices.ContainsFunc(plans, func(p *plan) bool { return len(p.t.whole) > 0 || p.t.merge != nil || p.t.rebase != nil }) {
		return nil, nil
	}
	noted, err := notes(plans, nil)
	if err != nil {
		return nil, err
	}
	return (&change{rows: changedRows(plans), writes: noted}).encode(), nil
}

// plan is the transaction's changes as they stand on the state that it began with.
func (t *Tx) plan() *plan {
	p := &plan{t: t, on: t.base}
	for _, l := range t.edited() {
		e := t.tables[l].editor
		p.rows = append(p.rows, &rowPlan{table: l, whole: t.whole[l], schema: e.Table().Schema, editor: e, changes: e.Changes()})
	}
	return p
}

func changedRows(plans []*plan) []rowChange {
	var out []rowChange
	for _, p := range plans {
		for _, x := range p.rows {
			out = append(out, rowChange{branch: p.t.branch, table: x.table, schema: x.schema.Hash, changes: x.changes})
		}
	}
	return out
}

// present is the branch as the state s has it, if it is still the one that the transaction began on.
func (p *plan) present(s *state) (*branch, error) {
	cur, ok := s.find(p.t.branch)
	if !ok {
		return nil, errs.New(errs.Conflict, "commit transaction: branch '%s' was removed meanwhile", p.t.branch)
	}
	if cur.born != p.t.base.born {
		return nil, errs.New(errs.Conflict, "commit transaction: branch '%s' was replaced meanwhile; start the transaction again", p.t.branch)
	}
	if cur.era != p.on.era && p.on != p.t.base { // what it was moved onto has come to nothing
		*p = *p.t.plan()
	}
	return cur, nil
}

// advance validates the changes against the state s and moves them onto it, so that there is little left to do under the commit
// lock: all of them when must is set, else those that are too many for that.
func (p *plan) advance(ctx context.Context, batch *pack.Batch, s *state, must bool) error {
	if _, err := notes([]*plan{p}, s.writes); err != nil { // it was written by its other try, and no conflict with that
		return err
	}
	cur, err := p.present(s)
	if err != nil || cur == p.on {
		return err
	}
	moved := make([]*rowPlan, len(p.rows))
	for i, x := range p.rows {
		same, err := x.sameTrees(ctx, p, cur)
		if err != nil {
			return err
		}
		switch {
		case x.whole || same && cur.tables.get(x.table) == p.on.tables.get(x.table):
			moved[i] = x
			continue
		case same:
			if err := x.work(); err != nil {
				return err
			}
			if !must && x.changes.Len() <= deltaUnderLock {
				return nil
			}
			if x.delta.Clear(p.on.tables.get(x.table).over, cur.tables.get(x.table).over) {
				y := *x
				y.over = x.delta.Apply(cur.tables.get(x.table).over)
				moved[i] = &y
				continue
			}
		}
		if moved[i], err = x.rebase(ctx, p, batch, cur); err != nil {
			return err
		}
	}
	p.on, p.rows = cur, moved
	return nil
}

// work makes the delta.
func (x *rowPlan) work() (err error) {
	if x.delta == nil {
		x.delta, err = x.changes.Delta(x.schema)
	}
	return err
}

// sameTrees tells whether the table's edits in cur are above the trees on which the changes stand.
func (x *rowPlan) sameTrees(ctx context.Context, p *plan, cur *branch) (bool, error) {
	if x.whole || cur.working == p.on.working {
		return true, nil
	}
	now, err := p.t.r.entry(ctx, cur.working, x.table)
	if err != nil {
		return false, err
	}
	then, err := p.t.r.entry(ctx, p.on.working, x.table)
	return err == nil && now.there && then.there && now.Table == then.Table, err
}

// rebase moves the changes onto the table of the branch cur.
func (x *rowPlan) rebase(ctx context.Context, p *plan, batch *pack.Batch, cur *branch) (*rowPlan, error) {
	e, err := p.t.r.entry(ctx, cur.working, x.table)
	if err != nil {
		return nil, err
	}
	if !e.there {
		return nil, errs.New(errs.Conflict, "commit transaction: table %s was dropped meanwhile", x.table)
	}
	if e.table.Schema.Hash != x.schema.Hash {
		return nil, errs.New(errs.Conflict, "commit transaction: table %s was altered meanwhile; start the transaction again", x.table)
	}
	v := table.NewView(batch, e.table, cur.tables.get(x.table).over)
	over, changes, err := x.changes.Rebase(ctx, batch, v)
	if err != nil {
		return nil, err
	}
	return &rowPlan{table: x.table, schema: x.schema, over: over, changes: changes}, nil
}

// changed is the overlay with the changes, on the state of the plan.
func (x *rowPlan) changed() *table.Overlay {
	if x.over == nil {
		x.over = x.editor.View().Overlay()
	}
	return x.over
}

// overlay is the overlay of the table in cur with the changes; false when they have to be rebased first.
func (x *rowPlan) overlay(ctx context.Context, p *plan, cur *branch) (*table.Overlay, bool, error) {
	same, err := x.sameTrees(ctx, p, cur)
	if err != nil || !same {
		return nil, false, err
	}
	then, now := p.on.tables.get(x.table), cur.tables.get(x.table)
	if x.whole || then == now {
		return x.changed(), true, nil
	}
	if x.changes.Len() > deltaUnderLock {
		return nil, false, nil
	}
	if err := x.work(); err != nil {
		return nil, false, err
	}
	if !x.delta.Clear(then.over, now.over) {
		return nil, false, nil
	}
	return x.delta.Apply(now.over), true, nil
}

// commitPlans appends the changes to the journal and makes the state with them the tip. Without last it does nothing and its state
// is nil when changes have to be rebased first. payload is the encoded record, nil when it is to be made here.
func (r *Repo) commitPlans(ctx context.Context, plans []*plan, batch *pack.Batch, payload []byte, last bool) (*state, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, err := r.settle(ctx, plans, batch, payload, last)
	if e == nil || err != nil {
		return nil, err
	}
	return e.append(ctx)
}

// settled is changes that fit the tip as it is, for as long as the commit lock is held.
type settled struct {
	r       *Repo
	plans   []*plan
	batch   *pack.Batch
	change  *change   // without rows where they are in payload alone
	payload []byte    // the encoded record
	next    []*branch // of each plan
	noted   []Write
	gone    []departure
}

// settle is what commitPlans does before it appends; nil when changes have to be rebased first. The caller holds the commit lock.
func (r *Repo) settle(ctx context.Context, plans []*plan, batch *pack.Batch, payload []byte, last bool) (*settled, error) {
	noted, err := notes(plans, r.tip.Load().writes)
	if err != nil {
		return nil, err
	}
	ch := &change{writes: noted}
	if len(noted) > 0 && plans[0].t.branch != lineageRef {
		ch.notes = plans[0].t.branch
	}
	out := &settled{r: r, plans: plans, batch: batch, change: ch, payload: payload, next: make([]*branch, len(plans)), noted: noted}
	for i, p := range plans {
		cur, err := p.present(r.tip.Load())
		if err != nil {
			return nil, err
		}
		n := cur.copy(0)
		out.next[i] = n
		if len(p.t.whole) > 0 || p.t.merge != nil || p.t.rebase != nil {
			out.gone = append(out.gone, departure{branch: cur})
			w, err := p.t.replaceTables(ctx, batch, cur, n)
			if err != nil {
				return nil, err
			}
			ch.work = append(ch.work, w)
		}
		for j, x := range p.rows {
			over, ok, err := x.overlay(ctx, p, cur)
			if err != nil {
				return nil, err
			}
			if !ok {
				if !last {
					return nil, nil
				}
				if x, err = x.rebase(ctx, p, batch, cur); err != nil {
					return nil, err
				}
				over, out.payload = x.over, nil
				p.rows[j] = x
			}
			n.tables.set(x.table, workTable{over: over, since: cur.tables.get(x.table).since})
		}
		if err := p.checkMeanwhile(ctx, batch, cur, n); err != nil {
			return nil, err
		}
		if err := p.checkNames(ctx, batch, cur, n); err != nil {
			return nil, err
		}
	}
	if out.payload == nil || r.bucket != nil {
		ch.rows = changedRows(plans)
	}
	if out.payload == nil {
		out.payload = ch.encode()
	}
	return out, nil
}

// append appends the changes and makes the state with them the tip.
func (e *settled) append(ctx context.Context) (*state, error) {
	r := e.r
	return r.appendPayload(ctx, e.batch, e.change, e.payload, func(s *state) {
		r.holds.leave(e.gone...)
		s.writes = s.writes.with(e.noted)
		for i, p := range e.plans {
			n := e.next[i]
			n.lsn = s.lsn
			for _, x := range p.rows {
				wt := n.tables.get(x.table)
				wt.version = s.lsn
				n.tables.set(x.table, wt)
			}
			for l := range p.t.whole {
				wt := n.tables.get(l)
				wt.version, wt.since = s.lsn, s.lsn
				n.tables.set(l, wt)
			}
			s.put(n)
			r.whenThere(e.change, func() { r.lineage.written.take(p.t, n, n.lsn) })
			r.wrote(p.t.branch)
		}
	})
}

// replaceTables puts the tables that the transaction has changed as a whole, and what it leaves of a merge or rebase in progress, into
// next, the branch after cur.
func (t *Tx) replaceTables(ctx context.Context, batch *pack.Batch, cur, next *branch) (workChange, error) {
	for l := range t.whole {
		if cur.tables.get(l).version != t.base.tables.get(l).version || cur.working != t.base.working && !t.sameEntry(ctx, cur, l) {
			return workChange{}, errs.New(errs.Conflict, "commit transaction: another transaction changed table %s; start the transaction again", l)
		}
	}
	if t.merge != nil {
		if cur.merge != t.base.merge {
			return workChange{}, errs.New(errs.Conflict, "commit transaction: the merge in progress was changed meanwhile; start the transaction again")
		}
		next.merge = *t.merge
	}
	if t.staged != nil {
		if cur.head != t.base.head || cur.staged != t.base.staged {
			return workChange{}, errs.New(errs.Conflict, "commit transaction: branch '%s' was committed to, or tables were staged, after the merge in this transaction; start the transaction again", t.branch)
		}
		next.staged = *t.staged
	}
	if t.rebase != nil {
		if cur.rebase != t.base.rebase {
			return workChange{}, errs.New(errs.Conflict, "commit transaction: the rebase in progress was changed meanwhile; start the transaction again")
		}
		next.rebase = *t.rebase
	}
	nr := t.root
	if cur.working != t.base.working {
		var changes []root.Change
		for l := range t.whole {
			e, ok, err := t.root.Get(ctx, root.KindTable, l)
			if err != nil {
				return workChange{}, err
			}
			if !ok {
				e = root.Entry{Kind: root.KindTable, Name: l}
			}
			changes = append(changes, root.Change{Entry: e, Drop: !ok})
		}
		var err error
		if nr, err = root.Open(batch, cur.working).With(ctx, batch, changes...); err != nil {
			return workChange{}, err
		}
	}
	next.working = nr.Tree()
	w := workChange{branch: t.branch, working: next.working, staged: next.staged, merge: next.merge, rebase: next.rebase}
	for _, l := range slices.Sorted(maps.Keys(t.whole)) {
		w.folded = append(w.folded, folded{table: l})
		next.tables.set(l, workTable{})
	}
	return w, nil
}

// sameEntry tells whether the table's entry in the branch now is the one that the transaction began with, folds aside.
func (t *Tx) sameEntry(ctx context.Context, cur *branch, l string) bool {
	a, errA := t.r.entry(ctx, t.base.working, l)
	b, errB := t.r.entry(ctx, cur.working, l)
	if errA != nil || errB != nil || a.there != b.there {
		return false
	}
	// A fold changes the entry's hash but not the table's version, which the caller has compared.
	return !a.there || a.Name == b.Name
}

// append appends a change to the journal and makes the state after it the tip; apply changes the copy of the tip that becomes it.
// The caller holds the commit lock.
func (r *Repo) append(ctx context.Context, b *pack.Batch, ch *change, apply func(*state)) (*state, error) {
	if err := r.owned(); err != nil {
		return nil, err
	}
	if err := r.mayAppend(ctx, ch); err != nil {
		return nil, err
	}
	return r.enter(ctx, b, ch, apply)
}

// enter is append for a database that others may not change.
func (r *Repo) enter(ctx context.Context, b *pack.Batch, ch *change, apply func(*state)) (*state, error) {
	if len(ch.refs)+len(ch.tags) > 0 {
		ch.log = ch.moves(r.opt.Clock.Now())
	}
	gone := r.tip.Load().departures(ch)
	after := func(s *state) {
		r.holds.leave(gone...)
		s.log = s.log.with(ch.log...)
		apply(s)
	}
	if r.bucket != nil {
		return r.bucket.append(ctx, b, ch, after)
	}
	return r.enterPayload(ctx, b, ch.encode(), after)
}

// appendPayload is append for a change that is encoded already.
func (r *Repo) appendPayload(ctx context.Context, b *pack.Batch, ch *change, payload []byte, apply func(*state)) (*state, error) {
	if err := r.owned(); err != nil {
		return nil, err
	}
	if r.bucket != nil {
		return r.bucket.append(ctx, b, ch, apply)
	}
	return r.enterPayload(ctx, b, payload, apply)
}

func (r *Repo) enterPayload(ctx context.Context, b *pack.Batch, payload []byte, apply func(*state)) (*state, error) {
	lsn, err := r.store.Append(ctx, b, pack.Record{Type: recordChange, Payload: payload})
	if err != nil {
		return nil, err
	}
	s := r.tip.Load().copy(lsn)
	apply(s)
	r.tip.Store(s)
	return s, nil
}
