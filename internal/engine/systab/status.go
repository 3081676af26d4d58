package systab

import (
	"bytes"
	"context"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"

	"github.com/stemmadb/stemma/internal/diff"
	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/tree"
)

// deltas are the tables that two moments hold differently. Either may be nil, which has no tables.
func deltas(ctx context.Context, from, to *moment) ([]diff.Delta, error) {
	a, err := from.root(ctx)
	if err != nil {
		return nil, err
	}
	b, err := to.root(ctx)
	if err != nil {
		return nil, err
	}
	if a.Hash == b.Hash {
		return nil, nil
	}
	return diff.Tables(ctx, both{from, to}, a, b)
}

// changeSet is what differs in the working set: what is staged against the head, and what is not staged.
type changeSet struct {
	name     string // STAGED or WORKING
	from, to *moment
	deltas   []diff.Delta
}

// changeSets are the two change sets of the session's branch; none when the database name means a commit.
func changeSets(ctx *sql.Context, db registry.Handle) ([]changeSet, error) {
	if db.Branch() == "" {
		return nil, nil
	}
	head, err := momentAt(ctx, db, "HEAD")
	if err != nil {
		return nil, err
	}
	stage, err := momentAt(ctx, db, staged)
	if err != nil {
		return nil, err
	}
	work, err := momentAt(ctx, db, working)
	if err != nil {
		return nil, err
	}
	sets := []changeSet{{name: staged, from: head, to: stage}, {name: working, from: stage, to: work}}
	for i := range sets {
		s := &sets[i]
		if s.deltas, err = deltas(ctx, s.from, s.to); err != nil {
			return nil, err
		}
	}
	return sets, nil
}

// statusTable is dolt_status: the tables of the session's working set that differ from its head, without new ones that dolt_ignore
// names.
func statusTable(_ *sql.Context, db registry.Handle, name string) (sql.Table, bool, error) {
	return newTable(db, name, statusTableColumns(), nil, func(ctx *sql.Context, _ Point) (sql.RowIter, error) {
		all, err := statusRows(ctx, db)
		if err != nil {
			return nil, err
		}
		_, m, err := mergeOf(ctx, db)
		if err != nil {
			return nil, err
		}
		var rows []sql.Row
		for _, r := range all {
			if r[3] != flagOf(false) {
				continue
			}
			if m != nil && r[1] == flagOf(false) {
				if at := m.Table(r[0].(string)); at >= 0 && !m.Tables[at].Settled() {
					continue // told below
				}
			}
			rows = append(rows, r[:3])
		}
		if m == nil {
			return sql.RowsToRowIter(rows...), nil
		}
		for i := range m.Tables {
			t := &m.Tables[i]
			if t.Schema != "" {
				rows = append(rows, sql.Row{t.Name, flagOf(false), "schema conflict"})
			}
			if !t.Conflicts.IsEmpty() {
				rows = append(rows, sql.Row{t.Name, flagOf(false), "conflict"})
			}
			if !t.Violations.IsEmpty() {
				rows = append(rows, sql.Row{t.Name, flagOf(false), "constraint violation"})
			}
		}
		return sql.RowsToRowIter(rows...), nil
	}), true, nil
}

// statusIgnoredTable is dolt_status_ignored: dolt_status with the tables that dolt_ignore names, which are marked.
func statusIgnoredTable(_ *sql.Context, db registry.Handle, name string) (sql.Table, bool, error) {
	cols := append(statusTableColumns(), flag("ignored"))
	return newTable(db, name, cols, nil, func(ctx *sql.Context, _ Point) (sql.RowIter, error) {
		rows, err := statusRows(ctx, db)
		return sql.RowsToRowIter(rows...), err
	}), true, nil
}

func statusTableColumns() []*sql.Column {
	return []*sql.Column{textKey("table_name"), {Name: "staged", Type: types.Boolean, PrimaryKey: true}, textKey("status")}
}

