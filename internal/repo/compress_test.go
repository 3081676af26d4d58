package repo_test

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/vfs"
)

// at is the rows of people at a commit.
func at(t *testing.T, r *repo.Repo, id history.CommitID) string {
	t.Helper()
	s, err := r.SnapshotAt(t.Context(), id)
	must(t, err)
	v, _, ok, err := s.Table(t.Context(), "people")
	must(t, err)
	if !ok {
		t.Fatal("there is no table")
	}
	return dump(t, v)
}

// TestCollectCompressesHistory compresses what only older commits have: they give what they gave, to readers that were there before and come
// later, and what the head has is stored as it was.
func TestCollectCompressesHistory(t *testing.T) {
	_, fs := newRepoClosed(t)
	r := openBare(t, fs)
	var ids []history.CommitID
	var want []string
	for i := range 8 {
		fill(t, r, "main", fmt.Sprint("version ", i), 1000*i, 3000)
		id, _ := r.BranchHead("main")
		ids, want = append(ids, id), append(want, at(t, r, id))
	}
	reader, err := repo.Open(t.Context(), fs, "/db", repo.Options{Clock: testClock, CacheBytes: -1, ReadOnly: true})
	must(t, err)
	plain, err := r.Collect(t.Context(), repo.CollectOptions{Full: true, Compress: pack.CompressNone})
	must(t, err)
	if plain.Compressed != 0 || r.Store().HasDictionaries() {
		t.Fatalf("%+v", plain)
	}
	before, err := r.Usage(t.Context(), "main", nil)
	must(t, err)
	done, err := r.Collect(t.Context(), repo.CollectOptions{Full: true})
	must(t, err)
	after, err := r.Usage(t.Context(), "main", nil)
	must(t, err)
	if done.Compressed < 20 || done.Saved < (before.History-after.History)*8/10 || done.After > plain.After*8/10 {
		t.Errorf("%+v, before %+v", done.CollectStats, plain.CollectStats)
	}
	if after.Current != before.Current || after.History*10 > before.History*8 || after.HistoryRaw != before.HistoryRaw || after.Garbage != 0 {
		t.Errorf("%+v, before %+v", after, before)
	}
	if done.Peak > done.Before*11/10 {
		t.Errorf("%d bytes came on top for a time, of %d", done.Peak, done.Before)
	}
	check := func(r *repo.Repo) {
		t.Helper()
		for i, id := range ids {
			if at(t, r, id) != want[i] {
				t.Fatalf("version %d is not what it was", i)
			}
		}
		wantSound(t, r)
	}
	check(r)
	check(reader) // its files are open
	must(t, reader.Refresh(t.Context()))
	check(reader)
	must(t, reader.Close(t.Context()))
	again, err := r.Collect(t.Context(), repo.CollectOptions{Full: true})
	must(t, err)
	if again.PacksWritten > 0 || again.Compressed > 0 {
		t.Errorf("a second time: %+v", again.CollectStats)
	}
	must(t, r.Close(t.Context()))
	late, err := repo.Open(t.Context(), fs, "/db", repo.Options{Clock: testClock, CacheBytes: -1, ReadOnly: true})
	must(t, err)
	check(late)
	must(t, late.Close(t.Context()))

	// What is old is read often again when a branch goes back to it.
	r = openBare(t, fs)
	must(t, r.ResetHard(t.Context(), "main", ids[3]))
	must(t, r.CreateBranch(t.Context(), "last", ids[7], false))
	_, err = r.Collect(t.Context(), repo.CollectOptions{Full: true})
	must(t, err)
	check(r)
	if u, err := r.Usage(t.Context(), "main", nil); err != nil || u.Current*100 < (u.CurrentRaw)*95 {
		t.Errorf("%+v, %v", u, err)
	}

	// And an erasure, which forgets, leaves no dictionary that was made of what is gone.
	format := func() string {
		data, err := vfs.ReadFile(fs, path.Join(r.Dir(), "FORMAT"))
		must(t, err)
		return string(data)
	}
	if !strings.Contains(format(), "dictionary-1") {
		t.Errorf("FORMAT is %q", format())
	}
	tells := func() (with, all int) {
		packs, _ := r.Store().Published()
		for _, p := range packs {
			if !p.Dictionary {
				continue
			}
			data, err := vfs.ReadFile(fs, p.Path)
			must(t, err)
			dir, err := pack.ReadDirectory(data[p.Size-pack.TailSize(p.Chunks):], p.Size, p.Digest, p.Chunks)
			must(t, err)
			x, _ := dir.Dictionary()
			all++
			if bytes.Contains(data[x.Off:x.Off+x.Len], []byte("@4000")) || bytes.Contains(data[x.Off:x.Off+x.Len], []byte("@6000")) {
				with++
			}
		}
		return with, all
	}
	if with, all := tells(); with == 0 {
		t.Errorf("none of %d dictionaries has a piece of what is to go: the test does not test", all)
	}
	must(t, r.DeleteBranch(t.Context(), "last", "", true))
	_, err = r.Collect(t.Context(), repo.CollectOptions{Full: true, Forget: true, CompressLeast: -1})
	must(t, err)
	if with, all := tells(); with > 0 || all == 0 {
		t.Errorf("%d of %d dictionaries have pieces of what is gone", with, all)
	}
	if u, err := r.Usage(t.Context(), "main", nil); err != nil || u.Garbage != 0 {
		t.Errorf("%+v, %v", u, err)
	}
	wantSound(t, r)
	must(t, r.Close(t.Context()))
}

