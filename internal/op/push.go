package op

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/object"
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
	Prune    bool     `flag:"prune" help:"with --all: remove branches of the remote that are not here, with --mirror tags too, if the branches are as they were last seen"`
	Mirror   bool     `flag:"mirror" help:"make the remote have the branches and tags that are here: --all --tags --force; refused where it has others, unless --prune is said"`
	Anew     bool     `flag:"anew" help:"with --mirror: send all again, so that nothing of what is there is needed any more, as after an erasure or where it is damaged"`
	Atomic   bool     `flag:"atomic" help:"change all refs of the remote or none"`
	Delete   bool     `flag:"delete,d" help:"remove the branches or tags from the remote"`
	Silent   bool     `flag:"silent" hidden:"true" help:"accepted for compatibility"`
	Remote   string   `arg:"1" value:"remote" complete:"remote" help:"the name of a remote or a URL; otherwise the remote that the branch follows, or origin"`
	Refs     []string `arg:"rest" value:"refspec" complete:"branch" help:"a branch or a tag, <here>:<there> for another name there, :<there> to remove it; + before it forces it"`

	unseen bool     // something was to be forced at a place of which nothing is known here
	stays  []string // branches that were to be removed and were not seen as they are there
}

func pushSpec() Spec {
	return Define[Push](Spec{
		Name: "push", Columns: pushColumns, Group: GroupRemote, Needs: NeedDatabase, Admin: true,
		Short: "Send commits to a remote",
		Long: `What the remote lacks is sent first; then its branches move. One who is slower than somebody else is refused and has lost nothing: fetch,
merge, and push again. A push that was interrupted has changed no branch, and goes on where it stopped when it is repeated.

--force moves a branch that would lose commits only if the remote's is the one that was last fetched or pushed: what others have pushed since is
not lost unseen, or if 'erase' or 'retention apply' has made that commit anew here. At a URL that no remote here has nothing was seen, and --no-lease
is needed too. Under the name dolt it moves the branch whatever is there.

--mirror makes the remote what the database is. Branches and tags that are there and not here, as those of others in a plain clone, are named
and nothing is changed; --prune removes them.

--mirror --anew sends all of the database, also what the remote has, and lets no branch, tag or run name anything that was sent before; what a
backup there remembers of its syncs is forgotten. After 'erase' that is what makes 'gc --remote' remove the rows there. What others commit there
meanwhile makes it fail, whatever is forced, and is kept.
What others told of runs, where it is damaged there and not known here, is given up, and a warning says so.`,
		Usage:    []string{"[-u] [-f] [--all [--prune]] [--tags] [--atomic] [<remote> [<refspec>...]]", "--mirror [--prune] [--anew] [<remote>]", "-d <remote> <ref>..."},
		Examples: []Example{{"push -u origin main", "send a branch, and follow the remote's from now on"}, {"push", "send it again"}, {"push origin :fix", "remove a branch there"}},
	})
}

// pushed is a ref to be pushed, and how messages call it.
type pushed struct {
	sync.Want
	here, there string           // without heads/ and tags/
	seen        history.CommitID // what the branch of the remote was when it was last seen
}

