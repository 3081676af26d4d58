package repo

import (
	"context"
	"errors"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/diff"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
)

// Bounds of counting how the rows of a table differ, beyond which the counts are unknown.
const (
	countedChanges = 100_000 // rows that differ
	countedByValue = 10_000  // rows of a table that has to be read whole
)

// outputsOf are the tables that a commit changes: those that differ from the first parent's, and from those of all other parents. Run
// and number are not set.
func (r *Repo) outputsOf(ctx context.Context, batch *pack.Batch, c *history.Commit) ([]lineage.Output, error) {
	before := tree.Root{}
	var others []*root.Root
	for i, id := range c.Parents {
		p, err := history.GetCommit(ctx, batch, id)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			before = p.Root
		} else {
			others = append(others, root.Open(batch, p.Root))
		}
	}
	deltas, err := diff.Tables(ctx, batch, before, c.Root)
	if err != nil {
		return nil, err
	}
	var out []lineage.Output
next:
	for _, d := range deltas {
		if root.IsSystem(d.Name()) {
			continue
		}
		for _, o := range others {
			e, ok, err := o.Get(ctx, root.KindTable, d.Name())
			if err != nil {
				return nil, err
			}
			if ok && e.Table == d.To.Table || !ok && d.Kind == diff.TableDropped {
				continue next // it came with the other parent
			}
		}
		x := lineage.Output{DB: r.name, Table: d.Name(), Commit: c.ID.Full(), SchemaChanged: d.Schema}
		if d.Kind != diff.TableAdded {
			x.Before = d.From.Table.Full()
		}
		if d.Kind != diff.TableDropped {
			x.After = d.To.Table.Full()
		}
		if err := r.countRows(ctx, batch, d, &x); err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, nil
}

// errManyRows ends the counting of rows.
var errManyRows = errors.New("too many rows differ to be counted")

// countRows counts the rows by which the sides of d differ, where that takes little.
func (r *Repo) countRows(ctx context.Context, rd chunk.Reader, d diff.Delta, x *lineage.Output) error {
	if d.Kind == diff.TableRenamed && d.From.Table == d.To.Table {
		var none int64
		x.Added, x.Deleted, x.Modified = &none, &none, &none
		return nil
	}
	from, err := r.openSide(ctx, rd, d.From)
	if err != nil {
		return err
	}
	to, err := r.openSide(ctx, rd, d.To)
	if err != nil {
		return err
	}
	p, err := diff.NewPair(rd, from, to)
	if err != nil {
		return err
	}
	var added, deleted, modified int64
	switch {
	case from == nil || from.Rows.Count == 0 || to == nil || to.Rows.Count == 0:
		if from != nil {
			deleted = int64(from.Rows.Count)
		}
		if to != nil {
			added = int64(to.Rows.Count)
		}
	case !p.Keyed() && max(from.Rows.Count, to.Rows.Count) > countedByValue:
		return nil
	default:
		n := 0
		err = p.Each(ctx, diff.Options{}, func(c diff.Change) error {
			if n++; n > countedChanges {
				return errManyRows
			}
			switch c.Type {
			case diff.Added:
				added++
			case diff.Removed:
				deleted++
			default:
				modified++
			}
			return nil
		})
		if errors.Is(err, errManyRows) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	x.Added, x.Deleted, x.Modified = &added, &deleted, &modified
	return nil
}

// openSide is the table of one side of a delta; nil when the side has none.
func (r *Repo) openSide(ctx context.Context, rd chunk.Reader, e root.Entry) (*table.Table, error) {
	v, err := r.side(ctx, rd, e)
	if err != nil || v == nil {
		return nil, err
	}
	return v.Table, nil
}

// tableHash is the hash, in full, of a table in a root; "" when there is none.
func tableHash(ctx context.Context, rd chunk.Reader, in tree.Root, name string) (string, error) {
	e, ok, err := root.Open(rd, in).Get(ctx, root.KindTable, name)
	if err != nil || !ok {
		return "", err
	}
	return e.Table.Full(), nil
}
