package engine

import (
	"context"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/engine/catalog"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/table"
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
	var names []string
	err := c.current(ctx, func(sctx *sql.Context, db *catalog.Database) error {
		all, err := db.AllViews(sctx)
		for i := range all {
			names = append(names, all[i].Name)
		}
		return err
	})
	return names, err
}

// View is the name, as written, of the view that a name of the session's current database means at a ref, "" for the session's own view of
// its branch; ok is false when it means none.
func (c *Client) View(ctx context.Context, name, ref string) (written string, ok bool, err error) {
	err = c.current(ctx, func(sctx *sql.Context, db *catalog.Database) error {
		written, ok, err = db.View(sctx, name, ref)
		return err
	})
	return written, ok, err
}

// current runs fn on the session's current database.
func (c *Client) current(ctx context.Context, fn func(ctx *sql.Context, db *catalog.Database) error) error {
	sctx, end, err := c.begin(ctx, "")
	if err != nil {
		return err
	}
	defer end()
	db, err := c.e.provider.Database(sctx, c.s.GetCurrentDatabase())
	if err != nil {
		return err
	}
	if err = fn(sctx, db.(*catalog.Database)); err == nil && !c.inTransaction() {
		c.settle(sctx)
	}
	return err
}
