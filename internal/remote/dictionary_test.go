package remote_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/fsck"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/object/buckettest"
	"github.com/stemmadb/stemma/internal/object/file"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/remote"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/value"
	"github.com/stemmadb/stemma/internal/vfs"
)

// compact collects garbage and compresses history.
func (m *machine) compact(t tb) {
	t.Helper()
	_, err := m.Collect(ctx, repo.CollectOptions{Full: true, CompressLeast: -1})
	must(t, err)
	if !m.Store().HasDictionaries() {
		t.Fatalf("%s has nothing that is compressed with a dictionary: the test does not test", m.name)
	}
}

// compacted is a machine with a history that is compressed with dictionaries.
func compacted(t tb, rng *rand.Rand) *machine {
	t.Helper()
	m := newMachine(t, "ada")
	for range 40 {
		m.work(t, "main", rng)
	}
	m.compact(t)
	m.sound(t)
	return m
}

// bulk makes two commits, of which the first has about that many bytes of texts that hardly can be compressed, and the second none of them.
func (m *machine) bulk(t tb, size int, rng *rand.Rand) {
	t.Helper()
	const each = 4900
	commit := func(change func(tx *repo.Tx) error) {
		t.Helper()
		tx, err := m.Begin(ctx, "main")
		must(t, err)
		must(t, change(tx))
		must(t, tx.Commit(ctx))
		_, err = m.Commit(ctx, repo.CommitOptions{Branch: "main", Message: "bulk", Author: signature(m.name), AddNew: true})
		must(t, err)
	}
	commit(func(tx *repo.Tx) error {
		must(t, tx.CreateTable(ctx, "bulk", notes()))
		e, err := tx.Editor(ctx, "bulk")
		must(t, err)
		for i := range size / each {
			text := make([]byte, each)
			for k := range text {
				text[k] = byte(' ' + rng.IntN(90))
			}
			must(t, e.Insert(ctx, []value.Cell{value.IntCell(int64(i)), value.BytesCell(text)}))
		}
		return nil
	})
	commit(func(tx *repo.Tx) error { return tx.DropTable(ctx, "bulk") })
}

// past is what the last commits of a branch hold, oldest last.
func (m *machine) past(t tb, head history.CommitID, n int) (out []contents) {
	t.Helper()
	for i := range n {
		c, err := history.GetCommit(ctx, m.Store(), head)
		must(t, err)
		name := fmt.Sprintf("past%d", i)
		must(t, m.CreateBranch(ctx, name, head, false))
		out = append(out, m.contents(t, name))
		must(t, m.DeleteBranch(ctx, name, "", true))
		head = c.Parents[0]
	}
	return out
}

func wantPast(t tb, m, want *machine, head history.CommitID) {
	t.Helper()
	const n = 30
	have := m.past(t, head, n)
	for i, w := range want.past(t, head, n) {
		if len(w) == 0 && i < n/2 || !maps.Equal(have[i], w) {
			t.Fatalf("%d commits back %s has %d rows, %s has %d or others", i, m.name, len(have[i]), want.name, len(w))
		}
	}
}

