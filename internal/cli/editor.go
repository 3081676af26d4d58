package cli

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/op"
	"github.com/stemmadb/stemma/internal/repo"
)

// What names the editor in which users write messages and plans: an environment variable and a setting. On a terminal VISUAL and EDITOR
// do, too.
const (
	envEditor     = "STEMMA_EDITOR"
	settingEditor = "core.editor"
)

// editor is the command of the user's editor; "" when there is none to be opened.
func (p *Program) editor(scope *op.Scope) (string, error) {
	if e := p.Env(envEditor); e != "" {
		return e, nil
	}
	if e, ok, err := scope.Settings.Get(settingEditor); err != nil || ok {
		return e, err
	}
	if !isTerminal(p.In) || !isTerminal(p.Out) {
		return "", nil
	}
	if e := p.Env("VISUAL"); e != "" {
		return e, nil
	}
	return p.Env("EDITOR"), nil
}

// edit opens a text in an editor, in a file of that name, and returns what it is when the editor has ended. The shell runs the command, to
// which the file is added.
func (p *Program) edit(ctx context.Context, command, name, text string) (changed string, err error) {
	fail := func(err error) error { return errs.New(errs.CodeOf(err), "edit %s: %w", name, err) }
	dir, err := os.MkdirTemp("", "stemma-edit-")
	if err != nil {
		return "", fail(err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return "", fail(err)
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", command+` "$@"`, command, file)
	if words := strings.Fields(command); runtime.GOOS == "windows" && len(words) > 0 {
		cmd = exec.CommandContext(ctx, words[0], append(words[1:], file)...)
	}
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = p.dir, p.In, p.Out, p.Err
	restore := p.interruptible(func() {}) // an interrupt is the editor's
	err = cmd.Run()
	restore()
	if err != nil {
		return "", errs.New(errs.Invalid, "the editor '%s' failed: %w; $%s or 'config %s' names another", command, err, envEditor, settingEditor)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fail(err)
	}
	return string(b), nil
}

// withoutComments is a message without the lines that begin with # and the empty ones around it.
func withoutComments(text string) string {
	var kept []string
	for _, l := range strings.Split(text, "\n") {
		if !strings.HasPrefix(l, "#") {
			kept = append(kept, strings.TrimRight(l, " \t\r"))
		}
	}
	return strings.Trim(strings.Join(kept, "\n"), "\n")
}

// compose lets the user write the message of a commit, for which there is none yet. It tells whether there is one now.
func (p *Program) compose(ctx context.Context, c *op.Commit, scope *op.Scope) (bool, error) {
	command, err := p.editor(scope)
	if err != nil || command == "" {
		return false, err
	}
	text := "\n# Please enter the commit message for your changes. Lines starting with '#' will be ignored, and an empty message aborts the commit.\n#\n"
	if spec, ok := op.Find(p.Specs, "status"); ok {
		about := *scope
		r, closeFn, err := p.perform(ctx, spec, &op.Status{}, &about)
		if err == nil {
			for _, l := range r.Lines {
				text += strings.TrimRight("# "+l, " ") + "\n"
			}
		}
		if err := errors.Join(err, closeFn()); err != nil {
			return false, err
		}
	}
	if text, err = p.edit(ctx, command, "COMMIT_EDITMSG", text); err != nil {
		return false, err
	}
	if c.Message = withoutComments(text); c.Message == "" {
		return false, errs.New(errs.Invalid, "aborting the commit: its message is empty")
	}
	return true, nil
}

// planned lets the user change the plan of the rebase that has just begun, and returns the verb that goes on with it. Where that fails it returns the one that
// gives the rebase up, if it is known where it stands.
func (p *Program) planned(ctx context.Context, command string, scope *op.Scope) (*op.Rebase, error) {
	db, err := repo.Open(ctx, scope.FS, scope.Dir, repo.Options{ReadOnly: true, Clock: scope.Clock})
	if err != nil {
		return nil, err
	}
	x, err := db.RebasePoint(ctx, db.CheckedOut())
	if err := errors.Join(err, db.Close(context.WithoutCancel(ctx))); err != nil {
		return nil, err
	}
	if x == nil {
		return nil, errs.New(errs.Conflict, "the rebase has ended meanwhile")
	}
	text, err := p.edit(ctx, command, "rebase-todo", op.PlanText(x.Rebase))
	if err != nil {
		return &op.Rebase{Abort: true, PlanOf: x.ID()}, err
	}
	return &op.Rebase{Continue: true, Plan: text, PlanOf: x.ID()}, nil
}

// keepPlan puts a plan that others have overtaken into a file that stays, and adds where it is to the error.
func keepPlan(plan string, err error) error {
	f, failed := os.CreateTemp("", "stemma-rebase-todo-")
	if failed == nil {
		_, failed = f.WriteString(plan)
		failed = errors.Join(failed, f.Close())
	}
	if failed != nil {
		return errors.Join(err, errs.New(errs.CodeOf(failed), "the plan as you have written it could not be kept: %w", failed))
	}
	return errs.New(errs.CodeOf(err), "%w; the plan as you have written it is in %s", err, f.Name())
}

// rebaseByEditor does an interactive rebase whose plan the user changes in an editor. When that goes wrong, or the plan makes no sense, it
// is as if the rebase had not begun. When others have gone on with it while the editor was open, what they have done stays.
func (p *Program) rebaseByEditor(ctx context.Context, command string, spec op.Spec, verb *op.Rebase, scope *op.Scope) (*op.Result, func() error, error) {
	r, closeFn, err := p.perform(ctx, spec, verb, scope)
	if err != nil {
		return r, closeFn, err
	}
	if err := closeFn(); err != nil {
		return nil, func() error { return nil }, err
	}
	next, err := p.planned(ctx, command, scope)
	if next == nil {
		return nil, func() error { return nil }, err
	}
	again := *scope
	again.Repo = nil
	r, closeFn, failed := p.perform(ctx, spec, next, &again)
	if op.RebaseWentOn(failed) && next.Plan != "" {
		failed = keepPlan(next.Plan, failed)
	}
	if err != nil { // the editor's
		return nil, closeFn, errors.Join(err, failed)
	}
	return r, closeFn, failed
}
