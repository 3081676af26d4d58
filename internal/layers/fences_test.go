package layers

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
	"testing"
)

// fence keeps imports where they belong.
type fence struct {
	prefixes []string              // import paths, or what they begin with
	allowed  func(dir string) bool // in which packages they may be
	tests    bool                  // whether test files may have them anywhere
	why      string
}

// within allows the packages at and below the directories.
func within(dirs ...string) func(string) bool {
	return func(dir string) bool {
		return slices.ContainsFunc(dirs, func(d string) bool { return dir == d || strings.HasPrefix(dir, d+"/") })
	}
}

func except(not func(string) bool) func(string) bool {
	return func(dir string) bool { return !not(dir) }
}

// fromRank allows families of at least the rank.
func fromRank(least float64) func(string) bool {
	return func(dir string) bool {
		_, rank, ok := family(dir)
		return !ok || rank >= least
	}
}

// conformance tells whether a package holds tests for others to call, such as chunktest.
func conformance(dir string) bool { return strings.HasSuffix(dir, "test") }

var fences = []fence{
	{prefixes: []string{"github.com/dolthub/"}, allowed: within("internal/engine", "internal/server/mysql"),
		why: "the SQL engine and its parser stay behind internal/engine"},
	{prefixes: []string{"github.com/apache/arrow-go/"}, allowed: fromRank(ranks["page"]), why: "Arrow begins at pages"},
	{prefixes: []string{"cloud.google.com/", "gocloud.dev", "github.com/aws/", "github.com/Azure/"}, allowed: within("internal/object"),
		why: "buckets are reached through internal/object"},
	{prefixes: []string{"github.com/spf13/cobra"}, allowed: within("internal/cli"), why: "commands are internal/cli's; verbs are internal/op's"},
	{prefixes: []string{module + "/internal/value"}, allowed: except(within("internal/tree")), tests: true, why: "trees know keys and leaves, no types"},
	{prefixes: []string{"testing", "testing/"}, allowed: conformance, tests: true, why: "products do not carry testing"},
}

// fenced complains of imports on the wrong side.
func fenced(files []*source) []string {
	var out []string
	for _, f := range files {
		for _, fe := range fences {
			if fe.allowed(f.dir()) || fe.tests && f.isTest() {
				continue
			}
			for _, i := range f.imports() {
				if slices.ContainsFunc(fe.prefixes, func(p string) bool {
					return i == p || strings.HasPrefix(i, strings.TrimSuffix(p, "/")+"/")
				}) {
					out = append(out, fmt.Sprintf("%s imports %s: %s", f.path, i, fe.why))
				}
			}
		}
	}
	return out
}

// call is a function that only some packages may use, outside of tests.
type call struct {
	pkg     string
	names   []string
	allowed func(dir string) bool
	why     string
}

var calls = []call{
	{"time", []string{"Now", "Since", "Until"}, within("internal/clock"), "the time comes from internal/clock, so that tests and hashes can fix it"},
	{"os", []string{"Getenv", "LookupEnv", "Environ"}, within("internal/cli", "internal/server", "internal/object", "cmd", "bench", "test"), "the environment is read at the edges, and where credentials are found as a cloud's own tools find them"},
	{"math/rand", nil, within("bench", "test"), "use math/rand/v2"},
}

// called complains of uses of functions and of init.
func called(files []*source) []string {
	var out []string
	for _, f := range files {
		if f.isTest() || conformance(f.dir()) {
			continue
		}
		for _, c := range calls {
			name := f.importName(c.pkg)
			if name == "" || c.allowed(f.dir()) {
				continue
			}
			if c.names == nil {
				out = append(out, fmt.Sprintf("%s imports %s: %s", f.path, c.pkg, c.why))
				continue
			}
			ast.Inspect(f.file, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok {
					if x, ok := s.X.(*ast.Ident); ok && x.Name == name && slices.Contains(c.names, s.Sel.Name) {
						out = append(out, fmt.Sprintf("%s uses %s.%s: %s", f.at(s), c.pkg, s.Sel.Name, c.why))
					}
				}
				return true
			})
		}
		for _, d := range f.file.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				out = append(out, fmt.Sprintf("%s: an init function: nothing happens before main", f.at(fn)))
			}
		}
	}
	return out
}

func TestFences(t *testing.T) { report(t, fenced(sources(t))) }

func TestCalls(t *testing.T) { report(t, called(sources(t))) }

func TestFencesCatch(t *testing.T) {
	for _, c := range []struct {
		path, text string
		bad        bool
	}{
		{"internal/engine/types/a.go", `package x; import "github.com/dolthub/go-mysql-server/sql"`, false},
		{"internal/value/a.go", `package x; import "github.com/dolthub/go-mysql-server/sql"`, true},
		{"internal/value/a_test.go", `package x; import "github.com/dolthub/vitess/go/sqltypes"`, true},
		{"internal/server/mysql/a.go", `package x; import "github.com/dolthub/vitess/go/mysql"`, false},
		{"internal/server/web/a.go", `package x; import "github.com/dolthub/vitess/go/mysql"`, true},
		{"internal/tree/a.go", `package x; import "github.com/apache/arrow-go/v18/arrow"`, true},
		{"internal/page/a.go", `package x; import "github.com/apache/arrow-go/v18/arrow"`, false},
		{"internal/repo/a.go", `package x; import "cloud.google.com/go/storage"`, true},
		{"internal/object/gcs/a.go", `package x; import "cloud.google.com/go/storage"`, false},
		{"internal/op/a.go", `package x; import "github.com/spf13/cobra"`, true},
		{"internal/cli/a.go", `package x; import "github.com/spf13/cobra"`, false},
		{"internal/tree/a.go", `package x; import "` + module + `/internal/value"`, true},
		{"internal/tree/a_test.go", `package x; import "` + module + `/internal/value"`, false},
		{"internal/chunk/a.go", `package x; import "testing"`, true},
		{"internal/chunk/a.go", `package x; import "testing/quick"`, true},
		{"internal/chunk/a_test.go", `package x; import "testing"`, false},
		{"internal/chunk/chunktest/a.go", `package x; import "testing"`, false},
	} {
		if got := fenced([]*source{example(t, c.path, c.text)}); (len(got) > 0) != c.bad {
			t.Errorf("%s: %s: %q", c.path, c.text, got)
		}
	}
	for _, c := range []struct {
		path, text string
		bad        bool
	}{
		{"internal/op/a.go", `package x; import "time"; var t = time.Now()`, true},
		{"internal/op/a.go", `package x; import clock "time"; var t = clock.Since`, true},
		{"internal/op/a.go", `package x; import "time"; var t time.Duration`, false},
		{"internal/op/a.go", `package x; var time struct{ Now int }; var t = time.Now`, false},
		{"internal/op/a_test.go", `package x; import "time"; var t = time.Now()`, false},
		{"internal/clock/a.go", `package x; import "time"; var t = time.Now()`, false},
		{"internal/op/a.go", `package x; import "os"; var e = os.Getenv("X")`, true},
		{"internal/cli/a.go", `package x; import "os"; var e = os.Getenv("X")`, false},
		{"internal/op/a.go", `package x; import "math/rand"`, true},
		{"internal/op/a.go", `package x; import "math/rand/v2"`, false},
		{"internal/op/a.go", `package x; func init() {}`, true},
		{"internal/op/a.go", `package x; type t int; func (t) init() {}`, false},
	} {
		if got := called([]*source{example(t, c.path, c.text)}); (len(got) > 0) != c.bad {
			t.Errorf("%s: %s: %q", c.path, c.text, got)
		}
	}
}
