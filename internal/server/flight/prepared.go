package flight

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"math/big"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"

	"github.com/stemmadb/stemma/internal/engine"
	"github.com/stemmadb/stemma/internal/errs"
)

// preparedStatements are statements that clients have prepared and not closed.
type preparedStatements struct {
	mu   sync.Mutex
	list map[string]*prepared
	old  []string // ids in the order made
}

// maxPrepared is how many prepared statements a server keeps; beyond, the oldest is dropped.
const maxPrepared = 10_000

// prepared is a prepared statement with the parameters that were bound last.
type prepared struct {
	id          string
	caller      *caller
	query       string
	transaction []byte
	reads       bool
	changes     bool
	params      int

	mu   sync.Mutex
	rows [][]engine.Param
	once string // what the next DoGet of a statement that changes something takes
}

func (p *preparedStatements) put(s *prepared) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.list == nil {
		p.list = map[string]*prepared{}
	}
	p.list[s.id] = s
	p.old = append(p.old, s.id)
	for len(p.list) > maxPrepared {
		delete(p.list, p.old[0])
		p.old = p.old[1:]
	}
	if len(p.old) > 2*maxPrepared {
		kept := p.old[:0]
		for _, id := range p.old {
			if p.list[id] != nil {
				kept = append(kept, id)
			}
		}
		p.old = kept
	}
}

func (p *preparedStatements) find(id []byte, c *caller) (*prepared, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.list[string(id)]
	if s == nil || s.caller.user != c.user || s.caller.host != c.host {
		return nil, errs.New(errs.NotFound, "the prepared statement is not known: it has been closed, or the server has started anew")
	}
	return s, nil
}

func (p *preparedStatements) drop(id []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.list, string(id))
}

// CreatePreparedStatement implements flightsql.Server. It plans the statement and does not run it.
func (q *sqlServer) CreatePreparedStatement(ctx context.Context, r flightsql.ActionCreatePreparedStatementRequest) (flightsql.ActionCreatePreparedStatementResult, error) {
	var none flightsql.ActionCreatePreparedStatementResult
	c := q.s.call(ctx).withTransaction(r.GetTransactionId())
	d, err := q.describeStatement(ctx, c, r.GetQuery(), nil)
	if err != nil {
		return none, err
	}
	p := &prepared{id: rand.Text(), caller: c.caller, query: r.GetQuery(), transaction: r.GetTransactionId(), reads: d.Reads, changes: d.Changes, params: d.Params}
	q.s.prepared.put(p)
	params := make([]arrow.Field, d.Params)
	for i := range params {
		params[i] = arrow.Field{Name: "", Type: arrow.Null, Nullable: true}
	}
	schema, err := q.schemaOf(ctx, c, r.GetQuery(), d)
	if err != nil {
		return none, err
	}
	update := !d.Reads && d.Columns == nil
	return flightsql.ActionCreatePreparedStatementResult{
		Handle: []byte(p.id), DatasetSchema: schema, ParameterSchema: arrow.NewSchema(params, nil), IsUpdate: &update,
	}, nil
}

// ClosePreparedStatement implements flightsql.Server.
func (q *sqlServer) ClosePreparedStatement(ctx context.Context, r flightsql.ActionClosePreparedStatementRequest) error {
	if _, _, err := q.prepared(ctx, r.GetPreparedStatementHandle()); err != nil {
		return err
	}
	q.s.prepared.drop(r.GetPreparedStatementHandle())
	return nil
}

// bound are the parameters for one run of the statement.
func (p *prepared) bound() ([]engine.Param, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case len(p.rows) == 1:
		return p.rows[0], nil
	case len(p.rows) > 1:
		return nil, errs.New(errs.Unsupported, "%d rows of parameters are bound: a query is run for one", len(p.rows))
	case p.params > 0:
		return nil, invalid("the statement has %d parameters, none are bound", p.params)
	}
	return nil, nil
}

// DoPutPreparedStatementQuery implements flightsql.Server: it binds parameters.
func (q *sqlServer) DoPutPreparedStatementQuery(ctx context.Context, cmd flightsql.PreparedStatementQuery, r flight.MessageReader, _ flight.MetadataWriter) ([]byte, error) {
	_, p, err := q.prepared(ctx, cmd.GetPreparedStatementHandle())
	if err != nil {
		return nil, err
	}
	rows, err := readParams(r, p.params)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.rows = rows
	p.mu.Unlock()
	return []byte(p.id), nil
}

// inTransaction is the call in the transaction in which the statement was prepared or, when that has ended, in the one that the connection
// has begun since: clients of ADBC run a statement again that they have prepared before.
func (q *sqlServer) inTransaction(c *call, p *prepared) *call {
	id := p.transaction
	if len(id) > 0 {
		if _, err := q.s.transactions.find(string(id), c.caller); err != nil {
			if now := q.s.transactions.onConnection(c.caller); now != nil {
				id = now
			}
		}
	}
	return c.withTransaction(id)
}

