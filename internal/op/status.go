package op

import (
	"context"
	"fmt"
	"strings"

	"github.com/stemmadb/stemma/internal/diff"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
)

// statusColumns are the columns of what status answers.
var statusColumns = []Column{Text("table_name"), Flag("staged"), Text("status")}

// Status is the verb that shows what has changed since the last commit.
type Status struct {
	Ignored bool `flag:"ignored" help:"show new tables that dolt_ignore names, too"`
}

func statusSpec() Spec {
	return Define[Status](Spec{
		Name: "status", Columns: statusColumns, Group: GroupLook, Needs: NeedDatabase, ReadOnly: true,
		Short: "Show the working tree status",
	})
}

// tableStatus is a table with what happened to it: "new table", "modified", "deleted" or "renamed".
type tableStatus struct {
	name, word string
}

// treeStatus is what differs between head, staged and working set.
type treeStatus struct {
	staged, unstaged, untracked []tableStatus
	ignored, disputed           []tableStatus // new tables that dolt_ignore names, and those on which its patterns disagree

	merge    *history.Merge  // in progress
	rebase   *history.Rebase // in progress, whose commits are made on this branch
	rebased  *history.Rebase // in progress on another branch, of this one
	unmerged []tableStatus   // tables with conflicts or violations, which are in no other list
}

// merging draws the head of a merge in progress.
func (st *treeStatus) merging(r *Result, program string) {
	if st.rebase != nil {
		r.Printf("You are currently rebasing branch '%s' on '%s'.", st.rebase.Branch, st.rebase.Onto)
		if st.merge == nil {
			r.Printf("  (use \"%s rebase --continue\" to go on)", program)
			r.Printf("  (use \"%s rebase --abort\" to go back to the branch as it was)", program)
			r.Lines = append(r.Lines, "")
		}
	}
	if st.rebased != nil {
		r.Printf("A rebase of branch '%s' on '%s' is in progress on branch '%s'.", st.rebased.Branch, st.rebased.Onto, repo.RebaseBranch(st.rebased.Branch))
		r.Printf("  (use \"%s checkout %s\" to see its plan in the table dolt_rebase, and its conflicts)", program, repo.RebaseBranch(st.rebased.Branch))
		r.Printf("  (use \"%s rebase --continue\" to go on)", program)
		r.Printf("  (use \"%s rebase --abort\" to give it up)", program)
		r.Lines = append(r.Lines, "")
	}
	if st.merge == nil {
		return
	}
	conflicts, violations := false, false
	for i := range st.merge.Tables {
		t := &st.merge.Tables[i]
		conflicts = conflicts || t.Schema != "" || !t.Conflicts.IsEmpty()
		violations = violations || !t.Violations.IsEmpty()
	}
	left := ""
	switch {
	case conflicts && violations:
		left = "conflicts and constraint violations"
	case conflicts:
		left = "conflicts"
	case violations:
		left = "constraint violations"
	}
	if !st.merge.Merges() {
		if left != "" {
			r.Printf("You have rows that violate constraints.")
			r.Printf("  (change them, or delete them from dolt_constraint_violations_<table>, before you commit)")
			r.Lines = append(r.Lines, "")
		}
		return
	}
	verb := st.merge.Kind.String()
	goOn := program + " commit"
	switch {
	case st.rebase != nil:
		verb, goOn = "rebase", program+" rebase --continue"
	case st.merge.Kind == history.CherryPick, st.merge.Kind == history.Revert:
		r.Printf("You are currently %s commit %s.", map[history.MergeKind]string{history.CherryPick: "cherry-picking", history.Revert: "reverting"}[st.merge.Kind], st.merge.Theirs)
		goOn = program + " " + verb + " --continue"
	}
	if left == "" {
		doing := "merging"
		if verb != "merge" {
			doing = "in the middle of a " + verb
		}
		r.Printf("All conflicts and constraint violations fixed but you are still %s.", doing)
		r.Printf("  (use \"%s\" to conclude %s)", goOn, verb)
		return
	}
	r.Printf("You have unmerged tables.")
	if st.rebase != nil {
		r.Printf("  (fix %s, stage the tables with \"%s add\" and run \"%s\")", left, program, goOn)
	} else {
		r.Printf("  (fix %s and run \"%s\")", left, goOn)
	}
	r.Printf("  (use \"%s %s --abort\" to abort the %s)", program, verb, verb)
	r.Lines = append(r.Lines, "")
}

