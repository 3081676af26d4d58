package engine

import (
	"slices"
	"strconv"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/planbuilder"
	gms "github.com/dolthub/go-mysql-server/sql/types"
	vitess "github.com/dolthub/vitess/go/mysql"
	"github.com/dolthub/vitess/go/sqltypes"
	querypb "github.com/dolthub/vitess/go/vt/proto/query"
	ast "github.com/dolthub/vitess/go/vt/sqlparser"

	"github.com/stemmadb/stemma/internal/engine/session"
	"github.com/stemmadb/stemma/internal/engine/sqltable"
)

// Row is the answer of a SELECT by Point.
type Row struct {
	Shape  any        // equal for answers whose columns are described alike
	Schema sql.Schema // of the columns; nil for statements that answer no rows
	Values sql.Row    // nil when there is no such row
}

// Point runs a SELECT of columns, an UPDATE or a DELETE of one row of one table, which its WHERE names by the whole primary key, without a
// plan: planning takes many times as long as the statement does. bindings are the parameters of a prepared statement. known tells
// whether the description of an answer is known; a SELECT whose is not is left to the general way, with its Shape in row.
//
// done is false, and nothing has happened, when the statement is not of that kind or when anything about it is not plainly known:
// expressions but sums and products of columns and numbers, conversions that are not exact, columns or tables with rules of their own,
// missing privileges, an error, a warning. The general way has to run it then, and gives the same as it would have without Point.
// An error with done is that of the commit under autocommit.
func (e *Engine) Point(
	ctx *sql.Context, query string, bindings map[string]*querypb.BindVariable, known func(shape any) bool,
) (res gms.OkResult, row Row, done bool, err error) {
	if e.opt.ReadOnly || e.sqle.IsReadOnly() {
		return res, row, false, nil
	}
	s, ok := ctx.Session.(*session.Session)
	if !ok || s.Run().Run != "" { // what is read for a run is recorded where tables are opened
		return res, row, false, nil
	}
	p := &point{e: e, ctx: ctx, bindings: bindings, known: known}
	if !p.parse(s, query) {
		return res, row, false, nil
	}
	if s.ValidateSession(ctx) != nil {
		return res, row, false, nil // it says so again
	}
	tx, ok := s.GetTransaction().(*session.Tx)
	if !ok {
		t, err := s.StartTransaction(ctx, sql.ReadWrite)
		if err != nil {
			return res, row, false, nil
		}
		ctx.SetTransaction(t)
		tx = t.(*session.Tx)
	}
	if tx.IsReadOnly() && p.columns == nil {
		return res, row, false, nil
	}
	if res, ok = p.run(); !ok {
		return res, p.answer, false, nil
	}
	sql.IncrementStatusVariable(ctx, "Questions", 1)
	sql.IncrementStatusVariable(ctx, p.counter, 1)
	info := ctx.GetLastQueryInfo()
	if u, ok := res.Info.(plan.UpdateInfo); ok {
		info.FoundRows.Store(int64(u.Matched))
	}
	info.RowCount.Store(int64(res.RowsAffected))
	if p.columns != nil {
		info.RowCount.Store(-1)
		info.FoundRows.Store(int64(min(len(p.answer.Values), 1)))
	}
	if ctx.GetIgnoreAutoCommit() {
		return res, p.answer, true, nil
	}
	auto, err := plan.IsSessionAutocommit(ctx)
	if err != nil || !auto {
		return res, p.answer, true, err
	}
	if err := s.CommitTransaction(ctx, tx); err != nil {
		return res, row, true, err
	}
	ctx.SetTransaction(nil)
	return res, p.answer, true, nil
}

// point is a statement on its way through Point.
type point struct {
	e        *Engine
	ctx      *sql.Context
	bindings map[string]*querypb.BindVariable
	known    func(shape any) bool

	counter string // the status variable that counts such statements
	table   string
	where   ast.Expr
	sets    ast.AssignmentExprs // of UPDATE
	columns ast.SelectExprs     // of SELECT
	answer  Row                 // of SELECT
	row     *sqltable.Point
	values  *planbuilder.Builder // makes literals as the general way does
}

