package flight

import (
	"context"
	"sync"
	"time"
)

// calls knows how many calls are under way, and messages of their answers which gRPC has not sent: a call that streams ends before its last
// messages have found room on the way to a slow client.
type calls struct {
	mu    sync.Mutex
	n     int
	begun uint64
	none  func() // called when n falls to zero; nil when nobody waits for that
}

// begin counts a call or a message until what it returns is called.
func (c *calls) begin() (end func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	c.begun++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.n--; c.n == 0 && c.none != nil {
			c.none()
		}
	}
}

// linger is how long connections stay open after the last call has ended: the end of its answer may still be on its way through buffers.
const linger = 100 * time.Millisecond

// over returns a context that is done when ctx is, or when no call has been under way for a while. Only one may be waited for.
//
// gRPC itself would wait for each client's answer to its farewell, five seconds and one more. A client that does not read between its calls,
// as the one of the Python package, gives none.
func (c *calls) over(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	wait := func() { // with c.mu held
		begun := c.begun
		time.AfterFunc(linger, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.n == 0 && c.begun == begun {
				cancel()
			}
		})
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.none = wait
	if c.n == 0 {
		wait()
	}
	return ctx, cancel
}
