package layers

import (
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// module is the path of the module; packages inside it are named by what follows.
const module = "github.com/stemmadb/stemma"

// source is a parsed Go file.
type source struct {
	path  string // from the module's directory, with slashes: "internal/tree/node.go"
	file  *ast.File
	fset  *token.FileSet
	lines int
}

// dir is the file's package, from the module's directory; "." is the module's own package.
func (s *source) dir() string { return path.Dir(s.path) }

// isTest tells whether the file is part of tests only.
func (s *source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

// at is where n stands, for messages.
func (s *source) at(n ast.Node) string {
	return s.path + ":" + strconv.Itoa(s.fset.Position(n.Pos()).Line)
}

// imports are the paths that the file imports.
func (s *source) imports() []string {
	var out []string
	for _, i := range s.file.Imports {
		if p, err := strconv.Unquote(i.Path.Value); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// importName is the name by which the file knows the package p; "" when it does not import it.
func (s *source) importName(p string) string {
	for _, i := range s.file.Imports {
		if i.Path.Value != strconv.Quote(p) {
			continue
		}
		if i.Name != nil {
			return i.Name.Name
		}
		return path.Base(p)
	}
	return ""
}

// parse reads a Go file. ok is false for programs that no build includes (//go:build ignore).
func parse(name string, text []byte) (s *source, ok bool, err error) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, false, err
	}
	for _, g := range f.Comments {
		if g.Pos() > f.Package {
			break
		}
		for _, c := range g.List {
			if !constraint.IsGoBuild(c.Text) {
				continue
			}
			if x, err := constraint.Parse(c.Text); err == nil && x.String() == "ignore" {
				return nil, false, nil
			}
		}
	}
	return &source{path: name, file: f, fset: fset, lines: fset.Position(f.FileEnd).Line}, true, nil
}

// root is the module's directory, seen from this package.
var root = filepath.Join("..", "..")

// skipped are directories that hold no source of ours.
func skipped(name string) bool {
	switch name {
	case "testdata", "bin", "out", "node_modules", "vendor", "__pycache__":
		return true
	}
	return strings.HasPrefix(name, ".") && name != "." && name != ".." && name != ".ci" && name != ".github"
}

// walk calls visit for every file of the module.
func walk(visit func(name string, text []byte) error) error {
	return filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if p != root && skipped(d.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		return visit(filepath.ToSlash(rel), text)
	})
}

// tree reads the module once for all tests.
var tree = sync.OnceValues(func() ([]*source, error) {
	var out []*source
	err := walk(func(name string, text []byte) error {
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		s, ok, err := parse(name, text)
		if ok {
			out = append(out, s)
		}
		return err
	})
	return out, err
})

func sources(t *testing.T) []*source {
	t.Helper()
	out, err := tree()
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 10 {
		t.Fatalf("only %d files in %s: is this the module?", len(out), root)
	}
	return out
}

// report fails the test with each complaint.
func report(t *testing.T, complaints []string) {
	t.Helper()
	for _, c := range complaints {
		t.Error(c)
	}
}

// example parses text as the file name, for tests of the rules themselves.
func example(t *testing.T, name, text string) *source {
	t.Helper()
	s, ok, err := parse(name, []byte(text))
	if err != nil || !ok {
		t.Fatalf("%s: %v, %v", name, ok, err)
	}
	return s
}
