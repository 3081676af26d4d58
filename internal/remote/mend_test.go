package remote_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/fsck"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/object/mem"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/vfs"
)

const packsOf = "/db/.stemma/packs"

// inPacks makes a closed database whose history is in several packs, and a remote that has it.
func inPacks(t *testing.T, at object.Store) (*vfs.Mem, string) {
	t.Helper()
	rng := rand.New(rand.NewPCG(8, 1))
	m := newMachine(t, "ada")
	r, err := openRemote(ctx, at)
	must(t, err)
	for range 3 {
		for range 3 {
			m.work(t, "main", rng)
		}
		must(t, m.Checkpoint(ctx))
		must(t, m.Store().Folded(ctx))
		_, err = m.push(r, false, false, "main")
		must(t, err)
	}
	head, _ := m.BranchHead("main")
	must(t, m.Close(ctx))
	names, err := m.fs.ReadDir(packsOf)
	must(t, err)
	if len(names) == 0 {
		t.Fatal("there are no packs")
	}
	return m.fs, head.String()
}

// spareOf has what the remotes at these stores have, and collects what it tells.
func spareOf(told *[]string, at ...object.Store) *sync.Spare {
	s := &sync.Spare{Tell: func(text string) { *told = append(*told, text) }}
	for i, o := range at {
		s.Names = append(s.Names, fmt.Sprintf("r%d", i))
		s.Open = append(s.Open, func(ctx context.Context) (*sync.Remote, error) { return openRemote(ctx, o) })
	}
	return s
}

// mend repairs, and gives the problems that are left.
func mend(fs vfs.FS, from *sync.Spare) (problems []string, m *repo.Mending, err error) {
	m, err = repo.Mend(ctx, fs, "/db", repo.Options{Clock: clock.Fixed{T: signature("ada").Time}}, from)
	if err != nil {
		return nil, nil, err
	}
	starts, err := m.Starts(ctx)
	c := fsck.New(m.Repo.Store(), func(p fsck.Problem) { problems = append(problems, p.String()) }, nil)
	for i := 0; err == nil && i < len(starts); i++ {
		err = c.Check(ctx, starts[i])
	}
	if e := m.End(ctx, err != nil, err == nil && len(problems) == 0); err == nil {
		err = e
	}
	return problems, m, err
}

// harm damages one of the packs.
func harm(t *testing.T, fs *vfs.Mem, rng *rand.Rand) (path string, before []byte) {
	t.Helper()
	names, err := fs.ReadDir(packsOf)
	must(t, err)
	path = filepath.Join(packsOf, names[rng.IntN(len(names))])
	data, err := vfs.ReadFile(fs, path)
	must(t, err)
	switch rng.IntN(4) {
	case 0:
		must(t, fs.Remove(path))
		must(t, fs.SyncDir(packsOf))
		return "", nil
	case 1:
		data = data[:rng.IntN(len(data))]
	default:
		for range 1 + rng.IntN(3) {
			data[rng.IntN(len(data))] ^= byte(1 + rng.IntN(255))
		}
	}
	must(t, vfs.WriteFile(fs, path, data))
	return path, data
}

// kept tells whether a file that holds data is below the database's directories of damaged files.
func kept(t *testing.T, fs *vfs.Mem, path string, data []byte) bool {
	t.Helper()
	names, err := fs.ReadDir("/db/.stemma")
	must(t, err)
	for _, n := range names {
		if strings.HasPrefix(n, "damaged-") {
			got, err := vfs.ReadFile(fs, filepath.Join("/db/.stemma", n, "packs", filepath.Base(path)))
			if err == nil && string(got) == string(data) {
				return true
			}
		}
	}
	return false
}

// TestMend damages packs in many ways, lets the repair die at every operation on files, and repairs again: the database is what it was, and the
// damaged file is there, at its place or aside, at all times.
func TestMend(t *testing.T) {
	at := &mem.Store{}
	sound, head := inPacks(t, at)
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 3))
		bad := sound.CrashClone(rng)
		path, data := harm(t, bad, rng)
		for n := int64(1); ; n += 1 + int64(rng.IntN(4)) {
			fs := bad.CrashClone(rng)
			fail, died := vfs.FailAt(n, errs.New(errs.Internal, "injected")), false
			_, _, err := mend(vfs.WithHook(fs, func(op vfs.Op) error {
				if died { // as a dead process does nothing any more
					return errs.New(errs.Internal, "dead")
				}
				err := fail(op)
				died = err != nil
				return err
			}), spareOf(new([]string), at))
			if died && err == nil {
				t.Fatalf("seed %d: it ends well though operation %d failed", seed, n)
			}
			fs = fs.CrashClone(rng)
			if path != "" {
				now, err := vfs.ReadFile(fs, path)
				if (err != nil || string(now) != string(data)) && !kept(t, fs, path, data) {
					t.Fatalf("seed %d, operation %d: the damaged pack is gone", seed, n)
				}
			}
			var told []string
			problems, m, err := mend(fs, spareOf(&told, at))
			if err != nil || len(problems) > 0 || len(told) > 0 {
				t.Fatalf("seed %d, operation %d: %v, %v, %v", seed, n, err, problems, told)
			}
			_ = m
			db := open(t, fs, "ada")
			db.sound(t)
			if got, _ := db.BranchHead("main"); got.String() != head {
				t.Fatalf("seed %d: the branch is at %s, not at %s", seed, got, head)
			}
			must(t, db.Close(ctx))
			if !died {
				break
			}
		}
	}
}

// TestMendFromDamaged lets the remote be damaged itself: it is named, and another has what it lacks.
func TestMendFromDamaged(t *testing.T) {
	one, two := &mem.Store{}, &mem.Store{}
	sound, _ := inPacks(t, one)
	inPacks(t, two)
	list, err := one.List(ctx, "packs/")
	must(t, err)
	for i, in := range list {
		data, _, err := one.Get(ctx, in.Name)
		must(t, err)
		if i%2 == 0 {
			must(t, one.Delete(ctx, in.Name))
			continue
		}
		data[len(data)/3] ^= 1
		must(t, one.Put(ctx, in.Name, object.Bytes(data), object.Always))
	}
	lost := func() *vfs.Mem {
		fs := sound.CrashClone(rand.New(rand.NewPCG(1, 1)))
		names, err := fs.ReadDir(packsOf)
		must(t, err)
		for _, n := range names {
			must(t, fs.Remove(filepath.Join(packsOf, n)))
		}
		must(t, fs.SyncDir(packsOf))
		return fs
	}
	var told []string
	problems, m, err := mend(lost(), spareOf(&told, one))
	must(t, err)
	if len(problems) == 0 || len(told) == 0 || !strings.HasPrefix(told[0], "r0: ") || len(m.Missing) == 0 {
		t.Errorf("from the damaged remote alone: %q, %q, missing %v", problems, told, m.Missing)
	}
	told = nil
	fs := lost()
	problems, m, err = mend(fs, spareOf(&told, one, two))
	must(t, err)
	if len(problems) > 0 || len(told) == 0 || m.Fetched() == 0 {
		t.Errorf("with another remote: %q, %q, %d chunks", problems, told, m.Fetched())
	}
	db := open(t, fs, "ada")
	db.sound(t)
	must(t, db.Close(ctx))
}
