//go:build unix

package ingest

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// gitSite is a repository of git.
type gitSite struct {
	t   *testing.T
	dir string
	n   int
}

func (g *gitSite) git(args ...string) string {
	g.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = g.dir
	g.n++
	at := fmt.Sprintf("2021-04-%02dT09:00:00+02:00", g.n)
	cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.org", "GIT_COMMITTER_NAME=Bob", "GIT_COMMITTER_EMAIL=bob@example.org",
		"GIT_AUTHOR_DATE="+at, "GIT_COMMITTER_DATE="+at, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	out, err := cmd.CombinedOutput()
	if err != nil {
		g.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func (g *gitSite) write(name, text string) {
	g.t.Helper()
	path := filepath.Join(g.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		g.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		g.t.Fatal(err)
	}
}

// lfs writes a file as Git LFS keeps it: a pointer, and the content beside.
func (g *gitSite) lfs(name, text string) {
	g.t.Helper()
	oid := fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
	g.write(name, fmt.Sprintf("version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n", oid, len(text)))
	g.write(".git/lfs/objects/"+oid[:2]+"/"+oid[2:4]+"/"+oid, text)
}

func TestGit(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		absent(t, "git")
	}
	g := &gitSite{t: t, dir: t.TempDir()}
	g.git("init", "-q", "-b", "main")
	g.write("README.md", "not a table\n")
	g.write("client.csv", "id,name\n1,a\n2,b\n")
	g.write("a/part.csv", "x\n1\n")
	g.write("b/part.csv", "x\n2\n")
	g.git("add", ".")
	g.git("commit", "-q", "-m", "first\n\nwith a body")
	g.lfs("client.csv", "id,name\n1,a\n2,B\n3,\"c\nd\"\n")
	g.git("add", ".")
	g.git("commit", "-q", "-m", "second")
	g.git("checkout", "-q", "-b", "side", "HEAD~1")
	g.write("labels.tsv", "id\tlabel\n1\tgood\n")
	g.git("add", ".")
	g.git("commit", "-q", "-m", "labels")
	g.git("checkout", "-q", "main")
	g.git("merge", "-q", "--no-ff", "-m", "merge labels", "side")
	g.write("client.csv", "id,name\n1,a\nx7,B\n")
	g.git("rm", "-q", "b/part.csv")
	g.git("add", ".")
	g.git("commit", "-q", "-m", "other ids")

	s := newSite(t)
	s.says(0, "5 commits, 5 of them new", "ingest", "git", g.dir, "--key", "id")
	s.query("select id, name from client", "id,name\n1,a\nx7,B\n")
	s.query("select id, hex(name) name from client as of 'HEAD~1'", "id,name\n1,61\n2,42\n3,630A64\n")
	s.query("select id, name from client as of 'HEAD~2~1'", "id,name\n1,a\n2,b\n")
	s.query("select * from labels", "id,label\n1,good\n")
	out := s.ok("ls")
	if !strings.Contains(out, "part") || strings.Contains(out, "README") {
		t.Error(out)
	}
	s.query("select from_id, to_id, diff_type from dolt_diff('HEAD~2', 'HEAD~1', 'labels')", "from_id,to_id,diff_type\n,1,added\n")
	s.query("select message, author, author_email, committer, date from dolt_log limit 1", "message,author,author_email,committer,date\nother ids,Ada,ada@example.org,Bob,2021-04-13 07:00:00.000000\n")
	s.query("select count(*) n from dolt_commit_ancestors where parent_index = 1", "n\n1\n")
	s.clean()

	// Only what is new comes again, and the schema of a file that still fits stays.
	s.says(0, "5 commits, 0 of them new", "ingest", "git", g.dir, "--key", "id")
	g.write("client.csv", "id,name\n1,a\n")
	g.git("add", ".")
	g.git("commit", "-q", "-m", "sixth")
	s.says(0, "6 commits, 1 of them new", "ingest", "git", g.dir, "--key", "id")
	s.query("select diff_type from dolt_diff('HEAD~1', 'HEAD', 'client')", "diff_type\nremoved\n")
	s.clean()

	// What cannot be read ends it, and leaves nothing.
	g.lfs("client.csv", "id,name\n")
	if err := os.RemoveAll(filepath.Join(g.dir, ".git/lfs")); err != nil {
		t.Fatal(err)
	}
	g.git("add", ".")
	g.git("commit", "-q", "-m", "gone")
	s.says(3, "client.csv: its content is in Git LFS and not here; fetch it with: git -C", "ingest", "git", g.dir, "--key", "id")
	s.query("select message from dolt_log limit 1", "message\nsixth\n")
	s.says(3, "is not the directory of a git repository", "ingest", "git", filepath.Dir(s.dir))
	s.says(2, "name the repository's directory", "ingest", "git")
	s.clean()
}

// A history that cannot be read to its end is continued where it stopped.
func TestGitContinued(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		absent(t, "git")
	}
	g := &gitSite{t: t, dir: t.TempDir()}
	g.git("init", "-q", "-b", "main")
	for i := 1; i <= 12; i++ {
		text := fmt.Sprintf("id,name\n1,name %d\n", i)
		if g.write("client.csv", text); i == 9 {
			g.lfs("client.csv", text)
		}
		g.git("add", ".")
		g.git("commit", "-q", "-m", fmt.Sprint("commit ", i))
	}
	objects := filepath.Join(g.dir, ".git", "lfs")
	if err := os.Rename(objects, objects+"-away"); err != nil {
		t.Fatal(err)
	}
	s := newSite(t)
	s.says(3, "its content is in Git LFS and not here", "ingest", "git", g.dir, "--key", "id")
	s.query("select count(*) n from dolt_log", "n\n1\n")
	s.ok("fsck")
	if err := os.Rename(objects+"-away", objects); err != nil {
		t.Fatal(err)
	}
	s.says(0, "12 commits, 4 of them new", "ingest", "git", g.dir, "--key", "id")
	s.query("select name from client as of 'HEAD~4'", "name\nname 8\n")
	s.query("select count(*) n from dolt_log", "n\n13\n")
	s.says(0, "12 commits, 0 of them new", "ingest", "git", g.dir, "--key", "id")
	s.clean()
}
