package engine

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dolthub/go-mysql-server/sql"
)

// TestLoadData loads each file as a client's and as the server's.
func TestLoadData(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	file := filepath.Join(t.TempDir(), "f")
	setVariable(t, "secure_file_priv", filepath.Dir(file))
	c.exec("set global local_infile = 1", "create table t (id int primary key, s varchar(50), x varchar(20) default 'def')")
	for _, x := range []struct{ clause, file, want string }{
		{`fields terminated by ',' enclosed by '"'`, "1,\"a,b\",c\n2,\"\",\n", "1,a,b,c 2,,"},
		{`fields terminated by ',' enclosed by '"'`, "1,\"a\"\"b\",c\n2,\"\"\"\",\"\"\"x\"\"\"\n", `1,a"b,c 2,","x"`},
		{`fields terminated by ',' optionally enclosed by '"'`, "1,\"a\"\"b\",\"c\"", `1,a"b,c`},
		{`fields terminated by ',' enclosed by '"'`, "1,\"two\nlines\",c\n2,d,e\n", "1,two\nlines,c 2,d,e"},
		{`fields terminated by ',' enclosed by '"'`, "1,\"a\\\"b\\\\\",c\n2,in\"side,\\N\n", `1,a"b\,c 2,in"side,NULL`},
		{`fields terminated by ',' enclosed by '"' escaped by ''`, "1,\"a\\\"\"b\x01\",c\n2,\"d\\\",e\n", "1,a\\\"b\x01,c 2,d\\,e"},
		{`fields terminated by ',' enclosed by '"' escaped by '"'`, "1,\"a\"\"b\",c\n2,\"d\",\"\"\"\"\n", `1,a"b,c 2,d,"`},
		{`fields terminated by ',' enclosed by "'"`, "1,'it''s',c\n", "1,it's,c"},
		{`fields terminated by ',' enclosed by '"' lines terminated by '\r\n'`, "1,\"a\"\"\r\nb\",c\r\n2,d,\"e\"\r\n", "1,a\"\r\nb,c 2,d,e"},
		{`fields terminated by ',' enclosed by '"'`, "1,\"NULL\",NULL\n2,\"open", `1,NULL,NULL 2,"open,def`},
		{``, "1\tNULL\ta\\Nb\n2\ta\\tb\\\nc\\\\\t\\N\n", "1,NULL,aNb 2,a\tb\nc\\,NULL"},
		{``, "1\ta\n3", "1,a,def 3,NULL,def"},
		{`fields terminated by ','`, "1,a,b,too,many\n2,,\n", "1,a,b 2,,"},
		{`fields terminated by '||' lines starting by '>' terminated by '@@'`, ">1||a||b@@no x>2||c||d@@nothing", "1,a,b 2,c,d"},
		{`fields terminated by ',' lines terminated by ''`, "1,a,b\nc", "1,a,b\nc"},
		{`fields terminated by ',' ignore 1 lines`, "id,s,x\n1,a,b\n", "1,a,b"},
		{`fields terminated by ',' ignore 9 rows`, "id,s,x\n1,a,b\n", ""},
		{`fields terminated by ',' (x, id)`, "a,1\n", "1,NULL,a"},
		{`fields terminated by ',' (id, @v, x) set s = concat(@v, '-', x, '-', id)`, "1,a,b\n2,c,d\n", "1,a-b-1,b 2,c-d-2,d"},
		{`fields terminated by ',' (@a, @b) set id = @a * 10, s = upper(@b), x = nullif(@b, 'c')`, "1,a\n2,c\n", "10,A,a 20,C,NULL"},
		{`fields terminated by ',' (@a, @b, @c) set id = @a, s = ifnull(@c, 'none')`, "1,a\n", "1,none,def"},
		{`fields terminated by ',' set x = concat(s, id)`, "1,a,b\n", "1,a,a1"},
		{`character set latin1 fields terminated by ','`, "1,caf\xe9,\xfc\n", "1,café,ü"},
		{`character set utf8mb4 fields terminated by ','`, "1,é,🦀\n", "1,é,🦀"},
	} {
		if err := os.WriteFile(file, []byte(x.file), 0o666); err != nil {
			t.Fatal(err)
		}
		for _, local := range []string{"local", ""} {
			c.exec("delete from t")
			if err := load(w, c, x.file, "load data "+local+" infile '"+file+"' into table t "+x.clause); err != nil {
				t.Errorf("%s %s %q: %v", local, x.clause, x.file, err)
				continue
			}
			if got, err := c.query("select * from t"); err != nil || got != x.want {
				t.Errorf("%s %s %q: got %q (%v), want %q", local, x.clause, x.file, got, err, x.want)
			}
		}
	}
	// What is refused changes nothing.
	c.exec("delete from t", "insert into t values (1, 'old', 'x')")
	beside := filepath.Dir(file) + "-secret"
	for _, dir := range []string{beside, filepath.Join(filepath.Dir(file), "sub")} {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for _, x := range []struct{ query, file, want string }{
		{"load data infile '" + file + "' into table t fields terminated by ','", "2,a,b\n1,c,d\n", "duplicate"},
		{"load data infile '" + file + "' into table t fields terminated by ','", "2,a,b\nthree,c,d\n", "three"},
		{"load data infile '" + file + "' into table t (id, nothing)", "", "nothing"},
		{"load data infile '" + file + "' into table t (id) set s = (select 1)", "2\n", "SET takes no subquery"},
		{"load data infile '" + file + "' into table t character set utf16", "", "convert the file to utf8mb4"},
		{"load data infile '" + file + "' into table t character set klingon", "", "klingon"},
		{"load data infile '" + filepath.Join(filepath.Dir(file), "none") + "' into table t", "", "not found (errno 29)"},
		{"load data infile '" + filepath.Join(beside, "f") + "' into table t", "", "is not in " + filepath.Dir(file)},
		{"load data infile '/etc/passwd' into table t", "", "is not in " + filepath.Dir(file)},
		{"select 1 into outfile '" + filepath.Join(beside, "out") + "'", "", "is not in " + filepath.Dir(file)},
		{"select 1 into dumpfile '" + filepath.Join(beside, "out") + "'", "", "is not in " + filepath.Dir(file)},
	} {
		if err := os.WriteFile(file, []byte(x.file), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := load(w, c, x.file, x.query); err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v, want %q", x.query, err, x.want)
		}
		if got, err := c.query("select * from t"); err != nil || got != "1,old,x" {
			t.Errorf("%s: leaves %q, %v", x.query, got, err)
		}
	}
	if names, err := os.ReadDir(beside); err != nil || len(names) > 0 {
		t.Errorf("files beside the directory of files: %v, %v", names, err)
	}
	c.exec("set global local_infile = 0")
	if err := load(w, c, "2,a,b\n", "load data local infile 'f' into table t"); err == nil || !strings.Contains(err.Error(), "local_infile") {
		t.Errorf("LOCAL where that is off: %v", err)
	}
	c.exec("set global local_infile = 1")
}

// load runs a statement for a client who has a file.
func load(w *world, c *client, file, query string) error {
	ctx := w.eng.NewContext(context.Background(), c.s)
	sql.WithServices(sql.Services{LoadInfile: func(string) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(file)), nil
	}})(ctx)
	_, iter, err := w.eng.Query(ctx, query)
	if err == nil {
		_, err = sql.RowIterToRows(ctx, iter)
	}
	return err
}

// setVariable sets a global variable for the time of the test.
func setVariable(t *testing.T, name string, value any) {
	t.Helper()
	set := func(v any) {
		if err := sql.SystemVariables.AssignValues(map[string]any{name: v}); err != nil {
			t.Fatal(err)
		}
	}
	_, old, _ := sql.SystemVariables.GetGlobal(name)
	set(value)
	t.Cleanup(func() { set(old) })
}
