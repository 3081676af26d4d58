package op

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// applied are the two texts that a line diff tells of.
func applied(lines []string) (x, y []string) {
	for _, l := range lines {
		if l[0] != '+' {
			x = append(x, l[1:])
		}
		if l[0] != '-' {
			y = append(y, l[1:])
		}
	}
	return x, y
}

func changed(lines []string) (n int) {
	for _, l := range lines {
		if l[0] != ' ' {
			n++
		}
	}
	return n
}

func TestLineDiff(t *testing.T) {
	for _, c := range []struct{ x, y, want string }{
		{"a b c", "a b c", " a, b, c"},
		{"a b c", "a x c", " a,-b,+x, c"},
		{"q a", "a p a", "-q, a,+p,+a"},
		{"b a", "a b a", "+a, b, a"},
		{"a", "b", "-a,+b"},
	} {
		if got := strings.Join(lineDiff(strings.Fields(c.x), strings.Fields(c.y)), ","); got != c.want {
			t.Errorf("%s to %s: %s, want %s", c.x, c.y, got, c.want)
		}
	}
	if got := lineDiff(nil, []string{"a"}); !slices.Equal(got, []string{"+a"}) {
		t.Errorf("nothing to a: %q", got)
	}
}

// TestLineDiffLong compares texts for which a table of all pairs of lines would take hundreds of GB.
func TestLineDiffLong(t *testing.T) {
	const n = 200_000
	rng := rand.New(rand.NewPCG(1, 2))
	x := make([]string, n)
	for i := range x {
		x[i] = fmt.Sprint("line ", i)
		if i%3 == 0 {
			x[i] = "the same"
		}
	}
	edit := func(places int) (y []string, edits int) {
		at := map[int]bool{}
		for len(at) < places {
			at[1+rng.IntN(n-2)] = true
		}
		at[0], at[n-1] = true, true
		for i, s := range x {
			switch {
			case !at[i]:
				y = append(y, s)
			case i%2 == 0:
				edits++ // left out
			default:
				y = append(y, s, fmt.Sprint("new ", i))
				edits++
			}
		}
		return y, edits
	}
	for _, places := range []int{0, 10, 5000} {
		y, edits := edit(places)
		got := lineDiff(x, y)
		if a, b := applied(got); !slices.Equal(a, x) || !slices.Equal(b, y) {
			t.Fatalf("%d places: the diff is not of the two texts", places)
		}
		if c := changed(got); c > edits+2 {
			t.Errorf("%d places: %d lines are marked, of %d that differ", places, c, edits)
		}
	}
	y := make([]string, n)
	for i := range y {
		y[i] = fmt.Sprint("other ", i)
	}
	got := lineDiff(x, y)
	if a, b := applied(got); !slices.Equal(a, x) || !slices.Equal(b, y) || changed(got) != 2*n {
		t.Error("of texts without a common line: the diff is not of the two texts")
	}
}
