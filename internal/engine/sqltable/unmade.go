package sqltable

import (
	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/engine/session"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/table"
)

// Unmade is a table that is not there yet: it is empty, and made by the first row that is inserted.
func Unmade(defs *Defs, d *Def, p *session.Part, empty *table.View) *Writable {
	t := Open(defs, d, p, true)
	t.Table.empty = empty
	return t
}

// maker is an editor that makes the table before the first row.
type maker struct {
	*editor
	made bool
}

// Insert implements sql.RowInserter.
func (m *maker) Insert(ctx *sql.Context, row sql.Row) error {
	if !m.made {
		name := m.def.Stored
		err := m.t.part.Change(func(tx *repo.Tx) error {
			if _, _, ok, err := tx.Table(ctx, name); err != nil || ok {
				return err
			}
			return tx.CreateTable(ctx, name, m.def.Schema.Schema.Clone())
		})
		if err != nil {
			return err
		}
		m.made = true
	}
	return m.editor.Insert(ctx, row)
}

// tableEditor is the editor of t for one statement.
func (t *Writable) tableEditor() sql.TableEditor {
	e := newEditor(t)
	if t.Table.empty != nil {
		return &maker{editor: e}
	}
	return e
}
