package lineage

import (
	"context"
	"slices"

	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/value"
)

// Edge is a table that a run changed, and one that it read for it; one of them is nil where there is no other side.
type Edge struct {
	Input  *Input
	Output *Output
}

// EdgesOf are the edges of a run: each output with the inputs that it was made from, as feeding tells.
func (b *Book) EdgesOf(ctx context.Context, uid string) ([]Edge, error) {
	ins, err := b.InputsOf(ctx, uid)
	if err != nil {
		return nil, err
	}
	outs, err := b.OutputsOf(ctx, uid)
	if err != nil {
		return nil, err
	}
	return edges(ins, outs), nil
}

// edges are the edges of a run that read and wrote this.
func edges(ins []Input, outs []Output) (edges []Edge) {
	used := make([]bool, len(ins))
	for i := range ins {
		used[i] = isOwn(outs, &ins[i])
	}
	for o := range outs {
		from := feeding(ins, outs, outs[o].Node)
		for _, i := range from {
			edges, used[i] = append(edges, Edge{&ins[i], &outs[o]}), true
		}
		if len(from) == 0 {
			edges = append(edges, Edge{Output: &outs[o]})
		}
	}
	for i := range ins {
		// What another node made something of led to something.
		if in := &ins[i]; !used[i] && !slices.ContainsFunc(edges, func(e Edge) bool {
			return e.Input != nil && e.Output != nil && in.Hash != "" && e.Input.Hash == in.Hash && e.Input.DB == in.DB && e.Input.Table == in.Table
		}) {
			edges = append(edges, Edge{Input: in})
		}
	}
	return edges
}

// edgesAtOnce is about how many inputs, and how many outputs, are read at once for the edges of all runs.
const edgesAtOnce = 1024

// AllEdges gives the edges of all runs, some runs at a time: each table is read once from one end to the other.
type AllEdges struct {
	b     *Book
	after string // the last run that was given
	ended bool
}

// AllEdges begins with the edges of the run with the smallest id.
func (b *Book) AllEdges() *AllEdges { return &AllEdges{b: b} }

// Next calls fn for each of the next runs that have edges, in the order of their ids; more is false when there are none.
func (a *AllEdges) Next(ctx context.Context, fn func(uid string, edges []Edge)) (more bool, err error) {
	if a.ended {
		return false, nil
	}
	inUID, outUID := func(x *Input) string { return x.Run }, func(x *Output) string { return x.Run }
	ins, insTo, err := someRuns(ctx, a.b, inputs, a.after, inUID)
	if err != nil {
		return false, err
	}
	outs, outsTo, err := someRuns(ctx, a.b, outputs, a.after, outUID)
	if err != nil {
		return false, err
	}
	// Both are whole up to the run at which the one of them ends that ends first.
	to := insTo
	if to == "" || outsTo != "" && outsTo < to {
		to = outsTo
	}
	a.after, a.ended = to, to == ""
	for len(ins) > 0 || len(outs) > 0 {
		var uid string
		switch {
		case len(outs) == 0 || len(ins) > 0 && ins[0].Run < outs[0].Run:
			uid = ins[0].Run
		default:
			uid = outs[0].Run
		}
		if to != "" && uid > to {
			break
		}
		var i, o int
		for i < len(ins) && ins[i].Run == uid {
			i++
		}
		for o < len(outs) && outs[o].Run == uid {
			o++
		}
		fn(uid, edges(ins[:i], outs[:o]))
		ins, outs = ins[i:], outs[o:]
	}
	return true, nil
}

// someRuns are the records of the runs whose ids are above one, all of each: of the first so many runs that they are edgesAtOnce. last is the
// run with which they end, "" when there are no more.
func someRuns[T any](ctx context.Context, b *Book, k *kind[T], after string, uid func(*T) string) (out []T, last string, err error) {
	err = b.look(ctx, k.table, "", false, func(l *schema.Layout) (lo, hi []byte) {
		if after == "" {
			return nil, nil
		}
		return value.PrefixEnd(value.AppendKeyPart(nil, &l.Parts[0], value.BytesCell([]byte(after)))), nil
	}, func(cells []value.Cell) (bool, error) {
		x := k.record(cells)
		if len(out) >= edgesAtOnce && uid(&x) != uid(&out[len(out)-1]) {
			last = uid(&out[len(out)-1])
			return false, nil
		}
		out = append(out, x)
		return true, nil
	})
	return out, last, err
}
