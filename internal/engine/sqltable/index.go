package sqltable

import (
	"slices"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/engine/types"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// primaryID is the name by which the engine knows a primary key.
const primaryID = "PRIMARY"

// Index is an index of a table: its primary key, which is the table's own tree, or a secondary one. It is immutable.
type Index struct {
	def      *Def
	tree     table.Rows
	id       string
	unique   bool
	comment  string
	exprs    []string
	types    []sql.ColumnExpressionType
	extExprs []string
	extTypes []sql.ColumnExpressionType
	prefixes []uint16 // nil when no column has one
	ordered  bool     // ascending whole columns
	ranger   *types.KeyRanger
	layout   *schema.Layout
	cover    []int // of a column of the table: its cell in the index's tuples, -1 when it is not there whole
	covered  map[string]bool
}

var (
	_ sql.Index         = (*Index)(nil)
	_ sql.ExtendedIndex = (*Index)(nil)
	_ sql.OrderedIndex  = (*Index)(nil)
)

func (d *Def) newIndex(tree table.Rows) (*Index, error) {
	s := d.Schema
	x := &Index{def: d, tree: tree, id: primaryID, unique: true, layout: s.Primary, covered: map[string]bool{}}
	cols := s.PrimaryKey
	if tree != table.RowsTree {
		i := &s.Indexes[tree]
		x.id, x.unique, x.comment, cols, x.layout = i.Name, i.Unique, i.Comment, i.Columns, s.Index[tree]
	}
	x.ordered = true
	for i, k := range cols {
		if k.Prefix > 0 && x.prefixes == nil {
			x.prefixes = make([]uint16, len(cols))
		}
		if k.Prefix > 0 {
			x.prefixes[i] = uint16(k.Prefix)
		}
		x.ordered = x.ordered && !k.Desc && k.Prefix == 0
		x.addColumn(k.Column, &x.exprs, &x.types)
	}
	x.extExprs, x.extTypes = slices.Clone(x.exprs), slices.Clone(x.types)
	for _, k := range s.PrimaryKey {
		if !slices.ContainsFunc(cols, func(c schema.IndexColumn) bool { return c.Column == k.Column }) {
			x.addColumn(k.Column, &x.extExprs, &x.extTypes)
		}
	}
	x.coverage()
	return x, x.newRanger(cols)
}

func (x *Index) addColumn(id uint64, exprs *[]string, typs *[]sql.ColumnExpressionType) {
	c := x.def.Schema.ColumnByID(id)
	e := x.def.Name + "." + x.def.Schema.Columns[c].Name
	*exprs = append(*exprs, e)
	*typs = append(*typs, sql.ColumnExpressionType{Expression: e, Type: types.Searched(x.def.codecs[c].SQL)})
}

// coverage finds which columns can be read from the index's own tree.
func (x *Index) coverage() {
	d := x.def
	x.cover = slices.Clone(d.cells)
	if x.tree != table.RowsTree {
		for c := range x.cover {
			x.cover[c] = slices.IndexFunc(x.layout.Source, func(s schema.Source) bool { return s.Cell == d.cells[c] && s.Prefix == 0 })
		}
	}
	for c, at := range x.cover {
		if at >= 0 {
			x.covered[strings.ToLower(d.Schema.Columns[c].Name)] = true
		}
	}
}

func (x *Index) newRanger(cols []schema.IndexColumn) error {
	parts := slices.Clone(x.layout.Parts)
	codecs := make([]*types.Codec, len(parts))
	for i := range parts {
		if i < len(cols) {
			parts[i].Prefix = cols[i].Prefix
		} else if x.tree != table.RowsTree {
			parts[i].Prefix = x.layout.Source[i].Prefix
		}
		var err error
		if codecs[i], err = types.NewCodec(parts[i].Type); err != nil {
			return err
		}
	}
	var err error
	x.ranger, err = types.NewKeyRanger(parts, codecs)
	return err
}

// ID implements sql.Index.
func (x *Index) ID() string { return x.id }

// String is the index's name, for plans.
func (x *Index) String() string { return x.id }

// Database implements sql.Index.
func (x *Index) Database() string { return x.def.DB }

// Table implements sql.Index.
func (x *Index) Table() string { return x.def.Name }

// Expressions implements sql.Index.
func (x *Index) Expressions() []string { return x.exprs }

// ColumnExpressionTypes implements sql.Index.
func (x *Index) ColumnExpressionTypes(*sql.Context) []sql.ColumnExpressionType { return x.types }

// ExtendedExpressions implements sql.ExtendedIndex.
func (x *Index) ExtendedExpressions(*sql.Context) []string { return x.extExprs }

// ExtendedColumnExpressionTypes implements sql.ExtendedIndex.
func (x *Index) ExtendedColumnExpressionTypes(*sql.Context) []sql.ColumnExpressionType {
	return x.extTypes
}

// IsUnique implements sql.Index.
func (x *Index) IsUnique() bool { return x.unique }

// IsSpatial implements sql.Index.
func (x *Index) IsSpatial() bool { return false }

// IsFullText implements sql.Index.
func (x *Index) IsFullText() bool { return false }

// IsVector implements sql.Index.
func (x *Index) IsVector() bool { return false }

// Comment implements sql.Index.
func (x *Index) Comment() string { return x.comment }

// IndexType implements sql.Index.
func (x *Index) IndexType() string { return "BTREE" }

// IsGenerated implements sql.Index.
func (x *Index) IsGenerated() bool { return false }

// CanSupport implements sql.Index. The engine drops the filters that ranges stand for, so only ranges that are kept to exactly are
// supported; it keeps them for indexes with prefixes.
func (x *Index) CanSupport(ctx *sql.Context, ranges ...sql.Range) bool {
	if x.prefixes != nil {
		return true
	}
	ok, err := x.ranger.Exact(ctx, ranges...)
	return ok && err == nil
}

// CanSupportOrderBy implements sql.Index.
func (x *Index) CanSupportOrderBy(sql.Expression) bool { return false }

// CoversColumns implements sql.Index.
func (x *Index) CoversColumns(cols []string) bool {
	for _, c := range cols {
		if !x.covered[strings.ToLower(c)] {
			return false
		}
	}
	return true
}

// PrefixLengths implements sql.Index.
func (x *Index) PrefixLengths() []uint16 { return x.prefixes }

// Order implements sql.OrderedIndex.
func (x *Index) Order(*sql.Context) sql.IndexOrder {
	if x.ordered {
		return sql.IndexOrderAsc
	}
	return sql.IndexOrderNone
}

// Reversible implements sql.OrderedIndex.
func (x *Index) Reversible(*sql.Context) bool { return x.ordered }

// covers tells whether the columns can be read from the index's own tree; nil is all.
func (x *Index) covers(cols []int) bool {
	if cols == nil {
		for c, at := range x.cover {
			if at < 0 && x.def.cells[c] >= 0 {
				return false
			}
		}
		return true
	}
	for _, c := range cols {
		if x.cover[c] < 0 && x.def.cells[c] >= 0 {
			return false
		}
	}
	return true
}

// keyWidth is the number of parts of the index's keys.
func (x *Index) keyWidth() int { return len(x.layout.Parts) }

// key is the key of a tuple of the index's tree.
func (x *Index) key(dst []byte, cells []value.Cell) []byte { return x.layout.AppendKey(dst, cells) }
