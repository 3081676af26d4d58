package op

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/fsck"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/remote"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/vfs"
)

// traveller is a database that records runs and pushes.
type traveller struct {
	name  string
	scope *Scope
	told  map[string]bool // inputs and outputs that were recorded here
}

func (m *traveller) run(t *rapid.T, v interface {
	Run(context.Context, *Scope) (*Result, error)
}) {
	t.Helper()
	if _, err := v.Run(context.Background(), m.scope); err != nil {
		t.Fatalf("%s: %T: %v", m.name, v, err)
	}
}

// rows are the inputs and outputs of all runs without their numbers, sorted, and the runs.
func (m *traveller) rows(t *rapid.T) (rows []string, runs map[string]lineage.Run) {
	t.Helper()
	runs = map[string]lineage.Run{}
	err := m.scope.Repo.Lineage().Each(context.Background(), func(r lineage.Run, in []lineage.Input, out []lineage.Output) error {
		runs[r.UID] = r
		for _, x := range in {
			rows = append(rows, fmt.Sprintf("in %s %s", x.Run, x.Table))
		}
		for _, x := range out {
			rows = append(rows, fmt.Sprintf("out %s %s %s", x.Run, x.Table, x.Commit))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(rows)
	return rows, runs
}

func remoteLineage(t *rapid.T, fs vfs.FS) history.CommitID {
	t.Helper()
	r, err := remote.Open(context.Background(), "/rem", remote.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	refs, err := r.Refs(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return refs[sync.Lineage].Commit
}

// TestLineageTravels lets databases record runs, some of them the same, push and fetch in any order: nothing that was recorded is lost, none is
// there twice, all agree in the end, and then there is nothing more to push.
func TestLineageTravels(t *testing.T) {
	temp, made := t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 9))
		fs := vfs.NewMem()
		by := history.Signature{Name: "Ada", Email: "ada@example.org"}
		var ms []*traveller
		add := func(dir string) *traveller {
			r, err := repo.Open(ctx, fs, dir, repo.Options{})
			if err != nil {
				t.Fatal(err)
			}
			made++
			m := &traveller{name: dir, told: map[string]bool{}, scope: &Scope{
				Repo: r, FS: fs, Dir: dir, Settings: Settings{Local: filepath.Join(temp, fmt.Sprint(made))}, Clock: clock.System{},
			}}
			m.run(t, &Remote{Args: []string{"add", "origin", "/rem"}})
			ms = append(ms, m)
			return m
		}
		if err := repo.Init(ctx, fs, "/a", repo.InitOptions{Author: by, Committer: by}); err != nil {
			t.Fatal(err)
		}
		first := add("/a")
		defer func() {
			for _, m := range ms {
				m.scope.Repo.Close(ctx)
			}
		}()
		recorded := 0 // rows of one run are told apart by it: a run that has written the same twice has two rows
		record := func(m *traveller) {
			uid, _ := lineage.Named(fmt.Sprint("run ", rng.IntN(3)))
			r := m.scope.Repo
			switch rng.IntN(4) {
			case 0:
				if _, err := r.StartRun(ctx, lineage.Run{UID: uid, System: "cli"}); err != nil {
					t.Fatal(err)
				}
			case 1:
				recorded++
				in := lineage.Input{Table: fmt.Sprintf("t%d%s", recorded, strings.Repeat("x", rng.IntN(50)))}
				out := lineage.Output{Table: "o", Commit: fmt.Sprint(recorded)}
				m.told[fmt.Sprintf("in %s %s", uid, in.Table)], m.told[fmt.Sprintf("out %s %s %s", uid, out.Table, out.Commit)] = true, true
				if err := r.RecordRun(ctx, uid, []lineage.Input{in}, []lineage.Output{out}); err != nil {
					t.Fatal(err)
				}
			case 2:
				if _, ok, _ := r.Lineage().Run(ctx, uid); ok {
					if _, err := r.EndRun(ctx, uid, func(x *lineage.Run) { x.State = lineage.Complete }); err != nil {
						t.Fatal(err)
					}
				}
			case 3:
				_, err := r.Commit(lineage.With(ctx, lineage.Current{Run: uid}), repo.CommitOptions{Branch: r.CheckedOut(), Message: "m", Author: by, AllowEmpty: true})
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		push := func(m *traveller) {
			branch := strings.TrimPrefix(m.name, "/")
			m.run(t, &Push{Remote: "origin", Refs: []string{"HEAD:" + branch}, Force: true, NoLease: true, Atomic: rng.IntN(2) == 0})
		}
		record(first)
		push(first)
		for _, dir := range []string{"/b", "/c"} {
			if rng.IntN(2) == 0 {
				if _, err := (&Clone{Name: "origin", URL: "/rem", Dir: dir}).Run(ctx, &Scope{FS: fs, Dir: "/", Clock: clock.System{}, Settings: Settings{}}); err != nil {
					t.Fatal(err)
				}
			} else if err := repo.Init(ctx, fs, dir, repo.InitOptions{Author: by, Committer: by}); err != nil {
				t.Fatal(err)
			}
			add(dir)
		}
		for range 25 {
			m := ms[rng.IntN(len(ms))]
			switch rng.IntN(5) {
			case 0:
				push(m)
			case 1:
				m.run(t, &Fetch{Remote: "origin"})
			default:
				record(m)
			}
		}
		for _, m := range ms {
			push(m)
		}
		want := map[string]bool{}
		for _, m := range ms {
			m.run(t, &Fetch{Remote: "origin"})
			for x := range m.told {
				want[x] = true
			}
		}
		_, runs := ms[0].rows(t)
		for _, m := range ms {
			rows, r := m.rows(t)
			if len(rows) != len(want) {
				t.Errorf("%s has %d rows of runs, %d were recorded", m.name, len(rows), len(want))
			}
			for _, x := range rows {
				if !want[x] {
					t.Errorf("%s has %q, which nobody recorded", m.name, x)
				}
			}
			for uid, x := range runs {
				if r[uid] != x {
					t.Errorf("%s has run %+v, %s has %+v", m.name, r[uid], ms[0].name, x)
				}
			}
			c := fsck.New(m.scope.Repo.Store(), func(p fsck.Problem) { t.Errorf("%s: %s", m.name, p) }, nil)
			starts, err := m.scope.Repo.Starts(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range starts {
				if err := c.Check(ctx, s); err != nil {
					t.Fatal(err)
				}
			}
		}
		before := remoteLineage(t, fs)
		for _, m := range ms {
			push(m)
			m.run(t, &Fetch{Remote: "origin"})
		}
		if after := remoteLineage(t, fs); after != before {
			t.Errorf("the remote's lineage went from %s to %s though nothing is new", before, after)
		}
	})
}
