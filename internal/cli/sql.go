package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/op"
)

// sqlVerb is the verb that runs SQL.
type sqlVerb struct {
	Query    string `flag:"query,q" value:"sql" help:"run these statements and exit"`
	File     string `flag:"file,f" value:"file" complete:"file" help:"run the statements in a file and exit"`
	Continue bool   `flag:"continue,c" help:"go on behind a statement that failed"`
	Batch    bool   `flag:"batch,b" help:"no shell, even on a terminal"`
	Save     string `flag:"save,s" value:"name" help:"with -q: keep the query under this name in dolt_query_catalog, too"`
	Message  string `flag:"message,m" value:"text" help:"with -q and -s: what the saved query is for"`
	Execute  string `flag:"execute,x" value:"name" help:"run the saved query of that name and exit"`
	List     bool   `flag:"list-saved,l" help:"list the saved queries and exit"`
	Use      string `flag:"use-db,d" value:"name" help:"begin with this database, or db/branch"`
	Format   string `flag:"result-format,r" alias:"format" enum:"tabular,csv,json,vertical,parquet" help:"draw the answer in this form; parquet is a file, for one statement"`
	Hex      bool   `flag:"binary-as-hex" help:"show binary strings as 0x…, as on a terminal"`
	Raw      bool   `flag:"skip-binary-as-hex" help:"show binary strings as they are, on a terminal too"`
	NoGC     bool   `flag:"disable-auto-gc" hidden:"true" help:"accepted for compatibility"`
	Many     string `flag:"multi-db-dir" hidden:"true" value:"dir" help:"the same as --data-dir"`

	program *Program
}

// specOf completes a spec of a verb that is this package's own; fresh makes one with nothing set.
func specOf(s op.Spec, fresh func() op.Op) op.Spec {
	params, err := op.ParamsOf(fresh())
	if err != nil {
		panic(fmt.Sprintf("define %s: %v", s.Name, err)) // the tags are constants of the program
	}
	s.Params = params
	s.New = func() op.Op {
		o := fresh()
		if err := op.SetDefaults(params, o); err != nil {
			panic(fmt.Sprintf("define %s: %v", s.Name, err))
		}
		return o
	}
	s.New()
	return s
}

func (p *Program) sqlSpec() op.Spec {
	return specOf(op.Spec{
		Name: "sql", Group: op.GroupServe, Short: "Run SQL queries",
		Long: `Without -q and -f a shell is started when the input is a terminal; else the input is a script. The session works on the checked-out
branch; 'use <database>/<branch>' changes to another one, in the session only.

Where another process owns the database, such as a server, the statements are run by it.

A script ends at its first error and the program exits with 1, unless -c is given.`,
		Usage: []string{"[-d <name>]", "-q <sql>", "-f <file>", "< <file>"},
		Examples: []op.Example{
			{Args: `sql -q "select * from prices limit 5"`, Help: "run a query"},
			{Args: `sql -r csv -q "select * from prices as of 'v1'"`, Help: "rows of a tag as CSV"},
			{Args: "sql -f load.sql", Help: "run a script"},
			{Args: "sql", Help: "start the shell"},
		},
	}, func() op.Op { return &sqlVerb{program: p} })
}

// Run does it.
func (v *sqlVerb) Run(ctx context.Context, scope *op.Scope) (result *op.Result, err error) {
	if err := v.check(); err != nil {
		return nil, err
	}
	format := Parquet
	if v.Format != string(Parquet) {
		var err error
		if format, err = ParseFormat(v.program.globals.Format); err != nil {
			return nil, err
		}
	}
	if v.Many != "" {
		at := *scope
		at.Dir = absolute(v.program.Dir, v.Many)
		scope = &at
	}
	in, closeIn, err := v.input(scope)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeIn()) }()
	s, err := v.program.openSQL(ctx, scope, v.Use)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.end(ctx)) }()
	r := &sqlRunner{sqlSession: s, out: v.program.Out, format: format, now: scope.Clock, hex: v.Hex, raw: v.Raw}
	if in, err = v.saved(ctx, s, in); err != nil {
		return nil, err
	}
	switch {
	case in == nil && format == Parquet, format == Parquet && isTerminal(v.program.Out):
		return nil, errs.New(errs.Invalid, "sql: -r parquet goes with -q, -f or -x, and an output that is no terminal")
	case in == nil:
		return nil, r.shell(ctx)
	}
	r.verbose = isTerminal(v.program.Out) && format == Tabular
	failed, err := r.script(ctx, in, v.Continue)
	if err != nil {
		return nil, err
	}
	if !failed {
		return nil, v.save(ctx, s)
	}
	return &op.Result{ExitCode: exitFailed, Lines: []string{}}, nil
}

// input is where the statements come from; nil for the shell.
func (v *sqlVerb) input(scope *op.Scope) (in io.Reader, closeFn func() error, err error) {
	none := func() error { return nil }
	switch {
	case v.Execute != "" || v.List:
		return strings.NewReader(""), none, nil
	case v.Query != "":
		return strings.NewReader(v.Query), none, nil
	case v.File != "" && v.File != "-":
		f, err := os.Open(absolute(scope.Dir, v.File))
		if err != nil {
			return nil, nil, errs.New(errs.NotFound, "sql: open script: %w", err)
		}
		return f, f.Close, nil
	case v.File == "-" || v.Batch || !isTerminal(scope.In):
		return scope.In, none, nil
	}
	return nil, none, nil
}

