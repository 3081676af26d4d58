package op

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/value"
)

// runColumns are the columns of what verbs tell of runs, named as those of stemma_runs.
var runColumns = []Column{
	Text("run_uid"), Text("system"), Text("external_id"), Text("parent_uid"), Text("job"), Moment("started_at"), Moment("ended_at"),
	Text("state"), Text("user"), Text("host"), Text("git_sha"), Flag("git_dirty"), Document("params"), Text("error"),
	Text("base_commit"), Text("result_commit"), Text("branch"), Text("message"), Whole("dropped_inputs"),
}

// runRow are a run's cells in runColumns.
func runRow(r *lineage.Run) []any {
	var started, ended, params any
	if !r.Started.IsZero() {
		started = r.Started.UTC()
	}
	if !r.Ended.IsZero() {
		ended = r.Ended.UTC()
	}
	if r.Params != "" {
		params = string(value.AppendJSONText(nil, []byte(r.Params)))
	}
	return []any{
		r.UID, r.System, r.ExternalID, r.Parent, r.Job, started, ended, r.State, r.User, r.Host, r.GitSHA, Truth(r.GitDirty), params, r.Error,
		r.BaseCommit, r.ResultCommit, r.Branch, r.Message, r.Dropped,
	}
}

// canonicalJSON is the canonical form of a JSON text that a user gave, "" of "" and null; what says which it is.
func canonicalJSON(what, text string) (string, error) {
	if text == "" || text == "null" {
		return "", nil
	}
	b, err := value.CanonicalJSON(nil, []byte(text))
	if err != nil {
		return "", errs.New(errs.Invalid, "%s: not JSON: %w", what, err)
	}
	return string(b), nil
}

// fullCommit is the hash in full of a revision; "" of "".
func (s *Scope) fullCommit(ctx context.Context, rev string) (string, error) {
	if rev == "" {
		return "", nil
	}
	id, err := s.Repo.Resolve(ctx, rev, s.branch())
	if err != nil {
		return "", err
	}
	return id.Full(), nil
}

