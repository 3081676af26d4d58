// Command gen writes the data sets of the benchmarks as CSV files.
//
//	gen -rows 10000000 -out DIR [-shuffle]   DIR/hospitals.csv, and DIR/prices.csv in the order of its key or shuffled
//	gen -documents 200000 -out DIR           DIR/documents.csv
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/stemmadb/stemma/bench/data"
)

func main() {
	rows := flag.Int("rows", 1_000_000, "number of prices")
	documents := flag.Int("documents", 0, "number of documents, instead of prices")
	out := flag.String("out", ".", "directory of the files")
	shuffle := flag.Bool("shuffle", false, "write the prices in random order")
	flag.Parse()
	if err := write(*out, *rows, *documents, *shuffle); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func write(dir string, rows, documents int, shuffle bool) error {
	if documents > 0 {
		return data.WriteFile(filepath.Join(dir, "documents.csv"), func(w io.Writer) error {
			return data.NewDocuments().Write(w, data.Numbers(documents), 0)
		})
	}
	p, err := data.NewPrices(rows)
	if err != nil {
		return err
	}
	if err := data.WriteFile(filepath.Join(dir, "hospitals.csv"), p.WriteHospitals); err != nil {
		return err
	}
	places := p.Places()
	if shuffle {
		p.Shuffle(places)
	}
	return data.WriteFile(filepath.Join(dir, "prices.csv"), func(w io.Writer) error { return p.WritePrices(w, places) })
}
