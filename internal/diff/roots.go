package diff

import (
	"bytes"
	"context"
	"sort"
	"strings"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
)

// Kind is what happened to a named thing of a database.
type Kind uint8

// The kinds.
const (
	TableAdded Kind = iota + 1
	TableDropped
	TableModified
	TableRenamed // the same table under another name, perhaps with other content: see Tables
)

// String is the word that system tables show.
func (k Kind) String() string {
	switch k {
	case TableAdded:
		return "added"
	case TableDropped:
		return "dropped"
	case TableModified:
		return "modified"
	case TableRenamed:
		return "renamed"
	}
	return "none"
}

// Delta is a table, or another entry of a root, that two roots hold differently.
type Delta struct {
	Kind     Kind
	From, To root.Entry // the zero Entry when that side has none
	Data     bool       // rows differ; of an added or dropped table: it has rows. False of what is not a table
	Schema   bool       // columns, keys, indexes, checks, comments or the name differ; true of an added or dropped table
}

// Name is the name on the to side, or on the from side of a dropped table.
func (d *Delta) Name() string {
	if d.Kind == TableDropped {
		return d.From.Name
	}
	return d.To.Name
}

// Is tells whether the delta is of a table that has this name on either side, matched without case.
func (d *Delta) Is(name string) bool {
	return strings.EqualFold(d.From.Name, name) || strings.EqualFold(d.To.Name, name)
}

// Tables gives the tables that differ, ordered by lower-case name. Of tables that were dropped and added with one content, the first
// in order are taken as renamed; then those with the same columns by id, the same key and the first or last row of the dropped one. r serves the chunks of both roots. It reads what differs of the roots' trees and, of each table that
// differs, one chunk a side.
func Tables(ctx context.Context, r chunk.Reader, from, to tree.Root) ([]Delta, error) {
	all, err := Entries(ctx, r, from, to)
	if err != nil {
		return nil, err
	}
	var out []Delta
	for _, d := range all {
		if d.From.Kind == root.KindTable || d.To.Kind == root.KindTable {
			out = append(out, d)
		}
	}
	return out, nil
}

// Entries is Tables for the entries of all kinds, ordered by kind, then name. Others than tables are never renamed.
func Entries(ctx context.Context, r chunk.Reader, from, to tree.Root) ([]Delta, error) {
	var out []Delta
	err := tree.Diff(ctx, r, root.Format(), from, to, nil, nil, func(c tree.Change) error {
		d := Delta{Kind: TableModified}
		var err error
		key := c.AppendKey(nil)
		if c.A == nil {
			d.Kind = TableAdded
		} else if d.From, err = entry(ctx, key, c.A, c.AI); err != nil {
			return err
		}
		if c.B == nil {
			d.Kind = TableDropped
		} else if d.To, err = entry(ctx, key, c.B, c.BI); err != nil {
			return err
		}
		out = append(out, d)
		return nil
	})
	if err != nil {
		return nil, err
	}
	out = pairRenamed(out)
	if out, err = pairAlike(ctx, r, out); err != nil {
		return nil, err
	}
	for i := range out {
		if err := out[i].judge(ctx, r); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func entry(ctx context.Context, key []byte, l tree.Leaf, i int) (root.Entry, error) {
	v, err := l.AppendRow(ctx, nil, i)
	if err != nil {
		return root.Entry{}, err
	}
	return root.DecodeEntry(key, v)
}

// pairRenamed makes one delta of a dropped and an added table with one content.
func pairRenamed(in []Delta) []Delta {
	dropped := map[hash.Hash][]int{}
	for i := range in {
		if in[i].Kind == TableDropped && in[i].From.Kind == root.KindTable {
			h := in[i].From.Table
			dropped[h] = append(dropped[h], i)
		}
	}
	gone := make([]bool, len(in))
	for i := range in {
		d := &in[i]
		if d.Kind != TableAdded || d.To.Kind != root.KindTable {
			continue
		}
		if from := dropped[d.To.Table]; len(from) > 0 {
			d.Kind, d.From = TableRenamed, in[from[0]].From
			gone[from[0]] = true
			dropped[d.To.Table] = from[1:]
		}
	}
	out := in[:0]
	for i := range in {
		if !gone[i] {
			out = append(out, in[i])
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].order() < out[j].order() })
	return out
}

func (d *Delta) order() string {
	e := d.To
	if d.Kind == TableDropped {
		e = d.From
	}
	return string(append([]byte{byte(e.Kind)}, strings.ToLower(e.Name)...))
}

// judge finds out whether data and schema differ.
func (d *Delta) judge(ctx context.Context, r chunk.Reader) error {
	if d.From.Kind != root.KindTable && d.To.Kind != root.KindTable {
		d.Schema = true
		return nil
	}
	var from, to table.Decoded
	var err error
	if d.From.Kind != 0 {
		if from, err = decodeTable(ctx, r, d.From.Table); err != nil {
			return err
		}
	}
	if d.To.Kind != 0 {
		if to, err = decodeTable(ctx, r, d.To.Table); err != nil {
			return err
		}
	}
	switch d.Kind {
	case TableAdded:
		d.Data, d.Schema = !to.Trees[0].IsEmpty(), true
	case TableDropped:
		d.Data, d.Schema = !from.Trees[0].IsEmpty(), true
	case TableRenamed:
		d.Data, d.Schema = from.Trees[0].Hash != to.Trees[0].Hash, true
	default:
		d.Data = from.Trees[0].Hash != to.Trees[0].Hash
		d.Schema = from.Schema != to.Schema || d.From.Name != d.To.Name || !bytes.Equal(d.From.Comments, d.To.Comments)
	}
	return nil
}

func decodeTable(ctx context.Context, r chunk.Reader, h hash.Hash) (table.Decoded, error) {
	data, err := r.Get(ctx, h)
	if err != nil {
		return table.Decoded{}, err
	}
	return table.Decode(data)
}
