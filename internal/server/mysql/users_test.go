package mysql

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"github.com/stemmadb/stemma/internal/engine"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/vfs"
)

// Users and grants outlive the server; passwords are asked for.
func TestUsers(t *testing.T) {
	fs := vfs.NewMem()
	v := serve(t, fs, Options{})
	root := open(t, v.config("root", ""))
	if got := query(t, root, "select current_user()"); got != "root@localhost" {
		t.Error(got)
	}
	for _, c := range []*driver.Config{v.config("bob", ""), v.config("root", "x"), v.config(OwnerName, "")} {
		if err := open(t, c).PingContext(t.Context()); number(err) != 1045 {
			t.Errorf("%s with password %q: %v", c.User, c.Passwd, err)
		}
	}
	exec(t, root, "create table t (id int primary key)", "create table u (id int primary key)",
		"create user bob@localhost identified by 'secret'", "grant select on db.t to bob@localhost",
		"alter user root@localhost identified by 'new'")
	v.stop(t)

	v = serve(t, fs, Options{})
	for _, c := range []*driver.Config{v.config("bob", ""), v.config("root", "")} {
		if err := open(t, c).PingContext(t.Context()); number(err) != 1045 {
			t.Errorf("%s without password: %v", c.User, err)
		}
	}
	bob := open(t, v.config("bob", "secret"))
	if got := query(t, bob, "select count(*) from t"); got != "0" {
		t.Error(got)
	}
	for _, q := range []string{"select count(*) from u", "insert into t values (1)", "create user eve"} {
		if _, err := bob.ExecContext(t.Context(), q); err == nil {
			t.Errorf("bob may %s", q)
		}
	}
	exec(t, open(t, v.config("root", "new")), "insert into u values (1)")
}

// SHOW CREATE VIEW, and SHOW CREATE TABLE of a view, want SHOW VIEW and SELECT, on the view, its database or all.
func TestShowCreateViewPrivileges(t *testing.T) {
	v := serve(t, vfs.NewMem(), Options{})
	root := open(t, v.config("root", ""))
	exec(t, root, "create table t (id int primary key)", "create view v as select id from t", "create view w as select 1 as one",
		"create user bob@localhost", "grant select on db.v to bob@localhost", "grant select on db.t to bob@localhost")
	bob := open(t, v.config("bob", ""))
	asks := []string{"show create view v", "show create table v", "show create view db.v", "show create view `db/main`.v", "show create table `db/main`.v"}
	refused := func(words string, statements ...string) {
		t.Helper()
		for _, q := range statements {
			_, err := bob.ExecContext(t.Context(), q)
			if number(err) != 1142 || !strings.Contains(err.Error(), words+" command denied to user 'bob'@'localhost' for table") {
				t.Errorf("%s: %v", q, err)
			}
		}
	}
	may := func(statements ...string) {
		t.Helper()
		for _, q := range statements {
			if _, err := bob.ExecContext(t.Context(), q); err != nil {
				t.Errorf("%s: %v", q, err)
			}
		}
	}
	refused("SHOW VIEW", asks...)
	refused("SELECT", "show create view w", "show create view none")
	may("select * from v", "show create table t")
	exec(t, root, "grant show view on db.v to bob@localhost")
	may(asks...)
	refused("SELECT", "show create view w")
	exec(t, root, "grant show view on db.* to bob@localhost")
	refused("SELECT", "show create view w", "show create table w")
	exec(t, root, "revoke show view on db.* from bob@localhost", "grant select on db.* to bob@localhost", "revoke show view on db.v from bob@localhost")
	refused("SHOW VIEW", asks...)
	exec(t, root, "grant select, show view on *.* to bob@localhost")
	may(append(asks, "show create view w", "show create table w")...)
	exec(t, root, "show create view v")
}

