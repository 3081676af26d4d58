package op

import (
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/history"
)

// graph draws the lines of history beside commits that come children before parents, as git's log --graph does: a column for each
// commit that is still to come.
type graph struct {
	lanes []history.CommitID
}

// draw gives the lines of a commit with the graph beside them. parents are those that will come.
func (g *graph) draw(id history.CommitID, parents []history.CommitID, lines []string) []string {
	var out []string
	at := slices.Index(g.lanes, id)
	if at < 0 {
		at = len(g.lanes)
		g.lanes = append(g.lanes, id)
	}
	// Lanes that wait for this commit, too, end in the first of them.
	for j := len(g.lanes) - 1; j > at; j-- {
		if g.lanes[j] != id {
			continue
		}
		out = append(out, strings.Repeat("| ", j-1)+"|/"+strings.Repeat(" /", len(g.lanes)-1-j))
		g.lanes = slices.Delete(g.lanes, j, j+1)
	}
	row := func(mark string) string {
		var b strings.Builder
		for i := range g.lanes {
			if i == at && mark != "" {
				b.WriteString(mark + " ")
				continue
			}
			b.WriteString("| ")
		}
		return b.String()
	}
	out = append(out, strings.TrimRight(row("*")+lines[0], " "))
	if len(parents) == 0 {
		rest := row(" ")
		for _, l := range lines[1:] {
			out = append(out, strings.TrimRight(rest+l, " "))
		}
		g.lanes = slices.Delete(g.lanes, at, at+1)
		return out
	}
	g.lanes[at] = parents[0]
	for n, p := range parents[1:] {
		left, right := at+1+n, len(g.lanes)-at-1-n
		fork := strings.Repeat("| ", left) + strings.Repeat("\\ ", right)
		fork = strings.TrimRight(fork, " ") + "\\"
		if right == 0 {
			fork = strings.Repeat("| ", left-1) + "|\\"
		}
		g.lanes = slices.Insert(g.lanes, at+1+n, p)
		if n == 0 && len(lines) > 1 { // the first lines below the commit stand beside the fork
			fork += " " + lines[1]
			lines = append([]string{lines[0]}, lines[2:]...)
		}
		out = append(out, strings.TrimRight(fork, " "))
	}
	rest := row("")
	for _, l := range lines[1:] {
		out = append(out, strings.TrimRight(rest+l, " "))
	}
	return out
}
