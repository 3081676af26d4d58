package lineage

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// How rows of an input were found for a row of an output.
const (
	ByMapping = "mapping" // the run declared which columns lead to which
	ByColumns = "columns" // the statement that wrote the row copies the columns
	ByKey     = "key"     // the row has the columns of the input's primary key
	ByShared  = "shared"  // the input has columns of the row's primary key: rows that agree on them, of which more may be than the run used for it
)

// Pair is a column that a run wrote, and the one of an input that leads back by its value.
type Pair struct{ Written, Read string }

// Sought is a row of a table that a run wrote.
type Sought struct {
	Schema *schema.Schema
	Cells  []value.Cell // one for each column
}

// PairColumns are the columns by whose values rows of an input are found for a row that a run wrote, and how they are known: what
// the input declares, what the output's statement tells, or columns of the same name that are a key. Where nothing tells, how is Unknown and
// note says why.
func PairColumns(of *schema.Schema, out *Output, in *Input, from *schema.Schema) (pairs []Pair, how, note string, err error) {
	if in.Mapping != "" {
		declared := map[string]string{}
		if err := json.Unmarshal(value.AppendJSONText(nil, []byte(in.Mapping)), &declared); err != nil {
			return nil, "", "", errs.New(errs.Corrupt, "read %s: the mapping of run %s is no object of strings: %w", Inputs, in.Run, err)
		}
		for i := range of.Columns {
			w := of.Columns[i].Name
			for written, read := range declared {
				if !strings.EqualFold(written, w) {
					continue
				}
				c := from.ColumnIndex(read)
				if c < 0 {
					return nil, Unknown, "the run's mapping names column " + read + ", which " + in.Table + " has not", nil
				}
				pairs = append(pairs, Pair{w, from.Columns[c].Name})
			}
		}
		if len(pairs) == 0 {
			return nil, Unknown, "the run's mapping names no column of the row", nil
		}
		return pairs, ByMapping, "", nil
	}
	if pairs, err := copied(of, out, in, from); err != nil || len(pairs) > 0 {
		return pairs, ByColumns, "", err
	}
	key := func(s *schema.Schema) (names []string) {
		for _, k := range s.PrimaryKey {
			names = append(names, s.Columns[s.ColumnByID(k.Column)].Name)
		}
		return names
	}
	for _, name := range key(from) {
		if c := of.ColumnIndex(name); c >= 0 {
			pairs = append(pairs, Pair{of.Columns[c].Name, name})
		}
	}
	if n := len(from.PrimaryKey); n > 0 && len(pairs) == n {
		return pairs, ByKey, "", nil
	}
	pairs = nil
	for _, name := range key(of) {
		if c := from.ColumnIndex(name); c >= 0 {
			pairs = append(pairs, Pair{name, from.Columns[c].Name})
		}
	}
	if len(pairs) == 0 {
		return nil, Unknown, "no key column is in both tables, and the run declares no mapping", nil
	}
	return pairs, ByShared, "", nil
}

// copied are the columns of the row's primary key, of all columns where it has none, that the statement took as they were from the input.
func copied(of *schema.Schema, out *Output, in *Input, from *schema.Schema) ([]Pair, error) {
	origins, err := out.Origins()
	if err != nil {
		return nil, err
	}
	var pairs []Pair
	for i := range of.Columns {
		c := &of.Columns[i]
		if !of.Keyless() && !of.InPrimaryKey(c.ID) {
			continue
		}
		var list []Origin
		for name, from := range origins {
			if strings.EqualFold(name, c.Name) {
				list = append(list, from...)
			}
		}
		if len(list) != 1 || list[0].Kind != Identity || !strings.EqualFold(list[0].Table, in.Table) || !sameDB(list[0].DB, out.DB, in.DB) {
			continue
		}
		if at := from.ColumnIndex(list[0].Column); at >= 0 {
			pairs = append(pairs, Pair{c.Name, from.Columns[at].Name})
		}
	}
	return pairs, nil
}

// sameDB tells whether a database that an origin names, "" for that of the output, is that of an input.
func sameDB(origin, output, input string) bool {
	if origin == "" {
		origin = output
	}
	return strings.EqualFold(origin, input)
}

// FindRows calls fn for the rows of an input that have the values that a row has in the paired columns, until it returns false. The cells
// are valid during the call. A value that the input's column cannot hold is in no row.
func FindRows(ctx context.Context, of *Sought, in *table.View, pairs []Pair, fn func(cells []value.Cell) (bool, error)) error {
	var want []wanted
	for _, p := range pairs {
		w, r := of.Schema.ColumnIndex(p.Written), in.Schema().ColumnIndex(p.Read)
		if w < 0 || r < 0 {
			return errs.New(errs.Internal, "find rows: no column %s or %s", p.Written, p.Read)
		}
		c := of.Cells[w]
		if wt, rt := of.Schema.Columns[w].Type, in.Schema().Columns[r].Type; !c.IsNull() && !wt.Equal(rt) {
			var ok bool
			if c, ok = inColumn(rt, wt, c); !ok {
				return nil
			}
		}
		want = append(want, wanted{r, c})
	}
	return findRows(ctx, in, want, fn)
}

// inColumn is a value as a column of another type holds it; false when it holds none that is equal, which it would be rounded or cut to.
func inColumn(to, from value.Type, c value.Cell) (value.Cell, bool) {
	there, err := value.Parse(to, value.AppendText(nil, from, c))
	if err != nil {
		return there, false
	}
	back, err := value.Parse(from, value.AppendText(nil, to, there))
	if err != nil {
		return there, false
	}
	part := value.KeyPart{Type: from}
	return there, bytes.Equal(value.AppendKeyPart(nil, &part, back), value.AppendKeyPart(nil, &part, c))
}

// FindRow calls fn for the rows that have the values of columns which a user gives as text, nil for NULL.
func FindRow(ctx context.Context, in *table.View, values map[string]*string, fn func(cells []value.Cell) (bool, error)) error {
	var want []wanted
	for name, text := range values {
		c := in.Schema().ColumnIndex(name)
		if c < 0 {
			return errs.New(errs.NotFound, "column not found: %s", name)
		}
		cell := value.Null
		if text != nil {
			var err error
			if cell, err = value.Parse(in.Schema().Columns[c].Type, []byte(*text)); err != nil {
				return errs.New(errs.Invalid, "column %s: %w", name, err)
			}
		}
		want = append(want, wanted{c, cell})
	}
	return findRows(ctx, in, want, fn)
}
