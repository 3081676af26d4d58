package ingest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/tree"
	"github.com/stemmadb/stemma/internal/value"
)

// LoadOptions steer Load.
type LoadOptions struct {
	table.LoadOptions // OnDuplicate among them
	Format            Format
	Names             []string // of the file's fields, for messages
	Columns           []int    // the column of the table that each field goes to; -1 leaves the field out
	Keep              bool     // a row whose key the table has keeps the values of the columns that the file lacks
	Workers           int      // 0: as many as processors
	Now               time.Time

	// Reject is given the records that cannot be loaded, in the file's order, the line end among their bytes. Behind these come, with
	// table.IgnoreDuplicate and in the file's order too, the records whose key another row has with other values in the columns of the
	// file. When it is nil the first record that cannot be loaded ends the load, and nobody hears of duplicates that are passed over.
	Reject func(raw []byte, bad *LineError) error
	// Auto gives the AUTO_INCREMENT value of a row: the given one, of which it takes notice, or the next when given is 0. It is needed
	// for tables that have such a column, and is called in the file's order.
	Auto func(ctx context.Context, given uint64) (uint64, error)
	// Completer makes a Complete of the table. It is needed for tables that have CHECK constraints or generated columns, for which the
	// file has no columns.
	Completer func(ctx context.Context) (table.Complete, error)
	// Bytes is told how many bytes more have been read; it may be nil.
	Bytes func(int64)
}

// Stats count the rows of a Load.
type Stats struct {
	Rows     uint64 // records that are not among Rejected
	Added    uint64 // new keys
	Modified uint64 // keys whose row is another than before
	NoEffect uint64 // rows that were there already, or that another of the file replaced or preceded
	Rejected uint64 // records that were given to Reject
}

// Load gives the table base with the rows of a file. Chunks go to st; base is not changed, and after an error nothing is but chunks that
// nobody names. A duplicate key that is not to be passed over is an error of class DuplicateKey that names the lines.
func Load(ctx context.Context, st chunk.Store, base *table.Table, src Source, opt LoadOptions) (*table.Table, Stats, error) {
	if opt.Format.Columnar() {
		src.Unit = "row"
	}
	l, err := newLoading(st, base, src, opt)
	if err != nil {
		return nil, Stats{}, err
	}
	if l.run = l.text; opt.Format.Columnar() {
		l.run = l.columnar
	}
	return l.load(ctx, base)
}

// load reads the rows into a new table.
func (l *loading) load(ctx context.Context, base *table.Table) (t *table.Table, stats Stats, err error) {
	left := newLeftOut(l, &l.opt.LoadOptions)
	defer func() { err = errors.Join(err, left.close()) }()
	to, err := table.NewLoader(ctx, l.st, base, l.opt.LoadOptions)
	if err != nil {
		return nil, stats, err
	}
	defer func() {
		if e := to.Close(); err == nil {
			err = e
		}
	}()
	if err := l.run(ctx, func(b *loaded) error { return l.add(ctx, to, left, b) }); err != nil {
		return nil, l.stats, err
	}
	t, ls, err := to.Finish(ctx)
	if errs.Is(err, errs.DuplicateKey) && !l.once {
		err = l.explain(ctx, err)
	}
	if err != nil {
		return nil, l.stats, err
	}
	if err := left.give(ctx); err != nil {
		return nil, l.stats, err
	}
	stats = l.stats
	stats.Rows, stats.Added = ls.Rows-left.count(), ls.Added
	if base.Rows.Count > 0 && ls.Replaced > 0 {
		err = tree.Diff(ctx, l.st, base.Schema.Primary.Format, base.Rows, t.Rows, nil, nil, func(c tree.Change) error {
			if c.A != nil && c.B != nil {
				stats.Modified++
			}
			return nil
		})
	}
	stats.NoEffect = stats.Rows - stats.Added - stats.Modified
	return t, stats, err
}

// loading is what the workers of one Load share.
type loading struct {
	st       chunk.Store
	schema   *schema.Compiled
	src      Source
	opt      LoadOptions
	fields   []field
	template []value.Cell // a row's cells before those of the file
	absent   []int        // cells that the file does not give
	view     *table.View  // where rows keep values from; nil for nowhere
	auto     int          // cell of the AUTO_INCREMENT column; -1

	completes bool   // rows need a Complete
	raw       []bool // fields that need not be text
	stats     Stats

	run  func(ctx context.Context, take func(*loaded) error) error // reads the rows and gives them to take, in their order
	once bool                                                      // run cannot be called again
}

