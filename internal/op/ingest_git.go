package op

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/ingest"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
	"github.com/stemmadb/stemma/internal/vfs"
)

// gitRepo is a repository of git, read by git's own program.
type gitRepo struct {
	dir string
	lfs string // where the objects of Git LFS are
}

// gitCommit is a commit of git's.
type gitCommit struct {
	hash              string
	parents           []string
	author, committer history.Signature
	message           string
}

// gitFile is a file of a commit.
type gitFile struct{ path, blob string }

// openGit finds a repository.
func openGit(ctx context.Context, dir string) (*gitRepo, error) {
	g := &gitRepo{dir: dir}
	if _, err := exec.LookPath("git"); err != nil {
		return nil, errs.New(errs.NotFound, "ingest git: the program git is not installed")
	}
	common, err := g.output(ctx, "rev-parse", "--git-common-dir")
	if err != nil {
		return nil, errs.New(errs.NotFound, "ingest git: %s is not the directory of a git repository", dir)
	}
	at := strings.TrimSpace(string(common))
	if !filepath.IsAbs(at) {
		at = filepath.Join(dir, at)
	}
	g.lfs = filepath.Join(at, "lfs", "objects")
	return g, nil
}

func (g *gitRepo) command(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "git", append([]string{"-C", g.dir, "-c", "core.quotePath=false"}, args...)...)
}

// output runs git.
func (g *gitRepo) output(ctx context.Context, args ...string) ([]byte, error) {
	cmd := g.command(ctx, args...)
	var bad bytes.Buffer
	cmd.Stderr = &bad
	out, err := cmd.Output()
	if err != nil {
		return nil, errs.New(errs.Invalid, "git %s: %w: %s", args[0], err, strings.TrimSpace(bad.String()))
	}
	return out, nil
}

// commits are those that HEAD can reach, parents first.
func (g *gitRepo) commits(ctx context.Context) ([]*gitCommit, error) {
	const format = "%H%x00%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%B%x00%x01"
	out, err := g.output(ctx, "log", "--reverse", "--topo-order", "-z", "--format="+format, "HEAD")
	if err != nil {
		return nil, err
	}
	var all []*gitCommit
	for _, rec := range bytes.Split(out, []byte("\x00\x01\x00")) {
		f := strings.Split(strings.TrimSuffix(string(rec), "\x00\x01"), "\x00")
		if len(f) < 9 {
			continue
		}
		c := &gitCommit{hash: f[0], parents: strings.Fields(f[1]), message: strings.TrimSpace(f[8])}
		for i, sig := range []*history.Signature{&c.author, &c.committer} {
			at, err := time.Parse(time.RFC3339, f[4+3*i])
			if err != nil {
				return nil, errs.New(errs.Invalid, "commit %s: its time %s cannot be read", c.hash, f[4+3*i])
			}
			*sig = history.Signature{Name: f[2+3*i], Email: f[3+3*i], Time: at}
		}
		all = append(all, c)
	}
	return all, nil
}

// files are the files of rows that a commit has.
func (g *gitRepo) files(ctx context.Context, commit string) ([]gitFile, error) {
	out, err := g.output(ctx, "ls-tree", "-r", "-z", commit)
	if err != nil {
		return nil, err
	}
	var files []gitFile
	for _, e := range strings.Split(string(out), "\x00") {
		head, name, ok := strings.Cut(e, "\t")
		f := strings.Fields(head)
		if !ok || len(f) != 3 || f[1] != "blob" || f[0] == "120000" {
			continue
		}
		if ingest.HasType(name) && !strings.HasSuffix(name, ".txt") && !strings.HasSuffix(name, ".json") {
			files = append(files, gitFile{name, f[2]})
		}
	}
	return files, nil
}

// lfsPointer begins the files that stand for those in Git LFS.
var lfsPointer = []byte("version https://git-lfs.github.com/spec/v1\n")

