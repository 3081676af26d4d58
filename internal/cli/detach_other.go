//go:build !unix

package cli

import "os/exec"

// detach leaves the process that is to be started in the group of this one: there is no other here.
func detach(*exec.Cmd) {}
