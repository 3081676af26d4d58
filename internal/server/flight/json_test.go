package flight

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/flight"
	pb "github.com/apache/arrow-go/v18/arrow/flight/gen/flight"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// TestTypes: a value of every type comes out of a read and of a query alike, in the type that the design says.
func TestTypes(t *testing.T) {
	v := serve(t)
	conn := v.dial()
	c := sqlClient(conn)
	columns := []struct{ name, sql, value, arrow, text string }{
		{"i8", "tinyint", "-128", "int8", "-128"}, {"i16", "smallint", "-5", "int16", "-5"}, {"i24", "mediumint", "-8388608", "int32", "-8388608"},
		{"i32", "int", "7", "int32", "7"}, {"i64", "bigint", "-9223372036854775808", "int64", "-9223372036854775808"},
		{"u8", "tinyint unsigned", "255", "uint8", "255"}, {"u16", "smallint unsigned", "65535", "uint16", "65535"}, {"u24", "mediumint unsigned", "16777215", "uint32", "16777215"},
		{"u32", "int unsigned", "4294967295", "uint32", "4294967295"}, {"u64", "bigint unsigned", "18446744073709551615", "uint64", "18446744073709551615"},
		{"b", "boolean", "true", "bool", "true"}, {"bits", "bit(9)", "b'100000001'", "uint64", "257"}, {"y", "year", "2026", "uint16", "2026"},
		{"f", "float", "1.5", "float32", "1.5"}, {"d", "double", "-0.1", "float64", "-0.1"},
		{"n", "decimal(10,2)", "-12345678.95", "decimal(10, 2)", "-12345678.95"}, {"nn", "decimal(30,4)", "12345678901234567890.1234", "decimal(30, 4)", "12345678901234567890.1234"},
		{"nnn", "decimal(60,1)", "123456789012345678901234567890123456789012345678.5", "decimal256(60, 1)", "123456789012345678901234567890123456789012345678.5"},
		{"da", "date", "'2026-11-29'", "date32", "2026-11-29"}, {"ti", "time(3)", "'-01:02:03.004'", "duration[us]", "-3723004000us"},
		{"dt", "datetime(6)", "'1969-07-20 20:17:40.000001'", "timestamp[us]", "1969-07-20 20:17:40.000001"},
		{"ts", "timestamp(3)", "'2026-01-02 03:04:05.678'", "timestamp[us, tz=UTC]", "2026-01-02 03:04:05.678Z"},
		{"e", "enum('red','green')", "'green'", "dictionary<values=utf8, indices=int16, ordered=false>", "green"}, {"st", "set('x','y')", "'x,y'", "utf8", "x,y"},
		{"ch", "char(5)", "'ab'", "utf8", "ab"}, {"vc", "varchar(20)", "'😀'", "utf8", "😀"}, {"tx", "text", "''", "utf8", ""}, {"lt", "longtext", "'long'", "large_utf8", "long"},
		{"j", "json", `'{"b": [1, null], "a": "x"}'`, "large_utf8", `{"a":"x","b":[1,null]}`},
		{"bi", "binary(3)", "'a'", "binary", "YQAA"}, {"vb", "varbinary(5)", "x'00ff'", "binary", "AP8="}, {"lb", "longblob", "'z'", "large_binary", "eg=="},
	}
	var defs, names, values []string
	for _, x := range columns {
		defs, names, values = append(defs, x.name+" "+x.sql), append(names, x.name), append(values, x.value)
	}
	v.exec(c, "create table t (id int primary key, "+strings.Join(defs, ", ")+")", "insert into t (id, "+strings.Join(names, ", ")+") values (1, "+strings.Join(values, ", ")+")", "insert into t (id) values (2)")
	list, err := json.Marshal(names)
	check(t, err)
	for _, folded := range []bool{false, true} {
		if folded {
			v.exec(c, "call dolt_commit('-Am', 'all')")
		}
		for what, ticket := range map[string]string{
			"read": fmt.Sprintf(`{"read":{"table":"t","columns":%s}}`, list), "filter": fmt.Sprintf(`{"read":{"table":"t","columns":%s,"filter":"id < 5"}}`, list),
			"query": fmt.Sprintf(`{"query":{"sql":"select %s from t order by id"}}`, strings.Join(names, ", ")),
		} {
			rows, schema, err := v.read(conn, ticket)
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			got := strings.Split(rows[0], "|")
			for i, x := range columns {
				f := schema.Field(i)
				// In a process that knows the extension type, it is the field's type; else metadata name it.
				dt := f.Type
				ext, _ := f.Metadata.GetValue("ARROW:extension:name")
				if e, ok := dt.(arrow.ExtensionType); ok {
					dt, ext = e.StorageType(), e.ExtensionName()
				}
				if f.Name != x.name || dt.String() != x.arrow {
					t.Errorf("%s: column %s is %s, want %s", what, f.Name, dt, x.arrow)
				}
				if text := strings.Replace(got[i], "T", " ", 1); text != x.text && got[i] != x.text {
					t.Errorf("%s: %s is %q, want %q", what, x.name, got[i], x.text)
				}
				if (ext == "arrow.json") != (x.sql == "json") {
					t.Errorf("%s: %s has the extension %q", what, x.name, ext)
				}
			}
			expect(t, rows[1:], strings.TrimSuffix(strings.Repeat("NULL|", len(columns)), "|"))
			// The description of what is not run says the same.
			info, err := c.Client.GetFlightInfo(context.Background(), &flight.FlightDescriptor{Type: pb.FlightDescriptor_CMD, Cmd: []byte(ticket)})
			check(t, err)
			described, err := flight.DeserializeSchema(info.Schema, memory.DefaultAllocator)
			check(t, err)
			if !described.Equal(schema) {
				t.Errorf("%s: described as %v, comes as %v", what, described, schema)
			}
			if what == "read" && info.TotalRecords != 2 {
				t.Errorf("%d records", info.TotalRecords)
			}
		}
	}
	// A write of what was read changes nothing.
	stream, err := flight.NewFlightServiceClient(conn).DoGet(context.Background(), &flight.Ticket{Ticket: []byte(`{"read":{"table":"t"}}`)})
	check(t, err)
	r, err := flight.NewRecordReader(stream)
	check(t, err)
	defer r.Release()
	var batches []arrow.RecordBatch
	for r.Next() {
		b := r.RecordBatch()
		b.Retain()
		batches = append(batches, b)
	}
	out, err := write(conn, `{"write":{"table":"t","mode":"merge"}}`, batches, false)
	check(t, err)
	if out["unchanged"] != 2.0 || out["updated"] != 0.0 {
		t.Errorf("%v", out)
	}
	out, err = write(conn, `{"write":{"table":"again","mode":"create","primary_key":["id"]}}`, batches, false)
	check(t, err)
	if out["inserted"] != 2.0 {
		t.Errorf("%v", out)
	}
	a, _, err := v.read(conn, `{"read":{"table":"t"}}`)
	check(t, err)
	b, _, err := v.read(conn, `{"read":{"table":"again"}}`)
	check(t, err)
	expect(t, b, a...)
	expect(t, v.query(c, "select group_concat(column_type order by ordinal_position) = (select group_concat(column_type order by ordinal_position) from information_schema.columns where table_name = 't') from information_schema.columns where table_name = 'again'"), "true")
}

