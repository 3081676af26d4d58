package mysql

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"

	"github.com/dolthub/go-mysql-server/server"
	"github.com/dolthub/go-mysql-server/sql"
	vitess "github.com/dolthub/vitess/go/mysql"
	"github.com/dolthub/vitess/go/sqltypes"
	querypb "github.com/dolthub/vitess/go/vt/proto/query"
)

// handler is what the protocol calls for every command of a client. It is the engine's own, with what that gets wrong put right:
//
//   - Status flags. The engine sets them behind an answer, so that clients see them one answer late, and not at all in the handshake:
//     pymysql would take autocommit for being off and never turn it off. Here they are right before an answer is written.
//   - Errors have MySQL's numbers and SQLSTATEs, and a panic is an error.
//   - Fields that are no text say so.
//   - Statements and results are in the client's character set.
//   - COM_CHANGE_USER, which the protocol's reader does not know.
//   - Fractions of seconds in the parameters of prepared statements, which the protocol's reader writes without leading zeros.
type handler struct {
	*server.Handler
	sessions     *sync.Map // sql.Session by connection id
	auth         vitess.AuthServer
	noAutoCommit bool // sessions begin with autocommit = 0
	log          *slog.Logger
	server       *Server
	retries      retries
}

var (
	_ vitess.Handler              = (*handler)(nil)
	_ vitess.ExtendedHandler      = (*handler)(nil)
	_ vitess.BinlogReplicaHandler = (*handler)(nil)
)

// wrap makes the server's handler ours.
func (s *Server) wrap(h vitess.Handler) (vitess.Handler, error) {
	gms, ok := h.(*server.Handler)
	if !ok {
		return h, nil
	}
	if s.opt.Log == nil {
		s.opt.Log = slog.New(slog.DiscardHandler)
	}
	return &handler{Handler: gms, server: s, sessions: &s.sessions, auth: s.auth, noAutoCommit: s.opt.NoAutoCommit, log: s.opt.Log}, nil
}

// NewConnection implements vitess.Handler.
func (h *handler) NewConnection(c *vitess.Conn) {
	if !h.noAutoCommit {
		c.StatusFlags |= uint16(vitess.ServerStatusAutocommit)
	}
	h.Handler.NewConnection(c)
}

// ConnectionAuthenticated implements vitess.Handler.
func (h *handler) ConnectionAuthenticated(c *vitess.Conn) error {
	if err := h.Handler.ConnectionAuthenticated(c); err != nil {
		return err
	}
	if tap(c) == nil {
		h.log.Warn("COM_CHANGE_USER is not known on this connection.", "connection", c.ConnectionID)
	}
	return nil
}

// ConnectionClosed implements vitess.Handler.
func (h *handler) ConnectionClosed(c *vitess.Conn) {
	h.Handler.ConnectionClosed(c)
	h.sessions.Delete(c.ConnectionID)
}

// ComQuery implements vitess.Handler.
func (h *handler) ComQuery(ctx context.Context, c *vitess.Conn, query string, callback vitess.ResultSpoolFn) (err error) {
	defer breakOff(c, begun(c), &err)
	defer h.finish(c, query, &err)
	if query, err = decodeStatement(h.clientCharset(c), query); err != nil {
		return err
	}
	return h.run(ctx, c, query, nil, h.answered(ctx, c, callback), func(answer vitess.ResultSpoolFn) error {
		return h.Handler.ComQuery(ctx, c, query, answer)
	})
}

// ComMultiQuery implements vitess.Handler.
func (h *handler) ComMultiQuery(ctx context.Context, c *vitess.Conn, query string, callback vitess.ResultSpoolFn) (rest string, err error) {
	w := begun(c)
	defer func() {
		if breakOff(c, w, &err) {
			rest = ""
		}
	}()
	defer h.finish(c, query, &err)
	charset := h.clientCharset(c)
	if query, err = decodeStatement(charset, query); err != nil {
		return "", err
	}
	err = h.run(ctx, c, query, nil, h.answered(ctx, c, callback), func(answer vitess.ResultSpoolFn) (err error) {
		rest, err = h.Handler.ComMultiQuery(ctx, c, query, answer)
		return err
	})
	return string(encode(charset, []byte(rest))), err // it comes back
}

