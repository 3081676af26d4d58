package remote

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/engine"
	"github.com/stemmadb/stemma/internal/engine/fn"
	"github.com/stemmadb/stemma/internal/engine/proc"
	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/engine/systab"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/op"
	"github.com/stemmadb/stemma/internal/remote"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/server/mysql"
	"github.com/stemmadb/stemma/internal/vfs"
)

// place is a database, with an engine on it.
type place struct {
	t      testing.TB
	dir    string
	repo   *repo.Repo
	engine *engine.Engine
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newPlace opens the database in dir, which is made if there is none.
func newPlace(t testing.TB, dir string) *place {
	t.Helper()
	ctx := context.Background()
	if _, err := repo.Locate(vfs.OS{}, dir); err != nil {
		check(t, repo.Init(ctx, vfs.OS{}, dir, repo.InitOptions{}))
	}
	r, err := repo.Open(ctx, vfs.OS{}, dir, repo.Options{})
	check(t, err)
	procs := proc.New(op.All(), "1.2.3")
	e, err := engine.New(ctx, engine.Options{Repos: []*repo.Repo{r}, Registries: registry.Registries{
		SystemTables: systab.Tables(), Functions: fn.Functions(fn.Versions{}), TableFunctions: systab.Functions(), Procedures: procs.Procedures(),
	}})
	check(t, err)
	t.Cleanup(func() {
		check(t, e.Close(ctx))
		check(t, r.Close(ctx))
	})
	return &place{t, dir, r, e}
}

// sql runs statements as somebody who may do everything.
func (p *place) sql(statements ...string) {
	p.t.Helper()
	tx, err := p.repo.Begin(p.t.Context(), p.repo.CheckedOut())
	check(p.t, err)
	for _, q := range statements {
		check(p.t, p.engine.Evaluate(p.t.Context(), mysql.OwnerName, "localhost", tx, q, func(_ string, err error) error { return err }))
	}
	check(p.t, tx.Commit(p.t.Context()))
}

func (p *place) commit(message string) {
	p.t.Helper()
	_, err := p.repo.Commit(p.t.Context(), repo.CommitOptions{Branch: p.repo.CheckedOut(), Message: message, AddNew: true, AllowEmpty: true})
	check(p.t, err)
}

// run runs a verb on the database.
func (p *place) run(verb op.Op) (*op.Result, error) {
	return op.Run(p.t.Context(), verb, &op.Scope{
		Dir: p.dir, FS: vfs.OS{}, Repo: p.repo, Clock: clock.System{}, Author: op.Author{Name: "ada", Email: "a@example.org"},
		Settings: op.Settings{Local: filepath.Join(p.repo.Dir(), "config")},
	})
}

// serve lets others push to the database. ada may do everything there, bob may read, and eve nothing.
func (p *place) serve(change ...func(*Options)) *Server {
	p.t.Helper()
	ctx := p.t.Context()
	m, err := mysql.New(ctx, mysql.Options{Engine: p.engine, FS: vfs.OS{}, Privileges: filepath.Join(p.t.TempDir(), "privileges.db")})
	check(p.t, err)
	c, err := p.engine.Connect(ctx, engine.ClientOptions{User: mysql.OwnerName, Host: "localhost", Database: p.repo.Name()})
	check(p.t, err)
	for _, q := range []string{
		"create user ada@localhost identified by 'secret'", "create user bob@localhost identified by 'secret'", "create user eve@localhost identified by 'secret'",
		"drop user root@localhost", "grant all on `" + p.repo.Name() + "`.* to ada@localhost", "grant select on `" + p.repo.Name() + "`.* to bob@localhost",
	} {
		_, err := c.Exec(ctx, q, nil)
		check(p.t, err)
	}
	c.Close()
	opt := Options{Engine: p.engine, FS: vfs.OS{}, Address: "127.0.0.1:0", Temp: filepath.Join(p.t.TempDir(), "arriving")}
	for _, f := range change {
		f(&opt)
	}
	s, err := New(opt)
	check(p.t, err)
	p.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		check(p.t, s.Shut(ctx))
		check(p.t, m.Shut(ctx))
	})
	return s
}

func (p *place) url(s *Server) string { return fmt.Sprintf("http://%s/%s", s.Addr(), p.repo.Name()) }

func login(t *testing.T, user string) {
	t.Setenv("STEMMA_REMOTE_USER", user)
	t.Setenv("STEMMA_REMOTE_PASSWORD", "secret")
}

