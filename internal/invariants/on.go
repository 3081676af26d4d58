//go:build invariants

package invariants

// Enabled tells whether invariants are checked in this build.
const Enabled = true
