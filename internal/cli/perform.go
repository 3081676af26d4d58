package cli

import (
	"cmp"
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/op"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/server/owner"
	"github.com/stemmadb/stemma/internal/vfs"
)

// How long a process tries to reach a database that is locked, whose owner does not answer because it is starting or ending, and how
// long it pauses between attempts at first and at most.
const (
	ownerPatience = 10 * time.Second
	ownerPause    = 2 * time.Millisecond
	ownerPauseMax = 200 * time.Millisecond
)

// perform runs a verb where it belongs: one that only reads beside whoever owns the database, one that writes as its owner, or by
// the owner when there is one. What it returns must be closed when the result has been read.
func (p *Program) perform(ctx context.Context, spec op.Spec, verb op.Op, scope *op.Scope) (*op.Result, func() error, error) {
	none := func() error { return nil }
	scope.FS, scope.Ask = vfs.OS{}, p.askOf
	scope.Query = func(ctx context.Context, query string) iter.Seq2[[]any, error] { return p.ask(ctx, scope, query) }
	switch {
	case p.Open != nil:
		closeFn, err := p.Open(ctx, spec, scope)
		if err != nil {
			return nil, none, err
		}
		if closeFn == nil {
			closeFn = none
		}
		r, err := op.Run(ctx, verb, scope)
		return r, closeFn, err
	case spec.Needs == op.NeedServer:
		r, err := p.onServer(ctx, spec, verb, scope)
		return r, none, err
	case closed(verb):
		r, err := p.performClosed(ctx, verb, scope)
		return r, none, err
	case spec.Needs != op.NeedDatabase || anywhere(verb):
		r, err := op.Run(ctx, verb, scope)
		return r, none, err
	case spec.Reads(verb):
		db, err := repo.Open(ctx, scope.FS, scope.Dir, repo.Options{ReadOnly: true, Clock: scope.Clock})
		if err != nil {
			return nil, none, err
		}
		scope.Repo = db
		r, err := op.Run(ctx, verb, scope)
		return r, func() error { return db.Close(context.WithoutCancel(ctx)) }, err
	}
	var r *op.Result
	closeFn := none
	var input forwardedInput
	defer input.remove()
	err := p.owning(ctx, func() error {
		h, err := p.hold(ctx, scope.Dir)
		if errs.Is(err, errs.Denied) || errs.Is(err, errs.ReadOnly) {
			return errs.New(errs.CodeOf(err), "%s: this user may read the database in %s, but not write it: %w", spec.Name, scope.Dir, err)
		}
		if err != nil {
			return err
		}
		closeFn = func() error { return h.close(ctx) }
		scope.Repo, scope.Evaluate = h.repo, h.evaluate
		r, err = op.Run(ctx, verb, scope)
		return settled{err}
	}, func() (err error) {
		if spec.Bulk {
			if r, err = p.beside(ctx, verb, scope, &input); !errors.Is(err, repo.ErrOwnerOnly) {
				return err
			}
		}
		if err := input.copy(ctx, verb, scope.In, ""); err != nil {
			return err
		}
		r, err = p.forward(ctx, spec, verb, scope)
		return err
	})
	return r, closeFn, err
}

// closed tells whether a verb works on a database that is not open.
func closed(verb op.Op) bool {
	c, ok := verb.(op.Closed)
	return ok && c.Closed()
}

// anywhere tells whether a verb does without a database.
func anywhere(verb op.Op) bool {
	a, ok := verb.(op.Anywhere)
	return ok && a.Anywhere()
}

// beside does the work of a verb in this process, and lets the owner commit it. The error is repo.ErrOwnerOnly when that cannot be.
func (p *Program) beside(ctx context.Context, verb op.Op, scope *op.Scope, input *forwardedInput) (r *op.Result, err error) {
	dir, err := repo.Locate(scope.FS, scope.Dir)
	if err != nil {
		return nil, err
	}
	db, err := repo.OpenBeside(ctx, scope.FS, scope.Dir, repo.Options{Clock: scope.Clock}, func(ctx context.Context, h *repo.Handover) error {
		return p.owning(ctx, func() error {
			own, err := p.hold(ctx, scope.Dir)
			if err != nil {
				return err
			}
			return settled{errors.Join(own.repo.Adopt(ctx, h), own.close(ctx))}
		}, func() error { return owner.Adopt(ctx, dir, h) })
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close(context.WithoutCancel(ctx))) }()
	// The input is copied where it goes with what a dead process leaves. If the owner has to do it all it needs another copy.
	if err := input.copy(ctx, verb, scope.In, db.TempDir()); err != nil {
		return nil, err
	}
	mine := *scope
	mine.Repo = db
	if r, err = op.Run(ctx, verb, &mine); err == nil && r != nil {
		err = r.Collect()
	}
	if errors.Is(err, repo.ErrOwnerOnly) {
		if e := input.keep(); e != nil {
			return nil, e
		}
	}
	return r, err
}

