package op

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/diff"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/value"
)

// patch is the statements that make the from side the to side.
func (c *Diff) patch(ctx context.Context, s *Scope, deltas []diff.Delta, from, to side) ([]*Result, error) {
	if c.Stat || c.Summary || c.NameOnly {
		return nil, errs.New(errs.Invalid, "%s: -r sql cannot be combined with --stat, --summary and --name-only", c.name())
	}
	r := &Result{Lines: []string{}}
	linked, err := repo.Linked(ctx, deltas, from.snap, to.snap)
	if err != nil {
		return nil, err
	}
	rekey := linked && repo.Rekeys(deltas)
	var before, after []string
	for i := range deltas {
		d := &deltas[i]
		p, err := pairOf(ctx, s, d, from, to)
		if err != nil {
			return nil, err
		}
		if rekey && !c.Data {
			drop, add := diff.KeyStatements(p, d.From.Name, d.To.Name)
			for _, st := range drop {
				before = append(before, st.SQL)
			}
			for _, st := range add {
				after = append(after, st.SQL)
			}
		}
		n := 0
		for st, err := range diff.Patch(ctx, p, d.From.Name, d.To.Name, rekey) {
			if err != nil {
				return nil, err
			}
			switch {
			case st.Schema && c.Data, !st.Schema && c.Schema:
				continue
			case st.Schema && root.IsSystem(d.Name()): // its first row makes it
				if d.Kind == diff.TableDropped {
					r.Printf("DELETE FROM %s;\n", schema.QuoteName(d.From.Name))
				}
				continue
			case !st.Schema && c.Limit >= 0 && n >= c.Limit:
				continue
			case !st.Schema:
				n++
			}
			r.Printf("%s\n", st.SQL)
		}
	}
	if r.Lines = slices.Concat(before, r.Lines, after); linked && len(r.Lines) > 0 {
		r.Lines = slices.Concat([]string{repo.ChecksOff}, r.Lines, []string{repo.ChecksOn})
	}
	return []*Result{r}, nil
}

// document is the difference as JSON, in Dolt's form: {"tables":[{"name":…,"schema_diff":[…],"data_diff":[{"from_row":{…},"to_row":{…}}]}]}.
func (c *Diff) document(ctx context.Context, s *Scope, deltas []diff.Delta, from, to side) ([]*Result, error) {
	type dataDiff struct {
		From json.RawMessage `json:"from_row"`
		To   json.RawMessage `json:"to_row"`
	}
	type tableDiff struct {
		Name   string     `json:"name"`
		Schema []string   `json:"schema_diff"`
		Data   []dataDiff `json:"data_diff"`
	}
	type summary struct {
		Name   string `json:"table_name"`
		Kind   string `json:"diff_type"`
		Data   bool   `json:"data_change"`
		Schema bool   `json:"schema_change"`
	}
	if c.Stat {
		return nil, errs.New(errs.Invalid, "%s: -r json cannot be combined with --stat", c.name())
	}
	var doc struct {
		Tables []any `json:"tables"`
	}
	doc.Tables = []any{}
	for i := range deltas {
		d := &deltas[i]
		if c.Summary || c.NameOnly {
			doc.Tables = append(doc.Tables, summary{d.Name(), d.Kind.String(), d.Data, d.Schema})
			continue
		}
		p, err := pairOf(ctx, s, d, from, to)
		if err != nil {
			return nil, err
		}
		t := tableDiff{Name: d.Name(), Schema: []string{}, Data: []dataDiff{}}
		if !c.Data {
			for st, err := range diff.Patch(ctx, p, d.From.Name, d.To.Name, false) {
				if err != nil {
					return nil, err
				}
				if st.Schema {
					t.Schema = append(t.Schema, st.SQL)
				}
			}
		}
		n := 0
		changes, err := c.changes(ctx, s, d, p, from, to)
		if err != nil {
			return nil, err
		}
		for ch, err := range changes {
			if err != nil {
				return nil, err
			}
			if c.Schema || c.Limit >= 0 && n >= c.Limit {
				break
			}
			n++
			one := dataDiff{json.RawMessage("{}"), json.RawMessage("{}")}
			if ch.From.Valid() {
				if one.From, err = rowJSON(ctx, p.Reader(), p.From().Schema.Schema, ch.From.Cell, false); err != nil {
					return nil, err
				}
			}
			if ch.To.Valid() {
				if one.To, err = rowJSON(ctx, p.Reader(), p.To().Schema.Schema, ch.To.Cell, false); err != nil {
					return nil, err
				}
			}
			t.Data = append(t.Data, one)
		}
		doc.Tables = append(doc.Tables, t)
	}
	b, err := plainJSON(doc)
	if err != nil {
		return nil, err
	}
	return []*Result{{Lines: []string{string(b)}}}, nil
}

// rowJSON is a row as an object, without members for NULL unless nulls is true.
func rowJSON(ctx context.Context, rd chunk.Reader, s *schema.Schema, of func(ctx context.Context, column int) (value.Cell, error), nulls bool) (json.RawMessage, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i := range s.Columns {
		cell, err := of(ctx, i)
		if err != nil {
			return nil, err
		}
		v, err := cellValue(ctx, rd, s.Columns[i].Type, cell)
		if err != nil {
			return nil, err
		}
		if v == nil && !nulls {
			continue
		}
		switch ClassOf(s.Columns[i].Type) {
		case ClassTime:
			v = FormatCell(s.Columns[i].Type, v)
		case ClassString:
			if text, ok := v.(string); ok && s.Columns[i].Type.Kind == value.KindJSON && json.Valid([]byte(text)) {
				v = json.RawMessage(text)
			}
		}
		name, err := plainJSON(s.Columns[i].Name)
		if err != nil {
			return nil, err
		}
		val, err := plainJSON(v)
		if err != nil {
			return nil, err
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%s:%s", name, val)
	}
	b.WriteByte('}')
	return slices.Clone(b.Bytes()), nil
}

// plainJSON is v's JSON with <, > and & as they are.
func plainJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, errs.New(errs.Internal, "encode %T as JSON: %w", v, err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
