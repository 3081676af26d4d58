package op

import (
	"context"
	"slices"

	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/root"
)

// lsColumns are the columns of what ls answers.
var lsColumns = []Column{Text("table_name"), Text("hash"), Whole("rows")}

// Ls is the verb that lists tables.
type Ls struct {
	Verbose  bool   `flag:"verbose,v" help:"show hashes and numbers of rows"`
	System   bool   `flag:"system,s" help:"list system tables only"`
	All      bool   `flag:"all,a" help:"list system tables, too"`
	Revision string `arg:"1" value:"revision" complete:"ref" help:"list those of a commit; the working set's otherwise"`
}

func lsSpec() Spec {
	return Define[Ls](Spec{
		Name: "ls", Columns: lsColumns, Group: GroupLook, Needs: NeedDatabase, ReadOnly: true,
		Short:    "List tables and views",
		Examples: []Example{{"ls", "tables of the working set"}, {"ls -v HEAD~1", "tables of the commit before, with their sizes"}},
	})
}

// Run lists.
func (c *Ls) Run(ctx context.Context, s *Scope) (*Result, error) {
	var snap *repo.Snapshot
	where := "working set"
	if c.Revision == "" {
		var err error
		if c.Verbose {
			w, ferr := s.Repo.Fold(ctx, s.branch())
			if ferr != nil {
				return nil, ferr
			}
			snap = s.Repo.SnapshotRoot(w.Working)
		} else if snap, err = s.Repo.SnapshotWorking(s.branch()); err != nil {
			return nil, err
		}
	} else {
		id, err := s.Repo.Resolve(ctx, c.Revision, s.branch())
		if err != nil {
			return nil, err
		}
		if snap, err = s.Repo.SnapshotAt(ctx, id); err != nil {
			return nil, err
		}
		where = id.String()
	}
	if c.All && c.System {
		return nil, errFlags("all", "system")
	}
	names, err := snap.TableNames(ctx)
	if err != nil {
		return nil, err
	}
	user := slices.DeleteFunc(slices.Clone(names), root.IsSystem)
	system := slices.DeleteFunc(names, func(n string) bool { return !root.IsSystem(n) })
	r := &Result{Columns: lsColumns}
	if c.All || !c.System {
		views, err := viewsOf(ctx, snap)
		if err != nil {
			return nil, err
		}
		if len(user) == 0 {
			r.Lines = append(r.Lines, "No tables in "+where)
			if s.Dolt && c.Verbose {
				r.Lines = append(r.Lines, "") // doltcli knows an empty database by its three lines
			}
		} else {
			r.Lines = append(r.Lines, "Tables in "+where+":")
		}
		if err := c.list(ctx, r, snap, user, c.Verbose); err != nil {
			return nil, err
		}
		if len(views) > 0 && !s.Dolt { // Dolt lists none
			r.Lines = append(r.Lines, "Views in "+where+":")
			for _, f := range views {
				r.Add(f.Name, nil, nil)
				r.Printf("\t%s\n", f.Name)
			}
		}
	}
	if c.All || c.System {
		r.Lines = append(r.Lines, "System tables:")
		rebasing := false
		if c.Revision == "" {
			x, err := s.Repo.Rebasing(ctx, s.branch())
			if err != nil {
				return nil, err
			}
			rebasing = x != nil
		}
		head := snap
		if c.Revision == "" {
			id, err := s.Repo.Resolve(ctx, "HEAD", s.branch())
			if err != nil {
				return nil, err
			}
			if head, err = s.Repo.SnapshotAt(ctx, id); err != nil {
				return nil, err
			}
		}
		if system, err = systemNames(ctx, head, user, system, rebasing); err != nil {
			return nil, err
		}
		for _, n := range system {
			r.Add(n, nil, nil)
			r.Printf("\t%s\n", n)
		}
	}
	return r, nil
}

// systemNames are the names of the system tables that there are beside the user's tables and those in kept, sorted. head is the state of
// which dolt_blame_<table> tells.
func systemNames(ctx context.Context, head *repo.Snapshot, user, kept []string, rebasing bool) ([]string, error) {
	names, perTable := repo.ComputedTables()
	if !rebasing {
		names = slices.DeleteFunc(names, func(n string) bool { return n == repo.RebaseTable })
	}
	names = slices.Concat(names, repo.SystemTables(), lineage.Tables(), kept)
	for _, t := range user {
		v, _, there, err := head.Table(ctx, t)
		if err != nil {
			return nil, err
		}
		for _, p := range perTable {
			if p != repo.BlamePrefix || there && !v.Schema().Keyless() {
				names = append(names, p+t)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// list adds tables to the answer; sizes adds their hashes and numbers of rows to its lines.
func (c *Ls) list(ctx context.Context, r *Result, snap *repo.Snapshot, names []string, sizes bool) error {
	width := 0
	for _, n := range names {
		width = max(width, len(n))
	}
	for _, n := range names {
		v, _, _, err := snap.Table(ctx, n)
		if err != nil {
			return err
		}
		h := v.Table.Hash().String()
		r.Add(n, h, int64(v.Count()))
		if sizes {
			r.Printf("\t%-*s     %s     %s\n", width, n, h, plural(v.Count(), "row"))
		} else {
			r.Printf("\t%s\n", n)
		}
	}
	return nil
}
