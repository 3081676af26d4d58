package op

import (
	"context"
	"strings"
	"time"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/sync"
)

// defaultGrace is how long what no ref of a remote needs stays there.
const defaultGrace = 24 * time.Hour

// remote collects the garbage of a remote.
func (c *GC) remote(ctx context.Context, s *Scope) (*Result, error) {
	if c.Full || c.Shallow || c.Expire != "" || c.Compress != "auto" && c.Compress != "" {
		return nil, errs.New(errs.Invalid, "gc: --remote goes with --grace and --dry-run only")
	}
	grace := defaultGrace
	if c.Grace != "" {
		var err error
		if grace, err = ParseDuration(c.Grace); err != nil {
			return nil, errs.New(errs.Invalid, "gc: --grace: %w", err)
		}
		if grace < 0 {
			return nil, errs.New(errs.Invalid, "gc: --grace: a time is not negative")
		}
	}
	r, _, err := s.openRemote(ctx, c.Remote)
	if err != nil {
		return nil, err
	}
	if err := made(r); err != nil {
		return nil, err
	}
	if strings.HasPrefix(r.URL(), "http://") || strings.HasPrefix(r.URL(), "https://") {
		return nil, errs.New(errs.Unsupported, "gc: %s is a server, which collects the garbage of its databases itself; run gc there to do it now", r.URL())
	}
	now := s.Clock
	if now == nil {
		now = clock.System{}
	}
	done, err := (&sync.Collect{Remote: r, Now: now.Now(), Grace: grace, DryRun: c.DryRun, Progress: s.syncProgress()}).Run(ctx)
	if err != nil {
		return nil, err
	}
	after := done.Used.Bytes + done.Waiting.Bytes + done.Left.Bytes
	res := &Result{Columns: gcColumns, Lines: []string{}}
	res.Add(int64(0), after+done.Removed.Bytes, after, nil, nil, int64(done.Packs), int64(0), done.Waiting.Bytes, nil, nil, nil)
	verb := "removed"
	if c.DryRun {
		verb = "would be removed"
	}
	res.Printf("%s before, %s now; %s in use, %s %s (%s).", megabytes(after+done.Removed.Bytes), megabytes(after), plural(uint64(done.Used.Objects), "object"),
		plural(uint64(done.Removed.Objects), "object"), verb, megabytes(done.Removed.Bytes))
	if n := done.Waiting.Objects; n > 0 {
		res.Printf("%s that no ref needs may be of a push that is under way (%s); 'gc --remote' removes what is not needed still, the first of it after %s.",
			plural(uint64(n), "object"), megabytes(done.Waiting.Bytes), done.Next.Local().Format("2006-01-02 15:04"))
	}
	if n := done.Undecided; n > 0 {
		res.Printf("%s of several branches at once %s begun and not ended; what such a change was to make stays until 'gc --remote' gives it up, %s after it was first seen, if nobody has before.",
			plural(uint64(n), "change"), map[bool]string{true: "was", false: "were"}[n == 1], grace)
	}
	if n := done.GivenUp; n > 0 {
		given := "given up"
		if c.DryRun {
			given = "would be given up"
		}
		res.Printf("%s of several branches at once, begun and not ended before the grace period, %s: the branches are as they were before.", plural(uint64(n), "change"), given)
	}
	if n := done.Left.Objects; n > 0 {
		res.Printf("What is left of %s stays: the server minds no condition of a delete, so that a branch that somebody makes again meanwhile could be lost.", plural(uint64(n), "removed ref"))
	}
	return res, nil
}
