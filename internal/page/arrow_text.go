package page

import (
	"math"
	"strings"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/stemmadb/stemma/internal/value"
)

// ArrowTexts reads an array of text or bytes; get is nil for others.
func ArrowTexts(arr arrow.Array) (get func(i int) []byte, isText bool) {
	switch a := arr.(type) {
	case *array.String:
		offs, data := a.ValueOffsets(), a.ValueBytes()
		base := int32(0)
		if len(offs) > 0 {
			base = offs[0]
		}
		return func(i int) []byte { return data[offs[i]-base : offs[i+1]-base : offs[i+1]-base] }, true
	case *array.LargeString:
		offs, data := a.ValueOffsets(), a.ValueBytes()
		base := int64(0)
		if len(offs) > 0 {
			base = offs[0]
		}
		return func(i int) []byte { return data[offs[i]-base : offs[i+1]-base : offs[i+1]-base] }, true
	case *array.StringView:
		return func(i int) []byte { return []byte(a.Value(i)) }, true
	case *array.Binary:
		return a.Value, false
	case *array.LargeBinary:
		return a.Value, false
	case *array.BinaryView:
		return a.Value, false
	case *array.FixedSizeBinary:
		return a.Value, false
	}
	return nil, false
}

func textCells(arr arrow.Array, t value.Type) CellFunc {
	get, _ := ArrowTexts(arr)
	if get == nil {
		return nil
	}
	switch t.Kind {
	case value.KindVarchar:
		return func(i int) (value.Cell, error) {
			b := get(i)
			if !utf8.Valid(b) {
				return value.Null, bad("text that is not UTF-8")
			}
			if t.Collation.Beyond(b) >= 0 {
				return value.Null, bad("text that is not ASCII, as the column's is")
			}
			if len(b) > int(t.Length) && utf8.RuneCount(b) > int(t.Length) {
				return value.Null, bad("a text of %d characters is too long for %s", utf8.RuneCount(b), t)
			}
			return value.BytesCell(b), nil
		}
	case value.KindText:
		return func(i int) (value.Cell, error) {
			b := get(i)
			if !utf8.Valid(b) {
				return value.Null, bad("text that is not UTF-8")
			}
			if t.Collation.Beyond(b) >= 0 {
				return value.Null, bad("text that is not ASCII, as the column's is")
			}
			if uint64(len(b)) > uint64(t.Length) {
				return value.Null, bad("a text of %d bytes is too long for %s", len(b), t)
			}
			return value.BytesCell(b), nil
		}
	}
	return func(i int) (value.Cell, error) {
		c, err := value.Parse(t, get(i))
		if err == nil && t.Kind == value.KindChar && strings.HasSuffix(string(get(i)), " ") {
			return value.Null, bad("CHAR does not keep spaces at the end of a text")
		}
		return c, err
	}
}

func bytesCells(arr arrow.Array, t value.Type) CellFunc {
	get, _ := ArrowTexts(arr)
	if get == nil {
		return nil
	}
	return func(i int) (value.Cell, error) {
		b := get(i)
		if uint64(len(b)) > uint64(t.Length) && t.Kind != value.KindGeometry {
			return value.Null, bad("%d bytes are too many for %s", len(b), t)
		}
		if t.Kind == value.KindBinary && len(b) < int(t.Length) {
			return value.Null, bad("%d bytes are too few for %s, which would add zero bytes", len(b), t)
		}
		return value.Parse(t, b)
	}
}

func jsonCells(arr arrow.Array) CellFunc {
	canonical := func(b []byte) (value.Cell, error) {
		out, err := value.CanonicalJSON(make([]byte, 0, len(b)), b)
		if err != nil {
			return value.Null, err
		}
		return value.BytesCell(out), nil
	}
	if get, isText := ArrowTexts(arr); get != nil {
		if !isText {
			return nil
		}
		return func(i int) (value.Cell, error) { return canonical(get(i)) }
	}
	return func(i int) (value.Cell, error) {
		b, err := appendNested(nil, arr, i)
		if err != nil {
			return value.Null, err
		}
		return canonical(b)
	}
}

func vectorCells(arr arrow.Array, t value.Type) CellFunc {
	a, ok := arr.(array.ListLike)
	if !ok {
		return nil
	}
	get := floats(a.ListValues())
	if get == nil {
		return nil
	}
	return func(i int) (value.Cell, error) {
		lo, hi := a.ValueOffsets(i)
		if hi-lo != int64(t.Length) {
			return value.Null, bad("a list of %d numbers in a column of %s", hi-lo, t)
		}
		out := make([]byte, 0, 4*t.Length)
		for k := lo; k < hi; k++ {
			v := get(int(k))
			if a.ListValues().IsNull(int(k)) || float64(float32(v)) != v {
				return value.Null, bad("a vector does not hold %v", v)
			}
			bits := math.Float32bits(float32(v))
			out = append(out, byte(bits), byte(bits>>8), byte(bits>>16), byte(bits>>24))
		}
		return value.BytesCell(out), nil
	}
}
