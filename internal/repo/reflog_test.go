package repo

import (
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/vfs"
)

// manual is a clock that is set by hand.
type manual struct{ t time.Time }

func (c *manual) Now() time.Time { return c.t }

func TestReflog(t *testing.T) {
	ctx := t.Context()
	fs, dir := vfs.NewMem(), filepath.Join(string(filepath.Separator), "db")
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	who := history.Signature{Name: "Ada", Email: "ada@example.org", Time: day}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(Init(ctx, fs, dir, InitOptions{Author: who, Committer: who}))
	clk := &manual{day}
	open := func() *Repo {
		t.Helper()
		r, err := Open(ctx, fs, dir, Options{Clock: clk})
		check(err)
		return r
	}
	r := open()
	names := map[history.CommitID]string{}
	first, _ := r.BranchHead("main")
	names[first] = "init"
	lines := func() (out []string) {
		for _, m := range r.RefLog() {
			name := names[m.Commit]
			if m.Commit.IsZero() {
				name = "-"
			}
			out = append(out, fmt.Sprintf("%s %s %s", m.Time.Format("01-02"), m.Ref, name))
		}
		return out
	}
	want := func(list ...string) {
		t.Helper()
		if got := lines(); !slices.Equal(got, list) {
			t.Errorf("got\n%q\nwant\n%q", got, list)
		}
	}
	commit := func(msg string) {
		t.Helper()
		clk.t = clk.t.Add(24 * time.Hour)
		c, err := r.Commit(ctx, CommitOptions{Branch: "main", Message: msg, AllowEmpty: true, Author: history.Signature{Name: "Ada"}})
		check(err)
		names[c.ID] = msg
	}
	commit("one")
	commit("two")
	check(r.CreateBranch(ctx, "b", first, false))
	check(r.RenameBranch(ctx, "b", "c", false))
	head, _ := r.BranchHead("main")
	check(r.CreateTag(ctx, "v1", history.Tag{Commit: head}, false))
	check(r.ResetHard(ctx, "main", first))
	check(r.ResetHard(ctx, "main", first)) // moves nothing
	check(r.DeleteTag(ctx, "v1"))
	list := []string{
		"01-03 refs/tags/v1 -", "01-03 refs/heads/main init", "01-03 refs/tags/v1 two", "01-03 refs/heads/b -", "01-03 refs/heads/c init",
		"01-03 refs/heads/b init", "01-03 refs/heads/main two", "01-02 refs/heads/main one", "01-01 refs/heads/main init",
	}
	// Of a rename, one record moves two refs; their order in it is the record's.
	got := lines()
	if slices.Index(got, list[3]) > slices.Index(got, list[4]) {
		list[3], list[4] = list[4], list[3]
	}
	want(list...)
	check(r.Close(ctx))
	r = open() // from the journal
	want(list...)
	check(r.Checkpoint(ctx))
	want(list...)
	check(r.Close(ctx))
	r = open() // from the checkpoint
	want(list...)
	commit("three")
	want(append([]string{"01-04 refs/heads/main three"}, list...)...)
	// What is old goes, but not the last of a ref.
	clk.t = clk.t.Add(reflogAge)
	check(r.Checkpoint(ctx))
	check(r.Close(ctx))
	r = open()
	want("01-04 refs/heads/main three", "01-03 refs/tags/v1 -", "01-03 refs/heads/b -", "01-03 refs/heads/c init")
	check(r.Close(ctx))
}

func TestReflogIsBounded(t *testing.T) {
	var l *reflog
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 3*reflogMost + 7 {
		l = l.with(RefMove{Ref: "refs/heads/main", Commit: hash.Sum(fmt.Append(nil, i)), Time: start.Add(time.Duration(i) * time.Second)})
		if l.len() > 2*reflogMost {
			t.Fatalf("%d moves", l.len())
		}
	}
	kept := l.keep(l.move.Time)
	if len(kept) != reflogMost || kept[0].Commit != hash.Sum(fmt.Append(nil, 3*reflogMost+6)) {
		t.Errorf("%d moves are kept, the first %v", len(kept), kept[0])
	}
}

// TestReflogBytes checks that records with moves read back, and that those of older programs give moves, too.
func TestReflogBytes(t *testing.T) {
	c := sampleChange()
	h := hash.Sum([]byte("y"))
	c.log = []RefMove{{Ref: "refs/heads/main", Commit: h, Time: time.UnixMicro(-5).UTC()}, {Ref: "refs/tags/v1"}}
	b := c.encode()
	got, err := decodeChange(b)
	if err != nil || !reflect.DeepEqual(got, c) {
		t.Errorf("read back %+v, %v", got, err)
	}
	for n := range b {
		if _, err := decodeChange(b[:n]); !errs.Is(err, errs.Corrupt) {
			t.Errorf("%d of %d bytes: %v", n, len(b), err)
		}
	}
	l := (*reflog)(nil).replay(sampleChange())
	moves := l.keep(time.Now())
	if len(moves) != 2 || moves[0].Ref != "refs/heads/gone" || !moves[0].Commit.IsZero() || moves[1].Ref != "refs/heads/main" || !moves[1].Time.IsZero() {
		t.Errorf("moves of an old record: %+v", moves)
	}
}
