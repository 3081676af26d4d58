//go:build unix

package torture

import "syscall"

// abort makes a program of Go print what its goroutines do, and end.
const abort = syscall.SIGQUIT
