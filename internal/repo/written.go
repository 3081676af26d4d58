package repo

import (
	"container/list"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/stemmadb/stemma/internal/lineage"
)

// Bounds of what is remembered of tables that runs have written and not committed. What was written longest ago is forgotten first; of a
// table that is written in more ways than keptWays they are told as one.
const (
	keptWritten = 1 << 16
	keptWays    = 256
)

// written is what runs have written in working sets and not committed: which part of the run, and from which columns. It lasts as long as
// the database is open. What it says is of a table as it stands in a working set, so that it holds no more once that is replaced as a
// whole by something else: by a reset, a stash, an abort, another branch of the name.
type written struct {
	mu  sync.Mutex
	at  map[place]map[string]*writtenTable // by run
	old list.List                          // of *writtenTable, the one that was written longest ago first
}

// place is a table of a branch's working set, by its lower-case name.
type place struct{ branch, table string }

// writtenTable is what a run has written in a table.
type writtenTable struct {
	place
	run         string
	born, since uint64 // of the branch, and of its table as a whole
	ways        []way  // the last to be used last
	in          *list.Element
}

// way is how statements have written a table, the first and the last of them in the records of these LSNs.
type way struct {
	first, last uint64
	by          lineage.Current
	origins     map[string][]lineage.Origin // by column; none where no statement tells
}

// toldWrites names what a commit tells of a table, or what it makes have no meaning: the ways of a run up to an LSN.
type toldWrites struct {
	place
	run  string
	upTo uint64
}

// tableNote is what a transaction tells of how it writes a table: one of its statements, another name, or that it is taken away.
type tableNote struct {
	table   string // lower case
	by      lineage.Current
	origins map[string][]lineage.Origin
	from    string // the name that the table had before
	anew    bool   // of what was in the table nothing is left
}

// NoteOrigins takes note from which columns a statement of a run makes columns of a table. It lasts with the transaction, is forgotten when
// the database is closed, and goes into the record of the run's next commit of the table on the branch.
func (t *Tx) NoteOrigins(by lineage.Current, table string, origins map[string][]lineage.Origin) {
	t.made = append(t.made, tableNote{table: strings.ToLower(table), by: by, origins: origins})
}

// NoteAnew takes note that nothing is left of what was in a table, so that where it came from does not count any more.
func (t *Tx) NoteAnew(table string) {
	t.made = append(t.made, tableNote{table: strings.ToLower(table), anew: true})
}

// take takes in what a transaction has written, whose record has the LSN; b is its branch with it. The caller holds the commit lock.
func (w *written) take(t *Tx, b *branch, lsn uint64) {
	if b.name == lineageRef {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.at) > 0 {
		for l := range t.whole { // changed as a whole, but by somebody who saw it
			for _, x := range w.at[place{b.name, l}] {
				if x.born == b.born && x.since == t.base.tables.get(l).since {
					x.since = lsn
				}
			}
		}
	}
	if len(t.made) == 0 && t.by.Run == "" {
		return
	}
	noted := map[string]bool{}
	for _, m := range t.made {
		switch p := (place{b.name, m.table}); {
		case m.anew:
			w.remove(p)
		case m.from != "":
			w.rename(place{b.name, m.from}, p)
		default:
			w.add(b, m.table, m.by, m.origins, lsn)
			noted[m.table] = noted[m.table] || m.by.Run == t.by.Run
		}
	}
	if t.by.Run == "" {
		return
	}
	for _, l := range t.Changed() {
		if !noted[l] {
			w.add(b, l, t.by, nil, lsn)
		}
	}
}

func (w *written) add(b *branch, table string, by lineage.Current, origins map[string][]lineage.Origin, lsn uint64) {
	p := place{b.name, table}
	x := w.at[p][by.Run]
	if x == nil {
		x = &writtenTable{place: p, run: by.Run}
		w.put(x)
		x.in = w.old.PushBack(x)
		if w.old.Len() > keptWritten {
			w.drop(w.old.Front().Value.(*writtenTable))
		}
	} else if w.old.MoveToBack(x.in); !x.stands(b) {
		x.ways = nil
	}
	x.born, x.since = b.born, b.tables.get(table).since
	y := way{first: lsn, by: by, origins: origins}
	i := slices.IndexFunc(x.ways, func(o way) bool { return o.by == by && maps.EqualFunc(o.origins, origins, slices.Equal) })
	switch {
	case i >= 0:
		y.first = x.ways[i].first
		x.ways = slices.Delete(x.ways, i, i+1)
	case len(x.ways) == keptWays:
		y.origins = lineage.MergeOrigins(nil, origins)
		for _, o := range x.ways {
			y.first = min(y.first, o.first)
			y.origins = lineage.MergeOrigins(y.origins, o.origins)
		}
		x.ways = nil
	}
	y.last = lsn
	x.ways = append(x.ways, y)
}

