package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"math"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/op"
	"github.com/stemmadb/stemma/internal/value"
)

// jsonRows draws {"rows": [{"a":1,"b":"x"},{"a":2}]} and a line end; {} when there are no rows. Members are in the order of the columns,
// those of NULL cells are left out. Numbers are numbers, decimals and times are strings, JSON is embedded.
type jsonRows struct {
	w     *bufio.Writer
	cols  []op.Column
	names [][]byte // `"name":`
	n     int
	buf   bytes.Buffer
	enc   *json.Encoder
}

func newJSON(w *bufio.Writer, cols []op.Column) (*jsonRows, error) {
	j := &jsonRows{w: w, cols: cols}
	j.enc = json.NewEncoder(&j.buf)
	j.enc.SetEscapeHTML(false)
	for _, c := range cols {
		name, err := j.encode(c.Name)
		if err != nil {
			return nil, err
		}
		j.names = append(j.names, append(bytes.Clone(name), ':'))
	}
	return j, nil
}

// encode is v's JSON, valid until the next call.
func (j *jsonRows) encode(v any) ([]byte, error) {
	j.buf.Reset()
	if err := j.enc.Encode(v); err != nil {
		return nil, errs.New(errs.Internal, "encode %T as JSON: %w", v, err)
	}
	return bytes.TrimSuffix(j.buf.Bytes(), []byte{'\n'}), nil
}

func (j *jsonRows) row(cells []any) error {
	if j.n == 0 {
		j.w.WriteString(`{"rows": [`)
	} else {
		j.w.WriteByte(',')
	}
	j.n++
	j.w.WriteByte('{')
	first := true
	for i, cell := range cells {
		if cell == nil {
			continue
		}
		b, err := j.cell(j.cols[i].Type, cell)
		if err != nil {
			return err
		}
		if !first {
			j.w.WriteByte(',')
		}
		first = false
		j.w.Write(j.names[i])
		j.w.Write(b)
	}
	return j.w.WriteByte('}')
}

func (j *jsonRows) end() error {
	if j.n == 0 {
		j.w.WriteString("{}\n")
		return nil
	}
	j.w.WriteString("]}\n")
	return nil
}

func (j *jsonRows) cell(t value.Type, cell any) ([]byte, error) {
	switch v := cell.(type) {
	case int64, uint64, bool:
		return j.encode(v)
	case float64:
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			return []byte(op.FormatCell(t, v)), nil
		}
	}
	text := op.FormatCell(t, cell)
	switch op.ClassOf(t) {
	case op.ClassInt, op.ClassUint, op.ClassFloat:
		if isJSONNumber(text) {
			return []byte(text), nil
		}
	case op.ClassString:
		if t.Kind == value.KindJSON && json.Valid([]byte(text)) {
			return []byte(text), nil
		}
	}
	return j.encode(text)
}

// isJSONNumber tells whether s may stand as a number in JSON.
func isJSONNumber(s string) bool {
	return s != "" && strings.IndexByte("-0123456789", s[0]) >= 0 && json.Valid([]byte(s))
}
