package lineage

import (
	"context"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

// Dataset is a table at a version, and the runs on one side of it.
type Dataset struct {
	DB     string  `json:"db,omitempty"`
	Table  string  `json:"table,omitempty"`
	Query  string  `json:"query,omitempty"` // in place of a table
	Hash   string  `json:"hash,omitempty"`
	Commit string  `json:"commit,omitempty"`
	Ref    string  `json:"ref,omitempty"`
	Alias  string  `json:"alias,omitempty"`
	Again  bool    `json:"again,omitempty"` // its runs are shown elsewhere
	More   bool    `json:"more,omitempty"`  // there are runs beyond the depth that was asked for
	Runs   []*Step `json:"runs,omitempty"`
	empty  bool    // it is known to have no rows, so that its hash tells little
}

// Step is a run beside a dataset: one that made it, with what that read, or one that read it, with what that made.
type Step struct {
	Producer
	Info     *Run       `json:"-"` // nil where the run is not in the tables
	System   string     `json:"system,omitempty"`
	Job      string     `json:"job,omitempty"`
	State    string     `json:"state,omitempty"`
	Datasets []*Dataset `json:"datasets,omitempty"`
}

// Tracer follows lineage through a database.
type Tracer struct {
	Book  *Book
	Read  chunk.Reader
	DB    string // name of the database, whose commits Read serves
	Depth int    // levels of runs; 0 for all
	seen  map[[3]string]bool
}

// step is a run with what is known of it.
func (t *Tracer) step(ctx context.Context, p Producer) (*Step, error) {
	s := &Step{Producer: p}
	if p.Run == "" {
		return s, nil
	}
	r, ok, err := t.Book.Run(ctx, p.Run)
	if err != nil {
		return nil, err
	}
	if ok {
		s.Info, s.System, s.Job, s.State = &r, r.System, r.Job, r.State
	}
	return s, nil
}

// visit tells whether a dataset comes the first time. One without a hash is always new.
func (t *Tracer) visit(d *Dataset) bool {
	if t.seen == nil {
		t.seen = map[[3]string]bool{}
	}
	db := d.DB
	if db == "" {
		db = t.DB
	}
	k := [3]string{strings.ToLower(db), strings.ToLower(d.Table), d.Hash}
	if d.Again = d.Hash != "" && t.seen[k]; d.Again {
		return false
	}
	t.seen[k] = true
	return true
}

// Up finds the runs that made a dataset, what they read, and so on.
func (t *Tracer) Up(ctx context.Context, d *Dataset) error { return t.up(ctx, d, 1) }

func (t *Tracer) up(ctx context.Context, d *Dataset, level int) error {
	if err := errs.With(errs.Canceled, ctx.Err()); err != nil {
		return err
	}
	if d.Table == "" || !t.visit(d) {
		return nil
	}
	made, err := t.makers(ctx, d)
	if err != nil {
		return err
	}
	if t.Depth > 0 && level > t.Depth {
		for _, p := range made {
			d.More = d.More || p.How != Unknown
		}
		return nil
	}
	for _, p := range made {
		s, err := t.step(ctx, p)
		if err != nil {
			return err
		}
		d.Runs = append(d.Runs, s)
		if p.Run == "" {
			continue
		}
		own, err := t.Book.OutputsOf(ctx, p.Run)
		if err != nil {
			return err
		}
		ins, err := t.Book.InputsOf(ctx, p.Run)
		if err != nil {
			return err
		}
		for _, i := range feeding(ins, own, p.Node) {
			in := &ins[i]
			x := &Dataset{DB: in.DB, Table: in.Table, Query: in.Query, Hash: in.Hash, Commit: in.Commit, Ref: in.Ref, Alias: in.Alias, empty: in.isEmpty()}
			if x.Table != "" {
				x.Query = ""
			}
			if listed(s.Datasets, x) {
				continue
			}
			s.Datasets = append(s.Datasets, x)
			if err := t.up(ctx, x, level+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// makers are the runs that made a dataset: by history where it was read at a commit of this database, else by its hash.
func (t *Tracer) makers(ctx context.Context, d *Dataset) ([]Producer, error) {
	if d.Commit != "" && (d.DB == "" || strings.EqualFold(d.DB, t.DB)) {
		thinned, err := t.Book.thinned()
		if err != nil {
			return nil, err
		}
		commit := d.Commit
		if now, moved := thinned.Became(commit); moved && now != "" {
			commit = now
		}
		id, err := hash.Parse(commit)
		if err != nil {
			return nil, err
		}
		made, ok, err := t.Book.Producers(ctx, t.Read, id, d.Table)
		if err == nil && ok {
			return made, nil
		}
		if err != nil && !errs.Is(err, errs.NotFound) { // a commit that is not here any more
			return nil, err
		}
	}
	if d.Hash == "" {
		return []Producer{{How: Unknown, Table: d.Table}}, nil
	}
	return t.Book.producersByHash(ctx, d)
}

// producersByHash are the runs that left a table with the hash of a dataset.
func (b *Book) producersByHash(ctx context.Context, d *Dataset) ([]Producer, error) {
	outs, err := b.OutputsAfter(ctx, d.Hash)
	if err != nil {
		return nil, err
	}
	here := slices.ContainsFunc(outs, func(o Output) bool { return isOf(&o, d.DB, d.Table) })
	var out []Producer
	for _, o := range outs {
		// What was written under the name in another database counts where nothing else is known: a database may have had another name. Tables
		// without rows are equal by chance.
		if isOf(&o, d.DB, d.Table) || !here && !d.empty && strings.EqualFold(o.Table, d.Table) {
			out = append(out, Producer{
				Run: o.Run, How: ByHash, Commit: o.Commit, Table: o.Table, Before: o.Before, After: o.After, Node: o.Node,
				Note: "found by the table's hash alone",
			})
		}
	}
	if len(out) == 0 {
		out = []Producer{{How: Unknown, Table: d.Table, After: d.Hash}}
	}
	return out, nil
}

// isEmpty tells whether a table without rows was read.
func (in *Input) isEmpty() bool { return in.Rows != nil && *in.Rows == 0 }

// isOf tells whether an output is of a table of a database, "" for one that is not known.
func isOf(o *Output, db, table string) bool {
	return strings.EqualFold(o.Table, table) && isIn(o.DB, db)
}

// isIn tells whether two names may be of one database, "" for one that is not known.
func isIn(a, b string) bool { return a == "" || b == "" || strings.EqualFold(a, b) }

// isOwn tells whether a run read what it had written itself.
func isOwn(own []Output, in *Input) bool {
	for i := range own {
		if isMade(&own[i], in) {
			return true
		}
	}
	return false
}

// isMade tells whether what was read is what the output left.
func isMade(o *Output, in *Input) bool {
	return in.Hash != "" && o.After == in.Hash && isOf(o, in.DB, in.Table)
}

// feeding are the inputs of a run, by their places, from which a node of it made what it wrote: those that it read, and in place of what the
// run has written itself those of the nodes that wrote that. Where a node is not known, "", all count.
func feeding(ins []Input, own []Output, node string) []int {
	from, seen := make([]bool, len(ins)), map[string]bool{}
	var walk func(node string)
	walk = func(node string) {
		if seen[node] {
			return
		}
		seen[node] = true
		for i := range ins {
			in := &ins[i]
			if in.Node != "" && node != "" && in.Node != node {
				continue
			}
			from[i] = true
			for o := range own {
				if isMade(&own[o], in) {
					from[i] = false
					walk(own[o].Node)
				}
			}
		}
	}
	walk(node)
	var out []int
	for i := range from {
		if from[i] {
			out = append(out, i)
		}
	}
	return out
}

// listed tells whether a dataset is in a list already, read in another way perhaps.
func listed(list []*Dataset, x *Dataset) bool {
	for _, d := range list {
		if d.DB == x.DB && d.Table == x.Table && d.Hash == x.Hash && d.Query == x.Query && (d.Hash != "" || d.Commit == x.Commit) {
			return true
		}
	}
	return false
}

// Down finds the runs that read a dataset, what they made, and so on.
func (t *Tracer) Down(ctx context.Context, d *Dataset) error { return t.down(ctx, d, 1) }

func (t *Tracer) down(ctx context.Context, d *Dataset, level int) error {
	if err := errs.With(errs.Canceled, ctx.Err()); err != nil {
		return err
	}
	if d.Hash == "" || !t.visit(d) {
		return nil
	}
	ins, err := t.Book.InputsAt(ctx, d.Hash)
	if err != nil {
		return err
	}
	ins = slices.DeleteFunc(ins, func(in Input) bool { return !strings.EqualFold(in.Table, d.Table) })
	db := d.DB
	if db == "" {
		db = t.DB
	}
	here := slices.ContainsFunc(ins, func(in Input) bool { return isIn(in.DB, db) })
	runs := map[string]*downRun{}
	for _, in := range ins {
		// As for producers: what was read under the name in another database counts where nothing else is known.
		if (here || in.isEmpty()) && !isIn(in.DB, db) {
			continue
		}
		run := runs[in.Run]
		if run == nil {
			if run, err = t.downRun(ctx, in.Run); err != nil {
				return err
			}
			runs[in.Run] = run
		}
		if isOwn(run.outs, &in) {
			continue
		}
		if t.Depth > 0 && level > t.Depth {
			d.More = true
			return nil
		}
		s := run.step
		if s == nil {
			p := Producer{Run: in.Run, How: ByHistory, Table: in.Table, After: in.Hash, Commit: in.Commit, Node: in.Node}
			if !here {
				p.How, p.Note = ByHash, "the run read a table of this name and content in database "+in.DB
			}
			if s, err = t.step(ctx, p); err != nil {
				return err
			}
			run.step = s
			d.Runs = append(d.Runs, s)
		} else if s.Node != in.Node {
			s.Node = "" // several
		}
		for i, o := range run.outs {
			if o.Dropped() || !run.from[i][in.Seq] {
				continue
			}
			x := &Dataset{DB: o.DB, Table: o.Table, Hash: o.After, Commit: o.Commit, Alias: o.Alias}
			if listed(s.Datasets, x) {
				continue
			}
			s.Datasets = append(s.Datasets, x)
			if err := t.down(ctx, x, level+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// downRun is a run that read a dataset.
type downRun struct {
	step *Step // nil until it is shown
	outs []Output
	from []map[int64]bool // of each output the numbers of the inputs from which it was made
}

func (t *Tracer) downRun(ctx context.Context, uid string) (*downRun, error) {
	outs, err := t.Book.OutputsOf(ctx, uid)
	if err != nil {
		return nil, err
	}
	ins, err := t.Book.InputsOf(ctx, uid)
	if err != nil {
		return nil, err
	}
	r := &downRun{outs: outs}
	by := map[string]map[int64]bool{} // node
	for i := range outs {
		from := by[outs[i].Node]
		if from == nil {
			from = map[int64]bool{}
			for _, k := range feeding(ins, outs, outs[i].Node) {
				from[ins[k].Seq] = true
			}
			by[outs[i].Node] = from
		}
		r.from = append(r.from, from)
	}
	return r, nil
}

// Walk calls fn for the datasets and the steps of a tree: first the dataset (step nil), then each of its steps with its datasets.
func (d *Dataset) Walk(fn func(level int, d *Dataset, s *Step)) { d.walk(0, fn) }

func (d *Dataset) walk(level int, fn func(int, *Dataset, *Step)) {
	fn(level, d, nil)
	for _, s := range d.Runs {
		fn(level+1, d, s)
		for _, x := range s.Datasets {
			x.walk(level+2, fn)
		}
	}
}
