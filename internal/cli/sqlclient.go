package cli

import (
	"cmp"
	"context"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"log"
	"net"
	"regexp"
	"strconv"
	"strings"

	client "github.com/go-sql-driver/mysql"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/op"
	"github.com/stemmadb/stemma/internal/server/mysql"
	"github.com/stemmadb/stemma/internal/value"
)

// sqlConn is a connection to an SQL engine, of this process or of the one that owns the database. Both speak MySQL's protocol, so that
// a statement's answer is the same wherever it runs.
type sqlConn struct {
	ownFiles bool // the other end gets those files only that statements name
	conn     driver.Conn
	cfg      *client.Config
}

// maxPacket is how many bytes a statement or a row may have.
const maxPacket = 1 << 30

// dialFunc makes a connection on which MySQL's protocol is spoken.
type dialFunc func(ctx context.Context) (net.Conn, error)

// connectSQL begins a session with commits by the author; database is the current one, "" for none.
func connectSQL(ctx context.Context, dial dialFunc, author op.Author, database string) (*sqlConn, error) {
	cfg := client.NewConfig()
	cfg.User, cfg.DBName, cfg.Net, cfg.Addr = author.String(), database, "stemma", "localhost"
	cfg.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }
	cfg.AllowAllFiles = true // the user's own process sends the files that the user's own statement names
	cfg.MaxAllowedPacket = maxPacket
	cfg.Logger = log.New(io.Discard, "", 0) // what it would log comes back as errors
	c := &sqlConn{cfg: cfg}
	return c, c.open(ctx)
}

// envPassword and envDoltPassword name the variables of the environment that hold the password with which a user comes in to a server.
const (
	envPassword     = "STEMMA_PASSWORD"
	envDoltPassword = "DOLT_CLI_PASSWORD"
)

// connectServer begins a session on a server, as the user that the flags name; database is the current one, "" for none. The connection
// is encrypted if the server can.
func connectServer(ctx context.Context, g globals, env func(string) string, database string) (*sqlConn, error) {
	cfg := client.NewConfig()
	cfg.Net, cfg.Addr = "tcp", net.JoinHostPort(cmp.Or(g.Host, "localhost"), strconv.Itoa(cmp.Or(g.Port, mysql.DefaultPort)))
	cfg.User, cfg.Passwd, cfg.DBName = cmp.Or(g.User, "root"), cmp.Or(g.Password, env(envPassword), env(envDoltPassword)), database
	cfg.TLSConfig = "preferred"
	if g.NoTLS {
		cfg.TLSConfig = "false"
	}
	cfg.MaxAllowedPacket = maxPacket
	cfg.Logger = log.New(io.Discard, "", 0)
	c := &sqlConn{cfg: cfg, ownFiles: true}
	err := c.open(ctx)
	var refused *client.MySQLError
	switch {
	case err == nil:
		return c, nil
	case errors.As(err, &refused):
		return nil, errs.New(classOf(err), "connect to the server at %s: %s", cfg.Addr, refused.Message)
	}
	return nil, errs.New(errs.Unavailable, "connect to the server at %s: %w", cfg.Addr, err)
}

func (c *sqlConn) open(ctx context.Context) error {
	connector, err := client.NewConnector(c.cfg)
	if err != nil {
		return errs.New(errs.Internal, "connect to the engine: %w", err)
	}
	c.conn, err = connector.Connect(ctx)
	return err
}

// close ends the session. That the other end was first is no error, nor whatever keeps from saying farewell.
func (c *sqlConn) close() { _ = c.conn.Close() }

// lost tells whether an error means that the connection is gone, and whether the statement has certainly not been begun.
func lost(err error) (gone, unsent bool) {
	if errors.Is(err, driver.ErrBadConn) {
		return true, true
	}
	return errors.Is(err, client.ErrInvalidConn) || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed), false
}

// query runs a statement. The answer must be read to its end, or closed, before the next one.
func (c *sqlConn) query(ctx context.Context, text string) (*sqlAnswer, error) {
	q, ok := c.conn.(driver.QueryerContext)
	if !ok {
		return nil, errs.New(errs.Internal, "the MySQL client cannot query")
	}
	if r, ok := c.conn.(driver.SessionResetter); ok { // looks whether the other end has hung up, so that nothing is sent in vain
		if err := r.ResetSession(ctx); err != nil {
			return nil, err
		}
	}
	if c.ownFiles {
		for _, name := range localFiles(text) {
			client.RegisterLocalFile(name)
			defer client.DeregisterLocalFile(name)
		}
	}
	rows, err := q.QueryContext(ctx, text, nil)
	if err != nil {
		return nil, err
	}
	a := &sqlAnswer{rows: rows}
	types, _ := rows.(driver.RowsColumnTypeDatabaseTypeName)
	for i, name := range rows.Columns() {
		a.names = append(a.names, types.ColumnTypeDatabaseTypeName(i))
		a.columns = append(a.columns, op.Column{Name: name, Type: columnType(a.names[i])})
	}
	return a, nil
}

