// Package sqltable shows tables to the SQL engine: their rows, indexes and statistics, and the editing and altering of them.
//
// A Table is a view of a table with a projection; a Writable is one whose rows and schema can be changed through the session's
// transaction. What depends on the schema only, a Def, is made once and shared.
package sqltable

import (
	"slices"
	"strings"
	"sync"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/engine/session"
	"github.com/stemmadb/stemma/internal/engine/types"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/table"
)

// Def is what the engine is told of a table's schema. It is immutable and shared by sessions.
type Def struct {
	Schema  *schema.Compiled
	DB      string // as the statement names it
	Name    string // as statements call it: as written when the table was made, or the name of a rule of dolt_nonlocal_tables
	Stored  string // as written when the table was made
	Home    string // the database that has it: DB, or the one that a rule of dolt_nonlocal_tables leads to
	codecs  []*types.Codec
	sql     sql.PrimaryKeySchema
	rows    *types.RowCodec // of rows that are written
	cells   []int           // of a column: the cell that it is read from in the rows' tuples, -1 for virtual columns
	kept    []bool          // of a column: its values are in the rows
	indexes []sql.Index
	byTree  []*Index // of Schema.Indexes
	primary *Index   // nil for keyless tables
	simple  bool     // rows can be written by themselves, see NewPoint
	ascii   []int    // columns that checkText looks at
	// unchecked: the engine does not evaluate the table's CHECK constraints
	unchecked bool
	shared    *Def // that this one was copied from for a session; nil for itself
}

// For is the definition for a session. The engine changes the columns that it is given while it alters a table, so each session
// has columns of its own, until it alters the table.
func (d *Def) For(s *session.Session) *Def {
	v := s.Local(d, func() any {
		c := *d
		c.shared = d
		c.sql.Schema = make(sql.Schema, len(d.sql.Schema))
		for i, col := range d.sql.Schema {
			c.sql.Schema[i] = copyColumn(col)
		}
		return &c
	})
	return v.(*Def)
}

func copyColumn(col *sql.Column) *sql.Column {
	c := *col
	for _, e := range []**sql.ColumnDefaultValue{&c.Default, &c.Generated, &c.OnUpdate} {
		if *e != nil {
			v := **e
			*e = &v
		}
	}
	return &c
}

// forget makes the session take fresh columns the next time.
func (d *Def) forget(ctx *sql.Context) {
	if s, err := session.Of(ctx); err == nil && d.shared != nil {
		s.ForgetLocal(d.shared)
	}
}

// defLimit bounds the number of definitions kept.
const defLimit = 4096

// Defs keeps definitions. The zero Defs is empty and ready.
type Defs struct {
	mu sync.RWMutex
	m  map[defKey]*Def
}

// defKey names a definition. A compiled schema is one pointer while the layers below keep it.
type defKey struct {
	schema                 *schema.Compiled
	db, name, stored, home string
}

// Get is the definition of a table of that schema in the database db.
func (c *Defs) Get(s *schema.Compiled, db, name string) (*Def, error) {
	return c.GetAs(s, db, name, name, db)
}

// GetAs is Get for a table of the database home that statements find in another one, or under another name than its own, which is stored.
func (c *Defs) GetAs(s *schema.Compiled, db, name, stored, home string) (*Def, error) {
	k := defKey{s, db, name, stored, home}
	c.mu.RLock()
	d := c.m[k]
	c.mu.RUnlock()
	if d != nil {
		return d, nil
	}
	d, err := newDef(s, db, name)
	if err == nil {
		d.Stored, d.Home = stored, home
	}
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil || len(c.m) >= defLimit {
		c.m = map[defKey]*Def{}
	}
	c.m[k] = d
	return d, nil
}

func newDef(s *schema.Compiled, db, name string) (*Def, error) {
	codecs, err := types.Codecs(s.Schema)
	if err != nil {
		return nil, err
	}
	d := &Def{Schema: s, DB: db, Name: name, simple: simple(s), codecs: codecs, sql: types.SchemaToSQL(s.Schema, codecs, db, name)}
	if d.rows, err = writtenRows(s, codecs); err != nil {
		return nil, err
	}
	d.unchecked = slices.ContainsFunc(s.Checks, func(c schema.Check) bool { return c.Enforced }) &&
		slices.ContainsFunc(s.Columns, func(c schema.Column) bool { return virtual(&c) })
	first := 0
	if s.Keyless() { // the ordinal
		first = 1
	}
	d.ascii = asciiColumns(s)
	d.cells, d.kept = make([]int, len(codecs)), make([]bool, len(codecs))
	for i := range d.cells {
		d.kept[i] = kept(s.Schema, i)
		d.cells[i] = first + i
		if d.sql.Schema[i].Virtual {
			d.cells[i] = -1
		}
	}
	if !s.Keyless() {
		if d.primary, err = d.newIndex(table.RowsTree); err != nil {
			return nil, err
		}
		d.indexes = append(d.indexes, d.primary)
	}
	for n := range s.Indexes {
		x, err := d.newIndex(table.Rows(n))
		if err != nil {
			return nil, err
		}
		d.byTree = append(d.byTree, x)
	}
	// By name, so that the order does not tell in which order branches that were merged had made them.
	byName := slices.Clone(d.byTree)
	slices.SortFunc(byName, func(a, b *Index) int { return strings.Compare(strings.ToLower(a.id), strings.ToLower(b.id)) })
	for _, x := range byName {
		d.indexes = append(d.indexes, x)
	}
	return d, nil
}

// writtenRows is the codec of rows that are written. Virtual columns are kept when an index needs them, although they are never
// read from the rows.
func writtenRows(s *schema.Compiled, codecs []*types.Codec) (*types.RowCodec, error) {
	first := 0
	if s.Keyless() { // the ordinal
		first = 1
	}
	cells := make([]int, len(codecs))
	for i := range cells {
		if cells[i] = first + i; !kept(s.Schema, i) {
			cells[i] = -1
		}
	}
	return types.NewRowCodec(s.Primary.Phys, codecs, cells)
}

// virtual tells whether a column is computed when it is read.
func virtual(c *schema.Column) bool { return c.Generated != "" && !c.Stored }

// kept tells whether the values of a column are in the rows: all but those of virtual columns without an index.
func kept(s *schema.Schema, column int) bool {
	c := &s.Columns[column]
	if !virtual(c) {
		return true
	}
	for i := range s.Indexes {
		if indexHas(&s.Indexes[i], c.ID) {
			return true
		}
	}
	return false
}

func indexHas(x *schema.Index, id uint64) bool {
	return slices.ContainsFunc(x.Columns, func(k schema.IndexColumn) bool { return k.Column == id })
}

// SQLSchema is the schema as the engine has it. It must not be changed.
func (d *Def) SQLSchema() sql.PrimaryKeySchema { return d.sql }

// Codecs convert the cells of the columns.
func (d *Def) Codecs() []*types.Codec { return d.codecs }
