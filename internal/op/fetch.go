package op

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/sync"
)

// Fetch is the verb that brings commits of a remote.
type Fetch struct {
	Prune  bool     `flag:"prune,p" help:"forget branches of the remote that are gone there"`
	Whole  bool     `flag:"complete" help:"bring all that a database lacks which was cloned with --depth, --tables or --lazy"`
	Old    bool     `flag:"unshallow" help:"bring the older history that a database lacks which was cloned with --depth"`
	Force  bool     `flag:"force,f" hidden:"true" help:"accepted for compatibility: branches of remotes always become what they are there"`
	Tags   bool     `flag:"tags,t" help:"bring new tags also where branches are named"`
	All    bool     `flag:"all" help:"fetch from all remotes"`
	Silent bool     `flag:"silent" hidden:"true" help:"accepted for compatibility"`
	Remote string   `arg:"1" value:"remote" complete:"remote" help:"the name of a remote; otherwise the one that the branch follows, or origin"`
	Refs   []string `arg:"rest" value:"branch" help:"only these branches and tags"`

	before func(refs map[string]sync.Ref) error // nil, or called with what the remote has before something comes
}

func fetchSpec() Spec {
	return Define[Fetch](Spec{
		Name: "fetch", Columns: []Column{Whole("status")}, Group: GroupRemote, Needs: NeedDatabase, Admin: true,
		Short: "Bring commits from a remote",
		Long: `The branches of the remote are called <remote>/<branch> here and can be named wherever a revision can. Branches of the database stay
as they are: merge what was fetched, or use pull. Tags that are new come, too. A fetch that was interrupted has changed nothing, and
goes on where it stopped when it is repeated.`,
		Usage:    []string{"[-p] [-t] [<remote> [<branch>...]]", "--all [-p]", "--complete | --unshallow [<remote>]"},
		Examples: []Example{{"fetch", "all branches of origin"}, {"fetch --complete", "what a part of a database lacks"}, {"diff main origin/main", "see what is new there"}},
	})
}

// Run fetches.
func (c *Fetch) Run(ctx context.Context, s *Scope) (*Result, error) {
	names := []string{c.Remote}
	if c.All {
		if c.Remote != "" || c.Whole || c.Old {
			return nil, errs.New(errs.Invalid, "fetch: --all goes without a remote, --complete and --unshallow")
		}
		m, err := remoteURLs(s.Settings.Local)
		if err != nil {
			return nil, err
		}
		names = slices.Sorted(maps.Keys(m))
	}
	r := statusResult(0)
	r.Lines = []string{}
	for _, name := range names {
		one := *c
		one.Remote = name
		f, err := one.fetch(ctx, s)
		if err != nil {
			return nil, err
		}
		r.Lines, r.Hints = append(r.Lines, f.lines...), append(r.Hints, f.hints...)
	}
	return r, nil
}

// fetched is what became of a fetch.
type fetched struct {
	refs         map[string]sync.Ref // that the remote has
	lines, hints []string            // what is new, as git says it
}

// news is a change that a fetch is to make, and how it is told.
type news struct {
	ref, line string // ref as in a Landing, with tags/ before a tag
}

