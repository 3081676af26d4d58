package op

import (
	"context"
	"fmt"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/lineage"
)

// RunOfColumns are the columns of what run of answers.
var RunOfColumns = []Column{
	Text("run_uid"), Text("how"), Text("commit_hash"), Text("table_name"), Text("before_hash"), Text("after_hash"), Text("node"), Text("system"),
	Text("external_id"), Text("job"), Text("state"), Text("note"),
}

// RunOf is the verb that finds the run that made a table.
type RunOf struct {
	Table string `arg:"1" required:"true" value:"table" complete:"table" help:"the table, or table@revision"`
	Ref   string `arg:"2" value:"revision" complete:"ref" default:"HEAD" help:"where the table is looked at"`
	// At is the revision where Table is the table's name alone, which may have an @.
	At string
}

func runOfSpec() Spec {
	return Define[RunOf](Spec{
		Name: "run of", Columns: RunOfColumns, Group: GroupLineage, Needs: NeedDatabase, ReadOnly: true,
		Short: "Find the run that last changed a table",
		Long: `The history is walked from the revision to the commit that last changed the table, under whatever name. A merge that made of several
changes what none of its parents had gives the runs of all of them. how says how a run was found: history means that it recorded the change in that
commit; hash that no run did and this one left the table with the same content elsewhere; unknown that no run is known.`,
		Examples: []Example{{"run of medians", "which run made the table of the last commit"}, {"run of medians HEAD~3", "and three commits before"}},
	})
}

// tableAt is a table that a user names, at a commit.
type tableAt struct {
	name, ref, hash string
	commit          history.CommitID
	rows            int64
}

// tableAt finds a table by its name and the revision at. Where that is "", target is a table, or "table@revision", and ref the revision where
// it names none; "" is HEAD. Names of tables and of branches may have an @: the last one parts the two where that finds something, else
// one before it, else target is a table's name.
func (s *Scope) tableAt(ctx context.Context, target, at, ref string) (*tableAt, error) {
	if at != "" {
		return s.tableIn(ctx, target, at)
	}
	var problem error
	for i := strings.LastIndexByte(target, '@'); i > 0; i = strings.LastIndexByte(target[:i], '@') {
		t, err := s.tableIn(ctx, target[:i], target[i+1:])
		if err == nil || !errs.Is(err, errs.NotFound) && !errs.Is(err, errs.Invalid) {
			return t, err
		}
		problem = err
	}
	t, err := s.tableIn(ctx, target, ref)
	if problem != nil && errs.Is(err, errs.NotFound) {
		err = problem
	}
	return t, err
}

// tableIn finds a table by its name at a revision; "" is HEAD.
func (s *Scope) tableIn(ctx context.Context, name, ref string) (*tableAt, error) {
	if ref == "" {
		ref = "HEAD"
	}
	id, err := s.Repo.Resolve(ctx, ref, s.branch())
	if err != nil {
		return nil, err
	}
	snap, err := s.Repo.SnapshotAt(ctx, id)
	if err != nil {
		return nil, err
	}
	v, written, ok, err := snap.Table(ctx, name)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errs.New(errs.NotFound, "table not found: %s", name)
	}
	return &tableAt{name: written, ref: ref, hash: v.Table.Hash().Full(), commit: id, rows: int64(v.Count())}, nil
}

// Run finds.
func (c *RunOf) Run(ctx context.Context, s *Scope) (*Result, error) {
	t, err := s.tableAt(ctx, c.Table, c.At, c.Ref)
	if err != nil {
		return nil, err
	}
	book := s.Repo.Lineage()
	made, _, err := book.Producers(ctx, s.Repo.Store(), t.commit, t.name)
	if err != nil {
		return nil, err
	}
	r := &Result{Columns: RunOfColumns, Lines: []string{}}
	for _, p := range made {
		var run lineage.Run
		if p.Run != "" {
			if run, _, err = book.Run(ctx, p.Run); err != nil {
				return nil, err
			}
		}
		r.Add(p.Run, p.How, p.Commit, p.Table, p.Before, p.After, p.Node, run.System, run.ExternalID, run.Job, run.State, p.Note)
		switch p.How {
		case lineage.Unknown:
			r.Printf("no run is known: commit %s last changed %s%s", shortHash(p.Commit), p.Table, behindNote(p.Note))
		case lineage.ByHash:
			r.Printf("%s  %s  (by hash: %s)", p.Run, run.Title(), p.Note)
		default:
			r.Printf("%s  %s  commit %s", p.Run, run.Title(), shortHash(p.Commit))
		}
	}
	return r, nil
}

