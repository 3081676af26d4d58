package frame

import (
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/page"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/value"
)

// longestKeyText is the length of text columns that a frame's key gets unless it says otherwise.
const longestKeyText = 255

// ColumnOf is the type of a column that is made for a field. Its metadata decides when it names one. key tells that the column is in the primary
// key.
func ColumnOf(f arrow.Field, key bool) (value.Type, error) {
	if t, ok, err := page.NotedType(f.Metadata); err != nil {
		return t, bad("column %q: %w", f.Name, err)
	} else if ok {
		return t, nil
	}
	t, open, err := page.TypeOf(f)
	if err != nil {
		return t, errs.New(errs.CodeOf(err), "column %q: %w", f.Name, err)
	}
	if open && key {
		t.Length = longestKeyText
		if t.Kind == value.KindBlob {
			t.Kind = value.KindVarbinary
		} else {
			t.Kind = value.KindVarchar
		}
	}
	return t, nil
}

// SchemaOf is the schema of a table that is made for a frame, with the primary key key, none when it is empty.
func SchemaOf(s *arrow.Schema, key []string) (*schema.Schema, error) {
	out := &schema.Schema{Collation: value.CollationUtf8mb40900Bin}
	if s.NumFields() == 0 {
		return nil, bad("the frame has no columns")
	}
	if err := distinct(s); err != nil {
		return nil, err
	}
	inKey := func(name string) bool {
		for _, k := range key {
			if strings.EqualFold(k, name) {
				return true
			}
		}
		return false
	}
	for _, f := range s.Fields() {
		if f.Name == "" {
			return nil, bad("a column of the frame has no name")
		}
		t, err := ColumnOf(f, inKey(f.Name))
		if err != nil {
			return nil, err
		}
		c := schema.Column{Name: f.Name, Type: t, Nullable: !inKey(f.Name)}
		c.ID = schema.AssignID(c.Name, c.Type, out.Columns, nil)
		out.Columns = append(out.Columns, c)
	}
	for _, k := range key {
		i := out.ColumnIndex(k)
		if i < 0 {
			var names []string
			for _, c := range out.Columns {
				names = append(names, c.Name)
			}
			return nil, &ColumnError{Column: k, Near: errs.Nearest(k, names), Frame: true}
		}
		switch out.Columns[i].Type.Kind {
		case value.KindJSON, value.KindVector, value.KindGeometry:
			return nil, bad("column %q of type %s cannot be in a primary key", k, out.Columns[i].Type)
		case value.KindText, value.KindBlob:
			return nil, bad("column %q of type %s cannot be in a primary key; give it a type such as varchar(255)", k, out.Columns[i].Type)
		}
		out.PrimaryKey = append(out.PrimaryKey, schema.IndexColumn{Column: out.Columns[i].ID})
	}
	return out, out.Validate()
}

// distinct refuses a frame with two columns of one name.
func distinct(s *arrow.Schema) error {
	seen := map[string]string{}
	for _, f := range s.Fields() {
		l := strings.ToLower(f.Name)
		if other, ok := seen[l]; ok {
			if other == f.Name {
				return bad("the frame has two columns called %q", f.Name)
			}
			return bad("the frame's columns %q and %q differ in case only, and names of columns do not", other, f.Name)
		}
		seen[l] = f.Name
	}
	return nil
}

// sameKey refuses a primary key that is another than the table's.
func sameKey(s *schema.Schema, key []string) error {
	if key == nil {
		return nil
	}
	have := KeyNames(s)
	same := len(have) == len(key)
	for i := 0; same && i < len(have); i++ {
		same = strings.EqualFold(have[i], key[i])
	}
	if !same {
		if len(have) == 0 {
			return bad("the table has no primary key, so that it cannot be (%s)", strings.Join(key, ", "))
		}
		return bad("the table's primary key is (%s), not (%s)", strings.Join(have, ", "), strings.Join(key, ", "))
	}
	return nil
}

func bad(format string, args ...any) error { return errs.New(errs.Invalid, format, args...) }
