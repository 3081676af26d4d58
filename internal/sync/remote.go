package sync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/pack"
)

// Remote is a place that keeps packs and refs. It is used by many goroutines.
type Remote struct {
	// Warn, if not nil, is told of what is passed over.
	Warn func(text string)

	s     object.Store
	known bool // it was a remote when it was opened
	// unmarked is why it is none though it has refs; nil of others. See OpenToMend.
	unmarked *unmarkedError
	// striped tells whether packs may be striped. Of a place that is no remote yet it says what it is to become.
	striped bool
	blocks  pack.Blocks
}

// Stripe lets a place that becomes a remote have striped packs, of which columns can be read apart. A remote stays what it is. how says what packs that are
// pushed to one that has them are like.
func (r *Remote) Stripe(how pack.Blocks) {
	if r.blocks = how; !r.known {
		r.striped = true
	}
}

// stripes is how packs that are made for the remote are striped; nil when they are not.
func (r *Remote) stripes() *pack.Blocks {
	if !r.striped {
		return nil
	}
	return &r.blocks
}

// parallel is how many requests for small objects are under way at a time.
const parallel = 16

// strangers is how many objects are looked at first to see whether a place is somebody else's.
const strangers = 1000

// Open is the remote in s. A place where nothing is yet is a remote without refs; one that holds something else is an error of class
// Invalid, a remote of a newer version one of class TooNew, a bucket or a server's database that is not there one of class NotFound.
func Open(ctx context.Context, s object.Store) (*Remote, error) {
	r := &Remote{s: s}
	var err error
	if r.known, err = r.there(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// URL is where the remote is.
func (r *Remote) URL() string { return r.s.URL() }

// OpenToMend is Open for who is to write there: where the marker of a remote is lost or damaged a push makes it again.
func OpenToMend(ctx context.Context, s object.Store) (*Remote, error) {
	r := &Remote{s: s}
	var err error
	if r.known, err = r.there(ctx); errors.As(err, &r.unmarked) {
		err = nil
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// unmarkedError is that for a remote without the object that makes it one, or with a damaged one of generation gen.
type unmarkedError struct {
	error
	gen object.Generation
}

// Unwrap gives the error with its class.
func (u *unmarkedError) Unwrap() error { return u.error }

// Made tells whether the place was a remote when it was opened. One to which nothing was ever pushed is none yet.
func (r *Remote) Made() bool { return r.known }

// there tells whether the place is a remote already.
func (r *Remote) there(ctx context.Context) (bool, error) {
	data, gen, err := r.s.Get(ctx, MarkerName)
	if err == nil {
		return true, r.marked(data, gen)
	}
	if !errs.Is(err, errs.NotFound) {
		return false, r.unread(err)
	}
	list, err := object.ListSome(ctx, r.s, "", strangers) // others may keep very many objects there
	for first := true; err == nil; first = false {
		refs := 0
		other := ""
		for _, in := range list {
			// A push that died before anything of it was seen may have left packs.
			if strings.HasPrefix(in.Name, packsDir) || strings.HasPrefix(in.Name, listsDir) {
				continue
			}
			if _, err := refNamed(in.Name); err == nil {
				refs++
			} else if !strings.HasPrefix(in.Name, changesDir) && !strings.HasPrefix(in.Name, snapshotsDir) && in.Name != garbageName && in.Name != firstName && in.Name != retentionName {
				other = in.Name
				break
			}
		}
		if last := !first || len(list) < strangers; other != "" || refs > 0 && last {
			if data, gen, err := r.s.Get(ctx, MarkerName); err == nil { // somebody has made it one meanwhile
				return true, r.marked(data, gen)
			}
			if other == "" {
				return false, errUnmarked(errs.New(errs.Corrupt, "the remote %s has lost its object %s, which says what it is; its refs are there", r.URL(), MarkerName), "")
			}
			return false, errs.New(errs.Invalid, "%s is no remote of stemma: it holds other things, such as %q; name an empty place, or one that was pushed to", r.URL(), other)
		} else if last {
			return false, nil
		}
		list, err = r.s.List(ctx, "")
	}
	return false, r.unread(err)
}

// unread is the error of a place that cannot be read.
func (r *Remote) unread(err error) error {
	err = fmt.Errorf("read the remote %s: %w", r.URL(), err)
	if object.IsNoPlace(err) {
		err = errs.With(errs.NotFound, err)
	}
	return err
}

// stripedPacks tells whether any pack of refs is striped, which is what the marker says. Of packs that cannot be read it is not known.
func (r *Remote) stripedPacks(ctx context.Context, refs []Ref) (bool, error) {
	seen, read := map[hash.Hash]bool{}, 0
	for _, x := range refs {
		packs, err := r.Packs(ctx, x.Target, x.Runs)
		if err != nil && !errs.Is(err, errs.Corrupt) {
			return false, err
		}
		for _, p := range packs {
			if seen[p.Digest] {
				continue
			}
			seen[p.Digest] = true
			dir, err := r.directory(p, func(n int64) ([]byte, error) {
				end := make([]byte, n)
				return end, r.readPack(ctx, p, end, p.Size-n)
			})
			if err == nil && dir.Striped() {
				return true, nil
			}
			if err == nil {
				read++
			} else if !errs.Is(err, errs.Corrupt) {
				return false, err
			}
		}
	}
	return r.striped && read == 0, nil
}

func errUnmarked(err error, gen object.Generation) error {
	return &unmarkedError{errs.New(errs.Corrupt, "%w\nhint: a push to it from a database that has some of it, or a sync of a backup, makes that object again", err), gen}
}

// mark makes the marker of a remote again that has lost it.
func (r *Remote) mark(ctx context.Context, all []Ref) error {
	if r.unmarked == nil {
		return nil
	}
	striped, err := r.stripedPacks(ctx, all)
	if err != nil {
		return err
	}
	r.striped = striped
	text := marker
	if r.striped {
		text = stripedMarker
	}
	err = r.s.Put(ctx, MarkerName, object.Bytes([]byte(text)), object.If(r.unmarked.gen))
	if errs.Is(err, errs.Conflict) { // somebody else has made it
		r.known, err = r.there(ctx)
	} else if err == nil {
		r.known = true
		if r.Warn != nil {
			r.Warn(fmt.Sprintf("the object %s of %s, which says what it is, was lost or damaged, and was made again", MarkerName, r.URL()))
		}
	}
	if err == nil {
		r.unmarked = nil
	}
	return err
}

// marked takes note of what the marker says, which is of generation gen.
func (r *Remote) marked(data []byte, gen object.Generation) (err error) {
	r.striped, err = checkMarker(data, r.URL())
	switch {
	case !errs.Is(err, errs.Corrupt):
		return err
	case markerLeft(data):
		return errUnmarked(err, gen)
	}
	return errs.New(errs.Corrupt, "%w\nhint: it is not what this program has made, and may be of a newer one that asks for more: if no newer one was ever used there, remove that object, and push or sync again", err)
}

// init makes the place a remote. A store that puts on conditions that do not hold is an error of class Unsupported: on it a push would
// overwrite another.
func (r *Remote) init(ctx context.Context) error {
	if r.known {
		return nil
	}
	text := marker
	if r.striped {
		text = stripedMarker
	}
	body := object.Bytes([]byte(text))
	err := r.s.Put(ctx, MarkerName, body, object.IfAbsent)
	if errs.Is(err, errs.Conflict) { // made this moment by another
		if r.known, err = r.there(ctx); err == nil && !r.known {
			err = errs.New(errs.Unavailable, "somebody else makes %s a remote, or not, at this moment; try again", r.URL())
		}
		return err
	}
	if err != nil {
		return err
	}
	// What is put now differs, so that it is not taken for the first, done again.
	body = object.Bytes([]byte(text + "optional\n"))
	for _, on := range []object.Condition{object.IfAbsent, object.If("1234567890123456")} {
		err := r.s.Put(ctx, MarkerName, body, on)
		if err == nil {
			if err = r.s.Delete(ctx, MarkerName); err == nil {
				err = errs.New(errs.Unsupported, "%s replaces objects on conditions that do not hold (If-None-Match, If-Match), so that of two who push one would overwrite the other: use another server, or a newer version of it", r.URL())
			}
			return err
		}
		if !errs.Is(err, errs.Conflict) {
			return err
		}
	}
	r.known = true
	return nil
}

// Packs reads the lists of these targets and joins them, in their order.
func (r *Remote) Packs(ctx context.Context, targets ...Target) ([]Pack, error) {
	out, err := r.packs(ctx, targets)
	return out, r.damaged(err)
}

// packs is Packs, whose error does not say how the remote is mended.
func (r *Remote) packs(ctx context.Context, targets []Target) ([]Pack, error) {
	seen := map[hash.Hash]bool{}
	var lists []hash.Hash
	for _, t := range targets {
		if !t.List.IsZero() && !seen[t.List] {
			seen[t.List] = true
			lists = append(lists, t.List)
		}
	}
	all := make([][]Pack, len(lists))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i, h := range lists {
		g.Go(func() error {
			data, _, err := r.s.Get(ctx, listsDir+h.Full())
			if errs.Is(err, errs.NotFound) {
				return r.lost("list of packs " + h.Full())
			}
			if err == nil {
				all[i], err = decodeList(data, h)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var out []Pack
	in := map[hash.Hash]bool{}
	for _, list := range all {
		for _, p := range list {
			if !in[p.Digest] {
				in[p.Digest] = true
				out = append(out, p)
			}
		}
	}
	return out, nil
}

// lostError is that for a list or a pack that the remote has named and has not got.
type lostError struct{ error }

// Unwrap gives the error with its class.
func (l lostError) Unwrap() error { return l.error }

func (r *Remote) lost(what string) error {
	return lostError{errs.New(errs.Corrupt, "the remote %s has lost its %s", r.URL(), what)}
}

// damagedError is an error that says how a remote is mended.
type damagedError struct{ error }

// Unwrap gives the error with its class.
func (d damagedError) Unwrap() error { return d.error }

// IsDamaged tells whether err is that of something at a remote that is damaged or lost, which a push of all that is there mends if it is sent anew.
func IsDamaged(err error) bool {
	var d damagedError
	return errors.As(err, &d)
}

// damaged adds to the error for something at the remote that is damaged or lost how that is mended. Of a server's database it is the server that is.
func (r *Remote) damaged(err error) error {
	var told damagedError
	if !errs.Is(err, errs.Corrupt) || errors.As(err, &told) || strings.HasPrefix(r.URL(), "http://") || strings.HasPrefix(r.URL(), "https://") {
		return err
	}
	return damagedError{errs.New(errs.Corrupt, "%w\nhint: 'push --mirror --anew' to %s from a database that has all of it, or 'backup --anew sync' of a backup, sends again what is damaged there", err, r.URL())}
}

// readPack fills b with the bytes of a pack from off on.
func (r *Remote) readPack(ctx context.Context, p Pack, b []byte, off int64) error {
	err := r.s.GetRange(ctx, p.object(), b, off)
	if errs.Is(err, errs.NotFound) {
		err = r.lost("pack " + p.Digest.Full())
	}
	return err
}

// isLost tells whether err is that of a list or a pack that a remote has named and has not got. A server makes lists for its readers and keeps
// them for a while only: who is slower reads the refs again, whose lists of then have everything that is reached there.
func isLost(err error) bool {
	var l lostError
	return errors.As(err, &l)
}

// relist is targets with the lists that the refs have now; ok is false when they have the same as before, or are gone.
func (r *Remote) relist(ctx context.Context, refs []Ref, old []Target) (out []Target, ok bool) {
	for i, x := range refs {
		now, err := r.ref(ctx, x.Name)
		if err != nil || now.IsZero() {
			return nil, false
		}
		t := old[i]
		ok = ok || t.List != now.List
		t.List = now.List
		out = append(out, t)
	}
	return out, ok
}

// putList keeps a list of packs and returns its name, which is none to be avoided: a pack that is listed again makes another one. Anew replaces what is there,
// which may be damaged.
func (r *Remote) putList(ctx context.Context, packs []Pack, avoid map[string]bool, anew bool) (hash.Hash, error) {
	data := encodeList(packs)
	h := hash.Sum(data)
	for n := len(packs); avoid[listsDir+h.Full()] && n > 0; {
		packs = append(packs[:len(packs):len(packs)], packs[0])
		data = encodeList(packs)
		h = hash.Sum(data)
	}
	on := object.IfAbsent
	if anew {
		on = object.Always
	}
	err := r.s.Put(ctx, listsDir+h.Full(), object.Bytes(data), on)
	if !errs.Is(err, errs.Conflict) {
		return h, err
	}
	// The same list is there, or what is left of it.
	if there, _, err := r.s.Get(ctx, listsDir+h.Full()); err == nil && bytes.Equal(there, data) {
		return h, nil
	} else if err != nil && !errs.Is(err, errs.NotFound) && !errs.Is(err, errs.Corrupt) {
		return h, err
	}
	return h, r.s.Put(ctx, listsDir+h.Full(), object.Bytes(data), object.Always)
}
