package az_test

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/object/az"
	"github.com/stemmadb/stemma/internal/object/az/aztest"
	"github.com/stemmadb/stemma/internal/object/objecttest"
)

// authority is a server that gives tokens, over HTTPS as all who do must.
var authority *httptest.Server

// TestMain trusts the authority, which programs can be told once, at their beginning.
func TestMain(m *testing.M) {
	authority = httptest.NewTLSServer(http.HandlerFunc(authorize))
	dir, err := os.MkdirTemp("", "stemma-az")
	file := filepath.Join(dir, "authority.pem")
	if err == nil {
		err = os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Certificate().Raw}), 0o600)
	}
	if err == nil {
		err = os.Setenv("SSL_CERT_FILE", file)
	}
	if err != nil {
		panic(err)
	}
	code := m.Run()
	authority.Close()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// held, when it is not nil, holds up answers of the authority until the other is closed.
var held, released chan struct{}

// authorize answers as an authority of the tenant t does: with tokens that are those who ask.
func authorize(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/t/v2.0/.well-known/openid-configuration":
		fmt.Fprintf(w, `{"issuer": "%[1]s/t/v2.0", "token_endpoint": "%[1]s/t/oauth2/v2.0/token", "authorization_endpoint": "%[1]s/t/oauth2/v2.0/authorize"}`, authority.URL)
	case "/t/oauth2/v2.0/token":
		if held != nil {
			close(held)
			<-released
		}
		_ = r.ParseForm() // what is not there is told by who asked
		if r.Form.Get("client_secret") == "wrong" {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret.\r\nTrace ID: 1"}`))
			return
		}
		_, _ = w.Write([]byte(`{"token_type": "Bearer", "access_token": "` + r.Form.Get("client_id") + "-" + r.Form.Get("client_secret") + r.Form.Get("client_assertion") + `", "expires_in": 3600}`))
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// needsAuthority skips where programs are not told by a file whom to trust.
func needsAuthority(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		t.Skip("the system's store of certificates cannot be replaced for a test")
	}
}

func open(t *testing.T, container, path string) *az.Store {
	t.Helper()
	s, err := az.Open(t.Context(), container, path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	objecttest.Buckets{
		Scheme: "az", Start: aztest.Start, Setting: aztest.Setting, Busy: aztest.Busy,
		Open: func(t *testing.T, container, path string) object.Store { return open(t, container, path) },
	}.Run(t)
}

// at serves with a handler as an account, and names it in the environment, which has no credentials.
func at(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AZURE_") || strings.HasPrefix(name, "IDENTITY_") {
			t.Setenv(name, "")
		}
	}
	t.Setenv(aztest.Setting, srv.URL)
	t.Setenv("AZURE_STORAGE_ACCOUNT", "acc")
	return srv
}

// TestErrors gives errors their classes, and says what was asked for and as whom.
func TestErrors(t *testing.T) {
	var now func(http.ResponseWriter, *http.Request) bool
	srv := at(t, func(w http.ResponseWriter, r *http.Request) { now(w, r) })
	t.Setenv("AZURE_STORAGE_KEY", aztest.Key())
	s := open(t, "data", "p")
	for _, c := range []struct {
		status        int
		code, message string
		class         errs.Code
		mentioned     string
	}{
		{403, "AuthorizationPermissionMismatch", "This request is not authorized.", errs.Denied, "Get Blob of az://data/p/a was denied to the key of the account acc: AuthorizationPermissionMismatch"},
		{409, "PublicAccessNotPermitted", "Public access is not permitted on this storage account.", errs.Denied, "was denied to the key of the account acc: PublicAccessNotPermitted"},
		{503, "ServerBusy", "The server is busy.", errs.Unavailable, "busy"},
		{404, "ContainerNotFound", "The specified container does not exist.", errs.Invalid, "there is no bucket 'data' at " + srv.URL},
		{404, "BlobNotFound", "The specified blob does not exist.", errs.NotFound, "not there"},
		{412, "ConditionNotMet", "The condition was not met.", errs.Conflict, "changed by somebody else"},
	} {
		now = aztest.Answer(c.status, c.code, c.message)
		_, _, err := s.Get(t.Context(), "a")
		if !errs.Is(err, c.class) || !strings.Contains(err.Error(), c.mentioned) || strings.Contains(err.Error(), "RequestId") {
			t.Errorf("%d: %s: %v; want %s with %q", c.status, errs.CodeOf(err), err, c.class, c.mentioned)
		}
	}
}

