package op

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/tree"
)

// logColumns are the columns of what log answers. Parents and refs are lists with a comma between; meta is a JSON object or empty.
var logColumns = []Column{Text("commit_hash"), Text("committer"), Text("email"), Moment("date"), Text("message"), Text("author"),
	Text("author_email"), Moment("author_date"), Text("parents"), Text("refs"), Text("meta")}

// logRow is a commit as a row of logColumns.
func logRow(cm *history.Commit, names []string) []any {
	parents := make([]string, len(cm.Parents))
	for i, p := range cm.Parents {
		parents[i] = p.String()
	}
	return []any{cm.ID.String(), cm.Committer.Name, cm.Committer.Email, cm.Committer.Time, cm.Message, cm.Author.Name,
		cm.Author.Email, cm.Author.Time, strings.Join(parents, ","), strings.Join(names, ","), cm.Meta}
}

// Log is the verb that shows commits.
type Log struct {
	Number   int      `flag:"number,n" number:"true" value:"count" default:"-1" least:"0" help:"show at most this many commits"`
	Oneline  bool     `flag:"oneline" help:"one line a commit"`
	Merges   bool     `flag:"merges" help:"only commits with several parents"`
	Min      int      `flag:"min-parents" value:"count" least:"0" help:"only commits with at least this many parents"`
	Graph    bool     `flag:"graph" help:"draw the lines of history"`
	Stat     bool     `flag:"stat" help:"show numbers of changed rows and cells"`
	Parents  bool     `flag:"parents" help:"show the parents' hashes too"`
	Signed   bool     `flag:"show-signature" hidden:"true" help:"accepted for compatibility: commits are not signed"`
	Decorate string   `flag:"decorate" bare:"short" enum:"short,full,auto,no" default:"auto" help:"show the refs that name each commit"`
	All      bool     `flag:"all" help:"begin at every branch and tag"`
	Not      []string `flag:"not" value:"revision" help:"leave out what these reach"`
	Args     []string `arg:"rest" value:"revision" complete:"ref" help:"where to begin; a..b is what b has and a has not; a table's name keeps the commits that changed it"`
	Tables   []string `arg:"dash" value:"table" help:"keep the commits that changed one of these tables"`
}

func logSpec() Spec {
	return Define[Log](Spec{
		Name: "log", Columns: logColumns, Group: GroupLook, Needs: NeedDatabase, ReadOnly: true,
		Short:    "Show commits",
		Usage:    []string{"[-n <count>] [--oneline] [<revision>...] [--] [<table>...]"},
		Examples: []Example{{"log -n 3", "the last three commits"}, {"log main..feature", "what feature has and main has not"}, {"log -- prices", "the commits that changed a table"}},
	})
}

// Run writes the commits.
func (c *Log) Run(ctx context.Context, s *Scope) (*Result, error) {
	from, not, tables, err := c.ends(ctx, s)
	if err != nil {
		return nil, err
	}
	w, err := history.Walk(ctx, s.Repo.Store(), from, not)
	if err != nil {
		return nil, err
	}
	names, err := refNames(ctx, s)
	if err != nil {
		return nil, err
	}
	if c.Decorate == "auto" && !s.Terminal {
		c.Decorate = "no"
	}
	r := &Result{Columns: logColumns, Lines: []string{}}
	var g graph
	for n := 0; c.Number < 0 || n < c.Number; {
		cm, err := w.Next(ctx)
		if err != nil {
			return nil, err
		}
		if cm == nil {
			break
		}
		if c.Merges && len(cm.Parents) < 2 || len(cm.Parents) < c.Min {
			continue
		}
		if len(tables) > 0 {
			if ok, err := changedAny(ctx, s, cm, tables); err != nil {
				return nil, err
			} else if !ok {
				continue
			}
		}
		n++
		r.Add(logRow(cm, names[cm.ID])...)
		one := &Result{}
		c.draw(one, cm, names)
		if c.Stat {
			if err := commitStats(ctx, s, one, cm); err != nil {
				return nil, err
			}
		}
		if c.Graph {
			one.Lines = g.draw(cm.ID, cm.Parents, one.Lines)
		}
		r.Lines = append(r.Lines, one.Lines...)
	}
	return r, nil
}

