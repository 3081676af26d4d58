package boot

import (
	"math"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

var sink []byte

// The collector is still until the process has grown, and then has its percentage and limit back.
func TestDone(t *testing.T) {
	const limit = math.MaxInt64
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(limit))
	debug.SetGCPercent(-1) // as it is when main begins
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	done(int64(before.Sys-before.HeapReleased) + 32<<20)
	grow := func(bytes int) {
		for range bytes >> 16 {
			sink = make([]byte, 1<<16)
		}
	}
	grow(8 << 20)
	runtime.ReadMemStats(&after)
	if after.NumGC != before.NumGC {
		t.Errorf("%d collections while the process is small", after.NumGC-before.NumGC)
	}
	for range 1000 {
		grow(8 << 20)
		if debug.SetMemoryLimit(-1) == limit {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if got := debug.SetMemoryLimit(-1); got != limit {
		t.Fatalf("the limit is %d, want %d", got, limit)
	}
	if got := debug.SetGCPercent(100); got != percent {
		t.Errorf("the percentage is %d, want %d", got, percent)
	}
}

// A limit of the user's below stays, and the collector works at once.
func TestDoneWithLimit(t *testing.T) {
	limit := debug.SetMemoryLimit(small / 2)
	defer debug.SetMemoryLimit(limit)
	debug.SetGCPercent(-1)
	Done()
	if got := debug.SetMemoryLimit(-1); got != small/2 {
		t.Errorf("the limit is %d", got)
	}
	if got := debug.SetGCPercent(100); got != percent {
		t.Errorf("the percentage is %d, want %d", got, percent)
	}
}

// The larger a heap the smaller the share of garbage, down to a fifth.
func TestPercentOf(t *testing.T) {
	for _, c := range []struct {
		traced uint64
		want   int
	}{{0, 100}, {48 << 20, 100}, {96 << 20, 50}, {192 << 20, 25}, {240 << 20, 20}, {1 << 30, 20}, {16 << 30, 20}} {
		if got := percentOf(c.traced); got != c.want {
			t.Errorf("of %d MiB %d percent, want %d", c.traced>>20, got, c.want)
		}
	}
}

// After a collection that leaves much the percentage is smaller, and after one that leaves little it is the runtime's again.
func TestPacer(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	now := func() int {
		p := debug.SetGCPercent(100)
		debug.SetGCPercent(p)
		return p
	}
	settles := func(small bool) bool {
		for range 500 {
			runtime.GC()
			if p := now(); p < 60 == small {
				return true
			}
			time.Sleep(time.Millisecond)
		}
		return false
	}
	new(pacer).watch(100)
	held := make([]byte, 160<<20)
	if !settles(true) {
		t.Errorf("with %d MiB held the percentage is %d", len(held)>>20, now())
	}
	runtime.KeepAlive(held)
	held = nil
	if !settles(false) {
		t.Errorf("with nothing held the percentage is %d", now())
	}
}