// parse takes the statement apart as far as that needs no table.
func (p *point) parse(s *session.Session, query string) bool {
	query = sql.RemoveSpaceAndDelimiter(query, ';')
	const verb = len("update")
	if len(query) < verb || !slices.Contains([]string{"update", "delete", "select"}, strings.ToLower(query[:verb])) {
		return false
	}
	stmt, prepared := s.GetPreparedQuery(query)
	if !prepared {
		if len(p.bindings) > 0 {
			return false
		}
		mode := sql.LoadSqlMode(p.ctx)
		var end int
		var err error
		if stmt, end, err = p.e.sqle.Parser.ParseOneWithOptions(p.ctx, query, mode.ParserOptions()); err != nil || end != 0 && end < len(query) {
			return false
		}
	}
	var from ast.TableExprs
	var where *ast.Where
	switch x := stmt.(type) {
	case *ast.Update:
		if len(x.Comments) > 0 || x.Ignore != "" || x.With != nil || len(x.OrderBy) > 0 || x.Limit != nil || len(x.Returning) > 0 || len(x.Exprs) == 0 {
			return false
		}
		from, where, p.sets, p.counter = x.TableExprs, x.Where, x.Exprs, "Com_update"
	case *ast.Delete:
		if len(x.Comments) > 0 || len(x.Targets) > 0 || x.With != nil || len(x.Partitions) > 0 || len(x.OrderBy) > 0 || x.Limit != nil || len(x.Returning) > 0 {
			return false
		}
		from, where, p.counter = x.TableExprs, x.Where, "Com_delete"
	case *ast.Select:
		if x.Into != nil || x.With != nil || x.Limit != nil || x.Having != nil || x.Lock != nil && x.Lock.Type != "" || len(x.GroupBy) > 0 || len(x.Comments) > 0 ||
			len(x.Window) > 0 || len(x.OrderBy) > 0 || len(x.QueryOpts.DistinctOn) > 0 || x.QueryOpts.Distinct || x.QueryOpts.All ||
			x.QueryOpts.StraightJoinHint || x.QueryOpts.SQLCalcFoundRows || x.QueryOpts.SQLCache || x.QueryOpts.SQLNoCache {
			return false
		}
		from, where, p.columns, p.counter = x.From, x.Where, x.SelectExprs, "Com_select"
	default:
		return false
	}
	if where == nil || len(from) != 1 {
		return false
	}
	t, ok := from[0].(*ast.AliasedTableExpr)
	if !ok || t.Hints != nil || t.AsOf != nil || !t.As.IsEmpty() || len(t.Partitions) > 0 || t.Lateral {
		return false
	}
	name, ok := t.Expr.(ast.TableName)
	if !ok || !name.DbQualifier.IsEmpty() || !name.SchemaQualifier.IsEmpty() {
		return false
	}
	p.table, p.where = name.Name.String(), where.Expr
	return true
}

// run does the statement in the session's transaction; false means that it did nothing.
func (p *point) run() (res gms.OkResult, ok bool) {
	var base string
	var err error
	if p.row, base, err = p.e.provider.Point(p.ctx, p.table); err != nil || p.row == nil || !p.allowed(base) {
		return res, false
	}
	p.values = planbuilder.New(p.ctx, p.e.sqle.Analyzer.Catalog, nil)
	set := 0
	if !p.key(p.where, &set) || set != p.row.KeyWidth() {
		return res, false
	}
	assign, cols, ok := p.assignments()
	if !ok || p.columns != nil && !p.describe() {
		return res, false
	}
	if p.columns == nil {
		if alone, err := p.row.Alone(p.ctx); err != nil || !alone {
			return res, false
		}
	}
	found, err := p.row.Find(p.ctx)
	if err != nil {
		return res, false
	}
	switch {
	case p.columns != nil:
		return res, p.read(found)
	case p.sets == nil:
		return p.delete(found)
	}
	return p.update(found, assign, cols)
}

// shape is what the description of an answer depends on.
type shape struct {
	table   any    // the session's definition of the table
	columns string // as the statement names them, with blanks between
	charset sql.CharacterSetID
}

// describe finds the columns of a SELECT; false when the answer's description is not known.
func (p *point) describe() bool {
	var names strings.Builder
	sch := p.row.Schema()
	for _, e := range p.columns {
		switch x := e.(type) {
		case *ast.StarExpr:
			if !x.TableName.IsEmpty() || len(p.columns) > 1 {
				return false
			}
			p.answer.Schema = sch
			names.WriteString("*")
		case *ast.AliasedExpr:
			n, ok := x.Expr.(*ast.ColName)
			if !ok || !x.As.IsEmpty() || !n.Qualifier.IsEmpty() {
				return false
			}
			col := p.column(n)
			if col < 0 {
				return false
			}
			p.answer.Schema = append(p.answer.Schema, sch[col])
			names.WriteString(n.Name.String() + " ")
		default:
			return false
		}
	}
	p.answer.Shape = shape{p.row.Definition(), names.String(), p.ctx.GetCharacterSetResults()}
	return p.known(p.answer.Shape)
}

