package sqltable

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/engine/session"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// editor edits the rows of a table for one statement.
type editor struct {
	t       *Writable
	def     *Def
	ed      *table.Editor // of the transaction
	gen     int           // of the part when ed was got
	old     []value.Cell  // scratch
	new     []value.Cell  // scratch
	kept    []bool        // of a column: its values are in the rows
	keyless *keyless      // of a table without primary key
	err     error         // of StatementBegin, which cannot return it

	complete table.Complete // of rows of def.unchecked; nil until the first
}

var _ sql.TableEditor = (*editor)(nil)

func newEditor(t *Writable) *editor {
	n := len(t.def.Schema.Primary.Phys)
	e := &editor{t: t, def: t.def, old: make([]value.Cell, n), new: make([]value.Cell, n), kept: t.def.kept}
	if t.def.Schema.Keyless() {
		e.keyless = &keyless{e: e}
	}
	return e
}

// StatementBegin implements sql.EditOpenerCloser.
func (e *editor) StatementBegin(ctx *sql.Context) {
	if e.err = e.t.refused(); e.err == nil {
		e.err = e.t.part.BeginStatement(ctx, e.def.Stored)
	}
}

// DiscardChanges implements sql.EditOpenerCloser: it takes back all edits of the statement.
func (e *editor) DiscardChanges(*sql.Context, error) error {
	if e.t.frozen {
		return nil
	}
	e.t.part.DiscardStatement()
	if e.keyless != nil {
		e.keyless.forget()
	}
	return nil
}

// StatementComplete implements sql.EditOpenerCloser.
func (e *editor) StatementComplete(ctx *sql.Context) error {
	if e.t.frozen {
		return nil
	}
	if e.keyless != nil {
		if err := e.keyless.apply(ctx); err != nil {
			e.t.part.DiscardStatement()
			return e.fail(ctx, err)
		}
	}
	return e.t.part.CompleteStatement(ctx)
}

// Close implements sql.Closer.
func (e *editor) Close(*sql.Context) error { return nil }

// rows is the transaction's editor of the table.
func (e *editor) rows(ctx *sql.Context) (*table.Editor, error) {
	if e.err == nil {
		e.err = e.t.refused()
	}
	if e.err != nil {
		return nil, e.err
	}
	if p := e.t.part; e.ed == nil || e.gen != p.Generation() {
		ed, err := p.Editor(ctx, e.def.Stored)
		if err != nil {
			return nil, err
		}
		e.ed, e.gen = ed, p.Generation()
	}
	return e.ed, nil
}

// Insert implements sql.RowInserter.
func (e *editor) Insert(ctx *sql.Context, row sql.Row) error {
	ed, err := e.rows(ctx)
	if err != nil {
		return e.fail(ctx, err)
	}
	if err := e.def.rows.ToCells(ctx, row, e.new); err != nil {
		return err
	}
	if err := checkText(e.def.Schema, e.def.ascii, e.new, len(e.new)-len(e.def.codecs)); err != nil {
		return err
	}
	if err := e.check(ctx); err != nil {
		return err
	}
	return e.fail(ctx, ed.Insert(ctx, e.new))
}

// Update implements sql.RowUpdater.
func (e *editor) Update(ctx *sql.Context, old, new sql.Row) error {
	ed, err := e.rows(ctx)
	if err != nil {
		return e.fail(ctx, err)
	}
	if err := e.newCells(ctx, old, new); err != nil { // unlike Insert, without reading what stays
		return err
	}
	if err := e.check(ctx); err != nil {
		return err
	}
	if e.keyless != nil {
		return e.fail(ctx, e.keyless.edit(ctx, ed, old, e.new))
	}
	if err := e.keyCells(ctx, old); err != nil {
		return err
	}
	ok, err := ed.Update(ctx, e.old, e.new)
	if err == nil && !ok {
		// The row was deleted by this statement, which can meet one row several times in a join.
		return nil
	}
	return e.fail(ctx, err)
}

