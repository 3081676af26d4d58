package repo

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/root"
	remotesync "github.com/stemmadb/stemma/internal/sync"
)

// refresh adopts what others have changed in the bucket.
func (b *bucket) refresh(ctx context.Context) error {
	b.look.Lock()
	defer b.look.Unlock()
	b.mu.Lock()
	seen := map[string]uint64{}
	for n, x := range b.refs {
		seen[n] = x.seq
	}
	b.mu.Unlock()
	refs, told, err := b.keep.Look(ctx)
	if err != nil {
		return err
	}
	if len(refs) == 0 {
		return errs.New(errs.NotFound, "there is no database at %s any more", b.keep.Remote.URL())
	}
	names := map[string]bool{}
	for _, s := range []*state{b.r.published.Load()} {
		for _, n := range s.branches.Keys() {
			names[remotesync.Heads+n] = true
		}
		for _, n := range s.tags.Keys() {
			names[remotesync.Tags+n] = true
		}
		for _, n := range s.stashes.Keys() {
			names[remotesync.Stashes+n] = true
		}
	}
	for n := range refs {
		if strings.HasPrefix(n, remotesync.Heads) || strings.HasPrefix(n, remotesync.Tags) || strings.HasPrefix(n, remotesync.Stashes) {
			names[n] = true
		}
	}
	var changed []string
	b.mu.Lock()
	for _, n := range slices.Sorted(maps.Keys(names)) {
		x := b.ref(n)
		if x.busy || x.seq != seen[n] {
			continue // whoever changes it finds out
		}
		now := refs[n]
		if now.Name == "" {
			now.Name = n
		}
		if x.seq > 0 && now.Target == x.ref.Target && now.Work == x.ref.Work && now.Open == x.ref.Open && slices.Equal(now.Wrote, x.ref.Wrote) {
			if !now.IsZero() { // else it says less of the object than what is known
				x.ref = now
			}
			continue
		}
		x.busy = true
		changed = append(changed, n)
	}
	b.mu.Unlock()
	if len(changed) > 0 {
		if err := b.adoptThese(ctx, changed, refs, func(*pending) error { return errOvertaken }); err != nil {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.end(changed...)
			return err
		}
	}
	return b.adoptRuns(ctx, refs[remotesync.Lineage], told)
}

// adopt makes refs what they are in the bucket, which they are no more here. Who waits for a change of them is told why. Nobody has them any more
// then, unless it fails.
func (b *bucket) adopt(ctx context.Context, names []string, why func(*pending) error) error {
	refs := map[string]remotesync.Ref{}
	for _, n := range names {
		x, err := b.keep.Read(ctx, n)
		if err != nil {
			return err
		}
		refs[n] = x
	}
	return b.adoptThese(ctx, names, refs, why)
}

// lack notes in which lists of packs the chunks are that these refs of the bucket reach, which are being adopted, and the others as they are known
// or are being adopted by others meanwhile.
func (b *bucket) lack(names []string, refs map[string]remotesync.Ref) error {
	b.lacking.Lock()
	defer b.lacking.Unlock()
	lists := map[hash.Hash]bool{}
	b.mu.Lock()
	for _, n := range names {
		b.coming[n] = refs[n].List
		lists[refs[n].Runs.List] = true
	}
	for _, h := range b.coming {
		lists[h] = true
	}
	for n, x := range b.refs {
		if !slices.Contains(names, n) {
			lists[x.ref.List] = true
		}
		lists[x.ref.Runs.List] = true
	}
	for _, t := range b.runs.told {
		lists[t.List] = true
	}
	b.mu.Unlock()
	delete(lists, hash.Hash{})
	next := *b.r.Partial()
	next.Lists = slices.SortedFunc(maps.Keys(lists), func(x, y hash.Hash) int { return slices.Compare(x[:], y[:]) })
	if slices.Equal(next.Lists, b.r.Partial().Lists) {
		return nil
	}
	if err := next.Write(b.r.fs, b.r.dir); err != nil {
		return err
	}
	b.r.usePart(&next)
	return nil
}

// adopted is a branch as it is in the bucket; is is nil when it is not there.
type adopted struct {
	ref     remotesync.Ref
	is      *branch
	changed map[string]bool // tables, compared with what is published
}

