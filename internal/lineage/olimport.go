package lineage

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/stemmadb/stemma/internal/errs"
)

// foreign begins the database of a dataset whose namespace is no URI, so that it cannot be taken for a database of ours.
const foreign = "openlineage:"

// foreignSystem is the system of a run that only events of others tell of.
const foreignSystem = "openlineage"

// Imported counts what an import of events has met and changed.
type Imported struct {
	Events  int64 // of runs
	Skipped int64 // events of jobs and datasets, which tell of no run
	Runs    int64 // that are new
	Inputs  int64 // that are new
	Outputs int64
}

// Numbered is a Sink that numbers the rows of runs.
type Numbered interface {
	Sink
	// InputSeq and OutputSeq take the next number of a run's inputs and outputs.
	InputSeq(ctx context.Context, uid string) (int64, error)
	OutputSeq(ctx context.Context, uid string) (int64, error)
}

// ImportOpenLineage reads events of OpenLineage, one JSON object a line, into the system tables. Events of one run are joined; what is known
// already changes nothing, so that events may come again. Datasets of the namespace opt.Namespace are tables of ours, "database.table"; all
// others are kept under their own names. An event that cannot be read is an error of class Invalid that names the line.
func ImportOpenLineage(ctx context.Context, w Numbered, r io.Reader, opt OpenLineageOptions) (Imported, error) {
	im := &importer{w: w, book: Open(w, nil), opt: opt}
	lines := bufio.NewReaderSize(r, 1<<16)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			if e := im.event(ctx, line); e != nil {
				return im.done, errs.New(errs.CodeOf(e), "line %d: %w", n, e)
			}
		}
		if errors.Is(err, io.EOF) {
			return im.done, nil
		}
		if err == nil {
			err = errs.With(errs.Canceled, ctx.Err())
		}
		if err != nil {
			return im.done, err
		}
	}
}

type importer struct {
	w    Numbered
	book *Book
	opt  OpenLineageOptions
	done Imported
}

// olEvent is what an import reads of an event.
type olEvent struct {
	EventType string     `json:"eventType"`
	EventTime *time.Time `json:"eventTime"`
	Producer  string     `json:"producer"`
	Run       *struct {
		RunID  string `json:"runId"`
		Facets struct {
			Parent *struct {
				Run struct {
					RunID string `json:"runId"`
				} `json:"run"`
			} `json:"parent"`
			Error *struct {
				Message string `json:"message"`
			} `json:"errorMessage"`
			Engine *struct {
				Name string `json:"name"`
			} `json:"processing_engine"`
		} `json:"facets"`
	} `json:"run"`
	Job *struct {
		Namespace string `json:"namespace"`
		Name      string `json:"name"`
		Facets    struct {
			SQL *struct {
				Query string `json:"query"`
			} `json:"sql"`
			Code *struct {
				Version string `json:"version"`
			} `json:"sourceCodeLocation"`
		} `json:"facets"`
	} `json:"job"`
	Dataset json.RawMessage `json:"dataset"`
	Inputs  []olDataset     `json:"inputs"`
	Outputs []olDataset     `json:"outputs"`
}

// olDataset is what an import reads of a dataset.
type olDataset struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Facets    struct {
		Version *struct {
			DatasetVersion string `json:"datasetVersion"`
		} `json:"version"`
		Lifecycle *struct {
			Change string `json:"lifecycleStateChange"`
		} `json:"lifecycleStateChange"`
		Columns *struct {
			Fields map[string]struct {
				Inputs []struct {
					Namespace       string `json:"namespace"`
					Name            string `json:"name"`
					Field           string `json:"field"`
					Transformations []struct {
						Type    string `json:"type"`
						Subtype string `json:"subtype"`
					} `json:"transformations"`
				} `json:"inputFields"`
			} `json:"fields"`
		} `json:"columnLineage"`
		Own *struct {
			Commit string `json:"commit"`
			Before string `json:"before"`
		} `json:"stemma_commit"`
	} `json:"facets"`
	OutputFacets struct {
		Statistics *struct {
			RowCount *int64 `json:"rowCount"`
		} `json:"outputStatistics"`
	} `json:"outputFacets"`
}