// statusRows are the rows of dolt_status_ignored. Tables on which the patterns disagree are not ignored.
func statusRows(ctx *sql.Context, db registry.Handle) ([]sql.Row, error) {
	sets, err := changeSets(ctx, db)
	if err != nil {
		return nil, err
	}
	var rows []sql.Row
	for _, s := range sets {
		var ignore *repo.Ignore
		if s.name == working && len(s.deltas) > 0 {
			if ignore, err = s.to.ignore(ctx); err != nil {
				return nil, err
			}
		}
		for i := range s.deltas {
			d := &s.deltas[i]
			table, status := d.Name(), ""
			ignored := false
			switch d.Kind {
			case diff.TableAdded:
				status = "new table"
				if ignored, err = ignore.Ignores(table); err != nil && !errs.Is(err, errs.Conflict) {
					return nil, err
				}
			case diff.TableDropped:
				status = "deleted"
			case diff.TableRenamed:
				table, status = d.From.Name+" -> "+d.To.Name, "renamed"
			default:
				status = "modified"
			}
			rows = append(rows, sql.Row{table, flagOf(s.name == staged), status, flagOf(ignored)})
		}
	}
	return rows, nil
}

// ignore is the patterns of dolt_ignore.
func (m *moment) ignore(ctx context.Context) (*repo.Ignore, error) {
	t, err := m.root(ctx)
	if err != nil {
		return nil, err
	}
	return repo.IgnoreOf(ctx, root.Open(m.st, t))
}

// changesTable is dolt_diff: the tables that each commit changed against its first parent, the newest first, after those of the
// working set.
func changesTable(_ *sql.Context, db registry.Handle, name string) (sql.Table, bool, error) {
	cols := []*sql.Column{
		textKey("commit_hash"), textKey("table_name"), textNull("committer"), textNull("email"), atNull("date"), textNull("message"),
		flag("data_change"), flag("schema_change"), textNull("author"), textNull("author_email"), atNull("author_date"),
	}
	return newTable(db, name, cols, []string{"commit_hash", "table_name"}, func(ctx *sql.Context, at Point) (sql.RowIter, error) {
		head, err := db.Head(ctx)
		if err != nil {
			return nil, err
		}
		table, _ := at.text("table_name")
		want, isPoint := at.text("commit_hash")
		sets := !isPoint || want == staged || want == working
		next, err := commitsFrom(ctx, db.Repo(), []history.CommitID{head}, nil, at)
		if err != nil {
			return nil, err
		}
		return each(func(ctx *sql.Context) (rows []sql.Row, more bool, err error) {
			if sets {
				sets = false
				rows, err := workingRows(ctx, db, want)
				return rows, true, err
			}
			c, err := next(ctx)
			if err != nil || c == nil {
				return nil, false, err
			}
			ds, err := commitDeltas(ctx, db, c, table)
			for i := range ds {
				rows = append(rows, sql.Row{
					c.ID.String(), ds[i].Name(), c.Committer.Name, c.Committer.Email, when(c.Committer.Time), c.Message,
					flagOf(ds[i].Data), flagOf(ds[i].Schema), c.Author.Name, c.Author.Email, when(c.Author.Time),
				})
			}
			return rows, true, err
		}), nil
	}), true, nil
}

// workingRows are the rows of dolt_diff for the working set: of the change set of that name, of both when it is "".
func workingRows(ctx *sql.Context, db registry.Handle, name string) ([]sql.Row, error) {
	sets, err := changeSets(ctx, db)
	if err != nil {
		return nil, err
	}
	var rows []sql.Row
	for _, s := range sets {
		for i := range s.deltas {
			if name != "" && name != s.name {
				break
			}
			d := &s.deltas[i]
			rows = append(rows, sql.Row{s.name, d.Name(), nil, nil, nil, nil, flagOf(d.Data), flagOf(d.Schema), nil, nil, nil})
		}
	}
	return rows, nil
}

// commitDeltas are the tables that a commit changed against its first parent. When only is not "" those may be none where it did not
// change a table of that name.
func commitDeltas(ctx context.Context, db registry.Handle, c *history.Commit, only string) ([]diff.Delta, error) {
	st := db.Repo().Store()
	var from tree.Root
	if len(c.Parents) > 0 {
		p, err := history.GetCommit(ctx, st, c.Parents[0])
		if err != nil {
			return nil, err
		}
		from = p.Root
	}
	if from.Hash == c.Root.Hash {
		return nil, nil
	}
	if only != "" {
		was, had, err := root.Open(st, from).Get(ctx, root.KindTable, only)
		if err != nil {
			return nil, err
		}
		now, has, err := root.Open(st, c.Root).Get(ctx, root.KindTable, only)
		if err != nil || had == has && was.Name == now.Name && was.Table == now.Table && bytes.Equal(was.Comments, now.Comments) {
			return nil, err
		}
	}
	return diff.Tables(ctx, st, from, c.Root)
}
