package history_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/tree"
)

var ctx = context.Background()

func sample() *history.Commit {
	return &history.Commit{
		Root:    tree.Root{Hash: hash.Sum([]byte("root")), Level: 1, Flags: 1, Count: 300},
		Parents: []history.CommitID{hash.Sum([]byte("p1")), hash.Sum([]byte("p2"))},
		Height:  7,
		Author: history.Signature{
			Name: "Ada", Email: "ada@example.org", Time: time.Date(2021, 4, 7, 9, 0, 0, 1000, time.FixedZone("", 5*3600+1800)),
		},
		Committer: history.Signature{Name: "Bob", Email: "", Time: time.Date(1969, 12, 31, 23, 59, 59, 999999000, time.UTC)},
		Message:   "köln\n",
		Meta:      `{"run":"1"}`,
	}
}

// The bytes of a commit and of a tag are formats: what made these hashes must go on to make them.
func TestGolden(t *testing.T) {
	c := sample()
	tag := &history.Tag{Commit: hash.Sum([]byte("c")), Tagger: c.Author, Message: "v1"}
	const (
		wantCommit = "hlrn4tln2tnqt07unej139qqf8ubfagrhdaedus1q92agu9i9ki0"
		wantTag    = "dq5i3247vv168v6k3iruvpcjmihf67f8plsna20e5mvb6i0km0g0"
	)
	if got := hash.Sum(c.Encode()).Full(); got != wantCommit {
		t.Errorf("commit has the hash %s, want %s: %s", got, wantCommit, hex.EncodeToString(c.Encode()))
	}
	if got := hash.Sum(tag.Encode()).Full(); got != wantTag {
		t.Errorf("tag has the hash %s, want %s: %s", got, wantTag, hex.EncodeToString(tag.Encode()))
	}
}

func TestRoundTrip(t *testing.T) {
	for _, c := range []*history.Commit{sample(), {Height: 1}} {
		if c.Author.Time.IsZero() {
			c.Author.Time, c.Committer.Time = time.Unix(0, 0).UTC(), time.Unix(0, 0).UTC()
		}
		st := chunk.NewMem()
		id, err := c.Put(ctx, st)
		if err != nil || id != c.ID {
			t.Fatal(id, err)
		}
		got, err := history.GetCommit(ctx, st, id)
		if err != nil {
			t.Fatal(err)
		}
		if got.ID != id || got.Root != c.Root || !slices.Equal(got.Parents, c.Parents) || got.Height != c.Height || got.Message != c.Message ||
			got.Meta != c.Meta || !sameSignature(got.Author, c.Author) || !sameSignature(got.Committer, c.Committer) {
			t.Errorf("read back %+v, want %+v", got, c)
		}
		tag := &history.Tag{Commit: id, Tagger: c.Author, Message: "m"}
		h, err := tag.Put(ctx, st)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := history.GetTag(ctx, st, h); err != nil || back.Commit != id || back.Message != "m" || !sameSignature(back.Tagger, c.Author) {
			t.Errorf("tag read back %+v, %v", back, err)
		}
		if _, err := history.GetTag(ctx, st, id); !errs.Is(err, errs.Corrupt) {
			t.Errorf("a commit read as a tag: %v", err)
		}
		if _, err := history.GetCommit(ctx, st, h); !errs.Is(err, errs.Corrupt) {
			t.Errorf("a tag read as a commit: %v", err)
		}
	}
	if _, err := history.GetCommit(ctx, chunk.NewMem(), hash.Sum(nil)); !errs.Is(err, errs.NotFound) {
		t.Errorf("a commit that is not there: %v", err)
	}
}

func sameSignature(a, b history.Signature) bool {
	_, x := a.Time.Zone()
	_, y := b.Time.Zone()
	return a.Name == b.Name && a.Email == b.Email && a.Time.Equal(b.Time) && x == y
}

