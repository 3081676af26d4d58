package repo_test

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
)

// ancestors are the messages of the commits that one reaches, itself included.
func (w *world) ancestors(message string) map[string]bool {
	out := map[string]bool{}
	todo := []string{message}
	for len(todo) > 0 {
		m := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if !out[m] {
			out[m] = true
			todo = append(todo, w.parents[m]...)
		}
	}
	return out
}

// base is the common ancestor behind which there is no other; ok is false when there are several such.
func (w *world) base(a, b string) (base string, ok bool) {
	of, and := w.ancestors(a), w.ancestors(b)
	var best []string
	for m := range of {
		if !and[m] {
			continue
		}
		behind := func(o string) bool { return o != m && and[o] && w.ancestors(o)[m] }
		if !slices.ContainsFunc(slices.Collect(maps.Keys(of)), behind) {
			best = append(best, m)
		}
	}
	if len(best) != 1 {
		return "", false
	}
	return best[0], true
}

// mergeTables takes each table from the side that changed it; ok is false when both changed one differently, which takes rows to settle,
// or when a side may have renamed one.
func mergeTables(base, ours, theirs content) (out content, ok bool) {
	if moved(base, ours) || moved(base, theirs) {
		return nil, false
	}
	out = maps.Clone(ours)
	for _, t := range tableNames {
		switch b, o, th := text(base, t), text(ours, t), text(theirs, t); {
		case o == th, b == th:
		case b != o:
			return nil, false
		case theirs[t] == nil:
			delete(out, t)
		default:
			out[t] = theirs[t]
		}
	}
	return out, true
}

// moved tells whether a table can be taken as renamed.
func moved(before, after content) bool {
	from, _ := renamed(before, after)
	return from != ""
}

// fitting is the commits whose changes apply to a commit and change it.
func (w *world) fitting(to string) []string {
	var out []string
	for _, m := range slices.Sorted(maps.Keys(w.commits)) {
		if len(w.parents[m]) != 1 {
			continue
		}
		result, ok := mergeTables(w.commits[w.parents[m][0]], w.commits[to], w.commits[m])
		if ok && result.String() != w.commits[to].String() {
			out = append(out, m)
		}
	}
	return out
}

// merge merges a commit into a branch, picks it or takes it back; ok is false when there is nothing that merges by tables.
func (p *play) merge(w *world, name string, kind history.MergeKind) (a action, ok bool) {
	b := w.branches[name]
	head := w.commits[b.head]
	theirs := p.someCommit()
	if p.rng.IntN(3) > 0 { // what has the best prospects
		switch kind {
		case history.CherryPick:
			if fit := w.fitting(b.head); len(fit) > 0 {
				theirs = p.pick(fit)
			}
		case history.Revert:
			theirs = b.head
		}
	}
	p.made++
	opt := repo.MergeOptions{
		Branch: name, Kind: kind, Source: theirs,
		NoFF: p.rng.IntN(2) == 0, Message: fmt.Sprintf("commit %d", p.made), Author: signature(), Committer: signature(),
	}
	from, to := content(nil), w.commits[theirs]
	parents, forward := []string{b.head}, false
	if opt.Kind == history.MergeBranch {
		base, one := w.base(b.head, theirs)
		if !one {
			return a, false
		}
		from = w.commits[base]
		parents = append(parents, theirs)
		forward = base == b.head && !opt.NoFF
		if base == theirs {
			to, forward = nil, true
		}
	} else {
		if len(w.parents[theirs]) != 1 {
			return a, false
		}
		from = w.commits[w.parents[theirs][0]]
		if opt.Kind == history.Revert {
			from, to = to, from
		}
	}
	a = action{fmt.Sprintf("%s of %s into %s, no ff %v", opt.Kind, theirs, name, opt.NoFF), w, nil, func(ctx context.Context, r *repo.Repo) error {
		id, err := commitOf(ctx, r, theirs)
		if err != nil {
			return err
		}
		opt := opt
		opt.Theirs = id
		_, err = r.Merge(ctx, opt)
		return err
	}}
	if to == nil { // up to date
		a.next = p.w
		return a, true
	}
	result, clean := mergeTables(from, head, to)
	if !clean {
		return a, false
	}
	if b.staged.String() != head.String() {
		a.next, a.errs = p.w, []errs.Code{errs.Conflict}
		return a, true
	}
	working := maps.Clone(b.working)
	for _, t := range tableNames {
		if text(result, t) == text(head, t) {
			continue
		}
		if text(b.working, t) != text(head, t) {
			a.next, a.errs = p.w, []errs.Code{errs.Conflict}
			return a, true
		}
		delete(working, t)
		if result[t] != nil {
			working[t] = result[t]
		}
		b = b.changed(w, t)
	}
	if opt.Kind != history.MergeBranch && result.String() == head.String() {
		a.next, a.errs = p.w, []errs.Code{errs.NothingToDo}
		return a, true
	}
	b.working, b.staged, b.head = working, result, opt.Message
	if forward {
		b.head = theirs
	} else {
		w.commits[opt.Message] = result
		w.parents[opt.Message] = parents
	}
	w.branches[name] = b
	return a, true
}
