package catalog

import (
	"slices"
	"strings"
	"time"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/engine/session"
	"github.com/stemmadb/stemma/internal/engine/sqltable"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
)

// Database is a database as a statement names it: a branch's working set in the session's transaction, or a commit.
type Database struct {
	p    *Provider
	h    *session.Handle
	name string
}

var (
	_ sql.Database               = (*Database)(nil)
	_ sql.ReadOnlyDatabase       = (*Database)(nil)
	_ sql.AliasedDatabase        = (*Database)(nil)
	_ sql.VersionedDatabase      = (*Database)(nil)
	_ sql.CollatedDatabase       = (*Database)(nil)
	_ sql.TableCreator           = (*Database)(nil)
	_ sql.IndexedTableCreator    = (*Database)(nil)
	_ sql.TableDropper           = (*Database)(nil)
	_ sql.TableRenamer           = (*Database)(nil)
	_ sql.TemporaryTableCreator  = (*Database)(nil)
	_ sql.TemporaryTableDatabase = (*Database)(nil)
)

// Name implements sql.Database.
func (d *Database) Name() string { return d.name }

// AliasedName implements sql.AliasedDatabase: the name without a revision, to which privileges are granted.
func (d *Database) AliasedName() string { return d.h.Base() }

// Handle is the database as system tables and functions see it.
func (d *Database) Handle() registry.Handle { return d.h }

// IsReadOnly implements sql.ReadOnlyDatabase.
func (d *Database) IsReadOnly() bool { return !d.h.Writable() }

// GetTableInsensitive implements sql.Database: temporary tables first, then those of the database, then system tables.
func (d *Database) GetTableInsensitive(ctx *sql.Context, name string) (sql.Table, bool, error) {
	if t, ok, err := d.temporary(ctx, name); ok || err != nil {
		return t, ok, session.Error(err)
	}
	part, err := d.h.Part(ctx)
	if err != nil {
		return nil, false, session.Error(err)
	}
	if part == nil {
		r, err := d.h.Reader(ctx)
		if err != nil {
			return nil, false, session.Error(err)
		}
		return d.in(ctx, r, d.h, refOf(d.name), name, true)
	}
	if t, ok, err := d.nonlocal(ctx, part, name, true); ok || err != nil {
		return t, ok, session.Error(err)
	}
	v, written, ok, err := part.Table(ctx, name)
	if err != nil {
		return nil, false, session.Error(err)
	}
	if !ok {
		return d.system(ctx, d.h, name)
	}
	t, err := d.open(ctx, v, written, part, d.h.Writable())
	return t, err == nil, err
}

func (d *Database) open(ctx *sql.Context, v *table.View, written string, part *session.Part, write bool) (sql.Table, error) {
	def, err := d.def(ctx, v, written)
	if err != nil {
		return nil, err
	}
	return sqltable.Open(d.p.defs, def, part, write), nil
}

// def is the definition of a table for the session.
func (d *Database) def(ctx *sql.Context, v *table.View, written string) (*sqltable.Def, error) {
	s, err := session.Of(ctx)
	if err != nil {
		return nil, err
	}
	def, err := d.p.defs.Get(v.Schema(), d.name, written)
	if err != nil {
		return nil, session.Error(err)
	}
	return def.For(s), nil
}

// refOf is what the name of a database says behind the database's own.
func refOf(name string) string {
	if i := strings.IndexAny(name, "/@"); i >= 0 {
		return name[i+1:]
	}
	return ""
}

// in is a table as a reader has it; ref is how that was asked for. One that a statement may name as its target is frozen.
func (d *Database) in(ctx *sql.Context, r registry.Reader, h *session.Handle, ref, name string, target bool) (sql.Table, bool, error) {
	if t, ok, err := d.nonlocal(ctx, r, name, false); ok || err != nil {
		return t, ok, session.Error(err)
	}
	v, written, ok, err := r.Table(ctx, name)
	if err != nil {
		return nil, false, session.Error(err)
	}
	if !ok {
		return d.system(ctx, h, name)
	}
	if t, ok, err := d.reshaped(ctx, h, written); ok || err != nil {
		return t, ok, session.Error(err)
	}
	def, err := d.def(ctx, v, written)
	if err != nil {
		return nil, false, err
	}
	from := &sqltable.Origin{Repo: h.Repo(), Ref: ref}
	if h.Branch() == "" {
		if from.Commit, err = h.Head(ctx); err != nil {
			return nil, false, session.Error(err)
		}
	}
	if target {
		return sqltable.Frozen(def, v).From(from), true, nil
	}
	return sqltable.New(def, v).From(from), true, nil
}

