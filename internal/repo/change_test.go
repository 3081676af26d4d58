package repo

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
)

func sampleChange() *change {
	h := hash.Sum([]byte("x"))
	r := tree.Root{Hash: h, Level: 1, Count: 9}
	return &change{
		refs: []refChange{{name: "main", head: h}, {name: "gone"}},
		tags: []tagChange{{name: "v1", object: h}},
		work: []workChange{{branch: "main", working: r, all: true, folded: []folded{{table: "t", upTo: 7}, {table: "u"}}}},
		head: "main",
		auto: []autoChange{{table: "t", next: 1 << 63}},
	}
}

// TestChangeBytes checks that a record reads back, and pins its bytes.
func TestChangeBytes(t *testing.T) {
	c := sampleChange()
	b := c.encode()
	got, err := decodeChange(b)
	if err != nil || !reflect.DeepEqual(got, c) {
		t.Errorf("read back %+v, %v", got, err)
	}
	for n := range b {
		if _, err := decodeChange(b[:n]); !errs.Is(err, errs.Corrupt) {
			t.Errorf("%d of %d bytes: %v", n, len(b), err)
		}
	}
	const want = "robudvbuko6h4u3mfv3rhilud19rok4i"
	if h := hash.Sum(b).String(); h != want {
		t.Errorf("hash %s, want %s: %x", h, want, b)
	}
}

// TestChangeTracked checks the record of what a fetch has seen, which is of the sixth version.
func TestChangeTracked(t *testing.T) {
	c := sampleChange()
	c.tracks = []refChange{{name: "origin/main", head: hash.Sum([]byte("c"))}, {name: "origin/gone"}}
	b := c.encode()
	got, err := decodeChange(b)
	if err != nil || !reflect.DeepEqual(got, c) || b[0] != changeTracked {
		t.Errorf("read back %+v, %v", got, err)
	}
	for n := range b {
		if _, err := decodeChange(b[:n]); !errs.Is(err, errs.Corrupt) {
			t.Errorf("%d of %d bytes: %v", n, len(b), err)
		}
	}
	const want = "fojof066h8mung1booc0gmo0mj3mf5ai"
	if h := hash.Sum(b).String(); h != want {
		t.Errorf("hash %s, want %s: %x", h, want, b)
	}
}

// TestChangeWritten checks the record of a noted write, which is of the fifth version.
func TestChangeWritten(t *testing.T) {
	c := sampleChange()
	c.work[0].rebase = hash.Sum([]byte("r"))
	c.writes = []Write{{ID: "a", Result: "{}"}, {ID: "b"}}
	b := c.encode()
	got, err := decodeChange(b)
	if err != nil || !reflect.DeepEqual(got, c) || b[0] != changeWritten {
		t.Errorf("read back %+v, %v", got, err)
	}
	for n := range b {
		if _, err := decodeChange(b[:n]); !errs.Is(err, errs.Corrupt) {
			t.Errorf("%d of %d bytes: %v", n, len(b), err)
		}
	}
	const want = "duvab7qg8ptt3c9ioqcd7ac6j89a10rp"
	if h := hash.Sum(b).String(); h != want {
		t.Errorf("hash %s, want %s: %x", h, want, b)
	}
}

// TestChangeMerging checks the record of a working set with a merge in progress, which is of the second version.
func TestChangeMerging(t *testing.T) {
	c := sampleChange()
	c.work[0].merge = hash.Sum([]byte("m"))
	c.work = append(c.work, workChange{branch: "other"})
	b := c.encode()
	got, err := decodeChange(b)
	if err != nil || !reflect.DeepEqual(got, c) || b[0] != changeMerging || sampleChange().encode()[0] != changePlain {
		t.Errorf("read back %+v, %v", got, err)
	}
	for n := range b {
		if _, err := decodeChange(b[:n]); !errs.Is(err, errs.Corrupt) {
			t.Errorf("%d of %d bytes: %v", n, len(b), err)
		}
	}
	const want = "2rutb35uoa05tggpf93fic510t3040kq"
	if h := hash.Sum(b).String(); h != want {
		t.Errorf("hash %s, want %s: %x", h, want, b)
	}
	b[0] = changeVersion + 1
	if _, err := decodeChange(b); !errs.Is(err, errs.TooNew) {
		t.Errorf("a newer version: %v", err)
	}
}

// TestChangeAside checks the record of a rebase in progress and of stashes, which is of the third version.
func TestChangeAside(t *testing.T) {
	for name, set := range map[string]func(*change){
		"rebase": func(c *change) { c.work[0].rebase = hash.Sum([]byte("r")) },
		"stashes": func(c *change) {
			c.stashes = []stashChange{{name: "dolt-cli", stashes: []hash.Hash{hash.Sum([]byte("s")), hash.Sum(nil)}}}
		},
		"no stashes": func(c *change) { c.stashes = []stashChange{{name: "dolt-cli"}} },
		"all": func(c *change) {
			c.work[0].merge, c.work[0].rebase = hash.Sum([]byte("m")), hash.Sum([]byte("r"))
			c.stashes = []stashChange{{name: "a", stashes: []hash.Hash{hash.Sum([]byte("s"))}}, {name: "b"}}
		},
	} {
		c := sampleChange()
		set(c)
		b := c.encode()
		got, err := decodeChange(b)
		if err != nil || !reflect.DeepEqual(got, c) || b[0] != changeAside {
			t.Errorf("%s: read back %+v, %v", name, got, err)
		}
		for n := range b {
			if _, err := decodeChange(b[:n]); !errs.Is(err, errs.Corrupt) {
				t.Errorf("%s: %d of %d bytes: %v", name, n, len(b), err)
			}
		}
		const want = "5lbqg3t132u1aocooblhqq3s0guhc6j4"
		if h := hash.Sum(b).String(); name == "all" && h != want {
			t.Errorf("hash %s, want %s: %x", h, want, b)
		}
	}
}

// FuzzDecodeChange reads records of journals: what is accepted means the same when it is written and read again. Edits of rows are never
// written as they are read.
func FuzzDecodeChange(f *testing.F) {
	f.Add(sampleChange().encode())
	f.Add((&change{work: []workChange{{branch: "main", merge: hash.Sum(nil)}}}).encode())
	f.Add((&change{work: []workChange{{branch: "main", rebase: hash.Sum(nil)}}, stashes: []stashChange{{name: "s", stashes: []hash.Hash{hash.Sum(nil)}}}}).encode())
	over := table.NewOverlay(0)
	f.Add((&change{rows: []rowChange{{branch: "main", table: "t", over: over}}}).encode())
	f.Add([]byte{changeVersion + 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decodeChange(b)
		if err != nil {
			if !errs.Is(err, errs.Corrupt) && !errs.Is(err, errs.TooNew) {
				t.Errorf("error %v", err)
			}
			return
		}
		c.rows = nil
		again, err := decodeChange(c.encode())
		if err != nil || !bytes.Equal(again.encode(), c.encode()) {
			t.Errorf("a change was written and read as another one: %v", err)
		}
	})
}
