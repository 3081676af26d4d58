package engine

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"

	"github.com/stemmadb/stemma/internal/repo"
)

const narrowColumns = `tiny tinyint, small smallint unsigned, num int, big bigint, ubig bigint unsigned, dec2 decimal(12,2), wide decimal(40,5),
	f float, d double, day date, at0 datetime, at6 datetime(6), ts timestamp, s varchar(30), ci varchar(30) collate utf8mb4_0900_ai_ci,
	fix char(10), note text, e enum('a','b','c'), yr year, tm time, bin varbinary(20)`

// narrowRow is row i: values that rise with i, now and then NULL.
func narrowRow(r *rand.Rand, i int) string {
	vals := []string{
		fmt.Sprint(i/10 - 75), fmt.Sprint(i * 10), fmt.Sprint(i - 750), fmt.Sprint((i - 750) * 4_000_000_000_000), fmt.Sprint(uint64(i) << 51),
		fmt.Sprintf("%d.%02d", i, i%100), fmt.Sprintf("%d123456789012345678901.%05d", i, i%100), fmt.Sprintf("%d.1", i), fmt.Sprintf("%d.25", i-750),
		fmt.Sprintf("'2020-%02d-%02d'", i/130+1, i/5%28+1), fmt.Sprintf("'2020-%02d-%02d 10:%02d:00'", i/130+1, i/5%28+1, i%60),
		fmt.Sprintf("'2020-%02d-%02d 10:%02d:00.%06d'", i/130+1, i/5%28+1, i%60, i), fmt.Sprintf("'2020-%02d-%02d 23:%02d:00'", i/130+1, i/5%28+1, i%60),
		fmt.Sprintf("'%04d'", i), fmt.Sprintf("'%c%04d'", "aA"[i%2], i), fmt.Sprintf("'%04d'", i), fmt.Sprintf("'%04d'", i),
		fmt.Sprintf("'%c'", 'a'+i/501), fmt.Sprint(1950 + i/20), fmt.Sprintf("'%02d:00:01'", i/80), fmt.Sprintf("'%04d'", i),
	}
	for c := range vals {
		if r.IntN(50) == 0 {
			vals[c] = "null"
		}
	}
	return fmt.Sprintf("(%d, repeat('%c', 900), %s)", i, 'a'+i%26, strings.Join(vals, ", "))
}

func narrowTables(t *testing.T, w *world, c *client, r *rand.Rand) {
	c.exec("create table t (id int primary key, pad varchar(1000), " + narrowColumns + ")")
	const n = 1500
	for at := 0; at < n; at += 500 {
		var rows []string
		for i := range 500 {
			rows = append(rows, narrowRow(r, at+i))
		}
		c.exec("insert into t values " + strings.Join(rows, ", "))
	}
	if _, err := w.repo().Fold(context.Background(), "main"); err != nil {
		t.Fatal(err)
	}
	c.exec("delete from t where id between 500 and 510", "update t set num = -num, d = 0, s = 'zz' where id in (5, 700, 1499)",
		"insert into t (id, num, d, day, s) values (-1, 3000, -1, '2020-12-31', '9'), (9999, -3000, 1e9, '1999-01-01', '')")
}

// A filter over a column and a literal gives the rows for which the same expression is true when it is selected.
func TestNarrowGivesTheSameRows(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	r := rand.New(rand.NewPCG(1, 2))
	narrowTables(t, w, c, r)
	var columns []string
	for _, f := range strings.Split(strings.ReplaceAll(narrowColumns, ",2)", ")"), ", ") {
		columns = append(columns, strings.Fields(f)[0])
	}
	literal := func() string {
		i := r.IntN(1700) - 100
		return []func() string{
			func() string { return fmt.Sprint(i) }, func() string { return fmt.Sprint(i - 750) }, func() string { return fmt.Sprint(i * 10) },
			func() string { return fmt.Sprint(i * 4_000_000_000_000) }, func() string { return fmt.Sprint(uint64(max(i, 0))<<51 + 1) },
			func() string { return fmt.Sprintf("%d.5", i) }, func() string { return fmt.Sprintf("%d.004", i) }, func() string { return fmt.Sprintf("%d.1e0", i) },
			func() string { return fmt.Sprintf("%d123456789012345678901.5", max(i, 1)) }, func() string { return "1e30" },
			func() string { return fmt.Sprintf("'2020-%02d-%02d'", r.IntN(12)+1, r.IntN(28)+1) },
			func() string { return fmt.Sprintf("'2020-%02d-%02d 10:00:00.5'", r.IntN(12)+1, r.IntN(28)+1) },
			func() string { return fmt.Sprintf("date '2020-%02d-%02d'", r.IntN(12)+1, r.IntN(28)+1) },
			func() string { return fmt.Sprintf("timestamp '2020-%02d-%02d 10:11:12'", r.IntN(12)+1, r.IntN(28)+1) },
			func() string { return fmt.Sprintf("'%04d'", max(i, 0)) }, func() string { return fmt.Sprintf("'A%d'", max(i, 0)) },
			func() string { return fmt.Sprintf("'%d'", i) }, func() string { return "'b'" }, func() string { return "''" },
			func() string { return fmt.Sprint(1950 + r.IntN(100)) }, func() string { return "'11:00:00'" }, func() string { return "true" },
			func() string { return "'10:00'" }, func() string { return "x'30303031'" }, func() string { return "null" }, func() string { return "20200305" },
		}[r.IntN(26)]()
	}
	one := func() string {
		col := columns[r.IntN(len(columns))]
		switch r.IntN(4) {
		case 0:
			return fmt.Sprintf("x.%s between %s and %s", col, literal(), literal())
		case 1:
			return fmt.Sprintf("%s %s x.%s", literal(), []string{"=", "<", "<=", ">", ">="}[r.IntN(5)], col)
		}
		return fmt.Sprintf("%s %s %s", col, []string{"=", "<", "<=", ">", ">="}[r.IntN(5)], literal())
	}
	some := 0
	for range 80 {
		cond := one()
		if r.IntN(3) == 0 {
			cond += " and " + one()
		}
		all, err := c.query("select id, (" + cond + ") from t x order by id")
		if err != nil {
			continue
		}
		var want []string
		for _, row := range strings.Fields(all) {
			if id, ok := strings.CutSuffix(row, ",true"); ok {
				want = append(want, id)
			}
		}
		for range 2 {
			got, err := c.query("select id from t x where " + cond + " order by id")
			if err != nil {
				t.Fatalf("%s: %v", cond, err)
			}
			if !slices.Equal(strings.Fields(got), want) {
				t.Errorf("%s: %d rows where %d are true", cond, len(strings.Fields(got)), len(want))
			}
		}
		if len(want) > 0 && len(want) < 1200 {
			some++
		}
	}
	if some < 12 {
		t.Errorf("only %d conditions tell rows apart", some)
	}
}

