package op

import (
	"context"
	"fmt"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
)

// PlanText is the plan of a rebase as an editor shows it: a line for each step with action, commit and message, and comments that say what
// can be done.
func PlanText(x *history.Rebase) string {
	var b strings.Builder
	for _, step := range x.Plan {
		fmt.Fprintf(&b, "%s %s %s\n", step.Action, step.Commit, strings.ReplaceAll(step.Message, "\n", " "))
	}
	fmt.Fprintf(&b, `
# Rebase of branch %[1]s onto %[2]s (%[3]d commands)
#
# Commands:
# p, pick <commit> = use commit
# d, drop <commit> = remove commit
# e, edit <commit> = use commit, but stop for amending
# r, reword <commit> = use commit, with the message that is in its line
# s, squash <commit> = use commit, but meld into previous commit
# f, fixup <commit> = like "squash", but discard this commit's message
# These lines can be re-ordered; they are executed from top to bottom.
#
# If you remove a line here THAT COMMIT WILL BE LOST.
#
# However, if you remove everything, the rebase will be aborted.
#
`, x.Branch, x.Onto, len(x.Plan))
	return b.String()
}

// parsePlan reads the steps of a plan's text; lines that are empty or begin with # are none.
func parsePlan(text string) ([]history.RebaseStep, error) {
	var out []history.RebaseStep
	for n, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		action, rest, _ := strings.Cut(line, " ")
		commit, message, _ := strings.Cut(strings.TrimSpace(rest), " ")
		if commit == "" {
			return nil, errs.New(errs.Invalid, "invalid rebase plan: line %d names no commit: %s", n+1, line)
		}
		a, ok := planAction(action)
		if !ok {
			return nil, offering(errs.Invalid, errs.Nearest(action, history.RebaseActions()), "invalid rebase plan: line %d: unknown action '%s'", n+1, action)
		}
		message = strings.TrimSpace(message)
		if a == history.RebaseReword && message == "" {
			return nil, errs.New(errs.Invalid, "invalid rebase plan: line %d: reword needs the new message behind the commit", n+1)
		}
		out = append(out, history.RebaseStep{Order: int64(len(out)+1) * 100, Action: a, Commit: commit, Message: message})
	}
	return out, nil
}

// planAction is the action of a word: its name or the first letter of it.
func planAction(word string) (history.RebaseAction, bool) {
	for i, name := range history.RebaseActions() {
		if strings.EqualFold(word, name) || strings.EqualFold(word, name[:1]) {
			return history.RebaseDrop + history.RebaseAction(i), true
		}
	}
	return 0, false
}

// setPlan makes the steps of a text those that are left of the rebase on the branch name, which stands at x; nil for wherever it stands. It tells where it
// stands then, and whether there are any: when not it changes nothing.
func setPlan(ctx context.Context, s *Scope, name, text string, x *repo.RebasePoint) (now *repo.RebasePoint, left bool, err error) {
	steps, err := parsePlan(text)
	if err != nil || len(steps) == 0 {
		return x, false, err
	}
	if x == nil {
		if x, err = s.Repo.RebasePoint(ctx, name); err != nil {
			return nil, false, err
		}
	}
	if x == nil {
		return nil, false, errs.New(errs.Invalid, "no rebase in progress")
	}
	next := *x.Rebase
	next.Plan = nil
	var last int64
	if x.Begun {
		last = x.Last
		for _, done := range x.Plan {
			if done.Order <= last {
				next.Plan = append(next.Plan, done)
			}
		}
	}
	for i := range steps {
		steps[i].Order += last
		// A message with several lines is one line in the text; what is not to be reworded keeps it.
		if cm, err := commitOf(ctx, s, steps[i].Commit); err == nil && steps[i].Action != history.RebaseReword {
			steps[i].Message = cm.Message
		}
	}
	next.Plan = append(next.Plan, steps...)
	if now, err = s.Repo.AdvanceRebase(ctx, name, x, &next, nil); err != nil {
		return x, true, err
	}
	return now, true, nil
}

// RebaseWentOn tells whether an error is that others have gone on with a rebase or ended it, also when another process has said it.
func RebaseWentOn(err error) bool {
	return errs.Is(err, errs.Conflict) && strings.Contains(err.Error(), repo.RebaseWentOn)
}
