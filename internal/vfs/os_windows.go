package vfs

import (
	"errors"
	"os"
	"syscall"
	"unsafe"
)

// The flags and the error of LockFileEx.
const (
	lockfileFailImmediately = 1
	lockfileExclusive       = 2
	errorLockViolation      = syscall.Errno(33)
)

// tryLock locks one byte far behind the text, so that others can read who holds it. held tells that another has it.
func tryLock(f *os.File) (held bool, err error) {
	proc := syscall.NewLazyDLL("kernel32.dll").NewProc("LockFileEx")
	if err := proc.Find(); err != nil {
		return false, err
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return false, err
	}
	var lerr error
	if err := conn.Control(func(fd uintptr) {
		at := syscall.Overlapped{OffsetHigh: 0x7fffffff}
		ok, _, callErr := proc.Call(fd, lockfileFailImmediately|lockfileExclusive, 0, 1, 0, uintptr(unsafe.Pointer(&at)))
		if ok == 0 {
			lerr = callErr
		}
	}); err != nil {
		return false, err
	}
	if lerr == errorLockViolation || lerr == syscall.ERROR_IO_PENDING {
		return true, nil
	}
	return false, os.NewSyscallError("LockFileEx", lerr)
}

// link makes no second name.
func link(oldname, newname string) error {
	return &os.LinkError{Op: "link", Old: oldname, New: newname, Err: errors.ErrUnsupported}
}

// syncDir does nothing: Windows has no way to sync a directory, and NTFS journals names.
func syncDir(string) error { return nil }

// diskFree asks GetDiskFreeSpaceEx for the bytes free to this user.
func diskFree(name string) (int64, error) {
	proc := syscall.NewLazyDLL("kernel32.dll").NewProc("GetDiskFreeSpaceExW")
	if err := proc.Find(); err != nil {
		return 0, err
	}
	p, err := syscall.UTF16PtrFromString(name)
	if err != nil {
		return 0, err
	}
	var free uint64
	if ok, _, callErr := proc.Call(uintptr(unsafe.Pointer(p)), uintptr(unsafe.Pointer(&free)), 0, 0); ok == 0 {
		return 0, os.NewSyscallError("GetDiskFreeSpaceEx", callErr)
	}
	return int64(free), nil
}
