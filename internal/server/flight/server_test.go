package flight

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
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
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
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
	"github.com/stemmadb/stemma/internal/page"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/server/mysql"
	"github.com/stemmadb/stemma/internal/value"
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

func TestStatements(t *testing.T) {
	v := serve(t)
	c := sqlClient(v.dial())
	ctx := context.Background()
	v.exec(c, "create table t (id int primary key, s varchar(10))", "insert into t values (1,'a'),(2,NULL),(3,'c')")
	expect(t, v.query(c, `select "id", s from t where id > 1`), "2|NULL", "3|c") // " is not a string
	n, err := c.ExecuteUpdate(ctx, "update t set s = 'x' where id < 3")
	if err != nil || n != 2 {
		t.Errorf("%d rows, %v", n, err)
	}
	// The query path runs a statement that changes something once, and only when its rows are taken.
	info, err := c.Execute(ctx, "insert into t values (4,'d')")
	check(t, err)
	expect(t, v.query(c, "select count(*) from t"), "3")
	expect(t, v.rows(c, info))
	expect(t, v.query(c, "select count(*) from t"), "4")
	if r, err := c.DoGet(ctx, info.Endpoint[0].Ticket); err == nil {
		r.Release()
		t.Error("the statement ran twice")
	}
	expect(t, v.query(c, "select count(*) from t"), "4")
	if _, err := c.Execute(ctx, "select 1; select 2"); status.Code(err) != codes.InvalidArgument {
		t.Errorf("two statements: %v", err)
	}
	schema, err := c.GetExecuteSchema(ctx, "select id, s from t")
	check(t, err)
	got, err := flight.DeserializeSchema(schema.Schema, memory.DefaultAllocator)
	check(t, err)
	if f := got.Fields(); len(f) != 2 || f[0].Type.ID() != arrow.INT32 || f[1].Type.ID() != arrow.STRING || f[1].Name != "s" {
		t.Errorf("%v", got)
	}
}

