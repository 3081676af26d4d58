package vfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
)

// TestContract runs what holds for every file system on the operating system's and on Mem.
func TestContract(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) (FS, string){
		"os":     func(t *testing.T) (FS, string) { return OS{}, t.TempDir() },
		"mem":    func(t *testing.T) (FS, string) { return NewMem(), "." },
		"hooked": func(t *testing.T) (FS, string) { return WithHook(NewMem(), func(Op) error { return nil }), "." },
	} {
		t.Run(name, func(t *testing.T) {
			fsys, root := open(t)
			contract(t, fsys, root)
		})
	}
}

// TestRenameDirectory moves a directory with what is below it.
func TestRenameDirectory(t *testing.T) {
	for name, fsys := range map[string]FS{"os": OS{}, "mem": NewMem()} {
		t.Run(name, func(t *testing.T) {
			root := "."
			if name == "os" {
				root = t.TempDir()
			}
			ok := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			from, to, near := filepath.Join(root, "a"), filepath.Join(root, "c", "b"), filepath.Join(root, "a2")
			for _, d := range []string{filepath.Join(from, "x", "y"), filepath.Dir(to), near} {
				ok(fsys.MkdirAll(d))
				ok(WriteFile(fsys, filepath.Join(d, "f"), []byte(d)))
			}
			if err := fsys.Rename(from, filepath.Join(root, "none", "b")); !errs.Is(err, errs.NotFound) {
				t.Errorf("into no directory: %v", err)
			}
			if err := fsys.Rename(from, filepath.Join(from, "x", "z")); err == nil {
				t.Error("into itself")
			}
			ok(fsys.Rename(from, to))
			ok(fsys.SyncDir(root))
			ok(fsys.SyncDir(filepath.Dir(to)))
			got, err := ReadFile(fsys, filepath.Join(to, "x", "y", "f"))
			ok(err)
			if string(got) != filepath.Join(from, "x", "y") {
				t.Errorf("read %q", got)
			}
			if _, err := fsys.Stat(from); !errs.Is(err, errs.NotFound) {
				t.Errorf("the old name: %v", err)
			}
			if _, err := ReadFile(fsys, filepath.Join(near, "f")); err != nil {
				t.Errorf("a name that begins alike: %v", err)
			}
			if m, isMem := fsys.(*Mem); isMem {
				after := m.CrashClone(rand.New(rand.NewPCG(1, 2)))
				if got, err := ReadFile(after, filepath.Join(to, "x", "y", "f")); err != nil || string(got) != filepath.Join(from, "x", "y") {
					t.Errorf("after a power cut: %q, %v", got, err)
				}
			}
		})
	}
}

