package op

import (
	"context"
	"strconv"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/root"
)

// stashColumns are the columns of what stash answers.
var stashColumns = []Column{Text("name"), Text("stash_id"), Text("branch"), Text("hash"), Text("commit_message")}

// Stash is the verb that sets uncommitted changes aside and brings them back.
type Stash struct {
	Untracked bool     `flag:"include-untracked,u" help:"new tables as well"`
	All       bool     `flag:"all,a" help:"new tables as well, and those that dolt_ignore names"`
	Patch     bool     `flag:"patch,p" help:"with show: the changed rows, not only how many"`
	Message   string   `flag:"message,m" value:"text" help:"what the list of stashes says; otherwise the message of the last commit"`
	Args      []string `arg:"rest" value:"action" help:"push (the default), list, show, pop, apply, drop or clear; the name of a list of stashes; which stash of it: 2 or stash@{2}"`
}

func stashSpec() Spec {
	return Define[Stash](Spec{
		Name: "stash", Columns: stashColumns, Group: GroupWork, Needs: NeedDatabase,
		Short: "Set uncommitted changes aside and bring them back",
		Long: `The changes are kept with the database, newest first, and the branch is as its last commit left it. pop and apply bring them to the
branch that is checked out then, whichever it is, and merge them with what it has; pop removes them from the list. Where changes stand
against them nothing happens and the stash is kept.

Lists have names, which SQL procedures give behind the action; the command line uses the list dolt-cli unless one is named.`,
		Usage: []string{"[push] [-u | -a] [-m <message>]", "list", "show [-p] [<stash>]", "(pop | apply | drop) [<stash>]", "clear"},
		Examples: []Example{
			{"stash", "set changes aside"}, {"stash -u -m 'half of May'", "new tables too, with a note"}, {"stash show -p", "what the newest holds"}, {"stash pop", "bring it back"},
			{"stash drop 1", "forget the one before"},
		},
	})
}

// Reads implements Reader: a list is asked for, or what a stash holds.
func (c *Stash) Reads() bool { return c.action() == "list" || c.action() == "show" }

func (c *Stash) action() string {
	if len(c.Args) == 0 {
		return "push"
	}
	return strings.ToLower(c.Args[0])
}

// where are the list and the index that the arguments name.
func (c *Stash) where() (list string, index int, err error) {
	list = repo.DefaultStashes
	rest := c.Args
	if len(rest) > 0 {
		rest = rest[1:]
	}
	number := func(s string) (int, bool) {
		n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(s, "stash@{"), "}"))
		return n, err == nil && n >= 0
	}
	takesIndex := c.action() == "show" || c.action() == "pop" || c.action() == "apply" || c.action() == "drop"
	switch {
	case len(rest) > 2 || len(rest) == 2 && !takesIndex:
		return "", 0, errs.New(errs.Invalid, "stash: too many arguments for %s", c.action())
	case len(rest) == 0:
		return list, 0, nil
	case len(rest) == 1:
		if n, ok := number(rest[0]); ok && takesIndex {
			return list, n, nil
		}
		return rest[0], 0, nil
	}
	n, ok := number(rest[1])
	if !ok {
		return "", 0, errs.New(errs.Invalid, "error: %s is not a valid reference", rest[1])
	}
	return rest[0], n, nil
}

// Run does it.
func (c *Stash) Run(ctx context.Context, s *Scope) (*Result, error) {
	action := c.action()
	if action != "push" && (c.Untracked || c.All || c.Message != "") {
		return nil, errs.New(errs.Invalid, "stash: -u, -a and -m are for push")
	}
	if action != "show" && c.Patch {
		return nil, errs.New(errs.Invalid, "stash: -p is for show")
	}
	list, index, err := c.where()
	if err != nil {
		return nil, err
	}
	var x *repo.Stash
	switch action {
	case "push":
		x, err = s.Repo.PushStash(ctx, repo.StashOptions{Branch: s.branch(), Name: list, Message: c.Message, Untracked: c.Untracked, All: c.All})
		if errs.Is(err, errs.NothingToDo) && s.Switch == nil {
			return statusSay("%s", err.Error()), nil // as git does; a procedure fails
		}
		if err != nil {
			return nil, err
		}
		return statusSay("Saved working directory and index state WIP on refs/heads/%s: %s %s", x.Branch, x.Head, x.Message), nil
	case "list":
		return c.list(ctx, s, list)
	case "show":
		return c.show(ctx, s, list, index)
	case "pop", "apply":
		if x, err = s.Repo.ApplyStash(ctx, s.branch(), list, index, action == "pop"); err != nil {
			return nil, err
		}
		r := statusResult(0)
		now, err := (&Status{}).Run(ctx, s)
		if err != nil {
			return nil, err
		}
		r.Lines = now.Lines
		if action == "pop" {
			r.Printf("Dropped refs/stash@{%d} (%s)", index, x.Head)
		}
		return r, nil
	case "drop":
		if x, err = s.Repo.DropStash(ctx, list, index); err != nil {
			return nil, err
		}
		return statusSay("Dropped refs/stash@{%d} (%s)", index, x.Head), nil
	case "clear":
		return statusResult(0), s.Repo.ClearStashes(ctx, list)
	}
	return nil, offering(errs.Invalid, errs.Nearest(action, []string{"push", "list", "show", "pop", "apply", "drop", "clear"}), "unknown stash subcommand %s", action)
}

// statusSay is a status of 0 with a line.
func statusSay(format string, args ...any) *Result {
	r := statusResult(0)
	r.Printf(format, args...)
	return r
}

func (c *Stash) list(ctx context.Context, s *Scope, name string) (*Result, error) {
	all, err := s.Repo.Stashes(ctx)
	if err != nil {
		return nil, err
	}
	r := &Result{Columns: stashColumns, Lines: []string{}}
	for i := range all {
		x := &all[i]
		if x.Name != name {
			continue
		}
		id := "stash@{" + strconv.Itoa(x.Index) + "}"
		r.Add(x.Name, id, x.Branch, x.Head.String(), x.Message)
		r.Printf("%s: WIP on refs/heads/%s: %s %s", id, x.Branch, x.Head, x.Message)
	}
	return r, nil
}

// show compares a stash with the commit on which its changes were made.
func (c *Stash) show(ctx context.Context, s *Scope, name string, index int) (*Result, error) {
	x, err := s.Repo.StashAt(ctx, name, index)
	if err != nil {
		return nil, err
	}
	base, err := s.Repo.SnapshotAt(ctx, x.Head)
	if err != nil {
		return nil, err
	}
	d := &Diff{Stat: !c.Patch, Limit: -1}
	stash := s.Repo.SnapshotRoot(root.Open(s.Repo.Store(), x.Root))
	return d.between(ctx, s, side{x.Head.String(), base}, side{"stash@{" + strconv.Itoa(index) + "}", stash}, nil)
}