// read takes the columns of the row, if it was found.
func (p *point) read(found bool) bool {
	p.ctx.ClearWarnings()
	if !found {
		return true
	}
	values := make(sql.Row, len(p.answer.Schema))
	for i, c := range p.answer.Schema {
		var err error
		if values[i], err = p.row.Value(p.row.Column(c.Name)); err != nil {
			return false
		}
	}
	p.answer.Values = values
	return true
}

// allowed tells whether the user may read and write the table. Less may do for the statement; the general way knows.
func (p *point) allowed(base string) bool {
	write := sql.PrivilegeType_Update
	switch {
	case p.columns != nil:
		write = sql.PrivilegeType_Select
	case p.sets == nil:
		write = sql.PrivilegeType_Delete
	}
	db := p.e.sqle.Analyzer.Catalog.MySQLDb
	return !db.Enabled() || db.UserHasPrivileges(p.ctx, sql.NewPrivilegedOperation(
		sql.PrivilegeCheckSubject{Database: base, Table: p.row.Name()}, sql.PrivilegeType_Select, write))
}

// key sets the columns of the key by a conjunction of equalities; set counts them.
func (p *point) key(e ast.Expr, set *int) bool {
	switch x := e.(type) {
	case *ast.ParenExpr:
		return p.key(x.Expr, set)
	case *ast.AndExpr:
		return p.key(x.Left, set) && p.key(x.Right, set)
	case *ast.ComparisonExpr:
		if x.Operator != ast.EqualStr || x.Escape != nil {
			return false
		}
		name, isName := x.Left.(*ast.ColName)
		val, isVal := x.Right.(*ast.SQLVal)
		if !isName || !isVal {
			name, isName = x.Right.(*ast.ColName)
			val, isVal = x.Left.(*ast.SQLVal)
		}
		if !isName || !isVal {
			return false
		}
		col := p.column(name)
		if col < 0 || !p.row.InKey(col) {
			return false
		}
		lit := p.literal(val)
		if lit == nil || lit.Value() == nil {
			return false
		}
		*set++
		return p.row.SetKey(p.ctx, col, lit.Value())
	}
	return false
}

// column is the position of a column that an expression names, -1 for what is none.
func (p *point) column(n *ast.ColName) int {
	q := n.Qualifier
	if n.StoredProcVal != nil || !q.DbQualifier.IsEmpty() || !q.SchemaQualifier.IsEmpty() || !q.Name.IsEmpty() && !strings.EqualFold(q.Name.String(), p.table) {
		return -1
	}
	return p.row.Column(n.Name.String())
}

// literal is a literal or a parameter as the general way has it; nil for what is not plainly one.
func (p *point) literal(v *ast.SQLVal) *expression.Literal {
	if v.Type == ast.ValArg {
		b := p.bindings[strings.TrimPrefix(string(v.Val), ":")]
		if b == nil {
			return nil
		}
		val, err := sqltypes.BindVariableToValue(b)
		if err != nil {
			return nil
		}
		e, err := ast.ExprFromValue(val)
		if err != nil {
			return nil
		}
		if _, null := e.(*ast.NullVal); null {
			return expression.NewLiteral(nil, gms.Null)
		}
		var ok bool
		if v, ok = e.(*ast.SQLVal); !ok {
			return nil
		}
	}
	switch v.Type {
	case ast.StrVal:
	case ast.IntVal:
		if _, err := strconv.ParseInt(string(v.Val), 10, 64); err != nil {
			return nil
		}
	case ast.FloatVal:
		if _, err := strconv.ParseFloat(string(v.Val), 64); err != nil {
			return nil
		}
	default:
		return nil
	}
	lit, _ := p.values.ConvertVal(v).(*expression.Literal)
	return lit
}

// assignments are the columns that UPDATE sets, in order, and what to, in the engine's expressions, which evaluate it.
func (p *point) assignments() (list []sql.Expression, cols []int, ok bool) {
	for _, a := range p.sets {
		col := p.column(a.Name)
		if col < 0 || p.row.InKey(col) || !p.row.Settable(col) {
			return nil, nil, false
		}
		e := p.value(a.Expr)
		if e == nil {
			return nil, nil, false
		}
		list, cols = append(list, e), append(cols, col)
	}
	return list, cols, true
}

