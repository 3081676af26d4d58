package owner

import (
	"bufio"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMemory: the client is given files that the owner makes, and the owner forgets the name when the client hangs up.
func TestMemory(t *testing.T) {
	dir, f := t.TempDir(), newFake()
	s, err := Serve(dir, f)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(time.Second)
	conn, err := net.Dial("unix", SocketPath(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("columns\n")); err != nil {
		t.Fatal(err)
	}
	u := conn.(*net.UnixConn)
	name, err := bufio.NewReaderSize(u, 27).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	name = strings.TrimSpace(name)
	f.memory <- name
	data, control := make([]byte, 10), make([]byte, syscall.CmsgSpace(8))
	n, k, _, _, err := u.ReadMsgUnix(data, control)
	if err != nil || n != 1 {
		t.Fatalf("%d bytes, %v", n, err)
	}
	messages, err := syscall.ParseSocketControlMessage(control[:k])
	if err != nil || len(messages) != 1 {
		t.Fatalf("%d messages, %v", len(messages), err)
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 2 {
		t.Fatalf("%d files, %v", len(fds), err)
	}
	for i, want := range []string{"first " + name, "second " + name} {
		file := os.NewFile(uintptr(fds[i]), want)
		got := make([]byte, 100)
		n, _ := file.ReadAt(got, 0)
		if string(got[:n]) != want {
			t.Errorf("file %d has %q, not %q", i, got[:n], want)
		}
		file.Close()
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
