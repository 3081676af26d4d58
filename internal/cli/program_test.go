package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/op"
)

// Every class of error has an exit status of its own choosing, and docs/exit-codes.md says the same.
func TestExitCodes(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "exit-codes.md"))
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]int{}
	for _, m := range regexp.MustCompile(`(?m)^\| (\d+) \| [^|]*\| ([^|]*)\|`).FindAllStringSubmatch(string(doc), -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		for name := range strings.FieldsSeq(strings.NewReplacer(",", " ", "`", "").Replace(m[2])) {
			documented[name] = n
		}
	}
	for _, c := range errs.Codes() {
		status, known := statusOf(c)
		if !known || status == 0 {
			t.Errorf("class %s has no exit status", c)
		}
		if got, ok := documented[c.String()]; !ok || got != status {
			t.Errorf("class %s exits with %d; docs/exit-codes.md says %d (%v)", c, status, got, ok)
		}
		if got := exitStatus(errs.New(c, "x"), true); got != 1 {
			t.Errorf("class %s exits with %d under the name dolt", c, got)
		}
		delete(documented, c.String())
	}
	for name := range documented {
		t.Errorf("docs/exit-codes.md names %q, which is no class of error", name)
	}
	if exitStatus(nil, false) != 0 || exitStatus(fmt.Errorf("x: %w", context.Canceled), false) != exitCanceled {
		t.Error("success or cancellation")
	}
}

// A program that asks for the class of an error finds it in the last line, where the exit status is that of several.
func TestErrorClass(t *testing.T) {
	for _, c := range errs.Codes() {
		p := &Program{Env: func(k string) string { return map[string]string{envErrorClass: "1"}[k] }}
		r := runProgram(t, p, "stemma", "do", "--fail", c.String())
		message, class := parseReport(r.err)
		if class != c || message != "error: it is "+c.String() {
			t.Errorf("%q is read as %q of class %s", r.err, message, class)
		}
		if r := runProgram(t, &Program{}, "stemma", "do", "--fail", c.String()); strings.Contains(r.err, classWord) {
			t.Errorf("nobody asked for the class: %q", r.err)
		}
	}
	if message, class := parseReport("error: x\n"); message != "error: x" || class != errs.Unavailable {
		t.Errorf("%q of class %s", message, class)
	}
}

// A verb that does what the test says.
type verb struct {
	Exit   int    `flag:"exit" help:"status"`
	Fail   string `flag:"fail" help:"class of error"`
	Wait   bool   `flag:"wait" help:"until cancelled"`
	Format string `flag:"result-format,r" help:"this verb's own"`
	Branch string `arg:"1" complete:"branch"`
}

func (v *verb) Run(ctx context.Context, s *op.Scope) (*op.Result, error) {
	switch {
	case v.Wait:
		<-ctx.Done()
		return nil, fmt.Errorf("wait: %w", ctx.Err())
	case v.Fail != "":
		c, _ := errs.ParseCode(v.Fail)
		return nil, errs.New(c, "it is %s", c)
	}
	r := op.Say("in %s by %s", filepath.Base(s.Dir), s.Author.Name)
	r.Hints = []string{"a hint"}
	r.ExitCode = v.Exit
	return r, nil
}

// streaming is a verb whose answer is long.
type streaming struct {
	Rows   bool   `flag:"rows" help:"rows without end"`
	Lines  int    `flag:"lines" help:"that many lines"`
	Format string `flag:"result-format,r" help:"this verb's own"`
}

func (v *streaming) Run(context.Context, *op.Scope) (*op.Result, error) {
	if v.Rows {
		return &op.Result{Columns: []op.Column{op.Whole("n")}, Stream: func(yield func([]any, error) bool) {
			for n := int64(0); yield([]any{n}, nil); n++ {
			}
		}}, nil
	}
	return &op.Result{Lines: slices.Repeat([]string{"a line"}, v.Lines)}, nil
}

type run struct {
	status   int
	out, err string
}

func runProgram(t *testing.T, p *Program, args ...string) run {
	t.Helper()
	var out, errOut bytes.Buffer
	p.Args, p.Out, p.Err, p.Clock = args, &out, &errOut, clock.System{}
	if p.Specs == nil {
		p.Specs = []op.Spec{
			op.Define[verb](op.Spec{Name: "do", Short: "Do it"}),
			op.Define[verb](op.Spec{Name: "table do", Short: "Do it to a table", Needs: op.NeedDatabase, Signs: true}),
			op.Define[verb](op.Spec{Name: "remote", Short: "Do it far away"}),
			op.Define[verb](op.Spec{Name: "remote add", Short: "Add a place far away"}),
		}
	}
	if p.Dir == "" {
		p.Dir = t.TempDir()
	}
	if p.Open == nil { // these verbs use no database
		p.Open = func(context.Context, op.Spec, *op.Scope) (func() error, error) { return nil, nil }
	}
	home := t.TempDir()
	env := p.Env
	p.Env = func(k string) string {
		if k == envHome {
			return home
		}
		if env != nil {
			return env(k)
		}
		return ""
	}
	status := p.Run(t.Context())
	p.Env = env
	return run{status, out.String(), errOut.String()}
}

