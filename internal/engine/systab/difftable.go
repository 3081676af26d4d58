package systab

import (
	"context"
	"slices"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/root"
)

// The beginnings of the names of per-table system tables.
const (
	prefixDiff       = "dolt_diff_"
	prefixCommitDiff = "dolt_commit_diff_"
	prefixHistory    = "dolt_history_"
)

// shapeOf is the columns under which the history of a table is shown: those it has now or, when it was dropped, the last it had on
// the way back along first parents. ok is false when no such table is met.
func shapeOf(ctx *sql.Context, db registry.Handle, name string) (*shape, bool, error) {
	for _, rev := range []string{working, "HEAD"} {
		r, _, err := db.At(ctx, rev)
		if err != nil {
			return nil, false, err
		}
		v, _, ok, err := r.Table(ctx, name)
		if err != nil {
			return nil, false, err
		}
		if ok {
			sh, err := newShape(v.Schema())
			return sh, err == nil, err
		}
	}
	r := db.Repo()
	id, err := db.Head(ctx)
	if err != nil {
		return nil, false, err
	}
	for {
		c, err := history.GetCommit(ctx, r.Store(), id)
		if err != nil || len(c.Parents) == 0 {
			return nil, false, err
		}
		id = c.Parents[0]
		if c, err = history.GetCommit(ctx, r.Store(), id); err != nil {
			return nil, false, err
		}
		v, _, ok, err := r.SnapshotRoot(root.Open(r.Store(), c.Root)).Table(ctx, name)
		if err != nil {
			return nil, false, err
		}
		if ok {
			sh, err := newShape(v.Schema())
			return sh, err == nil, err
		}
	}
}

// diffTable is dolt_diff_<table>: how each commit changed the rows of a table against its first parent, along the first parents of
// the head, the newest first, after how the working set differs from the head. Where both from_commit and to_commit are given it is
// the difference of that pair, whatever lies between them. Before the table was renamed it is looked for under its older name.
func diffTable(ctx *sql.Context, db registry.Handle, name string) (sql.Table, bool, error) {
	of := name[len(prefixDiff):]
	sh, ok, err := shapeOf(ctx, db, of)
	if err != nil || !ok {
		return nil, false, err
	}
	keys := append([]string{"to_commit from_commit", "to_commit", "from_commit", "diff_type"}, sh.keys("to_")...)
	keys = append(keys, sh.keys("from_")...)
	t := newTable(db, name, diffColumns(sh, sh), keys, nil)
	t.addDate("to_commit_date")
	t.scan = func(ctx *sql.Context, want scan) (sql.RowIter, error) {
		at := want.at
		to, hasTo := at.text("to_commit")
		from, hasFrom := at.text("from_commit")
		switch {
		case want.order != anyOrder:
			return datedRows(ctx, db, of, sh, want)
		case hasTo && hasFrom:
			return pairRows(ctx, db, of, sh, from, to, want)
		case hasTo:
			return intoRows(ctx, db, of, sh, to, want)
		}
		begin := ""
		if hasFrom {
			m, err := momentAt(ctx, db, from)
			if err != nil {
				return noRows(), orNoRows(err)
			}
			begin = m.name
		}
		steps, err := newSteps(ctx, db)
		if err != nil {
			return nil, err
		}
		names := stepNames{of: of}
		return chain(func(ctx *sql.Context) (sql.RowIter, error) {
			for {
				a, b, ok, err := steps.next(ctx)
				if err != nil || !ok {
					return nil, err
				}
				aName, bName, err := names.next(ctx, a, b)
				if err != nil {
					return nil, err
				}
				d := &rowDiff{from: a, to: b, shapes: [2]*shape{sh, sh}, fromName: a.label(), toName: b.label(), at: at, cols: want.cols}
				if hasFrom {
					if a == nil || a.name != begin {
						continue
					}
					d.fromName, steps.cur = from, nil
				}
				return d.rows(ctx, aName, bName)
			}
		}), nil
	}
	return t, true, nil
}

// commitDiffTable is dolt_commit_diff_<table>: how the rows of a table differ between the two commits that must be given.
func commitDiffTable(ctx *sql.Context, db registry.Handle, name string) (sql.Table, bool, error) {
	of := name[len(prefixCommitDiff):]
	sh, ok, err := shapeOf(ctx, db, of)
	if err != nil || !ok {
		return nil, false, err
	}
	keys := append([]string{"to_commit from_commit"}, sh.keys("to_")...)
	keys = append(keys, sh.keys("from_")...)
	t := newTable(db, name, diffColumns(sh, sh), keys, nil)
	t.scan = func(ctx *sql.Context, want scan) (sql.RowIter, error) {
		to, hasTo := want.at.text("to_commit")
		from, hasFrom := want.at.text("from_commit")
		if !hasTo || !hasFrom {
			return nil, errs.New(errs.Invalid, "read %s: the query must give one to_commit and one from_commit", name)
		}
		return pairRows(ctx, db, of, sh, from, to, want)
	}
	return &required{Table: t, columns: []string{"to_commit", "from_commit"}}, true, nil
}

// pairRows are the rows that differ between two revisions. The commit columns show the words that were asked for, so that rows match
// the filter.
func pairRows(ctx *sql.Context, db registry.Handle, of string, sh *shape, from, to string, want scan) (sql.RowIter, error) {
	a, err := momentAt(ctx, db, from)
	if err != nil {
		return nil, err
	}
	b, err := momentAt(ctx, db, to)
	if err != nil {
		return nil, err
	}
	aName, err := nameAt(ctx, db, of, a)
	if err != nil {
		return nil, err
	}
	bName, err := nameAt(ctx, db, of, b)
	if err != nil {
		return nil, err
	}
	d := &rowDiff{from: a, to: b, shapes: [2]*shape{sh, sh}, fromName: from, toName: to, at: want.at, cols: want.cols}
	return d.rows(ctx, aName, bName)
}

