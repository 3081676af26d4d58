package engine

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/vfs"
)

// TestDatabasesThatComeAndGo checks that whoever holds the engine is told of databases that statements make and drop.
func TestDatabasesThatComeAndGo(t *testing.T) {
	w := &world{t: t, fs: vfs.NewMem()}
	if err := w.fs.MkdirAll(dataDir); err != nil {
		t.Fatal(err)
	}
	var told []string
	eng, err := New(context.Background(), Options{
		FS: w.fs, Dir: dataDir,
		Opened: func(r *repo.Repo) { told = append(told, "opened "+r.Name()) },
		Closing: func(r *repo.Repo) {
			told = append(told, "closing "+r.Name())
			if _, _, ok := w.eng.Provider().Lookup(r.Name()); ok {
				t.Errorf("%s is still found", r.Name())
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.eng = eng
	c := w.client()
	c.exec("create database one", "create database two", "drop database one")
	if want := []string{"opened one", "opened two", "closing one"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
	c.fails("create database TWO", "exists")
}

// TestUndrop drops databases and brings them back.
func TestUndrop(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	c := w.client()
	p := w.eng.Provider()
	want := func(names ...string) {
		t.Helper()
		got, err := p.Dropped()
		if err != nil || !slices.Equal(got, names) {
			t.Errorf("dropped %q, want %q, %v", got, names, err)
		}
	}
	want()
	c.exec("create database `Sha-pe`", "create table `Sha-pe`.t (i int primary key)", "insert into `Sha-pe`.t values (1)", "drop database `Sha-pe`")
	want("Sha-pe")
	c.fails("select * from `Sha-pe`.t", "not found")
	if err := p.Undrop(ctx, "none"); !errs.Is(err, errs.NotFound) || !strings.Contains(err.Error(), "available databases that can be undropped: Sha-pe") {
		t.Errorf("none: %v", err)
	}
	c.exec("create database sha_pe")
	if err := p.Undrop(ctx, "Sha-pe"); !errs.Is(err, errs.Exists) {
		t.Errorf("a name in use: %v", err)
	}
	c.exec("drop database sha_pe")
	if err := p.Undrop(ctx, "SHA-PE"); err != nil {
		t.Fatal(err)
	}
	c.want("select * from `Sha-pe`.t", "1")
	c.exec("insert into `Sha-pe`.t values (2)", "drop database `Sha-pe`")
	// Of two with one name both are kept.
	c.exec("create database `Sha-pe`", "drop database `Sha-pe`")
	if got, err := p.Dropped(); err != nil || len(got) != 3 || !strings.HasPrefix(got[1], "Sha-pe.backup.") {
		t.Errorf("dropped %q, %v", got, err)
	}
	// What was dropped is no database after a restart.
	if err := w.eng.Close(ctx); err != nil {
		t.Fatal(err)
	}
	w.open(repo.Options{})
	p, c = w.eng.Provider(), w.client()
	c.fails("use `Sha-pe`", "not found")
	if err := p.PurgeDropped(ctx); err != nil {
		t.Fatal(err)
	}
	want()
	if err := p.Undrop(ctx, "Sha-pe"); !errs.Is(err, errs.NotFound) || !strings.Contains(err.Error(), "there are no databases currently available") {
		t.Errorf("purged: %v", err)
	}
}

// TestNearestBranch checks that a branch that is not there is answered with those that could be meant.
func TestNearestBranch(t *testing.T) {
	w := newWorld(t)
	if err := w.repo().CreateBranch(context.Background(), "feature", w.commit("main", "one", time.Unix(1, 0)), false); err != nil {
		t.Fatal(err)
	}
	w.client().fails("use `db/featur`", "database not found: db/featur; did you mean 'db/feature'?")
	w.client().fails("use `db/zzzzzzzzzzzz`", "database not found: db/zzzzzzzzzzzz")
}

// TestDamagedDatabase checks that a database that cannot be opened is left out, and the others are not.
func TestDamagedDatabase(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	c.exec("create database `bad-one`", "create database good", "create table good.t (i int primary key)", "create table `bad-one`.t (i int primary key)")
	if err := w.eng.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := vfs.WriteFile(w.fs, filepath.Join(dataDir, "bad-one", repo.DirName, "FORMAT"), []byte("no such format")); err != nil {
		t.Fatal(err)
	}
	w.open(repo.Options{})
	out := w.eng.Provider().LeftOut()
	if len(out) != 1 || out[0].Name != "bad-one" || !strings.Contains(out[0].Err.Error(), "the database bad-one is left out: ") {
		t.Fatalf("left out: %v", out)
	}
	c = w.client()
	c.want("select count(*) from good.t", "0")
	for _, q := range []string{"use `bad-one`", "use bad_one", "use `BAD-ONE/main`", "select * from `bad-one`.t"} {
		c.fails(q, out[0].Err.Error())
	}
	c.fails("create database `bad-one`", out[0].Err.Error())
	c.fails("use none_such", "database not found")
	c.exec("drop database good", "create database good", "use good")
}

// TestBranchVariables checks the variables that say where sessions begin and whether branches show as databases.
func TestBranchVariables(t *testing.T) {
	w := newWorld(t)
	if err := w.repo().CreateBranch(context.Background(), "new", w.commit("main", "one", time.Unix(1, 0)), false); err != nil {
		t.Fatal(err)
	}
	c := w.client()
	c.want("select count(*) from information_schema.schemata where schema_name like 'db/%'", "0")
	c.exec("set @@dolt_show_branch_databases = 1")
	c.want("select schema_name from information_schema.schemata where schema_name like 'db%'", "db db/main db/new")
	c.exec("set @@dolt_show_branch_databases = 0")
	c.want("select count(*) from information_schema.schemata where schema_name like 'db/%'", "0")

	// The branch that a session is in is listed to it: tools look for the tables of DATABASE().
	in := w.client()
	in.exec("use `db/new`", "create table here (a int primary key)")
	in.want("select count(*) from information_schema.schemata where schema_name = database()", "1")
	in.want("select table_name from information_schema.table_constraints where table_schema = database()", "here")
	in.exec("use db")
	in.want("select count(*) from information_schema.schemata where schema_name like 'db/%'", "0")

	// The spelling of 2021: it is of the whole server, and new sessions heed it.
	c.exec("set global dolt_sql_server_branch_ref = 'refs/heads/new'")
	defer c.exec("set global dolt_sql_server_branch_ref = ''", "set global db_default_branch = ''")
	c.want("select @@db_head_ref", "refs/heads/main")
	w.client().want("select @@db_head_ref", "refs/heads/new")
	c.exec("set global dolt_sql_server_branch_ref = 'none'")
	w.client().want("select @@db_head_ref", "refs/heads/main")
	// The variable of the database goes first.
	c.exec("set global dolt_sql_server_branch_ref = 'main'", "set global db_default_branch = 'new'")
	w.client().want("select @@db_head_ref", "refs/heads/new")
	c.want("select @@global.db_default_branch", "new")
}

// TestDropIsDurable: a database that was dropped is not there after a power cut but among those that can be restored, and one that was
// restored is.
func TestDropIsDurable(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	mem := w.fs
	// after gives the databases, and those that can be restored, after power cuts.
	after := func(want string) {
		t.Helper()
		for seed := range uint64(12) {
			cut := mem.CrashClone(rand.New(rand.NewPCG(seed, 1)))
			eng, err := New(ctx, Options{FS: cut, Dir: dataDir})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, name := range []string{"db", "shape"} {
				if _, _, ok := eng.Provider().Lookup(name); ok {
					got = append(got, name)
				}
			}
			dropped, err := eng.Provider().Dropped()
			if err != nil {
				t.Fatal(err)
			}
			for i := range dropped {
				dropped[i], _, _ = strings.Cut(dropped[i], ".backup.")
			}
			if s := strings.Join(got, " ") + "; " + strings.Join(dropped, " "); s != want {
				t.Errorf("there is %q, want %q", s, want)
			}
			if err := eng.Close(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	c := w.client()
	c.exec("create database shape", "create table shape.t (i int primary key)")
	after("db shape; ")
	c.exec("drop database shape")
	after("db; shape")
	if err := w.eng.Provider().Undrop(ctx, "shape"); err != nil {
		t.Fatal(err)
	}
	after("db shape; ")
	c.exec("drop database shape", "create database shape", "drop database shape")
	after("db; shape shape")
}

// TestTransactionOverDatabases commits a transaction that has changed two databases: in both or in neither, whichever of them cannot take it.
func TestTransactionOverDatabases(t *testing.T) {
	w := newWorld(t)
	a, b := w.client(), w.client()
	a.exec("create database one", "create database two", "create table one.t (i int primary key, x int)", "create table two.t (i int primary key, x int)",
		"insert into one.t values (1, 0)", "insert into two.t values (1, 0)")
	for _, other := range []string{"one", "two"} {
		a.exec("start transaction", "update two.t set x = 1 where i = 1", "insert into one.t values (2, 2)", "update one.t set x = 1 where i = 1", "insert into two.t values (2, 2)")
		b.exec("update " + other + ".t set x = 9 where i = 1")
		a.fails("commit", "")
		for _, d := range []string{"one", "two"} {
			want := "1,0"
			if d == other {
				want = "1,9"
			}
			b.want("select * from "+d+".t", want)
		}
		b.exec("update " + other + ".t set x = 0 where i = 1")
	}
	a.exec("start transaction", "update two.t set x = 1 where i = 1", "insert into one.t values (2, 2)", "commit")
	b.want("select * from one.t", "1,0 2,2")
	b.want("select * from two.t", "1,1")
}