// readParams reads rows of parameters.
func readParams(r flight.MessageReader, want int) ([][]engine.Param, error) {
	var out [][]engine.Param
	for {
		b, err := r.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, invalid("read the parameters: %w", err)
		}
		if int(b.NumCols()) != want {
			return nil, invalid("the statement has %d parameters, %d were given", want, b.NumCols())
		}
		for i := range int(b.NumRows()) {
			row := make([]engine.Param, want)
			for k := range row {
				if row[k], err = paramOf(b.Column(k), i); err != nil {
					return nil, invalid("parameter %d: %w", k+1, err)
				}
			}
			out = append(out, row)
		}
	}
}

// paramOf is the value of row i of an array as a parameter.
func paramOf(a arrow.Array, i int) (engine.Param, error) {
	if a.IsNull(i) {
		return nil, nil
	}
	switch a := a.(type) {
	case *array.Null:
		return nil, nil
	case *array.Boolean:
		return a.Value(i), nil
	case *array.Int8:
		return int64(a.Value(i)), nil
	case *array.Int16:
		return int64(a.Value(i)), nil
	case *array.Int32:
		return int64(a.Value(i)), nil
	case *array.Int64:
		return a.Value(i), nil
	case *array.Uint8:
		return uint64(a.Value(i)), nil
	case *array.Uint16:
		return uint64(a.Value(i)), nil
	case *array.Uint32:
		return uint64(a.Value(i)), nil
	case *array.Uint64:
		return a.Value(i), nil
	case *array.Float16:
		return float64(a.Value(i).Float32()), nil
	case *array.Float32:
		return float64(a.Value(i)), nil
	case *array.Float64:
		return a.Value(i), nil
	case *array.Decimal32, *array.Decimal64, *array.Decimal128, *array.Decimal256:
		return engine.Number(a.ValueStr(i)), nil
	case *array.String:
		return a.Value(i), nil
	case *array.LargeString:
		return a.Value(i), nil
	case *array.StringView:
		return a.Value(i), nil
	case *array.Binary:
		return append([]byte{}, a.Value(i)...), nil
	case *array.LargeBinary:
		return append([]byte{}, a.Value(i)...), nil
	case *array.BinaryView:
		return append([]byte{}, a.Value(i)...), nil
	case *array.FixedSizeBinary:
		return append([]byte{}, a.Value(i)...), nil
	case *array.Date32:
		return a.Value(i).ToTime().Format("2006-01-02"), nil
	case *array.Date64:
		return a.Value(i).ToTime().Format("2006-01-02"), nil
	case *array.Timestamp:
		unit := a.DataType().(*arrow.TimestampType).Unit
		return a.Value(i).ToTime(unit).Format("2006-01-02 15:04:05.999999999"), nil
	case *array.Time32:
		return a.Value(i).ToTime(a.DataType().(*arrow.Time32Type).Unit).Format("15:04:05.999999999"), nil
	case *array.Time64:
		return a.Value(i).ToTime(a.DataType().(*arrow.Time64Type).Unit).Format("15:04:05.999999999"), nil
	case *array.Duration:
		return durationText(int64(a.Value(i)), a.DataType().(*arrow.DurationType).Unit), nil
	case *array.Dictionary:
		return paramOf(a.Dictionary(), a.GetValueIndex(i))
	case array.ExtensionArray:
		return paramOf(a.Storage(), i)
	}
	return nil, errs.New(errs.Unsupported, "a %s cannot be one", a.DataType())
}

// durationText is a length of time as MySQL writes it.
func durationText(v int64, unit arrow.TimeUnit) string {
	per := int64(1)
	for range map[arrow.TimeUnit]int{arrow.Second: 0, arrow.Millisecond: 3, arrow.Microsecond: 6, arrow.Nanosecond: 9}[unit] {
		per *= 10
	}
	sign := ""
	n := big.NewInt(v)
	if v < 0 {
		sign = "-"
		n.Neg(n)
	}
	whole, rest := new(big.Int).QuoRem(n, big.NewInt(per), new(big.Int))
	s := whole.Int64()
	text := sign + two(s/3600) + ":" + two(s/60%60) + ":" + two(s%60)
	if per > 1 {
		digits := new(big.Int).Add(rest, big.NewInt(per)).String()[1:]
		text += "." + digits
	}
	return text
}

func two(n int64) string {
	text := number(uint64(n))
	if n < 10 {
		return "0" + text
	}
	return text
}

// GetFlightInfoPreparedStatement implements flightsql.Server. It plans the statement and does not run it.
func (q *sqlServer) GetFlightInfoPreparedStatement(ctx context.Context, cmd flightsql.PreparedStatementQuery, d *flight.FlightDescriptor) (*flight.FlightInfo, error) {
	schema, p, err := q.describePrepared(ctx, cmd)
	if err != nil {
		return nil, err
	}
	if !p.reads {
		p.mu.Lock()
		p.once = q.s.running.once()
		p.mu.Unlock()
	}
	return q.statementInfo(schema, p.changes, d.GetCmd(), d), nil
}

