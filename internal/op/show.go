package op

import (
	"context"
	"slices"
	"strconv"

	"github.com/stemmadb/stemma/internal/diff"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/tree"
)

// Show is the verb that shows commits with what they changed.
type Show struct {
	Data     bool     `flag:"data,d" help:"show rows only"`
	Schema   bool     `flag:"schema,s" help:"show schemas only"`
	Stat     bool     `flag:"stat" help:"show numbers of changed rows and cells"`
	Summary  bool     `flag:"summary" help:"show which tables changed, and how"`
	NameOnly bool     `flag:"name-only" help:"show the names of changed tables"`
	Limit    int      `flag:"limit" value:"count" default:"-1" least:"0" help:"show at most this many changed rows a table"`
	Where    string   `flag:"where" value:"condition" help:"show only rows for which this condition of SQL is true; columns are called from_<column> and to_<column>"`
	Filter   string   `flag:"filter" enum:"added,modified,removed,renamed,dropped" help:"show only changes of this kind"`
	Format   string   `flag:"result-format,r" alias:"format" enum:"tabular,csv,json,vertical,sql" help:"draw what the commit changed in this form; sql is the statements that make the change"`
	Mode     string   `flag:"diff-mode" enum:"row,line,in-place,context" help:"how a modified row is drawn: see diff"`
	Skinny   bool     `flag:"skinny" help:"leave out columns that no shown row changes"`
	Include  []string `flag:"include-cols" value:"column" sep:"," help:"with --skinny: keep these columns"`
	Parents  bool     `flag:"parents" help:"show the parents' hashes too"`
	Decorate string   `flag:"decorate" bare:"short" enum:"short,full,auto,no" default:"auto" help:"show the refs that name each commit"`
	NoPretty bool     `flag:"no-pretty" help:"show what is stored of each commit, and not what it changed"`
	Cached   bool     `flag:"cached,c" hidden:"true" help:"accepted for compatibility: a commit has no staged set"`
	Base     bool     `flag:"merge-base" hidden:"true" help:"accepted for compatibility: a commit is compared with its parent"`
	Args     []string `arg:"rest" value:"revision" complete:"ref" help:"the commits; the last one otherwise"`
}

func showSpec() Spec {
	return Define[Show](Spec{
		Name: "show", Group: GroupLook, Needs: NeedDatabase, ReadOnly: true,
		Short:    "Show commits with what they changed",
		Long:     `A commit of several parents is compared with the first one.`,
		Examples: []Example{{"show", "the last commit"}, {"show v1 --stat", "how much a tag's commit changed"}},
	})
}

// Run shows.
func (c *Show) Run(ctx context.Context, s *Scope) (*Result, error) {
	if err := c.diff().check(s); err != nil {
		return nil, err
	}
	revs := c.Args
	if len(revs) == 0 {
		revs = []string{"HEAD"}
	}
	out := &Result{}
	for _, rev := range revs {
		id, err := s.Repo.Resolve(ctx, rev, s.branch())
		if err != nil {
			return nil, err
		}
		cm, err := history.GetCommit(ctx, s.Repo.Store(), id)
		if err != nil {
			return nil, err
		}
		if c.NoPretty {
			out.Parts = append(out.Parts, stored(cm))
			continue
		}
		head, err := c.head(ctx, s, cm)
		if err != nil {
			return nil, err
		}
		parts, err := c.changes(ctx, s, cm)
		if err != nil {
			return nil, err
		}
		if c.Format == "json" || c.Format == "sql" { // a text, and no rows that could be drawn otherwise
			out.Lines = append(out.Lines, head.Lines...)
			for _, p := range parts {
				out.Lines = append(out.Lines, p.Lines...)
			}
			continue
		}
		out.Parts = append(append(out.Parts, head), parts...)
	}
	return out, nil
}

// diff is the verb that draws what a commit changed.
func (c *Show) diff() *Diff {
	return &Diff{
		Data: c.Data, Schema: c.Schema, Stat: c.Stat, Summary: c.Summary, NameOnly: c.NameOnly, Limit: c.Limit, Where: c.Where,
		Filter: c.Filter, Format: c.Format, Mode: c.Mode, Skinny: c.Skinny, Include: c.Include, verb: "show",
	}
}

// head is the commit itself, as log shows it.
func (c *Show) head(ctx context.Context, s *Scope, cm *history.Commit) (*Result, error) {
	decorate := c.Decorate
	switch {
	case decorate != "auto":
	case s.Terminal: // refs are for eyes
		decorate = "short"
	default:
		decorate = "no"
	}
	l := &Log{Parents: c.Parents, Decorate: decorate}
	var names map[history.CommitID][]string
	if decorate != "no" {
		var err error
		if names, err = refNames(ctx, s); err != nil {
			return nil, err
		}
	}
	r := &Result{}
	l.draw(r, cm, names)
	return r, nil
}

// stored is a commit as it is kept, in Dolt's form.
func stored(cm *history.Commit) *Result {
	r := &Result{Lines: []string{"SerialMessage {"}}
	field := func(name, v string) { r.Lines = append(r.Lines, "\t"+name+": "+v) }
	set := func(name string, hashes ...string) {
		r.Lines = append(r.Lines, "\t"+name+": {")
		for _, h := range hashes {
			r.Lines = append(r.Lines, "\t\t#"+h)
		}
		r.Lines = append(r.Lines, "\t}")
	}
	field("Name", cm.Committer.Name)
	field("Desc", cm.Message)
	field("Email", cm.Committer.Email)
	field("Timestamp", cm.Committer.Time.String())
	field("UserTimestamp", cm.Author.Time.String())
	field("Height", strconv.FormatUint(uint64(cm.Height), 10))
	if cm.Meta != "" {
		field("Metadata", cm.Meta)
	}
	set("RootValue", cm.Root.Hash.String())
	parents := make([]string, len(cm.Parents))
	for i, p := range cm.Parents {
		parents[i] = p.String()
	}
	set("Parents", parents...)
	r.Lines = append(r.Lines, "}")
	return r
}

// changes are the parts that show what a commit changed against its first parent.
func (c *Show) changes(ctx context.Context, s *Scope, cm *history.Commit) ([]*Result, error) {
	before := tree.Root{}
	name := ""
	if len(cm.Parents) > 0 {
		p, err := history.GetCommit(ctx, s.Repo.Store(), cm.Parents[0])
		if err != nil {
			return nil, err
		}
		before, name = p.Root, p.ID.String()
	}
	st := s.Repo.Store()
	from := side{name, s.Repo.SnapshotRoot(root.Open(st, before))}
	to := side{cm.ID.String(), s.Repo.SnapshotRoot(root.Open(st, cm.Root))}
	deltas, err := diff.Tables(ctx, st, before, cm.Root)
	if err != nil {
		return nil, err
	}
	d := c.diff()
	deltas = slices.DeleteFunc(deltas, func(x diff.Delta) bool { return !d.kind(x.Kind) })
	return d.parts(ctx, s, deltas, from, to)
}
