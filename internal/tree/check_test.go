package tree

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
)

// problems is what Check reports.
func problems(t *testing.T, r chunk.Reader, f Format, root Root) string {
	t.Helper()
	var out []string
	ok(t, Check(t.Context(), r, f, root, func(p Problem) error {
		if !errs.Is(p, errs.Corrupt) && !errs.Is(p, errs.NotFound) {
			t.Errorf("problem of class %s: %v", errs.CodeOf(p), p)
		}
		out = append(out, p.Error())
		return nil
	}))
	return strings.Join(out, "\n")
}

// lying serves other bytes for one chunk.
type lying struct {
	*chunk.Mem
	h    hash.Hash
	data []byte
}

func (l *lying) Get(ctx context.Context, h hash.Hash) ([]byte, error) {
	if h == l.h {
		if l.data == nil {
			return nil, chunk.ErrMissing(h)
		}
		return l.data, nil
	}
	return l.Mem.Get(ctx, h)
}

func TestCheckFindsDamage(t *testing.T) {
	ctx := t.Context()
	st := chunk.NewMem()
	m := random(rand.New(rand.NewPCG(1, 1)), 6000, deep)
	root := m.build(t, st, small, 0)
	if got := problems(t, st, small, root); got != "" {
		t.Fatalf("a sound tree: %s", got)
	}
	top, err := loadNode(ctx, st, root.Hash, root.Level)
	ok(t, err)
	child := top.hash(1)
	data, err := st.Get(ctx, child)
	ok(t, err)
	if got := problems(t, &lying{st, child, nil}, small, root); !strings.Contains(got, "not in the store") {
		t.Errorf("missing chunk: %q", got)
	}
	flipped := bytes.Clone(data)
	flipped[len(flipped)-1] ^= 1
	if got := problems(t, &lying{st, child, flipped}, small, root); !strings.Contains(got, "another hash") {
		t.Errorf("flipped bit: %q", got)
	}

	es := make([]entry, top.n)
	for i := range es {
		es[i] = top.entry(i)
	}
	// with is the root of a tree whose top node has other children.
	with := func(level uint8, change func(es []entry) []entry) Root {
		es := change(append([]entry(nil), es...))
		data, err := encodeNode(level, es)
		ok(t, err)
		h, err := st.Put(ctx, data)
		ok(t, err)
		out := Root{Hash: h, Level: level}
		for _, e := range es {
			out.Count += e.count
			out.Flags |= e.flags
		}
		return out
	}
	wrongCount := root
	wrongCount.Count++
	wide, err := encodeNode(root.Level, es)
	ok(t, err)
	wide[3] |= formWide
	loose := []byte(nil)
	{
		// The same node with ends of four bytes where two do.
		at := len(wide) - len(top.tail) - len(top.prefix) - len(top.ends)
		loose = append(loose, wide[:at]...)
		for i := range top.n {
			_, hi := span(top.ends, false, i, len(top.tail))
			loose = appendOffset(loose, true, hi)
		}
		loose = append(append(loose, top.prefix...), top.tail...)
	}
	looseHash, err := st.Put(ctx, loose)
	ok(t, err)
	looseRoot := root
	looseRoot.Hash = looseHash
	for _, c := range []struct {
		name string
		root Root
		want string
	}{
		{"count", wrongCount, "(T3)"},
		{"child's count", with(root.Level, func(es []entry) []entry { es[1].count++; return es }), "(T3)"},
		{"child's flags", with(root.Level, func(es []entry) []entry { es[1].flags |= FlagRefs; return es }), "(T3)"},
		{"child's last key", with(root.Level, func(es []entry) []entry {
			es[1].key = append(bytes.Clone(es[1].key), 'x')
			return es
		}), "(T3)"},
		{"child twice", with(root.Level, func(es []entry) []entry { return append(es[:2:2], es[1:]...) }), "(T1)"},
		{"child swapped", with(root.Level, func(es []entry) []entry { es[0], es[1] = es[1], es[0]; return es }), "(T1)"},
		{"one child", with(root.Level, func(es []entry) []entry { return es[:1] }), "(T4)"},
		{"level", with(root.Level+1, func(es []entry) []entry { return es }), "(T6)"},
		{"form", looseRoot, "(T5)"},
		{"zero rows", Root{Hash: root.Hash}, "(T4)"},
	} {
		if got := problems(t, st, small, c.root); !strings.Contains(got, c.want) {
			t.Errorf("%s: want %s, have %q", c.name, c.want, got)
		}
	}
}

// TestCheckFindsBoundaries: leaves cut elsewhere than the rule says.
func TestCheckFindsBoundaries(t *testing.T) {
	ctx := t.Context()
	st := chunk.NewMem()
	m := random(rand.New(rand.NewPCG(1, 1)), 3000, 3000)
	other := KVFormat{Size: 300}
	root := m.build(t, st, other, 0)
	got := problems(t, st, small, root)
	if !strings.Contains(got, "should end (T2)") || !strings.Contains(got, "should go on (T2)") {
		t.Errorf("a tree of another target: %.300q", got)
	}
	stop := fmt.Errorf("enough")
	n := 0
	err := Check(ctx, st, small, root, func(Problem) error { n++; return stop })
	if err != stop || n != 1 {
		t.Errorf("report's error: %v after %d problems", err, n)
	}
}

// refFormat is KVFormat whose rows are addresses of blobs or hashes of plain chunks, for the walks.
type refFormat struct{ KVFormat }

type refLeaf struct{ Leaf }