func contract(t *testing.T, fsys FS, root string) {
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	class := func(err error, c errs.Code, is error) {
		t.Helper()
		if !errs.Is(err, c) || !errors.Is(err, is) {
			t.Fatalf("error %v has class %s; want %s and %v in its chain", err, errs.CodeOf(err), c, is)
		}
	}
	dir := filepath.Join(root, "a", "b")
	_, err := fsys.Create(filepath.Join(dir, "f"))
	class(err, errs.NotFound, fs.ErrNotExist)
	ok(fsys.MkdirAll(dir))
	ok(fsys.MkdirAll(dir))
	_, err = fsys.Open(filepath.Join(dir, "f"))
	class(err, errs.NotFound, fs.ErrNotExist)
	_, err = fsys.OpenRW(filepath.Join(dir, "f"))
	class(err, errs.NotFound, fs.ErrNotExist)
	class(fsys.Remove(filepath.Join(dir, "f")), errs.NotFound, fs.ErrNotExist)
	class(fsys.Rename(filepath.Join(dir, "f"), filepath.Join(dir, "g")), errs.NotFound, fs.ErrNotExist)

	name := filepath.Join(dir, "f")
	f, err := fsys.Create(name)
	ok(err)
	_, err = f.WriteAt([]byte("hello"), 3)
	ok(err)
	ok(f.Preallocate(8, 1000))
	ok(f.Sync())
	ok(fsys.SyncDir(dir))
	if n, err := f.Size(); n != 1008 || err != nil {
		t.Fatalf("Size = %d, %v", n, err)
	}
	buf := make([]byte, 10)
	if n, err := f.ReadAt(buf, 0); n != 10 || err != nil || string(buf) != "\x00\x00\x00hello\x00\x00" {
		t.Fatalf("ReadAt = %d, %q, %v", n, buf, err)
	}
	ok(f.Truncate(6))
	if n, err := f.ReadAt(buf, 0); n != 6 || err != io.EOF {
		t.Fatalf("ReadAt over the end = %d, %v", n, err)
	}
	ok(f.Truncate(8))
	data, err := ReadFile(fsys, name)
	ok(err)
	if string(data) != "\x00\x00\x00hel\x00\x00" {
		t.Fatalf("after Truncate the file holds %q", data)
	}
	info, err := fsys.Stat(name)
	if info.Size != 8 || info.Dir || err != nil {
		t.Fatalf("Stat = %v, %v", info, err)
	}
	if info, err := fsys.Stat(dir); info != (Info{Dir: true}) || err != nil {
		t.Fatalf("Stat of a directory = %v, %v", info, err)
	}

	// V5, and replacement by rename.
	ok(WriteFile(fsys, filepath.Join(dir, "new"), []byte("new")))
	ok(fsys.Rename(filepath.Join(dir, "new"), name))
	names, err := fsys.ReadDir(dir)
	ok(err)
	if fmt.Sprint(names) != "[f]" {
		t.Fatalf("ReadDir = %v", names)
	}
	if n, err := f.Size(); n != 8 || err != nil {
		t.Fatalf("a replaced file has Size %d, %v", n, err)
	}
	r, err := fsys.Open(name)
	ok(err)
	if _, err := r.WriteAt([]byte("x"), 0); err == nil {
		t.Fatal("a file opened for reading can be written")
	}
	ok(fsys.Remove(name))
	if n, err := r.ReadAt(buf, 0); n != 3 || err != io.EOF {
		t.Fatalf("a removed open file reads %d, %v", n, err)
	}
	// A long write, which the device begins to write before it is synced.
	long := make([]byte, 3<<20+5)
	for i := range long {
		long[i] = byte(i * 7 >> 3)
	}
	if n, err := f.WriteAt(long, 2); n != len(long) || err != nil {
		t.Fatalf("a long write wrote %d bytes, %v", n, err)
	}
	_, err = StartSync(f, 2, int64(len(long)))
	ok(err)
	ok(f.Sync())
	back := make([]byte, len(long))
	if n, err := f.ReadAt(back, 2); n != len(back) || err != nil && err != io.EOF || !bytes.Equal(back, long) {
		t.Fatalf("a long write reads back %d bytes, %v", n, err)
	}
	// V6.
	ok(r.Close())
	if _, err := r.ReadAt(buf, 0); !errors.Is(err, fs.ErrClosed) {
		t.Fatalf("ReadAt after Close: %v", err)
	}
	ok(f.Close())
	if err := f.Sync(); !errors.Is(err, fs.ErrClosed) {
		t.Fatalf("Sync after Close: %v", err)
	}
	if can, err := StartSync(f, 0, 1); can || err != nil && !errors.Is(err, fs.ErrClosed) {
		t.Fatalf("StartSync after Close: %v, %v", can, err)
	}
	// Two names of one file.
	first, second := filepath.Join(dir, "1"), filepath.Join(dir, "2")
	class(fsys.Link(first, second), errs.NotFound, fs.ErrNotExist)
	ok(WriteFile(fsys, first, []byte("both")))
	if err := fsys.Link(first, second); !errs.Is(err, errs.Unsupported) { // as on Windows
		ok(err)
		class(fsys.Link(first, second), errs.Exists, fs.ErrExist)
		ok(fsys.SyncDir(dir))
		ok(fsys.Remove(first))
		data, err := ReadFile(fsys, second)
		ok(err)
		if string(data) != "both" {
			t.Fatalf("the other name of a removed file reads %q", data)
		}
		ok(fsys.Remove(second))
	} else {
		ok(fsys.Remove(first))
	}
	if free, err := fsys.DiskFree(root); free <= 0 || err != nil {
		t.Fatalf("DiskFree = %d, %v", free, err)
	}

	lock, err := fsys.Lock(filepath.Join(dir, "LOCK"))
	ok(err)
	_, err = fsys.Lock(filepath.Join(dir, "LOCK"))
	if !errs.Is(err, errs.Locked) || !strings.Contains(err.Error(), "process") {
		t.Fatalf("second Lock: %v", err)
	}
	ok(lock.Close())
	lock, err = fsys.Lock(filepath.Join(dir, "LOCK"))
	ok(err)
	ok(lock.Close())
}

