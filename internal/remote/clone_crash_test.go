package remote_test

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/object/mem"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/vfs"
)

// TestCloneOfAnotherCrashAnywhere: a clone of one remote died, and the power is cut before every operation of a clone of another in the
// same place. When that is begun again it is the clone of the other, whole, whatever is left of the first.
func TestCloneOfAnotherCrashAnywhere(t *testing.T) {
	var remotes [2]*sync.Remote
	var heads [2]history.CommitID
	for i := range remotes {
		m := newMachine(t, "ada")
		m.work(t, "main", rand.New(rand.NewPCG(uint64(i), 9)))
		heads[i], _ = m.BranchHead("main")
		remotes[i] = mustOpen(t, &mem.Store{})
		_, err := m.push(remotes[i], false, false, "main")
		must(t, err)
	}
	begin := func(fs vfs.FS, source string) error {
		return repo.Clone(ctx, fs, "/db", "", source, func(ctx context.Context, st *pack.Store, _, incoming string) (*repo.Cloned, error) {
			r := remotes[source[0]-'0']
			refs, err := r.Refs(ctx)
			if err != nil {
				return nil, err
			}
			x := refs["heads/main"]
			out := &repo.Cloned{Branches: []repo.Branch{{Name: "main", Head: x.Commit}}, Head: "main"}
			out.Batch, err = (&sync.Fetch{Remote: r, Store: st, FS: fs, Incoming: incoming}).Refs(ctx, []sync.Ref{x}, nil)
			return out, err
		})
	}
	fs := vfs.NewMem()
	if err := begin(nameless{fs}, "0"); err == nil {
		t.Fatal("it lives")
	}
	rng := rand.New(rand.NewPCG(1, 1))
	begun, done := 0, 0
	cut := func() {
		for range 4 {
			after := fs.CrashClone(rng)
			if _, err := repo.Locate(after, "/db"); err == nil {
				done++
			} else {
				begun++
				if err := begin(after, "1"); err != nil {
					t.Errorf("begin again: %v\n%s", err, after.Files())
					return
				}
			}
			c := open(t, after, "clone")
			if got, _ := c.BranchHead("main"); got != heads[1] {
				t.Errorf("the clone is at %s, want %s", got, heads[1])
			}
			c.sound(t)
			must(t, c.Close(ctx))
		}
	}
	must(t, begin(vfs.WithHook(fs, func(op vfs.Op) error {
		if op.Kind != vfs.OpRead && !t.Failed() {
			cut()
		}
		return nil
	}), "1"))
	before := begun
	cut()
	if begun != before {
		t.Errorf("a clone that was done is gone after a power cut")
	}
	if begun == 0 || done == 0 {
		t.Errorf("%d clones begun again, %d done: the test does not test", begun, done)
	}
}
