package fn_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/types"

	"github.com/stemmadb/stemma/internal/engine/fn"
)

func find(t *testing.T, list []sql.Function, name string) sql.Function {
	t.Helper()
	for _, f := range list {
		if f.FunctionName() == name {
			return f
		}
	}
	t.Fatalf("no function %s", name)
	return nil
}

func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range fn.Functions(fn.Versions{}) {
		n := f.FunctionName()
		if n != strings.ToLower(n) || seen[n] {
			t.Errorf("name %q is not lower case or comes twice", n)
		}
		seen[n] = true
	}
	for _, n := range []string{
		"hashof", "dolt_hashof", "dolt_hashof_table", "dolt_hashof_db", "active_branch", "dolt_merge_base", "has_ancestor",
		"dolt_version", "dolt_storage_format",
	} {
		if !seen[n] {
			t.Errorf("no function %s", n)
		}
	}
}

func TestArity(t *testing.T) {
	ctx := sql.NewEmptyContext()
	one := expression.NewLiteral("x", types.LongText)
	list := fn.Functions(fn.Versions{})
	for name, bad := range map[string]int{
		"hashof": 0, "dolt_hashof_table": 3, "dolt_hashof_db": 2, "active_branch": 1, "dolt_merge_base": 1, "has_ancestor": 3, "dolt_version": 1,
	} {
		args := make([]sql.Expression, bad)
		for i := range args {
			args[i] = one
		}
		if _, err := find(t, list, name).NewInstance(ctx, args); !sql.ErrInvalidArgumentNumber.Is(err) {
			t.Errorf("%s with %d arguments: %v", name, bad, err)
		}
	}
}

// source is an iterator that ends with an error and notes that it was closed.
type source struct {
	rows   []sql.Row
	end    error
	closed bool
}

func (s *source) Next(*sql.Context) (sql.Row, error) {
	if len(s.rows) == 0 {
		return nil, s.end
	}
	r := s.rows[0]
	s.rows = s.rows[1:]
	return r, nil
}

func (s *source) Close(*sql.Context) error { s.closed = true; return nil }

func TestProcedures(t *testing.T) {
	ctx := sql.NewEmptyContext()
	var src *source
	var got []string
	f := find(t, fn.Procedures(func(_ *sql.Context, name string, args []string) (sql.RowIter, error) {
		got = append([]string{name}, args...)
		if src == nil {
			return nil, errors.New("refused")
		}
		return src, nil
	}, "dolt_add", "dolt_commit"), "dolt_commit")
	call := func() (any, error) {
		e, err := f.NewInstance(ctx, []sql.Expression{expression.NewLiteral("-n", types.LongText), expression.NewLiteral(int8(5), types.Int8)})
		if err != nil {
			t.Fatal(err)
		}
		if n, ok := e.(sql.NonDeterministicExpression); !ok || !n.IsNonDeterministic() {
			t.Error("a procedure counts as deterministic")
		}
		return e.Eval(ctx, nil)
	}
	if _, err := call(); err == nil || err.Error() != "refused" {
		t.Errorf("got %v", err)
	}
	if s := strings.Join(got, " "); s != "dolt_commit -n 5" {
		t.Errorf("called %q", s)
	}
	src = &source{rows: []sql.Row{{int64(7), "x"}, {int64(8), "y"}}, end: io.EOF}
	if v, err := call(); err != nil || v != "7" || len(src.rows) != 0 || !src.closed {
		t.Errorf("got %v, %v, %+v", v, err, src)
	}
	src = &source{rows: []sql.Row{{int64(7)}}, end: errors.New("broke")}
	if _, err := call(); err == nil || err.Error() != "broke" || !src.closed {
		t.Errorf("got %v, %+v", err, src)
	}
	src = &source{end: io.EOF}
	if v, err := call(); err != nil || v != nil {
		t.Errorf("got %v, %v", v, err)
	}
}

func TestNullArgument(t *testing.T) {
	ctx := sql.NewEmptyContext()
	f := find(t, fn.Functions(fn.Versions{}), "hashof")
	e, err := f.NewInstance(ctx, []sql.Expression{expression.NewLiteral(nil, types.Null)})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := e.Eval(ctx, nil); v != nil || err != nil {
		t.Errorf("got %v, %v", v, err)
	}
}
