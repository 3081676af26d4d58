package op

import (
	"slices"
	"strings"
	"testing"

	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
)

func TestGraph(t *testing.T) {
	id := func(s string) history.CommitID { return hash.Sum([]byte(s)) }
	draw := func(commits ...string) (out []string) { // "c: parent parent"
		var g graph
		for _, c := range commits {
			name, list, _ := strings.Cut(c, ":")
			var parents []history.CommitID
			for _, p := range strings.Fields(list) {
				parents = append(parents, id(p))
			}
			out = append(out, g.draw(id(name), parents, []string{name})...)
		}
		return out
	}
	check := func(got []string, want ...string) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	check(draw("c:b", "b:a", "a:"), "* c", "* b", "* a")
	check(draw("m:b s", "s:a", "b:a", "a:"), "* m", "|\\", "| * s", "* | b", "|/", "* a")
	// Two heads of one base.
	check(draw("y:a", "x:a", "a:"), "* y", "| * x", "|/", "* a")
	// A merge beside another lane, and one of three.
	check(draw("m:b s", "n:s t", "s:a", "t:a", "b:a", "a:"),
		"* m", "|\\", "| | * n", "| | |\\", "| |/ /", "| * | s", "| | * t", "* | | b", "| |/", "|/", "* a")
	check(draw("o:a b c", "c:", "b:", "a:"), "* o", "|\\", "| |\\", "| | * c", "| * b", "* a")
}
