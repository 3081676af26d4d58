package vfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// syncFile is fdatasync: bytes and length, without the times that fsync would journal.
func syncFile(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	if err := conn.Control(func(fd uintptr) {
		for {
			if serr = syscall.Fdatasync(int(fd)); serr != syscall.EINTR {
				return
			}
		}
	}); err != nil {
		return fmt.Errorf("fdatasync %s: %w: %w", f.Name(), fs.ErrClosed, err) // Control fails for closed files only
	}
	return os.NewSyscallError("fdatasync", serr)
}

// syncRangeWrite is SYNC_FILE_RANGE_WRITE: begin to write what is dirty, and wait for nothing. Without the flags that wait, the call
// does not take away the error that a later fdatasync is to report.
const syncRangeWrite = 2

// startSync is sync_file_range.
func startSync(f *os.File, off, n int64) (ok bool, err error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return false, err
	}
	var serr error
	if err := conn.Control(func(fd uintptr) {
		for {
			if serr = syscall.SyncFileRange(int(fd), off, n, syncRangeWrite); serr != syscall.EINTR {
				return
			}
		}
	}); err != nil {
		return false, fmt.Errorf("sync_file_range %s: %w: %w", f.Name(), fs.ErrClosed, err)
	}
	if errors.Is(serr, errors.ErrUnsupported) || serr == syscall.EINVAL || serr == syscall.ESPIPE {
		return false, nil
	}
	return serr == nil, os.NewSyscallError("sync_file_range", serr)
}
