package engine

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/stemmadb/stemma/internal/fsck"
)

// TestMergeCases merges what statements have made on two branches, each way. Commands of testdata/merge:
//
//	base, ours, theirs   statements, one a line: of the common ancestor, and of the two branches
//	merge                merges theirs into ours, and tells what comes of it; then ours into theirs, told when it differs
//	sql                  statements on the merged branch, one a line, and what they answer
func TestMergeCases(t *testing.T) {
	datadriven.Walk(t, "testdata/merge", func(t *testing.T, path string) {
		var m mergeCase
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			lines := strings.Split(strings.TrimSpace(d.Input), "\n")
			switch d.Cmd {
			case "base":
				m = mergeCase{base: lines}
			case "ours":
				m.ours = lines
			case "theirs":
				m.theirs = lines
			case "merge":
				return m.run(t)
			case "sql":
				return m.sql(lines)
			default:
				d.Fatalf(t, "unknown command %s", d.Cmd)
			}
			return ""
		})
	})
}

type mergeCase struct {
	base, ours, theirs []string
	c                  *client // on the merged branch
}

func (m *mergeCase) run(t *testing.T) string {
	back := m.tell(t, m.theirs, m.ours)
	out := m.tell(t, m.ours, m.theirs)
	if back != out {
		out += "the other way:\n" + back
	}
	return out
}

// tell merges and describes the branch.
func (m *mergeCase) tell(t *testing.T, ours, theirs []string) string {
	c := versioned(t)
	m.c = c
	must := func(branch string, lines []string) {
		for _, q := range lines {
			if strings.TrimSpace(q) == "" {
				continue
			}
			if _, err := c.query(q); err != nil {
				t.Fatalf("%s: %s: %v", branch, q, err)
			}
		}
		c.exec("call dolt_commit('-A', '--allow-empty', '-m', '" + branch + "')")
	}
	must("base", m.base)
	c.exec("call dolt_checkout('-b', 'side')")
	must("theirs", theirs)
	c.exec("call dolt_checkout('main')")
	must("ours", ours)
	c.exec("set @@dolt_force_transaction_commit = 1")
	var b strings.Builder
	if _, err := c.query("call dolt_merge('side')"); err != nil {
		fmt.Fprintf(&b, "error: %v\n", err)
	}
	list := func(what, query string) {
		out, err := c.query(query)
		if err != nil {
			out = "error: " + err.Error()
		}
		if out = strings.TrimSpace(out); out != "" {
			fmt.Fprintf(&b, "%s%s\n", what, out)
		}
	}
	each := func(query string, fn func(name string)) {
		names, err := c.query(query)
		if err != nil {
			t.Fatal(err)
		}
		for n := range strings.FieldsSeq(names) {
			fn(n)
		}
	}
	each("select table_name from information_schema.tables where table_schema = database() and table_name not like 'dolt_%' order by 1", func(n string) {
		out, err := c.query("show create table `" + n + "`")
		if err != nil {
			t.Fatal(err)
		}
		out = strings.TrimPrefix(out, n+",CREATE TABLE ")
		out = strings.NewReplacer(" ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_bin", "", "\n ", "", "\n", "", "`", "").Replace(out)
		b.WriteString(out + "\n")
		list("  ", "select * from `"+n+"`")
	})
	list("schema conflict: ", "select table_name, description from dolt_schema_conflicts")
	each("select `table` from dolt_conflicts where num_conflicts > 0", func(n string) {
		const sides = "base_,our_,their_"
		cols := m.columns(t, "dolt_conflicts_"+n, func(col string) bool {
			side, _, _ := strings.Cut(col, "_")
			return strings.Contains(sides, side+"_")
		})
		list("conflict in "+n+" ("+cols+"): ", "select "+cols+" from dolt_conflicts_"+n)
	})
	each("select `table` from dolt_constraint_violations", func(n string) {
		cols := m.columns(t, "dolt_constraint_violations_"+n, func(col string) bool { return col != "from_root_ish" })
		list("violation in "+n+": ", "select "+cols+" from dolt_constraint_violations_"+n)
	})
	r, _, _ := c.w.eng.Provider().Lookup("db")
	starts, err := r.Starts(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	check := fsck.New(r.Store(), func(p fsck.Problem) {
		if !strings.Contains(b.String(), "violation in") {
			fmt.Fprintf(&b, "fsck: %s\n", p)
		}
	}, nil)
	for _, s := range starts {
		if err := check.Check(context.Background(), s); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// columns are the columns of a table that keep takes.
func (m *mergeCase) columns(t *testing.T, table string, keep func(string) bool) string {
	ctx := m.c.w.eng.NewContext(context.Background(), m.c.s)
	schema, iter, err := m.c.w.eng.Query(ctx, "select * from "+table+" limit 0")
	if err != nil {
		t.Fatal(err)
	}
	if err := iter.Close(ctx); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, c := range schema {
		if keep(c.Name) {
			out = append(out, c.Name)
		}
	}
	return strings.Join(out, ", ")
}

// sql runs statements on the merged branch.
func (m *mergeCase) sql(lines []string) string {
	var b strings.Builder
	for _, q := range lines {
		out, err := m.c.query(q)
		if err != nil {
			out = "error: " + err.Error()
		}
		if out = strings.TrimSpace(out); out != "" {
			b.WriteString(out + "\n")
		}
	}
	return b.String()
}