// What cannot be saved, or fails half way, leaves users and grants as they were, in memory too.
func TestUsersUnsaved(t *testing.T) {
	var full atomic.Bool
	fs := vfs.WithHook(vfs.NewMem(), func(o vfs.Op) error {
		if full.Load() && strings.Contains(o.Name, "privileges.db") && o.Kind != vfs.OpRead {
			return errs.With(errs.NoSpace, syscall.ENOSPC)
		}
		return nil
	})
	v := serve(t, fs, Options{})
	root := open(t, v.config("root", ""))
	exec(t, root, "create table t (id int primary key)")
	check := func(when string) {
		t.Helper()
		if got := query(t, root, "select group_concat(user order by user) from mysql.user where user in ('ann', 'bob', 'eve', 'boss', 'root')"); got != "ann,boss,root" {
			t.Errorf("%s: users %s", when, got)
		}
		if got := query(t, root, "show grants for ann@localhost"); got != "GRANT USAGE ON *.* TO `ann`@`localhost`" {
			t.Errorf("%s: ann has %s", when, got)
		}
		ann := open(t, v.config("ann", "a"))
		if err := ann.PingContext(t.Context()); err != nil && number(err) != 1044 {
			t.Errorf("%s: ann cannot come in: %v", when, err)
		}
		if err := open(t, v.config("bob", "b")).PingContext(t.Context()); number(err) != 1045 {
			t.Errorf("%s: bob comes in: %v", when, err)
		}
	}
	fails := func(statements ...string) {
		t.Helper()
		for _, q := range statements {
			if _, err := root.ExecContext(t.Context(), q); err == nil || full.Load() && !strings.Contains(err.Error(), "save users and grants") {
				t.Errorf("%s: %v", q, err)
			}
			check(q)
		}
	}
	full.Store(true)
	if _, err := root.ExecContext(t.Context(), "create user bob@localhost identified by 'b'"); err == nil {
		t.Error("a user was made that cannot be saved")
	}
	if got := query(t, root, "select group_concat(user order by user) from mysql.user where user in ('bob', 'root')"); got != "root" {
		t.Errorf("users %s, before there were any", got)
	}
	full.Store(false)
	exec(t, root, "create user ann@localhost identified by 'a'", "create role boss")
	check("at first")
	full.Store(true)
	fails("create user bob@localhost identified by 'b'", "grant select on db.t to ann@localhost", "grant all on *.* to ann@localhost",
		"alter user ann@localhost identified by 'x'", "drop user ann@localhost", "drop role boss", "grant boss to ann@localhost")
	full.Store(false)
	fails("create user bob@localhost identified by 'b', ann@localhost", "drop user ann@localhost, eve@localhost")
	exec(t, root, "grant select on db.t to ann@localhost")
	if got := query(t, open(t, v.config("ann", "a")), "select count(*) from t"); got != "0" {
		t.Error(got)
	}
}

// A file that is not of users does not let everyone in.
func TestUsersCorrupt(t *testing.T) {
	fs := vfs.NewMem()
	v := serve(t, fs, Options{})
	v.stop(t)
	if err := vfs.WriteFile(fs, filepath.Join(dataDir, repo.DirName, "privileges.db"), []byte("not users")); err != nil {
		t.Fatal(err)
	}
	p := &privileges{fs: fs, path: filepath.Join(dataDir, repo.DirName, "privileges.db")}
	e, err := engine.New(t.Context(), engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.load(nil, e.SQLEngine().Analyzer.Catalog.MySQLDb); !errs.Is(err, errs.Corrupt) {
		t.Errorf("%v", err)
	}
}

func certificate(t *testing.T) (certFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, b := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "EC PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return certFile, keyFile, pool
}

func TestTLS(t *testing.T) {
	cert, key, pool := certificate(t)
	conf, err := LoadTLS(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "s")
	v := serve(t, vfs.NewMem(), Options{TLS: conf, RequireTLS: true, Socket: socket})
	if err := open(t, v.config("root", "")).PingContext(t.Context()); err == nil {
		t.Error("a connection without TLS is let in")
	}
	c := v.config("root", "")
	c.TLS = &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}
	db := open(t, c)
	exec(t, db, "create user sha@localhost identified with caching_sha2_password by 'secret'", "grant all on *.* to sha@localhost")
	c = v.config("sha", "secret")
	c.TLS = &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}
	if got := query(t, open(t, c), "select current_user()"); got != "sha@localhost" {
		t.Error(got)
	}
	c = v.config("root", "")
	c.Net, c.Addr = "unix", socket
	if got := query(t, open(t, c), "select 1"); got != "1" {
		t.Error(got)
	}
	for _, files := range [][2]string{{cert, ""}, {"", key}, {key, cert}} {
		if _, err := LoadTLS(files[0], files[1]); !errs.Is(err, errs.Invalid) {
			t.Errorf("%v: %v", files, err)
		}
	}
	if conf, err := LoadTLS("", ""); conf != nil || err != nil {
		t.Error(conf, err)
	}
}

// Connections that are handed over need no password, and commit as the author that they name.
func TestTrusted(t *testing.T) {
	v := serve(t, vfs.NewMem(), Options{})
	exec(t, open(t, v.config("root", "")), "alter user root@localhost identified by 'new'")
	c := v.config("Ada Lovelace <ada@x>", "")
	c.DialFunc = func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		return here, v.Serve(there)
	}
	db := open(t, c)
	exec(t, db, "create table t (id int primary key)", "create user x@localhost")
	if got := query(t, db, "select current_user()"); got != "owner@localhost" {
		t.Error(got)
	}
	for user, want := range map[string]string{"A B <c@d>": "A B c@d", "root": "root ", "": " "} {
		if a := peerAuthor(user); a.Name+" "+a.Email != want {
			t.Errorf("%q: %+v", user, a)
		}
	}
}

func TestRequireTLSNeedsCertificate(t *testing.T) {
	if _, err := New(t.Context(), Options{RequireTLS: true}); !errs.Is(err, errs.Invalid) {
		t.Errorf("%v", err)
	}
}

// The directory of the file of users is made with the file.
func TestUsersDirectory(t *testing.T) {
	fs := vfs.NewMem()
	path := filepath.Join(dataDir, "cfg", "privileges.db")
	v := serve(t, fs, Options{Privileges: path})
	exec(t, open(t, v.config("root", "")), "create user ada@'%' identified by 'pw'")
	if b, err := vfs.ReadFile(fs, path); err != nil || len(b) == 0 {
		t.Errorf("users: %d bytes, %v", len(b), err)
	}
}
