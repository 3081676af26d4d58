package op

import (
	"context"
	"io"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
)

// openLineage are the events of runs in OpenLineage's form, a line each.
func (s *Scope) openLineage(ctx context.Context, uids []string) ([]string, error) {
	lines := []string{}
	book := s.Repo.Lineage()
	for _, uid := range uids {
		run, ok, err := book.Run(ctx, uid)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue // of which only commits tell
		}
		ins, err := book.InputsOf(ctx, uid)
		if err != nil {
			return nil, err
		}
		outs, err := book.OutputsOf(ctx, uid)
		if err != nil {
			return nil, err
		}
		more, err := s.openLineageOf(ctx, &run, ins, outs, "")
		if err != nil {
			return nil, err
		}
		lines = append(lines, more...)
	}
	return lines, nil
}

// openLineageOf are the events of a run. namespace is that of this database's datasets; "" makes it of the directory.
func (s *Scope) openLineageOf(ctx context.Context, run *lineage.Run, ins []lineage.Input, outs []lineage.Output, namespace string) ([]string, error) {
	if namespace == "" {
		namespace = "stemma://localhost"
	}
	parentJob := ""
	if run.Parent != "" {
		parent, ok, err := s.Repo.Lineage().Run(ctx, run.Parent)
		if err != nil {
			return nil, err
		}
		if ok {
			parentJob = parent.JobName()
		}
	}
	var cache schema.Cache
	events, err := lineage.OpenLineageEvents(run, ins, outs, lineage.OpenLineageOptions{
		Namespace: namespace, DB: s.Repo.Name(), ParentJob: parentJob,
		Fields: func(h string) [][2]string {
			id, err := hash.Parse(h)
			if err != nil {
				return nil // a version of another system
			}
			t, err := table.Open(ctx, s.Repo.Store(), &cache, id, nil)
			if err != nil {
				return nil // of another database, or gone
			}
			var out [][2]string
			for i := range t.Schema.Columns {
				c := &t.Schema.Columns[i]
				out = append(out, [2]string{c.Name, c.Type.String()})
			}
			return out
		},
	})
	if err != nil {
		return nil, err
	}
	lines := make([]string, len(events))
	for i := range events {
		lines[i] = string(events[i])
	}
	return lines, nil
}

// LineageExport is the verb that writes the lineage for other systems.
type LineageExport struct {
	File      string `flag:"openlineage" required:"true" value:"file" complete:"file" help:"a file for events of OpenLineage, one a line; - is standard output"`
	Namespace string `flag:"namespace" default:"stemma://localhost" value:"uri" help:"of datasets and jobs: stemma://host:port"`
	UID       string `flag:"run" name:"run" value:"run" help:"only this run"`
}

func lineageExportSpec() Spec {
	return Define[LineageExport](Spec{
		Name: "lineage export", Columns: []Column{Whole("events")}, Group: GroupLineage, Needs: NeedDatabase, ReadOnly: true,
		Short:    "Write runs as events of OpenLineage",
		Long:     "The file gets one JSON object a line: of each run its start, and its end when it has ended. One that exists is replaced.",
		Examples: []Example{{"lineage export --openlineage events.ndjson", "all runs"}},
	})
}

// Run writes.
func (c *LineageExport) Run(ctx context.Context, s *Scope) (*Result, error) {
	if err := s.Repo.FlushReads(ctx); err != nil {
		return nil, err
	}
	only := ""
	if c.UID != "" {
		run, err := s.findRun(ctx, c.UID)
		if err != nil {
			return nil, err
		}
		only = run.UID
	}
	n := int64(0)
	write := func(fn func(w io.Writer) error) error { return writeFile(s, c.File, true, fn) }
	if c.File == "-" {
		if s.Out == nil {
			return nil, errs.New(errs.Invalid, "lineage export: there is no standard output; name a file")
		}
		write = func(fn func(w io.Writer) error) error { return fn(s.Out) }
	}
	err := write(func(w io.Writer) error {
		return s.Repo.Lineage().Each(ctx, func(run lineage.Run, ins []lineage.Input, outs []lineage.Output) error {
			if only != "" && run.UID != only {
				return nil
			}
			lines, err := s.openLineageOf(ctx, &run, ins, outs, c.Namespace)
			if err != nil || len(lines) == 0 {
				return err
			}
			n += int64(len(lines))
			_, err = io.WriteString(w, strings.Join(lines, "\n")+"\n")
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	r := &Result{Lines: []string{}}
	if c.File != "-" {
		r = Say("Wrote %d events to %s.", n, c.File)
	}
	r.Columns, r.Rows = []Column{Whole("events")}, [][]any{{n}}
	return r, nil
}
