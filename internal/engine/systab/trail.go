package systab

import (
	"context"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/diff"
	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/history"
)

// A table that was renamed had its rows under another name before. The history of a name is that of the tables called so and, at
// moments that have none, of the table from which the one of a later moment was renamed.

// before is the name under which a moment has the table that its child has under a name: another one when the child renamed it.
func before(ctx context.Context, m, child *moment, name string) (string, error) {
	if m == nil {
		return name, nil
	}
	for _, at := range []*moment{m, child} {
		t, err := at.table(ctx, name)
		if err != nil || (t == nil) == (at == child) {
			return name, err
		}
	}
	ds, err := deltas(ctx, m, child)
	if err != nil {
		return "", err
	}
	for i := range ds {
		if d := &ds[i]; d.Kind == diff.TableRenamed && strings.EqualFold(d.To.Name, name) {
			return d.From.Name, nil
		}
	}
	return name, nil
}

// orOld is the name where a moment has such a table, else the older one.
func orOld(ctx context.Context, m *moment, name, old string) (string, error) {
	if m == nil || old == name {
		return old, nil
	}
	t, err := m.table(ctx, name)
	if err != nil || t == nil {
		return old, err
	}
	return name, nil
}

// trail follows a table through moments that come children first.
type trail struct {
	of    string // its name now
	links map[history.CommitID]link
}

// link is the table of a commit's child.
type link struct {
	child *moment
	name  string
	has   bool // whether the child has it
}

func newTrail(of string) *trail { return &trail{of: of, links: map[history.CommitID]link{}} }

// find is the name of the table at a moment, whose children were asked for before; parents are the moment's.
func (t *trail) find(ctx context.Context, m *moment, parents []history.CommitID) (name string, err error) {
	name = t.of
	if m.commit != nil {
		if l, ok := t.links[m.commit.ID]; ok {
			delete(t.links, m.commit.ID)
			if name, err = before(ctx, m, l.child, l.name); err == nil {
				name, err = orOld(ctx, m, t.of, name)
			}
			if err != nil {
				return "", err
			}
		}
	}
	tab, err := m.table(ctx, name)
	if err != nil {
		return "", err
	}
	for _, p := range parents {
		if !t.links[p].has {
			t.links[p] = link{child: m, name: name, has: tab != nil}
		}
	}
	return name, nil
}

// start asks for what comes before all commits that the head reaches: the working set, when there is one and the head has no such table.
func (t *trail) start(ctx *sql.Context, db registry.Handle, head history.CommitID) error {
	if db.Branch() == "" {
		return nil
	}
	c, err := history.GetCommit(ctx, db.Repo().Store(), head)
	if err != nil {
		return err
	}
	if tab, err := momentOf(db, c).table(ctx, t.of); err != nil || tab != nil {
		return err
	}
	m, err := momentAt(ctx, db, working)
	if err != nil {
		return err
	}
	_, err = t.find(ctx, m, []history.CommitID{head})
	return err
}

// nameAt is the name that the table called of now has at a moment, which need not be one that the head reaches.
func nameAt(ctx *sql.Context, db registry.Handle, of string, m *moment) (string, error) {
	if tab, err := m.table(ctx, of); err != nil || tab != nil {
		return of, err
	}
	if m.commit == nil {
		if db.Branch() == "" {
			return of, nil
		}
		w, err := momentAt(ctx, db, working)
		if err != nil {
			return "", err
		}
		return before(ctx, m, w, of)
	}
	head, err := db.Head(ctx)
	if err != nil {
		return "", err
	}
	if ok, err := db.Repo().Reaches(ctx, head, m.commit); err != nil || !ok {
		return of, err
	}
	name := of
	err = walkNames(ctx, db, of, head, func(c *history.Commit, at string) bool {
		if c.ID == m.commit.ID {
			name = at
		}
		return c.ID != m.commit.ID
	})
	return name, err
}

// olderNames are the other names that the table called of now had at commits that the head reaches.
func olderNames(ctx *sql.Context, db registry.Handle, of string, head history.CommitID) (map[history.CommitID]string, error) {
	names := map[history.CommitID]string{}
	return names, walkNames(ctx, db, of, head, func(c *history.Commit, name string) bool {
		if name != of {
			names[c.ID] = name
		}
		return true
	})
}

// walkNames calls fn with the commits that the head reaches and the table's names there, until it returns false.
func walkNames(ctx *sql.Context, db registry.Handle, of string, head history.CommitID, fn func(c *history.Commit, name string) bool) error {
	t := newTrail(of)
	if err := t.start(ctx, db, head); err != nil {
		return err
	}
	w, err := history.Walk(ctx, db.Repo().Store(), []history.CommitID{head}, nil)
	if err != nil {
		return err
	}
	for {
		c, err := w.Next(ctx)
		if err != nil || c == nil {
			return err
		}
		name, err := t.find(ctx, momentOf(db, c), c.Parents)
		if err != nil || !fn(c, name) {
			return err
		}
	}
}