// fetch fetches.
func (c *Fetch) fetch(ctx context.Context, s *Scope) (*fetched, error) {
	if p := s.Repo.Partial(); p != nil && p.Mirror {
		return c.follow(ctx, s, p)
	}
	if c.Remote == "" {
		var err error
		if c.Remote, _, err = s.remoteOf(s.branch()); err != nil {
			return nil, err
		}
	}
	r, name, err := s.openRemote(ctx, c.Remote)
	if err != nil {
		return nil, err
	}
	if name == "" {
		return nil, errs.New(errs.Invalid, "fetch: '%s' has no name here; add it with 'remote add <name> %s' first", c.Remote, c.Remote)
	}
	hints := warnings(r)
	// What is known here is read first: what others make known meanwhile is newer.
	known := maps.Collect(tracksOf(s))
	before, err := named(ctx, s)
	if err != nil {
		return nil, err
	}
	refs, runs, err := r.RefsAndRuns(ctx)
	if err != nil {
		return nil, err
	}
	if err := vanished(r, name, known, refs); err != nil {
		return nil, err
	}
	if err := made(r); err != nil {
		return nil, err
	}
	if c.before != nil {
		if err := c.before(refs); err != nil {
			return nil, err
		}
	}
	got, land, told, err := c.changes(ctx, s, name, known, refs)
	if err != nil {
		return nil, err
	}
	if len(got) > 0 {
		land, err = receive(ctx, s, r, got, land)
	} else {
		land, err = s.Repo.Land(ctx, nil, land)
	}
	if err != nil {
		return nil, err
	}
	if _, err := joinLineage(ctx, s, r, refs[sync.Lineage]); err != nil {
		return nil, err
	}
	if err := takeRuns(ctx, s, r, runs); err != nil {
		return nil, err
	}
	if c.Whole || c.Old {
		if err := c.complete(ctx, s, r, refs); err != nil {
			return nil, err
		}
		// Tags of the commits that came, which a database without its older history does without.
		got, more, news, err := c.changes(ctx, s, name, maps.Collect(tracksOf(s)), refs)
		if err != nil {
			return nil, err
		}
		if len(got) > 0 {
			if more, err = receive(ctx, s, r, got, more); err != nil {
				return nil, err
			}
		}
		land.Tracks, land.Tags, told = append(land.Tracks, more.Tracks...), append(land.Tags, more.Tags...), append(told, news...)
	}
	more, err := fillPart(ctx, s, r, refs, before)
	if err != nil {
		return nil, err
	}
	*hints = append(*hints, more...)
	return &fetched{refs: refs, lines: lines(r, land, told), hints: *hints}, nil
}

// tracksOf is the branches of remotes as they were seen last.
func tracksOf(s *Scope) iter.Seq2[string, history.CommitID] {
	return func(yield func(string, history.CommitID) bool) {
		for _, t := range s.Repo.Tracks() {
			if !yield(t.Name, t.Head) {
				return
			}
		}
	}
}

// vanished is an error where a remote has nothing at all and branches of it are known: as a rule a disk that is not mounted, and not somebody
// who has removed everything.
func vanished(r *sync.Remote, name string, known map[string]history.CommitID, refs map[string]sync.Ref) error {
	if len(refs) > 0 {
		return nil
	}
	for track := range known {
		if strings.HasPrefix(track, name+"/") {
			return errs.New(errs.NotFound, "there is nothing at %s any more, where branches were seen: see whether the place is there, and name another with 'remote set-url %s <url>' or forget it with 'remote remove %s'", r.URL(), name, name)
		}
	}
	return nil
}

// gone forgets the branches of a remote that are known and are not among its refs.
func gone(name string, known map[string]history.CommitID, refs map[string]sync.Ref) (land []repo.LandedTrack, told []news) {
	for _, track := range slices.Sorted(maps.Keys(known)) {
		b, mine := strings.CutPrefix(track, name+"/")
		if _, there := refs[sync.Heads+b]; mine && !there {
			land = append(land, repo.LandedTrack{Name: track, Old: known[track]})
			told = append(told, news{track, fmt.Sprintf(" - %-21s (none) -> %s", "[deleted]", track)})
		}
	}
	return land, told
}

// changes is what of the refs of a remote is to be fetched, what becomes visible then, and how that is told. known are the branches of
// remotes as they were seen last.
func (c *Fetch) changes(ctx context.Context, s *Scope, name string, known map[string]history.CommitID, refs map[string]sync.Ref) (got []sync.Ref, land repo.Landing, told []news, err error) {
	only, err := c.only(name, refs)
	if err != nil {
		return nil, land, nil, err
	}
	for _, n := range slices.Sorted(maps.Keys(refs)) {
		b, isBranch := strings.CutPrefix(n, sync.Heads)
		if !isBranch || only != nil && !only[n] {
			continue
		}
		track, to := name+"/"+b, refs[n].Commit
		old, there := known[track]
		if there && old == to {
			continue
		}
		got = append(got, refs[n])
		land.Tracks = append(land.Tracks, repo.LandedTrack{Name: track, Head: to, Old: old})
		line := fmt.Sprintf(" * %-21s %s -> %s", "[new branch]", b, track)
		if there {
			line = fmt.Sprintf("   %-21s %s -> %s", old.String()[:8]+".."+to.String()[:8], b, track)
		}
		told = append(told, news{track, line})
	}
	if c.Prune && only == nil {
		tracks, lines := gone(name, known, refs)
		land.Tracks, told = append(land.Tracks, tracks...), append(told, lines...)
	}
	have, err := s.Repo.TagObjects(ctx)
	if err != nil {
		return nil, land, nil, err
	}
	for _, n := range slices.Sorted(maps.Keys(refs)) {
		t, isTag := strings.CutPrefix(n, sync.Tags)
		if !isTag || only != nil && !only[n] && !c.Tags || slices.ContainsFunc(have, func(h repo.LandedTag) bool { return h.Name == t }) {
			continue
		}
		if s.Repo.Shallow() {
			// Of a database without its older history, tags are those of commits that it has.
			if ok, err := s.Repo.Store().Has(ctx, refs[n].Commit); err != nil {
				return nil, land, nil, err
			} else if !ok {
				continue
			}
		}
		got = append(got, refs[n])
		land.Tags = append(land.Tags, repo.LandedTag{Name: t, Object: refs[n].Tag, Commit: refs[n].Commit})
		told = append(told, news{sync.Tags + t, fmt.Sprintf(" * %-21s %s -> %s", "[new tag]", t, t)})
	}
	return got, land, told, nil
}

