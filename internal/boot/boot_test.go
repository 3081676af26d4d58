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
