package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed flow.py
var flowScript string

// seedRows are the prices of the flow that was announced in 2021.
const seedRows = 72_724_852

// benchFlow runs the flow of state medians on the price list's size.
func benchFlow(ctx context.Context, e *env) error {
	return e.flow(ctx, e.rows, e.count, atMost(12), atMost(3))
}

// benchSeed runs it on the size of 2021, or as much less as the price list is smaller.
func benchSeed(ctx context.Context, e *env) error {
	return e.flow(ctx, int(int64(e.rows)*seedRows/fullRows), min(e.count, 3), atMost(100), nil)
}

// flow measures the flow: two tables read, joined and summed up, and one table written, in a run of Metaflow with local data.
func (e *env) flow(ctx context.Context, rows, count int, whole, part *limit) (err error) {
	if e.flows == "" {
		fmt.Fprintln(e.out, "  without a Python that has Metaflow: test/metaflow/run.sh --setup makes one, or name one with -flows")
		return nil
	}
	prices, err := e.hospitalPrices(ctx, rows)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp(e.dir, "flow-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	script := filepath.Join(work, "flow.py")
	if err := os.WriteFile(script, []byte(flowScript), 0o666); err != nil {
		return err
	}
	figures := map[string][]float64{}
	for i := range count {
		analysis, err := e.own().fresh(ctx, fmt.Sprint("analysis_", i))
		if err != nil {
			return err
		}
		cmd := exec.CommandContext(ctx, e.flows, script, "--no-pylint", "run", "--prices", prices, "--analysis", analysis)
		said, t, err := e.runFlow(cmd, work)
		if err != nil {
			return err
		}
		figures["whole"] = append(figures["whole"], t)
		once := map[string]float64{}
		for line := range strings.Lines(said) {
			var f struct {
				Name  string  `json:"name"`
				Value float64 `json:"value"`
			}
			// Metaflow puts the time and the task before what a task prints.
			if _, text, ok := strings.Cut(line, `{"name"`); ok && json.Unmarshal([]byte(`{"name"`+text), &f) == nil {
				once[f.Name] += f.Value
			}
		}
		if int(once["rows"]) != rows {
			return fmt.Errorf("the flow has read %v rows, not %d:\n%s", once["rows"], rows, said)
		}
		for name, v := range once {
			figures[name] = append(figures[name], v)
		}
		for _, dir := range []string{prices, analysis} {
			if err := unowned(ctx, filepath.Join(dir, ".stemma")); err != nil {
				return err
			}
		}
	}
	e.record(fmt.Sprintf("a run of the flow, %d prices", rows), "s", whole, figures["whole"]...)
	e.record("reading and writing in it", "s", part, figures["stemma's part"]...)
	for i := range figures["task beyond the frame"] {
		figures["task beyond the frame"][i] = (max(figures["task beyond the frame"][i], 0) + figures["peak of the children"][i]) / 1e6
	}
	e.record("memory: both children, and the task beyond its frame", "MB", atMost(1000), figures["task beyond the frame"]...)
	return nil
}

// runFlow runs a command of the flow's Python and returns what it printed and how long it took.
func (e *env) runFlow(cmd *exec.Cmd, dir string) (string, float64, error) {
	src, err := filepath.Abs(filepath.Join("python", "src"))
	if err != nil {
		return "", 0, err
	}
	program, err := filepath.Abs(e.own().program)
	if err != nil {
		return "", 0, err
	}
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PYTHONPATH="+src, "STEMMA_BINARY="+program, "STEMMA_PROGRESS=0", "STEMMA_AUTHOR_NAME=bench",
		"STEMMA_AUTHOR_EMAIL=bench@localhost", "METAFLOW_USER=bench", "METAFLOW_DATASTORE_SYSROOT_LOCAL="+dir, "METAFLOW_HOME="+filepath.Join(dir, "home"), "PYTHONDONTWRITEBYTECODE=")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	u, err := measure(cmd)
	if err != nil {
		return "", 0, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out.Bytes())
	}
	return out.String(), u.Seconds, nil
}

// hospitalPrices is a database of prices of 1,400 hospitals, made by the example's program and kept from run to run.
func (e *env) hospitalPrices(ctx context.Context, rows int) (string, error) {
	maker, err := filepath.Abs(filepath.Join("examples", "metaflow-hospital", "prices.py"))
	if err != nil {
		return "", err
	}
	return e.own().kept(ctx, fmt.Sprint("hospitals_", rows), func(dir string) error {
		_, _, err := e.runFlow(exec.CommandContext(ctx, e.flows, maker, dir, "--prices", fmt.Sprint(rows), "--hospitals", "1400"), e.dir)
		if err != nil {
			return err
		}
		return unowned(ctx, filepath.Join(dir, ".stemma"))
	})
}
