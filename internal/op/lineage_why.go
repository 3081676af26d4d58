package op

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// LineageWhyColumns are the columns of what lineage why answers: a line for each row of an input, and one for each input that has none.
var LineageWhyColumns = []Column{
	Document("row"), Text("run_uid"), Text("run_how"), Text("commit_hash"), Text("db"), Text("table_name"), Text("table_hash"), Text("table_commit"),
	Text("how"), Document("matched_on"), Document("input_row"), Text("note"),
}

// LineageWhy is the verb that finds the rows from which a row was made.
type LineageWhy struct {
	Table string   `arg:"1" required:"true" value:"table@revision" complete:"table" help:"the table; without a revision at HEAD"`
	Key   []string `flag:"key" required:"true" value:"column=value" help:"the row: its primary key, a column each, or one JSON object of them"`
	Limit int      `flag:"limit,n" default:"100" least:"0" help:"at most so many rows of each input; 0 for all"`
	// At is the revision where Table is the table's name alone, which may have an @.
	At string
}

func lineageWhySpec() Spec {
	return Define[LineageWhy](Spec{
		Name: "lineage why", Columns: LineageWhyColumns, Group: GroupLineage, Needs: NeedDatabase, ReadOnly: true,
		Short: "Find the rows that a row was made from",
		Long: `The commits that gave the row its content lead to their runs, and these to the tables that they read, as they were then. how says how rows of an
input were found: mapping means by columns that the run declared (run record); columns, that the statement which wrote the row copied; key, that the row
has the columns of the input's primary key; shared, that they agree on columns of the row's primary key, of which the run need not have
used all; unknown, that nothing tells, and note says why.`,
		Examples: []Example{
			{"lineage why medians@HEAD --key state=CA --key code=17", "by a key of two columns"},
			{`lineage why medians --key '{"state": "CA", "code": "17"}'`, "the same"},
		},
	})
}

// Run finds.
func (c *LineageWhy) Run(ctx context.Context, s *Scope) (*Result, error) {
	values, err := keyValues(c.Key)
	if err != nil {
		return nil, err
	}
	if err := s.Repo.FlushReads(ctx); err != nil {
		return nil, err
	}
	t, err := s.tableAt(ctx, c.Table, c.At, "")
	if err != nil {
		return nil, err
	}
	snap, err := s.Repo.SnapshotAt(ctx, t.commit)
	if err != nil {
		return nil, err
	}
	v, _, _, err := snap.Table(ctx, t.name)
	if err != nil {
		return nil, err
	}
	w := &whyRows{limit: c.Limit, s: s, of: t, r: &Result{Columns: LineageWhyColumns, Lines: []string{}}}
	sch := v.Schema()
	if !sch.Keyless() && !coversKey(sch.Schema, values) {
		return nil, errs.New(errs.Invalid, "lineage why: --key must give the primary key of %s: %s", t.name, strings.Join(keyNames(sch.Schema), ", "))
	}
	n := 0
	err = lineage.FindRow(ctx, v, values, func(cells []value.Cell) (bool, error) {
		n++
		return c.Limit == 0 || n < c.Limit, w.why(ctx, v, cells)
	})
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, errs.New(errs.NotFound, "row not found: %s in %s@%s", strings.Join(c.Key, ", "), t.name, t.ref)
	}
	return w.r, nil
}

// keyValues reads "column=value" and JSON objects of columns; the value of null is nil.
func keyValues(given []string) (map[string]*string, error) {
	out := map[string]*string{}
	for _, g := range given {
		if strings.HasPrefix(strings.TrimSpace(g), "{") {
			var object map[string]any
			d := json.NewDecoder(strings.NewReader(g))
			d.UseNumber()
			if err := d.Decode(&object); err != nil {
				return nil, errs.New(errs.Invalid, "--key %s: not a JSON object: %w", g, err)
			}
			for name, v := range object {
				switch v := v.(type) {
				case nil:
					out[name] = nil
				case map[string]any, []any:
					return nil, errs.New(errs.Invalid, "--key %s: the value of %s is neither text nor a number", g, name)
				default:
					text := fmt.Sprint(v)
					out[name] = &text
				}
			}
			continue
		}
		name, text, ok := strings.Cut(g, "=")
		if !ok || name == "" {
			return nil, errs.New(errs.Invalid, "--key %s: write column=value, or a JSON object", g)
		}
		out[name] = &text
	}
	return out, nil
}

