package op

import (
	"context"
	"fmt"
	"sort"
	"strings"

	"github.com/stemmadb/stemma/internal/diff"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
)

// mergeColumns are the columns of what merge answers.
var mergeColumns = []Column{Text("hash"), Whole("fast_forward"), Whole("conflicts"), Text("message")}

// mergeBaseColumns are the columns of what merge-base answers.
var mergeBaseColumns = []Column{Text("hash")}

// Merge is the verb that brings another branch's changes into the current one.
type Merge struct {
	NoFF     bool     `flag:"no-ff" help:"make a merge commit even where the branch could be moved forward"`
	FFOnly   bool     `flag:"ff-only" help:"move the branch forward or fail"`
	Squash   bool     `flag:"squash" help:"leave the result staged, as one change without a second parent"`
	Commit   bool     `flag:"commit" help:"make the merge commit; this is the default"`
	NoCommit bool     `flag:"no-commit" help:"leave the result staged, for a commit that ends the merge"`
	NoEdit   bool     `flag:"no-edit" hidden:"true" help:"accepted for compatibility"`
	Message  string   `flag:"message,m" value:"text" help:"the merge commit's message"`
	Author   string   `flag:"author" value:"'Name <mail>'" help:"the author"`
	Date     string   `flag:"date" value:"time" help:"the author's time"`
	NoJSON   bool     `flag:"dont-merge-json" help:"take documents that both sides changed for a conflict, whatever they changed in them"`
	Abort    bool     `flag:"abort" help:"give up the merge in progress and go back to the state before it"`
	Continue bool     `flag:"continue" help:"commit the merge in progress"`
	Skip     bool     `flag:"skip-verification" hidden:"true" help:"accepted for compatibility"`
	Args     []string `arg:"rest" value:"branch" complete:"ref" help:"the branch or commit to merge"`
}

func mergeSpec() Spec {
	return Define[Merge](Spec{
		Name: "merge", Columns: mergeColumns, Group: GroupGrow, Needs: NeedDatabase,
		Short: "Join another branch's changes to this one",
		Long: `Rows that only one branch changed are taken over, and of rows that both changed each column by itself. What stands against each other
is listed: see it with 'conflicts cat', settle it with 'conflicts resolve' or in the tables dolt_conflicts_<table>, then commit.`,
		Usage:    []string{"[--no-ff | --ff-only | --squash] [--no-commit] [-m <message>] <branch>", "--abort", "--continue"},
		Examples: []Example{{"merge fix", "merge a branch"}, {"merge --no-ff -m 'prices of May' fix", "with a commit of its own"}, {"merge --abort", "give up a merge with conflicts"}},
	})
}

// errFlags says that two flags exclude each other, in Dolt's words.
func errFlags(a, b string) error {
	return errs.New(errs.Invalid, "Flags '--%s' and '--%s' cannot be used together", a, b)
}

// Run merges.
func (c *Merge) Run(ctx context.Context, s *Scope) (*Result, error) {
	for _, x := range []struct {
		both bool
		a, b string
	}{
		{c.Squash && c.NoFF, "squash", "no-ff"}, {c.FFOnly && c.NoFF, "ff-only", "no-ff"}, {c.FFOnly && c.Squash, "ff-only", "squash"},
		{c.Commit && c.NoCommit, "commit", "no-commit"}, {c.Abort && c.Continue, "abort", "continue"},
	} {
		if x.both {
			return nil, errFlags(x.a, x.b)
		}
	}
	switch {
	case (c.Abort || c.Continue) && len(c.Args) > 0:
		return nil, errs.New(errs.Invalid, "merge: --abort and --continue take no branch")
	case c.Abort:
		if _, err := s.merging(ctx); err != nil {
			return nil, err
		}
		if err := s.abortMerge(ctx); err != nil {
			return nil, err
		}
		r := mergeResult("", false, false, "merge aborted")
		r.Lines = []string{}
		return r, nil
	case c.Continue && s.Tx != nil:
		return nil, ErrOutside
	case c.Continue:
		return c.conclude(ctx, s)
	case len(c.Args) != 1:
		return nil, errs.New(errs.Invalid, "Please specify a branch to merge")
	}
	theirs, err := s.Repo.Resolve(ctx, c.Args[0], s.branch())
	if err != nil {
		return nil, err
	}
	opt := repo.MergeOptions{
		Branch: s.branch(), Kind: history.MergeBranch, Source: c.Args[0], Theirs: theirs, NoFF: c.NoFF, FFOnly: c.FFOnly, Squash: c.Squash,
		NoCommit: c.NoCommit, NoJSON: c.NoJSON || s.NoMergeJSON, NoConflicts: s.RefuseConflicts, NoViolations: s.RefuseViolations, Committer: s.committer(),
		Message: c.Message,
	}
	if opt.Message == "" {
		opt.Message = fmt.Sprintf("Merge branch '%s' into %s", c.Args[0], s.branch())
	}
	if opt.Author, err = s.signatureWith(c.Author); err != nil {
		return nil, err
	}
	if c.Date != "" {
		if opt.Author.Time, err = ParseTime(c.Date); err != nil {
			return nil, err
		}
		opt.Committer.Time = opt.Author.Time
	}
	m, err := s.merge(ctx, opt)
	if err != nil {
		return nil, refused(err)
	}
	return c.tell(ctx, s, m, theirs)
}

