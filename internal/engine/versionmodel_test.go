package engine

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/fsck"
)

// The model of version control: tables are maps, a history is a graph of maps.

// modelTable is a table: an integer key, and columns of integers with a default.
type modelTable struct {
	columns map[string]int         // name to default
	rows    map[int]map[string]int // by key
	hash    string                 // of the table in the database, "" when it is not known
}

func (t *modelTable) clone() *modelTable {
	c := &modelTable{columns: maps.Clone(t.columns), rows: map[int]map[string]int{}}
	for k, r := range t.rows {
		c.rows[k] = maps.Clone(r)
	}
	return c
}

func (t *modelTable) String() string {
	var b strings.Builder
	for _, c := range slices.Sorted(maps.Keys(t.columns)) {
		fmt.Fprintf(&b, "%s=%d ", c, t.columns[c])
	}
	for _, k := range slices.Sorted(maps.Keys(t.rows)) {
		fmt.Fprintf(&b, "%d", k)
		for _, c := range slices.Sorted(maps.Keys(t.columns)) {
			fmt.Fprintf(&b, ",%d", t.rows[k][c])
		}
		b.WriteString(" ")
	}
	return strings.TrimSpace(b.String())
}

// same tells whether two tables, nil for none, are one content.
func (t *modelTable) same(o *modelTable) bool {
	switch {
	case t == nil || o == nil:
		return t == o
	case t.hash != "" && o.hash != "":
		return t.hash == o.hash // which tells the order of columns as well
	}
	return t.String() == o.String()
}

// modelState is tables by name. Tables are not changed in place once they are committed.
type modelState map[string]*modelTable

func (s modelState) clone() modelState {
	out := modelState{}
	for n, t := range s {
		out[n] = t.clone()
	}
	return out
}

func (s modelState) String() string {
	var b strings.Builder
	for _, n := range slices.Sorted(maps.Keys(s)) {
		fmt.Fprintf(&b, "%s: %s\n", n, s[n])
	}
	return b.String()
}

// modelCommit is a commit of the graph.
type modelCommit struct {
	hash    string
	parents []*modelCommit
	state   modelState
}

// ancestors are the commits that c reaches, itself included.
func (c *modelCommit) ancestors() map[*modelCommit]bool {
	out := map[*modelCommit]bool{}
	todo := []*modelCommit{c}
	for len(todo) > 0 {
		x := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if !out[x] {
			out[x] = true
			todo = append(todo, x.parents...)
		}
	}
	return out
}

// mergeStates is the three-way merge; ok is false when something stands against something.
func mergeStates(base, ours, theirs modelState) (out modelState, ok bool) {
	out = modelState{}
	names := maps.Clone(base)
	maps.Copy(names, ours)
	maps.Copy(names, theirs)
	for n := range names {
		b, o, t := base[n], ours[n], theirs[n]
		var m *modelTable
		switch {
		case o.same(t), b.same(t):
			m = o
		case b.same(o):
			m = t
		case o == nil || t == nil:
			return nil, false
		default:
			if m, ok = mergeTables(b, o, t); !ok {
				return nil, false
			}
		}
		if m != nil {
			out[n] = m
		}
	}
	return out, true
}

// mergeTables merges a table that both sides changed; b is nil when both made it.
func mergeTables(b, o, t *modelTable) (*modelTable, bool) {
	if b == nil {
		b = &modelTable{}
	}
	out := &modelTable{columns: map[string]int{}, rows: map[int]map[string]int{}}
	columns := maps.Clone(o.columns)
	maps.Copy(columns, t.columns)
	for c := range columns {
		x, inB := b.columns[c]
		y, inO := o.columns[c]
		z, inT := t.columns[c]
		switch {
		case inO && inT && (y == z || inB && x == z):
			out.columns[c] = y
		case inO && inT && inB && x == y:
			out.columns[c] = z
		case inO && inT:
			return nil, false
		case !inB && inO:
			out.columns[c] = y
		case !inB && inT:
			out.columns[c] = z
		case inO && (x != y || revalued(b, o, c)), inT && (x != z || revalued(b, t, c)):
			return nil, false // dropped on one side, changed on the other
		}
	}
	// filled is a row with all merged columns.
	filled := func(s *modelTable, k int) map[string]int {
		r, in := s.rows[k]
		if !in {
			return nil
		}
		f := map[string]int{}
		for c, d := range out.columns {
			if v, has := r[c]; has {
				d = v
			}
			f[c] = d
		}
		return f
	}
	keys := maps.Clone(o.rows)
	maps.Copy(keys, t.rows)
	maps.Copy(keys, b.rows)
	for k := range keys {
		x, y, z := filled(b, k), filled(o, k), filled(t, k)
		eq := func(a, b map[string]int) bool { return (a == nil) == (b == nil) && maps.Equal(a, b) }
		var row map[string]int
		switch {
		case eq(y, z), eq(x, z):
			row = y
		case eq(x, y):
			row = z
		case y == nil || z == nil:
			return nil, false
		default:
			row = map[string]int{}
			for c := range out.columns {
				_, ours := o.columns[c]
				_, theirs := t.columns[c]
				switch {
				case y[c] == z[c], !theirs:
					row[c] = y[c]
				case !ours:
					row[c] = z[c]
				case x == nil:
					return nil, false
				case x[c] == y[c]:
					row[c] = z[c]
				case x[c] == z[c]:
					row[c] = y[c]
				default:
					return nil, false
				}
			}
		}
		if row != nil {
			out.rows[k] = row
		}
	}
	return out, true
}

