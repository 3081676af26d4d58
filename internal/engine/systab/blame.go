package systab

import (
	"context"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/diff"
	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/table"
)

// prefixBlame begins the names of blame tables.
const prefixBlame = "dolt_blame_"

// blameTable is dolt_blame_<table>: for each row of the table in the head, in the order of its primary key, the key and the commit
// that gave the row its content. Key columns are looked up.
func blameTable(ctx *sql.Context, db registry.Handle, name string) (sql.Table, bool, error) {
	of := name[len(prefixBlame):]
	m, err := momentAt(ctx, db, "HEAD")
	if err != nil {
		return nil, false, err
	}
	tab, err := m.table(ctx, of)
	if err != nil || tab == nil {
		return nil, false, err
	}
	if tab.Schema.Keyless() {
		return nil, false, errs.New(errs.Unsupported, "%s: rows of a table without primary key cannot be told apart", name)
	}
	sh, err := newShape(tab.Schema)
	if err != nil {
		return nil, false, err
	}
	sh.cols = nil
	for _, k := range tab.Schema.PrimaryKey {
		sh.cols = append(sh.cols, tab.Schema.ColumnByID(k.Column))
	}
	cols := sh.columns("")
	for _, c := range cols {
		c.PrimaryKey, c.Nullable = true, false
	}
	n := len(cols)
	cols = append(cols, wordNull("commit"), atNull("commit_date"), textNull("committer"), textNull("email"), textNull("message"))
	t := newTable(db, name, cols, sh.keys(""), nil)
	t.guess = tab.Rows.Count
	t.rows = func(ctx *sql.Context, at Point) (sql.RowIter, error) {
		var opt diff.Options
		if lo, hi, ok := sh.bounds(ctx, tab.Schema, "", at); ok {
			opt.Lo, opt.Hi = lo, hi
		}
		b, err := diff.NewBlame(ctx, db.Repo().TableReader(db.Repo().Store(), of), m.commit, of, opt)
		if err != nil {
			return nil, err
		}
		p, err := sh.projector(tab.Schema)
		if err != nil {
			return nil, err
		}
		shown := map[*history.Commit]sql.Row{}
		scan := table.NewView(m.repo.TableReader(m.st, of), tab, nil).Scan(table.ScanOptions{Rows: table.RowsTree, Lo: opt.Lo, Hi: opt.Hi})
		blocks, stop := blameAhead(ctx, scan, b)
		var now blamedBlock
		next := func(ctx *sql.Context) (sql.Row, error) {
			for len(now.by) == 0 {
				var ok bool
				if now, ok = <-blocks; !ok {
					return nil, orEOF(ctx.Err())
				}
				if now.err != nil {
					return nil, now.err
				}
			}
			row := make(sql.Row, n+5)
			if err := p.fill(ctx, m.st, blockCell(&now.Block, 0), row[:n]); err != nil {
				return nil, err
			}
			c := now.by[0]
			now.by = now.by[1:]
			now.Lo++
			tail := shown[c]
			if tail == nil && c != nil {
				tail = sql.Row{c.ID.String(), when(c.Committer.Time), c.Committer.Name, c.Committer.Email, c.Message}
				shown[c] = tail
			}
			copy(row[n:], tail)
			return row, nil
		}
		return closingRows{next, func(*sql.Context) error { stop(); return nil }}, nil
	}
	return t, true, nil
}

// blamedBlock is rows that lie together in a table, and the commits that wrote them; or an error in their place.
type blamedBlock struct {
	table.Block
	by  []*history.Commit
	err error
}

// blameAhead looks up who wrote the rows of a scan beside the one who shows them. The channel ends with the scan, or when ctx does; the caller
// calls stop at last.
func blameAhead(ctx context.Context, scan *table.Scan, b *diff.Blame) (blocks <-chan blamedBlock, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	out := make(chan blamedBlock, 4)
	go func() {
		defer close(out)
		var key []byte
		for {
			block, ok, err := scan.Next(ctx)
			if err == nil && !ok {
				return
			}
			x := blamedBlock{Block: block, err: err}
			for i := block.Lo; err == nil && i < block.Hi; i++ {
				key = block.Page.AppendKey(key[:0], i)
				x.by = append(x.by, b.Of(key))
			}
			select {
			case out <- x:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return out, func() {
		cancel()
		for range out { // until it has ended
		}
	}
}
