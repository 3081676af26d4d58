package lineage

import (
	"context"
	"sync"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// Source is where the system tables are read.
type Source interface {
	// Table is the view of a table; ok is false when there is none.
	Table(ctx context.Context, name string) (v *table.View, written string, ok bool, err error)
}

// Sink is where rows of the system tables are written.
type Sink interface {
	Source
	// Editor is the editor of a system table.
	Editor(ctx context.Context, name string) (*table.Editor, error)
}

// Book reads the system tables at one moment.
type Book struct {
	in      Source
	known   *Memory
	thinned func() (*Thinned, error)
}

// Open is the book of a source. The memory is of the database's history; nil for none.
func Open(in Source, known *Memory) *Book {
	return &Book{in: in, known: known, thinned: func() (*Thinned, error) { return nil, nil }}
}

// Thinning makes the book know what became of thinned commits. read is called when that is needed for the first time, and once at most.
func (b *Book) Thinning(read func() (*Thinned, error)) *Book {
	b.thinned = sync.OnceValues(read)
	return b
}

// look calls fn for the records whose columns, those of the named index or ("" for it) of the key, begin with these values. In reverse
// they come last first. fn ends it by returning false.
func look[T any](ctx context.Context, b *Book, k *kind[T], index string, reverse bool, fn func(T) (bool, error), of ...string) error {
	return b.look(ctx, k.table, index, reverse, func(l *schema.Layout) (lo, hi []byte) {
		for i, x := range of {
			lo = value.AppendKeyPart(lo, &l.Parts[i], value.BytesCell([]byte(x)))
		}
		if len(of) > 0 {
			hi = value.PrefixEnd(lo)
		}
		return lo, hi
	}, func(cells []value.Cell) (bool, error) { return fn(k.record(cells)) })
}

// look calls fn for the rows of a system table whose keys, of the named index or of the table, are in bounds.
func (b *Book) look(ctx context.Context, name, index string, reverse bool, bounds func(*schema.Layout) (lo, hi []byte), fn func([]value.Cell) (bool, error)) error {
	v, _, ok, err := b.in.Table(ctx, name)
	if err != nil || !ok {
		return err
	}
	rows := table.RowsTree
	if index != "" {
		i := v.Schema().IndexByName(index)
		if i < 0 {
			return errs.New(errs.Corrupt, "read %s: it has no index %s", name, index)
		}
		rows = table.Rows(i)
	}
	l := v.Layout(rows)
	opt := table.ScanOptions{Rows: rows, Reverse: reverse}
	opt.Lo, opt.Hi = bounds(l)
	cells, entry := make([]value.Cell, len(v.Layout(table.RowsTree).Phys)), make([]value.Cell, len(l.Phys))
	scan := v.Scan(opt)
	for {
		blk, ok, err := scan.Next(ctx)
		if err == nil {
			err = errs.With(errs.Canceled, ctx.Err())
		}
		if err != nil || !ok {
			return err
		}
		n := 1
		if blk.Page != nil {
			n = blk.Hi - blk.Lo
		}
		for i := range n {
			at := blk.Lo + i
			if reverse && blk.Page != nil {
				at = blk.Hi - 1 - i
			}
			if blk.Page == nil {
				err = value.DecodeTuple(blk.Row, l.Phys, entry)
			} else {
				for c := range entry {
					if entry[c], err = blk.Page.Cell(ctx, c, at); err != nil {
						break
					}
				}
			}
			if err != nil {
				return err
			}
			if rows == table.RowsTree {
				copy(cells, entry)
			} else if found, err := v.Get(ctx, v.RowKey(int(rows), entry), cells); err != nil {
				return err
			} else if !found {
				return errs.New(errs.Corrupt, "read %s: index %s names a row that the table lacks", name, index)
			}
			for c := range cells {
				if cells[c], err = table.Resolve(ctx, v.Reader(), cells[c]); err != nil {
					return err
				}
			}
			if more, err := fn(cells); err != nil || !more {
				return err
			}
		}
	}
}

// all are the records that look finds.
func all[T any](ctx context.Context, b *Book, k *kind[T], index string, of ...string) ([]T, error) {
	var out []T
	err := look(ctx, b, k, index, false, func(r T) (bool, error) {
		out = append(out, r)
		return true, nil
	}, of...)
	return out, err
}

// Run is the run with an id; ok is false when there is none.
func (b *Book) Run(ctx context.Context, uid string) (run Run, ok bool, err error) {
	err = look(ctx, b, runs, "", false, func(r Run) (bool, error) {
		run, ok = r, true
		return false, nil
	}, uid)
	return run, ok, err
}

// RunsBySystem are the runs that a system calls by an id; "" for any system.
func (b *Book) RunsBySystem(ctx context.Context, system, externalID string) ([]Run, error) {
	if system == "" {
		return all(ctx, b, runs, "by_external_id", externalID)
	}
	return all(ctx, b, runs, "by_external_id", externalID, system)
}

// Children are the runs that a run started.
func (b *Book) Children(ctx context.Context, uid string) ([]Run, error) {
	return all(ctx, b, runs, "by_parent_uid", uid)
}

// EachRun calls fn for all runs, the last started first, until it returns false.
func (b *Book) EachRun(ctx context.Context, fn func(Run) (bool, error)) error {
	return look(ctx, b, runs, "by_started_at", true, fn)
}

// InputsOf are what a run read, in the order in which it was recorded.
func (b *Book) InputsOf(ctx context.Context, uid string) ([]Input, error) {
	return all(ctx, b, inputs, "", uid)
}

// OutputsOf are what a run wrote.
func (b *Book) OutputsOf(ctx context.Context, uid string) ([]Output, error) {
	return all(ctx, b, outputs, "", uid)
}

// InputsAt are the inputs whose table had a hash.
func (b *Book) InputsAt(ctx context.Context, hash string) ([]Input, error) {
	return all(ctx, b, inputs, "by_table_hash", hash)
}

// InputsFrom are the inputs that were read at a commit.
func (b *Book) InputsFrom(ctx context.Context, commit string) ([]Input, error) {
	return all(ctx, b, inputs, "by_commit_hash", commit)
}

// OutputsAfter are the outputs that left a table with a hash.
func (b *Book) OutputsAfter(ctx context.Context, hash string) ([]Output, error) {
	return all(ctx, b, outputs, "by_after_hash", hash)
}

// OutputsIn are the outputs of a commit.
func (b *Book) OutputsIn(ctx context.Context, commit string) ([]Output, error) {
	return all(ctx, b, outputs, "by_commit_hash", commit)
}

// Each calls fn for all rows of each system table: runs by id, and of each its inputs and outputs.
func (b *Book) Each(ctx context.Context, fn func(Run, []Input, []Output) error) error {
	return look(ctx, b, runs, "", false, func(r Run) (bool, error) {
		in, err := b.InputsOf(ctx, r.UID)
		if err != nil {
			return false, err
		}
		out, err := b.OutputsOf(ctx, r.UID)
		if err != nil {
			return false, err
		}
		return true, fn(r, in, out)
	})
}

// lastSeq is the largest number among the rows of a run; -1 for none.
func lastSeq[T any](ctx context.Context, b *Book, k *kind[T], uid string, seq func(T) int64) (int64, error) {
	last := int64(-1)
	err := look(ctx, b, k, "", true, func(r T) (bool, error) {
		last = seq(r)
		return false, nil
	}, uid)
	return last, err
}

// NextInput and NextOutput are the next free numbers of a run's rows.
func (b *Book) NextInput(ctx context.Context, uid string) (int64, error) {
	n, err := lastSeq(ctx, b, inputs, uid, func(r Input) int64 { return r.Seq })
	return n + 1, err
}

// NextOutput is the next free number of a run's outputs.
func (b *Book) NextOutput(ctx context.Context, uid string) (int64, error) {
	n, err := lastSeq(ctx, b, outputs, uid, func(r Output) int64 { return r.Seq })
	return n + 1, err
}

// put writes a record, over one with its key.
func put[T any](ctx context.Context, w Sink, k *kind[T], r *T) error {
	e, err := w.Editor(ctx, k.table)
	if err != nil {
		return err
	}
	cells := k.cells(r)
	old := make([]value.Cell, len(cells))
	l := e.Table().Schema.Primary
	found, err := e.Get(ctx, l.AppendKey(nil, cells), old)
	if err != nil {
		return err
	}
	if !found {
		return e.Insert(ctx, cells)
	}
	for i := range old {
		old[i] = old[i].Clone()
	}
	_, err = e.Update(ctx, old, cells)
	return err
}

// PutRun writes a run, over one of its id.
func PutRun(ctx context.Context, w Sink, r *Run) error { return put(ctx, w, runs, r) }

// PutInput writes an input, over one of its run and number.
func PutInput(ctx context.Context, w Sink, r *Input) error { return put(ctx, w, inputs, r) }

// PutOutput writes an output, over one of its run and number.
func PutOutput(ctx context.Context, w Sink, r *Output) error { return put(ctx, w, outputs, r) }