// revalued tells whether rows that are in both have other values in a column.
func revalued(a, b *modelTable, column string) bool {
	for k, r := range a.rows {
		if o, in := b.rows[k]; in && o[column] != r[column] {
			return true
		}
	}
	return false
}

// history plays a random program on a database and on the model.
type historyPlay struct {
	t        *testing.T
	rng      *rand.Rand
	c        *client
	heads    map[string]*modelCommit
	commits  []*modelCommit
	byHash   map[string]*modelCommit
	on       string     // branch
	working  modelState // of it; the others are clean
	messages int
	log      []string // statements
	counts   map[string]int
}

// modelTables are the tables with their first columns, which are never dropped, so that no table looks like another one renamed.
var modelTables = map[string]string{"t": "tv", "u": "uv", "w": "wv"}

func (p *historyPlay) query(q string) (string, error) {
	p.log = append(p.log, q)
	return p.c.query(q)
}

func (p *historyPlay) fatalf(format string, args ...any) {
	p.t.Helper()
	p.t.Fatalf("%s\nafter\n%s", fmt.Sprintf(format, args...), strings.Join(p.log[max(0, len(p.log)-60):], ";\n"))
}

func (p *historyPlay) must(q string) string {
	p.t.Helper()
	out, err := p.query(q)
	if err != nil {
		p.fatalf("%s: %v", q, err)
	}
	return out
}

// tryCall runs a verb that may leave conflicts; ok is false when it did, and has changed nothing.
func (p *historyPlay) tryCall(q string) (ok, nothing bool) {
	p.t.Helper()
	_, err := p.query(q)
	switch {
	case err == nil:
		return true, false
	case strings.Contains(err.Error(), "onflict"):
		return false, false
	case strings.Contains(err.Error(), "nothing to commit"), strings.Contains(err.Error(), "didn't identify any commits"):
		return false, true
	}
	p.fatalf("%s: %v", q, err)
	return false, false
}

// read is the tables as of a revision, "" for the working set.
func (p *historyPlay) read(revision string) modelState {
	p.t.Helper()
	asOf := ""
	if revision != "" {
		asOf = " as of '" + revision + "'"
	}
	out := modelState{}
	names, err := p.c.query("show tables" + asOf)
	if err != nil {
		p.fatalf("show tables: %v", err)
	}
	for n := range strings.FieldsSeq(names) {
		m := &modelTable{columns: map[string]int{}, rows: map[int]map[string]int{}}
		list, err := p.c.query("select column_name, column_default from information_schema.columns where table_schema = 'db' and table_name = '" + n + "' and column_name <> 'id'")
		if revision != "" {
			// The columns of a commit: those of its CREATE TABLE.
			list, err = p.c.query("show create table " + n + asOf)
			var cols []string
			for l := range strings.SplitSeq(list, "\n") {
				if l = strings.TrimSpace(l); strings.HasPrefix(l, "`") && !strings.HasPrefix(l, "`id`") {
					f := strings.Fields(strings.Trim(l, ","))
					cols = append(cols, strings.Trim(f[0], "`")+","+strings.Trim(f[len(f)-1], "'"))
				}
			}
			list = strings.Join(cols, " ")
		}
		if err != nil {
			p.fatalf("columns of %s: %v", n, err)
		}
		for f := range strings.FieldsSeq(list) {
			c, d, _ := strings.Cut(f, ",")
			m.columns[c], err = strconv.Atoi(d)
			if err != nil {
				p.fatalf("default of %s.%s: %v", n, c, err)
			}
		}
		cols := slices.Sorted(maps.Keys(m.columns))
		rows, err := p.c.query("select id, " + strings.Join(cols, ", ") + " from " + n + asOf)
		if err != nil {
			p.fatalf("rows of %s: %v", n, err)
		}
		for f := range strings.FieldsSeq(rows) {
			vals := strings.Split(f, ",")
			k, _ := strconv.Atoi(vals[0])
			m.rows[k] = map[string]int{}
			for i, c := range cols {
				v, err := strconv.Atoi(vals[i+1])
				if err != nil {
					p.fatalf("%s.%s of row %d: %v", n, c, k, err)
				}
				m.rows[k][c] = v
			}
		}
		out[n] = m
	}
	return out
}

