// Package boot steers the garbage collector.
//
// It keeps it still while packages are initialised and for as long as the process is small: what they allocate, the SQL engine's tables
// of variables and weights first of all, lives as long as the process, and tracing it again and again takes a tenth of the time of a
// short command. The package imports next to nothing and so is initialised before those.
//
// Afterwards it bounds how much garbage there may be. The collector's own rule lets a heap double before it looks again, which for a
// process that holds 150 MB of pages and buffers is 150 MB for nothing: most of what it holds has no pointers and costs nothing to trace.
package boot

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// small is the memory of the process in bytes, as the runtime counts it, up to which nothing is collected.
	small = 64 << 20
	// garbage is how many bytes a heap may grow between two collections; one of more than steady bytes, by a share of itself.
	garbage = 48 << 20
	steady  = 240 << 20
)

var percent = debug.SetGCPercent(-1)

// Done lets the collector begin, from the time on when the process has ceased to be small. main calls it first. Where GOGC is set it is
// that which holds then.
func Done() { done(small) }

func done(small int64) {
	limit := debug.SetMemoryLimit(-1)
	if percent < 0 || limit <= small {
		debug.SetGCPercent(percent)
		return
	}
	// The limit brings about the first collection, which finds that nobody holds the object.
	debug.SetMemoryLimit(small)
	runtime.SetFinalizer(new([64]byte), func(*[64]byte) {
		debug.SetGCPercent(percent)
		if debug.SetMemoryLimit(-1) == small { // nobody has set another meanwhile
			debug.SetMemoryLimit(limit)
		}
		if percent == 100 { // the runtime's own, so that nobody has asked for another
			new(pacer).watch(percent)
		}
	})
}

// pacer sets the collector's percentage after each collection.
type pacer struct {
	set  int
	read [3]metrics.Sample
}

// watch begins with the percentage that is set.
func (p *pacer) watch(set int) {
	p.set = set
	for i, name := range []string{"/gc/heap/live:bytes", "/gc/scan/globals:bytes", "/gc/scan/stack:bytes"} {
		p.read[i].Name = name
	}
	p.after(nil)
}

// after is called after a collection, as the finalizer of an object that it has freed.
func (p *pacer) after(*[64]byte) {
	metrics.Read(p.read[:])
	var traced uint64
	for _, s := range p.read {
		if s.Value.Kind() != metrics.KindUint64 {
			return
		}
		traced += s.Value.Uint64()
	}
	if next := percentOf(traced); next != p.set {
		p.set = next
		debug.SetGCPercent(next)
	}
	runtime.SetFinalizer(new([64]byte), p.after)
}

// percentOf is the percentage of what the collector goes through, in bytes, that is allowed to be garbage. It is never more than the
// runtime's own.
func percentOf(traced uint64) int {
	if traced <= garbage {
		return 100
	}
	return int(math.Ceil(100 * float64(max(garbage, traced/(steady/garbage))) / float64(traced)))
}
