package frame

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"golang.org/x/sync/errgroup"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/pack"
	"github.com/stemmadb/stemma/internal/page"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
	"github.com/stemmadb/stemma/internal/vfs"
)

// Mode says what becomes of the rows that a table has.
type Mode string

// The modes.
const (
	Create       Mode = "create"        // the table is made; an error when it is there
	Append       Mode = "append"        // rows are added; a key that is there is an error
	CreateAppend Mode = "create_append" // either of the two
	Replace      Mode = "replace"       // rows and schema are taken anew
	ReplaceRows  Mode = "replace_rows"  // rows are taken anew, the schema stays
	Upsert       Mode = "upsert"        // rows are added, or changed where their key is there
	Merge        Mode = "merge"         // as Upsert, and rows whose key the frame does not have are deleted
)

// Modes are all modes.
var Modes = []Mode{Create, Append, CreateAppend, Replace, ReplaceRows, Upsert, Merge}

// Target is where tables are: a transaction.
type Target interface {
	Store() *pack.Batch
	Table(ctx context.Context, name string) (v *table.View, written string, ok bool, err error)
	Editor(ctx context.Context, name string) (*table.Editor, error)
	FoldTable(ctx context.Context, name string) (*table.Table, error)
	PutTable(ctx context.Context, name string, t *table.Table) error
	// NoteAnew takes note that all rows of a table are the frame's.
	NoteAnew(name string)
	NextAuto(ctx context.Context, name string, given uint64) (uint64, error)
	// Completer is for rows of a table with CHECK constraints or generated columns; nil without them, or where nobody can evaluate them.
	Completer(ctx context.Context, name string) (table.Complete, error)
}

// Source gives the batches of a frame. Next's batches are the reader's to release; nil is the end.
type Source interface {
	Schema() *arrow.Schema
	Next(ctx context.Context) (arrow.RecordBatch, error)
}

// LoadOptions steer Load.
type LoadOptions struct {
	Mode       Mode
	PrimaryKey []string // nil: that of the table; of a new one none
	FS         vfs.FS   // for files of sorts
	TempDir    string
	Memory     int // bytes for buffers of sorts; 0 is 64 MiB
	Now        time.Time
	Workers    int // 0: as many as processors
	Few        int // as many rows are written as edits, more as a table made anew; 0 is 50,000
}

// Result says what a Load did.
type Result struct {
	Rows      uint64 // of the frame
	Inserted  uint64
	Updated   uint64
	Deleted   uint64
	Unchanged uint64
	Created   bool     // the table was made
	Generated []string // columns of the frame that the table generates: what the frame had there was not written
}

// Load writes a frame into a table of the target, which the caller commits. After an error the target may hold a part of the frame.
// Errors about cells are *CellError, about columns *ColumnError.
func Load(ctx context.Context, to Target, name string, src Source, opt LoadOptions) (*Result, error) {
	if opt.Memory <= 0 {
		opt.Memory = 64 << 20
	}
	if opt.Workers <= 0 {
		opt.Workers = runtime.GOMAXPROCS(0)
	}
	if opt.Few <= 0 {
		opt.Few = fewRows
	}
	l := &load{to: to, name: name, src: src, opt: opt, res: &Result{}}
	if err := l.prepare(ctx); err != nil {
		return nil, err
	}
	var err error
	switch l.opt.Mode {
	case Upsert, Merge:
		err = l.merge(ctx)
	case Append:
		err = l.append(ctx)
	default:
		err = l.whole(ctx)
	}
	if err != nil {
		return nil, err
	}
	if l.replaces() {
		to.NoteAnew(l.name)
	}
	return l.res, nil
}

// replaces tells whether the table has the frame's rows and no others afterwards.
func (l *load) replaces() bool { return l.opt.Mode != Append && l.opt.Mode != Upsert }

// load is one Load.
type load struct {
	to   Target
	name string
	src  Source
	opt  LoadOptions
	res  *Result

	view     *table.View // of the table that is there; nil: it is made
	schema   *schema.Compiled
	columns  []int        // column of the table of each of the frame
	cells    []int        // cell of a tuple of each column of the frame
	template []value.Cell // a row before the frame's cells
	absent   []int        // cells that the frame does not give
	auto     int          // cell of the AUTO_INCREMENT column; -1
	later    bool         // rows are completed where they become edits, not where they are encoded
}

