package op

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/ingest"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
)

// importColumns are the columns of what table import answers.
var importColumns = []Column{Whole("rows_processed"), Whole("additions"), Whole("modifications"), Whole("had_no_effect"), Whole("lines_skipped")}

// TableImport is the verb that loads a file into a table.
type TableImport struct {
	Create   bool     `flag:"create-table,c" help:"make the table; the columns' types are inferred from the whole file"`
	Update   bool     `flag:"update-table,u" help:"add rows to a table, and replace those whose key is in the file"`
	Append   bool     `flag:"append-table,a" help:"add rows to a table; a key that is there already is an error"`
	Replace  bool     `flag:"replace-table,r" help:"replace all rows of a table, and keep its schema"`
	Force    bool     `flag:"force,f" help:"with -c: replace a table that exists, its schema too"`
	Keys     []string `flag:"pk" sep:"," value:"column,..." help:"with -c: the columns of the primary key; with -u and -r it stays as it is"`
	Schema   string   `flag:"schema,s" value:"file" complete:"file" help:"with -c: make the table by the CREATE TABLE statement in this file"`
	AllText  bool     `flag:"all-text" help:"with -c: make every column text"`
	NoHeader bool     `flag:"no-header" help:"the first line is data"`
	Columns  []string `flag:"columns" sep:"," value:"name,..." help:"names of the fields of a file without header; else the fields to load"`
	Delim    string   `flag:"delim" value:"char" help:"the character between fields; \\t is a tab"`
	Type     string   `flag:"file-type" enum:"csv,psv,tsv,jsonl,json,parquet,arrow,arrows,xlsx" help:"what the file is; by its name otherwise. psv has | between fields, arrows is the stream format of Arrow"`
	Sheet    string   `flag:"sheet" help:"of a workbook: the sheet; the first one otherwise"`
	Nulls    []string `flag:"null" sep:"," value:"text,..." help:"fields that are NULL, as empty ones are, unless they are in quotes: NA,NULL"`
	Map      string   `flag:"map,m" value:"file" complete:"file" help:"JSON object of file column to table column"`
	Continue bool     `flag:"continue" help:"write lines that cannot be loaded to a file of their own and go on; without -u the first row of a key stays, and other rows of it are such lines"`
	Rejects  string   `flag:"rejects" value:"file" complete:"file" help:"where those lines go (default <file>.rejects.csv)"`
	Quiet    bool     `flag:"quiet" help:"say nothing of what was inferred"`
	Input    string   `flag:"standard-input" hidden:"true" help:"a file that holds what standard input did"`
	NoFKs    bool     `flag:"disable-fk-checks" help:"do not check foreign keys"`
	Ignore   bool     `flag:"ignore-skipped-rows" hidden:"true" help:"accepted for compatibility"`
	Table    string   `arg:"1" complete:"table" help:"the table, or the file, whose name is the table's then"`
	File     string   `arg:"2" complete:"file" help:"the file; standard input when it is - or missing"`
}

func tableImportSpec() Spec {
	return Define[TableImport](Spec{
		Name: "table import", Columns: importColumns, Group: GroupData, Needs: NeedDatabase, Bulk: true,
		Short: "Load a file into a table", Call: []string{"load"},
		Usage: []string{"<file>", "(-c | -u | -a | -r) [--pk <column>,...] <table> [<file>]"},
		Long: `All of the file is loaded, or nothing when a line cannot be: the error names it. An empty field is NULL, "" an empty string.

Files are CSV (also .psv and .tsv), JSON (.json with an array of objects or {"rows": [...]}, .jsonl with an object a line), Parquet, Arrow
(.arrow, .feather, .arrows) or workbooks (.xlsx). Those of text may be compressed: .csv.gz, .jsonl.zst. Lists, structs and maps become JSON.
Types and the primary key of files that stemma has written as Parquet or Arrow come back as they were.

CHECK constraints hold for every row, and generated columns are made from the others, whatever the file has there.

With one argument that is a file's name, the table is called like the file.

In SQL it is CALL stemma_load('-c', '--pk', 'id', 'clients', 'clients.csv'): for users with the right to execute it, of files in the server's
directory @@secure_file_priv.`,
		Examples: []Example{
			{"table import prices.csv", "make a table prices of the file"},
			{"table import -c --pk npi_number,code,payer prices prices.csv", "with a primary key"},
			{"table import -c -s prices.sql prices prices.csv", "made by a CREATE TABLE statement"},
			{"table import -u prices new.csv", "add and replace rows"},
			{"table import -c --pk id clients clients.parquet", "of a Parquet file"},
			{"table import -c --sheet 2026 clients clients.xlsx", "of a sheet of a workbook"},
		},
	})
}

