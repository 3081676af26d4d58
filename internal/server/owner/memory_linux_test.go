package owner

import (
	"bufio"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// askForMemory asks the owner of a directory for memory and returns the connection and the memory's name.
func askForMemory(t *testing.T, dir string) (*net.UnixConn, string) {
	t.Helper()
	conn, err := net.Dial("unix", SocketPath(dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := conn.Write([]byte("columns\n")); err != nil {
		t.Fatal(err)
	}
	name, err := bufio.NewReaderSize(conn, 27).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return conn.(*net.UnixConn), strings.TrimSpace(name)
}

// TestMemory: the client is given files that the owner makes, and the owner forgets the name when the client hangs up.
func TestMemory(t *testing.T) {
	dir, f := t.TempDir(), newFake()
	s, err := Serve(dir, f)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(time.Second)
	u, name := askForMemory(t, dir)
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
	u.Close()
	select {
	case got := <-f.begun:
		if got != "forget "+name {
			t.Errorf("%q, want that %s is forgotten", got, name)
		}
	case <-time.After(10 * time.Second):
		t.Error("the memory is not forgotten")
	}
}

// TestSpareMemory: of the files that the client sends, that is taken which suits best, and the others are closed when it hangs up.
func TestSpareMemory(t *testing.T) {
	dir, f := t.TempDir(), newFake()
	made := make(chan *Memory, 1)
	f.made = made
	s, err := Serve(dir, f)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(time.Second)
	u, _ := askForMemory(t, dir)
	m := <-made
	var own []*os.File
	for _, size := range []int64{100, 4000, 90_000} {
		file, err := (&Memory{}).Make(0)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if err := file.Truncate(size); err != nil {
			t.Fatal(err)
		}
		own = append(own, file)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	disk, err := os.Create(filepath.Join(dir, "the user's own"))
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	if err := disk.Truncate(5000); err != nil {
		t.Fatal(err)
	}
	rights := syscall.UnixRights(int(disk.Fd()), int(own[0].Fd()), int(own[1].Fd()), int(own[2].Fd()), int(w.Fd()))
	if _, _, err := u.WriteMsgUnix([]byte{0}, rights, nil); err != nil {
		t.Fatal(err)
	}
	if n, err := u.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Fatalf("%d bytes, %v", n, err)
	}
	w.Close()
	for _, c := range []struct{ want, get int64 }{{5000, 4000}, {1000, 100}, {60, 0}, {0, 90_000}, {0, 0}} {
		file, err := m.Make(c.want)
		if err != nil {
			t.Fatal(err)
		}
		st, err := file.Stat()
		if err != nil {
			t.Fatal(err)
		}
		if st.Size() != c.get {
			t.Errorf("a file for %d bytes has %d, not %d", c.want, st.Size(), c.get)
		}
		file.Close()
	}
	// The pipe was refused and closed: its other end is read to the end.
	if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("%d bytes, %v", n, err)
	}
}
