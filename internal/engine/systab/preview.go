package systab

import (
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/merge"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/root"
)

// preview merges two revisions in memory.
func preview(ctx *sql.Context, db registry.Handle, fn, ours, theirs string) (repo.MergeReader, *history.Merge, error) {
	r := db.Repo()
	var commits [2]*history.Commit
	for i, rev := range []string{ours, theirs} {
		_, id, err := db.At(ctx, rev)
		if err != nil {
			return nil, nil, err
		}
		if id.IsZero() {
			return nil, nil, errs.New(errs.Invalid, "%s: %s is not a commit", fn, rev)
		}
		if commits[i], err = history.GetCommit(ctx, r.Store(), id); err != nil {
			return nil, nil, err
		}
	}
	base, err := history.MergeBase(ctx, r.Store(), commits[0].ID, commits[1].ID)
	if err != nil {
		return nil, nil, err
	}
	if base.IsZero() {
		return nil, nil, errs.New(errs.Invalid, "%s: %s and %s have no common ancestor", fn, ours, theirs)
	}
	b, err := history.GetCommit(ctx, r.Store(), base)
	if err != nil {
		return nil, nil, err
	}
	st := &scratch{base: r.Store(), mem: chunk.NewMem()}
	res, err := merge.Roots(ctx, st, b.Root, commits[0].Root, commits[1].Root, r.MergeOptions(st))
	if err != nil {
		return nil, nil, err
	}
	m := &history.Merge{Kind: history.MergeBranch, Source: theirs, Theirs: commits[1].ID, Head: commits[0].ID, Tables: res.Tables}
	return r.SnapshotRoot(root.Open(st, res.Root.Tree())), m, nil
}

// previewSummaryColumns are the columns of dolt_preview_merge_conflicts_summary().
func previewSummaryColumns() []*sql.Column {
	return []*sql.Column{
		text("table"), {Name: "num_data_conflicts", Type: types.Uint64, Nullable: true}, {Name: "num_schema_conflicts", Type: types.Uint64, Nullable: true},
	}
}

// previewSummary is dolt_preview_merge_conflicts_summary(ours, theirs): how many conflicts a merge of theirs into ours would have, by
// table. It changes nothing. The number of rows in conflict is NULL where the schemas do not merge.
func previewSummary(_ *sql.Context, db registry.Handle, args []string) (*call, error) {
	const fn = "dolt_preview_merge_conflicts_summary"
	if len(args) != 2 {
		return nil, sql.ErrInvalidArgumentNumber.New(fn, "2", len(args))
	}
	return &call{rows: func(ctx *sql.Context) (sql.RowIter, error) {
		_, m, err := preview(ctx, db, fn, args[0], args[1])
		if err != nil {
			return nil, err
		}
		var rows []sql.Row
		for i := range m.Tables {
			t := &m.Tables[i]
			switch {
			case t.Schema != "":
				rows = append(rows, sql.Row{t.Name, nil, uint64(1)})
			case !t.Conflicts.IsEmpty():
				rows = append(rows, sql.Row{t.Name, t.Conflicts.Count, uint64(0)})
			}
		}
		return sql.RowsToRowIter(rows...), nil
	}}, nil
}

// previewConflicts is dolt_preview_merge_conflicts(ours, theirs, table): the rows that dolt_conflicts_<table> would have after a merge of
// theirs into ours. It changes nothing.
func previewConflicts(ctx *sql.Context, db registry.Handle, args []string) (*call, error) {
	const fn = "dolt_preview_merge_conflicts"
	if len(args) != 3 {
		return nil, sql.ErrInvalidArgumentNumber.New(fn, "3", len(args))
	}
	r, m, err := preview(ctx, db, fn, args[0], args[1])
	if err != nil {
		return nil, err
	}
	if at := m.Table(args[2]); at >= 0 && m.Tables[at].Schema != "" {
		return nil, errs.New(errs.Invalid, "%s: the schemas of table %s do not merge: %s", fn, args[2], m.Tables[at].Schema)
	}
	v, err := newConflictView(ctx, r, m, args[2])
	if err != nil {
		return nil, err
	}
	if v == nil {
		return nil, sql.ErrTableNotFound.New(args[2])
	}
	return &call{cols: v.columns(), tables: []string{args[2]}, rows: func(ctx *sql.Context) (sql.RowIter, error) {
		rows, err := v.rows(ctx)
		return sql.RowsToRowIter(rows...), err
	}}, nil
}
