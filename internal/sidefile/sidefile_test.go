package sidefile

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stemmadb/stemma/internal/vfs"
)

var kind = Kind{Magic: "stmtests", Version: 1, Limit: 1 << 10}

// use reads the file, refusing bodies that say so, appends some and returns what was read.
func use(fs vfs.FS, readOnly bool, appended ...string) (read []string) {
	f := File{Kind: kind, FS: fs, Path: "/side", ReadOnly: readOnly}
	defer f.Close()
	f.Load(func(b []byte) bool {
		if string(b) == "bad" {
			return false
		}
		read = append(read, string(b))
		return true
	})
	for _, s := range appended {
		f.Append([]byte(s))
	}
	return read
}

func TestFile(t *testing.T) {
	fs := vfs.NewMem()
	expect := func(got []string, want ...string) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("the file has %q, want %q", got, want)
		}
	}
	expect(use(fs, true, "not written"))
	expect(use(fs, false, "one", "", "two"))
	expect(use(fs, true, "not written"), "one", "", "two")
	whole, err := vfs.ReadFile(fs, "/side")
	if err != nil {
		t.Fatal(err)
	}
	change := func(data []byte) {
		t.Helper()
		if err := vfs.WriteFile(fs, "/side", data); err != nil {
			t.Fatal(err)
		}
	}
	// What is behind a record that is cut off, damaged or refused goes; the owner writes on there.
	change(whole[:len(whole)-1])
	expect(use(fs, false, "three"), "one", "")
	expect(use(fs, false), "one", "", "three")
	damaged := slices.Clone(whole)
	damaged[len(damaged)-1]++
	change(damaged)
	expect(use(fs, false, "bad", "lost"), "one", "")
	expect(use(fs, false, "four"), "one", "")
	expect(use(fs, false), "one", "", "four")
	// A file that is none of the kind, or has grown too large, is begun anew.
	damaged = slices.Clone(whole)
	damaged[8]++
	for _, data := range [][]byte{damaged, whole[:5], append(slices.Clone(whole), make([]byte, kind.Limit)...)} {
		change(data)
		expect(use(fs, false, "anew"))
		expect(use(fs, false), "anew")
	}
}

// TestRemove: a file that is removed is begun anew by who has it open.
func TestRemove(t *testing.T) {
	fs := vfs.NewMem()
	f := File{Kind: kind, FS: fs, Path: "/side"}
	f.Load(func([]byte) bool { return true })
	if err := f.Remove(); err != nil { // there is none
		t.Fatal(err)
	}
	f.Append([]byte("gone"))
	if err := f.Remove(); err != nil {
		t.Fatal(err)
	}
	if got := use(fs, true); got != nil {
		t.Errorf("after the removal it has %q", got)
	}
	for seed := range uint64(12) {
		if got := use(fs.CrashClone(rand.New(rand.NewPCG(seed, 1))), true); got != nil {
			t.Errorf("after the removal and a power cut it has %q", got)
		}
	}
	f.Append([]byte("new"))
	f.Close()
	if got := use(fs, true); !slices.Equal(got, []string{"new"}) {
		t.Errorf("it has %q", got)
	}
}
