package lineage

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
)

// How a producer was found.
const (
	ByHistory = "history" // the run recorded this change in this commit, or the commit names the run
	ByHash    = "hash"    // the commit that made the change names no run; the run left the table with the same content elsewhere
	Unknown   = "unknown" // no run is known
)

// Producer is a run that made a table what it is at a commit.
type Producer struct {
	Run    string `json:"run,omitempty"` // "" where none is known
	How    string `json:"how"`
	Commit string `json:"commit"` // that last changed the table
	Table  string `json:"table"`  // its name there
	Before string `json:"before,omitempty"`
	After  string `json:"after"`
	Node   string `json:"node,omitempty"`
	Note   string `json:"note,omitempty"` // for people
}

// Producers are the runs that last changed a table, seen from a commit; several when a merge made of several changes what none of its
// parents has, or when several runs are as good an answer. What is not known is said to be: Unknown. ok is false when the commit has no
// such table.
func (b *Book) Producers(ctx context.Context, rd chunk.Reader, from history.CommitID, name string) (out []Producer, ok bool, err error) {
	turns, ok, err := LastChanges(ctx, rd, b.known, from, name)
	if err != nil || !ok {
		return nil, ok, err
	}
	out, err = b.producers(ctx, rd, turns)
	return out, true, err
}

// RowProducers are Producers of the row of a table that has a key; ok is false when the commit has no such row.
func (b *Book) RowProducers(ctx context.Context, rd chunk.Reader, from history.CommitID, name string, key []byte) (out []Producer, ok bool, err error) {
	turns, ok, err := LastRowChanges(ctx, rd, from, name, key)
	if err != nil || !ok {
		return nil, ok, err
	}
	thinned, err := b.thinned()
	if err != nil {
		return nil, false, err
	}
	// What is recorded of a table says nothing of a row that a thinned commit may have changed.
	known := slices.DeleteFunc(slices.Clone(turns), func(t Turn) bool { return thinned.Joined(t.Commit.ID.Full()) })
	if len(known) > 0 {
		if out, err = b.producers(ctx, rd, known); err != nil {
			return nil, false, err
		}
	}
	for _, t := range turns {
		if c := t.Commit.ID.Full(); thinned.Joined(c) {
			out = append(out, Producer{How: Unknown, Commit: c, Table: t.Table, Before: t.Before, After: t.After, Note: noteJoined})
		}
	}
	return out, true, nil
}

// noteJoined says why no run is known of a commit before which others were.
const noteJoined = "commits before it were thinned; which of them made the change is not known"

// producers are the runs that made changes, each once for each commit.
func (b *Book) producers(ctx context.Context, rd chunk.Reader, turns []Turn) (out []Producer, err error) {
	seen := map[[2]string]bool{}
	for _, t := range turns {
		found, err := b.producersOf(ctx, rd, t)
		if err != nil {
			return nil, err
		}
		for _, p := range found {
			if k := [2]string{p.Run, p.Commit}; !seen[k] {
				seen[k] = true
				out = append(out, p)
			}
		}
	}
	if len(out) == 0 { // a merge that nobody contributed to in a way that is known
		t := turns[0]
		out = append(out, Producer{How: Unknown, Commit: t.Commit.ID.Full(), Table: t.Table, Before: t.Before, After: t.After})
	}
	return out, nil
}

// InputsFor are what a run read for what it made, each version of a table once, and the output that they went into; nil where none is
// recorded, such as for a run that only a commit's metadata names. What the run read of its own work is left out.
func (b *Book) InputsFor(ctx context.Context, p Producer) (*Output, []Input, error) {
	own, err := b.OutputsOf(ctx, p.Run)
	if err != nil {
		return nil, nil, err
	}
	thinned, err := b.thinned()
	if err != nil {
		return nil, nil, err
	}
	out := &Output{Run: p.Run, Table: p.Table, Commit: p.Commit}
	for i := range own {
		o := &own[i]
		if now, moved := thinned.Became(o.Commit); (o.Commit == p.Commit || moved && now == p.Commit) && strings.EqualFold(o.Table, p.Table) {
			out = o
		}
	}
	all, err := b.InputsOf(ctx, p.Run)
	if err != nil {
		return nil, nil, err
	}
	var ins []Input
next:
	for _, i := range feeding(all, own, p.Node) {
		in := &all[i]
		for j := range ins {
			if x := &ins[j]; x.DB == in.DB && x.Table == in.Table && x.Hash == in.Hash && (x.Hash != "" || x.Commit == in.Commit && x.Query == in.Query) {
				if x.Mapping == "" {
					x.Mapping = in.Mapping
				}
				continue next
			}
		}
		ins = append(ins, *in)
	}
	return out, ins, nil
}

