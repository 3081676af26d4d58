package repo_test

import (
	"fmt"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
	"github.com/stemmadb/stemma/internal/vfs"
)

// openBare opens the database without a cache of chunks, which would have what is not there any more.
func openBare(t *testing.T, fs vfs.FS) *repo.Repo {
	t.Helper()
	r, err := repo.Open(t.Context(), fs, "/db", repo.Options{Clock: testClock, CacheBytes: -1})
	must(t, err)
	return r
}

// everything removes all that is not in use, what refs named before included.
func everything() repo.CollectOptions {
	return repo.CollectOptions{Full: true, Expire: testClock.Now().Add(time.Hour), CompressLeast: -1}
}

// fill replaces the table people by one of n rows that begin at from, and commits when a message is given.
func fill(t *testing.T, r *repo.Repo, branch, message string, from, n int) {
	t.Helper()
	tx, err := r.Begin(t.Context(), branch)
	must(t, err)
	defer tx.Rollback()
	if _, _, there, err := tx.Table(t.Context(), "people"); err != nil {
		t.Fatal(err)
	} else if there {
		must(t, tx.DropTable(t.Context(), "people"))
	}
	must(t, tx.CreateTable(t.Context(), "people", people()))
	e := edit(t, tx, "people")
	for i := range n {
		must(t, e.Insert(t.Context(), person(int64(from+i), fmt.Sprintf("%d@%d", i*7919, from), int64(i%90))))
	}
	_, err = tx.FoldTable(t.Context(), "people")
	must(t, err)
	must(t, tx.Commit(t.Context()))
	if message != "" {
		_, err := r.Commit(t.Context(), repo.CommitOptions{Branch: branch, Message: message, AddNew: true, Author: signature()})
		must(t, err)
	}
}

// bytesOf is the length of all files of the database, and their names.
func bytesOf(t *testing.T, fs vfs.FS, dir string) (n int64, names []string) {
	t.Helper()
	list, err := fs.ReadDir(dir)
	must(t, err)
	for _, name := range list {
		in, err := fs.Stat(path.Join(dir, name))
		must(t, err)
		if in.Dir {
			m, more := bytesOf(t, fs, path.Join(dir, name))
			n, names = n+m, append(names, more...)
			continue
		}
		n, names = n+in.Size, append(names, path.Join(dir, name))
	}
	return n, names
}

// TestCollectSpaceComesBack loads a table time and again: afterwards the database is as large as one that was loaded once, and nothing of the
// loads is left in directories for files that do not last.
func TestCollectSpaceComesBack(t *testing.T) {
	r, fs := newRepo(t)
	fill(t, r, "main", "first", 0, 3000)
	must(t, r.Close(t.Context()))
	once, _ := bytesOf(t, fs, "/db")
	r = openBare(t, fs)
	for i := range 8 {
		fill(t, r, "main", "", 10_000*i, 3000)
		must(t, r.Checkpoint(t.Context()))
	}
	must(t, r.ResetHard(t.Context(), "main", head(t, r, "main")))
	done, err := r.Collect(t.Context(), everything())
	must(t, err)
	wantSound(t, r)
	must(t, r.Close(t.Context()))
	now, names := bytesOf(t, fs, "/db")
	if done.ChunksRemoved < 50 || done.Before < 4*done.After || now > once*5/4 {
		t.Errorf("%+v; %d bytes, of which one load made %d", done.CollectStats, now, once)
	}
	if done.Peak > done.After*11/10+64<<10 {
		t.Errorf("%d bytes came on top for a time, of %d in use", done.Peak, done.After)
	}
	for _, n := range names {
		if strings.Contains(n, "tmp") {
			t.Errorf("%s is left", n)
		}
	}
}

func head(t *testing.T, r *repo.Repo, branch string) hash.Hash {
	t.Helper()
	h, ok := r.BranchHead(branch)
	if !ok {
		t.Fatalf("no branch %s", branch)
	}
	return h
}

