package repo

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// ViewFragment is the type of the fragments that are views.
const ViewFragment = "view"

// MaxViewName is the greatest length of a view's name in characters, as in MySQL.
const MaxViewName = 64

// Fragment is a row of dolt_schemas: something that is not a table but has a name of its own and is made by a statement.
type Fragment struct {
	Type    string // ViewFragment; others mean nothing here
	Name    string
	Text    string // the statement
	Extra   string // JSON; "" for none
	SQLMode string // under which the statement is read; "" is the default
}

// tableNames finds tables by name.
type tableNames interface {
	Table(ctx context.Context, name string) (v *table.View, written string, ok bool, err error)
}

// fragmentColumns are the places of the columns of dolt_schemas, in the order of Fragment.
func fragmentColumns(v *table.View) (at [5]int, err error) {
	s := v.Schema()
	for i, name := range []string{"type", "name", "fragment", "extra", "sql_mode"} {
		if at[i] = s.ColumnIndex(name); at[i] < 0 || s.Columns[at[i]].Type.Phys() != value.Bytes {
			return at, errs.New(errs.Invalid, "read %s: it has no column %s of text", SchemasTable, name)
		}
	}
	if len(s.PrimaryKey) != 2 || s.PrimaryKey[0].Column != s.Columns[at[0]].ID || s.PrimaryKey[1].Column != s.Columns[at[1]].ID {
		return at, errs.New(errs.Invalid, "read %s: its primary key is not (type, name)", SchemasTable)
	}
	return at, nil
}

// fragment is a row of dolt_schemas.
func fragment(ctx context.Context, v *table.View, at [5]int, cell func(c int) (value.Cell, error)) (f Fragment, err error) {
	for i, to := range []*string{&f.Type, &f.Name, &f.Text, &f.Extra, &f.SQLMode} {
		c, err := cell(at[i])
		if err != nil {
			return f, err
		}
		if c, err = table.Resolve(ctx, v.Reader(), c); err != nil {
			return f, err
		}
		if !c.IsNull() {
			*to = string(c.Bytes())
		}
	}
	return f, nil
}

// ViewIn is a view by its name, whose case does not matter; nil when there is none.
func ViewIn(ctx context.Context, in tableNames, name string) (*Fragment, error) {
	v, _, ok, err := in.Table(ctx, SchemasTable)
	if err != nil || !ok {
		return nil, err
	}
	return ViewOf(ctx, v, name)
}

// ViewOf is ViewIn of the rows of dolt_schemas. A table that has not its columns has no views: tables are looked for behind views, and can
// be read all the same.
func ViewOf(ctx context.Context, v *table.View, name string) (*Fragment, error) {
	if _, err := fragmentColumns(v); err != nil {
		return nil, nil
	}
	f, err := fragmentOf(ctx, v, name)
	if f == nil || !strings.EqualFold(f.Name, name) { // the collation of the key knows no accents
		return nil, err
	}
	return f, err
}

func fragmentOf(ctx context.Context, v *table.View, name string) (*Fragment, error) {
	at, err := fragmentColumns(v)
	if err != nil || !utf8.ValidString(name) {
		return nil, err
	}
	s := v.Schema()
	key := value.AppendKeyPart(nil, &s.Primary.Parts[0], value.BytesCell([]byte(ViewFragment)))
	key = value.AppendKeyPart(key, &s.Primary.Parts[1], value.BytesCell([]byte(name)))
	cells := make([]value.Cell, len(s.Columns))
	if ok, err := v.Get(ctx, key, cells); err != nil || !ok {
		return nil, err
	}
	f, err := fragment(ctx, v, at, func(c int) (value.Cell, error) { return cells[c], nil })
	return &f, err
}

// ViewsIn are the views, sorted by name.
func ViewsIn(ctx context.Context, in tableNames) ([]Fragment, error) {
	v, _, ok, err := in.Table(ctx, SchemasTable)
	if err != nil || !ok {
		return nil, err
	}
	return ViewsOf(ctx, v)
}