// readStatus compares head, staged and working set of the scope's branch.
func readStatus(ctx context.Context, s *Scope) (*treeStatus, error) {
	w, err := s.Repo.Fold(ctx, s.branch())
	if err != nil {
		return nil, err
	}
	c, err := history.GetCommit(ctx, s.Repo.Store(), w.Head)
	if err != nil {
		return nil, err
	}
	out := &treeStatus{}
	staged, err := diff.Tables(ctx, w.Working.Reader(), c.Root, w.Staged.Tree())
	if err != nil {
		return nil, err
	}
	for _, d := range staged {
		out.staged = append(out.staged, describeChange(d))
	}
	unstaged, err := diff.Tables(ctx, w.Working.Reader(), w.Staged.Tree(), w.Working.Tree())
	if err != nil {
		return nil, err
	}
	ignore, err := repo.IgnoreOf(ctx, w.Working)
	if err != nil {
		return nil, err
	}
	if out.merge, err = s.Repo.Merging(ctx, s.branch()); err != nil {
		return nil, err
	}
	if out.rebase, err = s.Repo.Rebasing(ctx, s.branch()); err != nil {
		return nil, err
	}
	if out.rebase == nil {
		if out.rebased, err = rebasingElsewhere(ctx, s); err != nil {
			return nil, err
		}
	}
	left := map[string]bool{}
	if out.merge != nil {
		for i := range out.merge.Tables {
			t := &out.merge.Tables[i]
			left[strings.ToLower(t.Name)] = true
			word := "both modified"
			switch {
			case t.Schema != "":
				word = "schema conflict"
			case t.Conflicts.IsEmpty():
				word = "modified"
			}
			out.unmerged = append(out.unmerged, tableStatus{t.Name, word})
		}
	}
	for _, d := range unstaged {
		if left[strings.ToLower(d.Name())] {
			continue
		}
		if d.Kind == diff.TableAdded {
			yes, err := ignore.Ignores(d.To.Name)
			switch {
			case errs.Is(err, errs.Conflict):
				out.disputed = append(out.disputed, describeChange(d))
				continue
			case err != nil:
				return nil, err
			case yes:
				out.ignored = append(out.ignored, describeChange(d))
				continue
			}
		}
		switch d.Kind {
		case diff.TableAdded:
			out.untracked = append(out.untracked, describeChange(d))
		case diff.TableRenamed:
			out.unstaged = append(out.unstaged, tableStatus{d.From.Name, "deleted"})
			out.untracked = append(out.untracked, tableStatus{d.To.Name, "new table"})
		default:
			out.unstaged = append(out.unstaged, describeChange(d))
		}
	}
	return out, nil
}

func describeChange(d diff.Delta) tableStatus {
	switch d.Kind {
	case diff.TableAdded:
		return tableStatus{d.To.Name, "new table"}
	case diff.TableDropped:
		return tableStatus{d.From.Name, "deleted"}
	case diff.TableRenamed:
		return tableStatus{d.From.Name + " -> " + d.To.Name, "renamed"}
	}
	return tableStatus{d.To.Name, "modified"}
}

