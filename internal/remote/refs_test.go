package remote_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	gosync "sync"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/object/file"
	"github.com/stemmadb/stemma/internal/object/mem"
	"github.com/stemmadb/stemma/internal/object/objecttest"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/value"
	"github.com/stemmadb/stemma/internal/vfs"
)

// started is a machine with a commit on main.
func started(t tb) (m *machine, at history.CommitID) {
	t.Helper()
	m = newMachine(t, "ada")
	m.work(t, "main", rand.New(rand.NewPCG(1, 1)))
	at, _ = m.BranchHead("main")
	return m, at
}

// run pushes as it is told.
func (m *machine) run(r *sync.Remote, wants ...sync.Want) ([]sync.Outcome, error) {
	out, _, err := (&sync.Push{Remote: r, Store: m.Store(), FS: m.FS(), Temp: m.TempDir()}).Run(ctx, wants)
	return out, err
}

// TestNamesOfRefs pushes branches and tags of all kinds of names to a directory, one after the other and together: each is there under its name,
// and none that was removed is in the way of another.
func TestNamesOfRefs(t *testing.T) {
	m, at := started(t)
	r := mustOpen(t, file.Open(vfs.OS{}, t.TempDir()))
	names := []string{
		"main", "fix", "fix/one", "fix/one.tmp", "a.tmp/b", "x.tmp", "Fix", "Release/1.0", "a.b", "a%2fb", "ä/ö", "a@b",
		strings.Repeat("я", 120), strings.Repeat("A.", 199) + "b", strings.Repeat("a", 200), strings.Repeat("a", 201), strings.Repeat("a", 200) + "/b", strings.Repeat("a", 199) + "%/b",
	}
	push := func(n string, commit history.CommitID) {
		t.Helper()
		out, err := m.run(r, sync.Want{Name: sync.Heads + n, Commit: commit})
		if err != nil || out[0].Status.Refused() {
			t.Fatalf("push %s: %+v, %v", n, out, err)
		}
	}
	there := func(want ...string) {
		t.Helper()
		refs, err := r.Refs(ctx)
		must(t, err)
		var got []string
		for n, x := range refs {
			if x.Commit != at {
				t.Errorf("%s is at %s", n, x.Commit)
			}
			got = append(got, strings.TrimPrefix(n, sync.Heads))
		}
		slices.Sort(got)
		want = slices.Sorted(slices.Values(want))
		if !slices.Equal(got, want) {
			t.Fatalf("there are %q, want %q", got, want)
		}
	}
	for _, n := range names {
		push(n, at)
		there(n)
		push(n, history.CommitID{})
		there()
	}
	for _, n := range names {
		push(n, at)
	}
	there(names...)
}

// TestStrangeObjects: objects beside the refs that no ref can have are passed over with a warning that is fit for a terminal, and a ref that
// says what its kind cannot is an error.
func TestStrangeObjects(t *testing.T) {
	m, _ := started(t)
	base := &mem.Store{}
	r := mustOpen(t, base)
	_, err := m.push(r, false, false, "main")
	must(t, err)
	good, _, err := base.Get(ctx, "refs/heads/main")
	must(t, err)
	put := func(name string, data []byte) {
		t.Helper()
		must(t, base.Put(ctx, name, object.Bytes(data), object.Always))
	}
	strange := []string{
		"refs/notes/x", "refs/main", "refs/heads/%2elineage", "refs/heads/a%1b%5b31mb", "refs/tags/a%0ab", "refs/heads/%6dain", "refs/heads/MAIN%2", "refs/heads/a/b",
		"refs/tags/" + strings.Repeat("0", 32), "refs/heads/head", "refs/heads/..%2fx", "refs/heads/%ff",
	}
	count := 0
	for _, n := range strange {
		if object.CheckName(n) == nil {
			put(n, good)
			count++
		}
	}
	var warned []string
	r.Warn = func(text string) { warned = append(warned, text) }
	refs, err := r.Refs(ctx)
	must(t, err)
	if len(refs) != 1 || len(warned) != count {
		t.Errorf("refs are %v, want main; %d warnings for %d objects", refs, len(warned), count)
	}
	for _, w := range warned {
		if strings.ContainsFunc(w, func(c rune) bool { return c < ' ' }) {
			t.Errorf("a warning has control characters: %q", w)
		}
	}
	r.Warn = nil
	for name, data := range map[string]string{
		"refs/tags/v1":     string(good),
		"refs/heads/other": strings.Replace(string(good), "list ", "tag "+strings.Fields(string(good))[4]+"\nlist ", 1),
		"refs/heads/third": strings.Replace(string(good), "nonce ", "change ../../x\nnonce ", 1),
	} {
		put(name, []byte(data))
		if _, err := r.Refs(ctx); !errs.Is(err, errs.Corrupt) {
			t.Errorf("%s: %v, want class corrupt", name, err)
		}
		must(t, base.Delete(ctx, name))
	}
}

