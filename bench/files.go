package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
)

// benchFiles writes the price list to files and loads them again.
func benchFiles(ctx context.Context, e *env) error {
	for _, s := range e.systems {
		base, err := s.base(ctx, e)
		if err != nil {
			return err
		}
		for _, c := range []struct {
			ext                string
			out, memory, loads *limit
		}{{"parquet", atMost(3), atMost(300), atMost(5)}, {"csv", atMost(3), atMost(300), nil}, {"arrow", nil, nil, nil}} {
			if s.name == "dolt" && c.ext == "arrow" {
				continue // it has no such files
			}
			file := filepath.Join(e.dir, s.name+"."+c.ext)
			var times, peaks, sizes []float64
			for range e.repetitions(s.name) {
				_, u, err := s.command(ctx, base, "table", "export", "-f", "prices", file)
				if err != nil {
					return err
				}
				info, err := os.Stat(file)
				if err != nil {
					return err
				}
				times, peaks, sizes = append(times, u.Seconds), append(peaks, float64(u.Peak)/1e6), append(sizes, float64(info.Size())/1e6)
			}
			e.recordOf(s.name, "export "+c.ext+": time", "s", c.out, times...)
			e.recordOf(s.name, "export "+c.ext+": peak memory", "MB", c.memory, peaks...)
			e.recordOf(s.name, "export "+c.ext+": file", "MB", nil, sizes...)
			if c.ext == "csv" {
				continue // that is the question of imports
			}
			times, peaks = nil, nil
			for range e.repetitions(s.name) {
				dir, err := s.fresh(ctx, "files")
				if err != nil {
					return err
				}
				_, u, err := s.command(ctx, dir, "table", "import", "-c", "--pk", "npi_number,code,payer", "prices", file)
				if err != nil {
					return err
				}
				if err := s.holds(ctx, dir, len(e.places())); err != nil {
					return err
				}
				times, peaks = append(times, u.Seconds), append(peaks, float64(u.Peak)/1e6)
			}
			e.recordOf(s.name, "import "+c.ext+": time", "s", c.loads, times...)
			e.recordOf(s.name, "import "+c.ext+": peak memory", "MB", c.memory, peaks...)
		}
	}
	return e.filesDuckDB(ctx)
}

// filesDuckDB does the same with DuckDB.
func (e *env) filesDuckDB(ctx context.Context) error {
	if e.duckdb == "" {
		return nil
	}
	csv, err := e.csv("sorted")
	if err != nil {
		return err
	}
	dir := filepath.Join(e.dir, "duckdb-files")
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	run := func(script string, args ...string) (usage, error) {
		cmd := exec.CommandContext(ctx, e.duckdb, append([]string{"-c", script, dir}, args...)...)
		cmd.Stderr = os.Stderr
		return measure(cmd)
	}
	const head = "import sys, os, duckdb\nc = duckdb.connect(os.path.join(sys.argv[1], 'prices.db'))\n"
	if _, err := run(head+"c.execute('create table prices as select * from read_csv(?)', [sys.argv[2]])", csv); err != nil {
		return err
	}
	for _, c := range []struct{ name, script string }{
		{"export parquet", "c.execute(\"copy prices to '\" + sys.argv[1] + \"/prices.parquet' (format parquet, compression zstd)\")"},
		{"export csv", "c.execute(\"copy prices to '\" + sys.argv[1] + \"/prices.csv' (header)\")"},
		{"import parquet", "c.execute('create or replace table again as select * from read_parquet(?)', [sys.argv[1] + '/prices.parquet']); c.execute('checkpoint')"},
	} {
		var times, peaks []float64
		for range e.peerCount {
			u, err := run(head + c.script)
			if err != nil {
				return err
			}
			times, peaks = append(times, u.Seconds), append(peaks, float64(u.Peak)/1e6)
		}
		e.recordOf("duckdb", c.name+": time", "s", nil, times...)
		e.recordOf("duckdb", c.name+": peak memory", "MB", nil, peaks...)
	}
	return nil
}
