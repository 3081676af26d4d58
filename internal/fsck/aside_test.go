package fsck_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/fsck"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/tree"
)

// TestAside verifies stashes and rebases that name what is not there, and chunks of another kind.
func TestAside(t *testing.T) {
	ctx := context.Background()
	st := chunk.NewMem()
	by := history.Signature{Name: "Ada", Email: "ada@example.org"}
	first := &history.Commit{Height: 1, Author: by, Committer: by, Message: "first"}
	id, err := first.Put(ctx, st)
	if err != nil {
		t.Fatal(err)
	}
	put := func(x interface {
		Put(ctx context.Context, w chunk.Writer) (hash.Hash, error)
	}) hash.Hash {
		h, err := x.Put(ctx, st)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	none := hash.Sum([]byte("none"))
	lost := tree.Root{Hash: none, Count: 1}
	for name, c := range map[string]struct {
		start fsck.Start
		want  string // in the one report; "" for none
	}{
		"stash":               {fsck.Start{Stash: put(&history.Stash{Head: id, Branch: "main"})}, ""},
		"rebase":              {fsck.Start{Rebase: put(&history.Rebase{Head: id, Onto: id, Branch: "main"})}, ""},
		"stash on no commit":  {fsck.Start{Stash: put(&history.Stash{Head: none})}, "commit " + none.String()},
		"stash of no tables":  {fsck.Start{Stash: put(&history.Stash{Head: id, Root: lost})}, "root"},
		"rebase onto nothing": {fsck.Start{Rebase: put(&history.Rebase{Head: id, Onto: none})}, "commit " + none.String()},
		"rebase of nothing":   {fsck.Start{Rebase: put(&history.Rebase{Head: id, Onto: id, Working: lost})}, "root"},
		"no stash":            {fsck.Start{Stash: none}, none.String()},
		"a commit as a stash": {fsck.Start{Stash: id}, "kind"},
		"a stash as a rebase": {fsck.Start{Rebase: put(&history.Stash{Head: id, Branch: "b"})}, "kind"},
	} {
		var got []string
		k := fsck.New(st, func(p fsck.Problem) { got = append(got, p.String()) }, nil)
		c.start.Name = "it"
		if err := k.Check(ctx, c.start); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], "it: ") || !strings.Contains(got[0], c.want)) {
			t.Errorf("%s: reports %q, want one with %q", name, got, c.want)
		}
	}
}
