package ingest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"runtime"
	"strings"
	"unicode/utf8"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/value"
	"github.com/stemmadb/stemma/internal/vfs"
)

// splitter cuts a block into records.
type splitter interface {
	reset(data []byte, line int64)
	Next(rec *Record) (bool, *LineError)
}

// newSplitter is the splitter of a format. names are those of the fields, and wants, which may be nil, says of members of JSON objects
// in what form their column takes them.
func newSplitter(f Format, names []string, wants []wanted) splitter {
	if f.Type != JSONL {
		return &csvSplitter{comma: f.Comma}
	}
	s := &jsonSplitter{wants: wants, at: make(map[string]int, len(names)), fields: make([][]byte, len(names)), quoted: make([]bool, len(names)),
		forms: make([]jsonForm, len(names))}
	for i, n := range names {
		s.at[n] = i
	}
	return s
}

// csvSplitter is a Splitter of one separator.
type csvSplitter struct {
	Splitter
	comma byte
}

func (s *csvSplitter) reset(data []byte, line int64) { s.Reset(data, line, s.comma) }

// header tells whether a block begins with the header.
func (f *Format) header(b *block) bool { return f.Type == CSV && b.line == 1 && !f.NoHeader }

// blank tells whether a record of a file of so many fields is an empty line, which is passed over.
func (f *Format) blank(r *Record, fields int) bool {
	if f.Type == JSONL {
		return r.Fields == nil
	}
	return fields > 1 && r.Blank()
}

// jsonForm is what a member of an object is.
type jsonForm uint8

const (
	jsonScalar jsonForm = iota // null, a number or a truth value; text of formats that know none of this
	jsonString
	jsonNested // an object or an array
)

// wanted is the form in which a column takes members.
type wanted uint8

const (
	wantText   wanted = iota
	wantJSON          // as JSON
	wantBase64        // strings are base64 of the bytes
)

// forms are the forms in which the columns of the fields take members.
func (l *loading) forms() []wanted {
	out := make([]wanted, len(l.fields))
	for i := range l.fields {
		switch f := &l.fields[i]; {
		case f.cell < 0:
		case f.typ.Kind == value.KindJSON, f.typ.Kind == value.KindVector:
			out[i] = wantJSON
		case holdsBytes(f.typ):
			out[i] = wantBase64
		}
	}
	return out
}

// jsonSplitter cuts lines that hold an object each into records. Members that a line lacks are NULL.
type jsonSplitter struct {
	data   []byte
	place  int // of data in the block
	line   int64
	at     map[string]int
	wants  []wanted
	fields [][]byte
	quoted []bool
	forms  []jsonForm
	arena  []byte
	name   []byte
}

func (s *jsonSplitter) reset(data []byte, line int64) { s.data, s.place, s.line = data, 0, line }

// Next reads a line; false at the end. An empty line is a record without fields.
func (s *jsonSplitter) Next(rec *Record) (bool, *LineError) {
	if len(s.data) == 0 {
		return false, nil
	}
	n := lineLen(s.data)
	rec.Raw, rec.Line, rec.at = s.data[:n:n], s.line, s.place
	s.place += n
	rec.Fields, rec.Quoted, rec.forms = nil, nil, nil
	s.data = s.data[n:]
	s.line++
	text := bytes.TrimSpace(rec.Raw)
	if len(text) == 0 {
		return true, nil
	}
	clear(s.fields)
	clear(s.quoted)
	clear(s.forms)
	s.arena = s.arena[:0]
	column, err := s.object(text)
	if err != nil {
		return true, &LineError{Line: rec.Line, Column: column, Err: err}
	}
	rec.Fields, rec.Quoted, rec.forms = s.fields, s.quoted, s.forms
	return true, nil
}

