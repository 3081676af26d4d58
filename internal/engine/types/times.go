package types

import (
	"context"
	"time"

	gms "github.com/dolthub/go-mysql-server/sql/types"

	"github.com/stemmadb/stemma/internal/value"
)

const (
	secondsPerDay = 86400
	microsPerDay  = secondsPerDay * 1_000_000
)

func dateTo(_ *Codec, _ context.Context, v any) (value.Cell, bool, error) {
	t, ok := v.(time.Time)
	if !ok {
		return value.Null, false, nil
	}
	if t.Equal(gms.ZeroTime) {
		return value.IntCell(value.ZeroDate), true, nil
	}
	s := t.Unix()
	if s%secondsPerDay != 0 || t.Nanosecond() != 0 {
		return value.Null, false, nil
	}
	days := s / secondsPerDay
	return value.IntCell(days), value.MinDate <= days && days <= value.MaxDate, nil
}

func dateFrom(c *Codec, cell value.Cell) (any, error) {
	days := cell.Int()
	if days == value.ZeroDate {
		return gms.ZeroTime, nil
	}
	if days < value.MinDate || days > value.MaxDate {
		return nil, c.corrupt("out of range")
	}
	return time.Unix(days*secondsPerDay, 0).UTC(), nil
}

func datetimeTo(c *Codec, _ context.Context, v any) (value.Cell, bool, error) {
	t, ok := v.(time.Time)
	if !ok {
		return value.Null, false, nil
	}
	if t.Equal(gms.ZeroTime) {
		return value.IntCell(value.ZeroDatetime), true, nil
	}
	if t.Nanosecond()%1000 != 0 {
		return value.Null, false, nil
	}
	low, high := value.MinDatetime, value.MaxDatetime
	if c.Type.Kind == value.KindTimestamp {
		low, high = 1, value.MaxTimestamp
	}
	us := t.UnixMicro()
	ok = low <= us && us <= high && us == value.RoundMicros(us, c.Type.Precision)
	return value.IntCell(us), ok, nil
}

func datetimeFrom(c *Codec, cell value.Cell) (any, error) {
	us := cell.Int()
	if us == value.ZeroDatetime {
		return gms.ZeroTime, nil
	}
	if us < value.MinDatetime || us > value.MaxDatetime {
		return nil, c.corrupt("out of range")
	}
	return time.UnixMicro(us).UTC(), nil
}

func timespanTo(c *Codec, _ context.Context, v any) (value.Cell, bool, error) {
	t, ok := v.(gms.Timespan)
	us := int64(t)
	ok = ok && us >= -value.MaxTime && us <= value.MaxTime && us == value.RoundTime(us, c.Type.Precision)
	return value.IntCell(us), ok, nil
}

func timespanFrom(c *Codec, cell value.Cell) (any, error) {
	if t := cell.Int(); t < -value.MaxTime || t > value.MaxTime {
		return nil, c.corrupt("out of range")
	}
	return gms.Timespan(cell.Int()), nil
}