// TestLockAmongProcesses checks that the message names the holder and that its end frees the lock.
func TestLockAmongProcesses(t *testing.T) {
	if name := os.Getenv("VFS_TEST_LOCK"); name != "" {
		_, err := OS{}.Lock(name)
		fmt.Println(err)
		os.Stdout.Close()
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}
	name := filepath.Join(t.TempDir(), "LOCK")
	cmd := exec.Command(os.Args[0], "-test.run=TestLockAmongProcesses")
	cmd.Env = append(os.Environ(), "VFS_TEST_LOCK="+name)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if out, err := io.ReadAll(stdout); string(out) != "<nil>\n" || err != nil {
		t.Fatalf("the child's Lock: %q, %v", out, err)
	}
	_, err = OS{}.Lock(name)
	if want := fmt.Sprintf("held by process %d", cmd.Process.Pid); err == nil || !strings.Contains(err.Error(), want) {
		t.Fatalf("Lock: %v, want %q", err, want)
	}
	stdin.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	lock, err := OS{}.Lock(name)
	if err != nil {
		t.Fatalf("Lock after the holder's end: %v", err)
	}
	lock.Close()
}

// TestCrashClone checks what must survive, what may be lost, and that all of it does happen.
func TestCrashClone(t *testing.T) {
	m := NewMem()
	f, err := m.Create("synced")
	if err != nil {
		t.Fatal(err)
	}
	write := func(f File, p string, off int64) {
		t.Helper()
		if _, err := f.WriteAt([]byte(p), off); err != nil {
			t.Fatal(err)
		}
	}
	old := strings.Repeat("a", 2*sector)
	write(f, old, 0)
	if err := errors.Join(f.Sync(), m.SyncDir(".")); err != nil {
		t.Fatal(err)
	}
	write(f, strings.Repeat("b", sector), 0)
	write(f, strings.Repeat("c", sector), sector)
	g, err := m.Create("unsynced-name")
	if err != nil {
		t.Fatal(err)
	}
	write(g, "x", 0)
	if err := g.Sync(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for seed := range uint64(400) {
		c := m.CrashClone(rand.New(rand.NewPCG(seed, 1)))
		data, err := ReadFile(c, "synced")
		if err != nil {
			t.Fatalf("a synced name is lost: %v", err)
		}
		if len(data) != len(old) || bytes.Trim(data[:sector], "ab") != nil || bytes.Trim(data[sector:], "ac") != nil {
			t.Fatalf("seed %d: bytes that nobody wrote: %q", seed, data)
		}
		kind := func(p []byte, fresh byte) string {
			switch n := bytes.Count(p, []byte{fresh}); n {
			case 0:
				return "lost"
			case len(p):
				return "kept"
			}
			return "torn"
		}
		seen[kind(data[:sector], 'b')+" "+kind(data[sector:], 'c')] = true
		x, err := ReadFile(c, "unsynced-name")
		if err == nil && string(x) != "x" {
			t.Fatalf("the synced file with an unsynced name holds %q", x)
		}
		seen[fmt.Sprint("name ", err == nil)] = true
	}
	for _, want := range []string{"lost lost", "kept kept", "lost kept", "kept lost", "torn kept", "kept torn", "name true", "name false"} {
		if !seen[want] {
			t.Errorf("no crash gave %q", want)
		}
	}
	if m.Files() != "synced 1024\nunsynced-name 1\n" {
		t.Errorf("CrashClone changed the file system:\n%s", m.Files())
	}
}

// TestCrashCloneRename checks V3: the name means the old file or the new one, and the new one only whole.
func TestCrashCloneRename(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(100) {
		m := NewMem()
		if err := WriteFile(m, "f", []byte("old")); err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(seed, 2))
		h := WithHook(m, func(op Op) error {
			c := m.CrashClone(rng)
			data, err := ReadFile(c, "f")
			if err != nil || string(data) != "old" && string(data) != "new" {
				t.Fatalf("before %s a crash leaves %q, %v", op.Kind, data, err)
			}
			seen[string(data)] = true
			return nil
		})
		if err := WriteFile(h, "f", []byte("new")); err != nil {
			t.Fatal(err)
		}
		if data, err := ReadFile(m.CrashClone(rng), "f"); string(data) != "new" || err != nil {
			t.Fatalf("WriteFile returned and a crash leaves %q, %v", data, err)
		}
	}
	if !seen["old"] || !seen["new"] {
		t.Errorf("crashes left %v, want both", seen)
	}
}

