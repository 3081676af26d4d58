package diff

import (
	"context"
	"runtime"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/table"
)

// maxAhead bounds the comparisons that run ahead of a blame, and so the memory of what they have found.
const maxAhead = 4

// stepKeys is the keys of the rows that a commit has otherwise than its first parent, in batches as they are found.
type stepKeys struct {
	commit  *history.Commit
	name    string // of the table, in both
	batches chan keyBatch
	err     error // set before batches is closed
}

// keyBatch is keys one behind the other, with their ends.
type keyBatch struct {
	bytes []byte
	ends  []int
}

// keysPerBatch is the most keys of a batch.
const keysPerBatch = 512

// aheadOf compares commits with their first parents beside the one who blames them, from head back, for as long as the table keeps
// its name: comparing trees takes most of the time of a blame.
type aheadOf struct {
	steps  chan *stepKeys // newest first
	next   *stepKeys      // that was taken from steps and not wanted yet
	cancel context.CancelFunc
	done   chan struct{}
}

// lookAhead begins; the caller ends it with stop.
func (k *blamer) lookAhead(ctx context.Context, head *history.Commit, name string) *aheadOf {
	ctx, cancel := context.WithCancel(ctx)
	n := min(maxAhead, runtime.GOMAXPROCS(0))
	a := &aheadOf{steps: make(chan *stepKeys, n), cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(a.done)
		own := &blamer{r: k.r, opt: k.opt, tables: map[[2]string]*table.Table{}}
		running := make(chan struct{}, n)
		for c := head; c != nil; {
			s, p, run := own.prepare(ctx, c, name)
			if run == nil {
				break // the one who blames meets what is the matter itself
			}
			select {
			case running <- struct{}{}:
			case <-ctx.Done():
				c = nil
				continue
			}
			go func() {
				run()
				<-running
			}()
			a.steps <- s // has room for all that run
			c = p
		}
		close(a.steps)
		for range n { // waits for all
			running <- struct{}{}
		}
	}()
	return a
}

// prepare opens a comparison of a commit with its first parent; run is nil when there is none to be made.
func (k *blamer) prepare(ctx context.Context, c *history.Commit, name string) (s *stepKeys, parent *history.Commit, run func()) {
	if len(c.Parents) == 0 {
		return nil, nil, nil
	}
	p, err := history.GetCommit(ctx, k.r, c.Parents[0])
	if err != nil {
		return nil, nil, nil
	}
	t, err := k.table(ctx, c, name)
	if err != nil || t == nil {
		return nil, nil, nil
	}
	old, err := k.table(ctx, p, name)
	if err != nil || old == nil {
		return nil, nil, nil
	}
	s, run, err = k.compare(ctx, c, name, old, t)
	if err != nil || s == nil {
		return nil, nil, nil
	}
	return s, p, run
}

// compare opens the comparison of a table of a commit with the one of a parent, which run makes; s is nil when their rows have not
// the same keys.
func (k *blamer) compare(ctx context.Context, c *history.Commit, name string, old, t *table.Table) (s *stepKeys, run func(), err error) {
	pair, err := NewPair(k.r, old, t)
	if err != nil || !pair.Keyed() {
		return nil, nil, err
	}
	s = &stepKeys{commit: c, name: name, batches: make(chan keyBatch, 8)}
	return s, func() {
		defer close(s.batches)
		if pair.Same() {
			return
		}
		var b keyBatch
		send := func() error {
			select {
			case s.batches <- b:
				b = keyBatch{}
				return nil
			case <-ctx.Done():
				return errs.With(errs.Canceled, ctx.Err())
			}
		}
		err := pair.Each(ctx, k.opt, func(ch Change) error {
			if !ch.To.Valid() {
				return nil
			}
			if b.ends == nil {
				b.ends = make([]int, 0, keysPerBatch)
			}
			b.bytes = ch.To.AppendKey(b.bytes)
			b.ends = append(b.ends, len(b.bytes))
			if len(b.ends) < keysPerBatch {
				return nil
			}
			return send()
		})
		if err == nil && len(b.ends) > 0 {
			err = send()
		}
		s.err = err
	}, nil
}

// of is what was found out of a commit, under that name of the table; nil when it was not looked at. Commits come with falling heights.
func (a *aheadOf) of(c *history.Commit, name string) *stepKeys {
	for {
		if a.next == nil {
			s, ok := <-a.steps
			if !ok {
				return nil
			}
			a.next = s
		}
		s := a.next
		switch {
		case s.commit.ID == c.ID && s.name == name:
			a.next = nil
			return s
		case s.commit.ID != c.ID && s.commit.Height <= c.Height:
			return nil // its turn comes
		}
		a.next = nil
		for range s.batches { // nobody blames that commit
		}
	}
}

// each calls fn for the keys.
func (s *stepKeys) each(fn func(key []byte)) error {
	for b := range s.batches {
		at := 0
		for _, end := range b.ends {
			fn(b.bytes[at:end])
			at = end
		}
	}
	return s.err
}

// stop ends all that runs and waits for it.
func (a *aheadOf) stop() {
	a.cancel()
	if a.next != nil {
		for range a.next.batches {
		}
	}
	for s := range a.steps {
		for range s.batches {
		}
	}
	<-a.done
}
