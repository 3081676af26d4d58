package merge

import (
	"bytes"
	"context"

	"github.com/stemmadb/stemma/internal/tree"
)

// aheadEdits is the most edits of a batch that is read ahead.
const aheadEdits = 64

// ahead reads an EditSource beside the one who takes its edits: comparing trees and writing them keep two processors busy.
type ahead struct {
	batches chan []tree.Edit
	err     error // set before batches is closed
	now     []tree.Edit
	cancel  context.CancelFunc
}

// readAhead begins to read src, which nobody else may use until stop has been called.
func readAhead(ctx context.Context, src tree.EditSource) *ahead {
	ctx, cancel := context.WithCancel(ctx)
	a := &ahead{batches: make(chan []tree.Edit, 4), cancel: cancel}
	go func() {
		defer close(a.batches)
		var batch []tree.Edit
		for {
			e, ok, err := src.Next(ctx)
			if err != nil {
				a.err = err
				return
			}
			if ok {
				c := tree.Edit{Key: bytes.Clone(e.Key)}
				if e.Row != nil {
					c.Row = append([]byte{}, e.Row...)
				}
				batch = append(batch, c)
			}
			if ok && len(batch) < aheadEdits {
				continue
			}
			select {
			case a.batches <- batch:
			case <-ctx.Done():
				a.err = ctx.Err()
				return
			}
			if !ok {
				return
			}
			batch = nil
		}
	}()
	return a
}

// Next implements tree.EditSource.
func (a *ahead) Next(context.Context) (tree.Edit, bool, error) {
	for len(a.now) == 0 {
		b, ok := <-a.batches
		if !ok {
			return tree.Edit{}, false, a.err
		}
		a.now = b
	}
	e := a.now[0]
	a.now = a.now[1:]
	return e, true, nil
}

// stop ends the reading and waits for its end.
func (a *ahead) stop() {
	a.cancel()
	for range a.batches {
	}
}