// TestCollectKeepsWhatIsRead collects while transactions, a hold and another process read what nothing names any more.
func TestCollectKeepsWhatIsRead(t *testing.T) {
	_, fs := newRepoClosed(t)
	r := openBare(t, fs)
	defer r.Close(t.Context())
	fill(t, r, "main", "first", 0, 500)
	must(t, r.CreateBranch(t.Context(), "b", head(t, r, "main"), false))
	fill(t, r, "b", "", 50_000, 500)
	fill(t, r, "main", "", 10_000, 500) // uncommitted, so that nothing but the working set reaches it
	tx := begin(t, r)
	v, _, _, err := tx.Table(t.Context(), "people")
	must(t, err)
	old, err := repo.Open(t.Context(), fs, "/db", repo.Options{Clock: testClock, CacheBytes: -1, ReadOnly: true})
	must(t, err)
	defer old.Close(t.Context())
	want := dump(t, v)
	fill(t, r, "main", "", 20_000, 500)
	hold := r.Hold()
	on, err := r.SnapshotWorking("b")
	must(t, err)
	bv, _, _, err := on.Table(t.Context(), "people")
	must(t, err)
	inB := dump(t, bv)
	must(t, r.DeleteBranch(t.Context(), "b", "", true))
	for range 2 {
		_, err = r.Collect(t.Context(), everything())
		must(t, err)
		if dump(t, v) != want || dump(t, bv) != inB || rows(t, old, "people") != want {
			t.Fatal("what is read is not what it was")
		}
	}
	// The transaction brings the old table back under another name.
	tab, err := tx.FoldTable(t.Context(), "people")
	must(t, err)
	must(t, tx.PutTable(t.Context(), "copy", tab))
	must(t, tx.Commit(t.Context()))
	hold.Release()
	done, err := r.Collect(t.Context(), everything())
	must(t, err)
	if done.ChunksRemoved == 0 {
		t.Error("nothing was removed when nobody read any more")
	}
	if rows(t, r, "copy") != want {
		t.Error("the copy is not what the table was")
	}
	if rows(t, old, "people") != want {
		t.Error("another process lost what it reads")
	}
	wantSound(t, r)
}

// TestCollectKeepsLongValues keeps values out of line that only edits above a table's trees name, those of a transaction's beginning
// included.
func TestCollectKeepsLongValues(t *testing.T) {
	_, fs := newRepoClosed(t)
	r := openBare(t, fs)
	defer r.Close(t.Context())
	s := &schema.Schema{}
	for _, c := range []schema.Column{
		{Name: "id", Type: value.Type{Kind: value.KindInt64}},
		{Name: "note", Type: value.Type{Kind: value.KindText, Length: 1 << 20, Collation: value.CollationUtf8mb40900Bin}, Nullable: true},
	} {
		c.ID = schema.AssignID(c.Name, c.Type, s.Columns, nil)
		s.Columns = append(s.Columns, c)
	}
	s.PrimaryKey = []schema.IndexColumn{{Column: s.Columns[0].ID}}
	tx := begin(t, r)
	must(t, tx.CreateTable(t.Context(), "notes", s))
	must(t, tx.Commit(t.Context()))
	long := func(n int) value.Cell {
		return value.BytesCell([]byte(strings.Repeat(fmt.Sprint(n, " "), 20_000)))
	}
	note := func(tx *repo.Tx) string {
		t.Helper()
		cells := make([]value.Cell, 2)
		key := edit(t, tx, "notes").Table().Schema.Primary.AppendKey(nil, []value.Cell{value.IntCell(1), value.Null})
		v, _, _, err := tx.Table(t.Context(), "notes")
		must(t, err)
		ok, err := v.Get(t.Context(), key, cells)
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		got, err := table.Resolve(t.Context(), v.Reader(), cells[1])
		must(t, err)
		return string(got.Bytes())
	}
	tx = begin(t, r)
	must(t, edit(t, tx, "notes").Insert(t.Context(), []value.Cell{value.IntCell(1), long(1)}))
	must(t, tx.Commit(t.Context()))
	reader := begin(t, r)
	defer reader.Rollback()
	tx = begin(t, r)
	_, err := edit(t, tx, "notes").Update(t.Context(), []value.Cell{value.IntCell(1), long(1)}, []value.Cell{value.IntCell(1), long(2)})
	must(t, err)
	must(t, tx.Commit(t.Context()))
	for range 2 {
		_, err := r.Collect(t.Context(), everything())
		must(t, err)
	}
	if note(reader) != string(long(1).Bytes()) {
		t.Error("the reader does not find the value as it was")
	}
	now := begin(t, r)
	defer now.Rollback()
	if note(now) != string(long(2).Bytes()) {
		t.Error("the value is not what was written")
	}
	wantSound(t, r)
}

