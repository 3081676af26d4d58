package op

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/ingest"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
	"github.com/stemmadb/stemma/internal/vfs"
)

// SchemaImport is the verb that makes or changes an empty table by what a file holds.
type SchemaImport struct {
	Create  bool     `flag:"create,c" help:"make the table"`
	Update  bool     `flag:"update,u" help:"add the columns that an empty table lacks, and give the others the types of the file"`
	Replace bool     `flag:"replace,r" help:"make an empty table anew"`
	DryRun  bool     `flag:"dry-run" help:"only print the statement that makes the table"`
	Keys    []string `flag:"pks" sep:"," value:"column,..." help:"the columns of the primary key, in its order"`
	Keep    bool     `flag:"keep-types" help:"columns that the table has keep their types"`
	Map     string   `flag:"map,m" value:"file" complete:"file" help:"JSON object of file column to table column; columns that it does not name keep their names"`
	Delim   string   `flag:"delim" value:"char" help:"the character between fields; \\t is a tab"`
	Type    string   `flag:"file-type" enum:"csv,psv,tsv,jsonl,json,parquet,arrow,arrows,xlsx" help:"what the file is; by its name otherwise. psv has | between fields, arrows is the stream format of Arrow"`
	Float   string   `flag:"float-threshold" hidden:"true" value:"number" help:"0 only: every number with a fraction is a float"`
	Table   string   `arg:"1" complete:"table" help:"the table"`
	File    string   `arg:"2" complete:"file" help:"the file"`
}

func schemaImportSpec() Spec {
	return Define[SchemaImport](Spec{
		Name: "schema import", Group: GroupData, Needs: NeedDatabase,
		Short: "Make a table with the columns of a file",
		Usage: []string{"(-c | -u | -r) --pks <column>,... [--keep-types] [--dry-run] <table> <file>"},
		Long:  "The types are inferred from the whole file, which is not loaded. A table that is updated or replaced must have no rows.",
		Examples: []Example{
			{"schema import -c --pks id prices prices.csv", "make an empty table"},
			{"schema import -u --dry-run --pks id prices new.csv", "show what the table would be with new columns"},
		},
	})
}

// Run makes the table.
func (c *SchemaImport) Run(ctx context.Context, s *Scope) (_ *Result, err error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	i := &importing{c: &TableImport{}, s: s, table: c.Table, file: c.File}
	if i.format, err = fileFormat(c.File, c.Type, c.Delim, false); err != nil {
		return nil, err
	}
	closeFile, err := i.open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeFile()) }()
	if i.head, err = ingest.ReadHead(ctx, i.src, i.format); err != nil {
		return nil, err
	}
	if i.tx, err = s.Repo.Begin(ctx, s.branch()); err != nil {
		return nil, err
	}
	defer i.tx.Rollback()
	old, err := c.existing(ctx, i)
	if err != nil {
		return nil, err
	}
	sch, err := c.infer(ctx, i, old)
	if err != nil {
		return nil, err
	}
	compiled, err := schema.Compile(sch)
	if err != nil {
		return nil, err
	}
	statement := compiled.CreateTable(i.table)
	r := Say("%s", statement)
	r.Columns, r.Rows = []Column{Text("create_statement")}, [][]any{{statement}}
	if c.DryRun {
		return r, nil
	}
	if c.Replace {
		i.tx.NoteAnew(i.table)
	}
	if err := i.tx.PutTable(ctx, i.table, table.Empty(compiled)); err != nil {
		return nil, err
	}
	if err := i.tx.Commit(ctx); err != nil {
		return nil, err
	}
	r.Hints = append(r.Hints, "Created table successfully.")
	return r, nil
}

// check finds flags that make no sense.
func (c *SchemaImport) check() error {
	modes := 0
	for _, b := range []bool{c.Create, c.Update, c.Replace} {
		if b {
			modes++
		}
	}
	switch {
	case c.Table == "" || c.File == "":
		return errs.New(errs.Invalid, "schema import: name a table and a file")
	case modes == 0:
		return errs.New(errs.Invalid, "schema import: missing required parameter: give one of --create, --update and --replace")
	case modes > 1:
		return errs.New(errs.Invalid, "schema import: multiple operations supplied: give only one of --create, --update and --replace")
	case c.Keep && c.Create:
		return errs.New(errs.Invalid, "schema import: parameter keep-types not supported for create operations")
	case len(c.Keys) == 0:
		return errs.New(errs.Invalid, "schema import: missing required parameter pks")
	case c.Float != "" && strings.Trim(c.Float, "0.") != "":
		return errs.New(errs.Unsupported, "schema import: every number with a fraction is a float: --float-threshold can only be 0")
	case root.IsSystem(c.Table):
		return errs.New(errs.Invalid, "schema import: the name %s is one of system tables", c.Table)
	}
	return nil
}