// check compares the working set with the model.
func (p *historyPlay) check(what string) {
	p.t.Helper()
	if got := p.read(""); got.String() != p.working.String() {
		p.fatalf("%s: on %s there is\n%swant\n%s", what, p.on, got, p.working)
	}
	r, _, _ := p.c.w.eng.Provider().Lookup("db")
	starts, err := r.Starts(p.t.Context())
	if err != nil {
		p.fatalf("fsck: %v", err)
	}
	f := fsck.New(r.Store(), func(x fsck.Problem) { p.fatalf("%s: fsck: %s", what, x) }, nil)
	for _, s := range starts {
		if err := f.Check(p.t.Context(), s); err != nil {
			p.fatalf("fsck: %v", err)
		}
	}
}

// grown notes that the branch has a new head with the state.
func (p *historyPlay) grown(state modelState, parents ...*modelCommit) *modelCommit {
	p.t.Helper()
	c := &modelCommit{hash: p.must("select hashof('HEAD')"), parents: parents, state: state.clone()}
	for n, m := range c.state {
		m.hash = p.must("select dolt_hashof_table('" + n + "')")
	}
	p.heads[p.on], p.byHash[c.hash] = c, c
	p.commits = append(p.commits, c)
	p.working = c.state.clone()
	return c
}

func (p *historyPlay) message() string {
	p.messages++
	return fmt.Sprintf("m%d", p.messages)
}

// edit changes the working set.
func (p *historyPlay) edit() {
	w := p.working
	n := []string{"t", "u", "w"}[p.rng.IntN(3)]
	m := w[n]
	switch k := p.rng.IntN(60); {
	case m == nil:
		d := p.rng.IntN(2)
		p.must(fmt.Sprintf("create table %s (id int primary key, %s int default %d)", n, modelTables[n], d))
		w[n] = &modelTable{columns: map[string]int{modelTables[n]: d}, rows: map[int]map[string]int{}}
	case k == 0:
		p.must("drop table " + n)
		delete(w, n)
	case k <= 4:
		n3 := p.rng.IntN(3)
		c, d := fmt.Sprintf("x%d", n3), n3
		if p.rng.IntN(10) == 0 {
			d++
		}
		if _, in := m.columns[c]; in {
			p.must(fmt.Sprintf("alter table %s drop column %s", n, c))
			delete(m.columns, c)
			for _, r := range m.rows {
				delete(r, c)
			}
			return
		}
		place := []string{"", " first", " after id"}[p.rng.IntN(3)]
		p.must(fmt.Sprintf("alter table %s add column %s int default %d%s", n, c, d, place))
		m.columns[c] = d
		for _, r := range m.rows {
			r[c] = d
		}
	default:
		key := p.rng.IntN(60)
		r := m.rows[key]
		cols := slices.Sorted(maps.Keys(m.columns))
		c, v := cols[p.rng.IntN(len(cols))], p.rng.IntN(4)
		switch {
		case r == nil:
			p.must(fmt.Sprintf("insert into %s (id, %s) values (%d, %d)", n, c, key, v))
			m.rows[key] = maps.Clone(m.columns)
			m.rows[key][c] = v
		case p.rng.IntN(3) == 0:
			p.must(fmt.Sprintf("delete from %s where id = %d", n, key))
			delete(m.rows, key)
		default:
			p.must(fmt.Sprintf("update %s set %s = %d where id = %d", n, c, v, key))
			r[c] = v
		}
	}
}

