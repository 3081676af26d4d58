package op

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/vfs"
)

func places(t *testing.T) Settings {
	dir := t.TempDir()
	return Settings{Global: filepath.Join(dir, "home", "config"), Local: filepath.Join(dir, "db", ".stemma", "config")}
}

func config(t *testing.T, s Settings, line string) (*Result, error) {
	t.Helper()
	o, err := BindArgs(configSpec(), words(line))
	if err != nil {
		t.Fatal(err)
	}
	return o.Run(context.Background(), &Scope{Settings: s})
}

func TestConfig(t *testing.T) {
	s := places(t)
	for _, c := range []struct{ line, want string }{
		{"--list", ""},
		{"--global --set user.name Ada user.email ada@x", "Config successfully updated."},
		{"--local --add User.Name Bob", "Config successfully updated."},
		{"init.defaultBranch trunk", "Config successfully updated."},
		{"--get user.name", "Bob"},
		{"--get USER.NAME", "Bob"},
		{"--global user.name", "Ada"},
		{"--local --get user.name", "Bob"},
		{"user.email", "ada@x"},
		{"--list", "init.defaultbranch = trunk\nuser.name = Bob\nuser.email = ada@x\nuser.name = Ada"},
		{"--unset user.name nothing", "Config successfully updated."},
		{"--get user.name", "Ada"},
		{"--global --unset user.name", "Config successfully updated."},
		{"--get user.name", "exit 1"},
		{"--local --list", "init.defaultbranch = trunk"},
		{"--set a.b -1", "Config successfully updated."},
	} {
		r, err := config(t, s, c.line)
		got := ""
		switch {
		case err != nil:
			got = "error: " + err.Error()
		case r.ExitCode != 0:
			got = "exit 1"
		default:
			got = strings.Join(r.Lines, "\n")
		}
		if got != c.want {
			t.Errorf("config %s: %q, want %q", c.line, got, c.want)
		}
	}
	if v, ok, err := s.Get("a.b"); v != "-1" || !ok || err != nil {
		t.Errorf("a.b is %q, %v, %v", v, ok, err)
	}
	if b, err := s.DefaultBranch(); b != "trunk" || err != nil {
		t.Errorf("default branch %q, %v", b, err)
	}
	if b, err := (Settings{}).DefaultBranch(); b != "main" || err != nil {
		t.Errorf("default branch without settings %q, %v", b, err)
	}
	if _, err := os.Stat(s.Global + ".tmp"); !os.IsNotExist(err) {
		t.Errorf("the file that was made stays: %v", err)
	}
}

func TestConfigErrors(t *testing.T) {
	s := places(t)
	for _, c := range []struct {
		s    Settings
		line string
		code errs.Code
		want string
	}{
		{s, "", errs.Invalid, "exactly one of"},
		{s, "--get --set x", errs.Invalid, "exactly one of"},
		{s, "--global --local --list", errs.Invalid, "exclude each other"},
		{s, "--set x", errs.Invalid, "wrong number of arguments"},
		{s, "--get", errs.Invalid, "wrong number of arguments"},
		{s, "--unset", errs.Invalid, "wrong number of arguments"},
		{s, "--list x", errs.Invalid, "wrong number of arguments"},
		{s, "--set a_b x", errs.Invalid, "cannot be a name"},
		{Settings{Global: s.Global}, "--set a b", errs.NotFound, "use --global"},
		{Settings{Local: s.Local}, "--global --set a b", errs.NotFound, "STEMMA_HOME"},
	} {
		if _, err := config(t, c.s, c.line); !errs.Is(err, c.code) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("config %s: %v (%v)", c.line, err, errs.CodeOf(err))
		}
	}
	if err := os.MkdirAll(filepath.Dir(s.Global), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.Global, []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := config(t, s, "--global --set a b"); !errs.Is(err, errs.Invalid) {
		t.Errorf("a broken file: %v", err)
	}
	if b, err := os.ReadFile(s.Global); err != nil || string(b) != "{" {
		t.Errorf("a broken file was changed to %q, %v", b, err)
	}
	if _, err := os.Stat(filepath.Dir(s.Local)); !os.IsNotExist(err) {
		t.Errorf("a refused change made a directory: %v", err)
	}
}

func TestSettingsLock(t *testing.T) {
	s := places(t)
	if err := os.MkdirAll(filepath.Dir(s.Global), 0o755); err != nil {
		t.Fatal(err)
	}
	// As a process leaves them that is killed while it writes.
	for _, end := range []string{".lock", ".tmp"} {
		if err := os.WriteFile(s.Global+end, []byte("1\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	lock, err := vfs.OS{}.Lock(s.Global + ".lock")
	if err != nil {
		t.Fatal(err)
	}
	if err := changeSettings(s.Global, func(map[string]string) {}); !errs.Is(err, errs.Locked) || !strings.Contains(err.Error(), s.Global) {
		t.Errorf("a lock that another has: %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.Global, []byte("null"), 0o644); err != nil {
		t.Fatal(err)
	}
	const writers = 20
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			if err := changeSettings(s.Global, func(m map[string]string) { m[strings.Repeat("k", i+1)] = "v" }); err != nil {
				t.Errorf("writer %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if m, err := readSettings(s.Global); err != nil || len(m) != writers {
		t.Errorf("%d settings of %d writers, %v", len(m), writers, err)
	}
}

func TestIdentity(t *testing.T) {
	s := places(t)
	env := map[string]string{}
	f := Fallback{Env: func(k string) string { return env[k] }, Login: "ada", Full: "Ada L", Host: "box"}
	check := func(want Author, hinted bool) {
		t.Helper()
		a, hint, err := s.Identity(f)
		if err != nil || a != want || (hint != "") != hinted {
			t.Errorf("%v, hint %q, %v; want %v", a, hint, err, want)
		}
	}
	check(Author{"Ada L", "ada@box"}, true)
	env[EnvAuthorName] = "Env"
	check(Author{"Env", "ada@box"}, true)
	env[EnvAuthorEmail] = "env@x"
	check(Author{"Env", "env@x"}, false)
	if _, err := config(t, s, "--global user.name Global"); err != nil {
		t.Fatal(err)
	}
	check(Author{"Global", "env@x"}, false)
	if _, err := config(t, s, "--local --set user.name Local user.email l@x"); err != nil {
		t.Fatal(err)
	}
	check(Author{"Local", "l@x"}, false)
	if got := (Author{"A", "b"}).String(); got != "A <b>" {
		t.Error(got)
	}
	f = Fallback{}
	s = Settings{}
	check(Author{"unknown", "unknown@localhost"}, true)
}

func TestVersion(t *testing.T) {
	for _, c := range []struct {
		line string
		dolt bool
		want string
	}{
		{"", false, "stemma version 1.2.3"},
		{"", true, "dolt version " + DoltVersion},
		{"--verbose", false, "database storage format: stemma/1"},
		{"-v", true, "stemma version 1.2.3"},
	} {
		o, err := BindArgs(versionSpec(), words(c.line))
		if err != nil {
			t.Fatal(err)
		}
		r, err := o.Run(context.Background(), &Scope{Dolt: c.dolt, Version: "1.2.3"})
		if err != nil || !strings.Contains(strings.Join(r.Lines, "\n"), c.want) {
			t.Errorf("version %s: %v, %v", c.line, r, err)
		}
	}
}

func TestScope(t *testing.T) {
	s := &Scope{}
	task := s.Start("nothing", 1, "")
	task.Add(1)
	task.Done(nil)
	if s.Program() != "stemma" || (&Scope{Dolt: true}).Program() != "dolt" {
		t.Error("program names")
	}
}
