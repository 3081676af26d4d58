package flight

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"

	"github.com/stemmadb/stemma/internal/engine"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/frame"
	"github.com/stemmadb/stemma/internal/page"
	"github.com/stemmadb/stemma/internal/value"
)

// queryBatchRows is how many rows a batch of a statement's answer has.
const queryBatchRows = 16 << 10

// run begins a statement in a session, which the source releases.
func (s *service) run(ctx context.Context, c *call, h *held, query string, params []engine.Param, meta map[string]string) (*rowSource, error) {
	about := problem{query: query}
	rows, err := h.Query(ctx, query, params)
	if err != nil {
		err = s.failed(ctx, h, query, err)
		h.release()
		return nil, err
	}
	b := page.NewRowBatcher(s.pool, batchColumns(rows.Columns, c.integers()), 1024, nil)
	if meta != nil {
		b.SetMetadata(metadataOf(meta))
	}
	return &rowSource{
		rows: queryBatchRows, answer: rows, batcher: b, cells: make([]value.Cell, len(rows.Columns)), about: about, held: h,
	}, nil
}

// failed is the error of a statement. When a table is not there it names those that may be meant, and where there is one of that name.
func (s *service) failed(ctx context.Context, h *held, query string, err error) error {
	p := problem{err: err, query: query, duplicate: h.Duplicate()}
	name := engine.MissingTable(err)
	if name == "" {
		return &p
	}
	at, rerr := h.Resolve(ctx, "", "")
	if rerr != nil {
		return &p
	}
	p.database, p.table = at.Database, name
	if !at.Commit.IsZero() {
		p.ref = at.Commit.String()
	}
	about := p
	if m, ok := s.missing(ctx, h.Client, at, about).(*problem); ok {
		p.near, p.hint = m.near, m.hint
	}
	return &p
}

// rowSource is the answer of a statement.
type rowSource struct {
	rows    int
	answer  *engine.Rows
	batcher *page.Batcher
	cells   []value.Cell
	given   uint64
	about   problem
	held    *held
	drop    bool // the rows are to have no columns
	ended   bool
	closed  bool
}

// Schema implements source.
func (r *rowSource) Schema() *arrow.Schema {
	if r.drop {
		return arrow.NewSchema(nil, nil)
	}
	return r.batcher.Schema()
}

// Next implements source.
func (r *rowSource) Next(ctx context.Context) (arrow.RecordBatch, error) {
	for !r.ended && r.batcher.Len() < r.rows && r.batcher.Size() < maxRowText {
		ok, err := r.answer.Next(r.cells)
		if err != nil {
			return nil, r.problem(err)
		}
		if !ok {
			r.ended = true
			break
		}
		if err := r.batcher.AppendRow(ctx, r.cells); err != nil {
			return nil, r.problem(located(err, r.batcher.Schema(), r.given))
		}
	}
	if r.batcher.Len() == 0 {
		return nil, nil
	}
	r.given += uint64(r.batcher.Len())
	b := r.batcher.Record()
	if r.drop {
		defer b.Release()
		return array.NewRecordBatch(arrow.NewSchema(nil, nil), nil, b.NumRows()), nil
	}
	return b, nil
}

// maxRowText is how many bytes of text a batch of an answer has at most, but for its last row.
const maxRowText = 8 << 20

// located names the row of the answer of an error about a cell.
func located(err error, schema *arrow.Schema, before uint64) error {
	var c *page.CellError
	if errors.As(err, &c) {
		return &frame.CellError{Column: schema.Field(c.Column).Name, Row: before + uint64(c.Row), Err: c.Err}
	}
	return err
}

func (r *rowSource) problem(err error) error {
	p := r.about
	p.err, p.duplicate = err, r.held.Duplicate()
	return &p
}

// Close implements source.
func (r *rowSource) Close() error {
	if r.closed {
		return nil
	}
	r.closed = true
	r.batcher.Release()
	err := r.answer.Close()
	if err != nil {
		err = r.problem(err)
	}
	r.held.release()
	return err
}

