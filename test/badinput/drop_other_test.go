//go:build !unix

package badinput

// canDrop tells whether this process can give up its rights.
func canDrop() bool { return false }

// stranger is the program run by somebody without rights.
func stranger() { program() }
