package repo

import (
	"context"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// Nonlocal is a rule of dolt_nonlocal_tables: tables of these names are those of another ref.
type Nonlocal struct {
	Name    string // of the tables, in which * and % stand for any characters and ? for one
	Ref     string // whose table it is; "" is the ref that has the rule. A branch means its working set
	Table   string // its name there; "" is the same name
	Options string // must be NonlocalImmediate
}

// NonlocalImmediate is the one option of rules: the table is the ref's as it is when a statement names it.
const NonlocalImmediate = "immediate"

// NonlocalRules are the rules that a view of dolt_nonlocal_tables holds, in the order of their names.
func NonlocalRules(ctx context.Context, v *table.View) ([]Nonlocal, error) {
	at := make([]int, 4)
	for i, name := range []string{"table_name", "target_ref", "ref_table", "options"} {
		if at[i] = v.Schema().ColumnIndex(name); at[i] < 0 || v.Schema().Columns[at[i]].Type.Phys() != value.Bytes {
			return nil, errs.New(errs.Invalid, "read %s: it has no column %s of text", NonlocalTable, name)
		}
	}
	var out []Nonlocal
	it := v.Scan(table.ScanOptions{Rows: table.RowsTree})
	cells := make([]value.Cell, len(v.Layout(table.RowsTree).Phys))
	for {
		b, ok, err := it.Next(ctx)
		if err != nil || !ok {
			return out, err
		}
		if b.Page == nil { // one row
			if err := value.DecodeTuple(b.Row, v.Layout(table.RowsTree).Phys, cells); err != nil {
				return nil, err
			}
			b.Lo, b.Hi = 0, 1
		}
		for i := b.Lo; i < b.Hi; i++ {
			var text [4]string
			for k, c := range at {
				cell := cells[c]
				if b.Page != nil {
					if cell, err = b.Page.Cell(ctx, c, i); err != nil {
						return nil, err
					}
				}
				if cell, err = table.Resolve(ctx, v.Reader(), cell); err != nil {
					return nil, err
				}
				if !cell.IsNull() {
					text[k] = string(cell.Bytes())
				}
			}
			out = append(out, Nonlocal{Name: text[0], Ref: text[1], Table: text[2], Options: text[3]})
		}
	}
}

// NonlocalRule is the first rule of dolt_nonlocal_tables for a name; nil when there is none.
func NonlocalRule(ctx context.Context, in tableNames, name string) (*Nonlocal, error) {
	v, _, ok, err := in.Table(ctx, NonlocalTable)
	if err != nil || !ok {
		return nil, err
	}
	all, err := NonlocalRules(ctx, v)
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].Matches(name) {
			return &all[i], nil
		}
	}
	return nil, nil
}

// nonlocal finds the tables that a rule means.
func (t *Tx) nonlocal(ctx context.Context, rule *Nonlocal) (tableNames, error) {
	if err := rule.Check(); err != nil {
		return nil, err
	}
	if rule.Ref == "" || rule.Ref == t.branch {
		return t, nil
	}
	if _, ok := t.state.branches.Get(rule.Ref); ok {
		return t.r.SnapshotWorking(rule.Ref)
	}
	id, err := t.r.Resolve(ctx, rule.Ref, t.branch)
	if err != nil {
		return nil, err
	}
	return t.r.SnapshotAt(ctx, id)
}

// Matches tells whether the rule is about a table of that name. What is kept in system tables is meant only where it is named in full.
func (n *Nonlocal) Matches(name string) bool {
	if strings.EqualFold(name, NonlocalTable) {
		return false
	}
	if root.IsSystem(name) {
		return SystemSchema(name) != nil && strings.EqualFold(n.Name, name)
	}
	return matchName(n.Name, name)
}

// Check tells why the rule cannot be followed.
func (n *Nonlocal) Check() error {
	if n.Options != NonlocalImmediate {
		return errs.New(errs.Invalid, "table %s: %s has the option '%s' for it; the only one is '%s'", n.Name, NonlocalTable, n.Options, NonlocalImmediate)
	}
	return nil
}