// Run imports.
func (c *TableImport) Run(ctx context.Context, s *Scope) (_ *Result, err error) {
	i := &importing{c: c, s: s}
	if err := i.names(); err != nil {
		return nil, err
	}
	if err := i.check(); err != nil {
		return nil, err
	}
	if s.Repo.ReadOnly() {
		return nil, errs.New(errs.ReadOnly, "import into %s: the database is open for reading only", i.table)
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
	if err := i.prepare(ctx); err != nil {
		return nil, err
	}
	stats, err := i.load(ctx)
	if err != nil {
		return nil, err
	}
	return i.result(stats), nil
}

// importing is one run of the verb.
type importing struct {
	c      *TableImport
	s      *Scope
	table  string
	file   string // "" for standard input
	format ingest.Format
	src    ingest.Source
	head   ingest.Head
	tx     *repo.Tx

	fields   []string     // names of the file's fields
	columns  []int        // the table's column of each, -1 for none
	base     *table.Table // what the rows are added to
	onDup    table.OnDuplicate
	rejects  *rejectsFile
	inferred []string // what to tell of it
}

// names finds out which argument is the table and which the file.
func (i *importing) names() error {
	i.table, i.file = i.c.Table, i.c.File
	if i.file == "" && ingest.IsFileName(i.table) {
		i.table, i.file = tableName(i.c.Table), i.c.Table
	}
	if i.file == "-" {
		i.file = ""
	}
	if i.table == "" {
		return errs.New(errs.Invalid, "table import: name a table, a file or both")
	}
	return nil
}

// tableName makes the name of a table of a file's.
func tableName(file string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r == '$' || unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return '_'
	}, ingest.BaseName(file))
}

// check refuses flags that contradict each other, and reads those of the format.
func (i *importing) check() error {
	c := i.c
	modes := 0
	for _, m := range []bool{c.Create, c.Update, c.Append, c.Replace} {
		if m {
			modes++
		}
	}
	switch {
	case modes > 1:
		return errs.New(errs.Invalid, "table import: -c, -u, -a and -r exclude each other")
	case modes == 0:
		c.Create = true
		if c.Force {
			return errs.New(errs.Invalid, "table import: -f goes with -c")
		}
	}
	switch {
	case c.Append && len(c.Keys) > 0:
		return errs.New(errs.Invalid, "table import: --pk goes with -c; the key of a table that exists stays")
	case !c.Create && c.AllText:
		return errs.New(errs.Invalid, "table import: --all-text goes with -c; the columns of a table that exists stay")
	case !c.Create && c.Schema != "":
		return errs.New(errs.Invalid, "table import: --schema goes with -c; the schema of a table that exists stays")
	case c.Schema != "" && (len(c.Keys) > 0 || c.AllText):
		return errs.New(errs.Invalid, "table import: --schema excludes --pk and --all-text: its statement says what the columns and the key are")
	case c.Rejects != "" && !c.Continue:
		return errs.New(errs.Invalid, "table import: --rejects goes with --continue")
	case c.Map != "" && len(c.Columns) > 0:
		return errs.New(errs.Invalid, "table import: --map and --columns exclude each other")
	}
	var err error
	if i.format, err = fileFormat(i.file, c.Type, c.Delim, c.NoHeader); err != nil {
		return err
	}
	i.format.Nulls = c.Nulls
	switch {
	case c.Sheet != "" && i.format.Type != ingest.XLSX:
		return errs.New(errs.Invalid, "table import: --sheet goes with workbooks, files of type xlsx")
	case c.AllText && i.format.Columnar():
		return errs.New(errs.Invalid, "table import: --all-text goes with files whose columns have no types of their own")
	}
	return nil
}

