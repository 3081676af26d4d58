package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/diff"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
	"github.com/stemmadb/stemma/internal/vfs"
)

// shaped is a table of a shape in a store of its own. It is built below package table, whose limit for long cells is a constant.
type shaped struct {
	*shape
	setting
	compiled *schema.Compiled
	store    *pack.Store
	table    *table.Table
	n        int   // rows
	size     int64 // bytes of chunks
}

// shape measures one table.
func (e *env) shape(ctx context.Context, s *shape, x setting) (err error) {
	dir := filepath.Join(e.dir, "shape")
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := pack.Create(ctx, vfs.OS{}, dir); err != nil {
		return err
	}
	t := &shaped{shape: s, setting: x, n: max(int(float64(s.rows)*float64(e.rows)/fullRows), 500)}
	if t.compiled, err = s.schema(x.target); err != nil {
		return err
	}
	if t.store, err = pack.Open(ctx, vfs.OS{}, dir, pack.Options{}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.store.Close(ctx), os.RemoveAll(dir)) }()
	if err := t.build(ctx, dir); err != nil {
		return err
	}
	name := func(what string) string { return s.name + x.String() + ": " + what }
	e.record(name("size"), "B/row", nil, float64(t.size)/float64(t.n))
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	v := table.NewView(t.store, t.table, nil)
	scans, err := repeat(min(e.count, 3), func() error {
		_, err := scanBatches(ctx, v, true)
		return err
	})
	if err != nil {
		return err
	}
	e.record(name("scan"), "krows/s", nil, float64(t.n)/median(scans))
	get, err := t.get(ctx, v)
	if err != nil {
		return err
	}
	e.record(name("get"), "us", nil, get)
	if err := e.single(ctx, t, name("update"), false); err != nil {
		return err
	}
	if err := e.single(ctx, t, name("insert"), true); err != nil {
		return err
	}
	if err := e.addColumn(ctx, t, name("ADD COLUMN, update")); err != nil {
		return err
	}
	return e.many(ctx, t, name)
}

// build loads the table: sorts its rows, makes the tree and publishes it.
func (t *shaped) build(ctx context.Context, dir string) (err error) {
	b := t.store.NewBatch()
	defer func() { err = errors.Join(err, b.Close()) }()
	sorter := table.NewSorter(vfs.OS{}, dir, 256<<20)
	defer func() { err = errors.Join(err, sorter.Close()) }()
	for i := range t.n {
		key, payload, err := t.encode(ctx, b, t.row(2*i, 0))
		if err != nil {
			return err
		}
		if err := sorter.Add(key, payload); err != nil {
			return err
		}
	}
	sorted, err := sorter.Sort()
	if err != nil {
		return err
	}
	builder := tree.NewBuilder(b, t.compiled.Primary.Format, tree.BuilderOptions{Parallel: runtime.NumCPU()})
	defer builder.Close()
	for {
		key, payload, ok, err := sorted.Next(ctx)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if err := builder.Add(ctx, key, payload); err != nil {
			return err
		}
	}
	t.table = &table.Table{Schema: t.compiled}
	if t.table.Rows, err = builder.Finish(ctx); err != nil {
		return err
	}
	t.size = b.Len()
	lsn, err := t.store.Append(ctx, b)
	if err != nil {
		return err
	}
	return t.store.Wait(ctx, lsn)
}

// encode is the key and the payload of a row. Long cells go to w.
func (t *shaped) encode(ctx context.Context, w chunk.Writer, cells row) (key, payload []byte, err error) {
	l := t.compiled.Primary
	key = l.AppendKey(nil, cells)
	for i, c := range cells {
		if l.Phys[i] != value.Bytes || c.IsNull() || len(c.Bytes()) <= t.long || slices.Contains(l.Key, i) {
			continue
		}
		addr, err := tree.WriteBlob(ctx, w, c.Bytes())
		if err != nil {
			return nil, nil, err
		}
		cells[i] = value.AddrCell(addr)
	}
	return key, value.AppendTuple(nil, l.Phys, cells), nil
}

