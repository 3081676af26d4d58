package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed kedro.py
var kedroScript string

// kedroRows are the prices that the first node of benchKedro reads; its tables together have about twice as many rows.
const kedroRows = 10_000

// kedroKinds are the datasets of benchKedro.
var kedroKinds = []struct{ kind, name string }{
	{"own", "tables of stemma.kedro"},
	{"plain", "pandas.SQLTableDataset"},
}

// benchKedro runs a project of five nodes, each time in a process of its own and with another parameter so that all of its tables change,
// in turn without hooks, when the tables are written and that is all, and with them: a branch, records, a commit, and the way into main.
func benchKedro(ctx context.Context, e *env) (err error) {
	if e.kedro == "" {
		fmt.Fprintln(e.out, "  without a Python that has Kedro: test/kedro/run.sh --setup makes one, or name one with -kedro")
		return nil
	}
	s := e.own()
	dir, err := s.fresh(ctx, "kedro")
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	flight := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return err
	}
	v, err := s.serve(ctx, dir, "--flight-port", fmt.Sprint(flight))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.close()) }()
	project, err := e.kedroProject(ctx, v, flight)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(project)) }()
	rate := 1.0
	once := func(kind, hooks string) (inside, whole float64, err error) {
		rate += 0.001
		said, u, err := e.kedroCommand(ctx, "run", project, kind, hooks, fmt.Sprint(rate))
		if err != nil {
			return 0, 0, err
		}
		var f struct {
			Seconds float64 `json:"seconds"`
		}
		if err := json.Unmarshal(said, &f); err != nil {
			return 0, 0, fmt.Errorf("%q: %w", said, err)
		}
		// What a run without hooks has left is committed here, so that the next one begins as this one did.
		var staged int
		if err := v.DB.QueryRowContext(ctx, "select count(*) from dolt_status").Scan(&staged); err != nil {
			return 0, 0, err
		}
		if want := kind != "files" && hooks == "none"; want != (staged > 0) {
			return 0, 0, fmt.Errorf("%d tables have changes after a run of %s with hooks %s", staged, kind, hooks)
		}
		if staged > 0 {
			_, err = v.DB.ExecContext(ctx, "call dolt_commit('-Am', 'without hooks')")
		}
		return f.Seconds * 1e3, u.Seconds * 1e3, err
	}
	for _, k := range kedroKinds {
		var with, without, added, command []float64
		for i := range e.count + 1 {
			bare, bareWhole, err := once(k.kind, "none")
			if err != nil {
				return err
			}
			hooked, hookedWhole, err := once(k.kind, k.kind)
			if err != nil {
				return err
			}
			if i == 0 {
				continue // modules were compiled, and tables made
			}
			without, with = append(without, bare), append(with, hooked)
			added, command = append(added, hooked-bare), append(command, hookedWhole-bareWhole)
		}
		e.record(k.name+": a run of five nodes", "ms", nil, with...)
		e.record(k.name+": the same without hooks", "ms", nil, without...)
		e.record(k.name+": what hooks and records add", "ms", atMost(150), added...)
		e.record(k.name+": what they add to the whole process", "ms", nil, command...)
	}
	var files []float64
	for range e.count {
		t, _, err := once("files", "none")
		if err != nil {
			return err
		}
		files = append(files, t)
	}
	e.record("Parquet files in place of tables", "ms", nil, files...)
	return nil
}

// kedroProject is a new project on a server.
func (e *env) kedroProject(ctx context.Context, v *server, flight int) (string, error) {
	rows := min(kedroRows, e.rows)
	prices, err := e.file(fmt.Sprintf("prices-%d-of-%d.csv", rows, e.rows), func(w io.Writer) error { return e.prices.WritePrices(w, e.places()[:rows]) })
	if err != nil {
		return "", err
	}
	hospitals, err := e.file(fmt.Sprintf("hospitals-of-%d.csv", e.rows), e.prices.WriteHospitals)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(e.dir, "kedro-")
	if err != nil {
		return "", err
	}
	var port int
	if err := v.DB.QueryRowContext(ctx, "select @@port").Scan(&port); err != nil {
		return "", err
	}
	for _, p := range []*string{&prices, &hospitals, &dir} {
		if *p, err = filepath.Abs(*p); err != nil {
			return "", err
		}
	}
	_, _, err = e.kedroCommand(ctx, "make", dir, prices, hospitals, fmt.Sprintf("stemma://127.0.0.1:%d/kedro", flight), fmt.Sprintf("mysql+pymysql://root@127.0.0.1:%d/kedro", port))
	return dir, err
}

// kedroCommand runs the script and returns what it printed.
func (e *env) kedroCommand(ctx context.Context, args ...string) ([]byte, usage, error) {
	src, err := filepath.Abs(filepath.Join("python", "src"))
	if err != nil {
		return nil, usage{}, err
	}
	var out, bad bytes.Buffer
	cmd := exec.CommandContext(ctx, e.kedro, append([]string{"-c", kedroScript}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &bad
	cmd.Env = append(os.Environ(), "PYTHONPATH="+src, "STEMMA_BINARY="+e.own().program, "STEMMA_PROGRESS=0", "STEMMA_AUTHOR_NAME=bench",
		"STEMMA_AUTHOR_EMAIL=bench@localhost", "DO_NOT_TRACK=1", "PYTHONDONTWRITEBYTECODE=")
	u, err := measure(cmd)
	if err != nil {
		return nil, u, fmt.Errorf("%s: %w\n%s%s", strings.Join(args, " "), err, out.Bytes(), bad.Bytes())
	}
	return out.Bytes(), u, nil
}
