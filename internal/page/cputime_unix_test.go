//go:build unix

package page

import (
	"syscall"
	"testing"
)

// cpuTime starts a clock of the process's CPU time; the function that it returns reports it, for k items an operation.
func cpuTime(b *testing.B, k int) (stop func()) {
	now := func() float64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return float64(u.Utime.Nano() + u.Stime.Nano())
	}
	start := now()
	return func() {
		spent := (now() - start) / float64(b.N)
		b.ReportMetric(spent, "cpu-ns/op")
		b.ReportMetric(spent/float64(k), "cpu-ns/item")
	}
}
