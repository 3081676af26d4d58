package engine

import (
	"reflect"
	"slices"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"

	"github.com/stemmadb/stemma/internal/engine/session"
	"github.com/stemmadb/stemma/internal/engine/sqltable"
	"github.com/stemmadb/stemma/internal/lineage"
)

// target is a table that a statement writes.
type target interface {
	Stored() (db, table string)
	NoteOrigins(*sql.Context, map[string][]lineage.Origin) error
}

// forRun tells whether the session works for a run.
func forRun(ctx *sql.Context) bool {
	s, ok := ctx.Session.(*session.Session)
	return ok && s.Run().Run != ""
}

// noteInserted takes note from which columns an INSERT, REPLACE or CREATE TABLE with a SELECT makes the columns that it writes, and what it
// does with rows that are there, when the session works for a run.
func noteInserted(ctx *sql.Context, n *plan.InsertInto) error {
	if !forRun(ctx) || n.LiteralValueSource && !n.OnDupExprs.HasUpdates() {
		return nil
	}
	to, err := plan.GetInsertable(n.Destination)
	if err != nil {
		return nil // the engine says so itself
	}
	t, ok := sql.GetUnderlyingTable(to).(target)
	if !ok {
		return nil
	}
	found := map[string][]lineage.Origin{}
	columns := n.Destination.Schema(ctx)
	o := newOrigins(ctx, n.Source)
	var given [][]lineage.Origin
	if !n.LiteralValueSource {
		given = o.written(n.Source)
	}
	for i, from := range given {
		if i < len(columns) && len(from) > 0 {
			found[columns[i].Name] = from
		}
	}
	if n.OnDupExprs.HasUpdates() {
		o.given, o.behind = given, len(columns)
		o.learn(n.Destination)
		for _, e := range n.OnDupExprs.AllExpressions() {
			o.learnExpression(e)
		}
		for _, set := range o.assigned(n.OnDupExprs, o.outputs(n.Destination)) {
			found[set.to.Column] = lineage.JoinOrigins(found[set.to.Column], set.from)
		}
	}
	if len(found) == 0 {
		return nil
	}
	return t.NoteOrigins(ctx, found)
}

// noteUpdated is noteInserted for an UPDATE, of one table or of several that are joined.
func noteUpdated(ctx *sql.Context, n *plan.UpdateSource) error {
	if !forRun(ctx) {
		return nil
	}
	targets := map[[2]string]target{}
	transform.InspectWithOpaque(ctx, n.Child, func(_ *sql.Context, n sql.Node) bool {
		if x, ok := n.(sql.TableNode); ok {
			if t, ok := sql.GetUnderlyingTable(x.UnderlyingTable()).(target); ok {
				db, name := t.Stored()
				targets[[2]string{db, name}] = t
			}
		}
		return true
	})
	o := newOrigins(ctx, n)
	found := map[[2]string]map[string][]lineage.Origin{}
	for _, set := range o.assigned(n.UpdateExprs, o.outputs(n.Child)) {
		at := [2]string{set.to.DB, set.to.Table}
		if found[at] == nil {
			found[at] = map[string][]lineage.Origin{}
		}
		found[at][set.to.Column] = lineage.JoinOrigins(found[at][set.to.Column], set.from)
	}
	for at, by := range found {
		if t := targets[at]; t != nil {
			if err := t.NoteOrigins(ctx, by); err != nil {
				return err
			}
		}
	}
	return nil
}

// assignment is a column that a statement sets, and from what.
type assignment struct {
	to   lineage.Origin
	from []lineage.Origin
}

// assigned are the assignments of columns that are known and have origins. below are the columns of the rows that they are made in.
func (o *origins) assigned(ups *plan.UpdateExprs, below [][]lineage.Origin) (out []assignment) {
	for _, e := range ups.AllExpressions() {
		set, ok := e.(*expression.SetField)
		if !ok {
			continue
		}
		to := o.of(set.LeftChild, below)
		if len(to) != 1 || to[0].Kind != lineage.Identity {
			continue
		}
		from := slices.DeleteFunc(slices.Clone(o.of(set.RightChild, below)), func(x lineage.Origin) bool { return x == to[0] }) // set to what it was
		if len(from) > 0 {
			out = append(out, assignment{to[0], from})
		}
	}
	return out
}

