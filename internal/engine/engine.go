// Package engine is the SQL engine over databases of this program: the parts below it plugged into go-mysql-server.
//
//	types     SQL types and cells           registry  what is plugged in
//	session   sessions and transactions     sqltable  tables, indexes, editors
//	catalog   databases and tables by name  systab, fn, proc  system tables, functions, procedures
package engine

import (
	"context"

	sqle "github.com/dolthub/go-mysql-server"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/analyzer"
	"github.com/dolthub/go-mysql-server/sql/information_schema"
	"github.com/dolthub/go-mysql-server/sql/mysql_db"
	"github.com/dolthub/go-mysql-server/sql/rowexec"

	"github.com/stemmadb/stemma/internal/engine/catalog"
	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/engine/session"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/vfs"
)

// Options say what the engine serves.
type Options struct {
	// Repos are databases that are open already; they stay open when the engine is closed.
	Repos []*repo.Repo
	// FS and Dir are the directory whose sub-directories are databases; CREATE DATABASE makes them there.
	FS  vfs.FS
	Dir string
	// Repo steers how databases in Dir are opened.
	Repo repo.Options
	// Opened and Closing are told of databases that CREATE DATABASE has made and that DROP DATABASE is about to close; nil is nobody.
	Opened, Closing func(*repo.Repo)
	// Fixed refuses to make, drop and restore databases, and says why; empty when it does not.
	Fixed string
	// ReadOnly refuses every statement that writes.
	ReadOnly   bool
	Registries registry.Registries
	// Author makes the commits of sessions; when its name is empty they are made by the client's user.
	Author history.Signature
	// Users are the accounts and privileges as PersistUsers was given them. When both are nil there are no accounts, and whoever
	// can reach the engine may do everything.
	Users        []byte
	PersistUsers func(ctx *sql.Context, data []byte) error
}

// Engine serves SQL. It is used by many goroutines, each with a session of its own.
type Engine struct {
	sqle     *sqle.Engine
	provider *catalog.Provider
	opt      Options
	active   session.Active

	passwords passwords
}

// New opens the databases and makes the engine.
func New(ctx context.Context, opt Options) (*Engine, error) {
	RegisterVariables()
	if opt.Repo.Expressions == nil {
		opt.Repo.Expressions = Expressions()
	}
	p, err := catalog.New(ctx, catalog.Options{
		Repos: opt.Repos, FS: opt.FS, Dir: opt.Dir, Repo: opt.Repo, Registries: opt.Registries, Opened: opt.Opened, Closing: opt.Closing, Fixed: opt.Fixed,
	})
	if err != nil {
		return nil, err
	}
	a := analyzer.NewBuilder(p).AddPreAnalyzeRule(ruleDropCheck, plainTables).AddOverrides(sql.EngineOverrides{Builder: sql.BuilderOverrides{Parser: newParser()}}).Build()
	a.Catalog.InfoSchema = information_schema.NewInformationSchemaDatabase()
	a.Catalog.StatsProvider = newStats()
	a.Catalog.AuthHandler = access{a.Catalog.AuthHandler, a.Catalog, p}
	e := &Engine{provider: p, opt: opt}
	e.sqle = sqle.New(a, &sqle.Config{IsReadOnly: opt.ReadOnly}).WithBackgroundThreads(sql.NewBackgroundThreads())
	exec := &executor{databases: p, fewRows: fewRows, sortMemory: sortMemory, heapRows: heapRows}
	a.ExecBuilder = rowexec.NewBuilder(exec, a.Overrides)
	a.ExecBuilder.Runner = e.sqle
	exec.base = a.ExecBuilder
	if err := e.loadUsers(ctx); err != nil {
		return nil, err
	}
	return e, nil
}

// loadUsers sets up accounts.
func (e *Engine) loadUsers(ctx context.Context) error {
	if e.opt.Users == nil && e.opt.PersistUsers == nil {
		return nil
	}
	db := e.sqle.Analyzer.Catalog.MySQLDb
	sctx := e.NewContext(ctx, e.NewSession(sql.NewBaseSession()))
	if e.opt.PersistUsers != nil {
		db.SetPersister(persister{e.opt.PersistUsers})
	}
	if len(e.opt.Users) > 0 {
		return db.LoadData(sctx, e.opt.Users)
	}
	db.SetEnabled(true)
	return nil
}

// persister hands the accounts to the one who keeps them.
type persister struct {
	save func(ctx *sql.Context, data []byte) error
}

var _ mysql_db.MySQLDbPersistence = persister{}

// Persist implements mysql_db.MySQLDbPersistence.
func (p persister) Persist(ctx *sql.Context, data []byte) error { return p.save(ctx, data) }

// SQLEngine is the engine underneath, for servers.
func (e *Engine) SQLEngine() *sqle.Engine { return e.sqle }

// Provider finds the databases.
func (e *Engine) Provider() *catalog.Provider { return e.provider }

// InUse tells whether a client's session is on the branch.
func (e *Engine) InUse(r *repo.Repo, branch string) bool { return e.active.InUse(r, branch, nil) }

// NewSession makes a session on the engine's own part of one.
func (e *Engine) NewSession(base *sql.BaseSession) *session.Session {
	return e.session(base, session.Options{Databases: e.provider, Author: e.opt.Author, Query: e.Answer})
}

// NewClientSession is NewSession for a client that connects from a host, as user() is to name it.
func (e *Engine) NewClientSession(base *sql.BaseSession, host string) *session.Session {
	return e.session(base, session.Options{Databases: e.provider, Author: e.opt.Author, Client: host, Active: &e.active, Query: e.Answer})
}

// session makes a session. Where there are no accounts it has all privileges, for information_schema, which asks for them all the same.
func (e *Engine) session(base *sql.BaseSession, opt session.Options) *session.Session {
	if e.opt.Users == nil && e.opt.PersistUsers == nil {
		base.SetPrivilegeSet(mysql_db.NewPrivilegeSetWithAllPrivileges(), 0)
	}
	return session.New(base, opt)
}

// NewContext makes the context of a statement of a session.
func (e *Engine) NewContext(ctx context.Context, s *session.Session) *sql.Context {
	return sql.NewContext(ctx, sql.WithSession(s), sql.WithProcessList(e.sqle.ProcessList), sql.WithMemoryManager(e.sqle.MemoryManager))
}

// Query runs a statement. The iterator must be read to its end or closed: the statement is committed when it is.
func (e *Engine) Query(ctx *sql.Context, query string) (sql.Schema, sql.RowIter, error) {
	s, iter, _, err := e.sqle.Query(ctx, query)
	return s, iter, err
}

// Close ends the engine and closes the databases that it opened.
func (e *Engine) Close(ctx context.Context) error {
	err := e.sqle.Close()
	if e := e.provider.Close(ctx); err == nil {
		err = e
	}
	return err
}
