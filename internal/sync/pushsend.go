package sync

import (
	"context"
	"crypto/rand"
	"errors"
	"math"
	"path/filepath"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/vfs"
)

// sendTries is how often a push begins to send anew because a collection of garbage removes what it has counted on.
const sendTries = 8

// sendSure is send, of which no collection of garbage removes anything (R6). refs are those by which the push judges; where they name what is
// gone, others are counted on.
func (p *Push) sendSure(ctx context.Context, refs map[string]Ref, out []Outcome, todo []int) (list hash.Hash, err error) {
	avoid := map[string]bool{} // what is removed
	for try := range sendTries {
		if try > 0 {
			if refs, err = p.usable(ctx, avoid); err != nil {
				return list, err
			}
		}
		if list, err = p.send(ctx, refs, out, todo, avoid); err == nil {
			return list, nil
		}
		gone := removedOf(err)
		if len(gone) == 0 && !isLost(err) {
			return list, err
		}
		for _, n := range gone {
			avoid[n] = true
		}
	}
	return list, errs.New(errs.Unavailable, "what was to be counted on is removed there as garbage again and again (%w); try again", err)
}

// usable is the refs of the remote of which nothing is removed.
func (p *Push) usable(ctx context.Context, avoid map[string]bool) (map[string]Ref, error) {
	refs, err := p.Remote.Refs(ctx)
	if err != nil {
		return nil, err
	}
	for name, x := range refs {
		packs, err := p.Remote.Packs(ctx, x.Target)
		if err != nil && !isLost(err) {
			return nil, err
		}
		if err != nil || avoid[listsDir+x.List.Full()] || slices.ContainsFunc(packs, func(o Pack) bool { return avoid[o.object()] }) {
			delete(refs, name)
		}
	}
	return refs, nil
}

// send makes sure that the remote has everything that the refs of todo are to reach, and a list that says where, without objects to be avoided.
func (p *Push) send(ctx context.Context, refs map[string]Ref, out []Outcome, todo []int, avoid map[string]bool) (list hash.Hash, err error) {
	counted := p.Remote.pledge(p.Now)
	var want []history.CommitID
	var tags []hash.Hash
	first := map[string]bool{} // whose lists are preferred
	for _, i := range todo {
		first[out[i].Name] = true
		if w := out[i].Want; !w.Commit.IsZero() {
			want = append(want, w.Commit)
			if !w.Tag.IsZero() {
				tags = append(tags, w.Tag)
			}
		}
	}
	if err := p.Remote.init(ctx); err != nil || len(want) == 0 {
		return list, err
	}
	var have []Ref
	for _, n := range names(refs) {
		if p.Anew {
			break
		}
		ok, err := p.Store.Has(ctx, refs[n].Commit)
		if err != nil {
			return list, err
		}
		if ok {
			have = append(have, refs[n])
		}
	}
	slices.SortStableFunc(have, func(a, b Ref) int {
		switch {
		case first[a.Name] == first[b.Name]:
			return 0
		case first[a.Name]:
			return -1
		}
		return 1
	})
	var cut []history.CommitID
	for _, h := range have {
		cut = append(cut, h.Commit)
	}
	between, err := Commits(ctx, p.Store, want, cut)
	if err != nil {
		return list, err
	}
	targets, err := p.cover(ctx, between.Edge, have)
	if err != nil {
		return list, err
	}
	packs, err := p.Remote.Packs(ctx, targets...)
	if err != nil {
		return list, err
	}
	chunks, err := p.lacking(ctx, between)
	if err != nil {
		return list, err
	}
	sent, err := p.packs(ctx, append(chunks, tags...), want, counted, avoid)
	if err != nil {
		return list, err
	}
	if err := p.Held.Add(sent); err != nil {
		return list, err
	}
	for _, s := range sent {
		if !slices.ContainsFunc(packs, func(o Pack) bool { return o.Digest == s.Digest }) {
			packs = append(packs, s)
		}
	}
	if list, err = p.Remote.putList(ctx, packs, avoid, p.Anew); err != nil {
		return list, err
	}
	return list, counted.claim(ctx, packs, listsDir+list.Full())
}

