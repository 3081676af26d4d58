package catalog

import (
	"cmp"
	"encoding/json"
	"runtime"
	"strings"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/mysql"

	"github.com/stemmadb/stemma/internal/engine/registry"
	"github.com/stemmadb/stemma/internal/engine/session"
	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/repo"
	"github.com/stemmadb/stemma/internal/root"
	"github.com/stemmadb/stemma/internal/table"
)

var _ sql.ViewDatabase = (*Database)(nil)

// CreateView implements sql.ViewDatabase: the view is a row of dolt_schemas.
func (d *Database) CreateView(ctx *sql.Context, name, _, statement string) error {
	p, err := d.writableViews(ctx)
	if err != nil {
		return err
	}
	if t, ok, err := d.nonlocal(ctx, p, name, false); err != nil {
		return session.Error(err)
	} else if ok {
		return sql.ErrTableAlreadyExists.New(t.Name())
	}
	var f repo.Fragment
	if of, err := renamed(ctx, statement, name); err != nil {
		return err
	} else if of != nil {
		f = *of
	} else if f, err = viewFragment(ctx, statement, name, d.h.Base(), ctx.GetCurrentDatabase()); err != nil {
		return err
	}
	return p.Alter(func(tx *repo.Tx) error {
		if _, _, ok, err := tx.Table(ctx, name); err != nil {
			return err
		} else if ok {
			return sql.ErrTableAlreadyExists.New(name)
		}
		if old, err := repo.ViewIn(ctx, tx, name); err != nil {
			return err
		} else if old != nil {
			return sql.ErrExistingView.New(d.name, name)
		}
		if self, err := d.names(ctx, tx, &f, name); err != nil {
			return err
		} else if self {
			return d.recursion(name)
		}
		return tx.CreateView(ctx, f)
	})
}

// DropView implements sql.ViewDatabase.
func (d *Database) DropView(ctx *sql.Context, name string) error {
	p, err := d.writableViews(ctx)
	if err != nil {
		return err
	}
	if f, err := repo.ViewIn(ctx, p, name); err != nil {
		return session.Error(err)
	} else if f == nil {
		return sql.ErrViewDoesNotExist.New(d.name, name)
	}
	return p.Alter(func(tx *repo.Tx) error {
		_, err := tx.DropView(ctx, name)
		return err
	})
}

// writableViews is writable for views.
func (d *Database) writableViews(ctx *sql.Context) (*session.Part, error) {
	p, err := d.writable(ctx)
	if err != nil {
		return nil, err
	}
	if rule, err := repo.NonlocalRule(ctx, p, repo.SchemasTable); err != nil {
		return nil, session.Error(err)
	} else if rule != nil {
		return nil, errs.New(errs.Invalid, "%s says that %s is a table of '%s': make and drop views there", repo.NonlocalTable, repo.SchemasTable, rule.Ref)
	}
	return p, nil
}

// GetViewDefinition implements sql.ViewDatabase. A statement that asks for the view AS OF a ref or a time has told the session so; then it
// is the view as it was, and the present one where the name meant nothing there.
func (d *Database) GetViewDefinition(ctx *sql.Context, name string) (none sql.ViewDefinition, ok bool, err error) {
	s, err := session.Of(ctx)
	if err != nil {
		return none, false, err
	}
	asOf := s.AskedAsOf(ctx, name)
	if root.IsSystem(name) {
		return none, false, nil
	}
	f, err := d.view(ctx, name, asOf)
	if err != nil || f == nil {
		return none, false, session.Error(err)
	}
	if s.OpensView()%64 == 0 { // a look at the stack takes the longer the deeper it is
		var frame [1]uintptr
		if runtime.Callers(mostFrames, frame[:]) > 0 {
			return none, false, d.recursion(f.Name)
		}
	}
	def, err := d.definition(ctx, f, asOf)
	if err != nil {
		return none, false, errs.New(errs.Invalid, "view %s: %w", f.Name, err)
	}
	return def, true, nil
}

// mostFrames is how deep the stack may be where a view is opened. The engine opens the views that a view names within it, some ten frames
// deeper, and does not look whether they name one another, which a merge or the rows of dolt_schemas can bring about: it would end the process.
const mostFrames = 20_000

// recursion is the error of a view that names itself, in MySQL's words.
func (d *Database) recursion(name string) error {
	const erViewRecursive = 1462
	return mysql.NewSQLError(erViewRecursive, mysql.SSUnknownSQLState, "`%s`.`%s` contains view recursion", d.name, name)
}

// names tells whether the statement of a view names another, by way of views of this database or without.
func (d *Database) names(ctx *sql.Context, r registry.Reader, f *repo.Fragment, other string) (bool, error) {
	seen := map[string]bool{}
	next := []*repo.Fragment{f}
	for len(next) > 0 {
		f, next = next[0], next[1:]
		ddl, err := parseView(ctx, f.Text, f.SQLMode)
		if err != nil {
			continue // it cannot be read at all
		}
		for _, n := range tablesOf(ddl, d.h.Base()) {
			if strings.EqualFold(n, other) {
				return true, nil
			}
			if l := strings.ToLower(n); !seen[l] {
				seen[l] = true
				g, err := repo.ViewIn(ctx, r, n)
				if err != nil {
					return false, err
				}
				if g != nil {
					next = append(next, g)
				}
			}
		}
	}
	return false, nil
}

