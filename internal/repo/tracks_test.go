package repo

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/vfs"
)

// TestLandKeepsNewer: a fetch that was overtaken takes nothing back and leaves a tag that was made meanwhile, also when the database is opened again.
func TestLandKeepsNewer(t *testing.T) {
	ctx := t.Context()
	fs, dir := vfs.NewMem(), filepath.Join(string(filepath.Separator), "db")
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	who := history.Signature{Name: "Ada", Email: "ada@example.org", Time: at}
	check(Init(ctx, fs, dir, InitOptions{Author: who, Committer: who}))
	r, err := Open(ctx, fs, dir, Options{Clock: clock.Fixed{T: at}})
	check(err)
	var ids []history.CommitID
	for _, msg := range []string{"one", "two", "three"} {
		c, err := r.Commit(ctx, CommitOptions{Branch: "main", Message: msg, AllowEmpty: true, Author: who})
		check(err)
		ids = append(ids, c.ID)
	}
	land := func(visible int, l Landing) {
		t.Helper()
		got, err := r.Land(ctx, nil, l)
		check(err)
		if n := len(got.Tracks) + len(got.Tags); n != visible {
			t.Errorf("%d things became visible of %+v, want %d", n, l, visible)
		}
	}
	land(1, Landing{Tracks: []LandedTrack{{Name: "origin/main", Head: ids[0]}}})
	// Two fetches have seen the first commit here. The one that has read the remote later comes first.
	land(1, Landing{Tracks: []LandedTrack{{Name: "origin/main", Head: ids[2], Old: ids[0]}}})
	for _, name := range []string{"mine", "theirs"} {
		check(r.CreateTag(ctx, name, history.Tag{Commit: ids[0], Tagger: who, Message: name}, false))
	}
	tags, err := r.TagObjects(ctx)
	check(err)
	tags[1].Name = "mine"
	land(0, Landing{Tracks: []LandedTrack{{Name: "origin/main", Head: ids[1], Old: ids[0]}}, Tags: tags[1:]})
	// Pruned by one who has seen less.
	land(0, Landing{Tracks: []LandedTrack{{Name: "origin/main", Old: ids[1]}}})
	for range 2 {
		if got, _ := r.Track("origin/main"); got != ids[2] {
			t.Errorf("origin/main is at %s, want %s", got, ids[2])
		}
		tag, _, err := r.TagNamed(ctx, "mine")
		check(err)
		if tag.Message != "mine" {
			t.Error("a tag of the database was replaced by one that was fetched")
		}
		check(r.Close(ctx))
		r, err = Open(ctx, fs, dir, Options{Clock: clock.Fixed{T: at}})
		check(err)
	}
	land(1, Landing{Tracks: []LandedTrack{{Name: "origin/main", Anyway: true}}})
	if _, ok := r.Track("origin/main"); ok {
		t.Error("a branch of a remote that was forgotten is there")
	}
	check(r.Close(ctx))
}
