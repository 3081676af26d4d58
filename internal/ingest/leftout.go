package ingest

import (
	"context"
	"encoding/binary"
	"io"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// leftOut collects the records that a load leaves out because another row has their key, and other values in the file's columns. The
// loader meets them in any order, so they are sorted by line, within bounded memory, before they are given out.
type leftOut struct {
	l      *loading
	sorter *table.Sorter
	row    []value.Cell
	kept   []value.Cell
	given  []int // cells that come from the file
	tag    []byte
}

// leftOutMemory is how many bytes of such records, without their text, are kept in memory.
const leftOutMemory = 8 << 20

// newLeftOut makes the loader tell of the records. It is nil when nobody wants to know.
func newLeftOut(l *loading, opt *table.LoadOptions) *leftOut {
	if l.opt.Reject == nil || opt.OnDuplicate != table.IgnoreDuplicate || l.schema.Keyless() {
		return nil
	}
	o := &leftOut{l: l, sorter: table.NewSorter(opt.FS, opt.TempDir, leftOutMemory)}
	o.row, o.kept = make([]value.Cell, len(l.template)), make([]value.Cell, len(l.template))
	for _, f := range l.fields {
		if f.cell >= 0 {
			o.given = append(o.given, f.cell)
		}
	}
	opt.LeftOut = o.take
	return o
}

// tagOf says where a record is in the file.
func (o *leftOut) tagOf(b *block, r rowSpan) []byte {
	if o == nil {
		return nil
	}
	o.tag = binary.AppendUvarint(o.tag[:0], uint64(b.line+int64(r.line)))
	o.tag = binary.AppendUvarint(o.tag, uint64(b.at+int64(r.at)))
	o.tag = binary.AppendUvarint(o.tag, uint64(r.raw))
	return o.tag
}

// take is table.LoadOptions.LeftOut.
func (o *leftOut) take(x table.LeftOut) error {
	phys := o.l.schema.Primary.Phys
	if err := value.DecodeTuple(x.Row, phys, o.row); err != nil {
		return err
	}
	if err := value.DecodeTuple(x.Kept, phys, o.kept); err != nil {
		return err
	}
	same := true
	for _, c := range o.given {
		same = same && o.row[c].Equal(o.kept[c])
	}
	if same {
		return nil
	}
	line, n := binary.Uvarint(x.Tag)
	why := "an earlier line has it, with other values"
	if x.InBase {
		why = "the table has it, with other values"
	}
	rest := append(x.Tag[n:len(x.Tag):len(x.Tag)], "duplicate primary key "+table.DescribeKey(o.l.schema, x.Row)+"; "+why...)
	o.l.stats.Rejected++
	return o.sorter.Add(binary.BigEndian.AppendUint64(nil, line), rest)
}

// give gives the records to Reject, in the file's order.
func (o *leftOut) give(ctx context.Context) error {
	if o == nil {
		return nil
	}
	sorted, err := o.sorter.Sort()
	if err != nil {
		return err
	}
	src := o.l.src
	var raw []byte
	for {
		key, rest, ok, err := sorted.Next(ctx)
		if err != nil || !ok {
			return err
		}
		at, n := binary.Uvarint(rest)
		size, m := binary.Uvarint(rest[n:])
		if uint64(cap(raw)) < size {
			raw = make([]byte, size)
		}
		raw = raw[:size]
		if got, err := src.R.ReadAt(raw, int64(at)); got < len(raw) {
			if err == io.EOF {
				err = errs.New(errs.Conflict, "it became shorter while it was read")
			}
			return errs.New(errs.CodeOf(err), "read %s: %w", src.Name, err)
		}
		bad := &LineError{File: src.Name, Line: int64(binary.BigEndian.Uint64(key)), Err: errs.New(errs.DuplicateKey, "%s", rest[n+m:])}
		if err := o.l.opt.Reject(raw, bad); err != nil {
			return err
		}
	}
}

// count is how many records there are.
func (o *leftOut) count() uint64 {
	if o == nil {
		return 0
	}
	return o.sorter.Len()
}

// close frees what o holds.
func (o *leftOut) close() error {
	if o == nil {
		return nil
	}
	return o.sorter.Close()
}
