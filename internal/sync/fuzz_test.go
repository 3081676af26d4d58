package sync

import (
	"maps"
	"reflect"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
)

// FuzzRef reads objects of refs, which come from other machines: what is accepted means the same when it is written and read again.
func FuzzRef(f *testing.F) {
	at := Target{Commit: [hash.Size]byte{1}, List: hash.Sum([]byte("list"))}
	tag := Target{Commit: at.Commit, Tag: hash.Sum([]byte("tag")), List: at.List}
	for _, v := range []value{{nonce: "n"}, {Target: at, nonce: "n"}, {Target: at, change: "abc123", nonce: "n"}, {change: "c", next: at, nonce: "n"},
		{Target: at, kept: true, work: at.Commit, was: []string{"a", "b"}, nonce: "n"}, {Target: at, kept: true, change: "c", next: at, nextWork: at.Commit, nonce: "n"},
		{kept: true, runs: at, nonce: "n"}, {Target: at, kept: true, runs: at, change: "c", next: at, nextRuns: at, nonce: "n"},
		{Target: at, kept: true, wrote: []Wrote{{"a b", "{}"}, {"", ""}}, change: "c", nextWrote: []Wrote{{"ä", "\n"}}, nonce: "n"},
		{Target: at, kept: true, work: at.Commit, open: Unfinished{Merge: at.List}, runs: at, nonce: "n"},
		{Target: at, kept: true, open: Unfinished{Rebase: at.List}, change: "c", next: at, nextOpen: Unfinished{at.List, at.List}, nonce: "n"}} {
		f.Add(v.encode(Heads+"main"), Heads+"main")
	}
	f.Add(value{Target: at, kept: true, nonce: "n"}.encode(Stashes+"dolt-cli"), Stashes+"dolt-cli")
	f.Add(value{Target: tag, change: "abc", next: tag, nonce: "n"}.encode(Tags+"v1"), Tags+"v1")
	f.Add([]byte("stemma ref 5\n"), Heads+"main")
	f.Fuzz(func(t *testing.T, data []byte, name string) {
		v, err := decodeValue(data, name)
		if err != nil {
			return
		}
		again, err := decodeValue(v.encode(name), name)
		if v.change == "" {
			v.next, v.nextWork, v.nextOpen, v.nextRuns, v.nextWrote = Target{}, history.CommitID{}, Unfinished{}, Target{}, nil // mean nothing then, and are not written
		}
		if len(v.was) == 0 {
			v.was = nil
		}
		if err != nil || !reflect.DeepEqual(again, v) {
			t.Fatalf("%+v was written and read as %+v, %v", v, again, err)
		}
	})
}

// FuzzRefName reads names of objects: those that are of refs are the names that the refs give.
func FuzzRefName(f *testing.F) {
	for _, name := range []string{Heads + "main", Tags + "v1", Heads + "Größe/Ä b", Work + "main", Stashes + "my list/é", Lineage} {
		f.Add(refObject(name))
	}
	f.Add("refs/heads/..")
	f.Add("refs/heads/%2")
	f.Fuzz(func(t *testing.T, object string) {
		name, err := refNamed(object)
		if err != nil {
			return
		}
		if err := CheckRef(name); err != nil || refObject(name) != object {
			t.Fatalf("object %q is of the ref %q, whose object is %q, %v", object, name, refObject(name), err)
		}
	})
}

// FuzzList reads lists of packs under their own hashes.
func FuzzList(f *testing.F) {
	f.Add(encodeList(nil))
	f.Add(encodeList([]Pack{{Digest: hash.Sum([]byte("a")), Size: 1 << 40, Chunks: 7}, {Digest: hash.Sum([]byte("b"))}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := decodeList(data, hash.Sum(data))
		if err != nil {
			return
		}
		text := encodeList(list)
		again, err := decodeList(text, hash.Sum(text))
		if err != nil || !reflect.DeepEqual(again, list) {
			t.Fatalf("%v was written and read as %v, %v", list, again, err)
		}
	})
}

// FuzzPartial reads the file that says what a part of a database lacks.
func FuzzPartial(f *testing.F) {
	f.Add((&Partial{URL: "file:///a b", Lazy: true, Most: 1 << 30, Lists: []hash.Hash{hash.Sum(nil)}}).encode())
	f.Add((&Partial{URL: "s3://b/p", Shallow: []hash.Hash{hash.Sum(nil)}, Tables: []string{"t", "Ä \"x\""}}).encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := decodePartial(data)
		if err != nil {
			return
		}
		again, err := decodePartial(p.encode())
		if err != nil || !reflect.DeepEqual(again, p) {
			t.Fatalf("%+v was written and read as %+v, %v", p, again, err)
		}
	})
}

// FuzzGarbage reads notes of collections, which come from other machines: what is accepted means the same when it is written and read again.
func FuzzGarbage(f *testing.F) {
	f.Add(garbage{}.encode())
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f.Add(garbage{unnamed: map[string]time.Time{packsDir + "a.pack": at}, removed: map[string]time.Time{listsDir + "b": at, changesDir + "c": at}}.encode())
	f.Add(garbage{snapshots: true}.encode())
	f.Add([]byte("stemma garbage 2\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		g, err := decodeGarbage(data, "mem://")
		if err != nil {
			return
		}
		again, err := decodeGarbage(g.encode(), "mem://")
		same := func(a, b map[string]time.Time) bool { return maps.EqualFunc(a, b, time.Time.Equal) }
		if err != nil || !same(g.unnamed, again.unnamed) || !same(g.removed, again.removed) || g.snapshots != again.snapshots {
			t.Fatalf("%+v was written and read as %+v, %v", g, again, err)
		}
	})
}

// FuzzSnapshot reads snapshots, which come from other machines: what is accepted means the same when it is written and read again.
func FuzzSnapshot(f *testing.F) {
	x := hash.Sum([]byte("x"))
	target := Target{Commit: history.CommitID(x), List: x}
	tag := target
	tag.Tag = x
	f.Add(encodeSnapshot(map[string]Ref{"heads/a/ b": {Name: "heads/a/ b", Target: target}, "tags/t": {Name: "tags/t", Target: tag}, "work/main": {Name: "work/main", Target: target}}))
	f.Add([]byte("stemma snapshot 2\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		refs, err := decodeSnapshot(data, "s")
		if err != nil {
			return
		}
		again, err := decodeSnapshot(encodeSnapshot(refs), "s")
		if err != nil || !reflect.DeepEqual(again, refs) {
			t.Fatalf("%+v was written and read as %+v, %v", refs, again, err)
		}
	})
}