// cover is targets of refs that together reach the commits at which the walk ended.
func (p *Push) cover(ctx context.Context, edge []history.CommitID, have []Ref) ([]Target, error) {
	var out []Target
	for _, h := range have {
		if len(edge) == 0 {
			break
		}
		var left []history.CommitID
		for _, e := range edge {
			ok, err := history.IsAncestor(ctx, p.Store, e, h.Commit)
			if err != nil {
				return nil, err
			}
			if !ok {
				left = append(left, e)
			}
		}
		if len(left) < len(edge) {
			out = append(out, h.Target)
		}
		edge = left
	}
	if len(edge) > 0 {
		if _, err := history.GetCommit(ctx, p.Store, edge[0]); err != nil { // the database is a part, and the remote needs more
			return nil, err
		}
		return nil, errs.New(errs.Internal, "no ref of the remote reaches the commit %s, at which what is new ended", edge[0])
	}
	return out, nil
}

// lacking is the chunks to be sent.
func (p *Push) lacking(ctx context.Context, b Between) (out []hash.Hash, err error) {
	add, done := p.Progress.start("find what is new", int64(len(b.Commits)), "commits")
	defer func() { done(err) }()
	err = Missing(ctx, p.Store, b, func(h hash.Hash) error { out = append(out, h); return nil }, func() { add(1) })
	return out, err
}

// packs sends chunks in packs, which are the same for the same chunks: what an earlier push has sent of them is not sent again. The store's own
// packs go as they are where all of their chunks are to be sent, but for those with a dictionary, which has pieces of chunks of whatever the database
// had; what is made has none. A remote with striped packs gets such only. Packs to be avoided get their chunks in another order, or one more of those that belong to the commits, and so
// another name.
func (p *Push) packs(ctx context.Context, chunks []hash.Hash, commits []history.CommitID, counted *pledge, avoid map[string]bool) (out []Pack, err error) {
	if len(chunks) == 0 {
		return nil, nil
	}
	add, done := p.Progress.start("push", int64(len(chunks)), "chunks")
	defer func() { done(err) }()
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(packsSent)
	var own []pack.Published
	if !p.Remote.striped {
		own = slices.DeleteFunc(p.Store.Within(chunks, ownLeast, ownMost), func(o pack.Published) bool { return o.Dictionary })
	}
	var wanted map[hash.Hash]bool // chunks that are in none of the store's packs that are sent
	if len(own) > 0 {
		wanted = make(map[hash.Hash]bool, len(chunks))
		for _, h := range chunks {
			wanted[h] = true
		}
	}
	for len(chunks) > 0 && err == nil && gctx.Err() == nil {
		if counted.due() || len(out) == 1 { // a long push finds out early that all is to have other names
			if err = counted.claim(gctx, out, ""); err != nil {
				break
			}
		}
		if len(own) > 0 {
			var x Pack
			var sent bool
			if x, sent, err = p.own(gctx, g, own[0], wanted, avoid, add); sent {
				out = append(out, x)
			}
			if own = own[1:]; len(own) == 0 {
				chunks = slices.DeleteFunc(slices.Clone(chunks), func(h hash.Hash) bool { return !wanted[h] })
			}
			continue
		}
		var next *sending
		if next, chunks, err = p.made(gctx, chunks, commits, avoid); err != nil {
			break
		}
		out = append(out, next.pack)
		g.Go(func() error {
			err := p.Remote.putPack(gctx, next, p.Anew)
			add(int64(next.pack.Chunks))
			return errors.Join(err, next.file.Close(), p.FS.Remove(next.file.Name()))
		})
	}
	if e := g.Wait(); e != nil {
		return nil, e
	}
	if err == nil && len(chunks) > 0 {
		err = errs.With(errs.Canceled, ctx.Err())
	}
	return out, err
}

// sending is a pack on its way, the body of its object.
type sending struct {
	pack Pack
	file vfs.File
	hold *hold // nil: the pack is known to be right
}

