// Package boot keeps the garbage collector still while packages are initialised: what they allocate, the SQL engine's tables of
// variables and weights first of all, lives as long as the process, and tracing it takes a tenth of the time of a short command. The
// package imports next to nothing and so is initialised before those.
package boot

import "runtime/debug"

var percent = debug.SetGCPercent(-1)

// Done gives the collector back its percentage, as GOGC sets it. main calls it first.
func Done() { debug.SetGCPercent(percent) }
