package proc

import (
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"

	"github.com/stemmadb/stemma/internal/op"
)

// column is a column of a procedure's answer. A verb whose result has no column of that name answers with none.
type column struct {
	name string
	typ  sql.Type
	none any
}

func text(name string) column  { return column{name, types.LongText, ""} }
func whole(name string) column { return column{name, types.Int64, int64(0)} }

// status is the answer of verbs that only succeed or fail: 0.
func status() []column { return []column{whole("status")} }

// columnsOf are the columns of the procedures by verb, named as Dolt names them.
func columnsOf(verb string) []column {
	switch verb {
	case "commit", "squash-history":
		return []column{text("hash")}
	case "merge-base":
		return []column{text("hash")}
	case "checkout":
		return []column{whole("status"), text("message")}
	case "merge":
		return []column{text("hash"), whole("fast_forward"), whole("conflicts"), text("message")}
	case "pull":
		return []column{whole("fast_forward"), whole("conflicts"), text("message")}
	case "push":
		return []column{whole("status"), text("message")}
	case "table import":
		return []column{whole("rows_processed"), whole("additions"), whole("modifications"), whole("had_no_effect"), whole("lines_skipped")}
	case "table export":
		return []column{whole("rows")}
	case "constraints verify":
		return []column{whole("violations")}
	case "cherry-pick", "revert":
		return []column{text("hash"), whole("data_conflicts"), whole("schema_conflicts"), whole("constraint_violations")}
	case "count-commits":
		return []column{whole("ahead"), whole("behind")}
	case "rebase":
		return []column{whole("status"), text("message")}
	case "erase":
		return []column{text("commit_hash"), text("new_commit_hash"), text("table_name"), whole("rows_removed"), whole("rows_modified")}
	case "ls-remote":
		return []column{text("hash"), text("ref")}
	case "run start", "run end", "run record":
		return []column{text("run_uid")}
	case "add", "reset", "branch", "fetch", "clone", "remote", "backup", "backup restore", "clean", "gc", "conflicts resolve", "rm", "tag", "stash", "undrop",
		"purge-dropped-databases":
		return status()
	}
	return nil
}

// outputColumn is the column of verbs that are not in the table.
const outputColumn = "output"

// schemaOf is the schema of a procedure's answer.
func schemaOf(procedure, verb string) sql.Schema {
	cols := columnsOf(verb)
	if cols == nil {
		cols = []column{text(outputColumn)}
	}
	s := make(sql.Schema, len(cols))
	for i, c := range cols {
		s[i] = &sql.Column{Name: c.name, Type: c.typ, Source: procedure, Nullable: true}
	}
	return s
}

// rowsOf are a result's rows in the columns of its verb.
func rowsOf(verb string, r *op.Result) []sql.Row {
	cols := columnsOf(verb)
	if cols == nil {
		return outputOf(r)
	}
	at := make([]int, len(cols))
	for i, c := range cols {
		at[i] = -1
		for j := range r.Columns {
			if r.Columns[j].Name == c.name {
				at[i] = j
			}
		}
	}
	pick := func(cells []any) sql.Row {
		row := make(sql.Row, len(cols))
		for i, c := range cols {
			row[i] = c.none
			if at[i] >= 0 && at[i] < len(cells) {
				row[i] = cells[at[i]]
			}
		}
		return row
	}
	known := false
	for _, j := range at {
		known = known || j >= 0
	}
	if known && len(r.Rows) == 0 && verb == "ls-remote" { // a list, which may be empty
		return nil
	}
	if !known || len(r.Rows) == 0 {
		return []sql.Row{pick(nil)}
	}
	rows := make([]sql.Row, len(r.Rows))
	for i, cells := range r.Rows {
		rows[i] = pick(cells)
	}
	return rows
}

// outputOf are the lines of a result, or its cells with tabs between when it is only rows.
func outputOf(r *op.Result) []sql.Row {
	var rows []sql.Row
	for _, l := range r.Lines {
		rows = append(rows, sql.Row{l})
	}
	if r.Lines == nil {
		for _, cells := range r.Rows {
			line := ""
			for i, cell := range cells {
				if i > 0 {
					line += "\t"
				}
				if cell != nil {
					line += op.FormatCell(r.Columns[i].Type, cell)
				}
			}
			rows = append(rows, sql.Row{line})
		}
	}
	for _, p := range r.Parts {
		rows = append(rows, outputOf(p)...)
	}
	return rows
}
