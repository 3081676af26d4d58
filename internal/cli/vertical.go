package cli

import (
	"bufio"
	"fmt"

	"github.com/stemmadb/stemma/internal/op"
)

// vertical draws a row as MySQL's \G does:
//
//	*************************** 1. row ***************************
//	  id: 1
//	name: NULL
type vertical struct {
	w     *bufio.Writer
	cols  []op.Column
	width int
	n     int
}

func newVertical(w *bufio.Writer, cols []op.Column) *vertical {
	v := &vertical{w: w, cols: cols}
	for _, c := range cols {
		v.width = max(v.width, displayWidth(c.Name))
	}
	return v
}

func (v *vertical) row(cells []any) error {
	const stars = "***************************"
	v.n++
	fmt.Fprintf(v.w, "%s %d. row %s\n", stars, v.n, stars)
	for i, cell := range cells {
		for range v.width - displayWidth(v.cols[i].Name) {
			v.w.WriteByte(' ')
		}
		fmt.Fprintf(v.w, "%s: %s\n", v.cols[i].Name, shown(v.cols[i], cell))
	}
	return nil
}

func (v *vertical) end() error { return nil }
