package op

import (
	"context"
	"io"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/root"
)

// schemaColumns are the columns of what schema show answers.
var schemaColumns = []Column{Text("table_name"), Text("create_statement")}

// SchemaShow is the verb that prints the statements that make tables.
type SchemaShow struct {
	Args []string `arg:"rest" value:"revision|table" complete:"table" help:"a commit, whose tables are meant; and tables, all of them otherwise"`
}

func schemaShowSpec() Spec {
	return Define[SchemaShow](Spec{
		Name: "schema show", Columns: schemaColumns, Group: GroupData, Needs: NeedDatabase, ReadOnly: true,
		Short:    "Show the schemas of tables",
		Usage:    []string{"[<revision>] [<table>...]"},
		Examples: []Example{{"schema show prices", "of a working table"}, {"schema show HEAD~1", "of all tables of a commit"}},
	})
}

// Run prints.
func (c *SchemaShow) Run(ctx context.Context, s *Scope) (*Result, error) {
	snap, title, names, views, err := tablesAt(ctx, s, c.Args)
	if err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(names, func(n string) bool {
		return root.IsSystem(n) && !slices.ContainsFunc(c.Args, func(a string) bool { return strings.EqualFold(a, n) })
	})
	r := &Result{Columns: schemaColumns, Lines: []string{}}
	if len(names) == 0 && len(views) == 0 {
		r.Lines = []string{"No tables in working set"}
		if title != "working" {
			r.Lines[0] = "No tables in " + title
		}
		return r, nil
	}
	for i, n := range names {
		v, written, _, err := snap.Table(ctx, n)
		if err != nil {
			return nil, err
		}
		sql := v.Schema().CreateTable(written)
		if i > 0 {
			r.Lines = append(r.Lines, "")
		}
		r.Printf("%s @ %s\n%s\n", written, title, sql)
		r.Add(written, sql)
	}
	for i, f := range views {
		if i > 0 || len(names) > 0 {
			r.Lines = append(r.Lines, "")
		}
		r.Printf("%s @ %s\n%s", f.Name, title, viewStatement(&f))
		r.Add(f.Name, strings.TrimSuffix(viewStatement(&f), "\n"))
	}
	return r, nil
}

// tablesAt is the snapshot that the first argument names, if it is no table of the working set but a revision, else the working set;
// and the tables and views of it that the others name, all of them when there are none.
func tablesAt(ctx context.Context, s *Scope, args []string) (snap *repo.Snapshot, title string, names []string, views []repo.Fragment, err error) {
	title = "working"
	if snap, err = s.Repo.SnapshotWorking(s.branch()); err != nil {
		return nil, "", nil, nil, err
	}
	if len(args) > 0 {
		_, _, isTable, err := snap.Table(ctx, args[0])
		if err != nil {
			return nil, "", nil, nil, err
		}
		if view, err := repo.ViewIn(ctx, snap, args[0]); err != nil {
			return nil, "", nil, nil, err
		} else if view != nil {
			isTable = true
		}
		if id, err := s.Repo.Resolve(ctx, args[0], s.branch()); !isTable && err == nil {
			if snap, err = s.Repo.SnapshotAt(ctx, id); err != nil {
				return nil, "", nil, nil, err
			}
			title, args = id.String(), args[1:]
		}
	}
	if len(args) == 0 {
		if names, err = snap.TableNames(ctx); err == nil {
			views, err = viewsOf(ctx, snap)
		}
		return snap, title, names, views, err
	}
	for _, n := range args {
		_, written, ok, err := snap.Table(ctx, n)
		if err != nil {
			return nil, "", nil, nil, err
		}
		if ok {
			names = append(names, written)
			continue
		}
		f, err := repo.ViewIn(ctx, snap, n)
		if err == nil && f == nil {
			err = notATable(ctx, snap, n)
		}
		if err != nil {
			return nil, "", nil, nil, err
		}
		views = append(views, *f)
	}
	return snap, title, names, views, nil
}

// SchemaExport is the verb that writes the statements that make tables to a file.
type SchemaExport struct {
	Force bool   `flag:"force,f" help:"overwrite the file if it exists"`
	Table string `arg:"1" complete:"table" value:"table" help:"the table; all tables otherwise"`
	File  string `arg:"2" complete:"file" help:"the file; standard output when it is - or missing"`
}

func schemaExportSpec() Spec {
	return Define[SchemaExport](Spec{
		Name: "schema export", Group: GroupData, Needs: NeedDatabase, ReadOnly: true,
		Short:    "Write the schemas of tables as SQL",
		Usage:    []string{"[<table>] [<file>]"},
		Examples: []Example{{"schema export prices prices.sql", "to a file"}, {"schema export", "all, to standard output"}},
	})
}

// Run writes.
func (c *SchemaExport) Run(ctx context.Context, s *Scope) (*Result, error) {
	args, file := []string{}, c.File
	switch {
	case c.Table != "" && file == "" && strings.HasSuffix(strings.ToLower(c.Table), ".sql"):
		file = c.Table
	case c.Table != "":
		args = append(args, c.Table)
	}
	snap, err := s.Repo.SnapshotWorking(s.branch())
	if err != nil {
		return nil, err
	}
	names, err := snap.TableNames(ctx)
	if err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(names, root.IsSystem)
	views, err := viewsOf(ctx, snap)
	if err != nil {
		return nil, err
	}
	if len(args) > 0 {
		if view, err := repo.ViewIn(ctx, snap, args[0]); err != nil {
			return nil, err
		} else if view != nil {
			names, views = nil, []repo.Fragment{*view}
		} else if names, err = workingNames(ctx, s, args); err != nil {
			return nil, err
		} else {
			views = nil
		}
	}
	var text strings.Builder
	for _, n := range names {
		v, written, _, err := snap.Table(ctx, n)
		if err != nil {
			return nil, err
		}
		text.WriteString(v.Schema().CreateTable(written) + "\n")
	}
	for _, f := range inOrder(views) {
		text.WriteString(viewStatement(&f))
	}
	if file == "" || file == "-" {
		return Say("%s", text.String()), nil
	}
	return &Result{Lines: []string{}}, writeFile(s, file, c.Force, func(w io.Writer) error {
		_, err := io.WriteString(w, text.String())
		return err
	})
}
