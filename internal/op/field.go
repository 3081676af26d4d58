package op

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
)

// SetDefaults gives every parameter its default; dest is a pointer to the struct that params were read from.
func SetDefaults(params []Param, dest any) error {
	for i := range params {
		p := &params[i]
		if p.Default == "" {
			continue
		}
		if p.Kind == Strings && p.Sep == "" {
			p.of(dest).Set(reflect.ValueOf([]string{p.Default}))
			continue
		}
		any := *p
		any.HasLeast = false
		if err := any.set(dest, p.Default, false); err != nil {
			return err
		}
	}
	return nil
}

// of is the parameter's field in dest.
func (p *Param) of(dest any) reflect.Value { return reflect.ValueOf(dest).Elem().Field(p.field) }

// set reads text, in the notation of a flag's value, into the parameter's field. A value of kind Strings is added to those that are
// there when more is true, else it replaces them.
func (p *Param) set(dest any, text string, more bool) error {
	f := p.of(dest)
	if p.Kind == Strings {
		vals := []string{text}
		if p.Sep != "" {
			vals = strings.Split(text, p.Sep)
		}
		for _, v := range vals {
			if err := p.allowed(v); err != nil {
				return err
			}
		}
		if more {
			vals = append(f.Interface().([]string), vals...)
		}
		f.Set(reflect.ValueOf(vals))
		return nil
	}
	if err := p.allowed(text); err != nil {
		return err
	}
	switch p.Kind {
	case Bool:
		b, err := strconv.ParseBool(strings.ToLower(text))
		if err != nil {
			return p.bad(text, "true or false")
		}
		f.SetBool(b)
	case Int:
		n, err := strconv.ParseInt(text, 10, f.Type().Bits())
		if err != nil {
			return p.bad(text, "a whole number")
		}
		if p.HasLeast && n < p.Least {
			return p.bad(text, p.wholeNumber())
		}
		f.SetInt(n)
	case String:
		if p.HasLeast && int64(len(text)) < p.Least {
			return p.bad(text, "a text that is not empty")
		}
		f.SetString(text)
	case Duration:
		d, err := ParseDuration(text)
		if err != nil {
			return p.bad(text, "a duration such as 90s, 36h or 14d")
		}
		f.SetInt(int64(d))
	case Time:
		t, err := ParseTime(text)
		if err != nil {
			return p.bad(text, "a time such as 2024-01-31T12:00:00Z or 2024-01-31")
		}
		f.Set(reflect.ValueOf(t))
	default:
		return errs.New(errs.Internal, "set %s: unknown kind %d", p.Shown(), p.Kind)
	}
	return nil
}

// allowed checks a value against Enum.
func (p *Param) allowed(v string) error {
	if len(p.Enum) == 0 || slices.Contains(p.Enum, v) {
		return nil
	}
	return offering(errs.Invalid, errs.Nearest(v, p.Enum), "%s %q: want one of %s", p.Shown(), v, strings.Join(p.Enum, ", "))
}

func (p *Param) bad(text, want string) error {
	return errs.New(errs.Invalid, "%s %q: want %s", p.Shown(), text, want)
}

// wholeNumber says which numbers the parameter takes.
func (p *Param) wholeNumber() string {
	if p.HasLeast {
		return fmt.Sprintf("a whole number from %d", p.Least)
	}
	return "a whole number"
}

// isZero tells whether the parameter is empty.
func (p *Param) isZero(dest any) bool {
	f := p.of(dest)
	if p.Kind == Strings {
		return f.Len() == 0
	}
	return f.IsZero()
}

// Check verifies that o has all its required parameters.
func (s *Spec) Check(o Op) error {
	for i := range s.Params {
		if p := &s.Params[i]; p.Required && p.isZero(o) {
			return errs.New(errs.Invalid, "%s: %s is missing", s.Name, p.Shown())
		}
	}
	return nil
}

// ParseDuration reads Go's notation of a duration and, above it, whole days: "14d", "1d12h".
func ParseDuration(s string) (time.Duration, error) {
	days, rest, ok := strings.Cut(s, "d")
	if !ok {
		d, err := time.ParseDuration(s)
		if err != nil {
			return 0, errs.New(errs.Invalid, "duration %q: want one such as 90s, 36h or 14d", s)
		}
		return d, nil
	}
	n, err := strconv.ParseInt(days, 10, 64)
	if err != nil || n > math.MaxInt64/int64(24*time.Hour) || n < math.MinInt64/int64(24*time.Hour) {
		return 0, errs.New(errs.Invalid, "duration %q: want whole days before d", s)
	}
	d := time.Duration(n) * 24 * time.Hour
	if rest == "" {
		return d, nil
	}
	r, err := time.ParseDuration(rest)
	if err != nil || r < 0 {
		return 0, errs.New(errs.Invalid, "duration %q: want hours, minutes or seconds behind the days", s)
	}
	if n < 0 {
		r = -r
	}
	if sum := d + r; (r > 0) == (sum > d) || r == 0 {
		return sum, nil
	}
	return 0, errs.New(errs.Invalid, "duration %q: too long", s)
}

// timeLayouts are the notations of a time, tried in order.
var timeLayouts = [...]string{
	time.RFC3339Nano,
	"2006-01-02 15:04:05.999999999Z07:00",
	"2006-01-02 15:04:05.999999999 -0700",
	"2006-01-02T15:04:05.999999999",
	"2006-01-02 15:04:05.999999999",
	"2006-01-02T15:04",
	"2006-01-02 15:04",
	"2006-01-02",
	"2006/01/02",
	"2006.01.02",
	"01/02/2006",
	time.RFC1123Z,
	"Mon Jan _2 15:04:05 -0700 2006",
}

// ParseTime reads a time: ISO 8601 with T or a space and with or without zone, seconds, or time of day; the forms that Dolt takes
// (2024/01/31, 2024.01.31, 01/31/2024); git's and mail's. "@1700000000" is seconds since 1970. A time without zone is UTC.
func ParseTime(s string) (time.Time, error) {
	if sec, ok := strings.CutPrefix(s, "@"); ok {
		n, err := strconv.ParseInt(sec, 10, 64)
		if err != nil {
			return time.Time{}, errs.New(errs.Invalid, "time %q: want whole seconds behind @", s)
		}
		t := time.Unix(n, 0).UTC()
		if y := t.Year(); y < 0 || y > 9999 {
			return time.Time{}, errs.New(errs.Invalid, "time %q: want a year from 0 to 9999", s)
		}
		return t, nil
	}
	for _, l := range timeLayouts {
		if t, err := time.Parse(l, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, errs.New(errs.Invalid, "time %q: want a form such as 2024-01-31T12:00:00Z", s)
}

// formatDuration is d in the notation of ParseDuration.
func formatDuration(d time.Duration) string { return d.String() }

// formatTime is t in the notation of ParseTime, without loss.
func formatTime(t time.Time) string { return t.Format(time.RFC3339Nano) }

// offering is an error with the names that may have been meant.
func offering(code errs.Code, near []string, format string, args ...any) error {
	return errs.WithMeant(errs.New(code, format, args...), near)
}
