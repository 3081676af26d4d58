package release

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// tags are the platforms of wheels, as pip has them.
var tags = map[string]string{
	"linux-amd64": "manylinux2014_x86_64.manylinux_2_17_x86_64.musllinux_1_1_x86_64", "linux-arm64": "manylinux2014_aarch64.manylinux_2_17_aarch64.musllinux_1_1_aarch64",
	"darwin-amd64": "macosx_12_0_x86_64", "darwin-arm64": "macosx_12_0_arm64", "windows-amd64": "win_amd64", "windows-arm64": "win_arm64",
}

const host = runtime.GOOS + "-" + runtime.GOARCH

// built is the directory of the release: that of STEMMA_RELEASE_DIR, which has every platform, or one for this platform, built once.
var built = sync.OnceValues(func() (string, error) {
	if dir := os.Getenv("STEMMA_RELEASE_DIR"); dir != "" {
		return dir, nil
	}
	dir, err := os.MkdirTemp("", "stemma-release")
	if err != nil {
		return "", err
	}
	made = dir
	out, err := exec.Command(filepath.Join("..", "..", "release", "build.sh"), "-o", dir, runtime.GOOS+"/"+runtime.GOARCH).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("release/build.sh: %w\n%s", err, out)
	}
	return dir, nil
})

// made is the directory that is removed after the tests.
var made string

func TestMain(m *testing.M) {
	status := m.Run()
	if made != "" {
		os.RemoveAll(made)
	}
	os.Exit(status)
}

func release(t *testing.T) string {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("releases are built on Linux")
	}
	dir, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// version is that of the release, from the name of the client's wheel.
func version(t *testing.T, dir string) string {
	t.Helper()
	found, _ := filepath.Glob(filepath.Join(dir, "stemma_db-*-py3-none-any.whl"))
	if len(found) != 1 {
		t.Fatalf("%d wheels of the client", len(found))
	}
	return strings.Split(filepath.Base(found[0]), "-")[1]
}