// origins finds the columns of tables from which the columns of a plan are made. What decides which rows there are, such as conditions,
// is no origin. What it does not know has no origins.
type origins struct {
	ctx   *sql.Context
	known map[sql.ColumnId]func() []lineage.Origin
	found map[sql.ColumnId][]lineage.Origin
	// open are the columns whose origins are being found, and cuts counts how often one of them was asked for.
	open map[sql.ColumnId]bool
	cuts int
	made map[madeOutputs][][]lineage.Origin
	// given are the origins of the columns that an INSERT gives, for what it does with rows that are there: the columns of the row lie before
	// them, as many as behind tells; 0 elsewhere.
	given  [][]lineage.Origin
	behind int
	// inside counts the subqueries around the plan that is looked at whose rows have those outside before them, so that places tell nothing.
	inside int
}

// madeOutputs are the outputs of a plan that are known already. inside tells whether it is in a subquery.
type madeOutputs struct {
	plan   sql.Node
	inside bool
}

func newOrigins(ctx *sql.Context, n sql.Node) *origins {
	o := &origins{ctx: ctx, known: map[sql.ColumnId]func() []lineage.Origin{}, found: map[sql.ColumnId][]lineage.Origin{},
		open: map[sql.ColumnId]bool{}, made: map[madeOutputs][][]lineage.Origin{}}
	o.learn(n)
	return o
}

// learn takes in what the columns of a plan are. Those of the parts of a UNION are not seen outside of it, where the ids of the first
// part's stand for those of all.
func (o *origins) learn(n sql.Node) {
	if n == nil {
		return
	}
	if x, ok := n.(sql.Expressioner); ok {
		for _, e := range x.Expressions() {
			o.learnExpression(e)
		}
	}
	switch x := n.(type) {
	case *plan.SetOp:
		for i, id := range o.ids(x.Left()) {
			if id == 0 {
				continue
			}
			o.known[id] = func() []lineage.Origin {
				if all := o.outputs(x); i < len(all) {
					return all[i]
				}
				return nil
			}
		}
		return
	case *plan.RecursiveCte: // as of a UNION
		for i, id := range o.ids(x) {
			o.known[id] = func() []lineage.Origin {
				if all := o.outputs(x); i < len(all) {
					return all[i]
				}
				return nil
			}
		}
		return
	case *plan.SubqueryAlias:
		for i, id := range o.ids(x) {
			o.known[id] = func() []lineage.Origin {
				if all := o.outputs(x.Child); len(all) == len(o.ids(x)) {
					return all[i]
				}
				return o.of(x.ScopeMapping[id], nil)
			}
		}
	case plan.TableIdNode:
		o.learnTable(x)
	}
	for _, c := range n.Children() {
		o.learn(c)
	}
}

func (o *origins) learnTable(n plan.TableIdNode) {
	tn, ok := n.(sql.TableNode)
	if !ok {
		return
	}
	t, ok := sql.GetUnderlyingTable(tn.UnderlyingTable()).(interface{ Stored() (db, table string) })
	if !ok {
		return
	}
	db, name := t.Stored()
	columns := n.Schema(o.ctx)
	for i, id := range o.ids(n) {
		if i < len(columns) {
			from := lineage.Origin{DB: db, Table: name, Column: columns[i].Name, Kind: lineage.Identity}
			o.known[id] = func() []lineage.Origin { return []lineage.Origin{from} }
		}
	}
}

// learnExpression takes in the expressions that have ids of their own, and the plans of subqueries.
func (o *origins) learnExpression(e sql.Expression) {
	if e == nil {
		return
	}
	switch x := e.(type) {
	case *expression.GetField:
		return
	case *plan.Subquery:
		o.learn(x.Query)
	case sql.IdExpression:
		if x.Id() != 0 {
			o.known[x.Id()] = func() []lineage.Origin { return o.of(x, nil) }
		}
	}
	for _, c := range e.Children() {
		o.learnExpression(c)
	}
}

// column is the origins of the column with an id. One that is made of itself has none.
func (o *origins) column(id sql.ColumnId) []lineage.Origin {
	if o.open[id] {
		o.cuts++
		return nil
	}
	if from, ok := o.found[id]; ok {
		return from
	}
	if find := o.known[id]; find != nil {
		o.open[id] = true
		o.found[id] = find()
		delete(o.open, id)
	}
	return o.found[id]
}

