package object

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"time"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/errs"
)

// RetryOptions say how patient a store is. The zero value is for servers somewhere on a network.
type RetryOptions struct {
	Tries   int           // at most, for one call; 0 is 6
	Pause   time.Duration // before the second try, doubled for each further one, up to half of it less at random; 0 is 200 ms
	Timeout time.Duration // of one try, beside what its bytes may take at slowestWire; 0 is two minutes
	// First is the Timeout of tries of which no bytes are known while the server has not answered anything yet; 0 is 20 s. Of such that are not answered in
	// that time there are firstTries, since a server that takes connections and says nothing is another one than is meant, or hangs.
	First time.Duration
	// Told, if not nil, is told of a try that was not answered in time and is made again.
	Told func(text string)
}

// firstTries is how often a server that has never answered is asked before it counts as one that does not.
const firstTries = 3

// slowestWire is how many bytes a second must come through for a try not to be given up.
const slowestWire = 16 << 10

// Retry is a store that tries again what failed with class Unavailable, and whose tries end after a time.
func Retry(s Store, opt RetryOptions) Store {
	if opt.Tries == 0 {
		opt.Tries = 6
	}
	if opt.Pause == 0 {
		opt.Pause = 200 * time.Millisecond
	}
	if opt.Timeout == 0 {
		opt.Timeout = 2 * time.Minute
	}
	if opt.First == 0 {
		opt.First = 20 * time.Second
	}
	return &retry{Store: s, opt: opt}
}

// Once is the store without the tries of Retry, for who tries in a way of their own.
func Once(s Store) Store {
	if r, ok := s.(*retry); ok {
		return r.Store
	}
	return s
}

type retry struct {
	Store
	opt      RetryOptions
	answered atomic.Bool // once
}

// do runs fn, which moves that many bytes, until it succeeds, fails for good or has been tried often enough. try counts from 0.
func (r *retry) do(ctx context.Context, size int64, fn func(ctx context.Context, try int) error) error {
	pause, began := r.opt.Pause, clock.System{}.Now()
	for try := 0; ; try++ {
		patience, most := r.opt.Timeout+time.Duration(size/slowestWire)*time.Second, r.opt.Tries
		first := size == 0 && !r.answered.Load()
		if first {
			patience = min(patience, r.opt.First)
		}
		one, cancel := context.WithTimeout(ctx, patience)
		err := fn(one, try)
		late := one.Err() != nil && ctx.Err() == nil
		cancel()
		var wire net.Error
		switch {
		case err == nil:
			r.answered.Store(true)
			return nil
		case ctx.Err() != nil:
			return errs.With(errs.Canceled, err)
		case late:
			err = errs.New(errs.Unavailable, "no answer within %s: %w", patience, err)
		case errors.As(err, &wire) && wire.Timeout():
			late = true
		case !errs.Is(err, errs.Unavailable) || !Unanswered(err):
			r.answered.Store(true)
		}
		if late && first {
			most = min(most, firstTries)
		}
		switch {
		case !errs.Is(err, errs.Unavailable):
			return err
		case try+1 >= most && try > 0:
			return errs.New(errs.Unavailable, "%w (tried %d times in %s)", err, try+1, clock.Since(began).Round(time.Second))
		case try+1 >= most:
			return err
		case late && r.opt.Told != nil:
			r.opt.Told(fmt.Sprintf("%s does not answer since %s; trying again (%d of %d)", r.URL(), clock.Since(began).Round(time.Second), try+2, most))
		}
		t := time.NewTimer(pause/2 + rand.N(pause/2+1))
		select {
		case <-ctx.Done():
			t.Stop()
			return errs.With(errs.Canceled, err)
		case <-t.C:
		}
		pause *= 2
	}
}

// Get implements Store.
func (r *retry) Get(ctx context.Context, name string) (data []byte, g Generation, err error) {
	err = r.do(ctx, 0, func(ctx context.Context, _ int) (err error) {
		data, g, err = r.Store.Get(ctx, name)
		return err
	})
	return data, g, err
}

// GetRange implements Store.
func (r *retry) GetRange(ctx context.Context, name string, b []byte, off int64) error {
	return r.do(ctx, int64(len(b)), func(ctx context.Context, _ int) error { return r.Store.GetRange(ctx, name, b, off) })
}

// Put implements Store. A put on a condition that fails in a way that leaves open whether it was done, and then finds that the condition
// does not hold, has been done when the object is what was put.
func (r *retry) Put(ctx context.Context, name string, body Body, on Condition) error {
	return r.do(ctx, body.Size(), func(ctx context.Context, try int) error {
		err := r.Store.Put(ctx, name, body, on)
		if try == 0 || !errs.Is(err, errs.Conflict) {
			return err
		}
		same, e := r.holds(ctx, name, body)
		switch {
		case e != nil:
			return e
		case same:
			return nil
		}
		return err
	})
}

// holds tells whether an object has the body's bytes.
func (r *retry) holds(ctx context.Context, name string, body Body) (bool, error) {
	in, err := r.Stat(ctx, name)
	if err != nil || in.Size != body.Size() {
		return false, err
	}
	const block = 1 << 20
	if body.Size() <= block {
		have, _, err := r.Get(ctx, name)
		if err != nil {
			return false, err
		}
		want, err := ReadBody(body)
		return bytes.Equal(have, want), err
	}
	for off := int64(0); off < body.Size(); off += block {
		a := make([]byte, min(block, body.Size()-off))
		b := make([]byte, len(a))
		if n, err := body.ReadAt(a, off); n < len(a) {
			return false, err
		}
		if err := r.GetRange(ctx, name, b, off); err != nil || !bytes.Equal(a, b) {
			return false, err
		}
	}
	return true, nil
}

// List implements Store.
func (r *retry) List(ctx context.Context, prefix string) (out []Info, err error) {
	err = r.do(ctx, 0, func(ctx context.Context, _ int) (err error) {
		out, err = r.Store.List(ctx, prefix)
		return err
	})
	return out, err
}

// ListSome implements SomeLister.
func (r *retry) ListSome(ctx context.Context, prefix string, most int) (out []Info, err error) {
	err = r.do(ctx, 0, func(ctx context.Context, _ int) (err error) {
		out, err = ListSome(ctx, r.Store, prefix, most)
		return err
	})
	return out, err
}

// Settle implements Store.
func (r *retry) Settle(ctx context.Context, name string) error {
	return r.do(ctx, 0, func(ctx context.Context, _ int) error { return r.Store.Settle(ctx, name) })
}

// Stat implements Store.
func (r *retry) Stat(ctx context.Context, name string) (in Info, err error) {
	err = r.do(ctx, 0, func(ctx context.Context, _ int) (err error) {
		in, err = r.Store.Stat(ctx, name)
		return err
	})
	return in, err
}

// Delete implements Store.
func (r *retry) Delete(ctx context.Context, name string) error {
	return r.do(ctx, 0, func(ctx context.Context, _ int) error { return r.Store.Delete(ctx, name) })
}

// DeleteIf implements Store. One that fails in a way that leaves open whether it was done, and then finds no object, has been done.
func (r *retry) DeleteIf(ctx context.Context, name string, g Generation) error {
	return r.do(ctx, 0, func(ctx context.Context, try int) error {
		err := r.Store.DeleteIf(ctx, name, g)
		if try == 0 || !errs.Is(err, errs.Conflict) {
			return err
		}
		if _, e := r.Store.Stat(ctx, name); errs.Is(e, errs.NotFound) {
			return nil
		} else if e != nil {
			return e
		}
		return err
	})
}
