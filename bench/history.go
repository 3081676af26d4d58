package main

import (
	"context"
	"errors"
	"fmt"
)

// benchHistory makes a long history of commits of one random row each, over the wire.
func benchHistory(ctx context.Context, e *env) error {
	n := min(10_000, max(200, e.rows/1000))
	edits := e.someEdits(n, false, 21)
	for _, s := range e.systems {
		base, err := s.base(ctx, e)
		if err != nil {
			return err
		}
		dir, err := s.copyOf(base, "history")
		if err != nil {
			return err
		}
		before, err := du(dir)
		if err != nil {
			return err
		}
		v, err := s.serve(ctx, dir)
		if err != nil {
			return err
		}
		times := make([]float64, len(edits))
		for i, x := range edits {
			if times[i], err = seconds(func() error {
				_, err := v.DB.ExecContext(ctx, fmt.Sprintf("update prices set price = price + 1 where npi_number = %d and code = '%s' and payer = '%s'", x.row.NPI, x.row.Code, x.row.Payer))
				if err != nil {
					return err
				}
				_, err = read(ctx, v.DB, "call dolt_commit('-am', 'one row')")
				return err
			}); err != nil {
				return errors.Join(err, v.close())
			}
			times[i] *= 1e3
		}
		peak := v.peak()
		if err := v.close(); err != nil {
			return err
		}
		after, err := du(dir)
		if err != nil {
			return err
		}
		part := len(times) / 100
		part = max(part, 50)
		first, last := median(times[:part]), median(times[len(times)-part:])
		total := 0.0
		for _, t := range times {
			total += t
		}
		e.recordOf(s.name, fmt.Sprintf("%d commits of one row", n), "/s", nil, float64(n)/total*1e3)
		e.recordOf(s.name, "one commit at the beginning", "ms", nil, first)
		e.recordOf(s.name, "one commit at the end", "ms", nil, last)
		e.recordOf(s.name, "end to beginning", "ratio", atMost(1.5), last/first)
		e.recordOf(s.name, "growth of the directory", "MB", atMost(130), float64(after-before)/1e6)
		e.recordOf(s.name, "peak memory of the server", "MB", nil, float64(peak)/1e6)
		logs, err := repeat(4*e.repetitions(s.name), func() error {
			_, _, err := s.command(ctx, dir, "log", "-n", "10")
			return err
		})
		if err != nil {
			return err
		}
		e.recordOf(s.name, "log -n 10", "ms", atMost(30), logs...)
	}
	return nil
}
