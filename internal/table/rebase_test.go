package table_test

import (
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// merged is what the changes of a transaction, which found base and left mine at the keys touched, give on top of theirs; the
// classes of the errors that may be reported instead, none when there is nothing wrong.
func merged(base, mine, theirs *model, touched []string) (out *model, wrong []errs.Code) {
	out = theirs.clone()
	var appended []string
	for _, k := range touched {
		o, n, c := base.rows[k], mine.rows[k], theirs.rows[k]
		switch {
		case n == nil:
			if !rowsEqual(o, c) {
				wrong = append(wrong, errs.Conflict)
			}
			delete(out.rows, k)
		case o == nil && base.s.Keyless():
			appended = append(appended, k)
		case o == nil:
			if c != nil {
				wrong = append(wrong, errs.DuplicateKey)
			}
			out.rows[k] = n
		case c == nil:
			wrong = append(wrong, errs.Conflict)
		default:
			row := slices.Clone(n)
			for i := range row {
				set, other := !n[i].Equal(o[i]), !c[i].Equal(o[i])
				if set && other {
					wrong = append(wrong, errs.Conflict)
				}
				if other {
					row[i] = c[i]
				}
			}
			out.rows[k] = row
		}
	}
	for _, k := range appended {
		row := slices.Clone(mine.rows[k])
		row[0] = value.IntCell(max(out.nextOrdinal(), row[0].Int()))
		out.rows[out.key(row)] = row
	}
	for k, row := range out.rows {
		if out.taken(row, k) {
			wrong = append(wrong, errs.DuplicateKey)
			break
		}
	}
	return out, wrong
}

func rowsEqual(a, b []value.Cell) bool {
	return (a == nil) == (b == nil) && slices.EqualFunc(a, b, value.Cell.Equal)
}

// TestRebase lets two transactions begin at one state and commits one after the other.
func TestRebase(t *testing.T) {
	eachSample(t, func(t *rapid.T, s *schema.Compiled) {
		st := chunk.NewMem()
		m := &model{s: s, rows: map[string][]value.Cell{}}
		v := table.NewView(st, m.drawBase(t, st), nil)
		if rapid.Bool().Draw(t, "over an overlay") {
			e := table.NewEditor(st, v)
			for range 5 {
				step(t, e, m)
			}
			v = e.View()
		}
		theirs, mine := m.clone(), m.clone()
		a, b := table.NewEditor(st, v), table.NewEditor(st, v)
		for range rapid.IntRange(0, 6).Draw(t, "their edits") {
			step(t, a, theirs)
		}
		for range rapid.IntRange(0, 6).Draw(t, "my edits") {
			step(t, b, mine)
		}
		now := a.View()
		if rapid.Bool().Draw(t, "folded meanwhile") {
			tab, err := now.Fold(ctx, st)
			must(t, err)
			now = table.NewView(st, tab, nil)
		}
		var touched []string
		b.Changes().Keys(func(k []byte) { touched = append(touched, string(k)) })
		want, wrong := merged(m, mine, theirs, touched)

		if delta := deltaOf(t, b); now.Table == v.Table && delta.Clear(v.Overlay(), now.Overlay()) {
			if len(wrong) > 0 {
				t.Fatalf("changes that are wrong in classes %v are clear", wrong)
			}
			check(t, table.NewView(st, now.Table, delta.Apply(now.Overlay())), want)
			fold(t, st, table.NewView(st, now.Table, delta.Apply(now.Overlay())), want)
			check(t, now, theirs)
		}
		over, changes, err := b.Changes().Rebase(ctx, st, now)
		if len(wrong) > 0 {
			if err == nil || !slices.Contains(wrong, errs.CodeOf(err)) {
				t.Fatalf("rebase gives the error %v, want a class of %v", err, wrong)
			}
			check(t, now, theirs)
			return
		}
		must(t, err)
		check(t, table.NewView(st, now.Table, over), want)
		fold(t, st, table.NewView(st, now.Table, over), want)
		check(t, now, theirs)
		again, err := table.Replay(ctx, now, edits(t, changes.Append(nil)))
		must(t, err)
		check(t, table.NewView(st, now.Table, again), want)
	})
}

func deltaOf(t tester, e *table.Editor) *table.Delta {
	t.Helper()
	d, err := e.Changes().Delta(e.Table().Schema)
	must(t, err)
	return d
}

// TestDeltaClear checks what counts as touched by others: the same row, the same unique value, the end of a keyless table.
func TestDeltaClear(t *testing.T) {
	st := chunk.NewMem()
	row := func(id int64, mail string, n int64) []value.Cell {
		return []value.Cell{value.IntCell(id), value.BytesCell([]byte(mail)), value.IntCell(n), value.Null}
	}
	s := newSchema(t, 0, samples["plain"])
	base := table.NewEditor(st, table.NewView(st, table.Empty(s), nil))
	for i := range int64(4) {
		must(t, base.Insert(ctx, row(i, string(rune('a'+i)), 7)))
	}
	v := base.Freeze()
	update := func(e *table.Editor, old, now []value.Cell) {
		_, err := e.Update(ctx, old, now)
		must(t, err)
	}
	mine := table.NewEditor(st, v)
	update(mine, row(1, "b", 7), row(1, "x", 8))
	d := deltaOf(t, mine)
	for name, c := range map[string]struct {
		clear  bool
		theirs func(e *table.Editor)
	}{
		"nothing":                     {true, func(*table.Editor) {}},
		"another row":                 {true, func(e *table.Editor) { update(e, row(2, "c", 7), row(2, "y", 9)) }},
		"a new row":                   {true, func(e *table.Editor) { must(t, e.Insert(ctx, row(9, "z", 9))) }},
		"the same row":                {false, func(e *table.Editor) { update(e, row(1, "b", 7), row(1, "b", 9)) }},
		"the same value":              {false, func(e *table.Editor) { update(e, row(2, "c", 7), row(2, "x", 7)) }},
		"the same value in a new row": {false, func(e *table.Editor) { must(t, e.Insert(ctx, row(9, "x", 9))) }},
	} {
		theirs := table.NewEditor(st, v)
		c.theirs(theirs)
		if got := d.Clear(v.Overlay(), theirs.View().Overlay()); got != c.clear {
			t.Errorf("when others changed %s, the changes are clear: %v, want %v", name, got, c.clear)
		}
	}

	s = newSchema(t, 0, samples["bare"])
	cells := func() []value.Cell { return make([]value.Cell, len(s.Primary.Phys)) }
	v = table.NewView(st, table.Empty(s), nil)
	mine = table.NewEditor(st, v)
	must(t, mine.Insert(ctx, cells()))
	theirs := table.NewEditor(st, v)
	must(t, theirs.Insert(ctx, cells()))
	must(t, theirs.Insert(ctx, cells()))
	first := cells()
	first[0] = value.IntCell(0)
	_, err := theirs.Delete(ctx, first)
	must(t, err)
	if deltaOf(t, mine).Clear(nil, theirs.View().Overlay()) {
		t.Error("a row that would go before a row of others is clear")
	}
}

// TestDuplicateKeyError checks what the error tells: the index, the values and the row that stands in the way.
func TestDuplicateKeyError(t *testing.T) {
	st := chunk.NewMem()
	s := newSchema(t, 0, samples["plain"])
	e := table.NewEditor(st, table.NewView(st, table.Empty(s), nil))
	row := func(id int64, mail string) []value.Cell {
		return []value.Cell{value.IntCell(id), value.BytesCell([]byte(mail)), value.IntCell(7), value.Null}
	}
	must(t, e.Insert(ctx, row(1, "a")))
	var dup *table.DuplicateKeyError
	for _, c := range []struct {
		row   []value.Cell
		index string
		value value.Cell
	}{
		{row(1, "b"), "PRIMARY", value.IntCell(1)},
		{row(2, "a"), "mail", value.BytesCell([]byte("a"))},
	} {
		err := e.Insert(ctx, c.row)
		if !errors.As(err, &dup) || !errs.Is(err, errs.DuplicateKey) {
			t.Fatalf("a duplicate gives %v", err)
		}
		if dup.Index != c.index || len(dup.Values) != 1 || !dup.Values[0].Equal(c.value) || !rowsEqual(dup.Existing, row(1, "a")) {
			t.Errorf("the error names index %s, values %v, row %v", dup.Index, dup.Values, dup.Existing)
		}
	}
	if e.Changes().Len() != 1 {
		t.Errorf("%d changes, want 1", e.Changes().Len())
	}
}
