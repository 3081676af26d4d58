package cli

import (
	"context"
	"errors"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/op"
)

// queryDiffVerb is the verb that compares the answers of two queries.
type queryDiffVerb struct {
	First  string `arg:"1" required:"true" value:"sql" help:"a query"`
	Second string `arg:"2" required:"true" value:"sql" help:"the query whose answer is compared with that of the first"`

	program *Program
}

func (p *Program) queryDiffSpec() op.Spec {
	return specOf(op.Spec{
		Name: "query-diff", Group: op.GroupLook, Short: "Compare the answers of two queries",
		Long: `Rows are paired by the primary key where both answers have one; else equal rows cancel. It is what the table function
dolt_query_diff gives.`,
		Examples: []op.Example{
			{Args: `query-diff "select * from prices as of 'v1'" "select * from prices"`, Help: "what changed since a tag, by SQL"},
		},
	}, func() op.Op { return &queryDiffVerb{program: p} })
}

// Run compares.
func (v *queryDiffVerb) Run(ctx context.Context, scope *op.Scope) (result *op.Result, err error) {
	format, err := ParseFormat(v.program.globals.Format)
	if err != nil {
		return nil, err
	}
	s, err := v.program.openSQL(ctx, scope, "")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.end(ctx)) }()
	a, err := s.query(ctx, "select * from dolt_query_diff("+quoted(strings.TrimRight(v.First, "; \n"))+", "+quoted(strings.TrimRight(v.Second, "; \n"))+")")
	if err != nil {
		return nil, errs.New(errs.Invalid, "query-diff: %s", sqlMessage(err))
	}
	_, err = Render(v.program.Out, format, a.columns, a.all())
	return nil, errors.Join(err, a.close())
}
