package sqltable

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/engine/session"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/schema"
)

// The engine checks constraints: it is told of them, evaluates CHECK expressions, and looks up parents and children by foreign-key
// editors. Whether a foreign key is resolved, as the engine calls it, follows from the tables that are there and is stored nowhere.

var (
	_ sql.CheckAlterableTable = (*Writable)(nil)
	_ sql.ForeignKeyTable     = (*Writable)(nil)
	_ sql.ForeignKeyEditor    = (*editor)(nil)
)

// CreateCheck implements sql.CheckAlterableTable.
func (t *Writable) CreateCheck(ctx *sql.Context, check *sql.CheckDefinition) error {
	return t.describe(ctx, func(s *schema.Schema) error {
		c := schema.Check{Name: check.Name, Expr: check.CheckExpression, Enforced: check.Enforced}
		if c.Name == "" {
			for n := 1; c.Name == "" || checkIndex(s, c.Name) >= 0; n++ {
				c.Name = fmt.Sprintf("%s_chk_%d", t.def.Name, n)
			}
		}
		if checkIndex(s, c.Name) >= 0 {
			return sql.ErrDuplicateCheckName.New(c.Name)
		}
		s.Checks = append(s.Checks, c)
		return nil
	})
}

func checkIndex(s *schema.Schema, name string) int {
	return slices.IndexFunc(s.Checks, func(c schema.Check) bool { return strings.EqualFold(c.Name, name) })
}

// DropCheck implements sql.CheckAlterableTable.
func (t *Writable) DropCheck(ctx *sql.Context, name string) error {
	return t.describe(ctx, func(s *schema.Schema) error {
		at := checkIndex(s, name)
		if at < 0 {
			return sql.ErrUnknownConstraint.New(name)
		}
		s.Checks = slices.Delete(s.Checks, at, at+1)
		return nil
	})
}

// CreateIndexForForeignKey implements sql.ForeignKeyTable.
func (t *Writable) CreateIndexForForeignKey(ctx *sql.Context, def sql.IndexDef) error {
	return t.CreateIndex(ctx, def)
}

