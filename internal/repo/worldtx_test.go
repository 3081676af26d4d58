package repo_test

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/value"
)

// wtx is a transaction with what it should see.
type wtx struct {
	tx      *repo.Tx
	branch  string
	born    int
	start   wbranch
	base    content
	now     content
	touched map[string]map[int64]bool // by table, keys
	whole   map[string]bool
	saved   *wtx
	point   *repo.Savepoint
}

func (x *wtx) save() *wtx {
	s := &wtx{now: maps.Clone(x.now), touched: map[string]map[int64]bool{}, whole: maps.Clone(x.whole)}
	for t, m := range x.touched {
		s.touched[t] = maps.Clone(m)
	}
	return s
}

func (x *wtx) restore(s *wtx) {
	s = s.save()
	x.now, x.touched, x.whole = s.now, s.touched, s.whole
}

// set changes a row, or takes it away when row is nil.
func (x *wtx) set(name string, id int64, row *wrow) {
	t := x.now[name].clone()
	if row != nil {
		t.rows[id] = *row
	} else {
		delete(t.rows, id)
	}
	x.now[name] = t
	if x.touched[name] == nil {
		x.touched[name] = map[int64]bool{}
	}
	if x.whole[name] {
		return
	}
	x.touched[name][id] = true
	if _, had := x.base[name].rows[id]; !had && row == nil {
		delete(x.touched[name], id)
	}
}

// commit is the world after the transaction, and the classes of error of which one must come instead.
func (x *wtx) commit(w *world) (*world, []errs.Code) {
	dirty := len(x.whole) > 0
	for _, m := range x.touched {
		dirty = dirty || len(m) > 0
	}
	if !dirty {
		return w, nil
	}
	b, ok := w.branches[x.branch]
	if !ok || b.born != x.born {
		return w, []errs.Code{errs.Conflict}
	}
	var wrong []errs.Code
	w = w.clone()
	b.working = maps.Clone(b.working)
	for name := range x.whole {
		if b.versions[name] != x.start.versions[name] {
			wrong = append(wrong, errs.Conflict)
		}
		delete(b.working, name)
		b = b.changed(w, name)
		if t := x.now[name]; t != nil {
			b.working[name] = t
		}
	}
	for name, keys := range x.touched {
		if x.whole[name] || len(keys) == 0 {
			continue
		}
		cur := b.working[name]
		if cur == nil {
			wrong = append(wrong, errs.Conflict)
			continue
		}
		t, bad := mergeRows(name, x.base[name], x.now[name], cur, keys)
		wrong = append(wrong, bad...)
		b = b.changed(w, name)
		b.working[name] = t
	}
	w.branches[x.branch] = b
	return w, wrong
}

// mergeRows is the table cur after the changes that led from base to now at keys.
func mergeRows(name string, base, now, cur *wtable, keys map[int64]bool) (out *wtable, wrong []errs.Code) {
	out = cur.clone()
	var added []int64
	for _, id := range slices.Sorted(maps.Keys(keys)) {
		o, hadO := base.rows[id]
		n, hasN := now.rows[id]
		c, hasC := cur.rows[id]
		switch {
		case !hasN:
			if !hasC || c != o {
				wrong = append(wrong, errs.Conflict)
			}
			delete(out.rows, id)
		case !hadO && name == log:
			added = append(added, id)
		case !hadO:
			if hasC {
				wrong = append(wrong, errs.DuplicateKey)
			}
			out.rows[id] = n
		case !hasC:
			wrong = append(wrong, errs.Conflict)
		default:
			if n.mail != o.mail && c.mail != o.mail || n.age != o.age && c.age != o.age {
				wrong = append(wrong, errs.Conflict)
			}
			if c.mail != o.mail {
				n.mail = c.mail
			}
			if c.age != o.age {
				n.age = c.age
			}
			out.rows[id] = n
		}
	}
	for _, id := range added {
		out.rows[max(id, out.next())] = now.rows[id]
	}
	for id, r := range out.rows {
		if out.taken(id, r.mail) {
			return out, append(wrong, errs.DuplicateKey)
		}
	}
	return out, wrong
}

// begin starts a transaction.
func (p *play) begin(ctx context.Context) error {
	name := p.someBranch()
	tx, err := p.r.Begin(ctx, name)
	if err != nil {
		return err
	}
	b := p.w.branches[name]
	p.txs = append(p.txs, &wtx{
		tx: tx, branch: name, born: b.born, start: b, base: b.working, now: maps.Clone(b.working),
		touched: map[string]map[int64]bool{}, whole: map[string]bool{},
	})
	return nil
}

