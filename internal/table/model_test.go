package table_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/stemmadb/stemma/internal/binfmt"
	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// step makes one random edit of the table and of the model and compares what both say.
func step(t *rapid.T, e *table.Editor, m *model) {
	t.Helper()
	ks := m.keys()
	what := rapid.IntRange(0, 9).Draw(t, "edit")
	if what > 3 && len(ks) == 0 {
		what = 0
	}
	switch {
	case what <= 3:
		row := m.drawRow(t)
		k := m.key(row)
		err := e.Insert(ctx, slices.Clone(row))
		bad := m.rows[k] != nil || m.taken(row, k)
		sameVerdict(t, err, bad)
		if !bad {
			m.rows[k] = row
		}
	case what <= 5:
		k := rapid.SampledFrom(ks).Draw(t, "deleted")
		ok, err := e.Delete(ctx, m.rows[k])
		must(t, err)
		if !ok {
			t.Fatalf("delete did not find its row")
		}
		delete(m.rows, k)
	case what == 6:
		row := m.drawRow(t)
		ok, err := e.Delete(ctx, row)
		must(t, err)
		if had := m.rows[m.key(row)] != nil; ok != had {
			t.Fatalf("delete says %v, want %v", ok, had)
		}
		delete(m.rows, m.key(row))
	default:
		k := rapid.SampledFrom(ks).Draw(t, "updated")
		old, row := m.rows[k], m.drawRow(t)
		if what < 9 { // the key stays
			for _, c := range m.s.Primary.Key {
				row[c] = old[c]
			}
		}
		if m.s.Keyless() {
			row[0] = old[0]
		}
		nk := m.key(row)
		ok, err := e.Update(ctx, old, slices.Clone(row))
		bad := nk != k && m.rows[nk] != nil || m.taken(row, k)
		sameVerdict(t, err, bad)
		if !bad {
			if !ok {
				t.Fatalf("update did not find its row")
			}
			delete(m.rows, k)
			m.rows[nk] = row
		}
	}
}

func sameVerdict(t *rapid.T, err error, bad bool) {
	t.Helper()
	switch {
	case bad && !errs.Is(err, errs.DuplicateKey):
		t.Fatalf("a duplicate gives %v", err)
	case !bad:
		must(t, err)
	}
}

// check compares everything that a view says with the model.
func check(t *rapid.T, v *table.View, m *model) {
	t.Helper()
	if got := v.Count(); got != uint64(len(m.rows)) {
		t.Fatalf("count %d, want %d", got, len(m.rows))
	}
	trees := []table.Rows{table.RowsTree}
	for n := range m.s.Indexes {
		trees = append(trees, table.Rows(n))
	}
	for _, n := range trees {
		keys, rows := m.tree(n)
		for _, reverse := range []bool{false, true} {
			sameKeys(t, scan(t, v, table.ScanOptions{Rows: n, Reverse: reverse}, rows), keys, reverse)
		}
		for range 3 {
			opt := table.ScanOptions{Rows: n, Reverse: rapid.Bool().Draw(t, "reverse")}
			opt.Lo, opt.Hi = drawBound(t, keys, "lo"), drawBound(t, keys, "hi")
			var want []string
			for _, k := range keys {
				if (opt.Lo == nil || k >= string(opt.Lo)) && (opt.Hi == nil || k < string(opt.Hi)) {
					want = append(want, k)
				}
			}
			sameKeys(t, scan(t, v, opt, rows), want, opt.Reverse)
		}
	}
	cells := make([]value.Cell, len(m.s.Primary.Phys))
	for k, row := range m.rows {
		ok, err := v.Get(ctx, []byte(k), cells)
		must(t, err)
		if !ok {
			t.Fatalf("get does not find %x", k)
		}
		sameCells(t, v, table.RowsTree, row, cells)
		for n := range m.s.Indexes {
			e, u, _ := m.entry(n, row)
			tuple, ok, err := v.HasPrefix(ctx, table.Rows(n), []byte(u))
			must(t, err)
			if !ok {
				t.Fatalf("index %d does not have %x", n, u)
			}
			l := v.Layout(table.Rows(n))
			ic := make([]value.Cell, len(l.Phys))
			must(t, value.DecodeTuple(tuple, l.Phys, ic))
			if string(l.AppendKey(nil, ic)) == e && string(v.RowKey(n, ic)) != k {
				t.Fatalf("an entry of index %d names the row %x, want %x", n, v.RowKey(n, ic), k)
			}
		}
	}
	absent := m.drawRow(t)
	if m.rows[m.key(absent)] == nil {
		if ok, err := v.Get(ctx, []byte(m.key(absent)), cells); err != nil || ok {
			t.Fatalf("get of an absent row: %v, %v", ok, err)
		}
	}
}