func newRepoClosed(t *testing.T) (*repo.Repo, vfs.FS) {
	t.Helper()
	r, fs := newRepo(t)
	must(t, r.Close(t.Context()))
	return r, fs
}

// TestCollectKeepsLineage keeps the commit that a run has read, though no ref reaches it.
func TestCollectKeepsLineage(t *testing.T) {
	_, fs := newRepoClosed(t)
	r := openBare(t, fs)
	defer r.Close(t.Context())
	fill(t, r, "main", "first", 0, 200)
	first := head(t, r, "main")
	must(t, r.CreateBranch(t.Context(), "b", first, false))
	fill(t, r, "b", "read", 10_000, 200)
	read := head(t, r, "b")
	fill(t, r, "b", "not read", 20_000, 200)
	lost := head(t, r, "b")
	_, err := r.StartRun(t.Context(), lineage.Run{UID: "5f0e4f6e-9a3b-4c58-9a70-000000000001", System: "test"})
	must(t, err)
	must(t, r.RecordRun(t.Context(), "5f0e4f6e-9a3b-4c58-9a70-000000000001", []lineage.Input{{DB: "db", Table: "people", Commit: read.Full()}}, nil))
	must(t, r.DeleteBranch(t.Context(), "b", "", true))
	_, err = r.Collect(t.Context(), everything())
	must(t, err)
	snap, err := r.SnapshotAt(t.Context(), read)
	must(t, err)
	v, _, _, err := snap.Table(t.Context(), "people")
	must(t, err)
	if got := strings.Count(dump(t, v), ":"); got != 400 {
		t.Errorf("%d colons", got)
	}
	if _, err := r.SnapshotAt(t.Context(), lost); !errs.Is(err, errs.NotFound) {
		t.Errorf("a commit that nothing names is there: %v", err)
	}
}

// TestCollectReflog keeps what a deleted branch named, until the moves are forgotten.
func TestCollectReflog(t *testing.T) {
	_, fs := newRepoClosed(t)
	r := openBare(t, fs)
	defer r.Close(t.Context())
	fill(t, r, "main", "first", 0, 100)
	must(t, r.CreateBranch(t.Context(), "b", head(t, r, "main"), false))
	fill(t, r, "b", "gone", 10_000, 100)
	gone := head(t, r, "b")
	must(t, r.DeleteBranch(t.Context(), "b", "", true))
	_, err := r.Collect(t.Context(), repo.CollectOptions{Full: true})
	must(t, err)
	if _, err := r.SnapshotAt(t.Context(), gone); err != nil {
		t.Errorf("what the reflog names is gone: %v", err)
	}
	done, err := r.Collect(t.Context(), everything())
	must(t, err)
	if _, err := r.SnapshotAt(t.Context(), gone); !errs.Is(err, errs.NotFound) || done.Expired == 0 {
		t.Errorf("what the reflog has forgotten (%d moves) is there: %v", done.Expired, err)
	}
	must(t, r.Close(t.Context()))
	r = openBare(t, fs)
	for _, m := range r.RefLog() {
		if _, err := r.SnapshotAt(t.Context(), m.Commit); err != nil {
			t.Errorf("the reflog names what is not there: %s: %v", m.Ref, err)
		}
	}
}

// TestCollectByItself lets a database grow until garbage is collected, and sees that it is not when that is turned off.
func TestCollectByItself(t *testing.T) {
	for _, growth := range []int{100, 0} {
		t.Run(fmt.Sprint(growth), func(t *testing.T) {
			_, fs := newRepoClosed(t)
			r, err := repo.Open(t.Context(), fs, "/db", repo.Options{Clock: testClock, CollectLeast: 64 << 10})
			must(t, err)
			r.AutoCollect(growth)
			fell := false
			var most, now int64
			size := func() int64 { n := r.Store().Stats(); return n.PackBytes + n.JournalBytes }
			for i := 0; i < 200 && !fell; i++ {
				fill(t, r, "main", "", 10_000*i, 2000)
				must(t, r.Checkpoint(t.Context()))
				must(t, r.Store().Folded(t.Context()))
				now = size()
				fell = now < most/2
				most = max(most, now)
				if growth == 0 && i == 20 {
					break
				}
			}
			for i := 0; growth > 0 && !fell && i < 600; i++ { // it runs in the background
				time.Sleep(100 * time.Millisecond)
				now = size()
				fell = now < most/2
			}
			if fell != (growth > 0) {
				t.Errorf("garbage was collected: %v; %d bytes in the end, %d at most", fell, now, most)
			}
			must(t, r.Close(t.Context()))
			must(t, r.BackgroundError())
			r = openBare(t, fs)
			defer r.Close(t.Context())
			wantSound(t, r)
		})
	}
}

