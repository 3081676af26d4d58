package remote_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/object/file"
	"github.com/stemmadb/stemma/internal/object/mem"
	"github.com/stemmadb/stemma/internal/object/objecttest"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
	"github.com/stemmadb/stemma/internal/vfs"
)

// tables are the tables of schedules.
var tables = []string{"t0", "t1"}

// contents are the notes of a commit by table and id.
type contents map[string]string

// world is several machines and a remote, and what they are to hold: a model that knows nothing of chunks, packs and objects.
type world struct {
	t      tb
	rng    *rand.Rand
	ms     []*machine
	skews  []time.Duration // of the machines' clocks
	now    time.Time
	base   object.Store // the remote, without faults
	faulty *objecttest.Faulty

	rows    map[history.CommitID]contents
	parents map[history.CommitID][]history.CommitID
	heads   []map[string]history.CommitID // of the machines' branches
	tracks  []map[string]history.CommitID // what they have seen of the remote's
	remote  map[string]history.CommitID

	compressed int // chunks, by collections of the machines
}

// flip is the part of schedules, one of so many, in which reads return wrong bytes.
const flip = 4

func newWorld(t tb, rng *rand.Rand, base object.Store) *world {
	w := &world{t: t, rng: rng, base: base, now: noon, rows: map[history.CommitID]contents{}, parents: map[history.CommitID][]history.CommitID{}, remote: map[string]history.CommitID{}}
	w.faulty = objecttest.NewFaulty(base, rng.Uint64(), 100)
	w.faulty.Flip = rng.IntN(flip) == 0
	first := newMachine(t, "ada")
	w.ms = []*machine{first}
	w.heads = []map[string]history.CommitID{{}}
	w.tracks = []map[string]history.CommitID{{}}
	w.skews = []time.Duration{0}
	start, _ := first.BranchHead("main")
	w.rows[start] = contents{}
	w.heads[0]["main"] = start
	w.work(0, "main")
	for w.remote["main"].IsZero() {
		w.push(0, false, false, "main")
	}
	refs, err := mustOpen(t, base).Refs(ctx)
	must(t, err)
	for _, n := range []string{"bob", "eve"} {
		fs := vfs.NewMem()
		must(t, clone(mustOpen(t, base), fs, refs))
		w.ms = append(w.ms, open(t, fs, n))
		w.heads = append(w.heads, map[string]history.CommitID{"main": w.remote["main"]})
		w.tracks = append(w.tracks, map[string]history.CommitID{})
		w.skews = append(w.skews, time.Duration(rng.Int64N(int64(day/2)))-day/4)
	}
	return w
}

// open is the remote as a machine sees it over its network.
func (w *world) open() (*sync.Remote, error) {
	return openRemote(ctx, object.Retry(w.faulty, object.RetryOptions{Tries: 20, Pause: time.Microsecond}))
}

// clock is that of a machine.
func (w *world) clock(i int) time.Time { return w.now.Add(w.skews[i]) }

// tolerate takes the errors of bytes that were flipped on the way.
func (w *world) tolerate(what string, err error) bool {
	w.t.Helper()
	if err != nil && !(w.faulty.Flip && (errs.Is(err, errs.Corrupt) || errs.Is(err, errs.TooNew))) {
		w.t.Fatalf("%s: %v", what, err)
	}
	return err == nil
}

// reaches tells whether a commit is another one or a descendant of it.
func (w *world) reaches(from, to history.CommitID) bool {
	seen, todo := map[history.CommitID]bool{}, []history.CommitID{from}
	for len(todo) > 0 {
		c := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if c == to {
			return true
		}
		if !seen[c] {
			seen[c] = true
			todo = append(todo, w.parents[c]...)
		}
	}
	return false
}

