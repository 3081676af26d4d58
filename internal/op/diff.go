package op

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/diff"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// Diff is the verb that shows changes between two states.
type Diff struct {
	Data      bool     `flag:"data,d" help:"show rows only"`
	Schema    bool     `flag:"schema,s" help:"show schemas only"`
	Stat      bool     `flag:"stat" help:"show numbers of changed rows and cells"`
	Summary   bool     `flag:"summary" help:"show which tables changed, and how"`
	NameOnly  bool     `flag:"name-only" help:"show the names of changed tables"`
	Limit     int      `flag:"limit" value:"count" default:"-1" least:"0" help:"show at most this many changed rows a table"`
	Where     string   `flag:"where" value:"condition" help:"show only rows for which this condition of SQL is true; columns are called from_<column> and to_<column>"`
	Filter    string   `flag:"filter" enum:"added,modified,removed,renamed,dropped" help:"show only changes of this kind"`
	Staged    bool     `flag:"staged,c" alias:"cached" help:"show what the next commit would take"`
	MergeBase bool     `flag:"merge-base" help:"begin at the common ancestor"`
	Reverse   bool     `flag:"reverse,R" help:"exchange the two sides"`
	Include   []string `flag:"include-cols" value:"column" sep:"," help:"with --skinny: keep these columns"`
	Format    string   `flag:"result-format,r" alias:"format" enum:"tabular,csv,json,vertical,sql" help:"draw the answer in this form; sql is the statements that make the one state the other"`
	SQL       bool     `flag:"sql" hidden:"true" help:"the same as -r sql"`
	Skinny    bool     `flag:"skinny" help:"leave out columns that no shown row changes"`
	System    bool     `flag:"system" hidden:"true" help:"accepted for compatibility: system tables that are stored are compared with the others"`
	Mode      string   `flag:"diff-mode" enum:"row,line,in-place,context" help:"draw a modified row as two rows, as one with the old and new lines or characters of its cells, or, by default, as one where a cell has several lines"`
	Args      []string `arg:"rest" value:"revision|table" complete:"ref" help:"at most two revisions, then tables"`
	Tables    []string `arg:"dash" value:"table" complete:"table" help:"tables"`

	named bool // tables were asked for: what is not here of them is an error

	verb string // on whose behalf it compares, for messages; "" is diff
}

func diffSpec() Spec {
	return Define[Diff](Spec{
		Name: "diff", Group: GroupLook, Needs: NeedDatabase, ReadOnly: true,
		Short: "Show changes between commits, the working set and the staged set",
		Long: `Without a revision: what is not staged yet. With one: from it to the working set. With two, or a..b: from the first to the
second. With a...b: from their common ancestor to the second. New tables of the working set that dolt_ignore names are shown when they
are named only.`,
		Usage:    []string{"[<revision>] [<revision>] [<table>...]", "<revision>..<revision> [<table>...]", "--staged [<revision>] [<table>...]"},
		Examples: []Example{{"diff", "changes that are not staged"}, {"diff HEAD~1 HEAD prices --limit 5", "what the last commit did to a table"}, {"diff main fix --stat", "how much two branches differ"}},
	})
}

// side is one state of a comparison.
type side struct {
	name string
	snap *repo.Snapshot
}

// Run compares.
func (c *Diff) Run(ctx context.Context, s *Scope) (*Result, error) {
	if c.SQL {
		if c.Format != "" && c.Format != "sql" {
			return nil, errs.New(errs.Invalid, "diff: --sql and -r %s exclude each other", c.Format)
		}
		c.Format = "sql"
	}
	if err := c.check(s); err != nil {
		return nil, err
	}
	from, to, tables, err := c.sides(ctx, s)
	if err != nil {
		return nil, err
	}
	for _, name := range tables {
		if known, err := tableOnSides(ctx, s, name, from, to); err != nil {
			return nil, err
		} else if !known {
			return nil, errs.New(errs.NotFound, "table not found: %s", name)
		}
	}
	if c.Reverse {
		from, to = to, from
	}
	return c.between(ctx, s, from, to, tables)
}

// check refuses options that exclude each other.
func (c *Diff) check(s *Scope) error {
	switch {
	case (c.Stat || c.Summary) && (c.Schema || c.Data):
		return errs.New(errs.Invalid, "%s: --stat and --summary cannot be combined with --schema or --data", c.name())
	case c.NameOnly && (c.Schema || c.Data || c.Stat || c.Summary):
		return errs.New(errs.Invalid, "%s: --name-only cannot be combined with --schema, --data, --stat, or --summary", c.name())
	}
	switch {
	case c.Where == "":
	case c.Stat || c.Summary || c.NameOnly || c.Schema || c.Format == "sql":
		return errs.New(errs.Invalid, "%s: --where chooses rows; it does not go with --stat, --summary, --name-only, --schema and -r sql", c.name())
	case s.Query == nil:
		return errs.New(errs.Unsupported, "%s: SQL cannot be evaluated from here", c.name())
	}
	return nil
}

