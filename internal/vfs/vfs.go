// Package vfs is the file system as a database sees it: files read and written at offsets, names made durable by syncing
// directories, one lock a directory. Everything above uses it instead of package os, so that tests can cut the power at any
// write (Mem.CrashClone) and fail any operation (WithHook).
//
// Durability, which every implementation keeps:
//
//	V1  File.Sync makes all earlier writes and truncations of that file durable, whichever handle made them.
//	V2  A name that was created, linked, renamed or removed is durable only after SyncDir of the directory that holds it.
//	V3  Rename replaces an existing file atomically: after a power cut the name means the old file or the new one.
//	    The rename of a directory moves all below it at once.
//	V4  Directories made by MkdirAll are durable when it returns.
//	V5  An open file stays readable after its name is removed or replaced (not on Windows, where Remove fails instead).
//	V6  After Close every call on the file fails with an error that is fs.ErrClosed; a ReadAt that runs meanwhile finishes.
//
// Errors carry a class of package errs (NotFound, Exists, Denied, ReadOnly, NoSpace, Locked) and keep the operating system's
// error in their chain.
package vfs

import (
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"syscall"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
)

// Info describes a name.
type Info struct {
	Size     int64 // in bytes; 0 for directories
	Dir      bool
	Modified time.Time // when the content was last written; zero for directories, and where nobody knows
}

// FS is a file system. Names are paths in the form of package filepath. All methods may be called by many goroutines.
type FS interface {
	// Open opens an existing file for reading.
	Open(name string) (File, error)
	// Create makes an empty file, or empties an existing one, and opens it for reading and writing.
	Create(name string) (File, error)
	// OpenRW opens an existing file for reading and writing.
	OpenRW(name string) (File, error)
	// Rename gives the file oldname the name newname, replacing what had it. A directory, none of whose files may be open, gets a
	// name that nothing has.
	Rename(oldname, newname string) error
	// Link gives the file oldname the name newname as well, which nothing has: one file with two names. Where the system or the file
	// system has no such thing, or this user may not do it, the error is of class Unsupported or Denied.
	Link(oldname, newname string) error
	// Remove removes a file or an empty directory.
	Remove(name string) error
	// MkdirAll makes a directory and its missing parents, durably.
	MkdirAll(name string) error
	// ReadDir is the sorted list of names (last elements) in a directory.
	ReadDir(name string) ([]string, error)
	// Stat describes a name.
	Stat(name string) (Info, error)
	// SyncDir makes the creations, links, renames and removals in a directory durable.
	SyncDir(name string) error
	// Lock takes the exclusive lock that the file name stands for, without waiting, and writes the process id into the file.
	// When another holder has it the error is of class Locked and names that holder. Closing the lock, or the end of the process,
	// frees it; the file stays.
	Lock(name string) (io.Closer, error)
	// DiskFree is the number of bytes that this user may still write below the directory name.
	DiskFree(name string) (int64, error)
}

// File is an open file. Reads and writes may overlap in time; their ranges are the caller's matter.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Name is the name by which the file was opened.
	Name() string
	// Size is the file's length in bytes.
	Size() (int64, error)
	// Sync makes the file's bytes and length durable (fdatasync on Linux, F_FULLFSYNC on macOS). After an error nothing is known
	// about earlier writes, whatever a later Sync says.
	Sync() error
	// Truncate sets the file's length in bytes; what is added reads as zero.
	Truncate(size int64) error
	// Preallocate writes n zero bytes at off, so that later writes there change no metadata and their Sync is one disk write.
	// It is an error of class NoSpace when the disk is full; the file may then be longer than before.
	Preallocate(off, n int64) error
}

// StartSync lets the device begin to write n bytes of a file at off that were just written, and does not wait for it: a Sync that comes later
// has less to do. It makes nothing durable by itself. ok is false where the system has no such thing; nothing has happened then. After an
// error the file is as after one of Sync.
func StartSync(f File, off, n int64) (ok bool, err error) {
	if s, can := f.(interface {
		startSync(off, n int64) (bool, error)
	}); can {
		return s.startSync(off, n)
	}
	return false, nil
}

// ReadFile is the whole content of a file.
func ReadFile(fsys FS, name string) (data []byte, err error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	data = make([]byte, size)
	n, err := f.ReadAt(data, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return data[:n], nil
}

// WriteFile makes name hold data, durably and atomically: after a power cut it holds the old content or the new one.
// It writes name + ".tmp" first.
func WriteFile(fsys FS, name string, data []byte) error {
	tmp := name + ".tmp"
	if err := writeSynced(fsys, tmp, data); err != nil {
		return errors.Join(err, removeIfThere(fsys, tmp))
	}
	if err := fsys.Rename(tmp, name); err != nil {
		return errors.Join(err, removeIfThere(fsys, tmp))
	}
	return fsys.SyncDir(filepath.Dir(name))
}

func writeSynced(fsys FS, name string, data []byte) error {
	f, err := fsys.Create(name)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(data, 0); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Sync(); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}

// removeIfThere removes a file; its absence is no error.
func removeIfThere(fsys FS, name string) error {
	if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// zeros is the size in bytes of the blocks in which Preallocate writes.
const zeros = 256 << 10

// writeZeros writes n zero bytes at off.
func writeZeros(f io.WriterAt, off, n int64) error {
	buf := make([]byte, min(n, zeros))
	for n > 0 {
		k := min(n, int64(len(buf)))
		if _, err := f.WriteAt(buf[:k], off); err != nil {
			return err
		}
		off, n = off+k, n-k
	}
	return nil
}

// classify gives an operating system's error its class; nil and io.EOF pass unchanged.
func classify(err error) error {
	switch {
	case err == nil || errors.Is(err, io.EOF):
		return err
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR): // below a file there is nothing
		return errs.With(errs.NotFound, err)
	case errors.Is(err, fs.ErrExist):
		return errs.With(errs.Exists, err)
	case errors.Is(err, syscall.EROFS):
		return errs.With(errs.ReadOnly, err)
	case errors.Is(err, fs.ErrPermission):
		return errs.With(errs.Denied, err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return errs.With(errs.NoSpace, err)
	case errors.Is(err, errors.ErrUnsupported):
		return errs.With(errs.Unsupported, err)
	}
	return err
}
