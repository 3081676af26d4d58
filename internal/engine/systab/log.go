package systab

import (
	"context"
	"slices"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"

	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
)

// logColumns are the columns of dolt_log. They are Dolt's; dates have microseconds, and the metadata goes beyond it.
func logColumns() []*sql.Column {
	return []*sql.Column{
		textKey("commit_hash"), text("committer"), text("email"), at("date"), text("message"),
		{Name: "commit_order", Type: types.Uint64},
		textNull("parents"), text("refs"), textNull("signature"),
		text("author"), text("author_email"), at("author_date"), metadata(),
	}
}

// logTable is dolt_log: the commits that the head reaches, the newest first.
func logTable(_ *sql.Context, db registry.Handle, name string) (sql.Table, bool, error) {
	return newTable(db, name, logColumns(), []string{"commit_hash"}, func(ctx *sql.Context, at Point) (sql.RowIter, error) {
		head, err := db.Head(ctx)
		if err != nil {
			return nil, err
		}
		return logRows(ctx, db, head, at, "short", logRow)
	}), true, nil
}

// commitColumns are the columns of dolt_commits.
func commitColumns() []*sql.Column {
	return []*sql.Column{
		textKey("commit_hash"), text("committer"), text("email"), at("date"), text("message"),
		text("author"), text("author_email"), at("author_date"), metadata(),
	}
}

// commitsTable is dolt_commits: the commits of all branches and tags.
func commitsTable(_ *sql.Context, db registry.Handle, name string) (sql.Table, bool, error) {
	return newTable(db, name, commitColumns(), []string{"commit_hash"}, func(ctx *sql.Context, at Point) (sql.RowIter, error) {
		next, err := allCommits(ctx, db, at)
		if err != nil {
			return nil, err
		}
		return rowsFunc(func(ctx *sql.Context) (sql.Row, error) {
			c, err := next(ctx)
			if err != nil || c == nil {
				return nil, orEOF(err)
			}
			meta, err := metadataOf(ctx, c)
			return sql.Row{
				c.ID.String(), c.Committer.Name, c.Committer.Email, when(c.Committer.Time), c.Message,
				c.Author.Name, c.Author.Email, when(c.Author.Time), meta,
			}, err
		}), nil
	}), true, nil
}

// ancestorsTable is dolt_commit_ancestors: the parents of the commits of all branches and tags.
func ancestorsTable(_ *sql.Context, db registry.Handle, name string) (sql.Table, bool, error) {
	cols := []*sql.Column{
		textKey("commit_hash"), {Name: "parent_hash", Type: types.Text, PrimaryKey: true, Nullable: true},
		{Name: "parent_index", Type: types.Int32, PrimaryKey: true},
	}
	return newTable(db, name, cols, []string{"commit_hash", "parent_hash"}, func(ctx *sql.Context, at Point) (sql.RowIter, error) {
		next, err := allCommits(ctx, db, at)
		if err != nil {
			return nil, err
		}
		if parent, ok := at.text("parent_hash"); ok {
			if next, err = childrenOf(ctx, db.Repo(), parent, next); err != nil {
				return nil, err
			}
		}
		return each(func(ctx *sql.Context) (rows []sql.Row, more bool, err error) {
			c, err := next(ctx)
			if err != nil || c == nil {
				return nil, false, err
			}
			if len(c.Parents) == 0 {
				rows = append(rows, sql.Row{c.ID.String(), nil, int32(0)})
			}
			for i, p := range c.Parents {
				rows = append(rows, sql.Row{c.ID.String(), p.String(), int32(i)})
			}
			return rows, true, nil
		}), nil
	}), true, nil
}

// commitSource gives commits one after the other; nil at the end.
type commitSource func(ctx context.Context) (*history.Commit, error)

// commitsFrom are the commits that the given ones reach and those of not do not; when a point names a commit, that one if it is
// among them.
func commitsFrom(ctx context.Context, r *repo.Repo, from, not []history.CommitID, at Point) (commitSource, error) {
	if name, ok := at.text("commit_hash"); ok && len(not) == 0 {
		c, err := commitNamed(ctx, r, name)
		if err != nil || c == nil {
			return oneCommit(nil), err
		}
		reached := false
		if len(from) == 1 {
			reached, err = r.Reaches(ctx, from[0], c)
		} else {
			reached, err = history.Reached(ctx, r.Store(), from, c)
		}
		if err != nil || !reached {
			return oneCommit(nil), err
		}
		return oneCommit(c), nil
	}
	w, err := history.Walk(ctx, r.Store(), from, not)
	if err != nil {
		return nil, err
	}
	return w.Next, nil
}

