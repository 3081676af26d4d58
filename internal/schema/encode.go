package schema

import (
	"context"
	"encoding/binary"
	"math"

	"github.com/stemmadb/stemma/internal/binfmt"
	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/hash"
	"github.com/stemmadb/stemma/internal/value"
)

// Version is the newest schema format that this program reads and the one that it writes.
const Version chunk.Version = 2

// flags of an encoded column.
const (
	flagNullable = 1 << iota
	flagDefault
	flagStored
	flagAuto
)

// Encode gives the schema's canonical bytes, comments left out: what its hash is taken of.
func (s *Schema) Encode() []byte {
	b := []byte{byte(chunk.KindSchema), Version}
	b = binary.AppendUvarint(b, uint64(len(s.Columns)))
	for i := range s.Columns {
		c := &s.Columns[i]
		b = binary.LittleEndian.AppendUint64(b, c.ID)
		b = binfmt.AppendString(b, c.Name)
		b = value.AppendType(b, c.Type)
		var f byte
		if c.Nullable {
			f |= flagNullable
		}
		if c.HasDefault {
			f |= flagDefault
		}
		if c.Stored {
			f |= flagStored
		}
		if c.AutoIncrement {
			f |= flagAuto
		}
		b = append(b, f)
		b = binfmt.AppendString(b, c.Default)
		b = binfmt.AppendString(b, c.OnUpdate)
		b = binfmt.AppendString(b, c.Generated)
		b = binfmt.AppendBytes(b, value.AppendTuple(nil, []value.Phys{c.Type.Phys()}, []value.Cell{c.Absent}))
	}
	b = appendIndexColumns(b, s.PrimaryKey)
	b = binary.AppendUvarint(b, uint64(len(s.Indexes)))
	for i := range s.Indexes {
		x := &s.Indexes[i]
		b = binfmt.AppendString(b, x.Name)
		b = binfmt.AppendBool(b, x.Unique)
		b = appendIndexColumns(b, x.Columns)
	}
	b = binary.AppendUvarint(b, uint64(len(s.Checks)))
	for _, c := range s.Checks {
		b = binfmt.AppendString(b, c.Name)
		b = binfmt.AppendString(b, c.Expr)
		b = binfmt.AppendBool(b, c.Enforced)
	}
	b = binary.AppendUvarint(b, uint64(len(s.References)))
	for i := range s.References {
		f := &s.References[i]
		b = binfmt.AppendString(b, f.Name)
		b = binary.AppendUvarint(b, uint64(len(f.Columns)))
		for k, id := range f.Columns {
			b = binary.LittleEndian.AppendUint64(b, id)
			b = binfmt.AppendString(b, f.ParentColumns[k])
		}
		b = binfmt.AppendString(b, f.Parent)
		b = append(b, byte(f.OnUpdate), byte(f.OnDelete))
	}
	b = append(b, byte(s.Collation))
	b = binary.AppendUvarint(b, uint64(s.Target))
	return b
}

// Put keeps the schema and returns its hash.
func (s *Schema) Put(ctx context.Context, w chunk.Writer) (hash.Hash, error) {
	return w.Put(ctx, s.Encode())
}

// Get reads the schema of that hash.
func Get(ctx context.Context, r chunk.Reader, h hash.Hash) (*Schema, error) {
	data, err := r.Get(ctx, h)
	if err != nil {
		return nil, err
	}
	return Decode(data)
}

