package history

import (
	"bytes"
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/tree"
)

func sampleMerge() *Merge {
	h := hash.Sum([]byte("x"))
	r := tree.Root{Hash: h, Level: 1, Count: 9}
	e := root.Entry{Kind: root.KindTable, Name: "T", Table: h, Comments: []byte{}}
	return &Merge{
		Kind: MergeBranch, Source: "side", Theirs: h, Head: hash.Sum([]byte("y")), Working: r, Message: "a message",
		Author: Signature{Name: "Ada", Email: "ada@example.org", Time: time.UnixMicro(1).UTC()},
		Tables: []MergeTable{
			{Name: "T", Base: e, Ours: e, Theirs: e, Conflicts: r, Violations: r},
			{Name: "u", Theirs: e, Schema: "cannot merge"},
			{Name: "v", Ours: root.Entry{Kind: root.KindView, Name: "v", Body: []byte("select 1")}, Schema: "no"},
		},
	}
}

// TestMergeBytes checks that a merge reads back, and pins its bytes.
func TestMergeBytes(t *testing.T) {
	ctx := context.Background()
	m := sampleMerge()
	st := chunk.NewMem()
	h, err := m.Put(ctx, st)
	if err != nil {
		t.Fatal(err)
	}
	got, err := GetMerge(ctx, st, h)
	if err != nil || !bytes.Equal(got.Encode(), m.Encode()) || got.Tables[1].Schema != "cannot merge" || !reflect.DeepEqual(got.Tables[0].Base, m.Tables[0].Base) {
		t.Errorf("read back %+v, %v", got, err)
	}
	b := m.Encode()
	for n := 2; n < len(b); n++ {
		if _, err := DecodeMerge(b[:n]); !errs.Is(err, errs.Corrupt) {
			t.Errorf("%d of %d bytes: %v", n, len(b), err)
		}
	}
	b[1]++
	if _, err := DecodeMerge(b); !errs.Is(err, errs.TooNew) {
		t.Errorf("a newer version: %v", err)
	}
	const want = "hkn0g6arhqgpm6de2mkt4f97dgl14e93"
	if h.String() != want {
		t.Errorf("hash %s, want %s", h, want)
	}
}

func TestMergeTables(t *testing.T) {
	m := sampleMerge()
	if got := m.Unsettled(); !reflect.DeepEqual(got, []string{"T", "u", "v"}) {
		t.Errorf("unsettled %v", got)
	}
	x := m.Tables[m.Table("t")]
	x.Conflicts = tree.Root{}
	if n := m.With(x); len(n.Tables) != 3 {
		t.Errorf("with violations left: %v", n.Unsettled())
	}
	x.Violations = tree.Root{}
	n := m.With(x).With(MergeTable{Name: "A", Schema: "x"})
	if got := n.Unsettled(); !reflect.DeepEqual(got, []string{"A", "u", "v"}) || len(m.Tables) != 3 {
		t.Errorf("unsettled %v of %d", got, len(m.Tables))
	}
	kind, name, row, err := SplitViolationKey(ViolationKey(UniqueViolation, "idx", []byte{1, 2}))
	if err != nil || kind != UniqueViolation || name != "idx" || !bytes.Equal(row, []byte{1, 2}) {
		t.Errorf("%v %s %x %v", kind, name, row, err)
	}
}

func FuzzDecodeMerge(f *testing.F) {
	f.Add(sampleMerge().Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := DecodeMerge(b)
		if err != nil {
			if !errs.Is(err, errs.Corrupt) && !errs.Is(err, errs.TooNew) {
				t.Errorf("error %v", err)
			}
			return
		}
		if _, err := DecodeMerge(m.Encode()); err != nil {
			t.Errorf("read again: %v", err)
		}
	})
}
