package repo_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"pgregory.net/rapid"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/frame"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/vfs"
)

// frameRow is a row of the frames of these tests: a key, and two columns that may be NULL.
type frameRow struct {
	id int64
	s  *string
	n  *int64
}

func (r frameRow) String() string {
	s, n := "NULL", "NULL"
	if r.s != nil {
		s = *r.s
	}
	if r.n != nil {
		n = fmt.Sprint(*r.n)
	}
	return fmt.Sprintf("%d:%s:%s", r.id, s, n)
}

// frameOf makes a source of rows in batches of some length; large gives the text 64-bit offsets.
type frameOf struct {
	schema  *arrow.Schema
	batches []arrow.RecordBatch
	fail    error // in place of the end
}

func newFrame(rows []frameRow, batch int, large bool, columns ...string) *frameOf {
	text := arrow.DataType(arrow.BinaryTypes.String)
	if large {
		text = arrow.BinaryTypes.LargeString
	}
	all := map[string]arrow.Field{
		"id": {Name: "id", Type: arrow.PrimitiveTypes.Int64}, "s": {Name: "S", Type: text, Nullable: true},
		"n": {Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
	}
	if columns == nil {
		columns = []string{"id", "s", "n"}
	}
	var fields []arrow.Field
	for _, c := range columns {
		fields = append(fields, all[c])
	}
	f := &frameOf{schema: arrow.NewSchema(fields, nil)}
	for part := range slices.Chunk(rows, max(batch, 1)) {
		b := array.NewRecordBuilder(memory.DefaultAllocator, f.schema)
		for i, c := range columns {
			for _, r := range part {
				switch {
				case c == "id":
					b.Field(i).(*array.Int64Builder).Append(r.id)
				case c == "n" && r.n != nil:
					b.Field(i).(*array.Int64Builder).Append(*r.n)
				case c == "s" && r.s != nil && large:
					b.Field(i).(*array.LargeStringBuilder).Append(*r.s)
				case c == "s" && r.s != nil:
					b.Field(i).(*array.StringBuilder).Append(*r.s)
				default:
					b.Field(i).AppendNull()
				}
			}
		}
		f.batches = append(f.batches, b.NewRecordBatch())
		b.Release()
	}
	return f
}

func (f *frameOf) Schema() *arrow.Schema { return f.schema }

func (f *frameOf) Next(context.Context) (arrow.RecordBatch, error) {
	if len(f.batches) == 0 {
		return nil, f.fail
	}
	b := f.batches[0]
	f.batches = f.batches[1:]
	return b, nil
}

// readFrame is the rows of a table, as a scan gives them.
func readFrame(t fataler, tx *repo.Tx, name string, opt frame.ScanOptions) []string {
	t.Helper()
	v, _, ok, err := tx.Table(context.Background(), name)
	if err != nil || !ok {
		t.Fatalf("table %s: %v, %v", name, ok, err)
	}
	s, err := frame.NewScan(context.Background(), v, opt)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var out []string
	for {
		b, err := s.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if b == nil {
			return out
		}
		for i := range int(b.NumRows()) {
			var cells []string
			for _, c := range b.Columns() {
				if c.IsNull(i) {
					cells = append(cells, "NULL")
				} else {
					cells = append(cells, c.ValueStr(i))
				}
			}
			out = append(out, strings.Join(cells, ":"))
		}
		b.Release()
	}
}

type fataler interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// frameRepo is an empty database in memory.
func frameRepo(t *testing.T) *repo.Repo {
	t.Helper()
	mem := vfs.NewMem()
	must(t, repo.Init(context.Background(), mem, "/db", repo.InitOptions{Author: signature(), Committer: signature()}))
	r, err := repo.Open(context.Background(), mem, "/db", repo.Options{})
	must(t, err)
	t.Cleanup(func() { must(t, r.Close(context.Background())) })
	return r
}

func frameOptions(mode frame.Mode, key ...string) frame.LoadOptions {
	return frame.LoadOptions{Mode: mode, PrimaryKey: key, FS: vfs.NewMem(), TempDir: "/tmp"}
}

// TestFrameModes writes random frames over random tables in every mode, in order and out of it, few rows and many, onto trees and
// overlays, and compares what is there afterwards, and what the answer says, with a map. The table's hash is that of one made at once.
func TestFrameModes(t *testing.T) {
	r := frameRepo(t)
	ctx := context.Background()
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		name := fmt.Sprintf("t%d", n)
		genRows := func(label string) []frameRow {
			ids := rapid.SliceOfNDistinct(rapid.Int64Range(0, 60), 0, 40, rapid.ID[int64]).Draw(rt, label)
			if rapid.Bool().Draw(rt, label+" sorted") {
				slices.Sort(ids)
			}
			rows := make([]frameRow, len(ids))
			for i, id := range ids {
				rows[i].id = id
				if v := rapid.IntRange(0, 3).Draw(rt, "s"); v > 0 {
					s := strings.Repeat("x", v-1)
					rows[i].s = &s
				}
				if v := rapid.Int64Range(0, 3).Draw(rt, "n"); v > 0 {
					rows[i].n = &v
				}
			}
			return rows
		}
		before, rows := genRows("before"), genRows("rows")
		if rapid.Bool().Draw(rt, "near") { // few differences
			rows = slices.Clone(before)
			slices.SortFunc(rows, func(a, b frameRow) int { return int(a.id - b.id) })
			for range rapid.IntRange(0, 3).Draw(rt, "changes") {
				if len(rows) > 0 {
					i := rapid.IntRange(0, len(rows)-1).Draw(rt, "at")
					if rapid.Bool().Draw(rt, "gone") {
						rows = slices.Delete(rows, i, i+1)
					} else {
						v := rapid.Int64Range(5, 9).Draw(rt, "v")
						rows[i].n = &v
					}
				}
			}
			if len(rows) > 1 && rapid.Bool().Draw(rt, "swap") {
				i := rapid.IntRange(1, len(rows)-1).Draw(rt, "swapped")
				rows[i-1], rows[i] = rows[i], rows[i-1]
			}
		}
		tx, err := r.Begin(ctx, repo.DefaultBranch)
		if err != nil {
			rt.Fatal(err)
		}
		defer tx.Rollback()
		opt := frameOptions(frame.Create, "id")
		if _, err := frame.Load(ctx, tx, name, newFrame(before, 7, false), opt); err != nil {
			rt.Fatal(err)
		}
		want := map[int64]frameRow{}
		for _, x := range before {
			want[x.id] = x
		}
		if rapid.Bool().Draw(rt, "overlay") {
			five := int64(5)
			extra := []frameRow{{id: 100, n: &five}, {id: -1}}
			if _, err := frame.Load(ctx, tx, name, newFrame(extra, 7, false), frameOptions(frame.Append)); err != nil {
				rt.Fatal(err)
			}
			want[100], want[-1] = extra[0], extra[1]
		}
		old := maps.Clone(want)
		opt = frameOptions(rapid.SampledFrom(frame.Modes).Draw(rt, "mode"))
		if rapid.Bool().Draw(rt, "many") {
			opt.Few = 3
		}
		columns := []string{"id", "s", "n"}
		if opt.Mode != frame.Replace && rapid.Bool().Draw(rt, "fewer columns") {
			columns = []string{"n", "id"}
		}
		merged := func(x frameRow) frameRow {
			if len(columns) == 2 {
				x.s = old[x.id].s
				if _, there := old[x.id]; !there || opt.Mode == frame.ReplaceRows {
					x.s = nil
				}
			}
			return x
		}
		var clash bool
		expect := frame.Result{Rows: uint64(len(rows))}
		switch opt.Mode {
		case frame.Create:
			clash = true
		case frame.Append, frame.CreateAppend:
			for _, x := range rows {
				_, there := want[x.id]
				clash = clash || there
				want[x.id] = merged(x)
			}
			expect.Inserted = uint64(len(rows))
		case frame.Replace, frame.ReplaceRows:
			clear(want)
			for _, x := range rows {
				want[x.id] = merged(x)
			}
			expect.Inserted, expect.Deleted = uint64(len(rows)), uint64(len(old))
		case frame.Upsert, frame.Merge:
			for _, x := range rows {
				was, there := want[x.id]
				want[x.id] = merged(x)
				switch {
				case !there:
					expect.Inserted++
				case was.String() != want[x.id].String():
					expect.Updated++
				default:
					expect.Unchanged++
				}
			}
			if opt.Mode == frame.Merge {
				for id := range old {
					if !slices.ContainsFunc(rows, func(x frameRow) bool { return x.id == id }) {
						delete(want, id)
						expect.Deleted++
					}
				}
			}
		}
		got, err := frame.Load(ctx, tx, name, newFrame(rows, rapid.IntRange(1, 50).Draw(rt, "batch"), rapid.Bool().Draw(rt, "large"), columns...), opt)
		if clash {
			if c := errs.CodeOf(err); c != errs.DuplicateKey && c != errs.Exists {
				rt.Fatalf("%s over rows that are there: %v", opt.Mode, err)
			}
			return
		}
		if err != nil {
			rt.Fatalf("%s: %v", opt.Mode, err)
		}
		if !reflect.DeepEqual(*got, expect) {
			rt.Fatalf("%s: %+v, want %+v", opt.Mode, *got, expect)
		}
		var list []frameRow
		for _, id := range slices.Sorted(maps.Keys(want)) {
			list = append(list, want[id])
		}
		var text []string
		for _, x := range list {
			s := strings.ReplaceAll(x.String(), "NULL", "NULL")
			text = append(text, s)
		}
		if have := readFrame(rt, tx, name, frame.ScanOptions{BatchRows: 5}); !slices.Equal(have, text) {
			rt.Fatalf("%s: %v, want %v", opt.Mode, have, text)
		}
		from := rapid.Uint64Range(0, uint64(len(text))).Draw(rt, "from")
		to := rapid.Uint64Range(from, uint64(len(text)+5)).Draw(rt, "to")
		if have := readFrame(rt, tx, name, frame.ScanOptions{BatchRows: 3, Range: &frame.Range{From: from, To: to}}); !slices.Equal(have, text[from:min(to, uint64(len(text)))]) {
			rt.Fatalf("rows %d to %d: %v of %v", from, to, have, text)
		}
		if _, err := frame.Load(ctx, tx, name+"_again", newFrame(list, 9, false), frameOptions(frame.Create, "id")); err != nil {
			rt.Fatal(err)
		}
		a, err := tx.FoldTable(ctx, name)
		if err != nil {
			rt.Fatal(err)
		}
		b, err := tx.FoldTable(ctx, name+"_again")
		if err != nil {
			rt.Fatal(err)
		}
		if a.Hash() != b.Hash() {
			rt.Fatalf("%s: the table's hash is not that of a table made at once", opt.Mode)
		}
	})
}