// name is the verb that the user gave.
func (c *Diff) name() string {
	if c.verb != "" {
		return c.verb
	}
	return "diff"
}

// between compares two states; no tables are all.
func (c *Diff) between(ctx context.Context, s *Scope, from, to side, tables []string) (*Result, error) {
	r := from.snap.Root.Reader()
	if to.name == working {
		r = to.snap.Root.Reader()
	}
	deltas, err := diff.Tables(ctx, r, from.snap.Root.Tree(), to.snap.Root.Tree())
	if err != nil {
		return nil, err
	}
	ignore := &repo.Ignore{}
	for _, x := range []side{from, to} {
		if x.name == working {
			if ignore, err = repo.IgnoreOf(ctx, x.snap.Root); err != nil {
				return nil, err
			}
		}
	}
	var keep []diff.Delta
	for _, d := range deltas {
		if !wanted(&d, tables) || !c.kind(d.Kind) {
			continue
		}
		if len(tables) == 0 && (d.Kind == diff.TableAdded || d.Kind == diff.TableDropped) {
			// Where the patterns disagree the table is shown.
			if ignored, err := ignore.Ignores(d.Name()); err == nil && ignored {
				continue
			} else if err != nil && !errs.Is(err, errs.Conflict) {
				return nil, err
			}
		}
		keep = append(keep, d)
	}
	c.named = len(tables) > 0
	parts, err := c.parts(ctx, s, keep, from, to)
	if err != nil {
		return nil, err
	}
	if c.Summary || c.NameOnly || c.Format == "sql" || c.Format == "json" {
		return parts[0], nil
	}
	return &Result{Parts: parts}, nil
}

// parts are the answers that show the deltas.
func (c *Diff) parts(ctx context.Context, s *Scope, deltas []diff.Delta, from, to side) ([]*Result, error) {
	switch {
	case c.Format == "sql":
		return c.patch(ctx, s, deltas, from, to)
	case c.Format == "json":
		return c.document(ctx, s, deltas, from, to)
	case c.Summary || c.NameOnly:
		return []*Result{c.summary(deltas)}, nil
	}
	var out []*Result
	for i := range deltas {
		part, err := c.table(ctx, s, &deltas[i], from, to)
		if err != nil {
			return nil, err
		}
		out = append(out, part...)
	}
	return out, nil
}

// pairOf is the two states of a table that differs.
func pairOf(ctx context.Context, s *Scope, d *diff.Delta, from, to side) (*diff.Pair, error) {
	before, err := openSide(ctx, from.snap, d.From)
	if err != nil {
		return nil, err
	}
	after, err := openSide(ctx, to.snap, d.To)
	if err != nil {
		return nil, err
	}
	r := from.snap.Root.Reader()
	if to.name == working {
		r = to.snap.Root.Reader()
	}
	return diff.NewPair(s.Repo.TableReader(r, d.Name()), tableOf(before), tableOf(after))
}

// working is the name of the side that is the working set.
const working = "WORKING"

// sides reads the arguments.
func (c *Diff) sides(ctx context.Context, s *Scope) (from, to side, tables []string, err error) {
	args := slices.Clone(tableWords(ctx, s, c.Args))
	tables = append(tables, c.Tables...)
	var revs []string
	threeDots := false
	for i, a := range args {
		if i == 0 {
			if l, r, ok := strings.Cut(a, "..."); ok {
				revs, threeDots = []string{orHead(l), orHead(r)}, true
				continue
			}
			if l, r, ok := strings.Cut(a, ".."); ok {
				revs = []string{orHead(l), orHead(r)}
				continue
			}
		}
		if len(revs) < 2 {
			_, rerr := s.Repo.Resolve(ctx, a, s.branch())
			if rerr == nil || strings.EqualFold(a, working) || strings.EqualFold(a, "STAGED") {
				revs = append(revs, a)
				continue
			}
			if !errs.Is(rerr, errs.NotFound) {
				return from, to, nil, rerr
			}
			if known, kerr := tableAnywhere(ctx, s, a, revs); kerr != nil {
				return from, to, nil, kerr
			} else if !known {
				return from, to, nil, errs.New(errs.NotFound, "'%s' is neither a revision nor a table: %w", a, rerr)
			}
		}
		tables = append(tables, args[i:]...)
		break
	}
	at := func(rev string) (side, error) { return c.side(ctx, s, rev) }
	switch {
	case c.Staged && len(revs) > 1:
		return from, to, nil, errs.New(errs.Invalid, "diff: --staged takes at most one revision")
	case c.Staged && len(revs) == 1:
		revs = []string{revs[0], "STAGED"}
	case c.Staged:
		revs = []string{"HEAD", "STAGED"}
	case len(revs) == 0:
		revs = []string{"STAGED", working}
	case len(revs) == 1:
		revs = append(revs, working)
	}
	if c.MergeBase && revs[0] == "STAGED" {
		return from, to, nil, errs.New(errs.Invalid, "diff: --merge-base takes one or two revisions")
	}
	if c.MergeBase || threeDots {
		x, err := s.Repo.Resolve(ctx, revs[0], s.branch())
		if err != nil {
			return from, to, nil, err
		}
		second := revs[1]
		if second == working || second == "STAGED" {
			second = "HEAD"
		}
		y, err := s.Repo.Resolve(ctx, second, s.branch())
		if err != nil {
			return from, to, nil, err
		}
		base, err := history.MergeBase(ctx, s.Repo.Store(), x, y)
		if err != nil {
			return from, to, nil, err
		}
		if base.IsZero() {
			return from, to, nil, errs.New(errs.Invalid, "'%s' and '%s' have no common ancestor%s", revs[0], revs[1], s.asFarAsKnown())
		}
		revs[0] = base.Full()
	}
	if from, err = at(revs[0]); err != nil {
		return from, to, nil, err
	}
	to, err = at(revs[1])
	return from, to, tables, err
}

