// Package invariants holds checks that cost nothing unless the program is built with the tag "invariants".
package invariants

import "fmt"

// Check panics with the message when cond is false and the checks are on. Guard costly arguments with Enabled.
func Check(cond bool, format string, args ...any) {
	if Enabled && !cond {
		panic("invariant: " + fmt.Sprintf(format, args...))
	}
}
