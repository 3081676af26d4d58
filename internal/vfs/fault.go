package vfs

import (
	"errors"
	"io"
	"sync/atomic"
)

// OpKind is a kind of operation that changes a file system.
type OpKind string

// The operations that a hook sees.
const (
	OpCreate      OpKind = "create"
	OpRename      OpKind = "rename"
	OpLink        OpKind = "link"
	OpRemove      OpKind = "remove"
	OpMkdir       OpKind = "mkdir"
	OpSyncDir     OpKind = "syncdir"
	OpWrite       OpKind = "write"
	OpSync        OpKind = "sync"
	OpTruncate    OpKind = "truncate"
	OpPreallocate OpKind = "preallocate"
	OpRead        OpKind = "read"
)

// Op is one operation about to happen.
type Op struct {
	Kind   OpKind
	Name   string // of the file or directory; for a rename or a link the old name
	Offset int64  // of a write, a read or a preallocation; of a truncation the new length
	Len    int    // of a write or a read, in bytes
}

// Hook is called before an operation. A nil answer lets it happen; an error makes it fail with that error, undone, except that a
// *ShortWrite writes a part first.
type Hook func(Op) error

// ShortWrite is a hook's answer that lets the first N bytes of a write happen before it fails with Err.
type ShortWrite struct {
	N   int
	Err error
}

func (s *ShortWrite) Error() string { return s.Err.Error() }

// Unwrap is the error with which the write fails.
func (s *ShortWrite) Unwrap() error { return s.Err }

// WithHook is fsys with hook called before each operation that changes it and before each read of a file. The hook may be called
// by many goroutines.
func WithHook(fsys FS, hook Hook) FS { return &hookFS{FS: fsys, hook: hook} }

// FailAt is a hook that makes the nth operation (from 1) of the given kinds fail with err, and lets all others pass. No kinds
// means all but reads.
func FailAt(n int64, err error, kinds ...OpKind) Hook {
	var count atomic.Int64
	return func(op Op) error {
		if !matches(op.Kind, kinds) || count.Add(1) != n {
			return nil
		}
		return classify(err)
	}
}

func matches(k OpKind, kinds []OpKind) bool {
	if len(kinds) == 0 {
		return k != OpRead
	}
	for _, x := range kinds {
		if x == k {
			return true
		}
	}
	return false
}

type hookFS struct {
	FS
	hook Hook
}

func (h *hookFS) wrap(f File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	return &hookFile{File: f, hook: h.hook}, nil
}

func (h *hookFS) Open(name string) (File, error) { return h.wrap(h.FS.Open(name)) }

func (h *hookFS) OpenRW(name string) (File, error) { return h.wrap(h.FS.OpenRW(name)) }

func (h *hookFS) Create(name string) (File, error) {
	if err := h.hook(Op{Kind: OpCreate, Name: name}); err != nil {
		return nil, err
	}
	return h.wrap(h.FS.Create(name))
}

func (h *hookFS) Rename(oldname, newname string) error {
	if err := h.hook(Op{Kind: OpRename, Name: oldname}); err != nil {
		return err
	}
	return h.FS.Rename(oldname, newname)
}

func (h *hookFS) Link(oldname, newname string) error {
	if err := h.hook(Op{Kind: OpLink, Name: oldname}); err != nil {
		return err
	}
	return h.FS.Link(oldname, newname)
}

func (h *hookFS) Remove(name string) error {
	if err := h.hook(Op{Kind: OpRemove, Name: name}); err != nil {
		return err
	}
	return h.FS.Remove(name)
}

func (h *hookFS) MkdirAll(name string) error {
	if err := h.hook(Op{Kind: OpMkdir, Name: name}); err != nil {
		return err
	}
	return h.FS.MkdirAll(name)
}

func (h *hookFS) SyncDir(name string) error {
	if err := h.hook(Op{Kind: OpSyncDir, Name: name}); err != nil {
		return err
	}
	return h.FS.SyncDir(name)
}

func (h *hookFS) Lock(name string) (io.Closer, error) { return h.FS.Lock(name) }

type hookFile struct {
	File
	hook Hook
}

func (h *hookFile) ReadAt(p []byte, off int64) (int, error) {
	if err := h.hook(Op{Kind: OpRead, Name: h.Name(), Offset: off, Len: len(p)}); err != nil {
		return 0, err
	}
	return h.File.ReadAt(p, off)
}

func (h *hookFile) WriteAt(p []byte, off int64) (int, error) {
	err := h.hook(Op{Kind: OpWrite, Name: h.Name(), Offset: off, Len: len(p)})
	var short *ShortWrite
	if errors.As(err, &short) {
		n, werr := h.File.WriteAt(p[:min(short.N, len(p))], off)
		if werr != nil {
			return n, werr
		}
		return n, classify(short.Err)
	}
	if err != nil {
		return 0, err
	}
	return h.File.WriteAt(p, off)
}

func (h *hookFile) Sync() error {
	if err := h.hook(Op{Kind: OpSync, Name: h.Name()}); err != nil {
		return err
	}
	return h.File.Sync()
}

func (h *hookFile) Truncate(size int64) error {
	if err := h.hook(Op{Kind: OpTruncate, Name: h.Name(), Offset: size}); err != nil {
		return err
	}
	return h.File.Truncate(size)
}

func (h *hookFile) Preallocate(off, n int64) error {
	if err := h.hook(Op{Kind: OpPreallocate, Name: h.Name(), Offset: off, Len: int(n)}); err != nil {
		return err
	}
	return h.File.Preallocate(off, n)
}