// commit makes a version of the working set, if there is something.
func (p *historyPlay) commit() {
	head := p.heads[p.on]
	if _, err := p.query("call dolt_commit('-Am', '" + p.message() + "')"); err != nil {
		if !strings.Contains(err.Error(), "nothing to commit") || p.working.String() != head.state.String() {
			p.fatalf("commit: %v", err)
		}
		return
	}
	p.grown(p.working, head)
}

func (p *historyPlay) someBranch() string {
	return slices.Sorted(maps.Keys(p.heads))[p.rng.IntN(len(p.heads))]
}

func (p *historyPlay) checkout(name string) {
	p.must("call dolt_checkout('" + name + "')")
	p.on, p.working = name, p.heads[name].state.clone()
}

// base is the merge base, which must be a common ancestor that no other one is behind.
func (p *historyPlay) base(a, b *modelCommit) *modelCommit {
	p.t.Helper()
	base := p.byHash[p.must("select dolt_merge_base('"+a.hash+"', '"+b.hash+"')")]
	of, and := a.ancestors(), b.ancestors()
	if base == nil || !of[base] || !and[base] {
		p.fatalf("the merge base of %s and %s is no common ancestor", a.hash, b.hash)
	}
	for c := range of {
		if and[c] && c != base && c.ancestors()[base] {
			p.fatalf("the merge base of %s and %s has a common ancestor behind it", a.hash, b.hash)
		}
	}
	return base
}

func (p *historyPlay) merge() {
	other := p.someBranch()
	ours, theirs := p.heads[p.on], p.heads[other]
	base := p.base(ours, theirs)
	flag := []string{"", "'--no-ff', ", "'--squash', "}[p.rng.IntN(3)]
	want, clean := mergeStates(base.state, ours.state, theirs.state)
	ok, nothing := p.tryCall("call dolt_merge(" + flag + "'" + other + "', '-m', '" + p.message() + "')")
	switch {
	case nothing:
		p.fatalf("merge: nothing to commit")
	case ok != clean:
		p.fatalf("the merge of %s: clean %v, want %v; base\n%sours\n%stheirs\n%s", other, ok, clean, base.state, ours.state, theirs.state)
	case !ok:
		p.counts["conflict"]++
		return
	case base == theirs:
		return // up to date
	}
	p.counts["merge"]++
	p.working = want.clone()
	switch {
	case strings.Contains(flag, "squash"):
		p.check("squash")
		p.commit()
	case base == ours && flag == "":
		p.heads[p.on] = theirs
	default:
		p.grown(want, ours, theirs)
		if base == ours { // merge(a, a, b) is b
			if a, b := p.must("select dolt_hashof_db('HEAD')"), p.must("select dolt_hashof_db('"+theirs.hash+"')"); a != b {
				p.fatalf("a merge of a state that has not changed since gives another hash than theirs: %s and %s", a, b)
			}
		}
	}
	p.check("merge of " + other)
	if base == ours || strings.Contains(flag, "squash") {
		return
	}
	// The other way gives the same.
	here := p.on
	p.must("call dolt_branch('-f', 'back', '" + theirs.hash + "')")
	p.must("call dolt_checkout('back')")
	p.must("call dolt_merge('" + ours.hash + "', '-m', 'back')")
	if got := p.read(""); got.String() != want.String() {
		p.fatalf("the merge the other way gives\n%swant\n%s", got, want)
	}
	p.must("call dolt_checkout('" + here + "')")
	p.must("call dolt_branch('-D', 'back')")
}

// pick cherry-picks or reverts a commit.
func (p *historyPlay) pick(revert bool) {
	x := p.commits[p.rng.IntN(len(p.commits))]
	if len(x.parents) != 1 {
		return
	}
	from, to, verb := x.parents[0].state, x.state, "dolt_cherry_pick"
	if revert {
		from, to, verb = to, from, "dolt_revert"
	}
	head := p.heads[p.on]
	want, clean := mergeStates(from, head.state, to)
	ok, nothing := p.tryCall("call " + verb + "('" + x.hash + "')")
	switch {
	case nothing:
		if !clean || want.String() != head.state.String() {
			p.fatalf("%s %s: nothing to commit, want %v\n%s", verb, x.hash, clean, want)
		}
		return
	case ok != clean:
		p.fatalf("%s %s: clean %v, want %v; base\n%sours\n%stheirs\n%s", verb, x.hash, ok, clean, from, head.state, to)
	case !ok:
		p.counts["conflict"]++
		return
	}
	p.counts[verb]++
	p.grown(want, head)
	p.check(verb)
}

