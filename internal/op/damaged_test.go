package op

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/vfs"
)

// damages are what becomes of objects of a remote.
var damages = map[string]func(t *testing.T, fs vfs.FS, path string){
	"changed": func(t *testing.T, fs vfs.FS, path string) {
		data, err := vfs.ReadFile(fs, path)
		keptOK(t, err)
		for i := range data { // all of it, wherever a fetch looks
			data[i] ^= 0x55
		}
		keptOK(t, vfs.WriteFile(fs, path, data))
	},
	"cut": func(t *testing.T, fs vfs.FS, path string) {
		data, err := vfs.ReadFile(fs, path)
		keptOK(t, err)
		keptOK(t, vfs.WriteFile(fs, path, data[:len(data)/2]))
	},
	"gone": func(t *testing.T, fs vfs.FS, path string) {
		keptOK(t, fs.Remove(path))
		keptOK(t, fs.SyncDir(filepath.Dir(path)))
	},
}

// damagedWorld is a database and a scope for its verbs.
func damagedWorld(t *testing.T) (vfs.FS, *Scope) {
	t.Helper()
	fs := vfs.NewMem()
	r := rebaseWorld(t, fs)
	t.Cleanup(func() { keptOK(t, r.Close(context.Background())) })
	return fs, &Scope{Repo: r, FS: fs, Dir: "/db", Clock: tick{}, Settings: Settings{Local: filepath.Join(t.TempDir(), "config")}}
}

// wholeAt tells what is wrong with the remote at a place: it is restored and looked through.
func wholeAt(t *testing.T, fs vfs.FS, url, dir string) error {
	t.Helper()
	s := &Scope{FS: fs, Dir: "/", Clock: tick{}, Settings: Settings{Local: filepath.Join(t.TempDir(), "config")}}
	if _, err := (&Backup{Path: "restore", Args: []string{url, dir}}).Run(t.Context(), s); err != nil {
		return err
	}
	r, err := repo.Open(t.Context(), fs, dir, repo.Options{})
	keptOK(t, err)
	defer r.Close(t.Context())
	res, err := (&Fsck{}).Run(t.Context(), &Scope{Repo: r, FS: fs, Dir: dir, Clock: tick{}})
	keptOK(t, err)
	if res.ExitCode != 0 {
		t.Errorf("of %s: %v", url, res.Lines)
	}
	return nil
}

// TestDamagedRemote: what is damaged or missing at a remote or a backup is named with what mends it, and that does mend it.
func TestDamagedRemote(t *testing.T) {
	for _, dir := range []string{"packs", "lists"} {
		for how, damage := range damages {
			t.Run(dir+" "+how, func(t *testing.T) {
				ctx := t.Context()
				fs, s := damagedWorld(t)
				_, err := (&Push{All: true, Remote: "/rem"}).Run(ctx, s)
				keptOK(t, err)
				_, err = (&Backup{Path: "sync-url", Args: []string{"/saved"}}).Run(ctx, s)
				keptOK(t, err)
				for _, at := range []string{"/rem", "/saved"} {
					names, err := fs.ReadDir(filepath.Join(at, dir))
					keptOK(t, err)
					for _, n := range names {
						damage(t, fs, filepath.Join(at, dir, n))
					}
					err = wholeAt(t, fs, at, at+"-damaged")
					if !errs.Is(err, errs.Corrupt) || !strings.Contains(err.Error(), "'push --mirror --anew'") || !strings.Contains(err.Error(), "'backup --anew sync'") {
						t.Errorf("what is damaged at %s was restored: %v", at, err)
					}
				}
				if _, err := (&Backup{Path: "verify", Args: []string{"/saved"}}).Run(ctx, s); !errs.Is(err, errs.Corrupt) || !strings.Contains(err.Error(), "'backup --anew sync'") {
					t.Errorf("the damaged backup was verified: %v", err)
				}
				res, err := (&Push{Mirror: true, Anew: true, Remote: "/rem"}).Run(ctx, s)
				keptOK(t, err)
				if text := strings.Join(res.Lines, "\n"); !strings.Contains(text, "sent anew") {
					t.Errorf("the push said %q", text)
				}
				res, err = (&Backup{Anew: true, Path: "sync-url", Args: []string{"/saved"}}).Run(ctx, s)
				keptOK(t, err)
				if text := strings.Join(res.Lines, "\n"); !strings.Contains(text, "Backed up") {
					t.Errorf("the backup said %q", text)
				}
				for _, at := range []string{"/rem", "/saved"} {
					keptOK(t, wholeAt(t, fs, at, at+"-whole"))
				}
				_, err = (&Backup{Path: "verify", Args: []string{"/saved"}}).Run(ctx, s)
				keptOK(t, err)
			})
		}
	}
}

