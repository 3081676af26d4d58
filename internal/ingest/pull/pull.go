// Package pull reads tables of other databases: PostgreSQL, MySQL and MariaDB, and Dolt. A Source is one consistent state of a database,
// which is only read; its rows come as texts that value.Parse reads into the types that it describes.
package pull

import (
	"context"
	"net/url"
	"strings"

	"github.com/stemmadb/stemma/internal/errs"
	"github.com/stemmadb/stemma/internal/schema"
	"github.com/stemmadb/stemma/internal/value"
)

// Column is a column of a table of a source.
type Column struct {
	Name     string
	Type     value.Type
	Nullable bool

	read   string                            // what is selected; "" is the column
	decode func(text []byte) ([]byte, error) // makes of what comes what value.Parse reads; nil changes nothing
}

// Table describes a table of a source, or the rows of a query.
type Table struct {
	Name    string
	Columns []Column
	Key     []string // the primary key's columns; empty when there is none

	query      string // that reads the columns
	list, from string // its parts: what it selects, and of what
}

// Schema is the table's schema, with the ids that its columns have in the table old, which may be nil.
func (t *Table) Schema(old *schema.Schema) (*schema.Schema, error) {
	s := &schema.Schema{Collation: value.CollationUtf8mb40900Bin}
	for _, c := range t.Columns {
		col := schema.Column{Name: c.Name, Type: c.Type, Nullable: c.Nullable}
		if old != nil {
			if i := old.ColumnIndex(c.Name); i >= 0 && schema.AssignID(c.Name, c.Type, nil, nil) == schema.AssignID(c.Name, old.Columns[i].Type, nil, nil) {
				col.ID, col.Comment = old.Columns[i].ID, old.Columns[i].Comment
			}
		}
		if col.ID == 0 || s.ColumnByID(col.ID) >= 0 {
			col.ID = schema.AssignID(c.Name, c.Type, s.Columns, nil)
		}
		s.Columns = append(s.Columns, col)
	}
	for _, k := range t.Key {
		i := s.ColumnIndex(k)
		if i < 0 {
			return nil, errs.New(errs.NotFound, "table %s: there is no column %s for the key", t.Name, k)
		}
		s.Columns[i].Nullable = false
		s.Columns[i].Type = keyType(s.Columns[i].Type)
		s.PrimaryKey = append(s.PrimaryKey, schema.IndexColumn{Column: s.Columns[i].ID})
	}
	return s, nil
}

// keyType is the type of a column of a key, in which the longest texts and bytes cannot be.
func keyType(t value.Type) value.Type {
	switch {
	case t.Kind == value.KindText && t.Length > value.ShortLength:
		return value.Type{Kind: value.KindVarchar, Length: 4095, Collation: t.Collation}
	case t.Kind == value.KindBlob && t.Length > value.ShortLength:
		return value.Type{Kind: value.KindVarbinary, Length: 4095}
	}
	return t
}

// Source is one state of a database. It belongs to one goroutine and must be closed.
type Source interface {
	// Tables are the names of the tables, in their order.
	Tables(ctx context.Context) ([]string, error)
	// Describe describes a table.
	Describe(ctx context.Context, table string) (*Table, error)
	// DescribeQuery describes the rows of a query, which are called name and have the key.
	DescribeQuery(ctx context.Context, query, name string, key []string) (*Table, error)
	// Read gives the rows of a described table to fn; nil is NULL. The fields are valid during the call.
	Read(ctx context.Context, t *Table, fn func(fields [][]byte) error) error
	// Close ends the connection.
	Close(ctx context.Context) error
}

// Open connects to the database that a URL names: postgres:// (or postgresql://) and mysql:// (or mariadb://). Errors are of class
// Unavailable when the server cannot be reached or the connection is lost, now or later.
func Open(ctx context.Context, rawURL string) (Source, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, errs.New(errs.Invalid, "the source's address cannot be read: want scheme://user:password@host:port/database")
	}
	switch u.Scheme {
	case "postgres", "postgresql":
		return openPostgres(ctx, rawURL)
	case "mysql", "mariadb":
		return openMySQL(ctx, u)
	}
	return nil, errs.New(errs.Invalid, "%s: want an address that begins with postgres:// or mysql://", Redact(rawURL))
}

// Redact is an address without its password and parameters, for messages and metadata.
func Redact(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		scheme, _, _ := strings.Cut(rawURL, ":")
		return scheme + "://…"
	}
	if u.User != nil {
		u.User = url.User(u.User.Username())
	}
	u.RawQuery, u.Fragment = "", ""
	return u.String()
}

// kind is a type without parameters.
func kind(k value.Kind) value.Type { return value.Type{Kind: k} }

// text is a type of texts of so many characters at most; 0 is the longest.
func text(n int) value.Type {
	if n > 0 && n <= 16383 {
		return value.Type{Kind: value.KindVarchar, Length: uint32(n), Collation: value.CollationUtf8mb40900Bin}
	}
	return value.Type{Kind: value.KindText, Length: value.LongLength, Collation: value.CollationUtf8mb40900Bin}
}
