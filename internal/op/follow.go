package op

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/vfs"
)

// Follower keeps the database of a scope a replica of a remote.
type Follower struct {
	Scope  *Scope
	Remote string            // its name
	Every  time.Duration     // how often the remote is asked
	Tell   func(err error)   // nil, or told when following fails, and with nil when it goes on
	Warn   func(text string) // nil, or told what it does not do, in whole sentences

	tags map[string]string // that came from the remote: their objects, by name
}

// How long a follower waits, at most, for a remote that does not answer, and how often it writes down how it goes.
const (
	followBackoff = 5 * time.Minute
	followNoted   = time.Minute
)

// followName is the side file in which a replica notes when it was last like its remote, and what came from there.
const followName = "follow"

// followNote is what the side file holds, as JSON.
type followNote struct {
	repo.Following
	Tags map[string]string `json:",omitempty"` // as in Follower; branches that came from the remote have one of the remote's beside them
}

// Begin makes the database a replica, which nobody can change from here on. A remote that the database does not name is an error.
func (f *Follower) Begin() error {
	m, err := remoteURLs(f.Scope.Settings.Local)
	if err != nil {
		return err
	}
	r := f.Scope.Repo
	if m[f.Remote] == "" {
		return errs.New(errs.CodeOf(errNoRemote(f.Remote, m)), "follow: database %s: %w", r.Name(), errNoRemote(f.Remote, m))
	}
	if r.Partial() != nil {
		return errs.New(errs.Unsupported, "follow: database %s is a part of another, which is no replica: bring the rest with 'fetch --complete'", r.Name())
	}
	state := repo.Following{Remote: f.Remote, URL: m[f.Remote]}
	if data, err := vfs.ReadFile(r.FS(), filepath.Join(r.Dir(), followName)); err == nil {
		var before followNote
		if json.Unmarshal(data, &before) == nil && before.Remote == state.Remote && before.URL == state.URL {
			state.Tried, state.Fetched, state.Err = before.Tried, before.Fetched, before.Err
			f.tags = before.Tags
		}
	}
	r.SetFollowing(state)
	return nil
}