// TestFrameKeyTwice: a key that a frame has twice is an error in every mode, however its rows are ordered.
func TestFrameKeyTwice(t *testing.T) {
	r := frameRepo(t)
	ctx := context.Background()
	one, two := int64(1), int64(2)
	base := []frameRow{{id: 1, n: &one}, {id: 2}, {id: 3}, {id: 5}}
	for name, rows := range map[string][]frameRow{
		"side by side": {{id: 1, n: &one}, {id: 2}, {id: 2}},
		"equal, later": {{id: 1, n: &one}, {id: 2}, {id: 3}, {id: 2}},
		"changed":      {{id: 1, n: &two}, {id: 3}, {id: 1, n: &one}},
		"new":          {{id: 4}, {id: 1, n: &one}, {id: 4, n: &one}},
		"behind":       {{id: 9}, {id: 9}},
		"passed over":  {{id: 3}, {id: 5}, {id: 3, n: &one}},
	} {
		for _, mode := range frame.Modes {
			for _, few := range []int{0, 1} {
				tx, err := r.Begin(ctx, repo.DefaultBranch)
				if err != nil {
					t.Fatal(err)
				}
				table := "t"
				if mode != frame.Create {
					if _, err := frame.Load(ctx, tx, table, newFrame(base, 7, false), frameOptions(frame.Create, "id")); err != nil {
						t.Fatal(err)
					}
				}
				opt := frameOptions(mode)
				if mode == frame.Create {
					opt.PrimaryKey = []string{"id"}
				}
				opt.Few = few
				_, err = frame.Load(ctx, tx, table, newFrame(rows, 2, false), opt)
				if !errs.Is(err, errs.DuplicateKey) {
					t.Errorf("%s, %s, few %d: %v", name, mode, few, err)
				}
				tx.Rollback()
			}
		}
	}
}

