package op

import (
	"slices"
	"sort"
)

// lineDiffLimit bounds the product of the numbers of lines of which a longest common subsequence is looked for: its table takes as many
// words of memory.
const lineDiffLimit = 1 << 22

// lineDiff marks the lines of a longest common subsequence with a blank, others with - or +. Of texts too long for that it is a common
// subsequence, found by the lines that each text has once: time and memory grow with the texts, not with their product.
func lineDiff(x, y []string) []string {
	d := &lineDiffer{out: make([]string, 0, max(len(x), len(y)))}
	d.diff(x, y)
	return d.out
}

type lineDiffer struct{ out []string }

// mark appends lines behind their mark.
func (d *lineDiffer) mark(mark string, lines []string) {
	for _, s := range lines {
		d.out = append(d.out, mark+s)
	}
}

func (d *lineDiffer) diff(x, y []string) {
	same := 0
	for same < len(x) && same < len(y) && x[same] == y[same] {
		same++
	}
	d.mark(" ", x[:same])
	x, y = x[same:], y[same:]
	if len(x) == 0 || len(y) == 0 || len(x) <= lineDiffLimit/len(y) {
		d.longest(x, y)
		return
	}
	same = 0
	for same < len(x) && same < len(y) && x[len(x)-1-same] == y[len(y)-1-same] {
		same++
	}
	tail := x[len(x)-same:]
	x, y = x[:len(x)-same], y[:len(y)-same]
	switch at := anchors(x, y); {
	case len(x) == 0 || len(y) == 0 || len(x) <= lineDiffLimit/len(y):
		d.longest(x, y)
	case len(at) == 0:
		d.mark("-", x)
		d.mark("+", y)
	default:
		i, j := 0, 0
		for _, a := range at {
			d.diff(x[i:a[0]], y[j:a[1]])
			d.mark(" ", x[a[0]:a[0]+1])
			i, j = a[0]+1, a[1]+1
		}
		d.diff(x[i:], y[j:])
	}
	d.mark(" ", tail)
}

// anchors are the places in x and y, both ascending, of lines that each of them has exactly once: as many as can be.
func anchors(x, y []string) [][2]int {
	const several = -2
	inY := make(map[string]int, len(y))
	for j, s := range y {
		if _, ok := inY[s]; ok {
			inY[s] = several
		} else {
			inY[s] = j
		}
	}
	inX := make(map[string]int, len(x))
	for _, s := range x {
		inX[s]++
	}
	// A longest ascending run of places in y: ends are the last places of the best runs of each length, before links them.
	type place struct{ i, j, before int }
	var places []place
	var ends []int
	for i, s := range x {
		j, ok := inY[s]
		if !ok || j == several || inX[s] > 1 {
			continue
		}
		n := sort.Search(len(ends), func(n int) bool { return places[ends[n]].j > j })
		p := place{i, j, -1}
		if n > 0 {
			p.before = ends[n-1]
		}
		places = append(places, p)
		if n == len(ends) {
			ends = append(ends, 0)
		}
		ends[n] = len(places) - 1
	}
	var out [][2]int
	if len(ends) > 0 {
		for at := ends[len(ends)-1]; at >= 0; at = places[at].before {
			out = append(out, [2]int{places[at].i, places[at].j})
		}
	}
	slices.Reverse(out)
	return out
}

// longest is lineDiff by a table of the lengths of common subsequences.
func (d *lineDiffer) longest(x, y []string) {
	n, m := len(x), len(y)
	width := m + 1
	l := make([]int32, (n+1)*width)
	for i := n - 1; i >= 0; i-- {
		for j := m - 1; j >= 0; j-- {
			if x[i] == y[j] {
				l[i*width+j] = l[(i+1)*width+j+1] + 1
			} else {
				l[i*width+j] = max(l[(i+1)*width+j], l[i*width+j+1])
			}
		}
	}
	i, j := 0, 0
	for i < n || j < m {
		switch {
		case i < n && j < m && x[i] == y[j]:
			d.out = append(d.out, " "+x[i])
			i++
			j++
		case i < n && (j == m || l[(i+1)*width+j] >= l[i*width+j+1]):
			d.out = append(d.out, "-"+x[i])
			i++
		default:
			d.out = append(d.out, "+"+y[j])
			j++
		}
	}
}
