package op

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/lineage"
)

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
	if d.More() {
		return errs.New(errs.Invalid, "%s: more follows the array", what)
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
		if in.Mapping != "" {
			if err := json.Unmarshal(x.Mapping, &map[string]string{}); err != nil {
				return nil, errs.New(errs.Invalid, "run record: mapping: want {\"column written\": \"column read\"}")
			}
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
		if _, err := o.Origins(); err != nil {
			return nil, errs.New(errs.Invalid, "run record: column_lineage of %s: want {\"column\": [[\"table\", \"column\"], …]}", x.Table)
		}
		out = append(out, o)
	}
	return out, nil
}
