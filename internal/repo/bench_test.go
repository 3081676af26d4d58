package repo_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/vfs"
)

// benchRepo is a database on the disk with n people, committed.
func benchRepo(b *testing.B, n int64) *repo.Repo { return benchRepoFS(b, vfs.OS{}, n) }

func benchRepoFS(b *testing.B, fs vfs.FS, n int64) *repo.Repo {
	ctx := context.Background()
	dir := b.TempDir()
	ok := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	ok(repo.Init(ctx, fs, dir, repo.InitOptions{Author: signature(), Committer: signature()}))
	r, err := repo.Open(ctx, fs, dir, repo.Options{})
	ok(err)
	b.Cleanup(func() { ok(r.Close(ctx)) })
	tx, err := r.Begin(ctx, "main")
	ok(err)
	ok(tx.CreateTable(ctx, "people", people()))
	v, _, _, err := tx.Table(ctx, "people")
	ok(err)
	ok(vfs.OS{}.MkdirAll(r.TempDir()))
	l, err := table.NewLoader(ctx, tx.Store(), v.Table, table.LoadOptions{FS: r.FS(), TempDir: r.TempDir()})
	ok(err)
	e := table.NewEncoder(tx.Store(), v.Schema())
	for i := range n {
		k, row, err := e.Append(ctx, nil, nil, person(i, fmt.Sprintf("mail-%d", i), i%90))
		ok(err)
		ok(l.Add(ctx, k, row))
	}
	t, _, err := l.Finish(ctx)
	ok(err)
	ok(l.Close())
	ok(tx.PutTable(ctx, "people", t))
	ok(tx.Commit(ctx))
	_, err = r.Commit(ctx, repo.CommitOptions{Branch: "main", Message: "load", Author: signature(), AddNew: true})
	ok(err)
	return r
}

func insertOne(ctx context.Context, r *repo.Repo, id int64) error {
	tx, err := r.Begin(ctx, "main")
	if err != nil {
		return err
	}
	defer tx.Rollback()
	e, err := tx.Editor(ctx, "people")
	if err != nil {
		return err
	}
	if err := e.Insert(ctx, person(id, fmt.Sprintf("new-%d", id), 1)); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// BenchmarkOneRowCommit is a durable transaction of one row into a table of 100,000 with a unique index, by 1 and by 16 writers.
func BenchmarkOneRowCommit(b *testing.B) {
	for _, writers := range []int{1, 16} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			ctx := context.Background()
			r := benchRepo(b, 100_000)
			var next atomic.Int64
			next.Store(1 << 30)
			b.SetParallelism(writers)
			b.ResetTimer()
			if writers == 1 {
				for b.Loop() {
					if err := insertOne(ctx, r, next.Add(1)); err != nil {
						b.Fatal(err)
					}
				}
			} else {
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := insertOne(ctx, r, next.Add(1)); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
		})
	}
}

// BenchmarkCommitVersion is a version commit of ten changed rows in a table of a million.
func BenchmarkCommitVersion(b *testing.B) {
	ctx := context.Background()
	r := benchRepo(b, 1_000_000)
	id := int64(1 << 30)
	for b.Loop() {
		b.StopTimer()
		for range 10 {
			id++
			if err := insertOne(ctx, r, id); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		if _, err := r.Commit(ctx, repo.CommitOptions{Branch: "main", Message: "m", Author: signature(), AddNew: true}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkMerge is a merge of 1,000 with another 1,000 changed rows, each alone in its page or nearly so, in a table of a million with a
// unique index.
func BenchmarkMerge(b *testing.B) {
	ctx := context.Background()
	r := benchRepo(b, 1_000_000)
	ok := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	head, _ := r.BranchHead("main")
	ok(r.CreateBranch(ctx, "side", head, false))
	change := func(branch string, from int64) history.CommitID {
		tx, err := r.Begin(ctx, branch)
		ok(err)
		e, err := tx.Editor(ctx, "people")
		ok(err)
		for i := range int64(1000) {
			id := from + i*997
			_, err := e.Update(ctx, person(id, "", 0), person(id, fmt.Sprintf("mail-%d", id), 99))
			ok(err)
		}
		ok(tx.Commit(ctx))
		c, err := r.Commit(ctx, repo.CommitOptions{Branch: branch, Message: branch, Author: signature(), All: true})
		ok(err)
		return c.ID
	}
	ours, theirs := change("main", 1), change("side", 500)
	for b.Loop() {
		m, err := r.Merge(ctx, repo.MergeOptions{Branch: "main", Kind: history.MergeBranch, Source: "side", Theirs: theirs, Message: "merge", Author: signature()})
		ok(err)
		if m.Unresolved() {
			b.Fatal("conflicts")
		}
		b.StopTimer()
		ok(r.ResetHard(ctx, "main", ours))
		b.StartTimer()
	}
}
