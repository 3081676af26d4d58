package repo

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
)

// privateFold is the size of a table's edits in one transaction, in bytes, above which they are folded into trees before they are
// committed, so that neither the journal nor the overlay has to hold them.
const privateFold = 32 << 20

// Tx is a transaction on one branch's working set, under snapshot isolation: it sees the branch as it was when it began, and its
// own changes. It belongs to one goroutine and ends with Commit or Rollback.
type Tx struct {
	r      *Repo
	branch string
	base   *branch
	state  *state
	batch  *pack.Batch
	root   *root.Root          // working root with the changes of whole tables
	whole  map[string]bool     // lower-case names of tables changed as a whole
	tables map[string]*txTable // by lower-case name: those that were asked for
	merge  *hash.Hash          // of the history.Merge that it leaves; nil: as it was
	staged *tree.Root          // that it leaves; nil: as it was
	rebase *hash.Hash          // of the history.Rebase that it leaves; nil: as it was
	notes  []Write
	made   []tableNote     // in their order
	by     lineage.Current // for whom it is committed
	done   bool
	aside  bool // it is on no branch's state: see BeginAside
	hold   Hold
}

// txTable is a table as a transaction has it.
type txTable struct {
	name   string        // as written
	view   *table.View   // what was there when it was first asked for; nil for a table that does not exist
	editor *table.Editor // nil until rows are edited
}

// Begin starts a transaction on the branch.
func (r *Repo) Begin(ctx context.Context, branchName string) (*Tx, error) {
	return r.beginOn(func(s *state) (*branch, error) {
		b, ok := s.branches.Get(branchName)
		if !ok {
			return nil, r.errNoRef(branchName)
		}
		return b, nil
	})
}