// TestCredentials takes credentials from where Azure's tools do.
func TestCredentials(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("assertion"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		env  map[string]string
		want string // in what the server is given
	}{
		{"key", map[string]string{"AZURE_STORAGE_KEY": aztest.Key()}, "SharedKey acc:"},
		{"connection string", map[string]string{"AZURE_STORAGE_CONNECTION_STRING": "AccountName=other;AccountKey=" + aztest.Key() + ";BlobEndpoint=SRV"}, "SharedKey other:"},
		{"signature", map[string]string{"AZURE_STORAGE_SAS_TOKEN": "?sv=1&sig=abc%2B"}, "sig=abc%2B"},
		{"secret", map[string]string{"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "me", "AZURE_CLIENT_SECRET": "s"}, "Bearer me-s"},
		{"workload", map[string]string{"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "me", "AZURE_FEDERATED_TOKEN_FILE": file}, "Bearer me-assertion"},
		{"machine", map[string]string{"IDENTITY_HEADER": "h", "IDENTITY_ENDPOINT": "SRV/identity"}, "Bearer machine-h"},
	} {
		t.Run(c.name, func(t *testing.T) {
			given := ""
			srv := at(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/identity" {
					_, _ = w.Write([]byte(`{"access_token": "machine-` + r.Header.Get("X-Identity-Header") + `", "expires_on": "4102444800"}`))
					return
				}
				given = r.Header.Get("Authorization") + " " + r.URL.RawQuery
				w.Header().Set("Content-Length", "3")
			})
			if strings.Contains(c.want, "me-") {
				needsAuthority(t)
			}
			t.Setenv("AZURE_AUTHORITY_HOST", authority.URL)
			for k, v := range c.env {
				t.Setenv(k, strings.ReplaceAll(v, "SRV", srv.URL))
			}
			if _, err := open(t, "data", "p").Stat(t.Context(), "a"); err != nil || !strings.Contains(given, c.want) {
				t.Errorf("%q, %v; want %q", given, err, c.want)
			}
		})
	}
	at(t, func(http.ResponseWriter, *http.Request) {})
	t.Setenv("AZURE_STORAGE_ACCOUNT", "")
	t.Setenv(aztest.Setting, "")
	if _, err := az.Open(t.Context(), "data", ""); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "AZURE_STORAGE_ACCOUNT") {
		t.Errorf("without an account: %v", err)
	}
}

// TestMachineAndCommand asks the machine's identity and the user of the command az for a token before it takes them for what there is.
func TestMachineAndCommand(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the command is a shell script")
	}
	const old = `{"accessToken": "cli-N", "expiresOn": "2001-02-03 04:05:06.000000"}`
	for _, c := range []struct {
		name    string
		machine int    // the status of its answer
		az      string // what the command says; "" for an error
		want    []string
	}{
		{"machine", 200, old, []string{"Bearer machine", "Bearer machine"}},
		{"no identity", 400, old, []string{"Bearer cli-2", "Bearer cli-3"}}, // the first was over when it was given
		{"no json", 204, `{"accessToken": "cli-N", "expires_on": 4102444800}`, []string{"Bearer cli-1", "Bearer cli-1"}},
		{"nobody", 404, "", []string{"", ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var given []string
			srv := at(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/metadata/identity/oauth2/token" {
					w.WriteHeader(c.machine)
					if c.machine == 200 && r.Header.Get("Metadata") == "true" {
						_, _ = w.Write([]byte(`{"access_token": "machine", "expires_in": "3600"}`))
					}
					return
				}
				given = append(given, r.Header.Get("Authorization"))
				w.Header().Set("Content-Length", "3")
			})
			t.Setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", srv.URL)
			t.Setenv("AZURE_CLIENT_ID", c.name) // tokens of the machine are kept by it, for all of the process
			dir := t.TempDir()
			script := "#!/bin/sh\necho 'Please run az login' >&2\nexit 1\n"
			if c.az != "" {
				script = "#!/bin/sh\necho x >> '" + dir + "/calls'\nn=$(wc -l < '" + dir + "/calls')\necho '" + c.az + "' | sed \"s/N/$((n))/\"\n"
			}
			if err := os.WriteFile(filepath.Join(dir, "az"), []byte(script), 0o700); err != nil {
				t.Fatal(err)
			}
			t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
			s := open(t, "data", "p")
			for range c.want {
				if _, err := s.Stat(t.Context(), "a"); err != nil {
					t.Fatal(err)
				}
			}
			if !slices.Equal(given, c.want) {
				t.Errorf("%q, want %q", given, c.want)
			}
		})
	}
}

