package flight

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"

	"github.com/stemmadb/stemma/internal/chunk"
	"github.com/stemmadb/stemma/internal/engine"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/frame"
	"github.com/stemmadb/stemma/internal/repo"
)

// writeRequest is the command of a write.
type writeRequest struct {
	Table      string          `json:"table"`
	Mode       frame.Mode      `json:"mode"`
	Database   string          `json:"database"`
	Branch     string          `json:"branch"`
	PrimaryKey []string        `json:"primary_key"`
	Message    string          `json:"message"`
	WriteID    string          `json:"write_id"`
	Metadata   json.RawMessage `json:"metadata"`
}

// writeResult is the answer to a write.
type writeResult struct {
	Database  string  `json:"database"`
	Table     string  `json:"table"`
	Branch    string  `json:"branch"`
	Rows      uint64  `json:"rows"`
	Inserted  uint64  `json:"inserted"`
	Updated   uint64  `json:"updated"`
	Deleted   uint64  `json:"deleted"`
	Unchanged uint64  `json:"unchanged"`
	Created   bool    `json:"created"`
	Commit    *string `json:"commit"`
	Already   bool    `json:"already"`

	Notes []string `json:"notes,omitempty"` // what was not written as it was in the frame
}

// doWrite answers a DoPut whose command is JSON.
func (s *service) doWrite(stream flight.FlightService_DoPutServer, command []byte) error {
	var r request
	if err := decode(command, &r); err != nil {
		return err
	}
	if r.Write == nil || r.Read != nil || r.Query != nil {
		return invalid(`a command of DoPut in JSON is {"write": …}`)
	}
	reader, err := flight.NewRecordReader(stream)
	if err != nil {
		return invalid("read the frame: %w", err)
	}
	defer reader.Release()
	out, err := s.write(stream.Context(), s.call(stream.Context()), r.Write, &frameSource{r: reader})
	if err != nil {
		return err
	}
	text, err := json.Marshal(out)
	if err != nil {
		return errs.With(errs.Internal, err)
	}
	return stream.Send(&flight.PutResult{AppMetadata: text})
}

// frameSource is the batches that a client sends.
type frameSource struct {
	r interface {
		Schema() *arrow.Schema
		Read() (arrow.RecordBatch, error)
	}
}

// Schema implements frame.Source.
func (f *frameSource) Schema() *arrow.Schema { return f.r.Schema() }

// Next implements frame.Source.
func (f *frameSource) Next(ctx context.Context) (arrow.RecordBatch, error) {
	b, err := f.r.Read()
	switch {
	case errors.Is(err, io.EOF):
		return nil, nil
	case ctx.Err() != nil:
		return nil, errs.With(errs.Canceled, ctx.Err())
	case err != nil:
		return nil, invalid("read the frame: %w", err)
	}
	b.Retain()
	return b, nil
}

// write writes a frame.
func (s *service) write(ctx context.Context, c *call, r *writeRequest, src frame.Source) (*writeResult, error) {
	if r.Table == "" {
		return nil, invalid("name a table")
	}
	if r.Mode == "" {
		return nil, invalid("name a mode: create, append, create_append, replace, replace_rows, upsert or merge")
	}
	if ref := c.header(headerRef); ref != "" && !strings.EqualFold(ref, "WORKING") {
		return nil, errs.New(errs.ReadOnly, "the call reads at %s, which cannot be written; name a branch instead", ref)
	}
	if r.Branch != "" {
		c = c.with(headerBranch, r.Branch)
	}
	meta, err := c.metadata(r.Metadata)
	if err != nil {
		return nil, err
	}
	h, err := c.client(ctx, r.Database, "")
	if err != nil {
		return nil, err
	}
	defer h.release()
	at, err := h.Resolve(ctx, "", "")
	if err != nil {
		return nil, &problem{err: err, database: r.Database, table: r.Table}
	}
	about := problem{database: at.Database, table: r.Table}
	fail := func(err error) (*writeResult, error) {
		about.err = err
		return nil, &about
	}
	if err := h.Allowed(ctx, at.Database, r.Table, rights(r.Mode)...); err != nil {
		return fail(err)
	}
	out := &writeResult{Database: at.Database, Table: r.Table, Branch: at.Branch}
	if r.WriteID != "" {
		if len(r.WriteID) > maxWriteID {
			return fail(invalid("write id: at most %d bytes", maxWriteID))
		}
		if done, ok := at.Repo.Written(r.WriteID); ok {
			if err := drain(ctx, src); err != nil {
				return fail(err)
			}
			out, err := noted(r, done)
			if err != nil {
				return fail(err)
			}
			return out, nil
		}
	}
	var version *engine.Version
	if r.Message != "" && c.header(headerTransaction) == "" {
		version = s.version(c, r.Message, meta, func(tx *repo.Tx, commit *string) error {
			out.Commit = commit
			return note(tx, r, out)
		})
		version.Options.Tables = []string{r.Table}
	}
	if err := h.Transaction(ctx, "", version, func(tx *repo.Tx) error {
		if text, ok := tx.Noted(r.WriteID); ok && r.WriteID != "" {
			if err := drain(ctx, src); err != nil {
				return err
			}
			var err error
			out, err = noted(r, text)
			return err
		}
		if _, _, ok, err := tx.Table(ctx, r.Table); err != nil {
			return err
		} else if !ok {
			if err := repo.CheckTableName(r.Table); err != nil {
				return err
			}
		}
		done, err := frame.Load(ctx, tx, r.Table, src, frame.LoadOptions{
			Mode: r.Mode, PrimaryKey: r.PrimaryKey, FS: at.Repo.FS(), TempDir: at.Repo.TempDir(), Now: at.Repo.Clock().Now(),
		})
		if err != nil {
			return err
		}
		if err := tx.CheckReferences(ctx, r.Table); err != nil {
			return err
		}
		out.Rows, out.Inserted, out.Updated, out.Deleted, out.Unchanged, out.Created = done.Rows, done.Inserted, done.Updated, done.Deleted, done.Unchanged, done.Created
		for _, name := range done.Generated {
			out.Notes = append(out.Notes, "column "+name+" is generated: what the frame has there was not written")
		}
		return note(tx, r, out)
	}); errors.Is(err, repo.ErrWritten) {
		text, _ := at.Repo.Written(r.WriteID)
		out, err := noted(r, text)
		if err != nil {
			return fail(err)
		}
		return out, nil
	} else if err != nil {
		if errs.Is(err, errs.NotFound) && !errors.As(err, new(*frame.ColumnError)) && !chunk.IsAbsent(err) {
			return nil, s.missing(ctx, h.Client, at, about)
		}
		return fail(err)
	}
	return out, nil
}