// reshaped is a table of a commit under the columns of the revision that the session asks for; ok is false when it asks for none.
func (d *Database) reshaped(ctx *sql.Context, h *session.Handle, name string) (sql.Table, bool, error) {
	s, err := session.Of(ctx)
	if err != nil || h.Branch() != "" || d.p.opt.Registries.Reshaped == nil {
		return nil, false, err
	}
	rev := s.OverrideSchema(ctx)
	if rev == "" {
		return nil, false, nil
	}
	id, err := h.Head(ctx)
	if err != nil {
		return nil, false, err
	}
	return d.p.opt.Registries.Reshaped(ctx, d.h, id, name, rev)
}

// system is a table that is computed.
func (d *Database) system(ctx *sql.Context, h *session.Handle, name string) (sql.Table, bool, error) {
	t, ok, err := d.computed(ctx, h, name)
	return t, ok, session.Error(err)
}

// computed is system with errors that have classes.
func (d *Database) computed(ctx *sql.Context, h *session.Handle, name string) (sql.Table, bool, error) {
	if lineage.Schema(name) != nil {
		return d.lineage(ctx, h, name)
	}
	ctor, ok := d.p.opt.Registries.SystemTables.Lookup(name)
	if !ok {
		return d.unmade(ctx, h, name)
	}
	return ctor(ctx, h, name)
}

// lineage is a table of package lineage, whatever branch or commit the database is named at: they are on a ref of their own.
func (d *Database) lineage(ctx *sql.Context, h *session.Handle, name string) (sql.Table, bool, error) {
	name = strings.ToLower(name)
	if err := h.Repo().FlushReads(ctx); err != nil {
		return nil, false, session.Error(err)
	}
	v, ok, err := h.Repo().LineageTable(ctx, name)
	if err == nil && !ok {
		var c *schema.Compiled
		if c, err = schema.Compile(lineage.Schema(name)); err == nil {
			v = table.NewView(h.Repo().Store(), table.Empty(c), nil)
		}
	}
	if err != nil {
		return nil, false, session.Error(err)
	}
	def, err := d.def(ctx, v, name)
	if err != nil {
		return nil, false, err
	}
	return sqltable.Frozen(def, v), true, nil
}

// unmade is a system table that is kept as a table but has not been written yet.
func (d *Database) unmade(ctx *sql.Context, h *session.Handle, name string) (sql.Table, bool, error) {
	s := repo.SystemSchema(name)
	if s == nil {
		return nil, false, nil
	}
	c, err := schema.Compile(s)
	if err != nil {
		return nil, false, session.Error(err)
	}
	empty := table.NewView(h.Repo().Store(), table.Empty(c), nil)
	def, err := d.def(ctx, empty, strings.ToLower(name))
	if err != nil {
		return nil, false, err
	}
	if !h.Writable() {
		return sqltable.Frozen(def, empty), true, nil
	}
	part, err := h.Part(ctx)
	if err != nil {
		return nil, false, session.Error(err)
	}
	return sqltable.Unmade(d.p.defs, def, part, empty), true, nil
}

// GetTableNames implements sql.Database: the names of the users' tables, and of the system tables where the session wants them shown.
func (d *Database) GetTableNames(ctx *sql.Context) ([]string, error) {
	r, err := d.h.Reader(ctx)
	if err != nil {
		return nil, session.Error(err)
	}
	names, err := d.shown(ctx, r)
	if err != nil {
		return nil, err
	}
	s, err := session.Of(ctx)
	if err != nil || !s.ShowsSystemTables(ctx) {
		return names, err
	}
	return d.withSystem(ctx, names)
}

