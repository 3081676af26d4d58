package op

import (
	"context"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
)

// Rm is the verb that removes tables from the working set and stages that.
type Rm struct {
	Cached bool     `flag:"cached" help:"take the tables from the staged set only; the working set keeps them, untracked"`
	Force  bool     `flag:"force,f" help:"remove tables with changes that are not committed"`
	Tables []string `arg:"rest" value:"table" complete:"table" help:"tables to remove"`
}

func rmSpec() Spec {
	return Define[Rm](Spec{
		Name: "rm", Group: GroupWork, Needs: NeedDatabase,
		Short:    "Remove tables from the working set and from the next commit",
		Usage:    []string{"[-f] [--cached] <table>..."},
		Examples: []Example{{"rm old_prices", "the next commit does not have the table"}, {"rm --cached scratch", "stop tracking a table and keep it"}},
	})
}

// Run removes.
func (c *Rm) Run(ctx context.Context, s *Scope) (*Result, error) {
	if len(c.Tables) == 0 {
		return nil, errs.New(errs.Invalid, "rm: nothing specified, nothing removed; name tables")
	}
	st, err := readStatus(ctx, s)
	if err != nil {
		return nil, err
	}
	names, err := workingNames(ctx, s, tableWords(ctx, s, c.Tables))
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		switch {
		case hasTable(st.untracked, n):
			return nil, errs.New(errs.Invalid, "rm: table %s is not tracked; 'table rm' or 'clean' removes it from the working set", n)
		case c.Force || c.Cached && hasTable(st.unstaged, n) != hasTable(st.staged, n):
		case hasTable(st.unstaged, n) || hasTable(st.staged, n):
			return nil, errs.New(errs.Invalid, "rm: table %s has changes that are not committed; commit them, use --cached to keep the table, or -f to remove it with them", n)
		}
	}
	if !c.Cached {
		if err := dropTables(ctx, s, names); err != nil {
			return nil, err
		}
	}
	if err := s.Repo.StageRemoval(ctx, s.branch(), names); err != nil {
		return nil, err
	}
	r := statusResult(0)
	for _, n := range names {
		if c.Cached {
			r.Printf("removed '%s' from tracking", n)
		} else {
			r.Printf("dropped '%s'", n)
		}
	}
	return r, nil
}

// hasTable tells whether a list of statuses has the table.
func hasTable(list []tableStatus, name string) bool {
	for _, t := range list {
		if strings.EqualFold(t.name, name) {
			return true
		}
	}
	return false
}

// workingNames are the names of working tables as they are written; a name that is none is of class NotFound.
func workingNames(ctx context.Context, s *Scope, names []string) ([]string, error) {
	snap, err := s.Repo.SnapshotWorking(s.branch())
	if err != nil {
		return nil, err
	}
	out := make([]string, len(names))
	for i, n := range names {
		_, written, ok, err := snap.Table(ctx, n)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, notATable(ctx, snap, n)
		}
		out[i] = written
	}
	return out, nil
}

// dropTables drops working tables, all or none.
func dropTables(ctx context.Context, s *Scope, names []string) error {
	tx, err := s.Repo.Begin(ctx, s.branch())
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, n := range names {
		children, err := tx.Children(ctx, n)
		if err != nil {
			return err
		}
		for _, c := range children {
			if !slices.Contains(names, c) {
				return errReferredTo(n, c)
			}
		}
	}
	for _, n := range names {
		if err := tx.DropTable(ctx, n); err != nil {
			return err
		}
	}
	return tx.Commit(ctx)
}

// errReferredTo is the error of taking away a table that another refers to.
func errReferredTo(table, child string) error {
	return errs.New(errs.Constraint, "table %s is referred to by a foreign key of table %s; drop that first", table, child)
}