// loaded is rows that have been read.
type loaded struct {
	rows *batch
	line int64 // from which those of the rows count
	at   int64 // place in the file from which those of the rows count
	read int64 // bytes of the file, rows of a stream
}

// field says what becomes of a field.
type field struct {
	cell    int // -1: nothing
	typ     value.Type
	notNull bool
	empty   bool // a quoted field without characters is a value
}

func newLoading(st chunk.Store, base *table.Table, src Source, opt LoadOptions) (*loading, error) {
	s := base.Schema
	if opt.Workers <= 0 {
		opt.Workers = runtime.GOMAXPROCS(0)
	}
	shift := 0
	if s.Keyless() {
		shift = 1
	}
	l := &loading{
		st: st, schema: s, src: src, opt: opt, template: make([]value.Cell, shift+len(s.Columns)),
		fields: make([]field, len(opt.Columns)), raw: make([]bool, len(opt.Columns)), auto: -1,
	}
	if shift > 0 {
		l.template[0] = value.IntCell(0)
	}
	if l.completes = table.NeedsComplete(s); l.completes && opt.Completer == nil {
		return nil, l.incomplete()
	}
	given := make([]bool, len(s.Columns))
	for i, c := range opt.Columns {
		l.fields[i] = field{cell: -1}
		if c < 0 {
			continue
		}
		given[c] = true
		col := &s.Columns[c]
		l.fields[i] = field{
			cell: c + shift, typ: col.Type, notNull: !col.Nullable && !col.AutoIncrement || s.InPrimaryKey(col.ID) && !col.AutoIncrement,
			empty: holdsEmpty(col.Type),
		}
		l.raw[i] = holdsBytes(col.Type)
	}
	for c := range s.Columns {
		col := &s.Columns[c]
		switch {
		case col.Generated != "" && s.InPrimaryKey(col.ID):
			return nil, errs.New(errs.Unsupported, "import %s: column %s of the primary key is generated, which only SQL can do: use LOAD DATA", src.Name, col.Name)
		case col.Generated != "":
			if given[c] {
				return nil, errs.New(errs.Invalid, "import %s: column %s is generated from the others, so that the file cannot give it", src.Name, col.Name)
			}
		case col.AutoIncrement:
			l.auto, l.opt.Workers = c+shift, 1
			if opt.Auto == nil {
				return nil, errs.New(errs.Internal, "import %s: nobody gives AUTO_INCREMENT values", src.Name)
			}
		case !given[c]:
			cell, err := col.DefaultCell(opt.Now)
			if err != nil {
				return nil, errs.New(errs.CodeOf(err), "import %s: %w", src.Name, err)
			}
			l.template[c+shift] = cell
			l.absent = append(l.absent, c+shift)
		}
	}
	if opt.Keep && len(l.absent) > 0 && base.Rows.Count > 0 && shift == 0 {
		l.view = table.NewView(st, base, nil)
	}
	return l, nil
}

// newRowWorker makes what one worker needs.
func (l *loading) newRowWorker(ctx context.Context) *rowWorker {
	w := &rowWorker{l: l, enc: table.NewEncoder(l.st, l.schema), cells: make([]value.Cell, len(l.template))}
	if l.view != nil {
		w.old = make([]value.Cell, len(l.template))
	}
	if !l.completes {
		return w
	}
	complete, err := l.opt.Completer(ctx)
	switch {
	case err != nil:
		w.err = fmt.Errorf("import %s: %w", l.src.Name, err)
		return w
	case complete == nil:
		w.err = l.incomplete()
		return w
	}
	w.held = table.NewCompleting(l.schema, complete, w.append, func(_ []value.Cell, from rowSpan, column string, err error) error {
		return w.refuse(from, &LineError{Column: column, Err: err})
	})
	return w
}

// incomplete is the error of a load of rows that nobody completes.
func (l *loading) incomplete() error {
	return errs.New(errs.Unsupported, "import %s: the table has CHECK constraints or generated columns, which only SQL can evaluate here: use LOAD DATA", l.src.Name)
}

