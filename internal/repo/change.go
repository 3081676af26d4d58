package repo

import (
	"encoding/binary"

	"github.com/stemmadb/stemma/internal/binfmt"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
)

// recordChange is the type of the journal records of this package.
const recordChange uint8 = 1

// The formats of their payload, its first byte: a record is written in the first that holds what it says.
const (
	changePlain   byte = 1
	changeMerging byte = 2 // working sets name their merge in progress
	changeLogged  byte = 3 // and the moves of refs are noted
	changeAside   byte = 4 // and working sets name their rebase in progress, and there are stashes
	changeWritten byte = 5 // and there are notes of writes
	changeTracked byte = 6 // and branches of remotes
	changeVersion      = changeTracked
)

// change is what a journal record says: everything that happens at one LSN. A checkpoint's state is a change from nothing.
type change struct {
	refs    []refChange
	tags    []tagChange
	work    []workChange
	rows    []rowChange
	head    string       // the checked-out branch, "" unchanged
	auto    []autoChange // AUTO_INCREMENT counters, in checkpoints only
	log     []RefMove    // moves of refs: those of the record, oldest first; in checkpoints all that are kept, oldest first
	stashes []stashChange
	writes  []Write     // notes; in checkpoints all that are kept, oldest first
	tracks  []refChange // of branches of remotes, by remote/branch

	// Of a database in a bucket, where they are not part of the record that is made of it.
	runs   runRows
	notes  string   // a branch that notes the writes, also where it does not change
	landed []func() // called when it is there, under the commit lock
}

// refChange moves, makes or, with a zero head, removes a branch.
type refChange struct {
	name string
	head history.CommitID
}

// tagChange makes or, with a zero object, removes a tag. object is the hash of its chunk.
type tagChange struct {
	name   string
	object hash.Hash
	commit history.CommitID // that the tag names, for the reflog; it is not encoded
}

// workChange sets the working and staged roots of a branch. Row edits of the tables in folded, up to those LSNs, are in the roots.
type workChange struct {
	branch          string
	working, staged tree.Root
	all             bool // every table is folded, up to the record's own LSN
	folded          []folded
	merge           hash.Hash // of the history.Merge in progress; zero for none
	rebase          hash.Hash // of the history.Rebase in progress; zero for none
}

// stashChange sets a list of stashes, newest first; an empty one removes it.
type stashChange struct {
	name    string
	stashes []hash.Hash
}

// folded says that the row edits of a table up to an LSN are in the working root or have no meaning any more.
type folded struct {
	table string
	upTo  uint64 // 0: up to the record's own LSN
}

// upToCheckpoint is an LSN behind the edits in a checkpoint, which count as those of LSN 0, and before those of any record: a record
// is longer than a byte, and the first of a journal has no edits.
const upToCheckpoint = 1

// rowChange holds row edits of a table, whose rows are laid out by the schema of that hash.
type rowChange struct {
	branch  string
	table   string // lower case
	schema  hash.Hash
	changes *table.Changes  // when written by a transaction
	over    *table.Overlay  // when written by a checkpoint
	edits   []table.RowEdit // when read
}

type autoChange struct {
	table string
	next  uint64
}

