// Package objecttest is what object stores are tested with: a conformance suite, and a store that fails.
package objecttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/object"
)

// Suite checks a store that open makes anew, empty, for each part.
func Suite(t *testing.T, open func(t *testing.T) object.Store) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, s object.Store)
	}{
		{"reads what was put", reads}, {"conditions", conditions}, {"one of many wins", race}, {"lists", lists},
		{"names", names}, {"large", large}, {"canceled", canceled}, {"delete", deletes}, {"delete on a condition", deletesIf},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

func put(t *testing.T, s object.Store, name, text string, on object.Condition) {
	t.Helper()
	if err := s.Put(t.Context(), name, object.Bytes([]byte(text)), on); err != nil {
		t.Fatalf("put %s: %v", name, err)
	}
}

func want(t *testing.T, s object.Store, name, text string) object.Generation {
	t.Helper()
	data, g, err := s.Get(t.Context(), name)
	if err != nil || string(data) != text || g == "" {
		t.Fatalf("get %s: %q of generation %q, %v; want %q", name, data, g, err, text)
	}
	return g
}

func code(t *testing.T, err error, c errs.Code) {
	t.Helper()
	if !errs.Is(err, c) {
		t.Errorf("%v, want class %s", err, c)
	}
}

func reads(t *testing.T, s object.Store) {
	_, _, err := s.Get(t.Context(), "a/b")
	code(t, err, errs.NotFound)
	_, err = s.Stat(t.Context(), "a/b")
	code(t, err, errs.NotFound)
	code(t, s.GetRange(t.Context(), "a/b", make([]byte, 1), 0), errs.NotFound)
	put(t, s, "a/b", "0123456789", object.Always)
	want(t, s, "a/b", "0123456789")
	code(t, s.Settle(t.Context(), "a"), errs.NotFound)
	if err := s.Settle(t.Context(), "a/b"); err != nil {
		t.Errorf("settle: %v", err)
	}
	in, err := s.Stat(t.Context(), "a/b")
	if err != nil || in != (object.Info{Name: "a/b", Size: 10}) {
		t.Errorf("stat: %+v, %v", in, err)
	}
	for _, r := range []struct{ off, n int }{{0, 10}, {3, 4}, {9, 1}, {0, 1}} {
		b := make([]byte, r.n)
		if err := s.GetRange(t.Context(), "a/b", b, int64(r.off)); err != nil || string(b) != "0123456789"[r.off:r.off+r.n] {
			t.Errorf("range %v: %q, %v", r, b, err)
		}
	}
	for _, r := range []struct{ off, n int }{{0, 11}, {9, 2}, {10, 1}, {50, 1}} {
		code(t, s.GetRange(t.Context(), "a/b", make([]byte, r.n), int64(r.off)), errs.Corrupt)
	}
	put(t, s, "a/b", "", object.Always)
	want(t, s, "a/b", "")
	if _, _, err := s.Get(t.Context(), "a"); !errs.Is(err, errs.NotFound) {
		t.Errorf("what is a directory at most is an object: %v", err)
	}
}

func conditions(t *testing.T, s object.Store) {
	ctx := t.Context()
	code(t, s.Put(ctx, "ref", object.Bytes([]byte("x")), object.If("1234567890123456")), errs.Conflict)
	put(t, s, "ref", "one", object.IfAbsent)
	code(t, s.Put(ctx, "ref", object.Bytes([]byte("two")), object.IfAbsent), errs.Conflict)
	code(t, s.Put(ctx, "ref", object.Bytes([]byte("two")), object.If("")), errs.Conflict)
	first := want(t, s, "ref", "one")
	put(t, s, "ref", "two", object.If(first))
	second := want(t, s, "ref", "two")
	if first == second {
		t.Error("two contents have one generation")
	}
	code(t, s.Put(ctx, "ref", object.Bytes([]byte("three")), object.If(first)), errs.Conflict)
	want(t, s, "ref", "two")
	put(t, s, "ref", "four", object.Always)
	code(t, s.Put(ctx, "ref", object.Bytes([]byte("five")), object.If(second)), errs.Conflict)
}

func race(t *testing.T, s object.Store) {
	const many = 8
	put(t, s, "n", "start", object.Always)
	for round := range 3 {
		_, g, err := s.Get(t.Context(), "n")
		if err != nil {
			t.Fatal(err)
		}
		for name, on := range map[string]object.Condition{"n": object.If(g), fmt.Sprintf("new/%d", round): object.IfAbsent} {
			var won atomic.Int32
			var wait sync.WaitGroup
			for i := range many {
				wait.Go(func() {
					err := s.Put(t.Context(), name, object.Bytes(fmt.Appendf(nil, "%d by %d", round, i)), on)
					if err == nil {
						won.Add(1)
					} else if !errs.Is(err, errs.Conflict) {
						t.Errorf("put %s: %v", name, err)
					}
				})
			}
			wait.Wait()
			if won.Load() != 1 {
				t.Errorf("%d of %d puts of %s on one condition succeeded", won.Load(), many, name)
			}
		}
	}
}

func lists(t *testing.T, s object.Store) {
	var all []string
	for _, n := range []string{"refs/heads/main", "refs/heads/a/b", "refs/heads/ab", "refs/tags/v1", "packs/x.pack", "top"} {
		put(t, s, n, n, object.Always)
		all = append(all, n)
	}
	slices.Sort(all)
	for prefix, want := range map[string][]string{
		"": all, "refs/": {"refs/heads/a/b", "refs/heads/ab", "refs/heads/main", "refs/tags/v1"}, "refs/heads/a": {"refs/heads/a/b", "refs/heads/ab"},
		"packs/": {"packs/x.pack"}, "nothing/": nil, "to": {"top"},
	} {
		got, err := s.List(t.Context(), prefix)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, in := range got {
			names = append(names, in.Name)
			if in.Size != int64(len(in.Name)) {
				t.Errorf("%s has length %d in the list", in.Name, in.Size)
			}
		}
		if !slices.Equal(names, want) {
			t.Errorf("list %q: %q, want %q", prefix, names, want)
		}
	}
}

func names(t *testing.T, s object.Store) {
	for _, n := range []string{"", "/a", "a/", "a//b", ".", "a/..", ".lock", "a/.b", "A", "a b", "ä", "a\\b", "../a", "a\n"} {
		ctx := t.Context()
		code(t, s.Put(ctx, n, object.Bytes(nil), object.Always), errs.Invalid)
		_, _, err := s.Get(ctx, n)
		code(t, err, errs.Invalid)
		code(t, s.GetRange(ctx, n, make([]byte, 1), 0), errs.Invalid)
		_, err = s.Stat(ctx, n)
		code(t, err, errs.Invalid)
		code(t, s.Settle(ctx, n), errs.Invalid)
		code(t, s.Delete(ctx, n), errs.Invalid)
		code(t, s.DeleteIf(ctx, n, "1"), errs.Invalid)
		if n != "" && n != "a/" {
			_, err = s.List(ctx, n)
			code(t, err, errs.Invalid)
		}
	}
	for _, n := range []string{"a%2f-_.9/b", "a.tmp", "dir.tmp/b", "dir.tmp/c.tmp"} {
		put(t, s, n, "x", object.IfAbsent)
		want(t, s, n, "x")
	}
	if got, err := s.List(t.Context(), ""); err != nil || len(got) != 4 {
		t.Errorf("list: %v, %v; want what was put", got, err)
	}
}

func large(t *testing.T, s object.Store) {
	data := make([]byte, 9<<20+17)
	for i := range data {
		data[i] = byte(i * i >> 7)
	}
	if err := s.Put(t.Context(), "packs/large", object.Bytes(data), object.IfAbsent); err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	const part = 1 << 20
	for off := 0; off < len(data); off += part {
		wait.Go(func() {
			b := make([]byte, min(part, len(data)-off))
			if err := s.GetRange(t.Context(), "packs/large", b, int64(off)); err != nil || !bytes.Equal(b, data[off:off+len(b)]) {
				t.Errorf("range at %d: %v", off, err)
			}
		})
	}
	wait.Wait()
}

func canceled(t *testing.T, s object.Store) {
	put(t, s, "a", "a", object.Always)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := s.Get(ctx, "a")
	code(t, err, errs.Canceled)
	code(t, s.GetRange(ctx, "a", make([]byte, 1), 0), errs.Canceled)
	code(t, s.Put(ctx, "b", object.Bytes([]byte("b")), object.Always), errs.Canceled)
	_, err = s.List(ctx, "")
	code(t, err, errs.Canceled)
	_, err = s.Stat(ctx, "a")
	code(t, err, errs.Canceled)
	code(t, s.Settle(ctx, "a"), errs.Canceled)
	if _, _, err := s.Get(t.Context(), "b"); !errs.Is(err, errs.NotFound) {
		t.Errorf("a canceled put has left something: %v", err)
	}
}

func deletes(t *testing.T, s object.Store) {
	put(t, s, "a/b", "x", object.Always)
	for range 2 {
		if err := s.Delete(t.Context(), "a/b"); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err := s.Get(t.Context(), "a/b")
	code(t, err, errs.NotFound)
	put(t, s, "a/b", "y", object.IfAbsent)
	want(t, s, "a/b", "y")
}

// deletesIf: only the object of that generation is removed. A server that minds no condition is passed over, but not a store that this says of.
func deletesIf(t *testing.T, s object.Store) {
	put(t, s, "probe", "x", object.Always)
	err := s.DeleteIf(t.Context(), "probe", "1234567890123456")
	if errs.Is(err, errs.Unsupported) {
		t.Skip(err)
	}
	if err == nil {
		t.Skip("the server minds no condition of a delete")
	}
	code(t, err, errs.Conflict)
	want(t, s, "probe", "x")
	put(t, s, "a/b", "x", object.Always)
	_, old, err := s.Get(t.Context(), "a/b")
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, "a/b", "y", object.Always)
	code(t, s.DeleteIf(t.Context(), "a/b", old), errs.Conflict)
	code(t, s.DeleteIf(t.Context(), "never/was", old), errs.Conflict)
	want(t, s, "a/b", "y")
	_, now, err := s.Get(t.Context(), "a/b")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteIf(t.Context(), "a/b", now); err != nil {
		t.Fatal(err)
	}
	_, _, err = s.Get(t.Context(), "a/b")
	code(t, err, errs.NotFound)
	code(t, s.DeleteIf(t.Context(), "a/b", now), errs.Conflict)
	put(t, s, "a/b", "z", object.IfAbsent)
	code(t, s.DeleteIf(t.Context(), "a/b", now), errs.Conflict)
	want(t, s, "a/b", "z")
}

// errFault is what a Faulty store's own failures are.
var errFault = errors.New("a fault that was asked for")