// text reads a file of records.
func (l *loading) text(ctx context.Context, take func(*loaded) error) error {
	worker := func() func(*block, *batch) error {
		w := l.newRowWorker(ctx)
		w.split = newSplitter(l.opt.Format, l.opt.Names, l.forms())
		return func(b *block, out *batch) error { return w.block(ctx, b, out) }
	}
	return each(ctx, newFramer(l.src, l.opt.Format).next, l.opt.Workers, worker, func(b *block, out *batch) error {
		return take(&loaded{rows: out, line: b.line, at: b.at, read: b.read})
	})
}

// add gives rows to the table loader.
func (l *loading) add(ctx context.Context, to rowSink, left *leftOut, b *loaded) error {
	rows := b.rows
	for _, r := range rows.rejects {
		l.stats.Rejected++
		if err := l.opt.Reject(r.raw, r.bad); err != nil {
			return err
		}
	}
	var key, row []byte // of a keyless table
	at := 0
	for _, r := range rows.rows {
		k := rows.data[at : at+r.key]
		v := rows.data[at+r.key : at+r.key+r.row]
		at += r.key + r.row
		if l.schema.Keyless() {
			key, row = l.number(key[:0], row[:0], v, to.NextOrdinal())
			k, v = key, row
		}
		if err := to.AddTagged(ctx, k, v, left.tagOf(b, r)); err != nil {
			if errs.Is(err, errs.DuplicateKey) {
				err = &LineError{File: l.src.Name, Unit: l.src.Unit, Line: b.line + int64(r.line), Err: errs.New(errs.DuplicateKey,
					"the %s before has the same primary key, %s", l.src.unit(), table.DescribeKey(l.schema, v))}
			}
			return err
		}
	}
	if l.opt.Bytes != nil {
		l.opt.Bytes(b.read)
	}
	return nil
}

// rowSink takes rows as a table.Encoder makes them.
type rowSink interface {
	AddTagged(ctx context.Context, key, row, tag []byte) error
	NextOrdinal() int64
}

// number makes the key and the tuple of a keyless row that a worker encoded with the ordinal 0, which is the byte behind the bitmap.
func (l *loading) number(key, row, tuple []byte, ordinal int64) (k, r []byte) {
	bitmap := (len(l.template) + 7) / 8
	row = append(row, tuple[:bitmap]...)
	row = binary.AppendVarint(row, ordinal)
	row = append(row, tuple[bitmap+1:]...)
	return value.AppendKeyPart(key, &l.schema.Primary.Parts[0], value.IntCell(ordinal)), row
}

// explain finds the lines of the rows that the loader's error is about, by the key as the error shows it and then by its bytes.
func (l *loading) explain(ctx context.Context, dup error) error {
	var key []byte
	var lines []int64
	again := *l
	again.opt.Auto = func(_ context.Context, given uint64) (uint64, error) { return given, nil }
	again.opt.Reject = func([]byte, *LineError) error { return nil }
	find := func(match func(k, v []byte) bool) error {
		return l.rerun(ctx, &again, func(b *loaded) error {
			rows, at := b.rows, 0
			for _, r := range rows.rows {
				k, v := rows.data[at:at+r.key], rows.data[at+r.key:at+r.key+r.row]
				at += r.key + r.row
				if match(k, v) {
					lines = append(lines, b.line+int64(r.line))
					if len(lines) == 2 {
						return errFound
					}
				}
			}
			return nil
		})
	}
	err := find(func(k, v []byte) bool {
		if key == nil && strings.HasSuffix(dup.Error(), " "+table.DescribeKey(l.schema, v)) {
			key = append(key, k...)
		}
		return false
	})
	if err != nil || key == nil {
		return errors.Join(dup, err)
	}
	err = find(func(k, _ []byte) bool { return string(k) == string(key) })
	switch {
	case err != nil && !errors.Is(err, errFound):
		return errors.Join(dup, err)
	case len(lines) == 2:
		return &LineError{File: l.src.Name, Unit: l.src.Unit, Line: lines[1], Err: errs.New(errs.DuplicateKey, "%w; %s %d has it too", dup, l.src.unit(), lines[0])}
	}
	return &LineError{File: l.src.Name, Unit: l.src.Unit, Line: lines[0], Err: errs.New(errs.DuplicateKey, "%w; the table has it already", dup)}
}

// rerun reads the file once more with other options.
func (l *loading) rerun(ctx context.Context, again *loading, take func(*loaded) error) error {
	if again.opt.Format.Columnar() {
		return again.columnar(ctx, take)
	}
	return again.text(ctx, take)
}

// errFound ends a search early.
var errFound = errors.New("found")