// ViewsOf is ViewsIn of the rows of dolt_schemas; like ViewOf it finds none in another table.
func ViewsOf(ctx context.Context, v *table.View) ([]Fragment, error) {
	at, err := fragmentColumns(v)
	if err != nil {
		return nil, nil
	}
	var out []Fragment
	err = eachFragment(ctx, v, func(cell func(c int) (value.Cell, error)) error {
		f, err := fragment(ctx, v, at, cell)
		if err == nil && strings.EqualFold(f.Type, ViewFragment) {
			out = append(out, f)
		}
		return err
	})
	slices.SortFunc(out, func(a, b Fragment) int { return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) })
	return out, err
}

// eachFragment calls fn with the cells of each row.
func eachFragment(ctx context.Context, v *table.View, fn func(cell func(c int) (value.Cell, error)) error) error {
	it := v.Scan(table.ScanOptions{Rows: table.RowsTree})
	cells := make([]value.Cell, len(v.Layout(table.RowsTree).Phys))
	for {
		b, ok, err := it.Next(ctx)
		if err != nil || !ok {
			return err
		}
		if b.Page == nil { // one row
			if err := value.DecodeTuple(b.Row, v.Layout(table.RowsTree).Phys, cells); err != nil {
				return err
			}
			if err := fn(func(c int) (value.Cell, error) { return cells[c], nil }); err != nil {
				return err
			}
			continue
		}
		for i := b.Lo; i < b.Hi; i++ {
			if err := fn(func(c int) (value.Cell, error) { return b.Page.Cell(ctx, c, i) }); err != nil {
				return err
			}
		}
	}
}

// CreateView makes a view; its name must be that of no table and no other view. Type is not looked at.
func (t *Tx) CreateView(ctx context.Context, f Fragment) error {
	if err := CheckTableName(f.Name); err != nil {
		return err
	}
	if n := utf8.RuneCountInString(f.Name); n > MaxViewName || !utf8.ValidString(f.Name) {
		return errs.New(errs.Invalid, "view %q cannot be made: its name has %d characters; %d are the most", f.Name, n, MaxViewName)
	}
	if _, written, ok, err := t.Table(ctx, f.Name); err != nil {
		return err
	} else if ok {
		return errs.New(errs.Exists, "view %s cannot be made: there is a table %s", f.Name, written)
	}
	e, err := t.SystemEditor(ctx, SchemasTable)
	if err != nil {
		return err
	}
	if other, err := fragmentOf(ctx, e.View(), f.Name); err != nil {
		return err
	} else if other != nil {
		return errs.New(errs.Exists, "view %s cannot be made: there is a view %s", f.Name, other.Name)
	}
	at, err := fragmentColumns(e.View())
	if err != nil {
		return err
	}
	row := make([]value.Cell, len(e.View().Schema().Columns))
	for i, text := range []string{ViewFragment, f.Name, f.Text, f.Extra, f.SQLMode} {
		if i != 3 || text != "" {
			row[at[i]] = value.BytesCell([]byte(text))
		}
	}
	if f.Extra != "" {
		canonical, err := value.CanonicalJSON(nil, []byte(f.Extra))
		if err != nil {
			return err
		}
		row[at[3]] = value.BytesCell(canonical)
	}
	return e.Insert(ctx, row)
}

// noView refuses the name of a view for a table that is not there yet: of one that the name means, which a rule of dolt_nonlocal_tables can say are those of
// another ref.
func (t *Tx) noView(ctx context.Context, name string) error {
	var in tableNames = t
	schemas := SchemasTable
	rule, err := NonlocalRule(ctx, t, SchemasTable)
	if err != nil {
		return err
	}
	if rule != nil {
		if in, err = t.nonlocal(ctx, rule); errs.Is(err, errs.NotFound) || errs.Is(err, errs.Invalid) { // a rule about nothing: there are no views
			return nil
		}
		schemas = cmp.Or(rule.Table, schemas)
	}
	if err != nil {
		return err
	}
	v, _, ok, err := in.Table(ctx, schemas)
	if err != nil || !ok {
		return err
	}
	f, err := ViewOf(ctx, v, name)
	if err != nil || f == nil {
		return err
	}
	if _, _, ok, err := t.Table(ctx, name); ok || err != nil { // a merge has brought one of the two
		return err
	}
	return errs.New(errs.Exists, "table %s cannot be made: there is a view %s", name, f.Name)
}

