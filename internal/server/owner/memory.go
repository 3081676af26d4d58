package owner

import (
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
)

// Memory makes files of memory and gives them to a client, which is on the owner's machine: what it reads is written there instead of being
// sent.
//
// The client begins with the line "columns"; the owner answers with a line that names the memory, for the header stemma-memory of one call
// of DoGet. That call gives files: they come over this connection as descriptors, with a byte for each message of them. The connection
// stays open as long as the client wants the name. Where descriptors cannot be sent the owner hangs up, and the client reads without.
//
// Before that call the client may send files that it was given earlier and has no more use for, as descriptors with a byte for each
// message of them, which the owner answers with a byte: it writes into these rather than into new ones, which saves the system from
// finding and clearing memory. Nobody else may have them open or mapped.
//
// The owner writes the files and never maps them, so that their memory does not count for it, and closes them; the client maps them. Memory
// ends with its last mapping, whoever dies.
type Memory struct {
	conn *net.UnixConn

	mu    sync.Mutex
	spare []spare
	over  bool // nobody will take what is spare
}

// spare is a file that the client has no more use for.
type spare struct {
	file *os.File
	size int64
}

// keep takes files from the client.
func (m *Memory) keep(files []spare) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.over {
		closeAll(files)
		return
	}
	m.spare = append(m.spare, files...)
}

// take is the file that suits best to write so many bytes into, 0 when their number is not known: then the longest.
func (m *Memory) take(size int64) *os.File {
	m.mu.Lock()
	defer m.mu.Unlock()
	best, off := -1, int64(0)
	for i, s := range m.spare {
		d := max(size, s.size) - min(size, s.size)
		switch {
		case size == 0:
			d = -s.size
		case d > size: // most of it would be given back to the system
			continue
		}
		if best < 0 || d < off {
			best, off = i, d
		}
	}
	if best < 0 {
		return nil
	}
	f := m.spare[best].file
	m.spare = slices.Delete(m.spare, best, best+1)
	return f
}

// end closes what nobody took.
func (m *Memory) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.over = true
	closeAll(m.spare)
	m.spare = nil
}

func closeAll(files []spare) {
	for _, s := range files {
		s.file.Close()
	}
}

// serveMemory lets the client of a connection have memory.
func (s *Server) serveMemory(conn net.Conn) {
	u, ok := conn.(*net.UnixConn)
	if !ok || !hasMemory {
		return
	}
	name := rand.Text()
	m := &Memory{conn: u}
	forget, err := s.handler.Memory(name, m)
	if err != nil {
		return
	}
	defer m.end()
	defer forget()
	if _, err := fmt.Fprintln(conn, name); err != nil {
		return
	}
	for m.receive() == nil { // until the client hangs up
		if _, err := conn.Write([]byte{0}); err != nil {
			return
		}
	}
}
