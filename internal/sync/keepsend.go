package sync

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/pack"
)

// sendAll is send, again where a collection of garbage removes what was counted on. That may be because others have changed the refs, which is an
// error of class Conflict.
func (k *Keeper) sendAll(ctx context.Context, swaps []Swap) (list, runs hash.Hash, packs []Pack, err error) {
	avoid := map[string]bool{}
	for range sendTries {
		list, runs, packs, err = k.send(ctx, swaps, avoid)
		gone := removedOf(err)
		if len(gone) == 0 && !isLost(err) {
			break
		}
		for _, n := range gone {
			avoid[n] = true
		}
		if err := k.again(ctx, swaps); err != nil {
			return list, runs, nil, err
		}
	}
	return list, runs, packs, err
}

// again reads all refs anew, and forgets what their lists were. A ref to be changed that is not what it was is an error of class Conflict.
func (k *Keeper) again(ctx context.Context, swaps []Swap) error {
	refs, _, err := k.Look(ctx)
	if err != nil {
		return err
	}
	k.mu.Lock()
	clear(k.lists)
	k.mu.Unlock()
	for _, s := range swaps {
		if x := refs[s.From.Name]; x.Target != s.From.Target || x.Work != s.From.Work || x.Open != s.From.Open {
			return errMoved(s.From.Name)
		}
	}
	return nil
}

// send makes sure that the remote has everything that the refs are to reach, and a list that says where, and a list of where that is which they tell
// of runs, without objects to be avoided.
func (k *Keeper) send(ctx context.Context, swaps []Swap, avoid map[string]bool) (list, runs hash.Hash, packs []Pack, err error) {
	counted := k.Remote.pledge(nil)
	k.mu.Lock()
	if !k.seen.IsZero() {
		counted.begun = k.seen // the lists of refs are known from then on
	}
	k.mu.Unlock()
	var targets []Target
	var want []history.CommitID
	var chunks []hash.Hash
	seen := map[hash.Hash]bool{}
	add := func(h hash.Hash) error {
		if !seen[h] {
			seen[h] = true
			chunks = append(chunks, h)
		}
		return nil
	}
	stays, tells := false, false
	for _, s := range swaps {
		if s.tells() {
			tells = true
			c, err := history.GetCommit(ctx, k.Store, s.Runs.Commit)
			if err == nil {
				err = Missing(ctx, k.Store, Between{Commits: []*history.Commit{c}}, add, func() {})
			}
			if err != nil {
				return list, runs, nil, err
			}
			want = append(want, c.ID)
		}
		if s.To.IsZero() {
			continue
		}
		stays = true
		want = append(want, s.To.Commit)
		b, from, err := k.between(ctx, s)
		if err != nil {
			return list, runs, nil, err
		}
		targets = append(targets, from...)
		if err := Missing(ctx, k.Store, b, add, func() {}); err != nil {
			return list, runs, nil, err
		}
		if err := k.missingOpen(ctx, s, add); err != nil {
			return list, runs, nil, err
		}
		if !s.To.Tag.IsZero() {
			if err := add(s.To.Tag); err != nil {
				return list, runs, nil, err
			}
		}
	}
	if !stays && !tells {
		return list, runs, nil, nil
	}
	if packs, err = k.packsOf(ctx, targets); err != nil {
		return list, runs, nil, err
	}
	p := &Push{Remote: k.Remote, Store: k.Store, FS: k.FS, Temp: k.Temp}
	sent, err := p.packs(ctx, chunks, want, counted, avoid)
	if err != nil {
		return list, runs, nil, err
	}
	if tells { // all of it is new, and so in what was sent
		if runs, err = k.Remote.putList(ctx, sent, avoid, false); err == nil {
			err = counted.claim(ctx, sent, listsDir+runs.Full())
		}
		if err != nil || !stays {
			return list, runs, nil, err
		}
	}
	if len(sent) == 1 && sent[0].Size <= smallPack {
		k.mu.Lock()
		if k.sent == nil {
			k.sent = map[hash.Hash][]hash.Hash{}
		}
		k.sent[sent[0].Digest] = chunks
		k.mu.Unlock()
	}
	for _, x := range sent {
		if !slices.ContainsFunc(packs, func(o Pack) bool { return o.Digest == x.Digest }) {
			packs = append(packs, x)
		}
	}
	if packs, err = k.join(ctx, packs, func(chunks []hash.Hash) ([]Pack, error) { return p.packs(ctx, chunks, want, counted, avoid) }); err != nil {
		return list, runs, nil, err
	}
	if list, err = k.Remote.putList(ctx, packs, avoid, false); err != nil {
		return list, runs, nil, err
	}
	return list, runs, packs, counted.claim(ctx, packs, listsDir+list.Full())
}