// openQuery begins to answer a query.
func (s *service) openQuery(ctx context.Context, c *call, q *queryRequest) (source, error) {
	params, err := jsonParams(q.Parameters)
	if err != nil {
		return nil, err
	}
	h, err := c.client(ctx, q.Database, c.ref(q.Ref))
	if err != nil {
		return nil, err
	}
	if len(params) == 0 {
		if scan, f := s.plain(ctx, c, h, q.SQL); scan != nil {
			f.note(c, c.ref(q.Ref), f.columns, q.SQL)
			return &scanSource{Scan: scan, f: &f.found, release: h.release}, nil
		}
	}
	src, err := s.run(ctx, c, h, q.SQL, params, nil)
	if err != nil {
		return nil, err
	}
	return src, nil
}

// describeQuery is the schema of the answer of a query, which is not run.
func (s *service) describeQuery(ctx context.Context, c *call, q *queryRequest) (*arrow.Schema, error) {
	params, err := jsonParams(q.Parameters)
	if err != nil {
		return nil, err
	}
	h, err := c.client(ctx, q.Database, c.ref(q.Ref))
	if err != nil {
		return nil, err
	}
	defer h.release()
	if len(params) == 0 {
		if scan, _ := s.plain(ctx, c, h, q.SQL); scan != nil {
			defer scan.Close()
			return scan.Schema(), nil
		}
	}
	d, err := h.Describe(ctx, q.SQL, params)
	if err != nil {
		return nil, s.failed(ctx, h, q.SQL, err)
	}
	return batchSchema(d.Columns, c.integers(), nil), nil
}

// jsonParams are parameters as JSON has them: numbers are decimal unless they are whole.
func jsonParams(in []any) ([]engine.Param, error) {
	out := make([]engine.Param, len(in))
	for i, p := range in {
		switch p := p.(type) {
		case nil, bool, string:
			out[i] = p
		case float64:
			if p == math.Trunc(p) && math.Abs(p) < 1<<53 {
				out[i] = int64(p)
			} else {
				out[i] = p
			}
		case json.Number:
			out[i] = engine.Number(p)
		default:
			return nil, invalid("parameter %d: want null, a truth value, a number or a text", i+1)
		}
	}
	return out, nil
}

// statementHandle is the handle of a statement that has been described and is to be run: what makes up its call.
type statementHandle struct {
	Query       string `json:"q"`
	Transaction string `json:"t,omitempty"`
	Once        string `json:"o,omitempty"` // of a statement that changes something: it runs for one DoGet only
	Params      string `json:"p,omitempty"` // id of bound parameters
}

// sqlServer answers Flight SQL.
type sqlServer struct {
	flightsql.BaseServer
	s *service
}

func newSQLServer(s *service) *sqlServer {
	q := &sqlServer{s: s}
	q.registerInfo()
	return q
}

// withTransaction is the call as part of a transaction that its command names.
func (c *call) withTransaction(id []byte) *call {
	if len(id) == 0 {
		return c
	}
	n := *c
	n.md = c.md.Copy()
	n.md.Set(headerPrefix+headerTransaction, string(id))
	return &n
}

// describeStatement is what a statement would answer.
func (q *sqlServer) describeStatement(ctx context.Context, c *call, query string, params []engine.Param) (*engine.Description, error) {
	h, err := c.client(ctx, "", c.ref(""))
	if err != nil {
		return nil, err
	}
	defer h.release()
	d, err := h.Describe(ctx, query, params)
	if err != nil {
		return nil, q.s.failed(ctx, h, query, err)
	}
	return d, nil
}

// GetFlightInfoStatement implements flightsql.Server. It plans the statement and does not run it.
func (q *sqlServer) GetFlightInfoStatement(ctx context.Context, cmd flightsql.StatementQuery, d *flight.FlightDescriptor) (*flight.FlightInfo, error) {
	c := q.s.call(ctx).withTransaction(cmd.GetTransactionId())
	desc, err := q.describeStatement(ctx, c, cmd.GetQuery(), nil)
	if err != nil {
		return nil, err
	}
	h := statementHandle{Query: cmd.GetQuery(), Transaction: string(cmd.GetTransactionId())}
	if !desc.Reads {
		h.Once = q.s.running.once()
	}
	handle, err := json.Marshal(h)
	if err != nil {
		return nil, errs.With(errs.Internal, err)
	}
	ticket, err := flightsql.CreateStatementQueryTicket(handle)
	if err != nil {
		return nil, errs.With(errs.Internal, err)
	}
	schema, err := q.schemaOf(ctx, c, cmd.GetQuery(), desc)
	if err != nil {
		return nil, err
	}
	return q.statementInfo(schema, desc.Changes, ticket, d), nil
}