// written are the origins of each column that the source of an INSERT gives. The engine puts a projection on top of it, whose fields go by
// their place; those of a query go by their ids.
func (o *origins) written(n sql.Node) [][]lineage.Origin {
	p, ok := n.(*plan.Project)
	if !ok {
		return o.outputs(n)
	}
	places := make([]int, len(p.Projections))
	for i, e := range p.Projections {
		places[i] = -1
		if a, ok := e.(*expression.AutoIncrement); ok {
			e = a.Child
		}
		switch f := e.(type) {
		case *expression.GetField:
			if f.TableId() != 0 || f.Table() != "" || f.Id() != sql.ColumnId(f.Index()) {
				return o.outputs(n)
			}
			places[i] = f.Index()
		case *expression.Alias:
			return o.outputs(n)
		}
	}
	below := o.outputs(p.Child)
	out := make([][]lineage.Origin, len(places))
	for i, at := range places {
		if at >= 0 && at < len(below) {
			out[i] = below[at]
		}
	}
	return out
}

// outputs are the origins of each column of a plan. They are found once, for the columns above each ask for them.
func (o *origins) outputs(n sql.Node) [][]lineage.Origin {
	key := madeOutputs{n, o.inside > 0}
	if reflect.TypeOf(n).Kind() != reflect.Pointer { // it may not be comparable
		return o.makeOutputs(n)
	}
	if out, ok := o.made[key]; ok {
		return out
	}
	cuts := o.cuts
	out := o.makeOutputs(n)
	if o.cuts == cuts { // else a column in the middle of being found is missing
		o.made[key] = out
	}
	return out
}

func (o *origins) makeOutputs(n sql.Node) [][]lineage.Origin {
	switch x := n.(type) {
	case sql.Projector:
		var below, out [][]lineage.Origin
		if c := n.Children(); len(c) == 1 {
			below = o.outputs(c[0])
		}
		for _, e := range x.ProjectedExprs() {
			out = append(out, o.of(e, below))
		}
		return out
	case *plan.SubqueryAlias:
		if x.IsLateral || x.OuterScopeVisibility {
			o.inside++
			defer func() { o.inside-- }()
		}
		return o.outputs(x.Child)
	case *plan.JoinNode:
		out := o.outputs(x.Left())
		if !x.Op.IsPartial() {
			out = append(out[:len(out):len(out)], o.outputs(x.Right())...)
		}
		return out
	case *plan.TableAlias:
		if _, ok := x.Child.(sql.TableFunction); !ok {
			return o.outputs(x.Child)
		}
	case *plan.SetOp:
		// Each part by itself: its ids are those of the whole outside.
		left, right := newOrigins(o.ctx, x.Left()), newOrigins(o.ctx, x.Right())
		left.inside, right.inside = o.inside, o.inside
		out, more := slices.Clone(left.outputs(x.Left())), right.outputs(x.Right())
		for i := range min(len(out), len(more)) {
			out[i] = lineage.JoinOrigins(out[i], more[i])
		}
		return out
	}
	if x, ok := n.(*plan.RecursiveCte); ok {
		return o.recursion(x)
	}
	if c := n.Children(); len(c) == 1 {
		if _, ok := n.(plan.TableIdNode); !ok {
			return o.outputs(c[0])
		}
	}
	var out [][]lineage.Origin
	for _, id := range o.ids(n) {
		out = append(out, o.column(id))
	}
	return out
}

// recursion are the origins of each column of a recursive table: of the rows that it begins with and, again and again, of those made from
// them, until that adds nothing.
func (o *origins) recursion(n *plan.RecursiveCte) [][]lineage.Origin {
	first := newOrigins(o.ctx, n.Left())
	first.inside = o.inside
	out := slices.Clone(first.outputs(n.Left()))
	for {
		next := newOrigins(o.ctx, n.Right())
		next.inside = o.inside
		transform.InspectWithOpaque(o.ctx, n.Right(), func(_ *sql.Context, x sql.Node) bool {
			if r, ok := x.(*plan.RecursiveTable); ok {
				for i, id := range next.ids(r) {
					if i < len(out) {
						from := out[i]
						next.known[id] = func() []lineage.Origin { return from }
					}
				}
			}
			return true
		})
		more, grown := next.outputs(n.Right()), false
		for i := range min(len(out), len(more)) {
			was := out[i]
			out[i] = lineage.JoinOrigins(was, more[i])
			grown = grown || !slices.Equal(was, out[i])
		}
		if !grown { // kinds only go up, and there are so many columns
			return out
		}
	}
}

