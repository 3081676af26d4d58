package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
)

// part is n at full size, and less in smaller runs.
func (e *env) part(n int) int { return max(20, min(n, int(float64(n)*float64(e.rows)/fullRows))) }

// benchLog reads the log of a long history from its newest end.
func benchLog(ctx context.Context, e *env) error {
	n := e.part(100_000)
	for _, s := range e.systems {
		dir, err := s.kept(ctx, "long", func(dir string) error { return e.makeLong(ctx, s, dir, n) })
		if err != nil {
			return err
		}
		v, err := s.serve(ctx, dir)
		if err != nil {
			return err
		}
		for _, q := range []struct {
			name, query string
			want        *limit
		}{
			{fmt.Sprintf("first row of dolt_log of %d commits", n), "select * from dolt_log", atMost(20)},
			{"the newest ten", "select commit_hash, message from dolt_log limit 10", atMost(20)},
			{"a commit at the beginning, by its hash", fmt.Sprintf("select message from dolt_log where commit_hash = hashof('HEAD~%d')", n-1), nil},
		} {
			times, err := repeat(4*e.repetitions(s.name), func() error { return firstRow(ctx, v, q.query) })
			if err != nil {
				return errors.Join(err, v.close())
			}
			e.recordOf(s.name, q.name, "ms", q.want, times...)
		}
		counts, err := repeat(e.repetitions(s.name), func() error { return reads(ctx, v, "select commit_hash from dolt_log", n+1) })
		if err := errors.Join(err, v.close()); err != nil {
			return err
		}
		e.recordOf(s.name, "all of it", "ms", nil, counts...)
	}
	return nil
}

// firstRow waits for the first row of a query, which must have one, and leaves the others.
func firstRow(ctx context.Context, v *server, query string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the connection: its rows are not read
	rows, err := v.DB.QueryContext(ctx, query)
	if err != nil {
		return fmt.Errorf("%s: %w", query, err)
	}
	if !rows.Next() {
		return errors.Join(fmt.Errorf("%s: no row", query), rows.Err(), rows.Close())
	}
	return nil
}

// makeLong makes n commits of one new row each in the database of dir.
func (e *env) makeLong(ctx context.Context, s *system, dir string, n int) (err error) {
	if s == e.own() {
		return makeLongStore(ctx, dir, n)
	}
	v, err := s.serve(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.close()) }()
	for i := range n {
		if _, err := read(ctx, v.DB, fmt.Sprintf("call dolt_commit('--allow-empty', '-m', 'commit %d')", i)); err != nil {
			return err
		}
	}
	return nil
}

// makeLongStore makes n commits in this process.
func makeLongStore(ctx context.Context, dir string, n int) (err error) {
	r, err := fillRepo(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close(ctx)) }()
	for i := range n {
		if _, err := r.Commit(ctx, repo.CommitOptions{Branch: repo.DefaultBranch, Message: fmt.Sprintf("commit %d", i), Author: signature, AllowEmpty: true}); err != nil {
			return err
		}
	}
	return nil
}

// benchBranches lists many branches, and opens a database that has them.
func benchBranches(ctx context.Context, e *env) error {
	n := e.part(10_000)
	for _, s := range e.systems {
		one, err := s.kept(ctx, "branch", func(dir string) error { return e.makeBranches(ctx, s, dir, 0) })
		if err != nil {
			return err
		}
		many, err := s.kept(ctx, "branches", func(dir string) error { return e.makeBranches(ctx, s, dir, n) })
		if err != nil {
			return err
		}
		var opens [2][]float64
		for range 4 * e.repetitions(s.name) {
			for i, dir := range []string{one, many} {
				_, u, err := s.command(ctx, dir, "sql", "-q", "select 1")
				if err != nil {
					return err
				}
				opens[i] = append(opens[i], u.Seconds*1e3)
			}
		}
		e.recordOf(s.name, "open with one branch: sql -q 'select 1'", "ms", nil, opens[0]...)
		e.recordOf(s.name, fmt.Sprintf("open with %d branches", n), "ms", nil, opens[1]...)
		e.recordOf(s.name, "difference", "ms", atMost(200), median(opens[1])-median(opens[0]))
		lists, err := repeat(4*e.repetitions(s.name), func() error {
			_, _, err := s.command(ctx, many, "branch")
			return err
		})
		if err != nil {
			return err
		}
		e.recordOf(s.name, "branch", "ms", nil, lists...)
		v, err := s.serve(ctx, many)
		if err != nil {
			return err
		}
		for _, q := range []struct {
			name, query string
			rows        int
			want        *limit
		}{
			{"list them: names and hashes of dolt_branches", "select name, hash from dolt_branches", n + 1, atMost(50)},
			{"list them: all of dolt_branches", "select * from dolt_branches", n + 1, nil},
			{"find one by name", fmt.Sprintf("select hash from dolt_branches where name = 'b%05d'", n/2), 1, nil},
		} {
			times, err := repeat(4*e.repetitions(s.name), func() error { return reads(ctx, v, q.query, q.rows) })
			if err != nil {
				return errors.Join(err, v.close())
			}
			e.recordOf(s.name, q.name, "ms", q.want, times...)
		}
		makes := []float64{}
		for i := range 4 * e.repetitions(s.name) {
			t, err := seconds(func() error {
				_, err := read(ctx, v.DB, fmt.Sprintf("call dolt_branch('new%d')", i))
				return err
			})
			if err != nil {
				return errors.Join(err, v.close())
			}
			makes = append(makes, t*1e3)
		}
		e.recordOf(s.name, "make another", "ms", nil, makes...)
		for i := range makes {
			if _, err := read(ctx, v.DB, fmt.Sprintf("call dolt_branch('-D', 'new%d')", i)); err != nil {
				return errors.Join(err, v.close())
			}
		}
		if err := v.close(); err != nil {
			return err
		}
	}
	return nil
}

