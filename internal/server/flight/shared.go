package flight

import (
	"os"
	"sync"

	"google.golang.org/grpc/metadata"

	"github.com/stemmadb/stemma/internal/errs"
)

// Headers of a read whose answer goes into memory.
const (
	headerMemory = headerPrefix + "memory"      // its name
	headerText   = headerPrefix + "memory-text" // the form in which text is wanted; absent: that of its column
)

// Memory is where the answer to one read goes: files of memory that the client is given, on whose machine the server is.
type Memory interface {
	// Make makes a file of memory, or takes one that the client has no more use for, with whatever was in it. The caller closes it. size is
	// how many bytes will be written, as far as it is known; 0 when it is not.
	Make(size int64) (*os.File, error)
	// Give gives files to the client. Their memory is then the client's: it lives as long as one of the two has it open or mapped.
	Give(files []*os.File) error
}

// shares is the memory of clients on this machine, by the names that stand for it.
type shares struct {
	mu   sync.Mutex
	list map[string]Memory
}

// add gives memory a name.
func (s *shares) add(name string, m Memory) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.list == nil {
		s.list = map[string]Memory{}
	}
	s.list[name] = m
}

// take is the memory of a name, which it then no longer has: it serves for one read.
func (s *shares) take(name string) (Memory, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, ok := s.list[name]
	delete(s.list, name)
	return m, ok
}

// Share takes memory of a trusted client: the answer to the read whose header stemma-memory is that name goes into it. The client calls
// forget when it is over.
func (s *Server) Share(name string, m Memory) (forget func()) {
	s.service.shares.add(name, m)
	return func() { s.service.shares.take(name) }
}

// memory is the memory that a call names, and the form of text in it; nil when it names none.
func (s *service) memory(c *caller, md metadata.MD) (m Memory, text string, err error) {
	name := first(md, headerMemory)
	if name == "" {
		return nil, "", nil
	}
	if !c.trusted {
		return nil, "", errs.New(errs.Denied, "read: only the owner's socket takes shared memory")
	}
	switch text = first(md, headerText); text {
	case "", textLarge, textView:
	default:
		return nil, "", invalid("read: text comes as %s, as %s or as its column has it, not as %q", textLarge, textView, text)
	}
	m, ok := s.shares.take(name)
	if !ok {
		return nil, "", errs.New(errs.Invalid, "read: no memory is shared under that name")
	}
	return m, text, nil
}

// sharedFailed is the error of memory that cannot be written.
func sharedFailed(err error) error {
	c := errs.CodeOf(err)
	if c == errs.Internal {
		c = errs.Unavailable
	}
	return errs.New(c, "write into the client's memory: %w", err)
}