func orHead(rev string) string {
	if rev == "" {
		return "HEAD"
	}
	return rev
}

func (c *Diff) side(ctx context.Context, s *Scope, rev string) (side, error) {
	switch {
	case strings.EqualFold(rev, working):
		w, err := s.Repo.Fold(ctx, s.branch())
		if err != nil {
			return side{}, err
		}
		return side{working, s.Repo.SnapshotRoot(w.Working)}, nil
	case strings.EqualFold(rev, "STAGED"):
		snap, err := s.Repo.SnapshotStaged(s.branch())
		return side{"STAGED", snap}, err
	}
	id, err := s.Repo.Resolve(ctx, rev, s.branch())
	if err != nil {
		return side{}, err
	}
	snap, err := s.Repo.SnapshotAt(ctx, id)
	return side{rev, snap}, err
}

// tableAnywhere tells whether the working set, the head or one of the revisions has the table.
func tableAnywhere(ctx context.Context, s *Scope, name string, revs []string) (bool, error) {
	if knownTables(ctx, s, []string{name}) {
		return true, nil
	}
	for _, rev := range revs {
		id, err := s.Repo.Resolve(ctx, rev, s.branch())
		if err != nil {
			continue // WORKING and STAGED
		}
		snap, err := s.Repo.SnapshotAt(ctx, id)
		if err != nil {
			return false, err
		}
		if _, _, ok, err := snap.Table(ctx, name); err != nil || ok {
			return ok, err
		}
	}
	return false, nil
}

// tableOnSides tells whether one of the sides, the working set or the head has the table.
func tableOnSides(ctx context.Context, s *Scope, name string, sides ...side) (bool, error) {
	for _, x := range sides {
		if _, _, ok, err := x.snap.Table(ctx, name); err != nil || ok {
			return ok, err
		}
	}
	return knownTables(ctx, s, []string{name}), nil
}

func wanted(d *diff.Delta, tables []string) bool {
	if len(tables) == 0 {
		return true
	}
	for _, t := range tables {
		if d.Is(t) {
			return true
		}
	}
	return false
}

// kind tells whether --filter keeps tables to which that happened. Rows are filtered apart.
func (c *Diff) kind(k diff.Kind) bool {
	switch c.Filter {
	case "renamed":
		return k == diff.TableRenamed
	case "dropped":
		return k == diff.TableDropped
	}
	return true
}

func (c *Diff) summary(deltas []diff.Delta) *Result {
	r := &Result{Columns: []Column{Text("Table name"), Text("Diff type"), Text("Data change"), Text("Schema change")}}
	for _, d := range deltas {
		name := d.Name()
		if d.Kind == diff.TableRenamed {
			name = d.From.Name + " -> " + d.To.Name
		}
		r.Add(name, d.Kind.String(), fmt.Sprint(d.Data), fmt.Sprint(d.Schema))
	}
	if c.NameOnly {
		r.Lines = []string{}
		for _, row := range r.Rows {
			r.Lines = append(r.Lines, row[0].(string))
		}
	}
	return r
}

