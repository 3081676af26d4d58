// Package hash names content: a Hash is the SHA-256 of a chunk's canonical bytes.
package hash

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
)

// Size is the length of a Hash in bytes.
const Size = sha256.Size

// ShortLen is the number of base32 characters in which a hash is shown and accepted (160 of its 256 bits).
const ShortLen = 32

// FullLen is the number of base32 characters of a whole hash.
const FullLen = 52

// MinPrefixLen is the shortest prefix of a shown hash that may stand for it.
const MinPrefixLen = 7

var encoding = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// Hash identifies a chunk. The zero Hash means "nothing": an empty tree, an absent parent.
type Hash [Size]byte

// Sum is the hash of a chunk's canonical bytes.
func Sum(data []byte) Hash { return sha256.Sum256(data) }

// IsZero tells whether h names nothing.
func (h Hash) IsZero() bool { return h == Hash{} }

// Compare orders hashes by their bytes: it is negative, zero or positive when h is before, the same as or after o.
func (h Hash) Compare(o Hash) int { return bytes.Compare(h[:], o[:]) }

// String is the first ShortLen characters of h in base32 (digits, then a to v), the form users see.
func (h Hash) String() string { return h.Full()[:ShortLen] }

// Full is all of h in base32, FullLen characters: the form that locks, lineage and wires carry.
func (h Hash) Full() string { return encoding.EncodeToString(h[:]) }

// Parse reads the FullLen form.
func Parse(s string) (Hash, error) {
	var h Hash
	if len(s) != FullLen {
		return h, fmt.Errorf("parse hash %q: want %d characters, have %d", s, FullLen, len(s))
	}
	b, err := encoding.DecodeString(s)
	if err != nil {
		return h, fmt.Errorf("parse hash %q: %w", s, err)
	}
	copy(h[:], b)
	if h.Full() != s {
		return Hash{}, fmt.Errorf("parse hash %q: its last character carries bits beyond the hash", s)
	}
	return h, nil
}

// IsPrefix tells whether s could be the beginning of a shown hash: at least MinPrefixLen characters of its alphabet.
func IsPrefix(s string) bool { return len(s) >= MinPrefixLen && IsBeginning(s) }

// IsBeginning tells whether a hash can begin with s, however short it is.
func IsBeginning(s string) bool {
	if len(s) == 0 || len(s) > FullLen {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'v') {
			return false
		}
	}
	return true
}
