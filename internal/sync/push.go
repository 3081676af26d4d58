package sync

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/vfs"
)

// sentPack is the length in bytes at which a pack that is sent ends. Tests have shorter ones.
var sentPack int64 = 64 << 20

// askedPack is the length in bytes of the longest pack that is sent without asking whether the remote has it, as it may after a push that died.
const askedPack = 8 << 20

// packsSent is how many packs are sent at a time, while the next one is made.
const packsSent = 2

// Want is a ref as it is to be.
type Want struct {
	Name   string // heads/… or tags/…
	Commit history.CommitID
	Tag    hash.Hash // of a tag's chunk; zero for a branch. With a zero Commit the ref is removed
	// Force moves a branch that would lose commits, and a tag that is there.
	Force bool
	// Lease, if not nil, is what the ref must name for Force to count: what the user has seen of it, zero for no ref.
	Lease *history.CommitID
}

// Status is what became of a ref.
type Status uint8

// The statuses.
const (
	UpToDate  Status = iota // it was so already
	Created                 // it is new, or had nothing but the commit by which a database begins
	Forwarded               // the old commit is an ancestor of the new one
	Forced                  // it is not
	Removed
	NonFastForward // refused: it would lose commits that are known here
	FetchFirst     // refused: it names a commit that is not known here
	Stale          // refused: it is not what the lease says
	TagExists      // refused: a tag of that name is there, and another one
	Raced          // refused: somebody else changed it meanwhile
	Together       // refused because another ref of an atomic push was
	NotThere       // refused: there is nothing to remove
	Uncommitted    // refused: somebody works on it at the remote, and has changes that are not committed
	BackedUp       // refused: the remote has a backup of it with changes that are not committed
	Broken         // the push failed before it was known whether it was changed
)

// Refused tells whether the ref is as it was though it was to be changed.
func (s Status) Refused() bool { return s >= NonFastForward }

// Outcome says what became of a ref.
type Outcome struct {
	Want
	Status Status
	Old    Target
}

// Push is what a push needs beside its refs.
type Push struct {
	Remote *Remote
	Store  *pack.Store
	FS     vfs.FS // of the store
	Temp   string // a directory for packs while they are sent
	Atomic bool   // all refs are changed or none
	First  bool   // the remote has no refs, and gets its first: of several such pushes of one ref each, of whatever name, one succeeds, and the others are Raced
	// Anew sends all that the refs reach, also what is there already, so that packs of before are needed by none of them any more, nor by what is left of
	// others. What is there and not pushed, lists of stashes among it, is an error of class Conflict. What branches there tell of runs must be known to
	// Lineage, which changes first: it has that before they do not tell it any more.
	Anew bool
	// Seen is the refs as they were when it was decided what to push: what has changed since is Raced, whatever is forced. Nil reads them when it runs.
	Seen     *Seen
	Held     Held // where the packs that are sent are remembered
	Progress Progress
	// Lineage is asked what the remote's Lineage is to name, given what it names; the zero commit leaves it, and with Anew removes it. Nil sends none. It is asked when
	// something else is sent or is there already, and again when somebody else was faster.
	Lineage func(ctx context.Context, now Ref) (history.CommitID, error)
	// Now tells the time for collections of the remote's garbage; nil is the system's clock.
	Now func() time.Time
}

// lineageTries is how often a lineage is joined anew because others have changed the remote's meanwhile.
const lineageTries = 10

