package sync

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/object"
)

// snapshotsDir holds the snapshots of a backup: an object for each sync, which says what the refs were, and is never changed.
const snapshotsDir = "snapshots/"

const snapshotWords = "stemma snapshot 1"

// snapshotTime is the form of the time in a snapshot's name, without the point before the microseconds.
const snapshotTime = "20060102150405.000000"

// SyncTime is the form of the time of a sync in texts: restores take it, and find that sync by it.
const SyncTime = "2006-01-02 15:04:05.000000"

// SnapshotInfo is a snapshot as a list of them has it.
type SnapshotInfo struct {
	Time time.Time // when the refs were so, in microseconds
	name string    // of the object
}

// Snapshot is what the refs of a backup were at a sync: its branches, tags and working sets.
type Snapshot struct {
	SnapshotInfo
	Refs map[string]Ref // heads/…, tags/… and work/…, with targets alone
	// Broken is why it can not be restored, of class Corrupt: it cannot be read, and has no Refs, or what it names is lost (see Look).
	Broken error
}

// snapshotRefs is those of refs that a snapshot keeps: what is known of runs only grows, and is one for all times.
func snapshotRefs(refs map[string]Ref) map[string]Ref {
	out := map[string]Ref{}
	for name, x := range refs {
		if !x.IsZero() && inSnapshot(name) {
			out[name] = Ref{Name: name, Target: x.Target}
		}
	}
	return out
}

func inSnapshot(name string) bool {
	return strings.HasPrefix(name, Heads) || strings.HasPrefix(name, Tags) || strings.HasPrefix(name, Work)
}

// Names tells whether the snapshot says that the refs are these, wherever their chunks are.
func (s *Snapshot) Names(refs map[string]Ref) bool {
	return maps.EqualFunc(s.Refs, snapshotRefs(refs), func(a, b Ref) bool { return a.Commit == b.Commit && a.Tag == b.Tag })
}

// Targets are those of the refs.
func (s *Snapshot) Targets() []Target {
	var out []Target
	for _, n := range names(s.Refs) {
		out = append(out, s.Refs[n].Target)
	}
	return out
}

func encodeSnapshot(refs map[string]Ref) []byte {
	var b bytes.Buffer
	fmt.Fprintln(&b, snapshotWords)
	for _, n := range names(refs) {
		x := refs[n]
		fmt.Fprintf(&b, "ref %s %s %s", strings.TrimPrefix(refObject(n), refsDir), x.Commit.Full(), x.List.Full())
		if !x.Tag.IsZero() {
			fmt.Fprintf(&b, " %s", x.Tag.Full())
		}
		fmt.Fprintln(&b)
	}
	fmt.Fprintln(&b, "end")
	return b.Bytes()
}

// decodeSnapshot reads what encodeSnapshot gives.
func decodeSnapshot(data []byte, name string) (map[string]Ref, error) {
	bad := func(why string) (map[string]Ref, error) {
		return nil, errs.New(errs.Corrupt, "read the object %s of the remote: %s", name, why)
	}
	sc := bufio.NewScanner(bytes.NewReader(data))
	if !sc.Scan() || sc.Text() != snapshotWords {
		if strings.HasPrefix(sc.Text(), "stemma snapshot ") {
			return nil, errs.New(errs.TooNew, "read the object %s of the remote: it was written by a newer stemma; use one", name)
		}
		return bad("it does not begin as it should")
	}
	refs, ended := map[string]Ref{}, false
	for sc.Scan() {
		f := strings.Split(sc.Text(), " ")
		if ended {
			return bad("it goes on behind its end")
		}
		if len(f) == 1 && f[0] == "end" {
			ended = true
			continue
		}
		if f[0] != "ref" || len(f) != 4 && len(f) != 5 {
			return bad("a line is none of its lines")
		}
		ref, err := refNamed(refsDir + f[1])
		if err != nil || !inSnapshot(ref) {
			return bad(fmt.Sprintf("it names the ref %q", f[1]))
		}
		if _, twice := refs[ref]; twice {
			return bad("it names a ref twice")
		}
		if strings.HasPrefix(ref, Tags) != (len(f) == 5) {
			return bad("it says too much or too little of a ref")
		}
		var h [3]hash.Hash
		for i, text := range f[2:] {
			if h[i], err = hash.Parse(text); err != nil || h[i].IsZero() {
				return bad("a hash is none")
			}
		}
		refs[ref] = Ref{Name: ref, Target: Target{Commit: history.CommitID(h[0]), List: h[1], Tag: h[2]}}
	}
	if sc.Err() != nil || !ended {
		return bad("it is cut short")
	}
	return refs, nil
}

// snapshotObject is the name of a new snapshot of that time.
func snapshotObject(at time.Time) string {
	return snapshotsDir + strings.Replace(at.UTC().Format(snapshotTime), ".", "", 1) + "-" + nonce()
}

