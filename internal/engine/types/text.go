package types

import (
	"bytes"
	"context"
	"unsafe"

	"github.com/stemmadb/stemma/internal/value"
)

// bytesOf are the bytes of a string, which are shared and so must not be changed; cells are never changed.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

func textTo(_ *Codec, _ context.Context, v any) (value.Cell, bool, error) {
	s, ok := v.(string)
	if !ok {
		return value.Null, false, nil
	}
	return value.BytesCell(bytesOf(s)), true, nil
}

func textFrom(_ *Codec, cell value.Cell) (any, error) { return string(cell.Bytes()), nil }

func bytesTo(_ *Codec, _ context.Context, v any) (value.Cell, bool, error) {
	b, ok := v.([]byte)
	return value.BytesCell(b), ok, nil
}

// bytesFrom never gives a nil slice, which the engine takes for NULL.
func bytesFrom(_ *Codec, cell value.Cell) (any, error) {
	return append(make([]byte, 0, len(cell.Bytes())), cell.Bytes()...), nil
}

func binaryTo(c *Codec, _ context.Context, v any) (value.Cell, bool, error) {
	b, ok := v.([]byte)
	return value.BytesCell(b), ok && len(b) == int(c.Type.Length), nil
}

// binaryFrom gives the zero bytes back that a shorter cell, such as that of a widened column, is to be padded with.
func binaryFrom(c *Codec, cell value.Cell) (any, error) {
	b := bytes.Clone(cell.Bytes())
	if n := int(c.Type.Length) - len(b); n > 0 {
		b = append(b, make([]byte, n)...)
	}
	return b, nil
}
