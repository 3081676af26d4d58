package page

import (
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/stemmadb/stemma/internal/value"
)

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
