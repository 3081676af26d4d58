package frame

import (
	"bytes"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/stemmadb/stemma/internal/page"
)

// comparer counts the rows from i of the table's array and from j of the frame's on that are equal, n at most.
type comparer func(i, j, n int) int

// comparers compare the columns of the table's batch with those of a batch of the frame.
func (m *merging) comparers(b arrow.RecordBatch, r *readers) []comparer {
	out := make([]comparer, len(m.l.columns))
	for k := range out {
		out[k] = compareArrays(m.was.Column(k), b.Column(k))
		if out[k] == nil {
			out[k] = compareCells(m.read, r, k)
		}
	}
	return out
}

// equal counts the rows that are equal from the present one of the table and row j of the frame on, n at most. It goes by blocks, so that
// no column is compared far beyond where another differs.
func (m *merging) equal(j, n int) int {
	for done := 0; done < n; {
		k := min(blockRows, n-done)
		same := k
		for _, c := range m.cmp {
			same = c(m.at+done, j+done, same)
		}
		done += same
		if same < k {
			return done
		}
	}
	return n
}

// compareCells compares what is not alike in Arrow as cells.
func compareCells(a, b *readers, k int) comparer {
	return func(i, j, n int) int {
		for x := range n {
			an, bn := a.null[k] != nil && a.null[k](i+x), b.null[k] != nil && b.null[k](j+x)
			if an || bn {
				if an != bn {
					return x
				}
				continue
			}
			ac, err := a.cell[k](i + x)
			if err != nil {
				return x
			}
			bc, err := b.cell[k](j + x)
			if err != nil || !ac.Equal(bc) {
				return x
			}
		}
		return n
	}
}

// compareArrays compares arrays whose values are alike in memory; nil for others.
func compareArrays(a, b arrow.Array) comparer {
	var same comparer
	at, ok := a.DataType().(arrow.FixedWidthDataType)
	switch {
	case ok && arrow.TypeEqual(a.DataType(), b.DataType()) && at.BitWidth()%8 == 0 && isPlain(a) && isPlain(b):
		same = compareFixed(a, b, at.BitWidth()/8)
	default:
		same = compareTexts(a, b)
	}
	if same == nil || a.NullN() == 0 && b.NullN() == 0 {
		return same
	}
	return func(i, j, n int) int {
		for x := range n {
			if an := a.IsNull(i + x); an != b.IsNull(j+x) || !an && same(i+x, j+x, 1) == 0 {
				return x
			}
		}
		return n
	}
}

// isPlain tells whether an array's values are one buffer of values, whose equality is that of their bytes.
func isPlain(a arrow.Array) bool {
	switch a.(type) {
	case *array.Int8, *array.Int16, *array.Int32, *array.Int64, *array.Uint8, *array.Uint16, *array.Uint32, *array.Uint64, *array.Float32, *array.Float64,
		*array.Decimal128, *array.Decimal256, *array.Date32, *array.Timestamp, *array.Duration:
		return len(a.Data().Buffers()) == 2 && a.Data().Buffers()[1] != nil
	}
	return false
}

// blockRows is how many rows are compared at once.
const blockRows = 512

func compareFixed(a, b arrow.Array, width int) comparer {
	x, y := a.Data().Buffers()[1].Bytes()[a.Data().Offset()*width:], b.Data().Buffers()[1].Bytes()[b.Data().Offset()*width:]
	return func(i, j, n int) int {
		done := 0
		for done < n {
			k := min(blockRows, n-done)
			p, q := x[(i+done)*width:(i+done+k)*width], y[(j+done)*width:(j+done+k)*width]
			if bytes.Equal(p, q) {
				done += k
				continue
			}
			for r := range k {
				if !bytes.Equal(p[r*width:(r+1)*width], q[r*width:(r+1)*width]) {
					return done + r
				}
			}
		}
		return n
	}
}

// compareTexts compares arrays of text or bytes with offsets of either width.
func compareTexts(a, b arrow.Array) comparer {
	aText, bText := isTextArray(a), isTextArray(b)
	if aText == 0 || aText != bText {
		return nil
	}
	x, _ := page.ArrowTexts(a)
	y, _ := page.ArrowTexts(b)
	return func(i, j, n int) int {
		for k := range n {
			if !bytes.Equal(x(i+k), y(j+k)) {
				return k
			}
		}
		return n
	}
}

// isTextArray is 1 for arrays of text, 2 for those of bytes, 0 for others.
func isTextArray(a arrow.Array) int {
	switch a.(type) {
	case *array.String, *array.LargeString, *array.StringView:
		return 1
	case *array.Binary, *array.LargeBinary, *array.BinaryView:
		return 2
	}
	return 0
}