// object reads the members of an object, which must be all of the text.
func (s *jsonSplitter) object(text []byte) (column string, err error) {
	return "", eachMember(text, func(rawName, raw []byte) error {
		var err error
		if s.name, err = unquoteJSON(s.name[:0], rawName); err != nil {
			return err
		}
		i, ok := s.at[string(s.name)]
		if !ok {
			return nil
		}
		if s.fields[i] != nil {
			return invalid("the member %s comes twice", s.name)
		}
		if err := s.member(i, raw); err != nil {
			column = string(s.name)
			return err
		}
		return nil
	})
}

// member keeps the value of field i.
func (s *jsonSplitter) member(i int, raw []byte) error {
	want := wantText
	if s.wants != nil {
		want = s.wants[i]
	}
	switch raw[0] {
	case 'n':
		return nil
	case '{', '[':
		s.forms[i] = jsonNested
		s.fields[i] = raw
		return nil
	case '"':
		s.forms[i], s.quoted[i] = jsonString, true
		if want == wantJSON {
			s.fields[i] = raw
			return nil
		}
		from := len(s.arena)
		var err error
		if s.arena, err = unquoteJSON(s.arena, raw); err != nil {
			return err
		}
		s.fields[i] = s.arena[from:len(s.arena):len(s.arena)]
		if want == wantBase64 {
			plain, err := base64.StdEncoding.DecodeString(string(s.fields[i]))
			if err != nil {
				return invalid("bytes are in base64 in JSON, and this is not: %w", err)
			}
			s.fields[i] = plain
		}
		if s.fields[i] == nil {
			s.fields[i] = []byte{}
		}
		return nil
	}
	s.fields[i] = raw
	return nil
}

var errNoObject = errors.New(`want an object a line, {"column": value, …}`)

// eachMember calls fn for the members of an object of JSON, whose name and value are given as they stand.
func eachMember(text []byte, fn func(name, raw []byte) error) error {
	if !json.Valid(text) {
		var v any
		return invalid("not JSON: %w", json.Unmarshal(text, &v))
	}
	if text[0] != '{' {
		return invalid("%w, not %.20s", errNoObject, text)
	}
	rest := skipBlank(text[1:])
	for rest[0] != '}' {
		n := valueLen(rest)
		name := rest[:n]
		rest = skipBlank(skipBlank(rest[n:])[1:]) // the colon
		n = valueLen(rest)
		if err := fn(name, rest[:n:n]); err != nil {
			return err
		}
		if rest = skipBlank(rest[n:]); rest[0] == ',' {
			rest = skipBlank(rest[1:])
		}
	}
	return nil
}

func skipBlank(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t' || b[0] == '\n' || b[0] == '\r') {
		b = b[1:]
	}
	return b
}

// valueLen is the length of the value with which valid JSON begins.
func valueLen(b []byte) int {
	depth := 0
	for i := 0; ; i++ {
		switch b[i] {
		case '"':
			for i++; b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			depth++
			continue
		case '}', ']':
			depth--
		default:
			if depth > 0 {
				continue
			}
			for i < len(b) && !strings.ContainsRune(" \t\r\n,}]:", rune(b[i])) {
				i++
			}
			return i
		}
		if depth == 0 {
			return i + 1
		}
	}
}

// unquoteJSON appends the text of a string of valid JSON. Halves of surrogate pairs, for which there is no text, are an error.
func unquoteJSON(dst, raw []byte) ([]byte, error) {
	body := raw[1 : len(raw)-1]
	if bytes.IndexByte(body, '\\') < 0 {
		return append(dst, body...), nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return dst, invalid("%w", err)
	}
	if strings.ContainsRune(s, utf8.RuneError) && !bytes.Contains(body, []byte("\xef\xbf\xbd")) && !bytes.Contains(bytes.ToLower(body), []byte(`\ufffd`)) {
		return dst, invalid("the string %.40s has half of a surrogate pair", raw)
	}
	return append(dst, s...), nil
}