func TestProgram(t *testing.T) {
	author := func(k string) string { return map[string]string{op.EnvAuthorName: "Ada", op.EnvAuthorEmail: "a@x"}[k] }
	db := filepath.Join(t.TempDir(), "db")
	if err := os.MkdirAll(filepath.Join(db, ".stemma"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args   string
		status int
		out    string // what the output contains
		err    string // what standard error contains
	}{
		{"stemma do", 0, "by Ada\n", "hint: a hint\n"},
		{"stemma do -q", 0, "by Ada\n", ""},
		{"stemma --quiet do", 0, "by Ada\n", ""},
		{"stemma do --exit 1", 1, "by Ada\n", "hint"},
		{"stemma do --exit 7", 7, "", ""},
		{"dolt do --exit 7", 1, "", ""},
		{"/usr/bin/dolt do --exit 7", 1, "", ""},
		{"Dolt.EXE do --exit 7", 1, "", ""},
		{"stemma do --fail conflict", 4, "", "error: it is conflict\n"},
		{"stemma do --fail no-space", 8, "", "error: it is no-space\n"},
		{"dolt do --fail no-space", 1, "", "error: it is no-space\n"},
		{"stemma do -r json", 0, "by Ada\n", ""},
		{"stemma table do", 3, "", "is not a database\nrun: stemma init"},
		{"dolt table do", 1, "", "error: The current directory is not a valid dolt repository.\nrun: dolt init"},
		{"stemma -C " + db + " table do", 0, "in db by Ada\n", ""},
		{"stemma table do --data-dir " + db, 0, "in db by Ada\n", ""},
		{"stemma table --help", 0, "usage: stemma table <command>", ""},
		{"stemma table", 2, "   do            Do it to a table\n", ""},
		{"dolt table", 1, "Valid commands for dolt table are\n                  do - Do it to a table.\n", ""},
		{"stemma table od", 2, "", "error: od is not a command of stemma table; did you mean 'stemma table do'?\n"},
		{"stemma help table do", 0, "stemma table do - Do it to a table", ""},
		{"stemma help table", 0, "usage: stemma table <command>", ""},
		{"stemma remote x", 0, "by Ada", ""},
		{"stemma remote add x", 0, "by Ada", ""},
		{"stemma remote --help", 0, "COMMANDS\n   add           Add a place far away\n", ""},
		{"stemma do --version", 2, "", "do: --version stands before the command: stemma --version do"},
	} {
		got := runProgram(t, &Program{Env: author}, strings.Split(c.args, " ")...)
		if got.status != c.status || !strings.Contains(got.out, c.out) || !strings.Contains(got.err, c.err) || c.err == "" && strings.Contains(got.err, "error") {
			t.Errorf("%s: %+v, want %+v", c.args, got, c)
		}
	}
}

// Who makes commits without having said who they are is told so, once the work is done.
func TestAuthorHint(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, ".stemma"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got := runProgram(t, &Program{Dir: dir}, "stemma", "table", "do"); !strings.Contains(got.err, "to change that: stemma config --global --set user.name") {
		t.Errorf("%+v", got)
	}
	if got := runProgram(t, &Program{Dir: dir}, "stemma", "do"); strings.Contains(got.err, "user.name") {
		t.Errorf("a verb that needs no database: %+v", got)
	}
}

func TestOpen(t *testing.T) {
	var trace []string
	p := &Program{Open: func(_ context.Context, s op.Spec, scope *op.Scope) (func() error, error) {
		trace = append(trace, "open "+s.Name)
		scope.Author.Name = "opened"
		return func() error { trace = append(trace, "close"); return errs.New(errs.NoSpace, "close it") }, nil
	}}
	got := runProgram(t, p, "stemma", "do")
	if got.status != exitNoSpace || !strings.Contains(got.out, "by opened") || strings.Join(trace, ",") != "open do,close" {
		t.Errorf("%+v, %v", got, trace)
	}
	p = &Program{Open: func(context.Context, op.Spec, *op.Scope) (func() error, error) {
		return nil, errs.New(errs.Locked, "taken")
	}}
	if got := runProgram(t, p, "stemma", "do"); got.status != exitUnavailable || got.out != "" {
		t.Errorf("%+v", got)
	}
}

func TestCancel(t *testing.T) {
	var out bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	p := &Program{Args: []string{"stemma", "do", "--wait"}, Out: &out, Err: &out, Dir: t.TempDir(), Env: func(string) string { return t.Name() },
		Clock: clock.System{}, Specs: []op.Spec{op.Define[verb](op.Spec{Name: "do", Short: "Do it"})}}
	if got := p.Run(ctx); got != exitCanceled {
		t.Errorf("a cancelled verb exits with %d: %s", got, out.String())
	}
	if got, want := out.String(), "error: interrupted\n"; got != want {
		t.Errorf("a cancelled verb says %q, want %q", got, want)
	}
}

// cutting is an output that interrupts the program when it has been written to.
type cutting struct {
	bytes.Buffer
	cut func()
}

func (c *cutting) Write(b []byte) (int, error) {
	c.cut()
	return c.Buffer.Write(b)
}

// An answer that is being written ends when it is interrupted.
func TestCancelAnswer(t *testing.T) {
	for _, args := range [][]string{{"--rows"}, {"--rows", "-r", "csv"}, {"-r", "json", "--rows"}, {"--lines", "1000000"}} {
		ctx, cancel := context.WithCancel(t.Context())
		out := &cutting{cut: cancel}
		var errOut bytes.Buffer
		p := &Program{Args: append([]string{"stemma", "do"}, args...), Out: out, Err: &errOut, Dir: t.TempDir(), Env: func(string) string { return t.Name() },
			Clock: clock.System{}, Specs: []op.Spec{op.Define[streaming](op.Spec{Name: "do", Short: "Do it"})}}
		if got := p.Run(ctx); got != exitCanceled || errOut.String() != "error: interrupted\n" {
			t.Errorf("%q: a cancelled answer exits with %d: %s", args, got, errOut.String())
		}
		if out.Len() == 0 || out.Len() > 1<<20 {
			t.Errorf("%q: %d bytes were written", args, out.Len())
		}
	}
}

// beginBar begins work of which half is done when its bar is drawn.
func beginBar(t *testing.T, p *progress, b *bytes.Buffer) *task {
	t.Helper()
	b.Reset()
	x := p.Start("push", 1000, "bytes").(*task)
	x.Add(400)
	if b.String() != "" {
		t.Errorf("a bar at once: %q", b.String())
	}
	x.began = x.began.Add(-firstFrame)
	x.Add(100)
	if !strings.Contains(b.String(), "push") || !strings.Contains(b.String(), " 50% ") {
		t.Errorf("the bar after a while: %q", b.String())
	}
	return x
}

func TestProgress(t *testing.T) {
	var b bytes.Buffer
	if newProgress(&b, true) != nil || newProgress(nil, false) != nil {
		t.Error("progress that nobody sees")
	}
	p, ok := newProgress(&b, false).(*progress)
	if !ok {
		t.Fatal("no progress")
	}
	task := p.Start("import prices", 10, "rows")
	task.Add(10)
	task.Done(nil)
	if b.String() != "" {
		t.Errorf("quick work was told of: %q", b.String())
	}
	p.least = 0
	task = p.Start("import prices", 0, "rows")
	task.Add(1234)
	task.Done(nil)
	task.Done(nil)
	if !regexp.MustCompile(`^import prices: 1,234 rows in \d\.\d s \([0-9,]+ rows/s\)\n$`).MatchString(b.String()) {
		t.Errorf("%q", b.String())
	}
	b.Reset()
	p.Start("import prices", 10, "rows").Done(errors.New("line 3: 1 field, want 2"))
	if b.String() != "" {
		t.Errorf("work that failed is told of as done: %q", b.String())
	}
	// On a terminal: bars are drawn when a rate can be told, and cleared before the line.
	p.bars.Store(true)
	beginBar(t, p, &b).Done(nil)
	if s := b.String(); !regexp.MustCompile(`\r +\rpush: 0\.0 MB in .*\n$`).MatchString(s) {
		t.Errorf("%q", s)
	}
	beginBar(t, p, &b).Done(errors.New("x"))
	if s := b.String(); !regexp.MustCompile(`\r +\r$`).MatchString(s) || strings.Contains(s, "100%") {
		t.Errorf("%q", s)
	}
	for _, c := range []struct {
		n    int64
		unit string
		want string
	}{
		{0, "rows", "x: 2.0 s"}, {3_000_000, "bytes", "x: 3.0 MB in 2.0 s (1.5 MB/s)"}, {3_000_000, "rows", "x: 3,000,000 rows in 2.0 s (1,500,000 rows/s)"},
		{1, "commits", "x: 1 commit in 2.0 s"},
	} {
		if got := summary("x", c.n, c.unit, 2*time.Second); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