// Run pushes.
func (c *Push) Run(ctx context.Context, s *Scope) (*Result, error) {
	switch {
	case c.Mirror && len(c.Refs) > 0:
		return nil, errs.New(errs.Invalid, "push: --mirror goes without branches")
	case c.Mirror && c.Delete:
		return nil, errFlags("mirror", "delete")
	case c.Mirror:
		c.All, c.Tags, c.Force = true, true, true
		c.Atomic = c.Atomic || c.Anew
	case c.Anew:
		return nil, errs.New(errs.Invalid, "push: --anew goes with --mirror")
	case c.Prune && !c.All:
		return nil, errs.New(errs.Invalid, "push: --prune goes with --all; to remove one branch say push --delete <remote> <branch>")
	}
	if err := s.notMirror(); err != nil {
		return nil, err
	}
	branch := s.branch()
	defaultName, theirs, err := s.remoteOf(branch)
	if err != nil {
		return nil, err
	}
	if c.Remote == "" {
		c.Remote = defaultName
		if m, err := remoteURLs(s.Settings.Local); err != nil {
			return nil, err
		} else if len(m) == 0 {
			return nil, errs.New(errs.Invalid, "fatal: No configured push destination.\nEither specify the URL from the command-line or configure a remote repository using\n\n\t%[1]s remote add <name> <url>\n\nand then push using the remote name\n\n\t%[1]s push <name>", s.Program())
		}
		if theirs == "" && !c.All && !c.Tags {
			auto, err := s.Settings.pushAutoSetup()
			if err != nil {
				return nil, err
			}
			if !auto {
				return nil, errs.New(errs.Invalid, "fatal: The current branch %s has no upstream branch.\nTo push the current branch and set the remote as upstream, use\n\t%s push --set-upstream %s %s\nTo have this happen automatically for branches without a tracking\nupstream, see 'push.autoSetupRemote' in '%[2]s config --help'.", branch, s.Program(), defaultName, branch)
			}
			c.Upstream = true
		}
	} else if c.Remote != defaultName {
		theirs = ""
	}
	list, err := c.wants(ctx, s, branch, theirs)
	if err != nil {
		return nil, err
	}
	r, name, err := s.openRemoteToPush(ctx, c.Remote)
	if err != nil {
		if url, _, e := s.findRemote(c.Remote); e == nil && object.IsNoPlace(err) && strings.HasPrefix(url, "http") {
			err = fmt.Errorf("%w; a database of a server is made there: say CREATE DATABASE to it, and push again", err)
		}
		return nil, err
	}
	hints := warnings(r)
	if name == "" {
		if name, err = s.remoteAt(r.URL()); err != nil {
			return nil, err
		}
	}
	seen, err := r.See(ctx) // what is decided by it holds for what is there at the end, or fails
	if err != nil {
		return nil, err
	}
	if c.Mirror && !c.Prune {
		if more := c.prune(seen, list)[len(list):]; len(more) > 0 {
			return nil, c.errOthers(s, r, name, more)
		}
	}
	if c.Prune {
		list = c.prune(seen, list)
	}
	thinned, err := s.Repo.Thinned()
	if err != nil {
		return nil, err
	}
	wants := make([]sync.Want, len(list))
	for i := range list {
		w := &list[i].Want
		isBranch := strings.HasPrefix(w.Name, sync.Heads)
		if name != "" && isBranch {
			list[i].seen, _ = s.Repo.Track(name + "/" + list[i].there)
		}
		if (w.Force || c.Prune && w.Commit.IsZero()) && isBranch && !c.NoLease && !s.Dolt {
			if err := c.lease(ctx, s, &list[i], name != "", seen.Refs()[w.Name].Commit, thinned); err != nil {
				return nil, err
			}
		}
		wants[i] = *w
	}
	p := &sync.Push{Remote: r, Store: s.Repo.Store(), FS: s.Repo.FS(), Temp: s.Repo.TempDir(), Atomic: c.Atomic, Anew: c.Anew, Seen: seen, Held: sync.HeldIn(s.Repo.FS(), s.Repo.Dir()), Progress: s.syncProgress()}
	if p.Lineage, err = lineageFor(ctx, s, r, seen, c.Anew, hints); err != nil {
		return nil, err
	}
	out, refs, err := p.Run(ctx, wants)
	if len(out) == 0 && err != nil {
		return nil, err
	}
	if err == nil && c.Anew && !slices.ContainsFunc(out, func(o sync.Outcome) bool { return o.Status.Refused() }) {
		var hint string
		if hint, err = forgetAll(ctx, r); hint != "" {
			*hints = append(*hints, hint)
		}
	}
	// Who gives up has moved what was moved before.
	if e := c.note(context.WithoutCancel(ctx), s, name, list, out, refs); e != nil {
		return nil, errors.Join(err, e)
	}
	return c.tell(s, r, name, list, out, *hints, err)
}

