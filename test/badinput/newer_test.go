package badinput

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/vfs"
)

// kinds are the kinds of chunks by the names that scripts call them.
var kinds = map[string]chunk.Kind{
	"page": chunk.KindPage, "node": chunk.KindNode, "rowleaf": chunk.KindRowLeaf, "group": chunk.KindGroup, "blob": chunk.KindBlob,
	"schema": chunk.KindSchema, "table": chunk.KindTable, "commit": chunk.KindCommit, "tag": chunk.KindTag, "merge": chunk.KindMerge,
	"stash": chunk.KindStash, "rebase": chunk.KindRebase,
}

// renewal writes a store anew, as a newer program could have written it: with a version of a kind of chunks that this one does not know.
// All hashes are right.
type renewal struct {
	t     *testing.T
	from  *pack.Store
	kind  chunk.Kind
	known map[hash.Hash]bool
	made  map[hash.Hash]hash.Hash // new hashes by old ones
	out   *pack.Batch
	found int // chunks of the kind
}

// chunk writes a chunk, and before it those that it names.
func (n *renewal) chunk(h hash.Hash) hash.Hash {
	n.t.Helper()
	if to, ok := n.made[h]; ok {
		return to
	}
	data, err := n.from.Get(n.t.Context(), h)
	check(n.t, err)
	data = n.renamed(data)
	if chunk.Kind(data[0]) == n.kind {
		data[1] = 99
		n.found++
	}
	to, err := n.out.Put(n.t.Context(), data)
	check(n.t, err)
	n.made[h] = to
	return to
}

// renamed is data with the new hashes of the chunks that it names.
func (n *renewal) renamed(data []byte) []byte {
	out := slices.Clone(data)
	for at := 0; at+hash.Size <= len(out); at++ {
		if h := hash.Hash(out[at : at+hash.Size]); n.known[h] {
			to := n.chunk(h)
			copy(out[at:], to[:])
			at += hash.Size - 1
		}
	}
	return out
}

// renew makes the database of a directory one whose chunks of a kind have a version that no program knows yet. edit, if not nil, changes the
// records of the journal.
func renew(t *testing.T, dir string, kind chunk.Kind, edit func(*pack.Record)) {
	t.Helper()
	ctx := t.Context()
	old := dir + ".old"
	check(t, os.Rename(dir, old))
	from, err := pack.Open(ctx, vfs.OS{}, old, pack.Options{ReadOnly: true})
	check(t, err)
	check(t, pack.Create(ctx, vfs.OS{}, dir))
	to, err := pack.Open(ctx, vfs.OS{}, dir, pack.Options{})
	check(t, err)
	n := &renewal{t: t, from: from, kind: kind, known: map[hash.Hash]bool{}, made: map[hash.Hash]hash.Hash{}, out: to.NewBatch()}
	check(t, from.Each(ctx, func(h hash.Hash, _ int64, _ string) error {
		n.known[h] = true
		return nil
	}))
	state, tail := from.Recovered()
	if state != nil {
		check(t, to.Checkpoint(ctx, n.renamed(state)))
	}
	for i := range tail {
		tail[i].Payload = n.renamed(tail[i].Payload)
		if edit != nil {
			edit(&tail[i])
		}
	}
	lsn, err := to.Append(ctx, n.out, tail...)
	check(t, err)
	check(t, to.Wait(ctx, lsn))
	check(t, n.out.Close())
	check(t, to.Close(ctx))
	check(t, from.Close(ctx))
	check(t, os.RemoveAll(old))
	if n.found == 0 && edit == nil {
		t.Fatalf("the database has no chunk of kind %d: the test does not test", kind)
	}
}

// newDatabase makes a database by command lines, in a directory of its own, and gives a function that runs others there.
func newDatabase(t *testing.T, lines ...string) (dir string, run func(line string) (out, errOut string, status int)) {
	t.Helper()
	s := &served{t: t, base: t.TempDir()}
	s.db = filepath.Join(s.base, "shop")
	check(t, os.Mkdir(s.db, 0o777))
	run = func(line string) (string, string, int) { return s.program(words(t, line)...) }
	for _, line := range append([]string{"init"}, lines...) {
		if _, errOut, status := run(line); status != 0 && line != "merge side" && line != "rebase main" {
			t.Fatalf("%s: %d %s", line, status, errOut)
		}
	}
	return filepath.Join(s.db, ".stemma"), run
}

