package mysql

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/dolthub/go-mysql-server/sql"
	vitess "github.com/dolthub/vitess/go/mysql"
	"github.com/dolthub/vitess/go/sqltypes"
	querypb "github.com/dolthub/vitess/go/vt/proto/query"

	"github.com/stemmadb/stemma/internal/engine/session"
)

// Clients write statements in character_set_client and read results in character_set_results. The engine knows UTF-8 only, so both are
// converted here. Character sets in which ASCII is not itself cannot be a client's: the engine refuses to set them.

// erInvalidText is MySQL's ER_INVALID_CHARACTER_STRING.
const erInvalidText = 1300

// clientCharset is the character set of statements of a connection; CharacterSet_utf8mb4 where they are not to be converted.
func (h *handler) clientCharset(c *vitess.Conn) sql.CharacterSetID {
	if s := h.session(c); s != nil {
		return converted(s.ClientCharset())
	}
	return sql.CharacterSet_utf8mb4
}

// resultCharset is the character set of results of a connection; CharacterSet_utf8mb4 where they are not to be converted.
func (h *handler) resultCharset(c *vitess.Conn) sql.CharacterSetID {
	if s := h.session(c); s != nil {
		return converted(s.ResultCharset())
	}
	return sql.CharacterSet_utf8mb4
}

// converted is a character set, or CharacterSet_utf8mb4 for those whose text is UTF-8 or is not converted.
func converted(id sql.CharacterSetID) sql.CharacterSetID {
	switch id {
	case sql.CharacterSet_Unspecified, sql.CharacterSet_binary, sql.CharacterSet_utf8mb3:
		return sql.CharacterSet_utf8mb4
	}
	if id.Encoder() == nil {
		return sql.CharacterSet_utf8mb4
	}
	return id
}

// decode is a text of a client in UTF-8.
func decode(id sql.CharacterSetID, text string) (string, error) {
	if id == sql.CharacterSet_utf8mb4 || ascii(text) {
		return text, nil
	}
	out, ok := id.Encoder().Decode([]byte(text))
	if !ok {
		return "", vitess.NewSQLError(erInvalidText, "HY000", "Invalid %s character string: '%s'", id.Name(), strings.ToValidUTF8(text, "?"))
	}
	return string(out), nil
}

// decodeStatement is decode for statements, in which strings behind _binary are bytes.
func decodeStatement(id sql.CharacterSetID, text string) (string, error) {
	if id == sql.CharacterSet_utf8mb4 || ascii(text) {
		return text, nil
	}
	return decode(id, hexBinaries(text))
}

// hexBinaries writes the strings of a statement that follow _binary, and hold more than ASCII, as hexadecimal literals.
func hexBinaries(s string) string {
	const introducer = "_binary"
	var out strings.Builder
	done := 0 // of s, in out
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\'' || c == '"' || c == '`':
			_, n := unquote(s[i:])
			i += n - 1
		case (c == '_') && len(s)-i > len(introducer) && strings.EqualFold(s[i:i+len(introducer)], introducer) && (i == 0 || !wordByte(s[i-1])):
			at := i + len(introducer)
			for at < len(s) && (s[at] == ' ' || s[at] == '\n' || s[at] == '\t') {
				at++
			}
			if at == len(s) || s[at] != '\'' && s[at] != '"' {
				continue
			}
			raw, n := unquote(s[at:])
			if !ascii(raw) {
				fmt.Fprintf(&out, "%sx'%x'", s[done:i], raw)
				done = at + n
			}
			i = at + n - 1
		}
	}
	out.WriteString(s[done:])
	return out.String()
}

func wordByte(c byte) bool {
	return c == '_' || c == '$' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= utf8.RuneSelf
}

// unquote reads the string or quoted name that s begins with, and tells its length in s.
func unquote(s string) (raw []byte, length int) {
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == s[0]:
			if i+1 == len(s) || s[i+1] != c {
				return raw, i + 1
			}
			raw = append(raw, c)
			i++
		case c == '\\' && s[0] != '`' && i+1 < len(s):
			i++
			if at := strings.IndexByte("0bnrtZ", s[i]); at >= 0 {
				raw = append(raw, "\x00\b\n\r\t\x1a"[at])
			} else {
				raw = append(raw, s[i])
			}
		default:
			raw = append(raw, c)
		}
	}
	return raw, len(s)
}

// encode is a text for a client, with '?' for what its character set does not have.
func encode(id sql.CharacterSetID, text []byte) []byte {
	if id == sql.CharacterSet_utf8mb4 || ascii(text) {
		return text
	}
	return id.Encoder().EncodeReplaceUnknown(bytes.Clone(text))
}

func ascii[T string | []byte](text T) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// encodeFields converts the names of columns.
func encodeFields(id sql.CharacterSetID, fields []*querypb.Field) {
	if id == sql.CharacterSet_utf8mb4 {
		return
	}
	for _, f := range fields {
		f.Name = string(encode(id, []byte(f.Name)))
		if f.Charset != charsetBinary {
			f.Charset = uint32(id)
		}
	}
}

// encodeRows converts the texts of a result.
func encodeRows(id sql.CharacterSetID, r *sqltypes.Result) {
	if id == sql.CharacterSet_utf8mb4 {
		return
	}
	for i, f := range r.Fields {
		if f.Charset == charsetBinary && f.Type != sqltypes.TypeJSON {
			continue
		}
		for _, row := range r.Rows {
			if i < len(row) && !row[i].IsNull() {
				row[i] = sqltypes.MakeTrusted(row[i].Type(), encode(id, row[i].Raw()))
			}
		}
	}
}

// decodeParameters converts the texts among the parameters of a prepared statement.
func decodeParameters(id sql.CharacterSetID, p *vitess.PrepareData) error {
	if id == sql.CharacterSet_utf8mb4 {
		return nil
	}
	for i, t := range p.ParamsType {
		switch querypb.Type(t) { // what the client has said; a BLOB is no text
		case querypb.Type_VARCHAR, querypb.Type_CHAR, querypb.Type_ENUM, querypb.Type_SET, querypb.Type_JSON:
		default:
			continue
		}
		v := p.BindVars[fmt.Sprintf("v%d", i+1)]
		if v == nil || v.Type == querypb.Type_NULL_TYPE {
			continue
		}
		text, err := decode(id, string(v.Value))
		if err != nil {
			return err
		}
		v.Value = []byte(text)
	}
	return nil
}

// handshakeCharset gives a session the character set that its client has named when it connected, as SET NAMES does. One that cannot be
// a client's is as if it had named none.
func handshakeCharset(ctx *sql.Context, s *session.Session, collation uint8) error {
	id := sql.CollationID(collation).CharacterSet()
	if converted(id) == sql.CharacterSet_utf8mb4 || !session.ForClients(id) {
		return nil
	}
	for _, name := range []string{"character_set_client", "character_set_connection", "character_set_results"} {
		if err := s.SetSessionVariable(ctx, name, id.Name()); err != nil {
			return err
		}
	}
	return nil
}