// TestCompressedHistoryTravels pushes a database whose history is compressed with dictionaries to remotes of all kinds, clones it, fetches what comes
// later and compares what old commits hold. No pack goes with its dictionary, which has
// pieces of what is not sent: a long history that is pushed at once goes without, too.
func TestCompressedHistoryTravels(t *testing.T) {
	urls := map[string]func(t *testing.T) (url string, fs *vfs.Mem){
		"file": func(*testing.T) (string, *vfs.Mem) { return "file:///data/first", vfs.NewMem() },
	}
	for _, kind := range buckettest.Kinds {
		urls[kind.Scheme] = func(t *testing.T) (string, *vfs.Mem) {
			kind.Start(t, "data")
			return kind.Scheme + "://data/first", vfs.NewMem()
		}
	}
	for kind, at := range urls {
		t.Run(kind, func(t *testing.T) {
			url, disk := at(t)
			openURL := func() *sync.Remote {
				r, err := remote.Open(ctx, url, remote.Options{FS: disk, Dir: "/"})
				must(t, err)
				return r
			}
			rng := rand.New(rand.NewPCG(3, 4))
			m := compacted(t, rng)
			_, err := m.push(openURL(), false, false, "main")
			must(t, err)
			wantMarker(t, kind, "first", disk)
			r := openURL()
			refs, err := r.Refs(ctx)
			must(t, err)
			fs := vfs.NewMem()
			must(t, clone(r, fs, refs))
			c := open(t, fs, "clone")
			c.sound(t)
			head, _ := m.BranchHead("main")
			wantPast(t, c, m, head)
			if c.Store().HasDictionaries() {
				t.Error("the remote has packs with dictionaries")
			}
			m.work(t, "main", rng)
			m.compact(t)
			_, err = m.push(openURL(), false, false, "main")
			must(t, err)
			c.compact(t)
			must(t, c.fetch(openURL()))
			c.sound(t)
			head, _ = m.BranchHead("main")
			wantPast(t, c, m, head)
			wantMarker(t, kind, "first", disk)
			must(t, c.Close(ctx))

			// A long history that is pushed at once.
			m.bulk(t, 4<<20, rng)
			for range 3 {
				m.work(t, "main", rng)
			}
			m.compact(t)
			url = strings.Replace(url, "first", "second", 1)
			_, err = m.push(openURL(), false, false, "main")
			must(t, err)
			wantMarker(t, kind, "second", disk)
			refs, err = openURL().Refs(ctx)
			must(t, err)
			fs = vfs.NewMem()
			must(t, clone(openURL(), fs, refs))
			c = open(t, fs, "second clone")
			c.sound(t)
			head, _ = m.BranchHead("main")
			wantPast(t, c, m, head)
			if c.Store().HasDictionaries() {
				t.Error("a pack was sent with its dictionary")
			}
			must(t, c.Close(ctx))
			must(t, m.Close(ctx))
		})
	}
}

// wantMarker looks whether the remote asks for no more than any does.
func wantMarker(t *testing.T, kind, path string, disk *vfs.Mem) {
	t.Helper()
	data, _, err := bucketOf(t, kind, "data", path, disk).Get(ctx, sync.MarkerName)
	must(t, err)
	if strings.Contains(string(data), "dictionary-1") {
		t.Errorf("the marker is %q", data)
	}
}

// TestCompressedHistoryIsServed clones, fetches and reads in parts what a server has compressed with dictionaries, whose packs it shows as they are.
func TestCompressedHistoryIsServed(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	m := compacted(t, rng)
	m.bulk(t, 4<<20, rng)
	for range 3 {
		m.work(t, "main", rng)
	}
	m.compact(t)
	s, err := m.Serve("the server", nil)
	must(t, err)
	defer s.Close()
	marker, _, err := s.Get(ctx, sync.MarkerName)
	must(t, err)
	if !strings.Contains(string(marker), "required dictionary-1 ") {
		t.Errorf("the marker is %q", marker)
	}
	r := mustOpen(t, s)
	refs, err := r.Refs(ctx)
	must(t, err)
	refs = map[string]sync.Ref{sync.Heads + "main": refs[sync.Heads+"main"]}
	fs := vfs.NewMem()
	must(t, clone(r, fs, refs))
	c := open(t, fs, "clone")
	c.sound(t)
	head, _ := m.BranchHead("main")
	wantPast(t, c, m, head)
	if !c.Store().HasDictionaries() {
		t.Error("no pack came as it was: the test does not test")
	}

	// One by one, into a database that has nothing.
	x := refs[sync.Heads+"main"]
	other := newMachine(t, "bob")
	b := other.Store().NewBatch()
	src := &sync.Source{Remote: r, Cache: &sync.Cache{FS: vfs.NewMem(), Dir: "/cache", Most: 1 << 30}}
	must(t, src.Add(ctx, x.Target))
	for _, h := range everything(t, m, x.Commit) {
		rec, err := src.Record(ctx, h)
		must(t, err)
		must(t, b.PutRecord(ctx, rec, nil))
	}
	check := fsck.New(b, func(p fsck.Problem) { t.Error(p) }, nil)
	must(t, check.Check(ctx, fsck.Start{Name: "main", Commit: x.Commit}))
	must(t, b.Close())

	// A part of it: some tables, some commits.
	for _, part := range []sync.Part{{Depth: 5}, {Tables: &sync.Partial{Tables: []string{"t1"}}}} {
		lacks := &sync.Partial{URL: r.URL()}
		if part.Tables != nil {
			lacks.Tables = part.Tables.Tables
		}
		batch, shallow, err := (&sync.Fetch{Remote: r, Store: other.Store(), FS: other.FS()}).Some(ctx, []sync.Target{x.Target}, part)
		must(t, err)
		check := fsck.New(batch, func(p fsck.Problem) { t.Error(p) }, nil)
		check.OnlyPart(lacks.With(shallow))
		must(t, check.Check(ctx, fsck.Start{Name: "main", Commit: x.Commit}))
		must(t, batch.Close())
	}

	// Those that a database lacks which has most.
	most := vfs.NewMem()
	c2, err := history.GetCommit(ctx, m.Store(), head)
	must(t, err)
	must(t, m.CreateBranch(ctx, "before", c2.Parents[0], false))
	must(t, clone(r, most, refs))
	d := open(t, most, "dora")
	for range 3 {
		m.work(t, "main", rng)
		for range 3 {
			m.work(t, "before", rng)
		}
		m.compact(t)
		must(t, d.fetch(mustOpen(t, s)))
		d.sound(t)
	}
	head, _ = m.BranchHead("main")
	wantPast(t, d, m, head)

	// And to the server comes what another has compressed.
	c.work(t, "main", rng)
	must(t, c.CreateBranch(ctx, "theirs", func() history.CommitID { h, _ := c.BranchHead("main"); return h }(), false))
	c.compact(t)
	_, err = c.push(mustOpen(t, s), false, false, "theirs")
	must(t, err)
	m.sound(t)
	head, _ = c.BranchHead("theirs")
	wantPast(t, m, c, head)
	for _, x := range []*machine{c, d, other} {
		must(t, x.Close(ctx))
	}
}

