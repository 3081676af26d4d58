package flight

import (
	"cmp"
	"context"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/stemmadb/stemma/internal/engine"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/frame"
	"github.com/stemmadb/stemma/internal/page"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// readRequest is a ticket for rows of a table.
type readRequest struct {
	Table     string      `json:"table"`
	Database  string      `json:"database"`
	Ref       string      `json:"ref"`
	Columns   []string    `json:"columns"`
	Filter    string      `json:"filter"`
	Range     *rangeOfRow `json:"range"`
	BatchRows int         `json:"batch_rows"`
}

// rangeOfRow is rows by their place.
type rangeOfRow struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
}

// queryRequest is a ticket for the answer of a statement.
type queryRequest struct {
	SQL        string `json:"sql"`
	Database   string `json:"database"`
	Ref        string `json:"ref"`
	Parameters []any  `json:"parameters"`
}

// found is a table at a ref.
type found struct {
	*engine.Resolved
	view *table.View // nil of a view of SQL
	name string
	ref  string // as asked
}

// find finds a table for reading. client is the session that looks; its current database is that of the call.
func (s *service) find(ctx context.Context, c *call, client *engine.Client, database, name, ref string) (*found, error) {
	f, err := s.findRows(ctx, c, client, database, name, ref)
	if err == nil && f.view == nil {
		return nil, f.problem(errs.New(errs.Unsupported, "%s is a view, which has no rows of its own: it can be read, as a whole, and by SQL", f.name))
	}
	return f, err
}

// findRows is find of a table or a view of SQL.
func (s *service) findRows(ctx context.Context, c *call, client *engine.Client, database, name, ref string) (*found, error) {
	about := problem{database: database, ref: ref, table: name}
	if name == "" {
		return nil, invalid("name a table")
	}
	r, err := client.Resolve(ctx, "", ref)
	if err != nil {
		about.err = err
		return nil, &about
	}
	about.database = r.Database
	view, written, ok, err := r.Table(ctx, name)
	if err == nil {
		err = client.Allowed(ctx, r.Database, name, engine.Read)
	}
	if err != nil {
		about.err = err
		return nil, &about
	}
	if !ok {
		written, ok, err := client.View(ctx, name, ref)
		if err != nil {
			about.err = err
			return nil, &about
		}
		if ok {
			return &found{Resolved: r, name: written, ref: ref}, nil
		}
		return nil, s.missing(ctx, client, r, about)
	}
	return &found{Resolved: r, view: view, name: written, ref: ref}, nil
}

// missing is the error for a table that is not there: it names those that are meant perhaps, and where there is one of that name.
func (s *service) missing(ctx context.Context, client *engine.Client, r *engine.Resolved, p problem) error {
	p.err = errs.New(errs.NotFound, "table not found: %s", p.table)
	if p.ref != "" {
		p.err = errs.New(errs.NotFound, "table not found: %s at %s", p.table, p.ref)
	}
	names, err := r.TableNames(ctx)
	if err != nil {
		p.err = err
		return &p
	}
	p.near = errs.Nearest(p.table, names)
	if p.ref != "" && !isWorking(p.ref) {
		if now, err := client.Resolve(ctx, r.Database, ""); err == nil {
			if _, _, ok, err := now.Table(ctx, p.table); err == nil && ok {
				p.hint = "it is there on branch " + now.Branch + " now, uncommitted or in a later commit"
				return &p
			}
		}
	}
	for _, b := range r.Repo.Branches() {
		snap, err := r.Repo.SnapshotAt(ctx, b.Head)
		if err != nil {
			continue
		}
		if _, _, ok, err := snap.Table(ctx, p.table); err == nil && ok {
			p.hint = "branch " + b.Name + " has a table of that name"
			break
		}
	}
	return &p
}

// at is the commit that the table was found at, "" for a working set.
func (f *found) at() string {
	if f.Commit.IsZero() {
		return ""
	}
	return f.Commit.Full()
}

