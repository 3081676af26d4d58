package lineage

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/root"
)

// Turn is a commit that gave a table the content that it has later.
type Turn struct {
	Commit *history.Commit
	Table  string // its name there
	Before string // hash in the first parent; "" when the commit made the table
	After  string
	Merged bool // the commit is a merge whose content none of its parents has
}

// LastChanges are the commits that last changed a table, seen from a commit: those from which on every commit on the way has the table
// with one hash, be it under another name. A merge whose content none of its parents has is followed by the last changes of each
// parent's. A change that another of them has among its descendants is none of the last. ok is false when the commit has no such table.
func LastChanges(ctx context.Context, rd chunk.Reader, from history.CommitID, name string) (turns []Turn, ok bool, err error) {
	type place struct {
		id   history.CommitID
		name string
	}
	seen := map[place]bool{}
	stack := []place{{from, strings.ToLower(name)}}
	for len(stack) > 0 {
		if err := errs.With(errs.Canceled, ctx.Err()); err != nil {
			return nil, false, err
		}
		at := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if seen[at] {
			continue
		}
		seen[at] = true
		c, err := history.GetCommit(ctx, rd, at.id)
		if err != nil {
			return nil, false, err
		}
		e, there, err := root.Open(rd, c.Root).Get(ctx, root.KindTable, at.name)
		if err != nil {
			return nil, false, err
		}
		if !there {
			if at.id == from {
				return nil, false, nil
			}
			continue
		}
		ok = true
		var same, others []place
		t := Turn{Commit: c, Table: e.Name, After: e.Table.Full()}
		for i, id := range c.Parents {
			was, h, found, err := before(ctx, rd, id, c, at.name, e.Table)
			if err != nil {
				return nil, false, err
			}
			switch {
			case !found:
			case h == e.Table:
				same = append(same, place{id, was})
			default:
				others = append(others, place{id, was})
				if i == 0 {
					t.Before = h.Full()
				}
			}
		}
		if len(same) > 0 {
			stack = append(stack, same...)
			continue
		}
		if t.Merged = len(c.Parents) > 1; t.Merged {
			stack = append(stack, others...)
		}
		turns = append(turns, t)
	}
	turns, err = newest(ctx, rd, turns)
	return turns, ok, err
}

// before is the table in a parent of c that became the one of that name and hash: of that name, or one of that hash that c has not any more.
func before(ctx context.Context, rd chunk.Reader, parent history.CommitID, c *history.Commit, name string, h hash.Hash) (was string, wasHash hash.Hash, ok bool, err error) {
	p, err := history.GetCommit(ctx, rd, parent)
	if err != nil {
		return "", h, false, err
	}
	if p.Root == c.Root {
		return name, h, true, nil
	}
	in := root.Open(rd, p.Root)
	e, ok, err := in.Get(ctx, root.KindTable, name)
	if err != nil || ok {
		return name, e.Table, ok, err
	}
	all, err := in.List(ctx, root.KindTable)
	if err != nil {
		return "", h, false, err
	}
	for _, x := range all {
		if x.Table != h {
			continue
		}
		if _, kept, err := root.Open(rd, c.Root).Get(ctx, root.KindTable, x.Name); err != nil || !kept {
			return strings.ToLower(x.Name), h, err == nil, err
		}
	}
	return "", h, false, nil
}

// newest is the turns without those that others come after. What came into a merge is not before the merge in this sense.
func newest(ctx context.Context, rd chunk.Reader, turns []Turn) ([]Turn, error) {
	if len(turns) < 2 {
		return turns, nil
	}
	var out []Turn
	for i := range turns {
		var later []history.CommitID
		for j := range turns {
			if i != j && !turns[j].Merged {
				later = append(later, turns[j].Commit.ID)
			}
		}
		over := false
		if len(later) > 0 {
			var err error
			if over, err = history.Reached(ctx, rd, later, turns[i].Commit); err != nil {
				return nil, err
			}
		}
		if !over {
			out = append(out, turns[i])
		}
	}
	return out, nil
}

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
	turns, ok, err := LastChanges(ctx, rd, from, name)
	if err != nil || !ok {
		return nil, ok, err
	}
	seen := map[[2]string]bool{}
	for _, t := range turns {
		found, err := b.producersOf(ctx, t)
		if err != nil {
			return nil, false, err
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
	return out, true, nil
}

// producersOf are the runs that made a change.
func (b *Book) producersOf(ctx context.Context, t Turn) ([]Producer, error) {
	base := Producer{Commit: t.Commit.ID.Full(), Table: t.Table, Before: t.Before, After: t.After}
	outs, err := b.OutputsIn(ctx, base.Commit)
	if err != nil {
		return nil, err
	}
	var found []Producer
	for _, o := range outs {
		if strings.EqualFold(o.Table, t.Table) && o.After == t.After {
			p := base
			p.Run, p.How, p.Node = o.Run, ByHistory, o.Node
			if o.Via != "" {
				p.Note = "the commit was made after " + o.Via
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
	if t.Commit.Meta != "" && json.Unmarshal([]byte(t.Commit.Meta), &meta) == nil {
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
	for _, fits := range []func(*Output) bool{
		func(o *Output) bool { return strings.EqualFold(o.Table, t.Table) && o.Before == t.Before },
		func(o *Output) bool { return strings.EqualFold(o.Table, t.Table) },
		func(*Output) bool { return true },
	} {
		for i := range outs {
			if o := &outs[i]; fits(o) {
				p := base
				p.Run, p.How, p.Node = o.Run, ByHash, o.Node
				p.Note = "no run is recorded for the commit; the run left the table with the same content in commit " + o.Commit
				found = append(found, p)
			}
		}
		if len(found) > 0 {
			return found, nil
		}
	}
	base.How = Unknown
	return []Producer{base}, nil
}
