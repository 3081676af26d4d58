package engine

import (
	"cmp"
	"context"
	"encoding/hex"
	"io"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/planbuilder"
	gms "github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/vt/sqlparser"

	"github.com/stemmadb/stemma/internal/engine/session"
	"github.com/stemmadb/stemma/internal/engine/types"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/history"
	"github.com/stemmadb/stemma/internal/lineage"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
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
	c := &Client{e: e, s: session.New(base, so), id: id}
	c.s.SetCurrentDatabase(opt.Database)
	c.s.SetRun(opt.Run)
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

// SetRun makes the session work for a run.
func (c *Client) SetRun(by lineage.Current) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.SetRun(by)
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

// Column is a column of an answer.
type Column struct {
	Name     string
	Type     value.Type
	Nullable bool
	codec    *types.Codec // nil: the value's text
	sql      sql.Type
}

// columnsOf are the columns of a schema; none for a statement that gives no rows.
func columnsOf(schema sql.Schema) ([]Column, error) {
	if gms.IsOkResultSchema(schema) {
		return nil, nil
	}
	out := make([]Column, len(schema))
	for i, c := range schema {
		out[i] = Column{Name: c.Name, Nullable: true, sql: c.Type}
		t, err := types.FromSQL(c.Type)
		if err == nil {
			out[i].codec, err = types.NewCodec(t)
		}
		if err != nil { // a type of expressions only, such as that of NULL
			t = value.Type{Kind: value.KindText, Length: value.LongLength, Collation: value.CollationUtf8mb40900Bin}
			out[i].codec = nil
		}
		out[i].Type = t
	}
	return out, nil
}

// cell is a value of the engine as a cell of the column.
func (c *Column) cell(ctx *sql.Context, v any) (value.Cell, error) {
	if v == nil {
		return value.Null, nil
	}
	if c.codec != nil {
		return c.codec.ToCell(ctx, v)
	}
	v, err := sql.UnwrapAny(ctx, v)
	if err != nil || v == nil {
		return value.Null, err
	}
	text, err := c.sql.SQL(ctx, nil, v)
	if err != nil {
		return value.Null, err
	}
	if text.IsNull() {
		return value.Null, nil
	}
	return value.BytesCell(text.ToBytes()), nil
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

// Param is the value of a parameter: nil, bool, int64, uint64, float64, Number, string or []byte.
type Param any

// Number is a decimal number by its digits.
type Number string

// bind makes expressions of parameters, by the names that the parser gives to question marks.
func bind(params []Param) (map[string]sqlparser.Expr, error) {
	if len(params) == 0 {
		return nil, nil
	}
	out := make(map[string]sqlparser.Expr, len(params))
	for i, p := range params {
		var e sqlparser.Expr
		switch p := p.(type) {
		case nil:
			e = &sqlparser.NullVal{}
		case bool:
			e = sqlparser.BoolVal(p)
		case int64:
			e = sqlparser.NewIntVal(strconv.AppendInt(nil, p, 10))
		case uint64:
			e = sqlparser.NewIntVal(strconv.AppendUint(nil, p, 10))
		case float64:
			e = sqlparser.NewFloatVal(strconv.AppendFloat(nil, p, 'e', -1, 64))
		case Number:
			e = sqlparser.NewFloatVal([]byte(p))
		case string:
			e = sqlparser.NewStrVal([]byte(p))
		case []byte:
			e = sqlparser.NewHexVal([]byte(hex.EncodeToString(p)))
		default:
			return nil, errs.New(errs.Unsupported, "parameter %d: a %T cannot be one", i+1, p)
		}
		out["v"+strconv.Itoa(i+1)] = e
	}
	return out, nil
}

// Description says what a statement would answer.
type Description struct {
	Columns []Column // nil: it gives no rows, but changes something
	Params  int      // question marks
	Reads   bool     // it is a query that changes nothing by itself
	Changes bool     // it is no query: it is run for what it changes
}

// Describe plans a statement and does not run it. params may be nil while they are not known.
func (c *Client) Describe(ctx context.Context, query string, params []Param) (*Description, error) {
	sctx, end, err := c.begin(ctx, query)
	if err != nil {
		return nil, err
	}
	defer end()
	stmt, err := c.parse(sctx, query)
	if err != nil {
		return nil, err
	}
	d := &Description{Params: countParams(stmt)}
	if err := c.s.ValidateSession(sctx); err != nil {
		return nil, err
	}
	var node sql.Node
	if d.Params == len(params) {
		bound, err := bind(params)
		if err != nil {
			return nil, err
		}
		node, err = c.e.sqle.BoundQueryPlan(sctx, query, stmt, bound)
		if err != nil {
			return nil, err
		}
	} else if node, err = c.e.sqle.PrepareParsedQuery(sctx, query, query, stmt); err != nil {
		return nil, err
	}
	d.Changes = !node.IsReadOnly()
	d.Reads = plan.NodeRepresentsSelect(sctx, node) && !d.Changes // it takes DROP TABLE for a query
	switch n := node.(type) {
	case *plan.InsertInto:
		if n.Returning == nil {
			return d, nil
		}
	case *plan.Update, *plan.UpdateJoin, *plan.DeleteFrom:
		return d, nil
	}
	d.Columns, err = columnsOf(node.Schema(sctx))
	return d, err
}

// countParams counts the question marks of a statement.
func countParams(stmt sqlparser.Statement) int {
	n := 0
	_ = sqlparser.Walk(func(node sqlparser.SQLNode) (bool, error) { // the function returns no errors
		if v, ok := node.(*sqlparser.SQLVal); ok && v.Type == sqlparser.ValArg {
			n++
		}
		return true, nil
	}, stmt)
	return n
}

// Rows is the answer of a statement. It must be closed, which commits the statement under autocommit; an error of Next or Close
// means that the statement has failed.
type Rows struct {
	Columns  []Column // nil: there are no rows
	Affected int64    // rows that the statement changed, known when Next has said that there is nothing more
	ctx      *sql.Context
	iter     sql.RowIter
	end      func()
	done     bool
}

// Query runs a statement.
func (c *Client) Query(ctx context.Context, query string, params []Param) (*Rows, error) {
	sctx, end, err := c.begin(ctx, query)
	if err != nil {
		return nil, err
	}
	rows, err := c.query(sctx, query, params)
	if err != nil {
		end()
		return nil, err
	}
	rows.end = end
	return rows, nil
}

func (c *Client) query(ctx *sql.Context, query string, params []Param) (*Rows, error) {
	stmt, err := c.parse(ctx, query)
	if err != nil {
		return nil, err
	}
	if n := countParams(stmt); n != len(params) {
		return nil, errs.New(errs.Invalid, "the statement has %d parameters, %d were given", n, len(params))
	}
	bound, err := bind(params)
	if err != nil {
		return nil, err
	}
	if len(bound) > 0 {
		c.s.PrepareQuery(query, stmt)
		defer c.s.UnprepareQuery(query)
	}
	schema, iter, _, err := c.e.sqle.QueryWithBindings(ctx, query, stmt, bound, nil)
	if err != nil {
		return nil, err
	}
	r := &Rows{ctx: ctx, iter: iter}
	if r.Columns, err = columnsOf(schema); err != nil {
		return nil, err
	}
	return r, nil
}

// Next fills cells, one a column, with the next row; they are valid until the one after. False is the end.
func (r *Rows) Next(cells []value.Cell) (bool, error) {
	for {
		row, err := r.iter.Next(r.ctx)
		if err == io.EOF {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if r.Columns == nil {
			if gms.IsOkResult(row) {
				r.Affected += int64(gms.GetOkResult(row).RowsAffected)
			}
			continue
		}
		for i := range r.Columns {
			if cells[i], err = r.Columns[i].cell(r.ctx, row[i]); err != nil {
				return false, errs.New(errs.Invalid, "column %s: %w", r.Columns[i].Name, err)
			}
		}
		return true, nil
	}
}

// Close ends the statement.
func (r *Rows) Close() error {
	if r.done {
		return nil
	}
	r.done = true
	defer r.end()
	return r.iter.Close(r.ctx)
}

// Exec runs a statement to its end and counts the rows that it changed.
func (c *Client) Exec(ctx context.Context, query string, params []Param) (n int64, err error) {
	rows, err := c.Query(ctx, query, params)
	if err != nil {
		return 0, err
	}
	cells := make([]value.Cell, len(rows.Columns))
	for ok := true; ok && err == nil; {
		ok, err = rows.Next(cells)
	}
	if e := rows.Close(); err == nil {
		err = e
	}
	return rows.Affected, err
}

// Resolved is what a name and a ref mean.
type Resolved struct {
	Repo     *repo.Repo
	Database string           // its name
	Branch   string           // the branch worked on; "" when the name means a commit
	Commit   history.CommitID // zero: a working or staged set
	reader   interface {
		Table(ctx context.Context, name string) (v *table.View, written string, ok bool, err error)
		TableNames(ctx context.Context) ([]string, error)
	}
}

// Table is a table there, its name as written; ok is false when there is none.
func (r *Resolved) Table(ctx context.Context, name string) (*table.View, string, bool, error) {
	return r.reader.Table(ctx, name)
}

// TableNames is the names of the tables there.
func (r *Resolved) TableNames(ctx context.Context) ([]string, error) { return r.reader.TableNames(ctx) }

// Resolve finds the tables of a database, "" for the current one, at a ref, "" for the session's own view of its branch.
func (c *Client) Resolve(ctx context.Context, database, ref string) (*Resolved, error) {
	sctx, end, err := c.begin(ctx, "")
	if err != nil {
		return nil, err
	}
	defer end()
	h, err := c.s.Handle(sctx, database)
	if err != nil {
		return nil, err
	}
	r := &Resolved{Repo: h.Repo(), Database: h.Base(), Branch: h.Branch()}
	if ref == "" {
		if r.Branch == "" {
			if r.Commit, err = h.Head(sctx); err != nil {
				return nil, err
			}
		}
		r.reader, err = h.Reader(sctx)
	} else {
		r.reader, r.Commit, err = h.At(sctx, ref)
	}
	if err == nil && !c.inTransaction() {
		c.settle(sctx)
	}
	return r, err
}

// inTransaction tells whether a transaction has been begun that is to outlast the statement.
func (c *Client) inTransaction() bool { return c.s.GetIgnoreAutoCommit() }

// settle gives up what a look at the database has pinned.
func (c *Client) settle(ctx *sql.Context) {
	if t := c.s.GetTransaction(); t != nil {
		_ = c.s.Rollback(ctx, t) // of a transaction without changes: it cannot fail
		ctx.SetTransaction(nil)
	}
}

// Access is a right to a table.
type Access int

// The rights.
const (
	Read   Access = iota // its rows
	Write                // add, change and delete rows
	Create               // make it
	Drop                 // drop it
)

// Allowed tells whether the account has a right to a table; the error is of class Denied.
func (c *Client) Allowed(ctx context.Context, database, name string, rights ...Access) error {
	sctx := c.e.NewContext(ctx, c.s)
	subject := sql.PrivilegeCheckSubject{Database: database, Table: name}
	db := c.e.sqle.Analyzer.Catalog.MySQLDb
	if !db.Enabled() {
		return nil
	}
	var ops []sql.PrivilegedOperation
	for _, a := range rights {
		switch a {
		case Read:
			ops = append(ops, sql.NewPrivilegedOperation(subject, sql.PrivilegeType_Select))
		case Write:
			ops = append(ops, sql.NewPrivilegedOperation(subject, sql.PrivilegeType_Insert, sql.PrivilegeType_Update, sql.PrivilegeType_Delete))
		case Create:
			ops = append(ops, sql.NewPrivilegedOperation(subject, sql.PrivilegeType_Create))
		case Drop:
			ops = append(ops, sql.NewPrivilegedOperation(subject, sql.PrivilegeType_Drop))
		}
	}
	if !db.UserHasPrivileges(sctx, ops...) {
		return errs.New(errs.Denied, "command denied to user '%s'@'%s' for table '%s'", c.s.Client().User, c.s.Client().Address, name)
	}
	return nil
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

// Transaction runs fn in the session's transaction on the branch that a database's name means: what it changes is seen by the session's
// statements, and committed with them, or at once when no transaction has been begun. An error takes back what fn did.
func (c *Client) Transaction(ctx context.Context, database string, fn func(tx *repo.Tx) error) error {
	sctx, end, err := c.begin(ctx, "")
	if err != nil {
		return err
	}
	defer end()
	if c.e.sqle.IsReadOnly() {
		return errs.New(errs.ReadOnly, "the server was started to read only")
	}
	if err := c.s.ValidateSession(sctx); err != nil {
		return err
	}
	h, err := c.s.Handle(sctx, database)
	if err != nil {
		return err
	}
	if h.Branch() == "" {
		return errs.New(errs.ReadOnly, "database %s cannot be written: it shows a commit; use a branch", sctx.GetCurrentDatabase())
	}
	p, err := h.Part(sctx)
	if err != nil {
		return err
	}
	var failed error // as it was, before the engine's session words it for MySQL
	if err := p.Change(func(tx *repo.Tx) error {
		failed = fn(tx)
		return failed
	}); err != nil {
		if !c.inTransaction() {
			c.settle(sctx)
		}
		return cmp.Or(failed, err)
	}
	if c.inTransaction() {
		return nil
	}
	t := c.s.GetTransaction()
	err = c.s.CommitTransaction(sctx, t)
	sctx.SetTransaction(nil)
	return err
}

// Changed is what a transaction has changed on a branch.
type Changed struct {
	Repo   *repo.Repo
	Branch string
	Tables []string // lower-case names
}

// Changed is what the session's transaction has changed so far, by branch.
func (c *Client) Changed(context.Context) ([]Changed, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []Changed
	for _, tx := range c.s.Changed() {
		out = append(out, Changed{tx.Repo(), tx.Branch(), tx.Changed()})
	}
	return out, nil
}

// Administrates tells whether the account may do everything; the error is of class Denied.
func (c *Client) Administrates(ctx context.Context) error {
	db := c.e.sqle.Analyzer.Catalog.MySQLDb
	if db.Enabled() && !db.UserHasPrivileges(c.e.NewContext(ctx, c.s), sql.NewPrivilegedOperation(sql.PrivilegeCheckSubject{}, sql.PrivilegeType_Super)) {
		return errs.New(errs.Denied, "command denied to user '%s'@'%s': it takes the privilege SUPER", c.s.Client().User, c.s.Client().Address)
	}
	return nil
}

// ParseType reads a type in MySQL's notation. Errors are of class Invalid or Unsupported.
func ParseType(text string) (value.Type, error) {
	if m := timeName.FindStringSubmatch(strings.ToLower(text)); m != nil { // whose digits the engine does not know
		n, _ := strconv.Atoi(m[1]) // a digit, or nothing for 0
		return value.Type{Kind: value.KindTime, Precision: uint8(n)}, nil
	}
	t, err := planbuilder.ParseColumnTypeString(context.Background(), text)
	if err != nil {
		return value.Type{}, errs.New(errs.Invalid, "%w", err)
	}
	return types.FromSQL(t)
}

// Views are the names of the views of the session's current database.
func (c *Client) Views(ctx context.Context) ([]string, error) {
	rows, err := c.Query(ctx, "SELECT table_name FROM information_schema.views WHERE table_schema = DATABASE() ORDER BY 1", nil)
	if err != nil {
		return nil, err
	}
	var names []string
	cells := make([]value.Cell, len(rows.Columns))
	for {
		ok, err := rows.Next(cells)
		if err != nil || !ok {
			if e := rows.Close(); err == nil {
				err = e
			}
			return names, err
		}
		names = append(names, string(cells[0].Bytes()))
	}
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

// timeName is TIME with its digits.
var timeName = regexp.MustCompile(`^\s*time(?:\(([0-6])\))?\s*$`)
