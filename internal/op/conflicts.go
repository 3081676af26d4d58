package op

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// ConflictsCat is the verb that shows the conflicts of a merge.
type ConflictsCat struct {
	Tables []string `arg:"rest" value:"table" complete:"table" help:"tables, . for all"`
}

func conflictsCatSpec() Spec {
	return Define[ConflictsCat](Spec{
		Name: "conflicts cat", Group: GroupGrow, Needs: NeedDatabase, ReadOnly: true,
		Short: "Show the conflicts of a merge",
		Usage: []string{"<table>...", "."}, Examples: []Example{{"conflicts cat .", "show all conflicts"}},
	})
}

// Run reads them.
func (c *ConflictsCat) Run(ctx context.Context, s *Scope) (*Result, error) {
	if len(c.Tables) == 0 {
		return nil, errs.New(errs.Invalid, "No tables specified\n Maybe you wanted to say '%s conflicts cat .'?", s.Program())
	}
	w, err := s.Repo.SnapshotWorking(s.branch())
	if err != nil {
		return nil, err
	}
	m, err := w.Merging(ctx)
	if err != nil {
		return nil, err
	}
	for _, n := range c.Tables {
		if n == "." || m != nil && m.Table(n) >= 0 {
			continue
		}
		if _, _, ok, err := w.Table(ctx, n); err != nil {
			return nil, err
		} else if !ok {
			return nil, errs.New(errs.NotFound, "table not found: %s", n)
		}
	}
	out := &Result{Lines: []string{}}
	if m == nil {
		return out, nil
	}
	for i := range m.Tables {
		t := m.Tables[i]
		if !amongTables(c.Tables, t.Name) || t.Schema == "" {
			continue
		}
		part := &Result{Columns: []Column{Text("our_schema"), Text("their_schema"), Text("base_schema"), Text("description")}}
		var cells []any
		for _, e := range []root.Entry{t.Ours, t.Theirs, t.Base} {
			text, err := SideSQL(ctx, w, t.Name, e)
			if err != nil {
				return nil, err
			}
			cells = append(cells, text)
		}
		part.Add(append(cells, t.Schema)...)
		out.Parts = append(out.Parts, part)
	}
	for i := range m.Tables {
		if t := m.Tables[i]; amongTables(c.Tables, t.Name) && !t.Conflicts.IsEmpty() {
			part, err := conflictRows(ctx, w, t)
			if err != nil {
				return nil, err
			}
			out.Parts = append(out.Parts, part)
		}
	}
	return out, nil
}

