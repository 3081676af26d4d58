package gs_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/object/gs"
)

// google answers in place of Google's servers, by their names.
var google atomic.Pointer[http.HandlerFunc]

// TestMain is a proxy behind which this process finds and trusts Google's servers, which programs can be told once, at their beginning.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "stemma-gs")
	check(err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	about := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		DNSNames: []string{"storage.googleapis.com", "oauth2.googleapis.com"}}
	cert, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	check(err)
	file := filepath.Join(dir, "google.pem")
	check(os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600))
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*google.Load())(w, r) }))
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: key}}}
	srv.StartTLS()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to, err := net.Dial("tcp", srv.Listener.Addr().String())
		if r.Method != http.MethodConnect || err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		from, _, err := http.NewResponseController(w).Hijack()
		check(err)
		_, _ = io.WriteString(from, "HTTP/1.1 200 Connection established\r\n\r\n")
		go func() {
			_, _ = io.Copy(to, from) // it ends with the connection
			_ = to.Close()
		}()
		_, _ = io.Copy(from, to)
		_ = from.Close()
	}))
	for name, value := range map[string]string{"SSL_CERT_FILE": file, "HTTPS_PROXY": proxy.URL, "NO_PROXY": "", "no_proxy": ""} {
		check(os.Setenv(name, value))
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// TestCredentials makes requests as who gcloud's application default credentials are, and says so where they are no good.
func TestCredentials(t *testing.T) {
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		t.Skip("the system's store of certificates cannot be replaced for a test")
	}
	file := filepath.Join(t.TempDir(), "adc.json")
	text := `{"type": "authorized_user", "client_id": "id", "client_secret": "secret", "refresh_token": "refresh"}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("STORAGE_EMULATOR_HOST", "")
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
	tokens, status, given, at := http.StatusOK, http.StatusOK, "", ""
	answers := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Host == "oauth2.googleapis.com" {
			w.WriteHeader(tokens)
			if tokens == http.StatusOK {
				_, _ = w.Write([]byte(`{"access_token": "of-` + r.FormValue("refresh_token") + `", "token_type": "Bearer", "expires_in": 3600}`))
			} else {
				_, _ = w.Write([]byte(`{"error": "invalid_grant", "error_description": "Token has been expired or revoked."}`))
			}
			return
		}
		given, at = r.Header.Get("Authorization"), r.Host+r.URL.EscapedPath()
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"name": "p/a", "size": "3"}`))
	})
	google.Store(&answers)
	stat := func() error {
		s, err := gs.Open(t.Context(), "data", "p")
		if err != nil {
			return err
		}
		_, err = s.Stat(t.Context(), "a/b")
		return err
	}
	if err := stat(); err != nil || given != "Bearer of-refresh" || at != "storage.googleapis.com/storage/v1/b/data/o/p%2Fa%2Fb" {
		t.Errorf("%v: %q to %s", err, given, at)
	}
	status = http.StatusForbidden
	if err := stat(); !errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), "objects.get of gs://data/p/a/b was denied to the user of gcloud's application default credentials") {
		t.Errorf("%v", err)
	}
	tokens = http.StatusBadRequest
	if err := stat(); !errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), "no token for the user of gcloud's application default credentials") {
		t.Errorf("%v", err)
	}
	tokens = http.StatusServiceUnavailable
	if err := stat(); !errs.Is(err, errs.Unavailable) {
		t.Errorf("%v", err)
	}
}
