package sqltable

import (
	"context"
	"math"
	"slices"

	"github.com/cockroachdb/apd/v3"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/planbuilder"
	gms "github.com/dolthub/go-mysql-server/sql/types"

	"github.com/stemmadb/stemma/internal/engine/session"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/table"
	"github.com/stemmadb/stemma/internal/value"
)

// Writable is a table of a branch that a session can write. The methods that change the schema bring it up to date, since the
// engine goes on with the same object.
type Writable struct {
	*Table
	defs   *Defs
	frozen bool
}

var (
	_ sql.InsertableTable          = (*Writable)(nil)
	_ sql.UpdatableTable           = (*Writable)(nil)
	_ sql.DeletableTable           = (*Writable)(nil)
	_ sql.ReplaceableTable         = (*Writable)(nil)
	_ sql.TruncateableTable        = (*Writable)(nil)
	_ sql.AutoIncrementTable       = (*Writable)(nil)
	_ sql.RewritableTable          = (*Writable)(nil)
	_ sql.PrimaryKeyAlterableTable = (*Writable)(nil)
	_ sql.IndexBuildingTable       = (*Writable)(nil)
	_ sql.CollationAlterableTable  = (*Writable)(nil)
	_ sql.CommentAlterableTable    = (*Writable)(nil)
	_ sql.ProjectedTable           = (*Writable)(nil)
	_ sql.IndexAddressableTable    = (*Writable)(nil)
	_ sql.IndexedTable             = (*Writable)(nil)
)

// Open is a table of a session's transaction on a branch. When write is not set every change is refused.
func Open(defs *Defs, d *Def, p *session.Part, write bool) *Writable {
	t := newIn(d, p)
	return &Writable{Table: &t, defs: defs, frozen: !write}
}

// Frozen is a table that shows a view and refuses every change: with a better reason than a table that cannot be changed at all.
func Frozen(d *Def, v *table.View) *Writable {
	return &Writable{Table: New(d, v), frozen: true}
}

// From is the table with the place where its view is from.
func (t *Writable) From(o *Origin) *Writable {
	t.origin = o
	return t
}

// refused is the error of every change to a frozen table.
func (t *Writable) refused() error {
	if !t.frozen {
		return nil
	}
	return session.Error(errs.New(errs.ReadOnly, "table %s cannot be written: database %s is read-only here", t.def.Name, t.def.DB))
}

// WithProjections implements sql.ProjectedTable.
func (t *Writable) WithProjections(_ *sql.Context, names []string) (sql.Table, error) {
	p, err := t.project(names)
	if err != nil {
		return nil, err
	}
	return &Writable{Table: p, defs: t.defs, frozen: t.frozen}, nil
}

// IndexedAccess implements sql.IndexAddressable.
func (t *Writable) IndexedAccess(*sql.Context, sql.IndexLookup) sql.IndexedTable { return t }

// Resolved is t with a schema whose expressions the engine can evaluate, if it has virtual columns: the engine evaluates them while
// it builds an index but does not resolve all of them.
func (t *Writable) Resolved(ctx *sql.Context, overrides sql.EngineOverrides) *Writable {
	unresolved := func(c *sql.Column) bool { return c.Virtual && !c.Generated.Resolved() }
	if !slices.ContainsFunc(t.schema, unresolved) {
		return t
	}
	c := *t.Table
	b := planbuilder.NewBuilderForColumnDefaultResolution(ctx, overrides)
	c.schema = b.ResolveSchemaDefaults(t.def.DB, t.def.Name, t.schema)
	return &Writable{Table: &c, defs: t.defs}
}

// Inserter implements sql.InsertableTable.
func (t *Writable) Inserter(*sql.Context) sql.RowInserter { return t.tableEditor() }

// Updater implements sql.UpdatableTable.
func (t *Writable) Updater(*sql.Context) sql.RowUpdater { return t.tableEditor() }

// Deleter implements sql.DeletableTable.
func (t *Writable) Deleter(*sql.Context) sql.RowDeleter { return t.tableEditor() }

// Replacer implements sql.ReplaceableTable.
func (t *Writable) Replacer(*sql.Context) sql.RowReplacer { return t.tableEditor() }

