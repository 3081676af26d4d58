package sync

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/pack"
)

// pendingChange is a push of several refs that is not decided yet.
type pendingChange struct {
	moves []Move
	lists []hash.Hash
	since time.Time
}

// How long what is not used is kept.
const (
	uploadsKept = 48 * time.Hour
	pendingKept = time.Hour
	sweepEvery  = time.Hour
)

// pendingMost is how many pushes of several refs may be undecided.
const pendingMost = 1000

// Put implements object.Store.
func (l *Live) Put(ctx context.Context, name string, body object.Body, on object.Condition) error {
	if err := object.CheckName(name); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return errs.With(errs.Canceled, err)
	}
	switch kind(name) {
	case MarkerName:
		return object.ErrCondition(name)
	case packsDir:
		d, ok := packNamed(name)
		if !ok {
			return errs.New(errs.Invalid, "'%s' is no name of a pack", name)
		}
		if _, there := l.views.size(d); there {
			return object.ErrCondition(name)
		}
		return l.uploads.Put(ctx, name, body, on)
	}
	if body.Size() > object.SmallMost {
		return errs.New(errs.Invalid, "put object %s: it has %d bytes, more than any of its kind", name, body.Size())
	}
	data, err := object.ReadBody(body)
	if err != nil {
		return err
	}
	switch kind(name) {
	case listsDir:
		h, err := hash.Parse(strings.TrimPrefix(name, listsDir))
		if err != nil {
			return errs.New(errs.Invalid, "'%s' is no name of a list of packs", name)
		}
		if _, err := decodeList(data, h); err != nil {
			return err
		}
		return l.uploads.Put(ctx, name, body, on)
	case refsDir:
		return l.putRef(ctx, name, data, on)
	case changesDir:
		return l.decide(ctx, name, data)
	}
	return errs.New(errs.Unsupported, "a database of a server takes packs, lists and refs, no object %s", name)
}

// begin waits until something may be received; the caller calls end. The context it gives does not end when whoever asks goes away: who has
// waited for too long for an answer asks again, and is to find it done rather than begun anew.
func (l *Live) begin(ctx context.Context) (work context.Context, end func(), err error) {
	l.pushing.Lock()
	switch {
	case ctx.Err() != nil:
		err = errs.With(errs.Canceled, ctx.Err())
	case l.ctx.Err() != nil:
		err = errs.New(errs.Unavailable, "%s is being closed", l.url)
	}
	if err != nil {
		l.pushing.Unlock()
		return nil, nil, err
	}
	if clock.Since(l.swept) > sweepEvery {
		_ = l.sweep(l.ctx) // what stays is tried again
	}
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	idle := context.AfterFunc(l.ctx, cancel)
	fetched, held := l.db.Fetching(), l.db.Hold()
	return work, func() {
		held()
		fetched()
		idle()
		cancel()
		l.pushing.Unlock()
	}, nil
}

