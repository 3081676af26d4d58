package tree

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

// TestReadsAgainstModel compares Get, Rank, Split and every move of the cursor with the model, on trees of every size.
func TestReadsAgainstModel(t *testing.T) {
	ctx := t.Context()
	for _, n := range []int{0, 1, 2, 7, 60, 900, 6000} {
		rng := rand.New(rand.NewPCG(uint64(n), 2))
		m := random(rng, n, 20000)
		st := chunk.NewMem()
		tr := New(st, small, m.build(t, st, small, 0))
		keys := m.keys()
		if tr.Count() != uint64(len(keys)) {
			t.Fatalf("Count = %d, want %d", tr.Count(), len(keys))
		}
		c := tr.Cursor()
		at := func(want int, err error, what string, args ...any) {
			t.Helper()
			ok(t, err)
			what = fmt.Sprintf(what, args...)
			if inside := want >= 0 && want < len(keys); c.Valid() != inside {
				t.Fatalf("%s: valid %v, want row %d of %d", what, c.Valid(), want, len(keys))
			} else if !inside {
				return
			}
			row, err := c.Row(ctx, nil)
			ok(t, err)
			if k := string(c.Key(nil)); k != keys[want] || string(row) != m[k] || c.Ordinal() != uint64(want) {
				t.Fatalf("%s: at %q = %q, ordinal %d, want %q = %q, %d", what, k, row, c.Ordinal(), keys[want], m[keys[want]], want)
			}
		}
		ok(t, c.First(ctx))
		for i := range keys {
			at(i, nil, "forward")
			ok(t, c.Next(ctx))
		}
		at(len(keys), nil, "end")
		ok(t, c.Last(ctx))
		for i := len(keys) - 1; i >= 0; i-- {
			at(i, nil, "backward")
			ok(t, c.Prev(ctx))
		}
		at(-1, nil, "start")
		for range 300 {
			k := []byte(key(rng, 20000))
			if rng.IntN(5) == 0 {
				k = append(k, "zzzz"...)
			}
			rank, found := slices.BinarySearch(keys, string(k))
			at(rank, c.Seek(ctx, k), "Seek(%q)", k)
			r, err := tr.Rank(ctx, k)
			ok(t, err)
			if r != uint64(rank) {
				t.Fatalf("Rank(%q) = %d, want %d", k, r, rank)
			}
			leaf, i, have, err := tr.Get(ctx, k)
			ok(t, err)
			if have != found {
				t.Fatalf("Get(%q) = %v, want %v", k, have, found)
			}
			if have {
				if row, _ := leaf.AppendRow(ctx, nil, i); string(row) != m[string(k)] {
					t.Fatalf("Get(%q) = %q, want %q", k, row, m[string(k)])
				}
			}
			ord := rng.IntN(len(keys) + 2)
			at(ord, c.SeekOrdinal(ctx, uint64(ord)), "SeekOrdinal(%d)", ord)
			if c.Valid() {
				at(ord+1, c.Next(ctx), "Next after SeekOrdinal(%d)", ord)
			}
		}
		for _, parts := range []int{0, 1, 2, 5, 16, 1000} {
			bounds, err := tr.Split(ctx, parts)
			ok(t, err)
			if len(bounds) > max(parts-1, 0) {
				t.Fatalf("Split(%d) gives %d bounds", parts, len(bounds))
			}
			prev := 0
			for i, b := range append(bounds, []byte("\xff")) {
				rank, _ := slices.BinarySearch(keys, string(b))
				size := rank - prev
				if i < len(bounds) && size <= 0 {
					t.Fatalf("Split(%d): bound %d, %q, is not above the one before", parts, i, b)
				}
				// A leaf of the small format holds 4 to 128 rows.
				if parts >= 2 && parts <= 16 && n >= 900 && (size > len(keys)/parts+130 || size < len(keys)/parts-130) {
					t.Fatalf("Split(%d) of %d rows: part %d has %d", parts, len(keys), i, size)
				}
				prev = rank
			}
			if parts > 1 && n == 6000 && parts <= 16 && len(bounds) != parts-1 {
				t.Fatalf("Split(%d) of %d rows: %d bounds", parts, len(keys), len(bounds))
			}
		}
	}
}

// TestLargeKeys: keys up to the longest need the wide form, and nodes keep at least two children.
func TestLargeKeys(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	st := chunk.NewMem()
	m := model{}
	for i := range 700 {
		k := make([]byte, []int{3, 200, 5000, MaxKey}[i%4])
		for j := range k {
			k[j] = byte(rng.Uint32())
		}
		m[string(k)] = "v"
	}
	root := m.build(t, st, small, 0)
	check(t, st, small, root)
	for k := range m {
		if _, _, found, err := New(st, small, root).Get(t.Context(), []byte(k)); err != nil || !found {
			t.Fatalf("Get of a key of %d bytes: %v, %v", len(k), found, err)
		}
	}
	shapes, err := Shapes(t.Context(), st, small, root)
	ok(t, err)
	t.Logf("%+v", shapes)
	if len(shapes) > 5 {
		t.Fatalf("%d levels for 700 rows", len(shapes))
	}
}

// TestErrorsOfStore: absent and damaged chunks come out as errors of their class.
func TestErrorsOfStore(t *testing.T) {
	ctx := t.Context()
	m := random(rand.New(rand.NewPCG(1, 1)), 3000, 20000)
	st := chunk.NewMem()
	root := m.build(t, st, small, 0)
	gone := Root{Hash: hash.Sum([]byte("gone")), Level: root.Level, Count: root.Count}
	wrong := Root{Hash: root.Hash, Level: root.Level + 1, Count: root.Count}
	for _, c := range []struct {
		root Root
		want errs.Code
	}{{gone, errs.NotFound}, {wrong, errs.Corrupt}} {
		tr := New(st, small, c.root)
		_, _, _, err := tr.Get(ctx, []byte("00001"))
		_, err2 := tr.Rank(ctx, []byte("00001"))
		v := "x"
		_, err3 := Apply(ctx, st, small, c.root, edits(map[string]*string{"00001": &v}))
		err4 := Diff(ctx, st, small, c.root, Root{}, nil, nil, func(Change) error { return nil })
		for i, err := range []error{err, err2, err3, err4, tr.Cursor().First(ctx), tr.Cursor().Last(ctx), tr.Cursor().SeekOrdinal(ctx, 5)} {
			if errs.CodeOf(err) != c.want {
				t.Errorf("call %d: %v, want class %s", i, err, c.want)
			}
		}
	}
}