// statementInfo is how to get the answer of a statement. Where the statement changes something, the schema is left to the answer: clients, ADBC's
// driver for one, that know the schema begin to read in the background, and would take the statement for done before it is.
func (q *sqlServer) statementInfo(schema *arrow.Schema, changes bool, ticket []byte, d *flight.FlightDescriptor) *flight.FlightInfo {
	out := &flight.FlightInfo{
		FlightDescriptor: d, TotalRecords: -1, TotalBytes: -1, Endpoint: []*flight.FlightEndpoint{{Ticket: &flight.Ticket{Ticket: ticket}}},
	}
	if !changes {
		out.Schema = flight.SerializeSchema(schema, q.s.pool)
	}
	return out
}

// GetSchemaStatement implements flightsql.Server.
func (q *sqlServer) GetSchemaStatement(ctx context.Context, cmd flightsql.StatementQuery, _ *flight.FlightDescriptor) (*flight.SchemaResult, error) {
	c := q.s.call(ctx).withTransaction(cmd.GetTransactionId())
	desc, err := q.describeStatement(ctx, c, cmd.GetQuery(), nil)
	if err != nil {
		return nil, err
	}
	schema, err := q.schemaOf(ctx, c, cmd.GetQuery(), desc)
	if err != nil {
		return nil, err
	}
	return &flight.SchemaResult{Schema: flight.SerializeSchema(schema, q.s.pool)}, nil
}

// DoGetStatement implements flightsql.Server.
func (q *sqlServer) DoGetStatement(ctx context.Context, t flightsql.StatementQueryTicket) (*arrow.Schema, <-chan flight.StreamChunk, error) {
	var h statementHandle
	if err := json.Unmarshal(t.GetStatementHandle(), &h); err != nil {
		return nil, nil, invalid("the ticket is none of this server's: %w", err)
	}
	if h.Once != "" && !q.s.running.take(h.Once) {
		return nil, nil, invalid("the statement has been run already: it changes something, and runs once for a ticket")
	}
	c := q.s.call(ctx).withTransaction([]byte(h.Transaction))
	return q.runStatement(ctx, c, h.Query, nil, h.Once == "")
}

// runStatement runs a statement for its rows. One that does not only read has been done when the schema of its answer is known.
func (q *sqlServer) runStatement(ctx context.Context, c *call, query string, params []engine.Param, reads bool) (*arrow.Schema, <-chan flight.StreamChunk, error) {
	src, err := q.s.plainOrRun(ctx, c, query, params)
	if err == nil && !reads {
		src, err = begun(ctx, src)
	}
	if err != nil {
		return nil, nil, err
	}
	return src.Schema(), chunks(ctx, src), nil
}

// begunSource is a source whose first batch has been taken.
type begunSource struct {
	source
	schema *arrow.Schema
	first  arrow.RecordBatch
	closed bool
}

// begun takes the first batch of a source, and closes it when there is none.
func begun(ctx context.Context, src source) (source, error) {
	out := &begunSource{source: src, schema: src.Schema()}
	var err error
	if out.first, err = src.Next(ctx); err == nil && out.first != nil {
		return out, nil
	}
	out.closed = true
	if cerr := src.Close(); err == nil {
		err = cerr
	}
	return out, err
}

// Schema implements source.
func (b *begunSource) Schema() *arrow.Schema { return b.schema }

// Next implements source.
func (b *begunSource) Next(ctx context.Context) (arrow.RecordBatch, error) {
	if first := b.first; first != nil {
		b.first = nil
		return first, nil
	}
	if b.closed {
		return nil, nil
	}
	return b.source.Next(ctx)
}

// Close implements source.
func (b *begunSource) Close() error {
	if b.first != nil {
		b.first.Release()
		b.first = nil
	}
	if b.closed {
		return nil
	}
	b.closed = true
	return b.source.Close()
}

// plainRead is a table that a statement only asks for columns of; nil for all.
type plainRead struct {
	found
	columns []string
}

