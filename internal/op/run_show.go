package op

import (
	"context"
	"encoding/json"

	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/value"
)

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
	case x.Dropped():
		s += " (dropped)"
	case x.After == "":
		s += " (version not known)"
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