func TestPrepared(t *testing.T) {
	v := serve(t)
	c := sqlClient(v.dial())
	ctx := context.Background()
	v.exec(c, "create table t (id bigint primary key, s varchar(10))")
	p, err := c.Prepare(ctx, "insert into t values (?, ?)")
	check(t, err)
	if p.ParameterSchema().NumFields() != 2 {
		t.Errorf("parameters: %v", p.ParameterSchema())
	}
	params := func(id int64, s ...string) arrow.RecordBatch {
		b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema([]arrow.Field{{Name: "a", Type: arrow.PrimitiveTypes.Int64}, {Name: "b", Type: arrow.BinaryTypes.String}}, nil))
		defer b.Release()
		for i, x := range s {
			b.Field(0).(*array.Int64Builder).Append(id + int64(i))
			b.Field(1).(*array.StringBuilder).Append(x)
		}
		return b.NewRecordBatch()
	}
	p.SetParameters(params(1, "it's", `b\`, "ü"))
	if n, err := p.ExecuteUpdate(ctx); err != nil || n != 3 {
		t.Errorf("%d, %v", n, err)
	}
	p.SetParameters(params(4, "new", "x"))
	if _, err := p.ExecuteUpdate(ctx); err != nil {
		t.Error(err)
	}
	p.SetParameters(params(6, "fine", "much too long for it"))
	if _, err := p.ExecuteUpdate(ctx); err == nil {
		t.Error("too long a text was written")
	}
	check(t, p.Close(ctx))
	expect(t, v.query(c, "select * from t"), "1|it's", `2|b\`, "3|ü", "4|new", "5|x") // all or none of a batch
	q, err := c.Prepare(ctx, "select id from t where s = ?")
	check(t, err)
	defer q.Close(ctx)
	one := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema([]arrow.Field{{Name: "a", Type: arrow.BinaryTypes.String}}, nil))
	one.Field(0).(*array.StringBuilder).Append("it's")
	q.SetParameters(one.NewRecordBatch())
	info, err := q.Execute(ctx)
	check(t, err)
	expect(t, v.rows(c, info), "1")
}

func TestTransactions(t *testing.T) {
	v := serve(t)
	conn := v.dial()
	c := sqlClient(conn)
	ctx := context.Background()
	v.exec(c, "create table t (id bigint primary key)")
	tx, err := c.BeginTransaction(ctx)
	check(t, err)
	if _, err := tx.ExecuteUpdate(ctx, "insert into t values (1)"); err != nil {
		t.Fatal(err)
	}
	// A write of the same transaction sees it, and is seen.
	if _, err := write(conn, `{"write":{"table":"t","mode":"append"}}`, ids(1), false, "stemma-transaction", string(tx.ID())); status.Code(err) != codes.AlreadyExists {
		t.Errorf("a key that is there: %v", err)
	}
	out, err := write(conn, `{"write":{"table":"t","mode":"append"}}`, ids(2), false, "stemma-transaction", string(tx.ID()))
	check(t, err)
	if out["inserted"] != 1.0 {
		t.Errorf("%v", out)
	}
	info, err := tx.Execute(ctx, "select * from t")
	check(t, err)
	expect(t, v.rows(c, info), "1", "2")
	expect(t, v.query(c, "select * from t"))
	sp, err := tx.BeginSavepoint(ctx, "here")
	check(t, err)
	_, err = tx.ExecuteUpdate(ctx, "delete from t")
	check(t, err)
	check(t, tx.RollbackSavepoint(ctx, sp))
	check(t, tx.Commit(ctx))
	expect(t, v.query(c, "select * from t"), "1", "2")
	if tx, err = c.BeginTransaction(ctx); err != nil {
		t.Fatal(err)
	}
	_, err = tx.ExecuteUpdate(ctx, "delete from t")
	check(t, err)
	check(t, tx.Rollback(ctx))
	expect(t, v.query(c, "select * from t"), "1", "2")
	// A transaction with a message ends with a version commit of what it wrote.
	v.exec(c, "create table other (id int primary key)")
	begun, err := act(conn, "stemma.begin", `{"message":"two writes","metadata":{"k":1}}`)
	check(t, err)
	id := begun["transaction"].(string)
	for i, table := range []string{"t", "u"} {
		_, err := write(conn, fmt.Sprintf(`{"write":{"table":%q,"mode":"upsert","primary_key":["id"]}}`, table), ids(int64(i), 7), false, "stemma-transaction", id)
		check(t, err)
	}
	ended, err := act(conn, "stemma.end", fmt.Sprintf(`{"transaction":%q}`, id))
	check(t, err)
	if s, _ := ended["commit"].(string); len(s) != 52 {
		t.Errorf("%v", ended)
	}
	expect(t, v.query(c, "select message from dolt_log limit 1"), "two writes")
	expect(t, v.query(c, "select * from t as of 'HEAD'"), "0", "1", "2", "7")
	expect(t, v.query(c, "select table_name from dolt_status"), "other")
	if _, err := act(conn, "stemma.end", fmt.Sprintf(`{"transaction":%q}`, id)); status.Code(err) != codes.NotFound {
		t.Errorf("ended twice: %v", err)
	}
}

func TestIngest(t *testing.T) {
	v := serve(t)
	c := sqlClient(v.dial())
	ctx := context.Background()
	ingest := func(ifMissing, ifThere int32, headers []string, values ...int64) error {
		r, err := array.NewRecordReader(ids(values...)[0].Schema(), ids(values...))
		check(t, err)
		_, err = c.ExecuteIngest(metadata.AppendToOutgoingContext(ctx, headers...), r, &flightsql.ExecuteIngestOpts{
			TableDefinitionOptions: &flightsql.TableDefinitionOptions{
				IfNotExist: pb.CommandStatementIngest_TableDefinitionOptions_TableNotExistOption(ifMissing),
				IfExists:   pb.CommandStatementIngest_TableDefinitionOptions_TableExistsOption(ifThere),
			}, Table: "t",
		})
		return err
	}
	const create, fail, add, replace = 1, 1, 2, 3
	if err := ingest(2, add, nil, 1); status.Code(err) != codes.NotFound {
		t.Errorf("append to no table: %v", err)
	}
	check(t, ingest(create, fail, []string{"stemma-primary-key", "id"}, 3, 1))
	if err := ingest(create, fail, nil, 1); status.Code(err) != codes.AlreadyExists {
		t.Errorf("create again: %v", err)
	}
	check(t, ingest(2, add, nil, 2))
	expect(t, v.query(c, "select * from t"), "1", "2", "3")
	check(t, ingest(create, add, []string{"stemma-mode", "merge"}, 2, 9))
	expect(t, v.query(c, "select * from t"), "2", "9")
	check(t, ingest(create, replace, nil, 5))
	expect(t, v.query(c, "select * from t"), "5")
	expect(t, v.query(c, "select column_name from information_schema.columns where table_name = 't' and column_key = 'PRI'"), "id")
}

func TestCatalog(t *testing.T) {
	v := serve(t)
	c := sqlClient(v.dial())
	ctx := context.Background()
	v.exec(c, "create table p (a int, b varchar(5), primary key (b, a))", "create table c (id int primary key, x varchar(5), y int, constraint f foreign key (x, y) references p (b, a) on delete cascade)")
	get := func(info *flight.FlightInfo, err error) []string {
		t.Helper()
		check(t, err)
		return v.rows(c, info)
	}
	expect(t, get(c.GetCatalogs(ctx)), "db")
	expect(t, get(c.GetDBSchemas(ctx, &flightsql.GetDBSchemasOpts{})), "db|")
	expect(t, get(c.GetTableTypes(ctx)), "TABLE", "VIEW")
	expect(t, get(c.GetTables(ctx, &flightsql.GetTablesOpts{})), "db||c|TABLE", "db||p|TABLE")
	like := "_"
	expect(t, get(c.GetTables(ctx, &flightsql.GetTablesOpts{TableNameFilterPattern: &like, TableTypes: []string{"TABLE"}})), "db||c|TABLE", "db||p|TABLE")
	expect(t, get(c.GetTables(ctx, &flightsql.GetTablesOpts{TableTypes: []string{"VIEW"}})))
	none := "x"
	expect(t, get(c.GetTables(ctx, &flightsql.GetTablesOpts{Catalog: &none})))
	info, err := c.GetTables(ctx, &flightsql.GetTablesOpts{IncludeSchema: true})
	check(t, err)
	r, err := c.DoGet(ctx, info.Endpoint[0].Ticket)
	check(t, err)
	defer r.Release()
	for r.Next() {
		for i, want := range []string{"id x y", "a b"} {
			s, err := flight.DeserializeSchema(r.RecordBatch().Column(4).(*array.Binary).Value(i), memory.DefaultAllocator)
			check(t, err)
			var names []string
			for _, f := range s.Fields() {
				names = append(names, f.Name)
			}
			if got := strings.Join(names, " "); got != want {
				t.Errorf("columns of table %d: %s", i, got)
			}
		}
	}
	expect(t, get(c.GetPrimaryKeys(ctx, flightsql.TableRef{Table: "p"})), "db||p|b|1|PRIMARY", "db||p|a|2|PRIMARY")
	keys := []string{"db||p|b|db||c|x|1|f|NULL|3|0", "db||p|a|db||c|y|2|f|NULL|3|0"}
	expect(t, get(c.GetImportedKeys(ctx, flightsql.TableRef{Table: "c"})), keys...)
	expect(t, get(c.GetExportedKeys(ctx, flightsql.TableRef{Table: "p"})), keys...)
	expect(t, get(c.GetExportedKeys(ctx, flightsql.TableRef{Table: "c"})))
	expect(t, get(c.GetCrossReference(ctx, flightsql.TableRef{Table: "p"}, flightsql.TableRef{Table: "c"})), keys...)
	info, err = c.GetPrimaryKeys(ctx, flightsql.TableRef{Table: "nope"})
	check(t, err)
	if _, err := c.DoGet(ctx, info.Endpoint[0].Ticket); status.Code(err) != codes.NotFound {
		t.Errorf("keys of no table: %v", err)
	}
	if got := get(c.GetXdbcTypeInfo(ctx, nil)); len(got) != len(xdbcTypes) {
		t.Errorf("%d types", len(got))
	}
	code := int32(93)
	if got := get(c.GetXdbcTypeInfo(ctx, &code)); len(got) != 2 || !strings.HasPrefix(got[0], "DATETIME|93|") {
		t.Errorf("%q", got)
	}
	got := get(c.GetSqlInfo(ctx, []flightsql.SqlInfo{flightsql.SqlInfoFlightSqlServerName, flightsql.SqlInfoFlightSqlServerVersion}))
	if !strings.Contains(strings.Join(got, " "), "stemma") || !strings.Contains(strings.Join(got, " "), "1.2.3") {
		t.Errorf("%q", got)
	}
}

func TestSessionOptions(t *testing.T) {
	v := serve(t)
	conn := v.dial()
	c := sqlClient(conn)
	v.exec(c, "create table t (id int primary key)", "insert into t values (1)", "call dolt_commit('-Am', 'one')", "insert into t values (2)")
	var header metadata.MD
	options, err := flight.NewSessionOptionValues(map[string]any{"ref": "HEAD~0", "colour": "red", "branch": int64(3)})
	check(t, err)
	set, err := c.SetSessionOptions(context.Background(), &flight.SetSessionOptionsRequest{SessionOptions: options}, grpc.Header(&header))
	check(t, err)
	if set.Errors["colour"].GetValue() != flight.SetSessionOptionsResultErrorInvalidName || set.Errors["branch"].GetValue() != flight.SetSessionOptionsResultErrorInvalidValue || set.Errors["ref"] != nil {
		t.Errorf("%v", set)
	}
	cookie := header.Get("set-cookie")
	if len(cookie) != 1 {
		t.Fatalf("%v", header)
	}
	ctx := metadata.AppendToOutgoingContext(context.Background(), "cookie", cookie[0])
	info, err := c.Execute(ctx, "select * from t")
	check(t, err)
	r, err := c.DoGet(ctx, info.Endpoint[0].Ticket)
	check(t, err)
	expect(t, readAll(t, r), "1")
	got, err := c.GetSessionOptions(ctx, &flight.GetSessionOptionsRequest{})
	check(t, err)
	if got.SessionOptions["ref"].GetStringValue() != "HEAD~0" || got.SessionOptions["catalog"].GetStringValue() != "db" {
		t.Errorf("%v", got)
	}
	if _, err := c.CloseSession(ctx, &flight.CloseSessionRequest{}); err != nil {
		t.Error(err)
	}
	expect(t, v.query(c, "select * from t"), "1", "2")
}

func TestAccounts(t *testing.T) {
	v := serve(t)
	v.exec(sqlClient(v.dial()), "create table t (id int primary key)", "create table secret (id int primary key)", "insert into t values (1)",
		"create user ann identified by 'p:w'", "grant select on db.t to ann")
	conn, err := grpc.NewClient(v.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	check(t, err)
	defer conn.Close()
	c := sqlClient(conn)
	basic := func(user, password string) context.Context {
		return metadata.AppendToOutgoingContext(context.Background(), "authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
	}
	for _, ctx := range []context.Context{basic("ann", ""), basic("ann", "x"), basic("nobody", "p:w"), basic(mysql.OwnerName, ""),
		metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer guess")} {
		if _, err := c.Execute(ctx, "select 1"); status.Code(err) != codes.Unauthenticated {
			t.Errorf("%v", err)
		}
	}
	ctx, err := c.Client.AuthenticateBasicToken(context.Background(), "ann", "p:w")
	check(t, err)
	info, err := c.Execute(ctx, "select current_user(), id from t")
	check(t, err)
	r, err := c.DoGet(ctx, info.Endpoint[0].Ticket)
	check(t, err)
	expect(t, readAll(t, r), "ann@%|1")
	if _, err := c.Execute(ctx, "select * from secret"); status.Code(err) != codes.PermissionDenied {
		t.Errorf("%v", err)
	}
	denied := func(what string, err error) {
		t.Helper()
		if status.Code(err) != codes.PermissionDenied {
			t.Errorf("%s: %v", what, err)
		}
	}
	md, _ := metadata.FromOutgoingContext(ctx)
	bearer := md.Get("authorization")[0]
	stream, err := c.Client.DoGet(ctx, &flight.Ticket{Ticket: []byte(`{"read":{"table":"secret"}}`)})
	check(t, err)
	_, err = stream.Recv()
	denied("read", err)
	_, err = write(conn, `{"write":{"table":"t","mode":"append"}}`, ids(2), false, "authorization", bearer)
	denied("append", err)
	_, err = write(conn, `{"write":{"table":"u","mode":"create"}}`, ids(2), false, "authorization", bearer)
	denied("create", err)
	a, err := c.Client.DoAction(ctx, &flight.Action{Type: "stemma.op", Body: []byte(`{"op":"log"}`)})
	check(t, err)
	_, err = a.Recv()
	denied("op", err)
	tables, err := c.GetTables(ctx, &flightsql.GetTablesOpts{})
	check(t, err)
	tr, err := c.DoGet(ctx, tables.Endpoint[0].Ticket)
	check(t, err)
	expect(t, readAll(t, tr), "db||t|TABLE")
}

// TestNoCredentials: a call without credentials is root's, who needs none until there is a password.
func TestNoCredentials(t *testing.T) {
	v := serve(t)
	conn, err := grpc.NewClient(v.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	check(t, err)
	defer conn.Close()
	c := sqlClient(conn)
	info, err := c.Execute(context.Background(), "select 1 a")
	check(t, err)
	r, err := c.DoGet(context.Background(), info.Endpoint[0].Ticket)
	check(t, err)
	expect(t, readAll(t, r), "1")
	v.exec(sqlClient(v.dial()), "alter user root@localhost identified by 'pw'")
	if _, err := c.Execute(context.Background(), "select 1"); status.Code(err) != codes.Unauthenticated {
		t.Errorf("%v", err)
	}
}

// TestPlainSelects: statements that only read a table are answered as SQL answers them, and others are left to it.
func TestPlainSelects(t *testing.T) {
	v := serve(t)
	conn := v.dial()
	c := sqlClient(conn)
	v.exec(c, "create table t (id int primary key, `S` varchar(10), g int as (id + 1) virtual)", "create table p (id int primary key, `S` varchar(10))",
		"insert into t (id, s) values (2,'b'),(1,'a')", "insert into p values (2,'b'),(1,'a')", "call dolt_commit('-Am', 'x')", "insert into p values (3,'c')")
	for query, plain := range map[string]bool{
		"select * from p": true, `select "S", p.id from p;`: true, "select id from db.p as of 'HEAD'": true, "select x.* from p x": true, "select id, id from p": true,
		"select * from p as of 'main'": true, "select s from p": false, "select id as k from p": false, "select id from p limit 1": false, "select id from p where id = 1": false,
		"select distinct id from p": false, "select id + 1 from p": false, "select * from p, t": false, "select * from t": false, "select id from t": true,
		"select * from dolt_log": false, "select * from nope": false, "select * from p order by id": false, "select * from (select * from p) x": false, "select * from p for update": false,
	} {
		h, err := v.engine.Connect(context.Background(), engine.ClientOptions{User: mysql.OwnerName, Host: "localhost", Database: "db"})
		check(t, err)
		s := v.service
		scan, _ := s.plain(context.Background(), &call{s: s, caller: &caller{trusted: true}}, &held{h, h.Close}, query)
		if (scan != nil) != plain {
			t.Fatalf("%s: plain %v", query, scan != nil)
		}
		if !plain {
			h.Close()
			continue
		}
		scan.Close()
		rows, err := h.Query(context.Background(), query, nil)
		check(t, err)
		var names []string
		for _, col := range rows.Columns {
			names = append(names, col.Name)
		}
		src := &rowSource{rows: 10, answer: rows, batcher: page.NewRowBatcher(s.pool, batchColumns(rows.Columns, false), 10, nil), cells: make([]value.Cell, len(rows.Columns)), held: &held{h, h.Close}}
		b, err := src.Next(context.Background())
		check(t, err)
		want := textRows(b)
		check(t, src.Close())
		info, err := c.Execute(context.Background(), query)
		check(t, err)
		expect(t, v.rows(c, info), want...)
		schema, err := flight.DeserializeSchema(info.Schema, memory.DefaultAllocator)
		check(t, err)
		for i, f := range schema.Fields() {
			if f.Name != names[i] {
				t.Errorf("%s: column %s, want %s", query, f.Name, names[i])
			}
		}
	}
}

func TestCancel(t *testing.T) {
	v := serve(t)
	c := sqlClient(v.dial())
	ctx := context.Background()
	v.exec(c, "create table t (id int primary key)")
	info, err := c.Execute(ctx, "select sleep(60)")
	check(t, err)
	ended := make(chan error, 1)
	go func() {
		r, err := c.DoGet(ctx, info.Endpoint[0].Ticket)
		if err == nil {
			for r.Next() {
			}
			err = r.Err()
			r.Release()
		}
		ended <- err
	}()
	for {
		got, err := c.CancelFlightInfo(ctx, &flight.CancelFlightInfoRequest{Info: info})
		check(t, err)
		if got.Status == flight.CancelStatusCancelled {
			break
		}
		time.Sleep(time.Millisecond) // it has not begun
	}
	select {
	case err := <-ended:
		if status.Code(err) != codes.Canceled {
			t.Errorf("%v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the query goes on")
	}
	if info, err = c.Execute(ctx, "insert into t values (1)"); err != nil {
		t.Fatal(err)
	}
	if got, err := c.CancelFlightInfo(ctx, &flight.CancelFlightInfoRequest{Info: info}); err != nil || got.Status != flight.CancelStatusCancelled {
		t.Errorf("%v, %v", got, err)
	}
	if r, err := c.DoGet(ctx, info.Endpoint[0].Ticket); err == nil {
		r.Release()
		t.Error("a cancelled statement ran")
	}
	expect(t, v.query(c, "select count(*) from t"), "0")
}

// TestTLS: passwords cross encrypted where that is required, and accounts that require it are not let in otherwise.
func TestTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	check(t, err)
	certificate, err := x509.ParseCertificate(der)
	check(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	v := serve(t, func(o *Options) {
		o.RequireTLS, o.TLS = true, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	})
	v.exec(sqlClient(v.dial()), "create user ann identified by 'pw' require ssl")
	conn, err := grpc.NewClient(v.Addr().String(), grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: roots, ServerName: "localhost"})))
	check(t, err)
	defer conn.Close()
	c := sqlClient(conn)
	ctx, err := c.Client.AuthenticateBasicToken(context.Background(), "ann", "pw")
	check(t, err)
	if _, err := c.Execute(ctx, "select 1"); err != nil {
		t.Error(err)
	}
	plain, err := grpc.NewClient(v.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	check(t, err)
	defer plain.Close()
	if _, err := sqlClient(plain).Execute(context.Background(), "select 1"); status.Code(err) != codes.Unavailable {
		t.Errorf("without TLS: %v", err)
	}
	if _, err := New(Options{Engine: v.engine, RequireTLS: true}); err == nil {
		t.Error("TLS is required without a certificate")
	}
}
