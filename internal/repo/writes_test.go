package repo_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/frame"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/vfs"
)

// TestWriteNotes: a note lasts with the changes of its transaction, and not without them; through reopening and checkpoints; and two
// transactions with one id do not both commit.
func TestWriteNotes(t *testing.T) {
	ctx := context.Background()
	mem := vfs.NewMem()
	must(t, repo.Init(ctx, mem, "/db", repo.InitOptions{Author: signature(), Committer: signature()}))
	r, err := repo.Open(ctx, mem, "/db", repo.Options{})
	must(t, err)
	known := func(id, want string, there bool) {
		t.Helper()
		if got, ok := r.Written(id); got != want || ok != there {
			t.Errorf("%s: %q, %v; want %q, %v", id, got, ok, want, there)
		}
	}
	load := func(tx *repo.Tx, table string, id int64) {
		t.Helper()
		_, err := frame.Load(ctx, tx, table, newFrame([]frameRow{{id: id}}, 1, false), frameOptions(frame.Upsert, "id"))
		must(t, err)
	}
	tx, err := r.Begin(ctx, "main")
	must(t, err)
	load(tx, "t", 1)
	tx.Note(repo.Write{ID: "gone", Result: "x"})
	tx.Rollback()
	known("gone", "", false)
	a, err := r.Begin(ctx, "main")
	must(t, err)
	b, err := r.Begin(ctx, "main")
	must(t, err)
	load(a, "t", 1)
	load(b, "u", 1)
	a.Note(repo.Write{ID: "one", Result: "first"})
	b.Note(repo.Write{ID: "one", Result: "second"})
	if got, ok := a.Noted("one"); !ok || got != "first" {
		t.Errorf("%q, %v", got, ok)
	}
	known("one", "", false)
	must(t, a.Commit(ctx))
	if err := b.Commit(ctx); !errs.Is(err, errs.Exists) || !errors.Is(err, repo.ErrWritten) {
		t.Errorf("the same id again: %v", err)
	}
	known("one", "first", true)
	// Edits of rows alone, and a note alone.
	c, err := r.Begin(ctx, "main")
	must(t, err)
	load(c, "t", 2)
	c.Note(repo.Write{ID: "rows", Result: "r"})
	must(t, c.Commit(ctx))
	d, err := r.Begin(ctx, "main")
	must(t, err)
	sp := d.Savepoint()
	d.Note(repo.Write{ID: "undone"})
	d.RollbackTo(sp)
	d.Note(repo.Write{ID: "alone"})
	must(t, d.Commit(ctx))
	must(t, r.NoteWrite(ctx, repo.Write{ID: "one", Result: "changed"}))
	for round := range 3 {
		known("one", "changed", true)
		known("rows", "r", true)
		known("alone", "", true)
		known("undone", "", false)
		if round == 1 {
			must(t, r.Checkpoint(ctx))
		}
		must(t, r.Close(ctx))
		r, err = repo.Open(ctx, mem, "/db", repo.Options{})
		must(t, err)
	}
	defer r.Close(ctx)
	tx, err = r.Begin(ctx, "main")
	must(t, err)
	if _, _, ok, err := tx.Table(ctx, "u"); ok || err != nil {
		t.Errorf("the table of the refused transaction: %v, %v", ok, err)
	}
	// The oldest are forgotten.
	for i := range 1000 {
		tx.Note(repo.Write{ID: fmt.Sprint(i)})
	}
	must(t, tx.Commit(ctx))
	known("one", "", false)
	known("999", "", true)
}