// open copies a file's content to a temporary file, from Git LFS when it is there.
func (g *gitRepo) open(ctx context.Context, fs vfs.FS, tmp string, f gitFile) (_ *ingest.Spool, err error) {
	cmd := g.command(ctx, "cat-file", "blob", f.blob)
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r := bufio.NewReader(pipe)
	head, _ := r.Peek(len(lfsPointer))
	if !bytes.Equal(head, lfsPointer) {
		s, err := ingest.NewSpool(ctx, fs, tmp, f.path, r)
		if e := cmd.Wait(); err == nil && e != nil {
			err = errors.Join(errs.New(errs.Invalid, "git cat-file %s: %w", f.blob, e), s.Close())
		}
		return s, err
	}
	pointer, err := io.ReadAll(io.LimitReader(r, 1<<16))
	if err := errors.Join(err, cmd.Wait()); err != nil {
		return nil, err
	}
	var oid string
	for _, line := range strings.Split(string(pointer), "\n") {
		if v, ok := strings.CutPrefix(line, "oid sha256:"); ok {
			oid = strings.TrimSpace(v)
		}
	}
	if len(oid) != 64 || strings.Trim(oid, "0123456789abcdef") != "" {
		return nil, errs.New(errs.Invalid, "%s: its pointer to Git LFS cannot be read", f.path)
	}
	object, err := os.Open(filepath.Join(g.lfs, oid[:2], oid[2:4], oid))
	if err != nil {
		return nil, errs.New(errs.NotFound, "%s: its content is in Git LFS and not here; fetch it with: git -C %s lfs fetch --all", f.path, g.dir)
	}
	defer func() { err = errors.Join(err, object.Close()) }()
	return ingest.NewSpool(ctx, fs, tmp, f.path, object)
}

// git brings in the history of a git repository.
func (c *Ingest) git(ctx context.Context, s *Scope) (_ *Result, err error) {
	if _, err := s.fs().Stat(s.path(c.Path)); errs.Is(err, errs.Denied) {
		return nil, errs.New(errs.Denied, "ingest git: %w", err) // git itself would look
	}
	g, err := openGit(ctx, s.path(c.Path))
	if err != nil {
		return nil, err
	}
	commits, err := g.commits(ctx)
	if err != nil {
		return nil, err
	}
	if len(commits) == 0 {
		return nil, errs.New(errs.NotFound, "ingest git: %s has no commits", c.Path)
	}
	p, err := newReplay(ctx, s, "git_commit")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close(err == nil)) }()
	if err := s.Repo.FS().MkdirAll(s.Repo.TempDir()); err != nil {
		return nil, err
	}
	task := s.Start("ingest commits", int64(len(commits)), "commits")
	defer func() { task.Done(err) }()
	files := map[string][]gitFile{} // by commit
	for _, gc := range commits {
		task.Add(1)
		if files[gc.hash], err = g.files(ctx, gc.hash); err != nil {
			return nil, err
		}
		if _, ok := p.made[gc.hash]; ok {
			continue
		}
		var before []gitFile
		if len(gc.parents) > 0 {
			before = files[gc.parents[0]]
		}
		made := &history.Commit{Author: gc.author, Committer: gc.committer, Message: gc.message}
		err := p.commit(ctx, gc.hash, gc.parents, made, func(tx *repo.Tx) error { return c.gitTables(ctx, s, tx, g, before, files[gc.hash]) })
		if err != nil {
			return nil, err
		}
	}
	last := p.made[commits[len(commits)-1].hash]
	if err := p.branch(ctx, s.branch(), last); err != nil {
		return nil, err
	}
	r := Say("%d commits, %d of them new", len(commits), p.new)
	r.Columns, r.Rows = []Column{Text("commit"), Whole("commits"), Whole("new")}, [][]any{{last.String(), int64(len(commits)), int64(p.new)}}
	return r, nil
}

// gitNames are the tables of files: called like the file or, where several have one name, like its path.
func gitNames(files []gitFile) map[string]gitFile {
	count := map[string]int{}
	for _, f := range files {
		count[strings.ToLower(tableName(f.path))]++
	}
	out := map[string]gitFile{}
	for _, f := range files {
		name := tableName(f.path)
		if dir := path.Dir(f.path); count[strings.ToLower(name)] > 1 && dir != "." {
			name = tableName(strings.ReplaceAll(dir, "/", "_") + "_" + path.Base(f.path))
		}
		if _, taken := out[name]; taken {
			for n := 2; ; n++ {
				if _, taken = out[name+"_"+strconv.Itoa(n)]; !taken {
					name += "_" + strconv.Itoa(n)
					break
				}
			}
		}
		out[name] = f
	}
	return out
}

