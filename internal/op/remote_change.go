package op

import (
	"context"
	"maps"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/sync"
)

// newRemoteName reports why no remote can get a name.
func newRemoteName(name string, m map[string]string) error {
	if !remoteName.MatchString(name) {
		return errs.New(errs.Invalid, "'%s' is no name of a remote: it may consist of letters, digits and _ . - only", name)
	}
	if m[name] != "" {
		return errs.New(errs.Exists, "a remote named '%s' already exists: it is %s", name, m[name])
	}
	return nil
}

func (c *Remote) add(_ context.Context, s *Scope, m map[string]string, args []string) (*Result, error) {
	if err := newRemoteName(args[0], m); err != nil {
		return nil, err
	}
	url, err := s.remoteURL(args[1])
	if err != nil {
		return nil, err
	}
	return statusResult(0), changeRemotes(s.Settings.Local, func(m map[string]string) { m[args[0]] = url })
}

// getURL shows where a remote is.
func (c *Remote) getURL(_ context.Context, _ *Scope, m map[string]string, args []string) (*Result, error) {
	url := m[args[0]]
	if url == "" {
		return nil, errNoRemote(args[0], m)
	}
	r := Say("%s", url)
	r.Columns, r.Rows = remoteColumns, [][]any{{args[0], url}}
	return r, nil
}

// setURL says that a remote is elsewhere. What was seen of it stays.
func (c *Remote) setURL(_ context.Context, s *Scope, m map[string]string, args []string) (*Result, error) {
	if m[args[0]] == "" {
		return nil, errNoRemote(args[0], m)
	}
	url, err := s.remoteURL(args[1])
	if err != nil {
		return nil, err
	}
	return statusResult(0), changeRemotes(s.Settings.Local, func(m map[string]string) { m[args[0]] = url })
}

// remove forgets a remote, what was seen of it, and that branches follow its branches.
func (c *Remote) remove(ctx context.Context, s *Scope, m map[string]string, args []string) (*Result, error) {
	name := args[0]
	if m[name] == "" {
		return nil, errNoRemote(name, m)
	}
	return statusResult(0), c.leave(ctx, s, name, "")
}

// rename gives a remote another name, what was seen of it and what branches follow included.
func (c *Remote) rename(ctx context.Context, s *Scope, m map[string]string, args []string) (*Result, error) {
	name, now := args[0], args[1]
	if m[name] == "" {
		return nil, errNoRemote(name, m)
	}
	if name == now || m[now] != m[name] { // with the same URL it is a renaming that broke off
		if err := newRemoteName(now, m); err != nil {
			return nil, err
		}
	}
	return statusResult(0), c.leave(ctx, s, name, now)
}

// leave ends the use of a remote's name; now is its new one, "" for none.
func (c *Remote) leave(ctx context.Context, s *Scope, name, now string) error {
	if now != "" { // there is one at all times that what was seen belongs to
		if err := changeRemotes(s.Settings.Local, func(m map[string]string) { m[now] = m[name] }); err != nil {
			return err
		}
	}
	var land repo.Landing
	for _, t := range s.Repo.Tracks() {
		branch, mine := strings.CutPrefix(t.Name, name+"/")
		if !mine {
			continue
		}
		land.Tracks = append(land.Tracks, repo.LandedTrack{Name: t.Name, Anyway: true})
		if now != "" {
			land.Tracks = append(land.Tracks, repo.LandedTrack{Name: now + "/" + branch, Head: t.Head, Anyway: true})
		}
	}
	if _, err := s.Repo.Land(ctx, nil, land); err != nil {
		return err
	}
	if err := moveUpstreams(s, trackPrefix+name+"/", now); err != nil {
		return err
	}
	return changeRemotes(s.Settings.Local, func(m map[string]string) { delete(m, name) })
}

// moveUpstreams makes branches that follow what begins with prefix, branches of a remote, follow those of another remote, or none when now is "".
func moveUpstreams(s *Scope, prefix, now string) error {
	up, err := upstreams(s)
	if err != nil {
		return err
	}
	moved := map[string]string{}
	for b, u := range up {
		if branch, ok := strings.CutPrefix(u, prefix); ok {
			moved[b] = branch
		}
	}
	if len(moved) == 0 {
		return nil
	}
	return changeUpstreams(s, func(m map[string]string) {
		for b, branch := range moved {
			if now != "" {
				m[b] = trackPrefix + now + "/" + branch
			} else {
				delete(m, b)
			}
		}
	})
}

// prune forgets branches of a remote that are gone there.
func (c *Remote) prune(ctx context.Context, s *Scope, m map[string]string, args []string) (*Result, error) {
	name := args[0]
	if m[name] == "" {
		return nil, errNoRemote(name, m)
	}
	r, _, err := s.openRemote(ctx, name)
	if err != nil {
		return nil, err
	}
	hints := warnings(r)
	known := maps.Collect(tracksOf(s))
	refs, err := r.Refs(ctx)
	if err != nil {
		return nil, err
	}
	if err := vanished(r, name, known, refs); err != nil {
		return nil, err
	}
	if err := made(r); err != nil {
		return nil, err
	}
	land, told := gone(name, known, refs)
	landed, err := s.Repo.Land(ctx, nil, repo.Landing{Tracks: land})
	if err != nil {
		return nil, err
	}
	res := statusResult(0)
	res.Lines, res.Hints = lines(r, landed, told), *hints
	return res, nil
}

// lines tell what has become visible.
func lines(r *sync.Remote, land repo.Landing, told []news) []string {
	landed := map[string]bool{}
	for _, t := range land.Tracks {
		landed[t.Name] = true
	}
	for _, t := range land.Tags {
		landed[sync.Tags+t.Name] = true
	}
	out := []string{}
	for _, n := range told {
		if landed[n.ref] {
			out = append(out, n.line)
		}
	}
	if len(out) > 0 {
		out = append([]string{"From " + r.URL()}, out...)
	}
	return out
}
