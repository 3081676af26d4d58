package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
)

const (
	pastCommits   = 200  // of the price list
	pastRows      = 1000 // that each of them changes, at random
	blamedCommits = 100  // of a tenth of the list
)

// benchPast asks what became of rows of the price list, which many commits have changed.
func benchPast(ctx context.Context, e *env) error {
	for _, s := range e.systems {
		base, err := s.base(ctx, e)
		if err != nil {
			return err
		}
		dir, err := s.kept(ctx, "past", func(dir string) error { return e.makePast(ctx, s, base, dir) })
		if err != nil {
			return err
		}
		if err := e.past(ctx, s, dir); err != nil {
			return err
		}
		if dir, err = s.kept(ctx, "blamed", func(dir string) error { return e.makeBlamed(ctx, s, dir) }); err != nil {
			return err
		}
		if err := e.blame(ctx, s, dir); err != nil {
			return err
		}
	}
	return nil
}

// theRow is the row whose past is asked for; each tenth commit changes it.
func (e *env) theRow() edit { return e.someEdits(1, false, 71)[0] }

// makePast puts a copy of base with pastCommits commits into dir.
func (e *env) makePast(ctx context.Context, s *system, base, dir string) error {
	if _, err := s.copyOf(base, filepath.Base(dir)); err != nil {
		return err
	}
	return e.changeOften(ctx, s, dir, pastCommits, func(i int) []edit {
		edits := e.someEdits(min(pastRows, e.rows/20), false, 1000+uint64(i))
		if i%10 == 0 && !slices.Contains(edits, e.theRow()) {
			edits = append(edits, e.theRow())
		}
		return edits
	})
}

// makeBlamed fills the database of dir with a tenth of the price list and changes a hundredth of that in each of blamedCommits.
func (e *env) makeBlamed(ctx context.Context, s *system, dir string) error {
	places := e.places()[:e.rows/10]
	csv, err := e.file(fmt.Sprintf("prices-%d-tenth.csv", e.rows), func(w io.Writer) error { return e.prices.WritePrices(w, places) })
	if err != nil {
		return err
	}
	if _, _, err := s.command(ctx, dir, "table", "import", "-c", "--pk", "npi_number,code,payer", "prices", csv); err != nil {
		return err
	}
	if err := s.commitAll(ctx, dir, "import"); err != nil {
		return err
	}
	return e.changeOften(ctx, s, dir, blamedCommits, func(i int) []edit {
		var edits []edit
		for _, p := range choose(places, len(places)/100, 2000+uint64(i)) {
			edits = append(edits, edit{updated, e.prices.At(p)})
		}
		return edits
	})
}

// changeOften makes n commits of updates in the database of dir. Each update gives a price that the row has not had.
func (e *env) changeOften(ctx context.Context, s *system, dir string, n int, updates func(i int) []edit) (err error) {
	var change func(i int) error
	message := func(i int) string { return fmt.Sprintf("change %d", i) }
	if s == e.own() {
		r, err := openRepo(ctx, dir)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, r.Close(ctx)) }()
		change = func(i int) error {
			edits := updates(i)
			for k := range edits {
				edits[k].row.Price += float64(i)
			}
			return apply(ctx, r, edits, message(i))
		}
	} else {
		v, err := s.serve(ctx, dir)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, v.close()) }()
		change = func(i int) error {
			return errors.Join(applySQL(ctx, v.DB, updates(i)), commitSQL(ctx, v.DB, message(i)))
		}
	}
	for i := range n {
		if err := change(i); err != nil {
			return err
		}
	}
	return nil
}

func (e *env) past(ctx context.Context, s *system, dir string) (err error) {
	v, err := s.serve(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.close()) }()
	row := e.theRow().row
	key := func(prefix string) string {
		return fmt.Sprintf("%[1]snpi_number = %[2]d and %[1]scode = '%[3]s' and %[1]spayer = '%[4]s'", prefix, row.NPI, row.Code, row.Payer)
	}
	for _, q := range []struct {
		name, query string
		rows        int // 0: not known
		want        *limit
	}{
		{fmt.Sprintf("one row at each of %d commits (dolt_history)", pastCommits), "select price, commit_hash, commit_date from dolt_history_prices where " + key(""), pastCommits + 1, atMost(10)},
		{fmt.Sprintf("the changes of one row in %d commits (dolt_diff)", pastCommits), "select to_price, from_price, to_commit from dolt_diff_prices where " + key("to_"), 0, atMost(20)},
		{"the table's last change (dolt_diff by date, limit 1)", "select to_commit from dolt_diff_prices order by to_commit_date desc limit 1", 1, atMost(50)},
		{"the changes of one commit (dolt_diff by to_commit)", "select to_price from dolt_diff_prices where to_commit = hashof('HEAD~9')", 0, nil},
		{"the same row at the first commit (dolt_history by commit)", fmt.Sprintf("select price from dolt_history_prices where commit_hash = hashof('HEAD~%d') and %s", pastCommits, key("")), 1, nil},
	} {
		times, err := repeat(4*e.repetitions(s.name), func() error {
			n, err := read(ctx, v.DB, q.query)
			if err == nil && (n == 0 || q.rows > 0 && n != q.rows) {
				err = fmt.Errorf("%s: %d rows, want %d", q.query, n, q.rows)
			}
			return err
		})
		if err != nil {
			return err
		}
		e.recordOf(s.name, q.name, "ms", q.want, times...)
	}
	return nil
}

func (e *env) blame(ctx context.Context, s *system, dir string) (err error) {
	v, err := s.serve(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.close()) }()
	times, err := repeat(e.repetitions(s.name), func() error { return reads(ctx, v, "select * from dolt_blame_prices", e.rows/10) })
	if err != nil {
		return err
	}
	for i := range times {
		times[i] /= 1e3
	}
	e.recordOf(s.name, fmt.Sprintf("blame of %d rows over %d commits", e.rows/10, blamedCommits), "s", atMost(5), times...)
	return nil
}
