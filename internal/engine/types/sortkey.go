package types

import (
	"context"
	"math"

	"github.com/cockroachdb/apd/v3"
	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/value"
)

// SortPart makes the part of a sort key that a value of an expression gives: keys compare as the engine's types compare the values.
// It is used by one goroutine.
type SortPart struct {
	codec *Codec
	part  value.KeyPart
}

// NewSortPart makes the part of an expression's type. Types whose values have no such bytes are an error of class Unsupported.
func NewSortPart(t sql.Type, desc bool) (*SortPart, error) {
	k, err := FromSQL(t)
	if err != nil {
		return nil, err
	}
	// An expression may give more digits or characters than its type says; the engine compares all of them.
	switch k.Kind {
	case value.KindInt8, value.KindInt16, value.KindInt24, value.KindInt32, value.KindInt64, value.KindYear:
		k = value.Type{Kind: value.KindInt64}
	case value.KindUint8, value.KindUint16, value.KindUint24, value.KindUint32, value.KindUint64, value.KindEnum, value.KindSet, value.KindBit:
		k = value.Type{Kind: value.KindUint64}
	case value.KindFloat32, value.KindFloat64, value.KindDate:
	case value.KindDecimal:
		k = value.Type{Kind: value.KindDecimal, Precision: value.MaxPrecision, Scale: value.MaxScale}
	case value.KindDatetime, value.KindTimestamp:
		k = value.Type{Kind: value.KindDatetime, Precision: maxPrecision}
	case value.KindTime:
		k.Precision = maxPrecision
	case value.KindChar, value.KindVarchar, value.KindText:
		k = value.Type{Kind: value.KindText, Length: math.MaxUint32, Collation: k.Collation}
	case value.KindBinary, value.KindVarbinary, value.KindBlob:
		k = value.Type{Kind: value.KindBlob, Length: math.MaxUint32}
	default:
		return nil, errs.New(errs.Unsupported, "values of type %s are not sorted by bytes", t)
	}
	p := &SortPart{part: value.KeyPart{Type: k, Desc: desc}}
	p.codec, err = NewCodec(k)
	return p, err
}

// Append appends the part of v to dst; !ok for a value whose place among the others only the engine knows, such as one of another
// type than the expression's. Lazy values are read.
func (p *SortPart) Append(ctx context.Context, dst []byte, v any) (out []byte, ok bool, err error) {
	if v, err = sql.UnwrapAny(ctx, v); err != nil {
		return dst, false, err
	}
	cell := value.Null
	if v != nil {
		if v, ok = p.plain(v); !ok {
			return dst, false, nil
		}
		if cell, ok, err = p.codec.to(p.codec, ctx, v); err != nil || !ok {
			return dst, false, err
		}
	}
	return value.AppendKeyPart(dst, &p.part, cell), true, nil
}

// plain is the number as the part's codec takes it; other values are left as they are.
func (p *SortPart) plain(v any) (any, bool) {
	switch p.codec.Type.Kind {
	case value.KindInt64:
		n, ok := signed(v)
		return n, ok
	case value.KindUint64:
		n, ok := unsigned(v)
		return n, ok
	case value.KindFloat32:
		f, ok := v.(float32)
		return f, ok && f == f
	case value.KindFloat64:
		switch f := v.(type) {
		case float64:
			return f, f == f
		case float32:
			return float64(f), f == f
		}
		return nil, false
	case value.KindDecimal:
		d, ok := v.(*apd.Decimal)
		return d, ok
	}
	return v, true
}

// signed is a whole number as an int64, if it is one and fits.
func signed(v any) (int64, bool) {
	switch v := v.(type) {
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case int8:
		return int64(v), true
	case int16:
		return int64(v), true
	case int32:
		return int64(v), true
	case int64:
		return v, true
	case int:
		return int64(v), true
	}
	n, ok := unsigned(v)
	return int64(n), ok && n <= math.MaxInt64
}

// unsigned is a whole number as a uint64, if it is one and fits.
func unsigned(v any) (uint64, bool) {
	switch v := v.(type) {
	case uint8:
		return uint64(v), true
	case uint16:
		return uint64(v), true
	case uint32:
		return uint64(v), true
	case uint64:
		return v, true
	case uint:
		return uint64(v), true
	case bool, int8, int16, int32, int64, int:
		n, _ := signed(v)
		return uint64(n), n >= 0
	}
	return 0, false
}
