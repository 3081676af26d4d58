package systab

import (
	"fmt"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/engine/registry"
)

// queryDiffFunction is dolt_query_diff(query, query): how the answer of the second query differs from that of the first. When the
// columns of both are alike and a primary key is among them, rows are paired by it: they are deleted, added or modified. Else equal
// rows cancel and the others are deleted or added. First come the rows of the first query in its order, then those that are added.
func queryDiffFunction(ctx *sql.Context, _ registry.Handle, args []string) (*call, error) {
	if len(args) != 2 {
		return nil, sql.ErrInvalidArgumentNumber.New("dolt_query_diff", "2", len(args))
	}
	s, err := registry.SessionOf(ctx)
	if err != nil {
		return nil, err
	}
	var schemas [2]sql.Schema
	var rows [2][]sql.Row
	for i, q := range args {
		if schemas[i], rows[i], err = s.Select(ctx, q); err != nil {
			return nil, err
		}
	}
	var cols []*sql.Column
	for i, prefix := range []string{"from_", "to_"} {
		for _, c := range schemas[i] {
			cols = append(cols, &sql.Column{Name: prefix + c.Name, Type: c.Type, Nullable: true})
		}
	}
	cols = append(cols, text("diff_type"))
	return &call{cols: cols, rows: func(ctx *sql.Context) (sql.RowIter, error) {
		out, err := compareAnswers(ctx, schemas, rows)
		return sql.RowsToRowIter(out...), err
	}}, nil
}

// compareAnswers compares two lists of rows.
func compareAnswers(ctx *sql.Context, schemas [2]sql.Schema, rows [2][]sql.Row) ([]sql.Row, error) {
	n, m := len(schemas[0]), len(schemas[1])
	join := func(a, b sql.Row, kind string) sql.Row {
		out := make(sql.Row, n+m+1)
		copy(out, a)
		copy(out[n:], b)
		out[n+m] = kind
		return out
	}
	whole := [2][]string{}
	for i := range rows {
		for _, r := range rows[i] {
			k, err := answerKey(ctx, r, nil)
			if err != nil {
				return nil, err
			}
			whole[i] = append(whole[i], k)
		}
	}
	var out []sql.Row
	if key := commonKey(schemas); key != nil {
		at := map[string]int{} // rows of the second answer by key
		unique := true
		keys := [2][]string{}
		for i := range rows {
			seen := map[string]bool{}
			for j, r := range rows[i] {
				k, err := answerKey(ctx, r, key)
				if err != nil {
					return nil, err
				}
				unique = unique && !seen[k]
				seen[k] = true
				keys[i] = append(keys[i], k)
				if i == 1 {
					at[k] = j
				}
			}
		}
		if unique {
			paired := make([]bool, len(rows[1]))
			for i, r := range rows[0] {
				j, ok := at[keys[0][i]]
				switch {
				case !ok:
					out = append(out, join(r, nil, "deleted"))
				case whole[0][i] != whole[1][j]:
					out = append(out, join(r, rows[1][j], "modified"))
				}
				if ok {
					paired[j] = true
				}
			}
			for j, r := range rows[1] {
				if !paired[j] {
					out = append(out, join(nil, r, "added"))
				}
			}
			return out, nil
		}
	}
	left := map[string]int{}
	for _, k := range whole[1] {
		left[k]++
	}
	gone := map[string]int{}
	for i, r := range rows[0] {
		if left[whole[0][i]] > 0 {
			left[whole[0][i]]--
			gone[whole[0][i]]++
			continue
		}
		out = append(out, join(r, nil, "deleted"))
	}
	for j, r := range rows[1] {
		if gone[whole[1][j]] > 0 {
			gone[whole[1][j]]--
			continue
		}
		out = append(out, join(nil, r, "added"))
	}
	return out, nil
}

// commonKey is the positions of the primary key's columns in two answers of the same columns; nil when there are none.
func commonKey(schemas [2]sql.Schema) (key []int) {
	if len(schemas[0]) != len(schemas[1]) {
		return nil
	}
	for i, a := range schemas[0] {
		b := schemas[1][i]
		if !strings.EqualFold(a.Name, b.Name) || !a.Type.Equals(b.Type) || a.PrimaryKey != b.PrimaryKey {
			return nil
		}
		if a.PrimaryKey {
			key = append(key, i)
		}
	}
	return key
}

// answerKey is a text that only rows with equal values have: in the given columns, in all when cols is nil.
func answerKey(ctx *sql.Context, r sql.Row, cols []int) (string, error) {
	var b strings.Builder
	add := func(v any) error {
		v, err := sql.UnwrapAny(ctx, v)
		if err != nil {
			return err
		}
		if w, ok := v.(sql.JSONWrapper); ok {
			if v, err = w.ToInterface(ctx); err != nil {
				return err
			}
		}
		text := fmt.Sprint(v)
		fmt.Fprintf(&b, "%T %d %s ", v, len(text), text)
		return nil
	}
	if cols == nil {
		for _, v := range r {
			if err := add(v); err != nil {
				return "", err
			}
		}
		return b.String(), nil
	}
	for _, c := range cols {
		if err := add(r[c]); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}
