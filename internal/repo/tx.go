package repo

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
)

// privateFold is the size of a table's edits in one transaction, in bytes, above which they are folded into trees before they are
// committed, so that neither the journal nor the overlay has to hold them.
const privateFold = 32 << 20

// Tx is a transaction on one branch's working set, under snapshot isolation: it sees the branch as it was when it began, and its
// own changes. It belongs to one goroutine and ends with Commit or Rollback.
type Tx struct {
	r       *Repo
	branch  string
	base    *branch
	state   *state
	batch   *pack.Batch
	root    *root.Root               // working root with the changes of whole tables
	whole   map[string]bool          // lower-case names of tables changed as a whole
	editors map[string]*table.Editor // by lower-case name
	views   map[string]*table.View   // by lower-case name; nil for a table that does not exist
	names   map[string]string        // lower-case name to the name as written
	merge   *hash.Hash               // of the history.Merge that it leaves; nil: as it was
	done    bool
}

// Begin starts a transaction on the branch.
func (r *Repo) Begin(ctx context.Context, branchName string) (*Tx, error) {
	s := r.published.Load()
	b, ok := s.branches.Get(branchName)
	if !ok {
		return nil, r.errNoRef(branchName)
	}
	return &Tx{
		r: r, branch: branchName, base: b, state: s,
		root:  root.Open(r.store, b.working),
		views: map[string]*table.View{}, names: map[string]string{},
	}, nil
}

// Branch is the transaction's branch.
func (t *Tx) Branch() string { return t.branch }

// Head is the commit that the branch named when the transaction began.
func (t *Tx) Head() history.CommitID { return t.base.head }

// Repo is the transaction's database.
func (t *Tx) Repo() *Repo { return t.r }

// Root is the working root with the changes of whole tables; edits of rows are not in it.
func (t *Tx) Root() *root.Root { return t.root }

// Store keeps the transaction's new chunks; they last when it commits.
func (t *Tx) Store() *pack.Batch {
	if t.batch == nil {
		t.batch = t.r.store.NewBatch()
	}
	return t.batch
}

// TableNames is the names of the tables, in the order of their lower-case forms.
func (t *Tx) TableNames(ctx context.Context) ([]string, error) {
	es, err := t.root.List(ctx, root.KindTable)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(es))
	for i, e := range es {
		names[i] = e.Name
	}
	return names, nil
}

// Table is the present view of the table and its name as written; ok is false when there is none. Later edits of this transaction
// may show in the view.
func (t *Tx) Table(ctx context.Context, name string) (v *table.View, written string, ok bool, err error) {
	l := strings.ToLower(name)
	if e := t.editors[l]; e != nil {
		return e.View(), t.names[l], true, nil
	}
	if v, seen := t.views[l]; seen {
		return v, t.names[l], v != nil, nil
	}
	e, ok, err := t.root.Get(ctx, root.KindTable, name)
	if err != nil {
		return nil, "", false, err
	}
	if !ok {
		t.views[l] = nil
		return nil, "", false, nil
	}
	tab, err := t.open(ctx, e)
	if err != nil {
		return nil, "", false, err
	}
	var over *table.Overlay
	if !t.whole[l] {
		over = t.base.tables[l].over
	}
	if t.batch != nil {
		v = table.NewView(t.batch, tab, over).WithZones(t.r.zones)
	} else {
		v = table.NewView(t.r.store, tab, over).WithZones(t.r.zones)
	}
	t.views[l], t.names[l] = v, e.Name
	return v, e.Name, true, nil
}

// open reads the table of an entry, which may be new in this transaction.
func (t *Tx) open(ctx context.Context, e root.Entry) (*table.Table, error) {
	if t.batch != nil {
		return table.Open(ctx, t.batch, &t.r.schemas, e.Table, e.Comments)
	}
	return t.r.openTable(ctx, e)
}