// TestTokensInTheOpen sends no token and no secret where others could read it.
func TestTokensInTheOpen(t *testing.T) {
	at(t, func(http.ResponseWriter, *http.Request) {})
	t.Setenv("AZURE_TENANT_ID", "t")
	t.Setenv("AZURE_CLIENT_ID", "me")
	t.Setenv("AZURE_CLIENT_SECRET", "s")
	t.Setenv("AZURE_AUTHORITY_HOST", "http://login.example.org")
	if _, err := az.Open(t.Context(), "data", ""); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "AZURE_AUTHORITY_HOST") {
		t.Errorf("%v", err)
	}
	t.Setenv("AZURE_AUTHORITY_HOST", "")
	t.Setenv(aztest.Setting, "http://blob.example.org")
	if _, err := az.Open(t.Context(), "data", ""); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "https://") {
		t.Errorf("%v", err)
	}
	t.Setenv("AZURE_CLIENT_SECRET", "")
	if _, err := az.Open(t.Context(), "data", ""); err != nil {
		t.Errorf("without credentials: %v", err)
	}
}

// TestTokenGivenUp ends a request whose token does not come when its user gives up.
func TestTokenGivenUp(t *testing.T) {
	needsAuthority(t)
	at(t, func(http.ResponseWriter, *http.Request) {})
	held, released = make(chan struct{}), make(chan struct{})
	asked := held
	defer func() {
		close(released)
		held = nil
	}()
	t.Setenv("AZURE_TENANT_ID", "t")
	t.Setenv("AZURE_CLIENT_ID", "me")
	t.Setenv("AZURE_CLIENT_SECRET", "s")
	t.Setenv("AZURE_AUTHORITY_HOST", authority.URL)
	s := open(t, "data", "")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	if _, err := s.Stat(ctx, "a"); !errs.Is(err, errs.Canceled) {
		t.Errorf("%v, want class canceled", err)
	}
}

// TestTokenDenied says who was given no token, and why, without what else an authority tells.
func TestTokenDenied(t *testing.T) {
	needsAuthority(t)
	at(t, func(http.ResponseWriter, *http.Request) {})
	t.Setenv("AZURE_TENANT_ID", "t")
	t.Setenv("AZURE_CLIENT_ID", "me")
	t.Setenv("AZURE_CLIENT_SECRET", "wrong")
	t.Setenv("AZURE_AUTHORITY_HOST", authority.URL)
	_, err := open(t, "data", "p").Stat(t.Context(), "a")
	const want = "Get Blob Properties of az://data/p/a: no token for the service principal me: 401 Unauthorized: invalid_client AADSTS7000215: Invalid client secret."
	if !errs.Is(err, errs.Denied) || err.Error() != want {
		t.Errorf("%s: %v; want %s", errs.CodeOf(err), err, want)
	}
	t.Setenv("AZURE_CLIENT_SECRET", "")
	t.Setenv("AZURE_FEDERATED_TOKEN_FILE", "/nonexistent/token")
	if _, err := az.Open(t.Context(), "data", ""); !errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), "/nonexistent/token") {
		t.Errorf("%v", err)
	}
}

// TestSignatureUnsaid keeps a shared access signature out of what is said of requests that fail.
func TestSignatureUnsaid(t *testing.T) {
	srv := at(t, func(w http.ResponseWriter, r *http.Request) {
		aztest.Answer(403, "AuthenticationFailed", "Server failed to authenticate the request.")(w, r)
	})
	t.Setenv("AZURE_STORAGE_SAS_TOKEN", "sv=1&sig=secret")
	s := open(t, "data", "p")
	_, denied := s.Stat(t.Context(), "a")
	spoilt := s.Put(t.Context(), "a", &spoiling{}, object.IfAbsent)
	srv.Close()
	_, away := s.Stat(t.Context(), "a")
	if !errs.Is(denied, errs.Denied) || !errs.Is(away, errs.Unavailable) || !errs.Is(spoilt, errs.Corrupt) {
		t.Errorf("%v\n%v\n%v", denied, away, spoilt)
	}
	if !strings.HasPrefix(spoilt.Error(), "Put Blob of az://data/p/a: ") {
		t.Error(spoilt)
	}
	if said := denied.Error() + away.Error() + spoilt.Error(); strings.Contains(said, "secret") || strings.Contains(said, "sig=") {
		t.Error(said)
	}
}