func FuzzDecodeCommit(f *testing.F) {
	f.Add(sample().Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := history.DecodeCommit(b)
		if err != nil {
			wantRefusal(t, err)
		} else if !bytes.Equal(c.Encode(), b) {
			t.Errorf("%x is read but written as %x", b, c.Encode())
		}
	})
}

func FuzzDecodeTag(f *testing.F) {
	f.Add((&history.Tag{Tagger: sample().Author, Message: "m"}).Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := history.DecodeTag(b)
		if err != nil {
			wantRefusal(t, err)
		} else if !bytes.Equal(c.Encode(), b) {
			t.Errorf("%x is read but written as %x", b, c.Encode())
		}
	})
}

func wantRefusal(t *testing.T, err error) {
	if !errs.Is(err, errs.Corrupt) && !errs.Is(err, errs.TooNew) {
		t.Errorf("error %v", err)
	}
}

// graph is a random history, its commits in the order made.
type graph struct {
	st  *chunk.Mem
	all []*history.Commit
	anc map[history.CommitID]map[history.CommitID]bool // of a commit, itself included
}

func drawGraph(t *rapid.T) *graph {
	g := &graph{st: chunk.NewMem(), anc: map[history.CommitID]map[history.CommitID]bool{}}
	for i := range rapid.IntRange(1, 25).Draw(t, "commits") {
		c := &history.Commit{Height: 1, Message: string(rune('a' + i))}
		c.Committer.Time = time.Unix(rapid.Int64Range(0, 3).Draw(t, "time"), 0)
		anc := map[history.CommitID]bool{}
		for range rapid.IntRange(0, min(i, 3)).Draw(t, "parents") {
			p := g.all[rapid.IntRange(max(0, i-6), i-1).Draw(t, "parent")]
			if slices.Contains(c.Parents, p.ID) {
				continue
			}
			c.Parents = append(c.Parents, p.ID)
			c.Height = max(c.Height, p.Height+1)
			for a := range g.anc[p.ID] {
				anc[a] = true
			}
		}
		id, err := c.Put(ctx, g.st)
		if err != nil {
			t.Fatal(err)
		}
		anc[id] = true
		g.anc[id] = anc
		g.all = append(g.all, c)
	}
	return g
}

func order(a, b *history.Commit) int {
	return cmp.Or(cmp.Compare(b.Height, a.Height), b.Committer.Time.Compare(a.Committer.Time), bytes.Compare(b.ID[:], a.ID[:]))
}

func (g *graph) draw(t *rapid.T, label string, n int) (out []history.CommitID) {
	for range rapid.IntRange(0, n).Draw(t, label+" number") {
		out = append(out, rapid.SampledFrom(g.all).Draw(t, label).ID)
	}
	return out
}

func TestWalk(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := drawGraph(t)
		from, not := g.draw(t, "from", 3), g.draw(t, "not", 2)
		var want []*history.Commit
		for _, c := range g.all {
			in, hidden := false, false
			for _, f := range from {
				in = in || g.anc[f][c.ID]
			}
			for _, n := range not {
				hidden = hidden || g.anc[n][c.ID]
			}
			if in && !hidden {
				want = append(want, c)
			}
		}
		slices.SortFunc(want, order)
		w, err := history.Walk(ctx, g.st, from, not)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; ; i++ {
			c, err := w.Next(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if c == nil {
				if i != len(want) {
					t.Fatalf("%d commits, want %d", i, len(want))
				}
				break
			}
			if i >= len(want) || c.ID != want[i].ID {
				t.Fatalf("commit %d is %s", i, c.Message)
			}
		}
		if c, err := w.Next(ctx); c != nil || err != nil {
			t.Fatalf("after the end: %v, %v", c, err)
		}
	})
}

