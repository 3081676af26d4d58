package systab

import (
	"context"
	"slices"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/diff"
	"github.com/stemmadb/stemma/internal/engine/types"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// shape is the columns under which rows of a table are shown, whatever its columns were when the rows were written.
type shape struct {
	schema *schema.Compiled
	codecs []*types.Codec
	cols   []int // positions in the schema of those that are shown
	known  map[hash.Hash]*projector
}

// newShape shows rows with the columns of s.
func newShape(s *schema.Compiled) (*shape, error) {
	codecs, err := types.Codecs(s.Schema)
	if err != nil {
		return nil, err
	}
	sh := &shape{schema: s, codecs: codecs, known: map[hash.Hash]*projector{}}
	for i := range s.Columns {
		if !sql.IsHiddenSystemColumn(s.Columns[i].Name) {
			sh.cols = append(sh.cols, i)
		}
	}
	return sh, nil
}

// columns are the columns of the shape under names that begin with prefix: nullable, and without defaults and keys.
func (sh *shape) columns(prefix string) []*sql.Column {
	out := make([]*sql.Column, len(sh.cols))
	for i, c := range sh.cols {
		out[i] = &sql.Column{Name: prefix + sh.schema.Columns[c].Name, Type: sh.codecs[c].SQL, Nullable: true}
	}
	return out
}

// keys are the names of the key columns, with a prefix.
func (sh *shape) keys(prefix string) []string {
	var out []string
	for _, k := range sh.schema.PrimaryKey {
		out = append(out, prefix+sh.schema.Columns[sh.schema.ColumnByID(k.Column)].Name)
	}
	return out
}

// projector reads rows of one schema as rows of a shape.
type projector struct{ slots []slot }

// slot is a column of a shape: where the rows read have it, -1 for nowhere, and how it is read.
type slot struct {
	at    int
	codec *types.Codec
	as    sql.Type // what the value becomes; nil when it is one already
}

// projector makes the projector for rows of schema s. Columns are paired as diff.Align pairs them.
func (sh *shape) projector(s *schema.Compiled) (*projector, error) {
	if p := sh.known[s.Hash]; p != nil {
		return p, nil
	}
	p := &projector{slots: make([]slot, len(sh.cols))}
	pairs := diff.Align(s.Schema, sh.schema.Schema)
	for i, c := range sh.cols {
		to := &sh.schema.Columns[c]
		sl := slot{at: pairs[c].From, codec: sh.codecs[c]}
		if sl.at >= 0 {
			from := &s.Columns[sl.at]
			if from.Generated != "" && !from.Stored {
				sl.at = -1 // virtual: no row holds it
			} else if !from.Type.Equal(to.Type) {
				var err error
				if sl.codec, err = types.NewCodec(from.Type); err != nil {
					return nil, err
				}
				sl.as = sh.codecs[c].SQL
			}
		}
		p.slots[i] = sl
	}
	sh.known[s.Hash] = p
	return p, nil
}

// fill reads a row, whose cells cell gives by column of its schema, into dst. A value that the shape's type cannot take is NULL, with
// a warning.
func (p *projector) fill(ctx *sql.Context, r chunk.Reader, cell cellFunc, dst []any) (err error) {
	for i := range p.slots {
		if dst[i], err = p.value(ctx, r, cell, i); err != nil {
			return err
		}
	}
	return nil
}

// cellFunc gives the cell of a column, by its position in the schema of the row.
type cellFunc func(ctx context.Context, col int) (value.Cell, error)

// value is the value of one column of the shape; see fill.
func (p *projector) value(ctx *sql.Context, r chunk.Reader, cell cellFunc, i int) (any, error) {
	s := &p.slots[i]
	if s.at < 0 {
		return nil, nil
	}
	c, err := cell(ctx, s.at)
	if err != nil {
		return nil, err
	}
	if c, err = table.Resolve(ctx, r, c); err != nil {
		return nil, err
	}
	v, err := s.codec.FromCell(c)
	if err != nil || s.as == nil || v == nil {
		return v, err
	}
	if v, err = sql.UnwrapAny(ctx, v); err != nil {
		return nil, err
	}
	conv, in, err := s.as.Convert(ctx, v)
	if err != nil || in != sql.InRange {
		ctx.Warn(1292, "the value %v of an older column type cannot be shown as %s", v, s.as)
		return nil, nil
	}
	return conv, nil
}

// bounds are keys between which all rows of s lie whose leading key columns have what a point gives under names with the prefix: values
// and, in the last of them, an interval. ok is false when that is nothing, or a key cannot hold it.
func (sh *shape) bounds(ctx context.Context, s *schema.Compiled, prefix string, at Point) (lo, hi []byte, ok bool) {
	pairs := diff.Align(s.Schema, sh.schema.Schema)
	var ranges sql.MySQLRange
	var codecs []*types.Codec
	for _, k := range s.PrimaryKey {
		col := s.ColumnByID(k.Column)
		shown := -1
		for _, p := range pairs {
			if p.From == col && p.To >= 0 {
				shown = p.To
			}
		}
		if shown < 0 {
			break
		}
		v, has := at[lower(prefix+sh.schema.Columns[shown].Name)]
		if !has {
			break
		}
		c, err := types.NewCodec(s.Columns[col].Type)
		if err != nil {
			return nil, nil, false
		}
		r, interval := v.(sql.MySQLRangeColumnExpr)
		if interval && !sameOrder(s.Columns[col].Type, sh.schema.Columns[shown].Type) {
			break
		}
		if !interval {
			cell, err := c.ToCell(ctx, v)
			if err != nil || cell.IsNull() || cell.IsAddr() {
				return nil, nil, false
			}
			if v, err = c.FromCell(cell); err != nil { // as the column has it, where that is of another type
				return nil, nil, false
			}
			r = sql.ClosedRangeColumnExpr(v, v, c.SQL)
		}
		ranges, codecs = append(ranges, r), append(codecs, c)
		if interval {
			break
		}
	}
	if len(ranges) == 0 {
		return nil, nil, false
	}
	ranger, err := types.NewKeyRanger(s.Primary.Parts[:len(codecs)], codecs)
	if err != nil {
		return nil, nil, false
	}
	keys, _, err := ranger.KeyRanges(ctx, sql.MySQLRangeCollection{ranges})
	switch {
	case err != nil:
		return nil, nil, false
	case len(keys) == 0: // no key lies there
		return []byte{}, []byte{}, true
	}
	return keys[0].Lo, keys[0].Hi, true
}

// sameOrder tells whether values of one type lie as they do when they are shown as values of the other.
func sameOrder(a, b value.Type) bool {
	return a.Equal(b) || slices.Contains(integers, a.Kind) && slices.Contains(integers, b.Kind)
}

var integers = []value.Kind{
	value.KindInt8, value.KindInt16, value.KindInt24, value.KindInt32, value.KindInt64,
	value.KindUint8, value.KindUint16, value.KindUint24, value.KindUint32, value.KindUint64,
}
