package lineage

import (
	"strings"
	"time"

	"github.com/stemmadb/stemma/internal/schema"
)

// The system tables.
const (
	Runs    = "stemma_runs"
	Inputs  = "stemma_run_inputs"
	Outputs = "stemma_run_outputs"
)

// Edges is the view of the system tables that pairs what a run read with what it wrote.
const Edges = "stemma_lineage_edges"

// Tables are the names of the system tables that are kept as tables.
func Tables() []string { return []string{Inputs, Outputs, Runs} }

// State is how far a run has come. A run that died stays RUNNING.
type State = string

// The states, named as OpenLineage names them.
const (
	Start    State = "START"
	Running  State = "RUNNING"
	Complete State = "COMPLETE"
	Fail     State = "FAIL"
	Abort    State = "ABORT"
)

// Anonymous is the system of a run that a session named before anything else was known of it.
const Anonymous = "sql"

// Run is a run of a pipeline, a flow, a script or a session of SQL.
type Run struct {
	UID          string // a UUID in lower case
	System       string // "kedro", "metaflow", "cli", "sql", "openlineage", …
	ExternalID   string // what the system calls the run
	Parent       string // UID of the run that started this one; "" for none
	Job          string // what was run: a pipeline, a flow
	Started      time.Time
	Ended        time.Time // zero while it runs
	State        State
	User, Host   string
	GitSHA       string // of the code
	GitDirty     bool   // the code had changes that are not in GitSHA
	Params       string // canonical JSON, "" for none
	Error        string
	BaseCommit   string // at which it read, where it works on one
	ResultCommit string // that it left
	Branch       string
	Message      string
	Dropped      int64 // inputs that could not be recorded
}

// Input is something that a run read: a table at a version, or a query.
type Input struct {
	Run       string
	Seq       int64
	DB        string // database, or the dataset's namespace where another system said so
	Table     string // "" for a query on no table
	Query     string // text of the statement; "" where there was none
	QueryHash string // of the text
	Ref       string // as the run asked for it; "" for the working set
	Commit    string // at which the table was read; "" for a working set that differs from its commit
	Hash      string // of the table; "" where it was not computed
	Columns   string // JSON array of those that were read, in the table's order; "" for all
	Predicate string
	Rows      *int64 // of the table
	Node      string // of the pipeline; a step
	Attempt   string
	Alias     string // the dataset's name in the pipeline
	Mapping   string // JSON object {"column written": "column read"}: how rows written lead to rows read; "" for shared names
}

// Output is a change of a table that a run committed.
type Output struct {
	Run           string
	Seq           int64
	DB            string
	Table         string
	Before        string // hash of the table in the commit's first parent; "" when it is new
	After         string // "" when it was dropped, or the version is not known: see Dropped
	Commit        string
	Via           string // the commit of which Commit is a copy (cherry-pick, rebase, amend); "" where the run made Commit itself
	Added         *int64 // rows; nil where counting them would have taken longer than making the commit
	Deleted       *int64
	Modified      *int64
	SchemaChanged bool
	Node          string
	Attempt       string
	Alias         string
	ColumnLineage string // JSON object {"column": [["table", "column", "kind", "database"], …]}: see Origin; "" where no statement told
}

// Dropped tells that the table was taken away. One of which just the version is not known has no hash before either, and its schema is not
// said to have changed.
func (o *Output) Dropped() bool { return o.After == "" && (o.Before != "" || o.SchemaChanged) }

// hashLen is the length of a hash in full.
const hashLen = 52

