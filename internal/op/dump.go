package op

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/ingest"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// Dump is the verb that writes all tables to files.
type Dump struct {
	Format       string `flag:"result-format,r" enum:"sql,csv,json" default:"sql" help:"statements in one file, or a file for each table"`
	Force        bool   `flag:"force,f" help:"overwrite files that exist"`
	File         string `flag:"file-name" alias:"fn" value:"file" complete:"file" help:"the file of -r sql; - is standard output"`
	Directory    string `flag:"directory,d" value:"dir" complete:"file" help:"where -r csv and -r json put their files"`
	SchemaOnly   bool   `flag:"schema-only" help:"leave out the rows"`
	Batch        bool   `flag:"batch" hidden:"true" help:"statements for many rows, which is the default"`
	NoBatch      bool   `flag:"no-batch" help:"a statement for each row"`
	NoAutocommit bool   `flag:"no-autocommit" help:"one transaction for each table"`
	NoCreateDB   bool   `flag:"no-create-db" help:"leave out CREATE DATABASE and USE"`
	Revision     string `arg:"1" value:"revision" complete:"ref" help:"a commit; the working set otherwise"`
}

func dumpSpec() Spec {
	return Define[Dump](Spec{
		Name: "dump", Group: GroupData, Needs: NeedDatabase, ReadOnly: true,
		Short: "Write all tables to files",
		Long:  `The SQL makes the tables anew in any MySQL database, with all rows. Files are written whole or not at all.`,
		Usage: []string{"[-r sql] [--file-name <file>] [<revision>]", "-r (csv | json) [-d <dir>] [<revision>]"},
		Examples: []Example{
			{"dump", "statements, to a file"},
			{"dump -r csv -d out", "a CSV file for each table"},
			{"dump --file-name - --schema-only", "only the schemas, to standard output"},
		},
	})
}

// Run dumps.
func (c *Dump) Run(ctx context.Context, s *Scope) (_ *Result, err error) {
	if c.Format == "sql" && c.Directory != "" || c.Format != "sql" && c.File != "" {
		return nil, errs.New(errs.Invalid, "dump: -d goes with -r csv and -r json, --file-name with -r sql")
	}
	var args []string
	read := repo.Read{Ref: c.Revision, Working: c.Revision == ""}
	read.Commit, _ = s.Repo.BranchHead(s.branch())
	if c.Revision != "" {
		var err error
		if read.Commit, err = s.Repo.Resolve(ctx, c.Revision, s.branch()); err != nil {
			return nil, err
		}
		args = []string{c.Revision}
	}
	snap, _, names, views, err := tablesAt(ctx, s, args)
	if err != nil {
		return nil, err
	}
	done := &Result{Lines: []string{}}
	made := ""
	if c.Format == "sql" {
		// They are made by their first row and cannot be made by a statement; a server of another kind has none of them. Views are made by
		// their own statements.
		own := slices.Clone(names)
		names = slices.DeleteFunc(names, root.IsSystem)
		own = slices.DeleteFunc(own, func(n string) bool { return !root.IsSystem(n) || strings.EqualFold(n, repo.SchemasTable) })
		database := s.Repo.Name()
		if c.NoCreateDB {
			database = ""
		}
		var left []string
		made, left = dumpViews(views, database, s.Repo.Name())
		for _, l := range left {
			done.Hints = append(done.Hints, "not in the dump: "+l)
		}
		if len(own) > 0 {
			done.Hints = append(done.Hints, "not in the dump: "+strings.Join(own, ", ")+"; -r csv and -r json write them, too")
		}
	}
	if !c.SchemaOnly {
		var lacked []string
		if names, lacked, err = withoutLacked(ctx, s, snap, names); err != nil {
			return nil, err
		}
		if len(lacked) > 0 {
			done.Hints = append(done.Hints, fmt.Sprintf("not in the dump, since the database is a part of %s that has not their rows: %s; bring the rest with '%s fetch --complete'",
				s.Repo.Partial().URL, strings.Join(lacked, ", "), s.Program()))
		}
	}
	total := int64(0)
	for _, n := range names {
		v, written, _, err := snap.Table(ctx, n)
		if err != nil {
			return nil, err
		}
		if total += int64(v.Count()); !c.SchemaOnly {
			read.Table, read.View = written, v
			s.Repo.NoteRead(ctx, read)
		}
	}
	if c.SchemaOnly {
		total = 0
	}
	task := s.Start("dump", total, "rows")
	defer func() { task.Done(err) }()
	base := s.Program() + "dump"
	if c.Format != "sql" {
		dir := c.Directory
		if dir == "" {
			dir = base
		}
		res, err := c.files(ctx, s, snap, names, dir, task)
		if err == nil {
			res.Hints = append(res.Hints, done.Hints...)
		}
		return res, err
	}
	file := c.File
	if file == "" {
		file = base + ".sql"
	}
	if file == "-" {
		if s.Out == nil {
			return nil, errs.New(errs.Invalid, "dump: there is no standard output; name a file")
		}
		return done, c.sql(ctx, s.Out, s.Repo.Name(), snap, names, made, task)
	}
	err = writeFile(s, file, c.Force, func(w io.Writer) error { return c.sql(ctx, w, s.Repo.Name(), snap, names, made, task) })
	if err != nil {
		return nil, err
	}
	done.Printf("Successfully exported data.")
	return done, nil
}

