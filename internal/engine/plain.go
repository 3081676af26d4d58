package engine

import (
	"context"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// PlainSelect is a statement that only asks for columns of one table: select a, b from t as of '…'.
type PlainSelect struct {
	Database string // "" is the current one
	Table    string
	Ref      string   // of AS OF; "" for none
	Columns  []string // as written; nil is all
}

// Plain tells whether a statement is a PlainSelect, so that it can be answered without the SQL engine. It does not look whether there is
// such a table.
func (c *Client) Plain(ctx context.Context, query string) (*PlainSelect, bool) {
	sctx := c.e.NewContext(ctx, c.s)
	stmt, err := c.parse(sctx, query)
	if err != nil || c.s.HasTemporary() {
		return nil, false
	}
	s, ok := stmt.(*sqlparser.Select)
	if !ok || s.Into != nil || s.With != nil || s.Limit != nil || s.Having != nil || s.Where != nil || s.Lock != nil && s.Lock.Type != "" || len(s.GroupBy) > 0 || len(s.QueryOpts.DistinctOn) > 0 ||
		len(s.Window) > 0 || len(s.OrderBy) > 0 || s.QueryOpts.Distinct || s.QueryOpts.SQLCalcFoundRows || len(s.From) != 1 {
		return nil, false
	}
	from, ok := s.From[0].(*sqlparser.AliasedTableExpr)
	if !ok || from.Hints != nil || len(from.Partitions) > 0 || from.Lateral {
		return nil, false
	}
	name, ok := from.Expr.(sqlparser.TableName)
	if !ok || !name.SchemaQualifier.IsEmpty() {
		return nil, false
	}
	out := &PlainSelect{Database: name.DbQualifier.String(), Table: name.Name.String()}
	if a := from.AsOf; a != nil {
		if out.Ref, ok = asOfText(a.Time); !ok || a.Start != nil || a.End != nil || a.All {
			return nil, false
		}
	}
	called := out.Table
	if !from.As.IsEmpty() {
		called = from.As.String()
	}
	of := func(q sqlparser.TableName) bool {
		return q.IsEmpty() || q.DbQualifier.IsEmpty() && strings.EqualFold(q.Name.String(), called)
	}
	for _, e := range s.SelectExprs {
		switch e := e.(type) {
		case *sqlparser.StarExpr:
			if len(s.SelectExprs) != 1 || !of(e.TableName) {
				return nil, false
			}
			return out, true
		case *sqlparser.AliasedExpr:
			col, ok := e.Expr.(*sqlparser.ColName)
			if !ok || !of(col.Qualifier) || !e.As.IsEmpty() && e.As.String() != col.Name.String() || sql.IsHiddenSystemColumn(col.Name.String()) {
				return nil, false
			}
			out.Columns = append(out.Columns, col.Name.String())
		default:
			return nil, false
		}
	}
	return out, len(out.Columns) > 0
}