func (b *bucket) adoptThese(ctx context.Context, names []string, refs map[string]remotesync.Ref, why func(*pending) error) error {
	r := b.r
	err := b.lack(names, refs)
	if err != nil {
		return err
	}
	pub := r.published.Load()
	batch := r.store.NewBatch()
	defer batch.Close()
	all := map[string]*adopted{}
	ch := &change{}
	for _, n := range names {
		ref := refs[n]
		ref.Name = n
		all[n] = &adopted{ref: ref}
		if list, ok := strings.CutPrefix(n, remotesync.Stashes); ok {
			x := stashChange{name: list}
			if x.stashes, err = stashesOf(ctx, batch, ref.Commit); err != nil {
				return err
			}
			ch.stashes = append(ch.stashes, x)
			continue
		}
		name, isBranch := strings.CutPrefix(n, remotesync.Heads)
		if !isBranch {
			ch.tags = append(ch.tags, tagChange{name: strings.TrimPrefix(n, remotesync.Tags), object: ref.Tag, commit: ref.Commit})
			continue
		}
		old, there := pub.branches.Get(name)
		if ref.IsZero() {
			if there {
				ch.refs = append(ch.refs, refChange{name: name})
			}
			continue
		}
		if !there {
			old = &branch{name: name}
		}
		if all[n].is, all[n].changed, err = b.branch(ctx, old, ref); err != nil {
			return err
		}
		one := all[n].is.change()
		ch.work = append(ch.work, one.work...)
		ch.refs = append(ch.refs, one.refs...)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	pub = r.published.Load()
	moved := &change{tags: ch.tags}
	for _, x := range ch.refs {
		if old, ok := pub.branches.Get(x.name); !ok || old.head != x.head {
			moved.refs = append(moved.refs, x)
		}
	}
	ch.log = moved.moves(r.opt.Clock.Now())
	for _, n := range names {
		for _, w := range refs[n].Wrote {
			if text, ok := pub.writes.find(w.ID); !ok || text != w.Result {
				ch.writes = append(ch.writes, Write(w))
			}
		}
	}
	head := pub.head
	if gone := all[remotesync.Heads+head]; head == "" || gone != nil && gone.is == nil {
		left := pub.branches.Copy()
		for n, x := range all {
			if name, ok := strings.CutPrefix(n, remotesync.Heads); ok && x.is == nil {
				left.Delete(name)
			} else if ok {
				left.Set(name, x.is)
			}
		}
		if keys := left.Keys(); len(keys) > 0 {
			head = keys[0]
			if _, ok := left.Get(DefaultBranch); ok {
				head = DefaultBranch
			}
			ch.head = head
		}
	}
	lsn, err := r.store.Append(ctx, batch, pack.Record{Type: recordChange, Payload: ch.encode()})
	if err != nil {
		return err
	}
	next := pub.copy(lsn)
	for _, x := range ch.stashes {
		next.setStashes(x)
	}
	next.head = head
	next.log = next.log.with(ch.log...)
	next.writes = next.writes.with(ch.writes)
	for n, x := range all {
		k := b.ref(n)
		k.ref, k.seq = x.ref, k.seq+1
		if tag, ok := strings.CutPrefix(n, remotesync.Tags); ok {
			next.setTag(tag, x.ref.Tag)
			continue
		}
		if strings.HasPrefix(n, remotesync.Stashes) {
			continue
		}
		name := strings.TrimPrefix(n, remotesync.Heads)
		if x.is == nil {
			next.branches.Delete(name)
			continue
		}
		if x.is.lsn = lsn; x.is.born == 0 {
			x.is.born = lsn
		}
		for l := range x.changed {
			x.is.tables.set(l, workTable{version: lsn, since: lsn})
			r.auto.mu.Lock()
			delete(r.auto.next, l)
			r.auto.mu.Unlock()
		}
		next.branches.Set(name, x.is)
	}
	b.undo(names, next, r.tip.Load().copy(lsn), why)
	b.end(names...)
	return nil
}

// branch is a branch as its ref in the bucket says, after old, and the tables that differ.
func (b *bucket) branch(ctx context.Context, old *branch, ref remotesync.Ref) (*branch, map[string]bool, error) {
	r := b.r
	c, err := history.GetCommit(ctx, r.store, ref.Commit)
	if err != nil {
		return nil, nil, err
	}
	is := old.copy(0)
	is.head, is.working, is.staged, is.merge, is.rebase = ref.Commit, c.Root, c.Root, ref.Open.Merge, ref.Open.Rebase
	if !ref.Work.IsZero() {
		working, staged, err := workOf(ctx, r.store, ref.Work, ref.Commit)
		if err == nil && working == nil {
			err = errs.New(errs.Corrupt, "the uncommitted changes of branch '%s' at %s are not after its commit", old.name, b.keep.Remote.URL())
		}
		if err != nil {
			return nil, nil, err
		}
		is.working, is.staged = working.Root, staged.Root
	}
	batch := r.store.NewBatch()
	defer batch.Close()
	changed, err := r.changedTables(ctx, batch, old.working, is.working)
	if errs.Is(err, errs.NotFound) || errs.Is(err, errs.Corrupt) { // what is here is of a history that is not in the bucket any more
		changed = map[string]bool{}
		es, err := root.Open(batch, is.working).List(ctx, root.KindTable)
		if err != nil {
			return nil, nil, err
		}
		for _, e := range es {
			changed[strings.ToLower(e.Name)] = true
		}
		for _, t := range old.tables {
			changed[t.name] = true
		}
	} else if err != nil {
		return nil, nil, err
	}
	for _, t := range old.tables {
		if t.over.Len() > 0 { // of a database that was closed in the middle
			changed[t.name] = true
		}
	}
	for i := range is.tables {
		is.tables[i].over = nil
	}
	return is, changed, nil
}