// View is the name, as written, of the view that a name means at a ref, "" for what the session sees; ok is false when it means none.
func (d *Database) View(ctx *sql.Context, name, ref string) (written string, ok bool, err error) {
	var asOf any
	if ref != "" {
		asOf = ref
	}
	f, err := d.view(ctx, name, asOf)
	if err != nil || f == nil {
		return "", false, err
	}
	return f.Name, true, nil
}

// view is the view that a name means; nil when it means none.
func (d *Database) view(ctx *sql.Context, name string, asOf any) (*repo.Fragment, error) {
	if asOf != nil {
		r, _, err := d.asOf(ctx, asOf)
		if err != nil {
			return nil, nil // who looks for the table says so
		}
		f, err := d.viewIn(ctx, r, name)
		if f != nil || err != nil {
			return f, err
		}
		if is, err := d.isTable(ctx, r, name); err != nil || is {
			return nil, err
		}
	}
	r, err := d.h.Reader(ctx)
	if err != nil {
		return nil, err
	}
	return d.viewIn(ctx, r, name)
}

// viewIn is a view of a reader, unless there is a table of its name, which a merge can bring.
func (d *Database) viewIn(ctx *sql.Context, r registry.Reader, name string) (*repo.Fragment, error) {
	v, err := d.schemas(ctx, r)
	if err != nil || v == nil {
		return nil, err
	}
	f, err := repo.ViewOf(ctx, v, name)
	if err != nil || f == nil {
		return nil, err
	}
	if is, err := d.isTable(ctx, r, name); err != nil || is {
		return nil, err
	}
	return f, nil
}

// isTable tells whether a name is that of a table of the user.
func (d *Database) isTable(ctx *sql.Context, r registry.Reader, name string) (bool, error) {
	if _, ok, err := d.temporary(ctx, name); ok || err != nil {
		return ok, err
	}
	if _, ok, err := d.nonlocal(ctx, r, name, false); ok || err != nil {
		return ok, err
	}
	_, _, ok, err := r.Table(ctx, name)
	return ok, err
}

// schemas is the table dolt_schemas for a reader; nil when there is none.
func (d *Database) schemas(ctx *sql.Context, r registry.Reader) (*table.View, error) {
	rule, err := repo.NonlocalRule(ctx, r, repo.SchemasTable)
	if err != nil {
		return nil, err
	}
	name := repo.SchemasTable
	if rule != nil {
		h, err := d.target(ctx, rule)
		if err == nil {
			r, err = h.Reader(ctx)
		}
		if err != nil {
			if errs.CodeOf(err) == errs.NotFound || errs.CodeOf(err) == errs.Invalid || sql.ErrDatabaseNotFound.Is(err) {
				return nil, nil // a rule about nothing: tables can be read all the same
			}
			return nil, err
		}
		name = cmp.Or(rule.Table, name)
	}
	v, _, ok, err := r.Table(ctx, name)
	if err != nil || !ok {
		return nil, err
	}
	return v, nil
}

// definition is a view for the SQL engine.
func (d *Database) definition(ctx *sql.Context, f *repo.Fragment, asOf any) (def sql.ViewDefinition, err error) {
	ddl, err := parseView(ctx, f.Text, f.SQLMode)
	if err != nil {
		return def, err
	}
	var extra viewExtra
	if f.Extra != "" {
		_ = json.Unmarshal([]byte(f.Extra), &extra) // what others have put there says nothing
	}
	reading := ViewReading{View: d.name, Database: cmp.Or(extra.Database, d.name), Mode: f.SQLMode, Extra: f.Extra}
	if extra.Self != "" && !strings.EqualFold(extra.Self, d.name) {
		reading.Self, reading.Is = extra.Self, d.name
	}
	switch x := asOf.(type) {
	case string:
		reading.Ref = x
	case time.Time:
		reading.Time = &x
	}
	text, err := reading.mark(f.Text)
	if err != nil {
		return def, err
	}
	return sql.ViewDefinition{Name: f.Name, TextDefinition: ViewQuery(ddl, f.Text), CreateViewStatement: text, SqlMode: f.SQLMode}, nil
}

// AllViews implements sql.ViewDatabase: those whose statements can be read.
func (d *Database) AllViews(ctx *sql.Context) ([]sql.ViewDefinition, error) {
	s, err := session.Of(ctx)
	if err != nil {
		return nil, err
	}
	asOf := s.AskedAsOf(ctx, "")
	var r registry.Reader
	if asOf != nil {
		r, _, err = d.asOf(ctx, asOf)
	} else {
		r, err = d.h.Reader(ctx)
	}
	if err != nil {
		return nil, session.Error(err)
	}
	v, err := d.schemas(ctx, r)
	if err != nil || v == nil {
		return nil, session.Error(err)
	}
	all, err := repo.ViewsOf(ctx, v)
	if err != nil {
		return nil, session.Error(err)
	}
	var out []sql.ViewDefinition
	for i := range all {
		if is, err := d.isTable(ctx, r, all[i].Name); err != nil {
			return nil, session.Error(err)
		} else if is {
			continue
		}
		if def, err := d.definition(ctx, &all[i], asOf); err == nil {
			out = append(out, def)
		}
	}
	return out, nil
}
