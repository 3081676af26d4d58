package op

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/ingest"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
	"github.com/stemmadb/stemma/internal/vfs"
)

// match finds the column of each field of the file.
func (i *importing) match() error {
	s := i.base.Schema
	var own []string
	for n := range s.Columns {
		own = append(own, s.Columns[n].Name)
	}
	wanted, err := i.fieldNames(own)
	if err != nil {
		return err
	}
	taken := map[int]string{}
	var generated []string
	for n, name := range wanted {
		c := -1
		if name != "" {
			if c = s.ColumnIndex(name); c < 0 {
				return offering(errs.Invalid, errs.Nearest(name, own), "%s has a column %s that table %s has not; leave it out with --columns, or give it another name with --map",
					i.src.Name, name, i.table)
			}
			if other, ok := taken[c]; ok {
				return errs.New(errs.Invalid, "%s: the columns %s and %s both go to column %s", i.src.Name, other, i.fields[n], s.Columns[c].Name)
			}
			taken[c] = i.fields[n]
			if s.Columns[c].Generated != "" {
				generated = append(generated, s.Columns[c].Name)
				c = -1
			}
		}
		i.columns = append(i.columns, c)
	}
	if len(generated) > 0 {
		i.inferred = append(i.inferred, fmt.Sprintf("%s: generated from the other columns, not taken from the file", some(generated)))
	}
	return nil
}

// fieldNames sets the names of the file's fields and gives those of the columns that they go to, "" for none. own are the columns of
// a table that exists.
func (i *importing) fieldNames(own []string) ([]string, error) {
	c, h := i.c, i.head
	switch {
	case h.Names != nil:
		i.fields = h.Names
	case len(c.Columns) > 0:
		i.fields = c.Columns
	case len(own) > 0:
		i.fields = own
	default:
		for n := range h.Fields {
			i.fields = append(i.fields, fmt.Sprintf("column%d", n+1))
		}
	}
	if len(i.fields) != h.Fields {
		return nil, errs.New(errs.Invalid, "%s line 1: %d fields, want %d: %s", i.src.Name, h.Fields, len(i.fields), strings.Join(i.fields, ", "))
	}
	wanted := slices.Clone(i.fields)
	switch {
	case c.Map != "":
		return wanted, i.applyMap(wanted)
	case len(c.Columns) > 0 && h.Names != nil:
		return wanted, keepOnly(wanted, c.Columns, i.src.Name)
	}
	return wanted, nil
}

// keepOnly empties the names that are not among the columns.
func keepOnly(names, columns []string, file string) error {
	for _, col := range columns {
		if !slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, col) }) {
			return offering(errs.Invalid, errs.Nearest(col, names), "--columns: %s has no column %s", file, col)
		}
	}
	for n := range names {
		if !slices.ContainsFunc(columns, func(c string) bool { return strings.EqualFold(names[n], c) }) {
			names[n] = ""
		}
	}
	return nil
}

// applyMap renames the names as the map file says. Those that it does not name are left out.
func (i *importing) applyMap(names []string) error {
	m, err := readMap(i.s, i.c.Map)
	if err != nil {
		return err
	}
	var from []string
	for k := range m {
		from = append(from, k)
	}
	slices.Sort(from)
	if err := keepOnly(names, from, i.src.Name); err != nil {
		return err
	}
	for n := range names {
		for _, k := range from {
			if strings.EqualFold(names[n], k) {
				names[n] = m[k]
				break
			}
		}
	}
	return nil
}

// readMap reads a file that gives columns other names; nil when none is given.
func readMap(s *Scope, file string) (map[string]string, error) {
	if file == "" {
		return nil, nil
	}
	data, err := vfs.ReadFile(s.fs(), s.path(file))
	if err != nil {
		return nil, errs.New(errs.CodeOf(err), "read %s: %w", file, err)
	}
	var m map[string]string
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, errs.New(errs.Invalid, "read %s: want a JSON object of one column's name to another: %w", file, err)
	}
	return m, nil
}

