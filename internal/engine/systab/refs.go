package systab

import (
	"context"
	"io"
	"path/filepath"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"

	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/op"
	"github.com/stemmadb/stemma/internal/repo"
)

// orEOF is err, or the end of the rows when there is none.
func orEOF(err error) error {
	if err == nil {
		return io.EOF
	}
	return err
}

// branchesTable is dolt_branches. A branch is dirty when its published working set differs from its head.
func branchesTable(_ *sql.Context, db registry.Handle, name string) (sql.Table, bool, error) {
	cols := []*sql.Column{
		textKey("name"), text("hash"), textNull("latest_committer"), textNull("latest_committer_email"), atNull("latest_commit_date"),
		textNull("latest_commit_message"), textNull("remote"), textNull("branch"),
		{Name: "dirty", Type: types.Boolean, Nullable: true},
		textNull("latest_author"), textNull("latest_author_email"), atNull("latest_author_date"),
	}
	return newTable(db, name, cols, []string{"name"}, func(ctx *sql.Context, at Point) (sql.RowIter, error) {
		branches := db.Repo().Branches()
		if want, ok := at.text("name"); ok {
			branches = nil
			if head, ok := db.Repo().BranchHead(want); ok {
				branches = []repo.Branch{{Name: want, Head: head}}
			}
		}
		follows, err := op.Upstreams(settingsOf(db.Repo()))
		if err != nil {
			return nil, err
		}
		i := -1
		return rowsFunc(func(ctx *sql.Context) (sql.Row, error) {
			if i++; i >= len(branches) {
				return nil, io.EOF
			}
			b := branches[i]
			c, err := history.GetCommit(ctx, db.Repo().Store(), b.Head)
			if err != nil {
				return nil, err
			}
			isDirty, err := dirty(ctx, db.Repo(), b.Name, c)
			if err != nil {
				return nil, err
			}
			return sql.Row{
				b.Name, b.Head.String(), c.Committer.Name, c.Committer.Email, when(c.Committer.Time), c.Message,
				follows[b.Name][0], follows[b.Name][1], flagOf(isDirty), c.Author.Name, c.Author.Email, when(c.Author.Time),
			}, nil
		}), nil
	}), true, nil
}

// remoteBranchesTable is dolt_remote_branches, the branches of remotes as they were fetched or pushed last.
func remoteBranchesTable(_ *sql.Context, db registry.Handle, name string) (sql.Table, bool, error) {
	cols := []*sql.Column{
		textKey("name"), text("hash"), textNull("latest_committer"), textNull("latest_committer_email"), atNull("latest_commit_date"),
		textNull("latest_commit_message"), textNull("latest_author"), textNull("latest_author_email"), atNull("latest_author_date"),
	}
	return newTable(db, name, cols, nil, func(*sql.Context, Point) (sql.RowIter, error) {
		tracks := db.Repo().Tracks()
		return rowsFunc(func(ctx *sql.Context) (sql.Row, error) {
			if len(tracks) == 0 {
				return nil, io.EOF
			}
			t := tracks[0]
			tracks = tracks[1:]
			c, err := history.GetCommit(ctx, db.Repo().Store(), t.Head)
			if err != nil {
				return nil, err
			}
			return sql.Row{
				"remotes/" + t.Name, t.Head.String(), c.Committer.Name, c.Committer.Email, when(c.Committer.Time), c.Message,
				c.Author.Name, c.Author.Email, when(c.Author.Time),
			}, nil
		}), nil
	}), true, nil
}

// settingsOf is the file of the database's settings.
func settingsOf(r *repo.Repo) string { return filepath.Join(r.Dir(), "config") }

// remotesTable is dolt_remotes.
func remotesTable(_ *sql.Context, db registry.Handle, name string) (sql.Table, bool, error) {
	cols := []*sql.Column{textKey("name"), text("url"), {Name: "fetch_specs", Type: types.JSON, Nullable: true}, {Name: "params", Type: types.JSON, Nullable: true}}
	return newTable(db, name, cols, nil, func(*sql.Context, Point) (sql.RowIter, error) {
		remotes, err := op.Remotes(settingsOf(db.Repo()))
		if err != nil {
			return nil, err
		}
		var rows []sql.Row
		for _, r := range remotes {
			specs := types.JSONDocument{Val: []any{"refs/heads/*:refs/remotes/" + r.Name + "/*"}}
			rows = append(rows, sql.Row{r.Name, r.URL, specs, types.JSONDocument{Val: map[string]any{}}})
		}
		return sql.RowsToRowIter(rows...), nil
	}), true, nil
}

// backupsTable is dolt_backups.
func backupsTable(_ *sql.Context, db registry.Handle, name string) (sql.Table, bool, error) {
	cols := []*sql.Column{textKey("name"), text("url"), {Name: "params", Type: types.JSON}}
	return newTable(db, name, cols, nil, func(*sql.Context, Point) (sql.RowIter, error) {
		backups, err := op.Backups(settingsOf(db.Repo()))
		if err != nil {
			return nil, err
		}
		var rows []sql.Row
		for _, b := range backups {
			rows = append(rows, sql.Row{b.Name, b.URL, types.JSONDocument{Val: map[string]any{}}})
		}
		return sql.RowsToRowIter(rows...), nil
	}), true, nil
}

// dirty tells whether the published working set of a branch differs from its head.
func dirty(ctx context.Context, r *repo.Repo, branch string, head *history.Commit) (bool, error) {
	s, err := r.SnapshotWorking(branch)
	if err != nil {
		return false, err
	}
	if len(s.Edited()) == 0 {
		return s.Root.Tree() != head.Root, nil
	}
	m := (&moment{name: working, reader: s}).with(r)
	t, err := m.root(ctx)
	if err != nil {
		return false, err
	}
	return t.Hash != head.Root.Hash, nil
}

// tagsTable is dolt_tags. The hash is that of the tagged commit.
func tagsTable(_ *sql.Context, db registry.Handle, name string) (sql.Table, bool, error) {
	cols := []*sql.Column{textKey("tag_name"), textKey("tag_hash"), text("tagger"), text("email"), at("date"), text("message")}
	return newTable(db, name, cols, []string{"tag_name"}, func(ctx *sql.Context, at Point) (sql.RowIter, error) {
		var tags []repo.Tag
		var err error
		if want, one := at.text("tag_name"); one {
			t, ok, e := db.Repo().TagNamed(ctx, want)
			if err = e; ok {
				tags = append(tags, t)
			}
		} else {
			tags, err = db.Repo().Tags(ctx)
		}
		if err != nil {
			return nil, err
		}
		var rows []sql.Row
		for _, t := range tags {
			rows = append(rows, sql.Row{t.Name, t.Commit.String(), t.Tagger.Name, t.Tagger.Email, when(t.Tagger.Time), t.Message})
		}
		return sql.RowsToRowIter(rows...), nil
	}), true, nil
}
