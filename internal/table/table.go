// Package table is a table: a schema, the tree of its rows and the trees of its indexes; the overlay of edits above them that a
// working table has; and the ways to read, edit, fold and load it.
package table

import (
	"context"

	"github.com/stemmadb/stemma/internal/binfmt"
	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/tree"
)

// Version is the newest table format that this program reads and the one that it writes.
const Version chunk.Version = 1

// Table is a table as trees hold it. It is immutable.
type Table struct {
	Schema  *schema.Compiled
	Rows    tree.Root
	Indexes []tree.Root // of Schema.Indexes
}

// Empty is a table without rows.
func Empty(s *schema.Compiled) *Table {
	return &Table{Schema: s, Indexes: make([]tree.Root, len(s.Indexes))}
}

// Encode gives the table's canonical bytes.
func (t *Table) Encode() []byte {
	b := []byte{byte(chunk.KindTable), Version}
	b = append(b, t.Schema.Hash[:]...)
	b = tree.AppendRoot(b, t.Rows)
	for _, r := range t.Indexes {
		b = tree.AppendRoot(b, r)
	}
	return b
}

// Hash identifies schema and rows together.
func (t *Table) Hash() hash.Hash { return hash.Sum(t.Encode()) }

// Put keeps the table and its schema and returns the table's hash.
func (t *Table) Put(ctx context.Context, w chunk.Writer) (hash.Hash, error) {
	if _, err := t.Schema.Schema.Put(ctx, w); err != nil {
		return hash.Hash{}, err
	}
	return w.Put(ctx, t.Encode())
}

// Decoded is a table chunk whose schema has not been read: what walks need.
type Decoded struct {
	Schema hash.Hash
	Trees  []tree.Root // rows, then indexes
}

// Decode reads the bytes of a table chunk.
func Decode(data []byte) (Decoded, error) {
	_, body, err := chunk.CheckKind(data, chunk.KindTable, Version)
	if err != nil {
		return Decoded{}, err
	}
	d := &binfmt.Decoder{B: body, What: "table"}
	out := Decoded{Schema: d.Hash(), Trees: []tree.Root{tree.ReadRoot(d)}}
	for len(d.B) > 0 && d.Err == nil {
		out.Trees = append(out.Trees, tree.ReadRoot(d))
	}
	return out, d.Done()
}

// Open reads the table of that hash. comments are those of its root entry.
func Open(ctx context.Context, r chunk.Reader, schemas *schema.Cache, h hash.Hash, comments []byte) (*Table, error) {
	data, err := r.Get(ctx, h)
	if err != nil {
		return nil, err
	}
	d, err := Decode(data)
	if err != nil {
		return nil, err
	}
	s, err := schemas.Get(ctx, r, d.Schema)
	if err != nil {
		return nil, err
	}
	if len(d.Trees) != 1+len(s.Indexes) {
		return nil, errs.New(errs.Corrupt, "read table %s: %d indexes, its schema has %d", h, len(d.Trees)-1, len(s.Indexes))
	}
	if len(comments) > 0 {
		raw, err := s.Schema.WithComments(comments)
		if err != nil {
			return nil, err
		}
		c := *s
		c.Schema = raw
		s = &c
	}
	return &Table{Schema: s, Rows: d.Trees[0], Indexes: d.Trees[1:]}, nil
}
