package op

import (
	"context"
	"fmt"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/sync"
)

// Pull is the verb that fetches and merges.
type Pull struct {
	Rebase   bool   `flag:"rebase,r" help:"make the branch's own commits again on top of what was fetched, instead of a merge"`
	NoFF     bool   `flag:"no-ff" help:"make a merge commit even where the branch could be moved forward"`
	FFOnly   bool   `flag:"ff-only" help:"move the branch forward or fail"`
	Squash   bool   `flag:"squash" help:"leave the result staged, as one change without a second parent"`
	Commit   bool   `flag:"commit" hidden:"true" help:"accepted for compatibility"`
	NoCommit bool   `flag:"no-commit" help:"leave the result staged, for a commit that ends the merge"`
	NoEdit   bool   `flag:"no-edit" hidden:"true" help:"accepted for compatibility"`
	Prune    bool   `flag:"prune,p" help:"forget branches of the remote that are gone there"`
	Force    bool   `flag:"force,f" hidden:"true" help:"accepted for compatibility"`
	Silent   bool   `flag:"silent" hidden:"true" help:"accepted for compatibility"`
	Skip     bool   `flag:"skip-verification" hidden:"true" help:"accepted for compatibility"`
	Remote   string `arg:"1" value:"remote" complete:"remote" help:"the name of a remote; otherwise the one that the branch follows, or origin"`
	Branch   string `arg:"2" value:"branch" help:"the branch of the remote; otherwise the one that the branch follows, or the one of its name"`
}

// pullColumns are the columns of what pull answers.
var pullColumns = []Column{Flag("fast_forward"), Flag("conflicts"), Text("message")}

func pullSpec() Spec {
	return Define[Pull](Spec{
		Name: "pull", Columns: pullColumns, Group: GroupRemote, Needs: NeedDatabase, Signs: true, Admin: true,
		Short:    "Fetch from a remote and merge",
		Usage:    []string{"[--rebase | --ff-only | --no-ff | --squash] [--prune] [<remote> [<branch>]]"},
		Examples: []Example{{"pull", "fetch, and merge the branch that this one follows"}, {"pull --rebase origin main", "put the own commits on top of main's"}},
	})
}

// Run pulls.
func (c *Pull) Run(ctx context.Context, s *Scope) (*Result, error) {
	for _, x := range []struct {
		both bool
		a, b string
	}{
		{c.Rebase && c.NoFF, "rebase", "no-ff"}, {c.Rebase && c.FFOnly, "rebase", "ff-only"}, {c.Rebase && c.Squash, "rebase", "squash"},
		{c.Rebase && c.NoCommit, "rebase", "no-commit"}, {c.FFOnly && c.NoFF, "ff-only", "no-ff"}, {c.FFOnly && c.Squash, "ff-only", "squash"}, {c.Squash && c.NoFF, "squash", "no-ff"},
	} {
		if x.both {
			return nil, errFlags(x.a, x.b)
		}
	}
	name, theirs, err := s.remoteOf(s.branch())
	if err != nil {
		return nil, err
	}
	if c.Remote == "" {
		c.Remote = name
	} else if c.Remote != name {
		theirs = ""
	}
	if c.Branch != "" {
		theirs = c.Branch
	}
	if theirs == "" {
		theirs = s.branch()
	}
	f, err := (&Fetch{Remote: c.Remote, Prune: c.Prune}).fetch(ctx, s)
	if err != nil {
		return nil, err
	}
	track := c.Remote + "/" + theirs
	if _, ok := f.refs[sync.Heads+theirs]; !ok {
		return nil, errs.New(errs.NotFound, "there is no branch '%s' at the remote '%s'; name another one with 'pull %s <branch>'", theirs, c.Remote, c.Remote)
	}
	track = trackPrefix + track
	how, err := c.relation(ctx, s, track)
	if err != nil {
		return nil, err
	}
	if how == diverged || how == unrelated {
		if err := c.erased(s, theirs, f.refs[sync.Heads+theirs].Commit); err != nil {
			return nil, err
		}
	}
	switch {
	case how == unrelated:
		return nil, c.errUnrelated(s, theirs)
	case how == diverged && c.FFOnly:
		return nil, errs.New(errs.Conflict, "fatal: Not possible to fast-forward, aborting: branch '%[1]s' and '%[2]s/%[3]s' have diverged.\nhint: To join them say '%[4]s pull %[2]s %[3]s' (merge) or '%[4]s pull --rebase %[2]s %[3]s' (put the own commits on top).", s.branch(), c.Remote, theirs, s.Program())
	case how == diverged && c.Rebase:
		return c.rebase(ctx, s, track, f.hints)
	case how == ahead && c.Rebase:
		if merged, err := c.hasMerges(ctx, s, track); err != nil || merged {
			if err != nil {
				return nil, err
			}
			return c.rebase(ctx, s, track, f.hints)
		}
	}
	m, err := remoteURLs(s.Settings.Local)
	if err != nil {
		return nil, err
	}
	res, err := (&Merge{
		NoFF: c.NoFF, FFOnly: c.FFOnly || c.Rebase, Squash: c.Squash, NoCommit: c.NoCommit, Args: []string{track},
		Message: fmt.Sprintf("Merge branch '%s' of %s into %s", theirs, m[c.Remote], s.branch()),
	}).Run(ctx, s)
	if err != nil {
		return nil, err
	}
	for i, row := range res.Rows {
		res.Rows[i] = row[1:] // without the hash
	}
	res.Columns, res.Hints = pullColumns, append(f.hints, res.Hints...)
	return res, nil
}

