package remote

import (
	"context"

	"github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/vfs"
)

// Register lets databases that are a part of another open the remote that has the rest by its URL. A program calls it when it begins.
func Register() {
	sync.Register(func(ctx context.Context, fs vfs.FS, url string) (*sync.Remote, error) {
		return Open(ctx, url, Options{FS: fs})
	})
}
