package cli

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// process is a stemma that runs beside the test.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	err bytes.Buffer
}

func command(dir string, args ...string) *exec.Cmd {
	cmd := exec.Command("stemma", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "STEMMA_HOME="+filepath.Join(dir, "..", "home"), "STEMMA_AUTHOR_NAME=Ada", "STEMMA_AUTHOR_EMAIL=a@x")
	return cmd
}

func stemma(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := command(dir, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("stemma %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// killAfter starts a command, kills it after a while, and tells whether it had ended before, without an error.
func killAfter(t *testing.T, cmd *exec.Cmd, after time.Duration) (ended bool) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			t.Fatalf("%q: %v", cmd.Args, err)
		}
		return true
	case <-time.After(after):
		if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
		<-done
		return false
	}
}

// start starts a program and leaves its standard input open.
func start(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	p := &process{cmd: command(dir, args...)}
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.in, p.out, p.cmd.Stderr = in, bufio.NewReader(out), &p.err
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			p.cmd.Process.Kill()
			p.cmd.Wait()
		}
	})
	return p
}

// say writes a line.
func (p *process) say(t *testing.T, line string) {
	t.Helper()
	if _, err := io.WriteString(p.in, line+"\n"); err != nil {
		t.Fatalf("write %q: %v\n%s", line, err, p.err.String())
	}
}

// hear reads lines until one is the wanted.
func (p *process) hear(t *testing.T, want string) {
	t.Helper()
	for {
		line, err := p.out.ReadString('\n')
		if err != nil {
			t.Fatalf("wait for %q: %v\n%s", want, err, p.err.String())
		}
		if strings.TrimSpace(line) == want {
			return
		}
	}
}

func (p *process) end(t *testing.T) {
	t.Helper()
	p.in.Close()
	if err := p.cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, p.err.String())
	}
}

// cpu is the time that the process has worked; 0 where the system does not tell.
func (p *process) cpu(t *testing.T) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if errors.Is(err, os.ErrNotExist) {
		return 0
	}
	var user, system int64
	_, rest, _ := strings.Cut(string(stat), ") ")
	f := strings.Fields(rest)
	if err == nil && len(f) > 12 {
		_, err = fmt.Sscan(f[11]+" "+f[12], &user, &system)
	}
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

func newDatabase(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "db")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	stemma(t, dir, "init")
	return dir
}

// A session of SQL owns the database; another process's verbs and statements are done by it, and its session stays.
func TestShellOwns(t *testing.T) {
	dir := newDatabase(t)
	p := start(t, dir, "sql", "-r", "csv")
	p.say(t, "create table t (id int primary key); select 'ready' as a;")
	p.hear(t, "ready")
	stemma(t, dir, "commit", "-Am", "by another process")
	stemma(t, dir, "sql", "-q", "insert into t values (1)")
	p.say(t, "select count(*) as n from t; select message from dolt_log limit 1;")
	p.hear(t, "1")
	p.hear(t, "by another process")
	stemma(t, dir, "branch", "b")
	stemma(t, dir, "checkout", "b") // moves the directory, not the session
	p.say(t, "select active_branch();")
	p.hear(t, "main")
	if out := stemma(t, dir, "sql", "-r", "csv", "-q", "select active_branch()"); !strings.Contains(out, "\nb\n") {
		t.Errorf("a new session is on %q", out)
	}
	p.end(t)
	if out := stemma(t, dir, "status"); !strings.Contains(out, "On branch b") {
		t.Error(out)
	}
}

