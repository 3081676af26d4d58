package flight

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/stemmadb/stemma/internal/page"
)

// The codec writes what protobuf's own encoder writes, and gives a batch back once all that it lies in has been sent.
func TestWireData(t *testing.T) {
	pool := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer pool.AssertSize(t, 0)
	long, short := bytes.Repeat([]byte("x"), wireCopied+1), []byte("short")
	for _, list := range [][][]byte{nil, {short}, {long}, {short, long, short, short, long}, {long, long, short}} {
		build := array.NewInt64Builder(pool)
		build.AppendValues([]int64{1, 2, 3}, nil)
		column := build.NewArray()
		build.Release()
		batch := array.NewRecordBatch(arrow.NewSchema([]arrow.Field{{Name: "x", Type: arrow.PrimitiveTypes.Int64}}, nil), []arrow.Array{column}, 3)
		column.Release()
		m := &wireData{header: []byte("header"), note: []byte("note"), batch: batch}
		var body []byte
		for _, p := range list {
			m.body.Write(p)
			body = append(body, p...)
		}
		out, err := newWireCodec(nil).Marshal(m)
		check(t, err)
		batch.Release()
		got := out.Materialize()
		want, err := proto.Marshal(&flight.FlightData{DataHeader: m.header, AppMetadata: m.note, DataBody: body})
		check(t, err)
		if !bytes.Equal(got, want) {
			t.Errorf("%d pieces: %d bytes are not the %d of protobuf", len(list), len(got), len(want))
		}
		if len(body) > wireCopied && pool.CurrentAlloc() == 0 {
			t.Error("the batch is given back before it is sent")
		}
		out.Free()
	}
	// All else is protobuf's.
	text := &flight.Ticket{Ticket: []byte("t")}
	got, err := newWireCodec(nil).Marshal(text)
	check(t, err)
	want, err := encoding.GetCodecV2(grpcproto.Name).Marshal(text)
	check(t, err)
	if !bytes.Equal(got.Materialize(), want.Materialize()) {
		t.Error("a ticket is not what protobuf makes of it")
	}
}

// fillShared makes a table of several batches, with a dictionary.
func (v *served) fillShared() {
	v.t.Helper()
	v.exec(sqlClient(v.dial()), "create table several (k int primary key, e enum('a','b'), s varchar(20))", "insert into several with recursive n as (select 0 as k union all select k + 1 from n where k < 999) select k, if(k % 2, 'a', 'b'), concat('text ', k) from n")
}

// dirty is more bytes than what the tests read takes.
const dirty = 100_000

// testMemory is memory whose files are those of a directory, with something in them that was there before, or a device that is full.
type testMemory struct {
	t     testing.TB
	full  bool
	given []*os.File
}

// Make implements Memory.
func (m *testMemory) Make(int64) (*os.File, error) {
	if m.full {
		return os.OpenFile("/dev/full", os.O_RDWR, 0)
	}
	f, err := os.CreateTemp(m.t.TempDir(), "memory")
	if err == nil {
		_, err = f.Write(bytes.Repeat([]byte{0xa5}, 2*dirty))
	}
	return f, err
}

// Give implements Memory: the client opens the files anew, as it has descriptors of its own.
func (m *testMemory) Give(files []*os.File) error {
	for _, f := range files {
		own, err := os.Open(f.Name())
		if err != nil {
			return err
		}
		m.t.Cleanup(func() { own.Close() })
		m.given = append(m.given, own)
	}
	return nil
}

// A read with memory whose columns are not laid out one by one gives the same batches as one without, by way of a file.
func TestSharedMemory(t *testing.T) {
	v := serve(t)
	v.fillShared()
	c := flight.NewFlightServiceClient(v.dial())
	m := &testMemory{t: t}
	defer v.Share("a name", m)()
	ticket := &flight.Ticket{Ticket: []byte(`{"read":{"table":"several","filter":"k >= 0","batch_rows":300}}`)}
	ctx := metadata.AppendToOutgoingContext(context.Background(), headerMemory, "a name")
	stream, err := c.DoGet(ctx, ticket)
	check(t, err)
	r, err := flight.NewRecordReader(&resolved{t: t, stream: stream, memory: m})
	check(t, err)
	defer r.Release()
	plain, err := c.DoGet(context.Background(), ticket)
	check(t, err)
	p, err := flight.NewRecordReader(plain)
	check(t, err)
	defer p.Release()
	rows := 0
	for r.Next() {
		if !p.Next() || !array.RecordEqual(r.RecordBatch(), p.RecordBatch()) {
			t.Fatalf("the batch from row %d on is another than without memory", rows)
		}
		rows += int(r.RecordBatch().NumRows())
	}
	check(t, r.Err())
	if rows != 1000 || p.Next() || len(m.given) != 1 {
		t.Errorf("%d rows in %d files", rows, len(m.given))
	}
	// The file has no more than that, although it was longer before.
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		st, err := m.given[0].Stat()
		check(t, err)
		if st.Size() < 2*dirty {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the file has %d bytes", st.Size())
		}
	}
	// The name serves once.
	again, err := c.DoGet(ctx, ticket)
	check(t, err)
	if _, err := again.Recv(); status.Code(err) != codes.InvalidArgument {
		t.Errorf("with a name that was used: %v", err)
	}
}

