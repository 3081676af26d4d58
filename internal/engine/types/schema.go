package types

import (
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	gms "github.com/dolthub/go-mysql-server/sql/types"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/value"
)

// SQLText is the text that a default, ON UPDATE or generation expression is stored as; "" for none. Text that ExpressionToSQL was given
// comes back as it was.
func SQLText(e *sql.ColumnDefaultValue) string {
	if e == nil {
		return ""
	}
	switch u := e.Expr.(type) {
	case *sql.UnresolvedColumnDefault: // String would put it in parentheses once more
		return u.ExprString
	case sql.UnresolvedColumnDefault:
		return u.ExprString
	case *expression.Literal:
		if t, ok := u.Val.(gms.Timespan); ok { // which the engine writes without quotes
			if text, err := e.Type(nil).SQL(nil, nil, t); err == nil {
				return "'" + text.ToString() + "'"
			}
		}
	}
	return e.String()
}

// ExpressionToSQL is the engine's form of a stored expression, which it parses when it needs it; nil for "".
func ExpressionToSQL(text string) *sql.ColumnDefaultValue {
	if text == "" {
		return nil
	}
	return sql.NewUnresolvedColumnDefaultValue(text)
}

// ColumnFromSQL is the stored form of a column, without an id. Its Absent is the default when that is a literal that the engine has
// resolved, else NULL. Unsupported types are errors of class Unsupported that name the column.
func ColumnFromSQL(ctx *sql.Context, col *sql.Column) (schema.Column, error) {
	t, err := FromSQL(col.Type)
	if err != nil {
		return schema.Column{}, errs.With(errs.CodeOf(err), nameColumn(col.Name, err))
	}
	out := schema.Column{
		Name:          col.Name,
		Type:          t,
		Nullable:      col.Nullable,
		HasDefault:    col.Default != nil,
		Default:       SQLText(col.Default),
		OnUpdate:      SQLText(col.OnUpdate),
		Generated:     SQLText(col.Generated),
		Stored:        col.Generated != nil && !col.Virtual,
		AutoIncrement: col.AutoIncrement,
		Comment:       col.Comment,
	}
	out.Absent, err = absent(ctx, t, col)
	if err != nil {
		return schema.Column{}, errs.With(errs.CodeOf(err), nameColumn(col.Name, err))
	}
	return out, nil
}

func nameColumn(name string, err error) error {
	return errs.New(errs.CodeOf(err), "column %s: %w", name, err)
}

// absent is the cell that a new column reads as in rows that were there before.
func absent(ctx *sql.Context, t value.Type, col *sql.Column) (value.Cell, error) {
	d := col.Default
	if d == nil || col.Generated != nil || !d.IsLiteral() || !d.Resolved() {
		return value.Null, nil
	}
	v, err := d.Eval(ctx, nil)
	if err != nil || v == nil {
		return value.Null, err
	}
	c, err := NewCodec(t)
	if err != nil {
		return value.Null, err
	}
	cell, err := c.ToCell(ctx, v)
	return cell.Clone(), err
}

// ColumnToSQL is the engine's form of a stored column of the table and database that are named. primary tells that it is in the
// primary key.
func ColumnToSQL(c *schema.Column, t sql.Type, db, table string, primary bool) *sql.Column {
	out := &sql.Column{
		Name:           c.Name,
		Type:           t,
		Nullable:       c.Nullable,
		Source:         table,
		DatabaseSource: db,
		PrimaryKey:     primary,
		AutoIncrement:  c.AutoIncrement,
		Comment:        c.Comment,
		OnUpdate:       ExpressionToSQL(c.OnUpdate),
		Generated:      ExpressionToSQL(c.Generated),
		Virtual:        c.Generated != "" && !c.Stored,
		HiddenSystem:   sql.IsHiddenSystemColumn(c.Name),
	}
	if c.HasDefault {
		out.Default = ExpressionToSQL(c.Default)
	}
	if c.AutoIncrement {
		out.Extra = "auto_increment"
	}
	return out
}

// SchemaFromSQL is the stored form of a new table, with its columns' ids assigned and its primary key in key order. The names of
// secondary indexes and checks come later.
func SchemaFromSQL(ctx *sql.Context, s sql.PrimaryKeySchema, collation sql.CollationID, comment string) (*schema.Schema, error) {
	c, err := CollationFromSQL(collation)
	if err != nil {
		return nil, err
	}
	out := &schema.Schema{Collation: c, Comment: comment}
	for _, col := range s.Schema {
		sc, err := ColumnFromSQL(ctx, col)
		if err != nil {
			return nil, err
		}
		sc.ID = schema.AssignID(sc.Name, sc.Type, out.Columns, nil)
		out.Columns = append(out.Columns, sc)
	}
	for _, i := range s.PkOrdinals {
		if i < 0 || i >= len(out.Columns) {
			return nil, errs.New(errs.Internal, "store a schema: primary key ordinal %d of %d columns", i, len(out.Columns))
		}
		out.Columns[i].Nullable = false
		out.PrimaryKey = append(out.PrimaryKey, schema.IndexColumn{Column: out.Columns[i].ID})
	}
	return out, out.Validate()
}