// work makes a commit of some rows.
func (w *world) work(i int, branch string) {
	w.t.Helper()
	m := w.ms[i]
	tx, err := m.Begin(ctx, branch)
	must(w.t, err)
	name := tables[w.rng.IntN(len(tables))]
	if _, _, ok, err := tx.Table(ctx, name); err != nil || !ok {
		must(w.t, err)
		must(w.t, tx.CreateTable(ctx, name, notes()))
	}
	e, err := tx.Editor(ctx, name)
	must(w.t, err)
	before := w.heads[i][branch]
	now := maps.Clone(w.rows[before])
	for range 1 + w.rng.IntN(60) {
		note := fmt.Sprintf("%s %d", m.name, w.rng.IntN(50))
		if w.rng.IntN(20) == 0 {
			note = string(long(w.rng))
		}
		id := w.rng.IntN(100000)
		key := fmt.Sprintf("%s/%d", name, id)
		err := e.Insert(ctx, []value.Cell{value.IntCell(int64(id)), value.BytesCell([]byte(note))})
		if _, there := now[key]; there != errs.Is(err, errs.DuplicateKey) {
			w.t.Fatalf("insert %s, of which the model says %v: %v", key, there, err)
		}
		if err == nil {
			now[key] = note
		}
	}
	must(w.t, tx.Commit(ctx))
	// The time is part of the commit's name: no two of a schedule are the same.
	author := signature(m.name)
	author.Time = author.Time.Add(time.Duration(len(w.rows)) * time.Second)
	_, err = m.Commit(ctx, repo.CommitOptions{Branch: branch, Message: "work", Author: author, AddNew: true, AllowEmpty: true})
	must(w.t, err)
	head, _ := m.BranchHead(branch)
	w.rows[head], w.parents[head], w.heads[i][branch] = now, []history.CommitID{before}, head
}

// contents reads a branch.
func (m *machine) contents(t tb, branch string) contents {
	t.Helper()
	tx, err := m.Begin(ctx, branch)
	must(t, err)
	defer tx.Rollback()
	out := contents{}
	for _, name := range tables {
		v, _, ok, err := tx.Table(ctx, name)
		must(t, err)
		if !ok {
			continue
		}
		scan := v.Scan(table.ScanOptions{Rows: table.RowsTree})
		for {
			b, ok, err := scan.Next(ctx)
			must(t, err)
			if !ok {
				break
			}
			if b.Page == nil {
				t.Fatalf("%s has a row of %s that is in no page", branch, name)
			}
			for i := b.Lo; i < b.Hi; i++ {
				id, err := b.Page.Cell(ctx, 0, i)
				must(t, err)
				note, err := b.Page.Cell(ctx, 1, i)
				must(t, err)
				text := note.Bytes()
				if note.IsAddr() {
					text, err = tree.ReadBlob(ctx, m.Store(), text)
					must(t, err)
				}
				out[fmt.Sprintf("%s/%d", name, id.Int())] = string(text)
			}
		}
	}
	return out
}

// judge is what a push may do to a branch of the remote.
func (w *world) judge(i int, branch string, force bool) (to history.CommitID, refused bool) {
	head, now := w.heads[i][branch], w.remote[branch]
	if now.IsZero() || force || w.reaches(head, now) {
		return head, false
	}
	return now, true
}

