package value

// The texts that are read as times:
//
//	DATE       YYYY-M-D or YYYYMMDD, '/' and '.' as well as '-', and a time of day if it is midnight
//	DATETIME   a date, then after a space or T: H:M[:S[.fraction]], then if wanted Z, +HH:MM, -HH:MM or +HHMM, which moves it to UTC
//	TIME       [-]H:M[:S[.fraction]], [-]D H[:M[:S[.fraction]]], or [-][[H]MM]SS as digits with a fraction
//	YEAR       four digits from 1901 to 2155 or 0000; one or two digits, 0-69 in 2000 and 70-99 in 1900
//
// Fractions are read to nanoseconds and rounded once to the type's digits.

const nanosPerMicro = 1000

// textScanner reads numbers off the front of a text.
type textScanner[S string | []byte] struct {
	s  S
	at int
}

func (p *textScanner[S]) done() bool { return p.at == len(p.s) }

// peek is the next byte; 0 at the end.
func (p *textScanner[S]) peek() byte {
	if p.at < len(p.s) {
		return p.s[p.at]
	}
	return 0
}

// take skips the next byte if it is c.
func (p *textScanner[S]) take(c byte) bool {
	if p.peek() == c && !p.done() {
		p.at++
		return true
	}
	return false
}

// number reads up to most digits and says how many there were.
func (p *textScanner[S]) number(most int) (v, digits int) {
	for digits < most && p.peek()-'0' <= 9 {
		v = v*10 + int(p.s[p.at]-'0')
		p.at++
		digits++
	}
	return v, digits
}

// date reads a date; ok is false when there is none at the front or when it is not a day. The zero date gives ZeroDate.
func (p *textScanner[S]) date() (days int64, ok bool) {
	y, n := p.number(4)
	if n != 4 {
		return 0, false
	}
	var m, d, nm, nd int
	if sep := p.peek(); sep == '-' || sep == '/' || sep == '.' {
		p.at++
		m, nm = p.number(2)
		if !p.take(sep) {
			return 0, false
		}
		d, nd = p.number(2)
		if nm == 0 || nd == 0 {
			return 0, false
		}
	} else {
		m, nm = p.number(2)
		d, nd = p.number(2)
		if nm != 2 || nd != 2 {
			return 0, false
		}
	}
	if y|m|d == 0 {
		return ZeroDate, true
	}
	if m < 1 || m > 12 || d < 1 || d > daysIn(y, m) {
		return 0, false
	}
	return DaysOf(y, m, d), true
}

// fraction reads digits behind a point that was read, in nanoseconds; more than nine are dropped.
func (p *textScanner[S]) fraction() (nanos int64, ok bool) {
	v, n := p.number(9)
	for i := n; i < 9; i++ {
		v *= 10
	}
	for p.peek()-'0' <= 9 {
		p.at++
	}
	return int64(v), n > 0
}

// clock reads M[:S[.fraction]] behind an hour and a colon that were read.
func (p *textScanner[S]) clock(hours int) (nanos int64, ok bool) {
	m, n := p.number(2)
	if n == 0 || m > 59 {
		return 0, false
	}
	s := 0
	if p.take(':') {
		if s, n = p.number(2); n == 0 || s > 59 {
			return 0, false
		}
		if p.take('.') {
			if nanos, ok = p.fraction(); !ok {
				return 0, false
			}
		}
	}
	return int64(hours*3600+m*60+s)*microsPerSecond*nanosPerMicro + nanos, true
}

// zone reads Z or an offset of UTC in microseconds.
func (p *textScanner[S]) zone() (us int64, ok bool) {
	if p.take('Z') || p.take('z') {
		return 0, true
	}
	sign := int64(1)
	if p.take('-') {
		sign = -1
	} else if !p.take('+') {
		return 0, false
	}
	h, n := p.number(2)
	if n != 2 {
		return 0, false
	}
	p.take(':')
	m, n := p.number(2)
	if n != 2 || h > 14 || m > 59 {
		return 0, false
	}
	return sign * int64(h*3600+m*60) * microsPerSecond, true
}

