package flight

import (
	"context"
	"regexp"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql"
	"github.com/apache/arrow-go/v18/arrow/flight/flightsql/schema_ref"

	"github.com/stemmadb/stemma/internal/engine"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/frame"
	"github.com/stemmadb/stemma/internal/schema"
)

// Catalogs are databases. There is one schema in each, whose name is empty.

// info is the FlightInfo of a command whose answer has a schema that is known.
func (q *sqlServer) info(d *flight.FlightDescriptor, s *arrow.Schema) (*flight.FlightInfo, error) {
	return &flight.FlightInfo{
		Schema: flight.SerializeSchema(s, q.s.pool), FlightDescriptor: d, TotalRecords: -1, TotalBytes: -1,
		Endpoint: []*flight.FlightEndpoint{{Ticket: &flight.Ticket{Ticket: d.GetCmd()}}},
	}, nil
}

// batch gives one batch that fill builds.
func (q *sqlServer) batch(s *arrow.Schema, fill func(b *array.RecordBuilder) error) (*arrow.Schema, <-chan flight.StreamChunk, error) {
	b := array.NewRecordBuilder(q.s.pool, s)
	defer b.Release()
	if err := fill(b); err != nil {
		return nil, nil, err
	}
	out := make(chan flight.StreamChunk, 1)
	out <- flight.StreamChunk{Data: b.NewRecordBatch()}
	close(out)
	return s, out, nil
}

// text appends a text to a column.
func text(b *array.RecordBuilder, column int, s string) {
	b.Field(column).(*array.StringBuilder).Append(s)
}

// databases are the names of the databases that a pattern-free filter leaves, of those that the account may see.
func (q *sqlServer) databases(only *string) []string {
	var out []string
	for _, n := range q.s.opt.Engine.Provider().Names() {
		if only == nil || strings.EqualFold(*only, n) {
			out = append(out, n)
		}
	}
	return out
}

// like is a filter of SQL's LIKE; nil lets all through.
func like(pattern *string) func(string) bool {
	if pattern == nil || *pattern == "%" {
		return func(string) bool { return true }
	}
	var re strings.Builder
	re.WriteString("(?is)^")
	escaped := false
	for _, r := range *pattern {
		switch {
		case escaped:
			re.WriteString(regexp.QuoteMeta(string(r)))
			escaped = false
		case r == '\\':
			escaped = true
		case r == '%':
			re.WriteString(".*")
		case r == '_':
			re.WriteString(".")
		default:
			re.WriteString(regexp.QuoteMeta(string(r)))
		}
	}
	re.WriteString("$")
	return regexp.MustCompile(re.String()).MatchString
}

// GetFlightInfoCatalogs implements flightsql.Server.
func (q *sqlServer) GetFlightInfoCatalogs(_ context.Context, d *flight.FlightDescriptor) (*flight.FlightInfo, error) {
	return q.info(d, schema_ref.Catalogs)
}

// DoGetCatalogs implements flightsql.Server.
func (q *sqlServer) DoGetCatalogs(context.Context) (*arrow.Schema, <-chan flight.StreamChunk, error) {
	return q.batch(schema_ref.Catalogs, func(b *array.RecordBuilder) error {
		for _, n := range q.databases(nil) {
			text(b, 0, n)
		}
		return nil
	})
}

// GetFlightInfoSchemas implements flightsql.Server.
func (q *sqlServer) GetFlightInfoSchemas(_ context.Context, _ flightsql.GetDBSchemas, d *flight.FlightDescriptor) (*flight.FlightInfo, error) {
	return q.info(d, schema_ref.DBSchemas)
}

// DoGetDBSchemas implements flightsql.Server.
func (q *sqlServer) DoGetDBSchemas(_ context.Context, cmd flightsql.GetDBSchemas) (*arrow.Schema, <-chan flight.StreamChunk, error) {
	return q.batch(schema_ref.DBSchemas, func(b *array.RecordBuilder) error {
		if !like(cmd.GetDBSchemaFilterPattern())("") {
			return nil
		}
		for _, n := range q.databases(cmd.GetCatalog()) {
			text(b, 0, n)
			text(b, 1, "")
		}
		return nil
	})
}

// Types of tables.
const (
	typeTable = "TABLE"
	typeView  = "VIEW"
)

// GetFlightInfoTableTypes implements flightsql.Server.
func (q *sqlServer) GetFlightInfoTableTypes(_ context.Context, d *flight.FlightDescriptor) (*flight.FlightInfo, error) {
	return q.info(d, schema_ref.TableTypes)
}

// DoGetTableTypes implements flightsql.Server.
func (q *sqlServer) DoGetTableTypes(context.Context) (*arrow.Schema, <-chan flight.StreamChunk, error) {
	return q.batch(schema_ref.TableTypes, func(b *array.RecordBuilder) error {
		text(b, 0, typeTable)
		text(b, 0, typeView)
		return nil
	})
}

// GetFlightInfoTables implements flightsql.Server.
func (q *sqlServer) GetFlightInfoTables(_ context.Context, cmd flightsql.GetTables, d *flight.FlightDescriptor) (*flight.FlightInfo, error) {
	if cmd.GetIncludeSchema() {
		return q.info(d, schema_ref.TablesWithIncludedSchema)
	}
	return q.info(d, schema_ref.Tables)
}