func (im *importer) event(ctx context.Context, line []byte) error {
	var e olEvent
	if err := json.Unmarshal(line, &e); err != nil {
		return errs.New(errs.Invalid, "not an event of OpenLineage: %w", err)
	}
	if e.Run == nil && (e.Job != nil || e.Dataset != nil) {
		im.done.Skipped++
		return nil
	}
	if e.Run == nil || e.Job == nil || e.Job.Name == "" {
		return errs.New(errs.Invalid, "an event of a run has a run and a job with a name")
	}
	if e.EventTime == nil {
		return errs.New(errs.Invalid, "an event has an eventTime")
	}
	uid, err := ParseUID(e.Run.RunID)
	if err != nil {
		return err
	}
	old, there, err := im.book.Run(ctx, uid)
	if err != nil {
		return err
	}
	run, err := im.joined(old, &e)
	if err != nil {
		return err
	}
	run.UID = uid
	if run != old {
		if err := PutRun(ctx, im.w, &run); err != nil {
			return err
		}
	}
	if !there {
		im.done.Runs++
	}
	im.done.Events++
	if err := im.inputs(ctx, uid, &e); err != nil {
		return err
	}
	return im.outputs(ctx, uid, &e)
}

// joined is a run with what an event tells of it that is not known yet.
func (im *importer) joined(r Run, e *olEvent) (Run, error) {
	fill := func(to *string, text string, most int, what string) error {
		if *to != "" || text == "" {
			return nil
		}
		if utf8.RuneCountInString(text) > most {
			return errs.New(errs.Invalid, "%s has more than %d characters", what, most)
		}
		*to = text
		return nil
	}
	system := foreignSystem
	if e.Producer == OpenLineageProducer && e.Run.Facets.Engine != nil && e.Run.Facets.Engine.Name != "" {
		system = e.Run.Facets.Engine.Name
	}
	parent := ""
	if p := e.Run.Facets.Parent; p != nil && p.Run.RunID != "" {
		var err error
		if parent, err = ParseUID(p.Run.RunID); err != nil {
			return r, errs.New(errs.Invalid, "the parent: %w", err)
		}
	}
	code, failed := "", ""
	if e.Job.Facets.Code != nil {
		code = e.Job.Facets.Code.Version
	}
	if e.Run.Facets.Error != nil {
		failed = e.Run.Facets.Error.Message
	}
	err := errors.Join(
		fill(&r.System, system, 64, "the engine's name"), fill(&r.Job, e.Job.Name, 1023, "the job's name"), fill(&r.Parent, parent, 36, "the parent"),
		fill(&r.GitSHA, code, 64, "the version of the code"), fill(&r.Error, failed, 1<<30, "the error"),
	)
	at := e.EventTime.UTC().Truncate(time.Microsecond)
	if r.State == "" {
		r.State = Running
	}
	switch e.EventType {
	case Complete, Fail, Abort:
		if r.Ended.IsZero() {
			r.State, r.Ended = e.EventType, at
		}
	case Start:
		if r.Started.IsZero() || at.Before(r.Started) {
			r.Started = at
		}
	case Running, "OTHER", "":
	default:
		err = errors.Join(err, errs.New(errs.Invalid, "eventType %s: it is START, RUNNING, COMPLETE, ABORT, FAIL or OTHER", e.EventType))
	}
	return r, err
}

// place is the database and the table that a dataset is kept as.
func (im *importer) place(namespace, name string) (db, table string, err error) {
	db, table = namespace, name
	if namespace == im.opt.Namespace {
		if d, t, ok := strings.Cut(name, "."); ok {
			db, table = d, t
		}
	}
	switch {
	case namespace == "" || name == "":
		return "", "", errs.New(errs.Invalid, "a dataset has a namespace and a name")
	case db == namespace && !strings.Contains(db, "://"):
		db = foreign + db
	}
	if utf8.RuneCountInString(db) > 255 || utf8.RuneCountInString(table) > 255 {
		return "", "", errs.New(errs.Invalid, "the namespace or the name of dataset %s has more than 255 characters", name)
	}
	return db, table, nil
}

func (d *olDataset) version() (string, error) {
	if d.Facets.Version == nil {
		return "", nil
	}
	if v := d.Facets.Version.DatasetVersion; utf8.RuneCountInString(v) <= 255 {
		return v, nil
	}
	return "", errs.New(errs.Invalid, "the version of dataset %s has more than 255 characters", d.Name)
}

