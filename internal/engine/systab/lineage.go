package systab

import (
	"context"
	"strconv"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"

	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/op"
	"github.com/stemmadb/stemma/internal/value"
)

// verbFunction is a table function whose rows are those of a verb that only reads; text that is empty is NULL. bind makes the verb of the
// arguments; it is given what the first two of them mean: a table, and the commit of a revision, which is HEAD when it is left out.
func verbFunction(name string, cols []op.Column, most int, bind func(table, at string, args []string) (op.Op, error)) sql.TableFunction {
	return newFunction(name, func() []*sql.Column { return verbColumns(cols) }, func(ctx *sql.Context, db registry.Handle, args []string) (*call, error) {
		if len(args) == 0 || most > 0 && len(args) > most {
			return nil, sql.ErrInvalidArgumentNumber.New(name, "a table, a revision and what the function takes besides", len(args))
		}
		rev := "HEAD"
		if len(args) > 1 {
			rev = orHead(args[1])
		}
		_, id, err := db.At(ctx, rev)
		if err != nil {
			return nil, err
		}
		if id.IsZero() {
			return nil, errs.New(errs.Invalid, "%s: %s is not a commit", name, rev)
		}
		verb, err := bind(args[0], id.Full(), args[min(2, len(args)):])
		if err != nil {
			return nil, err
		}
		return &call{rows: func(ctx *sql.Context) (sql.RowIter, error) {
			r, err := op.Run(ctx, verb, &op.Scope{Repo: db.Repo(), Branch: db.Branch(), Clock: db.Repo().Clock(), FS: db.Repo().FS()})
			if err != nil {
				return nil, err
			}
			shown := verbColumns(cols)
			rows := make([]sql.Row, len(r.Rows))
			for i, cells := range r.Rows {
				rows[i] = make(sql.Row, len(cells))
				for c, v := range cells {
					if v == nil || v == "" {
						continue
					}
					if rows[i][c], _, err = shown[c].Type.Convert(ctx, v); err != nil {
						return nil, err
					}
				}
			}
			return sql.RowsToRowIter(rows...), nil
		}}, nil
	})
}

// verbColumns are the columns of a verb as SQL has them.
func verbColumns(cols []op.Column) []*sql.Column {
	out := make([]*sql.Column, len(cols))
	for i, c := range cols {
		out[i] = &sql.Column{Name: c.Name, Type: types.LongText, Nullable: true}
		switch c.Type.Kind {
		case value.KindInt64:
			out[i].Type = types.Int64
		case value.KindJSON:
			out[i].Type = types.JSON
		case value.KindDatetime:
			out[i].Type = types.DatetimeMaxPrecision
		}
	}
	return out
}

// runOfFunction is stemma_run_of(table[, revision]): the runs that last changed the table, as `run of` has them.
func runOfFunction() sql.TableFunction {
	return verbFunction("stemma_run_of", op.RunOfColumns, 2, func(table, at string, _ []string) (op.Op, error) {
		return &op.RunOf{Table: table, At: at}, nil
	})
}

// lineageFunction is stemma_lineage(table[, revision[, 'up' | 'down' | 'both'[, depth]]]): the tree of `lineage`, a row for each table
// and each run of it. Without a direction it goes up, without a depth it goes all the way.
func lineageFunction() sql.TableFunction {
	const name = "stemma_lineage"
	return verbFunction(name, op.LineageColumns, 4, func(table, at string, args []string) (op.Op, error) {
		verb := &op.Lineage{Table: table, At: at, Up: true, Format: "json"}
		if len(args) > 0 {
			switch strings.ToLower(args[0]) {
			case "up":
			case "down":
				verb.Up, verb.Down = false, true
			case "both":
				verb.Down = true
			default:
				return nil, errs.New(errs.Invalid, "%s: the direction is 'up', 'down' or 'both', not %q", name, args[0])
			}
		}
		if len(args) > 1 {
			n, err := strconv.Atoi(args[1])
			if err != nil || n < 0 {
				return nil, errs.New(errs.Invalid, "%s: the depth is a number of runs, 0 for all, not %q", name, args[1])
			}
			verb.Depth = n
		}
		return verb, nil
	})
}

// impactFunction is stemma_lineage_impact(table[, revision]), and stemma_lineage_impact('--commit', revision) for all tables of a commit.
func impactFunction() sql.TableFunction {
	return verbFunction("stemma_lineage_impact", op.LineageImpactColumns, 2, func(table, at string, _ []string) (op.Op, error) {
		if table == "--commit" {
			return &op.LineageImpact{Target: at, Commit: true}, nil
		}
		return &op.LineageImpact{Target: table, At: at}, nil
	})
}