// DoGetTables implements flightsql.Server.
func (q *sqlServer) DoGetTables(ctx context.Context, cmd flightsql.GetTables) (*arrow.Schema, <-chan flight.StreamChunk, error) {
	c := q.s.call(ctx)
	s := schema_ref.Tables
	if cmd.GetIncludeSchema() {
		s = schema_ref.TablesWithIncludedSchema
	}
	wants := func(kind string) bool {
		if len(cmd.GetTableTypes()) == 0 {
			return true
		}
		for _, t := range cmd.GetTableTypes() {
			if strings.EqualFold(t, kind) || strings.EqualFold(t, "BASE TABLE") && kind == typeTable {
				return true
			}
		}
		return false
	}
	matches, inSchema := like(cmd.GetTableNameFilterPattern()), like(cmd.GetDBSchemaFilterPattern())
	return q.batch(s, func(b *array.RecordBuilder) error {
		if !inSchema("") {
			return nil
		}
		for _, db := range q.databases(cmd.GetCatalog()) {
			if err := q.tables(ctx, c, db, func(h *engine.Client, name, kind string) error {
				if !wants(kind) || !matches(name) {
					return nil
				}
				text(b, 0, db)
				text(b, 1, "")
				text(b, 2, name)
				text(b, 3, kind)
				if !cmd.GetIncludeSchema() {
					return nil
				}
				if kind == typeTable {
					fields, err := q.tableSchema(ctx, c, h, db, name)
					if err != nil || fields != nil {
						if err == nil {
							b.Field(4).(*array.BinaryBuilder).Append(flight.SerializeSchema(fields, q.s.pool))
						}
						return err
					}
				}
				d, err := h.Describe(ctx, "SELECT * FROM "+schema.QuoteName(name), nil)
				if err != nil && kind == typeView && ctx.Err() == nil && !errs.Is(err, errs.Corrupt) && !errs.Is(err, errs.Unavailable) { // of tables that are gone, or that the account may not read
					d, err = &engine.Description{}, nil
				}
				if err != nil {
					return &problem{err: err, database: db, table: name}
				}
				fields := batchSchema(d.Columns, c.integers(), nil)
				b.Field(4).(*array.BinaryBuilder).Append(flight.SerializeSchema(fields, q.s.pool))
				return nil
			}); err != nil {
				return err
			}
		}
		return nil
	})
}

// tableSchema is the schema of a table's rows; nil when only SQL knows them.
func (q *sqlServer) tableSchema(ctx context.Context, c *call, h *engine.Client, db, name string) (*arrow.Schema, error) {
	f, err := q.s.find(ctx, c, h, db, name, "")
	if err != nil || !frame.Plain(f.view.Schema(), nil) {
		return nil, err
	}
	s := f.view.Schema()
	fields := make([]arrow.Field, len(s.Columns))
	for i := range s.Columns {
		col := &s.Columns[i]
		x := frame.FieldOf(col.Name, col.Type, col.Nullable && !s.InPrimaryKey(col.ID), c.integers())
		fields[i] = x.Field()
	}
	return arrow.NewSchema(fields, nil), nil
}

// tables calls fn for the tables and views of a database that the account may read.
func (q *sqlServer) tables(ctx context.Context, c *call, db string, fn func(h *engine.Client, name, kind string) error) error {
	at := c.ref("")
	h, err := c.client(ctx, db, at)
	if err != nil {
		return err
	}
	defer h.release()
	r, err := h.Resolve(ctx, "", "")
	if err != nil {
		return &problem{err: err, database: db, ref: at}
	}
	names, err := r.TableNames(ctx)
	if err != nil {
		return &problem{err: err, database: db, ref: at}
	}
	for _, n := range names {
		if h.Allowed(ctx, db, n, engine.Read) != nil {
			continue
		}
		if err := fn(h.Client, n, typeTable); err != nil {
			return err
		}
	}
	views, err := h.Views(ctx)
	if err != nil {
		return &problem{err: err, database: db, ref: at}
	}
	for _, n := range views {
		if h.Allowed(ctx, db, n, engine.Read) != nil {
			continue
		}
		if err := fn(h.Client, n, typeView); err != nil {
			return err
		}
	}
	return nil
}

// table is the schema of a table that a reference names.
func (q *sqlServer) table(ctx context.Context, c *call, ref flightsql.TableRef) (*found, error) {
	db := ""
	if ref.Catalog != nil {
		db = *ref.Catalog
	}
	h, err := c.client(ctx, db, "")
	if err != nil {
		return nil, err
	}
	defer h.release()
	return q.s.find(ctx, c, h.Client, db, ref.Table, c.ref(""))
}

// GetFlightInfoPrimaryKeys implements flightsql.Server.
func (q *sqlServer) GetFlightInfoPrimaryKeys(_ context.Context, _ flightsql.TableRef, d *flight.FlightDescriptor) (*flight.FlightInfo, error) {
	return q.info(d, schema_ref.PrimaryKeys)
}

