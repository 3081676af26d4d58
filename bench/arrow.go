package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"path/filepath"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/flight"
	pb "github.com/apache/arrow-go/v18/arrow/flight/gen/flight"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/stemmadb/stemma/internal/server/owner"
)

// benchArrow reads the price list over Arrow Flight, from a TCP server and through the owner's socket, and writes it back.
func benchArrow(ctx context.Context, e *env) (err error) {
	s := e.own()
	base, err := s.base(ctx, e)
	if err != nil {
		return err
	}
	dir, err := s.copyOf(base, "arrow")
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return err
	}
	v, err := s.serve(ctx, dir, "--flight-port", fmt.Sprint(port))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.close()) }()
	socket, err := filepath.Abs(owner.SocketPath(filepath.Join(dir, ".stemma")))
	if err != nil {
		return err
	}
	for _, way := range []struct {
		name, target string
		whole        float64 // the limit in seconds
	}{{"plain Flight", fmt.Sprintf("127.0.0.1:%d", port), 0.9}, {"owner's socket", "unix:" + socket, 0.35}} {
		conn, err := dialFlight(way.target)
		if err != nil {
			return err
		}
		defer conn.Close()
		c := flight.NewFlightServiceClient(conn)
		times, err := repeat(e.count, func() error { return e.wholeRead(ctx, c, `{"read":{"table":"prices","ref":"HEAD"}}`) })
		if err != nil {
			return err
		}
		e.record(way.name+": read it", "ms", atMost(way.whole*1e3), times...)
		if times, err = repeat(e.count, func() error {
			return e.wholeRead(ctx, c, `{"read":{"table":"prices","ref":"HEAD","columns":["price"]}}`)
		}); err != nil {
			return err
		}
		e.record(way.name+": read a column", "ms", atMost(100), times...)
	}
	conn, err := dialFlight("unix:" + socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := e.writes(ctx, flight.NewFlightServiceClient(conn)); err != nil {
		return err
	}
	e.record("peak memory of the server", "MB", atMost(300), float64(v.peak())/1e6)
	return nil
}

func dialFlight(target string) (*grpc.ClientConn, error) {
	return grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32)))
}

// wholeRead reads all rows of a ticket and counts them.
func (e *env) wholeRead(ctx context.Context, c flight.FlightServiceClient, ticket string) error {
	n := 0
	err := eachBatch(ctx, c, ticket, func(b arrow.RecordBatch) { n += int(b.NumRows()) })
	if want := len(e.places()); err == nil && n != want {
		err = fmt.Errorf("read %d rows, want %d", n, want)
	}
	return err
}

// eachBatch calls fn for the batches of a ticket.
func eachBatch(ctx context.Context, c flight.FlightServiceClient, ticket string, fn func(arrow.RecordBatch)) error {
	stream, err := c.DoGet(ctx, &flight.Ticket{Ticket: []byte(ticket)})
	if err != nil {
		return err
	}
	r, err := flight.NewRecordReader(stream)
	if err != nil {
		return err
	}
	defer r.Release()
	for r.Next() {
		fn(r.RecordBatch())
	}
	return r.Err()
}

// writes writes the price list to a new table, and over it again with 1,000 prices changed.
func (e *env) writes(ctx context.Context, c flight.FlightServiceClient) error {
	var frame []arrow.RecordBatch
	if err := eachBatch(ctx, c, `{"read":{"table":"prices","ref":"HEAD"}}`, func(b arrow.RecordBatch) {
		b.Retain()
		frame = append(frame, b)
	}); err != nil {
		return err
	}
	var created, merged []float64
	for k := range e.count {
		table := fmt.Sprintf("prices_%d", k)
		t, _, err := timedWrite(ctx, c, frame, map[string]any{"table": table, "mode": "create", "primary_key": []string{"npi_number", "code", "payer"}})
		if err != nil {
			return err
		}
		created = append(created, t)
		changed := min(1000, e.rows/2)
		next, err := dearer(frame, e.rows/changed)
		if err != nil {
			return err
		}
		t, out, err := timedWrite(ctx, c, next, map[string]any{"table": table, "mode": "merge"})
		if err != nil {
			return err
		}
		if n := int(out["updated"].(float64)); n < changed || n > changed+changed/2 {
			return fmt.Errorf("a merge of %d changed rows wrote %d", changed, n)
		}
		merged = append(merged, t)
	}
	e.record("write a new table", "s", atMost(6), created...)
	e.record("merge with 1,000 changed rows", "s", atMost(2), merged...)
	return nil
}

// dearer is the frame with every step-th price one dollar higher.
func dearer(frame []arrow.RecordBatch, step int) ([]arrow.RecordBatch, error) {
	var out []arrow.RecordBatch
	at := 0
	for _, b := range frame {
		i := b.Schema().FieldIndices("price")[0]
		prices := b.Column(i).(*array.Float64)
		build := array.NewFloat64Builder(memory.DefaultAllocator)
		for r := range prices.Len() {
			p := prices.Value(r)
			if at%step == 0 {
				p++
			}
			at++
			build.Append(p)
		}
		next, err := b.SetColumn(i, build.NewArray())
		if err != nil {
			return nil, err
		}
		out = append(out, next)
	}
	return out, nil
}

// timedWrite writes a frame and says how many seconds it took and what the answer was.
func timedWrite(ctx context.Context, c flight.FlightServiceClient, frame []arrow.RecordBatch, command map[string]any) (float64, map[string]any, error) {
	text, err := json.Marshal(map[string]any{"write": command})
	if err != nil {
		return 0, nil, err
	}
	var out map[string]any
	t, err := seconds(func() error {
		stream, err := c.DoPut(ctx)
		if err != nil {
			return err
		}
		w := flight.NewRecordWriter(stream, ipc.WithSchema(frame[0].Schema()))
		w.SetFlightDescriptor(&flight.FlightDescriptor{Type: pb.FlightDescriptor_CMD, Cmd: text})
		for _, b := range frame {
			if err := w.Write(b); err != nil && !errors.Is(err, io.EOF) {
				return err
			}
		}
		if err := errors.Join(w.Close(), stream.CloseSend()); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		r, err := stream.Recv()
		if err != nil {
			return err
		}
		return json.Unmarshal(r.AppMetadata, &out)
	})
	return t, out, err
}
