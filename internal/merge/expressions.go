package merge

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// Expressions evaluates expressions of SQL over the rows of a table. rd serves out-of-line cells. An expression that does not go with
// the schema, as one of a column that it lacks, is an error of class Invalid.
type Expressions interface {
	// Checks prepares CHECK constraints: checks are places in the schema's Checks.
	Checks(ctx context.Context, rd chunk.Reader, name string, s *schema.Compiled, checks []int) (RowChecks, error)
	// Generator prepares generated columns, given by their places.
	Generator(ctx context.Context, rd chunk.Reader, name string, s *schema.Compiled, columns []int) (RowGenerator, error)
}

// RowChecks gives, for each of rows, the places in the schema's Checks that it violates. A row has the cells of the rows' layout. A row
// for which an expression cannot be evaluated violates it; one for which it is NULL does not.
type RowChecks func(ctx context.Context, rows [][]value.Cell) ([][]int, error)

// RowGenerator sets the cells of generated columns in rows, which have the cells of the rows' layout. A value that cannot be evaluated, or
// that its column does not take, is an error of class Invalid.
type RowGenerator func(ctx context.Context, rows [][]value.Cell) error

// expressionRows is the number of rows for which expressions are evaluated together.
const expressionRows = 512

// checkBatch gathers rows for checks.
type checkBatch struct {
	sch   *schema.Compiled
	check RowChecks
	keys  [][]byte
	rows  [][]value.Cell
	found *[]violation
}

// newCheckBatch makes a batch for checks of the table; nil when there are none, or nobody who could evaluate them.
func (m *tableMerger) newCheckBatch(ctx context.Context, checks []int, found *[]violation) (*checkBatch, error) {
	if len(checks) == 0 || m.opt.Expressions == nil {
		return nil, nil
	}
	fn, err := m.opt.Expressions.Checks(ctx, m.st, m.name, m.sch, checks)
	if err != nil {
		return nil, err
	}
	return &checkBatch{sch: m.sch, check: fn, found: found}, nil
}

// add looks at a row sooner or later. cells may change after it; key may not.
func (b *checkBatch) add(ctx context.Context, key []byte, cells []value.Cell) error {
	row := make([]value.Cell, len(cells))
	for i := range cells {
		row[i] = cells[i].Clone()
	}
	b.keys, b.rows = append(b.keys, key), append(b.rows, row)
	if len(b.rows) < expressionRows {
		return nil
	}
	return b.flush(ctx)
}

// flush looks at the rows that have been added. It works on a nil batch.
func (b *checkBatch) flush(ctx context.Context) error {
	if b == nil || len(b.rows) == 0 {
		return nil
	}
	violated, err := b.check(ctx, b.rows)
	if err != nil {
		return err
	}
	for i, list := range violated {
		for _, n := range list {
			c := &b.sch.Checks[n]
			*b.found = append(*b.found, violation{key: history.ViolationKey(history.CheckViolation, c.Name, b.keys[i]), info: checkInfo(c)})
		}
	}
	b.keys, b.rows = b.keys[:0], b.rows[:0]
	return nil
}

// checkInfo describes a violated check in the words of dolt_constraint_violations_<table>.violation_info.
func checkInfo(c *schema.Check) []byte {
	b, err := json.Marshal(map[string]any{"Name": c.Name, "Expression": c.Expr})
	if err != nil { // strings always encode
		b = []byte("{}")
	}
	return b
}

// enforced are the places of the checks that hold for rows.
func enforced(s *schema.Schema) []int {
	var out []int
	for i := range s.Checks {
		if s.Checks[i].Enforced {
			out = append(out, i)
		}
	}
	return out
}

// holds tells whether a side's schema has had its rows checked for a check of the merged schema.
func holds(s *schema.Schema, c *schema.Check) bool {
	return slices.ContainsFunc(s.Checks, func(o schema.Check) bool { return o.Enforced && o.Expr == c.Expr })
}

// generated are the places of the generated columns whose values rows keep: those that are stored, and those that an index has.
func generated(s *schema.Schema) []int {
	var out []int
	for i := range s.Columns {
		c := &s.Columns[i]
		indexed := slices.ContainsFunc(s.Indexes, func(x schema.Index) bool {
			return slices.ContainsFunc(x.Columns, func(k schema.IndexColumn) bool { return k.Column == c.ID })
		})
		if c.Generated != "" && (c.Stored || indexed) {
			out = append(out, i)
		}
	}
	return out
}