// amongTables tells whether a list of tables, where . means all, has one.
func amongTables(names []string, name string) bool {
	for _, n := range names {
		if n == "." || strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

// SideSQL is the CREATE TABLE statement of one side of a merge, "<deleted>" when it has no such table.
func SideSQL(ctx context.Context, r repo.MergeReader, name string, e root.Entry) (string, error) {
	if e.Kind != 0 && e.Kind != root.KindTable {
		return string(e.Body), nil
	}
	v, err := r.Side(ctx, e)
	if err != nil || v == nil {
		return "<deleted>", err
	}
	return v.Schema().CreateTable(name), nil
}

// conflictRows draws the rows in conflict of a table: base, ours and theirs below one another.
func conflictRows(ctx context.Context, r repo.MergeReader, t history.MergeTable) (*Result, error) {
	c, err := repo.OpenConflicts(ctx, r, t)
	if err != nil {
		return nil, err
	}
	part := &Result{Columns: []Column{Text(" "), Text(" ")}}
	at := map[uint64]int{}
	for _, v := range []*table.View{c.Base, c.Theirs, c.Ours} {
		if v == nil {
			continue
		}
		for i := range v.Schema().Columns {
			col := &v.Schema().Columns[i]
			if _, ok := at[col.ID]; !ok {
				at[col.ID] = len(part.Columns)
				part.Columns = append(part.Columns, Text(col.Name))
			}
		}
	}
	add := func(mark, version string, v *table.View, cells []value.Cell) error {
		row := make([]any, len(part.Columns))
		row[0], row[1] = mark, version
		shift := len(v.Schema().Primary.Phys) - len(v.Schema().Columns)
		for i := range v.Schema().Columns {
			col := &v.Schema().Columns[i]
			cell, err := table.Resolve(ctx, v.Reader(), cells[shift+i])
			if err != nil {
				return err
			}
			if !cell.IsNull() {
				row[at[col.ID]] = string(value.AppendText(nil, col.Type, cell))
			}
		}
		part.Rows = append(part.Rows, row)
		return nil
	}
	err = c.Each(ctx, func(x repo.Conflict) error {
		if x.Base != nil {
			if err := add("", "base", c.Base, x.Base); err != nil {
				return err
			}
		}
		for _, side := range []struct {
			name  string
			v     *table.View
			cells []value.Cell
		}{{"ours", c.Ours, x.Ours}, {"theirs", c.Theirs, x.Theirs}} {
			mark, v, cells := " * ", side.v, side.cells
			switch {
			case cells == nil && x.Base == nil:
				continue
			case cells == nil: // the row that is gone
				mark, v, cells = " - ", c.Base, x.Base
			case x.Base == nil:
				mark = " + "
			}
			if err := add(mark, side.name, v, cells); err != nil {
				return err
			}
		}
		return nil
	})
	return part, err
}

// ConflictsResolve is the verb that settles conflicts by taking one side.
type ConflictsResolve struct {
	Ours   bool     `flag:"ours" help:"keep what this branch has"`
	Theirs bool     `flag:"theirs" help:"take what the merged branch has"`
	Tables []string `arg:"rest" value:"table" complete:"table" help:"tables, . for all"`
}

func conflictsResolveSpec() Spec {
	return Define[ConflictsResolve](Spec{
		Name: "conflicts resolve", Group: GroupGrow, Needs: NeedDatabase,
		Short:    "Settle the conflicts of a merge by taking one side",
		Usage:    []string{"(--ours | --theirs) <table>...", "(--ours | --theirs) ."},
		Examples: []Example{{"conflicts resolve --theirs prices", "take the other branch's rows where both changed them"}},
	})
}

// Run settles them.
func (c *ConflictsResolve) Run(ctx context.Context, s *Scope) (*Result, error) {
	switch {
	case c.Ours && c.Theirs:
		return nil, errs.New(errs.Invalid, "specify only either --ours or --theirs")
	case !c.Ours && !c.Theirs:
		return nil, errs.New(errs.Invalid, "--ours or --theirs must be supplied")
	case len(c.Tables) == 0:
		return nil, errs.New(errs.Invalid, "specify at least one table to resolve conflicts")
	}
	names := c.Tables
	if amongTables(names, ".") && len(names) == 1 {
		names = nil
	}
	if s.Tx != nil {
		if _, err := s.merging(ctx); err != nil {
			return nil, err
		}
		return statusResult(0), s.Tx.ResolveConflicts(ctx, names, c.Theirs)
	}
	return statusResult(0), s.Repo.ResolveConflicts(ctx, s.branch(), names, c.Theirs)
}

// ConstraintsVerify is the verb that looks for rows that violate constraints.
type ConstraintsVerify struct {
	All    bool     `flag:"all,a" help:"look at all rows, not only those that differ from the last commit"`
	Output bool     `flag:"output-only,o" help:"only tell, do not list them in dolt_constraint_violations"`
	Tables []string `arg:"rest" value:"table" complete:"table" help:"tables; all when none is named"`
}

func constraintsVerifySpec() Spec {
	return Define[ConstraintsVerify](Spec{
		Name: "constraints verify", Group: GroupCare, Needs: NeedDatabase,
		Short:    "Look for rows that violate constraints",
		Usage:    []string{"[-a] [-o] [<table>...]"},
		Examples: []Example{{"constraints verify --all", "look at all rows of all tables"}},
	})
}

// Run looks.
func (c *ConstraintsVerify) Run(ctx context.Context, s *Scope) (*Result, error) {
	r := &Result{Lines: []string{}, Columns: []Column{Whole("violations")}}
	found, err := s.Repo.VerifyConstraints(ctx, s.branch(), repo.VerifyOptions{
		Tables: c.Tables, All: c.All, Output: c.Output,
		Found: func(v *table.View, t *history.MergeTable) error {
			part, err := violationRows(ctx, v, t)
			r.Parts = append(r.Parts, part)
			return err
		},
	})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		r.Add(int64(0))
		return r, nil
	}
	r.Add(int64(1))
	r.Printf("All constraints are not satisfied.")
	r.ExitCode = 1
	return r, nil
}

// violationsDrawn bounds how many violations of a table are drawn.
const violationsDrawn = 1000

// errDrawn ends the drawing.
var errDrawn = errors.New("enough is drawn")

// violationRows draws the rows of a table that violate constraints, their keys first.
func violationRows(ctx context.Context, v *table.View, t *history.MergeTable) (*Result, error) {
	sc := v.Schema()
	shift := len(sc.Primary.Phys) - len(sc.Columns)
	var order []int
	for _, k := range sc.PrimaryKey {
		order = append(order, sc.ColumnByID(k.Column))
	}
	for i := range sc.Columns {
		if !slices.Contains(order, i) {
			order = append(order, i)
		}
	}
	part := &Result{Lines: []string{"", "dolt_constraint_violations_" + t.Name}, Columns: []Column{Text("violation_type")}}
	for _, i := range order {
		part.Columns = append(part.Columns, Text(sc.Columns[i].Name))
	}
	part.Columns = append(part.Columns, Text("violation_info"))
	err := repo.EachViolation(ctx, v, t, func(x repo.Violation, cells []value.Cell) error {
		if len(part.Rows) == violationsDrawn {
			return errDrawn
		}
		row := []any{x.Kind.String()}
		for _, i := range order {
			cell, err := table.Resolve(ctx, v.Reader(), cells[shift+i])
			if err != nil {
				return err
			}
			if cell.IsNull() {
				row = append(row, nil)
			} else {
				row = append(row, string(value.AppendText(nil, sc.Columns[i].Type, cell)))
			}
		}
		part.Rows = append(part.Rows, append(row, string(x.Info)))
		return ctx.Err()
	})
	if errors.Is(err, errDrawn) {
		part.Lines[1] += fmt.Sprintf(" (the first %d of %d)", violationsDrawn, t.Violations.Count)
		err = nil
	}
	return part, err
}