// refused words the error of a merge that was not kept because of its conflicts as Dolt does.
func refused(err error) error {
	switch err {
	case repo.ErrUnresolved:
	case repo.ErrViolated:
		return errs.New(errs.Conflict, "Committing this transaction resulted in a working set with constraint violations, transaction rolled back. This constraint violation may be the result of a previous merge or the result of transaction sequencing. Constraint violations from a merge can be resolved using the dolt_constraint_violations table before committing the transaction. To allow transactions to be committed with constraint violations from a merge or transaction sequencing set @@dolt_force_transaction_commit=1.")
	default:
		return err
	}
	return errs.New(errs.Conflict, "Merge conflict detected, @autocommit transaction rolled back. @autocommit must be disabled so that merge conflicts can be resolved using the dolt_conflicts and dolt_schema_conflicts tables before manually committing the transaction. Alternatively, to commit transactions with merge conflicts, set @@dolt_allow_commit_conflicts = 1")
}

// mergeResult is the row of dolt_merge.
func mergeResult(hash string, ff, conflicts bool, message string) *Result {
	return &Result{
		Columns: mergeColumns,
		Rows:    [][]any{{hash, Truth(ff), Truth(conflicts), message}},
	}
}

// conclude commits the merge in progress.
func (c *Merge) conclude(ctx context.Context, s *Scope) (*Result, error) {
	made, err := concludeMerge(ctx, s, history.MergeBranch, c.Message, c.Author)
	if err != nil {
		return nil, err
	}
	r, err := logEntry(ctx, s, made)
	if err != nil {
		return nil, err
	}
	row := mergeResult(made.ID.String(), false, false, "merge successful")
	r.Columns, r.Rows = row.Columns, row.Rows
	return r, nil
}

// concludeMerge commits what is in progress, all tables staged.
func concludeMerge(ctx context.Context, s *Scope, kind history.MergeKind, message, author string) (*history.Commit, error) {
	m, err := s.Repo.Merging(ctx, s.branch())
	if err != nil {
		return nil, err
	}
	if m == nil || m.Kind.String() != kind.String() {
		return nil, errs.New(errs.Invalid, "fatal: There is no %s to continue", kind)
	}
	opt := repo.CommitOptions{Branch: s.branch(), Message: message, All: true, Committer: s.committer(), OwnAuthor: author != ""}
	if opt.Author, err = s.signatureWith(author); err != nil {
		return nil, err
	}
	made, err := s.Repo.Commit(ctx, opt)
	if errs.Is(err, errs.NothingToDo) {
		return nil, errs.New(errs.NothingToDo, "nothing to commit: what is left of the %[1]s changes nothing; 'commit --allow-empty -m <message>' commits it all the same, '%[1]s --abort' ends it", kind)
	}
	return made, err
}

// unseenHints warns of foreign keys that a merge in a part of a database has not looked at.
func unseenHints(s *Scope, m *repo.Merged) []string {
	if len(m.Unseen) == 0 {
		return nil
	}
	var keys []string
	for _, x := range m.Unseen {
		keys = append(keys, x.Child+" to "+x.Parent)
	}
	return []string{fmt.Sprintf("warning: foreign keys (%s) were not looked at, since not all of these tables are here; '%[2]s fetch --complete' and then '%[2]s constraints verify --all' do", strings.Join(keys, ", "), s.Program())}
}

