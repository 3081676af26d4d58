package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The model of version control: tables are maps, a history is a graph of maps.

// modelTable is a table: an integer key, and columns of integers with a default.
type modelTable struct {
	columns map[string]int         // name to default
	rows    map[int]map[string]int // by key
	hash    string                 // of the table in the database, "" when it is not known
}

func (t *modelTable) clone() *modelTable {
	c := &modelTable{columns: maps.Clone(t.columns), rows: map[int]map[string]int{}}
	for k, r := range t.rows {
		c.rows[k] = maps.Clone(r)
	}
	return c
}

func (t *modelTable) String() string {
	var b strings.Builder
	for _, c := range slices.Sorted(maps.Keys(t.columns)) {
		fmt.Fprintf(&b, "%s=%d ", c, t.columns[c])
	}
	for _, k := range slices.Sorted(maps.Keys(t.rows)) {
		fmt.Fprintf(&b, "%d", k)
		for _, c := range slices.Sorted(maps.Keys(t.columns)) {
			fmt.Fprintf(&b, ",%d", t.rows[k][c])
		}
		b.WriteString(" ")
	}
	return strings.TrimSpace(b.String())
}

// same tells whether two tables, nil for none, are one content.
func (t *modelTable) same(o *modelTable) bool {
	switch {
	case t == nil || o == nil:
		return t == o
	case t.hash != "" && o.hash != "":
		return t.hash == o.hash // which tells the order of columns as well
	}
	return t.String() == o.String()
}

// modelState is tables by name. Tables are not changed in place once they are committed.
type modelState map[string]*modelTable

func (s modelState) clone() modelState {
	out := modelState{}
	for n, t := range s {
		out[n] = t.clone()
	}
	return out
}

func (s modelState) String() string {
	var b strings.Builder
	for _, n := range slices.Sorted(maps.Keys(s)) {
		fmt.Fprintf(&b, "%s: %s\n", n, s[n])
	}
	return b.String()
}

// modelCommit is a commit of the graph.
type modelCommit struct {
	hash    string
	parents []*modelCommit
	state   modelState
}

// ancestors are the commits that c reaches, itself included.
func (c *modelCommit) ancestors() map[*modelCommit]bool {
	out := map[*modelCommit]bool{}
	todo := []*modelCommit{c}
	for len(todo) > 0 {
		x := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if !out[x] {
			out[x] = true
			todo = append(todo, x.parents...)
		}
	}
	return out
}

// mergeStates is the three-way merge; ok is false when something stands against something.
func mergeStates(base, ours, theirs modelState) (out modelState, ok bool) {
	out = modelState{}
	names := maps.Clone(base)
	maps.Copy(names, ours)
	maps.Copy(names, theirs)
	for n := range names {
		b, o, t := base[n], ours[n], theirs[n]
		var m *modelTable
		switch {
		case o.same(t), b.same(t):
			m = o
		case b.same(o):
			m = t
		case o == nil || t == nil:
			return nil, false
		default:
			if m, ok = mergeTables(b, o, t); !ok {
				return nil, false
			}
		}
		if m != nil {
			out[n] = m
		}
	}
	return out, true
}

// mergeTables merges a table that both sides changed; b is nil when both made it.
func mergeTables(b, o, t *modelTable) (*modelTable, bool) {
	if b == nil {
		b = &modelTable{}
	}
	out := &modelTable{columns: map[string]int{}, rows: map[int]map[string]int{}}
	columns := maps.Clone(o.columns)
	maps.Copy(columns, t.columns)
	for c := range columns {
		x, inB := b.columns[c]
		y, inO := o.columns[c]
		z, inT := t.columns[c]
		switch {
		case inO && inT && (y == z || inB && x == z):
			out.columns[c] = y
		case inO && inT && inB && x == y:
			out.columns[c] = z
		case inO && inT:
			return nil, false
		case !inB && inO:
			out.columns[c] = y
		case !inB && inT:
			out.columns[c] = z
		case inO && (x != y || revalued(b, o, c)), inT && (x != z || revalued(b, t, c)):
			return nil, false // dropped on one side, changed on the other
		}
	}
	// filled is a row with all merged columns.
	filled := func(s *modelTable, k int) map[string]int {
		r, in := s.rows[k]
		if !in {
			return nil
		}
		f := map[string]int{}
		for c, d := range out.columns {
			if v, has := r[c]; has {
				d = v
			}
			f[c] = d
		}
		return f
	}
	keys := maps.Clone(o.rows)
	maps.Copy(keys, t.rows)
	maps.Copy(keys, b.rows)
	for k := range keys {
		x, y, z := filled(b, k), filled(o, k), filled(t, k)
		eq := func(a, b map[string]int) bool { return (a == nil) == (b == nil) && maps.Equal(a, b) }
		var row map[string]int
		switch {
		case eq(y, z), eq(x, z):
			row = y
		case eq(x, y):
			row = z
		case y == nil || z == nil:
			return nil, false
		default:
			row = map[string]int{}
			for c := range out.columns {
				_, ours := o.columns[c]
				_, theirs := t.columns[c]
				switch {
				case y[c] == z[c], !theirs:
					row[c] = y[c]
				case !ours:
					row[c] = z[c]
				case x == nil:
					return nil, false
				case x[c] == y[c]:
					row[c] = z[c]
				case x[c] == z[c]:
					row[c] = y[c]
				default:
					return nil, false
				}
			}
		}
		if row != nil {
			out.rows[k] = row
		}
	}
	return out, true
}

// revalued tells whether rows that are in both have other values in a column.
func revalued(a, b *modelTable, column string) bool {
	for k, r := range a.rows {
		if o, in := b.rows[k]; in && o[column] != r[column] {
			return true
		}
	}
	return false
}