// prepared is a statement that the client of a call has prepared, and the call in the transaction that it runs in.
func (q *sqlServer) prepared(ctx context.Context, handle []byte) (*call, *prepared, error) {
	c := q.s.call(ctx)
	p, err := q.s.prepared.find(handle, c.caller)
	if err != nil {
		return nil, nil, err
	}
	return q.inTransaction(c, p), p, nil
}

// describePrepared plans a prepared statement and does not run it.
func (q *sqlServer) describePrepared(ctx context.Context, cmd flightsql.PreparedStatementQuery) (*arrow.Schema, *prepared, error) {
	c, p, err := q.prepared(ctx, cmd.GetPreparedStatementHandle())
	if err != nil {
		return nil, nil, err
	}
	params, err := p.bound()
	if err != nil {
		return nil, nil, err
	}
	desc, err := q.describeStatement(ctx, c, p.query, params)
	if err != nil {
		return nil, nil, err
	}
	schema, err := q.schemaOf(ctx, c, p.query, desc)
	return schema, p, err
}

// GetSchemaPreparedStatement implements flightsql.Server.
func (q *sqlServer) GetSchemaPreparedStatement(ctx context.Context, cmd flightsql.PreparedStatementQuery, _ *flight.FlightDescriptor) (*flight.SchemaResult, error) {
	schema, _, err := q.describePrepared(ctx, cmd)
	if err != nil {
		return nil, err
	}
	return &flight.SchemaResult{Schema: flight.SerializeSchema(schema, q.s.pool)}, nil
}

// DoGetPreparedStatement implements flightsql.Server.
func (q *sqlServer) DoGetPreparedStatement(ctx context.Context, cmd flightsql.PreparedStatementQuery) (*arrow.Schema, <-chan flight.StreamChunk, error) {
	c, p, err := q.prepared(ctx, cmd.GetPreparedStatementHandle())
	if err != nil {
		return nil, nil, err
	}
	params, err := p.bound()
	if err != nil {
		return nil, nil, err
	}
	if !p.reads {
		p.mu.Lock()
		once := p.once
		p.once = ""
		p.mu.Unlock()
		if once == "" || !q.s.running.take(once) {
			return nil, nil, invalid("the statement has been run already: it changes something, and runs once for a ticket")
		}
	}
	return q.runStatement(ctx, c, p.query, params, p.reads)
}

// DoPutPreparedStatementUpdate implements flightsql.Server: it runs the statement for each row of parameters, all or none.
func (q *sqlServer) DoPutPreparedStatementUpdate(ctx context.Context, cmd flightsql.PreparedStatementUpdate, r flight.MessageReader) (int64, error) {
	c, p, err := q.prepared(ctx, cmd.GetPreparedStatementHandle())
	if err != nil {
		return 0, err
	}
	rows, err := readParams(r, p.params)
	if err != nil && p.params > 0 {
		return 0, err
	}
	p.mu.Lock()
	if len(rows) == 0 {
		rows = p.rows
	}
	p.mu.Unlock()
	if p.params == 0 {
		return q.exec(ctx, c, p.query, nil)
	}
	if len(rows) == 0 {
		return 0, invalid("the statement has %d parameters, none are bound", p.params)
	}
	return q.execEach(ctx, c, p.query, rows)
}

// execEach runs a statement for each row of parameters in one transaction.
func (q *sqlServer) execEach(ctx context.Context, c *call, query string, rows [][]engine.Param) (total int64, err error) {
	h, err := c.client(ctx, "", c.ref(""))
	if err != nil {
		return 0, err
	}
	defer h.release()
	own := c.header(headerTransaction) == "" && len(rows) > 1
	if own {
		if _, err := h.Exec(ctx, "START TRANSACTION", nil); err != nil {
			return 0, err
		}
	}
	for _, params := range rows {
		n, err := h.Exec(ctx, query, params)
		if err != nil {
			return 0, &problem{err: err, query: query, duplicate: h.Duplicate()} // what is uncommitted goes with the session
		}
		total += n
	}
	if own {
		if _, err := h.Exec(ctx, "COMMIT", nil); err != nil {
			return 0, &problem{err: err, query: query, duplicate: h.Duplicate()}
		}
	}
	return total, nil
}

// running are tickets of statements that run once.
type running struct {
	mu   sync.Mutex
	open map[string]bool
	old  []string
}

// once makes a ticket.
func (r *running) once() string {
	id := rand.Text()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open == nil {
		r.open = map[string]bool{}
	}
	r.open[id] = true
	r.old = append(r.old, id)
	for len(r.old) > maxPrepared {
		delete(r.open, r.old[0])
		r.old = r.old[1:]
	}
	return id
}

// take uses a ticket up; false when it has been used or was never made.
func (r *running) take(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	ok := r.open[id]
	delete(r.open, id)
	return ok
}
