package flight

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	pb "github.com/apache/arrow-go/v18/arrow/flight/gen/flight"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/engine"
	"github.com/stemmadb/stemma/internal/engine/fn"
	"github.com/stemmadb/stemma/internal/engine/proc"
	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/engine/systab"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/op"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/server/mysql"
	"github.com/stemmadb/stemma/internal/vfs"
)

// served is an Arrow server over a database in memory, and beside it the server of MySQL's protocol that looks after the accounts.
type served struct {
	*Server
	t      testing.TB
	repo   *repo.Repo
	engine *engine.Engine
}

func serve(t testing.TB, change ...func(*Options)) *served {
	t.Helper()
	return serveAll(t, nil, change...)
}

// serveAll is serve with more databases of these names beside db.
func serveAll(t testing.TB, more []string, change ...func(*Options)) *served {
	t.Helper()
	return serveOn(t, vfs.NewMem(), more, change...)
}

// serveOn is serveAll on a file system; a database that is there already is opened as it is.
func serveOn(t testing.TB, fs vfs.FS, more []string, change ...func(*Options)) *served {
	t.Helper()
	ctx := context.Background()
	me := op.Author{Name: "tester", Email: "t@example.com"}
	if err := repo.Init(ctx, fs, "/data/db", repo.InitOptions{}); !errs.Is(err, errs.Exists) {
		check(t, err)
	}
	r, err := repo.Open(ctx, fs, "/data/db", repo.Options{})
	check(t, err)
	all := []*repo.Repo{r}
	for _, name := range more {
		check(t, repo.Init(ctx, fs, "/data/"+name, repo.InitOptions{}))
		r, err := repo.Open(ctx, fs, "/data/"+name, repo.Options{})
		check(t, err)
		all = append(all, r)
	}
	procs := proc.New(op.All(), "1.2.3")
	e, err := engine.New(ctx, engine.Options{Repos: all, Registries: registry.Registries{
		SystemTables: systab.Tables(), Functions: fn.Functions(fn.Versions{}), TableFunctions: systab.Functions(), Procedures: procs.Procedures(),
	}})
	check(t, err)
	m, err := mysql.New(ctx, mysql.Options{Engine: e, FS: fs, Privileges: "/data/db/.stemma/privileges.db"})
	check(t, err)
	opt := Options{
		Engine: e, Address: "127.0.0.1:0", Owner: mysql.OwnerName, Default: "db", Version: "1.2.3", Specs: op.All(),
		Scope: func(string) (*op.Scope, error) {
			return &op.Scope{FS: fs, Repo: r, Dir: "/data/db", Clock: clock.System{}, Author: me}, nil
		},
	}
	for _, f := range change {
		f(&opt)
	}
	s, err := New(opt)
	check(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		s.Shut(ctx)
		check(t, m.Shut(ctx))
		check(t, e.Close(ctx))
		for _, r := range all {
			check(t, r.Close(ctx))
		}
	})
	return &served{s, t, r, e}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// dial is a connection as the owner's socket gives one: nobody is asked for a password.
func (v *served) dial() *grpc.ClientConn {
	v.t.Helper()
	conn, err := grpc.NewClient("passthrough:owner", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<30)),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			here, there := net.Pipe()
			return here, v.Serve(there)
		}))
	check(v.t, err)
	v.t.Cleanup(func() { conn.Close() })
	return conn
}

// sqlClient is the Flight SQL client of arrow-go on a connection.
func sqlClient(conn *grpc.ClientConn) *flightsql.Client {
	return &flightsql.Client{Client: flight.NewClientFromConn(conn, nil), Alloc: memory.DefaultAllocator}
}

// rows reads all that the endpoints of a FlightInfo give, as text.
func (v *served) rows(c *flightsql.Client, info *flight.FlightInfo) []string {
	v.t.Helper()
	var out []string
	for _, e := range info.Endpoint {
		r, err := c.DoGet(context.Background(), e.Ticket)
		check(v.t, err)
		out = append(out, readAll(v.t, r)...)
		r.Release()
	}
	return out
}

