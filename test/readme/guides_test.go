//go:build unix

package readme

import (
	"crypto/md5"
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// guide is a document whose commands are typed one after the other.
type guide struct {
	t    *testing.T
	home string
	name string
	next int // the block to come
	all  []block
}

func newGuide(t *testing.T, name string) *guide {
	g := &guide{t: t, home: t.TempDir(), name: name}
	for _, b := range blocks(t, filepath.Join("..", "..", "docs", name)) {
		if b.language == "console" {
			g.all = append(g.all, b)
		}
	}
	t.Cleanup(func() {
		if !t.Failed() && g.next != len(g.all) {
			t.Errorf("%d of the %d blocks of %s were typed", g.next, len(g.all), name)
		}
	})
	return g
}

func (g *guide) env() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + g.home, "TZ=UTC", "STEMMA_AUTHOR_NAME=Ada", "STEMMA_AUTHOR_EMAIL=ada@example.org"}
}

// directory makes one.
func (g *guide) directory(name string) string {
	g.t.Helper()
	dir := filepath.Join(g.home, name)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		g.t.Fatal(err)
	}
	return dir
}

// run runs a program.
func (g *guide) run(dir, name string, args ...string) {
	g.t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = dir, g.env()
	if out, err := cmd.CombinedOutput(); err != nil {
		g.t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

// block returns the block to come.
func (g *guide) block() block {
	g.t.Helper()
	if g.next == len(g.all) {
		g.t.Fatalf("%s has no block %d", g.name, g.next+1)
	}
	g.next++
	return g.all[g.next-1]
}

// typed types the commands of the block to come in one shell. Each has to succeed, and to print what stands below it: each line, up to an
// ellipsis and behind it, somewhere in what it printed.
func (g *guide) typed(dir string, replace ...string) {
	g.t.Helper()
	const mark = "\x00"
	b := g.block()
	var script strings.Builder
	var want [][]string
	for _, line := range strings.Split(strings.TrimRight(b.text, "\n"), "\n") {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			fmt.Fprintf(&script, "printf '%%b' '\\0000'\n%s\n", strings.NewReplacer(replace...).Replace(command))
			want = append(want, nil)
		} else {
			want[len(want)-1] = append(want[len(want)-1], line)
		}
	}
	cmd := exec.Command("bash", "-e", "-c", script.String())
	cmd.Dir, cmd.Env = dir, g.env()
	out, err := cmd.CombinedOutput()
	if err != nil {
		g.t.Fatalf("docs/%s line %d: %v\n%s\n%s", g.name, b.line, err, script.String(), out)
	}
	for i, said := range strings.Split(string(out), mark)[1:] {
		for _, line := range want[i] {
			rest := said
			for _, part := range strings.Split(line, "…") {
				_, after, ok := strings.Cut(rest, strings.TrimSpace(part))
				if !ok {
					g.t.Errorf("docs/%s, block at line %d: %q is not in\n%s", g.name, b.line, line, said)
				}
				rest = after
			}
		}
	}
}

// A database comes over from a Dolt server: that of STEMMA_TEST_DOLT, or this program's, which speaks the same.
func TestFromDolt(t *testing.T) {
	g := newGuide(t, "from-dolt.md")
	program := os.Getenv("STEMMA_TEST_DOLT")
	if program == "" {
		program = "stemma"
	}
	old := g.directory("old/labels")
	g.run(old, program, "init", "--name", "Ada", "--email", "ada@example.org", "-b", "main")
	g.run(old, program, "sql", "-q", `
create table batch (id int primary key, label varchar(20));
insert into batch values (1, 'good'), (2, 'bad');
call dolt_commit('-Am', 'first');
call dolt_checkout('-b', 'side');
update batch set label = 'better' where id = 1;
call dolt_commit('-Am', 'side');
call dolt_checkout('main');
insert into batch values (3, 'new');
call dolt_commit('-Am', 'third');
`)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
	ln.Close()
	words := strings.Fields(strings.TrimSuffix(strings.TrimPrefix(g.block().text, "$ dolt "), "&\n"))
	for i := range words {
		words[i] = strings.Replace(words[i], "3306", port, 1)
	}
	server := exec.Command(program, words...)
	server.Dir, server.Env = old, g.env()
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Process.Kill()
		server.Wait()
	})
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if conn, err := net.Dial("tcp", "localhost:"+port); err == nil {
			conn.Close()
			break
		}
		if time.Since(begin) > time.Minute {
			t.Fatal("the server does not answer")
		}
	}
	dir := g.directory("new/labels")
	g.typed(dir, "localhost:3306", "localhost:"+port)
	g.typed(dir)
	g.typed(dir)
}

// Histories of Git LFS and DVC come over, from what these keep in a repository of git.
func TestFromDVC(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	g := newGuide(t, "from-dvc.md")
	versions := []string{"id,price\n1,10\n2,20\n", "id,price\n1,10\n2,25\n", "id,price\n1,10\n2,25\n3,7\n"}
	git := func(dir string, args ...string) {
		g.run(dir, "git", append([]string{"-c", "user.name=Ada", "-c", "user.email=ada@example.org"}, args...)...)
	}
	write := func(text string, path ...string) {
		name := filepath.Join(path...)
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	lfs, dvc := g.directory("with-lfs"), g.directory("with-dvc")
	git(lfs, "init", "-q")
	git(dvc, "init", "-q")
	write("/cache\n", dvc, ".dvc", ".gitignore")
	for i, text := range versions {
		if i < 2 {
			oid := fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
			write(fmt.Sprintf("version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n", oid, len(text)), lfs, "prices.csv")
			write(text, lfs, ".git", "lfs", "objects", oid[:2], oid[2:4], oid)
			git(lfs, "add", ".")
			git(lfs, "commit", "-qm", []string{"first", "dearer"}[i])
		}
		sum := fmt.Sprintf("%x", md5.Sum([]byte(text)))
		write(fmt.Sprintf("outs:\n- md5: %s\n  size: %d\n  hash: md5\n  path: prices.csv\n", sum, len(text)), dvc, "prices.csv.dvc")
		write(text, dvc, ".dvc", "cache", "files", "md5", sum[:2], sum[2:])
		git(dvc, "add", ".")
		git(dvc, "commit", "-qm", fmt.Sprint("version ", i+1))
		git(dvc, "tag", fmt.Sprint("v", i+1))
	}
	g.typed(g.directory("from-lfs"))
	dir := g.directory("from-dvc")
	g.typed(dir)
	g.typed(dir)
}
