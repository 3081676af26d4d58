package types

import (
	"encoding/binary"
	"math"
	"reflect"
	"slices"
	"time"

	"github.com/cockroachdb/apd/v3"
	"github.com/dolthub/go-mysql-server/sql"
	gms "github.com/dolthub/go-mysql-server/sql/types"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/value"
)

// RowBytes turns rows of the engine into bytes and back: each value comes back as the Go value that it was, whatever the type of its
// column. Out-of-line values stay so. Values without bytes of their own, such as computed JSON and geometries, are kept in
// memory, so the bytes are worth nothing without the RowBytes that made them. It belongs to one goroutine.
type RowBytes struct {
	from []Fetcher
	kept []any
}

// Tags of values.
const (
	tagNull = iota
	tagFalse
	tagTrue
	tagInt8
	tagInt16
	tagInt32
	tagInt64
	tagInt
	tagUint8
	tagUint16
	tagUint32
	tagUint64
	tagUint
	tagFloat32
	tagFloat64
	tagString
	tagBytes
	tagTime
	tagTimespan
	tagDecimal
	tagNegativeDecimal
	tagJSON
	tagLongJSON
	tagLongText
	tagLongBytes
	tagKept
)

// Append appends the bytes of a row to dst.
func (r *RowBytes) Append(dst []byte, row sql.Row) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(row)))
	for _, v := range row {
		dst = r.append(dst, v)
	}
	return dst
}

func (r *RowBytes) append(dst []byte, v any) []byte {
	whole := func(tag byte, n int64) []byte { return binary.AppendVarint(append(dst, tag), n) }
	natural := func(tag byte, n uint64) []byte { return binary.AppendUvarint(append(dst, tag), n) }
	switch v := v.(type) {
	case nil:
		return append(dst, tagNull)
	case bool:
		if v {
			return append(dst, tagTrue)
		}
		return append(dst, tagFalse)
	case int8:
		return whole(tagInt8, int64(v))
	case int16:
		return whole(tagInt16, int64(v))
	case int32:
		return whole(tagInt32, int64(v))
	case int64:
		return whole(tagInt64, v)
	case int:
		return whole(tagInt, int64(v))
	case uint8:
		return natural(tagUint8, uint64(v))
	case uint16:
		return natural(tagUint16, uint64(v))
	case uint32:
		return natural(tagUint32, uint64(v))
	case uint64:
		return natural(tagUint64, v)
	case uint:
		return natural(tagUint, uint64(v))
	case float32:
		return binary.LittleEndian.AppendUint32(append(dst, tagFloat32), math.Float32bits(v))
	case float64:
		return binary.LittleEndian.AppendUint64(append(dst, tagFloat64), math.Float64bits(v))
	case string:
		return append(natural(tagString, uint64(len(v))), v...)
	case []byte:
		if v != nil {
			return append(natural(tagBytes, uint64(len(v))), v...)
		}
	case time.Time:
		if v.Location() == time.UTC {
			return binary.AppendUvarint(whole(tagTime, v.Unix()), uint64(v.Nanosecond()))
		}
	case gms.Timespan:
		return whole(tagTimespan, int64(v))
	case *apd.Decimal:
		if v != nil && v.Form == apd.Finite {
			tag := byte(tagDecimal)
			if v.Negative {
				tag = tagNegativeDecimal
			}
			digits := v.Coeff.Bytes()
			dst = whole(tag, int64(v.Exponent))
			return append(binary.AppendUvarint(dst, uint64(len(digits))), digits...)
		}
	case *JSON:
		if v.long == nil {
			return append(natural(tagJSON, uint64(len(v.text))), v.text...)
		}
		return r.appendLong(dst, tagLongJSON, v.long)
	case *LongText:
		return r.appendLong(dst, tagLongText, &v.long)
	case *LongBytes:
		return r.appendLong(dst, tagLongBytes, &v.long)
	}
	r.kept = append(r.kept, v)
	return natural(tagKept, uint64(len(r.kept)-1))
}

