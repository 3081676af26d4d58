package proc_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

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
		"call dolt_version()":               "dolt_version",
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

// The function of 2021 stages new tables by -a; the procedure does so by -A.
func TestCommitOf2021(t *testing.T) {
	c := connect(t)
	if _, err := c.run("create table t (id int primary key)"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.run("call dolt_commit('-am', 'one')"); err == nil || !strings.Contains(err.Error(), "nothing to commit") {
		t.Error(err)
	}
	if _, err := c.run("select stemma_commit('-am', 'one')"); err == nil || !strings.Contains(err.Error(), "nothing to commit") {
		t.Error(err)
	}
	c.want("select dolt_commit('-am', '-a') as c", "c\nHASH")
	c.want("select count(*) from t as of 'HEAD'", "count(*)\n0")
	for i, args := range []string{"'-a', '-m', 'x'", "'--all', '--message', '--all'", "'-amx'"} {
		if _, err := c.run(fmt.Sprintf("create table t%d (id int primary key)", i)); err != nil {
			t.Fatal(err)
		}
		c.want("select dolt_commit("+args+") as c", "c\nHASH")
		c.want(fmt.Sprintf("select count(*) from t%d as of 'HEAD'", i), "count(*)\n0")
	}
	for i, want := range []string{"x", "--all", "x", "-a"} {
		id, err := c.db.Resolve(t.Context(), fmt.Sprintf("HEAD~%d", i), "main")
		if err != nil {
			t.Fatal(err)
		}
		if cm, err := history.GetCommit(t.Context(), c.db.Store(), id); err != nil || cm.Message != want {
			t.Errorf("HEAD~%d: %v, %v; want %s", i, cm, err, want)
		}
	}
}

// Variables say who commits are by and when.
func TestIdentity(t *testing.T) {
	c := connect(t)
	c.want("set @@dolt_author_name = 'Eve', @@dolt_author_email = 'e@x', @@dolt_author_date = '2021-04-05T06:07:08Z'", "__ok_result__\n{<nil> 0 0}")
	c.want("set @@dolt_committer_name = 'Cid', @@dolt_committer_date = '2022-01-02 03:04:05'", "__ok_result__\n{<nil> 0 0}")
	last := func(want string) {
		t.Helper()
		id, _ := c.db.BranchHead("main")
		cm, err := history.GetCommit(t.Context(), c.db.Store(), id)
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprintf("%s <%s> %s, %s <%s> %s", cm.Author.Name, cm.Author.Email, cm.Author.Time.UTC().Format(time.DateTime),
			cm.Committer.Name, cm.Committer.Email, cm.Committer.Time.UTC().Format(time.DateTime))
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	c.want("call dolt_commit('--allow-empty', '-m', 'x')", "hash\nHASH")
	last("Eve <e@x> 2021-04-05 06:07:08, Cid <a@x> 2022-01-02 03:04:05")
	c.want("call dolt_commit('--allow-empty', '-m', 'x', '--author', 'Bob <b@x>')", "hash\nHASH")
	last("Bob <b@x> 2021-04-05 06:07:08, Cid <a@x> 2022-01-02 03:04:05")
	c.want("call dolt_tag('v1')", "status\n0")
	tags, err := c.db.Tags(t.Context())
	if err != nil || len(tags) != 1 || tags[0].Tagger.Name != "Cid" || tags[0].Tagger.Time.Year() != 2022 {
		t.Errorf("%+v, %v", tags, err)
	}
	if _, err := c.run("set @@dolt_author_date = 'soon'"); err == nil || !strings.Contains(err.Error(), "set @@dolt_author_date") {
		t.Error(err)
	}
	c.want("set @@dolt_author_name = '', @@dolt_author_email = '', @@dolt_author_date = '', @@dolt_committer_name = '', @@dolt_committer_date = ''", "__ok_result__\n{<nil> 0 0}")
	c.want("call dolt_commit('--allow-empty', '-m', 'x', '--date', '2030-01-01')", "hash\nHASH")
	last("Ada <a@x> 2030-01-01 00:00:00, Ada <a@x> 2030-01-01 00:00:00")
}

// TestBranchAndCount deletes branches as git does, by what the session's branch has, and counts in two columns.
func TestBranchAndCount(t *testing.T) {
	c := connect(t)
	for _, q := range []string{
		"call dolt_checkout('-b', 'side')", "call dolt_commit('--allow-empty', '-m', 'one')", "call dolt_commit('--allow-empty', '-m', 'two')", "call dolt_branch('copy')",
		"call dolt_checkout('main')", "call dolt_commit('--allow-empty', '-m', 'three')",
	} {
		if _, err := c.run(q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	c.want("call dolt_count_commits('--from', 'side', '--to', 'main')", "ahead,behind\n2 1")
	if _, err := c.run("call dolt_branch('-d', 'copy')"); err == nil || !strings.Contains(err.Error(), "not fully merged") {
		t.Errorf("a branch of which another one has all goes: %v", err)
	}
	if _, err := c.run("call dolt_checkout('side')"); err != nil {
		t.Fatal(err)
	}
	c.want("call dolt_branch('-d', 'copy')", "status\n0")
}

// With dolt_transaction_commit each transaction that changes something is a commit.
func TestTransactionCommit(t *testing.T) {
	c := connect(t)
	commits := func(want string) {
		t.Helper()
		var all []string
		id, _ := c.db.BranchHead("main")
		for {
			cm, err := history.GetCommit(t.Context(), c.db.Store(), id)
			if err != nil {
				t.Fatal(err)
			}
			if len(cm.Parents) == 0 {
				break
			}
			all = append(all, cm.Message+" by "+cm.Author.Name)
			id = cm.Parents[0]
		}
		if got := strings.Join(all, ", "); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	c.want("create table before_it (id int primary key)", "__ok_result__\n{<nil> 0 0}")
	c.want("set @@dolt_transaction_commit = 1", "__ok_result__\n{<nil> 0 0}")
	commits("")
	c.run("create table t (id int primary key)")
	commits("Transaction commit by Ada")
	c.want("select count(*) from before_it as of 'HEAD'", "count(*)\n0")
	c.run("start transaction")
	c.run("insert into t values (1)")
	c.run("insert into t values (2)")
	commits("Transaction commit by Ada")
	c.want("set @@dolt_transaction_commit_message = 'load', @@dolt_author_name = 'Eve'", "__ok_result__\n{<nil> 0 0}")
	c.run("commit")
	commits("load by Eve, Transaction commit by Ada")
	c.run("update t set id = 1 where id = 1") // changes nothing
	c.run("select * from t")
	commits("load by Eve, Transaction commit by Ada")
	c.run("start transaction")
	c.run("insert into t values (3)")
	c.run("rollback")
	commits("load by Eve, Transaction commit by Ada")
	// A verb that commits takes the transaction's changes with it; one that does not leaves them to the transaction's commit.
	c.run("start transaction")
	c.run("insert into t values (4)")
	c.want("call dolt_commit('-am', 'mine')", "hash\nHASH")
	commits("mine by Eve, load by Eve, Transaction commit by Ada")
	c.run("insert into t values (5)")
	c.want("call dolt_tag('v1')", "status\n0")
	commits("load by Eve, mine by Eve, load by Eve, Transaction commit by Ada")
	c.want("call dolt_branch('other')", "status\n0")
	commits("load by Eve, mine by Eve, load by Eve, Transaction commit by Ada")
	c.run("rollback")
	// The middle of a merge is not committed.
	c.run("insert into t values (6)")
	c.run("call dolt_checkout('other')")
	c.run("insert into t values (7)")
	c.run("call dolt_checkout('main')")
	c.want("call dolt_merge('--no-commit', 'other')", "hash,fast_forward,conflicts,message\n 0 0 merge successful")
	n := len(c.db.RefLog())
	c.run("insert into t values (8)")
	if len(c.db.RefLog()) != n {
		t.Error("a merge in progress was committed")
	}
	c.want("show warnings", "Level,Code,Message\nWarning 1105 @@dolt_transaction_commit: branch 'main' has no commit of this transaction: a merge is in progress")
}
