package systab_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stemmadb/stemma/internal/lineage"
)

// TestLineageEdgesOfAllRuns reads the edges of all runs, which takes several reads of the tables beneath, and those of each run by itself.
func TestLineageEdgesOfAllRuns(t *testing.T) {
	w := newWorld(t)
	var all []string
	for n, size := range [][2]int{{0, 0}, {700, 3}, {1, 0}, {0, 2000}, {600, 600}, {3, 1}, {1024, 1}, {2500, 0}, {0, 1}, {1, 1}} {
		uid, _ := lineage.Named(fmt.Sprint(n))
		var ins []lineage.Input
		var outs []lineage.Output
		for i := range size[0] {
			ins = append(ins, lineage.Input{Table: fmt.Sprint("in", i), Hash: fmt.Sprint(n, "h", i), Node: fmt.Sprint("node ", i%600)})
		}
		for i := range size[1] {
			outs = append(outs, lineage.Output{Table: fmt.Sprint("out", i), After: fmt.Sprint(n, "o", i), Commit: "c", Node: fmt.Sprint("node ", i)})
		}
		ok(t, w.repo.RecordRun(t.Context(), uid, ins, outs))
		all = append(all, uid)
	}
	slices.Sort(all)
	const what = "select run_uid, count(*), count(input_seq), count(output_seq), sum(input_seq), sum(output_seq) from stemma_lineage_edges"
	var each []string
	for _, uid := range all {
		got, err := w.query(what + " where run_uid = '" + uid + "' group by run_uid")
		ok(t, err)
		each = append(each, got...)
	}
	if len(each) != len(all)-1 {
		t.Errorf("%d of %d runs have edges", len(each), len(all))
	}
	w.want(what+" group by run_uid order by run_uid", each...)
}