// only is the refs that the parameters name, as the remote has them; nil for all.
func (c *Fetch) only(name string, refs map[string]sync.Ref) (map[string]bool, error) {
	var only map[string]bool
	for i := 0; i < len(c.Refs); i++ {
		text := c.Refs[i]
		ref, err := "", error(nil)
		if text == "tag" && i+1 < len(c.Refs) { // as git has it
			i++
			ref, err = c.ref(name, "refs/"+sync.Tags+c.Refs[i], refs)
		} else {
			ref, err = c.ref(name, text, refs)
		}
		if err != nil {
			return nil, err
		}
		if ref == "" { // all branches
			return nil, nil
		}
		if only == nil {
			only = map[string]bool{}
		}
		only[ref] = true
	}
	return only, nil
}

// ref is the ref of the remote that a refspec means, "" for all branches. Where it goes here is no choice: branches of a remote have its name
// before theirs.
func (c *Fetch) ref(name, text string, refs map[string]sync.Ref) (string, error) {
	there, here, two := strings.Cut(strings.TrimPrefix(text, "+"), ":")
	kind, short, err := refKind(there)
	if err != nil || short == "" || strings.Contains(here, ":") {
		return "", errs.New(errs.Invalid, "invalid refspec '%s': write a branch or a tag of the remote", text)
	}
	if kind == "" {
		kind = sync.Heads
		_, isBranch := refs[sync.Heads+short]
		if _, isTag := refs[sync.Tags+short]; isTag && !isBranch {
			kind = sync.Tags
		}
	}
	place := strings.TrimPrefix(here, trackPrefix)
	if kind == sync.Tags {
		place = name + "/" + strings.TrimPrefix(here, "refs/tags/")
	}
	if two && here != "" && place != name+"/"+short {
		return "", errs.New(errs.Unsupported, "fetch: '%s' would put it at '%s': fetch makes branches of the remote %s/<branch> here and changes no others; fetch %s, and then say 'branch %s %s/%s', or pull", text, here, name, short, here, name, short)
	}
	if strings.Contains(short, "*") {
		if short == "*" && kind == sync.Heads {
			return "", nil
		}
		return "", errs.New(errs.Unsupported, "fetch: '%s': there is no pattern but refs/heads/*; name the branches", text)
	}
	if _, ok := refs[kind+short]; !ok {
		return "", offering(errs.NotFound, errs.Nearest(short, branchNames(refs)), "invalid ref spec: the remote '%s' has no branch '%s'", name, short)
	}
	return kind + short, nil
}

func branchNames(refs map[string]sync.Ref) []string {
	var out []string
	for _, n := range slices.Sorted(maps.Keys(refs)) {
		if b, ok := strings.CutPrefix(n, sync.Heads); ok {
			out = append(out, b)
		}
	}
	return out
}

// receive brings what refs reach into the database, and then what is to become visible. It returns what has.
func receive(ctx context.Context, s *Scope, r *sync.Remote, refs []sync.Ref, land repo.Landing) (landed repo.Landing, err error) {
	var have []history.CommitID
	for _, b := range slices.Concat(s.Repo.Branches(), s.Repo.Tracks()) {
		have = append(have, b.Head)
	}
	tags, err := s.Repo.TagObjects(ctx)
	if err != nil {
		return landed, err
	}
	for _, t := range tags {
		have = append(have, t.Commit)
	}
	err = bring(ctx, s, r, refs, have, func(batch *pack.Batch) (err error) {
		landed, err = s.Repo.Land(ctx, batch, land)
		return err
	})
	return landed, err
}

