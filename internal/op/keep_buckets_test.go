package op

import (
	"context"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/object/buckettest"
	"github.com/stemmadb/stemma/internal/object/objecttest"
	"github.com/stemmadb/stemma/internal/remote"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/vfs"
)

// keptTests are the tests of machines on one database that hold wherever that is.
var keptTests = []struct {
	name string
	test func(t *testing.T)
}{
	{"together", TestKeptTogether}, {"verbs", TestKeptVerbs}, {"init", TestKeptInit}, {"undecided", TestKeptUndecided}, {"rewritten", TestKeptRewritten},
	{"rewritten meanwhile", TestKeptRewrittenMeanwhile}, {"denied", TestKeptDenied}, {"conflicts", TestKeptConflicts}, {"picks", TestKeptPicks},
	{"races of merges", TestKeptMergeRaces}, {"push over a merge", TestKeptPushOverMerge}, {"abort", TestKeptAbortOther}, {"rebase", TestKeptRebase},
	{"rebase overtaken", TestKeptRebaseOvertaken}, {"rebase begun anew", TestKeptRebaseBegunAnew}, {"two go on", TestKeptRebaseTwoGoOn},
	{"rebase ended elsewhere", TestKeptRebaseEndedElsewhere}, {"retention", TestKeptRetention}, {"stashes", TestKeptStashes}, {"races of stashes", TestKeptStashRaces},
	{"runs", TestKeptRuns}, {"runs overtaken", TestKeptRunsOvertaken}, {"writes", TestKeptWrites}, {"anew", TestKeptAnew}, {"anew, untidy", TestKeptAnewUntidy},
	{"filter", TestKeptFilter}, {"filter meanwhile", TestKeptFilterMeanwhile}, {"garbage of what is undecided", TestGCRemoteUndecided},
}

// TestKeptInBuckets: what machines do with a database they do in buckets of every kind, behind a network that cuts connections, so that answers are lost
// of what was done and of what was not.
func TestKeptInBuckets(t *testing.T) {
	for _, kind := range buckettest.Kinds {
		t.Run(kind.Scheme, func(t *testing.T) {
			srv, env := kind.New(t, "data")
			network, at := objecttest.NewNetwork(t, srv.URL, 0)
			objecttest.Named(t, srv, buckettest.Behind(srv, env, at))
			network.Cut.Store(200 << 10)
			keptAt = keptPlace{url: kind.Scheme + "://data", seen: map[vfs.FS]string{}, open: func(ctx context.Context, path string) (object.Store, error) {
				return kind.Open(ctx, "data", path)
			}}
			defer func() { keptAt = keptPlace{} }()
			for _, x := range keptTests {
				t.Run(x.name, x.test)
			}
			if network.Cuts.Load() < 5 {
				t.Errorf("%d connections were cut: the test does not test", network.Cuts.Load())
			}
		})
	}
}

