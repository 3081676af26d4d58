package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/stemmadb/stemma/bench/data"
	"github.com/stemmadb/stemma/internal/page"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
	"github.com/stemmadb/stemma/internal/vfs"
)

// openRepo opens a database of stemma's in this process.
func openRepo(ctx context.Context, dir string) (*repo.Repo, error) {
	return repo.Open(ctx, vfs.OS{}, dir, repo.Options{})
}

// priceCells are the cells of a row of the list, as the imported table keeps them.
func priceCells(v *table.View, p data.Price) ([]value.Cell, error) {
	columns := v.Schema().Columns
	texts := []string{fmt.Sprint(p.NPI), p.Code, p.Payer, fmt.Sprintf("%.2f", p.Price)}
	cells := make([]value.Cell, len(texts))
	for i, t := range texts {
		c, err := value.Parse(columns[i].Type, []byte(t))
		if err != nil {
			return nil, err
		}
		cells[i] = c.Clone()
	}
	return cells, nil
}

// choose gives n of the places, at random but always the same.
func choose(places []int32, n int, seed uint64) []int32 {
	r := rand.New(rand.NewPCG(seed, 1))
	seen := make(map[int]bool, n)
	out := make([]int32, 0, n)
	for len(out) < min(n, len(places)) {
		if i := r.IntN(len(places)); !seen[i] {
			seen[i] = true
			out = append(out, places[i])
		}
	}
	return out
}

// scanBatches reads all rows of a view into Arrow record batches and returns their number.
func scanBatches(ctx context.Context, v *table.View, resolve bool) (rows int64, err error) {
	l := v.Layout(table.RowsTree)
	columns := []page.BatchColumn{}
	for i, c := range v.Schema().Columns {
		at := i
		if v.Schema().Keyless() {
			at++
		}
		columns = append(columns, page.BatchColumn{Column: at, Name: c.Name, Nullable: c.Nullable})
	}
	var fetch func(ctx context.Context, dst, addr []byte) ([]byte, error)
	if resolve {
		fetch = func(ctx context.Context, dst, addr []byte) ([]byte, error) {
			return table.AppendLong(ctx, v.Reader(), dst, addr)
		}
	}
	b, err := l.Format.NewBatcher(page.NewPool(256<<20), columns, batchRows, fetch)
	if err != nil {
		return 0, err
	}
	defer b.Release()
	take := func(r arrow.RecordBatch) {
		rows += r.NumRows()
		r.Release()
	}
	s := v.Scan(table.ScanOptions{Rows: table.RowsTree})
	for {
		k, ok, err := s.Next(ctx)
		if err != nil {
			return 0, err
		}
		if !ok {
			if b.Len() > 0 {
				take(b.Record())
			}
			return rows, nil
		}
		if k.Page == nil {
			return 0, errors.New("a scan of a table that was not folded")
		}
		if n := b.Len(); n > 0 && (n+k.Hi-k.Lo > batchRows || b.Size() > page.BatchBytes) {
			take(b.Record())
		}
		if err := b.Append(ctx, k.Page, k.Lo, k.Hi); err != nil {
			return 0, err
		}
	}
}

const batchRows = 64 << 10

// workingTable is the published table of the main branch.
func workingTable(ctx context.Context, r *repo.Repo, name string) (*table.View, error) {
	s, err := r.SnapshotWorking(repo.DefaultBranch)
	if err != nil {
		return nil, err
	}
	v, _, ok, err := s.Table(ctx, name)
	if err == nil && !ok {
		err = fmt.Errorf("there is no table %s", name)
	}
	return v, err
}

// commit commits all changed tables.
func commit(ctx context.Context, r *repo.Repo, message string) error {
	_, err := r.Commit(ctx, repo.CommitOptions{Branch: repo.DefaultBranch, Message: message, Author: signature, AddNew: true})
	return err
}

// row is the cells of a row.
type row = []value.Cell