// lease says what a branch that may lose commits must be for that: what was last seen of it, if the place has a name here, or a commit there that was made
// anew here, of which what is pushed has all that was not to go. What is removed, or names a commit that is gone here, may be another's way to keep it.
func (c *Push) lease(ctx context.Context, s *Scope, p *pushed, named bool, there history.CommitID, thinned *lineage.Thinned) error {
	now, anew := thinned.Became(there.Full())
	if anew = anew && now != "" && !p.Commit.IsZero(); anew {
		h, err := hash.Parse(now)
		if err == nil {
			anew, err = history.IsAncestor(ctx, s.Repo.Store(), history.CommitID(h), p.Commit)
		}
		if err != nil && !errs.Is(err, errs.NotFound) {
			return err
		}
		anew = anew && err == nil
	}
	switch {
	case anew:
		p.Lease = &there
	case named:
		p.Lease = &p.seen
	default: // nobody has seen what is there
		p.Force, c.unseen = false, true
		if p.Commit.IsZero() {
			p.Lease = &p.seen
		}
	}
	return nil
}

// errOthers is the error for a mirror that would remove what is not here.
func (c *Push) errOthers(s *Scope, r *sync.Remote, name string, more []pushed) error {
	var branches, tags []string
	for _, p := range more {
		if strings.HasPrefix(p.Name, sync.Heads) {
			branches = append(branches, p.there)
		} else {
			tags = append(tags, p.there)
		}
	}
	var what []string
	for _, x := range []struct {
		kind  string
		names []string
	}{{"branches", branches}, {"tags", tags}} {
		if len(x.names) > 0 {
			what = append(what, x.kind+" ("+strings.Join(x.names, ", ")+")")
		}
	}
	keep := fmt.Sprintf("work in a copy that has all, as '%s backup restore %s <directory>' makes it", s.Program(), r.URL())
	if name != "" && len(branches) > 0 {
		keep = fmt.Sprintf("'%[1]s fetch %[2]s', and make a branch of each, '%[1]s branch %[3]s %[2]s/%[3]s'", s.Program(), name, branches[0])
	} else if name != "" {
		keep = fmt.Sprintf("'%s fetch --tags %s'", s.Program(), name)
	}
	lines := []string{
		fmt.Sprintf("push: --mirror would remove %s of %s, which the database has not got. Nothing was changed.", strings.Join(what, " and "), r.URL()),
		"hint: To keep them have them here first: " + keep + ".",
	}
	if c.Anew {
		lines = append(lines, "hint: After an erasure erase in these too, before this is pushed again.")
	}
	return errs.New(errs.Conflict, "%s\nhint: To remove them say --prune too.", strings.Join(lines, "\n"))
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
			out = append(out, pushed{Want: sync.Want{Name: sync.Heads + b.Name, Commit: b.Head, Force: c.Force}, here: b.Name, there: b.Name})
		}
	}
	if len(c.Refs) == 0 && !c.All && (!c.Tags || theirs != "") {
		if theirs == "" {
			theirs = branch
		}
		head, _ := s.Repo.BranchHead(branch)
		out = append(out, pushed{Want: sync.Want{Name: sync.Heads + theirs, Commit: head, Force: c.Force}, here: branch, there: theirs})
	}
	if c.Tags {
		tags, err := s.Repo.TagObjects(ctx)
		if err != nil {
			return nil, err
		}
		for _, t := range tags {
			out = append(out, pushed{Want: sync.Want{Name: sync.Tags + t.Name, Commit: t.Commit, Tag: t.Object, Force: c.Force}, here: t.Name, there: t.Name})
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

// prune adds that what is there and not in the list is removed from the remote: branches, and with --mirror tags.
func (c *Push) prune(seen *sync.Seen, list []pushed) []pushed {
	for _, name := range slices.Sorted(maps.Keys(seen.Refs())) {
		for _, kind := range []string{sync.Heads, sync.Tags} {
			short, ok := strings.CutPrefix(name, kind)
			if !ok || kind == sync.Tags && !c.Mirror || slices.ContainsFunc(list, func(p pushed) bool { return p.Name == name }) {
				continue
			}
			list = append(list, pushed{Want: sync.Want{Name: name, Force: c.Force}, there: short})
		}
	}
	return list
}

// spec reads a refspec.
func (c *Push) spec(ctx context.Context, s *Scope, text string) (pushed, error) {
	rest, plus := strings.CutPrefix(text, "+")
	here, there, two := strings.Cut(rest, ":")
	if two && there == "" || rest == "" || strings.Contains(there, ":") {
		return pushed{}, errs.New(errs.Invalid, "invalid refspec '%s': write <branch>, <here>:<there> or :<there>", text)
	}
	tags, err := s.Repo.TagObjects(ctx)
	if err != nil {
		return pushed{}, err
	}
	if !two {
		there = here
	}
	kind, there, err := refKind(there)
	if err != nil {
		return pushed{}, err
	}
	out := pushed{Want: sync.Want{Force: c.Force || plus}, there: there}
	if here == "" {
		_, isBranch := s.Repo.Track(c.Remote + "/" + there)
		if kind == "" && !isBranch && slices.ContainsFunc(tags, func(t repo.LandedTag) bool { return t.Name == there }) {
			kind = sync.Tags
		}
		out.Name = cmp.Or(kind, sync.Heads) + there
		return out, nil
	}
	var isTag bool
	branch := strings.TrimPrefix(here, "refs/heads/")
	if head, ok := s.Repo.BranchHead(branch); ok {
		out.here, out.Commit = branch, head
	} else if i := slices.IndexFunc(tags, func(t repo.LandedTag) bool { return t.Name == strings.TrimPrefix(here, "refs/tags/") }); i >= 0 {
		isTag = true
		out.here, out.Commit = tags[i].Name, tags[i].Commit
		if kind = cmp.Or(kind, sync.Tags); kind == sync.Tags { // a branch gets its commit
			out.Tag = tags[i].Object
		}
	} else {
		if out.Commit, err = s.Repo.Resolve(ctx, here, s.branch()); err != nil {
			return pushed{}, errs.New(errs.CodeOf(err), "refspec not found: '%s': %w", text, err)
		}
		if !two && !strings.EqualFold(here, "HEAD") {
			return pushed{}, errs.New(errs.Invalid, "'%s' is a commit: write %s:<branch> to say which branch of the remote is to name it", here, here)
		}
		if out.here = here; !two {
			out.there = s.branch()
		}
	}
	if kind == sync.Tags && !isTag {
		return pushed{}, errs.New(errs.Invalid, "'%s' is no tag: make one with 'tag %s %s' and push that", here, there, here)
	}
	out.Name = cmp.Or(kind, sync.Heads) + out.there
	return out, sync.CheckRef(out.Name)
}

// refKind splits the name of a ref of a remote; kind is "" where it is not said.
func refKind(name string) (kind, short string, err error) {
	rest, full := strings.CutPrefix(name, "refs/")
	if !full {
		return "", name, nil
	}
	for _, kind := range []string{sync.Heads, sync.Tags} {
		if short, ok := strings.CutPrefix(rest, kind); ok {
			return kind, short, nil
		}
	}
	return "", "", errs.New(errs.Invalid, "a remote has no '%s': its refs are refs/heads/<branch> and refs/tags/<tag>", name)
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
		if now := refs[o.Name].Commit; now != list[i].seen {
			land.Tracks = append(land.Tracks, repo.LandedTrack{Name: name + "/" + list[i].there, Head: now, Old: list[i].seen})
		}
	}
	if _, err := s.Repo.Land(ctx, nil, land); err != nil || !c.Upstream {
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
	sync.Together: "atomic push failed", sync.NotThere: "remote ref does not exist", sync.Uncommitted: "uncommitted changes there",
	sync.BackedUp: "a backup with uncommitted changes is there", sync.Broken: "remote failure",
}

// tell describes a push as git does, which failed in the middle if failed is not nil.
func (c *Push) tell(s *Scope, r *sync.Remote, name string, list []pushed, out []sync.Outcome, hints []string, failed error) (*Result, error) {
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
			if o.Status == sync.Stale && list[i].Commit.IsZero() {
				c.stays = append(c.stays, list[i].there)
			}
			line = fmt.Sprintf(" ! %-21s %s (%s)", "[rejected]", both, refusals[o.Status])
		}
		changed = true
		lines = append(lines, line)
	}
	if anew := c.Anew && failed == nil && len(refused) == 0; changed || anew {
		if lines = append([]string{"To " + r.URL()}, lines...); anew {
			lines = append(lines, "All of it was sent anew.")
		}
	} else {
		lines = []string{"Everything up-to-date"}
	}
	if failed != nil {
		return nil, errs.New(errs.CodeOf(failed), "%w\n%s", failed, strings.Join(lines, "\n"))
	}
	if len(refused) > 0 {
		lines = append([]string{fmt.Sprintf("failed to push some refs to '%s'", r.URL())}, lines...)
		lines = append(lines, c.advice(s, refused)...)
		return nil, errs.New(errs.Conflict, "%s", strings.Join(lines, "\n"))
	}
	if c.Upstream && name != "" {
		for i, o := range out {
			if strings.HasPrefix(o.Name, sync.Heads) && !o.Commit.IsZero() {
				lines = append(lines, fmt.Sprintf("branch '%s' set up to track '%s/%s'.", list[i].here, name, list[i].there))
			}
		}
	}
	res := &Result{Columns: pushColumns, Lines: lines, Hints: hints}
	res.Add(int64(0), strings.Join(lines, "\n"))
	return res, nil
}

