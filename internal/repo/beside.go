package repo

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/vfs"
)

// ErrOwnerOnly is what a database opened by OpenBeside says to what only its owner can do. Nothing was changed.
var ErrOwnerOnly = errs.New(errs.Unsupported, "only the process that owns the database can do this")

// Handover is a transaction of a process that does not own the database, for the owner to commit: the packs with its chunks, and the
// tables that it makes. It is JSON on the owner's socket. Tables are named by the hash of their chunk, in full; "" is no table.
type Handover struct {
	ID     string   `json:"id"` // of the transaction, of the process's choice, by which the owner knows what it has committed already
	Branch string   `json:"branch"`
	Dir    string   `json:"dir"`   // name of the directory, in the database's TempDir, that holds the packs
	Packs  []string `json:"packs"` // names of files in Dir, synced
	// Relied names a file in Dir of the hashes, 32 bytes each, of chunks that were not put into the packs because the database had them; ""
	// for none.
	Relied string        `json:"relied,omitempty"`
	Put    []TableAtHash `json:"put"`  // the tables as they are to be
	Seen   []TableAtHash `json:"seen"` // the tables that the work is based on, those in Put among them, all rows folded
}

// TableAtHash is a table by its content.
type TableAtHash struct {
	Name     string `json:"name"`
	Table    string `json:"table,omitempty"`
	Comments []byte `json:"comments,omitempty"` // schema.EncodeComments, which the hash leaves out
}

// loadPrefix begins the names of the directories of processes beside the owner, in the owner's TempDir. Each process holds the lock
// in its directory as long as it lives.
const (
	loadPrefix = "load-"
	loadLock   = "LOCK"
	loadTries  = 100 // to make such a directory
)

// OpenBeside opens the database in the directory path while another process owns it, for transactions whose work is done here: their
// chunks are written into packs in a directory of this process's own, and Commit gives these to handOver, which lets the owner Adopt
// them. Such a transaction can change tables; what only the owner can do is ErrOwnerOnly, before anything is changed. Tables that
// others have changed since the transaction began make Commit fail with an error of class Conflict. A process that dies leaves a
// directory that owners and others remove. The database sees what was there when it was opened.
func OpenBeside(ctx context.Context, fs vfs.FS, path string, opt Options, handOver func(context.Context, *Handover) error) (*Repo, error) {
	dir, err := Locate(fs, path)
	if err != nil {
		return nil, err
	}
	temp := filepath.Join(dir, tempName)
	if err := clearLoads(fs, temp); err != nil {
		return nil, err
	}
	load, err := makeLoad(fs, temp)
	if err != nil {
		return nil, errs.New(errs.CodeOf(err), "make a directory for what is loaded: %w", err)
	}
	opt.ReadOnly = true
	r, err := Open(ctx, fs, path, opt)
	if err != nil {
		return nil, errors.Join(err, load.close())
	}
	r.load, r.handOver = load, handOver
	return r, nil
}

// load is the directory of a process beside the owner.
type load struct {
	fs   vfs.FS
	dir  string
	lock io.Closer
}

// makeLoad makes a directory in temp and locks it. Who looks for directories of dead processes may come between the two, and then
// there has to be another.
func makeLoad(fs vfs.FS, temp string) (*load, error) {
	for try := 0; ; try++ {
		l := &load{fs: fs, dir: filepath.Join(temp, loadPrefix+rand.Text())}
		if err := fs.MkdirAll(l.dir); err != nil {
			return nil, err
		}
		var err error
		l.lock, err = fs.Lock(filepath.Join(l.dir, loadLock))
		if err == nil {
			if _, err = fs.Stat(filepath.Join(l.dir, loadLock)); err == nil {
				return l, nil
			}
			err = errors.Join(err, l.lock.Close())
		}
		if try == loadTries || !errs.Is(err, errs.Locked) && !errs.Is(err, errs.NotFound) {
			return nil, err
		}
	}
}

// close removes the directory and gives up its lock.
func (l *load) close() error {
	names, err := l.fs.ReadDir(l.dir)
	for _, n := range names {
		if n != loadLock {
			err = errors.Join(err, vfs.RemoveAll(l.fs, filepath.Join(l.dir, n)))
		}
	}
	// The lock goes last, while it is held; where a file that is open cannot be removed, after it was.
	lock := filepath.Join(l.dir, loadLock)
	if e := l.fs.Remove(lock); e != nil {
		err = errors.Join(err, l.lock.Close())
		if e := l.fs.Remove(lock); !errs.Is(e, errs.NotFound) {
			err = errors.Join(err, e)
		}
		return errors.Join(err, l.fs.Remove(l.dir))
	}
	return errors.Join(err, l.fs.Remove(l.dir), l.lock.Close())
}

