package fn

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// Versions is what dolt_version() and dolt_storage_format() say.
type Versions struct {
	Program string // such as 1.4.0
	Storage string // name of the storage format
}

// Functions are the functions of version control.
func Functions(v Versions) []sql.Function {
	constant := func(name, about, val string) *spec {
		return &spec{name: name, about: about, typ: types.LongText, eval: func(*sql.Context, []any) (any, error) { return val, nil }}
	}
	var out []sql.Function
	for _, s := range []*spec{
		hashOf("hashof"), hashOf("dolt_hashof"), hashOfTable(), hashOfDB(), activeBranch(), mergeBase(), hasAncestor(),
		user("user"), user("session_user"), user("system_user"),
		constant("dolt_version", "gives the program's version", v.Program),
		constant("dolt_storage_format", "gives the name of the storage format", v.Storage),
	} {
		out = append(out, s.function())
	}
	return out
}

// CallProc calls a stored procedure by its lower-case name and gives its rows.
type CallProc func(ctx *sql.Context, name string, args []string) (sql.RowIter, error)

// Procedures are functions that call the procedures of those names, as `select dolt_commit('-m', 'x')` did in 2021. The result is the
// first column of the first row: the hash of a commit, or a status. Names that Functions has are left out.
func Procedures(call CallProc, names ...string) []sql.Function {
	taken := map[string]bool{}
	for _, f := range Functions(Versions{}) {
		taken[f.FunctionName()] = true
	}
	var out []sql.Function
	for _, name := range names {
		if taken[name] {
			continue
		}
		s := &spec{
			name: name, about: "calls the procedure of this name and gives the first value that it returns",
			most: -1, typ: types.LongText, effects: true,
			eval: func(ctx *sql.Context, args []any) (any, error) {
				words := make([]string, len(args))
				for i, a := range args {
					w, err := text(name, a)
					if err != nil {
						return nil, err
					}
					words[i] = w
				}
				return first(ctx, call, name, of2021(name, words))
			},
		}
		out = append(out, s.function())
	}
	return out
}

// of2021 are the arguments of a function as its procedure takes them. The function dolt_commit() is older than the flag -A: its -a stages
// new tables, too, and who calls it relies on that.
func of2021(name string, args []string) []string {
	if name != "dolt_commit" {
		return args
	}
	out := slices.Clone(args)
	value := false // the argument is that of a flag before it
	for i, a := range out {
		switch {
		case value:
			value = false
		case a == "--":
			return out
		case a == "--all":
			out[i] = "-A"
		case a == "--message" || a == "--author" || a == "--date":
			value = true
		case len(a) > 1 && a[0] == '-' && a[1] != '-':
			flags, message, has := strings.Cut(a, "m")
			if out[i] = strings.ReplaceAll(flags, "a", "A"); has {
				out[i] += "m" + message
				value = message == ""
			}
		}
	}
	return out
}

// first is the first value that a procedure returns, as text; the others are read, since a procedure may work as it is read.
func first(ctx *sql.Context, call CallProc, name string, args []string) (out any, err error) {
	rows, err := call(ctx, name, args)
	if err != nil || rows == nil {
		return nil, err
	}
	defer func() {
		if e := rows.Close(ctx); err == nil {
			err = e
		}
	}()
	for n := 0; ; n++ {
		row, err := rows.Next(ctx)
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		if n == 0 && len(row) > 0 && row[0] != nil {
			out = fmt.Sprint(row[0])
		}
	}
}