// GetDeclaredForeignKeys implements sql.ForeignKeyTable: the table's own ones, by name.
func (t *Table) GetDeclaredForeignKeys(ctx *sql.Context) ([]sql.ForeignKeyConstraint, error) {
	s := t.def.Schema.Schema
	if len(s.References) == 0 {
		return nil, nil
	}
	var out []sql.ForeignKeyConstraint
	for i := range s.References {
		fk, err := t.toSQL(ctx, t.def.Stored, s, &s.References[i])
		if err != nil {
			return nil, err
		}
		out = append(out, fk)
	}
	slices.SortFunc(out, func(a, b sql.ForeignKeyConstraint) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// GetReferencedForeignKeys implements sql.ForeignKeyTable: those of other tables, and of this one, that refer to this one.
func (t *Table) GetReferencedForeignKeys(ctx *sql.Context) ([]sql.ForeignKeyConstraint, error) {
	if t.part == nil {
		return nil, nil
	}
	children, err := t.part.Tx().Children(ctx, t.def.Stored)
	if err != nil {
		return nil, session.Error(err)
	}
	var out []sql.ForeignKeyConstraint
	for _, n := range children {
		v, written, ok, err := t.part.Table(ctx, n)
		if err != nil {
			return nil, session.Error(err)
		}
		if !ok {
			continue
		}
		s := v.Schema()
		for i := range s.References {
			if strings.EqualFold(s.References[i].Parent, t.def.Stored) {
				fk, err := t.toSQL(ctx, written, s.Schema, &s.References[i])
				if err != nil {
					return nil, err
				}
				out = append(out, fk)
			}
		}
	}
	return out, nil
}

// toSQL is the engine's form of a foreign key of the table child, whose schema is s.
func (t *Table) toSQL(ctx *sql.Context, child string, s *schema.Schema, f *schema.ForeignKey) (sql.ForeignKeyConstraint, error) {
	fk := sql.ForeignKeyConstraint{
		Name: f.Name, Database: t.def.Home, Table: child, ParentDatabase: t.def.Home, ParentTable: f.Parent,
		ParentColumns: slices.Clone(f.ParentColumns), OnUpdate: actionToSQL(f.OnUpdate), OnDelete: actionToSQL(f.OnDelete),
	}
	for _, id := range f.Columns {
		fk.Columns = append(fk.Columns, s.Columns[s.ColumnByID(id)].Name)
	}
	var err error
	fk.IsResolved, err = t.resolved(ctx, f)
	return fk, err
}

// resolved tells whether the parent of a foreign key has the columns, and an index on them.
func (t *Table) resolved(ctx *sql.Context, f *schema.ForeignKey) (bool, error) {
	if t.part == nil {
		return true, nil // a commit's table, of which nothing is checked
	}
	v, _, ok, err := t.part.Table(ctx, f.Parent)
	if err != nil || !ok {
		return false, session.Error(err)
	}
	s := v.Schema()
	var ids []uint64
	for _, n := range f.ParentColumns {
		c := s.ColumnIndex(n)
		if c < 0 {
			return false, nil
		}
		ids = append(ids, s.Columns[c].ID)
	}
	return leads(s.PrimaryKey, ids) || indexed(s.Schema, ids), nil
}

// leads tells whether the first columns of a key are the given ones, in any order.
func leads(key []schema.IndexColumn, ids []uint64) bool {
	return len(key) >= len(ids) && !slices.ContainsFunc(key[:len(ids)], func(k schema.IndexColumn) bool { return !slices.Contains(ids, k.Column) })
}

// indexed tells whether the first columns of some secondary index are the given ones.
func indexed(s *schema.Schema, ids []uint64) bool {
	return slices.ContainsFunc(s.Indexes, func(x schema.Index) bool { return leads(x.Columns, ids) })
}

// needsPrimary is a foreign key, of the table or to it, that has no other index than the primary key; "" when there is none, or keys are
// not checked.
func (t *Writable) needsPrimary(ctx *sql.Context) (string, error) {
	if t.part == nil || !session.IsOn(ctx, "foreign_key_checks") {
		return "", nil
	}
	s := t.def.Schema.Schema
	only := func(ids []uint64) bool { return len(ids) > 0 && leads(s.PrimaryKey, ids) && !indexed(s, ids) }
	for i := range s.References {
		if only(s.References[i].Columns) {
			return s.References[i].Name, nil
		}
	}
	refer, err := t.GetReferencedForeignKeys(ctx)
	if err != nil {
		return "", err
	}
	for i := range refer {
		var ids []uint64
		for _, n := range refer[i].ParentColumns {
			if c := s.ColumnIndex(n); c >= 0 {
				ids = append(ids, s.Columns[c].ID)
			}
		}
		if only(ids) {
			return refer[i].Name, nil
		}
	}
	return "", nil
}

var actions = map[sql.ForeignKeyReferentialAction]schema.Action{
	sql.ForeignKeyReferentialAction_DefaultAction: schema.ActionNone,
	sql.ForeignKeyReferentialAction_Restrict:      schema.ActionRestrict,
	sql.ForeignKeyReferentialAction_Cascade:       schema.ActionCascade,
	sql.ForeignKeyReferentialAction_NoAction:      schema.ActionNoAction,
	sql.ForeignKeyReferentialAction_SetNull:       schema.ActionSetNull,
	sql.ForeignKeyReferentialAction_SetDefault:    schema.ActionSetDefault,
}

func actionToSQL(a schema.Action) sql.ForeignKeyReferentialAction {
	for k, v := range actions {
		if v == a {
			return k
		}
	}
	return sql.ForeignKeyReferentialAction_DefaultAction
}

// fromSQL is the stored form of the engine's foreign key.
func fromSQL(s *schema.Schema, table string, fk sql.ForeignKeyConstraint) (schema.ForeignKey, error) {
	f := schema.ForeignKey{
		Name: fk.Name, Parent: fk.ParentTable, ParentColumns: slices.Clone(fk.ParentColumns),
		OnUpdate: actions[fk.OnUpdate], OnDelete: actions[fk.OnDelete],
	}
	for _, n := range fk.Columns {
		c := s.ColumnIndex(n)
		if c < 0 {
			return f, sql.ErrTableColumnNotFound.New(table, n)
		}
		f.Columns = append(f.Columns, s.Columns[c].ID)
	}
	return f, nil
}

func referenceIndex(s *schema.Schema, name string) int {
	return slices.IndexFunc(s.References, func(f schema.ForeignKey) bool { return strings.EqualFold(f.Name, name) })
}

// AddForeignKey implements sql.ForeignKeyTable.
func (t *Writable) AddForeignKey(ctx *sql.Context, fk sql.ForeignKeyConstraint) error {
	if fk.OnUpdate == sql.ForeignKeyReferentialAction_SetDefault || fk.OnDelete == sql.ForeignKeyReferentialAction_SetDefault {
		return sql.ErrForeignKeySetDefault.New() // as MySQL, which parses it
	}
	if own, _ := session.SplitName(t.def.DB); fk.ParentDatabase != "" {
		if other, _ := session.SplitName(fk.ParentDatabase); !strings.EqualFold(own, other) {
			return session.Error(errs.New(errs.Unsupported, "foreign key %s refers to a table of another database, %s, which would have a history of its own", fk.Name, other))
		}
	}
	if err := t.parentHere(ctx, fk); err != nil {
		return session.Error(err)
	}
	return t.describe(ctx, func(s *schema.Schema) error {
		if referenceIndex(s, fk.Name) >= 0 {
			return sql.ErrForeignKeyDuplicateName.New(fk.Name)
		}
		f, err := fromSQL(s, t.def.Stored, fk)
		s.References = append(s.References, f)
		return err
	})
}

// parentHere refuses a foreign key whose parent is a table of another branch by a rule of dolt_nonlocal_tables: the branches change apart
// from each other, so that nothing could keep to it.
func (t *Writable) parentHere(ctx *sql.Context, fk sql.ForeignKeyConstraint) error {
	if t.part == nil {
		return nil
	}
	var rules []repo.Nonlocal
	v, _, ok, err := t.part.Table(ctx, repo.NonlocalTable)
	if err == nil && ok {
		rules, err = repo.NonlocalRules(ctx, v)
	}
	if err != nil {
		return err
	}
	for i := range rules {
		if rules[i].Matches(fk.ParentTable) {
			return errs.New(errs.Unsupported, "foreign key %s refers to table %s, of which dolt_nonlocal_tables says that it is a table of '%s'", fk.Name, fk.ParentTable, rules[i].Ref)
		}
	}
	if t.def.Home == t.def.DB || !session.IsOn(ctx, "foreign_key_checks") {
		return nil
	}
	if _, _, ok, err := t.part.Table(ctx, fk.ParentTable); err != nil || ok {
		return err
	}
	return errs.New(errs.Unsupported, "foreign key %s of %s, a table of %s, refers to table %s, which is none there", fk.Name, t.def.Name, t.def.Home, fk.ParentTable)
}

// DropForeignKey implements sql.ForeignKeyTable.
func (t *Writable) DropForeignKey(ctx *sql.Context, name string, _, _ string) error {
	return t.describe(ctx, func(s *schema.Schema) error {
		at := referenceIndex(s, name)
		if at < 0 {
			return sql.ErrForeignKeyNotFound.New(name, t.def.Name)
		}
		s.References = slices.Delete(s.References, at, at+1)
		return nil
	})
}

// UpdateForeignKey implements sql.ForeignKeyTable.
func (t *Writable) UpdateForeignKey(ctx *sql.Context, name string, fk sql.ForeignKeyConstraint) error {
	s := t.def.Schema.Schema
	at := referenceIndex(s, name)
	if at < 0 {
		return sql.ErrForeignKeyNotFound.New(name, t.def.Name)
	}
	// The engine tells of new names of columns before it gives them; own columns are known by id.
	old := &s.References[at]
	for i, n := range fk.Columns {
		if s.ColumnIndex(n) < 0 && i < len(old.Columns) {
			fk.Columns[i] = s.Columns[s.ColumnByID(old.Columns[i])].Name
		}
	}
	f, err := fromSQL(s, t.def.Stored, fk)
	if err != nil {
		return err
	}
	if old.Name == f.Name && old.Parent == f.Parent && old.OnUpdate == f.OnUpdate && old.OnDelete == f.OnDelete &&
		slices.Equal(old.Columns, f.Columns) && slices.Equal(old.ParentColumns, f.ParentColumns) {
		return nil // only whether it is resolved
	}
	return t.describe(ctx, func(s *schema.Schema) error {
		if other := referenceIndex(s, f.Name); other >= 0 && other != at {
			return sql.ErrForeignKeyDuplicateName.New(f.Name)
		}
		s.References[at] = f
		return nil
	})
}

// GetForeignKeyEditor implements sql.ForeignKeyTable.
func (t *Writable) GetForeignKeyEditor(*sql.Context) sql.ForeignKeyEditor { return newEditor(t) }

// IndexedAccess implements sql.IndexAddressable: the rows as the statement has made them so far.
func (e *editor) IndexedAccess(*sql.Context, sql.IndexLookup) sql.IndexedTable {
	c := *e.t.Table
	c.live = true
	return &c
}

// GetIndexes implements sql.IndexAddressable.
func (e *editor) GetIndexes(ctx *sql.Context) ([]sql.Index, error) { return e.t.GetIndexes(ctx) }

// PreciseMatch implements sql.IndexAddressable.
func (e *editor) PreciseMatch() bool { return e.t.PreciseMatch() }

// What follows makes a table of a commit a sql.ForeignKeyTable, so that SHOW CREATE TABLE … AS OF shows its foreign keys. Changes of them are refused.

var _ sql.ForeignKeyTable = (*Table)(nil)

// past is the table as one that refuses every change.
func (t *Table) past() *Writable { return &Writable{Table: t, frozen: true} }

// CreateIndexForForeignKey implements sql.ForeignKeyTable.
func (t *Table) CreateIndexForForeignKey(*sql.Context, sql.IndexDef) error { return t.past().refused() }

// AddForeignKey implements sql.ForeignKeyTable.
func (t *Table) AddForeignKey(*sql.Context, sql.ForeignKeyConstraint) error {
	return t.past().refused()
}

// DropForeignKey implements sql.ForeignKeyTable.
func (t *Table) DropForeignKey(*sql.Context, string, string, string) error { return t.past().refused() }

// UpdateForeignKey implements sql.ForeignKeyTable.
func (t *Table) UpdateForeignKey(*sql.Context, string, sql.ForeignKeyConstraint) error {
	return t.past().refused()
}

// GetForeignKeyEditor implements sql.ForeignKeyTable.
func (t *Table) GetForeignKeyEditor(*sql.Context) sql.ForeignKeyEditor { return newEditor(t.past()) }
