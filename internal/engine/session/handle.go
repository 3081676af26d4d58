package session

import (
	"path/filepath"
	"strings"
	"time"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/vfs"
)

// Handle is a database as a session names it. See registry.Handle.
type Handle struct {
	s      *Session
	name   string
	base   string
	repo   *repo.Repo
	branch string
	commit history.CommitID // set when the name means a commit
}

var _ registry.Handle = (*Handle)(nil)

// Name implements registry.Handle.
func (h *Handle) Name() string { return h.name }

// Base implements registry.Handle.
func (h *Handle) Base() string { return h.base }

// Repo implements registry.Handle.
func (h *Handle) Repo() *repo.Repo { return h.repo }

// Branch implements registry.Handle.
func (h *Handle) Branch() string { return h.branch }

// Writable tells whether the name means a branch of a database that is open for writing.
func (h *Handle) Writable() bool { return h.branch != "" && !h.repo.ReadOnly() }

// Head implements registry.Handle.
func (h *Handle) Head(ctx *sql.Context) (history.CommitID, error) {
	if h.branch == "" {
		return h.commit, nil
	}
	p, err := h.Part(ctx)
	if err != nil {
		return history.CommitID{}, err
	}
	return p.tx.Head(), nil
}

// Part is the transaction's part of the branch; nil when the name means a commit.
func (h *Handle) Part(ctx *sql.Context) (*Part, error) {
	if h.branch == "" {
		return nil, nil
	}
	return h.s.part(ctx, h.repo, h.branch)
}

// Reader implements registry.Handle.
func (h *Handle) Reader(ctx *sql.Context) (registry.Reader, error) {
	if h.branch == "" {
		return h.repo.SnapshotAt(ctx, h.commit)
	}
	p, err := h.Part(ctx)
	if err != nil {
		return nil, err
	}
	return p.tx, nil
}

// Tx implements registry.Handle.
func (h *Handle) Tx(ctx *sql.Context) (*repo.Tx, error) {
	if h.branch == "" {
		return nil, errReadOnly(h.name)
	}
	p, err := h.Part(ctx)
	if err != nil {
		return nil, err
	}
	p.began()
	return p.tx, nil
}

// Change implements registry.Handle.
func (h *Handle) Change(ctx *sql.Context, fn func(tx *repo.Tx) error) error {
	if h.branch == "" {
		return errReadOnly(h.name)
	}
	p, err := h.Part(ctx)
	if err != nil {
		return err
	}
	return p.Change(fn)
}

// At implements registry.Handle.
func (h *Handle) At(ctx *sql.Context, revision string) (registry.Reader, history.CommitID, error) {
	var none history.CommitID
	switch {
	case strings.EqualFold(revision, "WORKING"):
		r, err := h.Reader(ctx)
		return r, none, err
	case strings.EqualFold(revision, "STAGED") && h.branch != "":
		p, err := h.Part(ctx)
		if err != nil {
			return nil, none, err
		}
		if m, err := p.tx.OwnMerge(ctx); err != nil {
			return nil, none, err
		} else if m != nil {
			return h.repo.SnapshotRoot(p.tx.Staged()), none, nil
		}
		r, err := h.repo.SnapshotStaged(h.branch)
		return r, none, err
	case strings.EqualFold(revision, "HEAD"):
		id, err := h.Head(ctx)
		if err != nil {
			return nil, none, err
		}
		r, err := h.repo.SnapshotAt(ctx, id)
		return r, id, err
	}
	id, err := h.Resolve(ctx, revision)
	if err != nil {
		return nil, none, err
	}
	r, err := h.repo.SnapshotAt(ctx, id)
	return r, id, err
}

// Resolve finds the commit that a revision means, seen from the handle's branch.
func (h *Handle) Resolve(ctx *sql.Context, revision string) (history.CommitID, error) {
	from := h.branch
	if from == "" {
		from = h.s.head(h.repo, h.base).branch
	}
	return h.repo.Resolve(ctx, revision, from)
}

// AtTime is the tables as of a moment on the handle's branch.
func (h *Handle) AtTime(ctx *sql.Context, t time.Time) (registry.Reader, history.CommitID, error) {
	id, err := h.Head(ctx)
	if err != nil {
		return nil, id, err
	}
	if id, err = h.repo.CommitAtTime(ctx, id, t, t.UTC().Format("2006-01-02 15:04:05")); err != nil {
		return nil, id, err
	}
	r, err := h.repo.SnapshotAt(ctx, id)
	return r, id, err
}

// Temporary is the transaction's part of the session's temporary tables of this database. When there are none yet it is nil, unless
// create is set. They live in a database of their own, in memory.
func (h *Handle) Temporary(ctx *sql.Context, create bool) (*Part, error) {
	r, err := h.s.temporary(ctx, h.base, create)
	if err != nil || r == nil {
		return nil, err
	}
	p, err := h.s.part(ctx, r, repo.DefaultBranch)
	if err != nil {
		return nil, err
	}
	p.temporary = true
	return p, nil
}

// HasTemporary tells whether the session has temporary tables.
func (s *Session) HasTemporary() bool {
	s.tempMu.Lock()
	defer s.tempMu.Unlock()
	return len(s.temp) > 0
}

func (s *Session) temporary(ctx *sql.Context, base string, create bool) (*repo.Repo, error) {
	s.tempMu.Lock()
	defer s.tempMu.Unlock()
	l := strings.ToLower(base)
	r := s.temp[l]
	if r != nil || !create {
		return r, nil
	}
	fs, dir := vfs.NewMem(), filepath.Join(string(filepath.Separator), "temporary")
	if err := repo.Init(ctx, fs, dir, repo.InitOptions{}); err != nil {
		return nil, err
	}
	r, err := repo.Open(ctx, fs, dir, repo.Options{})
	if err != nil {
		return nil, err
	}
	s.temp[l] = r
	return r, nil
}

// AsOf is the handle at a commit; the handle itself when id is zero.
func (h *Handle) AsOf(id history.CommitID) *Handle {
	if id.IsZero() {
		return h
	}
	c := *h
	c.branch, c.commit = "", id
	return &c
}
