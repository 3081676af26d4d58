package types

import (
	"slices"

	"github.com/dolthub/go-mysql-server/sql"
	gms "github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/sqltypes"
	"github.com/dolthub/vitess/go/vt/proto/query"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/value"
)

// booleanWidth is the Precision of a KindInt8 that is shown as tinyint(1).
const booleanWidth = 1

// numberKinds are the kinds of the engine's plain numbers; numberTypes is the way back.
var numberKinds = map[query.Type]value.Kind{
	sqltypes.Int8: value.KindInt8, sqltypes.Int16: value.KindInt16, sqltypes.Int24: value.KindInt24,
	sqltypes.Int32: value.KindInt32, sqltypes.Int64: value.KindInt64,
	sqltypes.Uint8: value.KindUint8, sqltypes.Uint16: value.KindUint16, sqltypes.Uint24: value.KindUint24,
	sqltypes.Uint32: value.KindUint32, sqltypes.Uint64: value.KindUint64,
	sqltypes.Float32: value.KindFloat32, sqltypes.Float64: value.KindFloat64,
}

var numberTypes = map[value.Kind]sql.Type{
	value.KindInt8: gms.Int8, value.KindInt16: gms.Int16, value.KindInt24: gms.Int24, value.KindInt32: gms.Int32,
	value.KindInt64: gms.Int64, value.KindUint8: gms.Uint8, value.KindUint16: gms.Uint16, value.KindUint24: gms.Uint24,
	value.KindUint32: gms.Uint32, value.KindUint64: gms.Uint64, value.KindFloat32: gms.Float32, value.KindFloat64: gms.Float64,
}

// textKinds are the kinds of the engine's strings.
var textKinds = map[query.Type]value.Kind{
	sqltypes.Char: value.KindChar, sqltypes.VarChar: value.KindVarchar, sqltypes.Text: value.KindText,
	sqltypes.Binary: value.KindBinary, sqltypes.VarBinary: value.KindVarbinary, sqltypes.Blob: value.KindBlob,
}

var textTypes = map[value.Kind]query.Type{
	value.KindChar: sqltypes.Char, value.KindVarchar: sqltypes.VarChar, value.KindText: sqltypes.Text,
	value.KindBinary: sqltypes.Binary, value.KindVarbinary: sqltypes.VarBinary, value.KindBlob: sqltypes.Blob,
}

// FromSQL is the stored form of a column's type. Types that no column can have, and collations that are not in the format, are
// errors of class Unsupported.
func FromSQL(t sql.Type) (value.Type, error) {
	switch t := t.(type) {
	case gms.NumberTypeImpl_:
		out := value.Type{Kind: numberKinds[t.Type()]}
		if t.DisplayWidth() == booleanWidth {
			out.Precision = booleanWidth
		}
		return out, nil
	case gms.DecimalType_:
		return value.Type{Kind: value.KindDecimal, Precision: t.Precision(), Scale: t.Scale()}, nil
	case gms.BitType_:
		return value.Type{Kind: value.KindBit, Length: uint32(t.NumberOfBits())}, nil
	case gms.YearType_:
		return value.Type{Kind: value.KindYear}, nil
	case gms.TimespanType_:
		return value.Type{Kind: value.KindTime, Precision: maxPrecision}, nil
	case TimeType:
		return value.Type{Kind: value.KindTime, Precision: t.digits}, nil
	case gms.EnumType:
		return labelled(value.KindEnum, t.Collation(), t.Values())
	case gms.SetType:
		return labelled(value.KindSet, t.Collation(), t.Values())
	case gms.StringType:
		return stringFromSQL(t)
	case gms.JsonType:
		return value.Type{Kind: value.KindJSON}, nil
	case gms.VectorType:
		if t.Dimensions < 1 {
			return value.Type{}, errs.New(errs.Unsupported, "type %s: a stored vector has a fixed number of dimensions", t)
		}
		return value.Type{Kind: value.KindVector, Length: uint32(t.Dimensions)}, nil
	case sql.SpatialColumnType:
		return geometryFromSQL(t)
	case sql.DatetimeType:
		switch t.Type() {
		case sqltypes.Date:
			return value.Type{Kind: value.KindDate}, nil
		case sqltypes.Datetime:
			return value.Type{Kind: value.KindDatetime, Precision: uint8(t.Precision())}, nil
		case sqltypes.Timestamp:
			return value.Type{Kind: value.KindTimestamp, Precision: uint8(t.Precision())}, nil
		}
	}
	return value.Type{}, errs.New(errs.Unsupported, "type %s cannot be the type of a column", t)
}

func labelled(kind value.Kind, id sql.CollationID, labels []string) (value.Type, error) {
	c, err := CollationFromSQL(id)
	if err != nil {
		return value.Type{}, err
	}
	return value.Type{Kind: kind, Collation: c, Values: slices.Clone(labels)}, nil
}

