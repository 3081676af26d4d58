package engine

import (
	"encoding/hex"
	"strconv"

	"github.com/dolthub/vitess/go/vt/sqlparser"

	"github.com/stemmadb/stemma/internal/errs"
)

// Param is the value of a parameter: nil, bool, int64, uint64, float64, Number, string or []byte.
type Param any

// Number is a decimal number by its digits.
type Number string

// bind makes expressions of parameters, by the names that the parser gives to question marks.
func bind(params []Param) (map[string]sqlparser.Expr, error) {
	if len(params) == 0 {
		return nil, nil
	}
	out := make(map[string]sqlparser.Expr, len(params))
	for i, p := range params {
		var e sqlparser.Expr
		switch p := p.(type) {
		case nil:
			e = &sqlparser.NullVal{}
		case bool:
			e = sqlparser.BoolVal(p)
		case int64:
			e = sqlparser.NewIntVal(strconv.AppendInt(nil, p, 10))
		case uint64:
			e = sqlparser.NewIntVal(strconv.AppendUint(nil, p, 10))
		case float64:
			e = sqlparser.NewFloatVal(strconv.AppendFloat(nil, p, 'e', -1, 64))
		case Number:
			e = sqlparser.NewFloatVal([]byte(p))
		case string:
			e = sqlparser.NewStrVal([]byte(p))
		case []byte:
			e = sqlparser.NewHexVal([]byte(hex.EncodeToString(p)))
		default:
			return nil, errs.New(errs.Unsupported, "parameter %d: a %T cannot be one", i+1, p)
		}
		out["v"+strconv.Itoa(i+1)] = e
	}
	return out, nil
}

// countParams counts the question marks of a statement.
func countParams(stmt sqlparser.Statement) int {
	n := 0
	_ = sqlparser.Walk(func(node sqlparser.SQLNode) (bool, error) { // the function returns no errors
		if v, ok := node.(*sqlparser.SQLVal); ok && v.Type == sqlparser.ValArg {
			n++
		}
		return true, nil
	}, stmt)
	return n
}
