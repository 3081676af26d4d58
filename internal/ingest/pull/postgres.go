package pull

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/value"
)

// postgres is a transaction of PostgreSQL that sees one state.
type postgres struct {
	conn *pgx.Conn
	tx   pgx.Tx
}

func openPostgres(ctx context.Context, rawURL string) (Source, error) {
	cfg, err := pgx.ParseConfig(rawURL)
	if err != nil {
		return nil, errs.New(errs.Invalid, "the address of the PostgreSQL server cannot be read: want postgres://user:password@host:port/database?sslmode=…")
	}
	for k, v := range map[string]string{"TimeZone": "UTC", "DateStyle": "ISO, YMD", "IntervalStyle": "postgres", "extra_float_digits": "3", "bytea_output": "hex",
		"client_encoding": "UTF8", "default_transaction_read_only": "on"} {
		cfg.RuntimeParams[k] = v
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, postgresError(err)
	}
	p := &postgres{conn: conn}
	if p.tx, err = conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}); err != nil {
		return nil, errors.Join(postgresError(err), conn.Close(ctx))
	}
	return p, nil
}

// postgresError gives an error of the server or the connection its class.
func postgresError(err error) error {
	var pe *pgconn.PgError
	switch {
	case err == nil || errs.CodeOf(err) != errs.Internal:
		return err
	case !errors.As(err, &pe):
		return errs.New(errs.Unavailable, "PostgreSQL: the connection failed: %w", err)
	case strings.HasPrefix(pe.Code, "08"), strings.HasPrefix(pe.Code, "57P"), pe.Code == "53300":
		return errs.New(errs.Unavailable, "PostgreSQL: %w", err)
	case pe.Code == "28P01" || pe.Code == "28000" || pe.Code == "42501":
		return errs.New(errs.Denied, "PostgreSQL: %w", err)
	case pe.Code == "42P01" || pe.Code == "3D000" || pe.Code == "3F000":
		return errs.New(errs.NotFound, "PostgreSQL: %w", err)
	}
	return errs.New(errs.Invalid, "PostgreSQL: %w", err)
}

