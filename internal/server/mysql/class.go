package mysql

import "github.com/stemmadb/stemma/internal/errs"

// numbered are the classes of errors that only have one of MySQL's numbers.
var numbered = map[int]errs.Code{
	1007: errs.Exists, 1008: errs.NotFound, 1021: errs.NoSpace, 1040: errs.Unavailable, 1044: errs.Denied, 1045: errs.Denied, 1046: errs.Invalid, 1048: errs.Constraint,
	1049: errs.NotFound, 1050: errs.Exists, 1051: errs.NotFound, 1054: errs.NotFound, 1060: errs.Exists, 1061: errs.Exists, 1062: errs.DuplicateKey,
	1064: errs.Invalid, 1091: errs.NotFound, 1136: errs.Invalid, 1142: errs.Denied, 1146: errs.NotFound, 1205: errs.Conflict, 1213: errs.Conflict,
	1227: errs.Denied, 1235: errs.Unsupported, 1264: errs.Invalid, 1265: errs.Invalid, 1290: errs.ReadOnly, 1292: errs.Invalid, 1305: errs.NotFound,
	1317: errs.Canceled, 1356: errs.Invalid, 1364: errs.Constraint, 1366: errs.Invalid, 1406: errs.Invalid, 1412: errs.Conflict, 1451: errs.Constraint, 1452: errs.Constraint, 1462: errs.Invalid,
	1690: errs.Invalid, 1792: errs.ReadOnly, 3819: errs.Constraint,
}

// Class is the class of an error that has a number of MySQL's only; ok is false when the number does not tell.
func Class(number int) (c errs.Code, ok bool) {
	c, ok = numbered[number]
	return c, ok
}
