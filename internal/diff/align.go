package diff

import (
	"bytes"
	"math/big"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/value"
)

// Column is a column of two schemas: its positions in them, -1 where a schema lacks it.
type Column struct {
	Name     string // the to side's where it has the column
	From, To int
	same     bool // both sides keep equal values as equal cells
}

// Align pairs the columns of two schemas: by id, then those left by equal name and type, then those left by equal name: a column
// that got a type of another family has another id. Columns come in the order of the to side, then those that only the from side
// has, in its order.
func Align(from, to *schema.Schema) []Column {
	taken := make([]bool, len(from.Columns))
	cols := make([]Column, len(to.Columns), len(to.Columns)+len(from.Columns))
	for i := range to.Columns {
		cols[i] = Column{Name: to.Columns[i].Name, From: from.ColumnByID(to.Columns[i].ID), To: i}
		if cols[i].From >= 0 {
			taken[cols[i].From] = true
		}
	}
	for _, anyType := range []bool{false, true} {
		for i := range cols {
			c := &cols[i]
			if c.From >= 0 {
				continue
			}
			f := from.ColumnIndex(c.Name)
			if f >= 0 && !taken[f] && (anyType || from.Columns[f].Type.Equal(to.Columns[c.To].Type)) {
				c.From, taken[f] = f, true
			}
		}
	}
	for i := range from.Columns {
		if !taken[i] {
			cols = append(cols, Column{Name: from.Columns[i].Name, From: i, To: -1})
		}
	}
	for i := range cols {
		c := &cols[i]
		if c.From < 0 || c.To < 0 {
			continue
		}
		f, t := &from.Columns[c.From], &to.Columns[c.To]
		// Cells of a key are never out of line, others may be.
		c.same = sameCells(f.Type, t.Type) && from.InPrimaryKey(f.ID) == to.InPrimaryKey(t.ID)
	}
	return cols
}

// sameCells tells whether equal values of two types are equal cells.
func sameCells(a, b value.Type) bool {
	if cellClass(a.Kind) != cellClass(b.Kind) || a.Phys() != b.Phys() {
		return false
	}
	switch a.Kind {
	case value.KindDecimal:
		return a.Scale == b.Scale && (a.Phys() == value.Int64 || a.Precision == b.Precision)
	case value.KindBit, value.KindBinary:
		return a.Length == b.Length
	case value.KindEnum, value.KindSet:
		n := min(len(a.Values), len(b.Values))
		return slices.Equal(a.Values[:n], b.Values[:n])
	}
	return true
}

// cellClass groups the kinds that keep equal values as equal cells, parameters aside. It is the least kind of the group.
func cellClass(k value.Kind) value.Kind {
	switch k {
	case value.KindInt16, value.KindInt24, value.KindInt32, value.KindInt64,
		value.KindUint8, value.KindUint16, value.KindUint24, value.KindUint32, value.KindYear:
		return value.KindInt8
	case value.KindTimestamp:
		return value.KindDatetime
	case value.KindVarchar, value.KindText:
		return value.KindChar
	case value.KindBlob:
		return value.KindVarbinary
	}
	return k
}

// sameKey tells whether two schemas give rows the same keys: the same paired columns in the same order, encoded alike.
func sameKey(from, to *schema.Compiled, cols []Column) bool {
	if len(from.PrimaryKey) != len(to.PrimaryKey) {
		return false
	}
	for i, k := range to.PrimaryKey {
		f := from.PrimaryKey[i]
		ti, fi := to.ColumnByID(k.Column), from.ColumnByID(f.Column)
		c := &cols[ti]
		if c.From != fi || !c.same || f.Desc != k.Desc || f.Prefix != k.Prefix {
			return false
		}
		a, b := from.Columns[fi].Type, to.Columns[ti].Type
		if cellClass(a.Kind) == value.KindChar && a.Collation != b.Collation {
			return false
		}
	}
	return true
}

// samePages tells whether pages of either schema can be read and compared with one layout: paired columns have equal ids, cells
// and absent values.
func samePages(from, to *schema.Compiled, cols []Column) bool {
	for i := range cols {
		c := &cols[i]
		if c.From < 0 || c.To < 0 {
			continue
		}
		f, t := &from.Columns[c.From], &to.Columns[c.To]
		if f.ID != t.ID || !c.same || !f.Absent.Equal(t.Absent) {
			return false
		}
	}
	return true
}

// sameValue tells whether two cells of different types stand for one value. Out-of-line cells must be resolved before.
func sameValue(a value.Type, x value.Cell, b value.Type, y value.Cell) bool {
	if x.IsNull() || y.IsNull() {
		return x.IsNull() && y.IsNull()
	}
	asNumber := isNumber(a.Kind) && isNumber(b.Kind)
	return bytes.Equal(appendValue(nil, a, x, asNumber), appendValue(nil, b, y, asNumber))
}

// appendValue appends a form of a value that does not depend on how its type keeps it: the text of a cell that is not NULL or, of
// numbers that are compared with numbers, a reduced fraction, so that 1.50, 1.5 and 15e-1 are one.
func appendValue(dst []byte, t value.Type, c value.Cell, asNumber bool) []byte {
	if !asNumber {
		return value.AppendText(dst, t, c)
	}
	text := string(value.AppendText(nil, t, c))
	if len(text) < 400 && !strings.ContainsAny(text, "nN") { // neither Inf nor NaN
		if r, ok := new(big.Rat).SetString(text); ok {
			return append(dst, r.RatString()...)
		}
	}
	return append(dst, text...)
}

func isNumber(k value.Kind) bool {
	return k >= value.KindInt8 && k <= value.KindDecimal || k == value.KindYear
}
