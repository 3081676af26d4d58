package op

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/repo"
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