// TestTogether clones a server's database, pushes to it while it changes, and fetches.
func TestTogether(t *testing.T) {
	there := newPlace(t, filepath.Join(t.TempDir(), "prices"))
	there.sql("create table t (id int primary key, v varchar(20))", "insert into t values (1, 'a'), (2, 'b')")
	there.commit("rows")
	s := there.serve()
	login(t, "ada")
	mine := filepath.Join(t.TempDir(), "mine")
	scope := &op.Scope{Dir: filepath.Dir(mine), FS: vfs.OS{}, Clock: clock.System{}}
	_, err := op.Run(t.Context(), &op.Clone{Name: "origin", URL: there.url(s), Dir: mine}, scope)
	check(t, err)
	here := newPlace(t, mine)
	same := func() {
		t.Helper()
		a, _ := here.repo.BranchHead("main")
		if b, _ := there.repo.BranchHead("main"); a != b {
			t.Fatalf("here %s, there %s", a, b)
		}
		w, err := there.repo.SnapshotWorking("main")
		check(t, err)
		c, err := there.repo.SnapshotAt(t.Context(), a)
		check(t, err)
		if w.Root.Tree() != c.Root.Tree() {
			t.Fatal("the working set there is not that of the branch")
		}
	}
	same()
	here.sql("insert into t values (3, 'c')")
	here.commit("more")
	_, err = here.run(&op.Push{Remote: "origin", Refs: []string{"main"}})
	check(t, err)
	same()
	// What was put has become the database's.
	left, err := vfs.OS{}.ReadDir(filepath.Join(there.repo.Dir(), "served", "uploads", "packs"))
	if err != nil || len(left) > 0 {
		t.Errorf("packs that were put are left: %v, %v", left, err)
	}
	// Both have commits.
	there.sql("insert into t values (10, 'x')")
	there.commit("theirs")
	here.sql("insert into t values (4, 'd')")
	here.commit("ours")
	if _, err := here.run(&op.Push{Remote: "origin", Refs: []string{"main"}}); err == nil || !strings.Contains(err.Error(), "fetch first") && !strings.Contains(err.Error(), "rejected") {
		t.Errorf("a push behind: %v", err)
	}
	_, err = here.run(&op.Pull{Remote: "origin"})
	check(t, err)
	_, err = here.run(&op.Push{Remote: "origin", Refs: []string{"main"}})
	check(t, err)
	same()
	// Somebody's uncommitted work is not lost.
	there.sql("insert into t values (20, 'uncommitted')")
	here.sql("insert into t values (5, 'e')")
	here.commit("again")
	if _, err := here.run(&op.Push{Remote: "origin", Refs: []string{"main"}}); !errs.Is(err, errs.ReadOnly) || !strings.Contains(err.Error(), "branch 'main' has uncommitted changes there") {
		t.Errorf("a push over uncommitted changes: %s: %v", errs.CodeOf(err), err)
	}
	there.commit("committed")
	_, err = here.run(&op.Pull{Remote: "origin"})
	check(t, err)
	// Several refs at once, new ones, tags, and what is removed again.
	head, _ := here.repo.BranchHead("main")
	check(t, here.repo.CreateBranch(t.Context(), "fix", head, false))
	_, err = here.run(&op.Tag{Args: []string{"v1"}, Message: "first"})
	check(t, err)
	_, err = here.run(&op.Push{Remote: "origin", Refs: []string{"main", "fix", "v1"}, Atomic: true})
	check(t, err)
	same()
	if got, ok := there.repo.BranchHead("fix"); !ok || got != head {
		t.Errorf("fix is %s there", got)
	}
	if _, ok, err := there.repo.TagNamed(t.Context(), "v1"); !ok || err != nil {
		t.Errorf("the tag is not there: %v", err)
	}
	_, err = here.run(&op.Push{Remote: "origin", Refs: []string{"fix", "v1"}, Delete: true})
	check(t, err)
	if _, ok := there.repo.BranchHead("fix"); ok {
		t.Error("fix is still there")
	}
	if _, err := here.run(&op.Push{Remote: "origin", Refs: []string{"main"}, Delete: true}); !errs.Is(err, errs.ReadOnly) {
		t.Errorf("the checked-out branch is removed: %v", err)
	}
	for _, p := range []*place{here, there} {
		res, err := p.run(&op.Fsck{})
		if err != nil {
			t.Errorf("fsck: %v: %v", err, res)
		}
	}
}