// Keys of the metadata of a schema, beside those of package frame.
const (
	metaDatabase = "stemma.database"
	metaTable    = "stemma.table"
	metaRef      = "stemma.ref"
	metaCommit   = "stemma.commit"
	metaHash     = "stemma.table_hash"
)

// metadata is what the schema of a read says of where it comes from.
func (f *found) metadata() map[string]string {
	m := map[string]string{metaDatabase: f.Database, metaTable: f.name}
	if f.ref != "" {
		m[metaRef] = f.ref
	}
	if !f.Commit.IsZero() {
		m[metaCommit] = f.Commit.Full()
	}
	if f.view != nil && f.view.Overlay().Len() == 0 {
		m[metaHash] = f.view.Table.Hash().Full()
	}
	return m
}

// options are the options of a scan for a request.
func (s *service) options(c *call, r *readRequest, f *found) frame.ScanOptions {
	o := frame.ScanOptions{Columns: r.Columns, BatchRows: r.BatchRows, Integers: c.integers(), Memory: s.pool, Metadata: f.metadata()}
	if r.Range != nil {
		o.Range = &frame.Range{From: r.Range.From, To: r.Range.To}
	}
	return o
}

// openRead begins to read a table.
func (s *service) openRead(ctx context.Context, c *call, r *readRequest) (_ source, err error) {
	h, err := c.client(ctx, r.Database, "")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			h.release()
		}
	}()
	f, err := s.findRows(ctx, c, h.Client, r.Database, r.Table, c.ref(r.Ref))
	if err != nil {
		return nil, err
	}
	if f.view == nil {
		return s.readBySQL(ctx, c, h, r, f)
	}
	if r.Filter != "" || !frame.Plain(f.view.Schema(), r.Columns) {
		h.release()
		if h, err = c.client(ctx, r.Database, f.at()); err != nil {
			return nil, err
		}
		return s.readBySQL(ctx, c, h, r, f)
	}
	scan, err := frame.NewScan(ctx, f.view, s.options(c, r, f))
	if err != nil {
		return nil, f.problem(err)
	}
	f.note(c, "", r.Columns, "")
	return &scanSource{Scan: scan, f: f, release: h.release}, nil
}

// note takes note that the table is read for a run, if there is one. ref is what the call as a whole reads at.
func (f *found) note(c *call, ref string, columns []string, query string) {
	by := c.run()
	if by.Run == "" {
		return
	}
	x := repo.Read{Table: f.name, View: f.view, Ref: cmp.Or(f.ref, ref), Commit: f.Commit, Columns: columns, Query: query}
	if f.Commit.IsZero() {
		x.Working = true
		x.Commit, _ = f.Repo.BranchHead(f.Branch) // zero where there is none
	}
	f.Repo.NoteReadOf(by, f.Repo, x)
	c.s.readsIn.of(c.caller, by.Run).Add(f.Repo)
}

// problem is an error about the table.
func (f *found) problem(err error) error {
	return &problem{err: err, database: f.Database, ref: f.ref, table: f.name}
}

// scanSource reads a table.
type scanSource struct {
	*frame.Scan
	f       *found
	release func()
}

// Next implements source.
func (s *scanSource) Next(ctx context.Context) (arrow.RecordBatch, error) {
	b, err := s.Scan.Next(ctx)
	if err != nil {
		return nil, s.f.problem(err)
	}
	return b, nil
}

// Close implements source.
func (s *scanSource) Close() error {
	s.Scan.Close()
	s.release()
	return nil
}

// readSQL is the statement that reads what a request asks for, in the order of the key.
func (s *service) readSQL(ctx context.Context, h *held, r *readRequest, f *found) (string, error) {
	if f.view != nil {
		return tableSQL(ctx, r, f)
	}
	return viewSQL(ctx, h, r, f)
}

