package main

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/stemmadb/stemma/internal/server/owner"
)

//go:embed python.py
var pythonScript string

// pythonFigures are the figures of the script, in the order in which they are shown.
var pythonFigures = []struct {
	name, unit string
	factor     float64 // of the script's seconds or bytes
	limit      *limit
}{
	{"import stemma", "ms", 1e3, atMost(150)},
	{"read_arrow", "ms", 1e3, atMost(350)},
	{"read_arrow: one column", "ms", 1e3, atMost(100)},
	{"read_polars", "ms", 1e3, atMost(400)},
	{"read_pandas", "ms", 1e3, atMost(600)},
	{"write a new table", "s", 1, atMost(6)},
	{"merge with 1,000 changed rows", "s", 1, atMost(2)},
	{"peak of the child: read_pandas", "MB", 1e-6, atMost(300)},
	{"peak of the child: reads", "MB", 1e-6, atMost(300)},
	{"peak of the child: write", "MB", 1e-6, atMost(300)},
	{"peak of the child: merge", "MB", 1e-6, atMost(300)},
}

// benchPython reads and writes the price list with the Python package, through the owner that it starts as a child.
func benchPython(ctx context.Context, e *env) error {
	if e.python == "" {
		fmt.Fprintln(e.out, "  without a Python that has the package's requirements: name one with -python")
		return nil
	}
	s := e.own()
	base, err := s.base(ctx, e)
	if err != nil {
		return err
	}
	dir, err := s.copyOf(base, "python")
	if err != nil {
		return err
	}
	marker, err := filepath.Abs(filepath.Join(dir, ".stemma"))
	if err != nil {
		return err
	}
	samples := map[string][]float64{}
	run := func(args ...string) (u usage, err error) {
		var out, bad bytes.Buffer
		cmd := pythonCommand(ctx, e, s.prepare(ctx, dir, nil), append([]string{dir}, args...))
		cmd.Stdout, cmd.Stderr = &out, &bad
		if u, err = measure(cmd); err != nil {
			return u, fmt.Errorf("%s: %w\n%s%s", strings.Join(args, " "), err, out.Bytes(), bad.Bytes())
		}
		for lines := bufio.NewScanner(&out); lines.Scan(); {
			var f struct {
				Name  string  `json:"name"`
				Value float64 `json:"value"`
			}
			if err := json.Unmarshal(lines.Bytes(), &f); err != nil {
				return u, fmt.Errorf("%q: %w", lines.Text(), err)
			}
			samples[f.Name] = append(samples[f.Name], f.Value)
		}
		return u, nil
	}
	rows := fmt.Sprint(len(e.places()))
	var cold []float64
	for range e.count {
		if _, err := run("import"); err != nil {
			return err
		}
		u, err := run("cold", rows)
		if err != nil {
			return err
		}
		cold = append(cold, u.Seconds)
		if err := unowned(ctx, marker); err != nil {
			return err
		}
	}
	e.record("read_pandas in a new process, its child included", "s", atMost(1.5), cold...)
	if _, err := run("warm", rows, fmt.Sprint(e.count)); err != nil {
		return err
	}
	for _, f := range pythonFigures {
		all := samples[f.name]
		if len(all) == 0 {
			return fmt.Errorf("no figure came for %q", f.name)
		}
		for i := range all {
			all[i] *= f.factor
		}
		e.record(f.name, f.unit, f.limit, all...)
	}
	return unowned(ctx, marker)
}

// pythonCommand is the script's run with arguments, in the environment of a command. Modules are compiled once, as they are wherever nobody forbids it.
func pythonCommand(ctx context.Context, e *env, as *exec.Cmd, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, e.python, append([]string{"-c", pythonScript}, args...)...)
	cmd.Dir = as.Dir
	cmd.Env = append(as.Env, "STEMMA_BINARY="+e.own().program, "STEMMA_PROGRESS=0", "STEMMA_AUTHOR_NAME=bench", "STEMMA_AUTHOR_EMAIL=bench@localhost",
		"PYTHONDONTWRITEBYTECODE=")
	if src, err := filepath.Abs(filepath.Join("python", "src")); err == nil {
		cmd.Env = append(cmd.Env, "PYTHONPATH="+src)
	}
	return cmd
}

// venvPython is the Python given, or that of a virtual environment of the tests when it is there.
func venvPython(given, name string) string {
	if given != "" {
		return given
	}
	if path, err := filepath.Abs(filepath.Join(".venv", name, "bin", "python")); err == nil {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

// unowned waits until nobody owns a directory: the child ends some seconds after its last client.
func unowned(ctx context.Context, marker string) error {
	for range 600 {
		if _, err := os.Stat(owner.SocketPath(marker)); os.IsNotExist(err) {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return fmt.Errorf("the child that owns %s has not ended after half a minute", marker)
}
