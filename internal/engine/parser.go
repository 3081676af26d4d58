package engine

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/mysql"
	"github.com/dolthub/vitess/go/vt/sqlparser"

	"github.com/stemmadb/stemma/internal/engine/catalog"
	"github.com/stemmadb/stemma/internal/engine/session"
	"github.com/stemmadb/stemma/internal/engine/types"
)

// serverVersion is the version that executable comments are compared with: MySQL's number of the version that clients are told.
const serverVersion = 80033

// MySQL's numbers of errors of statements that the SQL engine would take.
const (
	erTooBigPrecision  = 1426
	erMultiplePrimary  = 1068
	erWrongValue       = 1231
	erLocalInfile      = 3948
	maxFractionDigits  = 6
	stateOfWrongSyntax = "42000"
)

// parser is the SQL engine's parser with what MySQL does differently:
//
//   - A comment for MariaDB, /*M! … */, is a comment, and so is an executable comment of a later version, /*!90000 … */ or
//     /*!100616 … */.
//   - A table has one primary key.
//   - TIME(n) has n digits.
//   - EXPLAIN without a format shows the plan as a tree.
//   - Only character sets that statements can be converted from are a client's.
//   - Names of functions such as STD and VARIANCE, and other words that are not reserved, are names of columns and tables where no function
//     is called.
//
// It reads the statements of views as the catalog has marked them, and makes the session know what AS OF says.
type parser struct{ sql.Parser }

var _ sql.Parser = parser{}

func newParser() parser { return parser{sql.NewMysqlParser()} }

// ParseSimple implements sql.Parser.
func (p parser) ParseSimple(query string) (sqlparser.Statement, error) {
	s, _, err := catalog.Unreserved(plainComments(query), func(text string) (sqlparser.Statement, int, error) {
		s, err := p.Parser.ParseSimple(text)
		return s, len(text), err
	})
	return checked(query, s, err)
}

// Parse implements sql.Parser.
func (p parser) Parse(ctx *sql.Context, query string, multi bool) (s sqlparser.Statement, parsed, rest string, err error) {
	return unreservedOf(query, func(text string) (sqlparser.Statement, string, string, error) {
		return p.Parser.Parse(ctx, text, multi)
	})
}

// ParseWithOptions implements sql.Parser.
func (p parser) ParseWithOptions(ctx context.Context, query string, delimiter rune, multi bool, opt sqlparser.ParserOptions) (s sqlparser.Statement, parsed, rest string, err error) {
	r := catalog.ReadingOf(query)
	if r != nil {
		opt = sql.NewSqlModeFromString(r.Mode).ParserOptions()
	}
	s, parsed, rest, err = unreservedOf(query, func(text string) (sqlparser.Statement, string, string, error) {
		return p.Parser.ParseWithOptions(ctx, text, delimiter, multi, opt)
	})
	if r != nil && err == nil {
		err = readView(s, query, r)
	}
	return s, parsed, rest, err
}

// ParseOneWithOptions implements sql.Parser.
func (p parser) ParseOneWithOptions(ctx context.Context, query string, opt sqlparser.ParserOptions) (sqlparser.Statement, int, error) {
	s, n, err := catalog.Unreserved(plainComments(query), func(text string) (sqlparser.Statement, int, error) {
		return p.Parser.ParseOneWithOptions(ctx, text, opt)
	})
	s, err = checked(query, s, err)
	return s, n, err
}

// plainComments makes comments that this server does not execute plain ones, and those that it executes ones without a version of six
// digits, which the SQL engine's parser does not know. The text keeps its length, so that positions in it hold.
func plainComments(query string) string {
	if !strings.Contains(query, "/*M!") && !strings.Contains(query, "/*!") {
		return query
	}
	var out []byte // the changed text; nil while there is no change
	for i := 0; i < len(query); {
		switch rest := query[i:]; {
		case rest[0] == '\'' || rest[0] == '"' || rest[0] == '`':
			i += catalog.QuotedLength(rest)
		case rest[0] == '#' || strings.HasPrefix(rest, "--") && (len(rest) == 2 || rest[2] <= ' '):
			i += catalog.LengthUpTo(rest, 1, "\n")
		case strings.HasPrefix(rest, "/*M!"):
			if out == nil {
				out = []byte(query)
			}
			out[i+3] = ' '
			i += catalog.LengthUpTo(rest, 2, "*/")
		case strings.HasPrefix(rest, "/*!"):
			n := 0
			for n < 6 && 3+n < len(rest) && rest[3+n] >= '0' && rest[3+n] <= '9' {
				n++
			}
			version := 0
			for _, c := range rest[3 : 3+n] {
				version = version*10 + int(c-'0')
			}
			switch {
			case n >= 5 && version > serverVersion:
				if out == nil {
					out = []byte(query)
				}
				out[i+2] = ' '
				i += catalog.LengthUpTo(rest, 2, "*/")
			case n == 6:
				if out == nil {
					out = []byte(query)
				}
				copy(out[i+3:], "      ")
				i += 3 + n
			default:
				i += 3 + n // what is in it is scanned as text of the statement
			}
		case strings.HasPrefix(rest, "/*"):
			i += catalog.LengthUpTo(rest, 2, "*/")
		default:
			i++
		}
	}
	if out == nil {
		return query
	}
	return string(out)
}