func drawBound(t *rapid.T, keys []string, label string) []byte {
	switch rapid.IntRange(0, 3).Draw(t, label+" kind") {
	case 0:
		return nil
	case 1:
		return rapid.SliceOfN(rapid.Byte(), 1, 3).Draw(t, label)
	}
	if len(keys) == 0 {
		return []byte{1}
	}
	k := []byte(rapid.SampledFrom(keys).Draw(t, label))
	if rapid.Bool().Draw(t, label+" behind") {
		k = append(k, 0)
	}
	return k
}

func sameKeys(t *rapid.T, got, want []string, reverse bool) {
	t.Helper()
	want = slices.Clone(want)
	if reverse {
		slices.Reverse(want)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("a scan (reverse=%v) gives the keys\n%x\nwant\n%x", reverse, got, want)
	}
}

// fold folds and compares the table with a fresh load of the model's rows.
func fold(t *rapid.T, st chunk.Store, v *table.View, m *model) *table.Table {
	t.Helper()
	got, err := v.Fold(ctx, st)
	must(t, err)
	if want := m.load(t, st); got.Hash() != want.Hash() {
		t.Fatalf("the folded table %+v %+v differs from a fresh load %+v %+v", got.Rows, got.Indexes, want.Rows, want.Indexes)
	}
	return got
}

// TestEditsAgainstModel checks views, folds, replays and residues of random edits against a map.
func TestEditsAgainstModel(t *testing.T) {
	eachSample(t, func(t *rapid.T, s *schema.Compiled) {
		st := chunk.NewMem()
		m := &model{s: s, rows: map[string][]value.Cell{}}
		base := m.drawBase(t, st)
		v := table.NewView(st, base, nil)
		check(t, v, m)

		// Some transactions, each on what the last one left.
		var then *table.View
		thenModel := m
		var log []*table.Changes
		txs := rapid.IntRange(1, 4).Draw(t, "transactions")
		sealAt := rapid.IntRange(0, txs-1).Draw(t, "sealed after")
		for i := range txs {
			e := table.NewEditor(st, v)
			var mark table.Mark
			var markModel *model
			for range rapid.IntRange(0, 12).Draw(t, "edits") {
				switch rapid.IntRange(0, 9).Draw(t, "mark") {
				case 0:
					mark, markModel = e.Mark(), m.clone()
				case 1:
					if markModel != nil {
						e.Reset(mark)
						m.rows = markModel.clone().rows
						check(t, e.View(), m)
					}
				default:
					step(t, e, m)
				}
			}
			frozen, frozenModel := e.Freeze(), m.clone()
			step(t, e, m)
			check(t, frozen, frozenModel)
			check(t, e.View(), m)
			log = append(log, e.Changes())
			v = e.View()
			if i == sealAt {
				then, thenModel = v, m.clone()
			}
		}

		whole := fold(t, st, v, m)
		check(t, table.NewView(st, whole, nil), m)

		// Replaying the changes, or the overlay as a checkpoint keeps it, gives the same view.
		var over *table.Overlay
		var err error
		for _, c := range log {
			over, err = table.Replay(ctx, table.NewView(st, base, over), edits(t, c.Append(nil)))
			must(t, err)
		}
		check(t, table.NewView(st, base, over), m)
		fold(t, st, table.NewView(st, base, over), m)
		over, err = table.Replay(ctx, table.NewView(st, base, nil), edits(t, v.Overlay().Append(nil)))
		must(t, err)
		check(t, table.NewView(st, base, over), m)

		// Folding what was there at a time and putting the rest above it gives the same, too.
		sealed := fold(t, st, then, thenModel)
		rest, err := table.Residue(ctx, st, sealed, then.Overlay(), v.Overlay())
		must(t, err)
		above := table.NewView(st, sealed, rest)
		check(t, above, m)
		fold(t, st, above, m)
	})
}

func edits(t *rapid.T, b []byte) []table.RowEdit {
	t.Helper()
	d := &binfmt.Decoder{B: b, What: "edits"}
	out := table.ReadEdits(d)
	must(t, d.Done())
	return out
}