// behindNote is a note behind what it is about.
func behindNote(note string) string {
	if note == "" {
		return ""
	}
	return " (" + note + ")"
}

// LineageColumns are the columns of what lineage answers: a line for each dataset and each run.
var LineageColumns = []Column{
	Text("direction"), Whole("level"), Text("kind"), Text("db"), Text("table_name"), Text("table_hash"), Text("commit_hash"), Text("run_uid"),
	Text("how"), Text("system"), Text("job"), Text("state"), Text("node"), Text("note"), Text("external_id"),
}

// Lineage is the verb that shows what a table was made from, and what was made from it.
type Lineage struct {
	Table  string `arg:"1" required:"true" value:"table@revision" complete:"table" help:"the table; without a revision at HEAD"`
	Up     bool   `flag:"up" help:"what it was made from; this is meant when neither is given"`
	Down   bool   `flag:"down" help:"what was made from it"`
	Depth  int    `flag:"depth" help:"so many runs far; 0 for all"`
	Format string `flag:"format" default:"tree" enum:"tree,json,dot,openlineage" help:"how it is written"`
	// At is the revision where Table is the table's name alone, which may have an @.
	At string
}

func lineageSpec() Spec {
	return Define[Lineage](Spec{
		Name: "lineage", Columns: LineageColumns, Group: GroupLineage, Needs: NeedDatabase, ReadOnly: true,
		Short: "Show which runs a table comes from, and what came of it",
		Examples: []Example{
			{"lineage medians@HEAD --depth 3", "three runs back"}, {"lineage prices@v1 --down", "what was made from a table at a tag"},
			{"lineage medians --format dot", "for graphviz"},
		},
	})
}

// lineageDetail is the structured answer of lineage.
type lineageDetail struct {
	Up   *lineage.Dataset `json:"up,omitempty"`
	Down *lineage.Dataset `json:"down,omitempty"`
}

// Run shows.
func (c *Lineage) Run(ctx context.Context, s *Scope) (*Result, error) {
	if c.Depth < 0 {
		return nil, errs.New(errs.Invalid, "lineage: --depth must not be negative")
	}
	if err := s.Repo.FlushReads(ctx); err != nil {
		return nil, err
	}
	t, err := s.tableAt(ctx, c.Table, c.At, "")
	if err != nil {
		return nil, err
	}
	var d lineageDetail
	trace := func(fn func(*lineage.Tracer, *lineage.Dataset) error) (*lineage.Dataset, error) {
		tr := &lineage.Tracer{Book: s.Repo.Lineage(), Read: s.Repo.Store(), DB: s.Repo.Name(), Depth: c.Depth}
		x := &lineage.Dataset{DB: s.Repo.Name(), Table: t.name, Hash: t.hash, Commit: t.commit.Full(), Ref: t.ref}
		return x, fn(tr, x)
	}
	if c.Up || !c.Down {
		if d.Up, err = trace(func(tr *lineage.Tracer, x *lineage.Dataset) error { return tr.Up(ctx, x) }); err != nil {
			return nil, err
		}
	}
	if c.Down {
		if d.Down, err = trace(func(tr *lineage.Tracer, x *lineage.Dataset) error { return tr.Down(ctx, x) }); err != nil {
			return nil, err
		}
	}
	r := &Result{Columns: LineageColumns, Lines: []string{}}
	lineageRows(r, "up", d.Up)
	lineageRows(r, "down", d.Down)
	if err := r.SetDetail(d); err != nil {
		return nil, err
	}
	switch c.Format {
	case "json":
		r.Lines = []string{string(r.Detail)}
	case "dot":
		r.Lines = dotLines(d, s.Repo.Name())
	case "openlineage":
		r.Lines, err = s.openLineage(ctx, runsOf(d))
	default:
		treeLines(r, d.Up, "made by", "from")
		treeLines(r, d.Down, "read by", "to")
	}
	return r, err
}

