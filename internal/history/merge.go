package history

import (
	"context"
	"encoding/binary"
	"sort"
	"strings"

	"github.com/stemmadb/stemma/internal/binfmt"
	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/tree"
)

// MergeVersion is the newest format of merges that this program reads and the one that it writes.
const MergeVersion chunk.Version = 1

// MergeKind says what a merge in progress was begun by. The numbers are part of the format.
type MergeKind byte

// The kinds.
const (
	MergeBranch MergeKind = 1 // its commit gets theirs as a parent
	CherryPick  MergeKind = 2
	Revert      MergeKind = 3
	SquashMerge MergeKind = 4 // of a branch, without theirs as a parent
	// Verification is no merge: the working set remembers rows that a search has found to violate constraints. Theirs is Head.
	Verification MergeKind = 5
)

// String is the name of the verb.
func (k MergeKind) String() string {
	switch k {
	case MergeBranch, SquashMerge:
		return "merge"
	case CherryPick:
		return "cherry-pick"
	case Revert:
		return "revert"
	case Verification:
		return "verification"
	}
	return "unknown"
}

// Merge is a merge in progress: what a branch's working set remembers from its beginning until the commit that ends it. It is
// immutable.
type Merge struct {
	Kind            MergeKind
	Source          string // what the user called theirs
	Theirs          CommitID
	Head            CommitID  // of the branch when it began
	Working, Staged tree.Root // of the branch when it began: what abort goes back to
	Author          Signature // of the commit to come; the zero Signature is whoever makes it
	Message         string    // of the commit to come
	Tables          []MergeTable
}

// MergeTable is a table that a merge has left unsettled, ordered by lower-case name in a Merge.
type MergeTable struct {
	Name               string     // in the working set
	Base, Ours, Theirs root.Entry // before the merge; the zero Entry where there was none
	Schema             string     // why the schemas do not merge, "" when they do: then the working set has ours
	// Conflicts are the rows that both sides changed differently, of which the working set has ours: keys of the table's rows in a
	// key/value tree, with empty payloads. The rows of the sides are found in Base, Ours and Theirs.
	Conflicts tree.Root
	// Violations are the rows that violate a constraint through the merge: see ViolationKey.
	Violations tree.Root
}

// ArtifactFormat is the leaf format of MergeTable.Conflicts and MergeTable.Violations.
func ArtifactFormat() tree.Format { return tree.KVFormat{} }

// ViolationKind is the class of a violated constraint. The numbers are part of the format.
type ViolationKind byte

// The kinds, numbered as Dolt's enumeration is.
const (
	ForeignKeyViolation ViolationKind = 1
	UniqueViolation     ViolationKind = 2
	CheckViolation      ViolationKind = 3
	NotNullViolation    ViolationKind = 4
)

// String is the kind's name in dolt_constraint_violations_<table>.
func (k ViolationKind) String() string {
	switch k {
	case ForeignKeyViolation:
		return "foreign key"
	case UniqueViolation:
		return "unique index"
	case CheckViolation:
		return "check constraint"
	case NotNullViolation:
		return "not null"
	}
	return "unknown"
}

// ViolationKey is the key of a violation in MergeTable.Violations, whose payload is a JSON object that describes it: the kind, the
// name of the index or column, and the key of the row.
func ViolationKey(kind ViolationKind, name string, row []byte) []byte {
	return append(binfmt.AppendString([]byte{byte(kind)}, name), row...)
}

// SplitViolationKey takes apart what ViolationKey made. row aliases key.
func SplitViolationKey(key []byte) (kind ViolationKind, name string, row []byte, err error) {
	d := &binfmt.Decoder{B: key, What: "constraint violation"}
	kind, name = ViolationKind(d.Byte()), d.Str()
	return kind, name, d.B, d.Err
}

// Merges tells whether it is a merge, of which there is something to continue or to abort.
func (m *Merge) Merges() bool { return m != nil && m.Kind != Verification }

// Settled tells whether nothing is left to be resolved in the table.
func (t *MergeTable) Settled() bool {
	return t.Schema == "" && t.Conflicts.IsEmpty() && t.Violations.IsEmpty()
}

// Unsettled is the names of the tables with something to be resolved.
func (m *Merge) Unsettled() []string {
	var out []string
	for i := range m.Tables {
		if !m.Tables[i].Settled() {
			out = append(out, m.Tables[i].Name)
		}
	}
	return out
}

