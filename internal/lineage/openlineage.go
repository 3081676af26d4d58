package lineage

import (
	"encoding/json"
	"strings"
	"time"
)

// OpenLineage events as version 2-0-2 of its schema has them (https://openlineage.io/spec/2-0-2/OpenLineage.json), with facets.
const (
	openLineageSchema = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
	openLineageFacets = "https://openlineage.io/spec/facets/"
	// openLineageCommit describes the facet of ours with a dataset's commit, and the version before it.
	openLineageCommit = "https://github.com/stemmadb/stemma/blob/main/docs/lineage.md"
	// dropChange is the lifecycleStateChange of a dataset that was dropped.
	dropChange = "DROP"
	// OpenLineageProducer names what makes the events.
	OpenLineageProducer = "https://github.com/stemmadb/stemma"
)

// OpenLineageOptions say how datasets and jobs are named.
type OpenLineageOptions struct {
	Namespace string // of datasets and jobs of this database: "stemma://host:port"
	DB        string // this database
	ParentJob string // job of the run that started this one; "" leaves that run out
	// Fields are name and type of the columns of a table with a hash; nil where they are not known.
	Fields func(hash string) [][2]string
}

// dataset is the namespace and the name of a table.
func (o *OpenLineageOptions) dataset(db, table string) (namespace, name string) {
	switch {
	case strings.Contains(db, "://"):
		return db, table
	case strings.HasPrefix(db, foreign):
		return strings.TrimPrefix(db, foreign), table
	case db == "":
		db = o.DB
	}
	return o.Namespace, db + "." + table
}

// columnFields are the fields of the facet columnLineage; none where nothing is known, and where what is kept cannot be read.
func columnFields(o *Output, opt OpenLineageOptions) map[string]any {
	by, err := o.Origins()
	if err != nil {
		return nil
	}
	fields := map[string]any{}
	for column, from := range by {
		var list []any
		for _, x := range from {
			if x.DB == "" {
				x.DB = o.DB
			}
			ns, name := opt.dataset(x.DB, x.Table)
			f := map[string]any{"namespace": ns, "name": name, "field": x.Column}
			if x.Kind != "" {
				f["transformations"] = []any{map[string]any{"type": "DIRECT", "subtype": x.Kind}}
			}
			list = append(list, f)
		}
		fields[column] = map[string]any{"inputFields": list}
	}
	return fields
}

type olFacet map[string]any

func facet(schema string, members olFacet) olFacet {
	members["_producer"] = OpenLineageProducer
	members["_schemaURL"] = openLineageFacets + schema
	return members
}

// OpenLineageEvents are the events of a run: its start, and its end when it has ended.
func OpenLineageEvents(r *Run, ins []Input, outs []Output, opt OpenLineageOptions) ([]json.RawMessage, error) {
	var out []json.RawMessage
	add := func(kind string, at time.Time) error {
		if at.IsZero() {
			return nil
		}
		b, err := json.Marshal(openLineageEvent(r, ins, outs, opt, kind, at))
		out = append(out, b)
		return err
	}
	if err := add("START", r.Started); err != nil {
		return nil, err
	}
	if r.Ended.IsZero() {
		return out, nil
	}
	return out, add(r.State, r.Ended)
}

// openLineageTime is the form of times in events.
const openLineageTime = "2006-01-02T15:04:05.000000Z"