// coversKey tells whether values name all columns of the primary key.
func coversKey(s *schema.Schema, values map[string]*string) bool {
	named := map[int]bool{}
	for name := range values {
		named[s.ColumnIndex(name)] = true
	}
	for _, k := range s.PrimaryKey {
		if !named[s.ColumnByID(k.Column)] {
			return false
		}
	}
	return true
}

// whyRows gathers the answer of lineage why.
type whyRows struct {
	s       *Scope
	of      *tableAt
	limit   int
	r       *Result
	schemas schema.Cache
}

// why adds what is known of a row of the table.
func (w *whyRows) why(ctx context.Context, v *table.View, cells []value.Cell) error {
	sch := v.Schema()
	row, err := cellsJSON(ctx, v, cells)
	if err != nil {
		return err
	}
	w.r.Printf("%s %s", w.of.name, row)
	book, st := w.s.Repo.Lineage(), w.s.Repo.Store()
	var made []lineage.Producer
	whole := ""
	if sch.Keyless() {
		whole = "rows of a table without a primary key cannot be told apart: the run is the one that last changed the table"
		made, _, err = book.Producers(ctx, st, w.of.commit, w.of.name)
	} else {
		made, _, err = book.RowProducers(ctx, st, w.of.commit, w.of.name, sch.Primary.AppendKey(nil, cells))
	}
	if err != nil {
		return err
	}
	sought := &lineage.Sought{Schema: sch.Schema, Cells: cells}
	for _, p := range made {
		head := []any{row, p.Run, p.How, p.Commit}
		if p.Run == "" {
			w.r.Printf("  commit %s: no run is known%s", shortHash(p.Commit), behindNote(p.Note))
			w.add(head, nil, lineage.Unknown, nil, nil, joinNotes(whole, "no run is known for the commit that wrote the row"))
			continue
		}
		run, _, err := book.Run(ctx, p.Run)
		if err != nil {
			return err
		}
		w.r.Printf("  made by %s  %s  commit %s%s", p.Run, run.Title(), shortHash(p.Commit), byHash(p.How))
		out, ins, err := book.InputsFor(ctx, p)
		if err != nil {
			return err
		}
		if len(ins) == 0 {
			w.r.Printf("    from nothing that is recorded")
			w.add(head, nil, lineage.Unknown, nil, nil, joinNotes(whole, "the run has read nothing that is recorded"))
		}
		for i := range ins {
			if err := w.input(ctx, head, whole, sought, out, &ins[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func byHash(how string) string {
	if how == lineage.ByHash {
		return "  (by hash)"
	}
	return ""
}

func joinNotes(notes ...string) string {
	var out []string
	for _, n := range notes {
		if n != "" {
			out = append(out, n)
		}
	}
	return strings.Join(out, "; ")
}

func (w *whyRows) add(head []any, in *lineage.Input, how string, on, row any, note string) {
	if in == nil {
		in = &lineage.Input{}
	}
	name := in.Table
	if name == "" {
		name = in.Query
	}
	w.r.Add(append(head[:len(head):len(head)], in.DB, name, in.Hash, in.Commit, how, on, row, note)...)
}

// input adds the rows of an input.
func (w *whyRows) input(ctx context.Context, head []any, whole string, of *lineage.Sought, out *lineage.Output, in *lineage.Input) error {
	v, note, err := w.open(ctx, in)
	if err != nil {
		return err
	}
	var pairs []lineage.Pair
	how := lineage.Unknown
	if v != nil {
		if pairs, how, note, err = lineage.PairColumns(of.Schema, out, in, v.Schema().Schema); err != nil {
			return err
		}
	}
	if how == lineage.Unknown {
		w.r.Printf("    from %s: unknown: %s", inputText(in), note)
		w.add(head, in, how, nil, nil, joinNotes(whole, note))
		return nil
	}
	on := map[string]string{}
	var text []string
	for _, p := range pairs {
		on[p.Written] = p.Read
		if strings.EqualFold(p.Written, p.Read) {
			text = append(text, p.Read)
		} else {
			text = append(text, p.Read+" for "+p.Written)
		}
	}
	matched, err := json.Marshal(on)
	if err != nil {
		return errs.New(errs.Internal, "encode columns: %w", err)
	}
	w.r.Printf("    from %s by %s: %s", inputText(in), how, strings.Join(text, ", "))
	n := 0
	err = lineage.FindRows(ctx, of, v, pairs, func(cells []value.Cell) (bool, error) {
		if n++; w.limit > 0 && n > w.limit {
			return false, nil
		}
		row, err := cellsJSON(ctx, v, cells)
		if err != nil {
			return false, err
		}
		w.r.Printf("      %s", row)
		w.add(head, in, how, string(matched), row, whole)
		return true, nil
	})
	switch {
	case err != nil:
		return err
	case n == 0:
		w.r.Printf("      no row")
		w.add(head, in, how, string(matched), nil, joinNotes(whole, "no row of the input has these values"))
	case w.limit > 0 && n > w.limit:
		w.r.Printf("      and more: see --limit")
		w.add(head, in, how, string(matched), nil, joinNotes(whole, "there are more rows: see --limit"))
	}
	return nil
}

// open is an input as the run read it; where that cannot be had, the view is nil and note says why.
func (w *whyRows) open(ctx context.Context, in *lineage.Input) (v *table.View, note string, err error) {
	if in.Table == "" {
		return nil, "the run read a query, not a table", nil
	}
	r := w.s.Repo
	if in.DB != "" && !strings.EqualFold(in.DB, r.Name()) {
		var ok bool
		if w.s.Lookup != nil {
			r, ok = w.s.Lookup(in.DB)
		}
		if !ok {
			return nil, "it is in another database: " + in.DB, nil
		}
	}
	if in.Hash == "" && in.Commit == "" {
		return nil, "its version is not known", nil
	}
	if v, err = openVersion(ctx, r, &w.schemas, in); errs.Is(err, errs.NotFound) || errs.Is(err, errs.Invalid) {
		return nil, "the version that the run read is not kept here", nil
	}
	return v, "", err
}

// openVersion is a table by its hash; where none is recorded, at its commit. The error is of class NotFound where it is not there.
func openVersion(ctx context.Context, r *repo.Repo, schemas *schema.Cache, in *lineage.Input) (*table.View, error) {
	if in.Hash != "" {
		h, err := hash.Parse(in.Hash)
		if err != nil {
			return nil, err
		}
		t, err := table.Open(ctx, r.Store(), schemas, h, nil)
		if err != nil {
			return nil, err
		}
		return table.NewView(r.Store(), t, nil), nil
	}
	id, err := hash.Parse(in.Commit)
	if err != nil {
		return nil, err
	}
	snap, err := r.SnapshotAt(ctx, history.CommitID(id))
	if err != nil {
		return nil, err
	}
	v, _, ok, err := snap.Table(ctx, in.Table)
	if err == nil && !ok {
		err = errs.New(errs.NotFound, "table not found: %s", in.Table)
	}
	return v, err
}

// cellsJSON is a row as a JSON object.
func cellsJSON(ctx context.Context, v *table.View, cells []value.Cell) (string, error) {
	b, err := rowJSON(ctx, v.Reader(), v.Schema().Schema, func(_ context.Context, i int) (value.Cell, error) { return cells[i], nil }, true)
	return string(b), err
}
