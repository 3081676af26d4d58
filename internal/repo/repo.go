// Package repo is a database in a directory: its refs, working sets and commits over the chunk store, and the transactions that
// change them. One process at a time may open it for writing; any may read.
package repo

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/merge"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/schema"
	remotesync "github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/vfs"
)

// DirName is the directory that holds the database inside the directory that users see.
const DirName = ".stemma"

// lockName is the file in it whose lock says who may write.
const lockName = "LOCK"

// DoltDirName is the name of that directory when the database was made by the program under the name dolt.
const DoltDirName = ".dolt"

// Locate finds the directory that holds the database of path. None is an error of class NotFound, a repository of Dolt itself one
// of class Unsupported.
func Locate(fs vfs.FS, path string) (string, error) {
	for _, name := range []string{DirName, DoltDirName} {
		dir := filepath.Join(path, name)
		if _, err := fs.Stat(filepath.Join(dir, "FORMAT")); err == nil {
			return dir, nil
		} else if !errs.Is(err, errs.NotFound) {
			return "", err
		}
		if _, err := fs.Stat(filepath.Join(dir, "noms")); err == nil {
			return "", errs.New(errs.Unsupported, "open %s: this is a repository of Dolt's own format; serve it with 'dolt sql-server', and elsewhere bring in its history with 'stemma ingest dolt://root@localhost:3306/%s'", path, filepath.Base(path))
		}
	}
	return "", errs.New(errs.NotFound, "open %s: no database here; make one with 'stemma init'", path)
}

// DefaultBranch is the branch that Init makes unless told otherwise.
const DefaultBranch = "main"

// InitMessage is the message of a database's first commit.
const InitMessage = "Initialize data repository"

// Options steer how a database is opened.
type Options struct {
	ReadOnly   bool        // without the owner's lock; nothing can be changed
	CacheBytes int64       // for chunks; 0 is the store's default
	Clock      clock.Clock // nil is the system's
	// CollectLeast is by how many bytes at least the files must have grown for garbage to be collected by itself; 0 is 256 MiB.
	CollectLeast int64
	// Expressions evaluates CHECK constraints and generated columns of rows that merges change; see merge.Options.
	Expressions merge.Expressions
}

// Repo is an open database. It is used by many goroutines.
type Repo struct {
	fs        vfs.FS
	dir       string // that holds FORMAT, journal and packs
	name      string
	serial    uint64 // of the databases that the process has opened: the order of their locks
	opt       Options
	lock      io.Closer
	store     *pack.Store
	zones     *table.Zones
	schemas   schema.Cache
	tables    tableCache
	entries   entryCache
	referrers referrers
	ancestry  history.Ancestry

	mu        sync.Mutex            // the commit lock: orders changes
	tip       atomic.Pointer[state] // newest state, durable or not; changed under mu
	published atomic.Pointer[state]
	pubMu     sync.Mutex // orders Close and the beginning of work in the background

	// Locks are taken in this order: gate, foldMu, that of lineage, mu; each of them in several databases by serial, as CommitAcross does.
	gate     sync.RWMutex // transactions, commits and merges go through it; held by one that others have overtaken too often
	foldMu   sync.Mutex   // one fold at a time
	lookedAt atomic.Int64 // bytes of journal when overlays were last measured
	work     sync.WaitGroup
	folds    atomic.Bool // a background fold is due or runs
	closed   atomic.Bool

	load     *load // of a process beside the owner; nil otherwise
	handOver func(context.Context, *Handover) error

	lastFold atomic.Pointer[error]

	auto    autoCounters
	active  activities
	lineage lineageBook

	fetching sync.Mutex                         // held while something is fetched
	partial  atomic.Pointer[remotesync.Partial] // nil for a whole database
	// elsewhere is what the store asks for what it lacks. Who changes partial has it.
	elsewhere pack.Elsewhere

	following atomic.Pointer[Following] // nil for a database that is no replica
	bucket    *bucket                   // nil for a database that is not kept in one; set before others use it

	holds          holds
	collecting     sync.Mutex   // held while garbage is collected
	thinning       sync.Mutex   // held while it is noted what became of commits, until refs have moved
	collectedBytes atomic.Int64 // that were there after the last collection; 0 when that is not known
	growth         atomic.Int64 // see AutoCollect
	selfCollect    atomic.Bool  // a collection that began by itself runs
	stopCollect    func()       // ends it; nil when there was none; under pubMu
}

// InitOptions steer how a database is made.
type InitOptions struct {
	Branch    string // "" is DefaultBranch
	DirName   string // of the directory that holds the database; "" is DirName
	Author    history.Signature
	Committer history.Signature
}