// advice says what to do about refusals.
func (c *Push) advice(s *Scope, refused map[sync.Status]bool) []string {
	switch {
	case c.unseen && (refused[sync.NonFastForward] || refused[sync.FetchFirst]):
		return []string{
			"hint: No remote here has that URL, so nobody has seen what would be lost: name the place with", "hint: '" + s.Program() + " remote add' and fetch, or overwrite the branch with --force --no-lease.",
		}
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
	case refused[sync.Stale] && c.Anew && len(c.stays) > 0:
		return []string{
			"hint: Branches that are not here were not seen as they are there, or an erasure has forgotten", "hint: what was seen: if nobody needs them, remove them with",
			"hint: '" + s.Program() + " push -d " + c.Remote + " " + strings.Join(c.stays, " ") + "', and push again.",
		}
	case refused[sync.Stale] && c.Anew:
		return []string{
			"hint: Others have changed the branch since: fetch, merge what is theirs, after an erasure", "hint: erase again, and push again; or overwrite it with --no-lease.",
		}
	case refused[sync.Stale]:
		return []string{
			"hint: The remote's branch is not the one that was last fetched: look at it with", "hint: '" + s.Program() + " fetch' first, or overwrite it with --force --no-lease.",
		}
	case refused[sync.Uncommitted]:
		return []string{
			"hint: Others work on the branch where it is, and have changes that are not", "hint: committed: have them committed there first, or push to another branch.",
		}
	case refused[sync.BackedUp]:
		return []string{
			"hint: The place holds a backup of the branch with changes that are not committed, which", "hint: would be lost: push to another branch or place. Who is to lose them makes the place",
			"hint: what this database is with '" + s.Program() + " backup --force sync-url <url>'.",
		}
	case refused[sync.TagExists]:
		return []string{"hint: A tag of that name is there and names something else; --force replaces it."}
	}
	return nil
}
