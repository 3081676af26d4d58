package op

import (
	"context"
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
	Skinny   bool     `flag:"skinny" help:"leave out columns that no shown row changes"`
	NoPretty bool     `flag:"no-pretty" help:"show what is stored of each commit, and not what it changed"`
	Args     []string `arg:"rest" value:"revision" complete:"ref" help:"the commits; the last one otherwise"`
}

func showSpec() Spec {
	return Define[Show](Spec{
		Name: "show", Group: GroupLook, Needs: NeedDatabase, ReadOnly: true,
		Short:    "Show commits with what they changed",
		Examples: []Example{{"show", "the last commit"}, {"show v1 --stat", "how much a tag's commit changed"}},
	})
}

// Run shows.
func (c *Show) Run(ctx context.Context, s *Scope) (*Result, error) {
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
		head, err := logEntry(ctx, s, cm)
		if err != nil {
			return nil, err
		}
		if !s.Terminal { // its refs are for eyes
			head = &Result{}
			drawCommit(head, cm, cm.ID.String(), "")
		}
		out.Parts = append(out.Parts, head)
		parts, err := c.changes(ctx, s, cm)
		if err != nil {
			return nil, err
		}
		out.Parts = append(out.Parts, parts...)
	}
	return out, nil
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
	d := &Diff{Data: c.Data, Schema: c.Schema, Stat: c.Stat, Summary: c.Summary, NameOnly: c.NameOnly, Limit: c.Limit, Skinny: c.Skinny}
	deltas, err := diff.Tables(ctx, st, before, cm.Root)
	if err != nil {
		return nil, err
	}
	return d.parts(ctx, s, deltas, from, to)
}
