//go:build unix

package cli

import (
	"os/exec"
	"syscall"
)

// detach takes a process that is to be started out of the group and the terminal of this one.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }
