package ingest

import (
	"bytes"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/stemmadb/stemma/internal/page"
	"github.com/stemmadb/stemma/internal/value"
)

// cellsOf reads an array as cells of type t: exactly, or what does not go so by its text, as a file of text has it. nulls are texts that
// mean NULL; NaN among them also makes the number NULL.
func cellsOf(arr arrow.Array, t value.Type, nulls []string) (page.CellFunc, error) {
	return page.ThroughArrow(arr, func(values arrow.Array) (page.CellFunc, error) {
		exact, refused := page.ReadArrow(values, t)
		text, err := textOf(values)
		if err != nil {
			if refused != nil {
				return nil, refused
			}
			return exact, nil
		}
		isNull := nullOf(values, nulls)
		return func(i int) (value.Cell, error) {
			if isNull != nil && isNull(i) {
				return value.Null, nil
			}
			failed := refused
			if failed == nil {
				var c value.Cell
				if c, failed = exact(i); failed == nil {
					return c, nil
				}
			}
			b, err := text(i)
			if err != nil {
				return value.Null, err
			}
			c, err := value.Parse(t, b)
			if err != nil && refused == nil {
				err = failed
			}
			return c, err
		}, nil
	})
}

// textOf gives the values of an array as text that value.Parse reads: that of cells of the type that a table would have for them.
func textOf(values arrow.Array) (func(i int) ([]byte, error), error) {
	if ts, ok := values.DataType().(*arrow.TimestampType); ok && ts.TimeZone != "" {
		values = withType(values, &arrow.TimestampType{Unit: ts.Unit}) // in UTC
	}
	t, _, err := page.TypeOf(arrow.Field{Type: values.DataType()})
	if err != nil {
		return nil, err
	}
	own, err := page.ReadArrow(values, t)
	if err != nil {
		return nil, err
	}
	return func(i int) ([]byte, error) {
		c, err := own(i)
		if err != nil || t.Phys() == value.Bytes && t.Kind != value.KindVector {
			return c.Bytes(), err
		}
		return value.AppendText(nil, t, c), nil
	}, nil
}

// nullOf tells which values mean NULL; it is nil when none does.
func nullOf(values arrow.Array, nulls []string) func(i int) bool {
	if len(nulls) == 0 {
		return nil
	}
	if get, isText := page.ArrowTexts(values); isText {
		return func(i int) bool {
			for _, n := range nulls {
				if string(get(i)) == n {
					return true
				}
			}
			return false
		}
	}
	for _, n := range nulls {
		if !bytes.EqualFold([]byte(n), []byte("nan")) {
			continue
		}
		switch a := values.(type) {
		case *array.Float64:
			return func(i int) bool { return math.IsNaN(a.Value(i)) }
		case *array.Float32:
			return func(i int) bool { return math.IsNaN(float64(a.Value(i))) }
		case *array.Float16:
			return func(i int) bool { return a.Value(i).IsNaN() }
		}
	}
	return nil
}
