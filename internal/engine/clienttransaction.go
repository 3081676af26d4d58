package engine

import (
	"cmp"
	"context"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/engine/session"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/repo"
)

// inTransaction tells whether a transaction has been begun that is to outlast the statement.
func (c *Client) inTransaction() bool { return c.s.GetIgnoreAutoCommit() }

// settle gives up what a look at the database has pinned.
func (c *Client) settle(ctx *sql.Context) {
	if t := c.s.GetTransaction(); t != nil {
		_ = c.s.Rollback(ctx, t) // of a transaction without changes: it cannot fail
		ctx.SetTransaction(nil)
	}
}

// Version is a version commit that a transaction is committed with, by one record.
type Version = session.Version

// Transaction runs fn in the session's transaction on the branch that a database's name means: what it changes is seen by the session's
// statements, and committed with them, or at once when no transaction has been begun: then with the version commit v, which is nil for none.
// An error takes back what fn did.
func (c *Client) Transaction(ctx context.Context, database string, v *Version, fn func(tx *repo.Tx) error) error {
	sctx, end, err := c.begin(ctx, "")
	if err != nil {
		return err
	}
	defer end()
	if c.e.sqle.IsReadOnly() {
		return errs.New(errs.ReadOnly, "the server was started to read only")
	}
	if err := c.s.ValidateSession(sctx); err != nil {
		return err
	}
	h, err := c.s.Handle(sctx, database)
	if err != nil {
		return err
	}
	if h.Branch() == "" {
		return errs.New(errs.ReadOnly, "database %s cannot be written: it shows a commit; use a branch", sctx.GetCurrentDatabase())
	}
	p, err := h.Part(sctx)
	if err != nil {
		return err
	}
	var failed error // as it was, before the engine's session words it for MySQL
	if err := p.Change(func(tx *repo.Tx) error {
		failed = fn(tx)
		return failed
	}); err != nil {
		if !c.inTransaction() {
			c.settle(sctx)
		}
		return cmp.Or(failed, err)
	}
	if c.inTransaction() {
		return nil
	}
	err = c.s.CommitWith(sctx, c.s.GetTransaction(), v)
	sctx.SetTransaction(nil)
	return err
}

// CommitWith ends the session's transaction as COMMIT does, with a version commit of what it has changed on a branch, the only one that it has
// changed.
func (c *Client) CommitWith(ctx context.Context, v *Version) error {
	sctx, end, err := c.begin(ctx, "")
	if err != nil {
		return err
	}
	defer end()
	err = c.s.CommitWith(sctx, c.s.GetTransaction(), v)
	sctx.SetTransaction(nil)
	sctx.SetIgnoreAutoCommit(false)
	return err
}

// Changed is what a transaction has changed on a branch.
type Changed struct {
	Repo   *repo.Repo
	Branch string
	Tables []string // lower-case names
}

// Changed is what the session's transaction has changed so far, by branch.
func (c *Client) Changed(context.Context) ([]Changed, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []Changed
	for _, tx := range c.s.Changed() {
		out = append(out, Changed{tx.Repo(), tx.Branch(), tx.Changed()})
	}
	return out, nil
}
