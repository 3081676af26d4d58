package op

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/diff"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/training"
)

// itemChange is how an item has changed since it was locked.
type itemChange struct {
	Split    string           `json:"split"`
	Item     string           `json:"item"`
	Locked   string           `json:"locked_commit"`
	Now      string           `json:"commit"`
	Changed  bool             `json:"changed"` // the rows or the schema; a commit alone is no change
	Added    uint64           `json:"rows_added"`
	Removed  uint64           `json:"rows_removed"`
	Modified uint64           `json:"rows_modified"`
	Rows     uint64           `json:"rows"` // of the item when it was locked
	Percent  float64          `json:"percent"`
	Schema   []string         `json:"schema,omitempty"` // what changed of it
	Drift    []training.Drift `json:"drift,omitempty"`
	Retrain  bool             `json:"retrain"`
	Reasons  []string         `json:"reasons,omitempty"`
}

// change compares an item with its pin. drift says whether columns are profiled.
func (t *trainingRun) change(ctx context.Context, split string, pin *training.Pin, drift bool) (*itemChange, error) {
	item, err := t.newest(ctx, pin.Item)
	if err != nil {
		return nil, err
	}
	now, err := t.resolve(ctx, item, "")
	if err != nil {
		return nil, err
	}
	c := &itemChange{Split: split, Item: pin.Item.String(), Locked: pin.Commit, Now: now.commit.Full(), Rows: pin.Rows}
	same, err := t.same(ctx, now, pin)
	if err != nil || same {
		return c, err
	}
	c.Changed = true
	was, err := t.resolve(ctx, pin.Item, pin.Commit)
	if err != nil {
		return nil, err
	}
	if err := t.count(ctx, c, was, now); err != nil || !drift {
		return c, err
	}
	profiles := [2][]training.Profile{}
	for i, p := range []*pinned{was, now} {
		v, free, err := t.rows(ctx, p)
		if err != nil {
			return nil, err
		}
		profiles[i], err = training.ProfileOf(ctx, v)
		if err = errors.Join(err, free()); err != nil {
			return nil, err
		}
	}
	c.Drift = training.Compare(profiles[0], profiles[1])
	return c, nil
}

// count counts the rows of the item that have changed. Of a part of a table rows and columns outside of it do not count.
func (t *trainingRun) count(ctx context.Context, c *itemChange, was, now *pinned) (err error) {
	a, freeA, err := t.keyedRows(ctx, was)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, freeA()) }()
	b, freeB, err := t.keyedRows(ctx, now)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, freeB()) }()
	c.Rows = a.Count()
	pair, err := diff.NewPair(eitherOf(a.Reader(), b.Reader()), a.Table, b.Table)
	if err != nil {
		return err
	}
	stat, err := pair.Stat(ctx)
	if err != nil {
		return err
	}
	c.Added, c.Removed, c.Modified = stat.RowsAdded, stat.RowsRemoved, stat.RowsModified
	if c.Rows > 0 {
		c.Percent = 100 * float64(c.Added+c.Removed+c.Modified) / float64(c.Rows)
	} else if c.Added > 0 {
		c.Percent = 100
	}
	c.Schema = schemaChanges(pair)
	return nil
}

// either reads chunks of two readers.
type either struct{ a, b chunk.Reader }

// eitherOf reads the chunks of both.
func eitherOf(a, b chunk.Reader) chunk.Reader {
	if a == b {
		return a
	}
	return either{a, b}
}

// Get implements chunk.Reader.
func (e either) Get(ctx context.Context, h hash.Hash) ([]byte, error) {
	data, err := e.a.Get(ctx, h)
	if errs.Is(err, errs.NotFound) {
		return e.b.Get(ctx, h)
	}
	return data, err
}

