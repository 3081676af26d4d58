package value

import (
	"strconv"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
)

// kindNames are MySQL's words for the kinds, by number; what String adds is not in them.
var kindNames = [...]string{
	KindInvalid: "invalid", KindInt8: "tinyint", KindInt16: "smallint", KindInt24: "mediumint", KindInt32: "int",
	KindInt64: "bigint", KindUint8: "tinyint unsigned", KindUint16: "smallint unsigned", KindUint24: "mediumint unsigned",
	KindUint32: "int unsigned", KindUint64: "bigint unsigned", KindFloat32: "float", KindFloat64: "double", KindDecimal: "decimal",
	KindBit: "bit", KindYear: "year", KindDate: "date", KindTime: "time", KindDatetime: "datetime", KindTimestamp: "timestamp",
	KindEnum: "enum", KindSet: "set", KindChar: "char", KindVarchar: "varchar", KindText: "text", KindBinary: "binary",
	KindVarbinary: "varbinary", KindBlob: "blob", KindJSON: "json", KindGeometry: "geometry", KindVector: "vector",
}

// geometryNames are the types of geometry columns, by subtype.
var geometryNames = [...]string{
	"geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection",
}

// The sizes in bytes of the TEXT and BLOB types.
const (
	TinyLength   = 1<<8 - 1
	ShortLength  = 1<<16 - 1
	MediumLength = 1<<24 - 1
	LongLength   = 1<<32 - 1
)

// String is the type as MySQL writes it in lower case, without its collation: "decimal(10,2)", "varchar(20)", "datetime(6)".
func (t Type) String() string {
	if int(t.Kind) >= len(kindNames) {
		return kindNames[KindInvalid]
	}
	name := kindNames[t.Kind]
	switch t.Kind {
	case KindDecimal:
		return name + "(" + strconv.Itoa(int(t.Precision)) + "," + strconv.Itoa(int(t.Scale)) + ")"
	case KindTime, KindDatetime, KindTimestamp:
		if t.Precision > 0 {
			return name + "(" + strconv.Itoa(int(t.Precision)) + ")"
		}
	case KindBit, KindChar, KindVarchar, KindBinary, KindVarbinary, KindVector:
		return name + "(" + strconv.FormatUint(uint64(t.Length), 10) + ")"
	case KindText, KindBlob:
		switch t.Length {
		case TinyLength:
			return "tiny" + name
		case MediumLength:
			return "medium" + name
		case LongLength:
			return "long" + name
		}
	case KindEnum, KindSet:
		quoted := make([]string, len(t.Values))
		for i, v := range t.Values {
			quoted[i] = "'" + strings.ReplaceAll(v, "'", "''") + "'"
		}
		return name + "(" + strings.Join(quoted, ",") + ")"
	case KindGeometry:
		if int(t.Subtype) < len(geometryNames) {
			return geometryNames[t.Subtype]
		}
	}
	return name
}

// errParse is the error for text that is not a value of the type.
func errParse[S string | []byte](t *Type, text S, why string) error {
	const most = 60 // bytes of the text that are shown
	shown, name, more := string(text), t.String(), ""
	if len(text) > most {
		shown, more = string(text[:most]), "..."
	}
	if len(name) > most {
		name = name[:most] + "..."
	}
	return errs.New(errs.Invalid, "parse %q%s as %s: %s", shown, more, name, why)
}
