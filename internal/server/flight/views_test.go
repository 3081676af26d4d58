package flight

import (
	"context"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Views are read as tables are, at any ref; what needs rows of their own is refused.
func TestReadsOfViews(t *testing.T) {
	v := serve(t)
	conn := v.dial()
	c := sqlClient(conn)
	v.exec(c, "create table t (id int primary key, s varchar(9))", "insert into t values (1, 'a'), (2, 'b')", `create view v as select id + 10 as "k", s from t`,
		"call dolt_commit('-Am', 'one')", "insert into t values (3, 'c')", "create or replace view v as select id as k, s, 1 as one from t", "create view later as select id from t")
	read := func(ticket string, want ...string) {
		t.Helper()
		rows, _, err := v.read(conn, ticket)
		check(t, err)
		expect(t, rows, want...)
	}
	read(`{"read":{"table":"v"}}`, "1|a|1", "2|b|1", "3|c|1")
	read(`{"read":{"table":"V","ref":"HEAD"}}`, "11|a", "12|b")
	read(`{"read":{"table":"v","ref":"main","columns":["s","K"],"filter":"k > 11"}}`, "b|12")
	read(`{"read":{"table":"later","ref":"HEAD"}}`, "1", "2")
	read(`{"read":{"table":"v","filter":"k = 4 or s = 'b'","columns":["k"]}}`, "2")
	read(`{"read":{"table":"v","filter":"k > 1","range":{"from":0,"to":1}}}`, "2|b|1")
	read(`{"read":{"table":"v","range":{"from":0,"to":0}}}`)
	if _, schema, err := v.read(conn, `{"read":{"table":"v","ref":"HEAD"}}`); err != nil {
		t.Fatal(err)
	} else if m := schema.Metadata(); m.FindKey("stemma.commit") < 0 || m.FindKey("stemma.table_hash") >= 0 {
		t.Errorf("metadata %v", m)
	}
	for ticket, code := range map[string]codes.Code{
		`{"read":{"table":"v","columns":["nothing"]}}`:     codes.NotFound,
		`{"read":{"table":"v","range":{"from":1,"to":2}}}`: codes.Unimplemented,
		`{"read":{"table":"w"}}`:                           codes.NotFound,
	} {
		if _, _, err := v.read(conn, ticket); status.Code(err) != code {
			t.Errorf("%s: %v", ticket, err)
		}
	}
	if _, err := act(conn, "stemma.partitions", `{"table":"v","n":2}`); status.Code(err) != codes.Unimplemented || !strings.Contains(err.Error(), "v is a view") {
		t.Errorf("partitions: %v", err)
	}
	if got, err := act(conn, "stemma.resolve", `{"ref":"HEAD","table":"v"}`); err != nil || got["table"] != "v" || got["table_hash"] != nil {
		t.Errorf("resolve: %v, %v", got, err)
	}
	if _, err := write(conn, `{"write":{"table":"v","mode":"create"}}`, ids(1), false); status.Code(err) != codes.AlreadyExists {
		t.Errorf("a table of the name: %v", err)
	}
	if _, err := write(conn, `{"write":{"table":"v","mode":"replace"}}`, ids(1), false); status.Code(err) != codes.AlreadyExists {
		t.Errorf("a table of the name in place of none: %v", err)
	}

	ctx := context.Background()
	info, err := c.GetTables(ctx, &flightsql.GetTablesOpts{TableTypes: []string{"VIEW"}})
	check(t, err)
	expect(t, v.rows(c, info), "db||later|VIEW", "db||v|VIEW")
	v.exec(c, "create table u (a int)", "create view gone as select a from u", "drop table u")
	info, err = c.GetTables(ctx, &flightsql.GetTablesOpts{TableTypes: []string{"VIEW"}, IncludeSchema: true})
	check(t, err)
	r, err := c.DoGet(ctx, info.Endpoint[0].Ticket)
	check(t, err)
	defer r.Release()
	var got []string
	for r.Next() {
		b := r.RecordBatch()
		for i := range int(b.NumRows()) {
			s, err := flight.DeserializeSchema(b.Column(4).(*array.Binary).Value(i), memory.DefaultAllocator)
			check(t, err)
			name := b.Column(2).ValueStr(i)
			for _, f := range s.Fields() {
				name += " " + f.Name
			}
			got = append(got, name)
		}
	}
	expect(t, got, "gone", "later id", "v k s one")
}

// What a run reads through views are the tables below.
func TestRunReadsThroughViews(t *testing.T) {
	v := serve(t)
	conn := v.dial()
	c := sqlClient(conn)
	v.exec(c, "create table t (id int primary key)", "insert into t values (1)", "create view v as select id from t", "create view w as select id + 1 as k from v", "call dolt_commit('-Am', 'one')")
	of := metadata.AppendToOutgoingContext(context.Background(), "stemma-run", "run-1")
	for _, ticket := range []string{`{"read":{"table":"w"}}`, `{"read":{"table":"w","ref":"main"}}`} {
		stream, err := flight.NewFlightServiceClient(conn).DoGet(of, &flight.Ticket{Ticket: []byte(ticket)})
		check(t, err)
		r, err := flight.NewRecordReader(stream)
		check(t, err)
		expect(t, readAll(t, r), "2")
	}
	expect(t, v.query(c, "select table_name, ref_asked is null, table_hash like concat(dolt_hashof_table('t'), '%'), commit_hash like concat(hashof('main'), '%'), left(query_text, 24) from stemma_run_inputs order by 2"),
		"t|false|true|true|SELECT * FROM `w` AS OF ", "t|true|true|true|SELECT * FROM `w`")
}
