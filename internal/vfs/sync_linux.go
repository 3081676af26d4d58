package vfs

import (
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
