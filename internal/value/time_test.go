package value_test

import (
	"math"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/value"
)

// TestCalendar compares every day of years 0 to 9999 with package time.
func TestCalendar(t *testing.T) {
	day := time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)
	for n := value.MinDate; n <= value.MaxDate; n++ {
		y, m, d := day.Date()
		if got := value.DaysOf(y, int(m), d); got != n {
			t.Fatalf("DaysOf(%v) = %d, want %d", day, got, n)
		}
		if gy, gm, gd := value.DateOf(n); gy != y || gm != int(m) || gd != d {
			t.Fatalf("DateOf(%d) = %d-%d-%d, want %v", n, gy, gm, gd, day)
		}
		day = day.AddDate(0, 0, 1)
	}
	if day.Year() != 10000 {
		t.Errorf("MaxDate is the day before %v", day)
	}
}

func TestTimes(t *testing.T) {
	date := value.Type{Kind: value.KindDate}
	datetime := func(fsp uint8) value.Type { return value.Type{Kind: value.KindDatetime, Precision: fsp} }
	timestamp := value.Type{Kind: value.KindTimestamp, Precision: 6}
	clock := func(fsp uint8) value.Type { return value.Type{Kind: value.KindTime, Precision: fsp} }
	year := value.Type{Kind: value.KindYear}
	tests := []struct {
		typ  value.Type
		in   string
		want string // "" for an error
	}{
		{date, "1970-01-01", "1970-01-01"}, {date, "2020-1-2", "2020-01-02"}, {date, "2020/01/02", "2020-01-02"}, {date, "20200102", "2020-01-02"},
		{date, "2020.1.2", "2020-01-02"}, {date, "2020-01/02", ""}, {date, "9999-12-31", "9999-12-31"}, {date, "0000-00-00", "0000-00-00"},
		{date, "0000-01-01", "0000-01-01"}, {date, "0000-01-02", "0000-01-02"}, {date, "0001-01-01", "0001-01-01"}, {date, "2020-00-01", ""}, {date, "2020-01-00", ""},
		{date, "2020-13-01", ""}, {date, "2019-02-29", ""}, {date, "2020-02-29", "2020-02-29"}, {date, "1900-02-29", ""}, {date, "2000-02-29", "2000-02-29"},
		{date, "2020-04-31", ""}, {date, "10000-01-01", ""}, {date, "20-01-02", ""}, {date, "", ""}, {date, "2020-01-02x", ""}, {date, "2020-01-02 00:00:00", "2020-01-02"},
		{date, "2020-01-02T00:00:00Z", "2020-01-02"}, {date, "2020-01-02 01:00:00", ""}, {date, "2020-01-02 ", ""}, {date, "2020-01", ""}, {date, "2020-01-", ""},
		{date, "00000000", "0000-00-00"}, {date, "0000-00-01", ""},

		{datetime(0), "2020-01-02 03:04:05", "2020-01-02 03:04:05"}, {datetime(0), "2020-01-02", "2020-01-02 00:00:00"}, {datetime(0), "2020-01-02 03:04", "2020-01-02 03:04:00"},
		{datetime(6), "2020-01-02 03:04:05.678901", "2020-01-02 03:04:05.678901"}, {datetime(6), "2020-01-02T03:04:05.6", "2020-01-02 03:04:05.600000"},
		{datetime(3), "2020-01-02 03:04:05.6785", "2020-01-02 03:04:05.679"}, {datetime(3), "2020-01-02 03:04:05.6784999999", "2020-01-02 03:04:05.678"},
		{datetime(0), "2020-01-02 03:04:05.4999999", "2020-01-02 03:04:05"}, {datetime(0), "2020-12-31 23:59:59.5", "2021-01-01 00:00:00"},
		{datetime(6), "2020-01-02 03:04:05.6789015", "2020-01-02 03:04:05.678902"}, {datetime(0), "1960-01-01 00:00:00.5", "1960-01-01 00:00:01"},
		{datetime(0), "2020-01-02 03:04:05Z", "2020-01-02 03:04:05"}, {datetime(0), "2020-01-02 03:04:05+02:00", "2020-01-02 01:04:05"},
		{datetime(0), "2020-01-02T03:04:05-0830", "2020-01-02 11:34:05"}, {datetime(0), "2020-01-02 03:04:05+2", ""}, {datetime(0), "2020-01-02 03:04:05+15:00", ""},
		{datetime(6), "9999-12-31 23:59:59.999999", "9999-12-31 23:59:59.999999"}, {datetime(0), "9999-12-31 23:59:59.5", ""}, {datetime(6), "9999-12-31 23:59:59.9999995", ""},
		{datetime(0), "0000-00-00 00:00:00", "0000-00-00 00:00:00"}, {datetime(3), "0000-00-00", "0000-00-00 00:00:00.000"}, {datetime(0), "0000-00-00 00:00:01", ""},
		{datetime(0), "0000-01-01 00:00:00", "0000-01-01 00:00:00"}, {datetime(0), "0000-01-01 00:00:01", "0000-01-01 00:00:01"}, {datetime(0), "0000-01-01 00:00:00+01:00", ""},
		{datetime(0), "2020-01-02 24:00:00", ""}, {datetime(0), "2020-01-02 23:60:00", ""}, {datetime(0), "2020-01-02 23:59:60", ""}, {datetime(0), "2020-01-02 23", ""},
		{datetime(0), "2020-01-02 03:04:05.", ""}, {datetime(0), "2020-01-02 03:04:05 ", ""}, {datetime(0), "2020-01-02  03:04:05", ""}, {datetime(0), "2020-02-30 00:00:00", ""},
		{timestamp, "1970-01-01 00:00:01", "1970-01-01 00:00:01.000000"}, {timestamp, "1970-01-01 00:00:00", ""}, {timestamp, "2038-01-19 03:14:07.999999", "2038-01-19 03:14:07.999999"},
		{timestamp, "2038-01-19 03:14:08", ""}, {timestamp, "0000-00-00 00:00:00", "0000-00-00 00:00:00.000000"}, {timestamp, "2020-01-01 00:00:00-01:00", "2020-01-01 01:00:00.000000"},

		{clock(0), "03:04:05", "03:04:05"}, {clock(0), "-03:04:05", "-03:04:05"}, {clock(0), "3:4:5", "03:04:05"}, {clock(0), "03:04", "03:04:00"}, {clock(0), "838:59:59", "838:59:59"},
		{clock(0), "-838:59:59", "-838:59:59"}, {clock(0), "839:00:00", ""}, {clock(0), "838:59:59.4", "838:59:59"}, {clock(0), "838:59:59.5", ""}, {clock(6), "838:59:59.000001", ""},
		{clock(6), "-00:00:00.000001", "-00:00:00.000001"}, {clock(0), "-00:00:00.5", "-00:00:01"}, {clock(0), "-00:00:00.4", "00:00:00"}, {clock(3), "-1:00:00.0005", "-01:00:00.001"},
		{clock(0), "1 02:03:04", "26:03:04"}, {clock(0), "34 22:59:59", "838:59:59"}, {clock(0), "1 24:00:00", ""}, {clock(0), "1 02", "26:00:00"}, {clock(0), "10", "00:00:10"},
		{clock(0), "1130", "00:11:30"}, {clock(0), "101112", "10:11:12"}, {clock(0), "8385959", "838:59:59"}, {clock(0), "60", ""}, {clock(1), "101112.25", "10:11:12.3"}, {clock(0), "", ""},
		{clock(0), "-", ""}, {clock(0), "12:60:00", ""}, {clock(0), "12:00:60", ""}, {clock(0), "12:", ""}, {clock(0), "12:00:", ""}, {clock(0), "12:00:00x", ""}, {clock(0), "99999:00:00", ""},

		{year, "1901", "1901"}, {year, "2155", "2155"}, {year, "1900", ""}, {year, "2156", ""}, {year, "0000", "0000"}, {year, "0", "2000"}, {year, "00", "2000"}, {year, "69", "2069"},
		{year, "70", "1970"}, {year, "99", "1999"}, {year, "5", "2005"}, {year, "123", ""}, {year, "", ""}, {year, "20200", ""}, {year, "-1", ""},
	}
	for _, tt := range tests {
		c, err := value.Parse(tt.typ, []byte(tt.in))
		if tt.want == "" {
			if !errs.Is(err, errs.Invalid) {
				t.Errorf("%v %q = %s, %v, want an invalid value", tt.typ, tt.in, value.AppendText(nil, tt.typ, c), err)
			}
			continue
		}
		if err != nil {
			t.Error(err)
			continue
		}
		if got := string(value.AppendText(nil, tt.typ, c)); got != tt.want {
			t.Errorf("%v %q = %q, want %q", tt.typ, tt.in, got, tt.want)
		}
		if back, err := value.Parse(tt.typ, []byte(tt.want)); err != nil || !back.Equal(c) {
			t.Errorf("%v %q comes back as %v, %v", tt.typ, tt.want, back, err)
		}
	}
}