// shown is the names of a reader's tables, without those of system tables, and of the tables of other refs that its rules give it.
func (d *Database) shown(ctx *sql.Context, r registry.Reader) ([]string, error) {
	names, err := r.TableNames(ctx)
	if err != nil {
		return nil, session.Error(err)
	}
	names = slices.DeleteFunc(names, root.IsSystem)
	more, err := d.nonlocalNames(ctx, r)
	if err != nil || len(more) == 0 {
		return names, session.Error(err)
	}
	names = append(names, more...)
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
	return slices.CompactFunc(names, strings.EqualFold), nil
}

// withSystem is the names of tables and of the system tables that there are, also of each table, sorted.
func (d *Database) withSystem(ctx *sql.Context, names []string) ([]string, error) {
	tables := &d.p.opt.Registries.SystemTables
	system := slices.Concat(tables.Names(), repo.SystemTables(), lineage.Tables())
	for prefix := range tables.Prefix {
		for _, n := range names {
			system = append(system, prefix+n)
		}
	}
	out := slices.Clone(names)
	for _, n := range system {
		_, ok, err := d.computed(ctx, d.h, n)
		if err != nil && !errs.Is(err, errs.Unsupported) && !errs.Is(err, errs.Invalid) { // what there is not of this table
			return nil, session.Error(err)
		}
		if ok && err == nil {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out, nil
}

// GetTableInsensitiveAsOf implements sql.VersionedDatabase.
func (d *Database) GetTableInsensitiveAsOf(ctx *sql.Context, name string, asOf any) (sql.Table, bool, error) {
	r, h, err := d.asOf(ctx, asOf)
	if err != nil {
		return nil, false, err
	}
	ref, ok := asOf.(string)
	if t, isTime := asOf.(time.Time); isTime && !ok {
		ref = t.UTC().Format("2006-01-02 15:04:05.999999")
	}
	return d.in(ctx, r, h, ref, name, false)
}

// GetTableNamesAsOf implements sql.VersionedDatabase.
func (d *Database) GetTableNamesAsOf(ctx *sql.Context, asOf any) ([]string, error) {
	r, _, err := d.asOf(ctx, asOf)
	if err != nil {
		return nil, err
	}
	return d.shown(ctx, r)
}

// asOf is the tables that AS OF means: a ref, a hash or a time.
func (d *Database) asOf(ctx *sql.Context, asOf any) (registry.Reader, *session.Handle, error) {
	switch x := asOf.(type) {
	case string:
		r, id, err := d.h.At(ctx, x)
		if err != nil {
			return nil, nil, session.Error(err)
		}
		return r, d.h.AsOf(id), nil
	case time.Time:
		r, id, err := d.h.AtTime(ctx, x)
		if err != nil {
			return nil, nil, session.Error(err)
		}
		return r, d.h.AsOf(id), nil
	}
	return nil, nil, sql.ErrAsOfNotSupported.New(d.name)
}

// GetCollation implements sql.CollatedDatabase.
func (d *Database) GetCollation(*sql.Context) sql.CollationID {
	if e := d.p.find(d.h.Base()); e != nil {
		d.p.mu.RLock()
		defer d.p.mu.RUnlock()
		return e.collation
	}
	return sql.Collation_Default
}

// SetCollation implements sql.CollatedDatabase. It holds until the database is closed.
func (d *Database) SetCollation(_ *sql.Context, collation sql.CollationID) error {
	e := d.p.find(d.h.Base())
	if e == nil {
		return sql.ErrDatabaseNotFound.New(d.name)
	}
	d.p.mu.Lock()
	defer d.p.mu.Unlock()
	e.collation = collation
	return nil
}

// writable is the transaction's part of the branch, if that may be written.
func (d *Database) writable(ctx *sql.Context) (*session.Part, error) {
	if !d.h.Writable() {
		return nil, session.Error(errs.New(errs.ReadOnly, "database %s cannot be written", d.name))
	}
	p, err := d.h.Part(ctx)
	return p, session.Error(err)
}

// reserved tells whether a name is that of a system table.
func (d *Database) reserved(name string) bool {
	l := strings.ToLower(name)
	_, ok := d.p.opt.Registries.SystemTables.Lookup(name)
	return ok || strings.HasPrefix(l, "dolt_") || strings.HasPrefix(l, "stemma_")
}
