package owner

import (
	"crypto/rand"
	"fmt"
	"net"
)

// Memory makes files of memory and gives them to a client, which is on the owner's machine: what it reads is written there instead of being
// sent.
//
// The client begins with the line "columns"; the owner answers with a line that names the memory, for the header stemma-memory of one call
// of DoGet. That call gives files: they come over this connection as descriptors, with a byte for each message of them. The connection
// stays open as long as the client wants the name. Where descriptors cannot be sent the owner hangs up, and the client reads without.
//
// The owner writes the files and never maps them, so that their memory does not count for it, and closes them; the client maps them. Memory
// ends with its last mapping, whoever dies.
type Memory struct{ conn *net.UnixConn }

// serveMemory lets the client of a connection have memory.
func (s *Server) serveMemory(conn net.Conn) {
	u, ok := conn.(*net.UnixConn)
	if !ok || !hasMemory {
		return
	}
	name := rand.Text()
	forget, err := s.handler.Memory(name, &Memory{u})
	if err != nil {
		return
	}
	defer forget()
	if _, err := fmt.Fprintln(conn, name); err != nil {
		return
	}
	_, _ = conn.Read(make([]byte, 1)) // until the client hangs up
}
