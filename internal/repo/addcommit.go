package repo

import (
	"context"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/pack"
)

// AddCommit keeps a commit of the tables of a transaction that BeginAside began, which is over then. Parents, signatures, message and
// metadata are c's, the committer's time included; root, height and id are set. No ref names the commit yet: what none names when the
// process ends is not there, and it may be collected as garbage unless the caller holds the database.
func (r *Repo) AddCommit(ctx context.Context, t *Tx, c *history.Commit) (err error) {
	defer t.Rollback()
	if !t.aside || t.done || t.r != r {
		return errs.New(errs.Internal, "add commit: the transaction is not one aside of this database")
	}
	if c.Root, err = t.Sealed(ctx); err != nil {
		return err
	}
	c.Height = 1
	for _, p := range c.Parents {
		pc, err := history.GetCommit(ctx, r.store, p)
		if err != nil {
			return err
		}
		c.Height = max(c.Height, pc.Height+1)
	}
	if _, err := c.Put(ctx, t.Store()); err != nil {
		return err
	}
	return r.appendUnnamed(ctx, t.Store(), departure{commit: c.ID})
}

// appendUnnamed keeps chunks that no state names yet; as is what they make, which those who hold the database keep until then.
func (r *Repo) appendUnnamed(ctx context.Context, batch *pack.Batch, as ...departure) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.holds.leave(as...)
	_, err := r.store.Append(ctx, batch)
	return err
}