func (w *written) put(x *writtenTable) {
	if w.at == nil {
		w.at = map[place]map[string]*writtenTable{}
	}
	if w.at[x.place] == nil {
		w.at[x.place] = map[string]*writtenTable{}
	}
	w.at[x.place][x.run] = x
}

func (w *written) drop(x *writtenTable) {
	w.old.Remove(x.in)
	if delete(w.at[x.place], x.run); len(w.at[x.place]) == 0 {
		delete(w.at, x.place)
	}
}

func (w *written) remove(p place) {
	for _, x := range w.at[p] {
		w.drop(x)
	}
}

func (w *written) rename(from, to place) {
	w.remove(to)
	moved := w.at[from]
	delete(w.at, from)
	for _, x := range moved {
		x.place = to
		w.put(x)
	}
}

// copyBranch takes what is known of a branch for a copy of it too, which has its working set.
func (w *written) copyBranch(from, to *branch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.removeBranch(to.name)
	for p, runs := range w.at {
		if p.branch != from.name {
			continue
		}
		for run, x := range runs {
			if !x.stands(from) {
				continue
			}
			y := &writtenTable{place: place{to.name, p.table}, run: run, born: to.born, since: x.since, ways: slices.Clone(x.ways)}
			w.put(y)
			y.in = w.old.PushBack(y)
		}
	}
	for w.old.Len() > keptWritten {
		w.drop(w.old.Front().Value.(*writtenTable))
	}
}

// dropBranch forgets what is known of a branch that is gone.
func (w *written) dropBranch(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.removeBranch(name)
}

func (w *written) removeBranch(name string) {
	for p := range w.at {
		if p.branch == name {
			w.remove(p)
		}
	}
}

// stands tells whether the table is still the one that was written.
func (x *writtenTable) stands(b *branch) bool {
	return x.born == b.born && x.since == b.tables.get(x.table).since
}

// of is the part of a run that has last written a table of the branch as b has it, and what its statements tell of the columns; ok is
// false where nothing is known.
func (w *written) of(run string, b *branch, table string) (by lineage.Current, origins map[string][]lineage.Origin, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	x := w.at[place{b.name, strings.ToLower(table)}][run]
	if x == nil || !x.stands(b) {
		return by, nil, false
	}
	last := uint64(0)
	for _, y := range x.ways {
		if y.first > b.lsn {
			continue
		}
		origins = lineage.MergeOrigins(origins, y.origins)
		if at := min(y.last, b.lsn); at >= last {
			by, last, ok = y.by, at, true
		}
	}
	return by, origins, ok
}

// ofWith is of with what a transaction tells besides that is not in the branch yet; nil is no transaction.
func (w *written) ofWith(run string, b *branch, table string, t *Tx) (by lineage.Current, origins map[string][]lineage.Origin, ok bool) {
	name := strings.ToLower(table)
	if t == nil {
		return w.of(run, b, name)
	}
	was, noted := name, false // the table's name in b
	for _, m := range slices.Backward(t.made) {
		if m.from != "" && m.table == was {
			was = m.from
		}
	}
	by, origins, ok = w.of(run, b, was)
	for _, m := range t.made {
		switch {
		case m.table == was && m.from == "" && m.anew:
			by, origins, ok = lineage.Current{}, nil, false
		case m.table == was && m.from == "" && m.by.Run == run:
			by, origins, ok, noted = m.by, lineage.MergeOrigins(origins, m.origins), true, true
		case m.from == was && m.from != "":
			was = m.table
		}
	}
	if !noted && t.by.Run == run && slices.Contains(t.Changed(), name) {
		by, ok = t.by, true
	}
	return by, origins, ok
}

// told names what a commit tells of the tables that a transaction has changed, whose record has the LSN.
func (t *Tx) told(lsn uint64) (out []toldWrites) {
	for _, l := range t.Changed() {
		runs := map[string]bool{t.by.Run: true}
		for _, m := range t.made {
			runs[m.by.Run] = true
		}
		for run := range runs {
			out = append(out, toldWrites{place{t.branch, l}, run, lsn})
		}
	}
	return out
}

// upTo names all that is known of the branch as b has it.
func (w *written) upTo(b *branch) (out []toldWrites) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for p, runs := range w.at {
		if p.branch != b.name {
			continue
		}
		for run := range runs {
			out = append(out, toldWrites{p, run, b.lsn})
		}
	}
	return out
}

// forget forgets what a commit has told. What was written meanwhile stays.
func (w *written) forget(told []toldWrites) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, k := range told {
		x := w.at[k.place][k.run]
		if x == nil {
			continue
		}
		if x.ways = slices.DeleteFunc(x.ways, func(y way) bool { return y.last <= k.upTo }); len(x.ways) == 0 {
			w.drop(x)
		}
	}
}