func (im *importer) inputs(ctx context.Context, uid string, e *olEvent) error {
	if len(e.Inputs) == 0 {
		return nil
	}
	known, err := im.book.InputsOf(ctx, uid)
	if err != nil {
		return err
	}
next:
	for i := range e.Inputs {
		d := &e.Inputs[i]
		x := Input{Run: uid, Seq: -1}
		if x.DB, x.Table, err = im.place(d.Namespace, d.Name); err != nil {
			return err
		}
		if x.Hash, err = d.version(); err != nil {
			return err
		}
		if d.Facets.Own != nil && len(d.Facets.Own.Commit) == hashLen {
			x.Commit = d.Facets.Own.Commit
		}
		if e.Job.Facets.SQL != nil {
			x.Query = e.Job.Facets.SQL.Query
		}
		for j := range known {
			k := &known[j]
			if k.DB != x.DB || k.Table != x.Table {
				continue
			}
			if x.Hash == "" || k.Hash == x.Hash {
				continue next
			}
			if k.Hash == "" && k.Commit == "" { // an earlier event did not tell the version
				x.Seq, *k = k.Seq, x
				if err := PutInput(ctx, im.w, &x); err != nil {
					return err
				}
				continue next
			}
		}
		if x.Seq, err = im.w.InputSeq(ctx, uid); err != nil {
			return err
		}
		if err := PutInput(ctx, im.w, &x); err != nil {
			return err
		}
		known = append(known, x)
		im.done.Inputs++
	}
	return nil
}

func (im *importer) outputs(ctx context.Context, uid string, e *olEvent) error {
	if len(e.Outputs) == 0 {
		return nil
	}
	known, err := im.book.OutputsOf(ctx, uid)
	if err != nil {
		return err
	}
	for i := range e.Outputs {
		d := &e.Outputs[i]
		x := Output{Run: uid, Seq: -1}
		if x.DB, x.Table, err = im.place(d.Namespace, d.Name); err != nil {
			return err
		}
		if x.After, err = d.version(); err != nil {
			return err
		}
		if own := d.Facets.Own; own != nil && len(own.Commit) == hashLen {
			x.Commit, x.Before = own.Commit, own.Before
		}
		if s := d.OutputFacets.Statistics; s != nil {
			x.Added = s.RowCount
		}
		if x.ColumnLineage, err = im.columns(d, x.DB); err != nil {
			return err
		}
		if l := d.Facets.Lifecycle; l != nil && strings.EqualFold(l.Change, dropChange) {
			x.SchemaChanged = true
			if x.After != "" && x.Before == "" {
				x.Before = x.After // the version that was dropped
			}
			x.After = ""
		}
		if at := knownOutput(known, &x); at >= 0 {
			k := &known[at]
			same := k.After == x.After && k.Dropped() == x.Dropped()
			if x.After == "" && !x.Dropped() || same && (x.ColumnLineage == "" || k.ColumnLineage != "") {
				continue
			}
			if x.Seq = k.Seq; same { // an earlier event, or the server, told all but the columns
				columns := x.ColumnLineage
				x = *k
				x.ColumnLineage = columns
			}
			*k = x
		} else {
			if x.Seq, err = im.w.OutputSeq(ctx, uid); err != nil {
				return err
			}
			known = append(known, x)
			im.done.Outputs++
		}
		if err := PutOutput(ctx, im.w, &x); err != nil {
			return err
		}
	}
	return nil
}

// knownOutput is the place among the outputs of a run of the one that an event tells of, -1 for none: the table at the same version, or
// dropped likewise; any of the table where the event does not tell; else one of which an earlier event did not tell.
func knownOutput(known []Output, x *Output) int {
	told := func(o *Output) bool { return o.After != "" || o.Dropped() }
	at := slices.IndexFunc(known, func(k Output) bool {
		return k.DB == x.DB && k.Table == x.Table &&
			(!told(x) || k.After == x.After && told(&k) && (!x.Dropped() || k.Commit == x.Commit || k.Commit == "" || x.Commit == ""))
	})
	if at < 0 {
		at = slices.IndexFunc(known, func(k Output) bool { return k.DB == x.DB && k.Table == x.Table && !told(&k) && k.Commit == "" })
	}
	return at
}

// columns are the origins that an output's facet tells, in the form of Output.ColumnLineage.
func (im *importer) columns(d *olDataset, own string) (string, error) {
	if d.Facets.Columns == nil {
		return "", nil
	}
	by := map[string][]Origin{}
	for name, f := range d.Facets.Columns.Fields {
		for _, x := range f.Inputs {
			db, table, err := im.place(x.Namespace, x.Name)
			if err != nil {
				return "", err
			}
			if db == own {
				db = ""
			}
			from := Origin{DB: db, Table: table, Column: x.Field}
			indirect := len(x.Transformations) > 0
			for _, t := range x.Transformations {
				if t.Type != "INDIRECT" {
					indirect, from.Kind = false, t.Subtype
				}
			}
			if !indirect { // conditions and orders make no values
				by[name] = JoinOrigins(by[name], []Origin{from})
			}
		}
	}
	return EncodeOrigins(by)
}
