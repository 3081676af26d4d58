package systab

import (
	"encoding/json"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"

	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/op"
)

// helpTypes are the kinds of what dolt_help is about. All that it is about are procedures, as in Dolt.
var helpTypes = []string{"system_table", "procedure", "function", "variable"}

// helpTable is dolt_help: the procedures, what they do and what they take.
func helpTable(_ *sql.Context, db registry.Handle, name string) (sql.Table, bool, error) {
	long := func(name string) *sql.Column { return &sql.Column{Name: name, Type: types.LongText} }
	cols := []*sql.Column{
		{Name: "name", Type: types.TinyText, PrimaryKey: true}, {Name: "type", Type: types.MustCreateEnumType(helpTypes, sql.Collation_Default)},
		long("synopsis"), long("short_description"), long("long_description"), {Name: "arguments", Type: types.JSON},
	}
	return newTable(db, name, cols, []string{"name"}, func(ctx *sql.Context, at Point) (sql.RowIter, error) {
		var rows []sql.Row
		want, one := at.text("name")
		for _, s := range op.All() {
			proc, ok := s.Procedure()
			if !ok || s.Hidden || one && !strings.EqualFold(want, "dolt_"+proc) {
				continue
			}
			synopsis := s.Synopsis(true)
			lines := make([]string, len(synopsis))
			for i, u := range synopsis {
				lines[i] = strings.TrimSpace("dolt " + s.Name + " " + u)
			}
			args := map[string]string{}
			for i := range s.Params {
				if p := &s.Params[i]; p.Listed(true) {
					args[p.Signature()] = p.Help
				}
			}
			data, err := json.Marshal(args)
			if err != nil {
				return nil, err
			}
			doc, _, err := types.JSON.Convert(ctx, string(data))
			if err != nil {
				return nil, err
			}
			about := s.Long
			if about == "" {
				about = s.Short + "."
			}
			rows = append(rows, sql.Row{"dolt_" + proc, uint16(2), strings.Join(lines, "\n"), s.Short, about, doc})
		}
		return sql.RowsToRowIter(rows...), nil
	}), true, nil
}
