package value

import (
	"strconv"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
)

// ParseType reads a type as MySQL writes it and Type.String does: "decimal(10,2)", "int(11) unsigned", "enum('a','b')". TINYINT(1), BOOL and
// BOOLEAN are truth values. Character types get the collation. Errors are of class Unsupported.
func ParseType(s string, coll Collation) (Type, error) {
	bad := func() (Type, error) { return Type{}, errs.New(errs.Unsupported, "there is no type for %s", s) }
	kind := func(k Kind) Type { return Type{Kind: k} }
	name, rest := s, ""
	if i := strings.IndexAny(s, "( "); i >= 0 {
		name, rest = s[:i], s[i:]
	}
	var args string
	if strings.HasPrefix(rest, "(") {
		end := strings.LastIndexByte(rest, ')')
		if end < 0 {
			return bad()
		}
		args, rest = rest[1:end], rest[end+1:]
	}
	unsigned := strings.Contains(strings.ToLower(rest), "unsigned")
	number := func(at, otherwise int) int {
		parts := strings.Split(args, ",")
		if at >= len(parts) {
			return otherwise
		}
		n, err := strconv.Atoi(strings.TrimSpace(parts[at]))
		if err != nil {
			return otherwise
		}
		return n
	}
	whole := func(signed, un Kind) (Type, error) {
		if unsigned {
			return kind(un), nil
		}
		return kind(signed), nil
	}
	length := func(k Kind, n uint32) (Type, error) { return Type{Kind: k, Length: n}, nil }
	words := func(n uint32) (Type, error) {
		return Type{Kind: KindText, Length: n, Collation: coll}, nil
	}
	switch strings.ToLower(name) {
	case "tinyint", "bool", "boolean":
		if !unsigned && (args == "1" || args == "" && strings.ToLower(name) != "tinyint") {
			return Type{Kind: KindInt8, Precision: 1}, nil
		}
		return whole(KindInt8, KindUint8)
	case "smallint":
		return whole(KindInt16, KindUint16)
	case "mediumint":
		return whole(KindInt24, KindUint24)
	case "int", "integer":
		return whole(KindInt32, KindUint32)
	case "bigint":
		return whole(KindInt64, KindUint64)
	case "float":
		return kind(KindFloat32), nil
	case "double", "double precision", "real":
		return kind(KindFloat64), nil
	case "decimal", "numeric":
		return Type{Kind: KindDecimal, Precision: uint8(number(0, 10)), Scale: uint8(number(1, 0))}, nil
	case "bit":
		return length(KindBit, uint32(number(0, 1)))
	case "year":
		return kind(KindYear), nil
	case "date":
		return kind(KindDate), nil
	case "time":
		return Type{Kind: KindTime, Precision: uint8(number(0, 0))}, nil
	case "datetime":
		return Type{Kind: KindDatetime, Precision: uint8(number(0, 0))}, nil
	case "timestamp":
		return Type{Kind: KindTimestamp, Precision: uint8(number(0, 0))}, nil
	case "char":
		return Type{Kind: KindChar, Length: uint32(number(0, 1)), Collation: coll}, nil
	case "varchar":
		return Type{Kind: KindVarchar, Length: uint32(number(0, 1)), Collation: coll}, nil
	case "tinytext":
		return words(TinyLength)
	case "text":
		return words(ShortLength)
	case "mediumtext":
		return words(MediumLength)
	case "longtext":
		return words(LongLength)
	case "binary":
		return length(KindBinary, uint32(number(0, 1)))
	case "varbinary":
		return length(KindVarbinary, uint32(number(0, 1)))
	case "tinyblob":
		return length(KindBlob, TinyLength)
	case "blob":
		return length(KindBlob, ShortLength)
	case "mediumblob":
		return length(KindBlob, MediumLength)
	case "longblob":
		return length(KindBlob, LongLength)
	case "json":
		return kind(KindJSON), nil
	case "uuid", "inet6", "inet4": // MariaDB's
		return Type{Kind: KindChar, Length: 39, Collation: coll}, nil
	case "enum", "set":
		k := KindEnum
		if strings.EqualFold(name, "set") {
			k = KindSet
		}
		labels, ok := parseLabels(args)
		if !ok {
			return bad()
		}
		return Type{Kind: k, Values: labels, Collation: coll}, nil
	case "geometry":
		return kind(KindGeometry), nil
	case "vector":
		return Type{Kind: KindVector, Length: uint32(number(0, 2048))}, nil
	case "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection", "geomcollection":
		at := map[string]uint8{"point": 1, "linestring": 2, "polygon": 3, "multipoint": 4, "multilinestring": 5, "multipolygon": 6, "geometrycollection": 7, "geomcollection": 7}
		return Type{Kind: KindGeometry, Subtype: at[strings.ToLower(name)]}, nil
	}
	return bad()
}

// parseLabels reads the labels of an ENUM or a SET.
func parseLabels(s string) (out []string, ok bool) {
	for len(s) > 0 {
		if s[0] != '\'' {
			return nil, false
		}
		var b strings.Builder
		i := 1
		for ; i < len(s); i++ {
			if s[i] == '\'' {
				if i+1 < len(s) && s[i+1] == '\'' {
					i++
				} else {
					break
				}
			}
			b.WriteByte(s[i])
		}
		if i >= len(s) {
			return nil, false
		}
		out = append(out, b.String())
		if s = s[i+1:]; strings.HasPrefix(s, ",") {
			s = s[1:]
		}
	}
	return out, len(out) > 0
}
