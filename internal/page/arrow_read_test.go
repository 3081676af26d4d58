package page

import (
	"math"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/value"
)

// Days so far away that their microseconds are beyond 64 bits are no dates, whatever they would wrap to.
func TestReadArrowFarDays(t *testing.T) {
	const wraps = 1 << 64 / dayMicro // so many days are a little less than 2^64 microseconds
	b := array.NewDate32Builder(memory.DefaultAllocator)
	defer b.Release()
	days := []int32{0, -719528, 2932896, 2932897, -719529, math.MaxInt64/dayMicro + 1, math.MinInt64/dayMicro - 1, wraps, -wraps, wraps + 1, -wraps - 1, math.MaxInt32, math.MinInt32}
	for _, d := range days {
		b.Append(arrow.Date32(d))
	}
	arr := b.NewArray()
	defer arr.Release()
	for _, ty := range []value.Type{{Kind: value.KindDate}, {Kind: value.KindDatetime, Precision: 6}} {
		f, err := ReadArrow(arr, ty)
		if err != nil {
			t.Fatal(err)
		}
		for i, d := range days {
			c, err := f(i)
			want := int64(d)
			if ty.Kind == value.KindDatetime {
				want *= dayMicro
			}
			if i < 3 {
				if err != nil || c.Int() != want {
					t.Errorf("day %d as %s: %v, %v", d, ty, c, err)
				}
			} else if !errs.Is(err, errs.Invalid) {
				t.Errorf("day %d as %s: %v, %v", d, ty, c, err)
			}
		}
	}
}

// A batch converts no more values of its dictionary than it has rows.
func TestThroughArrowDictionary(t *testing.T) {
	values := array.NewInt64Builder(memory.DefaultAllocator)
	defer values.Release()
	for i := range 1000 {
		values.Append(int64(i))
	}
	values.AppendNull()
	dict := values.NewArray()
	defer dict.Release()
	ty := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.PrimitiveTypes.Int64}
	for _, rows := range []int{3, 1001, 5000} {
		b := array.NewInt32Builder(memory.DefaultAllocator)
		for i := range rows {
			b.Append(int32(1000 - i%1001))
		}
		at := b.NewArray()
		arr := array.NewDictionaryArray(ty, at, dict)
		read := 0
		f, err := ThroughArrow(arr, func(values arrow.Array) (CellFunc, error) {
			of, err := ReadArrow(values, value.Type{Kind: value.KindInt64})
			return func(i int) (value.Cell, error) {
				read++
				return of(i)
			}, err
		})
		if err != nil {
			t.Fatal(err)
		}
		for i := range rows {
			c, err := f(i)
			want := 1000 - i%1001
			if err != nil || c.IsNull() != (want == 1000) || want < 1000 && c.Int() != int64(want) {
				t.Errorf("row %d of %d: %v, %v", i, rows, c, err)
			}
		}
		if read > min(rows, 1000) {
			t.Errorf("%d values were read for %d rows", read, rows)
		}
		arr.Release()
		at.Release()
		b.Release()
	}
}