// localInfile is where a statement names a file of the client's.
var localInfile = regexp.MustCompile(`(?is)\bload\s+(?:data|xml)\s+(?:low_priority\s+|concurrent\s+)?local\s+infile\s*('(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*")`)

// localFiles are the files of the client's that a statement names: a server may ask for any, whatever the statement is.
func localFiles(text string) (names []string) {
	for _, m := range localInfile.FindAllStringSubmatch(text, -1) {
		quote, in := m[1][:1], m[1][1:len(m[1])-1]
		var name strings.Builder
		for i := 0; i < len(in); i++ {
			if i+1 < len(in) && (in[i] == '\\' || in[i:i+2] == quote+quote) {
				i++
			}
			name.WriteByte(in[i])
		}
		names = append(names, name.String())
	}
	return names
}

// one is the first row of a statement's answer as texts; NULL is "".
func (c *sqlConn) one(ctx context.Context, text string) (cells []string, err error) {
	a, err := c.query(ctx, text)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	for row, err := range a.all() {
		if err != nil {
			return nil, err
		}
		for i, cell := range row {
			if cell == nil {
				cells = append(cells, "")
				continue
			}
			cells = append(cells, op.FormatCell(a.columns[i].Type, cell))
		}
		return cells, nil
	}
	return nil, errs.New(errs.Internal, "%s: no rows", text)
}

// kill cancels the statement that the connection of that number runs, over a connection of its own.
func (c *sqlConn) kill(ctx context.Context, id string) error {
	k := &sqlConn{cfg: c.cfg.Clone()}
	if err := k.open(ctx); err != nil {
		return err
	}
	defer k.close()
	a, err := k.query(ctx, "kill query "+id)
	if err != nil {
		return err
	}
	return a.close()
}

// sqlAnswer is what a statement answers: rows, or only that it is done.
type sqlAnswer struct {
	rows    driver.Rows
	columns []op.Column // none: the statement has no rows
	names   []string    // of the columns' MySQL types
	hex     bool        // show binary strings as 0x…
}

// all are the rows, in cells as Render wants them. A row is good until the next one.
func (a *sqlAnswer) all() iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		cells := make([]driver.Value, len(a.columns))
		out := make([]any, len(a.columns))
		for {
			err := a.rows.Next(cells)
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
			for i, c := range cells {
				out[i] = a.cell(i, c)
			}
			if !yield(out, nil) {
				return
			}
		}
	}
}

func (a *sqlAnswer) close() error { return a.rows.Close() }

func (a *sqlAnswer) cell(i int, c driver.Value) any {
	b, ok := c.([]byte)
	if !ok {
		return c
	}
	switch a.names[i] {
	case "FLOAT": // the server writes all digits; people are shown the shortest form
		if f, err := strconv.ParseFloat(string(b), 32); err == nil {
			return float32(f)
		}
	case "BIT":
		var n [8]byte
		copy(n[max(0, 8-len(b)):], b)
		return binary.BigEndian.Uint64(n[:])
	case "BINARY", "VARBINARY", "GEOMETRY", "VECTOR":
		if a.hex {
			return fmt.Sprintf("0x%X", b)
		}
	}
	return string(b)
}

// columnType is the type under which a column of a MySQL type is drawn.
func columnType(name string) value.Type {
	switch n := strings.TrimPrefix(name, "UNSIGNED "); n {
	case "TINYINT", "SMALLINT", "MEDIUMINT", "INT", "BIGINT", "YEAR":
		if n != name {
			return value.Type{Kind: value.KindUint64}
		}
		return value.Type{Kind: value.KindInt64}
	case "BIT":
		return value.Type{Kind: value.KindUint64}
	case "FLOAT":
		return value.Type{Kind: value.KindFloat32}
	case "DOUBLE":
		return value.Type{Kind: value.KindFloat64}
	case "JSON":
		return value.Type{Kind: value.KindJSON}
	}
	return op.Text("").Type
}

// erInterrupted is MySQL's number of the error of a statement that was cancelled.
const erInterrupted = 1317

// sqlMessage is an error of a statement as people read it: MySQL's message without the client's words before it.
func sqlMessage(err error) string {
	var e *client.MySQLError
	if errors.As(err, &e) {
		if e.Number == erInterrupted {
			return "the statement was cancelled"
		}
		return e.Message
	}
	switch gone, unsent := lost(err); {
	case unsent:
		return "the connection has ended, and the statement was not begun"
	case gone:
		return "the connection ended before the statement was answered: whether it was done is not known"
	}
	return err.Error()
}
