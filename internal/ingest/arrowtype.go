package ingest

import (
	"encoding/json"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/page"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/value"
)

// primaryKeyKey is the key of a schema's metadata, also that of frames, under which the names of the primary key's columns are, a JSON array.
const primaryKeyKey = "stemma.primary_key"

// KeyMetadata is the metadata of the Arrow schema of a table.
func KeyMetadata(s *schema.Schema) (*arrow.Metadata, error) {
	names := []string{}
	for _, k := range s.PrimaryKey {
		names = append(names, s.Columns[s.ColumnByID(k.Column)].Name)
	}
	b, err := json.Marshal(names)
	if err != nil {
		return nil, errs.New(errs.Internal, "describe key: %w", err)
	}
	m := arrow.NewMetadata([]string{primaryKeyKey}, []string{string(b)})
	return &m, nil
}

// PrimaryKeyOf is the key that a schema's metadata names; nil when it names none.
func PrimaryKeyOf(s *arrow.Schema) []string {
	text, ok := s.Metadata().GetValue(primaryKeyKey)
	if !ok {
		return nil
	}
	var names []string
	if json.Unmarshal([]byte(text), &names) != nil {
		return nil
	}
	return names
}

// noted is the type that a field's metadata tells; ok is false when it tells none that can be read.
func noted(m arrow.Metadata) (t value.Type, ok bool) {
	t, ok, err := page.NotedType(m)
	return t, ok && err == nil
}

// isNotedTime tells whether a field holds times as whole numbers, as Parquet has them from stemma since it has no durations.
func isNotedTime(f arrow.Field) bool {
	t, ok := noted(f.Metadata)
	return ok && f.Type.ID() == arrow.INT64 && t.Kind == value.KindTime
}

// withType is an array of another type of the same layout.
func withType(a arrow.Array, t arrow.DataType) arrow.Array {
	d := a.Data()
	out := array.NewData(t, d.Len(), d.Buffers(), nil, d.NullN(), d.Offset())
	defer out.Release()
	return array.MakeFromData(out)
}

// TypeOf is page.TypeOf of a field that may have a note of stemma's.
func TypeOf(f arrow.Field) (t value.Type, open bool, err error) {
	if t, ok := noted(f.Metadata); ok && arrow.TypeEqual(page.PlainType(page.ArrowType(t)), page.PlainType(f.Type)) {
		return t, false, nil
	}
	return page.TypeOf(f)
}

// fitText is the type of texts or bytes that were found to be that long: the narrowest of those that value.Inferrer chooses from.
func fitText(open value.Type, chars, bytes int) value.Type {
	long := open.Kind == value.KindBlob
	if long {
		chars = bytes
	}
	for _, n := range []int{255, 1023, 4095} {
		if chars > n {
			continue
		}
		open.Kind, open.Length = value.KindVarchar, uint32(n)
		if long {
			open.Kind = value.KindVarbinary
		}
		return open
	}
	for _, n := range []uint32{value.ShortLength, value.MediumLength, value.LongLength} {
		if open.Length = n; uint64(bytes) <= uint64(n) {
			break
		}
	}
	return open
}
