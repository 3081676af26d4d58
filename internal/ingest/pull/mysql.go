package pull

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/value"
)

// mySQL is a transaction of MySQL, MariaDB or Dolt that sees one state.
type mySQL struct {
	db   *sql.DB
	conn *sql.Conn
	name string // of the database
	asOf string // a revision of Dolt's; "" for none
}

func openMySQL(ctx context.Context, u *url.URL) (*mySQL, error) {
	cfg := mysql.NewConfig()
	cfg.Net, cfg.Addr, cfg.DBName = "tcp", u.Host, strings.Trim(u.Path, "/")
	if u.Port() == "" {
		cfg.Addr = u.Hostname() + ":3306"
	}
	if u.User != nil {
		cfg.User = u.User.Username()
		cfg.Passwd, _ = u.User.Password()
	}
	if socket := u.Query().Get("socket"); socket != "" {
		cfg.Net, cfg.Addr = "unix", socket
	}
	if cfg.DBName == "" {
		return nil, errs.New(errs.Invalid, "%s: no database is named; want mysql://user:password@host:port/database", Redact(u.String()))
	}
	cfg.TLSConfig = u.Query().Get("tls")
	cfg.Collation = "utf8mb4_bin"
	cfg.Params = map[string]string{"time_zone": "'+00:00'", "sql_mode": "''"}
	cfg.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, errs.New(errs.Invalid, "%s: %w", Redact(u.String()), err)
	}
	m := &mySQL{db: sql.OpenDB(connector), name: cfg.DBName}
	if m.conn, err = m.db.Conn(ctx); err != nil {
		return nil, errors.Join(mysqlError(err), m.db.Close())
	}
	for _, q := range []string{"set session transaction isolation level repeatable read", "start transaction with consistent snapshot, read only"} {
		if _, err := m.conn.ExecContext(ctx, q); err != nil {
			if _, err = m.conn.ExecContext(ctx, "start transaction read only"); err != nil {
				return nil, errors.Join(mysqlError(err), m.Close(ctx))
			}
		}
	}
	return m, nil
}

// mysqlError gives an error of the server or the connection its class.
func mysqlError(err error) error {
	var me *mysql.MySQLError
	switch {
	case err == nil || errs.CodeOf(err) != errs.Internal:
		return err
	case !errors.As(err, &me):
		return errs.New(errs.Unavailable, "MySQL: the connection failed: %w", err)
	}
	switch me.Number {
	case 1040, 1053, 1152, 1158, 1159, 1160, 1161, 1184, 2006, 2013, 4031, 1927, 1317:
		return errs.New(errs.Unavailable, "MySQL: %w", err)
	case 1044, 1045, 1142, 1143:
		return errs.New(errs.Denied, "MySQL: %w", err)
	case 1049, 1146:
		return errs.New(errs.NotFound, "MySQL: %w", err)
	}
	return errs.New(errs.Invalid, "MySQL: %w", err)
}

// quote quotes a name.
func quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// literal quotes a text.
func literal(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", "''").Replace(s) + "'"
}

// strings reads the first column of a query; NULL is "".
func (m *mySQL) strings(ctx context.Context, query string) ([]string, error) {
	var out []string
	err := m.rows(ctx, query, func(f [][]byte) error {
		out = append(out, string(f[0]))
		return nil
	})
	return out, err
}

// rows gives the rows of a query to fn.
func (m *mySQL) rows(ctx context.Context, query string, fn func(fields [][]byte) error) (err error) {
	rows, err := m.conn.QueryContext(ctx, query)
	if err != nil {
		return mysqlError(err)
	}
	defer func() { err = errors.Join(err, mysqlError(rows.Close())) }()
	names, err := rows.Columns()
	if err != nil {
		return mysqlError(err)
	}
	raw, dest, fields := make([]sql.RawBytes, len(names)), make([]any, len(names)), make([][]byte, len(names))
	for i := range raw {
		dest[i] = &raw[i]
	}
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return mysqlError(err)
		}
		for i := range raw {
			fields[i] = raw[i]
		}
		if err := fn(fields); err != nil {
			return err
		}
	}
	return mysqlError(rows.Err())
}

