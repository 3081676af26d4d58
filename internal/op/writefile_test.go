package op

import (
	"bytes"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/vfs"
)

// TestWriteFileCrashAnywhere cuts the power before every operation by which a file takes the place of another, and afterwards: the name
// means the old one or all of the new one.
func TestWriteFileCrashAnywhere(t *testing.T) {
	mem := vfs.NewMem()
	before, after := []byte("old"), bytes.Repeat([]byte("new "), 1000)
	if err := vfs.WriteFile(mem, "file", before); err != nil {
		t.Fatal(err)
	}
	seen := map[bool]bool{}
	check := func(vfs.Op) error {
		for seed := range uint64(12) {
			got, err := vfs.ReadFile(mem.CrashClone(rand.New(rand.NewPCG(seed, 1))), "file")
			if isNew := bytes.Equal(got, after); err != nil || !isNew && !bytes.Equal(got, before) {
				t.Fatalf("the file has %d bytes, %v", len(got), err)
			} else {
				seen[isNew] = true
			}
		}
		return nil
	}
	err := writeFile(&Scope{FS: vfs.WithHook(mem, check)}, "file", true, func(w io.Writer) error {
		_, err := io.Copy(w, strings.NewReader(string(after)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	check(vfs.Op{})
	if len(seen) != 2 {
		t.Errorf("no power cut left the new file, or none the old one: the test does not test")
	}
}