// Run follows until ctx ends. Begin comes first.
func (f *Follower) Run(ctx context.Context) {
	r, clk := f.Scope.Repo, f.Scope.Clock
	wait, noted, failed := f.Every, time.Time{}, ""
	for {
		state, _ := r.Following()
		state.Tried = clk.Now()
		moved, err := f.Once(ctx)
		if ctx.Err() != nil {
			return
		}
		if state.Err = ""; err == nil {
			state.Fetched, wait = state.Tried, f.Every
		} else {
			state.Err = err.Error()
			wait = min(2*wait, max(followBackoff, f.Every))
		}
		if f.Tell != nil && state.Err != failed {
			f.Tell(err)
		}
		if now := clk.Now(); moved || state.Err != failed || now.Sub(noted) > followNoted {
			if f.write(state) == nil {
				noted = now
			}
		}
		failed = state.Err
		r.SetFollowing(state)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// write writes the side file.
func (f *Follower) write(state repo.Following) error {
	r := f.Scope.Repo
	data, err := json.Marshal(followNote{state, f.tags})
	if err != nil {
		return err
	}
	return vfs.WriteFile(r.FS(), filepath.Join(r.Dir(), followName), data)
}

// note makes durable which tags came from the remote.
func (f *Follower) note(tags map[string]string) error {
	if maps.Equal(tags, f.tags) {
		return nil
	}
	f.tags = tags
	state, _ := f.Scope.Repo.Following()
	return f.write(state)
}

// tagsAmong are the tags among refs, and those of before that are not: a follower notes them before they come.
func tagsAmong(refs map[string]sync.Ref, before map[string]string) map[string]string {
	out := maps.Clone(before)
	if out == nil {
		out = map[string]string{}
	}
	for name, r := range refs {
		if t, ok := strings.CutPrefix(name, sync.Tags); ok {
			out[t] = r.Tag.Full()
		}
	}
	return out
}

// Once makes the database like its remote, and tells whether something was new. Branches and tags that were never there stay, and so does the
// branch that is checked out when it is gone there. What came from the remote is forgotten only when it is removed here, so that a removal that
// is refused or interrupted is made later.
func (f *Follower) Once(ctx context.Context) (moved bool, err error) {
	s := f.Scope
	seen := map[string]bool{}
	for t := range tracksOf(s) {
		if b, mine := strings.CutPrefix(t, f.Remote+"/"); mine {
			seen[sync.Heads+b] = true
		}
	}
	if len(seen) == 0 { // the first time, too, an empty place is taken for one that is not there
		r, _, err := s.openRemote(ctx, f.Remote)
		if err != nil {
			return false, err
		}
		refs, err := r.Refs(ctx)
		if err == nil && len(refs) == 0 {
			err = errs.New(errs.NotFound, "there is nothing at %s", r.URL())
		}
		if err != nil {
			return false, err
		}
	}
	mine := f.tags
	got, err := (&Fetch{Remote: f.Remote, before: func(refs map[string]sync.Ref) error { return f.note(tagsAmong(refs, f.tags)) }}).fetch(ctx, s)
	if err != nil {
		return false, err
	}
	here := map[string]sync.Target{}
	for _, b := range s.Repo.Branches() {
		here[sync.Heads+b.Name] = sync.Target{Commit: b.Head}
	}
	tags, err := s.Repo.TagObjects(ctx)
	if err != nil {
		return false, err
	}
	for _, t := range tags {
		here[sync.Tags+t.Name] = sync.Target{Commit: t.Commit, Tag: t.Object}
	}
	var moves, tagMoves []sync.Move
	for _, name := range slices.Sorted(maps.Keys(got.refs)) {
		to := got.refs[name].Target
		to.List = here[name].List
		if here[name] == to {
			continue
		}
		m := sync.Move{Name: name, From: here[name], To: to}
		switch {
		case strings.HasPrefix(name, sync.Heads):
			moves = append(moves, m)
		case strings.HasPrefix(name, sync.Tags):
			tagMoves = append(tagMoves, m)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(here)) {
		was := here[name]
		tag, isTag := strings.CutPrefix(name, sync.Tags)
		theirs := seen[name] && name != sync.Heads+s.Repo.CheckedOut() || isTag && mine[tag] == was.Tag.Full()
		_, there := got.refs[name]
		if !there && !isTag && !theirs && seen[name] && f.Warn != nil {
			f.Warn("Branch '" + s.Repo.CheckedOut() + "' is gone at the remote. It stays here as it was, since it is the one that is checked out.")
		}
		if !there && theirs {
			moves = append(moves, sync.Move{Name: name, From: was})
		}
	}
	if len(tagMoves) > 0 { // fetched tags come with what they name; those that were moved do not
		var refs []sync.Ref
		for _, m := range tagMoves {
			refs = append(refs, got.refs[m.Name])
		}
		r, _, err := s.openRemote(ctx, f.Remote)
		if err != nil {
			return false, err
		}
		if err := bring(ctx, s, r, refs, nil, func(batch *pack.Batch) error {
			return s.Repo.FollowWith(ctx, batch, tagMoves)
		}); err != nil {
			return false, err
		}
	}
	if len(moves) > 0 {
		err = s.Repo.Follow(ctx, moves)
		if errs.Is(err, errs.ReadOnly) && len(moves) > 1 { // one that cannot be moved does not keep the others
			err = nil
			for _, m := range moves {
				err = errors.Join(err, s.Repo.Follow(ctx, []sync.Move{m}))
			}
		}
	}
	if err != nil {
		return true, err
	}
	return len(got.lines)+len(tagMoves)+len(moves) > 0, f.forget(ctx, got.refs)
}

// forget forgets what the remote has no more, and what is not here any more, either, or stays.
func (f *Follower) forget(ctx context.Context, refs map[string]sync.Ref) error {
	tracks, _ := gone(f.Remote, maps.Collect(tracksOf(f.Scope)), refs)
	if _, err := f.Scope.Repo.Land(ctx, nil, repo.Landing{Tracks: tracks}); err != nil {
		return err
	}
	return f.note(tagsAmong(refs, nil))
}

// FollowedBranch is a branch of a replica.
type FollowedBranch struct {
	Name        string
	Here, There history.CommitID // zero: it is not here yet
}

// Followed are the branches of a replica that its remote has, as it was last seen, ordered by name.
func Followed(r *repo.Repo) []FollowedBranch {
	f, ok := r.Following()
	if !ok {
		return nil
	}
	var out []FollowedBranch
	for _, t := range r.Tracks() {
		if name, mine := strings.CutPrefix(t.Name, f.Remote+"/"); mine {
			here, _ := r.BranchHead(name)
			out = append(out, FollowedBranch{name, here, t.Head})
		}
	}
	return out
}

// Behind is how many commits a branch of a replica lacks.
func Behind(ctx context.Context, r *repo.Repo, here, there history.CommitID) (behind int, err error) {
	_, behind, err = apart(ctx, &Scope{Repo: r}, here, there)
	return behind, err
}