// The plans of such filters are narrowed, whatever the table is called, and those of others are not.
func TestNarrowedPlans(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	narrowTables(t, w, c, rand.New(rand.NewPCG(3, 4)))
	for _, x := range []struct {
		q    string
		want bool
	}{
		{"select id from t where num > 5", true},
		{"select id from t as x where x.num > 5 and length(pad) > 3", true},
		{"select id from t where day between '2020-03-01' and '2020-03-05'", true},
		{"select id from t where '2020-03-01' <= at0", true},
		{"select id from t where s = '0005'", true},
		{"select id from t where ci = 'a0005'", true},
		{"select id from t where dec2 <= 7.5", true},
		{"select id from t where num > 5 or num is null", false},
		{"select id from t where num > dec2", false},
		{"select id from t where s = 5", false},
		{"select id from t where num = '5'", false},
		{"select id from t where s = '0005' collate utf8mb4_0900_ai_ci", false},
		{"select id from t where e = 'a'", false},
		{"select id from t where num is null", false},
		{"select id from t where num <=> 5", false},
	} {
		ctx := w.eng.NewContext(context.Background(), c.s)
		node, err := w.eng.SQLEngine().AnalyzeQuery(ctx, x.q)
		if err != nil {
			t.Fatalf("%s: %v", x.q, err)
		}
		got := false
		transform.Inspect(node, func(n sql.Node) bool {
			if f, ok := n.(*plan.Filter); ok {
				out, err := narrowed(ctx, f)
				if err != nil {
					t.Fatalf("%s: %v", x.q, err)
				}
				got = got || out != nil
				if out != nil {
					if again, err := narrowed(ctx, out); again != nil || err != nil {
						t.Errorf("%s is narrowed twice: %v", x.q, err)
					}
				}
			}
			return true
		})
		if got != x.want {
			t.Errorf("%s: narrowed %v", x.q, got)
		}
	}
}

// Zones outlive the process; they may be deleted, and a reader does not write them.
func TestZonesFile(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	narrowTables(t, w, c, rand.New(rand.NewPCG(5, 6)))
	if _, err := w.repo().Fold(context.Background(), "main"); err != nil {
		t.Fatal(err)
	}
	const q = "select count(*) from t where num between 100 and 110"
	file := w.repo().Dir() + "/zones"
	c.want(q, "11")
	there, err := w.fs.Stat(file)
	if err != nil || there.Size < 100 {
		t.Fatalf("%+v, %v", there, err)
	}
	w.reopen(repo.Options{})
	w.client().want(q, "11")
	if now, err := w.fs.Stat(file); err != nil || now != there {
		t.Errorf("%+v, %v; want %+v", now, err, there)
	}
	if err := w.fs.Remove(file); err != nil {
		t.Fatal(err)
	}
	w.reopen(repo.Options{ReadOnly: true})
	w.client().want(q, "11")
	if _, err := w.fs.Stat(file); err == nil {
		t.Error("a reader wrote the file")
	}
	w.reopen(repo.Options{})
	w.client().want(q, "11")
	if now, err := w.fs.Stat(file); err != nil || now.Size < 100 {
		t.Errorf("made anew: %+v, %v", now, err)
	}
}
