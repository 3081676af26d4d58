package flight

import (
	"io"
	"sync"

	"google.golang.org/grpc/metadata"

	"github.com/stemmadb/stemma/internal/errs"
)

// headerMemory names the memory into which the batches of a read are written.
const headerMemory = headerPrefix + "memory"

// shares is the memory that clients of this machine share, by the names that stand for it.
type shares struct {
	mu   sync.Mutex
	list map[string]io.WriterAt
}

// add gives memory a name.
func (s *shares) add(name string, w io.WriterAt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.list == nil {
		s.list = map[string]io.WriterAt{}
	}
	s.list[name] = w
}

// take is the memory of a name, which it then no longer has: it serves for one read.
func (s *shares) take(name string) (io.WriterAt, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w, ok := s.list[name]
	delete(s.list, name)
	return w, ok
}

// Share takes memory that a trusted client shares: the batches of the read whose header stemma-memory is that name are written into it.
// The client calls forget when it is over.
func (s *Server) Share(name string, w io.WriterAt) (forget func()) {
	s.service.shares.add(name, w)
	return func() { s.service.shares.take(name) }
}

// memory is the memory that a call names; nil when it names none.
func (s *service) memory(c *caller, md metadata.MD) (*sharedMemory, error) {
	name := first(md, headerMemory)
	if name == "" {
		return nil, nil
	}
	if !c.trusted {
		return nil, errs.New(errs.Denied, "read: only the owner's socket takes shared memory")
	}
	w, ok := s.shares.take(name)
	if !ok {
		return nil, errs.New(errs.Invalid, "read: no memory is shared under that name")
	}
	return &sharedMemory{w: w}, nil
}

// sharedFailed is the error of memory that cannot be written.
func sharedFailed(err error) error {
	c := errs.CodeOf(err)
	if c == errs.Internal {
		c = errs.Unavailable
	}
	return errs.New(c, "write into the client's memory: %w", err)
}