// beginOn starts a transaction on what find gives of the published state.
func (r *Repo) beginOn(find func(s *state) (*branch, error)) (*Tx, error) {
	t := &Tx{r: r, tables: map[string]*txTable{}}
	s := r.hold(&t.hold)
	b, err := find(s)
	if err != nil {
		t.hold.Release()
		return nil, err
	}
	t.branch, t.base, t.state, t.root = b.name, b, s, root.Open(r.store, b.working)
	return t, nil
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
		t.batch = t.r.newBatch()
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

// Edited is the lower-case names of the tables that may have edits above their trees, those of this transaction and earlier ones.
func (t *Tx) Edited() []string {
	own := func(l string) bool { return t.tables[l] != nil && t.tables[l].editor != nil }
	out := slices.DeleteFunc(edited(t.base.tables), func(l string) bool { return t.whole[l] || own(l) })
	for l := range t.tables {
		if own(l) {
			out = append(out, l)
		}
	}
	slices.Sort(out)
	return out
}

// Table is the present view of the table and its name as written; ok is false when there is none. Later edits of this transaction
// may show in the view.
func (t *Tx) Table(ctx context.Context, name string) (v *table.View, written string, ok bool, err error) {
	l := strings.ToLower(name)
	x, err := t.open(ctx, l)
	if err != nil || x.view == nil {
		return nil, "", false, err
	}
	if x.editor != nil {
		return x.editor.View(), x.name, true, nil
	}
	return x.view, x.name, true, nil
}

// open is the table of that lower-case name.
func (t *Tx) open(ctx context.Context, l string) (*txTable, error) {
	if x := t.tables[l]; x != nil {
		return x, nil
	}
	e, err := t.entry(ctx, l)
	if err != nil {
		return nil, err
	}
	x := &txTable{}
	t.tables[l] = x
	if !e.there {
		return x, nil
	}
	var over *table.Overlay
	if !t.whole[l] {
		over = t.base.tables.get(l).over
	}
	var chunks chunk.Reader = t.r.store
	if t.batch != nil {
		chunks = t.batch
	}
	x.name, x.view = e.Name, table.NewView(t.r.TableReader(chunks, e.Name), e.table, over).WithZones(t.r.zones)
	return x, nil
}

// Schema is the table's schema and its name as written; ok is false when there is no such table.
func (t *Tx) Schema(ctx context.Context, name string) (s *schema.Compiled, written string, ok bool, err error) {
	x, err := t.open(ctx, strings.ToLower(name))
	if err != nil || x.view == nil {
		return nil, "", false, err
	}
	return x.view.Schema(), x.name, true, nil
}

// Row finds a row of a table by its key and fills cells, as table.View.Get does. Unlike a view it does not put the transaction's
// edits together with the table, which takes time when there are many.
func (t *Tx) Row(ctx context.Context, name string, key []byte, cells []value.Cell) (bool, error) {
	x, err := t.open(ctx, strings.ToLower(name))
	switch {
	case err != nil:
		return false, err
	case x.view == nil:
		return false, errNoTable(name)
	case x.editor != nil:
		return x.editor.Get(ctx, key, cells)
	}
	return x.view.Get(ctx, key, cells)
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

// changeable reports why tables cannot be changed in the transaction.
func (t *Tx) changeable(ctx context.Context) error {
	if err := t.r.writable(); err != nil {
		return err
	}
	return t.r.mayChange(ctx, t.branch)
}

// Editor is the editor of the table's rows.
func (t *Tx) Editor(ctx context.Context, name string) (*table.Editor, error) {
	if err := t.changeable(ctx); err != nil {
		return nil, err
	}
	x, err := t.open(ctx, strings.ToLower(name))
	if err != nil {
		return nil, err
	}
	if x.view == nil {
		return nil, errNoTable(name)
	}
	if x.editor == nil {
		x.editor = table.NewEditor(t.Store(), x.view)
	}
	return x.editor, nil
}

// edited is the lower-case names of the tables with edits of rows, in order.
func (t *Tx) edited() []string {
	names := make([]string, 0, len(t.tables))
	for l, x := range t.tables {
		if x.editor != nil && x.editor.Dirty() {
			names = append(names, l)
		}
	}
	slices.Sort(names)
	return names
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

// PutTable makes or replaces the table as a whole. A table that is made cannot have the name of a view.
func (t *Tx) PutTable(ctx context.Context, name string, tab *table.Table) error {
	if err := t.noView(ctx, name); err != nil {
		return err
	}
	return t.putTable(ctx, name, tab)
}

func (t *Tx) putTable(ctx context.Context, name string, tab *table.Table) error {
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
	if err := t.drop(ctx, name); err != nil {
		return err
	}
	t.NoteAnew(name)
	return nil
}

func (t *Tx) drop(ctx context.Context, name string) error {
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
	if err := t.drop(ctx, from); err != nil {
		return err
	}
	if from, to := strings.ToLower(from), strings.ToLower(to); from != to {
		t.made = append(t.made, tableNote{table: to, from: from})
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
	if err := t.changeable(ctx); err != nil {
		return err
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
	delete(t.tables, l)
	return nil
}

// Dirty tells whether the transaction has changed anything.
func (t *Tx) Dirty() bool {
	if len(t.whole) > 0 || t.merge != nil || t.rebase != nil || len(t.notes) > 0 {
		return true
	}
	for _, x := range t.tables {
		if x.editor != nil && x.editor.Dirty() {
			return true
		}
	}
	return false
}

// Changed are the lower-case names of the tables that the transaction has changed, sorted.
func (t *Tx) Changed() []string {
	names := slices.Collect(maps.Keys(t.whole))
	for n, x := range t.tables {
		if x.editor != nil && x.editor.Dirty() && !t.whole[n] {
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
	merge   *hash.Hash
	staged  *tree.Root
	rebase  *hash.Hash
	notes   []Write
	made    []tableNote
}

// markedEditor is a table with an editor at a moment.
type markedEditor struct {
	txTable
	mark table.Mark
}

// Savepoint remembers the present changes.
func (t *Tx) Savepoint() *Savepoint {
	sp := &Savepoint{root: t.root, whole: maps.Clone(t.whole), merge: t.merge, staged: t.staged, rebase: t.rebase, notes: t.notes, made: slices.Clip(t.made), editors: map[string]markedEditor{}}
	for n, x := range t.tables {
		if x.editor != nil {
			sp.editors[n] = markedEditor{*x, x.editor.Mark()}
		}
	}
	return sp
}

// RollbackTo undoes everything since the savepoint, which stays usable.
func (t *Tx) RollbackTo(sp *Savepoint) {
	t.root, t.merge, t.staged, t.rebase, t.notes, t.made = sp.root, sp.merge, sp.staged, sp.rebase, sp.notes, sp.made
	t.whole = maps.Clone(sp.whole)
	clear(t.tables)
	for n, m := range sp.editors {
		m.editor.Reset(m.mark)
		t.tables[n] = &m.txTable
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
	t.hold.Release()
}

// publish waits until the state is durable and shows it to new transactions. It waits even when the caller gives up: what is in the
// journal will be there, so to report it as canceled would be wrong.
func (r *Repo) publish(ctx context.Context, s *state) error {
	if r.bucket != nil {
		return s.kept.wait()
	}
	if err := r.store.Wait(context.WithoutCancel(ctx), s.lsn); err != nil {
		return err
	}
	if r.show(s) {
		r.maintain(s)
		r.collectWhenDue()
		r.markWhenDue()
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
