package ingest

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"io"

	"github.com/apache/arrow-go/v18/parquet/metadata"
)

// parquetSchemaKey is the key in a Parquet file's metadata of the Arrow schema that its writer had.
const parquetSchemaKey = "ARROW:schema"

// checkParquetSchema checks the Arrow schema that a Parquet file carries. The Arrow library makes lists as long as that says, and when there
// is no memory for them the program ends.
func checkParquetSchema(m metadata.KeyValueMetadata) error {
	text := m.FindValue(parquetSchemaKey)
	if text == nil {
		return nil
	}
	b, err := base64.StdEncoding.DecodeString(*text)
	if err != nil {
		if b, err = base64.RawStdEncoding.DecodeString(*text); err != nil {
			return err
		}
	}
	return checkStream(bytes.NewReader(b), int64(len(b)))
}

// arrowMarker stands before the length of a message in Arrow's IPC format; old writers left it out.
const arrowMarker = 0xffffffff

// checkStream checks the message with the schema with which a stream begins.
func checkStream(r io.ReaderAt, size int64) error {
	var head [8]byte
	if _, err := r.ReadAt(head[:], 0); err != nil {
		return err
	}
	at, n := int64(4), int64(binary.LittleEndian.Uint32(head[:]))
	if n == arrowMarker {
		at, n = 8, int64(binary.LittleEndian.Uint32(head[4:]))
	}
	if n > size-at {
		return invalid("its schema is said to have %d bytes, and there are %d", n, size-at)
	}
	f := make(flat, n)
	if _, err := r.ReadAt(f, at); err != nil {
		return err
	}
	const header, schema = 2, 1 // of a message: the field, and the kind that its field before has
	message, err := f.root()
	if err != nil {
		return err
	}
	if kind := message.field(header - 1); kind == 0 || f[kind] != schema {
		return invalid("it does not begin with a schema")
	}
	if body := message.field(header + 1); body != 0 {
		if body > len(f)-8 {
			return errFlat
		}
		if n := binary.LittleEndian.Uint64(f[body:]); n > uint64(size) {
			return invalid("what follows its schema is said to have %d bytes, more than the file", n)
		}
	}
	return f.checkSchema(message, header)
}

// checkFile checks the schema in the footer of a file.
func checkFile(r io.ReaderAt, size int64) error {
	const tail = 4 + 6 // the footer's length and the mark of the format
	var end [tail]byte
	if _, err := r.ReadAt(end[:], size-tail); err != nil {
		return err
	}
	n := int64(binary.LittleEndian.Uint32(end[:]))
	if n > size-tail {
		return invalid("its footer is said to have %d bytes, and there are %d", n, size-tail)
	}
	f := make(flat, n)
	if _, err := r.ReadAt(f, size-tail-n); err != nil {
		return err
	}
	footer, err := f.root()
	if err != nil {
		return err
	}
	for _, blocks := range []int{2, 3} { // dictionaries and record batches, 24 bytes each
		if _, _, err := f.vector(footer, blocks, 24); err != nil {
			return err
		}
	}
	return f.checkSchema(footer, 1)
}

// flat is a flatbuffer (https://flatbuffers.dev/internals). Only the lengths of its lists are looked at; what else may be wrong with it
// the library finds out.
type flat []byte

// flatTable is a table in a flatbuffer: where it is, and where its fields are said to be.
type flatTable struct {
	f      flat
	at, vt int
	size   int // of the list at vt, in bytes
}

var errFlat = invalid("a place in its schema is outside of it")

// root is the table with which a flatbuffer begins.
func (f flat) root() (flatTable, error) { return f.table(0) }

// u32 is the number at a place.
func (f flat) u32(at int) (int, error) {
	if at < 0 || at > len(f)-4 {
		return 0, errFlat
	}
	return int(binary.LittleEndian.Uint32(f[at:])), nil
}

// table is the table to which the place at points.
func (f flat) table(at int) (flatTable, error) {
	n, err := f.u32(at)
	if err != nil {
		return flatTable{}, err
	}
	t := flatTable{f: f, at: at + n}
	back, err := f.u32(t.at)
	if err != nil {
		return t, err
	}
	t.vt = t.at - int(int32(uint32(back)))
	if t.vt < 0 || t.vt > len(f)-4 {
		return t, errFlat
	}
	t.size = int(binary.LittleEndian.Uint16(f[t.vt:]))
	if t.size > len(f)-t.vt {
		return t, errFlat
	}
	return t, nil
}

// field is where field i is; 0 when the table has none, or none within the flatbuffer.
func (t flatTable) field(i int) int {
	slot := 4 + 2*i
	if slot+2 > t.size {
		return 0
	}
	off := int(binary.LittleEndian.Uint16(t.f[t.vt+slot:]))
	if off == 0 || t.at+off >= len(t.f) {
		return 0
	}
	return t.at + off
}

// vector is the list that is field i of a table: where its first element is and how many it has, of so many bytes each.
func (f flat) vector(t flatTable, i, size int) (first, n int, err error) {
	at := t.field(i)
	if at == 0 {
		return 0, 0, nil
	}
	off, err := f.u32(at)
	if err != nil {
		return 0, 0, err
	}
	if n, err = f.u32(at + off); err != nil {
		return 0, 0, err
	}
	first = at + off + 4
	if n > (len(f)-first)/size {
		return 0, 0, invalid("its schema is said to have a list of %d, for which it is too short", n)
	}
	return first, n, nil
}

// checkSchema checks the schema that is field i of a table.
func (f flat) checkSchema(t flatTable, i int) error {
	at := t.field(i)
	if at == 0 {
		return invalid("it has no schema")
	}
	schema, err := f.table(at)
	if err != nil {
		return err
	}
	if _, _, err := f.vector(schema, 2, 4); err != nil { // metadata
		return err
	}
	left := len(f) / 4 // fields that there can be
	return f.checkFields(schema, 1, &left)
}

// checkFields checks the fields in the list that is field i of a table.
func (f flat) checkFields(t flatTable, i int, left *int) error {
	first, n, err := f.vector(t, i, 4)
	if err != nil {
		return err
	}
	if *left -= n; *left < 0 {
		return invalid("its schema has a field in itself")
	}
	for k := range n {
		field, err := f.table(first + 4*k)
		if err != nil {
			return err
		}
		if _, _, err := f.vector(field, 6, 4); err != nil { // metadata
			return err
		}
		const unionType = 14
		if kind, typ := field.field(2), field.field(3); kind != 0 && typ != 0 && f[kind] == unionType {
			union, err := f.table(typ)
			if err != nil {
				return err
			}
			if _, _, err := f.vector(union, 1, 4); err != nil { // ids of its types
				return err
			}
		}
		if err := f.checkFields(field, 5, left); err != nil {
			return err
		}
	}
	return nil
}