// Every file of the release has its checksum, every platform its archive and its wheel, both with the same program, which is of that platform.
func TestFiles(t *testing.T) {
	dir := release(t)
	v := version(t, dir)
	sums := map[string]string{}
	b, err := os.ReadFile(filepath.Join(dir, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		sum, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		if !ok {
			t.Fatalf("SHA256SUMS: %q", line)
		}
		sums[name] = sum
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() == "SHA256SUMS" {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%x", sha256.Sum256(b)); got != sums[e.Name()] {
			t.Errorf("%s: SHA-256 %s, want %q", e.Name(), got, sums[e.Name()])
		}
		delete(sums, e.Name())
	}
	for name := range sums {
		t.Errorf("%s has a checksum, but is not there", name)
	}
	want := []string{host}
	if os.Getenv("STEMMA_RELEASE_DIR") != "" {
		want = want[:0]
		for p := range tags {
			want = append(want, p)
		}
		slices.Sort(want)
	}
	for _, p := range want {
		top := "stemma-" + v + "-" + p
		program, suffix := "stemma", ".tar.gz"
		if strings.HasPrefix(p, "windows") {
			program, suffix = "stemma.exe", ".zip"
		}
		files := unpack(t, filepath.Join(dir, top+suffix))
		for _, name := range []string{program, "LICENSE", "README.md", "CHANGELOG.md", "THIRD_PARTY_LICENSES"} {
			if len(files[top+"/"+name]) == 0 {
				t.Errorf("%s has no %s", top, name)
			}
		}
		if !bytes.Contains(files[top+"/THIRD_PARTY_LICENSES"], []byte("go-mysql-server")) {
			t.Errorf("%s: the licences do not name what is linked", top)
		}
		wheel := unpack(t, filepath.Join(dir, "stemma_db_bin-"+v+"-py3-none-"+tags[p]+".whl"))
		if !bytes.Equal(wheel["stemma_db_bin-"+v+".data/scripts/"+program], files[top+"/"+program]) {
			t.Errorf("%s: the wheel has another program than the archive", p)
		}
		if got := format(files[top+"/"+program]); got != p {
			t.Errorf("%s: the program is of %s", p, got)
		}
	}
}

// unpack returns the files of an archive by their names.
func unpack(t *testing.T, name string) map[string][]byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	if !strings.HasSuffix(name, ".tar.gz") {
		z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, f := range z.File {
			r, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			if files[f.Name], err = io.ReadAll(r); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		return files
	}
	g, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	for r := tar.NewReader(g); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if h.Uid != 0 || h.Mode&0o022 != 0 {
			t.Errorf("%s: %s belongs to %d and has mode %o", name, h.Name, h.Uid, h.Mode)
		}
		if files[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
}

// format is the platform that a program is for, from its headers.
func format(b []byte) string {
	r := bytes.NewReader(b)
	if f, err := elf.NewFile(r); err == nil {
		for _, s := range f.Progs {
			if s.Type == elf.PT_INTERP {
				return "linux, but not static"
			}
		}
		return "linux-" + map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64"}[f.Machine]
	}
	if f, err := macho.NewFile(r); err == nil {
		return "darwin-" + map[macho.Cpu]string{macho.CpuAmd64: "amd64", macho.CpuArm64: "arm64"}[f.Cpu]
	}
	if f, err := pe.NewFile(r); err == nil {
		return "windows-" + map[uint16]string{pe.IMAGE_FILE_MACHINE_AMD64: "amd64", pe.IMAGE_FILE_MACHINE_ARM64: "arm64"}[f.Machine]
	}
	return "no platform"
}

// user is somebody with an empty home directory and only the system's programs on PATH.
type user struct {
	t    *testing.T
	home string
	path string
	more []string
}

func newUser(t *testing.T) *user { return &user{t: t, home: t.TempDir(), path: "/usr/bin:/bin"} }

// run runs a command as the user; status is what it exits with.
func (u *user) run(name string, args ...string) (status int, out string) {
	u.t.Helper()
	program := name
	if !filepath.IsAbs(name) {
		for _, dir := range filepath.SplitList(u.path) {
			if p := filepath.Join(dir, name); program == name {
				if s, err := os.Stat(p); err == nil && s.Mode()&0o111 != 0 {
					program = p
				}
			}
		}
	}
	cmd := exec.Command(program, args...)
	cmd.Dir = u.home
	cmd.Env = append([]string{"HOME=" + u.home, "PATH=" + u.path, "TMPDIR=" + u.t.TempDir(), "SHELL=/bin/bash"}, u.more...)
	b, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		u.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(b)
}

func (u *user) must(name string, args ...string) string {
	u.t.Helper()
	status, out := u.run(name, args...)
	if status != 0 {
		u.t.Fatalf("%s %q exits with %d:\n%s", name, args, status, out)
	}
	return out
}

// install.sh puts the program into an empty home, from a directory and from a server, and says what to do with PATH.
func TestInstallScript(t *testing.T) {
	dir := release(t)
	v := version(t, dir)
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer server.Close()
	script := filepath.Join(dir, "install.sh")
	for _, c := range []struct {
		name, bin string
		args      []string
		env       []string
	}{
		{"beside the script", ".local/bin", nil, nil},
		{"file URL", ".local/bin", []string{"--from", "file://" + dir}, nil},
		{"server", ".local/bin", []string{"--from", server.URL + "/"}, nil},
		{"prefix", "opt/bin", []string{"--prefix", "opt"}, nil},
		{"environment", "else where/bin", nil, []string{"PREFIX=else where", "STEMMA_RELEASE=" + server.URL}},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := newUser(t)
			u.more = c.env
			out := u.must("sh", append([]string{script}, c.args...)...)
			if !strings.Contains(out, "stemma version "+v+" is installed in ") || !strings.Contains(out, "export PATH=") {
				t.Errorf("install.sh says\n%s", out)
			}
			u.path = filepath.Join(u.home, c.bin) + ":" + u.path
			if out := u.must("stemma", "version"); out != "stemma version "+v+"\n" {
				t.Errorf("version: %q", out)
			}
			if c.name != "server" {
				return
			}
			// Over itself, on PATH now, and by a pipe, as from curl; then it does what programs of that name do.
			if out := u.must("sh", "-c", "cat '"+script+"' | sh -s -- --dolt --from "+server.URL); strings.Contains(out, "PATH") {
				t.Errorf("install.sh, on PATH, says\n%s", out)
			}
			u.must("sh", "-c", "mkdir db && cd db && stemma init && stemma sql -q 'create table t (a int primary key); insert into t values (1)' && stemma fsck && dolt status")
		})
	}
}

