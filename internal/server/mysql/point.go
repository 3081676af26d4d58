package mysql

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/dolthub/go-mysql-server/server"
	"github.com/dolthub/go-mysql-server/sql"
	vitess "github.com/dolthub/vitess/go/mysql"
	"github.com/dolthub/vitess/go/sqltypes"
	querypb "github.com/dolthub/vitess/go/vt/proto/query"

	"github.com/stemmadb/stemma/internal/clock"
	"github.com/stemmadb/stemma/internal/engine/session"
)

// run runs a command that may be a single statement under autocommit: by the engine's short way when that knows it, else by general, and
// again when another transaction was in its way (see again). answer is called with the answer; general calls answer it was given.
func (h *handler) run(
	ctx context.Context, c *vitess.Conn, query string, bindings map[string]*querypb.BindVariable,
	answer vitess.ResultSpoolFn, general func(answer vitess.ResultSpoolFn) error,
) error {
	return h.again(ctx, c, query, answer, func(answer vitess.ResultSpoolFn) error {
		done, described, err := h.point(ctx, c, query, bindings, answer)
		if done {
			return err
		}
		if described == nil {
			return general(answer)
		}
		var fields []*querypb.Field
		err = general(func(r *sqltypes.Result, more bool) error {
			if r.Fields != nil {
				fields = r.Fields
			}
			return answer(r, more)
		})
		if err == nil && fields != nil {
			described(fields)
		}
		return err
	})
}

// answerShape is the key of a session's descriptions of answers.
type answerShape struct{ shape any }

// point runs a statement by Engine.Point; done is false when it has to be run by the general way. described, if it is not nil, is to be told
// the description of the answer.
func (h *handler) point(
	ctx context.Context, c *vitess.Conn, query string, bindings map[string]*querypb.BindVariable, answer vitess.ResultSpoolFn,
) (done bool, described func([]*querypb.Field), err error) {
	if h.server.general || !edits(query) && !begins(query, "select") {
		return false, nil, nil
	}
	s := h.session(c)
	if s == nil {
		return false, nil, nil
	}
	e := h.server.opt.Engine
	sctx := e.NewContext(ctx, s)
	if sctx, err = sctx.ProcessList.BeginQuery(sctx, query); err != nil {
		return false, nil, nil
	}
	defer sctx.ProcessList.EndQuery(sctx)
	fields := func(shape any) []*querypb.Field {
		f, _ := s.Local(answerShape{shape}, func() any { return []*querypb.Field(nil) }).([]*querypb.Field)
		return f
	}
	res, row, done, err := e.Point(sctx, query, bindings, func(shape any) bool { return fields(shape) != nil })
	if err != nil {
		return done, nil, sql.CastSQLError(err)
	}
	if !done {
		if row.Shape != nil && fields(row.Shape) == nil {
			described = func(f []*querypb.Field) {
				s.ForgetLocal(answerShape{row.Shape})
				s.Local(answerShape{row.Shape}, func() any { return f })
			}
		}
		return false, described, nil
	}
	if row.Schema != nil {
		r := &sqltypes.Result{Fields: fields(row.Shape)}
		if row.Values != nil {
			values, err := server.RowToSQL(sctx, row.Schema, row.Values, nil, nil)
			if err != nil {
				return true, nil, sql.CastSQLError(err)
			}
			r.Rows, r.RowsAffected = [][]sqltypes.Value{values}, 1
		}
		h.server.shorts.Add(1)
		return true, nil, answer(r, false)
	}
	h.server.shorts.Add(1)
	r := &sqltypes.Result{RowsAffected: res.RowsAffected, InsertID: res.InsertID}
	if res.Info != nil {
		r.Info = res.Info.String()
	}
	return true, nil, answer(r, false)
}

// session is the session of a connection; nil when it has none yet.
func (h *handler) session(c *vitess.Conn) *session.Session {
	v, _ := h.sessions.Load(c.ConnectionID)
	s, _ := v.(*session.Session)
	return s
}

const (
	// tries and retryFor bound how often and how long a statement is run that others are in the way of.
	tries    = 1000
	retryFor = 10 * time.Second
	// aside is how long a statement may take for others to wait until it has been run again.
	aside = 100 * time.Millisecond
)

// retries are the short statements that are being run again: one at a time, so that they are not in each other's way as well.
type retries struct{ sync.Mutex }

// again runs a statement, and runs it again when it failed because another transaction changed the same rows meanwhile, if it is a single
// statement under autocommit that answers no rows: then nobody has seen anything of it, and the client cannot do better.
func (h *handler) again(ctx context.Context, c *vitess.Conn, query string, answer vitess.ResultSpoolFn, once func(vitess.ResultSpoolFn) error) error {
	s := h.session(c)
	if s == nil || !edits(query) || s.GetIgnoreAutoCommit() || strings.Contains(query, ":=") || !autocommit(ctx, s) {
		return once(answer)
	}
	answered := false
	noted := func(r *sqltypes.Result, more bool) error {
		answered = true
		return answer(r, more)
	}
	begin := clock.System{}.Now()
	err := once(noted)
	if answered || !conflict(err) {
		return err
	}
	if clock.Since(begin) < aside {
		h.retries.Lock()
		defer h.retries.Unlock()
	}
	begin = clock.System{}.Now()
	for try := 1; try < tries && !answered && conflict(err) && ctx.Err() == nil && clock.Since(begin) < retryFor; try++ {
		err = once(noted)
	}
	return err
}

// conflict tells whether an error says that another transaction was in the way.
func conflict(err error) bool {
	var e *vitess.SQLError
	return errors.As(err, &e) && e.Number() == vitess.ERLockDeadlock || sql.ErrLockDeadlock.Is(err)
}

// autocommit tells whether each statement of the session is a transaction.
func autocommit(ctx context.Context, s *session.Session) bool {
	sctx := sql.NewContext(ctx, sql.WithSession(s))
	v, err := s.GetSessionVariable(sctx, sql.AutoCommitSessionVar)
	if err != nil {
		return false
	}
	on, err := sql.ConvertToBool(sctx, v)
	return err == nil && on
}

// edits tells whether a statement begins as one that edits rows.
func edits(query string) bool {
	return begins(query, "insert") || begins(query, "update") || begins(query, "delete") || begins(query, "replace")
}

// begins tells whether a statement begins with a word in lower case.
func begins(query, verb string) bool {
	query = strings.TrimLeft(query, " \t\r\n")
	return len(query) > len(verb) && strings.EqualFold(query[:len(verb)], verb)
}
