package op

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/johannesboyne/gofakes3/backend/s3mem"

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
