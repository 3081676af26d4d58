package mysql

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	driver "github.com/go-sql-driver/mysql"

	"github.com/stemmadb/stemma/internal/engine"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/vfs"
)

// served is a server over a database in memory.
type served struct {
	*Server
	fs     vfs.FS
	repo   *repo.Repo
	engine *engine.Engine
}

const dataDir = "/data/db"

// serve serves the database of a file system, which is made when there is none.
func serve(t testing.TB, fs vfs.FS, opt Options) *served {
	t.Helper()
	if err := repo.Init(t.Context(), fs, dataDir, repo.InitOptions{}); err != nil && !errs.Is(err, errs.Exists) {
		t.Fatal(err)
	}
	r, err := repo.Open(t.Context(), fs, dataDir, repo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(t.Context(), engine.Options{Repos: []*repo.Repo{r}})
	if err != nil {
		t.Fatal(err)
	}
	opt.Engine, opt.FS = e, fs
	if opt.Address == "" {
		opt.Address = "127.0.0.1:0"
	}
	if opt.Privileges == "" {
		opt.Privileges = filepath.Join(dataDir, repo.DirName, "privileges.db")
	}
	s, err := New(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	v := &served{s, fs, r, e}
	t.Cleanup(func() { v.stop(t) })
	return v
}

func (v *served) stop(t testing.TB) {
	t.Helper()
	if v.Server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	for _, err := range []error{v.Shut(ctx), v.engine.Close(ctx), v.repo.Close(ctx)} {
		if err != nil {
			t.Error(err)
		}
	}
	v.Server = nil
}

// config is how a client reaches the server as a user.
func (v *served) config(user, password string) *driver.Config {
	c := driver.NewConfig()
	c.Net, c.Addr, c.User, c.Passwd, c.DBName = "tcp", v.Addr().String(), user, password, "db"
	c.Logger = log.New(io.Discard, "", 0)
	return c
}

func open(t testing.TB, c *driver.Config) *sql.DB {
	t.Helper()
	connector, err := driver.NewConnector(c)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { db.Close() })
	return db
}

func exec(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// query is the answer of a statement as text: cells with blanks, rows with line ends between.
func query(t *testing.T, db *sql.DB, q string, args ...any) string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), q, args...)
	if err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	defer rows.Close()
	cols, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for rows.Next() {
		cells := make([]sql.NullString, len(cols))
		dest := make([]any, len(cols))
		for i := range cells {
			dest[i] = &cells[i]
		}
		if err := rows.Scan(dest...); err != nil {
			t.Fatal(err)
		}
		texts := make([]string, len(cols))
		for i, c := range cells {
			texts[i] = c.String
			if !c.Valid {
				texts[i] = "NULL"
			}
		}
		out = append(out, strings.Join(texts, " "))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(out, "\n")
}

// number is MySQL's number of an error.
func number(err error) uint16 {
	var e *driver.MySQLError
	if errors.As(err, &e) {
		return e.Number
	}
	return 0
}

// Values of every type go in by a prepared statement and by a literal, and come out as text and binary.
func TestTypes(t *testing.T) {
	v := serve(t, vfs.NewMem(), Options{})
	db := open(t, v.config("root", ""))
	for i, c := range []struct{ typ, literal, want string }{
		{"tinyint", "-128", "-128"},
		{"tinyint unsigned", "255", "255"},
		{"smallint", "-32768", "-32768"},
		{"mediumint", "8388607", "8388607"},
		{"int", "-2147483648", "-2147483648"},
		{"bigint", "-9223372036854775808", "-9223372036854775808"},
		{"bigint unsigned", "18446744073709551615", "18446744073709551615"},
		{"float", "1.5", "1.5"},
		{"double", "-0.1", "-0.1"},
		{"decimal(20,4)", "1234567890123456.5000", "1234567890123456.5000"},
		{"char(5)", "'ab'", "ab"},
		{"varchar(20)", "'höhe ☃'", "höhe ☃"},
		{"text", "'x'", "x"},
		{"varbinary(10)", "x'00ff'", "\x00\xff"},
		{"blob", "x'0102'", "\x01\x02"},
		{"date", "'2021-03-04'", "2021-03-04"},
		{"datetime", "'2021-03-04 05:06:07'", "2021-03-04 05:06:07"},
		{"datetime(6)", "'2021-03-04 05:06:07.123456'", "2021-03-04 05:06:07.123456"},
		{"year", "2021", "2021"},
		{"enum('a','b')", "'b'", "b"},
		{"set('a','b','c')", "'a,c'", "a,c"},
		{"json", `'{"a": [1, null]}'`, `{"a": [1, null]}`},
		{"int", "null", "NULL"},
	} {
		name := fmt.Sprintf("t%d", i)
		exec(t, db, fmt.Sprintf("create table %s (id int primary key, v %s)", name, c.typ), fmt.Sprintf("insert into %s values (1, %s)", name, c.literal))
		text := query(t, db, "select v from "+name)
		if text != c.want {
			t.Errorf("%s: %q, want %q", c.typ, text, c.want)
		}
		if got := query(t, db, "select v from "+name+" where id = ?", 1); got != c.want {
			t.Errorf("%s prepared: %q, want %q", c.typ, got, c.want)
		}
	}
}