// appendLong appends where an out-of-line value is.
func (r *RowBytes) appendLong(dst []byte, tag byte, l *long) []byte {
	n := -1
	if reflect.ValueOf(l.from).Comparable() {
		n = slices.Index(r.from, l.from)
	}
	if n < 0 {
		n = len(r.from)
		r.from = append(r.from, l.from)
	}
	return append(binary.AppendUvarint(append(dst, tag), uint64(n)), l.addr...)
}

// Row is the row whose bytes Append made. It shares no memory with b.
func (r *RowBytes) Row(b []byte) (sql.Row, error) {
	d := rowReader{b: b}
	n := d.natural()
	if n > uint64(len(b)) {
		return nil, errRowBytes()
	}
	row := make(sql.Row, n)
	for i := range row {
		row[i] = r.value(&d)
	}
	if d.bad || len(d.b) > 0 {
		return nil, errRowBytes()
	}
	return row, nil
}

func errRowBytes() error {
	return errs.New(errs.Corrupt, "read a sorted row: its bytes are not those that were written")
}

// rowReader reads values from the front of b.
type rowReader struct {
	b   []byte
	bad bool
}

func (d *rowReader) take(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.b, d.bad = nil, true
		return nil
	}
	out := d.b[:n]
	d.b = d.b[n:]
	return out
}

func (d *rowReader) natural() uint64 {
	v, n := binary.Uvarint(d.b)
	d.take(uint64(max(n, 0)))
	d.bad = d.bad || n <= 0
	return v
}

func (d *rowReader) whole() int64 {
	v, n := binary.Varint(d.b)
	d.take(uint64(max(n, 0)))
	d.bad = d.bad || n <= 0
	return v
}

// fixed is n bytes, zeros when they are missing.
func (d *rowReader) fixed(n int) []byte {
	if b := d.take(uint64(n)); b != nil {
		return b
	}
	return make([]byte, n)
}

func (r *RowBytes) value(d *rowReader) any {
	switch tag := d.fixed(1)[0]; tag {
	case tagNull:
		return nil
	case tagFalse:
		return false
	case tagTrue:
		return true
	case tagInt8:
		return int8(d.whole())
	case tagInt16:
		return int16(d.whole())
	case tagInt32:
		return int32(d.whole())
	case tagInt64:
		return d.whole()
	case tagInt:
		return int(d.whole())
	case tagUint8:
		return uint8(d.natural())
	case tagUint16:
		return uint16(d.natural())
	case tagUint32:
		return uint32(d.natural())
	case tagUint64:
		return d.natural()
	case tagUint:
		return uint(d.natural())
	case tagFloat32:
		return math.Float32frombits(binary.LittleEndian.Uint32(d.fixed(4)))
	case tagFloat64:
		return math.Float64frombits(binary.LittleEndian.Uint64(d.fixed(8)))
	case tagString:
		return string(d.take(d.natural()))
	case tagBytes:
		b := d.take(d.natural())
		return append(make([]byte, 0, len(b)), b...) // never nil, which is NULL
	case tagTime:
		s := d.whole()
		return time.Unix(s, int64(d.natural())).UTC()
	case tagTimespan:
		return gms.Timespan(d.whole())
	case tagDecimal, tagNegativeDecimal:
		v := &apd.Decimal{Negative: tag == tagNegativeDecimal, Exponent: int32(d.whole())}
		v.Coeff.SetBytes(d.take(d.natural()))
		return v
	case tagJSON:
		return NewJSON(slices.Clone(d.take(d.natural())))
	case tagLongJSON:
		addr, from := r.where(d)
		return &JSON{long: &long{addr: addr, from: from}}
	case tagLongText:
		addr, from := r.where(d)
		return &LongText{long{addr: addr, from: from}}
	case tagLongBytes:
		addr, from := r.where(d)
		return &LongBytes{long{addr: addr, from: from}}
	case tagKept:
		if n := d.natural(); n < uint64(len(r.kept)) {
			return r.kept[n]
		}
	}
	d.bad = true
	return nil
}

// where is what appendLong wrote behind the tag.
func (r *RowBytes) where(d *rowReader) (addr []byte, from Fetcher) {
	n := d.natural()
	addr = slices.Clone(d.fixed(value.AddrSize))
	if d.bad = d.bad || n >= uint64(len(r.from)); !d.bad {
		from = r.from[n]
	}
	return addr, from
}
