package repo

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"sync"

	"github.com/stemmadb/stemma/internal/fsck"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/vfs"
)

// Mending is a database that was opened without its damaged packs, of which what can be read is in the store by other names. Whoever reads a
// chunk that is gone gets it from elsewhere, and it is kept: so what is read is mended. End makes that last.
type Mending struct {
	Repo    *Repo
	Damaged []pack.Damaged // that were passed over
	Missing []hash.Hash    // digests of the packs that are not there
	Aside   string         // the directory that has the damaged files as they were; "" for none
	Kept    int            // chunks that could be read of them

	lock  io.Closer
	from  pack.Elsewhere
	batch *pack.Batch

	mu      sync.Mutex
	fetched map[hash.Hash]bool
}

// Mend opens the database of path, of which packs may be damaged or gone, with its owner's lock: class Locked when another process has it.
// from has the chunks of the database, and is asked for those that are gone. A database that is a part of another and reads the rest from its
// remote reads from there what is gone, too: from is not asked.
func Mend(ctx context.Context, fs vfs.FS, path string, opt Options, from pack.Elsewhere) (m *Mending, err error) {
	dir, err := Locate(fs, path)
	if err != nil {
		return nil, err
	}
	m = &Mending{from: from, fetched: map[hash.Hash]bool{}}
	if m.lock, err = fs.Lock(filepath.Join(dir, lockName)); err != nil {
		return nil, err
	}
	if m.Damaged, err = pack.Examine(ctx, fs, dir); err == nil && len(m.Damaged) > 0 {
		m.Aside, err = pack.SetAside(fs, dir, m.paths())
	}
	if err == nil {
		err = forgetChunks(fs, dir)
	}
	if err != nil {
		return nil, errors.Join(err, m.lock.Close())
	}
	if m.Repo, err = open(ctx, fs, path, opt, m); err != nil {
		if m.batch != nil {
			err = errors.Join(err, m.batch.Close())
		}
		return nil, err
	}
	return m, nil
}

func (m *Mending) paths() []string {
	var out []string
	for _, d := range m.Damaged {
		out = append(out, d.Path)
	}
	return out
}

// begin makes durable what can be read of the damaged packs, and lets reads go elsewhere from here on.
func (m *Mending) begin(ctx context.Context, r *Repo) error {
	m.Missing = r.store.Missing()
	m.batch = r.store.NewBatch()
	for _, path := range m.paths() {
		n, err := m.batch.Salvage(ctx, path)
		m.Kept += n
		if err != nil {
			return err
		}
	}
	if err := m.keep(ctx, r.store); err != nil {
		return err
	}
	if p := r.Partial(); p == nil || !p.Lazy {
		r.store.SetElsewhere(m)
	}
	return nil
}

// keep makes the chunks of the batch durable.
func (m *Mending) keep(ctx context.Context, st *pack.Store) error {
	if m.batch.Len() == 0 {
		return nil
	}
	lsn, err := st.Append(ctx, m.batch)
	if err == nil {
		err = st.Wait(ctx, lsn)
	}
	return err
}

// Record implements pack.Elsewhere.
func (m *Mending) Record(ctx context.Context, h hash.Hash) ([]byte, error) {
	rec, err := m.from.Record(ctx, h)
	if err == nil {
		err = m.batch.PutRecord(ctx, rec, nil)
	}
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fetched[h] = true
	return rec, nil
}

// Fetched is how many chunks came from elsewhere so far.
func (m *Mending) Fetched() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.fetched)
}

// Starts is everything that must be there: what Repo.Starts has, and what the reflog names.
func (m *Mending) Starts(ctx context.Context) ([]fsck.Start, error) {
	out, err := m.Repo.Starts(ctx)
	for _, x := range m.Repo.RefLog() {
		if !x.Commit.IsZero() {
			out = append(out, fsck.Start{Name: "reflog of " + x.Ref, Commit: x.Commit})
		}
	}
	return out, err
}

// End makes durable what came from elsewhere, takes the damaged files out of the store and closes the database. It does the first also when
// the caller gives up, which failed says: then the files stay for another try. Packs that are not there are no longer expected when whole says that
// all they had is in the store.
func (m *Mending) End(ctx context.Context, failed, whole bool) error {
	ctx = context.WithoutCancel(ctx)
	err := m.keep(ctx, m.Repo.store)
	if err == nil && !failed && (len(m.Damaged) > 0 || whole && len(m.Missing) > 0) {
		err = m.Repo.store.Replace(ctx, m.paths())
	}
	return errors.Join(err, m.batch.Close(), m.Repo.Close(ctx))
}
