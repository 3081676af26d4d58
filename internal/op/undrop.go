package op

import (
	"context"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
)

// DroppedDatabases are the databases that a server has dropped and not removed yet.
type DroppedDatabases interface {
	// Dropped are their names.
	Dropped() ([]string, error)
	// Undrop restores one. None of that name is an error of class NotFound, one whose name is in use one of class Exists.
	Undrop(ctx context.Context, name string) error
	// PurgeDropped removes them for good.
	PurgeDropped(ctx context.Context) error
}

// Undrop is the verb that restores a database that has been dropped.
type Undrop struct {
	Args []string `arg:"rest" value:"database" help:"the database"`
}

func undropSpec() Spec {
	return Define[Undrop](Spec{
		Name: "undrop", Group: GroupCare, Needs: NeedServer,
		Short: "Restore a database that was dropped", Usage: []string{"<database>"},
		Long: "DROP DATABASE sets a database aside. This brings it back, under the name that it had.",
	})
}

// Run restores.
func (c *Undrop) Run(ctx context.Context, s *Scope) (*Result, error) {
	if s.Dropped == nil {
		return nil, errs.New(errs.Unsupported, "undrop: there are no databases that could be dropped here")
	}
	switch len(c.Args) {
	case 0:
		names, err := s.Dropped.Dropped()
		if err != nil {
			return nil, err
		}
		what := "there are no databases currently available to be undropped"
		if len(names) > 0 {
			what = "available databases that can be undropped: " + strings.Join(names, ", ")
		}
		return nil, errs.New(errs.Invalid, "no database name specified. %s", what)
	case 1:
		return statusResult(0), s.Dropped.Undrop(ctx, c.Args[0])
	}
	return nil, errs.New(errs.Invalid, "dolt_undrop called with too many arguments: dolt_undrop only accepts one argument - the name of the dropped database to restore")
}

// PurgeDroppedDatabases is the verb that removes databases for good that were dropped.
type PurgeDroppedDatabases struct{}

func purgeDroppedDatabasesSpec() Spec {
	return Define[PurgeDroppedDatabases](Spec{
		Name: "purge-dropped-databases", Group: GroupCare, Needs: NeedServer,
		Short: "Remove databases for good that were dropped",
	})
}

// Run removes.
func (c *PurgeDroppedDatabases) Run(ctx context.Context, s *Scope) (*Result, error) {
	if s.Dropped == nil {
		return nil, errs.New(errs.Unsupported, "purge-dropped-databases: there are no databases that could be dropped here")
	}
	return statusResult(0), s.Dropped.PurgeDropped(ctx)
}
