package op

import (
	"context"

	"github.com/stemmadb/stemma/internal/diff"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/table"
)

// Blame is the verb that shows which commit each row of a table is of.
type Blame struct {
	Args []string `arg:"rest" value:"revision|table" complete:"table" help:"the table, behind a revision if it is not that of the last commit"`
}

func blameSpec() Spec {
	return Define[Blame](Spec{
		Name: "blame", Group: GroupLook, Needs: NeedDatabase, ReadOnly: true,
		Short:    "Show which commit each row of a table is of",
		Usage:    []string{"[<revision>] <table>"},
		Examples: []Example{{"blame prices", "as of the last commit"}, {"blame v1 prices", "as of a tag"}},
	})
}

// Run looks back. Its rows are the primary keys in their order, each with the commit that gave the row its content.
func (c *Blame) Run(ctx context.Context, s *Scope) (*Result, error) {
	rev, name := "HEAD", ""
	switch len(c.Args) {
	case 1:
		name = c.Args[0]
	case 2:
		rev, name = c.Args[0], c.Args[1]
	default:
		return nil, errs.New(errs.Invalid, "blame: give a table, or a revision and a table")
	}
	id, err := s.Repo.Resolve(ctx, rev, s.branch())
	if err != nil {
		return nil, err
	}
	head, err := history.GetCommit(ctx, s.Repo.Store(), id)
	if err != nil {
		return nil, err
	}
	st := s.Repo.TableReader(s.Repo.Store(), name)
	b, err := diff.NewBlame(ctx, st, head, name, diff.Options{})
	if err != nil {
		return nil, err
	}
	sch := b.Table.Schema
	r := &Result{}
	var keys []int
	for _, k := range sch.PrimaryKey {
		at := sch.ColumnByID(k.Column)
		keys = append(keys, at)
		r.Columns = append(r.Columns, Column{Name: sch.Columns[at].Name, Type: sch.Columns[at].Type})
	}
	r.Columns = append(r.Columns, Text("commit"), Moment("commit_date"), Text("committer"), Text("email"), Text("message"))
	r.Stream = func(yield func([]any, error) bool) {
		scan := table.NewView(st, b.Table, nil).Scan(table.ScanOptions{Rows: table.RowsTree})
		var key []byte
		for {
			blk, ok, err := scan.Next(ctx)
			if err != nil {
				yield(nil, err)
				return
			}
			if !ok {
				return
			}
			for i := blk.Lo; i < blk.Hi; i++ {
				var row []any
				for _, k := range keys {
					cell, err := blk.Page.Cell(ctx, k, i)
					if err != nil {
						yield(nil, err)
						return
					}
					v, err := cellValue(ctx, st, sch.Columns[k].Type, cell)
					if err != nil {
						yield(nil, err)
						return
					}
					row = append(row, v)
				}
				key = blk.Page.AppendKey(key[:0], i)
				cm := b.Of(key)
				row = append(row, cm.ID.String(), cm.Committer.Time.UTC(), cm.Committer.Name, cm.Committer.Email, cm.Message)
				if !yield(row, nil) {
					return
				}
			}
		}
	}
	return r, nil
}