// moment reads a date and, if there is one, a time of day and a zone, to the end of the text. nanos is of the day.
func (p *textScanner[S]) moment() (days, nanos, offset int64, ok bool) {
	if days, ok = p.date(); !ok || p.done() {
		return days, 0, 0, ok
	}
	if !p.take(' ') && !p.take('T') && !p.take('t') {
		return 0, 0, 0, false
	}
	h, n := p.number(2)
	if n == 0 || h > 23 || !p.take(':') {
		return 0, 0, 0, false
	}
	if nanos, ok = p.clock(h); !ok {
		return 0, 0, 0, false
	}
	if !p.done() {
		if offset, ok = p.zone(); !ok || !p.done() {
			return 0, 0, 0, false
		}
	}
	return days, nanos, offset, true
}

func parseDate[S string | []byte](t *Type, s S) (Cell, error) {
	p := textScanner[S]{s: s}
	days, nanos, offset, ok := p.moment()
	if !ok {
		return Null, errParse(t, s, "not a date")
	}
	if nanos != 0 || offset != 0 {
		return Null, errParse(t, s, "a date with a time of day")
	}
	return IntCell(days), nil
}

func parseDatetime[S string | []byte](t *Type, s S) (Cell, error) {
	p := textScanner[S]{s: s}
	days, nanos, offset, ok := p.moment()
	if !ok {
		return Null, errParse(t, s, "not a date and time")
	}
	if days == ZeroDate {
		if nanos != 0 || offset != 0 {
			return Null, errParse(t, s, "the zero date has no time of day")
		}
		return IntCell(ZeroDatetime), nil
	}
	us := days*microsPerDay - offset + roundNanos(nanos, t.Precision)
	lo, hi := MinDatetime, MaxDatetime
	if t.Kind == KindTimestamp {
		lo, hi = MinTimestamp, MaxTimestamp
	}
	if us < lo || us > hi {
		return Null, errParse(t, s, "out of range")
	}
	return IntCell(us), nil
}

// roundNanos is nanoseconds that are not negative as microseconds, rounded once to fsp fraction digits of a second, half up.
func roundNanos(nanos int64, fsp uint8) int64 {
	unit := int64(pow10[9-min(fsp, 6)])
	return (nanos + unit/2) / unit * (unit / nanosPerMicro)
}

func parseTime[S string | []byte](t *Type, s S) (Cell, error) {
	p := textScanner[S]{s: s}
	neg := p.take('-')
	nanos, ok := p.duration()
	if !ok || !p.done() {
		return Null, errParse(t, s, "not a time")
	}
	us := roundNanos(nanos, t.Precision)
	if us > MaxTime {
		return Null, errParse(t, s, "out of range")
	}
	if neg {
		us = -us
	}
	return IntCell(us), nil
}

// duration reads a time without its sign, in nanoseconds.
func (p *textScanner[S]) duration() (nanos int64, ok bool) {
	v, n := p.number(9)
	if n == 0 {
		return 0, false
	}
	switch {
	case p.take(':'):
		if n > 4 {
			return 0, false
		}
		return p.clock(v)
	case p.take(' '):
		h, n := p.number(2)
		if n == 0 || h > 23 || v > 99 {
			return 0, false
		}
		if p.take(':') {
			return p.clock(v*24 + h)
		}
		return int64(v*24+h) * 3600 * microsPerSecond * nanosPerMicro, true
	}
	if n > 7 || v%100 > 59 || v/100%100 > 59 {
		return 0, false
	}
	if p.take('.') {
		if nanos, ok = p.fraction(); !ok {
			return 0, false
		}
	}
	return int64(v/10000*3600+v/100%100*60+v%100)*microsPerSecond*nanosPerMicro + nanos, true
}

func parseYear[S string | []byte](t *Type, s S) (Cell, error) {
	p := textScanner[S]{s: s}
	v, n := p.number(4)
	switch {
	case !p.done() || n == 0 || n == 3:
		return Null, errParse(t, s, "not a year")
	case n <= 2 && v < 70:
		v += 2000
	case n <= 2:
		v += 1900
	case v != 0 && (v < 1901 || v > 2155):
		return Null, errParse(t, s, "out of range")
	}
	return IntCell(int64(v)), nil
}
