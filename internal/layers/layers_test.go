package layers

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// ranks is the house: a package imports only packages of a lower rank. The key is a directory below internal, which stands for the
// packages below it as well: a family. Inside a family the compiler's ban on cycles is enough.
var ranks = map[string]float64{
	"hash": 0, "errs": 0, "invariants": 0, "clock": 0, "boot": 0, // standard library only
	"vfs": 0.5, "binfmt": 0.5,
	"keyset":   0.7,           // ordered sets whose copies share
	"sidefile": 0.7,           // what may be lost
	"chunk":    1, "value": 1, // the byte contract; types and ordered keys
	"stripe": 1,                         // blocks of pages whose columns can be read apart
	"tree":   2, "pack": 2, "object": 2, // prolly algorithms; local store; remote objects
	"page":   3,                            // the columnar leaf
	"schema": 4, "table": 4.3, "root": 4.6, // a table = schema + trees; a root = named tables
	"history": 5,                                                                                                               // commits, graph, refs, working sets
	"diff":    6, "merge": 6, "sync": 6, "gc": 6, "fsck": 6, "ingest": 6, "frame": 6, "training": 6, "lineage": 6, "export": 6, // algorithms, which never import each other
	"repo": 7, "remote": 7, // the domain object; url -> remote
	"op":     8,  // one verb = one struct
	"engine": 9,  // SQL
	"server": 10, // protocols
	"cli":    11,
	"layers": 13,
}

// exceptions are the imports within a rank that are allowed.
var exceptions = map[[2]string]bool{
	{"merge", "diff"}: true,
}

// outside are the ranks of packages that are not below internal, by the first element of their directory.
var outside = map[string]float64{
	".":    12, // the public Go API
	"cmd":  12.5,
	"test": 13, "bench": 13,
}

// family is the key of the ranks table for a package's directory, and its rank.
func family(dir string) (name string, rank float64, ok bool) {
	if rest, below := strings.CutPrefix(dir, "internal/"); below {
		name, _, _ = strings.Cut(rest, "/")
		rank, ok = ranks[name]
		return name, rank, ok
	}
	name, _, _ = strings.Cut(dir, "/")
	rank, ok = outside[name]
	return name, rank, ok
}

// upward complains of imports that do not go down. Tests may also import packages of their own rank, such as fsck.
func upward(files []*source) []string {
	var out []string
	for _, f := range files {
		from, rank, ok := family(f.dir())
		if !ok {
			out = append(out, fmt.Sprintf("%s: package %s has no rank; give it one in internal/layers", f.path, f.dir()))
			continue
		}
		for _, i := range f.imports() {
			if i != module && !strings.HasPrefix(i, module+"/") {
				continue
			}
			dir := strings.TrimPrefix(strings.TrimPrefix(i, module), "/")
			if dir == "" {
				dir = "."
			}
			to, below, ok := family(dir)
			switch {
			case !ok:
				out = append(out, fmt.Sprintf("%s imports %s, which has no rank", f.path, dir))
			case from == to, below < rank, exceptions[[2]string{from, to}]:
			case f.isTest() && below == rank:
			default:
				out = append(out, fmt.Sprintf("%s (rank %g) imports %s (rank %g): only lower ranks may be imported", f.path, rank, dir, below))
			}
		}
	}
	return out
}

func TestRanks(t *testing.T) { report(t, upward(sources(t))) }

func TestRanksCatch(t *testing.T) {
	imports := func(paths ...string) string {
		text := "package x\n"
		for _, p := range paths {
			text += fmt.Sprintf("import _ %q\n", p)
		}
		return text
	}
	for _, c := range []struct {
		path string
		text string
		bad  bool
	}{
		{"internal/tree/a.go", imports(module + "/internal/chunk"), false},
		{"internal/tree/a.go", imports(module + "/internal/page"), true},
		{"internal/tree/a.go", imports(module + "/internal/pack"), true},
		{"internal/tree/a_test.go", imports(module + "/internal/pack"), false},
		{"internal/tree/a_test.go", imports(module + "/internal/page"), true},
		{"internal/tree/treetest/a.go", imports(module + "/internal/tree"), false},
		{"internal/merge/a.go", imports(module + "/internal/diff"), false},
		{"internal/diff/a.go", imports(module + "/internal/merge"), true},
		{"internal/table/a.go", imports(module + "/internal/schema"), false},
		{"internal/schema/a.go", imports(module + "/internal/table"), true},
		{"internal/engine/vec/a.go", imports(module+"/internal/engine", module+"/internal/op"), false},
		{"internal/engine/vec/a.go", imports(module + "/internal/server/mysql"), true},
		{"internal/cli/a.go", imports(module), true},
		{"stemma.go", imports(module + "/internal/repo"), false},
		{"cmd/stemma/main.go", imports(module + "/internal/cli"), false},
		{"internal/novel/a.go", imports(), true},
		{"internal/op/a.go", imports(module + "/internal/novel"), true},
		{"internal/op/a.go", imports("fmt", module+"x/internal/novel"), false},
	} {
		if got := upward([]*source{example(t, c.path, c.text)}); (len(got) > 0) != c.bad {
			t.Errorf("%s: %s: %q", c.path, c.text, got)
		}
	}
}

// Names in the table that no directory has are allowed: they are the plan. Two families of one name are not.
func TestRankTable(t *testing.T) {
	names := []string{}
	for n := range ranks {
		names = append(names, n)
	}
	for n := range outside {
		names = append(names, n)
	}
	slices.Sort(names)
	if len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("a name is in both tables: %v", names)
	}
}
