package systab_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/schema"
)

// author writes a random history of a few tables by statements; what fails changes nothing.
type author struct {
	*patcher
	w      *world
	tables []*drawn
	n      int
	linked bool // some table has had a foreign key: keys stay, which it may stand on
}

// drawn is a table as the statements so far have made it.
type drawn struct {
	name string
	cols []patchColumn
	key  []string // names of columns; none for a keyless table
}

func (d *drawn) column(name string) *patchColumn {
	return &d.cols[slices.IndexFunc(d.cols, func(c patchColumn) bool { return c.name == name })]
}

// try runs a statement and, when it succeeds, done.
func (a *author) try(done func(), format string, args ...any) {
	if _, err := a.w.query(fmt.Sprintf(format, args...)); err == nil && done != nil {
		done()
	}
}

// keyColumn is a column of a type that can be a key.
func (a *author) keyColumn() patchColumn {
	a.next++
	return patchColumn{name: fmt.Sprintf("k%d", a.next), typ: []string{"int", "bigint unsigned", "varchar(20)", "date", "decimal(8,2)", "varbinary(12)"}[a.IntN(6)], notNull: true}
}

func (a *author) create() {
	a.n++
	d := &drawn{name: fmt.Sprintf("t%d", a.n)}
	for range []int{0, 1, 1, 1, 2}[a.IntN(5)] {
		c := a.keyColumn()
		d.cols, d.key = append(d.cols, c), append(d.key, c.name)
	}
	for range 1 + a.IntN(4) {
		d.cols = append(d.cols, a.column())
	}
	a.Shuffle(len(d.cols), func(i, j int) { d.cols[i], d.cols[j] = d.cols[j], d.cols[i] })
	var defs []string
	for _, c := range d.cols {
		defs = append(defs, c.sql())
	}
	if len(d.key) > 0 {
		defs = append(defs, "primary key ("+strings.Join(d.key, ", ")+")")
	}
	a.try(func() { a.tables = append(a.tables, d) }, "create table %s (%s)", d.name, strings.Join(defs, ", "))
}

func (a *author) row(d *drawn) {
	c := d.cols[a.IntN(len(d.cols))]
	switch a.IntN(8) {
	case 0:
		a.try(nil, "delete from %s where %s limit %d", d.name, "`"+c.name+"` <=> "+a.value(c.typ), 1+a.IntN(3))
	case 1:
		a.try(nil, "update %s set `%s` = %s limit %d", d.name, c.name, a.value(c.typ), 1+a.IntN(3))
	default:
		names, vals := []string{}, []string{}
		for _, c := range d.cols {
			v := a.value(c.typ)
			if !c.notNull && a.IntN(5) == 0 {
				v = "null"
			}
			names, vals = append(names, "`"+c.name+"`"), append(vals, v)
		}
		a.try(nil, "replace into %s (%s) values (%s)", d.name, strings.Join(names, ", "), strings.Join(vals, ", "))
	}
}

func (a *author) alter(d *drawn) {
	at := a.IntN(len(d.cols))
	c := d.cols[at]
	isKey := slices.Contains(d.key, c.name)
	switch a.IntN(14) {
	case 0, 1:
		n := a.column()
		a.try(func() { d.cols = append(d.cols, n) }, "alter table %s add column %s %s", d.name, n.sql(), []string{"", "first"}[a.IntN(2)])
	case 2:
		if !isKey && len(d.cols) > 1 {
			a.try(func() { d.cols = slices.Delete(d.cols, at, at+1) }, "alter table %s drop column `%s`", d.name, c.name)
		}
	case 3:
		a.next++
		to := fmt.Sprintf("r%d", a.next)
		a.try(func() {
			d.cols[at].name = to
			if i := slices.Index(d.key, c.name); i >= 0 {
				d.key[i] = to
			}
		}, "alter table %s rename column `%s` to `%s`", d.name, c.name, to)
	case 4: // two swap their names
		o := d.cols[a.IntN(len(d.cols))]
		if o.name != c.name {
			a.try(func() {
				x, y := d.column(c.name), d.column(o.name)
				x.name, y.name = y.name, x.name
				for i, k := range d.key {
					switch k {
					case c.name:
						d.key[i] = o.name
					case o.name:
						d.key[i] = c.name
					}
				}
			}, "alter table %s rename column `%s` to `%s`, rename column `%s` to `%s`", d.name, c.name, o.name, o.name, c.name)
		}
	case 5, 6: // another type, of the family or not
		n := c
		n.typ, n.def = patchTypes[a.IntN(len(patchTypes))], ""
		a.try(func() { d.cols[at] = n }, "alter table %s modify column %s %s", d.name, n.sql(), []string{"", "first"}[a.IntN(2)])
	case 7:
		a.try(nil, "alter table %s add %s x%d (`%s`)", d.name, []string{"index", "unique index"}[a.IntN(2)], a.IntN(4), c.name)
	case 8:
		a.try(nil, "alter table %s drop index x%d", d.name, a.IntN(4))
	case 9:
		a.try(nil, "alter table %s add constraint chk%d_%s check (`%s` is not null or 1 = 1)", d.name, a.IntN(3), d.name, c.name)
	case 10:
		a.try(nil, "alter table %s drop constraint chk%d_%s", d.name, a.IntN(3), d.name)
	case 11:
		if a.linked {
			return
		}
		if len(d.key) > 0 {
			a.try(func() { d.key = nil }, "alter table %s drop primary key", d.name)
		}
		if !strings.ContainsAny(c.typ, "xj") && c.typ != "blob" { // text, json
			a.try(func() { d.key, d.cols[at].notNull = []string{c.name}, true }, "alter table %s add primary key (`%s`)", d.name, c.name)
		}
	case 12:
		p := a.tables[a.IntN(len(a.tables))]
		if len(p.key) == 1 {
			a.try(func() { a.linked = true }, "alter table %s add constraint fk%d_%s foreign key (`%s`) references %s (`%s`)", d.name, a.IntN(2), d.name, c.name, p.name, p.key[0])
		}
	default:
		a.try(nil, "alter table %s drop foreign key fk%d_%s", d.name, a.IntN(2), d.name)
	}
}

