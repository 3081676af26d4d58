//go:build unix

package owner

import (
	"net"
	"os"
	"syscall"

	"github.com/stemmadb/stemma/internal/errs"
)

// receiveFile takes a file whose descriptor the client sends.
func receiveFile(conn net.Conn) (*os.File, error) {
	u, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, errs.New(errs.Unsupported, "receive a file: not on a connection of type %T", conn)
	}
	data, control := make([]byte, 1), make([]byte, syscall.CmsgSpace(4))
	_, n, _, _, err := u.ReadMsgUnix(data, control)
	if err != nil {
		return nil, errs.New(errs.Unavailable, "receive a file: %w", err)
	}
	messages, err := syscall.ParseSocketControlMessage(control[:n])
	if err != nil || len(messages) != 1 {
		return nil, errs.New(errs.Invalid, "receive a file: no descriptor came")
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return nil, errs.New(errs.Invalid, "receive a file: no descriptor came")
	}
	syscall.CloseOnExec(fds[0])
	return os.NewFile(uintptr(fds[0]), "memory of a client"), nil
}
