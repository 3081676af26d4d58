//go:build !linux && !darwin

package torture

// limited is the program; there are no limits here.
func limited() { program() }