// TestRights lets in who may.
func TestRights(t *testing.T) {
	there := newPlace(t, filepath.Join(t.TempDir(), "prices"))
	there.sql("create table t (id int primary key)")
	there.commit("a table")
	s := there.serve()
	here := newPlace(t, filepath.Join(t.TempDir(), "mine"))
	list := func() error { _, err := here.run(&op.LsRemote{Remote: there.url(s)}); return err }
	push := func() error {
		_, err := here.run(&op.Push{Remote: there.url(s), Refs: []string{"main:fresh"}})
		return err
	}
	login(t, "bob")
	check(t, list())
	if err := push(); !errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), "'bob'@'localhost'") || !strings.Contains(err.Error(), "INSERT") {
		t.Errorf("bob pushes: %v", err)
	}
	login(t, "eve")
	if err := list(); !errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), "SELECT on the whole database") {
		t.Errorf("eve reads: %v", err)
	}
	t.Setenv("STEMMA_REMOTE_PASSWORD", "wrong")
	if err := list(); !errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), "Access denied for user 'eve'@'localhost' (using password: YES)") {
		t.Errorf("a wrong password: %v", err)
	}
	login(t, "ada")
	check(t, push())
	// A password that was changed is not remembered.
	c, err := there.engine.Connect(t.Context(), engine.ClientOptions{User: mysql.OwnerName, Host: "localhost", Database: there.repo.Name()})
	check(t, err)
	defer c.Close()
	for _, p := range []string{"other", "secret"} {
		_, err = c.Exec(t.Context(), "alter user ada@localhost identified by '"+p+"'", nil)
		check(t, err)
		if err := list(); (err == nil) != (p == "secret") {
			t.Errorf("with the password changed to %s: %v", p, err)
		}
	}
	_, err = here.run(&op.LsRemote{Remote: there.url(s) + "x"})
	if !errs.Is(err, errs.Denied) { // whether it is there is not told
		t.Errorf("another database: %v", err)
	}
	t.Setenv("STEMMA_REMOTE_USER", "")
	t.Setenv("NETRC", "/nonexistent")
	if err := list(); !errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), "STEMMA_REMOTE_USER") {
		t.Errorf("nobody: %v", err)
	}
}

// TestReadOnly reads where nothing may be changed.
func TestReadOnly(t *testing.T) {
	there := newPlace(t, filepath.Join(t.TempDir(), "prices"))
	s := there.serve(func(o *Options) { o.ReadOnly = true })
	here := newPlace(t, filepath.Join(t.TempDir(), "mine"))
	login(t, "ada")
	_, err := here.run(&op.LsRemote{Remote: there.url(s)})
	check(t, err)
	if _, err := here.run(&op.Push{Remote: there.url(s), Refs: []string{"main:fresh"}}); !errs.Is(err, errs.ReadOnly) {
		t.Errorf("%v", err)
	}
	if b := there.repo.Branches(); slices.ContainsFunc(b, func(b repo.Branch) bool { return b.Name == "fresh" }) {
		t.Error("it was pushed")
	}
}

// TestLazy reads a server's database from a clone that has commits only, also when the server has begun anew and has other packs.
func TestLazy(t *testing.T) {
	remote.Register()
	there := newPlace(t, filepath.Join(t.TempDir(), "prices"))
	there.sql("create table t (id int primary key, v varchar(20))", "insert into t values (1, 'a'), (2, 'b')")
	there.commit("rows")
	s := there.serve()
	login(t, "ada")
	mine := filepath.Join(t.TempDir(), "mine")
	scope := &op.Scope{Dir: filepath.Dir(mine), FS: vfs.OS{}, Clock: clock.System{}}
	_, err := op.Run(t.Context(), &op.Clone{Name: "origin", URL: there.url(s), Dir: mine, Lazy: true, Most: 1}, scope)
	check(t, err)
	check(t, s.Shut(t.Context()))
	there.sql("insert into t values (3, 'c')")
	there.commit("more")
	next, err := New(Options{Engine: there.engine, FS: vfs.OS{}, Address: s.Addr().String(), Temp: filepath.Join(t.TempDir(), "arriving")})
	check(t, err)
	t.Cleanup(func() { check(t, next.Shut(context.Background())) })
	here := newPlace(t, mine)
	here.sql("update t set v = 'x' where id = 1")
	here.commit("mine")
	_, err = here.run(&op.Push{Remote: "origin", Refs: []string{"main:mine"}})
	check(t, err)
	head, _ := here.repo.BranchHead("main")
	if got, _ := there.repo.BranchHead("mine"); got != head {
		t.Errorf("the server has %s, the clone %s", got, head)
	}
}

// TestHostOf: who comes through a proxy, or from the page of somebody else in a browser, is not of this machine.
func TestHostOf(t *testing.T) {
	self, err := os.Hostname()
	check(t, err)
	for _, c := range []struct{ from, host, header, want string }{
		{"127.0.0.1:4711", "localhost:8816", "", "localhost"},
		{"127.0.0.1:4711", "127.0.0.1:8816", "", "localhost"},
		{"[::1]:4711", "[::1]:8816", "", "localhost"},
		{"127.0.0.1:4711", self + ":8816", "", "localhost"},
		{"192.0.2.7:4711", "db.example.org", "", "192.0.2.7"},
		{"127.0.0.1:4711", "db.example.org", "", proxied},
		{"127.0.0.1:4711", "localhost:8816", "X-Forwarded-For", proxied},
		{"127.0.0.1:4711", "localhost:8816", "Origin", proxied},
	} {
		r := &http.Request{RemoteAddr: c.from, Host: c.host, Header: http.Header{}}
		if c.header != "" {
			r.Header.Set(c.header, "127.0.0.1")
		}
		if got := hostOf(r); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}
