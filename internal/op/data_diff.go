package op

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/stemmadb/stemma/internal/diff"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/training"
	"github.com/stemmadb/stemma/internal/vfs"
)

// dataDiffColumns are the columns of what data diff answers.
var dataDiffColumns = []Column{Text("split"), Text("item"), Text("change"), Whole("rows_added"), Whole("rows_removed"), Whole("rows_modified")}

// DataDiff is the verb that compares two lock files.
type DataDiff struct {
	Config string `flag:"config" value:"file" complete:"file" default:"stemma.yaml" help:"the configuration, for where it says that other databases are; it may be missing"`
	From   string `arg:"1" required:"true" value:"a.lock" complete:"file" help:"a lock file"`
	To     string `arg:"2" required:"true" value:"b.lock" complete:"file" help:"another"`
}

func dataDiffSpec() Spec {
	return Define[DataDiff](Spec{
		Name: "data diff", Columns: dataDiffColumns, Group: GroupData, Needs: NeedDatabase, ReadOnly: true,
		Short: "Show how the rows of two lock files differ",
		Long:  `It exits with 1 when they do.`,
	})
}

// Run compares.
func (c *DataDiff) Run(ctx context.Context, s *Scope) (_ *Result, err error) {
	t := newTraining(s, c.Config, c.From)
	t.config = &training.Config{}
	if data, err := vfs.ReadFile(s.fs(), s.path(c.Config)); err == nil {
		if t.config, err = training.ParseConfig(c.Config, data); err != nil {
			return nil, err
		}
	} else if !errs.Is(err, errs.NotFound) {
		return nil, errs.New(errs.CodeOf(err), "read %s: %w", c.Config, err)
	}
	locks := [2]*training.Lock{}
	for i, name := range []string{c.From, c.To} {
		data, err := vfs.ReadFile(s.fs(), s.path(name))
		if err != nil {
			return nil, errs.New(errs.CodeOf(err), "read %s: %w", name, err)
		}
		if locks[i], err = training.ParseLock(name, data); err != nil {
			return nil, err
		}
	}
	r := &Result{Columns: dataDiffColumns, Lines: []string{}}
	say := func(split string, item training.Item, change string, stat diff.Stat) {
		r.Add(split, item.String(), change, int64(stat.RowsAdded), int64(stat.RowsRemoved), int64(stat.RowsModified))
		r.Printf("%s: %s: %s", split, item, change)
		r.ExitCode = 1
	}
	// Items of one table pair by what they ask for but the revision.
	find := func(l *training.Lock, split string, p *training.Pin) *training.Pin {
		if q := l.Find(split, p.Item); q != nil {
			return q
		}
		for i := range l.Splits {
			for k := range l.Splits[i].Items {
				q := &l.Splits[i].Items[k]
				as := q.Item
				as.Ref = p.Ref
				if l.Splits[i].Name == split && as.Same(p.Item) {
					return q
				}
			}
		}
		return nil
	}
	t.lock = locks[0]
	err = t.eachPin(func(split string, p *training.Pin) error {
		q := find(locks[1], split, p)
		switch {
		case q == nil:
			say(split, p.Item, "removed", diff.Stat{RowsRemoved: p.Rows})
			return nil
		case q.TableHash == p.TableHash, q.ContentHash == p.ContentHash && q.SchemaHash == p.SchemaHash:
			return nil
		}
		a, err := t.resolve(ctx, p.Item, p.Commit)
		if err != nil {
			return err
		}
		b, err := t.resolve(ctx, q.Item, q.Commit)
		if err != nil {
			return err
		}
		ch := &itemChange{}
		if err := t.count(ctx, ch, a, b); err != nil {
			return err
		}
		stat := diff.Stat{RowsAdded: ch.Added, RowsRemoved: ch.Removed, RowsModified: ch.Modified}
		text := fmt.Sprintf("+%d -%d ~%d rows", stat.RowsAdded, stat.RowsRemoved, stat.RowsModified)
		if len(ch.Schema) > 0 {
			text += ", " + strings.Join(ch.Schema, ", ")
		}
		say(split, q.Item, text, stat)
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, t.close(ctx))
	}
	t.lock = locks[1]
	err = t.eachPin(func(split string, q *training.Pin) error {
		if find(locks[0], split, q) == nil {
			say(split, q.Item, "added", diff.Stat{RowsAdded: q.Rows})
		}
		return nil
	})
	return r, errors.Join(err, t.close(ctx))
}