func (c *Log) draw(r *Result, cm *history.Commit, names map[history.CommitID][]string) {
	head := cm.ID.String()
	if c.Parents {
		for _, p := range cm.Parents {
			head += " " + p.String()
		}
	}
	deco := ""
	if ns := names[cm.ID]; len(ns) > 0 && c.Decorate != "no" {
		if c.Decorate == "full" {
			full := make([]string, len(ns))
			for i, n := range ns {
				full[i] = fullName(n)
			}
			ns = full
		}
		deco = "(" + strings.Join(ns, ", ") + ") "
	}
	if c.Oneline {
		first, _, _ := strings.Cut(cm.Message, "\n")
		r.Lines = append(r.Lines, head+" "+deco+first)
		return
	}
	drawCommit(r, cm, head, deco)
}

// drawCommit adds a commit as log shows it.
func drawCommit(r *Result, cm *history.Commit, head, deco string) {
	r.Lines = append(r.Lines, "commit "+head+" "+deco)
	if len(cm.Parents) > 1 {
		line := "Merge:"
		for _, p := range cm.Parents {
			line += " " + p.String()
		}
		r.Lines = append(r.Lines, line)
	}
	r.Lines = append(r.Lines, fmt.Sprintf("Author: %s <%s>", cm.Author.Name, cm.Author.Email), "Date:  "+showTime(cm.Author.Time), "")
	for _, l := range strings.Split(cm.Message, "\n") {
		r.Lines = append(r.Lines, "\t"+l)
	}
	r.Lines = append(r.Lines, "")
}

// showTime is a time as git and Dolt print it.
func showTime(t time.Time) string { return t.Round(time.Second).Format(time.RubyDate) }

// commitStats adds how many rows of which tables a commit changed against its parent; nothing for a commit of several parents.
func commitStats(ctx context.Context, s *Scope, r *Result, cm *history.Commit) error {
	var before tree.Root
	switch len(cm.Parents) {
	case 0:
	case 1:
		p, err := history.GetCommit(ctx, s.Repo.Store(), cm.Parents[0])
		if err != nil {
			return err
		}
		before = p.Root
	default:
		return nil
	}
	one := &Result{}
	if err := mergeStats(ctx, s, one, before, cm.Root); err != nil {
		return err
	}
	for _, l := range one.Lines {
		r.Lines = append(r.Lines, " "+l)
	}
	if len(one.Lines) > 0 {
		r.Lines = append(r.Lines, "")
	}
	return nil
}

// logEntry is one commit as log shows it, with its refs.
func logEntry(ctx context.Context, s *Scope, cm *history.Commit) (*Result, error) {
	names, err := refNames(ctx, s)
	if err != nil {
		return nil, err
	}
	r := &Result{}
	c := &Log{Decorate: "short"}
	c.draw(r, cm, names)
	return r, nil
}

// ends resolves the arguments: commits to begin at, commits to leave out with all they reach, tables to keep.
func (c *Log) ends(ctx context.Context, s *Scope) (from, not []history.CommitID, tables []string, err error) {
	tables = c.Tables
	resolve := func(rev string) (history.CommitID, error) {
		if rev == "" {
			rev = "HEAD"
		}
		return s.Repo.Resolve(ctx, rev, s.branch())
	}
	for i, a := range c.Args {
		rev := a
		hide := strings.HasPrefix(a, "^")
		if hide {
			rev = a[1:]
		}
		if l, r, ok := strings.Cut(rev, "..."); ok {
			x, err := resolve(l)
			if err != nil {
				return nil, nil, nil, err
			}
			y, err := resolve(r)
			if err != nil {
				return nil, nil, nil, err
			}
			base, err := history.MergeBase(ctx, s.Repo.Store(), x, y)
			if err != nil {
				return nil, nil, nil, err
			}
			from = append(from, x, y)
			if !base.IsZero() {
				not = append(not, base)
			}
			continue
		}
		if l, r, ok := strings.Cut(rev, ".."); ok {
			x, err := resolve(l)
			if err != nil {
				return nil, nil, nil, err
			}
			y, err := resolve(r)
			if err != nil {
				return nil, nil, nil, err
			}
			from, not = append(from, y), append(not, x)
			continue
		}
		id, err := resolve(rev)
		if err != nil {
			// What is no revision may be a table, as in git's log <path>.
			if errs.Is(err, errs.NotFound) && knownTables(ctx, s, c.Args[i:]) {
				tables = append(tables, c.Args[i:]...)
				break
			}
			return nil, nil, nil, err
		}
		if hide {
			not = append(not, id)
		} else {
			from = append(from, id)
		}
	}
	for _, rev := range c.Not {
		id, err := resolve(rev)
		if err != nil {
			return nil, nil, nil, err
		}
		not = append(not, id)
	}
	if c.All {
		for _, b := range s.Repo.Branches() {
			from = append(from, b.Head)
		}
		tags, err := s.Repo.Tags(ctx)
		if err != nil {
			return nil, nil, nil, err
		}
		for _, t := range tags {
			from = append(from, t.Commit)
		}
	}
	if len(from) == 0 {
		id, err := resolve("HEAD")
		if err != nil {
			return nil, nil, nil, err
		}
		from = append(from, id)
	}
	return from, not, tables, nil
}

