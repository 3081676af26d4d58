package engine

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/dolthub/go-mysql-server/sql"
)

func TestLoadData(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	c.exec("set global local_infile = 1", "create table t (id int primary key, s varchar(50), x varchar(20))")
	for _, x := range []struct{ clause, file, want string }{
		{`enclosed by '"'`, "1,\"a,b\",c\n2,\"\",\n", "1,a,b,c 2,,"},
		{`enclosed by '"'`, "1,\"a\"\"b\",c\n2,\"\"\"\",\"\"\"x\"\"\"\n", `1,a"b,c 2,","x"`},
		{`optionally enclosed by '"'`, "1,\"a\"\"b\",\"c\"", `1,a"b,c`},
		{`enclosed by '"'`, "1,\"two\nlines\",c\n2,d,e\n", "1,two\nlines,c 2,d,e"},
		{`enclosed by '"'`, "1,\"a\\\"b\\\\\",c\n2,in\"side,\\N\n", `1,a"b\,c 2,in"side,NULL`},
		{`enclosed by '"' escaped by ''`, "1,\"a\\\"\"b\x01\",c\n2,\"d\\\",e\n", "1,a\\\"b\x01,c 2,d\\,e"},
		{`enclosed by "'"`, "1,'it''s',c\n", "1,it's,c"},
		{`enclosed by '"' lines terminated by '\r\n'`, "1,\"a\"\"\r\nb\",c\r\n2,d,\"e\"\r\n", "1,a\"\r\nb,c 2,d,e"},
	} {
		ctx := w.eng.NewContext(context.Background(), c.s)
		sql.WithServices(sql.Services{LoadInfile: func(string) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(x.file)), nil
		}})(ctx)
		c.exec("delete from t")
		_, iter, err := w.eng.Query(ctx, "load data local infile 'f' into table t fields terminated by ',' "+x.clause)
		if err == nil {
			_, err = sql.RowIterToRows(ctx, iter)
		}
		if err != nil {
			t.Errorf("%s %q: %v", x.clause, x.file, err)
			continue
		}
		if got, err := c.query("select * from t"); err != nil || got != x.want {
			t.Errorf("%s %q: got %q (%v), want %q", x.clause, x.file, got, err, x.want)
		}
	}
}
