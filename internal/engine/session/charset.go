package session

import "github.com/dolthub/go-mysql-server/sql"

// ForClients tells whether a client may write statements in a character set: those that the engine can convert and in which ASCII is
// itself.
func ForClients(id sql.CharacterSetID) bool {
	switch id {
	case sql.CharacterSet_ucs2, sql.CharacterSet_utf16, sql.CharacterSet_utf16le, sql.CharacterSet_utf32, sql.CharacterSet_swe7, sql.CharacterSet_Unspecified:
		return false
	}
	return id.Encoder() != nil
}

// ClientCharset is the character set that the client writes statements in.
func (s *Session) ClientCharset() sql.CharacterSetID {
	v, err := s.GetSessionVariable(nil, "character_set_client")
	name, ok := v.(string)
	if err != nil || !ok {
		return sql.CharacterSet_Unspecified
	}
	id, err := sql.ParseCharacterSet(name)
	if err != nil {
		return sql.CharacterSet_Unspecified
	}
	return id
}