// knownTables tells whether all names are tables of the working set or of the head.
func knownTables(ctx context.Context, s *Scope, names []string) bool {
	w, err := s.Repo.SnapshotWorking(s.branch())
	if err != nil {
		return false
	}
	h, err := s.Repo.SnapshotAt(ctx, w.Commit)
	if err != nil {
		return false
	}
	for _, n := range names {
		_, _, a, err := w.Table(ctx, n)
		if err != nil {
			return false
		}
		_, _, b, err := h.Table(ctx, n)
		if err != nil || !a && !b {
			return false
		}
	}
	return true
}

// tableWords takes apart, under the name dolt, arguments that are names of tables with spaces between: doltcli joins a list to one
// argument. Names of tables that have a space themselves, and all else, stay.
func tableWords(ctx context.Context, s *Scope, args []string) []string {
	if !s.Dolt {
		return args
	}
	var out []string
	for _, a := range args {
		if words := strings.Fields(a); len(words) > 1 && !knownTables(ctx, s, []string{a}) && knownTables(ctx, s, words) {
			out = append(out, words...)
			continue
		}
		out = append(out, a)
	}
	return out
}

// changedAny tells whether a commit has one of the tables differently from its first parent.
func changedAny(ctx context.Context, s *Scope, cm *history.Commit, tables []string) (bool, error) {
	st := s.Repo.Store()
	now := root.Open(st, cm.Root)
	before := root.Open(st, tree.Root{})
	if len(cm.Parents) > 0 {
		p, err := history.GetCommit(ctx, st, cm.Parents[0])
		if err != nil {
			return false, err
		}
		before = root.Open(st, p.Root)
	}
	for _, t := range tables {
		a, _, err := before.Get(ctx, root.KindTable, t)
		if err != nil {
			return false, err
		}
		b, _, err := now.Get(ctx, root.KindTable, t)
		if err != nil {
			return false, err
		}
		if a.Table != b.Table {
			return true, nil
		}
	}
	return false, nil
}

// refNames is the names of refs by the commit that they name: HEAD -> branch first, then branches, those of remotes, and tags.
func refNames(ctx context.Context, s *Scope) (map[history.CommitID][]string, error) {
	out := map[history.CommitID][]string{}
	cur := s.branch()
	if id, ok := s.Repo.BranchHead(cur); ok {
		out[id] = append(out[id], "HEAD -> "+cur)
	}
	for _, b := range s.Repo.Branches() {
		if b.Name != cur {
			out[b.Head] = append(out[b.Head], b.Name)
		}
	}
	for _, t := range s.Repo.Tracks() {
		out[t.Head] = append(out[t.Head], remotesWord+t.Name)
	}
	tags, err := s.Repo.Tags(ctx)
	if err != nil {
		return nil, err
	}
	sort.Slice(tags, func(i, j int) bool { return tags[i].Name < tags[j].Name })
	for _, t := range tags {
		out[t.Commit] = append(out[t.Commit], "tag: "+t.Name)
	}
	return out, nil
}

// fullName is a decoration with the refs written out.
func fullName(n string) string {
	switch {
	case strings.HasPrefix(n, "HEAD -> "):
		return "HEAD -> refs/heads/" + n[len("HEAD -> "):]
	case strings.HasPrefix(n, "tag: "):
		return "tag: refs/tags/" + n[len("tag: "):]
	}
	if strings.HasPrefix(n, remotesWord) {
		return "refs/" + n
	}
	return "refs/heads/" + n
}

// remotesWord begins the names of branches of remotes in lists of refs.
const remotesWord = "remotes/"
