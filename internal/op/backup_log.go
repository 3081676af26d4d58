package op

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/sync"
)

// What the verbs about syncs of a backup answer.
var (
	backupLogColumns    = []Column{Moment("time"), Whole("branches"), Whole("tags"), Whole("uncommitted")}
	backupForgetColumns = []Column{Moment("time"), Flag("forgotten")}
)

// BackupLog is the verb that lists the syncs of a backup.
type BackupLog struct {
	Of string `arg:"1" required:"true" value:"name|url" help:"the name of a backup, or a URL"`
}

func backupLogSpec() Spec {
	return Define[BackupLog](Spec{
		Name: "backup log", Columns: backupLogColumns, Group: GroupCare, ReadOnly: true, Admin: true,
		Short: "List the syncs that a backup remembers",
		Long: `Each 'backup sync' that finds something new leaves a snapshot at the backup: what its branches, tags and working sets were. They are listed with the
newest first, by their time in UTC, which 'backup restore --at' takes.`,
		Examples: []Example{{"backup log file:///mnt/backups/prices", "to which times one can go back, without a database here"}},
	})
}

// Run lists.
func (c *BackupLog) Run(ctx context.Context, s *Scope) (*Result, error) {
	r, hints, err := s.openBackup(ctx, c.Of)
	if err != nil {
		return nil, err
	}
	list, err := snapshotsOf(ctx, r)
	if err != nil {
		return nil, err
	}
	all, err := r.ReadSnapshots(ctx, list)
	if err != nil {
		return nil, err
	}
	out := &Result{Columns: backupLogColumns, Lines: []string{}}
	for _, x := range slices.Backward(all) {
		if x.Broken != nil {
			out.Add(x.Time, nil, nil, nil)
			out.Printf("%s  damaged: 'backup forget --damaged' drops it", x.Time.Format(sync.SyncTime))
			continue
		}
		n := map[string]uint64{}
		for name := range x.Refs {
			kind, _, _ := strings.Cut(name, "/")
			n[kind+"/"]++
		}
		out.Add(x.Time, int64(n[sync.Heads]), int64(n[sync.Tags]), int64(n[sync.Work]))
		text := plural(n[sync.Heads], "branch") + ", " + plural(n[sync.Tags], "tag")
		if n[sync.Work] > 0 {
			text += ", uncommitted changes of " + plural(n[sync.Work], "branch")
		}
		out.Printf("%s  %s", x.Time.Format(sync.SyncTime), text)
	}
	out.Hints = *hints
	return out, nil
}

// BackupForget is the verb that makes a backup forget syncs.
type BackupForget struct {
	Keep    string `flag:"keep" value:"rules" help:"forget what these rules do not keep, as those of retention: \"all 7d, daily 90d\""`
	Before  string `flag:"before" value:"time" help:"forget what is older"`
	Damaged bool   `flag:"damaged" help:"forget the syncs of which something is damaged or lost; it reads what all need"`
	DryRun  bool   `flag:"dry-run,n" help:"only say what would be forgotten"`
	Of      string `arg:"1" required:"true" value:"name|url" help:"the name of a backup, or a URL"`
}

func backupForgetSpec() Spec {
	return Define[BackupForget](Spec{
		Name: "backup forget", Columns: backupForgetColumns, Group: GroupCare, Admin: true,
		Short: "Make a backup forget old syncs",
		Long: `The snapshots of the syncs are removed; the newest always stays, and that of what the branches and tags are now. Those that cannot be read go. What the
branches and tags have now is not touched. 'gc --remote' then removes what only those had that are forgotten: commits that were reset away, say, or
branches that were removed.`,
		Usage: []string{"[-n] --keep <rules>|--before <time>|--damaged <name>|<url>"},
		Examples: []Example{
			{`backup forget --keep "all 7d, daily 90d, monthly forever" file:///mnt/backups/prices`, "thin the syncs"},
			{"backup forget --before 2026-11-01 file:///mnt/backups/prices", "forget those that are older"},
		},
	})
}

// Run forgets.
func (c *BackupForget) Run(ctx context.Context, s *Scope) (*Result, error) {
	ways := 0
	for _, said := range []bool{c.Keep != "", c.Before != "", c.Damaged} {
		if said {
			ways++
		}
	}
	if ways != 1 {
		return nil, errs.New(errs.Invalid, `backup forget: say what is to stay, --keep "all 7d, daily 90d", or what is to go, --before <time> or --damaged`)
	}
	keeps := func(times []time.Time) []bool { return slices.Repeat([]bool{true}, len(times)) }
	if c.Keep != "" {
		rules, err := history.ParseRetention(c.Keep)
		if err != nil {
			return nil, err
		}
		if rules.OnlyTags() {
			return nil, errs.New(errs.Invalid, `backup forget: the rules "%s" say of tags alone what stays, and a sync is none: say it of times, as "all 7d, daily 90d"`, c.Keep)
		}
		keeps = func(times []time.Time) []bool { return rules.Keeps(times, s.now()) }
	} else if c.Before != "" {
		before, err := ParseTime(c.Before)
		if err != nil {
			return nil, err
		}
		keeps = func(times []time.Time) []bool {
			out := make([]bool, len(times))
			for i, t := range times {
				out[i] = !t.Before(before)
			}
			return out
		}
	}
	r, hints, err := s.openBackup(ctx, c.Of)
	if err != nil {
		return nil, err
	}
	list, err := snapshotsOf(ctx, r) // the oldest first
	if err != nil {
		return nil, err
	}
	all, err := r.ReadSnapshots(ctx, list)
	if err != nil {
		return nil, err
	}
	if c.Damaged {
		if err := damagedSyncs(ctx, s, r, all); err != nil {
			return nil, err
		}
	}
	stays, err := keptSyncs(ctx, r, all, keeps)
	if err != nil {
		return nil, err
	}
	res := &Result{Columns: backupForgetColumns, Lines: []string{}, Hints: *hints}
	var gone []sync.SnapshotInfo
	for i, x := range all {
		res.Add(x.Time, Truth(!stays[i]))
		if stays[i] {
			continue
		}
		gone = append(gone, x.SnapshotInfo)
		switch {
		case c.DryRun && x.Broken != nil:
			res.Printf("would forget %s, which is damaged", x.Time.Format(sync.SyncTime))
		case c.DryRun:
			res.Printf("would forget %s", x.Time.Format(sync.SyncTime))
		case x.Broken != nil:
			res.Printf("%s is damaged", x.Time.Format(sync.SyncTime))
		}
	}
	if !c.DryRun {
		if err := r.ForgetSnapshots(ctx, gone); err != nil {
			return nil, err
		}
	}
	did := "forgotten"
	if c.DryRun {
		did = "would be forgotten"
	}
	res.Printf("%d of %s %s.", len(gone), plural(uint64(len(all)), "sync"), did)
	if len(gone) > 0 && !c.DryRun {
		res.Hints = append(res.Hints, "'"+s.Program()+" gc --remote "+r.URL()+"' removes what only they had")
	}
	return res, nil
}