// ComPrepare implements vitess.Handler.
func (h *handler) ComPrepare(ctx context.Context, c *vitess.Conn, query string, prepare *vitess.PrepareData) (fields []*querypb.Field, err error) {
	defer h.finish(c, query, &err)
	charset := h.clientCharset(c)
	if query, err = decodeStatement(charset, query); err != nil {
		return nil, err
	}
	if prepare.PrepareStmt, err = decodeStatement(charset, prepare.PrepareStmt); err != nil {
		return nil, err
	}
	fields, err = h.Handler.ComPrepare(ctx, c, query, prepare)
	describe(fields)
	encodeFields(h.resultCharset(c), fields)
	return fields, err
}

// ComStmtExecute implements vitess.Handler.
func (h *handler) ComStmtExecute(ctx context.Context, c *vitess.Conn, prepare *vitess.PrepareData, callback func(*sqltypes.Result) error) (err error) {
	defer breakOff(c, begun(c), &err)
	defer h.finish(c, prepare.PrepareStmt, &err)
	padFractions(prepare)
	if err := finite(prepare); err != nil {
		return err
	}
	if err := decodeParameters(h.clientCharset(c), prepare); err != nil {
		return err
	}
	answer := h.answered(ctx, c, func(r *sqltypes.Result, _ bool) error { return callback(r) })
	return h.run(ctx, c, prepare.PrepareStmt, prepare.BindVars, answer, func(answer vitess.ResultSpoolFn) error {
		return h.Handler.ComStmtExecute(ctx, c, prepare, func(r *sqltypes.Result) error { return answer(r, false) })
	})
}

// answered is callback with the status flags and the fields put right before each answer.
func (h *handler) answered(ctx context.Context, c *vitess.Conn, callback vitess.ResultSpoolFn) vitess.ResultSpoolFn {
	w, _ := c.Conn.(*wire)
	var described []*querypb.Field // the fields are those of the answer before, but for the first
	return func(r *sqltypes.Result, more bool) error {
		h.setFlags(ctx, c)
		charset := h.resultCharset(c)
		if len(r.Fields) > 0 && (described == nil || &described[0] != &r.Fields[0]) {
			describe(r.Fields)
			h.describeTimes(c, r.Fields)
			encodeFields(charset, r.Fields)
			described = r.Fields
		}
		encodeRows(charset, r)
		if w != nil {
			w.sent = len(r.Fields) > 0
		}
		return callback(r, more)
	}
}

// begun is the wire of a connection on which a statement begins; nil when there is none.
func begun(c *vitess.Conn) *wire {
	w, _ := c.Conn.(*wire)
	if w != nil {
		w.sent = false
	}
	return w
}

// breakOff ends rows that an error has cut off with the error, and tells whether it did. The protocol's writer would hang up.
func breakOff(c *vitess.Conn, w *wire, err *error) bool {
	if w == nil || *err == nil || !w.sent || w.cursor.Load() {
		return false
	}
	var e *vitess.SQLError
	if !errors.As(*err, &e) || c.FlushBuffer() != nil {
		return false
	}
	w.instead, *err = errorPacket(e), nil
	return true
}

// finish ends a command: a panic becomes an error, so that a defect in one statement ends neither the connection nor the server, and
// errors get MySQL's numbers and states.
func (h *handler) finish(c *vitess.Conn, query string, err *error) {
	if r := recover(); r != nil {
		h.log.Error("A statement ended in a panic.", "query", query, "panic", r, "stack", string(debug.Stack()))
		*err = vitess.NewSQLError(erUnknown, "HY000", "internal error: %v", r)
	}
	if *err == nil {
		return
	}
	duplicate := ""
	if v, ok := h.sessions.Load(c.ConnectionID); ok {
		if s, ok := v.(interface{ Duplicate() string }); ok {
			duplicate = s.Duplicate()
		}
	}
	*err = h.near(c, refined(known(*err, duplicate), query))
}

