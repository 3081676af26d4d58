package sync

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
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

// Ref is a ref of a remote as it was read.
type Ref struct {
	Name string // heads/…, tags/… or Lineage
	Target
	Work history.CommitID // the uncommitted changes of a branch of a database that is worked on at the remote; zero for none
	Open Unfinished       // what is in progress on it
	// Runs is what a branch tells of runs that Lineage may lack: a commit without parents of what is not known there. It outlasts the branch.
	Runs Target
	// Wrote is notes of the last writes to a branch that their clients may ask for again, oldest first. They outlast the branch, too.
	Wrote []Wrote
	raw   value
	gen   object.Generation
}

// Kept tells whether the ref is one of a database that is worked on at the remote, or was.
func (x Ref) Kept() bool { return x.raw.kept }

// says tells whether the ref says the same as another, whatever was read when.
func (x Ref) says(y Ref) bool {
	return x.Target == y.Target && x.Work == y.Work && x.Open == y.Open && x.Runs == y.Runs && slices.Equal(x.Wrote, y.Wrote)
}

// after is the value of the ref's object that follows the one that was read.
func (x Ref) after(to Target) value {
	v := value{Target: to, nonce: nonce(), runs: x.Runs, wrote: x.Wrote}
	if x.raw.kept || !x.Runs.IsZero() || len(x.Wrote) > 0 {
		v.kept, v.was = true, x.raw.past()
	}
	return v
}

// past is the nonces of a value and of those before it, as the next one keeps them.
func (v value) past() []string {
	all := append(slices.Clone(v.was), v.nonce)
	return all[max(len(all)-wasMost, 0):]
}

// refPasses is how often refs are read again because a push of several was decided meanwhile.
const refPasses = 10

// Refs reads all refs by name, as they were at one moment as far as pushes of several refs go (R4), but for lists of stashes, which are of those who
// work there. Objects that are no refs are passed over with a warning.
func (r *Remote) Refs(ctx context.Context) (map[string]Ref, error) {
	refs, _, err := r.RefsAndRuns(ctx)
	return refs, err
}

// RefsAndRuns is Refs, and the branches, removed ones too, that tell of runs what Lineage may lack.
func (r *Remote) RefsAndRuns(ctx context.Context) (map[string]Ref, []Ref, error) {
	refs, all, err := r.allRefs(ctx)
	maps.DeleteFunc(refs, func(name string, _ Ref) bool { return strings.HasPrefix(name, Stashes) })
	return refs, telling(all), err
}

// Seen is the refs of a remote as they were at one moment, for a push that is to change what was there then and nothing else.
type Seen struct {
	refs map[string]Ref // that are there, lists of stashes among them
	all  []Ref          // what there is of all, removed ones too
}

// See reads the refs for a push: see Refs.
func (r *Remote) See(ctx context.Context) (*Seen, error) {
	refs, all, err := r.allRefs(ctx)
	if err != nil {
		return nil, err
	}
	return &Seen{refs: refs, all: all}, nil
}

// Refs is the refs by name, without lists of stashes, as Remote.Refs gives them.
func (s *Seen) Refs() map[string]Ref {
	refs := maps.Clone(s.refs)
	maps.DeleteFunc(refs, func(name string, _ Ref) bool { return strings.HasPrefix(name, Stashes) })
	return refs
}

// Telling is the branches that tell of runs, as Remote.RefsAndRuns gives them.
func (s *Seen) Telling() []Ref { return telling(slices.Clone(s.all)) }

// left is what there was of a ref that was removed or never there.
func (s *Seen) left(name string) Ref {
	for _, x := range s.all {
		if x.Name == name {
			return x
		}
	}
	return Ref{Name: name}
}

// telling is those refs that tell of runs.
func telling(all []Ref) []Ref {
	return slices.DeleteFunc(all, func(x Ref) bool { return x.Runs.IsZero() })
}

// allRefs reads the refs that are there, lists of stashes among them, and what there is of all, removed ones too.
func (r *Remote) allRefs(ctx context.Context) (map[string]Ref, []Ref, error) {
	// A push of several refs is decided by an object that is put once: when none came, all refs are as of before or of after each such push.
	decided, err := r.decided(ctx)
	for pass := 0; err == nil; pass++ {
		var names []string
		var refs map[string]Ref
		var all []Ref
		if names, err = r.list(ctx); err != nil {
			break
		}
		if refs, all, err = r.read(ctx, names); err != nil {
			break
		}
		before := decided
		if decided, err = r.decided(ctx); err == nil && slices.Equal(before, decided) {
			return refs, all, nil
		}
		if err == nil && pass >= refPasses {
			err = errs.New(errs.Unavailable, "others push several refs at once all the time; try again")
		}
	}
	return nil, nil, fmt.Errorf("read the refs of %s: %w", r.URL(), err)
}

