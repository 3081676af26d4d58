package lineage

import (
	"time"

	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/value"
)

// field is a column of a system table and where its value is in a record.
type field[T any] struct {
	name     string
	typ      value.Type
	nullable bool
	get      func(*T) value.Cell
	set      func(*T, value.Cell)
}

// characters is a column of text that lies in a string; where nullable, the empty string is NULL.
func characters[T any](name string, typ value.Type, nullable bool, at func(*T) *string) field[T] {
	return field[T]{name, typ, nullable,
		func(r *T) value.Cell {
			if s := *at(r); s != "" || !nullable {
				return value.BytesCell([]byte(s))
			}
			return value.Null
		},
		func(r *T, c value.Cell) {
			if *at(r) = ""; !c.IsNull() {
				*at(r) = string(c.Bytes())
			}
		},
	}
}

// name is a column of at most n characters.
func name[T any](column string, n uint32, nullable bool, at func(*T) *string) field[T] {
	return characters(column, value.Type{Kind: value.KindVarchar, Length: n, Collation: value.CollationUtf8mb40900Bin}, nullable, at)
}

// text is a column of text of any length.
func text[T any](column string, at func(*T) *string) field[T] {
	return characters(column, value.Type{Kind: value.KindText, Length: 1<<32 - 1, Collation: value.CollationUtf8mb40900Bin}, true, at)
}

// document is a column of JSON, canonical in the record as well.
func document[T any](column string, at func(*T) *string) field[T] {
	return characters(column, value.Type{Kind: value.KindJSON}, true, at)
}

// number is a column of whole numbers.
func number[T any](column string, at func(*T) *int64) field[T] {
	return field[T]{column, value.Type{Kind: value.KindInt64}, false,
		func(r *T) value.Cell { return value.IntCell(*at(r)) },
		func(r *T, c value.Cell) { *at(r) = c.Int() },
	}
}

// count is a column of whole numbers that may be unknown.
func count[T any](column string, at func(*T) **int64) field[T] {
	return field[T]{column, value.Type{Kind: value.KindInt64}, true,
		func(r *T) value.Cell {
			if n := *at(r); n != nil {
				return value.IntCell(*n)
			}
			return value.Null
		},
		func(r *T, c value.Cell) {
			if *at(r) = nil; !c.IsNull() {
				n := c.Int()
				*at(r) = &n
			}
		},
	}
}

// flag is a column of truth values.
func flag[T any](column string, at func(*T) *bool) field[T] {
	return field[T]{column, value.Type{Kind: value.KindInt8, Precision: 1}, false,
		func(r *T) value.Cell {
			if *at(r) {
				return value.IntCell(1)
			}
			return value.IntCell(0)
		},
		func(r *T, c value.Cell) { *at(r) = c.Int() != 0 },
	}
}

// moment is a column of times of UTC; the zero time is NULL.
func moment[T any](column string, at func(*T) *time.Time) field[T] {
	return field[T]{column, value.Type{Kind: value.KindDatetime, Precision: 6}, true,
		func(r *T) value.Cell {
			if t := *at(r); !t.IsZero() {
				return value.IntCell(t.UnixMicro())
			}
			return value.Null
		},
		func(r *T, c value.Cell) {
			if *at(r) = (time.Time{}); !c.IsNull() {
				*at(r) = time.UnixMicro(c.Int()).UTC()
			}
		},
	}
}

// kind is a system table whose rows are T.
type kind[T any] struct {
	table   string
	fields  []field[T]
	key     []string
	indexes [][]string // the columns of each; the first column's name with by_ before it is the index's
}

// Cells are a record's cells, in the order of the columns.
func (k *kind[T]) cells(r *T) []value.Cell {
	out := make([]value.Cell, len(k.fields))
	for i := range k.fields {
		out[i] = k.fields[i].get(r)
	}
	return out
}

// record is the record with these cells, none of which is out of line.
func (k *kind[T]) record(cells []value.Cell) T {
	var r T
	for i := range k.fields {
		k.fields[i].set(&r, cells[i])
	}
	return r
}

// schema is the table's schema.
func (k *kind[T]) schema() *schema.Schema {
	s := &schema.Schema{Collation: value.CollationUtf8mb40900Bin}
	for _, f := range k.fields {
		s.Columns = append(s.Columns, schema.Column{ID: schema.AssignID(f.name, f.typ, s.Columns, nil), Name: f.name, Type: f.typ, Nullable: f.nullable})
	}
	columns := func(names []string) []schema.IndexColumn {
		var out []schema.IndexColumn
		for _, n := range names {
			out = append(out, schema.IndexColumn{Column: s.Columns[s.ColumnIndex(n)].ID})
		}
		return out
	}
	s.PrimaryKey = columns(k.key)
	for _, x := range k.indexes {
		s.Indexes = append(s.Indexes, schema.Index{Name: "by_" + x[0], Columns: columns(x)})
	}
	return s
}
