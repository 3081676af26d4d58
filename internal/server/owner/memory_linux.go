package owner

import (
	"errors"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/stemmadb/stemma/internal/errs"
)

const hasMemory = true

// Make makes a file of memory.
func (*Memory) Make() (*os.File, error) {
	const name = "stemma"
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3
		fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	}
	if err != nil {
		return nil, errs.New(errs.Unavailable, "make a file of memory: %w", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// Give sends files to the client, at most 253 at a time.
func (m *Memory) Give(files []*os.File) error {
	fds := make([]int, len(files))
	for i, f := range files {
		fds[i] = int(f.Fd())
	}
	_, _, err := m.conn.WriteMsgUnix([]byte{0}, unix.UnixRights(fds...), nil)
	runtime.KeepAlive(files)
	if err != nil {
		return errs.New(errs.Unavailable, "send files of memory: %w", err)
	}
	return nil
}
