package diff

import (
	"math/rand/v2"
	"strconv"
	"testing"
)

// TestKeyNotes keeps a map of Go beside: the empty key, keys that begin alike, keys that come again, and entries that share a hash.
func TestKeyNotes(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var m keyNotes
	want := map[string]int32{}
	for range 20_000 {
		key := strconv.Itoa(rng.IntN(3000))[1:]
		note := int32(rng.IntN(100))
		m.add([]byte(key), note)
		if _, ok := want[key]; !ok {
			want[key] = note
		}
	}
	// All entries behind one hash are told apart by their keys.
	one := keyNotes{first: map[uint64]int32{7: 1}, entries: []keyNote{{1, 10, -1}, {3, 20, 0}}, keys: []byte("abc")}
	for key, at := range map[string]int32{"a": 0, "bc": 1, "b": -1, "": -1} {
		if got := one.find(7, []byte(key)); got != at {
			t.Errorf("find %q: %d, not %d", key, got, at)
		}
	}
	for i := range 3000 {
		key := strconv.Itoa(i)
		got, ok := m.get([]byte(key))
		note, there := want[key]
		if ok != there || got != note {
			t.Errorf("get %q: %d %v, not %d %v", key, got, ok, note, there)
		}
	}
	if got, ok := m.get(nil); !ok || got != want[""] {
		t.Errorf("get the empty key: %d %v", got, ok)
	}
}