// Decode reads what Encode gives. Comments are empty.
func Decode(data []byte) (*Schema, error) {
	v, body, err := chunk.CheckKind(data, chunk.KindSchema, Version)
	if err == nil && v < Version {
		err = errs.New(errs.Unsupported, "read schema: format version %d is older than this program reads; %s", v, chunk.OldAdvice)
	}
	if err != nil {
		return nil, err
	}
	d := &binfmt.Decoder{B: body, What: "schema"}
	s := &Schema{}
	n := d.Count()
	for i := 0; i < n && d.Err == nil; i++ {
		c := Column{ID: d.Uint64(), Name: d.Str(), Type: readType(d)}
		f := d.Byte()
		if f&^(flagNullable|flagDefault|flagStored|flagAuto) != 0 {
			d.Fail("unknown flags of a column")
		}
		c.Nullable, c.HasDefault, c.Stored, c.AutoIncrement = f&flagNullable != 0, f&flagDefault != 0, f&flagStored != 0, f&flagAuto != 0
		c.Default, c.OnUpdate, c.Generated = d.Str(), d.Str(), d.Str()
		absent := d.Bytes()
		if d.Err == nil {
			var cell [1]value.Cell
			d.Err = value.DecodeTuple(absent, []value.Phys{c.Type.Phys()}, cell[:])
			c.Absent = cell[0].Clone()
		}
		s.Columns = append(s.Columns, c)
	}
	s.PrimaryKey = readIndexColumns(d)
	n = d.Count()
	for i := 0; i < n && d.Err == nil; i++ {
		s.Indexes = append(s.Indexes, Index{Name: d.Str(), Unique: d.Bool(), Columns: readIndexColumns(d)})
	}
	n = d.Count()
	for i := 0; i < n && d.Err == nil; i++ {
		s.Checks = append(s.Checks, Check{Name: d.Str(), Expr: d.Str(), Enforced: d.Bool()})
	}
	n = d.Count()
	for i := 0; i < n && d.Err == nil; i++ {
		s.References = append(s.References, readForeignKey(d))
	}
	if s.Collation = value.Collation(d.Byte()); s.Collation != value.CollationNone && s.Collation.String() == value.CollationNone.String() {
		d.Fail("unknown collation")
	}
	target := d.Uvarint()
	if target > math.MaxInt32 {
		d.Fail("target of a leaf is too large")
	}
	s.Target = int(target)
	if err := d.Done(); err != nil {
		return nil, err
	}
	if err := s.Validate(); err != nil {
		return nil, errs.New(errs.Corrupt, "decode schema: %w", err)
	}
	return s, nil
}

// EncodeComments gives the comments of the table, its columns and its indexes; nil when there are none.
func (s *Schema) EncodeComments() []byte {
	any := s.Comment != ""
	for i := range s.Columns {
		any = any || s.Columns[i].Comment != ""
	}
	for i := range s.Indexes {
		any = any || s.Indexes[i].Comment != ""
	}
	if !any {
		return nil
	}
	b := binfmt.AppendString(nil, s.Comment)
	b = binary.AppendUvarint(b, uint64(len(s.Columns)))
	for i := range s.Columns {
		b = binfmt.AppendString(b, s.Columns[i].Comment)
	}
	b = binary.AppendUvarint(b, uint64(len(s.Indexes)))
	for i := range s.Indexes {
		b = binfmt.AppendString(b, s.Indexes[i].Comment)
	}
	return b
}

// WithComments is s with the comments that EncodeComments gave for it.
func (s *Schema) WithComments(b []byte) (*Schema, error) {
	if len(b) == 0 {
		return s, nil
	}
	d := &binfmt.Decoder{B: b, What: "comments"}
	c := s.Clone()
	c.Comment = d.Str()
	if n := d.Count(); n != len(c.Columns) {
		d.Fail("comments do not match the columns")
	}
	for i := 0; i < len(c.Columns) && d.Err == nil; i++ {
		c.Columns[i].Comment = d.Str()
	}
	if n := d.Count(); n != len(c.Indexes) {
		d.Fail("comments do not match the indexes")
	}
	for i := 0; i < len(c.Indexes) && d.Err == nil; i++ {
		c.Indexes[i].Comment = d.Str()
	}
	if err := d.Done(); err != nil {
		return nil, err
	}
	return c, nil
}

func readForeignKey(d *binfmt.Decoder) ForeignKey {
	f := ForeignKey{Name: d.Str()}
	n := d.Count()
	for i := 0; i < n && d.Err == nil; i++ {
		f.Columns, f.ParentColumns = append(f.Columns, d.Uint64()), append(f.ParentColumns, d.Str())
	}
	f.Parent = d.Str()
	f.OnUpdate, f.OnDelete = Action(d.Byte()), Action(d.Byte())
	return f
}

func appendIndexColumns(b []byte, cols []IndexColumn) []byte {
	b = binary.AppendUvarint(b, uint64(len(cols)))
	for _, k := range cols {
		b = binary.LittleEndian.AppendUint64(b, k.Column)
		b = binary.AppendUvarint(b, uint64(k.Prefix))
		b = binfmt.AppendBool(b, k.Desc)
	}
	return b
}

func readIndexColumns(d *binfmt.Decoder) []IndexColumn {
	n := d.Count()
	var out []IndexColumn
	for i := 0; i < n && d.Err == nil; i++ {
		k := IndexColumn{Column: d.Uint64()}
		prefix := d.Uvarint()
		if prefix > math.MaxUint32 {
			d.Fail("prefix of an index column is too long")
		}
		k.Prefix, k.Desc = uint32(prefix), d.Bool()
		out = append(out, k)
	}
	return out
}

func readType(d *binfmt.Decoder) value.Type {
	if d.Err != nil {
		return value.Type{}
	}
	t, rest, err := value.DecodeType(d.B)
	if err != nil {
		d.Err = err
		return value.Type{}
	}
	d.B = rest
	return t
}