func (c *change) encode() []byte {
	version := changePlain
	for _, x := range c.work {
		if !x.merge.IsZero() {
			version = max(version, changeMerging)
		}
		if !x.rebase.IsZero() {
			version = changeAside
		}
	}
	if len(c.stashes) > 0 {
		version = changeAside
	}
	if len(c.log) > 0 {
		version = max(version, changeLogged)
	}
	if len(c.writes) > 0 {
		version = changeWritten
	}
	if len(c.tracks) > 0 {
		version = changeTracked
	}
	b := append(make([]byte, 0, 256), version) // enough for a change of a row
	b = binary.AppendUvarint(b, uint64(len(c.refs)))
	for _, x := range c.refs {
		b = binfmt.AppendString(b, x.name)
		b = append(b, x.head[:]...)
	}
	b = binary.AppendUvarint(b, uint64(len(c.tags)))
	for _, x := range c.tags {
		b = binfmt.AppendString(b, x.name)
		b = append(b, x.object[:]...)
	}
	b = binary.AppendUvarint(b, uint64(len(c.work)))
	for _, x := range c.work {
		b = binfmt.AppendString(b, x.branch)
		b = tree.AppendRoot(b, x.working)
		b = tree.AppendRoot(b, x.staged)
		b = binfmt.AppendBool(b, x.all)
		b = binary.AppendUvarint(b, uint64(len(x.folded)))
		for _, f := range x.folded {
			b = binfmt.AppendString(b, f.table)
			b = binary.AppendUvarint(b, f.upTo)
		}
		if version >= changeMerging {
			b = append(b, x.merge[:]...)
		}
		if version >= changeAside {
			b = append(b, x.rebase[:]...)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(c.rows)))
	for _, x := range c.rows {
		b = binfmt.AppendString(b, x.branch)
		b = binfmt.AppendString(b, x.table)
		b = append(b, x.schema[:]...)
		if x.over != nil {
			b = x.over.Append(b)
		} else {
			b = x.changes.Append(b)
		}
	}
	b = binfmt.AppendString(b, c.head)
	b = binary.AppendUvarint(b, uint64(len(c.auto)))
	for _, x := range c.auto {
		b = binfmt.AppendString(b, x.table)
		b = binary.AppendUvarint(b, x.next)
	}
	if version >= changeLogged {
		b = appendMoves(b, c.log)
	}
	if version >= changeAside {
		b = binary.AppendUvarint(b, uint64(len(c.stashes)))
		for _, x := range c.stashes {
			b = binfmt.AppendString(b, x.name)
			b = binary.AppendUvarint(b, uint64(len(x.stashes)))
			for _, h := range x.stashes {
				b = append(b, h[:]...)
			}
		}
	}
	if version >= changeWritten {
		b = binary.AppendUvarint(b, uint64(len(c.writes)))
		for _, x := range c.writes {
			b = binfmt.AppendString(b, x.ID)
			b = binfmt.AppendString(b, x.Result)
		}
	}
	if version >= changeTracked {
		b = binary.AppendUvarint(b, uint64(len(c.tracks)))
		for _, x := range c.tracks {
			b = binfmt.AppendString(b, x.name)
			b = append(b, x.head[:]...)
		}
	}
	return b
}

func decodeChange(b []byte) (*change, error) {
	d := &binfmt.Decoder{B: b, What: "journal record"}
	version := d.Byte()
	switch {
	case version > changeVersion:
		return nil, errs.New(errs.TooNew, "read journal: a record has format version %d and this program knows %d; use a newer stemma", version, changeVersion)
	case version < changePlain:
		d.Fail("format version 0")
	}
	c := &change{}
	for n := d.Count(); n > 0 && d.Err == nil; n-- {
		c.refs = append(c.refs, refChange{name: d.Str(), head: d.Hash()})
	}
	for n := d.Count(); n > 0 && d.Err == nil; n-- {
		c.tags = append(c.tags, tagChange{name: d.Str(), object: d.Hash()})
	}
	for n := d.Count(); n > 0 && d.Err == nil; n-- {
		x := workChange{branch: d.Str(), working: tree.ReadRoot(d), staged: tree.ReadRoot(d), all: d.Bool()}
		for m := d.Count(); m > 0 && d.Err == nil; m-- {
			x.folded = append(x.folded, folded{table: d.Str(), upTo: d.Uvarint()})
		}
		if version >= changeMerging {
			x.merge = d.Hash()
		}
		if version >= changeAside {
			x.rebase = d.Hash()
		}
		c.work = append(c.work, x)
	}
	for n := d.Count(); n > 0 && d.Err == nil; n-- {
		c.rows = append(c.rows, rowChange{branch: d.Str(), table: d.Str(), schema: d.Hash(), edits: table.ReadEdits(d)})
	}
	c.head = d.Str()
	for n := d.Count(); n > 0 && d.Err == nil; n-- {
		c.auto = append(c.auto, autoChange{table: d.Str(), next: d.Uvarint()})
	}
	if version >= changeLogged {
		c.log = readMoves(d)
	}
	if version >= changeAside {
		for n := d.Count(); n > 0 && d.Err == nil; n-- {
			x := stashChange{name: d.Str()}
			for m := d.Count(); m > 0 && d.Err == nil; m-- {
				x.stashes = append(x.stashes, d.Hash())
			}
			c.stashes = append(c.stashes, x)
		}
	}
	if version >= changeWritten {
		for n := d.Count(); n > 0 && d.Err == nil; n-- {
			c.writes = append(c.writes, Write{ID: d.Str(), Result: d.Str()})
		}
	}
	if version >= changeTracked {
		for n := d.Count(); n > 0 && d.Err == nil; n-- {
			c.tracks = append(c.tracks, refChange{name: d.Str(), head: d.Hash()})
		}
	}
	return c, d.Done()
}
