package pull

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"strconv"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/value"
)

// A pull that has not come to its end is continued, and is of one state all the same: of each block of rows that it has left, the server
// is asked for a digest of the rows that are in the block's range of keys now. Equal digests are equal rows, which need not be sent again;
// other ranges are read again, and behind the last of them the rest.

// ranged is a Source that can give the rows of a table by ranges of its key.
type ranged interface {
	Source
	// orders tells whether the table's key can bound ranges.
	orders(t *Table) bool
	// readRange gives rows as the server sends them, in the order of the key: those whose key is above after and not above upto; nil is open.
	readRange(ctx context.Context, t *Table, after, upto [][]byte, fn func(raw [][]byte) error) error
	// digest is the digest of the rows of a range as the server has them; "" when there are none.
	digest(ctx context.Context, t *Table, after, upto [][]byte) (string, error)
	// digestOf is the digest of rows.
	digestOf(rows [][][]byte) string
}

var (
	_ ranged = (*postgres)(nil)
	_ ranged = (*mySQL)(nil)
)

// blockBytes is how many bytes of rows a block has about.
const blockBytes = 128 << 10

// Resumable tells whether a pull of the table can be continued: its key is the source's own, so that it is never NULL, and of types that
// have an order and a text without loss.
func Resumable(s Source, t *Table) bool {
	r, ok := s.(ranged)
	if !ok || len(t.Key) == 0 || !r.orders(t) {
		return false
	}
	for _, k := range t.keyAt() {
		if k < 0 {
			return false
		}
		c := &t.Columns[k]
		switch c.Type.Kind {
		case value.KindFloat32, value.KindFloat64, value.KindJSON, value.KindEnum, value.KindSet, value.KindBit, value.KindGeometry, value.KindVector:
			return false
		}
		if c.Nullable || c.read != "" {
			return false
		}
	}
	return true
}

// keyAt are the positions of the key's columns; -1 is one that is not there.
func (t *Table) keyAt() []int {
	var at []int
	for _, k := range t.Key {
		at = append(at, slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == k }))
	}
	return at
}

// Resume is Source.Read of a Resumable table that keeps the rows in p, and need not be sent those that p has already and that are the
// same still. It counts the rows that it spared.
func Resume(ctx context.Context, s Source, t *Table, p *Partial, fn func(fields [][]byte) error) (spared int64, err error) {
	r, ok := s.(ranged)
	if !ok {
		return 0, errs.New(errs.Internal, "resume table %s: the source has no ranges", t.Name)
	}
	var n int64
	out := make([][]byte, len(t.Columns))
	give := func(raw [][]byte) error {
		n++
		if err := t.decode(raw, out, n); err != nil {
			return err
		}
		return fn(out)
	}
	at := t.keyAt()
	var last [][]byte // the key of the last row
	mark := func(raw [][]byte) {
		last = last[:0:0]
		for _, k := range at {
			last = append(last, slices.Clone(raw[k]))
		}
	}
	var block []byte
	read := func(upto [][]byte) error {
		after := last
		err := r.readRange(ctx, t, after, upto, func(raw [][]byte) error {
			if block = appendRow(block, raw); len(block) >= blockBytes {
				if err := p.keep(block); err != nil {
					return err
				}
				block = block[:0]
			}
			return give(raw)
		})
		if err == nil || errs.Is(err, errs.Unavailable) || ctx.Err() != nil {
			err = errors.Join(err, p.keep(block)) // complete rows, whatever has become of the rest
		}
		block = block[:0]
		return err
	}
	for {
		rows, err := p.next()
		if err != nil {
			return spared, err
		}
		if rows == nil {
			break
		}
		after := last
		mark(rows[len(rows)-1])
		upto := last
		is, err := r.digest(ctx, t, after, upto)
		if err != nil {
			return spared, err
		}
		if is != r.digestOf(rows) {
			last = after
			if err := read(upto); err != nil {
				return spared, err
			}
			last = upto
			continue
		}
		spared += int64(len(rows))
		for _, raw := range rows {
			block = appendRow(block, raw)
			if err := give(raw); err != nil {
				return spared, err
			}
		}
		if err := p.keep(block); err != nil {
			return spared, err
		}
		block = block[:0]
	}
	if err := p.replayed(); err != nil {
		return spared, err
	}
	return spared, read(nil)
}

// decode makes of the fields of a row as the server sends them those that value.Parse reads; n is its number, from 1.
func (t *Table) decode(raw, out [][]byte, n int64) error {
	for i, v := range raw {
		out[i] = v
		if v == nil || t.Columns[i].decode == nil {
			continue
		}
		var err error
		if out[i], err = t.Columns[i].decode(v); err != nil {
			return errs.New(errs.Invalid, "%s row %d, column %s: %w", t.Name, n, t.Columns[i].Name, err)
		}
		if out[i] == nil {
			out[i] = []byte{}
		}
	}
	return nil
}

// digestRow is the digest of a row: of the lengths and bytes of its fields.
func digestRow(fields [][]byte) [sha256.Size]byte {
	var b []byte
	for _, f := range fields {
		if f == nil {
			b = append(b, 'N')
			continue
		}
		b = strconv.AppendInt(b, int64(len(f)), 10)
		b = append(append(b, ':'), f...)
	}
	return sha256.Sum256(b)
}
