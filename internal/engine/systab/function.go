package systab

import (
	"fmt"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"

	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/errs"
)

// call is what a table function makes of its arguments: the columns, the tables that it reads, and how its rows are made.
type call struct {
	cols   []*sql.Column // nil for those that the function always has
	tables []string      // that the user must be allowed to read; nil for all
	rows   func(ctx *sql.Context) (sql.RowIter, error)
	some   func(ctx *sql.Context, used []bool) (sql.RowIter, error) // rows in which the columns that are not used may be nil; nil when that saves nothing
}

// binder reads the arguments of a table function.
type binder func(ctx *sql.Context, db registry.Handle, args []string) (*call, error)

// Function is a table function. It is immutable; the With methods give copies.
type Function struct {
	name   string
	cols   func() []*sql.Column // the columns, where they do not depend on the arguments; else nil
	bind   binder
	db     sql.Database
	args   []sql.Expression
	schema sql.Schema
	call   *call  // nil until the arguments are known
	used   []bool // the columns that are read; nil is all
}

var (
	_ sql.TableFunction            = (*Function)(nil)
	_ sql.ExecSourceRel            = (*Function)(nil)
	_ sql.AuthorizationCheckerNode = (*Function)(nil)
	_ sql.CollationCoercible       = (*Function)(nil)
	_ registry.Narrower            = (*Function)(nil)
)

func newFunction(name string, cols func() []*sql.Column, bind binder) *Function {
	return &Function{name: name, cols: cols, bind: bind}
}

// NewInstance implements sql.TableFunction.
func (f *Function) NewInstance(ctx *sql.Context, db sql.Database, args []sql.Expression) (sql.Node, error) {
	g := *f
	g.db, g.args = db, args
	return g.bound(ctx)
}

// bound is f with its arguments read; while some are parameters of a prepared statement, without.
func (f *Function) bound(ctx *sql.Context) (*Function, error) {
	f.call, f.schema = nil, nil
	if f.cols != nil {
		f.show(f.cols())
	}
	args := make([]string, len(f.args))
	for i, a := range f.args {
		if !isConstant(a) {
			if hasParameter(a) {
				return f, nil
			}
			return nil, errs.New(errs.Invalid, "%s: argument %d, %s, must be a constant", f.name, i+1, a)
		}
		v, err := a.Eval(ctx, nil)
		if err != nil {
			return nil, err
		}
		if v, err = sql.UnwrapAny(ctx, v); err != nil {
			return nil, err
		}
		switch v := v.(type) {
		case string:
			args[i] = v
		case []byte:
			args[i] = string(v)
		case int8, int16, int32, int64, uint8, uint16, uint32, uint64:
			args[i] = fmt.Sprint(v)
		default:
			return nil, errs.New(errs.Invalid, "%s: argument %d must be a string", f.name, i+1)
		}
	}
	s, err := registry.SessionOf(ctx)
	if err != nil {
		return nil, err
	}
	if f.db == nil {
		return nil, sql.ErrNoDatabaseSelected.New()
	}
	h, err := s.Database(ctx, f.db.Name())
	if err != nil {
		return nil, err
	}
	if f.call, err = f.bind(ctx, h, args); err != nil {
		return nil, err
	}
	if f.call.cols != nil {
		f.show(f.call.cols)
	}
	return f, nil
}

// show makes the columns the function's schema.
func (f *Function) show(cols []*sql.Column) {
	for _, c := range cols {
		c.Source = f.name
		if f.db != nil {
			c.DatabaseSource = f.db.Name()
		}
	}
	f.schema = cols
}

// hasParameter tells whether an expression waits for a value of a prepared statement.
func hasParameter(e sql.Expression) bool {
	if expression.IsBindVar(e) {
		return true
	}
	for _, c := range e.Children() {
		if hasParameter(c) {
			return true
		}
	}
	return false
}

// Name implements sql.Nameable.
func (f *Function) Name() string { return f.name }

// String implements fmt.Stringer.
func (f *Function) String() string {
	args := make([]string, len(f.args))
	for i, a := range f.args {
		args[i] = a.String()
	}
	return f.name + "(" + strings.Join(args, ", ") + ")"
}

// Resolved implements sql.Resolvable.
func (f *Function) Resolved() bool {
	for _, a := range f.args {
		if !a.Resolved() {
			return false
		}
	}
	return true
}

// Schema implements sql.Node.
func (f *Function) Schema(*sql.Context) sql.Schema { return f.schema }

// Children implements sql.Node.
func (f *Function) Children() []sql.Node { return nil }

// WithChildren implements sql.Node.
func (f *Function) WithChildren(_ *sql.Context, children ...sql.Node) (sql.Node, error) {
	if len(children) != 0 {
		return nil, sql.ErrInvalidChildrenNumber.New(f, len(children), 0)
	}
	return f, nil
}

// IsReadOnly implements sql.Node.
func (f *Function) IsReadOnly() bool { return true }

// Expressions implements sql.Expressioner.
func (f *Function) Expressions() []sql.Expression { return f.args }

// WithExpressions implements sql.Expressioner.
func (f *Function) WithExpressions(ctx *sql.Context, args ...sql.Expression) (sql.Node, error) {
	if len(args) != len(f.args) {
		return nil, sql.ErrInvalidChildrenNumber.New(f, len(args), len(f.args))
	}
	g := *f
	g.args = args
	if f.call != nil {
		return &g, nil
	}
	return g.bound(ctx)
}

// Database implements sql.Databaser.
func (f *Function) Database() sql.Database { return f.db }

// WithDatabase implements sql.Databaser.
func (f *Function) WithDatabase(db sql.Database) (sql.Node, error) {
	g := *f
	g.db = db
	return &g, nil
}

// CollationCoercibility implements sql.CollationCoercible.
func (f *Function) CollationCoercibility(*sql.Context) (sql.CollationID, byte) {
	return sql.Collation_binary, 7
}

// CheckAuth implements sql.AuthorizationCheckerNode: the user must be allowed to read the tables that are compared, or all.
func (f *Function) CheckAuth(ctx *sql.Context, checker sql.PrivilegedOperationChecker) bool {
	if f.call == nil {
		return true // checked when the arguments are known
	}
	tables := f.call.tables
	if tables == nil {
		tables = []string{""}
	}
	ops := make([]sql.PrivilegedOperation, len(tables))
	for i, t := range tables {
		ops[i] = sql.NewPrivilegedOperation(sql.PrivilegeCheckSubject{Database: f.db.Name(), Table: t}, sql.PrivilegeType_Select)
	}
	return checker.UserHasPrivileges(ctx, ops...)
}

// Using implements registry.Narrower.
func (f *Function) Using(used func(name string) bool) sql.Node {
	if f.call == nil || f.call.some == nil || f.used != nil {
		return nil
	}
	g := *f
	g.used = make([]bool, len(f.schema))
	all := true
	for i, c := range f.schema {
		g.used[i] = used(c.Name)
		all = all && g.used[i]
	}
	if all {
		return nil
	}
	return &g
}

// RowIter implements sql.ExecSourceRel.
func (f *Function) RowIter(ctx *sql.Context, _ sql.Row) (sql.RowIter, error) {
	if f.call == nil {
		g := *f
		b, err := g.bound(ctx)
		if err != nil {
			return nil, err
		}
		if b.call == nil {
			return nil, errs.New(errs.Invalid, "%s: an argument has no value", f.name)
		}
		f = b
	}
	if f.used != nil && f.call.some != nil && len(f.used) == len(f.schema) {
		return f.call.some(ctx, f.used)
	}
	return f.call.rows(ctx)
}
