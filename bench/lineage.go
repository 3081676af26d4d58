package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/value"
)

// lineageTables is how many tables the runs of benchLineage write in turn, each from the one before.
const lineageTables = 100

// benchLineage asks which run made a table, and from what, after many runs.
func benchLineage(ctx context.Context, e *env) error {
	n := e.part(100_000)
	s := e.own()
	dir, err := s.kept(ctx, "lineage", func(dir string) error { return makeRuns(ctx, dir, n) })
	if err != nil {
		return err
	}
	v, err := s.serve(ctx, dir)
	if err != nil {
		return err
	}
	last := fmt.Sprintf("t%d", (n-1)%lineageTables)
	for _, q := range []struct {
		name, query string
		want        *limit
	}{
		{fmt.Sprintf("the run that made a table, of %d", n), fmt.Sprintf("select * from stemma_run_of('%s')", last), atMost(20)},
		{"three runs back", fmt.Sprintf("select * from stemma_lineage('%s', 'HEAD', 'up', 3)", last), atMost(50)},
		{"three runs on, from a table long ago", fmt.Sprintf("select * from stemma_lineage('t0', 'HEAD~%d', 'down', 3)", n-1), nil},
		{"the run that made a table that only the first commit has changed", "select * from stemma_run_of('old')", nil},
		{"the edges of one run", "select * from stemma_lineage_edges where run_uid = '" + benchRun(n/2) + "'", nil},
	} {
		times, err := repeat(4*e.repetitions(s.name), func() error { return firstRow(ctx, v, q.query) })
		if err != nil {
			return errors.Join(err, v.close())
		}
		e.recordOf(s.name, q.name, "ms", q.want, times...)
	}
	if err := v.close(); err != nil {
		return err
	}
	times, err := repeat(4*e.repetitions(s.name), func() error {
		_, _, err := s.command(ctx, dir, "run", "of", last)
		return err
	})
	if err != nil {
		return err
	}
	e.recordOf(s.name, "from the command line: run of", "ms", nil, times...)
	return nil
}

// benchRun is the id of a run by its number.
func benchRun(i int) string {
	uid, _ := lineage.Named(fmt.Sprintf("run %d", i))
	return uid
}

// makeRuns makes n commits in this process, each by a run that writes one of lineageTables from the one before.
func makeRuns(ctx context.Context, dir string, n int) (err error) {
	r, err := fillRepo(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close(ctx)) }()
	whole := value.Type{Kind: value.KindInt64}
	sch := &schema.Schema{Collation: value.CollationUtf8mb40900AiCi}
	for _, name := range []string{"id", "made"} {
		sch.Columns = append(sch.Columns, schema.Column{ID: schema.AssignID(name, whole, sch.Columns, nil), Name: name, Type: whole})
	}
	sch.PrimaryKey = []schema.IndexColumn{{Column: sch.Columns[0].ID}}
	tx, err := r.Begin(ctx, repo.DefaultBranch)
	if err != nil {
		return err
	}
	for i := range lineageTables {
		if err := tx.CreateTable(ctx, fmt.Sprintf("t%d", i), sch); err != nil {
			return err
		}
	}
	if err := tx.CreateTable(ctx, "old", sch); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	for i := range n {
		if err := makeRun(ctx, r, i); err != nil {
			return fmt.Errorf("run %d: %w", i, err)
		}
	}
	return nil
}

func makeRun(ctx context.Context, r *repo.Repo, i int) error {
	uid := benchRun(i)
	ctx = lineage.With(ctx, lineage.Current{Run: uid})
	if _, err := r.StartRun(ctx, lineage.Run{UID: uid, System: "bench", ExternalID: fmt.Sprint(i), Job: "chain"}); err != nil {
		return err
	}
	tx, err := r.Begin(ctx, repo.DefaultBranch)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	from := fmt.Sprintf("t%d", (i+lineageTables-1)%lineageTables)
	if v, _, ok, err := tx.Table(ctx, from); err != nil {
		return err
	} else if ok && i > 0 {
		r.NoteRead(ctx, repo.Read{Table: from, View: v, Commit: tx.Head(), Working: true})
	}
	ed, err := tx.Editor(ctx, fmt.Sprintf("t%d", i%lineageTables))
	if err != nil {
		return err
	}
	if err := ed.Insert(ctx, []value.Cell{value.IntCell(int64(i / lineageTables)), value.IntCell(int64(i))}); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	_, err = r.Commit(ctx, repo.CommitOptions{Branch: repo.DefaultBranch, Message: "run", Author: signature, AddNew: true})
	return err
}
