package repo

import "testing"

// TestHoldsThatForgot: when more has left than can be remembered, who held it then is known not to be kept safe, and nobody after.
func TestHoldsThatForgot(t *testing.T) {
	defer func(n int) { keptDepartures = n }(keptDepartures)
	keptDepartures = 100
	x := &holds{}
	old := &Hold{}
	x.add(old, newState())
	for range 2 {
		x.leave(make([]departure, keptDepartures*3/4)...)
	}
	if n := len(x.left); n > keptDepartures || n < keptDepartures/2 {
		t.Errorf("%d departures are kept", n)
	}
	if _, _, _, whole := x.kept(0, true); whole {
		t.Error("nothing seems to have been forgotten")
	}
	old.Release()
	x.add(&Hold{}, newState())
	_, left, last, whole := x.kept(0, true)
	if !whole || last != x.seq {
		t.Errorf("a hold that began later counts as not safe: %d departures, the last one %d", len(left), last)
	}
	if _, _, _, whole := x.kept(0, false); whole {
		t.Error("who has seen none of it does not learn that it was forgotten")
	}
	if _, left, _, whole := x.kept(last, false); !whole || len(left) > 0 {
		t.Errorf("%d departures after the last one, whole %v", len(left), whole)
	}
}
