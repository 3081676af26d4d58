package op

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/vfs"
)

// replay makes commits of another repository commits of this one.
type replay struct {
	s    *Scope
	key  string                      // of the metadata that names the original
	made map[string]history.CommitID // by the original's name
	base history.CommitID            // parent of commits that have none
	new  int
	log  vfs.File // of commits that no branch has yet, so that a replay that ends early is continued: a line each
	at   int64
}

// line is the line of a commit in the log.
func (p *replay) line(name string, id history.CommitID) string {
	line := name + " " + id.Full()
	return fmt.Sprintf("%s %08x\n", line, crc32.ChecksumIEEE([]byte(line)))
}

// openLog finds the commits of a replay that ended early, if all of them are there still, and makes itself ready to note more.
func (p *replay) openLog(ctx context.Context) error {
	r := p.s.Repo
	dir := pullsDir(p.s)
	if err := r.FS().MkdirAll(dir); err != nil {
		return err
	}
	name := filepath.Join(dir, p.key+"s")
	data, err := vfs.ReadFile(r.FS(), name)
	if err != nil && !errs.Is(err, errs.NotFound) {
		return err
	}
	if p.log, err = r.FS().Create(name); err != nil {
		return err
	}
	var names []string
	var ids []history.CommitID
	for _, line := range strings.SplitAfter(string(data), "\n") {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		id, err := hash.Parse(f[1])
		if err != nil || p.line(f[0], id) != line {
			continue // torn
		}
		if _, known := p.made[f[0]]; !known {
			names, ids = append(names, f[0]), append(ids, id)
		}
	}
	if err := r.Whole(ctx, ids...); errs.Is(err, errs.NotFound) {
		return nil // cleared away meanwhile, at least in part
	} else if err != nil {
		return err
	}
	for i, id := range ids {
		if err := p.note(names[i], id); err != nil {
			return err
		}
	}
	return nil
}

// note remembers a commit.
func (p *replay) note(name string, id history.CommitID) error {
	p.made[name] = id
	line := p.line(name, id)
	if _, err := p.log.WriteAt([]byte(line), p.at); err != nil {
		return err
	}
	p.at += int64(len(line))
	return nil
}

// close closes the log; done says that branches have all commits, so that it is of no more use.
func (p *replay) close(done bool) error {
	err := p.log.Close()
	if done {
		err = errors.Join(err, p.s.Repo.FS().Remove(p.log.Name()))
	}
	return err
}

// newReplay finds the commits that came before. It must be closed.
func newReplay(ctx context.Context, s *Scope, key string) (*replay, error) {
	p := &replay{s: s, key: key, made: map[string]history.CommitID{}}
	var heads []history.CommitID
	for _, b := range s.Repo.Branches() {
		heads = append(heads, b.Head)
	}
	w, err := history.Walk(ctx, s.Repo.Store(), heads, nil)
	if err != nil {
		return nil, err
	}
	for {
		c, err := w.Next(ctx)
		if err != nil {
			return nil, err
		}
		if c == nil {
			return p, p.openLog(ctx)
		}
		if len(c.Parents) == 0 {
			p.base = c.ID
		}
		if c.Meta == "" {
			continue
		}
		var meta map[string]any
		if json.Unmarshal([]byte(c.Meta), &meta) == nil {
			if name, ok := meta[key].(string); ok {
				p.made[name] = c.ID
			}
		}
	}
}

// commit replays one commit: change makes the tables of the first parent those of the commit.
func (p *replay) commit(ctx context.Context, name string, parents []string, c *history.Commit, change func(tx *repo.Tx) error) error {
	for _, parent := range parents {
		id, ok := p.made[parent]
		if !ok {
			return errs.New(errs.NotFound, "commit %s: its parent %s is missing; is the repository a shallow clone?", name, parent)
		}
		c.Parents = append(c.Parents, id)
	}
	if len(c.Parents) == 0 {
		c.Parents = []history.CommitID{p.base}
	}
	first, err := history.GetCommit(ctx, p.s.Repo.Store(), c.Parents[0])
	if err != nil {
		return err
	}
	tx, err := p.s.Repo.BeginAside(p.s.branch(), first.Root)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := change(tx); err != nil {
		return errs.New(errs.CodeOf(err), "commit %s: %w", name, err)
	}
	meta, err := json.Marshal(map[string]string{p.key: name})
	if err != nil {
		return errs.New(errs.Internal, "describe commit: %w", err)
	}
	c.Meta = string(meta)
	if strings.TrimSpace(c.Message) == "" {
		c.Message = "(no message)"
	}
	if err := p.s.Repo.AddCommit(ctx, tx, c); err != nil {
		return err
	}
	p.new++
	return p.note(name, c.ID)
}

// branch makes a branch name a commit. One that exists must be behind it, and without changes that are not committed.
func (p *replay) branch(ctx context.Context, name string, to history.CommitID) error {
	r := p.s.Repo
	head, ok := r.BranchHead(name)
	if !ok {
		return r.CreateBranch(ctx, name, to, false)
	}
	if head == to {
		return nil
	}
	is, err := history.IsAncestor(ctx, r.Store(), head, to)
	if err != nil {
		return err
	}
	if !is {
		return errs.New(errs.Conflict, "branch %s has commits that did not come from there; ingest on another branch, or merge", name)
	}
	w, err := r.Fold(ctx, name)
	if err != nil {
		return err
	}
	c, err := history.GetCommit(ctx, r.Store(), head)
	if err != nil {
		return err
	}
	if w.Working.Tree() != c.Root || w.Staged.Tree() != c.Root {
		return errs.New(errs.Conflict, "branch %s has changes that are not committed: commit or reset them first", name)
	}
	return r.ResetHard(ctx, name, to)
}
