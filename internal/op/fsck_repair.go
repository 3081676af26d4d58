package op

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/sync"
)

// repair verifies a database that need not be one that can be opened, and mends it.
func (c *Fsck) repair(ctx context.Context, s *Scope) (*Result, error) {
	v := newVerifying()
	from, err := c.spare(s)
	if err != nil {
		return nil, err
	}
	from.Tell = func(text string) { v.Hints = append(v.Hints, "warning: "+text) }
	m, err := repo.Mend(ctx, s.FS, s.Dir, repo.Options{Clock: s.Clock}, from)
	if err != nil {
		return nil, fmt.Errorf("fsck --repair: %w", err)
	}
	for _, d := range m.Damaged {
		for _, p := range d.Problems {
			v.Printf("%s", fileProblem(p))
		}
	}
	for _, d := range m.Missing {
		v.Printf("pack %s is not there", d.Full())
	}
	if err = m.Repo.Store().VerifyJournal(ctx, v.file); err == nil {
		starts, e := m.Starts(ctx)
		if err = e; err == nil {
			err = v.history(ctx, s, m.Repo, starts)
		}
	}
	if e := m.End(ctx, err != nil, err == nil && len(v.Rows) == 0); e != nil {
		return nil, errors.Join(err, e)
	}
	if err != nil {
		return nil, err
	}
	if n := m.Fetched(); n > 0 {
		v.Printf("Repaired: %s came from elsewhere.", plural(uint64(n), "chunk"))
	}
	if len(m.Damaged) > 0 {
		v.Printf("%s of %s could be read and are kept. The files as they were are in %s", plural(uint64(m.Kept), "chunk"), plural(uint64(len(m.Damaged)), "damaged pack"), m.Aside)
	}
	if p := m.Repo.Partial(); p != nil && p.Lazy && len(m.Damaged)+len(m.Missing) > 0 {
		v.unknown = true
		v.Hints = append(v.Hints, "of a lazy clone it is not known whether what was lost is at its remote: commits that were not pushed may be gone; "+
			"'"+s.Program()+" fetch --complete' reads all that is lacking, and fails at what is nowhere")
	}
	if len(v.Rows) > 0 && len(from.Open) == 0 {
		v.Hints = append(v.Hints, "the database has no remote and no backup: say with --from where another copy of its history is")
	}
	return v.end(), nil
}

// spare is where lost chunks come from.
func (c *Fsck) spare(s *Scope) (*sync.Spare, error) {
	var places []RemoteURL
	for _, setting := range []string{remotesSetting, backupsSetting} {
		all, err := namedURLs(s.Settings.Local, setting)
		if err != nil {
			return nil, err
		}
		places = append(places, all...)
	}
	if c.From != "" {
		named := slices.DeleteFunc(slices.Clone(places), func(p RemoteURL) bool { return p.Name != c.From })
		switch {
		case len(named) > 0:
			places = named
		case remoteName.MatchString(c.From):
			m := map[string]string{}
			for _, p := range places {
				m[p.Name] = p.URL
			}
			return nil, errNoRemote(c.From, m)
		default:
			url, err := s.remoteURL(c.From)
			if err != nil {
				return nil, err
			}
			places = []RemoteURL{{URL: url}}
		}
	}
	out := &sync.Spare{}
	for _, p := range places {
		name := p.URL
		if p.Name != "" {
			name = fmt.Sprintf("%s (%s)", p.Name, p.URL)
		}
		out.Names = append(out.Names, name)
		out.Open = append(out.Open, func(ctx context.Context) (*sync.Remote, error) {
			return s.openURL(ctx, p.URL)
		})
	}
	return out, nil
}