// spoiling is a body that can be read once: for the checksum.
type spoiling struct{ reads int }

func (*spoiling) Size() int64 { return 4 }

func (b *spoiling) ReadAt(p []byte, _ int64) (int, error) {
	if b.reads++; b.reads > 1 {
		return 0, errs.New(errs.Corrupt, "the device fails")
	}
	return copy(p, "text"), nil
}

// TestChallenges gives a server tokens for storage, whatever it asks for, and does not go on asking one that wants something else.
func TestChallenges(t *testing.T) {
	challenge := "Bearer authorization_uri=https://login.example.org/t resource_id=https://management.azure.com"
	var resources []string
	n := 0
	srv := at(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/identity" {
			resources = append(resources, r.URL.Query().Get("resource"))
			_, _ = w.Write([]byte(`{"access_token": "token", "expires_on": "4102444800"}`))
			return
		}
		n++
		w.Header().Set("WWW-Authenticate", challenge)
		w.WriteHeader(http.StatusUnauthorized)
	})
	t.Setenv("IDENTITY_HEADER", "h")
	t.Setenv("IDENTITY_ENDPOINT", srv.URL+"/identity")
	t.Setenv("AZURE_CLIENT_ID", "challenged") // tokens of the machine are kept by it, for all of the process
	s := open(t, "data", "p")
	if _, err := s.Stat(t.Context(), "a"); !errs.Is(err, errs.Denied) {
		t.Error(err)
	}
	if len(resources) == 0 || slices.ContainsFunc(resources, func(x string) bool { return x != "https://storage.azure.com" }) {
		t.Errorf("tokens for %q", resources)
	}
	challenge, n = "Basic realm=x", 0
	if _, err := s.Stat(t.Context(), "a"); !errs.Is(err, errs.Denied) || n != 1 || !strings.Contains(err.Error(), "denied to the identity of this machine") {
		t.Errorf("%v after %d requests", err, n)
	}
}

// TestOther refuses answers that are not those of Blob Storage.
func TestOther(t *testing.T) {
	status, text := http.StatusOK, "<html>Welcome</html>"
	at(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		if status != http.StatusNotModified {
			_, _ = w.Write([]byte(text))
		}
	})
	s := open(t, "data", "p")
	for _, text = range []string{"<html>Welcome</html>", "no markup <"} {
		if _, err := s.List(t.Context(), ""); !errs.Is(err, errs.Unsupported) {
			t.Errorf("%q: list: %s: %v", text, errs.CodeOf(err), err)
		}
	}
	if _, _, err := s.Get(t.Context(), "a"); !errs.Is(err, errs.Unsupported) {
		t.Errorf("get: %v", err)
	}
	status = http.StatusNotModified
	if err := s.GetRange(t.Context(), "a", make([]byte, 1), 0); !errs.Is(err, errs.Unsupported) {
		t.Errorf("range: %v", err)
	}
}

// TestDamage tells by its checksum what arrives damaged, in both directions.
func TestDamage(t *testing.T) {
	srv := aztest.Start(t, "data")
	s := open(t, "data", "p")
	put := func() error { return s.Put(t.Context(), "a", object.Bytes([]byte("text")), object.Always) }
	if err := put(); err != nil {
		t.Fatal(err)
	}
	srv.Before = func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-MD5", "AAAAAAAAAAAAAAAAAAAAAA==")
		w.Header().Set("ETag", "1")
		_, _ = w.Write([]byte("text"))
		return true
	}
	if _, _, err := s.Get(t.Context(), "a"); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("%v", err)
	}
	srv.Before = func(_ http.ResponseWriter, r *http.Request) bool {
		r.Body = io.NopCloser(strings.NewReader("tent"))
		return false
	}
	if err := put(); !errs.Is(err, errs.Unavailable) {
		t.Errorf("a put that arrives damaged: %v", err)
	}
}
