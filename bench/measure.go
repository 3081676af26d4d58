package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/stemmadb/stemma/internal/clock"
)

// usage is what a process took.
type usage struct {
	Seconds float64
	Peak    int64 // resident memory in bytes
}

// measure runs a command to its end.
func measure(cmd *exec.Cmd) (usage, error) {
	begin := clock.System{}.Now()
	if err := cmd.Start(); err != nil {
		return usage{}, err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	var u usage
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			u.Seconds = clock.Since(begin).Seconds()
			if u.Peak == 0 {
				u.Peak = maxResident(cmd.ProcessState)
			}
			return u, err
		case <-tick.C:
			u.Peak = max(u.Peak, peakMemory(cmd.Process.Pid))
		}
	}
}

// peakMemory is the peak resident memory of a process of Linux in bytes so far; 0 where it is not known. What the system tells of a
// process that has ended is no use there: it counts the memory of its parent before exec.
func peakMemory(pid int) int64 {
	return field("/proc/"+strconv.Itoa(pid)+"/status", "VmHWM:") << 10
}

// memoryBytes is the machine's memory.
func memoryBytes() int64 { return field("/proc/meminfo", "MemTotal:") << 10 }

// field is the number behind a name in a file of lines; 0 when there is none.
func field(file, name string) int64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			if f := strings.Fields(rest); len(f) > 0 {
				n, err := strconv.ParseInt(f[0], 10, 64)
				if err == nil {
					return n
				}
			}
		}
	}
	return 0
}

// cpuModel is the processor's name.
func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if name, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// du is what a directory takes in the file system, in bytes.
func du(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && d.Type().IsRegular() {
			total += allocated(info)
		}
		return err
	})
	return total, err
}

// seconds times fn.
func seconds(fn func() error) (float64, error) {
	begin := clock.System{}.Now()
	err := fn()
	return clock.Since(begin).Seconds(), err
}
