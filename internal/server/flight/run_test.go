package flight

import (
	"context"
	"fmt"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/flight"
	"google.golang.org/grpc/metadata"
)

// TestRunOverDatabases: what a run reads in one database, in whatever way, is recorded with what it writes to another, though its calls
// have no session in common.
func TestRunOverDatabases(t *testing.T) {
	v := serveAll(t, []string{"raw", "clean"})
	conn := v.dial()
	c := sqlClient(conn)
	v.exec(c, "create table raw.prices (id int primary key)", "insert into raw.prices values (1), (2)", "create table raw.codes (id int primary key)",
		"insert into raw.codes values (1)", "create table raw.names (id int primary key)")
	of := func(db string) context.Context {
		return metadata.AppendToOutgoingContext(context.Background(), "stemma-run", "run-9", "stemma-database", db)
	}
	for _, query := range []string{"select count(*) from codes", "select id from names"} { // the second one needs no plan
		info, err := c.Execute(of("raw"), query)
		check(t, err)
		r, err := c.DoGet(of("raw"), info.Endpoint[0].Ticket)
		check(t, err)
		readAll(t, r)
	}
	stream, err := flight.NewFlightServiceClient(conn).DoGet(of("raw"), &flight.Ticket{Ticket: []byte(`{"read":{"table":"prices"}}`)})
	check(t, err)
	r, err := flight.NewRecordReader(stream)
	check(t, err)
	readAll(t, r)
	if _, err := write(conn, `{"write":{"table":"made","mode":"create","message":"m"}}`, ids(1, 2), false, "stemma-run", "run-9", "stemma-database", "clean"); err != nil {
		t.Fatal(err)
	}
	expect(t, v.query(c, "select db, table_name from clean.stemma_run_inputs order by 2"), "raw|codes", "raw|names", "raw|prices")
	expect(t, v.query(c, "select db, table_name from clean.stemma_run_outputs"), "clean|made")
	// Another run has read nothing.
	if _, err := write(conn, `{"write":{"table":"made","mode":"append","message":"m"}}`, ids(3), false, "stemma-run", "run-10", "stemma-database", "clean"); err != nil {
		t.Fatal(err)
	}
	expect(t, v.query(c, "select count(*) from clean.stemma_run_inputs"), "3")
}

// TestLoadsReplaceWhatIsKnown: of a table whose rows a frame has taken anew nothing is left of what statements have told.
func TestLoadsReplaceWhatIsKnown(t *testing.T) {
	v := serve(t)
	conn := v.dial()
	c := sqlClient(conn)
	v.exec(c, "create table src (id int primary key)", "insert into src values (1), (2)", "call dolt_commit('-Am', 'src')")
	for mode, told := range map[string]bool{"replace": false, "replace_rows": false, "merge": false, "append": true, "upsert": true} {
		run := metadata.AppendToOutgoingContext(context.Background(), "stemma-run", "run-"+mode)
		for _, q := range []string{"create table o_" + mode + " (id bigint primary key)", "insert into o_" + mode + " select id from src"} {
			_, err := c.ExecuteUpdate(run, q)
			check(t, err)
		}
		command := `{"write":{"table":"o_` + mode + `","mode":"` + mode + `","message":"m"}}`
		if _, err := write(conn, command, ids(7), false, "stemma-run", "run-"+mode); err != nil {
			t.Fatal(err)
		}
		expect(t, v.query(c, "select column_lineage is not null from stemma_run_outputs where table_name = 'o_"+mode+"'"), fmt.Sprint(told))
	}
}
