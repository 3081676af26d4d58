package engine

import (
	"bufio"
	"context"
	"io"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
)

// LOAD DATA of the SQL engine keeps both of two enclosing characters that stand for one, and ends lines inside enclosed fields. It
// reads escapes as it should, so text from clients is given to it with escapes in these places.

// loadEnclosed is the LOAD DATA of a client's file with enclosed fields, and the context to run it in; nil when the engine reads the
// file as it should.
func loadEnclosed(ctx *sql.Context, n *plan.LoadData) (*plan.LoadData, *sql.Context) {
	if !n.Local || len(n.FieldsEnclosedBy) != 1 || strings.Contains("0bnrtNZ", n.FieldsEnclosedBy) || n.FieldsEscapedBy == n.FieldsEnclosedBy ||
		n.FieldsTerminatedBy == "" || n.LinesTerminatedBy == "" || n.LinesStartingBy != "" || ctx.Value(loading{}) != nil {
		return nil, nil
	}
	out := *n
	r := &enclosedReader{quote: n.FieldsEnclosedBy[0], fieldEnd: n.FieldsTerminatedBy, lineEnd: n.LinesTerminatedBy}
	if n.FieldsEscapedBy == "" { // a character that is escaped where the data have it
		r.plain, out.FieldsEscapedBy = true, "\x01"
	}
	r.escape = out.FieldsEscapedBy[0]
	c := ctx.WithContext(context.WithValue(ctx.Context, loading{}, true))
	sql.WithServices(sql.Services{
		KillConnection: ctx.KillConnection,
		LoadInfile: func(name string) (io.ReadCloser, error) {
			file, err := ctx.LoadInfile(name)
			if err != nil {
				return nil, err
			}
			r.Closer, r.in, r.start = file, bufio.NewReader(file), true
			return r, nil
		},
	})(c)
	return &out, c
}

// loading marks the context of a LOAD DATA that is as it should be.
type loading struct{}

// enclosedReader puts escapes into a file's enclosed fields: before the second of two enclosing characters, in place of the first, and
// for the ends of lines.
type enclosedReader struct {
	io.Closer
	in                *bufio.Reader
	quote, escape     byte
	plain             bool // the file has no escapes
	fieldEnd, lineEnd string

	start bool // the next byte begins a field
	open  bool // in an enclosed field
	out   []byte
	err   error // of in, when it has ended
}

// Read implements io.Reader.
func (r *enclosedReader) Read(p []byte) (int, error) {
	for len(r.out) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		for len(r.out) < len(p) && r.err == nil {
			r.step()
		}
	}
	n := copy(p, r.out)
	r.out = r.out[:copy(r.out, r.out[n:])]
	return n, nil
}

// step reads a byte, or a few that belong together.
func (r *enclosedReader) step() {
	switch {
	case r.next(r.fieldEnd) && !r.open:
		r.take(len(r.fieldEnd))
		r.start = true
		return
	case r.next(r.lineEnd) && !r.open:
		r.take(len(r.lineEnd))
		r.start = true
		return
	}
	b, err := r.in.ReadByte()
	if err != nil {
		r.err = err
		return
	}
	start := r.start
	r.start = false
	switch {
	case b == r.escape && r.plain:
		r.out = append(r.out, b, b)
	case b == r.escape:
		r.out = append(r.out, b)
		r.take(1)
	case b == r.quote && start:
		r.open = true
		r.out = append(r.out, b)
	case b == r.quote && r.open && r.next(string(r.quote)):
		r.out = append(r.out, r.escape)
		r.take(1)
	case b == r.quote && r.open:
		_, err := r.in.Peek(1)
		r.open = err == nil && !r.next(r.fieldEnd) && !r.next(r.lineEnd)
		r.out = append(r.out, b)
	case b == '\n' && r.open:
		r.out = append(r.out, r.escape, 'n')
	case b == '\r' && r.open:
		r.out = append(r.out, r.escape, 'r')
	default:
		r.out = append(r.out, b)
	}
}

// next tells whether s comes next.
func (r *enclosedReader) next(s string) bool {
	b, err := r.in.Peek(len(s))
	return err == nil && string(b) == s
}

// take passes n bytes on as they are, or as many as there are.
func (r *enclosedReader) take(n int) {
	for range n {
		b, err := r.in.ReadByte()
		if err != nil {
			r.err = err
			return
		}
		r.out = append(r.out, b)
	}
}