// erased is the error for a branch of a remote that names there, a commit of which rows were erased here; nil for others.
func (c *Pull) erased(s *Scope, theirs string, there history.CommitID) error {
	thinned, err := s.Repo.Thinned()
	if err != nil {
		return err
	}
	if was, ok := thinned.Find(there.Full()); ok && was.Erased {
		return errs.New(errs.Conflict, "'%[1]s/%[2]s' is what it was before rows were erased here, which a merge would bring back: '%[3]s push --mirror --anew %[1]s' has them erased there", c.Remote, theirs, s.Program())
	}
	return nil
}

// errUnrelated is the error for a branch of a remote that has nothing in common with the branch as far as is known here.
func (c *Pull) errUnrelated(s *Scope, theirs string) error {
	if s.Repo.Shallow() {
		return errs.New(errs.Conflict, "what branch '%[1]s' and '%[2]s/%[3]s' have in common is not known here, since the database has not got its older history: bring that with '%[4]s fetch --unshallow %[2]s', and pull again",
			s.branch(), c.Remote, theirs, s.Program())
	}
	return errs.New(errs.Conflict, "branch '%[1]s' and '%[2]s/%[3]s' have no common ancestor: they are of different databases, or the history was made anew there from its first commit on, as 'erase' does. To have what is there, clone it; to put this branch beside it, push it by another name, as in '%[4]s push %[2]s %[1]s:mine'; only where what is there is of no use to anybody replace it with '%[4]s push --force %[2]s %[1]s:%[3]s'",
		s.branch(), c.Remote, theirs, s.Program())
}

// asFarAsKnown is what is said behind there being no common ancestor where the database may only not know it.
func (s *Scope) asFarAsKnown() string {
	if !s.Repo.Shallow() {
		return ""
	}
	return " here, where older history is lacking: '" + s.Program() + " fetch --unshallow' brings it"
}

// relation is how a branch stands to the branch of a remote.
type relation int

const (
	behind    relation = iota // it has all that the branch has
	ahead                     // the branch has all that it has, and more
	diverged                  // both have more than what they began with
	unrelated                 // they have nothing in common
)

// relation is how the branch stands to the branch of a remote.
func (c *Pull) relation(ctx context.Context, s *Scope, track string) (relation, error) {
	theirs, err := s.Repo.Resolve(ctx, track, s.branch())
	if err != nil {
		return 0, err
	}
	head, err := s.Repo.Resolve(ctx, "HEAD", s.branch())
	if err != nil {
		return 0, err
	}
	base, err := history.MergeBase(ctx, s.Repo.Store(), head, theirs)
	switch {
	case err != nil:
		return 0, err
	case base == head:
		return behind, nil
	case base == theirs:
		return ahead, nil
	case base.IsZero():
		return unrelated, nil
	}
	return diverged, nil
}

// hasMerges tells whether there are merges among the commits that the branch has beyond the branch of a remote, which a rebase leaves out.
func (c *Pull) hasMerges(ctx context.Context, s *Scope, track string) (bool, error) {
	theirs, err := s.Repo.Resolve(ctx, track, s.branch())
	if err != nil {
		return false, err
	}
	head, err := s.Repo.Resolve(ctx, "HEAD", s.branch())
	if err != nil {
		return false, err
	}
	w, err := history.Walk(ctx, s.Repo.Store(), []history.CommitID{head}, []history.CommitID{theirs})
	if err != nil {
		return false, err
	}
	for {
		x, err := w.Next(ctx)
		if err != nil || x == nil || len(x.Parents) != 1 {
			return x != nil, err
		}
	}
}

// rebase makes the branch's own commits again on top of the branch of a remote.
func (c *Pull) rebase(ctx context.Context, s *Scope, track string, hints []string) (*Result, error) {
	r, err := (&Rebase{Args: []string{track}}).Run(ctx, s)
	if errs.Is(err, errs.NothingToDo) {
		short := strings.TrimPrefix(track, trackPrefix)
		return nil, errs.New(errs.Conflict, "branch '%[1]s' cannot be rebased onto '%[2]s': its only commits of its own are merges, which a rebase leaves out; merge with '%[3]s pull', or have what is there alone with '%[3]s reset --hard %[2]s'", s.branch(), short, s.Program())
	}
	if err != nil {
		return nil, err
	}
	message := strings.Join(r.Lines, "\n")
	r.Hints = append(hints, r.Hints...)
	r.Columns, r.Rows = pullColumns, [][]any{{Truth(false), Truth(r.ExitCode != 0), message}}
	return r, nil
}
