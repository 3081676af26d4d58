package op

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// scratch is a batch of chunks that nobody keeps, with files in a temporary directory. close removes them.
func scratch(s *Scope, r *repo.Repo) (batch *pack.Batch, dir string, close func() error, err error) {
	dir = filepath.Join(os.TempDir(), "stemma-"+rand.Text())
	if err := r.FS().MkdirAll(dir); err != nil {
		return nil, "", nil, err
	}
	batch = r.Store().NewBatchIn(dir)
	return batch, dir, func() error { return errors.Join(batch.Close(), r.FS().Remove(dir)) }, nil
}

// whole tells whether the item is all of its table.
func (p *pinned) whole() bool { return p.item.Where == "" && p.item.Columns == nil }

// rows are the rows and columns of the item, as a table without a key when they are not all. free must be called after use.
func (t *trainingRun) rows(ctx context.Context, p *pinned) (_ *table.View, free func() error, err error) {
	return t.part(ctx, p, false)
}

// keyedRows is rows with the key of the table, whose columns are there although the item may not name them.
func (t *trainingRun) keyedRows(ctx context.Context, p *pinned) (_ *table.View, free func() error, err error) {
	return t.part(ctx, p, true)
}

func (t *trainingRun) part(ctx context.Context, p *pinned, keyed bool) (_ *table.View, free func() error, err error) {
	if p.whole() {
		return p.view, func() error { return nil }, nil
	}
	kept, err := t.kept(ctx, p)
	if err != nil {
		return nil, nil, err
	}
	part, from := partOf(p, keyed)
	compiled, err := schema.Compile(part)
	if err != nil {
		return nil, nil, err
	}
	batch, dir, free, err := scratch(t.s, p.r)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, free())
		}
	}()
	load, err := table.NewLoader(ctx, batch, table.Empty(compiled), table.LoadOptions{FS: p.r.FS(), TempDir: dir})
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, load.Close()) }()
	enc := table.NewEncoder(batch, compiled)
	cells := make([]value.Cell, 0, 1+len(from))
	var key, row []byte
	n := 0
	err = eachRow(ctx, p.view, func(all []value.Cell) error {
		n++
		if kept != nil && !kept[n-1] {
			return nil
		}
		cells = cells[:0]
		if compiled.Keyless() {
			cells = append(cells, value.IntCell(load.NextOrdinal()))
		}
		for _, c := range from {
			cells = append(cells, all[c])
		}
		if key, row, err = enc.Append(ctx, key[:0], row[:0], cells); err != nil {
			return err
		}
		return load.Add(ctx, key, row)
	})
	if err != nil {
		return nil, nil, err
	}
	tab, _, err := load.Finish(ctx)
	if err != nil {
		return nil, nil, err
	}
	return table.NewView(batch, tab, nil), free, nil
}

// partOf is the schema of the item's columns, and where the table has them; keyed adds the primary key.
func partOf(p *pinned, keyed bool) (part *schema.Schema, from []int) {
	own := p.view.Schema().Schema
	part = &schema.Schema{Collation: own.Collation}
	if keyed {
		part.PrimaryKey = own.PrimaryKey
	}
	for i, c := range own.Columns {
		named := p.item.Columns == nil || slices.ContainsFunc(p.item.Columns, func(n string) bool { return strings.EqualFold(n, c.Name) })
		if named || slices.ContainsFunc(part.PrimaryKey, func(k schema.IndexColumn) bool { return k.Column == c.ID }) {
			from = append(from, i)
			part.Columns = append(part.Columns, schema.Column{ID: c.ID, Name: c.Name, Type: c.Type, Nullable: c.Nullable})
		}
	}
	return part, from
}

// kept tells of each row of the table, in the order of its key, whether the item's condition holds; nil when it has none.
func (t *trainingRun) kept(ctx context.Context, p *pinned) ([]bool, error) {
	if p.item.Where == "" {
		return nil, nil
	}
	if t.s.Ask == nil {
		return nil, errs.New(errs.Unsupported, "%s: a condition cannot be evaluated here", p.item)
	}
	query := "select (" + p.item.Where + "\n) is true from " + ansiName(p.name) + " as of '" + p.commit.String() + "'"
	if k := p.view.Schema().PrimaryKey; len(k) > 0 {
		var names []string
		for _, c := range k {
			name := ansiName(p.view.Schema().Columns[p.view.Schema().ColumnByID(c.Column)].Name)
			if c.Desc {
				name += " desc"
			}
			names = append(names, name)
		}
		query += " order by " + strings.Join(names, ", ")
	}
	kept := make([]bool, 0, p.view.Count())
	for row, err := range t.s.Ask(ctx, p.r, query) {
		if err != nil {
			return nil, errs.New(errs.Invalid, "%s: where %s: %w", p.item, p.item.Where, err)
		}
		kept = append(kept, !row[0].IsNull() && row[0].Int() != 0)
	}
	if uint64(len(kept)) != p.view.Count() {
		return nil, errs.New(errs.Internal, "%s: where was evaluated for %d of %d rows", p.item, len(kept), p.view.Count())
	}
	return kept, nil
}

// ansiName quotes a name where "a" is a column.
func ansiName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
