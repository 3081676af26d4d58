package op

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
)

// eraseColumns are the columns of what erase answers: a row for each table at each commit that had something to erase. commit_hash is WORKING
// for what was not committed; new_commit_hash is NULL then, and of a dry run.
var eraseColumns = []Column{Text("commit_hash"), Text("new_commit_hash"), Text("table_name"), Whole("rows_removed"), Whole("rows_modified")}

// Erase is the verb that removes rows from the whole history and from the files.
type Erase struct {
	Where    string   `flag:"where,w" value:"condition" help:"which rows of the tables go"`
	Query    string   `flag:"query,q" value:"sql" help:"statements to run at each commit instead, such as UPDATE for cells that are to be emptied"`
	DryRun   bool     `flag:"dry-run,n" help:"only say what would go"`
	Continue bool     `flag:"continue,c" help:"go on where the statements fail, such as where a table lacks a column, and say where"`
	Tables   []string `arg:"rest" value:"table" complete:"table" help:"tables of which rows go; where there is none of the name nothing does"`
}

func eraseSpec() Spec {
	return Define[Erase](Spec{
		Name: "erase", Columns: eraseColumns, Group: GroupCare, Needs: NeedDatabase, Admin: true,
		Short: "Remove rows from all of the history, for good",
		Long: `For what the law wants gone. The rows go from the tables of every commit of every branch and tag, and of uncommitted changes. The commits
are made anew, with their authors, times, messages and metadata, and so get other hashes; branches and tags move along in one step. Then what
was goes from the files: what the reflog names, what branches of remotes named, and what only lineage did. The answer lists which commits had
how many such rows, and is the report to file: 'erase … -r csv'.

With -q the statements run at each commit: DELETE and UPDATE, several with semicolons between. Foreign keys are checked, so that rows which
refer to others go first, or by ON DELETE CASCADE.

Merges and rebases in progress are to be ended first, and stashes to be dropped. Nothing changes unless all goes well; --dry-run shows what
would go. Messages and metadata of commits stay as they are, and so do the names of tables, and the text of queries that runs have recorded.

Other copies keep the rows: remotes, backups, clones and files that were exported. It says which of them the database knows of. Erase in one
place that has all branches, 'push --mirror --anew' to the remotes, 'gc --remote' them, and clone anew elsewhere. What a remote has and the
database has not is not removed there: it is told beforehand, and the push names it and changes nothing.`,
		Usage: []string{"<table>... --where <condition>", "-q <sql>"},
		Examples: []Example{
			{`erase --dry-run people --where "id = 17"`, "which commits have that row"},
			{`erase people visits --where "person = 17" -r csv > report.csv`, "remove rows of two tables, and keep the report"},
			{`erase -q "update people set name = null, birthday = null where id = 17"`, "empty cells"},
		},
	})
}

// erasing is one run of Erase.
type erasing struct {
	c       *Erase
	s       *Scope
	query   string // "" for rows of tables
	r       *Result
	at      map[history.CommitID][]repo.FilteredTable // what changed at a commit
	tables  map[string]*erasedTable                   // by name
	clean   map[string]*table.Table                   // by hash and comments of tables as they were: as they are then, nil where nothing goes
	asks    bool                                      // which rows go may depend on other tables
	present map[string]bool                           // of the verb's tables those that some commit has
	names   map[string]bool                           // tables of commits that have not all of them
}

// erasedTable is what is said of a table.
type erasedTable struct{ commits, removed, modified uint64 }

// other finds what a condition may have that reads other tables.
var other = regexp.MustCompile(`(?i)\b(select|table)\b`)

// Run erases.
func (c *Erase) Run(ctx context.Context, s *Scope) (*Result, error) {
	if err := c.check(s); err != nil {
		return nil, err
	}
	e := &erasing{
		c: c, s: s, query: c.Query, r: &Result{Columns: eraseColumns, Lines: []string{}},
		at: map[history.CommitID][]repo.FilteredTable{}, tables: map[string]*erasedTable{},
		clean: map[string]*table.Table{}, asks: other.MatchString(c.Where), present: map[string]bool{}, names: map[string]bool{},
	}
	var task Task = noTask{}
	opt := repo.FilterOptions{
		Verb: "erase", Branches: []string{s.branch()}, Tags: true, Uncommitted: true, First: true, Erase: true, DryRun: c.DryRun, Change: e.change, Told: e.told,
		Planned: func(n int) { task = s.Start("look through the history", int64(n), "commits") },
		Step:    func(was, now history.CommitID) { task.Add(1); e.step(was, now) },
		Ready:   e.ready,
	}
	for _, b := range s.Repo.Branches() {
		if b.Name != s.branch() {
			opt.Branches = append(opt.Branches, b.Name)
		}
	}
	others, err := e.others()
	if err != nil {
		return nil, err
	}
	done, err := s.Repo.FilterHistory(ctx, opt)
	task.Done(err)
	if err != nil {
		return nil, err
	}
	e.step(history.CommitID{}, history.CommitID{})
	e.summary(done)
	e.r.Hints = append(e.r.Hints, others...)
	if c.DryRun {
		return e.r, nil
	}
	if err := e.collect(ctx, done); err != nil { // the report is of what has happened all the same
		e.r.ExitCode = 1
		e.r.Hints = append(e.r.Hints, "no branch or tag has the rows any more, but the files do: run the same erase again: "+err.Error())
	}
	return e.r, e.elsewhere(ctx)
}

