package types

import (
	"bytes"
	"context"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/dolthub/go-mysql-server/sql"
	gms "github.com/dolthub/go-mysql-server/sql/types"

	"github.com/stemmadb/stemma/internal/value"
)

// JSON is a stored document that is parsed when its inside is asked for. Its text goes to clients, and back into a table, as it is.
type JSON struct {
	text []byte // canonical
	long *long  // where the text comes from when it is out of line

	mu     sync.Mutex
	parsed bool
	val    any
}

var (
	_ sql.JSONWrapper = (*JSON)(nil)
	_ gms.JSONBytes   = (*JSON)(nil)
	_ driver.Valuer   = (*JSON)(nil)
	_ fmt.Stringer    = (*JSON)(nil)
)

// NewJSON is the document whose canonical text is given; the text must not change.
func NewJSON(canonical []byte) *JSON { return &JSON{text: canonical} }

// Canonical is the document's stored text. It must not be changed.
func (j *JSON) Canonical(ctx context.Context) ([]byte, error) {
	if j.long != nil {
		return j.long.get(ctx)
	}
	return j.text, nil
}

// Addr is the document's address when it is out of line, else nil. With it, a writer to the same store can keep the document
// without reading it.
func (j *JSON) Addr() []byte {
	if j.long == nil {
		return nil
	}
	return j.long.addr
}

// ToInterface is the document as Go values. They are shared by all who ask this JSON for them.
func (j *JSON) ToInterface(ctx context.Context) (any, error) {
	text, err := j.Canonical(ctx)
	if err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.parsed {
		if j.val, err = parseJSON(text); err != nil {
			return nil, err
		}
		j.parsed = true
	}
	return j.val, nil
}

// Clone is the document with Go values of its own, which may be changed.
func (j *JSON) Clone(context.Context) sql.JSONWrapper { return &JSON{text: j.text, long: j.long} }

// GetBytes is the text as MySQL shows it.
func (j *JSON) GetBytes(ctx context.Context) ([]byte, error) {
	text, err := j.Canonical(ctx)
	if err != nil {
		return nil, err
	}
	return value.AppendJSONText(make([]byte, 0, len(text)+len(text)/8), text), nil
}

// Value is the text as MySQL shows it.
func (j *JSON) Value() (driver.Value, error) {
	b, err := j.GetBytes(context.Background())
	return string(b), err
}

// String is the text as MySQL shows it, or why it cannot be read.
func (j *JSON) String() string {
	b, err := j.GetBytes(context.Background())
	if err != nil {
		return "unreadable JSON: " + err.Error()
	}
	return string(b)
}

// parseJSON gives the Go values that the engine's own parser gives, numbers as float64, but for whole numbers that a float64 does
// not hold: these are int64 or uint64 while they fit.
func parseJSON(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("parse stored JSON: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("parse stored JSON: text behind the value")
	}
	return plainNumbers(v)
}

// plainNumbers replaces the numbers in a parsed document, in place.
func plainNumbers(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case json.Number:
		return plainNumber(string(v))
	case []any:
		for i := range v {
			if v[i], err = plainNumbers(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for k := range v {
			if v[k], err = plainNumbers(v[k]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

func plainNumber(s string) (any, error) {
	if !strings.ContainsAny(s, ".eE") {
		const exact = 1 << 53
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			if -exact <= n && n <= exact {
				return float64(n), nil
			}
			return n, nil
		}
		if n, err := strconv.ParseUint(s, 10, 64); err == nil {
			return n, nil
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return nil, fmt.Errorf("parse stored JSON: number %s does not fit a double", s)
	}
	return f, nil
}

func jsonTo(_ *Codec, ctx context.Context, v any) (value.Cell, bool, error) {
	w, ok := v.(sql.JSONWrapper)
	if !ok {
		return value.Null, false, nil
	}
	if j, ok := w.(*JSON); ok {
		text, err := j.Canonical(ctx)
		return value.BytesCell(text), true, err
	}
	if b, ok := w.(gms.JSONBytes); ok {
		text, err := b.GetBytes(ctx)
		if err != nil {
			return value.Null, false, err
		}
		if out, err := value.CanonicalJSON(make([]byte, 0, len(text)), text); err == nil {
			return value.BytesCell(out), true, nil
		}
		// The engine's parser is more lenient: what it makes of the text may do.
	}
	text, err := gms.JsonToMySqlBytes(ctx, w)
	if err != nil {
		return value.Null, false, err
	}
	out, err := value.CanonicalJSON(make([]byte, 0, len(text)), text)
	if err != nil {
		return value.Null, false, sql.ErrInvalidJson.Wrap(err, err.Error())
	}
	return value.BytesCell(out), true, nil
}

// Document is the value that a text stands for in a JSON column, with all digits of its numbers. Values that are no text, and texts
// that are not JSON, are returned as they are.
func Document(ctx context.Context, v any) (any, error) {
	switch v.(type) {
	case string, []byte, sql.StringWrapper, sql.BytesWrapper:
	default:
		return v, nil
	}
	if _, ok := v.(sql.JSONWrapper); ok {
		return v, nil
	}
	text, err := sql.UnwrapAny(ctx, v)
	if err != nil {
		return nil, err
	}
	var src []byte
	switch t := text.(type) {
	case string:
		src = []byte(t)
	case []byte:
		src = t
	default:
		return v, nil
	}
	out, err := value.CanonicalJSON(make([]byte, 0, len(src)), src)
	if err != nil {
		return v, nil // for the engine to say what is wrong with it
	}
	return NewJSON(out), nil
}

func jsonFrom(_ *Codec, cell value.Cell) (any, error) { return NewJSON(bytes.Clone(cell.Bytes())), nil }