// Size implements object.Body.
func (s *sending) Size() int64 { return s.pack.Size }

// ReadAt implements io.ReaderAt.
func (s *sending) ReadAt(b []byte, off int64) (int, error) {
	if s.hold != nil && off+int64(len(b)) >= s.pack.Size {
		if err := s.hold.wait(); err != nil {
			return 0, err
		}
	}
	return s.file.ReadAt(b, off)
}

// hold keeps back the end of a body until it is known whether it may be sent, so that what may not be never becomes an object.
type hold struct {
	ctx     context.Context // of the put, which ends when the body may not be sent
	cancel  context.CancelFunc
	decided chan struct{}
	send    bool
}

func newHold(ctx context.Context) *hold {
	h := &hold{decided: make(chan struct{})}
	h.ctx, h.cancel = context.WithCancel(ctx)
	return h
}

// decide is called once.
func (h *hold) decide(send bool) {
	if h.send = send; !send {
		h.cancel()
	}
	close(h.decided)
}

// wait is an error unless the body may be sent.
func (h *hold) wait() error {
	select {
	case <-h.decided:
	case <-h.ctx.Done():
	}
	if err := h.ctx.Err(); err != nil {
		return errs.With(errs.Canceled, err)
	}
	return nil
}

// The lengths in bytes of packs of the store that are sent as they are: shorter ones are rather sent together, each being a request and a line in
// lists for ever, and longer ones in parts, since what has been sent of a pack when a push dies is sent again. Tests have
// shorter ones.
var ownLeast int64 = 16 << 20

const ownMost = 256 << 20

// own sends a pack of the store if all of its chunks are wanted, which they are no more then. It is read while it is sent already, and no more
// than sent in part if it turns out that it is damaged, which whoever reads the chunk that is damaged says, or has others.
func (p *Push) own(ctx context.Context, g *errgroup.Group, o pack.Published, wanted map[hash.Hash]bool, avoid map[string]bool, add func(int64)) (x Pack, sent bool, err error) {
	x = Pack{Digest: o.Digest, Size: o.Size, Chunks: o.Chunks}
	if avoid[x.object()] {
		return x, false, nil
	}
	f, err := p.FS.Open(o.Path)
	if errs.Is(err, errs.NotFound) { // a fold removes packs whose chunks are elsewhere
		return x, false, nil
	} else if err != nil {
		return x, false, err
	}
	held := newHold(ctx)
	g.Go(func() error {
		defer held.cancel()
		err := p.Remote.putPack(held.ctx, &sending{x, f, held}, p.Anew)
		if <-held.decided; !held.send {
			err = nil
		} else {
			add(int64(x.Chunks))
		}
		return errors.Join(err, f.Close())
	})
	defer func() { held.decide(sent) }()
	all, hashes := true, make([]hash.Hash, 0, o.Chunks)
	err = pack.ReadHashes(ctx, p.FS, o.Path, o.Digest, func(h hash.Hash) {
		all = all && wanted[h]
		hashes = append(hashes, h)
	})
	if errs.Is(err, errs.Corrupt) || errs.Is(err, errs.NotFound) {
		return x, false, nil
	}
	if err != nil || !all {
		return x, false, err
	}
	for _, h := range hashes {
		wanted[h] = false
	}
	return x, true, nil
}

// made is a new pack of the first chunks, and those that are left.
func (p *Push) made(ctx context.Context, chunks []hash.Hash, commits []history.CommitID, avoid map[string]bool) (next *sending, left []hash.Hash, err error) {
	built, n, err := p.build(ctx, chunks, commits, avoid)
	if err != nil {
		return next, chunks, err
	}
	f, err := p.FS.Open(built.Path)
	if err != nil {
		return next, chunks, errors.Join(err, p.FS.Remove(built.Path))
	}
	return &sending{pack: Pack{Digest: built.Digest, Size: built.Size, Chunks: built.Chunks}, file: f}, chunks[n:], nil
}