// maxWriteID is the length of the longest id of a write.
const maxWriteID = 200

// writeNote is what is noted of a write: what asked for it, and the answer.
type writeNote struct {
	Table  string       `json:"table"`
	Mode   frame.Mode   `json:"mode"`
	Result *writeResult `json:"result"`
}

// note notes a write in its transaction, when it has an id.
func note(tx *repo.Tx, r *writeRequest, out *writeResult) error {
	if r.WriteID == "" {
		return nil
	}
	text, err := json.Marshal(writeNote{r.Table, r.Mode, out})
	if err != nil {
		return errs.With(errs.Internal, err)
	}
	tx.Note(repo.Write{ID: r.WriteID, Result: string(text)})
	return nil
}

// noted is the answer that was noted, for a request of the same write.
func noted(r *writeRequest, text string) (*writeResult, error) {
	var n writeNote
	if err := json.Unmarshal([]byte(text), &n); err != nil || n.Result == nil {
		return nil, invalid("the id %q is not that of a write", r.WriteID)
	}
	if !strings.EqualFold(n.Table, r.Table) || n.Mode != r.Mode {
		return nil, invalid("the id %q is that of another write: mode %s into table %s", r.WriteID, n.Mode, n.Table)
	}
	n.Result.Already = true
	return n.Result, nil
}

// drain reads a frame that is not needed, as its sender wants to send it.
func drain(ctx context.Context, src frame.Source) error {
	for {
		b, err := src.Next(ctx)
		if err != nil || b == nil {
			return err
		}
		b.Release()
	}
}

// rights are what an account needs for a mode.
func rights(m frame.Mode) []engine.Access {
	switch m {
	case frame.Append, frame.ReplaceRows:
		return []engine.Access{engine.Write}
	case frame.Create:
		return []engine.Access{engine.Write, engine.Create}
	case frame.Replace:
		return []engine.Access{engine.Write, engine.Create, engine.Drop}
	}
	return []engine.Access{engine.Write, engine.Create, engine.Read}
}

// DoPutCommandStatementIngest implements flightsql.Server.
func (q *sqlServer) DoPutCommandStatementIngest(ctx context.Context, cmd flightsql.StatementIngest, reader flight.MessageReader) (int64, error) {
	c := q.s.call(ctx)
	id := cmd.GetTransactionId()
	if len(id) == 0 { // ADBC's driver does not say that it has begun one
		id = q.s.transactions.onConnection(c.caller)
	}
	c = c.withTransaction(id)
	if cmd.GetTemporary() {
		return -1, errs.New(errs.Unsupported, "ingest into temporary tables is not supported")
	}
	r := &writeRequest{Table: cmd.GetTable(), Database: cmd.GetCatalog(), WriteID: c.header(headerWriteID), Message: c.header(headerMessage)}
	if r.Database == "" {
		r.Database = cmd.GetSchema()
	}
	options := cmd.GetOptions()
	option := func(name, header string) string {
		if v := options["stemma."+name]; v != "" {
			return v
		}
		return c.header(header)
	}
	r.Mode = frame.Mode(option("mode", headerMode))
	r.WriteID, r.Message = option("write_id", headerWriteID), option("message", headerMessage)
	if key := option("primary_key", headerPrimaryKey); key != "" {
		for _, k := range strings.Split(key, ",") {
			r.PrimaryKey = append(r.PrimaryKey, strings.TrimSpace(k))
		}
	}
	if r.Mode == "" {
		var err error
		if r.Mode, err = ingestMode(cmd.GetTableDefinitionOptions()); err != nil {
			return -1, err
		}
	}
	out, err := q.s.write(ctx, c, r, &frameSource{r: reader})
	if err != nil {
		return -1, err
	}
	return int64(out.Rows), nil
}

// ingestMode is the mode of an ingest of Flight SQL.
func ingestMode(o *flightsql.TableDefinitionOptions) (frame.Mode, error) {
	create := o.GetIfNotExist() == flightsql.TableDefinitionOptionsTableNotExistOptionCreate
	switch o.GetIfExists() {
	case flightsql.TableDefinitionOptionsTableExistsOptionAppend:
		if create {
			return frame.CreateAppend, nil
		}
		return frame.Append, nil
	case flightsql.TableDefinitionOptionsTableExistsOptionReplace:
		return frame.Replace, nil
	}
	if create {
		return frame.Create, nil
	}
	return "", invalid("ingest: the options neither make a table nor add to one")
}
