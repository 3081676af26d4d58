package ingest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// prices is an empty table of hospital prices and a file of so many rows for it.
func prices(b *testing.B, rows int, shuffle bool) (*table.Table, Source) {
	base := empty(b, 3, column("npi_number", value.Type{Kind: value.KindInt64}, false), column("code", varchar(255), false),
		column("payer", varchar(255), false), column("price", value.Type{Kind: value.KindFloat64}, true))
	lines := make([][]byte, rows)
	for i := range lines {
		lines[i] = fmt.Appendf(nil, "1%09d,CPT %05d,BLUE CROSS PPO,%d.%02d\n", i/997, i%997, i%5000, i%100)
	}
	if shuffle {
		r := rand.New(rand.NewPCG(1, 2))
		r.Shuffle(rows, func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	}
	file := append([]byte("npi_number,code,payer,price\n"), bytes.Join(lines, nil)...)
	return base, Source{Name: "prices.csv", R: bytes.NewReader(file), Size: int64(len(file))}
}

func BenchmarkImport(b *testing.B) {
	const rows = 200000
	for _, c := range []struct {
		name    string
		shuffle bool
	}{{"sorted", false}, {"shuffled", true}} {
		base, src := prices(b, rows, c.shuffle)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := Load(context.Background(), chunk.NewMem(), base, src, options(base)); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*rows)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

func BenchmarkInfer(b *testing.B) {
	const rows = 200000
	base, src := prices(b, rows, false)
	for _, keys := range []bool{false, true} {
		b.Run(fmt.Sprintf("keys=%v", keys), func(b *testing.B) {
			for b.Loop() {
				if _, err := Infer(context.Background(), src, InferOptions{Format: comma, Names: options(base).Names, Keys: keys}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*rows)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

func BenchmarkExport(b *testing.B) {
	const rows = 200000
	base, src := prices(b, rows, false)
	st := chunk.NewMem()
	tab, _, err := Load(context.Background(), st, base, src, options(base))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Export(context.Background(), io.Discard, table.NewView(st, tab, nil), comma, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*rows)/b.Elapsed().Seconds(), "rows/s")
}