var runs = &kind[Run]{
	table: Runs,
	key:   []string{"run_uid"},
	indexes: [][]string{
		{"external_id", "system"}, {"parent_uid"}, {"started_at"}, {"state"},
	},
	fields: []field[Run]{
		name("run_uid", 36, false, func(r *Run) *string { return &r.UID }),
		name("system", 64, false, func(r *Run) *string { return &r.System }),
		name("external_id", 255, true, func(r *Run) *string { return &r.ExternalID }),
		name("parent_uid", 36, true, func(r *Run) *string { return &r.Parent }),
		name("job", 1023, true, func(r *Run) *string { return &r.Job }),
		moment("started_at", func(r *Run) *time.Time { return &r.Started }),
		moment("ended_at", func(r *Run) *time.Time { return &r.Ended }),
		name("state", 16, false, func(r *Run) *string { return &r.State }),
		name("user", 255, true, func(r *Run) *string { return &r.User }),
		name("host", 255, true, func(r *Run) *string { return &r.Host }),
		name("git_sha", 64, true, func(r *Run) *string { return &r.GitSHA }),
		flag("git_dirty", func(r *Run) *bool { return &r.GitDirty }),
		document("params", func(r *Run) *string { return &r.Params }),
		text("error", func(r *Run) *string { return &r.Error }),
		name("base_commit", hashLen, true, func(r *Run) *string { return &r.BaseCommit }),
		name("result_commit", hashLen, true, func(r *Run) *string { return &r.ResultCommit }),
		name("branch", 1023, true, func(r *Run) *string { return &r.Branch }),
		text("message", func(r *Run) *string { return &r.Message }),
		number("dropped_inputs", func(r *Run) *int64 { return &r.Dropped }),
	},
}

var inputs = &kind[Input]{
	table:   Inputs,
	key:     []string{"run_uid", "seq"},
	indexes: [][]string{{"table_hash", "table_name"}, {"commit_hash"}},
	fields: []field[Input]{
		name("run_uid", 36, false, func(r *Input) *string { return &r.Run }),
		number("seq", func(r *Input) *int64 { return &r.Seq }),
		name("db", 255, true, func(r *Input) *string { return &r.DB }),
		name("table_name", 255, true, func(r *Input) *string { return &r.Table }),
		text("query_text", func(r *Input) *string { return &r.Query }),
		name("query_hash", hashLen, true, func(r *Input) *string { return &r.QueryHash }),
		name("ref_asked", 1023, true, func(r *Input) *string { return &r.Ref }),
		name("commit_hash", hashLen, true, func(r *Input) *string { return &r.Commit }),
		name("table_hash", 255, true, func(r *Input) *string { return &r.Hash }),
		document("columns", func(r *Input) *string { return &r.Columns }),
		text("predicate", func(r *Input) *string { return &r.Predicate }),
		count("row_count", func(r *Input) **int64 { return &r.Rows }),
		name("node", 255, true, func(r *Input) *string { return &r.Node }),
		name("attempt", 64, true, func(r *Input) *string { return &r.Attempt }),
		name("dataset_alias", 255, true, func(r *Input) *string { return &r.Alias }),
		document("row_mapping", func(r *Input) *string { return &r.Mapping }),
	},
}

var outputs = &kind[Output]{
	table:   Outputs,
	key:     []string{"run_uid", "seq"},
	indexes: [][]string{{"after_hash", "table_name"}, {"commit_hash"}, {"table_name", "commit_hash"}},
	fields: []field[Output]{
		name("run_uid", 36, false, func(r *Output) *string { return &r.Run }),
		number("seq", func(r *Output) *int64 { return &r.Seq }),
		name("db", 255, true, func(r *Output) *string { return &r.DB }),
		name("table_name", 255, false, func(r *Output) *string { return &r.Table }),
		name("before_hash", 255, true, func(r *Output) *string { return &r.Before }),
		name("after_hash", 255, true, func(r *Output) *string { return &r.After }),
		name("commit_hash", hashLen, true, func(r *Output) *string { return &r.Commit }),
		name("via_commit", hashLen, true, func(r *Output) *string { return &r.Via }),
		count("rows_added", func(r *Output) **int64 { return &r.Added }),
		count("rows_deleted", func(r *Output) **int64 { return &r.Deleted }),
		count("rows_modified", func(r *Output) **int64 { return &r.Modified }),
		flag("schema_changed", func(r *Output) *bool { return &r.SchemaChanged }),
		name("node", 255, true, func(r *Output) *string { return &r.Node }),
		name("attempt", 64, true, func(r *Output) *string { return &r.Attempt }),
		name("dataset_alias", 255, true, func(r *Output) *string { return &r.Alias }),
		document("column_lineage", func(r *Output) *string { return &r.ColumnLineage }),
	},
}

// Schema is the schema of the system table of that name, matched without case; nil when there is none.
func Schema(table string) *schema.Schema {
	switch strings.ToLower(table) {
	case Runs:
		return runs.schema()
	case Inputs:
		return inputs.schema()
	case Outputs:
		return outputs.schema()
	}
	return nil
}
