package session

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/value"
)

// Tx is a session's transaction: one part for each branch that it has used.
type Tx struct {
	readOnly   bool
	parts      []*Part
	savepoints []savepoint
	stmt       *mark // of the statement that edits rows, nil for none
	ddl        *mark // from before the first change of a schema that is not committed
	done       bool
}

var _ sql.Transaction = (*Tx)(nil)

// String implements sql.Transaction.
func (t *Tx) String() string { return "transaction" }

// IsReadOnly implements sql.Transaction.
func (t *Tx) IsReadOnly() bool { return t.readOnly }

// savepoint is a named moment of the transaction.
type savepoint struct {
	name string // lower case
	mark *mark
}

// mark is a moment of the parts of a transaction.
type mark struct {
	open  int // editors of the statement that are between begin and end
	saved map[*Part]*repo.Savepoint
}

func (t *Tx) mark() *mark {
	m := &mark{saved: make(map[*Part]*repo.Savepoint, len(t.parts))}
	for _, p := range t.parts {
		m.saved[p] = p.tx.Savepoint()
	}
	return m
}

// reset goes back to the mark. Parts that came later lose all their changes.
func (t *Tx) reset(m *mark) {
	for _, p := range t.parts {
		sp := m.saved[p]
		if sp == nil {
			sp = p.first
		}
		if sp != nil {
			p.tx.RollbackTo(sp)
			p.gen++
		}
	}
}

// end gives up the transaction's changes.
func (t *Tx) end() {
	if t.done {
		return
	}
	t.done = true
	for _, p := range t.parts {
		switch {
		case !p.pinned:
			p.tx.Rollback()
		case p.first != nil:
			p.tx.RollbackTo(p.first)
		}
	}
}

// undoDDL takes back changes of schemas that their statement did not finish.
func (t *Tx) undoDDL() {
	if t.ddl == nil {
		return
	}
	m := t.ddl
	t.ddl = nil
	t.reset(m)
}

// changed is a branch that a transaction has changed.
type changed struct {
	repo   *repo.Repo
	branch string
}

// Version is a version commit that a transaction is committed with, by one record: see repo.Tx.CommitAs.
type Version struct {
	Options repo.CommitOptions
	Keep    func(tx *repo.Tx, c *history.Commit) error // nil, or called with the commit, which is nil when there is nothing to commit
	Made    *history.Commit                            // the commit, after it
}

// commit makes the changes of all parts last, as repo.CommitAcross does.
// It gives the branches that they are of, without those of temporary tables. With a version, which is nil for none, they must be of one
// branch.
func (t *Tx) commit(ctx *sql.Context, v *Version) ([]changed, error) {
	defer t.end()
	var out []changed
	var versioned *repo.Tx
	var txs, temporary []*repo.Tx
	for _, p := range t.parts {
		if p.pinned {
			p.first = nil // there is nothing to go back to
			continue
		}
		dirty := !p.temporary && p.tx.Dirty()
		if dirty {
			out = append(out, changed{p.tx.Repo(), p.tx.Branch()})
		}
		if v != nil && (dirty || !p.temporary && len(v.Options.Tables) > 0) {
			if versioned != nil {
				return nil, errs.New(errs.Internal, "commit transaction: a commit is of one branch, and it has changed several")
			}
			versioned = p.tx
			continue
		}
		if p.temporary {
			temporary = append(temporary, p.tx)
			continue
		}
		txs = append(txs, p.tx)
	}
	by := context.Context(ctx)
	if s, ok := ctx.Session.(*Session); ok && s.run.Run != "" {
		by = repo.WithReadsIn(lineage.With(by, s.run), s.readsIn)
	}
	if versioned != nil {
		var err error
		if v.Made, err = versioned.CommitAs(by, v.Options, func(c *history.Commit) error {
			if v.Keep == nil {
				return nil
			}
			return v.Keep(versioned, c)
		}); err != nil {
			return nil, err
		}
	}
	if err := repo.CommitAcross(by, txs...); err != nil {
		return nil, err
	}
	if err := repo.CommitAcross(by, temporary...); err != nil {
		return nil, err
	}
	return out, nil
}

