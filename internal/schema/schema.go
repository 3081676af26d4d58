// Package schema describes a table: its columns by stable id, its keys and indexes, and how these lay out its trees.
package schema

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/value"
)

// RowIDColumn is the id of the hidden ordinal that is the key of a keyless table. No column of a user has it.
const RowIDColumn uint64 = 1

// MaxColumns is the largest number of columns that a table may have.
const MaxColumns = 4096

// Column is a column of a table.
type Column struct {
	ID            uint64 // stable through renames; equal where name, type family and order of coming are equal
	Name          string
	Type          value.Type
	Nullable      bool
	HasDefault    bool
	Default       string // SQL text of the default, when HasDefault
	OnUpdate      string // SQL text, "" for none
	Generated     string // SQL text of a generated column, "" for none
	Stored        bool   // of a generated column: kept in the tree
	AutoIncrement bool
	Absent        value.Cell // what a row written before the column came reads as; never changes
	Comment       string     // versioned with the root, outside the table's hash
}

// IndexColumn is a column's part in an index.
type IndexColumn struct {
	Column uint64 // column id
	Prefix uint32 // characters (bytes of binary types) that take part; 0 is all
	Desc   bool
}

// Index is a secondary index.
type Index struct {
	Name    string
	Columns []IndexColumn
	Unique  bool
	Comment string // as Column.Comment
}

// Check is a CHECK constraint.
type Check struct {
	Name     string
	Expr     string // SQL text
	Enforced bool
}

// Action is what happens to the rows of a table when those that they refer to are deleted or get other keys. The numbers are part of
// the format.
type Action byte

// The actions. Those that MySQL ignores, RESTRICT and NO ACTION and none at all, are kept apart because they are shown.
const (
	ActionNone       Action = 0
	ActionRestrict   Action = 1
	ActionCascade    Action = 2
	ActionNoAction   Action = 3
	ActionSetNull    Action = 4
	ActionSetDefault Action = 5
)

var actionNames = [...]string{"", "RESTRICT", "CASCADE", "NO ACTION", "SET NULL", "SET DEFAULT"}

// String is the action's name in SQL, "" for none.
func (a Action) String() string {
	if int(a) < len(actionNames) {
		return actionNames[a]
	}
	return "unknown action"
}

// ForeignKey says that the values of some columns are those of a row of a table of the same database. The parent is named, not
// identified: it may come later, or go and come again.
type ForeignKey struct {
	Name          string
	Columns       []uint64 // ids of own columns
	Parent        string   // the other table
	ParentColumns []string // as many of its columns
	OnUpdate      Action
	OnDelete      Action
}

// Equal tells whether two foreign keys are the same, names that differ in case only included.
func (f *ForeignKey) Equal(o *ForeignKey) bool {
	return strings.EqualFold(f.Name, o.Name) && strings.EqualFold(f.Parent, o.Parent) && f.OnUpdate == o.OnUpdate && f.OnDelete == o.OnDelete &&
		slices.Equal(f.Columns, o.Columns) && slices.EqualFunc(f.ParentColumns, o.ParentColumns, strings.EqualFold)
}

// Schema is a table's description. It is immutable once a table uses it.
type Schema struct {
	Columns    []Column
	PrimaryKey []IndexColumn // empty: keyless
	Indexes    []Index
	Checks     []Check
	References []ForeignKey
	Collation  value.Collation // the table's default for new columns
	Target     int             // aim for the weight of a leaf; 0 is the format's own
	Comment    string          // as Column.Comment
}

// Keyless tells whether the table has no primary key, so that rows are kept in the order written.
func (s *Schema) Keyless() bool { return len(s.PrimaryKey) == 0 }

// ColumnIndex is the position of the column of that name, matched without case; -1 when there is none.
func (s *Schema) ColumnIndex(name string) int {
	for i := range s.Columns {
		if strings.EqualFold(s.Columns[i].Name, name) {
			return i
		}
	}
	return -1
}

// ColumnByID is the position of the column with that id; -1 when there is none.
func (s *Schema) ColumnByID(id uint64) int {
	for i := range s.Columns {
		if s.Columns[i].ID == id {
			return i
		}
	}
	return -1
}

// IndexByName is the position of the secondary index of that name, matched without case; -1 when there is none.
func (s *Schema) IndexByName(name string) int {
	for i := range s.Indexes {
		if strings.EqualFold(s.Indexes[i].Name, name) {
			return i
		}
	}
	return -1
}

// InPrimaryKey tells whether the column takes part in the primary key.
func (s *Schema) InPrimaryKey(id uint64) bool {
	for _, k := range s.PrimaryKey {
		if k.Column == id {
			return true
		}
	}
	return false
}

// AutoColumn is the position of the AUTO_INCREMENT column; -1 when there is none.
func (s *Schema) AutoColumn() int {
	for i := range s.Columns {
		if s.Columns[i].AutoIncrement {
			return i
		}
	}
	return -1
}

