package op

import (
	"context"
	"fmt"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/sync"
)

// pushColumns are the columns of what push answers.
var pushColumns = []Column{Whole("status"), Text("message")}

// Push is the verb that sends commits to a remote.
type Push struct {
	Upstream bool     `flag:"set-upstream,u" help:"make the branches follow those that they are pushed to"`
	Force    bool     `flag:"force,f" help:"move branches of the remote that would lose commits, if they are as they were last seen, and tags that are there"`
	NoLease  bool     `flag:"no-lease" help:"with --force: whatever has become of the branches since they were last seen"`
	All      bool     `flag:"all" help:"push all branches"`
	Tags     bool     `flag:"tags" help:"push all tags as well"`
	Atomic   bool     `flag:"atomic" help:"change all refs of the remote or none"`
	Delete   bool     `flag:"delete,d" help:"remove the branches or tags from the remote"`
	Silent   bool     `flag:"silent" hidden:"true" help:"accepted for compatibility"`
	Remote   string   `arg:"1" value:"remote" complete:"remote" help:"the name of a remote or a URL; otherwise the remote that the branch follows, or origin"`
	Refs     []string `arg:"rest" value:"refspec" complete:"branch" help:"a branch or a tag, <here>:<there> for another name there, :<there> to remove it; + before it forces it"`
}

func pushSpec() Spec {
	return Define[Push](Spec{
		Name: "push", Columns: pushColumns, Group: GroupRemote, Needs: NeedDatabase, Admin: true,
		Short: "Send commits to a remote",
		Long: `What the remote lacks is sent first; then its branches move. One who is slower than somebody else is refused and has lost nothing: fetch,
merge, and push again. A push that was interrupted has changed no branch, and goes on where it stopped when it is repeated.

--force moves a branch that would lose commits only if the remote's is the one that was last fetched or pushed: what others have pushed since is
not lost unseen. Under the name dolt it moves the branch whatever is there.`,
		Usage:    []string{"[-u] [-f] [--all] [--tags] [--atomic] [<remote> [<refspec>...]]", "-d <remote> <ref>..."},
		Examples: []Example{{"push -u origin main", "send a branch, and follow the remote's from now on"}, {"push", "send it again"}, {"push origin :fix", "remove a branch there"}},
	})
}

// pushed is a ref to be pushed, and how messages call it.
type pushed struct {
	sync.Want
	here, there string // without heads/ and tags/
}

// Run pushes.
func (c *Push) Run(ctx context.Context, s *Scope) (*Result, error) {
	branch := s.branch()
	defaultName, theirs, err := s.remoteOf(branch)
	if err != nil {
		return nil, err
	}
	if c.Remote == "" {
		c.Remote = defaultName
		if theirs == "" && !c.All && !c.Tags {
			return nil, errs.New(errs.Invalid, "fatal: The current branch %s has no upstream branch.\nTo push the current branch and set the remote as upstream, use\n\t%s push --set-upstream %s %s", branch, s.Program(), defaultName, branch)
		}
	} else if c.Remote != defaultName {
		theirs = ""
	}
	list, err := c.wants(ctx, s, branch, theirs)
	if err != nil {
		return nil, err
	}
	r, name, err := s.openRemote(ctx, c.Remote)
	if err != nil {
		return nil, err
	}
	wants := make([]sync.Want, len(list))
	for i := range list {
		if w := &list[i].Want; name != "" && w.Force && !c.NoLease && !s.Dolt && strings.HasPrefix(w.Name, sync.Heads) {
			seen, _ := s.Repo.Track(name + "/" + list[i].there)
			w.Lease = &seen
		}
		wants[i] = list[i].Want
	}
	p := &sync.Push{Remote: r, Store: s.Repo.Store(), FS: s.Repo.FS(), Temp: s.Repo.TempDir(), Atomic: c.Atomic, Progress: s.syncProgress()}
	out, refs, err := p.Run(ctx, wants)
	if err != nil {
		return nil, err
	}
	if err := c.note(ctx, s, name, list, out, refs); err != nil {
		return nil, err
	}
	return c.tell(s, r, name, list, out)
}

