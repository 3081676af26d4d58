package repo_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/vfs"
)

// rulesOf are rules by branch from texts.
func rulesOf(t *testing.T, texts map[string]string) map[string]history.Retention {
	t.Helper()
	out := map[string]history.Retention{}
	for b, text := range texts {
		r, err := history.ParseRetention(text)
		must(t, err)
		out[b] = r
	}
	return out
}

// aged is Ada some hours before the clock of the tests.
func aged(hours int) history.Signature {
	s := signature()
	s.Time = s.Time.Add(-time.Duration(hours) * time.Hour)
	return s
}

// past is what a history is, by the messages of commits, which are unique in it.
type past struct {
	commits map[string]*history.Commit
	above   map[string]map[string]bool // ancestors
	bases   map[string]string          // of the heads of two branches
	refs    map[string]string          // branches and tags
	working map[string]string          // uncommitted
}

func pastOf(t *testing.T, r *repo.Repo) *past {
	t.Helper()
	ctx := t.Context()
	p := &past{map[string]*history.Commit{}, map[string]map[string]bool{}, map[string]string{}, map[string]string{}, map[string]string{}}
	var from []history.CommitID
	for _, b := range r.Branches() {
		from = append(from, b.Head)
	}
	tags, err := r.Tags(ctx)
	must(t, err)
	for _, x := range tags {
		from = append(from, x.Commit)
	}
	w, err := history.Walk(ctx, r.Store(), from, nil)
	must(t, err)
	var order []*history.Commit
	byID := map[history.CommitID]string{}
	for {
		c, err := w.Next(ctx)
		must(t, err)
		if c == nil {
			break
		}
		if p.commits[c.Message] != nil {
			t.Fatalf("two commits say %q", c.Message)
		}
		p.commits[c.Message], byID[c.ID] = c, c.Message
		order = append(order, c)
	}
	for _, c := range slices.Backward(order) {
		up := map[string]bool{}
		for _, id := range c.Parents {
			up[byID[id]] = true
			maps.Copy(up, p.above[byID[id]])
		}
		p.above[c.Message] = up
	}
	for _, a := range r.Branches() {
		p.refs["branch "+a.Name] = byID[a.Head]
		text, err := told(ctx, r, a.Name)
		must(t, err)
		p.working[a.Name] = text[strings.Index(text, ":"):] // how many parents the head has may change
		for _, b := range r.Branches() {
			base, err := history.MergeBase(ctx, r.Store(), a.Head, b.Head)
			must(t, err)
			p.bases[a.Name+" "+b.Name] = byID[base]
		}
	}
	for _, x := range tags {
		p.refs["tag "+x.Name] = byID[x.Commit]
	}
	return p
}

// TestRetentionModel thins random histories: what stays is what it was, in the order in which it was, under the refs and with the merge bases
// that it had; what goes is not there any more when garbage has been collected.
func TestRetentionModel(t *testing.T) {
	for seed := range uint64(scale(12)) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { retainRandom(t, rand.New(rand.NewPCG(seed, 6))) })
	}
}