func (c *Erase) check(s *Scope) error {
	switch {
	case s.Evaluate == nil:
		return errs.New(errs.Unsupported, "erase: SQL cannot be evaluated from here")
	case c.Query != "" && (c.Where != "" || len(c.Tables) > 0):
		return errs.New(errs.Invalid, "erase: give tables and --where, or statements with -q, not both")
	case c.Query == "" && len(c.Tables) == 0:
		return errs.New(errs.Invalid, "erase: name the tables of which rows go, and say which with --where; or give statements with -q")
	case c.Query == "" && strings.TrimSpace(c.Where) == "":
		return errs.New(errs.Invalid, "erase: say with --where which rows of %s go; 'true' is all of them", strings.Join(c.Tables, ", "))
	case s.Repo.KeptIn():
		url := s.Repo.Partial().URL
		return errs.New(errs.Unsupported, "erase: the database is kept at %[1]s, and all machines that work there have copies of what they read. Stop them, commit what is to stay, make a copy with 'stemma backup restore %[1]s copy', erase in it, 'stemma push --mirror --anew %[1]s' from it, and remove the caches of the machines; 'stemma gc --remote %[1]s' then removes the rows", url)
	case s.Repo.Partial() != nil:
		return errs.New(errs.Unsupported, "erase: this database has a part of another one; erase there, or 'fetch --complete' first")
	}
	return nil
}

// ready refuses tables that are nowhere.
func (e *erasing) ready() error {
	for _, t := range e.c.Tables {
		if !e.present[strings.ToLower(t)] {
			return offering(errs.NotFound, errs.Nearest(t, slices.Sorted(maps.Keys(e.names))), "erase: no commit has a table %s", t)
		}
	}
	return nil
}

// change makes the change of a commit's tables.
func (e *erasing) change(ctx context.Context, id history.CommitID, tx *repo.Tx) error {
	if e.query != "" {
		return e.run(ctx, id, tx, e.query)
	}
	for _, name := range e.c.Tables {
		v, written, ok, err := tx.Table(ctx, name)
		if err != nil {
			return err
		}
		if !ok {
			if err := e.note(ctx, tx); err != nil {
				return err
			}
			continue
		}
		e.present[strings.ToLower(name)] = true
		if err := e.delete(ctx, id, tx, v, written); err != nil {
			return err
		}
	}
	return nil
}

// note notes the tables that there are, for who has misspelled one.
func (e *erasing) note(ctx context.Context, tx *repo.Tx) error {
	names, err := tx.TableNames(ctx)
	for _, n := range names {
		e.names[n] = true
	}
	return err
}

// delete deletes rows of a table. One that many commits have, and to which no other refers, is searched once, where which rows go depends on
// nothing else.
func (e *erasing) delete(ctx context.Context, id history.CommitID, tx *repo.Tx, v *table.View, name string) error {
	children, err := tx.Children(ctx, name)
	if err != nil {
		return err
	}
	alone := len(children) == 0 && v.Overlay().Len() == 0 && !e.asks
	was, err := v.Table.Put(ctx, tx.Store())
	if err != nil {
		return err
	}
	key := string(was[:]) + string(v.Table.Schema.EncodeComments())
	if now, ok := e.clean[key]; ok && alone {
		if now == nil {
			return nil
		}
		return tx.PutTable(ctx, name, now)
	}
	if err := e.run(ctx, id, tx, "delete from "+schema.QuoteName(name)+" where ("+e.c.Where+")"); err != nil || !alone {
		return err
	}
	now, err := tx.FoldTable(ctx, name)
	if err != nil {
		return err
	}
	is, err := now.Put(ctx, tx.Store())
	switch {
	case err != nil:
		return err
	case is == was:
		e.clean[key] = nil
	case !e.c.DryRun: // a dry run does not keep the new table
		e.clean[key] = now
	}
	return nil
}

func (e *erasing) run(ctx context.Context, id history.CommitID, tx *repo.Tx, query string) error {
	return e.s.Evaluate(ctx, tx, query, func(statement string, err error) error {
		if !e.c.Continue {
			return errs.New(errs.Invalid, "%s: %w", errs.Excerpt(statement), err)
		}
		e.r.Hints = append(e.r.Hints, fmt.Sprintf("%s: %s", e.name(id), err))
		return nil
	})
}

// name is a commit, or what is not committed.
func (e *erasing) name(id history.CommitID) string {
	if id.IsZero() {
		return working
	}
	return id.String()
}

func (e *erasing) told(id history.CommitID, c repo.FilteredTable) {
	e.at[id] = append(e.at[id], c)
	t := e.tables[c.Name]
	if t == nil {
		t = &erasedTable{}
		e.tables[c.Name] = t
	}
	t.removed, t.modified = max(t.removed, c.RowsRemoved), max(t.modified, c.RowsModified)
	if !id.IsZero() {
		t.commits++
	}
}