// sweep removes what was put long ago and named by no ref.
func (l *Live) sweep(ctx context.Context) error {
	l.swept = clock.System{}.Now()
	all, err := l.uploads.List(ctx, "")
	for _, in := range all {
		st, e := l.fs.Stat(filepath.Join(l.dir, "uploads", filepath.FromSlash(in.Name)))
		if e == nil && !st.Modified.IsZero() && clock.Since(st.Modified) > uploadsKept {
			e = l.uploads.Delete(ctx, in.Name)
		}
		if !errs.Is(e, errs.NotFound) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// putRef moves a ref, or notes that it is to move with others.
func (l *Live) putRef(ctx context.Context, key string, data []byte, on object.Condition) error {
	name, err := refNamed(key)
	if err != nil {
		return err
	}
	v, err := decodeValue(data, name)
	if err != nil {
		return errs.With(errs.Invalid, err)
	}
	if v.kept {
		return errs.New(errs.Unsupported, "put object %s: a server keeps the uncommitted changes of its databases itself; connect to it", key)
	}
	ctx, end, err := l.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	sum := hash.Sum(data)
	l.mu.Lock()
	again := l.last[name] == sum
	l.mu.Unlock()
	if again {
		return nil // its answer was lost
	}
	refs, err := l.db.Refs(ctx)
	if err != nil {
		return err
	}
	now := refs[name]
	if !on.Holds(generationOf(now)) {
		return object.ErrCondition(key)
	}
	if v.change == "" {
		m := Move{Name: name, From: now, To: v.Target}
		if err := l.receive(ctx, []Move{m}, []hash.Hash{v.List}); err != nil {
			return err
		}
	} else if err := l.announce(v, Move{Name: name, From: now, To: v.next}); err != nil {
		return err
	}
	l.mu.Lock()
	l.last[name] = sum
	l.mu.Unlock()
	return nil
}

// announce notes a move that is decided with others.
func (l *Live) announce(v value, m Move) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, p := range l.pending {
		if clock.Since(p.since) > pendingKept {
			delete(l.pending, id)
		}
	}
	p := l.pending[v.change]
	if p == nil {
		if len(l.pending) >= pendingMost {
			return errs.New(errs.Unavailable, "too many pushes of several refs are under way")
		}
		p = &pendingChange{since: clock.System{}.Now()}
		l.pending[v.change] = p
	}
	if i := slices.IndexFunc(p.moves, func(o Move) bool { return o.Name == m.Name }); i >= 0 {
		if p.moves[i] == m {
			return nil // its answer was lost
		}
		return errs.New(errs.Invalid, "the ref %s is to move twice in one push", m.Name)
	}
	p.moves = append(p.moves, m)
	p.lists = append(p.lists, v.next.List)
	return nil
}

// decide commits the moves that were announced under an id, or gives them up.
func (l *Live) decide(ctx context.Context, name string, data []byte) (err error) {
	id := strings.TrimPrefix(name, changesDir)
	if !isID(id) || string(data) != outcomeDone && string(data) != outcomeGiven {
		return errs.New(errs.Invalid, "'%s' is no outcome of a push", name)
	}
	ctx, end, err := l.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	if _, err := l.uploads.Stat(ctx, name); !errs.Is(err, errs.NotFound) {
		if err == nil {
			err = object.ErrCondition(name)
		}
		return err
	}
	l.mu.Lock()
	p := l.pending[id]
	delete(l.pending, id)
	l.mu.Unlock()
	if string(data) == outcomeGiven {
		return l.uploads.Put(ctx, name, object.Bytes(data), object.IfAbsent)
	}
	err = object.ErrCondition(name)
	if p != nil {
		batch, packs, e := l.fetch(ctx, p.moves, p.lists)
		if e != nil {
			if errs.Is(e, errs.Canceled) || errs.Is(e, errs.Unavailable) { // nothing was decided
				l.mu.Lock()
				l.pending[id] = p
				l.mu.Unlock()
			}
			return e
		}
		defer func() { err = errors.Join(err, batch.Close()) }()
		l.deciding.Lock()
		defer l.deciding.Unlock()
		if err = l.db.Receive(ctx, batch, p.moves); err == nil {
			l.drop(ctx, packs)
		}
	}
	if errs.Is(err, errs.Conflict) {
		if e := l.uploads.Put(ctx, name, object.Bytes([]byte(outcomeGiven)), object.IfAbsent); e != nil {
			return e
		}
		return object.ErrCondition(name)
	}
	if err != nil {
		return err
	}
	return l.uploads.Put(context.WithoutCancel(ctx), name, object.Bytes(data), object.IfAbsent) // it is done, and is to be told
}

// receive makes moves and what they need part of the database.
func (l *Live) receive(ctx context.Context, moves []Move, lists []hash.Hash) (err error) {
	batch, packs, err := l.fetch(ctx, moves, lists)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, batch.Close()) }()
	if err := l.db.Receive(ctx, batch, moves); err != nil {
		return err
	}
	l.drop(ctx, packs)
	return nil
}

// drop removes packs that are the database's now from what was put. What stays is swept some day.
func (l *Live) drop(ctx context.Context, packs []Pack) {
	for _, p := range packs {
		_ = l.uploads.Delete(ctx, p.object())
	}
}

// fetch reads into a batch what was put of the packs that lists name, and checks that all that the moves reach is there then.
func (l *Live) fetch(ctx context.Context, moves []Move, lists []hash.Hash) (batch *pack.Batch, packs []Pack, err error) {
	var shown []Pack
	for _, h := range lists {
		if h.IsZero() {
			continue // of a ref that is removed
		}
		data, _, err := l.Get(ctx, listsDir+h.Full())
		if errs.Is(err, errs.NotFound) {
			return nil, nil, errs.New(errs.Invalid, "the list of packs %s of a ref was not put", h.Full())
		}
		if err != nil {
			return nil, nil, err
		}
		all, err := decodeList(data, h)
		if err != nil {
			return nil, nil, err
		}
		// A pack that is only kept for readers may have been garbage here: the pusher was told that it is there, and has not sent it.
		for _, p := range all {
			// Others are the database's own, or were once.
			if in, err := l.uploads.Stat(ctx, p.object()); err == nil && !l.store.HasPack(p.Digest) {
				if in.Size != p.Size {
					return nil, nil, errs.New(errs.Invalid, "pack %s has %d bytes, not the %d that its list says", p.Digest.Full(), in.Size, p.Size)
				}
				packs = append(packs, p)
			} else if err != nil && !errs.Is(err, errs.NotFound) {
				return nil, nil, err
			} else if size, there := l.views.size(p.Digest); err != nil && there && size == p.Size && !l.store.HasPack(p.Digest) {
				shown = append(shown, p)
			}
		}
	}
	refs, err := l.db.Refs(ctx)
	if err != nil {
		return nil, nil, err
	}
	var have []history.CommitID
	for _, t := range refs {
		have = append(have, t.Commit)
	}
	var want []Target
	for _, m := range moves {
		if !m.To.IsZero() {
			want = append(want, m.To)
		}
	}
	f := &Fetch{Remote: &Remote{s: pushed{l.uploads}}, Store: l.store, FS: l.fs, Incoming: l.incoming()}
	batch, err = f.Run(ctx, packs, want, have)
	if errs.Is(err, errs.Corrupt) && len(shown) > 0 {
		f.Remote = &Remote{s: pushed{l}}
		batch, err = f.Run(ctx, slices.Concat(packs, shown), want, have)
	}
	return batch, packs, err
}

// pushed is what was put, under the name that messages to who has put it use.
type pushed struct{ object.Store }

// URL implements object.Store.
func (pushed) URL() string { return "of this push" }