// Editor is the editor of the table's rows.
func (t *Tx) Editor(ctx context.Context, name string) (*table.Editor, error) {
	l := strings.ToLower(name)
	if e := t.editors[l]; e != nil {
		return e, nil
	}
	if t.r.opt.ReadOnly {
		return nil, errs.New(errs.ReadOnly, "the database is open for reading only")
	}
	v, _, ok, err := t.Table(ctx, name)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errNoTable(name)
	}
	e := table.NewEditor(t.Store(), v)
	if t.editors == nil {
		t.editors = map[string]*table.Editor{}
	}
	t.editors[l] = e
	return e, nil
}

func errNoTable(name string) error { return errs.New(errs.NotFound, "table not found: %s", name) }

// FoldTable is the table with all its edits in trees, those of this transaction and those that it began with. The table counts as
// changed as a whole from here on.
func (t *Tx) FoldTable(ctx context.Context, name string) (*table.Table, error) {
	v, written, ok, err := t.Table(ctx, name)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errNoTable(name)
	}
	if v.Overlay().Len() == 0 {
		return v.Table, nil
	}
	tab, err := v.Fold(ctx, t.Store())
	if err != nil {
		return nil, err
	}
	return tab, t.PutTable(ctx, written, tab)
}

// PutTable makes or replaces the table as a whole.
func (t *Tx) PutTable(ctx context.Context, name string, tab *table.Table) error {
	h, err := tab.Put(ctx, t.Store())
	if err != nil {
		return err
	}
	e := root.Entry{Kind: root.KindTable, Name: name, Table: h, Comments: tab.Schema.EncodeComments()}
	return t.changeRoot(ctx, name, root.Change{Entry: e})
}

// CreateTable makes an empty table.
func (t *Tx) CreateTable(ctx context.Context, name string, s *schema.Schema) error {
	if _, _, ok, err := t.Table(ctx, name); err != nil {
		return err
	} else if ok {
		return errs.New(errs.Exists, "table %s already exists", name)
	}
	c, err := schema.Compile(s)
	if err != nil {
		return err
	}
	return t.PutTable(ctx, name, table.Empty(c))
}

// DropTable takes the table away.
func (t *Tx) DropTable(ctx context.Context, name string) error {
	_, written, ok, err := t.Table(ctx, name)
	if err != nil {
		return err
	}
	if !ok {
		return errNoTable(name)
	}
	return t.changeRoot(ctx, written, root.Change{Entry: root.Entry{Kind: root.KindTable, Name: written}, Drop: true})
}

// RenameTable gives the table another name.
func (t *Tx) RenameTable(ctx context.Context, from, to string) error {
	if !strings.EqualFold(from, to) {
		if _, _, ok, err := t.Table(ctx, to); err != nil {
			return err
		} else if ok {
			return errs.New(errs.Exists, "table %s already exists", to)
		}
	}
	tab, err := t.FoldTable(ctx, from)
	if err != nil {
		return err
	}
	if err := t.DropTable(ctx, from); err != nil {
		return err
	}
	return t.PutTable(ctx, to, tab)
}

func (t *Tx) changeRoot(ctx context.Context, name string, c root.Change) error {
	if t.r.opt.ReadOnly {
		return errs.New(errs.ReadOnly, "the database is open for reading only")
	}
	nr, err := t.root.With(ctx, t.Store(), c)
	if err != nil {
		return err
	}
	t.root = root.Open(t.Store(), nr.Tree())
	l := strings.ToLower(name)
	if t.whole == nil {
		t.whole = map[string]bool{}
	}
	t.whole[l] = true
	delete(t.editors, l)
	delete(t.views, l)
	return nil
}

// Dirty tells whether the transaction has changed anything.
func (t *Tx) Dirty() bool {
	if len(t.whole) > 0 || t.merge != nil {
		return true
	}
	for _, e := range t.editors {
		if e.Dirty() {
			return true
		}
	}
	return false
}

// Savepoint is a moment of a transaction to which it can go back.
type Savepoint struct {
	root  *root.Root
	whole map[string]bool
	marks map[string]table.Mark
	views map[string]*table.View
	names map[string]string
	merge *hash.Hash
}