// fileFormat is the format of a file by its name and the flags.
func fileFormat(file, fileType, delim string, noHeader bool) (ingest.Format, error) {
	f, err := ingest.FormatOf(file, fileType)
	if err != nil {
		return f, err
	}
	if f.Type != ingest.CSV && (delim != "" || noHeader) {
		return f, errs.New(errs.Invalid, "%s: --delim and --no-header go with files of separated fields", file)
	}
	f.NoHeader = noHeader
	if delim != "" {
		f.Comma, err = ingest.ParseDelimiter(delim)
	}
	return f, err
}

// open opens the file, or copies standard input to a temporary one.
func (i *importing) open(ctx context.Context) (closeFn func() error, err error) {
	fs, dir := i.s.Repo.FS(), i.s.Repo.TempDir()
	temp := func() string { return filepath.Join(dir, "import-"+rand.Text()+".tmp") }
	if err := fs.MkdirAll(dir); err != nil {
		return nil, err
	}
	switch {
	case i.file == "" && i.c.Input == "":
		if i.s.In == nil {
			return nil, errs.New(errs.Invalid, "table import: there is no standard input; name a file")
		}
		sp, err := ingest.NewSpool(ctx, fs, temp(), "standard input", i.s.In)
		if err != nil {
			return nil, err
		}
		i.src, closeFn = sp.Source, sp.Close
	case i.file == "":
		closeFn, err = i.openFile("standard input", i.c.Input)
	default:
		path := i.s.path(i.file)
		if info, err := i.s.fs().Stat(path); err == nil && info.Dir {
			return nil, errs.New(errs.Invalid, "read %s: it is a directory", i.file)
		}
		closeFn, err = i.openFile(i.file, path)
	}
	if err != nil {
		return nil, err
	}
	o, err := ingest.Prepare(ctx, fs, temp(), i.src, i.format, i.c.Sheet)
	if err != nil {
		return nil, errors.Join(err, closeFn())
	}
	nulls := i.format.Nulls
	i.src, i.format = o.Source, o.Format
	i.format.Nulls = nulls
	closeInput := closeFn
	return func() error { return errors.Join(o.Close(), closeInput()) }, nil
}

// openFile opens a file that messages call name.
func (i *importing) openFile(name, path string) (closeFn func() error, err error) {
	f, err := i.s.fs().Open(path)
	if err != nil {
		return nil, errs.New(errs.CodeOf(err), "read %s: %w", name, err)
	}
	size, err := f.Size()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	i.src = ingest.Source{Name: name, R: f, Size: size}
	return f.Close, nil
}

// ReadsInput implements InputReader.
func (c *TableImport) ReadsInput() bool {
	i := &importing{c: c}
	return c.Input == "" && i.names() == nil && i.file == ""
}

// TakeInput implements InputReader.
func (c *TableImport) TakeInput(file string) { c.Input = file }

// prepare finds the table that the rows go to, or makes it, and matches the file's fields with its columns.
func (i *importing) prepare(ctx context.Context) error {
	_, written, exists, err := i.tx.Table(ctx, i.table)
	if err != nil {
		return err
	}
	if exists {
		i.table = written
	}
	if i.c.Create {
		if err := repo.CheckTableName(i.table); err != nil {
			return err
		}
		if exists && !i.c.Force {
			return errs.New(errs.Exists, "table %s already exists: use -u to update it, -a to append to it, -r to replace its rows, or -c -f to make it anew", i.table)
		}
		if i.c.Schema != "" {
			return i.createAs(ctx)
		}
		return i.create(ctx)
	}
	if !exists {
		names, err := i.tx.TableNames(ctx)
		if err != nil {
			return err
		}
		return offering(errs.NotFound, errs.Nearest(i.table, names), "table not found: %s; use -c to make it", i.table)
	}
	if i.base, err = i.tx.FoldTable(ctx, i.table); err != nil {
		return err
	}
	switch {
	case i.c.Replace:
		i.base = table.Empty(i.base.Schema)
	case i.c.Update:
		i.onDup = table.ReplaceDuplicate
	}
	if i.c.Continue && !i.c.Update {
		i.onDup = table.IgnoreDuplicate
	}
	if len(i.c.Keys) > 0 && !sameKey(i.base.Schema.Schema, i.c.Keys) {
		i.inferred = append(i.inferred, "--pk goes with -c: the primary key of "+i.table+" stays as it is")
	}
	return i.match()
}

