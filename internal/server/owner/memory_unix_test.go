//go:build unix

package owner

import (
	"bufio"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMemory: the owner writes into a file of the client's, and forgets it when the client hangs up.
func TestMemory(t *testing.T) {
	dir, f := t.TempDir(), newFake()
	s, err := Serve(dir, f)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(time.Second)
	file, err := os.Create(filepath.Join(dir, "memory"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	conn, in := dialMemory(t, dir)
	if _, _, err := conn.WriteMsgUnix([]byte{0}, syscall.UnixRights(int(file.Fd())), nil); err != nil {
		t.Fatal(err)
	}
	name, err := in.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	name = strings.TrimSpace(name)
	if got, err := os.ReadFile(file.Name()); err != nil || string(got) != "\x00\x00\x00"+name || len(name) < 20 {
		t.Errorf("the file has %q, %v; the name is %q", got, err, name)
	}
	conn.Close()
	select {
	case got := <-f.begun:
		if got != "forget "+name {
			t.Errorf("%q, want that %s is forgotten", got, name)
		}
	case <-time.After(10 * time.Second):
		t.Error("the memory is not forgotten")
	}
}

// A client that sends no descriptor is hung up on.
func TestMemoryWithoutFile(t *testing.T) {
	dir := t.TempDir()
	s, err := Serve(dir, newFake())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(time.Second)
	conn, in := dialMemory(t, dir)
	if _, err := conn.Write([]byte{0}); err != nil {
		t.Fatal(err)
	}
	if line, err := in.ReadString('\n'); err == nil {
		t.Errorf("the owner said %q", line)
	}
}

// dialMemory begins to share memory.
func dialMemory(t *testing.T, dir string) (*net.UnixConn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("unix", SocketPath(dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := conn.Write([]byte("memory\n")); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	if line, err := in.ReadString('\n'); err != nil || line != "send\n" {
		t.Fatalf("%q, %v", line, err)
	}
	return conn.(*net.UnixConn), in
}
