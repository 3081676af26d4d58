package cli

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"

	client "github.com/go-sql-driver/mysql"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/op"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/server/owner"
	"github.com/stemmadb/stemma/internal/vfs"
)

// sqlSession is a session of SQL on the databases of a directory: with this process's own engine while it owns them, else with the
// owner's.
type sqlSession struct {
	p        *Program
	scope    *op.Scope
	database string // to begin with; "" for none
	*sqlConn
	held *holding // nil while another process owns the databases
}

// openSQL begins a session on the databases of the scope's directory.
func (p *Program) openSQL(ctx context.Context, scope *op.Scope, database string) (*sqlSession, error) {
	s := &sqlSession{p: p, scope: scope, database: database}
	if database == "" && !p.globals.distant() {
		var err error
		if s.database, err = onlyDatabase(scope.Dir); err != nil {
			return nil, err
		}
	}
	if scope.Branch != "" && !strings.Contains(s.database, "/") {
		if s.database == "" {
			return nil, errs.New(errs.Invalid, "sql: --branch needs a database: name it with --use-db")
		}
		s.database += "/" + scope.Branch
	}
	return s, s.connect(ctx)
}

// onlyDatabase is the name of the database in dir: its own, or that of the only sub-directory that is one. Otherwise it is "".
func onlyDatabase(dir string) (string, error) {
	if _, found, err := findDatabase(dir); err != nil {
		return "", err
	} else if found {
		return filepath.Base(dir), nil
	}
	names, err := databasesIn(vfs.OS{}, dir)
	if err != nil || len(names) != 1 {
		return "", err
	}
	return names[0], nil
}

// connect connects to the engine of the databases' owner, becoming it when there is none; or to the server that the user has named.
func (s *sqlSession) connect(ctx context.Context) (err error) {
	if g := s.p.globals; g.distant() {
		s.sqlConn, err = connectServer(ctx, g, s.p.Env, s.database)
		return err
	}
	return s.p.owning(ctx, func() error {
		h, err := s.p.holdAll(ctx, s.scope.Dir, listening{})
		if err != nil {
			return err
		}
		c, err := connectSQL(ctx, h.dial, s.scope.Author, s.database)
		if err != nil {
			return settled{errors.Join(errs.New(classOf(err), "connect to the engine: %s", sqlMessage(err)), h.close(ctx))}
		}
		s.held, s.sqlConn = h, c
		return settled{}
	}, func() error {
		places, err := s.places()
		if err != nil {
			return err
		}
		for _, dir := range places {
			c, err := connectOwner(ctx, func(ctx context.Context) (net.Conn, error) { return owner.DialSQL(ctx, dir) }, s.scope.Author, s.database)
			if err == nil {
				s.held, s.sqlConn = nil, c
				return nil
			}
			if !errors.Is(err, owner.ErrNoOwner) {
				return err
			}
		}
		return owner.ErrNoOwner
	})
}

// connectOwner connects to the engine of an owner. The error is owner.ErrNoOwner when there is none, or it ends before there is a session:
// whatever breaks off then, nothing has been begun.
func connectOwner(ctx context.Context, dial dialFunc, author op.Author, database string) (*sqlConn, error) {
	var unreached error
	c, err := connectSQL(ctx, func(ctx context.Context) (conn net.Conn, err error) {
		conn, unreached = dial(ctx)
		return conn, unreached
	}, author, database)
	const doing = "connect to the process that owns the database"
	refused := (*client.MySQLError)(nil)
	switch {
	case err == nil:
		return c, nil
	case errors.As(err, &refused):
		return nil, errs.New(classOf(err), "%s: %s", doing, sqlMessage(err))
	case ctx.Err() != nil:
		return nil, errs.With(errs.Canceled, ctx.Err())
	case unreached != nil && !errors.Is(unreached, owner.ErrNoOwner):
		return nil, errs.New(errs.Unavailable, "%s: %s", doing, sqlMessage(unreached))
	}
	return nil, owner.ErrNoOwner
}

// places are the directories in which an owner's socket may be.
func (s *sqlSession) places() ([]string, error) {
	dirs := []string{s.scope.Dir}
	names, err := databasesIn(vfs.OS{}, s.scope.Dir)
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		dirs = append(dirs, filepath.Join(s.scope.Dir, n))
	}
	var out []string
	for _, d := range dirs {
		if place, err := repo.Locate(vfs.OS{}, d); err == nil {
			out = append(out, place)
		}
	}
	return out, nil
}

// end ends the session, and the ownership.
func (s *sqlSession) end(ctx context.Context) error {
	s.sqlConn.close()
	if s.held != nil {
		return s.held.close(ctx)
	}
	return nil
}
