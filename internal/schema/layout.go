package schema

import (
	"fmt"

	"github.com/stemmadb/stemma/internal/page"
	"github.com/stemmadb/stemma/internal/value"
)

// prefixSalt makes the id of an index column that holds only a prefix differ from that of the column itself.
const prefixSalt uint64 = 0x9e3779b97f4a7c15

// Layout says how a tree of the table is laid out: which cells its tuples carry and which of them are the key.
type Layout struct {
	Format *page.Format
	Phys   []value.Phys    // of the tuple's cells
	Absent []value.Cell    // of the tuple's cells: what rows from before the column read as
	Parts  []value.KeyPart // of the key, in order
	Key    []int           // tuple positions of the key's parts
	Source []Source        // where a tuple cell comes from
}

// Source is where a cell of an index tuple comes from: a cell of the primary tuple, shortened to Prefix units when not 0.
type Source struct {
	Cell   int
	Prefix uint32
}

// PrimaryLayout lays out the table's own tree: for a keyless table the hidden ordinal, then all stored columns in their order.
func (s *Schema) PrimaryLayout() (*Layout, error) {
	l := &Layout{}
	var cols []page.Column
	var keys []page.KeyColumn
	if s.Keyless() {
		t := value.Type{Kind: value.KindInt64}
		cols = append(cols, page.Column{ID: RowIDColumn, Type: t})
		keys = append(keys, page.KeyColumn{Column: 0})
		l.Key = append(l.Key, 0)
		l.Parts = append(l.Parts, value.KeyPart{Type: t})
	}
	for i := range s.Columns {
		cols = append(cols, page.Column{ID: s.Columns[i].ID, Type: s.Columns[i].Type, Absent: s.Columns[i].Absent})
	}
	for _, k := range s.PrimaryKey {
		c := s.ColumnByID(k.Column)
		if c < 0 {
			return nil, fmt.Errorf("lay out table: primary key names an unknown column")
		}
		keys = append(keys, page.KeyColumn{Column: c, Desc: k.Desc, Prefix: k.Prefix})
		l.Key = append(l.Key, c)
		l.Parts = append(l.Parts, value.KeyPart{Type: s.Columns[c].Type, Desc: k.Desc, Prefix: k.Prefix})
	}
	return l.finish(cols, keys, s.Target)
}

// IndexLayout lays out the tree of secondary index n: the indexed columns in order, then the key columns of the table that are
// not among them in full. All cells are the key.
func (s *Schema) IndexLayout(n int) (*Layout, error) {
	l := &Layout{}
	var cols []page.Column
	var keys []page.KeyColumn
	shift := 0
	if s.Keyless() {
		shift = 1
	}
	full := map[uint64]bool{}
	add := func(c page.Column, src Source, desc bool) {
		keys = append(keys, page.KeyColumn{Column: len(cols), Desc: desc})
		l.Key = append(l.Key, len(cols))
		l.Parts = append(l.Parts, value.KeyPart{Type: c.Type, Desc: desc})
		l.Source = append(l.Source, src)
		cols = append(cols, c)
	}
	for _, k := range s.Indexes[n].Columns {
		c := s.ColumnByID(k.Column)
		if c < 0 {
			return nil, fmt.Errorf("lay out index %s: it names an unknown column", s.Indexes[n].Name)
		}
		col := page.Column{ID: s.Columns[c].ID, Type: s.Columns[c].Type}
		if k.Prefix > 0 {
			col.ID ^= prefixSalt
		} else {
			full[k.Column] = true
		}
		add(col, Source{Cell: c + shift, Prefix: k.Prefix}, k.Desc)
	}
	if s.Keyless() {
		add(page.Column{ID: RowIDColumn, Type: value.Type{Kind: value.KindInt64}}, Source{Cell: 0}, false)
	}
	for _, k := range s.PrimaryKey {
		if full[k.Column] {
			continue
		}
		c := s.ColumnByID(k.Column)
		add(page.Column{ID: s.Columns[c].ID, Type: s.Columns[c].Type}, Source{Cell: c + shift, Prefix: k.Prefix}, false)
	}
	return l.finish(cols, keys, s.Target)
}

func (l *Layout) finish(cols []page.Column, keys []page.KeyColumn, target int) (*Layout, error) {
	f, err := page.NewFormat(page.Layout{Columns: cols, Key: keys, Target: target})
	if err != nil {
		return nil, err
	}
	l.Format = f
	for _, c := range cols {
		l.Phys = append(l.Phys, c.Type.Phys())
		l.Absent = append(l.Absent, c.Absent)
	}
	return l, nil
}

// AppendKey appends the key of a row, given its tuple's cells.
func (l *Layout) AppendKey(dst []byte, cells []value.Cell) []byte {
	for i := range l.Parts {
		dst = value.AppendKeyPart(dst, &l.Parts[i], cells[l.Key[i]])
	}
	return dst
}
