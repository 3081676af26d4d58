package catalog

import (
	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/engine/session"
	"github.com/stemmadb/stemma/internal/engine/types"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/schema"
)

// CreateTable implements sql.TableCreator.
func (d *Database) CreateTable(ctx *sql.Context, name string, s sql.PrimaryKeySchema, collation sql.CollationID, comment string) error {
	return d.create(ctx, name, s, nil, collation, comment)
}

// CreateIndexedTable implements sql.IndexedTableCreator: primary says which parts of its columns the primary key takes.
func (d *Database) CreateIndexedTable(ctx *sql.Context, name string, s sql.PrimaryKeySchema, primary sql.IndexDef, collation sql.CollationID, comment string) error {
	return d.create(ctx, name, s, primary.Columns, collation, comment)
}

func (d *Database) create(ctx *sql.Context, name string, s sql.PrimaryKeySchema, primary []sql.IndexColumn, collation sql.CollationID, comment string) error {
	p, err := d.writable(ctx)
	if err != nil {
		return err
	}
	if err := repo.CheckTableName(name); err != nil {
		return session.Error(err)
	}
	if rule, err := repo.NonlocalRule(ctx, p, name); err != nil {
		return session.Error(err)
	} else if rule != nil {
		return errs.New(errs.Invalid, "table %s cannot be made: %s says that it is a table of '%s'", name, repo.NonlocalTable, rule.Ref)
	}
	stored, err := storedSchema(ctx, s, primary, collation, comment)
	if err != nil {
		return session.Error(err)
	}
	return p.Alter(func(tx *repo.Tx) error { return createIn(ctx, tx, name, stored) })
}

func storedSchema(ctx *sql.Context, s sql.PrimaryKeySchema, primary []sql.IndexColumn, collation sql.CollationID, comment string) (*schema.Schema, error) {
	stored, err := types.SchemaFromSQL(ctx, s, collation, comment)
	if err != nil || primary == nil {
		return stored, err
	}
	stored.PrimaryKey, err = types.IndexColumnsFromSQL(stored, primary)
	return stored, err
}

func createIn(ctx *sql.Context, tx *repo.Tx, name string, s *schema.Schema) error {
	if _, _, ok, err := tx.Table(ctx, name); err != nil {
		return err
	} else if ok {
		return sql.ErrTableAlreadyExists.New(name)
	}
	if err := taken(tx.CreateTable(ctx, name, s), name); err != nil {
		return err
	}
	if s.AutoColumn() >= 0 { // the counter of a table of this name that was there before
		return tx.SetAuto(ctx, name, 1)
	}
	return nil
}

// DropTable implements sql.TableDropper. A temporary table hides another of its name.
func (d *Database) DropTable(ctx *sql.Context, name string) error {
	if tmp, err := d.h.Temporary(ctx, false); err != nil {
		return session.Error(err)
	} else if tmp != nil {
		_, written, ok, err := tmp.Table(ctx, name)
		if err != nil {
			return session.Error(err)
		}
		if ok {
			return tmp.Change(func(tx *repo.Tx) error { return tx.DropTable(ctx, written) })
		}
	}
	p, err := d.writable(ctx)
	if err != nil {
		return err
	}
	if _, _, ok, err := p.Table(ctx, name); err != nil {
		return session.Error(err)
	} else if !ok {
		return sql.ErrTableNotFound.New(name)
	}
	return p.Alter(func(tx *repo.Tx) error { return tx.DropTable(ctx, name) })
}

// RenameTable implements sql.TableRenamer.
func (d *Database) RenameTable(ctx *sql.Context, from, to string) error {
	p, err := d.writable(ctx)
	if err != nil {
		return err
	}
	if d.reserved(to) {
		return errs.New(errs.Invalid, "table %s cannot be renamed to %s: names that begin with dolt_ or stemma_ are those of system tables", from, to)
	}
	return p.Alter(func(tx *repo.Tx) error {
		if _, _, ok, err := tx.Table(ctx, from); err != nil {
			return err
		} else if !ok {
			return sql.ErrTableNotFound.New(from)
		}
		if _, _, ok, err := tx.Table(ctx, to); err != nil {
			return err
		} else if ok {
			return sql.ErrTableAlreadyExists.New(to)
		}
		return taken(tx.RenameTable(ctx, from, to), to)
	})
}

// taken is the engine's error of a name of a table that is a view's.
func taken(err error, name string) error {
	if errs.Is(err, errs.Exists) {
		return sql.ErrTableAlreadyExists.New(name)
	}
	return err
}

// CreateTemporaryTable implements sql.TemporaryTableCreator.
func (d *Database) CreateTemporaryTable(ctx *sql.Context, name string, s sql.PrimaryKeySchema, collation sql.CollationID) error {
	stored, err := storedSchema(ctx, s, nil, collation, "")
	if err != nil {
		return session.Error(err)
	}
	p, err := d.h.Temporary(ctx, true)
	if err != nil {
		return session.Error(err)
	}
	return p.Change(func(tx *repo.Tx) error { return createIn(ctx, tx, name, stored) })
}

// temporary is a temporary table of the session.
func (d *Database) temporary(ctx *sql.Context, name string) (sql.Table, bool, error) {
	p, err := d.h.Temporary(ctx, false)
	if err != nil || p == nil {
		return nil, false, err
	}
	v, written, ok, err := p.Table(ctx, name)
	if err != nil || !ok {
		return nil, false, err
	}
	t, err := d.open(ctx, v, written, p, true)
	return t, err == nil, err
}

// GetAllTemporaryTables implements sql.TemporaryTableDatabase.
func (d *Database) GetAllTemporaryTables(ctx *sql.Context) ([]sql.Table, error) {
	p, err := d.h.Temporary(ctx, false)
	if err != nil || p == nil {
		return nil, session.Error(err)
	}
	names, err := p.Tx().TableNames(ctx)
	if err != nil {
		return nil, session.Error(err)
	}
	var out []sql.Table
	for _, n := range names {
		t, ok, err := d.temporary(ctx, n)
		if err != nil {
			return nil, session.Error(err)
		}
		if ok {
			out = append(out, t)
		}
	}
	return out, nil
}
