package layers

import (
	"bytes"
	"fmt"
	"go/ast"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// undocumented complains of exported symbols without a comment, and of packages without one.
func undocumented(files []*source) []string {
	var out []string
	packages := map[string]bool{} // directory -> has a package comment
	for _, f := range files {
		if f.isTest() || generated(f) {
			continue
		}
		packages[f.dir()] = packages[f.dir()] || f.file.Doc != nil
		for _, d := range f.file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Doc == nil && d.Name.IsExported() && exportedReceiver(d) && !selfEvident(d) {
					out = append(out, fmt.Sprintf("%s: %s has no comment", f.at(d), d.Name.Name))
				}
			case *ast.GenDecl:
				out = append(out, undocumentedSpecs(f, d)...)
			}
		}
	}
	for dir, ok := range packages {
		if !ok {
			out = append(out, fmt.Sprintf("%s: the package has no comment", dir))
		}
	}
	slices.Sort(out)
	return out
}

// undocumentedSpecs looks at types, constants and variables. A comment on a group of constants or variables counts for all of them,
// and one above a line for the lines that follow it without a gap.
func undocumentedSpecs(f *source, d *ast.GenDecl) []string {
	var out []string
	above := 0 // the line below a constant or variable that has a comment
	for _, s := range d.Specs {
		var names []*ast.Ident
		has := d.Doc != nil
		switch s := s.(type) {
		case *ast.TypeSpec:
			names = []*ast.Ident{s.Name}
			has = s.Doc != nil || s.Comment != nil || d.Doc != nil && !d.Lparen.IsValid()
		case *ast.ValueSpec:
			names = s.Names
			has = has || s.Doc != nil || s.Comment != nil || f.fset.Position(s.Pos()).Line == above
			if has {
				above = f.fset.Position(s.End()).Line + 1
			}
		}
		for _, n := range names {
			if n.IsExported() && !has {
				out = append(out, fmt.Sprintf("%s: %s has no comment", f.at(n), n.Name))
			}
		}
	}
	return out
}

// exportedReceiver tells whether d is a function, or a method that others can name.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	t := d.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return false
		}
	}
}

// selfEvident tells whether d is a method of Go's errors, which says what it is.
func selfEvident(d *ast.FuncDecl) bool {
	return d.Recv != nil && (d.Name.Name == "Error" || d.Name.Name == "Unwrap")
}

func generated(f *source) bool {
	return ast.IsGenerated(f.file)
}

// How long files may be, in lines: above the first number they are told of, above the second they fail.
const (
	longFile    = 600
	tooLongFile = 800
)

func TestComments(t *testing.T) { report(t, undocumented(sources(t))) }

func TestFileLengths(t *testing.T) {
	for _, f := range sources(t) {
		switch {
		case generated(f):
		case f.lines > tooLongFile:
			t.Errorf("%s has %d lines, more than %d: it wants a second noun", f.path, f.lines, tooLongFile)
		case f.lines > longFile:
			t.Logf("%s has %d lines, more than %d", f.path, f.lines, longFile)
		}
	}
}

// Patterns that no file of the module may have: paths of one machine, and notes of work not done. They are put together here so
// that this file does not have them.
var (
	machinePath = regexp.MustCompile(`(^|[^\w./~-])/(` + strings.Join([]string{"work", "root", "farm"}, "|") + `)/[\w.-]|/ho` + `me/[a-z]|/Use` + `rs/[a-z]`)
	unfinished  = regexp.MustCompile(`\b(` + strings.Join([]string{"TO" + "DO", "FIX" + "ME", "XX" + "X"}, "|") + `)\b`)
)

// forbidden complains of what a text may not hold.
func forbidden(name string, text []byte) []string {
	var out []string
	for i, line := range bytes.Split(text, []byte("\n")) {
		if m := machinePath.Find(line); m != nil {
			out = append(out, fmt.Sprintf("%s:%d: %q is a path of one machine", name, i+1, m))
		}
		if path.Ext(name) != ".go" && path.Ext(name) != ".py" {
			continue
		}
		if m := unfinished.Find(line); m != nil {
			out = append(out, fmt.Sprintf("%s:%d: %s: finish it, or open an issue", name, i+1, m))
		}
	}
	return out
}

func TestForbiddenText(t *testing.T) {
	const most = 1 << 20
	err := walk(func(name string, text []byte) error {
		if len(text) <= most && utf8.Valid(text) && !bytes.Contains(text, []byte{0}) && name != "go.sum" && name != ".git" {
			report(t, forbidden(name, text))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestDocsCatch(t *testing.T) {
	for _, c := range []struct {
		text string
		bad  int
	}{
		{"// Package x is.\npackage x\n// F does.\nfunc F() {}\nfunc f() {}", 0},
		{"package x", 1},
		{"// Package x is.\npackage x\nfunc F() {}\ntype T int\nconst C = 1\nvar V = 1", 4},
		{"// Package x is.\npackage x\ntype t int\nfunc (t) M() {}\nfunc (*t) N() {}", 0},
		{"// Package x is.\npackage x\n// T is.\ntype T[A any] struct{}\nfunc (*T[A]) M() {}", 1},
		{"// Package x is.\npackage x\n// Both.\nconst (\n A = 1\n B = 2\n)", 0},
		{"// Package x is.\npackage x\nconst (\n // A and B are.\n A = 1\n B = 2\n\n C = 3\n)", 1},
		{"// Package x is.\npackage x\n// T is.\ntype T int\nfunc (T) Error() string { return \"\" }", 0},
		{"// Package x is.\npackage x\nconst (\n A = 1 // one\n B = 2\n c = 3\n)", 0},
		{"// Package x is.\npackage x\n// Types.\ntype (\n A int\n // B is.\n B int\n)", 1},
		{"// Code generated by x. DO NOT EDIT.\n\npackage x\nfunc F() {}", 0},
	} {
		if got := undocumented([]*source{example(t, "internal/x/a.go", c.text)}); len(got) != c.bad {
			t.Errorf("%s: %q, want %d", c.text, got, c.bad)
		}
	}
	for text, bad := range map[string]bool{
		"see /ro" + "ot/x":                   true,
		`"/wo` + `rk/main"`:                  true,
		"/ho" + "me/ada/x":                   true,
		"internal/root/x, a/work/b, ~/work/": false,
		"// TO" + "DO: later":                true,
		"TODOS":                              false,
	} {
		if got := forbidden("a.go", []byte("x\n"+text)); (len(got) > 0) != bad {
			t.Errorf("%s: %q", text, got)
		}
	}
}
