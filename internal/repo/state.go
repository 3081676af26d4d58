package repo

import (
	"cmp"
	"slices"

	"github.com/tidwall/btree"

	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
)

// state is all that is named and mutable in a database at one LSN. It is immutable; a change makes a new one.
type state struct {
	lsn      uint64
	branches *btree.Map[string, *branch]
	tags     *btree.Map[string, hash.Hash]
	head     string // the checked-out branch of the directory
	log      *reflog
	stashes  *btree.Map[string, []hash.Hash] // lists of stashes, newest first, none empty
	writes   writes
	lineage  *branch                              // of lineageRef; nil until the first run
	tracks   *btree.Map[string, history.CommitID] // branches of remotes as they were fetched last, by remote/branch
	kept     *pending                             // in a bucket, the change that made this state, if it is to be there; no copy has it
}

// branch is a branch with its working set. It is immutable.
type branch struct {
	name            string
	head            history.CommitID
	working, staged tree.Root
	merge           hash.Hash  // of the history.Merge in progress; zero for none
	rebase          hash.Hash  // of the history.Rebase in progress; zero for none
	tables          workTables // those with an overlay or changed since the database was opened
	lsn             uint64     // of the last record in it
	born            uint64     // LSN of the record that made it, which tells it from another of its name; 0 from before opening
	era             uint64     // how often another machine has changed it in the bucket: states of one era come after each other
}

// workTable is what a branch knows of a working table beside its root.
type workTable struct {
	over    *table.Overlay // nil for none
	version uint64         // LSN of the last change of its content, folds not counted
	since   uint64         // LSN of its last change as a whole: overlays of one since are earlier and later states of each other
}

// workTables is what a branch knows of its working tables, by lower-case name, ascending. There are few, and each transaction copies
// them.
type workTables []namedTable

// namedTable is a workTable under its lower-case name.
type namedTable struct {
	name string
	workTable
}

// at is where the table of that name is or belongs.
func (t workTables) at(name string) (i int, ok bool) {
	return slices.BinarySearchFunc(t, name, func(x namedTable, name string) int { return cmp.Compare(x.name, name) })
}

// get is the table of that lower-case name, zero when nothing is known of it.
func (t workTables) get(name string) workTable {
	if i, ok := t.at(name); ok {
		return t[i].workTable
	}
	return workTable{}
}

// set sets what is known of the table of that lower-case name.
func (t *workTables) set(name string, x workTable) {
	i, ok := t.at(name)
	if ok {
		(*t)[i].workTable = x
		return
	}
	*t = slices.Insert(*t, i, namedTable{name, x})
}

func newState() *state {
	return &state{branches: &btree.Map[string, *branch]{}, tags: &btree.Map[string, hash.Hash]{}, stashes: &btree.Map[string, []hash.Hash]{}, tracks: &btree.Map[string, history.CommitID]{}}
}

// copy is a state to be changed before it is published, without kept: branches in place, tags, stashes and tracks by setTag, setStashes and setTrack. The
// caller holds the commit lock.
func (s *state) copy(lsn uint64) *state {
	return &state{lsn: lsn, branches: s.branches.Copy(), tags: s.tags, head: s.head, log: s.log, stashes: s.stashes, writes: s.writes, lineage: s.lineage, tracks: s.tracks}
}

// find is the branch of that name, lineageRef included.
func (s *state) find(name string) (*branch, bool) {
	if name == lineageRef {
		return s.lineage, s.lineage != nil
	}
	return s.branches.Get(name)
}

// put sets a branch, lineageRef included. The state is not published yet.
func (s *state) put(b *branch) {
	if b.name == lineageRef {
		s.lineage = b
		return
	}
	s.branches.Set(b.name, b)
}

// each calls fn for the branches and, after them, lineageRef, until it returns false.
func (s *state) each(fn func(b *branch) bool) {
	more := true
	s.branches.Scan(func(_ string, b *branch) bool {
		more = fn(b)
		return more
	})
	if more && s.lineage != nil {
		fn(s.lineage)
	}
}

// setTag sets a tag's object or, with the zero hash, removes the tag. The state is not published yet.
func (s *state) setTag(name string, object hash.Hash) {
	s.tags = s.tags.Copy()
	if object.IsZero() {
		s.tags.Delete(name)
		return
	}
	s.tags.Set(name, object)
}

// setStashes sets a list of stashes. The state is not published yet.
func (s *state) setStashes(x stashChange) {
	s.stashes = s.stashes.Copy()
	if len(x.stashes) == 0 {
		s.stashes.Delete(x.name)
		return
	}
	s.stashes.Set(x.name, x.stashes)
}

// setTrack sets a branch of a remote or, with the zero commit, removes it. The state is not published yet.
func (s *state) setTrack(name string, head history.CommitID) {
	s.tracks = s.tracks.Copy()
	if head.IsZero() {
		s.tracks.Delete(name)
		return
	}
	s.tracks.Set(name, head)
}

// copy is a branch to be changed before it is published.
func (b *branch) copy(lsn uint64) *branch {
	c := *b
	c.tables = slices.Clone(b.tables)
	c.lsn = lsn
	return &c
}

// overlays tells whether any working table has unfolded edits.
func (b *branch) overlays() bool {
	for _, t := range b.tables {
		if t.over.Len() > 0 {
			return true
		}
	}
	return false
}

// overlayBytes is about the memory of all unfolded edits.
func (b *branch) overlayBytes() (n int64) {
	for _, t := range b.tables {
		n += t.over.Bytes()
	}
	return n
}