// Savepoint remembers the present changes.
func (t *Tx) Savepoint() *Savepoint {
	sp := &Savepoint{
		root: t.root, whole: maps.Clone(t.whole), names: maps.Clone(t.names), merge: t.merge,
		marks: map[string]table.Mark{}, views: map[string]*table.View{},
	}
	for n, e := range t.editors {
		sp.marks[n] = e.Mark()
		sp.views[n] = e.View()
	}
	return sp
}

// RollbackTo undoes everything since the savepoint, which stays usable.
func (t *Tx) RollbackTo(sp *Savepoint) {
	t.root, t.merge = sp.root, sp.merge
	for n, e := range t.editors {
		m, had := sp.marks[n]
		if !had || t.whole[n] != sp.whole[n] || e.View().Table != sp.views[n].Table {
			delete(t.editors, n)
			continue
		}
		e.Reset(m)
	}
	t.whole, t.names = maps.Clone(sp.whole), maps.Clone(sp.names)
	clear(t.views)
	for n, m := range sp.marks {
		if t.editors[n] == nil {
			e := table.NewEditor(t.Store(), sp.views[n])
			e.Reset(m)
			t.editors[n] = e
		}
	}
}

// Rollback ends the transaction without its changes. It may follow Commit, and then does nothing.
func (t *Tx) Rollback() {
	if t.done {
		return
	}
	t.done = true
	if t.batch != nil {
		t.batch.Close()
	}
}

// Commit makes the changes part of the branch's working set, durably. An error of class Conflict means that another transaction
// changed the same in the meantime; the transaction is over then as well.
func (t *Tx) Commit(ctx context.Context) error {
	if t.done {
		return errs.New(errs.Invalid, "commit transaction: it is over already")
	}
	if !t.Dirty() {
		t.Rollback()
		return nil
	}
	for _, n := range slices.Sorted(maps.Keys(t.editors)) {
		if e := t.editors[n]; e.Dirty() && e.Bytes() > privateFold {
			if _, err := t.FoldTable(ctx, t.names[n]); err != nil {
				t.Rollback()
				return err
			}
		}
	}
	lsn, err := t.enqueue(ctx)
	t.done = true
	if err != nil {
		if t.batch != nil {
			t.batch.Close()
		}
		return err
	}
	return t.r.publish(ctx, lsn)
}