// Run sends what the remote lacks and changes its refs. A ref that is refused is no error; refs as they are afterwards, as far as known, are
// returned, too. With an error there are outcomes when refs may have been changed.
func (p *Push) Run(ctx context.Context, wants []Want) ([]Outcome, map[string]Ref, error) {
	for _, w := range wants {
		if err := w.check(); err != nil {
			return nil, nil, err
		}
	}
	seen := p.Seen
	if seen == nil {
		var err error
		if seen, err = p.Remote.See(ctx); err != nil {
			return nil, nil, err
		}
	}
	if err := p.Remote.mark(ctx, seen.all); err != nil {
		return nil, nil, fmt.Errorf("push to %s: %w", p.Remote.URL(), err)
	}
	if p.Anew {
		if err := p.onlyThese(seen.refs, wants); err != nil {
			return nil, nil, err
		}
	}
	refs := seen.Refs()
	out := make([]Outcome, len(wants))
	refused, sends := false, false
	var todo []int
	for i, w := range wants {
		out[i] = Outcome{Want: w, Old: refs[w.Name].Target}
		var err error
		again := p.Anew || p.Atomic && changesWork(w.Name, refs, wants)
		if out[i].Status, err = p.judge(ctx, w, refs[w.Name], again); err != nil {
			return nil, nil, err
		}
		if out[i].Status != UpToDate && !out[i].Status.Refused() && dropsWork(w.Name, refs, wants) {
			out[i].Status = BackedUp
		}
		if out[i].Status == UpToDate { // who put it may have died before it was durable
			if err := p.Remote.s.Settle(ctx, refObject(w.Name)); err != nil {
				return nil, nil, fmt.Errorf("push to %s: %w", p.Remote.URL(), err)
			}
		}
		refused = refused || out[i].Status.Refused()
		if again && !w.Commit.IsZero() && out[i].Status == UpToDate || out[i].Status != UpToDate && !out[i].Status.Refused() {
			todo = append(todo, i)
		}
		sends = sends || !out[i].Status.Refused() && !w.Commit.IsZero()
	}
	if p.Atomic && refused {
		for _, i := range todo {
			out[i].Status = Together
		}
		return out, refs, nil
	}
	if sends && p.Lineage != nil {
		o, err := p.lineage(ctx, refs[Lineage])
		if err != nil {
			return nil, nil, err
		}
		if out = append(out, o); o.Status != UpToDate || p.Anew && !o.Commit.IsZero() {
			todo = append(todo, len(wants))
		}
	}
	if len(todo) == 0 {
		return out[:len(wants)], refs, nil
	}
	moves, err := p.prepare(ctx, refs, out, todo, seen)
	if err != nil {
		return nil, nil, err
	}
	joins := len(todo)
	if len(out) > len(wants) && todo[joins-1] == len(wants) {
		joins--
	}
	if p.Anew {
		if err := p.moveLineage(ctx, refs, out, todo[joins:], moves[joins:]); err != nil {
			return nil, nil, err
		}
	}
	err = p.move(ctx, refs, out, todo[:joins], moves[:joins])
	if err == nil && !p.Anew {
		err = p.moveLineage(ctx, refs, out, todo[joins:], moves[joins:])
	}
	out = out[:len(wants)]
	if err == nil && p.Anew && !slices.ContainsFunc(out, func(o Outcome) bool { return o.Status.Refused() }) {
		if err = p.clearRemoved(ctx, seen.all, wants); err == nil {
			err = p.nothingCame(ctx, seen, wants)
		}
	}
	return out, refs, err
}

// moveLineage changes the lineage, if todo has it.
func (p *Push) moveLineage(ctx context.Context, refs map[string]Ref, out []Outcome, todo []int, moves []move) error {
	err := p.move(ctx, refs, out, todo, moves)
	if err == nil && len(todo) > 0 && out[todo[0]].Status.Refused() { // others were faster
		err = p.again(ctx)
	}
	return err
}

// clearRemoved takes from the refs that were removed, and are none of wants, what names lists of before: what they tell of runs, and changes that nobody has
// tidied up, which it gives up where they are undecided.
func (p *Push) clearRemoved(ctx context.Context, all []Ref, wants []Want) error {
	for _, x := range all {
		if !x.IsZero() || x.Runs.IsZero() && x.raw.change == "" || slices.ContainsFunc(wants, func(w Want) bool { return w.Name == x.Name }) {
			continue
		}
		if err := p.Remote.update(ctx, move{from: x, wrote: x.Wrote, kept: x.raw.kept}); err != nil {
			return fmt.Errorf("push to %s: all was sent anew, but what is left of the removed %s may need what was there before; push again: %w", p.Remote.URL(), x.Name, err)
		}
	}
	return nil
}

// nothingCame reports refs that are there after a push of everything anew and were not when it began: their lists may name packs of before.
func (p *Push) nothingCame(ctx context.Context, seen *Seen, wants []Want) error {
	now, err := p.Remote.See(ctx)
	if err != nil {
		return err
	}
	maps.DeleteFunc(now.refs, func(name string, _ Ref) bool { _, before := seen.refs[name]; return before })
	if more := unwanted(now.refs, wants); len(more) > 0 {
		return errs.New(errs.Conflict, "push to %s: all was sent anew, but somebody has made %s meanwhile, which may need what was there before: fetch it or remove it, and push again", p.Remote.URL(), strings.Join(more, ", "))
	}
	return nil
}

// unwanted is the names of refs that are neither pushed nor the lineage.
func unwanted(refs map[string]Ref, wants []Want) []string {
	return slices.DeleteFunc(names(refs), func(n string) bool {
		return n == Lineage || slices.ContainsFunc(wants, func(w Want) bool { return w.Name == n })
	})
}