// rebase puts the branch's commits on another branch.
func (p *historyPlay) rebase() {
	other := p.someBranch()
	head, onto := p.heads[p.on], p.heads[other]
	not := onto.ancestors()
	var todo []*modelCommit // newest first, as Walk gives them
	list := p.must("select commit_hash from dolt_log('" + other + ".." + p.on + "')")
	for h := range strings.FieldsSeq(list) {
		c := p.byHash[h]
		if c == nil || not[c] || !head.ancestors()[c] {
			p.fatalf("dolt_log('%s..%s') has %s", other, p.on, h)
		}
		if len(c.parents) == 1 {
			todo = append(todo, c)
		}
	}
	state, clean := onto.state, true
	steps := []modelState{}
	for _, c := range slices.Backward(todo) {
		next, ok := mergeStates(c.parents[0].state, state, c.state)
		if !ok {
			clean = false
			break
		}
		if next.String() != state.String() || c.state.String() == c.parents[0].state.String() {
			steps = append(steps, next)
		}
		state = next
	}
	ok, nothing := p.tryCall("call dolt_rebase('" + other + "')")
	switch {
	case nothing:
		if len(todo) > 0 {
			p.fatalf("rebase on %s: nothing, want %d commits", other, len(todo))
		}
		return
	case ok != clean:
		p.fatalf("rebase on %s: clean %v, want %v", other, ok, clean)
	case !ok:
		p.counts["conflict"]++
		p.check("rebase with conflicts")
		return
	}
	p.counts["rebase"]++
	p.working = state.clone()
	p.check("rebase on " + other)
	// The commits that have been made, from the oldest.
	var made []string
	for h := range strings.FieldsSeq(p.must("select commit_hash from dolt_log('" + onto.hash + "..HEAD')")) {
		made = append(made, h)
	}
	slices.Reverse(made)
	at := onto
	for _, h := range made {
		got := p.read(h)
		if len(steps) > 0 && got.String() == steps[0].String() {
			steps = steps[1:]
		} else if got.String() != at.state.String() { // a commit of another order of columns only
			p.fatalf("rebase on %s: commit %s has\n%swant one of\n%s", other, h, got, steps)
		}
		c := &modelCommit{hash: h, parents: []*modelCommit{at}, state: got}
		for n, m := range c.state {
			m.hash = p.must("select dolt_hashof_table('" + n + "', '" + h + "')")
		}
		p.byHash[h] = c
		p.commits = append(p.commits, c)
		at = c
	}
	if len(steps) > 0 {
		p.fatalf("rebase on %s: no commit has\n%s", other, steps[0])
	}
	p.heads[p.on] = at
	p.working = at.state.clone()
}

// squash makes one commit of the last ones: the content stays.
func (p *historyPlay) squash() {
	head := p.heads[p.on]
	if len(head.parents) != 1 || len(head.parents[0].parents) != 1 {
		return
	}
	below := head.parents[0].parents[0]
	was := p.must("select dolt_hashof_db('HEAD')")
	p.must("call dolt_reset('--soft', 'HEAD~2')")
	p.must("call dolt_commit('--allow-empty', '-m', '" + p.message() + "')")
	p.grown(head.state, below)
	if now := p.must("select dolt_hashof_db('HEAD')"); now != was {
		p.fatalf("squashed commits have another content: %s, not %s", now, was)
	}
	p.counts["squash"]++
	p.check("squash of two")
}