// ask answers a query in a session of its own.
func (p *Program) ask(ctx context.Context, scope *op.Scope, query string) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		s, err := p.openSQL(ctx, scope, "")
		if err != nil {
			yield(nil, err)
			return
		}
		more := true
		a, err := s.query(ctx, query)
		if err == nil {
			for row, err := range a.all() {
				if err != nil {
					err = errors.New(sqlMessage(err))
				}
				if more = yield(row, err); !more || err != nil {
					more = false
					break
				}
			}
			err = a.close()
		} else {
			err = errors.New(sqlMessage(err))
		}
		if err = errors.Join(err, s.end(ctx)); err != nil && more {
			yield(nil, err)
		}
	}
}

// settled is the outcome of work that has been done, whatever class its error has.
type settled struct{ error }

// owning lets mine work as the owner of a database. When that is locked, theirs asks the owner. An owner that does not answer has
// ended, or has not begun to answer: then both are tried again for a while. mine wraps in settled what is no failure to become the
// owner.
func (p *Program) owning(ctx context.Context, mine, theirs func() error) error {
	patience, cancel := context.WithTimeout(ctx, cmp.Or(p.patience, ownerPatience))
	defer cancel()
	for pause := ownerPause; ; pause = min(2*pause, ownerPauseMax) {
		err := mine()
		if s, ok := err.(settled); ok {
			return s.error
		}
		if !errs.Is(err, errs.Locked) {
			return err
		}
		asked := theirs()
		if !errors.Is(asked, owner.ErrNoOwner) {
			return asked
		}
		select {
		case <-time.After(pause):
		case <-patience.Done():
			if ctx.Err() != nil {
				return errs.With(errs.Canceled, ctx.Err())
			}
			return errs.New(errs.Locked, "the database is in use by another process, which does not answer: %w", err)
		}
	}
}

// forward lets the owner of the scope's database carry out a verb.
func (p *Program) forward(ctx context.Context, spec op.Spec, verb op.Op, scope *op.Scope) (*op.Result, error) {
	params, err := op.EncodeJSON(spec, verb)
	if err != nil {
		return nil, err
	}
	dir, err := repo.Locate(scope.FS, scope.Dir)
	if err != nil {
		return nil, err
	}
	return owner.Do(ctx, dir, &owner.Request{
		Op: spec.Name, Params: params, Author: scope.Author, Branch: scope.Branch, Dir: cmp.Or(scope.Base, scope.Dir), Dolt: scope.Dolt,
	}, scope.Progress)
}

// forwardedInput is a copy of standard input for the owner of the database to read.
type forwardedInput struct {
	name string
	in   op.InputReader
}

// copy copies standard input to a temporary file in dir, "" for the system's, if the verb reads it.
func (f *forwardedInput) copy(ctx context.Context, verb op.Op, in io.Reader, dir string) error {
	to, ok := verb.(op.InputReader)
	if !ok || !to.ReadsInput() || in == nil {
		return nil
	}
	name, err := copyInput(ctx, in, dir)
	if err != nil {
		return err
	}
	f.name, f.in = name, to
	to.TakeInput(name)
	return nil
}

// keep moves the copy out of a directory that is about to go.
func (f *forwardedInput) keep() error {
	if f.name == "" {
		return nil
	}
	from, err := os.Open(f.name)
	if err != nil {
		return err
	}
	defer from.Close()
	name, err := copyInput(context.Background(), from, "")
	if err != nil {
		return err
	}
	f.name = name
	f.in.TakeInput(name)
	return nil
}

// remove removes the copy. What is left of it is the system's to clear away.
func (f *forwardedInput) remove() {
	if f.name != "" {
		os.Remove(f.name)
	}
}

// copyInput copies standard input to a temporary file in dir, "" for the system's.
func copyInput(ctx context.Context, in io.Reader, dir string) (name string, err error) {
	fail := func(err error) error { return errs.New(errs.CodeOf(err), "copy standard input: %w", err) }
	f, err := os.CreateTemp(dir, "stemma-input-")
	if err != nil {
		return "", fail(err)
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if _, err := io.Copy(f, reading{ctx, in}); err != nil {
		return "", fail(err)
	}
	return f.Name(), nil
}

// reading reads until the context is done.
type reading struct {
	ctx context.Context
	in  io.Reader
}

// Read implements io.Reader.
func (r reading) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, errs.With(errs.Canceled, err)
	}
	return r.in.Read(p)
}
