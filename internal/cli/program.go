package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/op"
	"github.com/stemmadb/stemma/internal/remote"
)

// Program is one invocation of the command line.
type Program struct {
	Args    []string            // as the operating system gave them; the first is the program's own name
	In      io.Reader           // standard input
	Out     io.Writer           // standard output: answers
	Err     io.Writer           // standard error: messages, progress
	Env     func(string) string // the environment
	Dir     string              // the working directory
	Clock   clock.Clock         // the time
	Version string              // of this build

	// Specs are the commands.
	Specs []op.Spec
	// Open puts what the verb needs into its scope, such as the database of scope.Dir, and returns what closes it again. It is called
	// for every verb, after the flags have been read. Nil opens the database of the directory, or has its owner carry out the verb.
	Open func(ctx context.Context, spec op.Spec, scope *op.Scope) (closeFn func() error, err error)

	name    string // "stemma" or "dolt"
	dir     string // where the verb works
	base    string // where relative names of files begin when that is not dir
	globals globals
	status  int

	patience  time.Duration          // how long to wait for an owner that does not answer; 0 is ownerPatience
	interrupt atomic.Pointer[func()] // what an interrupt does instead of cancelling everything
}

// Main runs p, of which Version, Specs and the hooks are set, as the program of this process and returns its exit status. The first
// interrupt or termination signal cancels the work, the second ends the process. While there is something that can be interrupted
// alone (see interruptible), interrupts do only that.
func Main(p *Program) int {
	log.SetOutput(wireLog{os.Stderr})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		for s := range signals {
			if interrupt := p.interrupt.Load(); s == os.Interrupt && interrupt != nil {
				(*interrupt)()
				continue
			}
			cancel()
			signal.Stop(signals) // gives the signals back their usual effect
			return
		}
	}()
	dir, err := os.Getwd()
	if err != nil {
		fmt.Fprintf(os.Stderr, "error: find the working directory: %v\n", err)
		return exitStatus(err, false)
	}
	p.Args, p.In, p.Out, p.Err, p.Env, p.Dir, p.Clock = os.Args, os.Stdin, os.Stdout, os.Stderr, os.Getenv, dir, clock.System{}
	remote.Register()
	return p.Run(ctx)
}

// interruptible makes interrupts call fn until the function that it returns is called.
func (p *Program) interruptible(fn func()) (restore func()) {
	old := p.interrupt.Swap(&fn)
	return func() { p.interrupt.Store(old) }
}

// Run does what the arguments ask for and returns the exit status.
func (p *Program) Run(ctx context.Context) int {
	p.name = "stemma"
	if len(p.Args) > 0 {
		base := strings.TrimSuffix(strings.ToLower(filepath.Base(p.Args[0])), ".exe")
		if base == "dolt" {
			p.name = base
		}
	}
	err := p.run(ctx)
	if err == nil {
		if p.dolt() && p.status > 1 {
			return 1
		}
		return p.status
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = errs.New(errs.Canceled, "interrupted")
	}
	p.report(err)
	if p.Env(envErrorClass) == "1" {
		fmt.Fprintf(p.Err, "%s%s\n", classWord, errs.CodeOf(err))
	}
	return exitStatus(err, p.dolt())
}

func (p *Program) run(ctx context.Context) error {
	params, err := p.globalParams(true)
	if err != nil {
		return err
	}
	var argv []string
	if len(p.Args) > 1 {
		argv = p.Args[1:]
	}
	var asked []string // the word by which the shell asks for completions
	if len(argv) > 0 && (argv[0] == cobra.ShellCompRequestCmd || argv[0] == cobra.ShellCompNoDescRequestCmd) {
		asked, argv = argv[:1], argv[1:]
	}
	if len(asked) == 0 || len(argv) > 1 { // a lone flag is still being typed
		if argv, err = op.ParseLeading(p.name, argv, op.Target{Params: params, Dest: &p.globals}); err != nil {
			return err
		}
	}
	if p.dir = p.Dir; !isURL(p.globals.Dir) {
		p.dir = absolute(p.Dir, p.globals.Dir)
	}
	switch {
	case len(asked) > 0:
		argv = append(asked, argv...)
	case p.globals.Help:
		argv = append([]string{"help"}, argv...)
	case p.globals.Show:
		argv = []string{"version"}
	}
	root := p.tree()
	root.SetArgs(argv)
	return root.ExecuteContext(ctx)
}

// dolt tells whether the program was called by Dolt's name.
func (p *Program) dolt() bool { return p.name == "dolt" }

// report writes an error to standard error. Some messages begin with a word of their own, which clients of SQL are used to.
func (p *Program) report(err error) {
	message := err.Error()
	for _, word := range []string{"fatal: ", "error: "} {
		message = strings.TrimPrefix(message, word)
	}
	fmt.Fprintf(p.Err, "error: %s\n", message)
}