// within does something inside a transaction; an error says how database and world differ.
func (p *play) within(ctx context.Context, x *wtx) error {
	name := p.pick(tableNames)
	t := x.now[name]
	if t == nil {
		s := people()
		if name == log {
			s = &schema.Schema{Columns: people().Columns[2:]}
		}
		x.now[name], x.whole[name] = &wtable{rows: map[int64]wrow{}}, true
		delete(x.touched, name)
		return x.tx.CreateTable(ctx, name, s)
	}
	switch p.rng.IntN(24) {
	case 0:
		delete(x.now, name)
		delete(x.touched, name)
		x.whole[name] = true
		return x.tx.DropTable(ctx, name)
	case 1:
		to := "extra"
		if name != "people" || x.now[to] != nil {
			return nil
		}
		x.now[to] = t
		delete(x.now, name)
		for _, n := range []string{name, to} {
			x.whole[n] = true
			delete(x.touched, n)
		}
		return x.tx.RenameTable(ctx, name, to)
	case 2:
		x.point, x.saved = x.tx.Savepoint(), x.save()
		return nil
	case 3:
		if x.point != nil {
			x.tx.RollbackTo(x.point)
			x.restore(x.saved)
		}
		return p.seen(ctx, x)
	}
	e, err := x.tx.Editor(ctx, name)
	if err != nil {
		return err
	}
	id, mail, age := p.rng.Int64N(12), "", p.rng.Int64N(5)
	if p.rng.IntN(3) > 0 {
		mail = fmt.Sprintf("m%d", p.rng.IntN(12))
	}
	if name == log {
		mail = ""
	}
	old, had := t.rows[id]
	switch p.rng.IntN(4) {
	case 0:
		ok, err := e.Delete(ctx, cellsOf(name, id, wrow{}))
		if err != nil || ok != had {
			return fmt.Errorf("delete %d from %s: %v, %w", id, name, ok, err)
		}
		if had {
			x.set(name, id, nil)
		}
	case 1, 2:
		row := wrow{mail, age}
		if p.rng.IntN(2) == 0 {
			row.age = old.age
		} else {
			row.mail = old.mail
		}
		ok, err := e.Update(ctx, cellsOf(name, id, old), cellsOf(name, id, row))
		if had && t.taken(id, row.mail) {
			return wantClass("update", err, errs.DuplicateKey)
		}
		if err != nil || ok != had {
			return fmt.Errorf("update %d of %s: %v, %w", id, name, ok, err)
		}
		if had {
			x.set(name, id, &row)
		}
	default:
		if name == log {
			id, had = t.next(), false
			for k := range x.base[name].rowsOf() {
				if k >= id {
					// The row takes the place of one that this transaction has deleted: whether it stays there depends on others that
					// change the table, or fold it, meanwhile.
					return nil
				}
			}
		}
		err := e.Insert(ctx, cellsOf(name, id, wrow{mail, age}))
		if had || t.taken(id, mail) {
			return wantClass("insert", err, errs.DuplicateKey)
		}
		if err != nil {
			return err
		}
		x.set(name, id, &wrow{mail, age})
	}
	return nil
}

// seen compares what a transaction sees with what it should.
func (p *play) seen(ctx context.Context, x *wtx) error {
	names, err := x.tx.TableNames(ctx)
	if err != nil {
		return err
	}
	got := content{}
	for _, n := range names {
		v, _, _, err := x.tx.Table(ctx, n)
		if err != nil {
			return err
		}
		if got[n], err = tableOf(ctx, v); err != nil {
			return err
		}
	}
	if got.String() != x.now.String() {
		return fmt.Errorf("a transaction sees%s, want%s", got, x.now)
	}
	return nil
}

func wantClass(what string, err error, want errs.Code) error {
	if errs.Is(err, want) {
		return nil
	}
	return fmt.Errorf("%s: error %w, want the class %s", what, err, want)
}

func cellsOf(name string, id int64, r wrow) []value.Cell {
	if name == log {
		return []value.Cell{value.IntCell(id), value.IntCell(r.age)}
	}
	return person(id, r.mail, r.age)
}

// end takes a transaction out and gives the action that commits it.
func (p *play) end() action {
	i := p.rng.IntN(len(p.txs))
	x := p.txs[i]
	p.txs = slices.Delete(p.txs, i, i+1)
	next, wrong := x.commit(p.w)
	return action{"commit a transaction on " + x.branch, next, wrong, func(ctx context.Context, _ *repo.Repo) error { return x.tx.Commit(ctx) }}
}