// Scratch makes a directory for work that takes long, and that is no transaction: owners that open the database meanwhile leave it alone, and
// remove it when this process has died. done removes it.
func (r *Repo) Scratch() (dir string, done func() error, err error) {
	l, err := makeLoad(r.fs, filepath.Join(r.dir, tempName))
	if err != nil {
		return "", nil, err
	}
	return l.dir, l.close, nil
}

// clearLoads removes the directories of processes that have died.
func clearLoads(fs vfs.FS, temp string) error {
	names, err := fs.ReadDir(temp)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	for _, n := range names {
		if strings.HasPrefix(n, loadPrefix) {
			err = errors.Join(err, clearLoad(fs, filepath.Join(temp, n)))
		}
	}
	return err
}

// clearLoad removes a directory of a process beside the owner unless that lives.
func clearLoad(fs vfs.FS, dir string) error {
	lock, err := fs.Lock(filepath.Join(dir, loadLock))
	switch {
	case errs.Is(err, errs.Locked), errs.Is(err, errs.NotFound): // it lives, or is gone by now
		return nil
	case err != nil:
		return err
	}
	if err := (&load{fs: fs, dir: dir, lock: lock}).close(); err != nil && !errs.Is(err, errs.NotFound) {
		return err
	}
	return nil
}

// newBatch is an empty batch, whose files are where this process may write.
func (r *Repo) newBatch() *pack.Batch {
	if r.load != nil {
		return r.store.NewBatchIn(r.load.dir)
	}
	return r.store.NewBatch()
}

// writable is an error for a database whose tables cannot be changed, not even through its owner.
func (r *Repo) writable() error {
	if err := r.owned(); err != nil && (r.load == nil || r.mirror() != nil) {
		return err
	}
	return nil
}

// owned is an error for a database in which this process changes nothing itself.
func (r *Repo) owned() error {
	if p := r.mirror(); p != nil {
		return p.ErrMirror()
	}
	if r.opt.ReadOnly {
		return errs.New(errs.ReadOnly, "the database is open for reading only")
	}
	return nil
}

// giveAway lets the owner commit the transaction.
func (t *Tx) giveAway(ctx context.Context) error {
	if t.merge != nil || t.staged != nil || t.rebase != nil || len(t.notes) > 0 {
		return ErrOwnerOnly
	}
	for _, l := range t.edited() {
		if _, err := t.FoldTable(ctx, t.tables[l].name); err != nil {
			return err
		}
	}
	h := &Handover{ID: rand.Text(), Branch: t.branch, Dir: filepath.Base(t.r.load.dir)}
	based := map[string]bool{}
	for _, l := range slices.Sorted(maps.Keys(t.whole)) {
		e, err := t.entry(ctx, l)
		if err != nil {
			return err
		}
		put := TableAtHash{Name: e.Name, Comments: e.Comments}
		if e.there {
			put.Table = e.Table.Full()
			for i := range e.table.Schema.References {
				based[strings.ToLower(e.table.Schema.References[i].Parent)] = true
			}
		} else {
			put.Name = l
		}
		h.Put = append(h.Put, put)
		based[l] = true
		children, err := t.Children(ctx, l)
		if err != nil {
			return err
		}
		for _, c := range children {
			based[strings.ToLower(c)] = true
		}
	}
	begun, err := t.r.Begin(ctx, t.branch)
	if err != nil {
		return err
	}
	defer begun.Rollback()
	for _, l := range slices.Sorted(maps.Keys(based)) {
		seen, err := begun.atHash(ctx, l)
		if err != nil {
			return err
		}
		h.Seen = append(h.Seen, seen)
	}
	paths, err := t.Store().Export(ctx)
	if err != nil {
		return err
	}
	for _, p := range paths {
		h.Packs = append(h.Packs, filepath.Base(p))
	}
	if relied := t.Store().Relied(); len(relied) > 0 {
		h.Relied = reliedName
		buf := make([]byte, 0, len(relied)*hash.Size)
		for _, x := range relied {
			buf = append(buf, x[:]...)
		}
		if err := vfs.WriteFile(t.r.fs, filepath.Join(t.r.load.dir, reliedName), buf); err != nil {
			return err
		}
	}
	return t.r.handOver(ctx, h)
}

