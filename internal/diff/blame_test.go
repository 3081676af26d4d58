package diff_test

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/diff"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
)

// blameWorld is a random history of one table, with the rows of each commit.
type blameWorld struct {
	st   *chunk.Mem
	all  []*history.Commit
	rows []map[int64]int64 // nil: no table
	name []string
}

func drawBlameWorld(t *rapid.T) *blameWorld {
	w := &blameWorld{st: chunk.NewMem()}
	sch := keyed(column("id", value.KindInt64, null), column("v", value.KindInt64, null))
	sch.Target = 256
	for n := range rapid.IntRange(1, 14).Draw(t, "commits") {
		c := &history.Commit{Height: 1, Message: string(rune('a' + n))}
		rows, name := map[int64]int64{}, "t"
		for range rapid.IntRange(0, min(n, 3)).Draw(t, "parents") {
			p := rapid.IntRange(max(0, n-4), n-1).Draw(t, "parent")
			if slices.Contains(c.Parents, w.all[p].ID) {
				continue
			}
			c.Parents = append(c.Parents, w.all[p].ID)
			c.Height = max(c.Height, w.all[p].Height+1)
			for k, v := range w.rows[p] {
				if _, there := rows[k]; !there || rapid.Bool().Draw(t, "take") {
					rows[k] = v
				}
			}
			name = w.name[p]
		}
		for range rapid.IntRange(0, 6).Draw(t, "edits") {
			k := rapid.Int64Range(0, 40).Draw(t, "key")
			if rapid.IntRange(0, 3).Draw(t, "delete") == 0 {
				delete(rows, k)
			} else {
				rows[k] = rapid.Int64Range(0, 3).Draw(t, "value")
			}
		}
		gone := rapid.IntRange(0, 9).Draw(t, "gone") == 0
		r := root.Open(w.st, tree.Root{})
		if !gone {
			var cells [][]value.Cell
			for _, k := range slices.Sorted(maps.Keys(rows)) {
				cells = append(cells, row(i(k), i(rows[k])))
			}
			h, err := build(t, w.st, sch, cells...).Put(context.Background(), w.st)
			ok(t, err)
			r, err = r.With(context.Background(), w.st, root.Change{Entry: root.Entry{Kind: root.KindTable, Name: name, Table: h}})
			ok(t, err)
		} else {
			rows = nil
		}
		c.Root = r.Tree()
		_, err := c.Put(context.Background(), w.st)
		ok(t, err)
		w.all, w.rows, w.name = append(w.all, c), append(w.rows, rows), append(w.name, name)
	}
	return w
}

// blame is the definition: of the first parent that has the row alike, else the commit itself.
func (w *blameWorld) blame(at int, key int64) string {
	for _, p := range w.all[at].Parents {
		n := slices.IndexFunc(w.all, func(c *history.Commit) bool { return c.ID == p })
		if v, there := w.rows[n][key]; there && v == w.rows[at][key] {
			return w.blame(n, key)
		}
	}
	return w.all[at].Message
}

func TestBlame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		w := drawBlameWorld(t)
		at := len(w.all) - 1
		b, err := diff.NewBlame(ctx, w.st, w.all[at], w.name[at], diff.Options{})
		if w.rows[at] == nil {
			if !errs.Is(err, errs.NotFound) {
				t.Fatalf("no table: %v", err)
			}
			return
		}
		ok(t, err)
		for key, got := range keys(t, w.st, b) {
			if want := w.blame(at, got); b.Of([]byte(key)) == nil || b.Of([]byte(key)).Message != want {
				t.Fatalf("row %d is of %v, want %s", got, b.Of([]byte(key)), want)
			}
		}
		// One row by its key.
		for key, id := range keys(t, w.st, b) {
			one, err := diff.NewBlame(ctx, w.st, w.all[at], w.name[at], diff.Options{Lo: []byte(key), Hi: append([]byte(key), 0)})
			ok(t, err)
			if got, want := one.Of([]byte(key)).Message, w.blame(at, id); got != want {
				t.Fatalf("row %d alone is of %s, want %s", id, got, want)
			}
			break
		}
	})
}