// viewSQL is readSQL of a view.
func viewSQL(ctx context.Context, h *held, r *readRequest, f *found) (string, error) {
	if r.Range != nil && r.Range.From > 0 {
		return "", f.problem(errs.New(errs.Unsupported, "%s is a view, whose rows have no places: only the first can be read, or all", f.name))
	}
	from := " FROM " + schema.QuoteName(f.name)
	if at := cmp.Or(f.at(), f.ref); at != "" {
		from += " AS OF " + schema.QuoteText(at)
	}
	what := "*"
	if r.Columns != nil {
		d, err := h.Describe(ctx, "SELECT *"+from, nil)
		if err != nil {
			return "", f.problem(err)
		}
		var all, names []string
		for _, c := range d.Columns {
			all = append(all, c.Name)
		}
		for _, n := range r.Columns {
			i := slices.IndexFunc(all, func(a string) bool { return strings.EqualFold(a, n) })
			if i < 0 {
				return "", f.problem(&frame.ColumnError{Column: n, Near: errs.Nearest(n, all)})
			}
			names = append(names, schema.QuoteName(all[i]))
		}
		what = cmp.Or(strings.Join(names, ", "), "1")
	}
	if r.Filter != "" {
		from += " WHERE (" + r.Filter + "\n)"
	}
	if r.Range != nil {
		from += " LIMIT " + strconv.FormatUint(r.Range.To, 10)
	}
	return "SELECT " + what + from, nil
}

