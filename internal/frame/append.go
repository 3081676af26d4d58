package frame

import (
	"context"
	"errors"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// As many rows, or bytes, are written as edits of rows, which other transactions may make beside it; more as a table made anew.
const (
	fewRows  = 50_000
	fewBytes = 16 << 20
)

// rowList is the first rows of a frame, and perhaps a channel with the others.
type rowList struct {
	rows encoded
	more <-chan *unit // nil: there are none
	back chan<- struct{}
	err  func() error
}

func (r *rowList) add(u *unit) {
	r.rows.data = append(r.rows.data, u.out.data...)
	r.rows.spans = append(r.rows.spans, u.out.spans...)
}

func (r *rowList) many(few int) bool { return len(r.rows.spans) > few || len(r.rows.data) > fewBytes }

// each gives the first rows.
func (r *rowList) each(fn func(key, row []byte, at uint64) error) error {
	u := unit{out: r.rows}
	return u.each(fn)
}

// rest gives the other rows.
func (r *rowList) rest(ctx context.Context, fn func(key, row []byte, at uint64) error) error {
	if r.more == nil {
		return nil
	}
	for u := range r.more {
		if err := u.each(fn); err != nil {
			return err
		}
		select {
		case r.back <- struct{}{}:
		case <-ctx.Done():
			return errs.With(errs.Canceled, ctx.Err())
		}
	}
	return r.err()
}

// append adds the rows to the table: few as edits, many by a loader.
func (l *load) append(ctx context.Context) error {
	ordinal, err := l.nextOrdinal(ctx)
	if err != nil {
		return err
	}
	few, finish, err := l.begin(ctx, ordinal)
	if err != nil {
		return err
	}
	if few.more == nil {
		if err := finish(); err != nil {
			return err
		}
		return l.insert(ctx, few)
	}
	base, err := l.to.FoldTable(ctx, l.name)
	if err == nil {
		err = l.into(ctx, base, few)
	}
	if e := finish(); err == nil || errors.Is(err, context.Canceled) {
		err = e
	}
	return err
}

// begin reads the first rows of the frame. When there are many, those behind them come by a channel, until finish.
func (l *load) begin(ctx context.Context, ordinal int64) (first *rowList, finish func() error, err error) {
	ctx, cancel := context.WithCancel(ctx)
	first = &rowList{}
	more, back := make(chan *unit), make(chan struct{})
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() {
		streaming := false
		err := l.encode(ctx, ordinal, func(u *unit) error {
			if !streaming {
				first.add(u)
				if first.many(l.opt.Few) {
					streaming = true
					close(ready)
				}
				return nil
			}
			select {
			case more <- u:
			case <-ctx.Done():
				return ctx.Err()
			}
			select {
			case <-back:
			case <-ctx.Done():
				return ctx.Err()
			}
			return nil
		})
		done <- err
		close(more)
	}()
	var ended error
	hasEnded := false
	wait := func() error {
		if !hasEnded {
			ended, hasEnded = <-done, true
		}
		return ended
	}
	finish = func() error {
		cancel()
		return wait()
	}
	select {
	case <-ready:
		first.more, first.back, first.err = more, back, wait
		return first, finish, nil
	case ended = <-done:
		hasEnded = true
		if ended != nil {
			cancel()
			return nil, nil, ended
		}
		return first, finish, nil
	}
}

// nextOrdinal is the ordinal of the first row that is added to a keyless table.
func (l *load) nextOrdinal(ctx context.Context) (int64, error) {
	if !l.schema.Keyless() {
		return 0, nil
	}
	e, err := l.to.Editor(ctx, l.name)
	if err != nil {
		return 0, err
	}
	return e.NextOrdinal(ctx)
}

// insert adds few rows.
func (l *load) insert(ctx context.Context, rows *rowList) error {
	e, err := l.to.Editor(ctx, l.name)
	if err != nil {
		return err
	}
	cells := make([]value.Cell, len(l.template))
	return rows.each(func(_, row []byte, at uint64) error {
		if err := value.DecodeTuple(row, l.schema.Primary.Phys, cells); err != nil {
			return err
		}
		if err := e.Insert(ctx, cells); err != nil {
			return l.taken(err, row, at)
		}
		l.res.Rows++
		l.res.Inserted++
		return nil
	})
}

// taken names the row of the frame in an error about a key that another row has.
func (l *load) taken(err error, row []byte, at uint64) error {
	var d *table.DuplicateKeyError
	if !errors.As(err, &d) {
		return err
	}
	if d.Index == "PRIMARY" {
		return &CellError{Column: keyColumn(l.schema), Row: at,
			Err: errs.New(errs.DuplicateKey, "a row with the primary key %s is there already", table.DescribeKey(l.schema, row))}
	}
	return &CellError{Column: d.Index, Row: at, Err: err}
}
