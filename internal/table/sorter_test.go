package table

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/stemmadb/stemma/internal/vfs"
)

type sortRow struct{ key, row []byte }

// sorted gives rows to a sorter and reads them back.
func sorted(t interface{ Fatal(...any) }, rows []sortRow, memory int) []sortRow {
	ctx := context.Background()
	fs := vfs.NewMem()
	if err := fs.MkdirAll("/tmp"); err != nil {
		t.Fatal(err)
	}
	s := NewSorter(fs, "/tmp", memory)
	for _, r := range rows {
		key, row := bytes.Clone(r.key), bytes.Clone(r.row)
		if err := s.Add(key, row); err != nil {
			t.Fatal(err)
		}
		clear(key) // the sorter must have copied them
		clear(row)
	}
	if s.Len() != uint64(len(rows)) {
		t.Fatal("rows:", s.Len())
	}
	it, err := s.Sort()
	if err != nil {
		t.Fatal(err)
	}
	var out []sortRow
	for {
		k, r, ok, err := it.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		out = append(out, sortRow{bytes.Clone(k), bytes.Clone(r)})
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if left, err := fs.ReadDir("/tmp"); err != nil || len(left) > 0 {
		t.Fatal("files left:", left, err)
	}
	return out
}

func model(rows []sortRow) []sortRow {
	want := slices.Clone(rows)
	slices.SortStableFunc(want, func(a, b sortRow) int { return bytes.Compare(a.key, b.key) })
	return want
}

func sameRows(a, b []sortRow) error {
	if len(a) != len(b) {
		return fmt.Errorf("%d rows, want %d", len(a), len(b))
	}
	for i := range a {
		if !bytes.Equal(a[i].key, b[i].key) || !bytes.Equal(a[i].row, b[i].row) {
			return fmt.Errorf("row %d is %x %x, want %x %x", i, a[i].key, a[i].row, b[i].key, b[i].row)
		}
	}
	return nil
}

// TestSorterModel compares with a stable sort, for keys that share beginnings, end in zeros and come twice.
func TestSorterModel(t *testing.T) {
	key := rapid.OneOf(
		rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 255}), 0, 20),
		rapid.Custom(func(t *rapid.T) []byte {
			b := bytes.Repeat([]byte{7}, rapid.SampledFrom([]int{7, 8, 9, 15, 16, 40}).Draw(t, "shared"))
			return append(b, rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(t, "end")...)
		}),
		rapid.SliceOfN(rapid.Byte(), 0, 12),
	)
	rapid.Check(t, func(rt *rapid.T) {
		keys := rapid.SliceOfN(key, 0, 120).Draw(rt, "keys")
		rows := make([]sortRow, len(keys))
		for i := range keys {
			rows[i] = sortRow{keys[i], binary.BigEndian.AppendUint16(nil, uint16(i))}
		}
		want := model(rows)
		for _, memory := range []int{1, 300, 3000, 1 << 20} {
			if err := sameRows(sorted(rt, rows, memory), want); err != nil {
				rt.Fatalf("with %d bytes: %v", memory, err)
			}
		}
	})
}

// manyRows are rows with few different beginnings, so that radix sort, its recursion and several goroutines take part.
func manyRows(n int) []sortRow {
	rows := make([]sortRow, n)
	x := uint64(1)
	for i := range rows {
		x = x*6364136223846793005 + 1442695040888963407
		k := binary.BigEndian.AppendUint64([]byte{1}, x>>61)
		k = fmt.Appendf(k, "\x01CPT %05d", x>>40%7000)
		rows[i] = sortRow{k, binary.BigEndian.AppendUint32(nil, uint32(i))}
	}
	return rows
}

func TestSorterManyRows(t *testing.T) {
	rows := manyRows(40000)
	want := model(rows)
	for _, memory := range []int{3 << 19, 64 << 20} {
		if err := sameRows(sorted(t, rows, memory), want); err != nil {
			t.Fatalf("with %d bytes: %v", memory, err)
		}
	}
}

// TestSorterLongRows has rows about and above the size of a slab between short ones.
func TestSorterLongRows(t *testing.T) {
	var rows []sortRow
	for i, n := range []int{10, slabSize - 20, slabSize, 3*slabSize + 5, 0, 100, 2*slabSize - 3, 7} {
		rows = append(rows, sortRow{[]byte{byte(200 - i)}, bytes.Repeat([]byte{byte(i)}, n)})
	}
	want := model(rows)
	for _, memory := range []int{1 << 20, 64 << 20} {
		if err := sameRows(sorted(t, rows, memory), want); err != nil {
			t.Fatalf("with %d bytes: %v", memory, err)
		}
	}
}

func BenchmarkSorter(b *testing.B) {
	rows := manyRows(200000)
	for _, memory := range []int{8 << 20, 64 << 20} {
		b.Run(fmt.Sprintf("memory=%dMiB", memory>>20), func(b *testing.B) {
			for b.Loop() {
				if n := len(sorted(b, rows, memory)); n != len(rows) {
					b.Fatal(n)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(rows)), "ns/row")
		})
	}
}
