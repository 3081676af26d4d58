package flight

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"

	"github.com/stemmadb/stemma/internal/errs"
)

// reads are the calls of DoGet that are under way, by caller and ticket, for those who want to cancel them.
type reads struct {
	mu   sync.Mutex
	list map[string]map[*context.CancelFunc]bool
}

func readKey(c *caller, ticket []byte) string { return c.user + "@" + c.host + "\x00" + string(ticket) }

// begin takes note of a call; its context ends when somebody cancels it. The caller calls done in the end.
func (r *reads) begin(ctx context.Context, c *caller, ticket []byte) (_ context.Context, done func()) {
	ctx, cancel := context.WithCancel(ctx)
	key := readKey(c, ticket)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.list == nil {
		r.list = map[string]map[*context.CancelFunc]bool{}
	}
	if r.list[key] == nil {
		r.list[key] = map[*context.CancelFunc]bool{}
	}
	r.list[key][&cancel] = true
	return ctx, func() {
		cancel()
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.list[key], &cancel)
		if len(r.list[key]) == 0 {
			delete(r.list, key)
		}
	}
}

// cancel ends the calls with a ticket and tells whether there were any.
func (r *reads) cancel(c *caller, ticket []byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	calls := r.list[readKey(c, ticket)]
	for cancel := range calls {
		(*cancel)()
	}
	return len(calls) > 0
}

// cancellable is a stream whose context somebody else may end.
type cancellable struct {
	flight.FlightService_DoGetServer
	ctx context.Context
}

// Context implements grpc.ServerStream.
func (s *cancellable) Context() context.Context { return s.ctx }

// CancelFlightInfo implements flightsql.Server: what is being read for the info is cut off, and a statement that changes something and has
// not begun will not.
func (q *sqlServer) CancelFlightInfo(ctx context.Context, r *flight.CancelFlightInfoRequest) (flight.CancelFlightInfoResult, error) {
	c := callerOf(ctx)
	done := false
	for _, e := range r.GetInfo().GetEndpoint() {
		ticket := e.GetTicket()
		done = q.s.reads.cancel(c, ticket.GetTicket()) || done
		if t, err := flightsql.GetStatementQueryTicket(ticket); err == nil {
			var h statementHandle
			if json.Unmarshal(t.GetStatementHandle(), &h) == nil && h.Once != "" {
				done = q.s.running.take(h.Once) || done
			}
		}
	}
	if !done {
		return flight.CancelFlightInfoResult{Status: flight.CancelStatusNotCancellable}, nil
	}
	return flight.CancelFlightInfoResult{Status: flight.CancelStatusCancelled}, nil
}

// canceled gives the error of a read that was cut off its class, whatever it is that broke.
func canceled(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errs.With(errs.Canceled, ctx.Err())
	}
	return err
}