// atHash is the table of that name with all its rows folded; what is folded for it is not kept.
func (t *Tx) atHash(ctx context.Context, name string) (TableAtHash, error) {
	out := TableAtHash{Name: name}
	v, written, ok, err := t.Table(ctx, name)
	if err != nil || !ok {
		return out, err
	}
	b := t.r.newBatch()
	defer b.Close()
	tab, err := v.Fold(ctx, b)
	if err != nil {
		return out, err
	}
	h, err := tab.Put(ctx, b)
	return TableAtHash{Name: written, Table: h.Full(), Comments: tab.Schema.EncodeComments()}, err
}

// Adopt commits the transaction of another process. The packs become the database's and stay where they are too, for that process to
// remove: it may ask the next owner again when this one ends meanwhile. An error of class Conflict means that others have changed
// meanwhile what the transaction is based on. To ask again for a transaction that is committed does nothing.
func (r *Repo) Adopt(ctx context.Context, h *Handover) error {
	err := r.adopt(ctx, h)
	if err != nil {
		r.catchUp(ctx) // to a try that this process has begun before
	}
	if _, ok := r.Written(h.ID); ok {
		return nil
	}
	return err
}

func (r *Repo) adopt(ctx context.Context, h *Handover) error {
	paths, err := h.paths(r.TempDir())
	if err != nil {
		return err
	}
	if _, ok := r.Written(h.ID); ok {
		return nil
	}
	tx, err := r.Begin(ctx, h.Branch)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, s := range h.Seen {
		now, err := tx.atHash(ctx, s.Name)
		if err != nil {
			return err
		}
		if now.Table != s.Table || !bytes.Equal(now.Comments, s.Comments) {
			return errs.New(errs.Conflict, "commit transaction: another transaction changed table %s; start the transaction again", s.Name)
		}
	}
	if err := r.rely(ctx, tx, h); err != nil {
		return err
	}
	if err := tx.Store().Adopt(ctx, paths); err != nil {
		return err
	}
	var names []string
	for _, p := range h.Put {
		c := root.Change{Entry: root.Entry{Kind: root.KindTable, Name: p.Name, Comments: p.Comments}, Drop: p.Table == ""}
		if !c.Drop {
			if c.Entry.Table, err = hash.Parse(p.Table); err != nil {
				return errs.New(errs.Invalid, "adopt table %s: %w", p.Name, err)
			}
			if _, err := table.Open(ctx, tx.Store(), &r.schemas, c.Entry.Table, p.Comments); err != nil {
				return errs.New(errs.CodeOf(err), "adopt table %s: %w", p.Name, err)
			}
			if err := tx.noView(ctx, p.Name); err != nil {
				return err
			}
		}
		if err := tx.changeRoot(ctx, p.Name, c); err != nil {
			return err
		}
		names = append(names, strings.ToLower(p.Name))
	}
	if err := r.raiseAuto(ctx, tx.Store(), tx.root, names); err != nil {
		return err
	}
	tx.Note(Write{ID: h.ID})
	return tx.Commit(ctx)
}

// reliedName is the file of Handover.Relied.
const reliedName = "relied"

// rely makes sure that the chunks that the packs lack are still there, and stay: garbage may have been collected since.
func (r *Repo) rely(ctx context.Context, tx *Tx, h *Handover) error {
	if h.Relied == "" {
		return nil
	}
	data, err := vfs.ReadFile(r.fs, filepath.Join(r.TempDir(), h.Dir, h.Relied))
	if err != nil {
		return err
	}
	for ; len(data) >= hash.Size; data = data[hash.Size:] {
		ok, err := tx.Store().Rely(ctx, hash.Hash(data[:hash.Size]))
		if err != nil {
			return err
		}
		if !ok {
			return errs.New(errs.Conflict, "commit transaction: what it has in common with tables that were given up has been collected as garbage meanwhile; start the transaction again")
		}
	}
	return nil
}

// paths are the files of the packs, which must be where the process that made them may have them.
func (h *Handover) paths(temp string) ([]string, error) {
	plain := func(name string) bool { return name == filepath.Base(name) && filepath.IsLocal(name) }
	if !plain(h.Dir) || !strings.HasPrefix(h.Dir, loadPrefix) || h.ID == "" || h.Relied != "" && !plain(h.Relied) {
		return nil, errs.New(errs.Invalid, "adopt packs: %q is no directory for them", h.Dir)
	}
	var out []string
	for _, p := range h.Packs {
		if !plain(p) {
			return nil, errs.New(errs.Invalid, "adopt packs: %q is no name of one", p)
		}
		out = append(out, filepath.Join(temp, h.Dir, p))
	}
	return out, nil
}