// untouched complains when a command changed files of the database.
func untouched(t *testing.T, dir string, before map[string][]byte, line string) {
	t.Helper()
	now, err := contents(dir)
	check(t, err)
	for name, b := range now {
		if was, ok := before[name]; !ok || !bytes.Equal(was, b) {
			t.Errorf("%s changed %s", line, name)
		}
		delete(before, name)
	}
	for name := range before {
		t.Errorf("%s removed %s", line, name)
	}
}

// newerTables is what the tests below begin with: a table with leaves, nodes, long cells and many columns, a tag and a commit.
func newerTables() []string {
	wide := make([]string, 150)
	for i := range wide {
		wide[i] = fmt.Sprintf("c%d varchar(200) default (uuid())", i)
	}
	return []string{
		`sql -q "create table t (id int primary key, s varchar(300)); insert into t with recursive n (i) as (select 1 union all select i + 1 from n where i < 999) select i, concat(uuid(), uuid()) from n"`,
		`sql -q "create table texts (id int primary key, s longtext); insert into texts values (1, repeat('0123456789abcdef', 100000))"`,
		`sql -q "create table wide (id int primary key, ` + strings.Join(wide, ", ") + `); insert into wide (id) with recursive n (i) as (select 1 union all select i + 1 from n where i < 40) select i from n"`,
		`commit -Am one`, `tag -m tagged v1`,
	}
}

// diverged are command lines after which a merge, or a rebase, of side and main stops at a conflict.
var diverged = []string{
	`checkout -b side`, `sql -q "update t set s = 'a' where id = 1"`, `commit -am side`,
	`checkout main`, `sql -q "update t set s = 'b' where id = 1"`, `commit -am main`,
}

// TestNewerObjects uses databases in which a newer program has written one kind of object: what needs such an object says that it takes a
// newer program and changes nothing, and what does not need it goes on.
func TestNewerObjects(t *testing.T) {
	const sum, insert, count = `sql -q "select sum(length(s)) from t"`, `sql -q "insert into t values (0, 'x')"`, `sql -q "select count(*) from t"`
	for _, c := range []struct {
		kind   string
		more   []string // to make one, after the tables
		fail   []string
		stands []string // what works all the same
	}{
		{"page", nil, []string{"table export t -", sum, insert}, []string{"log", "status", "ls", "diff HEAD~1 --stat", count}},
		{"node", nil, []string{"table export t -", sum, insert}, []string{"log", "status", "table export wide -", count}},
		{"rowleaf", nil, []string{"status", "ls", "table export t -", count, insert}, []string{"log", "branch", "tag"}},
		{"group", nil, []string{"table export wide -"}, []string{"log", "status", "table export t -", insert}},
		{"blob", nil, []string{"table export texts -"}, []string{"log", "status", "table export t -", insert}},
		{"schema", nil, []string{"ls", "table export t -", sum, count, insert}, []string{"log", "branch", "tag"}},
		{"table", nil, []string{"ls", "table export t -", sum, count, insert}, []string{"log", "branch", "tag"}},
		{"commit", nil, []string{"log", "status", "diff HEAD~1", "commit --allow-empty -m x"}, []string{"branch", "ls", "table export t -"}},
		{"tag", nil, []string{"tag", "log"}, []string{"status", "branch", "table export t -", insert}},
		{"merge", append(diverged, "merge side"), []string{"status", "commit --allow-empty -m x", "merge --abort"}, []string{"log", "branch", count}},
		{"stash", []string{insert, "stash"}, []string{"stash list", "stash pop"}, []string{"log", "status", sum}},
		{"rebase", append(diverged, "checkout side", "rebase main"), []string{"rebase --continue", "rebase --abort"}, []string{"log", count}},
	} {
		t.Run(c.kind, func(t *testing.T) {
			dir, run := newDatabase(t, append(newerTables(), c.more...)...)
			renew(t, dir, kinds[c.kind], nil)
			for _, line := range c.fail {
				before, err := contents(dir)
				check(t, err)
				_, errOut, status := run(line)
				tooNew(t, line, errOut, status)
				untouched(t, dir, before, line)
			}
			for _, line := range c.stands {
				if _, errOut, status := run(line); status != 0 {
					t.Errorf("%s: %d %s", line, status, errOut)
				}
			}
			if out, _, status := run("fsck"); status != 1 || !strings.Contains(out, "format version 99 is newer than this program's ") {
				t.Errorf("fsck: %d %s", status, out)
			}
		})
	}
}

