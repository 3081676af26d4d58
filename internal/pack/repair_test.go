package pack

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/chunk/chunktest"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/vfs"
)

// TestExamine takes what the disk or a pack's bytes are the cause of for damage, and nothing else.
func TestExamine(t *testing.T) {
	mem := vfs.NewMem()
	s := newStore(t, mem, testDir)
	data := chunktest.Sample(chunk.KindPage, 700, 1)
	commit(t, s, [][]byte{data})
	if _, err := collect(t.Context(), s, "", RewriteOptions{}, data); err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	for _, c := range []struct {
		err     error
		damaged bool
	}{
		{errs.With(errs.Denied, syscall.EACCES), false}, {syscall.EMFILE, false}, {syscall.EIO, true}, {errs.New(errs.Corrupt, "short"), true}, {nil, false},
	} {
		fsys := vfs.WithHook(mem, func(op vfs.Op) error {
			if op.Kind == vfs.OpRead && strings.HasSuffix(op.Name, packExt) {
				return c.err
			}
			return nil
		})
		out, err := Examine(t.Context(), fsys, testDir)
		switch {
		case c.damaged || c.err == nil:
			if err != nil || (len(out) > 0) != c.damaged {
				t.Errorf("%v: %v, %v", c.err, out, err)
			}
		case !errors.Is(err, c.err):
			t.Errorf("%v: %v, %v", c.err, out, err)
		}
	}
}