// of is the origins of an expression. Fields whose ids tell nothing, since aliases have none, go by their place among the columns below,
// those of the plan that feeds the expression; nil where that is not known.
func (o *origins) of(e sql.Expression, below [][]lineage.Origin) []lineage.Origin {
	kind := lineage.Transformation
	switch x := e.(type) {
	case nil:
		return nil
	case *expression.GetField:
		if i := x.Index() - o.behind; o.behind > 0 && o.inside == 0 && i >= 0 { // its id may be that of the column that it goes to
			if i < len(o.given) {
				return o.given[i]
			}
			return nil
		}
		if _, ok := o.known[x.Id()]; ok {
			return o.column(x.Id())
		}
		if i := x.Index(); o.inside == 0 && i >= 0 && i < len(below) {
			return below[i]
		}
		return nil
	case *expression.Alias, *expression.AutoIncrement:
		kind = lineage.Identity
	case *plan.Subquery:
		o.inside++
		defer func() { o.inside-- }()
		var out []lineage.Origin
		for _, from := range o.outputs(x.Query) {
			out = lineage.JoinOrigins(out, as(from, kind))
		}
		return out
	case sql.WindowAdaptableExpression:
		kind = lineage.Aggregation
	}
	var out []lineage.Origin
	for _, c := range e.Children() {
		out = lineage.JoinOrigins(out, as(o.of(c, below), kind))
	}
	return out
}

// as is origins through an expression of a kind: what was added up stays so, and what is changed is not a copy any more.
func as(from []lineage.Origin, kind string) []lineage.Origin {
	out := make([]lineage.Origin, len(from))
	for i, x := range from {
		if x.Kind == lineage.Identity || x.Kind == lineage.Transformation && kind == lineage.Aggregation {
			x.Kind = kind
		}
		out[i] = x
	}
	return out
}

// ids are the ids of a plan's columns, 0 for one that has none.
func (o *origins) ids(n sql.Node) []sql.ColumnId {
	var out []sql.ColumnId
	switch x := n.(type) {
	case sql.Projector:
		for _, e := range x.ProjectedExprs() {
			id := sql.ColumnId(0)
			if e, ok := e.(sql.IdExpression); ok {
				id = e.Id()
			}
			out = append(out, id)
		}
	case *plan.TableAlias:
		if _, ok := x.Child.(sql.TableFunction); ok {
			x.Columns().ForEach(func(id sql.ColumnId) { out = append(out, id) })
			return out
		}
		return o.ids(x.Child)
	case *plan.SetOp:
		return o.ids(x.Left())
	case *plan.EmptyTable:
		return make([]sql.ColumnId, len(x.Schema(o.ctx)))
	case plan.TableIdNode:
		columns := x.Columns()
		if tn, ok := x.(sql.TableNode); ok {
			// A table that gives some of its columns still has the ids of all, in the order of its definition.
			if whole, ok := tn.UnderlyingTable().(sql.PrimaryKeyTable); ok && len(whole.PrimaryKeySchema(o.ctx).Schema) != len(x.Schema(o.ctx)) {
				first, _ := columns.Next(1)
				all := whole.PrimaryKeySchema(o.ctx).Schema
				for _, c := range x.Schema(o.ctx) {
					out = append(out, first+sql.ColumnId(all.IndexOfColName(c.Name)))
				}
				return out
			}
		}
		columns.ForEach(func(id sql.ColumnId) { out = append(out, id) })
	case *plan.JoinNode:
		out = o.ids(x.Left())
		if !x.Op.IsPartial() {
			out = append(out, o.ids(x.Right())...)
		}
	default:
		for _, c := range n.Children() {
			out = append(out, o.ids(c)...)
		}
	}
	return out
}

// A table of this database says where its columns are from.
var _ interface{ Stored() (db, table string) } = (*sqltable.Table)(nil)
