package flight

import (
	"context"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// absent is a connection whose client takes nothing any more once it is told so.
type absent struct {
	net.Conn
	away, gone chan struct{}
}

func (a *absent) Read(b []byte) (int, error) {
	n, err := a.Conn.Read(b)
	select {
	case <-a.away:
		<-a.gone
	default:
	}
	return n, err
}

// A client that does not read between its calls, as ours in Python, does not hold up the end of the server.
func TestShutDoesNotWaitForIdleClients(t *testing.T) {
	v := serve(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer ln.Close()
	away, gone := make(chan struct{}), make(chan struct{})
	conn, err := grpc.NewClient("passthrough:owner", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			here, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				return nil, err
			}
			there, err := ln.Accept()
			if err != nil {
				return nil, err
			}
			return &absent{here, away, gone}, v.Serve(there)
		}))
	check(t, err)
	defer conn.Close()
	defer close(gone)
	c := sqlClient(conn)
	v.query(c, "select 1")
	close(away)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	begin := time.Now()
	v.Shut(ctx)
	if d := time.Since(begin); d > 4*time.Second {
		t.Errorf("Shut took %v", d)
	}
}

func TestShutLetsCallsFinish(t *testing.T) {
	v := serve(t)
	c := sqlClient(v.dial())
	info, err := c.Execute(context.Background(), "select sleep(1) + 7")
	check(t, err)
	got := make(chan []string)
	go func() {
		defer close(got)
		if r, err := c.DoGet(context.Background(), info.Endpoint[0].Ticket); err != nil {
			t.Error(err)
		} else {
			got <- readAll(t, r)
		}
	}()
	under := func() bool {
		v.service.calls.mu.Lock()
		defer v.service.calls.mu.Unlock()
		return v.service.calls.n > 0
	}
	for !under() {
		time.Sleep(time.Millisecond)
	}
	v.Shut(context.Background())
	if rows := <-got; len(rows) != 1 || rows[0] != "7" {
		t.Errorf("the call under way gave %q", rows)
	}
}
