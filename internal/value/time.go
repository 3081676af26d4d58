package value

import "math"

// Times are proleptic Gregorian without leap seconds, and know no zone: KindTimestamp is UTC by convention. A date is days since
// 1970-01-01, a date and time microseconds since its midnight, a time of day or duration signed microseconds. MySQL's 0000-00-00 is
// ZeroDate, which comes before all days.

const (
	microsPerSecond = 1_000_000
	microsPerDay    = 86400 * microsPerSecond

	// MinDate and MinDatetime are 0000-01-01 and its first microsecond. Only the zero date is below them.
	MinDate     int64 = -719528
	MinDatetime int64 = MinDate * microsPerDay

	// MaxDate and MaxDatetime are 9999-12-31 and its last microsecond.
	MaxDate     int64 = 2932896
	MaxDatetime int64 = (MaxDate+1)*microsPerDay - 1

	// MaxTime is 838:59:59 in microseconds; the least time is -MaxTime.
	MaxTime int64 = (838*3600 + 59*60 + 59) * microsPerSecond

	// MinTimestamp and MaxTimestamp are 1970-01-01 00:00:01 and 2038-01-19 03:14:07.999999, beyond which MySQL keeps no timestamps.
	MinTimestamp int64 = microsPerSecond
	MaxTimestamp int64 = (1<<31)*microsPerSecond - 1
)

// DaysOf is the number of days from 1970-01-01 to a day of the Gregorian calendar, for years 0 to 9999.
// (Hinnant, "chrono-compatible low-level date algorithms", days_from_civil.)
func DaysOf(year, month, day int) int64 {
	if month <= 2 {
		year--
	}
	era := floorDiv(int64(year), 400)
	ofEra := int64(year) - era*400
	ofYear := int64((153*((month+9)%12)+2)/5 + day - 1)
	return era*146097 + ofEra*365 + ofEra/4 - ofEra/100 + ofYear - 719468
}

// DateOf is the day of the Gregorian calendar that is days after 1970-01-01: the inverse of DaysOf.
func DateOf(days int64) (year, month, day int) {
	z := days + 719468
	era := floorDiv(z, 146097)
	ofEra := z - era*146097
	yearOfEra := (ofEra - ofEra/1460 + ofEra/36524 - ofEra/146096) / 365
	ofYear := ofEra - (365*yearOfEra + yearOfEra/4 - yearOfEra/100)
	mp := (5*ofYear + 2) / 153
	day = int(ofYear - (153*mp+2)/5 + 1)
	month = int((mp+2)%12 + 1)
	year = int(yearOfEra + era*400)
	if month <= 2 {
		year++
	}
	return year, month, day
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// RoundMicros rounds microseconds to fsp fraction digits of a second, half up (towards the future for points in time, which is away
// from zero for those of its day). For durations see RoundTime.
func RoundMicros(us int64, fsp uint8) int64 {
	if fsp >= 6 {
		return us
	}
	unit := int64(pow10[6-fsp])
	return floorDiv(us+unit/2, unit) * unit
}

// RoundTime rounds a duration in microseconds to fsp fraction digits, half away from zero.
func RoundTime(us int64, fsp uint8) int64 {
	if us < 0 && us > math.MinInt64 {
		return -RoundMicros(-us, fsp)
	}
	return RoundMicros(us, fsp)
}

// appendDigits appends v with at least width digits.
func appendDigits(dst []byte, v, width int) []byte {
	var buf [20]byte
	at := len(buf)
	for v > 0 || len(buf)-at < width {
		at--
		buf[at] = byte('0' + v%10)
		v /= 10
	}
	return append(dst, buf[at:]...)
}

func append2(dst []byte, v int) []byte { return append(dst, byte('0'+v/10), byte('0'+v%10)) }

// appendDate appends YYYY-MM-DD.
func appendDate(dst []byte, days int64) []byte {
	if days == ZeroDate {
		return append(dst, "0000-00-00"...)
	}
	y, m, d := DateOf(days)
	if y < 0 {
		dst, y = append(dst, '-'), -y
	}
	dst = appendDigits(dst, y, 4)
	dst = append2(append(dst, '-'), m)
	return append2(append(dst, '-'), d)
}

// appendClock appends HH:MM:SS and fsp fraction digits of a duration that is not negative.
func appendClock(dst []byte, us int64, fsp uint8) []byte {
	s := us / microsPerSecond
	dst = appendDigits(dst, int(s/3600), 2)
	dst = append2(append(dst, ':'), int(s/60%60))
	dst = append2(append(dst, ':'), int(s%60))
	if fsp = min(fsp, 6); fsp > 0 {
		dst = append(dst, '.')
		dst = appendDigits(dst, int(us%microsPerSecond/int64(pow10[6-fsp])), int(fsp))
	}
	return dst
}

// appendDatetime appends YYYY-MM-DD HH:MM:SS and fsp fraction digits.
func appendDatetime(dst []byte, us int64, fsp uint8) []byte {
	days := floorDiv(us, microsPerDay)
	ofDay := us - days*microsPerDay
	return appendClock(append(appendDate(dst, days), ' '), ofDay, fsp)
}

// appendTime appends [-]HH:MM:SS and fsp fraction digits.
func appendTime(dst []byte, us int64, fsp uint8) []byte {
	if us < 0 {
		dst = append(dst, '-')
		us = -us
	}
	if us < 0 { // the least int64 has no opposite
		us = math.MaxInt64
	}
	return appendClock(dst, us, fsp)
}