// resolved refuses to commit what a merge that was begun in the transaction has left to be resolved, unless the session allows it. outcome is
// what the error says of the transaction.
func (t *Tx) resolved(ctx *sql.Context, outcome string) error {
	for _, p := range t.parts {
		if p.pinned || p.temporary {
			continue
		}
		m, err := p.tx.OwnMerge(ctx)
		if err != nil {
			return err
		}
		if m == nil || IsOn(ctx, varForceCommit) {
			continue
		}
		for i := range m.Tables {
			x := &m.Tables[i]
			if (x.Schema != "" || !x.Conflicts.IsEmpty()) && !IsOn(ctx, varAllowConflicts) {
				return unresolved("Merge conflict detected, " + outcome + ". Merge conflicts must be resolved using the dolt_conflicts and " +
					"dolt_schema_conflicts tables before committing a transaction. To commit transactions with merge conflicts, " +
					"set @@dolt_allow_commit_conflicts = 1")
			}
			if x.Violations.IsEmpty() {
				continue
			}
			v, _, ok, err := p.tx.Table(ctx, x.Name)
			if err != nil || !ok {
				return err
			}
			var first *repo.Violation
			n := 0
			err = repo.EachViolation(ctx, v, x, func(y repo.Violation, _ []value.Cell) error {
				if n++; first == nil {
					y.Info = bytes.Clone(y.Info)
					first = &y
				}
				return nil
			})
			if err != nil {
				return err
			}
			if first != nil {
				return unresolved(fmt.Sprintf("Committing this transaction resulted in a working set with constraint violations, %s. "+
					"This constraint violation may be the result of a previous merge or the result of transaction sequencing. "+
					"Constraint violations from a merge can be resolved using the dolt_constraint_violations table before committing the "+
					"transaction. To allow transactions to be committed with constraint violations from a merge or transaction sequencing "+
					"set @@dolt_force_transaction_commit=1.\nConstraint violations: \n%d in table %s, the first of a %s: %s", outcome, n, x.Name, first.Kind, first.Info))
			}
		}
	}
	return nil
}

// unresolved is the error of a transaction with what a merge has left, in Dolt's words and under MySQL's number for errors without one: it is
// not of class Conflict, which clients take for a deadlock and try again.
type unresolved string

// Error implements error.
func (u unresolved) Error() string { return string(u) }

// The variables that let a transaction be committed with what a merge in it has left.
const (
	varAllowConflicts = "dolt_allow_commit_conflicts"
	varForceCommit    = "dolt_force_transaction_commit"
)

// IsOn tells whether a variable of the session is true; one that is not known is not.
func IsOn(ctx *sql.Context, name string) bool {
	v, err := ctx.GetSessionVariable(ctx, name)
	if err != nil {
		return false
	}
	on, err := sql.ConvertToBool(ctx, v)
	return err == nil && on
}

// Changed gives the transactions of the branches that the session's transaction has changed something on.
func (s *Session) Changed() []*repo.Tx {
	var out []*repo.Tx
	if tx, ok := s.GetTransaction().(*Tx); ok && !tx.done {
		for _, p := range tx.parts {
			if !p.temporary && p.tx.Dirty() {
				out = append(out, p.tx)
			}
		}
	}
	return out
}

// StartTransaction implements sql.TransactionSession.
func (s *Session) StartTransaction(_ *sql.Context, c sql.TransactionCharacteristic) (sql.Transaction, error) {
	if old, ok := s.GetTransaction().(*Tx); ok {
		old.end()
	}
	return &Tx{readOnly: c == sql.ReadOnly}, nil
}

