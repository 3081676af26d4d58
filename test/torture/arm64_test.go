package torture

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"testing"
)

// TestARM64 runs the tests that pin bytes and hashes on an emulated arm64, whose fused multiply-add and weaker order of memory must
// not show in any of them.
func TestARM64(t *testing.T) {
	if !full() {
		t.Skip("only at length")
	}
	if runtime.GOARCH == "arm64" {
		t.Skip("this is arm64")
	}
	qemu, err := exec.LookPath("qemu-aarch64-static")
	if err != nil {
		t.Skip("no qemu-aarch64-static: install Debian's package qemu-user-static")
	}
	for _, pkg := range []string{
		"hash", "binfmt", "chunk", "value", "tree", "page", "pack", "schema", "table", "root", "history",
	} {
		t.Run(pkg, func(t *testing.T) {
			dir := filepath.Join("..", "..", "internal", pkg)
			binary := filepath.Join(t.TempDir(), pkg+".test")
			build := exec.Command("go", "test", "-c", "-o", binary, path.Join("github.com/stemmadb/stemma/internal", pkg))
			build.Env = append(os.Environ(), "GOARCH=arm64", "GOOS=linux", "CGO_ENABLED=0")
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("build: %v\n%s", err, out)
			}
			if _, err := os.Stat(binary); err != nil {
				t.Skip("it has no tests")
			}
			run := exec.Command(qemu, binary, "-test.short", "-test.run", "Golden|Vector|Format|Law|Boundar|Hash")
			run.Dir = dir
			out, err := run.CombinedOutput()
			if err != nil {
				t.Fatalf("on arm64: %v\n%s", err, out)
			}
			t.Logf("%s", out)
		})
	}
}
