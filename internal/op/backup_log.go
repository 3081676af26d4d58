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

// syncTime is the form in which the times of syncs are written: --at takes it, and finds that sync by it.
const syncTime = "2006-01-02 15:04:05.000000"

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
		out.Printf("%s  %s", x.Time.Format(syncTime), text)
	}
	out.Hints = *hints
	return out, nil
}

// BackupForget is the verb that makes a backup forget syncs.
type BackupForget struct {
	Keep   string `flag:"keep" value:"rules" help:"forget what these rules do not keep, as those of retention: \"all 7d, daily 90d\""`
	Before string `flag:"before" value:"time" help:"forget what is older"`
	DryRun bool   `flag:"dry-run,n" help:"only say what would be forgotten"`
	Of     string `arg:"1" required:"true" value:"name|url" help:"the name of a backup, or a URL"`
}

func backupForgetSpec() Spec {
	return Define[BackupForget](Spec{
		Name: "backup forget", Columns: backupForgetColumns, Group: GroupCare, Admin: true,
		Short: "Make a backup forget old syncs",
		Long: `The snapshots of the syncs are removed; the newest always stays. What the branches and tags have now is not touched. 'gc --remote' then removes what
only those had that are forgotten: commits that were reset away, say, or branches that were removed.`,
		Usage: []string{"[-n] --keep <rules>|--before <time> <name>|<url>"},
		Examples: []Example{
			{`backup forget --keep "all 7d, daily 90d, monthly forever" file:///mnt/backups/prices`, "thin the syncs"},
			{"backup forget --before 2026-11-01 file:///mnt/backups/prices", "forget those that are older"},
		},
	})
}

// Run forgets.
func (c *BackupForget) Run(ctx context.Context, s *Scope) (*Result, error) {
	if (c.Keep == "") == (c.Before == "") {
		return nil, errs.New(errs.Invalid, `backup forget: say what is to stay, --keep "all 7d, daily 90d", or what is to go, --before <time>`)
	}
	var keeps func(times []time.Time) []bool
	if c.Keep != "" {
		rules, err := history.ParseRetention(c.Keep)
		if err != nil {
			return nil, err
		}
		keeps = func(times []time.Time) []bool { return rules.Keeps(times, s.now()) }
	} else {
		before, err := ParseTime(c.Before)
		if err != nil {
			return nil, err
		}
		keeps = func(times []time.Time) []bool {
			out := make([]bool, len(times))
			for i, t := range times {
				out[i] = !t.Before(before) || i == len(times)-1
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
	times := make([]time.Time, len(list))
	for i, x := range list {
		times[i] = x.Time
	}
	res := &Result{Columns: backupForgetColumns, Lines: []string{}, Hints: *hints}
	var gone []sync.SnapshotInfo
	for i, stays := range keeps(times) {
		res.Add(times[i], Truth(!stays))
		if !stays {
			gone = append(gone, list[i])
			if c.DryRun {
				res.Printf("would forget %s", times[i].Format(syncTime))
			}
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
	res.Printf("%d of %s %s.", len(gone), plural(uint64(len(list)), "sync"), did)
	if len(gone) > 0 && !c.DryRun {
		res.Hints = append(res.Hints, "'"+s.Program()+" gc --remote "+r.URL()+"' removes what only they had")
	}
	return res, nil
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
func remember(ctx context.Context, s *Scope, r *sync.Remote, refs map[string]sync.Ref, changed bool, begun, at time.Time) (kept bool, err error) {
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
			if err == nil && last.Names(refs) || err != nil && !errs.Is(err, errs.NotFound) {
				return false, err
			}
		}
	}
	return true, r.KeepSnapshot(ctx, at, refs, begun, s.now)
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