func (f refFormat) Open(r chunk.Reader, data []byte) (Leaf, error) {
	l, err := f.KVFormat.Open(r, data)
	return refLeaf{l}, err
}

func (f refFormat) NewBuilder() LeafBuilder { return refBuilder{f.KVFormat.NewBuilder()} }

type refBuilder struct{ LeafBuilder }

func (b refBuilder) AddFrom(ctx context.Context, l Leaf, i, j int) error {
	return b.LeafBuilder.AddFrom(ctx, l.(refLeaf).Leaf, i, j)
}

func (b refBuilder) Finish(ctx context.Context, w chunk.Writer) ([]byte, Flags, error) {
	data, _, err := b.LeafBuilder.Finish(ctx, w)
	if err != nil {
		return nil, 0, err
	}
	l, err := small.Open(nil, data)
	if err != nil {
		return nil, 0, err
	}
	var flags Flags
	err = refLeaf{l}.Refs(ctx, func(Ref) error { flags = FlagRefs; return nil })
	return data, flags, err
}

func (l refLeaf) Refs(ctx context.Context, fn func(Ref) error) error {
	for i := range l.Len() {
		row, err := l.AppendRow(ctx, nil, i)
		if err != nil {
			return err
		}
		if len(row) >= hash.Size {
			if err := fn(Ref{Hash: hash.Hash(row), Blob: len(row) == BlobAddrSize}); err != nil {
				return err
			}
		}
	}
	return nil
}

// TestWalkReachesAll: Walk visits exactly the chunks that were stored, opens only what it must, and Check misses what is gone.
func TestWalkReachesAll(t *testing.T) {
	ctx := t.Context()
	st := &counting{Mem: chunk.NewMem()}
	f := refFormat{small}
	b := NewBuilder(st, f, BuilderOptions{})
	var blob, plain hash.Hash
	for i := range 4000 {
		row := []byte("plain row")
		if i == 1500 {
			addr, err := WriteBlob(ctx, st, noise(uint64(i), 100_000))
			ok(t, err)
			row, blob = addr, hash.Hash(addr)
		} else if i == 3000 {
			h, err := st.Put(ctx, []byte("a column group"))
			ok(t, err)
			row, plain = h[:], h
		}
		ok(t, b.Add(ctx, fmt.Appendf(nil, "%05d", i), row))
	}
	root, err := b.Finish(ctx)
	ok(t, err)
	if root.Flags != FlagRefs {
		t.Fatalf("flags %d", root.Flags)
	}
	seen := map[hash.Hash]int{}
	leaves := 0
	st.gets = 0
	ok(t, Walk(ctx, st, f, root, func(h hash.Hash, level int, _ Flags) (bool, error) {
		seen[h] = level
		if level == 0 {
			leaves++
		}
		return true, nil
	}))
	if len(seen) != st.Len() || seen[blob] != LevelBlob || seen[plain] != LevelRef {
		t.Fatalf("%d chunks visited, %d stored; blob level %d, group level %d", len(seen), st.Len(), seen[blob], seen[plain])
	}
	// Nodes, two leaves with references, and the blob's list are opened; other leaves and pieces are not.
	if nodes := len(seen) - leaves; st.gets > nodes+2+2 || leaves < 30 {
		t.Fatalf("%d reads for %d nodes and %d leaves", st.gets, nodes, leaves)
	}
	pruned := 0
	ok(t, Walk(ctx, st, f, root, func(hash.Hash, int, Flags) (bool, error) { pruned++; return false, nil }))
	if pruned != 1 {
		t.Fatalf("a walk that does not descend visits %d chunks", pruned)
	}
	if got := problems(t, st, f, root); got != "" {
		t.Fatalf("a sound tree: %s", got)
	}
	for h, level := range seen {
		if level >= 0 {
			continue
		}
		if got := problems(t, &lying{st.Mem, h, nil}, f, root); !strings.Contains(got, "not in the store") {
			t.Errorf("chunk of level %d gone: %q", level, got)
		}
	}
}

// TestCheckNewReadsReferencesOnce: what leaves name is verified once for all trees that share it, unless it is damaged.
func TestCheckNewReadsReferencesOnce(t *testing.T) {
	ctx := t.Context()
	st := &counting{Mem: chunk.NewMem()}
	f := refFormat{small}
	addr, err := WriteBlob(ctx, st, noise(1, 100_000))
	ok(t, err)
	var roots []Root
	for n := range 3 { // each has the blob in another leaf
		b := NewBuilder(st, f, BuilderOptions{})
		for i := range 400 {
			row := fmt.Appendf(nil, "row of tree %d", n)
			if i == 200 {
				row = addr
			}
			ok(t, b.Add(ctx, fmt.Appendf(nil, "%05d", i), row))
		}
		root, err := b.Finish(ctx)
		ok(t, err)
		roots = append(roots, root)
	}
	var checked Checked
	st.gets = 0
	for _, root := range roots {
		ok(t, CheckNew(ctx, st, f, root, &checked, func(p Problem) error { return p }))
	}
	// Walking a blob opens its list, and every chunk of it is read to be verified.
	if most := st.Len() + 1; st.gets > most {
		t.Errorf("%d reads for %d chunks", st.gets, st.Len())
	}
	checked = Checked{}
	lie := &lying{st.Mem, hash.Hash(addr), nil}
	for i, root := range roots {
		found := 0
		ok(t, CheckNew(ctx, lie, f, root, &checked, func(p Problem) error { found++; return nil }))
		if found == 0 {
			t.Errorf("tree %d: the missing blob is not reported", i)
		}
	}
}