// checkNames refuses that next, the branch after cur with the plan's changes, has a table and a view of one name because one of them was made
// meanwhile: either transaction has looked for the other's in vain.
func (p *plan) checkNames(ctx context.Context, batch *pack.Batch, cur, next *branch) error {
	t := p.t
	if cur == t.base || t.merge != nil { // a merge can bring both
		return nil
	}
	var chunks chunk.Reader = t.r.store
	if batch != nil {
		chunks = batch
	}
	then, now := &branchTables{t.r, chunks, cur}, &branchTables{t.r, chunks, next}
	names := slices.Collect(maps.Keys(t.whole))
	if t.whole[SchemasTable] || slices.ContainsFunc(p.rows, func(x *rowPlan) bool { return x.table == SchemasTable }) {
		views, err := ViewsIn(ctx, now)
		if err != nil {
			return err
		}
		for i := range views {
			names = append(names, views[i].Name)
		}
	}
	for _, name := range names {
		view, written, err := bothNamed(ctx, now, name)
		if err != nil || view == "" {
			if err != nil {
				return err
			}
			continue
		}
		for _, in := range []tableNames{then, t} { // as the others have it, or this transaction wants it
			if was, _, err := bothNamed(ctx, in, name); err != nil {
				return err
			} else if was != "" {
				view = ""
			}
		}
		if view != "" {
			return errs.New(errs.Exists, "commit transaction: table %s and view %s were made at the same time", written, view)
		}
	}
	return nil
}

// bothNamed is a view and a table of one name, as they are written; "" unless there are both.
func bothNamed(ctx context.Context, in tableNames, name string) (view, written string, err error) {
	_, written, ok, err := in.Table(ctx, name)
	if err != nil || !ok {
		return "", "", err
	}
	f, err := ViewIn(ctx, in, name)
	if err != nil || f == nil {
		return "", "", err
	}
	return f.Name, written, nil
}

// branchTables finds the tables of a branch whose root may be in a batch still.
type branchTables struct {
	r      *Repo
	chunks chunk.Reader
	b      *branch
}

// Table implements tableNames.
func (x *branchTables) Table(ctx context.Context, name string) (v *table.View, written string, ok bool, err error) {
	l := strings.ToLower(name)
	e, ok, err := root.Open(x.chunks, x.b.working).Get(ctx, root.KindTable, l)
	if err != nil || !ok {
		return nil, "", false, err
	}
	tab, err := table.Open(ctx, x.chunks, &x.r.schemas, e.Table, e.Comments)
	if err != nil {
		return nil, "", false, err
	}
	return table.NewView(x.chunks, tab, x.b.tables.get(l).over), e.Name, true, nil
}

// DropView drops a view; ok is false when there is none. With the last row dolt_schemas goes, unless the head has it: a view that was made
// and dropped again leaves nothing, and a branch that dropped all views merges with one that made others.
func (t *Tx) DropView(ctx context.Context, name string) (ok bool, err error) {
	f, err := ViewIn(ctx, t, name)
	if err != nil || f == nil {
		return false, err
	}
	e, err := t.Editor(ctx, SchemasTable)
	if err != nil {
		return false, err
	}
	at, err := fragmentColumns(e.View())
	if err != nil {
		return false, err
	}
	row := make([]value.Cell, len(e.View().Schema().Columns))
	row[at[0]], row[at[1]] = value.BytesCell([]byte(f.Type)), value.BytesCell([]byte(f.Name))
	if _, err := e.Delete(ctx, row); err != nil {
		return false, err
	}
	if e.View().Count() > 0 {
		return true, nil
	}
	head, err := t.r.SnapshotAt(ctx, t.Head())
	if err != nil {
		return false, err
	}
	if _, _, kept, err := head.Table(ctx, SchemasTable); err != nil || kept {
		return true, err
	}
	return true, t.DropTable(ctx, SchemasTable)
}