func TestFailAt(t *testing.T) {
	m := NewMem()
	boom := errs.New(errs.NoSpace, "boom")
	h := WithHook(m, FailAt(2, boom, OpWrite))
	f, err := h.Create("f")
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []error{nil, boom, nil} {
		if _, err := f.WriteAt([]byte{1}, int64(i)); !errors.Is(err, want) {
			t.Errorf("write %d: %v, want %v", i, err, want)
		}
	}
	h = WithHook(m, func(Op) error { return &ShortWrite{N: 2, Err: boom} })
	f, err = m.Create("g")
	if err != nil {
		t.Fatal(err)
	}
	short := &hookFile{File: f, hook: func(Op) error { return &ShortWrite{N: 2, Err: boom} }}
	if n, err := short.WriteAt([]byte("abcd"), 0); n != 2 || !errs.Is(err, errs.NoSpace) {
		t.Errorf("short write = %d, %v", n, err)
	}
	if data, err := ReadFile(m, "g"); string(data) != "ab" || err != nil {
		t.Errorf("after a short write the file holds %q, %v", data, err)
	}
	if err := h.Remove("g"); !errors.Is(err, boom) {
		t.Errorf("Remove: %v", err)
	}
}

// TestCrashCloneMove checks V2 of the renames of directories: one that is not durable is there or is not, with all that is below it, a
// later one only with the earlier ones; and one is durable when both its directories are synced.
func TestCrashCloneMove(t *testing.T) {
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	m := NewMem()
	for _, dir := range []string{filepath.Join("a", "x"), "aside"} {
		ok(m.MkdirAll(dir))
	}
	ok(WriteFile(m, filepath.Join("a", "x", "f"), []byte("f")))
	states := func() string {
		t.Helper()
		seen := map[string]bool{}
		for seed := range uint64(50) {
			c := m.CrashClone(rand.New(rand.NewPCG(seed, 3)))
			seen[strings.ReplaceAll(c.Files(), "\n", " ")] = true
		}
		return strings.Join(slices.Sorted(maps.Keys(seen)), "| ")
	}
	want := func(when, want string) {
		t.Helper()
		if got := states(); got != want {
			t.Errorf("%s: crashes leave %q, want %q", when, got, want)
		}
	}
	want("at first", "a/x/f 1 ")
	ok(m.Rename("a", filepath.Join("aside", "b")))
	want("moved", "a/x/f 1 | aside/b/x/f 1 ")
	ok(m.Rename(filepath.Join("aside", "b", "x"), filepath.Join("aside", "b", "y")))
	want("moved below", "a/x/f 1 | aside/b/x/f 1 | aside/b/y/f 1 ")
	ok(m.SyncDir("aside"))
	want("one of the directories synced", "a/x/f 1 | aside/b/x/f 1 | aside/b/y/f 1 ")
	ok(m.SyncDir("."))
	want("both synced", "aside/b/x/f 1 | aside/b/y/f 1 ")
	ok(m.SyncDir(filepath.Join("aside", "b")))
	want("all synced", "aside/b/y/f 1 ")
	if m.Files() != "aside/b/y/f 1\n" {
		t.Errorf("CrashClone changed the file system: %s", m.Files())
	}
}