// newest is the item at its branch. One at a commit, a tag or a time, which never means other rows, is taken at the branch that is worked
// on: that of --against, else the checked-out one.
func (t *trainingRun) newest(ctx context.Context, item training.Item) (training.Item, error) {
	r, err := t.database(ctx, item.Database)
	if err != nil {
		return item, errs.New(errs.CodeOf(err), "%s: %w", item, err)
	}
	if _, ok := r.BranchHead(item.Ref); !ok {
		item.Ref = t.against
	}
	return item, nil
}

// schemaChanges are the columns that came, went or have another name or type, and a primary key that changed.
func schemaChanges(p *diff.Pair) []string {
	var out []string
	from, to := p.From().Schema, p.To().Schema
	for _, c := range p.Columns() {
		switch {
		case c.From < 0:
			out = append(out, "column "+to.Columns[c.To].Name+" added")
		case c.To < 0:
			out = append(out, "column "+from.Columns[c.From].Name+" removed")
		default:
			a, b := &from.Columns[c.From], &to.Columns[c.To]
			if a.Name != b.Name {
				out = append(out, "column "+a.Name+" renamed to "+b.Name)
			}
			if !a.Type.Equal(b.Type) {
				out = append(out, fmt.Sprintf("column %s was %s, is %s", b.Name, a.Type, b.Type))
			}
		}
	}
	if !slices.Equal(from.PrimaryKey, to.PrimaryKey) {
		out = append(out, "the primary key changed")
	}
	return out
}

// judge says whether the change reaches the limits of a policy.
func (c *itemChange) judge(p training.Policy) {
	if !c.Changed || p.Never {
		return
	}
	n := c.Added + c.Removed + c.Modified
	rows := fmt.Sprintf("%d rows added, %d removed, %d modified", c.Added, c.Removed, c.Modified)
	if p.Any() && n > 0 {
		c.Reasons = append(c.Reasons, rows)
	}
	if p.Rows != nil && n >= *p.Rows && n > 0 {
		c.Reasons = append(c.Reasons, fmt.Sprintf("%s; the limit is %d", rows, *p.Rows))
	}
	if p.Percent != nil && c.Percent >= *p.Percent && n > 0 {
		c.Reasons = append(c.Reasons, fmt.Sprintf("%.4g percent of the rows changed; the limit is %.4g", c.Percent, *p.Percent))
	}
	if p.Schema != "ignore" {
		c.Reasons = append(c.Reasons, c.Schema...)
	}
	c.Reasons = append(c.Reasons, p.Exceeds(c.Drift)...)
	c.Retrain = len(c.Reasons) > 0
}

// changeColumns are the columns of what data status and data retrain answer.
var changeColumns = []Column{Text("split"), Text("item"), Flag("changed"), Whole("rows_added"), Whole("rows_removed"), Whole("rows_modified"), Number("percent"), Text("schema"), Flag("retrain"), Text("reasons")}

func (c *itemChange) add(r *Result) {
	r.Add(c.Split, c.Item, Truth(c.Changed), int64(c.Added), int64(c.Removed), int64(c.Modified), c.Percent, strings.Join(c.Schema, "; "), Truth(c.Retrain), strings.Join(c.Reasons, "; "))
}

// summary is the change in a line.
func (c *itemChange) summary() string {
	switch {
	case !c.Changed && c.Locked != c.Now:
		return "unchanged, at another commit"
	case !c.Changed:
		return "unchanged"
	}
	s := fmt.Sprintf("+%d -%d ~%d rows (%.4g%%)", c.Added, c.Removed, c.Modified, c.Percent)
	if len(c.Schema) > 0 {
		s += ", " + strings.Join(c.Schema, ", ")
	}
	return s
}

// DataStatus is the verb that shows what has changed since the lock.
type DataStatus struct {
	Config string `flag:"config" value:"file" complete:"file" default:"stemma.yaml" help:"the configuration"`
	Lock   string `flag:"lock" value:"file" complete:"file" help:"the lock file (default: the configuration's name with .lock)"`
}

