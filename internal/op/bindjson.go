package op

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/stemmadb/stemma/internal/errs"
)

// BindJSON makes the op that a JSON object asks for: its members are the parameters by Param.Name. Bools are true or false, whole
// numbers are numbers, lists are arrays of strings (one string will do), durations and times are strings as on a command line; null
// is the default. An empty body is {}. Errors are of class Invalid.
func BindJSON(s Spec, body []byte) (Op, error) {
	if s.New == nil {
		return nil, errs.New(errs.Invalid, "%s: a subcommand is missing", s.Name)
	}
	o := s.New()
	if len(bytes.TrimSpace(body)) > 0 {
		if err := s.bindObject(o, body); err != nil {
			return nil, err
		}
	}
	if err := s.Check(o); err != nil {
		return nil, err
	}
	return o, nil
}

func (s *Spec) bindObject(o Op, body []byte) error {
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errs.New(errs.Invalid, "%s: want a JSON object of parameters", s.Name)
	}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return errs.New(errs.Invalid, "%s: read parameters: %w", s.Name, err)
		}
		name, _ := t.(string) // the decoder takes only strings here
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return errs.New(errs.Invalid, "%s: read parameter %q: %w", s.Name, name, err)
		}
		p := s.param(name)
		if p == nil {
			return offering(errs.Invalid, errs.Nearest(name, s.paramNames()), "%s: unknown parameter %q", s.Name, name)
		}
		if seen[name] {
			return errs.New(errs.Invalid, "%s: parameter %q is given twice", s.Name, name)
		}
		seen[name] = true
		if err := p.setJSON(o, raw); err != nil {
			return errs.With(errs.Invalid, prefixed(s.Name, err))
		}
	}
	if _, err := d.Token(); err != nil {
		return errs.New(errs.Invalid, "%s: read parameters: %w", s.Name, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return errs.New(errs.Invalid, "%s: more follows the JSON object of parameters", s.Name)
	}
	return nil
}

func (s *Spec) param(name string) *Param {
	for i := range s.Params {
		if s.Params[i].Name == name {
			return &s.Params[i]
		}
	}
	return nil
}

func (s *Spec) paramNames() []string {
	out := make([]string, len(s.Params))
	for i := range s.Params {
		out[i] = s.Params[i].Name
	}
	return out
}

func (p *Param) setJSON(dest any, raw json.RawMessage) error {
	if string(raw) == "null" {
		return nil
	}
	bad := func(want string) error {
		const most = 40
		shown := string(raw)
		if len(shown) > most {
			shown = shown[:most] + "…"
		}
		return errs.New(errs.Invalid, "parameter %q: want %s, have %s", p.Name, want, shown)
	}
	f := p.of(dest)
	switch p.Kind {
	case Bool:
		var v bool
		if json.Unmarshal(raw, &v) != nil {
			return bad("true or false")
		}
		f.SetBool(v)
	case Int:
		var v int64
		if json.Unmarshal(raw, &v) != nil || f.OverflowInt(v) || p.HasLeast && v < p.Least {
			return bad(p.wholeNumber())
		}
		f.SetInt(v)
	case Strings:
		var v []string
		if json.Unmarshal(raw, &v) != nil {
			var one string
			if json.Unmarshal(raw, &one) != nil {
				return bad("an array of strings")
			}
			return p.set(dest, one, false)
		}
		for _, e := range v {
			if err := p.allowed(e); err != nil {
				return err
			}
		}
		p.setStrings(dest, v)
	default:
		var v string
		if json.Unmarshal(raw, &v) != nil {
			return bad("a string")
		}
		return p.set(dest, v, false)
	}
	return nil
}

// setStrings sets a list; an empty one is nil.
func (p *Param) setStrings(dest any, v []string) {
	if len(v) == 0 {
		v = nil
	}
	*p.of(dest).Addr().Interface().(*[]string) = v
}

// EncodeJSON is the JSON object from which BindJSON makes o again. It holds the parameters that differ from their defaults, in the
// order of the spec. A string that is not UTF-8 cannot be carried and is an error of class Invalid.
func EncodeJSON(s Spec, o Op) ([]byte, error) {
	def := s.New()
	var b bytes.Buffer
	b.WriteByte('{')
	for i := range s.Params {
		p := &s.Params[i]
		v, err := p.jsonValue(o)
		if err != nil {
			return nil, prefixed(s.Name, err)
		}
		d, err := p.jsonValue(def)
		if err != nil {
			return nil, prefixed(s.Name, err)
		}
		if bytes.Equal(v, d) {
			continue
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:%s", p.Name, v)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func (p *Param) jsonValue(o Op) ([]byte, error) {
	v := p.of(o).Interface()
	var strs []string
	switch x := v.(type) {
	case string:
		strs = []string{x}
	case []string:
		if x == nil {
			v = []string{}
		}
		strs = x
	case time.Duration:
		v = formatDuration(x)
	case time.Time:
		if x.IsZero() {
			return []byte("null"), nil
		}
		v = formatTime(x)
	}
	for _, s := range strs {
		if !utf8.ValidString(s) {
			return nil, errs.New(errs.Invalid, "parameter %q: %q is not UTF-8", p.Name, s)
		}
	}
	return json.Marshal(v)
}