func retainRandom(t *testing.T, rng *rand.Rand) {
	ctx := t.Context()
	r, fs := withPeople(t)
	hours, made := 3000, 0
	commit := func(branch string) {
		tx, err := r.Begin(ctx, branch)
		must(t, err)
		must(t, update(int64(1+rng.IntN(3)), fmt.Sprint("mail", made), int64(made))(edit(t, tx, "people")))
		must(t, tx.Commit(ctx))
		_, err = r.Commit(ctx, repo.CommitOptions{Branch: branch, Message: fmt.Sprint("c", made), Author: aged(hours + 1), Committer: aged(hours), AddNew: true, Meta: fmt.Sprintf(`{"n":%d}`, made)})
		must(t, err)
		made++
	}
	commit("main")
	branches := []string{"main"}
	for hours > 0 {
		hours -= rng.IntN(60)
		b := branches[rng.IntN(len(branches))]
		switch n := rng.IntN(14); {
		case n == 0 && len(branches) < 5:
			name := fmt.Sprintf("b%d-%d-%d", made, hours, len(branches))
			must(t, r.CreateBranch(ctx, name, mustHead(t, r, b), false))
			branches = append(branches, name)
		case n == 1 && len(branches) > 2:
			must(t, r.DeleteBranch(ctx, branches[1], "", true))
			branches = slices.Delete(branches, 1, 2)
		case n == 2:
			must(t, r.CreateTag(ctx, fmt.Sprint("v", made, "-", hours), history.Tag{Commit: mustHead(t, r, b), Tagger: signature()}, true))
		case n < 6 && len(branches) > 1:
			other := branches[rng.IntN(len(branches))]
			_, err := r.Merge(ctx, repo.MergeOptions{
				Branch: b, Kind: history.MergeBranch, Source: other, Theirs: mustHead(t, r, other), Message: fmt.Sprint("c", made), Author: aged(hours), Committer: aged(hours),
				NoFF: true,
			})
			made++
			if m, e := r.Merging(ctx, b); e != nil || m != nil {
				must(t, e)
				_, err = r.AbortMerge(ctx, b)
			}
			if err != nil && !errs.Is(err, errs.NothingToDo) && !errs.Is(err, errs.Conflict) {
				t.Fatal(err)
			}
		default:
			commit(b)
		}
	}
	// Uncommitted changes.
	tx, err := r.Begin(ctx, "main")
	must(t, err)
	must(t, update(1, "uncommitted", 99)(edit(t, tx, "people")))
	must(t, tx.Commit(ctx))

	texts := map[string]string{"main": []string{"all 7d, daily 30d", "daily 60d, tags 20d", "weekly forever", "monthly 90d, tags 0d", "hourly 9d, yearly forever"}[rng.IntN(5)]}
	for _, b := range branches[1:] {
		if rng.IntN(2) == 0 {
			texts[b] = "all 3d, weekly 30d"
		}
	}
	rules := rulesOf(t, texts)
	before := pastOf(t, r)
	plan, err := r.PlanRetention(ctx, rules)
	must(t, err)
	done, err := r.ApplyRetention(ctx, rules)
	must(t, err)
	if done.Gone != plan.Gone || done.Moved != plan.Moved || len(before.commits) != done.Seen {
		t.Errorf("%d, %d planned, %d, %d done of %d", plan.Gone, plan.Moved, done.Gone, done.Moved, done.Seen)
	}
	must(t, r.Close(ctx))
	r = reopen(t, fs)
	wantSound(t, r)
	after := pastOf(t, r)
	stays, aside := map[string]bool{}, map[string]bool{}
	gone := map[string]history.CommitID{}
	byID := map[history.CommitID]string{}
	for m, c := range before.commits {
		byID[c.ID] = m
	}
	for i := range plan.Commits {
		x := &plan.Commits[i]
		m := byID[x.ID]
		stays[m], aside[m] = x.Why != "", x.Aside
		if x.Why == "" || x.Moves {
			gone[m] = x.ID
		}
	}
	for m, c := range before.commits {
		now := after.commits[m]
		if (now != nil) != stays[m] {
			t.Errorf("%s: there %v, planned %v", m, now != nil, stays[m])
		}
		if now == nil {
			continue
		}
		if now.Root != c.Root || now.Meta != c.Meta || now.Author != c.Author || !now.Committer.Time.Equal(c.Committer.Time) {
			t.Errorf("%s was %+v, is %+v", m, c, now)
		}
		for other := range before.commits {
			if stays[other] && !aside[other] && before.above[m][other] != after.above[m][other] {
				t.Errorf("%s before %s: %v, was %v", other, m, after.above[m][other], before.above[m][other])
			}
		}
	}
	if len(after.commits) > len(before.commits) {
		t.Errorf("%d commits of %d", len(after.commits), len(before.commits))
	}
	for what, pair := range map[string][2]map[string]string{"refs": {before.refs, after.refs}, "bases": {before.bases, after.bases}, "working sets": {before.working, after.working}} {
		if !maps.Equal(pair[0], pair[1]) {
			t.Errorf("%s were %v, are %v", what, pair[0], pair[1])
		}
	}
	again, err := r.ApplyRetention(ctx, rules)
	must(t, err)
	if again.Gone != 0 || again.Moved != 0 {
		t.Errorf("applied again: %d went, %d were made anew", again.Gone, again.Moved)
	}
	must(t, r.Close(ctx))
	r = openBare(t, fs)
	t.Cleanup(func() { r.Close(context.Background()) })
	_, err = r.Collect(ctx, everything())
	must(t, err)
	wantSound(t, r)
	for m, id := range gone {
		if _, err := history.GetCommit(ctx, r.Store(), id); !errs.Is(err, errs.NotFound) {
			t.Errorf("%s is there after garbage was collected: %v", m, err)
		}
	}
	if last := pastOf(t, r); !maps.Equal(last.refs, before.refs) || !maps.Equal(last.working, before.working) {
		t.Errorf("after garbage was collected: %v", last.refs)
	}
}