// Run compares and draws.
func (c *Status) Run(ctx context.Context, s *Scope) (*Result, error) {
	st, err := readStatus(ctx, s)
	if err != nil {
		return nil, err
	}
	p := s.Program()
	r := &Result{Columns: statusColumns}
	r.Printf("On branch %s\n", s.branch())
	apart, err := upstreamLines(ctx, s)
	if err != nil {
		return nil, err
	}
	r.Lines = append(r.Lines, apart...)
	section := func(title string, help []string, list []tableStatus, staged bool, word func(tableStatus) string) {
		if len(list) == 0 {
			return
		}
		r.Lines = append(r.Lines, title)
		r.Lines = append(r.Lines, help...)
		for _, t := range list {
			r.Printf("\t%-18s%s\n", word(t)+":", t.name)
			r.Add(t.name, Truth(staged), t.word)
		}
	}
	plain := func(t tableStatus) string { return t.word }
	st.merging(r, p)
	section("Changes to be committed:", []string{`  (use "` + p + ` reset <table>..." to unstage)`}, st.staged, true, plain)
	if len(st.staged) > 0 && len(st.unstaged)+len(st.unmerged) > 0 {
		r.Lines = append(r.Lines, "")
	}
	section("Unmerged paths:", []string{`  (use "` + p + ` add <table>..." to mark resolution)`}, st.unmerged, false, plain)
	if len(st.unmerged) > 0 && len(st.unstaged) > 0 {
		r.Lines = append(r.Lines, "")
	}
	section("Changes not staged for commit:", []string{
		`  (use "` + p + ` add <table>" to update what will be committed)`,
		`  (use "` + p + ` checkout <table>" to discard changes in working directory)`,
	}, st.unstaged, false, plain)
	if len(st.staged)+len(st.unstaged)+len(st.unmerged) > 0 && len(st.untracked) > 0 {
		r.Lines = append(r.Lines, "")
	}
	section("Untracked tables:", []string{`  (use "` + p + ` add <table>" to include in what will be committed)`}, st.untracked, false, plain)
	shown := len(st.staged) + len(st.unstaged) + len(st.untracked) + len(st.unmerged)
	force := []string{`  (use "` + p + ` add -f <table>" to include in what will be committed)`}
	if !c.Ignored {
		st.ignored = nil
	}
	for _, x := range []struct {
		title string
		list  []tableStatus
	}{{"Ignored tables:", st.ignored}, {"Tables with conflicting dolt_ignore patterns:", st.disputed}} {
		if shown > 0 && len(x.list) > 0 {
			r.Lines = append(r.Lines, "")
		}
		section(x.title, force, x.list, false, plain)
		shown += len(x.list)
	}
	if shown == 0 && st.merge == nil && st.rebase == nil {
		r.Lines = append(r.Lines, "nothing to commit, working tree clean")
	}
	return r, nil
}

// upstreamLines say how far the branch is from the branch of a remote that it follows.
func upstreamLines(ctx context.Context, s *Scope) ([]string, error) {
	follows, err := upstreams(s)
	if err != nil {
		return nil, err
	}
	track, ok := strings.CutPrefix(follows[s.branch()], trackPrefix)
	if !ok {
		return nil, nil
	}
	up, ok := s.Repo.Track(track)
	if !ok {
		return []string{fmt.Sprintf("Your branch is based on '%s', but the upstream is gone.", track), fmt.Sprintf("  (use \"%s fetch\" to look for it again)", s.Program()), ""}, nil
	}
	head, _ := s.Repo.BranchHead(s.branch())
	if up == head {
		return []string{fmt.Sprintf("Your branch is up to date with '%s'.", track)}, nil
	}
	ahead, behind, err := apart(ctx, s, head, up)
	commits := func(n int) string { return plural(uint64(n), "commit") }
	switch {
	case err != nil:
		return nil, err
	case behind == 0:
		return []string{fmt.Sprintf("Your branch is ahead of '%s' by %s.", track, commits(ahead)), fmt.Sprintf("  (use \"%s push\" to publish your local commits)", s.Program()), ""}, nil
	case ahead == 0:
		return []string{
			fmt.Sprintf("Your branch is behind '%s' by %s, and can be fast-forwarded.", track, commits(behind)), fmt.Sprintf("  (use \"%s pull\" to update your local branch)", s.Program()), "",
		}, nil
	}
	return []string{
		fmt.Sprintf("Your branch and '%s' have diverged,", track), fmt.Sprintf("and have %d and %d different commits each, respectively.", ahead, behind),
		fmt.Sprintf("  (use \"%s pull\" to update your local branch)", s.Program()), "",
	}, nil
}

// plural is "1 row" or "n rows".
func plural(n uint64, word string) string {
	if n == 1 {
		return fmt.Sprintf("%d %s", n, word)
	}
	if strings.HasSuffix(word, "y") {
		return fmt.Sprintf("%d %sies", n, word[:len(word)-1])
	}
	if strings.HasSuffix(word, "ch") {
		return fmt.Sprintf("%d %ses", n, word)
	}
	return fmt.Sprintf("%d %ss", n, word)
}
