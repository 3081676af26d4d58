//go:build unix

package ingest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestExampleKalido runs the example. STEMMA_TEST_PYTHON is a Python with its requirements.
func TestExampleKalido(t *testing.T) {
	python := os.Getenv("STEMMA_TEST_PYTHON")
	if python == "" {
		python = "python3"
	}
	if err := exec.Command(python, "-c", "import pandas, pyarrow, sklearn, yaml, hpack").Run(); err != nil {
		absent(t, "what examples/kalido/requirements.txt lists (STEMMA_TEST_PYTHON names a Python that has it)")
	}
	if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres"); found == nil {
		absent(t, "postgresql")
	}
	script, err := filepath.Abs("../../examples/kalido/run.sh")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(script, t.TempDir())
	cmd.Env = append(os.Environ(), "PYTHON="+python, "STEMMA_HOME="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"client_data: +400 -0 ~0 of 400 rows", "Retrain: no.", "client_data: +20 -10 ~39 of 410 rows", "Retrain: yes.", "20 rows added, 10 removed, 39 modified",
		"The model of model-1.lock is the same, bit for bit.",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%s\nwant %s", out, want)
		}
	}
}
