package ingest

import (
	"encoding/base64"
	"encoding/json"
	"unicode/utf8"

	"github.com/stemmadb/stemma/internal/value"
)

// appendJSON appends the text of a value of that kind as JSON: numbers, documents and vectors as they are, bytes in base64, all others
// as strings.
func appendJSON(dst []byte, k value.Kind, text []byte) []byte {
	switch k {
	case value.KindBinary, value.KindVarbinary, value.KindBlob, value.KindGeometry, value.KindBit:
		dst = append(dst, '"')
		dst = base64.StdEncoding.AppendEncode(dst, text)
		return append(dst, '"')
	case value.KindInt8, value.KindInt16, value.KindInt24, value.KindInt32, value.KindInt64, value.KindYear, value.KindDecimal,
		value.KindUint8, value.KindUint16, value.KindUint24, value.KindUint32, value.KindUint64, value.KindFloat32, value.KindFloat64,
		value.KindJSON, value.KindVector:
		if json.Valid(text) {
			return append(dst, text...)
		}
	}
	return appendJSONString(dst, text)
}

// appendJSONString appends text as a string of JSON. Bytes that are not UTF-8 become U+FFFD.
func appendJSONString(dst, text []byte) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		size := 1
		if c >= utf8.RuneSelf {
			var r rune
			if r, size = utf8.DecodeRune(text[i:]); r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
		}
		dst = append(dst, text[from:i]...)
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, `\n`...)
		case c == '\r':
			dst = append(dst, `\r`...)
		case c == '\t':
			dst = append(dst, `\t`...)
		case c < ' ':
			dst = append(dst, `\u00`...)
			dst = append(dst, hex[c>>4], hex[c&15])
		default:
			dst = append(dst, `\ufffd`...)
		}
		i += size
		from = i
	}
	return append(append(dst, text[from:]...), '"')
}