// SchemaToSQL is the engine's form of a stored schema, of the table and database that are named.
func SchemaToSQL(s *schema.Schema, codecs []*Codec, db, table string) sql.PrimaryKeySchema {
	cols := make(sql.Schema, len(s.Columns))
	for i := range s.Columns {
		c := &s.Columns[i]
		cols[i] = ColumnToSQL(c, codecs[i].SQL, db, table, s.InPrimaryKey(c.ID))
	}
	ordinals := make([]int, len(s.PrimaryKey))
	for i, k := range s.PrimaryKey {
		ordinals[i] = s.ColumnByID(k.Column)
	}
	return sql.PrimaryKeySchema{Schema: cols, PkOrdinals: ordinals}
}

// Codecs makes the codec of each column of a schema.
func Codecs(s *schema.Schema) ([]*Codec, error) {
	out := make([]*Codec, len(s.Columns))
	for i := range s.Columns {
		c, err := NewCodec(s.Columns[i].Type)
		if err != nil {
			return nil, nameColumn(s.Columns[i].Name, err)
		}
		out[i] = c
	}
	return out, nil
}

// TableRows makes the codec of a table's whole rows from the tuples of its own tree.
func TableRows(s *schema.Compiled, codecs []*Codec) (*RowCodec, error) {
	first := 0
	if s.Keyless() { // the ordinal
		first = 1
	}
	cells := make([]int, len(codecs))
	for i := range cells {
		cells[i] = first + i
		if c := &s.Columns[i]; c.Generated != "" && !c.Stored {
			cells[i] = -1
		}
	}
	return NewRowCodec(s.Primary.Phys, codecs, cells)
}

// IndexColumnsFromSQL are the stored columns of an index or primary key that the engine defines on a table. Unknown columns, and
// prefixes of columns that have none, are errors of class Invalid.
func IndexColumnsFromSQL(s *schema.Schema, cols []sql.IndexColumn) ([]schema.IndexColumn, error) {
	out := make([]schema.IndexColumn, len(cols))
	for i, c := range cols {
		at := s.ColumnIndex(c.Name)
		if at < 0 {
			return nil, sql.ErrKeyColumnDoesNotExist.New(c.Name)
		}
		out[i] = schema.IndexColumn{Column: s.Columns[at].ID, Prefix: uint32(c.Length)}
		switch t := s.Columns[at].Type; t.Kind {
		case value.KindChar, value.KindVarchar, value.KindBinary, value.KindVarbinary:
			if out[i].Prefix >= t.Length { // it cuts nothing
				out[i].Prefix = 0
			}
		case value.KindText, value.KindBlob, value.KindGeometry:
		default:
			if c.Length > 0 {
				return nil, sql.ErrInvalidIndexPrefix.New(c.Name)
			}
		}
	}
	return out, nil
}

// IndexFromSQL is the stored form of a secondary index. Kinds of indexes that are no ordered trees are errors of class Unsupported.
func IndexFromSQL(s *schema.Schema, def sql.IndexDef) (schema.Index, error) {
	kind := ""
	switch {
	case def.IsFullText():
		kind = "FULLTEXT"
	case def.IsSpatial():
		kind = "SPATIAL"
	case def.IsVector():
		kind = "VECTOR"
	}
	if kind != "" {
		return schema.Index{}, errs.New(errs.Unsupported, "index %s: %s indexes are not supported", def.Name, kind)
	}
	cols, err := IndexColumnsFromSQL(s, def.Columns)
	if err != nil {
		return schema.Index{}, err
	}
	return schema.Index{Name: def.Name, Columns: cols, Unique: def.IsUnique(), Comment: def.Comment}, nil
}

// IndexExpressions are the names by which the engine knows an index's columns: table.column each.
func IndexExpressions(s *schema.Schema, table string, cols []schema.IndexColumn) []string {
	out := make([]string, len(cols))
	for i, k := range cols {
		out[i] = strings.Join([]string{table, s.Columns[s.ColumnByID(k.Column)].Name}, ".")
	}
	return out
}
