package page

import (
	"math/rand/v2"
	"testing"

	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/tree/treetest"
)

func TestConformance(t *testing.T) {
	for name, l := range map[string]Layout{
		"mixed": mixed(t).Layout(),
		"small": func() Layout { l := mixed(t).Layout(); l.Target = 1024; return l }(),
		"price": priceFormat(t).Layout(),
	} {
		t.Run(name, func(t *testing.T) {
			gen := func(rng *rand.Rand) (out []treetest.Row) {
				m := &model{f: newFormat(t, l)}
				if n := 1 + rng.IntN(200); name == "price" {
					var rows []modelRow
					for range n {
						rows = append(rows, m.row(priceRow(rng, rng.IntN(2), rng.IntN(30), rng.IntN(3))))
					}
					m.setRows(rows)
				} else {
					mixedRows(m, n, rng, false) // the suite's store has no blobs
				}
				for _, r := range m.rows {
					out = append(out, treetest.Row{Key: r.key, Row: r.tuple})
				}
				return out
			}
			treetest.RunFormat(t, func() tree.Format { return newFormat(t, l) }, gen)
		})
	}
}
