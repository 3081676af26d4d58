package op

import (
	"context"
	"errors"
	"fmt"

	"github.com/stemmadb/stemma/internal/diff"
	"github.com/stemmadb/stemma/internal/training"
)

// located is an item of a split at its commit.
type located struct {
	split string
	p     *pinned
	pin   *training.Pin // the entry of the lock; nil when the item was not found by it
}

// shared finds rows that are in two splits: by the primary key, where the tables have keys of the same columns, otherwise items whose
// rows are equal.
func (t *trainingRun) shared(ctx context.Context, items []located) ([]training.SharedKeys, error) {
	var out []training.SharedKeys
	kept := map[*pinned][]bool{}
	rows := func(p *pinned) (diff.KeyedRows, error) {
		if _, known := kept[p]; !known {
			var err error
			if kept[p], err = t.kept(ctx, p); err != nil {
				return diff.KeyedRows{}, err
			}
		}
		return diff.KeyedRows{View: p.view, Kept: kept[p]}, nil
	}
	for i, a := range items {
		for _, b := range items[i+1:] {
			if a.split == b.split {
				continue
			}
			n, err := t.sharedBy(ctx, a.p, b.p, rows)
			if err != nil {
				return nil, err
			}
			if n > 0 {
				out = append(out, training.SharedKeys{Splits: []string{a.split, b.split}, Items: []string{a.p.item.String(), b.p.item.String()}, Keys: n})
			}
		}
	}
	return out, nil
}

// sharedBy counts the keys that two items have in common.
func (t *trainingRun) sharedBy(ctx context.Context, a, b *pinned, rows func(p *pinned) (diff.KeyedRows, error)) (uint64, error) {
	if !diff.ComparableKeys(a.view.Table, b.view.Table) {
		if !a.view.Schema().Keyless() || !b.view.Schema().Keyless() || a.whole() != b.whole() {
			return 0, nil
		}
		return t.sharedWhole(ctx, a, b)
	}
	x, err := rows(a)
	if err != nil {
		return 0, err
	}
	y, err := rows(b)
	if err != nil {
		return 0, err
	}
	return diff.SharedKeys(ctx, x, y)
}

// sharedWhole is the number of rows of two items without keys when these are the same, else 0.
func (t *trainingRun) sharedWhole(ctx context.Context, a, b *pinned) (_ uint64, err error) {
	v, free, err := t.rows(ctx, a)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, free()) }()
	w, freeToo, err := t.rows(ctx, b)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, freeToo()) }()
	if v.Table.Rows.Hash != w.Table.Rows.Hash {
		return 0, nil
	}
	return v.Count(), nil
}

// sharedHints are the warnings of rows that two splits have in common, such as rows that are trained on and tested with.
func sharedHints(all []training.SharedKeys) []string {
	var out []string
	for _, s := range all {
		out = append(out, fmt.Sprintf("%s and %s share keys: %d of %s are in %s as well", s.Splits[0], s.Splits[1], s.Keys, s.Items[0], s.Items[1]))
	}
	return out
}

// locate finds the items of the lock when frozen is set, else those of the configuration at what their revisions mean now.
func (t *trainingRun) locate(ctx context.Context, frozen bool) ([]located, error) {
	var out []located
	if frozen {
		err := t.eachPin(func(split string, pin *training.Pin) error {
			p, err := t.resolve(ctx, pin.Item, pin.Commit)
			out = append(out, located{split, p, pin})
			return err
		})
		return out, err
	}
	for _, split := range t.config.Splits {
		for _, item := range split.Items {
			p, err := t.resolve(ctx, item, "")
			if err != nil {
				return nil, err
			}
			out = append(out, located{split: split.Name, p: p})
		}
	}
	return out, nil
}

// splitNames are the names of the splits of the lock, or of the configuration.
func (t *trainingRun) splitNames(frozen bool) []string {
	var names []string
	if frozen {
		for _, s := range t.lock.Splits {
			names = append(names, s.Name)
		}
		return names
	}
	for _, s := range t.config.Splits {
		names = append(names, s.Name)
	}
	return names
}