// allCommits are the commits of all branches and tags.
func allCommits(ctx context.Context, db registry.Handle, at Point) (commitSource, error) {
	r := db.Repo()
	var from []history.CommitID
	for _, b := range r.Branches() {
		from = append(from, b.Head)
	}
	tags, err := r.Tags(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range tags {
		from = append(from, t.Commit)
	}
	return commitsFrom(ctx, r, from, nil, at)
}

// childrenOf are those of commits of which the commit named parent is a parent. next gives them with falling heights, so that only those
// above the parent are looked at.
func childrenOf(ctx context.Context, r *repo.Repo, parent string, next commitSource) (commitSource, error) {
	p, err := commitNamed(ctx, r, parent)
	if err != nil || p == nil {
		return oneCommit(nil), err
	}
	return func(ctx context.Context) (*history.Commit, error) {
		for {
			c, err := next(ctx)
			if err != nil || c == nil || c.Height <= p.Height {
				return nil, err
			}
			if slices.Contains(c.Parents, p.ID) {
				return c, nil
			}
		}
	}, nil
}

func oneCommit(c *history.Commit) commitSource {
	return func(context.Context) (*history.Commit, error) {
		out := c
		c = nil
		return out, nil
	}
}

// commitNamed is the commit whose shown hash is name; nil when there is none.
func commitNamed(ctx context.Context, r *repo.Repo, name string) (*history.Commit, error) {
	id, err := r.Resolve(ctx, name, "")
	if errs.Is(err, errs.NotFound) || errs.Is(err, errs.Invalid) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if id.String() != name {
		return nil, nil // a branch or tag of that name, or a prefix
	}
	return history.GetCommit(ctx, r.Store(), id)
}

// logRows are rows of commits that head reaches.
func logRows(ctx *sql.Context, db registry.Handle, head history.CommitID, at Point, decorate string, row logRowFunc) (sql.RowIter, error) {
	next, err := commitsFrom(ctx, db.Repo(), []history.CommitID{head}, nil, at)
	if err != nil {
		return nil, err
	}
	refs, err := refNames(ctx, db, decorate)
	if err != nil {
		return nil, err
	}
	return rowsFunc(func(ctx *sql.Context) (sql.Row, error) {
		c, err := next(ctx)
		if err != nil || c == nil {
			return nil, orEOF(err)
		}
		return row(ctx, c, refs)
	}), nil
}

// logRowFunc makes a row of a commit.
type logRowFunc func(ctx *sql.Context, c *history.Commit, refs map[history.CommitID]string) (sql.Row, error)

// logRow is a row of dolt_log.
func logRow(ctx *sql.Context, c *history.Commit, refs map[history.CommitID]string) (sql.Row, error) {
	parents := make([]string, len(c.Parents))
	for i, p := range c.Parents {
		parents[i] = p.String()
	}
	meta, err := metadataOf(ctx, c)
	return sql.Row{
		c.ID.String(), c.Committer.Name, c.Committer.Email, when(c.Committer.Time), c.Message, c.Height,
		strings.Join(parents, ", "), refs[c.ID], nil,
		c.Author.Name, c.Author.Email, when(c.Author.Time), meta,
	}, err
}

// refNames are the branches, those of remotes and tags at each commit, as a log shows them. decorate is short, full or no.
func refNames(ctx *sql.Context, db registry.Handle, decorate string) (map[history.CommitID]string, error) {
	if decorate == "no" {
		return nil, nil
	}
	branch, tag := "", "tag: "
	if decorate == "full" {
		branch, tag = "refs/heads/", "tag: refs/tags/"
	}
	lists := map[history.CommitID][]string{}
	for _, b := range db.Repo().Branches() {
		name := branch + b.Name
		if b.Name == db.Branch() {
			name = "HEAD -> " + name
			lists[b.Head] = append([]string{name}, lists[b.Head]...)
			continue
		}
		lists[b.Head] = append(lists[b.Head], name)
	}
	remote := ""
	if decorate == "full" {
		remote = "refs/remotes/"
	}
	for _, t := range db.Repo().Tracks() {
		lists[t.Head] = append(lists[t.Head], remote+t.Name)
	}
	tags, err := db.Repo().Tags(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range tags {
		lists[t.Commit] = append(lists[t.Commit], tag+t.Name)
	}
	out := map[history.CommitID]string{}
	for id, names := range lists {
		out[id] = strings.Join(names, ", ")
	}
	return out, nil
}