// decided lists the outcomes of pushes of several refs.
func (r *Remote) decided(ctx context.Context) ([]object.Info, error) {
	list, err := r.s.List(ctx, changesDir)
	object.SortInfos(list)
	return list, err
}

// list is the names of the refs that there are.
func (r *Remote) list(ctx context.Context) ([]string, error) {
	list, err := r.s.List(ctx, refsDir)
	var out []string
	for _, in := range list {
		name, err := refNamed(in.Name)
		switch {
		case err == nil:
			out = append(out, name)
		case r.Warn != nil:
			r.Warn(err.Error())
		}
	}
	return out, err
}

// read reads refs, and gives those that are there, and what there is of all.
func (r *Remote) read(ctx context.Context, names []string) (map[string]Ref, []Ref, error) {
	refs := make([]Ref, len(names))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i, name := range names {
		g.Go(func() (err error) {
			refs[i], err = r.ref(ctx, name)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, nil, err
	}
	out := map[string]Ref{}
	for _, x := range refs {
		if !x.IsZero() {
			out[x.Name] = x
		}
	}
	return out, refs, nil
}

// ref reads one ref. One that is not there is one without a target.
func (r *Remote) ref(ctx context.Context, name string) (Ref, error) {
	data, gen, err := r.s.Get(ctx, refObject(name))
	if errs.Is(err, errs.NotFound) {
		return Ref{Name: name}, nil
	}
	if err != nil {
		return Ref{}, err
	}
	v, err := decodeValue(data, name)
	if errs.Is(err, errs.Corrupt) {
		err = errs.New(errs.Corrupt, "%w\nhint: its object at %s is %s: who has the branch removes that, and pushes again", err, r.URL(), refObject(name))
	}
	if err != nil {
		return Ref{}, err
	}
	x := Ref{Name: name, Target: v.Target, Work: v.work, Open: v.open, Runs: v.runs, Wrote: v.wrote, raw: v, gen: gen}
	if v.change != "" {
		done, err := r.outcome(ctx, v.change)
		if err != nil {
			return Ref{}, err
		}
		if done {
			x.Target, x.Work, x.Open, x.Runs, x.Wrote = v.next, v.nextWork, v.nextOpen, v.nextRuns, v.nextWrote
		}
	}
	return x, nil
}

// outcome tells whether a change was committed; one that is undecided was not.
func (r *Remote) outcome(ctx context.Context, id string) (done bool, err error) {
	said, err := r.verdict(ctx, id)
	return said == outcomeDone, err
}

// verdict is how a change was decided, outcomeDone or outcomeGiven, which it stays; "" while it is undecided.
func (r *Remote) verdict(ctx context.Context, id string) (string, error) {
	data, _, err := r.s.Get(ctx, changesDir+id)
	switch said := string(data); {
	case errs.Is(err, errs.NotFound):
		return "", nil
	case err != nil:
		return "", err
	case said == outcomeDone || said == outcomeGiven:
		return said, nil
	}
	return "", errs.New(errs.Corrupt, "the outcome %s of a push to %s cannot be understood", id, r.URL())
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

// move is a ref to be changed, from what was read to what it is to be.
type move struct {
	from  Ref
	to    Target
	work  history.CommitID // uncommitted changes
	open  Unfinished       // what is in progress
	runs  Target           // what it tells of runs, of a kept one; others tell what they have told
	wrote []Wrote          // likewise
	kept  bool             // the ref is one of a database that is worked on at the remote
}

// value is what the ref's object becomes.
func (m move) value() value {
	if m.kept && m.from.raw.nonce != "" {
		m.from.raw.kept = true
	}
	v := m.from.after(m.to)
	v.kept, v.work, v.open = v.kept || m.kept, m.work, m.open
	if m.kept {
		v.runs, v.wrote = m.runs, m.wrote
	}
	return v
}

// errMoved is the error for a ref that is not what was read.
func errMoved(name string) error {
	return errs.New(errs.Conflict, "the ref %s of the remote was changed by somebody else meanwhile", name)
}

// update changes one ref (R3).
func (r *Remote) update(ctx context.Context, m move) error {
	if err := r.giveUp(ctx, m.from); err != nil {
		return err
	}
	return r.put(ctx, m.from, m.value())
}

// put replaces the object of a ref by another value, if it is as it was read.
func (r *Remote) put(ctx context.Context, from Ref, v value) error {
	err := r.s.Put(ctx, refObject(from.Name), object.Bytes(v.encode(from.Name)), object.If(from.gen))
	if errs.Is(err, errs.Conflict) && from.IsZero() && from.gen != "" { // a collection has removed what was left of it, and it is still not there
		err = r.s.Put(ctx, refObject(from.Name), object.Bytes(v.encode(from.Name)), object.IfAbsent)
	}
	if errs.Is(err, errs.Conflict) {
		return errMoved(from.Name)
	}
	return err
}

func nonce() string { return strings.ToLower(rand.Text()) }

// giveUp ends an undecided change that stands in a ref. When it turns out to have been committed meanwhile, the ref is not what was read.
func (r *Remote) giveUp(ctx context.Context, x Ref) error {
	before := Ref{Target: x.raw.Target, Work: x.raw.work, Open: x.raw.open, Runs: x.raw.runs, Wrote: x.raw.wrote}
	after := Ref{Target: x.raw.next, Work: x.raw.nextWork, Open: x.raw.nextOpen, Runs: x.raw.nextRuns, Wrote: x.raw.nextWrote}
	if x.raw.change == "" || before.says(after) || !x.says(before) {
		return nil
	}
	err := r.s.Put(ctx, changesDir+x.raw.change, object.Bytes([]byte(outcomeGiven)), object.IfAbsent)
	if !errs.Is(err, errs.Conflict) {
		return err
	}
	done, err := r.outcome(ctx, x.raw.change)
	if err == nil && done {
		err = errMoved(x.Name)
	}
	return err
}

// updateAll changes several refs at once (R4): it announces the change in each, decides, and tidies up. What it leaves when it dies is decided
// by whoever meets it.
func (r *Remote) updateAll(ctx context.Context, moves []move) error {
	if len(moves) == 1 {
		return r.update(ctx, moves[0])
	}
	id := nonce()
	for _, m := range moves {
		if err := r.giveUp(ctx, m.from); err != nil {
			return err
		}
		if err := r.put(ctx, m.from, m.announced(id)); err != nil {
			// Those that were announced read as they were; the outcome spares others the question.
			if e := r.s.Put(ctx, changesDir+id, object.Bytes([]byte(outcomeGiven)), object.IfAbsent); e != nil && !errs.Is(e, errs.Conflict) {
				return fmt.Errorf("%w (and give up the change: %w)", err, e)
			}
			return err
		}
	}
	err := r.s.Put(ctx, changesDir+id, object.Bytes([]byte(outcomeDone)), object.IfAbsent)
	if errs.Is(err, errs.Conflict) {
		return errs.New(errs.Conflict, "another push to %s gave this one up to go ahead; push again", r.URL())
	}
	if err != nil {
		return err
	}
	for _, m := range moves {
		r.tidy(ctx, m, id)
	}
	return nil
}

// announced is the value of the move's ref while the change of that id, which the move is part of, is not decided.
func (m move) announced(id string) value {
	v := m.value()
	v.nextRuns, v.nextWrote = v.runs, v.wrote
	v.wrote = m.from.Wrote
	v.Target, v.work, v.open, v.runs, v.change = m.from.Target, m.from.Work, m.from.Open, m.from.Runs, id
	v.next, v.nextWork, v.nextOpen = m.to, m.work, m.open
	return v
}

// tidy puts a ref plainly whose change is decided. One that is not tidied up says the same.
func (r *Remote) tidy(ctx context.Context, m move, id string) {
	x, err := r.ref(ctx, m.from.Name)
	if err != nil || x.raw.change != id {
		return
	}
	v := x.after(m.to)
	v.work, v.open = m.work, m.open
	_ = r.put(ctx, x, v)
}

// moved tells whether refs are, durably, what they were to become: a remote that was cut off when it had moved them answers who asks again that
// they are not what was read.
func (r *Remote) moved(ctx context.Context, moves []move) bool {
	for _, m := range moves {
		x, err := r.ref(ctx, m.from.Name)
		if err != nil || x.Commit != m.to.Commit || x.Tag != m.to.Tag {
			return false
		}
		err = r.s.Settle(ctx, refObject(m.from.Name))
		if err != nil && !(m.to.IsZero() && errs.Is(err, errs.NotFound)) {
			return false
		}
	}
	return true
}

// names are the sorted names of refs.
func names(refs map[string]Ref) []string { return slices.Sorted(maps.Keys(refs)) }
