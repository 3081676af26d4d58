package op

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
)

// upstreamSetting is the setting of the database that holds the upstreams of branches: a JSON object, since names of branches have a case
// and those of settings have not.
const upstreamSetting = "branch.upstreams"

// upstreams are the branches that others follow, by the name of the one that follows.
func upstreams(s *Scope) (map[string]string, error) {
	m := map[string]string{}
	all, err := readSettings(s.Settings.Local)
	if err != nil || all[upstreamSetting] == "" {
		return m, err
	}
	if err := json.Unmarshal([]byte(all[upstreamSetting]), &m); err != nil {
		return nil, errs.New(errs.Invalid, "setting %s: want a JSON object of strings: %w", upstreamSetting, err)
	}
	return m, nil
}

// changeUpstreams changes what branches follow.
func changeUpstreams(s *Scope, change func(map[string]string)) error {
	if s.Settings.Local == "" {
		return errs.New(errs.Unsupported, "the upstream of a branch can only be kept in the settings of a database")
	}
	return changeObjects(s.Settings.Local, map[string]func(map[string]string){upstreamSetting: change})
}

// follow makes a branch follow another.
func follow(s *Scope, branch, upstream string) error {
	upstream = asUpstream(s, upstream)
	if err := checkUpstream(s, branch, upstream); err != nil {
		return err
	}
	return changeUpstreams(s, func(m map[string]string) { m[branch] = upstream })
}

// asUpstream is what a user calls the upstream of a branch as settings have it: a branch, or one of a remote by its name in full.
func asUpstream(s *Scope, name string) string {
	if _, ok := s.Repo.BranchHead(name); ok {
		return name
	}
	short := strings.TrimPrefix(strings.TrimPrefix(name, "refs/"), "remotes/")
	if _, ok := s.Repo.Track(short); ok {
		return trackPrefix + short
	}
	return name
}

// shownUpstream is the name of an upstream for users.
func shownUpstream(upstream string) string { return strings.TrimPrefix(upstream, trackPrefix) }

// upstreamHead is what the upstream of a branch names; ok is false when there is none.
func upstreamHead(s *Scope, upstream string) (id history.CommitID, ok bool) {
	if track, remote := strings.CutPrefix(upstream, trackPrefix); remote {
		return s.Repo.Track(track)
	}
	return s.Repo.BranchHead(upstream)
}

// checkUpstream refuses what a branch cannot follow.
func checkUpstream(s *Scope, branch, upstream string) error {
	if strings.HasPrefix(upstream, trackPrefix) {
		return nil
	}
	if _, ok := s.Repo.BranchHead(upstream); !ok {
		var names []string
		for _, b := range s.Repo.Branches() {
			names = append(names, b.Name)
		}
		return offering(errs.NotFound, errs.Nearest(upstream, names), "branch not found: '%s'", upstream)
	}
	if branch == upstream {
		return errs.New(errs.Invalid, "not setting '%s' as its own upstream", branch)
	}
	return nil
}

// forget drops what names of branches that are gone, or have another name now, follow and are followed by.
func forget(s *Scope, branch, now string) error {
	m, err := upstreams(s)
	if err != nil || len(m) == 0 {
		return err
	}
	return changeUpstreams(s, func(m map[string]string) {
		if up, ok := m[branch]; ok {
			delete(m, branch)
			if now != "" {
				m[now] = up
			}
		}
		for b, up := range m {
			switch {
			case up != branch:
			case now == "":
				delete(m, b)
			default:
				m[b] = now
			}
		}
	})
}

// aheadBehind is how far a branch is from its upstream, as lists of branches show it: "" when it has none, or when they are one.
func aheadBehind(ctx context.Context, s *Scope, head history.CommitID, upstream string) (string, error) {
	up, ok := upstreamHead(s, upstream)
	if !ok || up == head {
		return "", nil
	}
	ahead, behind, err := apart(ctx, s, head, up)
	switch {
	case err != nil:
		return "", err
	case behind == 0:
		return fmt.Sprintf(" [ahead %d]", ahead), nil
	case ahead == 0:
		return fmt.Sprintf(" [behind %d]", behind), nil
	}
	return fmt.Sprintf(" [ahead %d, behind %d]", ahead, behind), nil
}

// apart is how many commits a head has that the upstream has not, and the other way round.
func apart(ctx context.Context, s *Scope, head, up history.CommitID) (ahead, behind int, err error) {
	count := func(from, not history.CommitID) (int, error) {
		w, err := history.Walk(ctx, s.Repo.Store(), []history.CommitID{from}, []history.CommitID{not})
		for n := 0; ; n++ {
			if err != nil {
				return 0, err
			}
			var c *history.Commit
			if c, err = w.Next(ctx); err == nil && c == nil {
				return n, nil
			}
		}
	}
	if ahead, err = count(head, up); err == nil {
		behind, err = count(up, head)
	}
	return ahead, behind, err
}

// Upstreams are the upstreams that the settings in the file name: by branch the name of a remote, "" for a branch of the database, and that
// of the branch.
func Upstreams(settings string) (map[string][2]string, error) {
	m, err := upstreams(&Scope{Settings: Settings{Local: settings}})
	if err != nil {
		return nil, err
	}
	out := map[string][2]string{}
	for b, up := range m {
		rest, remote := strings.CutPrefix(up, trackPrefix)
		if !remote {
			out[b] = [2]string{"", up}
			continue
		}
		name, theirs, _ := strings.Cut(rest, "/")
		out[b] = [2]string{name, theirs}
	}
	return out, nil
}

// on is the scope on another branch; "" is its own.
func (s *Scope) on(ctx context.Context, branch string) (*Scope, error) {
	if branch == "" {
		return s, nil
	}
	if _, ok := s.Repo.BranchHead(branch); !ok {
		tx, err := s.Repo.Begin(ctx, branch) // for its error, which names what is near
		if err == nil {                      // made meanwhile
			tx.Rollback()
			return s.on(ctx, branch)
		}
		return nil, err
	}
	c := *s
	c.Branch = branch
	return &c, nil
}
