// Package aztest is Azure's own emulator of Blob Storage, Azurite, for tests.
package aztest

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/stemmadb/stemma/internal/object/objecttest"
)

// The account of an emulator.
const (
	account = "devstoreaccount1"
	// Setting is the variable of the environment that names the server.
	Setting  = "AZURE_STORAGE_SERVICE_ENDPOINT"
	envPath  = "STEMMA_TEST_AZURITE"
	patience = 60 * time.Second
)

// Key is the account's, in base64.
func Key() string { return base64.StdEncoding.EncodeToString([]byte("a key for tests")) }

// program is the path of the emulator: in node_modules of the project's directory, which test/setup.sh fills, on PATH, or what
// STEMMA_TEST_AZURITE names.
func program(t testing.TB) string {
	t.Helper()
	if path := os.Getenv(envPath); path != "" {
		return path
	}
	if path, err := exec.LookPath("azurite-blob"); err == nil {
		return path
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		path := filepath.Join(dir, ".venv", "azurite", "node_modules", ".bin", "azurite-blob")
		if _, err := os.Stat(path); err == nil {
			return path
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	const missing = "azurite-blob is not installed: test/setup.sh installs the npm package azurite"
	if _, err := exec.LookPath("npm"); err == nil && os.Getenv("CI") == "true" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

// New starts an emulator that has that container, empty, and gives the environment that names it.
func New(t testing.TB, bucket string) (s *objecttest.Server, env map[string]string) {
	t.Helper()
	path := program(t)
	port := freePort(t)
	cmd := exec.Command(path, "--silent", "--inMemoryPersistence", "--disableTelemetry",
		"--blobHost", "127.0.0.1", "--blobPort", fmt.Sprint(port))
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "AZURITE_ACCOUNTS="+account+":"+Key())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // that it was killed is no news
	})
	at, err := url.Parse(fmt.Sprintf("http://127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	await(t, at.Host)
	create(t, at.String()+"/"+account, bucket)
	proxy := httputil.NewSingleHostReverseProxy(at)
	proxy.ErrorLog = log.New(io.Discard, "", 0) // of clients that are gone
	s = objecttest.Serve(t, proxy)
	return s, map[string]string{
		Setting: s.URL + "/" + account, "AZURE_STORAGE_ACCOUNT": account, "AZURE_STORAGE_KEY": Key(), "AZURE_STORAGE_SAS_TOKEN": "",
		"AZURE_STORAGE_CONNECTION_STRING": "",
	}
}

// client is one of the emulator's containers.
func client(endpoint, name string) (*container.Client, error) {
	key, err := container.NewSharedKeyCredential(account, Key())
	if err != nil {
		return nil, err
	}
	opt := &container.ClientOptions{}
	opt.PerCallPolicies = append(opt.PerCallPolicies, versioned{})
	return container.NewClientWithSharedKeyCredential(endpoint+"/"+name, key, opt)
}

// versioned asks in a version of the interface that the emulator knows.
type versioned struct{}

// Do implements policy.Policy.
func (versioned) Do(r *policy.Request) (*http.Response, error) {
	r.Raw().Header["x-ms-version"] = []string{"2021-12-02"}
	return r.Next()
}

// create makes a container.
func create(t testing.TB, endpoint, name string) {
	t.Helper()
	c, err := client(endpoint, name)
	if err == nil {
		_, err = c.Create(t.Context(), nil)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Put makes an object in a container of the emulator that the environment of the test names, as others do.
func Put(ctx context.Context, bucket, name, text string) error {
	c, err := client(os.Getenv(Setting), bucket)
	if err != nil {
		return err
	}
	_, err = c.NewBlockBlobClient(name).UploadBuffer(ctx, []byte(text), nil)
	return err
}

// Answer is an answer of that status which says what is the matter as Blob Storage does.
func Answer(status int, code, message string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "application/xml")
		w.Header().Set("X-Ms-Error-Code", code)
		w.WriteHeader(status)
		fmt.Fprintf(w, `<?xml version="1.0" encoding="utf-8"?><Error><Code>%s</Code><Message>%s`+"\nRequestId:1</Message></Error>", code, message)
		return true
	}
}

// Busy answers that another try may help.
func Busy(w http.ResponseWriter, r *http.Request) bool {
	return Answer(http.StatusServiceUnavailable, "ServerBusy", "The server is busy.")(w, r)
}

// Start is New, and lets the environment of the test name the emulator.
func Start(t testing.TB, bucket string) *objecttest.Server {
	t.Helper()
	s, env := New(t, bucket)
	return objecttest.Named(t, s, env)
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// await waits until somebody listens.
func await(t testing.TB, host string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err == nil {
			_ = answer.Body.Close()
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("the emulator does not begin to listen: %v", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
