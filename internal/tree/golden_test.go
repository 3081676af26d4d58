package tree

import (
	"fmt"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/hash"
)

// TestGolden pins roots: a change here is a change of the format and needs a new version.
func TestGolden(t *testing.T) {
	m := model{}
	for i := range 10000 {
		m[fmt.Sprintf("row/%07d", i*i)] = fmt.Sprint(i)
	}
	for _, c := range []struct {
		f    KVFormat
		want string
	}{{KVFormat{}, "kk0ok4n4cn3sh5k2rgn122pqdqv0qt4o level 2 rows 10000"}, {small, "0i3462tf4bsftpc6d8oqanks34m82c29 level 2 rows 10000"}} {
		root := m.build(t, chunk.NewMem(), c.f, 2)
		if got := fmt.Sprintf("%s level %d rows %d", root.Hash, root.Level, root.Count); got != c.want {
			t.Errorf("target %d: %s, want %s", c.f.Target(), got, c.want)
		}
	}
	st := chunk.NewMem()
	leaf, err := st.Get(t.Context(), model{"ab": "1", "abc": "", "abd": "xyz"}.build(t, st, KVFormat{}, 0).Hash)
	ok(t, err)
	wantLeaf := "\x03\x01\x00\x00" + "\x03\x00\x00\x00" + "\x02\x00\x00\x00" + "\x00\x00\x01\x00\x02\x00" + "\x01\x00\x01\x00\x04\x00" + "ab" + "cd" + "1xyz"
	if string(leaf) != wantLeaf {
		t.Errorf("leaf is %q, want %q", leaf, wantLeaf)
	}
	h1, h2 := hash.Sum([]byte("1")), hash.Sum([]byte("2"))
	nd, err := encodeNode(2, []entry{{key: []byte("ab"), hash: h1, count: 3, flags: FlagRefs}, {key: []byte("acx"), hash: h2, count: 300}})
	ok(t, err)
	wantNode := "\x02\x01\x02\x02" + "\x02\x00\x00\x00" + "\x01\x00\x00\x00" + string(h1[:]) + string(h2[:]) + "\x03\x00\x2c\x01" + "\x01\x00" + "\x01\x00\x03\x00" + "a" + "bcx"
	if string(nd) != wantNode {
		t.Errorf("node is %q, want %q", nd, wantNode)
	}
}
