package op

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
)

// pickColumns are the columns of what cherry-pick and revert answers.
var pickColumns = []Column{Text("hash"), Whole("data_conflicts"), Whole("schema_conflicts"), Whole("constraint_violations"), Whole("status")}

// CherryPick is the verb that makes another commit's change again on this branch.
type CherryPick struct {
	NoCommit   bool     `flag:"no-commit,n" help:"leave the result staged"`
	AllowEmpty bool     `flag:"allow-empty" help:"commit even when nothing changes"`
	Mainline   int      `flag:"mainline" value:"parent" least:"1" help:"the parent, from 1, against which a merge counts as a change"`
	NoJSON     bool     `flag:"dont-merge-json" help:"take documents that both sides changed for a conflict, whatever they changed in them"`
	Skip       bool     `flag:"skip-verification" hidden:"true" help:"accepted for compatibility"`
	Abort      bool     `flag:"abort" help:"give up the cherry-pick in progress"`
	Continue   bool     `flag:"continue" help:"commit the cherry-pick in progress"`
	Args       []string `arg:"rest" value:"commit" complete:"ref" help:"the commits; a..b is those that b reaches and a does not, oldest first"`
}

func cherryPickSpec() Spec {
	return Define[CherryPick](Spec{
		Name: "cherry-pick", Columns: pickColumns, Group: GroupGrow, Needs: NeedDatabase,
		Short: "Apply the changes of existing commits",
		Long: `Of several commits each becomes one of its own. The first whose change conflicts is left in progress: what was picked before
it stays, and what comes behind it is to be picked again afterwards.`,
		Usage:    []string{"[--no-commit] [--allow-empty] <commit>...", "--abort", "--continue"},
		Examples: []Example{{"cherry-pick fix", "take over the last commit of a branch"}},
	})
}

// Run picks.
func (c *CherryPick) Run(ctx context.Context, s *Scope) (*Result, error) {
	switch {
	case c.Abort && c.Continue:
		return nil, errFlags("abort", "continue")
	case c.Abort || c.Continue:
		if len(c.Args) > 0 {
			return nil, errs.New(errs.Invalid, "cherry-pick: --abort and --continue take no commit")
		}
		if c.Abort {
			return pickResult(""), abort(ctx, s, history.CherryPick)
		}
		if s.Tx != nil {
			return nil, ErrOutside
		}
		made, err := concludeMerge(ctx, s, history.CherryPick, "", "")
		if err != nil {
			return nil, err
		}
		return picked(ctx, s, made)
	case len(c.Args) == 0:
		return nil, errs.New(errs.Invalid, "cherry-pick: give the commits to apply")
	}
	sources, commits, err := c.commits(ctx, s)
	if err != nil {
		return nil, err
	}
	if len(commits) > 1 && c.NoCommit {
		return nil, errs.New(errs.Unsupported, "cherry-pick: --no-commit takes one commit")
	}
	var last *Result
	for i, cm := range commits {
		m, err := c.pick(ctx, s, sources[i], cm)
		if err != nil {
			return nil, refused(err)
		}
		if last, err = pickTold(ctx, s, m); err != nil || m.Unresolved() {
			return last, err
		}
	}
	return last, nil
}

// commits are the commits that the arguments name, in the order in which they are picked, and what the user called each.
func (c *CherryPick) commits(ctx context.Context, s *Scope) (sources []string, commits []*history.Commit, err error) {
	for _, rev := range c.Args {
		from, to, ok := strings.Cut(rev, "..")
		if !ok || strings.HasPrefix(to, ".") {
			cm, err := commitOf(ctx, s, rev)
			if err != nil {
				return nil, nil, err
			}
			sources, commits = append(sources, rev), append(commits, cm)
			continue
		}
		not, err := s.Repo.Resolve(ctx, orHead(from), s.branch())
		if err != nil {
			return nil, nil, err
		}
		tip, err := s.Repo.Resolve(ctx, orHead(to), s.branch())
		if err != nil {
			return nil, nil, err
		}
		w, err := history.Walk(ctx, s.Repo.Store(), []history.CommitID{tip}, []history.CommitID{not})
		if err != nil {
			return nil, nil, err
		}
		var found []*history.Commit
		for {
			cm, err := w.Next(ctx)
			if err != nil {
				return nil, nil, err
			}
			if cm == nil {
				break
			}
			found = append(found, cm)
		}
		if len(found) == 0 {
			return nil, nil, errs.New(errs.Invalid, "cherry-pick: '%s' names no commits: '%s' reaches all that '%s' does", rev, orHead(from), orHead(to))
		}
		slices.Reverse(found)
		for _, cm := range found {
			sources, commits = append(sources, cm.ID.String()), append(commits, cm)
		}
	}
	return sources, commits, nil
}