// findRun is the run that a user names: by its id, by what its system calls it, or by the first eight or more characters of its id.
func (s *Scope) findRun(ctx context.Context, name string) (lineage.Run, error) {
	var none lineage.Run
	if name == "" {
		return none, errs.New(errs.Invalid, "name a run: its id, or what its system calls it")
	}
	book := s.Repo.Lineage()
	if uid, err := lineage.ParseUID(name); err == nil {
		run, ok, err := book.Run(ctx, uid)
		if err != nil || ok {
			return run, err
		}
	}
	found, err := book.RunsBySystem(ctx, "", name)
	if err != nil {
		return none, err
	}
	if len(found) == 0 && len(name) >= 8 {
		l := strings.ToLower(name)
		err := book.EachRun(ctx, func(r lineage.Run) (bool, error) {
			if strings.HasPrefix(r.UID, l) {
				found = append(found, r)
			}
			return len(found) < 3, nil
		})
		if err != nil {
			return none, err
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return none, errs.New(errs.Invalid, "run '%s' is ambiguous: it may be %s or %s", name, found[0].UID, found[1].UID)
	}
	var ids []string
	err = book.EachRun(ctx, func(r lineage.Run) (bool, error) {
		ids = append(ids, r.UID)
		if r.ExternalID != "" {
			ids = append(ids, r.ExternalID)
		}
		return len(ids) < 1000, nil
	})
	if err != nil {
		return none, err
	}
	return none, offering(errs.NotFound, errs.Nearest(name, ids), "run not found: %s", name)
}

// RunStart is the verb that records the start of a run.
type RunStart struct {
	UID        string `arg:"1" name:"run" value:"uuid" help:"the run's id, a UUID; one is made when it is left out"`
	System     string `flag:"system" default:"cli" value:"name" help:"what runs it: kedro, metaflow, cli, spark, …"`
	ExternalID string `flag:"external-id" value:"id" help:"what that system calls the run"`
	Parent     string `flag:"parent" value:"uuid" help:"the run that started this one"`
	Job        string `flag:"job" value:"name" help:"what is run: a pipeline, a flow, a script"`
	Params     string `flag:"params" value:"json" help:"the run's parameters"`
	GitSHA     string `flag:"git-sha" name:"git_sha" value:"sha" help:"commit of the code"`
	GitDirty   bool   `flag:"git-dirty" help:"the code has changes that are not committed"`
	Branch     string `flag:"branch" value:"branch" complete:"branch" help:"the branch that the run works on"`
	Base       string `flag:"base" value:"revision" complete:"ref" help:"the commit that it reads"`
	User       string `flag:"user" value:"name" help:"who runs it; the author unless told otherwise"`
	Host       string `flag:"host" value:"name" help:"where"`
	Message    string `flag:"message,m" value:"text" help:"why"`
}

func runStartSpec() Spec {
	return Define[RunStart](Spec{
		Name: "run start", Columns: runColumns, Group: GroupLineage, Needs: NeedDatabase,
		Short: "Record that a run begins, and name it",
		Long: `What sessions read and commit once they name the run, by SET @@stemma_run = '<uuid>' or the header stemma-run, is recorded as the
run's. A run that is started again with the same system and external id goes on (a retry); another run of the same id is an error.`,
		Examples: []Example{{"run start --job nightly --system cron", "the id of a new run is printed"}},
	})
}

// Run records the start.
func (c *RunStart) Run(ctx context.Context, s *Scope) (*Result, error) {
	run, err := c.start(ctx, s)
	if err != nil {
		return nil, err
	}
	return runResult(&run, run.UID), nil
}

// runResult is the answer of verbs that change one run: its row, and a line for people.
func runResult(run *lineage.Run, line string) *Result {
	return &Result{Columns: runColumns, Rows: [][]any{runRow(run)}, Lines: []string{line}}
}

func (c *RunStart) start(ctx context.Context, s *Scope) (lineage.Run, error) {
	var err error
	run := lineage.Run{
		System: c.System, ExternalID: c.ExternalID, Job: c.Job, GitSHA: c.GitSHA, GitDirty: c.GitDirty, Branch: c.Branch,
		User: c.User, Host: c.Host, Message: c.Message,
	}
	if c.UID == "" {
		run.UID = lineage.NewUID(s.Repo.Clock().Now())
	} else if run.UID, err = lineage.ParseUID(c.UID); err != nil {
		return run, err
	}
	if c.Parent != "" {
		if run.Parent, err = lineage.ParseUID(c.Parent); err != nil {
			return run, err
		}
	}
	if run.User == "" {
		run.User = s.Author.Name
	}
	if run.Params, err = canonicalJSON("run start: --params", c.Params); err != nil {
		return run, err
	}
	if run.BaseCommit, err = s.fullCommit(ctx, c.Base); err != nil {
		return run, err
	}
	return s.Repo.StartRun(ctx, run)
}

// RunEnd is the verb that records the end of a run.
type RunEnd struct {
	UID          string `arg:"1" name:"run" required:"true" value:"run" help:"the run"`
	State        string `flag:"state" default:"COMPLETE" enum:"COMPLETE,FAIL,ABORT" help:"how it ended"`
	Error        string `flag:"error" value:"text" help:"why it failed"`
	ResultCommit string `flag:"result-commit" value:"revision" complete:"ref" help:"the commit that it left"`
}

func runEndSpec() Spec {
	return Define[RunEnd](Spec{
		Name: "run end", Columns: runColumns, Group: GroupLineage, Needs: NeedDatabase,
		Short:    "Record that a run has ended, and how",
		Examples: []Example{{"run end --state FAIL --error 'no input' 0190d6f3-7c1e-7b5a-9a53-0d1c2f3a4b5c", "a run that failed"}},
	})
}

// Run records the end.
func (c *RunEnd) Run(ctx context.Context, s *Scope) (*Result, error) {
	run, err := s.findRun(ctx, c.UID)
	if err != nil {
		return nil, err
	}
	commit, err := s.fullCommit(ctx, c.ResultCommit)
	if err != nil {
		return nil, err
	}
	if !run.Ended.IsZero() {
		if run.State == c.State {
			return runResult(&run, endLine(&run)), nil // asked for again
		}
		return nil, errs.New(errs.Invalid, "run end %s: it has ended already: %s", run.UID, run.State)
	}
	run, err = s.Repo.EndRun(ctx, run.UID, func(r *lineage.Run) {
		r.State, r.Error = c.State, c.Error
		if commit != "" {
			r.ResultCommit = commit
		}
	})
	if err != nil {
		return nil, err
	}
	out := runResult(&run, endLine(&run))
	if run.Dropped > 0 {
		out.Hints = append(out.Hints, dropHint(&run))
	}
	return out, nil
}

func endLine(r *lineage.Run) string { return "Run " + r.UID + ": " + r.State }

// RunList is the verb that lists runs.
type RunList struct {
	System string        `flag:"system" value:"name" help:"only runs of this system"`
	State  string        `flag:"state" value:"state" enum:"START,RUNNING,COMPLETE,FAIL,ABORT" help:"only runs in this state"`
	Job    string        `flag:"job" value:"name" help:"only runs of this job"`
	Parent string        `flag:"parent" value:"uuid" help:"only runs that this run started"`
	Dead   bool          `flag:"dead" help:"only runs that have not ended though they began long ago: see --older"`
	Older  time.Duration `flag:"older" default:"24h" help:"with --dead: how long ago"`
	Limit  int           `flag:"limit,n" number:"true" default:"100" help:"at most so many; 0 for all"`
}

func runListSpec() Spec {
	return Define[RunList](Spec{
		Name: "run list", Columns: runColumns, Group: GroupLineage, Needs: NeedDatabase, ReadOnly: true,
		Short:    "List runs, the last started first",
		Long:     "A run that died before it could say so stays RUNNING: --dead lists those.",
		Examples: []Example{{"run list --system kedro -n 5", "the last five runs of Kedro"}, {"run list --dead", "runs that never ended"}},
	})
}

// Run lists.
func (c *RunList) Run(ctx context.Context, s *Scope) (*Result, error) {
	if c.Limit < 0 {
		return nil, errs.New(errs.Invalid, "run list: --limit must not be negative")
	}
	parent := c.Parent
	if parent != "" {
		run, err := s.findRun(ctx, parent)
		if err != nil {
			return nil, err
		}
		parent = run.UID
	}
	since := s.Repo.Clock().Now().Add(-c.Older)
	r := &Result{Columns: runColumns, Lines: []string{}}
	err := s.Repo.Lineage().EachRun(ctx, func(run lineage.Run) (bool, error) {
		switch {
		case c.System != "" && run.System != c.System, c.State != "" && run.State != c.State, c.Job != "" && run.Job != c.Job,
			parent != "" && run.Parent != parent:
			return true, nil
		case c.Dead && (!run.Ended.IsZero() || run.Started.After(since)):
			return true, nil
		}
		r.Rows = append(r.Rows, runRow(&run))
		r.Printf("%s  %-8s  %s", run.UID, run.State, run.Title())
		return c.Limit == 0 || len(r.Rows) < c.Limit, nil
	})
	return r, err
}

// RunShow is the verb that tells all about a run.
type RunShow struct {
	UID string `arg:"1" name:"run" required:"true" value:"run" help:"the run: its id, the beginning of it, or what its system calls it"`
}

func runShowSpec() Spec {
	return Define[RunShow](Spec{
		Name: "run show", Columns: runColumns, Group: GroupLineage, Needs: NeedDatabase, ReadOnly: true,
		Short:    "Show a run, what it read and what it wrote",
		Examples: []Example{{"run show 0190d6f3", "the run whose id begins so"}},
	})
}

// runDetail is the structured answer of run show.
type runDetail struct {
	Inputs   []inputJSON  `json:"inputs"`
	Outputs  []outputJSON `json:"outputs"`
	Children []string     `json:"children"`
}

// inputJSON is an input as JSON says it, in answers and in what run record is given.
type inputJSON struct {
	Seq       int64           `json:"seq"`
	DB        string          `json:"db,omitempty"`
	Table     string          `json:"table,omitempty"`
	Query     string          `json:"query,omitempty"`
	Ref       string          `json:"ref,omitempty"`
	Commit    string          `json:"commit,omitempty"`
	Hash      string          `json:"hash,omitempty"`
	Columns   json.RawMessage `json:"columns,omitempty"`
	Predicate string          `json:"predicate,omitempty"`
	Rows      *int64          `json:"rows,omitempty"`
	Node      string          `json:"node,omitempty"`
	Attempt   string          `json:"attempt,omitempty"`
	Alias     string          `json:"alias,omitempty"`
	Mapping   json.RawMessage `json:"mapping,omitempty"`
}

// outputJSON is the same of an output.
type outputJSON struct {
	Seq           int64           `json:"seq"`
	DB            string          `json:"db,omitempty"`
	Table         string          `json:"table"`
	Before        string          `json:"before,omitempty"`
	After         string          `json:"after,omitempty"`
	Commit        string          `json:"commit,omitempty"`
	Via           string          `json:"via,omitempty"`
	Added         *int64          `json:"rows_added,omitempty"`
	Deleted       *int64          `json:"rows_deleted,omitempty"`
	Modified      *int64          `json:"rows_modified,omitempty"`
	SchemaChanged bool            `json:"schema_changed,omitempty"`
	Node          string          `json:"node,omitempty"`
	Attempt       string          `json:"attempt,omitempty"`
	Alias         string          `json:"alias,omitempty"`
	ColumnLineage json.RawMessage `json:"column_lineage,omitempty"`
}

// rawJSON is canonical JSON as part of other JSON; nil of "".
func rawJSON(canonical string) json.RawMessage {
	if canonical == "" {
		return nil
	}
	return value.AppendJSONText(nil, []byte(canonical))
}

func inputToJSON(x *lineage.Input) inputJSON {
	return inputJSON{
		Seq: x.Seq, DB: x.DB, Table: x.Table, Query: x.Query, Ref: x.Ref, Commit: x.Commit, Hash: x.Hash, Columns: rawJSON(x.Columns),
		Predicate: x.Predicate, Rows: x.Rows, Node: x.Node, Attempt: x.Attempt, Alias: x.Alias, Mapping: rawJSON(x.Mapping),
	}
}

func outputToJSON(x *lineage.Output) outputJSON {
	return outputJSON{
		Seq: x.Seq, DB: x.DB, Table: x.Table, Before: x.Before, After: x.After, Commit: x.Commit, Via: x.Via, Added: x.Added,
		Deleted: x.Deleted, Modified: x.Modified, SchemaChanged: x.SchemaChanged, Node: x.Node, Attempt: x.Attempt, Alias: x.Alias,
		ColumnLineage: rawJSON(x.ColumnLineage),
	}
}

// Run shows.
func (c *RunShow) Run(ctx context.Context, s *Scope) (*Result, error) {
	if err := s.Repo.FlushReads(ctx); err != nil {
		return nil, err
	}
	run, err := s.findRun(ctx, c.UID)
	if err != nil {
		return nil, err
	}
	book := s.Repo.Lineage()
	ins, err := book.InputsOf(ctx, run.UID)
	if err != nil {
		return nil, err
	}
	outs, err := book.OutputsOf(ctx, run.UID)
	if err != nil {
		return nil, err
	}
	children, err := book.Children(ctx, run.UID)
	if err != nil {
		return nil, err
	}
	r := &Result{Columns: runColumns, Rows: [][]any{runRow(&run)}, Lines: []string{}}
	d := runDetail{Inputs: []inputJSON{}, Outputs: []outputJSON{}, Children: []string{}}
	r.Printf("run      %s\nsystem   %s\nstate    %s", run.UID, run.System, run.State)
	for _, x := range []struct{ name, text string }{
		{"id", run.ExternalID}, {"job", run.Job}, {"parent", run.Parent}, {"user", run.User}, {"host", run.Host}, {"code", codeText(&run)},
		{"params", string(rawJSON(run.Params))}, {"branch", run.Branch}, {"base", run.BaseCommit}, {"result", run.ResultCommit},
		{"message", run.Message}, {"error", run.Error},
	} {
		if x.text != "" {
			r.Printf("%-8s %s", x.name, x.text)
		}
	}
	if !run.Started.IsZero() {
		r.Printf("%-8s %s", "started", run.Started.Format(timeLayout))
	}
	if !run.Ended.IsZero() {
		r.Printf("%-8s %s", "ended", run.Ended.Format(timeLayout))
	}
	for i := range ins {
		d.Inputs = append(d.Inputs, inputToJSON(&ins[i]))
		r.Printf("read     %s", inputText(&ins[i]))
	}
	for i := range outs {
		d.Outputs = append(d.Outputs, outputToJSON(&outs[i]))
		r.Printf("wrote    %s", outputText(&outs[i]))
	}
	for i := range children {
		d.Children = append(d.Children, children[i].UID)
		r.Printf("started  %s  %s", children[i].UID, children[i].Title())
	}
	if run.Dropped > 0 {
		r.Hints = append(r.Hints, dropHint(&run))
	}
	return r, r.SetDetail(d)
}

// timeLayout shows times of runs.
const timeLayout = "2006-01-02 15:04:05.000000 UTC"

func dropHint(r *lineage.Run) string {
	return "some of what run " + r.UID + " read could not be recorded: see dropped_inputs in stemma_runs"
}

func codeText(r *lineage.Run) string {
	if r.GitSHA != "" && r.GitDirty {
		return r.GitSHA + " with changes"
	}
	return r.GitSHA
}

// shortHash is how people are shown a hash.
func shortHash(full string) string {
	if len(full) > 32 {
		return full[:32]
	}
	return full
}

func inputText(x *lineage.Input) string {
	s := x.Table
	if s == "" {
		s = x.Query
	}
	if x.Ref != "" {
		s += "@" + x.Ref
	}
	if x.Hash != "" {
		s += " table " + shortHash(x.Hash)
	}
	if x.Commit != "" {
		s += " commit " + shortHash(x.Commit)
	}
	return s
}

func outputText(x *lineage.Output) string {
	s := x.Table
	switch {
	case x.After == "":
		s += " (dropped)"
	default:
		s += " table " + shortHash(x.After)
	}
	if x.Commit != "" {
		s += " commit " + shortHash(x.Commit)
	}
	if x.Via != "" {
		s += " (made after " + shortHash(x.Via) + ")"
	}
	return s
}

// RunRecord is the verb that records what a run says it has read and written.
type RunRecord struct {
	UID     string `arg:"1" name:"run" required:"true" value:"run" help:"the run"`
	Inputs  string `flag:"inputs" value:"json" help:"array of objects: table, db, ref, commit, hash, query, columns, predicate, rows, node, attempt, alias, mapping"`
	Outputs string `flag:"outputs" value:"json" help:"array of objects: table, db, before, after, commit, rows_added, rows_deleted, rows_modified, node, attempt, alias, column_lineage"`
}

func runRecordSpec() Spec {
	return Define[RunRecord](Spec{
		Name: "run record", Columns: runColumns, Group: GroupLineage, Needs: NeedDatabase,
		Short: "Record what a run has read or written elsewhere",
		Long: `The server records by itself what sessions read and commit in it. This is for what it does not see. An input with a table and a ref or
commit of this database gets its hash from there. mapping is an object {"column written": "column read"} by which rows that the run wrote lead to
rows that it read.`,
		Examples: []Example{{`run record --inputs '[{"table": "prices.csv", "db": "s3://bucket", "hash": "etag-1"}]' 0190d6f3`, "a file that the run read"}},
	})
}

// Run records.
func (c *RunRecord) Run(ctx context.Context, s *Scope) (*Result, error) {
	run, err := s.findRun(ctx, c.UID)
	if err != nil {
		return nil, err
	}
	var ins []lineage.Input
	var outs []lineage.Output
	if c.Inputs != "" {
		if ins, err = s.inputsFromJSON(ctx, c.Inputs); err != nil {
			return nil, err
		}
	}
	if c.Outputs != "" {
		if outs, err = outputsFromJSON(c.Outputs); err != nil {
			return nil, err
		}
	}
	if len(ins)+len(outs) == 0 {
		return nil, errs.New(errs.Invalid, "run record: give --inputs or --outputs")
	}
	if err := s.Repo.RecordRun(ctx, run.UID, ins, outs); err != nil {
		return nil, err
	}
	return runResult(&run, "Recorded."), nil
}

// strictJSON decodes an array of objects; what says which.
func strictJSON(what, text string, to any) error {
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return errs.New(errs.Invalid, "%s: %w", what, err)
	}
	return nil
}

