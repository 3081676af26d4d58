// Package history is the graph of commits: what a commit holds, how it is kept, and the ways through its ancestors. It also
// defines refs and working sets, the named and mutable part of a database.
package history

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/stemmadb/stemma/internal/binfmt"
	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/tree"
)

// CommitID names a commit: the hash of its chunk.
type CommitID = hash.Hash

// CommitVersion is the newest commit format that this program reads and the one that it writes.
const CommitVersion chunk.Version = 1

// Signature says who and when. Time is kept in microseconds UTC and minutes east of it.
type Signature struct {
	Name  string
	Email string
	Time  time.Time
}

// Commit is a state of the database with its parents and its reason. It is immutable.
type Commit struct {
	ID        CommitID // not part of the bytes
	Root      tree.Root
	Parents   []CommitID
	Height    uint64 // 1 + the largest height of a parent; 1 for a first commit
	Author    Signature
	Committer Signature
	Message   string
	Meta      string // JSON object of structured metadata, "" for none
}

// Encode gives the commit's canonical bytes.
func (c *Commit) Encode() []byte {
	b := []byte{byte(chunk.KindCommit), CommitVersion}
	b = tree.AppendRoot(b, c.Root)
	b = binary.AppendUvarint(b, uint64(len(c.Parents)))
	for _, p := range c.Parents {
		b = append(b, p[:]...)
	}
	b = binary.AppendUvarint(b, c.Height)
	b = appendSignature(b, c.Author)
	b = appendSignature(b, c.Committer)
	b = binfmt.AppendString(b, c.Message)
	return binfmt.AppendString(b, c.Meta)
}

// Put keeps the commit, sets its ID and returns it.
func (c *Commit) Put(ctx context.Context, w chunk.Writer) (CommitID, error) {
	h, err := w.Put(ctx, c.Encode())
	c.ID = h
	return h, err
}

// GetCommit reads the commit of that id.
func GetCommit(ctx context.Context, r chunk.Reader, id CommitID) (*Commit, error) {
	data, err := r.Get(ctx, id)
	if err != nil {
		return nil, chunk.NameAbsent(err, "commit "+id.String())
	}
	c, err := DecodeCommit(data)
	if err != nil {
		return nil, errs.New(errs.CodeOf(err), "read commit %s: %w", id, err)
	}
	c.ID = id
	return c, nil
}

// DecodeCommit reads what Encode gives.
func DecodeCommit(data []byte) (*Commit, error) {
	_, body, err := chunk.CheckKind(data, chunk.KindCommit, CommitVersion)
	if err != nil {
		return nil, err
	}
	d := &binfmt.Decoder{B: body, What: "commit"}
	c := &Commit{Root: tree.ReadRoot(d)}
	n := d.Count()
	for i := 0; i < n && d.Err == nil; i++ {
		c.Parents = append(c.Parents, d.Hash())
	}
	c.Height = d.Uvarint()
	c.Author, c.Committer = readSignature(d), readSignature(d)
	c.Message, c.Meta = d.Str(), d.Str()
	return c, d.Done()
}

// maxZone is the largest distance of a signature's zone from UTC, in minutes.
const maxZone = 24 * 60

func appendSignature(b []byte, s Signature) []byte {
	b = binfmt.AppendString(b, s.Name)
	b = binfmt.AppendString(b, s.Email)
	b = binary.AppendVarint(b, s.Time.UnixMicro())
	_, off := s.Time.Zone()
	return binary.AppendVarint(b, int64(off/60))
}

func readSignature(d *binfmt.Decoder) Signature {
	s := Signature{Name: d.Str(), Email: d.Str()}
	us, minutes := d.Varint(), d.Varint()
	if minutes < -maxZone || minutes > maxZone {
		d.Fail("time zone beyond a day")
		return s
	}
	zone := time.UTC
	if minutes != 0 {
		zone = time.FixedZone("", int(minutes)*60)
	}
	s.Time = time.UnixMicro(us).In(zone)
	return s
}