func (p *point) field(col int) sql.Expression {
	c := p.row.Schema()[col]
	return expression.NewGetFieldWithTable(col, 0, c.Type, c.DatabaseSource, c.Source, c.Name, c.Nullable)
}

// value is what a column is set to; nil for what is not plain.
func (p *point) value(e ast.Expr) sql.Expression {
	switch x := e.(type) {
	case *ast.NullVal:
		return expression.NewLiteral(nil, gms.Null)
	case *ast.SQLVal:
		if lit := p.literal(x); lit != nil {
			return lit
		}
		return nil
	case *ast.ColName:
		if col := p.column(x); col >= 0 && p.row.Settable(col) {
			return p.field(col)
		}
		return nil
	}
	return p.number(e)
}

// number is a sum, difference or product of numbers; nil for what is none.
func (p *point) number(e ast.Expr) sql.Expression {
	switch x := e.(type) {
	case *ast.ParenExpr:
		return p.number(x.Expr)
	case *ast.SQLVal:
		if lit := p.literal(x); lit != nil && lit.Value() != nil && gms.IsNumber(lit.Type(p.ctx)) {
			return lit
		}
	case *ast.ColName:
		if col := p.column(x); col >= 0 && p.row.Numeric(col) {
			return p.field(col)
		}
	case *ast.BinaryExpr:
		l, r := p.number(x.Left), p.number(x.Right)
		if l == nil || r == nil {
			return nil
		}
		switch x.Operator {
		case ast.PlusStr:
			return expression.NewPlus(l, r)
		case ast.MinusStr:
			return expression.NewMinus(l, r)
		case ast.MultStr:
			return expression.NewMult(l, r)
		}
	}
	return nil
}

// update sets columns of the row, if it was found.
func (p *point) update(found bool, assign []sql.Expression, cols []int) (res gms.OkResult, ok bool) {
	info := plan.UpdateInfo{}
	p.ctx.ClearWarnings()
	if found {
		info.Matched = 1
		sch := p.row.Schema()
		old := make(sql.Row, len(sch))
		for col := range sch {
			if !p.needed(col) {
				continue
			}
			var err error
			if old[col], err = p.row.Value(col); err != nil {
				return res, false
			}
		}
		now := slices.Clone(old)
		for i, a := range assign {
			v, err := a.Eval(p.ctx, now)
			if err != nil {
				return res, false
			}
			if v != nil {
				var inRange sql.ConvertInRange
				if v, inRange, err = sch[cols[i]].Type.Convert(p.ctx, v); err != nil || inRange != sql.InRange {
					return res, false
				}
			}
			now[cols[i]] = v
		}
		changed := false
		for _, col := range cols {
			if now[col] == nil && !sch[col].Nullable {
				return res, false
			}
			c, err := sch[col].Type.Compare(p.ctx, old[col], now[col])
			if err != nil {
				return res, false
			}
			changed = changed || c != 0
		}
		if p.ctx.Session.WarningCount() > 0 {
			return res, false
		}
		if changed {
			info.Updated = 1
			if p.row.Update(p.ctx, cols, now) != nil {
				return res, false
			}
		}
	}
	affected := info.Updated
	if p.ctx.Client().Capabilities&vitess.CapabilityClientFoundRows > 0 {
		affected = info.Matched
	}
	return gms.OkResult{RowsAffected: uint64(affected), Info: info}, true
}

// needed tells whether an assignment reads or sets the column.
func (p *point) needed(col int) bool {
	for _, a := range p.sets {
		if p.column(a.Name) == col || p.reads(a.Expr, col) {
			return true
		}
	}
	return false
}

func (p *point) reads(e ast.Expr, col int) bool {
	switch x := e.(type) {
	case *ast.ParenExpr:
		return p.reads(x.Expr, col)
	case *ast.ColName:
		return p.column(x) == col
	case *ast.BinaryExpr:
		return p.reads(x.Left, col) || p.reads(x.Right, col)
	}
	return false
}

// delete deletes the row, if it was found.
func (p *point) delete(found bool) (res gms.OkResult, ok bool) {
	p.ctx.ClearWarnings()
	if !found {
		return gms.NewOkResult(0), true
	}
	if p.row.Delete(p.ctx) != nil {
		return res, false
	}
	return gms.NewOkResult(1), true
}
