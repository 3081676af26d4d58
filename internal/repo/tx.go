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
	"github.com/stemmadb/stemma/internal/value"
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
	rebase  *hash.Hash               // of the history.Rebase that it leaves; nil: as it was
	notes   []Write
	done    bool
	aside   bool // it is on no branch's state: see BeginAside
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
	e, err := t.entry(ctx, l)
	if err != nil {
		return nil, "", false, err
	}
	if !e.there {
		t.views[l] = nil
		return nil, "", false, nil
	}
	var over *table.Overlay
	if !t.whole[l] {
		over = t.base.tables[l].over
	}
	if t.batch != nil {
		v = table.NewView(t.batch, e.table, over).WithZones(t.r.zones)
	} else {
		v = table.NewView(t.r.store, e.table, over).WithZones(t.r.zones)
	}
	t.views[l], t.names[l] = v, e.Name
	return v, e.Name, true, nil
}

// Schema is the table's schema and its name as written; ok is false when there is no such table.
func (t *Tx) Schema(ctx context.Context, name string) (s *schema.Compiled, written string, ok bool, err error) {
	l := strings.ToLower(name)
	if e := t.editors[l]; e != nil {
		return e.Table().Schema, t.names[l], true, nil
	}
	v, written, ok, err := t.Table(ctx, name)
	if err != nil || !ok {
		return nil, "", false, err
	}
	return v.Schema(), written, true, nil
}

// Row finds a row of a table by its key and fills cells, as table.View.Get does. Unlike a view it does not put the transaction's
// edits together with the table, which takes time when there are many.
func (t *Tx) Row(ctx context.Context, name string, key []byte, cells []value.Cell) (bool, error) {
	if e := t.editors[strings.ToLower(name)]; e != nil {
		return e.Get(ctx, key, cells)
	}
	v, _, ok, err := t.Table(ctx, name)
	if err != nil {
		return false, err
	}
	if !ok {
		return false, errNoTable(name)
	}
	return v.Get(ctx, key, cells)
}

// entry is the table of that lower-case name, which may be new in this transaction.
func (t *Tx) entry(ctx context.Context, l string) (foundEntry, error) {
	if !t.whole[l] {
		return t.r.entry(ctx, t.base.working, l)
	}
	var f foundEntry
	var err error
	if f.Entry, f.there, err = t.root.Get(ctx, root.KindTable, l); err == nil && f.there {
		f.table, err = table.Open(ctx, t.batch, &t.r.schemas, f.Table, f.Comments)
	}
	return f, err
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

// RenameTable gives the table another name; foreign keys that refer to it follow.
func (t *Tx) RenameTable(ctx context.Context, from, to string) error {
	if !strings.EqualFold(from, to) {
		if _, _, ok, err := t.Table(ctx, to); err != nil {
			return err
		} else if ok {
			return errs.New(errs.Exists, "table %s already exists", to)
		}
	}
	children, err := t.Children(ctx, from)
	if err != nil {
		return err
	}
	tab, err := t.FoldTable(ctx, from)
	if err != nil {
		return err
	}
	for _, name := range children {
		child, own := tab, strings.EqualFold(name, from)
		if !own {
			if child, err = t.FoldTable(ctx, name); err != nil {
				return err
			}
		}
		if child, err = referringTo(child, from, to); err != nil {
			return err
		}
		if own {
			tab = child
		} else if err := t.PutTable(ctx, name, child); err != nil {
			return err
		}
	}
	if err := t.DropTable(ctx, from); err != nil {
		return err
	}
	return t.PutTable(ctx, to, tab)
}

// referringTo is the table with those of its foreign keys that refer to the table from referring to one called to.
func referringTo(tab *table.Table, from, to string) (*table.Table, error) {
	s := tab.Schema.Schema.Clone()
	for i := range s.References {
		if f := &s.References[i]; strings.EqualFold(f.Parent, from) {
			f.Parent = to
		}
	}
	c, err := schema.Compile(s)
	if err != nil {
		return nil, err
	}
	return &table.Table{Schema: c, Rows: tab.Rows, Indexes: tab.Indexes}, nil
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
	if len(t.whole) > 0 || t.merge != nil || t.rebase != nil || len(t.notes) > 0 {
		return true
	}
	for _, e := range t.editors {
		if e.Dirty() {
			return true
		}
	}
	return false
}

// Changed are the lower-case names of the tables that the transaction has changed, sorted.
func (t *Tx) Changed() []string {
	names := slices.Collect(maps.Keys(t.whole))
	for n, e := range t.editors {
		if e.Dirty() && !t.whole[n] {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names
}

// Savepoint is a moment of a transaction to which it can go back.
type Savepoint struct {
	root    *root.Root
	whole   map[string]bool
	editors map[string]markedEditor
	names   map[string]string
	merge   *hash.Hash
	rebase  *hash.Hash
	notes   []Write
}

// markedEditor is an editor at a moment.
type markedEditor struct {
	*table.Editor
	mark table.Mark
}

// Savepoint remembers the present changes.
func (t *Tx) Savepoint() *Savepoint {
	sp := &Savepoint{root: t.root, whole: maps.Clone(t.whole), names: maps.Clone(t.names), merge: t.merge, rebase: t.rebase, notes: t.notes, editors: make(map[string]markedEditor, len(t.editors))}
	for n, e := range t.editors {
		sp.editors[n] = markedEditor{e, e.Mark()}
	}
	return sp
}

// RollbackTo undoes everything since the savepoint, which stays usable.
func (t *Tx) RollbackTo(sp *Savepoint) {
	t.root, t.merge, t.rebase, t.notes = sp.root, sp.merge, sp.rebase, sp.notes
	t.whole, t.names = maps.Clone(sp.whole), maps.Clone(sp.names)
	clear(t.views)
	clear(t.editors)
	for n, m := range sp.editors {
		m.Reset(m.mark)
		t.editors[n] = m.Editor
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

// publish waits until the state is durable and shows it to new transactions. It waits even when the caller gives up: what is in the
// journal will be there, so to report it as canceled would be wrong.
func (r *Repo) publish(ctx context.Context, s *state) error {
	if err := r.store.Wait(context.WithoutCancel(ctx), s.lsn); err != nil {
		return err
	}
	if r.show(s) {
		r.maintain(s)
	}
	return nil
}

// show gives a durable state to new transactions, unless they see it or a later one already.
func (r *Repo) show(s *state) (later bool) {
	for {
		p := r.published.Load()
		if p != nil && p.lsn >= s.lsn {
			return false
		}
		if r.published.CompareAndSwap(p, s) {
			return true
		}
	}
}