// producersOf are the runs that made a change.
func (b *Book) producersOf(ctx context.Context, rd chunk.Reader, t Turn) ([]Producer, error) {
	base := Producer{Commit: t.Commit.ID.Full(), Table: t.Table, Before: t.Before, After: t.After}
	outs, err := b.OutputsIn(ctx, base.Commit)
	if err != nil {
		return nil, err
	}
	thinned, err := b.thinned()
	if err != nil {
		return nil, err
	}
	for _, was := range thinned.Was(base.Commit) {
		more, err := b.OutputsIn(ctx, was)
		if err != nil {
			return nil, err
		}
		outs = append(outs, more...)
	}
	var found []Producer
	for _, o := range outs {
		if strings.EqualFold(o.Table, t.Table) && o.After == t.After {
			p := base
			p.Run, p.How, p.Node = o.Run, ByHistory, o.Node
			if o.Via != "" {
				p.Note = "the commit was made after " + o.Via
			} else if o.Commit != base.Commit {
				p.Note = "the commit was " + o.Commit + " before the history was thinned"
			}
			found = append(found, p)
		}
	}
	if len(found) > 0 || t.Merged { // a merge leaves what is not its own to its parents
		return found, nil
	}
	var meta struct {
		Run any `json:"run"`
	}
	// What a commit says of itself does not hold for what thinned commits before it changed.
	if t.Commit.Meta != "" && !thinned.Joined(base.Commit) && json.Unmarshal([]byte(t.Commit.Meta), &meta) == nil {
		if text, isText := meta.Run.(string); isText && text != "" {
			p := base
			p.How, p.Note = ByHistory, "the commit's metadata names the run"
			p.Run, _ = Named(text)
			return []Producer{p}, nil
		}
	}
	if outs, err = b.OutputsAfter(ctx, t.After); err != nil {
		return nil, err
	}
	ways := []func(*Output) bool{
		func(o *Output) bool { return strings.EqualFold(o.Table, t.Table) && o.Before == t.Before },
		func(o *Output) bool { return strings.EqualFold(o.Table, t.Table) },
		func(*Output) bool { return true },
	}
	if len(outs) > 0 {
		empty, err := isEmpty(ctx, rd, t.After)
		if chunk.IsAbsent(err) { // of what a part of a database has not, nothing is guessed either
			empty, err = true, nil
		}
		if err != nil {
			return nil, err
		}
		if empty { // tables without rows are equal by chance: only the same change of the same table tells who made it
			ways = ways[:1]
		}
	}
	for _, fits := range ways {
		for i := range outs {
			if o := &outs[i]; fits(o) {
				p := base
				p.Run, p.How, p.Node = o.Run, ByHash, o.Node
				p.Note = "no run is recorded for the commit; the run left the table with the same content in commit " + o.Commit
				if now, ok := thinned.Became(o.Commit); ok && now == "" {
					p.Note += ", which was thinned"
				}
				found = append(found, p)
			}
		}
		if len(found) > 0 {
			return found, nil
		}
	}
	base.How = Unknown
	if thinned.Joined(base.Commit) {
		base.Note = noteJoined
	}
	return []Producer{base}, nil
}

// isEmpty tells whether the table of a hash has no rows.
func isEmpty(ctx context.Context, rd chunk.Reader, of string) (bool, error) {
	h, err := hash.Parse(of)
	if err != nil {
		return false, err
	}
	t, err := table.Open(ctx, rd, &schema.Cache{}, h, nil)
	if err != nil {
		return false, err
	}
	return table.NewView(rd, t, nil).Count() == 0, nil
}