// TestKeptVerbs: branches, tags, resets, picks, reverts, what retention would do, and collections of garbage are of the database, whichever machine does them.
func TestKeptVerbs(t *testing.T) {
	ctx, fs := t.Context(), vfs.NewMem()
	keptWorld(t, fs)
	a, b := keptMachine(t, fs, "a", 0, nil), keptMachine(t, fs, "b", 0, nil)
	was := mustHead(t, a, "side")
	// do has a run a verb, and b see it.
	do := func(branch string, x Op) {
		t.Helper()
		keptOK(t, runKept(ctx, a, fs, branch, x))
		keptOK(t, b.RefreshKept(ctx))
		a, b = b, a
	}
	is := func(branch, messagesWant string, rowsWant uint64) {
		t.Helper()
		for _, r := range []*repo.Repo{a, b} {
			if got, rows := messages(t, r, branch); got != messagesWant || rows != rowsWant {
				t.Errorf("%s has the commits %q and %d rows, want %q and %d", branch, got, rows, messagesWant, rowsWant)
			}
		}
	}
	do("side", &Branch{Args: []string{"copy"}})
	do("side", &Branch{Copy: true, Args: []string{"copy", "other"}})
	do("side", &Branch{Move: true, Args: []string{"copy", "work"}})
	do("side", &Branch{DeleteF: true, Args: []string{"other"}})
	for _, r := range []*repo.Repo{a, b} {
		var names []string
		for _, x := range r.Branches() {
			names = append(names, x.Name)
		}
		if got := strings.Join(names, " "); got != "main side work" {
			t.Errorf("the branches are %q", got)
		}
	}
	do("work", &Tag{Message: "first", Args: []string{"v1", "work~1"}})
	do("work", &Tag{Args: []string{"v2"}})
	do("work", &Tag{Force: true, Args: []string{"v2", "main"}})
	do("work", &Tag{Args: []string{"v3"}})
	do("work", &Tag{Delete: true, Args: []string{"v3"}})
	for _, r := range []*repo.Repo{a, b} {
		v2, ok, err := r.TagNamed(ctx, "v2")
		keptOK(t, err)
		tags, err := r.Tags(ctx)
		keptOK(t, err)
		if main, _ := r.BranchHead("main"); !ok || v2.Commit != main || len(tags) != 2 {
			t.Errorf("there are %d tags, and v2 is %v", len(tags), v2)
		}
	}
	// The changes of a commit that is taken back are those of the working set, or staged, or gone.
	is("work", wholeSide, 3)
	do("work", &Reset{Soft: true, Args: []string{"HEAD~2"}})
	is("work", "b a table", 3)
	do("work", &Commit{Message: "again"})
	is("work", "again b a table", 3)
	do("work", &Reset{Args: []string{"HEAD~1"}})
	is("work", "b a table", 3)
	do("work", &Reset{Hard: true})
	is("work", "b a table", 2)
	do("work", &Reset{Hard: true, Args: []string{"side"}})
	is("work", wholeSide, 3)
	if mustHead(t, a, "work") != was {
		t.Error("the branch is not reset to the other one")
	}
	do("work", &Revert{Args: []string{"HEAD~1"}})
	is("work", `Revert "c" `+wholeSide, 2)
	do("work", &Reset{Hard: true, Args: []string{"HEAD~2"}})
	do("work", &CherryPick{Args: []string{"main~1"}})
	is("work", "m c b a table", 4)
	do("work", &Merge{NoFF: true, Message: "both", Args: []string{"main"}})
	if got, rows := messages(t, b, "work"); rows != 4 || !strings.HasPrefix(got, "both ") {
		t.Errorf("the merge has the commits %q and %d rows", got, rows)
	}
	// Who only asks what retention would do changes nothing.
	do("side", &Retention{Args: []string{"set", "side", "tags forever"}})
	res, err := (&Retention{Args: []string{"dry-run"}}).Run(ctx, &Scope{Repo: a, FS: fs, Dir: "/", Branch: "side", Clock: tick{}})
	keptOK(t, err)
	if got := strings.Join(res.Lines, "; "); !strings.Contains(got, "side") {
		t.Errorf("a dry run says %q", got)
	}
	keptOK(t, b.RefreshKept(ctx))
	is("side", wholeSide, 3)
	// The garbage of the bucket is collected, and what needs the database as a whole is refused.
	before := len(keptNames(t, fs, ""))
	scope := &Scope{FS: fs, Dir: "/", Clock: tick{}}
	for range 2 {
		_, err := (&GC{Remote: keptURL(fs), Grace: "0s"}).Run(ctx, scope)
		keptOK(t, err)
	}
	if after := len(keptNames(t, fs, "")); after >= before {
		t.Errorf("a collection leaves %d objects of %d", after, before)
	}
	if err := runKept(ctx, a, fs, "work", &GC{}); !errs.Is(err, errs.Unsupported) {
		t.Errorf("the garbage of a copy: %v", err)
	}
	is("side", wholeSide, 3)
	c := keptMachine(t, fs, "c", 0, nil)
	if got, rows := messages(t, c, "work"); rows != 4 || !strings.HasPrefix(got, "both ") {
		t.Errorf("after a collection a new machine sees the commits %q and %d rows", got, rows)
	}
}

