package op

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/vfs"
)

// objects are the paths of the backup's objects in a directory, sorted.
func (w *syncs) objects(dir string) []string {
	w.t.Helper()
	names, err := w.fs.ReadDir(filepath.Join("/saved", dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	keptOK(w.t, err)
	slices.Sort(names)
	for i, n := range names {
		names[i] = filepath.Join("/saved", dir, n)
	}
	return names
}

// cut leaves 20 bytes of a file.
func (w *syncs) cut(path string) {
	w.t.Helper()
	data, err := vfs.ReadFile(w.fs, path)
	keptOK(w.t, err)
	keptOK(w.t, vfs.WriteFile(w.fs, path, data[:20]))
}

// forget is what is said, and how many snapshots are left.
func (w *syncs) forget(c *BackupForget) (said string, left int) {
	w.t.Helper()
	c.Of = "/saved"
	res, err := c.Run(w.t.Context(), w.scope)
	keptOK(w.t, err)
	return strings.Join(append(res.Lines, res.Hints...), "\n"), len(w.objects("snapshots"))
}

func (w *syncs) verify() error {
	_, err := (&Backup{Path: "verify", Args: []string{"/saved"}}).Run(w.t.Context(), w.scope)
	return err
}

// TestBrokenSnapshot: a snapshot that cannot be read is named with what drops it, and neither stands in for the newest nor ends what is asked of others.
func TestBrokenSnapshot(t *testing.T) {
	ctx := t.Context()
	w := newSyncs(t)
	w.sync()
	w.good("main", "one")
	w.sync()
	one := w.past()
	w.good("main", "two")
	w.sync()
	all := w.objects("snapshots")
	w.cut(all[2])
	res, err := (&BackupLog{Of: "/saved"}).Run(ctx, w.scope)
	keptOK(t, err)
	if len(res.Lines) != 3 || !strings.Contains(res.Lines[0], "damaged: 'backup forget --damaged'") || !strings.Contains(res.Lines[1], "1 branch") {
		t.Errorf("the log says %q", res.Lines)
	}
	for what, err := range map[string]error{
		"verify": w.verify(),
		"gc": func() error {
			_, err := (&GC{Remote: "/saved"}).Run(ctx, w.scope)
			return err
		}(),
	} {
		if !errs.Is(err, errs.Corrupt) || !strings.Contains(err.Error(), "'backup forget --damaged'") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if said, left := w.forget(&BackupForget{Before: "2027-01-01", DryRun: true}); left != 3 || !strings.Contains(said, "which is damaged") {
		t.Errorf("%d are left: %s", left, said)
	}
	if said := w.sync(); strings.Contains(said, "Nothing is new") {
		t.Errorf("what only a broken snapshot remembers is not remembered: %q", said)
	}
	keptOK(t, w.fs.Remove(w.objects("snapshots")[3]))
	if said, left := w.forget(&BackupForget{Before: "2027-01-01"}); left != 1 || w.objects("snapshots")[0] != all[1] {
		t.Errorf("the newest whole one was to stay: %q: %s", w.objects("snapshots"), said)
	}
	w.want(one, "main=one")
	keptOK(t, w.verify())
}

// TestLostBySync: where what an earlier sync alone needs is lost, that is said, and both ways that are named make an end of it.
func TestLostBySync(t *testing.T) {
	for _, dir := range []string{"packs", "lists"} {
		for _, way := range []string{"anew", "forget"} {
			for how, damage := range damages {
				if how == "changed" && way == "anew" {
					continue // a lost pack is found without reading all
				}
				t.Run(dir+" "+way+" "+how, func(t *testing.T) {
					ctx := t.Context()
					w := newSyncs(t)
					w.sync()
					base := w.objects(dir)
					w.good("main", "own")
					w.sync()
					var own []string
					for _, n := range w.objects(dir) {
						if !slices.Contains(base, n) {
							own = append(own, n)
						}
					}
					keptOK(t, w.reset("main", 1))
					anew := func() string {
						t.Helper()
						w.past()
						res, err := (&Backup{Path: "sync-url", Anew: true, Args: []string{"/saved"}}).Run(ctx, w.scope)
						keptOK(t, err)
						return strings.Join(append(res.Lines, res.Hints...), "\n")
					}
					want := "'backup --anew sync'" // the branches need it, too
					if w.sync(); way == "forget" {
						anew()
						want = "what its branches and tags have now is whole"
					}
					for _, n := range own {
						damage(t, w.fs, n)
					}
					err := w.verify()
					if !errs.Is(err, errs.Corrupt) || !strings.Contains(err.Error(), want) {
						t.Fatalf("verify: %v", err)
					}
					said := ""
					if way == "anew" {
						said = anew()
					} else {
						if _, err := (&GC{Remote: "/saved"}).Run(ctx, w.scope); dir == "lists" && (!errs.Is(err, errs.Corrupt) || !strings.Contains(err.Error(), "the sync of 2026-03-01 10:") || !strings.Contains(err.Error(), "'backup forget --damaged'")) {
							t.Errorf("gc: %v", err)
						}
						before := len(w.objects("snapshots"))
						var left int
						if said, left = w.forget(&BackupForget{Damaged: true}); left == 0 || left == before {
							t.Errorf("%d of %d are left", left, before)
						}
					}
					if strings.Count(said, "damaged") == 0 {
						t.Errorf("it says %q", said)
					}
					keptOK(t, w.verify())
					_, err = (&GC{Remote: "/saved"}).Run(ctx, w.scope)
					keptOK(t, err)
				})
			}
		}
	}
}

// TestSnapshotOfTomorrow: a snapshot by a clock that was ahead is not taken for the newest for ever.
func TestSnapshotOfTomorrow(t *testing.T) {
	w := newSyncs(t)
	w.sync()
	old := w.objects("snapshots")[0]
	_, id, _ := strings.Cut(filepath.Base(old), "-")
	data, err := vfs.ReadFile(w.fs, old)
	keptOK(t, err)
	tomorrow := filepath.Join("/saved/snapshots", "20260302120000000000-"+id)
	keptOK(t, vfs.WriteFile(w.fs, tomorrow, data))
	keptOK(t, w.fs.Remove(old))
	w.good("main", "new")
	w.sync()
	if said := w.sync(); !strings.Contains(said, "Nothing is new") {
		t.Errorf("a sync of nothing new says %q", said)
	}
	if all := w.objects("snapshots"); len(all) != 2 || all[0] != tomorrow {
		t.Fatalf("the snapshots are %q", all)
	}
	// As a program that goes by its own clock has it: the newest by name is an old one.
	last := w.objects("snapshots")[1]
	data, err = vfs.ReadFile(w.fs, last)
	keptOK(t, err)
	real := filepath.Join("/saved/snapshots", "20260301110000000000-"+id)
	keptOK(t, vfs.WriteFile(w.fs, real, data))
	keptOK(t, w.fs.Remove(last))
	if _, left := w.forget(&BackupForget{Before: "2026-03-02"}); left != 2 {
		t.Errorf("%d are left: that of what the refs are was to stay", left)
	}
	w.want(time.Date(2026, 3, 1, 11, 30, 0, 0, time.UTC), "main=new")
}

// TestForgetByTags: rules that keep nothing but what tags name are no rules for syncs.
func TestForgetByTags(t *testing.T) {
	w := newSyncs(t)
	w.sync()
	_, err := (&BackupForget{Keep: "tags forever", Of: "/saved"}).Run(t.Context(), w.scope)
	if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "tags") {
		t.Errorf("rules of tags alone: %v", err)
	}
	w.forget(&BackupForget{Keep: "all 7d, tags forever"})
}

// TestMirrorAnewOverUncommitted: what a backup has of uncommitted changes is in the way of a mirror, which says what to do.
func TestMirrorAnewOverUncommitted(t *testing.T) {
	w := newSyncs(t)
	w.row("main")
	w.sync()
	mirror := &Push{Mirror: true, Anew: true, Remote: "/saved"}
	_, err := mirror.Run(t.Context(), w.scope)
	if !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "commit or reset them") || !strings.Contains(err.Error(), "'backup sync'") {
		t.Fatalf("%v", err)
	}
	w.commit("main", "row")
	w.sync()
	_, err = mirror.Run(t.Context(), w.scope)
	keptOK(t, err)
}

// reset moves a branch back.
func (w *syncs) reset(branch string, commits int) error {
	ctx := w.t.Context()
	id := mustHead(w.t, w.repo, branch)
	for range commits {
		c, err := history.GetCommit(ctx, w.repo.Store(), id)
		keptOK(w.t, err)
		id = c.Parents[0]
	}
	return w.repo.ResetHard(ctx, branch, id)
}

// TestSyncMarksForSnapshots: a sync of nothing new keeps programs that know of no snapshots from collecting what they need, where that mark was lost.
func TestSyncMarksForSnapshots(t *testing.T) {
	w := newSyncs(t)
	w.sync()
	keptOK(t, w.fs.Remove("/saved/garbage"))
	if said := w.sync(); !strings.Contains(said, "Nothing is new") {
		t.Errorf("it says %q", said)
	}
	data, err := vfs.ReadFile(w.fs, "/saved/garbage")
	keptOK(t, err)
	if !strings.HasPrefix(string(data), "stemma garbage 3\n") {
		t.Errorf("the notes are %q", data)
	}
}

// TestVerifyFindsLostList: a list that an earlier sync alone names is missed, also where later ones name all of its packs.
func TestVerifyFindsLostList(t *testing.T) {
	w := newSyncs(t)
	w.sync()
	first := w.objects("lists")
	w.good("main", "more")
	w.sync()
	for _, n := range first {
		keptOK(t, w.fs.Remove(n))
	}
	if err := w.verify(); !errs.Is(err, errs.Corrupt) {
		t.Errorf("the lists of the first sync are lost, and verify says %v", err)
	}
	w.forget(&BackupForget{Damaged: true})
	keptOK(t, w.verify())
}

// TestRestoreBesideDamage: what was synced later, and is lost or damaged, keeps nobody from going back to a sync before.
func TestRestoreBesideDamage(t *testing.T) {
	for _, how := range []string{"snapshot", "pack", "list"} {
		for _, more := range []bool{false, true} { // a third sync, which is whole but needs what the second has sent
			t.Run(fmt.Sprint(how, more), func(t *testing.T) {
				w := newSyncs(t)
				w.good("main", "one")
				w.sync()
				one := w.past()
				packs, lists := w.objects("packs"), w.objects("lists")
				w.good("main", "two")
				w.sync()
				fresh := func(now, before []string) string {
					i := slices.IndexFunc(now, func(n string) bool { return !slices.Contains(before, n) })
					return now[i]
				}
				pack, list := fresh(w.objects("packs"), packs), fresh(w.objects("lists"), lists)
				if more {
					w.good("main", "three")
					w.sync()
				}
				switch how {
				case "snapshot":
					w.cut(w.objects("snapshots")[1])
				case "pack":
					keptOK(t, w.fs.Remove(pack))
				case "list":
					keptOK(t, w.fs.Remove(list))
				}
				w.want(one, "main=one", "as of the sync of", "is lost or damaged at the backup")
			})
		}
	}
}
