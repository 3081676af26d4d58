package op

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
)

// retentionSetting is the setting of the database that holds rules of retention: a JSON object of them by pattern of branches.
const retentionSetting = "retention.rules"

// retentionActions are the first words of retention.
var retentionActions = []string{"set", "unset", "show", "dry-run", "apply"}

// What the actions of retention answer. Of dry-run: a row for each commit of a branch with rules.
var (
	retentionRules   = []Column{Text("pattern"), Text("rules"), Whole("branches")}
	retentionCommits = []Column{Text("branch"), Text("commit_hash"), Moment("date"), Text("message"), Flag("stays"), Text("why")}
	retentionApplied = []Column{Whole("commits"), Whole("gone"), Whole("made_anew"), Whole("branches"), Whole("tags")}
)

// Retention is the verb that thins histories by rules.
type Retention struct {
	Args []string `arg:"rest" value:"action" help:"set <pattern> <rules>, unset <pattern>, show (the default), dry-run or apply"`
}

func retentionSpec() Spec {
	return Define[Retention](Spec{
		Name: "retention", Group: GroupCare, Needs: NeedDatabase, Admin: true,
		Short: "Thin the history of branches by rules",
		Long: `Rules say which commits of a branch stay. They are clauses with commas between, each a kind and an age, and a commit that any clause keeps
stays:

  all 7d        every commit of the last seven days
  hourly 2d     the last commit of each hour on the branch's own line (first parents); also daily, weekly, monthly and yearly
  tags 1y       commits that a tag names; without this clause they stay forever

Ages are whole hours, days, weeks or years (12h, 7d, 6w, 1y; a year has 365 days), or forever. They count from the time of the committer, and
days and the like are those of UTC.

A pattern is the name of a branch, or has * and ? as file names do. The rules of a branch are those of its name, else those of the longest
pattern that fits. A branch without rules keeps what it alone has.

What always stays: the first commit, the heads of branches, and commits at which the histories of branches part, so that they merge as before.
A commit that has left the history of branches, but is named by a tag, goes on being there under the tag.

dry-run says what would go, and why what stays does. apply takes the others out: a commit that stays has the same tables, author, times,
message and metadata as before, and the nearest ones before it that stay as parents. Where an ancestor went it has another hash. Branches and
tags move with them in one step; uncommitted changes stay. Merges and rebases in progress are to be ended first, and so are stashes on such
commits. What lineage says of commits that went is still known, and said to be of thinned ones; what is to stay for good, such as the data of
a model or of a lock file, gets a tag.

Nothing is freed by this alone: 'gc --expire now' removes what the reflog still has. Of a database that is worked on in a bucket only
'push --mirror --anew' from a copy, and then 'gc --remote', free it. Other copies, remotes and backups too, keep what they have: push --force
to the remotes, and let others clone anew.`,
		Usage: []string{"set <pattern> <rules>", "unset <pattern>", "[show]", "dry-run", "apply"},
		Examples: []Example{
			{`retention set main "all 7d, daily 90d, tags forever"`, "what stays of main"}, {"retention", "list the rules"},
			{"retention dry-run", "what would go, and why what stays does"}, {"retention apply", "thin the history"},
			{"retention unset main", "forget the rules"},
		},
	})
}

func (c *Retention) action() string {
	if len(c.Args) == 0 {
		return "show"
	}
	return strings.ToLower(c.Args[0])
}

// Reads implements Reader.
func (c *Retention) Reads() bool { return c.action() == "show" || c.action() == "dry-run" }

