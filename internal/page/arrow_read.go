package page

import (
	"fmt"
	"math"
	"math/big"
	"strings"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/value"
)

// CellFunc is the cell of row i, which is not NULL in the array. It may share memory with the array. Errors are of class Invalid.
type CellFunc func(i int) (value.Cell, error)

func bad(format string, args ...any) error { return errs.New(errs.Invalid, format, args...) }

// ReadArrow reads an array as cells of a type: exactly, or it is an error. Types that do not go together are an error at once.
func ReadArrow(arr arrow.Array, t value.Type) (CellFunc, error) {
	return ThroughArrow(arr, func(values arrow.Array) (CellFunc, error) { return exactCells(values, t) })
}

// ThroughArrow reads an array by the values that are behind its dictionary, runs and extensions, which of reads. UUIDs stay what they are.
func ThroughArrow(arr arrow.Array, of func(values arrow.Array) (CellFunc, error)) (CellFunc, error) {
	switch a := arr.(type) {
	case *array.Dictionary:
		return dictionaryCells(a, of)
	case *array.RunEndEncoded:
		inner, err := ThroughArrow(a.Values(), of)
		if err != nil {
			return nil, err
		}
		return func(i int) (value.Cell, error) {
			k := a.GetPhysicalIndex(i)
			if a.Values().IsNull(k) {
				return value.Null, nil
			}
			return inner(k)
		}, nil
	case array.ExtensionArray:
		if a.DataType().(arrow.ExtensionType).ExtensionName() != UUIDExtension {
			return ThroughArrow(a.Storage(), of)
		}
	}
	return of(arr)
}

// ReadRaw is ReadArrow of an array that a Batcher has made of a Raw column.
func ReadRaw(arr arrow.Array, t value.Type) (CellFunc, error) {
	f, err := ReadArrow(arr, t)
	if err != nil {
		return nil, err
	}
	var raw func(i int) int64
	zero := value.ZeroDatetime
	switch a := arr.(type) {
	case *array.Date32:
		raw, zero = func(i int) int64 { return int64(a.Value(i)) }, value.ZeroDate
	case *array.Timestamp:
		raw = func(i int) int64 { return int64(a.Value(i)) }
	default:
		return f, nil
	}
	return func(i int) (value.Cell, error) {
		if raw(i) == zero {
			return value.IntCell(zero), nil
		}
		return f(i)
	}, nil
}

// exactCells is ReadArrow of an array of values.
func exactCells(arr arrow.Array, t value.Type) (CellFunc, error) {
	switch a := arr.(type) {
	case *array.Null:
		return func(int) (value.Cell, error) { return value.Null, nil }, nil
	case array.ExtensionArray:
		return uuidCells(a.Storage(), t)
	}
	var f CellFunc
	switch t.Kind {
	case value.KindInt8, value.KindInt16, value.KindInt24, value.KindInt32, value.KindInt64, value.KindUint8, value.KindUint16,
		value.KindUint24, value.KindUint32, value.KindUint64, value.KindYear, value.KindBit:
		f = wholeCells(arr, t)
	case value.KindFloat64, value.KindFloat32:
		f = floatCells(arr, t)
	case value.KindDecimal:
		f = decimalCells(arr, t)
	case value.KindDate, value.KindDatetime, value.KindTimestamp:
		f = momentCells(arr, t)
	case value.KindTime:
		f = timeCells(arr, t)
	case value.KindChar, value.KindVarchar, value.KindText, value.KindEnum, value.KindSet:
		f = textCells(arr, t)
	case value.KindBinary, value.KindVarbinary, value.KindBlob, value.KindGeometry:
		f = bytesCells(arr, t)
	case value.KindJSON:
		f = jsonCells(arr)
	case value.KindVector:
		f = vectorCells(arr, t)
	}
	if f == nil {
		return nil, bad("%s of the frame does not go into a column of type %s", arr.DataType(), t)
	}
	return f, nil
}

// dictionaryCells reads the values of a dictionary once, or those of the rows when there are fewer rows.
func dictionaryCells(a *array.Dictionary, read func(values arrow.Array) (CellFunc, error)) (CellFunc, error) {
	dict := a.Dictionary()
	of, err := ThroughArrow(dict, read)
	if err != nil {
		return nil, err
	}
	if dict.Len() > a.Len() {
		return func(i int) (value.Cell, error) {
			k := a.GetValueIndex(i)
			if dict.IsNull(k) {
				return value.Null, nil
			}
			return of(k)
		}, nil
	}
	cells := make([]value.Cell, dict.Len())
	fail := make([]error, dict.Len())
	for i := range cells {
		if !dict.IsNull(i) {
			cells[i], fail[i] = of(i)
		}
	}
	return func(i int) (value.Cell, error) {
		k := a.GetValueIndex(i)
		return cells[k], fail[k]
	}, nil
}