// Tables implements Source. Those outside the schema public are "schema.table".
func (p *postgres) Tables(ctx context.Context) ([]string, error) {
	rows, err := p.tx.Query(ctx, `select case when table_schema = 'public' then table_name else table_schema || '.' || table_name end
		from information_schema.tables where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema') order by 1`)
	if err != nil {
		return nil, postgresError(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return names, postgresError(err)
}

// Describe implements Source.
func (p *postgres) Describe(ctx context.Context, table string) (*Table, error) {
	ns, name := "public", table
	if a, b, ok := strings.Cut(table, "."); ok {
		ns, name = a, b
	}
	full := pgx.Identifier{ns, name}.Sanitize()
	var oid uint32
	err := p.tx.QueryRow(ctx, `select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relname = $2
		and c.relkind in ('r', 'p', 'v', 'm', 'f')`, ns, name).Scan(&oid)
	if errors.Is(err, pgx.ErrNoRows) {
		names, err := p.Tables(ctx)
		if err != nil {
			return nil, err
		}
		return nil, errs.New(errs.NotFound, "PostgreSQL has no table %s%s", table, errs.DidYouMean(errs.Nearest(table, names)))
	}
	if err != nil {
		return nil, postgresError(err)
	}
	t, err := p.describe(ctx, "select * from "+full, name)
	if err != nil {
		return nil, err
	}
	rows, err := p.tx.Query(ctx, `select attname from pg_attribute where attrelid = $1 and attnum > 0 and not attisdropped and attnotnull`, oid)
	if err != nil {
		return nil, postgresError(err)
	}
	notNull, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, postgresError(err)
	}
	for i := range t.Columns {
		for _, n := range notNull {
			if t.Columns[i].Name == n {
				t.Columns[i].Nullable = false
			}
		}
	}
	rows, err = p.tx.Query(ctx, `select a.attname from pg_index i cross join lateral unnest(i.indkey) with ordinality k(attnum, n)
		join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum where i.indrelid = $1 and i.indisprimary order by k.n`, oid)
	if err != nil {
		return nil, postgresError(err)
	}
	t.Key, err = pgx.CollectRows(rows, pgx.RowTo[string])
	return t, postgresError(err)
}

// DescribeQuery implements Source.
func (p *postgres) DescribeQuery(ctx context.Context, query, name string, key []string) (*Table, error) {
	t, err := p.describe(ctx, "select * from ("+strings.TrimRight(strings.TrimSpace(query), "; \n")+"\n) q", name)
	if err != nil {
		return nil, err
	}
	t.Key = key
	return t, nil
}

// describe maps the columns of a query.
func (p *postgres) describe(ctx context.Context, query, name string) (*Table, error) {
	d, err := p.conn.Prepare(ctx, "", query)
	if err != nil {
		return nil, postgresError(err)
	}
	t := &Table{Name: name}
	var list []string
	for _, f := range d.Fields {
		c := Column{Name: f.Name, Nullable: true}
		if err := p.column(ctx, &c, f); err != nil {
			return nil, errs.New(errs.CodeOf(err), "table %s, column %s: %w", name, f.Name, err)
		}
		quoted := pgx.Identifier{f.Name}.Sanitize()
		if c.read != "" {
			quoted = strings.ReplaceAll(c.read, "?", quoted)
		}
		t.Columns, list = append(t.Columns, c), append(list, quoted)
	}
	if len(list) == 0 {
		return nil, errs.New(errs.Invalid, "%s has no columns", name)
	}
	t.list, t.from = strings.Join(list, ", "), "("+query+") t"
	t.query = "select " + t.list + " from " + t.from
	return t, nil
}

// column maps a type of PostgreSQL: every value has a text that the type takes without loss, or the pull fails and names it.
func (p *postgres) column(ctx context.Context, c *Column, f pgconn.FieldDescription) error {
	mod := int(f.TypeModifier)
	name, class, elem, err := p.typeName(ctx, f.DataTypeOID)
	if err != nil {
		return err
	}
	fraction := uint8(6)
	if mod >= 0 && mod <= 6 {
		fraction = uint8(mod)
	}
	switch name {
	case "bool":
		c.Type = value.Type{Kind: value.KindInt8, Precision: 1}
		c.decode = func(b []byte) ([]byte, error) {
			if b[0] == 't' {
				return []byte("1"), nil
			}
			return []byte("0"), nil
		}
	case "int2":
		c.Type = kind(value.KindInt16)
	case "int4":
		c.Type = kind(value.KindInt32)
	case "int8":
		c.Type = kind(value.KindInt64)
	case "oid", "xid":
		c.Type = kind(value.KindUint32)
	case "float4":
		c.Type = kind(value.KindFloat32)
	case "float8":
		c.Type = kind(value.KindFloat64)
	case "numeric":
		c.Type = value.Type{Kind: value.KindDecimal, Precision: 65, Scale: 30}
		if mod >= 4 {
			precision, scale := (mod-4)>>16, (mod-4)&0x7ff
			if scale > 0x3ff { // negative
				precision, scale = precision+0x800-scale, 0
			}
			if precision > 65 || scale > 30 || scale > precision {
				return errs.New(errs.Unsupported, "numeric(%d,%d) has more digits than DECIMAL(65,30); select it as text with --query", precision, scale)
			}
			c.Type.Precision, c.Type.Scale = uint8(precision), uint8(scale)
		} else {
			c.decode = exactDecimal
		}
	case "money":
		c.Type, c.read = value.Type{Kind: value.KindDecimal, Precision: 19, Scale: 2}, "?::numeric"
	case "varchar":
		c.Type = text(mod - 4)
	case "bpchar":
		c.Type = text(mod - 4)
		if mod-4 > 0 && mod-4 <= 255 {
			c.Type.Kind = value.KindChar
		}
		c.decode = func(b []byte) ([]byte, error) { return bytes.TrimRight(b, " "), nil }
	case "name":
		c.Type = text(63)
	case "uuid":
		c.Type = value.Type{Kind: value.KindChar, Length: 36, Collation: value.CollationUtf8mb40900Bin}
	case "bytea":
		c.Type = value.Type{Kind: value.KindBlob, Length: value.LongLength}
		c.decode = func(b []byte) ([]byte, error) {
			out := make([]byte, max(len(b)-2, 0)/2)
			_, err := hex.Decode(out, bytes.TrimPrefix(b, []byte(`\x`)))
			return out, err
		}
	case "date":
		c.Type, c.decode = kind(value.KindDate), finite
	case "timestamp":
		c.Type, c.decode = value.Type{Kind: value.KindDatetime, Precision: fraction}, finite
	case "timestamptz": // the session's zone is UTC; TIMESTAMP ends in 2038
		c.Type = value.Type{Kind: value.KindDatetime, Precision: fraction}
		c.decode = func(b []byte) ([]byte, error) {
			b, err := finite(b)
			return bytes.TrimSuffix(b, []byte("+00")), err
		}
	case "time":
		c.Type = value.Type{Kind: value.KindTime, Precision: fraction}
	case "json", "jsonb":
		c.Type = kind(value.KindJSON)
	case "bit":
		if mod > 64 || mod < 1 {
			c.Type = text(max(mod, 0))
			break
		}
		c.Type = value.Type{Kind: value.KindBit, Length: uint32(mod)}
		c.decode = bits
	case "timetz", "interval", "varbit", "inet", "cidr", "macaddr", "macaddr8", "pg_lsn":
		c.Type = text(255)
	default:
		switch {
		case class == 'e':
			rows, err := p.tx.Query(ctx, `select enumlabel from pg_enum where enumtypid = $1 order by enumsortorder`, f.DataTypeOID)
			if err != nil {
				return postgresError(err)
			}
			labels, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil {
				return postgresError(err)
			}
			c.Type = value.Type{Kind: value.KindEnum, Values: labels, Collation: value.CollationUtf8mb40900Bin}
		case elem != 0 || class == 'c': // arrays and rows
			c.Type, c.read = kind(value.KindJSON), "to_json(?)"
		default:
			c.Type, c.read = text(0), "?::text"
		}
	}
	return nil
}

// typeName is the name of a type, behind domains, its class ('b' base, 'e' enum, 'c' composite, …) and, of arrays, that of the elements.
func (p *postgres) typeName(ctx context.Context, oid uint32) (name string, class byte, elem uint32, err error) {
	var typtype string
	err = p.tx.QueryRow(ctx, `with recursive t as (select oid, typname, typtype, typbasetype, case when typcategory = 'A' then typelem else 0 end as elem from pg_type where oid = $1
		union all select b.oid, b.typname, b.typtype, b.typbasetype, case when b.typcategory = 'A' then b.typelem else 0 end from pg_type b join t on b.oid = t.typbasetype)
		select typname, typtype::text, elem from t where typtype <> 'd' limit 1`, oid).Scan(&name, &typtype, &elem)
	if err != nil {
		return "", 0, 0, postgresError(err)
	}
	return name, typtype[0], elem, nil
}

// finite refuses what is no day of the calendar that SQL has here.
func finite(b []byte) ([]byte, error) {
	if bytes.HasSuffix(b, []byte("infinity")) {
		return nil, errs.New(errs.Invalid, "%s is no moment that can be kept", b)
	}
	if bytes.HasSuffix(b, []byte(" BC")) {
		return nil, errs.New(errs.Invalid, "%s is before the year 0", b)
	}
	return b, nil
}

// exactDecimal refuses numbers that DECIMAL(65,30) would round.
func exactDecimal(b []byte) ([]byte, error) {
	if i := bytes.IndexByte(b, '.'); i >= 0 && len(bytes.TrimRight(b, "0"))-i-1 > 30 {
		return nil, errs.New(errs.Invalid, "%s has more than 30 digits behind the point; select it as text with --query", b)
	}
	return b, nil
}

// bits makes the bytes of a bit string of its digits.
func bits(b []byte) ([]byte, error) {
	var v uint64
	for _, d := range b {
		v = v<<1 | uint64(d-'0')
	}
	var out [8]byte
	binary.BigEndian.PutUint64(out[:], v)
	return out[8-(len(b)+7)/8:], nil
}

// Read implements Source.
func (p *postgres) Read(ctx context.Context, t *Table, fn func(fields [][]byte) error) error {
	out, n := make([][]byte, len(t.Columns)), int64(0)
	return p.read(ctx, t, t.query, nil, func(raw [][]byte) error {
		n++
		if err := t.decode(raw, out, n); err != nil {
			return err
		}
		return fn(out)
	})
}

// read gives the rows of a query on a table as they are sent.
func (p *postgres) read(ctx context.Context, t *Table, query string, params [][]byte, fn func(raw [][]byte) error) error {
	r := p.conn.PgConn().ExecParams(ctx, query, params, nil, nil, nil)
	for r.NextRow() {
		if err := fn(r.Values()); err != nil {
			_, closing := r.Close()
			_ = closing // the first error counts
			return err
		}
	}
	_, err := r.Close()
	if err != nil {
		return fmt.Errorf("read table %s: %w", t.Name, postgresError(err))
	}
	return nil
}

// orders implements ranged. Digests are computed by functions that servers have from version 11 on.
func (p *postgres) orders(*Table) bool {
	version, err := strconv.Atoi(strings.FieldsFunc(p.conn.PgConn().ParameterStatus("server_version")+" ", func(r rune) bool { return r < '0' || r > '9' })[0])
	return err == nil && version >= 11
}

// within is the condition of a range of keys, and its parameters.
func (p *postgres) within(t *Table, after, upto [][]byte) (where string, params [][]byte) {
	var keys []string
	for _, k := range t.Key {
		keys = append(keys, pgx.Identifier{k}.Sanitize())
	}
	var terms []string
	for _, bound := range []struct {
		is string
		at [][]byte
	}{{">", after}, {"<=", upto}} {
		if bound.at == nil {
			continue
		}
		var places []string
		for _, v := range bound.at {
			params = append(params, v)
			places = append(places, "$"+strconv.Itoa(len(params)))
		}
		terms = append(terms, "("+strings.Join(keys, ", ")+") "+bound.is+" ("+strings.Join(places, ", ")+")")
	}
	if len(terms) > 0 {
		where = " where " + strings.Join(terms, " and ")
	}
	return where, params
}

// order is the order of the table's key.
func (p *postgres) order(t *Table) string {
	var keys []string
	for _, k := range t.Key {
		keys = append(keys, pgx.Identifier{k}.Sanitize())
	}
	return " order by " + strings.Join(keys, ", ")
}

// readRange implements ranged.
func (p *postgres) readRange(ctx context.Context, t *Table, after, upto [][]byte, fn func(raw [][]byte) error) error {
	where, params := p.within(t, after, upto)
	// The names in ORDER BY are those of the table, not of what is selected.
	return p.read(ctx, t, "select "+t.list+" from "+t.from+where+p.order(t), params, fn)
}

// digest implements ranged. Fields are written by the output functions of their types, as they are sent.
func (p *postgres) digest(ctx context.Context, t *Table, after, upto [][]byte) (string, error) {
	var fields []string
	for _, c := range t.Columns {
		v := pgx.Identifier{c.Name}.Sanitize()
		if c.read != "" {
			v = strings.ReplaceAll(c.read, "?", v)
		}
		text := "format('%s', " + v + ")"
		fields = append(fields, "case when "+v+" is null then 'N' else octet_length("+text+")::text || ':' || "+text+" end")
	}
	where, params := p.within(t, after, upto)
	query := "select encode(sha256(string_agg(sha256(convert_to(" + strings.Join(fields, " || ") + ", 'UTF8')), ''::bytea" + p.order(t) + ")), 'hex') from " + t.from + where
	sum := ""
	err := p.read(ctx, t, query, params, func(raw [][]byte) error {
		sum = string(raw[0])
		return nil
	})
	return sum, err
}

// digestOf implements ranged.
func (p *postgres) digestOf(rows [][][]byte) string {
	h := sha256.New()
	for _, r := range rows {
		d := digestRow(r)
		h.Write(d[:])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Close implements Source.
func (p *postgres) Close(ctx context.Context) error {
	_ = p.tx.Rollback(ctx) // nothing was written, and the connection ends
	return p.conn.Close(ctx)
}
