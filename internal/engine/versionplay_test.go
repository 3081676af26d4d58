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

// historyPlay plays a random program on a database and on the model.
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
	between  func() // is called between statements; nil for nothing
}

// modelTables are the tables with their first columns, which are never dropped, so that no table looks like another one renamed.
var modelTables = map[string]string{"t": "tv", "u": "uv", "w": "wv"}

func (p *historyPlay) query(q string) (string, error) {
	if p.between != nil {
		p.between()
	}
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
			newHistoryPlay(t, seed, counts).program()
		})
	}
	for _, what := range []string{"merge", "conflict", "dolt_cherry_pick", "dolt_revert", "rebase", "squash"} {
		if counts[what] == 0 && !t.Failed() {
			t.Errorf("the programs have had no %s: the test does not test", what)
		}
	}
	t.Logf("%v", counts)
}

// newHistoryPlay begins a program in a new database.
func newHistoryPlay(t *testing.T, seed int, counts map[string]int) *historyPlay {
	t.Helper()
	return &historyPlay{
		t: t, rng: rand.New(rand.NewPCG(uint64(seed), 11)), c: versioned(t), heads: map[string]*modelCommit{}, byHash: map[string]*modelCommit{},
		on: "main", working: modelState{}, counts: counts,
	}
}

// program plays 60 steps.
func (p *historyPlay) program() {
	p.t.Helper()
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
}
