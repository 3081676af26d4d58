package op

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/vfs"
)

// TestFollowRemovals removes from a replica the branches and tags that the remote has removed, and no others, also in a later process than the
// one that fetched them or that saw first that they are gone.
func TestFollowRemovals(t *testing.T) {
	fs := vfs.NewMem()
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	source := rebaseWorld(t, fs)
	defer source.Close(t.Context())
	ada := Author{"Ada", "ada@example.org"}
	s := &Scope{Repo: source, FS: fs, Dir: "/db", Author: ada, Settings: Settings{Local: filepath.Join(t.TempDir(), "config")}}
	run := func(s *Scope, o Op) {
		t.Helper()
		_, err := o.Run(t.Context(), s)
		ok(err)
	}
	run(s, &Tag{Args: []string{"v1", "main"}})
	run(s, &Tag{Args: []string{"v2", "main"}})
	run(s, &Remote{Args: []string{"add", "origin", "/rem"}})
	run(s, &Push{Remote: "origin", All: true, Tags: true})

	by := history.Signature{Name: "Ada", Email: "ada@example.org"}
	ok(repo.Init(t.Context(), fs, "/replica", repo.InitOptions{Author: by, Committer: by}))
	settings := filepath.Join(t.TempDir(), "config")
	// live runs fn with the replica, which fails whenever broken answers an error.
	live := func(broken vfs.Hook, fn func(r *repo.Repo, f *Follower)) {
		t.Helper()
		hooked := vfs.FS(fs)
		if broken != nil {
			hooked = vfs.WithHook(fs, broken)
		}
		r, err := repo.Open(t.Context(), hooked, "/replica", repo.Options{})
		ok(err)
		at := &Scope{Repo: r, FS: hooked, Dir: "/replica", Author: ada, Settings: Settings{Local: settings}}
		f := &Follower{Scope: at, Remote: "origin"}
		fn(r, f)
		if broken == nil {
			ok(r.Close(t.Context()))
		} else {
			_ = r.Close(t.Context()) // as of a process that dies
		}
	}
	want := func(r *repo.Repo, branches, tags []string) {
		t.Helper()
		var b, g []string
		for _, x := range r.Branches() {
			b = append(b, x.Name)
		}
		list, err := r.TagObjects(t.Context())
		ok(err)
		for _, x := range list {
			g = append(g, x.Name)
		}
		if !slices.Equal(b, branches) || !slices.Equal(g, tags) {
			t.Errorf("branches %q, tags %q; want %q, %q", b, g, branches, tags)
		}
	}
	once := func(f *Follower) {
		t.Helper()
		ok(f.Begin())
		_, err := f.Once(t.Context())
		ok(err)
	}
	live(nil, func(r *repo.Repo, f *Follower) {
		run(f.Scope, &Remote{Args: []string{"add", "origin", "/rem"}})
		run(f.Scope, &Tag{Args: []string{"own", "main"}})
		run(f.Scope, &Branch{Args: []string{"mine"}})
		once(f)
		want(r, []string{"main", "mine", "side"}, []string{"own", "v1", "v2"})
	})

	// The process dies while it removes: the next one does it.
	run(s, &Push{Remote: "origin", Delete: true, Refs: []string{"side", "refs/tags/v1"}})
	died := false
	var armed bool
	live(func(op vfs.Op) error {
		if armed && op.Kind == vfs.OpWrite && filepath.Base(filepath.Dir(op.Name)) == "journal" {
			died = true
			return errs.New(errs.NoSpace, "no space is left")
		}
		return nil
	}, func(r *repo.Repo, f *Follower) {
		ok(f.Begin())
		armed = true
		if _, err := f.Once(t.Context()); err == nil || !died {
			t.Fatalf("%v; it did not fail", err)
		}
	})
	live(nil, func(r *repo.Repo, f *Follower) {
		once(f)
		want(r, []string{"main", "mine"}, []string{"own", "v2"})
		if tracks := Followed(r); len(tracks) != 1 || tracks[0].Name != "main" {
			t.Errorf("it follows %v", tracks)
		}
	})

	// The branch that is checked out stays, which is said once.
	run(s, &Push{Remote: "origin", Refs: []string{"main:other"}})
	run(s, &Push{Remote: "origin", Delete: true, Refs: []string{"main"}})
	live(nil, func(r *repo.Repo, f *Follower) {
		var warned []string
		f.Warn = func(text string) { warned = append(warned, text) }
		once(f)
		once(f)
		want(r, []string{"main", "mine", "other"}, []string{"own", "v2"})
		if len(warned) != 1 || !strings.Contains(warned[0], "'main' is gone at the remote") {
			t.Errorf("warned %q", warned)
		}
	})
	run(s, &Push{Remote: "origin", Refs: []string{"main"}})
	run(s, &Push{Remote: "origin", Delete: true, Refs: []string{"other"}})
	live(nil, func(r *repo.Repo, f *Follower) { once(f) })

	// Without the side file a tag stays.
	ok(fs.Remove(filepath.FromSlash("/replica/.stemma/" + followName)))
	run(s, &Push{Remote: "origin", Delete: true, Refs: []string{"refs/tags/v2"}})
	live(nil, func(r *repo.Repo, f *Follower) {
		once(f)
		want(r, []string{"main", "mine"}, []string{"own", "v2"})
	})
}