// jsonHead finds the names of all members, in the order in which they first come.
func jsonHead(ctx context.Context, src Source) (Head, error) {
	var h Head
	seen, folded := map[string]bool{}, map[string]string{}
	type found struct{ names []string }
	newWorker := func() func(*block, *found) error {
		known := map[string]bool{}
		var name []byte
		return func(b *block, out *found) error {
			out.names = out.names[:0]
			data, line := b.data, b.line
			for ; len(data) > 0; line++ {
				n := lineLen(data)
				text := bytes.TrimSpace(data[:n])
				data = data[n:]
				if len(text) == 0 {
					continue
				}
				err := eachMember(text, func(raw, _ []byte) (err error) {
					if name, err = unquoteJSON(name[:0], raw); err != nil || known[string(name)] {
						return err
					}
					known[string(name)] = true
					out.names = append(out.names, string(name))
					return nil
				})
				if err != nil {
					return &LineError{File: src.Name, Unit: src.Unit, Line: line, Err: err}
				}
			}
			return nil
		}
	}
	err := each(ctx, newFramer(src, Format{Type: JSONL}).next, runtime.GOMAXPROCS(0), newWorker, func(_ *block, f *found) error {
		for _, n := range f.names {
			if seen[n] {
				continue
			}
			seen[n] = true
			if n == "" {
				return invalid("read %s: a member has no name", src.Name)
			}
			if other, ok := folded[strings.ToLower(n)]; ok {
				return invalid("read %s: the members %s and %s differ in case only, and columns may not", src.Name, other, n)
			}
			folded[strings.ToLower(n)] = n
			h.Names = append(h.Names, n)
		}
		return nil
	})
	if err != nil {
		return Head{}, err
	}
	if h.Fields = len(h.Names); h.Fields == 0 {
		return Head{}, invalid("read %s: it has no rows", src.Name)
	}
	return h, nil
}

// jsonToLines copies the objects of an array, or of the only member of an object, into a file of a line each.
func jsonToLines(ctx context.Context, fs vfs.FS, path, name string, r io.Reader) (*Spool, error) {
	return newLines(ctx, fs, path, name, "row", func(emit func([]byte) error) error {
		d := json.NewDecoder(r)
		bad := func(n int64, err error) error {
			if n == 0 {
				return invalid("read %s: %w", name, err)
			}
			return &LineError{File: name, Unit: "row", Line: n, Err: invalid("%w", err)}
		}
		t, err := d.Token()
		if err != nil {
			return bad(0, err)
		}
		if t == json.Delim('{') { // {"rows": […]}
			if !d.More() {
				return nil
			}
			if _, err := d.Token(); err != nil {
				return bad(0, err)
			}
			if t, err = d.Token(); err != nil {
				return bad(0, err)
			}
		}
		if t != json.Delim('[') {
			return bad(0, errors.New(`want an array of objects, or {"rows": [object, …]}; a file of an object a line is of type jsonl`))
		}
		var n int64
		var line bytes.Buffer
		for n = 1; d.More(); n++ {
			var raw json.RawMessage
			if err := d.Decode(&raw); err != nil {
				return bad(n, err)
			}
			line.Reset()
			if err := json.Compact(&line, raw); err != nil {
				return bad(n, err)
			}
			if err := emit(line.Bytes()); err != nil {
				return err
			}
		}
		if _, err := d.Token(); err != nil {
			return bad(n, err)
		}
		return nil
	})
}

// newLines makes a spool of the lines that fill gives to emit.
func newLines(ctx context.Context, fs vfs.FS, path, name, unit string, fill func(emit func([]byte) error) error) (*Spool, error) {
	pr, pw := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 0, 256<<10)
		err := fill(func(line []byte) error {
			buf = append(append(buf, line...), '\n')
			if len(buf) < 128<<10 {
				return nil
			}
			_, err := pw.Write(buf)
			buf = buf[:0]
			return err
		})
		if err == nil {
			_, err = pw.Write(buf)
		}
		pw.CloseWithError(err)
	}()
	s, err := NewSpool(ctx, fs, path, name, pr)
	pr.CloseWithError(errs.New(errs.Canceled, "nobody reads on"))
	<-done
	if err != nil {
		return nil, err
	}
	s.Unit = unit
	return s, nil
}
