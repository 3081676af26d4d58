package layers

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// required are the modules that go.mod names.
func required(gomod string) []string {
	var out []string
	for _, m := range regexp.MustCompile(`(?m)^(?:require\s+|\t)(\S+) v\S+`).FindAllStringSubmatch(gomod, -1) {
		out = append(out, m[1])
	}
	return out
}

// moduleOf is the module of an import path: the longest that is a prefix; "" for the standard library and for ourselves.
func moduleOf(imp string, modules []string) string {
	best := ""
	for _, m := range modules {
		if (imp == m || strings.HasPrefix(imp, m+"/")) && len(m) > len(best) {
			best = m
		}
	}
	return best
}

// Each module that the tree imports has a line in docs/dependencies.md that says why, and each line there is about a module that is
// imported or planned in go.mod.
func TestDependencies(t *testing.T) {
	read := func(parts ...string) string {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(append([]string{root}, parts...)...))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	modules := required(read("go.mod"))
	if len(modules) < 5 {
		t.Fatalf("go.mod names only %v", modules)
	}
	var documented []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([^` ]+)`").FindAllStringSubmatch(read("docs", "dependencies.md"), -1) {
		documented = append(documented, m[1])
	}
	seen := map[string]bool{}
	for _, f := range sources(t) {
		for _, i := range f.imports() {
			if host, _, _ := strings.Cut(i, "/"); !strings.Contains(host, ".") || i == module || strings.HasPrefix(i, module+"/") {
				continue
			}
			m := moduleOf(i, modules)
			switch {
			case m == "":
				t.Errorf("%s imports %s, which go.mod does not name", f.path, i)
			case !seen[m] && !slices.Contains(documented, m):
				t.Errorf("%s imports %s: docs/dependencies.md has no line for it", f.path, m)
			}
			seen[m] = true
		}
	}
	for _, m := range documented {
		if !slices.Contains(modules, m) {
			t.Errorf("docs/dependencies.md tells of %s, which go.mod does not name", m)
		}
	}
}

func TestModuleOf(t *testing.T) {
	modules := required("module x\n\nrequire (\n\ta.b/c v1.0.0\n\ta.b/c/v2 v2.0.0 // indirect\n)\nrequire d.e/f v0.0.1\n")
	if fmt.Sprint(modules) != "[a.b/c a.b/c/v2 d.e/f]" {
		t.Errorf("%v", modules)
	}
	for imp, want := range map[string]string{"a.b/c": "a.b/c", "a.b/c/x": "a.b/c", "a.b/c/v2/x": "a.b/c/v2", "a.b/cx": "", "fmt": ""} {
		if got := moduleOf(imp, modules); got != want {
			t.Errorf("%s: %s, want %s", imp, got, want)
		}
	}
}
