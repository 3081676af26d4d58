package op

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/ingest"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/table"
)

// exportColumns are the columns of what table export answers.
var exportColumns = []Column{Whole("rows")}

// TableExport is the verb that writes a table to a file.
type TableExport struct {
	Force    bool   `flag:"force,f" help:"overwrite the file if it exists"`
	Type     string `flag:"file-type" enum:"csv,psv,tsv,jsonl,json,parquet,arrow,arrows" help:"what the file is to be; by its name otherwise. psv has | between fields, arrows is the stream format of Arrow"`
	Delim    string `flag:"delim" value:"char" help:"the character between fields; \\t is a tab"`
	NoHeader bool   `flag:"no-header" help:"leave out the line of column names"`
	Map      string `flag:"map,m" value:"file" complete:"file" help:"JSON object of column to the name that it has in the file"`
	Keys     string `flag:"pk" hidden:"true" help:"accepted for compatibility: rows come in the order of the table's key"`
	Schema   string `flag:"schema,s" hidden:"true" help:"accepted for compatibility: a CSV file has no types"`
	Continue bool   `flag:"continue" hidden:"true" help:"accepted for compatibility: every row can be written"`
	Table    string `arg:"1" required:"true" complete:"table" value:"table[@revision]" help:"the table, of the working set unless a revision is given"`
	File     string `arg:"2" complete:"file" help:"the file; standard output when it is - or missing"`
}

func tableExportSpec() Spec {
	return Define[TableExport](Spec{
		Name: "table export", Columns: exportColumns, Group: GroupData, Needs: NeedDatabase, ReadOnly: true,
		Short: "Write a table to a file", Call: []string{"export"},
		Long: `Rows come in the order of the primary key. In CSV NULL is an empty field, an empty string is "". In JSON members that are NULL are
left out, and bytes are in base64. Parquet and Arrow keep all types, and the primary key. Files of text may be compressed: prices.csv.gz,
prices.jsonl.zst.

In SQL it is CALL stemma_export('prices@v1', 'prices.parquet'): for users with the right to execute it, to files in the server's directory
@@secure_file_priv.`,
		Examples: []Example{
			{"table export prices prices.csv", "the working set's"},
			{"table export prices@HEAD~1 old.csv", "the commit's before"},
			{"table export prices prices.parquet", "as Parquet"},
			{"table export prices -", "to standard output"},
		},
	})
}

// Run exports.
func (c *TableExport) Run(ctx context.Context, s *Scope) (_ *Result, err error) {
	v, err := c.view(ctx, s)
	if err != nil {
		return nil, err
	}
	format, err := fileFormat(c.File, c.Type, c.Delim, c.NoHeader)
	if err != nil {
		return nil, err
	}
	if format.Rename, err = readMap(s, c.Map); err != nil {
		return nil, err
	}
	if format.Columnar() {
		var free func() error
		if v, free, err = foldedView(ctx, s, v); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, free()) }()
	}
	task := s.Start("export "+c.Table, int64(v.Count()), "rows")
	defer func() { task.Done(err) }()
	if c.File == "" || c.File == "-" {
		if s.Out == nil {
			return nil, errs.New(errs.Invalid, "table export: there is no standard output; name a file")
		}
		_, err := ingest.Export(ctx, s.Out, v, format, task.Add)
		return &Result{Lines: []string{}}, err
	}
	var n uint64
	err = writeFile(s, c.File, c.Force, func(w io.Writer) (err error) {
		n, err = ingest.Export(ctx, w, v, format, task.Add)
		return err
	})
	if err != nil {
		return nil, err
	}
	r := Say("Successfully exported data.")
	r.Columns, r.Rows = exportColumns, [][]any{{int64(n)}}
	return r, nil
}

// view is the table that the argument names.
func (c *TableExport) view(ctx context.Context, s *Scope) (*table.View, error) {
	name, ref, at := c.Table, "", strings.LastIndexByte(c.Table, '@')
	if at >= 0 {
		name, ref = c.Table[:at], c.Table[at+1:]
	}
	var snap *repo.Snapshot
	read := repo.Read{Ref: ref, Working: at < 0}
	if at < 0 {
		var err error
		if snap, err = s.Repo.SnapshotWorking(s.branch()); err != nil {
			return nil, err
		}
		read.Commit, _ = s.Repo.BranchHead(s.branch())
	} else {
		var err error
		if read.Commit, err = s.Repo.Resolve(ctx, ref, s.branch()); err != nil {
			return nil, err
		}
		if snap, err = s.Repo.SnapshotAt(ctx, read.Commit); err != nil {
			return nil, err
		}
	}
	v, written, ok, err := snap.Table(ctx, name)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, notATable(ctx, snap, name)
	}
	read.Table, read.View = written, v
	s.Repo.NoteRead(ctx, read)
	return v, nil
}

// foldedView is a view without overlay: record batches are made of pages. What it takes beside the database is gone after free.
func foldedView(ctx context.Context, s *Scope, v *table.View) (_ *table.View, free func() error, err error) {
	if v.Overlay().Len() == 0 {
		return v, func() error { return nil }, nil
	}
	batch, _, free, err := scratch(s, s.Repo)
	if err != nil {
		return nil, nil, err
	}
	t, err := v.Fold(ctx, batch)
	if err != nil {
		return nil, nil, errors.Join(err, free())
	}
	return table.NewView(batch, t, nil), free, nil
}
