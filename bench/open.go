package main

import "context"

// benchOpen starts the program for the smallest query, in the directory of the price list.
func benchOpen(ctx context.Context, e *env) error {
	for _, s := range e.systems {
		dir, err := s.base(ctx, e)
		if err != nil {
			return err
		}
		var times, peaks []float64
		for range 4 * e.repetitions(s.name) {
			_, u, err := s.command(ctx, dir, "sql", "-q", "select 1")
			if err != nil {
				return err
			}
			times, peaks = append(times, u.Seconds*1e3), append(peaks, float64(u.Peak)/1e6)
		}
		e.recordOf(s.name, "sql -q 'select 1': time", "ms", atMost(30), times...)
		e.recordOf(s.name, "sql -q 'select 1': peak memory", "MB", nil, peaks...)
	}
	return nil
}