// runsAt are the jobs of the runs that a clone of a place knows.
func runsAt(t *testing.T, fs vfs.FS, url, dir string) string {
	t.Helper()
	_, err := (&Clone{Name: "origin", URL: url, Dir: dir}).Run(t.Context(), &Scope{FS: fs, Dir: "/", Clock: tick{}, Settings: Settings{Local: filepath.Join(t.TempDir(), "config")}})
	keptOK(t, err)
	r, err := repo.Open(t.Context(), fs, dir, repo.Options{})
	keptOK(t, err)
	defer r.Close(t.Context())
	var jobs []string
	keptOK(t, r.Lineage().Each(t.Context(), func(run lineage.Run, _ []lineage.Input, _ []lineage.Output) error {
		jobs = append(jobs, run.Job)
		return nil
	}))
	slices.Sort(jobs)
	return strings.Join(jobs, " ")
}

// TestDamagedRuns: what others have told of runs cannot be read any more where it is damaged, and that keeps nobody from mending the place: it is said
// to be lost there, and who has it brings it with the next push.
func TestDamagedRuns(t *testing.T) {
	start := func(r *repo.Repo, job string) {
		t.Helper()
		_, err := r.StartRun(t.Context(), lineage.Run{UID: runOf(job), System: "cli", Job: job})
		keptOK(t, err)
	}
	for _, dir := range []string{"packs", "lists"} {
		for how, damage := range damages {
			for _, own := range []string{"", "here"} {
				t.Run(fmt.Sprintf("%s %s with runs of %q", dir, how, own), func(t *testing.T) {
					ctx := t.Context()
					fs, s := damagedWorld(t)
					_, err := (&Push{All: true, Remote: "/rem"}).Run(ctx, s)
					keptOK(t, err)
					_, err = (&Backup{Path: "sync-url", Args: []string{"/saved"}}).Run(ctx, s)
					keptOK(t, err)
					_, err = (&Clone{Name: "origin", URL: "/rem", Dir: "/two"}).Run(ctx, &Scope{FS: fs, Dir: "/", Clock: tick{}, Settings: Settings{Local: filepath.Join(t.TempDir(), "config")}})
					keptOK(t, err)
					r2, err := repo.Open(ctx, fs, "/two", repo.Options{})
					keptOK(t, err)
					defer r2.Close(ctx)
					two := &Scope{Repo: r2, FS: fs, Dir: "/two", Clock: tick{}, Settings: Settings{Local: filepath.Join(t.TempDir(), "config")}}
					start(r2, "there")
					if own != "" {
						start(s.Repo, own)
					}
					for _, at := range []string{"/rem", "/saved"} {
						_, err = (&Push{All: true, Remote: at}).Run(ctx, two)
						keptOK(t, err)
						names, err := fs.ReadDir(filepath.Join(at, dir))
						keptOK(t, err)
						for _, n := range names {
							damage(t, fs, filepath.Join(at, dir, n))
						}
					}
					pushed, err := (&Push{Mirror: true, Anew: true, Remote: "/rem"}).Run(ctx, s)
					keptOK(t, err)
					saved, err := (&Backup{Anew: true, Path: "sync-url", Args: []string{"/saved"}}).Run(ctx, s)
					keptOK(t, err)
					for at, res := range map[string]*Result{"/rem": pushed, "/saved": saved} {
						if text := strings.Join(res.Hints, "\n"); strings.Count(text, "of runs is damaged") != 1 {
							t.Errorf("of %s it was said %q", at, text)
						}
						keptOK(t, wholeAt(t, fs, at, at+"-whole"))
						if got := runsAt(t, fs, at, at+"-clone"); got != own {
							t.Errorf("%s has the runs %q", at, got)
						}
					}
					if dir == "packs" && how == "changed" { // a pack of the same bytes would be taken for one that is there
						start(r2, "thereafter")
					}
					_, err = (&Push{All: true, Remote: "/rem"}).Run(ctx, two)
					keptOK(t, err)
					if got, want := runsAt(t, fs, "/rem", "/again"), strings.TrimSpace(own+" there"); strings.TrimSuffix(got, " thereafter") != want {
						t.Errorf("after another push it has the runs %q", got)
					}
				})
			}
		}
	}
}

// TestDamagedTold: what a branch that is worked on tells of runs is given up, too, where it is damaged, and what others tell that is whole is taken over.
func TestDamagedTold(t *testing.T) {
	ctx, fs := t.Context(), vfs.NewMem()
	keptWorld(t, fs)
	a, b := keptMachine(t, fs, "a", 0, nil), keptMachine(t, fs, "b", 0, nil)
	_, err := countFor(ctx, b, "whole", "side", 1)
	keptOK(t, err)
	before := keptNames(t, fs, "packs/")
	_, err = countFor(ctx, a, "damaged", "main", 1)
	keptOK(t, err)
	at := keptStore(t, fs, nil)
	for name := range keptNames(t, fs, "packs/") {
		if !before[name] {
			keptOK(t, at.Put(ctx, name, object.Bytes([]byte("damaged")), object.Always))
		}
	}
	refs, telling, err := keptRemote(t, fs, nil).RefsAndRuns(ctx)
	keptOK(t, err)
	if len(telling) != 2 || !refs[sync.Lineage].IsZero() {
		t.Fatalf("%d branches tell of runs, want 2 and no lineage", len(telling))
	}
	r, err := repo.Open(ctx, fs, "/db", repo.Options{})
	keptOK(t, err)
	defer r.Close(ctx)
	s := &Scope{Repo: r, FS: fs, Dir: "/db", Clock: tick{}, Settings: Settings{Local: filepath.Join(t.TempDir(), "config")}}
	res, err := (&Push{Mirror: true, Anew: true, NoLease: true, Remote: keptURL(fs)}).Run(ctx, s)
	keptOK(t, err)
	if text := strings.Join(res.Hints, "\n"); strings.Count(text, "of runs is damaged") != 1 {
		t.Errorf("it was said %q", text)
	}
	for run, want := range map[string]bool{"whole": true, "damaged": false} {
		if _, ok, err := r.Lineage().Run(ctx, runOf(run)); err != nil || ok != want {
			t.Errorf("the run %s is known: %t, %v", run, ok, err)
		}
	}
	keptOK(t, wholeAt(t, fs, keptURL(fs), "/whole"))
}