// whyFunction is stemma_lineage_why(table, revision, key…): the rows that a row was made from. A key is 'column=value', or a JSON object
// of columns.
func whyFunction() sql.TableFunction {
	const name = "stemma_lineage_why"
	return verbFunction(name, op.LineageWhyColumns, 0, func(table, at string, args []string) (op.Op, error) {
		if len(args) == 0 {
			return nil, sql.ErrInvalidArgumentNumber.New(name, "a table, a revision and the key of a row", 2)
		}
		return &op.LineageWhy{Table: table, At: at, Key: args}, nil
	})
}

// edgesTable is stemma_lineage_edges: each table that a run changed with each that the run read for it, in one node where the nodes are
// known. A table for which nothing read is recorded stands alone, and so does one that was read for nothing that was written. Runs, and the
// hashes of both sides, are looked up.
func edgesTable(_ *sql.Context, db registry.Handle, name string) (sql.Table, bool, error) {
	number := func(name string) *sql.Column { return &sql.Column{Name: name, Type: types.Int64, Nullable: true} }
	cols := []*sql.Column{
		text("run_uid"), textNull("node"), number("input_seq"), textNull("input_db"), textNull("input_table"), textNull("input_hash"), textNull("input_commit"),
		number("output_seq"), textNull("output_db"), textNull("output_table"), textNull("before_hash"), textNull("after_hash"), textNull("output_commit"),
	}
	return newTable(db, name, cols, []string{"run_uid", "input_hash", "after_hash", "output_commit"}, func(ctx *sql.Context, at Point) (sql.RowIter, error) {
		r := db.Repo()
		if err := r.FlushReads(ctx); err != nil {
			return nil, err
		}
		book := r.Lineage()
		runs, all, err := runsAt(ctx, book, at)
		if err != nil {
			return nil, err
		}
		if all {
			runs := book.AllEdges()
			return each(func(ctx *sql.Context) (rows []sql.Row, more bool, err error) {
				more, err = runs.Next(ctx, func(uid string, edges []lineage.Edge) { rows = append(rows, edgeRows(uid, edges)...) })
				return rows, more, err
			}), nil
		}
		return each(func(ctx *sql.Context) ([]sql.Row, bool, error) {
			if len(runs) == 0 {
				return nil, false, nil
			}
			uid := runs[0]
			runs = runs[1:]
			edges, err := book.EdgesOf(ctx, uid)
			return edgeRows(uid, edges), true, err
		}), nil
	}), true, nil
}

// runsAt are the runs that a point of stemma_lineage_edges asks for; all when it asks for none in particular.
func runsAt(ctx context.Context, book *lineage.Book, at Point) (uids []string, all bool, err error) {
	if uid, ok := at.text("run_uid"); ok {
		return []string{uid}, false, nil
	}
	seen := map[string]bool{}
	add := func(uid string) {
		if !seen[uid] {
			seen[uid] = true
			uids = append(uids, uid)
		}
	}
	if h, ok := at.text("input_hash"); ok {
		ins, err := book.InputsAt(ctx, h)
		for i := range ins {
			add(ins[i].Run)
		}
		return uids, false, err
	}
	find := book.OutputsAfter
	h, ok := at.text("after_hash")
	if !ok {
		find = book.OutputsIn
		if h, ok = at.text("output_commit"); !ok {
			return nil, true, nil
		}
	}
	outs, err := find(ctx, h)
	for i := range outs {
		add(outs[i].Run)
	}
	return uids, false, err
}

// edgeRows are the rows of stemma_lineage_edges of a run.
func edgeRows(uid string, edges []lineage.Edge) (rows []sql.Row) {
	for _, e := range edges {
		row := sql.Row{uid, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil}
		set := func(i int, s string) {
			if s != "" {
				row[i] = s
			}
		}
		if in := e.Input; in != nil {
			set(1, in.Node)
			row[2] = in.Seq
			set(3, in.DB)
			set(4, in.Table)
			set(5, in.Hash)
			set(6, in.Commit)
		}
		if o := e.Output; o != nil {
			set(1, o.Node)
			row[7] = o.Seq
			set(8, o.DB)
			set(9, o.Table)
			set(10, o.Before)
			set(11, o.After)
			set(12, o.Commit)
		}
		rows = append(rows, row)
	}
	return rows
}
