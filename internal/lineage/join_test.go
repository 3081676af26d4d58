package lineage

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// drawRun draws a run with few values, so that there are many ties.
func drawRun(t *rapid.T, label string) Run {
	pick := func(field string, from ...string) string { return rapid.SampledFrom(from).Draw(t, label+"."+field) }
	moment := func(field string) (m time.Time) {
		if n := rapid.IntRange(0, 3).Draw(t, label+"."+field); n > 0 {
			m = time.UnixMicro(int64(n)).UTC()
		}
		return m
	}
	return Run{
		UID: "u", System: pick("system", Anonymous, "cli", "kedro"), ExternalID: pick("external", "", "a", "b"), Job: pick("job", "", "x", "y"),
		Started: moment("started"), Ended: moment("ended"), State: pick("state", Start, Running, Complete, Fail, Abort), GitSHA: pick("sha", "", "1", "2"),
		GitDirty: rapid.Bool().Draw(t, label+".dirty"), Params: pick("params", "", "{}"), Error: pick("error", "", "boom"), ResultCommit: pick("result", "", "c"),
		Dropped: int64(rapid.IntRange(0, 2).Draw(t, label+".dropped")),
	}
}

// TestJoinRunsLaws: joining is associative, commutative and idempotent, so that databases agree in whatever order they meet.
func TestJoinRunsLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawRun(t, "a"), drawRun(t, "b"), drawRun(t, "c")
		if got := JoinRuns(a, a); got != a {
			t.Fatalf("a with itself is %+v, not %+v", got, a)
		}
		ab, ba := JoinRuns(a, b), JoinRuns(b, a)
		if ab != ba {
			t.Fatalf("a, b: %+v\nb, a: %+v", ab, ba)
		}
		if x, y := JoinRuns(ab, c), JoinRuns(a, JoinRuns(b, c)); x != y {
			t.Fatalf("(a, b), c: %+v\na, (b, c): %+v", x, y)
		}
		if got := JoinRuns(ab, a); got != ab {
			t.Fatalf("joined with what is in it: %+v, not %+v", got, ab)
		}
	})
}

// TestJoinRunsSides: what only one side has changed is as that side has it, were it to begin anew.
func TestJoinRunsSides(t *testing.T) {
	failed := Run{UID: "u", System: "cli", State: Fail, Error: "boom", Ended: time.UnixMicro(5).UTC()}
	again := failed
	again.State, again.Error, again.Ended = Running, "", time.Time{}
	if got := joinRuns(&failed, &again, &failed); *got != again {
		t.Errorf("begun anew here: %+v", *got)
	}
	if got := joinRuns(&failed, &failed, &again); *got != again {
		t.Errorf("begun anew there: %+v", *got)
	}
	if got := joinRuns(nil, &again, &failed); *got != failed {
		t.Errorf("nothing is known of before: %+v, want the end", *got)
	}
	if joinRuns(nil, nil, nil) != nil || *joinRuns(nil, nil, &again) != again || *joinRuns(nil, &again, nil) != again {
		t.Error("a run that one side has is not what comes of it")
	}
}

// TestMore: rows count by what they say, not by their numbers, and equal ones as often as they are there.
func TestMore(t *testing.T) {
	row := func(seq int64, table string) Input { return Input{Run: "u", Seq: seq, Table: table} }
	plain := func(x Input) Input { x.Seq = 0; return x }
	got := more(inputs, []Input{row(0, "a"), row(1, "b")}, []Input{row(5, "b"), row(6, "a"), row(7, "a"), row(8, "c")}, plain)
	if len(got) != 2 || got[0].Seq != 7 || got[1].Seq != 8 {
		t.Errorf("%+v, want the second a and c", got)
	}
}