// Table is the position of the table of that name, matched without case; -1 when it has none.
func (m *Merge) Table(name string) int {
	for i := range m.Tables {
		if strings.EqualFold(m.Tables[i].Name, name) {
			return i
		}
	}
	return -1
}

// With is the merge with another state of one of its tables, or with one more. Settled tables are dropped.
func (m *Merge) With(t MergeTable) *Merge {
	c := *m
	c.Tables = nil
	at := m.Table(t.Name)
	for i, x := range m.Tables {
		if i == at {
			x = t
		}
		if !x.Settled() {
			c.Tables = append(c.Tables, x)
		}
	}
	if at < 0 && !t.Settled() {
		c.Tables = append(c.Tables, t)
		sort.SliceStable(c.Tables, func(i, j int) bool {
			return strings.ToLower(c.Tables[i].Name) < strings.ToLower(c.Tables[j].Name)
		})
	}
	return &c
}

// Encode gives the merge's canonical bytes.
func (m *Merge) Encode() []byte {
	b := []byte{byte(chunk.KindMerge), MergeVersion, byte(m.Kind)}
	b = binfmt.AppendString(b, m.Source)
	b = append(b, m.Theirs[:]...)
	b = append(b, m.Head[:]...)
	b = tree.AppendRoot(b, m.Working)
	b = tree.AppendRoot(b, m.Staged)
	b = binfmt.AppendBool(b, m.Author.Name != "" || m.Author.Email != "")
	if m.Author.Name != "" || m.Author.Email != "" {
		b = appendSignature(b, m.Author)
	}
	b = binfmt.AppendString(b, m.Message)
	b = binary.AppendUvarint(b, uint64(len(m.Tables)))
	for i := range m.Tables {
		t := &m.Tables[i]
		b = binfmt.AppendString(b, t.Name)
		for _, e := range []*root.Entry{&t.Base, &t.Ours, &t.Theirs} {
			b = append(b, byte(e.Kind))
			switch e.Kind {
			case 0:
			case root.KindTable:
				b = binfmt.AppendString(b, e.Name)
				b = append(b, e.Table[:]...)
				b = binfmt.AppendBytes(b, e.Comments)
			default:
				b = binfmt.AppendString(b, e.Name)
				b = binfmt.AppendBytes(b, e.Body)
			}
		}
		b = binfmt.AppendString(b, t.Schema)
		b = tree.AppendRoot(b, t.Conflicts)
		b = tree.AppendRoot(b, t.Violations)
	}
	return b
}

// Put keeps the merge and returns the hash of its chunk.
func (m *Merge) Put(ctx context.Context, w chunk.Writer) (hash.Hash, error) {
	return w.Put(ctx, m.Encode())
}

// GetMerge reads the merge of that hash.
func GetMerge(ctx context.Context, r chunk.Reader, h hash.Hash) (*Merge, error) {
	data, err := r.Get(ctx, h)
	if err != nil {
		return nil, err
	}
	return DecodeMerge(data)
}

// DecodeMerge reads the bytes of a merge chunk.
func DecodeMerge(data []byte) (*Merge, error) {
	_, body, err := chunk.CheckKind(data, chunk.KindMerge, MergeVersion)
	if err != nil {
		return nil, err
	}
	d := &binfmt.Decoder{B: body, What: "merge"}
	m := &Merge{Kind: MergeKind(d.Byte()), Source: d.Str(), Theirs: d.Hash(), Head: d.Hash(), Working: tree.ReadRoot(d), Staged: tree.ReadRoot(d)}
	if d.Bool() {
		m.Author = readSignature(d)
	}
	m.Message = d.Str()
	for n := d.Count(); n > 0 && d.Err == nil; n-- {
		t := MergeTable{Name: d.Str()}
		for _, e := range []*root.Entry{&t.Base, &t.Ours, &t.Theirs} {
			switch e.Kind = root.Kind(d.Byte()); e.Kind {
			case 0:
			case root.KindTable:
				e.Name, e.Table, e.Comments = d.Str(), d.Hash(), d.Bytes()
			default:
				e.Name, e.Body = d.Str(), d.Bytes()
			}
		}
		t.Schema, t.Conflicts, t.Violations = d.Str(), tree.ReadRoot(d), tree.ReadRoot(d)
		m.Tables = append(m.Tables, t)
	}
	if err := d.Done(); err != nil {
		return nil, err
	}
	if m.Kind < MergeBranch || m.Kind > Verification {
		return nil, errs.New(errs.Corrupt, "decode merge: unknown kind %d", m.Kind)
	}
	return m, nil
}