func lineageRows(r *Result, direction string, d *lineage.Dataset) {
	if d == nil {
		return
	}
	d.Walk(func(level int, d *lineage.Dataset, s *lineage.Step) {
		if s == nil {
			name, kind := d.Table, "table"
			if name == "" {
				name, kind = d.Query, "query"
			}
			r.Add(direction, int64(level), kind, d.DB, name, d.Hash, d.Commit, "", "", "", "", "", "", "", "")
			return
		}
		external := ""
		if s.Info != nil {
			external = s.Info.ExternalID
		}
		r.Add(direction, int64(level), "run", "", s.Table, s.After, s.Commit, s.Run, s.How, s.System, s.Job, s.State, s.Node, s.Note, external)
	})
}

func datasetText(d *lineage.Dataset) string {
	text := d.Table
	if text == "" {
		text = "query: " + d.Query
	}
	switch {
	case d.Ref != "":
		text += "@" + d.Ref
	case d.Commit != "":
		text += "@" + shortHash(d.Commit)
	}
	if d.Hash != "" {
		text += " (table " + shortHash(d.Hash) + ")"
	}
	if d.Again {
		text += " …" // shown above
	}
	return text
}

// treeLines draws a tree: runs say made or read, their datasets come below.
func treeLines(r *Result, d *lineage.Dataset, verb, side string) {
	if d == nil {
		return
	}
	d.Walk(func(level int, d *lineage.Dataset, s *lineage.Step) {
		in := strings.Repeat("    ", level/2)
		switch {
		case s == nil && level == 0:
			r.Printf("%s", datasetText(d))
		case s == nil:
			r.Printf("%s%s %s", in, side, datasetText(d))
		case s.Run == "":
			r.Printf("%s  %s no run that is known", in, verb)
		default:
			text := s.Run
			if s.Info != nil {
				text += "  " + s.Info.Title()
			}
			if s.How == lineage.ByHash {
				text += "  (by hash)"
			}
			r.Printf("%s  %s %s", in, verb, text)
		}
		if s == nil && d.More {
			r.Printf("%s  %s more runs: see --depth", in, verb)
		}
	})
}

// dotLines are the graph in the language of graphviz, seen from a database: tables are boxes, runs ellipses.
func dotLines(d lineageDetail, db string) []string {
	out := []string{"digraph lineage {", "  rankdir=LR;"}
	said := map[string]bool{}
	say := func(format string, args ...any) {
		if l := fmt.Sprintf(format, args...); !said[l] {
			said[l] = true
			out = append(out, l)
		}
	}
	id := func(d *lineage.Dataset) string {
		key := d.Table + "@" + d.Hash
		if d.Hash == "" {
			key = d.Table + d.Query + "@" + d.Commit
		}
		if d.DB != "" && !strings.EqualFold(d.DB, db) {
			key = d.DB + "." + key
		}
		say("  %q [shape=box, label=%q];", key, datasetLabel(d))
		return key
	}
	add := func(top *lineage.Dataset, up bool) {
		if top == nil {
			return
		}
		top.Walk(func(_ int, d *lineage.Dataset, s *lineage.Step) {
			if s == nil {
				id(d)
				return
			}
			if s.Run == "" {
				return
			}
			label := s.Run
			if s.Info != nil {
				label = s.Info.Title()
			}
			say("  %q [label=%q];", s.Run, label)
			link := func(x *lineage.Dataset, into bool) {
				if into {
					say("  %q -> %q;", id(x), s.Run)
				} else {
					say("  %q -> %q;", s.Run, id(x))
				}
			}
			link(d, !up)
			for _, x := range s.Datasets {
				link(x, up)
			}
		})
	}
	add(d.Up, true)
	add(d.Down, false)
	return append(out, "}")
}