// Run does it.
func (c *Retention) Run(ctx context.Context, s *Scope) (*Result, error) {
	action := c.action()
	if !slices.Contains(retentionActions, action) {
		return nil, offering(errs.Invalid, errs.Nearest(action, retentionActions), "retention: unknown action '%s': want one of %s", c.Args[0], strings.Join(retentionActions, ", "))
	}
	switch n := len(c.Args); {
	case action == "set" && n < 3:
		return nil, errs.New(errs.Invalid, `retention: set takes a branch, or a pattern of branches, and rules such as "all 7d, daily 90d, tags forever"`)
	case action == "unset" && n != 2:
		return nil, errs.New(errs.Invalid, "retention: unset takes one pattern; 'retention show' lists them")
	case action != "set" && action != "unset" && n > 1:
		return nil, errs.New(errs.Invalid, "retention: %s takes no arguments, but was given %s", action, quoteAll(c.Args[1:]))
	}
	rules, err := s.retention(ctx)
	if err != nil {
		return nil, err
	}
	switch action {
	case "set":
		return c.set(ctx, s, c.Args[1], strings.Join(c.Args[2:], " "))
	case "unset":
		if _, ok := rules[c.Args[1]]; !ok {
			return nil, offering(errs.NotFound, errs.Nearest(c.Args[1], slices.Collect(maps.Keys(rules))), "retention: there are no rules for '%s'", c.Args[1])
		}
		err := s.changeRetention(ctx, func(m map[string]string) { delete(m, c.Args[1]) })
		return statusResult(0), err
	case "show":
		return c.show(s, rules)
	}
	of, err := retentionOf(rules, s.Repo.Branches())
	switch {
	case err != nil:
		return nil, err
	case len(rules) == 0:
		return nil, errs.New(errs.Invalid, `retention: there are no rules; make some: retention set %s "all 7d, daily 90d, tags forever"`, s.branch())
	case len(of) == 0:
		return nil, errs.New(errs.NotFound, "retention: no branch has rules: %s fits none", strings.Join(slices.Sorted(maps.Keys(rules)), ", "))
	case action == "dry-run":
		return c.dryRun(ctx, s, of)
	}
	return c.apply(ctx, s, of)
}

// retention are the rules by pattern: those in the settings of the database or, where it is kept in a bucket, there, so that all machines have the same.
func (s *Scope) retention(ctx context.Context) (map[string]history.Retention, error) {
	if !s.Repo.KeptIn() {
		texts, err := objectIn(s.Settings.Local, retentionSetting)
		if err != nil {
			return nil, err
		}
		return parseRetention(texts, "setting "+retentionSetting)
	}
	texts, err := s.Repo.KeptRules(ctx)
	if err != nil {
		return nil, err
	}
	return parseRetention(texts, "rules of retention")
}

// changeRetention changes the texts of the rules.
func (s *Scope) changeRetention(ctx context.Context, change func(map[string]string)) error {
	if !s.Repo.KeptIn() {
		return changeObject(s.Settings.Local, retentionSetting, change)
	}
	return s.Repo.ChangeKeptRules(ctx, func(m map[string]string) error { change(m); return nil })
}

func parseRetention(texts map[string]string, where string) (map[string]history.Retention, error) {
	var err error
	out := map[string]history.Retention{}
	for pattern, text := range texts {
		if out[pattern], err = history.ParseRetention(text); err != nil {
			return nil, errs.New(errs.CodeOf(err), "%s: of '%s': %w", where, pattern, err)
		}
	}
	return out, nil
}

// retentionOf are the rules of the branches that have some.
func retentionOf(rules map[string]history.Retention, branches []repo.Branch) (map[string]history.Retention, error) {
	out := map[string]history.Retention{}
	for _, b := range branches {
		p, ok, err := retentionPattern(rules, b.Name)
		if err != nil {
			return nil, err
		}
		if ok {
			out[b.Name] = rules[p]
		}
	}
	return out, nil
}

// retentionPattern is the pattern whose rules are those of a branch: its name, else the longest that fits, of several the first by name.
func retentionPattern(rules map[string]history.Retention, branch string) (best string, ok bool, err error) {
	if _, ok := rules[branch]; ok {
		return branch, true, nil
	}
	for _, p := range slices.Sorted(maps.Keys(rules)) {
		if fits, err := matchesAny([]string{p}, branch); err != nil {
			return "", false, err
		} else if fits && (!ok || len(p) > len(best)) {
			best, ok = p, true
		}
	}
	return best, ok, nil
}

func (c *Retention) set(ctx context.Context, s *Scope, pattern, text string) (*Result, error) {
	if pattern == "" {
		return nil, errs.New(errs.Invalid, "retention: an empty string names no branch")
	}
	if _, err := path.Match(pattern, ""); err != nil {
		return nil, errs.New(errs.Invalid, "retention: the pattern '%s' cannot be understood: %w", pattern, err)
	}
	rules, err := history.ParseRetention(text)
	if err != nil {
		return nil, err
	}
	if err := s.changeRetention(ctx, func(m map[string]string) { m[pattern] = rules.String() }); err != nil {
		return nil, err
	}
	r := statusSay("%s: %s", pattern, rules)
	of, err := retentionOf(map[string]history.Retention{pattern: rules}, s.Repo.Branches())
	if err == nil && len(of) == 0 {
		r.Hints = append(r.Hints, "no branch is called so now: "+pattern)
	}
	return r, err
}

