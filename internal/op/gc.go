package op

import (
	"context"
	"fmt"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/repo"
)

// gcColumns are the columns of what gc answers. Sizes are in bytes.
var gcColumns = []Column{
	Whole("status"), Whole("bytes_before"), Whole("bytes_after"), Whole("chunks_in_use"), Whole("chunks_removed"), Whole("packs_removed"),
	Whole("packs_written"), Whole("garbage_left"), Whole("moves_forgotten"), Whole("chunks_compressed"), Whole("bytes_saved"),
}

// GC is the verb that removes what nothing reaches any more.
type GC struct {
	Full     bool   `flag:"full" help:"rewrite every file that has any garbage, not only those that are a tenth garbage"`
	Shallow  bool   `flag:"shallow,s" help:"rewrite no packs, only remove those that are garbage as a whole"`
	Compress string `flag:"compress" enum:"auto,all,none" bare:"all" default:"auto" help:"which history is compressed with dictionaries: of files that are rewritten anyway, of all, or none; --full takes all for auto"`
	Expire   string `flag:"expire" value:"age" help:"forget what refs named before, when that is so long ago: 14d, 36h, now"`
	Remote   string `flag:"remote" value:"remote" complete:"remote" help:"collect the garbage of this remote, a name or a URL, in place of the database's own"`
	Grace    string `flag:"grace" value:"time" help:"with --remote: how long what no ref needs stays for the sake of pushes that are under way; otherwise 24h"`
	DryRun   bool   `flag:"dry-run,n" help:"with --remote: only say what would be removed"`
	Archive  int    `flag:"archive-level" hidden:"true" help:"accepted for compatibility"`
}

func gcSpec() Spec {
	return Define[GC](Spec{
		Name: "gc", Columns: gcColumns, Group: GroupCare, Needs: NeedDatabase, Admin: true,
		Short: "Remove what nothing reaches any more",
		Long: `What branches, tags, branches of remotes, working and staged sets, merges and rebases in progress, stashes, the reflog and lineage
reach stays, and so does what is being read or written. All else is removed from the files of the database. Others may read and write
meanwhile. When it is interrupted nothing is lost and nothing is left over.

The reflog keeps what a branch or tag named in the last 90 days; --expire shortens that, for this time.

What only older commits reach is compressed with dictionaries that are made of it, where that saves a tenth or more; what branches, working and
staged sets hold now stays as fast to read as it is. '--compress' does so for all files, '--compress=none' stores what it rewrites without. Pages of
one table are much alike, so history takes about half.

A process that keeps the database open collects garbage by itself when as much has been written as was left the last time: see gc.auto and
gc.growth in 'config'.

With --remote it is packs and lists of a remote, file:// or a bucket, that go when none of its refs needs them. A push that is under way has put
packs that nothing needs yet: so the first time they are only noted, and removed when 'gc --remote' finds them unused still after the grace
period. Everybody may push and fetch meanwhile. '--grace 0s' is for when nobody pushes; a bucket on which 'sql-server --store' works is written to
all the time, so it is none for that. A server collects the garbage of its databases itself.`,
		Examples: []Example{
			{"gc", "make room"},
			{"gc --full --expire now", "remove everything that is not in use at this moment, deleted branches included"},
			{"gc --compress", "compress the history in all files as well"},
			{"gc --remote file:///mnt/share/prices", "note what no ref of a remote needs, and remove what was noted a day ago"},
		},
	})
}

// Anywhere implements Anywhere: a remote's garbage has nothing to do with a database here.
func (c *GC) Anywhere() bool { return c.Remote != "" }

// Run collects.
func (c *GC) Run(ctx context.Context, s *Scope) (*Result, error) {
	if c.Remote != "" {
		return c.remote(ctx, s)
	}
	if c.Grace != "" || c.DryRun {
		return nil, errs.New(errs.Invalid, "gc: --grace and --dry-run go with --remote only")
	}
	if c.Full && c.Shallow {
		return nil, errs.New(errs.Invalid, "gc: --full and --shallow exclude each other")
	}
	if c.Shallow && c.Compress == "all" {
		return nil, errs.New(errs.Invalid, "gc: --shallow rewrites nothing, so that it cannot compress: leave out one of --shallow and --compress")
	}
	opt := repo.CollectOptions{Full: c.Full, Drop: c.Shallow}
	switch c.Compress {
	case "all":
		opt.Compress = pack.CompressAll
	case "none":
		opt.Compress = pack.CompressNone
	}
	if c.Expire != "" {
		age := time.Duration(0)
		if c.Expire != "now" {
			var err error
			if age, err = ParseDuration(c.Expire); err != nil {
				return nil, errs.New(errs.Invalid, "gc: --expire: %w", err)
			}
		}
		if age < 0 {
			return nil, errs.New(errs.Invalid, "gc: --expire: an age is not negative")
		}
		opt.Expire = s.Repo.Clock().Now().Add(-age)
	}
	mark := s.Start("find what is in use", 0, "chunks")
	opt.Marked = func(n int) { mark.Add(int64(n)) }
	var copying Task
	opt.Copied = func(n int64) {
		if copying == nil {
			copying = s.Start("keep what is in use", 0, "bytes")
		}
		copying.Add(n)
	}
	done, err := s.Repo.Collect(ctx, opt)
	mark.Done(err)
	if copying != nil {
		copying.Done(err)
	}
	if err != nil {
		return nil, err
	}
	r := &Result{Columns: gcColumns, Lines: []string{}}
	r.Add(int64(0), done.Before, done.After, int64(done.Marked), int64(done.ChunksRemoved), int64(done.PacksRemoved), int64(done.PacksWritten), done.GarbageLeft, int64(done.Expired), int64(done.Compressed), done.Saved)
	r.Printf("%s before, %s now; %s in use, %s removed.", megabytes(done.Before), megabytes(done.After), plural(uint64(done.Marked), "chunk"), plural(uint64(done.ChunksRemoved), "chunk"))
	if done.Compressed > 0 {
		r.Printf("%s of history compressed with dictionaries, %s less.", plural(uint64(done.Compressed), "chunk"), megabytes(done.Saved))
	}
	if done.Expired > 0 {
		r.Printf("%s of refs forgotten.", plural(uint64(done.Expired), "move"))
	}
	if done.GarbageLeft > 0 {
		r.Hints = append(r.Hints, megabytes(done.GarbageLeft)+" of garbage are left in files that are mostly in use; 'gc --full' removes them too")
	}
	return r, nil
}

// megabytes is a size as people read it.
func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