func stringFromSQL(t gms.StringType) (value.Type, error) {
	c, err := CollationFromSQL(t.Collation())
	if err != nil {
		return value.Type{}, err
	}
	out := value.Type{Kind: textKinds[t.Type()], Collation: c}
	switch out.Kind {
	case value.KindChar, value.KindVarchar:
		out.Length = uint32(t.MaxCharacterLength())
	default:
		out.Length = uint32(t.MaxByteLength())
	}
	switch out.Kind {
	case value.KindBinary, value.KindVarbinary, value.KindBlob: // their order is in the kind
		out.Collation = value.CollationNone
	}
	return out, nil
}

// geometrySubtypes are the subtypes by the number that well-known binary gives them.
const (
	subtypeAny = iota
	subtypePoint
	subtypeLine
	subtypePolygon
	subtypeMultiPoint
	subtypeMultiLine
	subtypeMultiPolygon
	subtypeCollection
)

func geometryFromSQL(t sql.SpatialColumnType) (value.Type, error) {
	out := value.Type{Kind: value.KindGeometry}
	out.SRID, out.HasSRID = t.GetSpatialTypeSRID()
	if !out.HasSRID {
		out.SRID = 0
	}
	switch t.(type) {
	case gms.GeometryType:
		out.Subtype = subtypeAny
	case gms.PointType:
		out.Subtype = subtypePoint
	case gms.LineStringType:
		out.Subtype = subtypeLine
	case gms.PolygonType:
		out.Subtype = subtypePolygon
	case gms.MultiPointType:
		out.Subtype = subtypeMultiPoint
	case gms.MultiLineStringType:
		out.Subtype = subtypeMultiLine
	case gms.MultiPolygonType:
		out.Subtype = subtypeMultiPolygon
	case gms.GeomCollType:
		out.Subtype = subtypeCollection
	default:
		return value.Type{}, errs.New(errs.Unsupported, "geometry type %T cannot be the type of a column", t)
	}
	return out, nil
}

// ToSQL is the engine's type of a stored one. Parameters that the engine does not allow are an error of class Unsupported. Making a
// type costs more than using it, so that callers keep it.
func ToSQL(t value.Type) (sql.Type, error) {
	out, err := toSQL(t)
	if err != nil && errs.CodeOf(err) == errs.Internal {
		err = errs.New(errs.Unsupported, "type %s: %w", t, err)
	}
	return out, err
}

func toSQL(t value.Type) (sql.Type, error) {
	if t.Kind == value.KindInt8 && t.Precision == booleanWidth {
		return gms.Boolean, nil
	}
	if n, ok := numberTypes[t.Kind]; ok {
		return n, nil
	}
	if base, ok := textTypes[t.Kind]; ok {
		id, err := CollationToSQL(t.Collation)
		if err != nil {
			return nil, err
		}
		return gms.CreateString(base, int64(t.Length), id)
	}
	switch t.Kind {
	case value.KindDecimal:
		return gms.CreateColumnDecimalType(t.Precision, t.Scale)
	case value.KindBit:
		return gms.CreateBitType(uint8(min(t.Length, 255)))
	case value.KindYear:
		return gms.Year, nil
	case value.KindDate:
		return gms.Date, nil
	case value.KindTime:
		return Time(t.Precision), nil
	case value.KindDatetime:
		return gms.CreateDatetimeType(sqltypes.Datetime, int(t.Precision))
	case value.KindTimestamp:
		return gms.CreateDatetimeType(sqltypes.Timestamp, int(t.Precision))
	case value.KindEnum, value.KindSet:
		id, err := CollationToSQL(t.Collation)
		if err != nil {
			return nil, err
		}
		if t.Kind == value.KindEnum {
			return gms.CreateEnumType(slices.Clone(t.Values), id) // it keeps and changes the slice
		}
		return gms.CreateSetType(t.Values, id)
	case value.KindJSON:
		return gms.JSON, nil
	case value.KindVector:
		return gms.CreateVectorType(int(t.Length))
	case value.KindGeometry:
		return geometryToSQL(t)
	}
	return nil, errs.New(errs.Unsupported, "kind %d is not a type of the SQL engine", t.Kind)
}

func geometryToSQL(t value.Type) (sql.Type, error) {
	var out sql.SpatialColumnType
	switch t.Subtype {
	case subtypeAny:
		out = gms.GeometryType{}
	case subtypePoint:
		out = gms.PointType{}
	case subtypeLine:
		out = gms.LineStringType{}
	case subtypePolygon:
		out = gms.PolygonType{}
	case subtypeMultiPoint:
		out = gms.MultiPointType{}
	case subtypeMultiLine:
		out = gms.MultiLineStringType{}
	case subtypeMultiPolygon:
		out = gms.MultiPolygonType{}
	case subtypeCollection:
		out = gms.GeomCollType{}
	default:
		return nil, errs.New(errs.Unsupported, "geometry subtype %d is unknown", t.Subtype)
	}
	if t.HasSRID {
		return out.SetSRID(t.SRID), nil
	}
	return out.(sql.Type), nil
}
