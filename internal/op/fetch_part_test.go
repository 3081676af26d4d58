package op

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/fsck"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/value"
	"github.com/stemmadb/stemma/internal/vfs"
)

// TestFetchSystemTables: a part that a program made which took no system tables along says how they come, and has them all after a fetch,
// those of all its commits, also when nothing else is new.
func TestFetchSystemTables(t *testing.T) {
	ctx, fs := t.Context(), vfs.NewMem()
	r := rebaseWorld(t, fs)
	defer r.Close(ctx)
	by := history.Signature{Name: "Ada", Email: "ada@example.org"}
	s := &Scope{Repo: r, FS: fs, Dir: "/db", Settings: Settings{Local: filepath.Join(t.TempDir(), "config")}}
	ok := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ignore := func(pattern string) {
		t.Helper()
		tx, err := r.Begin(ctx, "main")
		ok(nil, err)
		e, err := tx.SystemEditor(ctx, repo.IgnoreTable)
		ok(nil, err)
		ok(nil, e.Insert(ctx, []value.Cell{value.BytesCell([]byte(pattern)), value.IntCell(1)}))
		ok(nil, tx.Commit(ctx))
		ok(r.Commit(ctx, repo.CommitOptions{Branch: "main", Message: pattern, Author: by, AddNew: true}))
		ok((&Push{Remote: "origin", Refs: []string{"main"}}).Run(ctx, s))
	}
	ok((&Remote{Args: []string{"add", "origin", "/rem"}}).Run(ctx, s))
	ok((&Push{Remote: "origin", Refs: []string{"main"}}).Run(ctx, s))
	ok((&Clone{Name: "origin", Tables: "t", URL: "/rem", Dir: "/part"}).Run(ctx, &Scope{FS: fs, Dir: "/", Clock: clock.System{}, Settings: Settings{Local: filepath.Join(t.TempDir(), "config")}}))

	p, err := sync.ReadPartial(fs, "/part/.stemma")
	ok(nil, err)
	p.Tables = []string{"t"} // as such a program has it
	ok(nil, p.Write(fs, "/part/.stemma"))
	part, err := repo.Open(ctx, fs, "/part", repo.Options{})
	ok(nil, err)
	defer part.Close(ctx)
	there := &Scope{Repo: part, FS: fs, Dir: "/part", Branch: "main", Settings: Settings{Local: filepath.Join(t.TempDir(), "config")}}
	ok((&Remote{Args: []string{"add", "origin", "/rem"}}).Run(ctx, there))
	for _, pattern := range []string{"a%", "b%"} { // they are fetched as such a program does it
		ignore(pattern)
		far, _, err := there.openRemote(ctx, "origin")
		ok(nil, err)
		refs, err := far.Refs(ctx)
		ok(nil, err)
		main := refs[sync.Heads+"main"]
		was, _ := part.Track("origin/main")
		ok(nil, bring(ctx, there, far, []sync.Ref{main}, nil, func(b *pack.Batch) error {
			_, err := part.Land(ctx, b, repo.Landing{Tracks: []repo.LandedTrack{{Name: "origin/main", Old: was, Head: main.Commit}}})
			return err
		}))
	}
	patterns := func(rev string) (*repo.Ignore, error) {
		t.Helper()
		at, err := part.Resolve(ctx, rev, "main")
		ok(nil, err)
		snap, err := part.SnapshotAt(ctx, at)
		ok(nil, err)
		return repo.IgnoreOf(ctx, snap.Root)
	}
	_, err = patterns("origin/main")
	if !chunk.IsAbsent(err) || !strings.Contains(err.Error(), "the table dolt_ignore is not here") || !strings.Contains(err.Error(), "bring the system tables with 'stemma fetch'") {
		t.Fatalf("before the fetch: %v", err)
	}

	ok((&Fetch{Remote: "origin"}).Run(ctx, there))
	for rev, want := range map[string][2]bool{"origin/main": {true, true}, "origin/main~1": {true, false}} {
		g, err := patterns(rev)
		ok(nil, err)
		for i, name := range []string{"ab", "ba"} {
			if got, err := g.Ignores(name); err != nil || got != want[i] {
				t.Errorf("%s: %s is ignored: %t, %v", rev, name, got, err)
			}
		}
	}
	if p := part.Partial(); !p.HasTable(repo.SchemasTable) || strings.Contains(p.Why(), "dolt_") || !strings.Contains(p.Why(), "with the tables t only") {
		t.Errorf("after the fetch: %s", p.Why())
	}
	f := fsck.New(part.Store(), func(p fsck.Problem) { t.Errorf("%s", p) }, nil)
	f.OnlyPart(part.Partial())
	starts, err := part.Starts(ctx)
	ok(nil, err)
	for _, x := range starts {
		ok(nil, f.Check(ctx, x))
	}
}
