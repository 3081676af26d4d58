package engine

import (
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/vitess/go/mysql"
	"github.com/dolthub/vitess/go/vt/sqlparser"

	"github.com/stemmadb/stemma/internal/engine/catalog"
	"github.com/stemmadb/stemma/internal/errs"
)

// erWrongObject is MySQL's number of the error of a statement on tables that names a view.
const erWrongObject = 1347

// notATable is the error of a statement on tables that names a view, in MySQL's words.
func notATable(db, name string) error {
	return mysql.NewSQLError(erWrongObject, mysql.SSUnknownSQLState, "'%s.%s' is not BASE TABLE", db, name)
}

// checkTruncate refuses TRUNCATE of what is no table: the engine would empty the first table that it finds below a view, for which the
// client needs no privilege.
func checkTruncate(ctx *sql.Context, n *plan.Truncate) error {
	if _, ok := n.Child.(*plan.ResolvedTable); ok {
		return nil
	}
	db, name := n.DatabaseName(), ""
	if db == "" {
		db = ctx.GetCurrentDatabase()
	}
	if x, ok := n.Child.(sql.Nameable); ok {
		name = x.Name()
	}
	return notATable(db, name)
}

// checkDropTable refuses DROP TABLE of what is no table; the engine would name the tables below it.
func checkDropTable(n *plan.DropTable) error {
	for _, t := range n.Tables {
		if _, ok := t.(*plan.ResolvedTable); ok {
			continue
		}
		name := ""
		if x, ok := t.(sql.Nameable); ok {
			name = x.Name()
		}
		return sql.ErrUnknownTable.New(name)
	}
	return nil
}

// checkCreateView refuses the statement of a view with the catalog's mark in front, which is read only, without asking for privileges.
func checkCreateView(n *plan.CreateView) error {
	if catalog.ReadingOf(n.CreateViewString) != nil {
		return sql.ErrUnsupportedSyntax.New("CREATE VIEW of a view that is being read")
	}
	return nil
}

// renameMark is between the databases and the name of a table that RENAME TABLE or ALTER TABLE renames: the engine drops what databases
// the statement names, and would rename what has the name in the current one.
const renameMark = "\x00"

// markRename puts the databases that a statement names before the names of the tables that it renames.
func markRename(d *sqlparser.DDL, alter bool) {
	if d.Action != sqlparser.RenameStr || len(d.FromTables) != len(d.ToTables) {
		return
	}
	for i := range d.FromTables {
		from, to := d.FromTables[i].DbQualifier.String(), d.ToTables[i].DbQualifier.String()
		if alter && to == "" {
			to = from
		}
		if from != "" || to != "" {
			d.FromTables[i].Name = sqlparser.NewTableIdent(from + renameMark + to + renameMark + d.FromTables[i].Name.String())
		}
	}
}

// renamedTables is a statement that renames tables in the database that it names; nil where it names none.
func (e *executor) renamedTables(ctx *sql.Context, n *plan.RenameTable) (*plan.RenameTable, error) {
	marked := false
	for _, name := range n.OldNames {
		marked = marked || strings.Contains(name, renameMark)
	}
	if !marked {
		return nil, nil
	}
	of := func(name string) string {
		if name == "" {
			return ctx.GetCurrentDatabase()
		}
		return name
	}
	c := *n
	c.OldNames = make([]string, len(n.OldNames))
	in := ""
	for i, name := range n.OldNames {
		from, to := "", ""
		if parts := strings.SplitN(name, renameMark, 3); len(parts) == 3 {
			from, to, name = parts[0], parts[1], parts[2]
		}
		c.OldNames[i] = name
		if from, to = of(from), of(to); !strings.EqualFold(from, to) {
			return nil, errs.New(errs.Unsupported, "rename %s.%s to %s.%s: a table cannot be moved to another database", from, name, to, n.NewNames[i])
		}
		if i > 0 && !strings.EqualFold(in, from) {
			return nil, errs.New(errs.Unsupported, "rename tables of %s and %s: one statement renames tables of one database", in, from)
		}
		in = from
	}
	db, err := e.databases.Database(ctx, in)
	if err != nil {
		return nil, err
	}
	out, err := c.WithDatabase(db)
	if err != nil {
		return nil, err
	}
	r, _ := out.(*plan.RenameTable)
	return r, nil
}