// Tables implements Source.
func (m *mySQL) Tables(ctx context.Context) ([]string, error) {
	query := "show full tables"
	if m.asOf != "" {
		query += " as of " + literal(m.asOf)
	}
	var out []string
	err := m.rows(ctx, query, func(f [][]byte) error {
		if len(f) < 2 || string(f[1]) == "BASE TABLE" {
			out = append(out, string(f[0]))
		}
		return nil
	})
	return out, err
}

// from is a table in a FROM clause.
func (m *mySQL) from(table string) string {
	if m.asOf != "" {
		return quote(table) + " as of " + literal(m.asOf)
	}
	return quote(table)
}

// Describe implements Source.
func (m *mySQL) Describe(ctx context.Context, table string) (*Table, error) {
	t := &Table{Name: table}
	if m.asOf != "" {
		return t, m.describeAsOf(ctx, t)
	}
	type keyed struct {
		n    int
		name string
	}
	err := m.rows(ctx, `select column_name, column_type, is_nullable, coalesce(collation_name, '') from information_schema.columns
		where table_schema = `+literal(m.name)+` and table_name = `+literal(table)+` order by ordinal_position`, func(f [][]byte) error {
		typ, err := ParseType(string(f[1]), string(f[3]))
		if err != nil {
			return errs.New(errs.CodeOf(err), "table %s, column %s: %w", table, f[0], err)
		}
		t.Columns = append(t.Columns, mysqlColumn(string(f[0]), typ, string(f[2]) == "YES"))
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(t.Columns) == 0 {
		names, err := m.Tables(ctx)
		if err != nil {
			return nil, err
		}
		hint := ""
		if near := errs.Nearest(table, names); len(near) > 0 {
			hint = "; did you mean " + strings.Join(near, " or ") + "?"
		}
		return nil, errs.New(errs.NotFound, "MySQL has no table %s in the database %s%s", table, m.name, hint)
	}
	t.Key, err = m.strings(ctx, `select column_name from information_schema.statistics where table_schema = `+literal(m.name)+` and table_name = `+literal(table)+
		` and index_name = 'PRIMARY' order by seq_in_index`)
	if err != nil {
		return nil, err
	}
	// MariaDB's JSON is a text with a condition.
	docs, err := m.strings(ctx, `select constraint_name from information_schema.check_constraints where constraint_schema = `+literal(m.name)+
		` and table_name = `+literal(table)+" and check_clause like 'json_valid(%)'")
	if err == nil { // MySQL's own has no such column
		for _, n := range docs {
			for i := range t.Columns {
				if c := &t.Columns[i]; c.Name == n && c.Type.Kind == value.KindText {
					c.Type = kind(value.KindJSON)
				}
			}
		}
	} else if !errs.Is(err, errs.Invalid) && !errs.Is(err, errs.NotFound) {
		return nil, err
	}
	t.query = m.selectOf(t, quote(table))
	return t, nil
}

// describeAsOf describes a table at a revision of Dolt's, by DESCRIBE.
func (m *mySQL) describeAsOf(ctx context.Context, t *Table) error {
	err := m.rows(ctx, "describe "+m.from(t.Name), func(f [][]byte) error {
		typ, err := ParseType(string(f[1]), "")
		if err != nil {
			return errs.New(errs.CodeOf(err), "table %s, column %s: %w", t.Name, f[0], err)
		}
		t.Columns = append(t.Columns, mysqlColumn(string(f[0]), typ, string(f[2]) == "YES"))
		if string(f[3]) == "PRI" {
			t.Key = append(t.Key, string(f[0]))
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(t.Key) > 1 { // DESCRIBE has them in the table's order
		var create string
		err := m.rows(ctx, "show create table "+m.from(t.Name), func(f [][]byte) error {
			create = string(f[1])
			return nil
		})
		if err != nil {
			return err
		}
		if _, list, ok := strings.Cut(create, "PRIMARY KEY (`"); ok {
			list, _, _ = strings.Cut(list, "`)")
			t.Key = strings.Split(list, "`,`")
		}
	}
	t.query = m.selectOf(t, m.from(t.Name))
	return nil
}

// mysqlColumn is a column as it is read.
func mysqlColumn(name string, t value.Type, nullable bool) Column {
	c := Column{Name: name, Type: t, Nullable: nullable}
	if t.Kind == value.KindFloat32 {
		c.read = "cast(? as double)" // the text of a FLOAT has six digits
	}
	return c
}

// selectOf is the query of a table's rows.
func (m *mySQL) selectOf(t *Table, from string) string {
	var list []string
	for _, c := range t.Columns {
		name := quote(c.Name)
		if c.read != "" {
			name = strings.ReplaceAll(c.read, "?", name)
		}
		list = append(list, name)
	}
	return "select " + strings.Join(list, ", ") + " from " + from
}

// DescribeQuery implements Source.
func (m *mySQL) DescribeQuery(ctx context.Context, query, name string, key []string) (_ *Table, err error) {
	t := &Table{Name: name, Key: key}
	from := "(" + strings.TrimRight(strings.TrimSpace(query), "; \n") + "\n) q"
	rows, err := m.conn.QueryContext(ctx, "select * from "+from+" limit 0")
	if err != nil {
		return nil, mysqlError(err)
	}
	defer func() { err = errors.Join(err, mysqlError(rows.Close())) }()
	types, err := rows.ColumnTypes()
	if err != nil {
		return nil, mysqlError(err)
	}
	for _, ct := range types {
		nullable, known := ct.Nullable()
		typ, err := ParseType(queryType(ct), "")
		if err != nil {
			return nil, errs.New(errs.CodeOf(err), "%s, column %s: %w", name, ct.Name(), err)
		}
		t.Columns = append(t.Columns, mysqlColumn(ct.Name(), typ, nullable || !known))
	}
	t.query = m.selectOf(t, from)
	return t, nil
}

// queryType is the type of a column of a query as a table would have it. Its lengths are not known, so they are the longest.
func queryType(ct *sql.ColumnType) string {
	name := strings.ToLower(ct.DatabaseTypeName())
	if rest, ok := strings.CutPrefix(name, "unsigned "); ok {
		name = rest + " unsigned"
	}
	switch name {
	case "decimal":
		if p, s, ok := ct.DecimalSize(); ok {
			return fmt.Sprintf("decimal(%d,%d)", min(p, 65), s)
		}
	case "datetime", "timestamp", "time":
		if _, s, ok := ct.DecimalSize(); ok && s <= 6 {
			return fmt.Sprintf("%s(%d)", name, s)
		}
		return name + "(6)"
	case "char", "varchar", "text", "tinytext", "mediumtext", "enum", "set", "null":
		return "longtext"
	case "binary", "varbinary", "blob", "tinyblob", "mediumblob":
		return "longblob"
	case "bit":
		return "bit(64)"
	}
	return name
}

// Read implements Source.
func (m *mySQL) Read(ctx context.Context, t *Table, fn func(fields [][]byte) error) error {
	if err := m.rows(ctx, t.query, fn); err != nil {
		return fmt.Errorf("read table %s: %w", t.Name, err)
	}
	return nil
}

// Close implements Source.
func (m *mySQL) Close(context.Context) error {
	var err error
	if m.conn != nil {
		_ = m.conn.Close() // the pool it goes back to ends with it
	}
	return errors.Join(err, m.db.Close())
}

// ParseType reads a type as MySQL's information_schema writes it: "decimal(10,2) unsigned", "enum('a','b')". Collations that are not
// known, and "", are the binary one of Unicode.
func ParseType(s, collation string) (value.Type, error) {
	bad := func() (value.Type, error) {
		return value.Type{}, errs.New(errs.Unsupported, "there is no type for %s", s)
	}
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
	coll, ok := value.ParseCollation(collation)
	if !ok {
		coll = value.CollationUtf8mb40900Bin
	}
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
	whole := func(signed, un value.Kind) (value.Type, error) {
		if unsigned {
			return kind(un), nil
		}
		return kind(signed), nil
	}
	length := func(k value.Kind, n uint32) (value.Type, error) { return value.Type{Kind: k, Length: n}, nil }
	words := func(n uint32) (value.Type, error) {
		return value.Type{Kind: value.KindText, Length: n, Collation: coll}, nil
	}
	switch strings.ToLower(name) {
	case "tinyint", "bool", "boolean":
		if !unsigned && (args == "1" || args == "" && strings.ToLower(name) != "tinyint") {
			return value.Type{Kind: value.KindInt8, Precision: 1}, nil
		}
		return whole(value.KindInt8, value.KindUint8)
	case "smallint":
		return whole(value.KindInt16, value.KindUint16)
	case "mediumint":
		return whole(value.KindInt24, value.KindUint24)
	case "int", "integer":
		return whole(value.KindInt32, value.KindUint32)
	case "bigint":
		return whole(value.KindInt64, value.KindUint64)
	case "float":
		return kind(value.KindFloat32), nil
	case "double", "real":
		return kind(value.KindFloat64), nil
	case "decimal", "numeric":
		return value.Type{Kind: value.KindDecimal, Precision: uint8(number(0, 10)), Scale: uint8(number(1, 0))}, nil
	case "bit":
		return length(value.KindBit, uint32(number(0, 1)))
	case "year":
		return kind(value.KindYear), nil
	case "date":
		return kind(value.KindDate), nil
	case "time":
		return value.Type{Kind: value.KindTime, Precision: uint8(number(0, 0))}, nil
	case "datetime":
		return value.Type{Kind: value.KindDatetime, Precision: uint8(number(0, 0))}, nil
	case "timestamp":
		return value.Type{Kind: value.KindTimestamp, Precision: uint8(number(0, 0))}, nil
	case "char":
		return value.Type{Kind: value.KindChar, Length: uint32(number(0, 1)), Collation: coll}, nil
	case "varchar":
		return value.Type{Kind: value.KindVarchar, Length: uint32(number(0, 1)), Collation: coll}, nil
	case "tinytext":
		return words(value.TinyLength)
	case "text":
		return words(value.ShortLength)
	case "mediumtext":
		return words(value.MediumLength)
	case "longtext":
		return words(value.LongLength)
	case "binary":
		return length(value.KindBinary, uint32(number(0, 1)))
	case "varbinary":
		return length(value.KindVarbinary, uint32(number(0, 1)))
	case "tinyblob":
		return length(value.KindBlob, value.TinyLength)
	case "blob":
		return length(value.KindBlob, value.ShortLength)
	case "mediumblob":
		return length(value.KindBlob, value.MediumLength)
	case "longblob":
		return length(value.KindBlob, value.LongLength)
	case "json":
		return kind(value.KindJSON), nil
	case "uuid", "inet6", "inet4": // MariaDB's
		return value.Type{Kind: value.KindChar, Length: 39, Collation: coll}, nil
	case "enum", "set":
		k := value.KindEnum
		if strings.EqualFold(name, "set") {
			k = value.KindSet
		}
		labels, ok := labels(args)
		if !ok {
			return bad()
		}
		return value.Type{Kind: k, Values: labels, Collation: coll}, nil
	case "geometry":
		return kind(value.KindGeometry), nil
	case "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection", "geomcollection":
		at := map[string]uint8{"point": 1, "linestring": 2, "polygon": 3, "multipoint": 4, "multilinestring": 5, "multipolygon": 6, "geometrycollection": 7, "geomcollection": 7}
		return value.Type{Kind: value.KindGeometry, Subtype: at[strings.ToLower(name)]}, nil
	}
	return bad()
}

// labels reads the labels of an ENUM or a SET.
func labels(s string) (out []string, ok bool) {
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
