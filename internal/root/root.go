// Package root is the content of a database at one moment: a tree of named entries, so that a database of ten thousand tables
// changes a few chunks when one of them changes.
package root

import (
	"context"
	"sort"
	"strings"

	"github.com/stemmadb/stemma/internal/binfmt"
	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/tree"
)

// Kind is the class of an entry. The numbers are part of the format.
type Kind byte

// The kinds of entry.
const (
	KindTable Kind = 1
	KindView  Kind = 2
)

// Entry is a named thing in a root. Names differ when their lower-case forms do.
type Entry struct {
	Kind     Kind
	Name     string
	Table    hash.Hash // of a table: its chunk
	Comments []byte    // of a table: schema.EncodeComments
	Body     []byte    // of other kinds
}

// Root is the content of a database. It is immutable.
type Root struct {
	r    chunk.Reader
	tree tree.Root
}

// format is the leaf format of roots.
var format = tree.KVFormat{}

// Format is the leaf format of roots, for walks and checks.
func Format() tree.Format { return format }

// Open is the root of that tree.
func Open(r chunk.Reader, t tree.Root) *Root { return &Root{r: r, tree: t} }

// Tree names the root's tree. It is the zero Root for an empty database.
func (r *Root) Tree() tree.Root { return r.tree }

// Reader serves the chunks of the root.
func (r *Root) Reader() chunk.Reader { return r.r }

// Hash identifies the content: the hash of the top chunk, zero for an empty database.
func (r *Root) Hash() hash.Hash { return r.tree.Hash }

// key orders entries by kind, then lower-case name.
func key(k Kind, name string) []byte {
	return append([]byte{byte(k)}, strings.ToLower(name)...)
}

func encode(e Entry) []byte {
	b := binfmt.AppendString(nil, e.Name)
	if e.Kind == KindTable {
		b = append(b, e.Table[:]...)
		return binfmt.AppendBytes(b, e.Comments)
	}
	return binfmt.AppendBytes(b, e.Body)
}

// DecodeEntry reads an entry from the key and the value of a root's tree.
func DecodeEntry(k, v []byte) (Entry, error) {
	if len(k) == 0 {
		return Entry{}, errs.New(errs.Corrupt, "decode entry of a root: empty key")
	}
	d := &binfmt.Decoder{B: v, What: "entry of a root"}
	e := Entry{Kind: Kind(k[0]), Name: d.Str()}
	if e.Kind == KindTable {
		e.Table = d.Hash()
		e.Comments = d.Bytes()
	} else {
		e.Body = d.Bytes()
	}
	if err := d.Done(); err != nil {
		return Entry{}, err
	}
	if strings.ToLower(e.Name) != string(k[1:]) {
		return Entry{}, errs.New(errs.Corrupt, "decode entry of a root: name %q under the key %q", e.Name, k[1:])
	}
	return e, nil
}

// Get is the entry of that kind and name, matched without case.
func (r *Root) Get(ctx context.Context, k Kind, name string) (Entry, bool, error) {
	t := tree.New(r.r, format, r.tree)
	kb := key(k, name)
	leaf, i, ok, err := t.Get(ctx, kb)
	if err != nil || !ok {
		return Entry{}, false, err
	}
	v, err := leaf.AppendRow(ctx, nil, i)
	if err != nil {
		return Entry{}, false, err
	}
	e, err := DecodeEntry(kb, v)
	return e, err == nil, err
}

// List is all entries of that kind, ordered by lower-case name.
func (r *Root) List(ctx context.Context, k Kind) ([]Entry, error) {
	return r.list(ctx, []byte{byte(k)}, func(key []byte) bool { return len(key) > 0 && key[0] == byte(k) })
}

// All is all entries, ordered by kind, then lower-case name; those of kinds that this program does not know, too.
func (r *Root) All(ctx context.Context) ([]Entry, error) {
	return r.list(ctx, nil, func([]byte) bool { return true })
}

// list is the entries from a key on while their keys are in.
func (r *Root) list(ctx context.Context, from []byte, in func(key []byte) bool) ([]Entry, error) {
	cur := tree.New(r.r, format, r.tree).Cursor()
	var out []Entry
	if err := cur.Seek(ctx, from); err != nil {
		return nil, err
	}
	for cur.Valid() {
		kb := cur.Key(nil)
		if !in(kb) {
			break
		}
		v, err := cur.Row(ctx, nil)
		if err != nil {
			return nil, err
		}
		e, err := DecodeEntry(kb, v)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
		if err := cur.Next(ctx); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Change puts an entry or, with Drop, takes the one of that kind and name away.
type Change struct {
	Entry Entry
	Drop  bool
}

// With is the root after the changes, later ones winning over earlier ones of the same name. It reads through st, which has the new
// chunks.
func (r *Root) With(ctx context.Context, st chunk.Store, changes ...Change) (*Root, error) {
	byKey := map[string]tree.Edit{}
	for _, c := range changes {
		k := key(c.Entry.Kind, c.Entry.Name)
		e := tree.Edit{Key: k}
		if !c.Drop {
			e.Row = encode(c.Entry)
		}
		byKey[string(k)] = e
	}
	edits := make([]tree.Edit, 0, len(byKey))
	for _, e := range byKey {
		edits = append(edits, e)
	}
	sort.Slice(edits, func(i, j int) bool { return string(edits[i].Key) < string(edits[j].Key) })
	src := tree.Edits(edits)
	t, err := tree.Apply(ctx, st, format, r.tree, &src)
	if err != nil {
		return nil, err
	}
	return Open(st, t), nil
}
