package history

import (
	"context"

	"github.com/stemmadb/stemma/internal/binfmt"
	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/hash"
)

// TagVersion is the newest tag format that this program reads and the one that it writes.
const TagVersion chunk.Version = 1

// Tag is a name for a commit with a reason. It is immutable.
type Tag struct {
	Commit  CommitID
	Tagger  Signature
	Message string
}

// Encode gives the tag's canonical bytes.
func (t *Tag) Encode() []byte {
	b := append([]byte{byte(chunk.KindTag), TagVersion}, t.Commit[:]...)
	b = appendSignature(b, t.Tagger)
	return binfmt.AppendString(b, t.Message)
}

// Put keeps the tag and returns the hash of its chunk.
func (t *Tag) Put(ctx context.Context, w chunk.Writer) (hash.Hash, error) {
	return w.Put(ctx, t.Encode())
}

// GetTag reads the tag of that hash.
func GetTag(ctx context.Context, r chunk.Reader, h hash.Hash) (*Tag, error) {
	data, err := r.Get(ctx, h)
	if err != nil {
		return nil, err
	}
	return DecodeTag(data)
}

// DecodeTag reads the bytes of a tag chunk.
func DecodeTag(data []byte) (*Tag, error) {
	_, body, err := chunk.CheckKind(data, chunk.KindTag, TagVersion)
	if err != nil {
		return nil, err
	}
	d := &binfmt.Decoder{B: body, What: "tag"}
	t := &Tag{Commit: d.Hash(), Tagger: readSignature(d), Message: d.Str()}
	return t, d.Done()
}
