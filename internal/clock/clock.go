// Package clock is the only place that reads the wall clock, so that tests can fix it: commit hashes must be reproducible.
package clock

import "time"

// Clock tells the time.
type Clock interface {
	// Now is the present moment with the local zone.
	Now() time.Time
}

// System is the operating system's clock.
type System struct{}

// Now is the present moment with the local zone.
func (System) Now() time.Time { return time.Now() }

// Since is the time gone by since t on the monotonic clock.
func Since(t time.Time) time.Duration { return time.Since(t) }

// Fixed is a clock that stands still, for tests.
type Fixed struct{ T time.Time }

// Now is always f.T.
func (f Fixed) Now() time.Time { return f.T }
