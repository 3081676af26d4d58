package systab_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/history"
)

// patcher draws tables and their changes as statements.
type patcher struct {
	*rand.Rand
	cols []patchColumn
	next int
}

type patchColumn struct {
	name, typ string
	notNull   bool
	def       string
	fresh     bool // added since the state that the patch begins at: its id is that of its name
}

var patchTypes = []string{
	"int", "bigint", "tinyint unsigned", "varchar(20)", "varchar(40)", "char(8)", "text", "double", "float", "decimal(8,2)", "date", "datetime(6)",
	"json", "varbinary(12)", "blob", "bit(9)", "enum('a','b','c')", "set('x','y','z')", "time", "year", "bigint unsigned", "timestamp",
}

func (p *patcher) value(typ string) string {
	n := p.IntN(50)
	word := strings.Repeat(string(rune('a'+p.IntN(26))), p.IntN(4)) + []string{"", "'", `\`, "é", " ", "\n", `"`}[p.IntN(7)]
	quoted := "'" + strings.NewReplacer(`\`, `\\`, "'", "''").Replace(word) + "'"
	switch base, _, _ := strings.Cut(typ, "("); base {
	case "int", "bigint":
		return fmt.Sprint(n - 25)
	case "tinyint unsigned":
		return fmt.Sprint(n)
	case "bigint unsigned":
		return fmt.Sprint(uint64(1)<<63 + uint64(n))
	case "varchar", "char":
		return strings.ReplaceAll(quoted, "  ", " ")
	case "text":
		if n < 5 {
			return fmt.Sprintf("repeat('%c', %d)", 'a'+rune(n), 3000+n)
		}
		return quoted
	case "double", "float":
		return fmt.Sprintf("%d.%de%d", n, p.IntN(1000), p.IntN(9)-4)
	case "decimal":
		return fmt.Sprintf("-%d.%02d", n, p.IntN(100))
	case "date":
		return fmt.Sprintf("'2021-03-%02d'", n%28+1)
	case "datetime", "timestamp":
		return fmt.Sprintf("'2021-03-%02d 01:02:%02d'", n%28+1, n)
	case "time":
		return fmt.Sprintf("'-11:02:%02d'", n)
	case "year":
		return fmt.Sprint(1990 + n)
	case "json":
		return fmt.Sprintf(`'{"k": [%d, "a''b"], "z": 1.5}'`, n)
	case "varbinary", "blob":
		return fmt.Sprintf("x'00%02xff'", n)
	case "bit":
		return fmt.Sprint(n)
	case "enum":
		return "'" + string(rune('a'+n%3)) + "'"
	case "set":
		return []string{"''", "'x'", "'x,z'", "'y'"}[n%4]
	}
	return "null"
}

func (p *patcher) column() patchColumn {
	p.next++
	c := patchColumn{name: fmt.Sprintf("c%d", p.next), typ: patchTypes[p.IntN(len(patchTypes))]}
	switch {
	case p.IntN(3) == 0 && !strings.HasPrefix(c.typ, "text") && !strings.HasPrefix(c.typ, "json") && !strings.HasPrefix(c.typ, "blob"):
		c.def = p.value(c.typ)
	}
	return c
}

func (c patchColumn) sql() string {
	s := "`" + c.name + "` " + c.typ
	if c.notNull {
		s += " not null"
	}
	if c.def != "" {
		s += " default " + c.def
	}
	return s
}

// create is a table with rows; its first column is an integer.
func (p *patcher) create() []string {
	p.cols = []patchColumn{{name: "id", typ: "int", notNull: true}}
	for range 1 + p.IntN(4) {
		p.cols = append(p.cols, p.column())
	}
	var defs []string
	for _, c := range p.cols {
		defs = append(defs, c.sql())
	}
	defs = append(defs, "primary key (id)")
	if p.IntN(3) == 0 && !strings.HasPrefix(p.cols[1].typ, "text") && !strings.HasPrefix(p.cols[1].typ, "json") && !strings.HasPrefix(p.cols[1].typ, "blob") {
		defs = append(defs, "key k ("+p.cols[1].name+")")
	}
	out := []string{"create table t (" + strings.Join(defs, ", ") + ")"}
	for range 12 {
		out = append(out, p.row())
	}
	return out
}

// row is a statement that changes rows. It may fail, which the test ignores.
func (p *patcher) row() string {
	id := p.IntN(15)
	switch p.IntN(6) {
	case 0:
		return fmt.Sprintf("delete from t where id = %d", id)
	case 1:
		c := p.cols[1+p.IntN(len(p.cols)-1)]
		return fmt.Sprintf("update t set `%s` = %s where id = %d", c.name, p.value(c.typ), id)
	}
	names, vals := []string{}, []string{}
	for _, c := range p.cols {
		v := p.value(c.typ)
		if c.name == "id" {
			v = fmt.Sprint(id)
		} else if p.IntN(5) == 0 {
			v = "null"
		}
		names, vals = append(names, "`"+c.name+"`"), append(vals, v)
	}
	return "replace into t (" + strings.Join(names, ", ") + ") values (" + strings.Join(vals, ", ") + ")"
}

// alter is a statement that changes the schema.
func (p *patcher) alter() string {
	at := 1 + p.IntN(len(p.cols)-1)
	switch p.IntN(8) {
	case 0, 1:
		c := p.column()
		c.fresh = true
		place := ""
		if p.IntN(2) == 0 {
			place = " after " + p.cols[at].name
		}
		p.cols = append(p.cols, c)
		return "alter table t add column " + c.sql() + place
	case 2:
		if len(p.cols) > 2 {
			c := p.cols[at]
			p.cols = slices.Delete(p.cols, at, at+1)
			return "alter table t drop column `" + c.name + "`"
		}
	case 3:
		if p.cols[at].fresh {
			break
		}
		old := p.cols[at].name
		p.next++
		p.cols[at].name = fmt.Sprintf("r%d", p.next)
		return fmt.Sprintf("alter table t rename column `%s` to `%s`", old, p.cols[at].name)
	case 4:
		switch p.cols[at].typ {
		case "int":
			p.cols[at].typ = "bigint"
		case "varchar(20)":
			p.cols[at].typ = "varchar(40)"
		case "varchar(40)":
			p.cols[at].typ = "text"
			p.cols[at].def = ""
		default:
			return "alter table t modify column " + p.cols[at].sql() + " first"
		}
		return "alter table t modify column " + p.cols[at].sql()
	case 5:
		return "alter table t add index x" + fmt.Sprint(p.IntN(3)) + " (`" + p.cols[at].name + "`)"
	case 6:
		return "alter table t add constraint chk" + fmt.Sprint(p.IntN(3)) + " check (id < 1000)"
	}
	return "alter table t comment = 'n" + fmt.Sprint(p.IntN(9)) + "'"
}

// TestPatchMakesTheOther applies dolt_patch to the state that it begins at: the table must get the hash of the other state.
func TestPatchMakesTheOther(t *testing.T) {
	w := newWorld(t)
	quiet := func(list []string) {
		for _, q := range list {
			_, _ = w.query(q) // a duplicate index, a value that a type cannot hold: then nothing is changed
		}
	}
	for n := range 120 {
		p := &patcher{Rand: rand.New(rand.NewPCG(uint64(n), 7))}
		w.run("drop table if exists t")
		kind := p.IntN(5)
		if kind != 0 { // else the table is new
			quiet(p.create())
		} else {
			p.cols = nil
		}
		w.commit("main", "from")
		switch {
		case kind == 0:
			quiet(p.create())
		case kind == 1:
			w.run("drop table t")
			quiet(p.create())
		case kind == 2 && p.IntN(3) == 0:
			w.run("drop table t")
		default:
			for range p.IntN(4) {
				quiet([]string{p.alter()})
			}
			for range p.IntN(8) {
				quiet([]string{p.row()})
			}
		}
		w.commit("main", "to")
		stmts, err := w.query("select statement from dolt_patch('HEAD~1', 'HEAD')")
		ok(t, err)
		b := fmt.Sprintf("b%d", n)
		w.branch(b, "main~1")
		w.run("use `db/" + b + "`")
		for _, s := range stmts {
			if _, err := w.query(s); err != nil {
				t.Fatalf("case %d: %s\n\t%v\nall:\n%s", n, s, err, strings.Join(stmts, "\n"))
			}
		}
		got, err := w.query("select dolt_hashof_table('t')")
		w.run("use db")
		want, errWant := w.query("select dolt_hashof_table('t')")
		if (err == nil) != (errWant == nil) || !slices.Equal(got, want) {
			diff, _ := w.query("select * from dolt_schema_diff('" + b + "', 'main')")
			rows, _ := w.query("select * from dolt_diff_t where from_commit = '" + b + "' and to_commit = 'main'")
			w.run("use `db/" + b + "`")
			a, _ := w.query("show create table t")
			w.run("use db")
			c, _ := w.query("show create table t")
			t.Fatalf("case %d (kind %d): got %v %v, want %v %v\n%s\nschema: %v\nrows: %v\ngot %v\nwant %v", n, kind, got, err, want, errWant, strings.Join(stmts, "\n"), diff, rows, a, c)
		}
	}
}

func TestPatch(t *testing.T) {
	w := newWorld(t)
	w.run("create table t (id int primary key, a varchar(9), b int)", "insert into t values (1, 'x', 1), (2, 'y', 2), (3, 'z', 3)")
	w.commit("main", "one")
	w.run("update t set a = 'it''s' where id = 1", "delete from t where id = 2", "insert into t values (4, 'w', null)")
	w.commit("main", "two")
	w.want("select statement_order, from_commit_hash = hashof('HEAD~1'), to_commit_hash = hashof('HEAD'), table_name, diff_type, statement from dolt_patch('HEAD~1', 'HEAD', 't')",
		"1|true|true|t|data|UPDATE `t` SET `a`='it''s' WHERE `id`=1;",
		"2|true|true|t|data|DELETE FROM `t` WHERE `id`=2;",
		"3|true|true|t|data|INSERT INTO `t` (`id`,`a`,`b`) VALUES (4,'w',NULL);")
	w.run("alter table t drop column a, add column c int default 3 after id", "rename table t to u", "create table k (x int, y double)", "insert into k values (1, 0.1), (1, 0.1)")
	w.commit("main", "three")
	w.want("select table_name, diff_type, statement from dolt_patch('HEAD~1..HEAD', 'k')",
		"k|schema|CREATE TABLE `k` (\n  `x` int,\n  `y` double\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_bin;",
		"k|data|INSERT INTO `k` (`x`,`y`) VALUES (1,1e-01);", "k|data|INSERT INTO `k` (`x`,`y`) VALUES (1,1e-01);")
	w.run("delete from k limit 1", "insert into k values (2, null)")
	w.commit("main", "four")
	w.want("select statement from dolt_patch('HEAD~1', 'HEAD')",
		"DELETE FROM `k` WHERE `x` <=> 1 AND `y` <=> 1e-01 LIMIT 1;", "INSERT INTO `k` (`x`,`y`) VALUES (2,NULL);")
	// A unique index and a primary key that changes: rows go before others come.
	w.run("create table q (a int primary key, b int not null unique)", "insert into q values (1, 1), (2, 2)")
	w.commit("main", "five")
	w.run("delete from q", "insert into q values (1, 2), (2, 1)", "alter table q drop primary key", "alter table q add primary key (b)")
	w.commit("main", "six")
	stmts, err := w.query("select statement from dolt_patch('HEAD~1', 'HEAD')")
	ok(t, err)
	w.branch("old", "main~1")
	w.run("use `db/old`")
	w.run(stmts...)
	w.want("select dolt_hashof_table('q') = dolt_hashof_table('q', 'main')", "true")
	w.run("use db")
	w.want("select from_table_name, to_table_name, from_create_statement = '' from dolt_schema_diff('HEAD~4', 'HEAD')",
		"|k|true", "|q|true", "t||false", "|u|true")
}

func TestReflogFunction(t *testing.T) {
	w := story(t)
	ok(t, w.repo.CreateTag(t.Context(), "v1", history.Tag{Commit: mustResolve(w, "main^")}, false))
	ok(t, w.repo.ResetHard(t.Context(), "main", mustResolve(w, "main^")))
	w.want("select ref, commit_message, ref_timestamp from dolt_reflog('main')",
		"refs/heads/main|one|2021-02-04", "refs/heads/main|two|2021-02-03", "refs/heads/main|one|2021-02-02", "refs/heads/main|Initialize data repository|2021-02-01")
	w.want("select ref, commit_hash = hashof('main') from dolt_reflog('refs/tags/v1')", "refs/tags/v1|true")
	w.want("select count(*) from dolt_reflog()", "7")
	w.want("select count(*) from dolt_reflog('--all')", "7")
	w.want("select * from dolt_reflog('none')")
	w.fails("select * from dolt_reflog('a', 'b')", "reflog")
	w.want("select * from dolt_branch_status('main', 'side', 'HEAD~1')", "side|1|0", "HEAD~1|0|1")
	w.fails("select * from dolt_branch_status()", "branch_status")
}

func mustResolve(w *world, rev string) history.CommitID {
	id, err := w.repo.Resolve(w.t.Context(), rev, "main")
	ok(w.t, err)
	return id
}

func TestQueryDiff(t *testing.T) {
	w := story(t)
	w.want("select * from dolt_query_diff('select * from t as of ''HEAD~1''', 'select * from t')", "2|b|2|B|modified", "NULL|NULL|3|c|added")
	w.want("select from_v, to_v, diff_type from dolt_query_diff('select v from t as of ''HEAD~1''', 'select v from t')",
		"b|NULL|deleted", "NULL|B|added", "NULL|c|added")
	w.want("select * from dolt_query_diff('select x.v, x.id from t as of ''HEAD~1'' x where v <> ''z'' ', 'select v, id from t where v <> ''z'' ')", "b|2|B|2|modified", "NULL|NULL|c|3|added")
	w.want("select * from dolt_query_diff('select max(id), v from t as of ''HEAD~1'' where id = 2 group by v', 'select max(id), v from t where id = 2 group by v')",
		"2|b|NULL|NULL|deleted", "NULL|NULL|2|B|added")
	w.want("select * from dolt_query_diff('select 1 as x', 'select 1 as y')")
	w.fails("select * from dolt_query_diff('delete from t', 'select 1')", "changes nothing")
	w.fails("select * from dolt_query_diff('select 1')", "query_diff")
	// Within a transaction the queries see its changes, and leave it be.
	w.run("start transaction")
	for _, q := range []string{"delete from t where id = 1", "select * from dolt_query_diff('select * from t as of ''HEAD''', 'select * from t')"} {
		got, err := w.queryIn(q)
		ok(t, err)
		if strings.HasPrefix(q, "select") && !slices.Equal(got, []string{"1|a|NULL|NULL|deleted"}) {
			t.Errorf("got %q", got)
		}
	}
	w.want("select count(*) from t where id = 1", "1") // rolled back
}
