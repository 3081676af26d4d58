package mysql

import (
	"errors"
	"net"
	"os"
	"sync"

	"github.com/stemmadb/stemma/internal/errs"
)

// listener is several listeners, and connections that were handed over, as one.
type listener struct {
	conns   chan net.Conn
	done    chan struct{}
	once    sync.Once
	sources []net.Listener
	wait    sync.WaitGroup // for the goroutines that accept

	mu   sync.Mutex
	open map[*tracked]struct{}
}

func newListener() *listener {
	return &listener{conns: make(chan net.Conn), done: make(chan struct{}), open: map[*tracked]struct{}{}}
}

// add accepts connections from src until the listener is closed.
func (l *listener) add(src net.Listener) {
	l.sources = append(l.sources, src)
	l.wait.Add(1)
	go func() {
		defer l.wait.Done()
		for {
			c, err := src.Accept()
			if err != nil {
				return // closed
			}
			if l.hand(&tracked{Conn: c, l: l}) != nil {
				c.Close()
				return
			}
		}
	}()
}

// hand gives the server a connection. The error is net.ErrClosed when it takes no more.
func (l *listener) hand(c *tracked) error {
	l.mu.Lock()
	l.open[c] = struct{}{}
	l.mu.Unlock()
	select {
	case l.conns <- c:
		return nil
	case <-l.done:
		l.forget(c)
		return net.ErrClosed
	}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. Open connections stay.
func (l *listener) Close() error {
	var err error
	l.once.Do(func() {
		close(l.done)
		for _, s := range l.sources {
			if e := s.Close(); e != nil && !errors.Is(e, net.ErrClosed) {
				err = errors.Join(err, e)
			}
		}
		l.wait.Wait()
	})
	return err
}

// Addr implements net.Listener: the address of the first source.
func (l *listener) Addr() net.Addr {
	if len(l.sources) == 0 {
		return localAddr{}
	}
	return l.sources[0].Addr()
}

// hangUp closes every open connection.
func (l *listener) hangUp() {
	l.mu.Lock()
	conns := make([]*tracked, 0, len(l.open))
	for c := range l.open {
		conns = append(conns, c)
	}
	l.mu.Unlock()
	for _, c := range conns {
		c.Close() // its peer learns of it; there is nothing left to tell
	}
}

func (l *listener) forget(c *tracked) {
	l.mu.Lock()
	delete(l.open, c)
	l.mu.Unlock()
}

// tracked is a connection that its listener knows of while it is open.
type tracked struct {
	net.Conn
	l       *listener
	trusted bool
}

// Close implements net.Conn.
func (c *tracked) Close() error {
	c.l.forget(c)
	return c.Conn.Close()
}

// RemoteAddr implements net.Conn. The peers of trusted connections have an address by which the server knows them.
func (c *tracked) RemoteAddr() net.Addr {
	if c.trusted {
		return localAddr{}
	}
	return c.Conn.RemoteAddr()
}

// localAddr is the address of trusted peers.
type localAddr struct{}

// Network implements net.Addr.
func (localAddr) Network() string { return "unix" }

// String implements net.Addr.
func (localAddr) String() string { return "localhost" }

// listenUnix listens on a unix socket; what a server that died has left there is replaced.
func listenUnix(path string) (net.Listener, error) {
	ln, err := net.Listen("unix", path)
	if err == nil {
		return ln, nil
	}
	if c, dialErr := net.Dial("unix", path); dialErr == nil {
		c.Close()
		return nil, errs.New(errs.Unavailable, "listen on %s: another server answers there", path)
	}
	info, statErr := os.Stat(path)
	if statErr != nil || info.Mode()&os.ModeSocket == 0 {
		return nil, errs.New(errs.Unavailable, "listen on %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil {
		return nil, errs.New(errs.Denied, "listen on %s: %w", path, err)
	}
	if ln, err = net.Listen("unix", path); err != nil {
		return nil, errs.New(errs.Unavailable, "listen on %s: %w", path, err)
	}
	return ln, nil
}