// TestFrameErrors: what a frame cannot be is an error that says so.
func TestFrameErrors(t *testing.T) {
	r := frameRepo(t)
	ctx := context.Background()
	x := "x"
	tx, err := r.Begin(ctx, repo.DefaultBranch)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	load := func(src frame.Source, name string, opt frame.LoadOptions) error {
		_, err := frame.Load(ctx, tx, name, src, opt)
		return err
	}
	rows := []frameRow{{id: 1, s: &x}}
	if err := load(newFrame(rows, 1, false), "t", frameOptions(frame.Create, "id")); err != nil {
		t.Fatal(err)
	}
	var column *frame.ColumnError
	twice := newFrame(nil, 1, false)
	twice.schema = arrow.NewSchema([]arrow.Field{{Name: "a", Type: arrow.PrimitiveTypes.Int8}, {Name: "A", Type: arrow.PrimitiveTypes.Int8}}, nil)
	odd := newFrame(nil, 1, false)
	odd.schema = arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "ss", Type: arrow.PrimitiveTypes.Int8}}, nil)
	broken := newFrame(rows, 1, false)
	broken.fail = errs.New(errs.Unavailable, "the line is dead")
	for name, c := range map[string]struct {
		err  error
		code errs.Code
		says string
	}{
		"exists":       {load(newFrame(rows, 1, false), "T", frameOptions(frame.Create, "id")), errs.Exists, "table t already exists"},
		"no table":     {load(newFrame(rows, 1, false), "u", frameOptions(frame.Append)), errs.NotFound, "table not found: u"},
		"no key":       {load(newFrame(rows, 1, false), "u", frameOptions(frame.Merge)), errs.Invalid, "needs a primary key"},
		"another key":  {load(newFrame(rows, 1, false), "t", frameOptions(frame.Merge, "n")), errs.Invalid, "primary key is (id), not (n)"},
		"unknown mode": {load(newFrame(rows, 1, false), "t", frameOptions("mix")), errs.Invalid, `unknown mode "mix"`},
		"twice":        {load(twice, "u", frameOptions(frame.Create)), errs.Invalid, `"a" and "A" differ in case only`},
		"odd column":   {load(odd, "t", frameOptions(frame.Append)), errs.NotFound, `no column "ss"`},
		"key missing":  {load(newFrame(rows, 1, false, "n"), "t", frameOptions(frame.Append)), errs.NotFound, `the frame has no column "id"`},
		"key unknown":  {load(newFrame(rows, 1, false), "u", frameOptions(frame.Create, "idd")), errs.NotFound, `the frame has no column "idd"`},
		"broken":       {load(broken, "t", frameOptions(frame.ReplaceRows)), errs.Unavailable, "the line is dead"},
	} {
		if !errs.Is(c.err, c.code) || !strings.Contains(c.err.Error(), c.says) {
			t.Errorf("%s: %v of class %v", name, c.err, errs.CodeOf(c.err))
		}
	}
	if err := load(odd, "t", frameOptions(frame.Append)); !errors.As(err, &column) || !slices.Equal(column.Near, []string{"S"}) {
		t.Errorf("near: %v", column)
	}
}