// intoRows are the rows that a revision changed against its first parent, the working set against the head.
func intoRows(ctx *sql.Context, db registry.Handle, of string, sh *shape, to string, want scan) (sql.RowIter, error) {
	b, err := momentAt(ctx, db, to)
	if err != nil {
		return noRows(), orNoRows(err)
	}
	var a *moment
	if b.commit == nil {
		a, err = momentAt(ctx, db, "HEAD")
	} else {
		a, err = parentOf(ctx, db, b)
	}
	if err != nil {
		return nil, err
	}
	bName, err := nameAt(ctx, db, of, b)
	if err != nil {
		return nil, err
	}
	aName, err := before(ctx, a, b, bName)
	if err != nil {
		return nil, err
	}
	d := &rowDiff{from: a, to: b, shapes: [2]*shape{sh, sh}, fromName: a.label(), toName: to, at: want.at, cols: want.cols}
	return d.rows(ctx, aName, bName)
}

// orNoRows is nil for the error that a revision names nothing: then no rows have it.
func orNoRows(err error) error {
	if errs.Is(err, errs.NotFound) || errs.Is(err, errs.Invalid) {
		return nil
	}
	return err
}

// parentOf is the first parent of a commit; nil when it has none.
func parentOf(ctx context.Context, db registry.Handle, m *moment) (*moment, error) {
	if len(m.commit.Parents) == 0 {
		return nil, nil
	}
	c, err := history.GetCommit(ctx, db.Repo().Store(), m.commit.Parents[0])
	if err != nil {
		return nil, err
	}
	return momentOf(db, c), nil
}

// steps goes back along first parents: from the working set to the head, then from commit to commit, to the nothing before the first.
type steps struct {
	db  registry.Handle
	cur *moment
}

func newSteps(ctx *sql.Context, db registry.Handle) (*steps, error) {
	start := "HEAD"
	if db.Branch() != "" {
		start = working
	}
	m, err := momentAt(ctx, db, start)
	return &steps{db: db, cur: m}, err
}

// next is the next step; from is nil at the first commit.
func (s *steps) next(ctx *sql.Context) (from, to *moment, ok bool, err error) {
	if to = s.cur; to == nil {
		return nil, nil, false, nil
	}
	if to.commit == nil {
		from, err = momentAt(ctx, s.db, "HEAD")
	} else {
		from, err = parentOf(ctx, s.db, to)
	}
	s.cur = from
	return from, to, err == nil, err
}

// stepNames are the names of a table in the moments of steps, as these come.
type stepNames struct {
	of, older string // its name now; the one that it has in the moment of which the next step leads, "" for the first
}

// next is the names in the two moments of the next step.
func (n *stepNames) next(ctx context.Context, from, to *moment) (fromName, toName string, err error) {
	if n.older == "" {
		n.older = n.of
	}
	if toName, err = orOld(ctx, to, n.of, n.older); err != nil {
		return "", "", err
	}
	if fromName, err = before(ctx, from, to, toName); err != nil {
		return "", "", err
	}
	n.older = fromName
	return fromName, toName, nil
}

// datedRows are the rows of dolt_diff_<table> by the date of their commit. Commits of one date keep the newest first.
func datedRows(ctx *sql.Context, db registry.Handle, of string, sh *shape, want scan) (sql.RowIter, error) {
	s, err := newSteps(ctx, db)
	if err != nil {
		return nil, err
	}
	type step struct {
		n        int
		from, to *moment
	}
	var all []step
	for {
		from, to, ok, err := s.next(ctx)
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		all = append(all, step{len(all), from, to})
	}
	inOrder := slices.Clone(all)
	names := stepNames{of: of}
	var known [][2]string // of the first steps of inOrder
	slices.SortStableFunc(all, func(a, b step) int { return compareDates(a.to, b.to, want.order) })
	return chain(func(ctx *sql.Context) (sql.RowIter, error) {
		if len(all) == 0 {
			return nil, nil
		}
		n, a, b := all[0].n, all[0].from, all[0].to
		all = all[1:]
		for k := len(known); k <= n; k++ {
			fromName, toName, err := names.next(ctx, inOrder[k].from, inOrder[k].to)
			if err != nil {
				return nil, err
			}
			known = append(known, [2]string{fromName, toName})
		}
		d := &rowDiff{from: a, to: b, shapes: [2]*shape{sh, sh}, fromName: a.label(), toName: b.label(), at: want.at, cols: want.cols}
		return d.rows(ctx, known[n][0], known[n][1])
	}), nil
}

// compareDates orders moments by their dates; those without one are the oldest, as NULL is in SQL.
func compareDates(a, b *moment, o order) int {
	c := 0
	switch {
	case a.commit == nil && b.commit == nil:
	case a.commit == nil:
		c = -1
	case b.commit == nil:
		c = 1
	default:
		c = a.commit.Committer.Time.Compare(b.commit.Committer.Time)
	}
	if o == newestFirst {
		return -c
	}
	return c
}

// addDate makes rows come by a date where that is asked for.
func (t *Table) addDate(col string) {
	t.indexes = append(t.indexes, newIndex(t, byDate, []string{col}))
}

// dotted cuts a range of revisions, "a..b" or "a...b", in two; ok is false when it is none.
func dotted(s string) (from, to string, three, ok bool) {
	if a, b, ok := strings.Cut(s, "..."); ok {
		return a, b, true, true
	}
	a, b, ok := strings.Cut(s, "..")
	return a, b, false, ok
}
