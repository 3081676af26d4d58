package repo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"strconv"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/vfs"
)

// readsName is the side file of reads in the directory of the store.
const readsName = "reads"

// readsHead begins the file.
const readsHead = "stemma reads 1\n"

// Bounds of the file: beyond the first, reads are kept without their statements, beyond the second not at all.
const (
	readsShort = 16 << 20
	readsLimit = 64 << 20
)

// readLog is the side file of the reads that are not in the tables yet, so that a program which is killed loses none. It is not synced: a
// power cut may take the last of it. Its caller sees to it that calls do not overlap.
type readLog struct {
	fs   vfs.FS
	path string // "" for none
	f    vfs.File
	size int64 // of what is to be read; 0 before the first line
}

// loggedRead is a line of the file: a read, or that reads were dropped.
type loggedRead struct {
	lineage.Current
	DB        string   `json:",omitempty"` // "" for this database
	Table     string   `json:",omitempty"`
	Ref       string   `json:",omitempty"`
	Commit    string   `json:",omitempty"`
	Working   bool     `json:",omitempty"`
	Hash      string   `json:",omitempty"` // "" of a table with edits above its trees
	Rows      *int64   `json:",omitempty"`
	Columns   []string // null for all
	Predicate string   `json:",omitempty"`
	Query     string   `json:",omitempty"`
	Dropped   int64    `json:",omitempty"` // so many, and nothing is known of them
}

// add writes a line. What cannot be written is only less safe.
func (l *readLog) add(x loggedRead) {
	if l.path == "" || l.size > readsLimit {
		return
	}
	if l.size > readsShort {
		x.Query = ""
	}
	body, err := json.Marshal(x)
	if err != nil {
		return
	}
	line := fmt.Appendf(nil, "%08x %s\n", crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)), body)
	if l.size == 0 {
		line = append([]byte(readsHead), line...)
	}
	if err = l.open(); err == nil {
		_, err = l.f.WriteAt(line, l.size)
	}
	if err != nil {
		l.end()
		return
	}
	l.size += int64(len(line))
}

// open opens the file, which is made when there is nothing in it.
func (l *readLog) open() (err error) {
	if l.f != nil {
		return nil
	}
	var f vfs.File
	if l.size > 0 {
		f, err = l.fs.OpenRW(l.path)
	} else {
		f, err = l.fs.Create(l.path)
	}
	if err == nil {
		l.f = f
	}
	return err
}

// end ends writing.
func (l *readLog) end() {
	l.close()
	l.path = ""
}

// clear takes all lines away: what they tell is in the tables.
func (l *readLog) clear() {
	if l.size == 0 || l.path == "" {
		return
	}
	err := l.open()
	if err == nil {
		err = l.f.Truncate(0)
	}
	if l.size = 0; err != nil {
		l.end()
	}
}

// close ends the use of the file. What Close says of it is of no interest.
func (l *readLog) close() {
	if l.f != nil {
		l.f.Close()
		l.f = nil
	}
}

// load reads what the owner before has left.
func (l *readLog) load() []loggedRead {
	data, err := vfs.ReadFile(l.fs, l.path)
	if err != nil {
		return nil // there is none, or it says nothing
	}
	out, n := decodeReads(data)
	l.size = int64(n)
	return out
}

// decodeReads are the lines of a file up to the first that is not whole, and the bytes that they take with what begins the file.
func decodeReads(data []byte) (out []loggedRead, size int) {
	data, ok := bytes.CutPrefix(data, []byte(readsHead))
	if ok {
		size = len(readsHead)
	}
	for ok {
		var line []byte
		if line, data, ok = bytes.Cut(data, []byte("\n")); !ok || len(line) < 9 || line[8] != ' ' {
			break
		}
		sum, err := strconv.ParseUint(string(line[:8]), 16, 32)
		var x loggedRead
		if err != nil || uint32(sum) != crc32.Checksum(line[9:], crc32.MakeTable(crc32.Castagnoli)) || json.Unmarshal(line[9:], &x) != nil || x.Run == "" {
			break
		}
		out, size = append(out, x), size+len(line)+1
	}
	return out, size
}

// logged is a read as the file has it.
func (r *Repo) logged(p *pendingRead) loggedRead {
	x := loggedRead{
		Current: p.by, Table: p.Table, Ref: p.Ref, Working: p.Working, Columns: p.Columns, Predicate: p.Predicate, Query: cutQuery(p.Query),
	}
	if p.from != r {
		x.DB = p.from.name
	}
	if !p.Commit.IsZero() {
		x.Commit = p.Commit.Full()
	}
	if p.View.Overlay().Len() == 0 {
		n := int64(p.View.Count())
		x.Hash, x.Rows = p.View.Table.Hash().Full(), &n
	}
	return x
}

// inputLeft is the record of a read that the owner before has left. What only its memory knew, such as the hash of a table with edits
// that are not folded, is unknown.
func (r *Repo) inputLeft(ctx context.Context, x *loggedRead) (lineage.Input, error) {
	in := lineage.Input{
		Run: x.Run, Node: x.Node, Attempt: x.Attempt, Alias: x.Alias, DB: x.DB, Table: x.Table, Ref: x.Ref, Hash: x.Hash, Rows: x.Rows,
		Predicate: x.Predicate, Query: x.Query, Commit: x.Commit,
	}
	own := in.DB == ""
	if own {
		in.DB = r.name
	}
	if in.Query != "" {
		in.QueryHash = hash.Sum([]byte(in.Query)).Full()
	}
	var err error
	if in.Columns, err = columnsJSON(x.Columns); err != nil || !x.Working || in.Commit == "" {
		return in, err
	}
	in.Commit = ""
	id, err := hash.Parse(x.Commit)
	if err != nil || !own || in.Hash == "" {
		return in, nil
	}
	c, err := history.GetCommit(ctx, r.store, id)
	if errs.Is(err, errs.NotFound) {
		return in, nil
	}
	if err != nil {
		return in, err
	}
	if now, err := tableHash(ctx, r.store, c.Root, in.Table); err != nil || now != in.Hash {
		return in, err // it had changes that were not committed
	}
	in.Commit = x.Commit
	return in, nil
}
