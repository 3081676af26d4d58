package main

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/vfs"
)

// benchCommit makes durable one-row transactions on the price list in this process.
func benchCommit(ctx context.Context, e *env) (err error) {
	dir, err := e.own().base(ctx, e)
	if err != nil {
		return err
	}
	var alone, slow, together, busy, device []float64
	for k := range e.count {
		dir, err := e.own().copyOf(dir, "commit")
		if err != nil {
			return err
		}
		r, err := openRepo(ctx, dir)
		if err != nil {
			return err
		}
		bare, err := syncs(e.own().home)
		if err != nil {
			return errors.Join(err, r.Close(ctx))
		}
		device = append(device, median(bare))
		places := choose(e.places(), min(e.rows/2, 200_000), 100+uint64(k))
		latencies, _, err := e.updates(ctx, r, places[:len(places)/20], 1)
		if err == nil {
			alone = append(alone, median(latencies))
			slow = append(slow, latencies[len(latencies)*99/100])
			var took spent
			_, took, err = e.updates(ctx, r, places[len(places)/20:], 16)
			n := float64(len(places) - len(places)/20)
			together = append(together, n/took.elapsed.Seconds())
			busy = append(busy, float64(took.processor.Nanoseconds())/1e3/n)
		}
		if err := errors.Join(err, r.BackgroundError(), r.Close(ctx)); err != nil {
			return err
		}
	}
	e.recordOf("device", "a write of 200 bytes and its sync, nothing else: median", "us", nil, device...)
	e.record("one at a time: median", "us", atMost(150), alone...)
	e.record("one at a time: 99th percentile", "us", nil, slow...)
	e.record("16 at once", "/s", atLeast(50_000), together...)
	e.record("16 at once: processor time", "us", nil, busy...)
	return nil
}

// syncs is how long writes of 200 bytes, one behind the other, into a file that is there in full take with their syncs, in microseconds,
// ascending: what the device leaves to transactions.
func syncs(dir string) (took []float64, err error) {
	fsys := vfs.OS{}
	name := filepath.Join(dir, "syncs")
	f, err := fsys.Create(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close(), fsys.Remove(name)) }()
	const n, size = 2000, 200
	if err := f.Preallocate(0, n*size); err != nil {
		return nil, err
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	buf := bytes.Repeat([]byte{1}, size)
	for i := range n {
		t := clock.System{}.Now()
		if _, err := f.WriteAt(buf, int64(i*size)); err != nil {
			return nil, err
		}
		if err := f.Sync(); err != nil {
			return nil, err
		}
		took = append(took, float64(clock.Since(t).Nanoseconds())/1e3)
	}
	slices.Sort(took)
	return took, nil
}

// spent is what some work took: time that passed, and time of this process on processors, which another's load hardly changes.
type spent struct{ elapsed, processor time.Duration }

// updates changes the price of each place's row in a transaction of its own, from so many goroutines, and returns how long each
// took in microseconds, ascending, and what all took.
func (e *env) updates(ctx context.Context, r *repo.Repo, places []int32, workers int) ([]float64, spent, error) {
	v, err := workingTable(ctx, r, "prices")
	if err != nil {
		return nil, spent{}, err
	}
	rows := make([][2]row, len(places))
	for i, p := range places {
		x := e.prices.At(p)
		if rows[i][0], err = priceCells(v, x); err != nil {
			return nil, spent{}, err
		}
		x.Price++
		if rows[i][1], err = priceCells(v, x); err != nil {
			return nil, spent{}, err
		}
	}
	latencies := make([]float64, len(rows))
	failures := make([]error, workers)
	var next atomic.Int64
	var wg sync.WaitGroup
	begin, busy := clock.System{}.Now(), processorTime()
	for w := range workers {
		wg.Go(func() {
			for failures[w] == nil {
				i := int(next.Add(1)) - 1
				if i >= len(rows) {
					return
				}
				t := clock.System{}.Now()
				failures[w] = update(ctx, r, rows[i][0], rows[i][1])
				latencies[i] = float64(clock.Since(t).Nanoseconds()) / 1e3
			}
		})
	}
	wg.Wait()
	took := spent{clock.Since(begin), processorTime() - busy}
	slices.Sort(latencies)
	return latencies, took, errors.Join(failures...)
}

// update is one transaction.
func update(ctx context.Context, r *repo.Repo, old, changed row) error {
	tx, err := r.Begin(ctx, repo.DefaultBranch)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	ed, err := tx.Editor(ctx, "prices")
	if err != nil {
		return err
	}
	ok, err := ed.Update(ctx, old, changed)
	if err != nil {
		return err
	}
	if !ok {
		return errors.New("a row of the price list is not there")
	}
	return tx.Commit(ctx)
}