// onlyThese refuses a push that is to replace all packs of a place which has refs that are not pushed.
func (p *Push) onlyThese(refs map[string]Ref, wants []Want) error {
	more := unwanted(refs, wants)
	if i := slices.IndexFunc(more, func(n string) bool { return strings.HasPrefix(n, Work) }); i >= 0 {
		return errs.New(errs.Conflict, "push to %s: what is there cannot be sent anew, since a backup has put uncommitted changes there, which no push takes away: %s; commit or reset them here and 'backup sync' there again, first", p.Remote.URL(), more[i])
	}
	if len(more) > 0 {
		return errs.New(errs.Conflict, "push to %s: what is there cannot be sent anew, since it is not all here: %s; bring back or drop stashes, and fetch or remove the others, first", p.Remote.URL(), strings.Join(more, ", "))
	}
	return nil
}

// lineage is what is to become of the remote's Lineage, which is UpToDate, goes forward, or is removed.
func (p *Push) lineage(ctx context.Context, now Ref) (Outcome, error) {
	id, err := p.Lineage(ctx, now)
	if err != nil {
		return Outcome{}, fmt.Errorf("push the lineage to %s: %w", p.Remote.URL(), err)
	}
	o := Outcome{Want: Want{Name: Lineage, Commit: id}, Old: now.Target, Status: Forwarded}
	switch {
	case id.IsZero() && p.Anew && !now.IsZero():
		o.Status = Removed
	case id.IsZero() || id == now.Commit:
		o.Status = UpToDate
	}
	return o, nil
}

// again pushes the lineage alone until nobody else has been faster.
func (p *Push) again(ctx context.Context) error {
	for range lineageTries {
		now, err := p.Remote.ref(ctx, Lineage)
		if err != nil {
			return err
		}
		o, err := p.lineage(ctx, now)
		if err != nil || o.Status == UpToDate {
			return err
		}
		refs := map[string]Ref{}
		if !now.IsZero() {
			refs[Lineage] = now
		}
		out, todo := []Outcome{o}, []int{0}
		moves, err := p.prepare(ctx, refs, out, todo, nil)
		if err == nil {
			err = p.move(ctx, refs, out, todo, moves)
		}
		if err != nil || !out[0].Status.Refused() {
			return err
		}
	}
	return errs.New(errs.Unavailable, "push to %s: others push runs all the time; push again", p.Remote.URL())
}

// prepare sends what the refs of todo are to reach, and says how they change then. seen has what is left of those that were removed; of others it is read.
func (p *Push) prepare(ctx context.Context, refs map[string]Ref, out []Outcome, todo []int, seen *Seen) ([]move, error) {
	list, err := p.sendSure(ctx, refs, out, todo)
	if err != nil {
		return nil, fmt.Errorf("push to %s: %w", p.Remote.URL(), err)
	}
	moves := make([]move, len(todo))
	for k, i := range todo {
		from, ok := refs[out[i].Name]
		switch {
		case ok:
		case seen != nil:
			from = seen.left(out[i].Name)
		default:
			if from, err = p.Remote.ref(ctx, out[i].Name); err != nil {
				return nil, err
			}
			if !from.IsZero() {
				from = Ref{Name: out[i].Name} // it came meanwhile
			}
		}
		moves[k] = move{from: from}
		if p.Anew && from.raw.kept { // without what it tells of runs, which the lineage has by then
			moves[k].kept, moves[k].wrote = true, from.Wrote
		}
		if w := out[i].Want; !w.Commit.IsZero() {
			moves[k].to = Target{Commit: w.Commit, Tag: w.Tag, List: list}
		}
	}
	return moves, nil
}

// move changes the refs of todo.
func (p *Push) move(ctx context.Context, refs map[string]Ref, out []Outcome, todo []int, moves []move) (err error) {
	if p.Atomic && len(todo) > 0 {
		if err = p.Remote.updateAll(ctx, moves); errs.Is(err, errs.Conflict) && p.Remote.moved(ctx, moves) {
			err = nil
		}
		for k, i := range todo {
			p.settle(refs, &out[i], moves[k], err)
		}
		if err != nil && !errs.Is(err, errs.Conflict) {
			return fmt.Errorf("push to %s: %w", p.Remote.URL(), err)
		}
		return nil
	}
	for k, i := range todo {
		if err == nil {
			change := p.Remote.update
			if p.First {
				change = p.Remote.updateFirst
			}
			if err = change(ctx, moves[k]); errs.Is(err, errs.Conflict) && p.Remote.moved(ctx, moves[k:k+1]) {
				err = nil
			}
			if errs.Is(err, errs.Conflict) {
				out[i].Status, err = Raced, nil
				continue
			}
		}
		p.settle(refs, &out[i], moves[k], err)
	}
	if err != nil {
		err = fmt.Errorf("push to %s: %w", p.Remote.URL(), err)
	}
	return err
}