// TestRetentionRefuses wants merges, rebases and stashes to be ended first.
func TestRetentionRefuses(t *testing.T) {
	ctx := context.Background()
	r, _ := withPeople(t)
	main, side := forked(t, r, update(1, "ours", 11), update(1, "theirs", 12))
	rules := rulesOf(t, map[string]string{"main": "tags forever", "side": "tags forever"})
	for range 2 {
		editOn(t, r, "main", update(2, "m2", int64(len(r.RefLog()))))
	}
	refused := func(want string) {
		t.Helper()
		head := mustHead(t, r, "main")
		if _, err := r.ApplyRetention(ctx, rules); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if now := mustHead(t, r, "main"); now != head {
			t.Errorf("main moved to %s", now)
		}
		if th, err := r.Thinned(); err != nil || th != nil {
			t.Errorf("noted %v, %v", th, err)
		}
	}
	_, err := mergeSide(r, side, nil)
	if m, e := r.Merging(ctx, "main"); e != nil || m == nil {
		t.Fatalf("no conflict: %v, %v", err, e)
	}
	refused("while a merge is in progress")
	_, err = r.AbortMerge(ctx, "main")
	must(t, err)
	_, err = r.StartRebase(ctx, "side", main, false)
	must(t, err)
	refused("while a rebase is in progress")
	_, err = r.EndRebase(ctx, repo.RebaseBranch("side"), nil, false)
	must(t, err)
	editWorking(t, r, update(3, "m3", 33))
	_, err = r.PushStash(ctx, repo.StashOptions{Branch: "main", Name: "a"})
	must(t, err)
	refused("stash@{0} of list a")
	_, err = r.DropStash(ctx, "a", 0)
	must(t, err)
	done, err := r.ApplyRetention(ctx, rules)
	must(t, err)
	if done.Gone != 2 {
		t.Errorf("%d went, want 2", done.Gone)
	}
	wantSound(t, r)
}

// TestRetentionCrash cuts the power before operations on files: all refs have moved, or none.
func TestRetentionCrash(t *testing.T) {
	ctx := context.Background()
	refs := func(r *repo.Repo) string {
		var out []string
		for _, b := range r.Branches() {
			out = append(out, b.Name+" "+b.Head.Full())
		}
		tags, err := r.Tags(ctx)
		if err != nil {
			return err.Error()
		}
		for _, x := range tags {
			out = append(out, x.Name+" "+x.Commit.Full())
		}
		return strings.Join(out, "\n")
	}
	mem := vfs.NewMem()
	must(t, repo.Init(ctx, mem, "/db", repo.InitOptions{Author: signature(), Committer: signature()}))
	rng := rand.New(rand.NewPCG(6, 6))
	var mu sync.Mutex
	var seen []string
	on := false
	look := func(op vfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		if op.Kind == vfs.OpRead || !on || t.Failed() {
			return nil
		}
		r, err := repo.Open(ctx, mem.CrashClone(rng), "/db", repo.Options{Clock: testClock})
		if err != nil {
			t.Errorf("open after a crash: %v", err)
			return nil
		}
		seen = append(seen, refs(r))
		if ps, err := problems(ctx, r); err != nil || len(ps) > 0 {
			t.Errorf("fsck after a crash: %v, %v", ps, err)
		}
		if _, err := r.Thinned(); err != nil {
			t.Errorf("what became of commits after a crash: %v", err)
		}
		if err := r.Close(ctx); err != nil {
			t.Errorf("close after a crash: %v", err)
		}
		return nil
	}
	r := openPlay(t, vfs.WithHook(mem, look))
	setUp := begin(t, r)
	must(t, setUp.CreateTable(ctx, "people", people()))
	must(t, insert(1, "m1", 10)(edit(t, setUp, "people")))
	must(t, setUp.Commit(ctx))
	_, side := forked(t, r, update(1, "m1", 11), update(1, "m1", 12))
	must(t, r.CreateTag(ctx, "v1", history.Tag{Commit: side, Tagger: signature()}, false))
	for i := range int64(4) {
		editOn(t, r, "main", update(1, "m1", 20+i))
		editOn(t, r, "side", update(1, "m1", 30+i))
	}
	before := refs(r)
	mu.Lock()
	on = true
	mu.Unlock()
	_, err := r.ApplyRetention(ctx, rulesOf(t, map[string]string{"main": "tags forever", "side": "tags forever"}))
	must(t, err)
	after := refs(r)
	must(t, r.Checkpoint(ctx))
	must(t, r.Close(ctx))
	mu.Lock()
	defer mu.Unlock()
	for _, s := range seen {
		if s != before && s != after {
			t.Errorf("after a crash:\n%s\nwant\n%s\nor\n%s", s, before, after)
		}
	}
	if before == after || len(seen) < 10 || !slices.Contains(seen, before) || !slices.Contains(seen, after) {
		t.Errorf("%d crashes: the test does not test", len(seen))
	}
}

