package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/chunk/chunktest"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/value"
	"github.com/stemmadb/stemma/internal/vfs"
)

// benchGC writes garbage into a copy of the price list's database, 10 GB of it for 10 M rows, and collects it while rows are committed.
func benchGC(ctx context.Context, e *env) error {
	s := e.own()
	base, err := s.base(ctx, e)
	if err != nil {
		return err
	}
	garbage := int64(e.rows) * 1000
	dir, err := s.copyOf(base, "gc")
	if err != nil {
		return err
	}
	r, err := repo.Open(ctx, vfs.OS{}, dir, repo.Options{})
	if err != nil {
		return err
	}
	defer r.Close(ctx)
	if err := litter(ctx, r, garbage); err != nil {
		return err
	}
	w, err := newPauses(ctx, r)
	if err != nil {
		return err
	}
	quiet, err := w.run(ctx, func() error { time.Sleep(2 * time.Second); return nil })
	if err != nil {
		return err
	}
	var took float64
	var done *repo.Collected
	waits, err := w.run(ctx, func() error {
		var err error
		took, err = seconds(func() error {
			done, err = r.Collect(ctx, repo.CollectOptions{})
			return err
		})
		return err
	})
	if err != nil {
		return err
	}
	e.record(fmt.Sprintf("gc of %.1f GB of garbage", float64(garbage)/1e9), "s", atMost(60), took)
	e.record("in use afterwards", "MB", nil, float64(done.After)/1e6)
	e.record("room that it needed", "MB", atMost(1.1*float64(done.After)/1e6), float64(done.Peak)/1e6)
	e.record("longest commit of a row meanwhile", "ms", nil, waits*1e3)
	e.record("longest commit of a row in two quiet seconds before", "ms", nil, quiet*1e3)
	return nil
}

// litter keeps chunks that nothing names.
func litter(ctx context.Context, r *repo.Repo, size int64) error {
	const each = 16 << 10
	for n := int64(0); n < size; {
		b := r.Store().NewBatch()
		for k := int64(0); k < 1<<30 && n < size; k, n = k+each, n+each {
			if _, err := b.Put(ctx, chunktest.Sample(chunk.KindPage, each, uint64(n)+1<<40)); err != nil {
				return errors.Join(err, b.Close())
			}
		}
		_, err := r.Store().Append(ctx, b)
		if err = errors.Join(err, b.Close()); err != nil {
			return err
		}
	}
	return nil
}

// pauses commits rows one after the other and measures how long the longest takes.
type pauses struct {
	r *repo.Repo
	n int64
}

func newPauses(ctx context.Context, r *repo.Repo) (*pauses, error) {
	t := &schema.Schema{}
	typ := value.Type{Kind: value.KindInt64}
	t.Columns = []schema.Column{{Name: "id", Type: typ, ID: schema.AssignID("id", typ, nil, nil)}}
	t.PrimaryKey = []schema.IndexColumn{{Column: t.Columns[0].ID}}
	tx, err := r.Begin(ctx, r.CheckedOut())
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	if err := tx.CreateTable(ctx, "pauses", t); err != nil {
		return nil, err
	}
	return &pauses{r: r}, tx.Commit(ctx)
}

// run does work while rows are committed, and gives the longest time that a commit took, in seconds.
func (p *pauses) run(ctx context.Context, work func() error) (float64, error) {
	end, ended := make(chan struct{}), make(chan error, 1)
	longest := 0.0
	go func() {
		for {
			select {
			case <-end:
				ended <- nil
				return
			case <-time.After(time.Duration(rand.IntN(5)) * time.Millisecond):
			}
			took, err := seconds(func() error { return p.row(ctx) })
			if err != nil {
				ended <- err
				return
			}
			longest = max(longest, took)
		}
	}()
	err := work()
	close(end)
	return longest, errors.Join(err, <-ended)
}

func (p *pauses) row(ctx context.Context) error {
	tx, err := p.r.Begin(ctx, p.r.CheckedOut())
	if err != nil {
		return err
	}
	defer tx.Rollback()
	ed, err := tx.Editor(ctx, "pauses")
	if err != nil {
		return err
	}
	p.n++
	if err := ed.Insert(ctx, []value.Cell{value.IntCell(p.n)}); err != nil {
		return err
	}
	return tx.Commit(ctx)
}
