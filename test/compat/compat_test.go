package compat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/stemmadb/stemma/internal/cli"
	"github.com/stemmadb/stemma/internal/op"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"dolt": func() { os.Exit(cli.Main(&cli.Program{Version: "2.3.1", Specs: op.All()})) }})
}

// masks hide what differs from run to run.
var masks = []struct {
	re *regexp.Regexp
	by string
}{
	{regexp.MustCompile(`\x1b\[[0-9;]*m`), ""},
	{regexp.MustCompile(`\b[0-9a-v]{32}\b`), "<hash>"},
	{regexp.MustCompile(`\b[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d [+-]\d{4} \d{4}`), "<date>"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?( [+-]\d{4} UTC|Z)?( m=\S+)?`), "<time>"},
	{regexp.MustCompile(`(?m)^((?:---|\+\+\+) [ab]/.*) @ <hash>$`), "$1"}, // as earlier versions of Dolt wrote it
	{regexp.MustCompile(`(?m)[ \t]+$`), ""},
	{regexp.MustCompile(`\n+$`), "\n"},
}

// answer is what a command line wrote and how it ended.
type answer struct {
	status int
	out    string
	err    string // standard error, whose words are not compared
}

func (a answer) String() string { return fmt.Sprintf("[%d]\n%s", a.status, a.out) }

// shell runs command lines in a directory, in which the name dolt is a program.
type shell struct {
	dir, path, home string
}

func (s *shell) run(t *testing.T, line string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dir := s.dir
	if info, err := os.Stat(filepath.Join(dir, "db")); err == nil && info.IsDir() {
		dir = filepath.Join(dir, "db")
	}
	cmd := exec.CommandContext(ctx, "bash", "-c", line)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+s.path+string(os.PathListSeparator)+os.Getenv("PATH"), "HOME="+s.home, "STEMMA_HOME="+filepath.Join(s.home, ".stemma"),
		"TZ=UTC", "TERM=dumb", "DOLT_DISABLE_EVENT_FLUSH=1")
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", line, err)
	}
	text := out.String()
	for _, m := range masks {
		text = m.re.ReplaceAllString(text, m.by)
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return answer{cmd.ProcessState.ExitCode(), text, errOut.String()}
}

// newShell makes a directory in which the program, or the test's own when it is "", is called dolt.
func newShell(t *testing.T, program string) *shell {
	t.Helper()
	s := &shell{dir: t.TempDir(), home: t.TempDir()}
	if program == "" {
		p, err := exec.LookPath("dolt") // of testscript.Main
		if err != nil {
			t.Fatal(err)
		}
		s.path = filepath.Dir(p)
	} else {
		s.path = t.TempDir()
		abs, err := filepath.Abs(program)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(abs, filepath.Join(s.path, "dolt")); err != nil {
			t.Fatal(err)
		}
	}
	s.run(t, "dolt config --global --add user.name Ada")
	s.run(t, "dolt config --global --add user.email ada@example.com")
	return s
}

// step is a command line of a transcript.
type step struct {
	line    string
	prepare bool
	reason  string // why it differs from Dolt; "" when it must not
}

func read(t *testing.T, file string) []step {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var steps []step
	for _, line := range strings.Split(string(data), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		var s step
		if rest, ok := strings.CutPrefix(line, "~"); ok {
			s.reason, line, ok = strings.Cut(rest, "~")
			if !ok || s.reason == "" {
				t.Fatalf("%s: no reason in: %s", file, line)
			}
			line = strings.TrimSpace(line)
		}
		s.line, s.prepare = strings.CutPrefix(line, "@")
		steps = append(steps, s)
	}
	return steps
}

// mark begins a command line in a record.
const mark = "$$ "

// recorded is the answers of a record by their number.
func recorded(t *testing.T, file string, steps []step) []answer {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split("\n"+string(data), "\n"+mark)[1:]
	if len(parts) != len(steps) {
		t.Fatalf("%s has %d answers for %d command lines; UPDATE_RECORDS=1 with TEST_DOLT writes it anew", file, len(parts), len(steps))
	}
	out := make([]answer, len(steps))
	for i, p := range parts {
		line, rest, _ := strings.Cut(p, "\n")
		if line != steps[i].line {
			t.Fatalf("%s: answer %d is of %q and not of %q", file, i, line, steps[i].line)
		}
		status, text, _ := strings.Cut(rest, "\n")
		if _, err := fmt.Sscanf(status, "[%d]", &out[i].status); err != nil {
			t.Fatalf("%s: %q has no status", file, line)
		}
		if text != "" {
			out[i].out = text + "\n"
		}
	}
	return out
}

func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		t.Run(name, func(t *testing.T) {
			steps := read(t, file)
			record := strings.TrimSuffix(file, ".txt") + ".dolt"
			if dolt := os.Getenv("TEST_DOLT"); dolt != "" {
				theirs := newShell(t, dolt)
				var b strings.Builder
				for _, s := range steps {
					a := theirs.run(t, s.line)
					if s.prepare {
						a.out = "" // only its success counts
					}
					fmt.Fprintf(&b, "%s%s\n%s", mark, s.line, a)
				}
				if os.Getenv("UPDATE_RECORDS") != "" {
					if err := os.WriteFile(record, []byte(b.String()), 0o644); err != nil {
						t.Fatal(err)
					}
				} else if data, err := os.ReadFile(record); err != nil || string(data) != b.String() {
					t.Errorf("Dolt does not write what %s says: %v", record, err)
				}
			}
			want := recorded(t, record, steps)
			ours := newShell(t, "")
			for i, s := range steps {
				got := ours.run(t, s.line)
				same := got.status == want[i].status && (s.prepare || strings.TrimRight(got.out, "\n") == strings.TrimRight(want[i].out, "\n"))
				switch {
				case same && s.reason != "":
					t.Errorf("%s: does not differ from Dolt any more, although: %s", s.line, s.reason)
				case !same && s.reason == "":
					t.Errorf("%s\ngot %s%s\nDolt %s", s.line, got, got.err, want[i])
				}
			}
		})
	}
}