func dataStatusSpec() Spec {
	return Define[DataStatus](Spec{
		Name: "data status", Columns: changeColumns, Group: GroupData, Needs: NeedDatabase, ReadOnly: true,
		Short: "Show what has changed since the tables were locked",
		Long:  `Tables at a branch are compared with its newest commit, those at a commit, a tag or a time with that of the checked-out branch.`,
	})
}

// Run shows.
func (c *DataStatus) Run(ctx context.Context, s *Scope) (_ *Result, err error) {
	t, err := openTraining(s, c.Config, c.Lock, true)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.close(ctx)) }()
	r := &Result{Columns: changeColumns}
	err = t.eachPin(func(split string, pin *training.Pin) error {
		ch, err := t.change(ctx, split, pin, false)
		if err != nil {
			return err
		}
		ch.judge(t.config.Policy(pin.Table))
		ch.add(r)
		r.Printf("%s: %s: %s", split, ch.Item, ch.summary())
		return nil
	})
	return r, err
}

// DataRetrain is the verb that says whether a model is to be trained anew.
type DataRetrain struct {
	Config string `flag:"config" value:"file" complete:"file" default:"stemma.yaml" help:"the configuration"`
	Lock   string `flag:"lock" value:"file" complete:"file" help:"the lock file (default: the configuration's name with .lock)"`
	JSON   bool   `flag:"json" help:"answer with one JSON object, the drift of every column in it"`

	Against string `flag:"against" value:"ref" complete:"ref" help:"what tables at a commit, a tag or a time are compared with (default: the checked-out branch)"`
}

func dataRetrainSpec() Spec {
	return Define[DataRetrain](Spec{
		Name: "data retrain", Columns: changeColumns, Group: GroupData, Needs: NeedDatabase, ReadOnly: true,
		Short: "Tell whether a model is to be trained anew, and why",
		Long: `The locked rows are compared with the newest: of a table at a branch those of the branch, of one at a commit, a tag or a time those of the
checked-out branch. It exits with 0 when the model is fresh, and with 10 when it is to be
trained anew. Without a policy any change is enough. The configuration may set limits by table:

    retrain:
      client_data: {rows: 500, percent: 1, schema: any, drift: {null_rate: 0.05, mean: 0.2, quantile: 0.5, top: 0.1}}
      default: any

rows and percent count added, removed and modified rows. Of the drift of a column, null_rate and top are parts of the rows from 0 to 1, mean
and quantile are in standard deviations of the locked rows.`,
	})
}

// Run judges.
func (c *DataRetrain) Run(ctx context.Context, s *Scope) (_ *Result, err error) {
	t, err := openTraining(s, c.Config, c.Lock, true)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.close(ctx)) }()
	t.against = c.Against
	report := struct {
		Retrain bool          `json:"retrain"`
		Items   []*itemChange `json:"items"`
	}{}
	r := &Result{Columns: changeColumns}
	var why []string
	err = t.eachPin(func(split string, pin *training.Pin) error {
		pol := t.config.Policy(pin.Table)
		ch, err := t.change(ctx, split, pin, c.JSON || pol.NullRate != nil || pol.Mean != nil || pol.Quantile != nil || pol.Top != nil)
		if err != nil {
			return err
		}
		ch.judge(pol)
		ch.add(r)
		report.Items = append(report.Items, ch)
		report.Retrain = report.Retrain || ch.Retrain
		for _, reason := range ch.Reasons {
			why = append(why, fmt.Sprintf("  %s: %s: %s", split, ch.Item, reason))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if report.Retrain {
		r.ExitCode = 10
	}
	if err := r.SetDetail(report); err != nil {
		return nil, err
	}
	switch {
	case c.JSON:
		text, err := json.MarshalIndent(report, "", "  ")
		if err != nil {
			return nil, errs.New(errs.Internal, "encode report: %w", err)
		}
		r.Printf("%s", text)
	case report.Retrain:
		r.Lines = append([]string{"Retrain: yes."}, why...)
	default:
		r.Printf("Retrain: no.")
	}
	return r, nil
}
