package table

import (
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/value"
)

// EachLong calls fn for the root of every value that the overlay's rows keep out of line. s is the schema of the table that it is above.
func (o *Overlay) EachLong(s *schema.Compiled, fn func(h hash.Hash) error) error {
	if o == nil {
		return nil
	}
	long := false
	for _, t := range s.Types {
		long = long || t.Long()
	}
	if !long {
		return nil
	}
	if err := eachLong(o.rows, s.Primary, fn); err != nil {
		return err
	}
	for n, x := range o.index {
		if err := eachLong(x, s.Index[n], fn); err != nil {
			return err
		}
	}
	return nil
}

func eachLong(in *entries, l *schema.Layout, fn func(h hash.Hash) error) (err error) {
	cells := make([]value.Cell, len(l.Phys))
	in.Scan(func(e *entry) bool {
		if e.row == nil {
			return true
		}
		if err = value.DecodeTuple(e.row, l.Phys, cells); err != nil {
			return false
		}
		for _, c := range cells {
			if c.IsAddr() {
				if err = fn(hash.Hash(c.Bytes()[:hash.Size])); err != nil {
					return false
				}
			}
		}
		return true
	})
	return err
}