func (c *Retention) show(s *Scope, rules map[string]history.Retention) (*Result, error) {
	n := map[string]int64{}
	for _, b := range s.Repo.Branches() {
		p, ok, err := retentionPattern(rules, b.Name)
		if err != nil {
			return nil, err
		}
		if ok {
			n[p]++
		}
	}
	r := &Result{Columns: retentionRules, Lines: []string{}}
	for _, p := range slices.Sorted(maps.Keys(rules)) {
		r.Add(p, rules[p].String(), n[p])
		r.Printf("%s: %s (branches: %d)", p, rules[p], n[p])
	}
	return r, nil
}

func (c *Retention) dryRun(ctx context.Context, s *Scope, of map[string]history.Retention) (*Result, error) {
	plan, err := s.Repo.PlanRetention(ctx, of)
	if err != nil {
		return nil, err
	}
	r := &Result{Columns: retentionCommits, Lines: []string{}}
	for _, name := range slices.Sorted(maps.Keys(of)) {
		gone, all := 0, 0
		lines := r.Lines
		r.Lines = nil
		for i := range plan.Commits {
			x := &plan.Commits[i]
			if x.Branch != name {
				continue
			}
			m, err := history.GetCommit(ctx, s.Repo.Store(), x.ID)
			if err != nil {
				return nil, err
			}
			stays := x.Why != "" && !x.Aside
			text, _, _ := strings.Cut(m.Message, "\n")
			r.Add(name, x.ID.String(), m.Committer.Time.UTC(), text, Truth(stays), x.Why)
			all++
			word, why := "stays", "  ("+x.Why+")"
			if !stays {
				gone++
				word = "goes "
			}
			if x.Why == "" {
				why = ""
			}
			r.Printf("  %s  %s  %s  %s%s", word, x.ID, m.Committer.Time.UTC().Format("2006-01-02 15:04"), text, why)
		}
		r.Lines = append(append(lines, fmt.Sprintf("branch %s (%s): %d of %s would go", name, of[name], gone, plural(uint64(all), "commit"))), r.Lines...)
	}
	return r, nil
}

func (c *Retention) apply(ctx context.Context, s *Scope, of map[string]history.Retention) (*Result, error) {
	task := s.Start("thin the history", 0, "commits")
	done, err := s.Repo.ApplyRetention(ctx, of)
	task.Done(err)
	if err != nil {
		return nil, err
	}
	r := &Result{Columns: retentionApplied, Lines: []string{}}
	r.Add(int64(done.Seen), int64(done.Gone), int64(done.Moved), int64(len(done.Branches)), int64(len(done.Tags)))
	if done.Gone == 0 {
		r.Printf("Nothing to do: the rules keep all of %s.", plural(uint64(done.Seen), "commit"))
		return r, nil
	}
	r.Printf("Of %s %d went and %d were made anew.", plural(uint64(done.Seen), "commit"), done.Gone, done.Moved)
	if len(done.Branches) > 0 {
		r.Printf("Moved branches: %s", strings.Join(done.Branches, ", "))
	}
	if len(done.Tags) > 0 {
		r.Printf("Moved tags: %s", strings.Join(done.Tags, ", "))
	}
	freed := "the reflog still has what went: '" + s.Program() + " gc --expire now' removes it"
	if s.Repo.KeptIn() {
		freed = fmt.Sprintf("%[1]s still has what went: only '%[2]s push --mirror --anew %[1]s' from a copy ('%[2]s backup restore %[1]s copy'), and then '%[2]s gc --remote %[1]s', frees it",
			s.Repo.Partial().URL, s.Program())
	}
	r.Hints = append(r.Hints, freed)
	if len(done.Tracks) > 0 {
		r.Hints = append(r.Hints, "remotes keep the history as it was, and so does this database for "+strings.Join(done.Tracks, ", ")+": 'push --force' thins it there")
	}
	return r, nil
}
