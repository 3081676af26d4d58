package repo_test

import (
	"context"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/repo"
)

// TestNotedMeanwhile writes rows while versions are committed: each version tells of the statements whose rows it has, and of no others. A
// row has the number of its statement as its key, and its statement a column of that number.
func TestNotedMeanwhile(t *testing.T) {
	r, _ := newRepo(t)
	lines{t, r}.write("", "main", "t", nil)
	const rows = 200
	by := lineage.Current{Run: runID("A"), Node: "n"}
	ctx := lineage.With(context.Background(), by)
	write := func(id int64) error {
		tx, err := r.Begin(ctx, "main")
		if err != nil {
			return err
		}
		defer tx.Rollback()
		e, err := tx.Editor(ctx, "t")
		if err != nil {
			return err
		}
		if err := e.Insert(ctx, person(id, "", 1)); err != nil {
			return err
		}
		tx.NoteOrigins(by, "t", map[string][]lineage.Origin{strconv.FormatInt(id, 10): {{Table: "s", Column: "c"}}})
		return tx.Commit(ctx)
	}
	var made atomic.Int64
	commit := func() {
		_, err := r.Commit(lineage.With(context.Background(), lineage.Current{Run: by.Run}), repo.CommitOptions{
			Branch: "main", Message: "some", AddNew: true, Author: signature(), Committer: signature(),
		})
		if err == nil {
			made.Add(1)
		} else if !errs.Is(err, errs.NothingToDo) {
			t.Error(err)
		}
	}
	done := make(chan struct{})
	var writers, commits sync.WaitGroup
	commits.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				commit()
			}
		}
	})
	for w := range int64(2) {
		writers.Go(func() {
			before := made.Load()
			for i := range int64(rows / 2) {
				if i%20 == 19 { // so that there are commits between
					for made.Load() == before && !t.Failed() {
						runtime.Gosched()
					}
					before = made.Load()
				}
				if err := write(w*rows + i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
	close(done)
	commits.Wait()
	commit()
	outs, err := r.Lineage().OutputsOf(ctx, by.Run)
	must(t, err)
	told := map[string]int{}
	for _, o := range outs {
		of, err := o.Origins()
		must(t, err)
		if o.Added == nil || int(*o.Added) != len(of) || o.Node != "n" {
			t.Errorf("commit %s of node %q adds %v rows and tells of %d statements", o.Commit, o.Node, o.Added, len(of))
		}
		for c := range of {
			told[c]++
		}
	}
	if len(outs) < 5 {
		t.Errorf("%d commits: the test does not test", len(outs))
	}
	if len(told) != rows {
		t.Errorf("%d statements are told of, want %d", len(told), rows)
	}
	for c, n := range told {
		if n != 1 {
			t.Errorf("statement %s is told of %d times", c, n)
		}
	}
}