// tell describes a merge as Dolt does.
func (c *Merge) tell(ctx context.Context, s *Scope, m *repo.Merged, theirs history.CommitID) (*Result, error) {
	if m.UpToDate {
		r := mergeResult("", false, false, "Everything up-to-date")
		r.Lines = []string{"Everything up-to-date"}
		pad(r, s)
		return r, nil
	}
	hash, message := "", "merge successful"
	if !m.Commit.IsZero() {
		hash = m.Commit.String()
	}
	if m.Unresolved() {
		message = "conflicts found"
	}
	r := mergeResult(hash, m.FastForward, m.Unresolved(), message)
	r.Lines, r.Hints = []string{}, unseenHints(s, m)
	if m.FastForward {
		r.Printf("Fast-forward")
	}
	r.Printf("Updating %s..%s", m.Head, theirs)
	if c.Squash {
		r.Printf("Squash commit -- not updating HEAD")
	}
	if m.Unresolved() {
		unmerged(r, s, m.Merge)
		return r, nil
	}
	if c.NoCommit && !m.FastForward {
		r.Printf("Automatic merge went well; stopped before committing as requested")
	}
	if !m.Commit.IsZero() && !c.NoFF && !m.FastForward {
		made, err := history.GetCommit(ctx, s.Repo.Store(), m.Commit)
		if err != nil {
			return nil, err
		}
		e, err := logEntry(ctx, s, made)
		if err != nil {
			return nil, err
		}
		r.Lines = append(r.Lines, e.Lines...)
	}
	before, err := history.GetCommit(ctx, s.Repo.Store(), m.Head)
	if err != nil {
		return nil, err
	}
	now, err := s.Repo.SnapshotStaged(s.branch())
	if err != nil {
		return nil, err
	}
	err = mergeStats(ctx, s, r, before.Root, now.Root.Tree())
	pad(r, s)
	return r, err
}

// pad fills the answer of a merge up to eight lines under the name dolt: doltcli looks for a conflict in what is behind the
// eighth line feed without asking whether there is one. Scripts do not see empty lines at the end, which shells cut off.
func pad(r *Result, s *Scope) {
	for s.Dolt && len(r.Lines) < 8 {
		r.Lines = append(r.Lines, "")
	}
}

// unmerged tells which tables a merge has left.
func unmerged(r *Result, s *Scope, m *history.Merge) {
	conflicts, violations := false, false
	for i := range m.Tables {
		t := &m.Tables[i]
		r.Printf("Auto-merging %s", t.Name)
		if !t.Conflicts.IsEmpty() {
			r.Printf("CONFLICT (content): Merge conflict in %s", t.Name)
		}
		if t.Schema != "" {
			r.Printf("CONFLICT (schema): Merge conflict in %s", t.Name)
		}
		if !t.Violations.IsEmpty() {
			r.Printf("CONSTRAINT VIOLATION (content): Merge created constraint violation in %s", t.Name)
		}
		conflicts = conflicts || t.Schema != "" || !t.Conflicts.IsEmpty()
		violations = violations || !t.Violations.IsEmpty()
	}
	r.Printf("Automatic merge failed; %d table(s) are unmerged.", len(m.Tables))
	switch {
	case conflicts && violations:
		r.Printf("Fix conflicts and constraint violations and then commit the result.")
		fallthrough
	case conflicts:
		r.Printf("Use '%s conflicts' to investigate and resolve conflicts.", s.Program())
	default:
		r.Printf("Fix constraint violations and then commit the result.")
		r.Printf("Constraint violations for the working set may be viewed using the 'dolt_constraint_violations' system table.")
		r.Printf("They may be queried and removed per-table using the 'dolt_constraint_violations_TABLENAME' system table.")
	}
	r.ExitCode = 4
}