// withoutLacked takes out of the names of tables those whose rows a part of a database has not.
func withoutLacked(ctx context.Context, s *Scope, snap *repo.Snapshot, names []string) (here, lacked []string, err error) {
	for _, n := range names {
		if s.Repo.Partial().HasTable(n) {
			here = append(here, n)
			continue
		}
		v, _, ok, err := snap.Table(ctx, n)
		if err == nil && ok {
			_, _, err = v.Scan(table.ScanOptions{Rows: table.RowsTree}).Next(ctx)
		}
		switch {
		case chunk.IsAbsent(err):
			lacked = append(lacked, n)
		case err != nil:
			return nil, nil, err
		default:
			here = append(here, n)
		}
	}
	return here, lacked, nil
}

// files writes a file for each table.
func (c *Dump) files(ctx context.Context, s *Scope, snap *repo.Snapshot, names []string, dir string, task Task) (*Result, error) {
	if c.SchemaOnly {
		return nil, errs.New(errs.Invalid, "dump: --schema-only goes with -r sql")
	}
	if err := s.fs().MkdirAll(s.path(dir)); err != nil {
		return nil, errs.New(errs.CodeOf(err), "make directory %s: %w", dir, err)
	}
	for _, n := range names {
		v, written, _, err := snap.Table(ctx, n)
		if err != nil {
			return nil, err
		}
		if strings.ContainsAny(written, `/\`) || written == "." || written == ".." {
			return nil, errs.New(errs.Unsupported, "dump: table %s cannot be the name of a file; use -r sql", written)
		}
		err = writeFile(s, filepath.Join(dir, written+"."+c.Format), c.Force, func(w io.Writer) error {
			f, err := ingest.FormatOf("", c.Format)
			if err != nil {
				return err
			}
			_, err = ingest.Export(ctx, w, v, f, task.Add)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return Say("Successfully exported data."), nil
}

// Limits of an INSERT statement of a dump.
const (
	dumpRows  = 10_000
	dumpBytes = 512 << 10 // below the packet size of any server
)

// sql writes the statements.
func (c *Dump) sql(ctx context.Context, w io.Writer, database string, snap *repo.Snapshot, names []string, views string, task Task) error {
	out := bufio.NewWriterSize(w, 1<<20)
	lines := "SET FOREIGN_KEY_CHECKS=0;\nSET UNIQUE_CHECKS=0;\n"
	if !c.NoCreateDB {
		lines += "CREATE DATABASE IF NOT EXISTS " + schema.QuoteName(database) + ";\nUSE " + schema.QuoteName(database) + ";\n"
	}
	if _, err := out.WriteString(lines); err != nil {
		return err
	}
	for _, n := range names {
		v, written, _, err := snap.Table(ctx, n)
		if err != nil {
			return err
		}
		if _, err := out.WriteString("DROP TABLE IF EXISTS " + schema.QuoteName(written) + ";\n" + v.Schema().CreateTable(written) + "\n"); err != nil {
			return err
		}
		if c.SchemaOnly {
			continue
		}
		if err := c.inserts(ctx, out, v, written, task); err != nil {
			return err
		}
	}
	if _, err := out.WriteString(views); err != nil {
		return err
	}
	return out.Flush()
}

// inserts writes the rows of a table.
func (c *Dump) inserts(ctx context.Context, out *bufio.Writer, v *table.View, name string, task Task) error {
	columns := v.Schema().Columns
	var kept []int // generated columns make themselves
	var list []string
	for i := range columns {
		if columns[i].Generated == "" {
			kept, list = append(kept, i), append(list, schema.QuoteName(columns[i].Name))
		}
	}
	head := "INSERT INTO " + schema.QuoteName(name) + " (" + strings.Join(list, ",") + ") VALUES "
	begin, end := "", ""
	if c.NoAutocommit {
		begin, end = "SET AUTOCOMMIT=0;\n", "COMMIT;\nSET AUTOCOMMIT=1;\n"
	}
	if _, err := out.WriteString(begin); err != nil {
		return err
	}
	line, rows := []byte(nil), 0
	flush := func() error {
		if rows == 0 {
			return nil
		}
		_, err := out.Write(append(line, ";\n"...))
		line, rows = line[:0], 0
		return err
	}
	err := eachRow(ctx, v, func(cells []value.Cell) error {
		if rows == 0 {
			line = append(line, head...)
		} else {
			line = append(line, ',')
		}
		line = appendTuple(line, columns, kept, cells)
		rows++
		task.Add(1)
		if c.NoBatch || rows == dumpRows || len(line) > dumpBytes {
			return flush()
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := flush(); err != nil {
		return err
	}
	_, err = out.WriteString(end)
	return err
}

// appendTuple appends the literals of some cells in parentheses.
func appendTuple(dst []byte, columns []schema.Column, kept []int, cells []value.Cell) []byte {
	dst = append(dst, '(')
	for k, i := range kept {
		if k > 0 {
			dst = append(dst, ',')
		}
		dst = appendLiteral(dst, columns[i].Type, cells[i])
	}
	return append(dst, ')')
}