// What goes wrong is said in one sentence, and nothing is installed.
func TestInstallScriptRefuses(t *testing.T) {
	dir := release(t)
	v := version(t, dir)
	damaged := t.TempDir()
	archive := "stemma-" + v + "-" + host + ".tar.gz"
	for _, name := range []string{"SHA256SUMS", archive, "install.sh"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if name == archive {
			b[len(b)/2] ^= 1
		}
		if err := os.WriteFile(filepath.Join(damaged, name), b, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	uname := t.TempDir()
	if err := os.WriteFile(filepath.Join(uname, "uname"), []byte("#!/bin/sh\ncase $1 in -s) echo Plan9 ;; *) echo mips ;; esac\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, path, want string
		args             []string
	}{
		{"damaged", "", `is not what was released`, nil},
		{"no release", "", `there is no file /nowhere/SHA256SUMS`, []string{"--from", "/nowhere"}},
		{"not on the server", "", `SHA256SUMS cannot be fetched`, []string{"--from", server.URL}},
		{"ftp", "", `ftp://example.com is not a URL that can be fetched`, []string{"--from", "ftp://example.com"}},
		{"platform", uname + ":", `there is no stemma for Plan9`, nil},
		{"argument", "", `unknown argument --form`, []string{"--form", "x"}},
		{"no value", "", `--from has no value`, []string{"--from"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := newUser(t)
			u.path = c.path + u.path
			status, out := u.run("sh", append([]string{filepath.Join(damaged, "install.sh")}, c.args...)...)
			if status != 1 || !regexp.MustCompile(c.want).MatchString(out) {
				t.Errorf("exits with %d:\n%s", status, out)
			}
			if left, err := os.ReadDir(u.home); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v %v", left, err)
			}
		})
	}
}

// withPip is a user who has a fresh virtual environment, first on PATH, and reaches packages as this machine does.
func withPip(t *testing.T) *user {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3")
	}
	if exec.Command(python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))").Run() != nil {
		t.Skip("the package needs Python 3.11")
	}
	cache, err := exec.Command(python, "-m", "pip", "cache", "dir").Output()
	if err != nil {
		t.Skip("there is no pip")
	}
	u := newUser(t)
	u.more = []string{"PIP_CACHE_DIR=" + strings.TrimSpace(string(cache))}
	for _, e := range os.Environ() { // how this machine reaches packages
		if name, _, _ := strings.Cut(strings.ToUpper(e), "="); strings.HasPrefix(name, "PIP_") || strings.Contains(name, "CERT") || strings.HasSuffix(name, "PROXY") {
			u.more = append(u.more, e)
		}
	}
	venv := filepath.Join(u.home, "venv")
	u.must(python, "-m", "venv", venv)
	u.path = filepath.Join(venv, "bin") + ":" + u.path
	return u
}

// works has the user call the program, and write and read a table in Python.
func (u *user) works(v string) {
	u.t.Helper()
	if out := u.must("stemma", "version"); out != "stemma version "+v+"\n" {
		u.t.Errorf("version: %q", out)
	}
	out := u.must("python", "-c", `
import stemma
with stemma.connect("db", create=True, author="Ada <ada@example.org>") as repo:
    repo.write({"id": [1, 2], "x": ["a", None]}, "t", primary_key="id", message="two rows")
    print(stemma.__version__, len(repo.log()), repo.read_arrow("t", "main").to_pylist())
`)
	if want := v + " 2 [{'id': 1, 'x': 'a'}, {'id': 2, 'x': None}]\n"; out != want {
		u.t.Errorf("Python says %q, want %q", out, want)
	}
}

// pip installs client and program from the release into a fresh virtual environment; they write and read a table.
func TestPip(t *testing.T) {
	dir := release(t)
	v := version(t, dir)
	u := withPip(t)
	u.must("pip", "install", "--quiet", "--find-links", dir, "stemma-db[server]=="+v)
	u.works(v)
}

// Where there is Go, `pip install ./python` in a source tree builds the program into the package, which works also when it can be edited.
func TestPipSource(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the paths are a Unix system's")
	}
	u := withPip(t)
	goroot, err := exec.Command("go", "env", "GOROOT", "GOCACHE", "GOMODCACHE", "GOPROXY").Output()
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(string(goroot))
	if len(words) != 4 {
		t.Fatalf("go env: %q", goroot)
	}
	u.path += ":" + filepath.Join(words[0], "bin")
	// What is compiled already is taken from this machine's caches; the home is empty all the same.
	u.more = append(u.more, "GOCACHE="+words[1], "GOMODCACHE="+words[2], "GOPROXY="+words[3])
	source, err := filepath.Abs(filepath.Join("..", "..", "python"))
	if err != nil {
		t.Fatal(err)
	}
	v := strings.Fields(u.must("python", "-c", "import runpy; print(runpy.run_path("+fmt.Sprintf("%q", filepath.Join(source, "src", "stemma", "_version.py"))+")['__version__'])"))[0]
	for _, args := range [][]string{{source}, {"-e", source}} {
		u.must("pip", append([]string{"install", "--quiet"}, args...)...)
		u.works(v)
		u.must("rm", "-r", filepath.Join(u.home, "db"))
		where := u.must("python", "-c", "import stemma; print(stemma.__file__)")
		if editable := len(args) > 1; strings.HasPrefix(where, source) != editable {
			t.Errorf("%v: the package is at %s", args, where)
		}
		u.must("pip", "uninstall", "--quiet", "--yes", "stemma-db")
		if _, err := os.Stat(filepath.Join(u.home, "venv", "bin", "stemma")); err == nil {
			t.Errorf("%v: the program is left behind", args)
		}
	}
}
