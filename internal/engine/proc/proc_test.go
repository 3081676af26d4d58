package proc_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/engine"
	"github.com/stemmadb/stemma/internal/engine/fn"
	"github.com/stemmadb/stemma/internal/engine/proc"
	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/op"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/vfs"
)

// remember is a verb with columns that the engine does not know.
type remember struct {
	File string `arg:"1" complete:"file"`
}

func (remember) Run(_ context.Context, s *op.Scope) (*op.Result, error) {
	if s.Dolt {
		return op.Say("in Dolt's words\nfor %s", s.Author.Name), nil
	}
	r := &op.Result{Columns: []op.Column{op.Text("a"), op.Whole("b")}, Hints: []string{"beware"}}
	r.Add("x", int64(1))
	r.Add(nil, int64(2))
	r.Parts = []*op.Result{op.Say("a part")}
	return r, nil
}

type client struct {
	t   *testing.T
	e   *engine.Engine
	ctx *sql.Context
	db  *repo.Repo
}

func connect(t *testing.T) *client {
	t.Helper()
	fs := vfs.NewMem()
	if err := repo.Init(t.Context(), fs, "/db", repo.InitOptions{}); err != nil {
		t.Fatal(err)
	}
	r, err := repo.Open(t.Context(), fs, "/db", repo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	specs := append(op.All(), op.Define[remember](op.Spec{Name: "re-member all", Needs: op.NeedDatabase, ReadOnly: true}))
	procs := proc.New(specs, "1.2.3")
	e, err := engine.New(t.Context(), engine.Options{
		Repos: []*repo.Repo{r}, Author: history.Signature{Name: "Ada", Email: "a@x"},
		Registries: registry.Registries{Procedures: procs.Procedures(), Functions: fn.Procedures(procs.Rows, procs.Names()...)},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if err := r.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	s := e.NewSession(sql.NewBaseSession())
	s.SetCurrentDatabase("db")
	return &client{t, e, e.NewContext(t.Context(), s), r}
}

// run gives a statement's answer as text, with hashes masked.
func (c *client) run(q string) (string, error) {
	schema, rows, err := c.e.Query(c.ctx, q)
	if err != nil {
		return "", err
	}
	var names []string
	for _, col := range schema {
		names = append(names, col.Name)
	}
	out := strings.Join(names, ",")
	all, err := sql.RowIterToRows(c.ctx, rows)
	for _, r := range all {
		cells := make([]string, len(r))
		for i, v := range r {
			cells[i] = fmt.Sprint(v)
		}
		out += "\n" + strings.Join(cells, " ")
	}
	return regexp.MustCompile(`[0-9a-v]{32}`).ReplaceAllString(out, "HASH"), err
}

func (c *client) want(q, want string) {
	c.t.Helper()
	if got, err := c.run(q); err != nil || got != want {
		c.t.Errorf("%s:\n%s, %v\nwant\n%s", q, got, err, want)
	}
}

func TestCall(t *testing.T) {
	c := connect(t)
	if _, err := c.run("create table t (id int primary key)"); err != nil {
		t.Fatal(err)
	}
	c.want("call dolt_add('-A')", "status\n0")
	c.want("call dolt_commit('-m', 'one')", "hash\nHASH")
	c.want("call stemma_commit('--allow-empty', '-m', 'two')", "hash\nHASH")
	c.want("call dolt_branch('b')", "status\n0")
	c.want("call dolt_checkout('b')", "status,message\n0 Switched to branch 'b'")
	if c.db.CheckedOut() != "main" {
		t.Error("a session moved the directory")
	}
	c.want("select stemma_commit('--allow-empty', '-m', 'on b')", "stemma_commit('--allow-empty', '-m', 'on b')\nHASH")
	b, _ := c.db.BranchHead("b")
	cm, err := history.GetCommit(t.Context(), c.db.Store(), b)
	if err != nil || cm.Message != "on b" || cm.Author.Name != "Ada" || cm.Author.Email != "a@x" {
		t.Errorf("%+v, %v", cm, err)
	}
	c.want("call dolt_re_member_all()", "output\nin Dolt's words\nfor Ada")
	c.want("call stemma_re_member_all()", "output\nx\t1\n\t2\na part")
	c.want("call stemma_ls()", "output\nTables in working set:\n\tt")
}

func TestCallErrors(t *testing.T) {
	c := connect(t)
	for q, want := range map[string]string{
		"call dolt_nope()":                  "dolt_nope",
		"call dolt_commit('--nope')":        "unknown flag --nope",
		"call dolt_commit('-m', 'x')":       "nothing to commit",
		"call dolt_init()":                  "dolt_init", // not a verb of a database
		"call dolt_config('--list')":        "dolt_config",
		"select dolt_commit('-m', 'again')": "nothing to commit",
	} {
		if _, err := c.run(q); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", q, err, want)
		}
	}
	head, _ := c.db.BranchHead("main")
	c.ctx.SetCurrentDatabase("db/" + head.String())
	if _, err := c.run("call dolt_add('-A')"); err == nil || !strings.Contains(err.Error(), "cannot be written") {
		t.Errorf("writing to a commit: %v", err)
	}
}

// A CALL in a transaction commits it first, so that its changes are in the commit.
func TestCallInTransaction(t *testing.T) {
	c := connect(t)
	for _, q := range []string{"create table t (id int primary key)", "start transaction", "insert into t values (1)"} {
		if _, err := c.run(q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	c.want("call dolt_commit('-Am', 'x')", "hash\nHASH")
	if _, err := c.run("rollback"); err != nil {
		t.Fatal(err)
	}
	c.want("select count(*) from t as of 'HEAD'", "count(*)\n1")
}

func TestProcedures(t *testing.T) {
	set := proc.New(op.All(), "1")
	seen := map[string]bool{}
	for _, d := range set.Procedures() {
		if seen[d.Name] || d.Name != strings.ToLower(d.Name) || len(d.Schema) == 0 {
			t.Errorf("%s: twice, not in lower case, or without columns", d.Name)
		}
		seen[d.Name] = true
	}
	if !seen["dolt_commit"] || !seen["stemma_commit"] || seen["dolt_init"] || len(seen) != len(set.Names()) {
		t.Error(set.Names())
	}
	if _, err := set.Call(sql.NewEmptyContext(), "nope"); !errs.Is(err, errs.NotFound) {
		t.Error(err)
	}
}