// dropsWork tells whether a branch that becomes another would leave uncommitted changes behind that a backup has of it, after a commit of which it is
// not any more, since nothing is said of them.
func dropsWork(name string, refs map[string]Ref, wants []Want) bool {
	b, ok := strings.CutPrefix(name, Heads)
	return ok && !refs[Work+b].IsZero() && !slices.ContainsFunc(wants, func(w Want) bool { return w.Name == Work+b })
}

// changesWork tells whether the uncommitted changes of a branch change in a backup. Then its ref is put anew even where it says the same: who moves it
// has seen none of them, and who put them has not seen it moved.
func changesWork(name string, refs map[string]Ref, wants []Want) bool {
	b, ok := strings.CutPrefix(name, Heads)
	return ok && slices.ContainsFunc(wants, func(w Want) bool { return w.Name == Work+b && w.Commit != refs[w.Name].Commit })
}

// check reports why a remote cannot have such a ref.
func (w Want) check() error {
	if err := CheckRef(w.Name); err != nil {
		return err
	}
	if w.Commit.IsZero() {
		return nil
	}
	if isTag := strings.HasPrefix(w.Name, Tags); isTag == w.Tag.IsZero() {
		return errs.New(errs.Invalid, "refs/%s: a tag of a remote is a tag here, and a branch of it is a commit", w.Name)
	}
	return nil
}

// settle notes what became of a move.
func (p *Push) settle(refs map[string]Ref, o *Outcome, m move, err error) {
	switch {
	case errs.Is(err, errs.Conflict):
		o.Status = Raced
	case err != nil:
		o.Status = Broken
	case m.to.IsZero():
		delete(refs, o.Name)
	default:
		refs[o.Name] = Ref{Name: o.Name, Target: m.to}
	}
}

// blankMost is how many bytes there are at most at a place where nothing was made but a database, in packs.
const blankMost = 256 << 10

// blank tells whether a branch has nothing to lose: all that it has is the commit by which a database begins, without a table.
func (p *Push) blank(ctx context.Context, old Ref) (bool, error) {
	packs, err := p.Remote.Packs(ctx, old.Target)
	if err != nil {
		return false, err
	}
	size := int64(0)
	for _, x := range packs {
		size += x.Size
	}
	if size > blankMost {
		return false, nil
	}
	src := &Source{Remote: p.Remote}
	src.AddPacks(packs)
	rec, err := src.Record(ctx, old.Commit)
	if err != nil {
		return false, err
	}
	_, data, err := pack.DecodeRecord(rec)
	if err != nil {
		return false, fmt.Errorf("read commit %s of %s: %w", old.Commit, p.Remote.URL(), err)
	}
	c, err := history.DecodeCommit(data)
	if err != nil {
		return false, fmt.Errorf("read commit %s of %s: %w", old.Commit, p.Remote.URL(), err)
	}
	return len(c.Parents) == 0 && c.Root == (tree.Root{}), nil
}

// judge is what becomes of a ref if nobody else changes it. again tells that it is put also where it says the same, and what is uncommitted or in progress
// there would be gone.
func (p *Push) judge(ctx context.Context, w Want, old Ref, again bool) (Status, error) {
	isTag := strings.HasPrefix(w.Name, Tags)
	switch {
	case w.Commit.IsZero() && old.IsZero():
		return NotThere, nil
	case old.Commit == w.Commit && old.Tag == w.Tag && !again:
		return UpToDate, nil
	case !old.Work.IsZero() || !old.Open.IsZero():
		return Uncommitted, nil
	case old.Commit == w.Commit && old.Tag == w.Tag:
		return UpToDate, nil
	case w.Lease != nil && *w.Lease != old.Commit && (w.Force || w.Commit.IsZero()):
		return Stale, nil
	case w.Commit.IsZero():
		return Removed, nil
	case old.IsZero():
		return Created, nil
	case isTag && w.Force:
		return Forced, nil
	case isTag:
		return TagExists, nil
	}
	known, err := p.Store.Has(ctx, old.Commit)
	if err != nil {
		return 0, err
	}
	if known {
		ok, err := history.IsAncestor(ctx, p.Store, old.Commit, w.Commit)
		if err != nil || ok {
			return Forwarded, err
		}
	}
	switch {
	case w.Force:
		return Forced, nil
	case known:
		return NonFastForward, nil
	}
	if p.First { // another's first is not to be replaced, though there is nothing in it yet
		return FetchFirst, nil
	}
	switch blank, err := p.blank(ctx, old); {
	case errs.Is(err, errs.NotFound), errs.Is(err, errs.Corrupt): // who fetches is told
	case err != nil:
		return 0, err
	case blank:
		return Created, nil
	}
	return FetchFirst, nil
}