// gitTables makes the tables of a commit of those of the one before.
func (c *Ingest) gitTables(ctx context.Context, s *Scope, tx *repo.Tx, g *gitRepo, before, now []gitFile) error {
	was, is := gitNames(before), gitNames(now)
	chosen := func(name string) bool {
		return len(c.Tables) == 0 || slices.ContainsFunc(c.Tables, func(t string) bool { return strings.EqualFold(t, name) })
	}
	for name := range was {
		if _, ok := is[name]; !ok && chosen(name) {
			if _, _, there, err := tx.Table(ctx, name); err != nil {
				return err
			} else if there {
				if err := tx.DropTable(ctx, name); err != nil {
					return err
				}
			}
		}
	}
	names := make([]string, 0, len(is))
	for name, f := range is {
		if was[name].blob != f.blob && chosen(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if err := c.gitFile(ctx, s, tx, g, name, is[name]); err != nil {
			return err
		}
	}
	return nil
}

// gitFile makes a table of a file. It keeps the schema that the table has as long as the file fits it.
func (c *Ingest) gitFile(ctx context.Context, s *Scope, tx *repo.Tx, g *gitRepo, name string, f gitFile) (err error) {
	if err := repo.CheckTableName(name); err != nil {
		return err
	}
	temp := func() string { return filepath.Join(s.Repo.TempDir(), "ingest-"+rand.Text()+".tmp") }
	spool, err := g.open(ctx, s.Repo.FS(), temp(), f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, spool.Close()) }()
	format, err := ingest.FormatOf(f.path, "")
	if err != nil {
		return err
	}
	o, err := ingest.Prepare(ctx, s.Repo.FS(), temp(), spool.Source, format, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	if o.Size == 0 {
		return nil // a file without a header is no table
	}
	head, err := ingest.ReadHead(ctx, o.Source, o.Format)
	if err != nil {
		return err
	}
	_, _, exists, err := tx.Table(ctx, name)
	if err != nil {
		return err
	}
	load := func(base *table.Table) error {
		opt := ingest.LoadOptions{LoadOptions: table.LoadOptions{FS: s.Repo.FS(), TempDir: s.Repo.TempDir()}, Format: o.Format, Names: head.Names, Now: s.Repo.Clock().Now()}
		for _, n := range head.Names {
			opt.Columns = append(opt.Columns, base.Schema.ColumnIndex(n))
		}
		tab, _, err := ingest.Load(ctx, tx.Store(), table.Empty(base.Schema), o.Source, opt)
		if err != nil {
			return err
		}
		tx.NoteAnew(name)
		return tx.PutTable(ctx, name, tab)
	}
	var old *schema.Schema
	if exists {
		base, err := tx.FoldTable(ctx, name)
		if err != nil {
			return err
		}
		old = base.Schema.Schema
		var have []string
		for i := range old.Columns {
			have = append(have, old.Columns[i].Name)
		}
		if slices.Equal(have, head.Names) && load(base) == nil {
			return nil
		}
	}
	in, err := ingest.Infer(ctx, o.Source, ingest.InferOptions{Format: o.Format, Names: head.Names})
	if err != nil {
		return err
	}
	build := func(keys []string) (*table.Table, error) {
		sch := &schema.Schema{Collation: value.CollationUtf8mb40900Bin}
		for i, n := range head.Names {
			col := schema.Column{Name: n, Type: in.Types[i], Nullable: true}
			if old != nil {
				if k := old.ColumnIndex(n); k >= 0 && schema.AssignID(n, col.Type, nil, nil) == schema.AssignID(n, old.Columns[k].Type, nil, nil) {
					col.ID = old.Columns[k].ID
				}
			}
			if col.ID == 0 || sch.ColumnByID(col.ID) >= 0 {
				col.ID = schema.AssignID(n, col.Type, sch.Columns, nil)
			}
			sch.Columns = append(sch.Columns, col)
		}
		for _, k := range keys {
			i := sch.ColumnIndex(k)
			if i < 0 {
				return nil, nil
			}
			sch.Columns[i].Nullable = false
			sch.PrimaryKey = append(sch.PrimaryKey, schema.IndexColumn{Column: sch.Columns[i].ID})
		}
		compiled, err := schema.Compile(sch)
		if err != nil {
			return nil, err
		}
		return table.Empty(compiled), nil
	}
	base, err := build(c.Keys)
	if err != nil {
		return err
	}
	if base != nil {
		if err = load(base); err == nil || !errs.Is(err, errs.DuplicateKey) && !errs.Is(err, errs.Constraint) {
			return err
		}
	}
	if base, err = build(nil); err != nil { // the file has not these columns, or they are no key of it
		return err
	}
	if err := load(base); err != nil {
		return fmt.Errorf("file %s: %w", f.path, err)
	}
	return nil
}
