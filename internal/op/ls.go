package op

import (
	"context"
	"slices"

	"github.com/stemmadb/stemma/internal/repo"
)

// Ls is the verb that lists tables.
type Ls struct {
	Verbose  bool   `flag:"verbose,v" help:"show hashes and numbers of rows"`
	System   bool   `flag:"system,s" help:"list system tables only"`
	All      bool   `flag:"all,a" help:"list system tables, too"`
	Revision string `arg:"1" value:"revision" complete:"ref" help:"list those of a commit; the working set's otherwise"`
}

func lsSpec() Spec {
	return Define[Ls](Spec{
		Name: "ls", Group: GroupLook, Needs: NeedDatabase, ReadOnly: true,
		Short:    "List tables",
		Examples: []Example{{"ls", "tables of the working set"}, {"ls -v HEAD~1", "tables of the commit before, with their sizes"}},
	})
}

// Run lists.
func (c *Ls) Run(ctx context.Context, s *Scope) (*Result, error) {
	var snap *repo.Snapshot
	title := "Tables in working set:"
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
		title = "Tables in " + id.String() + ":"
	}
	names, err := snap.TableNames(ctx)
	if err != nil {
		return nil, err
	}
	if !c.All {
		names = slices.DeleteFunc(names, func(n string) bool { return repo.IsSystemTable(n) != c.System })
	}
	r := &Result{Columns: []Column{Text("table_name"), Text("hash"), Whole("rows")}}
	if len(names) == 0 {
		r.Lines = []string{"No tables in working set"}
		if c.Revision != "" {
			r.Lines[0] = "No tables in " + c.Revision
		}
		return r, nil
	}
	r.Lines = []string{title}
	width := 0
	for _, n := range names {
		width = max(width, len(n))
	}
	for _, n := range names {
		v, _, _, err := snap.Table(ctx, n)
		if err != nil {
			return nil, err
		}
		h := v.Table.Hash().String()
		r.Add(n, h, int64(v.Count()))
		if c.Verbose {
			r.Printf("\t%-*s     %s     %s\n", width, n, h, plural(v.Count(), "row"))
		} else {
			r.Printf("\t%s\n", n)
		}
	}
	return r, nil
}
