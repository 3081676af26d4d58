//go:build !linux

package vfs

import "os"

// syncFile is os.File.Sync, which is F_FULLFSYNC on macOS and FlushFileBuffers on Windows.
func syncFile(f *os.File) error { return f.Sync() }

// startSync does nothing.
func startSync(*os.File, int64, int64) (bool, error) { return false, nil }
