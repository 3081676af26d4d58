package op

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/fsck"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/tree"
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

// TestFetchOutlines: outlines that a part lacks of what it names, as of commits that an older program has fetched, come with the next fetch, those of all its
// commits, whether something is new at the remote or not, and also where what is new has other ones.
func TestFetchOutlines(t *testing.T) {
	ctx, fs := t.Context(), vfs.NewMem()
	keptWorld(t, fs)
	r, err := repo.Open(ctx, fs, "/db", repo.Options{})
	keptOK(t, err)
	defer r.Close(ctx)
	source := &Scope{Repo: r, FS: fs, Dir: "/db", Settings: Settings{Local: filepath.Join(t.TempDir(), "config")}}
	settings := filepath.Join(t.TempDir(), "config")
	_, err = (&Clone{Name: "origin", Tables: "t", Branch: "main", URL: keptURL(fs), Dir: "/part"}).Run(ctx, &Scope{FS: fs, Dir: "/", Clock: clock.System{}, Settings: Settings{Local: settings}})
	keptOK(t, err)
	part, err := repo.Open(ctx, fs, "/part", repo.Options{})
	keptOK(t, err)
	defer part.Close(ctx)
	there := &Scope{Repo: part, FS: fs, Dir: "/part", Branch: "main", Clock: tick{}, Settings: Settings{Local: settings}}
	_, err = (&Remote{Args: []string{"add", "origin", keptURL(fs)}}).Run(ctx, there)
	keptOK(t, err)
	change := func() {
		t.Helper()
		keptOK(t, countUp(ctx, r, "main", 1, true))
		_, err := r.Commit(ctx, repo.CommitOptions{Branch: "main", Message: "more", Author: keptBy, AddNew: true})
		keptOK(t, err)
		_, err = (&Push{Remote: keptURL(fs), Refs: []string{"main"}}).Run(ctx, source)
		keptOK(t, err)
	}
	older := func() { // fetches as a program does that knows nothing of outlines: of what is new it takes the roots, and commits
		t.Helper()
		far, _, err := there.openRemote(ctx, "origin")
		keptOK(t, err)
		refs, err := far.Refs(ctx)
		keptOK(t, err)
		main := refs[sync.Heads+"main"]
		src := &sync.Source{Remote: far}
		keptOK(t, src.Add(ctx, main.Target))
		b := part.Store().NewBatch()
		take := func(h hash.Hash) error {
			rec, err := src.Record(ctx, h)
			if err != nil {
				return err
			}
			return b.PutRecord(ctx, rec, nil)
		}
		keptOK(t, take(main.Commit))
		c, err := history.GetCommit(ctx, b, main.Commit)
		keptOK(t, err)
		keptOK(t, tree.Missing(ctx, r.Store(), root.Format(), c.Root, nil, take))
		was, _ := part.Track("origin/main")
		_, err = part.Land(ctx, b, repo.Landing{Tracks: []repo.LandedTrack{{Name: "origin/main", Old: was, Head: main.Commit}}})
		keptOK(t, err)
		keptOK(t, b.Close())
	}
	outlines := func() (lacking []string) {
		t.Helper()
		for _, rev := range []string{"origin/main", "origin/main~1", "origin/main~2", "origin/main~3"} {
			at, err := part.Resolve(ctx, rev, "main")
			keptOK(t, err)
			c, err := history.GetCommit(ctx, part.Store(), at)
			keptOK(t, err)
			e, ok, err := root.Open(part.Store(), c.Root).Get(ctx, root.KindTable, "c")
			keptOK(t, err)
			if !ok {
				continue
			}
			if has, err := part.Store().Has(ctx, e.Table); err != nil || !has {
				lacking = append(lacking, rev)
			}
		}
		return lacking
	}
	for _, more := range []bool{false, true} {
		change()
		older()
		change()
		older()
		if got := outlines(); len(got) != 2 {
			t.Fatalf("outlines are lacking at %q before the fetch, want two", got)
		}
		if more {
			change() // c changes again: the head's outline comes with it
		}
		res, err := (&Fetch{Remote: "origin"}).Run(ctx, there)
		keptOK(t, err)
		if got := outlines(); len(got) > 0 || len(res.Hints) > 0 {
			t.Errorf("with news %v: after the fetch outlines are lacking at %q: %q", more, got, res.Hints)
		}
		if p := part.Partial(); !p.HasTable("t") || p.HasTable("c") {
			t.Errorf("it has the tables %q", p.Tables)
		}
	}
}