// A TIME is text in both protocols; the binary one has no fraction of it in this version of the protocol's library.
func TestTime(t *testing.T) {
	v := serve(t, vfs.NewMem(), Options{})
	db := open(t, v.config("root", ""))
	exec(t, db, "create table t (id int primary key, v time(6))", "insert into t values (1, '12:34:56.5'), (2, '-838:59:59')")
	if got := query(t, db, "select v from t"); got != "12:34:56.500000\n-838:59:59.000000" {
		t.Errorf("%q", got)
	}
	if got := query(t, db, "select v from t where id = ?", 2); !strings.HasPrefix(got, "-838:59:59") {
		t.Errorf("%q", got)
	}
}

func TestTransactions(t *testing.T) {
	v := serve(t, vfs.NewMem(), Options{})
	db := open(t, v.config("root", ""))
	exec(t, db, "create table t (id int primary key, a int, b int)", "insert into t values (1, 0, 0)")
	begin := func() *sql.Tx {
		tx, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return tx
	}
	do := func(tx *sql.Tx, s string, args ...any) {
		t.Helper()
		if _, err := tx.Exec(s, args...); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	tx := begin()
	do(tx, "insert into t values (?, ?, ?)", 2, 3, 4)
	if got := query(t, db, "select count(*) from t"); got != "1" {
		t.Errorf("others see %s rows of an open transaction", got)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	one, two := begin(), begin()
	do(one, "update t set a = 1 where id = 1")
	do(two, "update t set a = 2 where id = 1")
	if err := one.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := two.Commit(); number(err) != 1213 {
		t.Errorf("the same cell changed twice: %v", err)
	}
	_, err := db.ExecContext(t.Context(), "insert into t values (1, 0, 0)")
	if number(err) != 1062 {
		t.Errorf("duplicate: %v", err)
	}
	if got := query(t, db, "select * from t"); got != "1 1 0" {
		t.Error(got)
	}
}

func TestLoadDataLocal(t *testing.T) {
	v := serve(t, vfs.NewMem(), Options{})
	c := v.config("root", "")
	db := open(t, c)
	exec(t, db, "create table t (id int primary key, s varchar(20))")
	file := filepath.Join(t.TempDir(), "rows.csv")
	if err := os.WriteFile(file, []byte("1,one\n2,\"two, 2\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	driver.RegisterLocalFile(file)
	defer driver.DeregisterLocalFile(file)
	exec(t, db, "load data local infile '"+file+"' into table t fields terminated by ',' optionally enclosed by '\"'")
	if got := query(t, db, "select * from t"); got != "1 one\n2 two, 2" {
		t.Errorf("%q", got)
	}
}

func TestVariables(t *testing.T) {
	v := serve(t, vfs.NewMem(), Options{
		MaxConnections: 7, NoAutoCommit: true, Files: "/nowhere",
		UserVars: map[string]map[string]string{"root": {"sql_mode": "ANSI_QUOTES", "max_execution_time": "60000"}},
	})
	db := open(t, v.config("root", ""))
	got := query(t, db, "select @@version, @@version_comment, @@autocommit, @@max_connections, @@secure_file_priv, @@sql_mode, version()")
	if want := Version + " stemma 0 7 /nowhere ANSI_QUOTES " + Version; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestReadOnly(t *testing.T) {
	fs := vfs.NewMem()
	v := serve(t, fs, Options{})
	exec(t, open(t, v.config("root", "")), "create table t (id int primary key)")
	v.stop(t)
	v = serve(t, fs, Options{ReadOnly: true})
	db := open(t, v.config("root", ""))
	if got := query(t, db, "select count(*) from t"); got != "0" {
		t.Error(got)
	}
	if _, err := db.ExecContext(t.Context(), "insert into t values (1)"); err == nil {
		t.Error("a read-only server inserts")
	}
}

// A statement under way finishes; then clients are hung up on, and nobody gets in.
func TestShut(t *testing.T) {
	v := serve(t, vfs.NewMem(), Options{})
	db := open(t, v.config("root", ""))
	idle, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	done := make(chan error, 1)
	go func() {
		_, err := db.ExecContext(context.Background(), "select sleep(0.5)")
		done <- err
	}()
	time.Sleep(150 * time.Millisecond)
	addr := v.Addr().String()
	v.stop(t)
	if err := <-done; err != nil {
		t.Errorf("the running statement: %v", err)
	}
	if err := idle.PingContext(t.Context()); err == nil {
		t.Error("an idle client is still served")
	}
	if c, err := net.Dial("tcp", addr); err == nil {
		c.Close()
		t.Error("the port is still open")
	}
}

func TestAddressInUse(t *testing.T) {
	v := serve(t, vfs.NewMem(), Options{})
	if _, err := New(t.Context(), Options{Engine: v.engine, FS: v.fs, Address: v.Addr().String()}); !errs.Is(err, errs.Unavailable) {
		t.Errorf("%v", err)
	}
	dir := t.TempDir()
	dead := filepath.Join(dir, "dead")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	if _, err := listenUnix(dead); !errs.Is(err, errs.Unavailable) {
		t.Errorf("a socket that answers: %v", err)
	}
	ln.Close()
	again, err := listenUnix(dead)
	if err != nil {
		t.Fatalf("a dead socket: %v", err)
	}
	again.Close()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listenUnix(file); err == nil {
		t.Error("a file was replaced by a socket")
	}
}

func TestLog(t *testing.T) {
	for _, name := range LevelNames() {
		l, err := ParseLevel(name)
		if err != nil || levelName(l) != name {
			t.Errorf("%s: %v, %v", name, l, err)
		}
	}
	if _, err := ParseLevel("loud"); !errs.Is(err, errs.Invalid) {
		t.Error(err)
	}
	var b bytes.Buffer
	level, err := ParseLevel("info")
	if err != nil {
		t.Fatal(err)
	}
	v := serve(t, vfs.NewMem(), Options{Log: NewLogger(&b, level, false)})
	query(t, open(t, v.config("root", "")), "select 1")
	v.stop(t)
	if b.Len() > 0 {
		t.Errorf("at the level info a query logs:\n%s", b.String())
	}
	v = serve(t, vfs.NewMem(), Options{Log: NewLogger(&b, LevelTrace, false)})
	if _, err := open(t, v.config("root", "")).Exec("select * from mysql.nowhere"); err == nil {
		t.Error("a table that does not exist was read")
	}
	v.stop(t)
	if s := b.String(); !strings.Contains(s, `error="table not found: nowhere"`) || strings.Contains(s, ".go:") {
		t.Errorf("at the level trace an error logs:\n%s", s)
	}
}

// A message does not repeat a value of any length.
func TestLongMessage(t *testing.T) {
	v := serve(t, vfs.NewMem(), Options{})
	db := open(t, v.config("root", ""))
	exec(t, db, "create table long_values (a int primary key, b varchar(5))")
	_, err := db.Exec("insert into long_values values (1, concat('first\nsecond', repeat('ü', 100000)))")
	var e *driver.MySQLError
	if !errors.As(err, &e) || e.Number != 1406 || len(e.Message) > 512 || !strings.HasSuffix(e.Message, "too large for column 'b'") || !utf8.ValidString(e.Message) {
		t.Errorf("%v", err)
	}
}

// Values longer than a packet come in and go out whole, in the text protocol and in that of prepared statements, which sends long
// parameters in pieces.
func TestValuesOfManyPackets(t *testing.T) {
	v := serve(t, vfs.NewMem(), Options{})
	blob := bytes.Repeat([]byte("\x00\xff'\\\n bytes of all kinds"), 1<<24/26+10) // more than a packet
	text := strings.Repeat("a line of 'text', ü\n", 100_000)
	exec(t, open(t, v.config("root", "")), "create table t (id int primary key, b longblob, s longtext)")
	for n, interpolate := range []bool{false, true} {
		c := v.config("root", "")
		c.InterpolateParams, c.MaxAllowedPacket = interpolate, 1<<30
		db := open(t, c)
		if _, err := db.Exec("insert into t values (?, ?, ?)", n, blob, text); err != nil {
			t.Fatal(err)
		}
		var b []byte
		var s string
		if err := db.QueryRow("select b, s from t where id = ?", n).Scan(&b, &s); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b, blob) || s != text {
			t.Errorf("interpolated %v: %d bytes and %d of text came back, of %d and %d", interpolate, len(b), len(s), len(blob), len(text))
		}
		var lb, ls int
		if err := db.QueryRow("select length(b), length(s) from t where s = ? and id = ?", text, n).Scan(&lb, &ls); err != nil || lb != len(blob) || ls != len(text) {
			t.Errorf("interpolated %v: found by its text: %d, %d, %v", interpolate, lb, ls, err)
		}
	}
}
