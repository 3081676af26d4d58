package systab

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"

	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/repo"
)

// testRunColumns are the columns of dolt_test_run().
func testRunColumns() []*sql.Column {
	return []*sql.Column{text("test_name"), text("test_group_name"), text("query"), text("status"), text("message")}
}

// testCase is a row of dolt_tests.
type testCase struct {
	name, group, query, assertion, comparator string
	value                                     *string // nil for NULL
}

// testRunFunction is dolt_test_run([name or group…]): runs the queries of dolt_tests and tells whether their answers are what they must be;
// all of them without arguments or with '*'.
func testRunFunction(_ *sql.Context, db registry.Handle, args []string) (*call, error) {
	if len(args) == 0 {
		args = []string{"*"}
	}
	return &call{tables: []string{""}, rows: func(ctx *sql.Context) (sql.RowIter, error) {
		s, err := registry.SessionOf(ctx)
		if err != nil {
			return nil, err
		}
		cases, err := testCases(ctx, s, db)
		if err != nil {
			return nil, err
		}
		var chosen []testCase
		for _, a := range args {
			some, err := chooseTests(cases, a)
			if err != nil {
				return nil, err
			}
			chosen = append(chosen, some...)
		}
		return rowsFunc(func(ctx *sql.Context) (sql.Row, error) {
			if len(chosen) == 0 {
				return nil, orEOF(nil)
			}
			c := &chosen[0]
			chosen = chosen[1:]
			status, message := "PASS", c.run(ctx, s)
			if message != "" {
				status = "FAIL"
			}
			return sql.Row{c.name, c.group, c.query, status, message}, ctx.Err()
		}), nil
	}}, nil
}

// testCases are the rows of dolt_tests of a database.
func testCases(ctx *sql.Context, s registry.Session, db registry.Handle) ([]testCase, error) {
	_, rows, err := s.Select(ctx, fmt.Sprintf(
		"select test_name, test_group, test_query, assertion_type, assertion_comparator, assertion_value from `%s`.%s order by test_name",
		strings.ReplaceAll(db.Name(), "`", "``"), repo.TestsTable))
	if err != nil {
		return nil, err
	}
	out := make([]testCase, len(rows))
	for i, row := range rows {
		c := &out[i]
		for k, to := range []*string{&c.name, &c.group, &c.query, &c.assertion, &c.comparator, nil} {
			v, err := sql.UnwrapAny(ctx, row[k])
			if err != nil {
				return nil, err
			}
			word, ok := v.(string)
			switch {
			case !ok:
			case to == nil:
				c.value = &word
			default:
				*to = word
			}
		}
	}
	return out, nil
}

// chooseTests are the tests of a name, else those of a group; "*" is all.
func chooseTests(cases []testCase, word string) ([]testCase, error) {
	if word == "*" {
		return cases, nil
	}
	var out []testCase
	var names []string
	for _, c := range cases {
		if c.name == word {
			return []testCase{c}, nil
		}
		if c.group == word {
			out = append(out, c)
		}
		names = append(names, c.name)
		if c.group != "" {
			names = append(names, c.group)
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	return nil, errs.New(errs.NotFound, "dolt_test_run: %s has no test or group '%s'%s", repo.TestsTable, word, errs.DidYouMean(errs.Nearest(word, names)))
}

// run runs the test and says why it fails; "" when it passes.
func (c *testCase) run(ctx *sql.Context, s registry.Session) string {
	if strings.Contains(strings.ToLower(c.query), "dolt_test_run") {
		return "a test cannot run tests"
	}
	schema, rows, err := s.Select(ctx, c.query)
	if err != nil {
		return "query error: " + err.Error()
	}
	switch c.assertion {
	case "expected_rows":
		return c.counts(len(rows))
	case "expected_columns":
		return c.counts(len(schema))
	case "expected_single_value":
		if len(schema) != 1 || len(rows) != 1 {
			return fmt.Sprintf("%s wants one row of one column; the query gives %d of %d", c.assertion, len(rows), len(schema))
		}
		return c.single(ctx, schema[0].Type, rows[0][0])
	}
	return fmt.Sprintf("assertion_type '%s' is not known", c.assertion)
}

// counts compares a number with the expected one.
func (c *testCase) counts(n int) string {
	if c.value == nil {
		return fmt.Sprintf("%s wants a number as its value, not NULL", c.assertion)
	}
	want, err := strconv.Atoi(strings.TrimSpace(*c.value))
	if err != nil {
		return fmt.Sprintf("%s wants a number as its value, not '%s'", c.assertion, *c.value)
	}
	return c.judge(compare(n, want), strconv.Itoa(n))
}

func compare(a, b int) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// single compares a value with the expected one, which is read as the value's type.
func (c *testCase) single(ctx *sql.Context, typ sql.Type, v any) string {
	v, err := sql.UnwrapAny(ctx, v)
	if err != nil {
		return "query error: " + err.Error()
	}
	if c.value == nil || v == nil {
		if c.comparator != "==" && c.comparator != "!=" {
			return fmt.Sprintf("NULL can be compared by == and != only, not by %s", c.comparator)
		}
		order := 1
		if c.value == nil && v == nil {
			order = 0
		}
		shown := "NULL"
		if v != nil {
			shown = shownValue(ctx, typ, v)
		}
		return c.judge(order, shown)
	}
	word := *c.value
	if b, err := strconv.ParseBool(word); err == nil && types.IsNumber(typ) && word != "0" && word != "1" {
		word = map[bool]string{false: "0", true: "1"}[b]
	}
	want, inRange, err := typ.Convert(ctx, word)
	if err != nil || inRange != sql.InRange {
		return fmt.Sprintf("the value '%s' cannot be compared with %s, which is of type %s", *c.value, shownValue(ctx, typ, v), typ)
	}
	order, err := typ.Compare(ctx, v, want)
	if err != nil {
		return fmt.Sprintf("the value '%s' cannot be compared with %s: %v", *c.value, shownValue(ctx, typ, v), err)
	}
	return c.judge(order, shownValue(ctx, typ, v))
}

// shownValue is a value as clients are shown it.
func shownValue(ctx *sql.Context, typ sql.Type, v any) string {
	out, err := typ.SQL(ctx, nil, v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return out.ToString()
}

// judge says why a value fails that compares with the expected one as order says; "" when it passes.
func (c *testCase) judge(order int, got string) string {
	holds, known := map[string]bool{
		"==": order == 0, "!=": order != 0, "<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0,
	}[c.comparator]
	switch {
	case !known:
		return fmt.Sprintf("assertion_comparator '%s' is not known", c.comparator)
	case holds:
		return ""
	}
	want := "NULL"
	if c.value != nil {
		want = *c.value
	}
	return fmt.Sprintf("Assertion failed: %s %s %s, got %s", c.assertion, comparatorWords[c.comparator], want, got)
}

// comparatorWords are the comparators in the words of messages, which are Dolt's.
var comparatorWords = map[string]string{
	"==": "equal to", "!=": "not equal to", "<": "less than", "<=": "less than or equal to", ">": "greater than", ">=": "greater than or equal to",
}