// existing is the schema of the table, which must have no rows; nil when it is to be made.
func (c *SchemaImport) existing(ctx context.Context, i *importing) (*schema.Schema, error) {
	v, written, exists, err := i.tx.Table(ctx, i.table)
	switch {
	case err != nil:
		return nil, err
	case exists && c.Create:
		return nil, errs.New(errs.Exists, "failed to create table: a table named '%s' already exists; use --replace or --update instead of --create", written)
	case !exists && !c.Create:
		return nil, errs.New(errs.NotFound, "table not found: %s; use --create to make it", i.table)
	case !exists:
		return nil, nil
	}
	i.table = written
	t, err := i.tx.FoldTable(ctx, written)
	if err != nil {
		return nil, err
	}
	if t.Rows.Count > 0 {
		return nil, errs.New(errs.Invalid, "This operation will delete all row data. If this is your intent, run '%s sql -q \"delete from %s\"' to delete all row data, then re-run this command.", i.s.Program(), written)
	}
	children, err := i.tx.Children(ctx, written)
	if err != nil {
		return nil, err
	}
	if len(children) > 0 {
		return nil, errs.New(errs.Constraint, "table %s is referred to by a foreign key of table %s; drop that first", written, children[0])
	}
	return v.Schema().Schema, nil
}

// infer is the schema of the table to be; old is the one that it has, nil for none.
func (c *SchemaImport) infer(ctx context.Context, i *importing, old *schema.Schema) (*schema.Schema, error) {
	names, err := i.fieldNames(nil)
	if err != nil {
		return nil, err
	}
	if c.Map != "" {
		if err := c.rename(i, names); err != nil {
			return nil, err
		}
	}
	task := i.s.Start("infer the types of "+i.src.Name, i.src.Size, "bytes")
	in, err := ingest.Infer(ctx, i.src, ingest.InferOptions{Format: i.format, Names: i.fields, Bytes: task.Add})
	task.Done(err)
	if err != nil {
		return nil, err
	}
	out := &schema.Schema{Collation: value.CollationUtf8mb40900Bin}
	at := func(name string) int {
		return slices.IndexFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
	}
	// Columns that the table has come first, in their order.
	if old != nil {
		out.Collation = old.Collation
		for _, col := range old.Columns {
			switch n := at(col.Name); {
			case n < 0 && c.Replace:
				continue
			case n >= 0 && !c.Keep:
				c.retype(&col, in.Types[n], out.Columns)
			}
			out.Columns = append(out.Columns, col)
		}
	}
	for n, name := range names {
		if out.ColumnIndex(name) < 0 {
			t := in.Types[n]
			out.Columns = append(out.Columns, schema.Column{Name: name, Type: t, Nullable: true, ID: schema.AssignID(name, t, out.Columns, nil)})
		}
	}
	for _, k := range c.Keys {
		n := out.ColumnIndex(strings.TrimSpace(k))
		if n < 0 {
			return nil, offering(errs.Invalid, errs.Nearest(k, names), "--pks: there is no column %s", k)
		}
		out.Columns[n].Nullable = false
		out.PrimaryKey = append(out.PrimaryKey, schema.IndexColumn{Column: out.Columns[n].ID})
	}
	return out, nil
}

// retype gives a column the type of the file, and another id when the types have nothing in common.
func (c *SchemaImport) retype(col *schema.Column, t value.Type, others []schema.Column) {
	if schema.AssignID(col.Name, t, nil, nil) != schema.AssignID(col.Name, col.Type, nil, nil) {
		col.ID = schema.AssignID(col.Name, t, others, nil)
	}
	*col = schema.Column{Name: col.Name, ID: col.ID, Type: t, Nullable: true}
}

// rename gives columns of the file the names of the mapping file.
func (c *SchemaImport) rename(i *importing, names []string) error {
	data, err := vfs.ReadFile(i.s.fs(), i.s.path(c.Map))
	if err != nil {
		return errs.New(errs.CodeOf(err), "read %s: %w", c.Map, err)
	}
	var m map[string]string
	if err := json.Unmarshal(data, &m); err != nil {
		return errs.New(errs.Invalid, "read %s: want a JSON object of file column to table column: %w", c.Map, err)
	}
	for n, name := range names {
		for from, to := range m {
			if strings.EqualFold(from, name) {
				names[n] = to
			}
		}
	}
	return nil
}
