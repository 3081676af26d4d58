package op

import (
	"context"
	"maps"
	"slices"
)

// Names are those of a kind (the Complete of a Param) that the scope's database has, for shells to offer; of other kinds there are none.
// The Repo may be one that is open for reading.
func (s *Scope) Names(ctx context.Context, kind string) ([]string, error) {
	var out []string
	switch kind {
	case "branch", "ref":
		for _, b := range s.Repo.Branches() {
			out = append(out, b.Name)
		}
		if kind == "branch" {
			break
		}
		tags, err := s.Repo.Tags(ctx)
		if err != nil {
			return nil, err
		}
		for _, t := range tags {
			out = append(out, t.Name)
		}
		for _, b := range s.Repo.Tracks() {
			out = append(out, b.Name)
		}
		out = append(out, "HEAD")
	case "table":
		snap, err := s.Repo.SnapshotWorking(s.branch())
		if err != nil {
			return nil, err
		}
		return snap.TableNames(ctx)
	case "remote":
		m, err := remoteURLs(s.Settings.Local)
		if err != nil {
			return nil, err
		}
		out = slices.Collect(maps.Keys(m))
	}
	slices.Sort(out)
	return out, nil
}
