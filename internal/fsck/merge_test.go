package fsck_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/fsck"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/tree"
)

// TestMergeProblems checks that what a merge in progress names is verified: its commits, its sides, and its lists.
func TestMergeProblems(t *testing.T) {
	ctx := context.Background()
	st := chunk.NewMem()
	c := &history.Commit{Height: 1, Message: "m"}
	id, err := c.Put(ctx, st)
	if err != nil {
		t.Fatal(err)
	}
	list := func(key []byte) tree.Root {
		b := tree.NewBuilder(st, history.ArtifactFormat(), tree.BuilderOptions{})
		if err := b.Add(ctx, key, []byte("{}")); err != nil {
			t.Fatal(err)
		}
		r, err := b.Finish(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	gone := hash.Sum([]byte("gone"))
	for _, x := range []struct {
		name   string
		change func(m *history.Merge)
		want   string // "" for nothing
	}{
		{"sound", func(*history.Merge) {}, ""},
		{"no commit", func(m *history.Merge) { m.Theirs = gone }, "commit " + gone.String()},
		{"no state before", func(m *history.Merge) { m.Working = tree.Root{Hash: gone, Count: 1} }, "state before it: root"},
		{"no side", func(m *history.Merge) { m.Tables[0].Base = root.Entry{Kind: root.KindTable, Name: "t", Table: gone} }, "table t: read chunk"},
		{"no list", func(m *history.Merge) { m.Tables[0].Conflicts = tree.Root{Hash: gone, Count: 1} }, "table t: conflicts"},
		{"a list that is none", func(m *history.Merge) { m.Tables[0].Violations = list([]byte{2, 200}) }, "table t: violations: decode constraint violation"},
		{"too few in a list", func(m *history.Merge) { m.Tables[0].Conflicts.Count++ }, "table t: conflicts"},
	} {
		m := &history.Merge{Kind: history.MergeBranch, Theirs: id, Head: id, Tables: []history.MergeTable{{
			Name: "t", Conflicts: list([]byte("key")), Violations: list(history.ViolationKey(history.UniqueViolation, "u", []byte("row"))),
		}}}
		x.change(m)
		h, err := m.Put(ctx, st)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		if err := fsck.New(st, func(p fsck.Problem) { got = append(got, p.String()) }, nil).Check(ctx, fsck.Start{Name: "merge", Merge: h}); err != nil {
			t.Fatal(err)
		}
		all := strings.Join(got, "\n")
		if x.want == "" && all != "" || !strings.Contains(all, x.want) {
			t.Errorf("%s: %q, want %q", x.name, all, x.want)
		}
	}
}