// TestKeptInit: a database is made where there is none, and worked on; a second one is refused.
func TestKeptInit(t *testing.T) {
	remote.Register()
	ctx, fs := t.Context(), vfs.NewMem()
	scope := &Scope{FS: fs, Dir: "/", Clock: tick{}, Author: Author{keptBy.Name, keptBy.Email}}
	_, err := (&Init{Branch: "trunk", Dir: keptURL(fs)}).Run(ctx, scope)
	keptOK(t, err)
	if _, err = (&Init{Branch: "main", Dir: keptURL(fs)}).Run(ctx, scope); !errs.Is(err, errs.Exists) {
		t.Fatalf("a second database at one place: %v", err)
	}
	a, b := keptMachine(t, fs, "a", 0, nil), keptMachine(t, fs, "b", 0, nil)
	keptOK(t, runKept(ctx, a, fs, "trunk", &Commit{Message: "one", AllowEmpty: true}))
	keptOK(t, runKept(ctx, b, fs, "trunk", &Commit{Message: "two", AllowEmpty: true})) // of which a has not heard
	keptOK(t, a.RefreshKept(ctx))
	if x, y := mustHead(t, a, "trunk"), mustHead(t, b, "trunk"); x != y {
		t.Errorf("trunk is %s and %s", x, y)
	}
}

// TestKeptUndecided: a machine dies when it has announced that it renames a branch, and has not decided it: the others go on, on either of the two and on both, and it
// never is renamed.
func TestKeptUndecided(t *testing.T) {
	for name, next := range map[string]func(ctx context.Context, r *repo.Repo, fs vfs.FS) error{
		"changes it": func(ctx context.Context, r *repo.Repo, fs vfs.FS) error { return countUp(ctx, r, "side", 1, false) },
		"renames it": func(ctx context.Context, r *repo.Repo, fs vfs.FS) error {
			return r.RenameBranch(ctx, "side", "mine", false)
		},
		"makes it": func(ctx context.Context, r *repo.Repo, fs vfs.FS) error {
			return r.CreateBranch(ctx, "lost", mustHead(t, r, "main"), false)
		},
		"rebases it": rebaseKept,
		"collects": func(ctx context.Context, r *repo.Repo, fs vfs.FS) error {
			keptGarbage(t, fs)
			return countUp(ctx, r, "side", 1, false)
		},
		"removes it": func(ctx context.Context, r *repo.Repo, fs vfs.FS) error { return r.DeleteBranch(ctx, "side", "", true) },
		"thins it": func(ctx context.Context, r *repo.Repo, fs vfs.FS) error {
			if err := retainKept(ctx, r, fs, "set", "*", "tags forever"); err != nil {
				return err
			}
			return retainKept(ctx, r, fs, "apply")
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, fs := t.Context(), vfs.NewMem()
			keptWorld(t, fs)
			dies := keptMachine(t, fs, "a", 0, func(s object.Store) object.Store { return undecided{s} })
			was := mustHead(t, dies, "side")
			b := keptMachine(t, fs, "b", 0, nil)
			if err := dies.RenameBranch(ctx, "side", "lost", false); err == nil {
				t.Fatal("it was decided: the test does not test")
			}
			c := keptMachine(t, fs, "c", 0, nil) // which comes when the change is announced
			for _, r := range []*repo.Repo{b, c} {
				keptOK(t, r.RefreshKept(ctx))
				if _, there := r.BranchHead("lost"); there || mustHead(t, r, "side") != was {
					t.Fatal("what is not decided is seen")
				}
			}
			keptOK(t, next(ctx, b, fs))
			keptGarbage(t, fs)
			for _, r := range []*repo.Repo{c, dies, keptMachine(t, fs, "d", 0, nil)} {
				keptOK(t, r.RefreshKept(ctx))
				if got, want := r.Branches(), b.Branches(); len(got) != len(want) {
					t.Errorf("a machine sees %d branches, another %d", len(got), len(want))
				} else {
					for i := range got {
						if got[i].Name != want[i].Name || got[i].Head != want[i].Head {
							t.Errorf("a machine sees %s at %s, another %s at %s", got[i].Name, got[i].Head, want[i].Name, want[i].Head)
						}
					}
				}
			}
			keptOK(t, countUp(ctx, c, "main", 2, false))
		})
	}
}
