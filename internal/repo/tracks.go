package repo

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/vfs"
)

// Tracks are the branches of remotes as they were last seen, called remote/branch, ordered by name.
func (r *Repo) Tracks() []Branch {
	var out []Branch
	r.published.Load().tracks.Scan(func(name string, head history.CommitID) bool {
		out = append(out, Branch{Name: name, Head: head})
		return true
	})
	return out
}

// Track is what the branch of a remote, called remote/branch, named when it was last seen; ok is false when it was not.
func (r *Repo) Track(name string) (id history.CommitID, ok bool) {
	return r.published.Load().tracks.Get(name)
}

// track is the commit of a branch of a remote, with or without what comes before its name in full.
func (s *state) track(name string) (history.CommitID, bool) {
	return s.tracks.Get(strings.TrimPrefix(strings.TrimPrefix(name, "refs/"), "remotes/"))
}

// Landing is what becomes visible together when something was fetched or pushed.
type Landing struct {
	Tracks []LandedTrack
	Tags   []LandedTag // new ones: a tag that is there stays as it is
}

// LandedTrack moves, makes or, with a zero head, removes the branch of a remote that is called remote/branch.
type LandedTrack struct {
	Name string
	Head history.CommitID
	// Old is what the branch was, zero for nothing, when the remote was read: where it is something else by now somebody has read
	// the remote later, and it stays as it is.
	Old history.CommitID
	// Anyway is for changes that have nothing to do with what is at the remote: whatever the branch was.
	Anyway bool
}

// LandedTag is a tag with the hash of its chunk.
type LandedTag struct {
	Name   string
	Object hash.Hash
	Commit history.CommitID
}

func (l *Landing) change() *change {
	ch := &change{}
	for _, t := range l.Tracks {
		ch.tracks = append(ch.tracks, refChange{name: t.Name, head: t.Head})
	}
	for _, t := range l.Tags {
		ch.tags = append(ch.tags, tagChange{name: t.Name, object: t.Object, commit: t.Commit})
	}
	return ch
}

// on is the part of a landing that has a meaning on that state.
func (l *Landing) on(s *state) Landing {
	var out Landing
	for _, t := range l.Tracks {
		if now, _ := s.tracks.Get(t.Name); t.Anyway || now == t.Old {
			out.Tracks = append(out.Tracks, t)
		}
	}
	for _, t := range l.Tags {
		if _, there := s.tags.Get(t.Name); !there {
			out.Tags = append(out.Tags, t)
		}
	}
	return out
}

// Land makes fetched chunks, nil for none, and what names them durable in one step. It returns what became visible.
func (r *Repo) Land(ctx context.Context, batch *pack.Batch, l Landing) (landed Landing, err error) {
	if len(l.Tracks)+len(l.Tags) == 0 {
		return landed, nil
	}
	err = r.changeRefsWith(asReplica(ctx), batch, func(s *state) (*change, func(*state), error) {
		landed = l.on(s)
		return landed.change(), func(s *state) {
			for _, t := range landed.Tracks {
				s.setTrack(t.Name, t.Head)
			}
			for _, t := range landed.Tags {
				s.setTag(t.Name, t.Object)
			}
		}, nil
	})
	return landed, err
}

// incomingName is the directory, in that of the store, of packs that are fetched and not yet the store's. What a fetch that died has left
// in it serves the next one.
const incomingName = "incoming"

// Incoming takes the directory of packs that are being fetched, which one at a time has; done gives it back.
func (r *Repo) Incoming() (dir string, done func(), err error) {
	if err := r.writable(); err != nil || r.load != nil {
		if err == nil {
			err = ErrOwnerOnly
		}
		return "", nil, err
	}
	r.fetching.Lock()
	dir = filepath.Join(r.dir, incomingName)
	if err := r.fs.MkdirAll(dir); err != nil {
		r.fetching.Unlock()
		return "", nil, err
	}
	return dir, r.fetching.Unlock, nil
}

// CloneDirName is the directory that a clone is made in, until it is whole and gets the name of a database's directory.
const CloneDirName = ".stemma.clone"

// sourceName is the file in that directory that says what is cloned.
const sourceName = "source"

// Cloned is what a clone begins with.
type Cloned struct {
	Batch    *pack.Batch      // the chunks
	Landing                   // what was seen of the remote
	Branches []Branch         // to be made, at least one
	Lineage  history.CommitID // what is known of runs; zero for nothing
	Head     string           // the one that is checked out
	// Work are commits with working sets, by branch: see WorkCommit. One that is not of the branch's head has no meaning.
	Work map[string]history.CommitID
	Time time.Time // for the reflog
}

