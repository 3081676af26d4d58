package systab

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/apd/v3"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"

	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
)

// rebasePlan is dolt_rebase: the plan of the rebase in progress on the session's branch, which can be changed like a table. It is there as
// long as the rebase.
type rebasePlan struct {
	*Table
	handle registry.Handle
}

var (
	_ sql.InsertableTable   = (*rebasePlan)(nil)
	_ sql.UpdatableTable    = (*rebasePlan)(nil)
	_ sql.DeletableTable    = (*rebasePlan)(nil)
	_ sql.ReplaceableTable  = (*rebasePlan)(nil)
	_ sql.TruncateableTable = (*rebasePlan)(nil)
	_ sql.PrimaryKeyTable   = (*rebasePlan)(nil)
)

// rebasing is the rebase in progress as the session sees it; nil for none.
func rebasing(ctx *sql.Context, db registry.Handle) (*history.Rebase, error) {
	if db.Branch() == "" {
		return nil, nil
	}
	r, err := db.Reader(ctx)
	if err != nil {
		return nil, err
	}
	tx, ok := r.(*repo.Tx)
	if !ok {
		return nil, errs.New(errs.Internal, "read the rebase in progress: the reader is a %T", r)
	}
	return tx.Rebasing(ctx)
}

// rebasingElsewhere is the error that sends a session on a branch that is being rebased to the branch on which that is done; nil when the
// branch is not being rebased.
func rebasingElsewhere(ctx *sql.Context, db registry.Handle) error {
	if db.Branch() == "" {
		return nil
	}
	name := repo.RebaseBranch(db.Branch())
	if _, ok := db.Repo().BranchHead(name); !ok {
		return nil
	}
	x, err := db.Repo().Rebasing(ctx, name)
	if err != nil || x == nil {
		return err
	}
	return errs.New(errs.Invalid, "the rebase of branch '%s' is in progress on branch '%s': go there with call dolt_checkout('%s')", db.Branch(), name, name)
}

func rebaseTable(ctx *sql.Context, db registry.Handle, name string) (sql.Table, bool, error) {
	x, err := rebasing(ctx, db)
	if err != nil {
		return nil, false, err
	}
	if x == nil {
		return nil, false, rebasingElsewhere(ctx, db)
	}
	cols := []*sql.Column{
		{Name: "rebase_order", Type: types.MustCreateDecimalType(6, 2), PrimaryKey: true},
		{Name: "action", Type: types.MustCreateEnumType(history.RebaseActions(), sql.Collation_Default)},
		text("commit_hash"), text("commit_message"),
	}
	t := newTable(db, name, cols, nil, func(ctx *sql.Context, _ Point) (sql.RowIter, error) {
		x, err := rebasing(ctx, db)
		if err != nil || x == nil {
			return noRows(), err
		}
		rows := make([]sql.Row, len(x.Plan))
		for i, s := range x.Plan {
			rows[i] = sql.Row{apd.New(s.Order, -2), uint16(s.Action), s.Commit, s.Message}
		}
		return sql.RowsToRowIter(rows...), nil
	})
	return &rebasePlan{Table: t, handle: db}, true, nil
}

// PrimaryKeySchema implements sql.PrimaryKeyTable.
func (t *rebasePlan) PrimaryKeySchema(*sql.Context) sql.PrimaryKeySchema {
	return sql.NewPrimaryKeySchema(t.schema, 0)
}

// Inserter implements sql.InsertableTable.
func (t *rebasePlan) Inserter(*sql.Context) sql.RowInserter { return &planEditor{t: t} }

// Updater implements sql.UpdatableTable.
func (t *rebasePlan) Updater(*sql.Context) sql.RowUpdater { return &planEditor{t: t} }

// Deleter implements sql.DeletableTable.
func (t *rebasePlan) Deleter(*sql.Context) sql.RowDeleter { return &planEditor{t: t} }

// Replacer implements sql.ReplaceableTable.
func (t *rebasePlan) Replacer(*sql.Context) sql.RowReplacer { return &planEditor{t: t} }

// Truncate implements sql.TruncateableTable.
func (t *rebasePlan) Truncate(ctx *sql.Context) (int, error) {
	e := &planEditor{t: t}
	x, err := e.begin(ctx)
	if err != nil {
		return 0, err
	}
	n := len(x.Plan)
	x.Plan = nil
	return n, e.StatementComplete(ctx)
}

// planEditor changes the plan of a rebase.
type planEditor struct {
	t *rebasePlan
	x *history.Rebase // a copy, nil until the first change
}

// StatementBegin implements sql.EditOpenerCloser.
func (e *planEditor) StatementBegin(*sql.Context) { e.x = nil }

// DiscardChanges implements sql.EditOpenerCloser.
func (e *planEditor) DiscardChanges(*sql.Context, error) error {
	e.x = nil
	return nil
}