// prepare finds or makes the schema, and matches the columns.
func (l *load) prepare(ctx context.Context) error {
	v, written, exists, err := l.to.Table(ctx, l.name)
	if err != nil {
		return err
	}
	if exists {
		l.name = written
	}
	key := l.opt.PrimaryKey
	switch mode := l.opt.Mode; mode {
	case Create:
		if exists {
			return errs.New(errs.Exists, "table %s already exists", l.name)
		}
	case CreateAppend:
		l.opt.Mode = Create
		if exists {
			l.opt.Mode = Append
		}
	case Append, ReplaceRows:
		if !exists {
			return errs.New(errs.NotFound, "table not found: %s", l.name)
		}
	case Upsert, Merge:
		if exists && v.Schema().Keyless() {
			return bad("%s needs a primary key, which table %s does not have; use append or replace_rows", mode, l.name)
		}
		if !exists {
			if len(key) == 0 {
				return bad("%s needs a primary key: name its columns, as there is no table %s yet", mode, l.name)
			}
			l.opt.Mode = Create
		}
	case Replace:
		if exists && key == nil {
			key = keptKey(v.Schema().Schema, l.src.Schema())
		}
	default:
		return bad("unknown mode %q", mode)
	}
	if l.opt.Mode == Create || l.opt.Mode == Replace {
		l.res.Created = !exists
		s, err := SchemaOf(l.src.Schema(), key)
		if err != nil {
			return err
		}
		if l.schema, err = schema.Compile(s); err != nil {
			return err
		}
	} else {
		if err := sameKey(v.Schema().Schema, key); err != nil {
			return err
		}
		l.view, l.schema = v, v.Schema()
	}
	return l.match()
}

// keptKey is the key of the table when the frame has all its columns, else none.
func keptKey(s *schema.Schema, frame *arrow.Schema) []string {
	names := KeyNames(s)
	have := map[string]bool{}
	for _, f := range frame.Fields() {
		if i := s.ColumnIndex(f.Name); i >= 0 {
			have[s.Columns[i].Name] = true
		}
	}
	for _, n := range names {
		if !have[n] {
			return nil
		}
	}
	return names
}

// match pairs the frame's columns with those of the table.
func (l *load) match() error {
	s := l.schema
	if err := distinct(l.src.Schema()); err != nil {
		return err
	}
	l.withoutGenerated()
	shift := 0
	if s.Keyless() {
		shift = 1
	}
	l.auto = -1
	l.template = make([]value.Cell, shift+len(s.Columns))
	given := make([]bool, len(s.Columns))
	for _, f := range l.src.Schema().Fields() {
		c := s.ColumnIndex(f.Name)
		if c < 0 {
			return &ColumnError{Column: f.Name, Near: errs.Nearest(f.Name, columnNames(s))}
		}
		given[c] = true
		l.columns, l.cells = append(l.columns, c), append(l.cells, c+shift)
	}
	for c := range s.Columns {
		col := &s.Columns[c]
		switch {
		case col.Generated != "" && s.InPrimaryKey(col.ID):
			return errs.New(errs.Unsupported, "column %s of the primary key of table %s is generated, which only SQL can do: insert the rows with SQL", col.Name, l.name)
		case col.Generated != "":
		case given[c]:
			if col.AutoIncrement {
				l.auto = c + shift
			}
			continue
		case s.InPrimaryKey(col.ID) && !col.AutoIncrement:
			return &ColumnError{Column: col.Name, Frame: true}
		case col.AutoIncrement:
			if l.opt.Mode == Upsert || l.opt.Mode == Merge {
				return &ColumnError{Column: col.Name, Frame: true}
			}
			l.auto = c + shift
		default:
			cell, err := col.DefaultCell(l.opt.Now)
			if err != nil {
				return errs.New(errs.CodeOf(err), "the frame has no column %s: %w", col.Name, err)
			}
			l.template[c+shift] = cell
		}
		l.absent = append(l.absent, c+shift)
	}
	if l.auto >= 0 {
		l.opt.Workers = 1
	}
	return nil
}

// unit is a part of a batch that a worker encodes.
type unit struct {
	batch arrow.RecordBatch
	first uint64 // row of the frame
	out   encoded
	done  chan error
}

// encoded is rows as keys and tuples, one behind the other.
type encoded struct {
	data  []byte
	spans []span
}

// span is the lengths of a row's key and tuple.
type span struct{ key, row int }

// unitRows is how many rows a worker encodes at a time.
const unitRows = 4096

