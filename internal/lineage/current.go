package lineage

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
)

// Current says for which run, and for what in it, something is done.
type Current struct {
	Run     string // UID; "" for none
	Name    string // what the session called it, where that is no UID: it becomes the external id
	Node    string
	Attempt string
	Alias   string // of the dataset
}

type currentKey struct{}

// With is a context in which reads and commits are those of the run.
func With(ctx context.Context, c Current) context.Context {
	return context.WithValue(ctx, currentKey{}, c)
}

// Of is what With gave; its Run is "" where there is none.
func Of(ctx context.Context) Current {
	c, _ := ctx.Value(currentKey{}).(Current)
	return c
}

// Named is the run that a session means by a name: that of the id, or, of a name that is no UUID, a run whose id is made of the name,
// so that sessions which use one name mean one run.
func Named(s string) (uid, name string) {
	if s == "" {
		return "", ""
	}
	if uid, err := ParseUID(s); err == nil {
		return uid, ""
	}
	h := sha256.Sum256([]byte("stemma run\x00" + s))
	h[6] = h[6]&0x0f | 0x80 // version 8: made in a way of our own
	h[8] = h[8]&0x3f | 0x80
	return formatUID(h[:16]), s
}

// ParseUID checks and lowers the id of a run, which is a UUID: OpenLineage asks for that. The error is of class Invalid.
func ParseUID(s string) (string, error) {
	bad := len(s) != 36
	for i := 0; i < len(s) && !bad; i++ {
		switch c := s[i]; {
		case i == 8 || i == 13 || i == 18 || i == 23:
			bad = c != '-'
		default:
			bad = !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F')
		}
	}
	if bad {
		return "", errs.New(errs.Invalid, "the id of a run is a UUID such as 0190d6f3-7c1e-7b5a-9a53-0d1c2f3a4b5c, not '%s'", s)
	}
	return strings.ToLower(s), nil
}

// NewUID makes the id of a run that begins at a moment: a UUID of version 7 (RFC 9562), so that ids sort by time.
func NewUID(at time.Time) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], uint64(at.UnixMilli())<<16)
	_, _ = rand.Read(b[6:]) // never fails
	b[6] = b[6]&0x0f | 0x70
	b[8] = b[8]&0x3f | 0x80
	return formatUID(b[:])
}

func formatUID(b []byte) string {
	h := hex.EncodeToString(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
