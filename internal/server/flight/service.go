package flight

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"google.golang.org/grpc/metadata"

	"github.com/stemmadb/stemma/internal/page"
)

// service is what the calls of Flight come to: those of Flight SQL go to the inner server, those in JSON are answered here.
type service struct {
	flight.FlightServer // of Flight SQL
	opt                 *Options
	pool                *page.Pool
	tokens              sync.Map // *caller by token
	sql                 *sqlServer
	transactions        transactions
	sessions            flightSessions
	prepared            preparedStatements
	running             running
	reads               reads
	readsIn             readsIn
	shares              shares
	calls               calls
}

func newService(opt *Options, pool *page.Pool) *service {
	s := &service{opt: opt, pool: pool}
	s.sql = newSQLServer(s)
	s.FlightServer = flightsql.NewFlightServer(s.sql) // not with the pool: Arrow's writers take what they allocate for zeroed
	return s
}

// close ends what clients have left behind.
func (s *service) close() { s.transactions.close() }

// isJSON tells whether a ticket or command is one of ours.
func isJSON(b []byte) bool { return len(b) > 0 && b[0] == '{' }

// decode reads a request in JSON. Members that are not known are an error, so that a misspelt one is found.
func decode(body []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		var t *json.UnmarshalTypeError
		if errors.As(err, &t) {
			_, member, _ := strings.Cut(t.Field, ".")
			return invalid("read the request: the member %q cannot be a JSON %s", cmp.Or(member, t.Field), t.Value)
		}
		return invalid("read the request: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if d.More() {
		return invalid("read the request: more follows the JSON object")
	}
	return nil
}

// request is a ticket or command in JSON: one of its members is set.
type request struct {
	Read  *readRequest  `json:"read"`
	Query *queryRequest `json:"query"`
	Write *writeRequest `json:"write"`
}

// Handshake implements flight.FlightServer: the answer's header has a token that stands for the password. The caller's credentials, if
// any, have been checked already.
func (s *service) Handshake(stream flight.FlightService_HandshakeServer) error {
	if _, err := stream.Recv(); err != nil && !errors.Is(err, io.EOF) { // with HTTP basic the client has nothing to say
		return invalid("handshake: %w", err)
	}
	bearer := s.login(callerOf(stream.Context()))
	md := metadata.Pairs("authorization", bearer)
	if err := stream.SendHeader(md); err != nil {
		return err
	}
	stream.SetTrailer(md)
	return stream.Send(&flight.HandshakeResponse{})
}

// DoGet implements flight.FlightServer.
func (s *service) DoGet(ticket *flight.Ticket, stream flight.FlightService_DoGetServer) error {
	ctx, done := s.reads.begin(stream.Context(), callerOf(stream.Context()), ticket.GetTicket())
	defer done()
	return canceled(ctx, s.doGet(ticket, &cancellable{stream, ctx}))
}

func (s *service) doGet(ticket *flight.Ticket, stream flight.FlightService_DoGetServer) error {
	if !isJSON(ticket.GetTicket()) {
		return s.FlightServer.DoGet(ticket, stream)
	}
	var r request
	if err := decode(ticket.GetTicket(), &r); err != nil {
		return err
	}
	md, _ := metadata.FromIncomingContext(stream.Context())
	memory, text, err := s.memory(callerOf(stream.Context()), md)
	if err != nil {
		return err
	}
	src, err := s.open(stream.Context(), &r)
	if err != nil {
		return err
	}
	if memory == nil {
		return s.send(stream, src, nil)
	}
	if scan, ok := src.(*scanSource); ok && laysOut(scan.Schema()) {
		return s.sendColumns(stream, scan, memory, text)
	}
	m := &sharedMemory{memory: memory}
	defer m.close()
	return s.send(stream, src, m)
}

// source gives the batches of an answer. Next's batches are the caller's to release; nil is the end.
type source interface {
	Schema() *arrow.Schema
	Next(ctx context.Context) (arrow.RecordBatch, error)
	Close() error // which may be what fails: it commits the statement
}

// open begins to answer a ticket in JSON.
func (s *service) open(ctx context.Context, r *request) (source, error) {
	switch {
	case r.Read != nil && r.Query == nil && r.Write == nil:
		return s.openRead(ctx, s.call(ctx), r.Read)
	case r.Query != nil && r.Read == nil && r.Write == nil:
		return s.openQuery(ctx, s.call(ctx), r.Query)
	}
	return nil, invalid(`a ticket in JSON is {"read": …} or {"query": …}`)
}

// GetFlightInfo implements flight.FlightServer.
func (s *service) GetFlightInfo(ctx context.Context, d *flight.FlightDescriptor) (*flight.FlightInfo, error) {
	if !isJSON(d.GetCmd()) {
		return s.FlightServer.GetFlightInfo(ctx, d)
	}
	schema, rows, err := s.describe(ctx, d.GetCmd())
	if err != nil {
		return nil, err
	}
	return &flight.FlightInfo{
		Schema: flight.SerializeSchema(schema, s.pool), FlightDescriptor: d, TotalRecords: rows, TotalBytes: -1,
		Endpoint: []*flight.FlightEndpoint{{Ticket: &flight.Ticket{Ticket: d.GetCmd()}}},
	}, nil
}