func TestReads(t *testing.T) {
	v := serve(t)
	conn := v.dial()
	c := sqlClient(conn)
	v.exec(c, "create table k (a double, b varchar(20), c date, primary key (a, b, c))",
		`insert into k values (1.5,'a','2020-01-01'),(1.5,'it''s','2020-01-01'),(1.5,'\\','2020-01-02'),(2,'ü','2020-01-01'),(2,'ü','2020-01-03')`)
	v.exec(c, "create table t (id int primary key, s varchar(10))", "insert into t values (1,'a'),(2,'b'),(3,'c'),(4,'d'),(5,'e')", "call dolt_commit('-Am', 'five')",
		"delete from t where id = 2", "insert into t values (9, 'z')", "call dolt_branch('other')", "create table late (id int)")
	for ticket, want := range map[string][]string{
		`{"read":{"table":"T"}}`:                                                                       {"1|a", "3|c", "4|d", "5|e", "9|z"},
		`{"read":{"table":"t","ref":"HEAD"}}`:                                                          {"1|a", "2|b", "3|c", "4|d", "5|e"},
		`{"read":{"table":"t","ref":"main","range":{"from":1,"to":3}}}`:                                {"2|b", "3|c"},
		`{"read":{"table":"t","range":{"from":1,"to":3}}}`:                                             {"3|c", "4|d"},
		`{"read":{"table":"t","range":{"from":4,"to":99}}}`:                                            {"9|z"},
		`{"read":{"table":"t","range":{"from":7,"to":9}}}`:                                             nil,
		`{"read":{"table":"t","columns":["S","s"],"range":{"from":0,"to":1}}}`:                         {"a|a"},
		`{"read":{"table":"t","columns":[],"ref":"WORKING"}}`:                                          {"", "", "", "", ""},
		`{"read":{"table":"t","filter":"s > 'c' or id = 1"}}`:                                          {"1|a", "4|d", "5|e", "9|z"},
		`{"read":{"table":"t","filter":"id = 2","ref":"HEAD","columns":[]}}`:                           {""},
		`{"read":{"table":"k","ref":"HEAD","range":{"from":1,"to":4},"filter":"1=1","columns":["b"]}}`: {"a", "it's", "ü"},
		`{"read":{"table":"k","ref":"HEAD","range":{"from":0,"to":1},"filter":"1=1","columns":["b"]}}`: {`\`},
		`{"read":{"table":"t","batch_rows":2}}`:                                                        {"1|a", "3|c", "4|d", "5|e", "9|z"},
		`{"query":{"sql":"select count(*) from t","ref":"HEAD"}}`:                                      {"5"},
		`{"query":{"sql":"select s from t where id = ?","parameters":[9]}}`:                            {"z"},
	} {
		rows, _, err := v.read(conn, ticket)
		if err != nil || !slices.Equal(rows, want) {
			t.Errorf("%s: %q, %v; want %q", ticket, rows, err, want)
		}
	}
	for ticket, want := range map[string]detail{
		`{"read":{"table":"tt"}}`:                                        {Code: "not-found", Meant: []string{"t"}},
		`{"read":{"table":"late","ref":"HEAD"}}`:                         {Code: "not-found", Message: "table not found: late at HEAD", Hint: ptr("it is there on branch main now, uncommitted or in a later commit")},
		`{"read":{"table":"t","columns":["id","x"]}}`:                    {Code: "not-found", Column: ptr("x")},
		`{"read":{"table":"t","ref":"mian"}}`:                            {Code: "not-found", Ref: ptr("mian")},
		`{"read":{"table":"t","filter":"id >"}}`:                         {Code: "invalid"},
		`{"read":{"table":"t","filtre":"id >"}}`:                         {Code: "invalid"},
		`{"query":{"sql":"select nope from t"}}`:                         {Code: "not-found", MySQL: 1054},
		`{"query":{"sql":"insert into t values (1, 'x')","ref":"HEAD"}}`: {Code: "read-only"},
		`{"read":{"table":"t"},"query":{"sql":"select 1"}}`:              {Code: "invalid"},
	} {
		_, _, err := v.read(conn, ticket)
		if err == nil {
			t.Errorf("%s: no error", ticket)
			continue
		}
		d := details(t, err)
		if d.Code != want.Code || want.Message != "" && d.Message != want.Message || want.Meant != nil && !slices.Equal(d.Meant, want.Meant) ||
			want.MySQL != 0 && d.MySQL != want.MySQL || !same(d.Hint, want.Hint) && want.Hint != nil || want.Column != nil && !same(d.Column, want.Column) || want.Ref != nil && !same(d.Ref, want.Ref) {
			text, _ := json.Marshal(d)
			t.Errorf("%s: %s", ticket, text)
		}
	}
}

func ptr(s string) *string { return &s }

func same(a, b *string) bool { return a == nil && b == nil || a != nil && b != nil && *a == *b }

// TestPartitions: ranges of a table at a ref are all its rows, each once, whatever is written meanwhile.
func TestPartitions(t *testing.T) {
	v := serve(t)
	conn := v.dial()
	var values []int64
	for i := range int64(20_000) {
		values = append(values, i*3)
	}
	_, err := write(conn, `{"write":{"table":"t","mode":"create","primary_key":["id"],"message":"made"}}`, ids(values...), false)
	check(t, err)
	cut, err := act(conn, "stemma.partitions", `{"table":"t","ref":"main","n":4}`)
	check(t, err)
	parts := cut["partitions"].([]any)
	if len(parts) != 4 || cut["rows"] != 20_000.0 {
		t.Fatalf("%v", cut)
	}
	_, err = write(conn, `{"write":{"table":"t","mode":"merge","message":"gone"}}`, ids(1), false)
	check(t, err)
	var all []string
	even := 0
	for _, p := range parts {
		m := p.(map[string]any)
		rows, _, err := v.read(conn, fmt.Sprintf(`{"read":{"table":"t","ref":%q,"range":{"from":%v,"to":%v}}}`, cut["commit"], int(m["from"].(float64)), int(m["to"].(float64))))
		check(t, err)
		if n := len(rows); n < 3000 || n > 7000 || rows[0] != fmt.Sprint(m["first"].(map[string]any)["id"]) || rows[n-1] != fmt.Sprint(m["last"].(map[string]any)["id"]) {
			t.Errorf("%d rows of %v", len(rows), m)
		}
		all = append(all, rows...)
	}
	for n := range len(parts) { // a filter within ranges
		m := parts[n].(map[string]any)
		rows, _, err := v.read(conn, fmt.Sprintf(`{"read":{"table":"t","ref":%q,"range":{"from":%v,"to":%v},"filter":"id %% 2 = 0"}}`, cut["commit"], int(m["from"].(float64)), int(m["to"].(float64))))
		check(t, err)
		even += len(rows)
	}
	if even != 10_000 {
		t.Errorf("%d even rows", even)
	}
	if len(all) != 20_000 || all[19_999] != "59997" {
		t.Errorf("%d rows", len(all))
	}
}

func TestWrites(t *testing.T) {
	v := serve(t)
	conn := v.dial()
	c := sqlClient(conn)
	out, err := write(conn, `{"write":{"table":"t","mode":"create","primary_key":["id"],"message":"made","metadata":{"k":[1]}}}`, ids(1, 2, 3), false,
		"stemma-author", "Ann <ann@example.com>", "stemma-run", "run-7")
	check(t, err)
	if s, _ := out["commit"].(string); len(s) != 52 || out["created"] != true || out["branch"] != "main" {
		t.Errorf("%v", out)
	}
	expect(t, v.query(c, "select message, committer, email from dolt_log limit 1"), "made|Ann|ann@example.com")
	resolved, err := act(conn, "stemma.resolve", `{"ref":"main","table":"t"}`)
	check(t, err)
	if resolved["commit"] != out["commit"] || resolved["rows"] != 3.0 || fmt.Sprint(resolved["primary_key"]) != "[id]" || resolved["branch"] != "main" {
		t.Errorf("%v", resolved)
	}
	log, err := act(conn, "stemma.op", `{"op":"log"}`)
	check(t, err)
	if text := fmt.Sprint(log["lines"]); !strings.Contains(text, "made") {
		t.Errorf("%v", log)
	}
	// A write that is the same as what is there makes no commit.
	out, err = write(conn, `{"write":{"table":"t","mode":"merge","message":"nothing"}}`, ids(1, 2, 3), false)
	check(t, err)
	if out["commit"] != nil || out["unchanged"] != 3.0 {
		t.Errorf("%v", out)
	}
	// A frame that does not come to its end leaves nothing, nor does one with an error in its last row.
	many := make([]int64, 100_000)
	for i := range many {
		many[i] = int64(i)
	}
	for _, mode := range []string{"replace", "replace_rows", "merge", "upsert", "create_append"} {
		if _, err := write(conn, fmt.Sprintf(`{"write":{"table":"t","mode":%q}}`, mode), ids(many...), true); err == nil {
			t.Errorf("%s: a frame without an end was taken", mode)
		}
		if _, err := write(conn, fmt.Sprintf(`{"write":{"table":"t","mode":%q,"primary_key":["id"]}}`, mode), ids(append(many[10:], 50)...), false); status.Code(err) != codes.AlreadyExists {
			t.Errorf("%s: %v", mode, err)
		}
	}
	time.Sleep(10 * time.Millisecond)
	expect(t, v.query(c, "select * from t"), "1", "2", "3")
	expect(t, v.query(c, "select count(*) from dolt_status"), "0")
	v.exec(c, "call dolt_branch('b')")
	out, err = write(conn, `{"write":{"table":"t","mode":"append","branch":"b"}}`, ids(7), false)
	check(t, err)
	if out["branch"] != "b" {
		t.Errorf("%v", out)
	}
	expect(t, v.query(c, "select count(*) from `db/b`.t"), "4")
	expect(t, v.query(c, "select count(*) from t"), "3")
	for command, want := range map[string]codes.Code{
		`{"write":{"table":"t","mode":"append","branch":"nope"}}`: codes.NotFound, `{"write":{"table":"tt","mode":"append"}}`: codes.NotFound,
		`{"write":{"table":"t","mode":"blend"}}`: codes.InvalidArgument, `{"write":{"mode":"append"}}`: codes.InvalidArgument, `{"read":{"table":"t"}}`: codes.InvalidArgument,
	} {
		if _, err := write(conn, command, ids(7), false); status.Code(err) != want {
			t.Errorf("%s: %v", command, err)
		}
	}
	if _, err := write(conn, `{"write":{"table":"t","mode":"append"}}`, ids(70), false, "stemma-ref", "main"); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("write at a ref: %v", err)
	}
}

// TestWriteErrors: an error about a cell names column and row.
func TestWriteErrors(t *testing.T) {
	v := serve(t)
	conn := v.dial()
	c := sqlClient(conn)
	v.exec(c, "create table t (id int primary key, s varchar(3) not null, d datetime)")
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "s", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "d", Type: &arrow.TimestampType{Unit: arrow.Nanosecond}, Nullable: true}}, nil))
	type cells struct {
		id int64
		s  any
		d  int64
	}
	for column, row := range map[string]cells{"id": {1 << 40, "x", 0}, "s": {2, "toolong", 0}, "S ": {2, nil, 0}, "d": {2, "x", 1}} {
		for i, x := range []cells{{1, "a", 0}, row} {
			b.Field(0).(*array.Int64Builder).Append(x.id + int64(i)*0)
			if x.s == nil {
				b.Field(1).AppendNull()
			} else {
				b.Field(1).(*array.StringBuilder).Append(x.s.(string))
			}
			if x.d == 0 {
				b.Field(2).AppendNull()
			} else {
				b.Field(2).(*array.TimestampBuilder).Append(arrow.Timestamp(x.d))
			}
		}
		batch := b.NewRecordBatch()
		_, err := write(conn, `{"write":{"table":"t","mode":"append"}}`, []arrow.RecordBatch{batch}, false)
		if err == nil {
			t.Errorf("%s: no error", column)
			continue
		}
		d := details(t, err)
		if d.Column == nil || !strings.EqualFold(*d.Column, strings.TrimSpace(column)) || d.Row == nil || *d.Row != 1 {
			text, _ := json.Marshal(d)
			t.Errorf("%s: %s", column, text)
		}
	}
	expect(t, v.query(c, "select count(*) from t"), "0")
}

// TestWriteIDs: a write that is sent again applies once, and is answered as it was; so is the end of a transaction.
func TestWriteIDs(t *testing.T) {
	v := serve(t)
	conn := v.dial()
	c := sqlClient(conn)
	const command = `{"write":{"table":"t","mode":"create_append","write_id":"w1","message":"once"}}`
	first, err := write(conn, command, ids(1, 2), false)
	check(t, err)
	second, err := write(conn, command, ids(1, 2), false)
	check(t, err)
	if first["already"] != false || second["already"] != true || second["commit"] != first["commit"] || second["inserted"] != 2.0 {
		t.Errorf("%v, %v", first, second)
	}
	expect(t, v.query(c, "select * from t"), "1", "2")
	if _, err := write(conn, `{"write":{"table":"t","mode":"append","write_id":"w1"}}`, ids(3), false); status.Code(err) != codes.InvalidArgument {
		t.Errorf("another write of that id: %v", err)
	}
	// One that failed was no write.
	if _, err := write(conn, `{"write":{"table":"k","mode":"create","primary_key":["id"],"write_id":"w2"}}`, ids(3, 3), false); status.Code(err) != codes.AlreadyExists {
		t.Errorf("%v", err)
	}
	out, err := write(conn, `{"write":{"table":"k","mode":"create","primary_key":["id"],"write_id":"w2"}}`, ids(3), false)
	check(t, err)
	if out["already"] != false || out["created"] != true {
		t.Errorf("%v", out)
	}
	begun, err := act(conn, "stemma.begin", `{}`)
	check(t, err)
	id := begun["transaction"].(string)
	for _, again := range []bool{false, true} {
		out, err := write(conn, `{"write":{"table":"t","mode":"append","write_id":"w3"}}`, ids(9), false, "stemma-transaction", id)
		check(t, err)
		if out["already"] != again {
			t.Errorf("%v", out)
		}
	}
	end := fmt.Sprintf(`{"transaction":%q,"message":"both","write_id":"e1"}`, id)
	a, err := act(conn, "stemma.end", end)
	check(t, err)
	b, err := act(conn, "stemma.end", end)
	check(t, err)
	if a["commit"] == nil || b["commit"] != a["commit"] || a["already"] != false || b["already"] != true {
		t.Errorf("%v, %v", a, b)
	}
	expect(t, v.query(c, "select * from t"), "1", "2", "9")
	expect(t, v.query(c, "select count(*) from dolt_log"), "3")
}
