package main

import (
	"context"

	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/vfs"
)

// unsynced is the file system without waiting for the disk: what is written through it is as durable as the machine.
type unsynced struct{ vfs.OS }

// unsyncedFile is a file of unsynced.
type unsyncedFile struct{ vfs.File }

// Sync implements vfs.File and does nothing.
func (unsyncedFile) Sync() error { return nil }

// SyncDir implements vfs.FS and does nothing.
func (unsynced) SyncDir(string) error { return nil }

// Open implements vfs.FS.
func (u unsynced) Open(name string) (vfs.File, error) { return withoutSync(u.OS.Open(name)) }

// Create implements vfs.FS.
func (u unsynced) Create(name string) (vfs.File, error) { return withoutSync(u.OS.Create(name)) }

// OpenRW implements vfs.FS.
func (u unsynced) OpenRW(name string) (vfs.File, error) { return withoutSync(u.OS.OpenRW(name)) }

func withoutSync(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return unsyncedFile{f}, nil
}

// fillRepo opens a database of stemma's in this process to make what is measured later: many small commits, which do not wait for the disk.
func fillRepo(ctx context.Context, dir string) (*repo.Repo, error) {
	return repo.Open(ctx, unsynced{}, dir, repo.Options{})
}