// push pushes branches over a bad network; with a cut it is given up at some request.
func (w *world) push(i int, atomic, cut bool, branches ...string) {
	w.t.Helper()
	m := w.ms[i]
	force := w.rng.IntN(6) == 0
	r, err := w.open()
	if cut {
		dying := objecttest.NewFaulty(w.base, w.rng.Uint64(), 50)
		dying.Kill = 1 + int64(w.rng.IntN(16))
		r, err = openRemote(ctx, object.Retry(dying, object.RetryOptions{Tries: 3, Pause: time.Microsecond}))
	}
	if err != nil {
		if !cut {
			w.tolerate("open", err)
		}
		return
	}
	var wants []sync.Want
	any := false
	for _, b := range branches {
		_, refused := w.judge(i, b, force)
		any = any || refused
		wants = append(wants, sync.Want{Name: sync.Heads + b, Commit: w.heads[i][b], Force: force})
	}
	p := &sync.Push{Remote: r, Store: m.Store(), FS: m.FS(), Temp: m.TempDir(), Atomic: atomic, Held: sync.HeldIn(m.FS(), m.Dir()), Now: func() time.Time { return w.clock(i) }}
	out, _, err := p.Run(ctx, wants)
	known := cut || w.tolerate("push", err)
	refs, e := mustOpen(w.t, w.base).Refs(ctx)
	must(w.t, e)
	moved, stayed := 0, 0
	for k, b := range branches {
		to, refused := w.judge(i, b, force)
		refused = refused || atomic && any && w.remote[b] != to
		old, now := w.remote[b], refs[sync.Heads+b].Commit
		switch {
		case refused && now != old:
			w.t.Fatalf("a push that must be refused has moved %s from %s to %s", b, old, now)
		case now != old && now != to:
			w.t.Fatalf("%s is at %s, which is neither what it was nor what was pushed", b, now)
		case err == nil && known && !refused && now != to:
			w.t.Fatalf("a push that was done has left %s at %s, not at %s (%d)", b, now, to, out[k].Status)
		case err == nil && known && out[k].Status.Refused() != refused:
			w.t.Fatalf("%s: status %d, and the model says refused: %v", b, out[k].Status, refused)
		}
		if !refused && old != to {
			if now == old {
				stayed++
			} else {
				moved++
			}
		}
		if !now.IsZero() {
			w.remote[b] = now
		}
	}
	if atomic && moved > 0 && stayed > 0 {
		w.t.Fatalf("of a push of all or none %d branches have moved, and %d have not", moved, stayed)
	}
}

// drop removes a branch of the remote.
func (w *world) drop(i int, branch string) {
	w.t.Helper()
	if w.remote[branch].IsZero() || branch == "main" {
		return
	}
	r, err := w.open()
	if !w.tolerate("open", err) {
		return
	}
	m := w.ms[i]
	p := &sync.Push{Remote: r, Store: m.Store(), FS: m.FS(), Temp: m.TempDir()}
	_, _, err = p.Run(ctx, []sync.Want{{Name: sync.Heads + branch}})
	w.tolerate("remove a branch", err)
	refs, err := mustOpen(w.t, w.base).Refs(ctx)
	must(w.t, err)
	if now := refs[sync.Heads+branch].Commit; now.IsZero() {
		delete(w.remote, branch)
	} else if !w.faulty.Flip {
		w.t.Fatalf("%s was removed, and is at %s", branch, now)
	}
}

// fetch brings what the remote has.
func (w *world) fetch(i int) {
	w.t.Helper()
	r, err := w.open()
	if w.tolerate("open", err) && w.tolerate("fetch", w.ms[i].fetch(r)) {
		for b, at := range w.remote {
			w.tracks[i][b] = at
		}
	}
	for b, at := range w.tracks[i] {
		if got, _ := w.ms[i].Track("origin/" + b); got != at {
			w.t.Fatalf("%s has seen origin/%s at %s, not at %s", w.ms[i].name, b, got, at)
		}
	}
}

// pull fetches, and merges what was seen of the remote's branch.
func (w *world) pull(i int, branch string) {
	w.t.Helper()
	w.fetch(i)
	theirs, ok := w.tracks[i][branch]
	if !ok {
		return
	}
	m, ours := w.ms[i], w.heads[i][branch]
	_, err := m.Merge(ctx, repo.MergeOptions{Branch: branch, Kind: history.MergeBranch, Source: "origin/" + branch, Theirs: theirs, NoConflicts: true, Author: signature(m.name), Message: "merge"})
	clash := false
	both := maps.Clone(w.rows[ours])
	for k, v := range w.rows[theirs] {
		clash = clash || both[k] != "" && both[k] != v
		both[k] = v
	}
	switch {
	case w.reaches(ours, theirs):
		if err != nil && !errs.Is(err, errs.NothingToDo) {
			w.t.Fatalf("merge of what is there: %v", err)
		}
		return
	case clash && !w.reaches(theirs, ours):
		if !errors.Is(err, repo.ErrUnresolved) && !errs.Is(err, errs.Conflict) {
			w.t.Fatalf("a merge of two notes of one row: %v", err)
		}
		return
	}
	must(w.t, err)
	head, _ := m.BranchHead(branch)
	w.heads[i][branch] = head
	if _, known := w.rows[head]; !known {
		w.rows[head], w.parents[head] = both, []history.CommitID{ours, theirs}
	}
}

