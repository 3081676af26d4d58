package op

import (
	"context"
	"errors"
	"io"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/repo"
)

// importedColumns are the columns of what lineage import answers.
var importedColumns = []Column{Whole("events"), Whole("skipped"), Whole("runs"), Whole("inputs"), Whole("outputs")}

// LineageImport is the verb that takes in the lineage of other systems.
type LineageImport struct {
	File      string `flag:"openlineage" required:"true" value:"file" complete:"file" help:"a file of events of OpenLineage, one a line"`
	Namespace string `flag:"namespace" default:"stemma://localhost" value:"uri" help:"the namespace of datasets that are tables of databases here, named database.table"`
}

func lineageImportSpec() Spec {
	return Define[LineageImport](Spec{
		Name: "lineage import", Columns: importedColumns, Group: GroupLineage, Needs: NeedDatabase,
		Short: "Read runs from events of OpenLineage",
		Long: `Events of one run are joined, with what is known of it already; events that come again change nothing. Datasets of other namespaces keep
their names, and are followed by their versions. All of the file is taken, or nothing: an event that cannot be read is an error that names the line.`,
		Examples: []Example{{"lineage import --openlineage events.ndjson", "what a scheduler has written"}},
	})
}

// Run reads.
func (c *LineageImport) Run(ctx context.Context, s *Scope) (_ *Result, err error) {
	f, err := s.fs().Open(s.path(c.File))
	if err != nil {
		return nil, errs.New(errs.CodeOf(err), "read %s: %w", c.File, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Size()
	if err != nil {
		return nil, errs.New(errs.CodeOf(err), "read %s: %w", c.File, err)
	}
	var n lineage.Imported
	err = s.Repo.ChangeLineage(ctx, func(w *repo.LineageTx) error {
		var err error
		n, err = lineage.ImportOpenLineage(ctx, w, io.NewSectionReader(f, 0, size), lineage.OpenLineageOptions{Namespace: c.Namespace, DB: s.Repo.Name()})
		return err
	})
	if err != nil {
		return nil, errs.New(errs.CodeOf(err), "read %s: %w", c.File, err)
	}
	r := Say("Read %d events: %d new runs, %d inputs, %d outputs.", n.Events, n.Runs, n.Inputs, n.Outputs)
	if n.Skipped > 0 {
		r.Hints = append(r.Hints, "events of jobs and datasets tell of no run and are left out")
	}
	r.Columns, r.Rows = importedColumns, [][]any{{n.Events, n.Skipped, n.Runs, n.Inputs, n.Outputs}}
	return r, nil
}