// encode reads the frame and gives its rows in order to take: encoded, with the row of the frame. Of keyless tables the ordinals begin
// with first.
func (l *load) encode(ctx context.Context, first int64, take func(u *unit) error) error {
	// The transaction is for one goroutine at a time: what of it the workers need they get before they begin.
	workers := make([]*worker, l.opt.Workers)
	for i := range workers {
		workers[i] = &worker{l: l, enc: table.NewEncoder(l.to.Store(), l.schema), cells: make([]value.Cell, len(l.template)), ordinal: first}
		if l.later {
			continue
		}
		complete, err := l.completer(ctx)
		if err != nil {
			return err
		}
		if complete != nil {
			w := workers[i]
			w.held = table.NewCompleting(l.schema, complete, w.append, func(cells []value.Cell, at uint64, column string, err error) error {
				return l.rowError(column, cells, at, err)
			})
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	work := make(chan *unit, l.opt.Workers)
	order := make(chan *unit, 2*l.opt.Workers)
	free := make(chan *unit, 4*l.opt.Workers)
	g.Go(func() error {
		defer close(work)
		defer close(order)
		var at uint64
		for {
			b, err := l.src.Next(ctx)
			if err != nil {
				return err
			}
			if b == nil {
				return nil
			}
			for lo := int64(0); lo < b.NumRows(); lo += unitRows {
				var u *unit
				select {
				case u = <-free:
				default:
					u = &unit{done: make(chan error, 1)}
				}
				u.batch, u.first = b.NewSlice(lo, min(lo+unitRows, b.NumRows())), at
				at += uint64(u.batch.NumRows())
				for _, to := range []chan *unit{work, order} {
					select {
					case to <- u:
					case <-ctx.Done():
						b.Release()
						return ctx.Err()
					}
				}
			}
			b.Release()
		}
	})
	for _, w := range workers {
		g.Go(func() error {
			for u := range work {
				u.done <- w.unit(ctx, u)
			}
			return nil
		})
	}
	g.Go(func() error {
		for u := range order {
			var err error
			select {
			case err = <-u.done:
			case <-ctx.Done():
				return ctx.Err()
			}
			if err == nil {
				err = take(u)
			}
			u.batch.Release()
			u.batch = nil
			if err != nil {
				return err
			}
			select {
			case free <- u:
			default:
			}
		}
		return nil
	})
	return g.Wait()
}

// worker encodes rows.
type worker struct {
	l       *load
	enc     *table.Encoder
	cells   []value.Cell
	row     []byte
	ordinal int64 // of the first row of the frame, for keyless tables

	held *table.Completing[uint64] // nil: rows are complete as they are
	into *unit                     // that held rows go to
}

// readers are the columns of a batch.
type readers struct {
	null []func(i int) bool
	cell []page.CellFunc
}

// readers has read read the columns of a batch as cells of the table.
func (l *load) readers(b arrow.RecordBatch, read func(arrow.Array, value.Type) (page.CellFunc, error)) (*readers, error) {
	r := &readers{}
	for i, c := range l.columns {
		col := &l.schema.Columns[c]
		f, err := read(b.Column(i), col.Type)
		if err != nil {
			return nil, &CellError{Column: col.Name, Row: NoRow, Err: err}
		}
		r.cell = append(r.cell, f)
		null := b.Column(i).IsNull
		if b.Column(i).NullN() == 0 {
			null = nil
		}
		r.null = append(r.null, null)
	}
	return r, nil
}

// fill puts row i into cells. at is the row of the frame.
func (l *load) fill(r *readers, cells []value.Cell, i int, at uint64) error {
	for k, of := range r.cell {
		c := value.Null
		var err error
		if r.null[k] == nil || !r.null[k](i) {
			c, err = of(i)
		}
		col := &l.schema.Columns[l.columns[k]]
		if err == nil && c.IsNull() && !col.AutoIncrement && (!col.Nullable || l.schema.InKey[l.cells[k]]) {
			err = errs.New(errs.Constraint, "NULL in a column that is NOT NULL")
		}
		if err != nil {
			return &CellError{Column: col.Name, Row: at, Err: err}
		}
		cells[l.cells[k]] = c
	}
	return nil
}

// unit encodes the rows of a unit.
func (w *worker) unit(ctx context.Context, u *unit) error {
	l := w.l
	w.into = u
	u.out.data, u.out.spans = u.out.data[:0], u.out.spans[:0]
	r, err := l.readers(u.batch, page.ReadArrow)
	if err != nil {
		return err
	}
	copy(w.cells, l.template)
	for i := range int(u.batch.NumRows()) {
		at := u.first + uint64(i)
		if l.auto >= 0 {
			w.cells[l.auto] = value.Null
		}
		if err := l.fill(r, w.cells, i, at); err != nil {
			if w.held != nil { // rows that are held come before it
				return cmp.Or(w.held.Flush(ctx), err)
			}
			return err
		}
		if l.auto >= 0 {
			if err := l.number(ctx, w.cells); err != nil {
				return err
			}
		}
		if l.schema.Keyless() {
			w.cells[0] = value.IntCell(w.ordinal + int64(at))
		}
		if w.held == nil {
			err = w.append(ctx, w.cells, at)
		} else {
			err = w.held.Add(ctx, w.cells, at)
		}
		if err != nil {
			return err
		}
	}
	if w.held == nil {
		return nil
	}
	return w.held.Flush(ctx)
}

// append appends a row to the unit.
func (w *worker) append(ctx context.Context, cells []value.Cell, at uint64) error {
	u := w.into
	before := len(u.out.data)
	data, row, err := w.enc.Append(ctx, u.out.data, w.row[:0], cells)
	if err != nil {
		return &CellError{Row: at, Err: err}
	}
	w.row = row
	u.out.data = append(data, row...)
	u.out.spans = append(u.out.spans, span{len(data) - before, len(row)})
	return nil
}

// number gives a row its AUTO_INCREMENT value.
func (l *load) number(ctx context.Context, cells []value.Cell) (err error) {
	t := l.schema.Columns[l.schema.AutoColumn()].Type
	cells[l.auto], err = table.AutoCell(t, cells[l.auto], func(given uint64) (uint64, error) { return l.to.NextAuto(ctx, l.name, given) })
	return err
}

// loaderOptions are the options of a table loader.
func (l *load) loaderOptions() table.LoadOptions {
	return table.LoadOptions{FS: l.opt.FS, TempDir: l.opt.TempDir, Memory: l.opt.Memory}
}

// whole makes the table of the frame alone.
func (l *load) whole(ctx context.Context) (err error) {
	old, _, had, err := l.to.Table(ctx, l.name)
	if err != nil {
		return err
	}
	if had && l.opt.Mode != Create {
		l.res.Deleted = old.Count()
	}
	return l.into(ctx, table.Empty(l.schema), nil)
}

// into loads the frame into base, after rows that were read already, and puts the table.
func (l *load) into(ctx context.Context, base *table.Table, before *rowList) (err error) {
	to, err := table.NewLoader(ctx, l.to.Store(), base, l.loaderOptions())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	add := func(key, row []byte, at uint64) error {
		if err := to.Add(ctx, key, row); err != nil {
			return l.duplicate(err, row, at)
		}
		return nil
	}
	if before != nil {
		if err := before.each(add); err != nil {
			return err
		}
		if err := before.rest(ctx, add); err != nil {
			return err
		}
	} else if err := l.encode(ctx, 0, func(u *unit) error { return u.each(add) }); err != nil {
		return err
	}
	t, stats, err := to.Finish(ctx)
	if err != nil {
		return err
	}
	l.res.Rows, l.res.Inserted = stats.Rows, stats.Rows
	return l.to.PutTable(ctx, l.name, t)
}

// duplicate names the row of the frame in an error about a key that came before.
func (l *load) duplicate(err error, row []byte, at uint64) error {
	if !errs.Is(err, errs.DuplicateKey) {
		return err
	}
	return &CellError{Column: keyColumn(l.schema), Row: at,
		Err: errs.New(errs.DuplicateKey, "the primary key %s comes twice", table.DescribeKey(l.schema, row))}
}

// keyColumn is the first column of the primary key.
func keyColumn(s *schema.Compiled) string {
	if names := KeyNames(s.Schema); len(names) > 0 {
		return names[0]
	}
	return ""
}

// each gives the rows of a unit.
func (u *unit) each(fn func(key, row []byte, at uint64) error) error {
	at := 0
	for i, s := range u.out.spans {
		if err := fn(u.out.data[at:at+s.key], u.out.data[at+s.key:at+s.key+s.row], u.first+uint64(i)); err != nil {
			return err
		}
		at += s.key + s.row
	}
	return nil
}
