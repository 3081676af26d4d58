package sqltable

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/engine/session"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/value"
)

// Point reads and writes one row of a table of a session's transaction by its primary key, for statements that need no plan. It is
// made for one statement.
type Point struct {
	def   *Def
	part  *session.Part
	key   []byte
	set   []bool       // columns of the key that have a value
	cells []value.Cell // of the row, once it was found; before, of the key
}

// NewPoint is a point of the table; nil when rows of the table cannot be written by themselves: it has no primary key of whole columns,
// or has checks, generated columns, or columns that an update sets by itself.
func NewPoint(d *Def, part *session.Part) *Point {
	if !d.simple {
		return nil
	}
	n := len(d.Schema.Primary.Phys)
	return &Point{def: d, part: part, set: make([]bool, n), cells: make([]value.Cell, n)}
}

// simple tells whether rows of the table can be written by themselves.
func simple(s *schema.Compiled) bool {
	return !s.Keyless() && len(s.Checks) == 0 &&
		!slices.ContainsFunc(s.PrimaryKey, func(k schema.IndexColumn) bool { return k.Prefix > 0 }) &&
		!slices.ContainsFunc(s.Columns, func(c schema.Column) bool { return c.Generated != "" || c.OnUpdate != "" })
}

// Definition is the session's definition of the table: another one when the table is altered or another is meant by its name.
func (p *Point) Definition() *Def { return p.def }

// Name is the table's name as written when it was made.
func (p *Point) Name() string { return p.def.Name }

// Schema is the table's columns.
func (p *Point) Schema() sql.Schema { return p.def.sql.Schema }

// Column is the position of a column by its name in any case, -1 when there is none.
func (p *Point) Column(name string) int {
	return slices.IndexFunc(p.def.sql.Schema, func(c *sql.Column) bool { return strings.EqualFold(c.Name, name) })
}

// InKey tells whether a column is part of the primary key.
func (p *Point) InKey(col int) bool { return p.def.Schema.InKey[col] }

// KeyWidth is the number of columns of the primary key.
func (p *Point) KeyWidth() int { return len(p.def.Schema.PrimaryKey) }

// SetKey sets a column of the primary key to a literal's value. It is false when it was set before, when the column does not hold the
// value exactly, or when a comparison of the two would not be one of the column's own values.
func (p *Point) SetKey(ctx *sql.Context, col int, v any) bool {
	if p.set[col] {
		return false
	}
	p.set[col] = true
	c := p.def.codecs[col]
	switch k := c.Type.Kind; {
	case k == value.KindDecimal || isWhole(k) && c.SQL.String() != "tinyint(1)":
		switch v.(type) {
		case int8, int16, int32, int64, uint8, uint16, uint32, uint64:
		default:
			return false
		}
	case k == value.KindChar || k == value.KindVarchar:
		if s, ok := v.(string); !ok || !utf8.ValidString(s) {
			return false
		}
	default:
		return false
	}
	cell, err := c.ToCell(ctx, v)
	if err != nil || cell.IsNull() {
		return false // the general way says what it is
	}
	p.cells[col] = cell
	return true
}

func isWhole(k value.Kind) bool { return k >= value.KindInt8 && k <= value.KindUint64 }

// Numeric tells whether the values of a column are plain numbers.
func (p *Point) Numeric(col int) bool {
	switch k := p.def.codecs[col].Type.Kind; k {
	case value.KindFloat32, value.KindFloat64, value.KindDecimal:
		return true
	default:
		return isWhole(k)
	}
}

// Settable tells whether a column is of a type that assignments of plain values convert to without regard to anything but the value.
func (p *Point) Settable(col int) bool {
	switch p.def.codecs[col].Type.Kind {
	case value.KindChar, value.KindVarchar, value.KindText, value.KindDate, value.KindDatetime:
		return !p.def.sql.Schema[col].AutoIncrement
	}
	return p.Numeric(col) && !p.def.sql.Schema[col].AutoIncrement
}

// Find looks for the row of the key, all of whose columns were set.
func (p *Point) Find(ctx *sql.Context) (bool, error) {
	p.key = p.def.Schema.Primary.AppendKey(p.key[:0], p.cells)
	return p.part.Tx().Row(ctx, p.def.Stored, p.key, p.cells)
}

// Alone tells whether a row can be changed without a look at other tables: no foreign key is the table's own or refers to it.
func (p *Point) Alone(ctx *sql.Context) (bool, error) {
	if len(p.def.Schema.References) > 0 {
		return false, nil
	}
	children, err := p.part.Tx().Children(ctx, p.def.Stored)
	return err == nil && len(children) == 0, err
}

// Value is a value of the row that was found. A value out of line is an error.
func (p *Point) Value(col int) (any, error) { return p.def.codecs[col].FromCell(p.cells[col]) }

// Update sets columns, none of them of the key, of the row that was found. When it fails nothing has changed.
func (p *Point) Update(ctx *sql.Context, cols []int, row sql.Row) error {
	now := slices.Clone(p.cells)
	for _, col := range cols {
		cell, err := p.def.codecs[col].ToCell(ctx, row[col])
		if err != nil {
			return err
		}
		now[col] = cell
	}
	if err := checkText(p.def.Schema, p.def.ascii, now, 0); err != nil {
		return err
	}
	ed, err := p.part.Editor(ctx, p.def.Stored)
	if err != nil {
		return err
	}
	ok, err := ed.Update(ctx, p.cells, now)
	if err == nil && !ok {
		err = errs.New(errs.Internal, "update a row of table %s: it was there and is not any more", p.def.Name)
	}
	return err
}

// Delete deletes the row that was found. When it fails nothing has changed.
func (p *Point) Delete(ctx *sql.Context) error {
	ed, err := p.part.Editor(ctx, p.def.Stored)
	if err != nil {
		return err
	}
	ok, err := ed.Delete(ctx, p.cells)
	if err == nil && !ok {
		err = errs.New(errs.Internal, "delete a row of table %s: it was there and is not any more", p.def.Name)
	}
	return err
}