// collect collects the garbage of the remote, from a machine; with a cut it is given up at some request.
func (w *world) collect(i int, cut bool) {
	w.t.Helper()
	s := object.Retry(w.faulty, object.RetryOptions{Tries: 20, Pause: time.Microsecond})
	if cut {
		dying := objecttest.NewFaulty(w.base, w.rng.Uint64(), 50)
		dying.Kill = 1 + int64(w.rng.IntN(16))
		s = object.Retry(dying, object.RetryOptions{Tries: 3, Pause: time.Microsecond})
	}
	if _, err := collect(s, w.clock(i), day); !cut {
		w.tolerate("collect", err)
	}
}

// storm lets machines push and fetch and collect all at once.
func (w *world) storm(branch string) {
	w.t.Helper()
	var wait gosync.WaitGroup
	errors := make([]error, len(w.ms)*2)
	// Faults are drawn apart, so that the rest of the schedule does not depend on the order of these.
	faulty := objecttest.NewFaulty(w.base, w.rng.Uint64(), 100)
	s := object.Retry(faulty, object.RetryOptions{Tries: 20, Pause: time.Microsecond})
	r, err := openRemote(ctx, s)
	must(w.t, err)
	for i, m := range w.ms {
		wait.Go(func() {
			if _, ok := w.heads[i][branch]; ok {
				_, errors[i] = m.push(r, false, false, branch)
			}
			if errors[i] == nil {
				errors[i] = m.fetch(r)
			}
		})
		wait.Go(func() { _, errors[len(w.ms)+i] = collect(s, w.clock(i), day) })
	}
	wait.Wait()
	for _, err := range errors {
		must(w.t, err)
	}
	refs, err := mustOpen(w.t, w.base).Refs(ctx)
	must(w.t, err)
	now, old := refs[sync.Heads+branch].Commit, w.remote[branch]
	from := func(h map[string]history.CommitID) bool { return h[branch] == now }
	if now != old && !(slices.ContainsFunc(w.heads, from) && (old.IsZero() || w.reaches(now, old))) {
		w.t.Fatalf("after pushes of all at once %s is at %s, which nobody could push over %s", branch, now, old)
	}
	if !now.IsZero() {
		w.remote[branch] = now
	}
	for i, m := range w.ms {
		for _, b := range []string{"main", "fix", "Release/1.0"} {
			if at, ok := m.Track("origin/" + b); ok {
				w.tracks[i][b] = at
			}
		}
	}
}

// crash cuts the power of a machine.
func (w *world) crash(i int) {
	w.t.Helper()
	m := w.ms[i]
	fs := m.fs.CrashClone(w.rng)
	must(w.t, m.Close(ctx))
	w.ms[i] = open(w.t, fs, m.name)
}