// TestTagsOfRemotes: a tag that is there is moved by force only, and is a tag with an object always.
func TestTagsOfRemotes(t *testing.T) {
	m, at := started(t)
	r := mustOpen(t, &mem.Store{})
	must(t, m.CreateTag(ctx, "v1", history.Tag{Commit: at, Tagger: signature("ada")}, false))
	must(t, m.CreateTag(ctx, "v2", history.Tag{Commit: at, Tagger: signature("bob")}, false))
	tags, err := m.TagObjects(ctx)
	must(t, err)
	for _, w := range []sync.Want{
		{Name: "tags/v1", Commit: at},
		{Name: "heads/v1", Commit: at, Tag: tags[0].Object},
		{Name: "heads/HEAD", Commit: at},
		{Name: "notes/v1", Commit: at},
	} {
		if _, err := m.run(r, w); !errs.Is(err, errs.Invalid) {
			t.Errorf("push %s: %v, want class invalid", w.Name, err)
		}
	}
	for _, c := range []struct {
		object int
		force  bool
		want   sync.Status
	}{{0, false, sync.Created}, {0, false, sync.UpToDate}, {1, false, sync.TagExists}, {1, true, sync.Forced}} {
		out, err := m.run(r, sync.Want{Name: "tags/v1", Commit: at, Tag: tags[c.object].Object, Force: c.force})
		if err != nil || out[0].Status != c.want {
			t.Errorf("%+v: %+v, %v", c, out, err)
		}
	}
}

// hooked calls functions before and after an object is read.
type hooked struct {
	object.Store
	before, after func(name string)
}

// Get implements object.Store.
func (h *hooked) Get(ctx context.Context, name string) ([]byte, object.Generation, error) {
	h.before(name)
	data, g, err := h.Store.Get(ctx, name)
	h.after(name)
	return data, g, err
}

// TestReadDuringAtomicPush reads refs while a push of several is done: all are as before or as after it, whatever was read first.
func TestReadDuringAtomicPush(t *testing.T) {
	for _, first := range []string{"refs/heads/a", "refs/heads/b"} {
		m, at := started(t)
		for _, b := range []string{"a", "b"} {
			must(t, m.CreateBranch(ctx, b, at, false))
		}
		base := &mem.Store{}
		r := mustOpen(t, base)
		_, err := m.push(r, true, false, "a", "b")
		must(t, err)
		must(t, m.CreateBranch(ctx, "c", at, false))
		for i, b := range []string{"a", "b", "c"} {
			m.work(t, b, rand.New(rand.NewPCG(uint64(i), 2)))
		}
		pushed := make(chan struct{})
		var once gosync.Once
		h := &hooked{Store: base, before: func(name string) {
			if name != first && strings.HasPrefix(name, "refs/") {
				<-pushed
			}
		}, after: func(name string) {
			if name == first {
				once.Do(func() {
					if _, err := m.push(r, true, false, "a", "b", "c"); err != nil {
						t.Errorf("push: %v", err)
					}
					close(pushed)
				})
			}
		}}
		refs, err := mustOpen(t, h).Refs(ctx)
		must(t, err)
		a, _ := m.BranchHead("a")
		b, _ := m.BranchHead("b")
		c, _ := m.BranchHead("c")
		got := [3]history.CommitID{refs["heads/a"].Commit, refs["heads/b"].Commit, refs["heads/c"].Commit}
		if got != [3]history.CommitID{a, b, c} && got != [3]history.CommitID{at, at, {}} {
			t.Errorf("a reader who read %s first sees %s of a push", first, got)
		}
	}
}

// TestPushBrokenInTheMiddle: of a push whose network goes away the branches that were moved are known.
func TestPushBrokenInTheMiddle(t *testing.T) {
	m, at := started(t)
	for _, b := range []string{"a", "b", "c"} {
		must(t, m.CreateBranch(ctx, b, at, false))
	}
	moved, some := 0, false
	for kill := int64(1); ; kill++ {
		base := &mem.Store{}
		f := objecttest.NewFaulty(base, 1, 0)
		f.Kill = kill
		r, err := openRemote(ctx, f)
		if err != nil {
			continue
		}
		out, err := m.push(r, false, false, "a", "b", "c")
		if err == nil {
			break
		}
		refs, e := mustOpen(t, base).Refs(ctx)
		must(t, e)
		moved = 0
		for _, o := range out {
			if o.Status == sync.Created {
				moved++
			} else if o.Status != sync.Broken {
				t.Errorf("killed at %d: %s has status %d", kill, o.Name, o.Status)
			}
		}
		if moved != len(refs) {
			t.Errorf("killed at %d: %d branches are said to be moved, %d are", kill, moved, len(refs))
		}
		some = some || moved > 0
	}
	if !some {
		t.Error("no push was broken in the middle")
	}
}

