package http_test

import (
	"errors"
	nethttp "net/http"
	"strings"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/object/http"
	"github.com/stemmadb/stemma/internal/object/mem"
	"github.com/stemmadb/stemma/internal/object/objecttest"
	"github.com/stemmadb/stemma/internal/vfs"
)

// serve starts a server of one store, which lets ada in.
func serve(t *testing.T, s object.Store) (*objecttest.Server, *vfs.Mem) {
	t.Helper()
	fs := vfs.NewMem()
	if err := fs.MkdirAll("/tmp"); err != nil {
		t.Fatal(err)
	}
	return objecttest.Serve(t, &http.Handler{FS: fs, Temp: "/tmp", Open: func(r *nethttp.Request, name string) (object.Store, error) {
		if user, password, _ := r.BasicAuth(); user != "ada" || password != "secret" {
			return nil, errs.New(errs.Denied, "Access denied for user '%s'", user)
		}
		if name != "db" {
			return nil, errs.New(errs.NotFound, "database not found: %s", name)
		}
		return s, nil
	}}), fs
}

var ada = http.Login{User: "ada", Password: "secret"}

func TestSuite(t *testing.T) {
	objecttest.Suite(t, func(t *testing.T) object.Store {
		srv, fs := serve(t, &mem.Store{})
		t.Cleanup(func() {
			if left, err := fs.ReadDir("/tmp"); err != nil || len(left) > 0 {
				t.Errorf("left on the way: %v, %v", left, err)
			}
		})
		return http.Open(srv.URL+"/db", ada)
	})
}

// A network that fails makes no difference to who is patient.
func TestSuiteOnABadNetwork(t *testing.T) {
	seed := uint64(0)
	objecttest.Suite(t, func(t *testing.T) object.Store {
		seed++
		srv, _ := serve(t, objecttest.NewFaulty(&mem.Store{}, seed, 100))
		return object.Retry(http.Open(srv.URL+"/db", ada), object.RetryOptions{Tries: 30, Pause: time.Microsecond})
	})
}

func TestErrors(t *testing.T) {
	srv, _ := serve(t, &mem.Store{})
	for _, c := range []struct {
		path      string
		login     http.Login
		class     errs.Code
		mentioned string
	}{
		{"/db", http.Login{}, errs.Denied, "name a user with STEMMA_REMOTE_USER"},
		{"/db", http.Login{User: "bob"}, errs.Denied, "GET of stemma-remote in " + srv.URL + "/db: Access denied for user 'bob'"},
		{"/other", ada, errs.Invalid, "database not found: other"},
	} {
		_, _, err := http.Open(srv.URL+c.path, c.login).Get(t.Context(), "stemma-remote")
		if !errs.Is(err, c.class) || !strings.Contains(err.Error(), c.mentioned) {
			t.Errorf("%s: %s: %v; want %s with %q", c.path, errs.CodeOf(err), err, c.class, c.mentioned)
		}
		_, err = http.Open(srv.URL+c.path, c.login).Stat(t.Context(), "stemma-remote")
		if !errs.Is(err, c.class) {
			t.Errorf("%s: stat: %s: %v; want %s", c.path, errs.CodeOf(err), err, c.class)
		}
	}
	page := objecttest.Serve(t, nethttp.NotFoundHandler())
	if _, _, err := http.Open(page.URL+"/db", ada).Get(t.Context(), "a"); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "no server of stemma") {
		t.Errorf("another server: %v", err)
	}
	page = objecttest.Serve(t, nethttp.RedirectHandler("https://elsewhere.example.org/", nethttp.StatusMovedPermanently))
	if _, err := http.Open(page.URL+"/db", ada).List(t.Context(), ""); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "elsewhere.example.org") {
		t.Errorf("a redirect: %v", err)
	}
}

// Long bodies of those who may not put are not sent.
func TestDeniedBody(t *testing.T) {
	srv, _ := serve(t, &mem.Store{})
	body := &counted{Body: object.Bytes(make([]byte, 4<<20))}
	if err := http.Open(srv.URL+"/db", http.Login{}).Put(t.Context(), "packs/a", body, object.IfAbsent); !errs.Is(err, errs.Denied) {
		t.Fatalf("%v", err)
	}
	if read := body.read; read > 6<<20 { // once, for the digest, and what is read ahead
		t.Errorf("%d bytes were read", read)
	}
}

type counted struct {
	object.Body
	read int
}

// ReadAt implements object.Body.
func (c *counted) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.Body.ReadAt(p, off)
	c.read += n
	return n, err
}

// A body that arrives damaged or broken off is not taken.
func TestDamage(t *testing.T) {
	base := &mem.Store{}
	srv, _ := serve(t, base)
	req, err := nethttp.NewRequest(nethttp.MethodPut, srv.URL+"/db/objects/a", strings.NewReader("text"))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(ada.User, ada.Password)
	req.Header.Set("Content-Digest", "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:")
	answer, err := nethttp.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := answer.Body.Close(); err != nil || answer.StatusCode != nethttp.StatusServiceUnavailable {
		t.Errorf("status %s, %v", answer.Status, err)
	}
	if _, err := base.Stat(t.Context(), "a"); !errs.Is(err, errs.NotFound) {
		t.Errorf("it was taken: %v", err)
	}
	broken := &breaking{Body: object.Bytes(make([]byte, 4<<20))}
	if err := http.Open(srv.URL+"/db", ada).Put(t.Context(), "a", broken, object.Always); err == nil {
		t.Error("a body that cannot be read is put")
	}
	if _, err := base.Stat(t.Context(), "a"); !errs.Is(err, errs.NotFound) {
		t.Errorf("it was taken: %v", err)
	}
}

// breaking is a body that can be read once, and the second time half.
type breaking struct {
	object.Body
	read int64
}

// ReadAt implements object.Body.
func (b *breaking) ReadAt(p []byte, off int64) (int, error) {
	n, err := b.Body.ReadAt(p, off)
	if b.read += int64(n); b.read > b.Size()+b.Size()/2 {
		return 0, errors.New("the disk has failed")
	}
	return n, err
}

func TestLogin(t *testing.T) {
	for _, c := range []struct {
		text string
		want http.Login
	}{
		{"", http.Login{}},
		{"machine db.example.org login ada password secret", ada},
		{"# comment\nmachine other login bob password x\nmachine db.example.org\n\tlogin ada\n\tpassword secret\nmachine third login eve password y", ada},
		{"macdef init\nmachine db.example.org login eve\n\ndefault login ada password secret", ada},
		{"machine other login bob password x", http.Login{}},
		{"machine", http.Login{}},
	} {
		file := t.TempDir() + "/netrc"
		if err := vfs.WriteFile(vfs.OS{}, file, []byte(c.text)); err != nil {
			t.Fatal(err)
		}
		t.Setenv("NETRC", file)
		if got, err := http.FindLogin("https://db.example.org:8816/prices"); err != nil || got != c.want {
			t.Errorf("%q: %+v, %v; want %+v", c.text, got, err, c.want)
		}
	}
	t.Setenv("NETRC", "/nonexistent")
	t.Setenv("STEMMA_REMOTE_USER", "ada")
	t.Setenv("DOLT_REMOTE_PASSWORD", "secret")
	if got, err := http.FindLogin("https://db.example.org/prices"); err != nil || got != ada {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestStatus(t *testing.T) {
	for _, c := range errs.Codes() {
		if s := http.Status(c); s < 400 || s > 599 {
			t.Errorf("%s: %d", c, s)
		}
	}
}
