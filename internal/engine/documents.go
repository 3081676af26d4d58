package engine

import (
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"
	gms "github.com/dolthub/go-mysql-server/sql/types"

	"github.com/stemmadb/stemma/internal/engine/types"
)

// Texts that are written to JSON columns become documents before the SQL engine converts them, since its parser makes every number
// a float64.

// documents is the rows of an INSERT, whose texts for JSON columns are documents.
type documents struct {
	plan.UnaryNode
	columns []int // from the end of a row, 1 is the last
}

var (
	_ sql.Node               = (*documents)(nil)
	_ sql.CollationCoercible = (*documents)(nil)
)

// insertDocuments is the INSERT with documents for its JSON columns; nil when it has none.
func insertDocuments(ctx *sql.Context, n *plan.InsertInto) (sql.Node, error) {
	if _, ok := n.Source.(*documents); ok {
		return nil, nil
	}
	dst := n.Destination.Schema(ctx)
	var columns []int
	for i, c := range dst {
		if gms.IsJSON(c.Type) {
			columns = append(columns, len(dst)-i)
		}
	}
	ups, err := updateDocuments(ctx, n.OnDupExprs)
	if err != nil || columns == nil {
		return nil, err
	}
	out := n.WithSource(&documents{plan.UnaryNode{Child: n.Source}, columns})
	if ups != nil {
		out.OnDupExprs = ups
	}
	return out, nil
}

// updateDocuments are assignments with documents for JSON columns; nil when there are none.
func updateDocuments(ctx *sql.Context, ups *plan.UpdateExprs) (*plan.UpdateExprs, error) {
	var out []sql.Expression
	for i, e := range ups.AllExpressions() {
		set, ok := e.(*expression.SetField)
		if !ok || !gms.IsJSON(set.LeftChild.Type(ctx)) {
			continue
		}
		if _, ok := set.RightChild.(*document); ok {
			continue
		}
		if out == nil {
			out = append(out, ups.AllExpressions()...)
		}
		out[i] = expression.NewSetField(set.LeftChild, &document{expression.UnaryExpressionStub{Child: set.RightChild}})
	}
	if out == nil {
		return nil, nil
	}
	return ups.WithExpressions(out)
}

// Schema implements sql.Node.
func (d *documents) Schema(ctx *sql.Context) sql.Schema { return d.Child.Schema(ctx) }

// String implements sql.Node.
func (d *documents) String() string { return d.Child.String() }

// IsReadOnly implements sql.Node.
func (d *documents) IsReadOnly() bool { return d.Child.IsReadOnly() }

// CollationCoercibility implements sql.CollationCoercible.
func (d *documents) CollationCoercibility(ctx *sql.Context) (sql.CollationID, byte) {
	return sql.GetCoercibility(ctx, d.Child)
}

// WithChildren implements sql.Node.
func (d *documents) WithChildren(_ *sql.Context, children ...sql.Node) (sql.Node, error) {
	if len(children) != 1 {
		return nil, sql.ErrInvalidChildrenNumber.New(d, len(children), 1)
	}
	return &documents{plan.UnaryNode{Child: children[0]}, d.columns}, nil
}

// documentIter reads the rows of documents.
type documentIter struct {
	rows    sql.RowIter
	columns []int
}

// Next implements sql.RowIter.
func (it *documentIter) Next(ctx *sql.Context) (sql.Row, error) {
	row, err := it.rows.Next(ctx)
	if err != nil {
		return row, err
	}
	for _, c := range it.columns {
		if i := len(row) - c; i >= 0 {
			if row[i], err = types.Document(ctx, row[i]); err != nil {
				return nil, err
			}
		}
	}
	return row, nil
}

// Close implements sql.RowIter.
func (it *documentIter) Close(ctx *sql.Context) error { return it.rows.Close(ctx) }

// document is a value for a JSON column.
type document struct {
	expression.UnaryExpressionStub
}

var _ sql.Expression = (*document)(nil)

// String implements sql.Expression.
func (d *document) String() string { return d.Child.String() }

// Type implements sql.Expression.
func (d *document) Type(ctx *sql.Context) sql.Type { return d.Child.Type(ctx) }

// Eval implements sql.Expression.
func (d *document) Eval(ctx *sql.Context, row sql.Row) (any, error) {
	v, err := d.Child.Eval(ctx, row)
	if err != nil {
		return nil, err
	}
	return types.Document(ctx, v)
}

// WithChildren implements sql.Expression.
func (d *document) WithChildren(_ *sql.Context, children ...sql.Expression) (sql.Expression, error) {
	if len(children) != 1 {
		return nil, sql.ErrInvalidChildrenNumber.New(d, len(children), 1)
	}
	return &document{expression.UnaryExpressionStub{Child: children[0]}}, nil
}