func readAll(t testing.TB, r *flight.Reader) []string {
	t.Helper()
	var out []string
	for r.Next() {
		out = append(out, textRows(r.RecordBatch())...)
	}
	check(t, r.Err())
	return out
}

func textRows(b arrow.RecordBatch) []string {
	var out []string
	for i := range int(b.NumRows()) {
		var cells []string
		for _, c := range b.Columns() {
			if c.IsNull(i) {
				cells = append(cells, "NULL")
			} else {
				cells = append(cells, c.ValueStr(i))
			}
		}
		out = append(out, strings.Join(cells, "|"))
	}
	return out
}

func (v *served) query(c *flightsql.Client, query string) []string {
	v.t.Helper()
	info, err := c.Execute(context.Background(), query)
	check(v.t, err)
	return v.rows(c, info)
}

func (v *served) exec(c *flightsql.Client, queries ...string) {
	v.t.Helper()
	for _, q := range queries {
		if _, err := c.ExecuteUpdate(context.Background(), q); err != nil {
			v.t.Fatalf("%s: %v", q, err)
		}
	}
}

// read reads a ticket in JSON.
func (v *served) read(conn *grpc.ClientConn, ticket string) ([]string, *arrow.Schema, error) {
	stream, err := flight.NewFlightServiceClient(conn).DoGet(context.Background(), &flight.Ticket{Ticket: []byte(ticket)})
	if err != nil {
		return nil, nil, err
	}
	r, err := flight.NewRecordReader(stream)
	if err != nil {
		return nil, nil, err
	}
	defer r.Release()
	var out []string
	for r.Next() {
		out = append(out, textRows(r.RecordBatch())...)
	}
	return out, r.Schema(), r.Err()
}

// act runs an action.
func act(conn *grpc.ClientConn, name, body string) (map[string]any, error) {
	stream, err := flight.NewFlightServiceClient(conn).DoAction(context.Background(), &flight.Action{Type: name, Body: []byte(body)})
	if err != nil {
		return nil, err
	}
	r, err := stream.Recv()
	if err != nil {
		return nil, err
	}
	out := map[string]any{}
	return out, json.Unmarshal(r.Body, &out)
}

// write sends a frame with a command in JSON. cut hangs up before its end.
func write(conn *grpc.ClientConn, command string, batches []arrow.RecordBatch, cut bool, headers ...string) (map[string]any, error) {
	ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(context.Background(), headers...))
	defer cancel()
	stream, err := flight.NewFlightServiceClient(conn).DoPut(ctx)
	if err != nil {
		return nil, err
	}
	w := flight.NewRecordWriter(stream, ipc.WithSchema(batches[0].Schema()))
	w.SetFlightDescriptor(&flight.FlightDescriptor{Type: pb.FlightDescriptor_CMD, Cmd: []byte(command)})
	for _, b := range batches {
		if err := w.Write(b); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
	}
	if cut {
		cancel()
		_, err := stream.Recv()
		return nil, err
	}
	if err := errors.Join(w.Close(), stream.CloseSend()); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	r, err := stream.Recv()
	if err != nil {
		return nil, err
	}
	out := map[string]any{}
	return out, json.Unmarshal(r.AppMetadata, &out)
}

// ids is a frame of one column.
func ids(values ...int64) []arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}}, nil))
	defer b.Release()
	b.Field(0).(*array.Int64Builder).AppendValues(values, nil)
	return []arrow.RecordBatch{b.NewRecordBatch()}
}

func expect(t testing.TB, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("have %q, want %q", got, want)
	}
}

// details is what the trailer says of an error of a unary call or action.
func details(t testing.TB, err error) detail {
	t.Helper()
	for _, d := range status.Convert(err).Details() {
		if b, ok := d.(interface{ GetValue() []byte }); ok {
			var out detail
			check(t, json.Unmarshal(b.GetValue(), &out))
			return out
		}
	}
	t.Fatalf("no details: %v", err)
	return detail{}
}