// TestCollectKeepsWhatVerbsRead keeps what a verb that holds the database has read of a working set that came after its beginning and that a
// transaction has replaced.
func TestCollectKeepsWhatVerbsRead(t *testing.T) {
	_, fs := newRepoClosed(t)
	r := openBare(t, fs)
	defer r.Close(t.Context())
	fill(t, r, "main", "first", 0, 500)
	hold := r.Hold()
	fill(t, r, "main", "", 10_000, 500)
	on, err := r.SnapshotWorking("main")
	must(t, err)
	v, _, _, err := on.Table(t.Context(), "people")
	must(t, err)
	want := dump(t, v)
	fill(t, r, "main", "", 20_000, 500)
	_, err = r.Collect(t.Context(), everything())
	must(t, err)
	if dump(t, v) != want {
		t.Error("what a verb reads is not what it was")
	}
	head, work, err := r.WorkCommit(t.Context(), "main")
	must(t, err)
	_, err = r.Collect(t.Context(), everything())
	must(t, err)
	if _, err := r.SnapshotAt(t.Context(), work); err != nil || work == head {
		t.Errorf("the working set as a backup has it: %v", err)
	}
	hold.Release()
	wantSound(t, r)
}

// TestCollectedIsNotNamed: a commit of which only a part is left, in a file with other chunks or in memory, is not named any more.
func TestCollectedIsNotNamed(t *testing.T) {
	for name, opt := range map[string]repo.CollectOptions{
		"memory": {Full: true, Expire: testClock.Now().Add(time.Hour)},
		"part":   {Drop: true, Expire: testClock.Now().Add(time.Hour)},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := newRepo(t)
			defer r.Close(t.Context())
			pack := func() {
				t.Helper()
				must(t, r.Checkpoint(t.Context()))
				must(t, r.Store().Folded(t.Context()))
			}
			fill(t, r, "main", "first", 0, 500)
			must(t, r.CreateBranch(t.Context(), "b", head(t, r, "main"), false))
			pack()
			fill(t, r, "b", "", 10_000, 500)
			pack()
			_, err := r.Commit(t.Context(), repo.CommitOptions{Branch: "b", Message: "gone", AddNew: true, Author: signature()})
			must(t, err)
			fill(t, r, "main", "second", 20_000, 500)
			pack()
			gone := head(t, r, "b")
			must(t, r.DeleteBranch(t.Context(), "b", "", true))
			must(t, r.Whole(t.Context(), gone))
			must(t, r.CreateBranch(t.Context(), "again", gone, false))
			must(t, r.DeleteBranch(t.Context(), "again", "", true))
			done, err := r.Collect(t.Context(), opt)
			must(t, err)
			if ok, err := r.Store().Has(t.Context(), gone); ok != opt.Drop || err != nil || done.ChunksRemoved == 0 {
				t.Fatalf("the test does not test: %v, %v, %+v", ok, err, done.CollectStats)
			}
			for what, err := range map[string]error{
				"branch": r.CreateBranch(t.Context(), "c", gone, false),
				"tag":    r.CreateTag(t.Context(), "t", history.Tag{Commit: gone}, false),
				"reset":  r.ResetHard(t.Context(), "main", gone),
				"tables": r.Unstage(t.Context(), "main", gone, []string{"people"}),
			} {
				if !errs.Is(err, errs.NotFound) {
					t.Errorf("%s: %v, want class NotFound", what, err)
				}
			}
			if _, err := r.Merge(t.Context(), repo.MergeOptions{Branch: "main", Theirs: gone, Message: "m", Author: signature()}); !errs.Is(err, errs.NotFound) {
				t.Errorf("merge: %v, want class NotFound", err)
			}
			if _, err := r.Resolve(t.Context(), gone.Full(), "main"); (err == nil) != opt.Drop {
				t.Errorf("resolve: %v", err)
			}
			_, err = r.Collect(t.Context(), everything())
			must(t, err)
			wantSound(t, r)
		})
	}
}
