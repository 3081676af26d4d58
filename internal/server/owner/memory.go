package owner

import (
	"crypto/rand"
	"fmt"
	"io"
	"net"
)

// serveMemory takes a file of memory that the client has made, for what it reads to be written into instead of being sent: the two are on
// one machine. The client begins with the line "memory"; the owner answers "send"; the client sends a byte with the file's descriptor; the
// owner answers with a line that names it, for the header stemma-memory of one call of DoGet. The connection stays open as long as
// the client wants the name. Where descriptors cannot be sent the owner hangs up, and the client reads without.
//
// The memory is the client's in every respect: it lives as long as the client holds it, and the owner never maps it.
func (s *Server) serveMemory(conn net.Conn) {
	if _, err := io.WriteString(conn, "send\n"); err != nil {
		return
	}
	f, err := receiveFile(conn)
	if err != nil {
		return
	}
	defer f.Close()
	name := rand.Text()
	forget, err := s.handler.Memory(name, f)
	if err != nil {
		return
	}
	defer forget()
	if _, err := fmt.Fprintln(conn, name); err != nil {
		return
	}
	_, _ = conn.Read(make([]byte, 1)) // until the client hangs up
}
