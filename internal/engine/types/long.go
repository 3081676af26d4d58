package types

import (
	"bytes"
	"context"
	"encoding/binary"
	"sync"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/value"
)

// Fetcher reads out-of-line values. Fetchers that read the same place should be equal, which needs them to be comparable.
type Fetcher interface {
	// Fetch reads a value; addr is what value.AddrCell keeps.
	Fetch(ctx context.Context, addr []byte) ([]byte, error)
}

// long is a value out of line, which is read when asked for and then kept. A failed read is tried again by the next who asks.
type long struct {
	addr []byte
	from Fetcher

	mu    sync.Mutex
	bytes []byte
	read  bool
}

func (l *long) get(ctx context.Context) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.read {
		b, err := l.from.Fetch(ctx, l.addr)
		if err != nil {
			return nil, err
		}
		l.bytes, l.read = b, true
	}
	return l.bytes, nil
}

// Addr is the value's address: with it, a writer to the same store can keep the value without reading it.
func (l *long) Addr() []byte { return l.addr }

// IsExactLength says that MaxByteLength is the length itself.
func (l *long) IsExactLength() bool { return true }

// MaxByteLength is the value's length in bytes.
func (l *long) MaxByteLength() int64 { return int64(binary.LittleEndian.Uint64(l.addr[hash.Size:])) }

// Hash is equal for values that are the same.
func (l *long) Hash() any { return string(l.addr) }

// same tells whether other is known to be the same value without reading either.
func (l *long) same(other any) bool {
	o, ok := other.(interface{ Addr() []byte })
	return ok && bytes.Equal(o.Addr(), l.addr)
}

// LongText is a TEXT value out of line.
type LongText struct{ long }

// LongBytes is a BLOB value out of line.
type LongBytes struct{ long }

var (
	_ sql.StringWrapper = (*LongText)(nil)
	_ sql.BytesWrapper  = (*LongBytes)(nil)
)

// Unwrap reads the value.
func (l *LongText) Unwrap(ctx context.Context) (string, error) {
	b, err := l.get(ctx)
	return string(b), err
}

// UnwrapAny reads the value: a string.
func (l *LongText) UnwrapAny(ctx context.Context) (any, error) { return l.Unwrap(ctx) }

// Compare knows only whether both are the same.
func (l *LongText) Compare(_ context.Context, other any) (cmp int, comparable bool, err error) {
	return 0, l.same(other), nil
}

// Unwrap reads the value.
func (l *LongBytes) Unwrap(ctx context.Context) ([]byte, error) {
	b, err := l.get(ctx)
	return bytes.Clone(b), err
}

// UnwrapAny reads the value: a []byte.
func (l *LongBytes) UnwrapAny(ctx context.Context) (any, error) { return l.Unwrap(ctx) }

// Compare knows only whether both are the same.
func (l *LongBytes) Compare(_ context.Context, other any) (cmp int, comparable bool, err error) {
	return 0, l.same(other), nil
}

// FromLong converts an out-of-line cell. TEXT, BLOB and JSON are read when the engine asks for their inside, with from, which must
// stay usable as long as the value; other types are read at once.
func (c *Codec) FromLong(ctx context.Context, cell value.Cell, from Fetcher) (any, error) {
	addr := bytes.Clone(cell.Bytes())
	if !cell.IsAddr() || len(addr) != value.AddrSize {
		return nil, errs.New(errs.Internal, "read a value of type %s: it is not out of line", c.Type)
	}
	switch c.Type.Kind {
	case value.KindText:
		return &LongText{long{addr: addr, from: from}}, nil
	case value.KindBlob:
		return &LongBytes{long{addr: addr, from: from}}, nil
	case value.KindJSON:
		return &JSON{long: &long{addr: addr, from: from}}, nil
	}
	b, err := from.Fetch(ctx, addr)
	if err != nil {
		return nil, err
	}
	return c.FromCell(value.BytesCell(b))
}