// Init makes an empty database with one commit in the directory path, which need not exist. One that is there already is an error
// of class Exists; one that an interrupted Init left is finished.
func Init(ctx context.Context, fs vfs.FS, path string, opt InitOptions) error {
	if opt.Branch == "" {
		opt.Branch = DefaultBranch
	}
	if err := history.CheckRefName(opt.Branch); err != nil {
		return err
	}
	dir, err := Locate(fs, path)
	there := err == nil
	if !there {
		if !errs.Is(err, errs.NotFound) {
			return errs.New(errs.CodeOf(err), "init %s: %w", path, err)
		}
		if opt.DirName == "" {
			opt.DirName = DirName
		}
		dir = filepath.Join(path, opt.DirName)
		if err := fs.MkdirAll(dir); err != nil {
			return errs.New(errs.CodeOf(err), "init %s: %w", path, err)
		}
	}
	lock, err := fs.Lock(filepath.Join(dir, lockName))
	if there && (errs.Is(err, errs.Locked) || errs.Is(err, errs.Denied)) { // another's, perhaps of another user
		return errInitExists(path)
	}
	if err != nil {
		return errs.New(errs.CodeOf(err), "init %s: %w", path, err)
	}
	defer lock.Close()
	if !there {
		if err := pack.Create(ctx, fs, dir); err != nil {
			return err
		}
	}
	st, err := pack.Open(ctx, fs, dir, pack.Options{})
	if err != nil {
		return err
	}
	if state, tail := st.Recovered(); state != nil || len(tail) > 0 {
		err = errInitExists(path)
	} else {
		err = firstCommit(ctx, st, opt)
	}
	return errors.Join(err, st.Close(ctx))
}

func errInitExists(path string) error {
	return errs.New(errs.Exists, "init %s: this directory already holds a database", path)
}

// firstCommit makes the first branch and its commit in an empty store.
func firstCommit(ctx context.Context, st *pack.Store, opt InitOptions) error {
	b := st.NewBatch()
	defer b.Close()
	c := &history.Commit{Height: 1, Author: opt.Author, Committer: opt.Committer, Message: InitMessage}
	id, err := c.Put(ctx, b)
	if err != nil {
		return err
	}
	ch := &change{refs: []refChange{{name: opt.Branch, head: id}}, work: []workChange{{branch: opt.Branch, all: true}}, head: opt.Branch}
	ch.log = ch.moves(opt.Committer.Time)
	lsn, err := st.Append(ctx, b, pack.Record{Type: recordChange, Payload: ch.encode()})
	if err != nil {
		return err
	}
	return st.Wait(ctx, lsn)
}

// Open opens the database in the directory path. Without Options.ReadOnly it takes the directory's lock; when another process has
// it the error is of class Locked.
func Open(ctx context.Context, fs vfs.FS, path string, opt Options) (*Repo, error) {
	return open(ctx, fs, path, opt, nil)
}

