package fn

import (
	"fmt"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/errs"
)

// spec describes a function. It is immutable.
type spec struct {
	name    string
	about   string
	least   int // arguments
	most    int // -1 for any number
	typ     sql.Type
	effects bool // changes something, so that it runs each time it is asked for
	// eval is not called when an argument is NULL: then the result is NULL.
	eval func(ctx *sql.Context, args []any) (any, error)
}

// function is the function as the engine takes it.
func (s *spec) function() sql.Function {
	return sql.FunctionN{Name: s.name, Fn: func(_ *sql.Context, args ...sql.Expression) (sql.Expression, error) {
		if len(args) < s.least || s.most >= 0 && len(args) > s.most {
			return nil, sql.ErrInvalidArgumentNumber.New(s.name, s.arity(), len(args))
		}
		return &call{spec: s, args: args}, nil
	}}
}

func (s *spec) arity() string {
	switch {
	case s.most < 0:
		return fmt.Sprintf("%d or more", s.least)
	case s.least == s.most:
		return fmt.Sprint(s.least)
	}
	return fmt.Sprintf("%d to %d", s.least, s.most)
}

// call is a function with its arguments.
type call struct {
	*spec
	args []sql.Expression
}

var (
	_ sql.FunctionExpression         = (*call)(nil)
	_ sql.NonDeterministicExpression = (*call)(nil)
	_ sql.CollationCoercible         = (*call)(nil)
	_ registry.Effective             = (*call)(nil)
)

// FunctionName implements sql.FunctionExpression.
func (c *call) FunctionName() string { return c.name }

// Description implements sql.FunctionExpression.
func (c *call) Description() string { return c.about }

// String implements fmt.Stringer.
func (c *call) String() string {
	args := make([]string, len(c.args))
	for i, a := range c.args {
		args[i] = a.String()
	}
	return c.name + "(" + strings.Join(args, ",") + ")"
}

// Type implements sql.Expression.
func (c *call) Type(*sql.Context) sql.Type { return c.typ }

// IsNullable implements sql.Expression.
func (c *call) IsNullable(*sql.Context) bool { return true }

// IsNonDeterministic implements sql.NonDeterministicExpression.
func (c *call) IsNonDeterministic() bool { return c.effects }

// HasEffects implements registry.Effective.
func (c *call) HasEffects() bool { return c.effects }

// CollationCoercibility implements sql.CollationCoercible.
func (c *call) CollationCoercibility(ctx *sql.Context) (sql.CollationID, byte) {
	return ctx.GetCollation(), 4
}

// Resolved implements sql.Resolvable.
func (c *call) Resolved() bool {
	for _, a := range c.args {
		if !a.Resolved() {
			return false
		}
	}
	return true
}

// Children implements sql.Expression.
func (c *call) Children() []sql.Expression { return c.args }

// WithChildren implements sql.Expression.
func (c *call) WithChildren(_ *sql.Context, args ...sql.Expression) (sql.Expression, error) {
	if len(args) != len(c.args) {
		return nil, sql.ErrInvalidChildrenNumber.New(c, len(args), len(c.args))
	}
	return &call{spec: c.spec, args: args}, nil
}

// Eval implements sql.Expression.
func (c *call) Eval(ctx *sql.Context, row sql.Row) (any, error) {
	vals := make([]any, len(c.args))
	for i, a := range c.args {
		v, err := a.Eval(ctx, row)
		if err != nil {
			return nil, err
		}
		if vals[i], err = sql.UnwrapAny(ctx, v); err != nil {
			return nil, err
		}
		if vals[i] == nil {
			return nil, nil
		}
	}
	return c.eval(ctx, vals)
}

// text is a string argument of a function, or a whole number as text.
func text(fn string, v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case []byte:
		return string(v), nil
	case int8, int16, int32, int64, uint8, uint16, uint32, uint64:
		return fmt.Sprint(v), nil
	}
	return "", errs.New(errs.Invalid, "%s: %v is not a string", fn, v)
}

// current is the session's current database.
func current(ctx *sql.Context) (registry.Session, registry.Handle, error) {
	s, err := registry.SessionOf(ctx)
	if err != nil {
		return nil, nil, err
	}
	h, err := s.Database(ctx, "")
	return s, h, err
}
