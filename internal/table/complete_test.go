package table

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/value"
)

// Rows are completed once however many of them are refused, and come out in their order.
func TestCompletingRefuses(t *testing.T) {
	whole := value.Type{Kind: value.KindInt64}
	id, twice := schema.AssignID("id", whole, nil, nil), schema.AssignID("twice", whole, nil, nil)
	s, err := schema.Compile(&schema.Schema{
		Columns:    []schema.Column{{ID: id, Name: "id", Type: whole}, {ID: twice, Name: "twice", Type: whole, Generated: "id * 2", Stored: true}},
		PrimaryKey: []schema.IndexColumn{{Column: id}},
	})
	if err != nil {
		t.Fatal(err)
	}
	odd := errors.New("odd")
	const n = 1200
	for _, bad := range []func(i int64) (refused, null bool){
		func(int64) (bool, bool) { return false, false },
		func(int64) (bool, bool) { return true, false },
		func(int64) (bool, bool) { return false, true },
		func(i int64) (bool, bool) { return i%2 == 1, i%3 == 1 },
		func(i int64) (bool, bool) { return i == 700, i == 699 },
	} {
		completed := 0
		complete := func(_ context.Context, rows [][]value.Cell) (refused []Refused, err error) {
			completed += len(rows)
			for i, r := range rows {
				no, null := bad(r[0].Int())
				if r[1] = value.IntCell(2 * r[0].Int()); null {
					r[1] = value.Null
				}
				if no {
					refused = append(refused, Refused{Row: i, Err: odd})
				}
			}
			return refused, nil
		}
		var got, want []string
		say := func(i int64, what string) string {
			return string(value.AppendText(nil, whole, value.IntCell(i))) + " " + what
		}
		c := NewCompleting(s, complete, func(_ context.Context, cells []value.Cell, from int64) error {
			if cells[1].Int() != 2*from {
				t.Errorf("row %d has %d", from, cells[1].Int())
			}
			got = append(got, say(cells[0].Int(), "taken"))
			return nil
		}, func(cells []value.Cell, from int64, column string, err error) error {
			if cells[0].Int() != from || !errors.Is(err, odd) && (!errs.Is(err, errs.Constraint) || column != "twice") {
				t.Errorf("row %d: %s, %v", from, column, err)
			}
			if got = append(got, say(from, "refused")); len(got) == 1100 {
				return err
			}
			return nil
		})
		for i := range int64(n) {
			no, null := bad(i)
			if want = append(want, say(i, "taken")); no || null {
				want[i] = say(i, "refused")
			}
			if err = c.Add(t.Context(), []value.Cell{value.IntCell(i), value.Null}, i); err != nil {
				t.Fatal(err)
			}
		}
		err := c.Flush(t.Context())
		if no, null := bad(1099); no || null { // refuse ends it
			if err == nil {
				t.Error("an error of refuse is lost")
			}
			want = want[:1100]
		} else if err != nil {
			t.Error(err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%d rows come out, want %d", len(got), len(want))
		}
		if completed != n {
			t.Errorf("%d rows were completed for %d", completed, n)
		}
	}
}
