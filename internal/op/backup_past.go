package op

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/sync"
)

// past is what a backup knows of a time: what its refs were at the last sync before, and what they were at the first one after it, or are. Between the two
// it is the times of commits that tell what a branch was.
type past struct {
	at    time.Time
	last  *sync.Snapshot      // of the last sync that was not after it; nil where none is remembered
	next  map[string]sync.Ref // the refs after it
	after time.Time           // of the sync that next is of; zero: they are so now
	more  bool                // there is more than last has: what commits say that were made since
	// damaged tells that a sync after the time, or what the refs are now, was passed by, since something of it is lost or damaged.
	damaged bool
}

// pastOf is what the backup, whose refs are now, knows of a time.
func pastOf(ctx context.Context, r *sync.Remote, now map[string]sync.Ref, at time.Time) (*past, error) {
	p := &past{at: at, next: now}
	list, err := snapshotsOf(ctx, r)
	if err != nil {
		return nil, err
	}
	n, _ := slices.BinarySearchFunc(list, at, func(x sync.SnapshotInfo, at time.Time) int {
		if x.Time.After(at) {
			return 1
		}
		return -1
	})
	if n > 0 {
		if p.last, err = r.Snapshot(ctx, list[n-1]); err != nil {
			return nil, err
		}
	}
	// What came later only tells more of the time: where it is damaged the restore does without it.
	for _, info := range list[n:] {
		x, err := r.Snapshot(ctx, info)
		if err == nil {
			err = r.Look(ctx, []*sync.Snapshot{x})
		}
		if err == nil && x.Broken == nil {
			p.next, p.after = x.Refs, x.Time
			return p, nil
		}
		if err != nil && !errs.Is(err, errs.Corrupt) {
			return nil, err
		}
		p.damaged = true
	}
	if p.last == nil {
		return p, nil
	}
	is := &sync.Snapshot{Refs: now}
	if err := r.Look(ctx, []*sync.Snapshot{is}); err != nil {
		return nil, err
	}
	if is.Broken != nil {
		p.next, p.after, p.damaged = p.last.Refs, p.last.Time, true
	}
	return p, nil
}

// refs are those of either sync, with what the earlier one says of those that are in both, and the lineage, which is one for all times.
func (p *past) refs(now map[string]sync.Ref) map[string]sync.Ref {
	out := maps.Clone(p.next)
	if p.last != nil {
		maps.Copy(out, p.last.Refs)
	}
	delete(out, sync.Lineage)
	if x, ok := now[sync.Lineage]; ok {
		out[sync.Lineage] = x
	}
	return out
}

// needs are further refs that are to be fetched, so that the times of commits are known.
func (p *past) needs() []sync.Ref {
	var out []sync.Ref
	for _, n := range slices.Sorted(maps.Keys(p.next)) {
		if strings.HasPrefix(n, sync.Heads) || strings.HasPrefix(n, sync.Tags) {
			out = append(out, p.next[n])
		}
	}
	if p.last != nil {
		for _, n := range slices.Sorted(maps.Keys(p.last.Refs)) {
			out = append(out, p.last.Refs[n])
		}
	}
	return out
}

// was is what the last sync before says of a ref.
func (p *past) was(name string) (sync.Ref, bool) {
	if p.last == nil {
		return sync.Ref{}, false
	}
	x, ok := p.last.Refs[name]
	return x, ok
}

// words say which state that is.
func (p *past) words() []string {
	switch {
	case p.last == nil:
		return nil
	case p.more:
		return []string{"as of the sync of " + p.last.Time.Format(sync.SyncTime) + ", with what was committed from then to " + p.at.UTC().Format("2006-01-02 15:04:05")}
	}
	return []string{"as of the sync of " + p.last.Time.Format(sync.SyncTime)}
}

// hints say what is not known of the time.
func (p *past) hints() []string {
	if p.last != nil {
		if p.damaged {
			return []string{"warning: something that came after the sync of " + p.last.Time.Format(sync.SyncTime) + " is lost or damaged at the backup, so it is not known all that was committed from then to the time; 'backup verify' says what it is"}
		}
		return nil
	}
	until := "now"
	if !p.after.IsZero() {
		until = "the first sync that the backup remembers, of " + p.after.Format(sync.SyncTime)
	}
	return []string{"the backup remembers no sync of that time or before, so branches are what their histories say: what was removed or moved back between then and " + until + " is not known"}
}

