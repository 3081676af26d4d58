package op

import (
	"context"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
)

// TableRm is the verb that drops tables of the working set.
type TableRm struct {
	Tables []string `arg:"rest" value:"table" complete:"table" help:"tables to drop"`
}

func tableRmSpec() Spec {
	return Define[TableRm](Spec{
		Name: "table rm", Group: GroupData, Needs: NeedDatabase,
		Short:    "Drop tables from the working set",
		Usage:    []string{"<table>..."},
		Examples: []Example{{"table rm scratch", "like DROP TABLE"}},
	})
}

// Run drops.
func (c *TableRm) Run(ctx context.Context, s *Scope) (*Result, error) {
	if len(c.Tables) == 0 {
		return nil, errs.New(errs.Invalid, "table rm: name the tables to drop")
	}
	names, err := workingNames(ctx, s, c.Tables)
	if err != nil {
		return nil, err
	}
	return statusResult(0), dropTables(ctx, s, names)
}

// TableMv is the verb that renames a table of the working set.
type TableMv struct {
	Force bool   `flag:"force,f" help:"replace a table that has the new name"`
	From  string `arg:"1" required:"true" complete:"table" value:"old" help:"the table"`
	To    string `arg:"2" required:"true" value:"new" help:"its new name"`
}

func tableMvSpec() Spec {
	return Define[TableMv](Spec{
		Name: "table mv", Group: GroupData, Needs: NeedDatabase,
		Short:    "Rename a table of the working set",
		Usage:    []string{"[-f] <old> <new>"},
		Examples: []Example{{"table mv prices prices_2020", "like RENAME TABLE"}},
	})
}

// Run renames.
func (c *TableMv) Run(ctx context.Context, s *Scope) (*Result, error) {
	return statusResult(0), changeName(ctx, s, c.From, c.To, c.Force, func(tx *repo.Tx, from string) error {
		return tx.RenameTable(ctx, from, c.To)
	})
}

// TableCp is the verb that copies a table of the working set.
type TableCp struct {
	Force bool   `flag:"force,f" help:"replace a table that has the new name"`
	From  string `arg:"1" required:"true" complete:"table" value:"table" help:"the table"`
	To    string `arg:"2" required:"true" value:"new" help:"the copy's name"`
}

func tableCpSpec() Spec {
	return Define[TableCp](Spec{
		Name: "table cp", Group: GroupData, Needs: NeedDatabase,
		Short:    "Copy a table of the working set",
		Long:     `The copy shares all its data with the table, so it takes no time and no space. It has no foreign keys.`,
		Usage:    []string{"[-f] <table> <new>"},
		Examples: []Example{{"table cp prices prices_before", "keep a table as it is now"}},
	})
}

// Run copies.
func (c *TableCp) Run(ctx context.Context, s *Scope) (*Result, error) {
	return statusResult(0), changeName(ctx, s, c.From, c.To, c.Force, func(tx *repo.Tx, from string) error {
		tab, err := tx.FoldTable(ctx, from)
		if err != nil {
			return err
		}
		if len(tab.Schema.References) > 0 {
			alone := tab.Schema.Schema.Clone()
			alone.References = nil
			compiled, err := schema.Compile(alone)
			if err != nil {
				return err
			}
			tab = &table.Table{Schema: compiled, Rows: tab.Rows, Indexes: tab.Indexes}
		}
		return tx.PutTable(ctx, c.To, tab)
	})
}

// checkNewName refuses a name for a table that only system tables have.
func checkNewName(name string) error {
	if repo.IsSystemTable(name) {
		return errs.New(errs.Invalid, "table %s cannot be made: names that begin with dolt_ or stemma_ are those of system tables", name)
	}
	return nil
}

// changeName runs fn in a transaction on the working set, in which there is a table from and none to; force drops one.
func changeName(ctx context.Context, s *Scope, from, to string, force bool, fn func(tx *repo.Tx, from string) error) error {
	if err := checkNewName(to); err != nil {
		return err
	}
	names, err := workingNames(ctx, s, []string{from})
	if err != nil {
		return err
	}
	tx, err := s.Repo.Begin(ctx, s.branch())
	if err != nil {
		return err
	}
	defer tx.Rollback()
	_, written, there, err := tx.Table(ctx, to)
	if err != nil {
		return err
	}
	if there {
		switch {
		case written == names[0]:
			return errs.New(errs.Invalid, "%s and %s are the same table", from, to)
		case !force:
			return errs.New(errs.Exists, "table %s already exists; -f replaces it", written)
		}
		children, err := tx.Children(ctx, written)
		if err != nil {
			return err
		}
		for _, c := range children {
			if !strings.EqualFold(c, written) {
				return errReferredTo(written, c)
			}
		}
		if err := tx.DropTable(ctx, written); err != nil {
			return err
		}
	}
	if err := fn(tx, names[0]); err != nil {
		return err
	}
	return tx.Commit(ctx)
}