func (s *Scope) inputsFromJSON(ctx context.Context, text string) ([]lineage.Input, error) {
	var list []inputJSON
	if err := strictJSON("run record: --inputs", text, &list); err != nil {
		return nil, err
	}
	var out []lineage.Input
	for _, x := range list {
		if x.Table == "" && x.Query == "" {
			return nil, errs.New(errs.Invalid, "run record: --inputs: an input needs a table or a query")
		}
		in := lineage.Input{
			DB: x.DB, Table: x.Table, Query: x.Query, Ref: x.Ref, Commit: x.Commit, Hash: x.Hash, Predicate: x.Predicate, Rows: x.Rows,
			Node: x.Node, Attempt: x.Attempt, Alias: x.Alias,
		}
		var err error
		if in.Columns, err = canonicalJSON("run record: columns", string(x.Columns)); err != nil {
			return nil, err
		}
		if in.Mapping, err = canonicalJSON("run record: mapping", string(x.Mapping)); err != nil {
			return nil, err
		}
		if err := s.completeInput(ctx, &in); err != nil {
			return nil, err
		}
		out = append(out, in)
	}
	return out, nil
}

// completeInput sets the hash and the commit of an input of this database that was declared by its ref.
func (s *Scope) completeInput(ctx context.Context, in *lineage.Input) error {
	if in.DB == "" {
		in.DB = s.Repo.Name()
	}
	rev := in.Commit
	if rev == "" {
		rev = in.Ref
	}
	if in.Table == "" || in.Hash != "" || rev == "" || !strings.EqualFold(in.DB, s.Repo.Name()) {
		return nil
	}
	id, err := s.Repo.Resolve(ctx, rev, s.branch())
	if err != nil {
		return err
	}
	snap, err := s.Repo.SnapshotAt(ctx, id)
	if err != nil {
		return err
	}
	v, written, ok, err := snap.Table(ctx, in.Table)
	if err != nil {
		return err
	}
	if !ok {
		return errs.New(errs.NotFound, "table not found: %s", in.Table)
	}
	n := int64(v.Count())
	in.Table, in.Commit, in.Hash, in.Rows = written, id.Full(), v.Table.Hash().Full(), &n
	return nil
}

func outputsFromJSON(text string) ([]lineage.Output, error) {
	var list []outputJSON
	if err := strictJSON("run record: --outputs", text, &list); err != nil {
		return nil, err
	}
	var out []lineage.Output
	for _, x := range list {
		if x.Table == "" {
			return nil, errs.New(errs.Invalid, "run record: --outputs: an output needs a table")
		}
		o := lineage.Output{
			DB: x.DB, Table: x.Table, Before: x.Before, After: x.After, Commit: x.Commit, Via: x.Via, Added: x.Added, Deleted: x.Deleted,
			Modified: x.Modified, SchemaChanged: x.SchemaChanged, Node: x.Node, Attempt: x.Attempt, Alias: x.Alias,
		}
		var err error
		if o.ColumnLineage, err = canonicalJSON("run record: column_lineage", string(x.ColumnLineage)); err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}