// step makes the changes of a commit.
func (a *author) step() {
	if len(a.tables) == 0 || a.IntN(6) == 0 && len(a.tables) < 3 {
		a.create()
	}
	for range 2 + a.IntN(6) {
		if len(a.tables) == 0 {
			return
		}
		at := a.IntN(len(a.tables))
		d := a.tables[at]
		switch a.IntN(16) {
		case 0:
			a.try(func() { a.tables = slices.Delete(a.tables, at, at+1) }, "drop table %s", d.name)
		case 1:
			a.n++
			to := fmt.Sprintf("t%d", a.n)
			a.try(func() { d.name = to }, "rename table %s to %s", d.name, to)
		case 2, 3, 4, 5, 6, 7:
			a.alter(d)
		default:
			for range 1 + a.IntN(6) {
				a.row(d)
			}
		}
	}
}

// tables are the schemas of a commit.
func (w *world) tables(rev string) map[string]*schema.Compiled {
	w.t.Helper()
	id, err := w.repo.Resolve(w.t.Context(), rev, "main")
	ok(w.t, err)
	s, err := w.repo.SnapshotAt(w.t.Context(), id)
	ok(w.t, err)
	names, err := s.TableNames(w.t.Context())
	ok(w.t, err)
	out := map[string]*schema.Compiled{}
	for _, n := range names {
		v, _, _, err := s.Table(w.t.Context(), n)
		ok(w.t, err)
		out[n] = v.Schema()
	}
	return out
}

// shown is what the hashes of the tables of a commit come from, beside the rows.
func (w *world) shown(rev string) string {
	var b strings.Builder
	all := w.tables(rev)
	for _, n := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&b, "\n\t%s: %+v", n, *all[n].Schema)
	}
	return b.String()
}

// natural tells whether statements can make the tables of a commit, each with its hash, from those of another: they give a column that
// is new the id of its name and its type, and rows of a table without a key the order in which they come.
func (w *world) natural(from, to string) bool {
	w.t.Helper()
	old := w.tables(from)
	for n, s := range w.tables(to) {
		if s.Keyless() {
			return false
		}
		was := old[n]
		for _, c := range s.Columns {
			if c.ID != schema.AssignID(c.Name, c.Type, nil, nil) && (was == nil || was.ColumnByID(c.ID) < 0) {
				return false
			}
			if was != nil && was.ColumnByID(c.ID) >= 0 {
				continue
			}
			// What older rows have of a column that comes is its default, or zero where it cannot be NULL.
			if hasAbsent := !c.Absent.IsNull(); hasAbsent != c.HasDefault || was != nil && !hasAbsent && !c.Nullable {
				return false
			}
		}
	}
	return true
}

// TestPatchBetweenCommits applies dolt_patch between random commits of random histories, there and back: what comes of it must differ
// neither in a schema nor in a row, and have the hash wherever statements can give it.
func TestPatchBetweenCommits(t *testing.T) {
	hashes := 0
	for seed := range uint64(25) {
		w := newWorld(t)
		a := &author{patcher: &patcher{Rand: rand.New(rand.NewPCG(seed, 11))}, w: w}
		var commits []string
		for n := range 7 {
			a.step()
			commits = append(commits, w.commit("main", fmt.Sprint("step ", n)))
		}
		for n := range 8 {
			from, to := commits[a.IntN(len(commits))], commits[a.IntN(len(commits))]
			what := fmt.Sprintf("history %d, commits %d to %d", seed, slices.Index(commits, from), slices.Index(commits, to))
			stmts, err := w.query("select statement from dolt_patch('" + from + "', '" + to + "')")
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			b := fmt.Sprint("b", n)
			w.branch(b, from)
			w.run("use `db/"+b+"`", "set foreign_key_checks = 0") // as for a dump: rows of parents and children come in no order
			for _, s := range stmts {
				if _, err := w.query(s); err != nil {
					t.Fatalf("%s: %s\n\t%v\nall:\n%s", what, s, err, strings.Join(stmts, "\n"))
				}
			}
			w.run("set foreign_key_checks = 1", "use db")
			w.commit(b, "patched")
			for _, q := range []string{
				"select * from dolt_schema_diff('" + to + "', '" + b + "')",
				"select table_name, rows_added, rows_deleted, rows_modified from dolt_diff_stat('" + to + "', '" + b + "') where rows_added + rows_deleted + ifnull(rows_modified, 0) > 0",
			} {
				if got, err := w.query(q); err != nil || len(got) > 0 {
					t.Fatalf("%s: %s\n\t%q, %v\nall:\n%s", what, q, got, err, strings.Join(stmts, "\n"))
				}
			}
			if !w.natural(from, to) {
				continue
			}
			hashes++
			if got, err := w.query("select dolt_hashof_db('" + b + "') = dolt_hashof_db('" + to + "')"); err != nil || got[0] != "true" {
				t.Fatalf("%s: another hash (%v)\n%s\ngot  %s\nwant %s", what, err, strings.Join(stmts, "\n"), w.shown(b), w.shown(to))
			}
		}
	}
	if hashes < 60 {
		t.Errorf("only %d of the patches could be expected to give the hash", hashes)
	}
}