// opened is what is in progress, read.
type opened struct {
	merge  *history.Merge // nil for none
	rebase *history.Rebase
}

func (k *Keeper) opened(ctx context.Context, o Unfinished) (x opened, err error) {
	if !o.Merge.IsZero() {
		if x.merge, err = history.GetMerge(ctx, k.Store, o.Merge); err != nil {
			return x, err
		}
	}
	if !o.Rebase.IsZero() {
		x.rebase, err = history.GetRebase(ctx, k.Store, o.Rebase)
	}
	return x, err
}

// commits are those that it names.
func (x opened) commits() (out []history.CommitID) {
	if x.merge != nil {
		out = append(out, x.merge.Head, x.merge.Theirs)
	}
	if x.rebase != nil {
		out = append(out, x.rebase.Head, x.rebase.Onto)
	}
	return out
}

// missingOpen calls visit for the chunks that what is in progress brings beside commits: see Missing.
func (k *Keeper) missingOpen(ctx context.Context, s Swap, visit func(h hash.Hash) error) error {
	if s.Open == s.From.Open { // of which the list has packs already
		return nil
	}
	now, err := k.opened(ctx, s.Open)
	if err != nil {
		return err
	}
	was, err := k.opened(ctx, s.From.Open)
	if err != nil {
		return err
	}
	w := &walker{r: k.Store, seen: map[hash.Hash]struct{}{}, visit: visit}
	if now.merge != nil && s.Open.Merge != s.From.Open.Merge {
		if err := w.merge(ctx, s.Open.Merge, now.merge, was.merge); err != nil {
			return err
		}
	}
	if now.rebase != nil && s.Open.Rebase != s.From.Open.Rebase {
		return w.rebase(ctx, s.Open.Rebase, now.rebase)
	}
	return nil
}

// between is what a swap brings, with the commit of the uncommitted changes that were there before as one more parent of what is new, and the other
// side of a merge in progress as one of the uncommitted changes, since most of that is in them; and targets whose lists hold all else.
func (k *Keeper) between(ctx context.Context, s Swap) (b Between, from []Target, err error) {
	var want []history.CommitID
	now, err := k.opened(ctx, s.Open)
	if err != nil {
		return b, nil, err
	}
	was, err := k.opened(ctx, s.From.Open)
	if err != nil {
		return b, nil, err
	}
	for _, id := range []history.CommitID{s.To.Commit, s.Work} {
		if !id.IsZero() {
			want = append(want, id)
		}
	}
	want = append(want, now.commits()...)
	near := map[history.CommitID]bool{}
	for _, id := range was.commits() {
		near[id] = true
	}
	if !s.From.IsZero() {
		near[s.From.Commit] = true
	}
	if !s.From.Work.IsZero() {
		c, err := history.GetCommit(ctx, k.Store, s.From.Work)
		if err != nil {
			return b, nil, err
		}
		near[s.From.Work] = true
		for _, p := range c.Parents { // with the staged set
			near[p] = true
		}
	}
	ok, err := k.near(ctx, want, near)
	if err != nil {
		return b, nil, err
	}
	if ok {
		from = []Target{s.From.Target}
		b, err = Commits(ctx, k.Store, want, slices.Collect(maps.Keys(near)))
	} else {
		b, from, err = k.far(ctx, s, want)
	}
	if err != nil {
		return b, from, err
	}
	work := map[history.CommitID]bool{}
	for _, c := range b.Commits {
		if c.ID == s.Work {
			work[c.ID] = true
			for _, p := range c.Parents { // with the staged set
				work[p] = true
			}
		}
	}
	for i, c := range b.Commits {
		with := *c
		with.Parents = slices.Clone(c.Parents)
		if !s.From.Work.IsZero() {
			with.Parents = append(with.Parents, s.From.Work)
		}
		if now.merge != nil && work[c.ID] { // the others may be before it
			with.Parents = append(with.Parents, now.merge.Theirs)
		}
		b.Commits[i] = &with
	}
	if !s.From.Work.IsZero() || !s.From.Open.IsZero() {
		from = append(from, s.From.Target)
	}
	return b, from, nil
}

// near tells whether a short walk from want ends at those commits.
func (k *Keeper) near(ctx context.Context, want []history.CommitID, at map[history.CommitID]bool) (bool, error) {
	todo := slices.Clone(want)
	for n := 0; len(todo) > 0; n++ {
		id := todo[0]
		todo = todo[1:]
		if at[id] {
			continue
		}
		if n >= nearWalk {
			return false, nil
		}
		c, err := history.GetCommit(ctx, k.Store, id)
		if err != nil || len(c.Parents) == 0 {
			return false, err
		}
		todo = append(todo, c.Parents...)
	}
	return len(at) > 0, nil
}