// pick makes the change of one commit again.
func (c *CherryPick) pick(ctx context.Context, s *Scope, source string, cm *history.Commit) (*repo.Merged, error) {
	return s.merge(ctx, repo.MergeOptions{
		Branch: s.branch(), Kind: history.CherryPick, Source: source, Theirs: cm.ID, Parent: c.Mainline, NoCommit: c.NoCommit,
		AllowEmpty: c.AllowEmpty, NoJSON: c.NoJSON || s.NoMergeJSON, NoConflicts: s.RefuseConflicts, NoViolations: s.RefuseViolations, Message: cm.Message, Meta: cm.Meta,
		Author: cm.Author, Committer: s.committer(),
	})
}

// Revert is the verb that makes the opposite of commits' changes.
type Revert struct {
	NoCommit bool     `flag:"no-commit,n" help:"leave the result staged"`
	Author   string   `flag:"author" value:"'Name <mail>'" help:"the author"`
	Message  string   `flag:"message,m" value:"text" help:"the message"`
	Mainline int      `flag:"mainline" value:"parent" least:"1" help:"the parent, from 1, to which a merge is taken back"`
	Abort    bool     `flag:"abort" help:"give up the revert in progress"`
	Continue bool     `flag:"continue" help:"commit the revert in progress"`
	Args     []string `arg:"rest" value:"commit" complete:"ref" help:"the commits, each undone by a commit of its own"`
}

func revertSpec() Spec {
	return Define[Revert](Spec{
		Name: "revert", Columns: pickColumns, Group: GroupGrow, Needs: NeedDatabase,
		Short:    "Undo the changes of existing commits",
		Usage:    []string{"[--no-commit] <commit>...", "--abort", "--continue"},
		Examples: []Example{{"revert HEAD", "undo the last commit with another one"}},
	})
}

// Run reverts.
func (c *Revert) Run(ctx context.Context, s *Scope) (*Result, error) {
	switch {
	case c.Abort && c.Continue:
		return nil, errFlags("abort", "continue")
	case c.Abort || c.Continue:
		if len(c.Args) > 0 {
			return nil, errs.New(errs.Invalid, "revert: --abort and --continue take no commit")
		}
		if c.Abort {
			return pickResult(""), abort(ctx, s, history.Revert)
		}
		if s.Tx != nil {
			return nil, ErrOutside
		}
		made, err := concludeMerge(ctx, s, history.Revert, c.Message, c.Author)
		if err != nil {
			return nil, err
		}
		return picked(ctx, s, made)
	case len(c.Args) == 0:
		return nil, errs.New(errs.Invalid, "revert: give the commits to undo")
	case len(c.Args) > 1 && c.NoCommit:
		return nil, errs.New(errs.Unsupported, "revert: --no-commit takes one commit")
	}
	author, err := s.signatureWith(c.Author)
	if err != nil {
		return nil, err
	}
	commits := make([]*history.Commit, len(c.Args))
	for i, rev := range c.Args { // before HEAD moves
		if commits[i], err = commitOf(ctx, s, rev); err != nil {
			return nil, err
		}
	}
	var last *Result
	for i, cm := range commits {
		message := c.Message
		if message == "" {
			first, _, _ := strings.Cut(cm.Message, "\n")
			message = fmt.Sprintf("Revert %q", first)
		}
		m, err := s.merge(ctx, repo.MergeOptions{
			Branch: s.branch(), Kind: history.Revert, Source: c.Args[i], Theirs: cm.ID, Parent: c.Mainline, NoCommit: c.NoCommit,
			NoJSON: s.NoMergeJSON, NoConflicts: s.RefuseConflicts, NoViolations: s.RefuseViolations, Message: message, Author: author, Committer: s.committer(),
		})
		if err != nil {
			return nil, refused(err)
		}
		if last, err = pickTold(ctx, s, m); err != nil || m.Unresolved() {
			return last, err
		}
	}
	return last, nil
}

