package mysql

import "testing"

// TestPatterns compiles every pattern: one that is no expression would be found by a user's first error otherwise.
func TestPatterns(t *testing.T) {
	for _, p := range []pattern{noTable, missing, charsetName, tracker, own} {
		p()
	}
	for _, n := range numbers {
		n.message()
	}
}
