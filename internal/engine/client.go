package engine

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/vt/sqlparser"

	"github.com/stemmadb/stemma/internal/engine/session"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/repo"
)

// CheckedOut are databases whose sessions begin on the branch that the directory has checked out at that time.
func CheckedOut(d session.Databases) session.Databases { return checkedOut{d} }

type checkedOut struct{ session.Databases }

// DefaultBranch implements session.Databases.
func (c checkedOut) DefaultBranch(name string) string {
	if r, _, ok := c.Lookup(name); ok {
		return r.CheckedOut()
	}
	return c.Databases.DefaultBranch(name)
}

// ClientOptions say whose session a Client is.
type ClientOptions struct {
	User, Host string            // the account
	From       string            // the host that the client connects from, as user() names it
	Author     history.Signature // of commits; when its name is empty it is made of the account
	CheckedOut bool              // the session works on the branches that directories have checked out
	Database   string            // the current database, with its revision; "" is none
	Run        lineage.Current   // the run that the session works for
	ReadsIn    *repo.ReadsIn     // where reads of the run are recorded, when it has other sessions; nil otherwise
}

// Client is a session for protocols that do not know the SQL engine: values are cells and errors have classes of errs where that can be.
// It runs one statement at a time, and must be closed.
type Client struct {
	e  *Engine
	s  *session.Session
	mu sync.Mutex
	id uint32
}

// clientIDs number the sessions of Clients, apart from the connections of MySQL's protocol.
var clientIDs atomic.Uint32

// firstClientID is above the numbers that MySQL's protocol gives out.
const firstClientID = 1 << 30

// Connect makes a session.
func (e *Engine) Connect(ctx context.Context, opt ClientOptions) (*Client, error) {
	id := firstClientID + clientIDs.Add(1)
	base := sql.NewBaseSessionWithClientServer("", sql.Client{User: opt.User, Address: opt.Host, Capabilities: 0}, id)
	so := session.Options{Databases: e.provider, Author: opt.Author, Client: opt.From, Query: e.Answer}
	if opt.CheckedOut {
		so.Databases = CheckedOut(e.provider)
	}
	c := &Client{e: e, s: e.session(base, so), id: id}
	c.s.SetCurrentDatabase(opt.Database)
	c.s.SetRun(opt.Run, opt.ReadsIn)
	list := e.sqle.ProcessList
	list.AddConnection(id, opt.From)
	list.ConnectionReady(c.s)
	sctx := e.NewContext(ctx, c.s)
	mode := sql.LoadSqlMode(sctx).String()
	if mode != "" {
		mode += ","
	}
	if err := c.s.SetSessionVariable(sctx, "sql_mode", mode+"ANSI_QUOTES"); err != nil {
		return nil, errs.New(errs.Internal, "begin a session: %w", err)
	}
	return c, nil
}

// SetRun makes the session work for a run, whose reads are recorded in databases that its other sessions have added to in.
func (c *Client) SetRun(by lineage.Current, in *repo.ReadsIn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.SetRun(by, in)
}

// Run is the run that the session works for; its Run is "" for none.
func (c *Client) Run() lineage.Current {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.s.Run()
}

// Close ends the session; what it has not committed is rolled back.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.SessionEnd()
	c.e.sqle.ProcessList.RemoveConnection(c.id)
	c.e.sqle.CloseSession(c.id)
}

// Kill cancels what the session does.
func (c *Client) Kill() { c.e.sqle.ProcessList.Kill(c.id) }

// Duplicate is how MySQL words the duplicate key that the last statement came upon; "" when it did not.
func (c *Client) Duplicate() string { return c.s.Duplicate() }

// pids number the statements of Clients in the process list.
var pids atomic.Uint64

// begin takes the session for a statement, which must be ended.
func (c *Client) begin(ctx context.Context, query string) (*sql.Context, func(), error) {
	c.mu.Lock()
	c.s.SetDuplicate("")
	sctx := sql.NewContext(ctx, sql.WithSession(c.s), sql.WithProcessList(c.e.sqle.ProcessList), sql.WithMemoryManager(c.e.sqle.MemoryManager),
		sql.WithPid(firstClientID<<8+pids.Add(1)), sql.WithQuery(query))
	sctx, err := sctx.ProcessList.BeginQuery(sctx, query)
	if err != nil {
		c.mu.Unlock()
		return nil, nil, errs.New(errs.Internal, "begin a statement: %w", err)
	}
	return sctx, func() {
		sctx.ProcessList.EndQuery(sctx)
		c.mu.Unlock()
	}, nil
}

// parse reads one statement.
func (c *Client) parse(ctx *sql.Context, query string) (sqlparser.Statement, error) {
	if strings.Trim(query, "; \t\r\n") == "" {
		return nil, errs.New(errs.Invalid, "there is no statement to run")
	}
	stmt, _, rest, err := c.e.sqle.Parser.ParseWithOptions(ctx, query, ';', false, sql.LoadSqlMode(ctx).ParserOptions())
	if err != nil {
		return nil, err
	}
	if strings.Trim(rest, "; \t\r\n") != "" {
		return nil, errs.New(errs.Invalid, "one statement at a time: another follows behind %q", query[:len(query)-len(rest)])
	}
	return stmt, nil
}

// Author is who makes commits in the session.
func (c *Client) Author(ctx context.Context) (history.Signature, error) {
	sctx, end, err := c.begin(ctx, "")
	if err != nil {
		return history.Signature{}, err
	}
	defer end()
	return c.s.Author(sctx)
}

// MissingTable is the name of the table whose absence an error of the engine is about; "" for other errors.
func MissingTable(err error) string {
	if !sql.ErrTableNotFound.Is(err) {
		return ""
	}
	_, name, _ := strings.Cut(err.Error(), "table not found: ")
	name, _, _ = strings.Cut(name, ",")
	return strings.TrimSpace(name)
}