// TestDamagedPackPushed: a pack that is there and cut is sent again by a push that needs it.
func TestDamagedPackPushed(t *testing.T) {
	ctx := t.Context()
	fs, s := damagedWorld(t)
	_, err := (&Push{Refs: []string{"side"}, Remote: "/rem"}).Run(ctx, s)
	keptOK(t, err)
	names, err := fs.ReadDir("/rem/packs")
	keptOK(t, err)
	for _, n := range names {
		damages["cut"](t, fs, filepath.Join("/rem/packs", n))
	}
	_, err = (&Push{Refs: []string{":side"}, Remote: "/rem"}).Run(ctx, s)
	keptOK(t, err)
	_, err = (&Push{Refs: []string{"side"}, Remote: "/rem"}).Run(ctx, s)
	keptOK(t, err)
	keptOK(t, wholeAt(t, fs, "/rem", "/whole"))
}

// TestDamagedMarker: a remote without its marker, or with a part of it, is named as what it is, and the next push makes it again; one that may be of a newer
// program, once it was removed.
func TestDamagedMarker(t *testing.T) {
	for how, damage := range damages {
		for _, anew := range []bool{false, true} {
			t.Run(fmt.Sprint(how, anew), func(t *testing.T) {
				ctx := t.Context()
				fs, s := damagedWorld(t)
				_, err := (&Push{All: true, Remote: "/rem"}).Run(ctx, s)
				keptOK(t, err)
				_, err = (&Backup{Path: "sync-url", Args: []string{"/saved"}}).Run(ctx, s)
				keptOK(t, err)
				before, err := vfs.ReadFile(fs, "/rem/stemma-remote")
				keptOK(t, err)
				for _, at := range []string{"/rem", "/saved"} {
					damage(t, fs, at+"/stemma-remote")
					err := wholeAt(t, fs, at, at+"-damaged")
					if !errs.Is(err, errs.Corrupt) || !strings.Contains(err.Error(), "object stemma-remote") || !strings.Contains(err.Error(), "push") {
						t.Errorf("%s was read: %v", at, err)
					}
				}
				if how == "changed" {
					for _, at := range []string{"/rem", "/saved"} {
						was, err := vfs.ReadFile(fs, at+"/stemma-remote")
						keptOK(t, err)
						if at == "/rem" {
							_, err = (&Push{All: true, Mirror: anew, Anew: anew, Remote: "/rem"}).Run(ctx, s)
						} else {
							_, err = (&Backup{Path: "sync-url", Anew: anew, Args: []string{"/saved"}}).Run(ctx, s)
						}
						if !errs.Is(err, errs.Corrupt) || !strings.Contains(err.Error(), "remove that object") {
							t.Errorf("%s was written: %v", at, err)
						}
						if now, err := vfs.ReadFile(fs, at+"/stemma-remote"); err != nil || string(now) != string(was) {
							t.Errorf("the marker of %s is %q (%v), was %q", at, now, err, was)
						}
						keptOK(t, fs.Remove(at+"/stemma-remote"))
					}
				}
				res, err := (&Push{All: true, Mirror: anew, Anew: anew, Remote: "/rem"}).Run(ctx, s)
				keptOK(t, err)
				if !strings.Contains(strings.Join(res.Hints, ""), "was made again") {
					t.Errorf("the push said %q", res.Hints)
				}
				res, err = (&Backup{Path: "sync-url", Anew: anew, Args: []string{"/saved"}}).Run(ctx, s)
				keptOK(t, err)
				if !strings.Contains(strings.Join(res.Hints, ""), "was made again") {
					t.Errorf("the backup said %q", res.Hints)
				}
				for _, at := range []string{"/rem", "/saved"} {
					keptOK(t, wholeAt(t, fs, at, at+"-whole"))
					if now, err := vfs.ReadFile(fs, at+"/stemma-remote"); err != nil || string(now) != string(before) {
						t.Errorf("the marker of %s is %q (%v), was %q", at, now, err, before)
					}
				}
			})
		}
	}
}
