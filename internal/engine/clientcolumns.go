package engine

import (
	"github.com/dolthub/go-mysql-server/sql"
	gms "github.com/dolthub/go-mysql-server/sql/types"

	"github.com/stemmadb/stemma/internal/engine/types"
	"github.com/stemmadb/stemma/internal/value"
)

// Column is a column of an answer.
type Column struct {
	Name     string
	Type     value.Type
	Nullable bool
	codec    *types.Codec // nil: the value's text
	sql      sql.Type
}

// columnsOf are the columns of a schema; none for a statement that gives no rows.
func columnsOf(schema sql.Schema) ([]Column, error) {
	if gms.IsOkResultSchema(schema) {
		return nil, nil
	}
	out := make([]Column, len(schema))
	for i, c := range schema {
		out[i] = Column{Name: c.Name, Nullable: true, sql: c.Type}
		t, err := types.FromSQL(c.Type)
		if err == nil {
			out[i].codec, err = types.NewCodec(t)
		}
		if err != nil { // a type of expressions only, such as that of NULL
			t = value.Type{Kind: value.KindText, Length: value.LongLength, Collation: value.CollationUtf8mb40900Bin}
			out[i].codec = nil
		}
		out[i].Type = t
	}
	return out, nil
}

// cell is a value of the engine as a cell of the column.
func (c *Column) cell(ctx *sql.Context, v any) (value.Cell, error) {
	if v == nil {
		return value.Null, nil
	}
	if c.codec != nil {
		return c.codec.ToCell(ctx, v)
	}
	v, err := sql.UnwrapAny(ctx, v)
	if err != nil || v == nil {
		return value.Null, err
	}
	text, err := c.sql.SQL(ctx, nil, v)
	if err != nil {
		return value.Null, err
	}
	if text.IsNull() {
		return value.Null, nil
	}
	return value.BytesCell(text.ToBytes()), nil
}