// GetSchema implements flight.FlightServer.
func (s *service) GetSchema(ctx context.Context, d *flight.FlightDescriptor) (*flight.SchemaResult, error) {
	if !isJSON(d.GetCmd()) {
		return s.FlightServer.GetSchema(ctx, d)
	}
	schema, _, err := s.describe(ctx, d.GetCmd())
	if err != nil {
		return nil, err
	}
	return &flight.SchemaResult{Schema: flight.SerializeSchema(schema, s.pool)}, nil
}

// describe is the schema of the answer to a command in JSON, and how many rows it has, -1 when that is not known. Nothing is run.
func (s *service) describe(ctx context.Context, command []byte) (*arrow.Schema, int64, error) {
	var r request
	if err := decode(command, &r); err != nil {
		return nil, 0, err
	}
	switch {
	case r.Read != nil && r.Query == nil && r.Write == nil:
		return s.describeRead(ctx, s.call(ctx), r.Read)
	case r.Query != nil && r.Read == nil && r.Write == nil:
		schema, err := s.describeQuery(ctx, s.call(ctx), r.Query)
		return schema, -1, err
	}
	return nil, 0, invalid(`a command in JSON is {"read": …} or {"query": …}, or {"write": …} for DoPut`)
}

// ahead is how many batches are made before the client has taken those before.
const ahead = 2

// send sends an answer, the bodies of its batches by way of memory unless that is nil. Batches are made while those before are on their
// way.
func (s *service) send(stream flight.FlightService_DoGetServer, src source, memory *sharedMemory) (err error) {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	type made struct {
		batch arrow.RecordBatch
		err   error
	}
	ready := make(chan made, ahead)
	go func() {
		defer close(ready)
		for {
			b, err := src.Next(ctx)
			if b == nil && err == nil {
				return
			}
			select {
			case ready <- made{b, err}:
			case <-ctx.Done():
				if b != nil {
					b.Release()
				}
				return
			}
			if err != nil {
				return
			}
		}
	}()
	// Not with the pool: the writer takes what it allocates for zeroed.
	out := &batchSender{stream: stream, memory: memory}
	w := ipc.NewWriterWithPayloadWriter(out, ipc.WithSchema(src.Schema()))
	for m := range ready {
		if err == nil {
			err = m.err
		}
		if m.batch == nil {
			continue
		}
		if err == nil {
			if err = out.send(w, m.batch); err != nil {
				cancel()
			}
		}
		m.batch.Release()
	}
	if e := stream.Context().Err(); err == nil {
		err = e
	}
	if e := src.Close(); err == nil {
		err = e
	}
	if e := w.Close(); err == nil {
		err = e
	}
	return err
}

// DoAction implements flight.FlightServer.
func (s *service) DoAction(a *flight.Action, stream flight.FlightService_DoActionServer) error {
	all := actions()
	i := slices.IndexFunc(all, func(x action) bool { return x.name == a.GetType() })
	if i < 0 {
		return s.FlightServer.DoAction(a, stream)
	}
	out, err := all[i].run(s, stream.Context(), s.call(stream.Context()), a.GetBody())
	if err != nil {
		return err
	}
	body, err := json.Marshal(out)
	if err != nil {
		return invalid("encode the answer: %w", err)
	}
	return stream.Send(&flight.Result{Body: body})
}

// ListActions implements flight.FlightServer.
func (s *service) ListActions(e *flight.Empty, stream flight.FlightService_ListActionsServer) error {
	for _, a := range actions() {
		if err := stream.Send(&flight.ActionType{Type: a.name, Description: a.help}); err != nil {
			return err
		}
	}
	return s.FlightServer.ListActions(e, stream)
}

// DoPut implements flight.FlightServer.
func (s *service) DoPut(stream flight.FlightService_DoPutServer) error {
	msg, err := stream.Recv()
	if err != nil {
		return invalid("read the first message: %w", err)
	}
	p := &peekedPut{FlightService_DoPutServer: stream, msg: msg}
	if cmd := msg.GetFlightDescriptor().GetCmd(); isJSON(cmd) {
		return s.doWrite(p, cmd)
	}
	return s.FlightServer.DoPut(p)
}

// peekedPut is a stream whose first message has been looked at.
type peekedPut struct {
	flight.FlightService_DoPutServer
	msg *flight.FlightData
}

// Recv implements flight.FlightService_DoPutServer.
func (p *peekedPut) Recv() (*flight.FlightData, error) {
	if m := p.msg; m != nil {
		p.msg = nil
		return m, nil
	}
	return p.FlightService_DoPutServer.Recv()
}
