package flight

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	pb "github.com/apache/arrow-go/v18/arrow/flight/gen/flight"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/stemmadb/stemma/internal/engine"
	"github.com/stemmadb/stemma/internal/page"
	"github.com/stemmadb/stemma/internal/server/mysql"
	"github.com/stemmadb/stemma/internal/value"
)

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
