package sqltable

import (
	"slices"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/engine/session"
	"github.com/stemmadb/stemma/internal/engine/types"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// alter replaces the table by what fn makes of it, whose edits are all in its trees, and brings t up to date.
func (t *Writable) alter(ctx *sql.Context, fn func(tx *repo.Tx, cur *table.Table) (*table.Table, error)) error {
	if err := t.unalterable(); err != nil {
		return err
	}
	name := t.def.Stored
	t.def.forget(ctx)
	var next *table.Table
	err := t.part.Alter(func(tx *repo.Tx) error {
		cur, err := tx.FoldTable(ctx, name)
		if err != nil {
			return err
		}
		if next, err = fn(tx, cur); err != nil {
			return err
		}
		return tx.PutTable(ctx, name, next)
	})
	if err != nil {
		return err
	}
	return t.refresh(ctx, next.Schema)
}

// unalterable says why the schema of the table cannot be changed; nil when it can. That of dolt_schemas decides whether names are those of
// views, for every statement.
func (t *Writable) unalterable() error {
	if strings.EqualFold(t.def.Stored, repo.SchemasTable) {
		return session.Error(errs.New(errs.Invalid, "table %s cannot be altered: its rows are the views", repo.SchemasTable))
	}
	return t.refused()
}

// refresh makes t show a new schema.
func (t *Writable) refresh(ctx *sql.Context, s *schema.Compiled) error {
	own, err := session.Of(ctx)
	if err != nil {
		return err
	}
	d, err := t.defs.GetAs(s, t.def.DB, t.def.Name, t.def.Stored, t.def.Home)
	if err != nil {
		return err
	}
	d = d.For(own)
	fresh := newIn(d, t.part)
	t.Table = &fresh
	return nil
}

// Partitions implements sql.Table. A statement of several changes reads, for a new CHECK, the table that the changes before have made.
func (t *Writable) Partitions(ctx *sql.Context) (sql.PartitionIter, error) {
	if t.part != nil && !t.quiet && t.cols == nil {
		v, _, ok, err := t.part.Table(ctx, t.def.Stored)
		if err != nil {
			return nil, session.Error(err)
		}
		if ok && v.Table.Schema.Hash != t.def.Schema.Hash {
			if err := t.refresh(ctx, v.Schema()); err != nil {
				return nil, err
			}
		}
	}
	return t.Table.Partitions(ctx)
}

// describe changes the schema only: the trees stay as they are.
func (t *Writable) describe(ctx *sql.Context, change func(s *schema.Schema) error) error {
	return t.alter(ctx, func(_ *repo.Tx, cur *table.Table) (*table.Table, error) {
		c, err := changed(cur.Schema, change)
		if err != nil {
			return nil, err
		}
		return &table.Table{Schema: c, Rows: cur.Rows, Indexes: cur.Indexes}, nil
	})
}

func changed(s *schema.Compiled, change func(s *schema.Schema) error) (*schema.Compiled, error) {
	next := s.Schema.Clone()
	if err := change(next); err != nil {
		return nil, err
	}
	if name := wholeLong(next); name != "" && wholeLong(s.Schema) == "" {
		return nil, sql.ErrInvalidBlobTextKey.New(name)
	}
	return schema.Compile(next)
}

// hiddenColumn begins the name of the column that go-mysql-server makes for an expression that is indexed.
const hiddenColumn = "!hidden!"

// wholeLong is a column of texts or bytes of any length that is in a key without a prefix; "" for none. Unique indexes may have such
// columns, and so may indexes on expressions, which cannot have a prefix: JSON_UNQUOTE gives a LONGTEXT.
func wholeLong(s *schema.Schema) string {
	keys := slices.Clone(s.PrimaryKey)
	for i := range s.Indexes {
		if !s.Indexes[i].Unique {
			keys = append(keys, s.Indexes[i].Columns...)
		}
	}
	for _, k := range keys {
		at := s.ColumnByID(k.Column)
		if at < 0 || k.Prefix > 0 {
			continue
		}
		switch s.Columns[at].Type.Kind {
		case value.KindText, value.KindBlob:
			if !strings.HasPrefix(s.Columns[at].Name, hiddenColumn) {
				return s.Columns[at].Name
			}
		case value.KindJSON:
			return s.Columns[at].Name
		}
	}
	return ""
}

// place moves the column at from to where order wants it; nil leaves it.
func place(s *schema.Schema, from int, order *sql.ColumnOrder) error {
	if order == nil {
		return nil
	}
	c := s.Columns[from]
	rest := slices.Delete(slices.Clone(s.Columns), from, from+1)
	to := 0
	if !order.First {
		at := slices.IndexFunc(rest, func(x schema.Column) bool { return strings.EqualFold(x.Name, order.AfterColumn) })
		if at < 0 {
			return sql.ErrTableColumnNotFound.New("", order.AfterColumn)
		}
		to = at + 1
	}
	s.Columns = slices.Insert(rest, to, c)
	return nil
}

// AddColumn implements sql.AlterableTable. Rows that are there read as the column's Absent.
func (t *Writable) AddColumn(ctx *sql.Context, col *sql.Column, order *sql.ColumnOrder) error {
	return t.describe(ctx, func(s *schema.Schema) error { return addColumn(ctx, s, col, order) })
}

func addColumn(ctx *sql.Context, s *schema.Schema, col *sql.Column, order *sql.ColumnOrder) error {
	if s.ColumnIndex(col.Name) >= 0 {
		return sql.ErrColumnExists.New(col.Name)
	}
	c, err := types.ColumnFromSQL(ctx, col)
	if err != nil {
		return err
	}
	c.ID = schema.AssignID(c.Name, c.Type, s.Columns, nil)
	if !c.Nullable && !c.HasDefault && c.Generated == "" { // MySQL fills it with the type's zero
		codec, err := types.NewCodec(c.Type)
		if err != nil {
			return err
		}
		if c.Absent, err = codec.ToCell(ctx, col.Type.Zero()); err != nil {
			return err
		}
		c.Absent = c.Absent.Clone()
	}
	s.Columns = append(s.Columns, c)
	return place(s, len(s.Columns)-1, order)
}

// DropColumn implements sql.AlterableTable. The column leaves the indexes, too; an index without columns goes.
func (t *Writable) DropColumn(ctx *sql.Context, name string) error {
	return t.alter(ctx, func(tx *repo.Tx, cur *table.Table) (*table.Table, error) {
		c, err := changed(cur.Schema, func(s *schema.Schema) error {
			at := s.ColumnIndex(name)
			if at < 0 {
				return sql.ErrTableColumnNotFound.New(t.def.Name, name)
			}
			s.Columns = slices.Delete(s.Columns, at, at+1)
			dropGone(s)
			return nil
		})
		if err != nil {
			return nil, err
		}
		return rewrite(ctx, tx, cur, c)
	})
}

// dropGone takes columns that are no more out of the primary key and the indexes.
func dropGone(s *schema.Schema) {
	gone := func(k schema.IndexColumn) bool { return s.ColumnByID(k.Column) < 0 }
	s.PrimaryKey = slices.DeleteFunc(slices.Clone(s.PrimaryKey), gone)
	var keep []schema.Index
	for _, x := range s.Indexes {
		if x.Columns = slices.DeleteFunc(slices.Clone(x.Columns), gone); len(x.Columns) > 0 {
			keep = append(keep, x)
		}
	}
	s.Indexes = keep
}

// ModifyColumn implements sql.AlterableTable, for changes that leave all cells as they are; see ShouldRewriteTable.
func (t *Writable) ModifyColumn(ctx *sql.Context, name string, col *sql.Column, order *sql.ColumnOrder) error {
	return t.describe(ctx, func(s *schema.Schema) error {
		at := s.ColumnIndex(name)
		if at < 0 {
			return sql.ErrTableColumnNotFound.New(t.def.Name, name)
		}
		if other := s.ColumnIndex(col.Name); other >= 0 && other != at {
			return sql.ErrColumnExists.New(col.Name)
		}
		c, err := types.ColumnFromSQL(ctx, col)
		if err != nil {
			return err
		}
		old := &s.Columns[at]
		c.ID, c.Absent = old.ID, old.Absent
		if s.InPrimaryKey(c.ID) {
			c.Nullable = false
		}
		s.Columns[at] = c
		return place(s, at, order)
	})
}

// sameCells tells whether cells of one type are, as they are, cells of the other with the same place in a leaf.
func sameCells(a, b value.Type) bool {
	if a.Kind != b.Kind || a.Collation != b.Collation || a.Precision != b.Precision || a.Scale != b.Scale ||
		a.Subtype != b.Subtype || a.SRID != b.SRID || a.HasSRID != b.HasSRID {
		return false
	}
	switch a.Kind {
	case value.KindChar, value.KindVarchar, value.KindText, value.KindVarbinary, value.KindBlob:
		return a.Length <= b.Length
	case value.KindEnum, value.KindSet:
		return len(a.Values) <= len(b.Values) && slices.Equal(a.Values, b.Values[:len(a.Values)])
	}
	return a.Length == b.Length
}

// CreateIndex implements sql.IndexAlterableTable. The index is built here.
func (t *Writable) CreateIndex(ctx *sql.Context, def sql.IndexDef) error {
	return t.alter(ctx, func(tx *repo.Tx, cur *table.Table) (*table.Table, error) {
		if def.Name == "" && len(def.Columns) > 0 {
			var err error
			if def.Name, err = sql.GenerateMySqlIndexName(ctx, def, t); err != nil {
				return nil, err
			}
		}
		if cur.Schema.IndexByName(def.Name) >= 0 || strings.EqualFold(def.Name, primaryID) {
			return nil, sql.ErrDuplicateKey.New(def.Name)
		}
		c, err := changed(cur.Schema, func(s *schema.Schema) error {
			x, err := types.IndexFromSQL(s, def)
			s.Indexes = append(s.Indexes, x)
			return err
		})
		if err != nil {
			return nil, err
		}
		n := len(c.Indexes) - 1
		next := &table.Table{Schema: c, Rows: cur.Rows, Indexes: append(slices.Clone(cur.Indexes), cur.Rows)}
		root, err := table.BuildIndex(ctx, tx.Store(), next, n, loadOptions(tx))
		if err != nil {
			return nil, duplicate(err, false)
		}
		next.Indexes[n] = root
		return next, nil
	})
}

// duplicate makes an error of class DuplicateKey the engine's.
func duplicate(err error, primary bool) error {
	if errs.Is(err, errs.DuplicateKey) {
		return sql.NewUniqueKeyErr(err.Error(), primary, nil)
	}
	return err
}

func loadOptions(tx *repo.Tx) table.LoadOptions {
	return table.LoadOptions{FS: tx.Repo().FS(), TempDir: tx.Repo().TempDir()}
}

// DropIndex implements sql.IndexAlterableTable.
func (t *Writable) DropIndex(ctx *sql.Context, name string) error {
	return t.alter(ctx, func(tx *repo.Tx, cur *table.Table) (*table.Table, error) {
		n := cur.Schema.IndexByName(name)
		if n < 0 {
			return nil, sql.ErrIndexNotFound.New(name)
		}
		c, err := changed(cur.Schema, func(s *schema.Schema) error {
			s.Indexes = slices.Delete(s.Indexes, n, n+1)
			return nil
		})
		if err != nil {
			return nil, err
		}
		for i := range c.Columns {
			if kept(cur.Schema.Schema, i) != kept(c.Schema, i) {
				return rewrite(ctx, tx, cur, c)
			}
		}
		return &table.Table{Schema: c, Rows: cur.Rows, Indexes: slices.Delete(slices.Clone(cur.Indexes), n, n+1)}, nil
	})
}

// RenameIndex implements sql.IndexAlterableTable.
func (t *Writable) RenameIndex(ctx *sql.Context, from, to string) error {
	return t.describe(ctx, func(s *schema.Schema) error {
		n := s.IndexByName(from)
		if n < 0 {
			return sql.ErrIndexNotFound.New(from)
		}
		if other := s.IndexByName(to); other >= 0 && other != n {
			return sql.ErrDuplicateKey.New(to)
		}
		s.Indexes[n].Name = to
		return nil
	})
}

// ShouldBuildIndex implements sql.IndexBuildingTable: CreateIndex has built the index, unless it has a virtual column, whose values
// only the engine can compute.
func (t *Writable) ShouldBuildIndex(_ *sql.Context, def sql.IndexDef) (bool, error) {
	s := t.def.Schema.Schema
	for _, c := range def.Columns {
		if at := s.ColumnIndex(c.Name); at >= 0 && virtual(&s.Columns[at]) {
			return true, nil
		}
	}
	return false, nil
}

// BuildIndex implements sql.IndexBuildingTable. When the index needs values that the rows do not have, they are written anew.
func (t *Writable) BuildIndex(ctx *sql.Context, def sql.IndexDef) (sql.RowInserter, error) {
	build, err := t.ShouldBuildIndex(ctx, def)
	if err != nil {
		return nil, err
	}
	if !build {
		t.Table.quiet = true // for the scan that comes next
		return ignoreRows{}, nil
	}
	return t.rewriter(ctx, t.def.Schema, t.def.codecs)
}

// ModifyComment implements sql.CommentAlterableTable.
func (t *Writable) ModifyComment(ctx *sql.Context, comment string) error {
	return t.describe(ctx, func(s *schema.Schema) error { s.Comment = comment; return nil })
}

// ModifyDefaultCollation implements sql.CollationAlterableTable.
func (t *Writable) ModifyDefaultCollation(ctx *sql.Context, id sql.CollationID) error {
	c, err := types.CollationFromSQL(id)
	if err != nil {
		return err
	}
	return t.describe(ctx, func(s *schema.Schema) error { s.Collation = c; return nil })
}

// ModifyStoredCollation implements sql.CollationAlterableTable: all columns of text get the collation.
func (t *Writable) ModifyStoredCollation(ctx *sql.Context, id sql.CollationID) error {
	c, err := types.CollationFromSQL(id)
	if err != nil {
		return err
	}
	return t.alter(ctx, func(tx *repo.Tx, cur *table.Table) (*table.Table, error) {
		next, err := changed(cur.Schema, func(s *schema.Schema) error {
			s.Collation = c
			for i := range s.Columns {
				switch s.Columns[i].Type.Kind {
				case value.KindChar, value.KindVarchar, value.KindText, value.KindEnum, value.KindSet:
					s.Columns[i].Type.Collation = c
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		return rewrite(ctx, tx, cur, next)
	})
}

// CreatePrimaryKey implements sql.PrimaryKeyAlterableTable.
func (t *Writable) CreatePrimaryKey(ctx *sql.Context, columns []sql.IndexColumn) error {
	return t.alter(ctx, func(tx *repo.Tx, cur *table.Table) (*table.Table, error) {
		c, err := changed(cur.Schema, func(s *schema.Schema) error {
			if !s.Keyless() {
				return sql.ErrMultiplePrimaryKeysDefined.New()
			}
			var err error
			s.PrimaryKey, err = types.IndexColumnsFromSQL(s, columns)
			for _, k := range s.PrimaryKey {
				s.Columns[s.ColumnByID(k.Column)].Nullable = false
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		return rewrite(ctx, tx, cur, c)
	})
}

// DropPrimaryKey implements sql.PrimaryKeyAlterableTable.
func (t *Writable) DropPrimaryKey(ctx *sql.Context) error {
	return t.alter(ctx, func(tx *repo.Tx, cur *table.Table) (*table.Table, error) {
		c, err := changed(cur.Schema, func(s *schema.Schema) error {
			if s.Keyless() {
				return sql.ErrCantDropFieldOrKey.New(primaryID)
			}
			s.PrimaryKey = nil
			return nil
		})
		if err != nil {
			return nil, err
		}
		return rewrite(ctx, tx, cur, c)
	})
}
