package badinput

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/stemmadb/stemma/internal/cli"
	"github.com/stemmadb/stemma/internal/op"
)

func program() { os.Exit(cli.Main(&cli.Program{Version: "1.2.3", Specs: op.All()})) }

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"stemma": program, "dolt": program, "stranger": stranger})
}

// Transcripts. Beside testscript's commands there is
//
//	exits <status> <program> [<args>]  run a program that must exit with the status
//	replace <file> <old> <new>         replace a text in a file, which must hold it
//	flip <file> <offset>               flip a bit of a file; a negative offset counts from the end
//	cut <file> <n>                     take n bytes from the end of a file
//	trim <file> <n>                    keep the first n bytes of a file
//	litter <file> <n>                  add n random bytes to a file
//	unescape <file>                    put bytes into a file for \xff, \r and the like
//	rows <file> <n>                    make a CSV file of n rows that cannot be compressed much
//	keep <dir>                         remember all files of a database
//	kept <dir>                         complain of files that are not as remembered; the lock does not count
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("STEMMA_HOME", filepath.Join(env.WorkDir, "home"))
			env.Setenv("STEMMA_AUTHOR_NAME", "Ada")
			env.Setenv("STEMMA_AUTHOR_EMAIL", "ada@example.com")
			env.Values["kept"] = map[string][]byte{}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "replace": replace, "flip": flip, "cut": cut, "trim": trim, "litter": litter, "rows": rows, "unescape": unescape, "keep": keep, "kept": kept,
		},
	})
}

// want ends the script unless a command has n arguments and no negation.
func want(ts *testscript.TestScript, neg bool, args []string, n int) {
	if neg || len(args) < n {
		ts.Fatalf("want %d arguments, have %q", n, args)
	}
}

func number(ts *testscript.TestScript, text string) int {
	n, err := strconv.Atoi(text)
	ts.Check(err)
	return n
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2)
	status := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var e *exec.ExitError
		if !errors.As(err, &e) {
			ts.Fatalf("%v", err)
		}
		status = e.ExitCode()
	}
	if status != number(ts, args[0]) {
		ts.Fatalf("%v exits with %d, want %s", args[1:], status, args[0])
	}
}

// edit changes the bytes of a file.
func edit(ts *testscript.TestScript, name string, change func([]byte) []byte) {
	name = ts.MkAbs(name)
	names, err := filepath.Glob(name)
	ts.Check(err)
	if len(names) != 1 {
		ts.Fatalf("%s are %d files", name, len(names))
	}
	b, err := os.ReadFile(names[0])
	ts.Check(err)
	ts.Check(os.WriteFile(names[0], change(b), 0o666))
}

func replace(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 3)
	edit(ts, args[0], func(b []byte) []byte {
		if !bytes.Contains(b, []byte(args[1])) {
			ts.Fatalf("%s does not hold %q", args[0], args[1])
		}
		return bytes.ReplaceAll(b, []byte(args[1]), []byte(args[2]))
	})
}

func flip(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2)
	edit(ts, args[0], func(b []byte) []byte {
		at := number(ts, args[1])
		if at < 0 {
			at += len(b)
		}
		b[at] ^= 4
		return b
	})
}

func cut(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2)
	edit(ts, args[0], func(b []byte) []byte { return b[:len(b)-number(ts, args[1])] })
}

func trim(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2)
	edit(ts, args[0], func(b []byte) []byte { return b[:number(ts, args[1])] })
}

// random is n bytes.
func random(seed uint64, n int) []byte {
	rng := rand.New(rand.NewPCG(seed, 7))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func litter(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2)
	edit(ts, args[0], func(b []byte) []byte { return append(b, random(1, number(ts, args[1]))...) })
}

func unescape(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1)
	edit(ts, args[0], func(b []byte) []byte {
		text, err := strconv.Unquote(`"` + string(bytes.ReplaceAll(b, []byte("\n"), []byte(`\n`))) + `"`)
		ts.Check(err)
		return []byte(text)
	})
}

func rows(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), csvRows(number(ts, args[1])), 0o666))
}

// csvRows is a CSV file of n rows that cannot be compressed much.
func csvRows(n int) []byte {
	var b bytes.Buffer
	b.WriteString("id,text\n")
	for i := range n {
		fmt.Fprintf(&b, "%d,%x\n", i, random(uint64(i), 40))
	}
	return b.Bytes()
}

// files are the files below a directory that hold a database's data.
func files(ts *testscript.TestScript, dir string) map[string][]byte {
	out, err := contents(ts.MkAbs(dir))
	ts.Check(err)
	return out
}

// contents are the files below a directory, but the lock.
func contents(dir string) (map[string][]byte, error) {
	out := map[string][]byte{}
	return out, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || d.Name() == "LOCK" {
			return err
		}
		b, err := os.ReadFile(path)
		out[path] = b
		return err
	})
}

func keep(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1)
	all := ts.Value("kept").(map[string][]byte)
	for name, b := range files(ts, args[0]) {
		all[name] = b
	}
}

func kept(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1)
	all := ts.Value("kept").(map[string][]byte)
	now := files(ts, args[0])
	var names []string
	for name, b := range now {
		if was, ok := all[name]; !ok || !bytes.Equal(was, b) {
			names = append(names, name)
		}
		delete(all, name)
	}
	for name := range all {
		names = append(names, name+" (gone)")
	}
	clear(all)
	if slices.Sort(names); len(names) > 0 {
		ts.Fatalf("these have changed: %q", names)
	}
}