// check holds the new row against CHECK constraints where the engine does not: it asks the wrapper of a table with virtual columns for them,
// which has none.
func (e *editor) check(ctx *sql.Context) error {
	if !e.def.unchecked {
		return nil
	}
	if e.complete == nil {
		var err error
		if e.complete, err = e.t.part.Tx().Completer(ctx, e.def.Name); err != nil {
			return session.Error(err)
		}
	}
	err := table.CompleteRow(ctx, e.complete, e.new)
	return session.Error(err)
}

// Delete implements sql.RowDeleter.
func (e *editor) Delete(ctx *sql.Context, row sql.Row) error {
	ed, err := e.rows(ctx)
	if err != nil {
		return e.fail(ctx, err)
	}
	if e.keyless != nil {
		return e.fail(ctx, e.keyless.edit(ctx, ed, row, nil))
	}
	if err := e.keyCells(ctx, row); err != nil {
		return err
	}
	ok, err := ed.Delete(ctx, e.old)
	if err == nil && !ok {
		return sql.ErrDeleteRowNotFound.New()
	}
	return e.fail(ctx, err)
}

// keyCells fills old with the cells of a row's primary key.
func (e *editor) keyCells(ctx *sql.Context, row sql.Row) error {
	for _, at := range e.def.Schema.Primary.Key {
		c, err := e.def.codecs[at].ToCell(ctx, row[at])
		if err != nil {
			return err
		}
		e.old[at] = c
	}
	return nil
}

// newCells fills new with the cells of a row. Values out of line that the update leaves as they are are not read.
func (e *editor) newCells(ctx *sql.Context, old, new sql.Row) error {
	first := len(e.new) - len(e.def.codecs)
	for i, c := range e.def.codecs {
		at := first + i
		if !e.kept[i] {
			continue
		}
		if a := address(new[i]); a != nil && bytes.Equal(a, address(old[i])) {
			e.new[at] = value.AddrCell(a)
			continue
		}
		cell, err := c.ToCell(ctx, new[i])
		if err != nil {
			return err
		}
		e.new[at] = cell
	}
	return checkText(e.def.Schema, e.def.ascii, e.new, first)
}

// address is where a lazy value lies out of line; nil for other values.
func address(v any) []byte {
	if a, ok := v.(interface{ Addr() []byte }); ok {
		return a.Addr()
	}
	return nil
}

// fail gives an error of the table below the kind that the engine knows.
func (e *editor) fail(ctx *sql.Context, err error) error {
	var dup *table.DuplicateKeyError
	if !errors.As(err, &dup) {
		return session.Error(err)
	}
	existing := make(sql.Row, len(e.def.codecs))
	v, _, _, verr := e.t.part.Table(ctx, e.def.Stored)
	if verr != nil {
		return session.Error(verr)
	}
	dec := newDecoder(v.Reader(), e.def.sources(nil, e.def.cells), e.def.Schema.Primary.Phys)
	if err := dec.row(ctx, dup.Existing, existing); err != nil {
		return session.Error(err)
	}
	values := e.def.keyText(dup)
	if s, ok := ctx.Session.(interface{ SetDuplicate(text string) }); ok {
		s.SetDuplicate(fmt.Sprintf("Duplicate entry '%s' for key '%s.%s'", strings.Join(values, "-"), e.def.Name, dup.Index))
	}
	return sql.NewUniqueKeyErr("["+strings.Join(values, ",")+"]", dup.Index == primaryID, existing)
}

// keyText shows the values of a key.
func (d *Def) keyText(dup *table.DuplicateKeyError) []string {
	cols := d.Schema.PrimaryKey
	if i := d.Schema.IndexByName(dup.Index); i >= 0 && dup.Index != primaryID {
		cols = d.Schema.Indexes[i].Columns
	}
	parts := make([]string, len(dup.Values))
	for i, c := range dup.Values {
		parts[i] = d.valueText(cols, i, c)
	}
	return parts
}

func (d *Def) valueText(cols []schema.IndexColumn, i int, c value.Cell) string {
	if i >= len(cols) {
		return "?"
	}
	codec := d.codecs[d.Schema.ColumnByID(cols[i].Column)]
	if c.IsNull() {
		return "NULL"
	}
	if v, err := codec.FromCell(c); err == nil {
		if _, ok := v.([]byte); !ok {
			return fmt.Sprint(v)
		}
	}
	return string(value.AppendText(nil, codec.Type, c))
}
