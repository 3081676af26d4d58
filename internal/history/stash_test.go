package history

import (
	"context"
	"reflect"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/tree"
)

func sampleStash() *Stash {
	return &Stash{
		Root: tree.Root{Hash: hash.Sum([]byte("x")), Level: 1, Count: 9}, Head: hash.Sum([]byte("y")), Branch: "main", Message: "a message",
		Added: []string{"t", "U"},
	}
}

func sampleRebase() *Rebase {
	return &Rebase{
		Branch: "main", Head: hash.Sum([]byte("x")), Onto: hash.Sum([]byte("y")), Working: tree.Root{Hash: hash.Sum([]byte("z")), Count: 3},
		KeepEmpty: true, Begun: true, Last: 100, Stopped: true,
		Plan: []RebaseStep{{Order: -150, Action: RebasePick, Commit: "abc", Message: "one"}, {Order: 100, Action: RebaseEdit, Commit: "def", Message: ""}},
	}
}

// TestAsideBytes checks that stashes and rebases read back, and pins their bytes.
func TestAsideBytes(t *testing.T) {
	ctx := context.Background()
	st := chunk.NewMem()
	s, x := sampleStash(), sampleRebase()
	hs, err := s.Put(ctx, st)
	if err != nil {
		t.Fatal(err)
	}
	hx, err := x.Put(ctx, st)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := GetStash(ctx, st, hs); err != nil || !reflect.DeepEqual(got, s) {
		t.Errorf("read back %+v, %v", got, err)
	}
	if got, err := GetRebase(ctx, st, hx); err != nil || !reflect.DeepEqual(got, x) {
		t.Errorf("read back %+v, %v", got, err)
	}
	for name, c := range map[string]struct {
		b      []byte
		decode func([]byte) error
		want   string
	}{
		"stash":  {s.Encode(), func(b []byte) error { _, err := DecodeStash(b); return err }, "hhaok83qd83hg7g2tdhs41s8vmi7mq8m"},
		"rebase": {x.Encode(), func(b []byte) error { _, err := DecodeRebase(b); return err }, "bt7dmkumm1haghjbvlmd0d07ic0k24tb"},
	} {
		for n := 2; n < len(c.b); n++ {
			if err := c.decode(c.b[:n]); !errs.Is(err, errs.Corrupt) {
				t.Errorf("%s: %d of %d bytes: %v", name, n, len(c.b), err)
			}
		}
		if h := hash.Sum(c.b).String(); h != c.want {
			t.Errorf("%s: hash %s, want %s", name, h, c.want)
		}
		c.b[1]++
		if err := c.decode(c.b); !errs.Is(err, errs.TooNew) {
			t.Errorf("%s: a newer version: %v", name, err)
		}
	}
	for name, change := range map[string]func(*Rebase){
		"unknown action": func(x *Rebase) { x.Plan[0].Action = RebaseEdit + 1 },
		"no action":      func(x *Rebase) { x.Plan[0].Action = 0 },
		"out of order":   func(x *Rebase) { x.Plan[0].Order = 100 },
	} {
		x := sampleRebase()
		change(x)
		if _, err := DecodeRebase(x.Encode()); !errs.Is(err, errs.Corrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDecodeStash(f *testing.F) {
	f.Add(sampleStash().Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := DecodeStash(b); err == nil {
			if _, err := DecodeStash(s.Encode()); err != nil {
				t.Errorf("read again: %v", err)
			}
		} else if !errs.Is(err, errs.Corrupt) && !errs.Is(err, errs.TooNew) {
			t.Errorf("error %v", err)
		}
	})
}

func FuzzDecodeRebase(f *testing.F) {
	f.Add(sampleRebase().Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if x, err := DecodeRebase(b); err == nil {
			if _, err := DecodeRebase(x.Encode()); err != nil {
				t.Errorf("read again: %v", err)
			}
		} else if !errs.Is(err, errs.Corrupt) && !errs.Is(err, errs.TooNew) {
			t.Errorf("error %v", err)
		}
	})
}
