package tree

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stemmadb/stemma/internal/hash"
)

func randomEntries(rng *rand.Rand) []entry {
	keys := map[string]bool{}
	prefix := fmt.Sprintf("%0*d", rng.IntN(30), 0)
	most := []int{0, 1 << 7, 1 << 15, 1 << 31, 1 << 60}[rng.IntN(5)]
	long := rng.IntN(10) == 0
	for range 1 + rng.IntN(80) {
		k := fmt.Sprintf("%s%d", prefix, rng.IntN(1000))
		if long {
			k += string(make([]byte, rng.IntN(3000)))
		}
		keys[k] = true
	}
	var es []entry
	for k := range keys {
		es = append(es, entry{key: []byte(k), hash: hash.Sum([]byte(k)), count: uint64(1 + rng.IntN(most+1)), flags: Flags(rng.IntN(2))})
	}
	slices.SortFunc(es, func(a, b entry) int { return bytes.Compare(a.key, b.key) })
	return es
}

func TestNodeRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		es := randomEntries(rng)
		data, err := encodeNode(3, es)
		ok(t, err)
		nd, err := openNode(data)
		ok(t, err)
		if nd.level != 3 || nd.Len() != len(es) || cap(data) != len(data) {
			t.Fatalf("level %d, %d children of %d, capacity %d of %d", nd.level, nd.Len(), len(es), cap(data), len(data))
		}
		view, _, err := openView(data)
		ok(t, err)
		var sum uint64
		for i, want := range es {
			got := nd.entry(i)
			if !bytes.Equal(got.key, want.key) || got.hash != want.hash || got.count != want.count || got.flags != want.flags {
				t.Fatalf("child %d is %v, want %v", i, got, want)
			}
			if nd.rowsBefore(i) != sum {
				t.Fatalf("rowsBefore(%d) = %d, want %d", i, nd.rowsBefore(i), sum)
			}
			sum += want.count
		}
		for range 30 {
			probe := es[rng.IntN(len(es))].key
			switch rng.IntN(4) {
			case 0:
				probe = append(bytes.Clone(probe), 0)
			case 1:
				probe = probe[:rng.IntN(len(probe)+1)]
			case 2:
				probe = fmt.Appendf(nil, "%d", rng.IntN(2000))
			}
			want, wok := slices.BinarySearchFunc(es, probe, func(e entry, k []byte) int { return bytes.Compare(e.key, k) })
			if i, found := nd.Search(probe); i != want || found != wok {
				t.Fatalf("Search(%q) = %d, %v, want %d, %v", probe, i, found, want, wok)
			}
			if i, found := view.(*nodeView).seek(probe); i != want || found != wok {
				t.Fatalf("seek(%q) = %d, %v, want %d, %v", probe, i, found, want, wok)
			}
		}
	}
}

func TestNodeReadsWithoutAllocation(t *testing.T) {
	data, err := encodeNode(1, randomEntries(rand.New(rand.NewPCG(4, 4))))
	ok(t, err)
	probe := []byte("5")
	sum := 0
	n := testing.AllocsPerRun(100, func() {
		nd, err := openNode(data)
		if err != nil {
			t.Fatal(err)
		}
		i, _ := nd.Search(probe)
		if i < nd.Len() {
			h := nd.hash(i)
			sum += int(h[0]) + int(nd.count(i))
		}
	})
	if n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func FuzzNode(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 4 {
		es := randomEntries(rng)
		data, err := encodeNode(1, es[:min(4, len(es))])
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("\x02\x01\x01\x07\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		nd, err := openNode(data)
		if err != nil {
			return
		}
		var es []entry
		for i := range nd.Len() {
			es = append(es, nd.entry(i))
			nd.Search(es[i].key)
		}
		nd.rowsBefore(nd.Len())
		// Encoding does not panic on what it reads, and what is in order comes out no longer than it was.
		again, err := encodeNode(nd.level, es)
		if slices.IsSortedFunc(es, func(a, b entry) int { return bytes.Compare(a.key, b.key) }) {
			ok(t, err)
			nd2, err := openNode(again)
			if err != nil || nd2.Len() != nd.Len() || len(again) > len(data) {
				t.Fatalf("canonical form of %d bytes has %d: %v", len(data), len(again), err)
			}
		}
	})
}