// snapshotNamed is the inverse of snapshotObject.
func snapshotNamed(object string) (SnapshotInfo, error) {
	digits, tail, ok := strings.Cut(strings.TrimPrefix(object, snapshotsDir), "-")
	if n := len(snapshotTime) - len(".000000"); ok && len(digits) == len(snapshotTime)-1 && isID(tail) {
		if at, err := time.Parse(snapshotTime, digits[:n]+"."+digits[n:]); err == nil {
			return SnapshotInfo{Time: at, name: object}, nil
		}
	}
	return SnapshotInfo{}, errs.New(errs.Invalid, "the remote has an object %q, which is no snapshot", object)
}

// snapshots lists the snapshots, the oldest first. Objects that are none go to odd, whose error ends it.
func (r *Remote) snapshots(ctx context.Context, odd func(error) error) ([]SnapshotInfo, error) {
	list, err := r.s.List(ctx, snapshotsDir)
	if err != nil {
		return nil, fmt.Errorf("list the snapshots of %s: %w", r.URL(), err)
	}
	object.SortInfos(list)
	var out []SnapshotInfo
	for _, in := range list {
		x, err := snapshotNamed(in.Name)
		if err == nil {
			out = append(out, x)
		} else if err = odd(err); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(out, func(a, b SnapshotInfo) int { return a.Time.Compare(b.Time) })
	return out, nil
}

// Snapshots lists the snapshots, the oldest first. Objects that are none are passed over with a warning.
func (r *Remote) Snapshots(ctx context.Context) ([]SnapshotInfo, error) {
	return r.snapshots(ctx, func(err error) error {
		if r.Warn != nil {
			r.Warn(err.Error())
		}
		return nil
	})
}

// Snapshot reads a snapshot. One that was forgotten meanwhile is an error of class NotFound.
func (r *Remote) Snapshot(ctx context.Context, x SnapshotInfo) (*Snapshot, error) {
	data, _, err := r.s.Get(ctx, x.name)
	if err != nil {
		return nil, fmt.Errorf("read the snapshot of %s at %s: %w", x.Time.Format(time.RFC3339), r.URL(), err)
	}
	refs, err := decodeSnapshot(data, x.name)
	if err != nil {
		return nil, r.brokenSnapshot(x, err)
	}
	return &Snapshot{SnapshotInfo: x, Refs: refs}, nil
}

// brokenSnapshot adds to the error of what is broken of a snapshot which one it is, and what makes an end of that.
func (r *Remote) brokenSnapshot(x SnapshotInfo, err error) error {
	if !errs.Is(err, errs.Corrupt) {
		return err
	}
	return damagedError{errs.New(errs.Corrupt, "the sync of %s that %s remembers is damaged: %w\nhint: 'backup forget --damaged' of the backup drops such syncs; what its branches and tags have now is not touched", x.Time.Format(SyncTime), r.URL(), err)}
}

// ReadSnapshots reads snapshots, in their order, without those that are forgotten meanwhile. One that is damaged is Broken.
func (r *Remote) ReadSnapshots(ctx context.Context, list []SnapshotInfo) ([]*Snapshot, error) {
	all := make([]*Snapshot, len(list))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i, x := range list {
		g.Go(func() (err error) {
			all[i], err = r.Snapshot(ctx, x)
			switch {
			case errs.Is(err, errs.NotFound):
				return nil
			case errs.Is(err, errs.Corrupt):
				all[i] = &Snapshot{SnapshotInfo: x, Broken: err}
				return nil
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(s *Snapshot) bool { return s == nil }), nil
}

// snapshotTries is how often a snapshot is put anew because the refs have changed meanwhile.
const snapshotTries = 20

// KeepSnapshot makes the remote remember that refs were what they are at the time at, with all that they reach, until that is forgotten. Where a snapshot is
// there that claims to be as new, by a clock that was ahead, it is a microsecond newer than that: the newest is always the one that was put last.
//
// What the snapshot names is claimed, and when it is put the refs are read again: where one of its lists is no ref's any more, others may have made the
// remote forget what was there before, or collect it, and it gives way to one of what the refs are then. now is nil for the system's clock.
func (r *Remote) KeepSnapshot(ctx context.Context, at time.Time, refs map[string]Ref, now func() time.Time) error {
	fail := func(err error) error { return fmt.Errorf("keep a snapshot at %s: %w", r.URL(), err) }
	for range snapshotTries {
		x, err := r.putSnapshot(ctx, at, refs)
		if err != nil && !isLost(err) && removedOf(err) == nil {
			return fail(err)
		}
		seen, e := r.See(ctx)
		if e != nil {
			return fail(errors.Join(err, e))
		}
		stale := staleSnapshot(refs, seen.refs)
		if !stale {
			if err != nil { // what the refs themselves need is lost
				err = fail(r.damaged(err))
			}
			return err
		}
		if err == nil {
			if err := r.ForgetSnapshots(ctx, []SnapshotInfo{x}); err != nil {
				return fail(err)
			}
		}
		refs, at = seen.refs, r.pledge(now).begun
	}
	return fail(errs.New(errs.Unavailable, "others change the refs all the time; try again"))
}

// staleSnapshot tells whether a list of a snapshot of refs is that of no ref any more, as they are now.
func staleSnapshot(refs, now map[string]Ref) bool {
	lists := map[hash.Hash]bool{}
	for _, x := range now {
		lists[x.List] = true
	}
	for _, x := range snapshotRefs(refs) {
		if !lists[x.List] {
			return true
		}
	}
	return false
}

// putSnapshot marks, claims and puts.
func (r *Remote) putSnapshot(ctx context.Context, at time.Time, refs map[string]Ref) (x SnapshotInfo, err error) {
	kept := &Snapshot{Refs: snapshotRefs(refs)}
	if err := r.MarkSnapshots(ctx); err != nil {
		return x, err
	}
	if err := r.claimAll(ctx, kept.Targets()); err != nil {
		return x, err
	}
	list, err := r.Snapshots(ctx)
	if err != nil {
		return x, err
	}
	if n := len(list); n > 0 && !at.After(list[n-1].Time) { // by another clock
		at = list[n-1].Time.Add(time.Microsecond)
	}
	x = SnapshotInfo{Time: at, name: snapshotObject(at)}
	return x, r.s.Put(ctx, x.name, object.Bytes(encodeSnapshot(kept.Refs)), object.IfAbsent)
}

// claimAll claims the lists of targets and their packs. A list that is not there any more is an error of isLost.
func (r *Remote) claimAll(ctx context.Context, targets []Target) error {
	packs, err := r.packs(ctx, targets)
	if err != nil {
		return err
	}
	var objects []string
	for _, p := range packs {
		objects = append(objects, p.object())
	}
	for _, t := range targets {
		objects = append(objects, listsDir+t.List.Full())
	}
	return r.claim(ctx, objects)
}

// MarkSnapshots makes sure that no program which does not know of snapshots collects what they name: it cannot read the notes of collections any more.
func (r *Remote) MarkSnapshots(ctx context.Context) error {
	for range claimTries {
		g, gen, err := r.garbage(ctx)
		if err != nil || g.snapshots {
			return err
		}
		g.snapshots = true
		if err = r.s.Put(ctx, garbageName, object.Bytes(g.encode()), object.If(gen)); !errs.Is(err, errs.Conflict) {
			return err
		}
	}
	return errs.New(errs.Unavailable, "others change the object %s all the time; try again", garbageName)
}

// ForgetSnapshots removes snapshots. What they alone named is garbage then.
func (r *Remote) ForgetSnapshots(ctx context.Context, list []SnapshotInfo) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, x := range list {
		g.Go(func() error {
			err := r.s.Delete(gctx, x.name)
			if errs.Is(err, errs.NotFound) { // others forget it, too
				return nil
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("forget snapshots of %s: %w", r.URL(), err)
	}
	return nil
}

// Look finds out which of snapshots name lists that are lost or damaged, or packs that are lost or have another size, and makes them Broken.
func (r *Remote) Look(ctx context.Context, all []*Snapshot) error {
	list, err := r.s.List(ctx, packsDir)
	if err != nil {
		return fmt.Errorf("list the packs of %s: %w", r.URL(), err)
	}
	sizes := map[string]int64{}
	for _, in := range list {
		sizes[in.Name] = in.Size
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, x := range all {
		if x.Broken != nil {
			continue
		}
		g.Go(func() error {
			packs, err := r.packs(ctx, x.Targets())
			for _, p := range packs {
				if size, there := sizes[p.object()]; !there {
					err = r.lost("pack " + p.Digest.Full())
				} else if size != p.Size {
					err = errs.New(errs.Corrupt, "the pack %s of the remote %s has %d bytes, not %d", p.Digest.Full(), r.URL(), size, p.Size)
				}
			}
			if errs.Is(err, errs.Corrupt) {
				x.Broken, err = r.brokenSnapshot(x.SnapshotInfo, err), nil
			}
			return err
		})
	}
	return g.Wait()
}

// snapshotNeeds are the targets of all snapshots and their packs, and whether there is any snapshot, for a collection: what it cannot understand is an error.
func (r *Remote) snapshotNeeds(ctx context.Context) (targets []Target, packs []Pack, any bool, err error) {
	list, err := r.snapshots(ctx, func(err error) error { return err })
	if err != nil {
		return nil, nil, false, err
	}
	all, err := r.ReadSnapshots(ctx, list)
	if err != nil {
		return nil, nil, false, err
	}
	for _, x := range all {
		if x.Broken != nil {
			return nil, nil, false, x.Broken
		}
		targets = append(targets, x.Targets()...)
	}
	packs, err = r.packs(ctx, targets)
	if errs.Is(err, errs.Corrupt) {
		for _, x := range all { // which one it is
			if _, err := r.packs(ctx, x.Targets()); err != nil {
				return nil, nil, false, r.brokenSnapshot(x.SnapshotInfo, err)
			}
		}
	}
	return targets, packs, len(list) > 0, err
}
