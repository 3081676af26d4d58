package mysql

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

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
		if done, err := h.point(ctx, c, query, bindings, answer); done {
			return err
		}
		return general(answer)
	})
}

// point runs a statement by Engine.Point; done is false when it has to be run by the general way.
func (h *handler) point(
	ctx context.Context, c *vitess.Conn, query string, bindings map[string]*querypb.BindVariable, answer vitess.ResultSpoolFn,
) (done bool, err error) {
	if h.server.general || !edits(query) {
		return false, nil
	}
	s := h.session(c)
	if s == nil {
		return false, nil
	}
	e := h.server.opt.Engine
	sctx := e.NewContext(ctx, s)
	if sctx, err = sctx.ProcessList.BeginQuery(sctx, query); err != nil {
		return false, nil
	}
	defer sctx.ProcessList.EndQuery(sctx)
	res, done, err := e.Point(sctx, query, bindings)
	if !done || err != nil {
		if err != nil {
			err = sql.CastSQLError(err)
		}
		return done, err
	}
	h.server.shorts.Add(1)
	r := &sqltypes.Result{RowsAffected: res.RowsAffected, InsertID: res.InsertID}
	if res.Info != nil {
		r.Info = res.Info.String()
	}
	return true, answer(r, false)
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
	query = strings.TrimLeft(query, " \t\r\n")
	for _, verb := range []string{"insert", "update", "delete", "replace"} {
		if len(query) > len(verb) && strings.EqualFold(query[:len(verb)], verb) {
			return true
		}
	}
	return false
}
