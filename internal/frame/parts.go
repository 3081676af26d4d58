package frame

import (
	"context"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"golang.org/x/sync/errgroup"

	"github.com/stemmadb/stemma/internal/errs"
)

// PartRows is how many rows a part of a scan has, as a rule: few enough that what is gathered stays in a processor's cache until it is
// written elsewhere.
const PartRows = 16 << 10

// Part is rows that follow each other in a scan.
type Part struct {
	First uint64 // place of the first one among the rows of the scan
	Batch arrow.RecordBatch

	turns *turns
	turn  uint64
	last  bool // of its turn
}

// InTurn calls fn when it has been called for all parts that come before, and once for each part. An error is that of another part, or of
// ctx.
func (p *Part) InTurn(ctx context.Context, fn func() error) error {
	if err := p.turns.wait(ctx, p.turn); err != nil {
		return err
	}
	if err := fn(); err != nil {
		return err
	}
	if p.last {
		p.turns.pass()
	}
	return nil
}

// turns lets goroutines go ahead one after the other.
type turns struct {
	mu   sync.Mutex
	cond *sync.Cond
	now  uint64
}

func newTurns() *turns {
	t := &turns{}
	t.cond = sync.NewCond(&t.mu)
	return t
}

// wait waits for a turn, or until ctx is done.
func (t *turns) wait(ctx context.Context, turn uint64) error {
	t.mu.Lock()
	here := t.now == turn
	t.mu.Unlock()
	if here {
		return nil
	}
	stop := context.AfterFunc(ctx, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.cond.Broadcast()
	})
	defer stop()
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.now != turn {
		if err := ctx.Err(); err != nil {
			return errs.With(errs.Canceled, err)
		}
		t.cond.Wait()
	}
	return nil
}

// pass ends the present turn.
func (t *turns) pass() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now++
	t.cond.Broadcast()
}

// Parts reads the rows of a scan that has given none yet, in parts that come in no certain order, from several goroutines at once. fn calls
// InTurn of each part; the batch is released behind it. The first error ends all.
//
// The rows of a view without edits are found by their place, each goroutine gathering others; those of one with edits are gathered one
// part after the other.
func (s *Scan) Parts(ctx context.Context, workers int, fn func(ctx context.Context, p *Part) error) error {
	t := newTurns()
	g, ctx := errgroup.WithContext(ctx)
	if s.edited() {
		s.rows = PartRows
		var mu sync.Mutex
		var turn, first uint64
		next := func() (*Part, error) {
			mu.Lock()
			defer mu.Unlock()
			b, err := s.Next(ctx)
			if b == nil {
				return nil, err
			}
			p := &Part{First: first, Batch: b, turns: t, turn: turn, last: true}
			turn++
			first += uint64(b.NumRows())
			return p, nil
		}
		for range workers {
			g.Go(func() error { return eachPart(ctx, next, fn) })
		}
		return g.Wait()
	}
	from, rows := s.first, s.left
	var mu sync.Mutex
	var taken uint64
	for range min(uint64(workers), (rows+PartRows-1)/PartRows) {
		g.Go(func() error {
			opt := s.opt
			opt.BatchRows = PartRows
			own, err := NewScan(ctx, s.view, opt)
			if err != nil {
				return err
			}
			defer own.Close()
			var turn uint64
			return eachPart(ctx, func() (*Part, error) {
				if own.left == 0 || turn == 0 {
					mu.Lock()
					k := taken
					taken++
					mu.Unlock()
					if k*PartRows >= rows {
						return nil, nil
					}
					turn = k + 1
					own.begin(&Range{From: from + k*PartRows, To: from + min((k+1)*PartRows, rows)})
				}
				first := own.first
				b, err := own.Next(ctx)
				if b == nil {
					return nil, err
				}
				return &Part{First: first - from, Batch: b, turns: t, turn: turn - 1, last: own.left == 0}, nil
			}, fn)
		})
	}
	return g.Wait()
}

// eachPart calls fn for the parts that next gives, until there are no more.
func eachPart(ctx context.Context, next func() (*Part, error), fn func(context.Context, *Part) error) error {
	for {
		p, err := next()
		if p == nil || err != nil {
			return err
		}
		err = fn(ctx, p)
		p.Batch.Release()
		if err != nil {
			return err
		}
	}
}