// ungenerated tells whether rows of a side lack values of generated columns, or have those of other expressions.
func (m *tableMerger) ungenerated(s *side) bool {
	if m.generate == nil {
		return false
	}
	had := generated(s.ids)
	return slices.ContainsFunc(generated(m.sch.Schema), func(i int) bool {
		c := &m.sch.Columns[i]
		at := s.ids.ColumnByID(c.ID)
		return at < 0 || s.ids.Columns[at].Generated != c.Generated || !slices.Contains(had, at)
	})
}

// prepare makes the generator of the merged schema, and a conflict of expressions that do not go with it.
func (m *tableMerger) prepare(ctx context.Context) error {
	if m.opt.Expressions == nil {
		return nil
	}
	for _, n := range enforced(m.sch.Schema) {
		_, err := m.opt.Expressions.Checks(ctx, m.st, m.name, m.sch, []int{n})
		if errs.Is(err, errs.Invalid) {
			return conflictf("check '%s' does not go with the columns of the other side: %v", m.sch.Checks[n].Name, err)
		}
		if err != nil {
			return err
		}
	}
	columns := generated(m.sch.Schema)
	if len(columns) == 0 || slices.ContainsFunc(columns, func(i int) bool { return m.sch.InPrimaryKey(m.sch.Columns[i].ID) }) {
		return nil
	}
	fn, err := m.opt.Expressions.Generator(ctx, m.st, m.name, m.sch, columns)
	if errs.Is(err, errs.Invalid) {
		return conflictf("a generated column does not go with the columns of the other side: %v", err)
	}
	if err != nil {
		return err
	}
	m.generate = func(ctx context.Context, rows [][]value.Cell) error {
		err := fn(ctx, rows)
		if errs.Is(err, errs.Invalid) {
			return conflictf("a generated column cannot be made for the rows of both sides: %v", err)
		}
		return err
	}
	return nil
}

// Completer makes a Complete of the rows of a table, by x. It is nil when rows of the schema need no such thing, and when x is.
func Completer(ctx context.Context, x Expressions, rd chunk.Reader, name string, s *schema.Compiled) (table.Complete, error) {
	if x == nil {
		return nil, nil
	}
	var generate RowGenerator
	var check RowChecks
	var err error
	if columns := generated(s.Schema); len(columns) > 0 {
		if generate, err = x.Generator(ctx, rd, name, s, columns); err != nil {
			return nil, err
		}
	}
	if checks := enforced(s.Schema); len(checks) > 0 {
		if check, err = x.Checks(ctx, rd, name, s, checks); err != nil {
			return nil, err
		}
	}
	return func(ctx context.Context, rows [][]value.Cell) ([]table.Refused, error) {
		failed := make([]error, len(rows))
		good := rows
		if generate != nil {
			var err error
			if good, err = generateEach(ctx, generate, rows, failed); err != nil {
				return nil, err
			}
		}
		var violated [][]int
		if check != nil && len(good) > 0 {
			var err error
			if violated, err = check(ctx, good); err != nil {
				return nil, err
			}
		}
		var refused []table.Refused
		n := 0 // of good
		for i, err := range failed {
			if err == nil {
				if violated != nil && len(violated[n]) > 0 {
					err = errs.New(errs.Constraint, "Check constraint %q violated", s.Checks[violated[n][0]].Name)
				}
				n++
			}
			if err != nil {
				refused = append(refused, table.Refused{Row: i, Err: err})
			}
		}
		return refused, nil
	}, nil
}

// generateEach has generate set the cells of all rows for which it can, and returns those; failed gets the errors of the others, at their
// places.
func generateEach(ctx context.Context, generate RowGenerator, rows [][]value.Cell, failed []error) (good [][]value.Cell, err error) {
	err = generate(ctx, rows)
	switch {
	case err == nil:
		return rows, nil
	case errs.Is(err, errs.Canceled):
		return nil, err
	case len(rows) == 1:
		failed[0] = err
		return nil, nil
	}
	for i := range rows {
		if err := generate(ctx, rows[i:i+1]); errs.Is(err, errs.Canceled) {
			return nil, err
		} else if failed[i] = err; err == nil {
			good = append(good, rows[i])
		}
	}
	return good, nil
}
