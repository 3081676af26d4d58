package owner

import (
	"errors"
	"io"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/stemmadb/stemma/internal/errs"
)

const hasMemory = true

// Make makes a file of memory, or takes one that the client sent: one that suits to write size bytes into, 0 when it is not known how many.
func (m *Memory) Make(size int64) (*os.File, error) {
	if f := m.take(size); f != nil {
		return f, nil
	}
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

// mostFiles is how many descriptors the system lets one message have.
const mostFiles = 253

// receive takes one message of files from the client, and fails when the client hangs up.
func (m *Memory) receive() error {
	data, control := make([]byte, 1), make([]byte, unix.CmsgSpace(mostFiles*4))
	n, k, _, _, err := m.conn.ReadMsgUnix(data, control)
	if err != nil {
		return err
	}
	if n == 0 {
		return io.EOF
	}
	messages, err := unix.ParseSocketControlMessage(control[:k])
	if err != nil {
		return err
	}
	var files []spare
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			continue // something else than files
		}
		for _, fd := range fds {
			f := os.NewFile(uintptr(fd), "stemma")
			// Only files of memory have seals. Nothing else is written over, whatever a client takes for one.
			_, foreign := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
			if st, err := f.Stat(); err == nil && foreign == nil {
				files = append(files, spare{f, st.Size()})
			} else {
				f.Close()
			}
		}
	}
	m.keep(files)
	return nil
}