// create infers the columns and makes an empty table of them.
func (i *importing) create(ctx context.Context) error {
	wanted, err := i.fieldNames(nil)
	if err != nil {
		return err
	}
	task := i.s.Start("infer the types of "+i.src.Name, i.src.Size, "bytes")
	in, err := ingest.Infer(ctx, i.src, ingest.InferOptions{
		Format: i.format, Names: i.fields, AllText: i.c.AllText, SkipBad: i.c.Continue, Keys: len(i.c.Keys) == 0, Bytes: task.Add,
	})
	task.Done(err)
	if err != nil {
		return err
	}
	sch := &schema.Schema{Collation: value.CollationUtf8mb40900Bin}
	var said, unique []string
	keys := i.c.Keys
	if len(keys) == 0 {
		keys = keptKey(in.Key, wanted)
	}
	for n, name := range wanted {
		if name == "" {
			i.columns = append(i.columns, -1)
			continue
		}
		i.columns = append(i.columns, len(sch.Columns))
		t := in.Types[n]
		col := schema.Column{Name: name, Type: t, Nullable: true, ID: schema.AssignID(name, t, sch.Columns, nil)}
		sch.Columns = append(sch.Columns, col)
		said = append(said, name+" "+strings.ToUpper(t.String()))
		if slices.Contains(in.Unique, n) {
			unique = append(unique, name)
		}
	}
	for _, k := range keys {
		n := sch.ColumnIndex(strings.TrimSpace(k))
		if n < 0 {
			return offering(errs.Invalid, errs.Nearest(k, wanted), "--pk: %s has no column %s", i.src.Name, k)
		}
		sch.Columns[n].Nullable = false
		sch.PrimaryKey = append(sch.PrimaryKey, schema.IndexColumn{Column: sch.Columns[n].ID})
	}
	i.inferred = append(i.inferred, "inferred: "+some(said))
	if hint := missingHint(in.Missing, i.c.Nulls, i.fields, wanted); hint != "" {
		i.inferred = append(i.inferred, hint)
	}
	if c := separator(wanted); c != "" {
		i.inferred = append(i.inferred, fmt.Sprintf("there is one column only; if %s stands between the fields, use --delim '%s'", c, c))
	}
	switch {
	case len(keys) > 0:
	case i.format.Columnar():
		i.inferred = append(i.inferred, "no primary key: use --pk to give it")
	case !in.KeysKnown:
		i.inferred = append(i.inferred, "no primary key: the file is too large to look for one; use --pk to give it")
	case len(unique) == 0:
		i.inferred = append(i.inferred, "no primary key: no column alone could be one; use --pk to give several")
	default:
		i.inferred = append(i.inferred, "no primary key: "+some(unique)+" could be one; use --pk")
	}
	compiled, err := schema.Compile(sch)
	if err != nil {
		return err
	}
	i.base = table.Empty(compiled)
	if i.c.Continue {
		i.onDup = table.IgnoreDuplicate
	}
	return nil
}

// keptKey is the key that a file names, unless columns of it are left out.
func keptKey(key, wanted []string) []string {
	for _, k := range key {
		if !slices.Contains(wanted, k) {
			return nil
		}
	}
	return key
}

// missingHint says which columns would not be text if some texts meant NULL; "" when there are none.
func missingHint(missing []ingest.Missing, nulls, fields, wanted []string) string {
	var texts, columns []string
	for _, m := range missing {
		if wanted[m.Column] == "" {
			continue
		}
		for _, text := range m.Texts {
			if !slices.Contains(texts, text) {
				texts = append(texts, text)
			}
		}
		columns = append(columns, fields[m.Column]+" "+strings.ToUpper(m.Type.String()))
	}
	if len(columns) == 0 {
		return ""
	}
	return fmt.Sprintf("if %s means NULL, use --null '%s': then %s", strings.Join(texts, " or "), strings.Join(append(slices.Clone(nulls), texts...), ","), some(columns))
}

// some lists words for a reader, the first ones when there are many.
func some(words []string) string {
	const most = 20
	if len(words) <= most+1 {
		return strings.Join(words, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(words[:most], ", "), len(words)-most)
}

// separator is a character in the name of the only column of a file that may be what separates its fields; "" when there is none.
func separator(names []string) string {
	if len(names) != 1 {
		return ""
	}
	for _, c := range []string{";", "\t", "|"} {
		if strings.Contains(names[0], c) {
			return strings.ReplaceAll(c, "\t", `\t`)
		}
	}
	return ""
}
