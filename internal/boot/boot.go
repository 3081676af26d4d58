// Package boot keeps the garbage collector still while packages are initialised and for as long as the process is small: what they
// allocate, the SQL engine's tables of variables and weights first of all, lives as long as the process, and tracing it again and again
// takes a tenth of the time of a short command. The package imports next to nothing and so is initialised before those.
package boot

import (
	"runtime"
	"runtime/debug"
)

// small is the memory of the process in bytes, as the runtime counts it, up to which nothing is collected.
const small = 64 << 20

var percent = debug.SetGCPercent(-1)

// Done gives the collector back its percentage, as GOGC sets it, from the time on when the process has ceased to be small. main calls it
// first.
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
		debug.SetMemoryLimit(limit)
	})
}