// sameKey tells whether the primary key has these columns, in this order.
func sameKey(s *schema.Schema, names []string) bool {
	return slices.EqualFunc(s.PrimaryKey, names, func(k schema.IndexColumn, name string) bool {
		n := s.ColumnIndex(strings.TrimSpace(name))
		return n >= 0 && s.Columns[n].ID == k.Column
	})
}

// load reads the file into the table and commits.
func (i *importing) load(ctx context.Context) (st ingest.Stats, err error) {
	opt := ingest.LoadOptions{
		LoadOptions: table.LoadOptions{FS: i.s.Repo.FS(), TempDir: i.s.Repo.TempDir(), OnDuplicate: i.onDup},
		Format:      i.format, Names: i.fields, Columns: i.columns, Keep: i.c.Update, Now: i.s.Repo.Clock().Now(),
		Auto:      func(ctx context.Context, given uint64) (uint64, error) { return i.tx.NextAuto(ctx, i.table, given) },
		Completer: func(ctx context.Context) (table.Complete, error) { return i.tx.Completer(ctx, i.table) },
	}
	if i.c.Continue {
		i.rejects = &rejectsFile{fs: i.s.fs(), name: i.rejectsName(), path: i.s.path(i.rejectsName())}
		opt.Reject = i.rejects.add
		defer func() { err = errors.Join(err, i.rejects.close(err == nil)) }()
	}
	task := i.s.Start("import "+i.table, i.src.Size, "bytes")
	defer func() { task.Done(err) }()
	opt.Bytes = task.Add
	defer func() {
		if errs.Is(err, errs.NoSpace) {
			err = fmt.Errorf("import into %s: %w; nothing was imported", i.table, err)
		}
	}()
	tab, st, err := ingest.Load(ctx, i.tx.Store(), i.base, i.src, opt)
	if err != nil {
		return st, err
	}
	if i.c.Create || i.c.Replace {
		i.tx.NoteAnew(i.table)
	}
	if err := i.tx.PutTable(ctx, i.table, tab); err != nil {
		return st, err
	}
	if !i.c.NoFKs {
		if err := i.tx.CheckReferences(ctx, i.table); err != nil {
			return st, fmt.Errorf("import into %s: %w; nothing was imported (--disable-fk-checks imports it all the same)", i.table, err)
		}
	}
	return st, i.tx.Commit(ctx)
}

// rejectsName is the file of lines that cannot be loaded.
func (i *importing) rejectsName() string {
	switch {
	case i.c.Rejects != "":
		return i.c.Rejects
	case i.file != "":
		return i.file + ".rejects.csv"
	}
	return i.table + ".rejects.csv"
}

// result is the answer, in Dolt's words.
func (i *importing) result(st ingest.Stats) *Result {
	r := &Result{
		Columns: importColumns,
		Rows:    [][]any{{int64(st.Rows), int64(st.Added), int64(st.Modified), int64(st.NoEffect), int64(st.Rejected)}},
	}
	r.Printf("Rows Processed: %d, Additions: %d, Modifications: %d, Had No Effect: %d", st.Rows, st.Added, st.Modified, st.NoEffect)
	if st.Rejected > 0 {
		r.Printf("Lines skipped: %d", st.Rejected)
		r.Hints = append(r.Hints, i.rejects.name+" has the lines that could not be loaded, and why")
	}
	r.Printf("Import completed successfully.")
	if !i.c.Quiet {
		r.Hints = append(r.Hints, i.inferred...)
	}
	return r
}