// TestCloneOfAnother: a clone that died is not gone on with by the clone of another remote, and is by one of the same.
func TestCloneOfAnother(t *testing.T) {
	var remotes [2]*sync.Remote
	var heads [2]history.CommitID
	for i := range remotes {
		m := newMachine(t, "ada")
		m.work(t, "main", rand.New(rand.NewPCG(uint64(i), 9)))
		heads[i], _ = m.BranchHead("main")
		remotes[i] = mustOpen(t, &mem.Store{})
		_, err := m.push(remotes[i], false, false, "main")
		must(t, err)
	}
	for _, again := range []string{"0", "1"} {
		fs := vfs.NewMem()
		fetches := 0
		begin := func(fs vfs.FS, source string) error {
			r := remotes[source[0]-'0']
			return repo.Clone(ctx, fs, "/db", "", source, func(ctx context.Context, st *pack.Store, _, incoming string) (*repo.Cloned, error) {
				fetches++
				refs, err := r.Refs(ctx)
				if err != nil {
					return nil, err
				}
				x := refs["heads/main"]
				out := &repo.Cloned{Branches: []repo.Branch{{Name: "main", Head: x.Commit}}, Head: "main"}
				out.Batch, err = (&sync.Fetch{Remote: r, Store: st, FS: fs, Incoming: incoming}).Refs(ctx, []sync.Ref{x}, nil)
				return out, err
			})
		}
		// It dies when the clone is whole and about to get its name.
		if err := begin(nameless{fs}, "0"); err == nil {
			t.Fatal("it lives")
		}
		must(t, begin(fs, again))
		if want := 1 + int(again[0]-'0'); fetches != want {
			t.Errorf("a clone of %s after one of 0 has fetched %d times, want %d", again, fetches, want)
		}
		c := open(t, fs, "clone")
		if got, _ := c.BranchHead("main"); got != heads[again[0]-'0'] {
			t.Errorf("a clone of %s after one of 0 is at %s", again, got)
		}
		c.sound(t)
		must(t, c.Close(ctx))
	}
}

// nameless is a file system of a process that dies when a clone is about to get its name.
type nameless struct{ vfs.FS }

// Remove implements vfs.FS.
func (n nameless) Remove(name string) error {
	if filepath.Base(name) == "source" {
		return errs.New(errs.Internal, "died")
	}
	return n.FS.Remove(name)
}

// TestLanded: what was fetched leaves nothing in the directory in which it came.
func TestLanded(t *testing.T) {
	m, _ := started(t)
	tx, err := m.Begin(ctx, "main")
	must(t, err)
	must(t, tx.CreateTable(ctx, "long", notes()))
	e, err := tx.Editor(ctx, "long")
	must(t, err)
	rng := rand.New(rand.NewPCG(4, 4))
	for i := range int64(800) { // more than comes without a file
		var note []byte
		for range 300 {
			note = fmt.Appendf(note, "%x", rng.Uint64())
		}
		must(t, e.Insert(ctx, []value.Cell{value.IntCell(i), value.BytesCell(note)}))
	}
	must(t, tx.Commit(ctx))
	_, err = m.Commit(ctx, repo.CommitOptions{Branch: "main", Message: "long", Author: signature("ada"), AddNew: true})
	must(t, err)
	r := mustOpen(t, &mem.Store{})
	_, err = m.push(r, false, false, "main")
	must(t, err)
	other := newMachine(t, "bob")
	dir, done, err := other.Incoming()
	must(t, err)
	must(t, vfs.WriteFile(other.FS(), dir+"/old.pack", []byte("of a fetch that died")))
	done()
	must(t, other.fetch(r))
	if names, err := other.FS().ReadDir(dir); err != nil || len(names) > 0 {
		t.Errorf("left are %q, %v", names, err)
	}
}

// careless is a store that puts whatever the condition is.
type careless struct{ object.Store }

// Put implements object.Store.
func (s careless) Put(ctx context.Context, name string, body object.Body, _ object.Condition) error {
	return s.Store.Put(ctx, name, body, object.Always)
}

// TestCarelessStore refuses a store on which two pushes could overwrite each other, and leaves nothing there.
func TestCarelessStore(t *testing.T) {
	m := newMachine(t, "ada")
	m.work(t, "main", rand.New(rand.NewPCG(1, 1)))
	base := &mem.Store{}
	_, err := m.push(mustOpen(t, careless{base}), false, false, "main")
	if !errs.Is(err, errs.Unsupported) || !strings.Contains(err.Error(), "conditions that do not hold") {
		t.Errorf("%s: %v", errs.CodeOf(err), err)
	}
	if list, err := base.List(ctx, ""); err != nil || len(list) > 0 {
		t.Errorf("left: %v, %v", list, err)
	}
}
