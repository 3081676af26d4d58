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