// resolved is a stream whose bodies are read from where their notes say.
type resolved struct {
	t      *testing.T
	stream flight.FlightService_DoGetClient
	memory *testMemory
	rows   uint64
}

// Recv implements flight.DataStreamReader.
func (r *resolved) Recv() (*flight.FlightData, error) {
	d, err := r.stream.Recv()
	if err != nil || len(d.AppMetadata) == 0 {
		return d, err
	}
	if len(d.AppMetadata) != 24 || len(d.DataBody) != 0 {
		r.t.Errorf("a note of %d bytes, a body of %d", len(d.AppMetadata), len(d.DataBody))
	}
	at, size, rows := binary.LittleEndian.Uint64(d.AppMetadata), binary.LittleEndian.Uint64(d.AppMetadata[8:]), binary.LittleEndian.Uint64(d.AppMetadata[16:])
	if at%bodyAlign != 0 || rows < r.rows {
		r.t.Errorf("a body at %d, %d rows after %d", at, rows, r.rows)
	}
	r.rows = rows
	d.DataBody, d.AppMetadata = make([]byte, size), nil
	if _, err := r.memory.given[0].ReadAt(d.DataBody, int64(at)); err != nil {
		r.t.Error(err)
	}
	return d, nil
}

func TestSharedMemoryFails(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("this system has no device that is full")
	}
	v := serve(t)
	v.fillShared()
	ctx := metadata.AppendToOutgoingContext(context.Background(), headerMemory, "full")
	for _, read := range []string{`{"table":"several"}`, `{"table":"several","filter":"k >= 0"}`} {
		m := &testMemory{t: t, full: true}
		defer v.Share("full", m)()
		stream, err := flight.NewFlightServiceClient(v.dial()).DoGet(ctx, &flight.Ticket{Ticket: []byte(`{"read":` + read + `}`)})
		check(t, err)
		for err == nil {
			_, err = stream.Recv()
		}
		if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "no space left") {
			t.Errorf("memory that cannot be written: %v", err)
		}
	}
	// Whoever comes over the network has no memory in common with the server.
	tcp, err := grpc.NewClient(v.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	check(t, err)
	defer tcp.Close()
	stream, err := flight.NewFlightServiceClient(tcp).DoGet(ctx, &flight.Ticket{Ticket: []byte(`{"read":{"table":"several"}}`)})
	check(t, err)
	if _, err := stream.Recv(); status.Code(err) != codes.PermissionDenied {
		t.Errorf("over TCP: %v", err)
	}
}

// Reading gives all buffers back to the pool: a second read makes none.
func TestBuffersComeBack(t *testing.T) {
	pool := page.NewPool(1 << 20)
	counted := memory.NewCheckedAllocator(pool)
	defer counted.AssertSize(t, 0)
	build := array.NewInt64Builder(counted)
	for i := range 10_000 {
		build.Append(int64(i))
	}
	column := build.NewArray()
	build.Release()
	schema := arrow.NewSchema([]arrow.Field{{Name: "x", Type: arrow.PrimitiveTypes.Int64}}, nil)
	batch := array.NewRecordBatch(schema, []arrow.Array{column}, int64(column.Len()))
	column.Release()
	out := &batchSender{stream: discard{}}
	w := ipc.NewWriterWithPayloadWriter(out, ipc.WithSchema(schema))
	check(t, out.send(w, batch))
	batch.Release()
	check(t, w.Close())
}

// discard is a stream that encodes messages and drops them, as gRPC does when it has sent them.
type discard struct {
	flight.FlightService_DoGetServer
}

// SendMsg implements grpc.ServerStream.
func (discard) SendMsg(m any) error {
	b, err := newWireCodec(nil).Marshal(m)
	b.Free()
	return err
}
