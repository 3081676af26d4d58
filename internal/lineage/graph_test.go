package lineage

import (
	"slices"
	"testing"
)

// TestFeeding: raw is read by clean, whose table is read by both of the others; other reads more, and who read the last is not known.
func TestFeeding(t *testing.T) {
	own := []Output{{Table: "cleaned", After: "1", Node: "clean"}, {Table: "medians", After: "2", Node: "medians"}, {Table: "other", After: "3", Node: "other"}}
	ins := []Input{
		{Table: "raw", Hash: "0", Node: "clean"}, {Table: "cleaned", Hash: "1", Node: "medians"}, {Table: "cleaned", Hash: "1", Node: "other"},
		{Table: "more", Hash: "9", Node: "other"}, {Table: "config", Hash: "8"}, {Table: "cleaned", Hash: "0", Node: "medians"},
		{Table: "medians", Hash: "2", Node: "clean"}, // not what it was made from: it came in the next round
	}
	for _, x := range []struct {
		node string
		want []string
	}{
		{"clean", []string{"raw", "config", "cleaned"}}, {"medians", []string{"raw", "config", "cleaned"}}, {"other", []string{"raw", "more", "config", "cleaned"}},
		{"", []string{"raw", "more", "config", "cleaned"}}, {"nothing", []string{"config"}},
	} {
		var got []string
		for _, i := range feeding(ins, own, x.node) {
			got = append(got, ins[i].Table)
		}
		if !slices.Equal(got, x.want) {
			t.Errorf("%s: %v, want %v", x.node, got, x.want)
		}
	}
}
