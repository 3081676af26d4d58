package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

var signature = history.Signature{Name: "bench", Email: "bench@localhost"}

// benchStore reads and edits the price list in this process, below SQL, on one core.
func benchStore(ctx context.Context, e *env) (err error) {
	dir, err := e.own().base(ctx, e)
	if err != nil {
		return err
	}
	if dir, err = e.own().copyOf(dir, "store"); err != nil {
		return err
	}
	r, err := openRepo(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close(ctx)) }()
	v, err := workingTable(ctx, r, "prices")
	if err != nil {
		return err
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	if _, err := scanBatches(ctx, v, false); err != nil { // warms the caches
		return err
	}
	if err := e.storeScan(ctx, v); err != nil {
		return err
	}
	if err := e.storeSum(ctx, v); err != nil {
		return err
	}
	if err := e.storeGet(ctx, v); err != nil {
		return err
	}
	return e.storeEdit(ctx, r, v)
}

func (e *env) storeScan(ctx context.Context, v *table.View) error {
	var rates []float64
	for range e.count {
		var rows int64
		t, err := seconds(func() (err error) {
			rows, err = scanBatches(ctx, v, false)
			return err
		})
		if err != nil {
			return err
		}
		rates = append(rates, float64(rows)/t/1e6)
	}
	e.record("scan of all columns to batches, one core", "Mrows/s", atLeast(38), rates...)
	return nil
}

func (e *env) storeSum(ctx context.Context, v *table.View) error {
	column := v.Schema().ColumnIndex("price")
	var rates []float64
	for range e.count {
		var sum float64
		rows := 0
		t, err := seconds(func() error {
			s := v.Scan(table.ScanOptions{Rows: table.RowsTree})
			for {
				b, ok, err := s.Next(ctx)
				if err != nil || !ok {
					return err
				}
				x, n, err := b.Page.SumFloats(ctx, column, b.Lo, b.Hi)
				if err != nil {
					return err
				}
				sum += x
				rows += n
			}
		})
		if err != nil {
			return err
		}
		if sum <= 0 {
			return fmt.Errorf("the sum of prices is %v", sum)
		}
		rates = append(rates, float64(rows)/t/1e6)
	}
	e.record("sum of one column, one core", "Mrows/s", atLeast(300), rates...)
	return nil
}

// storeGet reads single rows by key.
func (e *env) storeGet(ctx context.Context, v *table.View) error {
	var keys [][]byte
	l := v.Layout(table.RowsTree)
	for _, p := range choose(e.places(), 200_000, 3) {
		cells, err := priceCells(v, e.prices.At(p))
		if err != nil {
			return err
		}
		keys = append(keys, l.AppendKey(nil, cells))
	}
	cells := make([]value.Cell, len(l.Phys))
	var times []float64
	for range e.count {
		t, err := seconds(func() error {
			for _, k := range keys {
				ok, err := v.Get(ctx, k, cells)
				if err != nil {
					return err
				}
				if !ok {
					return errors.New("a row of the price list is not there")
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		times = append(times, t/float64(len(keys))*1e6)
	}
	e.record("point get of a random row", "us", atMost(2.5), times...)
	return nil
}

// storeEdit changes the price of single random rows, and folds each edit into the tree at once.
func (e *env) storeEdit(ctx context.Context, r *repo.Repo, v *table.View) error {
	const edits = 2000
	places := choose(e.places(), edits*e.count, 5)
	var times, sizes []float64
	for k := range e.count {
		b := r.Store().NewBatch()
		own := places[k*len(places)/e.count : (k+1)*len(places)/e.count]
		rows := make([][2][]value.Cell, len(own))
		for i, p := range own {
			row := e.prices.At(p)
			old, err := priceCells(v, row)
			if err != nil {
				return err
			}
			row.Price++
			changed, err := priceCells(v, row)
			if err != nil {
				return err
			}
			rows[i] = [2][]value.Cell{old, changed}
		}
		tab := v.Table
		t, err := seconds(func() error {
			for _, row := range rows {
				ed := table.NewEditor(b, table.NewView(b, tab, nil))
				ok, err := ed.Update(ctx, row[0], row[1])
				if err != nil {
					return err
				}
				if !ok {
					return errors.New("a row of the price list is not there")
				}
				if tab, err = ed.View().Fold(ctx, b); err != nil {
					return err
				}
			}
			return nil
		})
		size := b.Len()
		if err := errors.Join(err, b.Close()); err != nil {
			return err
		}
		times, sizes = append(times, t/float64(len(rows))*1e6), append(sizes, float64(size)/float64(len(rows)))
	}
	e.record("one-row edit folded into the tree", "us", atMost(60), times...)
	e.record("one-row edit folded into the tree: new chunks", "B", nil, sizes...)
	return nil
}
