package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
)

// benchMerge merges branches of the price list that have changed random rows: other rows, and the same ones.
func benchMerge(ctx context.Context, e *env) error {
	n := min(1000, e.rows/20)
	for _, s := range e.systems {
		base, err := s.base(ctx, e)
		if err != nil {
			return err
		}
		dir, err := s.kept(ctx, "forked", func(dir string) error { return e.makeForked(ctx, s, base, dir, n) })
		if err != nil {
			return err
		}
		if dir, err = s.copyOf(dir, "merging"); err != nil {
			return err
		}
		if err := e.merges(ctx, s, dir, n); err != nil {
			return err
		}
	}
	return nil
}

// makeForked puts a copy of base with three branches into dir, each with one commit of n updates: ours and theirs of different rows,
// rival of the rows of ours.
func (e *env) makeForked(ctx context.Context, s *system, base, dir string, n int) (err error) {
	if _, err := s.copyOf(base, filepath.Base(dir)); err != nil {
		return err
	}
	v, err := s.serve(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.close()) }()
	v.DB.SetMaxOpenConns(1) // the branch is that of the connection
	edits := e.someEdits(2*n, false, 61)
	for _, b := range []struct {
		name  string
		edits []edit
		rise  int
	}{{"ours", edits[:n], 1}, {"theirs", edits[n:], 1}, {"rival", edits[:n], 2}} {
		if _, err := read(ctx, v.DB, "call dolt_checkout('-b', '"+b.name+"', 'main')"); err != nil {
			return err
		}
		for range b.rise {
			if err := applySQL(ctx, v.DB, b.edits); err != nil {
				return err
			}
		}
		if err := commitSQL(ctx, v.DB, b.name); err != nil {
			return err
		}
	}
	return nil
}

func (e *env) merges(ctx context.Context, s *system, dir string, n int) (err error) {
	v, err := s.serve(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.close()) }()
	v.DB.SetMaxOpenConns(1)
	must := func(statements ...string) error {
		for _, q := range statements {
			if _, err := read(ctx, v.DB, q); err != nil {
				return err
			}
		}
		return nil
	}
	if err := must("call dolt_checkout('-b', 'target', 'ours')"); err != nil {
		return err
	}
	var clean, conflicted []float64
	for i := range 4*e.repetitions(s.name) + 1 {
		if err := must("call dolt_reset('--hard', 'ours')"); err != nil {
			return err
		}
		t, err := seconds(func() error { return must("call dolt_merge('theirs', '-m', 'both')") })
		if err != nil {
			return err
		}
		if i > 0 { // the first one warms the caches
			clean = append(clean, t*1e3)
		}
	}
	if err := reads(ctx, v, "select 1 from dolt_diff('ours', 'target', 'prices')", n); err != nil {
		return err
	}
	if err := must("call dolt_reset('--hard', 'ours')"); err != nil {
		return err
	}
	for i := range 4*e.repetitions(s.name) + 1 {
		tx, err := v.DB.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		t, err := seconds(func() error {
			if _, err := read(ctx, tx, "call dolt_merge('rival', '-m', 'both')"); err != nil {
				return err
			}
			return conflicts(ctx, tx, n)
		})
		if err == nil {
			_, err = read(ctx, tx, "call dolt_merge('--abort')")
		}
		if err := errors.Join(err, tx.Commit()); err != nil {
			return err
		}
		if i > 0 {
			conflicted = append(conflicted, t*1e3)
		}
	}
	e.recordOf(s.name, fmt.Sprintf("merge of %d and %d changed rows", n, n), "ms", atMost(40), clean...)
	e.recordOf(s.name, fmt.Sprintf("merge with %d conflicts, and reading them", n), "ms", atMost(80), conflicted...)
	return nil
}

// conflicts reads the conflicts of a merge in progress, which must be n.
func conflicts(ctx context.Context, tx *sql.Tx, n int) error {
	got, err := read(ctx, tx, "select base_price, our_price, their_price from dolt_conflicts_prices")
	if err == nil && got != n {
		err = fmt.Errorf("%d conflicts, want %d", got, n)
	}
	return err
}
