package engine

import (
	"context"

	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// Resolved is what a name and a ref mean.
type Resolved struct {
	Repo     *repo.Repo
	Database string           // its name
	Branch   string           // the branch worked on; "" when the name means a commit
	Commit   history.CommitID // zero: a working or staged set
	reader   interface {
		Table(ctx context.Context, name string) (v *table.View, written string, ok bool, err error)
		TableNames(ctx context.Context) ([]string, error)
	}
}

// Table is a table there, its name as written; ok is false when there is none.
func (r *Resolved) Table(ctx context.Context, name string) (*table.View, string, bool, error) {
	return r.reader.Table(ctx, name)
}

// TableNames is the names of the tables there.
func (r *Resolved) TableNames(ctx context.Context) ([]string, error) { return r.reader.TableNames(ctx) }

// Resolve finds the tables of a database, "" for the current one, at a ref, "" for the session's own view of its branch.
func (c *Client) Resolve(ctx context.Context, database, ref string) (*Resolved, error) {
	sctx, end, err := c.begin(ctx, "")
	if err != nil {
		return nil, err
	}
	defer end()
	h, err := c.s.Handle(sctx, database)
	if err != nil {
		return nil, err
	}
	r := &Resolved{Repo: h.Repo(), Database: h.Base(), Branch: h.Branch()}
	if ref == "" {
		if r.Branch == "" {
			if r.Commit, err = h.Head(sctx); err != nil {
				return nil, err
			}
		}
		r.reader, err = h.Reader(sctx)
	} else {
		r.reader, r.Commit, err = h.At(sctx, ref)
	}
	if err == nil && !c.inTransaction() {
		c.settle(sctx)
	}
	return r, err
}

// Views are the names of the views of the session's current database.
func (c *Client) Views(ctx context.Context) ([]string, error) {
	rows, err := c.Query(ctx, "SELECT table_name FROM information_schema.views WHERE table_schema = DATABASE() ORDER BY 1", nil)
	if err != nil {
		return nil, err
	}
	var names []string
	cells := make([]value.Cell, len(rows.Columns))
	for {
		ok, err := rows.Next(cells)
		if err != nil || !ok {
			if e := rows.Close(); err == nil {
				err = e
			}
			return names, err
		}
		names = append(names, string(cells[0].Bytes()))
	}
}