func bucketOf(t *testing.T, kind, bucket, path string, disk *vfs.Mem) object.Store {
	t.Helper()
	k, ok := buckettest.Of(kind)
	if !ok {
		return file.Open(disk, "/"+bucket+"/"+path)
	}
	s, err := k.Open(ctx, bucket, path)
	must(t, err)
	return s
}

// TestPacksWithDictionariesInBuckets reads a remote that has packs with dictionaries: whole, one by one, and in part.
func TestPacksWithDictionariesInBuckets(t *testing.T) {
	for _, bucket := range buckettest.Kinds {
		kind := bucket.Scheme
		t.Run(kind, func(t *testing.T) {
			bucket.Start(t, "data")
			rng := rand.New(rand.NewPCG(8, 8))
			m := compacted(t, rng)
			s, err := m.Serve("the server", nil)
			must(t, err)
			defer s.Close()
			to := bucketOf(t, kind, "data", "copied", nil)
			list, _, err := s.Get(ctx, sync.MarkerName)
			must(t, err)
			must(t, to.Put(ctx, sync.MarkerName, object.Bytes(list), object.IfAbsent))
			served := mustOpen(t, s)
			refs, err := served.Refs(ctx)
			must(t, err)
			x := refs[sync.Heads+"main"]
			for _, name := range []string{"refs/heads/main", "lists/" + x.List.Full()} {
				data, _, err := s.Get(ctx, name)
				must(t, err)
				must(t, to.Put(ctx, name, object.Bytes(data), object.IfAbsent))
			}
			packs, err := served.Packs(ctx, x.Target)
			must(t, err)
			for _, p := range packs {
				name := filepath.Join("packs", p.Digest.Full()+pack.Ext)
				data := make([]byte, p.Size)
				must(t, s.GetRange(ctx, name, data, 0))
				must(t, to.Put(ctx, name, object.Bytes(data), object.IfAbsent))
			}
			r := mustOpen(t, to)
			fs := vfs.NewMem()
			must(t, clone(r, fs, map[string]sync.Ref{sync.Heads + "main": x}))
			c := open(t, fs, "clone")
			c.sound(t)
			head, _ := m.BranchHead("main")
			wantPast(t, c, m, head)
			src := &sync.Source{Remote: r}
			must(t, src.Add(ctx, x.Target))
			b := newMachine(t, "bob").Store().NewBatch()
			for _, h := range everything(t, m, x.Commit) {
				rec, err := src.Record(ctx, h)
				must(t, err)
				must(t, b.PutRecord(ctx, rec, nil))
			}
			check := fsck.New(b, func(p fsck.Problem) { t.Error(p) }, nil)
			must(t, check.Check(ctx, fsck.Start{Name: "main", Commit: x.Commit}))
			must(t, b.Close())
			// Garbage of it is collected as of any.
			_, err = (&sync.Collect{Remote: r, Now: noon, Grace: day}).Run(ctx)
			must(t, err)
			must(t, c.Close(ctx))
		})
	}
}
