package op

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/object"
	"github.com/stemmadb/stemma/internal/repo"
	remotesync "github.com/stemmadb/stemma/internal/sync"
	"github.com/stemmadb/stemma/internal/vfs"
)

// countNoted counts up in a transaction that notes the write, with a version commit where that is asked for.
func countNoted(ctx context.Context, r *repo.Repo, id string, version bool, branches ...string) error {
	var txs []*repo.Tx
	for _, branch := range branches {
		tx, err := r.Begin(ctx, branch)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		if err := countIn(ctx, tx, 1, false); err != nil {
			return err
		}
		txs = append(txs, tx)
	}
	txs[0].Note(repo.Write{ID: id, Result: "done " + id})
	if version {
		_, err := txs[0].CommitAs(ctx, repo.CommitOptions{Branch: branches[0], Message: id, Author: keptBy}, nil)
		return err
	}
	return repo.CommitTogether(ctx, txs...)
}

// TestKeptWrites: a write that is sent again with its id to another machine, which has not seen the first, applies once and is answered as the first.
func TestKeptWrites(t *testing.T) {
	ctx, fs := t.Context(), vfs.NewMem()
	keptWorld(t, fs)
	a, b := keptMachine(t, fs, "a", 0, nil), keptMachine(t, fs, "b", 0, nil)
	for i, version := range []bool{false, true} {
		id := fmt.Sprint("load ", i)
		keptOK(t, countNoted(ctx, a, id, version, "main"))
		if err := countNoted(ctx, b, id, version, "main"); !errors.Is(err, repo.ErrWritten) {
			t.Fatalf("the second write: %v", err)
		}
		if text, ok := b.Written(id); !ok || text != "done "+id {
			t.Errorf("the other machine answers %q, %t", text, ok)
		}
	}
	// Of two branches together, and of nothing but the note.
	keptOK(t, countNoted(ctx, a, "both", false, "main", "side"))
	if err := countNoted(ctx, b, "both", false, "main", "side"); !errors.Is(err, repo.ErrWritten) {
		t.Fatalf("the second write of two branches: %v", err)
	}
	keptOK(t, a.NoteWrite(ctx, repo.Write{ID: "both", Result: "all of it"}))
	keptOK(t, b.RefreshKept(ctx))
	if text, _ := b.Written("both"); text != "all of it" {
		t.Errorf("a note that was replaced reads %q elsewhere", text)
	}
	for _, r := range []*repo.Repo{a, b, keptMachine(t, fs, "c", 0, nil)} {
		keptOK(t, r.RefreshKept(ctx))
		main, _ := counters(t, r, "main")
		side, _ := counters(t, r, "side")
		if main != 3 || side != 1 {
			t.Errorf("main has %d counts and side %d, want 3 and 1", main, side)
		}
		if _, ok := r.Written("load 0"); !ok {
			t.Error("a machine does not know of the first write")
		}
	}
	// There is a bound to what is kept, and one that is too long is refused alone.
	if err := a.NoteWrite(ctx, repo.Write{ID: "long", Result: strings.Repeat("x", 1<<20)}); !errs.Is(err, errs.Unsupported) {
		t.Errorf("a note of a mebibyte: %v", err)
	}
	for i := range 100 {
		keptOK(t, a.NoteWrite(ctx, repo.Write{ID: fmt.Sprint("n", i), Result: strings.Repeat("x", 100*(i%5))}))
	}
	at := keptRemote(t, fs, nil)
	refs, err := at.Refs(ctx)
	keptOK(t, err)
	wrote := refs[remotesync.Heads+a.CheckedOut()].Wrote
	if len(wrote) != 64 || wrote[63].ID != "n99" {
		t.Errorf("the branch keeps %d notes", len(wrote))
	}
	// A branch that is pushed to by others keeps them.
	c, err := a.Commit(ctx, repo.CommitOptions{Branch: "main", Message: "counted", Author: keptBy, All: true})
	keptOK(t, err)
	out, _, err := (&remotesync.Push{Remote: at, Store: a.Store(), FS: fs, Temp: a.TempDir()}).Run(ctx, []remotesync.Want{{Name: remotesync.Heads + "main", Commit: c.Parents[0], Force: true}})
	keptOK(t, err)
	if out[0].Status != remotesync.Forced {
		t.Fatalf("the push is %v", out[0].Status)
	}
	refs, err = at.Refs(ctx)
	keptOK(t, err)
	if n := len(refs[remotesync.Heads+"main"].Wrote); n != 64 {
		t.Errorf("after a push the branch keeps %d notes", n)
	}
}

// TestKeptWritesCut: a machine dies at any request of a write with an id, and its client sends it again to another: it applies once.
func TestKeptWritesCut(t *testing.T) {
	for _, branches := range [][]string{{"main"}, {"main", "side"}} {
		ctx := t.Context()
		for n := 0; ; n++ {
			fs := vfs.NewMem()
			keptWorld(t, fs)
			b := keptMachine(t, fs, "b", 0, nil) // which sees nothing of it
			cut := &cutOff{left: 1 << 30}
			r := keptMachine(t, fs, "a", 0, func(s object.Store) object.Store { cut.Store = s; return cut })
			cut.set(n)
			err := countNoted(ctx, r, "load", false, branches...)
			if again := countNoted(ctx, b, "load", false, branches...); again != nil && !errors.Is(again, repo.ErrWritten) || again == nil && err == nil {
				t.Fatalf("%v, cut at request %d: %v, and again: %v", branches, n, err, again)
			}
			last := keptMachine(t, fs, "c", 0, nil)
			for _, branch := range branches {
				if v, _ := counters(t, last, branch); v != 1 {
					t.Fatalf("cut at request %d: %s has %d counts", n, branch, v)
				}
			}
			cut.set(1 << 30)
			if err == nil {
				if n < 4 {
					t.Errorf("a write took %d requests only: the test does not test", n)
				}
				break
			}
		}
	}
}
