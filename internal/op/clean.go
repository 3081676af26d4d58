package op

import (
	"context"
	"slices"

	"github.com/stemmadb/stemma/internal/errs"
)

// Clean is the verb that drops untracked tables.
type Clean struct {
	DryRun  bool     `flag:"dry-run,n" help:"only say which tables would be dropped"`
	Ignored bool     `flag:",x" help:"drop ignored tables too"`
	Tables  []string `arg:"rest" value:"table" complete:"table" help:"untracked tables to drop; all of them otherwise"`
}

func cleanSpec() Spec {
	return Define[Clean](Spec{
		Name: "clean", Group: GroupWork, Needs: NeedDatabase,
		Short:    "Drop untracked tables from the working set",
		Usage:    []string{"[-n] [-x] [<table>...]"},
		Examples: []Example{{"clean --dry-run", "what would go"}, {"clean scratch", "drop one untracked table"}},
	})
}

// Reads implements Reader: a dry run changes nothing.
func (c *Clean) Reads() bool { return c.DryRun }

// Run drops.
func (c *Clean) Run(ctx context.Context, s *Scope) (*Result, error) {
	st, err := readStatus(ctx, s)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, t := range st.untracked {
		names = append(names, t.name)
	}
	if c.Ignored {
		for _, t := range st.ignored {
			names = append(names, t.name)
		}
	}
	if len(c.Tables) > 0 {
		wanted, err := workingNames(ctx, s, c.Tables)
		if err != nil {
			return nil, err
		}
		for _, n := range wanted {
			switch {
			case slices.Contains(names, n):
			case hasTable(st.ignored, n):
				return nil, errs.New(errs.Invalid, "clean: table %s is ignored; -x drops ignored tables too", n)
			case hasTable(st.disputed, n):
				return nil, errs.New(errs.Invalid, "clean: the patterns of dolt_ignore disagree on table %s; 'table rm' drops it", n)
			default:
				return nil, errs.New(errs.Invalid, "clean: table %s is tracked; 'rm' removes tracked tables", n)
			}
		}
		names = wanted
	}
	r := statusResult(0)
	if c.DryRun {
		for _, n := range names {
			r.Printf("Would drop %s", n)
		}
		return r, nil
	}
	if len(names) == 0 {
		return r, nil
	}
	return r, dropTables(ctx, s, names)
}
