package engine

import (
	"context"
	"fmt"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"
	gms "github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/vt/sqlparser"

	"github.com/stemmadb/stemma/internal/engine/catalog"
	"github.com/stemmadb/stemma/internal/engine/session"
)

// The SQL engine asks a database for the view of a name before it asks for the table, and does not say as of what. Therefore the parser
// puts an expression around what AS OF says, which tells the session when it is evaluated, just before that.

// askedAsOf is the expression as the parser has it.
type askedAsOf struct {
	name string // of the table
	text string
	at   any // a ref or time; nil where the expression has a child that tells
}

var _ sqlparser.Injectable = askedAsOf{}

// String is the expression as written.
func (a askedAsOf) String() string { return a.text }

// WithResolvedChildren implements sqlparser.Injectable.
func (a askedAsOf) WithResolvedChildren(_ context.Context, children []any) (any, error) {
	if a.at != nil {
		return &tellAsOf{name: a.name, UnaryExpressionStub: expression.UnaryExpressionStub{Child: expression.NewLiteral(a.at, gms.LongText)}}, nil
	}
	if len(children) == 1 {
		if e, ok := children[0].(sql.Expression); ok {
			return &tellAsOf{name: a.name, UnaryExpressionStub: expression.UnaryExpressionStub{Child: e}}, nil
		}
	}
	return nil, sql.ErrInvalidAsOfExpression.New(a.text)
}

// tellAsOf tells the session what AS OF says of a table.
type tellAsOf struct {
	expression.UnaryExpressionStub
	name string
}

var (
	_ sql.Expression         = (*tellAsOf)(nil)
	_ sql.CollationCoercible = (*tellAsOf)(nil)
)

// String implements sql.Expression.
func (t *tellAsOf) String() string { return fmt.Sprint(t.Child) }

// Type implements sql.Expression.
func (t *tellAsOf) Type(ctx *sql.Context) sql.Type { return t.Child.Type(ctx) }

// CollationCoercibility implements sql.CollationCoercible.
func (t *tellAsOf) CollationCoercibility(ctx *sql.Context) (sql.CollationID, byte) {
	return sql.GetCoercibility(ctx, t.Child)
}

// Eval implements sql.Expression.
func (t *tellAsOf) Eval(ctx *sql.Context, row sql.Row) (any, error) {
	if _, ok := t.Child.(*expression.BindVar); ok { // of a statement that is prepared: what it will be is not known
		return "WORKING", nil
	}
	v, err := t.Child.Eval(ctx, row)
	if s, ok := ctx.Session.(*session.Session); ok && err == nil && v != nil {
		s.AskAsOf(ctx, t.name, v)
	}
	return v, err
}

// WithChildren implements sql.Expression.
func (t *tellAsOf) WithChildren(_ *sql.Context, children ...sql.Expression) (sql.Expression, error) {
	if len(children) != 1 {
		return nil, sql.ErrInvalidChildrenNumber.New(t, len(children), 1)
	}
	return &tellAsOf{expression.UnaryExpressionStub{Child: children[0]}, t.name}, nil
}

// telling is what AS OF says of a table with the expression around it.
func telling(name string, of sqlparser.Expr) sqlparser.Expr {
	switch x := of.(type) {
	case *sqlparser.SQLVal:
		if x.Type != sqlparser.ValArg {
			of = sqlparser.NewStrVal(x.Val)
		}
	case *sqlparser.ColName:
		if !strings.HasPrefix(x.Name.String(), "@") && x.StoredProcVal == nil {
			of = sqlparser.NewStrVal([]byte(x.String()))
		}
	case *sqlparser.FuncExpr:
		if x.IsAggregate() || x.Over != nil {
			return of
		}
	case *sqlparser.ConvertExpr:
	default: // an error of the engine's, or told already
		return of
	}
	return askedAsOf{name: name, text: sqlparser.String(of)}.injected(of)
}

// injected is the expression in a statement, with its children. It asks for no privilege.
func (a askedAsOf) injected(children ...sqlparser.Expr) sqlparser.InjectedExpr {
	return sqlparser.InjectedExpr{
		Auth:       sqlparser.AuthInformation{AuthType: sqlparser.AuthType_IGNORE, TargetType: sqlparser.AuthTargetType_Ignore},
		Expression: a,
		Children:   children,
	}
}

