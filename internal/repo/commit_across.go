package repo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/pack"
)

// acrossFold is the bytes of a table's edits beyond which they are folded before a commit in several databases: their record then needs no
// files, which a full disk would deny when other databases have theirs already.
const acrossFold = 128 << 10

// opened counts the databases that this process has opened.
var opened atomic.Uint64

// CommitAcross commits transactions on branches of one database or of several. Those of one database are one, as CommitTogether has it. Those of
// several are validated, and have room in the journals, in all databases before the first has its record: when one cannot be committed none is.
// There is no record of several databases, however: a crash or a device that fails after the first has its record can leave the changes of some
// databases without those of others. Where the process lives to say so, the error names them. A database that is kept in a bucket can only be
// changed alone.
func CommitAcross(ctx context.Context, txs ...*Tx) error {
	var of []*across
	for _, t := range txs {
		i := slices.IndexFunc(of, func(a *across) bool { return a.r == t.r })
		if i < 0 {
			i, of = len(of), append(of, &across{r: t.r})
		}
		of[i].txs = append(of[i].txs, t)
	}
	if len(of) < 2 {
		return CommitTogether(ctx, txs...)
	}
	// Of several databases that were used only one is changed, as a rule: then nothing is to be done for the sake of others.
	changed := slices.DeleteFunc(slices.Clone(of), func(a *across) bool { return !slices.ContainsFunc(a.txs, (*Tx).Dirty) })
	if len(changed) == 1 {
		rest := slices.DeleteFunc(slices.Clone(txs), func(t *Tx) bool { return t.r == changed[0].r })
		err := CommitTogether(ctx, changed[0].txs...)
		for _, t := range rest {
			t.Rollback()
		}
		return err
	}
	err := commitAcross(ctx, of)
	for _, t := range txs {
		t.Rollback() // what was appended is not the transaction's any more
	}
	if errs.Is(err, errs.Conflict) || errs.Is(err, errs.DuplicateKey) {
		for _, a := range of {
			if !a.r.opt.ReadOnly {
				a.r.catchUp(ctx)
			}
		}
	}
	return err
}

// across is what CommitAcross commits in one database.
type across struct {
	r     *Repo
	txs   []*Tx // those that have changed something, after the first step
	plans []*plan
	batch *pack.Batch
	ready *settled
	s     *state // with the changes
}

func commitAcross(ctx context.Context, of []*across) error {
	var changed []*across
	for _, a := range of {
		dirty, err := together(ctx, a.txs, acrossFold)
		if err != nil {
			return err
		}
		if len(dirty) > 0 {
			a.txs = dirty
			changed = append(changed, a)
		}
	}
	if len(changed) == 0 {
		return nil
	}
	if len(changed) == 1 {
		return CommitTogether(ctx, changed[0].txs...)
	}
	// All who take locks of several databases do so in one order.
	slices.SortFunc(changed, func(a, b *across) int { return cmp.Compare(a.r.serial, b.r.serial) })
	for _, a := range changed {
		switch {
		case a.r.load != nil:
			return ErrOwnerOnly
		case a.r.bucket != nil: // where others may be first when its record is made to last, and the rest has theirs
			return errs.New(errs.Unsupported, "commit transaction: it has changed several databases, of which %s is kept in a bucket; change that in a transaction of its own", a.r.name)
		}
		if err := a.r.owned(); err != nil {
			return err
		}
		a.r.gate.RLock()
		defer a.r.gate.RUnlock()
		var err error
		if a.plans, a.batch, err = plansOf(ctx, a.txs); err != nil {
			return err
		}
	}
	for try := 0; ; try++ {
		if try < rebaseTries {
			for _, a := range changed {
				for _, p := range a.plans {
					if err := p.advance(ctx, a.batch, a.r.tip.Load(), try > 0); err != nil {
						return err
					}
				}
			}
		}
		if done, err := appendAcross(ctx, changed, try == rebaseTries); err != nil {
			return err
		} else if done {
			break
		}
	}
	var lost []error
	var there, missing []string
	for _, a := range changed {
		if err := a.r.publish(ctx, a.s); err != nil {
			lost, missing = append(lost, err), append(missing, a.r.name)
		} else {
			there = append(there, a.r.name)
		}
	}
	return partly(errors.Join(lost...), there, missing)
}

// appendAcross validates the changes in all databases and then appends those of each; it is not done when some have to be rebased first.
func appendAcross(ctx context.Context, of []*across, last bool) (done bool, err error) {
	for _, a := range of {
		a.r.mu.Lock()
		defer a.r.mu.Unlock()
		payload, err := encoded(a.plans)
		if err != nil {
			return false, err
		}
		if a.ready, err = a.r.settle(ctx, a.plans, a.batch, payload, last); a.ready == nil || err != nil {
			return false, err
		}
	}
	for _, a := range of {
		if err := a.r.store.Ready(ctx, a.batch, pack.Record{Type: recordChange, Payload: a.ready.payload}); err != nil {
			return false, err
		}
	}
	if err := ctx.Err(); err != nil {
		return false, errs.With(errs.Canceled, err)
	}
	ctx = context.WithoutCancel(ctx) // from the first record on there is no way back
	for i, a := range of {
		if a.s, err = a.ready.append(ctx); err != nil {
			names := make([]string, len(of))
			for j, b := range of {
				names[j] = b.r.name
			}
			for _, b := range of[:i] {
				err = errors.Join(err, b.r.publish(ctx, b.s))
			}
			return false, partly(err, names[:i], names[i:])
		}
	}
	return true, nil
}

// partly says of an error in which databases the changes are and in which not.
func partly(err error, there, missing []string) error {
	if err == nil || len(there) == 0 {
		return err
	}
	return fmt.Errorf("commit transaction: the changes of %s are committed, but not those of %s: %w", strings.Join(there, ", "), strings.Join(missing, ", "), err)
}
