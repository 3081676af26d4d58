package main

import (
	"context"
	"errors"
	"fmt"
)

// benchUpdate changes many random rows of the price list in one transaction over the wire, commits them and compares the commits.
func benchUpdate(ctx context.Context, e *env) error {
	n := min(100_000, e.rows/10)
	edits := e.someEdits(n, false, 11)
	for _, s := range e.systems {
		base, err := s.base(ctx, e)
		if err != nil {
			return err
		}
		var updates, commits, diffs, growth, peaks []float64
		for range e.repetitions(s.name) {
			dir, err := s.copyOf(base, "update")
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
			var times [3]float64
			for i, step := range []func() error{
				func() error { return applySQL(ctx, v.DB, edits) },
				func() error { return commitSQL(ctx, v.DB, "many updates") },
				func() error {
					return reads(ctx, v, "select to_price, from_price, diff_type from dolt_diff('HEAD~1', 'HEAD', 'prices')", n)
				},
			} {
				if times[i], err = seconds(step); err != nil {
					return errors.Join(err, v.close())
				}
			}
			peak := v.peak()
			if err := v.close(); err != nil {
				return err
			}
			after, err := du(dir)
			if err != nil {
				return err
			}
			updates, commits, diffs = append(updates, times[0]), append(commits, times[1]), append(diffs, times[2]*1e3)
			growth, peaks = append(growth, float64(after-before)/1e6), append(peaks, float64(peak)/1e6)
		}
		e.recordOf(s.name, fmt.Sprintf("%d updates in one transaction", n), "s", atMost(20), updates...)
		e.recordOf(s.name, "the commit behind them", "s", nil, commits...)
		e.recordOf(s.name, "dolt_diff of them, the first time", "ms", nil, diffs...)
		e.recordOf(s.name, "growth of the directory", "MB", atMost(150), growth...)
		e.recordOf(s.name, "peak memory of the server", "MB", nil, peaks...)
	}
	return nil
}