// CommitTransaction implements sql.TransactionSession. When it fails the transaction is over as well: the engine would keep it.
// Where the session asks for it (varTransactionCommit), the changed branches get a commit.
func (s *Session) CommitTransaction(ctx *sql.Context, t sql.Transaction) error {
	return s.CommitWith(ctx, t, nil)
}

// CommitWith is CommitTransaction with a version commit by the same record, nil for none; the transaction has changed one branch at most.
func (s *Session) CommitWith(ctx *sql.Context, t sql.Transaction, v *Version) error {
	branches, err := s.commit(ctx, t, v)
	if err != nil {
		return err
	}
	return s.record(ctx, branches)
}

// commit makes the changes of a transaction last, with a version commit that is nil for none, and gives the branches that they are of.
func (s *Session) commit(ctx *sql.Context, t sql.Transaction, v *Version) ([]changed, error) {
	tx, ok := t.(*Tx)
	if !ok || tx.done {
		return nil, nil
	}
	err := tx.resolved(ctx, "transaction rolled back")
	var branches []changed
	if err == nil {
		branches, err = tx.commit(ctx, v)
	}
	if err != nil {
		tx.end()
		ctx.SetTransaction(nil)
		ctx.SetIgnoreAutoCommit(false)
		return nil, Error(err)
	}
	return branches, nil
}

// Rollback implements sql.TransactionSession.
func (s *Session) Rollback(_ *sql.Context, t sql.Transaction) error {
	if tx, ok := t.(*Tx); ok {
		tx.end()
	}
	return nil
}

// CreateSavepoint implements sql.TransactionSession.
func (s *Session) CreateSavepoint(_ *sql.Context, t sql.Transaction, name string) error {
	tx, ok := t.(*Tx)
	if !ok {
		return nil
	}
	l := strings.ToLower(name)
	if i := tx.savepoint(l); i >= 0 {
		tx.savepoints = slices.Delete(tx.savepoints, i, i+1)
	}
	tx.savepoints = append(tx.savepoints, savepoint{name: l, mark: tx.mark()})
	return nil
}

func (t *Tx) savepoint(name string) int {
	return slices.IndexFunc(t.savepoints, func(p savepoint) bool { return p.name == name })
}

// RollbackToSavepoint implements sql.TransactionSession.
func (s *Session) RollbackToSavepoint(_ *sql.Context, t sql.Transaction, name string) error {
	tx, ok := t.(*Tx)
	if !ok {
		return nil
	}
	i := tx.savepoint(strings.ToLower(name))
	if i < 0 {
		return sql.ErrSavepointDoesNotExist.New(name)
	}
	tx.reset(tx.savepoints[i].mark)
	tx.savepoints = tx.savepoints[:i+1]
	return nil
}

// ReleaseSavepoint implements sql.TransactionSession.
func (s *Session) ReleaseSavepoint(_ *sql.Context, t sql.Transaction, name string) error {
	tx, ok := t.(*Tx)
	if !ok {
		return nil
	}
	i := tx.savepoint(strings.ToLower(name))
	if i < 0 {
		return sql.ErrSavepointDoesNotExist.New(name)
	}
	tx.savepoints = tx.savepoints[:i]
	return nil
}

// tx is the session's transaction, begun when there is none.
func (s *Session) tx(ctx *sql.Context) *Tx {
	if tx, ok := s.GetTransaction().(*Tx); ok && !tx.done {
		return tx
	}
	tx := &Tx{}
	ctx.SetTransaction(tx)
	return tx
}

// Outside implements registry.Session.
func (s *Session) Outside(ctx *sql.Context, fn func(ctx *sql.Context) error) error {
	explicit := s.GetIgnoreAutoCommit()
	var branches []changed
	if t := s.GetTransaction(); t != nil {
		if tx, ok := t.(*Tx); ok && !tx.done {
			if err := tx.resolved(ctx, "the transaction stays as it is"); err != nil {
				return err
			}
		}
		var err error
		if branches, err = s.commit(ctx, t, nil); err != nil {
			return err
		}
		ctx.SetTransaction(nil)
	}
	err := fn(s.ForRun(ctx))
	if err == nil { // of what fn has not committed
		err = s.record(ctx, branches)
	}
	s.beginAnew(ctx, explicit)
	return Error(err)
}