// exec runs one verb.
func (p *Program) exec(ctx context.Context, spec op.Spec, argv []string) (err error) {
	params, err := p.globalParams(false)
	if err != nil {
		return err
	}
	verb := spec.New()
	// A flag behind the verb may give the directory or ask for help, so these are looked at again.
	if err := op.ParseArgs(spec.Name, argv, op.Target{Params: spec.Params, Dest: verb}, op.Target{Params: params, Dest: &p.globals}); err != nil {
		if misplaced := p.leading(spec, argv); misplaced != nil {
			return misplaced
		}
		return withUsage(err, p.name, spec)
	}
	if p.globals.Help {
		return p.page(spec)
	}
	if err := spec.Check(verb); err != nil {
		return withUsage(err, p.name, spec)
	}
	if err := p.locate(ctx, spec, verb); err != nil {
		return err
	}
	if err := p.aim(spec, verb); err != nil {
		return err
	}
	scope, hint, err := p.scope()
	if err != nil {
		return err
	}
	if spec.Needs == op.NeedDatabase && scope.Settings.Local == "" && !anywhere(verb) {
		return p.noDatabase()
	}
	r, closeFn, err := p.carryOut(ctx, spec, verb, scope)
	defer func() { err = errors.Join(err, closeFn()) }()
	if err != nil {
		return err
	}
	if r == nil {
		return nil
	}
	if err := p.answer(ctx, r); err != nil {
		return err
	}
	if !p.globals.Quiet {
		if spec.Signs && !spec.Reads(verb) && hint != "" {
			r.Hints = append(r.Hints, hint)
		}
		for _, h := range r.Hints {
			fmt.Fprintf(p.Err, "hint: %s\n", h)
		}
	}
	p.status = r.ExitCode
	return nil
}

// carryOut performs a verb, and lets the user write in an editor what it needs and was not given.
func (p *Program) carryOut(ctx context.Context, spec op.Spec, verb op.Op, scope *op.Scope) (*op.Result, func() error, error) {
	if c, ok := verb.(*op.Rebase); ok && c.Interactive {
		if command, err := p.editor(scope); err != nil {
			return nil, func() error { return nil }, err
		} else if command != "" {
			return p.rebaseByEditor(ctx, command, spec, c, scope)
		}
	}
	r, closeFn, err := p.perform(ctx, spec, verb, scope)
	c, ok := verb.(*op.Commit)
	if !ok || !op.WantsMessage(err) {
		return r, closeFn, err
	}
	if failed := closeFn(); failed != nil {
		return nil, func() error { return nil }, errors.Join(err, failed)
	}
	closeFn = func() error { return nil }
	if written, failed := p.compose(ctx, c, scope); failed != nil {
		return nil, closeFn, failed
	} else if !written {
		return nil, closeFn, err
	}
	fresh := *scope
	fresh.Repo = nil
	return p.perform(ctx, spec, verb, &fresh)
}

// answer writes a result to standard output: its lines, or its rows where a form was asked for or there are no lines.
func (p *Program) answer(ctx context.Context, r *op.Result) error {
	if err := p.answerOne(ctx, r); err != nil {
		return err
	}
	for _, part := range r.Parts {
		lines := part.Lines
		part.Lines = nil
		if p.globals.Format == "" {
			if err := p.answerOne(ctx, &op.Result{Lines: lines}); err != nil {
				return err
			}
		}
		if err := p.answer(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

// answerOne draws an answer without its parts, until it is interrupted.
func (p *Program) answerOne(ctx context.Context, r *op.Result) error {
	if r.Lines != nil && (p.globals.Format == "" || len(r.Columns) == 0) {
		out := bufio.NewWriter(p.Out)
		for _, l := range r.Lines {
			if ctx.Err() != nil {
				break
			}
			fmt.Fprintln(out, l) // Flush tells of what fails
		}
		if err := out.Flush(); err != nil {
			return errs.New(errs.Internal, "write the answer: %w", err)
		}
		return errs.With(errs.Canceled, ctx.Err())
	}
	if len(r.Columns) == 0 {
		return nil
	}
	format, err := ParseFormat(p.globals.Format)
	if err != nil {
		return err
	}
	_, err = Render(p.Out, format, r.Columns, until(ctx, r.All()))
	return err
}

// until is rows that end with an error of class Canceled when ctx does.
func until(ctx context.Context, rows iter.Seq2[[]any, error]) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		for row, err := range rows {
			if err == nil {
				err = errs.With(errs.Canceled, ctx.Err())
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}

// withUsage adds to an error of parsing where to read more.
func withUsage(err error, program string, spec op.Spec) error {
	return fmt.Errorf("%w\nsee: %s help %s", err, program, spec.Name)
}

// noDatabase is the error of a verb that was called outside of a database; under the name dolt in Dolt's words.
func (p *Program) noDatabase() error {
	if p.dolt() {
		return errs.New(errs.NotFound, "The current directory is not a valid dolt repository.\nrun: dolt init before trying to run this command")
	}
	return errs.New(errs.NotFound, "%s is not a database\nrun: stemma init, or go to the directory of one", p.dir)
}