// TestRetentionMeanwhile commits while the history is thinned: no commit is lost.
func TestRetentionMeanwhile(t *testing.T) {
	ctx := context.Background()
	r, _ := withPeople(t)
	rules := rulesOf(t, map[string]string{"main": "tags forever"})
	const commits = 60
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range commits {
			tx := begin(t, r)
			if err := update(1, fmt.Sprint("mail", i), int64(i))(edit(t, tx, "people")); err != nil {
				t.Error(err)
			}
			if err := tx.Commit(ctx); err != nil {
				t.Error(err)
			}
			if _, err := r.Commit(ctx, repo.CommitOptions{Branch: "main", Message: fmt.Sprint("c", i), Author: signature(), AddNew: true}); err != nil {
				t.Error(err)
			}
		}
	})
	for range 20 {
		if _, err := r.ApplyRetention(ctx, rules); err != nil && !errs.Is(err, errs.Conflict) {
			t.Error(err)
		}
	}
	wg.Wait()
	_, err := r.ApplyRetention(ctx, rules)
	must(t, err)
	wantTold(t, r, fmt.Sprintf("c%d (1): 1:mail%d:%d 2:m2:20 3:m3:30 ", commits-1, commits-1, commits-1))
	c, err := history.GetCommit(ctx, r.Store(), mustHead(t, r, "main"))
	must(t, err)
	if c.Height != 2 {
		t.Errorf("the head has height %d", c.Height)
	}
	wantSound(t, r)
}

// TestRetentionLineage asks who made tables of a history that was thinned.
func TestRetentionLineage(t *testing.T) {
	ctx := context.Background()
	r, fs := newRepo(t)
	l := lines{t, r}
	l.write("A", "main", "t", map[int64]int64{1: 1, 2: 2})
	b := l.write("B", "main", "t", map[int64]int64{1: 1, 2: 3})
	l.write("C", "main", "u", map[int64]int64{1: 1})
	must(t, r.CreateTag(ctx, "v1", history.Tag{Commit: b, Tagger: signature()}, false))
	gone := l.write("D", "main", "w", map[int64]int64{1: 1})
	l.write("E", "main", "u", map[int64]int64{1: 5})
	_, err := r.ApplyRetention(ctx, rulesOf(t, map[string]string{"main": "tags forever"}))
	must(t, err)
	check := func() {
		t.Helper()
		l.made("main", "t", "B history")
		l.made("main", "u", "E history")
		l.made("main", "w", "D hash") // its commit went, and E's has what it changed
		head := mustHead(t, r, "main")
		made, _, err := r.Lineage().Producers(ctx, r.Store(), head, "w")
		must(t, err)
		if len(made) != 1 || !strings.Contains(made[0].Note, gone.Full()+", which was thinned") {
			t.Errorf("w: %+v", made)
		}
		// Who wrote a row is not guessed where several commits became one.
		v, _, ok, err := mustSnapshot(t, r, head).Table(ctx, "u")
		if err != nil || !ok {
			t.Fatal(err)
		}
		rows, ok, err := r.Lineage().RowProducers(ctx, r.Store(), head, "u", v.Schema().Primary.AppendKey(nil, person(1, "", 5)))
		must(t, err)
		if !ok || len(rows) != 1 || rows[0].How != lineage.Unknown || !strings.Contains(rows[0].Note, "thinned") {
			t.Errorf("a row of u: %+v", rows)
		}
	}
	check()
	must(t, r.Close(ctx))
	r = openBare(t, fs)
	l.r = r
	t.Cleanup(func() { r.Close(ctx) })
	_, err = r.Collect(ctx, everything())
	must(t, err)
	wantSound(t, r)
	check()
	// Lineage keeps nothing of what was thinned.
	if _, err := history.GetCommit(ctx, r.Store(), gone); !errs.Is(err, errs.NotFound) {
		t.Errorf("the commit that went: %v", err)
	}
	if _, err := r.Resolve(ctx, gone.Full(), "main"); !errs.Is(err, errs.NotFound) || !strings.Contains(err.Error(), "took it out of the history") {
		t.Errorf("its hash: %v", err)
	}
	now, err := r.Resolve(ctx, "v1", "main")
	must(t, err)
	if _, err := r.Resolve(ctx, b.Full(), "main"); !errs.Is(err, errs.NotFound) || !strings.Contains(err.Error(), "became "+now.Full()) {
		t.Errorf("the hash of one that was made anew: %v", err)
	}
	// Thinned again, what was made anew is still known.
	l.write("F", "main", "t", map[int64]int64{1: 7})
	must(t, r.DeleteTag(ctx, "v1"))
	_, err = r.ApplyRetention(ctx, rulesOf(t, map[string]string{"main": "tags forever"}))
	must(t, err)
	l.made("main", "t", "F history")
	l.made("main", "u", "E hash")
}

func mustSnapshot(t *testing.T, r *repo.Repo, id history.CommitID) *repo.Snapshot {
	t.Helper()
	s, err := r.SnapshotAt(context.Background(), id)
	must(t, err)
	return s
}