// What a verb reads from standard input comes to the process that owns the database.
func TestInputForOwner(t *testing.T) {
	dir := newDatabase(t)
	p := start(t, dir, "sql", "-r", "csv")
	p.say(t, "create table t (id int primary key, s varchar(9)); select 'ready' as a;")
	p.hear(t, "ready")
	for _, args := range [][]string{{"-u", "t", "-"}, {"-u", "t"}, {"-u", "--continue", "t"}} {
		cmd := command(dir, append([]string{"table", "import"}, args...)...)
		cmd.Stdin = strings.NewReader("id,s\n1,a\n2,NA\n" + strings.Repeat("3,b\n", 100_000))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
	}
	cmd := command(dir, "table", "import", "-u", "--null", "NA,?", "t")
	cmd.Stdin = strings.NewReader("id,s\n1,?\n2,NA\n3,\"NA\"\nx,b\n")
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "standard input line 5") {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd = command(dir, "table", "import", "-u", "--null", "NA,?", "t")
	cmd.Stdin = strings.NewReader("id,s\n1,?\n2,NA\n3,\"NA\"\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p.say(t, "select id, coalesce(s, 'null') as s from t;")
	p.hear(t, "1,null")
	p.hear(t, "2,null")
	p.hear(t, "3,NA")
	p.end(t)
	left, err := filepath.Glob(filepath.Join(os.TempDir(), "stemma-input-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %q (%v)", left, err)
	}
}

// A load beside an owner is done by the process that was asked for it, whose packs the owner takes; what only the owner can do it does.
func TestLoadBeside(t *testing.T) {
	dir := newDatabase(t)
	p := start(t, dir, "sql", "-r", "csv")
	p.say(t, "create table counted (id int primary key auto_increment, s text); select 'ready' as a;")
	p.hear(t, "ready")
	var b bytes.Buffer
	b.WriteString("id,s\n")
	const rows = 200000
	for i := range rows {
		fmt.Fprintf(&b, "%d,row %d is like no other %x\n", i, i, i*7919)
	}
	file := filepath.Join(dir, "..", "big.csv")
	if err := os.WriteFile(file, b.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	begin := p.cpu(t)
	cmd := command(dir, "table", "import", "--pk", "id", "-c", "big", file)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	loader := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	owner := p.cpu(t) - begin
	t.Logf("the owner worked for %v, the loader for %v", owner, loader)
	if owner > loader/4 {
		t.Error("the owner has to do too much")
	}
	p.say(t, "select count(*) as n, sum(id) as s from big;")
	p.hear(t, fmt.Sprintf("%d,%d", rows, rows*(rows-1)/2))
	cmd = command(dir, "table", "import", "-u", "big", "-") // of standard input
	cmd.Stdin = strings.NewReader("id,s\n1,new\n-1,more\n")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "Additions: 1, Modifications: 1") {
		t.Fatalf("%v\n%s", err, out)
	}
	// Values of AUTO_INCREMENT are the owner's to give, also for rows of standard input.
	cmd = command(dir, "table", "import", "-a", "counted", "-")
	cmd.Stdin = strings.NewReader("s\na\nb\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p.say(t, "insert into counted (s) values ('c'); select max(id) as m, count(*) as n from counted;")
	p.hear(t, "3,3")
	p.end(t)
	left, err := os.ReadDir(filepath.Join(dir, ".stemma", "tmp"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %q (%v)", left, err)
	}
	stemma(t, dir, "fsck")
}

// A load that is killed beside an owner leaves nothing behind the owner's end, and no rows.
func TestLoadKilled(t *testing.T) {
	dir := newDatabase(t)
	p := start(t, dir, "sql", "-r", "csv")
	p.say(t, "create table t (id int primary key, s text); select 'ready' as a;")
	p.hear(t, "ready")
	temp := filepath.Join(dir, ".stemma", "tmp")
	cmd := command(dir, "table", "import", "-a", "t", "-")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(in, "id,s\n1,a\n"); err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		if there, err := filepath.Glob(filepath.Join(temp, "load-*", "stemma-input-*")); err == nil && len(there) == 1 {
			break
		}
		if time.Since(begin) > 20*time.Second {
			t.Fatal("the load does not begin")
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	p.say(t, "select count(*) as n from t;")
	p.hear(t, "0")
	p.end(t)
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q (%v)", left, err)
	}
}

// The owner is killed: what was acknowledged is there, and the next process is the owner.
func TestOwnerKilled(t *testing.T) {
	dir := newDatabase(t)
	p := start(t, dir, "sql", "-r", "csv")
	p.say(t, "create table t (id int primary key); select 'ready' as a;")
	p.hear(t, "ready")
	client := start(t, dir, "sql", "-r", "csv")
	client.say(t, "insert into t values (1); select 'steady' as a;")
	client.hear(t, "steady")
	p.say(t, "start transaction; insert into t values (2); select 'go' as a;")
	p.hear(t, "go")
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.cmd.Wait()
	client.say(t, "select 1;") // its connection is gone: a script ends
	if err := client.cmd.Wait(); err == nil {
		t.Error("a script went on without its owner")
	}
	begin := time.Now()
	if out := stemma(t, dir, "sql", "-r", "csv", "-q", "select count(*) from t"); out != "count(*)\n1\n" {
		t.Errorf("%q", out)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("the next owner took %v", took)
	}
}

// Many processes at once commit to one directory: each is the owner or is served by the one that is.
func TestManyProcesses(t *testing.T) {
	dir := newDatabase(t)
	stemma(t, dir, "sql", "-q", "create table t (id int primary key)")
	stemma(t, dir, "commit", "-Am", "table")
	const n = 12
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() {
			args := []string{"sql", "-q", "insert into t values (" + string(rune('0'+i%10)) + string(rune('0'+i/10)) + ")"}
			if i%3 == 0 {
				args = []string{"commit", "--allow-empty", "-m", "at once"}
			}
			if out, err := command(dir, args...).CombinedOutput(); err != nil {
				t.Errorf("%q: %v\n%s", args, err, out)
			}
		})
	}
	wait.Wait()
	if out := stemma(t, dir, "sql", "-r", "csv", "-q", "select count(*) from t"); out != "count(*)\n8\n" {
		t.Errorf("%q", out)
	}
	if out := stemma(t, dir, "sql", "-r", "csv", "-q", "select count(*) from dolt_log where message = 'at once'"); out != "count(*)\n4\n" {
		t.Errorf("%q", out)
	}
}
