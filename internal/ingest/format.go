package ingest

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/stemmadb/stemma/internal/value"
)

// Format says how a file is written.
type Format struct {
	Type        FileType
	Compression Compression
	Comma       byte // of CSV: between fields; an ASCII character other than a quote, CR and LF
	NoHeader    bool // of CSV: the first record is data
	// Nulls are texts that mean NULL where they are a whole field without quotes, as a field without characters does.
	Nulls []string
	// Rename gives columns other names in the header that Export writes. Columns that it does not name keep theirs.
	Rename map[string]string
}

// shown is the name that a column has in the header.
func (f *Format) shown(column string) string {
	for from, to := range f.Rename {
		if strings.EqualFold(from, column) {
			return to
		}
	}
	return column
}

// nullify makes the fields of a record that mean NULL so.
func (f *Format) nullify(rec *Record) {
	for i, text := range rec.Fields {
		if len(text) == 0 || rec.Quoted != nil && rec.Quoted[i] {
			continue
		}
		for _, n := range f.Nulls {
			if string(text) == n {
				rec.Fields[i] = nil
				break
			}
		}
	}
}

// mayBeNull tells whether a field without quotes is one of the texts that often mean that there is no value.
func mayBeNull(text []byte) bool {
	if len(text) == 0 || len(text) > 4 {
		return false
	}
	switch string(text) {
	case "NA", "N/A", "n/a", "na", "#N/A", "NULL", "null", "Null", "NaN", "nan", "None", "none", "nil", `\N`, "-", "?", ".":
		return true
	}
	return false
}

// ParseDelimiter reads the separator that a user gives: one ASCII character, or \t for a tab.
func ParseDelimiter(s string) (byte, error) {
	if s == `\t` || s == "tab" {
		s = "\t"
	}
	if len(s) != 1 || s[0] >= utf8.RuneSelf || strings.ContainsAny(s, "\"\r\n\x00") {
		return 0, invalid(`delimiter %q: want one ASCII character, not a quote and not a line end; \t is a tab`, s)
	}
	return s[0], nil
}

// Head is what a file's first record says.
type Head struct {
	Names  []string // of the fields, from the header
	Fields int      // of the first record
}

// ReadHead reads the first record of a file. Without a header in the file, Names is nil. Of JSON lines it is the names of all
// members, for which the whole file is read; of Parquet and Arrow the columns.
func ReadHead(ctx context.Context, src Source, f Format) (Head, error) {
	switch {
	case f.Type == JSONL:
		return jsonHead(ctx, src)
	case f.Columnar():
		return arrowHead(src, f)
	}
	fr := newFramer(src, f)
	fr.size = 64 << 10
	var b block
	ok, err := fr.next(&b)
	if err != nil {
		return Head{}, err
	}
	if !ok {
		return Head{}, invalid("read %s: the file is empty", src.Name)
	}
	var s Splitter
	var rec Record
	s.Reset(b.data, b.line, f.Comma)
	if _, bad := s.Next(&rec); bad != nil {
		bad.File = src.Name
		return Head{}, bad
	}
	h := Head{Fields: len(rec.Fields)}
	fail := func(err error) (Head, error) { return Head{}, &LineError{File: src.Name, Line: rec.Line, Err: err} }
	if f.NoHeader {
		return h, nil
	}
	if rec.Blank() {
		return fail(invalid("the header is missing: the line is empty"))
	}
	seen := map[string]int{}
	for i, raw := range rec.Fields {
		if err := checkText(raw, false); err != nil {
			return fail(fmt.Errorf("field %d of the header: %w", i+1, err))
		}
		if bytes.IndexByte(raw, '\r') >= 0 {
			return fail(invalid("field %d of the header holds a carriage return: if the lines end with CR alone, convert them to LF first", i+1))
		}
		name := strings.TrimSpace(string(raw))
		if name == "" {
			return fail(invalid("field %d of the header is empty: name it, or give the names with --columns and --no-header", i+1))
		}
		if first, ok := seen[strings.ToLower(name)]; ok {
			return fail(invalid("fields %d and %d of the header have the same name %s", first, i+1, name))
		}
		seen[strings.ToLower(name)] = i + 1
		h.Names = append(h.Names, name)
	}
	return h, nil
}

// checkNames finds columns whose names cannot be those of columns of one table.
func checkNames(file string, names []string) error {
	seen := map[string]int{}
	for i, n := range names {
		if n == "" {
			return invalid("read %s: column %d has no name", file, i+1)
		}
		if first, ok := seen[strings.ToLower(n)]; ok {
			return invalid("read %s: columns %d and %d have the same name %s", file, first, i+1, n)
		}
		seen[strings.ToLower(n)] = i + 1
	}
	return nil
}

// checkText tells why bytes are not the text of a field. A NUL byte is let through in quotes only: elsewhere it is the mark of a
// damaged file or of another encoding.
func checkText(b []byte, quoted bool) error {
	if i := bytes.IndexByte(b, 0); i >= 0 && !quoted {
		return invalid("a NUL byte at byte %d of the field: is the file damaged, or in UTF-16? Bytes go into a column that is BLOB or VARBINARY, which -c has by --schema", i+1)
	}
	for i, rest := 0, b; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		if r == utf8.RuneError && n == 1 {
			return invalid("byte 0x%02x at byte %d of the field is not UTF-8; if the file is in Latin-1, convert it first: iconv -f LATIN1 -t UTF-8; bytes go into a column that is BLOB or VARBINARY, which -c has by --schema", rest[0], i+1)
		}
		i, rest = i+n, rest[n:]
	}
	return nil
}

// holdsBytes tells whether values of a type are bytes rather than text, so that they need not be UTF-8.
func holdsBytes(t value.Type) bool {
	switch t.Kind {
	case value.KindBinary, value.KindVarbinary, value.KindBlob, value.KindBit, value.KindGeometry:
		return true
	}
	return false
}

// holdsEmpty tells whether a quoted field without characters is a value of the type. Of the others it is NULL, since many programs quote
// every field.
func holdsEmpty(t value.Type) bool {
	switch t.Kind {
	case value.KindChar, value.KindVarchar, value.KindText, value.KindBinary, value.KindVarbinary, value.KindBlob, value.KindSet:
		return true
	case value.KindEnum:
		for _, v := range t.Values {
			if v == "" {
				return true
			}
		}
	}
	return false
}

// errFields is the error of a record with another number of fields than its file.
func errFields(have, want int) error {
	return invalid("%s, want %d", count(have, "field"), want)
}

// count is n with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
