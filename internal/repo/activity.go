package repo

import (
	"sync"
	"sync/atomic"
	"time"
)

// Activity tells when a branch was used since the database was opened, by how many sessions it is now.
type Activity struct {
	read, write atomic.Int64 // Unix microseconds, 0 for never
	sessions    atomic.Int32
}

// activities are the activities of a database's branches, by name.
type activities struct {
	since time.Time
	m     sync.Map // string: *Activity
}

// Activity is the activity of a branch, which need not exist any more.
func (r *Repo) Activity(branch string) *Activity {
	if a, ok := r.active.m.Load(branch); ok {
		return a.(*Activity)
	}
	a, _ := r.active.m.LoadOrStore(branch, &Activity{})
	return a.(*Activity)
}

// ActiveSince is when the database was opened.
func (r *Repo) ActiveSince() time.Time { return r.active.since }

// Read takes note of a transaction that begins on the branch.
func (a *Activity) Read(at time.Time) { a.read.Store(at.UnixMicro()) }

// Join and Leave count a session that works on the branch.
func (a *Activity) Join() { a.sessions.Add(1) }

// Leave is the end of Join.
func (a *Activity) Leave() { a.sessions.Add(-1) }

// Sessions is the number of sessions that work on the branch.
func (a *Activity) Sessions() int { return int(a.sessions.Load()) }

// LastRead is when a transaction began on the branch last; zero for never.
func (a *Activity) LastRead() time.Time { return microsecond(a.read.Load()) }

// LastWrite is when the branch or its working set changed last; zero for never.
func (a *Activity) LastWrite() time.Time { return microsecond(a.write.Load()) }

func microsecond(at int64) time.Time {
	if at == 0 {
		return time.Time{}
	}
	return time.UnixMicro(at).UTC()
}

// wrote takes note of a change of a branch.
func (r *Repo) wrote(branch string) { r.Activity(branch).write.Store(r.opt.Clock.Now().UnixMicro()) }