// begin copies the rebase.
func (e *planEditor) begin(ctx *sql.Context) (*history.Rebase, error) {
	if e.x != nil {
		return e.x, nil
	}
	x, err := rebasing(ctx, e.t.handle)
	if err != nil {
		return nil, err
	}
	if x == nil {
		return nil, errs.New(errs.NotFound, "no rebase in progress")
	}
	c := *x
	c.Plan = slices.Clone(x.Plan)
	e.x = &c
	return e.x, nil
}

// StatementComplete implements sql.EditOpenerCloser.
func (e *planEditor) StatementComplete(ctx *sql.Context) error {
	x := e.x
	if e.x = nil; x == nil {
		return nil
	}
	slices.SortFunc(x.Plan, func(a, b history.RebaseStep) int { return int(a.Order - b.Order) })
	for i := 1; i < len(x.Plan); i++ {
		if x.Plan[i].Order == x.Plan[i-1].Order {
			return e.duplicate(x.Plan[i].Order)
		}
	}
	tx, err := e.t.handle.Tx(ctx)
	if err != nil {
		return err
	}
	return tx.SetRebasing(ctx, x)
}

func (e *planEditor) duplicate(order int64) error {
	key := apd.New(order, -2).Text('f')
	return sql.NewUniqueKeyErr(fmt.Sprintf("[%s]", key), true, sql.Row{key})
}

// stepOf is a row as a step of the plan.
func stepOf(row sql.Row) (history.RebaseStep, error) {
	var s history.RebaseStep
	d, ok := row[0].(*apd.Decimal)
	if !ok {
		return s, errs.New(errs.Internal, "rebase_order is a %T", row[0])
	}
	order, err := strconv.ParseInt(strings.Replace(fixed(d), ".", "", 1), 10, 64)
	if err != nil {
		return s, errs.New(errs.Invalid, "rebase_order %s: %w", d, err)
	}
	action, ok := row[1].(uint16)
	if !ok {
		return s, errs.New(errs.Internal, "action is a %T", row[1])
	}
	if action < uint16(history.RebaseDrop) || action > uint16(history.RebaseEdit) {
		return s, errs.New(errs.Invalid, "action must be one of %s", strings.Join(history.RebaseActions(), ", "))
	}
	s.Order, s.Action = order, history.RebaseAction(action)
	var okCommit, okMessage bool
	s.Commit, okCommit = row[2].(string)
	s.Message, okMessage = row[3].(string)
	if !okCommit || !okMessage {
		return s, errs.New(errs.Invalid, "commit_hash and commit_message must be strings")
	}
	return s, nil
}

// fixed is a number with two digits behind the point, which its type has already given it.
func fixed(d *apd.Decimal) string {
	var out apd.Decimal
	if _, err := apd.BaseContext.WithPrecision(20).Quantize(&out, d, -2); err != nil {
		return d.Text('f')
	}
	return out.Text('f')
}

// at is the position of the step of that order; -1 when there is none.
func (e *planEditor) at(order int64) int {
	return slices.IndexFunc(e.x.Plan, func(s history.RebaseStep) bool { return s.Order == order })
}

// Insert implements sql.RowInserter.
func (e *planEditor) Insert(ctx *sql.Context, row sql.Row) error {
	x, err := e.begin(ctx)
	if err != nil {
		return err
	}
	s, err := stepOf(row)
	if err != nil {
		return err
	}
	if i := e.at(s.Order); i >= 0 {
		old := x.Plan[i]
		key := apd.New(s.Order, -2)
		return sql.NewUniqueKeyErr(fmt.Sprintf("[%s]", key.Text('f')), true, sql.Row{key, uint16(old.Action), old.Commit, old.Message})
	}
	x.Plan = append(x.Plan, s)
	return nil
}

// Update implements sql.RowUpdater.
func (e *planEditor) Update(ctx *sql.Context, old, new sql.Row) error {
	x, err := e.begin(ctx)
	if err != nil {
		return err
	}
	from, err := stepOf(old)
	if err != nil {
		return err
	}
	to, err := stepOf(new)
	if err != nil {
		return err
	}
	i := slices.Index(x.Plan, from)
	if i < 0 {
		return errs.New(errs.Internal, "the plan has no step %d", from.Order)
	}
	x.Plan[i] = to // two of one order are refused when all are changed
	return nil
}

// Delete implements sql.RowDeleter.
func (e *planEditor) Delete(ctx *sql.Context, row sql.Row) error {
	x, err := e.begin(ctx)
	if err != nil {
		return err
	}
	s, err := stepOf(row)
	if err != nil {
		return err
	}
	if i := slices.Index(x.Plan, s); i >= 0 {
		x.Plan = slices.Delete(x.Plan, i, i+1)
	}
	return nil
}

// Close implements sql.Closer.
func (e *planEditor) Close(ctx *sql.Context) error { return e.StatementComplete(ctx) }
