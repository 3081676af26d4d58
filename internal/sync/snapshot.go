package sync

import (
	"bufio"
	"bytes"
	"context"
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

// SnapshotInfo is a snapshot as a list of them has it.
type SnapshotInfo struct {
	Time time.Time // when the refs were so, in microseconds
	name string    // of the object
}

// Snapshot is what the refs of a backup were at a sync: its branches, tags and working sets.
type Snapshot struct {
	SnapshotInfo
	Refs map[string]Ref // heads/…, tags/… and work/…, with targets alone
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
	return &Snapshot{SnapshotInfo: x, Refs: refs}, err
}

// ReadSnapshots reads snapshots, in their order, without those that are forgotten meanwhile.
func (r *Remote) ReadSnapshots(ctx context.Context, list []SnapshotInfo) ([]*Snapshot, error) {
	all := make([]*Snapshot, len(list))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i, x := range list {
		g.Go(func() (err error) {
			if all[i], err = r.Snapshot(ctx, x); errs.Is(err, errs.NotFound) {
				all[i], err = nil, nil
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(s *Snapshot) bool { return s == nil }), nil
}

// KeepSnapshot makes the remote remember that refs were what they are at the time at, with all that they reach, until that is forgotten. begun is when they
// were read: what collections of garbage have noted in a long time since is claimed, as a push does for its refs. now is nil for the system's clock.
func (r *Remote) KeepSnapshot(ctx context.Context, at time.Time, refs map[string]Ref, begun time.Time, now func() time.Time) error {
	fail := func(err error) error { return fmt.Errorf("keep a snapshot at %s: %w", r.URL(), err) }
	kept := &Snapshot{Refs: snapshotRefs(refs)}
	if err := r.markSnapshots(ctx); err != nil {
		return fail(err)
	}
	counted := r.pledge(now)
	if counted.begun = begun; counted.now().Sub(begun) > claimEvery {
		if err := counted.claimAll(ctx, kept.Targets()); err != nil {
			return fail(err)
		}
	}
	if err := r.s.Put(ctx, snapshotObject(at), object.Bytes(encodeSnapshot(kept.Refs)), object.IfAbsent); err != nil {
		return fail(err)
	}
	return nil
}

// claimAll claims the lists of targets and their packs.
func (p *pledge) claimAll(ctx context.Context, targets []Target) error {
	packs, err := p.r.Packs(ctx, targets...)
	if err != nil {
		return err
	}
	var lists []string
	for _, t := range targets {
		if n := listsDir + t.List.Full(); !slices.Contains(lists, n) {
			lists = append(lists, n)
		}
	}
	if err := p.claim(ctx, packs, ""); err != nil {
		return err
	}
	return p.r.claim(ctx, lists)
}

// markSnapshots makes sure that no program which does not know of snapshots collects what they name: it cannot read the notes of collections any more.
func (r *Remote) markSnapshots(ctx context.Context) error {
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

// snapshotTargets are the targets of all snapshots, for a collection: what it cannot understand is an error.
func (r *Remote) snapshotTargets(ctx context.Context) ([]Target, error) {
	list, err := r.snapshots(ctx, func(err error) error { return err })
	if err != nil {
		return nil, err
	}
	all, err := r.ReadSnapshots(ctx, list)
	if err != nil {
		return nil, err
	}
	seen := map[hash.Hash]bool{}
	var out []Target
	for _, s := range all {
		for _, t := range s.Targets() {
			if !seen[t.List] {
				seen[t.List] = true
				out = append(out, t)
			}
		}
	}
	return out, nil
}
