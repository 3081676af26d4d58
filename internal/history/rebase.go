package history

import (
	"context"
	"encoding/binary"

	"github.com/stemmadb/stemma/internal/binfmt"
	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/tree"
)

// RebaseVersion is the newest format of rebases that this program reads and the one that it writes.
const RebaseVersion chunk.Version = 1

// RebaseAction says what becomes of a commit in a rebase. The numbers are part of the format.
type RebaseAction byte

// The actions, numbered as Dolt's enumeration is.
const (
	RebaseDrop   RebaseAction = 1 // it is left out
	RebasePick   RebaseAction = 2 // its change is made again
	RebaseReword RebaseAction = 3 // with the message of the plan
	RebaseSquash RebaseAction = 4 // it becomes part of the commit before it, and so does its message
	RebaseFixup  RebaseAction = 5 // it becomes part of the commit before it, its message does not
	RebaseEdit   RebaseAction = 6 // the rebase stops behind it
)

// RebaseActions are the names of the actions, of which the first is number 1.
func RebaseActions() []string { return []string{"drop", "pick", "reword", "squash", "fixup", "edit"} }

// String is the action's name.
func (a RebaseAction) String() string {
	if a < RebaseDrop || a > RebaseEdit {
		return "unknown"
	}
	return RebaseActions()[a-1]
}

// RebaseStep is a line of the plan of a rebase.
type RebaseStep struct {
	Order   int64 // in hundredths; steps are ordered by it, and no two have one
	Action  RebaseAction
	Commit  string // a hash; users may write any revision
	Message string
}

// Rebase is a rebase in progress: what the working set of the branch on which the new commits are made remembers. It is immutable.
type Rebase struct {
	Branch    string    // that is rebased
	Head      CommitID  // of that branch when the rebase began
	Onto      CommitID  // below the new commits
	Working   tree.Root // of that branch when the rebase began
	KeepEmpty bool      // commits that come to change nothing are kept
	Begun     bool      // steps have been tried
	Last      int64     // with Begun: the order of the step that was tried last
	Stopped   bool      // with Begun: at that step; what is staged is to be committed for it
	Plan      []RebaseStep
}

// Encode gives the rebase's canonical bytes.
func (x *Rebase) Encode() []byte {
	b := []byte{byte(chunk.KindRebase), RebaseVersion}
	b = binfmt.AppendString(b, x.Branch)
	b = append(b, x.Head[:]...)
	b = append(b, x.Onto[:]...)
	b = tree.AppendRoot(b, x.Working)
	b = binfmt.AppendBool(b, x.KeepEmpty)
	b = binfmt.AppendBool(b, x.Begun)
	b = binary.AppendVarint(b, x.Last)
	b = binfmt.AppendBool(b, x.Stopped)
	b = binary.AppendUvarint(b, uint64(len(x.Plan)))
	for _, s := range x.Plan {
		b = binary.AppendVarint(b, s.Order)
		b = append(b, byte(s.Action))
		b = binfmt.AppendString(b, s.Commit)
		b = binfmt.AppendString(b, s.Message)
	}
	return b
}

// Put keeps the rebase and returns the hash of its chunk.
func (x *Rebase) Put(ctx context.Context, w chunk.Writer) (hash.Hash, error) {
	return w.Put(ctx, x.Encode())
}

// GetRebase reads the rebase of that hash.
func GetRebase(ctx context.Context, r chunk.Reader, h hash.Hash) (*Rebase, error) {
	data, err := r.Get(ctx, h)
	if err != nil {
		return nil, err
	}
	return DecodeRebase(data)
}

// DecodeRebase reads the bytes of a rebase chunk.
func DecodeRebase(data []byte) (*Rebase, error) {
	_, body, err := chunk.CheckKind(data, chunk.KindRebase, RebaseVersion)
	if err != nil {
		return nil, err
	}
	d := &binfmt.Decoder{B: body, What: "rebase"}
	x := &Rebase{
		Branch: d.Str(), Head: d.Hash(), Onto: d.Hash(), Working: tree.ReadRoot(d), KeepEmpty: d.Bool(),
		Begun: d.Bool(), Last: d.Varint(), Stopped: d.Bool(),
	}
	for n := d.Count(); n > 0 && d.Err == nil; n-- {
		x.Plan = append(x.Plan, RebaseStep{Order: d.Varint(), Action: RebaseAction(d.Byte()), Commit: d.Str(), Message: d.Str()})
	}
	if err := d.Done(); err != nil {
		return nil, err
	}
	for i, s := range x.Plan {
		if s.Action < RebaseDrop || s.Action > RebaseEdit || i > 0 && s.Order <= x.Plan[i-1].Order {
			return nil, errs.New(errs.Corrupt, "decode rebase: step %d has an unknown action, or is not behind the one before", i)
		}
	}
	return x, nil
}
