package op

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/value"
)

// Class is the Go type of a column's cells; see Result.
type Class uint8

// The classes.
const (
	ClassString Class = iota // string
	ClassInt                 // int64
	ClassUint                // uint64
	ClassFloat               // float64
	ClassTime                // time.Time
	ClassBytes               // []byte
)

// ClassOf is the class of cells of type t.
func ClassOf(t value.Type) Class {
	switch t.Kind {
	case value.KindInt8, value.KindInt16, value.KindInt24, value.KindInt32, value.KindInt64, value.KindYear:
		return ClassInt
	case value.KindUint8, value.KindUint16, value.KindUint24, value.KindUint32, value.KindUint64, value.KindBit:
		return ClassUint
	case value.KindFloat32, value.KindFloat64:
		return ClassFloat
	case value.KindDatetime, value.KindTimestamp:
		return ClassTime
	case value.KindBinary, value.KindVarbinary, value.KindBlob, value.KindGeometry, value.KindVector:
		return ClassBytes
	}
	return ClassString
}

// zeroTime is the cell of a zero DATETIME, which is no moment: it comes before all that are. JSON has it as zeroTimeText.
var zeroTime = time.UnixMicro(value.ZeroDatetime).UTC()

const zeroTimeText = "0000-00-00T00:00:00Z"

// notUTF8 carries a string that JSON cannot.
type notUTF8 struct {
	Base64 []byte `json:"base64"`
}

func encodeCell(t value.Type, cell any) (json.RawMessage, error) {
	if cell == nil {
		return json.RawMessage("null"), nil
	}
	ok := false
	switch ClassOf(t) {
	case ClassString:
		var s string
		if s, ok = cell.(string); ok && !utf8.ValidString(s) {
			cell = notUTF8{[]byte(s)}
		}
	case ClassInt:
		_, ok = cell.(int64)
	case ClassUint:
		_, ok = cell.(uint64)
	case ClassFloat:
		var f float64
		if f, ok = cell.(float64); ok && (math.IsNaN(f) || math.IsInf(f, 0)) {
			cell = strconv.FormatFloat(f, 'g', -1, 64)
		}
	case ClassTime:
		var at time.Time
		if at, ok = cell.(time.Time); ok {
			if cell = formatTime(at); at.Equal(zeroTime) {
				cell = zeroTimeText
			}
		}
	case ClassBytes:
		var b []byte
		if b, ok = cell.([]byte); ok && b == nil {
			cell = []byte{}
		}
	}
	if !ok {
		return nil, errs.New(errs.Internal, "a cell of kind %d cannot be a %T", t.Kind, cell)
	}
	b, err := json.Marshal(cell)
	if err != nil {
		return nil, errs.With(errs.Internal, err)
	}
	return b, nil
}

func decodeCell(t value.Type, raw json.RawMessage) (any, error) {
	if string(raw) == "null" || len(raw) == 0 {
		return nil, nil
	}
	var v any
	var err error
	switch ClassOf(t) {
	case ClassString:
		if raw[0] == '{' {
			var n notUTF8
			err = json.Unmarshal(raw, &n)
			v = string(n.Base64)
		} else {
			v, err = decodeAs[string](raw)
		}
	case ClassInt:
		v, err = decodeAs[int64](raw)
	case ClassUint:
		v, err = decodeAs[uint64](raw)
	case ClassFloat:
		if raw[0] == '"' {
			var s string
			if s, err = decodeAs[string](raw); err == nil {
				v, err = strconv.ParseFloat(s, 64)
			}
		} else {
			v, err = decodeAs[float64](raw)
		}
	case ClassTime:
		var s string
		if s, err = decodeAs[string](raw); err == nil && s == zeroTimeText {
			v = zeroTime
		} else if err == nil {
			v, err = time.Parse(time.RFC3339Nano, s)
		}
	case ClassBytes:
		v, err = decodeAs[[]byte](raw)
	}
	if err != nil {
		return nil, errs.New(errs.Invalid, "cell of kind %d: %w", t.Kind, err)
	}
	return v, nil
}

func decodeAs[T any](raw json.RawMessage) (T, error) {
	var v T
	err := json.Unmarshal(raw, &v)
	return v, err
}

// FormatCell is a non-NULL cell as SQL clients show it: whole numbers and floats in the fewest digits that read back the same, times as
// "2006-01-02 15:04:05" with as many fraction digits as the type has, bytes as they are. Besides the cells of a Result it takes the
// text of a value of any type, and what it does not know it prints as Go does.
func FormatCell(t value.Type, cell any) string {
	switch v := cell.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case uint64:
		return strconv.FormatUint(v, 10)
	case float64:
		bits := 64
		if t.Kind == value.KindFloat32 {
			bits = 32
		}
		return formatFloat(v, bits)
	case float32:
		return formatFloat(float64(v), 32)
	case time.Time:
		if v.Equal(zeroTime) {
			return string(value.AppendText(nil, t, value.IntCell(value.ZeroDatetime)))
		}
		layout := "2006-01-02 15:04:05"
		if n := min(int(t.Precision), 6); n > 0 {
			layout += ".000000"[:1+n]
		}
		return v.Format(layout)
	}
	return fmt.Sprint(cell)
}

// formatFloat writes f as value.AppendText writes a FLOAT or a DOUBLE.
func formatFloat(f float64, bits int) string {
	if bits == 32 {
		return string(value.AppendText(nil, value.Type{Kind: value.KindFloat32}, value.Float32Cell(float32(f))))
	}
	return string(value.AppendText(nil, value.Type{Kind: value.KindFloat64}, value.FloatCell(f)))
}