// tableSQL is readSQL of a table.
func tableSQL(ctx context.Context, r *readRequest, f *found) (string, error) {
	sc := f.view.Schema()
	var b strings.Builder
	within, err := rangeSQL(ctx, r.Range, f)
	if err != nil {
		return "", err
	}
	b.WriteString("SELECT ")
	names := r.Columns
	if names == nil {
		for _, c := range sc.Columns {
			names = append(names, c.Name)
		}
	}
	for i, n := range names {
		at := sc.ColumnIndex(n)
		if at < 0 {
			var all []string
			for _, c := range sc.Columns {
				all = append(all, c.Name)
			}
			return "", f.problem(&frame.ColumnError{Column: n, Near: errs.Nearest(n, all)})
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(schema.QuoteName(sc.Columns[at].Name))
	}
	if len(names) == 0 {
		b.WriteString("1")
	}
	b.WriteString(" FROM " + schema.QuoteName(f.name))
	conditions := within
	if r.Filter != "" {
		conditions = append(conditions, "("+r.Filter+"\n)")
	}
	if len(conditions) > 0 {
		b.WriteString(" WHERE " + strings.Join(conditions, " AND "))
	}
	if keys := frame.KeyNames(sc.Schema); len(keys) > 0 {
		for i, k := range keys {
			keys[i] = schema.QuoteName(k)
		}
		b.WriteString(" ORDER BY " + strings.Join(keys, ", "))
	}
	return b.String(), nil
}

// rangeSQL are conditions for the rows of a range: their keys lie between those of its first row and of the one behind its last.
func rangeSQL(ctx context.Context, r *rangeOfRow, f *found) ([]string, error) {
	if r == nil {
		return nil, nil
	}
	total := f.view.Count()
	from, to := min(r.From, total), min(r.To, total)
	if from >= to {
		return []string{"FALSE"}, nil
	}
	var out []string
	for _, bound := range []struct {
		row  uint64
		over string
	}{{from, ">="}, {to, "<"}} {
		if bound.row == 0 || bound.row == total {
			continue
		}
		cells, err := keyAt(ctx, f.view, bound.row)
		if err != nil {
			return nil, err
		}
		if cells == nil {
			return nil, f.problem(errs.New(errs.Unsupported, "a range of rows with a filter needs a table with a primary key, as of a commit"))
		}
		s := f.view.Schema()
		text := ""
		for i := len(s.PrimaryKey) - 1; i >= 0; i-- { // a > 1 or a = 1 and (b > 2 or b = 2 and c >= 3)
			col := &s.Columns[s.ColumnByID(s.PrimaryKey[i].Column)]
			name, literal := schema.QuoteName(col.Name), literalOf(col.Type, cells[i])
			if text == "" {
				text = name + " " + bound.over + " " + literal
			} else {
				text = name + " " + bound.over[:1] + " " + literal + " OR " + name + " = " + literal + " AND (" + text + ")"
			}
		}
		out = append(out, "("+text+")")
	}
	return out, nil
}

// literalOf is a cell in SQL.
func literalOf(t value.Type, c value.Cell) string {
	switch t.Kind {
	case value.KindInt8, value.KindInt16, value.KindInt24, value.KindInt32, value.KindInt64, value.KindUint8, value.KindUint16, value.KindUint24, value.KindUint32,
		value.KindYear, value.KindEnum:
		return strconv.FormatInt(c.Int(), 10)
	case value.KindUint64, value.KindBit, value.KindSet:
		return strconv.FormatUint(c.Uint(), 10)
	case value.KindFloat64:
		return strconv.FormatFloat(c.Float(), 'e', -1, 64)
	case value.KindFloat32:
		return strconv.FormatFloat(float64(c.Float32()), 'e', -1, 64)
	case value.KindDecimal:
		return value.DecimalString(t, c)
	case value.KindBinary, value.KindVarbinary, value.KindBlob:
		return "x'" + hex.EncodeToString(c.Bytes()) + "'"
	}
	return schema.QuoteText(string(value.AppendText(nil, t, c)))
}

// readBySQL reads a table with a statement.
func (s *service) readBySQL(ctx context.Context, c *call, h *held, r *readRequest, f *found) (source, error) {
	query, err := s.readSQL(ctx, h, r, f)
	if err != nil {
		return nil, err
	}
	src, err := s.run(ctx, c, h, query, nil, f.metadata())
	if err != nil {
		return nil, err
	}
	src.about = problem{database: f.Database, ref: f.ref, table: f.name, query: query}
	if r.BatchRows > 0 {
		src.rows = r.BatchRows
	}
	src.drop = len(r.Columns) == 0 && r.Columns != nil
	return src, nil
}

// describeRead is the schema of a read and the number of its rows.
func (s *service) describeRead(ctx context.Context, c *call, r *readRequest) (*arrow.Schema, int64, error) {
	h, err := c.client(ctx, r.Database, "")
	if err != nil {
		return nil, 0, err
	}
	defer func() { h.release() }()
	f, err := s.findRows(ctx, c, h.Client, r.Database, r.Table, c.ref(r.Ref))
	if err != nil {
		return nil, 0, err
	}
	if f.view == nil || r.Filter != "" || !frame.Plain(f.view.Schema(), r.Columns) {
		if f.view != nil {
			h.release()
			if h, err = c.client(ctx, r.Database, f.at()); err != nil {
				return nil, 0, err
			}
		}
		query, err := s.readSQL(ctx, h, r, f)
		if err != nil {
			return nil, 0, err
		}
		d, err := h.Describe(ctx, query, nil)
		if err != nil {
			return nil, 0, f.problem(err)
		}
		return batchSchema(d.Columns, c.integers(), f.metadata()), -1, nil
	}
	scan, err := frame.NewScan(ctx, f.view, s.options(c, r, f))
	if err != nil {
		return nil, 0, f.problem(err)
	}
	defer scan.Close()
	return scan.Schema(), int64(scan.Rows()), nil
}

// batchColumns are the columns of an answer as Arrow has them.
func batchColumns(columns []engine.Column, integers bool) []page.RowColumn {
	out := make([]page.RowColumn, len(columns))
	for i, c := range columns {
		out[i] = frame.FieldOf(c.Name, c.Type, c.Nullable, integers)
	}
	return out
}

// batchSchema is the schema of an answer.
func batchSchema(columns []engine.Column, integers bool, meta map[string]string) *arrow.Schema {
	fields := make([]arrow.Field, len(columns))
	for i, c := range batchColumns(columns, integers) {
		fields[i] = c.Field()
	}
	md := metadataOf(meta)
	return arrow.NewSchema(fields, &md)
}

// metadataOf is metadata in a fixed order, so that two descriptions of one thing are equal.
func metadataOf(m map[string]string) arrow.Metadata {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	values := make([]string, len(keys))
	for i, k := range keys {
		values[i] = m[k]
	}
	return arrow.NewMetadata(keys, values)
}
