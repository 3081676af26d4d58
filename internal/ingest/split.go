package ingest

import (
	"bytes"
	"errors"
)

// Splitter cuts bytes that hold whole records into records and these into fields. It allocates nothing for each record, and a
// field aliases the bytes unless quotes were doubled in it. The zero Splitter must be Reset.
type Splitter struct {
	data   []byte
	at     int
	line   int64
	comma  byte
	plain  bool // no quotes in data
	fields [][]byte
	quotes []bool // fields that were in quotes
	arena  []byte // text of fields with doubled quotes
}

// Record is one record. It is valid until the next call of Next.
type Record struct {
	Fields [][]byte // nil is NULL: a field without characters and without quotes
	Quoted []bool   // which fields were in quotes; nil for none
	Line   int64    // on which it begins, from 1
	Raw    []byte   // its bytes, line end included

	forms []jsonForm // of a JSON object: what the fields were
	at    int        // place of Raw in the bytes that are split
}

// Blank tells whether the record is an empty line, which is the record of one NULL as well.
func (r *Record) Blank() bool { return len(r.Fields) == 1 && r.Fields[0] == nil }

// syntaxError is a violation of the format at a place in the bytes.
type syntaxError struct {
	at  int // offset in the bytes that are split
	err error
	// open tells that bytes were missing: a quoted field without its end. More bytes may mend it.
	open bool
}

var (
	errBareQuote = errors.New(`a quote inside a field that does not begin with one; write "…""…" instead`)
	errAfter     = errors.New("text between a closing quote and the end of the field; a quote inside a quoted field must be doubled")
	errOpen      = errors.New("a quoted field that begins here is not closed before the end of the file: is the file cut off?")
)

// Reset makes s split data, whose first byte is on that line. data must not change while fields are in use.
func (s *Splitter) Reset(data []byte, line int64, comma byte) {
	s.data, s.at, s.line, s.comma = data, 0, line, comma
	s.plain = bytes.IndexByte(data, '"') < 0
}

// Next reads a record; false at the end. A record that violates the format is an error that says on which line; rec has its line and
// its first line as bytes, and the next call goes on behind that line. The error's File is empty.
func (s *Splitter) Next(rec *Record) (bool, *LineError) {
	if s.at >= len(s.data) {
		return false, nil
	}
	start, line := s.at, s.line
	rec.Line, rec.at = line, start
	if s.plain {
		s.unquoted()
		rec.Fields, rec.Quoted, rec.Raw = s.fields, nil, s.data[start:s.at]
		s.line++
		return true, nil
	}
	s.arena = s.arena[:0]
	if bad := s.record(); bad != nil {
		end := start + lineLen(s.data[start:])
		s.at, s.line = end, line+1
		rec.Fields, rec.Quoted, rec.Raw = nil, nil, s.data[start:end]
		at := line + int64(bytes.Count(s.data[start:min(bad.at, len(s.data))], newline))
		return true, &LineError{Line: at, Err: invalid("%w", bad.err)}
	}
	rec.Fields, rec.Quoted, rec.Raw = s.fields, s.quotes, s.data[start:s.at]
	s.line += int64(bytes.Count(rec.Raw, newline))
	return true, nil
}

var newline = []byte{'\n'}

// lineLen is the length of the first line of b, its end included.
func lineLen(b []byte) int {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return i + 1
	}
	return len(b)
}

// unquoted reads a record of data without quotes.
func (s *Splitter) unquoted() {
	rest := s.data[s.at:]
	n := lineLen(rest)
	s.at += n
	rest = trimEnd(rest[:n])
	f := s.fields[:0]
	for {
		i := bytes.IndexByte(rest, s.comma)
		if i < 0 {
			break
		}
		if i == 0 {
			f = append(f, nil)
		} else {
			f = append(f, rest[:i:i])
		}
		rest = rest[i+1:]
	}
	if len(rest) == 0 {
		rest = nil
	}
	s.fields = append(f, rest)
}

// trimEnd cuts the line end off a line.
func trimEnd(b []byte) []byte {
	if n := len(b); n > 0 && b[n-1] == '\n' {
		b = b[:n-1]
		if n > 1 && b[n-2] == '\r' {
			b = b[:n-2]
		}
	}
	return b
}

// record reads a record that may have quotes, and leaves s.at behind it. After an error s.at means nothing.
func (s *Splitter) record() *syntaxError {
	d, i := s.data, s.at
	f, qs := s.fields[:0], s.quotes[:0]
	for {
		inQuotes := i < len(d) && d[i] == '"'
		qs = append(qs, inQuotes)
		if inQuotes {
			text, end, bad := s.quoted(i)
			if bad != nil {
				return bad
			}
			f, i = append(f, text), end
		} else {
			j := i
			for j < len(d) && d[j] != s.comma && d[j] != '\n' && d[j] != '"' {
				j++
			}
			end := j
			switch {
			case j < len(d) && d[j] == '"':
				return &syntaxError{at: j, err: errBareQuote}
			case j < len(d) && d[j] == '\n' && j > i && d[j-1] == '\r':
				end--
			}
			if end == i {
				f = append(f, nil)
			} else {
				f = append(f, d[i:end:end])
			}
			i = j
		}
		switch {
		case i >= len(d):
			s.at = i
		case d[i] == s.comma:
			i++
			continue
		default: // '\n'
			s.at = i + 1
		}
		s.fields, s.quotes = f, qs
		return nil
	}
}

// quoted reads the field whose opening quote is at i. end is the place of the comma or LF behind it, or the end of the data.
func (s *Splitter) quoted(i int) (text []byte, end int, bad *syntaxError) {
	d := s.data
	from, j := i+1, i+1
	doubled := -1 // where the field's text begins in the arena
	for {
		q := bytes.IndexByte(d[j:], '"')
		if q < 0 {
			return nil, 0, &syntaxError{at: i, err: errOpen, open: true}
		}
		j += q
		if j+1 < len(d) && d[j+1] == '"' {
			if doubled < 0 {
				doubled = len(s.arena)
			}
			s.arena = append(s.arena, d[from:j+1]...)
			j += 2
			from = j
			continue
		}
		break
	}
	text = d[from:j:j]
	if doubled >= 0 {
		s.arena = append(s.arena, text...)
		text = s.arena[doubled:len(s.arena):len(s.arena)]
	}
	j++
	switch {
	case j >= len(d), d[j] == s.comma, d[j] == '\n':
		return text, j, nil
	case d[j] == '\r' && j+1 < len(d) && d[j+1] == '\n':
		return text, j + 1, nil
	case d[j] == '\r' && j+1 == len(d):
		return text, j, &syntaxError{at: j, err: errAfter, open: true}
	}
	return nil, 0, &syntaxError{at: j, err: errAfter}
}

// whole is the length of the whole records at the beginning of data, which more bytes follow: where a block may end. A record that
// violates the format and the bytes that show it stay together, so that what is wrong does not depend on where blocks end.
func (s *Splitter) whole(data []byte, comma byte) int {
	if bytes.IndexByte(data, '"') < 0 {
		return bytes.LastIndexByte(data, '\n') + 1
	}
	s.Reset(data, 0, comma)
	end, need := 0, 0
	for s.at < len(data) {
		start := s.at
		s.arena = s.arena[:0]
		switch bad := s.record(); {
		case bad == nil:
		case bad.open:
			return end
		default:
			need = max(need, bad.at+1)
			s.at = start + lineLen(data[start:])
		}
		if data[s.at-1] != '\n' { // the record may go on
			return end
		}
		if s.at >= need {
			end = s.at
		}
	}
	return end
}
