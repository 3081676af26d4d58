package repo_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
)

// TestMergeIsNotOvertakenForEver merges a large change while others commit to the branch without a pause, each in a small part of the time
// that the merge takes: only so many of them go before it, whatever the machine has to do beside.
func TestMergeIsNotOvertakenForEver(t *testing.T) {
	for name, busy := range map[string]func(ctx context.Context, r *repo.Repo, n int) error{
		"commits": func(ctx context.Context, r *repo.Repo, n int) error {
			_, err := r.Commit(ctx, repo.CommitOptions{Branch: "main", Message: fmt.Sprint(n), Author: signature(), AllowEmpty: true})
			return err
		},
		"transactions with a commit": func(ctx context.Context, r *repo.Repo, n int) error {
			tx, err := r.Begin(ctx, "main")
			if err != nil {
				return err
			}
			_, err = tx.CommitAs(ctx, repo.CommitOptions{Message: fmt.Sprint(n), Author: signature(), AllowEmpty: true}, nil)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			r, _ := newRepo(t)
			must(t, func() error {
				tx, err := r.Begin(ctx, "main")
				if err != nil {
					return err
				}
				if err := tx.CreateTable(ctx, "people", people()); err != nil {
					return err
				}
				e, err := tx.Editor(ctx, "people")
				for i := int64(0); i < 40_000 && err == nil; i++ {
					err = e.Insert(ctx, person(i, fmt.Sprint(i), 0))
				}
				if err != nil {
					return err
				}
				return tx.Commit(ctx)
			}())
			commit := func(branch string) history.CommitID {
				c, err := r.Commit(ctx, repo.CommitOptions{Branch: branch, Message: branch, Author: signature(), AddNew: true})
				must(t, err)
				return c.ID
			}
			base := commit("main")
			must(t, r.CreateBranch(ctx, "side", base, false))
			change := func(branch string, from int64) history.CommitID {
				tx, err := r.Begin(ctx, branch)
				must(t, err)
				e, err := tx.Editor(ctx, "people")
				must(t, err)
				for i := from; i < 40_000; i += 2 {
					_, err := e.Update(ctx, person(i, fmt.Sprint(i), 0), person(i, fmt.Sprint(i), 1))
					must(t, err)
				}
				must(t, tx.Commit(ctx))
				return commit(branch)
			}
			change("main", 0)
			theirs := change("side", 1)

			var others sync.WaitGroup
			var made atomic.Int64
			stop := make(chan struct{})
			for range 2 {
				others.Go(func() {
					for n := 0; ; n++ {
						select {
						case <-stop:
							return
						default:
						}
						if err := busy(ctx, r, n); err != nil {
							t.Error(err)
							return
						}
						made.Add(1)
					}
				})
			}
			for made.Load() < 4 {
				time.Sleep(time.Millisecond)
			}
			m, err := r.Merge(ctx, repo.MergeOptions{Branch: "main", Kind: history.MergeBranch, Source: "side", Theirs: theirs, Message: "merge", Author: signature()})
			close(stop)
			others.Wait()
			must(t, err)
			if m.Tries > 5 {
				t.Errorf("the merge began anew %d times", m.Tries)
			}
			if m.Tries < 2 {
				t.Logf("nobody went before the merge, which took one attempt")
			}
		})
	}
}
