package systab

import (
	"io"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"

	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
)

// reflogColumns are the columns of dolt_reflog().
func reflogColumns() []*sql.Column {
	return []*sql.Column{
		{Name: "ref", Type: types.LongText}, {Name: "ref_timestamp", Type: types.DatetimeMaxPrecision, Nullable: true},
		{Name: "commit_hash", Type: types.LongText}, {Name: "commit_message", Type: types.LongText},
	}
}

// reflogFunction is dolt_reflog([ref] ['--all']): the commits that branches and tags came to name, the newest first; those of refs that
// were removed, too. A name without refs/heads/ or refs/tags/ means both.
func reflogFunction(_ *sql.Context, db registry.Handle, args []string) (*call, error) {
	ref := ""
	for _, a := range args {
		switch {
		case a == "--all":
			// There are no other refs than branches and tags.
		case strings.HasPrefix(a, "-"):
			return nil, errs.New(errs.Invalid, "dolt_reflog: unknown flag %s", a)
		case ref != "":
			return nil, sql.ErrInvalidArgumentNumber.New("dolt_reflog", "0 to 2", len(args))
		default:
			ref = a
		}
	}
	return &call{tables: []string{""}, rows: func(*sql.Context) (sql.RowIter, error) {
		moves := db.Repo().RefLog()
		return rowsFunc(func(ctx *sql.Context) (sql.Row, error) {
			for len(moves) > 0 {
				m := moves[0]
				moves = moves[1:]
				if m.Commit.IsZero() || ref != "" && !refIs(m.Ref, ref) {
					continue
				}
				message := ""
				c, err := history.GetCommit(ctx, db.Repo().Store(), m.Commit)
				switch {
				case err == nil:
					message = c.Message
				case !errs.Is(err, errs.NotFound):
					return nil, err
				}
				row := sql.Row{m.Ref, nil, m.Commit.String(), message}
				if !m.Time.IsZero() {
					row[1] = when(m.Time)
				}
				return row, nil
			}
			return nil, io.EOF
		}), nil
	}}, nil
}

// refIs tells whether a full name of a ref is what a user means by a name. Names are matched without case, as Dolt does.
func refIs(full, name string) bool {
	for _, p := range []string{"", "refs/heads/", "refs/tags/", "refs/"} {
		if strings.EqualFold(full, p+name) {
			return true
		}
	}
	return false
}

// branchStatusColumns are the columns of dolt_branch_status().
func branchStatusColumns() []*sql.Column {
	return []*sql.Column{text("branch"), {Name: "commits_ahead", Type: types.Uint64}, {Name: "commits_behind", Type: types.Uint64}}
}

// branchStatusFunction is dolt_branch_status(base, revision…): how many commits each revision has that the base has not, and the other
// way round.
func branchStatusFunction(ctx *sql.Context, db registry.Handle, args []string) (*call, error) {
	if len(args) == 0 {
		return nil, sql.ErrInvalidArgumentNumber.New("dolt_branch_status", "at least 1", 0)
	}
	ids := make([]history.CommitID, len(args))
	for i, a := range args {
		var err error
		if _, ids[i], err = db.At(ctx, a); err != nil {
			return nil, err
		}
		if ids[i].IsZero() {
			return nil, errs.New(errs.Invalid, "dolt_branch_status: %s is not a commit", a)
		}
	}
	return &call{tables: []string{""}, rows: func(*sql.Context) (sql.RowIter, error) {
		i := 0
		return rowsFunc(func(ctx *sql.Context) (sql.Row, error) {
			if i++; i >= len(ids) {
				return nil, io.EOF
			}
			count := func(from, not history.CommitID) (n uint64, err error) {
				w, err := history.Walk(ctx, db.Repo().Store(), []history.CommitID{from}, []history.CommitID{not})
				if err != nil {
					return 0, err
				}
				for {
					c, err := w.Next(ctx)
					if err != nil || c == nil {
						return n, err
					}
					n++
				}
			}
			ahead, err := count(ids[i], ids[0])
			if err != nil {
				return nil, err
			}
			behind, err := count(ids[0], ids[i])
			return sql.Row{args[i], ahead, behind}, err
		}), nil
	}}, nil
}