// Clone is a copy whose slices can be changed without touching s.
func (s *Schema) Clone() *Schema {
	c := *s
	c.Columns = append([]Column(nil), s.Columns...)
	c.PrimaryKey = append([]IndexColumn(nil), s.PrimaryKey...)
	c.Indexes = append([]Index(nil), s.Indexes...)
	c.Checks = append([]Check(nil), s.Checks...)
	c.References = append([]ForeignKey(nil), s.References...)
	return &c
}

// Validate reports the first thing that makes s unusable.
func (s *Schema) Validate() error {
	if len(s.Columns) == 0 {
		return errs.New(errs.Invalid, "a table needs at least one column")
	}
	if len(s.Columns) > MaxColumns {
		return errs.New(errs.Invalid, "a table has at most %d columns, not %d", MaxColumns, len(s.Columns))
	}
	ids := map[uint64]bool{RowIDColumn: true, 0: true}
	names := map[string]bool{}
	for i := range s.Columns {
		c := &s.Columns[i]
		if ids[c.ID] {
			return errs.New(errs.Invalid, "column %s: its id %x is taken", c.Name, c.ID)
		}
		ids[c.ID] = true
		l := strings.ToLower(c.Name)
		if names[l] {
			return errs.New(errs.Invalid, "duplicate column name %s", c.Name)
		}
		names[l] = true
	}
	check := func(what string, cols []IndexColumn) error {
		for i, k := range cols {
			if s.ColumnByID(k.Column) < 0 {
				return errs.New(errs.Invalid, "%s names a column that does not exist", what)
			}
			for _, other := range cols[:i] {
				if other.Column == k.Column {
					return errs.New(errs.Invalid, "%s names a column twice", what)
				}
			}
		}
		return nil
	}
	if err := check("the primary key", s.PrimaryKey); err != nil {
		return err
	}
	indexes := map[string]bool{}
	for i := range s.Indexes {
		l := strings.ToLower(s.Indexes[i].Name)
		if indexes[l] {
			return errs.New(errs.Invalid, "duplicate index name %s", s.Indexes[i].Name)
		}
		indexes[l] = true
		if len(s.Indexes[i].Columns) == 0 {
			return errs.New(errs.Invalid, "index %s has no columns", s.Indexes[i].Name)
		}
		if err := check("index "+s.Indexes[i].Name, s.Indexes[i].Columns); err != nil {
			return err
		}
	}
	return s.validateReferences()
}

func (s *Schema) validateReferences() error {
	names := map[string]bool{}
	for i := range s.References {
		f := &s.References[i]
		l := strings.ToLower(f.Name)
		if f.Name == "" || names[l] {
			return errs.New(errs.Invalid, "duplicate foreign key name '%s'", f.Name)
		}
		names[l] = true
		if len(f.Columns) == 0 || len(f.Columns) != len(f.ParentColumns) || f.Parent == "" {
			return errs.New(errs.Invalid, "foreign key %s does not name as many columns of a table as of another", f.Name)
		}
		if f.OnUpdate > ActionSetDefault || f.OnDelete > ActionSetDefault {
			return errs.New(errs.Invalid, "foreign key %s has an unknown action", f.Name)
		}
		for _, id := range f.Columns {
			if s.ColumnByID(id) < 0 {
				return errs.New(errs.Invalid, "foreign key %s names a column that does not exist", f.Name)
			}
		}
	}
	return nil
}

// AssignID gives the id of a new column of that name and type in a table with the given columns: a hash of the lower-case
// name, the type's family and the smallest count that makes it new there. Ids of columns that were dropped but whose cells the
// pages still hold must be in taken.
func AssignID(name string, t value.Type, columns []Column, taken []uint64) uint64 {
	for n := uint64(0); ; n++ {
		h := sha256.New()
		h.Write([]byte(strings.ToLower(name)))
		h.Write([]byte{0, family(t.Kind)})
		h.Write(binary.AppendUvarint(nil, n))
		id := binary.LittleEndian.Uint64(h.Sum(nil))
		if id > RowIDColumn && !idTaken(id, columns, taken) {
			return id
		}
	}
}

func idTaken(id uint64, columns []Column, taken []uint64) bool {
	for i := range columns {
		if columns[i].ID == id {
			return true
		}
	}
	for _, t := range taken {
		if t == id {
			return true
		}
	}
	return false
}

// family groups the kinds among which a column can change its type and stay the same column.
func family(k value.Kind) byte {
	switch k {
	case value.KindInt8, value.KindInt16, value.KindInt24, value.KindInt32, value.KindInt64,
		value.KindUint8, value.KindUint16, value.KindUint24, value.KindUint32, value.KindUint64, value.KindBit, value.KindYear:
		return 1
	case value.KindFloat32, value.KindFloat64, value.KindDecimal:
		return 2
	case value.KindDate, value.KindTime, value.KindDatetime, value.KindTimestamp:
		return 3
	case value.KindChar, value.KindVarchar, value.KindText, value.KindEnum, value.KindSet:
		return 4
	case value.KindBinary, value.KindVarbinary, value.KindBlob:
		return 5
	case value.KindJSON:
		return 6
	case value.KindGeometry:
		return 7
	case value.KindVector:
		return 8
	}
	return 0
}
