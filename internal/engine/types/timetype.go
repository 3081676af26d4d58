package types

import (
	"context"
	"fmt"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	gms "github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/sqltypes"

	"github.com/stemmadb/stemma/internal/value"
)

// maxPrecision is the most fraction digits that a time can have.
const maxPrecision = 6

// TimeType is TIME with fewer than six digits. Its values are the engine's Timespans, rounded. The engine's own type has always six, and
// the engine knows values of TIME by that very type where it compares them with others: there they have to be given it (see IsTime).
type TimeType struct {
	gms.TimespanType_
	digits uint8
}

var (
	_ gms.TimeType           = TimeType{}
	_ sql.DatetimeType       = TimeType{}
	_ sql.CollationCoercible = TimeType{}
)

// Time is TIME(digits), with at most six.
func Time(digits uint8) sql.Type {
	if digits >= maxPrecision {
		return gms.Time
	}
	return TimeType{digits: digits}
}

// IsTime tells whether a type is TIME with fewer than six digits, which the engine does not know.
func IsTime(t sql.Type) bool {
	_, ok := t.(TimeType)
	return ok
}

// Searched is the type that the engine is to convert what it looks for in a column of a type to: with all the digits of a time, so that
// nothing is rounded that is then compared.
func Searched(t sql.Type) sql.Type {
	switch t := t.(type) {
	case TimeType:
		return gms.Time
	case sql.DatetimeType:
		switch t.Type() {
		case sqltypes.Datetime:
			return gms.DatetimeMaxPrecision
		case sqltypes.Timestamp:
			return gms.TimestampMaxPrecision
		}
	}
	return t
}

// Precision implements sql.DatetimeType, by which information_schema knows how many digits there are.
func (t TimeType) Precision() int { return int(t.digits) }

// ConvertWithoutRangeCheck implements sql.DatetimeType.
func (t TimeType) ConvertWithoutRangeCheck(ctx context.Context, v any) (time.Time, error) {
	return gms.DatetimeMaxPrecision.ConvertWithoutRangeCheck(ctx, v)
}

// MaximumTime implements sql.DatetimeType.
func (t TimeType) MaximumTime() time.Time { return gms.DatetimeMaxPrecision.MaximumTime() }

// MinimumTime implements sql.DatetimeType.
func (t TimeType) MinimumTime() time.Time { return gms.DatetimeMaxPrecision.MinimumTime() }

// String implements sql.Type.
func (t TimeType) String() string {
	if t.digits == 0 {
		return "time"
	}
	return fmt.Sprintf("time(%d)", t.digits)
}

// Equals implements sql.Type. Values of TIME compare whatever their digits.
func (t TimeType) Equals(other sql.Type) bool {
	o, ok := other.(TimeType)
	return ok && o == t
}

// Promote implements sql.Type.
func (t TimeType) Promote() sql.Type { return gms.Time }

// Convert implements sql.Type. It rounds as MySQL does, half away from zero.
func (t TimeType) Convert(_ context.Context, v any) (any, sql.ConvertInRange, error) {
	if v == nil {
		return nil, sql.InRange, nil
	}
	out, err := t.ConvertToTimespan(v)
	if err != nil {
		return nil, sql.InRange, err
	}
	us := value.RoundTime(int64(out), t.digits)
	return gms.Timespan(max(-value.MaxTime, min(us, value.MaxTime))), sql.InRange, nil
}

// MaxTextResponseByteLength implements sql.Type.
func (t TimeType) MaxTextResponseByteLength(*sql.Context) uint32 {
	if t.digits == 0 {
		return uint32(len("-838:59:59"))
	}
	return uint32(len("-838:59:59.")) + uint32(t.digits)
}

// SQL implements sql.Type.
func (t TimeType) SQL(_ *sql.Context, dest []byte, v any) (sqltypes.Value, error) {
	if v == nil {
		return sqltypes.NULL, nil
	}
	us, err := t.ConvertToTimespan(v)
	if err != nil {
		return sqltypes.NULL, err
	}
	cell := value.IntCell(int64(us))
	return sqltypes.MakeTrusted(sqltypes.Time, value.AppendText(dest, value.Type{Kind: value.KindTime, Precision: t.digits}, cell)), nil
}

// SQLValue implements sql.ValueType.
func (t TimeType) SQLValue(ctx *sql.Context, v sql.Value, dest []byte) (sqltypes.Value, error) {
	full, err := t.TimespanType_.SQLValue(ctx, v, dest)
	if err != nil || full.IsNull() {
		return full, err
	}
	cut := maxPrecision - int(t.digits)
	if t.digits == 0 {
		cut++ // the point
	}
	raw := full.Raw()
	return sqltypes.MakeTrusted(sqltypes.Time, raw[:len(raw)-cut]), nil
}
