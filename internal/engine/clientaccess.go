package engine

import (
	"context"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"

	"github.com/stemmadb/stemma/internal/errs"
)

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

// Administrates tells whether the account may do everything; the error is of class Denied.
func (c *Client) Administrates(ctx context.Context) error {
	db := c.e.sqle.Analyzer.Catalog.MySQLDb
	if db.Enabled() && !db.UserHasPrivileges(c.e.NewContext(ctx, c.s), sql.NewPrivilegedOperation(sql.PrivilegeCheckSubject{}, sql.PrivilegeType_Super)) {
		return errs.New(errs.Denied, "command denied to user '%s'@'%s': it takes the privilege SUPER", c.s.Client().User, c.s.Client().Address)
	}
	return nil
}

// AllowedDatabase tells whether an account, as Authenticate gives it, has rights to everything in a database; Create counts with the right
// to alter. The error is of class Denied.
func (e *Engine) AllowedDatabase(ctx context.Context, user, host, database string, rights ...Access) error {
	db := e.sqle.Analyzer.Catalog.MySQLDb
	if !db.Enabled() {
		return nil
	}
	var needed []sql.PrivilegeType
	for _, a := range rights {
		switch a {
		case Read:
			needed = append(needed, sql.PrivilegeType_Select)
		case Write:
			needed = append(needed, sql.PrivilegeType_Insert, sql.PrivilegeType_Update, sql.PrivilegeType_Delete)
		case Create:
			needed = append(needed, sql.PrivilegeType_Create, sql.PrivilegeType_Alter)
		case Drop:
			needed = append(needed, sql.PrivilegeType_Drop)
		}
	}
	base := sql.NewBaseSessionWithClientServer("", sql.Client{User: user, Address: host}, 0)
	sctx := sql.NewContext(ctx, sql.WithSession(base))
	if db.UserHasPrivileges(sctx, sql.NewPrivilegedOperation(sql.PrivilegeCheckSubject{Database: database}, needed...)) {
		return nil
	}
	names := make([]string, len(needed))
	for i, p := range needed {
		names[i] = p.String()
	}
	return errs.New(errs.Denied, "command denied to user '%s'@'%s' for database '%s': it takes %s on the whole database", user, host, database, strings.Join(names, ", "))
}