// keys is the keys of the blamed rows with their ids.
func keys(t fataler, st chunk.Reader, b *diff.Blame) map[string]int64 {
	t.Helper()
	out := map[string]int64{}
	scan := table.NewView(st, b.Table, nil).Scan(table.ScanOptions{Rows: table.RowsTree})
	for {
		blk, more, err := scan.Next(context.Background())
		ok(t, err)
		if !more {
			return out
		}
		for n := blk.Lo; n < blk.Hi; n++ {
			c, err := blk.Page.Cell(context.Background(), 0, n)
			ok(t, err)
			out[string(blk.Page.AppendKey(nil, n))] = c.Int()
		}
	}
}

func TestBlameFollowsRenames(t *testing.T) {
	ctx := t.Context()
	st := chunk.NewMem()
	sch := keyed(column("id", value.KindInt64, null), column("v", value.KindInt64, null))
	var parents []history.CommitID
	var last *history.Commit
	commit := func(msg, name string, rows ...[]value.Cell) {
		h, err := build(t, st, sch, rows...).Put(ctx, st)
		ok(t, err)
		r, err := root.Open(st, tree.Root{}).With(ctx, st, root.Change{Entry: root.Entry{Kind: root.KindTable, Name: name, Table: h}})
		ok(t, err)
		last = &history.Commit{Root: r.Tree(), Parents: parents, Height: uint64(len(parents)) + 1, Message: msg}
		if len(parents) > 0 {
			p, err := history.GetCommit(ctx, st, parents[0])
			ok(t, err)
			last.Height = p.Height + 1
		}
		id, err := last.Put(ctx, st)
		ok(t, err)
		parents = []history.CommitID{id}
	}
	commit("one", "t", row(i(1), i(1)))
	commit("two", "tt", row(i(1), i(1)))
	commit("three", "tt", row(i(1), i(1)), row(i(2), i(2)))
	b, err := diff.NewBlame(ctx, st, last, "tt", diff.Options{})
	ok(t, err)
	for key, id := range keys(t, st, b) {
		if got, want := b.Of([]byte(key)).Message, map[int64]string{1: "one", 2: "three"}[id]; got != want {
			t.Errorf("row %d is of %s, want %s", id, got, want)
		}
	}
}

// TestBlameCanceled ends a blame whose comparisons run ahead.
func TestBlameCanceled(t *testing.T) {
	st := chunk.NewMem()
	sch := keyed(column("id", value.KindInt64, null), column("v", value.KindInt64, null))
	var head *history.Commit
	for n := range int64(30) {
		var cells [][]value.Cell
		for k := range int64(3000) {
			cells = append(cells, row(i(k), i(n)))
		}
		h, err := build(t, st, sch, cells...).Put(t.Context(), st)
		ok(t, err)
		r, err := root.Open(st, tree.Root{}).With(t.Context(), st, root.Change{Entry: root.Entry{Kind: root.KindTable, Name: "t", Table: h}})
		ok(t, err)
		c := &history.Commit{Height: uint64(n) + 1, Root: r.Tree()}
		if head != nil {
			c.Parents = []history.CommitID{head.ID}
		}
		_, err = c.Put(t.Context(), st)
		ok(t, err)
		head = c
	}
	b, err := diff.NewBlame(t.Context(), st, head, "t", diff.Options{})
	ok(t, err)
	if c := b.Of(value.AppendKeyPart(nil, &b.Table.Schema.Primary.Parts[0], i(7))); c.ID != head.ID {
		t.Errorf("a row that the last commit changed is of %v", c.ID)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := diff.NewBlame(ctx, st, head, "t", diff.Options{}); err == nil {
		t.Error("a blame goes on though its context has ended")
	}
	// One whose reads end the context midway.
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	if _, err := diff.NewBlame(ctx, &ending{Mem: st, after: 40, end: cancel}, head, "t", diff.Options{}); err == nil {
		t.Error("a blame goes on though its context ended while it ran")
	}
}

// ending ends something after so many reads.
type ending struct {
	*chunk.Mem
	mu    sync.Mutex
	after int
	end   func()
}

func (e *ending) Get(ctx context.Context, h hash.Hash) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	e.mu.Lock()
	if e.after--; e.after == 0 {
		e.end()
	}
	e.mu.Unlock()
	return e.Mem.Get(ctx, h)
}
