package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/stemmadb/stemma/bench/data"
	"github.com/stemmadb/stemma/internal/repo"
)

// edit is what becomes of a row of the price list.
type edit struct {
	kind editKind
	row  data.Price // as it was, or as it is added
}

type editKind int

const (
	updated editKind = iota // the price rises by 1
	inserted
	deleted
)

// someEdits are n edits of different random rows: all updates, or a third of each kind. They come in random order.
func (e *env) someEdits(n int, mixed bool, seed uint64) []edit {
	places := e.places()
	out := make([]edit, 0, n)
	for i, p := range choose(places, n, seed) {
		kind := updated
		if mixed && i%3 != 0 {
			kind = inserted
			if i%3 == 2 {
				kind = deleted
			}
		}
		out = append(out, edit{kind, e.prices.At(p)})
	}
	r := rand.New(rand.NewPCG(seed, 2))
	seen := map[int32]bool{}
	for i := range out {
		for out[i].kind == inserted {
			p := int32(r.IntN(e.prices.Grid()))
			if _, there := slices.BinarySearch(places, p); !there && !seen[p] {
				seen[p] = true
				out[i].row = e.prices.At(p)
				break
			}
		}
	}
	return out
}

// apply makes the edits in one transaction and commits them.
func apply(ctx context.Context, r *repo.Repo, edits []edit, message string) error {
	v, err := workingTable(ctx, r, "prices")
	if err != nil {
		return err
	}
	tx, err := r.Begin(ctx, repo.DefaultBranch)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	ed, err := tx.Editor(ctx, "prices")
	if err != nil {
		return err
	}
	for _, x := range edits {
		cells, err := priceCells(v, x.row)
		if err != nil {
			return err
		}
		done := true
		switch x.kind {
		case inserted:
			err = ed.Insert(ctx, cells)
		case deleted:
			done, err = ed.Delete(ctx, cells)
		case updated:
			x.row.Price++
			var after row
			if after, err = priceCells(v, x.row); err == nil {
				done, err = ed.Update(ctx, cells, after)
			}
		}
		if err != nil {
			return err
		}
		if !done {
			return errors.New("a row of the price list is not there")
		}
	}
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	return commit(ctx, r, message)
}

// applySQL makes the edits in one transaction over the wire, by prepared statements.
func applySQL(ctx context.Context, db *sql.DB, edits []edit) (err error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() {
		if end := tx.Rollback(); !errors.Is(end, sql.ErrTxDone) {
			err = errors.Join(err, end)
		}
	}()
	statements := make([]*sql.Stmt, 3)
	for kind, text := range map[editKind]string{
		updated:  "update prices set price = price + 1 where npi_number = ? and code = ? and payer = ?",
		inserted: "insert into prices (npi_number, code, payer, price) values (?, ?, ?, ?)",
		deleted:  "delete from prices where npi_number = ? and code = ? and payer = ?",
	} {
		if statements[kind], err = tx.PrepareContext(ctx, text); err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
	}
	for _, x := range edits {
		args := []any{x.row.NPI, x.row.Code, x.row.Payer}
		if x.kind == inserted {
			args = append(args, x.row.Price)
		}
		res, err := statements[x.kind].ExecContext(ctx, args...)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n != 1 {
			return fmt.Errorf("an edit of one row changed %d rows: %w", n, err)
		}
	}
	return tx.Commit()
}

// commitSQL commits all changed tables over the wire.
func commitSQL(ctx context.Context, db *sql.DB, message string) error {
	_, err := read(ctx, db, "call dolt_commit('-Am', '"+message+"')")
	return err
}