// distinct are the refs without those whose targets others have.
func distinct(refs []sync.Ref) []sync.Ref {
	seen := map[sync.Target]bool{}
	return slices.DeleteFunc(refs, func(x sync.Ref) bool {
		was := seen[x.Target]
		seen[x.Target] = true
		return was
	})
}

// back makes what a clone has of a backup what it was at its time.
func (c *Clone) back(ctx context.Context, out *repo.Cloned) error {
	p := c.past
	heads, err := c.pastHeads(ctx, out)
	if err != nil {
		return err
	}
	if len(heads) == 0 {
		return errs.New(errs.NotFound, "the backup has no commit at or before %s", p.at.UTC().Format("2006-01-02 15:04:05"))
	}
	out.Branches = nil
	for _, b := range slices.Sorted(maps.Keys(heads)) {
		out.Branches = append(out.Branches, repo.Branch{Name: b, Head: heads[b]})
		work, _ := p.was(sync.Work + b)
		head, _ := p.was(sync.Heads + b)
		if head.Commit != heads[b] {
			work = sync.Ref{}
		}
		if !work.IsZero() {
			out.Work[b] = work.Commit
		}
		was, _ := p.was(sync.Work + b)
		if was.Commit != work.Commit || p.next[sync.Work+b].Commit != work.Commit && !p.next[sync.Work+b].IsZero() {
			c.without = append(c.without, b)
		}
	}
	if _, ok := heads[out.Head]; !ok {
		out.Head = out.Branches[0].Name
	}
	if p.last == nil {
		return nil
	}
	for name, x := range p.last.Refs { // of a branch that others had removed
		if b, ok := strings.CutPrefix(name, sync.Work); ok && heads[b].IsZero() {
			out.Work[b] = x.Commit
		}
	}
	var tags []repo.LandedTag
	for _, t := range out.Tags {
		if _, ok := p.was(sync.Tags + t.Name); !ok {
			tag, err := history.GetTag(ctx, out.Batch, t.Object)
			if err != nil {
				return err
			}
			if tag.Tagger.Time.After(p.at) {
				continue
			}
			p.more = true
		}
		tags = append(tags, t)
	}
	out.Tags = tags
	return nil
}

// pastHeads are the branches at the time: those of the last sync before, as far forward as commits say that were made until then and came with the next one,
// and new ones that have such commits. A branch that was moved back or rewritten in between is what it was at the sync before: when that happened is not known.
func (c *Clone) pastHeads(ctx context.Context, out *repo.Cloned) (map[string]history.CommitID, error) {
	heads := map[string]history.CommitID{}
	if c.past.last != nil {
		for name, x := range c.past.last.Refs {
			if b, ok := strings.CutPrefix(name, sync.Heads); ok {
				heads[b] = x.Commit
			}
		}
	}
	synced := slices.Collect(maps.Values(heads))
	for name, x := range c.past.next {
		b, ok := strings.CutPrefix(name, sync.Heads)
		was, known := c.past.was(name)
		if !ok || known && was.Commit == x.Commit {
			continue
		}
		id := x.Commit
		for !id.IsZero() {
			cm, err := history.GetCommit(ctx, out.Batch, id)
			if err != nil {
				return nil, err
			}
			if !cm.Committer.Time.After(c.at) {
				break
			}
			if id = (history.CommitID{}); len(cm.Parents) > 0 {
				id = cm.Parents[0]
			}
		}
		if id.IsZero() {
			continue
		}
		takes := true
		if known {
			var err error
			if takes, err = history.IsAncestor(ctx, out.Batch, was.Commit, id); err != nil {
				return nil, err
			}
		} else {
			for _, h := range synced { // what other branches had then says nothing of when this one was made
				in, err := history.IsAncestor(ctx, out.Batch, id, h)
				if err != nil {
					return nil, err
				}
				takes = takes && !in
			}
		}
		if takes && id != was.Commit {
			heads[b], c.past.more = id, true
		}
	}
	return heads, nil
}
