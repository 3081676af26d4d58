package pull

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
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
	err := m.rows(ctx, `select column_name, column_type, is_nullable, coalesce(collation_name, '') from information_schema.columns
		where table_schema = `+literal(m.name)+` and table_name = `+literal(table)+` order by ordinal_position`, func(f [][]byte) error {
		typ, err := value.ParseType(string(f[1]), collationOf(string(f[3])))
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
		return nil, errs.New(errs.NotFound, "MySQL has no table %s in the database %s%s", table, m.name, errs.DidYouMean(errs.Nearest(table, names)))
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
		typ, err := value.ParseType(string(f[1]), collationOf(""))
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

// selectOf is the query of a table's rows. It notes the parts of it.
func (m *mySQL) selectOf(t *Table, from string) string {
	var list []string
	for _, c := range t.Columns {
		name := quote(c.Name)
		if c.read != "" {
			name = strings.ReplaceAll(c.read, "?", name)
		}
		list = append(list, name)
	}
	t.list, t.from = strings.Join(list, ", "), from
	return "select " + t.list + " from " + t.from
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
		typ, err := value.ParseType(queryType(ct), collationOf(""))
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

// orders implements ranged.
func (m *mySQL) orders(*Table) bool { return m.asOf == "" }

// within is the condition of a range of keys.
func (m *mySQL) within(t *Table, after, upto [][]byte) string {
	at := t.keyAt()
	var terms []string
	for _, bound := range []struct {
		is, last string
		at       [][]byte
	}{{">", ">", after}, {"<", "<=", upto}} {
		if bound.at == nil {
			continue
		}
		// Row by row, since servers do not use an index for (a, b) > (…).
		var beyond []string
		for i := range bound.at {
			is := bound.is
			if i == len(bound.at)-1 {
				is = bound.last
			}
			var parts []string
			for k := range i {
				parts = append(parts, quote(t.Key[k])+" = "+m.keyText(&t.Columns[at[k]], bound.at[k]))
			}
			beyond = append(beyond, strings.Join(append(parts, quote(t.Key[i])+" "+is+" "+m.keyText(&t.Columns[at[i]], bound.at[i])), " and "))
		}
		terms = append(terms, "(("+strings.Join(beyond, ") or (")+"))")
	}
	if len(terms) == 0 {
		return ""
	}
	return " where " + strings.Join(terms, " and ")
}

// keyText is a value of a key's column in a statement.
func (m *mySQL) keyText(c *Column, v []byte) string {
	switch c.Type.Kind {
	case value.KindBinary, value.KindVarbinary, value.KindBlob:
		return "x'" + hex.EncodeToString(v) + "'"
	case value.KindInt8, value.KindInt16, value.KindInt24, value.KindInt32, value.KindInt64, value.KindUint8, value.KindUint16, value.KindUint24, value.KindUint32,
		value.KindUint64, value.KindDecimal, value.KindYear:
		return string(v)
	}
	return literal(string(v))
}

// order is the order of the table's key.
func (m *mySQL) order(t *Table) string {
	var keys []string
	for _, k := range t.Key {
		keys = append(keys, quote(k))
	}
	return " order by " + strings.Join(keys, ", ")
}

// readRange implements ranged.
func (m *mySQL) readRange(ctx context.Context, t *Table, after, upto [][]byte, fn func(raw [][]byte) error) error {
	if err := m.rows(ctx, "select "+t.list+" from "+t.from+m.within(t, after, upto)+m.order(t), fn); err != nil {
		return fmt.Errorf("read table %s: %w", t.Name, err)
	}
	return nil
}

// digest implements ranged.
func (m *mySQL) digest(ctx context.Context, t *Table, after, upto [][]byte) (string, error) {
	if _, err := m.conn.ExecContext(ctx, "set session group_concat_max_len = 1073741824"); err != nil {
		return "", mysqlError(err)
	}
	var fields []string
	for _, c := range t.Columns {
		v := quote(c.Name)
		if c.read != "" {
			v = strings.ReplaceAll(c.read, "?", v)
		}
		text := v
		switch c.Type.Kind {
		case value.KindBinary, value.KindVarbinary, value.KindBlob, value.KindBit, value.KindGeometry:
		default:
			text = "convert(" + v + " using utf8mb4)"
		}
		fields = append(fields, "if("+v+" is null, 'N', concat(length("+text+"), ':', "+text+"))")
	}
	sum := ""
	err := m.rows(ctx, "select sha2(group_concat(sha2(concat("+strings.Join(fields, ", ")+"), 256)"+m.order(t)+" separator ''), 256) from "+t.from+m.within(t, after, upto),
		func(raw [][]byte) error {
			sum = string(raw[0])
			return nil
		})
	return sum, err
}

// digestOf implements ranged.
func (m *mySQL) digestOf(rows [][][]byte) string {
	h := sha256.New()
	for _, r := range rows {
		d := digestRow(r)
		h.Write(hex.AppendEncode(nil, d[:]))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Close implements Source.
func (m *mySQL) Close(context.Context) error {
	var err error
	if m.conn != nil {
		_ = m.conn.Close() // the pool it goes back to ends with it
	}
	return errors.Join(err, m.db.Close())
}

// collationOf is a collation by name; those that are not known, and "", are the binary one of Unicode.
func collationOf(name string) value.Collation {
	if c, ok := value.ParseCollation(name); ok {
		return c
	}
	return value.CollationUtf8mb40900Bin
}
