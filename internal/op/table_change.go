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
	Force bool     `flag:"force,f" help:"replace a table that has the new name"`
	Args  []string `arg:"rest" complete:"table" value:"table" help:"the table, and the copy's name; before them a revision whose table it is"`
}

func tableCpSpec() Spec {
	return Define[TableCp](Spec{
		Name: "table cp", Group: GroupData, Needs: NeedDatabase,
		Short: "Copy a table of the working set, or of a commit",
		Long:  `The copy shares all its data with the table, so it takes no time and no space. It has no foreign keys.`,
		Usage: []string{"[-f] [<revision>] <table> <new>"},
		Examples: []Example{
			{"table cp prices prices_before", "keep a table as it is now"},
			{"table cp HEAD~1 prices prices_before", "have the table of the commit before beside it"},
		},
	})
}

// Run copies.
func (c *TableCp) Run(ctx context.Context, s *Scope) (*Result, error) {
	switch len(c.Args) {
	case 2:
		return statusResult(0), changeName(ctx, s, c.Args[0], c.Args[1], c.Force, func(tx *repo.Tx, from string) error {
			tab, err := tx.FoldTable(ctx, from)
			if err == nil {
				tab, err = withoutReferences(tab)
			}
			if err != nil {
				return err
			}
			return tx.PutTable(ctx, c.Args[1], tab)
		})
	case 3:
		return statusResult(0), c.copyOld(ctx, s, c.Args[0], c.Args[1], c.Args[2])
	}
	return nil, errs.New(errs.Invalid, "table cp: name a table and its copy, and before them at most a revision")
}

// copyOld copies the table that a commit has.
func (c *TableCp) copyOld(ctx context.Context, s *Scope, revision, name, to string) error {
	id, err := s.Repo.Resolve(ctx, revision, s.branch())
	if err != nil {
		return err
	}
	if err := s.Repo.Whole(ctx, id); err != nil {
		return err
	}
	snap, err := s.Repo.SnapshotAt(ctx, id)
	if err != nil {
		return err
	}
	v, _, ok, err := snap.Table(ctx, name)
	if err != nil {
		return err
	}
	if !ok {
		return errs.New(errs.NotFound, "table not found: %s in %s", name, revision)
	}
	tx, err := s.Repo.Begin(ctx, s.branch())
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := makeRoom(ctx, tx, to, c.Force); err != nil {
		return err
	}
	tab, err := withoutReferences(v.Table)
	if err != nil {
		return err
	}
	if err := tx.PutTable(ctx, to, tab); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// withoutReferences is a table without its foreign keys, whose names are those of one table only.
func withoutReferences(t *table.Table) (*table.Table, error) {
	if len(t.Schema.References) == 0 {
		return t, nil
	}
	alone := t.Schema.Schema.Clone()
	alone.References = nil
	compiled, err := schema.Compile(alone)
	if err != nil {
		return nil, err
	}
	return &table.Table{Schema: compiled, Rows: t.Rows, Indexes: t.Indexes}, nil
}

// changeName runs fn in a transaction on the working set, in which there is a table from and none to; force drops one.
func changeName(ctx context.Context, s *Scope, from, to string, force bool, fn func(tx *repo.Tx, from string) error) error {
	if err := repo.CheckTableName(to); err != nil {
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
	if there && written == names[0] {
		return errs.New(errs.Invalid, "%s and %s are the same table", from, to)
	}
	if err := makeRoom(ctx, tx, to, force); err != nil {
		return err
	}
	if err := fn(tx, names[0]); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// makeRoom drops a table of that name where force is set; else there must be none. One that others refer to is never dropped.
func makeRoom(ctx context.Context, tx *repo.Tx, name string, force bool) error {
	if err := repo.CheckTableName(name); err != nil {
		return err
	}
	_, written, there, err := tx.Table(ctx, name)
	if err != nil || !there {
		return err
	}
	if !force {
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
	return tx.DropTable(ctx, written)
}
