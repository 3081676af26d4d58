package op

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/ingest"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/training"
)

// dataExportColumns are the columns of what data export answers.
var dataExportColumns = []Column{Text("item"), Text("file"), Whole("rows")}

// DataExport is the verb that writes the locked rows of a split to files.
type DataExport struct {
	Config    string `flag:"config" value:"file" complete:"file" default:"stemma.yaml" help:"the configuration"`
	Lock      string `flag:"lock" value:"file" complete:"file" help:"the lock file (default: the configuration's name with .lock)"`
	Split     string `flag:"split" required:"true" help:"which split"`
	Output    string `flag:"output,o" enum:"parquet,arrow,csv,jsonl" default:"parquet" help:"what the files are to be"`
	Directory string `flag:"directory,d" value:"dir" complete:"file" help:"where they go (default: a directory with the split's name)"`
	Force     bool   `flag:"force,f" help:"overwrite files that exist"`
}

func dataExportSpec() Spec {
	return Define[DataExport](Spec{
		Name: "data export", Columns: dataExportColumns, Group: GroupData, Needs: NeedDatabase, ReadOnly: true,
		Short: "Write the locked rows of a split to files",
		Long:  `A file for each item, named after its table. The rows are those of the lock, whatever the revisions mean now, in the same order and bytes.`,
		Examples: []Example{
			{"data export --split train -o parquet -d data", "the training data as Parquet"},
		},
	})
}

// Run exports.
func (c *DataExport) Run(ctx context.Context, s *Scope) (_ *Result, err error) {
	t, err := openTraining(s, c.Config, c.Lock, true)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.close(ctx)) }()
	i := slices.IndexFunc(t.lock.Splits, func(l training.LockedSplit) bool { return l.Name == c.Split })
	if i < 0 {
		var names []string
		for _, l := range t.lock.Splits {
			names = append(names, l.Name)
		}
		return nil, errs.New(errs.NotFound, "%s has no split %s; it has %s", t.lockAt, c.Split, strings.Join(names, ", "))
	}
	format, err := ingest.FormatOf("", c.Output)
	if err != nil {
		return nil, err
	}
	dir := c.Directory
	if dir == "" {
		dir = c.Split
	}
	if err := s.fs().MkdirAll(s.path(dir)); err != nil {
		return nil, errs.New(errs.CodeOf(err), "make directory %s: %w", dir, err)
	}
	r := &Result{Columns: dataExportColumns}
	taken := map[string]int{}
	for k := range t.lock.Splits[i].Items {
		pin := &t.lock.Splits[i].Items[k]
		name := strings.Trim(strings.ReplaceAll(pin.Database+"-"+pin.Table, "/", "_"), "-")
		if taken[name]++; taken[name] > 1 {
			name = fmt.Sprintf("%s-%d", name, taken[name])
		}
		file := dir + "/" + name + "." + c.Output
		n, err := c.item(ctx, t, pin, format, file)
		if err != nil {
			return nil, err
		}
		r.Add(pin.Item.String(), file, int64(n))
		r.Printf("%s: %d rows of %s", file, n, pin.Item)
	}
	return r, nil
}

// item writes a file.
func (c *DataExport) item(ctx context.Context, t *trainingRun, pin *training.Pin, format ingest.Format, file string) (n uint64, err error) {
	p, err := t.resolve(ctx, pin.Item, pin.Commit)
	if err != nil {
		return 0, err
	}
	v, free, err := t.rows(ctx, p)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, free()) }()
	// In the database whose run it is, for the others may be open for reading only.
	t.s.Repo.NoteReadOf(lineage.Of(ctx), p.r, repo.Read{
		Table: p.name, View: p.view, Ref: pin.Item.Ref, Commit: p.commit, Columns: p.item.Columns, Predicate: p.item.Where,
	})
	task := t.s.Start("export "+pin.Item.String(), int64(v.Count()), "rows")
	defer func() { task.Done(err) }()
	err = writeFile(t.s, file, c.Force, func(w io.Writer) (err error) {
		n, err = ingest.Export(ctx, w, v, format, task.Add)
		return err
	})
	return n, err
}