// uuidCells reads 16 bytes as the text of a UUID, or as they are.
func uuidCells(arr arrow.Array, t value.Type) (CellFunc, error) {
	a, ok := arr.(*array.FixedSizeBinary)
	switch t.Kind {
	case value.KindChar, value.KindVarchar, value.KindText:
	default:
		return ReadArrow(arr, t)
	}
	if !ok || t.Kind != value.KindText && t.Length < 36 {
		return nil, bad("uuid of the frame does not go into a column of type %s", t)
	}
	return func(i int) (value.Cell, error) {
		b := a.Value(i)
		return value.BytesCell(fmt.Appendf(nil, "%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])), nil
	}, nil
}

// whole reads an array of whole numbers: each as int64, or when it is beyond that as uint64 with high set.
func whole(arr arrow.Array) func(i int) (v int64, high bool) {
	switch a := arr.(type) {
	case *array.Int8:
		return func(i int) (int64, bool) { return int64(a.Value(i)), false }
	case *array.Int16:
		return func(i int) (int64, bool) { return int64(a.Value(i)), false }
	case *array.Int32:
		return func(i int) (int64, bool) { return int64(a.Value(i)), false }
	case *array.Int64:
		return func(i int) (int64, bool) { return a.Value(i), false }
	case *array.Uint8:
		return func(i int) (int64, bool) { return int64(a.Value(i)), false }
	case *array.Uint16:
		return func(i int) (int64, bool) { return int64(a.Value(i)), false }
	case *array.Uint32:
		return func(i int) (int64, bool) { return int64(a.Value(i)), false }
	case *array.Uint64:
		return func(i int) (int64, bool) { v := a.Value(i); return int64(v), v > math.MaxInt64 }
	case *array.Boolean:
		return func(i int) (int64, bool) {
			if a.Value(i) {
				return 1, false
			}
			return 0, false
		}
	}
	return nil
}

// limits are the least and the greatest value of a kind of whole numbers.
func limits(t value.Type) (least int64, most uint64) {
	switch t.Kind {
	case value.KindInt8:
		return math.MinInt8, math.MaxInt8
	case value.KindInt16:
		return math.MinInt16, math.MaxInt16
	case value.KindInt24:
		return -1 << 23, 1<<23 - 1
	case value.KindInt32:
		return math.MinInt32, math.MaxInt32
	case value.KindInt64:
		return math.MinInt64, math.MaxInt64
	case value.KindUint8:
		return 0, math.MaxUint8
	case value.KindUint16:
		return 0, math.MaxUint16
	case value.KindUint24:
		return 0, 1<<24 - 1
	case value.KindUint32:
		return 0, math.MaxUint32
	case value.KindYear:
		return 0, 2155
	case value.KindBit:
		if t.Length < 64 {
			return 0, 1<<t.Length - 1
		}
	}
	return 0, math.MaxUint64
}

func wholeCells(arr arrow.Array, t value.Type) CellFunc {
	least, most := limits(t)
	wide := t.Kind == value.KindUint64 || t.Kind == value.KindBit
	fit := func(v int64, high bool) (value.Cell, error) {
		switch {
		case high && uint64(v) > most, !high && (v < least || v > 0 && uint64(v) > most):
			if high {
				return value.Null, bad("%d is out of range for %s", uint64(v), t)
			}
			return value.Null, bad("%d is out of range for %s", v, t)
		case t.Kind == value.KindYear && v != 0 && v < 1901:
			return value.Null, bad("%d is out of range for year", v)
		case wide:
			return value.UintCell(uint64(v)), nil
		}
		return value.IntCell(v), nil
	}
	if get := whole(arr); get != nil {
		if t.Kind == value.KindInt64 && arr.DataType().ID() == arrow.INT64 {
			vals := arr.(*array.Int64).Int64Values()
			return func(i int) (value.Cell, error) { return value.IntCell(vals[i]), nil }
		}
		return func(i int) (value.Cell, error) { return fit(get(i)) }
	}
	if get := floats(arr); get != nil {
		return func(i int) (value.Cell, error) {
			v := get(i)
			switch {
			case v != math.Trunc(v) || math.IsInf(v, 0): // NaN is not equal to itself
				return value.Null, bad("%v is no whole number, and the column is %s", v, t)
			case v >= 0 && v < 1<<64:
				return fit(int64(uint64(v)), uint64(v) > math.MaxInt64)
			case v < 0 && v >= math.MinInt64:
				return fit(int64(v), false)
			}
			return value.Null, bad("%v is out of range for %s", v, t)
		}
	}
	return nil
}

// floats reads an array of floating-point numbers.
func floats(arr arrow.Array) func(i int) float64 {
	switch a := arr.(type) {
	case *array.Float64:
		return a.Value
	case *array.Float32:
		return func(i int) float64 { return float64(a.Value(i)) }
	case *array.Float16:
		return func(i int) float64 { return float64(a.Value(i).Float32()) }
	}
	return nil
}

func floatCells(arr arrow.Array, t value.Type) CellFunc {
	cell := func(v float64) (value.Cell, error) {
		if t.Kind == value.KindFloat64 {
			if v != v {
				v = math.NaN() // of all its forms the one that is kept
			}
			return value.FloatCell(v), nil
		}
		s := float32(v)
		if v != v {
			return value.Float32Cell(float32(math.NaN())), nil
		}
		if float64(s) != v {
			return value.Null, bad("a float does not hold %v exactly; make the column double", v)
		}
		return value.Float32Cell(s), nil
	}
	if get := floats(arr); get != nil {
		return func(i int) (value.Cell, error) { return cell(get(i)) }
	}
	if get := whole(arr); get != nil {
		return func(i int) (value.Cell, error) {
			v, high := get(i)
			f, exact := float64(v), false
			if high {
				f = float64(uint64(v))
				exact = f < 1<<64 && uint64(f) == uint64(v)
			} else {
				exact = f < 1<<63 && int64(f) == v
			}
			if !exact {
				return value.Null, bad("a double does not hold %d exactly", v)
			}
			return cell(f)
		}
	}
	return nil
}

// decimals reads an array of decimals: digits without the point, and how many stand behind it.
func decimals(arr arrow.Array) (get func(i int) *big.Int, scale int32) {
	switch a := arr.(type) {
	case *array.Decimal32:
		return func(i int) *big.Int { return big.NewInt(int64(a.Value(i))) }, a.DataType().(*arrow.Decimal32Type).Scale
	case *array.Decimal64:
		return func(i int) *big.Int { return big.NewInt(int64(a.Value(i))) }, a.DataType().(*arrow.Decimal64Type).Scale
	case *array.Decimal128:
		return func(i int) *big.Int { return a.Value(i).BigInt() }, a.DataType().(*arrow.Decimal128Type).Scale
	case *array.Decimal256:
		return func(i int) *big.Int { return a.Value(i).BigInt() }, a.DataType().(*arrow.Decimal256Type).Scale
	}
	return nil, 0
}

var ten = big.NewInt(10)

func decimalCells(arr arrow.Array, t value.Type) CellFunc {
	rescale := func(n *big.Int, scale int32) (value.Cell, error) {
		up := int64(t.Scale) - int64(scale)
		if up > 0 {
			n = new(big.Int).Mul(n, new(big.Int).Exp(ten, big.NewInt(up), nil))
		} else if up < 0 {
			q, r := new(big.Int).QuoRem(n, new(big.Int).Exp(ten, big.NewInt(-up), nil), new(big.Int))
			if r.Sign() != 0 {
				return value.Null, bad("%s has more digits behind the point than %s", decimalText(n, scale), t)
			}
			n = q
		}
		return value.DecimalFromBig(t, n)
	}
	if get, scale := decimals(arr); get != nil {
		slow := func(i int) (value.Cell, error) { return rescale(get(i), scale) }
		a, ok := arr.(*array.Decimal128)
		if !ok || t.Phys() != value.Int64 || int32(t.Scale) != scale {
			return slow
		}
		limit := int64(1)
		for range t.Precision {
			limit *= 10
		}
		return func(i int) (value.Cell, error) {
			v := a.Value(i)
			if n := int64(v.LowBits()); v.HighBits() == n>>63 && n < limit && n > -limit {
				return value.IntCell(n), nil
			}
			return slow(i)
		}
	}
	if get := whole(arr); get != nil {
		return func(i int) (value.Cell, error) {
			v, high := get(i)
			n := big.NewInt(v)
			if high {
				n = new(big.Int).SetUint64(uint64(v))
			}
			return rescale(n, 0)
		}
	}
	if get := floats(arr); get != nil {
		return func(i int) (value.Cell, error) {
			r, ok := new(big.Rat).SetString(fmt.Sprint(get(i))) // the shortest digits that mean the number
			if !ok {
				return value.Null, bad("%v is no decimal number", get(i))
			}
			n := new(big.Int).Mul(r.Num(), new(big.Int).Exp(ten, big.NewInt(int64(t.Scale)), nil))
			q, rest := new(big.Int).QuoRem(n, r.Denom(), new(big.Int))
			if rest.Sign() != 0 {
				return value.Null, bad("%v has more digits behind the point than %s", get(i), t)
			}
			return value.DecimalFromBig(t, q)
		}
	}
	return nil
}

// decimalText is a decimal as people write it.
func decimalText(n *big.Int, scale int32) string {
	r := new(big.Rat).SetFrac(n, new(big.Int).Exp(ten, big.NewInt(int64(max(scale, 0))), nil))
	return r.FloatString(int(max(scale, 0)))
}

const dayMicro = 86_400_000_000

// daysMicro turns a number of days into microseconds.
func daysMicro(v int64) (int64, error) {
	if v > math.MaxInt64/dayMicro || v < math.MinInt64/dayMicro {
		return 0, bad("%d days are out of range", v)
	}
	return v * dayMicro, nil
}

// micro turns a number of units into microseconds.
func micro(v int64, u arrow.TimeUnit) (int64, error) {
	switch u {
	case arrow.Second:
		if v > math.MaxInt64/1_000_000 || v < math.MinInt64/1_000_000 {
			return 0, bad("%d seconds are out of range", v)
		}
		return v * 1e6, nil
	case arrow.Millisecond:
		if v > math.MaxInt64/1000 || v < math.MinInt64/1000 {
			return 0, bad("%d milliseconds are out of range", v)
		}
		return v * 1e3, nil
	case arrow.Nanosecond:
		if v%1e3 != 0 {
			return 0, bad("%d nanoseconds are no whole microseconds, and nothing finer is kept; round the column to microseconds first", v)
		}
		return v / 1e3, nil
	}
	return v, nil
}

// digits checks that a type keeps the fraction of a second.
func digits(us int64, t value.Type) error {
	step := int64(1)
	for range 6 - t.Precision {
		step *= 10
	}
	if us%step != 0 {
		return bad("a fraction of a second finer than %s keeps", t)
	}
	return nil
}

func momentCells(arr arrow.Array, t value.Type) CellFunc {
	cell := func(us int64) (value.Cell, error) {
		switch {
		case us < value.MinDatetime || us > value.MaxDatetime:
			return value.Null, bad("a date before the year 0 or after 9999")
		case t.Kind == value.KindDate:
			if us%dayMicro != 0 {
				return value.Null, bad("a time of day in a column of dates")
			}
			return value.IntCell(us / dayMicro), nil
		case t.Kind == value.KindTimestamp && (us < value.MinTimestamp || us > value.MaxTimestamp):
			return value.Null, bad("TIMESTAMP reaches from 1970 to 2038; store times in UTC without a zone, as DATETIME")
		}
		return value.IntCell(us), digits(us, t)
	}
	switch a := arr.(type) {
	case *array.Date32:
		return func(i int) (value.Cell, error) {
			us, err := daysMicro(int64(a.Value(i)))
			if err != nil {
				return value.Null, err
			}
			return cell(us)
		}
	case *array.Date64:
		return func(i int) (value.Cell, error) {
			us, err := micro(int64(a.Value(i)), arrow.Millisecond)
			if err != nil {
				return value.Null, err
			}
			return cell(us)
		}
	case *array.Timestamp:
		dt := a.DataType().(*arrow.TimestampType)
		if (dt.TimeZone != "") != (t.Kind == value.KindTimestamp) && t.Kind != value.KindDate {
			return nil
		}
		return func(i int) (value.Cell, error) {
			us, err := micro(int64(a.Value(i)), dt.Unit)
			if err != nil {
				return value.Null, err
			}
			return cell(us)
		}
	}
	return nil
}

func timeCells(arr arrow.Array, t value.Type) CellFunc {
	var get func(i int) int64
	var unit arrow.TimeUnit
	switch a := arr.(type) {
	case *array.Time32:
		get, unit = func(i int) int64 { return int64(a.Value(i)) }, a.DataType().(*arrow.Time32Type).Unit
	case *array.Time64:
		get, unit = func(i int) int64 { return int64(a.Value(i)) }, a.DataType().(*arrow.Time64Type).Unit
	case *array.Duration:
		get, unit = func(i int) int64 { return int64(a.Value(i)) }, a.DataType().(*arrow.DurationType).Unit
	default:
		return nil
	}
	return func(i int) (value.Cell, error) {
		us, err := micro(get(i), unit)
		if err != nil {
			return value.Null, err
		}
		if us < -value.MaxTime || us > value.MaxTime {
			return value.Null, bad("TIME reaches from -838:59:59 to 838:59:59")
		}
		return value.IntCell(us), digits(us, t)
	}
}

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