// Truncate implements sql.TruncateableTable.
func (t *Writable) Truncate(ctx *sql.Context) (int, error) {
	if err := t.refused(); err != nil {
		return 0, err
	}
	var n uint64
	err := t.part.Change(func(tx *repo.Tx) error {
		v, written, ok, err := tx.Table(ctx, t.def.Stored)
		if err != nil {
			return err
		}
		if !ok {
			return sql.ErrTableNotFound.New(t.def.Name)
		}
		n = v.Count()
		tx.NoteAnew(written)
		return tx.PutTable(ctx, written, table.Empty(v.Table.Schema))
	})
	return int(n), err
}

// GetNextAutoIncrementValue implements sql.AutoIncrementTable.
func (t *Writable) GetNextAutoIncrementValue(ctx *sql.Context, given any) (uint64, error) {
	if err := t.refused(); err != nil {
		return 0, err
	}
	g, err := autoGiven(given)
	if err != nil {
		return 0, err
	}
	n, err := t.part.Tx().NextAuto(ctx, t.def.Stored, g)
	return t.def.clampAuto(n), session.Error(err)
}

// autoGiven is the value that a row brings for an AUTO_INCREMENT column; 0 when it leaves the choice or counts for nothing.
func autoGiven(v any) (uint64, error) {
	signed := func(n int64) (uint64, error) { return uint64(max(n, 0)), nil }
	switch v := v.(type) {
	case nil:
		return 0, nil
	case int:
		return signed(int64(v))
	case int8:
		return signed(int64(v))
	case int16:
		return signed(int64(v))
	case int32:
		return signed(int64(v))
	case int64:
		return signed(v)
	case uint:
		return uint64(v), nil
	case uint8:
		return uint64(v), nil
	case uint16:
		return uint64(v), nil
	case uint32:
		return uint64(v), nil
	case uint64:
		return v, nil
	case float32:
		return autoGiven(float64(v))
	case float64:
		if !(v >= 1) {
			return 0, nil
		}
		if v >= math.MaxUint64 {
			return math.MaxUint64, nil
		}
		return uint64(v), nil
	case *apd.Decimal:
		f, err := v.Float64()
		if err != nil {
			return 0, err
		}
		return autoGiven(f)
	case string: // the engine converts it to the column's type later
		f, _, err := gms.Float64.Convert(context.Background(), v)
		if f, ok := f.(float64); ok && err == nil {
			return autoGiven(f)
		}
		return 0, nil
	}
	return 0, errs.New(errs.Internal, "next AUTO_INCREMENT value: a row brings a %T", v)
}

// clampAuto is n or the greatest value of the AUTO_INCREMENT column, which MySQL gives out again when there is none above it.
func (d *Def) clampAuto(n uint64) uint64 {
	if i := d.Schema.AutoColumn(); i >= 0 {
		if top, ok := autoTop[d.Schema.Columns[i].Type.Kind]; ok {
			return min(n, top)
		}
	}
	return n
}

// autoTop are the greatest values of the kinds of whole numbers.
var autoTop = map[value.Kind]uint64{
	value.KindInt8: math.MaxInt8, value.KindInt16: math.MaxInt16, value.KindInt24: 1<<23 - 1, value.KindInt32: math.MaxInt32,
	value.KindInt64: math.MaxInt64, value.KindUint8: math.MaxUint8, value.KindUint16: math.MaxUint16,
	value.KindUint24: 1<<24 - 1, value.KindUint32: math.MaxUint32,
}

// AutoIncrementSetter implements sql.AutoIncrementTable.
func (t *Writable) AutoIncrementSetter(*sql.Context) sql.AutoIncrementSetter { return autoSetter{t} }

type autoSetter struct{ t *Writable }

// SetAutoIncrementValue implements sql.AutoIncrementSetter.
func (s autoSetter) SetAutoIncrementValue(ctx *sql.Context, n uint64) error {
	if err := s.t.refused(); err != nil {
		return err
	}
	return session.Error(s.t.part.Tx().SetAuto(ctx, s.t.def.Stored, s.t.def.clampAuto(n)))
}

// AcquireAutoIncrementLock implements sql.AutoIncrementSetter. Values are given out one by one without a lock.
func (autoSetter) AcquireAutoIncrementLock(*sql.Context) (func(), error) { return func() {}, nil }

// Close implements sql.AutoIncrementSetter.
func (autoSetter) Close(*sql.Context) error { return nil }