// plain is the scan of a statement that only asks for columns of a table; nil for another, and for what only SQL can answer or refuse.
// The scan holds what it reads: the session may be released.
func (s *service) plain(ctx context.Context, c *call, h *held, query string) (*frame.Scan, *plainRead) {
	p, ok := h.Plain(ctx, query)
	if !ok {
		return nil, nil
	}
	at, err := h.Resolve(ctx, p.Database, p.Ref)
	if err != nil || h.Allowed(ctx, at.Database, p.Table, engine.Read) != nil {
		return nil, nil
	}
	view, name, ok, err := at.Table(ctx, p.Table)
	if err != nil || !ok || !frame.Plain(view.Schema(), p.Columns) {
		return nil, nil
	}
	for i := range view.Schema().Columns {
		if p.Columns == nil && strings.HasPrefix(view.Schema().Columns[i].Name, "!hidden!") { // of an index on an expression
			return nil, nil
		}
	}
	for _, n := range p.Columns {
		if i := view.Schema().ColumnIndex(n); i < 0 || view.Schema().Columns[i].Name != n { // the answer has the name as it is written
			return nil, nil
		}
	}
	f := &plainRead{found{Resolved: at, view: view, name: name, ref: p.Ref}, p.Columns}
	scan, err := frame.NewScan(ctx, view, frame.ScanOptions{Columns: p.Columns, Integers: c.integers(), Memory: s.pool, Metadata: f.metadata()})
	if err != nil {
		return nil, nil
	}
	return scan, f
}

// schemaOf is the schema of a statement's answer.
func (q *sqlServer) schemaOf(ctx context.Context, c *call, query string, desc *engine.Description) (*arrow.Schema, error) {
	if desc.Reads && desc.Params == 0 {
		h, err := c.client(ctx, "", c.ref(""))
		if err != nil {
			return nil, err
		}
		defer h.release()
		if scan, _ := q.s.plain(ctx, c, h, query); scan != nil {
			defer scan.Close()
			return scan.Schema(), nil
		}
	}
	return batchSchema(desc.Columns, c.integers(), nil), nil
}

// plainOrRun reads a table where that is all that the statement does, and runs it otherwise.
func (s *service) plainOrRun(ctx context.Context, c *call, query string, params []engine.Param) (source, error) {
	h, err := c.client(ctx, "", c.ref(""))
	if err != nil {
		return nil, err
	}
	if len(params) == 0 {
		if scan, f := s.plain(ctx, c, h, query); scan != nil {
			f.note(c, c.ref(""), f.columns, query)
			return &scanSource{Scan: scan, f: &f.found, release: h.release}, nil
		}
	}
	src, err := s.run(ctx, c, h, query, params, nil)
	if err != nil {
		return nil, err
	}
	return src, nil
}

// chunks gives a source's batches in the form of Flight SQL. The source is closed with the last one.
func chunks(ctx context.Context, src source) <-chan flight.StreamChunk {
	out := make(chan flight.StreamChunk, ahead)
	give := func(c flight.StreamChunk) bool {
		select {
		case out <- c:
			return true
		case <-ctx.Done():
			if c.Data != nil {
				c.Data.Release()
			}
			return false
		}
	}
	go func() {
		defer close(out)
		for {
			b, err := src.Next(ctx)
			if b == nil && err == nil {
				break
			}
			if err != nil {
				_ = src.Close() // the error before it is the one to be told
				give(flight.StreamChunk{Err: err})
				return
			}
			if !give(flight.StreamChunk{Data: b}) {
				break
			}
		}
		if err := src.Close(); err != nil {
			give(flight.StreamChunk{Err: err})
		}
	}()
	return out
}

// DoPutCommandStatementUpdate implements flightsql.Server.
func (q *sqlServer) DoPutCommandStatementUpdate(ctx context.Context, cmd flightsql.StatementUpdate) (int64, error) {
	c := q.s.call(ctx).withTransaction(cmd.GetTransactionId())
	return q.exec(ctx, c, cmd.GetQuery(), nil)
}

// exec runs a statement for what it changes.
func (q *sqlServer) exec(ctx context.Context, c *call, query string, params []engine.Param) (int64, error) {
	h, err := c.client(ctx, "", c.ref(""))
	if err != nil {
		return 0, err
	}
	defer h.release()
	n, err := h.Exec(ctx, query, params)
	if err != nil {
		return 0, q.s.failed(ctx, h, query, err)
	}
	return n, nil
}

// number is a number in SQL.
func number(n uint64) string { return strconv.FormatUint(n, 10) }
