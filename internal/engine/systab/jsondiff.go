package systab

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"

	"github.com/stemmadb/stemma/internal/diff"
)

// jsonDiff is dolt_json_diff(from, to): the members and elements in which two documents differ, in the order of their paths. The
// arguments may be columns of what a lateral join has before it.
type jsonDiff struct {
	db   sql.Database
	args []sql.Expression
}

var (
	_ sql.TableFunction      = (*jsonDiff)(nil)
	_ sql.ExecSourceRel      = (*jsonDiff)(nil)
	_ sql.CollationCoercible = (*jsonDiff)(nil)
)

// NewInstance implements sql.TableFunction.
func (j *jsonDiff) NewInstance(ctx *sql.Context, db sql.Database, args []sql.Expression) (sql.Node, error) {
	return (&jsonDiff{db: db}).WithExpressions(ctx, args...)
}

// Name implements sql.Nameable.
func (j *jsonDiff) Name() string { return "dolt_json_diff" }

// String implements fmt.Stringer.
func (j *jsonDiff) String() string {
	words := make([]string, len(j.args))
	for i, a := range j.args {
		words[i] = a.String()
	}
	return j.Name() + "(" + strings.Join(words, ", ") + ")"
}

// Schema implements sql.Node.
func (j *jsonDiff) Schema(*sql.Context) sql.Schema {
	cols := []*sql.Column{
		text("diff_type"), text("path"), {Name: "from_value", Type: types.JSON, Nullable: true}, {Name: "to_value", Type: types.JSON, Nullable: true},
	}
	for _, c := range cols {
		c.Source = j.Name()
		if j.db != nil {
			c.DatabaseSource = j.db.Name()
		}
	}
	return cols
}

// Resolved implements sql.Resolvable.
func (j *jsonDiff) Resolved() bool {
	return !slices.ContainsFunc(j.args, func(a sql.Expression) bool { return !a.Resolved() })
}

// Children implements sql.Node.
func (j *jsonDiff) Children() []sql.Node { return nil }

// WithChildren implements sql.Node.
func (j *jsonDiff) WithChildren(_ *sql.Context, children ...sql.Node) (sql.Node, error) {
	if len(children) != 0 {
		return nil, sql.ErrInvalidChildrenNumber.New(j, len(children), 0)
	}
	return j, nil
}

// IsReadOnly implements sql.Node.
func (j *jsonDiff) IsReadOnly() bool { return true }

// Expressions implements sql.Expressioner.
func (j *jsonDiff) Expressions() []sql.Expression { return j.args }

// WithExpressions implements sql.Expressioner.
func (j *jsonDiff) WithExpressions(_ *sql.Context, args ...sql.Expression) (sql.Node, error) {
	if len(args) != 2 {
		return nil, sql.ErrInvalidArgumentNumber.New(j.Name(), "2", len(args))
	}
	return &jsonDiff{db: j.db, args: args}, nil
}

// Database implements sql.Databaser.
func (j *jsonDiff) Database() sql.Database { return j.db }

// WithDatabase implements sql.Databaser.
func (j *jsonDiff) WithDatabase(db sql.Database) (sql.Node, error) {
	return &jsonDiff{db: db, args: j.args}, nil
}

// CollationCoercibility implements sql.CollationCoercible.
func (j *jsonDiff) CollationCoercibility(*sql.Context) (sql.CollationID, byte) {
	return sql.Collation_binary, 7
}

// RowIter implements sql.ExecSourceRel.
func (j *jsonDiff) RowIter(ctx *sql.Context, row sql.Row) (sql.RowIter, error) {
	var docs [2]any
	var there [2]bool
	for i, a := range j.args {
		v, err := a.Eval(ctx, row)
		if err != nil {
			return nil, err
		}
		if v, err = sql.UnwrapAny(ctx, v); err != nil {
			return nil, err
		}
		if v == nil {
			continue
		}
		doc, _, err := types.JSON.Convert(ctx, v)
		if err != nil {
			return nil, fmt.Errorf("%s: argument %d: %w", j.Name(), i+1, err)
		}
		if docs[i], err = doc.(sql.JSONWrapper).ToInterface(ctx); err != nil {
			return nil, err
		}
		there[i] = true
	}
	d := &jsonDiffer{ctx: ctx}
	d.pair("$", docs, there)
	if d.err != nil {
		return nil, d.err
	}
	return rowsFunc(func(*sql.Context) (sql.Row, error) {
		if len(d.rows) == 0 {
			return nil, io.EOF
		}
		r := d.rows[0]
		d.rows = d.rows[1:]
		return r, nil
	}), nil
}

// jsonDiffer compares documents.
type jsonDiffer struct {
	ctx  *sql.Context
	rows []sql.Row
	err  error
}

// pair compares what two documents have at a path; there tells which of them have something.
func (d *jsonDiffer) pair(path string, v [2]any, there [2]bool) {
	switch {
	case d.err != nil || !there[0] && !there[1]:
		return
	case !there[0]:
		d.row(diff.Added, path, nil, types.JSONDocument{Val: v[1]})
		return
	case !there[1]:
		d.row(diff.Removed, path, types.JSONDocument{Val: v[0]}, nil)
		return
	}
	if a, ok := v[0].(types.JsonObject); ok {
		if b, ok := v[1].(types.JsonObject); ok {
			keys := slices.Collect(maps.Keys(a))
			for k := range b {
				if _, ok := a[k]; !ok {
					keys = append(keys, k)
				}
			}
			slices.Sort(keys)
			for _, k := range keys {
				x, inA := a[k]
				y, inB := b[k]
				d.pair(path+"."+jsonMember(k), [2]any{x, y}, [2]bool{inA, inB})
			}
			return
		}
	}
	if a, ok := v[0].(types.JsonArray); ok {
		if b, ok := v[1].(types.JsonArray); ok {
			for i := range max(len(a), len(b)) {
				var x, y any
				if i < len(a) {
					x = a[i]
				}
				if i < len(b) {
					y = b[i]
				}
				d.pair(fmt.Sprintf("%s[%d]", path, i), [2]any{x, y}, [2]bool{i < len(a), i < len(b)})
			}
			return
		}
	}
	order, err := types.CompareJSON(d.ctx, v[0], v[1])
	if d.err = cmp.Or(d.err, err); err == nil && order != 0 {
		d.row(diff.Modified, path, types.JSONDocument{Val: v[0]}, types.JSONDocument{Val: v[1]})
	}
}

func (d *jsonDiffer) row(t diff.Type, path string, from, to any) {
	d.rows = append(d.rows, sql.Row{t.String(), path, from, to})
}

// jsonMember is the name of a member as a path has it: in quotes unless it is an identifier.
func jsonMember(name string) string {
	for i, r := range name {
		if r != '_' && r != '$' && !unicode.IsLetter(r) && (i == 0 || !unicode.IsDigit(r)) {
			return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
		}
	}
	if name == "" {
		return `""`
	}
	return name
}