// table is the parts that show one table.
func (c *Diff) table(ctx context.Context, s *Scope, d *diff.Delta, from, to side) ([]*Result, error) {
	word := s.Program()
	head := &Result{}
	a, b := d.From.Name, d.To.Name
	switch d.Kind {
	case diff.TableAdded:
		head.Lines = []string{fmt.Sprintf("diff --%s a/%s b/%s", word, b, b), "added table"}
	case diff.TableDropped:
		head.Lines = []string{fmt.Sprintf("diff --%s a/%s b/%s", word, a, a), "deleted table"}
	default:
		head.Lines = []string{
			fmt.Sprintf("diff --%s a/%s b/%s", word, a, b),
			fmt.Sprintf("--- a/%s @ %s", a, d.From.Table), fmt.Sprintf("+++ b/%s @ %s", b, d.To.Table),
		}
	}
	before, err := openSide(ctx, from.snap, d.From)
	if err != nil {
		return nil, err
	}
	after, err := openSide(ctx, to.snap, d.To)
	if err != nil {
		return nil, err
	}
	if d.Schema && !c.Data && !c.Stat {
		head.Lines = append(head.Lines, schemaLines(before, after, a, b)...)
	}
	if c.Schema && !c.Stat {
		if !d.Schema {
			return nil, nil
		}
		return []*Result{head}, nil
	}
	var r = from.snap.Root.Reader()
	if to.name == working {
		r = to.snap.Root.Reader()
	}
	pair, err := diff.NewPair(s.Repo.TableReader(r, d.Name()), tableOf(before), tableOf(after))
	if err != nil {
		return nil, err
	}
	if !c.named && d.Data { // a table that was asked for is an error
		if lacks, err := lacksRows(ctx, s, d, pair); err != nil {
			return nil, err
		} else if lacks {
			head.Lines = append(head.Lines, fmt.Sprintf("its rows are not here; bring them with '%s fetch --complete'", s.Program()))
			return []*Result{head}, nil
		}
	}
	if c.Stat {
		lines, err := statLines(ctx, pair)
		head.Lines = append(head.Lines, lines...)
		return []*Result{head}, err
	}
	if pair.Same() || !d.Data {
		return []*Result{head}, nil
	}
	changes, err := c.changes(ctx, s, d, pair, from, to)
	if err != nil {
		return nil, err
	}
	c.rows(ctx, head, pair, changes)
	return []*Result{head}, nil
}

// lacksRows tells whether the database is a part of another that has not the rows which differ.
func lacksRows(ctx context.Context, s *Scope, d *diff.Delta, pair *diff.Pair) (bool, error) {
	if p := s.Repo.Partial(); p.HasTable(d.From.Name) && p.HasTable(d.To.Name) {
		return false, nil
	}
	for _, err := range pair.Rows(ctx, diff.Options{}) {
		if chunk.IsAbsent(err) {
			return true, nil
		}
		return false, err
	}
	return false, nil
}

func openSide(ctx context.Context, snap *repo.Snapshot, e root.Entry) (*table.View, error) {
	if e.Name == "" {
		return nil, nil
	}
	v, _, ok, err := snap.Table(ctx, e.Name)
	if err == nil && !ok {
		err = errs.New(errs.Corrupt, "read table %s: it is not in its root", e.Name)
	}
	return v, err
}

func tableOf(v *table.View) *table.Table {
	if v == nil {
		return nil
	}
	return v.Table
}

// schemaLines is a line diff of the two CREATE TABLE statements.
func schemaLines(before, after *table.View, a, b string) []string {
	var x, y []string
	if before != nil {
		x = strings.Split(before.Schema().CreateTable(a), "\n")
	}
	if after != nil {
		y = strings.Split(after.Schema().CreateTable(b), "\n")
	}
	return lineDiff(x, y)
}

// rows makes part's rows the changed rows of the pair, each behind its mark: + and - for added and removed rows, < and > for the
// two states of a modified one.
func (c *Diff) rows(ctx context.Context, part *Result, pair *diff.Pair, changes changeSeq) {
	cols := pair.Columns()
	if c.Skinny {
		if some, err := pair.Skinny(ctx, changes, c.Include); err == nil { // else the rows tell of it
			cols = some
		}
	}
	part.Columns = []Column{Text(" ")}
	var from, to []value.Type
	types := func(t *table.Table) (out []value.Type) {
		if t != nil {
			for i := range t.Schema.Columns {
				out = append(out, t.Schema.Columns[i].Type)
			}
		}
		return out
	}
	from, to = types(pair.From()), types(pair.To())
	for _, k := range cols {
		t := value.Type{}
		if k.To >= 0 && pair.To() != nil { // a table that one side lacks has the columns of the other on both
			t = to[k.To]
		} else {
			t = from[k.From]
		}
		if c.textual() {
			t = Text("").Type
		}
		part.Columns = append(part.Columns, Column{Name: k.Name, Type: t})
	}
	part.Stream = c.stream(ctx, pair, changes, cols, from, to)
}