// mergeStats tells how the tables of two roots differ, as Dolt draws it.
func mergeStats(ctx context.Context, s *Scope, r *Result, from, to tree.Root) error {
	st := s.Repo.Store()
	deltas, err := diff.Tables(ctx, st, from, to)
	if err != nil {
		return err
	}
	type stat struct {
		name string
		diff.Stat
	}
	var changed []stat
	var added, dropped, lacked []string
	before, after := s.Repo.SnapshotRoot(root.Open(st, from)), s.Repo.SnapshotRoot(root.Open(st, to))
	for i := range deltas {
		d := &deltas[i]
		switch d.Kind {
		case diff.TableAdded:
			added = append(added, d.Name())
			continue
		case diff.TableDropped:
			dropped = append(dropped, d.Name())
			continue
		}
		var a, b *table.View
		if a, err = openSide(ctx, before, d.From); err != nil {
			return err
		}
		if b, err = openSide(ctx, after, d.To); err != nil {
			return err
		}
		pair, err := diff.NewPair(s.Repo.TableReader(st, d.Name()), tableOf(a), tableOf(b))
		if err != nil {
			return err
		}
		if lacks, err := lacksRows(ctx, s, d, pair); err != nil {
			return err
		} else if lacks {
			lacked = append(lacked, d.Name())
			continue
		}
		x := stat{name: d.Name()}
		if x.Stat, err = pair.Stat(ctx); err != nil {
			return err
		}
		changed = append(changed, x)
	}
	sort.Slice(changed, func(i, j int) bool { return changed[i].name < changed[j].name })
	var sum diff.Stat
	var most uint64
	width := 0
	for i := range changed {
		x := &changed[i]
		sum.RowsAdded += x.RowsAdded
		sum.RowsModified += x.RowsModified
		sum.RowsRemoved += x.RowsRemoved
		most = max(most, x.RowsAdded+x.RowsModified+x.RowsRemoved)
		width = max(width, len(x.name))
	}
	for i := range changed {
		x := &changed[i]
		bars := bar('+', x.RowsAdded, most) + bar('*', x.RowsModified, most) + bar('-', x.RowsRemoved, most)
		r.Printf("%-*s | %-*d %s", width, x.name, len(fmt.Sprint(most)), x.RowsAdded+x.RowsModified+x.RowsRemoved, bars)
	}
	if len(changed) > 0 {
		r.Printf("%d tables changed, %d rows added(+), %d rows modified(*), %d rows deleted(-)", len(changed), sum.RowsAdded, sum.RowsModified, sum.RowsRemoved)
	}
	for _, n := range lacked {
		r.Printf("%s changed, and is not here", n)
	}
	for _, n := range added {
		r.Printf("%s added", n)
	}
	for _, n := range dropped {
		r.Printf("%s deleted", n)
	}
	return nil
}

// bar is n of most as marks, 30 at most, at least one when n is not 0.
func bar(mark rune, n, most uint64) string {
	if n == 0 {
		return ""
	}
	return strings.Repeat(string(mark), int(max(1, min(n, 30*n/most))))
}

// MergeBase is the verb that finds the common ancestor of two commits.
type MergeBase struct {
	Args []string `arg:"rest" value:"revision" complete:"ref" help:"two branches or commits"`
}

func mergeBaseSpec() Spec {
	return Define[MergeBase](Spec{
		Name: "merge-base", Columns: mergeBaseColumns, Group: GroupLook, Needs: NeedDatabase, ReadOnly: true,
		Short: "Find the newest common ancestor of two commits",
		Usage: []string{"<revision> <revision>"}, Examples: []Example{{"merge-base main fix", "where a branch left the other"}},
	})
}

// Run finds it.
func (c *MergeBase) Run(ctx context.Context, s *Scope) (*Result, error) {
	if len(c.Args) != 2 {
		return nil, errs.New(errs.Invalid, "merge-base: give two revisions")
	}
	var ids [2]history.CommitID
	for i, rev := range c.Args {
		var err error
		if ids[i], err = s.Repo.Resolve(ctx, rev, s.branch()); err != nil {
			return nil, err
		}
	}
	base, err := history.MergeBase(ctx, s.Repo.Store(), ids[0], ids[1])
	if err != nil {
		return nil, err
	}
	if base.IsZero() {
		return nil, errs.New(errs.NotFound, "%s and %s have no common ancestor%s", c.Args[0], c.Args[1], s.asFarAsKnown())
	}
	r := Say("%s", base)
	r.Columns, r.Rows = mergeBaseColumns, [][]any{{base.String()}}
	return r, nil
}