func TestMergeBase(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := drawGraph(t)
		a, b := rapid.SampledFrom(g.all).Draw(t, "a"), rapid.SampledFrom(g.all).Draw(t, "b")
		var common []*history.Commit
		for _, c := range g.all {
			if g.anc[a.ID][c.ID] && g.anc[b.ID][c.ID] {
				common = append(common, c)
			}
		}
		slices.SortFunc(common, order)
		var want history.CommitID
		if len(common) > 0 {
			want = common[0].ID
		}
		for _, pair := range [][2]history.CommitID{{a.ID, b.ID}, {b.ID, a.ID}} {
			got, err := history.MergeBase(ctx, g.st, pair[0], pair[1])
			if err != nil || got != want {
				t.Fatalf("merge base %s, %v, want %s", got, err, want)
			}
		}
		// A best one: no other common ancestor descends from it.
		for _, c := range common {
			if c.ID != want && g.anc[c.ID][want] {
				t.Fatalf("a better merge base is there")
			}
		}
		if ok, err := history.IsAncestor(ctx, g.st, a.ID, b.ID); err != nil || ok != g.anc[b.ID][a.ID] {
			t.Fatalf("is ancestor: %v, %v", ok, err)
		}
	})
}

// TestAncestry asks about random commits of one graph, whose answers it keeps, in any order.
func TestAncestry(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := drawGraph(t)
		var a history.Ancestry
		for range rapid.IntRange(1, 40).Draw(t, "questions") {
			head, c := rapid.SampledFrom(g.all).Draw(t, "head"), rapid.SampledFrom(g.all).Draw(t, "commit")
			want, err := history.IsAncestor(ctx, g.st, c.ID, head.ID)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := a.Reaches(ctx, g.st, head.ID, c); err != nil || got != want {
				t.Fatalf("%s reaches %s: %v, %v, want %v", head.Message, c.Message, got, err, want)
			}
			if got, err := history.Reached(ctx, g.st, []history.CommitID{head.ID}, c); err != nil || got != want {
				t.Fatalf("%s is reached from %s: %v, %v, want %v", c.Message, head.Message, got, err, want)
			}
		}
	})
}

// TestAncestryReads counts what is read: a history once, and behind a new commit that commit.
func TestAncestryReads(t *testing.T) {
	const n = 2000
	st := &counting{Mem: chunk.NewMem()}
	var all []*history.Commit
	add := func() {
		c := &history.Commit{Height: uint64(len(all)) + 1}
		if len(all) > 0 {
			c.Parents = []history.CommitID{all[len(all)-1].ID}
		}
		if _, err := c.Put(ctx, st); err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	for range n {
		add()
	}
	var a history.Ancestry
	ask := func(c *history.Commit, want bool, limit int) {
		t.Helper()
		was := st.n
		got, err := a.Reaches(ctx, st, all[len(all)-1].ID, c)
		if err != nil || got != want {
			t.Errorf("%v, %v, want %v", got, err, want)
		}
		if st.n-was > limit {
			t.Errorf("%d commits read, want at most %d", st.n-was, limit)
		}
	}
	ask(all[n-3], true, 5)
	ask(all[0], true, n)
	for i := range n {
		ask(all[i], true, 0)
	}
	stranger := &history.Commit{Height: 5, Message: "of another history"}
	if _, err := stranger.Put(ctx, st); err != nil {
		t.Fatal(err)
	}
	ask(stranger, false, 0)
	for range 30 {
		add()
		ask(all[0], true, 2)
		ask(stranger, false, 0)
	}
}

// counting counts the reads of a store.
type counting struct {
	*chunk.Mem
	n int
}

func (c *counting) Get(ctx context.Context, h hash.Hash) ([]byte, error) {
	c.n++
	return c.Mem.Get(ctx, h)
}

func TestWalkMissing(t *testing.T) {
	st := chunk.NewMem()
	c := &history.Commit{Height: 2, Parents: []history.CommitID{hash.Sum([]byte("gone"))}}
	id, err := c.Put(ctx, st)
	if err != nil {
		t.Fatal(err)
	}
	w, err := history.Walk(ctx, st, []history.CommitID{id}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Next(ctx); !errs.Is(err, errs.NotFound) {
		t.Errorf("a history with a hole: %v", err)
	}
}
