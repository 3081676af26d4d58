package op

import (
	"encoding/hex"

	"github.com/stemmadb/stemma/internal/value"
)

// appendLiteral appends a cell of type t as a literal of SQL that MySQL and stemma read as the same cell. An out-of-line cell must have
// been resolved.
func appendLiteral(dst []byte, t value.Type, c value.Cell) []byte {
	if c.IsNull() {
		return append(dst, "NULL"...)
	}
	switch t.Kind {
	case value.KindInt8, value.KindInt16, value.KindInt24, value.KindInt32, value.KindInt64,
		value.KindUint8, value.KindUint16, value.KindUint24, value.KindUint32, value.KindUint64,
		value.KindFloat32, value.KindFloat64, value.KindDecimal, value.KindYear:
		return value.AppendText(dst, t, c)
	case value.KindBit, value.KindBinary, value.KindVarbinary, value.KindBlob, value.KindGeometry:
		text := value.AppendText(nil, t, c)
		if len(text) == 0 {
			return append(dst, "''"...)
		}
		return hex.AppendEncode(append(dst, "0x"...), text)
	case value.KindVector:
		return append(append(append(dst, "STRING_TO_VECTOR('"...), value.AppendText(nil, t, c)...), "')"...)
	}
	return appendQuoted(dst, value.AppendText(nil, t, c))
}

// appendQuoted appends a string literal.
func appendQuoted(dst, text []byte) []byte {
	dst = append(dst, '\'')
	for _, b := range text {
		switch b {
		case '\'':
			dst = append(dst, "''"...)
		case '\\':
			dst = append(dst, `\\`...)
		case 0:
			dst = append(dst, `\0`...)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case 0x1a:
			dst = append(dst, `\Z`...)
		default:
			dst = append(dst, b)
		}
	}
	return append(dst, '\'')
}