// TestFullRenewsDictionaries: a full collection that removes something makes all dictionaries anew, and one that removes nothing none.
func TestFullRenewsDictionaries(t *testing.T) {
	_, fs := newRepoClosed(t)
	r := openBare(t, fs)
	defer func() { must(t, r.Close(t.Context())) }()
	history := func(branch string, from int) (id history.CommitID) {
		for i := range 8 {
			fill(t, r, branch, fmt.Sprint("version ", i), from+1000*i, 3000)
		}
		id, _ = r.BranchHead(branch)
		return id
	}
	with := func() (paths []string) {
		packs, _ := r.Store().Published()
		for _, p := range packs {
			if p.Dictionary {
				paths = append(paths, p.Path)
			}
		}
		return paths
	}
	collect := func() {
		t.Helper()
		_, err := r.Collect(t.Context(), everything())
		must(t, err)
	}
	id := history("main", 0)
	collect()
	old := with()
	for i, name := range []string{"side", "stays"} {
		must(t, r.CreateBranch(t.Context(), name, id, false))
		history(name, 100_000*(i+1))
	}
	collect()
	both := with()
	kept := func(paths []string) bool {
		return slices.ContainsFunc(paths, func(p string) bool { return slices.Contains(old, p) })
	}
	if len(old) == 0 || !kept(both) || len(both) <= len(old) {
		t.Fatalf("first %q, then %q: the test does not test", old, both)
	}
	collect()
	if now := with(); !slices.Equal(now, both) {
		t.Errorf("nothing was removed, and there are %q, were %q", now, both)
	}
	must(t, r.DeleteBranch(t.Context(), "side", "", true))
	collect()
	if now := with(); len(now) == 0 || kept(now) {
		t.Errorf("after a removal there are %q, were %q", now, both)
	}
	wantSound(t, r)
}

// TestTaggedIsReadOften: what a tag names stays as it was stored, until the tag is gone.
func TestTaggedIsReadOften(t *testing.T) {
	_, fs := newRepoClosed(t)
	r := openBare(t, fs)
	defer func() { must(t, r.Close(t.Context())) }()
	for i := range 8 {
		fill(t, r, "main", fmt.Sprint("version ", i), 1000*i, 3000)
		id, _ := r.BranchHead("main")
		must(t, r.CreateTag(t.Context(), fmt.Sprint("v", i), history.Tag{Commit: id}, false))
	}
	done, err := r.Collect(t.Context(), repo.CollectOptions{Full: true})
	must(t, err)
	if done.Compressed > 0 {
		t.Errorf("of what tags name %d chunks were compressed", done.Compressed)
	}
	for i := range 7 {
		must(t, r.DeleteTag(t.Context(), fmt.Sprint("v", i)))
	}
	done, err = r.Collect(t.Context(), repo.CollectOptions{Full: true})
	must(t, err)
	if done.Compressed < 20 {
		t.Errorf("%+v", done.CollectStats)
	}
	wantSound(t, r)
}