// isTerminal tells whether what is read or written is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// sqlRunner runs statements and draws their answers.
type sqlRunner struct {
	*sqlSession
	out     io.Writer
	format  Format
	hex     bool // show binary strings as 0x…, whatever the output is
	raw     bool // show them as they are, on a terminal too
	filed   bool // a file of Parquet has been written
	verbose bool // tell of every statement that it is done, and how long it took
	now     clock.Clock
}

// script runs the statements of a script. failed tells that one of them had an error, which was reported.
func (r *sqlRunner) script(ctx context.Context, in io.Reader, goOn bool) (failed bool, err error) {
	statements := newSplitter(in)
	first := true // nothing has been done in the session yet that a new one would lack
	for {
		st, err := statements.next()
		if errors.Is(err, io.EOF) {
			return failed, nil
		}
		if err != nil {
			return failed, err
		}
		if st.text == "" {
			continue
		}
		err = r.run(ctx, st)
		if _, unsent := lost(err); unsent && first {
			if err := r.connect(ctx); err != nil {
				return failed, err
			}
			err = r.run(ctx, st)
		}
		first = false
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			return failed, errs.With(errs.Canceled, ctx.Err())
		}
		failed = true
		r.p.report(fmt.Errorf("on line %d for query %s: %s", st.line, errs.Excerpt(st.text), sqlMessage(err)))
		if gone, _ := lost(err); gone || !goOn {
			return failed, nil
		}
	}
}

// run runs a statement and draws its answer.
func (r *sqlRunner) run(ctx context.Context, st statement) error {
	start := r.now.Now()
	text := st.text
	if r.p.dolt() && r.format == CSV {
		text = branchColumns(text)
	}
	a, err := r.query(ctx, text)
	if err != nil {
		return err
	}
	if len(a.columns) == 0 {
		if err := a.close(); err != nil {
			return err
		}
		return r.done(ctx, st, start)
	}
	format := r.format
	if st.vertical {
		format = Vertical
	}
	if format == Parquet {
		if r.filed {
			return errors.Join(errs.New(errs.Invalid, "-r parquet takes one statement that has rows, and this is another"), a.close())
		}
		r.filed = true
		return errors.Join(renderParquet(ctx, r.out, a), a.close())
	}
	a.hex = r.hex || r.verbose && !r.raw
	n, err := Render(r.out, format, a.columns, a.all())
	if e := a.close(); err == nil {
		err = e
	}
	if err != nil || format == CSV || format == JSON {
		return err
	}
	return r.print(r.tail(n, start))
}

// allOfBranches is a query of all columns of a table of branches, and of nothing else.
var allOfBranches = regexp.MustCompile("(?is)^(\\s*select\\s+)\\*(\\s+from\\s+`?dolt_(remote_)?branches`?)(\\s+(?:where|order|limit)\\s.*)?$")

// branchColumns makes a query of all columns of dolt_branches or dolt_remote_branches one of those that the table had first. doltcli
// makes objects of these rows and fails on a column that it does not know. The newer columns have to be named where the program is
// called dolt and the answer is CSV.
func branchColumns(query string) string {
	m := allOfBranches.FindStringSubmatch(query)
	if m == nil {
		return query
	}
	columns := "name, hash, latest_committer, latest_committer_email, latest_commit_date, latest_commit_message"
	if m[3] == "" {
		columns += ", remote, branch"
	}
	return m[1] + columns + m[2] + m[4]
}

// tail is what stands behind a table of n rows.
func (r *sqlRunner) tail(n int64, start time.Time) string {
	if !r.verbose {
		return "\n" // as Dolt does
	}
	took := r.now.Now().Sub(start).Seconds()
	switch n {
	case 0:
		return fmt.Sprintf("Empty set (%.2f sec)\n\n", took)
	case 1:
		return fmt.Sprintf("1 row in set (%.2f sec)\n\n", took)
	}
	return fmt.Sprintf("%d rows in set (%.2f sec)\n\n", n, took)
}

// done tells of a statement without rows that it is done.
func (r *sqlRunner) done(ctx context.Context, st statement, start time.Time) error {
	if !r.verbose {
		return nil
	}
	took := r.now.Now().Sub(start).Seconds()
	if word, _, _ := strings.Cut(st.text, " "); strings.EqualFold(word, "use") {
		return r.print("Database Changed\n")
	}
	n := "0"
	if cells, err := r.one(ctx, "select row_count()"); err == nil && !strings.HasPrefix(cells[0], "-") {
		n = cells[0]
	}
	rows := "rows"
	if n == "1" {
		rows = "row"
	}
	return r.print(fmt.Sprintf("Query OK, %s %s affected (%.2f sec)\n", n, rows, took))
}

func (r *sqlRunner) print(s string) error {
	if _, err := io.WriteString(r.out, s); err != nil {
		return errs.New(errs.Internal, "write the answer: %w", err)
	}
	return nil
}