// beginAnew ends the session's transaction and begins the next one, explicitly or not.
func (s *Session) beginAnew(ctx *sql.Context, explicit bool) {
	if old, ok := s.GetTransaction().(*Tx); ok {
		old.end()
	}
	ctx.SetTransaction(&Tx{})
	ctx.SetIgnoreAutoCommit(explicit)
}

// EndWith implements registry.Session.
func (s *Session) EndWith(ctx *sql.Context, r *repo.Repo, branch string, fn func(ctx *sql.Context, tx *repo.Tx) error) (bool, error) {
	t, ok := s.GetTransaction().(*Tx)
	if !ok || t.done || t.resolved(ctx, "") != nil {
		return false, nil
	}
	var part *Part
	for _, p := range t.parts {
		switch {
		case p.temporary || !p.tx.Dirty():
		case part != nil || p.pinned || p.tx.Repo() != r || p.tx.Branch() != branch:
			return false, nil
		default:
			part = p
		}
	}
	if part == nil {
		return false, nil
	}
	explicit := s.GetIgnoreAutoCommit()
	err := fn(s.ForRun(ctx), part.tx)
	if !part.tx.Over() {
		return false, err
	}
	t.parts = slices.DeleteFunc(t.parts, func(p *Part) bool { return p == part })
	if _, rest := s.commit(ctx, t, nil); err == nil { // of temporary tables
		err = rest
	}
	if err == nil { // of what fn has not committed
		err = s.record(ctx, []changed{{r, branch}})
	}
	s.beginAnew(ctx, explicit)
	return true, Error(err)
}

// part is the transaction's part of a branch.
func (s *Session) part(ctx *sql.Context, r *repo.Repo, branch string) (*Part, error) {
	tx := s.tx(ctx)
	for _, p := range tx.parts {
		if p.tx.Repo() == r && p.tx.Branch() == branch {
			return p, nil
		}
	}
	if t := s.pinned; t != nil && t.Repo() == r && t.Branch() == branch {
		p := &Part{owner: tx, tx: t, pinned: true}
		tx.parts = append(tx.parts, p)
		return p, nil
	}
	t, err := r.Begin(ctx, branch)
	if errs.Is(err, errs.NotFound) {
		return nil, errs.New(errs.NotFound, "branch not found: %s: it was deleted or renamed; go to another one with: call dolt_checkout('%s')", branch, r.CheckedOut())
	}
	if err != nil {
		return nil, err
	}
	p := &Part{owner: tx, tx: t}
	tx.parts = append(tx.parts, p)
	on := r.Activity(branch)
	on.Read(r.Clock().Now())
	s.works(on)
	return p, nil
}

// Forget drops the transaction's parts of a database that is going away.
func (s *Session) Forget(r *repo.Repo) {
	tx, ok := s.GetTransaction().(*Tx)
	if !ok {
		return
	}
	gone := func(p *Part) bool { return p.tx.Repo() == r }
	for _, p := range tx.parts {
		if gone(p) {
			p.tx.Rollback()
		}
	}
	tx.parts = slices.DeleteFunc(tx.parts, gone)
	forget := func(m *mark) {
		if m != nil {
			maps.DeleteFunc(m.saved, func(p *Part, _ *repo.Savepoint) bool { return gone(p) })
		}
	}
	forget(tx.stmt)
	forget(tx.ddl)
	for _, p := range tx.savepoints {
		forget(p.mark)
	}
}

// errReadOnly says that a database cannot be written.
func errReadOnly(name string) error {
	return errs.New(errs.ReadOnly, "database %s cannot be written: it shows a commit; use a branch", name)
}