// TestHistoryModel plays random programs of edits, DDL, branches, merges, rebases, reverts and cherry-picks beside the model, with fsck after
// each step.
func TestHistoryModel(t *testing.T) {
	seeds := 4
	if os.Getenv("STEMMA_LONG") != "" {
		seeds = 200
	}
	counts := map[string]int{}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			p := &historyPlay{
				t: t, rng: rand.New(rand.NewPCG(uint64(seed), 11)), c: versioned(t), heads: map[string]*modelCommit{}, byHash: map[string]*modelCommit{},
				on: "main", working: modelState{}, counts: counts,
			}
			p.grown(p.working)
			for _, n := range slices.Sorted(maps.Keys(modelTables)) {
				c := modelTables[n]
				p.must("create table " + n + " (id int primary key, " + c + " int default 0)")
				p.working[n] = &modelTable{columns: map[string]int{c: 0}, rows: map[int]map[string]int{}}
			}
			p.commit()
			for range 60 {
				switch k := p.rng.IntN(12); k {
				case 0, 1, 2, 3:
					for range 1 + p.rng.IntN(4) {
						p.edit()
					}
					p.check("edits")
					p.commit()
					continue
				}
				if p.working.String() != p.heads[p.on].state.String() {
					p.commit()
				}
				switch k := p.rng.IntN(12); k {
				case 0:
					if len(p.heads) < 4 {
						name := fmt.Sprintf("b%d", p.rng.IntN(5))
						if p.heads[name] == nil {
							at := p.commits[p.rng.IntN(len(p.commits))]
							if p.heads["main"].ancestors()[at] {
								p.must("call dolt_branch('" + name + "', '" + at.hash + "')")
								p.heads[name] = at
							}
						}
					}
				case 1, 2, 3:
					p.checkout(p.someBranch())
				case 4, 5, 6, 7:
					p.merge()
				case 8:
					p.pick(false)
				case 9:
					p.pick(true)
				case 10:
					p.rebase()
				case 11:
					p.squash()
				}
				p.check("step")
			}
		})
	}
	for _, what := range []string{"merge", "conflict", "dolt_cherry_pick", "dolt_revert", "rebase", "squash"} {
		if counts[what] == 0 && !t.Failed() {
			t.Errorf("the programs have had no %s: the test does not test", what)
		}
	}
	t.Logf("%v", counts)
}

// TestEqualHashes makes the same content in different ways: hashes are of content only.
func TestEqualHashes(t *testing.T) {
	c := versioned(t)
	const rows = "insert into t values (1, 'a', 1.5), (2, null, 2.5)"
	c.exec("create table t (id int primary key, v varchar(20), d double)", rows, "call dolt_commit('-Am', 'one')", "call dolt_tag('one')")
	// Dropped and made again, in one commit and in two, in another order, by way of other rows and columns.
	for _, way := range [][]string{
		{"drop table t", "create table t (id int primary key, v varchar(20), d double)", rows},
		{"drop table t", "call dolt_commit('-Am', 'gone')", "create table t (id int primary key, v varchar(20), d double)", rows},
		{"delete from t", "insert into t values (2, null, 2.5)", "insert into t values (7, 'x', 7)", "insert into t values (1, 'b', 1.5)", "update t set v = 'a' where id = 1", "delete from t where id = 7"},
		{"alter table t add column x int default 3", "update t set x = 4", "alter table t drop column x"},
		{"rename table t to u", "rename table u to t"},
		{"alter table t rename column v to w", "alter table t rename column w to v"},
		{"create index i on t (v)", "drop index i on t"},
	} {
		c.exec(way...)
		c.want("select dolt_hashof_table('t') = dolt_hashof_table('t', 'one'), dolt_hashof_db('WORKING') = dolt_hashof_db('one')", "true,true")
		c.exec("call dolt_commit('-A', '--allow-empty', '-m', 'again')")
	}
	// The same ADD COLUMN on two branches.
	c.exec("call dolt_branch('a')", "call dolt_branch('b')")
	for _, b := range []string{"a", "b"} {
		c.exec("call dolt_checkout('"+b+"')", "alter table t add column x int not null default 7", "update t set x = 8 where id = 2", "call dolt_commit('-am', '"+b+"')")
	}
	c.want("select dolt_hashof_table('t', 'a') = dolt_hashof_table('t', 'b')", "true")
	c.exec("call dolt_merge('a', '-m', 'both')")
	c.want("select dolt_hashof_db('HEAD') = dolt_hashof_db('a')", "true")
	// Rebased and squashed, the content stays.
	c.exec("call dolt_checkout('a')", "insert into t values (3, 'c', 3, 3)", "call dolt_commit('-am', 'three')", "insert into t values (4, 'd', 4, 4)", "call dolt_commit('-am', 'four')",
		"call dolt_branch('merged', 'b')", "call dolt_branch('rebased', 'a')", "call dolt_branch('squashed', 'a')",
		"call dolt_checkout('merged')", "insert into t values (9, 'i', 9, 9)", "call dolt_commit('-am', 'nine')", "call dolt_branch('onto')", "call dolt_merge('a', '-m', 'x')",
		"call dolt_checkout('rebased')", "call dolt_rebase('onto')", "call dolt_checkout('squashed')", "call dolt_squash_history('-m', 'all')")
	c.want("select dolt_hashof_db('rebased') = dolt_hashof_db('merged'), dolt_hashof_db('squashed') = dolt_hashof_db('a')", "true,true")
}