// step lists what was changed at a commit, or what is not committed.
func (e *erasing) step(was, now history.CommitID) {
	for _, c := range e.at[was] {
		var to any
		if !was.IsZero() && was != now {
			to = now.String()
		}
		e.r.Add(e.name(was), to, c.Name, int64(c.RowsRemoved), int64(c.RowsModified))
	}
}

func (e *erasing) summary(done *repo.Filtered) {
	if len(e.at) == 0 {
		e.r.Printf("None of %s has such rows.", plural(uint64(done.Seen), "commit"))
		return
	}
	would := ""
	if e.c.DryRun {
		would = "would be "
	}
	for _, n := range slices.Sorted(maps.Keys(e.tables)) {
		t := e.tables[n]
		var what []string
		if t.removed > 0 {
			what = append(what, plural(t.removed, "row")+" "+would+"removed")
		}
		if t.modified > 0 {
			what = append(what, plural(t.modified, "row")+" "+would+"changed")
		}
		if len(what) == 0 {
			what = []string{would + "changed"}
		}
		e.r.Printf("%s: up to %s, at %s of %d.", n, strings.Join(what, " and "), plural(t.commits, "commit"), done.Seen)
	}
	if e.c.DryRun {
		return
	}
	for _, m := range []struct {
		what  string
		names []string
	}{{"Moved branches", done.Branches}, {"Moved tags", done.Tags}, {"Forgot branches of remotes", done.Tracks}} {
		if len(m.names) > 0 {
			e.r.Printf("%s: %s", m.what, strings.Join(m.names, ", "))
		}
	}
}

// collect removes from the files what no branch or tag has, and says what of it is left.
func (e *erasing) collect(ctx context.Context, done *repo.Filtered) error {
	rp := e.s.Repo
	e.s.hold.Release()
	task := e.s.Start("remove it from the files", 0, "chunks")
	got, err := rp.Collect(ctx, repo.CollectOptions{Full: true, Forget: true, Wait: true, Marked: func(n int) { task.Add(int64(n)) }})
	task.Done(err)
	if err != nil {
		return err
	}
	left, err := rp.ForgetAside() // readers of what was may have noted something until now
	if err != nil {
		return err
	}
	e.r.Printf("%s before, %s now.", megabytes(got.Before), megabytes(got.After))
	here := uint64(0)
	for _, id := range done.Made {
		has, err := rp.Store().Has(ctx, hash.Hash(id))
		if err != nil {
			return err
		}
		if has {
			here++
		}
	}
	if here > 0 {
		e.r.Hints = append(e.r.Hints, "somebody reads what was, and so it is in the files yet, of "+plural(here, "commit")+": run the same erase again when nobody does")
	}
	for _, d := range left {
		e.r.Hints = append(e.r.Hints, "old chunks may be in "+d+": remove it when no server runs")
	}
	return nil
}

// others says which branches remotes were last seen to have that are no branches here, and so stay as they are.
func (e *erasing) others() ([]string, error) {
	remotes, err := Remotes(e.s.Settings.Local)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, x := range remotes {
		var names []string
		for _, b := range e.s.Repo.Tracks() {
			short, ok := strings.CutPrefix(b.Name, x.Name+"/")
			if _, here := e.s.Repo.BranchHead(short); ok && !here {
				names = append(names, short)
			}
		}
		if len(names) > 0 {
			out = append(out, fmt.Sprintf("remote %[1]s has branches that are none here, and in which nothing is erased: %[2]s; 'fetch %[1]s', make a branch of each ('branch %[3]s %[1]s/%[3]s'), and erase again",
				x.Name, strings.Join(names, ", "), names[0]))
		}
	}
	return out, nil
}

// elsewhere says which other copies the database knows of.
func (e *erasing) elsewhere(ctx context.Context) error {
	if len(e.at) == 0 {
		return nil
	}
	remotes, err := Remotes(e.s.Settings.Local)
	if err != nil {
		return err
	}
	backups, err := Backups(e.s.Settings.Local)
	if err != nil {
		return err
	}
	runs := false
	err = e.s.Repo.Lineage().Each(ctx, func(lineage.Run, []lineage.Input, []lineage.Output) error { runs = true; return nil })
	if err != nil {
		return err
	}
	if runs {
		e.r.Hints = append(e.r.Hints, "runs were recorded, with the text of queries, which stays: see stemma_run_inputs")
	}
	for _, x := range remotes {
		e.r.Hints = append(e.r.Hints, fmt.Sprintf("remote %s (%s) has the rows if it had them: 'push --mirror --anew %s', and then 'gc --remote %s' removes them there", x.Name, x.URL, x.Name, x.Name))
	}
	for _, x := range backups {
		e.r.Hints = append(e.r.Hints, fmt.Sprintf("backup %s (%s) has the rows if it had them, in what it remembers of earlier syncs too: make it anew elsewhere, and remove this one", x.Name, x.URL))
	}
	return nil
}