// far is between by what all refs of the remote have.
func (k *Keeper) far(ctx context.Context, s Swap, want []history.CommitID) (b Between, from []Target, err error) {
	k.mu.Lock()
	refs := maps.Clone(k.refs)
	k.mu.Unlock()
	var have []Ref
	var cut []history.CommitID
	if s.From.Name == Lineage { // which no branch reaches
		refs = map[string]Ref{}
		if !s.From.IsZero() {
			have, cut = []Ref{s.From}, []history.CommitID{s.From.Commit}
		}
	}
	for _, n := range names(refs) {
		if x := refs[n]; n != Lineage && !strings.HasPrefix(n, Work) && !strings.HasPrefix(n, Stashes) || n == s.From.Name {
			if ok, err := k.Store.Has(ctx, x.Commit); err != nil {
				return b, nil, err
			} else if !ok { // another machine has just put it there
				continue
			}
			have = append(have, x)
			cut = append(cut, x.Commit)
		}
	}
	if b, err = Commits(ctx, k.Store, want, cut); err != nil {
		return b, nil, err
	}
	p := &Push{Remote: k.Remote, Store: k.Store}
	if from, err = p.cover(ctx, b.Edge, have); err != nil {
		return b, nil, err
	}
	return b, from, nil
}

// packsOf is the packs of the lists of targets.
func (k *Keeper) packsOf(ctx context.Context, targets []Target) ([]Pack, error) {
	var out []Pack
	in := map[hash.Hash]bool{}
	for _, t := range targets {
		if t.List.IsZero() {
			continue
		}
		k.mu.Lock()
		packs, ok := k.lists[t.List]
		k.mu.Unlock()
		if !ok {
			var err error
			if packs, err = k.Remote.Packs(ctx, t); err != nil {
				return nil, err
			}
			k.mu.Lock()
			if k.lists == nil {
				k.lists = map[hash.Hash][]Pack{}
			}
			k.lists[t.List] = packs
			k.mu.Unlock()
		}
		for _, p := range packs {
			if !in[p.Digest] {
				in[p.Digest] = true
				out = append(out, p)
			}
		}
	}
	return out, nil
}

// join puts the chunks of small packs, where there are many, into others, so that lists stay short.
func (k *Keeper) join(ctx context.Context, packs []Pack, send func(chunks []hash.Hash) ([]Pack, error)) ([]Pack, error) {
	var small []Pack
	for _, x := range packs {
		if x.Size <= smallPack {
			small = append(small, x)
		}
	}
	if len(small) < smallPacks {
		return packs, nil
	}
	inside := make([][]hash.Hash, len(small))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i, x := range small {
		k.mu.Lock()
		inside[i] = k.sent[x.Digest]
		k.mu.Unlock()
		if inside[i] != nil {
			continue
		}
		g.Go(func() (err error) {
			inside[i], err = k.chunksIn(gctx, x)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var chunks []hash.Hash
	seen := map[hash.Hash]bool{}
	for _, list := range inside {
		for _, h := range list {
			if !seen[h] {
				seen[h] = true
				chunks = append(chunks, h)
			}
		}
	}
	joined, err := send(chunks)
	if err != nil {
		return nil, err
	}
	out := slices.DeleteFunc(slices.Clone(packs), func(x Pack) bool { return x.Size <= smallPack })
	for _, x := range joined {
		if !slices.ContainsFunc(out, func(o Pack) bool { return o.Digest == x.Digest }) {
			out = append(out, x)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	clear(k.sent)
	if len(joined) == 1 && joined[0].Size <= smallPack {
		k.sent[joined[0].Digest] = chunks
	}
	return out, nil
}

// chunksIn is the hashes of the chunks of a small pack.
func (k *Keeper) chunksIn(ctx context.Context, p Pack) ([]hash.Hash, error) {
	data := make([]byte, p.Size)
	if err := k.Remote.readPack(ctx, p, data, 0); err != nil {
		return nil, err
	}
	dir, err := k.Remote.directory(p, func(n int64) ([]byte, error) { return data[p.Size-n:], nil })
	if err != nil {
		return nil, err
	}
	out := []hash.Hash{}
	err = dir.Records(byOffset(dir.Lacking(&pack.Known{})), data, 0, func(at pack.Span, rec []byte) error {
		h, err := pack.RecordHash(rec)
		if err != nil {
			return errors.Join(errs.New(errs.Corrupt, "pack %s at byte %d", p.Digest.Full(), at.Off), err)
		}
		out = append(out, h)
		return nil
	})
	return out, err
}