// keptSyncs says which of the snapshots, the oldest first, stay: those that are whole and that keeps says, the newest that is whole, and the newest that says
// what the refs are now, which is another where the clock of a machine was wrong.
func keptSyncs(ctx context.Context, r *sync.Remote, all []*sync.Snapshot, keeps func([]time.Time) []bool) ([]bool, error) {
	var whole []int
	var times []time.Time
	for i, x := range all {
		if x.Broken == nil {
			whole, times = append(whole, i), append(times, x.Time)
		}
	}
	stays := make([]bool, len(all))
	if len(whole) == 0 {
		return stays, nil
	}
	for n, stay := range keeps(times) {
		stays[whole[n]] = stay
	}
	stays[whole[len(whole)-1]] = true
	refs, err := r.Refs(ctx)
	if errs.Is(err, errs.Corrupt) { // then it is the snapshots that count
		return stays, nil
	}
	if err != nil {
		return nil, err
	}
	for _, i := range slices.Backward(whole) {
		if all[i].Names(refs) {
			stays[i] = true
			break
		}
	}
	return stays, nil
}

// now is the time.
func (s *Scope) now() time.Time {
	if s.Clock == nil {
		return clock.System{}.Now()
	}
	return s.Clock.Now()
}

// openBackup opens the backup of a name or at a URL.
func (s *Scope) openBackup(ctx context.Context, of string) (*sync.Remote, *[]string, error) {
	m, err := objectIn(s.Settings.Local, backupsSetting)
	if err != nil {
		return nil, nil, err
	}
	r, err := (&Backup{}).open(ctx, s, of, m[of] != "" || remoteName.MatchString(of))
	if err != nil {
		return nil, nil, err
	}
	return r, warnings(r), nil
}

// atServer tells whether that is the URL of a database of a server, which remembers no syncs.
func atServer(url string) bool {
	return strings.HasPrefix(url, "http://") || strings.HasPrefix(url, "https://")
}

// snapshotsOf are the snapshots of a backup, the oldest first.
func snapshotsOf(ctx context.Context, r *sync.Remote) ([]sync.SnapshotInfo, error) {
	if atServer(r.URL()) {
		return nil, nil
	}
	return r.Snapshots(ctx)
}

// remember keeps a snapshot of what a backup's refs are, as of at, unless changed says that a sync has changed nothing and the last one has it.
func remember(ctx context.Context, s *Scope, r *sync.Remote, refs map[string]sync.Ref, changed bool, at time.Time) (kept bool, err error) {
	if atServer(r.URL()) {
		return changed, nil
	}
	if !changed {
		list, err := r.Snapshots(ctx)
		if err != nil {
			return false, err
		}
		if len(list) > 0 {
			last, err := r.Snapshot(ctx, list[len(list)-1])
			if err == nil && last.Names(refs) {
				return false, r.MarkSnapshots(ctx) // where the notes of collections were lost
			}
			if err != nil && !errs.Is(err, errs.NotFound) && !errs.Is(err, errs.Corrupt) {
				return false, err
			}
		}
	}
	return true, r.KeepSnapshot(ctx, at, refs, s.now)
}

// forgetLost makes a place forget the syncs of list of which lists or packs are lost, or that cannot be read: they are what it gives.
func forgetLost(ctx context.Context, r *sync.Remote, list []sync.SnapshotInfo) ([]*sync.Snapshot, error) {
	all, err := r.ReadSnapshots(ctx, list)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	if err := r.Look(ctx, all); err != nil {
		return nil, err
	}
	bad := damagedOf(all)
	var gone []sync.SnapshotInfo
	for _, x := range bad {
		gone = append(gone, x.SnapshotInfo)
	}
	return bad, r.ForgetSnapshots(ctx, gone)
}

// forgetAll makes a place forget all syncs, and says so.
func forgetAll(ctx context.Context, r *sync.Remote) (hint string, err error) {
	list, err := snapshotsOf(ctx, r)
	if err != nil || len(list) == 0 {
		return "", err
	}
	if err := r.ForgetSnapshots(ctx, list); err != nil {
		return "", errors.Join(errs.New(errs.CodeOf(err), "all was sent anew, but the syncs of backups that the place remembers may need what was there before; push again"), err)
	}
	return plural(uint64(len(list)), "sync") + " of backups that the place remembered had what was there before: forgotten", nil
}
