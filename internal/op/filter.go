package op

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
)

// filterColumns are the columns of what filter-branch answers.
var filterColumns = []Column{Text("commit"), Text("new_commit")}

// FilterBranch is the verb that rewrites a history with statements of SQL.
type FilterBranch struct {
	Query       string `flag:"query,q" value:"sql" help:"the statements, with semicolons between; otherwise they are read from standard input"`
	Branches    bool   `flag:"branches,b" help:"rewrite all branches"`
	All         bool   `flag:"all,a" help:"rewrite all branches and tags"`
	Uncommitted bool   `flag:"apply-to-uncommitted" help:"run the statements on uncommitted tables as well"`
	Continue    bool   `flag:"continue,c" help:"go on when a statement fails, which then changes nothing"`
	Verbose     bool   `flag:"verbose,v" help:"list commits and what has become of them"`
	Input       string `flag:"input-file" hidden:"true" value:"file" complete:"file" help:"the statements of standard input"`
	After       string `arg:"1" value:"commit" complete:"ref" help:"leave this commit, and those before it, as they are"`
}

func filterBranchSpec() Spec {
	return Define[FilterBranch](Spec{
		Name: "filter-branch", Columns: filterColumns, Group: GroupGrow, Needs: NeedDatabase,
		Short: "Rewrite the history with statements of SQL",
		Long: `Runs the statements on the tables of each commit but the first and makes the commits anew, with their authors, times, messages and
metadata. What was is reachable through other branches and tags, or not any more. Nothing changes unless all goes well.`,
		Usage: []string{"[-b | -a] [-c] [-v] [-q <sql>] [<commit>]"},
		Examples: []Example{
			{`filter-branch -q "delete from people where name = 'Ada'"`, "as if the row had never been there"},
			{`filter-branch --all -q "drop table if exists scratch"`, "on all branches and tags"},
			{`filter-branch -q "update t set v = 0" HEAD~10`, "in the last ten commits"},
		},
	})
}

// ReadsInput implements InputReader.
func (c *FilterBranch) ReadsInput() bool { return c.Query == "" && c.Input == "" }

// TakeInput implements InputReader.
func (c *FilterBranch) TakeInput(file string) { c.Input = file }

// Run rewrites.
func (c *FilterBranch) Run(ctx context.Context, s *Scope) (*Result, error) {
	if s.Evaluate == nil {
		return nil, errs.New(errs.Unsupported, "filter-branch: SQL cannot be evaluated from here")
	}
	query := c.Query
	if query == "" {
		var err error
		if query, err = c.read(s); err != nil {
			return nil, err
		}
	}
	if strings.Trim(query, " \t\r\n;") == "" {
		return nil, errs.New(errs.Invalid, "filter-branch: give the statements that rewrite the history with -q, or on standard input")
	}
	opt := repo.FilterOptions{Verb: "filter-branch", Branches: []string{s.branch()}, Tags: c.All, Uncommitted: c.Uncommitted}
	if c.Branches || c.All {
		for _, b := range s.Repo.Branches() {
			if b.Name != s.branch() {
				opt.Branches = append(opt.Branches, b.Name)
			}
		}
	}
	var err error
	if c.After != "" {
		if opt.After, err = s.Repo.Resolve(ctx, c.After, s.branch()); err != nil {
			return nil, err
		}
	}
	r := &Result{Columns: filterColumns, Lines: []string{}}
	var task Task = noTask{}
	opt.Planned = func(n int) { task = s.Start("rewrite", int64(n), "commits") }
	opt.Step = func(was, now history.CommitID) {
		task.Add(1)
		r.Add(was.String(), now.String())
		if c.Verbose && was == now {
			r.Printf("no changes to commit %s", was)
		} else if c.Verbose {
			r.Printf("updated commit %s: %s", was, now)
		}
	}
	opt.Change = func(ctx context.Context, id history.CommitID, tx *repo.Tx) error {
		return s.Evaluate(ctx, tx, query, func(statement string, err error) error {
			if !c.Continue {
				return errs.New(errs.Invalid, "%s: %w", errs.Excerpt(statement), err)
			}
			what := "uncommitted tables"
			if !id.IsZero() {
				what = "commit " + id.String()
			}
			r.Hints = append(r.Hints, fmt.Sprintf("error encountered processing %s (continuing): %s", what, err))
			return nil
		})
	}
	done, err := s.Repo.FilterHistory(ctx, opt)
	task.Done(err)
	if err != nil {
		return nil, err
	}
	r.Printf("Rewrote %d of %s.", done.Changed, plural(uint64(done.Seen), "commit"))
	return r, nil
}

// read gives the statements of standard input.
func (c *FilterBranch) read(s *Scope) (string, error) {
	in := s.In
	if c.Input != "" {
		f, err := os.Open(c.Input)
		if err != nil {
			return "", errs.New(errs.NotFound, "filter-branch: read the statements: %w", err)
		}
		defer f.Close()
		in = f
	}
	if in == nil {
		return "", errs.New(errs.Invalid, "filter-branch: give statements with -q")
	}
	b, err := io.ReadAll(in)
	if err != nil {
		return "", errs.New(errs.CodeOf(err), "filter-branch: read the statements: %w", err)
	}
	return string(b), nil
}