func commitOf(ctx context.Context, s *Scope, rev string) (*history.Commit, error) {
	id, err := s.Repo.Resolve(ctx, rev, s.branch())
	if err != nil {
		return nil, err
	}
	return history.GetCommit(ctx, s.Repo.Store(), id)
}

// abort gives up what is in progress when it is of that kind.
func abort(ctx context.Context, s *Scope, kind history.MergeKind) error {
	m, err := s.merging(ctx)
	if err != nil {
		return err
	}
	if m == nil || m.Kind != kind {
		return errs.New(errs.Invalid, "fatal: There is no %s to abort", kind)
	}
	return s.abortMerge(ctx)
}

// pickResult is the row of dolt_cherry_pick and dolt_revert.
func pickResult(hash string) *Result {
	return &Result{
		Lines:   []string{},
		Columns: pickColumns,
		Rows:    [][]any{{hash, int64(0), int64(0), int64(0), int64(0)}},
	}
}

// picked shows a commit that was made.
func picked(ctx context.Context, s *Scope, made *history.Commit) (*Result, error) {
	r := pickResult(made.ID.String())
	e, err := logEntry(ctx, s, made)
	if err != nil {
		return nil, err
	}
	r.Lines = e.Lines
	return r, nil
}

// pickTold shows what a cherry-pick or revert did.
func pickTold(ctx context.Context, s *Scope, m *repo.Merged) (*Result, error) {
	if !m.Commit.IsZero() {
		made, err := history.GetCommit(ctx, s.Repo.Store(), m.Commit)
		if err != nil {
			return nil, err
		}
		r, err := picked(ctx, s, made)
		if err == nil {
			r.Hints = append(r.Hints, unseenHints(s, m)...)
		}
		return r, err
	}
	r := pickResult("")
	r.Hints = unseenHints(s, m)
	if !m.Unresolved() {
		return r, nil
	}
	for i := range m.Merge.Tables {
		t := &m.Merge.Tables[i]
		for at, left := range map[int]bool{1: !t.Conflicts.IsEmpty(), 2: t.Schema != "", 3: !t.Violations.IsEmpty()} {
			if left {
				r.Rows[0][at] = r.Rows[0][at].(int64) + 1
			}
		}
	}
	r.Rows[0][4] = int64(1)
	unmerged(r, s, m.Merge)
	if s.Dolt {
		stopped(r, m.Merge)
	}
	return r, nil
}

// stopped puts what Dolt says of a cherry-pick or a revert that conflicts have stopped in the place of a result's lines.
func stopped(r *Result, m *history.Merge) {
	r.Lines = []string{}
	if m.Kind == history.CherryPick { // all of it goes to standard error
		r.Hints = append(r.Hints, "Unable to apply commit cleanly due to conflicts or constraint violations. Please resolve the conflicts and/or constraint "+
			"violations, then use `dolt add` to add the tables to the staged set, and `dolt cherry-pick --continue` to complete the cherry-pick.",
			"To undo all changes from this cherry-pick operation, use `dolt cherry-pick --abort`.")
		return
	}
	r.Printf("Automatic revert failed; fix conflicts and then commit the result.")
	for i, what := range []string{"data conflicts", "schema conflicts", "constraint violations"} {
		if n := r.Rows[0][1+i].(int64); n > 0 {
			r.Printf("  %d table(s) have %s", n, what)
		}
	}
	r.Printf("hint: After resolving conflicts, mark them with \"dolt add <table>\"")
	r.Printf("hint: and run \"dolt revert --continue\". To abort, run \"dolt revert --abort\".")
}
