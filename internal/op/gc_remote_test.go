package op

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/object/objecttest"
	"github.com/stemmadb/stemma/internal/object/s3/s3test"
	"github.com/stemmadb/stemma/internal/remote"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/vfs"
)

// TestGCRemoteDeaf: on a server that minds no condition of a delete what is left of a removed branch stays, which gc says, also of a dry run.
func TestGCRemoteDeaf(t *testing.T) {
	remote.Register()
	ctx, fs := t.Context(), vfs.NewMem()
	s3test.Start(t, "data") // for its environment
	backend := s3mem.New()
	keptOK(t, backend.CreateBucket("data"))
	srv := objecttest.Start(s3test.Plain(backend))
	t.Cleanup(srv.Close)
	t.Setenv("AWS_ENDPOINT_URL", srv.URL)

	keptWorld(t, fs)
	scope := &Scope{FS: fs, Dir: "/", Clock: tick{}, Settings: Settings{Local: filepath.Join(t.TempDir(), "config")}}
	_, err := (&Backup{Path: "restore", Args: []string{"/rem", "copy"}}).Run(ctx, scope)
	keptOK(t, err)
	copied, err := repo.Open(ctx, fs, "/copy", repo.Options{})
	keptOK(t, err)
	defer copied.Close(ctx)
	in := &Scope{Repo: copied, FS: fs, Dir: "/copy", Clock: tick{}, Settings: scope.Settings}
	const url = "s3://data/shop"
	_, err = (&Push{All: true, Remote: url}).Run(ctx, in)
	keptOK(t, err)
	_, err = (&Push{Delete: true, Remote: url, Refs: []string{"side"}, NoLease: true}).Run(ctx, in)
	keptOK(t, err)
	for _, c := range []*GC{{DryRun: true}, {}, {}, {DryRun: true}, {}} {
		c.Remote, c.Grace = url, "0s"
		res, err := c.Run(ctx, scope)
		keptOK(t, err)
		if text := strings.Join(res.Lines, "\n"); !strings.Contains(text, "What is left of 1 removed ref stays") {
			t.Errorf("a dry run (%v) says\n%s", c.DryRun, text)
		}
	}
}

// undecided is a store in which no change of several refs is decided.
type undecided struct{ object.Store }

// Put implements object.Store.
func (u undecided) Put(ctx context.Context, name string, body object.Body, on object.Condition) error {
	if strings.HasPrefix(name, "changes/") {
		return errs.New(errs.Denied, "cut off")
	}
	return u.Store.Put(ctx, name, body, on)
}

// TestGCRemoteUndecided: a machine died when it had announced the end of a rebase, so the rebase is in progress still. gc tells of the change, and gives it up a
// grace period later; others go on with the rebase before and after.
func TestGCRemoteUndecided(t *testing.T) {
	for _, collected := range []bool{false, true} {
		ctx, fs := t.Context(), vfs.NewMem()
		keptWorld(t, fs)
		a := keptMachine(t, fs, "a", 0, func(s object.Store) object.Store { return undecided{s} })
		_, err := a.StartRebase(ctx, "side", mustHead(t, a, "main"), false)
		if err == nil {
			_, err = a.EndRebase(ctx, "dolt_rebase_side", nil, true)
		}
		if !errs.Is(err, errs.Denied) {
			t.Fatalf("the machine was to be cut off when it ended the rebase: %v", err)
		}
		scope := &Scope{FS: fs, Dir: "/", Settings: Settings{Local: filepath.Join(t.TempDir(), "config")}}
		gc := func(after time.Duration, dry bool) string {
			t.Helper()
			scope.Clock = later(after)
			res, err := (&GC{Remote: keptURL(fs), DryRun: dry}).Run(ctx, scope)
			keptOK(t, err)
			return strings.Join(res.Lines, "\n")
		}
		if text := gc(0, false); !strings.Contains(text, "1 change of several branches at once was begun and not ended") {
			t.Errorf("gc says\n%s", text)
		}
		if collected {
			if text := gc(25*time.Hour, true); !strings.Contains(text, "would be given up") {
				t.Errorf("a dry run a day later says\n%s", text)
			}
			if text := gc(25*time.Hour, false); !strings.Contains(text, ", given up: the branches are as they were before") {
				t.Errorf("gc a day later says\n%s", text)
			}
			if text := gc(26*time.Hour, false); strings.Contains(text, "at once") {
				t.Errorf("gc two days later says\n%s", text)
			}
		}
		b := keptMachine(t, fs, "b", 0, nil)
		if head := mustHead(t, b, "side"); head == mustHead(t, b, "main") {
			t.Fatal("the rebase has ended")
		}
		_, err = b.EndRebase(ctx, "dolt_rebase_side", nil, true)
		keptOK(t, err)
		if text := gc(27*time.Hour, false); strings.Contains(text, "at once") {
			t.Errorf("after the rebase gc says\n%s", text)
		}
	}
}

// later is a clock that is ahead.
type later time.Duration

// Now implements clock.Clock.
func (l later) Now() time.Time { return time.Now().Add(time.Duration(l)) }