// DoGetPrimaryKeys implements flightsql.Server.
func (q *sqlServer) DoGetPrimaryKeys(ctx context.Context, ref flightsql.TableRef) (*arrow.Schema, <-chan flight.StreamChunk, error) {
	f, err := q.table(ctx, q.s.call(ctx), ref)
	if err != nil {
		return nil, nil, err
	}
	return q.batch(schema_ref.PrimaryKeys, func(b *array.RecordBuilder) error {
		for i, n := range frame.KeyNames(f.view.Schema().Schema) {
			text(b, 0, f.Database)
			text(b, 1, "")
			text(b, 2, f.name)
			text(b, 3, n)
			b.Field(4).(*array.Int32Builder).Append(int32(i + 1))
			text(b, 5, "PRIMARY")
		}
		return nil
	})
}

// GetFlightInfoExportedKeys implements flightsql.Server.
func (q *sqlServer) GetFlightInfoExportedKeys(_ context.Context, _ flightsql.TableRef, d *flight.FlightDescriptor) (*flight.FlightInfo, error) {
	return q.info(d, schema_ref.ExportedKeys)
}

// DoGetExportedKeys implements flightsql.Server: the foreign keys that refer to a table.
func (q *sqlServer) DoGetExportedKeys(ctx context.Context, ref flightsql.TableRef) (*arrow.Schema, <-chan flight.StreamChunk, error) {
	return q.keys(ctx, func(child, parent string) bool { return strings.EqualFold(parent, ref.Table) }, ref)
}

// GetFlightInfoImportedKeys implements flightsql.Server.
func (q *sqlServer) GetFlightInfoImportedKeys(_ context.Context, _ flightsql.TableRef, d *flight.FlightDescriptor) (*flight.FlightInfo, error) {
	return q.info(d, schema_ref.ImportedKeys)
}

// DoGetImportedKeys implements flightsql.Server: the foreign keys of a table.
func (q *sqlServer) DoGetImportedKeys(ctx context.Context, ref flightsql.TableRef) (*arrow.Schema, <-chan flight.StreamChunk, error) {
	return q.keys(ctx, func(child, parent string) bool { return strings.EqualFold(child, ref.Table) }, ref)
}

// GetFlightInfoCrossReference implements flightsql.Server.
func (q *sqlServer) GetFlightInfoCrossReference(_ context.Context, _ flightsql.CrossTableRef, d *flight.FlightDescriptor) (*flight.FlightInfo, error) {
	return q.info(d, schema_ref.CrossReference)
}

// DoGetCrossReference implements flightsql.Server: the foreign keys of one table that refer to another.
func (q *sqlServer) DoGetCrossReference(ctx context.Context, ref flightsql.CrossTableRef) (*arrow.Schema, <-chan flight.StreamChunk, error) {
	return q.keys(ctx, func(child, parent string) bool {
		return strings.EqualFold(child, ref.FKRef.Table) && strings.EqualFold(parent, ref.PKRef.Table)
	}, ref.FKRef)
}

// rules are Flight SQL's numbers of what foreign keys do.
var rules = map[schema.Action]uint8{
	schema.ActionCascade: 0, schema.ActionRestrict: 1, schema.ActionSetNull: 2, schema.ActionNone: 3, schema.ActionNoAction: 3, schema.ActionSetDefault: 4,
}

// keys are foreign keys of the database of ref, by the names of child and parent.
func (q *sqlServer) keys(ctx context.Context, wants func(child, parent string) bool, ref flightsql.TableRef) (*arrow.Schema, <-chan flight.StreamChunk, error) {
	c := q.s.call(ctx)
	f, err := q.table(ctx, c, ref) // for its error, and its database
	if err != nil {
		return nil, nil, err
	}
	return q.batch(schema_ref.ImportedExportedKeysAndCrossReference, func(b *array.RecordBuilder) error {
		names, err := f.TableNames(ctx)
		if err != nil {
			return f.problem(err)
		}
		for _, child := range names {
			v, _, ok, err := f.Table(ctx, child)
			if err != nil {
				return f.problem(err)
			}
			if !ok {
				continue
			}
			for _, k := range v.Schema().References {
				if !wants(child, k.Parent) {
					continue
				}
				for i := range k.Columns {
					text(b, 0, f.Database)
					text(b, 1, "")
					text(b, 2, k.Parent)
					text(b, 3, k.ParentColumns[i])
					text(b, 4, f.Database)
					text(b, 5, "")
					text(b, 6, child)
					text(b, 7, columnName(v.Schema().Schema, k.Columns[i]))
					b.Field(8).(*array.Int32Builder).Append(int32(i + 1))
					text(b, 9, k.Name)
					b.Field(10).AppendNull()
					b.Field(11).(*array.Uint8Builder).Append(rules[k.OnUpdate])
					b.Field(12).(*array.Uint8Builder).Append(rules[k.OnDelete])
				}
			}
		}
		return nil
	})
}

// columnName is the name of a column by its id.
func columnName(s *schema.Schema, id uint64) string {
	if i := s.ColumnByID(id); i >= 0 {
		return s.Columns[i].Name
	}
	return ""
}