// asOfText is the ref that AS OF says in so many words.
func asOfText(of sqlparser.Expr) (string, bool) {
	if x, ok := of.(sqlparser.InjectedExpr); ok && len(x.Children) == 1 {
		of = x.Children[0]
	}
	v, ok := of.(*sqlparser.SQLVal)
	if !ok || v.Type != sqlparser.StrVal {
		return "", false
	}
	return string(v.Val), true
}

// tellAsOfs puts the expression around what a statement says with AS OF.
func tellAsOfs(s sqlparser.Statement) error {
	if e, ok := s.(*sqlparser.Explain); ok {
		return tellAsOfs(e.Statement)
	}
	return sqlparser.Walk(func(n sqlparser.SQLNode) (bool, error) {
		switch n := n.(type) {
		case *sqlparser.AliasedTableExpr:
			if t, ok := n.Expr.(sqlparser.TableName); ok && n.AsOf != nil && n.AsOf.Time != nil {
				n.AsOf.Time = telling(t.Name.String(), n.AsOf.Time)
			}
		case *sqlparser.Show:
			if n.ShowTablesOpt != nil && n.ShowTablesOpt.AsOf != nil && !n.Table.IsEmpty() {
				n.ShowTablesOpt.AsOf = telling(n.Table.Name.String(), n.ShowTablesOpt.AsOf)
			}
		}
		return true, nil
	}, s)
}

// tellViewsAsOf tells the session what SHOW TABLES AS OF says.
func tellViewsAsOf(ctx *sql.Context, n *plan.ShowTables) error {
	if n.AsOf() == nil {
		return nil
	}
	v, err := n.AsOf().Eval(ctx, nil)
	if s, ok := ctx.Session.(*session.Session); ok && err == nil && v != nil {
		s.AskAsOf(ctx, "", v)
	}
	return err
}

// readView makes the statement of a view, parsed of a text, mean what it means where it is read.
func readView(s sqlparser.Statement, text string, r *catalog.ViewReading) error {
	d, ok := s.(*sqlparser.DDL)
	if !ok || d.ViewSpec == nil {
		return nil
	}
	named := func(q sqlparser.TableIdent) sqlparser.TableIdent {
		base, ref := session.SplitName(q.String())
		if r.Is == "" || !strings.EqualFold(base, r.Self) {
			return q
		}
		if ref == "" {
			return sqlparser.NewTableIdent(r.Is)
		}
		is, _ := session.SplitName(r.Is)
		return sqlparser.NewTableIdent(is + q.String()[len(base):])
	}
	d.ViewSpec.ViewName.DbQualifier = sqlparser.NewTableIdent(r.View)
	d.Table = d.ViewSpec.ViewName
	d.SubStatementStr = catalog.ViewQuery(d, text)
	d.Auth.AuthType = sqlparser.AuthType_IGNORE // nothing is made
	asOf := r.AsOf()
	return sqlparser.Walk(func(n sqlparser.SQLNode) (bool, error) {
		switch n := n.(type) {
		case *sqlparser.ColName:
			n.Qualifier.DbQualifier = named(n.Qualifier.DbQualifier)
		case *sqlparser.StarExpr:
			n.TableName.DbQualifier = named(n.TableName.DbQualifier)
		case *sqlparser.AliasedTableExpr:
			t, ok := n.Expr.(sqlparser.TableName)
			if !ok {
				return true, nil
			}
			if t.DbQualifier.IsEmpty() {
				if t.Name.String() == "dual" {
					return true, nil
				}
				t.DbQualifier = sqlparser.NewTableIdent(r.Database)
			} else {
				t.DbQualifier = named(t.DbQualifier)
			}
			n.Expr = t
			if len(n.Auth.TargetNames) == 2 && n.Auth.TargetType == sqlparser.AuthTargetType_SingleTableIdentifier {
				n.Auth.TargetNames = []string{t.DbQualifier.String(), n.Auth.TargetNames[1]}
			}
			if asOf != nil && n.AsOf == nil {
				n.AsOf = &sqlparser.AsOf{Time: askedAsOf{name: t.Name.String(), text: fmt.Sprint(asOf), at: asOf}.injected()}
			}
		}
		return true, nil
	}, d.ViewSpec.ViewExpr)
}
