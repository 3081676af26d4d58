package engine

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// field is one of a line of LOAD DATA.
type field struct {
	text []byte // valid until the next line
	null bool
}

// fieldReader cuts a file into lines and fields as MySQL's LOAD DATA does.
type fieldReader struct {
	in                           *bufio.Reader
	fieldEnd, lineEnd, lineStart string
	quote, escape                int // -1: none

	buf    []byte // the text of the line's fields
	ends   []int  // of each field, in buf
	nulls  []bool
	fields []field
}

// next is the fields of the next line; the error is io.EOF behind the last one.
func (r *fieldReader) next() ([]field, error) {
	if r.lineStart != "" {
		if err := r.find(r.lineStart); err != nil {
			return nil, err
		}
	}
	if _, err := r.in.Peek(1); err != nil {
		return nil, err
	}
	r.buf, r.ends, r.nulls = r.buf[:0], r.ends[:0], r.nulls[:0]
	for more := true; more; {
		var null bool
		var err error
		if null, more, err = r.field(); err != nil {
			return nil, err
		}
		r.ends = append(r.ends, len(r.buf))
		r.nulls = append(r.nulls, null)
	}
	r.fields = r.fields[:0]
	begin := 0
	for i, end := range r.ends {
		r.fields = append(r.fields, field{r.buf[begin:end:end], r.nulls[i]})
		begin = end
	}
	return r.fields, nil
}

// find reads to the end of a text.
func (r *fieldReader) find(text string) error {
	for !r.take(text) {
		if _, err := r.in.ReadByte(); err != nil {
			return err
		}
	}
	return nil
}

// skipLine reads a line and passes it over.
func (r *fieldReader) skipLine() error {
	for !r.take(r.lineEnd) {
		b, err := r.in.ReadByte()
		if err == nil && int(b) == r.escape {
			_, err = r.in.ReadByte()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// take reads a text if it comes next. The empty text never comes.
func (r *fieldReader) take(text string) bool {
	if text == "" {
		return false
	}
	b, err := r.in.Peek(1)
	if err != nil || b[0] != text[0] {
		return false
	}
	if b, err = r.in.Peek(len(text)); err != nil || string(b) != text {
		return false
	}
	r.in.Discard(len(text)) // it has been peeked
	return true
}

// takeByte reads a byte if it comes next; -1 never does.
func (r *fieldReader) takeByte(want int) bool {
	b, err := r.in.Peek(1)
	if err != nil || int(b[0]) != want {
		return false
	}
	r.in.Discard(1) // it has been peeked
	return true
}

// field appends the text of the next field to buf. more tells whether another one follows in the line.
func (r *fieldReader) field() (null, more bool, err error) {
	begin := len(r.buf)
	quoted := r.takeByte(r.quote)
	escaped := r.escape >= 0 && r.escape != r.quote // two of them stand for one where both are the same
	for {
		if !quoted {
			if r.take(r.fieldEnd) {
				return null || r.isWord(begin), true, nil
			}
			if r.take(r.lineEnd) {
				return null || r.isWord(begin), false, nil
			}
		}
		b, err := r.in.ReadByte()
		if errors.Is(err, io.EOF) {
			if quoted { // what began with a quote that nothing closes is no quoted field
				r.buf = append(r.buf, 0)
				copy(r.buf[begin+1:], r.buf[begin:])
				r.buf[begin] = byte(r.quote)
			}
			return null || !quoted && r.isWord(begin), false, nil
		}
		if err != nil {
			return false, false, err
		}
		switch {
		case escaped && int(b) == r.escape:
			b, err = r.in.ReadByte()
			if errors.Is(err, io.EOF) {
				r.buf = append(r.buf, byte(r.escape))
				continue
			}
			if err != nil {
				return false, false, err
			}
			r.buf = append(r.buf, unescaped(b))
			null = b == 'N' && len(r.buf) == begin+1
			continue
		case quoted && int(b) == r.quote:
			if r.take(r.fieldEnd) {
				return null, true, nil
			}
			if r.take(r.lineEnd) {
				return null, false, nil
			}
			if _, err := r.in.Peek(1); errors.Is(err, io.EOF) {
				return null, false, nil
			}
			r.takeByte(r.quote)
		}
		r.buf = append(r.buf, b)
		null = false
	}
}

// isWord tells whether the field, which is in no quotes, is the word NULL of a file with quotes.
func (r *fieldReader) isWord(begin int) bool {
	return r.quote >= 0 && bytes.Equal(r.buf[begin:], []byte("NULL"))
}

// unescaped is the byte for which a byte behind the escaping one stands.
func unescaped(b byte) byte {
	switch b {
	case '0':
		return 0
	case 'b':
		return '\b'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'Z':
		return 26
	}
	return b
}