// charsetBinary is the number of the character set of all that is no text.
const charsetBinary = 63

// describe gives fields that are no text the character set that says so; clients decode their bytes by it.
func describe(fields []*querypb.Field) {
	for _, f := range fields {
		if sqltypes.IsText(f.Type) || f.Type == sqltypes.Enum || f.Type == sqltypes.Set || f.Type == sqltypes.TypeJSON {
			continue
		}
		f.Charset = charsetBinary
		f.Flags |= uint32(querypb.MySqlFlag_BINARY_FLAG)
	}
}

// describeTimes gives fields of TIME and TIMESTAMP their fraction digits, which the engine gives those of DATETIME only.
func (h *handler) describeTimes(c *vitess.Conn, fields []*querypb.Field) {
	for i, f := range fields {
		switch f.Type {
		case sqltypes.Time:
			f.Decimals = max(f.ColumnLength, timeLength) - timeLength
		case sqltypes.Timestamp:
			if s := h.session(c); s != nil && len(s.Digits()) == len(fields) {
				f.Decimals = uint32(s.Digits()[i])
			}
		}
	}
}

// timeLength is the length of a TIME with its point, before the fraction.
const timeLength = uint32(len("-838:59:59."))

// finite refuses parameters that are no finite numbers: SQL has no such values.
func finite(p *vitess.PrepareData) error {
	for _, v := range p.BindVars {
		if v == nil || v.Type != querypb.Type_FLOAT32 && v.Type != querypb.Type_FLOAT64 {
			continue
		}
		if f, err := strconv.ParseFloat(string(v.Value), 64); err == nil && (math.IsInf(f, 0) || math.IsNaN(f)) {
			return vitess.NewSQLError(1264, "22003", "Out of range value: %s is not a finite number", v.Value)
		}
	}
	return nil
}

// setFlags sets the status flags of the connection from its session. A statement under autocommit is in a transaction of its own while
// it runs, which is not what the flag means.
func (h *handler) setFlags(ctx context.Context, c *vitess.Conn) {
	v, ok := h.sessions.Load(c.ConnectionID)
	if !ok {
		return
	}
	s := v.(sql.Session)
	auto, err := s.GetSessionVariable(sql.NewContext(ctx, sql.WithSession(s)), sql.AutoCommitSessionVar)
	if err != nil {
		return // a session without the variable keeps the flags it has
	}
	on, err := sql.ConvertToBool(sql.NewContext(ctx, sql.WithSession(s)), auto)
	if err != nil {
		return
	}
	set := func(flag uint16, on bool) {
		c.StatusFlags &^= flag
		if on {
			c.StatusFlags |= flag
		}
	}
	set(uint16(vitess.ServerStatusAutocommit), on)
	set(uint16(vitess.ServerInTransaction), s.GetIgnoreAutoCommit() || !on && s.GetTransaction() != nil)
}

// padFractions writes the microseconds of time parameters with all six digits. The reader of the protocol made the text from numbers,
// so that what is behind the point is a number of microseconds.
func padFractions(p *vitess.PrepareData) {
	for i, t := range p.ParamsType {
		switch querypb.Type(t) {
		case querypb.Type_TIMESTAMP, querypb.Type_DATE, querypb.Type_TIME, querypb.Type_DATETIME:
		default:
			continue
		}
		v := p.BindVars[fmt.Sprintf("v%d", i+1)]
		if v == nil || v.Type == querypb.Type_NULL_TYPE {
			continue
		}
		text, fraction, ok := strings.Cut(string(v.Value), ".")
		if !ok || len(fraction) >= 6 {
			continue
		}
		v.Value = []byte(text + "." + strings.Repeat("0", 6-len(fraction)) + fraction)
	}
}
