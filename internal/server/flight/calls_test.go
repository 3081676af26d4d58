package flight

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/flight"
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
	away, gone := make(chan struct{}), make(chan struct{})
	conn := v.dialAbsent(away, gone)
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

// A client that reads slowly gets the end of its answer, which waits for room after the call itself has ended.
func TestShutLetsAnswersArrive(t *testing.T) {
	const size = 3_000_000
	query := fmt.Sprintf("select repeat('x', %d)", size)
	for _, ticket := range []string{"", fmt.Sprintf(`{"query":{"sql":"%s"}}`, query)} { // of Flight SQL, and of ours
		testAnswerArrives(t, query, ticket, size)
	}
}

func testAnswerArrives(t *testing.T, query, ticket string, size int) {
	t.Helper()
	v := serve(t)
	away, gone := make(chan struct{}), make(chan struct{})
	conn := v.dialAbsent(away, gone)
	defer conn.Close()
	c := sqlClient(conn)
	info, err := c.Execute(context.Background(), query) // which connects, too
	check(t, err)
	asked := info.Endpoint[0].Ticket
	if ticket != "" {
		asked = &flight.Ticket{Ticket: []byte(ticket)}
	}
	begun := func() uint64 {
		v.service.calls.mu.Lock()
		defer v.service.calls.mu.Unlock()
		return v.service.calls.begun
	}
	before := begun()
	close(away)
	got := make(chan int)
	go func() {
		defer close(got)
		r, err := c.DoGet(context.Background(), asked)
		if err != nil {
			t.Error(err)
			return
		}
		defer r.Release()
		for r.Next() {
			got <- len(r.RecordBatch().Column(0).ValueStr(0))
		}
		if err := r.Err(); err != nil {
			t.Error(err)
		}
	}()
	for begun() == before {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(200 * time.Millisecond) // for the call to end
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	shut := make(chan struct{})
	go func() {
		defer close(shut)
		v.Shut(ctx)
	}()
	time.Sleep(4 * linger)
	close(gone)
	if n := <-got; n != size {
		t.Errorf("%d bytes of %d", n, size)
	}
	for range got {
		t.Error("more rows than one")
	}
	<-shut
	if err := ctx.Err(); err != nil {
		t.Errorf("Shut waits for more than the answer: %v", err)
	}
}

// dialAbsent is a connection that does not read on from when away is closed until gone is.
func (v *served) dialAbsent(away, gone chan struct{}) *grpc.ClientConn {
	v.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	check(v.t, err)
	v.t.Cleanup(func() { ln.Close() })
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
	check(v.t, err)
	return conn
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