// Clone makes a database in the directory path, which need not exist, of what fetch gives. fetch is given the store of a database that
// nobody sees yet, and directories for packs and for other files beside it: what a clone of the same source that died has left there serves
// the next one, and that of another source is discarded. source is a text that says what the clone is to be like. A database that is there
// already is an error of class Exists.
func Clone(ctx context.Context, fs vfs.FS, path, dirName, source string, fetch func(ctx context.Context, st *pack.Store, dir, incoming string) (*Cloned, error)) error {
	if dirName == "" {
		dirName = DirName
	}
	if _, err := Locate(fs, path); err == nil {
		return errs.New(errs.Exists, "data repository already exists: %s", path)
	} else if !errs.Is(err, errs.NotFound) {
		return err
	}
	dir := filepath.Join(path, CloneDirName)
	if err := fs.MkdirAll(dir); err != nil {
		return err
	}
	lock, err := fs.Lock(filepath.Join(dir, lockName))
	if errs.Is(err, errs.Locked) {
		return errs.New(errs.Locked, "another process is making a clone in %s: %w", path, err)
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := beginClone(fs, dir, source); err != nil {
		return err
	}
	incoming := filepath.Join(dir, incomingName)
	if err := fs.MkdirAll(incoming); err != nil {
		return err
	}
	if err := fillClone(ctx, fs, dir, incoming, fetch); err != nil {
		return err
	}
	if err := vfs.RemoveAll(fs, incoming); err != nil {
		return err
	}
	if err := fs.Remove(filepath.Join(dir, sourceName)); err != nil {
		return err
	}
	if err := fs.Rename(dir, filepath.Join(path, dirName)); err != nil {
		return err
	}
	return fs.SyncDir(path)
}

// beginClone removes what a clone of something else has left in the directory, and notes what is cloned.
func beginClone(fs vfs.FS, dir, source string) error {
	file := filepath.Join(dir, sourceName)
	old, err := vfs.ReadFile(fs, file)
	if err == nil && string(old) == source {
		return nil
	}
	if err != nil && !errs.Is(err, errs.NotFound) {
		return err
	}
	names, err := fs.ReadDir(dir)
	if err != nil {
		return err
	}
	removed := false
	for _, n := range names {
		if n != lockName {
			if err := vfs.RemoveAll(fs, filepath.Join(dir, n)); err != nil {
				return err
			}
			removed = true
		}
	}
	if removed { // what is left counts as the new source's from the next lines on
		if err := fs.SyncDir(dir); err != nil {
			return err
		}
	}
	return vfs.WriteFile(fs, file, []byte(source))
}

// fillClone makes the store of a clone and fills it, unless that was done before.
func fillClone(ctx context.Context, fs vfs.FS, dir, incoming string, fetch func(ctx context.Context, st *pack.Store, dir, incoming string) (*Cloned, error)) (err error) {
	if _, err := fs.Stat(filepath.Join(dir, "FORMAT")); errs.Is(err, errs.NotFound) {
		if err := pack.Create(ctx, fs, dir); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	st, err := pack.Open(ctx, fs, dir, pack.Options{})
	if err != nil {
		return err
	}
	defer func() {
		if e := st.Close(ctx); err == nil {
			err = e
		}
	}()
	if state, tail := st.Recovered(); state != nil || len(tail) > 0 {
		return nil // it lacks its name only
	}
	c, err := fetch(ctx, st, dir, incoming)
	if err != nil {
		return err
	}
	defer c.Batch.Close()
	ch := c.change()
	branches := c.Branches
	if !c.Lineage.IsZero() {
		branches = append(slices.Clone(branches), Branch{Name: lineageRef, Head: c.Lineage})
	}
	for _, b := range branches {
		cm, err := history.GetCommit(ctx, c.Batch, b.Head)
		if err != nil {
			return err
		}
		ch.refs = append(ch.refs, refChange{name: b.Name, head: b.Head})
		w := workChange{branch: b.Name, working: cm.Root, staged: cm.Root, all: true}
		if id, ok := c.Work[b.Name]; ok {
			working, staged, err := workOf(ctx, c.Batch, id, b.Head)
			if err != nil {
				return err
			}
			if staged != nil {
				w.working, w.staged = working.Root, staged.Root
			}
		}
		ch.work = append(ch.work, w)
	}
	ch.head, ch.log = c.Head, ch.moves(c.Time)
	lsn, err := st.Append(ctx, c.Batch, pack.Record{Type: recordChange, Payload: ch.encode()})
	if err != nil {
		return err
	}
	return st.Wait(ctx, lsn)
}

// TagObjects are all tags with the hashes of their chunks, ordered by name.
func (r *Repo) TagObjects(ctx context.Context) ([]LandedTag, error) {
	s := r.published.Load()
	var out []LandedTag
	for _, name := range s.tags.Keys() {
		h, _ := s.tags.Get(name)
		t, err := history.GetTag(ctx, r.store, h)
		if err != nil {
			return nil, err
		}
		out = append(out, LandedTag{Name: name, Object: h, Commit: t.Commit})
	}
	return out, nil
}