// tooNew complains of what is not the one sentence about a database of a newer program.
func tooNew(t *testing.T, line, errOut string, status int) {
	t.Helper()
	want := 9
	if strings.HasPrefix(line, "sql -q") && strings.Contains(errOut, "on line 1 for query") {
		want = 1 // as of every statement that fails
	}
	if status != want || !strings.HasPrefix(errOut, "error: ") || !strings.HasSuffix(errOut, "; use a newer stemma\n") || strings.Count(errOut, "\n") != 1 {
		t.Errorf("%s: status %d\n%s", line, status, errOut)
	}
}

// frame is where a frame of a journal's segment begins and ends.
type frame struct{ from, to int }

// frames are those of a segment.
func frames(segment []byte) []frame {
	var out []frame
	for at := 64; at+33 <= len(segment); {
		n := int(binary.LittleEndian.Uint32(segment[at:]))
		if n < 33 || at+n > len(segment) {
			break
		}
		out = append(out, frame{at, at + n})
		at += (n + 7) &^ 7
	}
	return out
}

// crc is the checksum of the store's files.
func crc(b ...[]byte) uint32 {
	sum := uint32(0)
	for _, x := range b {
		sum = crc32.Update(sum, crc32.MakeTable(crc32.Castagnoli), x)
	}
	return sum
}

// TestNewerFiles opens databases of which a file is of a newer form: nothing is done with them.
func TestNewerFiles(t *testing.T) {
	segment := filepath.Join("journal", "0000000001.jnl")
	// last changes the last frame before the one that ends the segment.
	last := func(change func(f []byte)) func(*testing.T, []byte) {
		return func(t *testing.T, b []byte) {
			fs := frames(b)
			if len(fs) < 3 {
				t.Fatalf("the segment has %d frames", len(fs))
			}
			f := b[fs[len(fs)-2].from:fs[len(fs)-2].to]
			change(f)
			binary.LittleEndian.PutUint32(f[4:], crc(f[8:]))
		}
	}
	lines := []string{"log", "status", `sql -q "select 1"`, `sql -q "insert into t values (0, 'x')"`, "commit --allow-empty -m x", "fsck", "backup ../copy", "sql-server -P 1"}
	for _, c := range []struct {
		name, file string
		change     func(t *testing.T, b []byte)
	}{
		{"segment", segment, func(_ *testing.T, b []byte) {
			b[7]++
			binary.LittleEndian.PutUint32(b[60:], crc(b[:60]))
		}},
		{"frame", segment, last(func(f []byte) { f[32] = 9 })},
		{"payload", segment, last(func(f []byte) { f[33] = 7 })},
		{"pack", filepath.Join("packs", "*.pack"), func(_ *testing.T, b []byte) { b[len(b)-96+20] = 9 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, run := newDatabase(t, newerTables()...)
			if c.name == "pack" {
				file := filepath.Join(filepath.Dir(filepath.Dir(dir)), "rows.csv")
				check(t, os.WriteFile(file, csvRows(60000), 0o666))
				if _, errOut, status := run("table import -c --pk id big " + file); status != 0 {
					t.Fatal(errOut)
				}
			}
			names, err := filepath.Glob(filepath.Join(dir, c.file))
			check(t, err)
			if len(names) != 1 {
				t.Fatalf("files %q", names)
			}
			b, err := os.ReadFile(names[0])
			check(t, err)
			c.change(t, b)
			check(t, os.WriteFile(names[0], b, 0o666))
			refuseAll(t, dir, run, append(lines, "init"))
		})
	}
	// Records whose type or version is that of a newer program.
	for name, edit := range map[string]func(*pack.Record){
		"record":  func(r *pack.Record) { r.Type = 7 },
		"change":  func(r *pack.Record) { r.Payload[0] = 99 },
		"listing": func(r *pack.Record) { r.Type, r.Payload = 255, []byte{9} },
	} {
		t.Run(name, func(t *testing.T) {
			dir, run := newDatabase(t, newerTables()...)
			renew(t, dir, 0, edit)
			refuseAll(t, dir, run, lines)
		})
	}
}

// refuseAll runs command lines on a database that is too new for all of them.
func refuseAll(t *testing.T, dir string, run func(string) (string, string, int), lines []string) {
	t.Helper()
	for _, line := range lines {
		before, err := contents(dir)
		check(t, err)
		_, errOut, status := run(line)
		tooNew(t, line, errOut, status)
		untouched(t, dir, before, line)
	}
}