// wants are the refs that the parameters ask for.
func (c *Push) wants(ctx context.Context, s *Scope, branch, theirs string) ([]pushed, error) {
	var out []pushed
	if c.All && len(c.Refs) > 0 {
		return nil, errs.New(errs.Invalid, "push: --all goes without branches")
	}
	if c.Delete && (c.All || c.Tags || len(c.Refs) == 0) {
		return nil, errs.New(errs.Invalid, "push: --delete needs the branches or tags to be removed")
	}
	for _, text := range c.Refs {
		if c.Delete {
			text = ":" + text
		}
		p, err := c.spec(ctx, s, text)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	if c.All {
		for _, b := range s.Repo.Branches() {
			out = append(out, pushed{sync.Want{Name: sync.Heads + b.Name, Commit: b.Head, Force: c.Force}, b.Name, b.Name})
		}
	}
	if len(c.Refs) == 0 && !c.All && (!c.Tags || theirs != "") {
		if theirs == "" {
			theirs = branch
		}
		head, _ := s.Repo.BranchHead(branch)
		out = append(out, pushed{sync.Want{Name: sync.Heads + theirs, Commit: head, Force: c.Force}, branch, theirs})
	}
	if c.Tags {
		tags, err := s.Repo.TagObjects(ctx)
		if err != nil {
			return nil, err
		}
		for _, t := range tags {
			out = append(out, pushed{sync.Want{Name: sync.Tags + t.Name, Commit: t.Commit, Tag: t.Object, Force: c.Force}, t.Name, t.Name})
		}
	}
	seen := map[string]bool{}
	for _, p := range out {
		if seen[p.Name] {
			return nil, errs.New(errs.Invalid, "push: refs/%s is named twice", p.Name)
		}
		seen[p.Name] = true
	}
	return out, nil
}

// spec reads a refspec.
func (c *Push) spec(ctx context.Context, s *Scope, text string) (pushed, error) {
	force := c.Force
	rest, plus := strings.CutPrefix(text, "+")
	here, there, two := strings.Cut(rest, ":")
	if two && there == "" || rest == "" || strings.Contains(there, ":") {
		return pushed{}, errs.New(errs.Invalid, "invalid refspec '%s': write <branch>, <here>:<there> or :<there>", text)
	}
	force = force || plus
	kind := sync.Heads
	base := func(name string) string {
		if n, ok := strings.CutPrefix(name, "refs/tags/"); ok {
			kind = sync.Tags
			return n
		}
		return strings.TrimPrefix(name, "refs/heads/")
	}
	tags, err := s.Repo.TagObjects(ctx)
	if err != nil {
		return pushed{}, err
	}
	if here == "" {
		there = base(there)
		if _, isBranch := s.Repo.Track(c.Remote + "/" + there); !isBranch && kind == sync.Heads {
			for _, t := range tags {
				if t.Name == there {
					kind = sync.Tags
				}
			}
		}
		return pushed{sync.Want{Name: kind + there, Force: force}, "", there}, nil
	}
	if !two {
		there = here
	}
	if head, ok := s.Repo.BranchHead(strings.TrimPrefix(here, "refs/heads/")); ok {
		there = base(there)
		if err := repo.CheckRefName(there); err != nil {
			return pushed{}, err
		}
		return pushed{sync.Want{Name: kind + there, Commit: head, Force: force}, base(here), there}, nil
	}
	for _, t := range tags {
		if t.Name == strings.TrimPrefix(here, "refs/tags/") {
			there = base(there)
			return pushed{sync.Want{Name: sync.Tags + there, Commit: t.Commit, Tag: t.Object, Force: force}, t.Name, there}, nil
		}
	}
	head, err := s.Repo.Resolve(ctx, here, s.branch())
	if err != nil {
		return pushed{}, errs.New(errs.CodeOf(err), "refspec not found: '%s': %w", text, err)
	}
	if !two && !strings.EqualFold(here, "HEAD") {
		return pushed{}, errs.New(errs.Invalid, "'%s' is a commit: write %s:<branch> to say which branch of the remote is to name it", here, here)
	}
	if !two {
		there = s.branch()
	}
	there = base(there)
	return pushed{sync.Want{Name: kind + there, Commit: head, Force: force}, here, there}, repo.CheckRefName(there)
}

// note keeps what is known of the remote now, and what branches follow.
func (c *Push) note(ctx context.Context, s *Scope, name string, list []pushed, out []sync.Outcome, refs map[string]sync.Ref) error {
	if name == "" {
		return nil
	}
	var land repo.Landing
	for i, o := range out {
		if o.Status.Refused() || !strings.HasPrefix(o.Name, sync.Heads) {
			continue
		}
		track := repo.Branch{Name: name + "/" + list[i].there, Head: refs[o.Name].Commit}
		if now, ok := s.Repo.Track(track.Name); now != track.Head || ok == track.Head.IsZero() {
			land.Tracks = append(land.Tracks, track)
		}
	}
	if err := s.Repo.Land(ctx, nil, land); err != nil || !c.Upstream {
		return err
	}
	for i, o := range out {
		_, isBranch := s.Repo.BranchHead(list[i].here)
		if !o.Status.Refused() && isBranch && !o.Commit.IsZero() && strings.HasPrefix(o.Name, sync.Heads) {
			if err := changeUpstreams(s, func(m map[string]string) { m[list[i].here] = trackPrefix + name + "/" + list[i].there }); err != nil {
				return err
			}
		}
	}
	return nil
}

// refusals are git's words for what is refused.
var refusals = map[sync.Status]string{
	sync.NonFastForward: "non-fast-forward", sync.FetchFirst: "fetch first", sync.Stale: "stale info", sync.TagExists: "already exists", sync.Raced: "changed meanwhile",
	sync.Together: "atomic push failed", sync.NotThere: "remote ref does not exist",
}

// tell describes a push as git does.
func (c *Push) tell(s *Scope, r *sync.Remote, name string, list []pushed, out []sync.Outcome) (*Result, error) {
	var lines []string
	refused := map[sync.Status]bool{}
	changed := false
	for i, o := range out {
		both := fmt.Sprintf("%s -> %s", list[i].here, list[i].there)
		line := ""
		switch kind := strings.TrimSuffix(o.Name[:strings.Index(o.Name, "/")], "s"); o.Status {
		case sync.UpToDate:
			continue
		case sync.Created:
			line = fmt.Sprintf(" * %-21s %s", "[new "+map[string]string{"head": "branch", "tag": "tag"}[kind]+"]", both)
		case sync.Forwarded:
			line = fmt.Sprintf("   %-21s %s", o.Old.Commit.String()[:8]+".."+o.Commit.String()[:8], both)
		case sync.Forced:
			line = fmt.Sprintf(" + %-21s %s (forced update)", o.Old.Commit.String()[:8]+"..."+o.Commit.String()[:8], both)
		case sync.Removed:
			line = fmt.Sprintf(" - %-21s %s", "[deleted]", list[i].there)
		default:
			refused[o.Status] = true
			if list[i].here == "" {
				both = list[i].there
			}
			line = fmt.Sprintf(" ! %-21s %s (%s)", "[rejected]", both, refusals[o.Status])
		}
		changed = true
		lines = append(lines, line)
	}
	if changed {
		lines = append([]string{"To " + r.URL()}, lines...)
	} else {
		lines = []string{"Everything up-to-date"}
	}
	if len(refused) > 0 {
		lines = append([]string{fmt.Sprintf("failed to push some refs to '%s'", r.URL())}, lines...)
		lines = append(lines, advice(s, refused)...)
		return nil, errs.New(errs.Conflict, "%s", strings.Join(lines, "\n"))
	}
	if c.Upstream && name != "" {
		for i, o := range out {
			if strings.HasPrefix(o.Name, sync.Heads) && !o.Commit.IsZero() {
				lines = append(lines, fmt.Sprintf("branch '%s' set up to track '%s/%s'.", list[i].here, name, list[i].there))
			}
		}
	}
	res := &Result{Columns: pushColumns, Lines: lines}
	res.Add(int64(0), strings.Join(lines, "\n"))
	return res, nil
}

// advice says what to do about refusals.
func advice(s *Scope, refused map[sync.Status]bool) []string {
	switch {
	case refused[sync.NonFastForward]:
		return []string{
			"hint: Updates were rejected because the tip of your current branch is behind", "hint: its remote counterpart. Integrate the remote changes (e.g.",
			"hint: '" + s.Program() + " pull ...') before pushing again.",
		}
	case refused[sync.FetchFirst], refused[sync.Raced]:
		return []string{
			"hint: Updates were rejected because the remote contains work that you do", "hint: not have locally. Integrate the remote changes (e.g.",
			"hint: '" + s.Program() + " pull ...') before pushing again.",
		}
	case refused[sync.Stale]:
		return []string{
			"hint: The remote's branch is not the one that was last fetched: look at it with", "hint: '" + s.Program() + " fetch' first, or overwrite it with --force --no-lease.",
		}
	case refused[sync.TagExists]:
		return []string{"hint: A tag of that name is there and names something else; --force replaces it."}
	}
	return nil
}
