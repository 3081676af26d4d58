package cli

import (
	"bufio"
	"strings"

	"github.com/stemmadb/stemma/internal/op"
)

// How many rows are looked at, and how many bytes of their text at most, before the widths of columns are settled. Wider cells in
// later batches of as many rows widen their column from there on.
const (
	tabularRows  = 1000
	tabularBytes = 4 << 20
)

// tabularWidth is the greatest width of a column. Longer lines stick out to the right: a cell of one line of a MB would have a MB of blanks
// in every line of another one.
const tabularWidth = 4096

// tabular draws boxes:
//
//	+----+-------+
//	| id | name  |
//	+----+-------+
//	| 1  | NULL  |
//	| 2  | two   |
//	|    | lines |
//	+----+-------+
//
// All cells are aligned to the left. Widths are counted in columns of a terminal, in which a wide character takes two.
type tabular struct {
	w       *bufio.Writer
	cols    []op.Column
	widths  []int
	batch   [][]string
	bytes   int
	started bool
}

func newTabular(w *bufio.Writer, cols []op.Column) *tabular {
	t := &tabular{w: w, cols: cols, widths: make([]int, len(cols))}
	for i, c := range cols {
		t.widths[i] = displayWidth(c.Name)
	}
	return t
}

func (t *tabular) row(cells []any) error {
	texts := make([]string, len(cells))
	for i, c := range cells {
		texts[i] = shown(t.cols[i], c)
		t.bytes += len(texts[i])
		for line := range strings.SplitSeq(texts[i], "\n") {
			if n := displayWidth(line); n <= tabularWidth {
				t.widths[i] = max(t.widths[i], n)
			}
		}
	}
	t.batch = append(t.batch, texts)
	if len(t.batch) >= tabularRows || t.bytes >= tabularBytes {
		t.flush()
	}
	return nil
}

// end draws what is left. Errors of writing stay with the bufio.Writer until its Flush.
func (t *tabular) end() error {
	t.flush()
	if t.started {
		t.rule()
	}
	return nil
}

func (t *tabular) flush() {
	if len(t.batch) == 0 {
		return
	}
	if !t.started {
		t.started = true
		names := make([]string, len(t.cols))
		for i, c := range t.cols {
			names[i] = c.Name
		}
		t.rule()
		t.line(names)
		t.rule()
	}
	for _, texts := range t.batch {
		t.lines(texts)
	}
	t.batch, t.bytes = t.batch[:0], 0
}

// rule draws +----+------+.
func (t *tabular) rule() {
	t.w.WriteByte('+')
	for _, n := range t.widths {
		for range n + 2 {
			t.w.WriteByte('-')
		}
		t.w.WriteByte('+')
	}
	t.w.WriteByte('\n')
}

// lines draws a row, as many lines high as its highest cell.
func (t *tabular) lines(texts []string) {
	for {
		now := make([]string, len(texts))
		more := false
		for i, s := range texts {
			rest := ""
			if cut := strings.IndexByte(s, '\n'); cut >= 0 {
				s, rest, more = s[:cut], s[cut+1:], true
			}
			now[i], texts[i] = s, rest
		}
		t.line(now)
		if !more {
			return
		}
	}
}

func (t *tabular) line(texts []string) {
	t.w.WriteByte('|')
	for i, s := range texts {
		t.w.WriteByte(' ')
		t.w.WriteString(s)
		for range max(t.widths[i]-displayWidth(s), 0) + 1 {
			t.w.WriteByte(' ')
		}
		t.w.WriteByte('|')
	}
	t.w.WriteByte('\n')
}

// shown is a cell as people read it.
func shown(c op.Column, cell any) string {
	if cell == nil {
		return "NULL"
	}
	return op.FormatCell(c.Type, cell)
}