// makeBranches makes n branches, each at a commit of its own.
func (e *env) makeBranches(ctx context.Context, s *system, dir string, n int) (err error) {
	if s == e.own() {
		if err := makeLongStore(ctx, dir, n); err != nil {
			return err
		}
		return branchEach(ctx, dir, n)
	}
	v, err := s.serve(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.close()) }()
	for i := range n {
		for _, q := range []string{fmt.Sprintf("call dolt_commit('--allow-empty', '-m', 'commit %d')", i), fmt.Sprintf("call dolt_branch('b%05d')", i)} {
			if _, err := read(ctx, v.DB, q); err != nil {
				return err
			}
		}
	}
	return nil
}

// branchEach makes a branch at each of the newest n commits.
func branchEach(ctx context.Context, dir string, n int) (err error) {
	r, err := fillRepo(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close(ctx)) }()
	head, _ := r.BranchHead(repo.DefaultBranch)
	for i := range n {
		if err := r.CreateBranch(ctx, fmt.Sprintf("b%05d", i), head, false); err != nil {
			return err
		}
		c, err := history.GetCommit(ctx, r.Store(), head)
		if err != nil {
			return err
		}
		head = c.Parents[0]
	}
	return nil
}

// tableName finds the tables that makeTables makes.
var tableName = regexp.MustCompile(`\bt\d{5}\b`)

// benchTables lists many tables, and changes one of them.
func benchTables(ctx context.Context, e *env) error {
	n := e.part(10_000)
	for _, s := range e.systems {
		dir, err := s.kept(ctx, "tables", func(dir string) error { return e.makeTables(ctx, s, dir, n) })
		if err != nil {
			return err
		}
		lists, err := repeat(4*e.repetitions(s.name), func() error {
			out, _, err := s.command(ctx, dir, "ls")
			if got := len(tableName.FindAll(out, -1)); err == nil && got != n {
				err = fmt.Errorf("ls: %d tables, want %d", got, n)
			}
			return err
		})
		if err != nil {
			return err
		}
		e.recordOf(s.name, fmt.Sprintf("ls of %d tables", n), "ms", atMost(100), lists...)
		v, err := s.serve(ctx, dir)
		if err != nil {
			return err
		}
		v.DB.SetMaxOpenConns(1)
		var commits, statuses []float64
		for i := range 4*e.repetitions(s.name) + 1 {
			name := fmt.Sprintf("t%05d", i*7%n)
			_, err := v.DB.ExecContext(ctx, fmt.Sprintf("insert into %s values (%d, 'new')", name, clock.System{}.Now().UnixNano()))
			if err != nil {
				return errors.Join(err, v.close())
			}
			status, err := seconds(func() error { return reads(ctx, v, "select * from dolt_status", 1) })
			if err != nil {
				return errors.Join(err, v.close())
			}
			t, err := seconds(func() error { return commitSQL(ctx, v.DB, "one table") })
			if err != nil {
				return errors.Join(err, v.close())
			}
			if i > 0 {
				commits, statuses = append(commits, t*1e3), append(statuses, status*1e3)
			}
		}
		e.recordOf(s.name, "commit of one changed table", "ms", atMost(20), commits...)
		e.recordOf(s.name, "dolt_status with one changed table", "ms", nil, statuses...)
		shows, err := repeat(4*e.repetitions(s.name), func() error { return reads(ctx, v, "show tables", n) })
		if err := errors.Join(err, v.close()); err != nil {
			return err
		}
		e.recordOf(s.name, "show tables", "ms", nil, shows...)
	}
	return nil
}

// makeTables makes n tables of one row and commits them.
func (e *env) makeTables(ctx context.Context, s *system, dir string, n int) (err error) {
	v, err := s.serve(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.close()) }()
	v.DB.SetMaxOpenConns(1)
	if _, err := v.DB.ExecContext(ctx, "set autocommit = 0"); err != nil {
		return err
	}
	for i := range n {
		for _, q := range []string{"create table t%05d (id bigint primary key, v varchar(20))", "insert into t%05d values (1, 'one')"} {
			if _, err := v.DB.ExecContext(ctx, fmt.Sprintf(q, i)); err != nil {
				return err
			}
		}
	}
	return commitSQL(ctx, v.DB, "tables")
}
