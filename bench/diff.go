package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/stemmadb/stemma/internal/diff"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/table"
)

// changes are the sizes of the commits that benchDiff compares, and what they may take in milliseconds.
type changes struct {
	rows        int
	store, wire *limit
}

func (e *env) changes() []changes {
	return []changes{
		{min(1000, e.rows/20), atMost(12), atMost(20)},
		{min(100_000, e.rows/10), atMost(330), atMost(700)},
	}
}

// benchDiff compares commits of the price list that differ in random rows, a third each inserted, updated and deleted.
func benchDiff(ctx context.Context, e *env) error {
	all := e.changes()
	for _, s := range e.systems {
		base, err := s.base(ctx, e)
		if err != nil {
			return err
		}
		dir, err := s.kept(ctx, "edited", func(dir string) error { return e.makeEdited(ctx, s, base, dir) })
		if err != nil {
			return err
		}
		if s == e.own() {
			if err := e.diffStore(ctx, dir, all); err != nil {
				return err
			}
		}
		if err := e.diffWire(ctx, s, dir, all); err != nil {
			return err
		}
	}
	return nil
}

// makeEdited puts a copy of base with a commit for each of changes into dir.
func (e *env) makeEdited(ctx context.Context, s *system, base, dir string) (err error) {
	if _, err := s.copyOf(base, filepath.Base(dir)); err != nil {
		return err
	}
	var change func(edits []edit, message string) error
	if s == e.own() {
		r, err := openRepo(ctx, dir)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, r.Close(ctx)) }()
		change = func(edits []edit, message string) error { return apply(ctx, r, edits, message) }
	} else {
		v, err := s.serve(ctx, dir)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, v.close()) }()
		change = func(edits []edit, message string) error {
			return errors.Join(applySQL(ctx, v.DB, edits), commitSQL(ctx, v.DB, message))
		}
	}
	for i, c := range e.changes() {
		if err := change(e.mixedEdits(i, c.rows), fmt.Sprintf("%d rows", c.rows)); err != nil {
			return err
		}
	}
	return nil
}

// mixedEdits are those of the i-th commit. Later ones leave the rows of earlier ones alone.
func (e *env) mixedEdits(i, n int) []edit {
	if i == 0 {
		return e.someEdits(n, true, 41)
	}
	taken := map[string]bool{}
	for _, x := range e.mixedEdits(0, e.changes()[0].rows) {
		taken[x.row.Code+x.row.Payer+fmt.Sprint(x.row.NPI)] = true
	}
	out := e.someEdits(n+len(taken), true, 43)
	kept := out[:0]
	for _, x := range out {
		if !taken[x.row.Code+x.row.Payer+fmt.Sprint(x.row.NPI)] && len(kept) < n {
			kept = append(kept, x)
		}
	}
	return kept
}

// diffStore compares in this process, and reads every cell of the rows that differ.
func (e *env) diffStore(ctx context.Context, dir string, all []changes) (err error) {
	r, err := openRepo(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close(ctx)) }()
	at := func(rev string) (*table.Table, error) {
		id, err := r.Resolve(ctx, rev, repo.DefaultBranch)
		if err != nil {
			return nil, err
		}
		s, err := r.SnapshotAt(ctx, id)
		if err != nil {
			return nil, err
		}
		v, _, _, err := s.Table(ctx, "prices")
		if err != nil {
			return nil, err
		}
		return v.Table, nil
	}
	for i, c := range all {
		from, err := at(fmt.Sprintf("HEAD~%d", len(all)-i))
		if err != nil {
			return err
		}
		to, err := at(fmt.Sprintf("HEAD~%d", len(all)-i-1))
		if err != nil {
			return err
		}
		times, err := repeat(e.count, func() error {
			p, err := diff.NewPair(r.Store(), from, to)
			if err != nil {
				return err
			}
			n, err := readPair(ctx, p)
			if err == nil && n != c.rows {
				err = fmt.Errorf("%d rows differ, want %d", n, c.rows)
			}
			return err
		})
		if err != nil {
			return err
		}
		e.record(fmt.Sprintf("%d rows, in the store", c.rows), "ms", c.store, times...)
	}
	return nil
}

// readPair reads every cell of the rows that differ and returns their number.
func readPair(ctx context.Context, p *diff.Pair) (n int, err error) {
	err = p.Each(ctx, diff.Options{}, func(c diff.Change) error {
		n++
		for _, col := range p.Columns() {
			if c.From.Valid() && col.From >= 0 {
				if _, err := c.From.Cell(ctx, col.From); err != nil {
					return err
				}
			}
			if c.To.Valid() && col.To >= 0 {
				if _, err := c.To.Cell(ctx, col.To); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return n, err
}

// diffWire reads the table function over the wire.
func (e *env) diffWire(ctx context.Context, s *system, dir string, all []changes) (err error) {
	v, err := s.serve(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.close()) }()
	for i, c := range all {
		query := fmt.Sprintf("select to_price, from_price, diff_type from dolt_diff('HEAD~%d', 'HEAD~%d', 'prices')", len(all)-i, len(all)-i-1)
		times, err := repeat(e.count, func() error { return reads(ctx, v, query, c.rows) })
		if err != nil {
			return err
		}
		e.recordOf(s.name, fmt.Sprintf("%d rows, over the wire", c.rows), "ms", c.wire, times...)
	}
	return nil
}

// reads runs a query that must give so many rows.
func reads(ctx context.Context, v *server, query string, rows int) error {
	n, err := read(ctx, v.DB, query)
	if err == nil && n != rows {
		err = fmt.Errorf("%s: %d rows, want %d", query, n, rows)
	}
	return err
}

// repeat times fn, in milliseconds, after one turn that warms the caches.
func repeat(count int, fn func() error) (times []float64, err error) {
	for i := range count + 1 {
		t, err := seconds(fn)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			times = append(times, t*1e3)
		}
	}
	return times, nil
}