// unreservedOf is catalog.Unreserved for what returns the statement's text and the rest, and checks the statement.
func unreservedOf(query string, parse func(string) (s sqlparser.Statement, parsed, rest string, err error)) (s sqlparser.Statement, parsed, rest string, err error) {
	plain, changed := plainComments(query), false
	s, n, err := catalog.Unreserved(plain, func(text string) (sqlparser.Statement, int, error) {
		changed = text != plain
		s, p, r, err := parse(text)
		if !changed {
			parsed, rest = p, r
		}
		return s, len(text) - len(r), err
	})
	if changed && err == nil {
		parsed, rest = plain[:n], plain[n:]
	}
	s, err = checked(query, s, err)
	return s, parsed, rest, err
}

// asOfWords is what every statement with AS OF has.
var asOfWords = regexp.MustCompile(`(?i)\bof\b`)

// primaryKey is how the parser marks a column with PRIMARY KEY.
var primaryKey = func() sqlparser.ColumnKeyOption {
	s, err := sqlparser.Parse("create table t (x int primary key)")
	if err != nil {
		return -1
	}
	return s.(*sqlparser.DDL).TableSpec.Columns[0].Type.KeyOpt
}()

// checked is a parsed statement with the types of its columns, or the error that MySQL has for it.
func checked(query string, s sqlparser.Statement, err error) (sqlparser.Statement, error) {
	if err != nil {
		return s, err
	}
	if asOfWords.MatchString(query) {
		if err := tellAsOfs(s); err != nil {
			return nil, err
		}
	}
	switch s := s.(type) {
	case *sqlparser.Set:
		for _, e := range s.Exprs {
			if err = checkCharset(e); err != nil {
				break
			}
		}
	case *sqlparser.Show:
		askToShow(s)
	case *sqlparser.Explain:
		// The engine answers with a row of nothing to what does not ask for a plan.
		s.Plan = true
	case *sqlparser.DDL:
		if s.ViewSpec != nil && s.Table.IsEmpty() { // where the engine looks for the database
			s.Table = s.ViewSpec.ViewName
		}
		markRename(s, false)
		err = checkTable(s.TableSpec)
	case *sqlparser.AlterTable:
		for _, d := range s.Statements {
			markRename(d, true)
			if err = checkTable(d.TableSpec); err != nil {
				break
			}
		}
		// All parts of the statement name the table as it was: the engine runs them one by one, and finds it under its old name until the end.
		slices.SortStableFunc(s.Statements, func(a, b *sqlparser.DDL) int { return renames(a) - renames(b) })
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// renames is 1 for what gives a table another name, and 0 for the rest.
func renames(d *sqlparser.DDL) int {
	if d.Action == sqlparser.RenameStr && len(d.ToTables) > 0 {
		return 1
	}
	return 0
}

func checkTable(t *sqlparser.TableSpec) error {
	if t == nil {
		return nil
	}
	keys := 0
	for _, c := range t.Columns {
		if c.Type.KeyOpt == primaryKey {
			keys++
		}
		if err := resolveTime(c); err != nil {
			return err
		}
	}
	for _, i := range t.Indexes {
		if i.Info != nil && i.Info.Primary {
			keys++
		}
	}
	if keys > 1 {
		return mysql.NewSQLError(erMultiplePrimary, stateOfWrongSyntax, "Multiple primary key defined")
	}
	return nil
}

// resolveTime gives a column of TIME its type with the digits that it is declared with.
func resolveTime(c *sqlparser.ColumnDefinition) error {
	if c.Type.ResolvedType != nil || !strings.EqualFold(c.Type.Type, "time") {
		return nil
	}
	digits := 0
	if c.Type.Length != nil {
		for _, d := range c.Type.Length.Val {
			digits = min(digits*10+int(d-'0'), 99)
		}
	}
	if digits > maxFractionDigits {
		return mysql.NewSQLError(erTooBigPrecision, stateOfWrongSyntax, "Too-big precision %d specified for '%s'. Maximum is %d.", digits, c.Name.String(), maxFractionDigits)
	}
	c.Type.ResolvedType = types.Time(uint8(digits))
	return nil
}

// checkCharset reports a character set that a client cannot have.
func checkCharset(e *sqlparser.SetVarExpr) error {
	if e.Name == nil {
		return nil
	}
	variable := strings.ToLower(e.Name.Name.String())
	switch variable {
	case "names", "charset", "character_set_client", "character_set_connection", "character_set_results":
	default:
		return nil
	}
	v, ok := e.Expr.(*sqlparser.SQLVal)
	if !ok || v.Type != sqlparser.StrVal {
		return nil
	}
	name := string(v.Val)
	id, err := sql.ParseCharacterSet(name)
	if err != nil || id == sql.CharacterSet_Unspecified {
		return nil // the engine says so
	}
	if id.Encoder() == nil {
		return sql.ErrCharSetUnknown.New(name)
	}
	if !session.ForClients(id) {
		if variable == "names" || variable == "charset" {
			variable = "character_set_client"
		}
		return mysql.NewSQLError(erWrongValue, stateOfWrongSyntax, "Variable '%s' can't be set to the value of '%s'", variable, name)
	}
	return nil
}