// TestFrameOfLongTexts: what the workers put out of line is all there, whichever of them is the first to need the transaction's store. (The
// race detector sees a store that each makes for itself better than the rows do.)
func TestFrameOfLongTexts(t *testing.T) {
	ctx := context.Background()
	rows := make([]frameRow, 8*4096)
	for i := range rows {
		rows[i].id = int64(i)
		if i%1024 == 0 {
			s := strings.Repeat(fmt.Sprint("text ", i, " "), 2000)
			rows[i].s = &s
		}
	}
	for round := range 10 {
		r, _ := newRepo(t)
		var tx *repo.Tx
		for at, mode := range []frame.Mode{frame.Create, frame.Append} {
			half := rows[at*len(rows)/2 : (at+1)*len(rows)/2]
			tx = begin(t, r)
			_, err := frame.Load(ctx, tx, "t", newFrame(half, len(half), false), frame.LoadOptions{Mode: mode, PrimaryKey: []string{"id"}, Workers: 16, FS: r.FS(), TempDir: r.TempDir()})
			must(t, err)
			must(t, tx.Commit(ctx))
		}
		tx = begin(t, r)
		for i, got := range readFrame(t, tx, "t", frame.ScanOptions{}) {
			if want := rows[i].String(); got != want {
				t.Fatalf("round %d, row %d: %.60q, want %.60q", round, i, got, want)
			}
		}
		tx.Rollback()
		noFaults(t, r)
		must(t, r.Close(ctx))
	}
}
