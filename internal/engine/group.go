package engine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"github.com/dolthub/go-mysql-server/errguard"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function/aggregation"
	"github.com/dolthub/go-mysql-server/sql/hash"
	"github.com/dolthub/go-mysql-server/sql/plan"
)

// GROUP BY and DISTINCT within bounded memory. As many groups as fit are kept as the engine keeps them, by the hash of their values.
// The rows of others are sorted by hash and number, so that those of a group come one after the other; what becomes of the
// groups is sorted by the number of their first row. So the answer and its order are the engine's, however little memory there is.
// The state of one group is not bounded: GROUP_CONCAT and COUNT(DISTINCT …) keep what they have seen.

const (
	// groupBytes is about the memory of a group, aggregateBytes that of each of its values.
	groupBytes, aggregateBytes = 160, 112
	// seenBytes is about the memory of a row that DISTINCT remembers.
	seenBytes = 48
)

// spillKeyLen is the length of a spilled row's key: its hash and its number.
const spillKeyLen = 16

// spillKey is the key of a spilled row.
func spillKey(dst []byte, hash, number uint64) []byte {
	dst = binary.BigEndian.AppendUint64(dst[:0], hash)
	return binary.BigEndian.AppendUint64(dst, number)
}

// group is GROUP BY; nil leaves one without columns to the engine, since it has one group, unless it is known.
func (e *executor) group(ctx *sql.Context, n *plan.GroupBy, row sql.Row) (sql.RowIter, error) {
	if len(n.GroupByExprs) == 0 {
		return counted(ctx, n)
	}
	child, err := e.base.Build(ctx, n.Child, row)
	if err != nil {
		return nil, err
	}
	g := &groupIter{
		selected: n.SelectDeps, by: n.GroupByExprs, child: child, memory: e.sortMemory,
		values: make(sql.Row, len(n.GroupByExprs)), schema: make(sql.Schema, len(n.GroupByExprs)),
	}
	g.limit = max(1, g.memory/(groupBytes+aggregateBytes*len(g.selected)))
	for i, x := range n.GroupByExprs {
		g.schema[i] = &sql.Column{Type: x.Type(ctx)}
	}
	return g, nil
}

// counted is the group of a statement that only counts the rows of a table, which knows how many they are; nil for others. The engine
// does so itself for tables with a primary key.
func counted(ctx *sql.Context, n *plan.GroupBy) (sql.RowIter, error) {
	child := n.Child
	if a, ok := child.(*plan.TableAlias); ok {
		child = a.Child
	}
	r, ok := child.(*plan.ResolvedTable)
	if !ok || len(n.SelectDeps) == 0 {
		return nil, nil
	}
	t, ok := sql.GetUnderlyingTable(r.Table).(interface {
		sql.StatisticsTable
		Note(ctx *sql.Context) error
	})
	if !ok {
		return nil, nil
	}
	for _, x := range n.SelectDeps {
		c, ok := x.(*aggregation.Count)
		if !ok {
			return nil, nil
		}
		switch of := c.Child.(type) {
		case *expression.Star:
		case *expression.Literal:
			if of.Value() == nil {
				return nil, nil
			}
		default:
			return nil, nil
		}
	}
	count, exact, err := t.RowCount(ctx)
	if err == nil && exact {
		err = t.Note(ctx)
	}
	if err != nil || !exact {
		return nil, err
	}
	row := make(sql.Row, len(n.SelectDeps))
	for i := range row {
		row[i] = int64(count)
	}
	return sql.RowsToRowIter(row), nil
}

// groupIter groups rows.
type groupIter struct {
	selected, by []sql.Expression
	child        sql.RowIter
	limit        int // groups in memory
	memory       int // bytes of rows in memory

	values sql.Row // of a row that is being grouped
	schema sql.Schema

	begun  bool
	at     map[uint64]int
	groups []aggregates
	rest   *spill // rows of groups that are not in memory
	more   *spill // what has become of those groups
}

// aggregates are the values of a group, while it is being made.
type aggregates []sql.AggregationBuffer

