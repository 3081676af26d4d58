package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// benchImport loads the price list with the command line.
func benchImport(ctx context.Context, e *env) error {
	for _, c := range []struct {
		name, order, key    string
		time, memory, bytes *limit
	}{
		{"sorted", "sorted", "npi_number,code,payer", atMost(8), atMost(400), atMost(95)},
		{"shuffled", "shuffled", "npi_number,code,payer", atMost(20), atMost(1000), nil},
		{"without a key", "sorted", "", nil, nil, nil},
	} {
		csv, err := e.csv(c.order)
		if err != nil {
			return err
		}
		for _, s := range e.systems {
			if s.name == "dolt" && c.key == "" {
				continue // it asks for a key
			}
			args := []string{"table", "import", "-c"}
			if c.key != "" {
				args = append(args, "--pk", c.key)
			}
			args = append(args, "prices", csv)
			var times, peaks, sizes []float64
			for range e.repetitions(s.name) {
				dir, err := s.fresh(ctx, "import")
				if err != nil {
					return err
				}
				_, u, err := s.command(ctx, dir, args...)
				if err != nil {
					return err
				}
				if err := s.holds(ctx, dir, len(e.places())); err != nil {
					return err
				}
				size, err := du(dir)
				if err != nil {
					return err
				}
				times, peaks, sizes = append(times, u.Seconds), append(peaks, float64(u.Peak)/1e6), append(sizes, float64(size)/1e6)
			}
			e.recordOf(s.name, c.name+": time", "s", c.time, times...)
			e.recordOf(s.name, c.name+": peak memory", "MB", c.memory, peaks...)
			e.recordOf(s.name, c.name+": directory", "MB", c.bytes, sizes...)
		}
		if err := e.importDuckDB(ctx, c.name, csv); err != nil {
			return err
		}
	}
	keyed, bare := e.report.value("import", "sorted: directory"), e.report.value("import", "without a key: directory")
	e.record("directory without a key to with one", "ratio", atMost(1.3), bare/keyed)
	return nil
}

// holds fails unless the table of prices has so many rows.
func (s *system) holds(ctx context.Context, dir string, rows int) error {
	out, _, err := s.command(ctx, dir, "sql", "-r", "csv", "-q", "select count(*) from prices")
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if got := lines[len(lines)-1]; got != fmt.Sprint(rows) {
		return fmt.Errorf("%s has %s rows, want %d", s.name, got, rows)
	}
	return nil
}

// importDuckDB loads a file into a table of DuckDB's.
func (e *env) importDuckDB(ctx context.Context, name, csv string) error {
	if e.duckdb == "" {
		return nil
	}
	const script = `
import sys, duckdb
c = duckdb.connect(sys.argv[1])
c.execute("create table prices as select * from read_csv(?)", [sys.argv[2]])
c.close()
`
	var times, peaks, sizes []float64
	for range e.peerCount {
		dir := filepath.Join(e.dir, "duckdb")
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return err
		}
		cmd := exec.CommandContext(ctx, e.duckdb, "-c", script, filepath.Join(dir, "prices.db"), csv)
		cmd.Stderr = os.Stderr
		u, err := measure(cmd)
		if err != nil {
			return err
		}
		size, err := du(dir)
		if err != nil {
			return err
		}
		times, peaks, sizes = append(times, u.Seconds), append(peaks, float64(u.Peak)/1e6), append(sizes, float64(size)/1e6)
	}
	e.recordOf("duckdb", name+": time", "s", nil, times...)
	e.recordOf("duckdb", name+": peak memory", "MB", nil, peaks...)
	e.recordOf("duckdb", name+": directory", "MB", nil, sizes...)
	return nil
}