func datasetLabel(d *lineage.Dataset) string {
	if d.Table == "" {
		return d.Query
	}
	if d.Hash == "" {
		return d.Table
	}
	return d.Table + "\n" + d.Hash[:min(12, len(d.Hash))]
}

// runsOf are the runs of the graph, each once, in the order of the tree.
func runsOf(d lineageDetail) []string {
	var out []string
	seen := map[string]bool{}
	for _, top := range []*lineage.Dataset{d.Up, d.Down} {
		if top == nil {
			continue
		}
		top.Walk(func(_ int, _ *lineage.Dataset, s *lineage.Step) {
			if s != nil && s.Run != "" && !seen[s.Run] {
				seen[s.Run] = true
				out = append(out, s.Run)
			}
		})
	}
	return out
}

// LineageImpactColumns are the columns of what lineage impact answers.
var LineageImpactColumns = []Column{
	Text("kind"), Text("name"), Text("table_hash"), Text("commit_hash"), Text("run_uid"), Whole("level"),
}

// LineageImpact is the verb that lists all that came of a table or a commit.
type LineageImpact struct {
	Target string `arg:"1" required:"true" value:"table@revision" help:"a table, or a revision for all that was read at it"`
	Commit bool   `flag:"commit" help:"the argument is a revision"`
	// At is the revision where Target is a table's name alone, which may have an @.
	At string
}

func lineageImpactSpec() Spec {
	return Define[LineageImpact](Spec{
		Name: "lineage impact", Columns: LineageImpactColumns, Group: GroupLineage, Needs: NeedDatabase, ReadOnly: true,
		Short:    "List every table, commit and run that came of a table or a commit",
		Examples: []Example{{"lineage impact prices@v1", "what has to be made again when a table was wrong"}, {"lineage impact --commit HEAD~3", "of all tables of a commit"}},
	})
}

// Run lists.
func (c *LineageImpact) Run(ctx context.Context, s *Scope) (*Result, error) {
	if err := s.Repo.FlushReads(ctx); err != nil {
		return nil, err
	}
	book := s.Repo.Lineage()
	var from []*lineage.Dataset
	if c.Commit {
		id, err := s.Repo.Resolve(ctx, c.Target, s.branch())
		if err != nil {
			return nil, err
		}
		snap, err := s.Repo.SnapshotAt(ctx, id)
		if err != nil {
			return nil, err
		}
		names, err := snap.TableNames(ctx)
		if err != nil {
			return nil, err
		}
		for _, n := range names {
			v, _, _, err := snap.Table(ctx, n)
			if err != nil {
				return nil, err
			}
			from = append(from, &lineage.Dataset{DB: s.Repo.Name(), Table: n, Hash: v.Table.Hash().Full(), Commit: id.Full()})
		}
	} else {
		t, err := s.tableAt(ctx, c.Target, c.At, "")
		if err != nil {
			return nil, err
		}
		from = append(from, &lineage.Dataset{DB: s.Repo.Name(), Table: t.name, Hash: t.hash, Commit: t.commit.Full()})
	}
	tr := &lineage.Tracer{Book: book, Read: s.Repo.Store(), DB: s.Repo.Name()}
	r := &Result{Columns: LineageImpactColumns, Lines: []string{}}
	seen := map[[3]string]bool{}
	add := func(kind, name, hash, commit, run string, level int) {
		if k := [3]string{kind, name, hash + run + commit}; !seen[k] {
			seen[k] = true
			r.Add(kind, name, hash, commit, run, int64(level))
			r.Printf("%-7s %s", kind, strings.TrimSpace(name+" "+shortHash(hash+commit)))
		}
	}
	for _, d := range from {
		if err := tr.Down(ctx, d); err != nil {
			return nil, err
		}
		d.Walk(func(level int, x *lineage.Dataset, st *lineage.Step) {
			switch {
			case st != nil:
				name := st.Run
				if st.Info != nil {
					name += "  " + st.Info.Title()
				}
				add("run", name, "", "", st.Run, (level+1)/2)
			case x != d:
				add("table", x.Table, x.Hash, "", "", level/2)
				if x.Commit != "" {
					add("commit", "", "", x.Commit, "", level/2)
				}
			}
		})
	}
	return r, nil
}
