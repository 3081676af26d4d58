package engine

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/dolthub/go-mysql-server/sql"
)

// TestHistory runs the scripts of testdata/history: what tables of the past show after schemas have changed. A script has a database
// of its own.
//
//	exec      run statements, one a line
//	commit    commit everything, with the text as message
//	query     print the rows of a statement, columns cut by '|'; commits by their messages in brackets
//	columns   print the names of the columns of a statement
//	explain   print whether the plan of a statement looks up rows by an index, and by which columns
func TestHistory(t *testing.T) {
	datadriven.Walk(t, "testdata/history", func(t *testing.T, path string) {
		s := &past{client: versioned(t), commits: map[string]string{}}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s.w.t = t
			return s.run(t, d)
		})
	})
}

// past is a client whose commits are known by their messages.
type past struct {
	*client
	commits map[string]string // message by hash
}

func (s *past) run(t *testing.T, d *datadriven.TestData) string {
	switch d.Cmd {
	case "exec":
		for q := range strings.Lines(d.Input) {
			if _, _, err := s.rows(q); err != nil {
				return fmt.Sprintf("error: %v\n", err)
			}
		}
		return ""
	case "commit":
		_, rows, err := s.rows("call dolt_commit('-Am', '" + d.Input + "')")
		if err != nil {
			return fmt.Sprintf("error: %v\n", err)
		}
		s.commits[rows[0]] = d.Input
		return ""
	case "query":
		_, rows, err := s.rows(d.Input)
		return s.lines(rows, err)
	case "columns":
		cols, _, err := s.rows(d.Input)
		return s.lines(cols, err)
	case "explain":
		_, rows, err := s.rows("explain format=tree " + d.Input)
		rows = slices.DeleteFunc(rows, func(l string) bool {
			return !strings.Contains(l, "IndexedTableAccess(") && !strings.Contains(l, "index: ")
		})
		for i, l := range rows {
			rows[i] = strings.TrimLeft(l, " │├└─")
		}
		return s.lines(rows, err)
	}
	d.Fatalf(t, "unknown command %s", d.Cmd)
	return ""
}

// shortHash is the shown form of a hash, as a word.
var shortHash = regexp.MustCompile(`\b[0-9a-v]{32}\b`)

func (s *past) lines(rows []string, err error) string {
	var b strings.Builder
	for _, r := range rows {
		b.WriteString(r + "\n")
	}
	if err != nil {
		fmt.Fprintf(&b, "error: %v\n", err)
	}
	return shortHash.ReplaceAllStringFunc(b.String(), func(h string) string {
		if m, ok := s.commits[h]; ok {
			return "[" + m + "]"
		}
		return "[?]"
	})
}

// rows runs a statement and gives the names of its columns and its rows.
func (s *past) rows(q string) (cols, rows []string, err error) {
	ctx := s.w.eng.NewContext(s.w.t.Context(), s.s)
	sch, iter, err := s.w.eng.Query(ctx, q)
	if err != nil {
		return nil, nil, err
	}
	for _, c := range sch {
		cols = append(cols, c.Name)
	}
	all, err := sql.RowIterToRows(ctx, iter)
	for _, r := range all {
		words := make([]string, len(r))
		for i, v := range r {
			if v, err = sql.UnwrapAny(ctx, v); err != nil {
				return cols, rows, err
			}
			if words[i] = fmt.Sprint(v); v == nil {
				words[i] = "NULL"
			}
		}
		rows = append(rows, strings.Join(words, "|"))
	}
	return cols, rows, err
}