// open is Open; for one that is being mended m has the lock, says which packs are passed over, and is where lost chunks come from. When it
// fails the lock is free.
func open(ctx context.Context, fs vfs.FS, path string, opt Options, m *Mending) (*Repo, error) {
	if opt.Clock == nil {
		opt.Clock = clock.System{}
	}
	if opt.CollectLeast == 0 {
		opt.CollectLeast = leastGrowth
	}
	dir, err := Locate(fs, path)
	if err != nil {
		return nil, err
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	r := &Repo{fs: fs, dir: dir, name: filepath.Base(abs), serial: opened.Add(1), opt: opt}
	r.active.since = opt.Clock.Now()
	r.zones = table.OpenZones(fs, filepath.Join(dir, zonesName), opt.ReadOnly)
	r.openMarks()
	storeOpt := pack.Options{ReadOnly: opt.ReadOnly, CacheBytes: opt.CacheBytes}
	if m != nil {
		r.lock, storeOpt.Without = m.lock, m.paths()
	} else if !opt.ReadOnly {
		if r.lock, err = fs.Lock(filepath.Join(dir, lockName)); err != nil {
			return nil, err
		}
	}
	r.store, err = pack.Open(ctx, fs, dir, storeOpt)
	if err == nil {
		err = r.openPart()
	}
	if err == nil && m != nil {
		err = m.begin(ctx, r)
	}
	if err == nil {
		err = r.recover(ctx)
	}
	if err != nil {
		if r.store != nil {
			err = errors.Join(err, r.store.Close(ctx))
		}
		if r.lock != nil {
			err = errors.Join(err, r.lock.Close())
		}
		return nil, err
	}
	if !opt.ReadOnly {
		r.takeReadsLeft()
	}
	return r, nil
}

// zonesName is the side file of zones in the directory of the store.
const zonesName = "zones"

// closeTail is the most journal that a clean close leaves to be replayed, in bytes.
const closeTail = 4 << 20

// Close ends the use of the database: it waits for work in the background and leaves at most a few MiB of journal to replay.
func (r *Repo) Close(ctx context.Context) error {
	r.pubMu.Lock()
	again := r.closed.Swap(true)
	if r.stopCollect != nil {
		r.stopCollect()
	}
	r.pubMu.Unlock()
	if again {
		return nil
	}
	r.lineage.marking.cancel(ctx)
	err := r.FlushReads(ctx)
	if r.bucket != nil {
		r.bucket.close(ctx)
	}
	r.work.Wait()
	r.lineage.reads.log.close()
	r.lineage.marking.close()
	r.zones.Close()
	if r.load != nil {
		err = errors.Join(err, r.load.close())
	} else if !r.opt.ReadOnly {
		err = errors.Join(err, clearLoads(r.fs, r.TempDir()))
	}
	if !r.opt.ReadOnly && r.store.TailBytes() > closeTail {
		err = errors.Join(err, r.Checkpoint(ctx))
	}
	if e := r.store.Close(ctx); err == nil {
		err = e
	}
	if r.lock != nil {
		if e := r.lock.Close(); err == nil {
			err = e
		}
	}
	return err
}

// Name is the database's name: that of its directory.
func (r *Repo) Name() string { return r.name }

// Dir is the directory of the store's files.
func (r *Repo) Dir() string { return r.dir }

// FS is the file system that the database lives in.
func (r *Repo) FS() vfs.FS { return r.fs }

// Store is the chunk store.
func (r *Repo) Store() *pack.Store { return r.store }

// ReadOnly tells whether the database was opened without the right to write. One that is a mirror was not: who writes it is told what to do.
func (r *Repo) ReadOnly() bool { return r.opt.ReadOnly && r.load == nil }

// Clock is the clock of commits.
func (r *Repo) Clock() clock.Clock { return r.opt.Clock }

// tempName is the directory of files that do not last, in the directory of the store.
const tempName = "tmp"

// TempDir is where files of sorts and loads go. That of the owner is emptied when the database is opened for writing, but for the
// directories in it that belong to processes beside the owner; that of such a process is removed when it closes the database.
func (r *Repo) TempDir() string {
	if r.load != nil {
		return r.load.dir
	}
	return filepath.Join(r.dir, tempName)
}

// tableCacheLimit bounds the number of opened tables kept.
const tableCacheLimit = 4096

// tableCache keeps opened tables by hash and comments.
type tableCache struct {
	mu sync.RWMutex
	m  map[string]*table.Table
}

func (r *Repo) openTable(ctx context.Context, e root.Entry) (*table.Table, error) {
	k := string(e.Table[:]) + string(e.Comments)
	r.tables.mu.RLock()
	t := r.tables.m[k]
	r.tables.mu.RUnlock()
	if t != nil {
		return t, nil
	}
	t, err := table.Open(ctx, r.store, &r.schemas, e.Table, e.Comments)
	if err != nil {
		return nil, chunk.NameAbsent(err, "the table "+e.Name)
	}
	r.tables.mu.Lock()
	defer r.tables.mu.Unlock()
	if r.tables.m == nil || len(r.tables.m) >= tableCacheLimit {
		r.tables.m = map[string]*table.Table{}
	}
	r.tables.m[k] = t
	return t, nil
}

// entryCache keeps tables found in roots, which a transaction asks for at its beginning and its end.
type entryCache struct {
	mu sync.RWMutex
	m  map[entryKey]foundEntry
}

type entryKey struct {
	root  tree.Root
	table string // lower case
}

type foundEntry struct {
	root.Entry
	there bool
	table *table.Table
}

// entry is the table of that lower-case name in a root of the store.
func (r *Repo) entry(ctx context.Context, in tree.Root, lower string) (foundEntry, error) {
	k := entryKey{in, lower}
	r.entries.mu.RLock()
	f, ok := r.entries.m[k]
	r.entries.mu.RUnlock()
	if ok {
		return f, nil
	}
	var err error
	if f.Entry, f.there, err = root.Open(r.store, in).Get(ctx, root.KindTable, lower); err != nil {
		return f, err
	}
	if f.there {
		if f.table, err = r.openTable(ctx, f.Entry); err != nil {
			return f, err
		}
	}
	r.entries.mu.Lock()
	defer r.entries.mu.Unlock()
	if r.entries.m == nil || len(r.entries.m) >= tableCacheLimit {
		r.entries.m = map[entryKey]foundEntry{}
	}
	r.entries.m[k] = f
	return f, nil
}