// step is one thing that happens.
func (w *world) step() {
	w.t.Helper()
	i := w.rng.IntN(len(w.ms))
	b := []string{"main", "fix", "Release/1.0"}[w.rng.IntN(3)]
	if _, ok := w.heads[i][b]; !ok {
		at := w.heads[i]["main"]
		must(w.t, w.ms[i].CreateBranch(ctx, b, at, false))
		w.heads[i][b] = at
	}
	all := slices.Sorted(maps.Keys(w.heads[i]))
	w.now = w.now.Add(time.Duration(w.rng.Int64N(int64(day))))
	switch n := w.rng.IntN(20); {
	case n < 6:
		w.work(i, b)
	case n < 10:
		w.push(i, w.rng.IntN(2) == 0, w.rng.IntN(3) == 0, all...)
	case n < 11:
		w.drop(i, b)
	case n < 12:
		w.fetch(i)
	case n < 14:
		w.pull(i, b)
	case n < 17:
		w.collect(i, w.rng.IntN(3) == 0)
	case n < 18:
		opt := repo.CollectOptions{Full: w.rng.IntN(2) == 0, Wait: true, Compress: pack.Compression(w.rng.IntN(3)), CompressLeast: -1}
		if w.rng.IntN(2) == 0 {
			opt.Expire = clock.Fixed{T: noon}.Now().Add(365 * day)
		}
		done, err := w.ms[i].Collect(ctx, opt)
		must(w.t, err)
		w.compressed += done.Compressed
	case n < 19:
		w.crash(i)
	default:
		w.storm(b)
	}
}

// check compares everything with the model: the machines' branches, and those of the remote in clones of each alone.
func (w *world) check() {
	w.t.Helper()
	same := func(m *machine, branch string, want history.CommitID) {
		w.t.Helper()
		if head, _ := m.BranchHead(branch); head != want {
			w.t.Fatalf("%s of %s is at %s, the model at %s", branch, m.name, head, want)
		}
		if got := m.contents(w.t, branch); !maps.Equal(got, w.rows[want]) {
			for k, v := range w.rows[want] {
				if got[k] != v {
					w.t.Fatalf("%s of %s has %.40q where the model has %.40q at %s", branch, m.name, got[k], v, k)
				}
			}
			w.t.Fatalf("%s of %s has %d rows, and others than the %d of the model", branch, m.name, len(got), len(w.rows[want]))
		}
	}
	for i, m := range w.ms {
		m.sound(w.t)
		for b, at := range w.heads[i] {
			same(m, b, at)
		}
		must(w.t, m.Close(ctx))
	}
	refs, err := mustOpen(w.t, w.base).Refs(ctx)
	must(w.t, err)
	if len(refs) != len(w.remote) {
		w.t.Fatalf("the remote has %d branches, the model %d", len(refs), len(w.remote))
	}
	for n, x := range refs {
		fs := vfs.NewMem()
		must(w.t, clone(mustOpen(w.t, w.base), fs, map[string]sync.Ref{n: x}))
		m := open(w.t, fs, "clone of "+n)
		m.sound(w.t)
		same(m, strings.TrimPrefix(n, sync.Heads), w.remote[strings.TrimPrefix(n, sync.Heads)])
		must(w.t, m.Close(ctx))
	}
}

// TestSchedules lets machines with clocks that differ commit, push, fetch, pull, remove branches, collect their garbage and that of the remote,
// lose power and die in the middle, on a network that fails; a model says what there is afterwards.
func TestSchedules(t *testing.T) {
	schedules(t, func() object.Store { return &mem.Store{} })
}

// TestSchedulesInDirectory does so with a remote in a directory.
func TestSchedulesInDirectory(t *testing.T) {
	schedules(t, func() object.Store { return file.Open(vfs.NewMem(), "/remote") })
}

func schedules(t *testing.T, make func() object.Store) {
	n, compressed := 0, 0 // schedules, and chunks
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 6)), make())
		for range 20 {
			w.step()
		}
		for range 2 { // nothing of what is needed waits to go
			w.now = w.now.Add(2 * day)
			w.collect(0, false)
		}
		w.check()
		n, compressed = n+1, compressed+w.compressed
	})
	if n >= 100 && compressed < n/10 { // some, as of -short, may have none
		t.Errorf("%d chunks of %d schedules were compressed with dictionaries: the test does not test", compressed, n)
	}
}
