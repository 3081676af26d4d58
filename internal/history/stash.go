package history

import (
	"context"
	"encoding/binary"

	"github.com/stemmadb/stemma/internal/binfmt"
	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/tree"
)

// StashVersion is the newest format of stashes that this program reads and the one that it writes.
const StashVersion chunk.Version = 1

// Stash is uncommitted changes that were set aside. It is immutable.
type Stash struct {
	Root    tree.Root // the head's tables with the changes
	Head    CommitID  // on which they were made
	Branch  string    // on which they were made
	Message string
	Added   []string // tables that the head did not have and that were staged
}

// Encode gives the stash's canonical bytes.
func (s *Stash) Encode() []byte {
	b := []byte{byte(chunk.KindStash), StashVersion}
	b = tree.AppendRoot(b, s.Root)
	b = append(b, s.Head[:]...)
	b = binfmt.AppendString(b, s.Branch)
	b = binfmt.AppendString(b, s.Message)
	b = binary.AppendUvarint(b, uint64(len(s.Added)))
	for _, n := range s.Added {
		b = binfmt.AppendString(b, n)
	}
	return b
}

// Put keeps the stash and returns the hash of its chunk.
func (s *Stash) Put(ctx context.Context, w chunk.Writer) (hash.Hash, error) {
	return w.Put(ctx, s.Encode())
}

// GetStash reads the stash of that hash.
func GetStash(ctx context.Context, r chunk.Reader, h hash.Hash) (*Stash, error) {
	data, err := r.Get(ctx, h)
	if err != nil {
		return nil, err
	}
	return DecodeStash(data)
}

// DecodeStash reads the bytes of a stash chunk.
func DecodeStash(data []byte) (*Stash, error) {
	_, body, err := chunk.CheckKind(data, chunk.KindStash, StashVersion)
	if err != nil {
		return nil, err
	}
	d := &binfmt.Decoder{B: body, What: "stash"}
	s := &Stash{Root: tree.ReadRoot(d), Head: d.Hash(), Branch: d.Str(), Message: d.Str()}
	for n := d.Count(); n > 0 && d.Err == nil; n-- {
		s.Added = append(s.Added, d.Str())
	}
	return s, d.Done()
}
