package mysql

import (
	"errors"
	"strconv"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	vitess "github.com/dolthub/vitess/go/mysql"
)

// erUnknown is MySQL's ER_UNKNOWN_ERROR, which the engine gives to errors that it has no number for.
const erUnknown = 1105

// erInterrupted is MySQL's ER_QUERY_INTERRUPTED.
const erInterrupted = 1317

// states are the SQLSTATEs of MySQL's errors that are not HY000. Clients choose the class of an exception by them.
var states = map[int]string{
	1022: "23000", 1040: "08004", 1042: "08S01", 1043: "08S01", 1044: "42000", 1045: "28000", 1046: "3D000", 1047: "08S01", 1048: "23000",
	1049: "42000", 1050: "42S01", 1051: "42S02", 1052: "23000", 1054: "42S22", 1055: "42000", 1060: "42S21", 1061: "42000", 1062: "23000",
	1063: "42000", 1064: "42000", 1065: "42000", 1066: "42000", 1067: "42000", 1068: "42000", 1069: "42000", 1071: "42000", 1072: "42000",
	1073: "42000", 1074: "42000", 1075: "42000", 1091: "42000", 1101: "42000", 1109: "42S02", 1110: "42000", 1111: "HY000", 1113: "42000",
	1115: "42000", 1136: "21S01", 1138: "22004", 1139: "42000", 1140: "42000", 1142: "42000", 1143: "42000", 1146: "42S02", 1147: "42000",
	1149: "42000", 1170: "42000", 1171: "42000", 1176: "42000", 1205: "HY000", 1211: "42000", 1213: "40001", 1216: "23000", 1217: "23000",
	1222: "21000", 1227: "42000", 1230: "42000", 1231: "42000", 1232: "42000", 1235: "42000", 1241: "21000", 1242: "21000", 1247: "42S22",
	1248: "42000", 1253: "42000", 1264: "22003", 1265: "01000", 1280: "42000", 1292: "22007", 1305: "42000", 1317: "70100", 1318: "42000", 1365: "22012",
	1366: "HY000", 1367: "22007", 1370: "42000", 1400: "42000", 1406: "22001", 1451: "23000", 1452: "23000", 1458: "42000", 1690: "22003",
	1792: "25006", 3140: "22032", 3141: "22032", 3819: "HY000",
}

// numbers are MySQL's numbers of errors that the engine has none for, by its messages, which the engine's own tests pin.
var numbers = []struct {
	message pattern
	number  int
}{
	{matching(`^no database selected`), 1046},
	{matching(`^table with name .* already exists`), 1050},
	{matching(`^the view .* already exists$`), 1050},
	{matching(`^(commit transaction: )?table .* (cannot be made: there is a view .*|and view .* were made at the same time)$`), 1050},
	{matching(`^the view .* does not exist$`), 1051},
	{matching(`^View '.*' references invalid `), 1356},
	{matching(`^table not found: `), 1146},
	{matching(`^database not found: |^no database named '.*' found to undrop`), 1049},
	{matching(`^column ".*" could not be found in any table in scope|^table ".*" does not have column ".*"$`), 1054},
	{matching(`^Column ".*" already exists|^duplicate column name`), 1060},
	{matching(`^Duplicate key name|^duplicate key name`), 1061},
	{matching(`^Not unique table/alias`), 1066},
	{matching(`^syntax error at|^Invalid syntax|^unsupported syntax|^empty query`), 1064},
	{matching(`^Multiple primary keys? defined|Multiple primary keys defined`), 1068},
	{matching(`^number of values does not match number of columns`), 1136},
	{matching(`^command denied to user`), 1142},
	{matching(`^Access denied for user .* to (database|table)`), 1044},
	{matching(`(?i)^the used SELECT statements have a different number of columns`), 1222},
	{matching(` out of range for `), 1264},
	{matching(`^Check constraint ".*" violated`), 3819},
	{matching(`^cannot drop table .* as it is referenced in foreign key`), 3730},
	{matching(`^cannot drop column .* as it is used in foreign key`), 1828},
	{matching(`^cannot drop index: .* is used by foreign key`), 1553},
	{matching(`^duplicate foreign key constraint name`), 1826},
	{matching(`^missing index for foreign key`), 1822},
	{matching(`^(foreign key .* was not found on the table|Constraint .* does not exist)`), 1091},
	{matching(`^Data truncated for column`), 1265},
	{matching(`^Unknown character set: `), 1115},
	{matching(`^context canceled$`), erInterrupted},
	{matching(`is not valid for this Enum|is not valid for this set|was not found in the set`), 1265},
	{matching(`^function: '.*' not found|^stored procedure ".*" does not exist|^SAVEPOINT .* does not exist|^table function: '.*' not found`), 1305},
	{matching(`^Field '.*' doesn't have a default value`), 1364},
	{matching(`(?s)^string '.*' is too large for column`), 1406},
	{matching(`READ ONLY transaction`), 1792},
	{matching(`database server is set to read only mode|^Database .* is read-only\.$`), 1290},
}

// charsetName finds the name of a character set that the engine does not put into quotes.
var charsetName = matching(`^(Unknown character set: )([^' ]+)$`)

// tracker is where messages of the engine send users with what it does not do.
var tracker = matching(`(?is)[\s,.;:-]*(this is a bug\.\s*)?(please (file|create|open) an issue|you can request support)\b.*$`)

// own finds an error with a number of its own in the text that the engine has made of it.
var own = matching(`(?s)^(.*) \(errno (\d+)\) \(sqlstate (\w{5})\)$`)

// Describe is an error of the engine as MySQL's clients are told it: its number, its SQLSTATE and the message. duplicate is as of known,
// query the statement that failed, "" for none.
func Describe(err error, duplicate, query string) (number int, state, message string) {
	var e *vitess.SQLError
	if !errors.As(refined(known(sql.CastSQLError(err), duplicate), query), &e) {
		return erUnknown, "HY000", err.Error()
	}
	return e.Num, e.State, e.Message
}

// known gives an error MySQL's number and state. duplicate is MySQL's wording of a duplicate key, "" when there is none.
func known(err error, duplicate string) error {
	var e *vitess.SQLError
	if !errors.As(err, &e) {
		return err
	}
	number, state, message := e.Num, e.State, e.Message
	if number == erUnknown {
		if m := own().FindStringSubmatch(message); m != nil {
			message, state = m[1], m[3]
			number, _ = strconv.Atoi(m[2])
		}
	}
	if number == erUnknown {
		for _, n := range numbers {
			if n.message().MatchString(message) {
				number = n.number
				break
			}
		}
	}
	if number == erInterrupted {
		message = "Query execution was interrupted"
	}
	message = charsetName().ReplaceAllString(message, "$1'$2'")
	message = tracker().ReplaceAllString(message, "")
	if number == vitess.ERDupEntry && duplicate != "" {
		message = duplicate
	}
	if s, ok := states[number]; ok {
		state = s
	}
	message = brief(message)
	if number == e.Num && state == e.State && message == e.Message {
		return err
	}
	return vitess.NewSQLError(number, state, "%s", message)
}

// brief is a message without its middle, when a value of the client's has made it long: MySQL's are of at most 512 bytes, and so a client
// may not take more.
func brief(message string) string {
	const most, tail = 512, 200
	if len(message) <= most {
		return message
	}
	head := strings.ToValidUTF8(message[:most-tail-len("…")], "")
	return head + "…" + strings.ToValidUTF8(message[len(message)-tail:], "")
}