// newAggregates are those of a group without rows.
func newAggregates(ctx *sql.Context, selected []sql.Expression) (aggregates, error) {
	out := make(aggregates, len(selected))
	for i, x := range selected {
		agg, ok := x.(sql.Aggregation)
		if !ok { // of a column that the group does not determine the first value counts
			agg = aggregation.NewFirst(x)
		}
		var err error
		if out[i], err = agg.NewBuffer(ctx); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (a aggregates) update(ctx *sql.Context, row sql.Row) error {
	for _, b := range a {
		if err := b.Update(ctx, row); err != nil {
			return err
		}
	}
	return nil
}

// row ends the group.
func (a aggregates) row(ctx *sql.Context) (sql.Row, error) {
	out := make(sql.Row, len(a))
	for i, b := range a {
		var err error
		if out[i], err = b.Eval(ctx); err != nil {
			return nil, err
		}
	}
	a.dispose(ctx)
	return out, nil
}

func (a aggregates) dispose(ctx *sql.Context) {
	for _, b := range a {
		b.Dispose(ctx)
	}
}

// Next implements sql.RowIter.
func (g *groupIter) Next(ctx *sql.Context) (sql.Row, error) {
	if !g.begun {
		g.begun = true
		if err := g.read(ctx); err != nil {
			return nil, err
		}
		g.at = nil
	}
	if len(g.groups) > 0 {
		a := g.groups[0]
		g.groups[0], g.groups = nil, g.groups[1:]
		return a.row(ctx)
	}
	if g.rest != nil {
		if err := g.finish(ctx); err != nil {
			return nil, err
		}
	}
	if g.more == nil {
		return nil, io.EOF
	}
	_, row, err := g.more.next(ctx)
	return row, err
}

// rowsAtOnce is how many rows the reading of the child hands to the grouping.
const rowsAtOnce = 128

// read groups all rows of the child, which is read meanwhile.
func (g *groupIter) read(ctx *sql.Context) error {
	g.at = map[uint64]int{}
	eg, sub := ctx.NewErrgroup()
	rows := make(chan []sql.Row, 4)
	errguard.Go(eg, func() error {
		defer close(rows)
		for {
			some := make([]sql.Row, 0, rowsAtOnce)
			var err error
			for err == nil && len(some) < rowsAtOnce {
				var row sql.Row
				if row, err = g.child.Next(sub); err == nil {
					some = append(some, row)
				}
			}
			if err != nil && err != io.EOF {
				return err
			}
			select {
			case rows <- some:
			case <-sub.Done():
				return sub.Err()
			}
			if err == io.EOF {
				return nil
			}
		}
	})
	errguard.Go(eg, func() error {
		var number uint64
		var key []byte
		for some := range rows {
			for _, row := range some {
				number++
				if err := g.take(sub, row, number, &key); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return eg.Wait()
}

// take puts a row into its group.
func (g *groupIter) take(ctx *sql.Context, row sql.Row, number uint64, key *[]byte) error {
	h, err := g.hash(ctx, row)
	if err != nil {
		return err
	}
	if i, ok := g.at[h]; ok {
		return g.groups[i].update(ctx, row)
	}
	if len(g.groups) < g.limit {
		a, err := newAggregates(ctx, g.selected)
		if err != nil {
			return err
		}
		g.at[h] = len(g.groups)
		g.groups = append(g.groups, a)
		return a.update(ctx, row)
	}
	if g.rest == nil {
		if g.rest, err = newSpill(ctx, g.memory/2); err != nil {
			return err
		}
	}
	*key = spillKey(*key, h, number)
	return g.rest.add(*key, row)
}

// hash tells groups apart, as the engine does.
func (g *groupIter) hash(ctx *sql.Context, row sql.Row) (uint64, error) {
	for i, x := range g.by {
		v, err := x.Eval(ctx, row)
		if err != nil {
			return 0, err
		}
		if t, ok := g.schema[i].Type.(sql.ExtendedType); ok {
			b, err := t.SerializeValue(ctx, v)
			if err != nil {
				return 0, err
			}
			v = string(b)
		}
		g.values[i] = v
	}
	return hash.HashOf(ctx, g.schema, g.values)
}

// finish makes the groups of the rows that were spilled, one after the other.
func (g *groupIter) finish(ctx *sql.Context) (err error) {
	if err := g.rest.sort(); err != nil {
		return err
	}
	if g.more, err = newSpill(ctx, g.memory/2); err != nil {
		return err
	}
	var first []byte // key of the group's first row
	var a aggregates
	end := func() error {
		if a == nil {
			return nil
		}
		row, err := a.row(ctx)
		a = nil
		if err != nil {
			return err
		}
		return g.more.add(first[spillKeyLen/2:], row)
	}
	for {
		key, row, err := g.rest.next(ctx)
		if err == io.EOF {
			break
		}
		if err == nil && (a == nil || !bytes.Equal(key[:spillKeyLen/2], first[:spillKeyLen/2])) {
			if err = end(); err == nil {
				first = append(first[:0], key...)
				a, err = newAggregates(ctx, g.selected)
			}
		}
		if err == nil {
			err = a.update(ctx, row)
		}
		if err != nil {
			return err
		}
	}
	if err := end(); err != nil {
		return err
	}
	err = g.rest.close()
	g.rest = nil
	return errors.Join(err, g.more.sort())
}

// Close implements sql.RowIter.
func (g *groupIter) Close(ctx *sql.Context) error {
	for _, a := range g.groups {
		a.dispose(ctx)
	}
	g.groups, g.at = nil, nil
	return errors.Join(g.rest.close(), g.more.close(), g.child.Close(ctx))
}

// distinct is DISTINCT.
func (e *executor) distinct(ctx *sql.Context, n *plan.Distinct, row sql.Row) (sql.RowIter, error) {
	child, err := e.base.Build(ctx, n.Child, row)
	if err != nil {
		return nil, err
	}
	return e.newDistinct(child, n.Hasher()), nil
}

// union is UNION DISTINCT; nil leaves it to the engine.
func (e *executor) union(ctx *sql.Context, n *plan.SetOp, row sql.Row) (sql.RowIter, error) {
	if !n.Distinct || n.SetOpType != plan.UnionType || n.Limit != nil || n.Offset != nil || len(n.SortConditions) > 0 {
		return nil, nil
	}
	all := *n
	all.Distinct = false
	child, err := e.base.Build(ctx, &all, row)
	if err != nil {
		return nil, err
	}
	return e.newDistinct(child, plan.DistinctHasher{}), nil
}

func (e *executor) newDistinct(child sql.RowIter, hasher plan.DistinctHasher) *distinctIter {
	return &distinctIter{child: child, hasher: hasher, limit: max(1, e.sortMemory/2/seenBytes), memory: e.sortMemory / 2, seen: map[uint64]struct{}{}}
}

// distinctIter gives the first of equal rows.
type distinctIter struct {
	child  sql.RowIter
	hasher plan.DistinctHasher
	limit  int // rows that are remembered
	memory int // bytes of other rows in memory

	seen   map[uint64]struct{}
	number uint64
	key    []byte
	rest   *spill // rows like none that is remembered
	more   *spill // the first of equal ones among them
}

// Next implements sql.RowIter.
func (d *distinctIter) Next(ctx *sql.Context) (sql.Row, error) {
	for d.seen != nil {
		row, err := d.child.Next(ctx)
		if err == io.EOF {
			d.seen = nil
			if d.rest != nil {
				err = d.finish(ctx)
			}
			if err != nil && err != io.EOF {
				return nil, err
			}
			break
		}
		if err != nil {
			return nil, err
		}
		h, err := d.hasher.HashOf(ctx, row)
		if err != nil {
			return nil, err
		}
		if _, ok := d.seen[h]; ok {
			continue
		}
		if len(d.seen) < d.limit {
			d.seen[h] = struct{}{}
			return row, nil
		}
		if d.rest == nil {
			if d.rest, err = newSpill(ctx, d.memory); err != nil {
				return nil, err
			}
		}
		d.number++
		d.key = spillKey(d.key, h, d.number)
		if err := d.rest.add(d.key, row); err != nil {
			return nil, err
		}
	}
	if d.more == nil {
		return nil, io.EOF
	}
	_, row, err := d.more.next(ctx)
	return row, err
}

// finish finds the first of equal rows among those that were spilled.
func (d *distinctIter) finish(ctx *sql.Context) (err error) {
	if err := d.rest.sort(); err != nil {
		return err
	}
	if d.more, err = newSpill(ctx, d.memory); err != nil {
		return err
	}
	var last []byte
	for {
		key, row, err := d.rest.next(ctx)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if last != nil && bytes.Equal(last, key[:spillKeyLen/2]) {
			continue
		}
		last = append(last[:0], key[:spillKeyLen/2]...)
		if err := d.more.add(key[spillKeyLen/2:], row); err != nil {
			return err
		}
	}
	err = d.rest.close()
	d.rest = nil
	return errors.Join(err, d.more.sort())
}

// Close implements sql.RowIter.
func (d *distinctIter) Close(ctx *sql.Context) error {
	d.seen = nil
	return errors.Join(d.rest.close(), d.more.close(), d.child.Close(ctx))
}