func TestRoundMicros(t *testing.T) {
	tests := []struct {
		us           int64
		fsp          uint8
		micros, time int64
	}{
		{1_499_999, 0, 1_000_000, 1_000_000}, {1_500_000, 0, 2_000_000, 2_000_000}, {-1_500_000, 0, -1_000_000, -2_000_000}, {-1_500_001, 0, -2_000_000, -2_000_000},
		{15, 5, 20, 20}, {-15, 5, -10, -20}, {-15, 6, -15, -15}, {7, 6, 7, 7}, {49, 4, 0, 0}, {50, 4, 100, 100},
	}
	for _, tt := range tests {
		if got := value.RoundMicros(tt.us, tt.fsp); got != tt.micros {
			t.Errorf("RoundMicros(%d, %d) = %d, want %d", tt.us, tt.fsp, got, tt.micros)
		}
		if got := value.RoundTime(tt.us, tt.fsp); got != tt.time {
			t.Errorf("RoundTime(%d, %d) = %d, want %d", tt.us, tt.fsp, got, tt.time)
		}
	}
}

// TestTimeTextOfAnyCell checks that cells beyond all ranges, which only damage makes, have a text.
func TestTimeTextOfAnyCell(t *testing.T) {
	for _, k := range []value.Kind{value.KindDate, value.KindDatetime, value.KindTime, value.KindYear, value.KindEnum, value.KindSet, value.KindBit} {
		for _, v := range []int64{math.MinInt64, math.MinInt64 + 1, math.MaxInt64, -1, value.ZeroDatetime - 1} {
			value.AppendText(nil, value.Type{Kind: k, Precision: 6, Length: 64}, value.IntCell(v))
		}
	}
}