// build makes a pack of the first chunks that is none of those to be avoided, and says of how many.
func (p *Push) build(ctx context.Context, chunks []hash.Hash, commits []history.CommitID, avoid map[string]bool) (built pack.Built, n int, err error) {
	path := func() string { return filepath.Join(p.Temp, "push-"+rand.Text()+pack.Ext) }
	if built, n, err = build(ctx, p.Store, path(), chunks, sentPack, p.Remote.stripes()); err != nil || !avoid[Pack{Digest: built.Digest}.object()] {
		return built, n, err
	}
	first := slices.Clone(chunks[:n])
	for _, other := range p.others(ctx, first, commits) {
		if err = p.FS.Remove(built.Path); err != nil {
			return built, n, err
		}
		if built, _, err = build(ctx, p.Store, path(), other, math.MaxInt64, p.Remote.stripes()); err != nil {
			return built, n, err
		}
		if !avoid[Pack{Digest: built.Digest}.object()] {
			return built, n, nil
		}
	}
	return built, n, errors.Join(errs.New(errs.Unavailable, "what is to be sent was there and is removed as garbage; try again in a day"), p.FS.Remove(built.Path))
}

// others are orders of chunks, and more chunks, that make other packs of the same.
func (p *Push) others(ctx context.Context, chunks []hash.Hash, commits []history.CommitID) (out [][]hash.Hash) {
	for i := 1; i < len(chunks); i++ {
		out = append(out, append(slices.Clone(chunks[i:]), chunks[:i]...))
	}
	for _, id := range commits {
		c, err := history.GetCommit(ctx, p.Store, id)
		if err != nil {
			continue
		}
		for _, h := range append([]hash.Hash{id, c.Root.Hash}, c.Parents...) {
			if ok, err := p.Store.Has(ctx, h); err == nil && ok && !slices.Contains(chunks, h) {
				out = append(out, append(slices.Clone(chunks), h))
			}
		}
	}
	return out[:min(len(out), sendTries*2)]
}

// build makes a pack, striped unless stripes is nil, in a new file, of the first chunks of a store's, until it has that many bytes, and says of how many.
func build(ctx context.Context, store *pack.Store, path string, chunks []hash.Hash, most int64, stripes *pack.Blocks) (built pack.Built, n int, err error) {
	b, err := store.NewBuilder(path)
	if err != nil {
		return built, 0, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	if stripes != nil {
		b.Stripe(*stripes)
	}
	for n < len(chunks) && b.Size() < most {
		if err := b.Add(ctx, chunks[n]); err != nil {
			return built, 0, err
		}
		n++
	}
	built, err = b.Finish(ctx)
	return built, n, err
}

// putPack sends a pack unless the remote has it, or, anew, also what is there, which may be damaged. What is there and has another length is damaged, and is
// replaced. Afterwards the pack is durable there.
func (r *Remote) putPack(ctx context.Context, body *sending, anew bool) error {
	p, on := body.pack, object.IfAbsent
	there := func() (bool, error) {
		in, err := r.s.Stat(ctx, p.object())
		if errs.Is(err, errs.NotFound) {
			return false, nil
		}
		if err == nil && in.Size != p.Size {
			err = errs.New(errs.Corrupt, "the pack %s of the remote %s has %d bytes, not %d", p.Digest.Full(), r.URL(), in.Size, p.Size)
		}
		if err == nil {
			err = r.s.Settle(ctx, p.object()) // who put it may have died before it was durable
		}
		return true, err
	}
	if anew {
		on = object.Always
	} else if p.Size > askedPack { // rather send a short one in vain than ask for each
		ok, err := there()
		if errs.Is(err, errs.Corrupt) {
			on = object.Always
		} else if ok || err != nil {
			return err
		}
	}
	err := r.s.Put(ctx, p.object(), body, on)
	if !errs.Is(err, errs.Conflict) {
		return err
	}
	if _, err = there(); errs.Is(err, errs.Corrupt) && on == object.IfAbsent { // otherwise somebody else sends the same
		err = r.s.Put(ctx, p.object(), body, object.Always)
	}
	return err
}
