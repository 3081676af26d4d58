package objecttest

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/object"
)

// Faulty is a store on a bad network: calls fail before they reach the store or after they were done, bodies are cut short or have a bit
// flipped, puts are delivered twice, lists are in another order. All failures are drawn from a seed.
type Faulty struct {
	object.Store
	// Of a thousand calls, how many fail.
	Rate int
	// Kill, unless 0, makes every call from that one on fail for good, as if the process had been cut off.
	Kill int64
	// Flip lets reads return wrong bytes without an error. Those of Get cannot be told by who reads, and are left alone.
	Flip bool

	mu    sync.Mutex
	rng   *rand.Rand
	calls atomic.Int64
}

// NewFaulty is a store that fails as the seed says.
func NewFaulty(s object.Store, seed uint64, rate int) *Faulty {
	return &Faulty{Store: s, Rate: rate, rng: rand.New(rand.NewPCG(seed, 1))}
}

// Calls is how many calls have come so far.
func (f *Faulty) Calls() int64 { return f.calls.Load() }

func (f *Faulty) draw(n int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rng.IntN(n)
}

// fault is the failure of a call: before it is done, or after.
func (f *Faulty) fault() (before, after error) {
	if n := f.calls.Add(1); f.Kill > 0 && n >= f.Kill {
		return errs.New(errs.Internal, "cut off: %w", errFault), nil
	}
	if f.draw(1000) >= f.Rate {
		return nil, nil
	}
	err := object.WireError(context.Background(), errFault)
	if f.draw(2) == 0 {
		return err, nil
	}
	return nil, err
}

// Get implements object.Store.
func (f *Faulty) Get(ctx context.Context, name string) ([]byte, object.Generation, error) {
	before, after := f.fault()
	if before != nil {
		return nil, "", before
	}
	data, g, err := f.Store.Get(ctx, name)
	if err == nil {
		err = after
	}
	return data, g, err
}

// GetRange implements object.Store.
func (f *Faulty) GetRange(ctx context.Context, name string, b []byte, off int64) error {
	before, after := f.fault()
	if before != nil {
		return before
	}
	if err := f.Store.GetRange(ctx, name, b, off); err != nil {
		return err
	}
	if after != nil {
		clear(b[len(b)/2:]) // a body that was cut short
	} else if f.Flip && len(b) > 0 && f.draw(1000) < f.Rate {
		b[f.draw(len(b))] ^= 1 << f.draw(8)
	}
	return after
}

// Put implements object.Store.
func (f *Faulty) Put(ctx context.Context, name string, body object.Body, on object.Condition) error {
	before, after := f.fault()
	if before != nil {
		return before
	}
	err := f.Store.Put(ctx, name, body, on)
	if err == nil && f.draw(1000) < f.Rate {
		if _, conditional := on.Wants(); conditional { // delivered again
			if e := f.Store.Put(ctx, name, body, on); !errs.Is(e, errs.Conflict) {
				return e
			}
		}
	}
	if err == nil {
		err = after
	}
	return err
}

// List implements object.Store.
func (f *Faulty) List(ctx context.Context, prefix string) ([]object.Info, error) {
	before, after := f.fault()
	if before != nil {
		return nil, before
	}
	out, err := f.Store.List(ctx, prefix)
	if err == nil {
		err = after
	}
	f.mu.Lock()
	f.rng.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	f.mu.Unlock()
	return out, err
}

// Settle implements object.Store.
func (f *Faulty) Settle(ctx context.Context, name string) error {
	before, after := f.fault()
	if before != nil {
		return before
	}
	err := f.Store.Settle(ctx, name)
	if err == nil {
		err = after
	}
	return err
}

// Stat implements object.Store.
func (f *Faulty) Stat(ctx context.Context, name string) (object.Info, error) {
	before, after := f.fault()
	if before != nil {
		return object.Info{}, before
	}
	in, err := f.Store.Stat(ctx, name)
	if err == nil {
		err = after
	}
	return in, err
}

// Delete implements object.Store.
func (f *Faulty) Delete(ctx context.Context, name string) error {
	before, after := f.fault()
	if before != nil {
		return before
	}
	err := f.Store.Delete(ctx, name)
	if err == nil {
		err = after
	}
	return err
}

// DeleteIf implements object.Store.
func (f *Faulty) DeleteIf(ctx context.Context, name string, g object.Generation) error {
	before, after := f.fault()
	if before != nil {
		return before
	}
	err := f.Store.DeleteIf(ctx, name, g)
	if err == nil {
		err = after
	}
	return err
}
