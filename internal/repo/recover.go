package repo

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/vfs"
)

// replayed is a branch while the journal is read: row edits wait until it is known whether a later record folds them.
type replayed struct {
	head            history.CommitID
	working, staged tree.Root
	merge, rebase   hash.Hash
	rows            []replayedRows
	lsn             uint64
}

type replayedRows struct {
	lsn    uint64
	table  string
	schema hash.Hash
	edits  []table.RowEdit
}

// recover rebuilds the state from the store's last checkpoint and the journal after it.
func (r *Repo) recover(ctx context.Context) error {
	if !r.opt.ReadOnly {
		if err := r.clearTemp(); err != nil {
			return err
		}
	}
	return r.read(ctx)
}

// clearTemp removes what loads and sorts of a process that died have left.
func (r *Repo) clearTemp() error {
	if err := r.fs.MkdirAll(r.TempDir()); err != nil {
		return err
	}
	names, err := r.fs.ReadDir(r.TempDir())
	if err != nil {
		return err
	}
	for _, n := range names {
		if strings.HasPrefix(n, loadPrefix) {
			continue
		}
		if err := vfs.RemoveAll(r.fs, filepath.Join(r.TempDir(), n)); err != nil {
			return err
		}
	}
	return clearLoads(r.fs, r.TempDir())
}

// read reads what the store recovered and publishes the state.
func (r *Repo) read(ctx context.Context) error {
	s := newState()
	branches := map[string]*replayed{}
	checkpoint, tail := r.store.Recovered()
	apply := func(lsn uint64, payload []byte) error {
		c, err := decodeChange(payload)
		if err != nil {
			return err
		}
		s.lsn, s.log = lsn, s.log.replay(c)
		return applyChange(s, branches, lsn, c)
	}
	if checkpoint != nil {
		if err := apply(0, checkpoint); err != nil {
			return err
		}
		c, err := decodeChange(checkpoint)
		if err != nil {
			return err
		}
		r.auto.load(c.auto)
	}
	for _, rec := range tail {
		if rec.Type != recordChange {
			return errs.New(errs.TooNew, "read journal: a record of type %d, which this program does not know; use a newer stemma", rec.Type)
		}
		if err := apply(rec.LSN, rec.Payload); err != nil {
			return err
		}
	}
	if len(tail) > 0 {
		r.auto.forget()
	}
	for name, x := range branches {
		b := &branch{name: name, head: x.head, working: x.working, staged: x.staged, merge: x.merge, rebase: x.rebase, lsn: x.lsn, tables: workTables{}}
		for _, rows := range x.rows {
			if err := r.replayRows(ctx, b, rows); err != nil {
				return errs.New(errs.CodeOf(err), "replay edits of table %s on branch %s: %w", rows.table, name, err)
			}
		}
		s.put(b)
	}
	if s.branches.Len() == 0 {
		if checkpoint == nil && len(tail) == 0 {
			return errs.New(errs.NotFound, "open %s: making this database was interrupted; finish it with 'stemma init'", r.dir)
		}
		return errs.New(errs.Corrupt, "open %s: the database has no branch", r.dir)
	}
	r.tip.Store(s)
	r.published.Store(s)
	return nil
}

func applyChange(s *state, branches map[string]*replayed, lsn uint64, c *change) error {
	for _, x := range c.refs {
		if x.head.IsZero() {
			delete(branches, x.name)
			continue
		}
		if branches[x.name] == nil {
			branches[x.name] = &replayed{}
		}
		branches[x.name].head, branches[x.name].lsn = x.head, lsn
	}
	for _, x := range c.tags {
		s.setTag(x.name, x.object)
	}
	for _, x := range c.tracks {
		s.setTrack(x.name, x.head)
	}
	for _, x := range c.stashes {
		s.setStashes(x)
	}
	s.writes = s.writes.with(c.writes)
	for _, x := range c.work {
		b := branches[x.branch]
		if b == nil {
			return errs.New(errs.Corrupt, "read journal: a working set of the unknown branch %s", x.branch)
		}
		b.working, b.staged, b.merge, b.rebase, b.lsn = x.working, x.staged, x.merge, x.rebase, lsn
		gone := map[string]uint64{}
		for _, f := range x.folded {
			if f.upTo == 0 {
				f.upTo = lsn
			}
			gone[f.table] = f.upTo
		}
		keep := b.rows[:0]
		for _, rows := range b.rows {
			if upTo, ok := gone[rows.table]; !x.all && (!ok || rows.lsn > upTo) {
				keep = append(keep, rows)
			}
		}
		b.rows = keep
	}
	for _, x := range c.rows {
		b := branches[x.branch]
		if b == nil {
			return errs.New(errs.Corrupt, "read journal: rows of the unknown branch %s", x.branch)
		}
		b.rows = append(b.rows, replayedRows{lsn: lsn, table: x.table, schema: x.schema, edits: x.edits})
		b.lsn = lsn
	}
	if c.head != "" {
		s.head = c.head
	}
	return nil
}

func (r *Repo) replayRows(ctx context.Context, b *branch, rows replayedRows) error {
	e, ok, err := root.Open(r.store, b.working).Get(ctx, root.KindTable, rows.table)
	if err != nil {
		return err
	}
	if !ok {
		return errs.New(errs.Corrupt, "the table does not exist")
	}
	t, err := r.openTable(ctx, e)
	if err != nil {
		return err
	}
	if t.Schema.Hash != rows.schema {
		return errs.New(errs.Corrupt, "the table has another schema")
	}
	over, err := table.Replay(ctx, table.NewView(r.store, t, b.tables.get(rows.table).over), rows.edits)
	if err != nil {
		return err
	}
	b.tables.set(rows.table, workTable{over: over, version: rows.lsn})
	return nil
}

// Refresh makes a database that is open for reading only see what its owner has made durable meanwhile.
func (r *Repo) Refresh(ctx context.Context) error {
	if !r.opt.ReadOnly {
		return nil
	}
	if err := r.store.Refresh(ctx); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.read(ctx)
}
