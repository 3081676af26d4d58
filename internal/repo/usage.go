package repo

import (
	"context"
	"errors"
	"io/fs"

	"github.com/stemmadb/stemma/internal/gc"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/tree"
)

// Share is what something takes in the files of a database, in bytes. What is reached from several places counts for each of them.
type Share struct {
	Name  string
	Bytes int64
	Own   int64 // of them, what no other Share of the list reaches
	Raw   int64 // what they would be without compression
}

// Usage says where the bytes of a database are.
type Usage struct {
	Tables   []Share // of a branch's working set, without edits that are not folded
	Branches []Share // with their working sets and all commits that they reach
	Current  int64   // what working sets reach
	History  int64   // what branches and tags reach beside that
	Kept     int64   // what only stashes, branches of remotes, merges and rebases in progress, the reflog and lineage keep
	Garbage  int64   // chunks that nothing reaches
	Other    int64   // records of the journal, and what files need beside their chunks
	Total    int64   // all packs and the journal

	CurrentRaw, HistoryRaw, KeptRaw, GarbageRaw int64 // what those of the same names would be without compression
}

// usageTries is how often files are counted anew when some have been replaced meanwhile.
const usageTries = 5

// Usage counts the bytes of a database and, apart, of the tables of a branch. step, if not nil, is told of chunks that were counted. It takes
// as long as finding garbage does, and a part of that for each branch.
func (r *Repo) Usage(ctx context.Context, branchName string, step func(chunks int)) (*Usage, error) {
	for try := 1; ; try++ {
		out, err := r.usage(ctx, branchName, step)
		if err == nil || !errors.Is(err, fs.ErrClosed) || try == usageTries {
			return out, err
		}
	}
}

func (r *Repo) usage(ctx context.Context, branchName string, step func(chunks int)) (*Usage, error) {
	var hold Hold
	s := r.hold(&hold) // before the chunks are counted, so that all that it reaches is among them
	defer hold.Release()
	return (&usage{r: r, s: s, c: r.store.Census(), step: step}).count(ctx, branchName)
}

// usage is one count.
type usage struct {
	r    *Repo
	s    *state
	c    *pack.Census
	step func(chunks int)
}

// reach is the chunks that something reaches.
type reach struct {
	c   *pack.Census
	set []bool
	at  []int // the numbers that are set
}

func (u *usage) reach() *reach { return &reach{c: u.c, set: make([]bool, u.c.Len())} }

// Mark implements gc.Marks.
func (x *reach) Mark(h hash.Hash) (bool, error) {
	i, err := x.c.Find(h)
	if err != nil || x.set[i] {
		return false, err
	}
	x.set[i] = true
	x.at = append(x.at, i)
	return true, nil
}

// bytes is what the chunks that take says take, and what they would without compression.
func (x *reach) bytes(take func(i int) bool) (n, raw int64, err error) {
	for _, i := range x.at {
		if take(i) {
			r, err := x.c.Raw(i)
			if err != nil {
				return 0, 0, err
			}
			n, raw = n+x.c.Size(i), raw+r
		}
	}
	return n, raw, nil
}

func all(int) bool { return true }

func (u *usage) marker(x *reach) *gc.Marker {
	m := gc.New(u.r.store.Local(), x, u.step)
	m.Partial = u.r.Partial() != nil
	return m
}

// sharing counts what each of several things takes, and what it alone does.
type sharing struct {
	c     *pack.Census
	out   []Share
	owner []int32 // of each chunk the place in out of what reaches it, and one more; 0 for nothing, -1 for several
}

func (u *usage) sharing() *sharing { return &sharing{c: u.c, owner: make([]int32, u.c.Len())} }

func (x *sharing) add(name string, of *reach) error {
	n, raw, err := of.bytes(all)
	if err != nil {
		return err
	}
	x.out = append(x.out, Share{Name: name, Bytes: n, Raw: raw})
	for _, i := range of.at {
		if x.owner[i] == 0 {
			x.owner[i] = int32(len(x.out))
		} else {
			x.owner[i] = -1
		}
	}
	return nil
}

// shares is what was added.
func (x *sharing) shares() []Share {
	for i, k := range x.owner {
		if k > 0 {
			x.out[k-1].Own += x.c.Size(i)
		}
	}
	return x.out
}

func (u *usage) count(ctx context.Context, branchName string) (*Usage, error) {
	s := u.s
	b, ok := s.branches.Get(branchName)
	if !ok {
		return nil, u.r.errNoRef(branchName)
	}
	out := &Usage{Total: u.c.Bytes()}
	if err := u.tables(ctx, out, b.working); err != nil {
		return nil, err
	}
	current, named, everything := u.reach(), u.reach(), u.reach()
	branches := u.sharing()
	for _, name := range s.branches.Keys() {
		b, _ := s.branches.Get(name)
		x := u.reach()
		for _, m := range []*gc.Marker{u.marker(current), u.marker(x), u.marker(named)} {
			for _, t := range []tree.Root{b.working, b.staged} {
				if err := m.Root(ctx, t); err != nil {
					return nil, err
				}
			}
		}
		for _, m := range []*gc.Marker{u.marker(x), u.marker(named)} {
			if err := m.Commit(ctx, b.head); err != nil {
				return nil, err
			}
		}
		if err := branches.add(name, x); err != nil {
			return nil, err
		}
	}
	out.Branches = branches.shares()
	var err error
	m := u.marker(named)
	s.tags.Scan(func(_ string, h hash.Hash) bool {
		err = m.Tag(ctx, h)
		return err == nil
	})
	if err != nil {
		return nil, err
	}
	copy(everything.set, named.set)
	k := newCollector(u.r, CollectOptions{})
	k.m = u.marker(everything)
	if err := k.state(ctx, s, true); err != nil {
		return nil, err
	}
	if err := k.moves(ctx, newReflog(s.log.keep(u.r.opt.Clock.Now()))); err != nil {
		return nil, err
	}
	if err := k.lineage(ctx); err != nil {
		return nil, err
	}
	if out.Current, out.CurrentRaw, err = current.bytes(all); err != nil {
		return nil, err
	}
	if out.History, out.HistoryRaw, err = named.bytes(func(i int) bool { return !current.set[i] }); err != nil {
		return nil, err
	}
	if out.Kept, out.KeptRaw, err = everything.bytes(all); err != nil {
		return nil, err
	}
	out.Other = out.Total
	for i := range everything.set {
		size := u.c.Size(i)
		out.Other -= size
		switch {
		case u.c.IsDictionary(i):
			out.Other += size
		case !everything.set[i]:
			raw, err := u.c.Raw(i)
			if err != nil {
				return nil, err
			}
			out.Garbage, out.GarbageRaw = out.Garbage+size, out.GarbageRaw+raw
		}
	}
	return out, nil
}

// tables counts the tables of a root.
func (u *usage) tables(ctx context.Context, out *Usage, at tree.Root) error {
	es, err := root.Open(u.r.store, at).List(ctx, root.KindTable)
	if err != nil {
		return err
	}
	tables := u.sharing()
	for _, e := range es {
		x := u.reach()
		if err := u.marker(x).Table(ctx, e.Table); err != nil {
			return err
		}
		if err := tables.add(e.Name, x); err != nil {
			return err
		}
	}
	out.Tables = tables.shares()
	return nil
}
