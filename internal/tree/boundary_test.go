package tree

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestHazardAgainstFloat compares the integer functions with the formula that they stand for.
func TestHazardAgainstFloat(t *testing.T) {
	g := math.Gamma(1.25)
	for _, target := range []uint64{64, 1000, 2048, 4096, 16384, 65536, maxTarget} {
		for i := range uint64(1000) {
			size := 2*target*i/1000 + 1
			if size >= 2*target {
				break
			}
			want := math.Pow(float64(size)*g/float64(target), 4)
			got := float64(hazard(size, target)) / (1 << 56)
			if math.Abs(got-want) > 2e-5*max(want, 1e-3) {
				t.Fatalf("hazard(%d, %d) = %g, want %g", size, target, got, want)
			}
			if h := hazard(size-1, target); h > hazard(size, target) {
				t.Fatalf("hazard falls at %d of %d", size, target)
			}
		}
	}
}

func TestCutChanceAgainstFloat(t *testing.T) {
	for d := 1e-12; d < 11; d *= 1.01 {
		got := float64(cutChance(uint64(d*(1<<56)))) / (1 << 64)
		if want := -math.Expm1(-d); math.Abs(got-want) > 1e-9*want+1e-15 {
			t.Fatalf("cutChance(%g) = %g, want %g", d, got, want)
		}
	}
	if cutChance(0) != 0 {
		t.Fatalf("cutChance(0) = %d", cutChance(0))
	}
}

// TestBoundaryVectors pins exact values, which are part of the format. They were computed with big integers from the
// definitions in docs/format.md.
func TestBoundaryVectors(t *testing.T) {
	for _, c := range []struct{ size, target, want uint64 }{
		{1024, 4096, 0x00accad1f2e126}, {4096, 4096, 0xaccad1f2e126cf}, {8191, 4096, 0xacb5399bcd9f4b3}, {5000, 16000, 0x1a5db2a91f7af},
	} {
		if got := hazard(c.size, c.target); got != c.want {
			t.Errorf("hazard(%d, %d) = %#x, want %#x", c.size, c.target, got, c.want)
		}
	}
	for _, c := range []struct{ d, want uint64 }{
		{1 << 40, 0xffff80002a81}, {1 << 50, 0x3f80aa00882db3e}, {1 << 56, 0xa1d2a7274c4320d4}, {11 << 56, 0xfffee7cabdc70989},
	} {
		if got := cutChance(c.d); got != c.want {
			t.Errorf("cutChance(%#x) = %#x, want %#x", c.d, got, c.want)
		}
	}
}

// TestChunkSizes checks the distribution: mean T, coefficient of variation 0.28, all from T/4 to 2T and one item.
func TestChunkSizes(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, c := range []struct{ target, low, high int }{
		{4096, 20, 60}, {16384, 30, 50}, {16384, 1, 256}, {16384, 256, 256}, {2048, 50, 90}, {3000, 1, 46},
	} {
		s := newSplitter(c.target, 0)
		var n, sum, sq, size float64
		var key [8]byte
		for n < 10000 {
			w := c.low + rng.IntN(c.high-c.low+1)
			size += float64(w)
			for i := range key {
				key[i] = byte(rng.Uint32())
			}
			if !s.add(key[:], w) {
				continue
			}
			if size < float64(c.target)/4 || size >= float64(2*c.target+c.high) {
				t.Fatalf("chunk of %g with target %d", size, c.target)
			}
			n++
			sum += size
			sq += size * size
			size = 0
		}
		mean := sum / n
		cv := math.Sqrt(sq/n-mean*mean) / mean
		t.Logf("target %d, items %d-%d: mean %.4f T, cv %.3f", c.target, c.low, c.high, mean/float64(c.target), cv)
		// A chunk ends with the item after which it should end, so half an item is added on average.
		want := float64(c.target) + float64(c.low+c.high)/4
		if math.Abs(mean/want-1) > 0.015 || math.Abs(cv-0.28) > 0.015 {
			t.Errorf("target %d, items %d-%d: mean %.0f, cv %.3f", c.target, c.low, c.high, mean, cv)
		}
	}
}

// TestLevelsCutIndependently: a key that ends a chunk at one level must not be likelier to end one above.
func TestLevelsCutIndependently(t *testing.T) {
	seen := map[uint64]bool{}
	for level := range uint8(maxLevel) {
		seen[levelSalt(level)] = true
	}
	if len(seen) != maxLevel {
		t.Fatalf("%d salts for %d levels", len(seen), maxLevel)
	}
}

// TestNodeHasTwoChildren: the cap of an entry's weight leaves room for two children in every node but the last.
func TestNodeHasTwoChildren(t *testing.T) {
	s := newSplitter(nodeTarget, 1)
	if w := entryWeight(make([]byte, MaxKey)); !s.quiet(w) {
		t.Fatalf("a child of weight %d may end a node", w)
	}
}

func BenchmarkSplitter(b *testing.B) {
	s := newSplitter(16384, 0)
	key := []byte("0123456789abcdef")
	for i := range b.N {
		key[i&7] = byte(i)
		s.add(key, 40)
	}
}