func openLineageEvent(r *Run, ins []Input, outs []Output, opt OpenLineageOptions, kind string, at time.Time) map[string]any {
	runFacets, jobFacets := olFacet{}, olFacet{}
	jobName := r.JobName()
	if r.Parent != "" && opt.ParentJob != "" {
		runFacets["parent"] = facet("1-2-0/ParentRunFacet.json#/$defs/ParentRunFacet", olFacet{
			"run": map[string]any{"runId": r.Parent}, "job": map[string]any{"namespace": opt.Namespace, "name": opt.ParentJob},
		})
	}
	if r.Error != "" {
		runFacets["errorMessage"] = facet("1-0-1/ErrorMessageRunFacet.json#/$defs/ErrorMessageRunFacet", olFacet{"message": r.Error, "programmingLanguage": "unknown"})
	}
	runFacets["processing_engine"] = facet("1-1-1/ProcessingEngineRunFacet.json#/$defs/ProcessingEngineRunFacet", olFacet{"version": "unknown", "name": r.System})
	if r.GitSHA != "" {
		jobFacets["sourceCodeLocation"] = facet("1-1-0/SourceCodeLocationJobFacet.json#/$defs/SourceCodeLocationJobFacet", olFacet{
			"type": "git", "url": "git:" + r.GitSHA, "version": r.GitSHA,
		})
	}
	for i := range ins {
		if ins[i].Query != "" {
			jobFacets["sql"] = facet("1-1-0/SQLJobFacet.json#/$defs/SQLJobFacet", olFacet{"query": ins[i].Query})
			break
		}
	}
	dataset := func(db, table, hash, commit, before string, more olFacet) map[string]any {
		ns, name := opt.dataset(db, table)
		f := olFacet{}
		if hash != "" {
			f["version"] = facet("1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet", olFacet{"datasetVersion": hash})
			if opt.Fields != nil {
				if cols := opt.Fields(hash); cols != nil {
					var fields []map[string]any
					for _, c := range cols {
						fields = append(fields, map[string]any{"name": c[0], "type": c[1]})
					}
					f["schema"] = facet("1-2-0/SchemaDatasetFacet.json#/$defs/SchemaDatasetFacet", olFacet{"fields": fields})
				}
			}
		}
		if commit != "" {
			own := olFacet{"_producer": OpenLineageProducer, "_schemaURL": openLineageCommit, "commit": commit}
			if before != "" {
				own["before"] = before
			}
			f["stemma_commit"] = own
		}
		for k, v := range more {
			f[k] = v
		}
		return map[string]any{"namespace": ns, "name": name, "facets": f}
	}
	inputs, outputs := []any{}, []any{}
	seen := map[[3]string]bool{}
	for i := range ins {
		in := &ins[i]
		if k := [3]string{in.DB, in.Table, in.Hash}; in.Table == "" || seen[k] {
			continue
		} else {
			seen[k] = true
		}
		inputs = append(inputs, dataset(in.DB, in.Table, in.Hash, in.Commit, "", nil))
	}
	for i := range outs {
		o := &outs[i]
		more := olFacet{}
		if o.Dropped() {
			more["lifecycleStateChange"] = facet("1-0-1/LifecycleStateChangeDatasetFacet.json#/$defs/LifecycleStateChangeDatasetFacet", olFacet{"lifecycleStateChange": dropChange})
		}
		if fields := columnFields(o, opt); len(fields) > 0 {
			more["columnLineage"] = facet("1-2-0/ColumnLineageDatasetFacet.json#/$defs/ColumnLineageDatasetFacet", olFacet{"fields": fields})
		}
		d := dataset(o.DB, o.Table, o.After, o.Commit, o.Before, more)
		if o.Added != nil {
			d["outputFacets"] = olFacet{"outputStatistics": facet("1-0-2/OutputStatisticsOutputDatasetFacet.json#/$defs/OutputStatisticsOutputDatasetFacet", olFacet{"rowCount": *o.Added})}
		}
		outputs = append(outputs, d)
	}
	return map[string]any{
		"eventType": kind, "eventTime": at.UTC().Format(openLineageTime), "producer": OpenLineageProducer, "schemaURL": openLineageSchema,
		"run":    map[string]any{"runId": r.UID, "facets": runFacets},
		"job":    map[string]any{"namespace": opt.Namespace, "name": jobName, "facets": jobFacets},
		"inputs": inputs, "outputs": outputs,
	}
}
