package engine

import (
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/analyzer"
	"github.com/dolthub/vitess/go/mysql"
	"github.com/dolthub/vitess/go/vt/sqlparser"

	"github.com/stemmadb/stemma/internal/engine/catalog"
)

// What SHOW CREATE VIEW and SHOW CREATE TABLE ask the access for.
const (
	authShowView  = "SHOW CREATE VIEW"
	authShowTable = "SHOW CREATE TABLE"
)

// askToShow makes a statement that shows that of a view ask for the privileges that MySQL wants, of which the SQL engine asks for none.
func askToShow(s *sqlparser.Show) {
	auth := ""
	switch strings.ToLower(s.Type) {
	case sqlparser.CreateTableStr:
		auth = authShowTable
	case sqlparser.CreateViewStr:
		auth = authShowView
	default:
		return
	}
	s.Auth = sqlparser.AuthInformation{
		AuthType: auth, TargetType: sqlparser.AuthTargetType_SingleTableIdentifier,
		TargetNames: []string{s.Table.DbQualifier.String(), s.Table.Name.String(), ""},
	}
	if s.ShowTablesOpt != nil {
		s.Auth.TargetNames[2], _ = asOfText(s.ShowTablesOpt.AsOf)
	}
}

// access is the SQL engine's handler of what statements ask for, and knows those of askToShow.
type access struct {
	sql.AuthorizationHandler
	cat       *analyzer.Catalog
	databases sql.DatabaseProvider
}

// HandleAuth implements sql.AuthorizationHandler.
func (a access) HandleAuth(ctx *sql.Context, state sql.AuthorizationQueryState, auth sqlparser.AuthInformation) error {
	if auth.AuthType != authShowView && auth.AuthType != authShowTable {
		return a.AuthorizationHandler.HandleAuth(ctx, state, auth)
	}
	db, name, ref := auth.TargetNames[0], auth.TargetNames[1], auth.TargetNames[2]
	all := auth
	all.AuthType, all.TargetType, all.TargetNames = sqlparser.AuthType_SHOW, sqlparser.AuthTargetType_TODO, nil
	if err := a.AuthorizationHandler.HandleAuth(ctx, state, all); err != nil || !a.cat.MySQLDb.Enabled() {
		return err
	}
	if db == "" {
		db = ctx.GetCurrentDatabase()
	}
	if strings.EqualFold(db, sql.InformationSchemaDatabaseName) {
		return nil
	}
	if auth.AuthType == authShowTable { // of a view it shows the same
		if is, err := a.isView(ctx, db, name, ref); err != nil || !is {
			return err
		}
	}
	base, _, _ := strings.Cut(db, "/")
	subject := sql.PrivilegeCheckSubject{Database: base, Table: name}
	for _, p := range []struct {
		is   sql.PrivilegeType
		name string
	}{{sql.PrivilegeType_Select, "SELECT"}, {sql.PrivilegeType_ShowView, "SHOW VIEW"}} {
		if !a.cat.MySQLDb.UserHasPrivileges(ctx, sql.NewPrivilegedOperation(subject, p.is)) {
			who := ctx.Session.Client()
			return mysql.NewSQLError(erTableAccess, "42000", "%s command denied to user '%s'@'%s' for table '%s'", p.name, who.User, who.Address, name)
		}
	}
	return nil
}

// isView tells whether a name is that of a view at a ref, "" for now.
func (a access) isView(ctx *sql.Context, db, name, ref string) (bool, error) {
	d, err := a.databases.Database(ctx, db)
	if err != nil {
		return false, err
	}
	views, ok := d.(*catalog.Database)
	if !ok {
		return false, nil
	}
	_, is, err := views.View(ctx, name, ref)
	return is, err
}

// erTableAccess is MySQL's number of the error of a statement for which a privilege on a table lacks.
const erTableAccess = 1142
