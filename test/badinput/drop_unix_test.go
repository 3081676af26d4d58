//go:build unix

package badinput

import (
	"fmt"
	"os"
	"syscall"
)

// canDrop tells whether this process can give up its rights.
func canDrop() bool { return os.Geteuid() == 0 }

// stranger is the program run by somebody without rights.
func stranger() {
	if canDrop() {
		for _, err := range []error{syscall.Setgroups(nil), syscall.Setgid(nobody), syscall.Setuid(nobody)} {
			if err != nil {
				fmt.Fprintln(os.Stderr, "become nobody:", err)
				os.Exit(99)
			}
		}
	}
	program()
}