// bring fetches what refs reach and have does not, and lets keep put it into the database with what names it.
func bring(ctx context.Context, s *Scope, r *sync.Remote, refs []sync.Ref, have []history.CommitID, keep func(*pack.Batch) error) error {
	incoming, done, err := s.Repo.Incoming()
	if err != nil {
		return err
	}
	defer done()
	f := &sync.Fetch{Remote: r, Store: s.Repo.Store(), FS: s.Repo.FS(), Incoming: incoming, Held: sync.HeldIn(s.Repo.FS(), s.Repo.Dir()), Progress: s.syncProgress()}
	var batch *pack.Batch
	if s.Repo.Partial() != nil {
		batch, err = bringPart(ctx, s, f, refs)
	} else {
		batch, err = f.Refs(ctx, refs, have)
	}
	if err != nil {
		return err
	}
	err = keep(batch)
	if e := batch.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = f.Landed()
	}
	return err
}

// joinLineage takes over what a remote knows of runs, and gives the commit that has all that is known here then: see repo.JoinLineage.
func joinLineage(ctx context.Context, s *Scope, r *sync.Remote, theirs sync.Ref) (id history.CommitID, err error) {
	has, err := s.Repo.LineageHas(ctx, theirs.Commit)
	if err != nil {
		return id, err
	}
	if has {
		return s.Repo.JoinLineage(ctx, nil, theirs.Commit)
	}
	err = bring(ctx, s, r, []sync.Ref{theirs}, nil, func(batch *pack.Batch) error {
		id, err = s.Repo.JoinLineage(ctx, batch, theirs.Commit)
		return err
	})
	return id, err
}

// lineageFor is what a push to a remote asks for its lineage. Where all is sent anew what branches there tell of runs, which they do no more then, is taken
// over before, and what is damaged there of either and not known here is given up, which a hint says: it can be had from nobody but those who know it.
func lineageFor(ctx context.Context, s *Scope, r *sync.Remote, seen *sync.Seen, anew bool, hints *[]string) (func(context.Context, sync.Ref) (history.CommitID, error), error) {
	if !anew {
		return func(ctx context.Context, now sync.Ref) (history.CommitID, error) { return joinLineage(ctx, s, r, now) }, nil
	}
	lost := func() {
		text := fmt.Sprintf("warning: what others told of runs is damaged at %s, and what of it is not known here is lost there until somebody pushes who knows it", r.URL())
		if !slices.Contains(*hints, text) {
			*hints = append(*hints, text)
		}
	}
	for _, x := range seen.Telling() { // each alone, as one may be damaged and another not
		err := takeRuns(ctx, s, r, []sync.Ref{x})
		if sync.IsDamaged(err) {
			lost()
		} else if err != nil {
			return nil, err
		}
	}
	return func(ctx context.Context, now sync.Ref) (history.CommitID, error) {
		id, err := joinLineage(ctx, s, r, now)
		if sync.IsDamaged(err) {
			lost()
			id, err = joinLineage(ctx, s, r, sync.Ref{})
		}
		return id, err
	}, nil
}

// takeRuns takes over what branches of a database that is worked on at a remote tell of runs, which its lineage may lack.
func takeRuns(ctx context.Context, s *Scope, r *sync.Remote, told []sync.Ref) error {
	if len(told) == 0 {
		return nil
	}
	return bring(ctx, s, r, asLineage(told), nil, func(batch *pack.Batch) error { return s.Repo.TakeRuns(ctx, batch, commitsOf(told)) })
}

// asLineage is what branches tell of runs as refs, which are fetched as the lineage is.
func asLineage(told []sync.Ref) []sync.Ref {
	out := make([]sync.Ref, len(told))
	for i, x := range told {
		out[i] = sync.Ref{Name: sync.Lineage, Target: x.Runs}
	}
	return out
}

// commitsOf is the commits by which branches tell of runs.
func commitsOf(told []sync.Ref) []history.CommitID {
	out := make([]history.CommitID, len(told))
	for i, x := range told {
		out[i] = x.Runs.Commit
	}
	return out
}