// enqueue validates the changes against the newest state and appends them to the journal.
func (t *Tx) enqueue(ctx context.Context) (*state, error) {
	r := t.r
	r.mu.Lock()
	defer r.mu.Unlock()
	cur, ok := r.tip.branches.Get(t.branch)
	if !ok {
		return nil, errs.New(errs.Conflict, "commit transaction: branch '%s' was removed meanwhile", t.branch)
	}
	if cur.born != t.base.born {
		return nil, errs.New(errs.Conflict, "commit transaction: branch '%s' was replaced meanwhile; start the transaction again", t.branch)
	}
	next := cur.copy(0)
	ch := &change{}
	for l := range t.whole {
		if cur.tables[l].version != t.base.tables[l].version || cur.working != t.base.working && !t.sameEntry(ctx, cur, l) {
			return nil, errs.New(errs.Conflict, "commit transaction: another transaction changed table %s; start the transaction again", l)
		}
	}
	if t.merge != nil {
		if cur.merge != t.base.merge {
			return nil, errs.New(errs.Conflict, "commit transaction: the merge in progress was changed meanwhile; start the transaction again")
		}
		next.merge = *t.merge
	}
	if len(t.whole) > 0 || t.merge != nil {
		nr := t.root
		if cur.working != t.base.working {
			var changes []root.Change
			for l := range t.whole {
				e, ok, err := t.root.Get(ctx, root.KindTable, l)
				if err != nil {
					return nil, err
				}
				if !ok {
					e = root.Entry{Kind: root.KindTable, Name: l}
				}
				changes = append(changes, root.Change{Entry: e, Drop: !ok})
			}
			var err error
			if nr, err = root.Open(t.batch, cur.working).With(ctx, t.batch, changes...); err != nil {
				return nil, err
			}
		}
		next.working = nr.Tree()
		w := workChange{branch: t.branch, working: next.working, staged: next.staged, merge: next.merge}
		for _, l := range slices.Sorted(maps.Keys(t.whole)) {
			w.folded = append(w.folded, folded{table: l})
			next.tables[l] = workTable{}
		}
		ch.work = append(ch.work, w)
	}
	touched := map[string]bool{}
	for _, l := range slices.Sorted(maps.Keys(t.editors)) {
		e := t.editors[l]
		if !e.Dirty() {
			continue
		}
		over, changes := e.View().Overlay(), e.Changes()
		schemaHash := e.View().Table.Schema.Hash
		if !t.whole[l] && cur.tables[l] != t.base.tables[l] || !t.whole[l] && cur.working != t.base.working {
			ent, ok, err := root.Open(r.store, cur.working).Get(ctx, root.KindTable, l)
			if err != nil {
				return nil, err
			}
			if !ok {
				return nil, errs.New(errs.Conflict, "commit transaction: table %s was dropped meanwhile", l)
			}
			tab, err := r.openTable(ctx, ent)
			if err != nil {
				return nil, err
			}
			if tab.Schema.Hash != schemaHash {
				return nil, errs.New(errs.Conflict, "commit transaction: table %s was altered meanwhile; start the transaction again", l)
			}
			if over, changes, err = changes.Rebase(ctx, t.Store(), table.NewView(t.Store(), tab, cur.tables[l].over)); err != nil {
				return nil, err
			}
		}
		next.tables[l] = workTable{over: over, since: cur.tables[l].since}
		touched[l] = true
		ch.rows = append(ch.rows, rowChange{branch: t.branch, table: l, schema: schemaHash, changes: changes})
	}
	for l := range t.whole {
		touched[l] = true
	}
	return r.append(ctx, t.batch, ch, func(s *state) {
		next.lsn = s.lsn
		for l := range touched {
			wt := next.tables[l]
			wt.version = s.lsn
			if t.whole[l] {
				wt.since = s.lsn
			}
			next.tables[l] = wt
		}
		s.branches.Set(t.branch, next)
	})
}

// sameEntry tells whether the table's entry in the branch now is the one that the transaction began with, folds aside.
func (t *Tx) sameEntry(ctx context.Context, cur *branch, l string) bool {
	a, okA, errA := root.Open(t.r.store, t.base.working).Get(ctx, root.KindTable, l)
	b, okB, errB := root.Open(t.r.store, cur.working).Get(ctx, root.KindTable, l)
	if errA != nil || errB != nil || okA != okB {
		return false
	}
	// A fold changes the entry's hash but not the table's version, which the caller has compared.
	return !okA || a.Name == b.Name
}

// append appends a change to the journal and makes the state after it the tip; apply changes the copy of the tip that becomes it.
// The caller holds the commit lock.
func (r *Repo) append(ctx context.Context, b *pack.Batch, ch *change, apply func(*state)) (*state, error) {
	if r.opt.ReadOnly {
		return nil, errs.New(errs.ReadOnly, "the database is open for reading only")
	}
	lsn, err := r.store.Append(ctx, b, pack.Record{Type: recordChange, Payload: ch.encode()})
	if err != nil {
		return nil, err
	}
	s := r.tip.copy(lsn)
	apply(s)
	r.tip = s
	return s, nil
}

// publish waits until the state is durable and shows it to new transactions. It waits even when the caller gives up: what is in the
// journal will be there, so to report it as canceled would be wrong.
func (r *Repo) publish(ctx context.Context, s *state) error {
	if err := r.store.Wait(context.WithoutCancel(ctx), s.lsn); err != nil {
		return err
	}
	r.show(s)
	r.maintain(s)
	return nil
}

// show gives a durable state to new transactions, unless they see a later one already.
func (r *Repo) show(s *state) {
	r.pubMu.Lock()
	defer r.pubMu.Unlock()
	if p := r.published.Load(); p == nil || p.lsn < s.lsn {
		r.published.Store(s)
	}
}