// get reads all cells of random rows, long ones too, and returns how many microseconds a row takes.
func (t *shaped) get(ctx context.Context, v *table.View) (float64, error) {
	r := rand.New(rand.NewPCG(51, 1))
	keys := make([][]byte, min(5000, t.n/2))
	for i := range keys {
		keys[i] = t.compiled.Primary.AppendKey(nil, t.row(2*r.IntN(t.n), 0))
	}
	cells := make(row, len(t.compiled.Primary.Phys))
	times, err := repeat(3, func() error {
		for _, k := range keys {
			ok, err := v.Get(ctx, k, cells)
			if err != nil {
				return err
			}
			if !ok {
				return errors.New("a row is not there")
			}
			for _, c := range cells {
				if _, err := table.Resolve(ctx, t.store, c); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return median(times) / float64(len(keys)) * 1e3, err
}

// numbers are n different rows, at random: of the table, or new ones.
func (t *shaped) numbers(n int, added bool, seed uint64) []int {
	r := rand.New(rand.NewPCG(seed, 1))
	seen := map[int]bool{}
	var out []int
	for len(out) < min(n, t.n/2) {
		i := r.IntN(t.n)
		if seen[i] {
			continue
		}
		seen[i] = true
		switch {
		case !added:
			i *= 2
		case len(t.key) == 0:
			i = 2 * (t.n + len(out)) // behind the last row
		default:
			i = 2*i + 1
		}
		out = append(out, i)
	}
	return out
}

// changed are n different rows after an edit, or n new rows.
func (t *shaped) changed(n int, added bool, seed uint64) []row {
	var out []row
	for _, i := range t.numbers(n, added, seed) {
		if added {
			out = append(out, t.row(i, 0))
		} else {
			out = append(out, t.row(i, 1))
		}
	}
	return out
}

// single applies edits one by one, each to the table as it is, and records their time and the bytes of new chunks.
func (e *env) single(ctx context.Context, t *shaped, name string, added bool) error {
	rows := t.changed(min(300, t.n/20), added, 53)
	var times []float64
	var size int64
	for round := range 3 {
		b := t.store.NewBatch()
		took, err := seconds(func() error {
			for _, cells := range rows {
				if _, err := t.apply(ctx, b, t.table, []row{slices.Clone(cells)}); err != nil {
					return err
				}
			}
			return nil
		})
		size = b.Len()
		if err := errors.Join(err, b.Close()); err != nil {
			return err
		}
		if round > 0 {
			times = append(times, took/float64(len(rows))*1e6)
		}
	}
	e.record(name+", time", "us", nil, times...)
	e.record(name+", growth", "B", nil, float64(size)/float64(len(rows)))
	return nil
}

// apply puts rows, in any order, into a table.
func (t *shaped) apply(ctx context.Context, b *pack.Batch, base *table.Table, rows []row) (*table.Table, error) {
	edits := make(tree.Edits, len(rows))
	for i, cells := range rows {
		key, payload, err := t.encode(ctx, b, cells)
		if err != nil {
			return nil, err
		}
		edits[i] = tree.Edit{Key: key, Row: payload}
	}
	slices.SortFunc(edits, func(a, b tree.Edit) int { return bytes.Compare(a.Key, b.Key) })
	root, err := tree.Apply(ctx, b, base.Schema.Primary.Format, base.Rows, &edits)
	return &table.Table{Schema: base.Schema, Rows: root}, err
}

// addColumn gives the table another column, with a default, and changes it in single rows.
func (e *env) addColumn(ctx context.Context, t *shaped, name string) error {
	s := t.compiled.Clone()
	c := schema.Column{Name: "added", Type: value.Type{Kind: value.KindInt64}, HasDefault: true, Default: "7", Absent: value.IntCell(7)}
	c.ID = schema.AssignID(c.Name, c.Type, s.Columns, nil)
	s.Columns = append(s.Columns, c)
	compiled, err := schema.Compile(s)
	if err != nil {
		return err
	}
	wider := *t
	wider.compiled, wider.table = compiled, &table.Table{Schema: compiled, Rows: t.table.Rows}
	inner := *t.shape
	inner.row = func(number, edits int) row {
		return append(t.row(number, 0), value.IntCell(int64(7+edits*(number%1000))))
	}
	wider.shape = &inner
	return e.single(ctx, &wider, name, false)
}

// many changes a thousand rows at once, and compares.
func (e *env) many(ctx context.Context, t *shaped, name func(string) string) (err error) {
	rows := t.changed(1000, false, 57)
	b := t.store.NewBatch()
	defer func() { err = errors.Join(err, b.Close()) }()
	after, err := t.apply(ctx, b, t.table, rows)
	if err != nil {
		return err
	}
	e.record(name("1000 updates, growth"), "B/row", nil, float64(b.Len())/float64(len(rows)))
	want := len(rows)
	if len(t.key) == 0 {
		want *= 2 // one removed, one added
	}
	times, err := repeat(e.count, func() error {
		p, err := diff.NewPair(b, t.table, after)
		if err != nil {
			return err
		}
		n, err := readPair(ctx, p)
		if err == nil && n != want {
			err = fmt.Errorf("%d rows differ, want %d", n, want)
		}
		return err
	})
	if err != nil {
		return err
	}
	e.record(name("1000 updates, diff"), "us/row", nil, median(times)*1e3/float64(len(rows)))
	return nil
}
